//! Words that the grammar keeps for itself.

use super::literal::fold;

/// True for a word that cannot name a relation or a function without quotes.
///
/// <https://www.postgresql.org/docs/current/sql-keywords-appendix.html>
pub(in crate::sql) fn is_reserved(word: &str) -> bool {
    const RESERVED: [&str; 78] = [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "column",
        "constraint",
        "create",
        "current_catalog",
        "current_date",
        "current_role",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "from",
        "grant",
        "group",
        "having",
        "in",
        "initially",
        "intersect",
        "into",
        "lateral",
        "leading",
        "limit",
        "localtime",
        "localtimestamp",
        "not",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "placing",
        "primary",
        "references",
        "returning",
        "select",
        "session_user",
        "some",
        "symmetric",
        "system_user",
        "table",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "when",
        "where",
        "window",
        "with",
    ];
    RESERVED.binary_search(&fold(word).as_str()).is_ok()
}

/// True for a reserved word behind which an expression cannot have begun yet, so that an operator there is a
/// prefix; false for those that are values themselves.
pub(super) fn opens_expression(word: &str) -> bool {
    const VALUES: [&str; 15] = [
        "current_catalog",
        "current_date",
        "current_role",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "end",
        "false",
        "localtime",
        "localtimestamp",
        "null",
        "session_user",
        "true",
        "user",
    ];
    is_reserved(word) && !VALUES.contains(&fold(word).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_words_are_told_from_names() {
        for word in ["all", "WITH", "order", "user", "table", "fetch", "system_user"] {
            assert!(is_reserved(word), "{word}");
        }
        assert!(!is_reserved("users"));
        assert!(opens_expression("WHERE"));
        assert!(!opens_expression("Null"));
        assert!(!opens_expression("a"));
    }
}
