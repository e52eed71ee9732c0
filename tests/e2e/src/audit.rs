//! The API server's audit log, to count what the operator writes.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::wait;

/// Who the operator is to the API server.
const OPERATOR_USER: &str = "system:serviceaccount:portico-system:portico-operator";
/// The verbs of requests that write.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// The log from some moment on.
pub struct Audit {
    path: PathBuf,
    start: usize,
}

/// One request that wrote, or tried to.
#[derive(Debug, PartialEq, Eq)]
pub struct Write(String);

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Audit {
    /// The log from now on.
    ///
    /// # Errors
    /// `PORTICO_AUDIT_LOG` is not set or names no readable file.
    pub fn from_now() -> anyhow::Result<Self> {
        let path = std::env::var_os("PORTICO_AUDIT_LOG").context(
            "PORTICO_AUDIT_LOG is not set: run `cargo xtask e2e`, or set it to logs/audit.log of the cluster's data",
        )?;
        let path = PathBuf::from(path);
        let start = read(&path)?.len();
        Ok(Self { path, start })
    }

    /// What the operator has written since, without the renewals of its lease. A log that was rotated meanwhile is read
    /// from its beginning.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn operator_writes(&self) -> anyhow::Result<Vec<Write>> {
        let log = read(&self.path)?;
        let start = if self.start <= log.len() { self.start } else { 0 };
        Ok(writes(log.get(start..).unwrap_or_default()))
    }

    /// Waits until the operator has written nothing for `quiet`. The log tells nobody when it grows.
    ///
    /// # Errors
    /// It keeps writing.
    pub async fn await_quiet(quiet: Duration, deadline: Duration) -> anyhow::Result<()> {
        let mut since = (tokio::time::Instant::now(), Self::from_now()?);
        wait::ask_until(deadline, "quiet", || {
            let answer = since.1.operator_writes().and_then(|writes| {
                if !writes.is_empty() {
                    since = (tokio::time::Instant::now(), Self::from_now()?);
                }
                let calm = since.0.elapsed() >= quiet;
                Ok(if calm { Ok(()) } else { Err(format!("the operator last wrote {writes:?}")) })
            });
            std::future::ready(answer)
        })
        .await
    }
}

fn read(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("reading the audit log {}", path.display()))
}

fn writes(log: &[u8]) -> Vec<Write> {
    log.split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|event| event["stage"] == "ResponseComplete" && event["user"]["username"] == OPERATOR_USER)
        .filter(|event| event["verb"].as_str().is_some_and(|verb| WRITES.contains(&verb)))
        .filter(|event| event["objectRef"]["resource"] != "leases")
        .map(|event| {
            let (verb, uri) = (event["verb"].as_str(), event["requestURI"].as_str());
            Write(format!("{} {}", verb.unwrap_or_default(), uri.unwrap_or_default()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(user: &str, verb: &str, resource: &str) -> String {
        let user = serde_json::json!({"username": user});
        let object = serde_json::json!({"resource": resource});
        let event = serde_json::json!({
            "stage": "ResponseComplete", "user": user, "verb": verb, "objectRef": object, "requestURI": "/x",
        });
        format!("{event}\n")
    }

    #[test]
    fn only_the_operators_writes_count() {
        let log = [
            event(OPERATOR_USER, "patch", "services"),
            event(OPERATOR_USER, "update", "leases"),
            event(OPERATOR_USER, "get", "services"),
            event("system:admin", "patch", "services"),
            "cut off {".to_owned(),
        ];
        assert_eq!(writes(log.concat().as_bytes()), [Write("patch /x".to_owned())]);
    }
}
