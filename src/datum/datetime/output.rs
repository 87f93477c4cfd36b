//! Dates, times and intervals as the server prints them under `DateStyle` and `IntervalStyle`.

use std::io::Write as _;

use super::interval::{Interval, MICROS_PER_HOUR, MICROS_PER_MINUTE, MONTHS_PER_YEAR};
use super::{Civil, DateOrder, MICROS_PER_DAY, MICROS_PER_SECOND, Zone, is_infinite};
use crate::datum::DatumError;
use crate::datum::settings::{DateForm, DateStyle, IntervalStyle};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
/// What is shown of an abbreviation.
const MAX_ABBREVIATION: usize = 10;

pub(in crate::datum) fn print_date(days: i32, style: DateStyle, out: &mut Vec<u8>) {
    match days {
        i32::MIN => out.extend_from_slice(b"-infinity"),
        i32::MAX => out.extend_from_slice(b"infinity"),
        _ => {
            let date = Civil::from_days(i64::from(days));
            match style.form {
                DateForm::Postgres => {
                    let (first, second) = ordered(date, style.order == DateOrder::Dmy);
                    let _ = write!(out, "{first:02}-{second:02}-{:04}", shown_year(date));
                }
                _ => numeric_date(out, date, style),
            }
            era(date, out);
        }
    }
}

pub(in crate::datum) fn print_time(micros: i64, out: &mut Vec<u8>) {
    clock(out, micros);
}

/// Prints a timestamp, or with a zone a timestamptz.
pub(in crate::datum) fn print_timestamp(
    micros: i64,
    zone: Option<&Zone>,
    style: DateStyle,
    out: &mut Vec<u8>,
) -> Result<(), DatumError> {
    if is_infinite(micros) {
        out.extend_from_slice(if micros < 0 { b"-infinity" } else { b"infinity" });
        return Ok(());
    }
    let offset = zone.map(|zone| zone.offset_at(micros.div_euclid(MICROS_PER_SECOND))).transpose()?;
    // The local time of the first and last instants may lie outside of what a timestamp can be.
    let seconds = offset.unwrap_or(0);
    let local = micros.saturating_add(i64::from(seconds) * MICROS_PER_SECOND);
    let (days, time) = (local.div_euclid(MICROS_PER_DAY), local.rem_euclid(MICROS_PER_DAY));
    let date = Civil::from_days(days);
    if style.form == DateForm::Postgres {
        let weekday = usize::try_from((days + 6).rem_euclid(7)).ok().and_then(|at| WEEKDAYS.get(at));
        let month = usize::try_from(date.month - 1).ok().and_then(|at| MONTHS.get(at));
        let (weekday, month) = (weekday.unwrap_or(&""), month.unwrap_or(&""));
        let _ = match style.order {
            DateOrder::Dmy => write!(out, "{weekday} {:02} {month} ", date.day),
            _ => write!(out, "{weekday} {month} {:02} ", date.day),
        };
        clock(out, time);
        let _ = write!(out, " {:04}", shown_year(date));
    } else {
        numeric_date(out, date, style);
        out.push(b' ');
        clock(out, time);
    }
    match zone {
        Some(_) if style.form == DateForm::Iso => numeric_zone(out, seconds),
        Some(zone) => {
            let abbreviation = zone.abbreviation_at(micros.div_euclid(MICROS_PER_SECOND));
            let _ = write!(out, " {abbreviation:.MAX_ABBREVIATION$}");
        }
        None => {}
    }
    era(date, out);
    Ok(())
}

pub(in crate::datum) fn print_interval(interval: Interval, style: IntervalStyle, out: &mut Vec<u8>) {
    let parts = Parts::of(interval);
    out.extend(match style {
        IntervalStyle::Postgres => parts.postgres(),
        IntervalStyle::PostgresVerbose => parts.verbose(),
        IntervalStyle::SqlStandard => parts.standard(),
        IntervalStyle::Iso8601 => parts.iso(),
    });
}

/// A date in digits; German dates keep their order, SQL ones follow the session's.
fn numeric_date(out: &mut Vec<u8>, date: Civil, style: DateStyle) {
    let year = shown_year(date);
    let _ = match style.form {
        DateForm::Iso => write!(out, "{year:04}-{:02}-{:02}", date.month, date.day),
        DateForm::German => write!(out, "{:02}.{:02}.{year:04}", date.day, date.month),
        DateForm::Sql | DateForm::Postgres => {
            let (first, second) = ordered(date, style.order == DateOrder::Dmy);
            write!(out, "{first:02}/{second:02}/{year:04}")
        }
    };
}

/// Month and day, or day and month.
fn ordered(date: Civil, day_first: bool) -> (i64, i64) {
    if day_first { (date.day, date.month) } else { (date.month, date.day) }
}

/// `HH:MM:SS` and the fraction without its trailing zeros.
fn clock(out: &mut Vec<u8>, micros: i64) {
    let seconds = micros / MICROS_PER_SECOND;
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    fraction(out, micros % MICROS_PER_SECOND);
}

/// `.ffffff` without its trailing zeros; nothing for 0.
fn fraction(out: &mut Vec<u8>, micros: i64) {
    if micros != 0 {
        let digits = format!("{micros:06}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
}

/// `+HH`, `+HH:MM` or `+HH:MM:SS`.
fn numeric_zone(out: &mut Vec<u8>, seconds: i32) {
    let magnitude = seconds.abs();
    let (hours, minutes, rest) = (magnitude / 3600, magnitude / 60 % 60, magnitude % 60);
    let _ = write!(out, "{}{hours:02}", if seconds < 0 { '-' } else { '+' });
    if rest != 0 {
        let _ = write!(out, ":{minutes:02}:{rest:02}");
    } else if minutes != 0 {
        let _ = write!(out, ":{minutes:02}");
    }
}

/// Years before 1 are counted backwards from 1 BC.
fn shown_year(date: Civil) -> i64 {
    if date.year > 0 { date.year } else { 1 - date.year }
}

fn era(date: Civil, out: &mut Vec<u8>) {
    if date.year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

/// An interval by its fields, each with its own sign.
#[derive(Clone, Copy)]
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

impl Parts {
    fn of(interval: Interval) -> Self {
        let (months, micros) = (i64::from(interval.months), interval.micros);
        Self {
            years: months / MONTHS_PER_YEAR,
            months: months % MONTHS_PER_YEAR,
            days: interval.days.into(),
            hours: micros / MICROS_PER_HOUR,
            minutes: micros / MICROS_PER_MINUTE % 60,
            seconds: micros / MICROS_PER_SECOND % 60,
            micros: micros % MICROS_PER_SECOND,
        }
    }

    fn has_time(self) -> bool {
        [self.hours, self.minutes, self.seconds, self.micros].iter().any(|part| *part != 0)
    }

    fn time_is_negative(self) -> bool {
        [self.hours, self.minutes, self.seconds, self.micros].iter().any(|part| *part < 0)
    }

    /// `1 year 2 mons -3 days +04:05:06.7`
    fn postgres(self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut negative = false;
        for (value, unit) in [(self.years, "year"), (self.months, "mon"), (self.days, "day")] {
            if value != 0 {
                let space = if text.is_empty() { "" } else { " " };
                let sign = if negative && value > 0 { "+" } else { "" };
                let _ = write!(text, "{space}{sign}{value} {unit}{}", plural(value));
                negative = value < 0;
            }
        }
        if text.is_empty() || self.has_time() {
            let space = if text.is_empty() { "" } else { " " };
            let sign = if self.time_is_negative() {
                "-"
            } else if negative {
                "+"
            } else {
                ""
            };
            let _ = write!(text, "{space}{sign}{:02}:", self.hours.abs());
            self.minutes_and_seconds(&mut text);
        }
        text
    }

    /// `@ 1 year -2 mons 3 days 4 hours 5 mins 6.7 secs ago`
    fn verbose(self) -> Vec<u8> {
        let mut text = b"@".to_vec();
        let mut negative = None;
        for (value, unit) in [
            (self.years, "year"),
            (self.months, "mon"),
            (self.days, "day"),
            (self.hours, "hour"),
            (self.minutes, "min"),
        ] {
            if value != 0 {
                let shown = if *negative.get_or_insert(value < 0) { -value } else { value };
                let _ = write!(text, " {shown} {unit}{}", plural(shown));
            }
        }
        if self.seconds != 0 || self.micros != 0 {
            let below = self.seconds < 0 || self.micros < 0;
            let sign = if *negative.get_or_insert(below) == below { "" } else { "-" };
            let _ = write!(text, " {sign}{}", self.seconds.abs());
            fraction(&mut text, self.micros.abs());
            let one = self.seconds.abs() == 1 && self.micros == 0;
            text.extend_from_slice(if one { b" sec" } else { b" secs" });
        }
        match negative {
            None => text.extend_from_slice(b" 0"),
            Some(true) => text.extend_from_slice(b" ago"),
            Some(false) => {}
        }
        text
    }

    /// `1-2`, `3 4:05:06.7`, or `+1-2 -3 +4:05:06.7` where the standard has no form.
    fn standard(self) -> Vec<u8> {
        let all = [self.years, self.months, self.days, self.hours, self.minutes, self.seconds, self.micros];
        let negative = all.iter().any(|part| *part < 0);
        let positive = all.iter().any(|part| *part > 0);
        let by_month = self.years != 0 || self.months != 0;
        let by_time = self.days != 0 || self.has_time();
        let mut text = Vec::new();
        if !negative && !positive {
            text.push(b'0');
        } else if (negative && positive) || (by_month && by_time) {
            let sign = |negative: bool| if negative { '-' } else { '+' };
            let _ = write!(
                text,
                "{}{}-{} {}{} {}{}:",
                sign(self.years < 0 || self.months < 0),
                self.years.abs(),
                self.months.abs(),
                sign(self.days < 0),
                self.days.abs(),
                sign(self.time_is_negative()),
                self.hours.abs()
            );
            self.minutes_and_seconds(&mut text);
        } else {
            if negative {
                text.push(b'-');
            }
            if by_month {
                let _ = write!(text, "{}-{}", self.years.abs(), self.months.abs());
            } else {
                if self.days != 0 {
                    let _ = write!(text, "{} ", self.days.abs());
                }
                let _ = write!(text, "{}:", self.hours.abs());
                self.minutes_and_seconds(&mut text);
            }
        }
        text
    }

    /// `P1Y2M-3DT4H5M6.7S`
    fn iso(self) -> Vec<u8> {
        let mut text = b"P".to_vec();
        for (value, unit) in [(self.years, 'Y'), (self.months, 'M'), (self.days, 'D')] {
            if value != 0 {
                let _ = write!(text, "{value}{unit}");
            }
        }
        if self.has_time() {
            text.push(b'T');
            for (value, unit) in [(self.hours, 'H'), (self.minutes, 'M')] {
                if value != 0 {
                    let _ = write!(text, "{value}{unit}");
                }
            }
            if self.seconds != 0 || self.micros != 0 {
                let sign = if self.seconds < 0 || self.micros < 0 { "-" } else { "" };
                let _ = write!(text, "{sign}{}", self.seconds.abs());
                fraction(&mut text, self.micros.abs());
                text.push(b'S');
            }
        }
        if text.len() == 1 {
            text.extend_from_slice(b"T0S");
        }
        text
    }

    fn minutes_and_seconds(self, text: &mut Vec<u8>) {
        let _ = write!(text, "{:02}:{:02}", self.minutes.abs(), self.seconds.abs());
        fraction(text, self.micros.abs());
    }
}

fn plural(value: i64) -> &'static str {
    if value == 1 { "" } else { "s" }
}
