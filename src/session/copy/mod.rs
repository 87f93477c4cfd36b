//! COPY of protected relations: values sealed and opened while they stream.
//!
//! | file | what it holds |
//! |---|---|
//! | `stream` | the data of one COPY, one row at a time |
//! | `lines` | where a row of text or csv ends |
//! | `shifts` | numbers of lines where fewer are written than came |
//! | `text`, `csv`, `binary` | values in each format |
//!
//! A value that cannot be sealed ends the COPY: the server is given its row as far as the value, so that it finds
//! what is wrong before it, and then CopyFail. Its error for what is missing gives way to ours.

mod binary;
mod csv;
mod lines;
mod shifts;
mod stream;
mod text;

use bytes::{Buf as _, BytesMut};

pub(super) use self::stream::Stream;

use super::queue::StandIn;
use super::stopwatch::Part;
use super::trail::Within;
use super::values::Values;
use super::{End, Fate, Passing, Session, Step, Tools, rows};
use crate::error::{ClientError, SqlState};
use crate::metrics::Refused;
use crate::sql::copy::{CopyFormat, Direction};
use crate::wire::frame::HEAD;
use crate::wire::frontend::write_bare;
use crate::wire::reader::{message, put_cstr};
use crate::wire::{Head, Reader, Side};

/// The reason in the CopyFail that stands for a refused value, and all of it that the server sees.
const REFUSED: &[u8] = b"refused by pgseal";

/// What the server says of CopyFail.
const FAILED: &[&str] = &["57014"];

/// What it says of a row that ends too early; of CopyFail, should it not come to look at that.
const CUT: &[&str] = &["22P04", "57014"];

/// Bytes of data that are looked at in one go: what is written for them is one message, and fits the buffers.
const PIECE: usize = 64 * 1024;

/// The longest row, as the server's (`MaxAllocSize`).
const MAX_ROW: usize = 0x3fff_ffff;

/// A value's place in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    start: usize,
    end: usize,
    /// csv: a part of it stands in quotes, so that it is not NULL. Binary: it is not NULL.
    quoted: bool,
}

impl Session {
    /// The server begins to copy. False: what it says does not fit the analysis, and was dealt with.
    pub(super) fn begin_copy(&mut self, tag: u8, body: &[u8], tools: &mut Tools<'_>) -> Result<bool, End> {
        let Some(entry) = self.queue.front() else { return Ok(true) };
        let copy = entry.prepared.as_ref().and_then(|p| p.copy(entry.statement)).cloned();
        let Some(copy) = copy else { return Ok(true) };
        let mut r = Reader::new(body);
        let broken = |e| End::Wire(Side::Server, e);
        let (format, columns) = (r.u8().map_err(broken)?, r.count(2).map_err(broken)?);
        let agrees = (tag == b'G') == (copy.direction == Direction::In)
            && (format == 1) == (copy.format == CopyFormat::Binary)
            && columns == copy.columns.len();
        if agrees {
            self.copy = Some(Stream::new(copy));
            return Ok(true);
        }
        tools.metrics.origin_disagreements.increment(1);
        tracing::error!("the server's account of a copied relation contradicts the analysis");
        if tag == b'G' {
            self.fail_copy(rows::origins_disagree(), "copy", FAILED);
        } else {
            self.fail_front(rows::origins_disagree())?;
        }
        Ok(false)
    }

    /// CopyData, CopyDone or CopyFail of the client for a COPY whose values are sealed.
    pub(super) fn sealed_copy_frame(
        &mut self,
        head: Head,
        input: &mut BytesMut,
        tools: &mut Tools<'_>,
    ) -> Step {
        match head.tag {
            b'd' => {
                input.advance(HEAD);
                self.from_client = Passing { left: head.total - HEAD, fate: Fate::Sealed };
            }
            b'c' => {
                // It has no body that the server would look at.
                self.from_client = Passing::dropped(head.total);
                self.seal_rows(&[], true, tools);
                if self.copying_in {
                    write_bare(&mut self.to_server, b'c');
                    self.end_copy();
                }
            }
            _ => {
                let Some(body) = head.body(input) else { return Step::More };
                // A driver's reason quotes what it stumbled over.
                let reason = String::from_utf8_lossy(body.strip_suffix(b"\0").unwrap_or(body));
                let message = format!("COPY from stdin failed: {reason}");
                let mut error = ClientError::error(SqlState::QUERY_CANCELED, message);
                error.context = self.copy.as_ref().and_then(Stream::place);
                self.fail_copy(error, "copy failed by the client", FAILED);
                input.advance(head.total);
            }
        }
        Step::Done
    }

    /// Takes what is there of a CopyData message.
    pub(super) fn seal_data(&mut self, input: &mut BytesMut, tools: &mut Tools<'_>) {
        let piece = input.split_to(self.from_client.left.min(input.len()).min(PIECE));
        self.from_client.left -= piece.len();
        self.seal_rows(&piece, false, tools);
    }

    fn seal_rows(&mut self, data: &[u8], last: bool, tools: &mut Tools<'_>) {
        let since = self.timer();
        let Some(stream) = &mut self.copy else { return };
        let mut values = Values::new(tools, &self.settings, &mut self.scratch);
        let pushed = stream.push(data, last, &mut values, &mut self.to_server);
        self.spent(Part::Sealing, since);
        let Some(stream) = &mut self.copy else { return };
        if let Err(error) = pushed {
            let refused = Refused { reason: "value", hint: error.hint.as_deref(), ..Refused::default() };
            tools.metrics.refused(refused);
            let expected = if stream.is_cut() { CUT } else { FAILED };
            if stream.is_row_pending() {
                // An error of that row is the first one; the byte begins a row that never ends.
                message(&mut self.to_server, b'd', |body| body.extend_from_slice(b"x"));
            }
            self.fail_copy(error, "value", expected);
            self.from_client.fate = Fate::Dropped;
        }
    }

    /// Ends a COPY FROM STDIN on the server; what the client still sends for it is dropped.
    fn fail_copy(&mut self, error: ClientError, reason: &'static str, expected: &'static [&'static str]) {
        message(&mut self.to_server, b'f', |body| put_cstr(body, REFUSED));
        self.end_copy();
        if let Some(front) = self.queue.front_mut() {
            // It began, so no transaction had failed before it.
            front.stand_in =
                Some(Box::new(StandIn { error, expected, reason, about: (None, None), always: true }));
        }
    }

    /// No data of the client's follows. The numbers of its lines are kept for the server's answer.
    fn end_copy(&mut self) {
        self.copying_in = false;
        if let Some(stream) = &mut self.copy {
            stream.end();
        }
    }

    /// Data of a COPY TO STDOUT whose values are opened; `last` for CopyDone.
    pub(super) fn open_rows(&mut self, data: &[u8], last: bool, tools: &mut Tools<'_>) -> Result<(), End> {
        let since = self.timer();
        let Some(stream) = &mut self.copy else { return Ok(()) };
        debug_assert_eq!(stream.copy().direction, Direction::Out);
        let mut values = Values::new(tools, &self.settings, &mut self.scratch);
        let before = stream.rows_written();
        let pushed = stream.push(data, last, &mut values, &mut self.to_client);
        let rows = stream.rows_written() - before;
        self.note_opened(Within::Copy, rows);
        self.spent(Part::Opening, since);
        match pushed {
            Ok(()) => Ok(()),
            Err(error) => {
                self.copy = None;
                self.cannot_open(error, tools)
            }
        }
    }
}
