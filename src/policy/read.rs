//! From TOML to a policy. The tree is walked by hand, so that one run reports every problem with its place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{
    Column, ColumnName, ColumnState, Function, Place, Policy, Problem, RelationName, Storage, Table,
};
use super::{NameError, parse_identifier, type_name};
use crate::crypto::Mode;
use crate::datum::{Base, Family, Type, TypeName};

/// Reads a policy file's text, or tells everything that is wrong in it.
pub(super) fn read(text: &str) -> Result<Policy, Vec<Problem>> {
    let mut reader = Reader { text, problems: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.report(error.span().unwrap_or_default(), error.message().trim_end());
    }
    // A tree that was patched up after a syntax error would be blamed for what it does not say.
    let policy = if errors.is_empty() { reader.policy(document.get_ref()) } else { Policy::default() };
    if reader.problems.is_empty() { Ok(policy) } else { Err(reader.problems) }
}

/// The only version of the format.
const VERSION: &str = "1";

const TABLE_KEYS: &str = "before_triggers";

struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

/// What a column gets when it does not say.
struct Defaults {
    key: String,
    mode: Mode,
}

type Key<'a> = Spanned<DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn policy(&mut self, document: &DeTable<'_>) -> Policy {
        self.only(document, "in the file", &["version", "defaults", "table", "function"]);
        match document.get("version") {
            None => {
                self.report(0..0, "the file has to say which version of the format it is in: version = 1")
            }
            Some(v) => match v.get_ref().as_integer() {
                Some(number) if number.as_str() == VERSION => {}
                _ => self.report(v.span(), "this program reads version = 1 of the format only"),
            },
        }
        let defaults = self.defaults(document);
        let mut policy = Policy::default();
        for (key, value) in self.entries(document, "table", "[table.\"public.users\"]") {
            let place = self.place(key.span().start);
            let Some(name) = self.name::<RelationName>(key) else { continue };
            self.refuse_system_schema(key, &name);
            let table = self.table(&name, place, value, &defaults);
            if let Some(earlier) = policy.tables.insert(name, table) {
                self.report_twice(key, earlier.place);
            }
        }
        for (key, value) in self.entries(document, "function", "[function.\"public.add_user\"]") {
            let place = self.place(key.span().start);
            let Some(name) = self.name::<RelationName>(key) else { continue };
            let function = self.function(place, value);
            if let Some(earlier) = policy.functions.insert(name, function) {
                self.report_twice(key, earlier.place);
            }
        }
        self.shared_contexts(&policy);
        policy
    }

    fn defaults(&mut self, document: &DeTable<'_>) -> Defaults {
        let mut defaults = Defaults { key: "default".to_owned(), mode: Mode::Randomized };
        let Some(value) = document.get("defaults") else { return defaults };
        let Some(table) = self.as_table(value, "a table [defaults]") else { return defaults };
        self.only(table, "in [defaults]", &["key", "mode"]);
        if let Some(key) = self.key_name(table) {
            defaults.key = key;
        }
        if let Some((mode, _)) = self.mode(table) {
            defaults.mode = mode;
        }
        defaults
    }

    fn table(&mut self, name: &RelationName, place: Place, value: &Value<'_>, defaults: &Defaults) -> Table {
        let mut table = Table { columns: BTreeMap::new(), before_triggers_acknowledged: false, place };
        let Some(entries) = self.as_table(value, "a table of columns") else { return table };
        for (key, value) in entries {
            // A column may bear this name: it is one where a table stands.
            if key.get_ref() == TABLE_KEYS && !value.get_ref().is_table() {
                table.before_triggers_acknowledged =
                    self.word(value, &[("acknowledged", true)]).unwrap_or_default();
                continue;
            }
            let place = self.place(key.span().start);
            let column = match parse_identifier(key.get_ref()) {
                Ok(column) => column,
                Err(NameError::Parts { .. }) if !key.get_ref().is_empty() => {
                    self.report(
                        key.span(),
                        format!(
                            "{:?} is no column's name; a name that holds a dot stands in double quotes \
                             inside of single ones: '\"a.b\"'",
                            key.get_ref()
                        ),
                    );
                    continue;
                }
                Err(error) => {
                    self.report(key.span(), error.to_string());
                    continue;
                }
            };
            let Some(read) = self.column(&name.column(column.clone()), place, value, defaults) else {
                continue;
            };
            if let Some(earlier) = table.columns.insert(column, read) {
                self.report_twice(key, earlier.place);
            }
        }
        if entries.is_empty() {
            self.report(
                value.span(),
                "the table names no column; leave it out or name one: email = { type = \"text\" }",
            );
        }
        table
    }

    fn column(
        &mut self,
        name: &ColumnName,
        place: Place,
        value: &Value<'_>,
        defaults: &Defaults,
    ) -> Option<Column> {
        let example = format!("a column like {} = {{ type = \"text\" }}", name.column);
        let table = self.as_table(value, &example)?;
        self.only(
            table,
            "on a column",
            &["type", "mode", "key", "context", "state", "storage", "accept_leakage"],
        );
        if let Some((key, _)) = table.iter().find(|(_, v)| v.get_ref().is_table()) {
            self.report(
                key.span(),
                "a column has no tables in it; a table's name is written in quotes: [table.\"public.users\"]",
            );
        }
        let ty = self.type_name(value, table);
        let (mode, mode_at) = self.mode(table).unwrap_or((defaults.mode, value.span()));
        if let Some(ty) = &ty
            && mode != Mode::Randomized
            && let Err(reason) = allows_deterministic(ty)
        {
            self.report(
                mode_at,
                format!("a column of type {} can only be randomized: {reason}", type_name(ty)),
            );
        }
        let key = self.key_name(table).unwrap_or_else(|| defaults.key.clone());
        let context = self.context(table).unwrap_or_else(|| name.to_string());
        let state = self.state(table, ty.as_ref(), mode, &context, name);
        let accept_leakage = table.get("accept_leakage").and_then(|v| self.filled(v, "the reason, in words"));
        let storages = [("bytea", Storage::Bytea), ("text", Storage::Text)];
        let storage = table.get("storage").and_then(|v| self.word(v, &storages)).unwrap_or_default();
        Some(Column { ty: ty?, mode, key, context, state, storage, accept_leakage, place })
    }

    fn type_name(&mut self, column: &Value<'_>, table: &DeTable<'_>) -> Option<TypeName> {
        let Some(value) = table.get("type") else {
            self.report(
                column.span(),
                "the column's type is missing, as the application sees it: type = \"text\"",
            );
            return None;
        };
        let text = self.filled(value, "a type such as \"text\" or \"numeric(12,2)\"")?;
        match Type::parse(&text) {
            Ok(ty) => Some(ty),
            Err(error) => {
                self.report(value.span(), error.to_string());
                None
            }
        }
    }

    fn mode(&mut self, table: &DeTable<'_>) -> Option<(Mode, Range<usize>)> {
        let value = table.get("mode")?;
        let modes = [
            ("randomized", Mode::Randomized),
            ("deterministic", Mode::Deterministic),
            ("ordered", Mode::Ordered),
        ];
        let mode = self.word(value, &modes)?;
        if mode == Mode::Ordered {
            self.report(
                value.span(),
                "mode = \"ordered\" is not available in this version yet; \
                 use \"deterministic\" for =, IN and joins, or \"randomized\"",
            );
            return None;
        }
        Some((mode, value.span()))
    }

    fn state(
        &mut self,
        table: &DeTable<'_>,
        ty: Option<&TypeName>,
        mode: Mode,
        context: &str,
        name: &ColumnName,
    ) -> ColumnState {
        let Some(value) = table.get("state") else { return ColumnState::Sealed };
        let states = [("sealed", ColumnState::Sealed), ("migrating", ColumnState::Migrating)];
        let state = self.word(value, &states).unwrap_or_default();
        let is_bytea = matches!(ty, Some(TypeName::Builtin(ty)) if ty.base == Base::Bytea);
        if state == ColumnState::Migrating && is_bytea {
            self.report(
                value.span(),
                "state = \"migrating\" is not available for a column of type bytea: its plaintext could not be told from \
                 encrypted values",
            );
        } else if state == ColumnState::Migrating && mode == Mode::Randomized && context != name.to_string() {
            self.report(
                value.span(),
                "a randomized column in state = \"migrating\" has no context beside its own: plaintext of it could \
                 come into columns that hold none",
            );
        }
        state
    }

    fn key_name(&mut self, table: &DeTable<'_>) -> Option<String> {
        let value = table.get("key")?;
        let key = self.filled(value, "the name of a data key in the keyring")?;
        if key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return Some(key);
        }
        self.report(
            value.span(),
            format!("{key:?} is no key's name, which has only letters, digits, '-', '_' and '.'"),
        );
        None
    }

    /// A context is bytes to the cipher: one that looks like a column has to be that column's default.
    fn context(&mut self, table: &DeTable<'_>) -> Option<String> {
        let value = table.get("context")?;
        let context = self.filled(value, "a column's qualified name, or any other text")?;
        let shown = match context.parse::<ColumnName>() {
            Ok(column) => column.to_string(),
            Err(error @ NameError::Capitals { .. }) => {
                self.report(value.span(), error.to_string());
                return None;
            }
            Err(_) => context.clone(),
        };
        if shown != context {
            self.report(value.span(), format!("the context of that column is written '{shown}'"));
            return None;
        }
        if context.chars().any(char::is_control) {
            self.report(value.span(), "a context holds no control characters");
            return None;
        }
        Some(context)
    }

    fn function(&mut self, place: Place, value: &Value<'_>) -> Function {
        let mut function = Function { arguments: Vec::new(), returns: None, place };
        let Some(table) = self.as_table(value, "a table with arguments and returns") else { return function };
        self.only(table, "on a function", &["arguments", "returns"]);
        if let Some(value) = table.get("arguments") {
            match value.get_ref().as_array() {
                Some(list) => {
                    function.arguments = list.iter().map(|v| self.argument(v)).collect();
                }
                None => {
                    self.report(value.span(), "expected a list with \"\" for each argument: [\"\", \"\"]");
                }
            }
        }
        function.returns = table.get("returns").and_then(|v| self.argument(v));
        function
    }

    /// An argument or result: only plain ones are available yet.
    fn argument(&mut self, value: &Value<'_>) -> Option<ColumnName> {
        let text = self.as_str(value, "\"\" for a plain argument")?;
        if !text.is_empty() {
            self.report(
                value.span(),
                "functions that take or return encrypted values are not available in this version yet; \
                 only \"\" can stand here",
            );
        }
        None
    }

    /// Columns that share a context are there to be compared, so what seals them has to be the same.
    fn shared_contexts(&mut self, policy: &Policy) {
        let mut columns: Vec<_> = policy.columns().collect();
        columns.sort_by_key(|(_, column)| column.place);
        let mut first: BTreeMap<&str, &(ColumnName, &Column)> = BTreeMap::new();
        for here in &columns {
            let (name, column) = here;
            let (owner, other) = first.entry(&column.context).or_insert(here);
            let mut differences = Vec::new();
            if column.mode != other.mode {
                differences.push(format!("mode ({} and {})", column.mode, other.mode));
            }
            if column.key != other.key {
                differences.push(format!("key ({} and {})", column.key, other.key));
            }
            // Plaintext of the one could be copied into the other.
            if column.state != other.state {
                differences.push("state".to_owned());
            }
            if family(&column.ty) != family(&other.ty) {
                differences.push(format!(
                    "type family ({} and {})",
                    type_name(&column.ty),
                    type_name(&other.ty)
                ));
            }
            if !differences.is_empty() {
                self.problems.push(Problem {
                    place: column.place,
                    message: format!(
                        "{name} shares the context {} with {owner} (line {}), but differs in {}",
                        column.context,
                        other.place.line,
                        differences.join(", ")
                    ),
                });
            }
        }
    }

    fn refuse_system_schema(&mut self, key: &Key<'_>, name: &RelationName) {
        if name.schema.starts_with("pg_") || name.schema == "information_schema" {
            self.report(
                key.span(),
                format!("schema {} is PostgreSQL's own; it holds nothing to seal", name.schema),
            );
        }
    }

    /// The entries of a table of tables.
    fn entries<'t, 'i>(
        &mut self,
        document: &'t DeTable<'i>,
        key: &str,
        example: &str,
    ) -> Vec<(&'t Key<'i>, &'t Value<'i>)> {
        let Some(value) = document.get(key) else { return Vec::new() };
        self.as_table(value, example).map(|t| t.iter().collect()).unwrap_or_default()
    }

    fn name<T: FromStr<Err = NameError>>(&mut self, key: &Key<'_>) -> Option<T> {
        let problem = match key.get_ref().parse() {
            Ok(name) => return Some(name),
            Err(error @ NameError::Parts { .. }) => format!(
                "{error}; it is written with its schema and in quotes, as in [table.\"public.users\"]"
            ),
            Err(error) => error.to_string(),
        };
        self.report(key.span(), problem);
        None
    }

    /// Reports every key that is not one of `known`.
    fn only(&mut self, table: &DeTable<'_>, place: &str, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let message =
                format!("unknown key {:?} {place}; expected one of {}", key.get_ref(), known.join(", "));
            self.report(key.span(), message);
        }
    }

    fn as_table<'v, 'i>(&mut self, value: &'v Value<'i>, wanted: &str) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.report_kind(value, wanted);
        }
        table
    }

    fn as_str<'v>(&mut self, value: &'v Value<'_>, wanted: &str) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.report_kind(value, wanted);
        }
        text
    }

    /// A string that says something.
    fn filled(&mut self, value: &Value<'_>, wanted: &str) -> Option<String> {
        let text = self.as_str(value, wanted)?.trim();
        if text.is_empty() {
            self.report(value.span(), format!("expected {wanted}, found nothing"));
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// One of a few words.
    fn word<T: Copy>(&mut self, value: &Value<'_>, words: &[(&str, T)]) -> Option<T> {
        let known: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let wanted = known.join(" or ");
        let text = self.as_str(value, &wanted)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            self.report(value.span(), format!("expected {wanted}, found {text:?}"));
        }
        found
    }

    fn report_kind(&mut self, value: &Value<'_>, wanted: &str) {
        self.report(value.span(), format!("expected {wanted}, found {}", value.get_ref().type_str()));
    }

    fn report_twice(&mut self, key: &Key<'_>, earlier: Place) {
        self.report(key.span(), format!("{} is already named at line {}", key.get_ref(), earlier.line));
    }

    fn report(&mut self, span: Range<usize>, message: impl Into<String>) {
        let place = self.place(span.start);
        self.problems.push(Problem { place, message: message.into() });
    }

    fn place(&self, offset: usize) -> Place {
        Place::at(self.text, offset)
    }
}

/// Whether equal values of the type have equal canonical forms; else why not. A name that only the catalog
/// knows is an enum's.
fn allows_deterministic(ty: &TypeName) -> Result<(), &'static str> {
    match ty {
        TypeName::Builtin(ty) => ty.allows_deterministic(),
        TypeName::Named { array: false, .. } => Ok(()),
        TypeName::Named { array: true, .. } => Err("arrays are sealed whole"),
    }
}

fn family(ty: &TypeName) -> Family {
    match ty {
        TypeName::Builtin(ty) => ty.family(),
        TypeName::Named { array: false, .. } => Family::Text,
        TypeName::Named { array: true, .. } => Family::Array(Box::new(Family::Text)),
    }
}
