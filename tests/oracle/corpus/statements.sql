SELECT u.email, count(*) FROM users u JOIN public.orders o ON o.user_id = u.id WHERE u.email = 'a' AND o.n > 5 GROUP BY 1 HAVING count(*) > 1 ORDER BY 2 DESC LIMIT 10 OFFSET 5
%%
SELECT * FROM ONLY users
%%
SELECT * FROM ONLY (users)
%%
SELECT * FROM users *
%%
SELECT * FROM users * AS u, ONLY public.orders o
%%
UPDATE ONLY users SET email = 'x' WHERE id = 1
%%
UPDATE users * AS u SET email = 'x'
%%
DELETE FROM ONLY users WHERE email = 'x'
%%
DELETE FROM users * USING orders o WHERE o.id = users.id
%%
INSERT INTO users AS u (id, email) VALUES (1, 'a'), (2, DEFAULT), ($1, $2) ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, n = u.n + 1 WHERE u.email <> 'x' RETURNING *
%%
INSERT INTO users DEFAULT VALUES
%%
INSERT INTO users (id, email) OVERRIDING SYSTEM VALUE SELECT 1, 'x' UNION ALL SELECT 2, 'y'
%%
TABLE users
%%
TABLE ONLY users
%%
VALUES (1, 'a'), (2, 'b') ORDER BY 1
%%
WITH a AS (SELECT 'x' AS e), b AS MATERIALIZED (UPDATE users SET email = 'y' RETURNING id) SELECT * FROM a, b
%%
WITH RECURSIVE r (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT * FROM r
%%
MERGE INTO users u USING staging s ON u.id = s.id WHEN MATCHED AND s.x = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET email = s.email WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.id, 'n')
%%
SELECT * FROM users WHERE email IN ('a', 'b') OR email = ANY($1) OR email = ANY(ARRAY['c', 'd']) OR email IS DISTINCT FROM 'e' OR email BETWEEN 'f' AND 'g' OR email NOT IN (SELECT 'h')
%%
SELECT * FROM users WHERE (id, email) = (1, 'a') OR (id, email) IN ((1, 'a'), (2, 'b'))
%%
SELECT CASE email WHEN 'a' THEN 'b' ELSE 'c' END, COALESCE(email, 'd'), NULLIF(email, 'e'), GREATEST(email, 'f') FROM users
%%
SELECT date '2020-01-01', timestamp with time zone '2020-01-01 00:00', interval '1 day', interval '1' hour, interval(3) '1 second', int '5', text 'x', varchar(5) 'y', char 'z', numeric(5,2) '1.5', foo.bar 'q', bool 'true', float8 '1', time(2) '10:00', bit varying '01'
%%
SELECT citext 'Abc', mytype 'x' FROM t
%%
SELECT 'a'::text, CAST('b' AS varchar(10)), '1'::numeric(5,2), $1::int[], 'c'::"char", '{a}'::text[], 'x'::foo.bar
%%
SELECT 'a' COLLATE "C", email COLLATE "de_DE" < 'b' FROM users
%%
SELECT 'x' AS a, 'y' b, 'z' "c" FROM users
%%
SELECT a.b.c, (a).b, (a.b).c, a.*, (f(x)).y, a[1].b FROM a
%%
SELECT extract(year FROM d), substring(a FROM 1 FOR 2), position('a' IN b), trim(both 'x' FROM a), overlay(a placing 'b' FROM 1), current_date, d AT TIME ZONE 'UTC', a LIKE 'x%' ESCAPE '!' FROM t
%%
SELECT a || 'b' = 'c', 'd' = a || 'e', a = 'b' IS NULL, NOT a = 'b', a = 'b' AND c = 'd' OR e = 'f', a LIKE 'b' || 'c', a ~ 'b' || 'c', a -> 'b' = 'c', a + 1 || 'x' FROM t
%%
SELECT a BETWEEN 1 AND 2 AND b, a IS NOT DISTINCT FROM 'x' AND b, a IN (1) = true, - a * 2, a <-> b < 5, a ~~ 'x' || 'y', a <= b + 1 * 2 FROM t
%%
SELECT count(*) FILTER (WHERE email = 'x'), string_agg(email, ',' ORDER BY email), rank() OVER (PARTITION BY email ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM users WINDOW w AS (PARTITION BY 1)
%%
SELECT * FROM users u LEFT JOIN LATERAL (SELECT 'x' AS e FROM orders o WHERE o.uid = u.id) s ON true NATURAL JOIN c CROSS JOIN d JOIN e USING (id)
%%
SELECT * FROM generate_series(1, 10) AS g(n), unnest(ARRAY['a']) WITH ORDINALITY, ROWS FROM (f(1), g('x')) AS r(a, b), json_to_record('{}') AS x(a int, b text)
%%
SELECT * FROM users TABLESAMPLE BERNOULLI (10) REPEATABLE (5) FOR UPDATE OF users SKIP LOCKED
%%
SELECT DISTINCT ON (email) email, 'x' INTO TEMP t2 FROM users
%%
SELECT 1 FETCH FIRST 5 ROWS ONLY
%%
SELECT 1 FROM t LIMIT ALL OFFSET 2 ROWS
%%
SELECT 'a' UNION SELECT email FROM users EXCEPT ALL (SELECT 'b' INTERSECT SELECT 'c') ORDER BY 1
%%
SELECT ARRAY[1, 2], ARRAY[['a'], ['b']], ARRAY(SELECT email FROM users), ROW(1, 'x'), (1, 'y'), '{}'::jsonb
%%
SELECT email FROM users WHERE EXISTS (SELECT 1 FROM orders WHERE orders.email = users.email AND note = 'x')
%%
SELECT a isnull, b notnull, a IS TRUE, b IS NOT UNKNOWN, a IS OF (int) FROM t
%%
SELECT a isnull, b notnull, a IS TRUE, b IS NOT UNKNOWN FROM t
%%
SELECT xmlelement(name foo, xmlattributes('a' AS b), 'c'), json_object('a': 'b'), json_array('x', 'y')
%%
SELECT * FROM users WHERE email = 'x' FOR NO KEY UPDATE NOWAIT
%%
UPDATE users SET (email, name) = ('a', 'b'), n = DEFAULT, arr[1] = 'c', comp.f = 'd' FROM orders o WHERE users.id = o.uid RETURNING users.email
%%
UPDATE users SET (email, name) = (SELECT 'a', 'b')
%%
EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM users WHERE email = 'x'
%%
EXPLAIN ANALYZE VERBOSE UPDATE users SET email = 'x'
%%
EXPLAIN EXECUTE p('x')
%%
PREPARE p (text, int) AS SELECT * FROM users WHERE email = $1 AND id = $2
%%
EXECUTE p('x', 1)
%%
CREATE TABLE x AS EXECUTE p('plaintext')
%%
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM users WHERE email = 'x'
%%
COPY users (id, email) FROM STDIN WITH (FORMAT csv, HEADER true, NULL 'x')
%%
COPY (SELECT email FROM users WHERE email = 'x') TO STDOUT
%%
COPY users TO '/tmp/x' CSV DELIMITER ','
%%
CREATE TABLE t (a int PRIMARY KEY, b varchar(10) DEFAULT 'x' NOT NULL, c numeric(5,2) CHECK (c > 1.5), d text COLLATE "C", e int GENERATED ALWAYS AS IDENTITY)
%%
CREATE VIEW v AS SELECT email FROM users WHERE email = 'x'
%%
ALTER TABLE ONLY users ALTER COLUMN email SET DEFAULT 'x', ADD COLUMN y text
%%
TRUNCATE ONLY users, orders * CASCADE
%%
LOCK TABLE ONLY users IN SHARE MODE
%%
DO $$ BEGIN INSERT INTO users VALUES (1, 'x'); END $$
%%
CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; END $$
%%
SELECT 'x' 'y'
%%
SELECT * FROM users 'u'
%%
SELECT * FROM 'users'
%%
SELECT 'users'.email FROM users
%%
SELECT email 'alias' FROM users
%%
SELECT * FROM users AS 'u'
%%
SELECT $1 AS "$1", $1 FROM users WHERE $1::text IS NULL OR email = $1
%%
SELECT * FROM a, b * c
%%
SELECT a.b * c FROM a
%%
SELECT only FROM users
%%
SELECT a AS only, b.only FROM users b
%%
SELECT * FROM users WHERE email = 'x' AND NOT EXISTS (TABLE orders) OR email = SOME (VALUES ('y'))
%%
SELECT email FROM users WHERE email SIMILAR TO 'x' ESCAPE 'y' OR email ILIKE ANY (ARRAY['z'])
%%
SELECT * FROM users WHERE email OPERATOR(pg_catalog.=) 'x'
%%
SELECT * FROM users u (a, b) WHERE u.a = 'x'
%%
INSERT INTO users SELECT * FROM (VALUES (1, 'x')) v (a, b)
%%
WITH x AS (INSERT INTO users (email) VALUES ('a') RETURNING *) INSERT INTO log SELECT 'b', email FROM x
%%
SELECT set_config('search_path', 'x', false), nextval('seq'), 'users'::regclass
%%
SELECT f(VARIADIC ARRAY['a']), f(DISTINCT 'b'), f(ALL 'c'), "F"('d'), s.f('e')
%%
SELECT a = 'x' FROM t WHERE b = 'y' GROUP BY ROLLUP (a, b), GROUPING SETS ((a), ()), CUBE (a)
%%
SELECT 1 AS user, current_user, session_user, user FROM "user"
%%
SELECT left('abc', 1), right('abc', 2), "left"('a', 1)
%%
SET search_path TO a, 'b'
%%
COMMENT ON TABLE users IS 'x'
%%
NOTIFY x, 'payload'
%%
SELECT interval '1 day' * 2, '1'::interval hour to minute, interval '5' day to second(2)
%%
SELECT - '1'::int, a.b::text || 'x', (a)::text, a::varchar(5)::text, not a::bool
