//! One statement to its verdict.

use std::collections::BTreeMap;

use sqlparser::ast;

use super::definition::MADE_HERE;
use super::names::is_execute;
use super::{Before, Carried, Made, OnePlan, made, shown};
use crate::catalog::Class;
use crate::datum::Oid;
use crate::sql::analysis::Analyzer;
use crate::sql::edits::{Constants, output_value};
use crate::sql::kinds::{self, StatementHead, StatementKind};
use crate::sql::lex::{self, Lexeme, LexemeKind, ParseProblem, Parsed};
use crate::sql::names::{Behind, Meaning, Names as _};
use crate::sql::refusal::{Reason, Refusal};
use crate::sql::scan;
use crate::sql::scope::{Columns, Env};
use crate::sql::{Context, Edit, Output, OutputValue, Parameter};

/// One statement.
pub(super) struct One<'a> {
    pub(super) text: &'a str,
    pub(super) lexemes: &'a [Lexeme],
    /// The types that the client declared for the first parameters.
    pub(super) declared: &'a [Oid],
    pub(super) cx: &'a Context<'a>,
    pub(super) before: &'a Before,
}

impl One<'_> {
    pub(super) fn verdict(&self) -> Result<Carried, Refusal> {
        let head = kinds::classify(self.text, self.lexemes);
        let mut carried = self.judged(&head)?;
        carried.name = carried.name.or_else(|| self.taken_name(&head));
        // What is defined, and how data is copied, depends on what is written in ways of its own.
        if matches!(head.kind, StatementKind::Definition | StatementKind::Copy) {
            carried.free.clear();
        }
        let defines = carried.plan.is_some() || matches!(carried.made, Made::Schema(_));
        let schema = self.cx.schema;
        let moving = schema.moving().or_else(|| schema.changing());
        if let (StatementKind::Definition, true, Some(column)) = (head.kind, defines, moving) {
            let column = column.clone();
            return Err(Refusal::new(
                Reason::Moving { column },
                self.lexemes.first().map(|first| first.start),
            ));
        }
        Ok(carried)
    }

    /// The session's names as they are when this statement is carried out.
    pub(super) fn names(&self) -> Behind<'_> {
        Behind { names: self.cx.names, changes: &self.before.names }
    }

    /// Refuses what stands behind a statement that may have changed what its names mean.
    pub(super) fn behind(&self, name: String) -> Refusal {
        let construct = "a statement behind one that changes what names mean, in the same text,".to_owned();
        let start = self.lexemes.first().map(|lexeme| lexeme.start);
        Refusal::new(Reason::NotUnderstood { construct, name }, start)
    }

    /// Refuses what the server would refuse as well. Behind other statements the error must not be the server's own:
    /// it would let what they did stand, and nothing of a refused text is carried out.
    pub(super) fn fails(&self, reason: Reason, at: Option<usize>) -> Refusal {
        match &reason {
            Reason::UndefinedStatement { name } | Reason::WrongArguments { name, .. } if self.before.any => {
                let construct = "what fails behind another statement of the same text".to_owned();
                let at = self.lexemes.first().map(|lexeme| lexeme.start);
                Refusal::new(Reason::NotUnderstood { construct, name: name.clone() }, at)
            }
            _ => Refusal::new(reason, at),
        }
    }

    fn judged(&self, head: &StatementHead) -> Result<Carried, Refusal> {
        use StatementKind as Kind;
        let start = self.lexemes.first().map(|lexeme| lexeme.start);
        if let Some(hit) = scan::names_any(self.text, self.lexemes, &self.before.created) {
            return Err(self.behind(shown(hit.name)));
        }
        match (head.kind, head.inner) {
            (Kind::Execute, _) => return self.execute(0),
            (Kind::Fetch | Kind::Move, _) => return self.fetch(head),
            (Kind::Explain, Some(inner)) if is_execute(self.lexemes.get(inner), self.text) => {
                return Ok(explained(self.execute(inner)?));
            }
            _ => {}
        }
        let names = self.names();
        // What is not there would be refused by the server, with the constants in its log.
        if let Some((name, at)) = head
            .executes
            .and_then(|at| self.lexemes.get(at))
            .and_then(|lexeme| lex::identifier(lexeme, self.text).map(|name| (name, lexeme.start)))
            && self.lexemes.iter().any(Lexeme::is_value)
            && matches!(names.statement(&name), Meaning::Nothing | Meaning::Void)
        {
            return Err(self.fails(Reason::UndefinedStatement { name }, Some(at)));
        }
        if let Some(hit) = scan::names_plan(self.text, self.lexemes, &|name| names.is_protected(name)) {
            return Err(self.kind_refused(shown(hit.name), Some(hit.at)));
        }
        if let Some(refusal) = self.unseats(head) {
            return Err(refusal);
        }
        let hit = scan::names_any(self.text, self.lexemes, self.cx.schema.names());
        let (name, at) = match hit {
            None => return self.named(head, self.unnamed(head)),
            Some(hit) => (shown(hit.name), Some(hit.at)),
        };
        let forward = |effects| Ok(Carried { made: made(head.kind, effects), ..Carried::forward(effects) });
        if head.administrative {
            return forward(head.effects);
        }
        match head.kind {
            // They name no relation, and hold no value of a column.
            Kind::Begin
            | Kind::Commit
            | Kind::Rollback
            | Kind::RollbackTo
            | Kind::Savepoint
            | Kind::Release
            | Kind::PrepareTransaction
            | Kind::CommitPrepared
            | Kind::RollbackPrepared
            | Kind::Set
            | Kind::SetTransaction
            | Kind::Reset
            | Kind::Show
            | Kind::Discard
            | Kind::Deallocate
            | Kind::Close
            | Kind::Listen
            | Kind::Unlisten
            | Kind::Notify
            | Kind::Checkpoint
            | Kind::Execute
            | Kind::Fetch
            | Kind::Move => return forward(head.effects),
            Kind::Do | Kind::Call | Kind::Comment | Kind::Grant | Kind::Maintenance => {
                return Err(self.kind_refused(name, at));
            }
            Kind::Query
            | Kind::Insert
            | Kind::Update
            | Kind::Delete
            | Kind::Merge
            | Kind::Explain
            | Kind::Prepare
            | Kind::Declare
            | Kind::Copy
            | Kind::Definition
            | Kind::Other => {}
        }
        if !self.cx.utf8 {
            return Err(Refusal::new(Reason::Encoding, start));
        }
        if self.before.names_changed {
            return Err(self.behind(name));
        }
        match head.kind {
            Kind::Definition => self.definition(head, name, at),
            Kind::Copy => self.copy(head, name, at),
            Kind::Explain => {
                let inner = head.inner.and_then(|inner| self.lexemes.get(inner..)).unwrap_or_default();
                Ok(explained(self.typed(inner, name, at, self.declared)?))
            }
            Kind::Prepare | Kind::Declare => {
                let inner = head.inner.and_then(|inner| self.lexemes.get(inner..)).unwrap_or_default();
                let declared = self.given_types(head);
                self.named(head, self.typed(inner, name, at, &declared)?)
            }
            _ => self.typed(self.lexemes, name, at, self.declared),
        }
    }

    /// The statement inside one that gives it a name.
    fn named(&self, head: &StatementHead, inner: Carried) -> Result<Carried, Refusal> {
        match head.kind {
            StatementKind::Prepare => self.prepare(head, inner),
            StatementKind::Declare => self.declare(head, inner),
            _ => Ok(inner),
        }
    }

    /// A statement that names nothing protected: it is forwarded, and the question is what else it does.
    fn unnamed(&self, head: &StatementHead) -> Carried {
        use StatementKind as Kind;
        let inner = match head.kind {
            Kind::Query | Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge => Some(self.lexemes),
            Kind::Explain | Kind::Prepare | Kind::Declare => {
                head.inner.and_then(|inner| self.lexemes.get(inner..))
            }
            _ => None,
        };
        let Some(Ok(parsed)) = inner.map(|inner| lex::parse(self.text, inner)) else {
            let unresolved = inner.is_some() || (head.kind == Kind::Copy && !self.copies_known());
            let moves = match head.kind {
                // Nothing that it makes has a protected name; a schema or an extension may hold one.
                Kind::Definition => self.lexemes.get(1).is_some_and(|lexeme| {
                    lexeme.is_word(self.text, "schema") || lexeme.is_word(self.text, "extension")
                }),
                _ => head.effects.moves(),
            };
            let made = match head.kind {
                Kind::Rollback | Kind::RollbackTo => Made::Undone,
                _ if moves => Made::Names,
                _ => Made::Nothing,
            };
            let looked_up = inner.is_some() || matches!(head.kind, Kind::Copy | Kind::Call | Kind::Do);
            return Carried { unresolved, looked_up, made, ..Carried::forward(head.effects) };
        };
        let Walked { analyzer, .. } = walk(self.text, &parsed, self.declared, self.cx);
        let unresolved = analyzer.unresolved || analyzer.obstacle.is_some();
        let free = analyzer.free_literals();
        let Analyzer { effects, looked_up, .. } = analyzer;
        Carried { unresolved, looked_up, made: made(head.kind, effects), free, ..Carried::forward(effects) }
    }

    /// A statement whose relations are looked up and whose expressions are typed.
    fn typed(
        &self,
        lexemes: &[Lexeme],
        name: String,
        at: Option<usize>,
        declared: &[Oid],
    ) -> Result<Carried, Refusal> {
        self.typed_with_names(lexemes, name, at, declared).map(|(carried, _)| carried)
    }

    /// The same with the names of the result's columns.
    pub(super) fn typed_with_names(
        &self,
        lexemes: &[Lexeme],
        name: String,
        at: Option<usize>,
        declared: &[Oid],
    ) -> Result<(Carried, Vec<String>), Refusal> {
        let parsed = self.parse(lexemes, &name, at)?;
        let Walked { mut analyzer, columns, read_only } = walk(self.text, &parsed, declared, self.cx);
        self.refuse_runner(&analyzer, lexemes)?;
        let mut constants = analyzer.finish_constants();
        analyzer.hide_null_tests(&mut constants);
        for number in analyzer.parameters.keys() {
            constants.parameters.entry(*number).or_insert(Parameter::Plain);
        }
        let names = columns.iter().flat_map(|columns| &columns.list).map(|column| column.name.clone());
        let names = names.collect();
        Ok((self.carried(analyzer, constants, columns, read_only, name)?, names))
    }

    /// Refuses a call of a function that may run a text which names something protected.
    pub(super) fn refuse_runner(&self, analyzer: &Analyzer<'_>, lexemes: &[Lexeme]) -> Result<(), Refusal> {
        match (analyzer.runner.clone(), self.names_in_statement(lexemes)) {
            (Some(name), Some(at)) => Err(Refusal::new(Reason::ReachingFunction { name }, Some(at))),
            _ => Ok(()),
        }
    }

    /// Where a string stands that is a statement itself and names something protected.
    fn names_in_statement(&self, lexemes: &[Lexeme]) -> Option<usize> {
        let runs = |lexeme: &Lexeme| {
            let content = match lexeme.kind {
                LexemeKind::String(_) => lex::string_value(lexeme, self.text)?,
                _ => return None,
            };
            let inside = lex::tokenize(&content).ok()?;
            let head = kinds::classify(&content, &inside);
            let is_statement = head.kind != StatementKind::Other && inside.len() > 2;
            (is_statement && scan::names_any(&content, &inside, self.cx.schema.names()).is_some())
                .then_some(lexeme.start)
        };
        lexemes.iter().find_map(runs)
    }

    pub(super) fn parse(&self, lexemes: &[Lexeme], name: &str, at: Option<usize>) -> Result<Parsed, Refusal> {
        lex::parse(self.text, lexemes).map_err(|problem| match problem {
            ParseProblem::TooManyTokens | ParseProblem::TooDeep => Refusal::new(Reason::TooComplex, at),
            ParseProblem::Literal { at } | ParseProblem::NotUnderstood { at } => {
                Refusal::new(Reason::NotParsed { name: name.to_owned() }, Some(at))
            }
        })
    }

    pub(super) fn carried(
        &self,
        mut analyzer: Analyzer<'_>,
        Constants { mut edits, parameters }: Constants,
        columns: Option<Columns>,
        read_only: bool,
        name: String,
    ) -> Result<Carried, Refusal> {
        // Where nothing protected was found, a column that does not exist is a sign of a misread statement: a key
        // word that the parser took for a name (`SELECT a = 'b' AND FROM users`, where AND is an alias).
        if let Some(refusal) = analyzer.refusal.take() {
            return Err(refusal);
        }
        if let Some(mut obstacle) = analyzer.obstacle.take() {
            if let Reason::NotUnderstood { name: named, .. } = &mut *obstacle.reason {
                *named = analyzer.protected.clone().unwrap_or(name);
            }
            return Err(obstacle);
        }
        let free = analyzer.free_literals();
        let Analyzer { unresolved, looked_up, effects, protected, edits: names, .. } = &analyzer;
        if protected.is_none() && names.is_empty() {
            let made = if effects.moves() { Made::Names } else { Made::Nothing };
            let (unresolved, looked_up) = (*unresolved, *looked_up);
            return Ok(Carried { unresolved, looked_up, made, free, ..Carried::forward(*effects) });
        }
        edits.extend(names.iter().cloned());
        let outputs = match columns {
            None => None,
            Some(columns) => self.outputs(&analyzer, &columns, &name)?,
        };
        if effects.settings
            && let Some(class) = sealed_classes(&edits, &parameters, outputs.as_deref())
                .find(|class| class.ty.depends_on_settings())
        {
            let construct =
                "a function that may change settings, beside a type whose form they give,".to_owned();
            return Err(Refusal::new(
                Reason::NotUnderstood { construct, name: class.column.to_string() },
                analyzer.at,
            ));
        }
        Ok(Carried {
            effects: *effects,
            unresolved: *unresolved,
            looked_up: *looked_up,
            made: if effects.moves() { Made::Names } else { Made::Nothing },
            plan: Some(OnePlan {
                edits,
                parameters,
                outputs,
                copy: None,
                read_only: read_only && !analyzer.changes,
                locks: analyzer.locks(),
            }),
            name: None,
            free,
        })
    }

    fn outputs(
        &self,
        analyzer: &Analyzer<'_>,
        columns: &Columns,
        name: &str,
    ) -> Result<Option<Vec<Output>>, Refusal> {
        let not_understood = |construct: &str| {
            let construct = construct.to_owned();
            Refusal::new(Reason::NotUnderstood { construct, name: name.to_owned() }, analyzer.at)
        };
        let mut outputs = Vec::with_capacity(columns.list.len());
        for column in &columns.list {
            let ty = analyzer.output_type(&column.ty).map_err(|reason| Refusal::new(reason, analyzer.at))?;
            let value = output_value(&ty).ok_or_else(|| not_understood("an array of arrays"))?;
            // The server will say that it comes from an object id which nobody knows yet.
            if column.origin.is_some_and(|(relation, _)| relation == MADE_HERE) {
                return Err(not_understood("a result of a table that is made in the same text"));
            }
            outputs.push(Output { value, origin: column.origin });
        }
        let sealed = outputs.iter().any(|output| !matches!(output.value, OutputValue::Plain));
        match (columns.complete, sealed) {
            (true, _) => Ok(Some(outputs)),
            (false, false) => Ok(None),
            (false, true) => Err(not_understood("* over a relation whose columns are not known")),
        }
    }

    pub(super) fn kind_refused(&self, name: String, at: Option<usize>) -> Refusal {
        let words = self.lexemes.iter().take(2).map(|lexeme| lexeme.text(self.text));
        let words: Vec<_> = words.filter(|word| word.bytes().all(|b| b.is_ascii_alphabetic())).collect();
        let is_pair = words.first().is_some_and(|word| {
            ["create", "alter", "drop", "comment", "refresh"]
                .iter()
                .any(|first| first.eq_ignore_ascii_case(word))
        });
        let kind = words.iter().take(if is_pair { 2 } else { 1 }).map(|word| word.to_uppercase());
        Refusal::new(Reason::Kind { kind: kind.collect::<Vec<_>>().join(" "), name }, at)
    }
}

/// What a statement seals and opens.
fn sealed_classes<'a>(
    edits: &'a [Edit],
    parameters: &'a BTreeMap<usize, Parameter>,
    outputs: Option<&'a [Output]>,
) -> impl Iterator<Item = &'a Class> {
    let literals = edits.iter().filter_map(|edit| edit.replacement.usage());
    let usages = literals.chain(parameters.values().filter_map(Parameter::usage));
    let opened = outputs.unwrap_or_default().iter().filter_map(|output| match &output.value {
        OutputValue::Plain => None,
        OutputValue::Sealed(class) | OutputValue::SealedArray(class) => Some(&**class),
    });
    usages.map(|usage| &*usage.class).chain(opened)
}

/// What EXPLAIN makes of a statement: rows of its own.
fn explained(mut carried: Carried) -> Carried {
    if let Some(plan) = &mut carried.plan {
        (plan.outputs, plan.read_only) = (None, false);
    }
    carried
}

/// A statement's analysis when the walk is over.
pub(super) struct Walked<'a> {
    pub(super) analyzer: Analyzer<'a>,
    /// Its output; `None` if it is no statement that is typed.
    pub(super) columns: Option<Columns>,
    pub(super) read_only: bool,
}

pub(super) fn walk<'a>(
    text: &'a str,
    parsed: &'a Parsed,
    declared: &'a [Oid],
    cx: &Context<'a>,
) -> Walked<'a> {
    let mut analyzer = Analyzer::new(text, parsed, cx.schema, cx.search_path);
    analyzer.declared = declared;
    let (columns, read_only) = lex::with_stack(parsed.depth(), || match &parsed.statement {
        ast::Statement::Query(query) => {
            let columns = analyzer.query(query, &Env::default());
            (Some(columns), true)
        }
        statement => match analyzer.modification(statement, &Env::default()) {
            Some(columns) => (Some(columns), false),
            None => {
                analyzer.not_understood("this statement");
                (None, false)
            }
        },
    });
    analyzer.finish_literals();
    Walked { analyzer, columns, read_only }
}
