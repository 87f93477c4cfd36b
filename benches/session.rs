//! What the session machine costs for one exchange: a prepared statement bound and executed, and a result of a
//! thousand rows, with and without sealed columns.

mod fixture;

use std::sync::Arc;
use std::time::Instant;

use bytes::{BufMut as _, BytesMut};
use divan::{Bencher, black_box};
use pgseal::keyring::{DataKey, Keys, State, Vault, os_entropy};
use pgseal::metrics::Metrics;
use pgseal::secret::Secret;
use pgseal::session::{ClientTls, SchemaVersion, Session, Tools, Verdicts};
use pgseal::wire::backend::{self, Field};
use pgseal::wire::frontend::{Bind, Execute, Formats, Parse, write_bare};
use pgseal::wire::reader::{message, put_count, put_cstr, put_value};

fn main() {
    divan::main();
}

/// Which table the statement reads.
#[derive(Clone, Copy, Debug)]
enum Columns {
    /// None of its columns is protected.
    Plain,
    /// It searches one sealed column and returns two.
    Sealed,
}

const COLUMNS: [Columns; 2] = [Columns::Plain, Columns::Sealed];

/// A session in which the statement is prepared, and what its peers will say.
struct Exchange {
    session: Session,
    vault: Vault,
    verdicts: Verdicts,
    metrics: Metrics,
    now: Instant,
    request: BytesMut,
    reply: BytesMut,
}

impl Exchange {
    fn new(columns: Columns, rows: usize) -> Self {
        let key = DataKey::new("default", 1, State::Active, Secret::new([7; 32]));
        let mut exchange = Self {
            session: Session::new(fixture::policy(), ClientTls::Off),
            vault: Vault::new(Arc::new(Keys::new([key], [])), os_entropy()),
            verdicts: Verdicts::default(),
            metrics: Metrics::new(),
            now: Instant::now(),
            request: BytesMut::new(),
            reply: BytesMut::new(),
        };
        exchange.start();
        exchange.prepare(columns);
        exchange.script(columns, rows);
        exchange
    }

    fn start(&mut self) {
        let mut startup = BytesMut::new();
        startup.put_slice(b"\0\0\0\x10\0\x03\0\0user\0u\0\0");
        let length = u8::try_from(startup.len()).unwrap_or_default();
        if let Some(last) = startup.get_mut(3) {
            *last = length;
        }
        self.client(&mut startup);
        let mut welcome = BytesMut::new();
        message(&mut welcome, b'R', |b| b.put_u32(0));
        message(&mut welcome, b'Z', |b| b.put_u8(b'I'));
        self.server(&mut welcome);
        self.session.offer(&Arc::new(SchemaVersion::new(fixture::schema(), self.now)));
        self.session.to_server().clear();
        // The first statement makes the session look at its settings.
        let mut first = BytesMut::new();
        pgseal::wire::frontend::write_query(&mut first, b"SELECT 1");
        self.client(&mut first);
        let mut facts = BytesMut::new();
        write_bare(&mut facts, b'3');
        write_bare(&mut facts, b'1');
        write_bare(&mut facts, b'2');
        row(
            &mut facts,
            &[
                Some(b"{pg_catalog,public}"),
                Some(b"public"),
                Some(b"bench"),
                Some(b"150018"),
                None,
                Some(b"1"),
                Some(b"hex"),
                Some(b"ISO, MDY"),
                Some(b"postgres"),
                Some(b"GMT"),
                Some(b"UTF8"),
                Some(b"on"),
            ],
        );
        complete(&mut facts);
        write_bare(&mut facts, b'3');
        write_bare(&mut facts, b'3');
        ready(&mut facts);
        self.server(&mut facts);
        self.client(&mut first);
        let mut answer = BytesMut::new();
        complete(&mut answer);
        ready(&mut answer);
        self.server(&mut answer);
    }

    fn prepare(&mut self, columns: Columns) {
        let text: &[u8] = match columns {
            Columns::Plain => b"SELECT id, filler, filler FROM accounts WHERE id = $1",
            Columns::Sealed => b"SELECT id, email, name FROM users WHERE email = $1",
        };
        let mut parse = BytesMut::new();
        Parse { name: b"s", text, types: Vec::new() }.write(&mut parse);
        write_bare(&mut parse, b'S');
        self.client(&mut parse);
        let mut answer = BytesMut::new();
        write_bare(&mut answer, b'1');
        if let Columns::Sealed = columns {
            backend::write_parameter_description(&mut answer, &[17]);
            let field = |name, attribute, type_oid| Field {
                name,
                table: fixture::USERS,
                attribute,
                type_oid,
                type_size: -1,
                modifier: -1,
                format: 0,
            };
            let fields = [field(b"id".as_slice(), 1, 23), field(b"email", 2, 17), field(b"name", 3, 17)];
            backend::write_row_description(&mut answer, &fields);
        }
        ready(&mut answer);
        self.server(&mut answer);
    }

    fn script(&mut self, columns: Columns, rows: usize) {
        let (text, all) = (Formats(Vec::new()), Formats(vec![pgseal::datum::Format::Binary]));
        let value = [Some(b"ann@example.com".as_slice())];
        Bind::write(&mut self.request, b"", b"s", &text, value.into_iter(), &all);
        Execute { portal: b"", limit: 0 }.write(&mut self.request);
        write_bare(&mut self.request, b'S');
        let sealed: Vec<Vec<u8>> = match columns {
            Columns::Plain => vec![b"ann@example.com".to_vec(), b"Ann Example".to_vec()],
            Columns::Sealed => {
                let schema = fixture::schema();
                let seal = |vault: &mut Vault, column: &str, value: &[u8]| {
                    let mut out = Vec::new();
                    if let Some((_, class)) = schema.sealed_columns().find(|(name, _)| name.column == column)
                    {
                        let _ = vault.seal("default", &class.binding, value, &mut out, self.now);
                    }
                    out
                };
                vec![
                    seal(&mut self.vault, "email", b"ann@example.com"),
                    seal(&mut self.vault, "name", b"Ann Example"),
                ]
            }
        };
        write_bare(&mut self.reply, b'2');
        for _ in 0..rows {
            let mut values = vec![Some([0, 0, 0, 1].as_slice())];
            values.extend(sealed.iter().map(|v| Some(v.as_slice())));
            row(&mut self.reply, &values);
        }
        complete(&mut self.reply);
        ready(&mut self.reply);
    }

    fn client(&mut self, input: &mut BytesMut) {
        let mut tools = Tools {
            vault: &mut self.vault,
            verdicts: &mut self.verdicts,
            now: self.now,
            metrics: &self.metrics,
        };
        self.session.client(input, &mut tools);
    }

    fn server(&mut self, input: &mut BytesMut) {
        let mut tools = Tools {
            vault: &mut self.vault,
            verdicts: &mut self.verdicts,
            now: self.now,
            metrics: &self.metrics,
        };
        self.session.server(input, &mut tools);
    }

    /// A query with values of its own and its one row.
    fn query(&mut self, columns: Columns, number: u32) -> usize {
        let text = match columns {
            Columns::Plain => format!("SELECT id, filler, filler FROM accounts WHERE id = {number}"),
            Columns::Sealed => {
                format!("SELECT id, email, name FROM users WHERE email = 'ann{number}@example.com'")
            }
        };
        let mut request = BytesMut::new();
        pgseal::wire::frontend::write_query(&mut request, text.as_bytes());
        self.client(&mut request);
        let sent = self.session.to_server().len();
        self.session.to_server().clear();
        let mut reply = BytesMut::new();
        complete(&mut reply);
        ready(&mut reply);
        self.server(&mut reply);
        self.session.to_client().clear();
        assert!(!self.session.has_ended(), "the exchange goes on");
        sent
    }

    /// One round: the request, and its reply. Gives the bytes that went each way.
    fn round(&mut self) -> (usize, usize) {
        let mut request = self.request.clone();
        self.client(&mut request);
        let sent = self.session.to_server().len();
        self.session.to_server().clear();
        let mut reply = self.reply.clone();
        let mut received = 0;
        while !reply.is_empty() {
            self.server(&mut reply);
            received += self.session.to_client().len();
            self.session.to_client().clear();
        }
        assert!(!self.session.has_ended(), "the exchange goes on");
        (sent, received)
    }
}

fn row(out: &mut BytesMut, values: &[Option<&[u8]>]) {
    message(out, b'D', |b| {
        put_count(b, values.len());
        for value in values {
            put_value(b, *value);
        }
    });
}

fn complete(out: &mut BytesMut) {
    message(out, b'C', |b| put_cstr(b, b"SELECT 1"));
}

fn ready(out: &mut BytesMut) {
    message(out, b'Z', |b| b.put_u8(b'I'));
}

/// Bind, Execute and Sync with one row.
#[divan::bench(args = COLUMNS)]
fn prepared(bencher: Bencher<'_, '_>, columns: Columns) {
    let mut exchange = Exchange::new(columns, 1);
    bencher.bench_local(|| black_box(exchange.round()));
}

/// A Query whose values differ from those before, with one row.
#[divan::bench(args = COLUMNS)]
fn simple(bencher: Bencher<'_, '_>, columns: Columns) {
    let mut exchange = Exchange::new(columns, 1);
    let mut number = 0_u32;
    bencher.bench_local(|| {
        number += 1;
        black_box(exchange.query(columns, number))
    });
}

/// The same with a thousand rows.
#[divan::bench(args = COLUMNS)]
fn thousand_rows(bencher: Bencher<'_, '_>, columns: Columns) {
    let mut exchange = Exchange::new(columns, 1000);
    bencher.bench_local(|| black_box(exchange.round()));
}
