//! Dates and times as the server reads them: fields in nearly any order, told apart by their form.
//!
//! What is left out here, and is an error: Julian days, days of the year, fields with a unit, named
//! zones in a `time`, and words that depend on the server's clock.

use std::borrow::Cow;

use super::fields::{Field, is_weekday, month, split};
use super::zone::{self, Zone};
use super::{
    Civil, DateOrder, MICROS_PER_DAY, MICROS_PER_SECOND, days_in_month, is_date, is_infinite,
    is_infinite_date, is_timestamp, out_of_range,
};
use crate::datum::{DatumError, Quoted, Settings};

/// Reads a date; a time of day and a zone are read and dropped.
pub(in crate::datum) fn parse_date(input: &str, settings: &Settings) -> Result<i32, DatumError> {
    let fail = |fail: Fail| fail.named("date", input);
    match read(input, settings, Wanted::Date).map_err(fail)? {
        Moment::Infinite { negative } => Ok(if negative { i32::MIN } else { i32::MAX }),
        Moment::Epoch => Ok(EPOCH_DAYS),
        Moment::Fields { date: Some(date), .. } => i32::try_from(date.to_days())
            .ok()
            .filter(|days| is_date(*days) && !is_infinite_date(*days))
            .ok_or_else(|| out_of_range("date", Some(input))),
        Moment::Fields { date: None, .. } => Err(fail(Fail::Syntax)),
    }
}

/// Reads a time of day; a date and an offset are read and dropped.
pub(in crate::datum) fn parse_time(input: &str, settings: &Settings) -> Result<i64, DatumError> {
    let fail = |fail: Fail| fail.named("time", input);
    match read(input, settings, Wanted::Time).map_err(fail)? {
        Moment::Fields { time: Some(micros), .. } => Ok(micros),
        _ => Err(fail(Fail::Syntax)),
    }
}

/// Reads a timestamp, or with `zoned` a timestamptz (in UTC). Without, a zone is read and dropped.
pub(in crate::datum) fn parse_timestamp(
    input: &str,
    zoned: bool,
    settings: &Settings,
) -> Result<i64, DatumError> {
    let name = if zoned { "timestamp with time zone" } else { "timestamp" };
    let fail = |fail: Fail| fail.named(name, input);
    let range = || out_of_range("timestamp", Some(input));
    let (date, time, place) = match read(input, settings, Wanted::Timestamp).map_err(fail)? {
        Moment::Infinite { negative } => return Ok(if negative { i64::MIN } else { i64::MAX }),
        Moment::Epoch => return Ok(i64::from(EPOCH_DAYS) * MICROS_PER_DAY),
        Moment::Fields { date: Some(date), time, place } => (date, time.unwrap_or(0), place),
        Moment::Fields { date: None, .. } => return Err(fail(Fail::Syntax)),
    };
    let local = date.to_days().checked_mul(MICROS_PER_DAY).and_then(|micros| micros.checked_add(time));
    let local = local.ok_or_else(range)?;
    let east = match place {
        _ if !zoned => 0,
        Some(Place::Offset(seconds)) => seconds,
        Some(Place::Abbreviation(word, seconds)) => {
            // Newer servers let the session's zone say what an abbreviation of its own means.
            for months in [-6, 0, 6] {
                let instant = local.div_euclid(MICROS_PER_SECOND) - i64::from(seconds) + months * 2_630_000;
                let own = settings.time_zone.offset_at(instant)?;
                let name = settings.time_zone.abbreviation_at(instant);
                if name.eq_ignore_ascii_case(&word) && own != seconds {
                    return Err(fail(Fail::Syntax));
                }
            }
            seconds
        }
        Some(Place::Zone(zone)) => zone.offset_for_local(local.div_euclid(MICROS_PER_SECOND))?,
        None => settings.time_zone.offset_for_local(local.div_euclid(MICROS_PER_SECOND))?,
    };
    local
        .checked_sub(i64::from(east) * MICROS_PER_SECOND)
        .filter(|micros| is_timestamp(*micros) && !is_infinite(*micros))
        .ok_or_else(range)
}

/// 1970-01-01.
const EPOCH_DAYS: i32 = -10_957;
/// The widest offset in hours.
const MAX_ZONE_HOURS: i64 = 15;

/// What a text says.
enum Moment {
    Infinite { negative: bool },
    Epoch,
    Fields { date: Option<Civil>, time: Option<i64>, place: Option<Place> },
}

/// A zone in a value.
enum Place {
    /// Seconds east.
    Offset(i32),
    /// An abbreviation and its seconds east.
    Abbreviation(String, i32),
    Zone(Zone),
}

/// What the text is read as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Date,
    Time,
    Timestamp,
}

/// What is wrong with a text.
enum Fail {
    Syntax,
    Field {
        order: bool,
    },
    Displacement,
    /// A zone's name that is not known.
    Zone(String),
    /// A word for the current time.
    Clock(&'static str),
}

impl Fail {
    fn named(self, ty: &'static str, input: &str) -> DatumError {
        let input = Quoted::new(input);
        match self {
            Self::Syntax => DatumError::DateSyntax { ty: Cow::Borrowed(ty), input },
            Self::Field { order } => DatumError::DateField { input, order },
            Self::Displacement => DatumError::ZoneDisplacement(input),
            Self::Zone(name) => DatumError::ZoneName(Quoted::new(name)),
            Self::Clock(word) => DatumError::Clock(word),
        }
    }
}

const FIELD: Fail = Fail::Field { order: false };

fn read(input: &str, settings: &Settings, wanted: Wanted) -> Result<Moment, Fail> {
    let fields = split(input).ok_or(Fail::Syntax)?;
    let mut reader = Reader::new(settings.date_style.order, wanted);
    for field in fields {
        reader.field(field)?;
    }
    reader.finish()
}

/// What was read so far. A field that comes twice is an error.
struct Reader {
    order: DateOrder,
    wanted: Wanted,
    year: Option<i64>,
    /// The year was written with one or two digits.
    short_year: bool,
    month: Option<i64>,
    /// The month was a word.
    month_word: bool,
    day: Option<i64>,
    /// Hours, minutes, seconds, microseconds.
    time: Option<[i64; 4]>,
    place: Option<Place>,
    /// AM is false, PM true.
    afternoon: Option<bool>,
    before_christ: Option<bool>,
    weekday: Option<()>,
    special: Option<Moment>,
    /// A `T` came before: a time must follow.
    time_mark: bool,
}

impl Reader {
    fn new(order: DateOrder, wanted: Wanted) -> Self {
        Self {
            order,
            wanted,
            year: None,
            short_year: false,
            month: None,
            month_word: false,
            day: None,
            time: None,
            place: None,
            afternoon: None,
            before_christ: None,
            weekday: None,
            special: None,
            time_mark: false,
        }
    }

    fn field(&mut self, field: Field<'_>) -> Result<(), Fail> {
        let marked = std::mem::take(&mut self.time_mark);
        match field {
            Field::Time(text) => self.set_time(clock(text)?),
            Field::Number(text) if marked => self.run_together(text, true),
            _ if marked => Err(Fail::Syntax),
            Field::Number(text) => self.number(text),
            Field::Date(text) => match self.is_dated() {
                // hhmmss-zz
                true => {
                    let (time, offset) = text.split_once('-').ok_or(Fail::Syntax)?;
                    self.run_together(time, true)?;
                    self.set_place(Place::Offset(offset_seconds(&format!("-{offset}"))?))
                }
                false => self.date(text),
            },
            Field::Name(text) if self.month.is_some() && self.day.is_some() => {
                let zone = Zone::lookup(text).ok_or_else(|| Fail::Zone(text.to_ascii_lowercase()))?;
                self.set_place(Place::Zone(zone))
            }
            Field::Name(text) => self.date(text),
            Field::Offset(text) => self.set_place(Place::Offset(offset_seconds(&text)?)),
            Field::Word(word) => self.word(word),
        }
    }

    /// The date is complete.
    fn is_dated(&self) -> bool {
        self.year.is_some() && self.month.is_some() && self.day.is_some()
    }

    fn word(&mut self, word: String) -> Result<(), Fail> {
        if let Some(number) = month(&word) {
            return self.month_word(number);
        }
        match word.as_str() {
            "at" | "on" => {}
            _ if is_weekday(&word) && self.wanted != Wanted::Time => {
                return once(&mut self.weekday, ());
            }
            "t" if self.wanted == Wanted::Time || self.is_dated() => self.time_mark = true,
            "am" | "pm" => return once(&mut self.afternoon, word == "pm"),
            "ad" | "bc" if self.wanted != Wanted::Time => return once(&mut self.before_christ, word == "bc"),
            "infinity" | "+infinity" => return self.set_special(Moment::Infinite { negative: false }),
            "-infinity" => return self.set_special(Moment::Infinite { negative: true }),
            "epoch" => return self.set_special(Moment::Epoch),
            "now" => return Err(Fail::Clock("now")),
            "today" => return Err(Fail::Clock("today")),
            "tomorrow" => return Err(Fail::Clock("tomorrow")),
            "yesterday" => return Err(Fail::Clock("yesterday")),
            "allballs" if self.wanted == Wanted::Time => {
                self.set_time([0; 4])?;
                return self.set_place(Place::Offset(0));
            }
            _ => {
                let place = match zone::abbreviation(&word) {
                    Some(seconds) => Place::Abbreviation(word, seconds),
                    None => Place::Zone(Zone::lookup(&word).ok_or(Fail::Syntax)?),
                };
                return self.set_place(place);
            }
        }
        Ok(())
    }

    fn month_word(&mut self, number: i64) -> Result<(), Fail> {
        match self.month {
            // What was taken for the month was the day.
            Some(day) if !self.month_word && self.day.is_none() && (1..=31).contains(&day) => {
                self.day = Some(day);
            }
            Some(_) => return Err(Fail::Syntax),
            None => {}
        }
        self.month = Some(number);
        self.month_word = true;
        Ok(())
    }

    /// Fields joined by marks, all of a date.
    fn date(&mut self, text: &str) -> Result<(), Fail> {
        let parts: Vec<&str> = text.split(['-', '/', '.', '+', '_', ':']).collect();
        // Nothing but numbers and a month may have come before a date in one piece.
        let other = self.time.is_some() || self.weekday.is_some() || self.afternoon.is_some();
        if self.year.is_some() || other || self.before_christ.is_some() || parts.len() > 3 {
            return Err(Fail::Syntax);
        }
        // A month's name outside of this piece does not change the order inside.
        let month_before = std::mem::take(&mut self.month_word);
        for part in &parts {
            if let Some(number) = month(&part.to_ascii_lowercase()) {
                if self.month.is_some() {
                    return Err(Fail::Syntax);
                }
                self.month = Some(number);
                self.month_word = true;
            } else if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Fail::Syntax);
            }
        }
        for part in parts.iter().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
            if self.is_dated() {
                return Err(Fail::Syntax);
            }
            self.date_number(part)?;
        }
        self.month_word |= month_before;
        self.is_dated().then_some(()).ok_or(Fail::Syntax)
    }

    fn number(&mut self, text: &str) -> Result<(), Fail> {
        let dated = self.is_dated();
        let blank = self.year.is_none() && self.month.is_none() && self.day.is_none();
        let whole = text.split('.').next().unwrap_or(text);
        match text.contains('.') {
            true if blank && self.wanted != Wanted::Time => self.date(text),
            true if whole.len() > 2 => self.run_together(text, true),
            true => Err(Fail::Syntax),
            false if whole.len() >= 6 && (!dated || self.time.is_none()) => self.run_together(text, dated),
            false if dated || self.wanted == Wanted::Time => self.run_together(text, true),
            false => self.date_number(text),
        }
    }

    /// One number of a date, by the order of `DateStyle` and what is there already.
    fn date_number(&mut self, text: &str) -> Result<(), Fail> {
        let value: i64 = text.parse::<i32>().map_err(|_| FIELD)?.into();
        let long = text.len() >= 3;
        // A day of the year.
        if text.len() == 3 && self.year.is_some() && self.month.is_none() && self.day.is_none() {
            return Err(Fail::Syntax);
        }
        let mut year = false;
        match (self.year, self.month, self.day) {
            (None, None, None) if long || self.order == DateOrder::Ymd => year = true,
            (None, None, None) if self.order == DateOrder::Dmy => self.day = Some(value),
            (None, None, None) | (Some(_), None, None) | (None, None, Some(_)) => self.month = Some(value),
            (None, Some(_), None) if self.month_word && (long || self.order == DateOrder::Ymd) => year = true,
            (None, Some(_), None) => self.day = Some(value),
            (Some(day), Some(_), None) if self.month_word && long && self.short_year => {
                // DD-MON-YYYY: what was taken for the year was the day.
                self.day = Some(day);
                year = true;
            }
            (Some(_), Some(_), None) => self.day = Some(value),
            (None, Some(_), Some(_)) => year = true,
            _ => return Err(Fail::Syntax),
        }
        if year {
            self.year = Some(value);
            self.short_year = text.len() <= 2;
        }
        Ok(())
    }

    /// `YYYYMMDD`, `YYMMDD`, `HHMMSS[.fff]` or `HHMM`.
    fn run_together(&mut self, text: &str, dated: bool) -> Result<(), Fail> {
        let (digits, micros) = match text.split_once('.') {
            Some((digits, fraction)) => (digits, fraction_micros(fraction)?),
            None => (text, 0),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fail::Syntax);
        }
        let part = |from: usize, to: usize| -> Result<i64, Fail> {
            let part = digits.get(from..to).ok_or(Fail::Syntax)?;
            part.parse::<i32>().map(i64::from).map_err(|_| FIELD)
        };
        let length = digits.len();
        if !dated && !text.contains('.') && length >= 6 && self.wanted != Wanted::Time {
            if self.year.is_some() || self.month.is_some() || self.day.is_some() {
                return Err(Fail::Syntax);
            }
            self.day = Some(part(length - 2, length)?);
            self.month = Some(part(length - 4, length - 2)?);
            self.year = Some(part(0, length - 4)?);
            self.short_year = length == 6;
            return Ok(());
        }
        match length {
            6 => self.set_time([part(0, 2)?, part(2, 4)?, part(4, 6)?, micros]),
            4 => self.set_time([part(0, 2)?, part(2, 4)?, 0, micros]),
            _ => Err(Fail::Syntax),
        }
    }

    fn set_time(&mut self, time: [i64; 4]) -> Result<(), Fail> {
        once(&mut self.time, time)
    }

    fn set_place(&mut self, place: Place) -> Result<(), Fail> {
        once(&mut self.place, place)
    }

    fn set_special(&mut self, moment: Moment) -> Result<(), Fail> {
        once(&mut self.special, moment)
    }

    fn finish(mut self) -> Result<Moment, Fail> {
        let fields = self.year.is_some() || self.month.is_some() || self.day.is_some();
        if self.time_mark {
            return Err(Fail::Syntax);
        }
        if let Some(moment) = self.special {
            let alone = !fields && self.time.is_none() && self.place.is_none();
            return if alone && self.wanted != Wanted::Time { Ok(moment) } else { Err(Fail::Syntax) };
        }
        let date = if fields { Some(self.civil()?) } else { None };
        if let Some(afternoon) = self.afternoon {
            let Some([hour, ..]) = self.time.as_mut() else { return Err(Fail::Syntax) };
            match (*hour, afternoon) {
                (13.., _) => return Err(FIELD),
                (12, false) => *hour = 0,
                (12, true) | (_, false) => {}
                (_, true) => *hour += 12,
            }
        }
        let time = match self.time {
            Some([hour, minute, second, micros]) => {
                let total = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros;
                let valid = hour <= 24 && minute < 60 && second <= 60 && total <= MICROS_PER_DAY;
                Some(valid.then_some(total).ok_or(FIELD)?)
            }
            None => None,
        };
        // A named zone in a time needs the date, and today's is the server's to know.
        if self.wanted == Wanted::Time && matches!(self.place, Some(Place::Zone(_))) {
            return Err(Fail::Syntax);
        }
        Ok(Moment::Fields { date, time, place: self.place })
    }

    fn civil(&self) -> Result<Civil, Fail> {
        let (Some(year), Some(month), Some(day)) = (self.year, self.month, self.day) else {
            return Err(Fail::Syntax);
        };
        let before_christ = self.before_christ == Some(true);
        let year = match year {
            0 if before_christ => return Err(FIELD),
            _ if before_christ => 1 - year,
            ..70 if self.short_year => year + 2000,
            ..100 if self.short_year => year + 1900,
            0 => return Err(FIELD),
            _ => year,
        };
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(Fail::Field { order: true });
        }
        if day > days_in_month(year, month) {
            return Err(FIELD);
        }
        Ok(Civil { year, month, day })
    }
}

/// Sets what may come only once.
fn once<T>(field: &mut Option<T>, value: T) -> Result<(), Fail> {
    field.replace(value).is_none().then_some(()).ok_or(Fail::Syntax)
}

/// `H:M[:S[.fff]]`; `M:S.fff` where a fraction comes after the second field.
fn clock(text: &str) -> Result<[i64; 4], Fail> {
    let (whole, micros) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction_micros(fraction)?)),
        None => (text, None),
    };
    let mut parts = Vec::with_capacity(3);
    for part in whole.split(':') {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fail::Syntax);
        }
        parts.push(part.parse::<i32>().map(i64::from).map_err(|_| FIELD)?);
    }
    let time = match (parts.as_slice(), micros) {
        ([hour, minute], None) => [*hour, *minute, 0, 0],
        ([minute, second], Some(micros)) => [0, *minute, *second, micros],
        ([hour, minute, second], micros) => [*hour, *minute, *second, micros.unwrap_or(0)],
        _ => return Err(Fail::Syntax),
    };
    let [hour, minute, second, _] = time;
    (hour <= 24 && minute < 60 && second <= 60).then_some(time).ok_or(FIELD)
}

/// A fraction's digits in microseconds, rounded as the server does: as a double.
fn fraction_micros(digits: &str) -> Result<i64, Fail> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fail::Syntax);
    }
    let fraction: f64 = format!("0.{digits}").parse().map_err(|_| Fail::Syntax)?;
    #[expect(clippy::cast_possible_truncation, reason = "at most 1000000")]
    Ok((fraction * 1_000_000.0).round_ties_even() as i64)
}

/// `+HH`, `+HHMM`, `+HH:MM` or `+HH:MM:SS`, in seconds east.
fn offset_seconds(text: &str) -> Result<i32, Fail> {
    let digits = text.strip_prefix(['+', '-']).ok_or(Fail::Syntax)?;
    let mut parts = Vec::with_capacity(3);
    for part in digits.split(':') {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fail::Syntax);
        }
        parts.push(part.parse::<i32>().map(i64::from).map_err(|_| Fail::Displacement)?);
    }
    let (hours, minutes, seconds) = match parts.as_slice() {
        [joined] if digits.len() > 2 => (joined / 100, joined % 100, 0),
        [hours] => (*hours, 0, 0),
        [hours, minutes] => (*hours, *minutes, 0),
        [hours, minutes, seconds] => (*hours, *minutes, *seconds),
        _ => return Err(Fail::Syntax),
    };
    if hours > MAX_ZONE_HOURS || minutes > 59 || seconds > 59 {
        return Err(Fail::Displacement);
    }
    let total = i32::try_from((hours * 60 + minutes) * 60 + seconds).map_err(|_| Fail::Displacement)?;
    Ok(if text.starts_with('-') { -total } else { total })
}
