//! Dates and times as the server prints them under `DateStyle`.

use std::fmt::Write as _;

use super::{Civil, DateOrder, MICROS_PER_DAY, MICROS_PER_SECOND, Zone, is_infinite, shifted};
use crate::datum::DatumError;
use crate::datum::settings::{DateForm, DateStyle};

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
            let mut text = String::new();
            match style.form {
                DateForm::Postgres => {
                    let (first, second) = ordered(date, style.order == DateOrder::Dmy);
                    let _ = write!(text, "{first:02}-{second:02}-{:04}", shown_year(date));
                }
                _ => numeric_date(&mut text, date, style),
            }
            finish(text, date, out);
        }
    }
}

pub(in crate::datum) fn print_time(micros: i64, out: &mut Vec<u8>) {
    let mut text = String::new();
    clock(&mut text, micros);
    out.extend_from_slice(text.as_bytes());
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
    let seconds = offset.as_ref().map_or(0, |(seconds, _)| i64::from(*seconds));
    let local = shifted(micros, seconds).unwrap_or(micros.saturating_add(seconds * MICROS_PER_SECOND));
    let (days, time) = (local.div_euclid(MICROS_PER_DAY), local.rem_euclid(MICROS_PER_DAY));
    let date = Civil::from_days(days);
    let mut text = String::new();
    if style.form == DateForm::Postgres {
        let weekday = usize::try_from((days + 6).rem_euclid(7)).ok().and_then(|at| WEEKDAYS.get(at));
        let month = usize::try_from(date.month - 1).ok().and_then(|at| MONTHS.get(at));
        let (weekday, month) = (weekday.unwrap_or(&""), month.unwrap_or(&""));
        let _ = match style.order {
            DateOrder::Dmy => write!(text, "{weekday} {:02} {month} ", date.day),
            _ => write!(text, "{weekday} {month} {:02} ", date.day),
        };
        clock(&mut text, time);
        let _ = write!(text, " {:04}", shown_year(date));
    } else {
        numeric_date(&mut text, date, style);
        text.push(' ');
        clock(&mut text, time);
    }
    match offset {
        Some((seconds, _)) if style.form == DateForm::Iso => numeric_zone(&mut text, seconds),
        Some((_, abbreviation)) => {
            text.push(' ');
            text.extend(abbreviation.chars().take(MAX_ABBREVIATION));
        }
        None => {}
    }
    finish(text, date, out);
    Ok(())
}

/// A date in digits; German dates keep their order, SQL ones follow the session's.
fn numeric_date(text: &mut String, date: Civil, style: DateStyle) {
    let year = shown_year(date);
    let _ = match style.form {
        DateForm::Iso => write!(text, "{year:04}-{:02}-{:02}", date.month, date.day),
        DateForm::German => write!(text, "{:02}.{:02}.{year:04}", date.day, date.month),
        DateForm::Sql | DateForm::Postgres => {
            let (first, second) = ordered(date, style.order == DateOrder::Dmy);
            write!(text, "{first:02}/{second:02}/{year:04}")
        }
    };
}

/// Month and day, or day and month.
fn ordered(date: Civil, day_first: bool) -> (i64, i64) {
    if day_first { (date.day, date.month) } else { (date.month, date.day) }
}

/// `HH:MM:SS` and the fraction without its trailing zeros.
fn clock(text: &mut String, micros: i64) {
    let seconds = micros / MICROS_PER_SECOND;
    let _ = write!(text, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    fraction(text, micros % MICROS_PER_SECOND);
}

/// `.ffffff` without its trailing zeros; nothing for 0.
pub(super) fn fraction(text: &mut String, micros: i64) {
    if micros != 0 {
        let digits = format!("{micros:06}");
        let _ = write!(text, ".{}", digits.trim_end_matches('0'));
    }
}

/// `+HH`, `+HH:MM` or `+HH:MM:SS`.
fn numeric_zone(text: &mut String, seconds: i32) {
    let magnitude = seconds.abs();
    let (hours, minutes, rest) = (magnitude / 3600, magnitude / 60 % 60, magnitude % 60);
    let _ = write!(text, "{}{hours:02}", if seconds < 0 { '-' } else { '+' });
    if rest != 0 {
        let _ = write!(text, ":{minutes:02}:{rest:02}");
    } else if minutes != 0 {
        let _ = write!(text, ":{minutes:02}");
    }
}

/// Years before 1 are counted backwards from 1 BC.
fn shown_year(date: Civil) -> i64 {
    if date.year > 0 { date.year } else { 1 - date.year }
}

fn finish(mut text: String, date: Civil, out: &mut Vec<u8>) {
    if date.year <= 0 {
        text.push_str(" BC");
    }
    out.extend_from_slice(text.as_bytes());
}
