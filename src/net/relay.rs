//! One session's two sockets.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use tokio::time::{timeout, timeout_at};

use super::catalogs::Subscription;
use super::leg::Leg;
use super::limits::{Deadline, Silence};
use super::route::{self, Route};
use super::socket::Socket;
use super::tls::{self, Tls, UpstreamError};
use super::{Endpoint, Stage, Worker, auth};
use crate::audit::{Audit, NotWritten, Record};
use crate::error::{ClientError, SqlState};
use crate::session::{ClientTls, Event, Opened, ServerLink, Session, Slow, Tools};

/// How long a session that has ended may take to send what is left.
const LINGER: Duration = Duration::from_secs(5);

/// A process that does not come to its sockets for so long has been stopped.
const STOPPED: Duration = Duration::from_millis(250);
/// So often a session with something to send looks whether it goes on.
const LOOK: Duration = Duration::from_millis(100);

/// The first byte of a TLS handshake: a client that begins with it has not asked for TLS, but takes it for granted.
const TLS_FIRST: u8 = 0x16;

/// Runs a session to its end.
pub(super) async fn run(client: Socket, id: u64, worker: &Worker) -> io::Result<()> {
    let config = &worker.shared.config;
    let mode = if client.is_local() { ClientTls::Off } else { config.tls.client.mode() };
    let mut session = Session::new(worker.policy.borrow().clone(), mode);
    session.set_lease(config.lease);
    session.limit_messages(config.limits.message);
    if let Some(auth) = &config.auth {
        session.terminate(auth.method);
    }
    if config.audit.is_some() {
        session.keep_trail();
    }
    if let Some(limit) = config.slow {
        session.watch(limit, Instant::now);
    }
    let mut route = Route::new(worker);
    if Route::is_choice(config) {
        session.choose(route.target);
    }
    let from = client.peer();
    tracing::debug!(client = ?from, "a session begins");
    let mut user = String::new();
    let mut client = Leg::new(client);
    let mut deadline = Deadline::after(config.limits.authentication);
    let mut shown = None;
    if mode != ClientTls::Off
        && timeout_at(deadline.at(), begins_with_tls(&client.socket)).await.map_err(io::Error::from)??
    {
        shown = Some(encrypt(&mut client, &mut session, worker, true).await?);
    }
    let mut server: Option<Leg> = None;
    let mut catalog: Option<Subscription> = None;
    let mut goodbye = false;
    let mut silence = Silence::default();
    let mut changed = std::pin::pin!(worker.changed.notified());
    // When the machine, or the socket, was last seen at work on what is due to the server.
    let mut at_work = Instant::now();
    // Held until the session is over.
    let mut place = None;
    'turn: loop {
        if let Some(news) = catalog.as_mut().and_then(Subscription::news) {
            session.offer(&news);
        }
        if session.to_server().is_empty() {
            session.is_sent();
            at_work = Instant::now();
        }
        let due = session.to_client().len();
        step(&mut session, &mut client, server.as_mut(), worker);
        if let Some(audit) = config.audit.as_ref().filter(|_| session.has_opened()) {
            let written = write_down(audit, &mut session, id, from);
            if written.is_err() {
                // All that this step has added, for the values are in it.
                session.to_client().truncate(due);
                session.fail(withheld());
            }
        }
        session.use_policy(&worker.policy.borrow());
        if session.is_ready() {
            deadline.meet();
            silence.note(session.rest(), &config.limits);
        }
        if is_over(worker.stage.get(), &session) {
            let message = "terminating connection due to administrator command";
            session.fail(ClientError::fatal(SqlState::ADMIN_SHUTDOWN, message));
        }
        while let Some(event) = session.take_event() {
            match event {
                Event::Cancel(packet) => return cancel(client, &packet, worker).await,
                Event::Handshake => {
                    client.write_all(session.to_client()).await?;
                    shown = Some(encrypt(&mut client, &mut session, worker, false).await?);
                    // The startup packet may have come with the end of the handshake.
                    continue 'turn;
                }
                Event::Login(name) => {
                    user = name;
                    recognize(&mut session, worker, &user, from, &deadline).await;
                    continue 'turn;
                }
                Event::Judged(accepted) => {
                    config.metrics.logins.count(accepted);
                    if let Some(auth) = &config.auth {
                        auth.note(&user, from, accepted);
                    }
                }
                Event::Standby(standby) => route.note(worker, standby),
                Event::Unsuited { error, may_go_on } => {
                    server.take().into_iter().for_each(route::leave);
                    let next = match route.unsuited(worker, error, may_go_on) {
                        Some(error) => Err(error),
                        None => auth::nonce(),
                    };
                    match next {
                        Ok(nonce) => session.greet_another(nonce),
                        Err(error) => session.fail(error),
                    }
                }
                Event::Schema(version) => {
                    if let Some(database) = session.database() {
                        config.metrics.catalog_was_read(database, version.read_at);
                    }
                    if let Some(catalog) = &catalog {
                        catalog.publish(version);
                    }
                }
            }
        }
        // The server is called when there is something to say to it, so a probe of the port costs it nothing.
        if server.is_none() && !session.to_server().is_empty() {
            if catalog.is_none() {
                catalog = session.database().map(|d| worker.shared.catalogs.subscribe(d));
            }
            // It goes with the session, which may be at its second server.
            place = place.or_else(|| worker.shared.places.take());
            if place.is_none() {
                config.metrics.sessions_refused.increment(1);
                session.fail(ClientError::fatal(
                    SqlState::TOO_MANY_CONNECTIONS,
                    "sorry, too many clients already",
                ));
            } else {
                let reached = timeout_at(deadline.at(), route.reach(worker)).await;
                match reached.unwrap_or_else(|_| Err(route::unreachable(&UpstreamError::Unanswered))) {
                    Ok((leg, certificate)) => {
                        if Route::is_choice(config) {
                            session.choose(route.target);
                        }
                        let end_point = end_point(worker, certificate.as_ref());
                        session.linked(link(shown.as_ref(), certificate.as_ref()), end_point);
                        server = Some(leg);
                    }
                    Err(error) => session.fail(error),
                }
            }
        }
        if !session.to_server().is_empty() {
            let now = Instant::now();
            if now.duration_since(at_work) > STOPPED && session.is_overdue(now) {
                session.to_server().clear();
                let message =
                    "terminating connection because the proxy was stopped for longer than its catalog holds";
                session.fail(ClientError::fatal(SqlState::CONNECTION_FAILURE, message));
            }
            at_work = now;
        }
        let was_full = session.is_full();
        let client_written = client.write(session.to_client())?;
        let server_written = match &mut server {
            Some(leg) => leg.write(session.to_server()).unwrap_or_else(|_| {
                // A server that has closed may have said why: that is still read.
                session.to_server().clear();
                true
            }),
            None => true,
        };
        // A side has gone when it has closed and the machine has taken all that it had said.
        let client_gone = !client.open && !session.is_stalled() && !was_full;
        let server_gone = server.as_ref().is_none_or(|s| !s.open) && !was_full;
        if session.has_ended() || (server_gone && (server.is_some() || client_gone)) {
            return finish(session, client, server).await;
        }
        if let Some(leg) = server.as_mut().filter(|_| client_gone && server_written && !goodbye) {
            // The server is told by its own connection's end, and may answer what it has been asked before it
            // closes, as to a client that has closed its side only.
            goodbye = true;
            let _ = leg.shut_down().await;
        }
        if was_full && !session.is_full() {
            // What was held back can go on without waiting for a socket.
            continue;
        }
        let wants_client = session.wants_client() && client.open;
        let wants_server = session.wants_server() && server.as_ref().is_some_and(|s| s.open);
        client.make_room();
        let Some(server) = &mut server else {
            tokio::select! {
                read = client.split().0.read() => client.has_read(read),
                () = deadline.passed() => {
                    // As PostgreSQL does: who has not begun is not talked to.
                    tracing::info!("a client has not begun in time");
                    return Ok(());
                }
                () = changed.as_mut() => changed.set(worker.changed.notified()),
            }
            continue;
        };
        if !wants_client && !wants_server && client_written && server_written {
            return finish(session, client, None).await;
        }
        server.make_room();
        // Reading through the halves tells tokio when a socket was emptied, so it is not tried again in vain.
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            read = from_client.read(), if wants_client => client.has_read(read),
            read = from_server.read(), if wants_server => server.has_read(read),
            ready = to_client.writable(), if !client_written => ready?,
            ready = to_server.writable(), if !server_written => ready?,
            () = tokio::time::sleep(LOOK), if !server_written => {}
            error = silence.passed(), if silence.is_limited() => session.fail(error),
            () = deadline.passed(), if !session.is_ready() => {
                tracing::info!("a client was not let in in time");
                session.fail(late());
            }
            () = changed.as_mut() => changed.set(worker.changed.notified()),
        }
    }
}

/// Whether a session ends now because the proxy does.
fn is_over(stage: Stage, session: &Session) -> bool {
    match stage {
        Stage::Serving => false,
        Stage::Draining => !session.has_ended() && (session.is_idle() || !session.is_ready()),
        Stage::Ending => !session.has_ended(),
    }
}

/// Whether a client begins with a TLS handshake. Its bytes are left where they are.
async fn begins_with_tls(socket: &Socket) -> io::Result<bool> {
    Ok(socket.peek().await? == Some(TLS_FIRST))
}

/// Does the TLS handshake with a client, and gives the certificate that it was shown.
async fn encrypt(
    client: &mut Leg,
    session: &mut Session,
    worker: &Worker,
    direct: bool,
) -> io::Result<CertificateDer<'static>> {
    let config = &worker.shared.config;
    let accepted = config.tls.client.accept(&mut client.socket, direct).await;
    config.metrics.client_handshakes.count(&accepted);
    let accepted = accepted.map_err(|error| {
        tracing::info!(%error, "a client could not be connected");
        io::Error::other(error)
    })?;
    client.secure(accepted.connection)?;
    session.secured(accepted.names, end_point(worker, Some(&accepted.certificate)));
    Ok(accepted.certificate)
}

/// Tells the machine what is known of a user who wants to come in, or that nobody may now.
async fn recognize(
    session: &mut Session,
    worker: &Worker,
    user: &str,
    from: Option<IpAddr>,
    deadline: &Deadline,
) {
    let config = &worker.shared.config;
    let Some(auth) = &config.auth else { return };
    if let Err(error) = auth.admit(user, from) {
        config.metrics.logins.too_many.increment(1);
        return session.fail(error);
    }
    match timeout_at(deadline.at(), auth.account(user)).await {
        Ok(Ok(account)) => session.recognized(account),
        Ok(Err(error)) => session.fail(error),
        Err(_) => session.fail(late()),
    }
}

/// What the proxy's own authentication may be bound to.
fn end_point(worker: &Worker, certificate: Option<&CertificateDer<'_>>) -> Option<Vec<u8>> {
    worker.shared.config.auth.as_ref().and(certificate).and_then(tls::server_end_point)
}

fn late() -> ClientError {
    ClientError::fatal(SqlState::QUERY_CANCELED, "canceling authentication due to timeout")
}

/// What SCRAM may be bound to, by the certificates of both sides.
fn link(shown: Option<&CertificateDer<'_>>, seen: Option<&CertificateDer<'_>>) -> ServerLink {
    match (shown, seen) {
        (_, None) => ServerLink::Plain,
        (Some(shown), Some(seen)) if shown == seen => ServerLink::SameCertificate,
        (_, Some(_)) => ServerLink::Encrypted,
    }
}

/// Lets the machine take what is there from both sides, until neither makes way for the other.
fn step(session: &mut Session, client: &mut Leg, mut server: Option<&mut Leg>, worker: &Worker) {
    let begun = Instant::now();
    let is_timed = worker.shared.config.slow.is_some();
    if is_timed {
        session.enter(begun, !client.input.is_empty());
    }
    let waiting = |client: &Leg, server: Option<&Leg>| {
        (client.input.len(), server.map_or(0, |server| server.input.len()))
    };
    let before = waiting(client, server.as_deref());
    let (mut vault, mut verdicts) = (worker.vault.borrow_mut(), worker.verdicts.borrow_mut());
    let mut tools =
        Tools { vault: &mut vault, verdicts: &mut verdicts, now: begun, metrics: &worker.metrics };
    // The server first: what waits for its answer goes on with the client's side in the same step.
    if let Some(server) = &mut server {
        session.server(&mut server.input, &mut tools);
    }
    // A client that sends on and on is between two transactions here, if anywhere.
    session.use_policy(&worker.policy.borrow());
    session.client(&mut client.input, &mut tools);
    if is_timed && let Some(slow) = session.leave(Instant::now(), !client.input.is_empty()) {
        tell(&slow);
    }
    let after = waiting(client, server.as_deref());
    if before != after {
        let (metrics, counted) = (&worker.metrics.worker, session.take_counted());
        metrics.from_client.bytes.add(taken(before.0, after.0));
        metrics.from_server.bytes.add(taken(before.1, after.1));
        metrics.from_client.messages.add(counted.client);
        metrics.from_server.messages.add(counted.server);
        metrics.verdict_bytes.set(u64::try_from(verdicts.bytes()).unwrap_or_default());
        metrics.batches.record(begun.elapsed());
    }
}

/// Writes down what was opened for the client in this step, before any of it is sent.
fn write_down(audit: &Audit, session: &mut Session, id: u64, from: Option<IpAddr>) -> Result<(), NotWritten> {
    let opened = session.take_opened();
    let (user, application) = session.client_names();
    let database = session.database().unwrap_or_default();
    let records: Vec<_> = opened
        .into_iter()
        .map(|Opened { statement, within, rows, columns }| Record {
            session: id,
            user,
            database,
            application,
            client: from,
            statement,
            within: within.as_str(),
            rows,
            columns,
        })
        .collect();
    audit.write(&records)
}

fn withheld() -> ClientError {
    let message = "encrypted values cannot be handed out, for the audit log of the proxy cannot be written";
    ClientError::fatal(SqlState::IO_ERROR, message).with_hint(
        "The proxy's own log says why. Statements that read no encrypted values can be carried out.",
    )
}

/// Tells the log of a slow statement, without a word of it.
fn tell(slow: &Slow) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    tracing::warn!(
        statement = slow.statement.as_deref().unwrap_or_default(),
        verdict = slow.verdict,
        tag = slow.tag,
        statements = slow.statements,
        total_ms = ms(slow.total),
        client_ms = ms(slow.client),
        analysis_ms = ms(slow.analysis),
        sealing_ms = ms(slow.sealing),
        server_ms = ms(slow.server),
        opening_ms = ms(slow.opening),
        "slow statement"
    );
}

/// Bytes that are gone.
fn taken(before: usize, after: usize) -> u64 {
    u64::try_from(before.saturating_sub(after)).unwrap_or_default()
}

/// Whether one of the server's addresses can be reached, with TLS if it is demanded; else why not the last.
///
/// # Errors
/// The reason.
pub async fn reaches(upstream: &[Endpoint], tls: &Tls) -> Result<(), String> {
    let mut last = Err("there is no server".to_owned());
    for address in upstream {
        let reached = timeout(LINGER, async {
            let mut socket = address.connect().await?;
            tls.upstream.secure(&mut socket, address).await.map(drop)
        });
        last = reached.await.unwrap_or(Err(UpstreamError::Unanswered)).map_err(|error| error.to_string());
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Passes a CancelRequest on, to each of the server's addresses: any may have the session, and only that one knows the
/// key. The server answers by closing; what comes of it the other session sees.
async fn cancel(mut client: Leg, packet: &[u8], worker: &Worker) -> io::Result<()> {
    for address in &worker.shared.config.upstream {
        match route::reach(worker, address).await {
            Ok((mut server, _)) => {
                server.write_all(&mut packet.into()).await?;
                // The client waits for our closing to know that the request has been dealt with. Nothing is said of our
                // side's end before: PgBouncer forgets the request of a client that has gone.
                let _ = timeout(LINGER, server.drain()).await;
                let _ = server.shut_down().await;
            }
            Err(error) => tracing::error!(%error, "the server cannot be reached to cancel a statement"),
        }
    }
    timeout(LINGER, client.shut_down()).await.unwrap_or(Ok(()))
}

/// Sends what is left to both sides, and closes them.
async fn finish(mut session: Session, mut client: Leg, server: Option<Leg>) -> io::Result<()> {
    let mut to_server = std::mem::take(session.to_server());
    let last_words = async {
        if let Some(mut server) = server.filter(|s| s.open)
            && server.write_all(&mut to_server).await.is_ok()
        {
            server.shut_down().await?;
            // Closing with unread replies would reset the connection, and the server might lose what it has
            // not read yet.
            server.drain().await?;
        }
        Ok::<_, io::Error>(())
    };
    let mut to_client = std::mem::take(session.to_client());
    let goodbye = async {
        if client.open {
            client.write_all(&mut to_client).await?;
            client.shut_down().await?;
            // The same for a client that is still sending.
            client.drain().await?;
        }
        Ok::<_, io::Error>(())
    };
    let (server_done, client_done) = tokio::join!(timeout(LINGER, last_words), timeout(LINGER, goodbye));
    server_done.unwrap_or(Ok(()))?;
    client_done.unwrap_or(Ok(()))
}
