//! Errors and notices of the server as the client may see them.
//!
//! The server knows only sealed values and the edited text. So positions are carried back to the client's
//! text, whole envelopes are opened (they hold the client's own values), and cut ones become `(sealed)`.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::BytesMut;
use memchr::memmem;

use super::copy::Stream;
use super::plans::Prepared;
use super::values::{Values, bytea_from_text};
use crate::catalog::{Class, Storage};
use crate::datum::Format;
use crate::wire::backend::{notice_fields, write_notice};
use crate::wire::{Side, WireError};

/// What stands in for an envelope that was cut, or that does not open.
const SEALED: &str = "(sealed)";

/// The beginnings of an envelope in text: hex of its magic byte, and the mark of text storage.
const MARKS: [&[u8]; 2] = [b"\\xe5", b"pgs1."];

/// Writes an ErrorResponse or NoticeResponse of the server for the client. False: it needs no change, and
/// nothing was written.
pub(super) fn rewrite(
    tag: u8,
    body: &[u8],
    prepared: Option<&Prepared>,
    copy: Option<&Stream>,
    classes: impl FnOnce() -> Vec<Arc<Class>>,
    values: &mut Values<'_>,
    out: &mut BytesMut,
) -> Result<bool, super::End> {
    let is_edited = prepared.is_some_and(|p| p.plan.is_some());
    let is_marked = MARKS.iter().any(|mark| memmem::find(body, mark).is_some());
    if !is_edited && !is_marked {
        return Ok(false);
    }
    let classes = if is_marked { classes() } else { Vec::new() };
    let broken = |e: WireError| super::End::Wire(Side::Server, e);
    let fields: Vec<(u8, Cow<'_, [u8]>)> = notice_fields(body)
        .map_err(broken)?
        .into_iter()
        // The text of a query inside the server, and the place in it, tell nothing of the client's statement.
        .filter(|(code, _)| !(is_edited && matches!(code, b'q' | b'p')))
        .map(|(code, text)| match (code, prepared) {
            (b'P', Some(prepared)) => (code, position(text, prepared)),
            (b'W', _) => {
                let context = std::str::from_utf8(text).ok().and_then(|t| copy?.context_of_client(t));
                match context {
                    Some(context) => {
                        (code, without_envelopes(context.as_bytes(), &classes, values).into_owned().into())
                    }
                    None => (code, without_envelopes(text, &classes, values)),
                }
            }
            _ => (code, without_envelopes(text, &classes, values)),
        })
        .collect();
    write_notice(out, tag, fields.iter().map(|(code, text)| (*code, &**text)));
    Ok(true)
}

/// What an ErrorResponse says.
pub(super) struct Told {
    pub(super) code: String,
    pub(super) message: String,
    /// The session is over.
    pub(super) fatal: bool,
}

/// Reads an ErrorResponse.
pub(super) fn told(body: &[u8]) -> Result<Told, WireError> {
    let fields = notice_fields(body)?;
    let text = |code| {
        let field = fields.iter().find(|(c, _)| *c == code);
        field.map(|(_, t)| String::from_utf8_lossy(t).into_owned()).unwrap_or_default()
    };
    let fatal = matches!(&*text(b'V'), "FATAL" | "PANIC");
    Ok(Told { code: text(b'C'), message: text(b'M'), fatal })
}

fn position<'t>(text: &'t [u8], prepared: &Prepared) -> Cow<'t, [u8]> {
    let sent = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    match sent {
        Some(sent) => Cow::Owned(prepared.positions.to_client(sent).to_string().into_bytes()),
        None => Cow::Borrowed(text),
    }
}

fn without_envelopes<'t>(text: &'t [u8], classes: &[Arc<Class>], values: &mut Values<'_>) -> Cow<'t, [u8]> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((start, storage)) = find_mark(rest) {
        let (before, marked) = rest.split_at(start);
        let length = match storage {
            Storage::Bytea => 2 + run(marked.get(2..).unwrap_or_default(), |b| b.is_ascii_hexdigit()),
            Storage::Text => run(marked, |b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
        };
        let (mut envelope, mut after) = marked.split_at_checked(length).unwrap_or((marked, &[]));
        // Dots after text storage are the server's, which cuts long values with "...".
        while let (Storage::Text, Some((b'.', head))) = (storage, envelope.split_last()) {
            envelope = head;
            after = marked.get(head.len()..).unwrap_or_default();
        }
        // The rows of COPY in text format have their backslashes doubled.
        let before = match (storage, before) {
            (Storage::Bytea, [head @ .., b'\\']) => head,
            (Storage::Bytea | Storage::Text, whole) => whole,
        };
        out.extend_from_slice(before);
        match open(envelope, storage, classes, values) {
            Some(value) => out.extend_from_slice(&value),
            None => {
                out.extend_from_slice(SEALED.as_bytes());
                after = after.strip_prefix(b"...").unwrap_or(after);
            }
        }
        rest = after;
    }
    if out.is_empty() && rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

fn find_mark(text: &[u8]) -> Option<(usize, Storage)> {
    let [hex, base64] = MARKS.map(|mark| memmem::find(text, mark));
    match (hex, base64) {
        (Some(h), Some(b)) if b < h => Some((b, Storage::Text)),
        (Some(h), _) => Some((h, Storage::Bytea)),
        (None, Some(b)) => Some((b, Storage::Text)),
        (None, None) => None,
    }
}

fn run(text: &[u8], of: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|b| of(**b)).count()
}

/// An envelope does not say which column it belongs to; it opens only as what it is.
fn open(text: &[u8], storage: Storage, classes: &[Arc<Class>], values: &mut Values<'_>) -> Option<Vec<u8>> {
    let (stored, format) = match storage {
        Storage::Bytea => {
            let mut bytes = Vec::new();
            bytea_from_text(text, &mut bytes)?;
            (Cow::Owned(bytes), Format::Binary)
        }
        Storage::Text => (Cow::Borrowed(text), Format::Text),
    };
    let mut out = Vec::new();
    classes.iter().filter(|c| c.storage == storage).find_map(|class| {
        out.clear();
        values.open(class, &stored, format, Format::Text, &mut out).ok()?;
        // A message is a string that ends at a zero byte.
        out.retain(|b| *b != 0);
        Some(std::mem::take(&mut out))
    })
}
