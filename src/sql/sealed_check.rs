//! The CHECK that a column gets when it is made through the proxy: it lets only sealed values of the column's mode in,
//! whatever key they are sealed with, so that who writes past the proxy cannot store a plaintext by mistake.
//!
//! It reads an envelope's first two bytes (`docs/format.md`) and its length, which costs a look at a value's head.

use crate::catalog::Storage;
use crate::crypto::Mode;
use crate::policy::quote_ident;

/// The end of the constraint's name, behind the column's.
const SUFFIX: &str = "_sealed_check";

/// An identifier's bytes (`NAMEDATALEN` less the zero at the end).
const MAX_NAME: usize = 63;

/// `CONSTRAINT name CHECK (...)` for a column of a table that has constraints of these names already.
pub(crate) fn constraint(column: &str, mode: Mode, storage: Storage, taken: &[String]) -> String {
    let names = (0..=taken.len()).map(|number| name(column, number));
    let free = names.into_iter().find(|name| !taken.contains(name)).unwrap_or_default();
    let (name, column) = (quote_ident(&free), quote_ident(column));
    let least = mode.overhead();
    let (shape, least) = match storage {
        Storage::Bytea => {
            let head = format!("'\\x{}'::pg_catalog.bytea", head(mode));
            (format!("pg_catalog.substr({column}, 1, 2) OPERATOR(pg_catalog.=) {head}"), least)
        }
        Storage::Text => {
            // Its sixteen bits are two characters and the upper four bits of a third.
            let heads: Vec<_> = text_heads(mode).map(|head| format!("'{head}'::pg_catalog.text")).collect();
            let any = format!("ANY (ARRAY[{}])", heads.join(", "));
            let least = least.map(|bytes| TEXT_PREFIX.len() + (bytes * 4).div_ceil(3));
            (format!("pg_catalog.substr({column}, 1, 8) OPERATOR(pg_catalog.=) {any}"), least)
        }
    };
    let length = least
        .map(|least| format!(" AND pg_catalog.octet_length({column}) OPERATOR(pg_catalog.>=) {least}"))
        .unwrap_or_default();
    format!("CONSTRAINT {name} CHECK ({shape}{length})")
}

/// Whether a CHECK of the catalog, by its name and expression, is one of these.
pub(crate) fn is_ours(name: &str, expression: &str) -> bool {
    const READS: [&str; 2] = ["= '\\xe51", "'pgs1.5R"];
    name.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(SUFFIX)
        && expression.contains("substr(")
        && READS.iter().any(|read| expression.contains(read))
}

const TEXT_PREFIX: &str = "pgs1.";

/// Magic, version and mode, as in `docs/format.md`.
fn head(mode: Mode) -> &'static str {
    match mode {
        Mode::Randomized => "e510",
        Mode::Deterministic => "e511",
        Mode::Ordered => "e512",
    }
}

/// The same at the start of the text form: `5R` and a character whose last two bits belong to the key id.
fn text_heads(mode: Mode) -> impl Iterator<Item = String> {
    let thirds = match mode {
        Mode::Randomized => "ABCD",
        Mode::Deterministic => "EFGH",
        Mode::Ordered => "IJKL",
    };
    thirds.chars().map(|third| format!("{TEXT_PREFIX}5R{third}"))
}

/// The constraint's name: a long column's is cut, and told from others by a sum of all of it. A column that was renamed
/// leaves its name to the constraint, and the next one of that name gets a number.
fn name(column: &str, number: usize) -> String {
    let suffix = if number == 0 { SUFFIX.to_owned() } else { format!("{SUFFIX}{number}") };
    if column.len() + suffix.len() <= MAX_NAME {
        return format!("{column}{suffix}");
    }
    // FNV-1a, which will be the same in every release.
    let sum =
        column.bytes().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let mut kept = MAX_NAME.saturating_sub(suffix.len() + 9);
    while !column.is_char_boundary(kept) {
        kept -= 1;
    }
    let kept = column.get(..kept).unwrap_or_default();
    format!("{kept}_{sum:08x}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_the_head_and_the_length() {
        let cases = [
            (
                Mode::Deterministic,
                Storage::Bytea,
                "CONSTRAINT \"Mail_sealed_check\" CHECK (pg_catalog.substr(\"Mail\", 1, 2) OPERATOR(pg_catalog.=) \
                 '\\xe511'::pg_catalog.bytea AND pg_catalog.octet_length(\"Mail\") OPERATOR(pg_catalog.>=) 22)",
            ),
            (
                Mode::Randomized,
                Storage::Text,
                "CONSTRAINT \"Mail_sealed_check\" CHECK (pg_catalog.substr(\"Mail\", 1, 8) OPERATOR(pg_catalog.=) \
                 ANY (ARRAY['pgs1.5RA'::pg_catalog.text, 'pgs1.5RB'::pg_catalog.text, 'pgs1.5RC'::pg_catalog.text, \
                 'pgs1.5RD'::pg_catalog.text]) AND pg_catalog.octet_length(\"Mail\") OPERATOR(pg_catalog.>=) 67)",
            ),
        ];
        for (mode, storage, expected) in cases {
            assert_eq!(constraint("Mail", mode, storage, &[]), expected);
        }
    }

    #[test]
    fn it_is_known_again_in_the_catalog() {
        let cases = [
            (
                "email_sealed_check",
                r"((substr(email, 1, 2) = '\xe511'::bytea) AND (octet_length(email) >= 22))",
                true,
            ),
            (
                "x_sealed_check",
                "((substr(x, 1, 8) = ANY (ARRAY['pgs1.5RE'::text, 'pgs1.5RF'::text])) AND true)",
                true,
            ),
            (
                "email_check",
                r"((substr(email, 1, 2) = '\xe511'::bytea) AND (octet_length(email) >= 22))",
                false,
            ),
            ("email_sealed_check", "(length(email) > 5)", false),
        ];
        for (name, expression, ours) in cases {
            assert_eq!(is_ours(name, expression), ours, "{name} {expression}");
        }
    }

    #[test]
    fn names_fit_and_stay_apart() {
        assert_eq!(name("email", 0), "email_sealed_check");
        let taken = [name("email", 0), "email_sealed_check1".to_owned()];
        let third = constraint("email", Mode::Randomized, Storage::Bytea, &taken);
        assert!(third.starts_with("CONSTRAINT email_sealed_check2 CHECK"), "{third}");
        let (a, b) = (name(&format!("{}a", "é".repeat(31)), 0), name(&format!("{}b", "é".repeat(31)), 0));
        assert_ne!(a, b);
        for name in [a, b] {
            assert!(name.len() <= MAX_NAME && name.ends_with(SUFFIX), "{name}");
        }
    }
}
