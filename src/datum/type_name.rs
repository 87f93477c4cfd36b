//! Type names as SQL has them.

use super::types::{INTERVAL_FULL_RANGE, MAX_PRECISION, VARHDRSZ};
use super::{Base, Type};

/// What a policy file's type name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeName {
    /// A type of PostgreSQL's own.
    Builtin(Type),
    /// A name that only the database's catalog can resolve (an enum), folded and unquoted.
    Named {
        /// The schema, if one is given.
        schema: Option<String>,
        /// The name.
        name: String,
        /// True for an array of it.
        array: bool,
    },
}

/// Why a type name is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// Not the form of a type name.
    #[error("\"{0}\" is not a type name")]
    Syntax(String),
    /// A type of PostgreSQL that cannot be sealed.
    #[error("type {0} cannot be encrypted")]
    Unsupported(String),
    /// A modifier that the type does not have.
    #[error("type {0} takes no modifier")]
    NoModifier(String),
    /// A modifier out of its range.
    #[error("{what} of type {ty} must be between {min} and {max}")]
    Modifier {
        /// Length, precision or scale.
        what: &'static str,
        /// The type.
        ty: &'static str,
        /// The smallest that is allowed.
        min: i32,
        /// The largest.
        max: i32,
    },
}

impl Type {
    /// Reads a type name as SQL has it, modifiers included: `varchar(80)`, `timestamp(3) with time zone`,
    /// `int4[]`, `app.mood`.
    pub fn parse(name: &str) -> Result<TypeName, TypeError> {
        Parser::new(name)?.type_name().map_err(|error| match error {
            TypeError::Syntax(_) => TypeError::Syntax(name.to_owned()),
            other => other,
        })
    }
}

/// Types of PostgreSQL that are no enum and that cannot be sealed, so that a policy that names one is
/// told so (a name that is not listed is looked up in the catalog).
const UNSUPPORTED: [&str; 40] = [
    "timetz",
    "money",
    "xml",
    "bit",
    "varbit",
    "oid",
    "xid",
    "cid",
    "tid",
    "name",
    "regclass",
    "regtype",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "macaddr8",
    "tsvector",
    "tsquery",
    "pg_lsn",
    "serial",
    "bigserial",
    "smallserial",
    "serial4",
    "serial8",
    "serial2",
    "int4range",
    "int8range",
    "numrange",
    "daterange",
    "tsrange",
    "tstzrange",
    "record",
    "void",
    "jsonpath",
    "citext",
    "hstore",
];

/// The longest length that can be declared.
const MAX_LENGTH: i32 = 10 * 1024 * 1024;
/// The greatest precision and scale that can be declared.
const MAX_NUMERIC: i32 = 1000;

/// A piece of a type name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// An unquoted word, folded.
    Word(String),
    /// A quoted identifier's content.
    Quoted(String),
    Number(i32),
    Mark(char),
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Parser {
    fn new(name: &str) -> Result<Self, TypeError> {
        let mut tokens = Vec::new();
        let mut chars = name.chars().peekable();
        let syntax = || TypeError::Syntax(name.to_owned());
        while let Some(c) = chars.next() {
            let mut run = |first: String, accept: fn(char) -> bool| {
                let mut word = first;
                while let Some(c) = chars.next_if(|c| accept(*c)) {
                    word.push(c);
                }
                word
            };
            tokens.push(match c {
                c if c.is_ascii_whitespace() => continue,
                '(' | ')' | '[' | ']' | ',' | '.' => Token::Mark(c),
                '-' | '0'..='9' => {
                    let digits = run(c.to_string(), |c| c.is_ascii_digit());
                    Token::Number(digits.parse().map_err(|_| syntax())?)
                }
                '"' => {
                    let mut word = String::new();
                    loop {
                        match chars.next() {
                            Some('"') if chars.next_if_eq(&'"').is_none() => break,
                            Some(c) => word.push(c),
                            None => return Err(syntax()),
                        }
                    }
                    Token::Quoted(word)
                }
                c if c.is_alphabetic() || c == '_' => {
                    let word = run(c.to_string(), |c| c.is_alphanumeric() || c == '_' || c == '$');
                    Token::Word(word.to_ascii_lowercase())
                }
                _ => return Err(syntax()),
            });
        }
        Ok(Self { tokens: tokens.into_iter().peekable() })
    }

    fn type_name(mut self) -> Result<TypeName, TypeError> {
        let (first, quoted) = self.identifier()?;
        let mut schema = None;
        let (mut name, mut name_quoted) = (first, quoted);
        if self.mark('.') {
            let (second, quoted) = self.identifier()?;
            schema = Some(std::mem::replace(&mut name, second));
            name_quoted = quoted;
        }
        // A name in pg_catalog is the type's own (int4), where SQL's spelling is a keyword (integer).
        let catalog = schema.as_deref() == Some("pg_catalog");
        if catalog || (schema.is_none() && !name_quoted) {
            if let Some(ty) = self.builtin(&name)? {
                return Ok(TypeName::Builtin(self.finish(ty)?));
            }
            if catalog || UNSUPPORTED.contains(&name.as_str()) {
                return Err(TypeError::Unsupported(name));
            }
        }
        if self.tokens.peek() == Some(&Token::Mark('(')) {
            return Err(TypeError::NoModifier(name));
        }
        let ty = self.finish(Type::plain(Base::Text))?;
        Ok(TypeName::Named { schema, name, array: ty.base.element().is_some() })
    }

    /// Reads what follows a builtin type's first word.
    fn builtin(&mut self, name: &str) -> Result<Option<Type>, TypeError> {
        let base = match name {
            "bool" | "boolean" => Base::Bool,
            "int2" | "smallint" => Base::Int2,
            "int4" | "int" | "integer" => Base::Int4,
            "int8" | "bigint" => Base::Int8,
            "float4" | "real" => Base::Float4,
            "float8" => Base::Float8,
            "double" => {
                self.words(&["precision"])?;
                Base::Float8
            }
            "float" => match self.modifiers()?.as_slice() {
                [] => Base::Float8,
                [bits] => match checked("precision", "float", *bits, 1, 53)? {
                    ..25 => Base::Float4,
                    _ => Base::Float8,
                },
                _ => return Err(TypeError::Syntax(name.to_owned())),
            },
            "numeric" | "decimal" | "dec" => return self.numeric().map(Some),
            "text" => Base::Text,
            "varchar" => return self.length(Base::Varchar, "varchar").map(Some),
            "bpchar" => return self.length(Base::Bpchar, "bpchar").map(Some),
            "char" | "character" | "nchar" => {
                if self.word("varying") {
                    return self.length(Base::Varchar, "varchar").map(Some);
                }
                let ty = self.length(Base::Bpchar, "char")?;
                // Without a length it is char(1).
                return Ok(Some(Type { modifier: ty.modifier.max(VARHDRSZ + 1), ..ty }));
            }
            "bytea" => Base::Bytea,
            "date" => Base::Date,
            "time" => return self.time(Base::Time, None).map(Some),
            "timestamp" => return self.time(Base::Timestamp, Some(Base::Timestamptz)).map(Some),
            "timestamptz" => {
                let modifier = self.precision("timestamptz")?;
                return Ok(Some(Type { base: Base::Timestamptz, modifier }));
            }
            "interval" => {
                let modifier = match self.precision("interval")? {
                    -1 => -1,
                    digits => (INTERVAL_FULL_RANGE << 16) | digits,
                };
                return Ok(Some(Type { base: Base::Interval, modifier }));
            }
            "uuid" => Base::Uuid,
            "inet" => Base::Inet,
            "cidr" => Base::Cidr,
            "macaddr" => Base::Macaddr,
            "json" => Base::Json,
            "jsonb" => Base::Jsonb,
            _ => return Ok(None),
        };
        if self.tokens.peek() == Some(&Token::Mark('(')) {
            return Err(TypeError::NoModifier(base.name()));
        }
        Ok(Some(Type::plain(base)))
    }

    fn numeric(&mut self) -> Result<Type, TypeError> {
        let (precision, scale) = match self.modifiers()?.as_slice() {
            [] => return Ok(Type::plain(Base::Numeric)),
            [precision] => (*precision, 0),
            [precision, scale] => (*precision, *scale),
            _ => return Err(TypeError::Syntax("numeric".to_owned())),
        };
        let precision = checked("precision", "numeric", precision, 1, MAX_NUMERIC)?;
        let scale = checked("scale", "numeric", scale, -MAX_NUMERIC, MAX_NUMERIC)?;
        Ok(Type { base: Base::Numeric, modifier: ((precision << 16) | (scale & 0x7FF)) + VARHDRSZ })
    }

    fn length(&mut self, base: Base, name: &'static str) -> Result<Type, TypeError> {
        let modifier = match self.modifiers()?.as_slice() {
            [] => -1,
            [n] => checked("length", name, *n, 1, MAX_LENGTH)? + VARHDRSZ,
            _ => return Err(TypeError::Syntax(name.to_owned())),
        };
        Ok(Type { base, modifier })
    }

    fn precision(&mut self, name: &'static str) -> Result<i32, TypeError> {
        match self.modifiers()?.as_slice() {
            [] => Ok(-1),
            [digits] => checked("precision", name, *digits, 0, MAX_PRECISION),
            _ => Err(TypeError::Syntax(name.to_owned())),
        }
    }

    /// `[(p)] [{with | without} time zone]`.
    fn time(&mut self, without: Base, with: Option<Base>) -> Result<Type, TypeError> {
        let modifier = self.precision("timestamp")?;
        let base = if self.word("with") {
            self.words(&["time", "zone"])?;
            with.ok_or_else(|| TypeError::Unsupported("time with time zone".to_owned()))?
        } else {
            if self.word("without") {
                self.words(&["time", "zone"])?;
            }
            without
        };
        Ok(Type { base, modifier })
    }

    /// `(n, ...)` if it is there.
    fn modifiers(&mut self) -> Result<Vec<i32>, TypeError> {
        let mut numbers = Vec::new();
        if self.mark('(') {
            loop {
                match self.tokens.next() {
                    Some(Token::Number(n)) => numbers.push(n),
                    other => return Err(unexpected(other)),
                }
                if self.mark(')') {
                    break;
                }
                if !self.mark(',') {
                    return Err(unexpected(self.tokens.next()));
                }
            }
        }
        Ok(numbers)
    }

    /// `[]`, `[n]`, `[][]` or `ARRAY` after the type (dimensions are not part of it), and the end.
    fn finish(mut self, ty: Type) -> Result<Type, TypeError> {
        let mut array = self.word("array");
        while self.mark('[') {
            array = true;
            if matches!(self.tokens.peek(), Some(Token::Number(_))) {
                self.tokens.next();
            }
            if !self.mark(']') {
                return Err(unexpected(self.tokens.next()));
            }
        }
        match self.tokens.next() {
            None if array => Ok(Type { base: Base::Array(Box::new(ty.base)), ..ty }),
            None => Ok(ty),
            other => Err(unexpected(other)),
        }
    }

    fn identifier(&mut self) -> Result<(String, bool), TypeError> {
        match self.tokens.next() {
            Some(Token::Word(word)) => Ok((word, false)),
            Some(Token::Quoted(word)) if !word.is_empty() => Ok((word, true)),
            other => Err(unexpected(other)),
        }
    }

    fn mark(&mut self, mark: char) -> bool {
        self.tokens.next_if_eq(&Token::Mark(mark)).is_some()
    }

    fn word(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(w) if w == word)).is_some()
    }

    fn words(&mut self, words: &[&str]) -> Result<(), TypeError> {
        words.iter().all(|word| self.word(word)).then_some(()).ok_or_else(|| unexpected(None))
    }
}

fn checked(what: &'static str, ty: &'static str, n: i32, min: i32, max: i32) -> Result<i32, TypeError> {
    (min..=max).contains(&n).then_some(n).ok_or(TypeError::Modifier { what, ty, min, max })
}

/// The text is put in by [`Type::parse`].
fn unexpected(_: Option<Token>) -> TypeError {
    TypeError::Syntax(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_sql_has_them_and_printed_as_format_type_does() {
        for (given, printed, oid, modifier) in [
            ("text", "text", 25, -1),
            ("  TEXT ", "text", 25, -1),
            ("varchar(80)", "character varying(80)", 1043, 84),
            ("character varying ( 80 )", "character varying(80)", 1043, 84),
            ("varchar", "character varying", 1043, -1),
            ("char(5)", "character(5)", 1042, 9),
            ("char", "character(1)", 1042, 5),
            ("bpchar", "bpchar", 1042, -1),
            ("numeric", "numeric", 1700, -1),
            ("numeric(12,2)", "numeric(12,2)", 1700, 786_438),
            ("decimal(5)", "numeric(5,0)", 1700, 327_684),
            ("numeric(3,-2)", "numeric(3,-2)", 1700, 198_658),
            ("timestamp(3) with time zone", "timestamp(3) with time zone", 1184, 3),
            ("timestamptz(0)", "timestamp(0) with time zone", 1184, 0),
            ("timestamp", "timestamp without time zone", 1114, -1),
            ("time(2)", "time(2) without time zone", 1083, 2),
            ("interval(3)", "interval(3)", 1186, 0x7FFF_0003),
            ("interval", "interval", 1186, -1),
            ("int4[]", "integer[]", 1007, -1),
            ("integer[3][]", "integer[]", 1007, -1),
            ("numeric(5,1) array", "numeric(5,1)[]", 1231, 327_685),
            ("pg_catalog.int8", "bigint", 20, -1),
            ("integer", "integer", 23, -1),
            ("bigint", "bigint", 20, -1),
            ("double precision", "double precision", 701, -1),
            ("float(24)", "real", 700, -1),
            ("float", "double precision", 701, -1),
        ] {
            let Ok(TypeName::Builtin(ty)) = Type::parse(given) else {
                panic!("{given}: {:?}", Type::parse(given))
            };
            assert_eq!((ty.name().as_str(), ty.oid(), ty.modifier), (printed, oid, modifier), "{given}");
            assert_eq!(Type::from_oid(oid, modifier), Some(ty), "{given}");
        }
    }

    #[test]
    fn other_names_are_left_to_the_catalog() {
        for (given, schema, name, array) in [
            ("mood", None, "mood", false),
            ("App.Mood[]", Some("app"), "mood", true),
            ("\"My App\".\"a\"\"b\"", Some("My App"), "a\"b", false),
            ("\"text\"", None, "text", false),
        ] {
            let expected =
                TypeName::Named { schema: schema.map(str::to_owned), name: name.to_owned(), array };
            assert_eq!(Type::parse(given), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_is_no_type_that_can_be_sealed_is_refused() {
        for (given, message) in [
            ("", "\"\" is not a type name"),
            ("varchar(", "\"varchar(\" is not a type name"),
            ("varchar(0)", "length of type varchar must be between 1 and 10485760"),
            ("numeric(1001)", "precision of type numeric must be between 1 and 1000"),
            ("numeric(1,2,3)", "\"numeric(1,2,3)\" is not a type name"),
            ("timestamp(7)", "precision of type timestamp must be between 0 and 6"),
            ("text(5)", "type text takes no modifier"),
            ("mood(5)", "type mood takes no modifier"),
            ("time with time zone", "type time with time zone cannot be encrypted"),
            ("money", "type money cannot be encrypted"),
            ("pg_catalog.oid", "type oid cannot be encrypted"),
            ("int4[", "\"int4[\" is not a type name"),
            ("interval year to month", "\"interval year to month\" is not a type name"),
            ("double", "\"double\" is not a type name"),
            ("\"a", "\"\"a\" is not a type name"),
            ("a.b.c", "\"a.b.c\" is not a type name"),
        ] {
            assert_eq!(Type::parse(given).unwrap_err().to_string(), message, "{given}");
        }
    }
}
