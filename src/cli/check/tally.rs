//! What becomes of statements under a policy, counted.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::queries::{Sent, Way};
use crate::catalog::SessionFacts;
use crate::error::ClientFacing;
use crate::sql::lex::{self, LexemeKind};
use crate::sql::normalized::shape;
use crate::sql::{
    self, Arrival, Context, Cursor, Meaning, NameChange, NamedStatement, Names, Reason, Refusal, Schema,
    Verdict,
};

/// What becomes of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Outcome {
    /// It goes to the server byte for byte.
    Forwarded,
    /// It works, its constants encrypted and its results decrypted.
    Rewritten,
    /// It names what this database does not have, so what would become of it is not known.
    Unknown(String),
    /// It is refused.
    Refused(Refused),
}

/// Why a text is refused, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Refused {
    /// The kind of reason, in a few fixed words.
    pub(in crate::cli) reason: &'static str,
    /// The message that the client gets.
    pub(in crate::cli) message: String,
    /// Its SQLSTATE.
    pub(in crate::cli) code: String,
    /// The encrypted column, where it is about one.
    pub(in crate::cli) column: Option<String>,
    /// What in the statement it is about.
    pub(in crate::cli) construct: Option<String>,
    /// The way out.
    pub(in crate::cli) hint: Option<String>,
}

/// Statements of one shape and one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Line {
    pub(in crate::cli) statement: String,
    pub(in crate::cli) calls: u64,
    pub(in crate::cli) outcome: Outcome,
}

/// What is analysed under.
pub(in crate::cli) struct Judge<'a> {
    schema: &'a Schema,
    /// The same without what stands in the way of all statements on a table.
    unblocked: Option<&'a Schema>,
    facts: &'a SessionFacts,
    given: RefCell<Given>,
}

/// Names that PREPARE and DECLARE have given in the texts so far. They stay: texts come without their sessions, and
/// each but once.
#[derive(Default)]
struct Given {
    statements: HashMap<String, NamedStatement>,
    cursors: HashMap<String, Cursor>,
    /// Names that a refused PREPARE or DECLARE would have given.
    void: HashSet<String>,
}

/// Gives each text its outcome and counts those of one shape and outcome together, most called first.
pub(in crate::cli) fn tally(sent: &[Sent], judge: &Judge<'_>) -> Vec<Line> {
    let mut lines: BTreeMap<(String, Outcome), Line> = BTreeMap::new();
    for Sent { text, way, calls } in sent {
        let outcome = match judge.verdict(text, *way) {
            Verdict::Forward(untouched) if untouched.unresolved => {
                Outcome::Unknown("it names a relation that this database does not have".to_owned())
            }
            Verdict::Forward(_) => Outcome::Forwarded,
            Verdict::Rewrite(_) => Outcome::Rewritten,
            Verdict::Refuse(refusal) => refused(&refusal),
        };
        let shape = shape(text);
        let line = lines.entry((shape.key, outcome.clone())).or_insert(Line {
            statement: shape.shown,
            calls: 0,
            outcome,
        });
        line.calls = line.calls.saturating_add(*calls);
    }
    let mut lines: Vec<Line> = lines.into_values().collect();
    lines.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.statement.cmp(&b.statement)));
    lines
}

impl<'a> Judge<'a> {
    pub(in crate::cli) fn new(schema: &'a Schema, facts: &'a SessionFacts) -> Self {
        Self { schema, unblocked: None, facts, given: RefCell::default() }
    }

    /// Where something stands in the way of all statements on a table, they are told of by what `schema`, which has
    /// nothing of the kind, has against them; if that is nothing, by what stands in the way.
    pub(in crate::cli) fn beyond_what_blocks(self, schema: &'a Schema) -> Self {
        Self { unblocked: Some(schema), ..self }
    }

    /// What the proxy would do with a text that comes behind those before.
    pub(in crate::cli) fn verdict(&self, text: &str, way: Way) -> Verdict {
        let verdict = self.analyzed(text, way);
        let changes = match &verdict {
            Verdict::Forward(untouched) => untouched.names.as_slice(),
            Verdict::Rewrite(plan) => plan.names.as_slice(),
            Verdict::Refuse(_) => {
                self.given.borrow_mut().void.extend(names_given(text));
                &[]
            }
        };
        for (_, change) in changes {
            let mut given = self.given.borrow_mut();
            match change {
                NameChange::Prepared(name, statement) => {
                    given.statements.insert(name.clone(), statement.clone());
                }
                NameChange::Declared(name, cursor) => {
                    given.cursors.insert(name.clone(), cursor.clone());
                }
                NameChange::Deallocated(_) | NameChange::Closed(_) | NameChange::Discarded => {}
            }
        }
        verdict
    }

    fn analyzed(&self, text: &str, way: Way) -> Verdict {
        let verdict = self.analyzed_under(self.schema, text, way);
        match (&verdict, self.unblocked) {
            (Verdict::Refuse(refusal), Some(unblocked))
                if matches!(*refusal.reason, Reason::Blocked { .. } | Reason::WritesBlocked { .. }) =>
            {
                match self.analyzed_under(unblocked, text, way) {
                    own @ Verdict::Refuse(_) => own,
                    Verdict::Forward(_) | Verdict::Rewrite(_) => verdict,
                }
            }
            (Verdict::Refuse(_) | Verdict::Forward(_) | Verdict::Rewrite(_), _) => verdict,
        }
    }

    fn analyzed_under(&self, schema: &Schema, text: &str, way: Way) -> Verdict {
        let context = Context {
            schema,
            search_path: &self.facts.schemas,
            standard_conforming_strings: true,
            utf8: true,
            names: self,
        };
        let arrival = match way {
            Way::Query => Arrival::Query,
            Way::Parse | Way::Normalized => Arrival::Parse { declared: &[] },
        };
        match (way, denormalized(text)) {
            (Way::Normalized, Some(text)) => sql::analyze(&text, arrival, &context),
            (Way::Normalized | Way::Query | Way::Parse, _) => sql::analyze(text, arrival, &context),
        }
    }
}

impl Names for Judge<'_> {
    fn statement(&self, name: &str) -> Meaning<NamedStatement> {
        let given = self.given.borrow();
        given.statements.get(name).cloned().map_or_else(|| given.unknown(name), Meaning::Is)
    }

    fn cursor(&self, name: &str) -> Meaning<Cursor> {
        let given = self.given.borrow();
        given.cursors.get(name).cloned().map_or_else(|| given.unknown(name), Meaning::Is)
    }
}

impl Given {
    fn unknown<T>(&self, name: &str) -> Meaning<T> {
        if self.void.contains(name) { Meaning::Void } else { Meaning::Unknown }
    }
}

/// The names that PREPARE and DECLARE give in a text.
fn names_given(text: &str) -> Vec<String> {
    let lexemes = lex::tokenize(text).unwrap_or_default();
    let statements = lex::split(text, &lexemes);
    let given = statements.into_iter().filter_map(|range| {
        let (first, name) = (lexemes.get(range.start)?, lexemes.get(range.start + 1)?);
        let gives = first.is_word(text, "prepare") || first.is_word(text, "declare");
        gives.then(|| lex::identifier(name, text)).flatten()
    });
    given.collect()
}

fn refused(refusal: &Refusal) -> Outcome {
    let error = refusal.client_error();
    match *refusal.reason {
        Reason::UndefinedColumn { .. }
        | Reason::UndefinedTable { .. }
        | Reason::UndefinedAlias { .. }
        | Reason::AmbiguousColumn { .. } => Outcome::Unknown(error.message.into_owned()),
        _ => {
            let (column, construct) = refusal.about();
            Outcome::Refused(Refused {
                reason: refusal.label(),
                message: error.message.into_owned(),
                code: error.code.to_string(),
                column: column.map(ToString::to_string),
                construct,
                hint: error.hint,
            })
        }
    }
}

/// A text of pg_stat_statements with constants where the grammar wants some: it writes `interval '1 day'` as
/// `interval $1`, and `extract(year FROM x)` as `extract($1 FROM x)`. `None` if there is nothing of the kind.
fn denormalized(text: &str) -> Option<String> {
    const TYPES: [&str; 9] =
        ["interval", "date", "time", "timestamp", "timestamptz", "zone", "uuid", "inet", "jsonb"];
    let lexemes = lex::tokenize(text).ok()?;
    let mut out = String::new();
    let mut copied = 0;
    for (index, lexeme) in lexemes.iter().enumerate() {
        let before = |back: usize| index.checked_sub(back).and_then(|index| lexemes.get(index));
        let is_before =
            |back: usize, word: &str| before(back).is_some_and(|lexeme| lexeme.is_word(text, word));
        // `AT TIME ZONE $1` is no type.
        let is_type = TYPES.iter().any(|ty| is_before(1, ty))
            && !(is_before(1, "zone") && is_before(2, "time") && is_before(3, "at"));
        let is_field = before(1).is_some_and(|lexeme| lexeme.is_symbol(b'(')) && is_before(2, "extract");
        let constant = match lexeme.kind {
            LexemeKind::Parameter(_) if is_type => "''",
            LexemeKind::Parameter(_) if is_field => "epoch",
            _ => continue,
        };
        out.push_str(text.get(copied..lexeme.start)?);
        out.push_str(constant);
        copied = lexeme.end;
    }
    out.push_str(text.get(copied..)?);
    (copied > 0).then_some(out)
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use super::*;
    use crate::catalog::{Catalog, Loader, QUERIES};
    use crate::policy::Policy;

    const POLICY: &str = r#"version = 1
[table."public.users"]
email = { type = "text", mode = "deterministic" }
born = { type = "date", mode = "deterministic" }
ssn = { type = "text" }"#;

    /// Plaintext tables, as they are before anything is encrypted.
    const ROWS: &str = "
        relations: 10|public|users|r|~
        columns: 10|1|id|23|-1|t|f|f|~|f
        columns: 10|2|email|1043|84|t|f|f|~|f
        columns: 10|3|born|1082|-1|f|f|f|~|f
        columns: 10|4|ssn|25|-1|f|f|f|~|f
        columns: 10|5|bio|25|-1|f|f|f|~|f
        relations: 11|public|orders|r|~
        columns: 11|1|id|23|-1|t|f|f|~|f";

    /// A catalog from rows: `query name: a|b|c`, `~` for NULL.
    pub(in crate::cli) fn catalog(rows: &str) -> Catalog {
        let mut loader = Loader::new();
        loader.row(0, &[Some(&b"app"[..]), Some(&b"150000"[..])]).unwrap();
        for line in rows.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, row) = line.split_once(": ").unwrap();
            let query = QUERIES.iter().position(|query| query.name == name).unwrap();
            let fields: Vec<_> = row.split('|').map(|f| (f != "~").then_some(f.as_bytes())).collect();
            loader.row(query, &fields).unwrap();
        }
        loader.finish().unwrap()
    }

    pub(in crate::cli) fn facts() -> SessionFacts {
        SessionFacts {
            schemas: vec!["pg_catalog".to_owned(), "public".to_owned()],
            search_path: "public".to_owned(),
            database: "app".to_owned(),
            server_version: 150_000,
            temporary_schema: None,
            settings: Vec::new(),
        }
    }

    /// The lines of some texts, each called as often as the number before it says.
    pub(in crate::cli) fn tallied(way: Way, texts: &[(u64, &str)]) -> Vec<Line> {
        let policy = Policy::parse(POLICY, "p").unwrap();
        let (schema, problems) = Schema::build(&policy, &catalog(ROWS).once_encrypted(&policy));
        assert_eq!(problems, []);
        let sent: Vec<_> =
            texts.iter().map(|(calls, text)| Sent { text: (*text).to_owned(), way, calls: *calls }).collect();
        tally(&sent, &Judge::new(&schema, &facts()))
    }

    #[test]
    fn a_statement_on_a_blocked_table_is_told_of_by_its_own_reason() {
        let policy = Policy::parse(POLICY, "p").unwrap();
        let rows = format!("{ROWS}\ndependents: 10|check|no_at|{{2}}|(position(email, '@') = 0)|~|~");
        let planned = catalog(&rows).once_encrypted(&policy);
        let (schema, _) = Schema::build(&policy, &planned);
        let (unblocked, problems) = Schema::build(&policy, &planned.without_dependents());
        assert_eq!(problems, []);
        let sent =
            ["INSERT INTO users (email) VALUES ('a')", "INSERT INTO users (email) VALUES (lower('A'))"];
        let sent = sent.map(|text| Sent { text: text.to_owned(), way: Way::Query, calls: 1 });
        let facts = facts();
        let judge = Judge::new(&schema, &facts).beyond_what_blocks(&unblocked);
        let reasons = tally(&sent, &judge).into_iter().map(|line| match line.outcome {
            Outcome::Refused(refused) => refused.reason,
            other => panic!("{other:?}"),
        });
        assert_eq!(reasons.collect::<Vec<_>>(), ["writes blocked", "plain stored"]);
    }

    fn shown(way: Way, texts: &[(u64, &str)]) -> Vec<String> {
        let line = |line: Line| {
            let outcome = match line.outcome {
                Outcome::Forwarded => "forwarded".to_owned(),
                Outcome::Rewritten => "rewritten".to_owned(),
                Outcome::Unknown(why) => format!("unknown: {why}"),
                Outcome::Refused(refused) => format!("{}: {}", refused.reason, refused.message),
            };
            format!("{} {} | {outcome}", line.calls, line.statement)
        };
        tallied(way, texts).into_iter().map(line).collect()
    }

    #[test]
    fn statements_are_judged_as_if_everything_were_encrypted() {
        let lines = shown(
            Way::Query,
            &[
                (1, "SELECT id FROM users WHERE email = 'ada'"),
                (2, "select id from users where email = 'bob' -- again"),
                (1, "SELECT id FROM users WHERE email = 5 + 5"),
                (9, "SELECT id FROM orders"),
                (4, "SELECT id FROM users WHERE lower(email) = 'x'"),
                (3, "SELECT ssn FROM users WHERE ssn = 'x'"),
                (2, "SELECT nope FROM users"),
                (1, "SELECT * FROM nowhere"),
            ],
        );
        let wanted = [
            "9 SELECT id FROM orders | forwarded",
            "4 SELECT id FROM users WHERE lower(email) = ? | function: function lower cannot be carried out on \
             encrypted column public.users.email",
            "3 SELECT id FROM users WHERE email = ? | rewritten",
            "3 SELECT ssn FROM users WHERE ssn = ? | not comparable: column public.users.ssn is encrypted as \
             randomized, so operator = cannot be carried out on it",
            "2 SELECT nope FROM users | unknown: column \"nope\" does not exist",
            "1 SELECT * FROM nowhere | unknown: it names a relation that this database does not have",
            "1 SELECT id FROM users WHERE email = ? + ? | meets plain: column public.users.email is encrypted, so it \
             cannot meet an expression that is not in operator =",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn texts_of_pg_stat_statements_are_read_although_they_are_no_sql() {
        let lines = shown(
            Way::Normalized,
            &[
                (3, "SELECT id FROM users WHERE email = $1 AND now() > now() - interval $2"),
                (2, "SELECT extract($1 FROM now()), email FROM users LIMIT $2"),
                (2, "SELECT extract($1 FROM now())"),
                (1, "SELECT id FROM users WHERE born = date $1 AND now() AT TIME ZONE $2 IS NOT NULL"),
                (1, "SELECT id FROM users WHERE email IN ($1 /*, ... */)"),
            ],
        );
        let works = |line: &String| line.ends_with("rewritten") || line.ends_with("forwarded");
        assert!(lines.iter().all(works), "{lines:#?}");
    }

    #[test]
    fn a_prepared_name_means_what_it_was_given_for() {
        let lines = shown(
            Way::Query,
            &[
                (1, "PREPARE p AS SELECT id FROM users WHERE email = $1"),
                (5, "EXECUTE p('ada')"),
                (4, "EXECUTE p(lower('ada'))"),
                (2, "DECLARE c CURSOR FOR SELECT ssn FROM users"),
                (3, "FETCH 10 FROM c"),
            ],
        );
        let wanted =
            ["5 EXECUTE p(?) | rewritten", "4 EXECUTE p(lower(?)) | ", "3 FETCH ? FROM c | rewritten"];
        for (line, wanted) in lines.iter().zip(wanted) {
            assert!(line.starts_with(wanted), "{lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.ends_with("lower(?)) | rewritten")), "{lines:#?}");
    }

    #[test]
    fn no_value_is_shown() {
        let texts = [
            "SELECT id FROM users WHERE email LIKE 'secret%'",
            "SELECT id FROM users WHERE ssn = $$secret$$ /* secret */",
            "INSERT INTO users (email) VALUES (lower('secret'))",
            "SELECT 'secret'::date FROM users WHERE email = 'secret'::int",
            "COPY users FROM 'secret'",
            "DO 'secret users'",
            "SELECT 'secret' FROM users WHERE 'secret",
            "UPDATE users SET bio = 'secret', email = 'secret' || email",
        ];
        for text in texts {
            let lines = format!("{:?}", tallied(Way::Query, &[(1, text)]));
            assert!(!lines.contains("secret"), "{text}: {lines}");
        }
    }
}
