//! What the documents say and a machine can check: links lead somewhere, commands and variables exist, policies load, and each reason
//! for a refusal is explained.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: a failed expectation is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pgseal::policy::Policy;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Variables that are no flag's: of logs, of key-encryption keys, and of the tests.
const OTHER_VARIABLES: &[&str] = &["PGSEAL_LOG", "PGSEAL_PKCS11_MODULE", "PGSEAL_PKCS11_PIN"];
const OF_TESTS: &[&str] = &["PGSEAL_TEST_", "PGSEAL_BLESS", "PGSEAL_DRIVERS_"];

/// A page and its text.
struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    fn name(&self) -> String {
        self.path.strip_prefix(ROOT).unwrap().display().to_string()
    }

    /// Blocks of code, fenced or indented, with the word behind the fence.
    fn blocks(&self) -> Vec<(&str, String)> {
        let mut blocks: Vec<(&str, String)> = Vec::new();
        // Its word, and whether it is fenced.
        let mut open: Option<(&str, bool)> = None;
        let mut was_blank = true;
        for line in self.text.lines() {
            match (open, line.strip_prefix("```"), line.strip_prefix("    ")) {
                (Some((_, true)), Some(_), _) => open = None,
                (Some((_, true)), None, _) => append(&mut blocks, line),
                (_, Some(kind), _) => {
                    open = Some((kind, true));
                    blocks.push((kind, String::new()));
                }
                (Some((_, false)), None, Some(code)) => append(&mut blocks, code),
                (None, None, Some(code)) if was_blank => {
                    open = Some(("", false));
                    blocks.push(("", String::new()));
                    append(&mut blocks, code);
                }
                (_, None, _) => open = open.filter(|_| line.is_empty()),
            }
            was_blank = line.is_empty();
        }
        blocks
    }

    /// The anchors of its headings, as the common renderers make them.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
    }
}

fn append(blocks: &mut [(&str, String)], line: &str) {
    let (_, block) = blocks.last_mut().unwrap();
    block.push_str(line);
    block.push('\n');
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn pages() -> Vec<Page> {
    let mut paths = vec![PathBuf::from(ROOT).join("README.md"), PathBuf::from(ROOT).join("CHANGELOG.md")];
    for entry in fs::read_dir(Path::new(ROOT).join("docs")).unwrap() {
        paths.push(entry.unwrap().path());
    }
    paths.sort();
    let read = |path: PathBuf| Page { text: fs::read_to_string(&path).unwrap(), path };
    let pages: Vec<Page> = paths.into_iter().map(read).collect();
    assert!(pages.len() > 10, "the pages were not found");
    pages
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let (mut links, mut problems) = (0, Vec::new());
    for page in &pages {
        for rest in page.text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            if target.starts_with("http://") || target.starts_with("https://") {
                continue;
            }
            links += 1;
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let path =
                if file.is_empty() { page.path.clone() } else { page.path.parent().unwrap().join(file) };
            if !path.exists() {
                problems.push(format!("{}: {target}: there is no such file", page.name()));
            } else if !place.is_empty() {
                let path = path.canonicalize().unwrap();
                let there = Page { text: fs::read_to_string(&path).unwrap(), path };
                if !there.anchors().contains(place) {
                    problems.push(format!("{}: {target}: there is no such heading", page.name()));
                }
            }
        }
    }
    assert!(links > 50, "links were not found");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn commands_are_understood() {
    let (mut commands, mut problems) = (0, Vec::new());
    for page in &pages() {
        for (kind, block) in page.blocks() {
            for line in block.replace("\\\n", " ").lines() {
                let Some(words) = command(line) else { continue };
                commands += 1;
                if let Err(error) = pgseal::cli::command().try_get_matches_from(&words)
                    && error.use_stderr()
                    // Variables may give what is not there.
                    && error.kind() != clap::error::ErrorKind::MissingRequiredArgument
                {
                    let first = error.to_string().lines().next().unwrap().to_owned();
                    problems.push(format!("{} ({kind}): {line}: {first}", page.name()));
                }
            }
        }
    }
    assert!(commands > 50, "only {commands} commands were found");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The words of a line that calls the program; none if it does not, or shows a choice of flags.
fn command(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start();
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let line = line.strip_prefix("until ").unwrap_or(line);
    let line = ["; do", " | ", " > ", " # ", " && ", "  ("]
        .iter()
        .fold(line, |line, end| line.split(end).next().unwrap());
    let is_synopsis = line.contains(['[', '|']) || line.contains("...") || line.contains("FILE NAME");
    // A list of commands, each with what it does behind it.
    let is_list =
        line.split_once("  ").is_some_and(|(_, rest)| rest.trim_start().starts_with(char::is_lowercase));
    (line.starts_with("pgseal ") && !is_synopsis && !is_list)
        .then(|| words(&line.replace("NAME@N", "default@1")))
}

/// Splits as a shell does, as far as quotes go.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ' ') => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            (_, c) => word.push(c),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[test]
fn policies_load() {
    let (mut policies, mut problems) = (0, Vec::new());
    for page in &pages() {
        for (kind, block) in page.blocks() {
            if kind != "toml" || !block.contains("version = 1") || !block.contains("[table") {
                continue;
            }
            policies += 1;
            if let Err(error) = Policy::parse(&block, &page.name()) {
                problems.push(format!("{}: {error}\n{block}", page.name()));
            }
        }
    }
    assert!(policies >= 3, "only {policies} policies were found");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn variables_exist() {
    let known = variables();
    let mut problems = Vec::new();
    let mut places: Vec<PathBuf> = pages().into_iter().map(|page| page.path).collect();
    collect(&Path::new(ROOT).join("packaging"), &mut places);
    places.push(Path::new(ROOT).join("Dockerfile"));
    for path in places {
        let text = fs::read_to_string(&path).unwrap();
        for rest in text.split("PGSEAL_").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
            let name = format!("PGSEAL_{}", &rest[..end.unwrap_or(rest.len())]);
            let is_of_tests =
                path.ends_with("docs/testing.md") || OF_TESTS.iter().any(|start| name.starts_with(start));
            if name != "PGSEAL_" && !known.contains(&name) && !is_of_tests {
                problems.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(problems.is_empty(), "no such variables:\n{}", problems.join("\n"));
}

/// The variables of all flags of all commands.
fn variables() -> BTreeSet<String> {
    fn visit(command: &clap::Command, found: &mut BTreeSet<String>) {
        let of_flag = |flag: &clap::Arg| flag.get_env().map(|name| name.to_string_lossy().into_owned());
        found.extend(command.get_arguments().filter_map(of_flag));
        command.get_subcommands().for_each(|command| visit(command, found));
    }
    let mut found = OTHER_VARIABLES.iter().map(|name| (*name).to_owned()).collect();
    visit(&pgseal::cli::command(), &mut found);
    found
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, paths) } else { paths.push(path) }
    }
}

#[test]
fn each_reason_for_a_refusal_is_explained() {
    let source = fs::read_to_string(Path::new(ROOT).join("src/sql/refusal.rs")).unwrap();
    let labels: Vec<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Reason::")?.split_once(" => \""))
        .map(|(_, label)| label.trim_end_matches("\","))
        .collect();
    assert!(labels.len() > 30, "the reasons were not found");
    let page = fs::read_to_string(Path::new(ROOT).join("docs/errors.md")).unwrap();
    let missing: Vec<_> = labels.iter().filter(|label| !page.contains(&format!("\n### {label}\n"))).collect();
    assert!(missing.is_empty(), "docs/errors.md lacks {missing:?}");
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let pages = pages();
    let by_name: BTreeMap<String, &Page> = pages.iter().map(|page| (page.name(), page)).collect();
    let (mut seen, mut next) = (BTreeSet::new(), vec!["README.md".to_owned()]);
    while let Some(name) = next.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let folder = if name.starts_with("docs/") { "docs/" } else { "" };
        for rest in by_name[&name].text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            let target = format!("{folder}{target}");
            next.extend(Some(target).filter(|target| by_name.contains_key(target)));
        }
    }
    let lost: Vec<_> =
        by_name.keys().filter(|name| !seen.contains(*name) && *name != "CHANGELOG.md").collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}
