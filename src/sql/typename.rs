//! Type names in casts, read from the tokens: what they mean, and which tokens they are.

use std::ops::Range;

use super::lex::{self, Lexeme, LexemeKind};
use crate::datum::Oid;

/// A type name in a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypeName {
    /// Its tokens, as indices.
    pub(super) tokens: Range<usize>,
    /// The type (of an array its element); `None` if it is not one that can be sealed.
    pub(super) oid: Option<Oid>,
    /// The number in a single-number modifier: `varchar(80)`.
    pub(super) modifier: Modifier,
    /// Whether it is an array of that.
    pub(super) is_array: bool,
}

/// What stands in a type's parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Modifier {
    /// Nothing.
    None,
    /// The number of characters of a character type.
    Length(u32),
    /// Anything else.
    Other,
}

/// How a name that is not one of PostgreSQL's own resolves: the enum types of the database.
pub(super) type Resolve<'a> = &'a dyn Fn(&[String]) -> Option<Oid>;

pub(super) const TEXT: Oid = 25;
pub(super) const BYTEA: Oid = 17;
pub(super) const VARCHAR: Oid = 1043;
pub(super) const BPCHAR: Oid = 1042;
pub(super) const BOOL: Oid = 16;
pub(super) const INT4: Oid = 23;
pub(super) const INT8: Oid = 20;
pub(super) const INT2: Oid = 21;
pub(super) const NUMERIC: Oid = 1700;
pub(super) const FLOAT4: Oid = 700;
pub(super) const FLOAT8: Oid = 701;
pub(super) const DATE: Oid = 1082;
pub(super) const TIMESTAMP: Oid = 1114;
pub(super) const TIMESTAMPTZ: Oid = 1184;

/// The types that can be sealed, as pg_catalog names them, with the object ids of their arrays.
const TYPES: [(&str, Oid, Oid); 22] = [
    ("bool", BOOL, 1000),
    ("bpchar", BPCHAR, 1014),
    ("bytea", BYTEA, 1001),
    ("cidr", 650, 651),
    ("date", 1082, 1182),
    ("float4", FLOAT4, 1021),
    ("float8", FLOAT8, 1022),
    ("inet", 869, 1041),
    ("int2", INT2, 1005),
    ("int4", INT4, 1007),
    ("int8", INT8, 1016),
    ("interval", 1186, 1187),
    ("json", 114, 199),
    ("jsonb", 3802, 3807),
    ("macaddr", 829, 1040),
    ("numeric", NUMERIC, 1231),
    ("text", TEXT, 1009),
    ("time", 1083, 1183),
    ("timestamp", 1114, 1115),
    ("timestamptz", 1184, 1185),
    ("uuid", 2950, 2951),
    ("varchar", VARCHAR, 1015),
];

/// The object id of a type's array.
pub(super) fn array_of(oid: Oid) -> Option<Oid> {
    TYPES.iter().find(|(_, element, _)| *element == oid).map(|(_, _, array)| *array)
}

/// The name of one of PostgreSQL's types, by its object id.
pub(super) fn name_of(oid: Oid) -> Option<&'static str> {
    TYPES.iter().find(|(_, element, _)| *element == oid).map(|(name, _, _)| *name)
}

/// Reads the type name that starts at a token.
pub(super) fn read(text: &str, lexemes: &[Lexeme], start: usize, resolve: Resolve<'_>) -> Option<TypeName> {
    let mut reader = Reader { text, lexemes, at: start };
    let (oid, modifier) = reader.scalar(resolve)?;
    let is_array = reader.array()?;
    Some(TypeName { tokens: start..reader.at, oid, modifier, is_array })
}

/// Reads the type name that ends before a token: that of `date '2020-01-01'`.
pub(super) fn read_before(
    text: &str,
    lexemes: &[Lexeme],
    end: usize,
    resolve: Resolve<'_>,
) -> Option<TypeName> {
    /// `pg_catalog.time(3) without time zone` has nine.
    const MOST_TOKENS: usize = 12;
    let starts = (end.saturating_sub(MOST_TOKENS)..end).rev();
    let mut names = starts.filter_map(|start| {
        let name = read(text, lexemes, start, resolve)?;
        let qualified = start.checked_sub(1).and_then(|before| lexemes.get(before));
        (name.tokens.end == end && !qualified.is_some_and(|l| l.is_symbol(b'.'))).then_some(name)
    });
    // The shortest that is a type: `zone` alone ends `timestamp with time zone`.
    names.find(|name| name.oid.is_some())
}

struct Reader<'a> {
    text: &'a str,
    lexemes: &'a [Lexeme],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Lexeme> {
        self.lexemes.get(self.at)
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|lexeme| lexeme.is_word(self.text, word));
        self.at += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: u8) -> bool {
        let found = self.peek().is_some_and(|lexeme| lexeme.is_symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn identifier(&mut self) -> Option<String> {
        let lexeme = self.peek().filter(|lexeme| lexeme.is_identifier())?;
        let name = lex::identifier(lexeme, self.text)?;
        self.at += 1;
        Some(name)
    }

    fn scalar(&mut self, resolve: Resolve<'_>) -> Option<(Option<Oid>, Modifier)> {
        let keyword = self.peek().is_some_and(|lexeme| lexeme.kind == LexemeKind::Word);
        let mut parts = vec![self.identifier()?];
        while self.symbol(b'.') {
            parts.push(self.identifier()?);
        }
        let [name] = parts.as_slice() else {
            let modifier = self.modifier()?;
            return Some((named(&parts, resolve), modifier));
        };
        if !keyword {
            let oid = named(&parts, resolve);
            return Some((oid, self.modifier()?));
        }
        let own = |name: &str| own_type(name);
        Some(match name.as_str() {
            "national" => {
                if !self.word("character") && !self.word("char") {
                    return None;
                }
                self.character()?
            }
            "character" | "char" | "nchar" => self.character()?,
            "varchar" => (Some(VARCHAR), self.length()?),
            "double" => {
                if !self.word("precision") {
                    return None;
                }
                (Some(FLOAT8), Modifier::None)
            }
            "bit" => {
                self.word("varying");
                (None, self.modifier()?)
            }
            "int" | "integer" => (Some(INT4), Modifier::None),
            "smallint" => (Some(INT2), Modifier::None),
            "bigint" => (Some(INT8), Modifier::None),
            "real" => (Some(FLOAT4), Modifier::None),
            "boolean" => (Some(BOOL), Modifier::None),
            "float" => match self.length()? {
                Modifier::Length(1..=24) => (Some(FLOAT4), Modifier::None),
                Modifier::None | Modifier::Length(25..=53) => (Some(FLOAT8), Modifier::None),
                Modifier::Length(_) | Modifier::Other => (None, Modifier::Other),
            },
            "decimal" | "dec" => (Some(NUMERIC), self.modifier()?),
            "time" | "timestamp" => {
                let modifier = self.modifier()?;
                let with_zone = self.word("with");
                if (with_zone || self.word("without")) && !(self.word("time") && self.word("zone")) {
                    return None;
                }
                let oid = match (name.as_str(), with_zone) {
                    ("time", true) => None,
                    ("timestamp", true) => own("timestamptz"),
                    (name, _) => own(name),
                };
                (oid, modifier)
            }
            "interval" => {
                let mut modifier = Modifier::None;
                while ["year", "month", "day", "hour", "minute", "second", "to"]
                    .iter()
                    .any(|word| self.word(word))
                {
                    modifier = Modifier::Other;
                }
                match self.modifier()? {
                    Modifier::None => (own("interval"), modifier),
                    Modifier::Length(_) | Modifier::Other => (own("interval"), Modifier::Other),
                }
            }
            _ => (named(&parts, resolve), self.modifier()?),
        })
    }

    /// The rest of `character varying(n)`; without `varying` and length it is of one character.
    fn character(&mut self) -> Option<(Option<Oid>, Modifier)> {
        if self.word("varying") {
            return Some((Some(VARCHAR), self.length()?));
        }
        Some(match self.length()? {
            Modifier::None => (Some(BPCHAR), Modifier::Length(1)),
            length @ (Modifier::Length(_) | Modifier::Other) => (Some(BPCHAR), length),
        })
    }

    fn length(&mut self) -> Option<Modifier> {
        let start = self.at;
        let modifier = self.modifier()?;
        let number =
            self.lexemes.get(start + 1).filter(|_| modifier != Modifier::None && self.at == start + 3);
        Some(match number.map(|lexeme| lexeme.text(self.text).parse()) {
            Some(Ok(length)) => Modifier::Length(length),
            Some(Err(_)) => Modifier::Other,
            None => modifier,
        })
    }

    fn modifier(&mut self) -> Option<Modifier> {
        if !self.symbol(b'(') {
            return Some(Modifier::None);
        }
        while !self.symbol(b')') {
            self.peek().filter(|lexeme| !lexeme.is_symbol(b'('))?;
            self.at += 1;
        }
        Some(Modifier::Other)
    }

    fn array(&mut self) -> Option<bool> {
        let mut is_array = self.word("array");
        while self.symbol(b'[') {
            is_array = true;
            if !self.symbol(b']') {
                self.at += 1;
                if !self.symbol(b']') {
                    return None;
                }
            }
        }
        Some(is_array)
    }
}

fn named(parts: &[String], resolve: Resolve<'_>) -> Option<Oid> {
    match parts {
        [name] => own_type(name).or_else(|| resolve(parts)),
        [schema, name] if schema == "pg_catalog" => own_type(name),
        _ => resolve(parts),
    }
}

fn own_type(name: &str) -> Option<Oid> {
    TYPES.iter().find(|(own, _, _)| *own == name).map(|(_, oid, _)| *oid)
}

/// Whether a type of PostgreSQL's own that can be sealed has this name.
pub(super) fn is_own(name: &str) -> bool {
    own_type(name).is_some()
}
