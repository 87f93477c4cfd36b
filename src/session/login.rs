//! Authentication ended here: the client proves itself to the proxy, which then logs in to the server on its own.
//!
//! The client's startup packet waits until the client has proved who it is, so whoever has not costs the server
//! nothing. What the proof reveals, a client key, is what the proxy logs in with where the server stores the same
//! verifier; no password is needed then. Nonces and accounts come from the shell.

use std::sync::Arc;

use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::startup::{Question, ServerLink};
use super::{End, Event, Phase, Session, Step};
use crate::error::{ClientError, SqlState};
use crate::scram::{self, Answer, Challenged, Expected, Fault, MECHANISM, MECHANISM_PLUS, Secret, Verifier};
use crate::wire::{Side, WireError, sasl};

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By SCRAM-SHA-256; under [`super::ClientTls::Mutual`] by their certificate too.
    Scram,
    /// By their certificate alone.
    Certificate,
}

/// What is known of a user who wants to come in.
#[derive(Debug)]
pub struct Account {
    /// What is stored of the user's password, or stands in for it.
    pub verifier: Arc<Verifier>,
    /// False if it stands in: the client is asked like any other, and does not come in by SCRAM.
    pub is_known: bool,
    /// The user's password at the server, if the proxy has it.
    pub password: Option<Zeroizing<String>>,
    /// Nonces for the client and for the server, printable and without a comma.
    pub nonces: [String; 2],
}

/// What authentication may be bound to: the hash of each side's certificate (`tls-server-end-point`).
#[derive(Debug, Default)]
pub(super) struct EndPoints {
    pub(super) client: Option<Vec<u8>>,
    pub(super) server: Option<Vec<u8>>,
}

/// A client on its way to the server.
#[derive(Debug)]
pub(super) struct Login {
    user: String,
    method: Method,
    /// The startup packet for the server.
    packet: Vec<u8>,
    nonce: String,
    stage: Stage,
    /// What the proxy has for the server, should there be another one.
    kept: Option<Secret>,
}

#[derive(Debug)]
enum Stage {
    /// The shell is asked who it is.
    Unrecognized,
    /// The client is asked for a mechanism.
    Asked(Account),
    /// The client is asked for its proof.
    Challenged(Challenged, Option<Zeroizing<String>>),
    /// The client has proved who it is; what the proxy has for the server.
    Proved(Option<Secret>),
    /// The server has the first message of SCRAM.
    Begun(Answer),
    /// The server has the proof.
    Answered(Expected),
    /// The server has got what it asked for, and has proved itself if it could.
    Done,
}

impl Session {
    /// Clients are authenticated here. To be said before the first byte comes.
    pub fn terminate(&mut self, method: Method) {
        self.method = Some(method);
    }

    /// What the shell was asked for by [`Event::Login`].
    pub fn recognized(&mut self, account: Account) {
        let offers_binding = self.end_points.client.is_some();
        let Phase::Authenticating { asked, login: Some(login) } = &mut self.phase else { return };
        let [for_client, for_server] = &account.nonces;
        match login.method {
            Method::Scram => {
                login.nonce.clone_from(for_client);
                let names: &[&[u8]] = &[MECHANISM_PLUS.as_bytes(), MECHANISM.as_bytes()];
                let (_, unbound) = names.split_at(1);
                sasl::write_mechanisms(&mut self.to_client, if offers_binding { names } else { unbound });
                *asked = Some(Question::Mechanism);
                login.stage = Stage::Asked(account);
            }
            Method::Certificate => {
                login.nonce.clone_from(for_server);
                login.kept = account.password.map(Secret::Password);
                login.stage = Stage::Proved(login.kept.clone());
                self.to_server.extend_from_slice(&login.packet);
                self.events.push(Event::Judged(true));
            }
        }
    }

    /// Takes the startup packet of a client that is to be authenticated here.
    pub(super) fn begin_login(&mut self, method: Method, user: String, packet: Vec<u8>) {
        self.events.push(Event::Login(user.clone()));
        let login =
            Login { user, method, packet, nonce: String::new(), stage: Stage::Unrecognized, kept: None };
        self.phase = Phase::Authenticating { asked: None, login: Some(Box::new(login)) };
    }

    /// Takes a client's answer (its body).
    pub(super) fn login_answer(&mut self, body: &[u8]) -> Result<Step, End> {
        let Phase::Authenticating { asked, login: Some(login) } = &mut self.phase else {
            return Ok(Step::Done);
        };
        let broken = |e: WireError| End::Wire(Side::Client, e);
        match std::mem::replace(&mut login.stage, Stage::Unrecognized) {
            Stage::Asked(account) => {
                let response = sasl::read_initial_response(body).map_err(broken)?;
                let offered = scram::Offered {
                    verifier: account.verifier,
                    is_known: account.is_known,
                    end_point: self.end_points.client.as_deref(),
                };
                let (mechanism, message) = response;
                match offered.challenge(mechanism, message, &login.nonce) {
                    Ok((challenged, message)) => {
                        let [_, for_server] = account.nonces;
                        login.nonce = for_server;
                        sasl::write_data(&mut self.to_client, sasl::CONTINUE, message.as_bytes());
                        *asked = Some(Question::Other);
                        login.stage = Stage::Challenged(challenged, account.password);
                        Ok(Step::Done)
                    }
                    Err(error) => Err(error.told(&login.user).into()),
                }
            }
            Stage::Challenged(challenged, password) => match challenged.check(body) {
                Ok(proof) => {
                    sasl::write_data(&mut self.to_client, sasl::FINAL, proof.message.as_bytes());
                    let revealed = Secret::Key(proof.client_key.into(), proof.verifier);
                    login.kept = Some(password.map_or(revealed, Secret::Password));
                    login.stage = Stage::Proved(login.kept.clone());
                    self.to_server.extend_from_slice(&login.packet);
                    self.events.push(Event::Judged(true));
                    Ok(Step::Done)
                }
                Err(error) => {
                    if error == scram::ScramError::Proof {
                        self.events.push(Event::Judged(false));
                    }
                    Err(error.told(&login.user).into())
                }
            },
            Stage::Unrecognized | Stage::Proved(_) | Stage::Begun(_) | Stage::Answered(_) | Stage::Done => {
                Err(broken(WireError::Tag(b'p')))
            }
        }
    }

    /// Greets another server in the name of a client that has proved who it is. False: it was not asked here.
    pub(super) fn log_in_again(&mut self, nonce: String) -> bool {
        let Phase::Authenticating { login: Some(login), .. } = &mut self.phase else { return false };
        login.nonce = nonce;
        login.stage = Stage::Proved(login.kept.clone());
        self.to_server.extend_from_slice(&login.packet);
        true
    }

    /// Takes a server's request for authentication: its code, and what is behind it. True: the client is told that it is
    /// in, and the rest is relayed.
    pub(super) fn login_request(&mut self, code: u32, rest: &[u8]) -> Result<bool, End> {
        let link = self.server_link;
        let Phase::Authenticating { login: Some(login), .. } = &mut self.phase else { return Ok(true) };
        let stage = std::mem::replace(&mut login.stage, Stage::Done);
        match (code, stage) {
            (sasl::OK, Stage::Proved(_) | Stage::Done) => return Ok(true),
            (sasl::OK, Stage::Begun(_) | Stage::Answered(_)) => {
                return Err(login.failed(Fault::Signature).into());
            }
            (sasl::CLEARTEXT, Stage::Proved(secret)) => {
                let password = login.password(secret, "password")?;
                sasl::write_response(&mut self.to_server, &[password.as_bytes(), b"\0"]);
            }
            (sasl::MD5, Stage::Proved(secret)) => {
                let salt = rest.first_chunk().ok_or(End::Wire(Side::Server, WireError::Field("salt")))?;
                let password = login.password(secret, "md5")?;
                let hash = md5(&login.user, &password, *salt);
                sasl::write_response(&mut self.to_server, &[hash.as_bytes(), b"\0"]);
            }
            (sasl::SASL, Stage::Proved(Some(secret))) => {
                let offered = sasl::read_mechanisms(rest).map_err(|e| End::Wire(Side::Server, e))?;
                let end_point = self.end_points.server.as_deref().filter(|_| link != ServerLink::Plain);
                let (mechanism, bound) = if let Some(end_point) = end_point
                    && offered.contains(&MECHANISM_PLUS.as_bytes())
                {
                    (MECHANISM_PLUS, Some(end_point))
                } else if offered.contains(&MECHANISM.as_bytes()) {
                    (MECHANISM, None)
                } else {
                    return Err(login.cannot("SASL by another mechanism than SCRAM-SHA-256").into());
                };
                let (answer, message) = Answer::begin(secret, bound, end_point.is_some(), &login.nonce);
                sasl::write_initial_response(&mut self.to_server, mechanism.as_bytes(), message.as_bytes());
                login.stage = Stage::Begun(answer);
            }
            (sasl::SASL, Stage::Proved(None)) => return Err(login.without_password("scram-sha-256").into()),
            (sasl::CONTINUE, Stage::Begun(answer)) => {
                let (expected, message) = answer.respond(rest).map_err(|fault| login.failed(fault))?;
                sasl::write_response(&mut self.to_server, &[message.as_bytes()]);
                login.stage = Stage::Answered(expected);
            }
            (sasl::FINAL, Stage::Answered(expected)) => {
                expected.verify(rest).map_err(|fault| login.failed(fault))?;
            }
            (sasl::GSS | sasl::SSPI, Stage::Proved(_)) => return Err(login.cannot("GSSAPI or SSPI").into()),
            _ => return Err(super::out_of_step("request for authentication that is not understood")),
        }
        Ok(false)
    }
}

impl Login {
    fn password(&self, secret: Option<Secret>, method: &str) -> Result<Zeroizing<String>, ClientError> {
        match secret {
            Some(Secret::Password(password)) => Ok(password),
            Some(Secret::Key(..)) | None => Err(self.without_password(method)),
        }
    }

    fn refused(&self, detail: String) -> ClientError {
        let message = format!("the proxy cannot log in to the server as user \"{}\"", self.user);
        ClientError::fatal(SqlState::INVALID_AUTHORIZATION, message).with_detail(detail)
    }

    fn without_password(&self, method: &str) -> ClientError {
        self.refused(format!(
            "The server asks for authentication by {method}, for which the proxy would need the user's password."
        ))
        .with_hint(
            "Let the server store and ask for SCRAM (scram-sha-256 in pg_hba.conf) and the proxy hold the same \
             verifier, let the server take the proxy's certificate (cert), or put the user's password into the \
             proxy's --auth-file.",
        )
    }

    fn cannot(&self, what: &str) -> ClientError {
        self.refused(format!("The server asks for {what}, which the proxy does not speak."))
    }

    fn failed(&self, fault: Fault) -> ClientError {
        tracing::error!(%fault, "logging in to the server failed");
        let mut detail = fault.to_string();
        if let Some(first) = detail.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let error = self.refused(format!("{detail}."));
        match fault {
            Fault::OtherVerifier => error.with_hint(
                "Give the proxy the server's own verifier: SELECT rolpassword FROM pg_authid; it changes with each new \
                 password.",
            ),
            Fault::Malformed | Fault::Nonce | Fault::Iterations(_) | Fault::Signature => error,
        }
    }
}

/// `md5` and the hash of the hash of password and user with the salt, in hexadecimal.
fn md5(user: &str, password: &str, salt: [u8; 4]) -> String {
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let stored = Zeroizing::new(hex(&Md5::new().chain_update(password).chain_update(user).finalize()));
    format!("md5{}", hex(&Md5::new().chain_update(stored.as_bytes()).chain_update(salt).finalize()))
}
