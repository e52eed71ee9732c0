//! One judgement on its way into a condition.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use portico_crds::common::ConditionType;
use portico_operator_core::conditions::{self, Status3, Summary};

/// Whether something holds, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) good: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Verdict {
    /// It holds.
    pub(crate) fn good(reason: &str) -> Self {
        Self { good: true, reason: reason.to_owned(), message: String::new() }
    }

    /// It does not hold.
    pub(crate) fn bad(reason: &str, message: impl Into<String>) -> Self {
        Self { good: false, reason: reason.to_owned(), message: message.into() }
    }

    /// Sets the condition.
    pub(crate) fn set(&self, all: &mut Vec<Condition>, type_: ConditionType, generation: Option<i64>, now: Timestamp) {
        conditions::set(all, type_, Status3::from(self.good), &self.reason, self.message.as_str(), generation, now);
    }
}

/// Ready when all hold; otherwise the first that does not is the reason.
pub(crate) fn summary(verdicts: &[&Verdict], ready: &str) -> Summary {
    match verdicts.iter().find(|verdict| !verdict.good) {
        None => Summary::Ready { message: ready.to_owned() },
        Some(first) => Summary::Progressing { reason: first.reason.clone(), message: first.message.clone() },
    }
}
