//! A dump of `pg_dump` in plain SQL.
//!
//! The schema comes first in a dump and is kept until the first rows, so that partitions and children are known by then.
//! From there on it is a stream: a statement, or a line of COPY's data, at a time.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};

use super::copy;
use super::opener::{Opener, Target, Targets, looks_sealed};
use super::text::{Cursor, Splitter, write_literal};
use crate::policy::RelationName;
use crate::sql::is_sealed_check;

/// The schema of a dump is kept in memory; one that is larger is none.
const MAX_SCHEMA: usize = 1024 * 1024 * 1024;

/// The types of columns that hold sealed values, as dumps write them.
const STORED: [&str; 3] = ["bytea", "text", "character varying"];

/// What is known of the tables of a dump.
#[derive(Default)]
struct Tables {
    columns: BTreeMap<RelationName, Vec<String>>,
    /// Of children and partitions.
    parents: BTreeMap<RelationName, Vec<RelationName>>,
    /// Of children alone, whose CREATE TABLE does not repeat the columns.
    inherited: BTreeMap<RelationName, Vec<RelationName>>,
}

/// Opens a dump.
pub(super) struct Dump<'a, W> {
    opener: &'a mut Opener,
    out: &'a mut W,
    line: u64,
    tables: Tables,
    /// The schema, before the first rows.
    kept: Option<Vec<(u64, Vec<u8>)>>,
    kept_bytes: usize,
}

impl<'a, W: Write> Dump<'a, W> {
    pub(super) fn new(opener: &'a mut Opener, out: &'a mut W) -> Self {
        Self { opener, out, line: 0, tables: Tables::default(), kept: Some(Vec::new()), kept_bytes: 0 }
    }

    /// Opens it to its end.
    ///
    /// # Errors
    /// It cannot be read or written, ends within a statement, or a value cannot be opened.
    pub(super) fn run(mut self, mut input: impl BufRead) -> anyhow::Result<()> {
        let (mut statement, mut start) = (Vec::new(), 0);
        let mut splitter = Splitter::default();
        loop {
            let before = statement.len();
            if input.read_until(b'\n', &mut statement).context("the dump cannot be read")? == 0 {
                ensure!(statement.is_empty(), "line {start}: the dump ends within a statement");
                return self.release();
            }
            self.line += 1;
            if before == 0 {
                start = self.line;
                if is_between(&statement) {
                    self.keep_or_write(start, std::mem::take(&mut statement))?;
                    continue;
                }
            }
            if !splitter.feed(statement.get(before..).unwrap_or_default()) {
                continue;
            }
            splitter = Splitter::default();
            let whole = std::mem::take(&mut statement);
            let mut cursor = Cursor::new(&whole);
            if let Some((table, columns)) = copied(&mut cursor) {
                self.release()?;
                self.out.write_all(&whole)?;
                self.rows(&mut input, &table, &columns)?;
            } else if Cursor::new(&whole).words("INSERT INTO") {
                self.release()?;
                let inserted = self.insert(&whole, start)?;
                self.out.write_all(&inserted)?;
            } else {
                self.keep_or_write(start, whole)?;
            }
        }
    }

    fn keep_or_write(&mut self, line: u64, text: Vec<u8>) -> anyhow::Result<()> {
        match &mut self.kept {
            Some(kept) => {
                self.kept_bytes += text.len();
                ensure!(
                    self.kept_bytes < MAX_SCHEMA,
                    "line {line}: a schema of more than {MAX_SCHEMA} bytes"
                );
                kept.push((line, text));
                Ok(())
            }
            None => {
                let changed = self.statement(&text, line)?;
                Ok(self.out.write_all(&changed)?)
            }
        }
    }

    /// Learns from the schema that was kept, and writes it.
    fn release(&mut self) -> anyhow::Result<()> {
        let Some(kept) = self.kept.take() else { return Ok(()) };
        for (_, text) in &kept {
            self.tables.learn(text);
        }
        for (line, text) in kept {
            let changed = self.statement(&text, line)?;
            self.out.write_all(&changed)?;
        }
        Ok(())
    }

    /// The encrypted columns of a table, or of one that it is a partition or a child of.
    fn targets(&self, table: &RelationName) -> Option<Arc<Targets>> {
        let (mut seen, mut names) = (Vec::new(), vec![table]);
        while let Some(name) = names.pop() {
            if let Some(targets) = self.opener.table(name) {
                return Some(targets);
            }
            if !seen.contains(&name) {
                seen.push(name);
                names.extend(self.tables.parents.get(name).into_iter().flatten());
            }
        }
        None
    }

    /// The data of a COPY, up to the line that ends it.
    fn rows(
        &mut self,
        input: &mut impl BufRead,
        table: &RelationName,
        columns: &[String],
    ) -> anyhow::Result<()> {
        let targets = self.targets(table);
        let target = |column: &String| targets.as_ref()?.get(column).cloned();
        let chosen: Vec<Option<Arc<Target>>> = columns.iter().map(target).collect();
        let (start, mut suspicious) = (self.line, 0_u64);
        let (mut row, mut opened) = (Vec::new(), Vec::new());
        loop {
            row.clear();
            let read = input.read_until(b'\n', &mut row).context("the dump cannot be read")?;
            ensure!(read > 0, "line {}: the dump ends within the rows of {table}", self.line);
            self.line += 1;
            let content = row.strip_suffix(b"\n").unwrap_or(&row);
            if content == b"\\." {
                self.out.write_all(&row)?;
                break;
            }
            if chosen.iter().all(Option::is_none) {
                suspicious += u64::from(looks_sealed(content));
                self.out.write_all(&row)?;
                continue;
            }
            opened.clear();
            for (at, field) in content.split(|byte| *byte == b'\t').enumerate() {
                if at > 0 {
                    opened.push(b'\t');
                }
                let plaintext = match (chosen.get(at).and_then(Option::as_ref), copy::unescape(field)) {
                    (Some(target), Some(stored)) => self.opener.open(target, &stored, self.line)?,
                    (_, _) => None,
                };
                match plaintext {
                    Some(plaintext) => copy::escape(&plaintext, &mut opened),
                    None => opened.extend_from_slice(field),
                }
            }
            opened.push(b'\n');
            self.out.write_all(&opened)?;
        }
        if suspicious > 0 {
            let what = format!(
                "{suspicious} rows of table {table} look as if encrypted values were in them, but the policy has none of \
                 its columns"
            );
            self.opener.leave(start, &what);
        }
        Ok(())
    }

    /// An INSERT with its values opened.
    fn insert(&mut self, text: &[u8], line: u64) -> anyhow::Result<Vec<u8>> {
        let mut cursor = Cursor::new(text);
        cursor.words("INSERT INTO");
        let targets = cursor.name().and_then(|table| Some((self.targets(&table)?, table)));
        let Some((targets, table)) = targets else {
            self.look(text, line, "an INSERT into a table that the policy does not have");
            return Ok(text.to_vec());
        };
        let columns = match cursor.names() {
            Some(columns) => columns,
            None => self.tables.columns_of(&table).with_context(|| {
                format!(
                    "line {line}: which columns the values for {table} belong to is said neither here nor by a CREATE \
                     TABLE before: dump with --column-inserts"
                )
            })?,
        };
        let _ = cursor.words("OVERRIDING SYSTEM VALUE") || cursor.words("OVERRIDING USER VALUE");
        let unread = || {
            format!(
                "line {line}: this INSERT into {table} is not written as pg_dump writes one for the columns {}: try \
                 --column-inserts",
                columns.join(", ")
            )
        };
        ensure!(cursor.words("VALUES"), unread());
        let (mut out, mut done) = (Vec::with_capacity(text.len()), 0);
        loop {
            let values = cursor.list().with_context(unread)?;
            ensure!(values.len() == columns.len(), unread());
            for (range, column) in values.into_iter().zip(&columns) {
                let Some(target) = targets.get(column) else { continue };
                let value = text.get(range.clone()).unwrap_or_default();
                let mut inner = Cursor::new(value);
                if inner.words("NULL") || inner.words("DEFAULT") {
                    continue;
                }
                let at = line + newlines(text.get(..range.start).unwrap_or_default());
                let Some((literal, stored)) = inner.literal() else {
                    self.opener.fault(target, at, "it is not a sealed value")?;
                    continue;
                };
                if let Some(plaintext) = self.opener.open(target, &stored, at)? {
                    out.extend_from_slice(text.get(done..range.start + literal.start).unwrap_or_default());
                    write_literal(&plaintext, &mut out);
                    done = range.start + literal.end;
                }
            }
            if !cursor.byte(b',') {
                break;
            }
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default());
        Ok(out)
    }

    /// Any other statement as it is to be for plaintext columns.
    fn statement(&mut self, text: &[u8], line: u64) -> anyhow::Result<Vec<u8>> {
        let mut cursor = Cursor::new(text);
        if cursor.words("SET client_encoding =") {
            let encoding = cursor.literal().map(|(_, value)| value).unwrap_or_default();
            if !matches!(encoding.as_slice(), b"UTF8" | b"SQL_ASCII") {
                bail!(
                    "line {line}: the dump is not in UTF-8, as opened values are: dump with --encoding=UTF8"
                );
            }
        }
        let changed = if let Some(table) = created(&mut cursor) {
            match self.targets(&table) {
                Some(targets) => self.create(text, cursor, &targets, line)?,
                None => text.to_vec(),
            }
        } else if let Some(table) = altered(&mut cursor) {
            match self.targets(&table) {
                Some(targets) => self.alter(text, cursor, &targets, line)?,
                None => text.to_vec(),
            }
        } else {
            text.to_vec()
        };
        let what = text.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).take(2);
        let what: Vec<_> = what.map(String::from_utf8_lossy).collect();
        self.look(&changed, line, &what.join(" "));
        Ok(changed)
    }

    /// Tells of what still looks encrypted.
    fn look(&mut self, text: &[u8], line: u64, what: &str) {
        if looks_sealed(text) {
            self.opener.leave(line, &format!("{what}: it has an encrypted constant, which stays as it is"));
        }
    }

    /// CREATE TABLE: the columns' types, their defaults, and without the CHECKs that let encrypted values only in.
    fn create(
        &mut self,
        text: &[u8],
        mut cursor: Cursor<'_>,
        targets: &Targets,
        line: u64,
    ) -> anyhow::Result<Vec<u8>> {
        let before = cursor.at;
        let Some(elements) = cursor.list() else { return Ok(text.to_vec()) };
        let mut out = text.get(..before).unwrap_or_default().to_vec();
        let mut written = Vec::new();
        for range in elements {
            let at = line + newlines(text.get(..range.start).unwrap_or_default());
            let element = text.get(range).unwrap_or_default();
            let mut inner = Cursor::new(element);
            if inner.words("CONSTRAINT") {
                let name = inner.identifier().unwrap_or_default();
                if !is_sealed_check(&name, &String::from_utf8_lossy(element)) {
                    written.push(element.to_vec());
                }
                continue;
            }
            let target = inner.identifier().and_then(|column| targets.get(&column).cloned());
            written.push(match target {
                Some(target) => self.column(element, inner.at, &target, at)?,
                None => element.to_vec(),
            });
        }
        // The last element that stays may have stood before a CHECK, and the line ends behind the last of all.
        if let Some(last) = written.last_mut() {
            last.truncate(last.trim_ascii_end().len());
        }
        out.extend_from_slice(b" (");
        out.extend_from_slice(&written.join(&b','));
        out.extend_from_slice(if written.is_empty() { b")" } else { b"\n)" });
        out.extend_from_slice(text.get(cursor.at..).unwrap_or_default());
        Ok(out)
    }

    /// A column's definition; its name ends at `at`.
    fn column(&mut self, element: &[u8], at: usize, target: &Target, line: u64) -> anyhow::Result<Vec<u8>> {
        let mut cursor = Cursor::new(element);
        cursor.at = at;
        let stored = STORED.iter().any(|stored| cursor.words(stored));
        if !stored {
            self.opener
                .leave(line, &format!("column {} is of none of the types of encrypted columns", target.name));
            return Ok(element.to_vec());
        }
        // The length of a varchar.
        let behind = cursor.at;
        if cursor.list().is_none() {
            cursor.at = behind;
        }
        let mut out = element.get(..at).unwrap_or_default().to_vec();
        out.push(b' ');
        out.extend_from_slice(target.declared.as_bytes());
        out.extend(self.default(element, cursor.at, target, line)?);
        Ok(out)
    }

    /// What stands from a place on, with the constant behind DEFAULT opened.
    fn default(&mut self, text: &[u8], from: usize, target: &Target, line: u64) -> anyhow::Result<Vec<u8>> {
        let rest = text.get(from..).unwrap_or_default();
        let Some(at) = memchr::memmem::find(rest, b"DEFAULT ") else { return Ok(rest.to_vec()) };
        let mut cursor = Cursor::new(rest);
        cursor.at = at;
        cursor.words("DEFAULT");
        let Some((range, stored)) = cursor.literal() else { return Ok(rest.to_vec()) };
        let Some(plaintext) = self.opener.open(target, &stored, line)? else { return Ok(rest.to_vec()) };
        let mut out = rest.get(..range.start).unwrap_or_default().to_vec();
        write_literal(&plaintext, &mut out);
        // Its cast is to the type that the column had.
        let before = cursor.at;
        if cursor.byte(b':') && cursor.byte(b':') && STORED.iter().any(|stored| cursor.words(stored)) {
            out.extend_from_slice(b"::");
            out.extend_from_slice(target.declared.as_bytes());
        } else {
            cursor.at = before;
        }
        out.extend_from_slice(rest.get(cursor.at..).unwrap_or_default());
        Ok(out)
    }

    /// ALTER TABLE: a default, or a CHECK of ours.
    fn alter(
        &mut self,
        text: &[u8],
        mut cursor: Cursor<'_>,
        targets: &Targets,
        line: u64,
    ) -> anyhow::Result<Vec<u8>> {
        if cursor.words("ADD CONSTRAINT") {
            let name = cursor.identifier().unwrap_or_default();
            let is_ours = cursor.words("CHECK") && is_sealed_check(&name, &String::from_utf8_lossy(text));
            return Ok(if is_ours { Vec::new() } else { text.to_vec() });
        }
        let target = cursor.words("ALTER COLUMN").then(|| cursor.identifier()).flatten();
        match target.and_then(|column| targets.get(&column).cloned()) {
            Some(target) if cursor.words("SET") => {
                let mut out = text.get(..cursor.at).unwrap_or_default().to_vec();
                out.extend(self.default(text, cursor.at, &target, line)?);
                Ok(out)
            }
            Some(_) | None => Ok(text.to_vec()),
        }
    }
}

impl Tables {
    /// The columns of a table in their order: those of the tables that it inherits from come first.
    fn columns_of(&self, table: &RelationName) -> Option<Vec<String>> {
        let mut columns: Vec<String> = Vec::new();
        let inherited = self.inherited.get(table).into_iter().flatten();
        let inherited =
            inherited.filter(|parent| *parent != table).filter_map(|parent| self.columns_of(parent));
        for column in inherited.flatten().chain(self.columns.get(table)?.iter().cloned()) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        Some(columns)
    }

    /// Takes in what a statement says of a table.
    fn learn(&mut self, text: &[u8]) {
        let mut cursor = Cursor::new(text);
        if let Some(table) = created(&mut cursor) {
            let elements = cursor.list().unwrap_or_default();
            let columns = elements.into_iter().filter_map(|range| {
                let mut inner = Cursor::new(text.get(range).unwrap_or_default());
                if inner.words("CONSTRAINT") { None } else { inner.identifier() }
            });
            self.columns.insert(table.clone(), columns.collect());
            if cursor.words("INHERITS") && cursor.byte(b'(') {
                while let Some(parent) = cursor.name() {
                    self.parents.entry(table.clone()).or_default().push(parent.clone());
                    self.inherited.entry(table.clone()).or_default().push(parent);
                    cursor.byte(b',');
                }
            }
            return;
        }
        let mut cursor = Cursor::new(text);
        if let Some(parent) = altered(&mut cursor)
            && cursor.words("ATTACH PARTITION")
            && let Some(table) = cursor.name()
        {
            self.parents.entry(table).or_default().push(parent);
        }
    }
}

/// A blank line, a comment, or a command of psql's own, between two statements.
fn is_between(line: &[u8]) -> bool {
    let trimmed = line.trim_ascii_start();
    trimmed.is_empty() || trimmed.starts_with(b"--") || line.starts_with(b"\\")
}

fn newlines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// `COPY table (columns) FROM stdin;`
fn copied(cursor: &mut Cursor<'_>) -> Option<(RelationName, Vec<String>)> {
    if !cursor.words("COPY") {
        return None;
    }
    let table = cursor.name()?;
    let columns = cursor.names().unwrap_or_default();
    cursor.words("FROM stdin").then_some((table, columns))
}

/// `CREATE TABLE name`, up to the name.
fn created(cursor: &mut Cursor<'_>) -> Option<RelationName> {
    let kinds = ["CREATE TABLE", "CREATE UNLOGGED TABLE", "CREATE FOREIGN TABLE"];
    let is_one = kinds.iter().any(|kind| cursor.words(kind));
    if is_one { cursor.name() } else { None }
}

/// `ALTER TABLE name`, up to the name.
fn altered(cursor: &mut Cursor<'_>) -> Option<RelationName> {
    if !cursor.words("ALTER TABLE") && !cursor.words("ALTER FOREIGN TABLE") {
        return None;
    }
    cursor.words("ONLY");
    cursor.name()
}
