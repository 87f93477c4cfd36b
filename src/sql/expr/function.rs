//! Calls: which functions hand encrypted values on, and what they give.

use std::sync::Arc;

use sqlparser::ast::{
    DuplicateTreatment, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    ObjectName, OrderByExpr, WindowFrameBound, WindowSpec, WindowType,
};

use crate::catalog::Class;
use crate::datum::{Base, Type};
use crate::sql::analysis::Analyzer;
use crate::sql::refusal::Reason;
use crate::sql::schema::DeclaredFunction;
use crate::sql::scope::Env;
use crate::sql::types::{Meeting, Ty, bare};

impl Analyzer<'_> {
    /// A function call, aggregate or window function.
    pub(in crate::sql) fn function(&mut self, function: &Function, env: &Env<'_>) -> Ty {
        let Function {
            name,
            uses_odbc_syntax,
            parameters,
            args,
            within_group,
            filter,
            null_treatment: _,
            over,
        } = function;
        self.foreign(*uses_odbc_syntax, "{fn ...}");
        self.foreign(!matches!(parameters, FunctionArguments::None), "a function with parameters");
        let own = self.called(name);
        let at = self.at;
        let shown = name.to_string();
        let mut types = Vec::new();
        let mut whole_rows = false;
        match args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(query) => {
                let ty = self.subquery(query, env);
                return match own.as_deref() {
                    Some("array") => self.array_of(ty, "ARRAY"),
                    Some(_) | None => {
                        self.plain(&ty, &format!("function {shown}"));
                        Ty::Plain
                    }
                };
            }
            FunctionArguments::List(list) => {
                for arg in &list.args {
                    match argument(arg) {
                        FunctionArgExpr::Expr(expr) if is_boolean_aggregate(own.as_deref()) => {
                            self.truth(expr, env, &format!("function {shown}"));
                        }
                        FunctionArgExpr::Expr(expr) => types.push(self.expr(expr, env)),
                        FunctionArgExpr::Wildcard => {}
                        FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::WildcardWithOptions(_) => {
                            whole_rows = true;
                        }
                    }
                }
                if let Some(DuplicateTreatment::Distinct) = list.duplicate_treatment {
                    // array_agg(DISTINCT) gives its elements sorted.
                    let how = match own.as_deref() {
                        Some("count") => Meeting::Equality,
                        Some(_) | None => Meeting::Order,
                    };
                    for ty in &types {
                        self.comparable(ty, how, "DISTINCT");
                    }
                }
                for clause in &list.clauses {
                    match clause {
                        FunctionArgumentClause::IgnoreOrRespectNulls(_) => {}
                        FunctionArgumentClause::OrderBy(exprs) => self.sorted(exprs, env),
                        FunctionArgumentClause::Where(_)
                        | FunctionArgumentClause::Limit(_)
                        | FunctionArgumentClause::OnOverflow(_)
                        | FunctionArgumentClause::Having(_)
                        | FunctionArgumentClause::Separator(_)
                        | FunctionArgumentClause::JsonNullClause(_)
                        | FunctionArgumentClause::JsonReturningClause(_) => {
                            self.not_understood(format!("a clause of function {shown}"));
                        }
                    }
                }
            }
        }
        self.foreign(whole_rows, "a row as an argument");
        let is_positional = match args {
            FunctionArguments::List(list) => {
                list.args.iter().all(|arg| matches!(arg, FunctionArg::Unnamed(_)))
            }
            FunctionArguments::None | FunctionArguments::Subquery(_) => true,
        };
        self.sorted(within_group, env);
        self.condition(filter.as_deref(), env, "FILTER");
        if let Some(WindowType::WindowSpec(spec)) = over {
            self.window(spec, env);
        }
        self.at = at;
        match self.declared(name) {
            Some(declared) => {
                self.foreign(!is_positional, "named arguments of a function of the policy");
                self.declared_result(&declared, &shown, &types)
            }
            None => self.result(own.as_deref(), &shown, types),
        }
    }

    /// The function of the policy that a call means.
    pub(in crate::sql) fn declared(&mut self, name: &ObjectName) -> Option<Arc<DeclaredFunction>> {
        let parts = self.parts(name)?;
        let names: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
        let declared = self.schema.declared_function(&names, self.search_path)?;
        self.protected.get_or_insert_with(|| declared.name.to_string());
        Some(declared)
    }

    /// A call of a function of the policy: what it takes is stored, what it gives is as declared.
    pub(in crate::sql) fn declared_result(
        &mut self,
        function: &DeclaredFunction,
        shown: &str,
        types: &[Ty],
    ) -> Ty {
        let construct = format!("function {shown}");
        for (position, ty) in types.iter().enumerate() {
            match function.arguments.get(position) {
                Some(Some(class)) => {
                    self.meet(&Ty::Sealed(Arc::clone(class)), ty, Meeting::Store, &construct);
                }
                Some(None) | None => self.plain(ty, &construct),
            }
        }
        function.returns.as_ref().map_or(Ty::Plain, |class| Ty::Sealed(Arc::clone(class)))
    }

    /// The type of a call of a function by the types of its arguments.
    pub(in crate::sql) fn result(&mut self, own: Option<&str>, shown: &str, types: Vec<Ty>) -> Ty {
        let construct = format!("function {shown}");
        match (own, types.as_slice()) {
            (Some("count" | "grouping" | "num_nulls" | "num_nonnulls"), _) => Ty::Plain,
            (Some("coalesce"), _) => self.merged(&types, Meeting::Merge, "COALESCE"),
            (Some("nullif"), [left, right]) => {
                let ty = self.meet(left, right, Meeting::Equality, "NULLIF");
                self.alike.extend([(left.clone(), ty.clone()), (right.clone(), ty.clone())]);
                // The operator is that of text, and the result has its argument's type.
                match self.inference.resolve(&ty) {
                    Ty::Sealed(class) if class.ty.base == Base::Varchar => {
                        let ty = Type { base: Base::Text, modifier: -1 };
                        Ty::Sealed(Arc::new(Class { ty, ..Class::clone(&class) }))
                    }
                    _ => ty,
                }
            }
            (Some(name @ ("greatest" | "least")), _) => {
                let merged = self.merged(&types, Meeting::Order, &name.to_uppercase());
                self.merged(&types, Meeting::Merge, &name.to_uppercase());
                merged
            }
            (Some("row"), _) => Ty::Row(types),
            (Some("array_agg"), [ty]) if !matches!(self.inference.resolve(ty), Ty::Array(_)) => {
                self.array_of(ty.clone(), &construct)
            }
            (Some("any_value" | "first_value" | "last_value"), [ty]) => bare(self.inference.resolve(ty)),
            (Some("nth_value"), [ty, number]) => {
                self.plain(number, &construct);
                bare(self.inference.resolve(ty))
            }
            (Some("lag" | "lead"), [ty, rest @ ..]) => {
                if let Some(offset) = rest.first() {
                    self.plain(offset, &construct);
                }
                let ty = match rest.get(1) {
                    Some(default) => self.meet(ty, default, Meeting::Merge, &construct),
                    None => ty.clone(),
                };
                bare(self.inference.resolve(&ty))
            }
            (Some("unnest"), [array]) => self.element(array, &construct),
            (
                Some("cardinality" | "array_length" | "array_upper" | "array_lower" | "array_ndims"),
                [array, rest @ ..],
            ) if matches!(self.inference.resolve(array), Ty::Array(_)) => {
                for ty in rest {
                    self.plain(ty, &construct);
                }
                Ty::Plain
            }
            _ => {
                for ty in &types {
                    let refusal = |class: &Class| Reason::Function {
                        name: shown.to_owned(),
                        column: class.column.clone(),
                    };
                    if let Err(reason) = self.inference.plain(ty, refusal) {
                        self.refuse(reason);
                    }
                }
                Ty::Plain
            }
        }
    }

    /// An array of these. One of arrays has one dimension more, which ciphertexts of whole arrays have not.
    pub(super) fn array_of(&mut self, element: Ty, construct: &str) -> Ty {
        if let Ty::Sealed(class) = self.inference.resolve(&element)
            && matches!(class.ty.base, Base::Array(_))
        {
            let (construct, column) = (construct.to_owned(), class.column.clone());
            self.refuse(Reason::Construct { construct, column });
        }
        Ty::Array(Box::new(element))
    }

    /// The element of an array that is handed on one by one.
    pub(in crate::sql) fn element(&mut self, array: &Ty, construct: &str) -> Ty {
        match self.inference.resolve(array) {
            Ty::Array(element) => bare(*element),
            Ty::Var(_) => {
                let element = self.inference.fresh();
                self.meet(array, &Ty::Array(Box::new(element.clone())), Meeting::Merge, construct);
                element
            }
            other @ (Ty::Plain | Ty::Sealed(_) | Ty::Row(_)) => {
                self.plain(&other, construct);
                Ty::Plain
            }
        }
    }

    pub(super) fn merged(&mut self, types: &[Ty], how: Meeting, construct: &str) -> Ty {
        let Some((first, rest)) = types.split_first() else { return self.inference.fresh() };
        self.comparable(first, how, construct);
        let merged = rest.iter().fold(first.clone(), |merged, ty| self.meet(&merged, ty, how, construct));
        // What is unknown in all of them has become text.
        self.inference.settle_as_text(&merged);
        merged
    }

    /// The name of a function of PostgreSQL's own, after checks on what the call may reach.
    pub(in crate::sql) fn called(&mut self, name: &ObjectName) -> Option<String> {
        let parts = self.parts(name)?;
        let names: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
        if let Some(function) = self.schema.reaching_function(&names, self.search_path) {
            self.protected.get_or_insert_with(|| function.clone());
            self.refuse(Reason::ReachingFunction { name: function });
        }
        let own = match names.as_slice() {
            [name] | ["pg_catalog", name] => Some((*name).to_owned()),
            _ => None,
        };
        let is_known = own.as_deref().is_some_and(changes_nothing);
        self.changes |= !is_known;
        self.looked_up |= !is_known;
        if !is_known {
            self.runner.get_or_insert_with(|| names.join("."));
        }
        self.effects = self.effects.and(self.schema.function_effects(&names, self.search_path));
        own
    }

    pub(in crate::sql) fn sorted(&mut self, exprs: &[OrderByExpr], env: &Env<'_>) {
        for OrderByExpr { expr, options: _, with_fill } in exprs {
            self.foreign(with_fill.is_some(), "WITH FILL");
            let ty = self.expr(expr, env);
            self.comparable(&ty, Meeting::Order, "ORDER BY");
            self.settle_row(&ty);
        }
    }

    pub(in crate::sql) fn window(&mut self, spec: &WindowSpec, env: &Env<'_>) {
        let WindowSpec { window_name: _, partition_by, order_by, window_frame } = spec;
        for expr in partition_by {
            let ty = self.expr(expr, env);
            self.comparable(&ty, Meeting::Equality, "PARTITION BY");
        }
        self.sorted(order_by, env);
        if let Some(frame) = window_frame {
            for bound in [Some(&frame.start_bound), frame.end_bound.as_ref()].into_iter().flatten() {
                match bound {
                    WindowFrameBound::CurrentRow => {}
                    WindowFrameBound::Preceding(bound) | WindowFrameBound::Following(bound) => {
                        self.condition(bound.as_deref(), env, "a window frame");
                    }
                }
            }
        }
    }

    /// A row that is handed to the server as one value is compared by order and may not hold ciphertext
    /// beyond what was proved.
    pub(super) fn settle_row(&mut self, ty: &Ty) {
        if let Ty::Row(_) = self.inference.resolve(ty) {
            self.plain(ty, "a row");
        }
    }
}

fn is_boolean_aggregate(function: Option<&str>) -> bool {
    matches!(function, Some("bool_and" | "bool_or" | "every"))
}

/// The expression of an argument, named or not.
pub(in crate::sql) fn argument(arg: &FunctionArg) -> &FunctionArgExpr {
    match arg {
        FunctionArg::Named { arg, .. } | FunctionArg::ExprNamed { arg, .. } | FunctionArg::Unnamed(arg) => {
            arg
        }
    }
}

/// Functions of PostgreSQL's own that change nothing, so that a SELECT that calls them may be answered by an
/// error at any row.
pub(super) fn changes_nothing(function: &str) -> bool {
    const NAMES: [&str; 78] = [
        "abs",
        "age",
        "any_value",
        "array",
        "array_agg",
        "array_length",
        "array_lower",
        "array_ndims",
        "array_to_string",
        "array_upper",
        "avg",
        "bool_and",
        "bool_or",
        "btrim",
        "cardinality",
        "ceil",
        "ceiling",
        "char_length",
        "coalesce",
        "concat",
        "concat_ws",
        "count",
        "cume_dist",
        "current_catalog",
        "current_date",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "date_part",
        "date_trunc",
        "dense_rank",
        "every",
        "exp",
        "extract",
        "first_value",
        "floor",
        "format",
        "generate_series",
        "greatest",
        "initcap",
        "json_agg",
        "json_build_object",
        "jsonb_agg",
        "jsonb_build_object",
        "lag",
        "last_value",
        "lead",
        "least",
        "left",
        "length",
        "localtime",
        "localtimestamp",
        "lower",
        "lpad",
        "ltrim",
        "max",
        "md5",
        "min",
        "mod",
        "now",
        "nth_value",
        "ntile",
        "nullif",
        "num_nonnulls",
        "num_nulls",
        "percent_rank",
        "power",
        "rank",
        "replace",
        "right",
        "round",
        "row",
        "row_number",
        "string_agg",
        "sum",
        "to_char",
        "unnest",
    ];
    NAMES.binary_search(&function).is_ok()
        || matches!(function, "upper" | "trunc" | "substring" | "trim" | "version")
}
