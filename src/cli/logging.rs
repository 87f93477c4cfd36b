//! Where logs go: to standard error, for people on a terminal and as JSON otherwise. How much is logged changes at
//! SIGUSR1 and SIGUSR2.

use std::io::{IsTerminal, stderr};

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;

use super::LogFormat;

/// A filter that can be read, as it was written.
pub(super) fn filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What is logged, and how to change it.
pub(super) struct Logging {
    filter: String,
    change: Box<dyn Fn(EnvFilter)>,
}

/// Starts logging. The filter has been read before.
pub(super) fn start(filter: &str, format: LogFormat) -> Logging {
    let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(stderr);
    // Standard error may be a file on a full disk: saying so there would end who says it.
    let subscriber = subscriber.log_internal_errors(false);
    let for_people = match format {
        LogFormat::Auto => stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let change = if for_people {
        let subscriber =
            subscriber.with_target(false).with_ansi(stderr().is_terminal()).with_filter_reloading();
        let change = changing(subscriber.reload_handle());
        subscriber.init();
        change
    } else {
        // The list of spans would say the same as the current one: there is one for each session.
        let subscriber = subscriber.json().flatten_event(true).with_span_list(false).with_ansi(false);
        let subscriber = subscriber.with_filter_reloading();
        let change = changing(subscriber.reload_handle());
        subscriber.init();
        change
    };
    Logging { filter: filter.to_owned(), change }
}

fn changing<S: 'static>(handle: Handle<EnvFilter, S>) -> Box<dyn Fn(EnvFilter)> {
    // It fails only when nothing is logged any more.
    Box::new(move |filter| drop(handle.reload(filter)))
}

/// Levels that SIGUSR1 goes through, beyond what was asked for at the start.
const MORE: [&str; 2] = ["debug", "trace"];

impl Logging {
    /// At SIGUSR1 more of the proxy's own doings is logged, in two steps; at SIGUSR2 what was asked for at the start.
    /// Does not end.
    pub(super) async fn listen(&self) {
        let (Ok(mut more), Ok(mut as_before)) =
            (signal(SignalKind::user_defined1()), signal(SignalKind::user_defined2()))
        else {
            tracing::error!("signals cannot be waited for: what is logged does not change");
            return std::future::pending().await;
        };
        let mut steps = MORE.into_iter().cycle();
        loop {
            let filter = tokio::select! {
                Some(()) = more.recv() => {
                    let level = steps.next().unwrap_or_default();
                    format!("{},pgseal={level}", self.filter)
                }
                Some(()) = as_before.recv() => {
                    steps = MORE.into_iter().cycle();
                    self.filter.clone()
                }
            };
            (self.change)(EnvFilter::new(&filter));
            tracing::info!(filter, "what is logged has changed");
        }
    }
}
