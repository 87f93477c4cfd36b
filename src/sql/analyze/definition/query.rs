//! Relations that a query makes: CREATE TABLE AS, CREATE VIEW and CREATE MATERIALIZED VIEW.

use super::definer::Definer;
use super::reader::{Name, Reader};
use super::table::{self, Head};
use crate::catalog::RelationKind;
use crate::sql::OutputValue;
use crate::sql::Parameter;
use crate::sql::analyze::statement::{One, Walked, walk};
use crate::sql::analyze::{Carried, Made};
use crate::sql::edits::{Constants, output_value};
use crate::sql::kinds::StatementHead;
use crate::sql::refusal::{Reason, Refusal};
use crate::sql::schema::Planned;
use crate::sql::scope::Columns;

/// A query and the relation that it makes.
pub(super) struct Stored<'a> {
    /// Names of its columns, where they are given.
    columns: Vec<(String, usize)>,
    /// The query's tokens.
    query: Reader<'a>,
}

impl<'a> Stored<'a> {
    /// `[(columns)] [options] AS query [WITH ...]`
    pub(super) fn read(mut reader: Reader<'a>) -> Option<Self> {
        let columns = if reader.is_symbol(b'(') { reader.columns()? } else { Vec::new() };
        table::options(&mut reader)?;
        reader.expect(&["as"])?;
        for ending in [&["with", "no", "data"][..], &["with", "data"]] {
            let start = reader.end.saturating_sub(ending.len());
            let mut end = Reader { at: start, ..reader };
            if start > reader.at && end.take(ending) {
                reader.end = start;
                break;
            }
        }
        Some(Self { columns, query: reader })
    }
}

impl One<'_> {
    /// CREATE TABLE AS: a sealed output is stored in a column that the policy says is sealed alike.
    pub(super) fn create_table_as(
        &self,
        mut definer: Definer<'_>,
        head: &Head,
        stored: &Stored<'_>,
        effects: &StatementHead,
    ) -> Result<Carried, Refusal> {
        let token = head.name.token();
        let target = definer.target(head)?;
        let (carried, columns) = self.made_by_query(&definer, stored, effects, false)?;
        let planned = self.cx.schema.planned(&target);
        if !columns.complete && planned.is_some() {
            return definer.not_understood("* over a relation whose columns are not known", token);
        }
        let mut outputs = Vec::new();
        for (position, (name, value)) in columns.outputs.iter().enumerate() {
            let name = stored.columns.get(position).map_or(name, |(name, _)| name);
            let class = match value {
                OutputValue::Plain => None,
                OutputValue::Sealed(class) => Some(&**class),
                OutputValue::SealedArray(class) => {
                    let (column, target) = (class.column.clone(), target.column(name).to_string());
                    return definer.refuse(Reason::StoredInPlain { column, target }, token);
                }
            };
            outputs.push((name.as_str(), class));
        }
        definer.agreed(Planned::disagrees(planned, outputs), &target, token)?;
        let made = if self.cx.schema.is_protected_name(&target.name) { Made::Names } else { Made::Nothing };
        Ok(self.with_edits(carried, definer, made))
    }

    /// CREATE VIEW: its columns are sealed as those of its query.
    pub(super) fn create_view(
        &self,
        mut definer: Definer<'_>,
        mut reader: Reader<'_>,
        effects: &StatementHead,
    ) -> Result<Carried, Refusal> {
        reader.at += 1;
        let replaces = reader.take(&["or", "replace"]);
        let is_temporary = reader.take_any(&["temp", "temporary"]);
        reader.take(&["materialized"]);
        let name = if reader.take(&["view"]) {
            reader.take(&["if", "not", "exists"]);
            reader.name()
        } else {
            None
        };
        let at = reader.at.min(reader.end.saturating_sub(1));
        let Some((name, stored)) = name.and_then(|name| Some((name, Stored::read(without_check(reader))?)))
        else {
            return definer.not_understood("a clause of CREATE VIEW", at);
        };
        self.view_name(&mut definer, &name, replaces, is_temporary)?;
        let (carried, _) = self.made_by_query(&definer, &stored, effects, true)?;
        let made = Made::Reaching(name.last().to_owned());
        Ok(self.with_edits(carried, definer, made))
    }

    /// A view may not take the name of a protected relation, but that of a view which it replaces.
    fn view_name(
        &self,
        definer: &mut Definer<'_>,
        name: &Name,
        replaces: bool,
        is_temporary: bool,
    ) -> Result<(), Refusal> {
        if !self.cx.schema.is_protected_name(name.last()) {
            return Ok(());
        }
        if is_temporary {
            return definer.refuse(Reason::Shadows { name: name.last().to_owned() }, name.token());
        }
        let made = definer.made(name)?;
        definer.shadows_none(&made, name.token())?;
        let existing = self.cx.schema.relation(&made);
        let is_view = existing.as_ref().is_some_and(|relation| relation.kind == RelationKind::View);
        let planned = self.cx.schema.planned(&made).is_some();
        if planned || (existing.is_some() && !(replaces && is_view)) {
            return definer.not_understood("a view of that name", name.token());
        }
        Ok(())
    }

    /// Types the query that makes a relation, and that the database keeps if it `lasts`.
    fn made_by_query(
        &self,
        definer: &Definer<'_>,
        stored: &Stored<'_>,
        head: &StatementHead,
        lasts: bool,
    ) -> Result<(Carried, MadeColumns), Refusal> {
        let Reader { at, end, .. } = stored.query;
        let lexemes = self.lexemes.get(at..end).unwrap_or_default();
        let start = lexemes.first().map(|lexeme| lexeme.start);
        let parsed = self.parse(lexemes, &definer.named, start)?;
        let Walked { mut analyzer, columns, read_only: _ } = walk(self.text, &parsed, self.declared, self.cx);
        self.refuse_runner(&analyzer, lexemes)?;
        let mut constants = analyzer.finish_constants();
        analyzer.hide_null_tests(&mut constants);
        for number in analyzer.parameters.keys() {
            constants.parameters.entry(*number).or_insert(Parameter::Plain);
        }
        if lasts {
            self.lasting(&constants, start)?;
        }
        let columns = columns.unwrap_or_else(Columns::opaque);
        let mut outputs = Vec::new();
        for column in &columns.list {
            let ty = analyzer.output_type(&column.ty).map_err(|reason| Refusal::new(reason, analyzer.at))?;
            match output_value(&ty) {
                Some(value) => outputs.push((column.name.clone(), value)),
                None => return definer.not_understood("an array of arrays", at),
            }
        }
        let sealed = outputs.iter().any(|(_, value)| !matches!(value, OutputValue::Plain));
        if sealed && !columns.complete {
            return definer.not_understood("* over a relation whose columns are not known", at);
        }
        analyzer.effects = head.effects.and(analyzer.effects);
        let complete = columns.complete;
        let carried = self.carried(analyzer, constants, None, false, definer.named.clone())?;
        Ok((carried, MadeColumns { outputs, complete }))
    }

    /// A view's query is kept, and a constant in it is sealed by a key that will be rotated.
    fn lasting(&self, constants: &Constants, at: Option<usize>) -> Result<(), Refusal> {
        let mut edits = constants.edits.iter();
        let sealed = edits.find_map(|edit| Some((edit.replacement.usage()?, edit.range.start)));
        match sealed {
            None if constants.parameters.is_empty() => Ok(()),
            None => {
                let construct = "a parameter in a view".to_owned();
                Err(Refusal::new(Reason::NotUnderstood { construct, name: "it".to_owned() }, at))
            }
            Some((usage, at)) => {
                let (construct, column) = ("a view".to_owned(), usage.class.column.clone());
                Err(Refusal::new(Reason::LastingConstant { construct, column }, Some(at)))
            }
        }
    }
}

/// What a query gives to the relation that it makes.
struct MadeColumns {
    outputs: Vec<(String, OutputValue)>,
    complete: bool,
}

/// The same without WITH CHECK OPTION at its end.
fn without_check(mut reader: Reader<'_>) -> Reader<'_> {
    for ending in [
        &["with", "check", "option"][..],
        &["with", "cascaded", "check", "option"],
        &["with", "local", "check", "option"],
    ] {
        let start = reader.end.saturating_sub(ending.len());
        let mut end = Reader { at: start, ..reader };
        if start > reader.at && end.take(ending) {
            reader.end = start;
            break;
        }
    }
    reader
}
