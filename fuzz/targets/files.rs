//! Files that people write: policies and keyrings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgseal::keyring::Keyring;
use pgseal::policy::Policy;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        match Policy::parse(text, "policy.toml") {
            Ok(policy) => {
                let _ = policy.digest();
                assert!(policy.columns().all(|(name, _)| policy.column(&name).is_some()));
            }
            // A report points into the file, and can be printed.
            Err(problems) => drop(problems.to_string()),
        }
    }
    if let Ok(keyring) = Keyring::parse(data) {
        let text = keyring.to_toml();
        let again = Keyring::parse(text.as_bytes()).expect("what is written can be read");
        assert_eq!(text, again.to_toml());
    }
});
