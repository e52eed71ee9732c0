//! MariaDB and `MySQL`: rows of a table.

use async_trait::async_trait;
use sqlx::mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlSslMode};
use sqlx::{Connection as _, Executor as _, MySqlConnection};

use super::{Client, Failure, Session, causes};
use crate::binding::Binding;

const PREPARE: &str = "CREATE TABLE IF NOT EXISTS portico_load (id VARCHAR(190) PRIMARY KEY, value TEXT NOT NULL)";
const STORE: &str = "REPLACE INTO portico_load (id, value) VALUES (?, ?)";
const GET: &str = "SELECT value FROM portico_load WHERE id = ?";
/// Numbers of what a login may not do: enter a database, log in at all, do something to a table.
const REFUSALS: [u16; 3] = [1044, 1045, 1142];

pub(super) struct MySql {
    connection: MySqlConnection,
    session: Session,
}

impl MySql {
    pub(super) async fn connect(binding: &Binding, session: &Session) -> Result<Self, Failure> {
        let mut options = MySqlConnectOptions::new()
            .host(&binding.host)
            .port(binding.port)
            .username(&binding.username)
            .password(&binding.password)
            .database(binding.space.as_deref().unwrap_or_default())
            .ssl_mode(MySqlSslMode::Disabled);
        if let Some(ca) = &binding.ca {
            options = options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca_from_pem(ca.clone().into_bytes());
        }
        let connection = MySqlConnection::connect_with(&options).await.map_err(|error| failure(&error))?;
        Ok(Self { connection, session: session.clone() })
    }
}

#[async_trait]
impl Client for MySql {
    async fn prepare(&mut self) -> Result<(), Failure> {
        self.connection.execute(PREPARE).await.map(|_| ()).map_err(|error| failure(&error))
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

fn failure(error: &sqlx::Error) -> Failure {
    let sqlx::Error::Database(said) = error else { return Failure::Unreachable(causes(error)) };
    match said.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number) {
        Some(number) if REFUSALS.contains(&number) => Failure::Refused(said.to_string()),
        number => Failure::Engine(format!("{said} ({})", number.unwrap_or_default())),
    }
}
