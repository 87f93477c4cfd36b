//! The first packet of a connection: it has no type byte.
//!
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-STARTUPMESSAGE>

use bytes::{BufMut, BytesMut};
use pgwire::messages::Message as _;
use pgwire::messages::startup::NegotiateProtocolVersion;

use super::frame::MAX_STARTUP;
use super::reader::{put_cstr, sized};
use super::{Reader, WireError};

/// The newest minor version of protocol 3 that the proxy speaks.
pub const NEWEST_MINOR: u16 = 2;

const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSSENC: u32 = 80_877_104;

/// An SSLRequest as a whole.
pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What a client may say first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// It asks for TLS.
    Ssl,
    /// It asks for GSSAPI encryption.
    GssEnc,
    /// It wants another session's statement cancelled. The key is up to 256 bytes from protocol 3.2 on.
    Cancel,
    /// It starts a session.
    Startup(Startup<'a>),
    /// It speaks another major version (as major, minor).
    Unsupported(u16, u16),
}

/// A StartupMessage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup<'a> {
    /// Minor version of protocol 3.
    pub minor: u16,
    /// Parameters in their order.
    pub parameters: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Startup<'a> {
    /// The last value given for a parameter.
    pub fn parameter(&self, name: &str) -> Option<&'a [u8]> {
        self.parameters.iter().rev().find(|(n, _)| *n == name.as_bytes()).map(|(_, v)| *v)
    }

    /// What has to be taken down before the packet is passed on: protocol options, which all are unknown to
    /// this proxy. A client that asks for nothing newer than we speak gives an empty list.
    pub fn protocol_options(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.parameters.iter().map(|(n, _)| *n).filter(|n| n.starts_with(b"_pq_."))
    }

    /// True if the packet cannot go on as it came.
    pub fn needs_negotiation(&self) -> bool {
        self.minor > NEWEST_MINOR || self.protocol_options().next().is_some()
    }

    /// The minor version that we speak for it.
    pub fn negotiated_minor(&self) -> u16 {
        self.minor.min(NEWEST_MINOR)
    }

    /// Writes the packet that we speak for it: a version that we know and no protocol options.
    pub fn write_negotiated(&self, out: &mut BytesMut) {
        sized(out, |b| {
            b.put_u16(3);
            b.put_u16(self.negotiated_minor());
            for (name, value) in self.parameters.iter().filter(|(n, _)| !n.starts_with(b"_pq_.")) {
                put_cstr(b, name);
                put_cstr(b, value);
            }
            b.put_u8(0);
        });
    }
}

/// Length of the packet at the front of `input`; `None` until its length word is there.
///
/// # Errors
/// A length below 8 or above what PostgreSQL takes.
pub fn peek(input: &[u8]) -> Result<Option<usize>, WireError> {
    let Some(word) = input.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*word);
    match usize::try_from(length) {
        Ok(n) if (8..=MAX_STARTUP).contains(&n) => Ok(Some(n)),
        _ => Err(WireError::Length { tag: 0, length: i64::from(length) }),
    }
}

/// Reads a whole packet, its length word included.
///
/// # Errors
/// Anything that PostgreSQL would call an invalid startup packet.
pub fn read(packet: &[u8]) -> Result<Packet<'_>, WireError> {
    let mut r = Reader::new(packet);
    r.u32()?;
    let code = r.u32()?;
    match code {
        SSL => r.finish().map(|()| Packet::Ssl),
        GSSENC => r.finish().map(|()| Packet::GssEnc),
        CANCEL => {
            let key = r.rest().len();
            if (5..=4 + 256).contains(&key) {
                Ok(Packet::Cancel)
            } else {
                Err(WireError::Field("cancel key"))
            }
        }
        _ => {
            let (major, minor) = ((code >> 16) as u16, (code & 0xffff) as u16);
            if major != 3 {
                return Ok(Packet::Unsupported(major, minor));
            }
            let mut parameters = Vec::new();
            loop {
                let name = r.cstr()?;
                if name.is_empty() {
                    break;
                }
                parameters.push((name, r.cstr()?));
            }
            r.finish()?;
            Ok(Packet::Startup(Startup { minor, parameters }))
        }
    }
}

/// Writes NegotiateProtocolVersion: the newest minor version spoken and the options that are not known.
pub fn write_negotiate(out: &mut BytesMut, minor: u16, options: &[Vec<u8>]) {
    // The word holds the whole version number, as servers send it (`PG_PROTOCOL(3, minor)`).
    let version = (3 << 16) | i32::from(minor);
    let options = options.iter().map(|o| String::from_utf8_lossy(o).into_owned()).collect();
    let message = NegotiateProtocolVersion::new(version, options);
    // Encoding fails only beyond pgwire's size limit, which a startup packet of 10 kB cannot reach.
    let _ = message.encode(out);
}

/// Reads the body of NegotiateProtocolVersion: the version word and the options.
///
/// # Errors
/// A body that is not one.
pub fn read_negotiate(body: &[u8]) -> Result<(u16, Vec<Vec<u8>>), WireError> {
    let mut r = Reader::new(body);
    let minor = (r.u32()? & 0xffff) as u16;
    let n = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
    let mut options = Vec::new();
    for _ in 0..n {
        options.push(r.cstr()?.to_vec());
    }
    r.finish()?;
    Ok((minor, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(minor: u16, parameters: &[(&str, &str)]) -> BytesMut {
        let mut out = BytesMut::new();
        sized(&mut out, |b| {
            b.put_u16(3);
            b.put_u16(minor);
            for (n, v) in parameters {
                put_cstr(b, n.as_bytes());
                put_cstr(b, v.as_bytes());
            }
            b.put_u8(0);
        });
        out
    }

    #[test]
    fn every_truncation_of_a_startup_packet_is_refused() {
        let whole = startup(0, &[("user", "u"), ("database", "d")]);
        assert!(matches!(read(&whole), Ok(Packet::Startup(s)) if s.parameter("database") == Some(b"d")));
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_newer_protocol_and_its_options_are_taken_down() {
        let packet = startup(9999, &[("user", "u"), ("_pq_.grease", "1")]);
        let Ok(Packet::Startup(s)) = read(&packet) else { panic!("no startup") };
        assert!(s.needs_negotiation());
        let mut out = BytesMut::new();
        s.write_negotiated(&mut out);
        assert_eq!(out, startup(2, &[("user", "u")]));
    }

    #[test]
    fn negotiation_is_read_as_it_is_written() {
        let mut out = BytesMut::new();
        write_negotiate(&mut out, 2, &[b"_pq_.x".to_vec()]);
        assert_eq!(out.first(), Some(&b'v'));
        assert_eq!(read_negotiate(&out[5..]), Ok((2, vec![b"_pq_.x".to_vec()])));
    }

    #[test]
    fn requests_before_startup_are_told_apart() {
        assert_eq!(read(&SSL_REQUEST), Ok(Packet::Ssl));
        assert_eq!(read(&[0, 0, 0, 8, 4, 210, 22, 48]), Ok(Packet::GssEnc));
        assert_eq!(read(&[0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2]), Ok(Packet::Cancel));
        assert_eq!(read(&[0, 0, 0, 8, 0, 2, 0, 0]), Ok(Packet::Unsupported(2, 0)));
    }
}
