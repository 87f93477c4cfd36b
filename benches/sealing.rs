//! What sealing and opening one value costs with warm caches, what it costs when nothing is cached, and what it would
//! cost at least: AES-256-GCM alone, of the same crate and of ring.

use std::sync::Arc;
use std::time::Instant;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _};
use divan::{Bencher, black_box};
use pgseal::crypto::{Binding, Mode, decode_text, encode_text};
use pgseal::keyring::{DataKey, Keys, State, Vault, os_entropy};
use pgseal::secret::Secret;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Sizes of canonical values, in bytes.
const SIZES: [usize; 4] = [8, 32, 100, 4096];
const MODES: [Mode; 2] = [Mode::Randomized, Mode::Deterministic];

fn main() {
    divan::main();
}

fn vault() -> Vault {
    let key = DataKey::new("default", 1, State::Active, Secret::new([7; 32]));
    Vault::new(Arc::new(Keys::new([key], [])), os_entropy())
}

fn column(mode: Mode) -> Arc<Binding> {
    Arc::new(Binding { mode, family: "text".into(), context: "public.users.email".into() })
}

fn sealed(vault: &mut Vault, column: &Arc<Binding>, size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let sealed = vault.seal("default", column, &vec![0x61; size], &mut out, Instant::now());
    assert_eq!(sealed, Ok(()));
    out
}

#[divan::bench(args = MODES, consts = SIZES)]
fn seal<const SIZE: usize>(bencher: Bencher<'_, '_>, mode: &Mode) {
    let (mut vault, column, value, now) = (vault(), column(*mode), vec![0x61; SIZE], Instant::now());
    let mut out = Vec::with_capacity(SIZE + 64);
    bencher.bench_local(|| {
        out.clear();
        vault.seal("default", &column, black_box(&value), &mut out, now)
    });
}

#[divan::bench(args = MODES, consts = SIZES)]
fn open<const SIZE: usize>(bencher: Bencher<'_, '_>, mode: &Mode) {
    let (mut vault, column) = (vault(), column(*mode));
    let envelope = sealed(&mut vault, &column, SIZE);
    let mut out = Vec::with_capacity(SIZE);
    bencher.bench_local(|| {
        out.clear();
        vault.open(&column, black_box(&envelope), &mut out)
    });
}

/// As long as what a value is bound to.
const ASSOCIATED: &[u8] = b"\xe5\x10\x01\x02\x03\x04public.users.email";

/// The cipher under randomized values alone, under one key and nonce.
#[divan::bench(consts = SIZES)]
fn limit_of_aes_gcm<const SIZE: usize>(bencher: Bencher<'_, '_>) {
    let (cipher, nonce) = (Aes256Gcm::new(&[7; 32].into()), [1; 12].into());
    let (value, mut out) = (vec![0x61; SIZE], vec![0; SIZE]);
    bencher.bench_local(|| {
        let buffer = InOutBuf::new(black_box(&value), &mut out).ok()?;
        cipher.encrypt_inout_detached(&nonce, ASSOCIATED, buffer).ok()
    });
}

/// The same of ring.
#[divan::bench(consts = SIZES)]
fn limit_of_ring<const SIZE: usize>(bencher: Bencher<'_, '_>) {
    let Ok(key) = UnboundKey::new(&AES_256_GCM, &[7; 32]) else { return };
    let (key, value, mut out) = (LessSafeKey::new(key), vec![0x61; SIZE], vec![0; SIZE]);
    bencher.bench_local(|| {
        out.copy_from_slice(black_box(&value));
        let nonce = Nonce::assume_unique_for_key([1; 12]);
        key.seal_in_place_separate_tag(nonce, Aad::from(ASSOCIATED), &mut out).map(|tag| tag.as_ref().len())
    });
}

/// The first value of a frame: a nonce is drawn.
#[divan::bench]
fn seal_first_of_a_frame(bencher: Bencher<'_, '_>) {
    let (mut vault, column, now) = (vault(), column(Mode::Randomized), Instant::now());
    let mut out = Vec::with_capacity(128);
    bencher.bench_local(|| {
        out.clear();
        vault.begin_frame();
        vault.seal("default", &column, black_box(b"a value of thirty-two bytes here"), &mut out, now)
    });
}

/// A nonce prefix that was not met before: its subkey is derived.
#[divan::bench]
fn open_with_a_prefix_not_met_before(bencher: Bencher<'_, '_>) {
    let column = column(Mode::Randomized);
    // Each vault draws a prefix of its own; more of them than are kept.
    let envelopes: Vec<_> = (0..4096).map(|_| sealed(&mut vault(), &column, 32)).collect();
    let (mut vault, mut out, mut at) = (vault(), Vec::with_capacity(32), 0);
    bencher.bench_local(|| {
        out.clear();
        at = (at + 1) % envelopes.len();
        envelopes.get(at).map(|envelope| vault.open(&column, black_box(envelope), &mut out).is_ok())
    });
}

/// A column not met before: its keys are derived.
#[divan::bench(args = MODES)]
fn derive_keys_and_seal(bencher: Bencher<'_, '_>, mode: &Mode) {
    let (mut vault, now, mut out) = (vault(), Instant::now(), Vec::with_capacity(128));
    bencher.with_inputs(|| column(*mode)).bench_local_values(|column| {
        out.clear();
        vault.seal("default", &column, b"a value of thirty-two bytes here", &mut out, now)
    });
}

#[divan::bench]
fn text_form(bencher: Bencher<'_, '_>) {
    let (mut vault, column) = (vault(), column(Mode::Deterministic));
    let envelope = sealed(&mut vault, &column, 32);
    let (mut text, mut back) = (Vec::with_capacity(128), Vec::with_capacity(128));
    bencher.bench_local(|| {
        text.clear();
        back.clear();
        encode_text(black_box(&envelope), &mut text);
        decode_text(&text, &mut back)
    });
}
