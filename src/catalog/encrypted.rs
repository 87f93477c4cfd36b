//! The catalog as it will be once a policy's columns are encrypted, and what will stand in the way of that.

use std::collections::{BTreeMap, BTreeSet};

use super::{Attribute, Catalog, DependentKind, Finding, Grade, Relation};
use crate::datum::{Base, Oid, Type};
use crate::policy::{Column, ColumnName, Policy, Table, quote_ident, type_name};

/// `bytea`, which holds every sealed value.
const BYTEA: Oid = 17;

impl Catalog {
    /// The catalog as it will be once the columns of a policy are encrypted: they are of type `bytea`, those of
    /// partitions and children too. What depends on them stays as it is, for the analysis to judge, but for casts
    /// between text types, which PostgreSQL writes into views and expressions of a varchar: they go when it is made
    /// again for bytea.
    #[must_use]
    pub fn once_encrypted(&self, policy: &Policy) -> Self {
        let mut sealed: BTreeMap<Oid, BTreeSet<&str>> = BTreeMap::new();
        for relation in &self.relations {
            let Some(table) = policy.tables.get(&relation.name) else { continue };
            for oid in self.with_descendants(relation.oid) {
                sealed.entry(oid).or_default().extend(table.columns.keys().map(String::as_str));
            }
        }
        let mut planned = self.clone();
        let names: BTreeSet<&str> = sealed.values().flatten().copied().collect();
        for relation in &mut planned.relations {
            let expressions = relation.dependents.iter_mut().map(|dependent| &mut dependent.expression);
            for text in expressions.chain([&mut relation.definition]).flatten() {
                *text = without_casts(text, &names);
            }
        }
        for relation in &mut planned.relations {
            let Some(names) = sealed.get(&relation.oid) else { continue };
            let columns = relation.columns.iter_mut().filter(|column| names.contains(column.name.as_str()));
            for column in columns {
                column.type_oid = BYTEA;
                column.modifier = -1;
                column.nondeterministic_collation = false;
            }
        }
        planned
    }

    /// The catalog without what hangs on tables: constraints, indexes, policies, triggers, rules, and the expressions
    /// of generated columns. It tells what statements ask by themselves.
    #[must_use]
    pub fn without_dependents(mut self) -> Self {
        for relation in &mut self.relations {
            relation.dependents.clear();
            for column in relation.columns.iter_mut().filter(|column| column.generated) {
                (column.generated, column.default) = (false, None);
            }
        }
        self
    }

    /// What a person should know before the columns of a policy are encrypted, beside what the analysis says of
    /// [`Self::once_encrypted`]. `plaintext` are columns of type text that are known to hold plaintext: the type of
    /// others may be that of sealed values already.
    pub fn before_encryption(&self, policy: &Policy, plaintext: &BTreeSet<ColumnName>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for relation in &self.relations {
            let Some(table) = policy.tables.get(&relation.name) else { continue };
            for (name, column) in &table.columns {
                let Some(attribute) = relation.columns.iter().find(|a| a.name == *name) else { continue };
                let full_name = relation.name.column(name);
                if let Some(other) = self.other_type(attribute, column, plaintext.contains(&full_name)) {
                    let message = format!(
                        "column {full_name} is {other} in the database, and the policy declares {}: that is what the \
                         application will see and compare by",
                        type_name(&column.ty)
                    );
                    findings.push(Finding { place: column.place, grade: Grade::Warning, message });
                }
            }
            findings.extend(hindrances(relation, table));
        }
        findings
    }

    /// The type that a column of plaintext has, if it is not the declared one.
    fn other_type(&self, attribute: &Attribute, column: &Column, is_plaintext: bool) -> Option<String> {
        if attribute.type_oid == BYTEA {
            return None;
        }
        let declared = self.resolve_type(&column.ty).ok()?;
        let named = self.types.iter().find(|ty| ty.oid == attribute.type_oid);
        match Type::from_oid(attribute.type_oid, attribute.modifier) {
            Some(ty) => {
                let may_be_sealed = matches!(ty.base, Base::Text | Base::Varchar) && !is_plaintext;
                (ty != declared && !may_be_sealed).then(|| ty.to_string())
            }
            None if declared.oid() == attribute.type_oid => None,
            None => match named {
                // A domain's values are those of the type under it.
                Some(ty) if ty.labels.is_none() => None,
                Some(ty) => Some(ty.name.to_string()),
                None => Some("of a type that cannot be encrypted as such".to_owned()),
            },
        }
    }
}

/// An expression as PostgreSQL prints it, without casts of these columns to text types.
fn without_casts(expression: &str, columns: &BTreeSet<&str>) -> String {
    let mut text = expression.to_owned();
    for column in columns {
        let column = quote_ident(column);
        for start in [".", "("] {
            for ty in ["text", "character varying", "bpchar"] {
                text = text.replace(&format!("{start}{column})::{ty}"), &format!("{start}{column})"));
            }
        }
    }
    text
}

/// Indexes, checks and triggers that mean something else over sealed values.
fn hindrances(relation: &Relation, table: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dependent in &relation.dependents {
        let used = dependent.columns.iter().find_map(|number| {
            let attribute = relation.columns.iter().find(|attribute| attribute.number == *number)?;
            // What is bytea holds encrypted values already.
            let column = table.columns.get(&attribute.name).filter(|_| attribute.type_oid != BYTEA)?;
            Some((relation.name.column(&attribute.name), column.place))
        });
        let method = dependent.expression.as_deref().unwrap_or_default();
        match (dependent.kind, used) {
            (DependentKind::Index, Some((column, place))) if !matches!(method, "btree" | "hash") => {
                let message = format!(
                    "index {} is a {method} index over column {column}, which is of no use over encrypted values: drop it",
                    dependent.name
                );
                findings.push(Finding { place, grade: Grade::Problem, message });
            }
            (DependentKind::Check, Some((column, place))) if !method.contains("pgs1.") => {
                let message = format!(
                    "CHECK {} uses column {column}, of which it will see encrypted values: drop it, and check in the \
                     application",
                    dependent.name
                );
                findings.push(Finding { place, grade: Grade::Problem, message });
            }
            (DependentKind::BeforeRowTrigger, _) => {
                let message = format!(
                    "trigger {} runs before rows of {} are written, and will see encrypted values there",
                    dependent.name, relation.name
                );
                findings.push(Finding { place: table.place, grade: Grade::Warning, message });
            }
            (
                DependentKind::Index
                | DependentKind::Policy
                | DependentKind::Check
                | DependentKind::Unique
                | DependentKind::Exclusion
                | DependentKind::ForeignKey
                | DependentKind::ReferencedBy
                | DependentKind::ExpressionIndex
                | DependentKind::PartitionKey
                | DependentKind::ConditionalTrigger
                | DependentKind::Rule,
                _,
            ) => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Loader, QUERIES};

    /// Rows as `query name: a|b|c`, `~` for NULL.
    fn catalog(rows: &str) -> Catalog {
        let mut loader = Loader::new();
        loader.row(0, &[Some(&b"app"[..]), Some(&b"150000"[..])]).unwrap();
        for line in rows.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, row) = line.split_once(": ").unwrap();
            let query = QUERIES.iter().position(|query| query.name == name).unwrap();
            let fields: Vec<_> = row.split('|').map(|f| (f != "~").then_some(f.as_bytes())).collect();
            loader.row(query, &fields).unwrap();
        }
        loader.finish().unwrap()
    }

    fn policy(columns: &str) -> Policy {
        Policy::parse(&format!("version = 1\n[table.\"public.users\"]\n{columns}"), "p").unwrap()
    }

    const USERS: &str = "
        relations: 1|public|users|p|~
        columns: 1|1|email|1043|84|t|f|f|~|t
        columns: 1|2|born|1082|-1|f|f|f|~|f
        columns: 1|3|mail|9999|-1|f|f|f|~|f
        relations: 2|public|users_1|r|~
        columns: 2|7|born|1082|-1|f|f|f|~|f
        parents: 2|1
        dependents: 1|check|email_length|{1}|(length(email) > 3)|~|~
        dependents: 1|index|born_brin|{2}|brin|~|~
        dependents: 1|index|born_btree|{2}|btree|~|~
        dependents: 1|before row trigger|trim|{}|~|~|~";

    #[test]
    fn columns_of_the_policy_and_of_partitions_become_bytea_and_nothing_else_does() {
        let planned = catalog(USERS).once_encrypted(&policy("born = { type = \"date\" }"));
        let types: Vec<_> =
            planned.relations.iter().flat_map(|r| r.columns.iter().map(|c| (r.oid, c.type_oid))).collect();
        assert_eq!(types, [(1, 1043), (1, 17), (1, 9999), (2, 17)]);
        let planned = catalog(USERS).once_encrypted(&policy("email = { type = \"varchar(80)\" }"));
        let email = planned.relations.first().unwrap().columns.first().unwrap();
        assert_eq!((email.type_oid, email.modifier, email.nondeterministic_collation), (17, -1, false));
        assert!(email.not_null);
    }

    #[test]
    fn casts_between_text_types_go_with_the_column_s_own() {
        let columns = BTreeSet::from(["email", "order"]);
        let cases = [
            ("((u.email)::text = (c.mail)::text)", "((u.email) = (c.mail)::text)"),
            ("((email)::text <> ''::text)", "((email) <> ''::text)"),
            ("(t.\"order\")::character varying", "(t.\"order\")"),
            ("(u.email2)::text || (xemail)::text", "(u.email2)::text || (xemail)::text"),
        ];
        for (expression, wanted) in cases {
            assert_eq!(without_casts(expression, &columns), wanted);
        }
    }

    #[test]
    fn declared_types_are_held_against_those_of_plaintext() {
        let warned = |columns: &str, plaintext: &[&str]| {
            let plaintext = plaintext.iter().map(|name| name.parse().unwrap()).collect();
            let findings = catalog(USERS).before_encryption(&policy(columns), &plaintext);
            let messages = findings.into_iter().map(|finding| finding.message);
            messages.filter(|message| message.contains("declares")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(warned("born = { type = \"date\" }\nemail = { type = \"varchar(80)\" }", &[]), "");
        let born = warned("born = { type = \"timestamp\" }", &[]);
        assert!(
            born.contains("born is date in the database, and the policy declares timestamp without"),
            "{born}"
        );
        assert_eq!(warned("email = { type = \"text\" }", &[]), "", "it may hold sealed values already");
        let email = warned("email = { type = \"text\" }", &["public.users.email"]);
        assert!(email.contains("is character varying(80) in the database"), "{email}");
        let mail = warned("mail = { type = \"text\" }", &[]);
        assert!(mail.contains("of a type that cannot be encrypted"), "{mail}");
    }

    #[test]
    fn what_would_see_encrypted_values_is_named() {
        let columns = "born = { type = \"date\" }\nemail = { type = \"varchar(80)\" }";
        let findings = catalog(USERS).before_encryption(&policy(columns), &BTreeSet::new());
        let shown: Vec<_> =
            findings.iter().map(|f| format!("{:?} {} {}", f.grade, f.place, f.message)).collect();
        let wanted = [
            "Warning 2:8 trigger trim runs before rows of public.users are written, and will see encrypted values there",
            "Problem 4:1 CHECK email_length uses column public.users.email, of which it will see encrypted values: drop \
             it, and check in the application",
            "Problem 3:1 index born_brin is a brin index over column public.users.born, which is of no use over \
             encrypted values: drop it",
        ];
        for wanted in wanted {
            assert!(shown.iter().any(|shown| shown == wanted), "{wanted}\n{shown:#?}");
        }
        assert_eq!(shown.len(), 3);
    }
}
