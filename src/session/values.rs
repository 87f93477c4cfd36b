//! One value on its way: from the client's form to the stored one and back.

use std::time::Instant;

use super::Tools;
use super::trail::Trail;
use crate::catalog::{Class, ColumnState, Form, Pin, Storage};
use crate::crypto::{self, Mode};
use crate::datum::{self, DatumError, Format, Input, Oid, Settings, Type};
use crate::error::{ClientError, ClientFacing as _, SqlState};
use crate::keyring::{SealError, Vault};
use crate::sql::Use;

/// `bytea`, `text` and their arrays, as the server numbers them.
pub(super) const BYTEA: Oid = 17;
pub(super) const TEXT: Oid = 25;
const VARCHAR: Oid = 1043;
const BYTEA_ARRAY: Oid = 1001;
const TEXT_ARRAY: Oid = 1009;

/// The longest sealed value: far below what a length word or PostgreSQL's 1 GB for a datum can hold, so
/// that hex and base64 forms of it fit too.
const MAX_SEALED: usize = 256 << 20;

/// The type that the server is told for a sealed parameter.
pub(super) fn stored_oid(storage: Storage, array: bool) -> Oid {
    match (storage, array) {
        (Storage::Bytea, false) => BYTEA,
        (Storage::Bytea, true) => BYTEA_ARRAY,
        (Storage::Text, false) => TEXT,
        (Storage::Text, true) => TEXT_ARRAY,
    }
}

/// True if a result column of this type can hold the stored form.
pub(super) fn can_hold(storage: Storage, array: bool, oid: Oid) -> bool {
    oid == stored_oid(storage, array) || (oid == VARCHAR && storage == Storage::Text && !array)
}

/// Seals and opens with a worker's vault under a session's settings.
pub(super) struct Values<'a> {
    pub(super) vault: &'a mut Vault,
    pub(super) settings: &'a Settings,
    pub(super) now: Instant,
    /// Plaintext between its two forms; kept to save allocations, wiped when the session's buffers are.
    scratch: &'a mut Scratch,
}

/// Buffers that hold one value at a time.
#[derive(Default)]
pub(super) struct Scratch {
    canonical: zeroize::Zeroizing<Vec<u8>>,
    envelope: Vec<u8>,
    /// Counts what is opened, if that is wanted.
    pub(super) trail: Option<Trail>,
    /// A value in the client's form, before its length is known.
    opened: zeroize::Zeroizing<Vec<u8>>,
}

impl<'a> Values<'a> {
    /// With what a call lends and what the session has.
    pub(super) fn new(tools: &'a mut Tools<'_>, settings: &'a Settings, scratch: &'a mut Scratch) -> Self {
        Self { vault: tools.vault, settings, now: tools.now, scratch }
    }
}

impl Values<'_> {
    /// Appends the stored form of a client's value: a raw envelope, or its text form under text storage. Of a class
    /// whose values are being moved it is the one before the move, which a trigger on the table makes right.
    pub(super) fn seal(
        &mut self,
        usage: &Use,
        input: Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        self.take(usage, input)?;
        let form = self.form(&usage.class).map_err(|e| named(e.client_error(), &usage.class))?;
        self.stored(&usage.class, form, out)
    }

    /// Appends both forms of a client's value whose class is being moved, the old one to `old`.
    pub(super) fn seal_both(
        &mut self,
        usage: &Use,
        pin: &Pin,
        input: Input<'_>,
        old: &mut Vec<u8>,
        new: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        self.take(usage, input)?;
        self.stored(&usage.class, pin.old, old)?;
        self.stored(&usage.class, pin.new, new)
    }

    /// The form in which a class's values are stored.
    fn form(&self, class: &Class) -> Result<Form, SealError> {
        let keys = self.vault.keys();
        match &class.pin {
            Some(pin) => Ok(pin.stores()),
            // Nothing else tells whether its values are plaintext, all of them: the rows may be of either kind.
            None if class.is_between() => Err(SealError::NotBegun),
            None if class.binding.mode != Mode::Randomized && keys.is_retiring(&class.key) => {
                Err(SealError::NotPinned(class.key.clone()))
            }
            None => {
                let active = keys.active(&class.key).map(Form::Sealed);
                active.ok_or_else(|| SealError::NoActiveKey(class.key.clone()))
            }
        }
    }

    /// Takes a client's value in: its canonical form is kept until the next one.
    fn take(&mut self, usage: &Use, input: Input<'_>) -> Result<(), ClientError> {
        self.take_value(usage, input).map_err(|error| {
            if usage.is_conditional && error.code.is_data_exception() { conditional(usage) } else { error }
        })
    }

    fn take_value(&mut self, usage: &Use, input: Input<'_>) -> Result<(), ClientError> {
        let class = &*usage.class;
        let normalise = class.binding.mode != Mode::Randomized;
        let cast = self.cast(&usage.casts, input).map_err(|e| named(e.client_error(), class))?;
        let input = match (&cast, usage.casts.last()) {
            (Some(bytes), Some(ty)) => Input { source: Some(ty.oid()), format: Format::Binary, bytes },
            _ => input,
        };
        self.scratch.canonical.clear();
        datum::canonical(
            input,
            &class.ty,
            usage.purpose,
            normalise,
            self.settings,
            &mut self.scratch.canonical,
        )
        .map_err(|e| named(e.client_error(), class))?;
        if self.scratch.canonical.len() > MAX_SEALED {
            return Err(ClientError::error(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("value for encrypted column {} is longer than {MAX_SEALED} bytes", class.column),
            ));
        }
        Ok(())
    }

    /// Appends one stored form of the value that was taken in.
    fn stored(&mut self, class: &Class, form: Form, out: &mut Vec<u8>) -> Result<(), ClientError> {
        let Scratch { canonical, envelope, opened: _, trail: _ } = &mut *self.scratch;
        let key = match form {
            Form::Sealed(key) => key,
            // The policy has the last word on what may be sent as it is.
            Form::Plaintext if class.state != ColumnState::Migrating || class.storage != Storage::Text => {
                return Err(named(SealError::NotMigrating.client_error(), class));
            }
            Form::Plaintext if crypto::looks_like_text_envelope(canonical) => return Err(ambiguous(class)),
            // Such columns are of text types, whose canonical form is the text.
            Form::Plaintext => {
                out.extend_from_slice(canonical);
                return Ok(());
            }
        };
        envelope.clear();
        let sealed = match class.storage {
            Storage::Bytea => &mut *out,
            Storage::Text => &mut *envelope,
        };
        self.vault
            .seal_under(key, &class.binding, canonical, sealed, self.now)
            .map_err(|e| named(e.client_error(), class))?;
        match class.storage {
            Storage::Bytea => {}
            Storage::Text => crypto::encode_text(envelope, out),
        }
        Ok(())
    }

    /// The value in binary format after the casts of the statement, if there are any to evaluate.
    pub(super) fn cast(
        &self,
        casts: &[Type],
        input: Input<'_>,
    ) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, DatumError> {
        let mut done: Option<(Oid, zeroize::Zeroizing<Vec<u8>>)> = None;
        for ty in casts {
            let mut next = zeroize::Zeroizing::new(Vec::new());
            let input = match &done {
                Some((oid, bytes)) => Input { source: Some(*oid), format: Format::Binary, bytes },
                None => input,
            };
            datum::cast(input, ty, self.settings, &mut next)?;
            done = Some((ty.oid(), next));
        }
        Ok(done.map(|(_, bytes)| bytes))
    }

    /// Appends the client's form of a stored value.
    pub(super) fn open(
        &mut self,
        class: &Class,
        stored: &[u8],
        stored_format: Format,
        format: Format,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        out.extend_from_slice(self.opened(class, stored, stored_format, format)?);
        Ok(())
    }

    /// The client's form of a stored value, until the next one.
    pub(super) fn opened(
        &mut self,
        class: &Class,
        stored: &[u8],
        stored_format: Format,
        format: Format,
    ) -> Result<&[u8], ClientError> {
        let corrupt = || {
            ClientError::error(
                SqlState::DATA_CORRUPTED,
                format!("a value of encrypted column {} is not a sealed value", class.column),
            )
            .with_hint(
                "The row may hold plaintext that was written around the proxy. \"pgseal verify\" names such rows.",
            )
        };
        let Scratch { canonical, envelope: decoded, opened, trail } = &mut *self.scratch;
        let mut note = || {
            if let Some(trail) = trail {
                trail.add(class);
            }
        };
        if class.state == ColumnState::Migrating
            && class.storage == Storage::Text
            && !crypto::looks_like_text_envelope(stored)
        {
            // Such columns are of text types, whose canonical form is the text.
            opened.clear();
            datum::write(stored, &class.ty, format, self.settings, opened)
                .map_err(|e| named(e.client_error(), class))?;
            note();
            return Ok(opened);
        }
        decoded.clear();
        let envelope = match (class.storage, stored_format) {
            (Storage::Bytea, Format::Binary) => stored,
            (Storage::Bytea, Format::Text) => {
                bytea_from_text(stored, decoded).ok_or_else(corrupt)?;
                &**decoded
            }
            (Storage::Text, _) => {
                crypto::decode_text(stored, decoded).map_err(|_| corrupt())?;
                &**decoded
            }
        };
        canonical.clear();
        self.vault.open(&class.binding, envelope, canonical).map_err(|e| named(e.client_error(), class))?;
        note();
        if datum::is_written_as_it_is(&class.ty, format) {
            return Ok(canonical);
        }
        opened.clear();
        datum::write(canonical, &class.ty, format, self.settings, opened)
            .map_err(|e| named(e.client_error(), class))?;
        Ok(opened)
    }
}

/// A value that its cast does not take, where the server might not have come to the cast.
fn conditional(usage: &Use) -> ClientError {
    let column = &usage.class.column;
    let message =
        format!("a value for encrypted column {column} is none that the cast of its expression takes");
    ClientError::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .with_hint("Cast the value itself and not the expression around it.")
}

/// Plaintext that would be read as a sealed value.
fn ambiguous(class: &Class) -> ClientError {
    let message = format!(
        "a value that begins with pgs1. cannot be stored in column {} or compared with it now",
        class.column
    );
    ClientError::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .with_detail(
            "Values that are encrypted begin so, and the column is being moved from or to plaintext.",
        )
        .with_hint("Once all of its values are encrypted it can be.")
}

/// An error about one column says which.
fn named(mut error: ClientError, class: &Class) -> ClientError {
    let place = format!("encrypted column {}", class.column);
    error.detail = Some(match error.detail {
        Some(detail) => format!("{detail} ({place})"),
        None => format!("The value is for {place}."),
    });
    error
}

/// Appends the bytes of a `bytea` in text form: `\x` and hex, or the older escape form (`bytea_output`).
pub(super) fn bytea_from_text(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if let Some(hex) = text.strip_prefix(b"\\x") {
        out.reserve(hex.len() / 2);
        // A digit that is none has its high bits set, and they stay set: one look at the end is enough.
        let mut wrong = 0;
        // In blocks, the compiler does many digits at once.
        let (blocks, rest) = hex.as_chunks::<32>();
        for block in blocks {
            let mut digits = *block;
            digits.iter_mut().for_each(|digit| *digit = nibble(*digit));
            wrong |= digits.iter().fold(0, |all, digit| all | digit);
            let mut bytes = [0; 16];
            let (pairs, _) = digits.as_chunks::<2>();
            for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
                *byte = high << 4 | low & 15;
            }
            out.extend_from_slice(&bytes);
        }
        let (pairs, rest) = rest.as_chunks::<2>();
        out.extend(pairs.iter().map(|pair| {
            let [high, low] = pair.map(nibble);
            wrong |= high | low;
            high << 4 | low & 15
        }));
        return (rest.is_empty() && wrong < 16).then_some(());
    }
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            out.push(byte);
        } else if let Some(tail) = rest.strip_prefix(b"\\") {
            out.push(b'\\');
            rest = tail;
        } else {
            let (digits, tail) = rest.split_first_chunk::<3>()?;
            let [a, b, c] = digits.map(|d| d.wrapping_sub(b'0'));
            if a > 3 || b > 7 || c > 7 {
                return None;
            }
            out.push(a << 6 | b << 3 | c);
            rest = tail;
        }
    }
    Some(())
}

/// The value of a hexadecimal digit, 255 for any other byte.
fn nibble(digit: u8) -> u8 {
    let (number, letter) = (digit.wrapping_sub(b'0'), (digit | 0x20).wrapping_sub(b'a'));
    // Not a match: what is chosen among can be computed for many digits at once.
    let letter = if letter < 6 { letter + 10 } else { 255 };
    if number < 10 { number } else { letter }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::splice::push_hex;

    #[test]
    fn bytea_is_read_from_both_text_forms() {
        for (text, bytes) in [
            (&b"\\x00ffE5"[..], Some(vec![0, 0xff, 0xe5])),
            (b"\\x", Some(vec![])),
            (b"\\xf", None),
            (b"\\xzz", None),
            (b"a\\\\b\\345\\000", Some(vec![b'a', b'\\', b'b', 0xe5, 0])),
            (b"\\4", None),
            (b"\\999", None),
            (b"\\477", None),
        ] {
            let mut out = Vec::new();
            assert_eq!(bytea_from_text(text, &mut out).map(|()| out), bytes, "{text:?}");
        }
    }

    #[test]
    fn hexadecimal_digits_and_nothing_else_are_read_at_any_place() {
        let bytes: Vec<u8> = (0..100).map(|n: u8| n.wrapping_mul(89)).collect();
        for length in 0..bytes.len() {
            let mut text = b"\\x".to_vec();
            push_hex(&bytes[..length], &mut text);
            for upper in [false, true] {
                let mut out = Vec::new();
                if upper {
                    text[2..].make_ascii_uppercase();
                }
                assert_eq!(bytea_from_text(&text, &mut out), Some(()));
                assert_eq!(out, bytes[..length]);
            }
        }
        let text = [&b"\\x"[..], &[b'a'; 70]].concat();
        for (at, byte) in (2..text.len()).flat_map(|at| (0..=255).map(move |byte: u8| (at, byte))) {
            let mut changed = text.clone();
            changed[at] = byte;
            let given = bytea_from_text(&changed, &mut Vec::new()).is_some();
            assert_eq!(given, byte.is_ascii_hexdigit(), "{byte} at {at}");
        }
    }
}
