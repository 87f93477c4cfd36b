//! Numeric: canonical form PostgreSQL's binary format with its display scale.
//!
//! | bytes | field |
//! |---|---|
//! | 2 | number of base-10000 digits |
//! | 2 | weight: the power of 10000 of the first, signed |
//! | 2 | sign: 0 positive, 0x4000 negative, 0xC000 NaN, 0xD000 infinity, 0xF000 -infinity |
//! | 2 | display scale: decimal digits after the point |
//! | 2 each | the digits |
//!
//! There are no zero digits at either end; zero has no digits, weight 0 and a positive sign. NaN and
//! the infinities have weight and scale 0 (the infinities leave the server with scale 32).

use std::borrow::Cow;

use super::cursor::Cursor;
use super::{DatumError, Type, text};

const NAME: &str = "numeric";
/// The greatest display scale (14 bits).
const MAX_SCALE: i32 = 0x3FFF;
/// The greatest weight (16 bits).
const MAX_WEIGHT: i32 = 0x7FFF;
/// Decimal digits in a digit of base 10000.
const GROUP: i32 = 4;

const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// A numeric, decimal: the integer that the digits give, divided by 10 to the `fraction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numeric {
    kind: Kind,
    /// Most significant first, no zeros at either end; empty for zero.
    digits: Vec<u8>,
    /// May be negative: 1e100 is one digit and -100.
    fraction: i32,
    /// Display scale.
    scale: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Finite { negative: bool },
    Nan,
    Infinite { negative: bool },
}

impl Numeric {
    pub(super) fn from_int(value: i64) -> Self {
        let digits = value.unsigned_abs().to_string().bytes().map(|byte| byte - b'0').collect();
        Self::finite(value < 0, digits, 0, 0)
    }

    /// A float4 or float8 with the digits that its type is sure of, as the server's cast does.
    pub(super) fn from_float(value: f64, digits: i32) -> Result<Self, DatumError> {
        if value.is_nan() {
            return Ok(Self::special(Kind::Nan));
        }
        if value.is_infinite() {
            return Ok(Self::special(Kind::Infinite { negative: value < 0.0 }));
        }
        let mut text = Vec::new();
        super::float::print_general(value, digits, &mut text);
        Self::parse(&String::from_utf8_lossy(&text))
    }

    /// Reads a decimal number, `NaN` or an infinity.
    pub(super) fn parse(input: &str) -> Result<Self, DatumError> {
        let syntax = || DatumError::syntax(NAME, input);
        let word = text::trim(input);
        if word.eq_ignore_ascii_case("nan") {
            return Ok(Self::special(Kind::Nan));
        }
        let negative = word.starts_with('-');
        let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
        if ["inf", "infinity"].iter().any(|name| unsigned.eq_ignore_ascii_case(name)) {
            return Ok(Self::special(Kind::Infinite { negative }));
        }
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent).ok_or_else(syntax)?),
            None => (unsigned, Some(0)),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> =
            whole.bytes().chain(fraction.bytes()).map(|byte| byte.wrapping_sub(b'0')).collect();
        if digits.is_empty() || digits.iter().any(|digit| *digit > 9) {
            return Err(syntax());
        }
        let exponent = exponent.ok_or(DatumError::NumericFormat)?;
        let fraction = i32::try_from(fraction.len()).map_err(|_| DatumError::NumericFormat)? - exponent;
        let value = Self::finite(negative, digits, fraction, fraction.max(0));
        value.checked()
    }

    /// Reads the binary format. Digits beyond the display scale are cut off, as the server does.
    pub(super) fn receive(bytes: &[u8]) -> Result<Self, DatumError> {
        let value = Self::read(bytes).ok_or_else(|| DatumError::received(NAME, bytes, length(bytes)))?;
        Ok(match value.kind {
            Kind::Finite { .. } if value.fraction > value.scale => {
                let mut value = value;
                let cut = usize::try_from(value.fraction - value.scale).unwrap_or(usize::MAX);
                value.digits.truncate(value.digits.len().saturating_sub(cut));
                value.fraction = value.scale;
                value.normalised()
            }
            _ => value,
        })
    }

    /// Reads the canonical form, which is the same.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Cursor(bytes);
        let count = bytes.u16()?;
        let weight = i32::from(bytes.i16()?);
        let sign = bytes.u16()?;
        let scale = i32::from(bytes.u16()?);
        let mut digits = Vec::with_capacity(usize::from(count).min(bytes.0.len()).saturating_mul(2));
        for _ in 0..count {
            let group = bytes.u16().filter(|group| *group < 10_000)?;
            for power in [1000, 100, 10, 1] {
                digits.push(u8::try_from(group / power % 10).ok()?);
            }
        }
        let fraction = (i32::from(count) - 1 - weight) * GROUP;
        let valid = bytes.is_empty() && scale <= MAX_SCALE;
        match sign {
            POSITIVE | NEGATIVE if valid => Some(Self::finite(sign == NEGATIVE, digits, fraction, scale)),
            NAN if valid => Some(Self::special(Kind::Nan)),
            INFINITY | NEGATIVE_INFINITY if valid => {
                Some(Self::special(Kind::Infinite { negative: sign == NEGATIVE_INFINITY }))
            }
            _ => None,
        }
    }

    /// Writes the canonical form.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), DatumError> {
        let sign = match self.kind {
            Kind::Finite { negative: false } => POSITIVE,
            Kind::Finite { negative: true } => NEGATIVE,
            Kind::Nan => NAN,
            Kind::Infinite { negative: false } => INFINITY,
            Kind::Infinite { negative: true } => NEGATIVE_INFINITY,
        };
        let (groups, weight) = self.groups();
        let count = u16::try_from(groups.len()).map_err(|_| DatumError::NumericFormat)?;
        let weight = i16::try_from(weight).map_err(|_| DatumError::NumericFormat)?;
        let scale = u16::try_from(self.scale).map_err(|_| DatumError::NumericFormat)?;
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&weight.to_be_bytes());
        out.extend_from_slice(&sign.to_be_bytes());
        out.extend_from_slice(&scale.to_be_bytes());
        for group in groups {
            out.extend_from_slice(&group.to_be_bytes());
        }
        Ok(())
    }

    /// Writes the binary format.
    pub(super) fn send(&self, out: &mut Vec<u8>) -> Result<(), DatumError> {
        // The scale of an infinity shows bits of its header.
        let scale = if matches!(self.kind, Kind::Infinite { .. }) { 32 } else { self.scale };
        Self { scale, ..self.clone() }.write(out)
    }

    /// Writes the text format.
    pub(super) fn print(&self, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Nan => out.extend_from_slice(b"NaN"),
            Kind::Infinite { negative } => {
                out.extend_from_slice(if negative { b"-Infinity" } else { b"Infinity" });
            }
            Kind::Finite { negative } => {
                if negative {
                    out.push(b'-');
                }
                // Powers of ten of the first and the last digit that is shown.
                let first = self.magnitude().max(1) - 1;
                for power in (-self.scale..=first).rev() {
                    if power == -1 {
                        out.push(b'.');
                    }
                    out.push(b'0' + self.digit(power));
                }
            }
        }
    }

    /// Rounded and checked as a column of the type does.
    pub(super) fn fit(self, ty: &Type) -> Result<Self, DatumError> {
        let Some((precision, scale)) = ty.numeric() else { return Ok(self) };
        let overflow = |infinite| DatumError::NumericOverflow { precision, scale, infinite };
        match self.kind {
            Kind::Nan => Ok(self),
            Kind::Infinite { .. } => Err(overflow(true)),
            Kind::Finite { .. } => {
                let value = self.round(scale);
                if value.magnitude() > precision - scale && !value.is_zero() {
                    return Err(overflow(false));
                }
                Ok(value)
            }
        }
    }

    /// The same value shown with the column's scale; `None` if it has digits beyond it.
    pub(super) fn rescale(self, ty: &Type) -> Option<Self> {
        match (ty.numeric(), self.kind) {
            (None, _) | (_, Kind::Nan | Kind::Infinite { .. }) => Some(self),
            (Some((_, scale)), Kind::Finite { .. }) => {
                (self.fraction <= scale || self.is_zero()).then(|| Self { scale: scale.max(0), ..self })
            }
        }
    }

    /// Rounded to an integer, half away from zero.
    pub(super) fn to_int(&self, ty: &'static str) -> Result<i64, DatumError> {
        let what = match self.kind {
            Kind::Finite { negative } => {
                let value = self.clone().round(0);
                if value.magnitude() > 19 {
                    return Err(DatumError::OutOfRange { ty: Cow::Borrowed(ty) });
                }
                let magnitude = (0..value.magnitude().max(0))
                    .rev()
                    .fold(0_i128, |sum, power| sum * 10 + i128::from(value.digit(power)));
                return i64::try_from(if negative { -magnitude } else { magnitude })
                    .map_err(|_| DatumError::OutOfRange { ty: Cow::Borrowed(ty) });
            }
            Kind::Nan => "NaN",
            Kind::Infinite { .. } => "infinity",
        };
        Err(DatumError::NoInteger { what, ty: Cow::Borrowed(ty) })
    }

    /// The same value as an integer, if it is one.
    pub(super) fn as_int(&self) -> Option<i64> {
        (self.fraction <= 0).then(|| self.to_int("")).and_then(Result::ok)
    }

    /// The number as text, for a float's own reader.
    pub(super) fn to_text(&self) -> String {
        let mut text = Vec::new();
        self.print(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn special(kind: Kind) -> Self {
        Self { kind, digits: Vec::new(), fraction: 0, scale: 0 }
    }

    fn finite(negative: bool, digits: Vec<u8>, fraction: i32, scale: i32) -> Self {
        Self { kind: Kind::Finite { negative }, digits, fraction, scale }.normalised()
    }

    /// Takes zeros off both ends.
    fn normalised(mut self) -> Self {
        let trailing = self.digits.iter().rev().take_while(|digit| **digit == 0).count();
        self.digits.truncate(self.digits.len() - trailing);
        let leading = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..leading);
        self.fraction = self.fraction.saturating_sub(i32::try_from(trailing).unwrap_or(i32::MAX));
        if self.digits.is_empty() {
            self.fraction = 0;
            if let Kind::Finite { negative } = &mut self.kind {
                *negative = false;
            }
        }
        self
    }

    /// Fails if the server's format cannot hold it.
    fn checked(self) -> Result<Self, DatumError> {
        let weight = (self.magnitude() - 1).div_euclid(GROUP);
        let fits = self.scale <= MAX_SCALE && (-MAX_WEIGHT..=MAX_WEIGHT).contains(&weight);
        fits.then_some(self).ok_or(DatumError::NumericFormat)
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Decimal digits before the point (negative: zeros after it before the first digit).
    fn magnitude(&self) -> i32 {
        i32::try_from(self.digits.len()).unwrap_or(i32::MAX).saturating_sub(self.fraction)
    }

    /// The digit at a power of ten.
    fn digit(&self, power: i32) -> u8 {
        let at = self.magnitude().saturating_sub(1).saturating_sub(power);
        usize::try_from(at).ok().and_then(|at| self.digits.get(at)).copied().unwrap_or(0)
    }

    /// Rounded half away from zero to a scale (negative: tens, hundreds), which is then shown.
    fn round(mut self, scale: i32) -> Self {
        if self.fraction > scale {
            let up = self.digit(-scale - 1) >= 5;
            let kept = self.magnitude().saturating_add(scale);
            self.digits.truncate(usize::try_from(kept).unwrap_or(0));
            self.fraction = scale;
            if up {
                // Nine by nine to the left; one more digit if all were nines (or none was kept).
                let nines = self.digits.iter().rev().take_while(|digit| **digit == 9).count();
                self.digits.truncate(self.digits.len() - nines);
                match self.digits.last_mut() {
                    Some(digit) => *digit += 1,
                    None => self.digits.push(1),
                }
                self.fraction -= i32::try_from(nines).unwrap_or(i32::MAX);
            }
        }
        self.scale = scale.max(0);
        self.normalised()
    }

    /// Digits of base 10000 and the weight of the first.
    fn groups(&self) -> (Vec<u16>, i32) {
        if self.is_zero() {
            return (Vec::new(), 0);
        }
        let weight = (self.magnitude() - 1).div_euclid(GROUP);
        let last = (-self.fraction).div_euclid(GROUP);
        let group = |weight: i32| {
            (0..GROUP).rev().fold(0, |sum, power| sum * 10 + u16::from(self.digit(weight * GROUP + power)))
        };
        ((last..=weight).rev().map(group).collect(), weight)
    }
}

/// The bytes that a value which begins like this has.
fn length(bytes: &[u8]) -> usize {
    let mut bytes = Cursor(bytes);
    match (bytes.u16(), bytes.u16(), bytes.u16()) {
        (Some(count), _, Some(POSITIVE | NEGATIVE | NAN | INFINITY | NEGATIVE_INFINITY)) => {
            8 + 2 * usize::from(count)
        }
        (_, _, Some(_)) => 0,
        _ => 8,
    }
}

/// The exponent; inside, `None` if it is beyond any that could be held.
fn parse_exponent(exponent: &str) -> Option<Option<i32>> {
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(exponent.parse().ok().filter(|value: &i32| value.abs() < i32::MAX / 2))
}
