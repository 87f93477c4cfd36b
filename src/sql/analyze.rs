//! From a query text to its verdict.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::{self, CreateIndex, CreateView, Expr, IndexType};

use super::analysis::{Analyzer, Named};
use super::edits::{Constants, output_value};
use super::kinds::{self, StatementHead, StatementKind};
use super::lex::{self, Lexeme, LexemeKind, ParseProblem, Parsed};
use super::refusal::{Reason, Refusal};
use super::scan::{self, ProtectedNames};
use super::scope::{Columns, Ctes, Env};
use super::types::Meeting;
use super::{
    Arrival, Context, Edit, Effects, Output, OutputValue, Parameter, Plan, Statement, Untouched, Verdict,
};

/// What the proxy does with a query text.
///
/// Without a policy every text is forwarded at once. Else a text is forwarded if it is proved to reach nothing
/// protected, rewritten if all that it does to encrypted columns is understood and keeps its meaning over
/// ciphertext, and refused in every other case.
pub fn analyze(text: &str, _arrival: Arrival<'_>, cx: &Context<'_>) -> Verdict {
    if cx.schema.is_empty() {
        return Verdict::Forward(Untouched::by_words(Effects::default()));
    }
    match verdict(text, cx) {
        Ok(verdict) => verdict,
        Err(refusal) => Verdict::Refuse(refusal.located(text)),
    }
}

/// What a text does that is forwarded whatever the catalog holds: transaction control and settings. `None` for
/// every other text.
pub fn without_catalog(text: &str) -> Option<Effects> {
    use StatementKind as Kind;
    let lexemes = lex::tokenize(text).ok()?;
    let plain = lexemes.iter().all(|lexeme| {
        use lex::LexemeKind::{Integer, Numeric, Operator, QuotedWord, String, Symbol, Word};
        match lexeme.kind {
            Word | QuotedWord | Integer | Numeric | Symbol(_) | Operator => true,
            // With standard_conforming_strings off, a backslash would mean something else.
            String(lex::StringForm::Plain) => !text.contains('\\'),
            _ => false,
        }
    });
    if !plain {
        return None;
    }
    let mut effects = Effects::default();
    for range in lex::split(text, &lexemes) {
        let head = kinds::classify(text, lexemes.get(range)?);
        match head.kind {
            Kind::Begin
            | Kind::Commit
            | Kind::Rollback
            | Kind::RollbackTo
            | Kind::Savepoint
            | Kind::Release
            | Kind::SetTransaction
            | Kind::Set
            | Kind::Reset
            | Kind::Show => effects = effects.and(head.effects),
            _ => return None,
        }
    }
    Some(effects)
}

fn verdict(text: &str, cx: &Context<'_>) -> Result<Verdict, Refusal> {
    let lexemes = match lex::tokenize(text) {
        Ok(lexemes) if cx.standard_conforming_strings => lexemes,
        Ok(_) | Err(_) => return raw(text, cx),
    };
    let mut whole = Whole::default();
    for range in lex::split(text, &lexemes) {
        let statement = lexemes.get(range).unwrap_or_default();
        let one = One { text, lexemes: statement, cx, before: &whole.before }.verdict()?;
        whole.add(text, statement, one);
    }
    Ok(whole.verdict())
}

/// A text that cannot be cut into tokens, or not as PostgreSQL would.
fn raw(text: &str, cx: &Context<'_>) -> Result<Verdict, Refusal> {
    let hit = scan::raw_names_any(text, cx.schema.names())
        .or_else(|| scan::raw_names_plan(text, cx.is_protected_plan));
    match hit {
        None => Ok(Verdict::Forward(Untouched { looked_up: true, ..Untouched::by_words(Effects::UNKNOWN) })),
        Some(_) if !cx.standard_conforming_strings => Err(Refusal::new(Reason::Strings, None)),
        Some(hit) => Err(Refusal::new(Reason::NotParsed { name: shown(hit.name) }, Some(hit.at))),
    }
}

/// The statements of a text together.
#[derive(Default)]
struct Whole {
    statements: Vec<Statement>,
    edits: Vec<Edit>,
    parameters: Vec<Parameter>,
    effects: Effects,
    unresolved: bool,
    looked_up: bool,
    rewritten: bool,
    before: Before,
}

/// What the statements before one, in the same text, have done.
#[derive(Default)]
struct Before {
    /// They may have changed what names mean.
    names_changed: bool,
    /// Functions and views that they have made, which may reach what is protected.
    created: ProtectedNames,
}

/// The verdict on one statement that is not refused.
struct Carried {
    effects: Effects,
    unresolved: bool,
    looked_up: bool,
    /// `None` for a statement that is forwarded.
    plan: Option<OnePlan>,
    made: Made,
}

/// What a statement leaves for those behind it in the same text.
#[derive(Default)]
enum Made {
    /// Nothing that matters.
    #[default]
    Nothing,
    /// Names may mean something else.
    Names,
    /// A function or view of this name, which may reach what is protected.
    Reaching(String),
}

struct OnePlan {
    edits: Vec<Edit>,
    parameters: std::collections::BTreeMap<usize, Parameter>,
    outputs: Option<Vec<Output>>,
    read_only: bool,
}

impl Whole {
    fn add(&mut self, text: &str, lexemes: &[Lexeme], one: Carried) {
        let bytes: Range<usize> = match (lexemes.first(), lexemes.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => text.len()..text.len(),
        };
        self.effects = self.effects.and(one.effects);
        self.unresolved |= one.unresolved;
        self.looked_up |= one.looked_up;
        match one.made {
            Made::Nothing => {}
            Made::Names => self.before.names_changed = true,
            Made::Reaching(name) => self.before.created.insert(&name),
        }
        let (outputs, read_only) = match one.plan {
            None => (None, false),
            Some(plan) => {
                self.rewritten = true;
                self.edits.extend(plan.edits);
                for (number, parameter) in plan.parameters {
                    if self.parameters.len() < number {
                        self.parameters.resize(number, Parameter::Plain);
                    }
                    if let Some(slot) = number.checked_sub(1).and_then(|index| self.parameters.get_mut(index))
                    {
                        *slot = parameter;
                    }
                }
                (plan.outputs, plan.read_only)
            }
        };
        self.statements.push(Statement { range: bytes, outputs, read_only });
    }

    fn verdict(mut self) -> Verdict {
        if !self.rewritten {
            let Self { effects, unresolved, looked_up, .. } = self;
            return Verdict::Forward(Untouched { effects, unresolved, looked_up });
        }
        if self.statements.len() > 1 {
            self.statements.iter_mut().for_each(|statement| statement.read_only = false);
        }
        self.edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
        Verdict::Rewrite(Arc::new(Plan {
            statements: self.statements,
            edits: self.edits,
            parameters: self.parameters,
            effects: self.effects,
            unresolved: self.unresolved,
        }))
    }
}

/// One statement.
struct One<'a> {
    text: &'a str,
    lexemes: &'a [Lexeme],
    cx: &'a Context<'a>,
    before: &'a Before,
}

impl One<'_> {
    fn verdict(&self) -> Result<Carried, Refusal> {
        let head = kinds::classify(self.text, self.lexemes);
        let mut carried = self.judged(&head)?;
        // A name is given whatever the statement inside does.
        carried.effects.prepared |= matches!(head.kind, StatementKind::Prepare | StatementKind::Declare);
        Ok(carried)
    }

    fn judged(&self, head: &StatementHead) -> Result<Carried, Refusal> {
        use StatementKind as Kind;
        let start = self.lexemes.first().map(|lexeme| lexeme.start);
        if let Some(hit) = scan::names_plan(self.text, self.lexemes, self.cx.is_protected_plan) {
            return Err(self.kind_refused(shown(hit.name), Some(hit.at)));
        }
        let behind = |name: String| {
            let construct =
                "a statement behind one that changes what names mean, in the same text,".to_owned();
            Err(Refusal::new(Reason::NotUnderstood { construct, name }, start))
        };
        if let Some(hit) = scan::names_any(self.text, self.lexemes, &self.before.created) {
            return behind(shown(hit.name));
        }
        if let Some((name, at)) = self.unseats(head) {
            return Err(self.kind_refused(name, Some(at)));
        }
        let hit = scan::names_any(self.text, self.lexemes, self.cx.schema.names());
        let (name, at) = match hit {
            None => return Ok(self.unnamed(head)),
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
            // The plan that it names is not protected.
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
            return behind(name);
        }
        match head.kind {
            Kind::Definition => self.definition(head, name, at),
            Kind::Copy => self.copy(head, name, at),
            Kind::Explain => {
                let inner = head.inner.and_then(|inner| self.lexemes.get(inner..)).unwrap_or_default();
                let mut carried = self.typed(inner, name, at)?;
                if let Some(plan) = &mut carried.plan {
                    (plan.outputs, plan.read_only) = (None, false);
                }
                Ok(carried)
            }
            Kind::Prepare | Kind::Declare => {
                let inner = head.inner.and_then(|inner| self.lexemes.get(inner..)).unwrap_or_default();
                match self.typed(inner, name.clone(), at)? {
                    carried @ Carried { plan: None, .. } => Ok(carried),
                    Carried { plan: Some(_), .. } => Err(self.kind_refused(name, at)),
                }
            }
            _ => self.typed(self.lexemes, name, at),
        }
    }

    /// The schema that ALTER would rename with the protected relations in it, or the enum type of an encrypted
    /// column whose labels ALTER or DROP would take away.
    fn unseats(&self, head: &StatementHead) -> Option<(String, usize)> {
        if head.kind != StatementKind::Definition {
            return None;
        }
        let word = |at: usize, words: &[&str]| {
            self.lexemes.get(at).is_some_and(|l| words.iter().any(|word| l.is_word(self.text, word)))
        };
        let schema = self.cx.schema;
        let names = self.lexemes.iter().skip(2).filter(|lexeme| lexeme.is_identifier());
        let mut names = names.filter_map(|lexeme| Some((lex::identifier(lexeme, self.text)?, lexeme.start)));
        if word(0, &["alter"]) && word(1, &["schema"]) && word(3, &["rename"]) {
            return names.next().filter(|(name, _)| schema.protects_in(name));
        }
        let adds = self.lexemes.iter().any(|lexeme| lexeme.is_word(self.text, "add"));
        if word(1, &["type"]) && (word(0, &["drop"]) || (word(0, &["alter"]) && !adds)) {
            return names.find(|(name, _)| schema.seals_type(name));
        }
        None
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
                _ => head.effects.search_path,
            };
            let made = if moves { Made::Names } else { Made::Nothing };
            let looked_up = inner.is_some() || matches!(head.kind, Kind::Copy | Kind::Call | Kind::Do);
            return Carried { unresolved, looked_up, made, ..Carried::forward(head.effects) };
        };
        let Walked { analyzer, .. } = walk(self.text, &parsed, self.cx);
        let unresolved = analyzer.unresolved || analyzer.obstacle.is_some();
        let Analyzer { effects, looked_up, .. } = analyzer;
        Carried { unresolved, looked_up, made: made(head.kind, effects), ..Carried::forward(effects) }
    }

    /// Whether the table of COPY is one that the catalog knows.
    fn copies_known(&self) -> bool {
        self.lexemes.get(1).is_some_and(|lexeme| lexeme.is_symbol(b'(')) || self.copied().is_some()
    }

    /// The table of COPY, and whether it is protected.
    fn copied(&self) -> Option<bool> {
        let mut parts = Vec::new();
        let mut at = 1;
        while let Some(lexeme) = self.lexemes.get(at).filter(|lexeme| lexeme.is_identifier()) {
            parts.push(lex::identifier(lexeme, self.text)?);
            if !self.lexemes.get(at + 1).is_some_and(|lexeme| lexeme.is_symbol(b'.')) {
                break;
            }
            at += 2;
        }
        let schema = self.cx.schema;
        let relation = match parts.as_slice() {
            [name] => schema.resolve(name, self.cx.search_path),
            [.., qualifier, name] => {
                schema.relation(&crate::catalog::RelationName::new(qualifier.clone(), name))
            }
            [] => None,
        }?;
        // An unqualified name that is protected elsewhere would have to be sent qualified.
        let ambiguous = parts.len() == 1 && schema.is_protected_name(&relation.name.name);
        Some(relation.is_protected || ambiguous)
    }

    fn copy(&self, head: &StatementHead, name: String, at: Option<usize>) -> Result<Carried, Refusal> {
        match self.copied() {
            Some(false) if head.inner.is_none() => {
                Ok(Carried { looked_up: true, ..Carried::forward(head.effects) })
            }
            _ => Err(self.kind_refused(name, at)),
        }
    }

    /// A statement whose relations are looked up and whose expressions are typed.
    fn typed(&self, lexemes: &[Lexeme], name: String, at: Option<usize>) -> Result<Carried, Refusal> {
        let parsed = self.parse(lexemes, &name, at)?;
        let Walked { mut analyzer, columns, read_only } = walk(self.text, &parsed, self.cx);
        if let (Some(function), Some(at)) = (analyzer.runner.take(), self.names_in_statement(lexemes)) {
            return Err(Refusal::new(Reason::ReachingFunction { name: function }, Some(at)));
        }
        let mut constants = analyzer.finish_constants();
        analyzer.hide_null_tests(&mut constants);
        for number in analyzer.parameters.keys() {
            constants.parameters.entry(*number).or_insert(Parameter::Plain);
        }
        self.carried(analyzer, constants, columns, read_only, name)
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

    fn parse(&self, lexemes: &[Lexeme], name: &str, at: Option<usize>) -> Result<Parsed, Refusal> {
        lex::parse(self.text, lexemes).map_err(|problem| match problem {
            ParseProblem::TooManyTokens | ParseProblem::TooDeep => Refusal::new(Reason::TooComplex, at),
            ParseProblem::Literal { at } | ParseProblem::NotUnderstood { at } => {
                Refusal::new(Reason::NotParsed { name: name.to_owned() }, Some(at))
            }
        })
    }

    fn carried(
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
        let Analyzer { unresolved, looked_up, effects, protected, edits: names, .. } = &analyzer;
        if protected.is_none() && names.is_empty() {
            let made = if effects.search_path { Made::Names } else { Made::Nothing };
            let (unresolved, looked_up) = (*unresolved, *looked_up);
            return Ok(Carried { unresolved, looked_up, made, ..Carried::forward(*effects) });
        }
        edits.extend(names.iter().cloned());
        let outputs = match columns {
            None => None,
            Some(columns) => self.outputs(&analyzer, &columns, &name)?,
        };
        Ok(Carried {
            effects: *effects,
            unresolved: *unresolved,
            looked_up: *looked_up,
            made: if effects.search_path { Made::Names } else { Made::Nothing },
            plan: Some(OnePlan { edits, parameters, outputs, read_only: read_only && !analyzer.changes }),
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
            outputs.push(Output { value, origin: column.origin });
        }
        let sealed = outputs.iter().any(|output| !matches!(output.value, OutputValue::Plain));
        match (columns.complete, sealed) {
            (true, _) => Ok(Some(outputs)),
            (false, false) => Ok(None),
            (false, true) => Err(not_understood("* over a relation whose columns are not known")),
        }
    }

    fn kind_refused(&self, name: String, at: Option<usize>) -> Refusal {
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

    /// CREATE, ALTER and DROP that name something protected.
    fn definition(&self, head: &StatementHead, name: String, at: Option<usize>) -> Result<Carried, Refusal> {
        let word = |at: usize| {
            self.lexemes.get(at).map(|l| l.text(self.text).to_ascii_lowercase()).unwrap_or_default()
        };
        let forward = |made| Ok(Carried { made, ..Carried::forward(head.effects) });
        let (first, mut at_word) = (word(0), 1);
        while matches!(word(at_word).as_str(), "or" | "replace" | "unique") {
            at_word += 1;
        }
        match (first.as_str(), word(at_word).as_str()) {
            // Nothing is left to protect.
            ("drop", _) => forward(Made::Names),
            // Their bodies are the application's own; calls of them are looked at.
            ("create", "function" | "procedure") => match self.last_name(at_word + 1) {
                Some(function) => forward(Made::Reaching(function)),
                None => Err(self.kind_refused(name, at)),
            },
            ("create", "index" | "view") => {
                let parsed = self.parse(self.lexemes, &name, at)?;
                match &parsed.statement {
                    ast::Statement::CreateIndex(index) => self.create_index(&parsed, index, head, name, at),
                    ast::Statement::CreateView(view) => self.create_view(&parsed, view, head, name, at),
                    _ => Err(self.kind_refused(name, at)),
                }
            }
            ("create" | "alter", "table") if self.leaves_protected_alone() => forward(Made::Nothing),
            _ => Err(self.kind_refused(name, at)),
        }
    }

    /// The last part of the name that starts at a token.
    fn last_name(&self, mut at: usize) -> Option<String> {
        while self.lexemes.get(at + 1).is_some_and(|lexeme| lexeme.is_symbol(b'.')) {
            at += 2;
        }
        let lexeme = self.lexemes.get(at).filter(|lexeme| lexeme.is_identifier())?;
        lex::identifier(lexeme, self.text)
    }

    /// CREATE TABLE or ALTER TABLE of a table that is not protected, which names one that is as the target of a
    /// foreign key only, or where it means no relation.
    fn leaves_protected_alone(&self) -> bool {
        let word = |at: usize| match self.lexemes.get(at) {
            Some(lexeme) if lexeme.is_identifier() => lex::identifier(lexeme, self.text).unwrap_or_default(),
            _ => String::new(),
        };
        let mut at = 2;
        while matches!(word(at).as_str(), "if" | "not" | "exists" | "only") {
            at += 1;
        }
        let Some(name) = self.last_name(at) else { return false };
        let takes_over = ["as", "like", "inherits", "inherit", "of", "attach", "detach", "rename", "schema"];
        !self.cx.schema.is_protected_name(&name)
            && !self
                .lexemes
                .iter()
                .any(|lexeme| takes_over.iter().any(|word| lexeme.is_word(self.text, word)))
    }

    fn create_index(
        &self,
        parsed: &Parsed,
        index: &CreateIndex,
        head: &StatementHead,
        name: String,
        at: Option<usize>,
    ) -> Result<Carried, Refusal> {
        let mut analyzer = Analyzer::new(self.text, parsed, self.cx.schema, self.cx.search_path);
        let Named::Relation(relation) = analyzer.named(&index.table_name, &Ctes::default()) else {
            return Err(self.kind_refused(name, at));
        };
        let ordinary = matches!(index.using, None | Some(IndexType::BTree | IndexType::Hash))
            && index.predicate.is_none()
            && index.with.is_empty()
            && index.index_options.is_empty()
            && index.alter_options.is_empty();
        if !relation.is_protected && analyzer.edits.is_empty() {
            return Ok(Carried::forward(head.effects));
        }
        for column in &index.columns {
            let Expr::Identifier(ident) = &column.column.expr else {
                return Err(self.kind_refused(name, at));
            };
            analyzer.look_at(ident);
            let Some(known) = relation.column(&ident.value) else { return Err(self.kind_refused(name, at)) };
            let sealed = !matches!(known.value, OutputValue::Plain);
            if sealed && (!ordinary || column.operator_class.is_some()) {
                return Err(self.kind_refused(name, at));
            }
            analyzer.comparable(&super::analysis::ty_of(&known.value), Meeting::Equality, "CREATE INDEX");
        }
        if !ordinary {
            return Err(self.kind_refused(name, at));
        }
        let constants = Constants { edits: Vec::new(), parameters: Default::default() };
        analyzer.effects = head.effects;
        let carried = self.carried(analyzer, constants, None, false, name)?;
        Ok(Carried { made: Made::Nothing, ..carried })
    }

    fn create_view(
        &self,
        parsed: &Parsed,
        view: &CreateView,
        head: &StatementHead,
        name: String,
        at: Option<usize>,
    ) -> Result<Carried, Refusal> {
        let takes_protected_name = view
            .name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .is_none_or(|ident| self.cx.schema.is_protected_name(&ident.value));
        if view.materialized || takes_protected_name {
            return Err(self.kind_refused(name, at));
        }
        let mut analyzer = Analyzer::new(self.text, parsed, self.cx.schema, self.cx.search_path);
        lex::with_stack(parsed.depth(), || analyzer.query(&view.query, &Env::default()));
        analyzer.finish_literals();
        let constants = analyzer.finish_constants();
        if !constants.edits.is_empty() || !constants.parameters.is_empty() {
            let construct = "a constant for an encrypted column in a view".to_owned();
            return Err(Refusal::new(Reason::NotUnderstood { construct, name }, analyzer.at));
        }
        analyzer.effects = head.effects;
        let mut carried = self.carried(analyzer, constants, None, false, name.clone())?;
        carried.made = match view.name.0.last().and_then(|part| part.as_ident()) {
            Some(ident) => Made::Reaching(ident.value.clone()),
            None => Made::Names,
        };
        Ok(carried)
    }
}

/// A statement's analysis when the walk is over.
struct Walked<'a> {
    analyzer: Analyzer<'a>,
    /// Its output; `None` if it is no statement that is typed.
    columns: Option<Columns>,
    read_only: bool,
}

fn walk<'a>(text: &'a str, parsed: &'a Parsed, cx: &Context<'a>) -> Walked<'a> {
    let mut analyzer = Analyzer::new(text, parsed, cx.schema, cx.search_path);
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

impl Untouched {
    /// A text that names nothing, as its words tell.
    pub(crate) fn by_words(effects: Effects) -> Self {
        Self { effects, unresolved: false, looked_up: false }
    }
}

impl Carried {
    fn forward(effects: Effects) -> Self {
        Self { effects, unresolved: false, looked_up: false, plan: None, made: Made::Nothing }
    }
}

/// What a statement that is no definition leaves behind.
fn made(kind: StatementKind, effects: Effects) -> Made {
    let moves = effects.search_path && kind != StatementKind::Definition;
    if moves { Made::Names } else { Made::Nothing }
}

fn shown(name: Option<String>) -> String {
    name.unwrap_or_else(|| "something that may be a protected relation".to_owned())
}
