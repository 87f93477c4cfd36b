//! What the client sends: each statement to its verdict, each frame to its place.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};

use super::knowledge::Readiness;
use super::plans::{Basis, Portal, Positions, Prepared};
use super::queue::{Errand, Kind, Pending, StandIn, Undo};
use super::verdicts::Key;
use super::{End, HIGH_WATER, Phase, Session, Step, Tools};
use crate::datum::Oid;
use crate::error::{ClientError, ClientFacing as _, SqlState};
use crate::sql::{self, Arrival, Context, Effects, Verdict};
use crate::wire::backend::TransactionStatus;
use crate::wire::frame::HEAD;
use crate::wire::frontend::{self, Bind, Execute, Formats, Parse, Target};
use crate::wire::{Head, Reader, Side, WireError};

/// A text that PostgreSQL cannot parse: stands in for a refused one, and is all of it that the server sees.
const UNPARSABLE: &[u8] = b"! refused by pgseal";
/// A statement name that no client uses: binding it fails as binding a refused value should.
const NO_STATEMENT: &[u8] = b"! refused by pgseal";

/// From this size on a Bind whose statement needs no look is passed on in pieces.
const STREAMED: usize = 64 * 1024;

/// The large-object functions that drivers call by the fast path, which carry no column's value: lo_open,
/// lo_close, loread, lowrite, lo_lseek, lo_creat, lo_create, lo_tell, lo_unlink, lo_truncate and the 64-bit
/// forms (`pg_proc.dat`).
const LARGE_OBJECT_FUNCTIONS: &[Oid] =
    &[715, 764, 765, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172];

/// A message that is not sent, for which another one fails.
#[derive(Clone, Copy)]
enum Refused<'a> {
    Query,
    /// With the statement's name.
    Parse(&'a [u8]),
    Bind,
    FunctionCall,
}

/// A statement's verdict with what it was reached under.
enum Judged {
    Verdict(Verdict, Option<Basis>),
    Wait,
    Refused(Box<StandIn>),
}

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
                self.from_client.advance(input, &mut self.to_server);
                continue;
            }
            let step = match self.phase {
                Phase::Startup(_) => self.startup_packet(input)?,
                Phase::Authenticating { .. } => self.authentication_frame(input)?,
                Phase::Ready if self.is_protecting() => self.client_frame(input, tools)?,
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
        if self.poison.is_some() && !self.skipping {
            return Ok(Step::Stall);
        }
        // What the server discards need not reach it.
        if self.skipping && !matches!(head.tag, b'S' | b'X') {
            self.from_client = super::Passing { left: head.total, dropped: true };
            return Ok(Step::Done);
        }
        match head.tag {
            b'd' | b'c' | b'f' => return Ok(self.copy_frame(head)),
            // The server looks at the type, and gives up.
            tag if self.copying_in && !matches!(tag, b'S' | b'H' | b'X') => {
                frontend::write_bare(&mut self.to_server, tag);
                self.from_client = super::Passing { left: head.total, dropped: true };
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
        let begins = !self.unsynced && matches!(head.tag, b'B' | b'C' | b'D' | b'E');
        if begins && matches!(self.readiness(tools), Readiness::Wait) {
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
                self.phase = Phase::Ended;
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
            input.advance(head.total);
        }
        Ok(step)
    }

    fn relay(&mut self, frame: &[u8], entry: Pending) -> Step {
        self.to_server.extend_from_slice(frame);
        self.queue.push(entry);
        Step::Done
    }

    /// Sends what makes the server fail in the refused message's place.
    ///
    /// State, skip-until-Sync and the order of replies are then PostgreSQL's own.
    fn refuse(&mut self, message: Refused<'_>, stand_in: Box<StandIn>, tools: &Tools<'_>) -> Step {
        tools.metrics.refused(stand_in.reason);
        let kind = match message {
            Refused::Parse(name) => {
                self.refused_names.insert(String::from_utf8_lossy(name).into_owned());
                // Under its own name: a failed Parse of the unnamed statement drops the one before it.
                Parse { name, text: UNPARSABLE, types: Vec::new() }.write(&mut self.to_server);
                self.unsynced = true;
                Kind::Parse
            }
            Refused::Bind => {
                let none = std::iter::empty::<Option<&[u8]>>();
                let formats = Formats::default();
                Bind::write(&mut self.to_server, b"", NO_STATEMENT, &formats, none, &formats);
                self.unsynced = true;
                Kind::Bind
            }
            Refused::FunctionCall => {
                frontend::write_impossible_call(&mut self.to_server);
                Kind::FunctionCall
            }
            Refused::Query => {
                frontend::write_query(&mut self.to_server, UNPARSABLE);
                self.unsynced = false;
                Kind::Query
            }
        };
        let mut entry = Pending::client(kind);
        entry.stand_in = Some(stand_in);
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
        let (verdict, basis) = match self.judge(&text, utf8, None, tools) {
            Judged::Wait => return Ok(Step::Stall),
            Judged::Refused(stand_in) => {
                return Ok(self.refuse(Refused::Query, stand_in, tools));
            }
            Judged::Verdict(verdict, basis) => (verdict, basis),
        };
        self.executes = 0;
        let step = match verdict {
            Verdict::Forward(proof) => {
                tools.metrics.forwarded.increment(1);
                self.knowledge.apply(proof.effects);
                if !self.refused_names.is_empty() || !self.statements.is_empty() {
                    for name in sql::kinds::defined_names(&text) {
                        self.refused_names.remove(&name);
                        if self.statements.get(name.as_bytes()).is_some_and(|p| p.plan.is_some()) {
                            self.unclear_names.insert(Box::from(name.as_bytes()));
                        }
                    }
                }
                self.relay(frame, Pending::client(Kind::Query))
            }
            Verdict::Rewrite(plan) => {
                match super::splice::text(&text, &plan.edits, &mut self.values(tools)) {
                    Err(error) => self.refuse(Refused::Query, stand_in(Kind::Query, error, "value"), tools),
                    Ok((edited, positions)) => {
                        tools.metrics.rewritten.increment(1);
                        self.knowledge.apply(plan.effects);
                        let effects = plan.effects;
                        frontend::write_query(&mut self.to_server, edited.as_bytes());
                        let mut entry = Pending::client(Kind::Query);
                        entry.prepared = Some(Arc::new(Prepared::new(
                            Arc::from(&*text),
                            Vec::new(),
                            Some(plan),
                            effects,
                            basis,
                            positions,
                        )));
                        self.queue.push(entry);
                        Step::Done
                    }
                }
            }
            Verdict::Refuse(refusal) => {
                // The client may go on to execute what was not prepared, with its constants.
                self.refused_names.extend(sql::kinds::defined_names(&text));
                let stand_in = stand_in(Kind::Query, refusal.client_error(), refusal.label());
                self.refuse(Refused::Query, stand_in, tools)
            }
        };
        self.unsynced = false;
        Ok(step)
    }

    fn parse(&mut self, body: &[u8], frame: &[u8], tools: &mut Tools<'_>) -> Result<Step, End> {
        let parse = Parse::read(body).map_err(|e| End::Wire(Side::Client, e))?;
        let (text, utf8) = self.decode(parse.text);
        let (verdict, basis) = match self.judge(&text, utf8, Some(&parse.types), tools) {
            Judged::Wait => return Ok(Step::Stall),
            Judged::Refused(stand_in) => return Ok(self.refuse(Refused::Parse(parse.name), stand_in, tools)),
            Judged::Verdict(verdict, basis) => (verdict, basis),
        };
        let mut entry = Pending::client(Kind::Parse);
        let prepared = match verdict {
            Verdict::Forward(proof) => {
                tools.metrics.forwarded.increment(1);
                self.to_server.extend_from_slice(frame);
                let positions = Positions::default();
                let text = Arc::from(&*text);
                Prepared::new(text, parse.types, None, proof.effects, basis, positions)
                    .looked_up(proof.looked_up)
            }
            Verdict::Refuse(refusal) => {
                return Ok(self.refuse(
                    Refused::Parse(parse.name),
                    stand_in(Kind::Parse, refusal.client_error(), refusal.label()),
                    tools,
                ));
            }
            Verdict::Rewrite(plan) => {
                let (edited, positions) =
                    match super::splice::text(&text, &plan.edits, &mut self.values(tools)) {
                        Ok(edited) => edited,
                        Err(error) => {
                            return Ok(self.refuse(
                                Refused::Parse(parse.name),
                                stand_in(Kind::Parse, error, "value"),
                                tools,
                            ));
                        }
                    };
                tools.metrics.rewritten.increment(1);
                let types = super::splice::declared_types(&parse.types, &plan.parameters);
                Parse { name: parse.name, text: edited.as_bytes(), types }.write(&mut self.to_server);
                let effects = plan.effects;
                Prepared::new(Arc::from(&*text), parse.types, Some(plan), effects, basis, positions)
            }
        };
        let prepared = Arc::new(prepared);
        if !self.refused_names.is_empty() {
            self.refused_names.remove(&*String::from_utf8_lossy(parse.name));
        }
        entry.undo = self.remember(parse.name, prepared.clone());
        entry.prepared = Some(prepared.clone());
        self.queue.push(entry);
        self.unsynced = true;
        // Where its columns come from is checked once, whether or not the client asks for it.
        if prepared.outputs(0).is_some() {
            let name = parse.name;
            self.inject(Kind::DescribeStatement, Errand::Verify, |out| {
                Target::Statement(name).write(out, b'D');
            });
            if let Some(entry) = self.queue.back_mut() {
                entry.prepared = Some(prepared);
            }
        }
        Ok(Step::Done)
    }

    /// A Bind so long that it should not be gathered: passed on in pieces if its statement is not protected.
    fn long_bind(&mut self, head: Head, input: &BytesMut, tools: &mut Tools<'_>) -> Option<Step> {
        let front = input.get(HEAD..input.len().min(head.total))?;
        let Some((portal, statement)) = Bind::peek_names(front) else { return Some(Step::More) };
        let prepared = match self.current(statement, tools) {
            Current::Known(prepared) => Some(prepared),
            Current::Unknown => None,
            Current::Wait => return Some(Step::Stall),
            Current::Refused(stand_in) => {
                self.from_client = super::Passing { left: head.total, dropped: true };
                return Some(self.refuse(Refused::Bind, stand_in, tools));
            }
        };
        if prepared.as_ref().is_some_and(|p| p.plan.is_some()) {
            return None;
        }
        let entry = self.bound(portal, prepared, Formats::default());
        self.queue.push(entry);
        self.unsynced = true;
        self.from_client = super::Passing { left: head.total, dropped: false };
        Some(Step::Done)
    }

    fn bind(&mut self, body: &[u8], frame: &[u8], tools: &mut Tools<'_>) -> Result<Step, End> {
        let broken = |e| End::Wire(Side::Client, e);
        let (portal, statement) = Bind::peek_names(body).ok_or_else(|| broken(WireError::Unterminated))?;
        let prepared = match self.current(statement, tools) {
            Current::Known(prepared) => Some(prepared),
            Current::Unknown => None,
            Current::Wait => return Ok(Step::Stall),
            Current::Refused(stand_in) => return Ok(self.refuse(Refused::Bind, stand_in, tools)),
        };
        let formats = match &prepared {
            Some(prepared) if prepared.plan.is_some() => {
                let bind = Bind::read(body).map_err(broken)?;
                if prepared.has_sealed_parameters() {
                    let prepared = prepared.clone();
                    let mut out = std::mem::take(&mut self.to_server);
                    let sealed = super::splice::bind(&bind, &prepared, &mut self.values(tools), &mut out);
                    self.to_server = out;
                    if let Err(error) = sealed {
                        return Ok(self.refuse(Refused::Bind, stand_in(Kind::Bind, error, "value"), tools));
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

    /// Notes a portal that is being bound.
    fn bound(&mut self, name: &[u8], prepared: Option<Arc<Prepared>>, result_formats: Formats) -> Pending {
        let mut entry = Pending::client(Kind::Bind);
        entry.prepared.clone_from(&prepared);
        let before = match prepared {
            Some(prepared) => {
                self.portals.insert(Box::from(name), Arc::new(Portal { prepared, result_formats }))
            }
            None => self.portals.remove(name),
        };
        entry.undo = Undo::Portal(Box::from(name), before);
        entry
    }

    fn describe(&mut self, target: Target<'_>, frame: &[u8]) -> Step {
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
        let mut entry = Pending::client(Kind::Execute);
        // Behind another one in the same implicit transaction, nothing can be taken back by one answer.
        entry.first = self.executes == 0;
        self.executes += 1;
        if let Some(portal) = self.portals.get(execute.portal) {
            self.knowledge.apply(portal.prepared.effects);
            entry.prepared = Some(portal.prepared.clone());
            entry.formats = portal.result_formats.clone();
        }
        self.unsynced = true;
        self.relay(frame, entry)
    }

    fn close(&mut self, target: Target<'_>, frame: &[u8]) -> Step {
        let mut entry = Pending::client(Kind::Close);
        entry.undo = match target {
            Target::Statement(name) => Undo::Statement(Box::from(name), self.statements.remove(name)),
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
        if self.status != TransactionStatus::Open {
            // It ends the implicit transaction, well or badly.
            self.knowledge.implicit_transaction_ends();
        }
        self.skipping = false;
        self.unsynced = false;
        self.executes = 0;
        self.relay(frame, Pending::client(Kind::Sync))
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
            Refused::FunctionCall,
            stand_in(Kind::FunctionCall, error, "fast-path function"),
            tools,
        ))
    }

    /// COPY data. The server ignores it outside of a COPY, but need not see it then: it may belong to a
    /// COPY that was refused.
    fn copy_frame(&mut self, head: Head) -> Step {
        if !self.copying_in && !self.queue.is_empty() {
            if self.unsynced && !self.flushed {
                // Else the server would keep its replies, and wait for more.
                frontend::write_bare(&mut self.to_server, b'H');
                self.flushed = true;
            }
            return Step::Stall;
        }
        self.flushed = false;
        self.from_client = super::Passing { left: head.total, dropped: !self.copying_in };
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
        self.refuse(Refused::Query, stand_in(Kind::Query, error, "replication"), tools)
    }

    /// The text, and whether it may hold protected values: only UTF-8 may. Text in another encoding is looked
    /// at for names, which are found as far as they are ASCII.
    fn decode<'t>(&self, text: &'t [u8]) -> (Cow<'t, str>, bool) {
        match std::str::from_utf8(text) {
            Ok(text) => (Cow::Borrowed(text), self.utf8),
            Err(_) => (String::from_utf8_lossy(text), false),
        }
    }

    /// What is to be done with a text; `declared` for one that came by Parse.
    fn judge(&mut self, text: &str, utf8: bool, declared: Option<&[Oid]>, tools: &mut Tools<'_>) -> Judged {
        let kind = if declared.is_some() { Kind::Parse } else { Kind::Query };
        // To read the catalog inside a transaction might get in the way of these: SET TRANSACTION has to come
        // before any query, and the end of a transaction makes what was read in it void.
        if (self.unsynced || self.status != TransactionStatus::Idle)
            && !self.knowledge.is_complete()
            && let Some(effects) = sql::without_catalog(text)
        {
            return Judged::Verdict(Verdict::Forward(sql::Untouched::by_words(effects)), None);
        }
        let basis = match self.readiness(tools) {
            Readiness::Go(basis) => basis,
            Readiness::Wait => return Judged::Wait,
            Readiness::Refused(error) => {
                return Judged::Refused(without_catalog(kind, error));
            }
            // The server refuses it whatever it holds, so it need not see it.
            Readiness::InFailedTransaction => {
                return Judged::Refused(stand_in(kind, in_failed_transaction(), "failed transaction"));
            }
        };
        let verdict = self.analyse(text, utf8, declared, &basis, tools);
        let fresh = match &verdict {
            // A name that cannot be looked up now may be a protected relation's new one. The server carries
            // nothing out before the transaction ends.
            Verdict::Forward(proof) if proof.unresolved && self.has_failed() => {
                return Judged::Refused(stand_in(kind, in_failed_transaction(), "failed transaction"));
            }
            Verdict::Forward(proof) if proof.unresolved || proof.looked_up => {
                self.freshen(proof.unresolved, tools)
            }
            Verdict::Forward(_) => Step::Done,
            Verdict::Rewrite(plan) => self.freshen(plan.unresolved, tools),
            Verdict::Refuse(refusal) => self.freshen(refusal.may_be_stale(), tools),
        };
        match fresh {
            Step::Done => Judged::Verdict(verdict, Some(basis)),
            Step::More | Step::Stall => Judged::Wait,
        }
    }

    /// The transaction has failed, and nothing that is on its way may have ended it.
    fn has_failed(&self) -> bool {
        self.status == TransactionStatus::Failed && self.queue.is_empty() && !self.unsynced
    }

    fn analyse(
        &self,
        text: &str,
        utf8: bool,
        declared: Option<&[Oid]>,
        basis: &Basis,
        tools: &mut Tools<'_>,
    ) -> Verdict {
        let key = Key::new(text, declared, basis, self.standard_strings, utf8);
        if let Some(verdict) = tools.verdicts.find(&basis.schema, &key) {
            return verdict.clone();
        }
        // A verdict that asked for the session's own plans holds for this session only.
        let asked = std::cell::Cell::new(false);
        let is_protected_plan = |name: &str| {
            asked.set(true);
            if self.refused_names.contains(name) {
                return true;
            }
            let name = name.as_bytes();
            self.statements.get(name).is_some_and(|p| p.plan.is_some())
                || self.portals.get(name).is_some_and(|p| p.prepared.plan.is_some())
        };
        let context = Context {
            schema: &basis.schema,
            search_path: &basis.search_path,
            standard_conforming_strings: self.standard_strings,
            utf8,
            is_protected_plan: &is_protected_plan,
        };
        let arrival = match declared {
            Some(declared) => Arrival::Parse { declared },
            None => Arrival::Query,
        };
        let verdict = sql::analyze(text, arrival, &context);
        if !asked.get() {
            tools.verdicts.keep(&basis.schema, key, &verdict);
        }
        verdict
    }

    fn remember(&mut self, name: &[u8], prepared: Arc<Prepared>) -> Undo {
        self.unclear_names.remove(name);
        Undo::Statement(Box::from(name), self.statements.insert(Box::from(name), prepared))
    }

    /// A prepared statement that is about to be bound, its plan checked against what is known now: one whose
    /// names have moved since it was parsed would send plaintext where it no longer belongs.
    fn current(&mut self, name: &[u8], tools: &mut Tools<'_>) -> Current {
        let Some(prepared) = self.statements.get(name).cloned() else { return Current::Unknown };
        if self.unclear_names.contains(name) {
            return Current::Refused(plan_changed());
        }
        let Some(before) = &prepared.basis else { return Current::Known(prepared) };
        let basis = match self.readiness(tools) {
            Readiness::Go(basis) => basis,
            Readiness::Wait => return Current::Wait,
            Readiness::Refused(error) => {
                return Current::Refused(without_catalog(Kind::Bind, error));
            }
            // The server refuses it whatever it holds, so it need not see it.
            Readiness::InFailedTransaction => {
                return Current::Refused(stand_in(Kind::Bind, in_failed_transaction(), "failed transaction"));
            }
        };
        if prepared.plan.is_some() && !self.utf8 {
            let refusal = sql::Refusal::new(sql::Reason::Encoding, None);
            return Current::Refused(stand_in(Kind::Bind, refusal.client_error(), refusal.label()));
        }
        if prepared.looked_up && self.freshen(false, tools) != Step::Done {
            return Current::Wait;
        }
        if *before == basis {
            return Current::Known(prepared);
        }
        let (plan, effects) =
            match self.analyse(&prepared.text, self.utf8, Some(&prepared.declared), &basis, tools) {
                Verdict::Forward(proof) => (None, proof.effects),
                Verdict::Rewrite(plan) => (Some(plan), Effects::default()),
                Verdict::Refuse(_) => return Current::Refused(plan_changed()),
            };
        if plan.as_deref() != prepared.plan.as_deref() {
            return Current::Refused(plan_changed());
        }
        let effects = plan.as_ref().map_or(effects, |p| p.effects);
        let renewed = Prepared::new(
            prepared.text.clone(),
            prepared.declared.clone(),
            prepared.plan.clone(),
            effects,
            Some(basis),
            prepared.positions.clone(),
        );
        let renewed = Arc::new(renewed.looked_up(prepared.looked_up));
        self.statements.insert(Box::from(name), renewed.clone());
        Current::Known(renewed)
    }
}

/// What a Bind's statement is now.
enum Current {
    Known(Arc<Prepared>),
    /// Not one that was parsed through here: the server's to judge.
    Unknown,
    Wait,
    Refused(Box<StandIn>),
}

/// An error of ours in the place of the one that the server is made to produce for this message.
fn stand_in(kind: Kind, error: ClientError, reason: &'static str) -> Box<StandIn> {
    let expected = match kind {
        Kind::Bind => "26000",
        Kind::FunctionCall => "42883",
        _ => "42601",
    };
    Box::new(StandIn { error, expected, reason, always: false })
}

/// The answer to a statement that waited for a catalog that cannot be read.
fn without_catalog(kind: Kind, error: ClientError) -> Box<StandIn> {
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
fn plan_changed() -> Box<StandIn> {
    let error =
        ClientError::error(SqlState::FEATURE_NOT_SUPPORTED, "cached plan must not change result type")
            .with_detail(
                "The tables, policy or search path that the statement was prepared under have changed.",
            );
    stand_in(Kind::Bind, error, "plan changed")
}

impl Session {
    /// Fails the open block by a text that cannot parse, under a name of our own.
    pub(super) fn poison_block(&mut self) {
        self.inject(Kind::Parse, Errand::Poison, |out| {
            Parse { name: b"_pgseal_", text: UNPARSABLE, types: Vec::new() }.write(out);
        });
        self.inject(Kind::Sync, Errand::Poison, |out| frontend::write_bare(out, b'S'));
    }
}
