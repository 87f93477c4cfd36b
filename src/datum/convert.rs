//! From what a client sent to the canonical form of a column.
//!
//! A value of another type than the column's is converted as the server would: by its assignment casts
//! when it is stored, by the operator that it would choose when it is compared. [`conversion`] is the
//! one table; a pair that is not in it is refused.

use std::borrow::Cow;

use super::cursor::exactly;
use super::datetime::{self, Interval, MICROS_PER_DAY};
use super::network::Network;
use super::numeric::Numeric;
use super::{
    Base, DatumError, Format, Oid, Purpose, Settings, Type, array, boolean, codec, float, integer, json, text,
};

/// A value as it came.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The type that the client declared or the statement gave; `None` (and 0, and `unknown`) is read by
    /// the column's own input rules.
    pub source: Option<Oid>,
    /// Its format.
    pub format: Format,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Appends the canonical form of a value for a column of type `ty`; `normalise` for deterministic and
/// ordered columns, where values that are equal must have one form.
///
/// # Errors
///
/// Those of the server for the value, [`DatumError::Refused`] for a pair of types that is not taken, and
/// [`DatumError::NotInColumn`] for a comparison that the ciphertext could not answer. `out` is then as
/// it was.
pub fn canonical(
    input: Input<'_>,
    ty: &Type,
    purpose: Purpose,
    normalise: bool,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), DatumError> {
    let start = out.len();
    let result = take(input, ty, purpose, settings, out)
        .and_then(|()| if purpose == Purpose::Store { fit(ty, out, start) } else { Ok(()) })
        .and_then(|()| if normalise { one_form(ty, purpose, out, start) } else { Ok(()) });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Whether [`canonical`] takes values of a type (the object id of one that has been declared) for a column.
pub fn takes(source: Oid, ty: &Type, purpose: Purpose) -> bool {
    let input = Input { source: Some(source), format: Format::Binary, bytes: &[] };
    source_of(&input, ty).is_ok_and(|source| conversion(&source, &ty.base, purpose).is_some())
}

/// Evaluates an explicit cast of a constant as the server does, and appends the result in binary format:
/// the next input is then `Input { source: Some(to.oid()), format: Format::Binary, .. }`.
///
/// Beyond what an assignment converts, a cast cuts strings to the length (`'abcd'::varchar(3)`), reads
/// text as any type, and turns bool into int4 and back.
///
/// # Errors
///
/// Those of [`canonical`]; `out` is then as it was.
pub fn cast(input: Input<'_>, to: &Type, settings: &Settings, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let mut value = Vec::new();
    explicit(input, to, settings, &mut value)?;
    match to.base {
        Base::Varchar | Base::Bpchar => text::cut(to, &mut value),
        Base::Array(_) => value = cut_elements(to, value)?,
        _ => fit(to, &mut value, 0)?,
    }
    codec::write(&value, &to.clone(), Format::Binary, settings, out)
}

/// An array after a cast to `to`, which cuts strings and checks every other kind of element.
fn cut_elements(to: &Type, mut value: Vec<u8>) -> Result<Vec<u8>, DatumError> {
    match to.element().filter(|element| matches!(element.base, Base::Varchar | Base::Bpchar)) {
        Some(element) => {
            let cut = array::parse(&value, Format::Binary)?.map(|value, out| {
                out.extend_from_slice(value);
                text::cut(&element, out);
                Ok::<_, DatumError>(())
            })?;
            value.clear();
            cut.write(0, Format::Binary, &mut value);
        }
        None => fit(to, &mut value, 0)?,
    }
    Ok(value)
}

/// `name`, a string of at most 63 bytes that compares as text.
const NAME: Oid = 19;
/// `unknown`.
const UNKNOWN: Oid = 705;
/// What a `name` holds.
const MAX_NAME: usize = 63;

/// How a value of one type becomes one of another.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Conversion {
    /// The canonical forms are the same.
    Identity,
    /// By the text that the server prints.
    Print,
    /// A bpchar becomes text: its trailing spaces go.
    TrimSpaces,
    /// Text compared with a bpchar column, whose own trailing spaces the server takes off.
    Unpadded,
    IntToFloat,
    IntToNumeric,
    FloatToInt,
    FloatToNumeric,
    NumericToInt,
    NumericToFloat,
    DateToTimestamp,
    DateToTimestamptz,
    TimestampToDate,
    TimestampToTime,
    TimestampToTimestamptz,
    TimestamptzToDate,
    TimestamptzToTime,
    TimestamptzToTimestamp,
    IntervalToTime,
    TimeToInterval,
    Network,
    JsonToJsonb,
    /// Element by element.
    Elements(Box<Conversion>),
}

/// The one table: what the server does with a value of type `source` that is stored in, or compared
/// with, a column of type `column`.
fn conversion(source: &Base, column: &Base, purpose: Purpose) -> Option<Conversion> {
    use Base::{
        Array, Bpchar, Cidr, Date, Float4, Float8, Inet, Int2, Int4, Int8, Interval, Json, Jsonb, Numeric,
        Text, Time, Timestamp, Timestamptz, Varchar,
    };
    use Purpose::{Compare, Store};
    Some(match (source, column, purpose) {
        _ if source == column => Conversion::Identity,
        // text = text, varchar = varchar and their mixtures are one operator; bpchar = text takes the bpchar's
        // spaces off; bpchar = varchar ignores those of the varchar column too, which a ciphertext cannot.
        (Text | Varchar, Text | Varchar, _) | (Varchar, Bpchar, _) | (Text, Bpchar, Store) => {
            Conversion::Identity
        }
        (Text, Bpchar, Compare) => Conversion::Unpadded,
        (Bpchar, Text, _) | (Bpchar, Varchar, Store) => Conversion::TrimSpaces,
        (Int2 | Int4 | Int8, Int2 | Int4 | Int8, _) => Conversion::Identity,
        (Float4 | Float8, Float4 | Float8, _) => Conversion::Identity,
        (Int2 | Int4 | Int8, Float4 | Float8, _) => Conversion::IntToFloat,
        (Int2 | Int4 | Int8, Numeric, _) => Conversion::IntToNumeric,
        (Float4 | Float8, Int2 | Int4 | Int8, _) => Conversion::FloatToInt,
        (Float4 | Float8, Numeric, _) => Conversion::FloatToNumeric,
        (Numeric, Int2 | Int4 | Int8, _) => Conversion::NumericToInt,
        (Numeric, Float4 | Float8, _) => Conversion::NumericToFloat,
        (Date, Timestamp, _) => Conversion::DateToTimestamp,
        (Date, Timestamptz, _) => Conversion::DateToTimestamptz,
        (Timestamp, Date, _) => Conversion::TimestampToDate,
        (Timestamp, Timestamptz, _) => Conversion::TimestampToTimestamptz,
        (Timestamptz, Date, _) => Conversion::TimestamptzToDate,
        (Timestamptz, Timestamp, _) => Conversion::TimestamptzToTimestamp,
        (Timestamp, Time, Store) => Conversion::TimestampToTime,
        (Timestamptz, Time, Store) => Conversion::TimestamptzToTime,
        (Interval, Time, Store) => Conversion::IntervalToTime,
        (Time, Interval, Store) => Conversion::TimeToInterval,
        (Inet, Cidr, _) | (Cidr, Inet, _) => Conversion::Network,
        (Json, Jsonb, Store) => Conversion::JsonToJsonb,
        (Jsonb, Json, Store) => Conversion::Identity,
        (Array(source), Array(column), Store) => {
            Conversion::Elements(Box::new(conversion(source, column, purpose)?))
        }
        // Every type has an assignment cast to the string types, by what it prints.
        (_, Text | Varchar | Bpchar, Store) => Conversion::Print,
        _ => return None,
    })
}

/// Reads the value by its own type and converts it to the column's.
fn take(
    input: Input<'_>,
    ty: &Type,
    purpose: Purpose,
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), DatumError> {
    let refused = |source_type: String| DatumError::Refused { source_type, column_type: ty.name(), purpose };
    let source = source_of(&input, ty).map_err(refused)?;
    let conversion = conversion(&source, &ty.base, purpose).ok_or_else(|| refused(source.name()))?;
    if conversion == Conversion::Identity {
        let start = out.len();
        codec::decode(&source, input.format, input.bytes, settings, out)?;
        if ty.base == Base::Bpchar && (purpose == Purpose::Compare || ty.length().is_some()) {
            text::trim_end(out, start);
        }
        return Ok(());
    }
    let mut value = Vec::new();
    codec::decode(&source, input.format, input.bytes, settings, &mut value)?;
    let whole = Converter { source: &source, ty, purpose, settings };
    whole.convert(&conversion, &value, out)?;
    Ok(())
}

/// The type that the value is read by; the name of one that is not taken as an error.
fn source_of<'a>(input: &Input<'_>, ty: &'a Type) -> Result<Cow<'a, Base>, String> {
    Ok(match input.source {
        None | Some(0 | UNKNOWN) => Cow::Borrowed(&ty.base),
        Some(oid) if oid == ty.oid() => Cow::Borrowed(&ty.base),
        // A longer one would have been cut.
        Some(NAME) if input.bytes.len() > MAX_NAME => return Err("name".to_owned()),
        Some(NAME) => Cow::Owned(Base::Text),
        Some(oid) => Cow::Owned(Base::from_oid(oid).ok_or_else(|| format!("with object id {oid}"))?),
    })
}

/// The canonical form of an explicit cast, before the modifier.
fn explicit(input: Input<'_>, to: &Type, settings: &Settings, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let source = source_of(&input, to).unwrap_or(Cow::Borrowed(&to.base));
    let is_text = |base: &Base| matches!(base, Base::Text | Base::Varchar | Base::Bpchar);
    match (&*source, &to.base) {
        // Text is read as a literal is; the spaces of a bpchar are there for other types to trip over.
        (from, into) if is_text(from) && !is_text(into) => {
            codec::decode(into, Format::Text, input.bytes, settings, out)
        }
        (Base::Bool, Base::Int4) => {
            let mut value = Vec::new();
            codec::decode(&source, input.format, input.bytes, settings, &mut value)?;
            let value = boolean::read(&value).unwrap_or_default();
            out.extend_from_slice(&i64::from(value).to_be_bytes());
            Ok(())
        }
        (Base::Int4, Base::Bool) => {
            let mut value = Vec::new();
            codec::decode(&source, input.format, input.bytes, settings, &mut value)?;
            out.push(u8::from(integer::read(&value) != Some(0)));
            Ok(())
        }
        _ => take(input, to, Purpose::Store, settings, out),
    }
}

struct Converter<'a> {
    source: &'a Base,
    ty: &'a Type,
    purpose: Purpose,
    settings: &'a Settings,
}

impl Converter<'_> {
    fn convert(&self, conversion: &Conversion, value: &[u8], out: &mut Vec<u8>) -> Result<(), DatumError> {
        let storing = self.purpose == Purpose::Store;
        let zone = &self.settings.time_zone;
        match conversion {
            Conversion::Identity => out.extend_from_slice(value),
            Conversion::Print => self.print(value, out)?,
            Conversion::TrimSpaces => {
                let start = out.len();
                out.extend_from_slice(value);
                text::trim_end(out, start);
            }
            Conversion::Unpadded if value.ends_with(b" ") => return Err(self.not_in_column()),
            Conversion::Unpadded => out.extend_from_slice(value),
            Conversion::IntToFloat => {
                let value = int_to_float(self.int(value)?, storing && self.ty.base == Base::Float4);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Conversion::IntToNumeric => Numeric::from_int(self.int(value)?).write(out)?,
            Conversion::FloatToInt => {
                out.extend_from_slice(&self.float_to_int(self.float(value)?)?.to_be_bytes());
            }
            Conversion::FloatToNumeric => self.float_to_numeric(self.float(value)?)?.write(out)?,
            Conversion::NumericToInt => {
                let value = self.numeric(value)?;
                let value = if storing {
                    value.to_int(integer::name(&self.ty.base))?
                } else {
                    value.as_int().ok_or_else(|| self.not_in_column())?
                };
                out.extend_from_slice(&value.to_be_bytes());
            }
            Conversion::NumericToFloat => {
                let base = if storing { &self.ty.base } else { &Base::Float8 };
                let value = float::parse(base, &self.numeric(value)?.to_text())?;
                out.extend_from_slice(&value.to_be_bytes());
            }
            Conversion::DateToTimestamp => {
                out.extend_from_slice(&datetime::date_to_timestamp(self.date(value)?)?.to_be_bytes());
            }
            Conversion::DateToTimestamptz => {
                let midnight = datetime::date_to_timestamp(self.date(value)?)?;
                out.extend_from_slice(&datetime::local_to_utc(midnight, zone)?.to_be_bytes());
            }
            Conversion::TimestampToDate => {
                let micros = self.timestamp(value)?;
                let days = datetime::timestamp_to_date(micros);
                if !storing && datetime::date_to_timestamp(days)? != micros {
                    return Err(self.not_in_column());
                }
                out.extend_from_slice(&days.to_be_bytes());
            }
            Conversion::TimestamptzToDate => {
                let micros = self.timestamp(value)?;
                let days = datetime::timestamp_to_date(datetime::utc_to_local(micros, zone)?);
                if !storing && datetime::local_to_utc(datetime::date_to_timestamp(days)?, zone)? != micros {
                    return Err(self.not_in_column());
                }
                out.extend_from_slice(&days.to_be_bytes());
            }
            Conversion::TimestampToTimestamptz => {
                out.extend_from_slice(&datetime::local_to_utc(self.timestamp(value)?, zone)?.to_be_bytes());
            }
            Conversion::TimestamptzToTimestamp => {
                // The server converts the column, and where clocks are set forward two of its values are one.
                if !storing && !zone.is_fixed() {
                    return Err(self.refused());
                }
                out.extend_from_slice(&datetime::utc_to_local(self.timestamp(value)?, zone)?.to_be_bytes());
            }
            Conversion::TimestampToTime => self.write_time(self.timestamp(value)?, out)?,
            Conversion::TimestamptzToTime => {
                self.write_time(datetime::utc_to_local(self.timestamp(value)?, zone)?, out)?;
            }
            Conversion::IntervalToTime => {
                let interval = Interval::read(value).ok_or_else(|| self.corrupt())?;
                out.extend_from_slice(&interval.micros.rem_euclid(MICROS_PER_DAY).to_be_bytes());
            }
            Conversion::TimeToInterval => {
                let micros = codec::time(value).ok_or_else(|| self.corrupt())?;
                Interval { micros, ..Interval::default() }.write(out);
            }
            Conversion::Network => {
                let network = Network::read(value).ok_or_else(|| self.corrupt())?;
                if self.ty.base == Base::Cidr && !storing && !network.is_network() {
                    return Err(self.not_in_column());
                }
                let network = if self.ty.base == Base::Cidr { network.network() } else { network };
                network.write(&self.ty.base, out);
            }
            Conversion::JsonToJsonb => json::normalise(text::utf8(value)?, out)?,
            Conversion::Elements(conversion) => {
                let (Some(source), Some(element)) = (self.source.element(), self.ty.element()) else {
                    return Err(self.refused());
                };
                let elements = Converter { source, ty: &element, ..*self };
                let array = array::parse(value, Format::Binary)?;
                array.map(|value, out| elements.convert(conversion, value, out))?.write(
                    0,
                    Format::Binary,
                    out,
                );
            }
        }
        Ok(())
    }

    /// What the server's cast to text gives.
    fn print(&self, value: &[u8], out: &mut Vec<u8>) -> Result<(), DatumError> {
        match self.source {
            Base::Bool => {
                let word = boolean::read(value).ok_or_else(|| self.corrupt())?.to_string();
                out.extend_from_slice(word.as_bytes());
            }
            Base::Inet => {
                Network::read(value).ok_or_else(|| self.corrupt())?.print(self.source, true, out);
            }
            _ => codec::write(value, &Type::plain(self.source.clone()), Format::Text, self.settings, out)?,
        }
        Ok(())
    }

    fn float_to_int(&self, value: f64) -> Result<i64, DatumError> {
        /// Above it, several integers are one double.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        #[expect(clippy::cast_possible_truncation, reason = "checked to fit")]
        match self.purpose {
            Purpose::Compare if value.fract() == 0.0 && value.abs() < EXACT => Ok(value as i64),
            Purpose::Compare => Err(self.not_in_column()),
            Purpose::Store => {
                let rounded = value.round_ties_even();
                let fits = (-(2_f64.powi(63))..2_f64.powi(63)).contains(&rounded);
                fits.then_some(rounded as i64)
                    .ok_or_else(|| DatumError::OutOfRange { ty: integer::name(&self.ty.base).into() })
            }
        }
    }

    fn float_to_numeric(&self, value: f64) -> Result<Numeric, DatumError> {
        /// So many decimal digits are told apart by a double.
        const DIGITS: i32 = 15;
        match self.purpose {
            Purpose::Store => Numeric::from_float(value, float::exact_digits(self.source)),
            // The server converts the column to a double: answered if no two of its values are the same one,
            // and this is one of them.
            Purpose::Compare => {
                let exact = self.ty.numeric().is_some_and(|(precision, _)| precision <= DIGITS);
                let numeric = Numeric::from_float(value, DIGITS)?;
                let same = value.is_nan() || float::parse(&Base::Float8, &numeric.to_text())? == value;
                (exact && same).then_some(numeric).ok_or_else(|| self.not_in_column())
            }
        }
    }

    /// The time of day; that of an infinity is NULL on the server.
    fn write_time(&self, micros: i64, out: &mut Vec<u8>) -> Result<(), DatumError> {
        if datetime::is_infinite(micros) {
            return Err(self.refused());
        }
        out.extend_from_slice(&micros.rem_euclid(MICROS_PER_DAY).to_be_bytes());
        Ok(())
    }

    fn int(&self, value: &[u8]) -> Result<i64, DatumError> {
        integer::read(value).ok_or_else(|| self.corrupt())
    }

    fn float(&self, value: &[u8]) -> Result<f64, DatumError> {
        float::read(value).ok_or_else(|| self.corrupt())
    }

    fn numeric(&self, value: &[u8]) -> Result<Numeric, DatumError> {
        Numeric::read(value).ok_or_else(|| self.corrupt())
    }

    fn date(&self, value: &[u8]) -> Result<i32, DatumError> {
        codec::date(value).ok_or_else(|| self.corrupt())
    }

    fn timestamp(&self, value: &[u8]) -> Result<i64, DatumError> {
        codec::timestamp(value).ok_or_else(|| self.corrupt())
    }

    fn refused(&self) -> DatumError {
        DatumError::Refused {
            source_type: self.source.name(),
            column_type: self.ty.name(),
            purpose: self.purpose,
        }
    }

    fn not_in_column(&self) -> DatumError {
        DatumError::NotInColumn { source_type: self.source.name(), column_type: self.ty.name() }
    }

    fn corrupt(&self) -> DatumError {
        DatumError::Corrupt { ty: self.source.name() }
    }
}

#[expect(clippy::cast_precision_loss, reason = "the server rounds so")]
fn int_to_float(value: i64, single: bool) -> f64 {
    if single { f64::from(value as f32) } else { value as f64 }
}

/// Applies range, length, precision and scale of the column to `out[start..]`.
fn fit(ty: &Type, out: &mut Vec<u8>, start: usize) -> Result<(), DatumError> {
    let value = out.get(start..).unwrap_or(&[]);
    let corrupt = || DatumError::Corrupt { ty: ty.name() };
    match &ty.base {
        base @ (Base::Int2 | Base::Int4) => {
            integer::checked(base, integer::read(value).ok_or_else(corrupt)?)?;
        }
        Base::Float4 => {
            let narrow = float::narrow(float::read(value).ok_or_else(corrupt)?)?;
            replace(out, start, &narrow.to_be_bytes());
        }
        Base::Varchar | Base::Bpchar => text::fit(ty, out, start)?,
        Base::Numeric if ty.numeric().is_some() => {
            let value = Numeric::read(value).ok_or_else(corrupt)?.fit(ty)?;
            out.truncate(start);
            value.write(out)?;
        }
        Base::Time | Base::Timestamp | Base::Timestamptz if ty.precision().is_some() => {
            let micros = exactly(value).map(i64::from_be_bytes).ok_or_else(corrupt)?;
            replace(out, start, &datetime::round_timestamp(micros, ty.precision())?.to_be_bytes());
        }
        Base::Interval if ty.precision().is_some() => {
            let interval = Interval::read(value).ok_or_else(corrupt)?.rounded(ty.precision())?;
            out.truncate(start);
            interval.write(out);
        }
        Base::Array(_) => {
            if let Some(element) = ty.element().filter(has_limits) {
                let fitted = array::parse(value, Format::Binary)?.map(|value, out| {
                    out.extend_from_slice(value);
                    if element.base == Base::Bpchar && element.length().is_some() {
                        text::trim_end(out, 0);
                    }
                    fit(&element, out, 0)
                })?;
                out.truncate(start);
                fitted.write(0, Format::Binary, out);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether [`fit`] may change or refuse a value of the type.
fn has_limits(ty: &Type) -> bool {
    ty.modifier >= 0 || matches!(ty.base, Base::Int2 | Base::Int4 | Base::Float4)
}

/// Gives values that the server calls equal one form.
fn one_form(ty: &Type, purpose: Purpose, out: &mut Vec<u8>, start: usize) -> Result<(), DatumError> {
    let value = out.get(start..).unwrap_or(&[]);
    let corrupt = || DatumError::Corrupt { ty: ty.name() };
    match &ty.base {
        Base::Float4 | Base::Float8 => {
            let value = float::normalise(float::read(value).ok_or_else(corrupt)?);
            replace(out, start, &value.to_be_bytes());
        }
        // When stored it has the scale already.
        Base::Numeric if purpose == Purpose::Compare => {
            let value = Numeric::read(value).ok_or_else(corrupt)?.rescale(ty).ok_or_else(|| {
                DatumError::NotInColumn { source_type: "numeric".to_owned(), column_type: ty.name() }
            })?;
            out.truncate(start);
            value.write(out)?;
        }
        _ => {}
    }
    Ok(())
}

fn replace(out: &mut Vec<u8>, start: usize, bytes: &[u8]) {
    out.truncate(start);
    out.extend_from_slice(bytes);
}
