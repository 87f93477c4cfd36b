//! Interval: canonical form months (4), days (4) and microseconds (8), each big-endian.
//!
//! The server compares intervals as if a month had 30 days and a day 24 hours; the forms keep what was
//! written, so intervals cannot be deterministic.

use std::borrow::Cow;

use super::fields::{Field, split};
use super::{MICROS_PER_DAY, MICROS_PER_SECOND, out_of_range, round_micros};
use crate::datum::cursor::Cursor;
use crate::datum::settings::IntervalStyle;
use crate::datum::{DatumError, Quoted, Settings};

pub(super) const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub(super) const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub(super) const MONTHS_PER_YEAR: i64 = 12;
const DAYS_PER_MONTH: i64 = 30;

/// A span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::datum) struct Interval {
    pub(in crate::datum) months: i32,
    pub(in crate::datum) days: i32,
    pub(in crate::datum) micros: i64,
}

impl Interval {
    const MIN: Self = Self { months: i32::MIN, days: i32::MIN, micros: i64::MIN };
    const MAX: Self = Self { months: i32::MAX, days: i32::MAX, micros: i64::MAX };

    /// Reads the canonical form.
    pub(in crate::datum) fn read(canonical: &[u8]) -> Option<Self> {
        let mut bytes = Cursor(canonical);
        let (months, days, micros) = (bytes.i32()?, bytes.i32()?, bytes.i64()?);
        bytes.is_empty().then_some(Self { months, days, micros })
    }

    /// Writes the canonical form.
    pub(in crate::datum) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.months.to_be_bytes());
        out.extend_from_slice(&self.days.to_be_bytes());
        out.extend_from_slice(&self.micros.to_be_bytes());
    }

    /// Reads the binary format: microseconds, days, months.
    pub(in crate::datum) fn receive(bytes: &[u8]) -> Result<Self, DatumError> {
        let mut cursor = Cursor(bytes);
        let mut read = || {
            let (micros, days, months) = (cursor.i64()?, cursor.i32()?, cursor.i32()?);
            cursor.is_empty().then_some(Self { months, days, micros })
        };
        let interval = read().ok_or_else(|| DatumError::received("interval", bytes, 16))?;
        // From version 17 on these are the infinities, before they are finite: they are not told apart.
        let infinite = [Self::MIN, Self::MAX].contains(&interval);
        if infinite { Err(out_of_range("interval", None)) } else { Ok(interval) }
    }

    /// Writes the binary format.
    pub(in crate::datum) fn send(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.micros.to_be_bytes());
        out.extend_from_slice(&self.days.to_be_bytes());
        out.extend_from_slice(&self.months.to_be_bytes());
    }

    /// With `digits` of a second's fraction.
    pub(in crate::datum) fn rounded(self, digits: Option<u32>) -> Result<Self, DatumError> {
        let micros = round_micros(self.micros, digits).ok_or_else(|| out_of_range("interval", None))?;
        Ok(Self { micros, ..self })
    }

    /// Reads numbers with their units, the SQL standard's forms, or ISO 8601's with designators.
    pub(in crate::datum) fn parse(input: &str, settings: &Settings) -> Result<Self, DatumError> {
        let standard = settings.interval_style == IntervalStyle::SqlStandard;
        let result = match parse_fields(input, standard) {
            Err(Fail::Syntax) => parse_iso(input),
            other => other,
        };
        let sums = result.map_err(|fail| fail.named(input))?;
        sums.finish()
            .filter(|interval| ![Self::MIN, Self::MAX].contains(interval))
            .ok_or_else(|| out_of_range("interval", None))
    }
}

enum Fail {
    Syntax,
    Field,
    Range,
}

impl Fail {
    fn named(self, input: &str) -> DatumError {
        match self {
            Self::Syntax => {
                DatumError::DateSyntax { ty: Cow::Borrowed("interval"), input: Quoted::new(input) }
            }
            Self::Field => DatumError::IntervalField(Quoted::new(input)),
            Self::Range => out_of_range("interval", None),
        }
    }
}

/// A unit of time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

impl Unit {
    fn named(word: &str) -> Option<Self> {
        // The server compares ten characters.
        let word = word.get(..10).unwrap_or(word);
        Some(match word {
            "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" => Self::Microsecond,
            "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" => Self::Millisecond,
            "s" | "sec" | "secs" | "second" | "seconds" => Self::Second,
            "m" | "min" | "mins" | "minute" | "minutes" => Self::Minute,
            "h" | "hr" | "hrs" | "hour" | "hours" => Self::Hour,
            "d" | "day" | "days" => Self::Day,
            "w" | "week" | "weeks" => Self::Week,
            "mon" | "mons" | "month" | "months" => Self::Month,
            "y" | "yr" | "yrs" | "year" | "years" => Self::Year,
            "dec" | "decs" | "decade" | "decades" => Self::Decade,
            "c" | "cent" | "century" | "centuries" => Self::Century,
            "mil" | "mils" | "millennia" | "millennium" => Self::Millennium,
            _ => return None,
        })
    }

    /// Its bit among the fields that were given.
    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Bits of what a clock time gives.
const CLOCK: u16 = 1 << Unit::Second as u16 | 1 << Unit::Minute as u16 | 1 << Unit::Hour as u16;
/// Bits of seconds with a fraction.
const SECONDS: u16 = 1 << Unit::Microsecond as u16 | 1 << Unit::Millisecond as u16 | 1 << Unit::Second as u16;

/// What the fields add up to.
#[derive(Default)]
struct Sums {
    years: i64,
    months: i64,
    days: i64,
    micros: i64,
}

impl Sums {
    /// Adds a number of units; what a fraction means is the server's: part of a year is months, part of
    /// a month or a week is days and time, part of a day is time.
    fn add(&mut self, unit: Unit, value: i64, part: f64) -> Result<(), Fail> {
        let small = || i32::try_from(value).map(i64::from).map_err(|_| Fail::Field);
        match unit {
            Unit::Microsecond => self.add_time(value, part, 1),
            Unit::Millisecond => self.add_time(value, part, 1000),
            Unit::Second => self.add_time(value, part, MICROS_PER_SECOND),
            Unit::Minute => self.add_time(value, part, MICROS_PER_MINUTE),
            Unit::Hour => self.add_time(value, part, MICROS_PER_HOUR),
            Unit::Day => {
                self.days = bounded(self.days + small()?)?;
                self.add_time(0, part, MICROS_PER_DAY)
            }
            Unit::Week => {
                self.days = bounded(self.days + small()? * 7)?;
                self.add_days(part, 7)
            }
            Unit::Month => {
                self.months = bounded(self.months + small()?)?;
                self.add_days(part, DAYS_PER_MONTH)
            }
            Unit::Year => self.add_years(small()?, part, 1),
            Unit::Decade => self.add_years(small()?, part, 10),
            Unit::Century => self.add_years(small()?, part, 100),
            Unit::Millennium => self.add_years(small()?, part, 1000),
        }
    }

    fn add_years(&mut self, value: i64, part: f64, scale: i64) -> Result<(), Fail> {
        self.years = bounded(self.years + value * scale)?;
        let months = (part * float(scale) * float(MONTHS_PER_YEAR)).round_ties_even();
        self.months = bounded(self.months + whole(months))?;
        Ok(())
    }

    fn add_days(&mut self, part: f64, scale: i64) -> Result<(), Fail> {
        let days = part * float(scale);
        self.days = bounded(self.days + whole(days))?;
        self.add_time(0, days - days.trunc(), MICROS_PER_DAY)
    }

    fn add_time(&mut self, value: i64, part: f64, scale: i64) -> Result<(), Fail> {
        let part = part * float(scale);
        let rest = part - part.trunc();
        let up = if rest > 0.5 {
            1
        } else if rest < -0.5 {
            -1
        } else {
            0
        };
        let sum = value.checked_mul(scale).and_then(|micros| self.micros.checked_add(micros));
        self.micros = sum.and_then(|sum| sum.checked_add(whole(part) + up)).ok_or(Fail::Field)?;
        Ok(())
    }

    fn negate(&mut self) -> Result<(), Fail> {
        self.years = -self.years;
        self.months = -self.months;
        self.days = bounded(-self.days)?;
        self.micros = self.micros.checked_neg().ok_or(Fail::Field)?;
        Ok(())
    }

    fn finish(self) -> Option<Interval> {
        Some(Interval {
            months: i32::try_from(self.years * MONTHS_PER_YEAR + self.months).ok()?,
            days: i32::try_from(self.days).ok()?,
            micros: self.micros,
        })
    }
}

fn bounded(value: i64) -> Result<i64, Fail> {
    i32::try_from(value).map(i64::from).map_err(|_| Fail::Field)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of units are small")]
fn float(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a part of a unit is small, and a cast saturates")]
fn whole(value: f64) -> i64 {
    value as i64
}

/// Reads the fields from the last to the first, so that a unit is known before its number.
fn parse_fields(input: &str, standard: bool) -> Result<Sums, Fail> {
    let fields = split(input).ok_or(Fail::Syntax)?;
    // In the SQL standard's style a leading minus is that of all fields, unless another has a sign.
    let mut signs = fields.iter().map(|field| match field {
        Field::Offset(text) | Field::Word(text) if text.starts_with(['+', '-']) => text.chars().next(),
        _ => None,
    });
    let all_negative = standard && signs.next() == Some(Some('-')) && signs.all(|sign| sign.is_none());
    let mut sums = Sums::default();
    let (mut unit, mut seen, mut ago) = (Some(Unit::Second), 0, false);
    for field in fields.iter().rev() {
        let given = match field {
            Field::Time(text) => {
                let micros = clock(text)?;
                sums.add_time(if all_negative { -micros } else { micros }, 0.0, 1)?;
                unit = Some(Unit::Day);
                CLOCK
            }
            Field::Offset(text) if text.contains(':') => {
                let micros = clock(text.trim_start_matches(['+', '-']))?;
                sums.add_time(if text.starts_with('-') { -micros } else { micros }, 0.0, 1)?;
                unit = Some(Unit::Day);
                CLOCK
            }
            Field::Offset(text) => number(text, &mut unit, all_negative, &mut sums)?,
            Field::Number(text) | Field::Date(text) => number(text, &mut unit, all_negative, &mut sums)?,
            Field::Word(word) if word == "ago" => {
                ago = true;
                // A number needs a unit of its own before this word.
                unit = None;
                continue;
            }
            Field::Word(word) => {
                unit = Some(Unit::named(word).ok_or(Fail::Syntax)?);
                continue;
            }
            Field::Name(_) => return Err(Fail::Syntax),
        };
        if given & seen != 0 {
            return Err(Fail::Syntax);
        }
        seen |= given;
    }
    if seen == 0 {
        return Err(Fail::Syntax);
    }
    if ago {
        sums.negate()?;
    }
    Ok(sums)
}

/// Adds a number with the unit that came after it (seconds at the end); gives the bits of its fields.
fn number(text: &str, unit: &mut Option<Unit>, all_negative: bool, sums: &mut Sums) -> Result<u16, Fail> {
    let negative = text.starts_with('-');
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = body.find(|c: char| !c.is_ascii_digit()).unwrap_or(body.len());
    let (digits, rest) = body.split_at_checked(end).unwrap_or((body, ""));
    let mut value: i64 = match digits {
        "" if rest.starts_with('.') => 0,
        _ => format!("{}{digits}", if negative { "-" } else { "" }).parse().map_err(|_| Fail::Field)?,
    };
    let mut part = 0.0;
    let mut current = unit.ok_or(Fail::Syntax)?;
    if let Some(months) = rest.strip_prefix('-') {
        // Years-months.
        let more: i64 = months.parse().map_err(|_| Fail::Syntax)?;
        if more >= MONTHS_PER_YEAR || months.starts_with(['+', '-']) {
            return Err(Fail::Field);
        }
        current = Unit::Month;
        value = value.checked_mul(MONTHS_PER_YEAR).ok_or(Fail::Field)? + if negative { -more } else { more };
    } else if let Some(decimals) = rest.strip_prefix('.') {
        if !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fail::Syntax);
        }
        part = format!("0.{decimals}").parse().map_err(|_| Fail::Syntax)?;
        if negative {
            part = -part;
        }
    } else if !rest.is_empty() {
        return Err(Fail::Syntax);
    }
    // What comes before hours without a unit is days.
    *unit = Some(if current == Unit::Hour { Unit::Day } else { current });
    if all_negative {
        value = -value.abs();
        part = -f64::abs(part);
    }
    sums.add(current, value, part)?;
    Ok(if current == Unit::Second && part != 0.0 { SECONDS } else { current.bit() })
}

/// `H:M[:S[.fff]]`, or `M:S.fff`, in microseconds.
fn clock(text: &str) -> Result<i64, Fail> {
    let (parts, part) = match text.split_once('.') {
        Some((parts, decimals)) if decimals.bytes().all(|byte| byte.is_ascii_digit()) => {
            (parts, Some(format!("0.{decimals}").parse::<f64>().map_err(|_| Fail::Syntax)?))
        }
        Some(_) => return Err(Fail::Syntax),
        None => (text, None),
    };
    let numbers = parts
        .split(':')
        .map(|digits| match digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() {
            true => digits.parse::<i64>().map_err(|_| Fail::Field),
            false => Err(Fail::Syntax),
        })
        .collect::<Result<Vec<i64>, Fail>>()?;
    let (hours, minutes, seconds) = match (numbers.as_slice(), part) {
        ([hours, minutes], None) => (*hours, *minutes, 0),
        ([minutes, seconds], Some(_)) => (0, *minutes, *seconds),
        ([hours, minutes, seconds], _) => (*hours, *minutes, *seconds),
        _ => return Err(Fail::Syntax),
    };
    if minutes > 59 || seconds > 60 {
        return Err(Fail::Field);
    }
    let micros = whole((part.unwrap_or(0.0) * float(MICROS_PER_SECOND)).round_ties_even());
    hours
        .checked_mul(MICROS_PER_HOUR)
        .and_then(|sum| sum.checked_add(minutes * MICROS_PER_MINUTE + seconds * MICROS_PER_SECOND + micros))
        .ok_or(Fail::Field)
}

/// `P1Y2M3W4DT5H6M7.8S`.
fn parse_iso(input: &str) -> Result<Sums, Fail> {
    let mut rest = input.strip_prefix('P').filter(|rest| !rest.is_empty()).ok_or(Fail::Syntax)?;
    let mut sums = Sums::default();
    let mut date = true;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T').filter(|_| date) {
            (date, rest) = (false, after);
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or(Fail::Syntax)?;
        let (digits, after) = rest.split_at_checked(end).ok_or(Fail::Syntax)?;
        let unit = match (after.chars().next(), date) {
            (Some('Y'), true) => Unit::Year,
            (Some('M'), true) => Unit::Month,
            (Some('W'), true) => Unit::Week,
            (Some('D'), true) => Unit::Day,
            (Some('H'), false) => Unit::Hour,
            (Some('M'), false) => Unit::Minute,
            (Some('S'), false) => Unit::Second,
            _ => return Err(Fail::Syntax),
        };
        rest = after.split_at_checked(1).ok_or(Fail::Syntax)?.1;
        let plain = digits.strip_prefix('-').unwrap_or(digits);
        if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(Fail::Syntax);
        }
        let value: f64 = digits.parse().map_err(|_| Fail::Syntax)?;
        if value.abs() > float(i64::MAX / 2) {
            return Err(Fail::Range);
        }
        sums.add(unit, whole(value), value - value.trunc())?;
    }
    Ok(sums)
}
