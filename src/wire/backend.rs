//! Messages of the server that the proxy looks into or sends in the server's place.

use bytes::{BufMut, BytesMut};
use pgwire::messages::Message as _;
use pgwire::messages::response::ErrorResponse;

use super::reader::{message, put_count, put_cstr};
use super::{Oid, Reader, WireError};
use crate::error::ClientError;

/// What ReadyForQuery tells of the session's transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionStatus {
    /// `I`: none.
    #[default]
    Idle,
    /// `T`: in a block.
    Open,
    /// `E`: in a failed block.
    Failed,
}

impl TransactionStatus {
    /// Reads the body of ReadyForQuery.
    ///
    /// # Errors
    /// Another letter, or a body that is longer.
    pub fn read(body: &[u8]) -> Result<Self, WireError> {
        match body {
            b"I" => Ok(Self::Idle),
            b"T" => Ok(Self::Open),
            b"E" => Ok(Self::Failed),
            _ => Err(WireError::Field("transaction status")),
        }
    }
}

/// One column of a RowDescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The relation that it comes from, 0 for none.
    pub table: Oid,
    /// The attribute number in it, 0 for none.
    pub attribute: i16,
    /// Its type.
    pub type_oid: Oid,
    /// The type's size, negative for variable ones.
    pub type_size: i16,
    /// The type's modifier, -1 for none.
    pub modifier: i32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// Reads the body of a RowDescription.
///
/// # Errors
/// A body that is not one.
pub fn row_description(body: &[u8]) -> Result<Vec<Field<'_>>, WireError> {
    let mut r = Reader::new(body);
    let n = r.count(19)?;
    let fields = (0..n)
        .map(|_| {
            Ok(Field {
                name: r.cstr()?,
                table: r.u32()?,
                attribute: r.i16()?,
                type_oid: r.u32()?,
                type_size: r.i16()?,
                modifier: r.i32()?,
                format: r.i16()?,
            })
        })
        .collect::<Result<_, _>>()?;
    r.finish()?;
    Ok(fields)
}

/// Writes a RowDescription.
pub fn write_row_description(out: &mut BytesMut, fields: &[Field<'_>]) {
    message(out, b'T', |b| {
        put_count(b, fields.len());
        for f in fields {
            put_cstr(b, f.name);
            b.put_u32(f.table);
            b.put_i16(f.attribute);
            b.put_u32(f.type_oid);
            b.put_i16(f.type_size);
            b.put_i32(f.modifier);
            b.put_i16(f.format);
        }
    });
}

/// Reads the body of a ParameterDescription.
///
/// # Errors
/// A body that is not one.
pub fn parameter_description(body: &[u8]) -> Result<Vec<Oid>, WireError> {
    let mut r = Reader::new(body);
    let n = r.count(4)?;
    let types = (0..n).map(|_| r.u32()).collect::<Result<_, _>>()?;
    r.finish()?;
    Ok(types)
}

/// Writes a ParameterDescription.
pub fn write_parameter_description(out: &mut BytesMut, types: &[Oid]) {
    message(out, b't', |b| {
        put_count(b, types.len());
        for oid in types {
            b.put_u32(*oid);
        }
    });
}

/// Reads the body of a ParameterStatus: name and value.
///
/// # Errors
/// A body that is not one.
pub fn parameter_status(body: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let mut r = Reader::new(body);
    let pair = (r.cstr()?, r.cstr()?);
    r.finish()?;
    Ok(pair)
}

/// The fields of an ErrorResponse or NoticeResponse in their order: code letter and text.
///
/// # Errors
/// A body that is not one.
pub fn notice_fields(body: &[u8]) -> Result<Vec<(u8, &[u8])>, WireError> {
    let mut r = Reader::new(body);
    let mut fields = Vec::new();
    loop {
        match r.u8()? {
            0 => break,
            code => fields.push((code, r.cstr()?)),
        }
    }
    r.finish()?;
    Ok(fields)
}

/// Writes an ErrorResponse (`E`) or NoticeResponse (`N`) of such fields.
pub fn write_notice<'f>(out: &mut BytesMut, tag: u8, fields: impl Iterator<Item = (u8, &'f [u8])>) {
    message(out, tag, |b| {
        for (code, text) in fields {
            b.put_u8(code);
            put_cstr(b, text);
        }
        b.put_u8(0);
    });
}

/// Writes an error of our own as an ErrorResponse.
pub fn write_error(out: &mut BytesMut, error: &ClientError) {
    let severity = error.severity.as_str().to_owned();
    let mut fields = vec![
        (b'S', severity.clone()),
        (b'V', severity),
        (b'C', error.code.as_str().to_owned()),
        (b'M', clip(&error.message)),
    ];
    fields.extend(error.detail.as_deref().map(|d| (b'D', clip(d))));
    fields.extend(error.hint.as_deref().map(|h| (b'H', clip(h))));
    fields.extend(error.position.map(|p| (b'P', p.to_string())));
    fields.extend(error.context.as_deref().map(|w| (b'W', clip(w))));
    // Encoding fails only beyond pgwire's size limit of a message, which clipped texts cannot reach.
    let _ = ErrorResponse::new(fields).encode(out);
}

/// Texts quote what the client sent, which may be long; a message of PostgreSQL's small kind has 10 kB.
fn clip(text: &str) -> String {
    const MAX: usize = 2_000;
    text.chars().filter(|c| *c != '\0').take(MAX).collect()
}

/// The values of a DataRow in place.
///
/// # Errors
/// A body that is not one.
pub fn data_row(body: &[u8]) -> Result<Vec<Option<&[u8]>>, WireError> {
    let mut r = Reader::new(body);
    let n = r.count(4)?;
    let values = (0..n).map(|_| r.value()).collect::<Result<_, _>>()?;
    r.finish()?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SqlState;

    #[test]
    fn a_row_description_is_read_as_it_is_written_and_refused_at_every_cut() {
        let fields = [Field {
            name: b"email",
            table: 16_384,
            attribute: 2,
            type_oid: 17,
            type_size: -1,
            modifier: -1,
            format: 0,
        }];
        let mut out = BytesMut::new();
        write_row_description(&mut out, &fields);
        assert_eq!(row_description(&out[5..]).as_deref(), Ok(&fields[..]));
        for cut in 5..out.len() {
            assert!(row_description(&out[5..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn our_errors_carry_their_fields() {
        let error = ClientError::error(SqlState::FEATURE_NOT_SUPPORTED, "no").with_hint("try").at(7);
        let mut out = BytesMut::new();
        write_error(&mut out, &error);
        let fields = notice_fields(&out[5..]).unwrap();
        let text = |c| fields.iter().find(|(k, _)| *k == c).map(|(_, v)| std::str::from_utf8(v).unwrap());
        assert_eq!((text(b'S'), text(b'C'), text(b'P')), (Some("ERROR"), Some("0A000"), Some("7")));
        assert_eq!((text(b'M'), text(b'H'), text(b'D')), (Some("no"), Some("try"), None));
    }

    #[test]
    fn a_long_error_is_still_sent() {
        let mut out = BytesMut::new();
        write_error(&mut out, &ClientError::error(SqlState::INTERNAL, "é".repeat(100_000)));
        assert!(out.len() > 1_000 && out.len() < 10_000);
    }

    #[test]
    fn error_fields_without_an_end_are_refused() {
        assert_eq!(notice_fields(b"SERROR\0"), Err(WireError::Truncated { wanted: 1, left: 0 }));
    }
}
