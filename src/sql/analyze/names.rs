//! PREPARE, EXECUTE, DECLARE, FETCH and what else is about names.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::{self, Expr};

use super::statement::One;
use super::{Carried, Made, OnePlan, made};
use crate::datum::{Oid, element_of};
use crate::sql::analysis::{Analyzer, Constant, ConstantKind};
use crate::sql::edits::{Constants, storage_type};
use crate::sql::kinds::{StatementHead, StatementKind};
use crate::sql::lex::{self, Lexeme, LexemeKind, Number};
use crate::sql::names::{Cursor, Meaning, NameChange, NamedStatement, Names as _};
use crate::sql::refusal::{Reason, Refusal};
use crate::sql::scan;
use crate::sql::scope::Env;
use crate::sql::typename::{self, FLOAT4, FLOAT8, INT2, INT4, INT8, Modifier, NUMERIC, TEXT, TypeName};
use crate::sql::typename::{BOOL, VARCHAR};
use crate::sql::{Edit, Effects, Parameter, Place, Plan, Replacement, Use, Verdict};

impl One<'_> {
    /// What a statement that only takes names away does to them.
    pub(super) fn taken_name(&self, head: &StatementHead) -> Option<NameChange> {
        let name = || head.object.and_then(|at| self.name(at));
        match head.kind {
            StatementKind::Deallocate => Some(NameChange::Deallocated(name())),
            StatementKind::Close => Some(NameChange::Closed(name())),
            StatementKind::Discard if self.lexemes.get(1).is_some_and(|l| l.is_word(self.text, "all")) => {
                Some(NameChange::Discarded)
            }
            _ => None,
        }
    }

    /// The name at a token, as PostgreSQL has it.
    fn name(&self, at: usize) -> Option<String> {
        lex::identifier(self.lexemes.get(at)?, self.text)
    }

    /// The types of parameters that PREPARE gives, or the client.
    pub(super) fn given_types(&self, head: &StatementHead) -> Vec<Oid> {
        match (head.kind, head.object, head.inner) {
            (StatementKind::Prepare, Some(object), Some(start)) => {
                let types = self.parameter_types(object + 1, start);
                types.iter().map(|(_, oid)| oid.unwrap_or(0)).collect()
            }
            _ => self.declared.to_vec(),
        }
    }

    /// PREPARE: the statement inside it under its own text, and its types for the server.
    pub(super) fn prepare(&self, head: &StatementHead, inner: Carried) -> Result<Carried, Refusal> {
        let (Some(object), Some(start)) = (head.object, head.inner) else { return Ok(inner) };
        let (Some(name), Some(bytes)) = (self.name(object), self.bytes_from(start)) else { return Ok(inner) };
        let types = self.parameter_types(object + 1, start);
        let declared = self.given_types(head);
        let (plan, effects, looked_up) = self.named_plan(&bytes, &declared)?;
        let mut carried = Carried { effects: Effects { prepared: true, ..Effects::NONE }, ..inner };
        carried.made = Made::Nothing;
        if let Some(outer) = &mut carried.plan {
            outer.parameters.clear();
            outer.locks.clear();
            outer.edits.extend(self.type_edits(object, &types, plan.as_deref())?);
            (outer.outputs, outer.read_only) = (None, false);
        }
        let text = self.text.get(bytes).unwrap_or_default();
        let statement = NamedStatement { text: Arc::from(text), declared, plan, effects, looked_up };
        carried.name = Some(NameChange::Prepared(name, statement));
        Ok(carried)
    }

    /// DECLARE: the query inside it.
    pub(super) fn declare(&self, head: &StatementHead, inner: Carried) -> Result<Carried, Refusal> {
        let (Some(object), Some(start)) = (head.object, head.inner) else { return Ok(inner) };
        let (Some(name), Some(bytes)) = (self.name(object), self.bytes_from(start)) else { return Ok(inner) };
        let options = self.lexemes.get(object + 1..start).unwrap_or_default();
        let has = |word: &str| options.iter().any(|lexeme| lexeme.is_word(self.text, word));
        let (plan, effects, _) = self.named_plan(&bytes, self.declared)?;
        let mut carried = inner;
        if let Some(outer) = &mut carried.plan {
            (outer.outputs, outer.read_only) = (None, false);
        }
        carried.effects.prepared = true;
        let cursor = Cursor { plan, effects, is_held: has("hold") && has("with"), is_binary: has("binary") };
        carried.name = Some(NameChange::Declared(name, cursor));
        Ok(carried)
    }

    /// The bytes from a token on.
    fn bytes_from(&self, start: usize) -> Option<Range<usize>> {
        Some(self.lexemes.get(start)?.start..self.lexemes.last()?.end)
    }

    /// The verdict on a part of the text by itself.
    fn named_plan(
        &self,
        bytes: &Range<usize>,
        declared: &[Oid],
    ) -> Result<(Option<Arc<Plan>>, Effects, bool), Refusal> {
        match super::verdict(self.text.get(bytes.clone()).unwrap_or_default(), declared, self.cx)? {
            Verdict::Forward(proof) => Ok((None, proof.effects, proof.looked_up)),
            Verdict::Rewrite(plan) => {
                let effects = plan.effects;
                Ok((Some(plan), effects, true))
            }
            Verdict::Refuse(refusal) => Err(refusal),
        }
    }

    /// The types between a name and AS: the tokens of each, and what it is if that can be told.
    fn parameter_types(&self, from: usize, to: usize) -> Vec<(Range<usize>, Option<Oid>)> {
        let mut types = Vec::new();
        if !self.lexemes.get(from).is_some_and(|lexeme| lexeme.is_symbol(b'(')) {
            return types;
        }
        let (mut at, mut depth, mut first) = (from + 1, 0_usize, from + 1);
        while let Some(lexeme) = self.lexemes.get(at).filter(|_| at < to) {
            let closes = lexeme.is_symbol(b')');
            if depth == 0 && (closes || lexeme.is_symbol(b',')) {
                types.push((first..at, self.parameter_type(first, at)));
                first = at + 1;
            }
            if closes && depth == 0 {
                break;
            }
            depth =
                if lexeme.is_symbol(b'(') { depth + 1 } else { depth.saturating_sub(usize::from(closes)) };
            at += 1;
        }
        types
    }

    fn parameter_type(&self, first: usize, end: usize) -> Option<Oid> {
        let resolve = |parts: &[String]| self.cx.schema.type_named(parts, self.cx.search_path);
        let TypeName { tokens, oid, is_array, .. } =
            typename::read(self.text, self.lexemes, first, &resolve)?;
        let oid = oid.filter(|_| tokens.end == end)?;
        if is_array { typename::array_of(oid) } else { Some(oid) }
    }

    /// The types of sealed parameters become those that the server stores.
    fn type_edits(
        &self,
        object: usize,
        types: &[(Range<usize>, Option<Oid>)],
        plan: Option<&Plan>,
    ) -> Result<Vec<Edit>, Refusal> {
        let mut edits = Vec::new();
        let mut added = Vec::new();
        let roles = plan.map_or(&[][..], |plan| &plan.parameters);
        let last =
            roles.iter().rposition(|role| !matches!(role, Parameter::Plain)).map_or(0, |last| last + 1);
        for (index, role) in roles.iter().enumerate().take(last) {
            let stored = match role {
                Parameter::Plain => None,
                Parameter::NullTest(None) if types.get(index).is_none() => None,
                Parameter::NullTest(_) => Some("pg_catalog.text".to_owned()),
                Parameter::Sealed(usage) if usage.class.moving().is_none() => {
                    Some(storage_type(usage.class.storage).to_owned())
                }
                Parameter::Sealed(usage) | Parameter::SealedArray(usage) => {
                    Some(format!("{}[]", storage_type(usage.class.storage)))
                }
            };
            match (types.get(index), stored) {
                (None, stored) => added.push(stored.unwrap_or_else(|| "pg_catalog.unknown".to_owned())),
                (Some(_), None) => {}
                (Some((tokens, oid)), Some(stored)) => {
                    let written = tokens.clone().filter_map(|at| self.lexemes.get(at));
                    let written: Vec<&Lexeme> = written.collect();
                    let (Some(first), Some(end)) = (written.first(), written.last()) else { continue };
                    let (range, shown) = (first.start..end.end, self.text.get(first.start..end.end));
                    let is_unknown = written.len() == 1 && first.is_word(self.text, "unknown");
                    if let (None, false, Some(usage)) = (oid, is_unknown, role.usage()) {
                        let (column, target) =
                            (usage.class.column.clone(), shown.unwrap_or_default().to_owned());
                        return Err(Refusal::new(
                            Reason::CastOfConstant { column, target },
                            Some(range.start),
                        ));
                    }
                    edits.push(Edit { range, replacement: Replacement::Text(stored) });
                }
            }
        }
        if !added.is_empty() {
            let added = added.join(", ");
            let (at, text) = match types.last() {
                Some((tokens, _)) => (self.lexemes.get(tokens.end.saturating_sub(1)), format!(", {added}")),
                None => (self.lexemes.get(object), format!(" ({added})")),
            };
            let at = at.map_or(0, |lexeme| lexeme.end);
            edits.push(Edit { range: at..at, replacement: Replacement::Text(text) });
        }
        Ok(edits)
    }

    /// EXECUTE, of this statement's tokens from `start` on.
    pub(super) fn execute(&self, start: usize) -> Result<Carried, Refusal> {
        let lexemes = self.lexemes.get(start..).unwrap_or_default();
        let at = lexemes.get(1).map(|lexeme| lexeme.start);
        let Some(name) = lexemes.get(1).and_then(|lexeme| lex::identifier(lexeme, self.text)) else {
            return self.execute_named(lexemes, "?", &NamedStatement::unknown());
        };
        match self.names().statement(&name) {
            Meaning::Is(statement) => self.execute_named(lexemes, &name, &statement),
            Meaning::Unknown => self.execute_named(lexemes, &name, &NamedStatement::unknown()),
            // The server would say the same, and write the constants into its log.
            Meaning::Nothing | Meaning::Void if lexemes.iter().any(Lexeme::is_value) => {
                Err(self.fails(Reason::UndefinedStatement { name }, None))
            }
            Meaning::Nothing | Meaning::Void => Ok(Carried::forward(Effects::NONE)),
            Meaning::Changed => Err(Refusal::new(Reason::PlanChanged, at)),
        }
    }

    fn execute_named(
        &self,
        lexemes: &[Lexeme],
        name: &str,
        statement: &NamedStatement,
    ) -> Result<Carried, Refusal> {
        let at = lexemes.first().map(|lexeme| lexeme.start);
        let parsed = match self.parse(lexemes, name, at) {
            Err(_) if statement.plan.is_none() && self.names_nothing(lexemes) => {
                return Ok(Carried { made: Made::Names, ..Carried::forward(Effects::UNKNOWN) });
            }
            parsed => parsed?,
        };
        let not_understood = || Refusal::new(Reason::NotParsed { name: name.to_owned() }, at);
        let ast::Statement::Execute {
            name: Some(_),
            parameters: arguments,
            has_parentheses: _,
            immediate: false,
            into,
            using,
            output: false,
            default: false,
        } = &parsed.statement
        else {
            return Err(not_understood());
        };
        if !into.is_empty() || !using.is_empty() {
            return Err(not_understood());
        }
        let roles = statement.plan.as_ref().map_or(&[][..], |plan| &plan.parameters);
        // PostgreSQL takes no subquery here, but would see its constants before it says so.
        if has_subquery(self.text, lexemes)
            && let arguments = lexemes.get(2..).unwrap_or_default()
            && let Some(hit) = scan::names_any(self.text, arguments, self.cx.schema.names())
        {
            return Err(self.kind_refused(super::shown(hit.name), Some(hit.at)));
        }
        if statement.plan.is_some() {
            if self.before.names_changed {
                return Err(self.behind(name.to_owned()));
            }
            if !self.cx.utf8 {
                return Err(Refusal::new(Reason::Encoding, at));
            }
            let expected = roles.len().max(statement.declared.len());
            if arguments.len() != expected {
                let (name, given) = (name.to_owned(), arguments.len());
                return Err(self.fails(Reason::WrongArguments { name, expected, given }, None));
            }
        }
        let mut analyzer = Analyzer::new(self.text, &parsed, self.cx.schema, self.cx.search_path);
        let mut constants = Constants { edits: Vec::new(), parameters: Default::default() };
        lex::with_stack(parsed.depth(), || {
            for (index, argument) in arguments.iter().enumerate() {
                let declared = statement.declared.get(index).copied().filter(|oid| *oid != 0);
                match roles.get(index) {
                    None | Some(Parameter::Plain) => {
                        analyzer.plain_expr(argument, &Env::default(), "an argument of EXECUTE");
                    }
                    Some(role) => analyzer.argument(argument, role, declared, &mut constants),
                }
            }
        });
        analyzer.finish_literals();
        for number in analyzer.parameters.keys() {
            constants.parameters.entry(*number).or_insert(Parameter::Plain);
        }
        let effects = statement.effects.and(analyzer.effects);
        let looked_up = statement.looked_up || analyzer.looked_up;
        let unresolved = analyzer.unresolved;
        if let Some(refusal) = analyzer.refusal.take().or(analyzer.obstacle.take()) {
            return Err(refusal);
        }
        let made = if effects.moves() { Made::Names } else { Made::Nothing };
        let plan = statement.plan.as_ref().map(|plan| {
            let own = plan.statements.first();
            OnePlan {
                edits: constants.edits,
                parameters: constants.parameters,
                outputs: own.and_then(|own| own.outputs.clone()),
                copy: None,
                read_only: own.is_some_and(|own| own.read_only),
                locks: own.map(|own| own.locks.clone()).unwrap_or_default(),
            }
        });
        Ok(Carried { effects, unresolved, looked_up, plan, made, name: None, free: Vec::new() })
    }

    fn names_nothing(&self, lexemes: &[Lexeme]) -> bool {
        scan::names_any(self.text, lexemes, self.cx.schema.names()).is_none()
    }

    /// FETCH and MOVE.
    pub(super) fn fetch(&self, head: &StatementHead) -> Result<Carried, Refusal> {
        let name = head.object.and_then(|at| self.name(at));
        let unknown = Carried {
            looked_up: true,
            made: made(head.kind, Effects::UNKNOWN),
            ..Carried::forward(Effects::UNKNOWN)
        };
        let Some(name) = name else { return Ok(unknown) };
        match self.names().cursor(&name) {
            Meaning::Unknown => Ok(unknown),
            Meaning::Nothing | Meaning::Void => Ok(Carried::forward(Effects::NONE)),
            Meaning::Changed => Err(Refusal::new(Reason::PlanChanged, None)),
            Meaning::Is(cursor) => {
                let outputs = cursor.plan.as_ref().and_then(|plan| plan.statements.first()?.outputs.clone());
                let gives = outputs.filter(|_| head.kind == StatementKind::Fetch);
                let plan = gives.map(|outputs| OnePlan {
                    edits: Vec::new(),
                    parameters: Default::default(),
                    outputs: Some(outputs),
                    copy: None,
                    read_only: false,
                    locks: Vec::new(),
                });
                let made = made(head.kind, cursor.effects);
                Ok(Carried { plan, made, looked_up: true, ..Carried::forward(cursor.effects) })
            }
        }
    }
}

impl Analyzer<'_> {
    /// An argument of EXECUTE for a parameter that is sealed: PostgreSQL makes it a value of the parameter's type
    /// as by assignment, and the statement takes that as it takes a value that was bound.
    fn argument(&mut self, expr: &Expr, role: &Parameter, declared: Option<Oid>, constants: &mut Constants) {
        let refused = |column| Reason::PlainStored { column };
        let Some(constant) = self.constant_index(expr).and_then(|index| self.constants.get(index)) else {
            match role.usage() {
                Some(usage) => self.refuse(refused(usage.class.column.clone())),
                None => self.not_understood("an argument of EXECUTE that is no constant"),
            }
            return;
        };
        let (kind, tokens, at) = (constant.kind, constant.tokens.clone(), constant.range.start);
        self.at = Some(at);
        let (is_array, usage) = match role {
            Parameter::Plain => return,
            Parameter::NullTest(asked) => {
                // The server is not given the value, so it would not say that it is none of its type.
                let ty = declared.or(*asked).unwrap_or(TEXT);
                let is_taken = matches!(ty, TEXT | VARCHAR)
                    && self.assigns(constant_of(&self.constants, &tokens), TEXT, false);
                if kind != ConstantKind::Null && !is_taken {
                    return self
                        .not_understood("a constant for a parameter that is only asked whether it is NULL");
                }
                let text = match kind {
                    ConstantKind::Null => "NULL".to_owned(),
                    ConstantKind::Parameter(_) => {
                        return self
                            .not_understood("a parameter for one that is only asked whether it is NULL");
                    }
                    ConstantKind::String | ConstantKind::Number | ConstantKind::Bool => "''".to_owned(),
                };
                return self.replace(&tokens, Replacement::Text(text), constants);
            }
            Parameter::Sealed(usage) => (false, usage),
            Parameter::SealedArray(usage) => (true, usage),
        };
        let declared = if is_array { declared.and_then(element_of) } else { declared };
        let source = declared.or(usage.source);
        let target = source.unwrap_or_else(|| usage.class.ty.oid());
        let usage = Use { source, place: Place::Argument, ..usage.clone() };
        let replacement = match kind {
            ConstantKind::Null => Replacement::Text("NULL".to_owned()),
            _ if !self.assigns(constant_of(&self.constants, &tokens), target, is_array) => {
                let shown = typename::name_of(target).unwrap_or("another type").to_owned();
                return self
                    .refuse(Reason::CastOfConstant { column: usage.class.column.clone(), target: shown });
            }
            ConstantKind::Parameter(number) => {
                let role = if is_array { Parameter::SealedArray(usage) } else { Parameter::Sealed(usage) };
                self.parameter(number, role, &mut constants.parameters);
                Replacement::Text(format!("${number}"))
            }
            ConstantKind::String | ConstantKind::Number | ConstantKind::Bool => {
                let Some(constant) = constant_of(&self.constants, &tokens) else { return };
                let value = self.value(constant);
                if is_array {
                    Replacement::SealedArray { usage, value }
                } else {
                    Replacement::Sealed { usage, value }
                }
            }
        };
        self.replace(&tokens, replacement, constants);
    }

    /// Whether the assignment of a constant to a type gives what the type's own input makes of the constant's text.
    fn assigns(&self, constant: Option<&Constant>, target: Oid, is_array: bool) -> bool {
        let Some(constant) = constant else { return false };
        let is_text = |oid: Oid| matches!(oid, TEXT | VARCHAR);
        let casts_to_target = constant.casts.iter().all(|cast| {
            let own = match (cast.target.is_array, is_array) {
                (false, false) | (true, true) => cast.target.oid,
                (true, false) => cast.target.oid.and_then(typename::array_of),
                (false, true) => None,
            };
            cast.target.modifier == Modifier::None
                && own.is_some_and(|own| own == target || (is_text(own) && is_text(target)))
        });
        if !casts_to_target {
            return false;
        }
        match constant.kind {
            ConstantKind::Null | ConstantKind::Parameter(_) => true,
            ConstantKind::String => !constant.is_national(),
            ConstantKind::Bool => target == BOOL && !is_array,
            ConstantKind::Number if is_array => false,
            ConstantKind::Number => {
                let sign = constant.range.start < constant.lexeme.start;
                match lex::number(&constant.lexeme, self.text, sign) {
                    Some(Number::Int4(_) | Number::Int8(_)) => {
                        matches!(target, INT2 | INT4 | INT8 | NUMERIC | FLOAT4 | FLOAT8) || is_text(target)
                    }
                    Some(Number::Numeric(_)) => {
                        matches!(target, NUMERIC | FLOAT4 | FLOAT8) || is_text(target)
                    }
                    None => false,
                }
            }
        }
    }

    fn replace(&mut self, tokens: &Range<usize>, replacement: Replacement, constants: &mut Constants) {
        match self.bytes(tokens) {
            Some(range) => constants.edits.push(Edit { range, replacement }),
            None => self.not_understood("the place of this argument"),
        }
    }
}

fn constant_of<'c>(constants: &'c [Constant], tokens: &Range<usize>) -> Option<&'c Constant> {
    constants.iter().find(|constant| constant.tokens == *tokens)
}

/// Whether a query stands among the arguments.
fn has_subquery(text: &str, lexemes: &[Lexeme]) -> bool {
    let opens = |word: &str| lexemes.iter().any(|lexeme| lexeme.is_word(text, word));
    ["select", "table", "values", "with"].into_iter().any(opens)
}

/// Whether a lexeme is the word EXECUTE.
pub(super) fn is_execute(lexeme: Option<&Lexeme>, text: &str) -> bool {
    lexeme.is_some_and(|lexeme| lexeme.kind == LexemeKind::Word && lexeme.is_word(text, "execute"))
}
