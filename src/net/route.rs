//! To which of the server's addresses a session goes.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::BytesMut;
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use super::leg::Leg;
use super::tls::UpstreamError;
use super::{Config, Endpoint, Worker};
use crate::error::{ClientError, SqlState};
use crate::session::Target;

/// What was last seen of each address: whether it is a standby, and when. It only orders them: each session finds out for
/// itself.
pub(super) struct Seen(Mutex<Vec<Option<(bool, Instant)>>>);

/// A session's way through the addresses.
pub(super) struct Route {
    order: std::vec::IntoIter<usize>,
    /// What the server has to be.
    pub(super) target: Target,
    /// Where it is connected to, or was.
    at: Option<usize>,
    /// Why not where it was before.
    unsuited: Option<ClientError>,
}

/// A connection to the server, and the certificate that it has shown.
pub(super) type Reached = (Leg, Option<CertificateDer<'static>>);

impl Seen {
    pub(super) fn new(addresses: usize) -> Self {
        Self(Mutex::new(vec![None; addresses]))
    }

    fn note(&self, address: usize, standby: bool) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = seen.get_mut(address) {
            *place = Some((standby, Instant::now()));
        }
    }

    /// The addresses as they are listed, but last those that were not what is wanted, longest ago first.
    fn order(&self, target: Target) -> Vec<usize> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut order: Vec<usize> = (0..seen.len()).collect();
        order.sort_by_key(|i| {
            let (standby, at) = seen.get(*i).copied().flatten()?;
            (target.takes(standby) == Some(false)).then_some(at)
        });
        order
    }
}

impl Route {
    pub(super) fn new(worker: &Worker) -> Self {
        let target = worker.shared.config.target;
        let order = worker.shared.seen.order(target).into_iter();
        Self { order, target, at: None, unsuited: None }
    }

    /// Whether a session has to find out if it is where it should be.
    pub(super) fn is_choice(config: &Config) -> bool {
        config.target != Target::Any || config.upstream.len() > 1
    }

    /// The server has said whether it is a standby.
    pub(super) fn note(&self, worker: &Worker, standby: bool) {
        if let Some(address) = self.at {
            worker.shared.seen.note(address, standby);
        }
    }

    /// The server that was reached is not the right one. What the client is told, if it cannot be taken to another one.
    pub(super) fn unsuited(
        &mut self,
        worker: &Worker,
        error: ClientError,
        may_go_on: bool,
    ) -> Option<ClientError> {
        if may_go_on {
            self.unsuited = Some(error);
            return None;
        }
        if worker.shared.config.upstream.len() == 1 {
            return Some(error);
        }
        Some(
            error
                .with_detail(
                    "The client has proved who it is to that server, and cannot be asked again for another one.",
                )
                .with_hint(
                    "Connect again: this server comes last now. With --auth terminate the proxy goes on to the others \
                     by itself.",
                ),
        )
    }

    /// Connects to the next address that can be connected to. Where a standby was only to be preferred, any server will do
    /// after the last one.
    pub(super) async fn reach(&mut self, worker: &Worker) -> Result<Reached, ClientError> {
        let mut last = None;
        loop {
            let Some(i) = self.order.next() else {
                if self.target != Target::PreferStandby {
                    return Err(self
                        .unsuited
                        .take()
                        .unwrap_or_else(|| unreachable(&last.unwrap_or(UpstreamError::Unanswered))));
                }
                self.target = Target::Any;
                self.order = worker.shared.seen.order(self.target).into_iter();
                continue;
            };
            let Some(address) = worker.shared.config.upstream.get(i) else { continue };
            match reach(worker, address).await {
                Ok(reached) => {
                    self.at = Some(i);
                    return Ok(reached);
                }
                Err(error) => {
                    tracing::warn!(%address, %error, "a server cannot be reached");
                    last = Some(error);
                }
            }
        }
    }
}

/// Connects to one address.
pub(super) async fn reach(worker: &Worker, address: &Endpoint) -> Result<Reached, UpstreamError> {
    let config = &worker.shared.config;
    let connected = timeout(config.limits.connect, address.connect()).await;
    let mut socket = connected.map_err(|_| UpstreamError::Unanswered)??;
    let secured = config.tls.upstream.secure(&mut socket, address).await;
    if config.tls.upstream.is_on() {
        config.metrics.server_handshakes.count(&secured);
    }
    let mut leg = Leg::new(socket);
    let mut certificate = None;
    if let Some(connection) = secured? {
        let shown = connection.peer_certificates().and_then(<[_]>::first);
        certificate = shown.map(|shown| shown.clone().into_owned());
        leg.secure(connection)?;
    }
    Ok((leg, certificate))
}

/// Takes leave of a server that is not the right one, as far as it can be done without waiting.
pub(super) fn leave(mut server: Leg) {
    let _ = server.write(&mut BytesMut::from(&b"X\0\0\0\x04"[..]));
}

/// What a client is told of a server that cannot be reached in time.
pub(super) fn unreachable(error: &UpstreamError) -> ClientError {
    tracing::error!(%error, "the server cannot be reached");
    let told = ClientError::fatal(SqlState::UNABLE_TO_CONNECT, "the proxy cannot reach the server")
        .with_hint(error.hint());
    match error {
        // What the system says of a host that cannot be reached is for the log.
        UpstreamError::Lost(_) => told,
        error => told.with_detail(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_were_not_what_is_wanted_come_last_and_the_latest_of_them_at_the_end() {
        let seen = Seen::new(4);
        assert_eq!(seen.order(Target::Primary), [0, 1, 2, 3]);
        seen.note(2, true);
        seen.note(0, true);
        seen.note(1, false);
        for (target, order) in [
            (Target::Any, [0, 1, 2, 3]),
            (Target::Primary, [1, 3, 2, 0]),
            (Target::ReadWrite, [1, 3, 2, 0]),
            (Target::Standby, [0, 2, 3, 1]),
            (Target::PreferStandby, [0, 2, 3, 1]),
            // A primary's sessions may be read-only too.
            (Target::ReadOnly, [0, 1, 2, 3]),
        ] {
            assert_eq!(seen.order(target), order, "{target:?}");
        }
        seen.note(2, true);
        assert_eq!(seen.order(Target::Primary), [1, 3, 0, 2]);
    }
}
