//! A client proves to us that it knows a password.
//!
//! Which message is wrong in which way is told as PostgreSQL tells it (`auth-scram.c`).

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use super::verifier::stored_key;
use super::{MECHANISM, MECHANISM_PLUS, Verifier, attribute, decode, encode, hmac, is_printable, xor};
use crate::error::{ClientError, SqlState};
use crate::secret::Secret;

/// What is wrong with what a client says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// It chose what was not offered.
    #[error("client selected an invalid SASL authentication mechanism")]
    Mechanism,
    /// A message that is none.
    #[error("malformed SCRAM message")]
    Malformed(&'static str),
    /// It wants to act as somebody else.
    #[error("client uses authorization identity, but it is not supported")]
    AuthorizationIdentity,
    /// It demands what the standard does not have.
    #[error("client requires an unsupported SCRAM extension")]
    Extension,
    /// It would bind to something else.
    #[error("unsupported SCRAM channel-binding type \"{0}\"")]
    BindingType(String),
    /// It was not shown the offer of a binding.
    #[error("SCRAM channel binding negotiation error")]
    BindingNegotiation,
    /// It sees another certificate than ours.
    #[error("SCRAM channel binding check failed")]
    BindingCheck,
    /// It has changed its mind about binding.
    #[error("unexpected SCRAM channel-binding attribute in client-final-message")]
    UnexpectedBinding,
    /// It answers another challenge.
    #[error("invalid SCRAM response")]
    Nonce,
    /// It does not know the password, or there is no such user.
    #[error("the password is wrong")]
    Proof,
}

impl ScramError {
    /// What a client is told; `user` is the name that it gave.
    pub fn told(&self, user: &str) -> ClientError {
        let (code, detail) = match self {
            Self::Proof => {
                let message = format!("password authentication failed for user \"{user}\"");
                return ClientError::fatal(SqlState::INVALID_PASSWORD, message);
            }
            Self::Mechanism | Self::BindingType(_) | Self::UnexpectedBinding => {
                (SqlState::PROTOCOL_VIOLATION, None)
            }
            Self::Malformed(detail) => (SqlState::PROTOCOL_VIOLATION, Some(*detail)),
            Self::Nonce => (SqlState::PROTOCOL_VIOLATION, Some("Nonce does not match.")),
            Self::AuthorizationIdentity | Self::Extension => (SqlState::FEATURE_NOT_SUPPORTED, None),
            Self::BindingNegotiation => (
                SqlState::INVALID_AUTHORIZATION,
                Some(
                    "The client supports SCRAM channel binding but thinks the server does not.  However, this server \
                     does support channel binding.",
                ),
            ),
            Self::BindingCheck => (SqlState::INVALID_AUTHORIZATION, None),
        };
        let error = ClientError::fatal(code, self.to_string());
        match detail {
            Some(detail) => error.with_detail(detail),
            None => error,
        }
    }
}

/// SCRAM was offered to a client.
pub struct Offered<'a> {
    /// What is stored of the user's password, or stands in for it.
    pub verifier: Arc<Verifier>,
    /// Whether there is such a user: nobody comes in as one who is made up.
    pub is_known: bool,
    /// What a binding is to, if one was offered.
    pub end_point: Option<&'a [u8]>,
}

/// A client has its challenge.
#[derive(Debug)]
pub struct Challenged {
    verifier: Arc<Verifier>,
    is_known: bool,
    is_bound: bool,
    /// What the client's last message has to repeat of its first, with the binding.
    repeated: Vec<u8>,
    nonce: String,
    /// The client's first message without its header, and ours.
    so_far: String,
}

/// A client has proved that it knows the password.
#[derive(Debug)]
pub struct Proof {
    /// What it proved it with.
    pub client_key: Secret<32>,
    /// What that was checked with.
    pub verifier: Arc<Verifier>,
    /// What it is answered, which proves that we know the verifier.
    pub message: String,
}

impl Offered<'_> {
    /// Takes the client's first message, and gives the challenge. `nonce` is of printable characters without a comma.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn challenge(
        self,
        mechanism: &[u8],
        message: &[u8],
        nonce: &str,
    ) -> Result<(Challenged, String), ScramError> {
        let is_bound = match (mechanism, self.end_point) {
            (name, _) if name == MECHANISM.as_bytes() => false,
            (name, Some(_)) if name == MECHANISM_PLUS.as_bytes() => true,
            _ => return Err(ScramError::Mechanism),
        };
        let text = text(message)?;
        let header = self.header(text, is_bound)?;
        let bare = text.get(header.len()..).unwrap_or_default();
        if bare.starts_with("m=") {
            return Err(ScramError::Extension);
        }
        // The name is that of the startup packet; what stands here is not looked at.
        let (_, rest) = attribute(bare, 'n').ok_or(ScramError::Malformed("Expected attribute \"n\"."))?;
        let (client_nonce, _) =
            attribute(rest, 'r').ok_or(ScramError::Malformed("Expected attribute \"r\"."))?;
        if client_nonce.is_empty() || !is_printable(client_nonce) {
            return Err(ScramError::Malformed("Non-printable characters in SCRAM nonce."));
        }
        let nonce = format!("{client_nonce}{nonce}");
        let answer = format!("r={nonce},s={},i={}", encode(&self.verifier.salt), self.verifier.iterations);
        let end_point = self.end_point.filter(|_| is_bound).unwrap_or_default();
        let challenged = Challenged {
            verifier: self.verifier,
            is_known: self.is_known,
            is_bound,
            repeated: [header.as_bytes(), end_point].concat(),
            so_far: format!("{bare},{answer}"),
            nonce,
        };
        Ok((challenged, answer))
    }

    /// The header of the client's first message, which says what it thinks about binding.
    fn header<'m>(&self, text: &'m str, is_bound: bool) -> Result<&'m str, ScramError> {
        let malformed = ScramError::Malformed;
        let (flag, rest) =
            text.split_once(',').ok_or(malformed("Expected a comma behind the channel-binding flag."))?;
        match (flag, is_bound) {
            ("n", false) => {}
            ("y", false) if self.end_point.is_some() => return Err(ScramError::BindingNegotiation),
            ("y", false) => {}
            ("n" | "y", true) => {
                return Err(malformed(
                    "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding \
                     data.",
                ));
            }
            (flag, is_bound) => {
                let kind = flag.strip_prefix("p=").ok_or(malformed("Unexpected channel-binding flag."))?;
                if !is_bound {
                    return Err(malformed(
                        "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes \
                         channel binding data.",
                    ));
                }
                if kind != "tls-server-end-point" {
                    return Err(ScramError::BindingType(kind.chars().take(64).collect()));
                }
            }
        }
        match rest.strip_prefix(',') {
            Some(_) => Ok(text.get(..flag.len() + 2).unwrap_or_default()),
            None if rest.starts_with("a=") => Err(ScramError::AuthorizationIdentity),
            None => Err(malformed("Unexpected attribute in client-first-message.")),
        }
    }
}

impl Challenged {
    /// Takes the client's last message.
    ///
    /// # Errors
    /// What is wrong with it; [`ScramError::Proof`] if only the password is.
    pub fn check(self, message: &[u8]) -> Result<Proof, ScramError> {
        let malformed = ScramError::Malformed;
        let text = text(message)?;
        let (binding, rest) = attribute(text, 'c').ok_or(malformed("Expected attribute \"c\"."))?;
        let (nonce, _) = attribute(rest, 'r').ok_or(malformed("Expected attribute \"r\"."))?;
        // Extensions may stand before it.
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(malformed("Expected attribute \"p\"."))?;
        let proof: [u8; 32] = decode(proof)
            .and_then(|proof| proof.try_into().ok())
            .ok_or(malformed("Malformed proof in client-final-message."))?;
        if decode(binding).as_deref() != Some(&*self.repeated) {
            return Err(if self.is_bound { ScramError::BindingCheck } else { ScramError::UnexpectedBinding });
        }
        if nonce != self.nonce {
            return Err(ScramError::Nonce);
        }
        let signed = [self.so_far.as_bytes(), b",", without_proof.as_bytes()];
        let client_key = Secret::new(xor(&proof, &hmac(&self.verifier.stored_key, &signed)));
        let is_right = stored_key(&client_key).ct_eq(&self.verifier.stored_key);
        if !bool::from(is_right) || !self.is_known {
            return Err(ScramError::Proof);
        }
        let signature = hmac(self.verifier.server_key.expose(), &signed);
        Ok(Proof { client_key, verifier: self.verifier, message: format!("v={}", encode(signature)) })
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed("The message is not UTF-8."))
}
