//! The engines start, answer, keep their data through a crash, and leave nothing behind.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use portico_test_servers::postgres::Postgres;
use portico_test_servers::valkey::Valkey;

#[tokio::test]
async fn postgres_keeps_its_data_through_a_crash() {
    let mut postgres = Postgres::start().await.unwrap();
    assert!(postgres.sql("SHOW server_version").unwrap().starts_with("17"));
    postgres.sql("CREATE TABLE t (v int)").unwrap();
    postgres.sql("INSERT INTO t VALUES (42)").unwrap();
    postgres.stop();
    assert!(postgres.sql("SELECT 1").is_err());
    postgres.resume().await.unwrap();
    assert_eq!(postgres.sql("SELECT v FROM t").unwrap(), "42");
}

#[tokio::test]
async fn each_test_gets_a_database_of_its_own() {
    let postgres = Postgres::shared().await;
    let (first, second) = (postgres.database().unwrap(), postgres.database().unwrap());
    assert_ne!(first.database, second.database);
    let owner =
        postgres.sql(&format!("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{}'", first.database));
    assert_eq!(owner.unwrap(), first.username);
}

#[tokio::test]
async fn a_binding_holds_one_file_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let valkey = Valkey::start().await.unwrap();
    valkey.write_binding(folder.path()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("type"), "redis");
    assert_eq!(read("uri"), valkey.uri());
}

#[tokio::test]
async fn two_servers_of_one_engine_run_side_by_side() {
    let (first, second) = tokio::join!(Valkey::start(), Valkey::start());
    let (first, second) = (first.unwrap(), second.unwrap());
    first.command(&["SET", "key", "first"]).unwrap();
    assert_eq!(second.command(&["EXISTS", "key"]).unwrap(), "0");
}
