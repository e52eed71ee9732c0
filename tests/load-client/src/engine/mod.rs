//! The engines, as a consumer sees them: one module each, all behind [`Client`].

mod dynamodb;
mod mysql;
mod postgresql;
mod rabbitmq;
mod redis;
mod s3;
mod signed;
pub(crate) mod tls;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::binding::{Binding, Kind};

/// The most rows, keys and objects that requests leave behind, of each way.
const KEPT_ENTRIES: u64 = 100;

/// A connection.
#[async_trait]
pub(crate) trait Client: Send + Sync {
    /// Makes what requests need: a table, a queue.
    async fn prepare(&mut self) -> Result<(), Failure>;

    /// One small request: stores something and gets it back.
    async fn request(&mut self, sequence: u64) -> Result<(), Failure>;

    /// Stores a value that lasts. It needs what [`Client::prepare`] makes.
    async fn write(&mut self, key: &str, value: &str) -> Result<(), Failure>;

    /// Gets a value that was stored and leaves it there.
    async fn read(&mut self, key: &str) -> Result<Option<String>, Failure>;

    /// Ends the connection in order.
    async fn close(self: Box<Self>);
}

/// What a connection is opened for.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Keeps apart what connections for different purposes store.
    pub(crate) name: &'static str,
    /// The table of DynamoDB.
    pub(crate) table: String,
    /// For signatures.
    pub(crate) clock: fn() -> Timestamp,
}

impl Session {
    /// A name for what a request stores.
    fn entry(&self, sequence: u64) -> String {
        format!("{}-{}", self.name, sequence % KEPT_ENTRIES)
    }
}

/// Why a request was not answered as it should be. Texts hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The login, or what it may do.
    #[error("refused: {0}")]
    Refused(String),
    /// The connection.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The engine's own words.
    #[error("engine: {0}")]
    Engine(String),
    /// The answer is not what was stored.
    #[error("wrong answer: {0}")]
    Wrong(String),
    /// No answer.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl Failure {
    /// Whether what came back is what was stored.
    fn unless_same(stored: &str, found: Option<&str>) -> Result<(), Self> {
        match found {
            Some(found) if found == stored => Ok(()),
            Some(_) => Err(Self::Wrong(format!("another value than {stored}"))),
            None => Err(Self::Wrong(format!("{stored} was stored and is not there"))),
        }
    }
}

/// Connects and logs in.
pub(crate) async fn connect(binding: &Binding, session: &Session) -> Result<Box<dyn Client>, Failure> {
    Ok(match binding.kind {
        Kind::PostgreSql => Box::new(postgresql::PostgreSql::connect(binding, session).await?),
        Kind::MySql => Box::new(mysql::MySql::connect(binding, session).await?),
        Kind::Redis => Box::new(redis::Redis::connect(binding, session).await?),
        Kind::RabbitMq => Box::new(rabbitmq::RabbitMq::connect(binding, session).await?),
        Kind::S3 => Box::new(s3::S3::connect(binding, session)?),
        Kind::DynamoDb => Box::new(dynamodb::DynamoDb::connect(binding, session)?),
    })
}

/// An error of a transport with its causes: the outermost alone seldom says what happened.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
