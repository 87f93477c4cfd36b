//! Binary format: a header, tuples of values with their lengths, a trailer.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.55.9.4>

use super::lines::Fault;
use super::{Field, MAX_ROW};
use crate::error::SqlState;
use crate::wire::Reader;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The signature, flags, and the length of the header's extension.
const HEADER: usize = SIGNATURE.len() + 8;

/// Cuts a stream into its header, tuples and trailer. It is shown the bytes of one of them from their start.
#[derive(Debug)]
pub(super) struct Tuples {
    columns: usize,
    begun: bool,
    over: bool,
    /// The tuple at the front has been counted.
    counted: bool,
    number: u64,
    /// The tuple that is being looked at: its fields so far, and the bytes that they take.
    at: usize,
}

/// What is at the front of the data, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Not yet the whole of it.
    More,
    /// The header or the trailer.
    Frame(usize),
    /// A tuple; its fields have been appended.
    Tuple(usize),
    /// The data ends, by its trailer too.
    Over,
}

impl Tuples {
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, begun: false, over: false, counted: false, number: 0, at: 0 }
    }

    /// The number of the tuple at the front, or of the last one that was cut off; 0 in the header.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The bytes of the tuple at the front whose fields have been appended; 0 before it has begun.
    pub(super) fn seen(&self) -> usize {
        self.at
    }

    /// Looks at what `data` begins with; `last` says that no data follows. A field that starts where it ends,
    /// quoted, is empty, and one that is not quoted is NULL.
    pub(super) fn next(&mut self, data: &[u8], last: bool, fields: &mut Vec<Field>) -> Result<Next, Fault> {
        if !self.begun {
            return self.header(data, last);
        }
        if !self.counted && !self.over {
            self.counted = true;
            self.number += 1;
        }
        if self.over && !data.is_empty() {
            return Err(Fault::new("received copy data after EOF marker"));
        }
        if self.at == 0 {
            let Some(count) = data.first_chunk::<2>().copied().map(i16::from_be_bytes) else {
                // The server takes less than a count for the end.
                return Ok(if last { Next::Over } else { Next::More });
            };
            if count == -1 {
                self.over = true;
                return Ok(Next::Frame(2));
            }
            if usize::try_from(count).ok() != Some(self.columns) {
                return Err(Fault::new(format!("row field count is {count}, expected {}", self.columns)));
            }
            fields.clear();
            self.at = 2;
        }
        while fields.len() < self.columns {
            let in_column =
                |message: &'static str| Fault { column: Some(fields.len()), ..Fault::new(message) };
            let field = match field(data, self.at) {
                Found::Field(field) => field,
                Found::Cut if last => return Err(in_column("unexpected EOF in COPY data")),
                Found::Cut => return Ok(Next::More),
                Found::Negative => return Err(in_column("invalid field size")),
                Found::TooLong => {
                    let code = SqlState::PROGRAM_LIMIT_EXCEEDED;
                    return Err(Fault { code, ..in_column("a value of COPY is longer than 1 GB") });
                }
            };
            self.at = field.end;
            fields.push(field);
        }
        self.counted = false;
        Ok(Next::Tuple(std::mem::take(&mut self.at)))
    }

    fn header(&mut self, data: &[u8], last: bool) -> Result<Next, Fault> {
        let front = data.get(..SIGNATURE.len()).unwrap_or(data);
        if !SIGNATURE.starts_with(front) || (last && data.len() < SIGNATURE.len()) {
            return Err(Fault::new("COPY file signature not recognized"));
        }
        let mut r = Reader::new(data.get(SIGNATURE.len()..).unwrap_or_default());
        let cut = |message| if last { Err(Fault::new(message)) } else { Ok(Next::More) };
        let Ok(flags) = r.u32() else { return cut("invalid COPY file header (missing flags)") };
        if flags & 1 << 16 != 0 {
            return Err(Fault::new("invalid COPY file header (WITH OIDS)"));
        }
        if flags >> 16 != 0 {
            return Err(Fault::new("unrecognized critical flags in COPY file header"));
        }
        let Ok(extension) = r.i32() else { return cut("invalid COPY file header (missing length)") };
        let extension =
            usize::try_from(extension).map_err(|_| Fault::new("invalid COPY file header (wrong length)"))?;
        // Nobody writes one.
        if extension > 0 {
            return Err(Fault::new("a COPY file header with an extension is not supported"));
        }
        self.begun = true;
        Ok(Next::Frame(HEADER))
    }
}

/// What stands where a field should.
enum Found {
    Field(Field),
    /// Not all of it is there.
    Cut,
    Negative,
    TooLong,
}

/// The field whose length stands at `at`.
fn field(data: &[u8], at: usize) -> Found {
    let mut r = Reader::new(data.get(at..).unwrap_or_default());
    let Ok(length) = r.i32() else { return Found::Cut };
    let start = at + 4;
    match usize::try_from(length) {
        Ok(length) if length >= MAX_ROW => Found::TooLong,
        Ok(length) if r.bytes(length).is_err() => Found::Cut,
        Ok(length) => Found::Field(Field { start, end: start + length, quoted: true }),
        Err(_) if length == -1 => Found::Field(Field { start, end: start, quoted: false }),
        Err(_) => Found::Negative,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Vec<u8> {
        [SIGNATURE, &[0; 8]].concat()
    }

    /// What a stream that is fed in pieces of `step` bytes is cut into.
    fn pieces(stream: &[u8], step: usize) -> Result<Vec<String>, String> {
        let mut tuples = Tuples::new(2);
        let (mut start, mut seen, mut all, mut fields) = (0, 0, Vec::new(), Vec::new());
        loop {
            let data = &stream[start..seen];
            let last = seen == stream.len();
            match tuples.next(data, last, &mut fields).map_err(|fault| fault.message.into_owned())? {
                Next::More => {
                    assert!(!last);
                    seen = (seen + step).min(stream.len());
                }
                Next::Frame(bytes) => {
                    all.push(format!("frame {bytes}"));
                    start += bytes;
                }
                Next::Tuple(bytes) => {
                    let shown = |f: &Field| {
                        if f.quoted { data[f.start..f.end].escape_ascii().to_string() } else { "NULL".into() }
                    };
                    all.push(format!(
                        "{} {}",
                        tuples.number(),
                        fields.iter().map(shown).collect::<Vec<_>>().join(" ")
                    ));
                    start += bytes;
                }
                Next::Over => return Ok(all),
            }
        }
    }

    #[test]
    fn a_stream_is_cut_wherever_its_frames_are() {
        let tuple = b"\0\x02\0\0\0\x03abc\xff\xff\xff\xff\0\x02\0\0\0\0\0\0\0\x01x";
        type Case<'a> = (Vec<u8>, Result<&'a [&'a str], &'a str>);
        let cases: [Case<'_>; 9] = [
            (
                [&header()[..], tuple, b"\xff\xff"].concat(),
                Ok(&["frame 19", "1 abc NULL", "2  x", "frame 2"]),
            ),
            ([&header()[..], tuple].concat(), Ok(&["frame 19", "1 abc NULL", "2  x"])),
            (header(), Ok(&["frame 19"])),
            ([&header()[..], b"\xff\xffx"].concat(), Err("received copy data after EOF marker")),
            ([&header()[..], &tuple[..4]].concat(), Err("unexpected EOF in COPY data")),
            ([&header()[..], b"\0\x03"].concat(), Err("row field count is 3, expected 2")),
            ([&header()[..], b"\0\x02\xff\xff\xff\xfe"].concat(), Err("invalid field size")),
            (b"1\ttext\n".to_vec(), Err("COPY file signature not recognized")),
            ([SIGNATURE, b"\0\x01\0\0\0\0\0\0"].concat(), Err("invalid COPY file header (WITH OIDS)")),
        ];
        for (stream, wanted) in cases {
            for step in 1..=stream.len() {
                let given = pieces(&stream, step);
                let wanted = wanted
                    .map(|w| w.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
                    .map_err(str::to_owned);
                assert_eq!(given, wanted, "{} by {step}", stream.escape_ascii());
            }
        }
    }
}
