//! Query texts on a replication connection.

use super::lex::{self, Lexeme};
use super::scan::{self, ProtectedNames};
use crate::policy::Policy;

/// First words of the replication protocol's own commands, which are no SQL.
///
/// <https://www.postgresql.org/docs/current/protocol-replication.html>
const COMMANDS: &[&str] = &[
    "identify_system",
    "show",
    "timeline_history",
    "create_replication_slot",
    "alter_replication_slot",
    "read_replication_slot",
    "start_replication",
    "drop_replication_slot",
    "base_backup",
    "upload_manifest",
];

/// True if a text on a replication connection may go on as it came: a replication command, SQL that names no
/// protected table, or a COPY TO STDOUT without a constant. That is how a subscriber first copies a table, and
/// it is meant to see what is stored; results on such a connection are not opened.
pub fn is_safe_for_replication(text: &str, policy: &Policy) -> bool {
    let mut names = ProtectedNames::default();
    for table in policy.tables.keys() {
        names.insert(&table.name);
    }
    let Ok(lexemes) = lex::tokenize(text) else { return scan::raw_names_any(text, &names).is_none() };
    let is_command = lexemes.first().is_some_and(|l| COMMANDS.iter().any(|c| l.is_word(text, c)));
    let statements = lex::split(text, &lexemes);
    (is_command && statements.len() == 1)
        || scan::names_any(text, &lexemes, &names).is_none()
        || (statements.len() == 1 && is_copy_out(text, &lexemes))
}

fn is_copy_out(text: &str, lexemes: &[Lexeme]) -> bool {
    lexemes.first().is_some_and(|l| l.is_word(text, "copy"))
        && lexemes
            .windows(2)
            .any(|w| matches!(w, [to, out] if to.is_word(text, "to") && out.is_word(text, "stdout")))
        && !lexemes.iter().any(Lexeme::is_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_a_value_for_a_protected_table_is_not_safe() {
        let policy =
            Policy::parse("version = 1\n[table.\"public.users\"]\nemail = { type = \"text\" }\n", "test")
                .expect("a policy");
        for (text, safe) in [
            ("IDENTIFY_SYSTEM", true),
            ("START_REPLICATION SLOT \"s\" LOGICAL 0/0 (proto_version '1', publication_names 'users')", true),
            ("COPY public.users (id, email) TO STDOUT", true),
            ("COPY (SELECT id FROM users) TO STDOUT", true),
            ("SELECT oid FROM pg_class WHERE relname = 'plain'", true),
            ("COPY users FROM STDIN", false),
            ("COPY (SELECT * FROM users WHERE email = 'a') TO STDOUT", false),
            ("INSERT INTO users (email) VALUES ('a')", false),
            ("SHOW x; INSERT INTO users (email) VALUES ('a')", false),
        ] {
            assert_eq!(is_safe_for_replication(text, &policy), safe, "{text}");
        }
    }
}
