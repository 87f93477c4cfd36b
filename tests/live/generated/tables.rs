//! The tables that generated statements are about, and the values in them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ty {
    Text,
    Varchar,
    Char,
    Int,
    Int8,
    Date,
    Timestamp,
    Uuid,
    Numeric,
    Float,
    Bool,
    Mood,
    Jsonb,
    Interval,
    Array,
}
pub(super) use Ty::{
    Array, Bool, Char, Date, Float, Int, Int8, Interval, Jsonb, Mood, Numeric, Text, Timestamp, Uuid, Varchar,
};

impl Ty {
    /// Its name, its object id (0 for one of the database's own), and values that it may have.
    pub(super) fn facts(self) -> (&'static str, u32, &'static [&'static str]) {
        match self {
            Text => ("text", 25, &["ada", "bob", "O'Brien", "", "zoë 🦉", "a\\b"]),
            Varchar => ("varchar(20)", 1043, &["ada", "Bob", "", "twenty characters ab"]),
            Char => ("char(5)", 1042, &["ab", "", "abcde", "ab   "]),
            Int => ("int", 23, &["1", "2", "30", "-7", "0"]),
            Int8 => ("int8", 20, &["1", "2", "30", "4000000000"]),
            Date => ("date", 1082, &["1985-12-10", "2000-02-29", "infinity"]),
            Timestamp => ("timestamp", 1114, &["2020-01-01 10:00:00", "1999-12-31 23:59:59.5", "1985-12-10"]),
            Uuid => (
                "uuid",
                2950,
                &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000001"],
            ),
            Numeric => ("numeric(12,2)", 1700, &["12.34", "-1.00", "0", "7.5"]),
            Float => ("float8", 701, &["1.5", "-3e-5", "NaN", "2"]),
            Bool => ("bool", 16, &["true", "false"]),
            Mood => ("public.mood", 0, &["sad", "ok", "happy"]),
            Jsonb => ("jsonb", 3802, &["{\"a\": 1}", "[]", "null"]),
            Interval => ("interval", 1186, &["1 day", "2 mons 00:00:01"]),
            Array => ("text[]", 1009, &["{a,b}", "{}", "{NULL,\"x y\"}"]),
        }
    }
}

/// How a column is kept: in clear, or under `mode = "..."` and perhaps a context, as bytea or as text.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    Plain,
    Bytea(&'static str),
    Textual(&'static str),
}
pub(super) use Kept::{Bytea, Plain, Textual};

pub(super) const RANDOMIZED: &str = "mode = \"randomized\"";
pub(super) const DETERMINISTIC: &str = "mode = \"deterministic\"";

pub(super) type Definition = (&'static str, Ty, Kept);

/// Tables with their columns; `id` comes first.
pub(super) const TABLES: &[(&str, &[Definition])] = &[
    (
        "public.people",
        &[
            ("email", Text, Bytea(DETERMINISTIC)),
            ("name", Varchar, Bytea(DETERMINISTIC)),
            ("code", Char, Bytea(DETERMINISTIC)),
            ("age", Int, Bytea(DETERMINISTIC)),
            ("born", Date, Bytea(DETERMINISTIC)),
            ("seen", Timestamp, Bytea(DETERMINISTIC)),
            ("uid", Uuid, Bytea(DETERMINISTIC)),
            ("score", Numeric, Bytea(DETERMINISTIC)),
            ("temp", Float, Bytea(DETERMINISTIC)),
            ("active", Bool, Bytea(DETERMINISTIC)),
            ("mood", Mood, Bytea(DETERMINISTIC)),
            ("ssn", Text, Bytea(RANDOMIZED)),
            ("doc", Jsonb, Bytea(RANDOMIZED)),
            ("span", Interval, Bytea(RANDOMIZED)),
            ("tags", Array, Bytea(RANDOMIZED)),
            ("nick", Text, Textual(DETERMINISTIC)),
            ("memo", Text, Textual(RANDOMIZED)),
            ("bio", Text, Plain),
            ("n", Int, Plain),
        ],
    ),
    (
        "public.orders",
        &[
            ("email", Text, Bytea("mode = \"deterministic\", context = \"public.people.email\"")),
            ("name", Text, Bytea("mode = \"deterministic\", context = \"public.people.name\"")),
            ("age", Int8, Bytea("mode = \"deterministic\", context = \"public.people.age\"")),
            ("born", Date, Bytea("mode = \"deterministic\", context = \"public.people.born\"")),
            ("nick", Text, Textual("mode = \"deterministic\", context = \"public.people.nick\"")),
            ("ssn", Text, Bytea("mode = \"randomized\", context = \"public.people.ssn\"")),
            ("total", Numeric, Plain),
            ("n", Int, Plain),
        ],
    ),
    (
        "other.people",
        &[
            ("email", Text, Bytea(DETERMINISTIC)),
            ("born", Date, Bytea("mode = \"deterministic\", context = \"public.people.born\"")),
            ("n", Int, Plain),
        ],
    ),
    (
        "public.parts",
        &[
            ("email", Text, Bytea("mode = \"deterministic\", context = \"public.people.email\"")),
            ("mood", Mood, Bytea(RANDOMIZED)),
            ("n", Int, Plain),
        ],
    ),
    (
        "public.plain",
        &[
            ("email", Text, Plain),
            ("name", Varchar, Plain),
            ("age", Int, Plain),
            ("born", Date, Plain),
            ("active", Bool, Plain),
            ("n", Int, Plain),
        ],
    ),
];

/// Views as tables that are only read.
pub(super) const VIEWS: &[(&str, &[Definition])] = &[
    ("public.faces", &[("mail", Text, Plain), ("born", Date, Plain), ("n", Int, Plain)]),
    ("public.buyers", &[("email", Text, Plain), ("name", Varchar, Plain), ("age", Int8, Plain)]),
];

pub(super) const DEFINE_VIEWS: &str = "
CREATE VIEW faces AS SELECT id, email AS mail, born, n FROM people WHERE n IS NOT NULL;
CREATE VIEW buyers AS SELECT o.id, o.email, p.name, o.age FROM orders o LEFT JOIN people p ON p.email = o.email AND p.id = o.id;
";
