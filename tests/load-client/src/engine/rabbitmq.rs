//! RabbitMQ: messages in durable quorum queues, each confirmed when it is stored.

use async_trait::async_trait;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind};
use std::sync::Arc;

use super::{Client, Failure, Session, causes, tls};
use crate::binding::Binding;

/// The protocol's numbers for "access refused" and "not allowed": the login, and the virtual host.
const REFUSALS: [u16; 2] = [403, 530];
/// A message that is written to the disk.
const PERSISTENT: u8 = 2;

pub(super) struct RabbitMq {
    connection: Connection,
    channel: Channel,
    session: Session,
}

impl RabbitMq {
    pub(super) async fn connect(binding: &Binding, session: &Session) -> Result<Self, Failure> {
        let config = binding.ca.as_deref().map(|ca| tls::config(Some(ca))).transpose()?;
        let connector = config.map(Arc::new).map(RustlsConnector::from);
        let runtime = lapin::runtime::default_runtime().map_err(|error| failure(&error))?;
        let properties = ConnectionProperties::default().with_connection_name("portico-load-client".into());
        let connection = Connection::connector(
            uri(binding),
            runtime,
            async move |uri, runtime| {
                let AMQPAuthority { host, port, .. } = uri.authority;
                let stream = AsyncTcpStream::connect(&runtime, runtime.to_socket_addrs((host.clone(), port))).await?;
                match &connector {
                    Some(tls) => Ok(stream.into_rustls(tls, &host).await?),
                    None => Ok(stream),
                }
            },
            properties,
        );
        let connection = connection.await.map_err(|error| failure(&error))?;
        let channel = connection.create_channel().await.map_err(|error| failure(&error))?;
        let confirms = channel.confirm_select(ConfirmSelectOptions::default()).await;
        confirms.map_err(|error| failure(&error))?;
        Ok(Self { connection, channel, session: session.clone() })
    }

    /// A queue that a restart does not lose. Good when it is there already.
    async fn declare(&self, name: &str) -> Result<(), Failure> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare(queue(name), options, arguments).await;
        declared.map(|_| ()).map_err(|error| failure(&error))
    }

    async fn publish(&self, name: &str, value: &str) -> Result<(), Failure> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let exchange = ShortString::from("");
        let published = self.channel.basic_publish(exchange, queue(name), options, value.as_bytes(), properties).await;
        let confirmation = published.map_err(|error| failure(&error))?.await.map_err(|error| failure(&error))?;
        match confirmation {
            lapin::Confirmation::Ack(None) => Ok(()),
            other => Err(Failure::Wrong(format!("a message was not taken: {other:?}"))),
        }
    }
}

fn uri(binding: &Binding) -> AMQPUri {
    let userinfo = AMQPUserInfo { username: binding.username.clone(), password: binding.password.clone() };
    AMQPUri {
        scheme: if binding.ca.is_some() { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority { userinfo, host: binding.host.clone(), port: binding.port },
        vhost: binding.space.clone().unwrap_or_default(),
        query: AMQPQueryString::default(),
    }
}

fn queue(name: &str) -> ShortString {
    ShortString::from(format!("load-{name}"))
}

#[async_trait]
impl Client for RabbitMq {
    async fn prepare(&mut self) -> Result<(), Failure> {
        for name in ["kept", "fresh", "single"] {
            self.declare(name).await?;
        }
        Ok(())
    }

    /// Each way has a queue of its own; what a failed request left behind there comes first.
    async fn request(&mut self, sequence: u64) -> Result<(), Failure> {
        let value = sequence.to_string();
        self.publish(self.session.name, &value).await?;
        let got = self.channel.basic_get(queue(self.session.name), BasicGetOptions::default()).await;
        let Some(message) = got.map_err(|error| failure(&error))? else {
            return Failure::unless_same(&value, None);
        };
        let acknowledged = message.delivery.acker.ack(BasicAckOptions::default()).await;
        acknowledged.map(|_| ()).map_err(|error| failure(&error))
    }

    async fn write(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        self.declare(key).await?;
        self.publish(key, value).await
    }

    async fn read(&mut self, key: &str) -> Result<Option<String>, Failure> {
        let got = self.channel.basic_get(queue(key), BasicGetOptions::default()).await;
        let message = match got {
            Ok(message) => message,
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(failure(&error)),
        };
        let Some(message) = message else { return Ok(None) };
        let back = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        message.delivery.acker.nack(back).await.map_err(|error| failure(&error))?;
        Ok(Some(String::from_utf8_lossy(&message.delivery.data).into_owned()))
    }

    async fn close(self: Box<Self>) {
        let _ = self.connection.close(200, ShortString::from("OK")).await;
    }
}

/// There is no such queue.
fn is_missing(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(answer) if answer.get_id() == 404)
}

fn failure(error: &lapin::Error) -> Failure {
    match error.kind() {
        ErrorKind::ProtocolError(answer) if REFUSALS.contains(&answer.get_id()) => {
            Failure::Refused(answer.get_message().to_string())
        }
        ErrorKind::ProtocolError(answer) => Failure::Engine(answer.get_message().to_string()),
        _ => Failure::Unreachable(causes(error)),
    }
}
