//! Bad input, and the death of either side: an error to that peer, and nobody else is harmed.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::fixture::{Twin, policy, schema};
use crate::support::message::*;
use crate::support::{Cluster, Dice, Proxy, RawClient};

/// What may come instead of a startup message.
fn before_startup() -> Vec<(&'static str, Vec<u8>)> {
    let length = |n: u32| n.to_be_bytes().to_vec();
    vec![
        ("nothing", vec![]),
        ("a length of 0", [length(0), vec![0; 20]].concat()),
        ("a length of 3", [length(3), vec![0; 20]].concat()),
        ("a length of 4", length(4)),
        ("a length of 7", [length(7), vec![0; 3]].concat()),
        ("a huge length", [length(0x7fff_ffff), vec![b'x'; 1000]].concat()),
        ("a negative length", [length(0xffff_ffff), vec![b'x'; 1000]].concat()),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("TLS without asking", vec![0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3, 3, 0, 0]),
        ("bytes behind an SSLRequest", [ssl_request(), vec![0xff; 100]].concat()),
        ("no terminator", startup(3 << 16, &[("user", "postgres")])[..17].to_vec()),
        (
            "a name without a value",
            [length(4 + 4 + 5), (3_u32 << 16).to_be_bytes().to_vec(), b"user\0".to_vec()].concat(),
        ),
        (
            "invalid UTF-8",
            [length(4 + 4 + 8), (3_u32 << 16).to_be_bytes().to_vec(), b"user\0\xff\0\0".to_vec()].concat(),
        ),
        ("a cancel request without a key", cancel(&[])),
        ("a cancel request with a wrong key", cancel(&[0, 0, 0, 1, 0, 0, 0, 2])),
        ("endless requests", [ssl_request(), gssenc_request()].concat().repeat(100)),
    ]
}

/// What may come in a session that is ready.
fn in_session() -> Vec<(&'static str, Vec<u8>)> {
    let raw = |tag: u8, length: u32, body: &[u8]| [&[tag], length.to_be_bytes().as_slice(), body].concat();
    vec![
        ("a length of 0", raw(b'Q', 0, b"SELECT 1\0")),
        ("a length of 3", raw(b'Q', 3, b"SELECT 1\0")),
        ("a huge length", raw(b'Q', 0x7fff_ffff, b"SELECT 1\0")),
        ("a negative length", raw(b'Q', 0x8000_0000, b"SELECT 1\0")),
        ("an unknown type", frame(b'!', b"x")),
        ("type zero", frame(0, b"")),
        ("a server's message", frame(b'Z', b"I")),
        ("a query without terminator", frame(b'Q', b"SELECT * FROM people")),
        ("a query with bytes behind its terminator", frame(b'Q', b"SELECT 1\0SELECT 2\0")),
        ("a query in invalid UTF-8", frame(b'Q', b"SELECT * FROM people WHERE email = '\xff\xfe'\0")),
        ("an empty Parse", frame(b'P', b"")),
        ("a Parse that ends in its name", frame(b'P', b"name")),
        ("a Parse with types that are not there", frame(b'P', b"\0SELECT 1\0\xff\xff")),
        ("a Bind of nothing", frame(b'B', b"")),
        ("a Bind with values that are not there", frame(b'B', b"\0\0\0\0\xff\xff")),
        ("a Bind with formats that are not there", frame(b'B', b"\0\0\xff\xff\0\0\0\0")),
        ("a Bind with a value that is too long", frame(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xffx\0\0")),
        ("a Bind with a negative length", frame(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xf0\0\0")),
        ("a Bind with more behind it", frame(b'B', b"\0\0\0\0\0\0\0\0more")),
        ("a Describe of nothing", frame(b'D', b"")),
        ("a Describe of an unknown kind", frame(b'D', b"X\0")),
        ("an Execute without limit", frame(b'E', b"\0")),
        ("a Close of an unknown kind", frame(b'C', b"X\0")),
        ("a Sync with a body", frame(b'S', b"x")),
        ("a function call", frame(b'F', b"\0\0\0\x01\0\0\0\0\0\0")),
        ("a function call that lies", frame(b'F', b"\0\0\0\x01\xff\xff\0\0")),
        ("a password", frame(b'p', b"secret\0")),
    ]
}

#[test]
fn bad_bytes_end_only_the_session_that_sent_them() {
    let mut twin = Twin::start(Cluster::shared());
    let before = twin.proxy.process().memory_kb("VmRSS");
    for (name, bytes) in before_startup() {
        let mut client = RawClient::open(twin.proxy.address());
        client.try_send(&bytes);
        client.shut_down();
        assert!(ends(&mut client), "before startup: {name}");
    }
    for (name, bytes) in in_session() {
        let mut client = twin.proxy.connect(&twin.database);
        client.try_send(&[bytes, sync()].concat());
        client.shut_down();
        assert!(ends(&mut client), "in a session: {name}");
    }
    assert_eq!(twin.sealed.value("SELECT ssn FROM people WHERE id = 1").as_deref(), Some("123-45-6789"));
    let after = twin.proxy.process().memory_kb("VmHWM");
    assert!(after < before + 32 * 1024, "{before} kB became {after} kB");
    assert!(!String::from_utf8_lossy(&twin.proxy.log()).contains("panicked"));
}

#[test]
fn random_changes_to_good_messages_harm_nobody() {
    let mut twin = Twin::start(Cluster::shared());
    let insert =
        "INSERT INTO people (id, email, level) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING *";
    let values: [Option<&[u8]>; 3] = [Some(b"77"), Some(b"fuzz"), Some(b"1")];
    let good = [
        query("SELECT * FROM people WHERE email = 'ada@example.com'"),
        flight(
            "SELECT * FROM people WHERE email = $1 AND born = $2",
            &[25, 1082],
            &[Some(b"x"), Some(b"2000-01-01")],
            1,
        ),
        flight(insert, &[], &values, 0),
        query("COPY plain FROM STDIN"),
        copy_data(b"x"),
        copy_done(),
        close(b'S', ""),
    ]
    .concat();
    let mut dice = Dice(0x1234_5678_9abc_def1);
    let mut next = |below: usize| usize::try_from(dice.next() >> 33).unwrap() % below;
    for _ in 0..150 {
        let mut bytes = good.clone();
        for _ in 0..1 + next(4) {
            let at = next(bytes.len());
            match next(4) {
                0 => bytes.truncate(at.max(1)),
                1 => drop(bytes.splice(at..at, [next(256).to_le_bytes()[0]])),
                2 => drop(bytes.remove(at)),
                _ => bytes[at] = next(256).to_le_bytes()[0],
            }
        }
        let mut client = twin.proxy.connect(&twin.database);
        client.try_send(&bytes);
        client.shut_down();
        assert!(ends(&mut client), "{}", bytes.escape_ascii());
    }
    assert!(twin.proxy.process().is_alive());
    assert!(!String::from_utf8_lossy(&twin.proxy.log()).contains("panicked"));
    assert_eq!(twin.sealed.value("SELECT ssn FROM people WHERE id = 1").as_deref(), Some("123-45-6789"));
}

#[test]
fn a_client_that_stops_in_the_middle_of_a_message_is_waited_for_and_then_forgotten() {
    let mut twin = Twin::start(Cluster::shared());
    let mut client = twin.proxy.connect(&twin.database);
    let message = query("SELECT count(*) FROM people");
    client.send(&message[..7]);
    assert!(client.is_silent_for(Duration::from_millis(200)));
    client.send(&message[7..]);
    assert!(client.read_until_ready().iter().any(|f| f.tag == b'D'));
    client.send(&message[..7]);
    drop(client);
    assert_eq!(twin.sealed.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn a_server_session_that_is_killed_ends_the_clients_with_the_servers_words() {
    let cluster = Cluster::shared();
    let mut twin = Twin::start(cluster);
    let pid = twin.sealed.value("SELECT pg_backend_pid()").unwrap();
    twin.sealed.run("BEGIN; UPDATE people SET ssn = 'half done' WHERE id = 1");
    twin.sealed.send(&query("SELECT pg_sleep(20), ssn FROM people"));
    std::thread::sleep(Duration::from_millis(100));
    cluster.connect("postgres").run(&format!("SELECT pg_terminate_backend({pid})"));
    let frames = twin.sealed.read_until_ready();
    let error = frames.iter().find(|f| f.tag == b'E').expect("an error");
    assert_eq!((error.field(b'S').as_deref(), error.sqlstate().as_str()), (Some("FATAL"), "57P01"));
    assert_eq!(frames.last().unwrap().tag, b'E', "the connection is closed");
    let mut next = twin.proxy.connect(&twin.database);
    assert_eq!(next.value("SELECT ssn FROM people WHERE id = 1").as_deref(), Some("123-45-6789"));
}

#[test]
fn a_server_that_dies_and_comes_back_is_served_again() {
    let cluster = Cluster::start();
    let mut twin = Twin::start(&cluster);
    let listen = twin.proxy.address();
    drop(cluster);
    assert!(ends(&mut twin.sealed));
    // While there is no server, a client is told.
    let mut client = RawClient::open(listen);
    client.send(&startup(3 << 16, &[("user", "postgres"), ("database", &twin.database)]));
    let frame = client.read();
    assert_eq!((frame.tag, frame.field(b'S').as_deref()), (b'E', Some("FATAL")));
    assert!(frame.sqlstate().starts_with("08"), "{frame:?}");
    assert!(client.try_read().is_none());
    assert!(twin.proxy.process().is_alive());
}

#[test]
fn a_proxy_that_is_killed_leaves_nothing_half_done() {
    let cluster = Cluster::shared();
    let twin = Twin::start(cluster);
    let Twin { mut sealed, proxy, database, .. } = twin;
    sealed.run("BEGIN; UPDATE people SET ssn = 'half done'");
    proxy.process().signal("KILL");
    assert!(ends(&mut sealed));
    let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
    let (mut watch, deadline) = (cluster.connect("postgres"), Instant::now() + Duration::from_secs(10));
    while watch.value(&sessions).as_deref() != Some("0") {
        assert!(Instant::now() < deadline, "a server session is left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_proxy_that_is_asked_to_stop_stops() {
    let twin = Twin::start(Cluster::shared());
    let started = Instant::now();
    drop(twin.sealed);
    twin.proxy.process().signal("TERM");
    while twin.proxy.process().is_alive() {
        assert!(started.elapsed() < Duration::from_secs(10), "it does not stop on SIGTERM");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn damaged_and_foreign_ciphertext_is_an_error_and_never_a_value() {
    let cluster = Cluster::shared();
    let mut twin = Twin::start(cluster);
    let mut server = cluster.connect(&twin.database);
    // (what happens at the server, a query that meets it)
    let cases = [
        (
            "a flipped bit",
            "UPDATE people SET ssn = set_byte(ssn, length(ssn) - 1, get_byte(ssn, length(ssn) - 1) # 1) WHERE id = 1",
        ),
        (
            "an unknown key id",
            "UPDATE people SET ssn = set_byte(ssn, 3, get_byte(ssn, 3) # 255) WHERE id = 1",
        ),
        ("another version", "UPDATE people SET ssn = set_byte(ssn, 1, 32) WHERE id = 1"),
        ("no envelope", "UPDATE people SET ssn = '\\x0102' WHERE id = 1"),
        ("plaintext", "UPDATE people SET ssn = 'hello'::bytea WHERE id = 1"),
        ("an empty value", "UPDATE people SET ssn = '' WHERE id = 1"),
        ("a value of another column", "UPDATE people SET ssn = email WHERE id = 1"),
        ("a truncated value", "UPDATE people SET ssn = substr(ssn, 1, 20) WHERE id = 1"),
    ];
    for (name, damage) in cases {
        twin.sealed.run("UPDATE people SET ssn = 'whole' WHERE id = 1");
        server.run(damage);
        let select = "SELECT id, ssn FROM people WHERE id IN (1, 2) ORDER BY id";
        for frames in [twin.sealed.query(select), twin.sealed.extended(select, &[])] {
            let error = frames.iter().find(|f| f.tag == b'E').unwrap_or_else(|| panic!("{name}: {frames:?}"));
            assert_eq!(error.field(b'S').as_deref(), Some("ERROR"), "{name}: {error:?}");
            assert!(error.sqlstate().starts_with("XX"), "{name}: {error:?}");
            let last = frames.last().unwrap();
            assert_eq!((last.tag, last.status()), (b'Z', 'I'), "{name}");
        }
        // In a transaction, the block fails on the server too.
        twin.sealed.run("BEGIN");
        let frames = twin.sealed.query(select);
        assert!(frames.iter().any(|f| f.tag == b'E'), "{name}: {frames:?}");
        assert_eq!(frames.last().unwrap().status(), 'E', "{name}");
        assert_eq!(twin.sealed.query("SELECT 1")[0].sqlstate(), "25P02", "{name}");
        twin.sealed.run("ROLLBACK");
    }
}

#[test]
fn a_keyring_or_policy_that_is_bad_stops_the_start() {
    let cluster = Cluster::shared();
    let database = cluster.database("bad_start");
    cluster.connect(&database).run(&schema(true));
    let started =
        std::panic::catch_unwind(|| Proxy::start(cluster.address(), &format!("{}\nunknown = 1\n", policy())));
    let message = *started.err().expect("it does not start").downcast::<String>().expect("a message");
    assert!(message.contains("policy.toml") && message.contains("unknown"), "{message}");
}

/// True if the peer closes in time; whatever it says first is read and thrown away.
fn ends(client: &mut RawClient) -> bool {
    let mut stream = client.stream();
    let mut buffer = [0; 65536];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            // A reset is an end; a time-out is none.
            Err(e) => return e.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}
