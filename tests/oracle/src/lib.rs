//! What PostgreSQL's own grammar says about a text, and the texts to ask it about.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

/// A text that PostgreSQL parses, and its trees.
pub struct Accepted {
    /// Where it comes from.
    pub source: String,
    /// The text.
    pub text: String,
    /// The trees of its statements.
    pub statements: Vec<Judged>,
}

/// One statement in PostgreSQL's eyes.
pub struct Judged {
    /// Its bytes, white space before it included.
    pub range: std::ops::Range<usize>,
    /// Its tree.
    pub tree: Json,
}

impl Judged {
    /// The kind of statement: `SelectStmt`.
    pub fn kind(&self) -> &str {
        self.tree["node"].as_object().and_then(|node| node.keys().next()).map_or("", String::as_str)
    }
}

/// Parses a text as PostgreSQL does.
pub fn judge(source: &str, text: &str) -> Option<Accepted> {
    let parsed = pg_query::parse(text, pg_query::ParserOptions::DEFAULT).ok()?;
    let statements = parsed
        .protobuf
        .stmts
        .iter()
        .map(|raw| {
            let start = usize::try_from(raw.stmt_location).unwrap();
            let len = usize::try_from(raw.stmt_len).unwrap();
            let end = if len == 0 { text.len() } else { start + len };
            Judged { range: start..end, tree: serde_json::to_value(&raw.stmt).unwrap() }
        })
        .collect();
    Some(Accepted { source: source.to_owned(), text: text.to_owned(), statements })
}

/// All texts: our own corpus and PostgreSQL's regression SQL, refused ones included.
pub fn texts() -> Vec<(String, String)> {
    let mut texts = corpus();
    for file in regress_files() {
        let script = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        texts.extend(statements_of_script(&script).into_iter().map(|text| (name.clone(), text)));
    }
    texts
}

/// The corpus of this package: texts between lines of `%%`.
pub fn corpus() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut texts = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let content = std::fs::read_to_string(&file).unwrap();
        texts.extend(content.split("\n%%\n").map(|text| (name.clone(), text.to_owned())));
    }
    texts
}

/// PostgreSQL's regression SQL: in the folder `PGSEAL_REGRESS`, or fetched once.
fn regress_files() -> Vec<PathBuf> {
    let folder = std::env::var_os("PGSEAL_REGRESS").map_or_else(fetch, PathBuf::from);
    let mut found = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "sql") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 150, "only {} files of regression SQL", found.len());
    found
}

fn fetch() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = package.join("target/regress");
    let script = Command::new("bash").arg(package.join("regress.sh")).arg(&folder).output().unwrap();
    assert!(script.status.success(), "regress.sh: {}", String::from_utf8_lossy(&script.stderr));
    folder
}

/// Cuts a script of psql's into texts, about one statement each; its own commands and data are left out.
fn statements_of_script(script: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut text = String::new();
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        let command = line.trim_start();
        if command.starts_with('\\') && text.trim().is_empty() {
            continue;
        }
        // `SELECT 1 \gset` sends what stands before the command.
        let sent = ["\\g", "\\crosstabview", "\\watch", "\\bind"].iter().find_map(|c| line.find(c));
        let line = sent.map_or(line, |at| &line[..at]);
        text.push_str(&without_variables(line));
        text.push('\n');
        let bare = line.split("--").next().unwrap_or("").trim_end();
        let complete = sent.is_some() || bare.ends_with(';') || bare.ends_with("\\;");
        if !complete || !is_whole(&text) {
            if text.len() > 200_000 {
                text.clear();
            }
            continue;
        }
        let lower = bare.to_ascii_lowercase();
        if lower.contains("copy") && lower.contains("from stdin") {
            lines.by_ref().find(|line| *line == "\\.");
        }
        texts.push(std::mem::take(&mut text).replace("\\;", ";"));
    }
    texts.push(text);
    texts
}

/// True unless a string, a comment or the body of a function goes on.
fn is_whole(text: &str) -> bool {
    if pg_query::scan(&text.replace("\\;", ";")).is_err() {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    !lower.contains("begin atomic")
        || pg_query::parse(text, pg_query::ParserOptions::DEFAULT).is_ok()
        || lower.trim_end().ends_with("end;")
}

/// psql's variables (`:x`, `:'x'`, `:"x"`) replaced by something of their kind.
fn without_variables(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(':') {
        let (before, behind) = rest.split_at(at);
        out.push_str(before);
        let name = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').count();
        let first = behind[1..].chars().next();
        let quoted = first
            .filter(|c| matches!(c, '\'' | '"'))
            .filter(|c| behind[2 + name(&behind[2..])..].starts_with(*c));
        if behind.starts_with("::") || behind.starts_with(":=") {
            out.push_str(&behind[..2]);
            rest = &behind[2..];
        } else if let Some(quote) = quoted.filter(|_| name(&behind[2..]) > 0) {
            out.push_str(&format!("{quote}v{quote}"));
            rest = &behind[3 + name(&behind[2..])..];
        } else if first.is_some_and(|c| c.is_ascii_alphabetic()) && !before.ends_with(['[', '\'']) {
            out.push('v');
            rest = &behind[1 + name(&behind[1..])..];
        } else {
            out.push(':');
            rest = &behind[1..];
        }
    }
    out + rest
}

/// Calls `visit` for every object of a tree, outer ones first; those of type modifiers, array bounds and
/// locking clauses (which name aliases) are left out.
pub fn walk<'a>(tree: &'a Json, visit: &mut dyn FnMut(&'a serde_json::Map<String, Json>)) {
    match tree {
        Json::Object(fields) => {
            visit(fields);
            let fields = fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "typmods" | "array_bounds" | "locked_rels"));
            fields.for_each(|(_, field)| walk(field, visit));
        }
        Json::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}
