//! The reply queue: which replies the server still owes, in order, and for whom.
//!
//! Each message that begets replies has one entry, those that the proxy injected too. An error in the
//! extended protocol takes away every entry up to the next Sync, as the server discards those messages; what
//! they had changed in the session's maps is undone in reverse order.
//!
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY>

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::names::NameChanges;
use super::plans::{Portal, Prepared};
use crate::error::ClientError;
use crate::wire::frontend::{Formats, Target};

/// The message that an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Parse,
    Bind,
    DescribeStatement,
    DescribePortal,
    Execute,
    Close,
    Sync,
    FunctionCall,
}

impl Kind {
    /// True if an error here makes the server discard messages up to Sync.
    pub(super) fn skips_to_sync(self) -> bool {
        match self {
            Self::Parse
            | Self::Bind
            | Self::DescribeStatement
            | Self::DescribePortal
            | Self::Execute
            | Self::Close => true,
            Self::Query | Self::Sync | Self::FunctionCall => false,
        }
    }
}

/// An error of ours that stands in for the one that the server is made to produce.
#[derive(Debug)]
pub(super) struct StandIn {
    /// What the client is told.
    pub(super) error: ClientError,
    /// The SQLSTATEs that the server may answer with; another one is the server's own and goes on.
    pub(super) expected: &'static [&'static str],
    /// One of few words, for the metrics.
    pub(super) reason: &'static str,
    /// The column and the construct that it is about, where they can be named.
    pub(super) about: (Option<String>, Option<String>),
    /// Told even in a transaction that had already failed: there the server itself would say 25P02.
    pub(super) always: bool,
}

/// How to put back what a message changed in the session's maps, should the server discard it.
#[derive(Debug, Default)]
pub(super) enum Undo {
    #[default]
    Nothing,
    Statement(Box<[u8]>, Option<Arc<Prepared>>),
    Portal(Box<[u8]>, Option<Arc<Portal>>),
}

/// What an injected message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// The client's own message.
    Client,
    /// A step of reading catalog or settings: the rows of this query, if it gives any.
    Knowledge(Option<usize>),
    /// A description that checks where a protected statement's columns come from.
    Verify,
    /// A statement that takes a lock for the one behind it.
    Lock,
    /// The text that fails a transaction block after a value that could not be opened.
    Poison,
}

/// One message whose replies are due.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) kind: Kind,
    pub(super) errand: Errand,
    pub(super) stand_in: Option<Box<StandIn>>,
    /// The protected plan that it belongs to.
    pub(super) prepared: Option<Arc<Prepared>>,
    /// Formats of its result columns (Execute: the portal's; Query: from RowDescription).
    pub(super) formats: Formats,
    pub(super) undo: Undo,
    /// For Query: the statement whose replies come next.
    pub(super) statement: usize,
    /// For Query: so many of the statements were answered that take locks before that statement.
    pub(super) locked: usize,
    /// A value of its result could not be opened: the rest of its replies is swallowed.
    pub(super) failed: bool,
    /// For Execute: the first since the last Sync.
    pub(super) first: bool,
    /// What its statements do to names when they are carried out.
    pub(super) names: Option<Arc<NameChanges>>,
    /// Its place among all that were ever sent.
    number: u64,
}

impl Pending {
    /// An entry for the client's own message that needs no look.
    pub(super) fn client(kind: Kind) -> Self {
        Self {
            kind,
            errand: Errand::Client,
            stand_in: None,
            prepared: None,
            formats: Formats::default(),
            undo: Undo::Nothing,
            statement: 0,
            locked: 0,
            failed: false,
            first: true,
            names: None,
            number: 0,
        }
    }

    /// An entry for a message that the proxy injects; its replies never reach the client.
    pub(super) fn injected(kind: Kind, errand: Errand) -> Self {
        Self { errand, ..Self::client(kind) }
    }

    /// True if none of its replies reach the client.
    pub(super) fn is_swallowed(&self) -> bool {
        self.failed || self.errand != Errand::Client || self.is_locking()
    }

    /// True if what comes next answers a statement that takes a lock.
    pub(super) fn is_locking(&self) -> bool {
        self.kind == Kind::Query
            && self
                .prepared
                .as_ref()
                .is_some_and(|prepared| self.locked < prepared.locks(self.statement).len())
    }
}

/// Replies that may be due at once: far more than 8 kB of the smallest, which have five bytes.
const MAX_OUTSTANDING: usize = 16_384;

/// The entries in the order of their messages.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Pending>,
    next: u64,
    last_sync: u64,
    /// Entries whose statements change names.
    changing: usize,
    /// The last messages that gave names another meaning.
    statements: HashMap<Box<[u8]>, u64>,
    portals: HashMap<Box<[u8]>, u64>,
}

/// As many names are kept before those that are settled are forgotten.
const MAX_NAMES: usize = 1024;

impl Queue {
    pub(super) fn push(&mut self, mut entry: Pending) {
        self.next += 1;
        entry.number = self.next;
        if entry.kind == Kind::Sync {
            self.last_sync = entry.number;
        }
        self.changing += usize::from(entry.names.is_some());
        let changed = match &entry.undo {
            Undo::Nothing => None,
            Undo::Statement(name, _) => Some((&mut self.statements, name)),
            Undo::Portal(name, _) => Some((&mut self.portals, name)),
        };
        if let Some((names, name)) = changed {
            if names.len() > MAX_NAMES {
                let settled = self.entries.front().map_or(entry.number, |front| front.number);
                names.retain(|_, number| *number >= settled);
            }
            names.insert(name.clone(), entry.number);
        }
        self.entries.push_back(entry);
    }

    /// True if what a name stands for depends on an answer that is still due: the message that gave it its
    /// meaning may be discarded, and a Sync behind it keeps the next message from being discarded with it.
    pub(super) fn is_unsettled(&self, target: Target<'_>) -> bool {
        let number = match target {
            Target::Statement(name) => self.statements.get(name),
            Target::Portal(name) => self.portals.get(name),
        };
        let due = self.entries.front().map_or(u64::MAX, |front| front.number);
        number.is_some_and(|number| (due..self.last_sync).contains(number))
    }

    pub(super) fn front(&self) -> Option<&Pending> {
        self.entries.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut Pending> {
        self.entries.front_mut()
    }

    pub(super) fn back_mut(&mut self) -> Option<&mut Pending> {
        self.entries.back_mut()
    }

    /// Says how to put back what the last message changed.
    pub(super) fn undo_of_last(&mut self, undo: Undo) {
        if let Some(mut entry) = self.entries.pop_back() {
            self.changing -= usize::from(entry.names.is_some());
            entry.undo = undo;
            self.push(entry);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Pending> {
        let entry = self.entries.pop_front()?;
        self.changing -= usize::from(entry.names.is_some());
        Some(entry)
    }

    /// True if a statement changes names by which later ones may go, and is not known to be carried out.
    pub(super) fn changes_names(&self) -> bool {
        self.changing > 0
    }

    /// True if so many replies are due that the client's next message waits. What is outstanding is small on
    /// the wire and not in here. The server sends replies before it is asked to once it has 8 kB of them, so
    /// a longer pipeline without Sync goes on too.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= MAX_OUTSTANDING
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries behind the front.
    pub(super) fn behind_front(&mut self) -> impl Iterator<Item = &mut Pending> {
        self.entries.iter_mut().skip(1)
    }

    /// Takes away what the server discards after an error: everything before the next Sync. Gives the undo
    /// steps, latest first. What later messages have changed in the meantime stays, and is undone to the
    /// earlier state should they fail.
    pub(super) fn discard_to_sync(&mut self) -> (Vec<Undo>, Vec<Arc<NameChanges>>) {
        let end = self.entries.iter().position(|e| e.kind == Kind::Sync).unwrap_or(self.entries.len());
        let discarded: Vec<Pending> = self.entries.drain(..end).collect();
        let names: Vec<_> = discarded.iter().filter_map(|entry| entry.names.clone()).collect();
        self.changing -= names.len();
        let mut undo: Vec<Undo> = discarded.into_iter().map(|entry| entry.undo).collect();
        undo.reverse();
        (undo.into_iter().filter_map(|step| self.undo_later(step)).collect(), names)
    }

    /// Leaves a step to the next message that changed the same name, if there is one.
    fn undo_later(&mut self, step: Undo) -> Option<Undo> {
        for later in &mut self.entries {
            match (&mut later.undo, &step) {
                (Undo::Statement(name, _), Undo::Statement(same, _))
                | (Undo::Portal(name, _), Undo::Portal(same, _))
                    if name == same =>
                {
                    later.undo = step;
                    return None;
                }
                _ => {}
            }
        }
        Some(step)
    }

    /// Takes away Syncs that the server reads, and ignores, because the front has begun COPY FROM STDIN.
    /// True if there were any.
    pub(super) fn drop_syncs_behind_front(&mut self) -> bool {
        let before = self.entries.len();
        while self.entries.get(1).is_some_and(|e| e.kind == Kind::Sync && e.errand == Errand::Client) {
            self.entries.remove(1);
        }
        self.entries.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(kinds: &[Kind]) -> Queue {
        let mut queue = Queue::default();
        for kind in kinds {
            queue.push(Pending::client(*kind));
        }
        queue
    }

    #[test]
    fn an_error_discards_up_to_the_next_sync_and_no_further() {
        let mut q = queue(&[Kind::Parse, Kind::Bind, Kind::Query, Kind::Sync, Kind::Parse, Kind::Sync]);
        q.discard_to_sync();
        assert_eq!(
            q.entries.iter().map(|e| e.kind).collect::<Vec<_>>(),
            [Kind::Sync, Kind::Parse, Kind::Sync]
        );
    }

    #[test]
    fn an_error_without_a_sync_discards_everything() {
        let mut q = queue(&[Kind::Parse, Kind::Bind]);
        q.discard_to_sync();
        assert!(q.is_empty());
    }

    #[test]
    fn undo_comes_latest_first() {
        let mut q = Queue::default();
        for name in [b"a", b"b"] {
            let mut entry = Pending::client(Kind::Parse);
            entry.undo = Undo::Statement(Box::from(&name[..]), None);
            q.push(entry);
        }
        let names: Vec<_> = q
            .discard_to_sync()
            .0
            .into_iter()
            .map(|u| match u {
                Undo::Statement(name, None) => name,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(names, [Box::from(&b"b"[..]), Box::from(&b"a"[..])]);
    }

    #[test]
    fn a_step_back_goes_under_what_was_changed_since() {
        let mut q = Queue::default();
        let parse = |q: &mut Queue| {
            let mut entry = Pending::client(Kind::Parse);
            entry.undo = Undo::Statement(Box::from(&b"a"[..]), None);
            q.push(entry);
        };
        parse(&mut q);
        q.push(Pending::client(Kind::Sync));
        assert!(q.is_unsettled(Target::Statement(b"a")));
        assert!(!q.is_unsettled(Target::Portal(b"a")) && !q.is_unsettled(Target::Statement(b"b")));
        parse(&mut q);
        assert!(!q.is_unsettled(Target::Statement(b"a")), "discarded together with what follows it");
        assert!(q.discard_to_sync().0.is_empty());
        q.pop();
        assert!(matches!(&q.discard_to_sync().0[..], [Undo::Statement(_, None)]));
    }

    #[test]
    fn copy_takes_the_syncs_that_follow_it_directly() {
        let mut q = queue(&[Kind::Execute, Kind::Sync, Kind::Sync, Kind::Parse, Kind::Sync]);
        q.drop_syncs_behind_front();
        assert_eq!(
            q.entries.iter().map(|e| e.kind).collect::<Vec<_>>(),
            [Kind::Execute, Kind::Parse, Kind::Sync]
        );
    }
}
