//! What can go wrong in a reconcile, and what is done about it.
//!
//! A reconcile step never decides how to retry by itself: its error says it by [`Retry`], and the runner acts.

use std::fmt;
use std::time::Duration;

use portico_crds::common::reasons;

/// When a failed reconcile runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After a delay that grows with every failure of this object. For what may mend itself.
    Backoff,
    /// When the resource or one of the objects it watches changes: only a person can mend it.
    OnChange,
    /// After this time. For a wait whose length is known.
    After(Duration),
}

/// An error of a reconcile: what the user reads and when it runs again.
pub trait ReconcileError: std::error::Error + Send + Sync + 'static {
    /// The reason of the `Ready` condition: one CamelCase word from a closed list.
    fn reason(&self) -> &'static str;

    /// The message of the condition: what is wrong, where, and what to do. Never a secret.
    fn message(&self) -> String {
        self.to_string()
    }

    /// When the reconcile runs again.
    fn retry(&self) -> Retry;

    /// Whether only a person can mend it: then the resource is `Stalled`.
    fn stalled(&self) -> bool {
        self.retry() == Retry::OnChange
    }
}

/// What a reconcile returns when it failed. Every [`ReconcileError`] turns into it by `?`.
pub type Failure = Box<dyn ReconcileError>;

impl<E: ReconcileError> From<E> for Failure {
    fn from(error: E) -> Self {
        Box::new(error)
    }
}

/// An object in an error message: kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Target {
    /// Names an object.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// A call to the API server failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {target}: {source}")]
pub struct ApiError {
    /// The verb: `get`, `list`, `apply`, `create`, `delete`.
    pub operation: &'static str,
    /// What it was about.
    pub target: Target,
    /// The answer.
    #[source]
    pub source: Box<kube::Error>,
}

impl ApiError {
    /// Says which call failed.
    pub fn new(operation: &'static str, target: Target, source: kube::Error) -> Self {
        Self { operation, target, source: Box::new(source) }
    }

    /// The HTTP status, when the API server answered.
    pub fn code(&self) -> Option<u16> {
        match self.source.as_ref() {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        }
    }
}

impl ReconcileError for ApiError {
    fn reason(&self) -> &'static str {
        match self.code() {
            Some(403) => "Forbidden",
            Some(_) => reasons::APPLY_FAILED,
            None => "ApiServerUnavailable",
        }
    }

    fn retry(&self) -> Retry {
        Retry::Backoff
    }
}

/// The objects of a custom resource could not be brought into shape.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else's object has the wanted name.
    #[error("{target} is in the way: it belongs to {holder}; rename this resource, or delete or rename that object")]
    NameConflict {
        /// The object.
        target: Target,
        /// Whose it is.
        holder: String,
    },
    /// The change touches a field that Kubernetes never changes.
    #[error(
        "{target} cannot be changed in place ({detail}); undo the change of the spec, or delete the {kind} by \
         `kubectl delete {plural} {name} -n {namespace} --cascade=orphan` and it is made anew (volumes and Secrets stay)",
        kind = .target.kind, name = .target.name, namespace = .target.namespace
    )]
    Immutable {
        /// The object.
        target: Target,
        /// Its resource name for `kubectl`.
        plural: String,
        /// What the API server said.
        detail: String,
    },
    /// The API server refused the object as invalid.
    #[error("{target} is refused as invalid: {detail}; change the field of the spec that it follows from")]
    Invalid {
        /// The object.
        target: Target,
        /// What the API server said.
        detail: String,
    },
    /// The object is being deleted; it is made anew when it is gone.
    #[error("{target} is being deleted; waiting until it is gone to make it anew")]
    Terminating {
        /// The object.
        target: Target,
    },
    /// A generated Secret came or went since it was looked for; nothing was overwritten.
    #[error("{target} {what} since this reconcile began; looking again")]
    Raced {
        /// The object.
        target: Target,
        /// `appeared` or `vanished`.
        what: &'static str,
    },
    /// The build step made a set that cannot be applied.
    #[error("the objects of {target} cannot be applied: {problem}; this is a bug of the operator, please report it")]
    Bug {
        /// The owner.
        target: Target,
        /// What is wrong with it.
        problem: String,
    },
    /// A call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl ReconcileError for ApplyError {
    fn reason(&self) -> &'static str {
        match self {
            Self::NameConflict { .. } => reasons::NAME_CONFLICT,
            Self::Immutable { .. } => "ImmutableField",
            Self::Invalid { .. } => "ObjectRefused",
            Self::Terminating { .. } => "WaitingForDeletion",
            Self::Raced { .. } => reasons::PROGRESSING,
            Self::Bug { .. } => "InternalError",
            Self::Api(error) => error.reason(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            // The object in the way carries no label of ours, so nobody sees it go.
            Self::NameConflict { .. } => Retry::After(Duration::from_mins(1)),
            Self::Immutable { .. } | Self::Invalid { .. } | Self::Bug { .. } => Retry::OnChange,
            Self::Terminating { .. } => Retry::After(Duration::from_secs(5)),
            Self::Raced { .. } => Retry::After(Duration::from_millis(500)),
            Self::Api(error) => error.retry(),
        }
    }

    fn stalled(&self) -> bool {
        matches!(self, Self::NameConflict { .. }) || self.retry() == Retry::OnChange
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_immutable_field_tells_the_way_out() {
        let error = ApplyError::Immutable {
            target: Target::new("StatefulSet", "shop", "a-db-postgresql"),
            plural: "statefulsets".to_owned(),
            detail: "spec.volumeClaimTemplates is immutable".to_owned(),
        };
        let text = error.to_string();
        assert!(text.contains("kubectl delete statefulsets a-db-postgresql -n shop --cascade=orphan"), "{text}");
        assert_eq!(error.retry(), Retry::OnChange);
    }

    #[test]
    fn errors_become_failures_by_question_mark() {
        fn fails() -> Result<(), Failure> {
            Err(ApplyError::Terminating { target: Target::new("Secret", "n", "s") })?
        }
        let failure = fails().unwrap_err();
        assert_eq!(failure.reason(), "WaitingForDeletion");
        assert!(failure.message().starts_with("Secret n/s is being deleted"));
    }
}
