//! Time zones: the session's `TimeZone`, and zones written in a value.
//!
//! The database is the one built into the proxy. Where a government has changed its clocks between that
//! release and the server's, local times of that zone after the change are read and printed by other rules
//! than the server's. Times with an offset, and the binary format, depend on no zone.

use std::fmt;

use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::datum::{DatumError, Quoted};

/// Seconds from 1970 to 2000.
const EPOCH_2000: i64 = 946_684_800;
/// Seconds of 400 years, after which the calendar (and with it a zone's last rule) repeats.
const CYCLE: i64 = 146_097 * 86_400;
/// 9999-01-01 in seconds since 1970, near the end of what the zone library counts.
const LAST_YEAR: i64 = 253_370_764_800;

/// The session's time zone.
#[derive(Clone, PartialEq)]
pub struct Zone(Kind);

#[derive(Clone, PartialEq)]
enum Kind {
    /// Of the built-in IANA database, or a POSIX rule.
    Rules(TimeZone),
    /// One offset, in seconds east of UTC.
    Fixed { offset: i32, abbreviation: String },
    /// Not known; what needs it fails.
    Unknown(String),
}

impl Zone {
    /// A zone by the value of `TimeZone`: a name of the IANA database in any case, or a POSIX
    /// specification (`<+02>-02`, whose sign is that of west).
    pub fn parse(name: &str) -> Self {
        Self::lookup(name).unwrap_or_else(|| Self(Kind::Unknown(name.to_owned())))
    }

    /// The same, `None` if it is not known.
    pub(super) fn lookup(name: &str) -> Option<Self> {
        if let Ok(zone) = TimeZone::get(name) {
            return (!zone.is_unknown()).then_some(Self(Kind::Rules(zone)));
        }
        let fixed = fixed_posix(name)
            .map(|(abbreviation, offset)| Kind::Fixed { offset, abbreviation: abbreviation.to_owned() });
        // A rule without its dates means those of the server's own default file.
        let rule = || name.contains(',').then(|| TimeZone::posix(name).ok().map(Kind::Rules)).flatten();
        fixed.or_else(rule).map(Self)
    }

    /// True if the offset is the same at all times.
    pub(in crate::datum) fn is_fixed(&self) -> bool {
        match &self.0 {
            Kind::Rules(zone) => zone.to_fixed_offset().is_ok(),
            Kind::Fixed { .. } => true,
            Kind::Unknown(_) => false,
        }
    }

    /// Seconds east of UTC at an instant (seconds since 2000).
    pub(super) fn offset_at(&self, seconds: i64) -> Result<i32, DatumError> {
        match &self.0 {
            Kind::Rules(zone) => Ok(zone.to_offset(instant(seconds)).seconds()),
            Kind::Fixed { offset, .. } => Ok(*offset),
            Kind::Unknown(name) => Err(unknown(name)),
        }
    }

    /// The abbreviation at an instant (seconds since 2000); none for a zone that is not known.
    pub(super) fn abbreviation_at(&self, seconds: i64) -> String {
        match &self.0 {
            Kind::Rules(zone) => zone.to_offset_info(instant(seconds)).abbreviation().to_owned(),
            Kind::Fixed { abbreviation, .. } => abbreviation.clone(),
            Kind::Unknown(_) => String::new(),
        }
    }

    /// Seconds east of UTC for a local time (seconds since local 2000): in a gap the offset before it,
    /// where a time comes twice the offset after.
    pub(super) fn offset_for_local(&self, seconds: i64) -> Result<i32, DatumError> {
        match &self.0 {
            Kind::Rules(zone) => {
                let local = TimeZone::UTC.to_datetime(instant(seconds));
                Ok(match zone.to_ambiguous_timestamp(local).offset() {
                    AmbiguousOffset::Unambiguous { offset } => offset,
                    AmbiguousOffset::Gap { before, .. } => before,
                    AmbiguousOffset::Fold { after, .. } => after,
                }
                .seconds())
            }
            Kind::Fixed { offset, .. } => Ok(*offset),
            Kind::Unknown(name) => Err(unknown(name)),
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Rules(zone) => write!(f, "Zone({})", zone.iana_name().unwrap_or("POSIX rule")),
            Kind::Fixed { offset, .. } => write!(f, "Zone({offset} s)"),
            Kind::Unknown(_) => f.write_str("Zone(unknown)"),
        }
    }
}

/// Abbreviations of the server's default set that mean one offset at all times, in seconds east.
///
/// <https://www.postgresql.org/docs/current/datetime-config-files.html>
const ABBREVIATIONS: [(&str, i32); 49] = [
    ("acdt", 37_800),
    ("acst", 34_200),
    ("adt", -10_800),
    ("aedt", 39_600),
    ("aest", 36_000),
    ("akdt", -28_800),
    ("akst", -32_400),
    ("ast", -14_400),
    ("awst", 28_800),
    ("brst", -7_200),
    ("brt", -10_800),
    ("bst", 3_600),
    ("cdt", -18_000),
    ("cest", 7_200),
    ("cet", 3_600),
    ("cst", -21_600),
    ("eat", 10_800),
    ("edt", -14_400),
    ("eest", 10_800),
    ("eet", 7_200),
    ("est", -18_000),
    ("gmt", 0),
    ("hkt", 28_800),
    ("hst", -36_000),
    ("ict", 25_200),
    ("idt", 10_800),
    ("ist", 7_200),
    ("jst", 32_400),
    ("kst", 32_400),
    ("mdt", -21_600),
    ("mest", 7_200),
    ("mesz", 7_200),
    ("met", 3_600),
    ("mez", 3_600),
    ("mst", -25_200),
    ("ndt", -9_000),
    ("nst", -12_600),
    ("nzdt", 46_800),
    ("nzst", 43_200),
    ("pdt", -25_200),
    ("pkt", 18_000),
    ("pst", -28_800),
    ("sast", 7_200),
    ("uct", 0),
    ("ut", 0),
    ("utc", 0),
    ("wat", 3_600),
    ("wet", 0),
    ("z", 0),
];

/// The offset of an abbreviation (lower case).
pub(super) fn abbreviation(word: &str) -> Option<i32> {
    ABBREVIATIONS.iter().find(|(name, _)| *name == word).map(|(_, offset)| *offset)
}

/// An instant by seconds since 2000.
fn instant(seconds: i64) -> jiff::Timestamp {
    // All that a timestamp can be is within what the library counts, once the years are folded.
    jiff::Timestamp::from_second(within(seconds + EPOCH_2000)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// A moment of the same year of the calendar's cycle that the library can count.
fn within(seconds: i64) -> i64 {
    if seconds < LAST_YEAR { seconds } else { LAST_YEAR - CYCLE + (seconds - LAST_YEAR).rem_euclid(CYCLE) }
}

/// `ABC5`, `<+0530>-5:30`: abbreviation and offset east.
fn fixed_posix(spec: &str) -> Option<(&str, i32)> {
    let (name, offset) = match spec.strip_prefix('<') {
        Some(rest) => rest.split_once('>')?,
        None => {
            let end = spec.find(|c: char| !c.is_ascii_alphabetic())?;
            spec.split_at_checked(end).filter(|(name, _)| name.len() >= 3)?
        }
    };
    let west = if offset.starts_with('-') { -1 } else { 1 };
    let mut parts = offset.strip_prefix(['+', '-']).unwrap_or(offset).split(':');
    let mut part = |max: i32| match parts.next() {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|value| *value <= max)
        }
        Some(_) => None,
        None => Some(0),
    };
    let seconds = part(167)? * 3600 + part(59)? * 60 + part(59)?;
    parts.next().is_none().then_some((name, -west * seconds))
}

fn unknown(name: &str) -> DatumError {
    DatumError::UnknownZone(Quoted::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_by_name_and_by_posix_specification() {
        for (name, offset, abbreviation) in [
            ("UTC", 0, "UTC"),
            ("europe/berlin", 3600, "CET"),
            ("<+02>-02", 7200, "+02"),
            ("<-05:30>+05:30", -19_800, "-05:30"),
            ("ABC5", -18_000, "ABC"),
            ("US/Eastern", -18_000, "EST"),
            ("Etc/GMT+5", -18_000, "-05"),
            ("EST5EDT,M3.2.0,M11.1.0", -18_000, "EST"),
        ] {
            let zone = Zone::parse(name);
            assert_eq!(zone.offset_at(0), Ok(offset), "{name}");
            assert_eq!(zone.abbreviation_at(0), abbreviation, "{name}");
        }
        for name in ["Mars/Olympus", "AAA5BBB", "", "localtime"] {
            assert!(Zone::parse(name).offset_at(0).is_err(), "{name}");
        }
    }
}
