//! The fields of a date, a time or an interval: the text taken apart by the first character of each.

use crate::datum::text::is_space;

/// The server's limit: more fields than any date or interval has.
const MAX_FIELDS: usize = 25;

/// A piece of the text.
pub(super) enum Field<'a> {
    /// Digits and letters joined by one kind of mark.
    Date(&'a str),
    /// Digits with colons.
    Time(&'a str),
    /// A sign and digits.
    Offset(String),
    /// Digits, perhaps with a fraction.
    Number(&'a str),
    /// Letters, folded; a sign may come first.
    Word(String),
    /// A word that goes on with marks and digits: a zone's name, or a date that starts with its month.
    Name(&'a str),
}

/// Takes the text apart; `None` at a character that begins no field, for none and for too many.
pub(super) fn split(input: &str) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    let mut rest = input;
    while let Some(first) = rest.chars().next() {
        if is_space(first) {
            rest = cut(rest, first.len_utf8()).1;
            continue;
        }
        let field;
        (field, rest) = match first {
            '0'..='9' => digits_first(rest),
            '.' => {
                let length = 1 + run(cut(rest, 1).1, |c| c.is_ascii_digit());
                let (number, rest) = cut(rest, length);
                (Field::Number(number), rest)
            }
            'a'..='z' | 'A'..='Z' => letters_first(rest),
            '+' | '-' => {
                let after = cut(rest, 1).1.trim_start_matches(is_space);
                match after.chars().next() {
                    Some('0'..='9') => {
                        let length = run(after, |c| c.is_ascii_digit() || matches!(c, ':' | '.' | '-'));
                        let (digits, rest) = cut(after, length);
                        (Field::Offset(format!("{first}{digits}")), rest)
                    }
                    Some('a'..='z' | 'A'..='Z') => {
                        let (word, rest) = cut(after, run(after, |c| c.is_ascii_alphabetic()));
                        (Field::Word(format!("{first}{}", word.to_ascii_lowercase())), rest)
                    }
                    _ => return None,
                }
            }
            _ if first.is_ascii_punctuation() => {
                rest = cut(rest, 1).1;
                continue;
            }
            _ => return None,
        };
        if fields.len() == MAX_FIELDS {
            return None;
        }
        fields.push(field);
    }
    (!fields.is_empty()).then_some(fields)
}

fn digits_first(rest: &str) -> (Field<'_>, &str) {
    let digits = run(rest, |c| c.is_ascii_digit());
    let tail = cut(rest, digits).1;
    match tail.chars().next() {
        Some(':') => {
            let (time, rest) =
                cut(rest, digits + run(tail, |c| c.is_ascii_digit() || matches!(c, ':' | '.')));
            (Field::Time(time), rest)
        }
        Some(mark @ ('-' | '/' | '.')) => {
            let second = cut(tail, 1).1;
            let more = run(second, |c| c.is_ascii_digit());
            let third = cut(second, more).1;
            let numeric = more > 0;
            let length = if numeric && third.starts_with(mark) {
                digits + 1 + more + run(third, |c| c.is_ascii_digit() || c == mark)
            } else if numeric {
                digits + 1 + more
            } else {
                digits + 1 + run(second, |c| c.is_ascii_alphanumeric() || c == mark)
            };
            let (field, rest) = cut(rest, length);
            let number = numeric && mark == '.' && !third.starts_with(mark);
            (if number { Field::Number(field) } else { Field::Date(field) }, rest)
        }
        _ => {
            let (number, rest) = cut(rest, digits);
            (Field::Number(number), rest)
        }
    }
}

fn letters_first(rest: &str) -> (Field<'_>, &str) {
    let letters = run(rest, |c| c.is_ascii_alphabetic());
    let (word, tail) = cut(rest, letters);
    let folded = word.to_ascii_lowercase();
    let joined = match tail.chars().next() {
        Some('-' | '/' | '.') => true,
        Some('+' | '0'..='9') => !is_known(&folded),
        _ => false,
    };
    if !joined {
        return (Field::Word(folded), tail);
    }
    let more = run(tail, |c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '/' | '_' | '.' | ':'));
    let (name, rest) = cut(rest, letters + more);
    (Field::Name(name), rest)
}

/// Words that a date may hold, so that digits may follow them directly.
fn is_known(word: &str) -> bool {
    month(word).is_some()
        || is_weekday(word)
        || matches!(
            word,
            "t" | "j"
                | "jd"
                | "julian"
                | "am"
                | "pm"
                | "ad"
                | "bc"
                | "at"
                | "on"
                | "now"
                | "today"
                | "tomorrow"
                | "yesterday"
                | "epoch"
                | "infinity"
                | "allballs"
                | "d"
                | "dow"
                | "doy"
                | "dst"
                | "h"
                | "m"
                | "mm"
                | "s"
                | "y"
                | "isodow"
                | "isoyear"
        )
}

/// Bytes of the leading run of characters that are accepted.
fn run(text: &str, accept: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !accept(c)).unwrap_or(text.len())
}

/// Two pieces; lengths come from [`run`], so they are at characters.
fn cut(text: &str, length: usize) -> (&str, &str) {
    text.split_at_checked(length).unwrap_or((text, ""))
}

/// The month of a word, 1 to 12.
pub(super) fn month(word: &str) -> Option<i64> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let found = NAMES.iter().position(|name| *name == word || (word.len() == 3 && name.starts_with(word)));
    let found = found.or((word == "sept").then_some(8))?;
    i64::try_from(found + 1).ok()
}

/// Whether a word is a day of the week.
pub(super) fn is_weekday(word: &str) -> bool {
    matches!(
        word,
        "sun"
            | "sunday"
            | "mon"
            | "monday"
            | "tue"
            | "tues"
            | "tuesday"
            | "wed"
            | "weds"
            | "wednesday"
            | "thu"
            | "thur"
            | "thurs"
            | "thursday"
            | "fri"
            | "friday"
            | "sat"
            | "saturday"
    )
}
