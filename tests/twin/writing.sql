--! INSERT.

INSERT INTO people (id, email) VALUES (20, $1), (21, $2)
$1 = a
$2 = b
=> same

INSERT INTO people (id, email, born) VALUES (20, $1, $2), (21, DEFAULT, DEFAULT), (22, NULL, '2000-01-01') RETURNING id, email, born
$1 = a
$2 = 2001-01-01
=> same

INSERT INTO people (id, email) SELECT 20, $1
$1 = a
=> same

INSERT INTO people (id, email) SELECT 20, $1::text
$1 = a
=> same

INSERT INTO people (id, born, level) SELECT 20, $1, $2
$1 = 2001-01-01
$2 = 5
=> same

INSERT INTO people (id, born, level) SELECT 20, $1::date, $2::int WHERE NOT EXISTS (SELECT 1 FROM people WHERE born = $1::date)
$1 = 2001-01-01
$2 = 5
=> same

INSERT INTO people (id, email) SELECT 20, $1 WHERE NOT EXISTS (SELECT 1 FROM people WHERE email = $1)
$1 = a
=> same

INSERT INTO people (id, email) SELECT 20, $1::varchar WHERE NOT EXISTS (SELECT 1 FROM people WHERE email = $1)
$1 = a
=> same

INSERT INTO people (id, email, level) SELECT * FROM unnest($1::int[], $2::text[], $3::int[])
$1 = {20,21}
$2 = {a,NULL}
$3 = {1,2}
=> same

INSERT INTO people (id, email, level) SELECT id, email, level FROM unnest($1::int[], $2::text[], $3::int[]) AS u(id, email, level) RETURNING *
$1 = {20,21}
$2 = {a,NULL}
$3 = {1,2}
=> same

INSERT INTO people (id, email) SELECT 20 + n, e FROM unnest($1::text[]) WITH ORDINALITY AS u(e, n)
$1 = {a,b}
=> same

INSERT INTO people (id, email) SELECT unnest($1::int[]), unnest($2::text[])
$1 = {20,21}
$2 = {a,b}
=> same

INSERT INTO people (id, city) SELECT unnest($1::int[]), unnest($2::varchar[])
$1 = {20,21}
$2 = {a,b}
=> same

INSERT INTO people (id, email) SELECT v.id, v.email FROM (VALUES (20, $1), (21, $2)) AS v(id, email)
$1 = a
$2 = b
=> same

INSERT INTO people (id, email) SELECT v.id, v.email::text FROM (VALUES (20, $1), (21, $2)) AS v(id, email)
$1 = a
$2 = b
=> same

INSERT INTO people (id, born) SELECT v.id, v.born::date FROM (VALUES (20, $1), (21, $2)) AS v(id, born)
$1 = 2001-01-01
$2 is null
=> same

INSERT INTO people (email) SELECT p0::VARCHAR FROM (VALUES ($1, 0), ($2, 1)) AS imp_sen(p0, sen_counter) ORDER BY sen_counter RETURNING id, id AS id__1
$1 = a
$2 = b
=> same error 23502

INSERT INTO people (id, email, level) SELECT p0::INTEGER, p1::VARCHAR, p2::INTEGER FROM (VALUES ($1, $2, $3, 0), ($4, $5, $6, 1)) AS imp_sen(p0, p1, p2, sen_counter) ORDER BY sen_counter RETURNING people.id, people.id AS id__1
$1 = 20
$2 = a
$3 = 1
$4 = 21
$5 = b
$6 is null
=> same

INSERT INTO people (id, email, notes, born) SELECT p0::INTEGER, p1::VARCHAR, p2::JSONB, p3::DATE FROM (VALUES ($1, $2, $3, $4, 0)) AS imp_sen(p0, p1, p2, p3, sen_counter) ORDER BY sen_counter RETURNING people.id
$1 = 20
$2 = a
$3 = {"a": 1}
$4 = 2000-01-01
=> same

INSERT INTO people (id, email) VALUES ($1::INTEGER, $2::VARCHAR) RETURNING people.id
$1 = 20
$2 = a
=> same

INSERT INTO people (id, city) VALUES ($1::INTEGER, $2::VARCHAR(20))
$1 = 20
$2 = Paris
=> same

INSERT INTO people (id, city) VALUES (20, 'Paris'::varchar(20))
=> same

INSERT INTO people (id, city) VALUES (20, 'a city of more than twenty characters'::varchar(20))
=> same

INSERT INTO people DEFAULT VALUES
=> same error 23502

INSERT INTO people VALUES (20)
=> same

INSERT INTO people (id, email) SELECT id + 50, email || 'x' FROM orders
=> refused operator || cannot be carried out on encrypted column public.orders.email

INSERT INTO people (id, email) SELECT id + 50, memo FROM orders
=> refused columns public.people.email and public.orders.memo are encrypted differently, so they cannot meet in an assignment

INSERT INTO people (id, email) SELECT id + 50, min(email) FROM orders GROUP BY id
=> refused function min cannot be carried out on encrypted column public.orders.email

INSERT INTO orders (id, email, level) SELECT id + 50, email, level FROM people ORDER BY id
=> same

INSERT INTO orders (id, email) SELECT id + 50, 'x' FROM people UNION ALL SELECT id + 70, email FROM people
=> same

INSERT INTO orders (id, email) SELECT id + 50, COALESCE(email, 'none') FROM people
=> same

INSERT INTO orders (id, email) SELECT id + 50, CASE WHEN id = 1 THEN email ELSE $1 END FROM people
$1 = x
=> same

INSERT INTO people (id, level) SELECT id + 50, level FROM orders
=> refused column public.orders.level is declared with a wider type than public.people.level, so it cannot be stored there

INSERT INTO plain (id, email) SELECT id + 50, email FROM people
=> refused column public.people.email is encrypted, so it cannot be stored in column email, which is not

INSERT INTO plain (id, email) SELECT id + 50, 'x' FROM people WHERE email = 'ada@example.com'
=> same

INSERT INTO plain (id, n) SELECT 50, count(*) FROM people WHERE email IS NOT NULL
=> same

INSERT INTO people (id, email) OVERRIDING SYSTEM VALUE VALUES (20, 'a')
=> same

INSERT INTO people AS p (id, email) VALUES (20, 'a') RETURNING p.email AS e, p.*
=> same

WITH v AS (SELECT 20 AS id, $1 AS email) INSERT INTO people (id, email) SELECT id, email FROM v
$1 = a
=> same

WITH v (id, email) AS (VALUES (20, $1::text), (21, $2)) INSERT INTO people (id, email) SELECT id, email FROM v RETURNING *
$1 = a
$2 = b
=> same

INSERT INTO kinds (id, ia, ta) VALUES (20, ARRAY[1, 2], ARRAY['a', NULL])
=> same

INSERT INTO kinds (id, ia, ta) VALUES (20, ARRAY[$1, $2]::int[], ARRAY[$3]::text[])
$1 = 1
$2 is null
$3 = a,"b
=> refused only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.kinds.ia; simple: same

INSERT INTO kinds (id, ta) VALUES (20, ARRAY[]::text[])
=> refused only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.kinds.ta

INSERT INTO kinds (id, ta) VALUES (20, ARRAY['a', 'b']::varchar[])
=> same

INSERT INTO kinds (id, ia) VALUES (20, ARRAY['1', '2'])
=> refused a value of type text[] cannot be stored in an encrypted column of type integer[]

INSERT INTO kinds (id, ia) VALUES (20, ARRAY[1, 3000000000])
=> same error 22003

INSERT INTO kinds (id, ta) VALUES (20, ARRAY[['a', 'b'], ['c', 'd']])
=> same

INSERT INTO kinds (id, ta) VALUES (20, ARRAY[E'a\'b', 'c"d', 'e,f', '{', 'null', ''])
=> same

INSERT INTO kinds (id, ia) VALUES (20, '{1,2}'::int[])
=> same

INSERT INTO kinds (id, ia, ta) VALUES (20, $1, $2)
$1 = {1,2}
$2 = {a}
=> same

UPDATE kinds SET ta = ARRAY['x'] WHERE id = 1 RETURNING ta
=> same

UPDATE kinds SET ta = ARRAY[$1, 'y'] WHERE id = 1 RETURNING ta
$1 = x
=> refused only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.kinds.ta; simple: same

UPDATE kinds SET ta = array_append(ta, 'x') WHERE id = 1
=> refused function array_append cannot be carried out on encrypted column public.kinds.ta

UPDATE kinds SET ta[1] = 'x' WHERE id = 1
=> refused this statement names kinds, which has encrypted columns, and is not understood

--! ON CONFLICT.

INSERT INTO people (id, email, ssn) VALUES (20, $1, $2) ON CONFLICT (email) DO UPDATE SET ssn = EXCLUDED.ssn RETURNING id, email, ssn
$1 = ada@example.com
$2 = new
=> same

INSERT INTO people (id, email, ssn) VALUES (20, $1, $2) ON CONFLICT (email) DO UPDATE SET ssn = EXCLUDED.ssn WHERE people.email = EXCLUDED.email AND people.born <> $3
$1 = ada@example.com
$2 = new
$3 = 2000-01-01
=> same

INSERT INTO people (id, email, name) VALUES (20, $1, $2) ON CONFLICT (email) DO UPDATE SET name = COALESCE(EXCLUDED.name, people.name), born = COALESCE(people.born, EXCLUDED.born)
$1 = ada@example.com
$2 = new
=> same

INSERT INTO people AS p (id, email, level) VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET (email, level) = (EXCLUDED.email, EXCLUDED.level) WHERE p.email IS DISTINCT FROM EXCLUDED.email RETURNING *
$1 = changed
$2 = 8
=> same

INSERT INTO people AS p (id, email, level) VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET email = $1, level = p.level
$1 = changed
$2 = 8
=> same

INSERT INTO people (id, email) VALUES (20, 'ada@example.com') ON CONFLICT ON CONSTRAINT people_email_key DO UPDATE SET born = '2000-01-01'
=> same

INSERT INTO people (id, email) VALUES (1, 'x') ON CONFLICT DO NOTHING
=> same

INSERT INTO people (id, email) VALUES (20, 'ada@example.com') ON CONFLICT (email) WHERE id > 0 DO NOTHING
=> same

INSERT INTO people (id, email) VALUES (20, 'ada@example.com') ON CONFLICT (email) WHERE email IS NOT NULL DO NOTHING
=> same

INSERT INTO people (id, email) VALUES (20, 'ada@example.com') ON CONFLICT (lower(email)) DO NOTHING
=> refused this statement names people, which has encrypted columns, and is not understood

INSERT INTO people (id, email) VALUES (20, 'ada@example.com') ON CONFLICT (email COLLATE "C") DO NOTHING
=> refused this statement names people, which has encrypted columns, and is not understood

INSERT INTO people (id, email) VALUES (20, 'x') ON CONFLICT (email) DO UPDATE SET email = EXCLUDED.name
=> refused only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.people.email

INSERT INTO people (id, email) VALUES (20, 'ada@example.com') ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.email
=> refused column public.people.email is encrypted, so it cannot be stored in column name, which is not

INSERT INTO people (id, email) VALUES (20, 'ada@example.com') ON CONFLICT (email) DO UPDATE SET email = lower(EXCLUDED.email)
=> refused function lower cannot be carried out on encrypted column public.people.email

INSERT INTO people (id, email) VALUES (20, 'ada@example.com') ON CONFLICT (email) DO UPDATE SET email = DEFAULT, name = DEFAULT
=> same

INSERT INTO people (id, email) SELECT 20, email FROM orders WHERE id = 1 ON CONFLICT (email) DO UPDATE SET born = (SELECT born FROM people WHERE id = 2)
=> same

INSERT INTO "people" ("id","email","team") VALUES (20, 'a', 1), (21, 'b', 2) ON CONFLICT ("email") DO UPDATE SET "team"=excluded."team" RETURNING "id"
=> same

--! UPDATE.

UPDATE people SET email = CASE WHEN (people.id = $1) THEN $2 WHEN (people.id = $3) THEN $4 ELSE NULL END WHERE people.id IN ($1, $3)
$1 = 1
$2 = a
$3 = 2
$4 = b
=> same

UPDATE people SET email = CASE WHEN (people.id = 1) THEN 'a' WHEN (people.id = 2) THEN 'b' ELSE NULL END WHERE people.id IN (1, 2)
=> same

UPDATE people SET email = (CASE WHEN (people.id = 1) THEN 'a' WHEN (people.id = 2) THEN $1 ELSE NULL END)::text WHERE people.id IN (1, 2)
$1 = b
=> same

UPDATE people SET city = (CASE WHEN (people.id = 1) THEN 'a' WHEN (people.id = 2) THEN $1 ELSE NULL END)::varchar(20) WHERE people.id IN (1, 2)
$1 = b
=> same

UPDATE people SET city = CAST(CASE WHEN (people.id = 1) THEN 'a' WHEN (people.id = 2) THEN $1 ELSE NULL END AS varchar(20)) WHERE people.id IN (1, 2)
$1 = b
=> same

UPDATE people SET born = (CASE WHEN (people.id = 1) THEN '2000-01-01'::date WHEN (people.id = 2) THEN $1::date ELSE NULL END)::date WHERE people.id IN (1, 2)
$1 = 2001-01-01
=> same

UPDATE people SET born = (CASE WHEN (people.id = 1) THEN '2000-01-01' WHEN (people.id = 2) THEN $1 ELSE NULL END)::date WHERE people.id IN (1, 2)
$1 = 2001-01-01
=> same

UPDATE people SET born = CASE WHEN (people.id = 1) THEN '2000-01-01'::date WHEN (people.id = 2) THEN $1::date ELSE NULL END WHERE people.id IN (1, 2)
$1 = 2001-01-01
=> same

UPDATE people SET born = CASE WHEN (people.id = 1) THEN '2000-01-01' ELSE $1 END WHERE people.id IN (1, 2)
$1 = 2001-01-01
=> refused the cast to text of a constant for encrypted column public.people.born cannot be carried out; simple: refused a value of type text cannot be stored in an encrypted column of type date

UPDATE people SET level = (CASE WHEN (people.id = 1) THEN 1 WHEN (people.id = 2) THEN $1 ELSE NULL END)::integer WHERE people.id IN (1, 2)
$1 = 7
=> same

UPDATE people SET level = CASE WHEN (people.id = 1) THEN 1 WHEN (people.id = 2) THEN 2 ELSE NULL END WHERE people.id IN (1, 2)
=> same

UPDATE people SET notes = (CASE WHEN (people.id = 1) THEN '{"a": 1}' ELSE NULL END)::jsonb WHERE people.id IN (1, 2)
=> same

UPDATE people SET notes = CASE WHEN (people.id = 1) THEN '{"a": 1}'::jsonb ELSE NULL END WHERE people.id IN (1, 2)
=> same

UPDATE people SET ssn = CASE WHEN (people.id = 1) THEN 'x' ELSE ssn END
=> same

UPDATE people SET ssn = CASE WHEN (people.id = 1) THEN ssn ELSE $1 END
$1 = x
=> same

UPDATE people SET city = CASE WHEN (people.id = 1) THEN city ELSE $1 END
$1 = x
=> same

UPDATE people SET level = CASE WHEN (people.id = 1) THEN level ELSE 9 END
=> same

UPDATE people SET email = CASE id WHEN 1 THEN 'a' WHEN 2 THEN 'b' ELSE email END
=> same

UPDATE people SET email = CASE email WHEN 'ada@example.com' THEN 'a' ELSE email END
=> same

UPDATE people SET email = COALESCE($1, email) WHERE id = 1
$1 = new
=> same

UPDATE people SET email = COALESCE($1, email) WHERE id = 1
$1 is null
=> same

UPDATE people SET email = COALESCE($1::text, email), born = COALESCE($2::date, born), level = COALESCE($3::int, level) WHERE id = 1
$1 is null
$2 = 2000-01-01
$3 is null
=> same

UPDATE people SET born = COALESCE($1, born), level = COALESCE($2, level) WHERE id = 1
$1 = 2000-01-01
$2 = 8
=> same

UPDATE people SET city = COALESCE($1, city) WHERE id = 1
$1 = Paris
=> same

UPDATE people SET city = COALESCE($1, city) WHERE id = 1
$1 = a text that is longer than twenty characters
=> same error 22001

UPDATE people SET email = NULLIF($1, '') WHERE id = 1
$1 = new
=> same

UPDATE people SET email = NULLIF($1, '') WHERE id = 1
$1 =
=> same

UPDATE people SET email = NULLIF(email, $1) WHERE id = 1
$1 = ada@example.com
=> same

UPDATE people SET email = v.email FROM (VALUES (1, $1), (2, $2)) AS v(id, email) WHERE v.id = people.id
$1 = a
$2 = b
=> same

UPDATE kinds SET i8 = v.x FROM (VALUES (1, '4000000000'), (2, 2), (3, 4000000000)) AS v(id, x) WHERE v.id = kinds.id
=> same

UPDATE kinds SET d = v.x FROM (VALUES (1, '2001-02-03'), (2, date '2002-02-03'), (3, NULL)) AS v(id, x) WHERE v.id = kinds.id
=> same

UPDATE kinds SET f8 = v.x FROM (VALUES (1, '1.5'), (2, 2), (3, 2.25)) AS v(id, x) WHERE v.id = kinds.id
=> same

UPDATE kinds SET i8 = CASE id WHEN 1 THEN 7 WHEN 2 THEN 4000000000 ELSE '4000000001' END
=> same

UPDATE people SET email = v.email::text FROM (VALUES (1, $1), (2, $2)) AS v(id, email) WHERE v.id = people.id
$1 = a
$2 = b
=> same

UPDATE people AS p SET born = v.born::date, level = v.level::int FROM (VALUES (1, $1, $2), (2, $3, $4)) AS v(id, born, level) WHERE v.id = p.id RETURNING p.id, p.born
$1 = 2000-01-01
$2 = 4
$3 is null
$4 is null
=> same

UPDATE people AS p SET born = v.born FROM (VALUES (1, '2000-01-01'::date), (2, NULL)) AS v(id, born) WHERE v.id = p.id
=> same

UPDATE people SET email = u.email FROM unnest($1::int[], $2::text[]) AS u(id, email) WHERE u.id = people.id
$1 = {1,2}
$2 = {a,b}
=> same

UPDATE people SET email = data.email FROM (SELECT unnest($1::int[]) AS id, unnest($2::text[]) AS email) AS data WHERE data.id = people.id
$1 = {1,2}
$2 = {a,b}
=> same

UPDATE people SET email = o.email FROM orders o WHERE o.person = people.id AND o.id = 3
=> same

UPDATE people SET level = o.level FROM orders o WHERE o.person = people.id AND o.id = 3
=> refused column public.orders.level is declared with a wider type than public.people.level, so it cannot be stored there

UPDATE orders SET level = p.level FROM people p WHERE p.id = orders.person
=> same

UPDATE people SET (email, born) = (SELECT email, NULL FROM orders WHERE id = 4) WHERE id = 1
=> refused the cast to text of a constant for encrypted column public.people.born cannot be carried out

UPDATE people SET (email, born) = ROW($1, $2) WHERE id = 1
$1 = x
$2 = 2000-01-01
=> same

UPDATE people SET email = (SELECT email FROM orders WHERE id = 4) WHERE id = 1
=> same

UPDATE people SET email = (SELECT $1) WHERE id = 1
$1 = x
=> same

UPDATE people SET email = $1, ssn = $2, born = $3 WHERE id = $4 AND email = $5
$1 = x
$2 = y
$3 = 2000-01-01
$4 = 1
$5 = ada@example.com
=> same

UPDATE people SET email = $1 WHERE email = $1
$1 = ada@example.com
=> same

UPDATE people SET name = $1, email = $1 WHERE id = 1
$1 = both
=> refused parameter $1 is used both for encrypted column public.people.email and as a value that is not encrypted; simple: same

UPDATE people SET email = DEFAULT WHERE id = 1
=> same

UPDATE people SET email = email, ssn = ssn
=> same

UPDATE ONLY people SET email = 'x' WHERE email = 'ada@example.com'
=> same

UPDATE people SET level = level + 1
=> refused operator + cannot be carried out on encrypted column public.people.level

UPDATE people SET email = email || 'x'
=> refused operator || cannot be carried out on encrypted column public.people.email

UPDATE people SET born = CURRENT_DATE WHERE id = 1
=> refused only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.people.born

UPDATE people SET team = 5 WHERE email = 'ada@example.com' AND ssn IS NOT NULL RETURNING *
=> same

UPDATE plain SET n = (SELECT count(*) FROM people WHERE people.email = 'ada@example.com')
=> same

UPDATE plain SET n = 1 FROM people WHERE people.email = $1 AND people.id = plain.id
$1 = ada@example.com
=> same

UPDATE plain SET email = 'x' WHERE id IN (SELECT id FROM people WHERE email = $1)
$1 = ada@example.com
=> same

UPDATE adults SET mail = 'x' WHERE id = 1
=> refused public.adults cannot be written to: writing through a view over encrypted columns is not supported

UPDATE kinds SET b = NOT b WHERE id = 1
=> refused only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.kinds.b

UPDATE kinds SET b = true, mo = 'sad', n2 = 1.239, i8 = 5, by = '\x01', u = gen_random_uuid() WHERE id = 1
=> refused only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.kinds.u

UPDATE kinds SET b = $1, mo = $2, n2 = $3, i8 = $4, by = $5, tz = $6 WHERE id = 1 RETURNING *
$1 = f
$2 = sad
$3 = 1.239
$4 = 5
$5 = \x01
$6 = 2020-01-01 00:00:00+00
=> same

UPDATE kinds SET mo = $1::mood, u = $2::uuid, jb = $3::jsonb, n2 = $4::numeric WHERE id = 1 RETURNING mo, u, jb, n2
$1 = sad
$2 = a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12
$3 = {"z": 1}
$4 = 1.239
=> same

UPDATE kinds SET n2 = $1::numeric(12,2), ts = $2::timestamp without time zone, tz = $3::timestamp with time zone WHERE id = 1 RETURNING n2, ts, tz
$1 = 1.239
$2 = 2020-01-01
$3 = 2020-01-01 00:00:00+00
=> same

--! DELETE.

DELETE FROM people WHERE email IN ($1, $2) RETURNING email
$1 = ada@example.com
$2 = grace@example.com
=> same

DELETE FROM people p USING orders o WHERE o.email = p.email AND o.total > 10 RETURNING p.email, o.email
=> same

DELETE FROM people USING (VALUES ($1), ($2)) AS v(email) WHERE v.email = people.email RETURNING id
$1 = ada@example.com
$2 = grace@example.com
=> same

DELETE FROM people WHERE email IN (SELECT email FROM orders WHERE memo IS NULL) RETURNING *
=> same

DELETE FROM people WHERE EXISTS (SELECT 1 FROM orders o WHERE o.email = people.email)
=> same

DELETE FROM people WHERE id IN (SELECT id FROM people WHERE born = $1 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, email
$1 = 1985-12-10
=> same

DELETE FROM ONLY people AS p WHERE p.email = 'ada@example.com'
=> same

DELETE FROM people WHERE ssn = 'x'
=> refused column public.people.ssn is encrypted as randomized, so operator = cannot be carried out on it

--! Data-modifying WITH.

WITH d AS (DELETE FROM orders WHERE email = $1 RETURNING id, email) INSERT INTO people (id, email) SELECT id + 50, 'gone' FROM d RETURNING id, email
$1 = grace@example.com
=> same

WITH d AS (DELETE FROM orders WHERE id = 3 RETURNING email, total) SELECT * FROM d
=> same

WITH u AS (UPDATE people SET email = $1 WHERE id = 1 RETURNING id, email) SELECT u.email, o.email FROM u, orders o WHERE o.id = 1
$1 = new
=> same

WITH i AS (INSERT INTO people (id, email) VALUES (20, $1) ON CONFLICT (email) DO NOTHING RETURNING id, email) SELECT id, email FROM i UNION ALL SELECT id, email FROM people WHERE email = $1
$1 = ada@example.com
=> same

WITH i AS (INSERT INTO people (id, email) VALUES (20, $1) RETURNING email) INSERT INTO orders (id, email) SELECT 20, email FROM i
$1 = x
=> same

WITH old AS (SELECT id, email FROM people WHERE id = 1 FOR UPDATE) UPDATE people SET email = $1 FROM old WHERE old.id = people.id RETURNING old.email, people.email
$1 = new
=> same

WITH moved AS (DELETE FROM orders WHERE id = 1 RETURNING *) INSERT INTO orders SELECT * FROM moved
=> same

--! MERGE.

MERGE INTO people p USING orders o ON p.email = o.email AND o.id = 1 WHEN MATCHED THEN UPDATE SET born = '2000-01-01'
=> same

MERGE INTO people AS p USING (VALUES (1, $1), (30, $2)) AS v(id, email) ON p.id = v.id WHEN MATCHED THEN UPDATE SET email = v.email WHEN NOT MATCHED THEN INSERT (id, email) VALUES (v.id, v.email)
$1 = one
$2 = thirty
=> same

MERGE INTO people AS p USING (SELECT $1::text AS email, $2::date AS born) AS v ON p.email = v.email WHEN MATCHED AND p.born IS NULL THEN UPDATE SET born = v.born WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT (id, email, born) VALUES (31, v.email, v.born)
$1 = someone
$2 = 2000-01-01
=> same

MERGE INTO people AS p USING (SELECT $1::text AS email) AS v ON p.email = v.email WHEN MATCHED AND p.level = $2 THEN DELETE WHEN NOT MATCHED THEN INSERT (id, email) VALUES (31, $3)
$1 = ada@example.com
$2 = 3
$3 = x
=> same

MERGE INTO people p USING orders o ON p.email = o.email AND p.id = o.person AND o.id IN (1, 4) WHEN MATCHED THEN UPDATE SET email = o.email, level = 4 WHEN NOT MATCHED AND o.email IS NOT NULL THEN INSERT VALUES (o.id + 100, 'n', o.email, DEFAULT, NULL)
=> same error 23505

MERGE INTO people p USING plain s ON p.id = s.id WHEN MATCHED THEN UPDATE SET email = s.email
=> refused only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.people.email

MERGE INTO plain s USING people p ON p.id = s.id WHEN MATCHED THEN UPDATE SET n = 5 WHEN NOT MATCHED THEN INSERT (id, n) VALUES (p.id, 7)
=> same

MERGE INTO plain s USING people p ON p.id = s.id WHEN MATCHED THEN UPDATE SET email = p.email
=> refused column public.people.email is encrypted, so it cannot be stored in column email, which is not

MERGE INTO plain s USING people p ON p.email = s.email WHEN MATCHED THEN DELETE
=> refused column public.people.email is encrypted, so it cannot meet an expression that is not in operator =

MERGE INTO people p USING (SELECT 1 AS id) v ON p.id = v.id WHEN MATCHED AND p.email <> 'ada@example.com' THEN DELETE WHEN MATCHED THEN UPDATE SET (email, born) = ('x', DEFAULT)
=> same

MERGE INTO people p USING (SELECT 77 AS id) v ON p.id = v.id WHEN NOT MATCHED THEN INSERT DEFAULT VALUES
=> refused this statement names people, which has encrypted columns, and is not understood

MERGE INTO people p USING (SELECT 77 AS id) v ON p.id = v.id WHEN NOT MATCHED THEN INSERT (id, email) OVERRIDING SYSTEM VALUE VALUES (v.id, 'm')
=> refused this statement names people, which has encrypted columns, and is not understood

WITH v AS (SELECT 1 AS id, $1 AS email) MERGE INTO people p USING v ON p.id = v.id WHEN MATCHED THEN UPDATE SET email = v.email
$1 = merged
=> same

INSERT INTO kinds (id, ta, ia) VALUES (20, ARRAY['abcdef', NULL]::varchar(3)[], ARRAY[1, NULL]::bigint[]::int[])
=> same

INSERT INTO kinds (id, ta) VALUES (20, ARRAY['2020-01-01'::date])
=> same

INSERT INTO kinds (id, ia) VALUES (20, (ARRAY[1, 2])), (21, CAST(ARRAY['3', '4'] AS int[])), (22, '{5}')
=> same

INSERT INTO kinds (id, ia) VALUES (20, ARRAY[1.5])
=> same

INSERT INTO kinds (id, ia) VALUES (20, ARRAY[true])
=> refused a value of type boolean[] cannot be stored in an encrypted column of type integer[]

INSERT INTO kinds (id, ia) VALUES (20, ARRAY['x'])
=> refused a value of type text[] cannot be stored in an encrypted column of type integer[]

MERGE INTO kinds k USING (SELECT 1 AS id) v ON k.id = v.id WHEN MATCHED AND k.b THEN UPDATE SET ta = ARRAY['m'] WHEN MATCHED THEN DELETE
=> same

UPDATE kinds SET vc = $1::varchar(3), t = $2::varchar(3), bp = $3::char(2), d = $4::timestamp::date, i4 = $5::numeric::int, mo = $6::text::mood WHERE id = 1 RETURNING vc, t, bp, d, i4, mo
$1 = abcdef
$2 = abcdef
$3 = abcdef
$4 = 2020-01-01 10:00
$5 = 2.5
$6 = sad
=> same

UPDATE kinds SET vc = CASE WHEN b THEN 'yes' ELSE 'no' END WHERE id < 4
=> same

UPDATE kinds SET ta = $1::varchar(3)[] WHERE id = 1 RETURNING ta
$1 = {abcdef,NULL}
=> same

UPDATE kinds SET b = NOT $1 WHERE id = 1
$1 = t
=> refused only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.kinds.b

UPDATE people SET city = 'a text that is longer than twenty characters'::varchar(20) WHERE id = 1
=> same

UPDATE people SET city = COALESCE('a text that is longer than twenty characters', city) WHERE id = 1
=> same error 22001

INSERT INTO people (id, city) SELECT id + 50, c::varchar(20) FROM (VALUES (1, 'a text that is longer than twenty characters'), (2, $1)) AS v(id, c)
$1 = another text that is longer than twenty characters
=> same

INSERT INTO people (id, born) SELECT v.i, v.d::date FROM (VALUES (900, '2001-02-03'), (901, '2001-02-04')) AS v(i, d) RETURNING *
=> same

UPDATE people SET born = v.d::date FROM (VALUES (1, '2001-02-03')) AS v(i, d) WHERE people.id = v.i RETURNING people.id, people.born, v.d
=> refused a constant cannot stand beside encrypted column public.people.born in the output beside a comparison, because its type or scale would differ

UPDATE people SET level = (CASE WHEN id = 1 THEN '5' WHEN id = 77777 THEN 'x' ELSE '6' END)::int WHERE id IN (1, 2) RETURNING id, level
=> refused a value for encrypted column public.people.level is none that the cast of its expression takes
