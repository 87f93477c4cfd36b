//! INSERT, UPDATE, DELETE and MERGE: what is stored in which column.

use std::sync::Arc;

use sqlparser::ast::{
    Assignment, AssignmentTarget, ConflictTarget, Delete, DoUpdate, Expr, FromTable, Ident, Insert, Merge,
    MergeAction, MergeClause, MergeInsertExpr, MergeInsertKind, MergeUpdateExpr, MergeUpdateKind, ObjectName,
    OnConflict, OnConflictAction, OnInsert, OutputClause, Query, SelectItem, SetExpr, Statement, TableFactor,
    TableObject, TableWithJoins, Update, UpdateTableFromKind, Values,
};

use super::analysis::{Analyzer, Named, ty_of};
use super::refusal::Reason;
use super::schema::{Relation, RelationColumn};
use super::scope::{Columns, Ctes, Entry, Env, From, Scope};
use super::types::{Meeting, Ty};
use super::{OutputValue, lex::Parsed};
use crate::catalog::Class;

/// The target of a modification.
struct Target {
    /// `None` if the catalog does not know it: none of its columns is encrypted.
    relation: Option<Arc<Relation>>,
    /// The target in scopes.
    entry: Entry,
}

impl Analyzer<'_> {
    /// The output (RETURNING) of a statement that modifies; `None` for other statements.
    pub(super) fn modification(&mut self, statement: &Statement, env: &Env<'_>) -> Option<Columns> {
        self.changes = true;
        match statement {
            Statement::Insert(insert) => Some(self.insert(insert, env)),
            Statement::Update(update) => Some(self.update(update, env)),
            Statement::Delete(delete) => Some(self.delete(delete, env)),
            Statement::Merge(merge) => Some(self.merge_into(merge, env)),
            _ => None,
        }
    }

    fn target(&mut self, name: &ObjectName, alias: Option<&Ident>) -> Target {
        match self.named(name, &Ctes::default()) {
            Named::Relation(relation) => {
                if relation.is_protected
                    && let Some(why) = relation.unwritable()
                {
                    self.refuse(Reason::WritesBlocked { relation: relation.name.clone(), why });
                }
                let entry = self.entry(&relation, alias);
                Target { relation: Some(relation), entry }
            }
            Named::Cte(name, _) | Named::Unknown(name) => {
                let name = alias.map_or(name, |alias| alias.value.clone());
                let entry =
                    Entry { name, relation: None, has_system_columns: true, columns: Columns::opaque() };
                Target { relation: None, entry }
            }
        }
    }

    fn insert(&mut self, insert: &Insert, env: &Env<'_>) -> Columns {
        let Insert {
            insert_token: _,
            optimizer_hints: _,
            or,
            ignore,
            into: _,
            table,
            table_alias,
            columns,
            by_name,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            overriding: _,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        let foreign = or.is_some()
            || *ignore
            || *by_name
            || *overwrite
            || !assignments.is_empty()
            || partitioned.is_some()
            || !after_columns.is_empty()
            || *has_table_keyword
            || output.is_some()
            || *replace_into
            || priority.is_some()
            || insert_alias.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || multi_table_insert_type.is_some()
            || !multi_table_into_clauses.is_empty()
            || !multi_table_when_clauses.is_empty()
            || multi_table_else_clause.is_some();
        self.foreign(foreign, "a clause of INSERT that PostgreSQL does not have");
        let TableObject::TableName(name) = table else {
            self.not_understood("INSERT into what is no table");
            return Columns::opaque();
        };
        let alias = table_alias.as_ref().map(|alias| &alias.alias);
        let target = self.target(name, alias);
        let columns = self.target_columns(&target, columns);
        match source {
            Some(query) => self.insert_source(&target, columns.as_deref(), query, env),
            None => self.defaulted(&target, &[]),
        }
        match on {
            None => {}
            Some(OnInsert::OnConflict(conflict)) => self.on_conflict(&target, conflict, env),
            Some(_) => self.not_understood("ON DUPLICATE KEY"),
        }
        let from = From::single(target.entry);
        self.returning(returning.as_deref(), &from, env)
    }

    /// The names of the columns that are inserted into; `None` if there is no list.
    fn target_columns(&mut self, target: &Target, columns: &[ObjectName]) -> Option<Vec<String>> {
        if columns.is_empty() {
            return None;
        }
        let mut names = Vec::with_capacity(columns.len());
        for column in columns {
            match self.parts(column).as_deref() {
                Some([name]) => {
                    self.target_column(target, name);
                    names.push(name.value.clone());
                }
                _ => self.not_understood("a part of a column as a target"),
            }
        }
        Some(names)
    }

    /// A column of the target; one that does not exist is refused.
    fn target_column<'t>(&mut self, target: &'t Target, name: &Ident) -> Option<&'t RelationColumn> {
        self.look_at(name);
        let relation = target.relation.as_deref()?;
        let column = relation.column(&name.value);
        if column.is_none() && relation.columns_known {
            self.refuse(Reason::UndefinedColumn {
                name: format!("\"{}\" of relation \"{}\"", name.value, relation.name.name),
            });
        }
        column
    }

    fn insert_source(&mut self, target: &Target, columns: Option<&[String]>, query: &Query, env: &Env<'_>) {
        let plain_values = query.with.is_none()
            && query.order_by.is_none()
            && query.limit_clause.is_none()
            && query.fetch.is_none()
            && query.locks.is_empty();
        let width = match &*query.body {
            SetExpr::Values(Values { explicit_row: false, value_keyword: false, rows }) if plain_values => {
                for row in rows {
                    for (position, value) in row.content.iter().enumerate() {
                        let name = inserted(target, columns, position);
                        self.assign_expr(target, name.as_deref(), value, env);
                    }
                }
                rows.iter().map(|row| row.content.len()).min().unwrap_or_default()
            }
            _ => {
                let output = self.query(query, env);
                if !output.complete && target.relation.as_ref().is_some_and(|relation| relation.has_sealed())
                {
                    self.not_understood("INSERT from a query whose columns are not known");
                }
                for (position, column) in output.list.iter().enumerate() {
                    let name = inserted(target, columns, position);
                    self.assign(target, name.as_deref(), &column.ty);
                }
                output.list.len()
            }
        };
        let given: Vec<String> =
            (0..width).filter_map(|position| inserted(target, columns, position)).collect();
        self.defaulted(target, &given);
    }

    /// Checks the defaults of the columns that an INSERT does not name.
    fn defaulted(&mut self, target: &Target, given: &[String]) {
        let Some(relation) = target.relation.clone() else { return };
        for column in &relation.columns {
            if !given.contains(&column.name) {
                self.default(column);
            }
        }
    }

    fn default(&mut self, column: &RelationColumn) {
        if let OutputValue::Sealed(class) = &column.value
            && !column.default_is_sealed
        {
            self.refuse(Reason::PlainDefault { column: class.column.clone() });
        }
    }

    /// Stores an expression, or DEFAULT, in a column of the target.
    fn assign_expr(&mut self, target: &Target, column: Option<&str>, value: &Expr, env: &Env<'_>) {
        if is_default(value) {
            let column = column.and_then(|name| target.relation.as_ref()?.column(name)).cloned();
            if let Some(column) = column {
                if let Expr::Identifier(ident) = value {
                    self.look_at(ident);
                }
                self.default(&column);
            }
            return;
        }
        let stored =
            column.and_then(|name| target.relation.as_ref()?.column(name)).map(|column| &column.value);
        if let Some(OutputValue::Sealed(class)) = stored
            && self.store_array(&Arc::clone(class), value)
        {
            return;
        }
        let ty = self.expr(value, env);
        self.assign(target, column, &ty);
    }

    /// Stores a value in a column of the target.
    fn assign(&mut self, target: &Target, column: Option<&str>, ty: &Ty) {
        let found =
            column.and_then(|name| target.relation.as_ref()?.column(name)).map(|column| ty_of(&column.value));
        match found {
            Some(stored @ Ty::Sealed(_)) => {
                self.stores = true;
                if let Err(reason) = self.inference.meet(&stored, ty, Meeting::Store, "an assignment") {
                    let reason = match (*reason, &stored) {
                        (Reason::MeetsPlain { .. }, Ty::Sealed(class)) => {
                            Reason::PlainStored { column: class.column.clone() }
                        }
                        (reason, _) => reason,
                    };
                    self.refuse(reason);
                }
            }
            Some(_) | None => {
                let target = column.unwrap_or("?").to_owned();
                let refusal = |class: &Class| Reason::StoredInPlain { column: class.column.clone(), target };
                if let Err(reason) = self.inference.plain(ty, refusal) {
                    self.refuse(reason);
                }
            }
        }
    }

    fn on_conflict(&mut self, target: &Target, conflict: &OnConflict, env: &Env<'_>) {
        let OnConflict { conflict_target, action } = conflict;
        let from = From::single(target.entry.clone());
        let scope = Scope { from: &from, outer: env.outer };
        let inner = Env { outer: Some(&scope), ctes: env.ctes.clone() };
        match conflict_target {
            None | Some(ConflictTarget::OnConstraint(_)) => {}
            Some(ConflictTarget::Columns { columns, predicate }) => {
                for column in columns {
                    if let Some(column) = self.target_column(target, column) {
                        let ty = ty_of(&column.value);
                        self.comparable(&ty, Meeting::Equality, "ON CONFLICT");
                    }
                }
                self.condition(predicate.as_ref(), &inner, "ON CONFLICT ... WHERE");
            }
        }
        match action {
            OnConflictAction::DoNothing => {}
            OnConflictAction::DoUpdate(DoUpdate { assignments, selection }) => {
                let mut excluded = target.entry.clone();
                excluded.name = "excluded".to_owned();
                excluded.relation = None;
                // EXCLUDED only has qualified names.
                let mut from = from.clone();
                from.entries.push(excluded);
                let scope = Scope { from: &from, outer: env.outer };
                let env = Env { outer: Some(&scope), ctes: env.ctes.clone() };
                self.assignments(target, assignments, &env);
                self.condition(selection.as_ref(), &env, "WHERE");
            }
        }
    }

    fn assignments(&mut self, target: &Target, assignments: &[Assignment], env: &Env<'_>) {
        for Assignment { target: names, value } in assignments {
            let (names, is_row) = match names {
                AssignmentTarget::ColumnName(name) => (std::slice::from_ref(name), false),
                AssignmentTarget::Tuple(names) => (names.as_slice(), true),
            };
            let mut columns = Vec::new();
            for name in names {
                match self.parts(name).as_deref() {
                    Some([name]) => {
                        self.target_column(target, name);
                        columns.push(name.value.clone());
                    }
                    _ => self.not_understood("a part of a column as a target"),
                }
            }
            match (columns.as_slice(), value) {
                ([column], value) if !is_row => self.assign_expr(target, Some(column), value, env),
                (columns, Expr::Tuple(values)) if columns.len() == values.len() => {
                    for (column, value) in columns.iter().zip(values) {
                        self.assign_expr(target, Some(column), value, env);
                    }
                }
                (columns, value) => match (self.expr(value, env), columns) {
                    (Ty::Row(types), columns) if types.len() == columns.len() => {
                        for (column, ty) in columns.iter().zip(&types) {
                            self.assign(target, Some(column), ty);
                        }
                    }
                    (ty, [column]) => self.assign(target, Some(column), &ty),
                    _ => self.not_understood("an assignment of a row"),
                },
            }
        }
    }

    fn update(&mut self, update: &Update, env: &Env<'_>) -> Columns {
        let Update {
            update_token: _,
            optimizer_hints: _,
            table,
            on_cluster,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
            settings,
        } = update;
        let foreign = on_cluster.is_some()
            || output.is_some()
            || or.is_some()
            || !order_by.is_empty()
            || limit.is_some()
            || settings.is_some()
            || !table.joins.is_empty();
        self.foreign(foreign, "a clause of UPDATE that PostgreSQL does not have");
        let Some(target) = self.target_item(&table.relation) else { return Columns::opaque() };
        let others = match from {
            None => From::nothing(),
            Some(UpdateTableFromKind::AfterSet(tables)) => self.from(tables, env),
            Some(UpdateTableFromKind::BeforeSet(_)) => {
                self.not_understood("UPDATE ... FROM before SET");
                From::nothing()
            }
        };
        let from = From::single(target.entry.clone()).and(others);
        let scope = Scope { from: &from, outer: env.outer };
        let inner = Env { outer: Some(&scope), ctes: env.ctes.clone() };
        self.in_assignment = true;
        self.assignments(&target, assignments, &inner);
        self.in_assignment = false;
        self.condition(selection.as_ref(), &inner, "WHERE");
        self.returning(returning.as_deref(), &from, env)
    }

    fn delete(&mut self, delete: &Delete, env: &Env<'_>) -> Columns {
        let Delete {
            delete_token: _,
            optimizer_hints: _,
            tables,
            from,
            on_cluster,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
            settings,
        } = delete;
        let foreign = !tables.is_empty()
            || on_cluster.is_some()
            || output.is_some()
            || !order_by.is_empty()
            || limit.is_some()
            || settings.is_some();
        self.foreign(foreign, "a clause of DELETE that PostgreSQL does not have");
        let FromTable::WithFromKeyword(tables) = from else {
            self.not_understood("DELETE without FROM");
            return Columns::opaque();
        };
        let [TableWithJoins { relation, joins }] = tables.as_slice() else {
            self.not_understood("DELETE from several tables");
            return Columns::opaque();
        };
        self.foreign(!joins.is_empty(), "DELETE from a join");
        let Some(target) = self.target_item(relation) else { return Columns::opaque() };
        let others = match using {
            Some(tables) => self.from(tables, env),
            None => From::nothing(),
        };
        let from = From::single(target.entry).and(others);
        let scope = Scope { from: &from, outer: env.outer };
        let inner = Env { outer: Some(&scope), ctes: env.ctes.clone() };
        self.condition(selection.as_ref(), &inner, "WHERE");
        self.returning(returning.as_deref(), &from, env)
    }

    fn merge_into(&mut self, merge: &Merge, env: &Env<'_>) -> Columns {
        let Merge { merge_token: _, optimizer_hints: _, into, table, source, on, clauses, output } = merge;
        self.foreign(!into, "MERGE without INTO");
        let Some(target) = self.target_item(table) else { return Columns::opaque() };
        let source = self.item(source, &From::nothing(), env);
        let both = From::single(target.entry.clone()).and(source.clone());
        let scope = Scope { from: &both, outer: env.outer };
        let inner = Env { outer: Some(&scope), ctes: env.ctes.clone() };
        self.truth(on, &inner, "ON");
        for MergeClause { when_token: _, clause_kind: _, predicate, action } in clauses {
            self.condition(predicate.as_ref(), &inner, "WHEN");
            match action {
                MergeAction::Delete { .. } | MergeAction::DoNothing { .. } => {}
                MergeAction::Update(MergeUpdateExpr {
                    update_token: _,
                    kind,
                    update_predicate,
                    delete_predicate,
                }) => {
                    self.foreign(
                        update_predicate.is_some() || delete_predicate.is_some(),
                        "a clause of MERGE that PostgreSQL does not have",
                    );
                    match kind {
                        MergeUpdateKind::Set(assignments) => self.assignments(&target, assignments, &inner),
                        MergeUpdateKind::Wildcard => self.not_understood("UPDATE *"),
                    }
                }
                MergeAction::Insert(MergeInsertExpr {
                    insert_token: _,
                    columns,
                    kind_token: _,
                    kind,
                    insert_predicate,
                }) => {
                    self.foreign(insert_predicate.is_some(), "INSERT ... WHERE in MERGE");
                    let columns = self.target_columns(&target, columns);
                    match kind {
                        MergeInsertKind::Values(Values {
                            explicit_row: false,
                            value_keyword: false,
                            rows,
                        }) => {
                            for row in rows {
                                let mut given = Vec::new();
                                for (position, value) in row.content.iter().enumerate() {
                                    let name = inserted(&target, columns.as_deref(), position);
                                    self.assign_expr(&target, name.as_deref(), value, &inner);
                                    given.extend(name);
                                }
                                self.defaulted(&target, &given);
                            }
                        }
                        MergeInsertKind::Values(_) | MergeInsertKind::Row | MergeInsertKind::Wildcard => {
                            self.not_understood("INSERT without VALUES in MERGE");
                        }
                    }
                }
            }
        }
        match output {
            None => Columns::of(Vec::new()),
            Some(OutputClause::Returning { .. } | OutputClause::Output { .. }) => {
                self.not_understood("MERGE ... RETURNING");
                Columns::opaque()
            }
        }
    }

    /// The target of UPDATE, DELETE or MERGE.
    fn target_item(&mut self, factor: &TableFactor) -> Option<Target> {
        let TableFactor::Table {
            name,
            alias,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_directives,
            inheritance: _,
        } = factor
        else {
            self.not_understood("a target that is no table");
            return None;
        };
        let renames = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty() || alias.at.is_some());
        let foreign =
            !with_hints.is_empty() || !partitions.is_empty() || !index_directives.is_empty() || renames;
        self.foreign(foreign, "a target that PostgreSQL does not have");
        Some(self.target(name, alias.as_ref().map(|alias| &alias.name)))
    }

    fn returning(&mut self, items: Option<&[SelectItem]>, from: &From, env: &Env<'_>) -> Columns {
        let Some(items) = items else { return Columns::of(Vec::new()) };
        let scope = Scope { from, outer: env.outer };
        self.projection(items, from, &Env { outer: Some(&scope), ctes: env.ctes.clone() })
    }
}

/// The column that the value at a position goes into.
fn inserted(target: &Target, columns: Option<&[String]>, position: usize) -> Option<String> {
    match columns {
        Some(columns) => columns.get(position).cloned(),
        None => target.relation.as_ref()?.columns.get(position).map(|column| column.name.clone()),
    }
}

/// DEFAULT in the place of a value, which the parser reads as a column.
fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value == "default"
        && Parsed::range(ident.span).is_some())
}
