//! What a client may be told: an SQLSTATE and texts that hold no secret and no value but the client's own.
//!
//! A module's own error type implements [`ClientFacing`] when it may reach a client; errors that do not
//! implement it (I/O, keyring files, anything of `anyhow`) cannot be sent to one by accident.

use std::borrow::Cow;
use std::fmt;

/// Five characters that classify an error.
///
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// 0A000, a construct that cannot be carried out on an encrypted column.
    pub const FEATURE_NOT_SUPPORTED: Self = Self(*b"0A000");
    /// 08P01, a peer broke the protocol.
    pub const PROTOCOL_VIOLATION: Self = Self(*b"08P01");
    /// 08001, the server cannot be reached.
    pub const UNABLE_TO_CONNECT: Self = Self(*b"08001");
    /// 08006, the connection to the server was lost.
    pub const CONNECTION_FAILURE: Self = Self(*b"08006");
    /// 22001, a string is longer than its type allows.
    pub const STRING_TOO_LONG: Self = Self(*b"22001");
    /// 22003, a number does not fit its type.
    pub const NUMERIC_OUT_OF_RANGE: Self = Self(*b"22003");
    /// 22007, a date or time in a form that is not understood.
    pub const INVALID_DATETIME: Self = Self(*b"22007");
    /// 22008, a date or time field out of its range.
    pub const DATETIME_OVERFLOW: Self = Self(*b"22008");
    /// 22009, a time zone's offset out of its range.
    pub const INVALID_TIME_ZONE_DISPLACEMENT: Self = Self(*b"22009");
    /// 22015, an interval's field out of its range.
    pub const INTERVAL_FIELD_OVERFLOW: Self = Self(*b"22015");
    /// 22021, text that is not valid in its encoding (U+0000 included).
    pub const CHARACTER_NOT_IN_REPERTOIRE: Self = Self(*b"22021");
    /// 22023, a value that its function does not take.
    pub const INVALID_PARAMETER_VALUE: Self = Self(*b"22023");
    /// 2202E, an array's bounds are wrong.
    pub const ARRAY_SUBSCRIPT: Self = Self(*b"2202E");
    /// 22P02, text that is no value of its type.
    pub const INVALID_TEXT: Self = Self(*b"22P02");
    /// 22P03, a binary value that is no value of its type.
    pub const INVALID_BINARY: Self = Self(*b"22P03");
    /// 22P04, COPY data that is not in its format.
    pub const BAD_COPY_FILE_FORMAT: Self = Self(*b"22P04");
    /// 22P05, a character that the type cannot hold.
    pub const UNTRANSLATABLE_CHARACTER: Self = Self(*b"22P05");
    /// 25P03, a transaction in which nothing has happened for too long.
    pub const IDLE_IN_TRANSACTION_TIMEOUT: Self = Self(*b"25P03");
    /// 25P02, the transaction has failed and waits for its end.
    pub const IN_FAILED_TRANSACTION: Self = Self(*b"25P02");
    /// 26000, no prepared statement of that name.
    pub const INVALID_STATEMENT_NAME: Self = Self(*b"26000");
    /// 28000, whoever connects may not come in like this.
    pub const INVALID_AUTHORIZATION: Self = Self(*b"28000");
    /// 28P01, a password that is wrong, or a user who is not there.
    pub const INVALID_PASSWORD: Self = Self(*b"28P01");
    /// 42601, a syntax error.
    pub const SYNTAX_ERROR: Self = Self(*b"42601");
    /// 42702, a column's name that means more than one.
    pub const AMBIGUOUS_COLUMN: Self = Self(*b"42702");
    /// 42703, no column of that name.
    pub const UNDEFINED_COLUMN: Self = Self(*b"42703");
    /// 42804, types that do not match.
    pub const DATATYPE_MISMATCH: Self = Self(*b"42804");
    /// 42P01, no relation of that name.
    pub const UNDEFINED_TABLE: Self = Self(*b"42P01");
    /// 42P08, a parameter that has no type at one place and one at another.
    pub const AMBIGUOUS_PARAMETER: Self = Self(*b"42P08");
    /// 42P18, a parameter whose type cannot be told.
    pub const INDETERMINATE_DATATYPE: Self = Self(*b"42P18");
    /// 53300, there are as many sessions as there may be.
    pub const TOO_MANY_CONNECTIONS: Self = Self(*b"53300");
    /// 55000, something is not in the state that this needs.
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: Self = Self(*b"55000");
    /// 54000, a limit of the program is exceeded.
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self(*b"54000");
    /// 58030, something cannot be written.
    pub const IO_ERROR: Self = Self(*b"58030");
    /// 54001, a statement nested too deep.
    pub const STATEMENT_TOO_COMPLEX: Self = Self(*b"54001");
    /// 57014, a statement was cancelled (COPY was failed by its sender).
    pub const QUERY_CANCELED: Self = Self(*b"57014");
    /// 57P01, the proxy is being shut down.
    pub const ADMIN_SHUTDOWN: Self = Self(*b"57P01");
    /// 40001, a transaction that may go through when it is tried again.
    pub const SERIALIZATION: Self = Self(*b"40001");
    /// 55P03, a lock that somebody holds.
    pub const LOCK_NOT_AVAILABLE: Self = Self(*b"55P03");
    /// 57P05, a session in which nothing has happened for too long.
    pub const IDLE_SESSION_TIMEOUT: Self = Self(*b"57P05");
    /// XX000, a fault of the proxy itself.
    pub const INTERNAL: Self = Self(*b"XX000");
    /// XX001, a sealed value that cannot be opened.
    pub const DATA_CORRUPTED: Self = Self(*b"XX001");

    /// The code as it stands in a message's `C` field; `None` unless it is five ASCII digits or capitals.
    pub fn from_bytes(code: &[u8]) -> Option<Self> {
        let code: [u8; 5] = code.try_into().ok()?;
        code.iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()).then_some(Self(code))
    }

    /// Class 22: something about a value.
    pub fn is_data_exception(&self) -> bool {
        self.0.starts_with(b"22")
    }

    /// The five characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How bad it is: `Error` ends the statement, `Fatal` the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The session ends.
    Fatal,
}

impl Severity {
    /// The word in the `S` and `V` fields.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// An error as a client gets it: the fields of an ErrorResponse.
///
/// <https://www.postgresql.org/docs/current/protocol-error-fields.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// Whether the session goes on.
    pub severity: Severity,
    /// The class of the error.
    pub code: SqlState,
    /// One line: what went wrong.
    pub message: Cow<'static, str>,
    /// More about it.
    pub detail: Option<String>,
    /// The way out.
    pub hint: Option<String>,
    /// Where in the client's own text, in characters counted from 1.
    pub position: Option<usize>,
    /// Where in the data, as the server's own errors say it (`COPY people, line 3`).
    pub context: Option<String>,
}

impl ClientError {
    /// An error that ends the statement.
    pub fn error(code: SqlState, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            context: None,
        }
    }

    /// An error that ends the session.
    pub fn fatal(code: SqlState, message: impl Into<Cow<'static, str>>) -> Self {
        Self { severity: Severity::Fatal, ..Self::error(code, message) }
    }

    /// The same with a detail line.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a context.
    #[must_use]
    pub fn within(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// The same with a position: characters of the client's text, counted from 1.
    #[must_use]
    pub fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }
}

/// An error that may be shown to a client.
pub trait ClientFacing {
    /// What the client is told. Texts name columns, constructs and ways out; never keys, never
    /// other people's values.
    fn client_error(&self) -> ClientError;
}
