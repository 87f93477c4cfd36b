//! One scenario, for a counter of instructions: `instructions NAME ROUNDS` plays some rounds to warm up and then
//! that many inside of `measured`. Without arguments it names the scenarios. `benches/instructions.py` runs it.

#[path = "fixture/exchange.rs"]
mod exchange;
mod fixture;
#[path = "fixture/scenarios.rs"]
mod scenarios;

use std::io::Write as _;

use scenarios::{Round, SCENARIOS};

/// Rounds before the counted ones: caches fill, buffers grow. Texts with values of their own come around once.
const WARM_UP: usize = 70;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [name, rounds] = arguments.as_slice() else {
        let mut out = std::io::stdout();
        for scenario in SCENARIOS {
            let _ = writeln!(out, "{}\t{}", scenario.name, scenario.pieces);
        }
        return;
    };
    let scenario = SCENARIOS.iter().find(|s| s.name == name);
    let mut round = scenario.map_or_else(|| Box::new(|| ()) as Round, |s| (s.prepare)());
    let pieces = scenario.map_or(1, |s| s.pieces);
    (0..WARM_UP.div_ceil(pieces) + 1).for_each(|_| round());
    measured(&mut round, rounds.parse().unwrap_or(1));
}

#[inline(never)]
fn measured(round: &mut Round, rounds: usize) {
    for _ in 0..rounds {
        round();
    }
}
