//! A real driver: tokio-postgres prepares everything, sends and reads binary, and pipelines.

use std::error::Error;
use std::time::Duration;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls};

use crate::fixture::{Kept, TABLES, Twin};
use crate::support::Cluster;

/// A value of any type in the binary form that the server would send.
#[derive(Clone, Debug, PartialEq)]
struct Raw(Vec<u8>);

impl FromSql<'_> for Raw {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

struct Drivers {
    twin: Twin,
    plain: Client,
    sealed: Client,
}

async fn drivers() -> Drivers {
    let cluster = Cluster::shared();
    let twin = tokio::task::spawn_blocking(|| Twin::start(Cluster::shared())).await.unwrap();
    let plain = connect(&cluster.url(&twin.plain_database)).await;
    let sealed = connect(&twin.proxy.url(&twin.database)).await;
    Drivers { twin, plain, sealed }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_in_and_out_in_binary_as_it_does_without_the_proxy() {
    let Drivers { twin: _twin, plain, sealed } = drivers().await;
    let kinds = TABLES.iter().find(|t| t.name == "kinds").unwrap();
    for (column, ty, kept, _) in kinds.columns.iter().skip(1) {
        let all = format!("SELECT id, {column} FROM kinds WHERE id <= 4 ORDER BY id");
        let (wanted, got) = (plain.query(&all, &[]).await, sealed.query(&all, &[]).await);
        let (wanted, got) = (wanted.unwrap(), got.unwrap_or_else(|e| panic!("{column}: {e:?}")));
        assert_eq!(wanted[0].columns()[1].type_().name(), got[0].columns()[1].type_().name(), "{column}");
        let value = |row: &tokio_postgres::Row| row.get::<_, Option<Raw>>(1);
        let values: Vec<Option<Raw>> = wanted.iter().map(value).collect();
        assert_eq!(values, got.iter().map(value).collect::<Vec<_>>(), "{column} {ty}");

        // The same bytes as parameters: stored, given back, and found again.
        let insert = format!("INSERT INTO kinds (id, {column}) VALUES ($1, $2) RETURNING id, {column}");
        for (n, value) in values.iter().enumerate() {
            let id = 100 + i32::try_from(n).unwrap();
            let row = sealed.query_one(&insert, &[&id, value]).await;
            let row = row.unwrap_or_else(|e| panic!("{column} {ty} {value:?}: {e:?}"));
            assert_eq!(&row.get::<_, Option<Raw>>(1), value, "{column} {ty}");
            if let (Kept::Deterministic, Some(value)) = (kept, value) {
                let find = format!("SELECT id FROM kinds WHERE {column} = $1 AND id >= 100 ORDER BY id");
                let rows = sealed.query(&find, &[value]).await.unwrap_or_else(|e| panic!("{column}: {e:?}"));
                assert!(
                    rows.iter().any(|row| row.get::<_, i32>(0) == id),
                    "{column} {ty} {value:?} is not found"
                );
            }
        }
        sealed.execute("DELETE FROM kinds WHERE id >= 100", &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_described_with_the_declared_types() {
    let Drivers { twin: _twin, plain, sealed } = drivers().await;
    for sql in [
        "SELECT * FROM people",
        "SELECT * FROM kinds",
        "INSERT INTO people (id, email, born, level, notes, city) VALUES ($1, $2, $3, $4, $5, $6) RETURNING *",
        "UPDATE kinds SET i2 = $1, n2 = $2, tz = $3, ia = $4, u = $5, mo = $6, f4 = $7, bp = $8 WHERE i8 = $9",
        "SELECT id FROM people WHERE email = ANY($1) AND level = ANY($2) AND born = $3",
    ] {
        let (wanted, got) = (plain.prepare(sql).await.unwrap(), sealed.prepare(sql).await.unwrap());
        let names = |types: &[Type]| types.iter().map(|t| t.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(wanted.params()), names(got.params()), "{sql}");
        let columns = |s: &tokio_postgres::Statement| {
            s.columns().iter().map(|c| (c.name().to_owned(), c.type_().name().to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(columns(&wanted), columns(&got), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_values_round_trip() {
    let Drivers { twin: _twin, sealed, .. } = drivers().await;
    let insert = "INSERT INTO kinds (id, t, i2, i4, i8, b, f4, f8, by, ia, ta) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let (text, bytes) = ("grüße 🦀", vec![0_u8, 0xe5, 0xff]);
    let (ints, texts) =
        (vec![Some(1_i32), None, Some(-3)], vec!["a,b".to_owned(), "\"".to_owned(), String::new()]);
    let values: [&(dyn ToSql + Sync); 11] =
        [&50_i32, &text, &-5_i16, &6_i32, &-7_i64, &true, &1.5_f32, &-2.25_f64, &bytes, &ints, &texts];
    assert_eq!(sealed.execute(insert, &values).await.unwrap(), 1);
    let select = "SELECT t, i2, i4, i8, b, f4, f8, by, ia, ta FROM kinds WHERE t = $1 AND i8 = $2";
    let row = sealed.query_one(select, &[&text, &-7_i64]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), text);
    assert_eq!((row.get::<_, i16>(1), row.get::<_, i32>(2), row.get::<_, i64>(3)), (-5, 6, -7));
    assert_eq!((row.get::<_, bool>(4), row.get::<_, f32>(5), row.get::<_, f64>(6)), (true, 1.5, -2.25));
    assert_eq!(row.get::<_, Vec<u8>>(7), bytes);
    assert_eq!((row.get::<_, Vec<Option<i32>>>(8), row.get::<_, Vec<String>>(9)), (ints, texts));
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_transactions_and_portals_work() {
    let Drivers { twin: _twin, mut sealed, .. } = drivers().await;
    let by_email = sealed.prepare("SELECT id FROM people WHERE email = $1").await.unwrap();
    let (ada, grace) = ("ada@example.com", "grace@example.com");
    let (ada_values, grace_values): ([&(dyn ToSql + Sync); 1], [&(dyn ToSql + Sync); 1]) = ([&ada], [&grace]);
    let (a, b, c, d) = tokio::join!(
        sealed.query_one(&by_email, &ada_values),
        sealed.query("SELECT ssn FROM people WHERE ssn LIKE 'x'", &[]),
        sealed.query_one(&by_email, &grace_values),
        sealed.query_one("SELECT count(*) FROM plain", &[]),
    );
    assert_eq!((a.unwrap().get::<_, i32>(0), c.unwrap().get::<_, i32>(0)), (1, 2));
    assert_eq!(b.unwrap_err().code().unwrap().code(), "0A000");
    assert_eq!(d.unwrap().get::<_, i64>(0), 3);

    let transaction = sealed.transaction().await.unwrap();
    transaction.execute("UPDATE people SET ssn = $1 WHERE id = 1", &[&"changed"]).await.unwrap();
    let portal = transaction.bind("SELECT id, ssn FROM people ORDER BY id", &[]).await.unwrap();
    let first = transaction.query_portal(&portal, 2).await.unwrap();
    let rest = transaction.query_portal(&portal, 0).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 4));
    assert_eq!(first[0].get::<_, &str>(1), "changed");
    transaction.rollback().await.unwrap();
    let row = sealed.query_one("SELECT ssn FROM people WHERE id = 1", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "123-45-6789");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_can_cancel() {
    let Drivers { twin: _twin, sealed, .. } = drivers().await;
    let token = sealed.cancel_token();
    let sleep = tokio::spawn(async move { sealed.query("SELECT pg_sleep(25)", &[]).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    token.cancel_query(NoTls).await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(10), sleep).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57014");
}
