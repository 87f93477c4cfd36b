//! Kinds of statements by their leading words, whether or not they parse.
//!
//! What a statement does to the session's knowledge must be known for those that were not understood too.

use super::Effects;
use super::lex::{self, Lexeme, LexemeKind, identifier};

/// A statement as its leading words tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementHead {
    /// Its kind.
    pub kind: StatementKind,
    /// The lexeme that names its prepared statement, cursor, savepoint or setting; `None` for ALL, the unnamed,
    /// and kinds without one.
    pub object: Option<usize>,
    /// The first lexeme of the statement inside it: of EXPLAIN, PREPARE, DECLARE, COPY (query).
    pub inner: Option<usize>,
    /// The lexeme that names the prepared statement which it runs: EXECUTE, EXPLAIN EXECUTE, CREATE TABLE AS
    /// EXECUTE.
    pub executes: Option<usize>,
    /// True for maintenance that may name a protected relation: it reads and writes no value, and after it
    /// the relation is protected as before.
    pub administrative: bool,
    /// What it does to the session's knowledge; everything, if that cannot be told by its words.
    pub effects: Effects,
}

/// Kinds of statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the statement of that name")]
pub enum StatementKind {
    /// SELECT, VALUES, TABLE, WITH, or a query in parentheses.
    Query,
    Insert,
    Update,
    Delete,
    Merge,
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT or END.
    Commit,
    /// ROLLBACK or ABORT.
    Rollback,
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo,
    Savepoint,
    Release,
    PrepareTransaction,
    CommitPrepared,
    RollbackPrepared,
    /// SET of a setting, or of what counts as one (ROLE, TIME ZONE, SCHEMA, NAMES).
    Set,
    /// SET TRANSACTION, SET CONSTRAINTS, SET SESSION CHARACTERISTICS.
    SetTransaction,
    Reset,
    Show,
    Discard,
    Prepare,
    Execute,
    Deallocate,
    Declare,
    Fetch,
    Move,
    Close,
    Copy,
    Do,
    Call,
    Explain,
    Listen,
    Unlisten,
    Notify,
    Checkpoint,
    /// VACUUM, ANALYZE, REINDEX, CLUSTER, LOCK, TRUNCATE, REFRESH MATERIALIZED VIEW.
    Maintenance,
    /// GRANT and REVOKE.
    Grant,
    Comment,
    /// CREATE, ALTER, DROP, IMPORT FOREIGN SCHEMA, SECURITY LABEL, REASSIGN OWNED.
    Definition,
    /// Anything else.
    Other,
}

impl Effects {
    /// Of what was not understood.
    pub const UNKNOWN: Self =
        Self { search_path: true, catalog: true, prepared: true, settings: true, transaction_end: true };
    /// Of what leaves everything as it is.
    pub const NONE: Self =
        Self { search_path: false, catalog: false, prepared: false, settings: false, transaction_end: false };
    /// Of data definition. A temporary table or a schema may enter the effective search path by it.
    const CATALOG: Self = Self { catalog: true, search_path: true, ..Self::NONE };
    const SEARCH_PATH: Self = Self { search_path: true, ..Self::NONE };
    const TRANSACTION_END: Self = Self { transaction_end: true, ..Self::NONE };

    /// True if names or values may mean something else behind it.
    pub const fn moves(self) -> bool {
        self.search_path || self.settings
    }

    /// Of two statements, one after the other.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            search_path: self.search_path || other.search_path,
            catalog: self.catalog || other.catalog,
            prepared: self.prepared || other.prepared,
            settings: self.settings || other.settings,
            transaction_end: self.transaction_end || other.transaction_end,
        }
    }
}

/// Classifies the lexemes of one statement, as [`split`](super::lex::split) cuts them; indices count from the
/// first of them.
///
/// The effects of queries and of INSERT, UPDATE, DELETE and MERGE are those of the functions that they call,
/// which only their analysis knows: here they are [`Effects::UNKNOWN`].
pub fn classify(text: &str, lexemes: &[Lexeme]) -> StatementHead {
    Words { text, lexemes }.classify(0)
}

struct Words<'a> {
    text: &'a str,
    lexemes: &'a [Lexeme],
}

impl Words<'_> {
    fn classify(&self, start: usize) -> StatementHead {
        use StatementKind as Kind;
        let plain = |kind| head(kind, Effects::NONE);
        let unknown = |kind| head(kind, Effects::UNKNOWN);
        let words = [0, 1, 2, 3].map(|ahead| self.word(start + ahead));
        let [first, second, third, fourth] = words.each_ref().map(String::as_str);
        match first {
            "select" | "values" | "table" | "with" => {
                StatementHead { executes: self.as_execute(start), ..unknown(Kind::Query) }
            }
            _ if self.symbol(start, b'(') => unknown(Kind::Query),
            "insert" => unknown(Kind::Insert),
            "update" => unknown(Kind::Update),
            "delete" => unknown(Kind::Delete),
            "merge" => unknown(Kind::Merge),
            "begin" | "start" => plain(Kind::Begin),
            "commit" if second == "prepared" => head(Kind::CommitPrepared, Effects::CATALOG),
            "commit" | "end" => head(Kind::Commit, Effects::TRANSACTION_END),
            "rollback" if second == "prepared" => plain(Kind::RollbackPrepared),
            "rollback" if self.rolls_back_to(start).is_some() => StatementHead {
                object: self.rolls_back_to(start),
                ..head(Kind::RollbackTo, Effects::TRANSACTION_END)
            },
            "rollback" | "abort" => head(Kind::Rollback, Effects::TRANSACTION_END),
            "savepoint" => StatementHead { object: self.name(start + 1), ..plain(Kind::Savepoint) },
            "release" => {
                let skipped = usize::from(second == "savepoint" && !third.is_empty());
                StatementHead { object: self.name(start + 1 + skipped), ..plain(Kind::Release) }
            }
            "prepare" if second == "transaction" && self.is_string(start + 2) => {
                head(Kind::PrepareTransaction, Effects::TRANSACTION_END)
            }
            "prepare" => StatementHead {
                object: self.name(start + 1),
                inner: self.behind_as(start + 2),
                ..head(Kind::Prepare, Effects { prepared: true, ..Effects::NONE })
            },
            "execute" => StatementHead {
                object: self.name(start + 1),
                executes: self.name(start + 1),
                ..unknown(Kind::Execute)
            },
            "deallocate" => {
                let skipped = usize::from(second == "prepare" && !third.is_empty());
                let at = start + 1 + skipped;
                let object = self.name(at).filter(|_| self.word(at) != "all");
                StatementHead {
                    object,
                    ..head(Kind::Deallocate, Effects { prepared: true, ..Effects::NONE })
                }
            }
            "declare" => {
                // Its query may call functions only when it is fetched from, but let it count at once.
                let inner = self.find(start + 2, |at| self.word(at) == "for").map(|at| at + 1);
                StatementHead { object: self.name(start + 1), inner, ..unknown(Kind::Declare) }
            }
            "fetch" | "move" => {
                let kind = if first == "fetch" { Kind::Fetch } else { Kind::Move };
                StatementHead { object: self.cursor(), ..unknown(kind) }
            }
            "close" => {
                let object = self.name(start + 1).filter(|_| second != "all");
                StatementHead { object, ..plain(Kind::Close) }
            }
            "set" => self.set(start),
            "reset" => StatementHead {
                object: self.name(start + 1).filter(|_| second != "all"),
                ..head(Kind::Reset, setting_effects(second, third))
            },
            "show" => StatementHead {
                object: self.name(start + 1).filter(|_| second != "all"),
                ..plain(Kind::Show)
            },
            "discard" => head(
                Kind::Discard,
                match second {
                    "plans" | "sequences" => Effects::NONE,
                    "temp" | "temporary" => Effects::CATALOG,
                    _ => Effects { transaction_end: false, ..Effects::UNKNOWN },
                },
            ),
            "copy" if self.symbol(start + 1, b'(') => {
                StatementHead { inner: Some(start + 2), ..unknown(Kind::Copy) }
            }
            // Only its condition can call functions, as far as they count for INSERT.
            "copy" if self.any(start, |at| self.word(at) == "where") => unknown(Kind::Copy),
            "copy" => plain(Kind::Copy),
            "do" => unknown(Kind::Do),
            "call" => unknown(Kind::Call),
            "explain" => self.explain(start),
            "listen" => plain(Kind::Listen),
            "unlisten" => plain(Kind::Unlisten),
            "notify" => plain(Kind::Notify),
            "checkpoint" => plain(Kind::Checkpoint),
            "vacuum" | "analyze" | "analyse" | "reindex" | "cluster" | "lock" | "truncate" => StatementHead {
                administrative: !self.any(start, |at| self.is_string(at)),
                ..plain(Kind::Maintenance)
            },
            // REFRESH runs a query, with whatever functions it calls, but in a context where they cannot
            // change the session (a security-restricted operation).
            "refresh" => StatementHead {
                administrative: !self.any(start, |at| self.is_string(at)),
                ..plain(Kind::Maintenance)
            },
            // A schema that may not be used is not in the effective search path.
            "grant" | "revoke" => StatementHead {
                administrative: !self.any(start, |at| self.is_value(at)),
                ..head(Kind::Grant, Effects::SEARCH_PATH)
            },
            "comment" => StatementHead { administrative: self.is_comment(start), ..plain(Kind::Comment) },
            "create" => StatementHead {
                executes: self.as_execute(start),
                administrative: self.is_plain_trigger(start, [second, third, fourth]),
                // CREATE TABLE AS calls functions, CREATE SCHEMA holds statements, CREATE EXTENSION runs a script.
                ..if matches!(second, "extension" | "schema") || self.is_created_as(start) {
                    unknown(Kind::Definition)
                } else {
                    head(Kind::Definition, Effects::CATALOG)
                }
            },
            // Scripts of extensions, and expressions that are evaluated for the rows that are there.
            "alter" if matches!(second, "extension" | "table") => {
                StatementHead { administrative: self.is_harmless_alter(start), ..unknown(Kind::Definition) }
            }
            "alter" => StatementHead {
                administrative: self.is_harmless_alter(start),
                ..head(Kind::Definition, Effects::CATALOG)
            },
            "drop" => head(Kind::Definition, Effects::CATALOG),
            "import" | "security" | "reassign" => head(Kind::Definition, Effects::CATALOG),
            _ => unknown(Kind::Other),
        }
    }

    fn set(&self, start: usize) -> StatementHead {
        let scoped = matches!(self.word(start + 1).as_str(), "local" | "session");
        // SESSION AUTHORIZATION and SESSION CHARACTERISTICS are names of their own.
        let own = matches!(self.word(start + 2).as_str(), "authorization" | "characteristics");
        let local = self.word(start + 1) == "local";
        let at = start + 1 + usize::from(scoped && (local || !own));
        let (name, next) = (self.word(at), self.word(at + 1));
        if matches!(name.as_str(), "transaction" | "constraints")
            || (name == "session" && next == "characteristics")
        {
            return head(StatementKind::SetTransaction, Effects::NONE);
        }
        // A setting with a prefix (`my.setting`) is nobody's but the application's.
        let qualified = self.symbol(at + 1, b'.');
        let effects = if qualified { Effects::NONE } else { setting_effects(&name, &next) };
        StatementHead { object: self.name(at), ..head(StatementKind::Set, effects) }
    }

    fn explain(&self, start: usize) -> StatementHead {
        let mut at = start + 1;
        if self.symbol(at, b'(') && !self.opens_query(at + 1) {
            at = self.find(at, |at| self.symbol(at, b')')).map_or(self.lexemes.len(), |at| at + 1);
        } else {
            while matches!(self.word(at).as_str(), "analyze" | "analyse" | "verbose") {
                at += 1;
            }
        }
        let inner = self.classify_inner(at);
        StatementHead {
            kind: StatementKind::Explain,
            object: None,
            inner: Some(at).filter(|at| *at < self.lexemes.len()),
            executes: inner.executes,
            administrative: false,
            // Without ANALYZE too: planning alone may call functions.
            effects: inner.effects,
        }
    }

    /// The statement inside EXPLAIN, which is never an EXPLAIN itself.
    fn classify_inner(&self, at: usize) -> StatementHead {
        match self.word(at).as_str() {
            "explain" | "" if !self.symbol(at, b'(') => head(StatementKind::Other, Effects::UNKNOWN),
            _ => self.classify(at),
        }
    }

    /// True if a parenthesis opens a query and not a list of options.
    fn opens_query(&self, at: usize) -> bool {
        self.symbol(at, b'(') || matches!(self.word(at).as_str(), "select" | "values" | "table" | "with")
    }

    /// The word without quotes at a place, folded; empty for anything else.
    fn word(&self, at: usize) -> String {
        match self.lexemes.get(at) {
            Some(lexeme) if lexeme.kind == LexemeKind::Word => {
                identifier(lexeme, self.text).unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    fn symbol(&self, at: usize, symbol: u8) -> bool {
        self.lexemes.get(at).is_some_and(|lexeme| lexeme.is_symbol(symbol))
    }

    fn is_string(&self, at: usize) -> bool {
        self.lexemes.get(at).is_some_and(|lexeme| matches!(lexeme.kind, LexemeKind::String(_)))
    }

    fn is_value(&self, at: usize) -> bool {
        self.lexemes.get(at).is_some_and(Lexeme::is_value)
    }

    /// The place, if an identifier stands there.
    fn name(&self, at: usize) -> Option<usize> {
        self.lexemes.get(at).filter(|lexeme| lexeme.is_identifier()).map(|_| at)
    }

    fn find(&self, from: usize, pass: impl Fn(usize) -> bool) -> Option<usize> {
        (from..self.lexemes.len()).find(|at| pass(*at))
    }

    fn any(&self, from: usize, pass: impl Fn(usize) -> bool) -> bool {
        self.find(from, pass).is_some()
    }

    /// The lexeme behind the first AS outside parentheses.
    fn behind_as(&self, from: usize) -> Option<usize> {
        let mut depth = 0usize;
        for at in from..self.lexemes.len() {
            if self.symbol(at, b'(') {
                depth += 1;
            } else if self.symbol(at, b')') {
                depth = depth.saturating_sub(1);
            } else if depth == 0 && self.word(at) == "as" {
                return Some(at + 1);
            }
        }
        None
    }

    /// True for CREATE TABLE AS and CREATE MATERIALIZED VIEW.
    fn is_created_as(&self, start: usize) -> bool {
        let is_stored = |at: &usize| matches!(self.word(*at).as_str(), "table" | "materialized");
        (start + 1..start + 4).find(is_stored).is_some_and(|at| self.behind_as(at).is_some())
    }

    /// The name behind AS EXECUTE.
    fn as_execute(&self, from: usize) -> Option<usize> {
        let at = self.find(from, |at| self.word(at) == "as" && self.word(at + 1) == "execute")?;
        self.name(at + 2)
    }

    /// The savepoint of ROLLBACK [WORK | TRANSACTION] TO [SAVEPOINT] name.
    fn rolls_back_to(&self, start: usize) -> Option<usize> {
        let work = usize::from(matches!(self.word(start + 1).as_str(), "work" | "transaction"));
        let to = start + 1 + work;
        if self.word(to) != "to" {
            return None;
        }
        let savepoint = self.word(to + 1) == "savepoint" && self.name(to + 2).is_some();
        self.name(to + 1 + usize::from(savepoint))
    }

    /// The cursor of FETCH or MOVE: its last word.
    fn cursor(&self) -> Option<usize> {
        self.name(self.lexemes.len().checked_sub(1)?)
    }

    /// COMMENT ON ... IS 'text' or NULL, with no other string in it.
    fn is_comment(&self, start: usize) -> bool {
        let Some(is) = self.lexemes.len().checked_sub(2) else { return false };
        self.word(is) == "is" && !(start..is).any(|at| self.is_value(at))
    }

    /// CREATE [OR REPLACE] [CONSTRAINT] TRIGGER without WHEN and without arguments that are values.
    fn is_plain_trigger(&self, start: usize, words: [&str; 3]) -> bool {
        let is_trigger = matches!(
            words,
            ["trigger", ..] | ["constraint", "trigger", _] | ["or", "replace", "trigger" | "constraint"]
        );
        is_trigger && !self.any(start, |at| self.word(at) == "when" || self.is_value(at))
    }

    /// ALTER of a relation whose actions, all of them, are OWNER TO, ENABLE or DISABLE.
    ///
    /// SET SCHEMA and RENAME are left out: they would take a protected relation from under its policy.
    fn is_harmless_alter(&self, start: usize) -> bool {
        let mut at = start + 1;
        match self.word(at).as_str() {
            "table" | "view" | "sequence" | "index" => at += 1,
            "materialized" | "foreign" => at += 2,
            _ => return false,
        }
        if self.word(at) == "if" && self.word(at + 1) == "exists" {
            at += 2;
        }
        if self.word(at) == "only" {
            at += 1;
        }
        loop {
            if self.name(at).is_none() {
                return false;
            }
            at += 1;
            if !self.symbol(at, b'.') {
                break;
            }
            at += 1;
        }
        if self.symbol(at, b'*') {
            at += 1;
        }
        let mut action = at;
        loop {
            let end = self.find(action, |at| self.symbol(at, b',')).unwrap_or(self.lexemes.len());
            let harmless = match self.word(action).as_str() {
                "owner" => self.word(action + 1) == "to",
                "enable" | "disable" => true,
                _ => false,
            };
            if !harmless || (action..end).any(|at| self.is_value(at)) {
                return false;
            }
            if end >= self.lexemes.len() {
                return true;
            }
            action = end + 1;
        }
    }
}

fn head(kind: StatementKind, effects: Effects) -> StatementHead {
    StatementHead { kind, object: None, inner: None, executes: None, administrative: false, effects }
}

/// What SET or RESET of a setting changes; `next` is the word behind its name.
fn setting_effects(name: &str, next: &str) -> Effects {
    match (name, next) {
        // `"$user"` in the search path is the current role.
        ("search_path" | "schema" | "role" | "session_authorization", _) | ("session", "authorization") => {
            Effects::SEARCH_PATH
        }
        (
            "datestyle"
            | "intervalstyle"
            | "timezone"
            | "client_encoding"
            | "names"
            | "standard_conforming_strings"
            | "extra_float_digits"
            | "bytea_output",
            _,
        )
        | ("time", "zone") => Effects { settings: true, ..Effects::NONE },
        ("all" | "", _) => Effects { search_path: true, settings: true, ..Effects::NONE },
        _ => Effects::NONE,
    }
}

/// The names under which the statements of a text would be prepared or declared.
pub fn defined_names(text: &str) -> Vec<String> {
    let Ok(lexemes) = lex::tokenize(text) else { return Vec::new() };
    lex::split(text, &lexemes)
        .into_iter()
        .filter_map(|range| {
            let statement = lexemes.get(range)?;
            let kind = classify(text, statement).kind;
            matches!(kind, StatementKind::Prepare | StatementKind::Declare)
                .then(|| identifier(statement.get(1)?, text))?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::lex::tokenize;
    use super::StatementKind::*;
    use super::*;

    fn classified(text: &str) -> (StatementHead, Vec<Lexeme>) {
        let lexemes = tokenize(text).unwrap();
        (classify(text, &lexemes), lexemes)
    }

    #[test]
    fn statements_are_told_by_their_words() {
        let cases = [
            ("SELECT 1", Query, None),
            ("(SELECT 1) UNION SELECT 2", Query, None),
            ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", Query, None),
            ("\"select\"", Other, None),
            ("INSERT INTO t VALUES (1)", Insert, None),
            ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", Merge, None),
            ("BEGIN ISOLATION LEVEL SERIALIZABLE", Begin, None),
            ("START TRANSACTION", Begin, None),
            ("COMMIT AND CHAIN", Commit, None),
            ("end", Commit, None),
            ("COMMIT PREPARED 'x'", CommitPrepared, None),
            ("ROLLBACK", Rollback, None),
            ("ABORT WORK", Rollback, None),
            ("ROLLBACK TO SAVEPOINT a", RollbackTo, Some("a")),
            ("ROLLBACK WORK TO \"A b\"", RollbackTo, Some("\"A b\"")),
            ("ROLLBACK TO savepoint", RollbackTo, Some("savepoint")),
            ("ROLLBACK PREPARED 'x'", RollbackPrepared, None),
            ("SAVEPOINT a", Savepoint, Some("a")),
            ("RELEASE a", Release, Some("a")),
            ("RELEASE SAVEPOINT a", Release, Some("a")),
            ("PREPARE TRANSACTION 'x'", PrepareTransaction, None),
            ("PREPARE p (int) AS SELECT $1", Prepare, Some("p")),
            ("PREPARE transaction AS SELECT 1", Prepare, Some("transaction")),
            ("EXECUTE p(1)", Execute, Some("p")),
            ("DEALLOCATE PREPARE p", Deallocate, Some("p")),
            ("DEALLOCATE ALL", Deallocate, None),
            ("DECLARE c CURSOR FOR SELECT 1", Declare, Some("c")),
            ("FETCH FORWARD 5 FROM \"C\"", Fetch, Some("\"C\"")),
            ("MOVE c", Move, Some("c")),
            ("CLOSE ALL", Close, None),
            ("SET search_path = a, b", Set, Some("search_path")),
            ("SET LOCAL TIME ZONE 'UTC'", Set, Some("TIME")),
            ("SET SESSION AUTHORIZATION u", Set, Some("SESSION")),
            ("SET SESSION my.x = 1", Set, Some("my")),
            ("SET TRANSACTION READ ONLY", SetTransaction, None),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", SetTransaction, None),
            ("RESET ALL", Reset, None),
            ("SHOW search_path", Show, Some("search_path")),
            ("DISCARD ALL", Discard, None),
            ("COPY t FROM STDIN", Copy, None),
            ("DO $$ $$", Do, None),
            ("CALL p()", Call, None),
            ("LISTEN x", Listen, None),
            ("VACUUM (ANALYZE) t", Maintenance, None),
            ("GRANT SELECT ON t TO u", Grant, None),
            ("COMMENT ON TABLE t IS 'x'", Comment, None),
            ("CREATE TABLE t (a int)", Definition, None),
            ("LOAD 'x'", Other, None),
            ("frobnicate", Other, None),
        ];
        for (text, kind, object) in cases {
            let (head, lexemes) = classified(text);
            assert_eq!(head.kind, kind, "{text}");
            assert_eq!(head.object.map(|at| lexemes[at].text(text)), object, "{text}");
        }
    }

    #[test]
    fn statements_inside_others_are_found() {
        let cases = [
            ("EXPLAIN SELECT 1", Some("SELECT"), None),
            ("EXPLAIN ANALYZE VERBOSE SELECT 1", Some("SELECT"), None),
            ("EXPLAIN (ANALYZE, FORMAT json) UPDATE t SET a = 1", Some("UPDATE"), None),
            ("EXPLAIN (SELECT 1)", Some("("), None),
            ("EXPLAIN EXECUTE p('x')", Some("EXECUTE"), Some("p")),
            ("EXPLAIN CREATE TABLE x AS EXECUTE p", Some("CREATE"), Some("p")),
            ("CREATE TEMP TABLE x (a) WITH (fillfactor = 70) AS EXECUTE p('y')", None, Some("p")),
            ("PREPARE p (int) AS SELECT $1", Some("SELECT"), None),
            ("DECLARE c BINARY SCROLL CURSOR WITH HOLD FOR SELECT 1", Some("SELECT"), None),
            ("COPY (SELECT 1) TO STDOUT", Some("SELECT"), None),
            ("EXPLAIN", None, None),
        ];
        for (text, inner, executes) in cases {
            let (head, lexemes) = classified(text);
            assert_eq!(head.inner.map(|at| lexemes[at].text(text)), inner, "{text}");
            assert_eq!(head.executes.map(|at| lexemes[at].text(text)), executes, "{text}");
        }
    }

    #[test]
    fn maintenance_may_name_protected_relations() {
        let cases = [
            ("VACUUM FULL users", true),
            ("VACUUM (PARALLEL 2) users (a, b)", true),
            ("ANALYZE users", true),
            ("REINDEX TABLE CONCURRENTLY users", true),
            ("CLUSTER users USING users_pkey", true),
            ("LOCK TABLE users IN SHARE MODE", true),
            ("TRUNCATE users, orders CASCADE", true),
            ("GRANT SELECT (email) ON users TO u WITH GRANT OPTION", true),
            ("REVOKE ALL ON users FROM PUBLIC", true),
            ("COMMENT ON COLUMN users.email IS 'an address'", true),
            ("COMMENT ON TABLE users IS NULL", true),
            ("COMMENT ON TABLE users IS 'a' || 'b'", false),
            ("CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()", true),
            (
                "CREATE OR REPLACE CONSTRAINT TRIGGER t AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()",
                true,
            ),
            ("CREATE TRIGGER t BEFORE INSERT ON users WHEN (NEW.a = 'x') EXECUTE FUNCTION f()", false),
            ("CREATE TRIGGER t BEFORE INSERT ON users EXECUTE FUNCTION f('x')", false),
            ("ALTER TABLE users OWNER TO u", true),
            ("ALTER TABLE IF EXISTS ONLY public.users ENABLE ROW LEVEL SECURITY, DISABLE TRIGGER ALL", true),
            ("ALTER MATERIALIZED VIEW v OWNER TO u", true),
            ("ALTER TABLE users OWNER TO u, ALTER email TYPE text", false),
            ("ALTER TABLE users ALTER email SET DEFAULT 'x'", false),
            ("ALTER TABLE users SET SCHEMA other", false),
            ("ALTER TABLE users RENAME TO people", false),
            ("ALTER TABLE users", false),
            ("CREATE TABLE users (a int)", false),
            ("REFRESH MATERIALIZED VIEW CONCURRENTLY users", true),
            ("SELECT * FROM users", false),
        ];
        for (text, expected) in cases {
            assert_eq!(classified(text).0.administrative, expected, "{text}");
        }
    }

    #[test]
    fn effects_are_known_or_everything() {
        let path = Effects::SEARCH_PATH;
        let settings = Effects { settings: true, ..Effects::NONE };
        let cases = [
            ("BEGIN", Effects::NONE),
            ("COMMIT", Effects::TRANSACTION_END),
            ("ROLLBACK TO a", Effects::TRANSACTION_END),
            ("SAVEPOINT a", Effects::NONE),
            ("SET search_path = x", path),
            ("SET LOCAL \"search_path\" = x", Effects { settings: true, ..path }),
            ("SET SCHEMA 'x'", path),
            ("SET ROLE x", path),
            ("SET SESSION AUTHORIZATION x", path),
            ("SET LOCAL SESSION AUTHORIZATION x", path),
            ("RESET SESSION AUTHORIZATION", path),
            ("RESET ALL", Effects { settings: true, ..path }),
            ("SET bytea_output = 'escape'", settings),
            ("SET SESSION extra_float_digits TO 3", settings),
            ("SET statement_timeout = 0", Effects::NONE),
            ("SET TIME ZONE 'UTC'", Effects { settings: true, ..Effects::NONE }),
            ("SET LOCAL DateStyle = german", Effects { settings: true, ..Effects::NONE }),
            ("SET NAMES 'UTF8'", Effects { settings: true, ..Effects::NONE }),
            ("SET statement_timeout = 0", Effects::NONE),
            ("DISCARD PLANS", Effects::NONE),
            ("DISCARD ALL", Effects { transaction_end: false, ..Effects::UNKNOWN }),
            ("PREPARE p AS SELECT 1", Effects { prepared: true, ..Effects::NONE }),
            ("DECLARE c CURSOR FOR SELECT 1", Effects::UNKNOWN),
            ("DEALLOCATE p", Effects { prepared: true, ..Effects::NONE }),
            ("CREATE INDEX ON t (a)", Effects::CATALOG),
            ("CREATE TABLE t AS SELECT f()", Effects::UNKNOWN),
            ("CREATE EXTENSION x", Effects::UNKNOWN),
            ("CREATE VIEW v AS SELECT f()", Effects::CATALOG),
            ("DROP SCHEMA s", Effects::CATALOG),
            ("VACUUM t", Effects::NONE),
            ("GRANT a TO b", path),
            ("DO $$ $$", Effects::UNKNOWN),
            ("SELECT set_config('a', 'b', false)", Effects::UNKNOWN),
            ("EXPLAIN EXECUTE p", Effects::UNKNOWN),
            ("LOAD 'x'", Effects::UNKNOWN),
            ("frobnicate", Effects::UNKNOWN),
            ("", Effects::UNKNOWN),
        ];
        for (text, effects) in cases {
            assert_eq!(classified(text).0.effects, effects, "{text}");
        }
    }
}
