//! Queries: WITH, SELECT, VALUES, set operations, and what FROM offers.

mod from;
mod output;

use output::without_origins;
use sqlparser::ast::{
    Cte, Distinct, Expr, Fetch, GroupByExpr, GroupByWithModifier, Ident, LimitClause, NamedWindowExpr,
    ObjectName, Offset, OrderBy, OrderByExpr, OrderByKind, Query, Select, SetExpr, SetOperator,
    SetQuantifier, Table, TableAlias, Value, Values, With,
};

use super::analysis::Analyzer;
use super::expr::level;
use super::lex::{self, Parsed};
use super::scope::{Column, Columns, Ctes, Env, From, Scope};
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
        let own = first.list.iter().map(|column| column.ty.clone());
        let own: Vec<Ty> = own.collect();
        let united = self.united(first, second, *set_quantifier, "UNION");
        // PostgreSQL asks for the type of the first query to be that of both.
        let pairs = own.into_iter().zip(united.list.iter().map(|column| column.ty.clone()));
        self.recursions.extend(pairs);
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
                if let Some(constant) = self.constant(value, None).and_then(|at| self.constants.get(at)) {
                    constant.is_read.set(true);
                }
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
}

/// EXCEPT ALL and INTERSECT ALL compare too.
fn distinct(quantifier: SetQuantifier) -> SetQuantifier {
    match quantifier {
        SetQuantifier::All | SetQuantifier::None => SetQuantifier::Distinct,
        other => other,
    }
}
