--! What ORMs and drivers send.

INSERT INTO users (email, name) SELECT p0::VARCHAR, p1::VARCHAR FROM (VALUES ($1, $2, 0), ($3, $4, 1)) AS imp_sen(p0, p1, sen_counter) ORDER BY sen_counter RETURNING users.id, users.id AS id__1
=> INSERT INTO public.users (email, name) SELECT p0::pg_catalog.bytea, p1::pg_catalog.bytea FROM (VALUES ($1, $2, 0), ($3, $4, 1)) AS imp_sen(p0, p1, sen_counter) ORDER BY sen_counter RETURNING users.id, users.id AS id__1
$1: users.email store as varchar
$2: users.name store as varchar
$3: users.email store as varchar
$4: users.name store as varchar

INSERT INTO users (email, name) VALUES ($1::VARCHAR, $2::VARCHAR) RETURNING users.id
=> INSERT INTO public.users (email, name) VALUES ($1::pg_catalog.bytea, $2::pg_catalog.bytea) RETURNING users.id
$1: users.email store as varchar
$2: users.name store as varchar

SELECT users.id AS users_id, users.email AS users_email, users.name AS users_name FROM users WHERE users.email = $1::VARCHAR LIMIT $2::INTEGER
=> SELECT users.id AS users_id, users.email AS users_email, users.name AS users_name FROM public.users WHERE users.email = $1::pg_catalog.bytea LIMIT $2::INTEGER
$1: users.email as varchar
2: users.email from users.2
3: users.name from users.3

SELECT count(*) AS count_1 FROM (SELECT users.id AS users_id FROM users WHERE users.email = $1::VARCHAR) AS anon_1
=> SELECT count(*) AS count_1 FROM (SELECT users.id AS users_id FROM public.users WHERE users.email = $1::pg_catalog.bytea) AS anon_1
$1: users.email as varchar

SELECT "users"."id", "users"."email" FROM "users" WHERE "users"."email" = 'a' ORDER BY "users"."id" ASC LIMIT 21
=> SELECT "users"."id", "users"."email" FROM public."users" WHERE "users"."email" = «users.email 'a'» ORDER BY "users"."id" ASC LIMIT 21
2: users.email from users.2

SELECT "users"."id" FROM "users" WHERE UPPER("users"."email"::text) LIKE UPPER('%a%')
=> refuse 0A000 at 40: function upper cannot be carried out on encrypted column public.users.email

SELECT 1 AS "a" FROM "users" WHERE "users"."email" = $1 LIMIT 1
=> SELECT 1 AS "a" FROM public."users" WHERE "users"."email" = $1 LIMIT 1
$1: users.email

SELECT (1) AS "a" FROM "users" WHERE ("users"."email" = $1 AND NOT ("users"."id" = $2)) LIMIT 1
=> SELECT (1) AS "a" FROM public."users" WHERE ("users"."email" = $1 AND NOT ("users"."id" = $2)) LIMIT 1
$1: users.email

INSERT INTO "users" ("email", "name", "bio") VALUES ($1, $2, $3) RETURNING "users"."id"
=> INSERT INTO public."users" ("email", "name", "bio") VALUES ($1, $2, $3) RETURNING "users"."id"
$1: users.email store
$2: users.name store

UPDATE "users" SET "email" = 'b', "bio" = 'c' WHERE "users"."id" = 1
=> UPDATE public."users" SET "email" = «users.email store 'b'», "bio" = 'c' WHERE "users"."id" = 1

SELECT COUNT(*) AS "__count" FROM "users" WHERE "users"."email" IN ('a', 'b')
=> SELECT COUNT(*) AS "__count" FROM public."users" WHERE "users"."email" IN («users.email 'a'», «users.email 'b'»)

DELETE FROM "users" WHERE "users"."id" IN (1, 2)
=> DELETE FROM public."users" WHERE "users"."id" IN (1, 2)

SAVEPOINT "s140_x1"
=> forward

SELECT 1 AS one FROM "users" WHERE "users"."email" = $1 LIMIT $2
=> SELECT 1 AS one FROM public."users" WHERE "users"."email" = $1 LIMIT $2
$1: users.email

SELECT "users".* FROM "users" WHERE "users"."email" = $1 ORDER BY "users"."id" ASC LIMIT $2
=> SELECT "users".* FROM public."users" WHERE "users"."email" = $1 ORDER BY "users"."id" ASC LIMIT $2
$1: users.email
2: users.email from users.2
3: users.name from users.3
4: users.ssn from users.4
5: users.born from users.5
6: users.active from users.6
7: users.age from users.7
8: users.score from users.8
9: users.mood from users.9

INSERT INTO "users" ("email","name") VALUES ('a', 'n'), ('b', 'm') ON CONFLICT ("email") DO UPDATE SET "name"=excluded."name" RETURNING "id"
=> INSERT INTO public."users" ("email","name") VALUES («users.email store 'a'», «users.name store 'n'»), («users.email store 'b'», «users.name store 'm'») ON CONFLICT ("email") DO UPDATE SET "name"=excluded."name" RETURNING "id"

INSERT INTO "users" ("email") VALUES ('a') ON CONFLICT ("email") DO UPDATE SET created=(CASE WHEN ("users"."email" IS NOT DISTINCT FROM excluded."email") THEN "users".created ELSE CURRENT_TIMESTAMP END),"email"=excluded."email" RETURNING "id"
=> INSERT INTO public."users" ("email") VALUES («users.email store 'a'») ON CONFLICT ("email") DO UPDATE SET created=(CASE WHEN ("users"."email" IS NOT DISTINCT FROM excluded."email") THEN "users".created ELSE CURRENT_TIMESTAMP END),"email"=excluded."email" RETURNING "id"

SELECT "public"."users"."id", "public"."users"."email" FROM "public"."users" WHERE ("public"."users"."email" = $1 AND 1=1) LIMIT $2 OFFSET $3
=> SELECT "public"."users"."id", "public"."users"."email" FROM "public"."users" WHERE ("public"."users"."email" = $1 AND 1=1) LIMIT $2 OFFSET $3
$1: users.email
2: users.email from users.2

INSERT INTO "public"."users" ("email","mood") VALUES ($1,CAST($2::text AS "public"."mood")) RETURNING "public"."users"."id", "public"."users"."email"
=> INSERT INTO "public"."users" ("email","mood") VALUES ($1,CAST($2::pg_catalog.bytea AS pg_catalog.bytea)) RETURNING "public"."users"."id", "public"."users"."email"
$1: users.email store
$2: users.mood store as text cast to text cast to public.mood
2: users.email from users.2

SELECT "t1"."id", "t1"."email" FROM "public"."users" AS "t1" WHERE "t1"."email" IN ($1,$2,$3)
=> SELECT "t1"."id", "t1"."email" FROM "public"."users" AS "t1" WHERE "t1"."email" IN ($1,$2,$3)
$1: users.email
$2: users.email
$3: users.email
2: users.email from users.2

UPDATE "public"."users" SET "email" = $1 WHERE ("public"."users"."id" = $2 AND 1=1) RETURNING "public"."users"."id"
=> UPDATE "public"."users" SET "email" = $1 WHERE ("public"."users"."id" = $2 AND 1=1) RETURNING "public"."users"."id"
$1: users.email store

SELECT "User"."id", "User"."email" AS "User_email" FROM "users" "User" WHERE (("User"."email" = $1)) LIMIT 1
=> SELECT "User"."id", "User"."email" AS "User_email" FROM public."users" "User" WHERE (("User"."email" = $1)) LIMIT 1
$1: users.email
2: users.email from users.2

SELECT * FROM users WHERE ($1::text IS NULL OR email = $1) AND ($2::int IS NULL OR age = $2)
=> SELECT * FROM public.users WHERE ($1::pg_catalog.bytea IS NULL OR email = $1) AND ($2::pg_catalog.bytea IS NULL OR age = $2)
$1: users.email as text
$2: users.age as int4
2: users.email from users.2
3: users.name from users.3
4: users.ssn from users.4
5: users.born from users.5
6: users.active from users.6
7: users.age from users.7
8: users.score from users.8
9: users.mood from users.9

SELECT u1_0.id,u1_0.email FROM users u1_0 WHERE u1_0.email=$1 fetch first $2 rows only
=> SELECT u1_0.id,u1_0.email FROM public.users u1_0 WHERE u1_0.email=$1 fetch first $2 rows only
$1: users.email
2: users.email from users.2

select u.id as id1_0_, u.email as email2_0_ from users u where u.email=$1
=> select u.id as id1_0_, u.email as email2_0_ from public.users u where u.email=$1
$1: users.email
2: users.email from users.2

insert into users (email, name, id) values ($1, $2, $3), ($4, $5, $6)
=> insert into public.users (email, name, id) values ($1, $2, $3), ($4, $5, $6)
$1: users.email store
$2: users.name store
$4: users.email store
$5: users.name store

INSERT INTO users (email, name) SELECT * FROM unnest($1::text[], $2::varchar[]) RETURNING id
=> INSERT INTO public.users (email, name) SELECT * FROM unnest($1::pg_catalog.bytea[], $2::pg_catalog.bytea[]) RETURNING id
$1: array of users.email store as text
$2: array of users.name store as varchar

SELECT t.oid, t.typname FROM pg_catalog.pg_type t WHERE t.oid = ANY($1::oid[])
=> forward

SELECT c.relname FROM pg_class c WHERE c.relname = 'users'
=> forward

SELECT a.attname FROM pg_attribute a WHERE a.attrelid = '"users"'::regclass AND a.attnum > 0
=> forward

SELECT column_name FROM information_schema.columns WHERE table_name = 'users'
=> forward

SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY
=> forward

SELECT e.id, e.email FROM users AS e WHERE e.email = @x
=> refuse 0A000 at 54: this statement names users, which has encrypted columns, and is not understood

SELECT id FROM users WHERE email = ?
=> refuse 0A000 at 36: this statement names users, which has encrypted columns, and is not understood

COPY public.users (id, email) TO stdout
=> COPY public.users (id, email) TO stdout
copy Out: 2 email; Text(LineFormat { delimiter: 9, null: "\\N", default: None, is_before_18: true }), header None

SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(users)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3
=> forward

SELECT c.relchecks, c.relkind, c.relhasindex, c.relhasrules, c.relhastriggers, c.relrowsecurity, c.relforcerowsecurity, false AS relhasoids, c.relispartition, '', c.reltablespace, CASE WHEN c.reloftype = 0 THEN '' ELSE c.reloftype::pg_catalog.regtype::pg_catalog.text END, c.relpersistence, c.relreplident, am.amname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = tc.oid) LEFT JOIN pg_catalog.pg_am am ON (c.relam = am.oid) WHERE c.oid = 'users'::regclass
=> forward

SELECT tc.constraint_name, kc.column_name FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage kc ON kc.constraint_name = tc.constraint_name AND kc.table_schema = tc.table_schema WHERE tc.constraint_type = 'PRIMARY KEY' AND tc.table_name = 'users'
=> forward

SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod, c.collname, col_description(a.attrelid, a.attnum) AS comment, a.attidentity AS identity, attgenerated as attgenerated FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum LEFT JOIN pg_type t ON a.atttypid = t.oid LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation WHERE a.attrelid = '"users"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
=> forward

SELECT pg_catalog.pg_relation_size('users'), pg_total_relation_size('public.users'::regclass)
=> forward

SELECT EXISTS (SELECT FROM information_schema.tables WHERE table_schema = 'public' AND table_name = 'users')
=> forward

SELECT pg_catalog.setval(pg_get_serial_sequence('"users"', 'id'), coalesce(max("id"), 1), max("id") IS NOT null) FROM "users"
=> SELECT pg_catalog.setval(pg_get_serial_sequence('"users"', 'id'), coalesce(max("id"), 1), max("id") IS NOT null) FROM public."users"

SELECT nextval('users_id_seq'::regclass)
=> forward

--! A value that is only tested for NULL is as secret as its twin beside the column.
SELECT id FROM users WHERE ($1::text IS NULL OR email = $2) AND ($3::date IS NULL OR born = $4) AND ($5::text[] IS NULL OR email = ANY($6))
=> SELECT id FROM public.users WHERE ($1::pg_catalog.text IS NULL OR email = $2) AND ($3::pg_catalog.text IS NULL OR born = $4) AND ($5::pg_catalog.text IS NULL OR email = ANY($6))
$1: null test
$2: users.email
$3: null test
$4: users.born
$5: null test
$6: array of users.email

SELECT id FROM users WHERE ('a'::text IS NULL OR email = 'a') AND (date '2020-01-01' IS NULL OR born = date '2020-01-01') AND (-5 IS NOT NULL OR age = -5)
=> SELECT id FROM public.users WHERE («'a' asked whether it is NULL, as text»::pg_catalog.text IS NULL OR email = «users.email 'a'») AND ( «'2020-01-01' asked whether it is NULL, as date» IS NULL OR born =  «users.born as date '2020-01-01'») AND («'-5' asked whether it is NULL, as integer» IS NOT NULL OR age = «users.age as int4 '-5'»)

SELECT id FROM users WHERE (CAST(('a') AS varchar(3)) IS NULL OR email = 'a') AND NULL IS NULL AND true IS NOT NULL
=> SELECT id FROM public.users WHERE (CAST((«'a' asked whether it is NULL, as character varying(3)») AS pg_catalog.text) IS NULL OR email = «users.email 'a'») AND NULL IS NULL AND true IS NOT NULL

SELECT id FROM users WHERE ($1::text IS NULL OR bio = $1) AND ($2::int IS NULL OR id = $2 + 1) AND ($3::text IS NULL) = ($3 IS NULL) AND email = 'a'
=> SELECT id FROM public.users WHERE ($1::text IS NULL OR bio = $1) AND ($2::int IS NULL OR id = $2 + 1) AND ($3::pg_catalog.text IS NULL) = ($3 IS NULL) AND email = «users.email 'a'»
$3: null test

--! Comparisons of varchar are those of text, but a list takes the column's type first.
SELECT id FROM users WHERE name = $1 OR name IN ($2, $3) OR name IN ($4) OR name = ANY($5) OR name IS DISTINCT FROM $6
=> SELECT id FROM public.users WHERE name = $1 OR name IN ($2, $3) OR name IN ($4) OR name = ANY($5) OR name IS DISTINCT FROM $6
$1: users.name as text
$2: users.name
$3: users.name
$4: users.name as text
$5: array of users.name as text
$6: users.name as text

--! A NULL has the type of what it stands with, or of the cast of its column.
INSERT INTO users (email, born) SELECT p0::TEXT, p1::DATE FROM (VALUES ('a', '2020-01-01'::date, 0), ('b', NULL, 1)) AS imp_sen(p0, p1, sen_counter) ORDER BY sen_counter
=> INSERT INTO public.users (email, born) SELECT p0::pg_catalog.bytea, p1::pg_catalog.bytea FROM (VALUES («users.email store as text 'a'», «users.born store as date '2020-01-01'»::pg_catalog.bytea, 0), («users.email store as text 'b'», NULL::pg_catalog.bytea, 1)) AS imp_sen(p0, p1, sen_counter) ORDER BY sen_counter

INSERT INTO users (email, born) SELECT p0::TEXT, p1::DATE FROM (VALUES ('a', NULL, 0), ('b', NULL, 1)) AS imp_sen(p0, p1, sen_counter) ORDER BY sen_counter
=> INSERT INTO public.users (email, born) SELECT p0::pg_catalog.bytea, p1::pg_catalog.bytea FROM (VALUES («users.email store as text 'a'», NULL::pg_catalog.bytea, 0), («users.email store as text 'b'», NULL::pg_catalog.bytea, 1)) AS imp_sen(p0, p1, sen_counter) ORDER BY sen_counter
