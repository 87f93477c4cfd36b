//! What the session machine costs for one exchange of each scenario, in time. `instructions` counts the same.

#[path = "fixture/exchange.rs"]
mod exchange;
mod fixture;
#[path = "fixture/scenarios.rs"]
mod scenarios;

use divan::Bencher;
use divan::counter::ItemsCount;

use scenarios::SCENARIOS;

fn main() {
    divan::main();
}

#[divan::bench(args = SCENARIOS.iter().map(|scenario| scenario.name))]
fn round(bencher: Bencher<'_, '_>, name: &str) {
    let Some(scenario) = SCENARIOS.iter().find(|scenario| scenario.name == name) else { return };
    let round = (scenario.prepare)();
    bencher.counter(ItemsCount::new(scenario.pieces)).bench_local(round);
}
