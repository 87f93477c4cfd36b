//! Messages of the client that the proxy looks into, and those that it sends in a client's place.

use bytes::{BufMut, BytesMut};

use super::reader::{message, put_count, put_cstr, put_value};
use super::{Format, Oid, Reader, WireError};

/// A Parse message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    /// Name of the statement, empty for the unnamed one.
    pub name: &'a [u8],
    /// The query text.
    pub text: &'a [u8],
    /// Declared parameter types, 0 for none.
    pub types: Vec<Oid>,
}

impl<'a> Parse<'a> {
    /// Reads the body.
    ///
    /// # Errors
    /// A body that is not a Parse message's.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(body);
        let (name, text) = (r.cstr()?, r.cstr()?);
        let n = r.count(4)?;
        let types = (0..n).map(|_| r.u32()).collect::<Result<_, _>>()?;
        r.finish()?;
        Ok(Self { name, text, types })
    }

    /// Writes the message.
    pub fn write(&self, out: &mut BytesMut) {
        message(out, b'P', |b| {
            put_cstr(b, self.name);
            put_cstr(b, self.text);
            put_count(b, self.types.len());
            for oid in &self.types {
                b.put_u32(*oid);
            }
        });
    }
}

/// A Bind message, its values in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// Name of the portal.
    pub portal: &'a [u8],
    /// Name of the statement.
    pub statement: &'a [u8],
    /// Formats of the parameters: none, one for all, or one each.
    pub formats: Formats,
    /// The parameters, `None` for NULL.
    pub values: Vec<Option<&'a [u8]>>,
    /// Formats of the result columns: none, one for all, or one each.
    pub result_formats: Formats,
}

/// Format codes as a Bind message spells them: none (all text), one for all, or one for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formats(pub Vec<Format>);

impl Formats {
    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        let n = r.count(2)?;
        (0..n)
            .map(|_| Format::from_code(r.i16()?).ok_or(WireError::Field("format code")))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Writes count and codes.
    pub fn write(&self, out: &mut BytesMut) {
        put_count(out, self.0.len());
        for format in &self.0 {
            out.put_i16(i16::from(*format == Format::Binary));
        }
    }

    /// The format of the `i`th value. `None` if codes were given for fewer values.
    pub fn of(&self, i: usize) -> Option<Format> {
        match self.0.as_slice() {
            [] => Some(Format::Text),
            [one] => Some(*one),
            all => all.get(i).copied(),
        }
    }
}

impl<'a> Bind<'a> {
    /// Reads the body.
    ///
    /// # Errors
    /// A body that is not a Bind message's.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(body);
        let (portal, statement) = (r.cstr()?, r.cstr()?);
        let formats = Formats::read(&mut r)?;
        let n = r.count(4)?;
        let values = (0..n).map(|_| r.value()).collect::<Result<_, _>>()?;
        let result_formats = Formats::read(&mut r)?;
        r.finish()?;
        Ok(Self { portal, statement, formats, values, result_formats })
    }

    /// Portal and statement name from the front of a body that need not be whole. `None` if it has not got
    /// that far.
    pub fn peek_names(front: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let mut r = Reader::new(front);
        Some((r.cstr().ok()?, r.cstr().ok()?))
    }

    /// Writes the message. Values are appended by the caller's iterator, so that sealed ones need not be
    /// gathered first.
    pub fn write<'v>(
        out: &mut BytesMut,
        portal: &[u8],
        statement: &[u8],
        formats: &Formats,
        values: impl ExactSizeIterator<Item = Option<&'v [u8]>>,
        result_formats: &Formats,
    ) {
        message(out, b'B', |b| {
            put_cstr(b, portal);
            put_cstr(b, statement);
            formats.write(b);
            put_count(b, values.len());
            for value in values {
                put_value(b, value);
            }
            result_formats.write(b);
        });
    }
}

/// What Describe and Close name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A prepared statement.
    Statement(&'a [u8]),
    /// A portal.
    Portal(&'a [u8]),
}

impl<'a> Target<'a> {
    /// Reads the body of a Describe or Close message.
    ///
    /// # Errors
    /// Another kind than `S` or `P`, or a body that is longer.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(body);
        let kind = r.u8()?;
        let name = r.cstr()?;
        r.finish()?;
        match kind {
            b'S' => Ok(Self::Statement(name)),
            b'P' => Ok(Self::Portal(name)),
            _ => Err(WireError::Field("kind of a Describe or Close")),
        }
    }

    /// Writes a Describe (`D`) or Close (`C`) message.
    pub fn write(&self, out: &mut BytesMut, tag: u8) {
        message(out, tag, |b| {
            let (kind, name) = match self {
                Self::Statement(name) => (b'S', name),
                Self::Portal(name) => (b'P', name),
            };
            b.put_u8(kind);
            put_cstr(b, name);
        });
    }
}

/// An Execute message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// Name of the portal.
    pub portal: &'a [u8],
    /// Rows to give at most, 0 for all.
    pub limit: i32,
}

impl<'a> Execute<'a> {
    /// Reads the body.
    ///
    /// # Errors
    /// A body that is not an Execute message's.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(body);
        let (portal, limit) = (r.cstr()?, r.i32()?);
        r.finish()?;
        Ok(Self { portal, limit })
    }

    /// Writes the message.
    pub fn write(&self, out: &mut BytesMut) {
        message(out, b'E', |b| {
            put_cstr(b, self.portal);
            b.put_i32(self.limit);
        });
    }
}

/// Writes a Query message.
pub fn write_query(out: &mut BytesMut, text: &[u8]) {
    message(out, b'Q', |b| put_cstr(b, text));
}

/// Writes a message without a body (Sync `S`, Flush `H`).
pub fn write_bare(out: &mut BytesMut, tag: u8) {
    message(out, tag, |_| ());
}

/// Writes a FunctionCall of a function that cannot exist (object id 0), without arguments.
pub fn write_impossible_call(out: &mut BytesMut) {
    message(out, b'F', |b| {
        b.put_u32(0);
        b.put_u16(0);
        b.put_u16(0);
        b.put_u16(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_is_read_as_it_is_written_and_refused_at_every_cut() {
        let formats = Formats(vec![Format::Text, Format::Binary]);
        let values = [Some(&b"abc"[..]), None];
        let mut out = BytesMut::new();
        Bind::write(&mut out, b"p", b"s", &formats, values.into_iter(), &Formats(vec![Format::Binary]));
        let body = &out[5..];
        let bind = Bind::read(body).unwrap();
        assert_eq!((bind.portal, bind.statement, &bind.values[..]), (&b"p"[..], &b"s"[..], &values[..]));
        assert_eq!((bind.formats.of(1), bind.formats.of(2)), (Some(Format::Binary), None));
        assert_eq!(bind.result_formats.of(7), Some(Format::Binary));
        for cut in 0..body.len() {
            assert!(Bind::read(&body[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn parse_is_read_as_it_is_written_and_refused_at_every_cut() {
        let parse = Parse { name: b"s", text: b"select $1", types: vec![0, 25] };
        let mut out = BytesMut::new();
        parse.write(&mut out);
        assert_eq!(Parse::read(&out[5..]), Ok(parse));
        for cut in 5..out.len() {
            assert!(Parse::read(&out[5..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn an_unknown_kind_of_describe_is_refused() {
        assert_eq!(Target::read(b"Xa\0"), Err(WireError::Field("kind of a Describe or Close")));
        assert_eq!(Target::read(b"Sa\0"), Ok(Target::Statement(b"a")));
        assert_eq!(Target::read(b"Sa\0b"), Err(WireError::Trailing(1)));
    }
}
