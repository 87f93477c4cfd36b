//! Verdicts for all texts of one shape: the same tokens, but for the contents of some literals.
//!
//! A client that writes its values into the text sends a new text each time. The analysis says on which literals
//! its verdict does not depend ([`Plan::free`]); a [`Mold`] made of a verdict gives that of another text of the same
//! shape, with other contents in those places. It stands for no text of which a fresh analysis could say anything
//! else: literals that are not free count as they are, and the content of a free one must hold nothing that the
//! scan for protected names would look at twice.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::lex::{self, Lexeme, LexemeKind, StringForm};
use super::scan::{self, ProtectedNames};
use super::{Edit, Plan, Replacement, Statement, Untouched, Verdict};

/// Digits of a number that is an int4 with either sign.
const INT4_DIGITS: usize = 9;

/// Stand in a key for what is not in it: two tokens that touch or do not, and the classes of literals.
const MARKS: std::ops::RangeInclusive<u8> = 1..=5;

/// A text as its tokens, and what is the same in all texts of its shape.
#[derive(Debug)]
pub struct Shape {
    lexemes: Vec<Lexeme>,
    key: String,
}

impl Shape {
    /// `None` for a text that cannot be cut into tokens, and for one without a literal that could be another.
    pub fn of(text: &str) -> Option<Self> {
        if text.bytes().any(|byte| MARKS.contains(&byte)) {
            return None;
        }
        let lexemes = lex::tokenize(text).ok()?;
        let mut key = String::with_capacity(text.len());
        let (mut end, mut can_vary) = (0, false);
        for lexeme in &lexemes {
            // Edits lie at the ends of tokens, and two ends in one place are told apart by what lies between.
            key.push(if lexeme.start == end { '\u{1}' } else { '\u{2}' });
            end = lexeme.end;
            match variable(lexeme, text) {
                Some(class) => {
                    key.push(class);
                    can_vary = true;
                }
                None => key.push_str(lexeme.text(text)),
            }
        }
        can_vary.then_some(Self { lexemes, key })
    }

    /// What all texts of this shape have in common.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The class of a literal whose content may count for nothing; `None` for every other token.
fn variable(lexeme: &Lexeme, text: &str) -> Option<char> {
    let written = lexeme.text(text);
    match lexeme.kind {
        LexemeKind::String(StringForm::Plain) => Some('\u{3}'),
        LexemeKind::Integer
            if written.len() <= INT4_DIGITS && written.bytes().all(|b| b.is_ascii_digit()) =>
        {
            Some('\u{4}')
        }
        LexemeKind::Numeric if written.bytes().all(|b| b.is_ascii_digit() || b == b'.') => Some('\u{5}'),
        _ => None,
    }
}

/// A verdict as it is for every text of a shape.
#[derive(Debug)]
pub struct Mold {
    /// Literals on whose content it depends, and that content as it is written.
    fixed: Vec<(usize, Box<str>)>,
    /// The others.
    free: Vec<usize>,
    verdict: Molded,
}

#[derive(Debug)]
enum Molded {
    Forward(Untouched),
    Rewrite { plan: Arc<Plan>, edits: Vec<Place>, statements: Vec<Place> },
}

/// A range of bytes by the tokens at its ends.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: End,
    end: End,
    /// The literal whose value it takes.
    literal: Option<usize>,
}

/// An end of a token, or of the text.
#[derive(Clone, Copy, Debug)]
enum End {
    Start(usize),
    Behind(usize),
    OfText,
}

impl Mold {
    /// What a verdict on a text says of all texts of its shape. `None`: no more than of this one.
    pub fn new(text: &str, shape: &Shape, verdict: &Verdict, names: &ProtectedNames) -> Option<Self> {
        let (free, changes_names) = match verdict {
            Verdict::Forward(proof) => (&proof.free, !proof.names.is_empty()),
            Verdict::Rewrite(plan) => (&plan.free, !plan.names.is_empty()),
            Verdict::Refuse(_) => return None,
        };
        if free.is_empty() || changes_names {
            return None;
        }
        // There may be thousands of literals and as many edits.
        let free: FxHashSet<usize> = free.iter().copied().collect();
        // A literal that makes a value together with others counts.
        let is_part = |lexeme: &Lexeme| match verdict {
            Verdict::Rewrite(plan) => edit_around(&plan.edits, lexeme.start).is_some_and(|edit| {
                let alone = edit.range.end == lexeme.end && edit.range.start + 1 >= lexeme.start;
                !alone && !matches!(edit.replacement, Replacement::Text(_))
            }),
            Verdict::Forward(_) | Verdict::Refuse(_) => false,
        };
        let is_free = |lexeme: &Lexeme| {
            free.contains(&lexeme.start) && is_quiet(lexeme, text, names) && !is_part(lexeme)
        };
        let varies = |(_, lexeme): &(usize, &Lexeme)| variable(lexeme, text).is_some();
        let literals = shape.lexemes.iter().enumerate().filter(varies);
        let (free, fixed): (Vec<_>, Vec<_>) = literals.partition(|(_, lexeme)| is_free(lexeme));
        let mold = Self {
            fixed: fixed.into_iter().map(|(index, lexeme)| (index, Box::from(lexeme.text(text)))).collect(),
            free: free.into_iter().map(|(index, _)| index).collect(),
            verdict: match verdict {
                Verdict::Forward(proof) => Molded::Forward(Untouched { free: Vec::new(), ..proof.clone() }),
                Verdict::Rewrite(plan) => Molded::Rewrite {
                    edits: places(plan.edits.iter().map(|edit| edit.range.clone()), text, shape)?,
                    statements: places(plan.statements.iter().map(|one| one.range.clone()), text, shape)?,
                    plan: plan.clone(),
                },
                Verdict::Refuse(_) => return None,
            },
        };
        (!mold.free.is_empty()).then_some(mold)
    }

    /// The verdict on another text of the same shape; `None` if it has to be reached afresh.
    pub fn verdict(&self, text: &str, shape: &Shape, names: &ProtectedNames) -> Option<Verdict> {
        let literal = |index: &usize| shape.lexemes.get(*index);
        let same =
            |(index, written): &(usize, Box<str>)| literal(index).map(|l| l.text(text)) == Some(written);
        if !self.fixed.iter().all(same)
            || !self.free.iter().all(|index| literal(index).is_some_and(|l| is_quiet(l, text, names)))
        {
            return None;
        }
        let (plan, edits, statements) = match &self.verdict {
            Molded::Forward(proof) => return Some(Verdict::Forward(proof.clone())),
            Molded::Rewrite { plan, edits, statements } => (plan, edits, statements),
        };
        let edits = plan.edits.iter().zip(edits).map(|(edit, place)| {
            let range = place.range(text, shape)?;
            let value = || match place.literal.filter(|index| self.free.binary_search(index).is_ok()) {
                Some(index) => literal_value(shape.lexemes.get(index)?, text, &range),
                None => None,
            };
            let replacement = match &edit.replacement {
                Replacement::Text(new) => Replacement::Text(new.clone()),
                Replacement::Sealed { usage, value: before } => Replacement::Sealed {
                    usage: usage.clone(),
                    value: value().unwrap_or_else(|| before.clone()),
                },
                Replacement::SealedArray { usage, value: before } => Replacement::SealedArray {
                    usage: usage.clone(),
                    value: value().unwrap_or_else(|| before.clone()),
                },
                Replacement::NullTest { casts, value: before } => Replacement::NullTest {
                    casts: casts.clone(),
                    value: value().unwrap_or_else(|| before.clone()),
                },
            };
            Some(Edit { range, replacement })
        });
        let statements = plan.statements.iter().zip(statements).map(|(statement, place)| {
            Some(Statement { range: place.range(text, shape)?, ..statement.clone() })
        });
        Some(Verdict::Rewrite(Arc::new(Plan {
            statements: statements.collect::<Option<_>>()?,
            edits: edits.collect::<Option<_>>()?,
            parameters: plan.parameters.clone(),
            names: Vec::new(),
            free: Vec::new(),
            digest: plan.digest.clone(),
            ..*plan.as_ref()
        })))
    }
}

/// Whether the content of a literal is nothing that the scan for names would look into: no protected name, no word
/// that runs a prepared statement, nothing that could be SQL of its own or be written in another way.
fn is_quiet(lexeme: &Lexeme, text: &str, names: &ProtectedNames) -> bool {
    match lexeme.kind {
        LexemeKind::String(_) => {
            let written = lexeme.text(text);
            let content = written.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            content.is_some_and(|content| scan::is_quiet(content, names))
        }
        _ => true,
    }
}

/// The value of a free literal, with the sign that an edit's range begins with.
fn literal_value(lexeme: &Lexeme, text: &str, range: &Range<usize>) -> Option<String> {
    match lexeme.kind {
        LexemeKind::String(_) => lex::string_value(lexeme, text),
        _ => lex::number(lexeme, text, range.start < lexeme.start).map(|number| number.into_text()),
    }
}

/// The places of some ranges; `None` if one does not begin and end with tokens.
/// The edit that changes the byte at `at`. Edits are in the order of the text and do not overlap.
fn edit_around(edits: &[Edit], at: usize) -> Option<&Edit> {
    let after = edits.partition_point(|edit| edit.range.start <= at);
    let mut before = edits.get(..after)?.iter().rev().filter(|edit| !edit.range.is_empty());
    before.next().filter(|edit| edit.range.contains(&at))
}

fn places(ranges: impl Iterator<Item = Range<usize>>, text: &str, shape: &Shape) -> Option<Vec<Place>> {
    let lexemes = &shape.lexemes;
    let starting = |at: usize| lexemes.binary_search_by_key(&at, |lexeme| lexeme.start).ok();
    let ending = |at: usize| lexemes.binary_search_by_key(&at, |lexeme| lexeme.end).ok();
    let place = |range: Range<usize>| {
        let literal = ending(range.end).filter(|index| {
            let before = index.checked_sub(1).and_then(|before| lexemes.get(before));
            let sign = before.filter(|lexeme| lexeme.is_symbol(b'-'));
            lexemes.get(*index).is_some_and(|lexeme| {
                let mut begins = [Some(lexeme), sign].into_iter().flatten();
                variable(lexeme, text).is_some() && begins.any(|first| first.start == range.start)
            })
        });
        let (start, end) = if range.is_empty() {
            let end = match (starting(range.start), ending(range.start)) {
                (Some(index), _) => End::Start(index),
                (None, Some(index)) => End::Behind(index),
                (None, None) if range.start == text.len() => End::OfText,
                (None, None) => return None,
            };
            (end, end)
        } else {
            (End::Start(starting(range.start)?), End::Behind(ending(range.end)?))
        };
        Some(Place { start, end, literal })
    };
    ranges.map(place).collect()
}

impl Place {
    fn range(self, text: &str, shape: &Shape) -> Option<Range<usize>> {
        let at = |end: End| match end {
            End::Start(index) => shape.lexemes.get(index).map(|lexeme| lexeme.start),
            End::Behind(index) => shape.lexemes.get(index).map(|lexeme| lexeme.end),
            End::OfText => Some(text.len()),
        };
        Some(at(self.start)?..at(self.end)?)
    }
}
