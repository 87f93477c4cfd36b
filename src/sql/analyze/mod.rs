//! From a query text to its verdict.

mod copy;
mod definition;
mod names;
mod statement;

use std::ops::Range;
use std::sync::Arc;

use statement::One;

use crate::datum::Oid;
use crate::sql::copy::Copy;
use crate::sql::kinds::{self, StatementKind};
use crate::sql::lex::{self, Lexeme};
use crate::sql::names::NameChange;
use crate::sql::refusal::{Reason, Refusal};
use crate::sql::scan::{self, ProtectedNames};
use crate::sql::schema::Schema;
use crate::sql::{
    Arrival, Context, Digest, Edit, Effects, Lock, Output, Parameter, Plan, Statement, Untouched, Verdict,
};

/// What the proxy does with a query text.
///
/// Without a policy every text is forwarded at once. Else a text is forwarded if it is proved to reach nothing
/// protected, rewritten if all that it does to encrypted columns is understood and keeps its meaning over
/// ciphertext, and refused in every other case.
pub fn analyze(text: &str, arrival: Arrival<'_>, cx: &Context<'_>) -> Verdict {
    if cx.schema.is_empty() {
        return Verdict::Forward(Untouched::by_words(Effects::default()));
    }
    let declared = match arrival {
        Arrival::Query => &[],
        Arrival::Parse { declared } => declared,
    };
    match verdict(text, declared, cx) {
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

fn verdict(text: &str, declared: &[Oid], cx: &Context<'_>) -> Result<Verdict, Refusal> {
    let lexemes = match lex::tokenize(text) {
        Ok(lexemes) if cx.standard_conforming_strings => lexemes,
        Ok(_) | Err(_) => return raw(text, cx),
    };
    let mut whole = Whole::default();
    for range in lex::split(text, &lexemes) {
        let statement = lexemes.get(range).unwrap_or_default();
        let overlaid = whole.before.schema.clone();
        let cx = Context { schema: overlaid.as_deref().unwrap_or(cx.schema), ..*cx };
        let one = One { text, lexemes: statement, declared, cx: &cx, before: &whole.before }.verdict()?;
        whole.add(text, statement, one);
    }
    Ok(whole.verdict())
}

/// A text that cannot be cut into tokens, or not as PostgreSQL would.
fn raw(text: &str, cx: &Context<'_>) -> Result<Verdict, Refusal> {
    let hit = scan::raw_names_any(text, cx.schema.names())
        .or_else(|| scan::raw_names_plan(text, &|name| cx.names.is_protected(name)));
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
    free: Vec<usize>,
}

/// What the statements before one, in the same text, have done.
#[derive(Default)]
struct Before {
    /// There is one: what fails now may not undo what it did.
    any: bool,
    /// They may have changed what names mean.
    names_changed: bool,
    /// What the database is after their definitions of protected tables.
    schema: Option<Arc<Schema>>,
    /// Functions and views that they have made, which may reach what is protected.
    created: ProtectedNames,
    /// Names of prepared statements and cursors that they have given or taken, with their places in the text.
    names: Vec<(usize, NameChange)>,
}

/// The verdict on one statement that is not refused.
struct Carried {
    effects: Effects,
    unresolved: bool,
    looked_up: bool,
    /// `None` for a statement that is forwarded.
    plan: Option<OnePlan>,
    made: Made,
    /// What it does to the names of prepared statements and cursors.
    name: Option<NameChange>,
    /// Where literals start on whose content all this does not depend.
    free: Vec<usize>,
}

/// What a statement leaves for those behind it in the same text.
#[derive(Default)]
enum Made {
    /// Nothing that matters.
    #[default]
    Nothing,
    /// Names or values may mean something else.
    Names,
    /// A function or view of this name, which may reach what is protected.
    Reaching(String),
    /// Protected tables that are made, changed or gone.
    Schema(Box<Schema>),
    /// What earlier statements of the text made may be gone again.
    Undone,
}

struct OnePlan {
    edits: Vec<Edit>,
    parameters: std::collections::BTreeMap<usize, Parameter>,
    outputs: Option<Vec<Output>>,
    copy: Option<Arc<Copy>>,
    read_only: bool,
    locks: Vec<Lock>,
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
            Made::Schema(schema) => self.before.schema = Some(Arc::from(schema)),
            Made::Undone => self.before.names_changed |= self.before.schema.is_some(),
        }
        self.before.any = true;
        self.before.names.extend(one.name.map(|name| (self.statements.len(), name)));
        self.free.extend(one.free);
        let (outputs, copy, read_only, locks) = match one.plan {
            None => (None, None, false, Vec::new()),
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
                (plan.outputs, plan.copy, plan.read_only, plan.locks)
            }
        };
        self.statements.push(Statement { range: bytes, outputs, copy, read_only, locks });
    }

    fn verdict(mut self) -> Verdict {
        // A string may name what an earlier statement has made.
        if !self.before.created.is_empty() || !self.before.names.is_empty() {
            self.free.clear();
        }
        if !self.rewritten {
            let Self { effects, unresolved, looked_up, before, free, .. } = self;
            return Verdict::Forward(Untouched { effects, unresolved, looked_up, names: before.names, free });
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
            names: self.before.names,
            free: self.free,
            digest: Digest::default(),
        }))
    }
}

impl Untouched {
    /// A text that names nothing, as its words tell.
    pub(crate) fn by_words(effects: Effects) -> Self {
        Self { effects, unresolved: false, looked_up: false, names: Vec::new(), free: Vec::new() }
    }
}

impl Carried {
    fn forward(effects: Effects) -> Self {
        Self {
            effects,
            unresolved: false,
            looked_up: false,
            plan: None,
            made: Made::Nothing,
            name: None,
            free: Vec::new(),
        }
    }
}

/// What a statement that is no definition leaves behind.
fn made(kind: StatementKind, effects: Effects) -> Made {
    match kind {
        StatementKind::Definition => Made::Nothing,
        StatementKind::Rollback | StatementKind::RollbackTo => Made::Undone,
        _ if effects.moves() => Made::Names,
        _ => Made::Nothing,
    }
}

fn shown(name: Option<String>) -> String {
    name.unwrap_or_else(|| "something that may be a protected relation".to_owned())
}
