//! The queries that read a catalog, from PostgreSQL 13 to 18.
//!
//! They run between [`PROLOGUE`] and [`EPILOGUE`], in one read-only transaction with an empty search path:
//! there an unqualified operator is `pg_catalog`'s, and all that a temporary schema could shadow (relations
//! and types) is written with its schema. All results are asked for in text format.
//!
//! Objects below 16384 (`FirstNormalObjectId`) are those that initdb made, `pg_catalog` and
//! `information_schema` among them: they are listed, and nothing more is read of them.
//!
//! Functions that print expressions take AccessShareLock on the relations in them, and would wait behind
//! an exclusive lock. So where somebody holds or awaits one (`locked`), the expression is not asked for; what
//! was not read counts as opaque. A lock that comes between the two look-ups ends the load by
//! `lock_timeout`, and it is tried again.

/// One query of a load.
#[derive(Clone, Copy, Debug)]
pub struct CatalogQuery {
    /// For logs and errors.
    pub name: &'static str,
    /// One statement without parameters.
    pub sql: &'static str,
}

/// Statements before the queries, each for a Parse of its own. They return no rows.
pub const PROLOGUE: &[&str] = &[
    "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
    "SET LOCAL search_path = ''",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL lock_timeout = '250ms'",
    // Sealed constants in expressions are recognised in this form.
    "SET LOCAL bytea_output = 'hex'",
];

/// Statements after the queries.
pub const EPILOGUE: &[&str] = &["COMMIT"];

/// The queries, in the order in which [`Loader`](super::Loader) takes their rows.
pub const QUERIES: &[CatalogQuery] = &[
    CatalogQuery { name: "database", sql: DATABASE },
    CatalogQuery { name: "relations", sql: RELATIONS },
    CatalogQuery { name: "columns", sql: COLUMNS },
    CatalogQuery { name: "parents", sql: PARENTS },
    CatalogQuery { name: "rule references", sql: RULE_REFERENCES },
    CatalogQuery { name: "dependents", sql: DEPENDENTS },
    CatalogQuery { name: "types", sql: TYPES },
    CatalogQuery { name: "functions", sql: FUNCTIONS },
    CatalogQuery { name: "pins", sql: PINS },
];

/// What a session has to know of itself, in one row for [`SessionFacts::from_row`](super::SessionFacts::from_row).
///
/// It runs under the session's own search path, so it uses no operator.
pub const SESSION_QUERY: &str = "\
SELECT pg_catalog.current_schemas(true)::pg_catalog.text[],
       pg_catalog.current_setting('search_path'),
       pg_catalog.current_database(),
       pg_catalog.current_setting('server_version_num'),
       pg_catalog.pg_my_temp_schema()::pg_catalog.regnamespace::pg_catalog.text,
       pg_catalog.current_setting('extra_float_digits'),
       pg_catalog.current_setting('bytea_output'),
       pg_catalog.current_setting('DateStyle'),
       pg_catalog.current_setting('IntervalStyle'),
       pg_catalog.current_setting('TimeZone'),
       pg_catalog.current_setting('client_encoding'),
       pg_catalog.current_setting('standard_conforming_strings')";

/// Opens a query with the relations of this database that somebody else has locked, or waits to lock, exclusively. Who
/// waits does so for this session too where that holds a lock already, and does not stand before it.
macro_rules! locked {
    () => {
        "\
WITH locked AS MATERIALIZED (
  SELECT l.relation FROM pg_catalog.pg_locks l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
    AND l.database = (SELECT b.oid FROM pg_catalog.pg_database b
                      WHERE b.datname = pg_catalog.current_database())
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks o WHERE o.locktype = 'relation' AND o.relation = l.relation
                    AND o.database = l.database AND o.pid = pg_catalog.pg_backend_pid() AND o.granted))"
    };
}

const DATABASE: &str = "\
SELECT pg_catalog.current_database(), pg_catalog.current_setting('server_version_num')";

const RELATIONS: &str = concat!(
    locked!(),
    "
SELECT c.oid, n.nspname, c.relname, c.relkind,
       CASE WHEN c.relkind IN ('v', 'm') AND c.oid >= 16384 AND NOT EXISTS (
              SELECT FROM pg_catalog.pg_rewrite r
              JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
               AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
              JOIN locked l ON l.relation = d.refobjid
              WHERE r.ev_class = c.oid)
            THEN pg_catalog.pg_get_viewdef(c.oid) END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
ORDER BY c.oid"
);

const COLUMNS: &str = concat!(
    locked!(),
    "
SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull,
       a.attgenerated <> '', a.attidentity <> '',
       CASE WHEN d.oid IS NULL THEN NULL
            WHEN a.attrelid IN (SELECT relation FROM locked) THEN ''
            ELSE coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') END,
       a.attcollation IN (SELECT o.oid FROM pg_catalog.pg_collation o WHERE NOT o.collisdeterministic)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
ORDER BY a.attrelid, a.attnum"
);

const PARENTS: &str = "\
SELECT i.inhrelid, i.inhparent
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
WHERE c.relkind IN ('r', 'p', 'f')
ORDER BY i.inhrelid, i.inhseqno";

const RULE_REFERENCES: &str = "\
SELECT DISTINCT r.ev_class, d.refobjid
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
 AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
WHERE r.ev_class >= 16384 AND d.refobjid <> r.ev_class
ORDER BY 1, 2";

/// Columns: relation, kind, name, attribute numbers, expression, the other relation and its attribute numbers.
///
/// What `pg_depend` knows of a policy's, index's or trigger's use of columns stands in for a list of its own.
const DEPENDENTS: &str = concat!(
    locked!(),
    ",
uses AS MATERIALIZED (
  SELECT d.classid, d.objid, d.refobjid AS relid,
         pg_catalog.array_agg(DISTINCT d.refobjsubid ORDER BY d.refobjsubid) AS columns
  FROM pg_catalog.pg_depend d
  WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND d.refobjid >= 16384
    AND d.classid IN ('pg_catalog.pg_policy'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass,
                      'pg_catalog.pg_trigger'::pg_catalog.regclass, 'pg_catalog.pg_rewrite'::pg_catalog.regclass)
  GROUP BY d.classid, d.objid, d.refobjid),
indexes AS MATERIALIZED (
  SELECT i.indexrelid, i.indrelid, i.indisunique, i.indisexclusion, i.indexprs, i.indpred, c.relname, am.amname,
         ARRAY(SELECT k.attnum FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY k(attnum, n)
               WHERE k.n <= i.indnkeyatts AND k.attnum <> 0 ORDER BY k.n) AS columns
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_class r ON r.oid = i.indrelid AND r.relkind <> 't'
  JOIN pg_catalog.pg_am am ON am.oid = c.relam
  WHERE i.indrelid >= 16384)
SELECT d.* FROM (
  SELECT p.polrelid AS relid, 'policy' AS kind, p.polname::pg_catalog.text AS name,
         coalesce(u.columns::pg_catalog.text, '{}') AS columns,
         CASE WHEN NOT EXISTS (
                SELECT FROM pg_catalog.pg_depend d JOIN locked ON locked.relation = d.refobjid
                WHERE d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = p.oid)
              THEN pg_catalog.pg_get_expr(e.expression, p.polrelid) END AS expression,
         NULL::pg_catalog.oid AS other, NULL::pg_catalog.text AS other_columns
  FROM pg_catalog.pg_policy p
  CROSS JOIN LATERAL (VALUES (p.polqual), (p.polwithcheck)) e(expression)
  LEFT JOIN uses u ON u.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND u.objid = p.oid
   AND u.relid = p.polrelid
  WHERE e.expression IS NOT NULL
UNION ALL
  SELECT k.conrelid, CASE k.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' ELSE 'exclusion' END,
         k.conname, coalesce(k.conkey::pg_catalog.text, '{}'),
         CASE k.contype
           WHEN 'c' THEN CASE WHEN k.conrelid NOT IN (SELECT relation FROM locked)
                              THEN pg_catalog.pg_get_expr(k.conbin, k.conrelid) END
           WHEN 'x' THEN (SELECT pg_catalog.string_agg(o.oprname, ',' ORDER BY x.n)
                          FROM pg_catalog.unnest(k.conexclop) WITH ORDINALITY x(operator, n)
                          JOIN pg_catalog.pg_operator o ON o.oid = x.operator) END,
         CASE WHEN k.contype = 'f' THEN k.confrelid END, k.confkey::pg_catalog.text
  FROM pg_catalog.pg_constraint k
  WHERE k.conrelid >= 16384 AND k.contype IN ('c', 'f', 'x')
UNION ALL
  SELECT k.confrelid, 'referenced by', k.conname, k.confkey::pg_catalog.text, NULL,
         k.conrelid, k.conkey::pg_catalog.text
  FROM pg_catalog.pg_constraint k
  WHERE k.conrelid >= 16384 AND k.contype = 'f'
UNION ALL
  SELECT i.indrelid, CASE WHEN i.indisunique THEN 'unique' ELSE 'index' END, i.relname,
         i.columns::pg_catalog.text, i.amname, NULL, NULL
  FROM indexes i
  WHERE NOT i.indisexclusion AND i.columns <> '{}'
UNION ALL
  SELECT i.indrelid, 'expression index', i.relname, coalesce(u.columns::pg_catalog.text, '{}'),
         CASE WHEN i.indrelid NOT IN (SELECT relation FROM locked)
              THEN pg_catalog.pg_get_expr(e.expression, i.indrelid) END, NULL, NULL
  FROM indexes i
  CROSS JOIN LATERAL (VALUES (i.indexprs), (i.indpred)) e(expression)
  LEFT JOIN uses u ON u.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND u.objid = i.indexrelid
   AND u.relid = i.indrelid
  WHERE e.expression IS NOT NULL
UNION ALL
  SELECT p.partrelid, 'partition key', c.relname,
         CASE WHEN e.is_expression
              THEN ARRAY(SELECT d.objsubid FROM pg_catalog.pg_depend d
                         WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = p.partrelid
                           AND d.refclassid = d.classid AND d.refobjid = d.objid AND d.objsubid > 0 ORDER BY 1)
              ELSE ARRAY(SELECT k.attnum FROM pg_catalog.unnest(p.partattrs::pg_catalog.int2[]) k(attnum)
                         WHERE k.attnum <> 0) END::pg_catalog.text,
         CASE WHEN NOT e.is_expression
              THEN CASE p.partstrat WHEN 'l' THEN 'list' WHEN 'h' THEN 'hash' ELSE 'range' END
              WHEN p.partrelid NOT IN (SELECT relation FROM locked)
              THEN pg_catalog.pg_get_expr(p.partexprs, p.partrelid) END, NULL, NULL
  FROM pg_catalog.pg_partitioned_table p
  JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
  CROSS JOIN (VALUES (false), (true)) e(is_expression)
  WHERE NOT e.is_expression OR p.partexprs IS NOT NULL
UNION ALL
  SELECT t.tgrelid, CASE WHEN (t.tgtype & 3) = 3 THEN 'before row trigger' ELSE 'conditional trigger' END, t.tgname,
         coalesce(u.columns::pg_catalog.text, '{}'),
         CASE WHEN t.tgqual IS NOT NULL AND t.tgrelid NOT IN (SELECT relation FROM locked)
              THEN pg_catalog.substring(pg_catalog.pg_get_triggerdef(t.oid),
                                        ' WHEN \\((.*)\\) EXECUTE (?:FUNCTION|PROCEDURE) ') END, NULL, NULL
  FROM pg_catalog.pg_trigger t
  LEFT JOIN uses u ON u.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND u.objid = t.oid
   AND u.relid = t.tgrelid
  WHERE t.tgrelid >= 16384 AND NOT t.tgisinternal
    AND (((t.tgtype & 3) = 3 AND (t.tgtype & 20) <> 0) OR t.tgqual IS NOT NULL)
UNION ALL
  SELECT r.ev_class, 'rule', r.rulename, coalesce(u.columns::pg_catalog.text, '{}'),
         CASE WHEN NOT EXISTS (
                SELECT FROM pg_catalog.pg_depend d JOIN locked ON locked.relation = d.refobjid
                WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
                  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)
              THEN pg_catalog.pg_get_ruledef(r.oid) END, NULL, NULL
  FROM pg_catalog.pg_rewrite r
  LEFT JOIN uses u ON u.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND u.objid = r.oid
   AND u.relid = r.ev_class
  WHERE r.ev_class >= 16384 AND r.rulename <> '_RETURN'
) d
ORDER BY d.relid, d.kind, d.name, d.expression"
);

const TYPES: &str = "\
SELECT t.oid, t.typarray, n.nspname, t.typname, t.typtype, e.enumlabel
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_enum e ON e.enumtypid = t.oid
WHERE t.typtype IN ('e', 'd')
ORDER BY t.oid, e.enumsortorder";

/// A body in BEGIN ATOMIC has no text (and printing it would lock), but `pg_depend` knows what it names.
const FUNCTIONS: &str = "\
SELECT p.oid, n.nspname, p.proname,
       CASE WHEN p.prosrc <> '' OR l.lanname <> 'sql' THEN p.prosrc
            ELSE (SELECT coalesce(pg_catalog.string_agg(DISTINCT coalesce(c.relname, f.proname)::pg_catalog.text, ' '), '')
                  FROM pg_catalog.pg_depend d
                  LEFT JOIN pg_catalog.pg_class c
                    ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.refobjid
                  LEFT JOIN pg_catalog.pg_proc f
                    ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid = d.refobjid
                  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid) END,
       coalesce(nullif(t.typrelid, 0::pg_catalog.oid), nullif(e.typrelid, 0::pg_catalog.oid))
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
JOIN pg_catalog.pg_type t ON t.oid = p.prorettype
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE p.oid >= 16384 AND l.lanname NOT IN ('internal', 'c')
ORDER BY p.oid";

/// The maps of moves between versions of a key, whose comments are pins, and the tables that announce changes of types. Comments, since a query cannot name a table that
/// is not in every database.
const PINS: &str = "\
SELECT c.relname, d.description
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'pgseal'
JOIN pg_catalog.pg_description d ON d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
 AND d.objoid = c.oid AND d.objsubid = 0
WHERE c.relkind = 'r' AND c.relname ~ '^(map|before|after)_[0-9]+$'
ORDER BY c.oid";
