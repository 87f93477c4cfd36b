//! Envelopes: those that are none are refused, and a true one that was changed does not open.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgseal::crypto::{self, Binding, Envelope, Mode, ValueKey};
use pgseal::secret::Secret;

fuzz_target!(|data: &[u8]| {
    let _ = Envelope::parse(data);
    let mut text = Vec::new();
    crypto::encode_text(data, &mut text);
    assert!(crypto::looks_like_text_envelope(&text));
    let mut back = Vec::new();
    assert!(crypto::decode_text(&text, &mut back).is_ok());
    assert_eq!(back, data);
    back.clear();
    // What decodes encodes to itself: no envelope has two texts.
    if crypto::decode_text(data, &mut back).is_ok() {
        text.clear();
        crypto::encode_text(&back, &mut text);
        assert_eq!(text, data);
    }
    open(data);
});

/// Seals the bytes, changes one bit of the envelope, and opens it.
fn open(data: &[u8]) {
    let Some((&[mode, at, bit], plaintext)) = data.split_first_chunk() else { return };
    let mode = if mode & 1 == 0 { Mode::Randomized } else { Mode::Deterministic };
    let secret = Secret::new([7; 32]);
    let binding = Binding { mode, family: "text".into(), context: "public.t.c".into() };
    let (prefix, nonce) = ([1; 12], [2; 12]);
    let mut key = ValueKey::derive(&secret, crypto::key_id(&secret), &binding).expect("a mode that there is");
    let mut envelope = Vec::new();
    match &mut key {
        ValueKey::Randomized(key) => {
            key.seal(&key.subkey(&prefix), &prefix, &nonce, plaintext, &mut envelope).expect("sealed");
        }
        ValueKey::Deterministic(key) => key.seal(plaintext, &mut envelope).expect("sealed"),
    }
    assert_eq!(unseal(&mut key, &envelope).as_deref(), Some(plaintext));
    let at = usize::from(at) * envelope.len() / 256;
    // The id of the key is for finding it; what it says is checked as associated data only by its own key.
    if (2..6).contains(&at) {
        return;
    }
    envelope[at] ^= 1 << (bit % 8);
    assert_eq!(unseal(&mut key, &envelope), None);
}

fn unseal(key: &mut ValueKey, envelope: &[u8]) -> Option<Vec<u8>> {
    let body = Envelope::parse(envelope).ok()?.body;
    let mut out = Vec::new();
    match (key, &body) {
        (ValueKey::Randomized(key), pgseal::crypto::Body::Randomized { prefix, .. }) => {
            key.open(&key.subkey(prefix), &body, &mut out).ok()?;
        }
        (ValueKey::Randomized(_), _) => return None,
        (ValueKey::Deterministic(key), _) => key.open(&body, &mut out).ok()?,
    }
    Some(out)
}
