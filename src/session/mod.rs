//! One client, one server, one state: a machine without sockets, clock or randomness of its own.
//!
//! The shell reads bytes from two sockets into two buffers and hands them to [`Session::client`] and
//! [`Session::server`]; what is due to a side is in [`Session::to_client`] and [`Session::to_server`]. Whole
//! frames are looked into only where they have to be: a frame that needs no look is passed on in the pieces
//! in which it comes, so memory stays bounded whatever its size.
//!
//! | file | what it holds |
//! |---|---|
//! | `startup` | the packets before a session, version negotiation, authentication relayed |
//! | `login` | authentication ended here, and the proxy's own login at the server |
//! | `target` | which of several servers it has to be |
//! | `client` | what the client sends: each frame to its place |
//! | `judge` | each statement to its verdict |
//! | `refuse` | errors of ours in the place of the server's |
//! | `copy` | COPY: values sealed and opened while they stream |
//! | `server` | what the server answers: matched with the reply queue |
//! | `queue` | which replies are due, in order, and for whom |
//! | `names` | names that SQL gives and takes: PREPARE, DECLARE and the like |
//! | `plans` | prepared statements and portals, positions of edited texts |
//! | `splice` | texts and Bind messages with their sealed values |
//! | `values` | one value between its forms |
//! | `rows` | result columns: described as declared, opened in DataRows |
//! | `errors` | errors of the server as the client may see them |
//! | `stopwatch` | where the time of slow statements goes |
//! | `trail` | what was opened, for the audit log |
//! | `knowledge` | catalog, search path and settings, read over the client's own session |
//! | `verdicts` | verdicts kept by text and snapshot |

mod client;
mod copy;
mod errors;
mod judge;
mod knowledge;
mod login;
mod names;
mod plans;
mod queue;
mod refuse;
mod rows;
mod server;
mod splice;
mod startup;
mod stopwatch;
mod target;
mod trail;
mod values;
mod verdicts;

#[cfg(test)]
#[allow(clippy::string_slice, reason = "a test that slices wrongly fails")]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};

pub use self::knowledge::{LEASE, SchemaVersion};
pub use self::login::{Account, Method};
pub use self::startup::{ClientTls, ServerLink};
pub use self::stopwatch::Slow;
pub use self::target::Target;
pub use self::trail::{Opened, Within, digest};
pub use self::verdicts::Verdicts;

use self::copy::Stream;
use self::knowledge::Knowledge;
use self::login::{EndPoints, Login};
use self::plans::{Portal, Prepared};
use self::queue::Queue;
use self::startup::{Question, Startup};
use self::stopwatch::Stopwatch;
use self::target::Choice;
use self::trail::Kept;
use self::values::{Scratch, Values};
use crate::datum::Settings;
use crate::error::{ClientError, SqlState};
use crate::keyring::Vault;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::wire::backend::{self, TransactionStatus};
use crate::wire::{Side, WireError};

/// A side whose waiting output has passed this mark is not written further: the other side is not read until
/// some of it has gone. One frame may pass the mark.
pub const HIGH_WATER: usize = 256 * 1024;

/// What the shell lends the machine for one call.
pub struct Tools<'a> {
    /// Seals and opens.
    pub vault: &'a mut Vault,
    /// The worker's verdicts.
    pub verdicts: &'a mut Verdicts,
    /// The time of the call.
    pub now: Instant,
    /// Counters.
    pub metrics: &'a Metrics,
}

/// What the machine asks of the shell, beside sending bytes.
#[derive(Debug)]
pub enum Event {
    /// Send this CancelRequest to the server over a connection of its own, then end.
    Cancel(Vec<u8>),
    /// Send what is due to the client, then do a TLS handshake with it and say so by [`Session::secured`].
    Handshake,
    /// Find out what is known of this user, and say so by [`Session::recognized`].
    Login(String),
    /// The client has proved to be that user, or has not.
    Judged(bool),
    /// The catalog was read: share it with the other sessions of the database.
    Schema(Arc<SchemaVersion>),
    /// The server has said whether it is in hot standby.
    Standby(bool),
    /// It is not the one that was wanted. Where the client may be taken to another one, connect to that and say so by
    /// [`Session::greet_another`]; else, and where there is none, the client is to be told.
    Unsuited {
        /// Why.
        error: ClientError,
        /// The client has proved nothing to it that another one would have to be proved again.
        may_go_on: bool,
    },
}

/// Where the session stands.
#[derive(Debug)]
enum Phase {
    /// Waiting for the startup packet.
    Startup(Startup),
    /// The client is authenticated.
    Authenticating {
        /// What the client's next message has to answer.
        asked: Option<Question>,
        /// Where the proxy does it; otherwise the server does, and both are relayed.
        login: Option<Box<Login>>,
    },
    /// Statements.
    Ready,
    /// Over: what is left to send is sent, then both connections are closed.
    Ended,
}

/// What waits when a client is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing but the session.
    Session,
    /// A transaction, with its locks.
    Transaction,
}

/// Why a session ends before its time.
#[derive(Debug)]
enum End {
    /// A peer broke the protocol.
    Wire(Side, WireError),
    /// The client is told, as far as it still can be.
    Told(ClientError),
}

impl End {
    fn count(&self, tools: &Tools<'_>) {
        match self {
            Self::Wire(..) => tools.metrics.protocol_violations.increment(1),
            Self::Told(_) => {}
        }
    }
}

/// What became of the frame at the front of the client's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is dealt with.
    Done,
    /// More of it is needed.
    More,
    /// It has to wait for the server.
    Stall,
}

/// Bytes of a frame that are still to come and need no look as a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Passing {
    left: usize,
    fate: Fate,
}

/// What becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    /// They go on as they came.
    #[default]
    Relayed,
    Dropped,
    /// They are rows of a COPY whose values are sealed.
    Sealed,
}

impl Passing {
    fn relayed(left: usize) -> Self {
        Self { left, fate: Fate::Relayed }
    }

    fn dropped(left: usize) -> Self {
        Self { left, fate: Fate::Dropped }
    }

    /// Moves what is there of a frame from `input` to `out`, or drops it.
    fn advance(&mut self, input: &mut BytesMut, out: &mut BytesMut) {
        let n = self.left.min(input.len());
        if self.fate == Fate::Dropped {
            input.advance(n);
        } else if out.is_empty() && n == input.len() {
            std::mem::swap(input, out);
        } else {
            out.extend_from_slice(&input.split_to(n));
        }
        self.left -= n;
    }
}

/// One client's session with one server.
pub struct Session {
    phase: Phase,
    policy: Arc<Policy>,
    to_client: BytesMut,
    to_server: BytesMut,
    from_client: Passing,
    from_server: Passing,
    events: Vec<Event>,
    stalled: bool,
    /// The client has taken its leave: the server closes when it has answered what came before.
    leaving: bool,

    queue: Queue,
    status: TransactionStatus,
    /// Extended messages were sent after the last Sync or Query.
    unsynced: bool,
    /// Execute messages among them.
    executes: usize,
    /// A message of this flight was refused: the server will discard what the client sends up to its next Sync.
    refused: bool,
    /// The server discards what comes before the next Sync.
    skipping: bool,
    /// A COPY in that direction is under way: the client may send data.
    copying_in: bool,
    /// The data of the COPY that is under way, if it has sealed values.
    copy: Option<Stream>,
    /// The client's COPY data waits, and the server was asked by Flush for the replies that are due before.
    flushed: bool,
    /// The open block has to fail before ReadyForQuery is passed on; `Some(true)` once the text that fails it
    /// was sent.
    poison: Option<bool>,

    statements: HashMap<Box<[u8]>, Arc<Prepared>>,
    portals: HashMap<Box<[u8]>, Arc<Portal>>,
    /// Names of statements and cursors that were not prepared because their text was refused: executing one
    /// by SQL would send its constants.
    refused_names: HashSet<String>,
    /// A statement that was not understood may have given names.
    has_hidden_names: bool,
    /// The client is told that the server is ready when the catalog has been read.
    holds_ready: bool,
    knowledge: Knowledge,
    settings: Settings,
    utf8: bool,
    standard_strings: bool,
    replication: bool,
    database: String,
    server_link: ServerLink,
    /// How the proxy authenticates clients, if it does.
    method: Option<Method>,
    end_points: EndPoints,
    longest_message: usize,
    /// What was taken down from the startup packet, until the server has answered it: the minor version that the
    /// server was asked for, and the options that it was not shown.
    negotiating: Option<(u16, Vec<Vec<u8>>)>,
    /// Until the right server has let the client in.
    choice: Option<Box<Choice>>,
    scratch: Scratch,
    /// For the audit log.
    kept: Kept,
    /// Where slow statements are to be told.
    stopwatch: Option<Box<Stopwatch>>,
    user: String,
    counted: Counted,
}

/// Messages taken since they were last asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Of the client.
    pub client: u64,
    /// Of the server.
    pub server: u64,
}

impl Session {
    /// A session that waits for its startup packet, and may ask for TLS before.
    pub fn new(policy: Arc<Policy>, tls: ClientTls) -> Self {
        Self {
            phase: Phase::Startup(Startup::new(tls)),
            policy,
            to_client: BytesMut::new(),
            to_server: BytesMut::new(),
            from_client: Passing::default(),
            from_server: Passing::default(),
            events: Vec::new(),
            stalled: false,
            leaving: false,
            queue: Queue::default(),
            status: TransactionStatus::Idle,
            unsynced: false,
            executes: 0,
            refused: false,
            skipping: false,
            copying_in: false,
            copy: None,
            flushed: false,
            poison: None,
            statements: HashMap::new(),
            portals: HashMap::new(),
            refused_names: HashSet::new(),
            has_hidden_names: false,
            holds_ready: false,
            knowledge: Knowledge::default(),
            settings: Settings::default(),
            utf8: true,
            standard_strings: true,
            replication: false,
            database: String::new(),
            server_link: ServerLink::default(),
            method: None,
            end_points: EndPoints::default(),
            longest_message: usize::MAX,
            negotiating: None,
            choice: None,
            scratch: Scratch::default(),
            kept: Kept::default(),
            stopwatch: None,
            user: String::new(),
            counted: Counted::default(),
        }
    }

    /// Takes what it can of the client's bytes. Call it again when more have come, when the server has
    /// answered, or when output has gone.
    pub fn client(&mut self, input: &mut BytesMut, tools: &mut Tools<'_>) {
        self.stalled = false;
        if let Err(end) = self.take_client(input, tools) {
            end.count(tools);
            self.end(end);
        }
    }

    /// Takes what it can of the server's bytes.
    pub fn server(&mut self, input: &mut BytesMut, tools: &mut Tools<'_>) {
        if let Err(end) = self.take_server(input, tools) {
            end.count(tools);
            self.end(end);
        }
    }

    /// What is due to the client; the shell takes from its front what it has sent.
    pub fn to_client(&mut self) -> &mut BytesMut {
        &mut self.to_client
    }

    /// What is due to the server.
    pub fn to_server(&mut self) -> &mut BytesMut {
        &mut self.to_server
    }

    /// How many messages were taken since this was last asked. Those of a session whose policy protects nothing are not
    /// told apart.
    pub fn take_counted(&mut self) -> Counted {
        std::mem::take(&mut self.counted)
    }

    /// What the shell is asked for next.
    pub fn take_event(&mut self) -> Option<Event> {
        if self.events.is_empty() { None } else { Some(self.events.remove(0)) }
    }

    /// True if more bytes of the client would be of use now.
    pub fn wants_client(&self) -> bool {
        !self.stalled && !self.leaving && self.to_server.len() < HIGH_WATER && !self.has_ended()
    }

    /// True if more bytes of the server would be of use now.
    pub fn wants_server(&self) -> bool {
        self.to_client.len() < HIGH_WATER && !self.has_ended()
    }

    /// True if output waits that keeps the other side's input from being taken.
    pub fn is_full(&self) -> bool {
        self.to_server.len() >= HIGH_WATER || self.to_client.len() >= HIGH_WATER
    }

    /// True if the client's next frame waits for the server.
    pub fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// True if nothing more is taken: what is due is to be sent, then both connections are to be closed.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// True if the client has been let in.
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    /// True between two transactions, with nothing under way. Of a session whose policy protects nothing that is not
    /// known, for nothing of it is looked at.
    pub fn is_idle(&self) -> bool {
        self.rest() == Some(Rest::Session)
    }

    /// Whether the session waits for nothing but the client's next message, and whether in a transaction; as far as that
    /// is known.
    pub fn rest(&self) -> Option<Rest> {
        let nothing_is_under_way = self.is_ready()
            && self.is_protecting()
            && self.queue.is_empty()
            && !self.unsynced
            && !self.copying_in
            && self.from_client.left == 0
            && self.to_server.is_empty();
        nothing_is_under_way.then_some(match self.status {
            TransactionStatus::Idle => Rest::Session,
            TransactionStatus::Open | TransactionStatus::Failed => Rest::Transaction,
        })
    }

    /// From here on a client's message of more bytes ends the session. Of a session whose policy protects nothing
    /// messages are not looked at.
    pub fn limit_messages(&mut self, most: usize) {
        self.longest_message = most;
    }

    /// The database's name, once the client has said it.
    pub fn database(&self) -> Option<&str> {
        (!matches!(self.phase, Phase::Startup(_))).then_some(self.database.as_str())
    }

    /// For how long a catalog that was read is acted by, if not for [`LEASE`].
    pub fn set_lease(&mut self, lease: Duration) {
        self.knowledge.set_lease(lease);
    }

    /// True if statements may wait to be sent that were rewritten under a catalog which is too old by now to say under
    /// which key values are found: the process was stopped between the two.
    pub fn is_overdue(&self, now: Instant) -> bool {
        !self.to_server.is_empty() && self.is_ready() && self.knowledge.is_overdue(now)
    }

    /// Nothing is due to the server: what was analysed so far is with it.
    pub fn is_sent(&mut self) {
        self.knowledge.is_sent();
    }

    /// True if statements are analysed: the policy protects something.
    pub fn is_protecting(&self) -> bool {
        !self.policy.tables.is_empty()
    }

    /// Goes on under another policy, if it is between two transactions. What was prepared is analysed again before it
    /// is next executed: if its plan would be another one, PostgreSQL's error for that tells the client to prepare it
    /// again. False: not yet. A policy that protects nothing neither comes nor goes, for under it nothing is followed.
    pub fn use_policy(&mut self, policy: &Arc<Policy>) -> bool {
        if Arc::ptr_eq(&self.policy, policy) {
            return true;
        }
        let is_between = self.is_idle() || (self.is_protecting() && !self.is_ready());
        if policy.tables.is_empty() || !is_between {
            return false;
        }
        self.policy = policy.clone();
        self.knowledge.forget_schema();
        true
    }

    /// A catalog that another session of the same database has read.
    pub fn offer(&mut self, schema: &Arc<SchemaVersion>) {
        self.knowledge.offer(schema, &self.policy);
    }

    /// The server cannot be reached, or the shell has another reason to end the session.
    pub fn fail(&mut self, error: ClientError) {
        self.end(End::Told(error));
    }

    fn end(&mut self, end: End) {
        let error = match end {
            End::Told(error) => error,
            End::Wire(Side::Client, error) => {
                tracing::info!(%error, "client broke the protocol");
                ClientError::fatal(SqlState::PROTOCOL_VIOLATION, error.to_string())
            }
            End::Wire(Side::Server, error) => {
                tracing::error!(%error, "server broke the protocol");
                ClientError::fatal(
                    SqlState::CONNECTION_FAILURE,
                    "the server sent a message that is not understood",
                )
            }
        };
        // In the middle of a frame nothing can be said: the client sees the connection close.
        if self.from_server.left == 0 && !self.has_ended() {
            backend::write_error(&mut self.to_client, &error);
        }
        self.phase = Phase::Ended;
    }

    fn values<'a>(&'a mut self, tools: &'a mut Tools<'_>) -> Values<'a> {
        Values::new(tools, &self.settings, &mut self.scratch)
    }
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        Self::Told(error)
    }
}

/// A server that answers what was not asked: the session cannot go on.
fn out_of_step(what: &'static str) -> End {
    End::Wire(Side::Server, WireError::Field(what))
}
