//! Verdicts kept by text and snapshot: a statement seen before costs a hash and a look-up.

use std::collections::HashMap;
use std::sync::Arc;

use super::plans::Basis;
use crate::datum::Oid;
use crate::sql::{Schema, Verdict};

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
}

/// A worker's verdicts under the catalogs that it has seen last, bounded in bytes of text.
#[derive(Default)]
pub struct Verdicts {
    schema: Option<Arc<Schema>>,
    kept: HashMap<Key, Verdict>,
    bytes: usize,
}

/// A text longer than this is analysed each time: such texts are bulk inserts, and hardly ever come twice.
const MAX_TEXT: usize = 8 * 1024;
/// Bytes of text (and the overhead of an entry for each) that one worker keeps.
const MAX_BYTES: usize = 8 << 20;
/// What an entry costs beside its text, roughly: key, plan and map.
const ENTRY: usize = 1024;

impl Verdicts {
    /// The verdict for the key under this schema, if it was kept.
    pub(super) fn find(&self, schema: &Arc<Schema>, key: &Key) -> Option<&Verdict> {
        let same = self.schema.as_ref().is_some_and(|s| Arc::ptr_eq(s, schema));
        if same { self.kept.get(key) } else { None }
    }

    /// Keeps a verdict. Another schema than the last one takes the place of all that was kept.
    pub(super) fn keep(&mut self, schema: &Arc<Schema>, key: Key, verdict: &Verdict) {
        if key.text.len() > MAX_TEXT {
            return;
        }
        if !self.schema.as_ref().is_some_and(|s| Arc::ptr_eq(s, schema)) || self.bytes > MAX_BYTES {
            self.kept.clear();
            self.bytes = 0;
            self.schema = Some(schema.clone());
        }
        self.bytes += key.text.len() + ENTRY;
        self.kept.insert(key, verdict.clone());
    }
}
