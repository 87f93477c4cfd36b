//! Where the time of slow statements goes: from the client's first message to the answer that makes it ready for the
//! next. The clock is the shell's; without a stopwatch nothing is measured.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Session;
use super::plans::Prepared;
use super::trail::digest;
use crate::sql::Verdict;

/// What the proxy itself does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Analysis,
    Sealing,
    Opening,
}

/// What took as long as somebody wants to know of. It holds no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slow {
    /// From the first message to the last answer.
    pub total: Duration,
    /// Of that, for the client's next message, or until it took what was due to it.
    pub client: Duration,
    /// For verdicts.
    pub analysis: Duration,
    /// For values on their way to the server.
    pub sealing: Duration,
    /// For the server's answers.
    pub server: Duration,
    /// For values on their way to the client.
    pub opening: Duration,
    /// So many statements; what follows is of the last one.
    pub statements: u32,
    /// The digest of its shape.
    pub statement: Option<String>,
    /// What became of it.
    pub verdict: &'static str,
    /// What the server has carried out.
    pub tag: String,
}

/// Measures one client's statements.
#[derive(Debug)]
pub(super) struct Stopwatch {
    clock: fn() -> Instant,
    limit: Duration,
    begun: Option<Instant>,
    /// When the machine last had nothing more to do.
    left: Option<Instant>,
    /// In the order of [`Part`].
    parts: [Cell<Duration>; 3],
    client: Duration,
    server: Duration,
    statements: u32,
    text: Option<Arc<str>>,
    verdict: &'static str,
    tag: String,
}

impl Session {
    /// From here on, time is taken; what takes as long as `limit` is told by [`Self::leave`].
    pub fn watch(&mut self, limit: Duration, clock: fn() -> Instant) {
        self.stopwatch = Some(Box::new(Stopwatch {
            clock,
            limit,
            begun: None,
            left: None,
            parts: [const { Cell::new(Duration::ZERO) }; 3],
            client: Duration::ZERO,
            server: Duration::ZERO,
            statements: 0,
            text: None,
            verdict: "",
            tag: String::new(),
        }));
    }

    /// The machine is about to take what has come. `is_asked`: there is something of the client.
    pub fn enter(&mut self, now: Instant, is_asked: bool) {
        // Before its Sync, the server answers only when it likes.
        let waits_for_client =
            self.queue.is_empty() || self.unsynced || self.copying_in || !self.to_client.is_empty();
        let Some(watch) = &mut self.stopwatch else { return };
        if watch.begun.is_none() && is_asked {
            watch.begun = Some(now);
        } else if let Some(left) = watch.left {
            let waited = now.saturating_duration_since(left);
            *if waits_for_client { &mut watch.client } else { &mut watch.server } += waited;
        }
    }

    /// It has taken what it could; `is_asked`: there is more of the client. Gives what is over and was slow.
    pub fn leave(&mut self, now: Instant, is_asked: bool) -> Option<Slow> {
        let is_over = !is_asked && self.rest().is_some();
        let watch = self.stopwatch.as_mut()?;
        watch.left = watch.begun.map(|_| now);
        let begun = watch.begun.filter(|_| is_over)?;
        let (limit, clock) = (watch.limit, watch.clock);
        let over = self.stopwatch.take()?;
        self.watch(limit, clock);
        let total = now.saturating_duration_since(begun);
        let [analysis, sealing, opening] = over.parts.each_ref().map(Cell::get);
        (total >= limit).then(|| Slow {
            total,
            client: over.client,
            analysis,
            sealing,
            server: over.server,
            opening,
            statements: over.statements,
            statement: over.text.as_deref().map(digest),
            verdict: over.verdict,
            tag: over.tag,
        })
    }

    /// The time, if it is taken.
    pub(super) fn timer(&self) -> Option<Instant> {
        self.stopwatch.as_ref().map(|watch| (watch.clock)())
    }

    /// What was begun at that time is done.
    pub(super) fn spent(&self, part: Part, since: Option<Instant>) {
        let (Some(watch), Some(since)) = (&self.stopwatch, since) else { return };
        let [analysis, sealing, opening] = &watch.parts;
        let spent = match part {
            Part::Analysis => analysis,
            Part::Sealing => sealing,
            Part::Opening => opening,
        };
        spent.set(spent.get() + (watch.clock)().saturating_duration_since(since));
    }

    pub(super) fn saw_verdict(&mut self, text: &str, verdict: &Verdict) {
        let Some(watch) = &mut self.stopwatch else { return };
        watch.statements += 1;
        watch.text = Some(text.into());
        watch.verdict = match verdict {
            Verdict::Forward(_) => "forward",
            Verdict::Rewrite(_) => "rewrite",
            Verdict::Refuse(_) => "refuse",
        };
    }

    pub(super) fn saw_bound(&mut self, prepared: &Prepared) {
        let Some(watch) = &mut self.stopwatch else { return };
        // One that was parsed in the same breath is no other.
        if watch.text.as_ref().is_none_or(|text| **text != *prepared.text) {
            watch.statements += 1;
            watch.text = Some(prepared.text.clone());
        }
        watch.verdict = if prepared.plan.is_some() { "rewrite" } else { "forward" };
    }

    /// The words of a CommandComplete, which name no object.
    pub(super) fn saw_tag(&mut self, body: &[u8]) {
        let Some(watch) = &mut self.stopwatch else { return };
        let text = String::from_utf8_lossy(body);
        let words = text.split([' ', '\0']).take_while(|word| word.bytes().all(|b| b.is_ascii_uppercase()));
        watch.tag = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    }
}
