//! What the server would refuse to change with a column, or what would not mean the same afterwards.

use tokio_postgres::Client;

use super::{Retype, views};
use crate::catalog::Phase;
use crate::crypto::Mode;
use crate::jobs::{JobError, Work, doing};

/// Everything that uses one of the columns and is not made again by ALTER TABLE itself, or by us.
///
/// `$1` is the table, `$2` the columns' numbers, `$3` the views that are made again, `$4` whether the columns become
/// encrypted ones.
const DEPENDENTS: &str = "
SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_catalog.pg_depend d
LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
LEFT JOIN pg_catalog.pg_constraint k
  ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid
LEFT JOIN pg_catalog.pg_index i ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.indexrelid = d.objid
LEFT JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
LEFT JOIN pg_catalog.pg_attrdef f
  ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND f.oid = d.objid
WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = $1
  AND d.refobjsubid = ANY ($2::pg_catalog.int2[])
  AND NOT COALESCE(CASE
    WHEN r.oid IS NOT NULL THEN r.ev_class = ANY ($3)
    -- Not null is a constraint from version 18 on. Our own CHECK goes with the encryption.
    WHEN k.oid IS NOT NULL THEN k.contype IN ('p', 'u', 'n')
      OR (k.contype = 'c' AND NOT $4 AND k.conname ~ '_sealed_check[0-9]*$')
    WHEN i.indexrelid IS NOT NULL THEN
      am.amname IN ('btree', 'hash') AND i.indexprs IS NULL AND i.indpred IS NULL
      AND NOT EXISTS (SELECT FROM pg_catalog.unnest(i.indclass::pg_catalog.oid[]) AS o (oid)
                      JOIN pg_catalog.pg_opclass p ON p.oid = o.oid WHERE NOT p.opcdefault)
    WHEN f.oid IS NOT NULL THEN
      f.adrelid = $1 AND f.adnum = ANY ($2::pg_catalog.int2[]) AND pg_catalog.pg_get_expr(f.adbin, f.adrelid) ~ '^NULL'
    ELSE d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
      OR d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
  END, false)
ORDER BY 1";

/// What hangs on the views and would be dropped with them.
const OF_VIEWS: &str = "
SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_catalog.pg_depend d
LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
LEFT JOIN pg_catalog.pg_class v ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND v.reltype = d.refobjid
WHERE ((d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = ANY ($1)) OR v.oid = ANY ($1))
  AND NOT (d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.deptype = 'i')
  AND NOT (r.oid IS NOT NULL AND r.ev_class = ANY ($1) AND r.rulename = '_RETURN')
  AND NOT (d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refclassid = d.classid AND d.deptype IN ('a', 'i'))
ORDER BY 1";

/// What the table itself is. (`pg_publication_tables` lists those of FOR ALL TABLES too.)
const TABLE: &str = "
SELECT c.relkind <> 'r', EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE $1 IN (h.inhrelid, h.inhparent)),
       c.reloftype <> 0, c.relreplident = 'i',
       EXISTS (SELECT FROM pg_catalog.pg_publication_tables p WHERE p.schemaname = n.nspname AND p.tablename = c.relname),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum = ANY ($2::pg_catalog.int2[]) AND (a.attgenerated <> '' OR a.attidentity <> ''))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1";

/// One line each.
pub(super) async fn hindrances(job: &Retype<'_>, client: &Client) -> Result<Vec<String>, JobError> {
    let refused = || doing("does not tell what hangs on the table");
    let (oid, numbers) = (job.target.oid, &job.target.numbers);
    let mut found = Vec::new();
    let Some(row) = client.query_opt(TABLE, &[&oid, numbers]).await.map_err(refused())? else {
        return Ok(vec!["the table is gone".to_owned()]);
    };
    let is_publication_fine = job.replicated;
    let of_table = [
        (row.get::<_, bool>(0), "only a plain table's columns can change their types"),
        (
            row.get(1),
            "the table is a partition, or has partitions, parents or children: their columns cannot change one by one",
        ),
        (row.get(2), "the table is of a composite type"),
        (
            row.get(3),
            "the table's replica identity is an index: ALTER TABLE ... REPLICA IDENTITY DEFAULT first",
        ),
        (
            row.get::<_, bool>(4) && !is_publication_fine,
            "the table is in a publication, whose subscribers' columns do not change with it: change them at the same \
             time, and say --replicated",
        ),
        (job.target.table.columns.is_empty(), "the policy's columns are not columns of the table itself"),
    ];
    found.extend(of_table.into_iter().filter(|(holds, _)| *holds).map(|(_, what)| what.to_owned()));
    let generated: Vec<String> = row.get(5);
    found.extend(generated.iter().map(|column| format!("column {column} is generated by the server")));
    for column in job.target.table.columns.iter().filter(|_| job.work == Work::Encrypt) {
        let class = &column.class;
        let active = job.keys.active(&class.key).map(crate::catalog::Form::Sealed);
        // Equal values have to be under one version of the key, and it is the pin that tells proxies which.
        let is_decided = match &class.pin {
            Some(pin) => pin.phase == Phase::New && Some(pin.new) == active,
            None => !job.keys.is_retiring(&class.key),
        };
        if active.is_none() {
            found.push(format!("the keyring has no active key {}", class.key));
        } else if class.binding.mode == Mode::Deterministic && !is_decided {
            found.push(format!(
                "column {} is deterministic, and another version of its key {} is still in use: \"pgseal rotate {1}\" and \
                 \"pgseal keys archive\" first",
                column.name, class.key
            ));
        }
    }
    let views = views::over(client, oid, numbers).await?;
    let again: Vec<u32> = views.iter().map(|view| view.oid).collect();
    let encrypts = job.work == Work::Encrypt;
    let rows = client.query(DEPENDENTS, &[&oid, numbers, &again, &encrypts]).await.map_err(refused())?;
    found.extend(
        rows.iter().map(|row| format!("{}: drop it, and make it again afterwards", row.get::<_, String>(0))),
    );
    let rows = client.query(OF_VIEWS, &[&again]).await.map_err(refused())?;
    found.extend(rows.iter().map(|row| format!("{}: it would go with its view", row.get::<_, String>(0))));
    found.extend(views.iter().filter_map(views::View::hindrance));
    Ok(found)
}
