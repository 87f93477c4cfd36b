//! Which of several servers a session is to be with, as libpq's `target_session_attrs` has it.
//!
//! What a server is, it says at the end of its login: by ParameterStatus from version 14 on, and when it is asked, before
//! the client is told that it is in. So what it says is held back until it has turned out to be the right one, or has
//! asked the client for something. In the first case the client never learns of the others; in the second one it has
//! proved who it is to a server that may turn out to be the wrong one, and a proof cannot be taken to another.
//!
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS>

use bytes::BytesMut;

use super::errors;
use super::{End, Event, HIGH_WATER, Phase, Session, out_of_step};
use crate::error::{ClientError, SqlState};
use crate::wire::frame::HEAD;
use crate::wire::frontend;
use crate::wire::{Side, WireError, backend};

/// What a server has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Reached.
    #[default]
    Any,
    /// One whose sessions may write by default.
    ReadWrite,
    /// One whose sessions may not.
    ReadOnly,
    /// No standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby, or whatever there is if the client can be taken to no other.
    PreferStandby,
}

/// The SQLSTATE of a server that starts, stops or recovers.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// A session on its way to the right server.
#[derive(Debug, Default)]
pub(super) struct Choice {
    target: Target,
    /// What every server is greeted with.
    packet: Vec<u8>,
    /// What was taken down from it, as in the session.
    negotiating: Option<(u16, Vec<Vec<u8>>)>,
    /// What the server has said and the client has not been told.
    held: BytesMut,
    /// The server has asked the client for something.
    has_asked: bool,
    in_hot_standby: Option<bool>,
    default_read_only: Option<bool>,
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    /// The server lets the client in, or not.
    #[default]
    Login,
    /// The server, which is ready as this frame says, was asked what it is, and has said so.
    Question(Vec<u8>, Option<bool>),
    /// It is the wrong one: what it still says is dropped.
    Left,
}

impl Target {
    /// Whether a server that is or is not in hot standby is what is wanted; `None` if that does not tell.
    pub fn takes(self, standby: bool) -> Option<bool> {
        match self {
            Self::Any => Some(true),
            Self::ReadWrite => standby.then_some(false),
            Self::ReadOnly => standby.then_some(true),
            Self::Primary => Some(!standby),
            Self::Standby | Self::PreferStandby => Some(standby),
        }
    }

    /// What a server of a version is asked that does not report it by itself, and what it answers if it is wanted.
    fn question(self) -> (&'static str, &'static [u8]) {
        match self {
            Self::Any | Self::ReadWrite => ("SHOW transaction_read_only", b"off"),
            Self::ReadOnly => ("SHOW transaction_read_only", b"on"),
            Self::Primary => ("SELECT pg_catalog.pg_is_in_recovery()", b"f"),
            Self::Standby | Self::PreferStandby => ("SELECT pg_catalog.pg_is_in_recovery()", b"t"),
        }
    }

    /// What is told of a server that is something else, in libpq's words.
    fn complaint(self) -> &'static str {
        match self {
            Self::Any => "server is not what is wanted",
            Self::ReadWrite => "session is read-only",
            Self::ReadOnly => "session is not read-only",
            Self::Primary => "server is in hot standby mode",
            Self::Standby | Self::PreferStandby => "server is not in hot standby mode",
        }
    }
}

impl Choice {
    /// Whether the server is the right one, as far as it has said.
    fn suits(&self) -> Option<bool> {
        match self.target {
            Target::Any => Some(true),
            Target::ReadWrite | Target::ReadOnly => {
                let read_only = self.in_hot_standby? || self.default_read_only?;
                Some(read_only == (self.target == Target::ReadOnly))
            }
            Target::Primary | Target::Standby | Target::PreferStandby => {
                self.target.takes(self.in_hot_standby?)
            }
        }
    }

    fn note(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"in_hot_standby" => self.in_hot_standby = Some(value == b"on"),
            b"default_transaction_read_only" => self.default_read_only = Some(value == b"on"),
            _ => {}
        }
    }
}

impl Session {
    /// The next server has to be this, and there may be others. To be said before the first byte comes, and again before
    /// [`Session::linked`] if it changes.
    pub fn choose(&mut self, target: Target) {
        self.choice.get_or_insert_default().target = target;
    }

    /// Greets another server as the one before, after [`Event::Unsuited`]. `nonce` is for a login of our own.
    pub fn greet_another(&mut self, nonce: String) {
        let Some(mut choice) = self.choice.take() else { return };
        self.settings = crate::datum::Settings::default();
        (self.utf8, self.standard_strings) = (true, true);
        self.to_server.clear();
        if !self.log_in_again(nonce) {
            self.to_server.extend_from_slice(&choice.packet);
            self.negotiating.clone_from(&choice.negotiating);
            self.phase = Phase::Authenticating { asked: None, login: None };
        }
        choice.held.clear();
        choice.stage = Stage::Login;
        (choice.in_hot_standby, choice.default_read_only) = (None, None);
        self.choice = Some(choice);
    }

    /// The startup packet was written for the server: another one may get the same.
    pub(super) fn keep_greeting(&mut self) {
        if let Some(choice) = &mut self.choice {
            choice.packet = self.to_server.to_vec();
            choice.negotiating.clone_from(&self.negotiating);
        }
    }

    /// Takes a frame of the server before the first ReadyForQuery.
    pub(super) fn login_reply(&mut self, tag: u8, frame: &[u8]) -> Result<(), End> {
        match self.choice.take() {
            Some(choice) => self.reply_while_choosing(choice, tag, frame),
            None => {
                if self.startup_reply(tag, frame.get(HEAD..).unwrap_or_default())? {
                    self.to_client.extend_from_slice(frame);
                }
                Ok(())
            }
        }
    }

    fn reply_while_choosing(&mut self, mut choice: Box<Choice>, tag: u8, frame: &[u8]) -> Result<(), End> {
        let body = frame.get(HEAD..).unwrap_or_default();
        let broken = |e: WireError| End::Wire(Side::Server, e);
        if tag == b'S' {
            let (name, value) = backend::parameter_status(body).map_err(broken)?;
            choice.note(name, value);
        }
        match (&mut choice.stage, tag) {
            (Stage::Left, _) | (Stage::Question(..), b'T' | b'C' | b'E' | b'N') => {}
            (Stage::Login, b'E') => {
                let errors::Told { code, message, .. } = errors::told(body).map_err(broken)?;
                if code != CANNOT_CONNECT_NOW || choice.has_asked {
                    self.tell_held(&choice);
                    self.to_client.extend_from_slice(frame);
                    return Ok(());
                }
                let code = SqlState::from_bytes(code.as_bytes()).unwrap_or(SqlState::UNABLE_TO_CONNECT);
                self.leave_server(&mut choice, ClientError::fatal(code, message));
            }
            (Stage::Login, b'Z') => match choice.suits() {
                Some(suits) => return self.settle(choice, suits, frame),
                None => {
                    choice.stage = Stage::Question(frame.to_vec(), None);
                    let (question, _) = choice.target.question();
                    frontend::write_query(&mut self.to_server, question.as_bytes());
                }
            },
            (Stage::Question(_, answer), b'D') => {
                let fields = backend::data_row(body).map_err(broken)?;
                let (_, wanted) = choice.target.question();
                let value = fields.first().copied().flatten();
                *answer = Some(value == Some(wanted));
                // A server whose sessions may not write is a standby as a rule, and this is a guess for the next session.
                self.events.push(Event::Standby(matches!(value, Some(b"on" | b"t"))));
            }
            (Stage::Question(ready, answer), b'Z') => {
                let (ready, answer) = (std::mem::take(ready), answer.unwrap_or(false));
                return self.settle(choice, answer, &ready);
            }
            (Stage::Question(..), b'S') => {
                self.parameter_status(body)?;
                choice.held.extend_from_slice(frame);
            }
            (Stage::Question(..), _) => return Err(out_of_step("reply to a question that was not asked")),
            (Stage::Login, _) => {
                std::mem::swap(&mut self.to_client, &mut choice.held);
                let goes_on = self.startup_reply(tag, body);
                if goes_on.as_ref().is_ok_and(|goes_on| *goes_on) {
                    self.to_client.extend_from_slice(frame);
                }
                std::mem::swap(&mut self.to_client, &mut choice.held);
                goes_on?;
                if matches!(self.phase, Phase::Authenticating { asked: Some(_), login: None }) {
                    choice.has_asked = true;
                    self.tell_held(&choice);
                    choice.held.clear();
                }
                if choice.held.len() > HIGH_WATER {
                    return Err(out_of_step("login that does not end"));
                }
            }
        }
        self.choice = Some(choice);
        Ok(())
    }

    /// The server is ready, and is or is not the right one.
    fn settle(&mut self, mut choice: Box<Choice>, suits: bool, ready: &[u8]) -> Result<(), End> {
        // Who only would rather have another stays where it cannot go on.
        if suits || (choice.target == Target::PreferStandby && choice.has_asked) {
            self.tell_held(&choice);
            self.startup_reply(b'Z', ready.get(HEAD..).unwrap_or_default())?;
            self.to_client.extend_from_slice(ready);
            return Ok(());
        }
        let error = ClientError::fatal(SqlState::UNABLE_TO_CONNECT, choice.target.complaint());
        self.leave_server(&mut choice, error);
        self.choice = Some(choice);
        Ok(())
    }

    fn leave_server(&mut self, choice: &mut Choice, error: ClientError) {
        choice.stage = Stage::Left;
        self.events.push(Event::Unsuited { error, may_go_on: !choice.has_asked });
    }

    fn tell_held(&mut self, choice: &Choice) {
        self.to_client.extend_from_slice(&choice.held);
    }
}
