//! What the client sends: each frame to its place.

use std::sync::Arc;

use bytes::{Buf as _, BytesMut};

use super::judge::{Current, Judged};
use super::knowledge::Readiness;
use super::names::{NameChanges, hides_names};
use super::plans::{Portal, Prepared};
use super::queue::{Errand, Kind, Pending, Undo};
use super::refuse::{Message, stand_in, stand_in_of};
use super::stopwatch::Part;
use super::{End, Fate, HIGH_WATER, Passing, Phase, Session, Step, Tools};
use crate::datum::Oid;
use crate::error::{ClientError, SqlState};
use crate::sql::{self, Verdict};
use crate::wire::backend::TransactionStatus;
use crate::wire::frame::HEAD;
use crate::wire::frontend::{self, Bind, Execute, Formats, Parse, Target};
use crate::wire::{Head, Reader, Side, WireError};

/// From this size on a Bind whose statement needs no look is passed on in pieces.
const STREAMED: usize = 64 * 1024;

/// The large-object functions that drivers call by the fast path, which carry no column's value: lo_open,
/// lo_close, loread, lowrite, lo_lseek, lo_creat, lo_create, lo_tell, lo_unlink, lo_truncate and the 64-bit
/// forms (`pg_proc.dat`).
const LARGE_OBJECT_FUNCTIONS: &[Oid] =
    &[715, 764, 765, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172];

impl Session {
    pub(super) fn take_client(&mut self, input: &mut BytesMut, tools: &mut Tools<'_>) -> Result<(), End> {
        loop {
            if self.to_server.len() >= HIGH_WATER {
                return Ok(());
            }
            if self.from_client.left > 0 {
                if input.is_empty() {
                    return Ok(());
                }
                if self.from_client.fate == Fate::Sealed {
                    self.seal_data(input, tools);
                } else {
                    self.from_client.advance(input, &mut self.to_server);
                }
                continue;
            }
            let step = match self.phase {
                Phase::Startup(_) => self.startup_packet(input)?,
                Phase::Authenticating { .. } => self.authentication_frame(input)?,
                Phase::Ready if self.is_protecting() => {
                    let step = self.client_frame(input, tools)?;
                    self.counted.client += u64::from(step == Step::Done);
                    step
                }
                Phase::Ready => {
                    // Nothing is protected, so nothing is looked at.
                    self.from_client.left = input.len();
                    if input.is_empty() { Step::More } else { Step::Done }
                }
                Phase::Ended => {
                    input.clear();
                    Step::More
                }
            };
            if self.leaving {
                input.clear();
                return Ok(());
            }
            match step {
                Step::Done => {}
                Step::More => return Ok(()),
                Step::Stall => {
                    self.stalled = true;
                    return Ok(());
                }
            }
        }
    }

    fn client_frame(&mut self, input: &mut BytesMut, tools: &mut Tools<'_>) -> Result<Step, End> {
        let broken = |e| End::Wire(Side::Client, e);
        let Some(head) = Head::peek(input, Side::Client).map_err(broken)? else { return Ok(Step::More) };
        if head.total > self.longest_message {
            return Err(too_long(head.total, self.longest_message).into());
        }
        if self.queue.is_full() || (self.poison.is_some() && !self.skipping) {
            return Ok(Step::Stall);
        }
        // What the server discards need not reach it.
        if self.skipping && !matches!(head.tag, b'S' | b'X') {
            self.from_client = Passing::dropped(head.total);
            if self.knowledge.take_answered() && head.tag == b'Q' {
                // Behind its error a Query gets ReadyForQuery, and what follows is not discarded.
                self.end_pipeline();
                frontend::write_bare(&mut self.to_server, b'S');
                self.queue.push(Pending::client(Kind::Sync));
            }
            return Ok(Step::Done);
        }
        match head.tag {
            b'd' | b'c' | b'f' if self.copying_in && self.copy.is_some() => {
                return Ok(self.sealed_copy_frame(head, input, tools));
            }
            b'd' | b'c' | b'f' => return Ok(self.copy_frame(head)),
            // The server looks at the type, and gives up.
            tag if self.copying_in && !matches!(tag, b'S' | b'H' | b'X') => {
                frontend::write_bare(&mut self.to_server, tag);
                self.from_client = Passing::dropped(head.total);
                return Ok(Step::Done);
            }
            b'B' if head.total > STREAMED => {
                if let Some(step) = self.long_bind(head, input, tools) {
                    return Ok(step);
                }
            }
            b'p' => return Err(broken(WireError::Tag(b'p'))),
            _ => {}
        }
        let Some(body) = head.body(input) else { return Ok(Step::More) };
        let frame = input.get(..head.total).unwrap_or_default();
        // What is missing is read before a pipeline begins: in the middle of one it would be read in its
        // transaction.
        let begins = !self.unsynced && self.status == TransactionStatus::Idle;
        if begins
            && matches!(head.tag, b'B' | b'C' | b'D' | b'E')
            && matches!(self.readiness(tools), Readiness::Wait)
        {
            return Ok(Step::Stall);
        }
        let step = match head.tag {
            b'Q' => self.query(body, frame, tools)?,
            b'P' => self.parse(body, frame, tools)?,
            b'B' => self.bind(body, frame, tools)?,
            b'D' => self.describe(Target::read(body).map_err(broken)?, frame),
            b'E' => self.execute(Execute::read(body).map_err(broken)?, frame),
            b'C' => self.close(Target::read(body).map_err(broken)?, frame),
            b'F' => self.function_call(body, frame, tools)?,
            b'S' => self.sync(frame),
            b'X' => {
                self.to_server.extend_from_slice(frame);
                self.leaving = true;
                Step::Done
            }
            // Flush asks for what is there, and begets nothing.
            _ => {
                self.to_server.extend_from_slice(frame);
                Step::Done
            }
        };
        if step == Step::Done {
            self.knowledge.served();
            self.flushed = false;
            input.advance(head.total);
        }
        Ok(step)
    }

    fn relay(&mut self, frame: &[u8], entry: Pending) -> Step {
        self.to_server.extend_from_slice(frame);
        self.queue.push(entry);
        Step::Done
    }

    fn query(&mut self, body: &[u8], frame: &[u8], tools: &mut Tools<'_>) -> Result<Step, End> {
        let mut r = Reader::new(body);
        let text = r.cstr().and_then(|t| r.finish().map(|()| t)).map_err(|e| End::Wire(Side::Client, e))?;
        let (text, utf8) = self.decode(text);
        if self.replication {
            return Ok(self.replication_query(&text, frame, tools));
        }
        let (verdict, grounds) = match self.judge(&text, utf8, None, tools) {
            Judged::Wait => return Ok(Step::Stall),
            Judged::Refused(stand_in) => {
                return Ok(self.refuse(Message::Query, stand_in, tools));
            }
            Judged::Verdict(verdict, grounds) => (verdict, grounds),
        };
        if self.unsynced {
            self.end_pipeline();
        }
        let step = match verdict {
            Verdict::Forward(proof) => {
                tools.metrics.worker.forwarded.add(1);
                self.knowledge.apply(proof.effects);
                self.has_hidden_names |= hides_names(proof.effects);
                let mut entry = Pending::client(Kind::Query);
                entry.names = NameChanges::new(&proof.names, grounds.map(|grounds| grounds.basis));
                self.relay(frame, entry)
            }
            Verdict::Rewrite(plan) => {
                let since = self.timer();
                let spliced = super::splice::text(&text, &plan.edits_with_locks(), &mut self.values(tools));
                self.spent(Part::Sealing, since);
                match spliced {
                    Err(error) => self.refuse(Message::Query, stand_in(Kind::Query, error, "value"), tools),
                    Ok((edited, positions)) => {
                        tools.metrics.worker.rewritten.add(1);
                        self.knowledge.apply_to_protected(plan.effects);
                        self.has_hidden_names |= hides_names(plan.effects);
                        frontend::write_query(&mut self.to_server, edited.as_bytes());
                        let mut entry = Pending::client(Kind::Query);
                        let basis = grounds.map(|grounds| grounds.basis);
                        entry.names = NameChanges::new(&plan.names, basis.clone());
                        let text = Arc::from(&*text);
                        entry.prepared =
                            Some(Arc::new(Prepared::rewritten(text, Vec::new(), plan, basis, positions)));
                        self.queue.push(entry);
                        Step::Done
                    }
                }
            }
            Verdict::Refuse(refusal) => {
                // The client may go on to execute what was not prepared, with its constants.
                self.void_names(sql::kinds::defined_names(&text));
                let stand_in = stand_in_of(Kind::Query, &refusal);
                self.refuse(Message::Query, stand_in, tools)
            }
        };
        Ok(step)
    }

    fn parse(&mut self, body: &[u8], frame: &[u8], tools: &mut Tools<'_>) -> Result<Step, End> {
        let parse = Parse::read(body).map_err(|e| End::Wire(Side::Client, e))?;
        let (text, utf8) = self.decode(parse.text);
        let (verdict, grounds) = match self.judge(&text, utf8, Some(&parse.types), tools) {
            Judged::Wait => return Ok(Step::Stall),
            Judged::Refused(stand_in) => return Ok(self.refuse(Message::Parse(parse.name), stand_in, tools)),
            Judged::Verdict(verdict, grounds) => (verdict, grounds),
        };
        let asked_names = grounds.as_ref().is_some_and(|grounds| grounds.asked_names);
        let basis = grounds.map(|grounds| grounds.basis);
        let mut entry = Pending::client(Kind::Parse);
        let prepared = match verdict {
            Verdict::Forward(proof) => {
                tools.metrics.worker.forwarded.add(1);
                self.to_server.extend_from_slice(frame);
                Prepared::forwarded(Arc::from(&*text), parse.types, proof, basis)
            }
            Verdict::Refuse(refusal) => {
                return Ok(self.refuse(
                    Message::Parse(parse.name),
                    stand_in_of(Kind::Parse, &refusal),
                    tools,
                ));
            }
            Verdict::Rewrite(plan) => {
                let since = self.timer();
                let spliced = super::splice::text(&text, &plan.edits, &mut self.values(tools));
                self.spent(Part::Sealing, since);
                let (edited, positions) = match spliced {
                    Ok(edited) => edited,
                    Err(error) => {
                        return Ok(self.refuse(
                            Message::Parse(parse.name),
                            stand_in(Kind::Parse, error, "value"),
                            tools,
                        ));
                    }
                };
                tools.metrics.worker.rewritten.add(1);
                let types = super::splice::declared_types(&parse.types, &plan.parameters);
                Parse { name: parse.name, text: edited.as_bytes(), types }.write(&mut self.to_server);
                Prepared::rewritten(Arc::from(&*text), parse.types, plan, basis, positions)
            }
        };
        let prepared = Arc::new(Prepared { asked_names, ..prepared });
        if !self.refused_names.is_empty() {
            self.refused_names.remove(&*String::from_utf8_lossy(parse.name));
        }
        entry.undo = self.remember(parse.name, prepared.clone());
        entry.prepared = Some(prepared.clone());
        self.queue.push(entry);
        self.unsynced = true;
        self.describe_to_verify(parse.name, &prepared);
        Ok(Step::Done)
    }

    /// Has the server say where a statement's columns come from, which is checked once for each Parse, whether or not
    /// the client asks for it.
    pub(super) fn describe_to_verify(&mut self, name: &[u8], prepared: &Arc<Prepared>) {
        if prepared.outputs(0).is_none() {
            return;
        }
        self.inject(Kind::DescribeStatement, Errand::Verify, |out| Target::Statement(name).write(out, b'D'));
        if let Some(entry) = self.queue.back_mut() {
            entry.prepared = Some(prepared.clone());
        }
    }

    /// A Bind so long that it should not be gathered: passed on in pieces if its statement is not protected.
    fn long_bind(&mut self, head: Head, input: &BytesMut, tools: &mut Tools<'_>) -> Option<Step> {
        let front = input.get(HEAD..input.len().min(head.total))?;
        let Some((portal, statement)) = Bind::peek_names(front) else { return Some(Step::More) };
        if self.is_void(statement) {
            self.bind_without_values(portal, statement);
            self.from_client = Passing::dropped(head.total);
            return Some(Step::Done);
        }
        let prepared = match self.current(statement, tools) {
            Current::Known(prepared) => Some(prepared),
            Current::Unknown => None,
            Current::Wait => return Some(Step::Stall),
            Current::Refused(stand_in) => {
                self.from_client = Passing::dropped(head.total);
                return Some(self.refuse(Message::Bind, stand_in, tools));
            }
        };
        if prepared.as_ref().is_some_and(|p| p.plan.is_some()) {
            return None;
        }
        let entry = self.bound(portal, prepared, Formats::default());
        self.queue.push(entry);
        self.unsynced = true;
        self.from_client = Passing::relayed(head.total);
        Some(Step::Done)
    }

    fn bind(&mut self, body: &[u8], frame: &[u8], tools: &mut Tools<'_>) -> Result<Step, End> {
        let broken = |e| End::Wire(Side::Client, e);
        let (portal, statement) = Bind::peek_names(body).ok_or_else(|| broken(WireError::Unterminated))?;
        if self.is_void(statement) {
            self.bind_without_values(portal, statement);
            return Ok(Step::Done);
        }
        let prepared = match self.current(statement, tools) {
            Current::Known(prepared) => {
                self.saw_bound(&prepared);
                Some(prepared)
            }
            Current::Unknown => None,
            Current::Wait => return Ok(Step::Stall),
            Current::Refused(stand_in) => return Ok(self.refuse(Message::Bind, stand_in, tools)),
        };
        let formats = match &prepared {
            Some(prepared) if prepared.plan.is_some() => {
                let bind = Bind::read(body).map_err(broken)?;
                self.take_locks(prepared);
                if prepared.has_sealed_parameters() {
                    let prepared = prepared.clone();
                    let mut out = std::mem::take(&mut self.to_server);
                    let since = self.timer();
                    let sealed = super::splice::bind(&bind, &prepared, &mut self.values(tools), &mut out);
                    self.spent(Part::Sealing, since);
                    self.to_server = out;
                    if let Err(error) = sealed {
                        return Ok(self.refuse(Message::Bind, stand_in(Kind::Bind, error, "value"), tools));
                    }
                } else {
                    self.to_server.extend_from_slice(frame);
                }
                bind.result_formats
            }
            _ => {
                self.to_server.extend_from_slice(frame);
                Formats::default()
            }
        };
        let entry = self.bound(portal, prepared, formats);
        self.queue.push(entry);
        self.unsynced = true;
        Ok(Step::Done)
    }

    /// Keeps moves of values from going on under a statement that is about to be bound: its snapshot is taken then.
    fn take_locks(&mut self, prepared: &Prepared) {
        for lock in prepared.locks(0) {
            self.run(&lock.statement(), Errand::Lock);
        }
    }

    /// True if the server will not take values for this statement: it discards what follows a refused message up
    /// to Sync, or a refused text never became a statement of this name. Drivers send Bind without waiting for
    /// Parse, so what comes then may be meant for protected columns.
    fn is_void(&self, statement: &[u8]) -> bool {
        self.refused
            || (!self.refused_names.is_empty()
                && !self.statements.contains_key(statement)
                && !self.queue.changes_names()
                && self.refused_names.contains(&*String::from_utf8_lossy(statement)))
    }

    /// Passes a Bind on by its names alone; the server answers as it would to the whole.
    fn bind_without_values(&mut self, portal: &[u8], statement: &[u8]) {
        let (none, formats) = (std::iter::empty::<Option<&[u8]>>(), Formats::default());
        Bind::write(&mut self.to_server, portal, statement, &formats, none, &formats);
        let entry = self.bound(portal, None, formats);
        self.queue.push(entry);
        self.unsynced = true;
    }

    /// Notes a portal that is being bound.
    fn bound(&mut self, name: &[u8], prepared: Option<Arc<Prepared>>, result_formats: Formats) -> Pending {
        let mut entry = Pending::client(Kind::Bind);
        entry.prepared.clone_from(&prepared);
        let before = match prepared {
            Some(prepared) => {
                let portal = Portal { prepared, result_formats, is_held: false };
                self.portals.insert(Box::from(name), Arc::new(portal))
            }
            None => self.portals.remove(name),
        };
        entry.undo = Undo::Portal(Box::from(name), before);
        entry
    }

    fn describe(&mut self, target: Target<'_>, frame: &[u8]) -> Step {
        let name = match target {
            Target::Statement(name) | Target::Portal(name) => name,
        };
        if self.queue.is_unsettled(target) || self.awaits_name(name) {
            return Step::Stall;
        }
        let (kind, prepared) = match target {
            Target::Statement(name) => (Kind::DescribeStatement, self.statements.get(name).cloned()),
            Target::Portal(name) => {
                (Kind::DescribePortal, self.portals.get(name).map(|p| p.prepared.clone()))
            }
        };
        let mut entry = Pending::client(kind);
        entry.prepared = prepared;
        self.unsynced = true;
        self.relay(frame, entry)
    }

    fn execute(&mut self, execute: Execute<'_>, frame: &[u8]) -> Step {
        let portal = execute.portal;
        if self.queue.is_unsettled(Target::Portal(portal)) || self.awaits_name(portal) {
            return Step::Stall;
        }
        let mut entry = Pending::client(Kind::Execute);
        // Behind another one in the same implicit transaction, nothing can be taken back by one answer.
        entry.first = self.executes == 0;
        self.executes += 1;
        if let Some(portal) = self.portals.get(execute.portal) {
            match &portal.prepared.plan {
                Some(_) => self.knowledge.apply_to_protected(portal.prepared.effects),
                None => self.knowledge.apply(portal.prepared.effects),
            }
            self.has_hidden_names |= hides_names(portal.prepared.effects);
            entry.prepared = Some(portal.prepared.clone());
            entry.formats = portal.result_formats.clone();
            entry.names = NameChanges::new(&portal.prepared.names, portal.prepared.basis.clone());
        }
        self.unsynced = true;
        self.relay(frame, entry)
    }

    fn close(&mut self, target: Target<'_>, frame: &[u8]) -> Step {
        let (Target::Statement(name) | Target::Portal(name)) = target;
        if self.awaits_name(name) {
            return Step::Stall;
        }
        let mut entry = Pending::client(Kind::Close);
        entry.undo = match target {
            Target::Statement(name) => {
                let closed = self.statements.remove(name);
                if closed.as_ref().is_some_and(|p| p.plan.is_some()) {
                    // Values that a Bind brings for it after all are not the server's to see.
                    self.void_names([String::from_utf8_lossy(name).into_owned()]);
                }
                Undo::Statement(Box::from(name), closed)
            }
            Target::Portal(name) => Undo::Portal(Box::from(name), self.portals.remove(name)),
        };
        self.unsynced = true;
        self.relay(frame, entry)
    }

    fn sync(&mut self, frame: &[u8]) -> Step {
        if self.copying_in {
            // The server ignores it there.
            self.to_server.extend_from_slice(frame);
            return Step::Done;
        }
        self.end_pipeline();
        self.relay(frame, Pending::client(Kind::Sync))
    }

    /// A message is being sent behind which no implicit transaction goes on: a Sync, of the client's or for it, or
    /// a Query.
    pub(super) fn end_pipeline(&mut self) {
        if self.status != TransactionStatus::Open {
            // It ends the implicit transaction, well or badly.
            self.knowledge.implicit_transaction_ends();
        }
        self.skipping = false;
        self.unsynced = false;
        self.refused = false;
        self.flushed = false;
        self.executes = 0;
    }

    fn function_call(&mut self, body: &[u8], frame: &[u8], tools: &Tools<'_>) -> Result<Step, End> {
        let function = Reader::new(body).u32().map_err(|e| End::Wire(Side::Client, e))?;
        if LARGE_OBJECT_FUNCTIONS.contains(&function) {
            return Ok(self.relay(frame, Pending::client(Kind::FunctionCall)));
        }
        let error = ClientError::error(
            SqlState::FEATURE_NOT_SUPPORTED,
            "function calls by the fast-path protocol are not analysed",
        )
        .with_hint("Call the function in a statement: SELECT function(...).");
        Ok(self.refuse(
            Message::FunctionCall,
            stand_in(Kind::FunctionCall, error, "fast-path function"),
            tools,
        ))
    }

    /// COPY data. The server ignores it outside of a COPY, but need not see it then: it may belong to a
    /// COPY that was refused.
    fn copy_frame(&mut self, head: Head) -> Step {
        if !self.copying_in && !self.queue.is_empty() {
            // Else the server would keep its replies, and wait for more.
            self.ask_for_replies();
            return Step::Stall;
        }
        self.flushed = false;
        self.from_client =
            if self.copying_in { Passing::relayed(head.total) } else { Passing::dropped(head.total) };
        if head.tag != b'd' {
            self.copying_in = false;
        }
        Step::Done
    }

    /// A query on a replication connection: commands and what names nothing protected go on, and so does a
    /// subscriber's initial copy, which is meant to see what is stored.
    fn replication_query(&mut self, text: &str, frame: &[u8], tools: &Tools<'_>) -> Step {
        if sql::is_safe_for_replication(text, &self.policy) {
            return self.relay(frame, Pending::client(Kind::Query));
        }
        let error = ClientError::error(
            SqlState::FEATURE_NOT_SUPPORTED,
            "statements that name a protected table are not carried out on a replication connection",
        )
        .with_hint("Use an ordinary connection.");
        self.refuse(Message::Query, stand_in(Kind::Query, error, "replication"), tools)
    }

    pub(super) fn remember(&mut self, name: &[u8], prepared: Arc<Prepared>) -> Undo {
        Undo::Statement(Box::from(name), self.statements.insert(Box::from(name), prepared))
    }
}

fn too_long(length: usize, most: usize) -> ClientError {
    let message = format!("a message of {length} bytes is longer than the {most} that the proxy takes");
    ClientError::fatal(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
        .with_hint("The proxy's --max-message-size is the limit.")
}
