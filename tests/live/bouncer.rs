//! PgBouncer between the application and the proxy, and between the proxy and the server, in both of its ways to pool
//! that leave transactions whole. What does not work is what PgBouncer 1.18 itself does not carry out: statements that are
//! prepared under a name, SET and temporary tables in transaction pooling.

use std::thread;

use crate::support::message::*;
use crate::support::{Bouncer, Cluster, PASSWORD, Proxy, RawClient};

const POLICY: &str = r#"
version = 1
[table."public.t"]
owner = { type = "text", mode = "deterministic" }
amount = { type = "integer" }
"#;

const TABLE: &str =
    "CREATE TABLE t (id bigserial PRIMARY KEY, owner bytea, amount bytea); CREATE TABLE plain (id int)";

/// What stands between the application and the server.
struct Chain {
    cluster: &'static Cluster,
    database: String,
    bouncer: Bouncer,
    proxy: Proxy,
    /// The application comes to PgBouncer first.
    before: bool,
    transactions: bool,
}

impl Chain {
    fn start(before: bool, pooling: &str) -> Self {
        let cluster = Cluster::shared();
        let database = cluster.database("bouncer");
        cluster.connect(&database).run(TABLE);
        let (bouncer, proxy);
        if before {
            proxy = Proxy::start(cluster.address(), POLICY);
            bouncer = Bouncer::start(proxy.address(), pooling, "");
        } else {
            bouncer = Bouncer::start(cluster.address(), pooling, "");
            proxy = Proxy::start(bouncer.address(), POLICY);
        }
        Self { cluster, database, bouncer, proxy, before, transactions: pooling == "transaction" }
    }

    fn connect(&self) -> RawClient {
        let address = if self.before { self.bouncer.address() } else { self.proxy.address() };
        RawClient::connect(address, "postgres", &self.database)
    }
}

/// All four.
fn chains() -> impl Iterator<Item = Chain> {
    [(true, "session"), (true, "transaction"), (false, "session"), (false, "transaction")]
        .into_iter()
        .map(|(before, pooling)| Chain::start(before, pooling))
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn statements_of_both_protocols_work() {
    for chain in chains() {
        let mut client = chain.connect();
        client.run("INSERT INTO t (owner, amount) VALUES ('ada', 1), ('bob', 2)");
        assert_eq!(client.value("SELECT amount FROM t WHERE owner = 'bob'"), text("2"));
        // Unnamed, with parameters.
        for (owner, amount) in [("ada", "1"), ("bob", "2")] {
            let frames =
                client.extended("SELECT amount, owner FROM t WHERE owner = $1", &[Some(owner.as_bytes())]);
            let row = frames.iter().find(|frame| frame.tag == b'D').expect("a row").values();
            assert_eq!(row, [Some(amount.into()), Some(owner.into())]);
        }
        // A transaction, a refusal in it, and its end.
        client.run("BEGIN");
        client.run("UPDATE t SET amount = 3 WHERE owner = 'ada'");
        let frames = client.query("SELECT lower(owner) FROM t");
        assert_eq!(frames[0].sqlstate(), "0A000");
        assert_eq!(frames.last().unwrap().status(), 'E');
        assert_eq!(client.query("SELECT 1")[0].sqlstate(), "25P02");
        client.run("ROLLBACK");
        assert_eq!(client.value("SELECT amount FROM t WHERE owner = 'ada'"), text("1"));
        // COPY both ways.
        client.send(&query("COPY t (owner, amount) FROM STDIN"));
        assert_eq!(client.read().tag, b'G');
        client.send(&[copy_data(b"cleo\t7\n"), copy_done()].concat());
        client.read_until_ready();
        let frames = client.run("COPY (SELECT owner, amount FROM t WHERE owner = 'cleo') TO STDOUT");
        assert!(frames.iter().any(|frame| frame.tag == b'd' && frame.body == b"cleo\t7\n"));
        // A pipeline with an error in it.
        let flights = ["SELECT owner FROM t WHERE owner = 'cleo'", "SELECT 1/0", "SELECT 1"];
        client.send(&flights.map(|sql| flight(sql, &[], &[], 0)).concat());
        let got: Vec<_> = (0..3).map(|_| client.read_until_ready()).collect();
        assert!(got[0].iter().any(|f| f.tag == b'D' && f.values() == [Some(b"cleo".to_vec())]));
        assert!(got[1].iter().any(|f| f.tag == b'E' && f.sqlstate() == "22012"));
        assert!(got[2].iter().any(|f| f.tag == b'D'));
        // A table that is made through it.
        client.run("CREATE TABLE later (id int)");
        client.run("INSERT INTO later VALUES (1)");
        assert_eq!(client.value("SELECT count(*) FROM later JOIN t ON t.owner = 'cleo'"), text("1"));
        // What the server holds.
        let mut direct = chain.cluster.connect(&chain.database);
        let sealed =
            direct.value("SELECT count(*) FROM t WHERE get_byte(owner, 0) = 229 AND length(amount) > 20");
        assert_eq!(sealed, text("3"));
    }
}

#[test]
fn what_a_session_keeps_is_kept_where_sessions_are_pooled() {
    for chain in chains().filter(|chain| !chain.transactions) {
        let mut client = chain.connect();
        client.run("SET DateStyle = 'German'; CREATE TEMP TABLE mine (x int)");
        client.send(
            &[parse("s", "INSERT INTO t (owner, amount) VALUES ($1, $2) RETURNING owner", &[]), sync()]
                .concat(),
        );
        client.read_until_ready();
        for owner in ["ada", "bob"] {
            let values = [Some(owner.as_bytes()), Some(&b"5"[..])];
            client.send(&[bind("", "s", &[], &values, &[]), execute("", 0), sync()].concat());
            let frames = client.read_until_ready();
            assert!(frames.iter().any(|f| f.tag == b'D' && f.values() == [Some(owner.into())]), "{frames:?}");
        }
        client.run("PREPARE p AS SELECT amount FROM t WHERE owner = 'ada'");
        assert_eq!(client.value("EXECUTE p"), text("5"));
        client.run("SELECT * FROM mine");
        // The next session on the same connection to the server has none of it, and can be used.
        client.send(&terminate());
        drop(client);
        for _ in 0..6 {
            let mut client = chain.connect();
            assert_eq!(client.query("EXECUTE p")[0].sqlstate(), "26000");
            assert_eq!(client.query("SELECT * FROM mine")[0].sqlstate(), "42P01");
            assert_eq!(client.value("SELECT amount FROM t WHERE owner = 'bob'"), text("5"));
            client.send(&terminate());
        }
    }
}

#[test]
fn many_sessions_share_few_connections_and_each_gets_its_own() {
    const SESSIONS: usize = 24;
    const ROUNDS: usize = 12;
    for chain in chains().filter(|chain| chain.transactions) {
        thread::scope(|scope| {
            for mine in 0..SESSIONS {
                let chain = &chain;
                scope.spawn(move || {
                    let mut client = chain.connect();
                    let owner = format!("owner {mine}");
                    for round in 0..ROUNDS {
                        let amount = (mine * 1000 + round).to_string();
                        let values = [Some(owner.as_bytes()), Some(amount.as_bytes())];
                        let insert = "INSERT INTO t (owner, amount) VALUES ($1, $2) RETURNING amount";
                        let frames = client.extended(insert, &values);
                        let row =
                            frames.iter().find(|f| f.tag == b'D').unwrap_or_else(|| panic!("{frames:?}"));
                        assert_eq!(row.values(), [Some(amount.clone().into_bytes())]);
                        client.run("BEGIN");
                        let rows = client.rows(&format!(
                            "SELECT owner, amount FROM t WHERE owner = '{owner}' ORDER BY id"
                        ));
                        assert_eq!(rows.len(), round + 1);
                        let last = [text(&owner), text(&amount)];
                        assert_eq!(rows.last().unwrap(), &last);
                        client.run("COMMIT");
                    }
                });
            }
        });
        let mut direct = chain.cluster.connect(&chain.database);
        let here = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", chain.database);
        let connections: usize = direct.value(&here).unwrap().parse().unwrap();
        assert!(connections <= 4, "{connections} connections for {SESSIONS} sessions");
    }
}

#[test]
fn a_statement_is_cancelled_through_both() {
    for chain in chains() {
        let mut client = chain.connect();
        client.send(&query("SELECT pg_sleep(60)"));
        thread::sleep(std::time::Duration::from_millis(400));
        let address = if chain.before { chain.bouncer.address() } else { chain.proxy.address() };
        // As libpq does: PgBouncer forgets the request of a client that goes before it is answered.
        let mut canceller = RawClient::open(address);
        canceller.send(&cancel(&client.key));
        assert!(canceller.read_to_end().is_empty());
        assert_eq!(client.read_until(b'E').last().unwrap().sqlstate(), "57014");
        client.read_until_ready();
        assert_eq!(client.value("SELECT 1"), text("1"));
    }
}

#[test]
fn passwords_go_through_to_whoever_asks_for_them() {
    let cluster = Cluster::shared();
    let connect = |address: std::net::SocketAddr| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = format!(
                "host=127.0.0.1 port={} user=by_scram password='{PASSWORD}' dbname=postgres sslmode=disable",
                address.port()
            );
            let (client, connection) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the password is right");
            tokio::spawn(connection);
            let row = client.simple_query("SELECT current_user").await.unwrap();
            assert!(format!("{row:?}").contains("by_scram"), "{row:?}");
        });
    };
    // PgBouncer asks the application, and logs in at the proxy, which relays to the server, with what its file has.
    let proxy = Proxy::start(cluster.address(), POLICY);
    connect(Bouncer::start(proxy.address(), "transaction", "auth_type = scram-sha-256\n").address());
    // PgBouncer asks the proxy's client through the proxy, and logs in at the server.
    let bouncer = Bouncer::start(cluster.address(), "transaction", "auth_type = scram-sha-256\n");
    connect(Proxy::start(bouncer.address(), POLICY).address());
}
