//! Frames: a type byte, a length word that counts itself, a body.

use super::WireError;

/// The longest startup packet that PostgreSQL takes (`MAX_STARTUP_PACKET_LENGTH`).
pub const MAX_STARTUP: usize = 10_000;
/// The longest message of the small types, and of any type before authentication is over
/// (`PQ_SMALL_MESSAGE_LIMIT`).
pub const MAX_SMALL: usize = 10_000;
/// The longest message of the types that carry data (`PQ_LARGE_MESSAGE_LIMIT`, one below 1 GB).
pub const MAX_LARGE: usize = 0x3fff_ffff;
/// The longest message that a server may send; libpq takes what fits its signed length word.
pub const MAX_BACKEND: usize = 0x7fff_ffff;

/// Bytes of type and length.
pub const HEAD: usize = 5;

/// Who sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client (frontend messages).
    Client,
    /// The server (backend messages).
    Server,
}

/// The first five bytes of a frame, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The message type.
    pub tag: u8,
    /// Bytes of the whole frame, type and length word included.
    pub total: usize,
}

impl Head {
    /// Reads the head of the frame at the front of `input`; `None` until five bytes are there.
    ///
    /// # Errors
    /// A type that does not exist in this direction, or a length that it cannot have.
    pub fn peek(input: &[u8], side: Side) -> Result<Option<Self>, WireError> {
        let Some(&[tag, a, b, c, d]) = input.first_chunk::<HEAD>() else { return Ok(None) };
        let length = i32::from_be_bytes([a, b, c, d]);
        let max = match side {
            Side::Client => client_limit(tag),
            Side::Server => server_limit(tag),
        }
        .ok_or(WireError::Tag(tag))?;
        match usize::try_from(length) {
            Ok(n) if (4..=max).contains(&n) => Ok(Some(Self { tag, total: n + 1 })),
            _ => Err(WireError::Length { tag, length: i64::from(length) }),
        }
    }

    /// The body of this frame if all of it is at the front of `input`.
    pub fn body(self, input: &[u8]) -> Option<&[u8]> {
        input.get(HEAD..self.total)
    }
}

/// As in PostgreSQL's `SocketBackend`: which types exist and how long they may be.
fn client_limit(tag: u8) -> Option<usize> {
    match tag {
        b'Q' | b'P' | b'B' | b'F' | b'd' => Some(MAX_LARGE),
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' | b'p' => Some(MAX_SMALL),
        _ => None,
    }
}

fn server_limit(tag: u8) -> Option<usize> {
    match tag {
        b'1' | b'2' | b'3' | b'A' | b'C' | b'D' | b'E' | b'G' | b'H' | b'I' | b'K' | b'N' | b'R' | b'S'
        | b'T' | b'V' | b'W' | b'Z' | b'c' | b'd' | b'n' | b's' | b't' | b'v' => Some(MAX_BACKEND),
        _ => None,
    }
}

/// Whole frames of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// How long they are together.
    pub bytes: usize,
    /// How many there are.
    pub frames: u64,
}

/// The frames of type `tag` at the front of `input`.
///
/// # Errors
/// A broken head in the run.
pub fn run_of(tag: u8, input: &[u8], side: Side) -> Result<Run, WireError> {
    let mut run = Run::default();
    loop {
        let rest = input.get(run.bytes..).unwrap_or_default();
        match Head::peek(rest, side)? {
            Some(head) if head.tag == tag && head.total <= rest.len() => {
                run.bytes += head.total;
                run.frames += 1;
            }
            _ => return Ok(run),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_no_frame_can_have_are_refused() {
        for (bytes, length) in [
            (*b"Q\0\0\0\0", 0),
            (*b"Q\0\0\0\x03", 3),
            (*b"Q\x7f\xff\xff\xff", 0x7fff_ffff),
            (*b"Q\xff\xff\xff\xff", -1),
            (*b"S\0\x01\0\0", 65536),
        ] {
            let tag = bytes[0];
            assert_eq!(Head::peek(&bytes, Side::Client), Err(WireError::Length { tag, length }));
        }
    }

    #[test]
    fn a_head_waits_for_five_bytes() {
        for cut in 0..HEAD {
            assert_eq!(Head::peek(&b"Q\0\0\0\x05"[..cut], Side::Client), Ok(None));
        }
        assert_eq!(Head::peek(b"Q\0\0\0\x05", Side::Client), Ok(Some(Head { tag: b'Q', total: 6 })));
    }

    #[test]
    fn types_of_the_other_direction_are_refused() {
        assert_eq!(Head::peek(b"T\0\0\0\x04", Side::Client), Err(WireError::Tag(b'T')));
        assert_eq!(Head::peek(b"Q\0\0\0\x04", Side::Server), Err(WireError::Tag(b'Q')));
    }

    #[test]
    fn a_run_ends_at_another_type_or_a_cut_frame() {
        let input = b"D\0\0\0\x04D\0\0\0\x05xC\0\0\0\x04";
        assert_eq!(run_of(b'D', input, Side::Server), Ok(Run { bytes: 11, frames: 2 }));
        assert_eq!(run_of(b'D', &input[..10], Side::Server), Ok(Run { bytes: 5, frames: 1 }));
    }
}
