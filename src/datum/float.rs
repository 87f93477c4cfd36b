//! Float4 and float8: family `float`, canonical form an IEEE 754 double, big-endian.
//!
//! A float4 is widened, which changes no value. In deterministic and ordered columns -0 becomes 0 and
//! every NaN the same one, since the server calls them equal; elsewhere they stay as they came.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::cursor::exactly;
use super::{Base, DatumError, Quoted, text};

/// So many digits tell any two doubles apart.
const MAX_DIGITS: usize = 17;
/// The one NaN of deterministic and ordered columns.
const NAN: u64 = 0x7FF8_0000_0000_0000;

/// Reads a decimal number, `NaN` or an infinity, as the type would round it.
pub(super) fn parse(base: &Base, input: &str) -> Result<f64, DatumError> {
    let word = text::trim(input);
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let special = match unsigned.to_ascii_lowercase().as_str() {
        // strtod lets a NaN have a sign.
        "nan" => Some(f64::NAN),
        "inf" | "infinity" => Some(f64::INFINITY),
        _ => None,
    };
    if let Some(value) = special {
        return Ok(if word.starts_with('-') { -value } else { value });
    }
    let syntax = || DatumError::syntax(name(base), input);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(syntax());
    }
    let value = match base {
        Base::Float4 => word.parse::<f32>().map(f64::from),
        _ => word.parse::<f64>(),
    }
    .map_err(|_| syntax())?;
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or(unsigned);
    let vanished = value == 0.0 && mantissa.contains(|c: char| matches!(c, '1'..='9'));
    if value.is_infinite() || vanished {
        return Err(DatumError::FloatRange { ty: Cow::Borrowed(name(base)), input: Quoted::new(input) });
    }
    Ok(value)
}

pub(super) fn receive(base: &Base, bytes: &[u8]) -> Result<f64, DatumError> {
    let (value, length) = match base {
        Base::Float4 => (exactly(bytes).map(f32::from_be_bytes).map(f64::from), 4),
        _ => (exactly(bytes).map(f64::from_be_bytes), 8),
    };
    value.ok_or_else(|| DatumError::received(name(base), bytes, length))
}

pub(super) fn read(canonical: &[u8]) -> Option<f64> {
    exactly(canonical).map(f64::from_be_bytes)
}

/// One form for values that are equal.
pub(super) fn normalise(value: f64) -> f64 {
    if value.is_nan() {
        f64::from_bits(NAN)
    } else {
        // -0 + 0 is 0.
        value + 0.0
    }
}

/// The value as a float4 column holds it.
pub(super) fn narrow(value: f64) -> Result<f64, DatumError> {
    let narrow = single(value);
    if narrow.is_infinite() && value.is_finite() {
        Err(DatumError::FloatOverflow)
    } else if narrow == 0.0 && value != 0.0 {
        Err(DatumError::FloatUnderflow)
    } else {
        Ok(f64::from(narrow))
    }
}

/// Rounded to a float4.
#[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
pub(super) fn single(value: f64) -> f32 {
    value as f32
}

/// Writes the text format under `extra_float_digits`.
pub(super) fn print(base: &Base, value: f64, extra_digits: i32, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value < 0.0 { b"-Infinity" } else { b"Infinity" });
    } else if extra_digits > 0 {
        let (digits, exponent) = shortest(base, value);
        layout(value.is_sign_negative(), &digits, exponent, exact_digits(base), out);
    } else {
        let precision = exact_digits(base).saturating_add(extra_digits).max(1);
        print_general(value, precision, out);
    }
}

/// C's `%.*g` of a finite number.
pub(super) fn print_general(value: f64, precision: i32, out: &mut Vec<u8>) {
    let (digits, exponent) = rounded(value, usize::try_from(precision - 1).unwrap_or(0));
    layout(value.is_sign_negative(), &digits, exponent, precision, out);
}

/// Decimal digits that a type holds in any case: `DBL_DIG` and `FLT_DIG`.
pub(super) fn exact_digits(base: &Base) -> i32 {
    match base {
        Base::Float4 => 6,
        _ => 15,
    }
}

pub(super) fn name(base: &Base) -> &'static str {
    match base {
        Base::Float4 => "real",
        _ => "double precision",
    }
}

/// The shortest digits that lie strictly nearer to the value than to any other, and the exponent of the
/// first; of two that are as near, the even one.
///
/// Rust's own shortest digits are those that read back, which includes the midpoint between two numbers
/// where that rounds to even. The server does not rely on it and prints a digit more. And of two that are
/// as near Rust takes the greater one.
fn shortest(base: &Base, value: f64) -> (String, i32) {
    let single = *base == Base::Float4;
    let given =
        if single { format!("{:e}", self::single(value).abs()) } else { format!("{:e}", value.abs()) };
    let (digits, exponent) = split(&given);
    let bits = if single { f32::MANTISSA_DIGITS } else { f64::MANTISSA_DIGITS };
    let reads_back = |digits: &str, exponent: i32| {
        let text = format!("{digits}e{}", exponent - length(digits) + 1);
        let read = if single { text.parse().map(f32::into) } else { text.parse::<f64>() };
        read == Ok(value.abs()) && !is_midpoint(digits, exponent, bits)
    };
    for precision in digits.len()..=MAX_DIGITS {
        let (nearest, power) = rounded(value, precision - 1);
        if reads_back(&nearest, power) {
            return (nearest, power);
        }
        // Next to a power of two the nearest may belong to the neighbour.
        if precision == digits.len() && reads_back(&digits, exponent) {
            break;
        }
    }
    (digits, exponent)
}

/// Whether a decimal is half way between two numbers of `bits` significant bits: its odd part has
/// exactly one bit more. (Midpoints of subnormal numbers have hundreds of digits.)
fn is_midpoint(digits: &str, exponent: i32, bits: u32) -> bool {
    let Ok(mut odd) = digits.parse::<u128>() else { return false };
    let mut power = exponent - length(digits) + 1;
    // Beyond these powers of five nothing fits into 54 bits; digits are at most 17.
    if !(-30..=25).contains(&power) || odd == 0 {
        return false;
    }
    while power > 0 {
        odd *= 5;
        power -= 1;
    }
    while power < 0 {
        if !odd.is_multiple_of(5) {
            return false;
        }
        odd /= 5;
        power += 1;
    }
    odd >>= odd.trailing_zeros();
    u128::BITS - odd.leading_zeros() == bits + 1
}

/// Digits rounded to `fraction` after the first, trailing zeros off, and the exponent of the first.
fn rounded(value: f64, fraction: usize) -> (String, i32) {
    split(&format!("{:.fraction$e}", value.abs()))
}

/// Takes `d.ddde-x` apart.
fn split(scientific: &str) -> (String, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let kept = digits.trim_end_matches('0');
    (if kept.is_empty() { "0".to_owned() } else { kept.to_owned() }, exponent.parse().unwrap_or(0))
}

/// Writes digits plain if the exponent is at least -4 and below `limit`, else in scientific form.
fn layout(negative: bool, digits: &str, exponent: i32, limit: i32, out: &mut Vec<u8>) {
    let mut text = String::from(if negative { "-" } else { "" });
    let length = length(digits);
    if !(-4..limit).contains(&exponent) {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(text, "{first}{point}{rest}e{sign}{:02}", exponent.abs());
    } else if exponent < 0 {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        let _ = write!(text, "0.{}{digits}", "0".repeat(zeros));
    } else if length <= exponent + 1 {
        let zeros = usize::try_from(exponent + 1 - length).unwrap_or(0);
        let _ = write!(text, "{digits}{}", "0".repeat(zeros));
    } else {
        let whole = usize::try_from(exponent + 1).unwrap_or(0);
        let (whole, fraction) = digits.split_at_checked(whole).unwrap_or((digits, ""));
        let _ = write!(text, "{whole}.{fraction}");
    }
    out.extend_from_slice(text.as_bytes());
}

fn length(digits: &str) -> i32 {
    i32::try_from(digits.len()).unwrap_or(i32::MAX)
}
