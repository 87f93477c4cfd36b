//! The policy file: which columns are sealed, and how.
//!
//! [`Policy::load`] reads the file whole and answers with everything that is wrong in it, each with its
//! place, or with a [`Policy`] that cannot be wrong in itself. Whether it fits a database is
//! `catalog::check`'s business. The format is documented in `docs/policy.md`.

mod name;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub use name::{ColumnName, NameError, RelationName, parse_identifier, quote_ident, quote_literal};

use sha2::{Digest as _, Sha256};

use crate::crypto::Mode;
use crate::datum::TypeName;

/// Bytes of a digest: enough to tell apart what people write, and short enough to read aloud.
const DIGEST: usize = 6;

/// A policy file, read and checked in itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Tables that hold sealed columns.
    pub tables: BTreeMap<RelationName, Table>,
    /// Functions that take or return sealed values.
    pub functions: BTreeMap<RelationName, Function>,
}

/// A table of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its sealed columns, by their names in the catalog; at least one.
    pub columns: BTreeMap<String, Column>,
    /// Someone vouches that the table's BEFORE triggers leave sealed text as it is.
    pub before_triggers_acknowledged: bool,
    /// Where the file names it.
    pub place: Place,
}

/// A sealed column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The type that the application sees. An enum is only a name until a catalog resolves it.
    pub ty: TypeName,
    /// Which comparisons its ciphertexts keep.
    pub mode: Mode,
    /// The name of the data key that seals.
    pub key: String,
    /// What its values are bound to: by default [`ColumnName`] in its shown form.
    pub context: String,
    /// Whether plaintext rows may be left.
    pub state: ColumnState,
    /// As what CREATE TABLE and ADD COLUMN make it; a column that is there stays what it is.
    pub storage: Storage,
    /// Why a leak that the checks would refuse is accepted.
    pub accept_leakage: Option<String>,
    /// Where the file names it.
    pub place: Place,
}

/// The physical type of a protected column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// `bytea`: the envelope itself.
    #[default]
    Bytea,
    /// `text` or `varchar`: `pgs1.` and the envelope in base64url.
    Text,
}

/// Whether every value of a column is sealed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColumnState {
    /// All are.
    #[default]
    Sealed,
    /// Rows may still hold plaintext: in a column that stays text, what does not begin as a sealed value in text form is
    /// read as that; one of another type holds plaintext until its type is bytea.
    Migrating,
}

/// A server function that may be called although it reaches a sealed table. That sealed values go in or come out
/// is not available yet: all arguments and results are plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The column that each argument belongs to, `None` for a plain one.
    pub arguments: Vec<Option<ColumnName>>,
    /// The column that the result belongs to, `None` for a plain one.
    pub returns: Option<ColumnName>,
    /// Where the file names it.
    pub place: Place,
}

/// A place in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Characters, counted from 1.
    pub column: usize,
}

impl Place {
    /// Of a byte of a text.
    pub fn at(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }
}

/// Something wrong in a policy file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong, and what is expected.
    pub message: String,
}

/// Everything that is wrong in a policy file, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblems {
    /// The file, as the user named it.
    pub file: String,
    /// The problems.
    pub problems: Vec<Problem>,
}

/// Why a policy file gives no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read.
    #[error("policy file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is wrong.
    #[error(transparent)]
    Problems(#[from] PolicyProblems),
}

impl Policy {
    /// Reads a policy file.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PolicyError::Read { path: path.to_owned(), source })?;
        Ok(Self::parse(&text, &path.display().to_string())?)
    }

    /// Reads the text of a policy file; `file` names it in problems.
    pub fn parse(text: &str, file: &str) -> Result<Self, PolicyProblems> {
        read::read(text).map_err(|mut problems| {
            problems.sort();
            PolicyProblems { file: file.to_owned(), problems }
        })
    }

    /// What tells policies apart by what they mean: not by comments, order or places in the file.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        };
        for (name, Table { columns, before_triggers_acknowledged, place: _ }) in &self.tables {
            add("table");
            add(&name.to_string());
            add(&before_triggers_acknowledged.to_string());
            for (name, column) in columns {
                let Column { ty, mode, key, context, state, storage, accept_leakage: _, place: _ } = column;
                add(name);
                add(&type_name(ty));
                add(&format!("{mode} {state:?} {storage:?}"));
                add(key);
                add(context);
            }
        }
        for (name, Function { arguments, returns, place: _ }) in &self.functions {
            add("function");
            add(&name.to_string());
            add(&arguments.len().to_string());
            for column in arguments.iter().chain([returns]) {
                add(&column.as_ref().map(ToString::to_string).unwrap_or_default());
            }
        }
        let bytes = hash.finalize();
        bytes.iter().take(DIGEST).map(|byte| format!("{byte:02x}")).collect()
    }

    /// What the policy says about a column.
    pub fn column(&self, name: &ColumnName) -> Option<&Column> {
        self.tables.get(&name.relation)?.columns.get(&name.column)
    }

    /// All sealed columns with their names.
    pub fn columns(&self) -> impl Iterator<Item = (ColumnName, &Column)> {
        self.tables.iter().flat_map(|(table, t)| t.columns.iter().map(|(name, c)| (table.column(name), c)))
    }
}

/// A type as the file writes it.
pub fn type_name(ty: &TypeName) -> String {
    match ty {
        TypeName::Builtin(ty) => ty.to_string(),
        TypeName::Named { schema, name, array } => {
            let schema = schema.as_ref().map(|schema| format!("{}.", quote_ident(schema)));
            let brackets = if *array { "[]" } else { "" };
            format!("{}{}{brackets}", schema.unwrap_or_default(), quote_ident(name))
        }
    }
}

impl std::error::Error for PolicyProblems {}

impl fmt::Display for PolicyProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Problem { place, message }) in self.problems.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:{place}: {message}", self.file)?;
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let shown = Policy::parse(text, "p.toml").unwrap_err().to_string();
        shown.lines().map(str::to_owned).collect()
    }

    fn policy(text: &str) -> Policy {
        Policy::parse(text, "p.toml").unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn column(policy: &Policy, name: &str) -> Column {
        policy.column(&name.parse().unwrap()).unwrap_or_else(|| panic!("no {name}")).clone()
    }

    #[test]
    fn a_policy_reads_with_its_defaults() {
        let policy = policy(
            r#"
version = 1
[defaults]
key = "main"
mode = "deterministic"
[table."public.users"]
email = { type = "text" }
notes = { type = "jsonb", mode = "randomized", key = "health", accept_leakage = "why", storage = "text" }
'"firstName"' = { type = "varchar(80)" }
[table.'public."Order"']
before_triggers = "acknowledged"
before_triggers_too = { type = "text" }
user_email = { type = "text", context = "public.users.email" }
"#,
        );
        let email = column(&policy, "public.users.email");
        assert_eq!((email.mode, email.key.as_str()), (Mode::Deterministic, "main"));
        assert_eq!(email.context, "public.users.email");
        assert_eq!(email.place, Place { line: 7, column: 1 });
        let notes = column(&policy, "public.users.notes");
        assert_eq!((notes.mode, notes.key.as_str()), (Mode::Randomized, "health"));
        assert_eq!(notes.accept_leakage.as_deref(), Some("why"));
        assert_eq!((notes.storage, email.storage), (Storage::Text, Storage::Bytea));
        assert_eq!(column(&policy, "public.users.\"firstName\"").context, "public.users.\"firstName\"");
        assert_eq!(column(&policy, "public.\"Order\".user_email").context, "public.users.email");
        let order = policy.tables.get(&RelationName::new("public", "Order")).unwrap();
        assert!(order.before_triggers_acknowledged);
        assert_eq!(order.columns.len(), 2);
        assert_eq!(policy.columns().count(), 5);
    }

    #[test]
    fn digests_tell_what_policies_mean() {
        let base = policy("version = 1\n[table.\"a.b\"]\nc = { type = \"text\" }").digest();
        assert_eq!(base.len(), 12);
        let same =
            "version = 1\n# a comment\n\n[table.\"a.b\"]\nc = { mode = \"randomized\", type = \"text\" }";
        assert_eq!(policy(same).digest(), base);
        for changed in [
            "c = { type = \"text\", mode = \"deterministic\" }",
            "c = { type = \"varchar\" }",
            "c = { type = \"text\", key = \"other\" }",
            "c = { type = \"text\", storage = \"text\" }",
            "c = { type = \"text\" }\nd = { type = \"text\" }",
            "d = { type = \"text\" }",
        ] {
            assert_ne!(
                policy(&format!("version = 1\n[table.\"a.b\"]\n{changed}")).digest(),
                base,
                "{changed}"
            );
        }
    }

    #[test]
    fn an_empty_policy_seals_nothing() {
        assert_eq!(policy("version = 1"), Policy::default());
    }

    #[test]
    fn a_column_may_be_called_before_triggers() {
        let policy = policy("version = 1\n[table.\"a.b\"]\nbefore_triggers = { type = \"text\" }");
        assert_eq!(column(&policy, "a.b.before_triggers").key, "default");
    }

    #[test]
    fn functions_with_plain_arguments_can_be_declared() {
        let policy = policy("version = 1\n[function.\"public.count_users\"]\narguments = [\"\", \"\"]");
        let function = policy.functions.get(&RelationName::new("public", "count_users")).unwrap();
        assert_eq!((function.arguments.as_slice(), &function.returns), (&[None, None][..], &None));
    }

    #[test]
    fn every_problem_is_reported_in_the_order_of_the_file() {
        let shown = problems(
            r#"version = 2
surprise = true
[defaults]
mode = "fast"
[table."public.users"]
a = { mode = "deterministic" }
b = { type = "text", mode = "ordered", extra = 1 }
c = { type = "bytea", mode = "deterministic", state = "migrating" }
"#,
        );
        let places: Vec<_> =
            shown.iter().map(|line| line.split(": ").next().unwrap_or_default().to_owned()).collect();
        assert_eq!(
            places,
            [
                "p.toml:1:11",
                "p.toml:2:1",
                "p.toml:4:8",
                "p.toml:6:5",
                "p.toml:7:29",
                "p.toml:7:40",
                "p.toml:8:55"
            ],
            "{shown:#?}"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_expected() {
        let column = |text: &str| format!("version = 1\n[table.\"public.users\"]\n{text}");
        let cases = [
            ("".to_owned(), "p.toml:1:1: the file has to say which version"),
            ("version = \"1\"".to_owned(), "p.toml:1:11: this program reads version = 1"),
            ("version = 1\nversion = 1".to_owned(), "p.toml:2:1: duplicate key"),
            ("version = 1\n[table]\nx = 1".to_owned(), "p.toml:3:1: a name like schema.table is expected"),
            ("version = 1\n[table.public.users]\nx = { type = \"text\" }".to_owned(), "in quotes, as in [table."),
            ("version = 1\ntable = 5".to_owned(), "p.toml:2:9: expected [table.\"public.users\"], found integer"),
            ("version = 1\n[table.\"public.Users\"]\nx = { type = \"text\" }".to_owned(), "write \"Users\" if"),
            ("version = 1\n[table.\"pg_catalog.x\"]\ny = { type = \"text\" }".to_owned(), "PostgreSQL's own"),
            (
                "version = 1\n[table.\"a.b\"]\nx = { type = \"text\" }\n[table.'a.\"b\"']\nx = { type = \"text\" }"
                    .to_owned(),
                "is already named at line",
            ),
            (column(""), "p.toml:2:1: the table names no column"),
            (column("email = \"text\""), "p.toml:3:9: expected a column like email = { type = \"text\" }, found string"),
            (column("email = {}"), "p.toml:3:9: the column's type is missing"),
            (column("email = { type = 5 }"), "p.toml:3:18: expected a type such as"),
            (column("email = { type = \"\" }"), "p.toml:3:18: expected a type such as"),
            (column("Email = { type = \"text\" }"), "p.toml:3:1: \"Email\" has capital letters"),
            (column("\"a.b\" = { type = \"text\" }"), "p.toml:3:1: \"a.b\" is no column's name"),
            (column("email = { type = \"text\", mod = \"x\" }"), "p.toml:3:26: unknown key \"mod\" on a column; expected one of type"),
            (column("email = { type = \"text\", mode = \"Random\" }"), "expected \"randomized\" or \"deterministic\" or"),
            (column("email = { type = \"text\", mode = \"ordered\" }"), "not available in this version yet"),
            (column("email = { type = \"bytea\", state = \"migrating\" }"), "not available for a column of type bytea"),
            (
                column("a = { type = \"text\", state = \"migrating\" }\nb = { type = \"text\", context = \"public.users.a\" }"),
                "p.toml:4:1: public.users.b shares the context public.users.a with public.users.a (line 3), but differs in state",
            ),
            (column("email = { type = \"text\", context = \"a.b.c\", state = \"migrating\" }"), "no context beside its own"),
            (column("email = { type = \"text\", key = \"a@2\" }"), "is no key's name"),
            (column("email = { type = \"text\", key = \"\" }"), "the name of a data key in the keyring, found nothing"),
            (column("email = { type = \"text\", context = \"public.order.x\" }"), "is written 'public.\"order\".x'"),
            (column("email = { type = \"text\", context = \"a\\u0000b\" }"), "no control characters"),
            (column("email = { type = \"text\", accept_leakage = true }"), "expected the reason, in words, found boolean"),
            (column("email = { type = \"jsonb\", mode = \"deterministic\" }"), "can only be randomized"),
            (column("email = { type = \"text\", storage = \"varchar\" }"), "expected \"bytea\" or \"text\", found \"varchar\""),
            (column("email = { type = \"text\" }\nbefore_triggers = \"yes\""), "expected \"acknowledged\""),
            (column("email = { type = \"text\" "), "p.toml:3:"),
            (column("\"é\" = { type = \"text\", x = 1 }"), "p.toml:3:24: unknown key"),
            ("version = 1\n[function.\"a.b\"]\narguments = [\"a.b.c\"]".to_owned(), "not available in this version yet"),
            ("version = 1\n[function.\"a.b\"]\narguments = \"x\"".to_owned(), "expected a list"),
            ("version = 1\n[function.\"a.b\"]\nreturns = 5".to_owned(), "p.toml:3:11: expected \"\" for a plain"),
            (column("email = { type = \"citext\" }"), "p.toml:3:18: type citext cannot be encrypted"),
            (
                column("n = { type = \"numeric\", mode = \"deterministic\" }"),
                "p.toml:3:32: a column of type numeric can only be randomized: equal numerics may have",
            ),
        ];
        for (text, wanted) in cases {
            let shown = problems(&text).join("\n");
            assert!(shown.contains(wanted), "{text}\n  gave: {shown}\n  not: {wanted}");
        }
    }

    #[test]
    fn columns_that_share_a_context_are_sealed_alike() {
        let shown = problems(
            r#"version = 1
[table."public.a"]
x = { type = "text", mode = "deterministic" }
[table."public.b"]
x = { type = "date", key = "k", context = "public.a.x" }
"#,
        );
        assert_eq!(shown.len(), 1, "{shown:?}");
        for wanted in [
            "p.toml:5:1",
            "public.a.x (line 3)",
            "mode (randomized and deterministic)",
            "key (k and default)",
            "family",
        ] {
            assert!(shown[0].contains(wanted), "{wanted}: {shown:?}");
        }
    }
}
