//! What hangs on a table and looks at its rows: triggers, row security policies, extended statistics.
//!
//! Their conditions are kept by the server, so no constant for an encrypted column can stand in one.

use super::definer::{Definer, Purpose};
use super::reader::Reader;
use crate::sql::refusal::Refusal;
use crate::sql::schema::Relation;

impl Definer<'_> {
    /// CREATE TRIGGER with a condition: it may compare encrypted values of the old row with those of the new one.
    ///
    /// <https://www.postgresql.org/docs/current/sql-createtrigger.html>
    pub(super) fn create_trigger(&mut self) -> Result<(), Refusal> {
        let mut reader = self.reader(0);
        reader.skip_to(&["on"]);
        let head = reader.inside(0..reader.at);
        let table = if reader.take(&["on"]) && head.holds_no_constant() { reader.name() } else { None };
        let start = reader.at;
        reader.skip_to(&["when", "execute"]);
        let between = reader.inside(start..reader.at);
        let condition = if reader.take(&["when"]) { reader.group() } else { None };
        let (Some(table), Some(condition), true) = (table, condition, between.holds_no_constant()) else {
            return self.not_understood("a clause of CREATE TRIGGER", reader.at.min(reader.end - 1));
        };
        let is_call = reader.take(&["execute"])
            && reader.take_any(&["function", "procedure"])
            && reader.name().is_some()
            && reader.holds_no_constant()
            && reader.group().is_some_and(|arguments| reader.inside(arguments).holds_no_value());
        if !is_call || !reader.is_done() {
            return self.not_understood("a clause of CREATE TRIGGER", reader.at.min(reader.end - 1));
        }
        let table = self.existing(&table)?;
        if !table.is_protected {
            return Ok(());
        }
        self.expression(&condition, Some(&table), &Purpose::Rows("CREATE TRIGGER ... WHEN"))
    }

    /// CREATE POLICY and ALTER POLICY.
    ///
    /// <https://www.postgresql.org/docs/current/sql-createpolicy.html>
    pub(super) fn policy(&mut self) -> Result<(), Refusal> {
        let mut reader = self.reader(2);
        let name = reader.identifier();
        let table = if reader.take(&["on"]) { reader.name() } else { None };
        let (Some(_), Some(table)) = (name, table) else {
            return self.not_understood("a clause of CREATE POLICY", reader.at.min(reader.end - 1));
        };
        let table = self.existing(&table)?;
        let start = reader.at;
        reader.skip_to(&["using", "with"]);
        let mut understood = reader.inside(start..reader.at).holds_no_constant();
        for (words, construct) in [
            (&["using"][..], "CREATE POLICY ... USING"),
            (&["with", "check"], "CREATE POLICY ... WITH CHECK"),
        ] {
            if reader.take(words) {
                match reader.group() {
                    Some(condition) => self.condition(&table, &condition, construct)?,
                    None => understood = false,
                }
            }
        }
        if !understood || !reader.is_done() {
            return self.not_understood("a clause of CREATE POLICY", reader.at.min(reader.end - 1));
        }
        Ok(())
    }

    /// CREATE STATISTICS: what they count of encrypted values is as true of their ciphertexts where the mode keeps
    /// equality, and of no use otherwise.
    ///
    /// <https://www.postgresql.org/docs/current/sql-createstatistics.html>
    pub(super) fn create_statistics(&mut self) -> Result<(), Refusal> {
        let mut reader = self.reader(2);
        reader.take(&["if", "not", "exists"]);
        let named = reader.is("on") || reader.name().is_some();
        let kinds = reader.optional_group();
        let start = reader.at;
        reader.skip_to(&["from"]);
        let listed = reader.inside(start + 1..reader.at);
        let table = if reader.take(&["from"]) { reader.name() } else { None };
        let begins = listed.lexemes.get(start).is_some_and(|lexeme| lexeme.is_word(listed.text, "on"));
        let (Some(table), Some(_), true) = (table, kinds, named && begins && reader.is_done()) else {
            return self.not_understood("a clause of CREATE STATISTICS", reader.at.min(reader.end - 1));
        };
        let table = self.existing(&table)?;
        for item in listed.list() {
            let is_column = listed.inside(item.clone()).identifier().is_some() && item.len() == 1;
            if !is_column {
                self.condition(&table, &item, "CREATE STATISTICS")?;
            }
        }
        Ok(())
    }

    fn condition(
        &mut self,
        table: &Relation,
        tokens: &std::ops::Range<usize>,
        construct: &str,
    ) -> Result<(), Refusal> {
        if !table.is_protected {
            return Ok(());
        }
        self.expression(tokens, Some(table), &Purpose::Plain(construct))
    }
}

/// Whether CREATE or ALTER of a sequence or a publication holds nothing of a column: a sequence may belong to one, and
/// subscribers see what is stored.
pub(super) fn names_only(reader: Reader<'_>) -> bool {
    let mut reader = reader;
    let is_publication = reader.is_ahead(1, "publication");
    let start = reader.at;
    reader.skip_to(&["where", "with"]);
    let head = reader.inside(start..reader.at);
    if !is_publication {
        return reader.is_done() && head.holds_no_string();
    }
    // Options in parentheses stand at the end.
    let is_understood = reader.is_done() || (reader.take(&["with"]) && reader.group().is_some());
    let filters = reader.lexemes.iter().any(|lexeme| lexeme.is_word(reader.text, "where"));
    is_understood && reader.is_done() && !filters && head.holds_no_constant()
}
