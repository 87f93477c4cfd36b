//! `pgseal config`.

use std::ffi::OsStr;
use std::io::Write;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

use super::{Given, is_number, known, leaf};
use crate::cli::Exit;

/// Prints all settings.
///
/// # Errors
/// They cannot be written.
pub(in crate::cli) fn print(given: &Given, out: &mut impl Write) -> anyhow::Result<Exit> {
    let (command, matches) = leaf(&given.command, &given.matches);
    let mut lines = Vec::new();
    for setting in known(&given.command) {
        // This command has the same flags.
        let has_flag = command.get_arguments().any(|flag| flag.get_id() == setting.get_id());
        if has_flag {
            lines.push((shown(setting, matches), given.source(setting, matches)));
        }
    }
    let width = lines.iter().map(|(setting, _)| setting.chars().count()).filter(|width| *width < 60).max();
    for (setting, source) in lines {
        writeln!(out, "{setting:width$}  # {source}", width = width.unwrap_or(0))?;
    }
    Ok(Exit::Success)
}

impl Given {
    fn source(&self, setting: &Arg, matches: &ArgMatches) -> String {
        let id = setting.get_id().as_str();
        if let Some(taken) =
            self.file.settings.iter().find(|taken| taken.id == id && self.taken.iter().any(|t| t == id))
        {
            return format!("{}:{}", self.file.path.display(), taken.line);
        }
        match matches.value_source(id) {
            Some(ValueSource::CommandLine) => format!("--{}", setting.get_long().unwrap_or(id)),
            Some(ValueSource::EnvVariable) => {
                setting.get_env().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
            }
            // Any other source is not of this version of clap.
            Some(ValueSource::DefaultValue | _) => "default".to_owned(),
            None => "not set".to_owned(),
        }
    }
}

/// As it would stand in a file.
fn shown(setting: &Arg, matches: &ArgMatches) -> String {
    let id = setting.get_id().as_str();
    let name = setting.get_long().unwrap_or(id);
    if !setting.get_action().takes_values() {
        return format!("{name} = {}", matches.get_flag(id));
    }
    let Some(values) = matches.get_raw(id) else { return format!("# {name}") };
    let values: Vec<_> = values.map(|value| value_text(setting, value)).collect();
    if matches!(setting.get_action(), ArgAction::Append) {
        format!("{name} = [{}]", values.join(", "))
    } else {
        format!("{name} = {}", values.concat())
    }
}

fn value_text(setting: &Arg, value: &OsStr) -> String {
    let text = value.to_string_lossy();
    if is_number(setting.get_value_parser()) {
        return text.into_owned();
    }
    let text = if setting.is_hide_env_values_set() { without_passwords(&text) } else { text.into_owned() };
    toml::Value::String(text).to_string()
}

const HIDDEN: &str = "***";

/// A connection string without what must not be seen. In doubt more is hidden.
fn without_passwords(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", url_without_passwords(rest)),
        None => pairs_without_passwords(text),
    }
}

fn url_without_passwords(rest: &str) -> String {
    // A password may hold any of the other signs.
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let user = user.map(|user| match user.split_once(':') {
        Some((name, _)) => format!("{name}:{HIDDEN}@"),
        None => format!("{user}@"),
    });
    let place = match place.split_once('?') {
        Some((place, query)) => {
            let query: Vec<_> = query.split('&').map(parameter_without_password).collect();
            format!("{place}?{}", query.join("&"))
        }
        None => place.to_owned(),
    };
    user.unwrap_or_default() + &place
}

fn parameter_without_password(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if may_be_secret(name) => format!("{name}={HIDDEN}"),
        _ => parameter.to_owned(),
    }
}

/// Pairs up to the first that is secret: where its value ends is not guessed.
fn pairs_without_passwords(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    match ["pass", "pin-value"].iter().filter_map(|secret| lower.find(secret)).min() {
        Some(at) if lower.get(at..).is_some_and(|rest| rest.contains('=')) => {
            format!("{}{HIDDEN}", text.get(..at).unwrap_or_default())
        }
        _ => text.to_owned(),
    }
}

fn may_be_secret(name: &str) -> bool {
    name.contains('%') || name.to_ascii_lowercase().contains("pass")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden() {
        for (text, expected) in [
            ("postgres://me@h/d", "postgres://me@h/d"),
            ("postgres://h/d?sslmode=require", "postgres://h/d?sslmode=require"),
            ("postgres://me:se@cr?et@h:5/d?sslmode=require", "postgres://me:***@h:5/d?sslmode=require"),
            ("postgres://me@h/d?sslpassword=x&user=y", "postgres://me@h/d?sslpassword=***&user=y"),
            ("postgres://me@h/d?p%61ssword=x", "postgres://me@h/d?p%61ssword=***"),
            ("host=h user=me", "host=h user=me"),
            ("host=h password = 'a b' user=me", "host=h ***"),
            ("passphrase:file:/run/pass", "passphrase:file:/run/pass"),
            ("pkcs11:token=a?pin-value=1234", "pkcs11:token=a?***"),
        ] {
            assert_eq!(without_passwords(text), expected);
        }
    }
}
