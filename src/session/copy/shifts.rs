//! Numbers of lines where the server counts less of them than the client has sent.
//!
//! The server counts the lines inside of quotes. A value in several lines that is stored as text is written in one.

use std::collections::VecDeque;

/// So many places are remembered: more than the rows that the server may still have an error for.
const MAX_PLACES: usize = 1 << 16;

/// The lines that were lost, by where.
#[derive(Debug, Default)]
pub(super) struct Shifts {
    /// All of them.
    lost: u64,
    /// Up to the last place that was forgotten.
    forgotten: u64,
    /// The server's number of a line in which some were lost, and how many were up to its end.
    places: VecDeque<(u64, u64)>,
}

impl Shifts {
    /// Lines of a value are not written.
    pub(super) fn lose(&mut self, lines: usize) {
        self.lost += u64::try_from(lines).unwrap_or(0);
    }

    /// A line was written, whose number is `number` to the client.
    pub(super) fn end_line(&mut self, number: u64) {
        let before = self.places.back().map_or(self.forgotten, |(_, lost)| *lost);
        if self.lost == before {
            return;
        }
        if self.places.len() >= MAX_PLACES
            && let Some((_, lost)) = self.places.pop_front()
        {
            self.forgotten = lost;
        }
        self.places.push_back((number.saturating_sub(self.lost), self.lost));
    }

    /// The client's number of a line.
    fn number(&self, server: u64) -> u64 {
        let behind = self.places.partition_point(|(number, _)| *number <= server);
        let place = behind.checked_sub(1).and_then(|last| self.places.get(last));
        server + place.map_or(self.forgotten, |(_, lost)| *lost)
    }

    /// The context of an error with the client's number of the line; `None` if it stays as it is. The words between
    /// the relation and the number are in the server's language.
    pub(super) fn correct(&self, context: &str, relation: &str) -> Option<String> {
        if self.lost == 0 {
            return None;
        }
        let place = format!("COPY {relation}, ");
        let mut found = context.match_indices(&place).map(|(at, _)| at);
        let start = found.find(|at| *at == 0 || context.as_bytes().get(at - 1) == Some(&b'\n'))?;
        let start = start + place.len();
        let start = start + context.get(start..)?.find(|c: char| c.is_ascii_digit())?;
        let (before, rest) = context.split_at_checked(start)?;
        let (number, behind) =
            rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()))?;
        Some(format!("{before}{}{behind}", self.number(number.parse().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_client() {
        let mut shifts = Shifts::default();
        assert_eq!(shifts.correct("COPY t, line 7", "t"), None);
        // Lines 1, 2 to 4, 5, 6 to 7, 8 of the client.
        for (number, lost) in [(1, 0), (4, 2), (5, 0), (7, 1), (8, 0)] {
            shifts.lose(lost);
            shifts.end_line(number);
        }
        let numbers: Vec<u64> = (1..=6).map(|server| shifts.number(server)).collect();
        assert_eq!(numbers, [1, 4, 5, 7, 8, 9]);
        for (context, wanted) in [
            ("COPY t, line 2, column a: \"2\"", Some("COPY t, line 4, column a: \"2\"")),
            ("COPY t, Zeile 4", Some("COPY t, Zeile 7")),
            (
                "function f() line 2\nCOPY t, line 3: \"1\"",
                Some("function f() line 2\nCOPY t, line 5: \"1\""),
            ),
            ("COPY t2, line 2", None),
            ("xCOPY t, line 2", None),
            ("COPY t, line", None),
        ] {
            assert_eq!(shifts.correct(context, "t").as_deref(), wanted, "{context}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut shifts = Shifts::default();
        let last = u64::try_from(MAX_PLACES).unwrap() + 100;
        for row in 1..=last {
            shifts.lose(1);
            shifts.end_line(row * 2);
        }
        assert_eq!(shifts.places.len(), MAX_PLACES);
        assert_eq!((shifts.number(last), shifts.number(200), shifts.number(100)), (last * 2, 400, 200));
        assert_eq!(shifts.number(1), 101);
    }
}
