use super::*;
use crate::crypto::HEADER_LEN;
use crate::keyring::{AbsentKey, DataKey};
use crate::secret::Secret;
use std::collections::HashSet;

/// Bytes that count up, so that no two draws are equal and every run is.
fn counting() -> Entropy {
    let mut next = 0_u64;
    Box::new(move |bytes| {
        next += 1;
        bytes.fill(0);
        bytes.iter_mut().rev().zip(next.to_le_bytes()).for_each(|(b, n)| *b = n);
        Ok(())
    })
}

fn key(byte: u8, state: State) -> DataKey {
    DataKey::new("default", u32::from(byte), state, Secret::new([byte; 32]))
}

fn vault(keys: impl IntoIterator<Item = DataKey>) -> Vault {
    Vault::new(Arc::new(Keys::new(keys, [])), counting())
}

fn binding(mode: Mode, family: &str, context: &str) -> Arc<Binding> {
    Arc::new(Binding { mode, family: family.into(), context: context.into() })
}

fn seal(vault: &mut Vault, binding: &Arc<Binding>, value: &[u8], now: Instant) -> Vec<u8> {
    let mut out = b"kept".to_vec();
    vault.seal("default", binding, value, &mut out, now).unwrap();
    assert_eq!(out[..4], *b"kept");
    out.split_off(4)
}

fn open(vault: &mut Vault, binding: &Arc<Binding>, envelope: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut out = b"kept".to_vec();
    let result = vault.open(binding, envelope, &mut out);
    let opened = out.split_off(4);
    assert_eq!(out, *b"kept");
    assert!(result.is_ok() || opened.is_empty(), "a value that does not open leaves nothing");
    result.map(|_| opened)
}

const MODES: [Mode; 2] = [Mode::Randomized, Mode::Deterministic];

#[test]
fn values_of_every_size_come_back_with_the_overhead_of_their_mode() {
    let mut vault = vault([key(1, State::Active)]);
    for mode in MODES {
        let binding = binding(mode, "text", "public.users.email");
        for len in (0..70).chain([255, 4096, 1_000_001]) {
            let value = vec![0x61; len];
            let envelope = seal(&mut vault, &binding, &value, Instant::now());
            assert_eq!(envelope.len(), len + mode.overhead().unwrap());
            assert_eq!(open(&mut vault, &binding, &envelope), Ok(value), "{mode} {len}");
        }
    }
}

#[test]
fn every_flipped_bit_and_every_cut_makes_an_envelope_unopenable() {
    let mut vault = vault([key(1, State::Active)]);
    for mode in MODES {
        let binding = binding(mode, "text", "public.users.email");
        for value in [&b""[..], b"a", b"a value of more than one block"] {
            let envelope = seal(&mut vault, &binding, value, Instant::now());
            for at in 0..envelope.len() {
                for bit in 0..8 {
                    let mut changed = envelope.clone();
                    changed[at] ^= 1 << bit;
                    assert!(open(&mut vault, &binding, &changed).is_err(), "{mode} byte {at} bit {bit}");
                }
                assert!(open(&mut vault, &binding, &envelope[..at]).is_err(), "{mode} cut at {at}");
            }
            let longer = [&envelope[..], b"x"].concat();
            assert!(open(&mut vault, &binding, &longer).is_err(), "{mode} with a byte more");
        }
    }
}

#[test]
fn a_value_opens_only_under_its_own_binding() {
    let mut vault = vault([key(1, State::Active)]);
    let id = key(1, State::Active).id();
    for mode in MODES {
        let own = binding(mode, "text", "a.b.c");
        let envelope = seal(&mut vault, &own, b"value", Instant::now());
        for (family, context) in [("bytes", "a.b.c"), ("text", "a.b.d"), ("text", "a.b.c\0"), ("text", "")] {
            let other = binding(mode, family, context);
            let expected = Err(OpenError::NotAuthentic { id });
            assert_eq!(open(&mut vault, &other, &envelope), expected, "{mode} {family} {context}");
        }
        let (found, expected) = (mode, if mode == MODES[0] { MODES[1] } else { MODES[0] });
        let other_mode = binding(expected, "text", "a.b.c");
        assert_eq!(open(&mut vault, &other_mode, &envelope), Err(OpenError::WrongMode { found, expected }));
        let equal = binding(mode, "text", "a.b.c");
        assert_eq!(
            open(&mut vault, &equal, &envelope),
            Ok(b"value".to_vec()),
            "another Arc of the same binding"
        );
    }
}

#[test]
fn equal_values_have_equal_envelopes_only_when_deterministic() {
    let mut vault = vault([key(1, State::Active)]);
    let now = Instant::now();
    let random = binding(Mode::Randomized, "text", "t");
    assert_ne!(seal(&mut vault, &random, b"v", now), seal(&mut vault, &random, b"v", now));
    let deterministic = binding(Mode::Deterministic, "text", "t");
    let sealed = seal(&mut vault, &deterministic, b"v", now);
    assert_eq!(seal(&mut vault, &deterministic, b"v", now), sealed);
    assert_ne!(seal(&mut vault, &deterministic, b"w", now), sealed);
    assert_ne!(seal(&mut vault, &binding(Mode::Deterministic, "text", "u"), b"v", now), sealed);
}

#[test]
fn staged_and_retiring_keys_open_and_only_the_active_one_seals() {
    let column = binding(Mode::Deterministic, "text", "t");
    let old = seal(&mut vault([key(1, State::Active)]), &column, b"v", Instant::now());
    let new = seal(&mut vault([key(2, State::Active)]), &column, b"v", Instant::now());
    for (first, second, sealed) in
        [(State::Active, State::Staged, &old), (State::Retiring, State::Active, &new)]
    {
        let mut vault = vault([key(1, first), key(2, second)]);
        assert_eq!(open(&mut vault, &column, &old), Ok(b"v".to_vec()));
        assert_eq!(open(&mut vault, &column, &new), Ok(b"v".to_vec()));
        assert_eq!(seal(&mut vault, &column, b"v", Instant::now()), *sealed);
    }
}

#[test]
fn keys_that_are_not_held_are_named_with_the_reason() {
    let column = binding(Mode::Randomized, "text", "t");
    let sealed = seal(&mut vault([key(1, State::Active)]), &column, b"v", Instant::now());
    let id = key(1, State::Active).id();
    let unknown = open(&mut vault([key(2, State::Active)]), &column, &sealed);
    assert_eq!(unknown, Err(OpenError::UnknownKey { id }));
    for state in [State::Archived, State::Destroyed] {
        let absent = AbsentKey { name: "default".into(), version: 1, id, state };
        let mut vault = Vault::new(Arc::new(Keys::new([key(2, State::Active)], [absent])), counting());
        let expected = OpenError::NotLoaded { id, name: "default@1".into(), state };
        let told = expected.client_error();
        assert_eq!(open(&mut vault, &column, &sealed), Err(expected));
        let detail = told.detail.unwrap();
        assert!(detail.contains(&id.to_string()) && detail.contains(state.as_str()), "{detail}");
    }
    let mut none = vault([key(1, State::Staged)]);
    let refused = none.seal("default", &column, b"v", &mut Vec::new(), Instant::now());
    assert_eq!(refused, Err(SealError::NoActiveKey("default".into())));
}

#[test]
fn another_snapshot_takes_effect_at_once_and_forgets_keys_that_are_gone() {
    let column = binding(Mode::Randomized, "text", "t");
    let mut vault = vault([key(1, State::Active)]);
    let sealed = seal(&mut vault, &column, b"v", Instant::now());
    assert!(open(&mut vault, &column, &sealed).is_ok());
    vault.use_keys(Arc::new(Keys::new([key(2, State::Active)], [])));
    assert_eq!(
        open(&mut vault, &column, &sealed),
        Err(OpenError::UnknownKey { id: key(1, State::Active).id() })
    );
    let sealed = seal(&mut vault, &column, b"v", Instant::now());
    assert_eq!(sealed[2..HEADER_LEN], key(2, State::Active).id().0);
}

fn nonce(envelope: &[u8]) -> ([u8; 12], [u8; 12]) {
    (envelope[6..18].try_into().unwrap(), envelope[18..30].try_into().unwrap())
}

#[test]
fn nonces_count_up_within_a_frame_and_are_drawn_again_for_the_next() {
    let mut vault = vault([key(1, State::Active)]);
    let (a, b) = (binding(Mode::Randomized, "text", "a"), binding(Mode::Randomized, "text", "b"));
    let now = Instant::now();
    // The entropy counts its draws: prefix of a is 1, the frame starts at 2, prefix of b is 3, and so on.
    let number = |bytes: [u8; 12]| u64::from_be_bytes(bytes[4..].try_into().unwrap());
    let mut sealed = |binding: &Arc<Binding>, new_frame: bool| {
        if new_frame {
            vault.begin_frame();
        }
        let (prefix, nonce) = nonce(&seal(&mut vault, binding, b"v", now));
        (number(prefix), number(nonce))
    };
    assert_eq!(sealed(&a, true), (1, 2));
    assert_eq!(sealed(&a, false), (1, 3));
    assert_eq!(sealed(&b, false), (3, 4));
    assert_eq!(sealed(&a, true), (1, 4));
    assert_eq!(sealed(&b, true), (3, 5));
    assert_eq!(sealed(&b, false), (3, 6));
}

#[test]
fn a_frame_whose_nonces_start_at_the_end_of_their_range_goes_on_at_its_beginning() {
    let mut vault = Vault::new(
        Arc::new(Keys::new([key(1, State::Active)], [])),
        Box::new(|bytes| {
            bytes.fill(0xFF);
            Ok(())
        }),
    );
    let column = binding(Mode::Randomized, "text", "a");
    for expected in [[0xFF; 12], [0; 12]] {
        let sealed = seal(&mut vault, &column, b"v", Instant::now());
        assert_eq!(nonce(&sealed).1, expected);
        assert_eq!(open(&mut vault, &column, &sealed), Ok(b"v".to_vec()));
    }
}

#[test]
fn a_prefix_is_replaced_after_a_minute_and_after_its_share_of_values() {
    let mut vault = vault([key(1, State::Active)]);
    let column = binding(Mode::Randomized, "text", "a");
    let start = Instant::now();
    let prefix_at = |vault: &mut Vault, after: u64| {
        nonce(&seal(vault, &column, b"", start + Duration::from_secs(after))).0
    };
    let first = prefix_at(&mut vault, 0);
    assert_eq!(prefix_at(&mut vault, 59), first);
    let second = prefix_at(&mut vault, 60);
    assert_ne!(second, first);
    for derived in vault.derived.values_mut() {
        derived.sealer.as_mut().unwrap().values = PREFIX_VALUES - 1;
    }
    assert_eq!(prefix_at(&mut vault, 60), second);
    assert_ne!(prefix_at(&mut vault, 60), second);
}

#[test]
fn no_nonce_is_used_twice_under_one_derived_key() {
    let mut vault =
        Vault::new(Arc::new(Keys::new([key(1, State::Active)], [])), crate::keyring::os_entropy());
    let columns = ["a", "b", "c"].map(|context| binding(Mode::Randomized, "text", context));
    let start = Instant::now();
    let mut seen = HashSet::new();
    for frame in 0..200 {
        vault.begin_frame();
        for (at, column) in (0..30).flat_map(|_| columns.iter().enumerate()) {
            let now = start + Duration::from_secs(frame);
            assert!(seen.insert((at, nonce(&seal(&mut vault, column, b"v", now)))));
        }
    }
    assert_eq!(seen.len(), 200 * 30 * 3);
}

#[test]
fn nothing_is_sealed_without_randomness_and_the_output_stays() {
    let keys = Arc::new(Keys::new([key(1, State::Active)], []));
    for draws in [0, 1] {
        let mut left = draws;
        let dry: Entropy = Box::new(move |_| {
            left -= 1;
            if left < 0 { Err(EntropyError) } else { Ok(()) }
        });
        let mut vault = Vault::new(Arc::clone(&keys), dry);
        let mut out = b"kept".to_vec();
        let column = binding(Mode::Randomized, "text", "a");
        let refused = vault.seal("default", &column, b"v", &mut out, Instant::now());
        assert_eq!((refused, out), (Err(SealError::Entropy(EntropyError)), b"kept".to_vec()), "{draws}");
    }
}

#[test]
fn the_caches_stay_bounded_and_what_they_forgot_still_opens() {
    let mut vault = vault([key(1, State::Active)]);
    let mut sealed = Vec::new();
    for n in 0..DERIVED_KEYS + 200 {
        let column = binding(Mode::Randomized, "text", &format!("public.t.c{n}"));
        sealed.push((seal(&mut vault, &column, b"v", Instant::now()), column));
        assert!(vault.derived.len() <= DERIVED_KEYS);
    }
    for (envelope, column) in &sealed {
        assert_eq!(open(&mut vault, column, envelope), Ok(b"v".to_vec()));
    }
    let column = binding(Mode::Randomized, "text", "one");
    let start = Instant::now();
    let many: Vec<_> = (0..1000_u64)
        .map(|n| seal(&mut vault, &column, &n.to_be_bytes(), start + Duration::from_secs(n * 61)))
        .collect();
    for _ in 0..2 {
        for (n, envelope) in (0_u64..).zip(&many) {
            assert_eq!(open(&mut vault, &column, envelope), Ok(n.to_be_bytes().to_vec()));
        }
    }
}

#[test]
fn mode_ordered_is_recognised_and_says_that_it_is_not_there_yet() {
    let mut vault = vault([key(1, State::Active)]);
    let column = binding(Mode::Ordered, "int", "t");
    let refused = vault.seal("default", &column, b"12345678", &mut Vec::new(), Instant::now());
    assert_eq!(refused, Err(SealError::OrderedNotSupported));
    let id = key(1, State::Active).id();
    let envelope = crate::crypto::Header { mode: Mode::Ordered, key_id: id }.to_bytes();
    assert_eq!(open(&mut vault, &column, &envelope), Err(OpenError::OrderedNotSupported { id }));
}

#[test]
fn errors_for_clients_hold_no_byte_of_the_value() {
    let mut vault = vault([key(1, State::Active)]);
    let column = binding(Mode::Randomized, "text", "t");
    for bytes in [&b"canary"[..], b"\xE5canary", b"\xE5\x10canarycanary", b""] {
        let error = open(&mut vault, &column, bytes).unwrap_err().client_error();
        assert_eq!(error.code, SqlState::DATA_CORRUPTED);
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[test]
fn a_value_larger_than_an_envelope_may_be_is_refused_before_it_is_copied() {
    let mut vault = vault([key(1, State::Active)]);
    let value = vec![0; MAX_ENVELOPE - 21];
    let column = binding(Mode::Deterministic, "bytes", "t");
    let refused = vault.seal("default", &column, &value, &mut Vec::new(), Instant::now()).unwrap_err();
    assert_eq!(refused, SealError::TooLarge { bytes: value.len() });
    assert_eq!(refused.client_error().code, SqlState::PROGRAM_LIMIT_EXCEEDED);
}
