//! The words of COPY: its table or query, its direction and its options, in the syntax of every version.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>

use std::ops::Range;

use crate::sql::copy::Direction;
use crate::sql::lex::{self, Lexeme, LexemeKind};

/// COPY as it is written. Tokens are told by their place in the statement.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) source: Source,
    pub(super) direction: Direction,
    /// STDIN or STDOUT, and no file or program.
    pub(super) over_the_wire: bool,
    pub(super) options: Options,
    /// The tokens behind WHERE.
    pub(super) condition: Option<Range<usize>>,
}

/// What is copied.
#[derive(Debug)]
pub(super) enum Source {
    /// A relation.
    Relation {
        /// The parts of its name.
        parts: Vec<String>,
        /// The token of the name's last part.
        at: usize,
        /// The column list: names and tokens.
        columns: Option<Vec<(String, usize)>>,
    },
    /// The tokens of a query.
    Query(Range<usize>),
}

/// The options that say what the data looks like, as far as they are given.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) format: Option<String>,
    pub(super) delimiter: Option<String>,
    pub(super) null: Option<String>,
    pub(super) default: Option<String>,
    pub(super) header: Option<String>,
    pub(super) quote: Option<String>,
    pub(super) escape: Option<String>,
    pub(super) encoding: Option<String>,
    pub(super) on_error: Option<String>,
    pub(super) force_quote: Names,
    pub(super) force_not_null: Names,
    pub(super) force_null: Names,
}

/// Columns that an option names.
#[derive(Debug, Default)]
pub(super) enum Names {
    #[default]
    None,
    All,
    These(Vec<String>),
}

/// The token at which a statement is no COPY that is understood, and what stands there.
#[derive(Debug)]
pub(super) struct NotUnderstood {
    pub(super) at: usize,
    pub(super) construct: String,
}

/// Reads the tokens of a COPY.
pub(super) fn read(text: &str, lexemes: &[Lexeme]) -> Result<Written, NotUnderstood> {
    Words { text, lexemes, at: 1 }.copy()
}

struct Words<'a> {
    text: &'a str,
    lexemes: &'a [Lexeme],
    at: usize,
}

impl Words<'_> {
    fn copy(mut self) -> Result<Written, NotUnderstood> {
        let mut options = Options::default();
        let source = if self.take_symbol(b'(') {
            let start = self.at;
            self.skip_to_closing()?;
            Source::Query(start..self.at - 1)
        } else {
            if self.take_word("binary") {
                options.format = Some("binary".to_owned());
            }
            self.relation()?
        };
        let direction = match () {
            () if self.take_word("from") => Direction::In,
            () if self.take_word("to") => Direction::Out,
            () => return Err(self.stuck()),
        };
        // PostgreSQL takes either word for either direction.
        let over_the_wire = self.take_word("stdin") || self.take_word("stdout");
        if !over_the_wire {
            self.take_word("program");
            self.string()?;
        }
        // A leftover of ages past: COPY ... [ USING ] DELIMITERS 'x'.
        let using = self.take_word("using");
        if self.take_word("delimiters") {
            options.delimiter = Some(self.string()?);
        } else if using {
            return Err(self.stuck());
        }
        self.take_word("with");
        if self.take_symbol(b'(') {
            self.generic_options(&mut options)?;
        } else {
            while self.peek().is_some() && !self.is_word("where") {
                self.old_option(&mut options)?;
            }
        }
        let condition = self.take_word("where").then_some(self.at..self.lexemes.len());
        if condition.is_none() && self.peek().is_some() {
            return Err(self.stuck());
        }
        Ok(Written { source, direction, over_the_wire, options, condition })
    }

    fn relation(&mut self) -> Result<Source, NotUnderstood> {
        let mut parts = vec![self.identifier()?];
        while self.take_symbol(b'.') {
            parts.push(self.identifier()?);
        }
        let at = self.at - 1;
        let mut columns = None;
        if self.take_symbol(b'(') {
            let mut list = Vec::new();
            loop {
                list.push((self.identifier()?, self.at - 1));
                if self.take_symbol(b')') {
                    break;
                }
                self.symbol(b',')?;
            }
            columns = Some(list);
        }
        Ok(Source::Relation { parts, at, columns })
    }

    /// `( name [ value ], ... )`, the syntax since 9.0; its parenthesis is open.
    fn generic_options(&mut self, options: &mut Options) -> Result<(), NotUnderstood> {
        loop {
            let at = self.at;
            let name = self.identifier()?;
            let given = self.argument()?;
            let text = |given: Argument| given.text().ok_or_else(|| not_understood(at, &name));
            match name.as_str() {
                "format" => options.format = Some(text(given)?),
                "delimiter" => options.delimiter = Some(text(given)?),
                "null" => options.null = Some(text(given)?),
                "default" => options.default = Some(text(given)?),
                "header" => options.header = Some(given.text().unwrap_or_else(|| "true".to_owned())),
                "quote" => options.quote = Some(text(given)?),
                "escape" => options.escape = Some(text(given)?),
                "encoding" => options.encoding = Some(text(given)?),
                "on_error" => options.on_error = Some(text(given)?),
                "force_quote" => options.force_quote = given.names(),
                "force_not_null" => options.force_not_null = given.names(),
                "force_null" => options.force_null = given.names(),
                // What it is worth is between the client and the server.
                "freeze" | "log_verbosity" | "reject_limit" => {}
                _ => return Err(not_understood(at, &name)),
            }
            if self.take_symbol(b')') {
                return Ok(());
            }
            self.symbol(b',')?;
        }
    }

    fn argument(&mut self) -> Result<Argument, NotUnderstood> {
        let Some(lexeme) = self.peek() else { return Err(self.stuck()) };
        Ok(match lexeme.kind {
            LexemeKind::Symbol(b',' | b')') => Argument::Nothing,
            LexemeKind::Symbol(b'*') => {
                self.at += 1;
                Argument::Star
            }
            LexemeKind::Symbol(b'(') => {
                self.at += 1;
                let mut list = Vec::new();
                loop {
                    list.push(self.text()?);
                    if self.take_symbol(b')') {
                        break;
                    }
                    self.symbol(b',')?;
                }
                Argument::List(list)
            }
            _ => Argument::Text(self.text()?),
        })
    }

    /// An option of the syntax before 9.0, which has no parentheses.
    fn old_option(&mut self, options: &mut Options) -> Result<(), NotUnderstood> {
        let at = self.at;
        match self.identifier()?.as_str() {
            "binary" => options.format = Some("binary".to_owned()),
            "csv" => options.format = Some("csv".to_owned()),
            "header" => options.header = Some("true".to_owned()),
            "freeze" => {}
            "delimiter" => options.delimiter = Some(self.as_string()?),
            "null" => options.null = Some(self.as_string()?),
            "quote" => options.quote = Some(self.as_string()?),
            "escape" => options.escape = Some(self.as_string()?),
            "encoding" => options.encoding = Some(self.string()?),
            "force" if self.take_word("quote") => options.force_quote = self.column_list()?,
            "force" if self.take_word("null") => options.force_null = self.column_list()?,
            "force" if self.take_word("not") => {
                if !self.take_word("null") {
                    return Err(self.stuck());
                }
                options.force_not_null = self.column_list()?;
            }
            _ => {
                self.at = at;
                return Err(self.stuck());
            }
        }
        Ok(())
    }

    fn column_list(&mut self) -> Result<Names, NotUnderstood> {
        if self.take_symbol(b'*') {
            return Ok(Names::All);
        }
        let mut list = vec![self.identifier()?];
        while self.take_symbol(b',') {
            list.push(self.identifier()?);
        }
        Ok(Names::These(list))
    }

    fn as_string(&mut self) -> Result<String, NotUnderstood> {
        self.take_word("as");
        self.string()
    }

    /// A word, a string or a number, as the server reads an option's value.
    fn text(&mut self) -> Result<String, NotUnderstood> {
        let Some(lexeme) = self.peek() else { return Err(self.stuck()) };
        match lexeme.kind {
            LexemeKind::String(_) => self.string(),
            LexemeKind::Integer | LexemeKind::Numeric => {
                self.at += 1;
                Ok(lexeme.text(self.text).to_owned())
            }
            _ => self.identifier(),
        }
    }

    fn string(&mut self) -> Result<String, NotUnderstood> {
        let value = self.peek().and_then(|lexeme| lex::string_value(&lexeme, self.text));
        self.taken(value)
    }

    fn identifier(&mut self) -> Result<String, NotUnderstood> {
        let lexeme = self.peek().filter(Lexeme::is_identifier);
        let value = lexeme.and_then(|lexeme| lex::identifier(&lexeme, self.text));
        self.taken(value)
    }

    fn taken<T>(&mut self, value: Option<T>) -> Result<T, NotUnderstood> {
        let value = value.ok_or_else(|| self.stuck())?;
        self.at += 1;
        Ok(value)
    }

    fn symbol(&mut self, symbol: u8) -> Result<(), NotUnderstood> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.stuck()) }
    }

    fn take_symbol(&mut self, symbol: u8) -> bool {
        let found = self.peek().is_some_and(|lexeme| lexeme.is_symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn is_word(&self, word: &str) -> bool {
        self.peek().is_some_and(|lexeme| lexeme.is_word(self.text, word))
    }

    fn peek(&self) -> Option<Lexeme> {
        self.lexemes.get(self.at).copied()
    }

    /// Goes behind the parenthesis that closes the one just taken.
    fn skip_to_closing(&mut self) -> Result<(), NotUnderstood> {
        let mut depth = 1;
        while depth > 0 {
            let Some(lexeme) = self.peek() else { return Err(self.stuck()) };
            match lexeme.kind {
                LexemeKind::Symbol(b'(') => depth += 1,
                LexemeKind::Symbol(b')') => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Ok(())
    }

    fn stuck(&self) -> NotUnderstood {
        let construct = match self.peek() {
            // A string is a value, and none of anybody's business.
            Some(lexeme) if !lexeme.is_value() => format!("{} in COPY", lexeme.text(self.text)),
            _ => "this form of COPY".to_owned(),
        };
        NotUnderstood { at: self.at, construct }
    }
}

fn not_understood(at: usize, name: &str) -> NotUnderstood {
    NotUnderstood { at, construct: format!("option {name} of COPY") }
}

/// The value of an option in parentheses.
enum Argument {
    Nothing,
    Text(String),
    Star,
    List(Vec<String>),
}

impl Argument {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Star | Self::List(_) => None,
        }
    }

    /// The server refuses what is neither `*` nor a list.
    fn names(self) -> Names {
        match self {
            Self::Star => Names::All,
            Self::List(list) => Names::These(list),
            Self::Nothing | Self::Text(_) => Names::None,
        }
    }
}

impl Names {
    pub(super) fn contains(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::These(names) => names.iter().any(|listed| listed == name),
        }
    }
}
