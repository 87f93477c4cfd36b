use super::*;
use crate::keyring::{load, os_entropy};
use std::fs;

fn now() -> Timestamp {
    "2026-01-31T12:00:00.5Z".parse().unwrap()
}

/// A folder with a key-encryption key, and a keyring with one active key in it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.toml");
    let source: KekSource = "file:kek".parse().unwrap();
    source.create_if_absent(folder.path(), &mut os_entropy()).unwrap();
    let provider = source.open(folder.path()).unwrap();
    let mut keyring = Keyring::new("file:kek");
    keyring.add("default", State::Active, provider.as_ref(), &mut os_entropy(), now()).unwrap();
    keyring.create(&path, &mut os_entropy()).unwrap();
    (folder, path)
}

const ONE_KEY: &str = r#"
version = 1
kek = "file:kek"

[[key]]
name = "default"
version = 1
id = "0123abcd"
state = "active"
created = 2026-01-31T12:00:00Z
since = 2026-01-31T12:00:00Z

[[key.wrap]]
kek = "file:kek"
key = "AAAA"
"#;

#[test]
fn a_keyring_reads_back_as_it_was_written() {
    let (_folder, path) = folder();
    let keyring = Keyring::read(&path).unwrap();
    assert_eq!(Keyring::parse(keyring.to_toml().as_bytes()), Ok(keyring.clone()));
    let key = &keyring.keys[0];
    assert_eq!((key.to_string(), key.state, key.wraps.len()), ("default@1".into(), State::Active, 1));
    assert_eq!(key.created.to_string(), "2026-01-31T12:00:00Z", "to the second");
    let keys = load(&path, None).unwrap();
    assert_eq!(keys.active("default"), Some(key.id));
}

#[test]
fn texts_that_need_quoting_survive() {
    let mut keyring = Keyring::parse(ONE_KEY.as_bytes()).unwrap();
    keyring.kek = "file:C:\\ \"quoted\" \u{e9}\n".into();
    keyring.keys[0].wraps[0].kek = "later-kind:'x'".into();
    assert_eq!(Keyring::parse(keyring.to_toml().as_bytes()), Ok(keyring));
}

#[test]
fn every_fault_of_a_file_is_told_with_its_line_and_column() {
    let twice = ONE_KEY.split_once("[[key]]").map(|(_, key)| format!("\n[[key]]{key}")).unwrap();
    let second = |from: &str, to: &str| {
        let other = twice
            .replace("0123abcd", "89abcdef")
            .replace("version = 1", "version = 2")
            .replace("\"active\"", "\"retiring\"");
        format!("{ONE_KEY}{}", other.replace(from, to))
    };
    let changed = |from: &str, to: &str| ONE_KEY.replacen(from, to, 1);
    for (text, line, column, says) in [
        (changed("version = 1", "version = 2"), 2, 11, "reads version 1"),
        (changed("version = 1\n", ""), 1, 1, "version"),
        (changed("file:kek", "magic:kek"), 3, 7, "file:PATH"),
        (changed("kek = ", "keq = "), 3, 1, "unknown field"),
        (changed("state", "status"), 9, 1, "unknown field"),
        (changed("\"active\"", "\"aktive\""), 9, 9, "unknown variant"),
        (changed("\"default\"", "\"de fault\""), 6, 8, "no name"),
        (changed("\"default\"", "\"\""), 6, 8, "no name"),
        (changed("0123abcd", "0123ABCD"), 8, 6, "eight hexadecimal digits"),
        (changed("\nversion = 1\nid", "\nversion = 0\nid"), 7, 11, "from 1"),
        (changed("\nversion = 1\nid", "\nversion = -1\nid"), 7, 11, "invalid"),
        (changed("2026-01-31T12:00:00Z", "2026-01-31"), 10, 11, "a time is given as"),
        (changed("\"AAAA\"", "\"AAA=\""), 15, 7, "base64url"),
        (changed("\"AAAA\"", "\"AAB\""), 15, 7, "base64url"),
        (changed("\"AAAA\"", "\"\""), 15, 7, "1 to 4096"),
        (changed("\"active\"", "\"destroyed\""), 9, 9, "none once it is destroyed"),
        (
            changed(
                "[[key.wrap]]",
                "[[key.wrap]]\nkek=\"a\"\nkey=\"AAAA\"\n[[key.wrap]]\nkek=\"a\"\nkey=\"AAAA\"\n[[key.wrap]]",
            ),
            9,
            9,
            "two while",
        ),
        (
            changed("kek = \"file:kek\"\n\n[[key]]", "kek = \"file:kek\"\nkek = \"file:kek\"\n[[key]]"),
            4,
            1,
            "duplicate",
        ),
        (changed("[[key]]", "[[key]"), 5, 7, ""),
        (second("89abcdef", "0123abcd"), 20, 6, "default@1 has this id"),
        (second("version = 2", "version = 1"), 19, 11, "a default@1 already"),
        (second("\"retiring\"", "\"active\""), 21, 9, "default@1 is active already"),
    ] {
        let problem = Keyring::parse(text.as_bytes()).unwrap_err();
        assert!(problem.message.contains(says), "{problem} should say {says}");
        assert_eq!((problem.line, problem.column), (line, column), "{problem}\n{text}");
    }
    assert!(Keyring::parse(second("", "").as_bytes()).is_ok());
    let problem = Keyring::parse(b"version = 1\nkek = \"\xC3\xA9\xFF\"").unwrap_err();
    assert_eq!((problem.line, problem.column), (2, 9));
}

#[test]
fn a_file_cut_at_any_byte_never_reads_as_a_keyring_with_that_key() {
    for len in 0..ONE_KEY.len() - 1 {
        if let Ok(keyring) = Keyring::parse(&ONE_KEY.as_bytes()[..len]) {
            assert!(keyring.keys.is_empty(), "cut at {len}");
        }
    }
}

#[test]
fn a_drawn_key_whose_id_is_taken_is_drawn_again() {
    let (folder, _path) = folder();
    let provider = KekSource::File("kek".into()).open(folder.path()).unwrap();
    // The first two draws are equal; a nonce (24 bytes) lies between draws of keys (32 bytes).
    let mut draws = 0;
    let mut repeating: Entropy = Box::new(move |bytes| {
        let value = if bytes.len() == 32 { [7, 7, 7, 8][draws] } else { 0 };
        draws += usize::from(bytes.len() == 32);
        bytes.fill(value);
        Ok(())
    });
    let mut keyring = Keyring::new("file:kek");
    let mut add = |keyring: &mut Keyring, state| {
        keyring.add("k", state, provider.as_ref(), &mut repeating, now()).unwrap()
    };
    assert_eq!(add(&mut keyring, State::Active), key_id(&Secret::new([7; 32])));
    assert_eq!(add(&mut keyring, State::Staged), key_id(&Secret::new([8; 32])));
    assert_eq!(keyring.keys[1].to_string(), "k@2");
    let mut stuck: Entropy = Box::new(|bytes| {
        bytes.fill(7);
        Ok(())
    });
    let refused = keyring.add("k", State::Staged, provider.as_ref(), &mut stuck, now());
    assert!(matches!(refused, Err(KeyringError::Entropy(_))));
}

#[test]
fn a_key_is_never_added_under_another_kek_than_the_others() {
    let (folder, path) = folder();
    fs::write(folder.path().join("kek"), [1; 32]).unwrap();
    let other = KekSource::File("kek".into()).open(folder.path()).unwrap();
    let mut keyring = Keyring::read(&path).unwrap();
    let before = keyring.clone();
    let refused = keyring.add("new", State::Staged, other.as_ref(), &mut os_entropy(), now());
    assert!(matches!(refused, Err(KeyringError::Unwrap { .. })));
    assert_eq!(keyring, before);
}

#[test]
fn names_and_a_second_active_version_are_refused() {
    let (folder, _path) = folder();
    let provider = KekSource::File("kek".into()).open(folder.path()).unwrap();
    let mut keyring = Keyring::new("file:kek");
    let mut add = |name: &str, state| keyring.add(name, state, provider.as_ref(), &mut os_entropy(), now());
    for bad in ["", "a b", "a@1", "\u{e9}", "a\0", &"a".repeat(64)] {
        assert!(matches!(add(bad, State::Staged), Err(KeyringError::InvalidName { .. })), "{bad:?}");
    }
    for good in ["a", "A-b_c.9", &"a".repeat(63)] {
        add(good, State::Active).unwrap();
        assert!(matches!(add(good, State::Active), Err(KeyringError::ActiveAlready { .. })), "{good:?}");
        add(good, State::Staged).unwrap();
    }
}

#[test]
fn a_change_is_written_whole_or_not_at_all() {
    let (_folder, path) = folder();
    let before = fs::read(&path).unwrap();
    let failed = Keyring::update(&path, &mut os_entropy(), |keyring, _| {
        keyring.keys.clear();
        Err::<(), KeyringError>(KeyringError::ActiveAlready { name: "x".into() })
    });
    assert!(failed.is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
    // What a crash between writing and renaming leaves is never read.
    fs::write(path.with_file_name("keyring.toml.0123456789abcdef.tmp"), b"half a fi").unwrap();
    assert!(load(&path, None).is_ok());
    Keyring::update(&path, &mut os_entropy(), |keyring, _| {
        keyring.keys[0].state = State::Retiring;
        Ok::<(), KeyringError>(())
    })
    .unwrap();
    assert_eq!(Keyring::read(&path).unwrap().keys[0].state, State::Retiring);
}

#[test]
fn changes_made_at_once_are_all_kept() {
    let (folder, path) = folder();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (folder, path) = (folder.path(), &path);
            scope.spawn(move || {
                let provider = KekSource::File("kek".into()).open(folder).unwrap();
                for _ in 0..5 {
                    Keyring::update(path, &mut os_entropy(), |keyring, entropy| {
                        keyring.add(&format!("k{n}"), State::Staged, provider.as_ref(), entropy, now())
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(load(&path, None).unwrap().iter().count(), 1 + 4 * 5);
}

#[test]
fn a_keyring_is_never_created_over_another() {
    let (_folder, path) = folder();
    let before = fs::read(&path).unwrap();
    let refused = Keyring::new("file:kek").create(&path, &mut os_entropy()).unwrap_err().to_string();
    assert!(refused.contains("exists already"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_wrong_or_missing_kek_is_named_with_the_key_that_needs_it() {
    let (folder, path) = folder();
    let kek = folder.path().join("kek");
    let right = fs::read(&kek).unwrap();
    fs::write(&kek, [0; 32]).unwrap();
    let error = load(&path, None).unwrap_err().to_string();
    assert!(error.contains("default@1") && error.contains("file:kek"), "{error}");
    fs::remove_file(&kek).unwrap();
    let error = load(&path, None).unwrap_err().to_string();
    assert!(error.contains("file:kek") && error.contains("No such file"), "{error}");
    let elsewhere = folder.path().join("elsewhere");
    disk::write_new(&elsewhere, &right, &mut os_entropy()).unwrap();
    assert!(load(&path, Some(&format!("file:{}", elsewhere.display()))).is_ok());
    assert!(load(&path, Some("nonsense")).is_err());
}

#[test]
fn one_of_two_wraps_is_enough_and_archived_keys_stay_wrapped() {
    let (folder, path) = folder();
    let new: KekSource = "file:new-kek".parse().unwrap();
    new.create_if_absent(folder.path(), &mut os_entropy()).unwrap();
    let new = new.open(folder.path()).unwrap();
    Keyring::update(&path, &mut os_entropy(), |keyring, entropy| {
        keyring.kek = "file:new-kek".into();
        let archived = keyring.add("old", State::Staged, new.as_ref(), entropy, now())?;
        let entry = keyring.keys.iter_mut().find(|key| key.id == archived).unwrap();
        entry.state = State::Archived;
        entry.wraps[0].key = vec![0];
        keyring.keys[0].wraps.insert(0, Wrap { kek: "later-kind:x".into(), key: vec![1, 2, 3] });
        Ok::<(), KeyringError>(())
    })
    .unwrap();
    let keys = load(&path, None).unwrap();
    let keyring = Keyring::read(&path).unwrap();
    assert_eq!(keys.active("default"), Some(keyring.keys[0].id));
    assert_eq!(keys.absent(keyring.keys[1].id).unwrap().state, State::Archived);
}

#[test]
fn a_wrap_moved_to_another_name_or_id_does_not_unwrap() {
    let (_folder, path) = folder();
    let keyring = Keyring::read(&path).unwrap();
    for change in [|key: &mut Entry| key.name = "other".into(), |key: &mut Entry| key.id.0[0] ^= 1] {
        let mut changed = keyring.clone();
        change(&mut changed.keys[0]);
        assert!(matches!(changed.unlock(&path, &mut Keks::default()), Err(KeyringError::Unwrap { .. })));
    }
}

#[test]
fn an_unwrapped_key_must_have_the_id_that_the_file_says() {
    let (folder, path) = folder();
    let provider = KekSource::File("kek".into()).open(folder.path()).unwrap();
    let mut keyring = Keyring::read(&path).unwrap();
    let (name, id) = (keyring.keys[0].name.clone(), keyring.keys[0].id);
    let context = WrapContext { name: &name, id };
    let other = provider.wrap(context, &Secret::new([1; 32]), &mut os_entropy()).unwrap();
    keyring.keys[0].wraps[0].key = other;
    assert!(matches!(keyring.unlock(&path, &mut Keks::default()), Err(KeyringError::WrongId { .. })));
}
