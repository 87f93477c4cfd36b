//! What was refused, with its construct and the way out, for people. It holds names and never a value.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Different refusals that are told apart; what comes beyond is counted by its reason alone.
const DIFFERENT: usize = 200;
/// The longest construct or hint that is kept.
const LONGEST: usize = 300;

/// Something that is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refused<'a> {
    /// One of few fixed words, for it becomes a label.
    pub reason: &'static str,
    /// The protected column that it is about.
    pub column: Option<&'a str>,
    /// What in the statement.
    pub construct: Option<&'a str>,
    /// The way out.
    pub hint: Option<&'a str>,
}

/// How often something was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalCount {
    /// Why.
    pub reason: &'static str,
    /// The protected column that it is about.
    pub column: String,
    /// What in the statement; empty where that is not known.
    pub construct: String,
    /// The way out, as the client was told it last.
    pub hint: String,
    /// How often.
    pub count: u64,
}

#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<(&'static str, String, String), (u64, String)>);

impl Refusals {
    pub(super) fn note(&mut self, refused: &Refused<'_>) {
        let text = |text: Option<&str>| text.unwrap_or_default().chars().take(LONGEST).collect::<String>();
        let mut place = (refused.reason, text(refused.column), text(refused.construct));
        if self.0.len() >= DIFFERENT && !self.0.contains_key(&place) {
            place = (refused.reason, String::new(), String::new());
        }
        let (count, hint) = self.0.entry(place).or_default();
        *count += 1;
        if *count == 1 {
            *hint = text(refused.hint);
        }
    }

    pub(super) fn list(&self) -> Vec<RefusalCount> {
        let one = |((reason, column, construct), (count, hint)): (
            &(&'static str, String, String),
            &(u64, String),
        )| {
            RefusalCount {
                reason,
                column: column.clone(),
                construct: construct.clone(),
                hint: hint.clone(),
                count: *count,
            }
        };
        let mut all: Vec<_> = self.0.iter().map(one).collect();
        all.sort_by_key(|refusal| Reverse(refusal.count));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_and_bounded() {
        let mut refusals = Refusals::default();
        for number in 0..2 * DIFFERENT {
            let construct = number.to_string();
            refusals.note(&Refused { reason: "function", construct: Some(&construct), ..Refused::default() });
        }
        for _ in 0..1000 {
            refusals.note(&Refused { reason: "not ordered", hint: Some("Do not."), ..Refused::default() });
        }
        let list = refusals.list();
        assert!(list.len() <= DIFFERENT + 2, "{}", list.len());
        assert_eq!((list[0].count, list[0].hint.as_str()), (1000, "Do not."));
        assert_eq!((list[1].reason, list[1].count), ("function", 200));
        assert!(list[2..].iter().all(|refusal| refusal.count == 1));
    }
}
