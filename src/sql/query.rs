//! Queries: WITH, SELECT, VALUES, set operations, and what FROM offers.

use sqlparser::ast::{
    Cte, DataType, Distinct, Expr, Fetch, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    GroupByExpr, GroupByWithModifier, Ident, Join, JoinConstraint, JoinOperator, LimitClause,
    NamedWindowExpr, ObjectName, Offset, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Table, TableAlias, TableFactor,
    TableFunctionArgs, TableSampleKind, TableWithJoins, Value, Values, WildcardAdditionalOptions, With,
};

use super::analysis::{Analyzer, Named};
use super::expr::{argument, is_constant, level};
use super::lex::{self, Parsed};
use super::refusal::Reason;
use super::scope::{Column, Columns, Ctes, Entry, Env, Found, From, Origin, Physical, Scope};
use super::typename::{BYTEA, TEXT, VARCHAR};
use super::types::{Meeting, Ty};

impl Analyzer<'_> {
    /// A query's output.
    pub(super) fn query(&mut self, query: &Query, env: &Env<'_>) -> Columns {
        level(|| self.query_level(query, env))
    }

    fn query_level(&mut self, query: &Query, env: &Env<'_>) -> Columns {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        self.foreign(for_clause.is_some(), "FOR XML or JSON");
        self.foreign(settings.is_some() || format_clause.is_some(), "SETTINGS");
        self.foreign(!pipe_operators.is_empty(), "|>");
        self.changes |= !locks.is_empty();
        let ctes = self.with(with.as_ref(), env);
        let env = Env { outer: env.outer, ctes };
        let order = self.order(order_by.as_ref());
        let columns = match &**body {
            SetExpr::Select(select) => self.select(select, order, &env),
            body => {
                let columns = self.set_expr(body, &env);
                self.sorted_output(order, &columns, None, &env);
                columns
            }
        };
        match limit_clause {
            None => {}
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
                self.foreign(!limit_by.is_empty(), "LIMIT BY");
                self.condition(limit.as_ref(), &env, "LIMIT");
                if let Some(Offset { value, rows: _ }) = offset {
                    self.plain_expr(value, &env, "OFFSET");
                }
            }
            Some(LimitClause::OffsetCommaLimit { .. }) => self.not_understood("LIMIT with a comma"),
        }
        if let Some(Fetch { with_ties: _, percent, quantity }) = fetch {
            self.foreign(*percent, "FETCH ... PERCENT");
            self.condition(quantity.as_ref(), &env, "FETCH");
        }
        columns
    }

    /// The tables that WITH makes.
    pub(super) fn with(&mut self, with: Option<&With>, env: &Env<'_>) -> Ctes {
        let mut ctes = env.ctes.clone();
        let Some(With { with_token: _, recursive, cte_tables }) = with else { return ctes };
        if *recursive && cte_tables.len() > 1 {
            // Each may name those that come later, whose types are not known yet.
            let ahead = cte_tables.iter().any(|cte| self.names_ahead(&cte.alias.name));
            self.foreign(ahead, "WITH RECURSIVE whose queries name later ones");
        }
        for Cte { alias, query, from, materialized: _, closing_paren_token: _ } in cte_tables {
            self.foreign(from.is_some(), "a CTE with FROM");
            let name = alias.name.value.clone();
            let columns = if *recursive {
                self.recursive(query, alias, &Env { outer: env.outer, ctes: ctes.clone() })
            } else {
                let columns = self.query(query, &Env { outer: env.outer, ctes: ctes.clone() });
                self.renamed(columns, alias)
            };
            self.settle(&columns);
            ctes = ctes.with(name, columns);
        }
        ctes
    }

    /// Whether a table of WITH RECURSIVE may be named before it is made.
    fn names_ahead(&self, made: &Ident) -> bool {
        let Some(range) = Parsed::range(made.span) else { return true };
        self.parsed.lexemes().iter().take_while(|lexeme| lexeme.start < range.start).any(|lexeme| {
            lexeme.is_identifier() && lex::identifier(lexeme, self.text).as_ref() == Some(&made.value)
        })
    }

    /// A query of WITH RECURSIVE: if it is a UNION, the right side sees the left one's columns.
    fn recursive(&mut self, query: &Query, alias: &TableAlias, env: &Env<'_>) -> Columns {
        let Query { with, body, order_by, limit_clause, fetch, locks, .. } = query;
        let SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier, right } = &**body else {
            // It may name itself in no other form, which PostgreSQL says better.
            let ctes = env.ctes.with(alias.name.value.clone(), Columns::opaque());
            let columns = self.query(query, &Env { outer: env.outer, ctes });
            return self.renamed(columns, alias);
        };
        self.foreign(
            order_by.is_some() || limit_clause.is_some() || fetch.is_some() || !locks.is_empty(),
            "ORDER BY or LIMIT in WITH RECURSIVE",
        );
        let ctes = self.with(with.as_ref(), env);
        let env = Env { outer: env.outer, ctes };
        let first = self.set_expr(left, &env);
        let first = without_origins(self.renamed(first, alias));
        self.settle(&first);
        let inner = Env { outer: env.outer, ctes: env.ctes.with(alias.name.value.clone(), first.clone()) };
        let second = self.set_expr(right, &inner);
        let united = self.united(first, second, *set_quantifier, "UNION");
        self.renamed(united, alias)
    }

    pub(super) fn set_expr(&mut self, body: &SetExpr, env: &Env<'_>) -> Columns {
        level(|| match body {
            SetExpr::Select(select) => self.select(select, Vec::new(), env),
            SetExpr::Query(query) => self.query(query, env),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let construct = match op {
                    SetOperator::Union => "UNION",
                    SetOperator::Except | SetOperator::Minus => "EXCEPT",
                    SetOperator::Intersect => "INTERSECT",
                };
                self.foreign(matches!(op, SetOperator::Minus), "MINUS");
                let left = self.set_operand(left, env);
                let right = self.set_operand(right, env);
                let quantifier = if matches!(op, SetOperator::Union) {
                    *set_quantifier
                } else {
                    distinct(*set_quantifier)
                };
                self.united(left, right, quantifier, construct)
            }
            SetExpr::Values(values) => self.values(values, env),
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => self.modification(statement, env).unwrap_or_else(|| {
                self.not_understood("this statement in a query");
                Columns::opaque()
            }),
            SetExpr::Table(table) => self.table(table, env),
        })
    }

    /// One side of a set operation. Of VALUES, what is unknown has become text by then.
    fn set_operand(&mut self, body: &SetExpr, env: &Env<'_>) -> Columns {
        let columns = self.set_expr(body, env);
        if let SetExpr::Values(_) = body {
            self.settle(&columns);
        }
        columns
    }

    fn united(
        &mut self,
        left: Columns,
        right: Columns,
        quantifier: SetQuantifier,
        construct: &str,
    ) -> Columns {
        let distinct = match quantifier {
            SetQuantifier::All => false,
            SetQuantifier::Distinct | SetQuantifier::None => true,
            SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName => {
                self.not_understood("a set operation BY NAME");
                true
            }
        };
        let complete = left.complete && right.complete && left.list.len() == right.list.len();
        if !complete {
            for column in left.list.iter().chain(&right.list) {
                self.plain(&column.ty, construct);
            }
            return Columns { list: left.list, complete: false };
        }
        let list = left.list.into_iter().zip(right.list).map(|(left, right)| {
            let ty = self.meet(&left.ty, &right.ty, Meeting::Merge, construct);
            self.inference.settle_as_text(&ty);
            if distinct {
                self.comparable(&ty, Meeting::Equality, construct);
            }
            Column { name: left.name, ty, origin: None, physical: None }
        });
        Columns::of(list.collect())
    }

    fn values(&mut self, values: &Values, env: &Env<'_>) -> Columns {
        let Values { explicit_row, value_keyword, rows } = values;
        self.foreign(*explicit_row || *value_keyword, "VALUES ROW");
        let mut columns: Vec<Ty> = Vec::new();
        for (number, row) in rows.iter().enumerate() {
            if number > 0 && row.content.len() != columns.len() {
                self.not_understood("VALUES lists of different lengths");
            }
            for (position, expr) in row.content.iter().enumerate() {
                let ty = self.expr(expr, env);
                match columns.get(position).cloned() {
                    None => columns.push(ty),
                    Some(column) => {
                        let merged = self.meet(&column, &ty, Meeting::Merge, "VALUES");
                        if let Some(slot) = columns.get_mut(position) {
                            *slot = merged;
                        }
                    }
                }
            }
        }
        let named = columns.into_iter().enumerate().map(|(position, ty)| Column {
            name: format!("column{}", position + 1),
            ty,
            origin: None,
            physical: None,
        });
        Columns::of(named.collect())
    }

    fn table(&mut self, table: &Table, env: &Env<'_>) -> Columns {
        let Table { table_name, schema_name } = table;
        let idents: Vec<Ident> = schema_name.iter().chain(table_name).cloned().collect();
        let from = self.relation_item(&ObjectName::from(idents), None, env);
        from.columns
    }

    fn select(&mut self, select: &Select, order: Vec<OrderByExpr>, env: &Env<'_>) -> Columns {
        let Select {
            select_token: _,
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor: _,
        } = select;
        let foreign = select_modifiers.is_some()
            || top.is_some()
            || exclude.is_some()
            || !lateral_views.is_empty()
            || prewhere.is_some()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || qualify.is_some()
            || value_table_mode.is_some();
        self.foreign(foreign, "a clause of SELECT that PostgreSQL does not have");
        if into.is_some() {
            self.changes = true;
            self.effects.catalog = true;
            self.not_understood("SELECT INTO");
        }
        let from = self.from(from, env);
        let scope = Scope { from: &from, outer: env.outer };
        let env = Env { outer: Some(&scope), ctes: env.ctes.clone() };
        let columns = self.projection(projection, &from, &env);
        self.condition(selection.as_ref(), &env, "WHERE");
        self.grouped(group_by, &columns, &env);
        self.condition(having.as_ref(), &env, "HAVING");
        for definition in named_window {
            match &definition.1 {
                NamedWindowExpr::NamedWindow(_) => {}
                NamedWindowExpr::WindowSpec(spec) => self.window(spec, &env),
            }
        }
        match distinct {
            None | Some(Distinct::All) => {}
            Some(Distinct::Distinct) => {
                self.settle(&columns);
                for column in &columns.list {
                    self.comparable(&column.ty, Meeting::Equality, "DISTINCT");
                }
            }
            Some(Distinct::On(exprs)) => {
                for expr in exprs {
                    let ty = self.output_or_expr(expr, &columns, true, &env);
                    self.comparable(&ty, Meeting::Equality, "DISTINCT ON");
                }
            }
        }
        self.sorted_output(order, &columns, Some(&scope), &env);
        columns
    }

    /// The expressions of ORDER BY.
    fn order(&mut self, order_by: Option<&OrderBy>) -> Vec<OrderByExpr> {
        match order_by {
            None => Vec::new(),
            Some(OrderBy { kind, interpolate }) => {
                self.foreign(interpolate.is_some(), "INTERPOLATE");
                match kind {
                    OrderByKind::Expressions(exprs) => exprs.clone(),
                    OrderByKind::All(_) => {
                        self.not_understood("ORDER BY ALL");
                        Vec::new()
                    }
                }
            }
        }
    }

    fn sorted_output(
        &mut self,
        order: Vec<OrderByExpr>,
        columns: &Columns,
        scope: Option<&Scope<'_>>,
        env: &Env<'_>,
    ) {
        let nothing = From::nothing();
        let empty = Scope { from: &nothing, outer: env.outer };
        let env = Env { outer: Some(scope.unwrap_or(&empty)), ctes: env.ctes.clone() };
        for OrderByExpr { expr, options: _, with_fill } in order {
            self.foreign(with_fill.is_some(), "WITH FILL");
            let ty = self.output_or_expr(&expr, columns, true, &env);
            self.comparable(&ty, Meeting::Order, "ORDER BY");
            if let Ty::Row(_) = ty {
                self.plain(&ty, "ORDER BY");
            }
        }
    }

    /// What an item of ORDER BY, GROUP BY or DISTINCT ON means: a position, the name of an output (which ORDER BY
    /// looks for first, GROUP BY last), or an expression.
    fn output_or_expr(&mut self, expr: &Expr, columns: &Columns, output_first: bool, env: &Env<'_>) -> Ty {
        match expr {
            Expr::Value(value) if matches!(value.value, Value::Number(..)) => {
                let Value::Number(number, _) = &value.value else { return Ty::Plain };
                self.constant(value, None);
                let position = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                match position.and_then(|position| columns.list.get(position)) {
                    Some(column) if columns.complete => column.ty.clone(),
                    _ => {
                        if columns.list.iter().any(|c| self.inference.sealed_in(&c.ty).is_some()) {
                            self.not_understood("a position in the output");
                        }
                        Ty::Plain
                    }
                }
            }
            Expr::Identifier(ident) => {
                let output = || columns.list.iter().filter(|column| column.name == ident.value);
                let is_input = || env.outer.is_some_and(|scope| scope.has_local(&ident.value));
                if output().next().is_none() || (!output_first && is_input()) {
                    return self.expr(expr, env);
                }
                self.look_at(ident);
                // Several outputs of one name are the same expression, or PostgreSQL refuses them.
                let sealed = output().find(|column| self.inference.sealed_in(&column.ty).is_some());
                sealed.or_else(|| output().next()).map_or(Ty::Plain, |column| column.ty.clone())
            }
            expr => self.expr(expr, env),
        }
    }

    fn grouped(&mut self, group_by: &GroupByExpr, columns: &Columns, env: &Env<'_>) {
        let (exprs, modifiers) = match group_by {
            GroupByExpr::Expressions(exprs, modifiers) => (exprs, modifiers),
            GroupByExpr::All(_) => return self.not_understood("GROUP BY ALL"),
        };
        for expr in exprs {
            let ty = self.output_or_expr(expr, columns, false, env);
            self.comparable(&ty, Meeting::Equality, "GROUP BY");
        }
        for modifier in modifiers {
            match modifier {
                GroupByWithModifier::GroupingSets(expr) => {
                    self.expr(expr, env);
                }
                GroupByWithModifier::Rollup | GroupByWithModifier::Cube | GroupByWithModifier::Totals => {
                    self.not_understood("GROUP BY ... WITH");
                }
            }
        }
    }

    /// A SELECT list or RETURNING.
    pub(super) fn projection(&mut self, items: &[SelectItem], from: &From, env: &Env<'_>) -> Columns {
        let mut columns = Columns::of(Vec::new());
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let name = output_name(expr).unwrap_or_else(|| "?column?".to_owned());
                    let before = self.constants.len();
                    columns.list.push(self.output(name, expr, env));
                    if is_constant(expr)
                        && let Some(constant) = self.constants.get_mut(before)
                    {
                        constant.is_output = true;
                    }
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    columns.list.push(self.output(alias.value.clone(), expr, env));
                }
                SelectItem::ExprWithAliases { .. } => {
                    self.not_understood("several aliases of one expression")
                }
                SelectItem::Wildcard(options) => {
                    self.star(options);
                    columns.list.extend(from.columns.list.iter().cloned());
                    columns.complete &= from.columns.complete;
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    self.star(options);
                    let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        self.not_understood("the fields of an expression");
                        continue;
                    };
                    let parts: Vec<Ident> =
                        self.parts(name).unwrap_or_default().into_iter().cloned().collect();
                    let found = env.outer.and_then(|scope| self.qualifier(scope, &parts)).cloned();
                    match found {
                        Some(entry) => {
                            columns.list.extend(entry.columns.list);
                            columns.complete &= entry.columns.complete;
                        }
                        None => {
                            let name = parts.last().map(|part| part.value.clone()).unwrap_or_default();
                            self.refuse(Reason::UndefinedAlias { name });
                        }
                    }
                }
            }
        }
        columns
    }

    fn star(&mut self, options: &WildcardAdditionalOptions) {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let foreign = opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some()
            || opt_alias.is_some();
        self.foreign(foreign, "* with options");
    }

    fn output(&mut self, name: String, expr: &Expr, env: &Env<'_>) -> Column {
        let ty = self.expr(expr, env);
        if let Ty::Row(_) = self.inference.resolve(&ty) {
            self.plain(&ty, "a row as one value");
        }
        let (origin, physical) = self.origin(expr, env);
        Column { name, ty, origin, physical }
    }

    /// Where the server says that an output comes from.
    fn origin(&self, expr: &Expr, env: &Env<'_>) -> (Option<Origin>, Option<Physical>) {
        let Some(scope) = env.outer else { return (None, None) };
        let found = match expr {
            Expr::Nested(inner) => return self.origin(inner, env),
            // PostgreSQL drops a cast to the type that a column has; one of a sealed column is sent as such.
            Expr::Cast { expr: inner, data_type, .. } => {
                let (origin, physical) = self.origin(inner, env);
                let changes_nothing = match physical {
                    Some((BYTEA, _)) => true,
                    Some((TEXT, _)) => matches!(data_type, DataType::Text),
                    Some((VARCHAR, _)) => {
                        matches!(data_type, DataType::Varchar(None) | DataType::CharacterVarying(None))
                    }
                    _ => false,
                };
                return if changes_nothing { (origin, physical) } else { (None, None) };
            }
            Expr::Identifier(ident) => scope.column(&ident.value),
            Expr::CompoundIdentifier(parts) => match parts.split_last() {
                Some((column, qualifiers)) => match self.qualifier(scope, qualifiers) {
                    Some(entry) => entry.column(&column.value),
                    None => Found::Nothing,
                },
                None => Found::Nothing,
            },
            _ => Found::Nothing,
        };
        match found {
            Found::Column(column) => (column.origin, column.physical),
            Found::Plain | Found::WholeRow(_) | Found::Ambiguous | Found::Nothing => (None, None),
        }
    }

    /// PostgreSQL reads what is unknown in the output of a subquery as text.
    pub(super) fn settle(&mut self, columns: &Columns) {
        for column in &columns.list {
            self.inference.settle_as_text(&column.ty);
        }
    }

    /// A FROM clause.
    pub(super) fn from(&mut self, tables: &[TableWithJoins], env: &Env<'_>) -> From {
        let mut from = From::nothing();
        for table in tables {
            let item = self.joined(table, &from, env);
            from = from.and(item);
        }
        from
    }

    fn joined(&mut self, table: &TableWithJoins, before: &From, env: &Env<'_>) -> From {
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

    fn join(&mut self, left: From, right: From, operator: &JoinOperator, env: &Env<'_>) -> From {
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
                self.plain_expr(condition, &Env { outer: Some(&scope), ctes: env.ctes.clone() }, "ON");
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

    fn using(&mut self, columns: &[ObjectName]) -> Vec<String> {
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
    fn merged_join(&mut self, left: From, right: From, names: &[String], kept: Kept) -> From {
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
    pub(super) fn item(&mut self, factor: &TableFactor, before: &From, env: &Env<'_>) -> From {
        level(|| self.item_level(factor, before, env))
    }

    fn item_level(&mut self, factor: &TableFactor, before: &From, env: &Env<'_>) -> From {
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
                self.sample(sample.as_ref());
                if let Some(TableFunctionArgs { args, settings }) = args {
                    self.foreign(settings.is_some(), "SETTINGS");
                    return self.function_item(name, args, *with_ordinality, alias.as_ref(), &lateral);
                }
                self.foreign(*with_ordinality, "WITH ORDINALITY on a relation");
                self.relation_item(name, alias.as_ref(), env)
            }
            TableFactor::Derived { lateral: is_lateral, subquery, alias, sample } => {
                self.sample(sample.as_ref());
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

    fn sample(&mut self, sample: Option<&TableSampleKind>) {
        self.foreign(sample.is_some(), "TABLESAMPLE");
    }

    /// A relation or a table of WITH as an item of FROM.
    pub(super) fn relation_item(
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
    fn function_item(
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

    fn aliased(&mut self, columns: Columns, alias: Option<&TableAlias>, name: &str) -> From {
        let (name, columns) = match alias {
            Some(alias) => (alias.name.value.clone(), self.renamed(columns, alias)),
            None => (name.to_owned(), columns),
        };
        From::single(Entry { name, relation: None, has_system_columns: false, columns })
    }

    /// Columns under the names that an alias gives to the first of them.
    fn renamed(&mut self, mut columns: Columns, alias: &TableAlias) -> Columns {
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
enum Kept {
    Both,
    Left,
    Right,
    Full,
}

/// The column that two make by USING, and where the server says that it comes from: from the left one, or in a
/// RIGHT JOIN from the right one, unless it has to be cast; in a FULL JOIN from neither.
///
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/parser/parse_clause.c> (buildMergedJoinVar)
fn merged_column(name: &str, ty: Ty, a: &Column, b: &Column, kept: Kept) -> Column {
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

fn without_origins(mut columns: Columns) -> Columns {
    for column in &mut columns.list {
        column.origin = None;
    }
    columns
}

/// EXCEPT ALL and INTERSECT ALL compare too.
fn distinct(quantifier: SetQuantifier) -> SetQuantifier {
    match quantifier {
        SetQuantifier::All | SetQuantifier::None => SetQuantifier::Distinct,
        other => other,
    }
}

/// The name that PostgreSQL gives to an output without an alias.
///
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/parser/parse_target.c> (FigureColname)
fn output_name(expr: &Expr) -> Option<String> {
    named(expr).map(|(name, _)| name)
}

/// A name and whether it is a strong one, which a cast does not replace.
fn named(expr: &Expr) -> Option<(String, bool)> {
    let strong = |name: &str| Some((name.to_owned(), true));
    match expr {
        Expr::Identifier(ident) => strong(&ident.value),
        Expr::CompoundIdentifier(parts) => strong(&parts.last()?.value),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => named(inner),
        Expr::Function(Function { name, args, .. }) => {
            let last = name.0.last()?.as_ident()?;
            match args {
                FunctionArguments::Subquery(_) | FunctionArguments::List(_) | FunctionArguments::None => {
                    strong(&last.value)
                }
            }
        }
        Expr::Cast { expr, data_type, .. } => match named(expr) {
            Some((name, true)) => Some((name, true)),
            _ => Some((type_label(&data_type.to_string()), false)),
        },
        Expr::TypedString(typed) => Some((type_label(&typed.data_type.to_string()), false)),
        Expr::Interval(_) => Some(("interval".to_owned(), false)),
        Expr::Case { else_result, .. } => match else_result.as_deref().and_then(named) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".to_owned(), false)),
        },
        Expr::Subquery(query) => match &*query.body {
            SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::ExprWithAlias { alias, .. } => strong(&alias.value),
                SelectItem::UnnamedExpr(expr) => named(expr),
                _ => None,
            },
            _ => None,
        },
        Expr::Exists { .. } => strong("exists"),
        Expr::Array(_) => strong("array"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Substring { .. } => strong("substring"),
        Expr::Position { .. } => strong("position"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        _ => None,
    }
}

fn type_label(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let base: String = name.chars().take_while(|c| *c != '(' && *c != '[').collect();
    match base.trim() {
        "integer" | "int" => "int4".to_owned(),
        "bigint" => "int8".to_owned(),
        "smallint" => "int2".to_owned(),
        "boolean" => "bool".to_owned(),
        "real" => "float4".to_owned(),
        "double precision" => "float8".to_owned(),
        "decimal" => "numeric".to_owned(),
        "character varying" => "varchar".to_owned(),
        "character" | "char" => "bpchar".to_owned(),
        "timestamp with time zone" => "timestamptz".to_owned(),
        "timestamp without time zone" => "timestamp".to_owned(),
        other => other.to_owned(),
    }
}
