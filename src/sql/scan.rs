//! Whether a text that was not understood may name something protected.
//!
//! Every identifier is compared, and every word in every string, decoded and however deep one lies in another
//! (bodies of functions, DO blocks, dynamic EXECUTE). The comparison errs to one side only: it may find a name
//! where PostgreSQL would see none. Names that a program puts together at run time are its own doing.

use std::collections::HashSet;

use super::lex::{self, Lexeme, LexemeKind};

/// Strings in strings are followed so deep; deeper ones count as naming something.
const MAX_NESTING: usize = 12;

/// Names of relations, views, functions and whatever else must not be reached by a text that was not understood.
///
/// Names are compared without their schema and without regard to the case of ASCII letters.
#[derive(Clone, Debug, Default)]
pub struct ProtectedNames {
    /// Names that are words.
    words: HashSet<String>,
    /// How many bytes such words have, a bit for each number: a word of another length need not be folded.
    lengths: u64,
    /// Names with other characters in them (blanks, signs, `$`), looked for as they stand.
    phrases: Vec<String>,
}

impl ProtectedNames {
    /// Adds a name as the catalog holds it.
    pub fn insert(&mut self, name: &str) {
        let name = lex::fold(name);
        let is_word = words(&name).eq([name.as_str()]);
        if is_word {
            self.lengths |= bit_of_length(&name);
            self.words.insert(name);
        } else if !name.is_empty() && !self.phrases.contains(&name) {
            self.phrases.push(name);
        }
    }

    /// True if nothing is protected.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.phrases.is_empty()
    }

    /// True if this name, unquoted and in any case, is one of them.
    pub fn contains(&self, name: &str) -> bool {
        let name = lex::fold(name);
        self.words.contains(&name) || self.phrases.contains(&name)
    }
}

impl<'a> FromIterator<&'a str> for ProtectedNames {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut set = Self::default();
        names.into_iter().for_each(|name| set.insert(name));
        set
    }
}

/// Where something protected is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The name, folded; `None` where strings nest too deep, or escape in ways too odd, to tell.
    pub name: Option<String>,
    /// The byte of the text where the identifier or the string that names it starts; 0 if the text has no tokens.
    pub at: usize,
}

/// Looks for protected names in the tokens of a statement. Comments between them are not looked at.
pub fn names_any(text: &str, lexemes: &[Lexeme], names: &ProtectedNames) -> Option<Hit> {
    if names.is_empty() {
        return None;
    }
    in_lexemes(text, lexemes, &|piece| names.find(piece), MAX_NESTING).map(|(found, at)| found.hit(at))
}

/// The same for a text that cannot be cut into tokens, or whose strings escape in another way than by default
/// (`standard_conforming_strings` off): its words are taken raw, comments included, and decoded in every way.
pub fn raw_names_any(text: &str, names: &ProtectedNames) -> Option<Hit> {
    if names.is_empty() {
        return None;
    }
    in_raw(text, &|piece| names.find(piece)).map(|found| found.hit(0))
}

/// Looks for EXECUTE, FETCH or MOVE, and then for the name of a prepared statement or cursor that `is_protected`
/// tells to be one, in the tokens of a statement that was not understood.
///
/// Finds what reaches a protected relation through its plan only (`CREATE TABLE x AS EXECUTE p('...')`).
pub fn names_plan(text: &str, lexemes: &[Lexeme], is_protected: &dyn Fn(&str) -> bool) -> Option<Hit> {
    in_lexemes(text, lexemes, &runs_plan, MAX_NESTING)?;
    in_lexemes(text, lexemes, &plan_finder(is_protected), MAX_NESTING).map(|(found, at)| found.hit(at))
}

/// The same for a text that cannot be cut into tokens.
pub fn raw_names_plan(text: &str, is_protected: &dyn Fn(&str) -> bool) -> Option<Hit> {
    in_raw(text, &runs_plan)?;
    in_raw(text, &plan_finder(is_protected)).map(|found| found.hit(0))
}

/// True if the content of a string is nothing that any of these would look at twice: it names nothing and runs no
/// plan, and is written in no other way than it reads.
pub fn is_quiet(content: &str, names: &ProtectedNames) -> bool {
    !content.contains(ESCAPING)
        && names.find(Piece::Text(content)).is_none()
        && runs_plan(Piece::Text(content)).is_none()
}

/// What a string has to hold to be SQL that has strings or escapes of its own.
const ESCAPING: [char; 4] = ['\'', '"', '$', '\\'];

/// What is compared.
#[derive(Clone, Copy)]
enum Piece<'a> {
    /// An identifier, folded, unquoted and cut.
    Name(&'a str),
    /// A reserved word where it can name nothing.
    Reserved(&'a str),
    /// The content of a string: any word in it may be a name.
    Text(&'a str),
}

type Find<'a> = dyn Fn(Piece<'_>) -> Option<String> + 'a;

enum Found {
    Name(String),
    Unclear,
}

impl Found {
    fn hit(self, at: usize) -> Hit {
        match self {
            Self::Name(name) => Hit { name: Some(name), at },
            Self::Unclear => Hit { name: None, at },
        }
    }
}

impl ProtectedNames {
    fn find(&self, piece: Piece<'_>) -> Option<String> {
        match piece {
            Piece::Name(name) => self.contains(name).then(|| lex::fold(name)),
            Piece::Reserved(_) => None,
            Piece::Text(text) => words(text)
                .filter(|word| self.lengths & bit_of_length(word) != 0)
                .map(lex::fold)
                .find(|word| self.words.contains(word))
                .or_else(|| self.find_phrase(text)),
        }
    }

    fn find_phrase(&self, text: &str) -> Option<String> {
        if self.phrases.is_empty() {
            return None;
        }
        let text = lex::fold(text);
        let bare = without_quotes(&text);
        self.phrases
            .iter()
            .find(|phrase| text.contains(phrase.as_str()) || bare.contains(&without_quotes(phrase)))
            .cloned()
    }
}

/// The bit of a word's length in [`ProtectedNames`]; what is longer than a name can be shares one.
fn bit_of_length(word: &str) -> u64 {
    1 << word.len().min(63)
}

/// A text less its quotes and backslashes, so that doubled ones compare equal to single ones.
fn without_quotes(text: &str) -> String {
    text.replace(['"', '\'', '\\'], "")
}

/// The words of a text, each cut as an identifier is; digits before a word do not belong to it, and a `$` may
/// be part of a word or of a quote beside it (a name with one is a phrase).
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_ascii() && !(c.is_ascii_alphanumeric() || c == '_'))
        .map(|run| lex::clip(run.trim_start_matches(|c: char| c.is_ascii_digit())))
        .filter(|word| !word.is_empty())
}

fn plan_finder(is_protected: &dyn Fn(&str) -> bool) -> impl Fn(Piece<'_>) -> Option<String> {
    move |piece| match piece {
        Piece::Name(name) => is_protected(name).then(|| name.to_owned()),
        Piece::Reserved(_) => None,
        Piece::Text(text) => {
            words(text).flat_map(|word| [word.to_owned(), lex::fold(word)]).find(|word| is_protected(word))
        }
    }
}

fn runs_plan(piece: Piece<'_>) -> Option<String> {
    let runs = |word: &&str| ["execute", "fetch", "move"].iter().any(|w| w.eq_ignore_ascii_case(word));
    match piece {
        Piece::Name(name) | Piece::Reserved(name) => runs(&name).then(String::new),
        Piece::Text(text) => words(text).find(runs).map(|_| String::new()),
    }
}

fn in_lexemes(text: &str, lexemes: &[Lexeme], find: &Find<'_>, nesting: usize) -> Option<(Found, usize)> {
    let mut qualified = false;
    for lexeme in lexemes {
        let found = match lexeme.kind {
            // A reserved word is a name only behind a point.
            LexemeKind::Word if !qualified && lex::is_reserved(lexeme.text(text)) => {
                find(Piece::Reserved(lexeme.text(text))).map(Found::Name)
            }
            LexemeKind::Word | LexemeKind::QuotedWord | LexemeKind::UnicodeWord => {
                match lex::identifier(lexeme, text) {
                    Some(name) => find(Piece::Name(&name)).map(Found::Name),
                    None => Some(Found::Unclear),
                }
            }
            LexemeKind::String(_) => match lex::string_value(lexeme, text) {
                Some(content) => in_string(&content, find, nesting),
                None => in_raw(lexeme.text(text), find),
            },
            LexemeKind::Bits
            | LexemeKind::Hex
            | LexemeKind::Integer
            | LexemeKind::Numeric
            | LexemeKind::Parameter(_)
            | LexemeKind::Symbol(_)
            | LexemeKind::DoubleColon
            | LexemeKind::DoubleDot
            | LexemeKind::ColonEquals
            | LexemeKind::Operator => None,
        };
        if let Some(found) = found {
            return Some((found, lexeme.start));
        }
        qualified = lexeme.is_symbol(b'.');
    }
    None
}

/// In the content of a string: its words, and if it is SQL itself what its strings decode to.
fn in_string(content: &str, find: &Find<'_>, nesting: usize) -> Option<Found> {
    if let Some(name) = find(Piece::Text(content)) {
        return Some(Found::Name(name));
    }
    if !content.contains(ESCAPING) {
        return None;
    }
    let Some(nesting) = nesting.checked_sub(1) else { return Some(Found::Unclear) };
    match lex::tokenize(content) {
        Ok(lexemes) => in_lexemes(content, &lexemes, find, nesting).map(|(found, _)| found),
        Err(_) => in_raw(content, find),
    }
}

/// In a text without tokens: its words as they stand, with strings continued over lines joined, and with every
/// escape decoded that any form of string could have, again and again for strings in strings.
fn in_raw(text: &str, find: &Find<'_>) -> Option<Found> {
    if words(text).any(|word| word.eq_ignore_ascii_case("uescape")) {
        return Some(Found::Unclear);
    }
    let mut current = lex::join_continued(text);
    if let Some(name) = find(Piece::Text(text)) {
        return Some(Found::Name(name));
    }
    for _ in 0..MAX_NESTING {
        if let Some(name) =
            find(Piece::Text(&current)).or_else(|| find(Piece::Text(&lex::decode_unicode(&current))))
        {
            return Some(Found::Name(name));
        }
        let decoded = lex::decode_escapes(&current);
        if decoded == current {
            return None;
        }
        current = decoded;
    }
    Some(Found::Unclear)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> ProtectedNames {
        ["users", "Mixed", "order", "two words", "pay$roll", "qu\"ote", "2fa"].into_iter().collect()
    }

    fn found(text: &str) -> Option<Option<String>> {
        let hit = match lex::tokenize(text) {
            Ok(lexemes) => names_any(text, &lexemes, &names()),
            Err(_) => raw_names_any(text, &names()),
        };
        hit.map(|hit| hit.name)
    }

    #[test]
    fn a_protected_name_is_found_wherever_it_hides() {
        let cases = [
            (r#"SELECT * FROM users"#, "users"),
            (r#"SELECT * FROM USERS"#, "users"),
            (r#"SELECT * FROM "Users""#, "users"),
            (r#"SELECT * FROM public.users"#, "users"),
            (r#"SELECT * FROM U&"\0075sers""#, "users"),
            (r#"SELECT * FROM U&"!0075sers" UESCAPE '!'"#, "users"),
            (r#"SELECT * FROM mixed"#, "mixed"),
            (r#"SELECT * FROM "order""#, "order"),
            (r#"SELECT * FROM public.order"#, "order"),
            (r#"SELECT * FROM "two words""#, "two words"),
            (r#"SELECT * FROM pay$roll"#, "pay$roll"),
            (r#"SELECT * FROM "qu""ote""#, "qu\"ote"),
            (r#"SELECT * FROM "2fa""#, "2fa"),
            (r#"SELECT 'users'::regclass"#, "users"),
            (r#"SELECT 'public."Users"'"#, "users"),
            (r#"SELECT E'\165sers'"#, "users"),
            (r#"SELECT E'a\nusers'"#, "users"),
            (r#"SELECT U&'\0075sers'"#, "users"),
            (r#"SELECT U&'!0075sers' UESCAPE '!'"#, "users"),
            ("SELECT 'us'\n'ers'", "users"),
            (r#"SELECT N'users'"#, "users"),
            (r#"DO $$ BEGIN INSERT INTO users VALUES (1); END $$"#, "users"),
            (r#"DO $x$ BEGIN EXECUTE $$DELETE FROM users$$; END $x$"#, "users"),
            ("DO $$ BEGIN EXECUTE 'DELETE FROM us'\n'ers'; END $$", "users"),
            (r#"DO $$ BEGIN EXECUTE E'DELETE FROM \x75sers'; END $$"#, "users"),
            (r#"DO $$ BEGIN EXECUTE E'EXECUTE E\'DELETE FROM \\x75sers\''; END $$"#, "users"),
            (r#"DO $$ BEGIN EXECUTE 'SELECT U&"\0075sers"'; END $$"#, "users"),
            (r#"DO 'BEGIN EXECUTE ''DELETE FROM U&"!0075sers" UESCAPE ''''!''''''; END'"#, "users"),
            (r#"DO $$ SELECT * FROM "qu""ote" $$"#, "qu\"ote"),
            (r#"DO $$ SELECT * FROM "two words" $$"#, "two words"),
            // Texts without tokens.
            (r#"SELECT * FROM users WHERE a = 'x"#, "users"),
            (r#"SELECT $$users"#, "users"),
            (r#"SELECT 1a, $$x$$users$$"#, "users"),
            (r#"SELECT 1users"#, "users"),
            (r#"SELECT 1a, E'\165sers'"#, "users"),
            (r#"SELECT 1a, E'E\'\\165sers\''"#, "users"),
            (r#"SELECT 1a, U&'\0075sers'"#, "users"),
            (r#"SELECT 1a, U&'\+000075sers'"#, "users"),
            ("SELECT 1a, 'us' -- x\n 'ers'", "users"),
            (r#"SELECT 1a FROM "qu""ote""#, "qu\"ote"),
            ("DO $$ # it's\n select(\"users\") $$", "users"),
        ];
        for (text, name) in cases {
            assert_eq!(found(text), Some(Some(name.to_owned())), "{text}");
        }
    }

    #[test]
    fn names_are_cut_before_they_are_compared() {
        let name = format!("x{}", "a".repeat(62));
        let names: ProtectedNames = [name.as_str()].into_iter().collect();
        let text = format!("SELECT {name}bcd, '{name}bcd'");
        let lexemes = lex::tokenize(&text).unwrap();
        assert_eq!(names_any(&text, &lexemes, &names).map(|hit| hit.at), Some(7));
        assert_eq!(names_any(&text, &lexemes[2..], &names).map(|hit| hit.at), Some(75));
    }

    #[test]
    fn what_cannot_be_told_counts_as_a_name() {
        assert_eq!(found(r#"SELECT 1a, U&'!0075sers' UESCAPE '!'"#), Some(None));
        assert_eq!(found(r#"SELECT U&"\00""#), Some(None));
        let mut deep = "x".to_owned();
        for level in 0..14 {
            deep = format!("$a{level}${deep}$a{level}$");
        }
        assert_eq!(found(&format!("DO {deep}")), Some(None));
    }

    #[test]
    fn other_texts_name_nothing() {
        let cases = [
            "SELECT * FROM superusers, users_2, myusers",
            "SELECT 1 ORDER BY 2 -- users",
            "SELECT /* users */ a FROM t GROUP BY 'user'",
            "SELECT 'two', 'words', B'01', X'1F', 12, $1",
            "VACUUM t",
            "SELECT 1a FROM t",
        ];
        for text in cases {
            assert_eq!(found(text), None, "{text}");
        }
        assert_eq!(raw_names_any("users", &ProtectedNames::default()), None);
    }

    #[test]
    fn plans_are_found_beside_execute_fetch_and_move_only() {
        let is_protected = |name: &str| name == "p" || name == "My Cursor";
        let cases = [
            (r#"CREATE TABLE x AS EXECUTE p('plaintext')"#, true),
            (r#"EXPLAIN EXECUTE P"#, true),
            (r#"FETCH ALL FROM "My Cursor""#, true),
            (r#"MOVE 1 IN "My Cursor""#, true),
            (r#"DO $$ BEGIN EXECUTE 'EXECUTE p(1)'; END $$"#, true),
            (r#"DO $$ BEGIN EXECUTE 'FETCH "My Cursor"'; END $$"#, true),
            (r#"EXPLAIN EXECUTE q"#, false),
            (r#"SELECT p FROM t"#, false),
            (r#"DO $$ SELECT p FROM t $$"#, false),
        ];
        for (text, expected) in cases {
            let lexemes = lex::tokenize(text).unwrap();
            assert_eq!(names_plan(text, &lexemes, &is_protected).is_some(), expected, "{text}");
        }
        assert!(raw_names_plan("EXPLAIN EXECUTE p(1a)", &is_protected).is_some());
        assert!(raw_names_plan("SELECT p, 1a", &is_protected).is_none());
    }
}
