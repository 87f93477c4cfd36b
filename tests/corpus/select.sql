--! Reading: where constants, parameters and outputs belong.

SELECT 1
=> forward

SELECT id FROM users WHERE email = 'a@x'
=> SELECT id FROM public.users WHERE email = «users.email 'a@x'»

SELECT * FROM users WHERE email = $1
=> SELECT * FROM public.users WHERE email = $1
$1: users.email
2: users.email from users.2
3: users.name from users.3
4: users.ssn from users.4
5: users.born from users.5
6: users.active from users.6
7: users.age from users.7
8: users.score from users.8
9: users.mood from users.9

SELECT u.* FROM users u
=> SELECT u.* FROM public.users u
2: users.email from users.2
3: users.name from users.3
4: users.ssn from users.4
5: users.born from users.5
6: users.active from users.6
7: users.age from users.7
8: users.score from users.8
9: users.mood from users.9

SELECT email, name AS n, bio, ssn FROM users AS u WHERE u.id = 5
=> SELECT email, name AS n, bio, ssn FROM public.users AS u WHERE u.id = 5
1: users.email from users.2
2: users.name from users.3
4: users.ssn from users.4

SELECT id FROM users WHERE 'a' = email
=> SELECT id FROM public.users WHERE «users.email 'a'» = email

SELECT id FROM users WHERE email <> 'a' AND NOT (email = 'b') OR bio = 'c'
=> SELECT id FROM public.users WHERE email <> «users.email 'a'» AND NOT (email = «users.email 'b'») OR bio = 'c'

SELECT id FROM users WHERE email IN ('a', $1, NULL, 'b')
=> SELECT id FROM public.users WHERE email IN («users.email 'a'», $1, NULL, «users.email 'b'»)
$1: users.email

SELECT id FROM users WHERE email IN ('one')
=> SELECT id FROM public.users WHERE email IN («users.email 'one'»)

SELECT id FROM users WHERE email NOT IN ('a')
=> SELECT id FROM public.users WHERE email NOT IN («users.email 'a'»)

SELECT id FROM users WHERE email = ANY($1)
=> SELECT id FROM public.users WHERE email = ANY($1)
$1: array of users.email

SELECT id FROM users WHERE email = ANY($1::text[])
=> SELECT id FROM public.users WHERE email = ANY($1::pg_catalog.bytea[])
$1: array of users.email as text

SELECT id FROM users WHERE email = ANY('{a,b}')
=> SELECT id FROM public.users WHERE email = ANY(«array of users.email '{a,b}'»)

SELECT id FROM users WHERE email = ANY('{a,b}'::text[])
=> SELECT id FROM public.users WHERE email = ANY(«array of users.email as text '{a,b}'»::pg_catalog.bytea[])

SELECT id FROM users WHERE email = ANY(ARRAY['a', 'b'])
=> SELECT id FROM public.users WHERE email = ANY(ARRAY[«users.email as text 'a'», «users.email as text 'b'»])

SELECT id FROM users WHERE email = ANY(ARRAY['a', $1]::text[])
=> SELECT id FROM public.users WHERE email = ANY(ARRAY[«users.email as text 'a'», $1]::pg_catalog.bytea[])
$1: users.email as text

SELECT id FROM users WHERE email = ANY((ARRAY[$1, $2])::character varying[])
=> SELECT id FROM public.users WHERE email = ANY((ARRAY[$1, $2])::pg_catalog.bytea[])
$1: users.email as varchar
$2: users.email as varchar

SELECT id FROM users WHERE email <> ALL(ARRAY[$1])
=> SELECT id FROM public.users WHERE email <> ALL(ARRAY[$1])
$1: users.email as text

SELECT id FROM users WHERE email = SOME($1)
=> SELECT id FROM public.users WHERE email = SOME($1)
$1: array of users.email

SELECT id FROM users WHERE age = ANY(ARRAY[1, 2, 3])
=> SELECT id FROM public.users WHERE age = ANY(ARRAY[«users.age as int4 '1'», «users.age as int4 '2'», «users.age as int4 '3'»])

SELECT id FROM users WHERE email IS NULL OR ssn IS NOT NULL
=> SELECT id FROM public.users WHERE email IS NULL OR ssn IS NOT NULL

SELECT id FROM users WHERE email IS DISTINCT FROM 'a'
=> SELECT id FROM public.users WHERE email IS DISTINCT FROM «users.email 'a'»

SELECT id FROM users WHERE email IS NOT DISTINCT FROM $1
=> SELECT id FROM public.users WHERE email IS NOT DISTINCT FROM $1
$1: users.email

SELECT id FROM users WHERE ssn = 'a'
=> refuse 0A000 at 28: column public.users.ssn is encrypted as randomized, so operator = cannot be carried out on it

SELECT id FROM users WHERE ssn IS DISTINCT FROM NULL
=> refuse 0A000 at 28: column public.users.ssn is encrypted as randomized, so IS DISTINCT FROM cannot be carried out on it

SELECT id FROM users WHERE email = NULL
=> SELECT id FROM public.users WHERE email = NULL

SELECT id FROM users WHERE email LIKE 'a%'
=> refuse 0A000 at 28: LIKE cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE email ILIKE 'a%'
=> refuse 0A000 at 28: ILIKE cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE email ~ 'a'
=> refuse 0A000 at 28: operator ~ cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE email > 'a'
=> refuse 0A000 at 28: column public.users.email is encrypted without order, so operator > cannot be carried out on it

SELECT id FROM users WHERE email BETWEEN 'a' AND 'b'
=> refuse 0A000 at 42: column public.users.email is encrypted without order, so BETWEEN cannot be carried out on it

SELECT id FROM users WHERE lower(email) = 'a'
=> refuse 0A000 at 28: function lower cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE email || 'x' = 'ax'
=> refuse 0A000 at 28: operator || cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE email::varchar = 'a'
=> SELECT id FROM public.users WHERE email::pg_catalog.bytea = «users.email 'a'»

SELECT id FROM users WHERE email COLLATE "C" = 'a'
=> refuse 0A000 at 28: COLLATE cannot be carried out on encrypted column public.users.email

SELECT id FROM users WHERE email = bio
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE email = bio || 'x'
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE email = lower('A')
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE active
=> SELECT id FROM public.users WHERE (active = «users.active as bool 'true'»)

SELECT id FROM users WHERE active = true
=> SELECT id FROM public.users WHERE active = «users.active as bool 'true'»

SELECT id FROM users WHERE active = TRUE AND age = 5 AND age = -5 AND age = - 7
=> SELECT id FROM public.users WHERE active = «users.active as bool 'true'» AND age = «users.age as int4 '5'» AND age = «users.age as int4 '-5'» AND age = «users.age as int4 '-7'»

SELECT id FROM users WHERE active IS TRUE
=> SELECT id FROM public.users WHERE (active = «users.active as bool 'true'») IS TRUE

SELECT id FROM users WHERE age = 3000000000
=> SELECT id FROM public.users WHERE age = «users.age as int8 '3000000000'»

SELECT id FROM users WHERE age + 1 = 5
=> refuse 0A000 at 28: operator + cannot be carried out on encrypted column public.users.age

SELECT id FROM users WHERE score = 1.50 AND score = 2
=> SELECT id FROM public.users WHERE score = «users.score as numeric '1.50'» AND score = «users.score as int4 '2'»

SELECT id FROM users WHERE born = '2020-01-01'
=> SELECT id FROM public.users WHERE born = «users.born '2020-01-01'»

SELECT id FROM users WHERE born = date '2020-01-01'
=> SELECT id FROM public.users WHERE born =  «users.born as date '2020-01-01'»

SELECT id FROM users WHERE born = DATE'2020-01-01' AND email = pg_catalog.text 'x'
=> SELECT id FROM public.users WHERE born = «users.born as date '2020-01-01'» AND email =  «users.email as text 'x'»

SELECT id FROM users WHERE born = CAST('2020-01-01' AS date)
=> SELECT id FROM public.users WHERE born = CAST(«users.born as date '2020-01-01'» AS pg_catalog.bytea)

SELECT id FROM users WHERE born = CAST($1 AS date)
=> SELECT id FROM public.users WHERE born = CAST($1 AS pg_catalog.bytea)
$1: users.born as date

SELECT id FROM users WHERE born = ('2020-01-01')::date
=> SELECT id FROM public.users WHERE born = («users.born as date '2020-01-01'»)::pg_catalog.bytea

SELECT id FROM users WHERE born = '2020-01-01'::timestamp(3) without time zone
=> SELECT id FROM public.users WHERE born = «users.born as timestamp cast to timestamp(3) without time zone '2020-01-01'»::pg_catalog.bytea

SELECT id FROM users WHERE email = 'x'::varchar
=> SELECT id FROM public.users WHERE email = «users.email as varchar 'x'»::pg_catalog.bytea

SELECT id FROM users WHERE email = 'x'::varchar(10)
=> SELECT id FROM public.users WHERE email = «users.email as varchar 'x'»::pg_catalog.bytea

SELECT id FROM users WHERE email = 'xyz'::varchar(2)
=> SELECT id FROM public.users WHERE email = «users.email as varchar cast to character varying(2) 'xyz'»::pg_catalog.bytea

SELECT id FROM users WHERE email = $1::varchar(10)
=> SELECT id FROM public.users WHERE email = $1::pg_catalog.bytea
$1: users.email as varchar cast to character varying(10)

SELECT id FROM users WHERE email = $1::text::varchar
=> SELECT id FROM public.users WHERE email = $1::pg_catalog.bytea::pg_catalog.bytea
$1: users.email as varchar

SELECT id FROM users WHERE email = 5::text
=> SELECT id FROM public.users WHERE email = «users.email as text '5'»::pg_catalog.bytea

SELECT id FROM users WHERE email = 1.50::text
=> SELECT id FROM public.users WHERE email = «users.email as numeric cast to text '1.50'»::pg_catalog.bytea

SELECT id FROM users WHERE age = 5::int8 AND age = 1.5::int
=> SELECT id FROM public.users WHERE age = «users.age as int8 '5'»::pg_catalog.bytea AND age = «users.age as numeric cast to integer '1.5'»::pg_catalog.bytea

SELECT id FROM users WHERE email = (('a'))
=> SELECT id FROM public.users WHERE email = ((«users.email 'a'»))

SELECT id FROM users WHERE $1::text IS NULL OR email = $1
=> SELECT id FROM public.users WHERE $1::pg_catalog.bytea IS NULL OR email = $1
$1: users.email as text

SELECT id FROM users WHERE email = $1 OR bio = $1
=> refuse 0A000 at 48: parameter $1 is used both for encrypted column public.users.email and as a value that is not encrypted

SELECT id FROM users WHERE email = $1 AND id = $2
=> SELECT id FROM public.users WHERE email = $1 AND id = $2
$1: users.email

SELECT id FROM users WHERE mood = 'happy' AND mood = 'sad'::mood AND mood = $1::public.mood
=> SELECT id FROM public.users WHERE mood = «users.mood 'happy'» AND mood = «users.mood as 16500 'sad'»::pg_catalog.bytea AND mood = $1::pg_catalog.bytea
$1: users.mood as 16500

SELECT id FROM users WHERE mood = 'happy'::"Mood"
=> refuse 0A000 at 35: the cast to "Mood" of a constant for encrypted column public.users.mood cannot be carried out

SELECT count(*), count(email), count(DISTINCT email), count(ssn) FROM users
=> SELECT count(*), count(email), count(DISTINCT email), count(ssn) FROM public.users

SELECT count(DISTINCT ssn) FROM users
=> refuse 0A000 at 23: column public.users.ssn is encrypted as randomized, so DISTINCT cannot be carried out on it

SELECT min(email) FROM users
=> refuse 0A000 at 8: function min cannot be carried out on encrypted column public.users.email

SELECT max(age), sum(age) FROM users
=> refuse 0A000 at 8: function max cannot be carried out on encrypted column public.users.age

SELECT sum(id), max(created) FROM users
=> SELECT sum(id), max(created) FROM public.users

SELECT email, count(*) FROM users GROUP BY email
=> SELECT email, count(*) FROM public.users GROUP BY email
1: users.email from users.2

SELECT email AS e, count(*) FROM users GROUP BY e
=> SELECT email AS e, count(*) FROM public.users GROUP BY e
1: users.email from users.2

SELECT email, count(*) FROM users GROUP BY 1 ORDER BY 2 DESC
=> SELECT email, count(*) FROM public.users GROUP BY 1 ORDER BY 2 DESC
1: users.email from users.2

SELECT ssn, count(*) FROM users GROUP BY 1
=> refuse 0A000 at 42: column public.users.ssn is encrypted as randomized, so GROUP BY cannot be carried out on it

SELECT ssn FROM users GROUP BY ssn
=> refuse 0A000 at 32: column public.users.ssn is encrypted as randomized, so GROUP BY cannot be carried out on it

SELECT DISTINCT email FROM users
=> SELECT DISTINCT email FROM public.users
1: users.email from users.2

SELECT DISTINCT ssn FROM users
=> refuse 0A000 at 17: column public.users.ssn is encrypted as randomized, so DISTINCT cannot be carried out on it

SELECT DISTINCT ON (email) id, email FROM users ORDER BY id
=> SELECT DISTINCT ON (email) id, email FROM public.users ORDER BY id
2: users.email from users.2

SELECT email FROM users ORDER BY id, created DESC NULLS LAST LIMIT 10 OFFSET $1
=> SELECT email FROM public.users ORDER BY id, created DESC NULLS LAST LIMIT 10 OFFSET $1
1: users.email from users.2

SELECT email FROM users ORDER BY email
=> refuse 0A000 at 34: column public.users.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT email FROM users ORDER BY 1
=> refuse 0A000 at 34: column public.users.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT email AS id FROM users ORDER BY id
=> refuse 0A000 at 40: column public.users.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT id FROM users FETCH FIRST 5 ROWS ONLY
=> SELECT id FROM public.users FETCH FIRST 5 ROWS ONLY

SELECT id, email FROM users WHERE id = 1 FOR UPDATE OF users SKIP LOCKED
=> SELECT id, email FROM public.users WHERE id = 1 FOR UPDATE OF users SKIP LOCKED
2: users.email from users.2

SELECT u.email, c.phone FROM users u JOIN customers c ON c.user_email = u.email
=> SELECT u.email, c.phone FROM public.users u JOIN public.customers c ON c.user_email = u.email
1: users.email from users.2
2: customers.phone from customers.3

SELECT u.email FROM users u LEFT JOIN customers c ON c.phone = u.email
=> refuse 0A000 at 54: columns public.customers.phone and public.users.email are encrypted differently, so they cannot meet in operator =

SELECT u.email FROM users u, customers c WHERE c.user_email = u.email AND u.name = 'n'
=> SELECT u.email FROM public.users u, public.customers c WHERE c.user_email = u.email AND u.name = «users.name 'n'»
1: users.email from users.2

SELECT u.id FROM users u JOIN archive a USING (email)
=> SELECT u.id FROM public.users u JOIN public.archive a USING (email)

SELECT email, name FROM users JOIN archive USING (email, name)
=> SELECT email, name FROM public.users JOIN public.archive USING (email, name)
1: users.email from users.2
2: users.name from users.3

SELECT * FROM users RIGHT JOIN archive USING (email)
=> SELECT * FROM public.users RIGHT JOIN public.archive USING (email)
1: users.email from archive.1
3: users.name from users.3
4: users.ssn from users.4
5: users.born from users.5
6: users.active from users.6
7: users.age from users.7
8: users.score from users.8
9: users.mood from users.9
12: archive.ssn from archive.2
13: archive.name from archive.3

SELECT email FROM users FULL JOIN archive USING (email)
=> SELECT email FROM public.users FULL JOIN public.archive USING (email)
1: users.email from nowhere

SELECT email FROM users u NATURAL JOIN (SELECT email FROM archive) a
=> SELECT email FROM public.users u NATURAL JOIN (SELECT email FROM public.archive) a
1: users.email from users.2

SELECT id FROM users JOIN archive USING (ssn)
=> refuse 0A000 at 42: column public.users.ssn is encrypted as randomized, so JOIN USING cannot be carried out on it

SELECT users.email, public.users.name FROM users
=> SELECT users.email, public.users.name FROM public.users
1: users.email from users.2
2: users.name from users.3

SELECT users.email FROM public.users
=> SELECT users.email FROM public.users
1: users.email from users.2

SELECT "users"."email" FROM "public"."users" WHERE "users"."email" = $1
=> SELECT "users"."email" FROM "public"."users" WHERE "users"."email" = $1
$1: users.email
1: users.email from users.2

SELECT USERS.EMAIL FROM PUBLIC.Users
=> SELECT USERS.EMAIL FROM PUBLIC.Users
1: users.email from users.2

SELECT "Email" FROM users
=> refuse 42703 at 8: column "Email" does not exist

SELECT u.nope FROM users u
=> refuse 42703 at 8: column u.nope does not exist

SELECT x.id FROM users u
=> refuse 42P01 at 8: missing FROM-clause entry for table "x"

SELECT id FROM app.public.users
=> SELECT id FROM app.public.users

SELECT email FROM users WHERE id IN (SELECT user_id FROM orders WHERE total > 5)
=> SELECT email FROM public.users WHERE id IN (SELECT user_id FROM orders WHERE total > 5)
1: users.email from users.2

SELECT email FROM users WHERE email IN (SELECT user_email FROM customers)
=> SELECT email FROM public.users WHERE email IN (SELECT user_email FROM public.customers)
1: users.email from users.2

SELECT email FROM users WHERE email IN (SELECT note FROM customers)
=> refuse 0A000 at 31: column public.users.email is encrypted, so it cannot meet an expression that is not in IN

SELECT email FROM users WHERE EXISTS (SELECT 1 FROM customers c WHERE c.user_email = users.email AND c.phone = $1)
=> SELECT email FROM public.users WHERE EXISTS (SELECT 1 FROM public.customers c WHERE c.user_email = users.email AND c.phone = $1)
$1: customers.phone
1: users.email from users.2

SELECT email FROM users u WHERE email = (SELECT user_email FROM customers WHERE id = u.id)
=> SELECT email FROM public.users u WHERE email = (SELECT user_email FROM public.customers WHERE id = u.id)
1: users.email from users.2

SELECT (SELECT email FROM users WHERE id = 1)
=> SELECT (SELECT email FROM public.users WHERE id = 1)
1: users.email from nowhere

SELECT s.mail FROM (SELECT email AS mail FROM users) s WHERE s.mail = 'x'
=> SELECT s.mail FROM (SELECT email AS mail FROM public.users) s WHERE s.mail = «users.email 'x'»
1: users.email from users.2

SELECT * FROM (SELECT id, email FROM users WHERE bio = 'b') AS s (a, b) WHERE b = $1
=> SELECT * FROM (SELECT id, email FROM public.users WHERE bio = 'b') AS s (a, b) WHERE b = $1
$1: users.email
2: users.email from users.2

SELECT u.id, l.phone FROM users u, LATERAL (SELECT phone FROM customers c WHERE c.user_email = u.email) l
=> SELECT u.id, l.phone FROM public.users u, LATERAL (SELECT phone FROM public.customers c WHERE c.user_email = u.email) l
2: customers.phone from customers.3

SELECT u.id FROM users u, (SELECT phone FROM customers c WHERE c.user_email = u.email) l
=> refuse 42P01 at 79: missing FROM-clause entry for table "u"

WITH e AS (SELECT email FROM users WHERE id = 1) SELECT * FROM e WHERE email = 'x'
=> WITH e AS (SELECT email FROM public.users WHERE id = 1) SELECT * FROM e WHERE email = «users.email 'x'»
1: users.email from users.2

WITH users AS (SELECT 1 AS id, 'x' AS email) SELECT email FROM users WHERE email = 'y'
=> forward

WITH users AS (SELECT email FROM users) SELECT email FROM users
=> WITH users AS (SELECT email FROM public.users) SELECT email FROM users
1: users.email from users.2

WITH e (x) AS (SELECT email FROM users), f AS (SELECT x FROM e) SELECT x FROM f WHERE x = $1
=> WITH e (x) AS (SELECT email FROM public.users), f AS (SELECT x FROM e) SELECT x FROM f WHERE x = $1
$1: users.email
1: users.email from users.2

WITH RECURSIVE t (n, e) AS (SELECT id, email FROM users WHERE id = 1 UNION ALL SELECT t.n + 1, u.email FROM t JOIN users u ON u.id = t.n) SELECT e FROM t
=> WITH RECURSIVE t (n, e) AS (SELECT id, email FROM public.users WHERE id = 1 UNION ALL SELECT t.n + 1, u.email FROM t JOIN public.users u ON u.id = t.n) SELECT e FROM t
1: users.email from nowhere

SELECT email FROM users UNION SELECT user_email FROM customers
=> SELECT email FROM public.users UNION SELECT user_email FROM public.customers
1: users.email from nowhere

SELECT email FROM users UNION ALL SELECT 'none'
=> SELECT email FROM public.users UNION ALL SELECT «users.email store 'none'» AS "?column?"
1: users.email from nowhere

SELECT ssn FROM users UNION ALL SELECT ssn FROM archive
=> SELECT ssn FROM public.users UNION ALL SELECT ssn FROM public.archive
1: users.ssn from nowhere

SELECT ssn FROM users UNION SELECT ssn FROM archive
=> refuse 0A000 at 36: column public.users.ssn is encrypted as randomized, so UNION cannot be carried out on it

SELECT email FROM users UNION ALL SELECT bio FROM users
=> refuse 0A000 at 42: column public.users.email is encrypted, so it cannot meet an expression that is not in UNION

SELECT email FROM users UNION ALL SELECT phone FROM customers
=> refuse 0A000 at 42: columns public.users.email and public.customers.phone are encrypted differently, so they cannot meet in UNION

SELECT email FROM users EXCEPT SELECT user_email FROM customers ORDER BY 1
=> refuse 0A000 at 74: column public.users.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT $1 UNION SELECT email FROM users
=> SELECT $1 UNION SELECT email FROM public.users
$1: users.email store
1: users.email from nowhere

SELECT id FROM users WHERE email IN (SELECT $1)
=> SELECT id FROM public.users WHERE email IN (SELECT $1)
$1: users.email as text

SELECT CASE WHEN id = 1 THEN email ELSE 'none' END FROM users
=> SELECT CASE WHEN id = 1 THEN email ELSE «users.email store 'none'» END FROM public.users
1: users.email from nowhere

SELECT CASE email WHEN 'a' THEN 1 WHEN $1 THEN 2 END FROM users
=> SELECT CASE email WHEN «users.email 'a'» THEN 1 WHEN $1 THEN 2 END FROM public.users
$1: users.email

SELECT CASE WHEN email = 'a' THEN bio ELSE email END FROM users
=> refuse 0A000 at 44: column public.users.email is encrypted, so it cannot meet an expression that is not in CASE

SELECT coalesce(email, 'none'), nullif(email, $1) FROM users
=> SELECT coalesce(email, «users.email store 'none'»), nullif(email, $1) FROM public.users
$1: users.email
1: users.email from nowhere
2: users.email from nowhere

SELECT coalesce(ssn, 'none') FROM users
=> SELECT coalesce(ssn, «users.ssn store 'none'») FROM public.users
1: users.ssn from nowhere

SELECT greatest(email, 'a') FROM users
=> refuse 0A000 at 8: column public.users.email is encrypted without order, so GREATEST cannot be carried out on it

SELECT id FROM users WHERE (email, name) = ($1, 'n')
=> SELECT id FROM public.users WHERE (email, name) = ($1, «users.name 'n'»)
$1: users.email

SELECT id FROM users WHERE (email, id) IN (($1, 1), ('b', $2))
=> SELECT id FROM public.users WHERE (email, id) IN (($1, 1), («users.email 'b'», $2))
$1: users.email

SELECT id FROM users WHERE ROW(email, id) = ROW('a', 1)
=> SELECT id FROM public.users WHERE ROW(email, id) = ROW(«users.email 'a'», 1)

SELECT (email, id) FROM users
=> refuse 0A000 at 16: a row as one value cannot be carried out on encrypted column public.users.email

SELECT users FROM users
=> refuse 0A000 at 8: a row of users as one value would hand out encrypted columns

SELECT u FROM users u
=> refuse 0A000 at 8: a row of u as one value would hand out encrypted columns

SELECT row_to_json(u) FROM users u
=> refuse 0A000 at 20: a row of u as one value would hand out encrypted columns

SELECT u::text FROM users u
=> refuse 0A000 at 8: a row of u as one value would hand out encrypted columns

SELECT count(u) FROM users u
=> refuse 0A000 at 14: a row of u as one value would hand out encrypted columns

SELECT (u).email FROM users u
=> refuse 0A000 at 9: a row of u as one value would hand out encrypted columns

SELECT email(u) FROM users u
=> refuse 0A000 at 14: a row of u as one value would hand out encrypted columns

SELECT p FROM plain p
=> forward

SELECT json_agg(plain) FROM plain
=> forward

SELECT array_agg(email) FROM users
=> SELECT array_agg(email) FROM public.users
1: array of users.email from nowhere

SELECT array_agg(email ORDER BY id) FILTER (WHERE email <> 'x') FROM users
=> SELECT array_agg(email ORDER BY id) FILTER (WHERE email <> «users.email 'x'») FROM public.users
1: array of users.email from nowhere

SELECT (array_agg(email))[1] FROM users
=> SELECT (array_agg(email))[1] FROM public.users
1: users.email from nowhere

SELECT unnest(array_agg(email)) FROM users
=> SELECT unnest(array_agg(email)) FROM public.users
1: users.email from nowhere

SELECT e FROM (SELECT array_agg(email) AS a FROM users) s, unnest(s.a) AS e WHERE e = 'x'
=> SELECT e FROM (SELECT array_agg(email) AS a FROM public.users) s, unnest(s.a) AS e WHERE e = «users.email 'x'»
1: users.email from nowhere

SELECT string_agg(email, ',') FROM users
=> refuse 0A000 at 8: function string_agg cannot be carried out on encrypted column public.users.email

SELECT first_value(email) OVER (PARTITION BY name ORDER BY id), lag(email, 1, 'none') OVER w FROM users WINDOW w AS (ORDER BY id)
=> SELECT first_value(email) OVER (PARTITION BY name ORDER BY id), lag(email, 1, «users.email store 'none'») OVER w FROM public.users WINDOW w AS (ORDER BY id)
1: users.email from nowhere
2: users.email from nowhere

SELECT rank() OVER (ORDER BY email) FROM users
=> refuse 0A000 at 30: column public.users.email is encrypted without order, so ORDER BY cannot be carried out on it

SELECT rank() OVER (PARTITION BY ssn) FROM users
=> refuse 0A000 at 34: column public.users.ssn is encrypted as randomized, so PARTITION BY cannot be carried out on it

SELECT v.a FROM (VALUES ($1, 1), ('b', 2)) AS v (a, n) JOIN users ON users.email = v.a
=> SELECT v.a FROM (VALUES ($1, 1), («users.email as text 'b'», 2)) AS v (a, n) JOIN public.users ON users.email = v.a
$1: users.email as text
1: users.email from nowhere

VALUES ('a', 1), ('b', 2)
=> forward

TABLE users
=> TABLE public.users
2: users.email from users.2
3: users.name from users.3
4: users.ssn from users.4
5: users.born from users.5
6: users.active from users.6
7: users.age from users.7
8: users.score from users.8
9: users.mood from users.9

TABLE plain
=> forward

SELECT * FROM unnest($1::text[]) AS e JOIN users ON users.email = e
=> SELECT * FROM unnest($1::pg_catalog.bytea[]) AS e JOIN public.users ON users.email = e
$1: array of users.email as text
1: users.email from nowhere
3: users.email from users.2
4: users.name from users.3
5: users.ssn from users.4
6: users.born from users.5
7: users.active from users.6
8: users.age from users.7
9: users.score from users.8
10: users.mood from users.9

SELECT * FROM unnest($1::text[], $2::int[]) AS x (e, n) JOIN users ON users.email = x.e
=> SELECT * FROM unnest($1::pg_catalog.bytea[], $2::int[]) AS x (e, n) JOIN public.users ON users.email = x.e
$1: array of users.email as text
1: users.email from nowhere
4: users.email from users.2
5: users.name from users.3
6: users.ssn from users.4
7: users.born from users.5
8: users.active from users.6
9: users.age from users.7
10: users.score from users.8
11: users.mood from users.9

SELECT * FROM user_emails WHERE mail = 'x'
=> SELECT * FROM public.user_emails WHERE mail = «users.email 'x'»
2: users.email from user_emails.2

SELECT mail FROM over_view WHERE mail = $1
=> SELECT mail FROM public.over_view WHERE mail = $1
$1: users.email
1: users.email from over_view.1

SELECT * FROM lowered
=> refuse 0A000 at 15: public.lowered cannot be used: its query cannot be carried out over encrypted columns: function lower cannot be carried out on encrypted column public.users.email

SELECT * FROM admins
=> refuse 0A000 at 15: public.admins cannot be used: its query cannot be carried out over encrypted columns: it compares an encrypted column with a constant that is not encrypted

SELECT id FROM plain_view
=> forward

SELECT * FROM mails
=> SELECT * FROM public.mails
1: array of users.email from mails.1

SELECT actor FROM events WHERE actor = 'x'
=> SELECT actor FROM public.events WHERE actor = «events.actor 'x'»
1: events.actor from events.2

SELECT actor FROM events_2024 WHERE actor = 'x'
=> SELECT actor FROM public.events_2024 WHERE actor = «events.actor 'x'»
1: events.actor from events_2024.2

SELECT actor FROM ONLY events WHERE actor = 'x'
=> SELECT actor FROM ONLY public.events WHERE actor = «events.actor 'x'»
1: events.actor from events.2

SELECT "Select" FROM "Weird Table" WHERE "Select" = 'x'
=> SELECT "Select" FROM public."Weird Table" WHERE "Select" = «Weird Table.Select 'x'»
1: Weird Table.Select from Weird Table.2

SELECT title, body FROM notes WHERE title = 'x' AND body IS NULL
=> SELECT title, body FROM public.notes WHERE title = «notes.title 'x'» AND body IS NULL
1: notes.title from notes.3
2: notes.body from notes.4

SELECT title::text FROM notes WHERE title::text = $1::text
=> SELECT title::text FROM public.notes WHERE title::text = $1::pg_catalog.text
$1: notes.title as text
1: notes.title from notes.3

SELECT title::varchar(5) FROM notes
=> refuse 0A000 at 8: encrypted column public.notes.title cannot be cast to VARCHAR(5)

SELECT body::text FROM notes
=> SELECT body::text FROM public.notes
1: notes.body from nowhere

SELECT data->>'a' FROM notes
=> refuse 0A000 at 8: operator ->> cannot be carried out on encrypted column public.notes.data

SELECT labels[1] FROM notes
=> refuse 0A000 at 15: a subscript cannot be carried out on encrypted column public.notes.labels

SELECT id FROM notes WHERE 'a' = ANY(labels)
=> refuse 0A000 at 28: operator = ANY cannot be carried out on encrypted column public.notes.labels

SELECT amount FROM ledger WHERE amount > 5 AND amount BETWEEN $1 AND $2 ORDER BY amount DESC
=> SELECT amount FROM public.ledger WHERE amount > «ledger.amount as int4 '5'» AND amount BETWEEN $1 AND $2 ORDER BY amount DESC
$1: ledger.amount
$2: ledger.amount
1: ledger.amount from ledger.2

SELECT max(amount) FROM ledger
=> refuse 0A000 at 8: function max cannot be carried out on encrypted column public.ledger.amount

SELECT ctid, tableoid, xmin, id FROM users WHERE email = 'x'
=> SELECT ctid, tableoid, xmin, id FROM public.users WHERE email = «users.email 'x'»

SELECT email, current_user, now(), localtimestamp FROM users
=> SELECT email, current_user, now(), localtimestamp FROM public.users
1: users.email from users.2

SELECT id FROM users TABLESAMPLE system (10)
=> SELECT id FROM public.users TABLESAMPLE system (10)

SELECT id::numeric(10,2), CAST(id AS numeric(5)), extract(year from created), extract('year' from created) FROM users WHERE email = 'x'
=> SELECT id::numeric(10,2), CAST(id AS numeric(5)), extract(year from created), extract('year' from created) FROM public.users WHERE email = «users.email 'x'»

SELECT u.id FROM users u JOIN pg_class c ON c.relname = u.bio WHERE u.email = 'x'
=> SELECT u.id FROM public.users u JOIN pg_class c ON c.relname = u.bio WHERE u.email = «users.email 'x'»

SELECT * FROM users u JOIN pg_class c ON true
=> refuse 0A000 at 42: * over a relation whose columns are not known is not supported in a statement that names users

SELECT u.email FROM users u WHERE EXISTS (SELECT 1 FROM pg_class WHERE email = 'x')
=> refuse 42702 at 72: column reference "email" is ambiguous

SELECT * FROM nowhere
=> forward (unresolved)

SELECT * FROM nowhere n JOIN users u ON u.id = n.id
=> refuse 42P01 at 15: relation "nowhere" does not exist

SELECT id FROM other.users WHERE email = 'x'
=> forward

SELECT add_user('x')
=> refuse 0A000 at 8: function public.add_user may reach encrypted columns

SELECT * FROM all_users()
=> refuse 0A000 at 15: function public.all_users may reach encrypted columns

SELECT outer_add('x'), harmless()
=> refuse 0A000 at 8: function public.outer_add may reach encrypted columns

SELECT harmless()
=> forward

SELECT lower(name), users.n FROM plain users WHERE email LIKE 'a%'
=> forward

EXPLAIN SELECT id FROM users WHERE email = 'x'
=> EXPLAIN SELECT id FROM public.users WHERE email = «users.email 'x'»

EXPLAIN (ANALYZE, FORMAT json) SELECT id FROM users WHERE email = 'x'
=> EXPLAIN (ANALYZE, FORMAT json) SELECT id FROM public.users WHERE email = «users.email 'x'»

SELECT id FROM users WHERE email = U&'\0061' AND name = E'a\nb' AND name = $$a'b$$ AND bio = U&'\0061'
=> SELECT id FROM public.users WHERE email = «users.email 'a'» AND name = «users.name 'a
b'» AND name = «users.name 'a'b'» AND bio = U&'\0061'

SELECT id FROM users WHERE email = 'a'
 'b'
=> SELECT id FROM public.users WHERE email = «users.email 'ab'»

SELECT id FROM users /* 'x' */ WHERE email = 'a' -- 'comment'
=> SELECT id FROM public.users /* 'x' */ WHERE email = «users.email 'a'» -- 'comment'

SELECT id FROM users WHERE email = N'a'
=> SELECT id FROM public.users WHERE email = «users.email as bpchar 'a'»

SELECT id FROM users WHERE email = B'01'
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM users WHERE email = X'01'
=> refuse 0A000 at 28: column public.users.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT GROUPING(email), email FROM users GROUP BY ROLLUP (email)
=> SELECT GROUPING(email), email FROM public.users GROUP BY ROLLUP (email)
2: users.email from users.2

SELECT id FROM users GROUP BY GROUPING SETS ((id), (email))
=> SELECT id FROM public.users GROUP BY GROUPING SETS ((id), (email))

SELECT NULL::text, email FROM users UNION ALL SELECT 'x', NULL
=> SELECT NULL::text, email FROM public.users UNION ALL SELECT 'x', NULL
2: users.email from nowhere

SELECT max(id) AS m FROM users HAVING count(email) > 1
=> SELECT max(id) AS m FROM public.users HAVING count(email) > 1

SELECT 'x' AS email FROM users WHERE email = 'y'
=> SELECT 'x' AS email FROM public.users WHERE email = «users.email 'y'»

SELECT email::text, born::date, name::text FROM users WHERE email::text = 'x' AND CAST(age AS integer) = 5
=> SELECT email::pg_catalog.bytea, born::pg_catalog.bytea, name::pg_catalog.bytea FROM public.users WHERE email::pg_catalog.bytea = «users.email 'x'» AND CAST(age AS pg_catalog.bytea) = «users.age as int4 '5'»
1: users.email from users.2
2: users.born from users.5
3: users.name from users.3

SELECT age::int8, score::numeric, active::boolean, mood::mood FROM users
=> refuse 0A000 at 19: encrypted column public.users.score cannot be cast to NUMERIC

SELECT email::char(5) FROM users
=> refuse 0A000 at 8: encrypted column public.users.email cannot be cast to CHAR(5)

SELECT mood::mood, active::boolean, users.email::varchar FROM users
=> SELECT mood::pg_catalog.bytea, active::pg_catalog.bytea, users.email::pg_catalog.bytea FROM public.users
1: users.mood from users.9
2: users.active from users.6
3: users.email from users.2

SELECT coalesce(score, 0) FROM users
=> refuse 0A000 at 24: a constant cannot stand beside encrypted column public.users.score in CASE, COALESCE, VALUES or a set operation, because its type or scale would differ

SELECT coalesce(score, NULL), coalesce(age, 1), coalesce(name, 'n') FROM users
=> SELECT coalesce(score, NULL), coalesce(age, «users.age store as int4 '1'»), coalesce(name, «users.name store 'n'») FROM public.users
1: users.score from nowhere
2: users.age from nowhere
3: users.name from nowhere

SELECT coalesce(age, 1.5) FROM users
=> refuse 0A000 at 22: a constant cannot stand beside encrypted column public.users.age in CASE, COALESCE, VALUES or a set operation, because its type or scale would differ

SELECT coalesce(age, 3000000000) FROM users
=> refuse 0A000 at 22: a constant cannot stand beside encrypted column public.users.age in CASE, COALESCE, VALUES or a set operation, because its type or scale would differ

SELECT coalesce(born, timestamp '2020-01-01 10:00') FROM users
=> refuse 0A000 at 33: a constant cannot stand beside encrypted column public.users.born in CASE, COALESCE, VALUES or a set operation, because its type or scale would differ

SELECT score FROM users UNION ALL SELECT $1
=> refuse 0A000 at 42: a constant cannot stand beside encrypted column public.users.score in CASE, COALESCE, VALUES or a set operation, because its type or scale would differ

SELECT id::text, name::text FROM plain, users WHERE email = 'x'
=> refuse 42702 at 8: column reference "id" is ambiguous

--! A result column keeps the name that PostgreSQL gives it.

SELECT 'x' UNION SELECT email FROM users
=> SELECT «users.email store 'x'» AS "?column?" UNION SELECT email FROM public.users
1: users.email from nowhere

SELECT 'x'::varchar::text UNION SELECT email FROM users
=> SELECT «users.email store as text 'x'»::pg_catalog.bytea::pg_catalog.bytea AS "text" UNION SELECT email FROM public.users
1: users.email from nowhere

SELECT CAST(('x') AS character varying) UNION SELECT email FROM users
=> refuse 0A000 at 14: a constant cannot stand beside encrypted column public.users.email in CASE, COALESCE, VALUES or a set operation, because its type or scale would differ

SELECT $1::date UNION SELECT born FROM users
=> SELECT $1::pg_catalog.bytea AS "date" UNION SELECT born FROM public.users
$1: users.born store as date
1: users.born from nowhere

SELECT $1 UNION SELECT email FROM users
=> SELECT $1 UNION SELECT email FROM public.users
$1: users.email store
1: users.email from nowhere

SELECT date '2020-01-01'UNION SELECT born FROM users
=> SELECT  «users.born store as date '2020-01-01'» AS "date"UNION SELECT born FROM public.users
1: users.born from nowhere

SELECT NULL::text UNION SELECT email FROM users
=> SELECT NULL::pg_catalog.bytea AS "text" UNION SELECT email FROM public.users
1: users.email from nowhere

SELECT -5 UNION SELECT age FROM users
=> SELECT «users.age store as int4 '-5'» AS "?column?" UNION SELECT age FROM public.users
1: users.age from nowhere

SELECT true UNION SELECT active FROM users
=> SELECT «users.active store as bool 'true'» AS "?column?" UNION SELECT active FROM public.users
1: users.active from nowhere

SELECT 'sad'::public.mood UNION SELECT mood FROM users
=> SELECT «users.mood store as 16500 'sad'»::pg_catalog.bytea AS "mood" UNION SELECT mood FROM public.users
1: users.mood from nowhere

SELECT (SELECT 'x'), 'y' FROM users WHERE (SELECT 'z') = email
=> SELECT (SELECT 'x'), 'y' FROM public.users WHERE (SELECT «users.email as text 'z'» AS "?column?") = email

--! Types that meet become the type that PostgreSQL gives them.

SELECT array_agg(labels) FROM notes
=> refuse 0A000 at 8: function array_agg cannot be carried out on encrypted column public.notes.labels

SELECT ARRAY[labels, labels] FROM notes
=> refuse 0A000 at 22: ARRAY cannot be carried out on encrypted column public.notes.labels

SELECT array_agg(DISTINCT email) FROM users
=> refuse 0A000 at 27: column public.users.email is encrypted without order, so DISTINCT cannot be carried out on it

SELECT count(DISTINCT email), array_agg(email) FROM users
=> SELECT count(DISTINCT email), array_agg(email) FROM public.users
2: array of users.email from nowhere

SELECT NULLIF(name, 'x') FROM users
=> SELECT NULLIF(name, «users.name 'x'») FROM public.users
1: users.name from nowhere

SELECT id FROM users WHERE born = CASE WHEN id > 1 THEN '2020-01-01' END
=> SELECT id FROM public.users WHERE born = CASE WHEN id > 1 THEN «users.born as text '2020-01-01'» END

VALUES (NULL, 'x') INTERSECT SELECT email, ssn FROM users
=> refuse 0A000 at 44: column public.users.ssn is encrypted as randomized, so INTERSECT cannot be carried out on it

VALUES (NULL, 'x') INTERSECT SELECT email, name FROM users
=> refuse 0A000 at 15: a constant cannot stand beside encrypted column public.users.name in CASE, COALESCE, VALUES or a set operation, because its type or scale would differ

SELECT (NULL) UNION ALL VALUES (NULL) UNION ALL SELECT email FROM users
=> SELECT (NULL::pg_catalog.bytea) AS "?column?" UNION ALL VALUES (NULL::pg_catalog.bytea) UNION ALL SELECT email FROM public.users
1: users.email from nowhere
