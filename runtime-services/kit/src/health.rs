//! Health: is the process alive, and can it do its work.
//!
//! Each dependency has a named check. A background task of the service keeps it up to date, so that answering
//! `/readyz` costs nothing and says the same to everybody. Liveness depends on nothing but the process: a database
//! that is away is no reason to restart.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::{Problem, json::Json, problem::ProblemBody};

/// All checks of a service.
#[derive(Debug, Clone)]
pub struct Health(Arc<watch::Sender<Vec<Check>>>);

/// The state of one dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// Which dependency.
    pub name: &'static str,
    /// Whether it can be used.
    pub status: CheckStatus,
    /// Why not, as one word in camel case that does not change its meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Why not, in words, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Whether a dependency can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// It can.
    Ok,
    /// It cannot.
    Failing,
}

/// What `/readyz` answers when all is well.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Readiness {
    /// Always `ready`.
    pub status: &'static str,
    /// Every check.
    pub checks: Vec<Check>,
}

/// What `/livez` answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Liveness {
    /// Always `alive`.
    pub status: &'static str,
}

/// The hand that one background task updates its check with.
#[derive(Debug, Clone)]
pub struct CheckHandle {
    health: Health,
    name: &'static str,
}

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }
}

impl Health {
    /// Adds a check. It fails with `Starting` until its task says otherwise.
    pub fn register(&self, name: &'static str) -> CheckHandle {
        let (reason, detail) = (Some("Starting"), Some("not checked yet".to_owned()));
        self.0.send_modify(|checks| checks.push(Check { name, status: CheckStatus::Failing, reason, detail }));
        CheckHandle { health: self.clone(), name }
    }

    /// Every check as it is now, in the order of registration.
    pub fn checks(&self) -> Vec<Check> {
        self.0.borrow().clone()
    }

    /// Whether every check is good.
    pub fn is_ready(&self) -> bool {
        all_ok(&self.0.borrow())
    }

    /// Follows the checks: it changes with each of them.
    pub fn subscribe(&self) -> watch::Receiver<Vec<Check>> {
        self.0.subscribe()
    }
}

impl CheckHandle {
    /// The dependency can be used.
    pub fn ok(&self) {
        self.set(CheckStatus::Ok, None, None);
    }

    /// It cannot. `reason` is one word in camel case; `detail` says more, without secrets.
    pub fn fail(&self, reason: &'static str, detail: impl Into<String>) {
        self.set(CheckStatus::Failing, Some(reason), Some(detail.into()));
    }

    /// The check as it is now.
    pub fn state(&self) -> Option<Check> {
        self.health.0.borrow().iter().find(|check| check.name == self.name).cloned()
    }

    /// Whether the dependency can be used.
    pub fn is_ok(&self) -> bool {
        self.health.0.borrow().iter().any(|check| check.name == self.name && check.status == CheckStatus::Ok)
    }

    fn set(&self, status: CheckStatus, reason: Option<&'static str>, detail: Option<String>) {
        let next = Check { name: self.name, status, reason, detail };
        let changed = self.health.0.send_if_modified(|checks| {
            let current = checks.iter_mut().find(|check| check.name == self.name && **check != next);
            current.map(|check| *check = next.clone()).is_some()
        });
        if changed {
            log(&next);
        }
    }
}

fn log(check: &Check) {
    match check.status {
        CheckStatus::Ok => tracing::info!(check = check.name, "check ok"),
        CheckStatus::Failing => {
            let detail = check.detail.as_deref();
            tracing::warn!(check = check.name, reason = check.reason, detail, "check failing");
        }
    }
}

fn all_ok(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.status == CheckStatus::Ok)
}

/// Is the process alive?
#[utoipa::path(get, path = "/livez", tag = "health", operation_id = "livez",
    responses((status = 200, description = "The process runs", body = Liveness)))]
pub async fn livez() -> Json<Liveness> {
    // The answer depends on nothing, but the router wants a future.
    std::future::ready(Json(Liveness { status: "alive" })).await
}

/// Can the service do its work?
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "readyz",
    responses(
        (status = 200, description = "All dependencies can be used", body = Readiness),
        (status = 503, description = "Some cannot; the member `checks` says which and why",
         content_type = "application/problem+json", body = ProblemBody),
    ))]
pub async fn readyz(State(health): State<Health>) -> Response {
    std::future::ready(readiness(&health)).await
}

fn readiness(health: &Health) -> Response {
    let checks = health.checks();
    if all_ok(&checks) {
        return Json(Readiness { status: "ready", checks }).into_response();
    }
    let failing: Vec<_> = checks.iter().filter(|check| check.status == CheckStatus::Failing).collect();
    let words = failing.iter().map(|check| format!("{}: {}", check.name, check.reason.unwrap_or("Failing")));
    let detail = words.collect::<Vec<_>>().join(", ");
    Problem::unavailable("not_ready", "The service cannot do its work now", 1)
        .with_detail(detail)
        .with_member("checks", json!(checks))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_means_every_check() {
        let health = Health::default();
        let (one, two) = (health.register("one"), health.register("two"));
        assert!(!health.is_ready());
        one.ok();
        assert!(!health.is_ready());
        two.ok();
        assert!(health.is_ready());
        one.fail("Unreachable", "no route");
        assert!(!health.is_ready() && !one.is_ok() && two.is_ok());
        assert_eq!(one.state().unwrap().reason, Some("Unreachable"));
    }

    #[tokio::test]
    async fn followers_hear_of_changes_only() {
        let health = Health::default();
        let check = health.register("one");
        check.ok();
        let mut changes = health.subscribe();
        check.ok();
        assert!(!changes.has_changed().unwrap());
        check.fail("Unreachable", "gone");
        assert!(changes.has_changed().unwrap());
        assert_eq!(changes.borrow_and_update()[0].detail.as_deref(), Some("gone"));
    }
}
