//! Where logs go: to standard error, for people on a terminal and as JSON otherwise.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// The variable that says what is logged.
const VARIABLE: &str = "PGSEAL_LOG";

/// Starts logging. A filter that cannot be read is told, and `info` stands in for it.
pub(super) fn start() {
    let wanted = std::env::var(VARIABLE).unwrap_or_else(|_| "info".to_owned());
    let (filter, wrong) = match EnvFilter::try_new(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    if stderr().is_terminal() {
        subscriber.with_target(false).init();
    } else {
        subscriber.json().flatten_event(true).with_ansi(false).init();
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "{VARIABLE} is no filter");
    }
}
