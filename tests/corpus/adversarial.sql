--! Ways past an analysis that is not careful.

SELECT id FROM/**/users/* ; */WHERE email='secret'--
=> SELECT id FROM/**/public.users/* ; */WHERE email=«users.email 'secret'»--

SELECT id FROM users WHERE email OPERATOR(pg_catalog.=) 'secret'
=> SELECT id FROM public.users WHERE email OPERATOR(pg_catalog.=) «users.email 'secret'»

SELECT id FROM users WHERE email OPERATOR(public.=) 'secret'
=> refuse 0A000 at 28: operator OPERATOR(public.=) cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE email = text 'secret'
=> SELECT id FROM public.users WHERE email =  «users.email as text 'secret'»

SELECT id FROM users WHERE email = mytype 'secret'
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE email = 'secret' "alias"
=> refuse 0A000 at 45: this statement names users, which has encrypted columns, and is not understood

SELECT 'a' 'secret' FROM users
=> refuse 0A000 at 12: this statement names users, which has encrypted columns, and is not understood

SELECT id 'secret' FROM users
=> SELECT id 'secret' FROM public.users

SELECT id FROM U&"users" WHERE email = 'secret'
=> SELECT id FROM public.U&"users" WHERE email = «users.email 'secret'»

SELECT id FROM U&"\0075sers" WHERE email = 'secret'
=> SELECT id FROM public.U&"\0075sers" WHERE email = «users.email 'secret'»

SELECT id FROM "USERS" WHERE email = 'secret'
=> refuse 42P01 at 16: relation "USERS" does not exist

SELECT id FROM users* WHERE email = 'secret'
=> SELECT id FROM public.users* WHERE email = «users.email 'secret'»

SELECT id FROM ONLY (users) WHERE email = 'secret'
=> SELECT id FROM ONLY (public.users) WHERE email = «users.email 'secret'»

SELECT id FROM (users) WHERE email = 'secret'
=> refuse 0A000 at 22: this statement names users, which has encrypted columns, and is not understood

SELECT id FROM (users CROSS JOIN plain) AS j (a, b) WHERE b = 'secret'
=> SELECT id FROM (public.users CROSS JOIN plain) AS j (a, b) WHERE b = «users.email 'secret'»

SELECT id FROM public . users WHERE email = 'secret'
=> SELECT id FROM public . users WHERE email = «users.email 'secret'»

INSERT INTO users (email) VALUES ('secret'), (upper('secret'))
=> refuse 0A000 at 47: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

INSERT INTO users (email, bio) VALUES ('secret', (SELECT email FROM users LIMIT 1))
=> refuse 0A000 at 81: column public.users.email is encrypted, so it cannot be stored in column bio, which is not

INSERT INTO users (email, name) VALUES ('secret', now()::text)
=> refuse 0A000 at 51: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.name

SELECT query_to_xml('select * from users', true, false, '')
=> refuse 0A000 at 21: function query_to_xml may reach encrypted columns

SELECT table_to_xml('users', true, false, '')
=> refuse 0A000 at 8: function table_to_xml may reach encrypted columns

SELECT pg_catalog.schema_to_xml('public', true, false, '')
=> refuse 0A000 at 19: function schema_to_xml may reach encrypted columns

SELECT set_config('search_path', 'other', false), email FROM users
=> SELECT set_config('search_path', 'other', false), email FROM public.users
2: users.email from users.2

SELECT * FROM dblink('dbname=app', 'select email from users') AS t (e text)
=> refuse 0A000 at 36: function dblink may reach encrypted columns

SELECT id FROM users WHERE email = (CASE WHEN true THEN 'secret' END)
=> SELECT id FROM public.users WHERE email = (CASE WHEN true THEN «users.email as text 'secret'» END)

SELECT id FROM users WHERE (CASE WHEN true THEN 'secret' END)::text = email
=> SELECT id FROM public.users WHERE (CASE WHEN true THEN «users.email as text 'secret'» END)::pg_catalog.bytea = email

SELECT id FROM users WHERE email = 'secret'::regclass::text
=> refuse 0A000 at 36: the cast to regclass of a constant for encrypted column public.users.email cannot be carried out

SELECT id FROM users WHERE email = ('secret' COLLATE "C")
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE email = 'secret' || ''
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE NOT email = 'secret' IS NULL
=> SELECT id FROM public.users WHERE NOT email = «users.email 'secret'» IS NULL

SELECT id FROM users WHERE email = 'secret' = true
=> SELECT id FROM public.users WHERE email = «users.email 'secret'» = true

SELECT id FROM users WHERE email < 'secret' = (email = 'secret')
=> refuse 0A000 at 28: column public.users.email is encrypted without order, so operator < cannot be carried out on it

SELECT id FROM users WHERE - age = 5
=> refuse 0A000 at 30: operator - cannot be carried out on encrypted column public.users.age

SELECT id FROM users WHERE age = -(5)
=> refuse 0A000 at 28: column public.users.age is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE age = + 5
=> refuse 0A000 at 28: column public.users.age is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE age = -5::int8
=> refuse 0A000 at 28: column public.users.age is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE age = 0x10 OR age = 1_000
=> refuse 0A000 at 28: column public.users.age is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE email ISNULL
=> SELECT id FROM public.users WHERE email ISNULL

SELECT id FROM users WHERE email NOTNULL
=> SELECT id FROM public.users WHERE email NOTNULL

SELECT id FROM users WHERE (email) = ('secret')
=> SELECT id FROM public.users WHERE (email) = («users.email 'secret'»)

SELECT id FROM users WHERE email IN (VALUES ('secret'))
=> SELECT id FROM public.users WHERE email IN (VALUES («users.email as text 'secret'»))

SELECT id FROM users WHERE email = ANY(VALUES ('secret'))
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator = ANY

SELECT id FROM users WHERE email = ANY(SELECT 'secret')
=> SELECT id FROM public.users WHERE email = ANY(SELECT «users.email as text 'secret'» AS "?column?")

SELECT id FROM users WHERE email = ANY(ARRAY(SELECT 'secret'))
=> SELECT id FROM public.users WHERE email = ANY(ARRAY(SELECT «users.email as text 'secret'» AS "?column?"))

SELECT id FROM users WHERE email = ANY(string_to_array('secret', ','))
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator = ANY

SELECT id FROM users WHERE email = ANY('{secret}'::varchar(3)[])
=> SELECT id FROM public.users WHERE email = ANY(«array of users.email as varchar cast to character varying(3) '{secret}'»::pg_catalog.bytea[])

SELECT id FROM users WHERE email = ANY(ARRAY[ARRAY['secret']])
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator = ANY

SELECT id FROM users WHERE ARRAY[email] = ARRAY['secret']
=> SELECT id FROM public.users WHERE ARRAY[email] = ARRAY[«users.email as text 'secret'»]

SELECT id FROM users WHERE ARRAY[email] @> ARRAY['secret']
=> refuse 0A000 at 34: operator @> cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE email IS NOT DISTINCT FROM (SELECT 'secret')
=> SELECT id FROM public.users WHERE email IS NOT DISTINCT FROM (SELECT «users.email as text 'secret'» AS "?column?")

SELECT id FROM users WHERE (SELECT 'secret') = email
=> SELECT id FROM public.users WHERE (SELECT «users.email as text 'secret'» AS "?column?") = email

SELECT id FROM users JOIN (SELECT 'secret' AS email) s USING (email)
=> SELECT id FROM public.users JOIN (SELECT «users.email as text 'secret'» AS email) s USING (email)

SELECT s.email FROM users NATURAL JOIN (SELECT 'secret' AS email) s
=> SELECT s.email FROM public.users NATURAL JOIN (SELECT «users.email as text 'secret'» AS email) s
1: users.email from nowhere

SELECT email FROM users WHERE id = 1 UNION SELECT name FROM plain
=> refuse 0A000 at 51: column public.users.email is encrypted, so it cannot meet an expression that is not in UNION

SELECT x FROM (SELECT email AS x FROM users UNION ALL SELECT 'secret') s WHERE x = 'secret2'
=> SELECT x FROM (SELECT email AS x FROM public.users UNION ALL SELECT «users.email store 'secret'» AS "?column?") s WHERE x = «users.email 'secret2'»
1: users.email from nowhere

SELECT coalesce(bio, email) FROM users
=> refuse 0A000 at 8: column public.users.email is encrypted, so it cannot meet an expression that is not in COALESCE

SELECT concat(email, 'x') FROM users
=> refuse 0A000 at 8: function concat cannot be carried out on encrypted column public.users.email

SELECT format('%s', email) FROM users
=> refuse 0A000 at 8: function format cannot be carried out on encrypted column public.users.email

SELECT to_json(email) FROM users
=> refuse 0A000 at 8: function to_json cannot be carried out on encrypted column public.users.email

SELECT json_build_object('e', email) FROM users
=> refuse 0A000 at 8: function json_build_object cannot be carried out on encrypted column public.users.email

SELECT row_to_json(s) FROM (SELECT email FROM users) s
=> refuse 0A000 at 20: a row of s as one value would hand out encrypted columns

SELECT s FROM (SELECT email FROM users) s
=> refuse 0A000 at 8: a row of s as one value would hand out encrypted columns

SELECT s.*::text FROM (SELECT email FROM users) s
=> refuse 0A000 at 11: this statement names users, which has encrypted columns, and is not understood

SELECT ROW(u.*) FROM users u
=> refuse 0A000 at 8: a row as an argument is not supported in a statement that names public.users

SELECT email[1] FROM users
=> refuse 0A000 at 14: a subscript cannot be carried out on encrypted column public.users.email

SELECT pg_typeof(email) FROM users
=> refuse 0A000 at 8: function pg_typeof cannot be carried out on encrypted column public.users.email

SELECT length(email) FROM users
=> refuse 0A000 at 8: function length cannot be carried out on encrypted column public.users.email

SELECT encode(email, 'escape') FROM users
=> refuse 0A000 at 8: function encode cannot be carried out on encrypted column public.users.email

SELECT email::bytea FROM users
=> refuse 0A000 at 8: encrypted column public.users.email cannot be cast to BYTEA

SELECT md5(email) FROM users
=> refuse 0A000 at 8: function md5 cannot be carried out on encrypted column public.users.email

SELECT hashtext(email) FROM users
=> refuse 0A000 at 8: function hashtext cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE email SIMILAR TO 'secret'
=> refuse 0A000 at 28: SIMILAR TO cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE email = 'secret' AND bio LIKE 'a%' ESCAPE '\'
=> SELECT id FROM public.users WHERE email = «users.email 'secret'» AND bio LIKE 'a%' ESCAPE '\'

SELECT id FROM users ORDER BY email USING <
=> refuse 0A000 at 31: column public.users.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT id FROM users ORDER BY (SELECT email)
=> refuse 0A000 at 39: column public.users.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT id FROM users ORDER BY CASE WHEN email = 'secret' THEN 0 ELSE 1 END
=> SELECT id FROM public.users ORDER BY CASE WHEN email = «users.email 'secret'» THEN 0 ELSE 1 END

SELECT email FROM users ORDER BY nullif(email, 'secret')
=> refuse 0A000 at 34: column public.users.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT id FROM users LIMIT (SELECT age FROM users LIMIT 1)
=> refuse 0A000 at 57: LIMIT cannot be carried out on encrypted column public.users.age

SELECT id FROM generate_series(1, 3) AS users (id) WHERE id = 1
=> forward

SELECT x.users FROM (SELECT 1 AS users) x
=> forward

SELECT 'users'
=> forward

SELECT id FROM plain WHERE name = 'drop table users'
=> forward

SELECT id FROM plain AS users WHERE users.email = 'x'
=> forward

SELECT id FROM pg_temp.users WHERE email = 'x'
=> refuse 42P01 at 24: relation "pg_temp.users" does not exist

SELECT id FROM nowhere.users WHERE email = 'x'
=> refuse 42P01 at 24: relation "nowhere.users" does not exist

CREATE TEMP TABLE users (email text)
=> refuse 0A000 at 19: a temporary table users would take the place of the encrypted one

CREATE TABLE other.users (email text)
=> forward

INSERT INTO users SELECT * FROM plain
=> refuse 0A000 at 33: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

WITH x AS (SELECT * FROM users), users AS (SELECT * FROM x) SELECT email FROM users WHERE email = 'secret'
=> WITH x AS (SELECT * FROM public.users), users AS (SELECT * FROM x) SELECT email FROM users WHERE email = «users.email 'secret'»
1: users.email from users.2

WITH RECURSIVE a AS (SELECT email FROM b), b AS (SELECT 'secret' AS email) SELECT users.id FROM users JOIN a USING (email)
=> refuse 0A000 at 117: column public.users.email is encrypted, so it cannot meet an expression that is not in JOIN USING

WITH RECURSIVE users AS (SELECT email FROM users) SELECT * FROM users
=> forward

SELECT id FROM users, LATERAL (SELECT 'secret' AS s) l WHERE l.s = email
=> SELECT id FROM public.users, LATERAL (SELECT «users.email as text 'secret'» AS s) l WHERE l.s = email

SELECT id FROM users u WHERE u.email = ALL (SELECT user_email FROM customers)
=> SELECT id FROM public.users u WHERE u.email = ALL (SELECT user_email FROM public.customers)

SELECT id FROM users WHERE (email, 1) IN (SELECT 'secret', 1)
=> SELECT id FROM public.users WHERE (email, 1) IN (SELECT «users.email as text 'secret'» AS "?column?", 1)

SELECT id FROM users WHERE (email, name) IN (('secret', lower('x')))
=> refuse 0A000 at 36: column public.users.name is encrypted, so it cannot meet an expression that is not in IN

SELECT id FROM users WHERE (email, id) < ('secret', 1)
=> refuse 0A000 at 36: column public.users.email is encrypted without order, so operator < cannot be carried out on it

SELECT email FROM users GROUP BY email HAVING email = 'secret'
=> SELECT email FROM public.users GROUP BY email HAVING email = «users.email 'secret'»
1: users.email from users.2

SELECT id FROM users WHERE email = $1 UNION ALL SELECT id FROM plain WHERE name = $1
=> refuse 0A000 at 83: parameter $1 is used both for encrypted column public.users.email and as a value that is not encrypted

SELECT $1::text, id FROM users WHERE email = $1::varchar
=> SELECT $1::pg_catalog.bytea AS "text", id FROM public.users WHERE email = $1::pg_catalog.bytea
$1: users.email as text
1: users.email from nowhere

SELECT id FROM users WHERE email = $1::int::text
=> SELECT id FROM public.users WHERE email = $1::pg_catalog.bytea::pg_catalog.bytea
$1: users.email as int4 cast to integer cast to text

SELECT id FROM users WHERE email = CAST(CAST('secret' AS text) AS varchar)
=> SELECT id FROM public.users WHERE email = CAST(CAST(«users.email as varchar 'secret'» AS pg_catalog.bytea) AS pg_catalog.bytea)

SELECT id FROM users WHERE email = $1::text COLLATE "C"
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE email = interval 'secret'
=> SELECT id FROM public.users WHERE email =  «users.email as interval 'secret'»

SELECT id FROM users WHERE born = timestamp '2020-01-01 00:00'
=> SELECT id FROM public.users WHERE born =  «users.born as timestamp '2020-01-01 00:00'»

SELECT id FROM users WHERE born = timestamp with time zone '2020-01-01'
=> SELECT id FROM public.users WHERE born =  «users.born as timestamptz '2020-01-01'»

SELECT id FROM users WHERE born = 'epoch'::date + 1
=> refuse 0A000 at 28: column public.users.born is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE (email = 'secret') IN (true)
=> SELECT id FROM public.users WHERE (email = «users.email 'secret'») IN (true)

SELECT id FROM users CROSS JOIN LATERAL unnest(ARRAY['secret']) AS s WHERE s = email
=> SELECT id FROM public.users CROSS JOIN LATERAL unnest(ARRAY[«users.email as text 'secret'»]) AS s WHERE s = email

SELECT id FROM users WHERE email = (TABLE plain)
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator =

EXPLAIN ANALYZE INSERT INTO users (email) VALUES ('secret')
=> EXPLAIN ANALYZE INSERT INTO public.users (email) VALUES («users.email store 'secret'»)

SELECT id FROM users; DROP TABLE plain; SELECT 'secret' = email FROM users
=> SELECT id FROM public.users; DROP TABLE plain; SELECT «users.email 'secret'» = email FROM public.users

SELECT id FROM users WHERE email = $q$secret$q$ AND bio = $$x$$
=> SELECT id FROM public.users WHERE email = «users.email 'secret'» AND bio = $$x$$

SELECT id FROM users WHERE email = 'secret
=> refuse 0A000 at 1: this statement names users, which has encrypted columns, and is not understood

SELECT id FROM users WHERE email = 'secret' AND
=> refuse 0A000 at 48: this statement names users, which has encrypted columns, and is not understood

SELECT id FROM plain WHERE email = 'unterminated
=> forward

;;; SELECT id FROM users WHERE email = 'secret';;
=> ;;; SELECT id FROM public.users WHERE email = «users.email 'secret'»;;

--! The policy names one partition only; what would reach it through its parent is refused.

UPDATE halves SET secret = 'secret'
=> refuse 0A000 at 8: public.halves cannot be used: column secret is encrypted in public.half_one, which is a part of it, but not in itself; name public.halves in the policy instead

SELECT secret FROM ONLY halves
=> refuse 0A000 at 25: public.halves cannot be used: column secret is encrypted in public.half_one, which is a part of it, but not in itself; name public.halves in the policy instead

INSERT INTO all_halves (secret) VALUES ('secret')
=> refuse 0A000 at 13: public.all_halves cannot be used: its query cannot be carried out over encrypted columns: public.halves cannot be used: column secret is encrypted in public.half_one, which is a part of it, but not in itself; name public.halves in the policy instead

UPDATE half_one SET secret = 'secret'
=> UPDATE public.half_one SET secret = «half_one.secret store 'secret'»

UPDATE half_two SET secret = 'plain'
=> refuse 0A000 at 8: public.half_two cannot be used: column secret is encrypted in public.half_one, which has the same parent, but not here; name their parent in the policy instead

SELECT email = 'secret' AND FROM users
=> refuse 42703 at 8: column "email" does not exist

SELECT count(*) AND FROM users WHERE email = 'secret'
=> refuse 42703 at 38: column "email" does not exist

SELECT 1 OR FROM users
=> refuse 0A000 at 13: a key word in the place of a column is not supported in a statement that names users

SELECT id, (SELECT user_email = 'secret' AND FROM customers c2) FROM customers
=> refuse 0A000 at 61: this statement names customers, which has encrypted columns, and is not understood

SELECT 'p'::text COLLATE FROM users
=> refuse 0A000 at 31: the place of this name is not supported in a statement that names users

SELECT id FROM plain WHERE email IS DISTINCT FROM name AND extract(year FROM now()) > 5 AND 'users' <> name
=> forward

--! Functions that may run the text that they are given.

SELECT run('INSERT INTO users (email) VALUES (''secret'')')
=> refuse 0A000 at 12: function run may reach encrypted columns

SELECT id FROM plain WHERE n = run($$ SELECT 1 FROM "users" WHERE email = 'secret' $$)
=> refuse 0A000 at 36: function run may reach encrypted columns

SELECT * FROM dblink('dbname=app', 'SELECT id FROM users WHERE email = ''secret''') AS t(id int)
=> refuse 0A000 at 36: function dblink may reach encrypted columns

SELECT log_event('users', 'the users page')
=> forward

SELECT format('SELECT id FROM users WHERE n = %s', 1)
=> forward

--! What takes a name away from the policy.

ALTER SCHEMA public RENAME TO private
=> refuse 0A000 at 14: private."Weird Table"."Select" would hold the encrypted values of public."Weird Table"."Select" (context public."Weird Table"."Select"), but the policy does not say so

ALTER SCHEMA pg_temp_3 RENAME TO x
=> forward

ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'
=> refuse 0A000 at 12: ALTER TYPE cannot be carried out on mood, which has encrypted columns

ALTER TYPE public.mood RENAME TO moods
=> refuse 0A000 at 19: ALTER TYPE cannot be carried out on mood, which has encrypted columns

ALTER TYPE mood ADD VALUE 'angry' AFTER 'sad'
=> forward

DROP TYPE IF EXISTS other, mood CASCADE
=> refuse 0A000 at 28: DROP TYPE cannot be carried out on mood, which has encrypted columns

DROP TYPE other
=> forward
