//! What a session knows of the database: the catalog, shared by all sessions of a database, and the search
//! path and settings, which are its own.
//!
//! Both are read over the client's own connection, so the proxy needs no credentials. A *flight* is a run of
//! extended-protocol messages under a private statement name (a simple query would drop the client's unnamed
//! statement), injected when a statement needs knowledge that is missing; the statement waits until the flight
//! is back.
//!
//! - With nothing outstanding and no transaction, the catalog is read in a transaction of its own and shared.
//! - In an open transaction it is read inside of it, so that the transaction's own DDL is seen, and it is
//!   forgotten when the transaction ends.
//! - In the middle of a pipeline the flight ends with Flush in Sync's place, since a Sync would end the
//!   pipeline's implicit transaction. An error in it is the answer to the client's statement.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::plans::Basis;
use super::queue::{Errand, Kind, Pending};
use super::refuse::in_failed_transaction;
use super::{End, Event, Session, Step, Tools, out_of_step};
use crate::catalog::{self, Loader, SessionFacts};
use crate::error::{ClientError, SqlState};
use crate::policy::Policy;
use crate::sql::{Effects, Schema};
use crate::wire::backend::{self, TransactionStatus};
use crate::wire::frontend::{Bind, Execute, Formats, Parse, Target, write_bare};

/// Outside a transaction, a statement whose names were looked up in the catalog (those that turned out not to be
/// protected too: a view may have been replaced) is sent only if that was read less than this ago.
pub const LEASE: Duration = Duration::from_secs(30);

/// So long after its catalog's lease a statement may still come to the server's socket. The last quarter of the lease is
/// for that too (see [`Knowledge::is_stale`]), so that a busy machine is not taken for a process that was stopped.
const GRACE: Duration = Duration::from_millis(250);

/// A name that is in no catalog that was read less than this ago is the server's to judge.
const UNRESOLVED: Duration = Duration::from_secs(1);

/// The server's pause before the catalog is read again of which something was locked, and how many there may be.
const PAUSE: &str = "SELECT pg_catalog.pg_sleep(0.05)";
const MAX_WAITS: u32 = 60;
const MAX_WAITS_FOR_A_CHANGE: u32 = 10_000;

/// Name of the statement under which the proxy's own queries are parsed, and of their portal.
pub(super) const PRIVATE: &[u8] = b"_pgseal_";

/// In a transaction block the catalog is read in a subtransaction of its own that is rolled back: that releases
/// the locks which reading view definitions takes, puts the search path back, and leaves the block as it was if
/// the reading fails.
const SAVEPOINT: &str = "SAVEPOINT _pgseal_";
const ROLL_BACK_TO_SAVEPOINT: [&str; 2] = ["ROLLBACK TO SAVEPOINT _pgseal_", "RELEASE SAVEPOINT _pgseal_"];

/// In a pipeline, whose transaction takes no savepoint, the search path is set aside and put back, since view
/// definitions are read under an empty one. Both are undone with the transaction.
const SET_PATH_ASIDE: [&str; 1] = ["SELECT pg_catalog.set_config('pgseal.search_path', \
     pg_catalog.current_setting('search_path'), true), pg_catalog.set_config('search_path', '', true)"];
const PUT_PATH_BACK: [&str; 1] = ["SELECT pg_catalog.set_config('search_path', \
     pg_catalog.current_setting('pgseal.search_path'), true)"];

/// A catalog joined with the policy, and when it was read.
#[derive(Debug)]
pub struct SchemaVersion {
    /// What statements are analysed under. The same object as before if nothing has changed.
    pub schema: Arc<Schema>,
    /// When the flight that read it began.
    pub read_at: Instant,
    fingerprint: u64,
    /// The policy that it was joined with; `None` for any.
    policy: Option<Weak<Policy>>,
    /// A session has begun to read a newer one.
    renewing: AtomicBool,
    /// Something could not be read since somebody held a lock on it.
    has_gaps: bool,
}

impl SchemaVersion {
    /// A schema that no flight has read, for tests and benches.
    pub fn new(schema: Arc<Schema>, read_at: Instant) -> Self {
        Self {
            schema,
            read_at,
            fingerprint: 0,
            policy: None,
            renewing: AtomicBool::new(false),
            has_gaps: false,
        }
    }

    /// Whether it was joined with this policy.
    fn is_under(&self, policy: &Arc<Policy>) -> bool {
        self.policy.as_ref().is_none_or(|mine| std::ptr::eq(mine.as_ptr(), Arc::as_ptr(policy)))
    }
}

/// What the session knows, and what is on its way.
pub(super) struct Knowledge {
    /// See [`LEASE`].
    lease: Duration,
    /// So often the statement that waits has waited for somebody's locks.
    waits: u32,
    schema: Option<Arc<SchemaVersion>>,
    /// When the oldest catalog was read by which statements were analysed that are not sent yet, if values are found by
    /// their keys in it.
    unsent: Option<Instant>,
    /// The schema was read inside the open transaction.
    private: bool,
    /// The schema may have been changed by this session since it was read.
    schema_dirty: bool,
    search_path: Option<Arc<[String]>>,
    /// Names or settings were changed in the open transaction, so its end may change them back.
    changed_names: bool,
    /// The same for the catalog.
    changed_catalog: bool,
    /// What protected relations there are may have been changed, so other sessions are told when it has been.
    announces: bool,
    flight: Option<Flight>,
    /// A flight failed in the middle of a pipeline, and the statement that waits for it was told so.
    answered: bool,
    /// The catalog was read for the statement that waits: to it, it is fresh however long the reading took.
    just_read: bool,
    /// A flight failed: the answer to the statement that waits for it.
    failed: Option<ClientError>,
}

struct Flight {
    loader: Option<Loader>,
    facts: Option<SessionFacts>,
    hasher: DefaultHasher,
    /// Read inside a transaction.
    private: bool,
    /// Ended by Flush in Sync's place.
    flushed: bool,
    began: Instant,
    error: Option<ClientError>,
    /// What failed will go through, once somebody has let a lock go.
    is_tried_again: bool,
}

/// Whether a statement can be analysed now.
pub(super) enum Readiness {
    /// Under this.
    Go(Basis),
    /// When the server has answered.
    Wait,
    /// Not at all: the transaction has failed, and only its end goes through.
    InFailedTransaction,
    /// Not at all, for this reason.
    Refused(ClientError),
}

/// ReadyForQuery outside a transaction block.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// The row of the session's own settings, among a flight's queries.
const FACTS: usize = usize::MAX;

impl Default for Knowledge {
    fn default() -> Self {
        Self {
            lease: LEASE,
            waits: 0,
            schema: None,
            unsent: None,
            private: false,
            schema_dirty: false,
            search_path: None,
            changed_names: false,
            changed_catalog: false,
            announces: false,
            flight: None,
            answered: false,
            just_read: false,
            failed: None,
        }
    }
}

impl Knowledge {
    /// For how long a catalog that was read is acted by.
    pub(super) fn set_lease(&mut self, lease: Duration) {
        self.lease = lease.min(LEASE);
    }

    /// At this age one session reads it again, so that not all of them have to when it is too old.
    fn renewal(&self) -> Duration {
        self.lease / 2
    }

    /// At this age no statement is analysed by it any more: what is left of the lease is for the analysis itself, for
    /// sealing, and for a machine that has more to do.
    fn is_stale(&self, age: Duration) -> bool {
        age > self.lease * 3 / 4
    }

    /// A statement is about to be sent by what this catalog says.
    fn acts(&mut self) {
        if let Some(version) = self.schema.as_ref().filter(|version| version.schema.has_deterministic()) {
            let read_at = version.read_at;
            self.unsent = Some(self.unsent.map_or(read_at, |oldest| oldest.min(read_at)));
        }
    }

    /// All that was due to the server has been sent.
    pub(super) fn is_sent(&mut self) {
        self.unsent = None;
    }

    /// Whether values may have been moved to another key since the catalog was read by which statements were analysed
    /// that are not sent yet. The rows of a COPY are no such thing, however long it takes: it holds a lock on its table
    /// that whoever moves values waits for.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.unsent.is_some_and(|read_at| now.saturating_duration_since(read_at) > self.lease + GRACE)
    }

    /// A catalog that another session has read.
    pub(super) fn offer(&mut self, offered: &Arc<SchemaVersion>, policy: &Arc<Policy>) {
        let newer = self.schema.as_ref().is_none_or(|mine| offered.read_at > mine.read_at);
        if newer && offered.is_under(policy) && !self.private && !self.schema_dirty {
            self.schema = Some(offered.clone());
        }
    }

    /// Another policy holds: what was joined with the one before is void. Between two transactions only.
    pub(super) fn forget_schema(&mut self) {
        self.schema = None;
        self.private = false;
        self.schema_dirty = false;
        self.just_read = false;
        self.failed = None;
    }

    /// True while a flight that was ended by Flush is out.
    pub(super) fn is_flushed_flight(&self) -> bool {
        self.flight.as_ref().is_some_and(|f| f.flushed)
    }

    /// The server has discarded all that was not behind a Sync.
    pub(super) fn flight_discarded(&mut self) {
        if self.is_flushed_flight() {
            self.flight = None;
        }
    }

    /// The schema for a look at a result's origins.
    pub(super) fn schema(&self) -> Option<&Arc<Schema>> {
        self.schema.as_ref().map(|v| &v.schema)
    }

    /// True once after the statement that waits was answered by a flight's error.
    pub(super) fn take_answered(&mut self) -> bool {
        std::mem::take(&mut self.answered)
    }

    /// A statement was told that the catalog is not as it was: the next one reads it again.
    pub(super) fn is_outdated(&mut self) {
        self.schema_dirty = true;
    }

    /// The statement that waited goes on.
    pub(super) fn served(&mut self) {
        self.just_read = false;
        self.waits = 0;
    }

    /// Notes what a statement that is being sent may change.
    pub(super) fn apply(&mut self, effects: Effects) {
        if effects.search_path || effects.settings {
            self.search_path = None;
            self.changed_names = true;
        }
        if effects.catalog {
            self.schema_dirty = true;
            self.changed_catalog = true;
            // DDL may make or drop a temporary schema or one that the path names.
            self.search_path = None;
            self.changed_names = true;
        }
        if effects.transaction_end {
            self.undo();
        }
    }

    /// Notes that a statement which defines something protected is being sent.
    pub(super) fn apply_to_protected(&mut self, effects: Effects) {
        self.apply(effects);
        self.announces |= effects.catalog;
    }

    /// A transaction ends, or part of it is rolled back: what it changed may be as it was.
    fn undo(&mut self) {
        if self.changed_names {
            self.search_path = None;
        }
        if self.changed_catalog || self.private {
            self.schema_dirty = true;
        }
    }

    /// A Sync is being sent outside a transaction block.
    pub(super) fn implicit_transaction_ends(&mut self) {
        self.undo();
    }

    /// The server says that no transaction is open.
    pub(super) fn transaction_ended(&mut self) {
        self.undo();
        self.changed_names = false;
        self.changed_catalog = false;
    }

    /// The server reports another search path (from version 18 on).
    pub(super) fn search_path_changed(&mut self) {
        self.search_path = None;
    }

    /// True if a statement could be analysed now.
    pub(super) fn is_complete(&self) -> bool {
        self.schema.is_some() && !self.schema_dirty && self.search_path.is_some()
    }

    fn basis(&self) -> Option<Basis> {
        let schema = self.schema.as_ref().filter(|_| !self.schema_dirty)?.schema.clone();
        Some(Basis { schema, search_path: self.search_path.clone()? })
    }

    fn age(&self, now: Instant) -> Duration {
        self.schema.as_ref().map_or(Duration::MAX, |v| now.saturating_duration_since(v.read_at))
    }
}

impl Session {
    /// Whether a statement can be analysed now; begins a flight if knowledge is missing.
    pub(super) fn readiness(&mut self, tools: &mut Tools<'_>) -> Readiness {
        if self.knowledge.flight.is_some() {
            return Readiness::Wait;
        }
        if let Some(error) = self.knowledge.failed.take() {
            return Readiness::Refused(error);
        }
        if let Some(basis) = self.knowledge.basis() {
            return Readiness::Go(basis);
        }
        if !self.unsynced {
            if !self.queue.is_empty() {
                return Readiness::Wait;
            }
            if self.status == TransactionStatus::Failed {
                return Readiness::InFailedTransaction;
            }
        }
        let with_catalog = self.knowledge.schema.is_none() || self.knowledge.schema_dirty;
        self.begin_flight(with_catalog, tools);
        Readiness::Wait
    }

    /// Reads the catalog again before a statement that needs a fresher one, if that can be done now. `Stall`:
    /// the statement has to wait for it.
    pub(super) fn freshen(&mut self, unresolved: bool, tools: &mut Tools<'_>) -> Step {
        let age = self.knowledge.age(tools.now);
        let is_stale = if unresolved { age > UNRESOLVED } else { self.knowledge.is_stale(age) };
        // Inside a transaction the lease cannot be renewed without reading under its snapshot and locks; an
        // unresolved name is worth that, and so is a key by which values are found.
        let is_worth =
            || unresolved || (is_stale && self.knowledge.schema().is_some_and(|s| s.has_deterministic()));
        let possible = match self.status {
            TransactionStatus::Failed => false,
            TransactionStatus::Idle => !self.unsynced || is_worth(),
            TransactionStatus::Open => is_worth(),
        };
        if !possible || self.knowledge.just_read {
            self.knowledge.acts();
            return Step::Done;
        }
        let is_quiet = self.unsynced || self.queue.is_empty();
        let renews = || {
            let version = self.knowledge.schema.as_ref();
            version.is_some_and(|version| !version.renewing.swap(true, Ordering::Relaxed))
        };
        let reads = is_stale || (is_quiet && age > self.knowledge.renewal() && renews());
        if !reads {
            self.knowledge.acts();
            return Step::Done;
        }
        if !is_quiet {
            return Step::Stall;
        }
        self.begin_flight(true, tools);
        Step::Stall
    }

    /// Before a statement is refused for what is not known while somebody holds a lock on it: waits a little, and reads
    /// again. The server itself would have the statement wait for that lock.
    pub(super) fn await_locks(&mut self, tools: &mut Tools<'_>) -> Step {
        let version = self.knowledge.schema.as_ref();
        let has_gaps = version.is_some_and(|version| version.has_gaps);
        // A change that was announced takes its time.
        let is_changing = version.is_some_and(|version| version.schema.is_changing());
        let most = if is_changing { MAX_WAITS_FOR_A_CHANGE } else { MAX_WAITS };
        if !has_gaps || self.knowledge.waits >= most || self.status == TransactionStatus::Failed {
            return Step::Done;
        }
        if self.unsynced || self.queue.is_empty() {
            self.knowledge.waits += 1;
            self.begin_flight(true, tools);
        }
        Step::Stall
    }

    fn begin_flight(&mut self, with_catalog: bool, tools: &mut Tools<'_>) {
        let in_block = self.unsynced || self.status != TransactionStatus::Idle;
        // A flight that failed half-way may have left the private statement behind.
        self.inject(Kind::Close, Errand::Knowledge(None), |out| Target::Statement(PRIVATE).write(out, b'C'));
        if with_catalog {
            let (prologue, epilogue) = if self.unsynced {
                (SET_PATH_ASIDE.to_vec(), &PUT_PATH_BACK[..])
            } else if in_block {
                // The prologue begins with BEGIN.
                let settings = catalog::PROLOGUE.iter().copied().skip(1);
                (std::iter::once(SAVEPOINT).chain(settings).collect(), &ROLL_BACK_TO_SAVEPOINT[..])
            } else {
                (catalog::PROLOGUE.to_vec(), catalog::EPILOGUE)
            };
            for sql in prologue {
                self.ask(sql, None);
            }
            if self.knowledge.waits > 0 {
                self.ask(PAUSE, None);
            }
            for (i, query) in catalog::QUERIES.iter().enumerate() {
                self.ask(query.sql, Some(i));
            }
            for sql in epilogue {
                self.ask(sql, None);
            }
            tools.metrics.catalog_loads.increment(1);
        }
        self.ask(catalog::SESSION_QUERY, Some(FACTS));
        if self.unsynced {
            write_bare(&mut self.to_server, b'H');
        } else {
            self.inject(Kind::Sync, Errand::Knowledge(None), |out| write_bare(out, b'S'));
        }
        self.knowledge.flight = Some(Flight {
            loader: with_catalog.then(Loader::new),
            facts: None,
            hasher: DefaultHasher::new(),
            private: in_block,
            flushed: self.unsynced,
            began: tools.now,
            error: None,
            is_tried_again: false,
        });
    }

    /// One query of a flight.
    fn ask(&mut self, sql: &str, rows: Option<usize>) {
        self.run(sql, Errand::Knowledge(rows));
    }

    /// A statement of our own in a pipeline: parsed, bound, executed and closed under the private name.
    pub(super) fn run(&mut self, sql: &str, errand: Errand) {
        self.inject(Kind::Parse, errand, |out| {
            Parse { name: PRIVATE, text: sql.as_bytes(), types: Vec::new() }.write(out);
        });
        self.inject(Kind::Bind, errand, |out| {
            let none = std::iter::empty::<Option<&[u8]>>();
            Bind::write(out, PRIVATE, PRIVATE, &Formats::default(), none, &Formats::default());
        });
        self.inject(Kind::Execute, errand, |out| Execute { portal: PRIVATE, limit: 0 }.write(out));
        // PostgreSQL keeps a portal when its statement is closed.
        self.inject(Kind::Close, errand, |out| Target::Portal(PRIVATE).write(out, b'C'));
        self.inject(Kind::Close, errand, |out| Target::Statement(PRIVATE).write(out, b'C'));
    }

    /// Sends a message of our own, whose replies never reach the client.
    pub(super) fn inject(&mut self, kind: Kind, errand: Errand, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.to_server);
        self.queue.push(Pending::injected(kind, errand));
    }

    /// A row of a flight's query.
    pub(super) fn knowledge_row(&mut self, query: Option<usize>, body: &[u8]) -> Result<(), End> {
        let (Some(query), Some(flight)) = (query, self.knowledge.flight.as_mut()) else { return Ok(()) };
        let fields = backend::data_row(body).map_err(|e| End::Wire(crate::wire::Side::Server, e))?;
        let taken = if query == FACTS {
            SessionFacts::from_row(&fields).map(|facts| flight.facts = Some(facts))
        } else {
            flight.hasher.write_usize(query);
            flight.hasher.write(body);
            flight.loader.as_mut().map_or(Ok(()), |l| l.row(query, &fields))
        };
        if let Err(error) = taken {
            tracing::error!(%error, "the catalog cannot be read");
            flight.error.get_or_insert_with(|| unreadable(error.to_string()));
        }
        Ok(())
    }

    /// A query of a flight has ended with an error of the server's.
    pub(super) fn knowledge_failed(&mut self, code: &str, message: &str) {
        let Some(flight) = self.knowledge.flight.as_mut() else { return };
        // In a failed transaction the client's statement would have been told so as well.
        let error = if code == SqlState::IN_FAILED_TRANSACTION.as_str() {
            in_failed_transaction()
        } else {
            ClientError::error(
                SqlState::from_bytes(code.as_bytes()).unwrap_or(SqlState::INTERNAL),
                format!("the catalog cannot be read: {message}"),
            )
            .with_hint("Statements wait until it can be; try again.")
        };
        if flight.flushed {
            // The server discards up to Sync now, and so the client's statement, as if that had failed.
            backend::write_error(&mut self.to_client, &error);
            self.skipping = true;
            self.knowledge.flight = None;
            self.knowledge.answered = true;
        } else {
            flight.is_tried_again =
                code == SqlState::LOCK_NOT_AVAILABLE.as_str() && self.knowledge.waits < MAX_WAITS;
            self.knowledge.waits += u32::from(flight.is_tried_again);
            flight.error = Some(error);
        }
    }

    /// A flight that failed ends the transaction or the subtransaction that it had begun first. True: it is on
    /// its way.
    pub(super) fn roll_back_flight(&mut self, status: TransactionStatus) -> bool {
        let Some(flight) = &mut self.knowledge.flight else { return false };
        let steps: &[_] = match status {
            TransactionStatus::Idle => return false,
            _ if !flight.private => &["ROLLBACK"],
            // Tried once.
            TransactionStatus::Failed if flight.loader.take().is_some() => &ROLL_BACK_TO_SAVEPOINT,
            TransactionStatus::Open | TransactionStatus::Failed => return false,
        };
        // A portal that has failed is there until the end of its transaction, and has the name that the next one needs.
        self.inject(Kind::Close, Errand::Knowledge(None), |out| Target::Portal(PRIVATE).write(out, b'C'));
        self.inject(Kind::Close, Errand::Knowledge(None), |out| Target::Statement(PRIVATE).write(out, b'C'));
        for sql in steps {
            self.ask(sql, None);
        }
        self.inject(Kind::Sync, Errand::Knowledge(None), |out| write_bare(out, b'S'));
        true
    }

    /// Reads the catalog at the end of a transaction that has changed what is protected, before the client is told: the
    /// answer is held back, so that by then every session of this process knows. True if it is.
    pub(super) fn announce(&mut self, tools: &mut Tools<'_>) -> bool {
        let quiet = self.queue.is_empty() && !self.unsynced && self.knowledge.flight.is_none();
        if !std::mem::take(&mut self.knowledge.announces) || !self.knowledge.schema_dirty || !quiet {
            return false;
        }
        self.begin_flight(true, tools);
        self.holds_ready = true;
        true
    }

    /// All replies of a flight are in.
    pub(super) fn end_flight(&mut self) -> Result<(), End> {
        let ended = self.flight_is_in();
        if std::mem::take(&mut self.holds_ready) {
            // No statement waits for it: the next one that needs it reads what could not be read.
            self.knowledge.failed = None;
            self.knowledge.just_read = false;
            self.to_client.extend_from_slice(READY);
        }
        ended
    }

    fn flight_is_in(&mut self) -> Result<(), End> {
        let flight = self.knowledge.flight.take().ok_or_else(|| out_of_step("reply"))?;
        if let Some(error) = flight.error {
            self.knowledge.failed = Some(error).filter(|_| !flight.is_tried_again);
            return Ok(());
        }
        let Some(facts) = flight.facts else {
            self.knowledge.failed = Some(unreadable("the session's settings are missing".into()));
            return Ok(());
        };
        if let Some(loader) = flight.loader {
            match loader.finish() {
                Ok(catalog) => {
                    let fingerprint = flight.hasher.finish();
                    let before = self.knowledge.schema.take().filter(|v| v.fingerprint == fingerprint);
                    let schema = before.map_or_else(
                        || Arc::new(Schema::build(&self.policy, &catalog).0),
                        |version| version.schema.clone(),
                    );
                    let version = Arc::new(SchemaVersion {
                        schema,
                        read_at: flight.began,
                        fingerprint,
                        policy: Some(Arc::downgrade(&self.policy)),
                        renewing: AtomicBool::new(false),
                        has_gaps: catalog.has_gaps(),
                    });
                    if !flight.private {
                        self.events.push(Event::Schema(version.clone()));
                    }
                    self.knowledge.schema = Some(version);
                    self.knowledge.private = flight.private;
                    self.knowledge.schema_dirty = false;
                    self.knowledge.just_read = true;
                }
                Err(error) => {
                    tracing::error!(%error, "the catalog cannot be read");
                    self.knowledge.failed = Some(unreadable(error.to_string()));
                    return Ok(());
                }
            }
        }
        for (name, value) in &facts.settings {
            self.setting(name, value);
        }
        self.knowledge.search_path = Some(facts.schemas.into());
        Ok(())
    }
}

fn unreadable(detail: String) -> ClientError {
    ClientError::error(SqlState::INTERNAL, "the database's catalog cannot be read").with_detail(detail)
}
