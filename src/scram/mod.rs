//! SCRAM-SHA-256, both ends of it: towards a client with what is stored of its password, and towards a server.
//!
//! | file | what |
//! |---|---|
//! | `verifier` | [`Verifier`], what is stored of a password, in the text form of `pg_authid` |
//! | `server` | [`Offered`] and [`Challenged`]: a client proves that it knows the password |
//! | `client` | [`Answer`] and [`Expected`]: the proxy proves it to a server, which proves itself in turn |
//!
//! Messages are bytes in and bytes out. Nonces are arguments. A state is used up by its step, so no message can be
//! taken twice. What a proof reveals is the client key: with it, and without the password, [`Answer`] logs in to a server
//! that stores the same verifier.
//!
//! <https://www.rfc-editor.org/rfc/rfc5802>

mod client;
mod server;
mod verifier;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

pub use self::client::{Answer, Expected, Fault, Secret};
pub use self::server::{Challenged, Offered, Proof, ScramError};
pub use self::verifier::{DEFAULT_ITERATIONS, SALT_LENGTH, Verifier, mock_salt};

/// The mechanism without channel binding.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// The mechanism that is bound to the TLS connection under it.
pub const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Random bytes of a nonce, as many as PostgreSQL takes (`SCRAM_RAW_NONCE_LEN`).
pub const NONCE_LENGTH: usize = 18;

/// The header of a message that is bound to a TLS connection by the server's certificate.
const BOUND_HEADER: &str = "p=tls-server-end-point,,";

/// A password as PostgreSQL takes it: by SASLprep, or as it stands if that does not know what to do with it.
///
/// <https://www.rfc-editor.org/rfc/rfc4013>
pub fn prepared(password: &str) -> Cow<'_, str> {
    match stringprep::saslprep(password) {
        // What is nothing but what is mapped to nothing would be no password at all.
        Ok(prepared) if !prepared.is_empty() => prepared,
        Ok(_) | Err(_) => Cow::Borrowed(password),
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn xor(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    let mut out = *a;
    out.iter_mut().zip(b).for_each(|(out, b)| *out ^= b);
    out
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// The value of the attribute at the front of a message, which `name` has to be, and what is behind its comma.
fn attribute(message: &str, name: char) -> Option<(&str, &str)> {
    let value = message.strip_prefix(name)?.strip_prefix('=')?;
    Some(value.split_once(',').unwrap_or((value, "")))
}

/// Characters that a nonce is of: printable ones but the comma.
fn is_printable(text: &str) -> bool {
    text.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b',')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::*;

    /// The example of RFC 7677.
    const PASSWORD: &str = "pencil";
    const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn verifier() -> Arc<Verifier> {
        Arc::new(Verifier::of_password(PASSWORD, &decode(SALT).unwrap(), 4096))
    }

    fn challenged(first: &str, end_point: Option<&[u8]>, mechanism: &str) -> Result<Challenged, ScramError> {
        let offered = Offered { verifier: verifier(), is_known: true, end_point };
        Ok(offered.challenge(mechanism.as_bytes(), first.as_bytes(), SERVER_NONCE)?.0)
    }

    #[test]
    fn the_example_of_the_standard_is_followed() {
        let offered = Offered { verifier: verifier(), is_known: true, end_point: None };
        let (challenged, message) =
            offered.challenge(MECHANISM.as_bytes(), CLIENT_FIRST.as_bytes(), SERVER_NONCE).unwrap();
        assert_eq!(message, format!("r=rOprNGfwEbeRWgbNEkqO{SERVER_NONCE},s={SALT},i=4096"));
        let proof = challenged.check(CLIENT_FINAL.as_bytes()).unwrap();
        assert_eq!(proof.message, SERVER_FINAL);
    }

    #[test]
    fn both_ends_agree_with_a_password_and_with_the_key_that_a_proof_reveals() {
        let mut secret = Secret::Password(Zeroizing::new(PASSWORD.to_owned()));
        // The last round is that of a forged server.
        for round in 0..3 {
            for end_point in [None, Some(&b"the hash of a certificate"[..])] {
                let mechanism = if end_point.is_some() { MECHANISM_PLUS } else { MECHANISM };
                let (answer, first) = Answer::begin(secret, end_point, false, "abc");
                let offered = Offered { verifier: verifier(), is_known: true, end_point };
                let (challenged, message) =
                    offered.challenge(mechanism.as_bytes(), first.as_bytes(), "def").unwrap();
                let (expected, last) = answer.respond(message.as_bytes()).unwrap();
                let proof = challenged.check(last.as_bytes()).unwrap();
                if round == 2 {
                    assert_eq!(expected.verify(SERVER_FINAL.as_bytes()), Err(Fault::Signature));
                } else {
                    assert_eq!(expected.verify(proof.message.as_bytes()), Ok(()));
                }
                secret = Secret::Key(proof.client_key.into(), verifier());
            }
        }
    }

    #[test]
    fn a_key_that_was_revealed_is_of_use_for_its_own_verifier_only() {
        for (salt, iterations) in [(&[1; 16][..], 4096), (&decode(SALT).unwrap(), 4097)] {
            let key = crate::secret::Secret::new([7; 32]);
            let (answer, _) = Answer::begin(Secret::Key(key.into(), verifier()), None, false, "abc");
            let message = format!("r=abcdef,s={},i={iterations}", encode(salt));
            assert_eq!(answer.respond(message.as_bytes()).err(), Some(Fault::OtherVerifier));
        }
    }

    #[test]
    fn a_server_that_is_none_is_found_out() {
        let cases = [
            ("r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", Fault::Nonce),
            ("r=xyzdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", Fault::Nonce),
            ("r=abcdef,s=!,i=4096", Fault::Malformed),
            ("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==", Fault::Malformed),
            ("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0", Fault::Malformed),
            ("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,m=x", Fault::Malformed),
            ("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999", Fault::Iterations(99_999_999)),
            ("e=other-error", Fault::Malformed),
            ("", Fault::Malformed),
        ];
        for (message, fault) in cases {
            let secret = Secret::Password(Zeroizing::new(PASSWORD.to_owned()));
            let (answer, _) = Answer::begin(secret, None, false, "abc");
            assert_eq!(answer.respond(message.as_bytes()).err(), Some(fault), "{message}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_clients_first_message_is_told() {
        let plus = Some(&b"hash"[..]);
        let cases = [
            ("n,,n=,r=abc", None, MECHANISM, None),
            ("n,,n=,r=abc,ext=1", None, MECHANISM, None),
            ("y,,n=,r=abc", None, MECHANISM, None),
            ("n,,n=,r=abc", plus, MECHANISM, None),
            ("p=tls-server-end-point,,n=,r=abc", plus, MECHANISM_PLUS, None),
            ("y,,n=,r=abc", plus, MECHANISM, Some(ScramError::BindingNegotiation)),
            (
                "p=tls-unique,,n=,r=abc",
                plus,
                MECHANISM_PLUS,
                Some(ScramError::BindingType("tls-unique".into())),
            ),
            ("n,a=other,n=,r=abc", None, MECHANISM, Some(ScramError::AuthorizationIdentity)),
            ("n,,m=x,n=,r=abc", None, MECHANISM, Some(ScramError::Extension)),
            ("n,,n=,r=abc", None, "SCRAM-SHA-1", Some(ScramError::Mechanism)),
            ("p=tls-server-end-point,,n=,r=abc", None, MECHANISM_PLUS, Some(ScramError::Mechanism)),
        ];
        for (message, end_point, mechanism, expected) in cases {
            assert_eq!(challenged(message, end_point, mechanism).err(), expected, "{message}");
        }
        let malformed = [
            ("", None, MECHANISM),
            ("n", None, MECHANISM),
            ("x,,n=,r=abc", None, MECHANISM),
            ("n,,r=abc", None, MECHANISM),
            ("n,,n=", None, MECHANISM),
            ("n,,n=,r=", None, MECHANISM),
            ("n,,n=,r=a\u{7f}c", None, MECHANISM),
            ("n,,n=,r=abc", plus, MECHANISM_PLUS),
            ("y,,n=,r=abc", plus, MECHANISM_PLUS),
            ("p=tls-server-end-point,,n=,r=abc", plus, MECHANISM),
        ];
        for (message, end_point, mechanism) in malformed {
            let error = challenged(message, end_point, mechanism).err();
            assert!(matches!(error, Some(ScramError::Malformed(_))), "{message}: {error:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_clients_last_message_is_told() {
        let nonce = format!("r=abc{SERVER_NONCE}");
        let wrong = format!("p={}", encode([7; 32]));
        let bound = |hash: &str| format!("c={}", encode(format!("{BOUND_HEADER}{hash}")));
        let cases = [
            ("n,,n=,r=abc", format!("c=biws,{nonce},{wrong}"), ScramError::Proof),
            ("n,,n=,r=abc", format!("c=biws,{nonce},x=y,{wrong}"), ScramError::Proof),
            ("n,,n=,r=abc", format!("c=eSws,{nonce},{wrong}"), ScramError::UnexpectedBinding),
            ("n,,n=,r=abc", format!("c=biws,r=abc,{wrong}"), ScramError::Nonce),
            (BOUND_HEADER, format!("{},{nonce},{wrong}", bound("hash")), ScramError::Proof),
            (BOUND_HEADER, format!("{},{nonce},{wrong}", bound("hasH")), ScramError::BindingCheck),
            (BOUND_HEADER, format!("c=biws,{nonce},{wrong}"), ScramError::BindingCheck),
        ];
        for (first, last, expected) in cases {
            let is_bound = first == BOUND_HEADER;
            let first = if is_bound { format!("{first}n=,r=abc") } else { first.to_owned() };
            let (end_point, mechanism) =
                if is_bound { (Some(&b"hash"[..]), MECHANISM_PLUS) } else { (None, MECHANISM) };
            let error = challenged(&first, end_point, mechanism).unwrap().check(last.as_bytes()).err();
            assert_eq!(error, Some(expected), "{last}");
        }
        for last in ["", "c=biws", &format!("c=biws,{nonce}"), &format!("c=biws,{nonce},p=AAAA"), "x"] {
            let error = challenged("n,,n=,r=abc", None, MECHANISM).unwrap().check(last.as_bytes()).err();
            assert!(matches!(error, Some(ScramError::Malformed(_))), "{last}: {error:?}");
        }
    }

    #[test]
    fn nobody_knows_the_password_of_whom_nobody_knows() {
        // Not even whoever proves to know that of the verifier that was made up.
        let offered = Offered { verifier: verifier(), is_known: false, end_point: None };
        let first = offered.challenge(MECHANISM.as_bytes(), CLIENT_FIRST.as_bytes(), SERVER_NONCE);
        assert_eq!(first.unwrap().0.check(CLIENT_FINAL.as_bytes()).err(), Some(ScramError::Proof));
    }

    #[test]
    fn passwords_are_prepared() {
        // Examples of RFC 4013, and what PostgreSQL does where it prohibits.
        let cases = [
            ("I\u{AD}X", "IX"),
            ("user", "user"),
            ("\u{AA}", "a"),
            ("\u{2168}", "IX"),
            ("\u{7}", "\u{7}"),
            ("\u{627}\u{31}", "\u{627}\u{31}"),
            ("\u{AD}", "\u{AD}"),
            ("a\u{A0}b", "a b"),
        ];
        for (password, expected) in cases {
            assert_eq!(prepared(password), expected, "{}", password.escape_unicode());
        }
    }
}
