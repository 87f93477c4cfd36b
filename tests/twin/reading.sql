--! Conditions.

SELECT id FROM people WHERE email = $1 OR email = $2 ORDER BY id
$1 = ada@example.com
$2 = grace@example.com
=> same

SELECT id FROM people WHERE email IN ($1, NULL) ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE email NOT IN ($1, $2) ORDER BY id
$1 = ada@example.com
$2 = x
=> same

SELECT id FROM people WHERE email NOT IN ($1, NULL) ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE email = ANY(ARRAY[$1, $2]) ORDER BY id
$1 = ada@example.com
$2 = grace@example.com
=> same

SELECT id FROM people WHERE email = ANY(ARRAY[$1, $2]::text[]) ORDER BY id
$1 = ada@example.com
$2 = grace@example.com
=> same

SELECT id FROM people WHERE email = ANY(ARRAY[$1, $2]::varchar[]) ORDER BY id
$1 = ada@example.com
$2 = grace@example.com
=> same

SELECT id FROM people WHERE city = ANY(ARRAY[$1, $2]::varchar[]) ORDER BY id
$1 = London
$2 = Paris
=> same

SELECT id FROM people WHERE city = ANY(ARRAY[$1, $2]::varchar(40)[]) ORDER BY id
$1 = London
$2 = Paris
=> same

SELECT id FROM people WHERE city = ANY($1::varchar(40)[]) ORDER BY id
$1 = {London,Paris}
=> same

SELECT id FROM people WHERE city IN ($1::varchar(40), $2::varchar(40)) ORDER BY id
$1 = London
$2 = Paris
=> same

SELECT id FROM people WHERE city = $1::varchar(40) ORDER BY id
$1 = London
=> same

SELECT id FROM people WHERE city = $1::varchar(3) ORDER BY id
$1 = London
=> same

SELECT id FROM people WHERE email <> ALL($1) ORDER BY id
$1 = {ada@example.com}
=> same

SELECT id FROM people WHERE email <> ALL(ARRAY[$1, $2]) ORDER BY id
$1 = ada@example.com
$2 = grace@example.com
=> same

SELECT id FROM people WHERE NOT (email = ANY($1)) ORDER BY id
$1 = {ada@example.com}
=> same

SELECT id FROM people WHERE email = SOME($1::text[]) ORDER BY id
$1 = {ada@example.com}
=> same

SELECT id FROM people WHERE $1 = ANY(ARRAY[email]) ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE email IS NOT DISTINCT FROM $1::text ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE email IS DISTINCT FROM NULL ORDER BY id
=> same

SELECT id FROM people WHERE (email, level) = ($1, $2) ORDER BY id
$1 = ada@example.com
$2 = 3
=> same

SELECT id FROM people WHERE (email, level) <> ($1, $2) ORDER BY id
$1 = ada@example.com
$2 = 3
=> same

SELECT id FROM people WHERE (email, level) IN (($1, $2), ($3, 5)) ORDER BY id
$1 = ada@example.com
$2 = 3
$3 = grace@example.com
=> same

SELECT id FROM people WHERE (email, id) IN (SELECT email, person FROM orders) ORDER BY id
=> same

SELECT id FROM people WHERE (email, team) IN (VALUES ($1, 1), ('grace@example.com', 1)) ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE (email, team) = (SELECT email, 1 FROM orders WHERE id = 1) ORDER BY id
=> same

SELECT id FROM people WHERE ROW(email, team) = ROW($1, 1) ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE (email, team) IS NOT DISTINCT FROM ($1, 1) ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE (email, team) < ($1, 1) ORDER BY id
$1 = ada@example.com
=> refused column public.people.email is encrypted without order, so operator < cannot be carried out on it

SELECT id FROM people WHERE (id, team) > (1, 1) AND email IS NOT NULL ORDER BY id
=> same

SELECT id FROM people WHERE (email, born) IS NULL ORDER BY id
=> same

SELECT id FROM people WHERE email IN (SELECT $1) ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE email IN (SELECT $1::text) ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE level IN (SELECT $1::int) ORDER BY id
$1 = 3
=> same

SELECT id FROM people WHERE email IN (SELECT unnest($1::text[])) ORDER BY id
$1 = {ada@example.com}
=> same

SELECT id FROM people WHERE email IN (VALUES ($1), ('grace@example.com')) ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE email = (SELECT email FROM orders WHERE id = 1) ORDER BY id
=> same

SELECT id FROM people WHERE email = ANY(SELECT email FROM orders) ORDER BY id
=> same

SELECT id FROM people WHERE email <> ALL(SELECT email FROM orders WHERE email IS NOT NULL) ORDER BY id
=> same

SELECT id FROM people WHERE email IN (SELECT email FROM orders UNION SELECT $1) ORDER BY id
$1 = edgar@example.com
=> same

SELECT id FROM people WHERE email IN (SELECT email FROM orders EXCEPT SELECT email FROM orders WHERE id = 1) ORDER BY id
=> same

SELECT id FROM people p WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.email = p.email AND o.total > 1) ORDER BY id
=> same

SELECT id FROM people p WHERE EXISTS (SELECT 1 FROM orders o WHERE o.email = p.email AND p.level = o.level) ORDER BY id
=> same

SELECT id FROM people WHERE $1::text IS NULL OR email = $1 ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE $1::text IS NULL OR email = $1 ORDER BY id
$1 is null
=> same

SELECT id FROM people WHERE ($1::date IS NULL OR born = $1::date) AND ($2::int IS NULL OR level = $2) ORDER BY id
$1 is null
$2 = 3
=> same

SELECT id FROM people WHERE ($1::text = '' OR email = $1) ORDER BY id
$1 = ada@example.com
=> same; simple: refused a comparison with another constant cannot be carried out on encrypted column public.people.email

SELECT id FROM people WHERE ($1 = '' OR email = $1) ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE 'ada@example.com' = '' OR email = 'ada@example.com' ORDER BY id
=> same

SELECT id FROM people WHERE 'ada@example.com' IN ('', 'x') OR email = 'ada@example.com' ORDER BY id
=> same

SELECT id FROM people WHERE 3 = 0 OR level = 3 ORDER BY id
=> refused a comparison with another constant cannot be carried out on encrypted column public.people.level

SELECT id FROM people WHERE '1985-12-10' = '' OR born = '1985-12-10' ORDER BY id
=> refused a comparison with another constant cannot be carried out on encrypted column public.people.born

SELECT id, 'ada@example.com' AS e FROM people WHERE email = 'ada@example.com'
=> same

SELECT id FROM people WHERE (length($1) = 0 OR email = $1) ORDER BY id
$1 = ada@example.com
=> refused parameter $1 is used both for encrypted column public.people.email and as a value that is not encrypted; simple: same

SELECT id FROM people WHERE email = COALESCE($1, email) ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE email = COALESCE($1, email) ORDER BY id
$1 is null
=> same

SELECT id FROM people WHERE email = COALESCE($1::text, email) ORDER BY id
$1 is null
=> same

SELECT id FROM people WHERE level = COALESCE($1, level) ORDER BY id
$1 = 3
=> same

SELECT id FROM people WHERE email = NULLIF($1, '') ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE COALESCE(email, '') = '' ORDER BY id
=> same

SELECT id FROM people WHERE COALESCE(email, $1) <> $1 ORDER BY id
$1 = x
=> same

SELECT id FROM people WHERE COALESCE(level, 0) = 0 ORDER BY id
=> same

SELECT id FROM people WHERE NULLIF(email, '') IS NULL ORDER BY id
=> same

SELECT id FROM people WHERE CASE WHEN team = 1 THEN email = $1 ELSE false END ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE CASE email WHEN $1 THEN true WHEN 'x' THEN false END ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE CASE WHEN $1 = '' THEN true ELSE email = $1 END ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE email BETWEEN $1 AND $2 ORDER BY id
$1 = a
$2 = b
=> refused column public.people.email is encrypted without order, so BETWEEN cannot be carried out on it

SELECT id FROM people WHERE email > $1 ORDER BY id
$1 = a
=> refused column public.people.email is encrypted without order, so operator > cannot be carried out on it

SELECT id FROM people WHERE email LIKE $1 ORDER BY id
$1 = ada%
=> refused LIKE cannot be carried out on encrypted column public.people.email

SELECT id FROM people WHERE email ~ $1 ORDER BY id
$1 = ada
=> refused operator ~ cannot be carried out on encrypted column public.people.email

SELECT id FROM people WHERE email ILIKE '%ada%' ORDER BY id
=> refused ILIKE cannot be carried out on encrypted column public.people.email

SELECT id FROM people WHERE email SIMILAR TO 'ada%' ORDER BY id
=> refused SIMILAR TO cannot be carried out on encrypted column public.people.email

SELECT id FROM people WHERE email COLLATE "C" = $1 ORDER BY id
$1 = ada@example.com
=> refused COLLATE cannot be carried out on encrypted column public.people.email

SELECT id FROM people WHERE email = $1 COLLATE "C" ORDER BY id
$1 = ada@example.com
=> refused column public.people.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM people WHERE lower(email) = lower($1) ORDER BY id
$1 = ada@example.com
=> refused function lower cannot be carried out on encrypted column public.people.email

SELECT id FROM people WHERE upper(email::text) LIKE upper($1) ORDER BY id
$1 = ada%
=> refused function upper cannot be carried out on encrypted column public.people.email

SELECT id FROM people WHERE email::text = $1 ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE email::varchar = $1 ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE city::text = $1 ORDER BY id
$1 = London
=> same

SELECT id FROM people WHERE level::text = $1 ORDER BY id
$1 = 3
=> refused encrypted column public.people.level cannot be cast to TEXT

SELECT id FROM people WHERE level::int8 = $1 ORDER BY id
$1 = 3
=> same

SELECT id FROM people WHERE born::timestamp = $1 ORDER BY id
$1 = 1985-12-10
=> refused encrypted column public.people.born cannot be cast to TIMESTAMP

SELECT id FROM people WHERE born = $1::timestamp ORDER BY id
$1 = 1985-12-10
=> same

SELECT id FROM people WHERE born = $1::timestamptz ORDER BY id
$1 = 1985-12-10
=> same

SELECT id FROM people WHERE level = $1::bigint ORDER BY id
$1 = 3
=> same

SELECT id FROM people WHERE level = 3.0 ORDER BY id
=> same

SELECT id FROM people WHERE level = 3.5 ORDER BY id
=> refused the compared value of type numeric has no equal in an encrypted column of type integer

SELECT id FROM people WHERE level = 3000000000 ORDER BY id
=> same

SELECT id FROM people WHERE level = '3' ORDER BY id
=> same

SELECT id FROM people WHERE level = +3 ORDER BY id
=> refused column public.people.level is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM people WHERE level = - 7 ORDER BY id
=> same

SELECT id FROM people WHERE level = 1 + 2 ORDER BY id
=> refused column public.people.level is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM people WHERE born = CURRENT_DATE ORDER BY id
=> refused column public.people.born is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM people WHERE born = now()::date ORDER BY id
=> refused column public.people.born is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM kinds WHERE b ORDER BY id
=> same

SELECT id FROM kinds WHERE NOT b ORDER BY id
=> same

SELECT id FROM kinds WHERE b AND id > 0 ORDER BY id
=> same

SELECT id FROM kinds WHERE NOT b OR id = 4 ORDER BY id
=> same

SELECT id FROM kinds WHERE kinds.b AND NOT (b) ORDER BY id
=> same

SELECT id FROM kinds k WHERE (k.b) ORDER BY id
=> same

SELECT id FROM kinds WHERE b IS TRUE ORDER BY id
=> same

SELECT id FROM kinds WHERE b IS NOT TRUE ORDER BY id
=> same

SELECT id FROM kinds WHERE b IS FALSE ORDER BY id
=> same

SELECT id FROM kinds WHERE b IS NOT FALSE ORDER BY id
=> same

SELECT id FROM kinds WHERE b IS UNKNOWN ORDER BY id
=> same

SELECT id FROM kinds WHERE b IS NOT UNKNOWN ORDER BY id
=> same

SELECT id FROM kinds WHERE b = true ORDER BY id
=> same

SELECT id FROM kinds WHERE b = $1 ORDER BY id
$1 = t
=> same

SELECT id FROM kinds WHERE b IN (true, false) ORDER BY id
=> same

SELECT id FROM kinds WHERE b IS DISTINCT FROM true ORDER BY id
=> same

SELECT id, b AND true FROM kinds ORDER BY id
=> same

SELECT id, CASE WHEN b THEN 'yes' ELSE 'no' END FROM kinds ORDER BY id
=> same

SELECT id FROM kinds WHERE COALESCE(b, false) ORDER BY id
=> same

SELECT k.id FROM kinds k JOIN people p ON k.b AND p.id = k.id ORDER BY k.id
=> same

SELECT count(*) FILTER (WHERE b) FROM kinds
=> same

SELECT id FROM kinds WHERE EXISTS (SELECT 1 FROM people WHERE b) ORDER BY id
=> same

SELECT id FROM kinds WHERE mo = ANY(ARRAY['ok']) ORDER BY id
=> refused a value of type text cannot be compared with an encrypted column of type public.mood

SELECT id FROM kinds WHERE mo = ANY(ARRAY['ok', 'sad']) ORDER BY id
=> refused a value of type text cannot be compared with an encrypted column of type public.mood

SELECT id FROM kinds WHERE d = ANY(ARRAY['2024-02-29']) ORDER BY id
=> refused a value of type text cannot be compared with an encrypted column of type date

SELECT id FROM kinds WHERE mo = ANY(ARRAY['ok', $1]) ORDER BY id
$1 = sad
=> refused the cast to text of a constant for encrypted column public.kinds.mo cannot be carried out; simple: refused a value of type text cannot be compared with an encrypted column of type public.mood

SELECT id FROM kinds WHERE mo = ANY(ARRAY['ok', NULL]) ORDER BY id
=> refused the cast to text of a constant for encrypted column public.kinds.mo cannot be carried out

SELECT id FROM kinds WHERE mo = ANY(ARRAY['ok']::mood[]) ORDER BY id
=> same

SELECT id FROM kinds WHERE mo = ANY('{ok,sad}') ORDER BY id
=> same

SELECT id FROM kinds WHERE mo IN ('ok', 'sad') ORDER BY id
=> same

SELECT id FROM kinds WHERE i4 = ANY(ARRAY[1, 2]) ORDER BY id
=> same

SELECT id FROM kinds WHERE i4 = ANY(ARRAY['1', '2']) ORDER BY id
=> refused a value of type text cannot be compared with an encrypted column of type integer

SELECT id FROM kinds WHERE i4 = ANY(ARRAY['1', 2]) ORDER BY id
=> same

SELECT id FROM kinds WHERE i8 = ANY(ARRAY[3, 4000000000]) ORDER BY id
=> same

SELECT id FROM kinds WHERE i2 = ANY('{1,2}'::int[]) ORDER BY id
=> same

SELECT id FROM kinds WHERE u = ANY(ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']::uuid[]) ORDER BY id
=> same

SELECT id FROM kinds WHERE u = ANY(ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid]) ORDER BY id
=> same

SELECT id FROM kinds WHERE u = ANY(ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']) ORDER BY id
=> refused a value of type text cannot be compared with an encrypted column of type uuid

SELECT id FROM kinds WHERE u = $1::uuid ORDER BY id
$1 = a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11
=> same

SELECT id FROM kinds WHERE vc = ANY(ARRAY['varchar', 'x']) ORDER BY id
=> same

SELECT id FROM kinds WHERE bp = ANY(ARRAY['bp', 'ü']) ORDER BY id
=> same

SELECT id FROM kinds WHERE mo::text = 'ok' ORDER BY id
=> same

SELECT id FROM kinds WHERE mo = $1::text::mood ORDER BY id
$1 = ok
=> same

SELECT id FROM kinds WHERE mo = CAST($1::text AS mood) ORDER BY id
$1 = ok
=> same

SELECT id FROM kinds WHERE ia = '{1,NULL,3}' ORDER BY id
=> refused column public.kinds.ia is encrypted as randomized, so operator = cannot be carried out on it

SELECT id FROM kinds WHERE $1 = ANY(ia) ORDER BY id
$1 = 1
=> refused operator = ANY cannot be carried out on encrypted column public.kinds.ia

SELECT id FROM kinds WHERE ia @> ARRAY[1] ORDER BY id
=> refused operator @> cannot be carried out on encrypted column public.kinds.ia

SELECT id FROM kinds WHERE jb @> '{"a": 3}' ORDER BY id
=> refused operator @> cannot be carried out on encrypted column public.kinds.jb

SELECT id FROM kinds WHERE jb ->> 'a' = '3' ORDER BY id
=> refused operator ->> cannot be carried out on encrypted column public.kinds.jb

SELECT id, ia[1] FROM kinds ORDER BY id
=> refused a subscript cannot be carried out on encrypted column public.kinds.ia

SELECT id, cardinality(ia) FROM kinds ORDER BY id
=> refused function cardinality cannot be carried out on encrypted column public.kinds.ia

SELECT id, unnest(ta) FROM kinds ORDER BY id
=> refused function unnest cannot be carried out on encrypted column public.kinds.ta

--! Joins.

SELECT p.id, o.id FROM people p NATURAL JOIN (SELECT email, id AS oid, id FROM orders) o ORDER BY 1, 2
=> same

SELECT * FROM people NATURAL JOIN orders ORDER BY id
=> same

SELECT * FROM people p JOIN orders o USING (email) ORDER BY p.id, o.id
=> same

SELECT * FROM people p JOIN orders o USING (id, email) ORDER BY id
=> same

SELECT j.email FROM people p JOIN orders o USING (email) AS j ORDER BY p.id, o.id
=> same

SELECT p.email, o.email, email FROM people p RIGHT JOIN orders o USING (email) ORDER BY o.id, p.id
=> same

SELECT p.id, o.id FROM people p CROSS JOIN orders o WHERE p.email = o.email ORDER BY 1, 2
=> same

SELECT p.id FROM (people p JOIN orders o ON o.email = p.email) LEFT JOIN kinds k ON k.id = p.id ORDER BY p.id, o.id
=> same

SELECT x.email FROM (people p JOIN orders o USING (email)) x ORDER BY x.person
=> same

SELECT p.id, l.memo FROM people p LEFT JOIN LATERAL (SELECT memo FROM orders o WHERE o.email = p.email ORDER BY o.id LIMIT 1) l ON true ORDER BY p.id
=> same

SELECT p.id, l.e FROM people p, LATERAL (SELECT p.email AS e) l ORDER BY p.id
=> same

SELECT p.id, l.e FROM people p, LATERAL (SELECT o.email AS e FROM orders o WHERE o.email = p.email) l ORDER BY p.id
=> same

SELECT p.id FROM people p JOIN (VALUES ($1, 1), ($2, 2)) AS v(email, n) ON v.email = p.email ORDER BY p.id
$1 = ada@example.com
$2 = grace@example.com
=> same

SELECT p.id, v.n FROM people p JOIN (VALUES ($1::text, 1), ($2, 2)) AS v(email, n) USING (email) ORDER BY p.id
$1 = ada@example.com
$2 = grace@example.com
=> same

SELECT p.id FROM people p JOIN unnest($1::text[]) AS u(email) ON u.email = p.email ORDER BY p.id
$1 = {ada@example.com,x}
=> same

SELECT p.id, u.n FROM people p JOIN unnest($1::text[]) WITH ORDINALITY AS u(email, n) ON u.email = p.email ORDER BY u.n
$1 = {grace@example.com,ada@example.com}
=> same

SELECT p.id FROM people p JOIN unnest($1::text[]) e ON e = p.email ORDER BY p.id
$1 = {grace@example.com,ada@example.com}
=> same

SELECT p.id FROM unnest($1::text[], $2::int[]) AS u(email, n) JOIN people p ON p.email = u.email AND p.level = u.n ORDER BY p.id
$1 = {grace@example.com,ada@example.com}
$2 = {5,3}
=> same

SELECT p.id FROM people p WHERE p.email IN (SELECT e FROM unnest($1::text[]) AS e) ORDER BY p.id
$1 = {grace@example.com,ada@example.com}
=> same

SELECT p.id, q.id FROM people p JOIN people q ON (p.born, p.level) = (q.born, q.level) ORDER BY 1, 2
=> same

SELECT p.id, o.id FROM people p JOIN orders o ON p.email IS NOT DISTINCT FROM o.email ORDER BY 1, 2
=> same

SELECT p.id FROM people p LEFT JOIN orders o ON o.email = p.email WHERE o.email IS NULL ORDER BY 1
=> same

SELECT p.id FROM people p TABLESAMPLE SYSTEM (100) ORDER BY id
=> same

SELECT p.id FROM people p TABLESAMPLE BERNOULLI (100) REPEATABLE (1) WHERE email = $1 ORDER BY id
$1 = ada@example.com
=> same

SELECT p.email FROM people p TABLESAMPLE SYSTEM (100) REPEATABLE (2) ORDER BY id
=> same

SELECT id FROM ONLY people WHERE email = 'ada@example.com' ORDER BY id
=> same

SELECT id FROM people * WHERE email = 'ada@example.com' ORDER BY id
=> same

SELECT p.id FROM ROWS FROM (unnest($1::text[])) AS u(e) JOIN people p ON p.email = u.e ORDER BY 1
$1 = {ada@example.com}
=> refused this statement names people, which has encrypted columns, and is not understood

SELECT id, ctid IS NOT NULL, tableoid::regclass::text, xmin IS NULL FROM people ORDER BY id
=> same

SELECT people.*, people.ctid IS NULL FROM people ORDER BY id
=> same

--! Sets, groups, windows.

SELECT email FROM people UNION SELECT email FROM orders UNION SELECT $1
$1 = x
=> same

SELECT email FROM people UNION SELECT $1 UNION ALL SELECT NULL
$1 = x
=> same

SELECT email, id FROM people UNION ALL SELECT NULL, 1
=> same

SELECT NULL, id FROM people UNION ALL SELECT email, 1 FROM people
=> same

SELECT email FROM people UNION ALL SELECT 'x'
=> same

SELECT 'x' UNION ALL SELECT email FROM people
=> same

SELECT city FROM people UNION ALL SELECT 'x'
=> same

SELECT city FROM people UNION ALL SELECT 'a text that is longer than twenty characters'
=> same

SELECT city FROM people UNION ALL SELECT email FROM people
=> refused columns public.people.city and public.people.email are encrypted differently, so they cannot meet in UNION

SELECT level FROM people UNION SELECT 3
=> same

SELECT level FROM people UNION SELECT level FROM orders
=> same

SELECT born FROM people UNION SELECT '2000-01-01'
=> same

(SELECT email FROM people WHERE id < 3) EXCEPT ALL (SELECT email FROM orders)
=> same

SELECT email FROM people INTERSECT ALL SELECT email FROM orders
=> same

SELECT ssn FROM people UNION ALL SELECT ssn FROM people
=> same

SELECT ssn FROM people UNION SELECT ssn FROM people
=> refused column public.people.ssn is encrypted as randomized, so UNION cannot be carried out on it

SELECT email FROM people UNION SELECT email FROM plain
=> refused column public.people.email is encrypted, so it cannot meet an expression that is not in UNION

SELECT email, id FROM people UNION SELECT email, id + 100 FROM orders ORDER BY id
=> same

SELECT email, id FROM people UNION SELECT email, id + 100 FROM orders ORDER BY 2
=> same

SELECT email, id FROM people UNION SELECT email, id FROM orders ORDER BY email
=> refused column public.people.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT email, id FROM people ORDER BY 1
=> refused column public.people.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT email AS e, id AS i FROM people ORDER BY i
=> same

SELECT email AS e, id AS i FROM people ORDER BY e
=> refused column public.people.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT DISTINCT email, id FROM people ORDER BY id
=> same

SELECT DISTINCT ON (email) email, person FROM orders ORDER BY email, id
=> refused column public.orders.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT DISTINCT ON (person) person, email FROM orders ORDER BY person, id
=> same

SELECT DISTINCT ON (email) email FROM orders
=> same

SELECT DISTINCT ON (1) email FROM orders
=> same

SELECT email AS e, count(*) FROM orders GROUP BY e
=> same

SELECT email, count(*) FROM orders GROUP BY 1 ORDER BY 2, min(id)
=> same

SELECT born, level, count(*) FROM people GROUP BY GROUPING SETS ((born), (level), ())
=> same

SELECT born, level, count(*), grouping(born, level) FROM people GROUP BY ROLLUP (born, level)
=> same

SELECT born, count(*) FROM people GROUP BY CUBE (born, team)
=> same

SELECT born, team, count(*) FROM people GROUP BY team, ROLLUP (born)
=> same

SELECT born, level, count(*) FROM people GROUP BY GROUPING SETS (born, ROLLUP (level))
=> same

SELECT ssn FROM people GROUP BY ROLLUP (ssn)
=> refused column public.people.ssn is encrypted as randomized, so GROUP BY cannot be carried out on it

SELECT email FROM orders GROUP BY email HAVING count(email) > 1
=> same

SELECT count(DISTINCT email), count(email), count(*) FILTER (WHERE email = $1) FROM people
$1 = ada@example.com
=> same

SELECT count(DISTINCT ssn) FROM people
=> refused column public.people.ssn is encrypted as randomized, so DISTINCT cannot be carried out on it

SELECT count(DISTINCT (email, level)) FROM people
=> same

SELECT array_agg(email ORDER BY id) FROM people
=> same

SELECT array_agg(email) FILTER (WHERE id = 1) FROM people
=> same

SELECT array_agg(DISTINCT email) FROM people
=> refused column public.people.email is encrypted without order, so DISTINCT cannot be carried out on it

SELECT array_agg(born ORDER BY id), array_agg(id ORDER BY id) FROM people
=> same

SELECT array_agg(id ORDER BY email) FROM people
=> refused column public.people.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT ARRAY(SELECT email FROM people ORDER BY id)
=> same

SELECT ARRAY[email, 'x'] FROM people ORDER BY id
=> same

SELECT (array_agg(email ORDER BY id))[1] FROM people
=> same

SELECT string_agg(email, ',') FROM people
=> refused function string_agg cannot be carried out on encrypted column public.people.email

SELECT max(email) FROM people
=> refused function max cannot be carried out on encrypted column public.people.email

SELECT min(born), max(born) FROM people
=> refused function min cannot be carried out on encrypted column public.people.born

SELECT sum(level) FROM people
=> refused function sum cannot be carried out on encrypted column public.people.level

SELECT avg(level) FROM people
=> refused function avg cannot be carried out on encrypted column public.people.level

SELECT bool_and(b) FROM kinds
=> same

SELECT json_agg(email) FROM people
=> refused function json_agg cannot be carried out on encrypted column public.people.email

SELECT jsonb_build_object('e', email) FROM people
=> refused function jsonb_build_object cannot be carried out on encrypted column public.people.email

SELECT row_to_json(people) FROM people
=> refused a row of people as one value would hand out encrypted columns

SELECT to_jsonb(p) FROM people p
=> refused a row of p as one value would hand out encrypted columns

SELECT json_agg(p) FROM people p
=> refused a row of p as one value would hand out encrypted columns

SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY level) FROM people
=> refused column public.people.level is encrypted without order, so ORDER BY cannot be carried out on it

SELECT mode() WITHIN GROUP (ORDER BY email) FROM people
=> refused column public.people.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM people WHERE email IS NOT NULL
=> same

SELECT id, lag(email) OVER (ORDER BY id) FROM people ORDER BY id
=> same

SELECT id, lag(email, 1, 'none') OVER (ORDER BY id) FROM people ORDER BY id
=> same

SELECT id, lead(email, 2) OVER (PARTITION BY team ORDER BY id) FROM people ORDER BY id
=> same

SELECT id, first_value(email) OVER w, last_value(ssn) OVER w, nth_value(born, 2) OVER w FROM people WINDOW w AS (ORDER BY id) ORDER BY id
=> same

SELECT id, row_number() OVER (PARTITION BY born ORDER BY id) FROM people ORDER BY id
=> same

SELECT id, rank() OVER (ORDER BY email) FROM people ORDER BY id
=> refused column public.people.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT id, count(*) OVER (PARTITION BY email, level) FROM people ORDER BY id
=> same

SELECT id, count(email) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM people ORDER BY id
=> same

SELECT id, count(*) OVER (PARTITION BY ssn) FROM people ORDER BY id
=> refused column public.people.ssn is encrypted as randomized, so PARTITION BY cannot be carried out on it

SELECT id, lag(email) OVER w = email FROM people WINDOW w AS (ORDER BY id) ORDER BY id
=> same

SELECT id FROM people ORDER BY id FETCH FIRST 2 ROWS ONLY
=> same

SELECT team, email FROM people ORDER BY team FETCH FIRST 1 ROW WITH TIES
=> same

SELECT email FROM people ORDER BY email FETCH FIRST 1 ROW WITH TIES
=> refused column public.people.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT id, email FROM people ORDER BY id LIMIT $1 OFFSET $2
$1 = 2
$2 = 1
=> same

SELECT email FROM people WHERE id = 1 FOR UPDATE
=> same

SELECT p.email FROM people p JOIN orders o ON o.email = p.email WHERE o.id = 1 FOR UPDATE OF p NOWAIT
=> same

SELECT p.email FROM people p WHERE id = 1 FOR NO KEY UPDATE SKIP LOCKED
=> same

SELECT p.email FROM people p, orders o WHERE p.id = 1 AND o.id = 1 FOR SHARE OF p FOR KEY SHARE OF o
=> same

SELECT id FROM people ORDER BY email = $1 DESC, id
$1 = ada@example.com
=> same

SELECT id FROM people ORDER BY email IS NULL, id
=> same

SELECT id FROM people ORDER BY CASE WHEN email = $1 THEN 0 ELSE 1 END, id
$1 = grace@example.com
=> same

SELECT id FROM people ORDER BY email NULLS FIRST
=> refused column public.people.email is encrypted without order, so ORDER BY cannot be carried out on it

--! WITH.

WITH x AS (SELECT id, email FROM people), people AS (SELECT id, email FROM x) SELECT people.email FROM people ORDER BY id
=> same

WITH RECURSIVE t(id, email) AS (SELECT id, email FROM people WHERE id = 1 UNION ALL SELECT p.id, p.email FROM people p JOIN t ON p.id = t.id + 1) SELECT * FROM t ORDER BY id
=> same

WITH RECURSIVE t AS (SELECT id, email FROM people WHERE email = $1 UNION SELECT p.id, p.email FROM people p JOIN t ON p.id = t.id + 1) SELECT email FROM t ORDER BY id
$1 = ada@example.com
=> same

WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 4) SELECT p.email FROM t JOIN people p ON p.id = t.n ORDER BY p.id
=> same

WITH RECURSIVE t(id, email) AS (SELECT 1, $1 UNION ALL SELECT t.id + 1, p.email FROM people p JOIN t ON p.id = t.id + 1) SELECT * FROM t ORDER BY id
$1 = start
=> same

WITH RECURSIVE t(id, email) AS (SELECT 1, $1::text UNION ALL SELECT t.id + 1, p.email FROM people p JOIN t ON p.id = t.id + 1) SELECT * FROM t ORDER BY id
$1 = start
=> same

WITH RECURSIVE t AS (SELECT id, email FROM people WHERE id = 1 UNION ALL SELECT p.id, p.email FROM people p JOIN t ON p.id = t.id + 1) SEARCH DEPTH FIRST BY id SET o SELECT id, email FROM t ORDER BY id
=> refused this statement names people, which has encrypted columns, and is not understood

WITH x AS MATERIALIZED (SELECT email FROM people) SELECT count(*) FROM x JOIN orders USING (email)
=> same

WITH x AS NOT MATERIALIZED (SELECT email FROM people) SELECT count(*) FROM x WHERE email = 'ada@example.com'
=> same

WITH a AS (SELECT email FROM people), b AS (SELECT a.email FROM a JOIN orders o USING (email)) SELECT email, count(*) FROM b GROUP BY email
=> same

SELECT (WITH x AS (SELECT email FROM people WHERE id = 1) SELECT email FROM x)
=> same

WITH v(email) AS (VALUES ($1), ($2)) SELECT p.id FROM people p JOIN v ON v.email = p.email ORDER BY p.id
$1 = ada@example.com
$2 = grace@example.com
=> same

WITH v(level) AS (VALUES ($1::int)) SELECT p.id FROM people p JOIN v ON v.level = p.level ORDER BY p.id
$1 = 3
=> same

WITH c AS (SELECT $1::text AS email) SELECT p.id FROM people p, c WHERE p.email = c.email
$1 = ada@example.com
=> same

--! Expressions in the output.

SELECT COALESCE(email, '-') FROM people ORDER BY id
=> same

SELECT COALESCE(email, $1) AS e FROM people ORDER BY id
$1 = -
=> same

SELECT COALESCE(city, 'none') FROM people ORDER BY id
=> same

SELECT COALESCE(level, 0) FROM people ORDER BY id
=> same

SELECT COALESCE(born, '1970-01-01') FROM people ORDER BY id
=> same

SELECT COALESCE(p.email, o.email) FROM people p FULL JOIN orders o ON o.email = p.email ORDER BY p.id, o.id
=> same

SELECT NULLIF(email, 'ada@example.com') FROM people ORDER BY id
=> same

SELECT CASE WHEN id = 1 THEN email END FROM people ORDER BY id
=> same

SELECT CASE WHEN id = 1 THEN email ELSE 'hidden' END FROM people ORDER BY id
=> same

SELECT CASE WHEN id = 1 THEN ssn ELSE NULL END FROM people ORDER BY id
=> same

SELECT CASE WHEN email IS NULL THEN 'no' ELSE 'yes' END FROM people ORDER BY id
=> same

SELECT CASE email WHEN 'ada@example.com' THEN 1 ELSE 0 END FROM people ORDER BY id
=> same

SELECT email = $1 AS is_ada FROM people ORDER BY id
$1 = ada@example.com
=> same

SELECT email || '' FROM people ORDER BY id
=> refused operator || cannot be carried out on encrypted column public.people.email

SELECT concat(email, '!') FROM people
=> refused function concat cannot be carried out on encrypted column public.people.email

SELECT email::text FROM people ORDER BY id
=> same

SELECT CAST(email AS varchar) FROM people ORDER BY id
=> same

SELECT email::varchar(300) FROM people ORDER BY id
=> refused encrypted column public.people.email cannot be cast to VARCHAR(300)

SELECT city::text FROM people ORDER BY id
=> same

SELECT level::text FROM people ORDER BY id
=> refused encrypted column public.people.level cannot be cast to TEXT

SELECT level::bigint FROM people ORDER BY id
=> same

SELECT born::text FROM people ORDER BY id
=> refused encrypted column public.people.born cannot be cast to TEXT

SELECT email::bytea FROM people ORDER BY id
=> refused encrypted column public.people.email cannot be cast to BYTEA

SELECT GREATEST(level, 1) FROM people
=> refused column public.people.level is encrypted without order, so GREATEST cannot be carried out on it

SELECT (SELECT email FROM orders o WHERE o.person = p.id ORDER BY o.id LIMIT 1) FROM people p ORDER BY id
=> same

SELECT (SELECT count(*) FROM orders o WHERE o.email = p.email) FROM people p ORDER BY id
=> same

SELECT EXISTS (SELECT 1 FROM people WHERE email = $1)
$1 = ada@example.com
=> same

SELECT $1::text AS e, id FROM people WHERE email = $1 ORDER BY id
$1 = ada@example.com
=> same

SELECT 1 AS one FROM people WHERE email = $1 LIMIT $2
$1 = ada@example.com
$2 = 1
=> same

SELECT p FROM people p
=> refused a row of p as one value would hand out encrypted columns

SELECT (p).email FROM people p ORDER BY id
=> refused a row of p as one value would hand out encrypted columns

SELECT (p.*) IS NULL FROM people p ORDER BY id
=> refused this expression is not supported in a statement that names public.people

SELECT p.* IS NOT DISTINCT FROM q.* FROM people p, people q
=> refused this statement names people, which has encrypted columns, and is not understood

SELECT ROW(email, id) FROM people
=> refused a row as one value cannot be carried out on encrypted column public.people.email

SELECT (email, id) FROM people
=> refused a row as one value cannot be carried out on encrypted column public.people.email

SELECT x.e FROM (SELECT email AS e FROM people) AS x WHERE x.e = $1
$1 = ada@example.com
=> same

SELECT x.e FROM (SELECT email FROM people UNION ALL SELECT email FROM orders) AS x(e) WHERE x.e = $1
$1 = ada@example.com
=> same

SELECT x.e FROM (SELECT DISTINCT email AS e FROM people OFFSET 0) x WHERE x.e IS NOT NULL
=> same

SELECT num_nulls(email, ssn), num_nonnulls(email) FROM people ORDER BY id
=> same

SELECT pg_typeof(email) FROM people
=> refused function pg_typeof cannot be carried out on encrypted column public.people.email

SELECT length(email) FROM people
=> refused function length cannot be carried out on encrypted column public.people.email

SELECT md5(email) FROM people
=> refused function md5 cannot be carried out on encrypted column public.people.email

SELECT encode(email, 'hex') FROM people
=> refused function encode cannot be carried out on encrypted column public.people.email

SELECT octet_length(email) FROM people
=> refused function octet_length cannot be carried out on encrypted column public.people.email

SELECT substring(email FROM 1 FOR 3) FROM people
=> refused SUBSTRING cannot be carried out on encrypted column public.people.email

SELECT extract(year FROM born) FROM people
=> refused EXTRACT cannot be carried out on encrypted column public.people.born

SELECT date_trunc('year', born) FROM people
=> refused function date_trunc cannot be carried out on encrypted column public.people.born

SELECT born + 1 FROM people
=> refused operator + cannot be carried out on encrypted column public.people.born

SELECT -level FROM people
=> refused operator - cannot be carried out on encrypted column public.people.level

SELECT notes->>'tea' FROM people
=> refused operator ->> cannot be carried out on encrypted column public.people.notes

SELECT notes IS NOT NULL, jsonb_typeof('{}') FROM people ORDER BY id
=> same

VALUES ((SELECT email FROM people WHERE id = 1))
=> same

TABLE people ORDER BY id
=> same

SELECT bool_or(b), bool_and(NOT b), every(b IS NULL), count(*) FILTER (WHERE b) FROM kinds
=> same

SELECT id, mo::text FROM kinds ORDER BY id
=> same

SELECT id FROM kinds WHERE mo::text IN ('ok', 'nothing') ORDER BY id
=> same

SELECT mo::varchar, count(*) FROM kinds GROUP BY mo::varchar
=> same

SELECT vc::varchar(10), vc::varchar(30), vc::varchar(5) FROM kinds ORDER BY id
=> refused encrypted column public.kinds.vc cannot be cast to VARCHAR(5)

SELECT city::varchar(20), city::character varying(30) FROM people ORDER BY id
=> same

SELECT id FROM people WHERE city::varchar(30) = $1 ORDER BY id
$1 = London
=> same

SELECT a.id, b.id FROM people a JOIN people b ON a.city::varchar(25) = b.city ORDER BY 1, 2
=> same

SELECT city::varchar(30), count(*) FROM people GROUP BY city::varchar(30) ORDER BY 2, min(id)
=> same

SELECT vc::varchar(10), vc::varchar(30) FROM kinds ORDER BY id
=> same

SELECT i2::int, i2::bigint, i4::int8, f4::float8 FROM kinds ORDER BY id
=> same

SELECT id FROM kinds WHERE d = $1::text::date ORDER BY id
$1 = 2024-02-29
=> same

SELECT id FROM kinds WHERE d = '2024-02-29 10:00'::timestamp::date ORDER BY id
=> same

SELECT id FROM kinds WHERE i4 = 2.4::int ORDER BY id
=> same

SELECT id FROM kinds WHERE n2 = 12.341::numeric(12,2) ORDER BY id
=> same

SELECT id FROM kinds WHERE n2 = $1::numeric(12,2) ORDER BY id
$1 = 12.341
=> same

SELECT id FROM kinds WHERE ts = $1::timestamp(0) ORDER BY id
$1 = 2024-02-29 12:34:56.789
=> same

SELECT id FROM kinds WHERE vc = 'varchar and more'::varchar(7) ORDER BY id
=> same

SELECT id FROM kinds WHERE vc = $1::varchar(7) OR t = $2::varchar(4) ORDER BY id
$1 = varchar and more
$2 = textual
=> same

SELECT id FROM kinds WHERE bp = $1::char(2) ORDER BY id
$1 = bpp
=> same

SELECT id FROM kinds WHERE vc = $1::varchar(7) OR vc = $1 ORDER BY id
$1 = varchar and more
=> refused the cast to character varying(7) of a constant for encrypted column public.kinds.vc cannot be carried out; simple: same

SELECT id FROM people p WHERE COALESCE(city, 'a text that is longer than twenty characters') = 'a text that is longer than twenty characters' ORDER BY id
=> same

SELECT (CASE WHEN id = 1 THEN email ELSE 'x' END)::text FROM people ORDER BY id
=> same

SELECT COALESCE(email, 'x')::text FROM people ORDER BY id
=> same

SELECT id FROM people WHERE (COALESCE($1, 'x'))::text = email ORDER BY id
$1 = ada@example.com
=> same

SELECT id FROM people WHERE born = CAST(COALESCE($1, '1985-12-10') AS date) ORDER BY id
$1 is null
=> same

WITH RECURSIVE r(l, n) AS (SELECT level, 1 FROM people WHERE id = 1 UNION ALL SELECT 5, n + 1 FROM r WHERE n < 3) SELECT l, n FROM r ORDER BY n
=> same

WITH RECURSIVE r(l, n) AS (SELECT i8, 1 FROM kinds WHERE id = 1 UNION ALL SELECT i4, n + 1 FROM kinds, r WHERE n < 3) SELECT l, n FROM r ORDER BY n
=> same error 42702

SELECT NULLIF(i8, 1.0) FROM kinds ORDER BY id
=> refused a constant cannot stand beside encrypted column public.kinds.i8 in NULLIF, because its type or scale would differ

SELECT ia FROM kinds WHERE id = 1 UNION ALL VALUES ('{1,2}')
=> refused the cast to text of a constant for encrypted column public.kinds.ia cannot be carried out

SELECT id FROM people WHERE 'x' = email OR born = 'x'
=> same error 22007

SELECT vc::varchar FROM kinds ORDER BY id
=> same

SELECT v.e::text FROM (VALUES ('ada@example.com'), ('b')) AS v(e) JOIN people ON email = v.e ORDER BY 1
=> refused column public.people.email is encrypted without order, so ORDER BY cannot be carried out on it
