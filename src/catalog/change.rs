//! Changes of types: a table whose columns are about to become encrypted ones, or plain ones again, or have just done so.
//!
//! Such a change happens in one instant, and a statement that was analysed before it must not be carried out behind it.
//! So it is announced by a table in schema `pgseal` that has a comment: while one is there, statements that reach the
//! table have to pass a [fence](Change::fence) first (`docs/lifecycle.md`).

use crate::datum::Oid;

/// An announced change of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The table's object id, which is in the names of the announcing tables.
    pub table: Oid,
    /// Whether it has happened.
    pub phase: ChangePhase,
}

/// How far a change of types is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangePhase {
    /// It may happen at any instant.
    Before,
    /// It has happened, and there may be transactions that do not see it.
    After,
}

impl ChangePhase {
    fn prefix(self) -> &'static str {
        match self {
            Self::Before => "before_",
            Self::After => "after_",
        }
    }
}

impl Change {
    /// The change that a table of schema `pgseal` announces by its name.
    pub fn read(name: &str) -> Option<Self> {
        [ChangePhase::Before, ChangePhase::After].into_iter().find_map(|phase| {
            let table = name.strip_prefix(phase.prefix())?.parse().ok()?;
            Some(Self { table, phase })
        })
    }

    /// The name of the table that announces it, with its schema.
    pub fn relation(self) -> String {
        format!("pgseal.{}{}", self.phase.prefix(), self.table)
    }

    /// The statement that fails where the next one of its transaction would meet another type than it was analysed for,
    /// and keeps the change from happening until the transaction ends.
    ///
    /// Before the change that is the lock of a table which the change drops: names are looked up as of now, whatever
    /// snapshot a transaction has. After it, a snapshot that does not see the one row of another table is one from
    /// before the change, and the rewritten table would look empty to it.
    ///
    /// <https://www.postgresql.org/docs/current/mvcc-caveats.html>
    pub fn fence(self) -> String {
        let relation = self.relation();
        match self.phase {
            ChangePhase::Before => format!("SELECT FROM {relation}"),
            ChangePhase::After => {
                format!(
                    "SELECT 1 OPERATOR(pg_catalog./) pg_catalog.count(*)::pg_catalog.int4 FROM {relation}"
                )
            }
        }
    }

    /// Whether a fence's error of this SQLSTATE says that types have changed.
    pub fn is_fenced_off(code: &str) -> bool {
        ["42P01", "3F000", "22012"].contains(&code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_from_the_name_that_it_has() {
        for phase in [ChangePhase::Before, ChangePhase::After] {
            let change = Change { table: 16_500, phase };
            let name = change.relation();
            assert_eq!(Change::read(name.strip_prefix("pgseal.").unwrap()), Some(change));
            assert!(change.fence().contains(&name));
        }
        assert_eq!(Change::read("before_x"), None);
        assert_eq!(Change::read("map_7"), None);
    }
}
