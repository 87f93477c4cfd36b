//! The order of the modules: each names only modules above it, so there is no cycle.
//!
//! Source is scanned, not compiled: comments and literals are blanked, then every path that begins with
//! `crate`, `super` or `self` is resolved to the module that it enters.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// From the foundation up.
const ORDER: &[&str] = &[
    "error", "secret", "metrics", //
    "wire", "datum", "crypto", "scram", "policy", "catalog", "config", //
    "keyring", "sql",     //
    "session", //
    "audit",   //
    "net", "jobs", "admin", "cli",
];

/// The crate's own modules that a module may not name although they are above it, and other paths that it
/// may not use: `(module, path, why)`. A path matches what begins with it.
const WALLS: &[(&str, &str, &str)] = &[
    ("sql", "crate::wire", "an analysis knows no messages"),
    ("sql", "crate::keyring", "an analysis knows no keys"),
    ("sql", "crate::secret", "an analysis knows no keys"),
    ("session", "tokio", "a session has no sockets and no timers"),
    ("session", "std::net", "a session has no sockets"),
    ("session", "std::fs", "a session reads no files"),
    ("session", "std::time::SystemTime", "time is an argument"),
    ("session", "SystemTime", "time is an argument"),
    ("session", "Instant::now", "time is an argument"),
    ("session", "std::time::Instant::now", "time is an argument"),
    ("session", "getrandom", "randomness comes from its owner"),
];

/// All that `sql` may use of `crypto`: names of modes, not operations.
const SQL_MAY_USE_OF_CRYPTO: &[&str] = &["crate::crypto::Binding", "crate::crypto::Mode"];

/// Formats are synchronous, and so is knowledge: the runtime lives in the shell.
const SHELL: &[&str] = &["net", "jobs", "admin", "cli"];

#[test]
fn every_module_names_only_modules_above_it() {
    let mut files = Vec::new();
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut Vec::new(), &mut files);
    assert!(files.len() > 10, "src was not found");
    let problems: Vec<String> = files.iter().flat_map(|(module, text)| problems(module, text)).collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn the_checker_finds_each_kind_of_violation() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("datum", "use crate::error::SqlState;", &[]),
        ("datum", "use crate::policy::Policy;", &["crate::policy::Policy"]),
        ("wire", "fn f() { crate::sql::analyze(); }", &["crate::sql::analyze"]),
        ("wire::reader", "use super::super::net;", &["crate::net"]),
        ("wire::reader", "use super::frames; use self::inner::X;", &[]),
        ("wire", "mod tests { use super::*; use super::super::cli; }", &["crate::cli"]),
        ("wire", "mod tests { use super::frames; } use super::session;", &["crate::session"]),
        (
            "keyring",
            "use crate::{error, crypto::{self, seal}, sql::{Plan, Edit}};",
            &["crate::sql::Edit", "crate::sql::Plan"],
        ),
        ("wire", "// use crate::net;\n/* crate::net */ /// crate::net\nconst S: &str = \"crate::net\";", &[]),
        (
            "wire",
            "const S: &str = r#\"crate::net \" \"#; const C: char = '\"'; use crate::cli;",
            &["crate::cli"],
        ),
        ("wire", "fn f<'a>(x: &'a u8) { crate::net::run(x) }", &["crate::net::run"]),
        ("sql", "use crate::crypto::{Binding, Mode};", &[]),
        ("sql::lexer", "use crate::crypto::seal;", &["crate::crypto::seal"]),
        ("sql", "use crate::wire::Reader; use crate::keyring;", &["crate::keyring", "crate::wire::Reader"]),
        ("session", "use std::time::Instant; fn f(now: Instant) {}", &[]),
        ("session", "fn f() { let now = Instant::now(); }", &["Instant::now"]),
        ("session::tests::harness", "fn f() { let now = Instant::now(); }", &[]),
        ("session", "use std::{net::TcpStream, collections};", &["std::net::TcpStream"]),
        (
            "session::rows",
            "async fn f() { tokio::spawn(g()); getrandom::fill(b); }",
            &["getrandom::fill", "tokio::spawn"],
        ),
        ("crypto", "use tokio::sync::Mutex;", &["tokio::sync::Mutex"]),
        ("net", "use tokio::net::TcpStream; use crate::session::Session;", &[]),
        ("surprise", "use crate::error;", &["surprise"]),
    ];
    for (module, text, expected) in cases {
        let found = problems(&module.split("::").map(str::to_owned).collect::<Vec<_>>(), text);
        let paths: Vec<&str> = found.iter().filter_map(|p| p.split('`').nth(1)).collect();
        assert_eq!(&paths, expected, "{module}: {text}\n{found:?}");
    }
}

/// Every source file under `folder` with its module path; `lib.rs` and `main.rs` stand outside the order.
fn collect(folder: &Path, module: &mut Vec<String>, files: &mut Vec<(Vec<String>, String)>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() {
            module.push(name);
            collect(&path, module, files);
            module.pop();
        } else if let Some(stem) = name.strip_suffix(".rs") {
            let mut module = module.clone();
            match stem {
                "lib" | "main" if module.is_empty() => continue,
                "mod" => {}
                stem => module.push(stem.to_owned()),
            }
            files.push((module, fs::read_to_string(path).unwrap()));
        }
    }
}

/// What is wrong with a module's text, one line for each path, in order.
fn problems(module: &[String], text: &str) -> Vec<String> {
    let (top, name) = (module[0].as_str(), module.join("::"));
    let Some(rank) = rank(top) else { return vec![format!("{name}: `{top}` has no place in the order")] };
    let complaint = |path: &str| -> Option<String> {
        let target = path.strip_prefix("crate::").map(|p| p.split("::").next().unwrap_or(p));
        if let Some(target) = target
            && self::rank(target).is_some_and(|r| r > rank)
        {
            return Some(format!("{name}: `{path}` is below {top} in the order"));
        }
        // Tests are the shell of what they test: they have to take time and chance from somewhere.
        let is_test = module.iter().any(|part| part == "tests");
        let wall = WALLS.iter().find(|(m, wall, _)| *m == top && begins_with(path, wall));
        if let Some((.., why)) = wall.filter(|_| !is_test) {
            return Some(format!("{name}: `{path}` is behind a wall: {why}"));
        }
        if top == "sql" && target == Some("crypto") && path != "crate::crypto" {
            let allowed = SQL_MAY_USE_OF_CRYPTO.iter().any(|p| begins_with(path, p));
            return (!allowed).then(|| format!("{name}: `{path}`: an analysis seals nothing"));
        }
        (begins_with(path, "tokio") && !SHELL.contains(&top))
            .then(|| format!("{name}: `{path}`: the runtime belongs to the shell"))
    };
    paths(module, text).iter().filter_map(|p| complaint(p)).collect()
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|m| *m == module)
}

fn begins_with(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Every path in the text, groups of `use` spread out, `super` and `self` resolved against `module`.
fn paths(module: &[String], text: &str) -> BTreeSet<String> {
    let text = blank(text);
    let tokens = tokens(&text);
    let mut found = BTreeSet::new();
    // Inline modules, each with the depth of its braces.
    let (mut inline, mut depth) = (Vec::<(&str, usize)>::new(), 0_usize);
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at] {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline.last().is_some_and(|(_, d)| *d == depth) {
                    inline.pop();
                }
            }
            "mod" if tokens.get(at + 2) == Some(&"{") => {
                inline.push((tokens[at + 1], depth));
                at += 1;
            }
            word if is_word(word) => {
                let inner = inline.iter().map(|(name, _)| (*name).to_owned());
                let here: Vec<String> = module.iter().cloned().chain(inner).collect();
                at = tree(&tokens, at, &mut Vec::new(), &here, &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads a path, with the groups of a `use` tree, from `at`; gives where it ends.
fn tree(
    tokens: &[&str],
    mut at: usize,
    prefix: &mut Vec<String>,
    here: &[String],
    found: &mut BTreeSet<String>,
) -> usize {
    let length = prefix.len();
    while let Some(token) = tokens.get(at) {
        if *token == "{" && at > 0 && tokens[at - 1] == "::" {
            at += 1;
            while tokens.get(at).is_some_and(|t| *t != "}") {
                let next = tree(tokens, at, prefix, here, found);
                at = if next == at { at + 1 } else { next };
            }
            prefix.truncate(length);
            return at + 1;
        }
        if !is_word(token) {
            break;
        }
        prefix.push((*token).to_owned());
        at += 1;
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    if prefix.len() > length {
        found.extend(resolve(prefix, here));
    }
    prefix.truncate(length);
    at
}

/// A path from the crate's root, or as it stands if it leads outside.
fn resolve(path: &[String], here: &[String]) -> Option<String> {
    let mut base = here.to_vec();
    let mut rest = path;
    if matches!(path[0].as_str(), "super" | "self") {
        while let Some((first, tail)) = rest.split_first() {
            match first.as_str() {
                "super" => drop(base.pop()),
                "self" => {}
                _ => break,
            }
            rest = tail;
        }
        let absolute = [base.as_slice(), rest].concat();
        return (!absolute.is_empty()).then(|| format!("crate::{}", absolute.join("::")));
    }
    let path: Vec<&str> = path.iter().map(String::as_str).filter(|p| *p != "self").collect();
    (path.len() > 1).then(|| path.join("::"))
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Words, `::`, and single other characters.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_word(rest) {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The text with comments, strings and characters replaced by spaces.
fn blank(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let raw = rest.strip_prefix('r').map(|r| r.len() - r.trim_start_matches('#').len());
        let after_word = out.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !out.ends_with('b');
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(hashes) = raw.filter(|n| !after_word && rest[n + 1..].starts_with('"')) {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = hashes + 2;
            rest[body..].find(&end).map_or(rest.len(), |n| body + n + end.len())
        } else if c == '"' {
            1 + quoted(&rest[1..], '"')
        } else if c == '\'' && is_character(rest) {
            1 + quoted(&rest[1..], '\'')
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        out.push(' ');
        rest = &rest[skip..];
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length up to and with the closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => true,
        (_, second) => second == Some('\''),
    }
}
