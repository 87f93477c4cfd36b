//! Columns and constraints, as CREATE TABLE and ALTER TABLE write them.

use std::ops::Range;

use super::reader::{Name, Reader};
use crate::sql::lex::Lexeme;
use crate::sql::typename::{self, Resolve};

/// An element of CREATE TABLE.
#[derive(Debug)]
pub(super) enum Element {
    Column(ColumnDefinition),
    Constraint(Constraint),
    /// LIKE.
    Like(Like),
}

/// `name type qualities`
#[derive(Debug)]
pub(super) struct ColumnDefinition {
    pub(super) name: String,
    pub(super) token: usize,
    /// The tokens of its type; `None` where a parent says it.
    pub(super) ty: Option<Range<usize>>,
    pub(super) qualities: Vec<Quality>,
    /// The token behind it.
    pub(super) end: usize,
}

/// What stands behind a column's type.
#[derive(Debug)]
pub(super) enum Quality {
    /// DEFAULT: the expression's tokens.
    Default(Range<usize>),
    /// CHECK.
    Check(Range<usize>),
    /// UNIQUE or PRIMARY KEY: where it stands.
    Unique(usize),
    /// GENERATED AS IDENTITY.
    Identity(usize),
    /// GENERATED ALWAYS AS (expression).
    Generated(Range<usize>),
    References(References),
    /// COLLATE with the collation's name.
    Collate(Collation),
    /// What means the same over ciphertext: NOT NULL, DEFERRABLE ...
    Other,
}

/// COLLATE and a name.
#[derive(Clone, Debug)]
pub(super) struct Collation {
    pub(super) tokens: Range<usize>,
    pub(super) name: String,
}

/// The other end of a foreign key.
#[derive(Debug)]
pub(super) struct References {
    pub(super) table: Name,
    /// `None`: the primary key.
    pub(super) columns: Option<Vec<(String, usize)>>,
}

/// A constraint of a table.
#[derive(Debug)]
pub(super) enum Constraint {
    Check(Range<usize>),
    /// UNIQUE or PRIMARY KEY over columns.
    Unique(Vec<(String, usize)>),
    ForeignKey(Vec<(String, usize)>, References),
    Exclude {
        method: Option<String>,
        elements: Vec<(IndexElement, String)>,
        predicate: Option<Range<usize>>,
    },
    /// UNIQUE USING INDEX, NOT NULL.
    Other,
}

/// LIKE table and its options.
#[derive(Debug)]
pub(super) struct Like {
    pub(super) table: Name,
    pub(super) with_defaults: bool,
    pub(super) with_constraints: bool,
    /// The token behind it.
    pub(super) end: usize,
}

/// An element of an index, of EXCLUDE or of PARTITION BY.
#[derive(Debug)]
pub(super) struct IndexElement {
    pub(super) key: IndexKey,
    pub(super) collation: Option<Collation>,
    /// An operator class, with its tokens (its options included).
    pub(super) class: Option<(Name, Range<usize>)>,
}

/// What an [`IndexElement`] is over.
#[derive(Debug)]
pub(super) enum IndexKey {
    Column(String, usize),
    Expression(Range<usize>),
}

/// The elements between the parentheses of CREATE TABLE.
pub(super) fn elements(
    reader: &Reader<'_>,
    inside: Range<usize>,
    is_typed: bool,
    resolve: Resolve<'_>,
) -> Option<Vec<Element>> {
    let reader = reader.inside(inside);
    if reader.is_done() {
        return Some(Vec::new());
    }
    reader.list().into_iter().map(|item| element(reader.inside(item), is_typed, resolve)).collect()
}

fn element(mut reader: Reader<'_>, is_typed: bool, resolve: Resolve<'_>) -> Option<Element> {
    if let Some(constraint) = table_constraint(&mut reader) {
        return reader.is_done().then_some(Element::Constraint(constraint?));
    }
    if reader.take(&["like"]) {
        let table = reader.name()?;
        let (mut with_defaults, mut with_constraints) = (false, false);
        while !reader.is_done() {
            let includes = reader.take(&["including"]);
            if !includes {
                reader.expect(&["excluding"])?;
            }
            if reader.is_one_of(&["all", "defaults"]) {
                with_defaults = includes;
            }
            if reader.is_one_of(&["all", "constraints"]) {
                with_constraints = includes;
            }
            reader.skip()?;
        }
        return Some(Element::Like(Like { table, with_defaults, with_constraints, end: reader.at }));
    }
    let column = column_definition(&mut reader, is_typed, resolve)?;
    reader.is_done().then_some(Element::Column(column))
}

/// A column; one of a partition has no type.
pub(super) fn column_definition(
    reader: &mut Reader<'_>,
    is_typed: bool,
    resolve: Resolve<'_>,
) -> Option<ColumnDefinition> {
    let token = reader.at;
    let name = reader.identifier()?;
    let ty = if is_typed {
        let tokens = type_name(reader, resolve)?;
        loop {
            if reader.take(&["storage"]) || reader.take(&["compression"]) {
                reader.skip()?;
            } else if reader.take(&["options"]) {
                reader.group()?;
            } else {
                break;
            }
        }
        Some(tokens)
    } else {
        reader.take(&["with", "options"]);
        None
    };
    let mut qualities = Vec::new();
    while !reader.is_done() {
        qualities.push(quality(reader)?);
    }
    Some(ColumnDefinition { name, token, ty, qualities, end: reader.at })
}

/// The tokens of a type's name.
pub(super) fn type_name(reader: &mut Reader<'_>, resolve: Resolve<'_>) -> Option<Range<usize>> {
    let ty = typename::read(reader.text, reader.lexemes, reader.at, resolve)?;
    reader.at = ty.tokens.end;
    (reader.at <= reader.end).then_some(ty.tokens)
}

/// Words that end an expression behind DEFAULT, where no operator lets them belong to it.
const ENDS_DEFAULT: [&str; 13] = [
    "check",
    "collate",
    "constraint",
    "default",
    "deferrable",
    "enforced",
    "generated",
    "initially",
    "not",
    "null",
    "primary",
    "references",
    "unique",
];

fn quality(reader: &mut Reader<'_>) -> Option<Quality> {
    let at = reader.at;
    if reader.take(&["constraint"]) {
        reader.identifier()?;
        if reader.is("constraint") {
            return None;
        }
    }
    if reader.take(&["not", "null"]) {
        reader.take(&["no", "inherit"]);
        return Some(Quality::Other);
    }
    if reader.take(&["null"]) || attribute(reader) {
        return Some(Quality::Other);
    }
    if reader.take(&["unique"]) || reader.take(&["primary", "key"]) {
        nulls_distinct(reader);
        index_options(reader)?;
        return Some(Quality::Unique(at));
    }
    if reader.take(&["check"]) {
        let expression = reader.group()?;
        reader.take(&["no", "inherit"]);
        return Some(Quality::Check(expression));
    }
    if reader.take(&["default"]) {
        return default_expression(reader).map(Quality::Default);
    }
    if reader.take(&["generated"]) {
        if !reader.take(&["always"]) {
            reader.expect(&["by", "default"])?;
        }
        reader.expect(&["as"])?;
        if reader.take(&["identity"]) {
            reader.optional_group()?;
            return Some(Quality::Identity(at));
        }
        let expression = reader.group()?;
        reader.take_any(&["stored", "virtual"]);
        return Some(Quality::Generated(expression));
    }
    if reader.take(&["references"]) {
        return references(reader).map(Quality::References);
    }
    collation(reader)?.map(Quality::Collate)
}

/// COLLATE and its name, if it stands here.
pub(super) fn collation(reader: &mut Reader<'_>) -> Option<Option<Collation>> {
    let start = reader.at;
    if !reader.take(&["collate"]) {
        return Some(None);
    }
    let name = reader.name()?;
    let shown = match name.parts.as_slice() {
        [name] => name.clone(),
        [schema, name] if schema == "pg_catalog" => name.clone(),
        parts => parts.join("."),
    };
    Some(Some(Collation { tokens: start..reader.at, name: shown }))
}

/// The expression behind DEFAULT. It holds no boolean operator at its top, so the next quality's word ends it.
fn default_expression(reader: &mut Reader<'_>) -> Option<Range<usize>> {
    let start = reader.at;
    // A NULL here is the value.
    if reader.is_symbol(b'(') {
        reader.group()?;
    } else {
        reader.skip()?;
    }
    loop {
        reader.skip_to(&ENDS_DEFAULT);
        // IS [NOT] NULL does not end it; neither do parts of a qualified name.
        let before = reader.at.checked_sub(1).and_then(|before| reader.lexemes.get(before));
        let belongs =
            before.is_some_and(|before| before.is_word(reader.text, "is") || before.is_symbol(b'.'));
        if !belongs || reader.is_done() {
            return Some(start..reader.at);
        }
        reader.skip()?;
        reader.take(&["null"]);
    }
}

/// DEFERRABLE and what stands with it.
pub(super) fn attribute(reader: &mut Reader<'_>) -> bool {
    [
        &["not", "deferrable"][..],
        &["deferrable"],
        &["initially", "deferred"],
        &["initially", "immediate"],
        &["not", "enforced"],
        &["enforced"],
        &["not", "valid"],
        &["no", "inherit"],
    ]
    .iter()
    .any(|words| reader.take(words))
}

fn nulls_distinct(reader: &mut Reader<'_>) {
    let _ = reader.take(&["nulls", "distinct"]) || reader.take(&["nulls", "not", "distinct"]);
}

/// INCLUDE, WITH and USING INDEX TABLESPACE.
fn index_options(reader: &mut Reader<'_>) -> Option<()> {
    if reader.take(&["include"]) {
        reader.columns()?;
    }
    if reader.take(&["with"]) {
        reader.group()?;
    }
    if reader.take(&["using", "index", "tablespace"]) {
        reader.identifier()?;
    }
    Some(())
}

/// What stands behind REFERENCES.
fn references(reader: &mut Reader<'_>) -> Option<References> {
    let table = reader.name()?;
    let columns = if reader.is_symbol(b'(') { Some(reader.columns()?) } else { None };
    if reader.take(&["match"]) {
        reader.skip()?;
    }
    while reader.take(&["on", "delete"]) || reader.take(&["on", "update"]) {
        let known = reader.take(&["no", "action"])
            || reader.take(&["restrict"])
            || reader.take(&["cascade"])
            || reader.take(&["set", "null"])
            || reader.take(&["set", "default"]);
        known.then_some(())?;
        if reader.is_symbol(b'(') {
            reader.columns()?;
        }
    }
    Some(References { table, columns })
}

/// A constraint of a table; `None` if none begins here, and `Some(None)` if it is not understood.
pub(super) fn table_constraint(reader: &mut Reader<'_>) -> Option<Option<Constraint>> {
    let begins = reader.is_one_of(&["constraint", "check", "unique", "primary", "foreign"])
        || (reader.is("exclude") && (reader.is_ahead(1, "using") || is_open(reader, 1)))
        || (reader.is("not") && reader.is_ahead(1, "null"));
    begins.then(|| constraint(reader))
}

fn is_open(reader: &Reader<'_>, ahead: usize) -> bool {
    reader.lexemes.get(reader.at + ahead).is_some_and(|lexeme| lexeme.is_symbol(b'('))
}

fn constraint(reader: &mut Reader<'_>) -> Option<Constraint> {
    if reader.take(&["constraint"]) {
        reader.identifier()?;
    }
    let found = if reader.take(&["check"]) {
        Constraint::Check(reader.group()?)
    } else if reader.take(&["unique"]) || reader.take(&["primary", "key"]) {
        if reader.take(&["using", "index"]) {
            reader.identifier()?;
            Constraint::Other
        } else {
            nulls_distinct(reader);
            let columns = reader.columns()?;
            index_options(reader)?;
            Constraint::Unique(columns)
        }
    } else if reader.take(&["foreign", "key"]) {
        let columns = reader.columns()?;
        reader.expect(&["references"])?;
        Constraint::ForeignKey(columns, references(reader)?)
    } else if reader.take(&["exclude"]) {
        exclude(reader)?
    } else if reader.take(&["not", "null"]) {
        reader.identifier()?;
        Constraint::Other
    } else {
        return None;
    };
    while attribute(reader) {}
    Some(found)
}

fn exclude(reader: &mut Reader<'_>) -> Option<Constraint> {
    let method = if reader.take(&["using"]) { Some(reader.identifier()?) } else { None };
    let inside = reader.group()?;
    let mut elements = Vec::new();
    for item in reader.inside(inside).list() {
        let mut item = reader.inside(item);
        let element = index_element(&mut item)?;
        item.expect(&["with"])?;
        let rest = item.lexemes.get(item.at..item.end).unwrap_or_default();
        if rest.iter().any(Lexeme::is_value) {
            return None;
        }
        let operator: String = rest.iter().map(|lexeme| lexeme.text(item.text)).collect();
        elements.push((element, operator));
    }
    index_options(reader)?;
    let predicate = if reader.take(&["where"]) { Some(reader.group()?) } else { None };
    Some(Constraint::Exclude { method, elements, predicate })
}

/// A column in parentheses, which PostgreSQL takes for the column.
fn bare_column(mut reader: Reader<'_>) -> Option<IndexKey> {
    if reader.is_symbol(b'(') {
        let inside = reader.group().filter(|_| reader.is_done())?;
        return bare_column(reader.inside(inside));
    }
    let at = reader.at;
    let name = reader.identifier().filter(|_| reader.is_done())?;
    Some(IndexKey::Column(name, at))
}

/// A column, a call, or an expression in parentheses, with its collation and operator class.
pub(super) fn index_element(reader: &mut Reader<'_>) -> Option<IndexElement> {
    let start = reader.at;
    let key = if reader.is_symbol(b'(') {
        let inside = reader.group()?;
        bare_column(reader.inside(inside)).unwrap_or(IndexKey::Expression(start..reader.at))
    } else {
        let name = reader.name()?;
        if reader.is_symbol(b'(') {
            reader.group()?;
            IndexKey::Expression(start..reader.at)
        } else {
            (name.parts.len() == 1).then_some(())?;
            IndexKey::Column(name.last().to_owned(), start)
        }
    };
    let collation = collation(reader)?;
    let is_class = !reader.is_done() && !reader.is_one_of(&["asc", "desc", "nulls", "with"]);
    let class = if is_class {
        let name = reader.name()?;
        reader.optional_group()?;
        let tokens = name.tokens.start..reader.at;
        Some((name, tokens))
    } else {
        None
    };
    reader.take_any(&["asc", "desc"]);
    if reader.take(&["nulls"]) {
        reader.take_any(&["first", "last"]).then_some(())?;
    }
    Some(IndexElement { key, collation, class })
}
