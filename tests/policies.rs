//! The policies that users start from.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a failed expectation is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use pgseal::policy::Policy;

#[test]
fn every_example_policy_loads() {
    for path in examples() {
        let policy = Policy::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(policy.columns().count() > 2, "{} seals little", path.display());
    }
}

#[test]
fn every_example_policy_is_introduced_in_the_documentation() {
    let docs = fs::read_to_string(root().join("docs/policy.md")).unwrap();
    for path in examples() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(docs.contains(name), "docs/policy.md does not name {name}");
    }
}

/// The policies in the documentation are complete, and load.
#[test]
fn every_policy_in_the_documentation_loads() {
    let docs = fs::read_to_string(root().join("docs/policy.md")).unwrap();
    let blocks: Vec<_> =
        docs.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        Policy::parse(block, "docs/policy.md").unwrap_or_else(|problems| panic!("{problems}\n{block}"));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(root().join("policies")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "{paths:?}");
    paths
}
