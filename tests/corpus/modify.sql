--! Writing: what is stored in which column.

INSERT INTO users (email, bio) VALUES ('a@x', 'bio')
=> INSERT INTO public.users (email, bio) VALUES («users.email store 'a@x'», 'bio')

INSERT INTO users (id, email, ssn, bio) VALUES (1, $1, $2, $3), (2, 'b', NULL, DEFAULT)
=> INSERT INTO public.users (id, email, ssn, bio) VALUES (1, $1, $2, $3), (2, «users.email store 'b'», NULL, DEFAULT)
$1: users.email store
$2: users.ssn store

INSERT INTO users VALUES (1, 'a', 'n', 's', '2020-01-01', true, 5, 1.5, 'happy', 'bio', now())
=> INSERT INTO public.users VALUES (1, «users.email store 'a'», «users.name store 'n'», «users.ssn store 's'», «users.born store '2020-01-01'», «users.active store as bool 'true'», «users.age store as int4 '5'», «users.score store as numeric '1.5'», «users.mood store 'happy'», 'bio', now())

INSERT INTO users DEFAULT VALUES
=> INSERT INTO public.users DEFAULT VALUES

INSERT INTO users (email) VALUES (DEFAULT)
=> INSERT INTO public.users (email) VALUES (DEFAULT)

INSERT INTO users (email) VALUES (lower('A'))
=> refuse 0A000 at 35: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

INSERT INTO users (email) VALUES ('a' || 'b')
=> refuse 0A000 at 42: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

INSERT INTO users (email) VALUES (current_user)
=> refuse 0A000 at 35: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

INSERT INTO users (bio) VALUES (email)
=> refuse 42703 at 33: column "email" does not exist

INSERT INTO users (bio, created) VALUES ('x', now()) RETURNING id, email, *
=> INSERT INTO public.users (bio, created) VALUES ('x', now()) RETURNING id, email, *
2: users.email from users.2
4: users.email from users.2
5: users.name from users.3
6: users.ssn from users.4
7: users.born from users.5
8: users.active from users.6
9: users.age from users.7
10: users.score from users.8
11: users.mood from users.9

INSERT INTO users (email, bio) VALUES ($1, $1)
=> refuse 0A000 at 44: parameter $1 is used both for encrypted column public.users.email and as a value that is not encrypted

INSERT INTO users (email, name) VALUES ($1, $2::varchar) RETURNING users.email
=> INSERT INTO public.users (email, name) VALUES ($1, $2::pg_catalog.bytea) RETURNING users.email
$1: users.email store
$2: users.name store as varchar
1: users.email from users.2

INSERT INTO users AS u (email) VALUES ('a') ON CONFLICT (email) DO UPDATE SET email = EXCLUDED.email, name = $1 WHERE u.name <> 'x' RETURNING u.name
=> INSERT INTO public.users AS u (email) VALUES («users.email store 'a'») ON CONFLICT (email) DO UPDATE SET email = EXCLUDED.email, name = $1 WHERE u.name <> «users.name 'x'» RETURNING u.name
$1: users.name store
1: users.name from users.3

INSERT INTO users (email) VALUES ('a') ON CONFLICT DO NOTHING
=> INSERT INTO public.users (email) VALUES («users.email store 'a'») ON CONFLICT DO NOTHING

INSERT INTO users (ssn) VALUES ('a') ON CONFLICT (ssn) DO NOTHING
=> refuse 0A000 at 51: column public.users.ssn is encrypted as randomized, so ON CONFLICT cannot be carried out on it

INSERT INTO users (email, bio) VALUES ('a', 'b') ON CONFLICT (email) DO UPDATE SET bio = EXCLUDED.email
=> refuse 0A000 at 90: column public.users.email is encrypted, so it cannot be stored in column bio, which is not

INSERT INTO users (email) VALUES ('a') ON CONFLICT ON CONSTRAINT users_email_key DO UPDATE SET bio = 'x'
=> INSERT INTO public.users (email) VALUES («users.email store 'a'») ON CONFLICT ON CONSTRAINT users_email_key DO UPDATE SET bio = 'x'

INSERT INTO users (email, bio) SELECT user_email, note FROM customers WHERE phone = 'p'
=> INSERT INTO public.users (email, bio) SELECT user_email, note FROM public.customers WHERE phone = «customers.phone 'p'»

INSERT INTO users (email) SELECT note FROM customers
=> refuse 0A000 at 34: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

INSERT INTO users (bio) SELECT user_email FROM customers
=> refuse 0A000 at 32: column public.customers.user_email is encrypted, so it cannot be stored in column bio, which is not

INSERT INTO users (email, born) SELECT 'x', $1
=> INSERT INTO public.users (email, born) SELECT «users.email store 'x'» AS "?column?", $1
$1: users.born store

INSERT INTO archive (email, ssn, why) SELECT email, ssn, 'gone' FROM users WHERE id = $1
=> INSERT INTO public.archive (email, ssn, why) SELECT email, ssn, 'gone' FROM public.users WHERE id = $1

INSERT INTO archive SELECT email, ssn, name, 'x' FROM users
=> refuse 0A000 at 46: column public.users.name is declared with a wider type than public.archive.name, so it cannot be stored there

INSERT INTO users (name) SELECT name FROM archive
=> INSERT INTO public.users (name) SELECT name FROM public.archive

INSERT INTO plain (email) SELECT email FROM users
=> refuse 0A000 at 34: column public.users.email is encrypted, so it cannot be stored in column email, which is not

INSERT INTO plain (email) VALUES ('x') RETURNING id
=> forward

INSERT INTO users (email, nope) VALUES ('a', 'b')
=> refuse 42703 at 27: column "nope" of relation "users" does not exist

INSERT INTO users (score, age, active) VALUES (12.345, 5, false)
=> INSERT INTO public.users (score, age, active) VALUES («users.score store as numeric '12.345'», «users.age store as int4 '5'», «users.active store as bool 'false'»)

INSERT INTO users (score) VALUES (-1.5), (1e3)
=> INSERT INTO public.users (score) VALUES («users.score store as numeric '-1.5'»), («users.score store as numeric '1e3'»)

INSERT INTO users (email) VALUES (NULL), (NULL::text)
=> INSERT INTO public.users (email) VALUES (NULL), (NULL::pg_catalog.bytea)

INSERT INTO users (email) VALUES ((SELECT user_email FROM customers LIMIT 1))
=> INSERT INTO public.users (email) VALUES ((SELECT user_email FROM public.customers LIMIT 1))

INSERT INTO users (email) VALUES (CASE WHEN true THEN 'a' ELSE $1 END)
=> INSERT INTO public.users (email) VALUES (CASE WHEN true THEN «users.email store as text 'a'» ELSE $1 END)
$1: users.email store as text

INSERT INTO users (email) VALUES ($1::text), (CAST($2 AS varchar))
=> INSERT INTO public.users (email) VALUES ($1::pg_catalog.bytea), (CAST($2 AS pg_catalog.bytea))
$1: users.email store as text
$2: users.email store as varchar

INSERT INTO notes (title, body, data, labels) VALUES ('t', $1, '{"a": 1}', '{a,b}')
=> INSERT INTO public.notes (title, body, data, labels) VALUES («notes.title store 't'», $1, «notes.data store '{"a": 1}'», «notes.labels store '{a,b}'»)
$1: notes.body store

INSERT INTO notes (labels) VALUES ($1::text[])
=> INSERT INTO public.notes (labels) VALUES ($1::pg_catalog.bytea)
$1: notes.labels store as 1009

INSERT INTO notes (labels) VALUES (ARRAY['a','b'])
=> INSERT INTO public.notes (labels) VALUES («notes.labels store as 1009 '{"a","b"}'»)

INSERT INTO notes (data) VALUES ($1::jsonb)
=> INSERT INTO public.notes (data) VALUES ($1::pg_catalog.bytea)
$1: notes.data store as jsonb

INSERT INTO notes (data) VALUES (jsonb_build_object('a', 1))
=> refuse 0A000 at 34: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.notes.data

INSERT INTO "Weird Table" ("Select", "order") VALUES ('x', 'y')
=> INSERT INTO public."Weird Table" ("Select", "order") VALUES («Weird Table.Select store 'x'», 'y')

INSERT INTO events (actor) VALUES ('x')
=> INSERT INTO public.events (actor) VALUES («events.actor store 'x'»)

INSERT INTO events_2024 (actor) VALUES ('x')
=> INSERT INTO public.events_2024 (actor) VALUES («events.actor store 'x'»)

INSERT INTO user_emails (id, mail) VALUES (1, 'x')
=> refuse 0A000 at 13: public.user_emails cannot be written to: writing through a view over encrypted columns is not supported

INSERT INTO users (email, bio) OVERRIDING SYSTEM VALUE VALUES ('a', 'b')
=> INSERT INTO public.users (email, bio) OVERRIDING SYSTEM VALUE VALUES («users.email store 'a'», 'b')

INSERT INTO users (email) VALUES ('a'), ('b'), ('c') RETURNING id, email
=> INSERT INTO public.users (email) VALUES («users.email store 'a'»), («users.email store 'b'»), («users.email store 'c'») RETURNING id, email
2: users.email from users.2

INSERT INTO users (email) TABLE plain
=> refuse 0A000 at 33: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

INSERT INTO users (email, bio) (VALUES ('a', 'b') LIMIT 1)
=> INSERT INTO public.users (email, bio) (VALUES («users.email store 'a'», 'b') LIMIT 1)

INSERT INTO users (email) SELECT * FROM unnest($1::text[])
=> INSERT INTO public.users (email) SELECT * FROM unnest($1::pg_catalog.bytea[])
$1: array of users.email store as text

INSERT INTO users (email, id) SELECT e, n FROM unnest($1::text[], $2::int[]) AS t (e, n)
=> INSERT INTO public.users (email, id) SELECT e, n FROM unnest($1::pg_catalog.bytea[], $2::int[]) AS t (e, n)
$1: array of users.email store as text

INSERT INTO users (born) SELECT d FROM (SELECT '2020-01-01' AS d) s
=> INSERT INTO public.users (born) SELECT d FROM (SELECT «users.born store as text '2020-01-01'» AS d) s

INSERT INTO users (born) SELECT d FROM (SELECT date '2020-01-01' AS d) s
=> INSERT INTO public.users (born) SELECT d FROM (SELECT  «users.born store as date '2020-01-01'» AS d) s

WITH new AS (INSERT INTO users (email) VALUES ('a') RETURNING id, email) SELECT * FROM new WHERE email = 'a'
=> WITH new AS (INSERT INTO public.users (email) VALUES («users.email store 'a'») RETURNING id, email) SELECT * FROM new WHERE email = «users.email 'a'»
2: users.email from users.2

WITH gone AS (DELETE FROM users WHERE email = $1 RETURNING *) INSERT INTO archive (email, ssn) SELECT email, ssn FROM gone
=> WITH gone AS (DELETE FROM public.users WHERE email = $1 RETURNING *) INSERT INTO public.archive (email, ssn) SELECT email, ssn FROM gone
$1: users.email

UPDATE users SET email = 'b' WHERE email = 'a'
=> UPDATE public.users SET email = «users.email store 'b'» WHERE email = «users.email 'a'»

UPDATE users SET bio = 'b', name = $1 WHERE id = $2 RETURNING *
=> UPDATE public.users SET bio = 'b', name = $1 WHERE id = $2 RETURNING *
$1: users.name store
2: users.email from users.2
3: users.name from users.3
4: users.ssn from users.4
5: users.born from users.5
6: users.active from users.6
7: users.age from users.7
8: users.score from users.8
9: users.mood from users.9

UPDATE users u SET email = $1 WHERE u.email = $1
=> UPDATE public.users u SET email = $1 WHERE u.email = $1
$1: users.email store

UPDATE users SET (email, bio) = ('a', 'b')
=> UPDATE public.users SET (email, bio) = («users.email store 'a'», 'b')

UPDATE users SET (email, bio) = ROW('a', 'b')
=> UPDATE public.users SET (email, bio) = ROW(«users.email store 'a'», 'b')

UPDATE users SET (email, bio) = (SELECT user_email, note FROM customers WHERE id = 1)
=> UPDATE public.users SET (email, bio) = (SELECT user_email, note FROM public.customers WHERE id = 1)

UPDATE users SET (email, bio) = (SELECT note, user_email FROM customers WHERE id = 1)
=> refuse 0A000 at 84: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

UPDATE users SET (email) = ROW('a')
=> UPDATE public.users SET (email) = ROW(«users.email store 'a'»)

UPDATE users SET email = DEFAULT, ssn = NULL
=> UPDATE public.users SET email = DEFAULT, ssn = NULL

UPDATE users SET email = lower(email)
=> refuse 0A000 at 26: function lower cannot be carried out on encrypted column public.users.email

UPDATE users SET bio = email
=> refuse 0A000 at 24: column public.users.email is encrypted, so it cannot be stored in column bio, which is not

UPDATE users SET email = bio
=> refuse 0A000 at 26: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

UPDATE users SET email = name
=> refuse 0A000 at 26: columns public.users.email and public.users.name are encrypted differently, so they cannot meet in an assignment

UPDATE users SET age = age + 1
=> refuse 0A000 at 24: operator + cannot be carried out on encrypted column public.users.age

UPDATE users SET email = CASE WHEN id = 1 THEN 'a' WHEN email = 'z' THEN $1 ELSE email END
=> UPDATE public.users SET email = CASE WHEN id = 1 THEN «users.email store 'a'» WHEN email = «users.email 'z'» THEN $1 ELSE email END
$1: users.email store

UPDATE users SET email = c.user_email FROM customers c WHERE c.id = users.id AND c.phone = 'p'
=> UPDATE public.users SET email = c.user_email FROM public.customers c WHERE c.id = users.id AND c.phone = «customers.phone 'p'»

UPDATE users SET email = v.e FROM (VALUES (1, 'a'), (2, $1)) AS v (id, e) WHERE v.id = users.id
=> UPDATE public.users SET email = v.e FROM (VALUES (1, «users.email store as text 'a'»), (2, $1)) AS v (id, e) WHERE v.id = users.id
$1: users.email store as text

UPDATE users SET ssn = ssn
=> UPDATE public.users SET ssn = ssn

UPDATE users SET ssn = (SELECT ssn FROM archive LIMIT 1)
=> UPDATE public.users SET ssn = (SELECT ssn FROM public.archive LIMIT 1)

UPDATE public.users SET email = 'x' WHERE users.id = 1
=> UPDATE public.users SET email = «users.email store 'x'» WHERE users.id = 1

UPDATE ONLY events SET actor = 'x'
=> UPDATE ONLY public.events SET actor = «events.actor store 'x'»

UPDATE users SET nope = 'x'
=> refuse 42703 at 18: column "nope" of relation "users" does not exist

UPDATE users SET email.x = 'x'
=> refuse 0A000 at 24: a part of a column as a target is not supported in a statement that names public.users

UPDATE plain SET email = 'x' WHERE id IN (SELECT id FROM users WHERE email = 'y')
=> UPDATE plain SET email = 'x' WHERE id IN (SELECT id FROM public.users WHERE email = «users.email 'y'»)

UPDATE plain SET email = users.email FROM users
=> refuse 0A000 at 26: column public.users.email is encrypted, so it cannot be stored in column email, which is not

UPDATE user_emails SET mail = 'x'
=> refuse 0A000 at 8: public.user_emails cannot be written to: writing through a view over encrypted columns is not supported

DELETE FROM users WHERE email = 'a'
=> DELETE FROM public.users WHERE email = «users.email 'a'»

DELETE FROM users u USING customers c WHERE c.user_email = u.email AND c.note = 'n' RETURNING u.email, c.phone
=> DELETE FROM public.users u USING public.customers c WHERE c.user_email = u.email AND c.note = 'n' RETURNING u.email, c.phone
1: users.email from users.2
2: customers.phone from customers.3

DELETE FROM users WHERE ssn = 'x'
=> refuse 0A000 at 25: column public.users.ssn is encrypted as randomized, so operator = cannot be carried out on it

DELETE FROM users
=> DELETE FROM public.users

DELETE FROM plain USING users WHERE users.email = 'x' AND plain.id = users.id
=> DELETE FROM plain USING public.users WHERE users.email = «users.email 'x'» AND plain.id = users.id

MERGE INTO users u USING customers c ON u.email = c.user_email WHEN MATCHED AND c.phone = 'p' THEN UPDATE SET name = 'n' WHEN NOT MATCHED THEN INSERT (email, bio) VALUES (c.user_email, 'b')
=> MERGE INTO public.users u USING public.customers c ON u.email = c.user_email WHEN MATCHED AND c.phone = «customers.phone 'p'» THEN UPDATE SET name = «users.name store 'n'» WHEN NOT MATCHED THEN INSERT (email, bio) VALUES (c.user_email, 'b')

MERGE INTO users u USING (VALUES ('a', $1)) AS v (e, n) ON u.email = v.e WHEN MATCHED THEN UPDATE SET name = v.n WHEN NOT MATCHED THEN INSERT (email, name) VALUES (v.e, v.n)
=> MERGE INTO public.users u USING (VALUES («users.email store as text 'a'», $1)) AS v (e, n) ON u.email = v.e WHEN MATCHED THEN UPDATE SET name = v.n WHEN NOT MATCHED THEN INSERT (email, name) VALUES (v.e, v.n)
$1: users.name store as text

MERGE INTO users USING plain ON users.id = plain.id WHEN MATCHED THEN UPDATE SET email = plain.email
=> refuse 0A000 at 90: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

MERGE INTO users USING plain ON users.id = plain.id WHEN MATCHED THEN DELETE
=> MERGE INTO public.users USING plain ON users.id = plain.id WHEN MATCHED THEN DELETE

MERGE INTO plain USING users ON users.id = plain.id WHEN MATCHED THEN UPDATE SET email = users.email
=> refuse 0A000 at 90: column public.users.email is encrypted, so it cannot be stored in column email, which is not

SELECT email INTO copied FROM users
=> refuse 0A000 at -: SELECT INTO is not supported in a statement that names public.users

CREATE TABLE copied AS SELECT email FROM users
=> refuse 0A000 at 14: public.copied.email would hold the encrypted values of public.users.email (context public.users.email), but the policy does not say so

CREATE TABLE copied AS SELECT id FROM plain
=> forward

CREATE TABLE posts (id int, user_id int REFERENCES users (id), users text DEFAULT 'users')
=> CREATE TABLE posts (id int, user_id int REFERENCES public.users (id), users text DEFAULT 'users')

CREATE TABLE users (id int, email text DEFAULT 'secret')
=> CREATE TABLE public.users (id int, email pg_catalog.bytea DEFAULT «users.email store 'secret'» CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22))

ALTER TABLE users ADD COLUMN x text DEFAULT 'secret'
=> ALTER TABLE public.users ADD COLUMN x text DEFAULT 'secret'

ALTER TABLE posts ADD CONSTRAINT fk FOREIGN KEY (user_id) REFERENCES users (id)
=> forward (unresolved)

CREATE INDEX ON users (email)
=> CREATE INDEX ON public.users (email)

CREATE UNIQUE INDEX i ON public.users USING btree (email, id)
=> forward

CREATE INDEX i ON users (ssn)
=> refuse 0A000 at 26: column public.users.ssn is encrypted as randomized, so CREATE INDEX cannot be carried out on it

CREATE INDEX i ON users (lower(bio))
=> CREATE INDEX i ON public.users (lower(bio))

CREATE INDEX i ON users (email) WHERE email = 'secret'
=> refuse 0A000 at 39: a constant for encrypted column public.users.email cannot stand in CREATE INDEX ... WHERE

CREATE INDEX i ON users (email text_pattern_ops)
=> CREATE INDEX i ON public.users (email )

CREATE INDEX i ON plain (email)
=> forward

CREATE VIEW v AS SELECT id, email FROM users
=> CREATE VIEW v AS SELECT id, email FROM public.users

CREATE VIEW v AS SELECT id FROM users WHERE email = 'secret'
=> refuse 0A000 at 53: a constant for encrypted column public.users.email cannot stand in a view

CREATE VIEW v AS SELECT lower(email) FROM users
=> refuse 0A000 at 25: function lower cannot be carried out on encrypted column public.users.email

CREATE MATERIALIZED VIEW v AS SELECT email FROM users
=> CREATE MATERIALIZED VIEW v AS SELECT email FROM public.users

DROP TABLE users
=> forward

TRUNCATE users
=> forward

VACUUM ANALYZE users
=> forward

LOCK TABLE users IN SHARE MODE
=> forward

COMMENT ON TABLE users IS 'people'
=> forward

GRANT SELECT ON users TO joe
=> forward

COPY users FROM STDIN
=> COPY public.users (id, email, name, ssn, born, active, age, score, mood, bio, created) FROM STDIN
copy In: 2 email, 3 name, 4 ssn, 5 born, 6 active, 7 age, 8 score, 9 mood; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

COPY users (email) TO STDOUT
=> COPY public.users (email) TO STDOUT
copy Out: 1 email; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

COPY users (id, created) FROM STDIN
=> COPY public.users (id, created) FROM STDIN

COPY BINARY users (email, id) FROM STDIN
=> COPY BINARY public.users (email, id) FROM STDIN
copy In: 1 email; Binary, header None

COPY users TO STDOUT WITH (FORMAT csv, DELIMITER ';', QUOTE '''', ESCAPE E'\\', NULL 'none', HEADER, FORCE_QUOTE (email))
=> COPY public.users (id, email, name, ssn, born, active, age, score, mood, bio, created) TO STDOUT WITH (FORMAT csv, DELIMITER ';', QUOTE '''', ESCAPE E'\\', NULL 'none', HEADER, FORCE_QUOTE (email))
copy Out: 2 email, 3 name, 4 ssn, 5 born, 6 active, 7 age, 8 score, 9 mood; Csv { lines: LineFormat { delimiter: 59, null: "none", default: None, is_before_18: true }, quote: 39, escape: 92 }, header Line

COPY users (email, name) FROM STDIN (FORMAT 'csv', FORCE_NOT_NULL (name), FORCE_NULL (email), FREEZE, ENCODING 'utf-8')
=> COPY public.users (email, name) FROM STDIN (FORMAT 'csv', FORCE_NOT_NULL (name), FORCE_NULL (email), FREEZE, ENCODING 'utf-8')
copy In: 1 email, 2 name; Csv { lines: LineFormat { delimiter: 44, null: "", default: None, is_before_18: true }, quote: 34, escape: 34 }, header None

COPY users (email) FROM STDIN USING DELIMITERS '|' WITH NULL AS '' CSV HEADER QUOTE AS '#' ESCAPE '!' FORCE NOT NULL email
=> COPY public.users (email) FROM STDIN USING DELIMITERS '|' WITH NULL AS '' CSV HEADER QUOTE AS '#' ESCAPE '!' FORCE NOT NULL email
copy In: 1 email; Csv { lines: LineFormat { delimiter: 124, null: "", default: None, is_before_18: true }, quote: 35, escape: 33 }, header Line

COPY users (email) TO STDOUT CSV FORCE QUOTE *
=> COPY public.users (email) TO STDOUT CSV FORCE QUOTE *
copy Out: 1 email; Csv { lines: LineFormat { delimiter: 44, null: "", default: None, is_before_18: true }, quote: 34, escape: 34 }, header None

COPY app.public.users (email) TO STDOUT (FORMAT binary)
=> COPY app.public.users (email) TO STDOUT (FORMAT binary)
copy Out: 1 email; Binary, header None

COPY users (email) FROM STDIN WHERE id > 3
=> COPY public.users (email) FROM STDIN WHERE id > 3
copy In: 1 email; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

COPY users (email) FROM STDIN WHERE email = 'secret'
=> refuse 0A000 at 37: WHERE of COPY cannot be carried out on encrypted column public.users.email

COPY users (email) FROM STDIN WHERE add_user('secret') IS NULL
=> refuse 0A000 at 37: WHERE of COPY is not supported in a statement that names add_user

COPY users (email) FROM STDIN (ON_ERROR ignore)
=> refuse 0A000 at 6: ON_ERROR other than stop in COPY is not supported in a statement that names users

COPY users (email) FROM STDIN (ON_ERROR stop)
=> COPY public.users (email) FROM STDIN (ON_ERROR stop)
copy In: 1 email; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

COPY users (email) FROM STDIN (DEFAULT '\D')
=> COPY public.users (email) FROM STDIN (DEFAULT '\D')
copy In: 1 email; Text(LineFormat { delimiter: 9, null: "\\N", default: Some("\\D"), is_before_18: true }), header None

COPY users (email) FROM STDIN (ENCODING 'latin1')
=> refuse 0A000 at 6: ENCODING other than UTF8 in COPY is not supported in a statement that names users

COPY users (email) FROM STDIN (FORMAT json)
=> refuse 0A000 at 6: this FORMAT of COPY is not supported in a statement that names users

COPY users (email) FROM STDIN (DELIMITER 'ab')
=> refuse 0A000 at 6: an option of COPY that has not one byte is not supported in a statement that names users

COPY users (email) TO STDOUT (NULL '\')
=> refuse 0A000 at 6: a NULL that ends in a backslash in COPY is not supported in a statement that names users

COPY users (nothing) FROM STDIN
=> refuse 42703 at 13: column "nothing" of relation "users" does not exist

COPY nowhere.users FROM STDIN
=> refuse 42P01 at 14: relation "nowhere.users" does not exist

COPY users TO '/tmp/users'
=> refuse 0A000 at 6: COPY to or from a file or program of the server cannot be carried out on users, which has encrypted columns

COPY users FROM PROGRAM 'cat /tmp/users'
=> refuse 0A000 at 6: COPY to or from a file or program of the server cannot be carried out on users, which has encrypted columns

COPY (SELECT id FROM users WHERE email = 'a') TO '/tmp/users'
=> refuse 0A000 at 22: COPY to or from a file or program of the server cannot be carried out on users, which has encrypted columns

COPY (SELECT id FROM users WHERE email = 'a') TO STDOUT
=> COPY (SELECT id FROM public.users WHERE email = «users.email 'a'») TO STDOUT

COPY (SELECT id, email AS mail, name FROM users WHERE email = 'a') TO STDOUT (FORMAT csv, FORCE_QUOTE (mail))
=> COPY (SELECT id, email AS mail, name FROM public.users WHERE email = «users.email 'a'») TO STDOUT (FORMAT csv, FORCE_QUOTE (mail))
copy Out: 2 mail, 3 name; Csv { lines: LineFormat { delimiter: 44, null: "", default: None, is_before_18: true }, quote: 34, escape: 34 }, header None

COPY (SELECT array_agg(email) FROM users) TO STDOUT
=> COPY (SELECT array_agg(email) FROM public.users) TO STDOUT
copy Out: 1 array_agg; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

COPY (INSERT INTO users (email) VALUES ('a') RETURNING email) TO STDOUT
=> COPY (INSERT INTO public.users (email) VALUES («users.email store 'a'») RETURNING email) TO STDOUT
copy Out: 1 email; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

COPY (SELECT lower(email) FROM users) TO STDOUT
=> refuse 0A000 at 14: function lower cannot be carried out on encrypted column public.users.email

COPY user_emails FROM STDIN
=> refuse 0A000 at 6: public.user_emails cannot be written to: writing through a view over encrypted columns is not supported

COPY user_emails TO STDOUT
=> COPY public.user_emails (id, mail, big) TO STDOUT
copy Out: 2 mail; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

COPY customers FROM STDIN; COPY users (id, email) FROM STDIN; SELECT email FROM users
=> COPY public.customers (id, user_email, phone, note) FROM STDIN; COPY public.users (id, email) FROM STDIN; SELECT email FROM public.users
copy In: 2 user_email, 3 phone; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None
copy In: 2 email; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None
1: users.email from users.2

SET client_encoding TO latin1; COPY users (id, email) FROM STDIN
=> refuse 0A000 at 32: a statement behind one that changes what names mean, in the same text, is not supported in a statement that names users

SET NAMES 'latin1'; COPY users (id, email) FROM STDIN
=> refuse 0A000 at 21: a statement behind one that changes what names mean, in the same text, is not supported in a statement that names users

COPY plain TO STDOUT
=> forward

COPY (SELECT email FROM users) TO STDOUT
=> COPY (SELECT email FROM public.users) TO STDOUT
copy Out: 1 email; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

COPY other.users FROM STDIN
=> forward

PREPARE p AS SELECT id FROM users WHERE email = $1
=> PREPARE p (pg_catalog.bytea) AS SELECT id FROM public.users WHERE email = $1

PREPARE p AS SELECT id FROM plain WHERE email = $1
=> forward

PREPARE p AS SELECT users FROM plain AS users
=> forward

EXECUTE sealed_plan('secret')
=> EXECUTE sealed_plan(«users.email 'secret'»)
1: users.email from users.2

EXECUTE other_plan('users')
=> forward

EXECUTE sealed_plan('secret'::text)
=> EXECUTE sealed_plan(«users.email 'secret'»)
1: users.email from users.2

EXECUTE sealed_plan ( /* c */ ('secret') )
=> EXECUTE sealed_plan ( /* c */ «users.email 'secret'» )
1: users.email from users.2

EXECUTE sealed_plan(NULL)
=> EXECUTE sealed_plan(NULL)
1: users.email from users.2

EXECUTE sealed_plan(NULL::text)
=> EXECUTE sealed_plan(NULL)
1: users.email from users.2

EXECUTE sealed_plan($1)
=> EXECUTE sealed_plan($1)
$1: users.email
1: users.email from users.2

EXECUTE sealed_plan($1::text)
=> EXECUTE sealed_plan($1)
$1: users.email
1: users.email from users.2

EXECUTE sealed_plan(E'se\u0063ret')
=> EXECUTE sealed_plan(«users.email 'secret'»)
1: users.email from users.2

EXECUTE sealed_plan(5)
=> EXECUTE sealed_plan(«users.email '5'»)
1: users.email from users.2

EXECUTE sealed_plan(-1.50)
=> EXECUTE sealed_plan(«users.email '-1.50'»)
1: users.email from users.2

EXECUTE sealed_plan(true)
=> refuse 0A000 at 21: the cast to text of a constant for encrypted column public.users.email cannot be carried out

EXECUTE sealed_plan('2020-01-01'::date)
=> refuse 0A000 at 21: the cast to text of a constant for encrypted column public.users.email cannot be carried out

EXECUTE sealed_plan('a' || 'b')
=> refuse 0A000 at -: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

EXECUTE sealed_plan(lower('secret'))
=> refuse 0A000 at -: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

EXECUTE sealed_plan('secret', 'more')
=> refuse 42601 at -: wrong number of parameters for prepared statement "sealed_plan"

EXECUTE sealed_plan
=> refuse 42601 at -: wrong number of parameters for prepared statement "sealed_plan"

EXECUTE refused_plan('secret')
=> refuse 26000 at -: prepared statement "refused_plan" does not exist

EXECUTE refused_plan
=> forward

EXECUTE other_plan(add_user('secret'))
=> refuse 0A000 at 20: function public.add_user may reach encrypted columns

EXPLAIN (ANALYZE, COSTS OFF) EXECUTE sealed_plan('secret')
=> EXPLAIN (ANALYZE, COSTS OFF) EXECUTE sealed_plan(«users.email 'secret'»)

MOVE 5 FROM sealed_plan
=> forward

CLOSE sealed_plan
=> forward

DEALLOCATE sealed_plan
=> forward

PREPARE p (text) AS SELECT id, email FROM users WHERE email = $1
=> PREPARE p (pg_catalog.bytea) AS SELECT id, email FROM public.users WHERE email = $1

PREPARE p (int, varchar(80)) AS UPDATE users SET email = $2 WHERE id = $1
=> PREPARE p (int, pg_catalog.bytea) AS UPDATE public.users SET email = $2 WHERE id = $1

PREPARE p AS UPDATE users SET email = $2 WHERE id = $1
=> PREPARE p (pg_catalog.unknown, pg_catalog.bytea) AS UPDATE public.users SET email = $2 WHERE id = $1

PREPARE p (int) AS UPDATE users SET email = $2, ssn = $3 WHERE id = $1
=> PREPARE p (int, pg_catalog.bytea, pg_catalog.bytea) AS UPDATE public.users SET email = $2, ssn = $3 WHERE id = $1

PREPARE p (text[]) AS SELECT id FROM users WHERE email = ANY($1)
=> PREPARE p (pg_catalog.bytea[]) AS SELECT id FROM public.users WHERE email = ANY($1)

PREPARE p (unknown) AS SELECT id FROM users WHERE email = $1
=> PREPARE p (pg_catalog.bytea) AS SELECT id FROM public.users WHERE email = $1

PREPARE p (email_domain) AS SELECT id FROM users WHERE email = $1
=> refuse 0A000 at 12: the cast to email_domain of a constant for encrypted column public.users.email cannot be carried out

PREPARE p (text) AS SELECT id FROM users WHERE $1 IS NULL
=> PREPARE p (pg_catalog.text) AS SELECT id FROM public.users WHERE $1 IS NULL

PREPARE p AS SELECT id FROM users WHERE ($1::text IS NULL OR email = $2)
=> PREPARE p (pg_catalog.text, pg_catalog.bytea) AS SELECT id FROM public.users WHERE ($1::pg_catalog.text IS NULL OR email = $2)

PREPARE p AS INSERT INTO users (id, email) VALUES (1, 'secret')
=> PREPARE p AS INSERT INTO public.users (id, email) VALUES (1, «users.email store 'secret'»)

PREPARE p AS SELECT lower(email) FROM users
=> refuse 0A000 at 21: function lower cannot be carried out on encrypted column public.users.email

PREPARE p AS SELECT id FROM users WHERE email = $1; EXECUTE p('secret')
=> PREPARE p (pg_catalog.bytea) AS SELECT id FROM public.users WHERE email = $1; EXECUTE p(«users.email 'secret'»)

PREPARE p AS SELECT id FROM plain WHERE email = $1; EXECUTE p('public')
=> forward

DECLARE c BINARY CURSOR WITH HOLD FOR SELECT email FROM users WHERE email = 'secret'
=> DECLARE c BINARY CURSOR WITH HOLD FOR SELECT email FROM public.users WHERE email = «users.email 'secret'»

BEGIN; DECLARE c CURSOR FOR SELECT email FROM users; FETCH ALL FROM c; CLOSE c; COMMIT
=> BEGIN; DECLARE c CURSOR FOR SELECT email FROM public.users; FETCH ALL FROM c; CLOSE c; COMMIT
1: users.email from users.2

EXPLAIN EXECUTE sealed_plan('secret')
=> EXPLAIN EXECUTE sealed_plan(«users.email 'secret'»)

CREATE TABLE x AS EXECUTE sealed_plan('secret')
=> refuse 0A000 at 27: CREATE TABLE cannot be carried out on sealed_plan, which has encrypted columns

DECLARE c CURSOR FOR SELECT email FROM users
=> DECLARE c CURSOR FOR SELECT email FROM public.users

DECLARE c CURSOR FOR SELECT email FROM plain
=> forward

FETCH ALL FROM sealed_plan
=> FETCH ALL FROM sealed_plan
1: users.email from users.2

DO $$ BEGIN INSERT INTO users (email) VALUES ('secret'); END $$
=> refuse 0A000 at 4: DO cannot be carried out on users, which has encrypted columns

DO $$ BEGIN INSERT INTO plain (email) VALUES ('x'); END $$
=> forward

CALL add_user('secret')
=> refuse 0A000 at 6: CALL cannot be carried out on add_user, which has encrypted columns

CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM users'
=> forward

CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()
=> forward

CREATE RULE r AS ON INSERT TO plain DO ALSO INSERT INTO users (email) VALUES ('secret')
=> refuse 0A000 at 57: CREATE RULE cannot be carried out on users, which has encrypted columns

SET application_name = 'users'
=> forward

NOTIFY users, 'secret'
=> forward

BEGIN; INSERT INTO users (email) VALUES ('a'); ROLLBACK
=> BEGIN; INSERT INTO public.users (email) VALUES («users.email store 'a'»); ROLLBACK

INSERT INTO plain (email) VALUES ('p'); SELECT email FROM users WHERE email = 'a'; SELECT 1
=> INSERT INTO plain (email) VALUES ('p'); SELECT email FROM public.users WHERE email = «users.email 'a'»; SELECT 1
1: users.email from users.2

INSERT INTO users (email) VALUES ('a'); SELECT lower(email) FROM users
=> refuse 0A000 at 48: function lower cannot be carried out on encrypted column public.users.email

SET search_path = other; INSERT INTO users (email) VALUES ('x')
=> refuse 0A000 at 26: a statement behind one that changes what names mean, in the same text, is not supported in a statement that names users

SET search_path = other; INSERT INTO plain (email) VALUES ('x')
=> forward

CREATE VIEW v AS SELECT email FROM users; SELECT * FROM v WHERE email = 'secret'
=> refuse 0A000 at 43: a statement behind one that changes what names mean, in the same text, is not supported in a statement that names v

CREATE FUNCTION f(text) RETURNS void LANGUAGE sql AS 'INSERT INTO users (email) VALUES ($1)'; SELECT f('secret')
=> refuse 0A000 at 95: a statement behind one that changes what names mean, in the same text, is not supported in a statement that names f

UPDATE users SET score = CASE id WHEN 1 THEN 1.5 WHEN 2 THEN $1 END
=> UPDATE public.users SET score = CASE id WHEN 1 THEN «users.score store as numeric '1.5'» WHEN 2 THEN $1 END
$1: users.score store as numeric

UPDATE users SET score = CASE id WHEN 1 THEN 1.5 ELSE score END
=> refuse 0A000 at 46: a constant cannot stand beside encrypted column public.users.score in CASE, COALESCE, VALUES or a set operation, because its type or scale would differ

UPDATE users SET name = CASE id WHEN 1 THEN 'a' ELSE name END
=> UPDATE public.users SET name = CASE id WHEN 1 THEN «users.name store 'a'» ELSE name END
