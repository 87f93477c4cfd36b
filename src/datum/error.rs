//! What is wrong with a value, with the server's own SQLSTATEs and words.

use std::borrow::Cow;
use std::fmt;

use super::Purpose;
use crate::error::{ClientError, ClientFacing, SqlState};

/// A piece of the client's own input, to be quoted to that client. It does not show in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    pub(super) fn new(input: impl Into<String>) -> Self {
        Self(input.into())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quoted({} bytes)", self.0.len())
    }
}

/// A type's name in a message.
type Name = Cow<'static, str>;

/// Why a value is not taken, or a canonical form not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatumError {
    /// 22P02: text that is no value of its type.
    #[error("invalid input syntax for type {ty}: {input}")]
    Syntax {
        /// The type.
        ty: Name,
        /// What was given.
        input: Quoted,
    },
    /// 22003: a number in text form that its type cannot hold.
    #[error("value {input} is out of range for type {ty}")]
    ValueOutOfRange {
        /// The type.
        ty: Name,
        /// What was given.
        input: Quoted,
    },
    /// 22003: a number that does not fit the type it is converted to.
    #[error("{ty} out of range")]
    OutOfRange {
        /// The type.
        ty: Name,
    },
    /// 22003: a float in text form too large or too small for its type.
    #[error("{input} is out of range for type {ty}")]
    FloatRange {
        /// The type.
        ty: Name,
        /// What was given.
        input: Quoted,
    },
    /// 22003: a float too large for its type.
    #[error("value out of range: overflow")]
    FloatOverflow,
    /// 22003: a float too small for its type.
    #[error("value out of range: underflow")]
    FloatUnderflow,
    /// 22003: a numeric that its declared precision cannot hold.
    #[error("numeric field overflow")]
    NumericOverflow {
        /// Declared digits.
        precision: i32,
        /// Declared digits after the point.
        scale: i32,
        /// It is an infinity.
        infinite: bool,
    },
    /// 22003: a numeric beyond what the type can hold at all.
    #[error("value overflows numeric format")]
    NumericFormat,
    /// 0A000: NaN or an infinity has no integer.
    #[error("cannot convert {what} to {ty}")]
    NoInteger {
        /// NaN or infinity.
        what: &'static str,
        /// The integer type.
        ty: Name,
    },
    /// 22001: a string longer than its type allows.
    #[error("value too long for type {ty}")]
    TooLong {
        /// The type with its length.
        ty: String,
    },
    /// 22021: bytes that are no UTF-8, or U+0000.
    #[error("invalid byte sequence for encoding \"UTF8\": {0}")]
    Encoding(String),
    /// 22007: a date or time in a form that is not understood.
    #[error("invalid input syntax for type {ty}: {input}")]
    DateSyntax {
        /// The type.
        ty: Name,
        /// What was given.
        input: Quoted,
    },
    /// 22008: a date or time field out of its range.
    #[error("date/time field value out of range: {input}")]
    DateField {
        /// What was given.
        input: Quoted,
        /// The order of day and month may be to blame.
        order: bool,
    },
    /// 22008: a date or time that its type cannot hold.
    #[error("{ty} out of range{}", input.as_ref().map_or(String::new(), |input| format!(": {input}")))]
    DateRange {
        /// date, timestamp, time.
        ty: Name,
        /// What was given, in text.
        input: Option<Quoted>,
    },
    /// 0A000: a word that means the server's current time.
    #[error("\"{0}\" depends on the server's clock and cannot be encrypted")]
    Clock(&'static str),
    /// 22008: a date that a timestamp cannot hold.
    #[error("date out of range for timestamp")]
    DateBeyondTimestamp,
    /// 22015: an interval's field out of its range.
    #[error("interval field value out of range: {0}")]
    IntervalField(Quoted),
    /// 22009: a zone's offset of more than 15:59:59.
    #[error("time zone displacement out of range: {0}")]
    ZoneDisplacement(Quoted),
    /// 22023: a time zone in a value that is not in the built-in database.
    #[error("time zone {0} not recognized")]
    ZoneName(Quoted),
    /// 0A000: the session's time zone is not in the built-in database.
    #[error("time zone {0} is not known to the proxy")]
    UnknownZone(Quoted),
    /// 22P02: no label of the enum.
    #[error("invalid input value for enum {ty}: {input}")]
    EnumLabel {
        /// The enum.
        ty: String,
        /// What was given.
        input: Quoted,
    },
    /// 22P02: a bytea in escape form with a backslash that begins nothing.
    #[error("invalid input syntax for type bytea")]
    ByteaEscape,
    /// 22003: a macaddr with an octet greater than 255.
    #[error("invalid octet value in \"macaddr\" value: {0}")]
    MacOctet(Quoted),
    /// 22023: a bytea in hexadecimal form with another character in it.
    #[error("invalid hexadecimal digit: {0}")]
    HexDigit(Quoted),
    /// 22023: the same with half a byte at its end.
    #[error("invalid hexadecimal data: odd number of digits")]
    HexLength,
    /// 22P02: a cidr with bits set to the right of its mask.
    #[error("invalid cidr value: {0}")]
    CidrBits(Quoted),
    /// 22P02: text that is no JSON.
    #[error("invalid input syntax for type json")]
    Json {
        /// What was wrong.
        detail: String,
    },
    /// 22P05: `\u0000` in jsonb.
    #[error("unsupported Unicode escape sequence")]
    JsonNul,
    /// 54001: nested deeper than the server's stack allows.
    #[error("stack depth limit exceeded")]
    TooDeep,
    /// 54000: more than the format can hold.
    #[error("{0}")]
    Limit(&'static str),
    /// 22P02: text that is no array.
    #[error("malformed array literal: {input}")]
    Array {
        /// What was given.
        input: Quoted,
        /// What was wrong.
        detail: &'static str,
    },
    /// 2202E: an array whose bounds are impossible.
    #[error("{0}")]
    ArrayBounds(&'static str),
    /// 42804: a binary array of elements of another type.
    #[error("binary data has array element type {found} instead of expected {expected}")]
    ElementType {
        /// In the data.
        found: u32,
        /// Of the declared type.
        expected: u32,
    },
    /// 22P03: bytes that are no value of the type in binary format.
    #[error("invalid binary representation of type {ty}")]
    Binary {
        /// The type.
        ty: Name,
    },
    /// 08P01: fewer bytes than the type's binary format has.
    #[error("insufficient data left in message")]
    Short,
    /// 0A000: a value of this type is not taken for this column.
    #[error("a value of type {source_type} cannot be {} an encrypted column of type {column_type}", match purpose {
        Purpose::Store => "stored in",
        Purpose::Compare => "compared with",
    })]
    Refused {
        /// Of the value.
        source_type: String,
        /// Of the column.
        column_type: String,
        /// What the value is for.
        purpose: Purpose,
    },
    /// 0A000: a comparison with a value that no row can have, which the ciphertext cannot answer.
    #[error(
        "the compared value of type {source_type} has no equal in an encrypted column of type {column_type}"
    )]
    NotInColumn {
        /// Of the value.
        source_type: String,
        /// Of the column.
        column_type: String,
    },
    /// XX001: a canonical form that is none of its type.
    #[error("a decrypted value is not of type {ty}")]
    Corrupt {
        /// The type.
        ty: String,
    },
}

impl DatumError {
    pub(super) fn syntax(ty: &'static str, input: &str) -> Self {
        Self::Syntax { ty: Cow::Borrowed(ty), input: Quoted::new(input) }
    }

    pub(super) fn binary(ty: &'static str) -> Self {
        Self::Binary { ty: Cow::Borrowed(ty) }
    }

    /// Bytes that are no value, of a type whose binary format has at least `least`: the server misses bytes before
    /// it looks at what they say.
    pub(super) fn received(ty: &'static str, bytes: &[u8], least: usize) -> Self {
        if bytes.len() < least { Self::Short } else { Self::binary(ty) }
    }

    fn code(&self) -> SqlState {
        match self {
            Self::Syntax { .. }
            | Self::EnumLabel { .. }
            | Self::ByteaEscape
            | Self::CidrBits(_)
            | Self::Json { .. }
            | Self::Array { .. } => SqlState::INVALID_TEXT,
            Self::ValueOutOfRange { .. }
            | Self::OutOfRange { .. }
            | Self::FloatRange { .. }
            | Self::FloatOverflow
            | Self::MacOctet(_)
            | Self::FloatUnderflow
            | Self::NumericOverflow { .. }
            | Self::NumericFormat => SqlState::NUMERIC_OUT_OF_RANGE,
            Self::TooLong { .. } => SqlState::STRING_TOO_LONG,
            Self::Encoding(_) => SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            Self::DateSyntax { .. } => SqlState::INVALID_DATETIME,
            Self::DateField { .. } | Self::DateRange { .. } | Self::DateBeyondTimestamp => {
                SqlState::DATETIME_OVERFLOW
            }
            Self::IntervalField(_) => SqlState::INTERVAL_FIELD_OVERFLOW,
            Self::ZoneDisplacement(_) => SqlState::INVALID_TIME_ZONE_DISPLACEMENT,
            Self::HexDigit(_) | Self::HexLength | Self::ZoneName(_) => SqlState::INVALID_PARAMETER_VALUE,
            Self::JsonNul => SqlState::UNTRANSLATABLE_CHARACTER,
            Self::TooDeep => SqlState::STATEMENT_TOO_COMPLEX,
            Self::Limit(_) => SqlState::PROGRAM_LIMIT_EXCEEDED,
            Self::ArrayBounds(_) => SqlState::ARRAY_SUBSCRIPT,
            Self::ElementType { .. } => SqlState::DATATYPE_MISMATCH,
            Self::Binary { .. } => SqlState::INVALID_BINARY,
            Self::Short => SqlState::PROTOCOL_VIOLATION,
            Self::NoInteger { .. }
            | Self::UnknownZone(_)
            | Self::Clock(_)
            | Self::Refused { .. }
            | Self::NotInColumn { .. } => SqlState::FEATURE_NOT_SUPPORTED,
            Self::Corrupt { .. } => SqlState::DATA_CORRUPTED,
        }
    }
}

impl ClientFacing for DatumError {
    fn client_error(&self) -> ClientError {
        let error = ClientError::error(self.code(), self.to_string());
        match self {
            Self::NumericOverflow { precision, scale, infinite: false } => error.with_detail(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than {}.",
                match precision - scale {
                    0 => "1".to_owned(),
                    digits => format!("10^{digits}"),
                }
            )),
            Self::NumericOverflow { precision, scale, infinite: true } => error.with_detail(format!(
                "A field with precision {precision}, scale {scale} cannot hold an infinite value."
            )),
            Self::DateField { order: true, .. } => {
                error.with_hint("Perhaps you need a different \"datestyle\" setting.")
            }
            Self::CidrBits(_) => error.with_detail("Value has bits set to right of mask."),
            Self::Json { detail } => error.with_detail(detail.clone()),
            Self::JsonNul => error.with_detail("\\u0000 cannot be converted to text."),
            Self::Array { detail, .. } => error.with_detail(*detail),
            Self::Clock(_) => error.with_hint("Send the date or time itself."),
            Self::UnknownZone(_) => error.with_hint("Set TimeZone to a name of the IANA database."),
            Self::Refused { column_type, .. } => {
                error.with_hint(format!("Leave the value untyped, or cast it to {column_type} in the application."))
            }
            Self::NotInColumn { .. } => {
                error.with_hint("No row can match it; compare with a value of the column's own type.")
            }
            _ => error,
        }
    }
}
