//! The file of users, in the form of PgBouncer's `auth_file`.
//!
//! <https://www.pgbouncer.org/config.html#authentication-file-format>

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Strangers, is_md5};
use crate::keyring::{self, DiskError};
use crate::scram::{DEFAULT_ITERATIONS, Verifier};

/// The longest file that is read: some hundred thousand users.
const MAX_FILE: u64 = 32 << 20;

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum UserlistError {
    /// It cannot be read, or others can read it.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A line that says nothing. What stands there is not shown: it may be a password.
    #[error("{path}:{line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A user in the file.
#[derive(Debug)]
pub(super) struct User {
    pub(super) verifier: Arc<Verifier>,
    /// If the file has it in clear.
    pub(super) password: Option<Zeroizing<String>>,
}

/// The users in a file.
#[derive(Debug, Default)]
pub struct Userlist {
    users: HashMap<String, User>,
    iterations: Option<u32>,
}

impl Userlist {
    /// Reads a file that nobody else may read.
    ///
    /// # Errors
    /// It cannot be read, others can read it, or a line is not as it has to be.
    pub fn load(path: &Path, strangers: &Strangers) -> Result<Self, UserlistError> {
        let bytes = keyring::read_private(path, MAX_FILE)?;
        let problem = |line, reason| UserlistError::Line { path: path.into(), line, reason };
        let text = std::str::from_utf8(&bytes).map_err(|_| problem(1, "the file is not UTF-8"))?;
        let mut list = Self::default();
        for (i, line) in text.lines().enumerate() {
            list.take(line, strangers).map_err(|reason| problem(i + 1, reason))?;
        }
        Ok(list)
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    pub(super) fn find(&self, user: &str) -> Option<&User> {
        self.users.get(user)
    }

    /// The rounds of the first user, which those who are not known are asked for too.
    pub(super) fn usual_iterations(&self) -> u32 {
        self.iterations.unwrap_or(DEFAULT_ITERATIONS)
    }

    fn take(&mut self, line: &str, strangers: &Strangers) -> Result<(), &'static str> {
        let line = line.trim();
        if line.is_empty() || line.starts_with(';') {
            return Ok(());
        }
        const FORM: &str = "a line is \"user\" \"verifier or password\", with \" written twice inside";
        let (name, rest) = unquoted(line).ok_or(FORM)?;
        // PgBouncer takes what is behind the secret for a comment.
        let (secret, _) = unquoted(rest.trim_start()).ok_or(FORM)?;
        if name.is_empty() {
            return Err("a user's name is empty");
        }
        let user = if let Some(verifier) = Verifier::parse(&secret) {
            User { verifier: verifier.into(), password: None }
        } else if secret.is_empty() {
            return Err("a password is empty");
        } else if is_md5(&secret) {
            return Err(
                "MD5 hashes are of no use for SCRAM: give the user a verifier (pgseal auth line USER)",
            );
        } else if secret.starts_with("SCRAM-SHA-256$") {
            return Err("the SCRAM verifier is not complete");
        } else {
            let verifier = strangers.of_password(&name, &secret);
            User { verifier: verifier.into(), password: Some(secret) }
        };
        self.iterations.get_or_insert(user.verifier.iterations());
        match self.users.insert(name.to_string(), user) {
            None => Ok(()),
            Some(_) => Err("the user stands in the file twice"),
        }
    }
}

/// A name or secret as it is written in the file.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// What is in quotes at the front, and what is behind them.
fn unquoted(text: &str) -> Option<(Zeroizing<String>, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut out = Zeroizing::new(String::with_capacity(rest.len()));
    loop {
        let (part, behind) = rest.split_once('"')?;
        out.push_str(part);
        match behind.strip_prefix('"') {
            Some(behind) => {
                out.push('"');
                rest = behind;
            }
            None => return Some((out, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Keys;

    const VERIFIER: &str = "SCRAM-SHA-256$4096:AQIDBAUGBwgJCgsMDQ4PEA==$\
                            AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn list(text: &str) -> Result<Userlist, &'static str> {
        let strangers = Strangers::new(&Keys::default()).unwrap();
        let mut list = Userlist::default();
        text.lines().try_for_each(|line| list.take(line, &strangers))?;
        Ok(list)
    }

    #[test]
    fn pgbouncers_form_is_read() {
        let text =
            format!("; a comment\n\n\"a\" \"{VERIFIER}\"\n  \"b \"\"x\"\"\"   \"pass \"\"word\" behind\n");
        let list = list(&text).unwrap();
        assert_eq!(list.len(), 2);
        assert!(list.find("a").unwrap().password.is_none());
        let b = list.find(r#"b "x""#).unwrap();
        assert_eq!(b.password.as_ref().map(|p| p.as_str()), Some(r#"pass "word"#));
        assert!(list.find("b").is_none());
        assert_eq!(list.usual_iterations(), 4096);
        assert_eq!(unquoted(&quoted(r#"b "x""#)).unwrap().0.as_str(), r#"b "x""#);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_told() {
        for (text, reason) in [
            ("a b", "a line is"),
            ("\"a\"", "a line is"),
            ("\"a\" \"b", "a line is"),
            ("\"\" \"b\"", "a user's name is empty"),
            ("\"a\" \"\"", "a password is empty"),
            ("\"a\" \"md5d41d8cd98f00b204e9800998ecf8427e\"", "MD5 hashes"),
            ("\"a\" \"SCRAM-SHA-256$4096:x$y:z\"", "the SCRAM verifier is not complete"),
            ("\"a\" \"b\"\n\"a\" \"c\"", "the user stands in the file twice"),
        ] {
            let error = list(text).unwrap_err();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }
}
