//! Who may come in, where the proxy authenticates clients itself.

mod attempts;
mod userlist;

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

pub use self::userlist::{Userlist, UserlistError, quoted};

use self::attempts::Attempts;
use crate::error::{ClientError, SqlState};
use crate::keyring::{self, EntropyError, Keys};
use crate::scram::{DEFAULT_ITERATIONS, NONCE_LENGTH, SALT_LENGTH, Verifier, mock_salt};
use crate::secret::Secret;
use crate::session::{Account, Method};

/// A user whose secret somebody else is asked for.
pub struct Lookup {
    /// The name.
    pub user: String,
    /// Where the answer goes: nothing if there is no such user, or it may not log in by a password.
    pub answer: oneshot::Sender<Result<Option<Zeroizing<String>>, LookupFailed>>,
}

/// Nobody knows: the database that would know cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("users cannot be looked up")]
pub struct LookupFailed;

/// Where secrets of users come from.
pub enum Accounts {
    /// Nowhere: clients prove who they are by certificates.
    Nobody,
    /// A file; a new one takes the place of the one before.
    File(watch::Receiver<Arc<Userlist>>),
    /// A task that asks a database.
    Query(mpsc::Sender<Lookup>),
}

/// How the proxy authenticates clients.
pub struct Auth {
    pub(super) method: Method,
    accounts: Accounts,
    attempts: Attempts,
    strangers: Strangers,
}

/// What is shown to users who are not known.
#[derive(Debug)]
pub struct Strangers(Secret<32>);

impl Strangers {
    /// By a key of the keyring, so that a fleet shows the same; at random if there is none.
    ///
    /// # Errors
    /// There is none, and no random bytes are to be had.
    pub fn new(keys: &Keys) -> Result<Self, EntropyError> {
        match keys.mock_key() {
            Some(key) => Ok(Self(key)),
            None => Secret::try_fill(|bytes| keyring::os_entropy()(bytes)).map(Self),
        }
    }

    /// The verifier of a password, under a salt that is always the same for its user.
    fn of_password(&self, user: &str, password: &str) -> Verifier {
        let salt: [u8; SALT_LENGTH] = mock_salt(&self.0, user);
        Verifier::of_password(password, &salt, DEFAULT_ITERATIONS)
    }
}

impl Auth {
    /// `failures` is how many wrong passwords a minute one address may give for one user; `None` for any number.
    pub fn new(method: Method, accounts: Accounts, strangers: Strangers, failures: Option<u32>) -> Self {
        Self { method, accounts, attempts: Attempts::new(failures), strangers }
    }

    /// What is known of a user.
    pub(super) async fn account(&self, user: &str) -> Result<Account, ClientError> {
        let nonces = [nonce()?, nonce()?];
        let (verifier, password) = match &self.accounts {
            Accounts::Nobody => (None, None),
            Accounts::File(list) => {
                let list = list.borrow().clone();
                match list.find(user) {
                    Some(found) => (Some(found.verifier.clone()), found.password.clone()),
                    None => {
                        let verifier = Verifier::mock(&self.strangers.0, user, list.usual_iterations());
                        return Ok(Account {
                            verifier: verifier.into(),
                            is_known: false,
                            password: None,
                            nonces,
                        });
                    }
                }
            }
            Accounts::Query(lookups) => match ask(lookups, user).await? {
                None => (None, None),
                Some(secret) => self.of_secret(user, secret),
            },
        };
        let is_known = verifier.is_some();
        let mock = || Arc::new(Verifier::mock(&self.strangers.0, user, DEFAULT_ITERATIONS));
        Ok(Account { verifier: verifier.unwrap_or_else(mock), is_known, password, nonces })
    }

    fn of_secret(
        &self,
        user: &str,
        secret: Zeroizing<String>,
    ) -> (Option<Arc<Verifier>>, Option<Zeroizing<String>>) {
        if let Some(verifier) = Verifier::parse(&secret) {
            (Some(verifier.into()), None)
        } else if is_md5(&secret) {
            tracing::warn!("a user has a secret in the form of MD5, with which nobody can log in by SCRAM");
            (None, None)
        } else {
            (Some(self.strangers.of_password(user, &secret).into()), Some(secret))
        }
    }

    /// Whether a client from there may try to be that user now.
    pub(super) fn admit(&self, user: &str, from: Option<IpAddr>) -> Result<(), ClientError> {
        if self.attempts.may_try(user, from) {
            return Ok(());
        }
        let message = format!("too many failed attempts to log in as user \"{user}\" from this address");
        Err(ClientError::fatal(SqlState::INVALID_AUTHORIZATION, message)
            .with_hint("Try again in a minute. --auth-failures is how many there may be in one."))
    }

    /// A client from there has proved to be that user, or has not.
    pub(super) fn note(&self, user: &str, from: Option<IpAddr>, accepted: bool) {
        if accepted {
            self.attempts.forget(user, from);
        } else {
            self.attempts.note(user, from);
        }
    }
}

/// True for what PostgreSQL stored of passwords before SCRAM.
fn is_md5(secret: &str) -> bool {
    let hash = secret.strip_prefix("md5");
    hash.is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

async fn ask(lookups: &mpsc::Sender<Lookup>, user: &str) -> Result<Option<Zeroizing<String>>, ClientError> {
    let (answer, answered) = oneshot::channel();
    let asked = lookups.send(Lookup { user: user.to_owned(), answer }).await;
    match asked {
        Ok(()) => answered.await.unwrap_or(Err(LookupFailed)),
        Err(_) => Err(LookupFailed),
    }
    .map_err(|LookupFailed| {
        ClientError::fatal(SqlState::UNABLE_TO_CONNECT, "the proxy cannot look up users")
            .with_hint("The proxy's log says why; it asks --auth-database.")
    })
}

/// Random characters for SCRAM.
pub(super) fn nonce() -> Result<String, ClientError> {
    let mut bytes = [0; NONCE_LENGTH];
    keyring::os_entropy()(&mut bytes)
        .map_err(|_| ClientError::fatal(SqlState::INTERNAL, "could not generate a random nonce"))?;
    Ok(STANDARD.encode(bytes))
}
