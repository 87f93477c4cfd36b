//! Dates and times.
//!
//! | family | canonical bytes (big-endian) |
//! |---|---|
//! | `date` | days since 2000-01-01 (4); the least and the greatest number are -infinity and infinity |
//! | `time` | microseconds since midnight (8), 24:00:00 included |
//! | `timestamp` | microseconds since 2000-01-01 00:00:00 (8), infinities as with date |
//! | `timestamptz` | the same in UTC |
//! | `interval` | months (4), days (4), microseconds (8) |

use std::borrow::Cow;

use super::settings::DateOrder;
use super::{DatumError, Quoted};

mod fields;
mod input;
mod interval;
mod output;
pub(super) mod zone;

pub(super) use input::{parse_date, parse_time, parse_timestamp};
pub(super) use interval::Interval;
pub(super) use output::{print_date, print_interval, print_time, print_timestamp};

use zone::Zone;

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 4714-11-24 BC, the first day that the server knows.
const MIN_DATE: i32 = -2_451_545;
/// The day after 5874897-12-31.
const END_DATE: i32 = 2_145_031_949;
/// The first day's midnight.
const MIN_TIMESTAMP: i64 = MIN_DATE as i64 * MICROS_PER_DAY;
/// The midnight after 294276-12-31.
const END_TIMESTAMP: i64 = 9_223_371_331_200_000_000;

/// A date in the proleptic Gregorian calendar; year 0 is 1 BC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
}

impl Civil {
    /// The day's number, counted from 2000-01-01.
    fn to_days(self) -> i64 {
        // Years that start in March put the leap day at their end.
        let year = self.year - i64::from(self.month <= 2);
        let month = (self.month + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + self.day - 1;
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 730_425
    }

    fn from_days(days: i64) -> Self {
        let shifted = days + 730_425;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
        }
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Whether the number is a date (infinities included).
pub(super) fn is_date(days: i32) -> bool {
    is_infinite_date(days) || (MIN_DATE..END_DATE).contains(&days)
}

/// Whether the number is a time of day.
pub(super) fn is_time(micros: i64) -> bool {
    (0..=MICROS_PER_DAY).contains(&micros)
}

/// Whether the number is a timestamp (infinities included).
pub(super) fn is_timestamp(micros: i64) -> bool {
    is_infinite(micros) || (MIN_TIMESTAMP..END_TIMESTAMP).contains(&micros)
}

pub(super) fn is_infinite_date(days: i32) -> bool {
    matches!(days, i32::MIN | i32::MAX)
}

pub(super) fn is_infinite(micros: i64) -> bool {
    matches!(micros, i64::MIN | i64::MAX)
}

/// Rounded half away from zero to `digits` of a second's fraction; `None` beyond what the number holds.
pub(super) fn round_micros(micros: i64, digits: Option<u32>) -> Option<i64> {
    let Some(digits) = digits else { return Some(micros) };
    let step = 10_i64.pow(6_u32.saturating_sub(digits));
    let magnitude = micros.checked_abs()?.checked_add(step / 2)? / step * step;
    Some(if micros < 0 { -magnitude } else { magnitude })
}

/// A timestamp rounded to the column's precision.
pub(super) fn round_timestamp(micros: i64, digits: Option<u32>) -> Result<i64, DatumError> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    let rounded = round_micros(micros, digits).filter(|micros| is_timestamp(*micros));
    rounded.ok_or_else(|| out_of_range("timestamp", None))
}

/// Midnight of a date.
pub(super) fn date_to_timestamp(days: i32) -> Result<i64, DatumError> {
    match days {
        i32::MIN => Ok(i64::MIN),
        i32::MAX => Ok(i64::MAX),
        _ => i64::from(days)
            .checked_mul(MICROS_PER_DAY)
            .filter(|micros| is_timestamp(*micros))
            .ok_or(DatumError::DateBeyondTimestamp),
    }
}

/// The date of a timestamp.
pub(super) fn timestamp_to_date(micros: i64) -> i32 {
    match micros {
        i64::MIN => i32::MIN,
        i64::MAX => i32::MAX,
        // A timestamp's days are within a date's.
        _ => i32::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX),
    }
}

/// The instant of a local timestamp.
pub(super) fn local_to_utc(micros: i64, zone: &Zone) -> Result<i64, DatumError> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    let offset = zone.offset_for_local(micros.div_euclid(MICROS_PER_SECOND))?;
    shifted(micros, -i64::from(offset))
}

/// The local timestamp of an instant.
pub(super) fn utc_to_local(micros: i64, zone: &Zone) -> Result<i64, DatumError> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    let offset = zone.offset_at(micros.div_euclid(MICROS_PER_SECOND))?;
    shifted(micros, i64::from(offset))
}

fn shifted(micros: i64, seconds: i64) -> Result<i64, DatumError> {
    let result = micros.saturating_add(seconds * MICROS_PER_SECOND);
    let valid = is_timestamp(result) && !is_infinite(result);
    valid.then_some(result).ok_or_else(|| out_of_range("timestamp", None))
}

fn out_of_range(ty: &'static str, input: Option<&str>) -> DatumError {
    DatumError::DateRange { ty: Cow::Borrowed(ty), input: input.map(Quoted::new) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_two_ways_of_saying_one_thing() {
        for (year, month, day, days) in [
            (2000, 1, 1, 0),
            (1970, 1, 1, -10_957),
            (-4713, 11, 24, i64::from(MIN_DATE)),
            (5_874_897, 12, 31, i64::from(END_DATE) - 1),
            (294_276, 12, 31, END_TIMESTAMP / MICROS_PER_DAY - 1),
            (2000, 2, 29, 59),
            (1999, 12, 31, -1),
            (0, 2, 29, -730_426),
        ] {
            let date = Civil { year, month, day };
            assert_eq!(date.to_days(), days, "{date:?}");
            assert_eq!(Civil::from_days(days), date, "{days}");
        }
        for days in (-2_451_545..3_000_000).step_by(97) {
            assert_eq!(Civil::from_days(days).to_days(), days);
        }
    }
}
