//! Failures as problems.

use portico_service_kit::Problem;

use crate::{identity::Failure, storage::StoreError};

/// Seconds after which it is worth trying again.
const RETRY_AFTER: u32 = 1;

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Store(StoreError::Unavailable(reason)) => {
                tracing::warn!(reason, "the database was needed and cannot be used");
                Self::unavailable("database_unavailable", "The database cannot be used now", RETRY_AFTER)
            }
            Failure::Cache(_) => Self::unavailable("cache_unavailable", "The cache cannot be used now", RETRY_AFTER)
                .with_detail("Without it nobody can know whether a session was ended."),
            Failure::Overloaded(_) => Self::unavailable("overloaded", "Too many logins at once", RETRY_AFTER),
            Failure::Store(error) => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(%error, cause, "a request failed");
                Self::internal()
            }
            Failure::Sign(error) => {
                tracing::error!(%error, "a request failed");
                Self::internal()
            }
        }
    }
}
