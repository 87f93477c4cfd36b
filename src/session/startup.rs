//! Before the first statement: encryption requests, the startup packet, authentication relayed.

use bytes::{Buf as _, BytesMut};

use super::{End, Event, Phase, Session, Step};
use crate::error::{ClientError, SqlState};
use crate::wire::backend::TransactionStatus;
use crate::wire::frame::{HEAD, MAX_SMALL};
use crate::wire::startup::Packet;
use crate::wire::{Head, Reader, Side, WireError, startup};

/// The longest answer in an authentication exchange (`PG_MAX_AUTH_TOKEN_LENGTH`).
const MAX_AUTH: usize = 65_535 + HEAD;

/// What a client has asked for before its startup packet.
#[derive(Debug, Default)]
pub(super) struct Startup {
    ssl: bool,
    gss: bool,
}

impl Session {
    /// Takes one packet that has no type byte.
    pub(super) fn startup_packet(&mut self, input: &mut BytesMut) -> Result<Step, End> {
        let Phase::Startup(asked) = &mut self.phase else { return Ok(Step::Done) };
        let client = |e| End::Wire(Side::Client, e);
        let Some(length) = startup::peek(input).map_err(client)? else { return Ok(Step::More) };
        let Some(packet) = input.get(..length) else { return Ok(Step::More) };
        match startup::read(packet).map_err(client)? {
            Packet::Ssl if !asked.ssl => {
                asked.ssl = true;
                self.to_client.extend_from_slice(b"N");
            }
            Packet::GssEnc if !asked.gss => {
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
                self.database = text("database").or_else(|| text("user")).unwrap_or_default();
                self.replication = text("replication").is_some_and(|v| is_replication(&v));
                if packet_read.needs_negotiation() {
                    let options = packet_read.protocol_options().map(<[u8]>::to_vec).collect();
                    self.negotiating = Some((packet_read.negotiated_minor(), options));
                    packet_read.write_negotiated(&mut self.to_server);
                } else {
                    self.to_server.extend_from_slice(packet);
                }
                self.phase = Phase::Authenticating { asked: false };
            }
        }
        input.advance(length);
        Ok(Step::Done)
    }

    /// Takes a client's frame while the server authenticates it: answers go on, anything else waits. A query
    /// that comes in an answer's place must not reach the server.
    pub(super) fn authentication_frame(&mut self, input: &mut BytesMut) -> Result<Step, End> {
        let Phase::Authenticating { asked } = &mut self.phase else { return Ok(Step::Done) };
        let Some(head) = Head::peek(input, Side::Client)
            .or_else(|e| {
                if matches!(e, WireError::Length { tag: b'p', .. }) { long_answer(input) } else { Err(e) }
            })
            .map_err(|e| End::Wire(Side::Client, e))?
        else {
            return Ok(Step::More);
        };
        match head.tag {
            b'p' => {
                if input.len() < head.total {
                    return Ok(Step::More);
                }
                *asked = false;
                self.to_server.extend_from_slice(&input.split_to(head.total));
                Ok(Step::Done)
            }
            b'X' => {
                self.to_server.extend_from_slice(&input.split_to(head.total.min(input.len())));
                self.leaving = true;
                Ok(Step::Done)
            }
            _ if *asked => {
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
                let code = Reader::new(body).u32().map_err(server)?;
                // 0 is AuthenticationOk, 12 the last word of SASL; every other code wants an answer.
                if let Phase::Authenticating { asked } = &mut self.phase {
                    *asked = !matches!(code, 0 | 12);
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
