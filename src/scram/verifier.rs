//! What is stored of a password.

use std::fmt;

use pbkdf2::pbkdf2_hmac;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{MECHANISM, decode, encode, hmac, prepared};
use crate::secret::Secret;

/// Rounds of hashing, as many as PostgreSQL takes unless it is told otherwise (`SCRAM_SHA_256_DEFAULT_ITERATIONS`).
pub const DEFAULT_ITERATIONS: u32 = 4096;
/// Bytes of a salt (`SCRAM_DEFAULT_SALT_LEN`).
pub const SALT_LENGTH: usize = 16;

/// What is stored of a password: enough to see whether a client knows it, and not enough to log in with.
#[derive(Debug)]
pub struct Verifier {
    pub(super) iterations: u32,
    pub(super) salt: Box<[u8]>,
    pub(super) stored_key: [u8; 32],
    pub(super) server_key: Secret<32>,
}

impl Verifier {
    /// Reads the form of `pg_authid.rolpassword`: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, keys) = text.strip_prefix(MECHANISM)?.strip_prefix('$')?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let iterations = iterations.parse().ok().filter(|n| *n > 0)?;
        let salt = decode(salt).filter(|salt| !salt.is_empty())?.into();
        let stored_key = decode(stored_key)?.try_into().ok()?;
        Some(Self { iterations, salt, stored_key, server_key: Secret::from_slice(&decode(server_key)?)? })
    }

    /// The verifier of a password under a salt.
    pub fn of_password(password: &str, salt: &[u8], iterations: u32) -> Self {
        let (client_key, server_key) = keys_of_password(password, salt, iterations);
        Self { iterations, salt: salt.into(), stored_key: stored_key(&client_key), server_key }
    }

    /// A verifier that stands in for that of a user who is not known: the same each time, and nobody's.
    pub fn mock(key: &Secret<32>, user: &str, iterations: u32) -> Self {
        Self {
            iterations,
            salt: mock_salt(key, user).into(),
            stored_key: hmac(key.expose(), &[b"stored\0", user.as_bytes()]),
            server_key: Secret::new(hmac(key.expose(), &[b"server\0", user.as_bytes()])),
        }
    }

    /// Rounds of hashing.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (salt, stored, server) =
            (encode(&self.salt), encode(self.stored_key), encode(self.server_key.expose()));
        write!(f, "{MECHANISM}${}:{salt}${stored}:{server}", self.iterations)
    }
}

/// A salt that is the same for a user each time, and cannot be told from a random one without the key.
pub fn mock_salt(key: &Secret<32>, user: &str) -> [u8; SALT_LENGTH] {
    let mut salt = [0; SALT_LENGTH];
    salt.iter_mut().zip(hmac(key.expose(), &[b"salt\0", user.as_bytes()])).for_each(|(to, from)| *to = from);
    salt
}

/// The client key and the server key of a password.
pub(super) fn keys_of_password(password: &str, salt: &[u8], iterations: u32) -> (Secret<32>, Secret<32>) {
    let mut salted = Zeroizing::new([0; 32]);
    pbkdf2_hmac::<Sha256>(prepared(password).as_bytes(), salt, iterations, &mut *salted);
    (Secret::new(hmac(&*salted, &[b"Client Key"])), Secret::new(hmac(&*salted, &[b"Server Key"])))
}

/// What is stored of a client key.
pub(super) fn stored_key(client_key: &Secret<32>) -> [u8; 32] {
    Sha256::digest(client_key.expose()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PostgreSQL 15 stored for `correct horse`.
    const STORED: &str = "SCRAM-SHA-256$4096:AQIDBAUGBwgJCgsMDQ4PEA==$";

    #[test]
    fn a_verifier_is_read_as_it_is_written() {
        let salt: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap() + 1);
        let text = Verifier::of_password("correct horse", &salt, 4096).to_string();
        assert!(text.starts_with(STORED), "{text}");
        assert_eq!(Verifier::parse(&text).unwrap().to_string(), text);
        for wrong in [
            "",
            "md5d41d8cd98f00b204e9800998ecf8427e",
            "SCRAM-SHA-256$",
            STORED,
            &text.replace("4096", "0"),
            &text.replace("4096", "-1"),
            &text.replace("SCRAM-SHA-256", "SCRAM-SHA-512"),
            text.strip_suffix('=').unwrap(),
            &format!("{text}:"),
        ] {
            assert!(Verifier::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_mock_is_the_same_each_time_and_differs_by_user_and_key() {
        let mock = |key: u8, user| Verifier::mock(&Secret::new([key; 32]), user, 4096).to_string();
        assert_eq!(mock(1, "a"), mock(1, "a"));
        assert_ne!(mock(1, "a"), mock(1, "b"));
        assert_ne!(mock(1, "a"), mock(2, "a"));
    }
}
