//! How often the session allocates: never for a frame that it does not look into, never for a value that it opens,
//! and a bounded number of times for a statement.
//!
//! The scenarios are those whose instructions are counted (`benches/instructions.py`). What is counted here is what
//! a round costs once caches are warm and buffers have grown.

#[path = "../benches/fixture/exchange.rs"]
mod exchange;
#[path = "../benches/fixture/mod.rs"]
mod fixture;
#[path = "../benches/fixture/scenarios.rs"]
mod scenarios;

use scenarios::SCENARIOS;

/// Rounds before the counted one: statements with values of their own come around once.
const WARM_UP: usize = 70;

/// The most that a round may allocate. For a thousand rows or values, what remains is of their one statement.
const ALLOWED: &[(&str, u64)] = &[
    ("simple select, plain", 8),
    ("simple select, sealed", 21),
    ("simple insert, plain", 8),
    ("simple insert, sealed", 25),
    ("simple ORM join, plain", 11),
    ("simple ORM join, sealed", 29),
    ("extended select, plain", 5),
    ("extended select, sealed", 15),
    ("prepared select, plain", 1),
    ("prepared select, sealed", 7),
    ("1000 rows, plain", 1),
    ("1000 rows, sealed, binary", 7),
    ("1000 rows, sealed, text", 7),
    ("COPY in, plain, text", 1),
    ("COPY in, sealed, text", 13),
    ("COPY in, sealed, csv", 13),
    ("COPY in, sealed, binary", 12),
    ("COPY out, plain, text", 1),
    ("COPY out, sealed, text", 10),
    ("COPY out, sealed, csv", 9),
    ("COPY out, sealed, binary", 9),
    ("seal, randomized", 0),
    ("seal, deterministic", 0),
    ("open, randomized", 0),
    ("open, deterministic", 0),
];

#[test]
fn no_round_allocates_more_than_it_may() {
    let mut wrong = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| !scenario.name.starts_with("analysis")) {
        let mut round = (scenario.prepare)();
        (0..WARM_UP.div_ceil(scenario.pieces) + 1).for_each(|_| round());
        let counted = allocation_counter::measure(&mut round).count_total;
        let allowed = ALLOWED.iter().find(|(name, _)| *name == scenario.name).map(|(_, allowed)| *allowed);
        if allowed.is_none_or(|allowed| counted > allowed) {
            wrong.push(format!("{}: {counted}, allowed {allowed:?}", scenario.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
