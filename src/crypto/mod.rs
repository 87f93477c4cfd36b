//! Key derivation, XAES-256-GCM, AES-SIV and the stored envelope.

/// Which native comparisons of the ciphertext mean the same as on the plaintext: the low nibble of an
/// envelope's second byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// None but NULL-ness.
    #[default]
    Randomized = 0,
    /// Equality.
    Deterministic = 1,
    /// Equality and order.
    Ordered = 2,
}

/// What the keys of a value are derived for, beside the data key itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// How it is sealed.
    pub mode: Mode,
    /// Label of the type family, as `datum::Family` gives it.
    pub family: String,
    /// The context: by default `schema.table.column`, each part quoted as `quote_ident` does.
    pub context: String,
}
