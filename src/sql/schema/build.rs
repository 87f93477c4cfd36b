//! Joins a policy with a catalog.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::dependents;
use super::{
    Consequence, DeclaredFunction, NOT_BEGUN, Planned, PlannedColumn, RUN_TEXT, Relation, RelationColumn,
    Schema, SchemaProblem,
};
use crate::catalog::Relation as CatalogRelation;
use crate::catalog::{
    Attribute, Catalog, Class, ColumnName, Dependent, DependentKind, Pin, RelationKind, RelationName, Storage,
};
use crate::crypto::{Binding, Mode};
use crate::datum::{Base, EnumType, Oid, Type, TypeName};
use crate::policy::{self, Policy};
use crate::sql::scan::{self, ProtectedNames};
use crate::sql::{Effects, OutputValue, lex, view};

const BYTEA: Oid = 17;
const TEXT: Oid = 25;
const VARCHAR: Oid = 1043;

/// Builds a [`Schema`] step by step.
pub(super) struct Builder<'a> {
    pub(super) policy: &'a Policy,
    pub(super) catalog: &'a Catalog,
    pub(super) by_oid: HashMap<Oid, &'a CatalogRelation>,
    pub(super) schema: Schema,
    pub(super) problems: Vec<SchemaProblem>,
}

impl Schema {
    /// Joins a policy with a catalog. The problems are for people; what they mean for statements is in the
    /// schema already.
    pub fn build(policy: &Policy, catalog: &Catalog) -> (Self, Vec<SchemaProblem>) {
        let mut builder = Builder {
            policy,
            catalog,
            by_oid: catalog.relations.iter().map(|relation| (relation.oid, relation)).collect(),
            schema: Self {
                database: catalog.database.clone(),
                server_version: catalog.server_version,
                has_policy: !policy.tables.is_empty(),
                has_deterministic: policy.columns().any(|(_, column)| {
                    column.mode != Mode::Randomized || column.state == policy::ColumnState::Migrating
                }),
                ..Self::default()
            },
            problems: Vec::new(),
        };
        if builder.schema.has_policy {
            RUN_TEXT.iter().for_each(|function| builder.schema.names.insert(function));
        }
        builder.types();
        builder.tables();
        builder.planned();
        builder.sealed();
        builder.inherited();
        builder.families();
        builder.marked();
        builder.reached();
        builder.changes();
        builder.functions();
        builder.declared();
        builder.effects();
        builder.views();
        builder.dependents();
        builder.blocked_children();
        (builder.schema, builder.problems)
    }
}

impl Builder<'_> {
    /// Notes a problem and what follows from it.
    pub(super) fn problem(
        &mut self,
        relation: &RelationName,
        column: Option<&str>,
        consequence: Consequence,
        message: String,
    ) {
        if let Some(relation) = self.relation_mut(relation) {
            let why = || Some(Arc::from(message.as_str()));
            match consequence {
                Consequence::Refused if relation.blocked.is_none() => relation.blocked = why(),
                Consequence::WritesRefused if relation.writes_blocked.is_none() => {
                    relation.writes_blocked = why()
                }
                Consequence::Refused | Consequence::WritesRefused | Consequence::Warning => {}
            }
        }
        let (relation, column) = (relation.clone(), column.map(str::to_owned));
        self.problems.push(SchemaProblem { relation, column, consequence, message });
    }

    pub(super) fn relation_mut(&mut self, name: &RelationName) -> Option<&mut Relation> {
        self.schema.relations.get_mut(name).map(Arc::make_mut)
    }

    fn types(&mut self) {
        for ty in &self.catalog.types {
            // A domain's values are checked by the server, which cannot read them.
            if ty.labels.is_some() {
                self.schema.types.insert(ty.name.clone(), ty.oid);
            }
        }
    }

    /// All relations, none of them protected yet.
    fn tables(&mut self) {
        for relation in &self.catalog.relations {
            let own = matches!(relation.name.schema.as_str(), "pg_catalog" | "information_schema");
            let columns = relation.columns.iter().map(|attribute| RelationColumn {
                number: attribute.number,
                name: attribute.name.clone(),
                value: OutputValue::Plain,
                physical: (attribute.type_oid, attribute.modifier),
                generated: attribute.generated,
                default_is_sealed: attribute.default.as_deref().is_none_or(is_sealed_constant),
            });
            let is_key = |dependent: &&Dependent| {
                let expression = dependent.expression.as_deref();
                dependent.kind == DependentKind::PartitionKey
                    && matches!(expression, Some("list" | "hash" | "range"))
            };
            let key = relation.dependents.iter().find(is_key).map(|key| key.columns.clone());
            let checks = relation.dependents.iter().filter(|d| d.kind == DependentKind::Check);
            let entry = Relation {
                oid: relation.oid,
                name: relation.name.clone(),
                kind: relation.kind,
                columns: columns.collect(),
                columns_known: !own && relation.kind != RelationKind::Sequence,
                partition_key: key.unwrap_or_default(),
                checks: checks.map(|check| check.name.clone()).collect(),
                is_protected: false,
                changes: Vec::new(),
                joined: Vec::new(),
                blocked: None,
                writes_blocked: None,
            };
            self.schema.names_by_oid.insert(relation.oid, relation.name.clone());
            self.schema.relations.insert(relation.name.clone(), Arc::new(entry));
        }
    }

    /// The policy's own columns.
    fn sealed(&mut self) {
        for (name, table) in &self.policy.tables {
            self.schema.names.insert(&name.name);
            if let Some(relation) = self.relation_mut(name) {
                relation.is_protected = true;
            } else {
                self.problem(name, None, Consequence::Warning, "there is no such table yet".to_owned());
                continue;
            }
            for (column_name, column) in &table.columns {
                if let Err(message) = self.seal(name, column_name, column) {
                    self.problem(name, Some(column_name), Consequence::Refused, message);
                }
            }
        }
    }

    /// The policy's columns as they will be made.
    fn planned(&mut self) {
        for (name, table) in &self.policy.tables {
            let columns = table.columns.iter().map(|(column_name, column)| {
                let (ty, undecided) = match self.ty(&column.ty) {
                    Ok(ty) => (ty, None),
                    Err(why) => (unknown_type(&column.ty), Some(why)),
                };
                let class = self.class(name, column_name, column, ty, column.storage);
                (column_name.clone(), PlannedColumn { ty: column.ty.clone(), class, undecided })
            });
            let planned = Planned { columns: columns.collect() };
            self.schema.planned.insert(name.clone(), planned);
        }
    }

    fn class(
        &self,
        table: &RelationName,
        name: &str,
        column: &policy::Column,
        ty: Type,
        storage: Storage,
    ) -> Arc<Class> {
        let family = ty.family().label();
        let own = table.column(name).to_string();
        let is_pinned = |pin: &&Arc<Pin>| {
            column.mode != Mode::Randomized
                && pin.key == column.key
                && pin.context == column.context
                && pin.is_about(storage)
                && (column.state == policy::ColumnState::Sealed || pin.columns.contains(&own))
        };
        Arc::new(Class {
            column: table.column(name),
            ty,
            key: column.key.clone(),
            binding: Arc::new(Binding { mode: column.mode, family, context: column.context.clone() }),
            storage,
            state: column.state,
            bare: false,
            pin: self.catalog.pins.iter().find(is_pinned).cloned(),
        })
    }

    fn seal(&mut self, table: &RelationName, name: &str, column: &policy::Column) -> Result<(), String> {
        let relation = self.schema.relations.get(table).cloned();
        let catalog = relation.and_then(|relation| self.by_oid.get(&relation.oid).copied());
        let kind = catalog.map(|relation| relation.kind);
        match kind {
            Some(RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable) => {}
            _ => return Err("only a table's columns can be encrypted".to_owned()),
        }
        let attribute = catalog.and_then(|relation| relation.columns.iter().find(|a| a.name == name));
        let Some(attribute) = attribute else {
            let message = format!("there is no column {name} yet");
            self.problem(table, Some(name), Consequence::Warning, message);
            return Ok(());
        };
        let ty = self.ty(&column.ty)?;
        if column.state == policy::ColumnState::Migrating && is_plain(name, &ty, attribute)? {
            return Ok(());
        }
        let storage = storage(name, column, attribute)?;
        let mut class = self.class(table, name, column, ty, storage);
        if storage == Storage::Bytea {
            // Its type says that it holds no plaintext.
            Arc::make_mut(&mut class).state = policy::ColumnState::Sealed;
        }
        if column.state == policy::ColumnState::Sealed
            && class.pin.as_ref().is_some_and(|pin| pin.has_plaintext())
        {
            let message = format!(
                "the values of column {name} are not all encrypted (\"pgseal encrypt\" has not ended, or \
                 \"pgseal decrypt\" has begun), and the policy does not say state = \"migrating\""
            );
            self.problem(table, Some(name), Consequence::Refused, message);
        }
        if class.is_between() && class.pin.is_none() {
            // Columns of its context may be encrypted, or some of its rows: equal values might differ.
            let message = format!("column {name} {NOT_BEGUN}");
            self.problem(table, Some(name), Consequence::Refused, message);
        }
        if let Some(slot) =
            self.relation_mut(table).and_then(|r| r.columns.iter_mut().find(|c| c.name == name))
        {
            slot.value = OutputValue::Sealed(class);
        }
        Ok(())
    }

    /// The type that a policy's type name means in this database.
    fn ty(&self, name: &TypeName) -> Result<Type, String> {
        let (schema, name, array) = match name {
            TypeName::Builtin(ty) => return Ok(ty.clone()),
            TypeName::Named { schema, name, array } => (schema, name, *array),
        };
        let mut found = self.catalog.types.iter().filter(|ty| {
            ty.name.name == *name && schema.as_ref().is_none_or(|schema| ty.name.schema == *schema)
        });
        let shown = schema.iter().chain([name]).cloned().collect::<Vec<_>>().join(".");
        let (Some(ty), None) = (found.next(), found.next()) else {
            return Err(format!("type {shown} is not one type of the database"));
        };
        let Some(labels) = &ty.labels else {
            return Err(format!("type {shown} is a domain; name the type under it"));
        };
        let base = Base::Enum(Arc::new(EnumType {
            oid: ty.oid,
            array_oid: ty.array_oid,
            name: ty.name.to_string(),
            labels: labels.clone(),
        }));
        let base = if array { Base::Array(Box::new(base)) } else { base };
        Ok(Type { base, modifier: -1 })
    }

    /// Relations whose rules (a view's query is one) read or write a protected one.
    fn reached(&mut self) {
        loop {
            let is_protected = |oid: &Oid| {
                let name = self.schema.names_by_oid.get(oid);
                name.and_then(|name| self.schema.relations.get(name))
                    .is_some_and(|relation| relation.is_protected)
            };
            let reaching: Vec<_> = self
                .catalog
                .relations
                .iter()
                .filter(|relation| {
                    !is_protected(&relation.oid) && relation.rule_references.iter().any(is_protected)
                })
                .map(|relation| (relation.name.clone(), relation.kind))
                .collect();
            if reaching.is_empty() {
                break;
            }
            for (name, kind) in reaching {
                if let Some(relation) = self.relation_mut(&name) {
                    relation.is_protected = true;
                    relation.blocked = Some(match kind {
                        RelationKind::View | RelationKind::MaterializedView => {
                            "its query was not understood".into()
                        }
                        _ => "its rules reach encrypted columns".into(),
                    });
                }
            }
        }
        let names = self.schema.relations.values().filter(|relation| relation.is_protected);
        let names: Vec<_> = names.map(|relation| relation.name.name.clone()).collect();
        for name in names {
            self.schema.names.insert(&name);
        }
    }

    /// Notes announced changes of types at the tables, what is above and below them, and what reads them.
    fn changes(&mut self) {
        for change in &self.catalog.changes {
            let mut found = HashSet::from([change.table]);
            loop {
                let touches = |relation: &&CatalogRelation| {
                    let is_child = relation.parents.iter().any(|oid| found.contains(oid));
                    let is_parent = || {
                        let child = |oid: &Oid| {
                            self.by_oid.get(oid).is_some_and(|r| r.parents.contains(&relation.oid))
                        };
                        found.iter().any(child)
                    };
                    let reads = || relation.rule_references.iter().any(|oid| found.contains(oid));
                    !found.contains(&relation.oid) && (is_child || is_parent() || reads())
                };
                let more: Vec<Oid> =
                    self.catalog.relations.iter().filter(touches).map(|relation| relation.oid).collect();
                if more.is_empty() {
                    break;
                }
                found.extend(more);
            }
            for oid in found {
                let Some(name) = self.schema.names_by_oid.get(&oid).cloned() else { continue };
                if let Some(relation) = self.relation_mut(&name) {
                    relation.changes.push(*change);
                }
                if let Some((column, _)) =
                    self.policy.tables.get(&name).and_then(|table| table.columns.first_key_value())
                {
                    self.schema.changing = Some(name.column(column));
                }
            }
        }
    }

    /// Functions that the policy says take or give encrypted values.
    fn declared(&mut self) {
        for (name, function) in &self.policy.functions {
            let class = |column: &Option<ColumnName>| -> Result<Option<Arc<Class>>, String> {
                let Some(column) = column else { return Ok(None) };
                let relation = self.schema.relations.get(&column.relation);
                match relation
                    .and_then(|relation| relation.column(&column.column))
                    .map(|column| &column.value)
                {
                    Some(OutputValue::Sealed(class)) => Ok(Some(Arc::clone(class))),
                    _ => Err(format!(
                        "function {name} takes or gives {column}, which is not encrypted in this database"
                    )),
                }
            };
            let arguments: Result<Vec<_>, _> = function.arguments.iter().map(class).collect();
            let declared = arguments.and_then(|arguments| Ok((arguments, class(&function.returns)?)));
            self.schema.names.insert(&name.name);
            match declared {
                Ok((arguments, returns)) => {
                    let declared = DeclaredFunction { name: name.clone(), arguments, returns };
                    self.schema.declared.entry(name.name.clone()).or_default().push(Arc::new(declared));
                }
                Err(message) => {
                    self.schema.reaching.entry(name.name.clone()).or_default().push(name.clone());
                    self.problem(name, None, Consequence::Refused, message);
                }
            }
        }
    }

    /// What the bodies of functions may do to a session's knowledge, by the words in them.
    fn effects(&mut self) {
        for function in &self.catalog.functions {
            let body = function.body.to_ascii_lowercase();
            let has = |words: &[&str]| {
                body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| words.contains(&word))
            };
            let dynamic = has(&["execute"]);
            let effects = Effects {
                search_path: dynamic
                    || has(&["set_config", "search_path", "role", "create", "drop", "reset"]),
                catalog: dynamic || has(&["create", "alter", "drop"]),
                settings: dynamic || has(&["set_config", "extra_float_digits", "bytea_output", "reset"]),
                ..Effects::default()
            };
            if effects != Effects::default() {
                let of_name = self.schema.effects.entry(function.name.name.clone()).or_default();
                of_name.push((function.name.clone(), effects));
            }
        }
    }

    /// Functions that name a protected relation, or return its rows, or call such a function.
    fn functions(&mut self) {
        let mut reached = HashSet::new();
        loop {
            let mut found = Vec::new();
            for function in &self.catalog.functions {
                if reached.contains(&function.oid) || self.policy.functions.contains_key(&function.name) {
                    continue;
                }
                let returns = function.returns_rows_of.and_then(|oid| self.schema.names_by_oid.get(&oid));
                let returns = returns.and_then(|name| self.schema.relations.get(name));
                if returns.is_some_and(|relation| relation.is_protected)
                    || names_any(&function.body, &self.schema.names)
                {
                    reached.insert(function.oid);
                    found.push(function.name.clone());
                }
            }
            if found.is_empty() {
                return;
            }
            for name in found {
                self.schema.names.insert(&name.name);
                self.schema.reaching.entry(name.name.clone()).or_default().push(name);
            }
        }
    }

    /// Types protected views by their queries, those that others read first.
    fn views(&mut self) {
        let is_view = |relation: &&CatalogRelation| {
            matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView)
        };
        let mut pending: Vec<&CatalogRelation> = self.catalog.relations.iter().filter(is_view).collect();
        pending.retain(|view| {
            self.schema.relations.get(&view.name).is_some_and(|relation| relation.is_protected)
        });
        loop {
            let open: HashSet<Oid> = pending.iter().map(|view| view.oid).collect();
            let is_ready = |view: &&CatalogRelation| {
                !view.rule_references.iter().any(|oid| *oid != view.oid && open.contains(oid))
            };
            let (ready, rest): (Vec<_>, Vec<_>) = pending.into_iter().partition(is_ready);
            if ready.is_empty() {
                break;
            }
            for relation in ready {
                self.view(relation);
            }
            pending = rest;
        }
    }

    fn view(&mut self, relation: &CatalogRelation) {
        let typed = match &relation.definition {
            Some(definition) => view::outputs(definition, &self.schema),
            None => Err("its query could not be read".to_owned()),
        };
        let typed = typed.and_then(|(outputs, joined)| {
            if outputs.len() == relation.columns.len() {
                Ok((outputs, joined))
            } else {
                Err("its query gives another number of columns".to_owned())
            }
        });
        match typed {
            Ok((outputs, joined)) => {
                if let Some(relation) = self.relation_mut(&relation.name) {
                    relation.blocked = None;
                    relation.joined = joined;
                    for (column, output) in relation.columns.iter_mut().zip(outputs) {
                        column.value = output;
                    }
                }
            }
            Err(why) => {
                if let Some(relation) = self.relation_mut(&relation.name) {
                    relation.blocked = None;
                }
                let message = format!("its query cannot be carried out over encrypted columns: {why}");
                self.problem(&relation.name, None, Consequence::Refused, message);
            }
        }
    }

    /// Constraints, policies, triggers and rules of protected tables.
    fn dependents(&mut self) {
        for relation in &self.catalog.relations {
            let Some(table) = self.schema.relation(&relation.name) else { continue };
            if table.is_protected
                && !matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView)
            {
                let policies = relation.dependents.iter().filter(|one| one.kind == DependentKind::Policy);
                let expressions = policies.filter_map(|policy| policy.expression.as_deref());
                let joined = expressions
                    .filter_map(|expression| view::expression(expression, &table, &self.schema, false).ok());
                let joined: Vec<_> = joined.flatten().collect();
                if let Some(relation) = self.relation_mut(&relation.name) {
                    relation.joined = joined;
                }
                let acknowledged = self.before_triggers_acknowledged(relation);
                for (column, consequence, message) in
                    dependents::judge(&self.schema, &table, relation, acknowledged)
                {
                    self.problem(&relation.name, column.as_deref(), consequence, message);
                }
            }
        }
    }

    /// Whether the policy vouches for the triggers of a table, or of one that it inherits from.
    fn before_triggers_acknowledged(&self, relation: &CatalogRelation) -> bool {
        let own =
            self.policy.tables.get(&relation.name).is_some_and(|table| table.before_triggers_acknowledged);
        let mut parents = relation.parents.iter().filter_map(|parent| self.by_oid.get(parent));
        own || parents.any(|parent| self.before_triggers_acknowledged(parent))
    }

    /// What stands in the way of a child stands in the way of its parents, whose statements reach it.
    fn blocked_children(&mut self) {
        for _ in 0..=self.catalog.relations.len() {
            let mut changed = false;
            for child in &self.catalog.relations {
                let Some(relation) = self.schema.relation(&child.name) else { continue };
                if relation.blocked.is_none() && relation.writes_blocked.is_none() {
                    continue;
                }
                for parent in &child.parents {
                    let name = self.schema.names_by_oid.get(parent).cloned();
                    let Some(parent) = name.and_then(|name| self.relation_mut(&name)) else { continue };
                    if parent.blocked.is_none() && relation.blocked.is_some() {
                        parent.blocked.clone_from(&relation.blocked);
                        changed = true;
                    }
                    if parent.writes_blocked.is_none() && relation.writes_blocked.is_some() {
                        parent.writes_blocked.clone_from(&relation.writes_blocked);
                        changed = true;
                    }
                }
            }
            if !changed {
                return;
            }
        }
    }
}

/// Stands for a type that the database does not have yet: an enum of which no value is known.
fn unknown_type(name: &TypeName) -> Type {
    let (name, array) = match name {
        TypeName::Builtin(ty) => return ty.clone(),
        TypeName::Named { name, array, .. } => (name.clone(), *array),
    };
    let base = Base::Enum(Arc::new(EnumType { oid: 0, array_oid: 0, name, labels: Vec::new() }));
    Type::plain(if array { Base::Array(Box::new(base)) } else { base })
}

/// Whether a column holds plaintext of the policy's type until its own type changes. (One that stays text is both.)
fn is_plain(name: &str, ty: &Type, attribute: &Attribute) -> Result<bool, String> {
    if matches!(attribute.type_oid, BYTEA | TEXT | VARCHAR) {
        return Ok(false);
    }
    if attribute.generated || attribute.identity {
        return Err(format!("column {name} is generated by the server"));
    }
    if (ty.oid(), ty.modifier) == (attribute.type_oid, attribute.modifier) {
        return Ok(true);
    }
    Err(format!(
        "column {name} is of another type in the database than the policy declares, {ty}: its plaintext has to be of the \
         same type, length and precision included, before it can be encrypted"
    ))
}

/// What a column of the database can hold.
fn storage(name: &str, column: &policy::Column, attribute: &Attribute) -> Result<Storage, String> {
    let storage = match attribute.type_oid {
        BYTEA => Storage::Bytea,
        TEXT | VARCHAR => Storage::Text,
        _ => {
            return Err(format!(
                "column {name} is neither bytea nor text in the database, so it cannot hold encrypted values: with \
                 state = \"migrating\" in the policy, pgseal encrypt changes its type"
            ));
        }
    };
    if attribute.generated || attribute.identity {
        return Err(format!("column {name} is generated by the server"));
    }
    if storage == Storage::Text && column.mode == Mode::Ordered {
        return Err(format!("column {name} is ordered, which needs bytea in the database"));
    }
    if storage == Storage::Text && column.mode != Mode::Randomized && attribute.nondeterministic_collation {
        return Err(format!(
            "column {name} has a nondeterministic collation, which takes different values for equal"
        ));
    }
    Ok(storage)
}

/// Whether a function's body names something protected.
fn names_any(body: &str, names: &ProtectedNames) -> bool {
    match lex::tokenize(body) {
        Ok(lexemes) => scan::names_any(body, &lexemes, names).is_some(),
        Err(_) => scan::raw_names_any(body, names).is_some(),
    }
}

/// Whether a default's expression is NULL or an envelope.
fn is_sealed_constant(expression: &str) -> bool {
    ["NULL", "'\\xe510", "'\\xe511", "'\\xe512", "'pgs1."].iter().any(|start| expression.starts_with(start))
}
