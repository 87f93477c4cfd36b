//! The data of one COPY: cut into rows, their sealed values sealed or opened, and written again.
//!
//! What is gathered is one row at most. A row without a sealed value goes on as it came.

use std::sync::Arc;

use bytes::BytesMut;
use zeroize::Zeroizing;

use super::binary::{self, Tuples};
use super::csv::Signs;
use super::lines::{self, Dialect, EndMarker, Fault, Lines};
use super::shifts::Shifts;
use super::text;
use super::{Field, MAX_ROW};
use crate::catalog::Storage;
use crate::datum::{Format, Input, check_utf8, utf8, valid_up_to};
use crate::error::{ClientError, ClientFacing as _, SqlState};
use crate::session::rows::{open_array, origins_disagree};
use crate::session::splice::push_hex;
use crate::session::values::Values;
use crate::sql::OutputValue;
use crate::sql::copy::{Copy, CopyColumn, CopyFormat, CopyValue, Direction, Header, LineFormat};
use crate::wire::frame::{HEAD, MAX_LARGE};
use crate::wire::reader::{message, put_value};

/// A buffer that a long row has made larger than this is not kept.
const KEPT: usize = 1 << 20;

/// So many fields of a header, or of a line that has too many, are looked at: far more than a table's columns, of which there are 1600.
const MAX_FIELDS: usize = 10_000;

/// The length of a field in binary format that the server does not take.
const NO_LENGTH: i32 = -2;

/// As many bytes of a line or value are shown in an error's context (`MAX_COPY_DATA_DISPLAY`).
const MAX_SHOWN: usize = 100;

/// The data of one COPY on its way.
#[derive(Debug)]
pub(in crate::session) struct Stream {
    copy: Arc<Copy>,
    cutter: Cutter,
    /// The next line is the header.
    header: bool,
    /// What follows is nothing to the server.
    over: bool,
    /// The last line has too few values, which is an error whatever comes behind.
    short: bool,
    /// The row of the error was written up to the value that is none: the server fails there, if not before.
    cut: bool,
    /// What the server's numbers of lines have to be corrected by.
    shifts: Shifts,
    /// Rows that were written.
    written: u64,
    /// The last byte that was written.
    last: Option<u8>,
    /// The beginning of a row.
    held: Vec<u8>,
    fields: Vec<Field>,
    value: Zeroizing<Vec<u8>>,
    stored: Zeroizing<Vec<u8>>,
}

#[derive(Debug)]
enum Cutter {
    Lines(Lines),
    Tuples(Tuples),
}

impl Stream {
    pub(super) fn new(copy: Arc<Copy>) -> Self {
        let cutter = match &copy.format {
            CopyFormat::Text(lines) => {
                let marker = match copy.direction {
                    Direction::Out => EndMarker::Data,
                    Direction::In if lines.is_before_18 => EndMarker::Anywhere,
                    Direction::In => EndMarker::Alone,
                };
                Cutter::Lines(Lines::new(Dialect::Text, marker))
            }
            CopyFormat::Csv { lines, quote, escape } => {
                let escape = Some(*escape).filter(|escape| escape != quote);
                let marker = match copy.direction {
                    Direction::In if lines.is_before_18 => EndMarker::Anywhere,
                    Direction::In | Direction::Out => EndMarker::Data,
                };
                Cutter::Lines(Lines::new(Dialect::Csv { quote: *quote, escape }, marker))
            }
            CopyFormat::Binary => Cutter::Tuples(Tuples::new(copy.columns.len())),
        };
        Self {
            header: copy.header != Header::None,
            copy,
            cutter,
            over: false,
            short: false,
            cut: false,
            shifts: Shifts::default(),
            written: 0,
            last: None,
            held: Vec::new(),
            fields: Vec::new(),
            value: Zeroizing::default(),
            stored: Zeroizing::default(),
        }
    }

    pub(super) fn copy(&self) -> &Copy {
        &self.copy
    }

    /// Writes what `data` completes as one CopyData message; `last` says that no data follows.
    ///
    /// # Errors
    /// A value that cannot be sealed or opened, or data that the server would refuse. The rows before it were
    /// written, and where [`Self::is_cut`] what stands before the value in its own row.
    pub(super) fn push(
        &mut self,
        data: &[u8],
        last: bool,
        values: &mut Values<'_>,
        out: &mut BytesMut,
    ) -> Result<(), ClientError> {
        values.vault.begin_frame();
        let start = out.len();
        let mut result = Ok(());
        message(out, b'd', |out| result = self.take(data, last, values, out));
        if out.len() == start + HEAD {
            out.truncate(start);
        } else {
            self.last = out.last().copied();
        }
        result
    }

    pub(super) fn rows_written(&self) -> u64 {
        self.written
    }

    /// True if the server waits for one more byte before it looks at the last row: behind `\r`.
    pub(super) fn is_row_pending(&self) -> bool {
        self.last == Some(b'\r') && self.copy.format != CopyFormat::Binary
    }

    /// True if the server fails at the end of what was written, unless it finds an error before.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Nothing more is written.
    pub(super) fn end(&mut self) {
        self.held = Vec::new();
        self.over = true;
    }

    /// Where the server would say that it waits for data: nowhere before it has begun to count.
    pub(super) fn place(&self) -> Option<String> {
        match &self.cutter {
            Cutter::Tuples(tuples) if tuples.number() == 0 => None,
            Cutter::Tuples(tuples) if tuples.seen() > 0 => {
                let column = self.copy.columns.get(self.fields.len());
                Some(self.context(column.map(|column| (&*column.name, None))))
            }
            // In csv, it has not yet looked at a line whose end may go on.
            Cutter::Lines(lines)
                if self.is_row_pending()
                    && self.held.is_empty()
                    && !self.over
                    && matches!(self.copy.format, CopyFormat::Csv { .. }) =>
            {
                Some(self.context_at(lines.number().saturating_sub(1), None))
            }
            Cutter::Tuples(_) | Cutter::Lines(_) => Some(self.context(None)),
        }
    }

    /// The context of an error of the server, by the lines of the client's data; `None` if it is the same.
    pub(in crate::session) fn context_of_client(&self, context: &str) -> Option<String> {
        self.shifts.correct(context, &self.copy.relation)
    }

    fn take(
        &mut self,
        data: &[u8],
        last: bool,
        values: &mut Values<'_>,
        out: &mut BytesMut,
    ) -> Result<(), ClientError> {
        if self.held.is_empty() {
            let taken = self.rows(data, last, values, out)?;
            self.held.extend_from_slice(data.get(taken..).unwrap_or_default());
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(data);
            let taken = self.rows(&held, last, values, out)?;
            if taken == held.len() && held.capacity() > KEPT {
                return Ok(());
            }
            held.drain(..taken);
            self.held = held;
        }
        if self.held.len() > MAX_ROW {
            return Err(too_long());
        }
        Ok(())
    }

    /// Writes the rows that are there, and gives the bytes that they took.
    fn rows(
        &mut self,
        data: &[u8],
        last: bool,
        values: &mut Values<'_>,
        out: &mut BytesMut,
    ) -> Result<usize, ClientError> {
        let begin = out.len();
        let mut taken = 0;
        loop {
            if self.over {
                return Ok(data.len());
            }
            let rest = data.get(taken..).unwrap_or_default();
            let start = out.len();
            let done = match self.row(rest, last, values, out) {
                Ok(done) => done,
                Err(error) => {
                    if !self.cut {
                        out.truncate(start);
                    }
                    return Err(error);
                }
            };
            if out.len() - begin > MAX_LARGE - HEAD {
                out.truncate(start);
                return Err(too_long());
            }
            match done {
                Some(bytes) => taken += bytes,
                None => return Ok(taken),
            }
        }
    }

    /// Writes the row that `data` begins with, and gives its bytes; `None` if it is not all there.
    fn row(
        &mut self,
        data: &[u8],
        last: bool,
        values: &mut Values<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<usize>, ClientError> {
        let bytes = |end: usize| data.get(..end).unwrap_or_default();
        match &mut self.cutter {
            Cutter::Lines(lines) => {
                let found = lines.next(data, last);
                let (end, next) = match &found {
                    Ok(lines::Next::More | lines::Next::Nothing) => return Ok(None),
                    Ok(lines::Next::Line { end, next }) => (*end, *next),
                    Ok(lines::Next::Over { end, next }) => {
                        self.over = true;
                        (*end, *next)
                    }
                    Err(_) => (lines.seen(), 0),
                };
                // The server looks at bytes as such before it looks for the ends of lines. It says nothing itself that is
                // not in its client's encoding.
                if self.copy.direction == Direction::In
                    && let Err(error) = check_utf8(bytes(end))
                {
                    lines.back_to(valid_up_to(bytes(end)), bytes(end));
                    // The bytes that are no letter may go on behind the line.
                    let error = utf8(data).err().unwrap_or(error);
                    return Err(self.placed(error.client_error(), None));
                }
                if let Err(fault) = found {
                    return Err(self.fault(fault, None));
                }
                if self.header {
                    self.header = false;
                    self.header_line(bytes(end), out)?;
                } else if end > 0 || !self.over {
                    self.line(bytes(end), values, out)?;
                    self.written += 1;
                }
                match &self.cutter {
                    // The server misses a value in it, and nothing is to come in between.
                    Cutter::Lines(lines) if self.short => out.extend_from_slice(lines.terminator()),
                    _ => out.extend_from_slice(data.get(end..next).unwrap_or_default()),
                }
                Ok(Some(next))
            }
            Cutter::Tuples(tuples) => match tuples.next(data, last, &mut self.fields) {
                Ok(binary::Next::More | binary::Next::Over) => Ok(None),
                Ok(binary::Next::Frame(end)) => {
                    out.extend_from_slice(bytes(end));
                    Ok(Some(end))
                }
                Ok(binary::Next::Tuple(end)) => {
                    self.tuple(bytes(end), values, out)?;
                    self.written += 1;
                    Ok(Some(end))
                }
                Err(fault) => {
                    if fault.column.is_some() && self.copy.direction == Direction::In {
                        let seen = tuples.seen();
                        self.tuple(bytes(seen), values, out)?;
                        self.cut_tuple(out);
                    }
                    Err(self.fault(fault, None))
                }
            },
        }
    }

    /// A line of text or csv.
    fn line(&mut self, line: &[u8], values: &mut Values<'_>, out: &mut BytesMut) -> Result<(), ClientError> {
        let copy = Arc::clone(&self.copy);
        let Some(syntax) = Syntax::of(&copy) else { return Ok(()) };
        if syntax.split(line, copy.columns.len() + 1, &mut self.fields).is_err() {
            return Err(self.fault(Fault::new("unterminated CSV quoted field"), Some(line)));
        }
        let is_too_long = self.fields.len() > copy.columns.len();
        // The server looks at the whole line first.
        if is_too_long && syntax.split(line, MAX_FIELDS, &mut self.fields).is_err() {
            return Err(self.fault(Fault::new("unterminated CSV quoted field"), Some(line)));
        }
        self.check_escapes(&syntax, line)?;
        if is_too_long {
            return Err(self.fault(Fault::new("extra data after last expected column"), Some(line)));
        }
        let mut done = 0;
        for (i, column) in copy.columns.iter().enumerate() {
            // What is missing, the server says when it has looked at what is there.
            let Some(field) = self.fields.get(i).copied() else { break };
            let raw = line.get(field.start..field.end).unwrap_or_default();
            if !column.is_sealed() || !syntax.read(raw, field.quoted, column, &mut self.value) {
                continue;
            }
            if let Err(error) = self.convert(column, Format::Text, values) {
                self.cut_line(line, done, i, out);
                return Err(error);
            }
            out.extend_from_slice(line.get(done..field.start).unwrap_or_default());
            match copy.direction {
                Direction::In => {
                    self.pad(column, raw);
                    syntax.write_quoted(&self.stored, column.storage(), out);
                }
                Direction::Out => syntax.write(&self.stored, column, copy.columns.len() == 1, out),
            }
            done = field.end;
        }
        out.extend_from_slice(line.get(done..).unwrap_or_default());
        if copy.direction == Direction::In {
            self.short = self.fields.len() < copy.columns.len();
            self.over |= self.short;
            if let Cutter::Lines(lines) = &self.cutter {
                self.shifts.end_line(lines.number());
            }
        }
        Ok(())
    }

    /// Writes what stands before column `i` in a line, as a line: the server looks at that, and then misses a value.
    fn cut_line(&mut self, line: &[u8], done: usize, i: usize, out: &mut BytesMut) {
        let before = i.checked_sub(1).and_then(|before| self.fields.get(before));
        let (Direction::In, Some(before), Cutter::Lines(lines)) = (self.copy.direction, before, &self.cutter)
        else {
            return;
        };
        // Alone on its line it would end the data.
        if line.get(..before.end) == Some(b"\\.") {
            return;
        }
        out.extend_from_slice(line.get(done..before.end).unwrap_or_default());
        out.extend_from_slice(lines.terminator());
        let rest = line.get(before.end..).unwrap_or_default();
        if let (counted, 1..) = lines.inner() {
            self.shifts.lose(memchr::memchr_iter(counted, rest).count());
            self.shifts.end_line(lines.number());
        }
        self.cut = true;
    }

    /// In text, the server checks what it has unescaped before it looks at any value.
    fn check_escapes(&mut self, syntax: &Syntax<'_>, line: &[u8]) -> Result<(), ClientError> {
        let is_checked = self.copy.direction == Direction::In && matches!(syntax, Syntax::Text(_));
        if !is_checked || memchr::memchr(b'\\', line).is_none() {
            return Ok(());
        }
        for i in 0..self.fields.len() {
            let Some(Field { start, end, .. }) = self.fields.get(i).copied() else { break };
            let raw = line.get(start..end).unwrap_or_default();
            if raw == syntax.lines().null.as_bytes() || memchr::memchr(b'\\', raw).is_none() {
                continue;
            }
            syntax.decode(raw, &mut self.value);
            if let Err(error) = utf8(&self.value) {
                return Err(self.placed(error.client_error(), Some(line)));
            }
        }
        Ok(())
    }

    /// Lines inside of a sealed value count for the server's line numbers: a `bytea` in hexadecimal may hold
    /// white space. What is stored as text may not, and the numbers are corrected; plaintext of a column that is being
    /// migrated has its own.
    fn pad(&mut self, column: &CopyColumn, raw: &[u8]) {
        if let (Cutter::Lines(lines), CopyValue::Seal(usage)) = (&self.cutter, &column.value)
            && let (counted, 1..) = lines.inner()
        {
            let inner = memchr::memchr_iter(counted, raw).count();
            match usage.class.storage {
                Storage::Bytea => self.stored.extend(std::iter::repeat_n(counted, inner)),
                Storage::Text => {
                    let kept = memchr::memchr_iter(counted, &self.stored).count();
                    self.shifts.lose(inner.saturating_sub(kept));
                }
            }
        }
    }

    /// The first line. The server drops it, or compares it with the columns' names; it may be a row of somebody
    /// who forgot that.
    fn header_line(&mut self, line: &[u8], out: &mut BytesMut) -> Result<(), ClientError> {
        if self.copy.direction == Direction::Out {
            out.extend_from_slice(line);
            return Ok(());
        }
        if self.copy.header == Header::Match {
            self.match_header(line)?;
            out.extend_from_slice(line);
            return Ok(());
        }
        if let (Cutter::Lines(lines), CopyFormat::Csv { quote, .. }) = (&self.cutter, &self.copy.format)
            && let (counted, inner @ 1..) = lines.inner()
        {
            out.extend_from_slice(&[*quote]);
            out.resize(out.len() + inner, counted);
            out.extend_from_slice(&[*quote]);
        }
        Ok(())
    }

    /// HEADER MATCH.
    fn match_header(&mut self, line: &[u8]) -> Result<(), ClientError> {
        let copy = Arc::clone(&self.copy);
        let Some(syntax) = Syntax::of(&copy) else { return Ok(()) };
        if syntax.split(line, MAX_FIELDS, &mut self.fields).is_err() {
            return Err(self.fault(Fault::new("unterminated CSV quoted field"), Some(line)));
        }
        self.check_escapes(&syntax, line)?;
        let (given, expected) = (self.fields.len(), copy.columns.len());
        if given != expected {
            let message = format!("wrong number of fields in header line: got {given}, expected {expected}");
            return Err(self.fault(Fault::new(message), Some(line)));
        }
        for (i, column) in copy.columns.iter().enumerate() {
            let Some(field) = self.fields.get(i) else { break };
            let raw = line.get(field.start..field.end).unwrap_or_default();
            let null = &syntax.lines().null;
            let given = if !field.quoted && raw == null.as_bytes() {
                format!("null value (\"{null}\")")
            } else {
                syntax.decode(raw, &mut self.value);
                if *self.value == column.name.as_bytes() {
                    continue;
                }
                format!("\"{}\"", String::from_utf8_lossy(&self.value))
            };
            let message = format!(
                "column name mismatch in header line field {}: got {given}, expected \"{}\"",
                i + 1,
                column.name
            );
            return Err(self.fault(Fault::new(message), Some(line)));
        }
        Ok(())
    }

    /// A tuple of the binary format.
    fn tuple(
        &mut self,
        tuple: &[u8],
        values: &mut Values<'_>,
        out: &mut BytesMut,
    ) -> Result<(), ClientError> {
        let copy = Arc::clone(&self.copy);
        let mut done = 0;
        for (i, column) in copy.columns.iter().enumerate() {
            let Some(field) = self.fields.get(i).copied().filter(|field| field.quoted) else { continue };
            if !column.is_sealed() {
                continue;
            }
            self.value.clear();
            self.value.extend_from_slice(tuple.get(field.start..field.end).unwrap_or_default());
            let converted = self.convert(column, Format::Binary, values);
            out.extend_from_slice(tuple.get(done..field.start - 4).unwrap_or_default());
            if let Err(error) = converted {
                if copy.direction == Direction::In {
                    self.cut_tuple(out);
                }
                return Err(error);
            }
            put_value(out, Some(&self.stored));
            done = field.end;
        }
        out.extend_from_slice(tuple.get(done..).unwrap_or_default());
        Ok(())
    }

    /// Ends a tuple behind the values before the one that is none: the server looks at those, and then at this.
    fn cut_tuple(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&NO_LENGTH.to_be_bytes());
        self.cut = true;
    }

    /// Seals or opens the value that was read, into the form that is to be written.
    fn convert(
        &mut self,
        column: &CopyColumn,
        format: Format,
        values: &mut Values<'_>,
    ) -> Result<(), ClientError> {
        self.stored.clear();
        let (value, stored) = (&self.value, &mut *self.stored);
        match &column.value {
            CopyValue::Plain => Ok(()),
            CopyValue::Seal(usage) => {
                let input = Input { source: usage.source, format, bytes: value };
                if let Err(error) = values.seal(usage, input, stored) {
                    let shown = (format == Format::Text).then_some(value.as_slice());
                    return Err(error.within(self.context(Some((&column.name, shown)))));
                }
                if usage.class.storage == Storage::Bytea && format == Format::Text {
                    // The value has been sealed: its place is free for the envelope.
                    std::mem::swap(&mut *self.value, stored);
                    stored.clear();
                    stored.extend_from_slice(b"\\x");
                    push_hex(&self.value, stored);
                }
                Ok(())
            }
            CopyValue::Open(OutputValue::Sealed(class)) => values.open(class, value, format, format, stored),
            CopyValue::Open(OutputValue::SealedArray(class)) => {
                open_array(class, value, format, values, stored)
            }
            CopyValue::Open(OutputValue::Plain) => Err(origins_disagree()),
        }
    }

    /// Data that is not in its format.
    fn fault(&self, fault: Fault, line: Option<&[u8]>) -> ClientError {
        let error = ClientError::error(fault.code, fault.message);
        let error = match fault.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        };
        match fault.column.and_then(|column| self.copy.columns.get(column)) {
            Some(column) => error.within(self.context(Some((&column.name, None)))),
            None => self.placed(error, line),
        }
    }

    /// An error of a line or tuple, with its place; the line is shown.
    fn placed(&self, error: ClientError, line: Option<&[u8]>) -> ClientError {
        if self.copy.direction == Direction::Out {
            return origins_disagree();
        }
        match (line, &self.cutter) {
            (Some(line), _) => error.within(format!("{}: \"{}\"", self.context(None), shown(line))),
            // The server looks at the header before it begins to count.
            (None, Cutter::Tuples(tuples)) if tuples.number() == 0 => error,
            (None, _) => error.within(self.context(None)),
        }
    }

    /// What the server would say of the place in the data: in a column, with a value that can be shown.
    fn context(&self, column: Option<(&str, Option<&[u8]>)>) -> String {
        let number = match &self.cutter {
            Cutter::Lines(lines) => lines.number(),
            Cutter::Tuples(tuples) => tuples.number(),
        };
        self.context_at(number, column)
    }

    fn context_at(&self, number: u64, column: Option<(&str, Option<&[u8]>)>) -> String {
        let place = format!("COPY {}, line {number}", self.copy.relation);
        match column {
            None => place,
            Some((name, None)) => format!("{place}, column {name}"),
            Some((name, Some(value))) => format!("{place}, column {name}: \"{}\"", shown(value)),
        }
    }
}

/// How values of text and csv are written.
enum Syntax<'c> {
    Text(&'c LineFormat),
    Csv(&'c LineFormat, Signs),
}

impl<'c> Syntax<'c> {
    fn of(copy: &'c Copy) -> Option<Self> {
        match &copy.format {
            CopyFormat::Text(lines) => Some(Self::Text(lines)),
            CopyFormat::Csv { lines, quote, escape } => {
                Some(Self::Csv(lines, Signs { delimiter: lines.delimiter, quote: *quote, escape: *escape }))
            }
            CopyFormat::Binary => None,
        }
    }

    fn lines(&self) -> &'c LineFormat {
        match self {
            Self::Text(lines) | Self::Csv(lines, _) => lines,
        }
    }

    fn split(
        &self,
        line: &[u8],
        limit: usize,
        fields: &mut Vec<Field>,
    ) -> Result<(), super::csv::Unterminated> {
        fields.clear();
        match self {
            Self::Text(lines) => {
                text::split(line, lines.delimiter, limit, fields);
                Ok(())
            }
            Self::Csv(_, signs) => signs.split(line, limit, fields),
        }
    }

    fn decode(&self, raw: &[u8], value: &mut Vec<u8>) {
        value.clear();
        match self {
            Self::Text(_) => text::unescape(raw, value),
            Self::Csv(_, signs) => signs.unquote(raw, value),
        }
    }

    /// The value of a field; false if it is NULL, or stands for the column's default.
    fn read(&self, raw: &[u8], quoted: bool, column: &CopyColumn, value: &mut Vec<u8>) -> bool {
        let lines = self.lines();
        let is_csv = matches!(self, Self::Csv(..));
        if !quoted && raw == lines.null.as_bytes() {
            if !(is_csv && column.force_not_null) {
                return false;
            }
            value.clear();
            value.extend_from_slice(lines.null.as_bytes());
            return true;
        }
        if !quoted && lines.default.as_ref().is_some_and(|default| raw == default.as_bytes()) {
            return false;
        }
        self.decode(raw, value);
        !(is_csv && column.force_null && *value == lines.null.as_bytes())
    }

    /// Writes a value that is not NULL, whatever it looks like.
    fn write_quoted(&self, value: &[u8], storage: Option<Storage>, out: &mut BytesMut) {
        match (self, value) {
            // Text knows no delimiter that is a digit or a small letter.
            (Self::Text(_), [b'\\', b'x', ..]) if storage == Some(Storage::Bytea) => {
                out.extend_from_slice(b"\\");
                out.extend_from_slice(value);
            }
            // The server looks for the word for NULL before it reads escapes.
            (Self::Text(lines), _) if value == lines.null.as_bytes() => {
                let mut escaped = Vec::new();
                for byte in value {
                    escaped.extend_from_slice(b"\\x");
                    push_hex(&[*byte], &mut escaped);
                }
                out.extend_from_slice(&escaped);
            }
            (Self::Text(lines), _) => text::escape(value, lines.delimiter, out),
            (Self::Csv(_, signs), _) => signs.quote(value, out),
        }
    }

    /// Writes a value as the server would have; `alone` in its row.
    fn write(&self, value: &[u8], column: &CopyColumn, alone: bool, out: &mut BytesMut) {
        match self {
            Self::Text(lines) => text::escape(value, lines.delimiter, out),
            Self::Csv(lines, signs) => {
                if column.force_quote || signs.needs_quotes(value, lines.null.as_bytes(), alone) {
                    signs.quote(value, out);
                } else {
                    out.extend_from_slice(value);
                }
            }
        }
    }
}

/// The client's own data as it stands in an error's context.
fn shown(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    if text.len() <= MAX_SHOWN {
        return text.into_owned();
    }
    let cut = (0..=MAX_SHOWN).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", text.get(..cut).unwrap_or_default())
}

fn too_long() -> ClientError {
    ClientError::error(SqlState::PROGRAM_LIMIT_EXCEEDED, "a row of COPY is longer than 1 GB")
}
