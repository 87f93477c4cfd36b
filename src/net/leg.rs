//! One side's socket, with TLS over it or without.

use std::io::{self, BufRead as _, IoSlice, Write};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::socket::{Reader, Socket, Writer};
use crate::session::HIGH_WATER;

/// The least and the most room that is made for one read. An idle session holds the least of it, twice.
const MIN_ROOM: usize = 4 * 1024;
const MAX_ROOM: usize = 64 * 1024;

/// A socket with what was read from it and not yet taken.
pub(super) struct Leg {
    pub(super) socket: Socket,
    /// What the peer has said, decrypted.
    pub(super) input: BytesMut,
    /// False once the peer has closed.
    pub(super) open: bool,
    tls: Option<Box<Channel>>,
    room: usize,
}

/// TLS over a socket, after its handshake.
struct Channel {
    connection: rustls::Connection,
    /// Read from the socket and not yet decrypted.
    sealed: BytesMut,
}

/// The reading half of a leg. The other is there to wait until the socket takes more.
pub(super) struct Reading<'a> {
    socket: Reader<'a>,
    tls: Option<&'a mut Channel>,
    input: &'a mut BytesMut,
}

impl Leg {
    pub(super) fn new(socket: Socket) -> Self {
        socket.prepare();
        Self { socket, input: BytesMut::new(), open: true, tls: None, room: MIN_ROOM }
    }

    /// From here on all bytes go through TLS, whose handshake has been done over the socket.
    pub(super) fn secure(&mut self, connection: impl Into<rustls::Connection>) -> io::Result<()> {
        let mut channel = Channel { connection: connection.into(), sealed: BytesMut::new() };
        // What came in one piece with the end of the handshake.
        self.open = channel.decrypt(&mut self.input)?;
        self.tls = Some(Box::new(channel));
        Ok(())
    }

    /// Makes room for the next read: little for a session that says little, more while reads fill it.
    pub(super) fn make_room(&mut self) {
        if self.input.is_empty() && self.input.capacity() > 2 * self.room {
            self.input = BytesMut::new();
        }
        match &mut self.tls {
            None => self.input.reserve(self.room),
            Some(channel) => channel.make_room(self.room),
        }
    }

    /// Both halves, to wait for at the same time.
    pub(super) fn split(&mut self) -> (Reading<'_>, Writer<'_>) {
        let (socket, writing) = self.socket.split();
        (Reading { socket, tls: self.tls.as_deref_mut(), input: &mut self.input }, writing)
    }

    /// Notes how much a read gave. A closed or lost connection closes the leg: its peer is told by ours
    /// closing.
    pub(super) fn has_read(&mut self, read: io::Result<usize>) {
        match read {
            Ok(n) if n >= self.room => self.room = (2 * self.room).min(MAX_ROOM),
            Ok(n) if n < self.room / 8 => self.room = (self.room / 2).max(MIN_ROOM),
            _ => {}
        }
        self.open = read.is_ok_and(|n| n > 0);
    }

    /// Sends from the front of `out` what the socket takes now. True: nothing is left to send.
    pub(super) fn write(&mut self, out: &mut BytesMut) -> io::Result<bool> {
        let done = match &mut self.tls {
            None => write_plain(&self.socket, out)?,
            Some(channel) => channel.write(&self.socket, out)?,
        };
        // A buffer that one large frame has made long is not kept by an idle session.
        if done && out.capacity() > 2 * HIGH_WATER {
            *out = BytesMut::new();
        }
        Ok(done)
    }

    /// Sends all of `out`, however long the peer takes.
    pub(super) async fn write_all(&mut self, out: &mut BytesMut) -> io::Result<()> {
        while !self.write(out)? {
            self.socket.writable().await?;
        }
        Ok(())
    }

    /// Tells the peer that nothing more will come.
    pub(super) async fn shut_down(&mut self) -> io::Result<()> {
        if let Some(channel) = &mut self.tls {
            channel.connection.send_close_notify();
            self.write_all(&mut BytesMut::new()).await?;
        }
        self.socket.shutdown().await
    }

    /// Reads what the peer still says until it closes, and drops it.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        let mut rest = [0; 4096];
        while self.socket.read(&mut rest).await? > 0 {}
        Ok(())
    }
}

impl Reading<'_> {
    /// Reads what there is into the leg's input, and gives how many bytes came: 0 if the peer has closed. Nothing is
    /// lost if it is dropped before it is done.
    pub(super) async fn read(mut self) -> io::Result<usize> {
        let Some(channel) = self.tls else { return self.socket.read_buf(self.input).await };
        let n = self.socket.read_buf(&mut channel.sealed).await?;
        Ok(if n > 0 && channel.decrypt(self.input)? { n } else { 0 })
    }
}

impl Channel {
    fn make_room(&mut self, room: usize) {
        if self.sealed.is_empty() && self.sealed.capacity() > 2 * room {
            self.sealed = BytesMut::new();
        }
        self.sealed.reserve(room);
    }

    /// Decrypts all that was read. False if the peer has said that nothing more will come.
    fn decrypt(&mut self, input: &mut BytesMut) -> io::Result<bool> {
        loop {
            let mut sealed: &[u8] = &self.sealed;
            let taken = if sealed.is_empty() { 0 } else { self.connection.read_tls(&mut sealed)? };
            self.sealed.advance(taken);
            let state = self.connection.process_new_packets().map_err(io::Error::other)?;
            let mut left = state.plaintext_bytes_to_read();
            let closed = state.peer_has_closed();
            input.reserve(left);
            let mut reader = self.connection.reader();
            while left > 0 {
                let chunk = reader.fill_buf()?;
                let n = chunk.len();
                input.extend_from_slice(chunk);
                reader.consume(n);
                left = left.saturating_sub(n.max(1));
            }
            if closed || taken == 0 {
                return Ok(!closed);
            }
        }
    }

    /// Encrypts and sends from the front of `out` what the socket takes now. True: nothing is left to send.
    fn write(&mut self, socket: &Socket, out: &mut BytesMut) -> io::Result<bool> {
        loop {
            while self.connection.wants_write() {
                match self.connection.write_tls(&mut Ready(socket)) {
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(e) => return Err(e),
                }
            }
            if out.is_empty() {
                return Ok(true);
            }
            // The library keeps up to a limit of its own, and what it has kept has just been sent.
            let taken = self.connection.writer().write(out)?;
            out.advance(taken);
        }
    }
}

fn write_plain(socket: &Socket, out: &mut BytesMut) -> io::Result<bool> {
    while !out.is_empty() {
        match socket.try_write(out) {
            Ok(n) => out.advance(n),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

/// A socket that takes what it can take now.
struct Ready<'a>(&'a Socket);

impl Write for Ready<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
