//! A session between a scripted client and a scripted server.
//!
//! What the session sends is shown as one line a frame, with sealed values as `<sealed>`, so that transcripts
//! read as a conversation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, BytesMut};

use crate::catalog::{Attribute, Catalog, Relation, RelationKind};
use crate::datum::Format;
use crate::keyring::{DataKey, Keys, State, Vault};
use crate::metrics::Metrics;
use crate::policy::{Policy, RelationName};
use crate::secret::Secret;
use crate::session::knowledge::SchemaVersion;
use crate::session::{ClientTls, Event, Session, Tools, Verdicts};
use crate::sql::Schema;
use crate::wire::backend::{self, Field};
use crate::wire::frontend::{self, Bind, Execute, Formats, Parse, Target};
use crate::wire::reader::{message, put_count, put_cstr, put_value};
use crate::wire::{Head, Side};

pub(super) const POLICY: &str = r#"
version = 1
[table."public.users"]
email = { type = "text", mode = "deterministic" }
name = { type = "text" }
"#;

/// Object ids of the fixture's tables.
pub(super) const USERS: u32 = 16_384;
pub(super) const PLAIN: u32 = 16_390;

pub(super) struct Peers {
    pub(super) session: Session,
    vault: Vault,
    verdicts: Verdicts,
    metrics: Metrics,
    pub(super) now: Instant,
    pub(super) policy: Arc<Policy>,
    client_input: BytesMut,
    server_input: BytesMut,
    /// Bytes that are fed at a time.
    chunk: usize,
    /// `true`: the session's own queries are answered behind the scenes.
    pub(super) answering: bool,
    /// The server's `client_encoding`.
    pub(super) encoding: &'static str,
}

/// Runs a transcript with whole frames and byte by byte.
pub(super) fn transcript(run: impl Fn(&mut Peers)) {
    for chunk in [usize::MAX, 1] {
        run(&mut Peers::ready(chunk, POLICY));
    }
}

impl Peers {
    /// The same, and TLS is offered to the client or demanded of it.
    pub(super) fn with_tls(tls: ClientTls) -> Self {
        let mut peers = Self::new(usize::MAX, POLICY);
        peers.session = Session::new(peers.policy.clone(), tls);
        peers
    }

    /// A session that has not begun.
    pub(super) fn new(chunk: usize, policy: &str) -> Self {
        let policy = Arc::new(Policy::parse(policy, "test").expect("the test's policy"));
        let key = DataKey::new("default", 1, State::Active, Secret::new([7; 32]));
        let keys = Arc::new(Keys::new([key], []));
        let mut drawn = 0_u8;
        let entropy = Box::new(move |bytes: &mut [u8]| {
            drawn = drawn.wrapping_add(1);
            bytes.fill(drawn);
            Ok(())
        });
        Self {
            session: Session::new(policy.clone(), ClientTls::Off),
            vault: Vault::new(keys, entropy),
            verdicts: Verdicts::default(),
            metrics: Metrics::new(),
            now: Instant::now(),
            policy,
            client_input: BytesMut::new(),
            server_input: BytesMut::new(),
            chunk,
            answering: true,
            encoding: "UTF8",
        }
    }

    /// A session that was authenticated, with the fixture's catalog at hand.
    pub(super) fn ready(chunk: usize, policy: &str) -> Self {
        let mut peers = Self::new(chunk, policy);
        peers.client(&startup(3, 0, &[("user", "u"), ("database", "d")]));
        peers.server(&[auth_ok(), parameter("client_encoding", "UTF8"), ready('I')].concat());
        peers.offer();
        peers.sent_bytes();
        peers.told_bytes();
        peers
    }

    /// Another session has just read the fixture's catalog.
    pub(super) fn offer(&mut self) {
        let schema = Arc::new(Schema::build(&self.policy, &catalog()).0);
        self.share(&Arc::new(SchemaVersion::new(schema, self.now)));
    }

    /// Another session has read this.
    pub(super) fn share(&mut self, version: &Arc<SchemaVersion>) {
        self.session.offer(version);
    }

    /// The fixture's catalog as if read some time from now.
    pub(super) fn version(&self, later: Duration) -> Arc<SchemaVersion> {
        let schema = Arc::new(Schema::build(&self.policy, &catalog()).0);
        Arc::new(SchemaVersion::new(schema, self.now + later))
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(super) fn client(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.chunk.min(bytes.len()).max(1)) {
            self.client_input.extend_from_slice(piece);
            self.step();
        }
    }

    pub(super) fn server(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.chunk.min(bytes.len()).max(1)) {
            self.server_input.extend_from_slice(piece);
            self.step();
        }
    }

    fn step(&mut self) {
        let mut tools = Tools {
            vault: &mut self.vault,
            verdicts: &mut self.verdicts,
            now: self.now,
            metrics: &self.metrics,
        };
        self.session.server(&mut self.server_input, &mut tools);
        self.session.client(&mut self.client_input, &mut tools);
        if self.answering {
            self.answer_flight();
        }
    }

    /// Answers the session's own look at its settings, if that is what waits to be sent.
    fn answer_flight(&mut self) {
        let sent = self.session.to_server();
        let Some(start) = find(sent, &close(Target::Statement(b"_pgseal_"))) else { return };
        let flight = sent.split_off(start);
        let answer = self.answer(&flight);
        self.server_input.extend_from_slice(&answer);
        self.step();
    }

    /// The server's answer to a flight: of an empty database, if it asks for the catalog too.
    pub(super) fn answer(&self, flight: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut asked = String::new();
        for (tag, body) in frames(flight, Side::Client) {
            match tag {
                b'P' => {
                    asked = String::from_utf8_lossy(Parse::read(body).unwrap().text).into_owned();
                    out.extend(bare(b'1'));
                }
                b'B' => out.extend(bare(b'2')),
                b'E' => {
                    if crate::catalog::QUERIES.first().is_some_and(|q| q.sql == asked) {
                        out.extend(row(&[Some(b"d"), Some(b"150018")]));
                    }
                    if asked == crate::catalog::SESSION_QUERY {
                        out.extend(row(&[
                            Some(b"{pg_catalog,public}"),
                            Some(b"\"$user\", public"),
                            Some(b"d"),
                            Some(b"150018"),
                            None,
                            Some(b"1"),
                            Some(b"hex"),
                            Some(b"ISO, MDY"),
                            Some(b"postgres"),
                            Some(b"GMT"),
                            Some(self.encoding.as_bytes()),
                            Some(b"on"),
                        ]));
                    }
                    out.extend(complete("SELECT 1"));
                }
                b'C' => out.extend(bare(b'3')),
                b'S' => out.extend(ready('I')),
                b'H' => {}
                other => panic!("a flight with {}", other as char),
            }
        }
        out
    }

    pub(super) fn take_event(&mut self) -> Option<Event> {
        self.session.take_event()
    }

    /// What was sent to the server since the last look, a line a frame.
    pub(super) fn sent(&mut self) -> Vec<String> {
        show(&self.session.to_server().split(), Side::Client)
    }

    /// The same in bytes.
    pub(super) fn sent_bytes(&mut self) -> Vec<u8> {
        self.session.to_server().split().to_vec()
    }

    pub(super) fn told(&mut self) -> Vec<String> {
        show(&self.session.to_client().split(), Side::Server)
    }

    pub(super) fn told_bytes(&mut self) -> Vec<u8> {
        self.session.to_client().split().to_vec()
    }

    /// A value as the server would hold it in a column of `users`.
    pub(super) fn sealed(&mut self, column: &str, text: &str) -> Vec<u8> {
        let (schema, _) = Schema::build(&self.policy, &catalog());
        let (_, class) =
            schema.sealed_columns().find(|(name, _)| name.column == column).expect("a protected column");
        let mut out = Vec::new();
        self.vault.begin_frame();
        self.vault.seal("default", &class.binding, text.as_bytes(), &mut out, self.now).unwrap();
        out
    }
}

pub(super) fn catalog() -> Catalog {
    let column = |number, name: &str, type_oid| Attribute {
        number,
        name: name.into(),
        type_oid,
        modifier: -1,
        not_null: false,
        nondeterministic_collation: false,
        default: None,
        generated: false,
        identity: false,
    };
    let table = |oid, name: &str, columns| Relation {
        oid,
        name: RelationName::new("public", name),
        kind: RelationKind::Table,
        columns,
        parents: Vec::new(),
        definition: None,
        dependents: Vec::new(),
        rule_references: Vec::new(),
    };
    Catalog {
        database: "d".into(),
        server_version: 150_018,
        relations: vec![
            table(
                USERS,
                "users",
                vec![
                    column(1, "id", 23),
                    column(2, "email", 17),
                    column(3, "name", 17),
                    column(4, "note", 25),
                ],
            ),
            table(PLAIN, "plain", vec![column(1, "id", 23), column(2, "v", 25)]),
        ],
        types: Vec::new(),
        functions: Vec::new(),
        pins: Vec::new(),
        changes: Vec::new(),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

pub(super) fn frames(bytes: &[u8], side: Side) -> Vec<(u8, &[u8])> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let head = Head::peek(rest, side).unwrap().expect("a whole frame");
        out.push((head.tag, head.body(rest).expect("a whole frame")));
        rest = &rest[head.total..];
    }
    out
}

fn show(bytes: &[u8], side: Side) -> Vec<String> {
    let text = |b: &[u8]| mask(&String::from_utf8_lossy(b));
    frames(bytes, side)
        .into_iter()
        .map(|(tag, body)| match (side, tag) {
            (Side::Client, b'Q') => format!("Query {}", text(&body[..body.len() - 1])),
            (Side::Client, b'P') => {
                let p = Parse::read(body).unwrap();
                format!("Parse {:?} {} {:?}", text(p.name), text(p.text), p.types)
            }
            (Side::Client, b'B') => {
                let b = Bind::read(body).unwrap();
                let values: Vec<_> = b.values.iter().map(|v| v.map_or("NULL".into(), value)).collect();
                format!(
                    "Bind {:?} {:?} {values:?} {:?}",
                    text(b.portal),
                    text(b.statement),
                    codes(&b.formats)
                )
            }
            (Side::Client, b'D') => format!("Describe {:?}", Target::read(body).map(named).unwrap()),
            (Side::Client, b'C') => format!("Close {:?}", Target::read(body).map(named).unwrap()),
            (Side::Client, b'E') => {
                let e = Execute::read(body).unwrap();
                format!("Execute {:?} {}", text(e.portal), e.limit)
            }
            (Side::Client, b'S') => "Sync".into(),
            (Side::Client, b'H') => "Flush".into(),
            (Side::Server, b'E' | b'N') => {
                let fields = backend::notice_fields(body).unwrap();
                let field = |c| fields.iter().find(|(k, _)| *k == c).map(|(_, v)| text(v));
                let mut line = format!(
                    "{} {} {}",
                    field(b'V').or_else(|| field(b'S')).unwrap_or_default(),
                    field(b'C').unwrap_or_default(),
                    field(b'M').unwrap_or_default()
                );
                for (code, name) in [(b'P', "at"), (b'D', "detail:"), (b'W', "context:")] {
                    if let Some(text) = field(code) {
                        line.push_str(&format!(" {name} {text}"));
                    }
                }
                line
            }
            (Side::Server, b'T') => {
                let fields = backend::row_description(body).unwrap();
                let names: Vec<_> =
                    fields.iter().map(|f| format!("{}:{}", text(f.name), f.type_oid)).collect();
                format!("RowDescription {}", names.join(" "))
            }
            (Side::Server, b't') => {
                format!("ParameterDescription {:?}", backend::parameter_description(body).unwrap())
            }
            (Side::Server, b'D') => {
                let values: Vec<_> =
                    backend::data_row(body).unwrap().iter().map(|v| v.map_or("NULL".into(), value)).collect();
                format!("DataRow {values:?}")
            }
            (Side::Server, b'C') => format!("CommandComplete {}", text(&body[..body.len() - 1])),
            (Side::Server, b'Z') => format!("Ready {}", text(body)),
            (Side::Server, b'1') => "ParseComplete".into(),
            (Side::Server, b'2') => "BindComplete".into(),
            (Side::Server, b'3') => "CloseComplete".into(),
            (Side::Server, b'n') => "NoData".into(),
            (Side::Server, b's') => "PortalSuspended".into(),
            (_, other) => format!("{} {}", other as char, text(body)),
        })
        .collect()
}

fn named(target: Target<'_>) -> String {
    match target {
        Target::Statement(name) => format!("S {}", String::from_utf8_lossy(name)),
        Target::Portal(name) => format!("P {}", String::from_utf8_lossy(name)),
    }
}

fn codes(formats: &Formats) -> Vec<u8> {
    formats.0.iter().map(|f| u8::from(*f == Format::Binary)).collect()
}

fn value(bytes: &[u8]) -> String {
    if bytes.first() == Some(&0xe5) { "<sealed>".into() } else { mask(&String::from_utf8_lossy(bytes)) }
}

/// Hex of an envelope becomes `<sealed>`.
fn mask(text: &str) -> String {
    let Some(start) = text.find("\\xe5") else { return text.into() };
    let rest = &text[start + 2..];
    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    format!("{}<sealed>{}", &text[..start], mask(&rest[end..]))
}

// -- frames of the client

pub(super) fn startup(major: u16, minor: u16, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_u16(major);
    body.put_u16(minor);
    for (name, value) in parameters {
        put_cstr(&mut body, name.as_bytes());
        put_cstr(&mut body, value.as_bytes());
    }
    body.put_u8(0);
    let mut out = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(&body);
    out
}

fn built(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut out);
    out.to_vec()
}

pub(super) fn query(text: &str) -> Vec<u8> {
    built(|out| frontend::write_query(out, text.as_bytes()))
}

pub(super) fn parse(name: &str, text: &str, types: &[u32]) -> Vec<u8> {
    built(|out| Parse { name: name.as_bytes(), text: text.as_bytes(), types: types.to_vec() }.write(out))
}

pub(super) fn bind(portal: &str, statement: &str, values: &[Option<&[u8]>]) -> Vec<u8> {
    bind_as(portal, statement, &[], values, &[])
}

pub(super) fn bind_as(
    portal: &str,
    statement: &str,
    formats: &[Format],
    values: &[Option<&[u8]>],
    results: &[Format],
) -> Vec<u8> {
    built(|out| {
        Bind::write(
            out,
            portal.as_bytes(),
            statement.as_bytes(),
            &Formats(formats.to_vec()),
            values.iter().copied(),
            &Formats(results.to_vec()),
        );
    })
}

pub(super) fn describe(target: Target<'_>) -> Vec<u8> {
    built(|out| target.write(out, b'D'))
}

pub(super) fn close(target: Target<'_>) -> Vec<u8> {
    built(|out| target.write(out, b'C'))
}

pub(super) fn execute(portal: &str, limit: i32) -> Vec<u8> {
    built(|out| Execute { portal: portal.as_bytes(), limit }.write(out))
}

/// Sync, Flush, and the server's messages that have no body.
pub(super) fn bare(tag: u8) -> Vec<u8> {
    built(|out| frontend::write_bare(out, tag))
}

// -- frames of the server

/// A frame of any type around any body.
pub(super) fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    built(|out| message(out, tag, |b| b.put_slice(body)))
}

pub(super) fn auth_ok() -> Vec<u8> {
    built(|out| message(out, b'R', |b| b.put_u32(0)))
}

pub(super) fn parameter(name: &str, value: &str) -> Vec<u8> {
    built(|out| {
        message(out, b'S', |b| {
            put_cstr(b, name.as_bytes());
            put_cstr(b, value.as_bytes());
        });
    })
}

pub(super) fn ready(status: char) -> Vec<u8> {
    built(|out| message(out, b'Z', |b| b.put_u8(status as u8)))
}

pub(super) fn complete(tag: &str) -> Vec<u8> {
    built(|out| message(out, b'C', |b| put_cstr(b, tag.as_bytes())))
}

pub(super) fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
    built(|out| {
        message(out, b'D', |b| {
            put_count(b, values.len());
            for v in values {
                put_value(b, *v);
            }
        });
    })
}

/// A RowDescription: name, table, attribute, type.
pub(super) fn columns(fields: &[(&str, u32, i16, u32)]) -> Vec<u8> {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, table, attribute, type_oid)| Field {
            name: name.as_bytes(),
            table: *table,
            attribute: *attribute,
            type_oid: *type_oid,
            type_size: -1,
            modifier: -1,
            format: 0,
        })
        .collect();
    built(|out| backend::write_row_description(out, &fields))
}

pub(super) fn parameters(types: &[u32]) -> Vec<u8> {
    built(|out| backend::write_parameter_description(out, types))
}

pub(super) fn error(code: &str, fields: &[(u8, &str)]) -> Vec<u8> {
    let mut all = vec![(b'S', "ERROR"), (b'V', "ERROR"), (b'C', code), (b'M', "server says no")];
    all.extend_from_slice(fields);
    built(|out| backend::write_notice(out, b'E', all.iter().map(|(c, t)| (*c, t.as_bytes()))))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("\\x".to_owned(), |s, b| s + &format!("{b:02x}"))
}
