--! The statements of docs/sql.md and, a row for each section, of README.md's table.
--! `# ` starts a section and names its row; the lines below it are its text in docs/sql.md.

--! # INSERT, UPDATE, RETURNING, SELECT
--! As literal or parameter, in text or binary format; NULL and DEFAULT too.

INSERT INTO users (id, email, bio) VALUES (1, 'ada@example.org', 'b'), (2, $1, DEFAULT) RETURNING id, email
=> INSERT INTO public.users (id, email, bio) VALUES (1, «users.email store 'ada@example.org'», 'b'), (2, $1, DEFAULT) RETURNING id, email
$1: users.email store
2: users.email from users.2

INSERT INTO users (id, ssn) VALUES (1, $1), (2, NULL) RETURNING ssn
=> INSERT INTO public.users (id, ssn) VALUES (1, $1), (2, NULL) RETURNING ssn
$1: users.ssn store
1: users.ssn from users.4

UPDATE users SET email = $1, bio = 'b' WHERE id = 1
=> UPDATE public.users SET email = $1, bio = 'b' WHERE id = 1
$1: users.email store

UPDATE users SET ssn = '123-45-6789' WHERE id = 1 RETURNING *
=> UPDATE public.users SET ssn = «users.ssn store '123-45-6789'» WHERE id = 1 RETURNING *
2: users.email from users.2
3: users.name from users.3
4: users.ssn from users.4
5: users.born from users.5
6: users.active from users.6
7: users.age from users.7
8: users.score from users.8
9: users.mood from users.9

SELECT email, name AS n FROM users WHERE id = 5
=> SELECT email, name AS n FROM public.users WHERE id = 5
1: users.email from users.2
2: users.name from users.3

INSERT INTO notes (labels) VALUES (ARRAY['a', NULL]::text[])
=> INSERT INTO public.notes (labels) VALUES («notes.labels store as 1009 '{"a",NULL}'»::pg_catalog.bytea)

SELECT ssn FROM users WHERE id = 5
=> SELECT ssn FROM public.users WHERE id = 5
1: users.ssn from users.4

DELETE FROM users WHERE id = 1 RETURNING email
=> DELETE FROM public.users WHERE id = 1 RETURNING email
1: users.email from users.2

DELETE FROM users WHERE id = 1 RETURNING ssn
=> DELETE FROM public.users WHERE id = 1 RETURNING ssn
1: users.ssn from users.4

--! # `IS NULL`, `count(column)`

SELECT count(email) FROM users WHERE name IS NOT NULL
=> SELECT count(email) FROM public.users WHERE name IS NOT NULL

SELECT count(ssn) FROM users WHERE ssn IS NOT NULL
=> SELECT count(ssn) FROM public.users WHERE ssn IS NOT NULL

SELECT id FROM users WHERE $1::text IS NULL OR email = $2
=> SELECT id FROM public.users WHERE $1::pg_catalog.text IS NULL OR email = $2
$1: null test
$2: users.email

--! # `=`, `<>`, `IN`, `= ANY`, `IS DISTINCT FROM`

SELECT id FROM users WHERE email = 'ada@example.org' AND born <> $1
=> SELECT id FROM public.users WHERE email = «users.email 'ada@example.org'» AND born <> $1
$1: users.born

SELECT id FROM users WHERE email IN ('a', $1) OR email = ANY($2)
=> SELECT id FROM public.users WHERE email IN («users.email 'a'», $1) OR email = ANY($2)
$1: users.email
$2: array of users.email

SELECT id FROM users WHERE email IS NOT DISTINCT FROM $1
=> SELECT id FROM public.users WHERE email IS NOT DISTINCT FROM $1
$1: users.email

SELECT id FROM users WHERE (email, name) = ($1, $2)
=> SELECT id FROM public.users WHERE (email, name) = ($1, $2)
$1: users.email
$2: users.name as text

SELECT id FROM users WHERE (email, name) IN (('a', 'b'), ($1, $2))
=> SELECT id FROM public.users WHERE (email, name) IN ((«users.email 'a'», «users.name 'b'»), ($1, $2))
$1: users.email
$2: users.name as text

SELECT id FROM users WHERE ssn = $1
=> refuse 0A000 at 28: column public.users.ssn is encrypted as randomized, so operator = cannot be carried out on it

SELECT id FROM users WHERE ssn IN ('a', 'b')
=> refuse 0A000 at 28: column public.users.ssn is encrypted as randomized, so IN cannot be carried out on it

SELECT id FROM users WHERE ssn IS DISTINCT FROM $1
=> refuse 0A000 at 28: column public.users.ssn is encrypted as randomized, so IS DISTINCT FROM cannot be carried out on it

SELECT id FROM users WHERE active AND id < 100 OR active IS NOT FALSE
=> SELECT id FROM public.users WHERE (active = «users.active as bool 'true'») AND id < 100 OR (active = «users.active as bool 'true'») IS NOT FALSE

--! # JOIN, USING, `IN (SELECT ...)` on columns of one context
--! Columns that meet need one key, one mode, one context and one declared type in the policy.

SELECT u.id FROM users u JOIN customers c ON c.user_email = u.email
=> SELECT u.id FROM public.users u JOIN public.customers c ON c.user_email = u.email

SELECT users.id, why FROM users JOIN archive USING (email)
=> SELECT users.id, why FROM public.users JOIN public.archive USING (email)

SELECT id FROM users WHERE email IN (SELECT user_email FROM customers WHERE note = 'vip')
=> SELECT id FROM public.users WHERE email IN (SELECT user_email FROM public.customers WHERE note = 'vip')

SELECT id FROM users u WHERE EXISTS (SELECT FROM customers c WHERE c.user_email = u.email)
=> SELECT id FROM public.users u WHERE EXISTS (SELECT FROM public.customers c WHERE c.user_email = u.email)

SELECT u.id FROM users u JOIN archive a ON a.ssn = u.ssn
=> refuse 0A000 at 44: column public.archive.ssn is encrypted as randomized, so operator = cannot be carried out on it

SELECT id FROM users WHERE ssn IN (SELECT ssn FROM archive)
=> refuse 0A000 at 28: column public.users.ssn is encrypted as randomized, so IN cannot be carried out on it

--! # GROUP BY, DISTINCT, UNION, INTERSECT, EXCEPT, `count(DISTINCT column)`

SELECT email, count(*) FROM users GROUP BY email HAVING count(*) > 1
=> SELECT email, count(*) FROM public.users GROUP BY email HAVING count(*) > 1
1: users.email from users.2

SELECT DISTINCT email FROM users
=> SELECT DISTINCT email FROM public.users
1: users.email from users.2

SELECT DISTINCT ON (email) email, id FROM users
=> SELECT DISTINCT ON (email) email, id FROM public.users
1: users.email from users.2

SELECT email FROM users UNION SELECT user_email FROM customers
=> SELECT email FROM public.users UNION SELECT user_email FROM public.customers
1: users.email from nowhere

SELECT count(DISTINCT email) FROM users
=> SELECT count(DISTINCT email) FROM public.users

SELECT id, row_number() OVER (PARTITION BY email) FROM users
=> SELECT id, row_number() OVER (PARTITION BY email) FROM public.users

SELECT ssn, count(*) FROM users GROUP BY ssn
=> refuse 0A000 at 42: column public.users.ssn is encrypted as randomized, so GROUP BY cannot be carried out on it

SELECT DISTINCT ssn FROM users
=> refuse 0A000 at 17: column public.users.ssn is encrypted as randomized, so DISTINCT cannot be carried out on it

SELECT ssn FROM users UNION SELECT ssn FROM archive
=> refuse 0A000 at 36: column public.users.ssn is encrypted as randomized, so UNION cannot be carried out on it

SELECT count(DISTINCT ssn) FROM users
=> refuse 0A000 at 23: column public.users.ssn is encrypted as randomized, so DISTINCT cannot be carried out on it

--! # ON CONFLICT, MERGE

INSERT INTO users (email, name) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name
=> INSERT INTO public.users (email, name) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name
$1: users.email store
$2: users.name store

INSERT INTO users (email) VALUES ('a') ON CONFLICT DO NOTHING
=> INSERT INTO public.users (email) VALUES («users.email store 'a'») ON CONFLICT DO NOTHING

MERGE INTO users u USING customers c ON u.email = c.user_email WHEN MATCHED THEN UPDATE SET bio = c.note WHEN NOT MATCHED THEN INSERT (email, bio) VALUES (c.user_email, c.note)
=> MERGE INTO public.users u USING public.customers c ON u.email = c.user_email WHEN MATCHED THEN UPDATE SET bio = c.note WHEN NOT MATCHED THEN INSERT (email, bio) VALUES (c.user_email, c.note)

INSERT INTO users (ssn) VALUES ('a') ON CONFLICT (ssn) DO NOTHING
=> refuse 0A000 at 51: column public.users.ssn is encrypted as randomized, so ON CONFLICT cannot be carried out on it

MERGE INTO users u USING archive a ON u.ssn = a.ssn WHEN MATCHED THEN DELETE
=> refuse 0A000 at 39: column public.users.ssn is encrypted as randomized, so operator = cannot be carried out on it

--! # INSERT from queries, UPDATE FROM, writing in WITH

INSERT INTO archive (email, why) SELECT email, 'gone' FROM users WHERE id = $1
=> INSERT INTO public.archive (email, why) SELECT email, 'gone' FROM public.users WHERE id = $1

INSERT INTO users (email, name) SELECT * FROM unnest($1::text[], $2::varchar[])
=> INSERT INTO public.users (email, name) SELECT * FROM unnest($1::pg_catalog.bytea[], $2::pg_catalog.bytea[])
$1: array of users.email store as text
$2: array of users.name store as varchar

INSERT INTO users (email, bio) SELECT e, b FROM (VALUES ('a', 'x'), ($1, $2)) AS v (e, b)
=> INSERT INTO public.users (email, bio) SELECT e, b FROM (VALUES («users.email store as text 'a'», 'x'), ($1, $2)) AS v (e, b)
$1: users.email store as text

UPDATE users SET email = c.user_email FROM customers c WHERE c.id = users.id
=> UPDATE public.users SET email = c.user_email FROM public.customers c WHERE c.id = users.id

UPDATE users SET name = v.n FROM (VALUES (1, 'a'), (2, $1)) AS v (id, n) WHERE v.id = users.id
=> UPDATE public.users SET name = v.n FROM (VALUES (1, «users.name store as text 'a'»), (2, $1)) AS v (id, n) WHERE v.id = users.id
$1: users.name store as text

WITH gone AS (DELETE FROM users WHERE email = $1 RETURNING *) INSERT INTO archive (email) SELECT email FROM gone
=> WITH gone AS (DELETE FROM public.users WHERE email = $1 RETURNING *) INSERT INTO public.archive (email) SELECT email FROM gone
$1: users.email

INSERT INTO archive (ssn, why) SELECT ssn, 'gone' FROM users WHERE id = $1
=> INSERT INTO public.archive (ssn, why) SELECT ssn, 'gone' FROM public.users WHERE id = $1

UPDATE users SET ssn = a.ssn FROM archive a WHERE a.why = 'back'
=> UPDATE public.users SET ssn = a.ssn FROM public.archive a WHERE a.why = 'back'

--! # Subqueries, WITH, LATERAL, window functions that hand values on

WITH a AS (SELECT id, email FROM users) SELECT id FROM a WHERE email = $1
=> WITH a AS (SELECT id, email FROM public.users) SELECT id FROM a WHERE email = $1
$1: users.email

WITH RECURSIVE r AS (SELECT id, email FROM users WHERE email = $1 UNION ALL SELECT u.id, u.email FROM users u JOIN r ON r.id = u.id + 1) SELECT * FROM r
=> WITH RECURSIVE r AS (SELECT id, email FROM public.users WHERE email = $1 UNION ALL SELECT u.id, u.email FROM public.users u JOIN r ON r.id = u.id + 1) SELECT * FROM r
$1: users.email
2: users.email from nowhere

SELECT u.email, c.phone FROM users u, LATERAL (SELECT phone FROM customers WHERE user_email = u.email LIMIT 1) c
=> SELECT u.email, c.phone FROM public.users u, LATERAL (SELECT phone FROM public.customers WHERE user_email = u.email LIMIT 1) c
1: users.email from users.2
2: customers.phone from customers.3

SELECT (SELECT email FROM users WHERE id = p.id) FROM plain p
=> SELECT (SELECT email FROM public.users WHERE id = p.id) FROM plain p
1: users.email from nowhere

SELECT id, lag(email) OVER (ORDER BY id), first_value(name) OVER (ORDER BY id) FROM users
=> SELECT id, lag(email) OVER (ORDER BY id), first_value(name) OVER (ORDER BY id) FROM public.users
2: users.email from nowhere
3: users.name from nowhere

SELECT array_agg(email) FROM users
=> SELECT array_agg(email) FROM public.users
1: array of users.email from nowhere

WITH a AS (SELECT id, ssn FROM users) SELECT ssn FROM a WHERE id = 1
=> WITH a AS (SELECT id, ssn FROM public.users) SELECT ssn FROM a WHERE id = 1
1: users.ssn from users.4

SELECT id, lag(ssn) OVER (ORDER BY id) FROM users
=> SELECT id, lag(ssn) OVER (ORDER BY id) FROM public.users
2: users.ssn from nowhere

SELECT array_agg(ssn) FROM users
=> SELECT array_agg(ssn) FROM public.users
1: array of users.ssn from nowhere

--! # CASE, COALESCE, NULLIF

SELECT CASE WHEN id = 1 THEN email ELSE NULL END FROM users
=> SELECT CASE WHEN id = 1 THEN email ELSE NULL END FROM public.users
1: users.email from nowhere

SELECT CASE WHEN email = 'a' THEN 1 ELSE 2 END FROM users
=> SELECT CASE WHEN email = «users.email 'a'» THEN 1 ELSE 2 END FROM public.users

UPDATE users SET email = (CASE WHEN id = $1 THEN $2 WHEN id = 2 THEN 'b' ELSE NULL END)::text WHERE id IN ($1, 2)
=> UPDATE public.users SET email = (CASE WHEN id = $1 THEN $2 WHEN id = 2 THEN «users.email store as text 'b'» ELSE NULL::pg_catalog.bytea END)::pg_catalog.bytea WHERE id IN ($1, 2)
$2: users.email store as text

SELECT coalesce(u.email, c.user_email) FROM users u LEFT JOIN customers c ON c.id = u.id
=> SELECT coalesce(u.email, c.user_email) FROM public.users u LEFT JOIN public.customers c ON c.id = u.id
1: users.email from nowhere

SELECT coalesce(email, 'none') FROM users
=> SELECT coalesce(email, «users.email store 'none'») FROM public.users
1: users.email from nowhere

SELECT nullif(email, $1) FROM users
=> SELECT nullif(email, $1) FROM public.users
$1: users.email
1: users.email from nowhere

SELECT CASE WHEN id = 1 THEN ssn ELSE NULL END FROM users
=> SELECT CASE WHEN id = 1 THEN ssn ELSE NULL END FROM public.users
1: users.ssn from nowhere

SELECT coalesce(ssn, 'none') FROM users
=> SELECT coalesce(ssn, «users.ssn store 'none'») FROM public.users
1: users.ssn from nowhere

SELECT nullif(ssn, $1) FROM users
=> refuse 0A000 at 8: column public.users.ssn is encrypted as randomized, so NULLIF cannot be carried out on it

--! # `<`, `>`, BETWEEN, ORDER BY, `min`, `max`

SELECT id FROM users WHERE born < '2000-01-01'
=> refuse 0A000 at 28: column public.users.born is encrypted without order, so operator < cannot be carried out on it

SELECT id FROM users WHERE age BETWEEN 18 AND 30
=> refuse 0A000 at 40: column public.users.age is encrypted without order, so BETWEEN cannot be carried out on it

SELECT id FROM users ORDER BY email
=> refuse 0A000 at 31: column public.users.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT min(age), max(age) FROM users
=> refuse 0A000 at 8: function min cannot be carried out on encrypted column public.users.age

SELECT id FROM users WHERE ssn > 'a'
=> refuse 0A000 at 28: column public.users.ssn is encrypted without order, so operator > cannot be carried out on it

SELECT id FROM users ORDER BY ssn
=> refuse 0A000 at 31: column public.users.ssn is encrypted without order, so ORDER BY cannot be carried out on it

--! # LIKE, regular expressions, full text search

SELECT id FROM users WHERE email LIKE 'ada%'
=> refuse 0A000 at 28: LIKE cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE email ~ '^ada'
=> refuse 0A000 at 28: operator ~ cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE to_tsvector(email) @@ to_tsquery('ada')
=> refuse 0A000 at 28: function to_tsvector cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE ssn ILIKE '123%'
=> refuse 0A000 at 28: ILIKE cannot be carried out on encrypted column public.users.ssn

--! # Functions, operators, arithmetic, JSON access

SELECT id FROM users WHERE lower(email) = 'ada'
=> refuse 0A000 at 28: function lower cannot be carried out on encrypted column public.users.email

SELECT email || 'x' FROM users
=> refuse 0A000 at 8: operator || cannot be carried out on encrypted column public.users.email

UPDATE users SET age = age + 1 WHERE id = 1
=> refuse 0A000 at 24: operator + cannot be carried out on encrypted column public.users.age

SELECT sum(age), avg(score) FROM users
=> refuse 0A000 at 8: function sum cannot be carried out on encrypted column public.users.age

SELECT length(ssn) FROM users
=> refuse 0A000 at 8: function length cannot be carried out on encrypted column public.users.ssn

SELECT data ->> 'a' FROM notes
=> refuse 0A000 at 8: operator ->> cannot be carried out on encrypted column public.notes.data

SELECT id FROM notes WHERE labels @> ARRAY['a']
=> refuse 0A000 at 28: operator @> cannot be carried out on encrypted column public.notes.labels

--! # Casts

SELECT id FROM users WHERE email = 'a'::text AND born = CAST($1 AS date)
=> SELECT id FROM public.users WHERE email = «users.email as text 'a'»::pg_catalog.bytea AND born = CAST($1 AS pg_catalog.bytea)
$1: users.born as date

SELECT id FROM users WHERE email::varchar = $1
=> SELECT id FROM public.users WHERE email::pg_catalog.bytea = $1
$1: users.email as text

SELECT id FROM users WHERE name = $1::varchar(20) OR born = '2024-02-29 10:00'::timestamp::date
=> SELECT id FROM public.users WHERE name = $1::pg_catalog.bytea OR born = «users.born as timestamp cast to timestamp without time zone cast to date '2024-02-29 10:00'»::pg_catalog.bytea::pg_catalog.bytea
$1: users.name as varchar cast to character varying(20)

SELECT mood::text, age::bigint, name::varchar(100) FROM users
=> SELECT mood::pg_catalog.bytea, age::pg_catalog.bytea, name::pg_catalog.bytea FROM public.users
1: users.mood from users.9
2: users.age from users.7
3: users.name from users.3

SELECT born::text FROM users
=> refuse 0A000 at 8: encrypted column public.users.born cannot be cast to TEXT

SELECT id FROM users WHERE email COLLATE "C" = 'a'
=> refuse 0A000 at 28: COLLATE cannot be carried out on encrypted column public.users.email

INSERT INTO users (ssn) VALUES ($1::text)
=> INSERT INTO public.users (ssn) VALUES ($1::pg_catalog.bytea)
$1: users.ssn store as text

SELECT ssn::int FROM users
=> refuse 0A000 at 8: encrypted column public.users.ssn cannot be cast to INT

--! # Meeting, or moving into, what is not encrypted alike

SELECT id FROM users WHERE email = bio
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator =

INSERT INTO plain (email) SELECT email FROM users
=> refuse 0A000 at 34: column public.users.email is encrypted, so it cannot be stored in column email, which is not

UPDATE users SET bio = email
=> refuse 0A000 at 24: column public.users.email is encrypted, so it cannot be stored in column bio, which is not

UPDATE users SET email = name
=> refuse 0A000 at 26: columns public.users.email and public.users.name are encrypted differently, so they cannot meet in an assignment

INSERT INTO users (email, bio) VALUES ($1, $1)
=> refuse 0A000 at 44: parameter $1 is used both for encrypted column public.users.email and as a value that is not encrypted

INSERT INTO users (email) VALUES (lower($1))
=> refuse 0A000 at 35: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

UPDATE users SET ssn = bio
=> refuse 0A000 at 24: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.ssn

INSERT INTO plain (name) SELECT ssn FROM users
=> refuse 0A000 at 33: column public.users.ssn is encrypted, so it cannot be stored in column name, which is not

--! # Rows as one value

SELECT u FROM users u
=> refuse 0A000 at 8: a row of u as one value would hand out encrypted columns

SELECT row_to_json(u) FROM users u
=> refuse 0A000 at 20: a row of u as one value would hand out encrypted columns

SELECT ROW(id, ssn) FROM users
=> refuse 0A000 at 8: a row as one value cannot be carried out on encrypted column public.users.ssn

--! # EXPLAIN
--! Constants in its output are sealed ones.

EXPLAIN SELECT id FROM users WHERE email = 'a'
=> EXPLAIN SELECT id FROM public.users WHERE email = «users.email 'a'»

EXPLAIN (ANALYZE, COSTS OFF) SELECT ssn FROM users WHERE id = 1
=> EXPLAIN (ANALYZE, COSTS OFF) SELECT ssn FROM public.users WHERE id = 1

--! # PREPARE and EXECUTE, cursors

PREPARE p AS SELECT id FROM users WHERE email = $1
=> PREPARE p (pg_catalog.bytea) AS SELECT id FROM public.users WHERE email = $1

PREPARE p AS SELECT ssn FROM users WHERE id = $1
=> PREPARE p AS SELECT ssn FROM public.users WHERE id = $1

PREPARE p (text) AS INSERT INTO users (email) VALUES ($1); EXECUTE p('ada@example.org')
=> PREPARE p (pg_catalog.bytea) AS INSERT INTO public.users (email) VALUES ($1); EXECUTE p(«users.email store as text 'ada@example.org'»)

DECLARE c CURSOR FOR SELECT email FROM users
=> DECLARE c CURSOR FOR SELECT email FROM public.users

DECLARE c CURSOR FOR SELECT ssn FROM users
=> DECLARE c CURSOR FOR SELECT ssn FROM public.users

BEGIN; DECLARE c CURSOR FOR SELECT email FROM users; FETCH 10 FROM c; CLOSE c; COMMIT
=> BEGIN; DECLARE c CURSOR FOR SELECT email FROM public.users; FETCH 10 FROM c; CLOSE c; COMMIT
1: users.email from users.2

--! # COPY
--! From STDIN and to STDOUT (psql's `\copy` too), in text, csv and binary format and with their options, but for those
--! that are refused below. Values are sealed and opened while they stream. An error has the line of the client's own
--! data; where it quotes a whole row, the sealed values in it are opened, or left out if the server has cut them.

COPY users FROM STDIN
=> COPY public.users (id, email, name, ssn, born, active, age, score, mood, bio, created) FROM STDIN
copy In: 2 email, 3 name, 4 ssn, 5 born, 6 active, 7 age, 8 score, 9 mood; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

COPY users (id, email) FROM STDIN WITH (FORMAT csv, HEADER)
=> COPY public.users (id, email) FROM STDIN WITH (FORMAT csv, HEADER)
copy In: 2 email; Csv { lines: LineFormat { delimiter: 44, null: "", default: None, is_before_18: true }, quote: 34, escape: 34 }, header Line

COPY users (id, ssn) TO STDOUT
=> COPY public.users (id, ssn) TO STDOUT
copy Out: 2 ssn; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

COPY (SELECT id, email FROM users WHERE email = 'a') TO STDOUT WITH (FORMAT binary)
=> COPY (SELECT id, email FROM public.users WHERE email = «users.email 'a'») TO STDOUT WITH (FORMAT binary)
copy Out: 2 email; Binary, header None

COPY users (id, email) FROM STDIN WHERE id > 100
=> COPY public.users (id, email) FROM STDIN WHERE id > 100
copy In: 2 email; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

COPY users (id, email) FROM STDIN WHERE email <> ''
=> refuse 0A000 at 41: WHERE of COPY cannot be carried out on encrypted column public.users.email

COPY users (id, email) FROM STDIN WITH (ON_ERROR ignore)
=> refuse 0A000 at 6: ON_ERROR other than stop in COPY is not supported in a statement that names users

COPY users (id, email) FROM STDIN WITH (ENCODING 'LATIN1')
=> refuse 0A000 at 6: ENCODING other than UTF8 in COPY is not supported in a statement that names users

COPY users TO '/tmp/users.csv'
=> refuse 0A000 at 6: COPY to or from a file or program of the server cannot be carried out on users, which has encrypted columns

COPY users FROM PROGRAM 'cat users.csv'
=> refuse 0A000 at 6: COPY to or from a file or program of the server cannot be carried out on users, which has encrypted columns

--! # CREATE TABLE, ALTER TABLE

CREATE TABLE users (id serial PRIMARY KEY, email text NOT NULL UNIQUE, ssn text)
=> CREATE TABLE public.users (id serial PRIMARY KEY, email pg_catalog.bytea NOT NULL UNIQUE CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), ssn pg_catalog.bytea CONSTRAINT ssn_sealed_check CHECK (pg_catalog.substr(ssn, 1, 2) OPERATOR(pg_catalog.=) '\xe510'::pg_catalog.bytea AND pg_catalog.octet_length(ssn) OPERATOR(pg_catalog.>=) 46))

ALTER TABLE users ADD COLUMN email text
=> ALTER TABLE public.users ADD COLUMN email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22)

ALTER TABLE users ADD COLUMN ssn text
=> ALTER TABLE public.users ADD COLUMN ssn pg_catalog.bytea CONSTRAINT ssn_sealed_check CHECK (pg_catalog.substr(ssn, 1, 2) OPERATOR(pg_catalog.=) '\xe510'::pg_catalog.bytea AND pg_catalog.octet_length(ssn) OPERATOR(pg_catalog.>=) 46)

CREATE TABLE users (id serial PRIMARY KEY, email text DEFAULT 'nobody', ssn text DEFAULT 'none')
=> CREATE TABLE public.users (id serial PRIMARY KEY, email pg_catalog.bytea DEFAULT «users.email store 'nobody'» CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), ssn pg_catalog.bytea DEFAULT «users.ssn store 'none'» CONSTRAINT ssn_sealed_check CHECK (pg_catalog.substr(ssn, 1, 2) OPERATOR(pg_catalog.=) '\xe510'::pg_catalog.bytea AND pg_catalog.octet_length(ssn) OPERATOR(pg_catalog.>=) 46))

CREATE TABLE users (id serial PRIMARY KEY, email integer)
=> refuse 0A000 at 50: column public.users.email is declared as integer, but the policy says text

CREATE TABLE users (id serial PRIMARY KEY, email text CHECK (email <> ''))
=> refuse 0A000 at 62: a constant for encrypted column public.users.email cannot stand in CHECK

CREATE TABLE users (id serial PRIMARY KEY, ssn text UNIQUE)
=> refuse 0A000 at 53: column public.users.ssn is encrypted as randomized, so UNIQUE cannot be carried out on it

CREATE TABLE users (id int, email text) PARTITION BY HASH (email)
=> CREATE TABLE public.users (id int, email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22)) PARTITION BY HASH (email)

CREATE TABLE users (id int, email text) PARTITION BY RANGE (email)
=> refuse 0A000 at 41: column public.users.email is encrypted without order, so PARTITION BY RANGE cannot be carried out on it

CREATE TABLE users (id serial, email text); CREATE UNIQUE INDEX ON users (email); INSERT INTO users (email) VALUES ('ada@example.org')
=> CREATE TABLE public.users (id serial, email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22)); CREATE UNIQUE INDEX ON public.users (email); INSERT INTO public.users (email) VALUES («users.email store 'ada@example.org'»)

ALTER TABLE users ADD COLUMN nickname text
=> ALTER TABLE public.users ADD COLUMN nickname text

ALTER TABLE users ALTER COLUMN email SET NOT NULL
=> ALTER TABLE public.users ALTER COLUMN email SET NOT NULL

ALTER TABLE users ALTER COLUMN email TYPE varchar(50)
=> ALTER TABLE public.users ALTER COLUMN email TYPE pg_catalog.bytea

ALTER TABLE users ALTER COLUMN email SET DEFAULT 'nobody'
=> ALTER TABLE public.users ALTER COLUMN email SET DEFAULT «users.email store 'nobody'»

ALTER TABLE archive ADD FOREIGN KEY (email) REFERENCES users (email)
=> ALTER TABLE public.archive ADD FOREIGN KEY (email) REFERENCES public.users (email)

ALTER TABLE archive ADD FOREIGN KEY (email) REFERENCES users (name)
=> refuse 0A000 at 38: columns public.archive.email and public.users.name are encrypted differently, so they cannot meet in FOREIGN KEY

ALTER TABLE users RENAME COLUMN email TO mail
=> refuse 0A000 at 42: public.users.mail would hold the encrypted values of public.users.email (context public.users.email), but the policy does not say so

ALTER TABLE users RENAME COLUMN bio TO about
=> ALTER TABLE public.users RENAME COLUMN bio TO about

ALTER TABLE posts ADD CONSTRAINT of_user FOREIGN KEY (user_id) REFERENCES users (id)
=> forward (unresolved)

--! # CREATE INDEX

CREATE INDEX ON users (email)
=> CREATE INDEX ON public.users (email)

CREATE UNIQUE INDEX users_email_name ON users (email, name)
=> CREATE UNIQUE INDEX users_email_name ON public.users (email, name)

CREATE INDEX ON users (email) WHERE id > 10
=> CREATE INDEX ON public.users (email) WHERE id > 10

CREATE INDEX ON users (lower(email))
=> refuse 0A000 at 24: function lower cannot be carried out on encrypted column public.users.email

CREATE INDEX ON users (ssn)
=> refuse 0A000 at 24: column public.users.ssn is encrypted as randomized, so CREATE INDEX cannot be carried out on it

--! # CREATE VIEW, CREATE TABLE AS

CREATE VIEW contacts AS SELECT id, email FROM users
=> CREATE VIEW contacts AS SELECT id, email FROM public.users

CREATE VIEW one AS SELECT id FROM users WHERE email = 'ada@example.org'
=> refuse 0A000 at 55: a constant for encrypted column public.users.email cannot stand in a view

CREATE VIEW ssns AS SELECT id, ssn FROM users
=> CREATE VIEW ssns AS SELECT id, ssn FROM public.users

CREATE MATERIALIZED VIEW contacts AS SELECT email FROM users
=> CREATE MATERIALIZED VIEW contacts AS SELECT email FROM public.users

CREATE TABLE copied AS SELECT email FROM users
=> refuse 0A000 at 14: public.copied.email would hold the encrypted values of public.users.email (context public.users.email), but the policy does not say so

CREATE TABLE copied AS SELECT ssn FROM users
=> refuse 0A000 at 14: public.copied.ssn would hold the encrypted values of public.users.ssn (context public.users.ssn), but the policy does not say so

--! # Functions, triggers and blocks that name an encrypted table
--! They may be created; they run in the server, and see ciphertext.

CREATE FUNCTION purge() RETURNS void LANGUAGE sql AS 'DELETE FROM users'
=> forward

SELECT add_user('ada@example.org')
=> refuse 0A000 at 8: function public.add_user may reach encrypted columns

CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()
=> forward

DO $$ BEGIN INSERT INTO users (email) VALUES ('ada'); END $$
=> refuse 0A000 at 4: DO cannot be carried out on users, which has encrypted columns

--! # Administration
--! Without literals that could be a column's value.

TRUNCATE users
=> forward

DROP TABLE users
=> forward

VACUUM ANALYZE users
=> forward

GRANT SELECT ON users TO joe
=> forward

LOCK TABLE users IN SHARE MODE
=> forward

COMMENT ON TABLE users IS 'people'
=> forward

SELECT count(*) FROM users
=> SELECT count(*) FROM public.users

--! # Statements on other tables
--! Forwarded byte for byte, whatever they are.

SELECT upper(name), n + 1 FROM plain WHERE name LIKE 'a%' ORDER BY n
=> forward

COPY plain FROM STDIN
=> forward

CREATE TABLE more (id int, name text)
=> forward
