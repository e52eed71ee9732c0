//! What an error of the database means: for the one who asked, and for the one who looks after it.

use portico_service_kit::binding::BindingError;
use sqlx::migrate::MigrateError;

use crate::{storage::StoreError, tls};

/// Why the database cannot be used: a reason that programs read and a text for people, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

impl Fault {
    pub(super) fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// The connection was not made or not answered in time.
    pub(super) fn timeout(seconds: u64) -> Self {
        Self::new("Unreachable", format!("no answer within {seconds} s"))
    }
}

impl From<&sqlx::Error> for Fault {
    fn from(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(answer) => {
                let code = answer.code().unwrap_or_default();
                // The server's own words name users and databases, never passwords.
                Self::new(reason_of(&code), format!("{} ({code})", answer.message()))
            }
            sqlx::Error::Io(error) => {
                let reason = if tls::failure(error).is_some() { "TlsFailed" } else { "Unreachable" };
                Self::new(reason, error.to_string())
            }
            sqlx::Error::Tls(error) => Self::new("TlsFailed", error.to_string()),
            sqlx::Error::Configuration(error) => Self::new("Misconfigured", error.to_string()),
            sqlx::Error::PoolTimedOut => Self::new("Busy", "no connection became free in time"),
            other => Self::new("Unreachable", other.to_string()),
        }
    }
}

impl From<&MigrateError> for Fault {
    fn from(error: &MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => Self::from(error),
            MigrateError::ExecuteMigration(error, number) => {
                let Self { reason, detail } = Self::from(error);
                let reason = if reason == "DatabaseError" { "MigrationFailed" } else { reason };
                Self::new(reason, format!("migration {number}: {detail}"))
            }
            other => Self::new("MigrationFailed", other.to_string()),
        }
    }
}

impl From<&BindingError> for Fault {
    fn from(error: &BindingError) -> Self {
        Self::new("Misconfigured", error.to_string())
    }
}

/// The classes of PostgreSQL's appendix A that say what to look at.
fn reason_of(code: &str) -> &'static str {
    match code {
        "28P01" | "28000" => "PasswordRefused",
        "3D000" => "DatabaseMissing",
        "42501" => "NotPermitted",
        "53300" => "TooManyConnections",
        "57P01" | "57P02" | "57P03" => "Unreachable",
        _ if code.starts_with("08") => "Unreachable",
        _ if code.starts_with("53") => "OutOfResources",
        _ => "DatabaseError",
    }
}

/// What the one who asked is told.
pub(super) fn for_caller(error: sqlx::Error) -> StoreError {
    if let sqlx::Error::Database(answer) = &error
        && answer.is_unique_violation()
        && answer.constraint() == Some("users_email_key")
    {
        return StoreError::EmailTaken;
    }
    let fault = Fault::from(&error);
    match error {
        sqlx::Error::Database(_) if fault.reason == "DatabaseError" => StoreError::Unexpected(error.into()),
        sqlx::Error::Database(_)
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable(fault.reason.to_owned()),
        other => StoreError::Unexpected(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_reasons() {
        for (code, reason) in [
            ("28P01", "PasswordRefused"),
            ("3D000", "DatabaseMissing"),
            ("57P03", "Unreachable"),
            ("08006", "Unreachable"),
            ("53300", "TooManyConnections"),
            ("53100", "OutOfResources"),
            ("23505", "DatabaseError"),
        ] {
            assert_eq!(reason_of(code), reason, "{code}");
        }
    }

    #[test]
    fn what_may_pass_is_told_from_what_is_broken() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert!(matches!(for_caller(sqlx::Error::Io(refused)), StoreError::Unavailable(_)));
        assert!(matches!(for_caller(sqlx::Error::PoolTimedOut), StoreError::Unavailable(_)));
        assert!(matches!(for_caller(sqlx::Error::RowNotFound), StoreError::Unexpected(_)));
    }
}
