//! What stands in the database while a context's values move: functions that say which of two forms a value has, and
//! triggers that keep a value from being stored in the other one.

use sha2::{Digest, Sha256};

use super::{BUCKETS, Context, lock_key};
use crate::catalog::{Catalog, Form, OWN_TRIGGER, Pin, Storage};
use crate::crypto::{HEADER_LEN, Header, Mode, TEXT_PREFIX};
use crate::jobs::Table;
use crate::jobs::value::{self, sql_type};
use crate::policy::{quote_ident, quote_literal};
use crate::sql::LOCK_CLASS;

/// The trigger on each table: triggers go by their names, and this one comes last.
pub(super) fn trigger_name(pin: &Pin) -> String {
    format!("{OWN_TRIGGER}{}", pin.number)
}

/// Makes everything.
///
/// A map row says that a value has moved, in all rows. Values are spread over buckets: who stores one shares its
/// bucket's lock to the end of the transaction, and the job takes that lock alone. A bucket's row counts its batches:
/// a transaction at REPEATABLE READ or above, which sees an old map, is told by it that something has moved since.
pub(super) fn make(context: &Context, pin: &Pin, catalog: &Catalog) -> String {
    let n = pin.number;
    let ty = sql_type(context.storage);
    let value_old = is_in(context.storage, "value", pin.old);
    let value_new = is_in(context.storage, "value", pin.new);
    let bucket = bucket(context.storage, pin.old, "value");
    let (value, first) = (exactly(context.storage, "value"), exactly(context.storage, "$1"));
    // Of what is neither, nobody could tell what it is.
    let neither = match (pin.old, pin.new) {
        (Form::Sealed(_), Form::Sealed(_)) => String::new(),
        (Form::Plaintext, _) | (_, Form::Plaintext) => format!(
            "ELSIF NOT {value_new} THEN
             RAISE EXCEPTION 'a value begins as encrypted ones do, and is none of this column' USING ERRCODE = '23514';"
        ),
    };
    let key = format!("{} + place", lock_key(n, 0));
    let mut sql = format!(
        "CREATE TABLE pgseal.bucket_{n} (bucket int PRIMARY KEY, batches bigint NOT NULL DEFAULT 0);
         INSERT INTO pgseal.bucket_{n} (bucket) SELECT pg_catalog.generate_series(1, {BUCKETS});
         CREATE FUNCTION pgseal.form_{n}(old {ty}, new {ty}) RETURNS {ty}
         LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER AS $$
           SELECT CASE WHEN EXISTS (SELECT FROM pgseal.pin p WHERE p.number OPERATOR(pg_catalog.=) {n}
                                      AND p.phase OPERATOR(pg_catalog.=) 'new'::pg_catalog.text)
                    OR EXISTS (SELECT FROM pgseal.map_{n} m WHERE m.old OPERATOR(pg_catalog.=) {first})
             THEN $2 ELSE $1 END
         $$;
         CREATE FUNCTION pgseal.forms_{n}(forms {ty}[]) RETURNS {ty}[]
         LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER AS $$
           SELECT COALESCE(pg_catalog.array_agg(pgseal.form_{n}(
               $1[2 OPERATOR(pg_catalog.*) i OPERATOR(pg_catalog.-) 1], $1[2 OPERATOR(pg_catalog.*) i]) ORDER BY i), '{{}}')
           FROM pg_catalog.generate_series(1, pg_catalog.cardinality($1) OPERATOR(pg_catalog./) 2) i
         $$;
         GRANT EXECUTE ON FUNCTION pgseal.form_{n}({ty}, {ty}), pgseal.forms_{n}({ty}[]) TO PUBLIC;
         CREATE FUNCTION pgseal.stored_{n}(value {ty}) RETURNS {ty}
         LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS $$
         DECLARE
           place int;
           is_old boolean := {value_old};
           is_ended boolean := EXISTS (SELECT FROM pgseal.pin p WHERE p.number = {n} AND p.phase = 'new');
           moved {ty};
         BEGIN
           IF is_old THEN
             place := {bucket};
             PERFORM pg_advisory_xact_lock_shared({LOCK_CLASS}, {key});
             IF current_setting('transaction_isolation') <> 'read committed' THEN
               PERFORM FROM pgseal.bucket_{n} b WHERE b.bucket = place FOR SHARE;
               IF NOT FOUND THEN
                 RAISE EXCEPTION 'could not serialize access due to concurrent rotation of a key' USING ERRCODE = '40001';
               END IF;
             END IF;
             SELECT m.new INTO moved FROM pgseal.map_{n} m WHERE m.old = {value};
             IF FOUND THEN
               RETURN moved;
             ELSIF NOT is_ended THEN
               RETURN value;
             END IF;
             RAISE EXCEPTION 'could not serialize access due to the end of a key''s rotation' USING ERRCODE = '40001';
           ELSIF {value_new} AND NOT is_ended AND NOT EXISTS (SELECT FROM pgseal.map_{n} m WHERE m.new = {value}) THEN
             RAISE EXCEPTION 'could not serialize access due to concurrent rotation of a key' USING ERRCODE = '40001';
           {neither}
           END IF;
           RETURN value;
         END $$;\n"
    );
    for table in &context.tables {
        sql += &function(table, pin, catalog);
        sql += &trigger(table, pin, catalog);
    }
    sql
}

/// The name of a table's function, with its schema.
fn function_name(table: &Table, pin: &Pin, catalog: &Catalog) -> String {
    let relation = catalog.relations.iter().find(|relation| relation.name == table.name);
    format!("pgseal.keep_{}_{}", pin.number, relation.map_or(0, |relation| relation.oid))
}

/// The trigger on one table.
pub(super) fn trigger(table: &Table, pin: &Pin, catalog: &Catalog) -> String {
    let (function, trigger) = (function_name(table, pin, catalog), quote_ident(&trigger_name(pin)));
    let table = &table.name;
    format!(
        "CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();
         ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger};\n"
    )
}

/// What it does. A value that stays as it is passes: its row moves when the others do.
/// A session keeps the plans of its functions: one that was made when the map was empty would read all of it for each row.
pub(super) fn function(table: &Table, pin: &Pin, catalog: &Catalog) -> String {
    let n = pin.number;
    let column = |column: &crate::jobs::Column| {
        // Always in quotes: PL/pgSQL has reserved words of its own (`by`).
        let name = format!("\"{}\"", column.name.replace('"', "\"\""));
        format!(
            "IF NEW.{name} IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.{name} IS DISTINCT FROM OLD.{name}) THEN
               NEW.{name} := pgseal.stored_{n}(NEW.{name});
             END IF;\n"
        )
    };
    let columns: String = table.columns.iter().map(column).collect();
    format!(
        "CREATE OR REPLACE FUNCTION {}() RETURNS trigger
         LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS {};\n",
        function_name(table, pin, catalog),
        quote_literal(&format!("BEGIN {columns} RETURN NEW; END"))
    )
}

/// Takes everything away but the map, whose comment goes on being the pin. Triggers are looked up: the tables may not be
/// those that there were at the beginning.
pub(super) fn drop(context: &Context, pin: &Pin) -> String {
    let (n, ty) = (pin.number, sql_type(context.storage));
    format!(
        "DO $do$ DECLARE found record; BEGIN
           FOR found IN SELECT t.tgname, t.tgrelid::pg_catalog.regclass AS place, p.oid::pg_catalog.regprocedure AS called
             FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_trigger t ON t.tgfoid = p.oid
             WHERE p.pronamespace = pg_catalog.to_regnamespace('pgseal') AND p.proname ~ '^keep_{n}_[0-9]+$' LOOP
             IF found.tgname IS NOT NULL THEN
               EXECUTE pg_catalog.format('DROP TRIGGER %I ON %s', found.tgname, found.place);
             END IF;
             EXECUTE pg_catalog.format('DROP FUNCTION IF EXISTS %s', found.called);
           END LOOP;
         END $do$;
         DROP FUNCTION IF EXISTS pgseal.stored_{n}({ty}); DROP FUNCTION IF EXISTS pgseal.forms_{n}({ty}[]);
         DROP FUNCTION IF EXISTS pgseal.form_{n}({ty}, {ty}); DROP TABLE IF EXISTS pgseal.bucket_{n};
         TRUNCATE pgseal.map_{n};"
    )
}

/// The condition that a value, given as SQL, is in a form.
pub(super) fn is_in(storage: Storage, sql: &str, form: Form) -> String {
    match form {
        Form::Plaintext => format!("(NOT {})", value::is_sealed_text(sql)),
        Form::Sealed(id) => value::begins(sql, storage, Header { mode: Mode::Deterministic, key_id: id }),
    }
}

/// A value, given as SQL, for comparisons with what is in the map: whatever collation its column has, values are equal
/// if their bytes are.
pub(super) fn exactly(storage: Storage, sql: &str) -> String {
    match storage {
        Storage::Bytea => sql.to_owned(),
        Storage::Text => format!("({sql} COLLATE \"C\")"),
    }
}

/// The bucket of a value in its old form, given as SQL: the first byte behind the header, which is as good as drawn by
/// lot, or that of a hash.
fn bucket(storage: Storage, form: Form, value: &str) -> String {
    match (form, storage) {
        (Form::Plaintext, _) => format!("get_byte(sha256(convert_to({value}, 'UTF8')), 0) + 1"),
        (Form::Sealed(_), Storage::Bytea) => format!("get_byte({value}, {HEADER_LEN}) + 1"),
        (Form::Sealed(_), Storage::Text) => {
            format!("ascii(substr({value}, {}, 1)) + 1", text_header() + 1)
        }
    }
}

/// The same of a value that is here.
pub(super) fn bucket_of(storage: Storage, form: Form, value: &[u8]) -> u32 {
    let byte = match (form, storage) {
        (Form::Plaintext, _) => Sha256::digest(value).first().copied(),
        (Form::Sealed(_), Storage::Bytea) => value.get(HEADER_LEN).copied(),
        (Form::Sealed(_), Storage::Text) => value.get(text_header()).copied(),
    };
    byte.map_or(1, |byte| u32::from(byte) + 1)
}

/// Characters of the text form that tell the header.
fn text_header() -> usize {
    TEXT_PREFIX.len() + HEADER_LEN * 4 / 3
}
