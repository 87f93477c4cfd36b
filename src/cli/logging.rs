//! Where logs go: to standard error, for people on a terminal and as JSON otherwise.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use super::LogFormat;

/// A filter that can be read, as it was written.
pub(super) fn filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Starts logging. The filter has been read before.
pub(super) fn start(filter: &str, format: LogFormat) {
    let filter = EnvFilter::new(filter);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let for_people = match format {
        LogFormat::Auto => stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    if for_people {
        subscriber.with_target(false).with_ansi(stderr().is_terminal()).init();
    } else {
        subscriber.json().flatten_event(true).with_ansi(false).init();
    }
}
