//! Each type's text and binary format to and from its canonical form.

use std::io::Write as _;

use super::array::{self, Array};
use super::cursor::exactly;
use super::datetime::{self, Interval};
use super::json;
use super::network::{self, Network};
use super::numeric::Numeric;
use super::settings::ByteaOutput;
use super::text::{self, check_utf8, utf8};
use super::{Base, DatumError, Format, Settings, Type, boolean, bytea, float, integer, uuid};

/// Writes a canonical value as the server would have printed (text) or sent (binary) it.
///
/// # Errors
///
/// [`DatumError::Corrupt`] if the bytes are no canonical form of the type,
/// [`DatumError::UnknownZone`] if a timestamptz is to be printed in a zone that is not known.
pub fn write(
    canonical: &[u8],
    ty: &Type,
    format: Format,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), DatumError> {
    let start = out.len();
    let result = match format {
        Format::Text => print(canonical, ty, settings, out),
        Format::Binary => send(canonical, ty, settings, out),
    };
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Whether [`write`] gives the canonical bytes themselves.
pub fn is_written_as_it_is(ty: &Type, format: Format) -> bool {
    matches!(
        (&ty.base, format),
        (Base::Text | Base::Varchar | Base::Enum(_) | Base::Json, _)
            | (Base::Jsonb, Format::Text)
            | (Base::Bytea, Format::Binary)
    )
}

/// Reads a value in either format by the type's own rules, without a modifier.
pub(super) fn decode(
    base: &Base,
    format: Format,
    bytes: &[u8],
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), DatumError> {
    match (format, base) {
        (Format::Text, Base::Text | Base::Varchar | Base::Bpchar) => {
            check_utf8(bytes)?;
            out.extend_from_slice(bytes);
            Ok(())
        }
        (Format::Text, _) => parse(base, utf8(bytes)?, settings, out),
        (Format::Binary, _) => receive(base, bytes, settings, out),
    }
}

fn parse(base: &Base, input: &str, settings: &Settings, out: &mut Vec<u8>) -> Result<(), DatumError> {
    match base {
        Base::Text | Base::Varchar | Base::Bpchar => out.extend_from_slice(input.as_bytes()),
        Base::Enum(ty) => {
            text::check_label(ty, input)?;
            out.extend_from_slice(input.as_bytes());
        }
        Base::Bool => out.push(u8::from(boolean::parse(input)?)),
        Base::Int2 | Base::Int4 | Base::Int8 => {
            out.extend_from_slice(&integer::parse(base, input)?.to_be_bytes());
        }
        Base::Float4 | Base::Float8 => out.extend_from_slice(&float::parse(base, input)?.to_be_bytes()),
        Base::Numeric => Numeric::parse(input)?.write(out)?,
        Base::Bytea => bytea::parse(input, out)?,
        Base::Date => out.extend_from_slice(&datetime::parse_date(input, settings)?.to_be_bytes()),
        Base::Time => out.extend_from_slice(&datetime::parse_time(input, settings)?.to_be_bytes()),
        Base::Timestamp | Base::Timestamptz => {
            let zoned = *base == Base::Timestamptz;
            out.extend_from_slice(&datetime::parse_timestamp(input, zoned, settings)?.to_be_bytes());
        }
        Base::Interval => Interval::parse(input, settings)?.write(out),
        Base::Uuid => out.extend_from_slice(&uuid::parse(input)?),
        Base::Inet | Base::Cidr => Network::parse(base, input)?.write(base, out),
        Base::Macaddr => out.extend_from_slice(&network::parse_macaddr(input)?),
        Base::Json => {
            json::check(input)?;
            out.extend_from_slice(input.as_bytes());
        }
        Base::Jsonb => json::normalise(input, out)?,
        Base::Array(element) => {
            decode_elements(
                array::parse(input.as_bytes(), Format::Text)?,
                element,
                Format::Text,
                settings,
                out,
            )?;
        }
    }
    Ok(())
}

fn receive(base: &Base, bytes: &[u8], settings: &Settings, out: &mut Vec<u8>) -> Result<(), DatumError> {
    match base {
        // The same in both formats.
        Base::Text | Base::Varchar | Base::Bpchar | Base::Enum(_) | Base::Json => {
            return parse(base, utf8(bytes)?, settings, out);
        }
        Base::Bool => out.push(u8::from(boolean::receive(bytes)?)),
        Base::Int2 | Base::Int4 | Base::Int8 => {
            out.extend_from_slice(&integer::receive(base, bytes)?.to_be_bytes());
        }
        Base::Float4 | Base::Float8 => out.extend_from_slice(&float::receive(base, bytes)?.to_be_bytes()),
        Base::Numeric => Numeric::receive(bytes)?.write(out)?,
        Base::Bytea => out.extend_from_slice(bytes),
        Base::Date => {
            let days = exactly(bytes).map(i32::from_be_bytes);
            let days = days.ok_or_else(|| DatumError::received("date", bytes, 4))?;
            in_range(datetime::is_date(days), "date")?;
            out.extend_from_slice(&days.to_be_bytes());
        }
        Base::Time => {
            let micros = receive_micros(bytes, "time")?;
            in_range(datetime::is_time(micros), "time")?;
            out.extend_from_slice(&micros.to_be_bytes());
        }
        Base::Timestamp | Base::Timestamptz => {
            let micros = receive_micros(bytes, "timestamp")?;
            in_range(datetime::is_timestamp(micros), "timestamp")?;
            out.extend_from_slice(&micros.to_be_bytes());
        }
        Base::Interval => Interval::receive(bytes)?.write(out),
        Base::Uuid => {
            let uuid: Option<[u8; uuid::LENGTH]> = exactly(bytes);
            let uuid = uuid.ok_or_else(|| DatumError::received("uuid", bytes, uuid::LENGTH))?;
            out.extend_from_slice(&uuid);
        }
        Base::Inet | Base::Cidr => Network::receive(base, bytes)?.write(base, out),
        Base::Macaddr => {
            let address: Option<[u8; 6]> = exactly(bytes);
            let address = address.ok_or_else(|| DatumError::received("macaddr", bytes, 6))?;
            out.extend_from_slice(&address);
        }
        Base::Jsonb => match bytes {
            [json::BINARY_VERSION, text @ ..] => json::normalise(utf8(text)?, out)?,
            _ => return Err(DatumError::received("jsonb", bytes, 1)),
        },
        Base::Array(element) => {
            let array = array::parse(bytes, Format::Binary)?;
            let (found, expected) = (array.element, element.oid());
            if found != expected {
                return Err(DatumError::ElementType { found, expected });
            }
            decode_elements(array, element, Format::Binary, settings, out)?;
        }
    }
    Ok(())
}

fn decode_elements(
    array: Array<'_>,
    element: &Base,
    format: Format,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), DatumError> {
    array.map(|bytes, out| decode(element, format, bytes, settings, out))?.write(0, Format::Binary, out);
    Ok(())
}

fn print(canonical: &[u8], ty: &Type, settings: &Settings, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let corrupt = || DatumError::Corrupt { ty: ty.name() };
    match &ty.base {
        Base::Text | Base::Varchar | Base::Enum(_) | Base::Json | Base::Jsonb => {
            out.extend_from_slice(canonical)
        }
        Base::Bpchar => text::pad(ty, canonical, out),
        Base::Bool => out.push(if boolean::read(canonical).ok_or_else(corrupt)? { b't' } else { b'f' }),
        Base::Int2 | Base::Int4 | Base::Int8 => {
            let value = integer::read(canonical).ok_or_else(corrupt)?;
            let _ = write!(out, "{value}");
        }
        base @ (Base::Float4 | Base::Float8) => {
            let value = float::read(canonical).ok_or_else(corrupt)?;
            float::print(base, value, settings.extra_float_digits, out);
        }
        Base::Numeric => Numeric::read(canonical).ok_or_else(corrupt)?.print(out),
        Base::Bytea => match settings.bytea_output {
            ByteaOutput::Hex => bytea::print_hex(canonical, out),
            ByteaOutput::Escape => bytea::print_escape(canonical, out),
        },
        Base::Date => datetime::print_date(date(canonical).ok_or_else(corrupt)?, settings.date_style, out),
        Base::Time => datetime::print_time(time(canonical).ok_or_else(corrupt)?, out),
        base @ (Base::Timestamp | Base::Timestamptz) => {
            let micros = timestamp(canonical).ok_or_else(corrupt)?;
            let zone = (*base == Base::Timestamptz).then_some(&settings.time_zone);
            datetime::print_timestamp(micros, zone, settings.date_style, out)?;
        }
        Base::Interval => {
            let interval = Interval::read(canonical).ok_or_else(corrupt)?;
            datetime::print_interval(interval, settings.interval_style, out);
        }
        Base::Uuid => uuid::print(exactly(canonical).ok_or_else(corrupt)?, out),
        base @ (Base::Inet | Base::Cidr) => {
            Network::read(canonical).ok_or_else(corrupt)?.print(base, false, out);
        }
        Base::Macaddr => network::print_macaddr(exactly(canonical).ok_or_else(corrupt)?, out),
        Base::Array(element) => encode_elements(canonical, ty, element, Format::Text, settings, out)?,
    }
    Ok(())
}

fn send(canonical: &[u8], ty: &Type, settings: &Settings, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let corrupt = || DatumError::Corrupt { ty: ty.name() };
    match &ty.base {
        Base::Text | Base::Varchar | Base::Bpchar | Base::Enum(_) | Base::Json => {
            return print(canonical, ty, settings, out);
        }
        Base::Bool => out.push(u8::from(boolean::read(canonical).ok_or_else(corrupt)?)),
        base @ (Base::Int2 | Base::Int4 | Base::Int8) => {
            let value = integer::read(canonical).ok_or_else(corrupt)?;
            integer::send(base, value, out).ok_or_else(corrupt)?;
        }
        Base::Float4 => {
            let value = float::read(canonical).ok_or_else(corrupt)?;
            out.extend_from_slice(&float::single(value).to_be_bytes());
        }
        Base::Float8 => {
            let value = float::read(canonical).ok_or_else(corrupt)?;
            out.extend_from_slice(&value.to_be_bytes());
        }
        Base::Numeric => Numeric::read(canonical).ok_or_else(corrupt)?.send(out)?,
        Base::Bytea => out.extend_from_slice(canonical),
        Base::Date => out.extend_from_slice(&date(canonical).ok_or_else(corrupt)?.to_be_bytes()),
        Base::Time => out.extend_from_slice(&time(canonical).ok_or_else(corrupt)?.to_be_bytes()),
        Base::Timestamp | Base::Timestamptz => {
            out.extend_from_slice(&timestamp(canonical).ok_or_else(corrupt)?.to_be_bytes());
        }
        Base::Interval => Interval::read(canonical).ok_or_else(corrupt)?.send(out),
        Base::Uuid => out.extend_from_slice(&exactly::<{ uuid::LENGTH }>(canonical).ok_or_else(corrupt)?),
        base @ (Base::Inet | Base::Cidr) => Network::read(canonical).ok_or_else(corrupt)?.write(base, out),
        Base::Macaddr => out.extend_from_slice(&exactly::<6>(canonical).ok_or_else(corrupt)?),
        Base::Jsonb => {
            out.push(json::BINARY_VERSION);
            out.extend_from_slice(canonical);
        }
        Base::Array(element) => encode_elements(canonical, ty, element, Format::Binary, settings, out)?,
    }
    Ok(())
}

fn encode_elements(
    canonical: &[u8],
    ty: &Type,
    element: &Base,
    format: Format,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), DatumError> {
    let array = array::parse(canonical, Format::Binary).map_err(|_| DatumError::Corrupt { ty: ty.name() })?;
    let element_type = Type { base: element.clone(), modifier: ty.modifier };
    array.map(|bytes, out| write(bytes, &element_type, format, settings, out))?.write(
        element.oid(),
        format,
        out,
    );
    Ok(())
}

/// The days of a canonical date.
pub(super) fn date(canonical: &[u8]) -> Option<i32> {
    exactly(canonical).map(i32::from_be_bytes).filter(|days| datetime::is_date(*days))
}

/// The microseconds of a canonical time.
pub(super) fn time(canonical: &[u8]) -> Option<i64> {
    exactly(canonical).map(i64::from_be_bytes).filter(|micros| datetime::is_time(*micros))
}

/// The microseconds of a canonical timestamp or timestamptz.
pub(super) fn timestamp(canonical: &[u8]) -> Option<i64> {
    exactly(canonical).map(i64::from_be_bytes).filter(|micros| datetime::is_timestamp(*micros))
}

fn receive_micros(bytes: &[u8], name: &'static str) -> Result<i64, DatumError> {
    exactly(bytes).map(i64::from_be_bytes).ok_or_else(|| DatumError::received(name, bytes, 8))
}

fn in_range(valid: bool, name: &'static str) -> Result<(), DatumError> {
    valid.then_some(()).ok_or(DatumError::DateRange { ty: name.into(), input: None })
}
