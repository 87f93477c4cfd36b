//! The proxy proves to a server that it knows a password, and the server that it knows what is stored of it.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::verifier::{keys_of_password, stored_key};
use super::{BOUND_HEADER, Verifier, attribute, decode, encode, hmac, is_printable, xor};
use crate::secret;

/// Rounds of hashing that a server may ask for: a quarter of a second of one worker, hundreds of times what is usual. A
/// server that is none could otherwise keep the proxy busy.
const MAX_ITERATIONS: u32 = 1_000_000;

/// What is wrong with what a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A message that is none.
    #[error("the server sent a SCRAM message that is not understood")]
    Malformed,
    /// It answers somebody else.
    #[error("the server's SCRAM message is no answer to the proxy's")]
    Nonce,
    /// It asks for too much.
    #[error("the server asks for {0} rounds of hashing, more than the proxy is ready to do")]
    Iterations(u32),
    /// It stores another verifier than that by which the client proved who it is.
    #[error("the server stores another SCRAM verifier than the proxy")]
    OtherVerifier,
    /// It does not know what is stored of the password.
    #[error("the server did not prove that it knows the user")]
    Signature,
}

/// What the proxy can log in with.
#[derive(Clone, Debug)]
pub enum Secret {
    /// A password.
    Password(Zeroizing<String>),
    /// The client key that a client's proof has revealed, and the verifier that it was checked with.
    Key(Arc<secret::Secret<32>>, Arc<Verifier>),
}

/// The first message was sent.
#[derive(Debug)]
pub struct Answer {
    secret: Secret,
    /// The header of the first message, with what a binding is to.
    repeated: Vec<u8>,
    nonce: String,
    bare: String,
}

/// The proof was sent.
#[derive(Debug)]
pub struct Expected {
    signature: [u8; 32],
}

impl Answer {
    /// The first message; `end_point` is what it is to be bound to, `could_bind` says that it could be bound if that had
    /// been offered.
    pub fn begin(secret: Secret, end_point: Option<&[u8]>, could_bind: bool, nonce: &str) -> (Self, String) {
        let header = match (end_point, could_bind) {
            (Some(_), _) => BOUND_HEADER,
            (None, true) => "y,,",
            (None, false) => "n,,",
        };
        // The name is that of the startup packet.
        let bare = format!("n=,r={nonce}");
        let message = format!("{header}{bare}");
        let repeated = [header.as_bytes(), end_point.unwrap_or_default()].concat();
        (Self { secret, repeated, nonce: nonce.to_owned(), bare }, message)
    }

    /// Takes the server's challenge, and gives the proof.
    ///
    /// # Errors
    /// What is wrong with the challenge.
    pub fn respond(self, message: &[u8]) -> Result<(Expected, String), Fault> {
        let challenge = std::str::from_utf8(message).map_err(|_| Fault::Malformed)?;
        let (nonce, rest) = attribute(challenge, 'r').ok_or(Fault::Malformed)?;
        let (salt, rest) = attribute(rest, 's').ok_or(Fault::Malformed)?;
        let (iterations, rest) = attribute(rest, 'i').ok_or(Fault::Malformed)?;
        if !rest.is_empty() {
            return Err(Fault::Malformed);
        }
        let theirs = nonce.strip_prefix(&self.nonce).ok_or(Fault::Nonce)?;
        if theirs.is_empty() || !is_printable(theirs) {
            return Err(Fault::Nonce);
        }
        let salt = decode(salt).filter(|salt| !salt.is_empty()).ok_or(Fault::Malformed)?;
        let iterations: u32 = iterations.parse().ok().filter(|n| *n > 0).ok_or(Fault::Malformed)?;
        let without_proof = format!("c={},r={nonce}", encode(&self.repeated));
        let signed = [self.bare.as_bytes(), b",", challenge.as_bytes(), b",", without_proof.as_bytes()];
        let (client_key, server_key) = match self.secret {
            Secret::Password(_) if iterations > MAX_ITERATIONS => return Err(Fault::Iterations(iterations)),
            Secret::Password(password) => {
                let (client_key, server_key) = keys_of_password(&password, &salt, iterations);
                (client_key.into(), server_key)
            }
            Secret::Key(client_key, verifier) => {
                if *verifier.salt != *salt || verifier.iterations != iterations {
                    return Err(Fault::OtherVerifier);
                }
                (client_key, secret::Secret::new(*verifier.server_key.expose()))
            }
        };
        let proof = xor(client_key.expose(), &hmac(&stored_key(&client_key), &signed));
        let signature = hmac(server_key.expose(), &signed);
        Ok((Expected { signature }, format!("{without_proof},p={}", encode(proof))))
    }
}

impl Expected {
    /// Takes the server's last message.
    ///
    /// # Errors
    /// It is not what a server says that knows the verifier.
    pub fn verify(&self, message: &[u8]) -> Result<(), Fault> {
        let message = std::str::from_utf8(message).map_err(|_| Fault::Malformed)?;
        let (signature, _) = attribute(message, 'v').ok_or(Fault::Malformed)?;
        let signature = decode(signature).ok_or(Fault::Malformed)?;
        if bool::from(signature.ct_eq(&self.signature)) { Ok(()) } else { Err(Fault::Signature) }
    }
}
