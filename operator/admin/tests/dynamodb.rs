//! The admin port of DynamoDB on a real DynamoDB Local.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::Arc;

use jiff::Timestamp;
use portico_crds::common::names::EngineName;
use portico_operator_admin::dynamodb::DynamoDb as Port;
use portico_operator_admin::{AdminError, AdminPort, Clock, Endpoint, Login, Space, Table, TableKey};
use portico_test_servers::dynamodb::DynamoDb;
use zeroize::Zeroizing;

fn endpoint(server: &DynamoDb) -> Endpoint {
    Endpoint {
        engine: EngineName::DynamoDb,
        host: server.host(),
        port: server.port(),
        consumer_port: server.port(),
        username: String::new(),
        password: Zeroizing::new(String::new()),
        ca: None,
        replicas: Vec::new(),
    }
}

fn key(name: &str, kind: &'static str) -> TableKey {
    TableKey { name: name.to_owned(), kind }
}

fn table(name: &str, sort_key: Option<TableKey>) -> Table {
    Table { name: name.to_owned(), partition_key: key("id", "S"), sort_key }
}

#[expect(clippy::disallowed_methods, reason = "the server compares the time in signatures with its own clock")]
fn clock() -> Clock {
    Arc::new(Timestamp::now)
}

fn port(server: &DynamoDb) -> Port {
    Port::new(endpoint(server), clock())
}

fn space(tables: &[Table]) -> Space {
    Space { name: "documents".to_owned(), whole: false, tables: tables.to_vec() }
}

fn login() -> Login {
    Login { username: "consumer".to_owned(), password: Zeroizing::new("secret".to_owned()) }
}

#[tokio::test]
async fn tables_are_made_once_and_only_they_are_dropped() {
    let server = DynamoDb::shared().await;
    let port = port(server);
    let (first, second) = (table("made", Some(key("at", "N"))), table("made-too", None));
    let both = space(&[first.clone(), second.clone()]);
    assert!(matches!(port.verify(&both, &login()).await, Err(AdminError::Engine(_))));
    port.ensure_space(&space(std::slice::from_ref(&first))).await.unwrap();
    port.ensure_space(&both).await.unwrap();
    port.ensure_space(&both).await.unwrap();
    port.ensure_login(&both, &login()).await.unwrap();
    port.verify(&both, &login()).await.unwrap();
    port.verify(&space(&[]), &login()).await.unwrap();
    assert_eq!(port.sessions("consumer").await, Ok(None));
    port.revoke(&both, "consumer").await.unwrap();

    port.drop_space(&space(std::slice::from_ref(&second))).await.unwrap();
    port.drop_space(&space(std::slice::from_ref(&second))).await.unwrap();
    port.verify(&space(&[first]), &login()).await.unwrap();
    let error = port.verify(&both, &login()).await.unwrap_err().to_string();
    assert!(error.contains("there is no table made-too"), "{error}");
}

#[tokio::test]
async fn a_table_with_other_keys_is_left_alone() {
    let server = DynamoDb::shared().await;
    let port = port(server);
    let wanted = space(&[table("other-keys", Some(key("at", "N")))]);
    port.ensure_space(&wanted).await.unwrap();
    let error = port.ensure_space(&space(&[table("other-keys", Some(key("at", "S")))])).await.unwrap_err().to_string();
    assert!(error.contains("table other-keys has another sort key: at (N) instead of at (S)"), "{error}");
    port.ensure_space(&wanted).await.unwrap();
}

#[tokio::test]
async fn tables_survive_a_kill() {
    let mut server = DynamoDb::start().await.unwrap();
    let port = port(&server);
    let space = space(&[table("kept", None)]);
    port.ensure_space(&space).await.unwrap();
    server.stop();
    assert!(matches!(port.ensure_space(&space).await, Err(AdminError::Unreachable(_))));
    assert!(matches!(port.verify(&space, &login()).await, Err(AdminError::Unreachable(_))));
    server.resume().await.unwrap();
    port.verify(&space, &login()).await.unwrap();
}

#[tokio::test]
async fn what_dynamodb_does_not_take_is_said_in_its_words() {
    let server = DynamoDb::shared().await;
    let port = port(server);
    let error = port.ensure_space(&space(&[table("no spaces please", None)])).await.unwrap_err();
    assert!(matches!(&error, AdminError::Engine(text) if text.contains("ValidationException")), "{error}");
}
