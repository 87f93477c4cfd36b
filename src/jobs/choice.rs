//! Which columns the words of a command line mean.

use std::collections::BTreeSet;

use crate::catalog::ColumnName;
use crate::policy::{Policy, quote_ident};

/// The words mean nothing, or several things.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// Nothing is called so.
    #[error("the policy has no key, table or column {0}: write KEY, TABLE or TABLE.COLUMN")]
    Nothing(String),
    /// Several are.
    #[error("{word} may mean {}: write the whole name, schema first", meanings.join(" or "))]
    Several {
        /// What was written.
        word: String,
        /// What it may mean.
        meanings: Vec<String>,
    },
}

/// The policy's columns that `word` means: a key's name (all columns that it seals), a table or a column, with its
/// schema or without. Names are written as in SQL.
///
/// # Errors
/// It means nothing, or several things.
pub fn choose(policy: &Policy, word: &str) -> Result<BTreeSet<ColumnName>, ChoiceError> {
    let mut meanings: Vec<(String, BTreeSet<ColumnName>)> = Vec::new();
    for (name, column) in policy.columns() {
        let table = quote_ident(&name.relation.name);
        let short = format!("{table}.{}", quote_ident(&name.column));
        let meaning = if column.key == word {
            format!("the key {word}")
        } else if name.relation.to_string() == word || table == word {
            format!("the table {}", name.relation)
        } else if name.to_string() == word || short == word {
            format!("the column {name}")
        } else {
            continue;
        };
        match meanings.iter_mut().find(|(known, _)| *known == meaning) {
            Some((_, columns)) => drop(columns.insert(name)),
            None => meanings.push((meaning, BTreeSet::from([name]))),
        }
    }
    match (meanings.pop(), meanings.is_empty()) {
        (None, _) => Err(ChoiceError::Nothing(word.to_owned())),
        (Some((_, columns)), true) => Ok(columns),
        (Some((last, _)), false) => {
            let meanings = meanings.into_iter().map(|(meaning, _)| meaning).chain([last]).collect();
            Err(ChoiceError::Several { word: word.to_owned(), meanings })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"version = 1
[defaults]
key = "main"
[table."public.users"]
email = { type = "text" }
'"Name"' = { type = "text", key = "names" }
[table."public.twin"]
x = { type = "text" }
[table."other.twin"]
x = { type = "text" }
[table."public.names"]
y = { type = "text" }
"#;

    #[test]
    fn a_word_means_a_key_a_table_or_a_column() {
        let policy = Policy::parse(POLICY, "p").unwrap();
        let cases = [
            ("public.users", "public.users.\"Name\" public.users.email"),
            ("users", "public.users.\"Name\" public.users.email"),
            ("users.email", "public.users.email"),
            ("public.users.email", "public.users.email"),
            ("users.\"Name\"", "public.users.\"Name\""),
            ("other.twin", "other.twin.x"),
            ("main", "other.twin.x public.names.y public.twin.x public.users.email"),
            (
                "twin",
                "twin may mean the table other.twin or the table public.twin: write the whole name, schema first",
            ),
            (
                "names",
                "names may mean the table public.names or the key names: write the whole name, schema first",
            ),
            ("public.names", "public.names.y"),
            (
                "users.name",
                "the policy has no key, table or column users.name: write KEY, TABLE or TABLE.COLUMN",
            ),
        ];
        for (word, wanted) in cases {
            let shown = match choose(&policy, word) {
                Ok(columns) => columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                Err(error) => error.to_string(),
            };
            assert_eq!(shown, wanted, "{word}");
        }
    }
}
