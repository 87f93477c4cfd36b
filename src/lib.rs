//! pgseal is a transparent encrypting proxy for PostgreSQL.
//!
//! It runs as a sidecar: an application points its `DATABASE_URL` at it, it speaks the wire protocol on both
//! sides, and the columns that a policy file names are encrypted on their way to the server and decrypted on
//! their way back. The server is stock PostgreSQL: no extension, no superuser, no function of ours.
//!
//! ```text
//!                 ┌────────────────────────── pgseal ──────────────────────────┐
//!  application ──▶│ frames ─▶ analysis ─▶ verdict ─▶ sealed literals and values│──▶ PostgreSQL
//!              ◀──│ opened rows ◀─ reply queue ◀───────────────────── frames   │◀──
//!                 └──────── policy ───────── keyring ───────── catalog ────────┘
//! ```
//!
//! # Five promises, in order
//!
//! 1. **No plaintext of a protected column reaches the server**: not in SQL text, not in a parameter, not in
//!    COPY data, not by way of an error, a log line, or a statement that was not understood.
//! 2. **Same answer or a clear error.** A statement gives what it would give on a plaintext database, or is
//!    refused with an SQLSTATE, the position, the column, the construct and the way out.
//! 3. **Nothing is lost.** A key is durable before the first byte sealed with it is sent.
//! 4. **Untouched traffic is byte-identical and nearly free.**
//! 5. **The database stays ordinary.** A sealed value is one `bytea` (or `text`) in the column's own place.
//!
//! # Ciphertexts that compare like their plaintexts
//!
//! Search is not a second system beside encryption. A column's [`crypto::Mode`] says which native comparisons
//! of the stored bytes mean the same as on the plaintext: none (`randomized`), equality (`deterministic`), or
//! equality and order (`ordered`, to come). So a statement is edited only where literals, parameters, casts and
//! relation names stand, in its own text; and the analysis in [`sql`] is a type system that proves where each
//! literal, parameter and result column belongs. What it cannot prove, it refuses: there is no "unknown, so
//! forward".
//!
//! # Layers
//!
//! A module names only modules above it in this list; `tests/layering.rs` holds the code to it.
//!
//! | module | what it is | knows nothing of |
//! |---|---|---|
//! | [`error`] | SQLSTATEs, and what a client may be told | |
//! | [`secret`] | key bytes: wiped, unprintable, one door | |
//! | [`metrics`] | counters, handed down as values | |
//! | [`wire`] | frames, a checked reader, messages | policy |
//! | [`datum`] | types: text and binary format to one canonical form and back | policy |
//! | [`crypto`] | key derivation, XAES-256-GCM, AES-SIV, the stored envelope | keys' names and states |
//! | [`scram`] | SCRAM-SHA-256, both ends | users, messages around it |
//! | [`policy`] | the policy file | |
//! | [`catalog`] | relations, types and functions, and the queries that read them | |
//! | [`keyring`] | data keys, wrapped by a key-encryption key; the vault that seals and opens | SQL, wire |
//! | [`sql`] | statement to verdict | wire, cryptography, keys |
//! | [`session`] | one client and one server as a machine | sockets, clocks, randomness, tokio |
//! | [`audit`] | who has opened what: a chained log, written before values go out | SQL text, values |
//! | [`net`] | sockets, TLS, workers | |
//! | [`jobs`] | what moves and counts stored values: one resumable runner, straight at the database | |
//! | [`admin`] | metrics, health, readiness and the status page: read only | |
//! | [`cli`] | the commands | |
//!
//! # What it protects against, and what not
//!
//! Whoever reads the server's disk, memory, dumps, replicas, logs or traffic sees envelopes. They see their
//! lengths, which rows have NULL, and, in deterministic columns, which values are equal. Whoever can write at
//! the server can move or replay a value within its column, and delete it; a value that is moved to another
//! column does not open. The proxy's own memory, its keyring and the application are trusted. `docs/format.md`
//! has the stored format.

pub mod admin;
pub mod audit;
pub mod catalog;
pub mod cli;
pub mod crypto;
pub mod datum;
pub mod error;
pub mod jobs;
pub mod keyring;
pub mod metrics;
pub mod net;
pub mod policy;
pub mod scram;
pub mod secret;
pub mod session;
pub mod sql;
pub mod wire;
