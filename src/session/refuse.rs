//! Refusals: the server is made to fail in a message's place, and ours is put in for its error.
//!
//! So state, skip-until-Sync and the order of replies are PostgreSQL's own: what is sent while it skips is
//! ignored, and nothing could be answered by the proxy alone.

use super::knowledge::PRIVATE;
use super::queue::{Errand, Kind, Pending, StandIn};
use super::{Session, Step, Tools};
use crate::error::{ClientError, ClientFacing as _, SqlState};
use crate::metrics::Refused;
use crate::sql::Refusal;
use crate::wire::frontend::{self, Bind, Formats, Parse};

/// A text that PostgreSQL cannot parse: stands in for a refused one, and is all of it that the server sees.
const UNPARSABLE: &[u8] = b"! refused by pgseal";

/// A statement name that no client uses: binding it fails as binding a refused value should.
const NO_STATEMENT: &[u8] = b"! refused by pgseal";

/// A message that is not sent, for which another one fails.
#[derive(Clone, Copy)]
pub(super) enum Message<'a> {
    Query,
    /// With the statement's name.
    Parse(&'a [u8]),
    Bind,
    FunctionCall,
}

impl Session {
    /// Sends what makes the server fail in the refused message's place.
    ///
    /// State, skip-until-Sync and the order of replies are then PostgreSQL's own.
    pub(super) fn refuse(&mut self, message: Message<'_>, stand_in: Box<StandIn>, tools: &Tools<'_>) -> Step {
        tools.metrics.refused(stand_in.counted());
        let kind = match message {
            Message::Parse(name) => {
                self.void_names([String::from_utf8_lossy(name).into_owned()]);
                // Under its own name: a failed Parse of the unnamed statement drops the one before it.
                Parse { name, text: UNPARSABLE, types: Vec::new() }.write(&mut self.to_server);
                self.unsynced = true;
                self.refused = true;
                Kind::Parse
            }
            Message::Bind => {
                let none = std::iter::empty::<Option<&[u8]>>();
                let formats = Formats::default();
                Bind::write(&mut self.to_server, b"", NO_STATEMENT, &formats, none, &formats);
                self.unsynced = true;
                self.refused = true;
                Kind::Bind
            }
            Message::FunctionCall => {
                frontend::write_impossible_call(&mut self.to_server);
                Kind::FunctionCall
            }
            Message::Query => {
                frontend::write_query(&mut self.to_server, UNPARSABLE);
                self.end_pipeline();
                Kind::Query
            }
        };
        let mut entry = Pending::client(kind);
        entry.stand_in = Some(stand_in);
        self.queue.push(entry);
        Step::Done
    }

    /// Fails the open block by a text that cannot parse, under a name of our own.
    pub(super) fn poison_block(&mut self) {
        self.inject(Kind::Parse, Errand::Poison, |out| {
            Parse { name: PRIVATE, text: UNPARSABLE, types: Vec::new() }.write(out);
        });
        self.inject(Kind::Sync, Errand::Poison, |out| frontend::write_bare(out, b'S'));
    }
}

/// An error of ours in the place of the one that the server is made to produce for this message.
pub(super) fn stand_in(kind: Kind, error: ClientError, reason: &'static str) -> Box<StandIn> {
    let expected: &[&str] = match kind {
        Kind::Bind => &["26000"],
        Kind::FunctionCall => &["42883"],
        _ => &["42601"],
    };
    Box::new(StandIn { error, expected, reason, about: (None, None), always: false })
}

/// The same for what the analysis refuses.
pub(super) fn stand_in_of(kind: Kind, refusal: &Refusal) -> Box<StandIn> {
    let (column, construct) = refusal.about();
    let mut stand_in = stand_in(kind, refusal.client_error(), refusal.label());
    stand_in.about = (column.map(ToString::to_string), construct);
    stand_in
}

impl StandIn {
    /// For the metrics.
    pub(super) fn counted(&self) -> Refused<'_> {
        Refused {
            reason: self.reason,
            column: self.about.0.as_deref(),
            construct: self.about.1.as_deref(),
            hint: self.error.hint.as_deref(),
        }
    }
}

/// The answer to a statement that waited for a catalog that cannot be read.
pub(super) fn without_catalog(kind: Kind, error: ClientError) -> Box<StandIn> {
    let mut stand_in = stand_in(kind, error, "no catalog");
    stand_in.always = true;
    stand_in
}

/// What PostgreSQL says in a failed transaction.
pub(super) fn in_failed_transaction() -> ClientError {
    ClientError::error(
        SqlState::IN_FAILED_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// What PostgreSQL says of a prepared statement whose result has changed; drivers prepare it again.
/// What is said when the types of a table's columns have changed under a statement that was on its way.
pub(super) fn types_changed() -> ClientError {
    ClientError::error(
        SqlState::SERIALIZATION,
        "could not serialize access due to a concurrent change of columns' types",
    )
    .with_hint("The transaction might succeed if retried.")
}

pub(super) fn plan_changed() -> Box<StandIn> {
    let error =
        ClientError::error(SqlState::FEATURE_NOT_SUPPORTED, "cached plan must not change result type")
            .with_detail(
                "The tables, policy or search path that the statement was prepared under have changed.",
            );
    stand_in(Kind::Bind, error, "plan changed")
}
