//! Every construct of the type system by name: statements of `tests/twin/`, on a plaintext database directly and
//! on an encrypted one through the proxy.
//!
//! A block is a statement, its parameters (`$1 = value`, `$2 is null`), and `=>` with what must happen: `same` (the
//! plaintext database's answer, errors and the tables' contents included) or `refused`, and the message. Ways of
//! sending that end otherwise are named: `=> same; simple: refused ...`.

use std::fmt::Write as _;

use crate::fixture::{Answer, How, TABLES, Twin, ask};
use crate::support::{Cluster, Frame};
use crate::versions::{is_newer, major};

const FILES: [(&str, &str); 3] = [
    ("reading", include_str!("../twin/reading.sql")),
    ("writing", include_str!("../twin/writing.sql")),
    ("drivers", include_str!("../twin/drivers.sql")),
];

/// Set to write what happens now into the files, for a person to read. A wrong answer is never written.
const BLESS: &str = "PGSEAL_BLESS";

const WAYS: [(How, &str); 4] =
    [(How::Text, "text"), (How::Binary, "binary"), (How::Described, "described"), (How::Simple, "simple")];

#[test]
fn each_construct_gets_the_same_answer_or_is_refused_with_the_reason() {
    let cluster = Cluster::shared();
    let (mut twin, major) = (Twin::start(cluster), major(cluster));
    let mut wrong = String::new();
    for (name, file) in FILES {
        let mut blessed = String::new();
        for mut block in blocks(file) {
            if block.expected.starts_with("=> same") && is_newer(&block.sql, major) {
                block.expected = "=> same error 42601".to_owned();
            }
            let _ = write!(blessed, "{}", block.written);
            if !block.sql.is_empty() {
                let given = happens(&mut twin, &block, &mut wrong);
                if given != block.expected {
                    let Block { sql, expected, .. } = &block;
                    let _ = writeln!(wrong, "{name}: {sql}\n  {given}\n  instead of\n  {expected}\n");
                }
                let _ = writeln!(blessed, "{given}");
            }
            blessed.push('\n');
        }
        if std::env::var_os(BLESS).is_some() {
            let path = format!("{}/tests/twin/{name}.sql", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(path, format!("{}\n", blessed.trim_end())).unwrap();
        }
    }
    let differs = wrong.lines().any(|line| line.starts_with("differs"));
    assert!(!differs && (wrong.is_empty() || std::env::var_os(BLESS).is_some()), "\n{wrong}");
}

fn blocks(file: &str) -> impl Iterator<Item = Block> {
    file.trim_matches('\n').split("\n\n").map(Block::read)
}

/// Every construct, for other tests.
pub(crate) fn each(mut seen: impl FnMut(&Block)) {
    let all = FILES.iter().flat_map(|(_, file)| blocks(file));
    all.filter(|block| !block.sql.is_empty()).for_each(|block| seen(&block));
}

pub(crate) struct Block {
    /// All of it but what is expected.
    written: String,
    pub(crate) sql: String,
    values: Vec<Option<String>>,
    pub(crate) expected: String,
}

impl Block {
    fn read(block: &str) -> Self {
        let mut read =
            Self { written: String::new(), sql: String::new(), values: Vec::new(), expected: String::new() };
        for line in block.lines() {
            if line.starts_with("=> ") {
                line.clone_into(&mut read.expected);
                continue;
            }
            let _ = writeln!(read.written, "{line}");
            let number = line
                .strip_prefix('$')
                .map_or(0, |rest| rest.chars().take_while(char::is_ascii_digit).count());
            match line.get(number + 1..).filter(|_| number > 0) {
                Some(" is null") => read.values.push(None),
                Some(rest) if let Some(value) = rest.strip_prefix(" =") => {
                    read.values.push(Some(value.strip_prefix(' ').unwrap_or_default().to_owned()));
                }
                _ if line.starts_with("--!") => {}
                _ => {
                    read.sql += if read.sql.is_empty() { "" } else { "\n" };
                    read.sql += line;
                }
            }
        }
        read
    }
}

/// What becomes of a statement, each way from the same rows.
pub(crate) fn happens(twin: &mut Twin, block: &Block, wrong: &mut String) -> String {
    let values: Vec<Option<&str>> = block.values.iter().map(Option::as_deref).collect();
    let sql = &block.sql;
    let reads = ["SELECT", "TABLE", "VALUES"].iter().any(|word| sql.starts_with(word));
    let mut ways = Vec::new();
    for (how, name) in WAYS {
        twin.plain.run("BEGIN");
        twin.sealed.run("BEGIN");
        let (got, refusal) = ask_for_reason(&mut twin.sealed, how, sql, &values);
        let outcome = match refusal {
            Some(message) => format!("refused {message}"),
            None => {
                let mut wanted = vec![ask(&mut twin.plain, how, sql, &values)];
                let mut got = vec![got];
                if !reads && wanted.iter().all(|answer| answer.errors.is_empty()) {
                    for table in TABLES {
                        let look = format!("SELECT * FROM {} ORDER BY id", table.name);
                        wanted.push(Answer::of(&twin.plain.query(&look)));
                        got.push(Answer::of(&twin.sealed.query(&look)));
                    }
                }
                if !sql.to_uppercase().contains("ORDER BY") {
                    wanted = wanted.into_iter().map(Answer::unordered).collect();
                    got = got.into_iter().map(Answer::unordered).collect();
                }
                match wanted.iter().zip(&got).find(|(wanted, got)| wanted != got) {
                    None => {
                        let errors = wanted.first().map(|answer| answer.errors.join(" ")).unwrap_or_default();
                        if errors.is_empty() { "same".to_owned() } else { format!("same error {errors}") }
                    }
                    Some((wanted, got)) => {
                        let _ =
                            writeln!(wrong, "differs ({name}): {sql}\n  wanted {wanted:?}\n  got    {got:?}");
                        "WRONG".to_owned()
                    }
                }
            }
        };
        twin.plain.run("ROLLBACK");
        twin.sealed.run("ROLLBACK");
        ways.push((name, outcome));
    }
    let Some((_, first)) = ways.first() else { return String::new() };
    let others: String = ways
        .iter()
        .filter(|(_, outcome)| outcome != first)
        .map(|(name, outcome)| format!("; {name}: {outcome}"))
        .collect();
    format!("=> {first}{others}")
}

/// As [`ask`]; with the message of the proxy's refusal.
fn ask_for_reason(
    client: &mut crate::support::RawClient,
    how: How,
    sql: &str,
    values: &[Option<&str>],
) -> (Answer, Option<String>) {
    let mut refusal = None;
    let frames = crate::fixture::frames(client, how, sql, values);
    for frame in frames.iter().filter(|frame| frame.tag == b'E' && frame.sqlstate() == "0A000") {
        refusal = Frame::field(frame, b'M');
    }
    (crate::fixture::answer(&frames), refusal)
}
