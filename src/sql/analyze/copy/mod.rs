//! COPY: which columns its data has, and what the data looks like.

mod options;

use std::sync::Arc;

use self::options::{NotUnderstood, Options, Source, Written};
use super::statement::One;
use super::{Carried, OnePlan, made};
use crate::catalog::RelationName;
use crate::policy::quote_ident;
use crate::sql::analysis::is_temporary;
use crate::sql::copy::{Copy, CopyColumn, CopyFormat, Direction, Header, LineFormat};
use crate::sql::kinds::{StatementHead, StatementKind};
use crate::sql::lex;
use crate::sql::refusal::{Reason, Refusal};
use crate::sql::scan;
use crate::sql::schema::{Relation, RelationColumn};
use crate::sql::{Edit, Effects, Lock, OutputValue, Replacement};

/// A COPY that names something protected: `name`, at byte `at`.
struct Copying<'a> {
    one: &'a One<'a>,
    written: Written,
    name: String,
    at: Option<usize>,
}

impl One<'_> {
    /// Whether the table of COPY is one that the catalog knows.
    pub(super) fn copies_known(&self) -> bool {
        match options::read(self.text, self.lexemes).map(|written| written.source) {
            Ok(Source::Query(_)) => true,
            Ok(Source::Relation { parts, .. }) => self.copied(&parts).is_some(),
            Err(_) => false,
        }
    }

    /// The relation of that name.
    fn copied(&self, parts: &[String]) -> Option<Arc<Relation>> {
        let schema = self.cx.schema;
        match parts {
            [name] => schema.resolve(name, self.cx.search_path),
            [qualifier, name] if qualifier == "pg_temp" => {
                let own = self.cx.search_path.iter().find(|schema| is_temporary(schema))?;
                schema.relation(&RelationName::new(own.clone(), name))
            }
            [qualifier, name] => schema.relation(&RelationName::new(qualifier.clone(), name)),
            [database, qualifier, name] if database == schema.database() => {
                schema.relation(&RelationName::new(qualifier.clone(), name))
            }
            _ => None,
        }
    }

    pub(super) fn copy(
        &self,
        head: &StatementHead,
        name: String,
        at: Option<usize>,
    ) -> Result<Carried, Refusal> {
        let byte = |token: usize| self.lexemes.get(token).map(|lexeme| lexeme.start);
        let written =
            options::read(self.text, self.lexemes).map_err(|NotUnderstood { at: token, construct }| {
                Refusal::new(Reason::NotUnderstood { construct, name: name.clone() }, byte(token).or(at))
            })?;
        let copying = Copying { one: self, written, name, at };
        match &copying.written.source {
            Source::Query(_) => copying.query(),
            Source::Relation { .. } => copying.relation(head),
        }
    }
}

impl Copying<'_> {
    /// COPY of a relation.
    fn relation(&self, head: &StatementHead) -> Result<Carried, Refusal> {
        let Source::Relation { parts, at, columns } = &self.written.source else {
            return Err(self.not_understood("this form of COPY"));
        };
        let last = self.one.lexemes.get(*at);
        let schema = self.one.cx.schema;
        let relation = self.one.copied(parts).ok_or_else(|| {
            self.refusal(Reason::UndefinedTable { name: parts.join(".") }, last.map(|l| l.start))
        })?;
        self.check_condition(&relation)?;
        let mut edits = Vec::new();
        // What could mean a protected relation elsewhere is sent qualified.
        if let ([name], Some(last)) = (parts.as_slice(), last)
            && schema.is_protected_name(name)
        {
            let schema = &relation.name.schema;
            let schema = if is_temporary(schema) { "pg_temp" } else { schema.as_str() };
            edits.push(insertion(last.start, format!("{}.", quote_ident(schema))));
        }
        let effects = if self.written.condition.is_some() { head.effects } else { Effects::default() };
        let carried = Carried {
            looked_up: true,
            made: made(StatementKind::Copy, effects),
            ..Carried::forward(effects)
        };
        if !relation.is_protected {
            let plan = (!edits.is_empty()).then(|| self.plan(edits, None, &relation));
            return Ok(Carried { plan, ..carried });
        }
        self.check_relation(&relation)?;
        let listed = self.columns(&relation, columns.as_deref())?;
        self.check_defaults(&relation, &listed)?;
        if columns.is_none()
            && let Some(last) = last
        {
            // A column that was added since the catalog was read would shift the others.
            let names: Vec<String> = listed.iter().map(|column| quote_ident(&column.name)).collect();
            edits.push(insertion(last.end, format!(" ({})", names.join(", "))));
        }
        let values = listed.iter().map(|column| (column.name.as_str(), &column.value));
        let copy = self.data(relation.name.name.clone(), values)?;
        Ok(Carried { plan: Some(self.plan(edits, copy, &relation)), ..carried })
    }

    /// COPY of a query.
    fn query(&self) -> Result<Carried, Refusal> {
        let Source::Query(tokens) = &self.written.source else {
            return Err(self.not_understood("this form of COPY"));
        };
        if self.written.direction == Direction::In || self.written.condition.is_some() {
            return Err(self.not_understood("this form of COPY"));
        }
        let inner = self.one.lexemes.get(tokens.clone()).unwrap_or_default();
        let (mut carried, names) = self.one.typed_with_names(inner, self.name.clone(), self.at, &[])?;
        if let Some(plan) = &mut carried.plan {
            self.check_wire()?;
            if let Some(outputs) = plan.outputs.take() {
                let names = names.iter().map(String::as_str).chain(std::iter::repeat(""));
                let values = names.zip(outputs.iter().map(|output| &output.value));
                plan.copy = self.data(String::new(), values)?;
            }
        }
        Ok(carried)
    }

    fn plan(&self, edits: Vec<Edit>, copy: Option<Arc<Copy>>, relation: &Relation) -> OnePlan {
        OnePlan {
            edits,
            parameters: std::collections::BTreeMap::new(),
            outputs: None,
            copy,
            read_only: self.written.direction == Direction::Out,
            locks: relation.changes.iter().copied().map(Lock::Change).collect(),
        }
    }

    /// What stands in the way of the whole relation.
    fn check_relation(&self, relation: &Relation) -> Result<(), Refusal> {
        self.check_wire()?;
        let name = || relation.name.clone();
        if let Some(why) = &relation.blocked {
            return Err(self.refusal(Reason::Blocked { relation: name(), why: why.clone() }, None));
        }
        if self.written.direction == Direction::Out {
            return Ok(());
        }
        match relation.unwritable() {
            Some(why) => Err(self.refusal(Reason::WritesBlocked { relation: name(), why }, None)),
            None => Ok(()),
        }
    }

    /// Files and programs are the server's: what is in them is not sealed and not opened.
    fn check_wire(&self) -> Result<(), Refusal> {
        if self.written.over_the_wire {
            return Ok(());
        }
        let kind = "COPY to or from a file or program of the server".to_owned();
        Err(self.refusal(Reason::Kind { kind, name: self.name.clone() }, None))
    }

    /// WHERE is carried out by the server, on the values as it gets them.
    fn check_condition(&self, relation: &Relation) -> Result<(), Refusal> {
        let Some(tokens) = self.written.condition.clone() else { return Ok(()) };
        let lexemes = self.one.lexemes.get(tokens).unwrap_or_default();
        let names = self.one.cx.schema.names();
        if let Some(hit) = scan::names_any(self.one.text, lexemes, names) {
            let name = hit.name.unwrap_or_else(|| self.name.clone());
            let reason = Reason::NotUnderstood { construct: "WHERE of COPY".to_owned(), name };
            return Err(self.refusal(reason, Some(hit.at)));
        }
        for lexeme in lexemes.iter().filter(|lexeme| lexeme.is_identifier()) {
            let name = lex::identifier(lexeme, self.one.text).unwrap_or_default();
            let class = match relation.column(&name).map(|column| &column.value) {
                Some(OutputValue::Sealed(class) | OutputValue::SealedArray(class)) => class,
                Some(OutputValue::Plain) | None => continue,
            };
            let reason =
                Reason::Construct { construct: "WHERE of COPY".to_owned(), column: class.column.clone() };
            return Err(self.refusal(reason, Some(lexeme.start)));
        }
        Ok(())
    }

    /// The columns that are copied.
    fn columns<'r>(
        &self,
        relation: &'r Relation,
        list: Option<&[(String, usize)]>,
    ) -> Result<Vec<&'r RelationColumn>, Refusal> {
        let Some(list) = list else {
            return Ok(relation.columns.iter().filter(|column| !column.generated).collect());
        };
        let column = |(name, token): &(String, usize)| {
            relation.column(name).ok_or_else(|| {
                let name = format!("\"{name}\" of relation \"{}\"", relation.name.name);
                let at = self.one.lexemes.get(*token).map(|lexeme| lexeme.start);
                self.refusal(Reason::UndefinedColumn { name }, at)
            })
        };
        list.iter().map(column).collect()
    }

    /// Refuses a row that would get a default in plaintext: of a column that is not copied, or whose value is
    /// the DEFAULT marker.
    fn check_defaults(&self, relation: &Relation, listed: &[&RelationColumn]) -> Result<(), Refusal> {
        if self.written.direction == Direction::Out {
            return Ok(());
        }
        let has_marker = self.written.options.default.is_some();
        for column in &relation.columns {
            if let OutputValue::Sealed(class) = &column.value
                && !column.default_is_sealed
                && (has_marker || !listed.iter().any(|listed| listed.number == column.number))
            {
                return Err(self.refusal(Reason::PlainDefault { column: class.column.clone() }, None));
            }
        }
        Ok(())
    }

    /// What the session does with the data: `None` if no column is sealed.
    fn data<'v>(
        &self,
        relation: String,
        values: impl Iterator<Item = (&'v str, &'v OutputValue)>,
    ) -> Result<Option<Arc<Copy>>, Refusal> {
        let Written { direction, options, .. } = &self.written;
        let columns: Vec<CopyColumn> = values
            .map(|(name, value)| CopyColumn {
                force_quote: options.force_quote.contains(name),
                force_not_null: options.force_not_null.contains(name),
                force_null: options.force_null.contains(name),
                ..CopyColumn::new(name, *direction, value)
            })
            .collect();
        if !columns.iter().any(CopyColumn::is_sealed) {
            return Ok(None);
        }
        let copied = self.format(options)?;
        let header = match &copied {
            CopyFormat::Binary => Header::None,
            CopyFormat::Text(_) | CopyFormat::Csv { .. } => self.header(options)?,
        };
        Ok(Some(Arc::new(Copy { direction: *direction, relation, format: copied, header, columns })))
    }

    /// As the server reads the options. What it refuses may be refused here in other words.
    fn format(&self, options: &Options) -> Result<CopyFormat, Refusal> {
        if options.on_error.as_deref().is_some_and(|value| !value.eq_ignore_ascii_case("stop")) {
            return Err(self.not_understood("ON_ERROR other than stop in COPY"));
        }
        if options.encoding.as_deref().is_some_and(|name| !is_utf8(name)) {
            return Err(self.not_understood("ENCODING other than UTF8 in COPY"));
        }
        let is_csv = match options.format.as_deref() {
            None | Some("text") => false,
            Some("csv") => true,
            Some("binary") => return Ok(CopyFormat::Binary),
            Some(_) => return Err(self.not_understood("this FORMAT of COPY")),
        };
        let byte = |given: &Option<String>, default: u8| match given.as_deref().map(str::as_bytes) {
            None => Ok(default),
            Some([byte]) => Ok(*byte),
            Some(_) => Err(self.not_understood("an option of COPY that has not one byte")),
        };
        let null = options.null.clone().unwrap_or_else(|| (if is_csv { "" } else { "\\N" }).to_owned());
        let backslashes = null.bytes().rev().take_while(|byte| *byte == b'\\').count();
        if !is_csv && backslashes % 2 == 1 {
            // What stands behind it would be read as escaped.
            return Err(self.not_understood("a NULL that ends in a backslash in COPY"));
        }
        let lines = LineFormat {
            delimiter: byte(&options.delimiter, if is_csv { b',' } else { b'\t' })?,
            null,
            default: options.default.clone(),
            is_before_18: self.one.cx.schema.server_version() < 180_000,
        };
        if !is_csv {
            return Ok(CopyFormat::Text(lines));
        }
        let quote = byte(&options.quote, b'"')?;
        Ok(CopyFormat::Csv { lines, quote, escape: byte(&options.escape, quote)? })
    }

    fn header(&self, options: &Options) -> Result<Header, Refusal> {
        let Some(header) = &options.header else { return Ok(Header::None) };
        match header.to_ascii_lowercase().as_str() {
            "true" | "on" | "1" => Ok(Header::Line),
            "false" | "off" | "0" => Ok(Header::None),
            "match" => Ok(Header::Match),
            _ => Err(self.not_understood("this HEADER of COPY")),
        }
    }

    fn not_understood(&self, construct: &str) -> Refusal {
        let construct = construct.to_owned();
        self.refusal(Reason::NotUnderstood { construct, name: self.name.clone() }, None)
    }

    fn refusal(&self, reason: Reason, at: Option<usize>) -> Refusal {
        Refusal::new(reason, at.or(self.at))
    }
}

fn insertion(at: usize, text: String) -> Edit {
    Edit { range: at..at, replacement: Replacement::Text(text) }
}

/// Whether an encoding of this name is UTF-8, for `pg_char_to_encoding`.
fn is_utf8(name: &str) -> bool {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    matches!(letters.to_ascii_lowercase().as_str(), "utf8" | "unicode")
}
