//! PostgreSQL: rows of a table.

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{Client, Failure, Session, causes};
use crate::binding::Binding;

const PREPARE: &str = "CREATE TABLE IF NOT EXISTS portico_load (id text PRIMARY KEY, value text NOT NULL)";
const STORE: &str =
    "INSERT INTO portico_load (id, value) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET value = EXCLUDED.value";
const GET: &str = "SELECT value FROM portico_load WHERE id = $1";
/// Somebody else made the table at the same time.
const MADE_MEANWHILE: [&str; 2] = ["23505", "42P07"];
/// Classes and codes of what a login may not do: log in at all, or reach this.
const REFUSALS: [&str; 3] = ["28000", "28P01", "42501"];

pub(super) struct PostgreSql {
    connection: PgConnection,
    session: Session,
}

impl PostgreSql {
    pub(super) async fn connect(binding: &Binding, session: &Session) -> Result<Self, Failure> {
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&binding.host)
            .port(binding.port)
            .username(&binding.username)
            .password(&binding.password)
            .database(binding.space.as_deref().unwrap_or_default())
            .application_name("portico-load-client")
            .ssl_mode(PgSslMode::Disable);
        if let Some(ca) = &binding.ca {
            options = options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert_from_pem(ca.clone().into_bytes());
        }
        let connection = PgConnection::connect_with(&options).await.map_err(|error| failure(&error))?;
        Ok(Self { connection, session: session.clone() })
    }
}

#[async_trait]
impl Client for PostgreSql {
    async fn prepare(&mut self) -> Result<(), Failure> {
        match self.connection.execute(PREPARE).await {
            Err(error) if !MADE_MEANWHILE.contains(&code(&error).as_str()) => Err(failure(&error)),
            _ => Ok(()),
        }
    }

    async fn request(&mut self, sequence: u64) -> Result<(), Failure> {
        let (id, value) = (self.session.entry(sequence), sequence.to_string());
        self.write(&id, &value).await?;
        Failure::unless_same(&value, self.read(&id).await?.as_deref())
    }

    async fn write(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        let stored = sqlx::query(STORE).bind(key).bind(value).execute(&mut self.connection).await;
        stored.map(|_| ()).map_err(|error| failure(&error))
    }

    async fn read(&mut self, key: &str) -> Result<Option<String>, Failure> {
        let found = sqlx::query_scalar(GET).bind(key).fetch_optional(&mut self.connection).await;
        found.map_err(|error| failure(&error))
    }

    async fn close(self: Box<Self>) {
        let _ = self.connection.close().await;
    }
}

fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned()
}

fn failure(error: &sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Database(said) if REFUSALS.contains(&code(error).as_str()) => Failure::Refused(said.to_string()),
        sqlx::Error::Database(said) => Failure::Engine(format!("{said} ({})", code(error))),
        _ => Failure::Unreachable(causes(error)),
    }
}
