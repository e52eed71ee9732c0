//! The admin port of RabbitMQ on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::net::TcpStream;
use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use portico_crds::common::names::EngineName;
use portico_operator_admin::rabbitmq::RabbitMq as Port;
use portico_operator_admin::{AdminError, AdminPort, Endpoint, Login, Space, tls};
use portico_test_servers::rabbitmq::{ADMIN, RabbitMq};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use zeroize::Zeroizing;

const DEADLINE: Duration = Duration::from_secs(20);

fn endpoint(server: &RabbitMq) -> Endpoint {
    Endpoint {
        engine: EngineName::RabbitMq,
        host: server.host(),
        port: server.admin_port(),
        consumer_port: server.port(),
        username: ADMIN.to_owned(),
        password: Zeroizing::new(server.admin_password().to_owned()),
        ca: Some(server.ca().to_owned()),
        replicas: Vec::new(),
    }
}

fn space(name: &str) -> Space {
    Space { name: name.to_owned(), ..Space::default() }
}

fn login(username: &str) -> Login {
    Login { username: username.to_owned(), password: Zeroizing::new(format!("password-of-{username}")) }
}

/// What a consumer does with its binding.
async fn connect(server: &RabbitMq, space: &Space, login: &Login) -> Connection {
    let (host, port) = (server.host(), server.port());
    let uri = format!("amqps://{}:{}@{host}:{port}/{}", login.username, *login.password, space.name);
    let tls = OwnedTLSConfig { identity: None, cert_chain: Some(server.ca().to_owned()) };
    let runtime = lapin::runtime::default_runtime().unwrap();
    Connection::connect_with_config(&uri, ConnectionProperties::default(), tls, runtime).await.unwrap()
}

/// Declares a queue without naming its type, and has a message confirmed in it.
async fn send(connection: &Connection, queue: &str, text: &str) {
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), durable, FieldTable::default()).await.unwrap();
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let sent = channel.basic_publish("".into(), queue.into(), options, text.as_bytes(), persistent).await.unwrap();
    assert!(sent.await.unwrap().is_ack(), "the broker does not take the message");
}

async fn receive(connection: &Connection, queue: &str) -> String {
    let channel = connection.create_channel().await.unwrap();
    let options = BasicGetOptions { no_ack: true };
    let message = channel.basic_get(queue.into(), options).await.unwrap().expect("the queue is empty");
    String::from_utf8(message.data.clone()).unwrap()
}

/// The certificate that `port` serves to a new connection.
fn certificate(server: &RabbitMq, port: u16) -> CertificateDer<'static> {
    let config = tls::client_config(server.ca()).unwrap();
    let name = ServerName::try_from(server.host()).unwrap();
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut stream = TcpStream::connect((server.host(), port)).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut stream).unwrap();
    }
    client.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn two_logins_of_a_virtual_host_share_it_and_enter_no_other() {
    let server = RabbitMq::shared().await;
    let port = Port::new(endpoint(server));
    let (mine, other) = (space("shared"), space("shared-not"));
    for space in [&mine, &other, &mine] {
        port.ensure_space(space).await.unwrap();
    }
    let (first, second, stranger) = (login("shared-1"), login("shared-2"), login("stranger"));
    for login in [&first, &second, &first] {
        port.ensure_login(&mine, login).await.unwrap();
        port.verify(&mine, login).await.unwrap();
    }
    port.ensure_login(&other, &stranger).await.unwrap();

    send(&connect(server, &mine, &first).await, "letters", "text").await;
    assert_eq!(receive(&connect(server, &mine, &second).await, "letters").await, "text");

    let refused = port.verify(&other, &first).await.unwrap_err();
    assert!(matches!(refused, AdminError::Refused(_)), "{refused}");
    let refused = port.verify(&mine, &stranger).await.unwrap_err();
    assert!(matches!(refused, AdminError::Refused(_)), "{refused}");
}

#[tokio::test]
async fn a_login_that_moves_loses_its_old_rights_and_password() {
    let server = RabbitMq::shared().await;
    let port = Port::new(endpoint(server));
    let (old, new) = (space("old"), space("new"));
    let mut one = login("mover");
    for space in [&old, &new] {
        port.ensure_space(space).await.unwrap();
        port.ensure_login(space, &one).await.unwrap();
    }
    let refused = port.verify(&old, &one).await.unwrap_err();
    assert!(matches!(refused, AdminError::Refused(_)), "{refused}");

    let before = one.clone();
    one.password = Zeroizing::new("another".to_owned());
    port.ensure_login(&new, &one).await.unwrap();
    port.verify(&new, &one).await.unwrap();
    let refused = port.verify(&new, &before).await.unwrap_err();
    assert!(matches!(refused, AdminError::Refused(_)), "{refused}");
    // Nor has a consumer any right in the HTTP API.
    let consumer = Port::new(Endpoint { username: one.username.clone(), password: one.password, ..endpoint(server) });
    let refused = consumer.ensure_space(&new).await.unwrap_err();
    assert!(matches!(refused, AdminError::Refused(_)), "{refused}");
}

#[tokio::test]
async fn revoking_ends_sessions() {
    let server = RabbitMq::shared().await;
    let port = Port::new(endpoint(server));
    let (mine, user) = (space("revoked"), login("revoked-1"));
    port.ensure_space(&mine).await.unwrap();
    port.ensure_login(&mine, &user).await.unwrap();
    assert_eq!(port.sessions(&user.username).await.unwrap(), Some(0));
    let connections = [connect(server, &mine, &user).await, connect(server, &mine, &user).await];
    assert_eq!(port.sessions(&user.username).await.unwrap(), Some(2));

    port.revoke(&mine, &user.username).await.unwrap();
    for connection in &connections {
        let channel = tokio::time::timeout(DEADLINE, connection.create_channel()).await.unwrap();
        assert!(channel.is_err(), "the connection is still open");
    }
    assert_eq!(port.sessions(&user.username).await.unwrap(), Some(0));
    let refused = port.verify(&mine, &user).await.unwrap_err();
    assert!(matches!(refused, AdminError::Refused(_)), "{refused}");
}

#[tokio::test]
async fn what_is_gone_can_be_removed_again() {
    let server = RabbitMq::shared().await;
    let port = Port::new(endpoint(server));
    let (mine, user) = (space("gone"), login("gone-1"));
    port.ensure_space(&mine).await.unwrap();
    port.ensure_login(&mine, &user).await.unwrap();
    for _ in 0..2 {
        port.revoke(&mine, &user.username).await.unwrap();
        port.drop_space(&mine).await.unwrap();
    }
    port.revoke(&space("never"), "never").await.unwrap();
    assert_eq!(port.sessions("never").await.unwrap(), Some(0));
}

#[tokio::test]
async fn failures_are_told_apart() {
    let server = RabbitMq::shared().await;
    let good = endpoint(server);
    let (mine, user) = (space("failures"), login("failures-1"));
    Port::new(good.clone()).ensure_space(&mine).await.unwrap();

    let wrong = Endpoint { password: Zeroizing::new("wrong".to_owned()), ..good.clone() };
    let error = Port::new(wrong).ensure_space(&mine).await.unwrap_err();
    assert!(matches!(error, AdminError::Refused(_)), "{error}");
    let error = Port::new(good.clone()).verify(&mine, &user).await.unwrap_err();
    assert!(matches!(error, AdminError::Refused(_)), "{error}");

    // Nobody listens there.
    let away = Endpoint { port: good.port + 1, consumer_port: good.port + 1, ..good.clone() };
    let error = Port::new(away.clone()).ensure_login(&mine, &user).await.unwrap_err();
    assert!(matches!(error, AdminError::Unreachable(_)), "{error}");
    let error = Port::new(away).verify(&mine, &user).await.unwrap_err();
    assert!(matches!(error, AdminError::Unreachable(_)), "{error}");

    let stranger = rcgen::generate_simple_self_signed(vec![server.host()]).unwrap().cert.pem();
    let untrusted = Endpoint { ca: Some(stranger), ..good };
    let error = Port::new(untrusted.clone()).ensure_space(&mine).await.unwrap_err();
    assert!(matches!(error, AdminError::Tls(_)), "{error}");
    let error = Port::new(untrusted).verify(&mine, &user).await.unwrap_err();
    assert!(matches!(error, AdminError::Tls(_)), "{error}");
}

#[tokio::test]
async fn a_renewed_certificate_is_served_at_once_and_a_crash_loses_nothing() {
    let mut server = RabbitMq::start().await.unwrap();
    let port = Port::new(endpoint(&server));
    let (mine, user) = (space("kept"), login("kept-1"));
    port.ensure_space(&mine).await.unwrap();
    port.ensure_login(&mine, &user).await.unwrap();
    let open = connect(&server, &mine, &user).await;

    let renewed = CertificateDer::from_pem_slice(server.renew_certificate().unwrap().as_bytes()).unwrap();
    port.reload_certificate().await.unwrap();
    assert_eq!(certificate(&server, server.port()), renewed);
    assert_eq!(certificate(&server, server.admin_port()), renewed);
    send(&open, "letters", "confirmed").await;

    server.stop();
    server.set_admin_password("changed").unwrap();
    server.resume().await.unwrap();
    assert_eq!(receive(&connect(&server, &mine, &user).await, "letters").await, "confirmed");
    let refused = port.ensure_space(&mine).await.unwrap_err();
    assert!(matches!(refused, AdminError::Refused(_)), "{refused}");
    let changed = Endpoint { password: Zeroizing::new("changed".to_owned()), ..endpoint(&server) };
    Port::new(changed).ensure_space(&mine).await.unwrap();
}
