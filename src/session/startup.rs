//! Before the first statement: encryption requests, the startup packet, authentication relayed.

use bytes::{Buf as _, BytesMut};

use super::{End, Event, Phase, Session, Step};
use crate::error::{ClientError, SqlState};
use crate::wire::backend::TransactionStatus;
use crate::wire::frame::{HEAD, MAX_SMALL};
use crate::wire::startup::Packet;
use crate::wire::{Head, Reader, Side, WireError, sasl, startup};

/// The longest answer in an authentication exchange (`PG_MAX_AUTH_TOKEN_LENGTH`).
const MAX_AUTH: usize = 65_535 + HEAD;

/// What the proxy offers and demands of a client's connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientTls {
    /// There is none: a request for it is answered no.
    #[default]
    Off,
    /// For clients that ask for it.
    Optional,
    /// No session without it.
    Required,
    /// No session without it and a certificate of the client that bears the user's name.
    Mutual,
}

/// What the connection to the server is, as far as SCRAM may be bound to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerLink {
    /// Without TLS: the server offers no binding, and takes a client's word that it could have bound.
    #[default]
    Plain,
    /// TLS, under another certificate than the client sees: what the client binds to is not what the server knows.
    Encrypted,
    /// TLS on both sides under one certificate. A binding is its hash (`tls-server-end-point`), so it holds from end to
    /// end.
    SameCertificate,
}

/// What the server has asked the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Which of the mechanisms it takes.
    Mechanism,
    /// Anything else.
    Other,
}

/// What a client has asked for before its startup packet.
#[derive(Debug)]
pub(super) struct Startup {
    tls: ClientTls,
    ssl: bool,
    gss: bool,
    secured: bool,
    /// The names in the client's certificate, if it has shown one.
    names: Option<Vec<String>>,
}

impl Startup {
    pub(super) fn new(tls: ClientTls) -> Self {
        Self { tls, ssl: false, gss: false, secured: false, names: None }
    }

    /// Whether a user may start a session in a database over this connection.
    fn admit(&self, user: &str, database: &str) -> Result<(), ClientError> {
        let refusal = |message: String| ClientError::fatal(SqlState::INVALID_AUTHORIZATION, message);
        match (self.tls, self.secured, &self.names) {
            (ClientTls::Off | ClientTls::Optional, ..) | (ClientTls::Required, true, _) => Ok(()),
            (ClientTls::Required | ClientTls::Mutual, false, _) => Err(refusal(format!(
                "connection requires TLS: user \"{user}\", database \"{database}\", no encryption"
            ))
            .with_hint("Connect with sslmode=require or stronger.")),
            (ClientTls::Mutual, true, None) => {
                Err(refusal("connection requires a valid client certificate".to_owned()))
            }
            (ClientTls::Mutual, true, Some(names)) if names.iter().any(|name| name == user) => Ok(()),
            (ClientTls::Mutual, true, Some(_)) => Err(refusal(format!(
                "certificate authentication failed for user \"{user}\""
            ))
            .with_detail(
                "Neither the common name nor an alternative name in the client's certificate is the user's.",
            )),
        }
    }
}

impl Session {
    /// The client's connection is encrypted from here on. `names` are those in the certificate that it has shown and
    /// that was verified, if it has shown one; `end_point` is the hash of the one that it was shown, if authentication
    /// here may be bound to it.
    pub fn secured(&mut self, names: Option<Vec<String>>, end_point: Option<Vec<u8>>) {
        self.end_points.client = end_point;
        if let Phase::Startup(startup) = &mut self.phase {
            startup.secured = true;
            startup.names = names;
        }
    }

    /// The server is connected, and how; `end_point` is the hash of the certificate that it has shown, if our own login
    /// may be bound to it.
    pub fn linked(&mut self, link: ServerLink, end_point: Option<Vec<u8>>) {
        self.server_link = link;
        self.end_points.server = end_point;
    }

    /// Takes one packet that has no type byte.
    pub(super) fn startup_packet(&mut self, input: &mut BytesMut) -> Result<Step, End> {
        let Phase::Startup(asked) = &mut self.phase else { return Ok(Step::Done) };
        let client = |e| End::Wire(Side::Client, e);
        let Some(length) = startup::peek(input).map_err(client)? else { return Ok(Step::More) };
        let Some(packet) = input.get(..length) else { return Ok(Step::More) };
        match startup::read(packet).map_err(client)? {
            Packet::Ssl if !asked.ssl => {
                nothing_behind(input, length, "SSL request")?;
                asked.ssl = true;
                if asked.tls == ClientTls::Off || asked.secured {
                    self.to_client.extend_from_slice(b"N");
                } else {
                    // As PostgreSQL does: GSSAPI may be asked for only where TLS was refused.
                    asked.gss = true;
                    self.to_client.extend_from_slice(b"S");
                    self.events.push(Event::Handshake);
                }
            }
            Packet::GssEnc if !asked.gss => {
                nothing_behind(input, length, "GSSAPI encryption request")?;
                asked.gss = true;
                self.to_client.extend_from_slice(b"N");
            }
            Packet::Ssl | Packet::GssEnc => {
                return Err(client(WireError::Field("repeated encryption request")));
            }
            Packet::Cancel => {
                self.events.push(Event::Cancel(packet.to_vec()));
                self.phase = Phase::Ended;
            }
            Packet::Unsupported(major, minor) => {
                let message =
                    format!("unsupported frontend protocol {major}.{minor}: the proxy supports 3.0 to 3.2");
                return Err(ClientError::fatal(SqlState::FEATURE_NOT_SUPPORTED, message).into());
            }
            Packet::Startup(packet_read) => {
                let text =
                    |name| packet_read.parameter(name).map(|v| String::from_utf8_lossy(v).into_owned());
                let user = text("user").unwrap_or_default();
                self.database = text("database").unwrap_or_else(|| user.clone());
                asked.admit(&user, &self.database)?;
                let application = text("application_name").unwrap_or_default();
                self.replication = text("replication").is_some_and(|v| is_replication(&v));
                self.is_called(&application);
                self.user.clone_from(&user);
                if let Some(method) = self.method {
                    let mut for_server = BytesMut::from(packet);
                    if packet_read.needs_negotiation() {
                        for_server.clear();
                        packet_read.write_negotiated(&mut for_server);
                        let options: Vec<_> = packet_read.protocol_options().map(<[u8]>::to_vec).collect();
                        startup::write_negotiate(
                            &mut self.to_client,
                            packet_read.negotiated_minor(),
                            &options,
                        );
                    }
                    self.begin_login(method, user, for_server.to_vec());
                } else if packet_read.needs_negotiation() {
                    let options = packet_read.protocol_options().map(<[u8]>::to_vec).collect();
                    self.negotiating = Some((packet_read.negotiated_minor(), options));
                    packet_read.write_negotiated(&mut self.to_server);
                    self.keep_greeting();
                    self.phase = Phase::Authenticating { asked: None, login: None };
                } else {
                    self.to_server.extend_from_slice(packet);
                    self.keep_greeting();
                    self.phase = Phase::Authenticating { asked: None, login: None };
                }
            }
        }
        input.advance(length);
        Ok(Step::Done)
    }

    /// Takes a client's frame while it is authenticated: answers go to who has asked, anything else waits. A query
    /// that comes in an answer's place must not reach the server.
    pub(super) fn authentication_frame(&mut self, input: &mut BytesMut) -> Result<Step, End> {
        let Phase::Authenticating { asked, login } = &mut self.phase else { return Ok(Step::Done) };
        let Some(head) = Head::peek(input, Side::Client)
            .or_else(|e| {
                if matches!(e, WireError::Length { tag: b'p', .. }) { long_answer(input) } else { Err(e) }
            })
            .map_err(|e| End::Wire(Side::Client, e))?
        else {
            return Ok(Step::More);
        };
        match head.tag {
            b'p' if login.is_some() => {
                if asked.is_none() {
                    return Ok(Step::Stall);
                }
                if input.len() < head.total {
                    return Ok(Step::More);
                }
                *asked = None;
                let frame = input.split_to(head.total);
                self.login_answer(frame.get(HEAD..).unwrap_or_default())
            }
            b'p' => {
                if input.len() < head.total {
                    return Ok(Step::More);
                }
                let question = asked.take();
                let frame = input.split_to(head.total);
                if question == Some(Question::Mechanism) && self.server_link == ServerLink::Encrypted {
                    let body = frame.get(HEAD..).unwrap_or_default();
                    // What is no answer to the question is the server's to refuse.
                    if sasl::could_have_bound(body).unwrap_or(false) {
                        return Err(cannot_bind().into());
                    }
                }
                self.to_server.extend_from_slice(&frame);
                Ok(Step::Done)
            }
            b'X' => {
                self.to_server.extend_from_slice(&input.split_to(head.total.min(input.len())));
                self.leaving = true;
                Ok(Step::Done)
            }
            _ if asked.is_some() => {
                let message = format!("expected password response, got message type {}", head.tag);
                Err(ClientError::fatal(SqlState::PROTOCOL_VIOLATION, message).into())
            }
            _ if head.total > MAX_SMALL => Err(End::Wire(
                Side::Client,
                WireError::Length { tag: head.tag, length: i64::try_from(head.total).unwrap_or(i64::MAX) },
            )),
            _ => Ok(Step::Stall),
        }
    }

    /// Looks at a server's frame before the first ReadyForQuery. True: it goes on as it came.
    pub(super) fn startup_reply(&mut self, tag: u8, body: &[u8]) -> Result<bool, End> {
        let server = |e| End::Wire(Side::Server, e);
        match tag {
            // The client was told what we speak when it began, and nothing else depends on it.
            b'v' if self.method.is_some() => return Ok(false),
            b'v' => {
                let Some((asked, mut options)) = self.negotiating.take() else { return Ok(true) };
                let (minor, more) = startup::read_negotiate(body).map_err(server)?;
                options.extend(more);
                startup::write_negotiate(&mut self.to_client, minor.min(asked), &options);
                return Ok(false);
            }
            b'R' => {
                // The server spoke the version that we took the client down to, so we say it in its place.
                if let Some((asked, options)) = self.negotiating.take() {
                    startup::write_negotiate(&mut self.to_client, asked, &options);
                }
                let mut reader = Reader::new(body);
                let code = reader.u32().map_err(server)?;
                if self.method.is_some() {
                    return self.login_request(code, reader.rest());
                }
                if let Phase::Authenticating { asked, .. } = &mut self.phase {
                    *asked = match code {
                        // AuthenticationOk, and the last word of SASL; every other code wants an answer.
                        sasl::OK | sasl::FINAL => None,
                        sasl::SASL => Some(Question::Mechanism),
                        _ => Some(Question::Other),
                    };
                }
                if code == sasl::SASL && self.server_link != ServerLink::SameCertificate {
                    return self.offer_mechanisms(reader.rest());
                }
            }
            b'S' => self.parameter_status(body)?,
            b'Z' => {
                self.status = TransactionStatus::read(body).map_err(server)?;
                self.phase = Phase::Ready;
            }
            _ => {}
        }
        Ok(true)
    }
}

impl Session {
    /// Takes what would bind the client to our certificate from the mechanisms that the server offers. True: nothing
    /// is taken.
    fn offer_mechanisms(&mut self, body: &[u8]) -> Result<bool, End> {
        let mut names = sasl::read_mechanisms(body).map_err(|e| End::Wire(Side::Server, e))?;
        let offered = names.len();
        names.retain(|name| !sasl::binds_channel(name));
        if names.len() == offered {
            return Ok(true);
        }
        if names.is_empty() {
            return Err(cannot_bind().into());
        }
        sasl::write_mechanisms(&mut self.to_client, &names);
        Ok(false)
    }
}

/// Between two TLS connections: the client says that it could have bound the channel and was not offered to, the
/// server knows that it has offered, and takes it for an attack. Its own error would be "SCRAM channel binding
/// negotiation error", which leads nowhere.
fn cannot_bind() -> ClientError {
    let message = "SCRAM authentication of a client that supports channel binding cannot pass from one TLS connection \
                   to another";
    ClientError::fatal(SqlState::INVALID_AUTHORIZATION, message)
        .with_detail(
            "The client would bind to the proxy's certificate, and the server to its own. Without binding, the server \
             takes what the client says of itself for an attack.",
        )
        .with_hint(
            "Connect with channel_binding=disable, or without TLS (sslmode=disable) to a proxy on the same host; or give \
             the proxy the server's own certificate and key (--tls-cert and --tls-key), or let it authenticate clients \
             itself (--auth terminate).",
        )
}

/// What comes behind a request and before its answer is not encrypted, and might have been put there to be taken for
/// the beginning of what is (CVE-2021-23214).
fn nothing_behind(input: &[u8], length: usize, request: &str) -> Result<(), ClientError> {
    if input.len() == length {
        return Ok(());
    }
    let message = format!("received unencrypted data after {request}");
    Err(ClientError::fatal(SqlState::PROTOCOL_VIOLATION, message).with_detail(
        "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
    ))
}

/// A `p` frame longer than the small limit: tokens of GSSAPI and SASL may be.
fn long_answer(input: &[u8]) -> Result<Option<Head>, WireError> {
    let Some(&[tag, a, b, c, d]) = input.first_chunk::<HEAD>() else { return Ok(None) };
    let length = i32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(n) if (4..=MAX_AUTH).contains(&n) => Ok(Some(Head { tag, total: n + 1 })),
        _ => Err(WireError::Length { tag, length: i64::from(length) }),
    }
}

/// As PostgreSQL reads the `replication` parameter: `database` or a true boolean.
fn is_replication(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    value == "database"
        || value == "1"
        || (!value.is_empty() && ("true".starts_with(&value) || "yes".starts_with(&value)))
        || value == "on"
}
