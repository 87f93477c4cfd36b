//! The stored format against its known-answer vectors, in both directions.
//!
//! The files in `tests/vectors/` are append-only: what an earlier release sealed, every later one opens. They
//! are published vectors, or were computed by a second implementation (`tests/vectors/generate.py`).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pgseal::crypto::{
    Binding, KeyId, Mode, Purpose, Siv, Xaes, decode_text, derive, encode_text, key_id, unwrap_key, wrap_key,
};
use pgseal::keyring::{self, DataKey, Entropy, EntropyError, Keyring, Keys, State, Vault};
use pgseal::secret::Secret;
use serde_json::Value;
use shake::Shake128;
use shake::digest::{ExtendableOutput as _, Update as _, XofReader as _};

fn file(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn rows(file: &Value, list: &str) -> Vec<Value> {
    let rows = file[list].as_array().unwrap().clone();
    assert!(!rows.is_empty());
    rows
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("{field} in {row}"))
}

fn hex(row: &Value, field: &str) -> Vec<u8> {
    bytes(text(row, field))
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn secret<const N: usize>(row: &Value, field: &str) -> Secret<N> {
    Secret::from_slice(&hex(row, field)).unwrap()
}

/// Gives out these bytes, and no more.
fn given(mut bytes: Vec<u8>) -> Entropy {
    Box::new(move |out| {
        if bytes.len() < out.len() {
            return Err(EntropyError);
        }
        let rest = bytes.split_off(out.len());
        out.copy_from_slice(&bytes);
        bytes = rest;
        Ok(())
    })
}

fn xaes_seal(key: &Secret<32>, nonce: &[u8; 24], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let (prefix, nonce) = (nonce.first_chunk().unwrap(), nonce.last_chunk().unwrap());
    let mut out = Vec::new();
    Xaes::new(key).subkey(prefix).seal(nonce, aad, plaintext, &mut out).unwrap();
    out
}

fn xaes_open(key: &Secret<32>, nonce: &[u8; 24], aad: &[u8], sealed: &[u8]) -> Vec<u8> {
    let (prefix, nonce) = (nonce.first_chunk().unwrap(), nonce.last_chunk().unwrap());
    let (ciphertext, tag) = sealed.split_last_chunk().unwrap();
    let mut out = Vec::new();
    Xaes::new(key).subkey(prefix).open(nonce, aad, ciphertext, tag, &mut out).unwrap();
    out
}

#[test]
fn xaes_256_gcm_is_that_of_c2sp() {
    for row in rows(&file("xaes-256-gcm.json"), "vectors") {
        let nonce: [u8; 24] = hex(&row, "nonce").try_into().unwrap();
        let (key, aad, plaintext) = (secret(&row, "key"), hex(&row, "aad"), hex(&row, "plaintext"));
        let sealed = xaes_seal(&key, &nonce, &aad, &plaintext);
        assert_eq!(sealed, hex(&row, "ciphertext"), "{row}");
        assert_eq!(xaes_open(&key, &nonce, &aad, &sealed), plaintext, "{row}");
    }
}

#[test]
fn xaes_256_gcm_accumulates_to_the_published_hash() {
    for row in rows(&file("xaes-256-gcm.json"), "accumulated") {
        let mut random = Shake128::default().finalize_xof();
        let mut take = |len: usize| {
            let mut bytes = vec![0; len];
            random.read(&mut bytes);
            bytes
        };
        let mut total = Shake128::default();
        for _ in 0..row["iterations"].as_u64().unwrap() {
            let key = Secret::from_slice(&take(32)).unwrap();
            let nonce: [u8; 24] = take(24).try_into().unwrap();
            let [len] = take(1)[..] else { unreachable!() };
            let plaintext = take(len.into());
            let [len] = take(1)[..] else { unreachable!() };
            let aad = take(len.into());
            let sealed = xaes_seal(&key, &nonce, &aad, &plaintext);
            assert_eq!(xaes_open(&key, &nonce, &aad, &sealed), plaintext);
            total.update(&sealed);
        }
        let mut hash = [0; 32];
        total.finalize_xof().read(&mut hash);
        assert_eq!(hash[..], hex(&row, "hash"));
    }
}

#[test]
fn aes_siv_is_that_of_rfc_5297() {
    use aes_siv::KeyInit as _;
    let (mut aes_128, mut aes_256) = (0, 0);
    for row in rows(&file("aes-siv.json"), "vectors") {
        let aad: Vec<_> =
            row["aad"].as_array().unwrap().iter().map(|part| bytes(part.as_str().unwrap())).collect();
        let aad: Vec<_> = aad.iter().map(Vec::as_slice).collect();
        let (key, plaintext, sealed) = (hex(&row, "key"), hex(&row, "plaintext"), hex(&row, "sealed"));
        if key.len() == 32 {
            // The RFC has keys of this size only: they pin the construction, which is the library's.
            let mut siv = aes_siv::siv::Aes128Siv::new_from_slice(&key).unwrap();
            assert_eq!(siv.encrypt(&aad, &plaintext).unwrap(), sealed, "{row}");
            assert_eq!(siv.decrypt(&aad, &sealed).unwrap(), plaintext, "{row}");
            aes_128 += 1;
        } else {
            let mut siv = Siv::new(&Secret::from_slice(&key).unwrap());
            let mut out = Vec::new();
            siv.seal(&aad, &plaintext, &mut out).unwrap();
            assert_eq!(out, sealed, "{row}");
            let (iv, ciphertext) = sealed.split_first_chunk().unwrap();
            let mut out = Vec::new();
            siv.open(&aad, iv, ciphertext, &mut out).unwrap();
            assert_eq!(out, plaintext, "{row}");
            aes_256 += 1;
        }
    }
    assert!(aes_128 >= 2 && aes_256 >= 10);
}

fn binding(row: &Value) -> Arc<Binding> {
    let mode = match text(row, "mode") {
        "randomized" => Mode::Randomized,
        "deterministic" => Mode::Deterministic,
        other => panic!("mode {other}"),
    };
    Arc::new(Binding { mode, family: text(row, "family").into(), context: text(row, "context").into() })
}

#[test]
fn every_envelope_that_was_ever_written_down_is_sealed_again_and_opens() {
    for row in rows(&file("envelope-v1.json"), "vectors") {
        let key = DataKey::new("default", 1, State::Active, secret(&row, "data_key"));
        let id: KeyId = text(&row, "key_id").parse().unwrap();
        assert_eq!(key.id(), id, "{row}");
        let nonce = row.get("nonce").map_or_else(Vec::new, |_| hex(&row, "nonce"));
        let mut vault = Vault::new(Arc::new(Keys::new([key], [])), given(nonce));
        let (binding, canonical, envelope) = (binding(&row), hex(&row, "canonical"), hex(&row, "envelope"));

        let mut sealed = Vec::new();
        vault.seal("default", &binding, &canonical, &mut sealed, Instant::now()).unwrap();
        assert_eq!(sealed, envelope, "{row}");
        assert_eq!(sealed.len(), canonical.len() + binding.mode.overhead().unwrap());

        let mut opened = Vec::new();
        assert_eq!(vault.open(&binding, &envelope, &mut opened), Ok(id), "{row}");
        assert_eq!(opened, canonical, "{row}");

        let (mut as_text, mut from_text) = (Vec::new(), Vec::new());
        encode_text(&envelope, &mut as_text);
        assert_eq!(as_text, text(&row, "text").as_bytes(), "{row}");
        decode_text(&as_text, &mut from_text).unwrap();
        assert_eq!(from_text, envelope, "{row}");
    }
}

#[test]
fn every_wrapped_key_that_was_ever_written_down_is_wrapped_again_and_unwraps() {
    let file = file("keyring-v1.json");
    let kek = secret(&file, "kek");
    for row in rows(&file, "keys") {
        let (name, key) = (text(&row, "name"), secret(&row, "data_key"));
        let (id, wrapped) = (text(&row, "id").parse().unwrap(), hex(&row, "wrapped"));
        assert_eq!(key_id(&key), id, "{row}");
        let nonce = wrapped.first_chunk().unwrap();
        assert_eq!(wrap_key(&kek, nonce, name, id, &key).unwrap(), wrapped, "{row}");
        assert_eq!(unwrap_key(&kek, name, id, &wrapped).unwrap().expose(), key.expose(), "{row}");
    }
}

#[test]
fn every_keyring_that_was_ever_written_down_still_loads() {
    let file = file("keyring-v1.json");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.toml");
    for (name, content) in [("keyring.toml", text(&file, "keyring").into()), ("kek", hex(&file, "kek"))] {
        fs::write(folder.path().join(name), content).unwrap();
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let keys = keyring::load(&path, None).unwrap();
    for row in rows(&file, "keys") {
        let (name, state) = (text(&row, "name"), text(&row, "state"));
        let id = text(&row, "id").parse().unwrap();
        match keys.loaded(id) {
            Some(key) => assert_eq!((key.name.as_str(), key.state.as_str()), (name, state)),
            None => assert_eq!(keys.absent(id).map(|key| key.state.as_str()), Some(state), "{row}"),
        }
        assert_eq!(keys.active(name) == Some(id), state == "active", "{row}");
    }
    // Rewritten by this release, it says the same.
    let keyring = Keyring::read(&path).unwrap();
    assert_eq!(Keyring::parse(keyring.to_toml().as_bytes()), Ok(keyring));
}

#[test]
fn purposes_families_and_contexts_all_have_keys_of_their_own() {
    let key = Secret::new([1; 32]);
    let mut seen = Vec::new();
    for purpose in [Purpose::Seal, Purpose::Siv, Purpose::Order] {
        for (family, context) in [("text", "a"), ("text", "b"), ("int", "a"), ("tex", "t\0a"), ("text", "")] {
            let derived: Secret<32> = derive(&key, purpose, family, context);
            assert!(!seen.contains(derived.expose()), "{purpose:?} {family} {context:?}");
            seen.push(*derived.expose());
        }
    }
}
