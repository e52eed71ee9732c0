//! Logs: one JSON object a line on standard output.
//!
//! What is logged: what happened, to which id, how long it took. What is never logged: passwords, tokens, hashes,
//! e-mail addresses, request bodies, headers, query strings.

use std::panic;

use portico_service_config::LogLevel;
use tracing::{Subscriber, subscriber::SetGlobalDefaultError};
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt::MakeWriter, layer::SubscriberExt as _};

/// Starts logging to standard output. Once a process.
///
/// `own` are the crates that the level is for; others never log below `info`, as their details are not ours and could
/// hold what must not be logged. `RUST_LOG` overrides both.
///
/// # Errors
/// When something else was installed before.
pub fn init(level: LogLevel, own: &[&str]) -> Result<(), SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(filter(level, own), std::io::stdout))?;
    log_panics();
    Ok(())
}

/// What [`init`] installs, with another place to write to.
pub fn subscriber<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer);
    Registry::default().with(lines.with_filter(filter))
}

/// The filter for a level: `RUST_LOG` if it is set and readable, else the level for our own crates.
pub fn filter(level: LogLevel, own: &[&str]) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives(level, own)))
}

fn directives(level: LogLevel, own: &[&str]) -> String {
    let others = match level {
        LogLevel::Debug | LogLevel::Trace => LogLevel::Info,
        quieter => quieter,
    };
    // The database's notices ("already exists, skipping") come as information.
    let sqlx = if others == LogLevel::Error { LogLevel::Error } else { LogLevel::Warn };
    let first = format!("{},sqlx={}", others.as_str(), sqlx.as_str());
    own.iter().fold(first, |all, name| format!("{all},{name}={}", level.as_str()))
}

/// A panic becomes a log line like any other. Its message is left out: it may quote data.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        tracing::error!(place, "panic");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_crates_stay_at_info_or_above() {
        assert_eq!(directives(LogLevel::Info, &["a"]), "info,sqlx=warn,a=info");
        assert_eq!(directives(LogLevel::Trace, &["a", "b"]), "info,sqlx=warn,a=trace,b=trace");
        assert_eq!(directives(LogLevel::Error, &["a"]), "error,sqlx=error,a=error");
    }
}
