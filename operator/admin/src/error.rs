//! Why an admin port could not do what it was asked.

use std::fmt;
use std::time::Duration;

use crate::DEADLINE;

/// A failed call. Texts come from the engine and hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// Nothing answers, or the connection broke.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It does not take the user or the password.
    #[error("it refuses the login: {0}")]
    Refused(String),
    /// Its certificate is not the one that was expected.
    #[error("its certificate is not trusted: {0}")]
    Tls(String),
    /// No answer in time.
    #[error("it gave no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It has no room left.
    #[error("it has no room left: {0}")]
    Full(String),
    /// It said no for another reason.
    #[error("it answered: {0}")]
    Engine(String),
}

impl AdminError {
    /// The reason in a condition.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) => "EngineUnreachable",
            Self::Refused(_) => "LoginRefused",
            Self::Tls(_) => "TlsFailed",
            Self::Full(_) => "VolumeFull",
            Self::Engine(_) => "EngineRefused",
        }
    }
}

/// Ends `call` after [`DEADLINE`].
///
/// # Errors
/// What the call gives, or [`AdminError::TimedOut`].
pub(crate) async fn bounded<T>(call: impl Future<Output = Result<T, AdminError>>) -> Result<T, AdminError> {
    tokio::time::timeout(DEADLINE, call).await.unwrap_or(Err(AdminError::TimedOut(DEADLINE)))
}

/// An error of the transport as text, with its causes: the outermost alone seldom says what happened.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    struct Chain<'a>(&'a dyn std::error::Error);
    impl fmt::Display for Chain<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", self.0)?;
            let mut source = self.0.source();
            while let Some(cause) = source {
                write!(f, ": {cause}")?;
                source = cause.source();
            }
            Ok(())
        }
    }
    Chain(error).to_string()
}
