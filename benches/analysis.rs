//! What the analysis of one statement costs, when it has not been seen before.

mod fixture;

use divan::{Bencher, black_box};
use pgseal::sql::{Arrival, Context, NoNames, analyze};

/// Names and texts: pgbench's, a small and a larger protected one, and one that an ORM writes.
const TEXTS: [(&str, &str); 5] = [
    ("unprotected", "SELECT balance FROM accounts WHERE id = 42"),
    ("search", "SELECT id, email FROM users WHERE email = $1"),
    ("insert", "INSERT INTO users (id, email, name, note) VALUES ($1, $2, $3, $4) RETURNING id"),
    (
        "orm join",
        "SELECT \"users\".\"id\" AS t0_r0, \"users\".\"email\" AS t0_r1, \"users\".\"name\" AS t0_r2, \
         \"users\".\"note\" AS t0_r3, \"accounts\".\"id\" AS t1_r0, \"accounts\".\"balance\" AS t1_r1, \
         \"accounts\".\"filler\" AS t1_r2 FROM \"users\" LEFT OUTER JOIN \"accounts\" ON \
         \"accounts\".\"id\" = \"users\".\"id\" WHERE \"users\".\"email\" IN ($1, $2, $3) AND \
         \"accounts\".\"balance\" > $4 AND \"users\".\"note\" IS NOT NULL ORDER BY \"users\".\"id\" ASC LIMIT $5",
    ),
    ("refused", "SELECT upper(email) FROM users WHERE note = 'x'"),
];

fn main() {
    divan::main();
}

#[divan::bench(args = TEXTS.map(|(name, _)| name))]
fn verdict(bencher: Bencher<'_, '_>, name: &str) {
    let text = TEXTS.iter().find(|(n, _)| *n == name).map_or("", |(_, text)| text);
    let schema = fixture::schema();
    let search_path = ["pg_catalog".to_owned(), "public".to_owned()];
    let context = Context {
        schema: &schema,
        search_path: &search_path,
        standard_conforming_strings: true,
        utf8: true,
        names: &NoNames,
    };
    bencher.bench_local(|| analyze(black_box(text), Arrival::Parse { declared: &[] }, &context));
}
