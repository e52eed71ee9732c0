//! One connection to PostgreSQL, and what its errors mean.

use std::fmt;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Error, PgConnection};

use crate::error::chain;
use crate::{AdminError, Endpoint};

/// Longer names PostgreSQL would cut off, and two could become one.
const NAME_LIMIT: usize = 63;
/// Milliseconds: a statement ends before its caller gives up, so that none goes on alone.
const STATEMENT_TIMEOUT: &str = "9000";

/// A name that may stand in a statement, where it is shown in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// Takes lower-case letters, digits and underscores, and nothing that belongs to the server or the operator.
    pub(super) fn new(name: &str) -> Result<Self, AdminError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let problem = if name.is_empty() || name.len() > NAME_LIMIT || !name.bytes().all(plain) {
            "is not made of 1 to 63 lower-case letters, digits and underscores"
        } else if matches!(name, "postgres" | "template0" | "template1" | "public" | "none")
            || name.starts_with("pg_")
            || name.starts_with("portico_")
        {
            "belongs to the server"
        } else {
            return Ok(Self(name.to_owned()));
        };
        Err(AdminError::Engine(format!("the name {name:?} {problem}: choose another one")))
    }

    /// Without quotes, for parameters.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The operator. Settings that the owner of a database gives it must not bend what the operator does there.
    Administrator,
    /// A consumer, with the settings that it has.
    Consumer,
}

/// Where and as whom to connect.
pub(super) struct Target<'a> {
    pub(super) host: &'a str,
    pub(super) database: &'a str,
    pub(super) username: &'a str,
    pub(super) password: &'a str,
    pub(super) role: Role,
}

/// Connects; nothing that is sent is logged on this side.
pub(super) async fn connect(endpoint: &Endpoint, target: Target<'_>) -> Result<PgConnection, Error> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(target.host)
        .port(endpoint.port)
        .username(target.username)
        .password(target.password)
        .database(target.database)
        .application_name("portico-operator")
        .ssl_mode(PgSslMode::Disable)
        .options([("statement_timeout", STATEMENT_TIMEOUT)])
        .disable_statement_logging();
    if let Some(ca) = &endpoint.ca {
        options = options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert_from_pem(ca.clone().into_bytes());
    }
    if target.role == Role::Administrator {
        let settings = [("search_path", "pg_catalog"), ("role", "none"), ("default_transaction_read_only", "off")];
        options = options.options(settings);
    }
    PgConnection::connect_with(&options).await
}

/// Runs statements; several in one text are done together or not at all. Names come from [`Name`].
pub(super) async fn run(connection: &mut PgConnection, statements: String) -> Result<(), Error> {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(connection).await.map(drop)
}

/// The five characters by which the server says what is the matter.
pub(super) fn code(error: &Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

/// The error as the controllers know it. The server's texts hold names, never passwords.
pub(super) fn failed(error: &Error) -> AdminError {
    match error {
        Error::Database(answer) => {
            let text = answer.message().to_owned();
            match answer.code().as_deref() {
                Some("28P01" | "28000") => AdminError::Refused(text),
                Some("53100") => AdminError::Full(text),
                Some(code) if code.starts_with("57P") || code.starts_with("08") => AdminError::Unreachable(text),
                _ => AdminError::Engine(text),
            }
        }
        Error::Tls(_) => AdminError::Tls(chain(error)),
        Error::Io(problem) if is_tls(problem) => AdminError::Tls(chain(problem)),
        Error::Io(problem) => AdminError::Unreachable(chain(problem)),
        other => AdminError::Engine(chain(other)),
    }
}

/// Whether a handshake failed, which the client wraps in an error of input and output.
fn is_tls(problem: &std::io::Error) -> bool {
    problem.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_quotes() {
        assert_eq!(Name::new("shop_orders").unwrap().to_string(), "\"shop_orders\"");
        for bad in ["", "a\"b", "a;b", "A", "a-b", "\u{e4}", "postgres", "pg_x", "portico_admin", &"a".repeat(64)] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }
}
