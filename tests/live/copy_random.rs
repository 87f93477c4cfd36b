//! COPY of random data under random options: what the plaintext database takes, gives and says.

use std::fmt::Write as _;

use crate::copy::{How, Outcome, copy_out};
use crate::support::{Cluster, Proxy, RawClient};
use crate::versions::major;

/// The columns: sealed, plain, sealed with a length, sealed as text, and a number of each kind.
const COLUMNS: [&str; 6] = ["a", "b", "c", "d", "i", "j"];

const POLICY: &str = "version = 1
[table.\"public.f\"]
a = { type = \"text\", mode = \"deterministic\" }
c = { type = \"varchar(3)\", mode = \"deterministic\" }
d = { type = \"text\" }
i = { type = \"int\", mode = \"deterministic\" }
";

/// Stand for bytes that are no text.
const BYTES: [(char, u8); 4] = [('\u{e000}', 0xff), ('\u{e001}', 0xc3), ('\u{e002}', 0xe2), ('\u{e003}', 0)];

/// A generator of bytes and choices; a seed names what it makes.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// One in `n`.
    fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn columns(&mut self) -> Vec<&'static str> {
        let mut columns = COLUMNS.to_vec();
        for at in (1..columns.len()).rev() {
            columns.swap(at, self.below(at + 1));
        }
        columns.truncate(1 + self.below(COLUMNS.len()));
        columns
    }
}

/// The options of one COPY.
struct Options {
    csv: bool,
    delimiter: &'static str,
    null: &'static str,
    quote: &'static str,
    escape: &'static str,
    /// What is given, and what of it goes for COPY TO too.
    given: Vec<String>,
    both: usize,
}

impl Options {
    fn random(dice: &mut Dice, columns: &[&str]) -> Self {
        let csv = dice.rarely(2);
        let mut options = match csv {
            true => Self {
                csv,
                delimiter: ",",
                null: "",
                quote: "\"",
                escape: "\"",
                given: vec!["FORMAT csv".to_owned()],
                both: 0,
            },
            false => Self {
                csv,
                delimiter: "\t",
                null: "\\N",
                quote: "\"",
                escape: "\"",
                given: vec!["FORMAT text".to_owned()],
                both: 0,
            },
        };
        if dice.rarely(2) {
            let choices: &[&str] = match csv {
                true => &["|", ";", ",", "A", " ", "\\", "a"],
                false => &["|", ";", ",", "A", " ", "\""],
            };
            options.delimiter = dice.of(choices);
            options.given.push(format!("DELIMITER '{}'", options.delimiter));
        }
        if dice.rarely(2) {
            options.null = dice.of(&["", "N", "\\N", "ab", "\\\\", "\\.", "é"]);
            options.given.push(format!("NULL '{}'", options.null));
        }
        if csv && dice.rarely(2) {
            options.quote = dice.of(&["\"", "#", "x", "p", "\\"]);
            options.escape = options.quote;
            options.given.push(format!("QUOTE '{}'", options.quote));
        }
        if csv && dice.rarely(2) {
            options.escape = dice.of(&["\"", "\\", "!", "x"]);
            options.given.push(format!("ESCAPE '{}'", options.escape));
        }
        options.both = options.given.len();
        match dice.below(8) {
            0 | 1 => options.given.push("HEADER".to_owned()),
            2 => options.given.push("HEADER match".to_owned()),
            _ => {}
        }
        for force in ["FORCE_NOT_NULL", "FORCE_NULL"] {
            if csv && dice.rarely(3) {
                let count = 1 + dice.below(columns.len());
                options.given.push(format!("{force} ({})", columns[..count].join(", ")));
            }
        }
        options
    }

    /// Lines with everything in them that means something to somebody.
    fn data(&self, dice: &mut Dice, columns: &[&str]) -> Vec<u8> {
        let end = dice.of(&["\n", "\n", "\n", "\r\n", "\r"]);
        let (quoted, wild) = (dice.rarely(3), dice.rarely(2));
        let delimiter = if dice.rarely(20) { "," } else { self.delimiter };
        let mut text = String::new();
        if self.given.iter().any(|option| option.starts_with("HEADER")) && !dice.rarely(3) {
            text += &(columns.join(delimiter) + end);
        }
        for _ in 0..dice.below(6) {
            let fields = if wild && dice.rarely(20) { dice.below(7) } else { columns.len() };
            for i in 0..fields {
                if i > 0 {
                    text += delimiter;
                }
                let quote = if self.csv && quoted && dice.rarely(2) { self.quote } else { "" };
                text += quote;
                text += &match columns.get(i) {
                    _ if dice.rarely(12) => self.null.to_owned(),
                    Some(&("i" | "j")) if !(wild && dice.rarely(8)) => {
                        dice.of(&["7", " -7 ", "42", "+0"]).to_owned()
                    }
                    // An error quotes what is no number, less what might be a piece of a sealed value.
                    Some(&("i" | "j")) => self.value(dice, wild).replace("\\xe5", ""),
                    _ => self.value(dice, wild),
                };
                text += quote;
            }
            if wild && dice.rarely(40) {
                text += "\\.";
            }
            text += if wild && dice.rarely(30) { "\n" } else { end };
        }
        if dice.rarely(4) {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        let mut bytes = Vec::new();
        for letter in text.chars() {
            // Behind \r the server looks ahead, and finds what is no text one line earlier.
            match BYTES.iter().find(|(stand_in, _)| *stand_in == letter) {
                Some(_) if text.contains('\r') => bytes.push(b'z'),
                Some((_, byte)) => bytes.push(*byte),
                None => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        bytes
    }

    fn value(&self, dice: &mut Dice, wild: bool) -> String {
        let pieces = [
            "N",
            "\\N",
            "x",
            "p",
            "A",
            ".",
            "\\.",
            "\\",
            "\"",
            "\"\"",
            "#",
            "!",
            "é",
            "\\x41",
            "\\101",
            "\\n",
            "\\t",
            " ",
            "ab",
            "\\xe5",
            "'",
            self.delimiter,
            self.quote,
            self.escape,
            self.null,
        ];
        let wilder =
            ["\n", "\r", "\r\n", "\\\n", "\u{e000}", "\u{e001}", "\u{e002}", "\u{e003}", "\\0", "\\377"];
        let mut value = String::new();
        for _ in 0..dice.below(4) {
            value += match dice.below(40) {
                0 | 1 if wild => dice.of(&wilder),
                2..=14 => pieces[dice.below(pieces.len())],
                _ => dice.of(&["a", "b", "N", "c"]),
            };
        }
        value
    }
}

/// Tuples, some of which are none.
fn tuples(dice: &mut Dice, columns: &[&str]) -> Vec<u8> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for _ in 0..dice.below(5) {
        let count = if dice.rarely(25) { dice.below(8) } else { columns.len() };
        bytes.extend_from_slice(&u16::try_from(count).unwrap().to_be_bytes());
        for column in columns {
            let value: Option<&[u8]> = match (dice.below(30), column) {
                (0, _) => Some(b"\xff"),
                (1, _) => Some(b"abcde"),
                (2, _) => Some(b""),
                (3..6, _) => None,
                (_, &("i" | "j")) => Some(b"\0\0\0\x07"),
                _ => Some("aé".as_bytes()),
            };
            let length = match (dice.below(60), value) {
                (0, _) => -2,
                (1, _) => 9,
                (_, None) => -1,
                (_, Some(value)) => i32::try_from(value.len()).unwrap(),
            };
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(value.unwrap_or_default());
        }
    }
    if !dice.rarely(4) {
        bytes.extend_from_slice(b"\xff\xff");
    }
    if dice.rarely(10) {
        bytes.truncate(dice.below(bytes.len()));
    }
    bytes
}

/// COPY FROM STDIN, in messages of `step` bytes, its rows, and COPY TO STDOUT of them.
fn copied(
    client: &mut RawClient,
    how: How,
    [sql, out]: [&str; 2],
    data: &[u8],
    step: usize,
) -> (Outcome, Vec<Vec<Option<String>>>, Outcome) {
    let outcome = crate::copy::copy_in(client, how, sql, data, step);
    let rows = client.rows("TABLE f");
    let written = copy_out(client, how, out);
    client.run("TRUNCATE f");
    (outcome.without_rows(), rows, written)
}

#[test]
fn random_data_with_random_options_is_read_as_the_server_reads_it() {
    let cluster = Cluster::shared();
    let major = major(cluster);
    let (plain, sealed) = (cluster.database("copy_plain"), cluster.database("copy_sealed"));
    let mut plain_client = cluster.connect(&plain);
    plain_client.run("CREATE TABLE f (a text, b text, c varchar(3), d text, i int, j int)");
    cluster.connect(&sealed).run("CREATE TABLE f (a bytea, b text, c bytea, d text, i bytea, j int)");
    let proxy = Proxy::start(cluster.address(), POLICY);
    let mut sealed_client = proxy.connect(&sealed);
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let (first, count) = (number("PGSEAL_SEED").unwrap_or(1), number("PGSEAL_COPIES").unwrap_or(600));
    let (mut failures, mut taken, mut failed) = (String::new(), 0, 0);
    for seed in first..first + count {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.below(2);
        let columns = dice.columns();
        let (given, both, data) = if dice.rarely(5) {
            ("FORMAT binary".to_owned(), "FORMAT binary".to_owned(), tuples(&mut dice, &columns))
        } else {
            let options = Options::random(&mut dice, &columns);
            let data = options.data(&mut dice, &columns);
            (options.given.join(", "), options.given[..options.both].join(", "), data)
        };
        let sql = format!("COPY f ({}) FROM STDIN ({given})", columns.join(", "));
        let out = format!("COPY f TO STDOUT ({both})");
        let how = [How::Simple, How::Extended][dice.below(2)];
        let step = [usize::MAX, 1, 2, 5][dice.below(4)].min(data.len()).max(1);
        let [mut wanted, mut got] = [&mut plain_client, &mut sealed_client]
            .map(|client| copied(client, how, [&sql, &out], &data, step));
        *(if wanted.0.errors.is_empty() { &mut taken } else { &mut failed }) += 1;
        if major < 14 {
            // It looks at the encoding of a line when it has all of it, and names its last one.
            for outcome in [&mut wanted.0, &mut got.0] {
                let unreadable = outcome.errors.iter_mut().filter(|(code, _)| code == "22021");
                unreadable.for_each(|(_, context)| context.clear());
            }
        }
        let seen = format!("{got:?}");
        if got.2.errors.iter().any(|(code, _)| code == "0A000") && both.contains("NULL '\\\\'") {
            got.2 = wanted.2.clone();
        }
        if wanted != got {
            writeln!(
                failures,
                "seed {seed}: {sql} {} ({how:?} by {step})\n  wanted {wanted:?}\n  got    {seen}",
                data.escape_ascii()
            )
            .unwrap();
        }
    }
    println!("{taken} taken, {failed} failed alike");
    assert!(taken > count / 5 && failed > count / 20, "{taken} taken, {failed} failed");
    assert!(failures.is_empty(), "\n{failures}");
}
