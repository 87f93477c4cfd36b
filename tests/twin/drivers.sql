--! SQLAlchemy.

SELECT people.id, people.email FROM people WHERE people.email = $1::VARCHAR
$1 = ada@example.com
=> same

SELECT people.id, people.email FROM people WHERE people.email IN ($1::VARCHAR, $2::VARCHAR) ORDER BY people.id
$1 = ada@example.com
$2 = x
=> same

SELECT people.id FROM people WHERE people.born = $1::DATE AND people.level = $2::INTEGER
$1 = 1985-12-10
$2 = 3
=> same

SELECT people.id FROM people WHERE people.city = $1::VARCHAR(20)
$1 = London
=> same

SELECT people.id FROM people WHERE (people.email IN (SELECT CAST(NULL AS VARCHAR) WHERE 1!=1))
=> same

SELECT people.id FROM people WHERE (people.city IN (SELECT CAST(NULL AS VARCHAR(20)) WHERE 1!=1))
=> same

SELECT people.id FROM people WHERE people.city = ANY (CAST($1 AS VARCHAR(20)[]))
$1 = {London}
=> same

SELECT count(*) AS count_1 FROM (SELECT people.id AS people_id, people.email AS people_email FROM people WHERE people.email = $1::VARCHAR) AS anon_1
$1 = ada@example.com
=> same

SELECT EXISTS (SELECT 1 FROM people WHERE people.email = $1::VARCHAR) AS anon_1
$1 = ada@example.com
=> same

SELECT anon_1.email, orders_1.id AS orders_1_id FROM (SELECT people.id AS id, people.email AS email FROM people WHERE people.id = $1::INTEGER LIMIT $2::INTEGER) AS anon_1 LEFT OUTER JOIN orders AS orders_1 ON anon_1.email = orders_1.email ORDER BY orders_1.id
$1 = 1
$2 = 5
=> same

--! Django.

SELECT "people"."id", "people"."email" FROM "people" WHERE "people"."email" = 'ada@example.com' LIMIT 21
=> same

SELECT (1) AS "a" FROM "people" WHERE "people"."email" = 'ada@example.com' LIMIT 1
=> same

SELECT 1 AS "a" FROM "people" WHERE ("people"."email" = $1 AND NOT ("people"."id" = 1)) LIMIT 1
$1 = ada@example.com
=> same

SELECT COUNT(*) FROM (SELECT DISTINCT "people"."born" AS "col1" FROM "people") subquery
=> same

SELECT "people"."id" FROM "people" WHERE UPPER("people"."email"::text) = UPPER('ADA@example.com')
=> refused function upper cannot be carried out on encrypted column public.people.email

SELECT "people"."id" FROM "people" WHERE "people"."email"::text LIKE '%ada%'
=> refused LIKE cannot be carried out on encrypted column public.people.email

SELECT "people"."born", COUNT("people"."id") AS "n" FROM "people" GROUP BY "people"."born" ORDER BY "n" DESC, 1
=> refused column public.people.born is encrypted without order, so ORDER BY cannot be carried out on it

SELECT "people"."born", COUNT("people"."id") AS "n" FROM "people" GROUP BY 1 HAVING COUNT("people"."id") > 1
=> same

UPDATE "people" SET "email" = (CASE WHEN ("people"."id" = $1) THEN $2 WHEN ("people"."id" = $3) THEN $4 ELSE NULL END)::text WHERE "people"."id" IN ($1, $3)
$1 = 1
$2 = a
$3 = 2
$4 = b
=> same

UPDATE "people" SET "city" = (CASE WHEN ("people"."id" = 1) THEN 'a' WHEN ("people"."id" = 2) THEN 'b' ELSE NULL END)::varchar(20) WHERE "people"."id" IN (1, 2)
=> same

UPDATE "people" SET "born" = CASE WHEN "people"."id" = 1 THEN '2000-01-01'::date ELSE NULL END WHERE "people"."id" IN (1)
=> same

INSERT INTO "people" ("id", "email", "born") VALUES (20, 'a', '2000-01-01'::date), (21, 'b', NULL) RETURNING "people"."id"
=> same

INSERT INTO "people" ("id", "email", "born") SELECT * FROM UNNEST(($1)::integer[], ($2)::text[], ($3)::date[]) RETURNING "people"."id"
$1 = {20,21}
$2 = {a,b}
$3 = {2000-01-01,NULL}
=> same

INSERT INTO "people" ("id", "city") SELECT * FROM UNNEST(($1)::integer[], ($2)::varchar(20)[]) RETURNING "people"."id"
$1 = {20,21}
$2 = {a,b}
=> same

SELECT "people"."id" FROM "people" WHERE "people"."email" IN (SELECT U0."email" FROM "orders" U0 WHERE U0."total" > 5) ORDER BY 1
=> same

SELECT "people"."id" FROM "people" WHERE EXISTS(SELECT 1 AS "a" FROM "orders" U0 WHERE U0."email" = ("people"."email") LIMIT 1) ORDER BY 1
=> same

SELECT "people"."id", CASE WHEN "people"."email" = 'ada@example.com' THEN 'me' ELSE 'other' END AS "who" FROM "people" ORDER BY 1
=> same

SELECT "people"."id", COALESCE("people"."email", 'none') AS "e" FROM "people" ORDER BY 1
=> same

SELECT "kinds"."id" FROM "kinds" WHERE "kinds"."b" ORDER BY 1
=> same

SELECT "kinds"."id" FROM "kinds" WHERE NOT "kinds"."b" ORDER BY 1
=> same

SELECT "kinds"."id" FROM "kinds" WHERE ("kinds"."b" AND "kinds"."id" > 0) ORDER BY 1
=> same

--! Rails.

SELECT 1 AS one FROM "people" WHERE "people"."email" = $1 LIMIT $2
$1 = ada@example.com
$2 = 1
=> same

SELECT 1 AS one FROM "people" WHERE "people"."email" = $1 AND "people"."id" != $2 LIMIT $3
$1 = ada@example.com
$2 = 5
$3 = 1
=> same

INSERT INTO "people" ("id","email","level") VALUES (20, 'a', 1), (21, 'b', 2) ON CONFLICT DO NOTHING RETURNING "id"
=> same

INSERT INTO "people" ("id","email","level") VALUES (20, 'ada@example.com', 1), (21, 'b', 2) ON CONFLICT ("email") DO UPDATE SET "level"=excluded."level","team"=(CASE WHEN ("people"."level" IS NOT DISTINCT FROM excluded."level") THEN "people"."team" ELSE 99 END) RETURNING "id"
=> same

SELECT "people".* FROM "people" WHERE "people"."email" IN ($1, $2) ORDER BY "people"."id" ASC LIMIT $3
$1 = ada@example.com
$2 = x
$3 = 10
=> same

SELECT COUNT(*) AS "count_all", "people"."born" AS "people_born" FROM "people" GROUP BY "people"."born"
=> same

SELECT COUNT(DISTINCT "people"."email") FROM "people" INNER JOIN "orders" ON "orders"."email" = "people"."email"
=> same

SELECT DISTINCT "people"."id" FROM "people" LEFT OUTER JOIN "orders" ON "orders"."email" = "people"."email" WHERE "people"."email" IS NOT NULL ORDER BY "people"."id"
=> same

SELECT "people".* FROM "people" WHERE "people"."email" = 'ada@example.com' ORDER BY "people"."id" DESC LIMIT 1
=> same

UPDATE "people" SET "email" = $1, "team" = $2 WHERE "people"."id" = $3
$1 = new
$2 = 2
$3 = 1
=> same

UPDATE "people" SET "team" = COALESCE("team", 0) + 1 WHERE "people"."email" = 'ada@example.com'
=> same

--! Prisma, TypeORM, Sequelize, Knex.

SELECT "public"."people"."id", "public"."people"."email" FROM "public"."people" WHERE ("public"."people"."email" = $1 AND 1=1) LIMIT $2 OFFSET $3
$1 = ada@example.com
$2 = 1
$3 = 0
=> same

INSERT INTO "public"."people" ("id","email","ssn") VALUES ($1,$2,$3), ($4,$5,$6) RETURNING "public"."people"."id", "public"."people"."email"
$1 = 20
$2 = a
$3 = s
$4 = 21
$5 = b
$6 is null
=> same

UPDATE "public"."people" SET "email" = $1 WHERE ("public"."people"."id" = $2 AND 1=1) RETURNING "public"."people"."id", "public"."people"."email"
$1 = x
$2 = 1
=> same

INSERT INTO "public"."people" ("id","email") VALUES ($1,$2) ON CONFLICT ("email") DO UPDATE SET "ssn" = $3 WHERE ("public"."people"."email" = $4 AND 1=1) RETURNING "public"."people"."id"
$1 = 20
$2 = ada@example.com
$3 = s
$4 = ada@example.com
=> same

UPDATE "public"."kinds" SET "mo" = CAST($1::text AS "public"."mood") WHERE "public"."kinds"."id" = $2 RETURNING "public"."kinds"."mo"::text
$1 = sad
$2 = 1
=> same

SELECT "public"."kinds"."id", "public"."kinds"."mo"::text FROM "public"."kinds" WHERE "public"."kinds"."mo" = CAST($1::text AS "public"."mood") ORDER BY 1
$1 = ok
=> same

SELECT COUNT(*) FROM (SELECT "public"."people"."id" FROM "public"."people" WHERE "public"."people"."email" = $1 OFFSET $2) AS "sub"
$1 = ada@example.com
$2 = 0
=> same

SELECT "public"."people"."id" FROM "public"."people" WHERE ("public"."people"."id") IN (SELECT "t1"."person" FROM "public"."orders" AS "t1" WHERE ("t1"."email" = $1 AND "t1"."person" IS NOT NULL)) ORDER BY "public"."people"."id"
$1 = ada@example.com
=> same

SELECT DISTINCT "distinctAlias"."People_id" AS "ids_People_id" FROM (SELECT "People"."id" AS "People_id", "People"."email" AS "People_email" FROM "people" "People" WHERE "People"."email" = $1) "distinctAlias" ORDER BY "People_id" ASC LIMIT 1
$1 = ada@example.com
=> same

SELECT "t0"."id", "t1"."__prisma_data__" FROM "public"."people" AS "t0" LEFT JOIN LATERAL (SELECT JSONB_BUILD_OBJECT('id', "t2"."id") AS "__prisma_data__" FROM "public"."orders" AS "t2" WHERE "t2"."email" = "t0"."email" ORDER BY "t2"."id" LIMIT 1) AS "t1" ON TRUE ORDER BY "t0"."id"
=> same

SELECT "t0"."id", "t1"."d" FROM "public"."people" AS "t0" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("t2"."id"), '[]') AS "d" FROM (SELECT "t3"."id" FROM "public"."orders" AS "t3" WHERE "t3"."email" = "t0"."email" ORDER BY "t3"."id") AS "t2") AS "t1" ON TRUE ORDER BY "t0"."id"
=> same

select count(*) as "count" from "people" where "email" = $1 and "ssn" is not null
$1 = ada@example.com
=> same

select * from "people" where ("email", "level") in (($1, $2)) order by "id"
$1 = ada@example.com
$2 = 3
=> same

--! JDBC, Hibernate, jOOQ.

select p1_0.id,p1_0.email from people p1_0 where p1_0.email=$1 fetch first $2 rows only
$1 = ada@example.com
$2 = 1
=> same

insert into people (email,level,id) values ($1,$2,$3),($4,$5,$6)
$1 = a
$2 = 1
$3 = 20
$4 = b
$5 = 2
$6 = 21
=> same

select p1_0.id from people p1_0 where p1_0.email in ($1,$2,$3) order by p1_0.id offset $4 rows fetch first $5 rows only
$1 = ada@example.com
$2 = x
$3 = y
$4 = 0
$5 = 10
=> same

select p1_0.id from people p1_0 where ($1 is null or p1_0.email=$2) order by p1_0.id
$1 = ada@example.com
$2 = ada@example.com
=> same error 42P18; simple: same

select p1_0.id from people p1_0 where array_contains(p1_0.ta, $1)
$1 = x
=> same error 42703

merge into people t using (select cast($1 as integer) id, cast($2 as varchar) email) s on (t.id = s.id) when not matched then insert (id, email) values (s.id, s.email) when matched then update set email = s.email
$1 = 1
$2 = merged
=> same

select "people"."id" from "people" where "people"."email" = any (cast($1 as varchar[]))
$1 = {ada@example.com}
=> same

select "id" from "people" where ("email" = $1 and ("born" is null or "born" = cast($2 as date))) order by "id"
$1 = ada@example.com
$2 = 1985-12-10
=> same

--! Hand-written.

SELECT id FROM people WHERE email = ANY($1::text[]) AND level = ANY($2::int[]) ORDER BY id
$1 = {ada@example.com}
$2 = {3}
=> same

INSERT INTO people (id, email) SELECT (row_number() OVER ())::int + 50, e FROM unnest($1::text[]) e ON CONFLICT (email) DO UPDATE SET team = 3 RETURNING id, email
$1 = {ada@example.com,b}
=> same

SELECT t.email FROM unnest($1::text[]) WITH ORDINALITY AS t(email, n) LEFT JOIN people p ON p.email = t.email ORDER BY t.n
$1 = {ada@example.com,b}
=> same

SELECT p.id, (SELECT json_agg(o.id ORDER BY o.id) FROM orders o WHERE o.email = p.email) FROM people p ORDER BY p.id
=> same

SELECT p.id, array_agg(o.memo ORDER BY o.id) FILTER (WHERE o.id IS NOT NULL) AS memos FROM people p LEFT JOIN orders o ON o.email = p.email GROUP BY p.id ORDER BY p.id
=> same

SELECT p.id, p.email, count(o.id) FROM people p LEFT JOIN orders o ON o.email = p.email GROUP BY p.id ORDER BY p.id
=> same

SELECT p.email, count(o.id) FROM people p LEFT JOIN orders o ON o.email = p.email GROUP BY p.email HAVING count(o.id) > 0
=> same

SELECT date_trunc('day', now()) IS NOT NULL, email FROM people WHERE id = 1
=> same

SELECT CASE WHEN count(*) > 0 THEN true ELSE false END FROM people WHERE email = $1
$1 = ada@example.com
=> same

SELECT coalesce(sum(total), 0) FROM orders WHERE email = $1
$1 = ada@example.com
=> same

SELECT count(*) FROM people WHERE email = $1 AND id <> coalesce($2::int, 0)
$1 = ada@example.com
$2 is null
=> same

SELECT id FROM people WHERE (($1::text IS NOT NULL AND email = $1) OR ($2::date IS NOT NULL AND born = $2)) ORDER BY id
$1 = ada@example.com
$2 is null
=> same

SELECT id FROM people WHERE email = trim($1)
$1 = ada@example.com
=> refused column public.people.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM people WHERE email = lower('ADA@example.com')
=> refused column public.people.email is encrypted, so it cannot meet an expression that is not in operator =

SELECT id FROM people WHERE ssn IS NOT DISTINCT FROM NULL
=> refused column public.people.ssn is encrypted as randomized, so IS NOT DISTINCT FROM cannot be carried out on it

SELECT id FROM people WHERE ssn = NULL
=> refused column public.people.ssn is encrypted as randomized, so operator = cannot be carried out on it

SELECT p.*, o.total FROM people p JOIN LATERAL (SELECT sum(total) AS total FROM orders WHERE email = p.email) o ON o.total IS NOT NULL ORDER BY p.id
=> same
