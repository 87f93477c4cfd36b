//! Verdicts kept by text and snapshot, and by the text's shape: a statement seen before costs a hash and a look-up,
//! one that differs from it in its values only a pass over its tokens more.

use std::collections::HashMap;
use std::sync::Arc;

use super::plans::Basis;
use crate::datum::Oid;
use crate::sql::{Mold, Schema, Shape, Verdict};

/// What a verdict depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    text: Arc<str>,
    /// `None` for a Query.
    declared: Option<Box<[Oid]>>,
    search_path: Arc<[String]>,
    standard_strings: bool,
    utf8: bool,
}

impl Key {
    pub(super) fn new(
        text: &str,
        declared: Option<&[Oid]>,
        basis: &Basis,
        standard_strings: bool,
        utf8: bool,
    ) -> Self {
        Self {
            text: Arc::from(text),
            declared: declared.map(Box::from),
            search_path: basis.search_path.clone(),
            standard_strings,
            utf8,
        }
    }

    /// The same for all texts of a shape.
    pub(super) fn of_shape(&self, shape: &Shape) -> Self {
        Self { text: Arc::from(shape.key()), ..self.clone() }
    }
}

/// A worker's verdicts under the catalogs that it has seen last, bounded in bytes of text.
#[derive(Default)]
pub struct Verdicts {
    schema: Option<Arc<Schema>>,
    kept: HashMap<Key, Verdict>,
    shapes: HashMap<Key, Vec<Mold>>,
    bytes: usize,
}

/// A text longer than this is analysed each time: such texts are bulk inserts, and hardly ever come twice.
const MAX_TEXT: usize = 8 * 1024;
/// Bytes of text (and the overhead of an entry for each) that one worker keeps.
const MAX_BYTES: usize = 8 << 20;
/// Verdicts of one shape that are kept: they differ in literals that count (ORDER BY 1, ORDER BY 2).
const MOLDS: usize = 8;
/// What an entry costs beside its text, roughly: key, plan and map.
const ENTRY: usize = 1024;

impl Verdicts {
    /// Bytes that are kept, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The verdict for the key under this schema, if it was kept.
    pub(super) fn find(&self, schema: &Arc<Schema>, key: &Key) -> Option<&Verdict> {
        if self.is_of(schema) { self.kept.get(key) } else { None }
    }

    /// The verdict on a text of a shape whose key this is, if one that says it was kept.
    pub(super) fn find_shape(
        &self,
        schema: &Arc<Schema>,
        key: &Key,
        text: &str,
        shape: &Shape,
    ) -> Option<Verdict> {
        let molds = if self.is_of(schema) { self.shapes.get(key)? } else { return None };
        molds.iter().find_map(|mold| mold.verdict(text, shape, schema.names()))
    }

    /// Keeps a verdict. Another schema than the last one takes the place of all that was kept.
    pub(super) fn keep(&mut self, schema: &Arc<Schema>, key: Key, verdict: &Verdict) {
        if self.makes_room(schema, &key) {
            self.kept.insert(key, verdict.clone());
        }
    }

    /// Keeps what a verdict says of all texts of a shape.
    pub(super) fn keep_shape(&mut self, schema: &Arc<Schema>, key: Key, mold: Mold) {
        if self.makes_room(schema, &key) {
            let molds = self.shapes.entry(key).or_default();
            if molds.len() >= MOLDS {
                molds.clear();
            }
            molds.push(mold);
        }
    }

    fn is_of(&self, schema: &Arc<Schema>) -> bool {
        self.schema.as_ref().is_some_and(|s| Arc::ptr_eq(s, schema))
    }

    /// Counts an entry for this key; false if it is too long to be kept.
    fn makes_room(&mut self, schema: &Arc<Schema>, key: &Key) -> bool {
        if key.text.len() > MAX_TEXT {
            return false;
        }
        if !self.is_of(schema) || self.bytes > MAX_BYTES {
            self.kept.clear();
            self.shapes.clear();
            self.bytes = 0;
            self.schema = Some(schema.clone());
        }
        self.bytes += key.text.len() + ENTRY;
        true
    }
}
