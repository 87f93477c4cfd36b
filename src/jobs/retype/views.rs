//! Views over the columns: PostgreSQL changes no type under them, so they are dropped and made again in the same
//! transaction, with owner, options, grants and comments.

use tokio_postgres::Client;

use crate::jobs::{JobError, doing};
use crate::policy::{quote_ident, quote_literal};

/// The views over columns `$2` of table `$1`, and the views over them; those that others read come first.
const OVER: &str = "
WITH RECURSIVE readers (reader, read, number) AS (
  SELECT DISTINCT r.ev_class, d.refobjid, d.refobjsubid
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid AND r.rulename = '_RETURN'
  WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class),
over (oid, depth) AS (
  SELECT reader, 1 FROM readers WHERE read = $1 AND number = ANY ($2)
  UNION
  SELECT r.reader, o.depth + 1 FROM over o JOIN readers r ON r.read = o.oid)
SELECT c.oid, c.oid::pg_catalog.regclass::text, c.relkind::text, pg_catalog.pg_get_userbyid(c.relowner)::text,
       pg_catalog.pg_get_viewdef(c.oid), c.reloptions, pg_catalog.obj_description(c.oid, 'pg_class'),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum),
       ARRAY(SELECT pg_catalog.col_description(c.oid, a.attnum) FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum)
FROM (SELECT oid, pg_catalog.max(depth) AS depth FROM over GROUP BY oid) o
JOIN pg_catalog.pg_class c ON c.oid = o.oid
ORDER BY o.depth, c.oid";

/// Who may do what with a view: privilege, the column (empty for the whole), the role (empty for PUBLIC), with grant option.
const GRANTS: &str = "
SELECT g.privilege_type, g.attname, COALESCE(r.rolname, '')::text, g.is_grantable
FROM (SELECT e.privilege_type, '' AS attname, e.grantee, e.is_grantable
      FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(
        COALESCE(c.relacl, pg_catalog.acldefault('r', c.relowner))) e WHERE c.oid = $1::text::pg_catalog.regclass
      UNION ALL
      SELECT e.privilege_type, a.attname::text, e.grantee, e.is_grantable
      FROM pg_catalog.pg_attribute a CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) e
      WHERE a.attrelid = $1::text::pg_catalog.regclass AND NOT a.attisdropped) g
LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
ORDER BY 1, 2, 3, 4";

/// A view, with all that it is made again from.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) oid: u32,
    /// With its schema, quoted.
    pub(super) name: String,
    is_materialized: bool,
    owner: String,
    definition: String,
    options: Vec<String>,
    comment: Option<String>,
    columns: Vec<String>,
    comments: Vec<Option<String>>,
}

/// What one role may do.
type Grant = (String, String, String, bool);

/// The views over columns of a table, and the views over those.
pub(super) async fn over(client: &Client, table: u32, numbers: &[i16]) -> Result<Vec<View>, JobError> {
    let numbers: Vec<i32> = numbers.iter().map(|number| i32::from(*number)).collect();
    let rows = client.query(OVER, &[&table, &numbers]).await.map_err(doing("does not show its views"))?;
    let view = |row: &tokio_postgres::Row| View {
        oid: row.get(0),
        name: row.get(1),
        is_materialized: row.get::<_, String>(2) == "m",
        owner: row.get(3),
        definition: row.get(4),
        options: row.get::<_, Option<Vec<String>>>(5).unwrap_or_default(),
        comment: row.get(6),
        columns: row.get(7),
        comments: row.get(8),
    };
    Ok(rows.iter().map(view).collect())
}

/// Who may do what with it.
pub(super) async fn grants(client: &Client, view: &View) -> Result<Vec<Grant>, JobError> {
    let rows =
        client.query(GRANTS, &[&view.name]).await.map_err(doing("does not show the grants of a view"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect())
}

impl View {
    /// Why it cannot be made again.
    pub(super) fn hindrance(&self) -> Option<String> {
        self.is_materialized.then(|| {
            format!("materialized view {} has copies: drop it, and make it again afterwards", self.name)
        })
    }

    /// Makes it again, without grants.
    pub(super) fn create(&self) -> String {
        let Self { name, owner, definition, columns, .. } = self;
        let list: Vec<String> = columns.iter().map(|column| quote_ident(column)).collect();
        let option = |option: &String| {
            let (key, value) = option.split_once('=').unwrap_or((option, "true"));
            format!("{} = {}", quote_ident(key), quote_literal(value))
        };
        let options: Vec<String> = self.options.iter().map(option).collect();
        let with = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
        let mut sql = format!(
            "CREATE VIEW {name} ({}){with} AS {definition};\nALTER VIEW {name} OWNER TO {};\n",
            list.join(", "),
            quote_ident(owner)
        );
        if let Some(comment) = &self.comment {
            sql += &format!("COMMENT ON VIEW {name} IS {};\n", quote_literal(comment));
        }
        for (column, comment) in list.iter().zip(&self.comments) {
            if let Some(comment) = comment {
                sql += &format!("COMMENT ON COLUMN {name}.{column} IS {};\n", quote_literal(comment));
            }
        }
        sql
    }

    /// From the grants that it was made with (by default) to those that it had.
    pub(super) fn grant(&self, now: &[Grant], wanted: &[Grant]) -> String {
        let shown = |(privilege, column, role, _): &Grant| {
            let column =
                if column.is_empty() { String::new() } else { format!(" ({})", quote_ident(column)) };
            let role = if role.is_empty() { "PUBLIC".to_owned() } else { quote_ident(role) };
            (format!("{privilege}{column} ON {}", self.name), role)
        };
        let mut sql = String::new();
        for grant in now.iter().filter(|grant| !wanted.contains(grant)) {
            let (what, role) = shown(grant);
            sql += &format!("REVOKE {what} FROM {role};\n");
        }
        for grant in wanted.iter().filter(|grant| !now.contains(grant)) {
            let (what, role) = shown(grant);
            let option = if grant.3 { " WITH GRANT OPTION" } else { "" };
            sql += &format!("GRANT {what} TO {role}{option};\n");
        }
        sql
    }
}
