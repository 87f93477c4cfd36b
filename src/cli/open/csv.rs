//! A CSV file of a table, with a header, as PostgreSQL writes it.

use std::io::{BufRead, Write};
use std::sync::Arc;

use anyhow::{Context as _, ensure};

use super::opener::{Opener, Target, Targets};

/// Opens a file. `delimiter` is one byte.
///
/// # Errors
/// The file cannot be read or written, has no header that fits, or a value cannot be opened.
pub(super) fn open(
    mut input: impl BufRead,
    out: &mut impl Write,
    targets: &Targets,
    delimiter: u8,
    opener: &mut Opener,
) -> anyhow::Result<()> {
    let mut line = 1;
    let mut header = Vec::new();
    ensure!(read_record(&mut input, &mut header)?, "the CSV has no header");
    let names: Vec<_> = fields(&header, delimiter).map(|field| value(field).unwrap_or_default()).collect();
    let chosen: Vec<Option<Arc<Target>>> = names
        .iter()
        .map(|name| std::str::from_utf8(name).ok().and_then(|name| targets.get(name).cloned()))
        .collect();
    let known: Vec<_> = targets.keys().map(String::as_str).collect();
    ensure!(
        chosen.iter().any(Option::is_some),
        "the first line names no encrypted column of the table, which has {}; a CSV needs a header",
        known.join(", ")
    );
    out.write_all(&header)?;
    let (mut record, mut opened) = (Vec::new(), Vec::new());
    line += newlines(&header);
    loop {
        record.clear();
        if !read_record(&mut input, &mut record).with_context(|| format!("line {line}"))? {
            return Ok(());
        }
        opened.clear();
        let end = record.len() - record.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let (content, ending) = record.split_at(end);
        for (at, field) in fields(content, delimiter).enumerate() {
            if at > 0 {
                opened.push(delimiter);
            }
            let plaintext = match (chosen.get(at).and_then(Option::as_ref), value(field)) {
                (Some(target), Some(stored)) => opener.open(target, &stored, line)?,
                (_, _) => None,
            };
            match plaintext {
                Some(plaintext) => quote(&plaintext, chosen.len() == 1, delimiter, &mut opened),
                None => opened.extend_from_slice(field),
            }
        }
        out.write_all(&opened)?;
        out.write_all(ending)?;
        line += newlines(&record);
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Reads a record, which ends where a line does that is not within quotes; false at the end.
fn read_record(input: &mut impl BufRead, record: &mut Vec<u8>) -> anyhow::Result<bool> {
    let mut quotes = 0;
    loop {
        let start = record.len();
        if input.read_until(b'\n', record)? == 0 {
            ensure!(quotes % 2 == 0, "a quoted field does not end");
            return Ok(start > 0);
        }
        quotes += memchr::memchr_iter(b'"', record.get(start..).unwrap_or_default()).count();
        if quotes % 2 == 0 {
            return Ok(true);
        }
    }
}

/// The fields of a record as they stand there.
fn fields(record: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let trimmed = record.strip_suffix(b"\n").unwrap_or(record);
    let trimmed = trimmed.strip_suffix(b"\r").unwrap_or(trimmed);
    trimmed.split(move |byte| {
        is_quoted ^= *byte == b'"';
        *byte == delimiter && !is_quoted
    })
}

/// A field's value; `None` for NULL, which is nothing without quotes.
fn value(field: &[u8]) -> Option<Vec<u8>> {
    match field.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) {
        None if field.is_empty() => None,
        None => Some(field.to_vec()),
        Some(quoted) => {
            let mut value = Vec::with_capacity(quoted.len());
            let mut bytes = quoted.iter().copied().peekable();
            while let Some(byte) = bytes.next() {
                value.push(byte);
                if byte == b'"' {
                    let _ = bytes.next_if_eq(&b'"');
                }
            }
            Some(value)
        }
    }
}

/// Appends a value, in quotes where the server would put it in some: alone in its line, `\.` could end the data.
fn quote(value: &[u8], is_alone: bool, delimiter: u8, out: &mut Vec<u8>) {
    let special = |byte: &u8| *byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    let is_misread = value.is_empty() || (is_alone && value == b"\\.") || value.iter().any(special);
    if !is_misread {
        out.extend_from_slice(value);
        return;
    }
    out.push(b'"');
    for byte in value {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_fields_are_told_apart() {
        let text = b"a,\"b,\"\"c\n\",,\"\"\r\nx\n";
        let (mut input, mut record) = (&text[..], Vec::new());
        assert!(read_record(&mut input, &mut record).unwrap());
        let values: Vec<_> = fields(&record, b',').map(value).collect();
        assert_eq!(values, [Some(b"a".to_vec()), Some(b"b,\"c\n".to_vec()), None, Some(Vec::new())]);
        record.clear();
        assert!(read_record(&mut input, &mut record).unwrap());
        assert_eq!(record, b"x\n");
        record.clear();
        assert!(!read_record(&mut input, &mut record).unwrap());
        assert!(read_record(&mut &b"\"open"[..], &mut record).is_err());
    }

    #[test]
    fn a_value_is_quoted_where_it_would_be_misread() {
        for (given, written) in
            [("", "\"\""), ("a b", "a b"), ("a,b", "\"a,b\""), ("\"", "\"\"\"\""), ("a\nb", "\"a\nb\"")]
        {
            let mut out = Vec::new();
            quote(given.as_bytes(), true, b',', &mut out);
            assert_eq!(String::from_utf8(out.clone()).unwrap(), written);
            assert_eq!(value(&out), Some(given.as_bytes().to_vec()));
        }
    }
}
