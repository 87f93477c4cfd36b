//! What FROM offers: relations, joins, subqueries and functions.

use sqlparser::ast::{
    FunctionArg, FunctionArgExpr, Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor,
    TableFunctionArgs, TableSample, TableSampleKind, TableSampleModifier, TableSampleQuantity,
    TableSampleSeed, TableSampleSeedModifier, TableWithJoins,
};

use crate::sql::analysis::{Analyzer, Named};
use crate::sql::expr::{argument, level};
use crate::sql::refusal::Reason;
use crate::sql::scope::{Column, Columns, Entry, Env, Found, From, Scope};
use crate::sql::types::{Meeting, Ty};

impl Analyzer<'_> {
    /// A FROM clause.
    pub(in crate::sql) fn from(&mut self, tables: &[TableWithJoins], env: &Env<'_>) -> From {
        let mut from = From::nothing();
        for table in tables {
            let item = self.joined(table, &from, env);
            from = from.and(item);
        }
        from
    }

    pub(super) fn joined(&mut self, table: &TableWithJoins, before: &From, env: &Env<'_>) -> From {
        let TableWithJoins { relation, joins } = table;
        let mut left = self.item(relation, before, env);
        for Join { relation, global, join_operator } in joins {
            self.foreign(*global, "GLOBAL JOIN");
            let visible = before.clone().and(left.clone());
            let right = self.item(relation, &visible, env);
            left = self.join(left, right, join_operator, env);
        }
        left
    }

    pub(super) fn join(&mut self, left: From, right: From, operator: &JoinOperator, env: &Env<'_>) -> From {
        let (constraint, kept) = match operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (constraint, Kept::Both),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (constraint, Kept::Left),
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                (constraint, Kept::Right)
            }
            JoinOperator::FullOuter(constraint) => (constraint, Kept::Full),
            JoinOperator::CrossJoin(constraint) => (constraint, Kept::Both),
            JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_)
            | JoinOperator::RightAnti(_)
            | JoinOperator::CrossApply
            | JoinOperator::OuterApply
            | JoinOperator::AsOf { .. }
            | JoinOperator::StraightJoin(_)
            | JoinOperator::ArrayJoin
            | JoinOperator::LeftArrayJoin
            | JoinOperator::InnerArrayJoin => {
                self.not_understood("a join that PostgreSQL does not have");
                return left.and(right);
            }
        };
        match constraint {
            JoinConstraint::None => left.and(right),
            JoinConstraint::On(condition) => {
                let from = left.and(right);
                let scope = Scope { from: &from, outer: env.outer };
                self.truth(condition, &Env { outer: Some(&scope), ctes: env.ctes.clone() }, "ON");
                from
            }
            JoinConstraint::Using(columns) => {
                let names = self.using(columns);
                self.merged_join(left, right, &names, kept)
            }
            JoinConstraint::UsingAlias(columns, alias) => {
                let names = self.using(columns);
                let mut from = self.merged_join(left, right, &names, kept);
                let list = from.columns.list.iter().take(names.len()).cloned().collect();
                from.entries.push(Entry {
                    name: alias.value.clone(),
                    relation: None,
                    has_system_columns: false,
                    columns: Columns::of(list),
                });
                from
            }
            JoinConstraint::Natural => {
                if !left.columns.complete || !right.columns.complete {
                    self.not_understood("a NATURAL JOIN with a relation whose columns are not known");
                }
                let common = left
                    .columns
                    .list
                    .iter()
                    .filter(|column| right.columns.list.iter().any(|other| other.name == column.name));
                let names: Vec<String> = common.map(|column| column.name.clone()).collect();
                self.merged_join(left, right, &names, kept)
            }
        }
    }

    pub(super) fn using(&mut self, columns: &[ObjectName]) -> Vec<String> {
        let mut names = Vec::new();
        for column in columns {
            match self.parts(column).as_deref() {
                Some([name]) => names.push(name.value.clone()),
                _ => self.not_understood("USING with a qualified name"),
            }
        }
        names
    }

    /// A join whose columns of these names are one.
    pub(super) fn merged_join(&mut self, left: From, right: From, names: &[String], kept: Kept) -> From {
        let mut list = Vec::new();
        for name in names {
            let find = |from: &From| match (Scope { from, outer: None }).column(name) {
                Found::Column(column) => Some(column.clone()),
                Found::Plain => Some(Column::plain(name)),
                Found::WholeRow(_) | Found::Ambiguous | Found::Nothing => None,
            };
            let (Some(a), Some(b)) = (find(&left), find(&right)) else {
                self.refuse(Reason::UndefinedColumn { name: format!("\"{name}\"") });
                continue;
            };
            let ty = self.meet(&a.ty, &b.ty, Meeting::Equality, "JOIN USING");
            // The column has the type that both become.
            let ty = match (&a.ty, &b.ty) {
                (Ty::Sealed(_), Ty::Sealed(_)) => self.meet(&a.ty, &b.ty, Meeting::Merge, "JOIN USING"),
                _ => ty,
            };
            list.push(merged_column(name, ty, &a, &b, kept));
        }
        let rest = |from: &From| -> Vec<Column> {
            from.columns.list.iter().filter(|column| !names.contains(&column.name)).cloned().collect()
        };
        list.extend(rest(&left));
        list.extend(rest(&right));
        let complete = left.columns.complete && right.columns.complete;
        let mut entries = left.entries;
        entries.extend(right.entries);
        From { entries, columns: Columns { list, complete } }
    }

    /// One item of FROM. `before` is what LATERAL may name.
    pub(in crate::sql) fn item(&mut self, factor: &TableFactor, before: &From, env: &Env<'_>) -> From {
        level(|| self.item_level(factor, before, env))
    }

    pub(super) fn item_level(&mut self, factor: &TableFactor, before: &From, env: &Env<'_>) -> From {
        let lateral = Scope { from: before, outer: env.outer };
        let lateral = Env { outer: Some(&lateral), ctes: env.ctes.clone() };
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_directives,
                inheritance: _,
            } => {
                let foreign = !with_hints.is_empty()
                    || version.is_some()
                    || !partitions.is_empty()
                    || json_path.is_some()
                    || !index_directives.is_empty();
                self.foreign(foreign, "an item of FROM that PostgreSQL does not have");
                self.sample(sample.as_ref(), env);
                if let Some(TableFunctionArgs { args, settings }) = args {
                    self.foreign(settings.is_some(), "SETTINGS");
                    return self.function_item(name, args, *with_ordinality, alias.as_ref(), &lateral);
                }
                self.foreign(*with_ordinality, "WITH ORDINALITY on a relation");
                self.relation_item(name, alias.as_ref(), env)
            }
            TableFactor::Derived { lateral: is_lateral, subquery, alias, sample } => {
                self.sample(sample.as_ref(), env);
                let columns = self.query(subquery, if *is_lateral { &lateral } else { env });
                self.settle(&columns);
                self.aliased(columns, alias.as_ref(), "")
            }
            TableFactor::Function { lateral: _, name, args, with_ordinality, alias } => {
                self.function_item(name, args, *with_ordinality, alias.as_ref(), &lateral)
            }
            TableFactor::UNNEST { alias, array_exprs, with_offset, with_offset_alias, with_ordinality } => {
                self.foreign(*with_offset || with_offset_alias.is_some(), "WITH OFFSET");
                let mut list = Vec::new();
                for expr in array_exprs {
                    let array = self.expr(expr, &lateral);
                    let ty = self.element(&array, "function unnest");
                    list.push(Column { name: "unnest".to_owned(), ty, origin: None, physical: None });
                }
                let mut columns = Columns::of(list);
                self.settle(&columns);
                // Of rows, their fields come out.
                let single = columns.list.len() == 1;
                let opaque = columns.list.iter().any(|column| matches!(column.ty, Ty::Plain)) && single;
                let renames = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
                if let (true, Some(alias), Some(column)) = (single, alias, columns.list.first_mut()) {
                    column.name = alias.name.value.clone();
                }
                columns.complete = !opaque || renames;
                if *with_ordinality {
                    columns.list.push(Column::plain("ordinality"));
                }
                self.aliased(columns, alias.as_ref(), "unnest")
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let from = self.joined(table_with_joins, before, env);
                match alias {
                    None => from,
                    Some(alias) => {
                        let columns = self.renamed(from.columns, alias);
                        From::single(Entry {
                            name: alias.name.value.clone(),
                            relation: None,
                            has_system_columns: false,
                            columns,
                        })
                    }
                }
            }
            TableFactor::TableFunction { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::SemanticView { .. } => {
                self.not_understood("this item of FROM");
                From { entries: Vec::new(), columns: Columns::opaque() }
            }
        }
    }

    pub(super) fn sample(&mut self, sample: Option<&TableSampleKind>, env: &Env<'_>) {
        let Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) =
            sample
        else {
            return;
        };
        let TableSample { modifier, name, quantity, seed, bucket, offset } = &**sample;
        let TableSampleModifier::TableSample = modifier else {
            return self.not_understood("SAMPLE");
        };
        let is_foreign = bucket.is_some() || offset.is_some() || name.is_none();
        self.foreign(is_foreign, "a clause of TABLESAMPLE that PostgreSQL does not have");
        if let Some(TableSampleQuantity { parenthesized, value, unit }) = quantity {
            self.foreign(
                !parenthesized || unit.is_some(),
                "a form of TABLESAMPLE that PostgreSQL does not have",
            );
            self.plain_expr(value, env, "TABLESAMPLE");
        }
        if let Some(TableSampleSeed { modifier, value }) = seed {
            let is_foreign = !matches!(modifier, TableSampleSeedModifier::Repeatable);
            self.foreign(is_foreign, "SEED");
            if let Some(constant) = self.constant(value, None)
                && let Some(ty) = self.constants.get(constant).map(|constant| constant.ty.clone())
            {
                self.plain(&ty, "TABLESAMPLE");
            }
        }
    }

    /// A relation or a table of WITH as an item of FROM.
    pub(in crate::sql) fn relation_item(
        &mut self,
        name: &ObjectName,
        alias: Option<&TableAlias>,
        env: &Env<'_>,
    ) -> From {
        let alias_name = alias.map(|alias| &alias.name);
        let mut entry = match self.named(name, &env.ctes) {
            Named::Relation(relation) => self.entry(&relation, alias_name),
            Named::Cte(name, columns) => Entry {
                name: alias_name.map_or(name, |alias| alias.value.clone()),
                relation: None,
                has_system_columns: false,
                columns,
            },
            Named::Unknown(name) => Entry {
                name: alias_name.map_or(name, |alias| alias.value.clone()),
                relation: None,
                has_system_columns: true,
                columns: Columns::opaque(),
            },
        };
        if let Some(alias) = alias {
            entry.columns = self.renamed(entry.columns, alias);
        }
        From::single(entry)
    }

    /// A function as an item of FROM.
    pub(super) fn function_item(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
        with_ordinality: bool,
        alias: Option<&TableAlias>,
        env: &Env<'_>,
    ) -> From {
        let own = self.called(name);
        let shown = name.to_string();
        let mut types = Vec::new();
        for arg in args {
            match argument(arg) {
                FunctionArgExpr::Expr(expr) => types.push(self.expr(expr, env)),
                FunctionArgExpr::QualifiedWildcard(_)
                | FunctionArgExpr::Wildcard
                | FunctionArgExpr::WildcardWithOptions(_) => self.not_understood("* as an argument"),
            }
        }
        let ty = match self.declared(name) {
            Some(declared) => {
                let named = args.iter().any(|arg| !matches!(arg, FunctionArg::Unnamed(_)));
                self.foreign(named, "named arguments of a function of the policy");
                self.declared_result(&declared, &shown, &types)
            }
            None => self.result(own.as_deref(), &shown, types),
        };
        let own_name = own.unwrap_or_default();
        let name = alias.map_or_else(|| own_name.clone(), |alias| alias.name.value.clone());
        let scalar = matches!(
            own_name.as_str(),
            "generate_series"
                | "unnest"
                | "regexp_split_to_table"
                | "string_to_table"
                | "generate_subscripts"
        );
        let renames = alias.is_some_and(|alias| !alias.columns.is_empty());
        let mut columns = if scalar || renames || self.inference.sealed_in(&ty).is_some() {
            Columns { list: vec![Column { name, ty, origin: None, physical: None }], complete: scalar }
        } else {
            Columns::opaque()
        };
        self.settle(&columns);
        if with_ordinality {
            columns.list.push(Column::plain("ordinality"));
        }
        self.aliased(columns, alias, &own_name)
    }

    pub(super) fn aliased(&mut self, columns: Columns, alias: Option<&TableAlias>, name: &str) -> From {
        let (name, columns) = match alias {
            Some(alias) => (alias.name.value.clone(), self.renamed(columns, alias)),
            None => (name.to_owned(), columns),
        };
        From::single(Entry { name, relation: None, has_system_columns: false, columns })
    }

    /// Columns under the names that an alias gives to the first of them.
    pub(super) fn renamed(&mut self, mut columns: Columns, alias: &TableAlias) -> Columns {
        let TableAlias { explicit: _, name: _, columns: names, at } = alias;
        self.foreign(at.is_some(), "AT");
        for (position, def) in names.iter().enumerate() {
            self.foreign(def.data_type.is_some(), "a list of column definitions");
            match columns.list.get_mut(position) {
                Some(column) => column.name.clone_from(&def.name.value),
                None if columns.complete => {
                    self.not_understood("more aliases than columns");
                    return columns;
                }
                None => columns.list.push(Column::plain(def.name.value.clone())),
            }
        }
        columns
    }
}

/// Which side of a join keeps its rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Both,
    Left,
    Right,
    Full,
}

/// The column that two make by USING, and where the server says that it comes from: from the left one, or in a
/// RIGHT JOIN from the right one, unless it has to be cast; in a FULL JOIN from neither.
///
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/parser/parse_clause.c> (buildMergedJoinVar)
pub(super) fn merged_column(name: &str, ty: Ty, a: &Column, b: &Column, kept: Kept) -> Column {
    let same = a.physical == b.physical;
    let source = match kept {
        Kept::Both | Kept::Left => Some(a),
        Kept::Right => Some(b),
        Kept::Full => None,
    };
    let source = source.filter(|_| same);
    Column {
        name: name.to_owned(),
        ty,
        origin: source.and_then(|column| column.origin),
        physical: source.and_then(|column| column.physical),
    }
}
