//! The database and policy that the corpus is about.

#[path = "../../../tests/corpus/sealed_plan.rs"]
mod sealed_plan;

use std::collections::BTreeMap;

use sealed_plan::SealedPlan;

use crate::catalog::{
    Attribute, Catalog, Dependent, DependentKind, Function, NamedType, Relation, RelationKind, RelationName,
};
use crate::crypto::Mode;
use crate::datum::{Base, Oid, Type, TypeName};
use crate::policy::{self, Policy};
use crate::sql::{self, Arrival, Context, Schema, SchemaProblem, Verdict, analyze};

/// A schema and the names of its relations.
pub(super) struct Database {
    pub(super) schema: Schema,
    pub(super) problems: Vec<SchemaProblem>,
    names: BTreeMap<Oid, String>,
    sealed_plan: SealedPlan,
}

const BYTEA: Oid = 17;
const TEXT: Oid = 25;
const INT4: Oid = 23;
const VARCHAR: Oid = 1043;
const TIMESTAMPTZ: Oid = 1184;
const MOOD: Oid = 16500;

impl Database {
    pub(super) fn analyze(&self, text: &str) -> Verdict {
        self.analyze_under(text, &["pg_catalog", "public"])
    }

    pub(super) fn analyze_under(&self, text: &str, search_path: &[&str]) -> Verdict {
        let search_path: Vec<String> = search_path.iter().map(|schema| (*schema).to_owned()).collect();
        let cx = Context {
            schema: &self.schema,
            search_path: &search_path,
            standard_conforming_strings: true,
            utf8: true,
            names: &self.sealed_plan,
        };
        analyze(text, Arrival::Query, &cx)
    }

    pub(super) fn relation_name(&self, oid: Oid) -> &str {
        self.names.get(&oid).map_or("?", String::as_str)
    }
}

/// Two kinds of databases' worth of tables: encrypted ones, plain ones, and what lies between.
pub(super) fn database() -> Database {
    build(&policy(), catalog())
}

pub(super) fn build(policy: &Policy, catalog: Catalog) -> Database {
    let names = catalog.relations.iter().map(|relation| (relation.oid, relation.name.name.clone())).collect();
    let (schema, problems) = Schema::build(policy, &catalog);
    let sealed_plan = SealedPlan::new(&schema);
    Database { schema, problems, names, sealed_plan }
}

pub(super) fn policy() -> Policy {
    let text = |base| Type { base, modifier: -1 };
    let det = Mode::Deterministic;
    let tables = [
        (
            "users",
            vec![
                ("email", text(Base::Text), det, ""),
                ("name", Type { base: Base::Varchar, modifier: 84 }, det, ""),
                ("ssn", text(Base::Text), Mode::Randomized, ""),
                ("born", text(Base::Date), det, ""),
                ("active", text(Base::Bool), det, ""),
                ("age", text(Base::Int4), det, ""),
                ("score", Type { base: Base::Numeric, modifier: 655_366 }, det, ""),
            ],
        ),
        (
            "customers",
            vec![
                ("user_email", text(Base::Text), det, "public.users.email"),
                ("phone", text(Base::Text), det, ""),
            ],
        ),
        (
            "archive",
            vec![
                ("email", text(Base::Text), det, "public.users.email"),
                ("ssn", text(Base::Text), Mode::Randomized, "public.users.ssn"),
                ("name", Type { base: Base::Varchar, modifier: 24 }, det, "public.users.name"),
            ],
        ),
        (
            "notes",
            vec![
                ("title", text(Base::Text), det, ""),
                ("body", text(Base::Text), Mode::Randomized, ""),
                ("data", text(Base::Jsonb), Mode::Randomized, ""),
                ("labels", text(Base::Array(Box::new(Base::Text))), Mode::Randomized, ""),
            ],
        ),
        ("events", vec![("actor", text(Base::Text), det, "")]),
        ("Weird Table", vec![("Select", text(Base::Text), det, "")]),
        ("ledger", vec![("amount", text(Base::Int8), Mode::Ordered, "")]),
        ("half_one", vec![("secret", text(Base::Text), det, "")]),
        // Not in the database yet.
        (
            "accounts",
            vec![
                ("email", text(Base::Text), det, "public.users.email"),
                ("Full Name", Type { base: Base::Varchar, modifier: 84 }, det, ""),
                ("pin", text(Base::Text), Mode::Randomized, ""),
                ("level", text(Base::Int4), det, ""),
                ("tags", text(Base::Array(Box::new(Base::Text))), Mode::Randomized, ""),
                ("since", text(Base::Timestamptz), Mode::Randomized, ""),
            ],
        ),
        (
            "buyers",
            vec![
                ("user_email", text(Base::Text), det, "public.users.email"),
                ("phone", text(Base::Text), det, "public.customers.phone"),
            ],
        ),
    ];
    let mut policy = Policy::default();
    for (table, columns) in tables {
        let name = RelationName::new("public", table);
        let mut columns: BTreeMap<_, _> = columns
            .into_iter()
            .map(|(column, ty, mode, context)| {
                let context = match context {
                    "" => name.column(column).to_string(),
                    context => context.to_owned(),
                };
                let mut column_policy = policy_column(TypeName::Builtin(ty), mode, context);
                if column == "pin" {
                    column_policy.storage = policy::Storage::Text;
                }
                (column.to_owned(), column_policy)
            })
            .collect();
        if table == "accounts" {
            let ty = TypeName::Named { schema: None, name: "state".to_owned(), array: false };
            columns.insert("state".to_owned(), policy_column(ty, det, "public.accounts.state".to_owned()));
        }
        if table == "customers" {
            let ty = TypeName::Builtin(text(Base::Text));
            let mobile = policy_column(ty, det, "public.customers.phone".to_owned());
            columns.insert("mobile".to_owned(), mobile);
        }
        if table == "users" {
            let ty = TypeName::Named { schema: None, name: "mood".to_owned(), array: false };
            columns.insert("mood".to_owned(), policy_column(ty, det, "public.users.mood".to_owned()));
        }
        let place = policy::Place::default();
        policy.tables.insert(name, policy::Table { columns, before_triggers_acknowledged: false, place });
    }
    policy
}

fn policy_column(ty: TypeName, mode: Mode, context: String) -> policy::Column {
    policy::Column {
        ty,
        mode,
        key: "default".to_owned(),
        context,
        state: policy::ColumnState::Sealed,
        storage: policy::Storage::Bytea,
        accept_leakage: None,
        place: policy::Place::default(),
    }
}

pub(super) fn catalog() -> Catalog {
    let mut users = table(
        101,
        "public",
        "users",
        &[
            ("id", INT4),
            ("email", BYTEA),
            ("name", BYTEA),
            ("ssn", BYTEA),
            ("born", BYTEA),
            ("active", BYTEA),
            ("age", BYTEA),
            ("score", BYTEA),
            ("mood", BYTEA),
            ("bio", TEXT),
            ("created", TIMESTAMPTZ),
        ],
    );
    users.dependents.push(dependent(
        DependentKind::Check,
        "users_email_sealed",
        &[2],
        "((get_byte(email, 0) = 229) AND (octet_length(email) >= 22))",
    ));
    users.dependents.push(dependent(DependentKind::Unique, "users_email_key", &[2], "btree"));
    let mut events = table(105, "public", "events", &[("id", INT4), ("actor", BYTEA), ("payload", TEXT)]);
    events.kind = RelationKind::PartitionedTable;
    let mut partition =
        table(106, "public", "events_2024", &[("id", INT4), ("actor", BYTEA), ("payload", TEXT)]);
    partition.parents.push(105);
    let view = |oid, name: &str, columns: &[(&str, Oid)], reads: &[Oid], definition: &str| Relation {
        kind: RelationKind::View,
        definition: Some(definition.to_owned()),
        rule_references: reads.to_vec(),
        ..table(oid, "public", name, columns)
    };
    let mut halves = table(109, "public", "halves", &[("id", INT4), ("secret", BYTEA)]);
    halves.kind = RelationKind::PartitionedTable;
    let half = |oid, name| Relation {
        parents: vec![109],
        ..table(oid, "public", name, &[("id", INT4), ("secret", BYTEA)])
    };
    let own = |(oid, (schema, name)): (Oid, &(&str, &str))| table(oid, schema, name, &[]);
    let mut catalog = Catalog {
        database: "app".to_owned(),
        server_version: 150_000,
        relations: vec![
            users,
            table(
                102,
                "public",
                "customers",
                &[("id", INT4), ("user_email", BYTEA), ("phone", BYTEA), ("note", TEXT)],
            ),
            table(
                103,
                "public",
                "notes",
                &[
                    ("id", INT4),
                    ("user_id", INT4),
                    ("title", TEXT),
                    ("body", VARCHAR),
                    ("data", BYTEA),
                    ("labels", BYTEA),
                ],
            ),
            table(
                104,
                "public",
                "archive",
                &[("email", BYTEA), ("ssn", BYTEA), ("name", BYTEA), ("why", TEXT)],
            ),
            events,
            partition,
            halves,
            half(110, "half_one"),
            half(111, "half_two"),
            table(107, "public", "Weird Table", &[("id", INT4), ("Select", BYTEA), ("order", TEXT)]),
            table(108, "public", "ledger", &[("id", INT4), ("amount", BYTEA)]),
            table(201, "public", "plain", &[("id", INT4), ("name", TEXT), ("email", TEXT), ("n", INT4)]),
            table(202, "public", "orders", &[("id", INT4), ("user_id", INT4), ("total", 1700)]),
            table(203, "other", "users", &[("id", INT4), ("email", TEXT)]),
            table(204, "pg_temp_3", "users", &[("id", INT4), ("email", TEXT)]),
            view(
                301,
                "user_emails",
                &[("id", INT4), ("mail", BYTEA), ("big", 16)],
                &[101],
                " SELECT users.id,\n    users.email AS mail,\n    (users.id > 10) AS big\n   FROM public.users;",
            ),
            view(
                302,
                "lowered",
                &[("l", TEXT)],
                &[101],
                " SELECT lower((users.email)::text) AS l FROM public.users;",
            ),
            view(
                303,
                "admins",
                &[("id", INT4)],
                &[101],
                " SELECT users.id FROM public.users WHERE (users.email = '\\x61'::bytea);",
            ),
            view(
                304,
                "over_view",
                &[("mail", BYTEA)],
                &[301],
                " SELECT user_emails.mail FROM public.user_emails;",
            ),
            view(305, "plain_view", &[("id", INT4)], &[201], " SELECT plain.id FROM public.plain;"),
            view(
                306,
                "mails",
                &[("all", 1001)],
                &[101],
                " SELECT array_agg(users.email) AS \"all\" FROM public.users;",
            ),
            view(
                307,
                "all_halves",
                &[("id", INT4), ("secret", BYTEA)],
                &[109],
                " SELECT halves.id,\n    halves.secret\n   FROM public.halves;",
            ),
        ],
        types: vec![NamedType {
            oid: MOOD,
            array_oid: 16501,
            name: RelationName::new("public", "mood"),
            labels: Some(vec!["sad".to_owned(), "happy".to_owned()]),
        }],
        pins: Vec::new(),
        changes: Vec::new(),
        functions: vec![
            function(401, "add_user", "INSERT INTO users (email) VALUES ($1)", None),
            function(402, "all_users", "SELECT 1", Some(101)),
            function(403, "outer_add", "SELECT add_user($1)", None),
            function(404, "harmless", "SELECT 1", None),
            function(405, "moves", "SELECT set_config('search_path', $1, false)", None),
        ],
    };
    catalog.relations.extend((1..).zip(&OWN).map(own));
    catalog
}

/// Some of PostgreSQL's own relations, which come without columns.
const OWN: [(&str, &str); 11] = [
    ("pg_catalog", "pg_class"),
    ("pg_catalog", "pg_namespace"),
    ("pg_catalog", "pg_am"),
    ("pg_catalog", "pg_type"),
    ("pg_catalog", "pg_attribute"),
    ("pg_catalog", "pg_attrdef"),
    ("pg_catalog", "pg_collation"),
    ("information_schema", "tables"),
    ("information_schema", "columns"),
    ("information_schema", "table_constraints"),
    ("information_schema", "key_column_usage"),
];

pub(super) fn table(oid: Oid, schema: &str, name: &str, columns: &[(&str, Oid)]) -> Relation {
    let columns = columns.iter().zip(1..).map(|((name, type_oid), number)| Attribute {
        number,
        name: (*name).to_owned(),
        type_oid: *type_oid,
        modifier: -1,
        not_null: false,
        nondeterministic_collation: false,
        default: (*name == "id").then(|| "nextval('s'::regclass)".to_owned()),
        generated: false,
        identity: false,
    });
    Relation {
        oid,
        name: RelationName::new(schema, name),
        kind: RelationKind::Table,
        columns: columns.collect(),
        parents: Vec::new(),
        definition: None,
        dependents: Vec::new(),
        rule_references: Vec::new(),
    }
}

pub(super) fn dependent(kind: DependentKind, name: &str, columns: &[i16], expression: &str) -> Dependent {
    Dependent {
        kind,
        name: name.to_owned(),
        columns: columns.to_vec(),
        expression: Some(expression.to_owned()),
        other_end: None,
    }
}

fn function(oid: Oid, name: &str, body: &str, returns_rows_of: Option<Oid>) -> Function {
    Function { oid, name: RelationName::new("public", name), body: body.to_owned(), returns_rows_of }
}
