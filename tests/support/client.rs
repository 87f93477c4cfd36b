//! A raw client: it sends whatever bytes a test wants to send and shows the frames that come back.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How long a test waits for a frame before it fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// A message from the server: its type and its body, the length taken off.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub tag: u8,
    pub body: Vec<u8>,
}

/// A column of a RowDescription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub table: u32,
    pub attribute: i16,
    pub oid: u32,
    pub length: i16,
    pub modifier: i32,
    pub format: i16,
}

/// A blocking connection that reads and writes frames.
pub struct RawClient {
    stream: Stream,
    /// The body of BackendKeyData, for CancelRequest.
    pub key: Vec<u8>,
    /// ParameterStatus as last reported at startup.
    pub parameters: Vec<(String, String)>,
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// What frames go through.
enum Stream {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl RawClient {
    /// Connects and goes through startup by trust; panics with the server's error otherwise.
    pub fn connect(address: SocketAddr, user: &str, database: &str) -> Self {
        Self::connect_with(address, &[("user", user), ("database", database)])
    }

    /// The same with startup parameters of one's own.
    pub fn connect_with(address: SocketAddr, parameters: &[(&str, &str)]) -> Self {
        let mut client = Self::open(address);
        client.start(parameters);
        client
    }

    /// Goes through startup by trust; panics with the server's error otherwise.
    pub fn start(&mut self, parameters: &[(&str, &str)]) {
        self.send(&message::startup(3 << 16, parameters));
        for frame in self.read_until_ready() {
            match frame.tag {
                b'K' => self.key = frame.body,
                b'S' => {
                    let mut parts = frame.body.split(|b| *b == 0).map(lossy);
                    let pair = (parts.next().expect("a name"), parts.next().expect("a value"));
                    self.parameters.push(pair);
                }
                b'E' => panic!("the connection was refused: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Does a TLS handshake without asking for it. The name is `localhost`.
    pub fn secure(self, config: &Arc<rustls::ClientConfig>) -> std::io::Result<Self> {
        let Stream::Plain(mut socket) = self.stream else { panic!("it is encrypted already") };
        let name = "localhost".try_into().expect("a name");
        let mut tls = rustls::ClientConnection::new(config.clone(), name).expect("a configuration");
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let stream = Stream::Tls(Box::new(rustls::StreamOwned::new(tls, socket)));
        Ok(Self { stream, ..self })
    }

    /// Asks for TLS, is answered yes, and does the handshake.
    pub fn secure_by_request(mut self, config: &Arc<rustls::ClientConfig>) -> std::io::Result<Self> {
        self.send(&message::ssl_request());
        assert_eq!(self.read_byte(), Some(b'S'), "the answer to SSLRequest");
        self.secure(config)
    }

    /// The certificate that the peer has shown.
    pub fn certificate(&self) -> Vec<u8> {
        let Stream::Tls(tls) = &self.stream else { panic!("it is not encrypted") };
        tls.conn.peer_certificates().expect("certificates")[0].to_vec()
    }

    /// Connects and sends nothing.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|e| panic!("connect to {address}: {e}"));
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Self { stream: Stream::Plain(stream), key: Vec::new(), parameters: Vec::new() }
    }

    /// Where it is connected to.
    pub fn peer(&self) -> SocketAddr {
        self.stream().peer_addr().expect("a connected socket")
    }

    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &tls.sock,
        }
    }

    /// Bytes that go through as they are.
    fn io(&mut self) -> &mut dyn ReadWrite {
        match &mut self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => tls,
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.io().write_all(bytes).expect("the peer takes what is sent");
    }

    /// Sends bytes; false if the peer has closed.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.io().write_all(bytes).is_ok()
    }

    /// Says that nothing more will be sent.
    pub fn shut_down(&self) {
        let _ = self.stream().shutdown(Shutdown::Write);
    }

    /// The next frame; panics when none comes in time or the peer has closed.
    pub fn read(&mut self) -> Frame {
        self.try_read().expect("the peer closed the connection")
    }

    /// The next frame; `None` when the peer has closed.
    pub fn try_read(&mut self) -> Option<Frame> {
        let mut head = [0; 5];
        if !self.fill(&mut head) {
            return None;
        }
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length.checked_sub(4).expect("a length that counts itself")];
        self.fill(&mut body).then_some(Frame { tag: head[0], body })
    }

    /// One byte, as answers SSLRequest.
    pub fn read_byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.fill(&mut byte).then_some(byte[0])
    }

    /// All bytes up to the end of the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset ends a connection too.
        let _ = self.io().read_to_end(&mut bytes);
        bytes
    }

    /// True if nothing comes for `time`.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.stream().set_read_timeout(Some(time)).expect("a timeout");
        let silent = self.stream().peek(&mut [0]).is_err_and(|e| is_timeout(e.kind()));
        self.stream().set_read_timeout(Some(PATIENCE)).expect("a timeout");
        silent
    }

    /// Frames up to and with the next ReadyForQuery, or up to the end of the connection.
    pub fn read_until_ready(&mut self) -> Vec<Frame> {
        self.read_until(b'Z')
    }

    /// Frames up to and with the next of type `tag`, or up to the end of the connection.
    pub fn read_until(&mut self, tag: u8) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.try_read() {
            let last = frame.tag == tag;
            frames.push(frame);
            if last {
                break;
            }
        }
        frames
    }

    /// Sends a simple query and reads up to ReadyForQuery.
    pub fn query(&mut self, sql: &str) -> Vec<Frame> {
        self.send(&message::query(sql));
        self.read_until_ready()
    }

    /// A simple query that must succeed.
    pub fn run(&mut self, sql: &str) -> Vec<Frame> {
        let frames = self.query(sql);
        if let Some(error) = frames.iter().find(|f| f.tag == b'E') {
            panic!("{sql}\n{error:?}");
        }
        frames
    }

    /// The rows of a simple query that must succeed, as text; NULL is `None`.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let frames = self.run(sql);
        let rows = frames.iter().filter(|f| f.tag == b'D').map(Frame::values);
        rows.map(|row| row.into_iter().map(|v| Some(lossy(&v?))).collect()).collect()
    }

    /// The only value of a simple query that must succeed.
    pub fn value(&mut self, sql: &str) -> Option<String> {
        self.rows(sql).pop().and_then(|mut row| row.pop()).unwrap_or_else(|| panic!("no row: {sql}"))
    }

    /// Parse, Bind, Describe, Execute and Sync of the unnamed statement, with parameters and results in
    /// text format; reads up to ReadyForQuery.
    pub fn extended(&mut self, sql: &str, values: &[Option<&[u8]>]) -> Vec<Frame> {
        self.send(&message::flight(sql, &[], values, 0));
        self.read_until_ready()
    }

    fn fill(&mut self, buffer: &mut [u8]) -> bool {
        let mut read = 0;
        while read < buffer.len() {
            match self.io().read(&mut buffer[read..]) {
                Ok(0) => return false,
                Ok(n) => read += n,
                Err(e) if is_timeout(e.kind()) => panic!("nothing came for {PATIENCE:?}"),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

impl Frame {
    /// The values of a DataRow.
    pub fn values(&self) -> Vec<Option<Vec<u8>>> {
        assert_eq!(self.tag, b'D', "a DataRow, not {self:?}");
        let mut body = Cursor(&self.body);
        let values = (0..body.u16()).map(|_| {
            let length = body.i32();
            usize::try_from(length).ok().map(|length| body.take(length).to_vec())
        });
        values.collect()
    }

    /// The columns of a RowDescription.
    pub fn fields(&self) -> Vec<Field> {
        assert_eq!(self.tag, b'T', "a RowDescription, not {self:?}");
        let mut body = Cursor(&self.body);
        let fields = (0..body.u16()).map(|_| Field {
            name: body.string(),
            table: body.i32().cast_unsigned(),
            attribute: body.u16().cast_signed(),
            oid: body.i32().cast_unsigned(),
            length: body.u16().cast_signed(),
            modifier: body.i32(),
            format: body.u16().cast_signed(),
        });
        fields.collect()
    }

    /// The types in a ParameterDescription.
    pub fn parameter_types(&self) -> Vec<u32> {
        assert_eq!(self.tag, b't', "a ParameterDescription, not {self:?}");
        let mut body = Cursor(&self.body);
        (0..body.u16()).map(|_| body.i32().cast_unsigned()).collect()
    }

    /// A field of an ErrorResponse or NoticeResponse: `C` the SQLSTATE, `M` the message, `H` the hint ...
    pub fn field(&self, code: u8) -> Option<String> {
        assert!(matches!(self.tag, b'E' | b'N'), "an error or a notice, not {self:?}");
        self.body.split(|b| *b == 0).find_map(|field| field.strip_prefix(&[code])).map(lossy)
    }

    /// The SQLSTATE of an ErrorResponse.
    pub fn sqlstate(&self) -> String {
        self.field(b'C').expect("an SQLSTATE")
    }

    /// The tag of a CommandComplete.
    pub fn command(&self) -> String {
        assert_eq!(self.tag, b'C', "a CommandComplete, not {self:?}");
        lossy(self.body.strip_suffix(&[0]).expect("a terminated string"))
    }

    /// The transaction status of a ReadyForQuery: `I`, `T` or `E`.
    pub fn status(&self) -> char {
        assert_eq!(self.tag, b'Z', "a ReadyForQuery, not {self:?}");
        char::from(self.body[0])
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = &self.body[..self.body.len().min(400)];
        write!(f, "{}({})", char::from(self.tag), cut.escape_ascii())
    }
}

/// The frontend's messages as bytes.
pub mod message {
    /// StartupMessage of this protocol version.
    pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        }
        body.push(0);
        untagged(&body)
    }

    /// SSLRequest.
    pub fn ssl_request() -> Vec<u8> {
        untagged(&80_877_103_u32.to_be_bytes())
    }

    /// GSSENCRequest.
    pub fn gssenc_request() -> Vec<u8> {
        untagged(&80_877_104_u32.to_be_bytes())
    }

    /// CancelRequest with the body of a BackendKeyData.
    pub fn cancel(key: &[u8]) -> Vec<u8> {
        untagged(&[&80_877_102_u32.to_be_bytes(), key].concat())
    }

    /// A frame of any type around any body.
    pub fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend(untagged(body));
        bytes
    }

    /// Query.
    pub fn query(sql: &str) -> Vec<u8> {
        frame(b'Q', &string(sql))
    }

    /// Parse with declared types.
    pub fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
        let mut body = [string(name), string(sql), count(types.len())].concat();
        body.extend(types.iter().flat_map(|t| t.to_be_bytes()));
        frame(b'P', &body)
    }

    /// Bind with parameter formats, values and result formats.
    pub fn bind(
        portal: &str,
        statement: &str,
        formats: &[u16],
        values: &[Option<&[u8]>],
        results: &[u16],
    ) -> Vec<u8> {
        let mut body = [string(portal), string(statement), codes(formats), count(values.len())].concat();
        for value in values {
            match value {
                Some(value) => {
                    body.extend(u32::try_from(value.len()).expect("a length").to_be_bytes());
                    body.extend(*value);
                }
                None => body.extend((-1_i32).to_be_bytes()),
            }
        }
        body.extend(codes(results));
        frame(b'B', &body)
    }

    /// Describe of a statement (`S`) or portal (`P`).
    pub fn describe(kind: u8, name: &str) -> Vec<u8> {
        frame(b'D', &[&[kind], string(name).as_slice()].concat())
    }

    /// Execute with a row limit (0: none).
    pub fn execute(portal: &str, limit: u32) -> Vec<u8> {
        frame(b'E', &[string(portal).as_slice(), &limit.to_be_bytes()].concat())
    }

    /// Close of a statement (`S`) or portal (`P`).
    pub fn close(kind: u8, name: &str) -> Vec<u8> {
        frame(b'C', &[&[kind], string(name).as_slice()].concat())
    }

    /// Sync.
    pub fn sync() -> Vec<u8> {
        frame(b'S', &[])
    }

    /// Flush.
    pub fn flush() -> Vec<u8> {
        frame(b'H', &[])
    }

    /// Terminate.
    pub fn terminate() -> Vec<u8> {
        frame(b'X', &[])
    }

    /// CopyData.
    pub fn copy_data(data: &[u8]) -> Vec<u8> {
        frame(b'd', data)
    }

    /// CopyDone.
    pub fn copy_done() -> Vec<u8> {
        frame(b'c', &[])
    }

    /// CopyFail.
    pub fn copy_fail(reason: &str) -> Vec<u8> {
        frame(b'f', &string(reason))
    }

    /// Parse, Bind, Describe of the portal, Execute and Sync, all unnamed; values in text format.
    pub fn flight(sql: &str, types: &[u32], values: &[Option<&[u8]>], result: u16) -> Vec<u8> {
        let messages = [
            parse("", sql, types),
            bind("", "", &[], values, &[result]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ];
        messages.concat()
    }

    fn untagged(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("a length");
        [&length.to_be_bytes(), body].concat()
    }

    fn string(text: &str) -> Vec<u8> {
        [text.as_bytes(), b"\0"].concat()
    }

    fn count(n: usize) -> Vec<u8> {
        u16::try_from(n).expect("a count").to_be_bytes().to_vec()
    }

    fn codes(codes: &[u16]) -> Vec<u8> {
        let mut bytes = count(codes.len());
        bytes.extend(codes.iter().flat_map(|c| c.to_be_bytes()));
        bytes
    }
}

/// Reads a body from a server that we trust to be well formed.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n);
        self.0 = rest;
        taken
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().expect("two bytes"))
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().expect("four bytes"))
    }

    fn string(&mut self) -> String {
        let end = self.0.iter().position(|b| *b == 0).expect("a terminated string");
        let text = lossy(self.take(end));
        self.take(1);
        text
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
