//! Key bytes: wiped on drop, unprintable, read through one door.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// `N` secret bytes, on the heap so that moving them leaves no copy behind. There is no `Clone`, no
/// `PartialEq`, and `Debug` shows nothing.
pub struct Secret<const N: usize>(Box<Zeroizing<[u8; N]>>);

impl<const N: usize> Secret<N> {
    /// Takes the bytes in and wipes the argument; other copies are the caller's to wipe.
    pub fn new(mut bytes: [u8; N]) -> Self {
        let secret = Self(Box::new(Zeroizing::new(bytes)));
        bytes.zeroize();
        secret
    }

    /// A secret that `fill` writes in its place, so that it is never anywhere else.
    ///
    /// # Errors
    /// What `fill` returns.
    pub fn try_fill<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Box::new(Zeroizing::new([0; N])));
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// A copy of `bytes`; `None` unless there are exactly `N`.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; N] = bytes.try_into().ok()?;
        Some(Self(Box::new(Zeroizing::new(*bytes))))
    }

    /// The one door: every use of key bytes is a call of this function.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_its_bytes() {
        assert_eq!(format!("{:?}", Secret::new([0x41; 4])), "Secret<4>");
    }

    #[test]
    fn only_the_right_number_of_bytes_becomes_a_secret() {
        assert_eq!(Secret::<4>::from_slice(b"abcd").map(|s| *s.expose()), Some(*b"abcd"));
        assert!(Secret::<4>::from_slice(b"abc").is_none());
        assert!(Secret::<4>::from_slice(b"abcde").is_none());
    }
}
