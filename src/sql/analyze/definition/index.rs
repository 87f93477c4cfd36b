//! CREATE INDEX.

use std::ops::Range;

use super::definer::{Definer, Purpose};
use super::elements::{self, IndexElement};
use super::reader::{Name, Reader};
use super::table::is_equality_method;
use crate::sql::refusal::Refusal;

struct Index {
    table: Name,
    method: Option<String>,
    elements: Vec<IndexElement>,
    predicate: Option<Range<usize>>,
}

impl Definer<'_> {
    /// CREATE INDEX: over encrypted columns where equality is what it needs.
    pub(super) fn create_index(&mut self) -> Result<(), Refusal> {
        let mut reader = self.reader(0);
        let Some(index) = read(&mut reader) else {
            return self.not_understood("a clause of CREATE INDEX", reader.at.min(reader.end - 1));
        };
        let table = self.existing(&index.table)?;
        if !table.is_protected {
            return Ok(());
        }
        for element in &index.elements {
            if let Some(class) = self.key(element, &table, "CREATE INDEX")?
                && let Some(method) = index.method.as_deref().filter(|method| !is_equality_method(method))
            {
                let construct = format!("an index of method {method}");
                return self.construct(&construct, &class.column, element.token());
            }
        }
        match &index.predicate {
            Some(tokens) => self.expression(tokens, Some(&table), &Purpose::Plain("CREATE INDEX ... WHERE")),
            None => Ok(()),
        }
    }
}

fn read(reader: &mut Reader<'_>) -> Option<Index> {
    reader.expect(&["create"])?;
    reader.take(&["unique"]);
    reader.expect(&["index"])?;
    reader.take(&["concurrently"]);
    reader.take(&["if", "not", "exists"]);
    if !reader.is("on") {
        reader.name()?;
    }
    reader.expect(&["on"])?;
    reader.take(&["only"]);
    let table = reader.name()?;
    let method = if reader.take(&["using"]) { Some(reader.identifier()?) } else { None };
    let inside = reader.group()?;
    let inside = reader.inside(inside);
    let mut elements = Vec::new();
    for item in inside.list() {
        let mut item = inside.inside(item);
        elements.push(elements::index_element(&mut item)?);
        item.is_done().then_some(())?;
    }
    if reader.take(&["include"]) {
        reader.columns()?;
    }
    let _ = reader.take(&["nulls", "distinct"]) || reader.take(&["nulls", "not", "distinct"]);
    if reader.take(&["with"]) {
        reader.group()?;
    }
    if reader.take(&["tablespace"]) {
        reader.identifier()?;
    }
    let predicate = if reader.take(&["where"]) {
        let tokens = reader.at..reader.end;
        reader.at = reader.end;
        Some(tokens)
    } else {
        None
    };
    reader.is_done().then_some(Index { table, method, elements, predicate })
}
