//! The statements that an application runs, as files and logs hold them.
//!
//! Four forms are told apart by their first lines: statements separated by `;`, PostgreSQL's log on standard error
//! (with any `log_line_prefix`), its csvlog, and objects in JSON, one a line (its jsonlog, or `query` and `calls`).

use std::collections::HashMap;

use crate::sql::lex;

/// A text that reaches the server, and how often it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Sent {
    /// The text.
    pub(in crate::cli) text: String,
    /// How it came.
    pub(in crate::cli) way: Way,
    /// How often.
    pub(in crate::cli) calls: u64,
}

/// How a text reaches the server, and what is known of its constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::cli) enum Way {
    /// By Query.
    Query,
    /// By Parse.
    Parse,
    /// Either; its constants were replaced by parameters, as pg_stat_statements does.
    Normalized,
}

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Queries {
    /// The texts, each once, in the order in which they were first seen.
    pub(in crate::cli) sent: Vec<Sent>,
    /// Where a file of statements stops being one: the line, and why.
    pub(in crate::cli) unread: Option<(usize, String)>,
}

/// Reads a file or a log. Of a log that tells databases apart, entries of others than `database` are left out.
pub(in crate::cli) fn read(text: &str, database: &str) -> Queries {
    let mut texts = Texts::default();
    let mut unread = None;
    match form(text) {
        Form::Statements => unread = statements(text, &mut texts),
        Form::Log => log(text, &mut texts),
        Form::Csv => csv(text, database, &mut texts),
        Form::Json => json(text, database, &mut texts),
    }
    Queries { sent: texts.list, unread }
}

/// Texts counted together.
#[derive(Debug, Default)]
pub(in crate::cli) struct Texts {
    list: Vec<Sent>,
    known: HashMap<(String, Way), usize>,
}

impl Texts {
    /// Counts a text.
    pub(in crate::cli) fn add(&mut self, text: &str, way: Way, calls: u64) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let known = *self.known.entry((text.to_owned(), way)).or_insert(self.list.len());
        match self.list.get_mut(known) {
            Some(sent) => sent.calls = sent.calls.saturating_add(calls),
            None => self.list.push(Sent { text: text.to_owned(), way, calls }),
        }
    }

    /// The texts, in the order in which they were first seen.
    pub(in crate::cli) fn list(&self) -> &[Sent] {
        &self.list
    }
}

enum Form {
    Statements,
    Log,
    Csv,
    Json,
}

/// Lines that are looked at to tell what a file is.
const FIRST_LINES: usize = 1000;

fn form(text: &str) -> Form {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(first).is_ok() {
        return Form::Json;
    }
    if Records(text).next().is_some_and(|record| is_csv_entry(&record)) {
        return Form::Csv;
    }
    if text.lines().take(FIRST_LINES).any(|line| message(line).is_some()) {
        Form::Log
    } else {
        Form::Statements
    }
}

/// A file of statements. psql's own commands and the data below COPY FROM STDIN are left out.
fn statements(text: &str, texts: &mut Texts) -> Option<(usize, String)> {
    let text = without_psql(text);
    let (readable, unread) = match lex::tokenize(&text) {
        Ok(_) => (text.as_str(), None),
        Err(error) => {
            let before = text.get(..error.at).unwrap_or_default();
            (before, Some((before.lines().count().max(1), error.kind.to_string())))
        }
    };
    let lexemes = lex::tokenize(readable).unwrap_or_default();
    let ranges = lex::split(readable, &lexemes);
    for (number, range) in ranges.iter().enumerate() {
        let is_cut = unread.is_some() && number + 1 == ranges.len();
        let statement = lexemes.get(range.clone()).unwrap_or_default();
        let (Some(first), Some(last)) = (statement.first(), statement.last()) else { continue };
        let has_parameters =
            statement.iter().any(|lexeme| matches!(lexeme.kind, lex::LexemeKind::Parameter(_)));
        let way = if has_parameters { Way::Parse } else { Way::Query };
        if !is_cut {
            texts.add(readable.get(first.start..last.end).unwrap_or_default(), way, 1);
        }
    }
    unread
}

/// The lines that go to the server as statements; others are left empty, so that lines keep their numbers.
fn without_psql(text: &str) -> String {
    let mut is_data = false;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let lower = line.trim().to_ascii_lowercase();
        if is_data {
            is_data = lower != "\\.";
        } else if !line.starts_with('\\') {
            is_data = lower.starts_with("copy ") && lower.contains(" from stdin") && lower.ends_with(';');
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

/// PostgreSQL's log as lines of text. A message goes on in lines that begin with a tab.
///
/// <https://www.postgresql.org/docs/current/runtime-config-logging.html>
fn log(text: &str, texts: &mut Texts) {
    let mut open: Option<(String, Way)> = None;
    for line in text.lines() {
        if let (Some(more), Some((statement, _))) = (line.strip_prefix('\t'), &mut open) {
            statement.push('\n');
            statement.push_str(more);
            continue;
        }
        if let Some((statement, way)) = open.take() {
            texts.add(&statement, way, 1);
        }
        open = message(line).and_then(statement_of).map(|(statement, way)| (statement.to_owned(), way));
    }
    if let Some((statement, way)) = open {
        texts.add(&statement, way, 1);
    }
}

/// The message of a log line that holds a statement, behind whatever prefix it has.
fn message(line: &str) -> Option<&str> {
    let (_, message) = line.split_once("LOG:  ")?;
    statement_of(message).map(|_| message)
}

/// The statement in a message of `log_statement` or `log_min_duration_statement`. Parse and Bind have messages of
/// their own, which are not executions.
fn statement_of(message: &str) -> Option<(&str, Way)> {
    let message = match message.strip_prefix("duration: ") {
        Some(timed) => timed.split_once(" ms  ")?.1,
        None => message,
    };
    if let Some(statement) = message.strip_prefix("statement: ") {
        return Some((statement, Way::Query));
    }
    let (name, statement) = message.strip_prefix("execute ")?.split_once(": ")?;
    // A portal that is fetched from again.
    (!name.starts_with("fetch from ")).then_some((statement, Way::Parse))
}

/// PostgreSQL's csvlog: the database is the third field, the message the fourteenth.
///
/// <https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-CSVLOG>
fn csv(text: &str, database: &str, texts: &mut Texts) {
    for record in Records(text) {
        let field = |index: usize| record.get(index).map(String::as_str).unwrap_or_default();
        if is_csv_entry(&record)
            && field(2) == database
            && let Some((statement, way)) = statement_of(field(13))
        {
            texts.add(statement, way, 1);
        }
    }
}

fn is_csv_entry(record: &[String]) -> bool {
    // 22 fields in the oldest version, 26 from version 14 on; the first is a time.
    record.len() >= 22 && record.first().is_some_and(|time| time.starts_with(|c: char| c.is_ascii_digit()))
}

/// The records of a CSV file.
struct Records<'a>(&'a str);

impl Iterator for Records<'_> {
    type Item = Vec<String>;

    fn next(&mut self) -> Option<Vec<String>> {
        if self.0.is_empty() {
            return None;
        }
        let (mut fields, mut field, mut is_quoted) = (Vec::new(), String::new(), false);
        let mut chars = self.0.char_indices().peekable();
        let mut end = self.0.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' if is_quoted && chars.next_if(|(_, next)| *next == '"').is_some() => field.push('"'),
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
                '\n' if !is_quoted => {
                    end = at + 1;
                    break;
                }
                c => field.push(c),
            }
        }
        fields.push(field);
        self.0 = self.0.get(end..).unwrap_or_default();
        Some(fields)
    }
}

/// An object a line: PostgreSQL's jsonlog, or `query` (with `calls`) as a monitoring view gives it.
fn json(text: &str, database: &str, texts: &mut Texts) {
    #[derive(serde::Deserialize)]
    struct Line {
        message: Option<String>,
        dbname: Option<String>,
        query: Option<String>,
        calls: Option<u64>,
    }
    for line in text.lines() {
        let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
        if line.dbname.is_some_and(|name| name != database) {
            continue;
        }
        match (&line.query, line.message.as_deref().and_then(statement_of)) {
            (_, Some((statement, way))) => texts.add(statement, way, 1),
            (Some(query), None) => texts.add(query, Way::Normalized, line.calls.unwrap_or(1)),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let queries = read(text, "app");
        queries.sent.iter().map(|sent| format!("{} {:?} {}", sent.calls, sent.way, sent.text)).collect()
    }

    #[test]
    fn statements_of_a_file_are_counted() {
        let text = "-- what we run\nSELECT 1;\nSELECT 2 -- x\n; SELECT 1;";
        assert_eq!(shown(text), ["2 Query SELECT 1", "1 Query SELECT 2"]);
        assert_eq!(shown("SELECT 1;\n\\timing on\nSELECT $1;;"), ["1 Query SELECT 1", "1 Parse SELECT $1"]);
        let dump = "COPY t (a) FROM stdin;\n1\t'x\n\\.\nSELECT 1;\nSELECT 1";
        assert_eq!(shown(dump), ["1 Query COPY t (a) FROM stdin", "2 Query SELECT 1"]);
        assert_eq!(shown(" \n"), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_of_a_file_is_told_by_its_line() {
        let queries = read("SELECT 1;\nSELECT 'a';\nSELECT 'b, 2;\nSELECT 3;", "app");
        assert_eq!(queries.sent.len(), 2);
        assert_eq!(queries.unread, Some((3, "unterminated string".to_owned())));
    }

    #[test]
    fn log_lines_give_what_was_executed() {
        let log = "2026-01-02 03:04:05.678 UTC [71] me@app LOG:  statement: SELECT id\n\
             \t  FROM users\n\
             \tWHERE email = 'x'\n\
             2026-01-02 03:04:05.678 UTC [71] me@app LOG:  duration: 0.071 ms\n\
             [71] LOG:  duration: 0.1 ms  parse <unnamed>: SELECT $1\n\
             [71] LOG:  duration: 0.1 ms  bind <unnamed>: SELECT $1\n\
             [71] DETAIL:  parameters: $1 = 'secret'\n\
             [71] LOG:  duration: 0.1 ms  execute <unnamed>: SELECT $1\n\
             [71] DETAIL:  parameters: $1 = 'secret'\n\
             [71] LOG:  execute s1/p: SELECT $1\n\
             [71] LOG:  execute fetch from s1/p: SELECT $1\n\
             [71] ERROR:  syntax error at or near \"x\"\n\
             [71] STATEMENT:  x\n\
             [71] LOG:  checkpoint starting: time\n";
        assert_eq!(shown(log), ["1 Query SELECT id\n  FROM users\nWHERE email = 'x'", "2 Parse SELECT $1"]);
    }

    #[test]
    fn csvlog_is_read_for_one_database() {
        let entry = |database: &str, message: &str| {
            format!(
                "2026-01-02 03:04:05.678 UTC,\"me\",\"{database}\",71,\"[local]\",65a.47,1,\"SELECT\",2026-01-02 \
                 03:04:05 UTC,3/2,0,LOG,00000,\"{message}\",,,,,,,,,\"psql\",\"client backend\",,0\n"
            )
        };
        let log = entry("app", "statement: SELECT \"\"a\"\",\n'b, c'")
            + &entry("other", "statement: SELECT 2")
            + &entry("app", "duration: 1.5 ms  execute <unnamed>: SELECT 3");
        assert_eq!(shown(&log), ["1 Query SELECT \"a\",\n'b, c'", "1 Parse SELECT 3"]);
    }

    #[test]
    fn lines_of_json_are_entries_of_a_log_or_counted_queries() {
        let lines = r#"{"dbname":"app","error_severity":"LOG","message":"statement: SELECT 1"}
{"dbname":"other","message":"statement: SELECT 2"}
{"message":"checkpoint starting: time"}
{"query":"SELECT $1","calls":42}
{"query":"SELECT $1"}"#;
        assert_eq!(shown(lines), ["1 Query SELECT 1", "43 Normalized SELECT $1"]);
    }
}
