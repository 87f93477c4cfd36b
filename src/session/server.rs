//! What the server answers, matched with the reply queue.

use std::sync::Arc;

use bytes::{Buf as _, BytesMut};

use super::plans::Prepared;
use super::queue::{Errand, Kind, Pending, Undo};
use super::refuse::{in_failed_transaction, types_changed};
use super::rows::{self, RowError};
use super::stopwatch::Part;
use super::trail::Within;
use super::values::Values;
use super::{End, Event, HIGH_WATER, Passing, Phase, Session, Tools, errors, out_of_step};
use crate::catalog::Change;
use crate::error::{ClientError, Severity};
use crate::wire::Format;
use crate::wire::backend::{self, TransactionStatus};
use crate::wire::frame::{HEAD, run_of};
use crate::wire::frontend::Formats;
use crate::wire::{Head, Side, WireError};

/// A DataRow from this size on is passed on in pieces if its result has no sealed column.
const STREAMED: usize = 64 * 1024;

/// The longest message of a server before the first ReadyForQuery; libpq gives up on longer ones long before.
const MAX_BEFORE_READY: usize = 1 << 20;

fn broken(error: WireError) -> End {
    End::Wire(Side::Server, error)
}

impl Session {
    pub(super) fn take_server(&mut self, input: &mut BytesMut, tools: &mut Tools<'_>) -> Result<(), End> {
        while self.to_client.len() < HIGH_WATER && !input.is_empty() {
            if self.from_server.left > 0 {
                self.from_server.advance(input, &mut self.to_client);
                continue;
            }
            match self.phase {
                Phase::Ready if self.is_protecting() => {
                    if !self.server_frame(input, tools)? {
                        return Ok(());
                    }
                }
                // Nothing is protected, so nothing is looked at.
                Phase::Ready => self.from_server.left = input.len(),
                Phase::Startup(_) => return Err(out_of_step("message before startup")),
                Phase::Authenticating { .. } => {
                    let Some(head) = Head::peek(input, Side::Server).map_err(broken)? else {
                        return Ok(());
                    };
                    if head.total > MAX_BEFORE_READY {
                        let length = i64::try_from(head.total).unwrap_or(i64::MAX);
                        return Err(broken(WireError::Length { tag: head.tag, length }));
                    }
                    if input.len() < head.total {
                        return Ok(());
                    }
                    let frame = input.split_to(head.total);
                    self.login_reply(head.tag, &frame)?;
                }
                Phase::Ended => {
                    input.clear();
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes the frame at the front. False: more of it is needed.
    fn server_frame(&mut self, input: &mut BytesMut, tools: &mut Tools<'_>) -> Result<bool, End> {
        let Some(head) = Head::peek(input, Side::Server).map_err(broken)? else { return Ok(false) };
        if matches!(head.tag, b'D' | b'd') && self.is_untouched(head.tag) {
            let run = run_of(head.tag, input, Side::Server).map_err(broken)?;
            if run.bytes > 0 {
                self.counted.server += run.frames;
                Passing::relayed(run.bytes).advance(input, &mut self.to_client);
                return Ok(true);
            }
            if head.total > STREAMED {
                self.counted.server += 1;
                self.from_server = Passing::relayed(head.total);
                return Ok(true);
            }
        }
        if input.len() < head.total {
            return Ok(false);
        }
        if head.tag == b'D' && self.open_rows_at_front(input, tools)? {
            return Ok(true);
        }
        let frame = input.get(..head.total).unwrap_or_default();
        let body = frame.get(HEAD..).unwrap_or_default();
        self.counted.server += 1;
        self.reply(head.tag, body, frame, tools)?;
        input.advance(head.total);
        Ok(true)
    }

    /// Opens the rows at the front of the input, as many as are whole, straight into what is due to the client.
    /// False: they are none that are opened for it.
    fn open_rows_at_front(&mut self, input: &mut BytesMut, tools: &mut Tools<'_>) -> Result<bool, End> {
        let Some(entry) = self.queue.front() else { return Ok(false) };
        let prepared = match (&entry.prepared, entry.kind) {
            (Some(prepared), Kind::Execute | Kind::Query) if !entry.is_swallowed() => prepared,
            _ => return Ok(false),
        };
        let Some(outputs) = prepared.outputs(entry.statement).filter(|_| !prepared.disagrees()) else {
            return Ok(false);
        };
        let since = self.timer();
        let mut values = Values::new(tools, &self.settings, &mut self.scratch);
        let (mut taken, mut rows, mut result) = (0, 0, Ok(()));
        while result.is_ok() && self.to_client.len() < HIGH_WATER {
            let rest = input.get(taken..).unwrap_or_default();
            let row = Head::peek(rest, Side::Server).map_err(broken)?.filter(|head| head.tag == b'D');
            let Some((head, body)) = row.and_then(|head| Some((head, head.body(rest)?))) else { break };
            result = rows::open_row(body, outputs, &entry.formats, &mut values, &mut self.to_client);
            taken += head.total;
            rows += 1;
        }
        self.counted.server += rows;
        input.advance(taken);
        self.note_opened(Within::Rows, rows);
        self.spent(Part::Opening, since);
        match result {
            Ok(()) => Ok(true),
            Err(RowError::Wire(error)) => Err(broken(error)),
            Err(RowError::Value(error)) => self.cannot_open(error, tools).map(|()| true),
        }
    }

    /// True if rows or copied data go on as they come.
    fn is_untouched(&self, tag: u8) -> bool {
        self.queue.front().is_some_and(|entry| {
            !entry.is_swallowed()
                && match &entry.prepared {
                    _ if tag == b'd' => self.copy.is_none(),
                    Some(p) => p.outputs(entry.statement).is_none() && !p.disagrees(),
                    None => true,
                }
        })
    }

    fn reply(&mut self, tag: u8, body: &[u8], frame: &[u8], tools: &mut Tools<'_>) -> Result<(), End> {
        match tag {
            // At any time.
            b'N' => return self.notice(body, frame, tools),
            b'A' | b'v' | b'K' | b'R' => {
                self.to_client.extend_from_slice(frame);
                return Ok(());
            }
            b'S' => {
                self.parameter_status(body)?;
                self.to_client.extend_from_slice(frame);
                return Ok(());
            }
            b'E' => return self.error(body, frame, tools),
            b'Z' => return self.ready(body, frame, tools),
            _ => {}
        }
        let entry = self.queue.front().ok_or_else(|| out_of_step("reply that nobody waits for"))?;
        let (kind, swallowed, is_locking) = (entry.kind, entry.is_swallowed(), entry.is_locking());
        let fits = match tag {
            b'1' => kind == Kind::Parse,
            b'2' => kind == Kind::Bind,
            b'3' => kind == Kind::Close,
            b't' => kind == Kind::DescribeStatement,
            b'T' | b'n' => matches!(kind, Kind::DescribeStatement | Kind::DescribePortal | Kind::Query),
            b'D' | b'C' | b'I' | b'G' | b'H' | b'W' | b'd' | b'c' => {
                matches!(kind, Kind::Execute | Kind::Query)
            }
            b's' => kind == Kind::Execute,
            b'V' => kind == Kind::FunctionCall,
            _ => false,
        };
        if !fits {
            return Err(out_of_step("reply to another message than the one that is due"));
        }
        match tag {
            b'D' => return self.row(body, frame),
            b'T' => self.row_description(body, frame, tools)?,
            b't' if !swallowed => self.parameter_description(body, frame)?,
            b'G' | b'H' if !swallowed && !self.begin_copy(tag, body, tools)? => return Ok(()),
            b'd' | b'c' if self.copy.is_some() && !swallowed => {
                self.open_rows(if tag == b'd' { body } else { b"" }, tag == b'c', tools)?;
                if tag == b'c' && self.copy.take().is_some() {
                    self.to_client.extend_from_slice(frame);
                }
            }
            b'G' | b'W' => {
                self.copying_in = true;
                // The client owes another Sync for each that is ignored.
                self.unsynced |= self.queue.drop_syncs_behind_front();
                // The server has the COPY, so what was analysed up to it is sent; its rows may take longer than the lease.
                if self.queue.behind_front().next().is_none() {
                    self.knowledge.is_sent();
                }
                self.to_client.extend_from_slice(frame);
            }
            _ if swallowed => {}
            _ => self.to_client.extend_from_slice(frame),
        }
        match (tag, kind) {
            (b'C', Kind::Query) if is_locking => {
                if let Some(entry) = self.queue.front_mut() {
                    entry.locked += 1;
                }
            }
            (b'C' | b'I', Kind::Query) => {
                self.saw_tag(body);
                self.copying_in = false;
                self.copy = None;
                self.carried_out();
            }
            (b'1' | b'2' | b'3' | b'n', _)
            | (b'T', Kind::DescribeStatement | Kind::DescribePortal)
            | (b'C' | b'I' | b's', Kind::Execute) => {
                if tag == b'C' {
                    self.saw_tag(body);
                    self.copying_in = false;
                    self.copy = None;
                    self.carried_out();
                }
                self.finish_front()?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A statement of the front was carried out.
    fn carried_out(&mut self) {
        let Some(entry) = self.queue.front_mut() else { return };
        let number = entry.statement;
        entry.statement += 1;
        entry.locked = 0;
        if let Some(names) = entry.names.clone() {
            self.names_change(&names, number);
        }
    }

    /// The front has all its replies.
    fn finish_front(&mut self) -> Result<(), End> {
        let is_knowledge = |entry: &Pending| matches!(entry.errand, Errand::Knowledge(_));
        let was_knowledge = self.queue.pop().as_ref().is_some_and(is_knowledge);
        if was_knowledge
            && self.knowledge.is_flushed_flight()
            && !self.queue.front().is_some_and(is_knowledge)
        {
            self.end_flight()?;
        }
        Ok(())
    }

    pub(super) fn parameter_status(&mut self, body: &[u8]) -> Result<(), End> {
        let (name, value) = backend::parameter_status(body).map_err(broken)?;
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        self.setting(&name, &value);
        Ok(())
    }

    /// What a setting is, as the server reports it or was asked.
    pub(super) fn setting(&mut self, name: &str, value: &str) {
        match name {
            "client_encoding" => self.utf8 = value.eq_ignore_ascii_case("UTF8"),
            "standard_conforming_strings" => self.standard_strings = value == "on",
            "application_name" => self.is_called(value),
            "search_path" => self.knowledge.search_path_changed(),
            "in_hot_standby" => self.events.push(Event::Standby(value == "on")),
            _ => {
                self.settings.apply(name, value);
            }
        }
    }

    fn row_description(&mut self, body: &[u8], frame: &[u8], tools: &mut Tools<'_>) -> Result<(), End> {
        let Some(entry) = self.queue.front_mut() else { return Ok(()) };
        if entry.is_locking() || matches!(entry.errand, Errand::Knowledge(_) | Errand::Poison | Errand::Lock)
        {
            return Ok(());
        }
        let mut fields = backend::row_description(body).map_err(broken)?;
        let schema = self.knowledge.schema().map(|s| &**s);
        let statement = entry.statement;
        let disagrees = match &entry.prepared {
            Some(prepared) => rows::check(prepared, statement, &fields, schema),
            None => rows::hands_out_sealed(&fields, schema),
        };
        if entry.kind == Kind::Query {
            entry.formats =
                Formats(fields.iter().map(|f| Format::from_code(f.format).unwrap_or_default()).collect());
        }
        if disagrees {
            tools.metrics.origin_disagreements.increment(1);
            tracing::error!("the server's account of a result's columns contradicts the analysis");
            if let Some(prepared) = &entry.prepared {
                prepared.mark_disagreement();
            }
            if entry.kind == Kind::Query {
                return self.fail_front(rows::origins_disagree());
            }
            // Its rows will not be handed out; whoever only asks what they are is told the same.
            if entry.prepared.is_none() || entry.errand == Errand::Client {
                return Err(ClientError { severity: Severity::Fatal, ..rows::origins_disagree() }.into());
            }
        }
        if entry.is_swallowed() {
            return Ok(());
        }
        match entry.prepared.as_ref().and_then(|p| p.outputs(statement)) {
            Some(outputs) => {
                rows::declare(outputs, &mut fields);
                backend::write_row_description(&mut self.to_client, &fields);
            }
            None => self.to_client.extend_from_slice(frame),
        }
        Ok(())
    }

    fn parameter_description(&mut self, body: &[u8], frame: &[u8]) -> Result<(), End> {
        let prepared = self.queue.front().and_then(|e| e.prepared.as_ref());
        let Some((prepared, plan)) = prepared.and_then(|p| Some((p, p.plan.as_ref()?))) else {
            self.to_client.extend_from_slice(frame);
            return Ok(());
        };
        let mut types = backend::parameter_description(body).map_err(broken)?;
        for (i, (described, parameter)) in types.iter_mut().zip(&plan.parameters).enumerate() {
            let declared = prepared.declared.get(i).copied().unwrap_or(0);
            *described = super::splice::described_type(parameter, declared, *described);
        }
        backend::write_parameter_description(&mut self.to_client, &types);
        Ok(())
    }

    /// A row that is not opened.
    fn row(&mut self, body: &[u8], frame: &[u8]) -> Result<(), End> {
        let Some(entry) = self.queue.front() else { return Ok(()) };
        match entry.errand {
            Errand::Knowledge(query) => return self.knowledge_row(query, body),
            Errand::Poison | Errand::Verify | Errand::Lock => return Ok(()),
            Errand::Client if entry.is_swallowed() => return Ok(()),
            Errand::Client => {}
        }
        let is_plain = |p: &Arc<Prepared>| !p.disagrees() && p.outputs(entry.statement).is_none();
        if !entry.prepared.as_ref().is_none_or(is_plain) {
            return self.fail_front(rows::origins_disagree());
        }
        self.to_client.extend_from_slice(frame);
        Ok(())
    }

    /// A value of the front's result does not open.
    pub(super) fn cannot_open(&mut self, error: ClientError, tools: &Tools<'_>) -> Result<(), End> {
        tools.metrics.open_failures.increment(1);
        tracing::error!(
            code = error.code.as_str(),
            detail = error.detail.as_deref().unwrap_or_default(),
            "a value cannot be opened"
        );
        self.fail_front(error)
    }

    /// A value of the front's result cannot be given. The client gets an error in its place where that leaves
    /// server and client in the same state; otherwise the outcome is past recalling and the session ends.
    pub(super) fn fail_front(&mut self, error: ClientError) -> Result<(), End> {
        let Some(entry) = self.queue.front() else { return Ok(()) };
        let plan = entry.prepared.as_ref().and_then(|p| p.plan.as_ref());
        let single = match plan.map(|p| p.statements.as_slice()) {
            Some([statement]) => Some(statement),
            _ => None,
        };
        let alone = match self.status {
            TransactionStatus::Idle => entry.first && single.is_some_and(|s| s.read_only),
            TransactionStatus::Open => single.is_some(),
            TransactionStatus::Failed => false,
        };
        let is_query = entry.kind == Kind::Query;
        let (mut last, mut synced) = (true, is_query);
        for behind in self.queue.behind_front() {
            match behind.kind {
                Kind::Sync if !synced => synced = true,
                Kind::Execute | Kind::Query | Kind::FunctionCall => last = false,
                Kind::Sync
                | Kind::Parse
                | Kind::Bind
                | Kind::DescribeStatement
                | Kind::DescribePortal
                | Kind::Close => last &= !synced,
            }
        }
        if !alone || !last {
            return Err(ClientError { severity: Severity::Fatal, ..error }.into());
        }
        backend::write_error(&mut self.to_client, &error);
        if !is_query {
            // What follows up to Sync would have been discarded after this error.
            for behind in self.queue.behind_front() {
                if behind.kind == Kind::Sync {
                    break;
                }
                behind.failed = true;
            }
            if !synced {
                self.skipping = true;
            }
        }
        if self.status == TransactionStatus::Open {
            self.poison = Some(false);
        }
        if let Some(front) = self.queue.front_mut() {
            front.failed = true;
        }
        Ok(())
    }

    fn notice(&mut self, body: &[u8], frame: &[u8], tools: &mut Tools<'_>) -> Result<(), End> {
        if self.queue.front().is_some_and(|e| e.errand != Errand::Client) {
            return Ok(());
        }
        self.pass_notice(b'N', body, frame, tools)
    }

    /// An ErrorResponse or NoticeResponse of the server's own.
    fn pass_notice(&mut self, tag: u8, body: &[u8], frame: &[u8], tools: &mut Tools<'_>) -> Result<(), End> {
        let prepared = self.queue.front().and_then(|e| e.prepared.clone());
        let schema = self.knowledge.schema().cloned();
        let classes =
            || schema.iter().flat_map(|s| s.sealed_columns()).map(|(_, class)| class.clone()).collect();
        let mut values = Values::new(tools, &self.settings, &mut self.scratch);
        let out = &mut self.to_client;
        let copy = self.copy.as_ref();
        if !errors::rewrite(tag, body, prepared.as_deref(), copy, classes, &mut values, out)? {
            self.to_client.extend_from_slice(frame);
        }
        self.note_opened(Within::Error, 0);
        Ok(())
    }

    fn error(&mut self, body: &[u8], frame: &[u8], tools: &mut Tools<'_>) -> Result<(), End> {
        let errors::Told { code, message, fatal } = errors::told(body).map_err(broken)?;
        let Some(entry) = self.queue.front_mut() else {
            // Of its own accord: a shutdown, a timeout.
            self.to_client.extend_from_slice(frame);
            return Ok(());
        };
        let (kind, errand, failed) = (entry.kind, entry.errand, entry.failed);
        let is_lock = errand == Errand::Lock || entry.is_locking();
        let (names, statement) = (entry.names.clone(), entry.statement);
        match (entry.stand_in.take(), errand) {
            // The end of the session is the client's business whatever it interrupts.
            _ if fatal => self.pass_notice(b'E', body, frame, tools)?,
            (_, Errand::Knowledge(_)) => {
                tools.metrics.catalog_load_failures.increment(1);
                self.knowledge_failed(&code, &message);
            }
            (_, Errand::Poison) => {}
            (Some(stand_in), _) if stand_in.expected.contains(&&*code) => {
                let failed = self.status == TransactionStatus::Failed && !stand_in.always;
                let error = if failed { in_failed_transaction() } else { stand_in.error };
                backend::write_error(&mut self.to_client, &error);
            }
            // The result that was cut short has been answered already.
            _ if failed => {}
            (_, Errand::Client | Errand::Lock) if is_lock && Change::is_fenced_off(&code) => {
                tracing::info!(
                    "a statement came to a table whose columns' types have changed since it was analysed"
                );
                self.knowledge.is_outdated();
                backend::write_error(&mut self.to_client, &types_changed());
            }
            (_, Errand::Client | Errand::Verify | Errand::Lock) => {
                self.pass_notice(b'E', body, frame, tools)?;
            }
        }
        self.copying_in = false;
        self.copy = None;
        if let Some(names) = names {
            self.names_stay(&names, statement);
        }
        if kind.skips_to_sync() {
            let (undo, names) = self.queue.discard_to_sync();
            undo.into_iter().for_each(|undo| self.undo(undo));
            names.iter().for_each(|names| self.names_stay(names, 0));
            if self.queue.is_empty() {
                // Without a Sync it discards what comes next as well, a Query among it.
                self.skipping = true;
                self.knowledge.flight_discarded();
            }
        }
        Ok(())
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Statement(name, Some(before)) => drop(self.statements.insert(name, before)),
            Undo::Statement(name, None) => {
                // The client may go on to bind what was not prepared.
                if self.statements.remove(&name).is_some_and(|p| p.plan.is_some()) {
                    self.void_names([String::from_utf8_lossy(&name).into_owned()]);
                }
            }
            Undo::Portal(name, Some(before)) => drop(self.portals.insert(name, before)),
            Undo::Portal(name, None) => drop(self.portals.remove(&name)),
        }
    }

    fn ready(&mut self, body: &[u8], frame: &[u8], tools: &mut Tools<'_>) -> Result<(), End> {
        let status = TransactionStatus::read(body).map_err(broken)?;
        let entry = self.queue.pop().ok_or_else(|| out_of_step("ReadyForQuery that nobody waits for"))?;
        if !matches!(entry.kind, Kind::Query | Kind::Sync | Kind::FunctionCall) {
            return Err(out_of_step("ReadyForQuery before the replies that are due"));
        }
        self.copying_in = false;
        self.copy = None;
        self.status = status;
        match entry.errand {
            Errand::Knowledge(_) => {
                if self.roll_back_flight(status) {
                    return Ok(());
                }
                return self.end_flight();
            }
            Errand::Poison => self.poison = None,
            Errand::Client | Errand::Verify | Errand::Lock => {
                if status == TransactionStatus::Idle {
                    self.knowledge.transaction_ended();
                    if self.queue.is_empty() && !self.unsynced {
                        self.portals.retain(|_, portal| portal.is_held);
                    }
                }
                match self.poison {
                    Some(false) if status == TransactionStatus::Open => {
                        self.poison = Some(true);
                        self.poison_block();
                        return Ok(());
                    }
                    _ => self.poison = None,
                }
            }
        }
        if status != TransactionStatus::Idle || !self.announce(tools) {
            self.to_client.extend_from_slice(frame);
        }
        Ok(())
    }
}
