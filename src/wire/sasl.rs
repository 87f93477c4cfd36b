//! Messages of SASL authentication that the proxy looks into.
//!
//! <https://www.postgresql.org/docs/current/sasl-authentication.html>

use bytes::{BufMut as _, BytesMut};

use super::reader::{message, put_cstr, put_value};
use super::{Reader, WireError};

/// The code of AuthenticationOk.
pub const OK: u32 = 0;
/// The code of AuthenticationCleartextPassword.
pub const CLEARTEXT: u32 = 3;
/// The code of AuthenticationMD5Password.
pub const MD5: u32 = 5;
/// The code of AuthenticationGSS.
pub const GSS: u32 = 7;
/// The code of AuthenticationSSPI.
pub const SSPI: u32 = 9;
/// The code of AuthenticationSASL.
pub const SASL: u32 = 10;
/// The code of AuthenticationSASLContinue.
pub const CONTINUE: u32 = 11;
/// The code of AuthenticationSASLFinal.
pub const FINAL: u32 = 12;

/// Reads the body of AuthenticationSASL behind its code: the names of the mechanisms that the server offers.
///
/// # Errors
/// A body that is not one.
pub fn read_mechanisms(body: &[u8]) -> Result<Vec<&[u8]>, WireError> {
    let mut r = Reader::new(body);
    let mut names = Vec::new();
    loop {
        match r.cstr()? {
            b"" => break,
            name => names.push(name),
        }
    }
    r.finish()?;
    Ok(names)
}

/// Writes AuthenticationSASL.
pub fn write_mechanisms(out: &mut BytesMut, names: &[&[u8]]) {
    message(out, b'R', |b| {
        b.put_u32(SASL);
        for name in names {
            put_cstr(b, name);
        }
        b.put_u8(0);
    });
}

/// Writes AuthenticationSASLContinue or AuthenticationSASLFinal.
pub fn write_data(out: &mut BytesMut, code: u32, data: &[u8]) {
    message(out, b'R', |b| {
        b.put_u32(code);
        b.put_slice(data);
    });
}

/// Reads the body of SASLInitialResponse: the mechanism and its first message, empty if there is none.
///
/// # Errors
/// A body that is not one.
pub fn read_initial_response(body: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let mut r = Reader::new(body);
    let mechanism = r.cstr()?;
    let data = r.value()?.unwrap_or_default();
    r.finish()?;
    Ok((mechanism, data))
}

/// Writes SASLInitialResponse.
pub fn write_initial_response(out: &mut BytesMut, mechanism: &[u8], data: &[u8]) {
    message(out, b'p', |b| {
        put_cstr(b, mechanism);
        put_value(b, Some(data));
    });
}

/// Writes SASLResponse or PasswordMessage, whose body is in parts.
pub fn write_response(out: &mut BytesMut, parts: &[&[u8]]) {
    message(out, b'p', |b| parts.iter().for_each(|part| b.put_slice(part)));
}

/// True for a mechanism that binds authentication to the TLS connection under it.
pub fn binds_channel(mechanism: &[u8]) -> bool {
    mechanism.ends_with(b"-PLUS")
}

/// Whether a SASLInitialResponse (its body) says by SCRAM that the client could have bound the channel, and was not
/// offered to.
///
/// <https://www.rfc-editor.org/rfc/rfc5802#section-6>
///
/// # Errors
/// A body that is not one.
pub fn could_have_bound(body: &[u8]) -> Result<bool, WireError> {
    let mut r = Reader::new(body);
    let mechanism = r.cstr()?;
    let data = r.value()?;
    r.finish()?;
    let is_scram = mechanism.starts_with(b"SCRAM-") && !binds_channel(mechanism);
    Ok(is_scram && data.is_some_and(|data| data.starts_with(b"y")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanisms_are_read_as_they_are_written() {
        let mut out = BytesMut::new();
        let names: [&[u8]; 2] = [b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"];
        write_mechanisms(&mut out, &names);
        assert_eq!(&out[..9], [b'R', 0, 0, 0, 42, 0, 0, 0, 10]);
        assert_eq!(read_mechanisms(&out[9..]), Ok(names.to_vec()));
        for cut in 9..out.len() {
            assert!(read_mechanisms(&out[9..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn the_flag_of_a_client_that_could_have_bound_is_seen() {
        let cases: [(&[u8], bool); 6] = [
            (b"SCRAM-SHA-256\0\0\0\0\x03y,,", true),
            (b"SCRAM-SHA-512\0\0\0\0\x03y,,", true),
            (b"SCRAM-SHA-256\0\0\0\0\x03n,,", false),
            (b"SCRAM-SHA-256-PLUS\0\0\0\0\x03y,,", false),
            (b"SCRAM-SHA-256\0\xff\xff\xff\xff", false),
            (b"OAUTHBEARER\0\0\0\0\x03y,,", false),
        ];
        for (body, expected) in cases {
            assert_eq!(could_have_bound(body), Ok(expected), "{}", body.escape_ascii());
        }
        let body: &[u8] = b"SCRAM-SHA-256\0\0\0\0\x03y,,";
        for cut in 0..body.len() {
            assert!(could_have_bound(&body[..cut]).is_err(), "cut at {cut}");
        }
    }
}
