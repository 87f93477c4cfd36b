--! What is made: stored types, a CHECK, sealed defaults.
CREATE TABLE accounts (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, note text DEFAULT 'none')
=> CREATE TABLE public.accounts (id bigserial PRIMARY KEY, email pg_catalog.bytea NOT NULL UNIQUE CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), note text DEFAULT 'none')

CREATE TABLE IF NOT EXISTS public . "accounts" (email TEXT, "Full Name" character varying(80) COLLATE "C" DEFAULT 'nobody'::character varying, pin text DEFAULT '0000' NOT NULL, level integer DEFAULT -1, tags text[3] DEFAULT '{a,b}', since timestamp with time zone DEFAULT NULL)
=> CREATE TABLE IF NOT EXISTS public . "accounts" (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), "Full Name" pg_catalog.bytea  DEFAULT «accounts.Full Name store as varchar 'nobody'»::pg_catalog.bytea CONSTRAINT "Full Name_sealed_check" CHECK (pg_catalog.substr("Full Name", 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length("Full Name") OPERATOR(pg_catalog.>=) 22), pin pg_catalog.text DEFAULT «accounts.pin store '0000'» NOT NULL CONSTRAINT pin_sealed_check CHECK (pg_catalog.substr(pin, 1, 8) OPERATOR(pg_catalog.=) ANY (ARRAY['pgs1.5RA'::pg_catalog.text, 'pgs1.5RB'::pg_catalog.text, 'pgs1.5RC'::pg_catalog.text, 'pgs1.5RD'::pg_catalog.text]) AND pg_catalog.octet_length(pin) OPERATOR(pg_catalog.>=) 67), level pg_catalog.bytea DEFAULT «accounts.level store as int4 '-1'» CONSTRAINT level_sealed_check CHECK (pg_catalog.substr(level, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(level) OPERATOR(pg_catalog.>=) 22), tags pg_catalog.bytea DEFAULT «accounts.tags store '{a,b}'» CONSTRAINT tags_sealed_check CHECK (pg_catalog.substr(tags, 1, 2) OPERATOR(pg_catalog.=) '\xe510'::pg_catalog.bytea AND pg_catalog.octet_length(tags) OPERATOR(pg_catalog.>=) 46), since pg_catalog.bytea DEFAULT NULL CONSTRAINT since_sealed_check CHECK (pg_catalog.substr(since, 1, 2) OPERATOR(pg_catalog.=) '\xe510'::pg_catalog.bytea AND pg_catalog.octet_length(since) OPERATOR(pg_catalog.>=) 46))

create unlogged table accounts(email /* the address */ text -- here
 , level int4 default 1 check (level is not null)) with (fillfactor=70) tablespace fast
=> create unlogged table public.accounts(email /* the address */ pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22) -- here
 , level pg_catalog.bytea default «accounts.level store as int4 '1'» check (level is not null) CONSTRAINT level_sealed_check CHECK (pg_catalog.substr(level, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(level) OPERATOR(pg_catalog.>=) 22)) with (fillfactor=70) tablespace fast

CREATE TABLE accounts (email varchar(254))
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22))

CREATE TABLE accounts ("Full Name" varchar(30), level smallint, since timestamptz(6), email char(20))
=> refuse 0A000 at 93: column public.accounts.email is declared as char(20), but the policy says text

CREATE TABLE accounts ("Full Name" character varying)
=> refuse 0A000 at 36: column public.accounts."Full Name" is declared as character varying, but the policy says character varying(80)

CREATE TABLE accounts (level bigint)
=> refuse 0A000 at 30: column public.accounts.level is declared as bigint, but the policy says integer

CREATE TABLE accounts (email text DEFAULT lower('Secret'))
=> refuse 0A000 at 43: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.accounts.email

CREATE TABLE accounts (email text DEFAULT current_user)
=> refuse 0A000 at 43: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.accounts.email

CREATE TABLE accounts (since timestamptz DEFAULT now())
=> refuse 0A000 at 50: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.accounts.since

CREATE TABLE accounts (level serial)
=> refuse 0A000 at 30: column public.accounts.level is declared as serial, but the policy says integer

CREATE TABLE accounts (level int GENERATED ALWAYS AS IDENTITY)
=> refuse 0A000 at 34: GENERATED AS IDENTITY cannot be carried out on encrypted column public.accounts.level

CREATE TABLE accounts (email text GENERATED ALWAYS AS (lower('X')) STORED)
=> refuse 0A000 at 56: GENERATED ALWAYS AS cannot be carried out on encrypted column public.accounts.email

CREATE TABLE accounts (email text, low text GENERATED ALWAYS AS (lower(email)) STORED)
=> refuse 0A000 at 66: function lower cannot be carried out on encrypted column public.accounts.email

CREATE TABLE accounts (email text, low text GENERATED ALWAYS AS (lower(note)) STORED, note text)
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), low text GENERATED ALWAYS AS (lower(note)) STORED, note text)

CREATE TABLE accounts (id int CHECK (email <> 'secret'))
=> refuse 42703 at 38: column "email" does not exist

CREATE TABLE accounts (email text CHECK (email 'secret'))
=> refuse 0A000 at 42: a constant behind a column is not supported in a statement that names accounts

CREATE TABLE accounts (email text CHECK (email <> 'secret'))
=> refuse 0A000 at 42: a constant for encrypted column public.accounts.email cannot stand in CHECK

CREATE TABLE accounts (email text, CONSTRAINT c CHECK (email = 'secret' OR id > 5), id int)
=> refuse 0A000 at 56: a constant for encrypted column public.accounts.email cannot stand in CHECK

CREATE TABLE accounts (email text, CHECK (length(email) > 3))
=> refuse 0A000 at 43: function length cannot be carried out on encrypted column public.accounts.email

CREATE TABLE accounts (email text, other text, CHECK (email IS NOT NULL OR other <> 'x'))
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), other text, CHECK (email IS NOT NULL OR other <> 'x'))

CREATE TABLE accounts (email text COLLATE case_insensitive)
=> refuse 0A000 at 35: COLLATE case_insensitive cannot be carried out on encrypted column public.accounts.email

CREATE TABLE accounts (pin text COLLATE case_insensitive)
=> CREATE TABLE public.accounts (pin pg_catalog.text  CONSTRAINT pin_sealed_check CHECK (pg_catalog.substr(pin, 1, 8) OPERATOR(pg_catalog.=) ANY (ARRAY['pgs1.5RA'::pg_catalog.text, 'pgs1.5RB'::pg_catalog.text, 'pgs1.5RC'::pg_catalog.text, 'pgs1.5RD'::pg_catalog.text]) AND pg_catalog.octet_length(pin) OPERATOR(pg_catalog.>=) 67))

CREATE TABLE accounts (state state DEFAULT 'new')
=> refuse 0A000 at 44: a default of a type that is made in the same text is not supported in a statement that names accounts

CREATE TABLE accounts (state state NOT NULL)
=> CREATE TABLE public.accounts (state pg_catalog.bytea NOT NULL CONSTRAINT state_sealed_check CHECK (pg_catalog.substr(state, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(state) OPERATOR(pg_catalog.>=) 22))

CREATE TYPE state AS ENUM ('new', 'old'); CREATE TABLE accounts (state state NOT NULL); INSERT INTO accounts (state) VALUES ('new')
=> refuse 0A000 at 101: public.accounts cannot be used: type state is not one type of the database

CREATE TABLE accounts (email text COMPRESSION pglz NOT NULL)
=> CREATE TABLE public.accounts (email pg_catalog.bytea COMPRESSION pglz NOT NULL CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22))

CREATE TABLE accounts (email text, tags int[])
=> refuse 0A000 at 41: column public.accounts.tags is declared as int[], but the policy says text[]

CREATE TABLE accounts
=> refuse 0A000 at 14: a clause of CREATE TABLE is not supported in a statement that names accounts

CREATE TABLE accounts (email text) FROBNICATE
=> refuse 0A000 at 36: a clause of CREATE TABLE is not supported in a statement that names accounts

CREATE TABLE accounts (email text ENCRYPT 'secret')
=> refuse 0A000 at 51: a clause of CREATE TABLE is not supported in a statement that names accounts

CREATE UNLOGGED TABLE accounts (email text ENCRYPT 'secret')
=> refuse 0A000 at 60: a clause of CREATE TABLE is not supported in a statement that names accounts

CREATE TEMP TABLE accounts (email text ENCRYPT 'secret')
=> refuse 0A000 at 19: a temporary table accounts would take the place of the encrypted one

CREATE TEMP TABLE posts (email text ENCRYPTED, user_id int REFERENCES users (id))
=> forward

CREATE TABLE accounts OF person
=> refuse 0A000 at 23: a clause of CREATE TABLE is not supported in a statement that names accounts

CREATE TABLE other.accounts (email text DEFAULT 'plain')
=> forward

CREATE TABLE other.accounts (email text); INSERT INTO other.accounts VALUES ('plain')
=> forward

CREATE TEMP TABLE accounts (email text)
=> refuse 0A000 at 19: a temporary table accounts would take the place of the encrypted one

CREATE TABLE pg_temp.accounts (email text)
=> refuse 0A000 at 22: a temporary table accounts would take the place of the encrypted one

CREATE TABLE pg_temp.accounts AS SELECT 'secret' AS email
=> refuse 0A000 at 22: a temporary table accounts would take the place of the encrypted one

CREATE VIEW pg_temp.accounts AS SELECT 'secret' AS email
=> refuse 0A000 at 21: a temporary table accounts would take the place of the encrypted one

ALTER TABLE pg_temp_3.other RENAME TO accounts
=> refuse 42P01 at 23: relation "pg_temp_3.other" does not exist

ALTER TABLE plain SET SCHEMA pg_temp
=> forward

CREATE TEMP TABLE staging (email text)
=> forward

CREATE TABLE "Accounts" (email text DEFAULT 'plain')
=> CREATE TABLE public."Accounts" (email text DEFAULT 'plain')

CREATE FOREIGN TABLE accounts (email text) SERVER s
=> refuse 0A000 at 22: CREATE FOREIGN cannot be carried out on accounts, which has encrypted columns

CREATE TABLE accounts (email text DEFAULT U&'\0073ecret' || 'x')
=> refuse 0A000 at 61: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.accounts.email

CREATE TABLE accounts (email text DEFAULT ('secret'))
=> CREATE TABLE public.accounts (email pg_catalog.bytea DEFAULT («accounts.email store 'secret'») CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22))

CREATE TABLE accounts (email text DEFAULT E'se\'cret' COLLATE "en_US" NOT NULL UNIQUE, level int NULL DEFAULT 1 NULL)
=> CREATE TABLE public.accounts (email pg_catalog.bytea DEFAULT «accounts.email store 'se'cret'»  NOT NULL UNIQUE CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), level pg_catalog.bytea NULL DEFAULT «accounts.level store as int4 '1'» NULL CONSTRAINT level_sealed_check CHECK (pg_catalog.substr(level, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(level) OPERATOR(pg_catalog.>=) 22))

CREATE TABLE accounts (email text DEFAULT CASE WHEN true THEN 'secret' END)
=> CREATE TABLE public.accounts (email pg_catalog.bytea DEFAULT CASE WHEN true THEN «accounts.email store as text 'secret'» END CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22))

--! Keys.
CREATE TABLE accounts (email text PRIMARY KEY, pin text)
=> CREATE TABLE public.accounts (email pg_catalog.bytea PRIMARY KEY CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), pin pg_catalog.text CONSTRAINT pin_sealed_check CHECK (pg_catalog.substr(pin, 1, 8) OPERATOR(pg_catalog.=) ANY (ARRAY['pgs1.5RA'::pg_catalog.text, 'pgs1.5RB'::pg_catalog.text, 'pgs1.5RC'::pg_catalog.text, 'pgs1.5RD'::pg_catalog.text]) AND pg_catalog.octet_length(pin) OPERATOR(pg_catalog.>=) 67))

CREATE TABLE accounts (email text, pin text UNIQUE)
=> refuse 0A000 at 45: column public.accounts.pin is encrypted as randomized, so UNIQUE cannot be carried out on it

CREATE TABLE accounts (email text, pin text, CONSTRAINT u UNIQUE NULLS NOT DISTINCT (email, pin) INCLUDE (id))
=> refuse 0A000 at 93: column public.accounts.pin is encrypted as randomized, so UNIQUE cannot be carried out on it

CREATE TABLE accounts (email text, pin text, UNIQUE (email) INCLUDE (pin) WITH (fillfactor = 80) USING INDEX TABLESPACE fast DEFERRABLE INITIALLY DEFERRED)
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), pin pg_catalog.text CONSTRAINT pin_sealed_check CHECK (pg_catalog.substr(pin, 1, 8) OPERATOR(pg_catalog.=) ANY (ARRAY['pgs1.5RA'::pg_catalog.text, 'pgs1.5RB'::pg_catalog.text, 'pgs1.5RC'::pg_catalog.text, 'pgs1.5RD'::pg_catalog.text]) AND pg_catalog.octet_length(pin) OPERATOR(pg_catalog.>=) 67), UNIQUE (email) INCLUDE (pin) WITH (fillfactor = 80) USING INDEX TABLESPACE fast DEFERRABLE INITIALLY DEFERRED)

CREATE TABLE accounts (email text, nothing text, PRIMARY KEY (nothin))
=> refuse 42703 at 63: column "nothin" does not exist

CREATE TABLE accounts (email text REFERENCES users (email) ON DELETE CASCADE ON UPDATE SET NULL)
=> CREATE TABLE public.accounts (email pg_catalog.bytea REFERENCES public.users (email) ON DELETE CASCADE ON UPDATE SET NULL CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22))

CREATE TABLE accounts (email text REFERENCES users)
=> refuse 0A000 at 46: REFERENCES without columns is not supported in a statement that names accounts

CREATE TABLE accounts (email text, user_id int REFERENCES users)
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), user_id int REFERENCES public.users)

CREATE TABLE accounts (email text, FOREIGN KEY (email) REFERENCES customers (phone) MATCH FULL)
=> refuse 0A000 at 49: columns public.accounts.email and public.customers.phone are encrypted differently, so they cannot meet in FOREIGN KEY

CREATE TABLE accounts (email text, FOREIGN KEY (email) REFERENCES plain (email))
=> refuse 0A000 at 74: column public.accounts.email is encrypted, so it cannot meet an expression that is not in FOREIGN KEY

CREATE TABLE accounts (id int PRIMARY KEY, parent int REFERENCES accounts (id), email text UNIQUE, boss text REFERENCES accounts (email))
=> refuse 0A000 at 100: column public.accounts.email is encrypted, so it cannot meet an expression that is not in FOREIGN KEY

CREATE TABLE posts (id int, mail text REFERENCES users (email))
=> refuse 0A000 at 29: column public.users.email is encrypted, so it cannot meet an expression that is not in FOREIGN KEY

CREATE TABLE posts (id int, user_id int REFERENCES users (id), users text DEFAULT 'users')
=> CREATE TABLE posts (id int, user_id int REFERENCES public.users (id), users text DEFAULT 'users')

CREATE TABLE accounts (email text, during tsrange, EXCLUDE USING btree (email WITH =))
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), during tsrange, EXCLUDE USING btree (email WITH =))

CREATE TABLE accounts (email text, during tsrange, EXCLUDE USING gist (email WITH =, during WITH &&))
=> refuse 0A000 at 72: EXCLUDE WITH = cannot be carried out on encrypted column public.accounts.email

CREATE TABLE accounts (email text, during tsrange, EXCLUDE USING gist (during WITH &&) WHERE (email IS NOT NULL))
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), during tsrange, EXCLUDE USING gist (during WITH &&) WHERE (email IS NOT NULL))

CREATE TABLE accounts (email text, during tsrange, EXCLUDE USING gist (during WITH &&) WHERE (email = 'secret'))
=> refuse 0A000 at 95: a constant for encrypted column public.accounts.email cannot stand in EXCLUDE ... WHERE

--! Partitions and children.
CREATE TABLE accounts (email text, id int) PARTITION BY HASH (email)
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), id int) PARTITION BY HASH (email)

CREATE TABLE accounts (email text, id int) PARTITION BY LIST (email text_ops)
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), id int) PARTITION BY LIST (email )

CREATE TABLE accounts (email text, id int) PARTITION BY RANGE (email)
=> refuse 0A000 at 44: column public.accounts.email is encrypted without order, so PARTITION BY RANGE cannot be carried out on it

CREATE TABLE accounts (email text, id int) PARTITION BY RANGE (id)
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22), id int) PARTITION BY RANGE (id)

CREATE TABLE accounts (email text, id int) PARTITION BY LIST (lower(email))
=> refuse 0A000 at 63: function lower cannot be carried out on encrypted column public.accounts.email

CREATE TABLE accounts (pin text, id int) PARTITION BY HASH (pin)
=> refuse 0A000 at 61: column public.accounts.pin is encrypted as randomized, so PARTITION BY HASH cannot be carried out on it

CREATE TABLE accounts (email text) PARTITION BY LIST (email); CREATE TABLE accounts_a PARTITION OF accounts FOR VALUES IN ('secret', NULL, 'other'); CREATE TABLE accounts_b PARTITION OF accounts DEFAULT
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22)) PARTITION BY LIST (email); CREATE TABLE accounts_a PARTITION OF public.accounts FOR VALUES IN («accounts.email store 'secret'», NULL, «accounts.email store 'other'»); CREATE TABLE accounts_b PARTITION OF public.accounts DEFAULT

CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM (1000) TO (2000)
=> CREATE TABLE events_2025 PARTITION OF public.events FOR VALUES FROM (1000) TO (2000)

CREATE TABLE events_2025 PARTITION OF events (actor DEFAULT 'secret', CHECK (actor IS NOT NULL)) FOR VALUES FROM (MINVALUE) TO (2000) PARTITION BY LIST (actor)
=> CREATE TABLE events_2025 PARTITION OF public.events (actor DEFAULT «events.actor store 'secret'», CHECK (actor IS NOT NULL)) FOR VALUES FROM (MINVALUE) TO (2000) PARTITION BY LIST (actor)

CREATE TABLE events_2025 PARTITION OF events (actr DEFAULT 'secret') DEFAULT
=> refuse 42703 at 47: column "actr" does not exist

CREATE TABLE accounts PARTITION OF events DEFAULT
=> CREATE TABLE public.accounts PARTITION OF public.events DEFAULT

CREATE TABLE accounts (id int) INHERITS (users)
=> CREATE TABLE public.accounts (id int) INHERITS (public.users)

CREATE TABLE accounts () INHERITS (plain)
=> refuse 0A000 at 36: public.accounts.email is encrypted by the policy, and what would take that name is not

CREATE TABLE admins_too (rights text DEFAULT 'all', email text DEFAULT 'secret') INHERITS (users)
=> CREATE TABLE admins_too (rights text DEFAULT 'all', email pg_catalog.bytea DEFAULT «users.email store 'secret'» CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22)) INHERITS (public.users)

CREATE TABLE copied (LIKE users INCLUDING ALL)
=> refuse 0A000 at 27: public.copied.email would hold the encrypted values of public.users.email (context public.users.email), but the policy does not say so

CREATE TABLE copied (LIKE plain INCLUDING ALL, user_id int REFERENCES users (id))
=> CREATE TABLE copied (LIKE plain INCLUDING ALL, user_id int REFERENCES public.users (id))

CREATE TABLE accounts (LIKE plain)
=> refuse 0A000 at 29: public.accounts.email is encrypted by the policy, and what would take that name is not

CREATE TABLE buyers (LIKE customers INCLUDING DEFAULTS)
=> CREATE TABLE public.buyers (LIKE public.customers INCLUDING DEFAULTS, CONSTRAINT user_email_sealed_check CHECK (pg_catalog.substr(user_email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(user_email) OPERATOR(pg_catalog.>=) 22), CONSTRAINT phone_sealed_check CHECK (pg_catalog.substr(phone, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(phone) OPERATOR(pg_catalog.>=) 22))

CREATE TABLE accounts (id int, email text) INHERITS (orders)
=> CREATE TABLE public.accounts (id int, email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22)) INHERITS (orders)

ALTER TABLE events ATTACH PARTITION plain FOR VALUES FROM (1000) TO (2000)
=> refuse 0A000 at 37: column public.events.actor is encrypted, so it cannot be stored in column public.plain.actor, which is not

ALTER TABLE plain ATTACH PARTITION users DEFAULT
=> refuse 0A000 at 36: column public.users.name is encrypted, so it cannot be stored in column public.plain.name, which is not

ALTER TABLE events DETACH PARTITION events_2024
=> refuse 0A000 at 20: public.events_2024.actor would hold the encrypted values of public.events.actor (context public.events.actor), but the policy does not say so

ALTER TABLE archive INHERIT plain
=> refuse 0A000 at 29: column public.archive.name is encrypted, so it cannot be stored in column public.plain.name, which is not

ALTER TABLE events_2024 NO INHERIT events
=> refuse 0A000 at 25: public.events_2024.actor would hold the encrypted values of public.events.actor (context public.events.actor), but the policy does not say so

--! ALTER TABLE.
ALTER TABLE users ADD COLUMN x text DEFAULT 'plain'
=> ALTER TABLE public.users ADD COLUMN x text DEFAULT 'plain'

ALTER TABLE customers ADD phone2 int, ADD COLUMN IF NOT EXISTS mobile text DEFAULT 'secret'::text NOT NULL, DROP note
=> ALTER TABLE public.customers ADD phone2 int, ADD COLUMN IF NOT EXISTS mobile pg_catalog.bytea DEFAULT «customers.mobile store as text 'secret'»::pg_catalog.bytea NOT NULL CONSTRAINT mobile_sealed_check CHECK (pg_catalog.substr(mobile, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(mobile) OPERATOR(pg_catalog.>=) 22), DROP note

ALTER TABLE customers ADD mobile varchar(20)
=> ALTER TABLE public.customers ADD mobile pg_catalog.bytea CONSTRAINT mobile_sealed_check CHECK (pg_catalog.substr(mobile, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(mobile) OPERATOR(pg_catalog.>=) 22)

ALTER TABLE IF EXISTS ONLY public.users ALTER email SET DEFAULT 'secret', ALTER COLUMN ssn DROP DEFAULT, ALTER bio SET DEFAULT 'plain', ALTER active SET DEFAULT true
=> ALTER TABLE IF EXISTS ONLY public.users ALTER email SET DEFAULT «users.email store 'secret'», ALTER COLUMN ssn DROP DEFAULT, ALTER bio SET DEFAULT 'plain', ALTER active SET DEFAULT «users.active store as bool 'true'»

ALTER TABLE users * ALTER email DROP DEFAULT
=> ALTER TABLE public.users * ALTER email DROP DEFAULT

ALTER TABLE users ALTER COLUMN email SET DEFAULT lower('secret')
=> refuse 0A000 at 50: only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column public.users.email

ALTER TABLE users ALTER COLUMN emial SET DEFAULT 'secret'
=> refuse 42703 at 32: column "emial" does not exist

ALTER TABLE users ALTER COLUMN emial TYPE text USING 'secret'
=> refuse 42703 at 32: column "emial" does not exist

CREATE INDEX ON users (id) WHERE email 'secret'
=> refuse 0A000 at 34: a constant behind a column is not supported in a statement that names users

ALTER TABLE users ALTER email TYPE text
=> ALTER TABLE public.users ALTER email TYPE pg_catalog.bytea

ALTER TABLE users ALTER COLUMN name SET DATA TYPE varchar(80) COLLATE "C" USING "name"::varchar(80)
=> ALTER TABLE public.users ALTER COLUMN name SET DATA TYPE pg_catalog.bytea  USING name

ALTER TABLE users ALTER COLUMN name TYPE varchar(100)
=> refuse 0A000 at 42: column public.users.name is declared as varchar(100), but the policy says character varying(80)

ALTER TABLE users ALTER COLUMN email TYPE text USING lower(email)
=> refuse 0A000 at 48: USING cannot be carried out on encrypted column public.users.email

ALTER TABLE users ALTER COLUMN email TYPE text USING 'secret'
=> refuse 0A000 at 48: USING cannot be carried out on encrypted column public.users.email

ALTER TABLE notes ALTER COLUMN title TYPE text USING (title)
=> ALTER TABLE public.notes ALTER COLUMN title TYPE pg_catalog.text USING title

ALTER TABLE users ALTER COLUMN bio TYPE varchar(20) USING email
=> refuse 0A000 at 59: USING cannot be carried out on encrypted column public.users.email

ALTER TABLE users ALTER COLUMN bio TYPE varchar(20) USING left(bio, 20)
=> ALTER TABLE public.users ALTER COLUMN bio TYPE varchar(20) USING left(bio, 20)

ALTER TABLE users ALTER email SET NOT NULL, ALTER ssn DROP NOT NULL, ALTER email SET STATISTICS 100, ALTER email SET (n_distinct = -1), ALTER email SET STORAGE EXTERNAL
=> ALTER TABLE public.users ALTER email SET NOT NULL, ALTER ssn DROP NOT NULL, ALTER email SET STATISTICS 100, ALTER email SET (n_distinct = -1), ALTER email SET STORAGE EXTERNAL

ALTER TABLE users ALTER age ADD GENERATED ALWAYS AS IDENTITY
=> refuse 0A000 at 29: this ALTER COLUMN cannot be carried out on encrypted column public.users.age

ALTER TABLE users ADD CONSTRAINT c CHECK (email <> 'secret') NOT VALID
=> refuse 0A000 at 43: a constant for encrypted column public.users.email cannot stand in CHECK

ALTER TABLE users ADD CONSTRAINT c CHECK (bio <> 'x' AND email IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT c
=> ALTER TABLE public.users ADD CONSTRAINT c CHECK (bio <> 'x' AND email IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT c

ALTER TABLE users ADD UNIQUE (name), ADD CONSTRAINT k UNIQUE USING INDEX i
=> ALTER TABLE public.users ADD UNIQUE (name), ADD CONSTRAINT k UNIQUE USING INDEX i

ALTER TABLE users ADD UNIQUE (ssn)
=> refuse 0A000 at 31: column public.users.ssn is encrypted as randomized, so UNIQUE cannot be carried out on it

ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (email) REFERENCES customers (user_email) ON DELETE SET NULL (email) NOT VALID
=> ALTER TABLE public.users ADD CONSTRAINT f FOREIGN KEY (email) REFERENCES public.customers (user_email) ON DELETE SET NULL (email) NOT VALID

ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (email) REFERENCES customers (phone)
=> refuse 0A000 at 49: columns public.users.email and public.customers.phone are encrypted differently, so they cannot meet in FOREIGN KEY

ALTER TABLE customers ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES users (id)
=> ALTER TABLE public.customers ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES public.users (id)

ALTER TABLE posts ADD CONSTRAINT fk FOREIGN KEY (user_id) REFERENCES users (id)
=> forward (unresolved)

ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (total) REFERENCES users (email)
=> refuse 0A000 at 51: column public.users.email is encrypted, so it cannot meet an expression that is not in FOREIGN KEY

ALTER TABLE users DROP COLUMN IF EXISTS email CASCADE, DROP CONSTRAINT users_email_key
=> ALTER TABLE public.users DROP COLUMN IF EXISTS email CASCADE, DROP CONSTRAINT users_email_key

ALTER TABLE users SET (fillfactor = 70), SET TABLESPACE fast, REPLICA IDENTITY FULL, CLUSTER ON users_pkey, NO FORCE ROW LEVEL SECURITY
=> ALTER TABLE public.users SET (fillfactor = 70), SET TABLESPACE fast, REPLICA IDENTITY FULL, CLUSTER ON users_pkey, NO FORCE ROW LEVEL SECURITY

ALTER TABLE users FROB 'secret'
=> refuse 0A000 at 19: this action of ALTER TABLE is not supported in a statement that names users

ALTER TABLE IF EXISTS accounts ALTER email SET DEFAULT 'secret', ADD level int, ADD UNIQUE (email), DROP note
=> ALTER TABLE IF EXISTS public.accounts ALTER email SET DEFAULT «accounts.email store 'secret'», ADD level pg_catalog.bytea CONSTRAINT level_sealed_check CHECK (pg_catalog.substr(level, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(level) OPERATOR(pg_catalog.>=) 22), ADD UNIQUE (email), DROP note (unresolved)

ALTER TABLE IF EXISTS accounts RENAME email TO mail
=> ALTER TABLE IF EXISTS public.accounts RENAME email TO mail (unresolved)

ALTER TABLE accounts ALTER email SET DEFAULT 'secret'
=> refuse 42P01 at 13: relation "accounts" does not exist

ALTER TABLE users ADD CONSTRAINT c EXCLUDE (bio WITH 'secret')
=> refuse 0A000 at 23: this constraint is not supported in a statement that names users

CREATE INDEX ON users (id) INCLUDE ('secret')
=> refuse 0A000 at 45: a clause of CREATE INDEX is not supported in a statement that names users

ALTER TABLE IF EXISTS nothing ADD users text
=> forward (unresolved)

--! Names that are given and taken.
ALTER TABLE users RENAME TO people
=> refuse 0A000 at 29: public.people.email would hold the encrypted values of public.users.email (context public.users.email), but the policy does not say so

ALTER TABLE customers RENAME TO buyers
=> ALTER TABLE public.customers RENAME TO buyers

ALTER TABLE plain RENAME TO accounts
=> refuse 0A000 at 29: public.accounts.email is encrypted by the policy, and what would take that name is not

ALTER TABLE plain RENAME TO plainer
=> forward

ALTER TABLE plain RENAME TO users
=> refuse 0A000 at 29: public.users.name is encrypted by the policy, and what would take that name is not

ALTER TABLE customers RENAME COLUMN phone TO mobile
=> ALTER TABLE public.customers RENAME COLUMN phone TO mobile

ALTER TABLE customers RENAME phone TO number
=> refuse 0A000 at 39: public.customers.number would hold the encrypted values of public.customers.phone (context public.customers.phone), but the policy does not say so

ALTER TABLE customers RENAME note TO mobile
=> refuse 0A000 at 38: public.customers.mobile is encrypted by the policy, and what would take that name is not

ALTER TABLE customers RENAME note TO remark
=> ALTER TABLE public.customers RENAME note TO remark

ALTER TABLE users SET SCHEMA other
=> refuse 0A000 at 19: other.users.email would hold the encrypted values of public.users.email (context public.users.email), but the policy does not say so

ALTER TABLE other.users SET SCHEMA public
=> refuse 0A000 at 25: public.users.email is encrypted by the policy, and what would take that name is not

ALTER TABLE orders SET SCHEMA other
=> forward

ALTER TABLE events_2024 RENAME TO events_old
=> ALTER TABLE public.events_2024 RENAME TO events_old

ALTER TABLE users RENAME CONSTRAINT a TO b
=> ALTER TABLE public.users RENAME CONSTRAINT a TO b

ALTER VIEW user_emails RENAME COLUMN mail TO address
=> ALTER VIEW public.user_emails RENAME COLUMN mail TO address

ALTER VIEW user_emails RENAME TO addresses
=> ALTER VIEW public.user_emails RENAME TO addresses

ALTER VIEW user_emails RENAME TO accounts
=> refuse 0A000 at 34: a view of that name is not supported in a statement that names user_emails

--! Indexes.
CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY users USING btree (email COLLATE "C" varchar_pattern_ops DESC NULLS LAST, id) INCLUDE (ssn) WITH (fillfactor = 70) TABLESPACE fast WHERE bio IS NOT NULL
=> CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY public.users USING btree (email   DESC NULLS LAST, id) INCLUDE (ssn) WITH (fillfactor = 70) TABLESPACE fast WHERE bio IS NOT NULL

CREATE INDEX ON users (email) WHERE email IS NOT NULL AND active IS NULL
=> CREATE INDEX ON public.users (email) WHERE email IS NOT NULL AND active IS NULL

CREATE INDEX ON users (id) WHERE active = true
=> refuse 0A000 at 34: a constant for encrypted column public.users.active cannot stand in CREATE INDEX ... WHERE

CREATE INDEX ON users ((email IS NULL))
=> CREATE INDEX ON public.users ((email IS NULL))

CREATE INDEX ON users (coalesce(email, 'x'))
=> refuse 0A000 at 24: a constant for encrypted column public.users.email cannot stand in CREATE INDEX

CREATE INDEX ON users USING hash (email)
=> CREATE INDEX ON public.users USING hash (email)

CREATE INDEX ON users USING gin (email gin_trgm_ops)
=> refuse 0A000 at 40: operator class gin_trgm_ops cannot be carried out on encrypted column public.users.email

CREATE INDEX ON users USING gin (bio gin_trgm_ops)
=> CREATE INDEX ON public.users USING gin (bio gin_trgm_ops)

CREATE INDEX ON users (lower(email))
=> refuse 0A000 at 24: function lower cannot be carried out on encrypted column public.users.email

CREATE INDEX ON users (id) INCLUDE (ssn)
=> CREATE INDEX ON public.users (id) INCLUDE (ssn)

CREATE INDEX ON notes (title text_pattern_ops)
=> CREATE INDEX ON public.notes (title )

CREATE INDEX ON users (email COLLATE case_insensitive)
=> refuse 0A000 at 30: COLLATE case_insensitive cannot be carried out on encrypted column public.users.email

CREATE INDEX i ON users (email) SPECIALLY 'secret'
=> refuse 0A000 at 33: a clause of CREATE INDEX is not supported in a statement that names users

CREATE INDEX ON missing_users (users)
=> forward (unresolved)

--! Relations made by queries.
CREATE TABLE buyers AS SELECT user_email, phone FROM customers WHERE phone = 'secret'
=> CREATE TABLE public.buyers AS SELECT user_email, phone FROM public.customers WHERE phone = «customers.phone 'secret'»

CREATE TABLE buyers (phone) AS SELECT phone FROM customers WITH NO DATA
=> CREATE TABLE public.buyers (phone) AS SELECT phone FROM public.customers WITH NO DATA

CREATE TABLE buyers AS SELECT email, id FROM users
=> refuse 0A000 at 14: public.buyers.email would hold the encrypted values of public.users.email (context public.users.email), but the policy does not say so

CREATE TABLE buyers AS SELECT phone AS user_email FROM customers
=> refuse 0A000 at 14: public.buyers.user_email would hold the encrypted values of public.customers.phone (context public.customers.phone), but the policy does not say so

CREATE TABLE buyers AS SELECT 'secret' AS phone
=> refuse 0A000 at 14: public.buyers.phone is encrypted by the policy, and what would take that name is not

CREATE TABLE copied AS SELECT email FROM users
=> refuse 0A000 at 14: public.copied.email would hold the encrypted values of public.users.email (context public.users.email), but the policy does not say so

CREATE TEMP TABLE ids ON COMMIT DROP AS SELECT id FROM users WHERE email = 'secret' WITH DATA
=> CREATE TEMP TABLE ids ON COMMIT DROP AS SELECT id FROM public.users WHERE email = «users.email 'secret'» WITH DATA

CREATE TEMP TABLE mails AS SELECT email FROM users
=> refuse 0A000 at 19: a temporary table mails would take the place of the encrypted one

CREATE TABLE copied AS SELECT array_agg(email) FROM users
=> refuse 0A000 at 14: column public.users.email is encrypted, so it cannot be stored in column public.copied.array_agg, which is not

CREATE TABLE copied AS SELECT id, count(*) FROM users GROUP BY id
=> CREATE TABLE copied AS SELECT id, count(*) FROM public.users GROUP BY id

CREATE TABLE accounts AS SELECT * FROM generate_series(1, 2)
=> CREATE TABLE public.accounts AS SELECT * FROM generate_series(1, 2)

CREATE MATERIALIZED VIEW v AS SELECT email FROM users WITH NO DATA
=> CREATE MATERIALIZED VIEW v AS SELECT email FROM public.users WITH NO DATA

CREATE MATERIALIZED VIEW v AS SELECT id FROM users WHERE email = 'secret'
=> refuse 0A000 at 66: a constant for encrypted column public.users.email cannot stand in a view

CREATE OR REPLACE VIEW user_emails (a, b) WITH (security_barrier) AS SELECT id, email FROM users WITH LOCAL CHECK OPTION
=> CREATE OR REPLACE VIEW public.user_emails (a, b) WITH (security_barrier) AS SELECT id, email FROM public.users WITH LOCAL CHECK OPTION

CREATE VIEW accounts AS SELECT 1
=> refuse 0A000 at 13: a view of that name is not supported in a statement that names accounts

CREATE VIEW users AS SELECT 1
=> refuse 0A000 at 13: a view of that name is not supported in a statement that names users

CREATE TEMP VIEW users AS SELECT 1
=> refuse 0A000 at 18: a temporary table users would take the place of the encrypted one

CREATE RECURSIVE VIEW v (a) AS SELECT email FROM users
=> refuse 0A000 at 50: CREATE RECURSIVE cannot be carried out on users, which has encrypted columns

SELECT email INTO copied FROM users
=> refuse 0A000 at -: SELECT INTO is not supported in a statement that names public.users

--! Several statements in one text.
CREATE TABLE accounts (id int, email text); CREATE UNIQUE INDEX ON accounts (email); ALTER TABLE accounts ADD level int DEFAULT 5; INSERT INTO accounts (id, email) VALUES (1, 'secret'), (2, DEFAULT); UPDATE accounts SET level = 6 WHERE email = 'secret'
=> CREATE TABLE public.accounts (id int, email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22)); CREATE UNIQUE INDEX ON public.accounts (email); ALTER TABLE public.accounts ADD level pg_catalog.bytea DEFAULT «accounts.level store as int4 '5'» CONSTRAINT level_sealed_check CHECK (pg_catalog.substr(level, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(level) OPERATOR(pg_catalog.>=) 22); INSERT INTO public.accounts (id, email) VALUES (1, «accounts.email store 'secret'»), (2, DEFAULT); UPDATE public.accounts SET level = «accounts.level store as int4 '6'» WHERE email = «accounts.email 'secret'»

BEGIN; CREATE TABLE accounts (id int, email text); ROLLBACK; INSERT INTO accounts (email) VALUES ('secret')
=> refuse 0A000 at 62: a statement behind one that changes what names mean, in the same text, is not supported in a statement that names accounts

BEGIN; CREATE TABLE accounts (id int, email text); COMMIT; INSERT INTO accounts (email) VALUES ('secret')
=> BEGIN; CREATE TABLE public.accounts (id int, email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22)); COMMIT; INSERT INTO public.accounts (email) VALUES («accounts.email store 'secret'»)

BEGIN; DROP TABLE users; ROLLBACK; SELECT id FROM users WHERE email = 'secret'
=> refuse 0A000 at 36: a statement behind one that changes what names mean, in the same text, is not supported in a statement that names users

DROP TABLE IF EXISTS users CASCADE; INSERT INTO users (email) VALUES ('secret')
=> refuse 42P01 at 49: relation "users" does not exist

DROP TABLE IF EXISTS users; CREATE TABLE users (id int, email text); INSERT INTO users (email) VALUES ('secret')
=> DROP TABLE IF EXISTS users; CREATE TABLE public.users (id int, email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22)); INSERT INTO public.users (email) VALUES («users.email store 'secret'»)

CREATE TABLE accounts (id int, email text); SELECT id FROM accounts
=> refuse 0A000 at 52: a result of a table that is made in the same text is not supported in a statement that names accounts

CREATE TABLE accounts (id int, email text); SELECT count(*) FROM accounts WHERE email = 'secret'
=> CREATE TABLE public.accounts (id int, email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22)); SELECT count(*) FROM public.accounts WHERE email = «accounts.email 'secret'»

ALTER TABLE customers RENAME TO buyers; SELECT id FROM buyers WHERE phone = 'secret'
=> ALTER TABLE public.customers RENAME TO buyers; SELECT id FROM public.buyers WHERE phone = «customers.phone 'secret'»

ALTER TABLE customers RENAME phone TO mobile; SELECT id FROM customers WHERE mobile = 'secret'
=> ALTER TABLE public.customers RENAME phone TO mobile; SELECT id FROM public.customers WHERE mobile = «customers.phone 'secret'»

ALTER TABLE customers RENAME phone TO mobile; SELECT id FROM customers WHERE phone = 'secret'
=> refuse 42703 at 78: column "phone" does not exist

CREATE TABLE accounts (email text); CREATE VIEW v AS SELECT email FROM accounts; SELECT * FROM v
=> refuse 0A000 at 82: a statement behind one that changes what names mean, in the same text, is not supported in a statement that names v

CREATE TABLE accounts (email text) PARTITION BY LIST (coalesce(email, email))
=> refuse 0A000 at 55: PARTITION BY LIST cannot be carried out on encrypted column public.accounts.email

CREATE TABLE accounts (email text) PARTITION BY LIST ((email)); CREATE TABLE a PARTITION OF accounts FOR VALUES IN ('secret')
=> CREATE TABLE public.accounts (email pg_catalog.bytea CONSTRAINT email_sealed_check CHECK (pg_catalog.substr(email, 1, 2) OPERATOR(pg_catalog.=) '\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(email) OPERATOR(pg_catalog.>=) 22)) PARTITION BY LIST ((email)); CREATE TABLE a PARTITION OF public.accounts FOR VALUES IN («accounts.email store 'secret'»)

ALTER TABLE users SET LOGGED ALTER email SET DEFAULT 'secret'
=> refuse 0A000 at 19: this action of ALTER TABLE is not supported in a statement that names users

ALTER TABLE users ALTER email SET NOT NULL SET DEFAULT 'secret'
=> refuse 0A000 at 31: this action of ALTER TABLE is not supported in a statement that names users

ALTER TABLE users ALTER id SET STATISTICS -1, SET (fillfactor = 70), DROP CONSTRAINT c CASCADE
=> ALTER TABLE public.users ALTER id SET STATISTICS -1, SET (fillfactor = 70), DROP CONSTRAINT c CASCADE

DROP TABLE users WHERE email = 'secret'
=> refuse 0A000 at 12: DROP TABLE cannot be carried out on users, which has encrypted columns

CREATE TABLE archived (LIKE users)
=> refuse 0A000 at 29: public.archived.email would hold the encrypted values of public.users.email (context public.users.email), but the policy does not say so

CREATE TRIGGER t AFTER UPDATE ON users FOR EACH ROW WHEN (OLD.email IS DISTINCT FROM NEW.email) EXECUTE FUNCTION f()
=> CREATE TRIGGER t AFTER UPDATE ON public.users FOR EACH ROW WHEN (OLD.email IS DISTINCT FROM NEW.email) EXECUTE FUNCTION f()

CREATE TRIGGER t AFTER UPDATE ON users FOR EACH ROW WHEN (NEW.email = 'secret') EXECUTE FUNCTION f()
=> refuse 0A000 at 59: a constant for encrypted column public.users.email cannot stand in CREATE TRIGGER ... WHEN

CREATE TRIGGER t AFTER UPDATE ON users FOR EACH ROW WHEN (true) EXECUTE FUNCTION f('secret')
=> refuse 0A000 at 83: a clause of CREATE TRIGGER is not supported in a statement that names users

CREATE POLICY p ON users FOR SELECT TO PUBLIC USING (id > 3) WITH CHECK (email IS NOT NULL)
=> CREATE POLICY p ON public.users FOR SELECT TO PUBLIC USING (id > 3) WITH CHECK (email IS NOT NULL)

ALTER POLICY p ON users USING (email = 'secret')
=> refuse 0A000 at 32: a constant for encrypted column public.users.email cannot stand in CREATE POLICY ... USING

CREATE STATISTICS s (mcv) ON id, email FROM users
=> CREATE STATISTICS s (mcv) ON id, email FROM public.users

CREATE STATISTICS s ON (email = 'secret'), id FROM users
=> refuse 0A000 at 24: a constant for encrypted column public.users.email cannot stand in CREATE STATISTICS

ALTER SEQUENCE users_id_seq OWNED BY users.id
=> forward

CREATE PUBLICATION p FOR TABLE users WHERE (email = 'secret')
=> refuse 0A000 at 32: CREATE PUBLICATION cannot be carried out on users, which has encrypted columns
