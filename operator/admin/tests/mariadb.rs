//! The admin port of `MariaDB` on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use portico_crds::common::names::EngineName;
use portico_operator_admin::mariadb::MariaDb as Port;
use portico_operator_admin::{
    AdminError, AdminPort, CertificateProbe as _, Endpoint, Handshake, Login, Space, TlsServer,
};
use portico_test_servers::mariadb::{ADMIN, MariaDb};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use zeroize::Zeroizing;

fn endpoint(server: &MariaDb) -> Endpoint {
    Endpoint {
        engine: EngineName::MariaDb,
        host: server.pod().host(),
        port: server.pod().port(),
        consumer_port: server.pod().port(),
        username: ADMIN.to_owned(),
        password: Zeroizing::new(server.admin_password().unwrap()),
        ca: Some(server.pod().ca().to_owned()),
        replicas: Vec::new(),
    }
}

fn space(name: &str) -> Space {
    Space { name: name.to_owned(), ..Space::default() }
}

fn login(username: &str) -> Login {
    Login { username: username.to_owned(), password: Zeroizing::new(format!(r"pass'word\ of {username}")) }
}

/// What a consumer does with its binding.
async fn connect(server: &MariaDb, space: &Space, login: &Login) -> MySqlConnection {
    MySqlConnectOptions::new()
        .host(&server.pod().host())
        .port(server.pod().port())
        .username(&login.username)
        .password(&login.password)
        .database(&space.name)
        .ssl_mode(MySqlSslMode::VerifyIdentity)
        .ssl_ca_from_pem(server.pod().ca().as_bytes().to_vec())
        .connect()
        .await
        .unwrap()
}

async fn run(connection: &mut MySqlConnection, statement: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await.map(drop)
}

async fn number(connection: &mut MySqlConnection, query: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn two_logins_of_a_database_share_it_and_enter_no_other() {
    let server = MariaDb::shared().await;
    let port = Port::new(endpoint(server));
    // The underscore is a wildcard in rights unless it is quoted.
    let (mine, other) = (space("sha_red"), space("shatred"));
    for space in [&mine, &other, &mine] {
        port.ensure_space(space).await.unwrap();
    }
    let (first, second, stranger) = (login("sha_red_a"), login("sha_red_b"), login("shatred_a"));
    for login in [&first, &second, &first] {
        port.ensure_login(&mine, login).await.unwrap();
        port.verify(&mine, login).await.unwrap();
    }
    port.ensure_login(&other, &stranger).await.unwrap();

    let mut one = connect(server, &mine, &first).await;
    run(&mut one, "CREATE TABLE t (v BIGINT); INSERT INTO t VALUES (1)").await.unwrap();
    let mut two = connect(server, &mine, &second).await;
    run(&mut two, "ALTER TABLE t ADD COLUMN w INT; UPDATE t SET v = 7").await.unwrap();
    assert_eq!(number(&mut one, "SELECT v FROM t").await, 7);

    for forbidden in ["SELECT * FROM mysql.global_priv", "CREATE DATABASE more", "SET GLOBAL max_connections = 1"] {
        run(&mut one, forbidden).await.unwrap_err();
    }
    for (space, login) in [(&other, &first), (&mine, &stranger)] {
        let refused = port.verify(space, login).await.unwrap_err();
        assert!(matches!(refused, AdminError::Refused(_)), "{refused}");
    }
}

#[tokio::test]
async fn what_is_as_it_should_be_is_not_written_again_and_passwords_never() {
    // Of its own: nobody else may write to its log.
    let server = MariaDb::start().await.unwrap();
    let port = Port::new(endpoint(&server));
    let (mine, mut one) = (space("quiet"), login("quiet_a"));
    port.ensure_space(&mine).await.unwrap();
    port.ensure_login(&mine, &one).await.unwrap();
    let position = || server.sql("SELECT @@gtid_binlog_pos").unwrap();
    let before = position();
    port.ensure_space(&mine).await.unwrap();
    port.ensure_login(&mine, &one).await.unwrap();
    port.reload_certificate().await.unwrap();
    assert_eq!(position(), before);

    server.sql("GRANT SELECT ON mysql.* TO quiet_a@'%'; ALTER USER quiet_a@'%' REQUIRE NONE").unwrap();
    port.ensure_login(&mine, &one).await.unwrap();
    let granted = server.sql("SHOW GRANTS FOR quiet_a@'%'").unwrap();
    assert!(granted.contains("REQUIRE SSL") && !granted.contains("mysql"), "{granted}");

    one.password = Zeroizing::new("another".to_owned());
    port.ensure_login(&mine, &one).await.unwrap();
    port.verify(&mine, &one).await.unwrap();
    server.pod().run("! grep -q -e another -e pass.word /data/mariadb/binlog.0*").unwrap();
}

#[tokio::test]
async fn sessions_are_counted_and_end_with_the_login() {
    let server = MariaDb::shared().await;
    let port = Port::new(endpoint(server));
    let (mine, one) = (space("counted"), login("counted_a"));
    port.ensure_space(&mine).await.unwrap();
    port.ensure_login(&mine, &one).await.unwrap();
    assert_eq!(port.sessions(&one.username).await.unwrap(), Some(0));
    let mut session = connect(server, &mine, &one).await;
    let _another = connect(server, &mine, &one).await;
    assert_eq!(port.sessions(&one.username).await.unwrap(), Some(2));

    port.revoke(&mine, &one.username).await.unwrap();
    session.ping().await.unwrap_err();
    let refused = port.verify(&mine, &one).await.unwrap_err();
    assert!(matches!(refused, AdminError::Refused(_)), "{refused}");
    port.revoke(&mine, &one.username).await.unwrap();

    port.drop_space(&mine).await.unwrap();
    port.drop_space(&mine).await.unwrap();
    assert_eq!(server.sql("SHOW DATABASES LIKE 'counted'").unwrap(), "");
}

#[tokio::test]
async fn views_and_triggers_outlive_the_login_that_made_them() {
    let server = MariaDb::shared().await;
    let port = Port::new(endpoint(server));
    let (mine, old, new) = (space("made"), login("made_a"), login("made_b"));
    port.ensure_space(&mine).await.unwrap();
    port.ensure_login(&mine, &old).await.unwrap();
    let mut maker = connect(server, &mine, &old).await;
    run(
        &mut maker,
        "CREATE TABLE t (v BIGINT); CREATE TABLE log (v BIGINT); CREATE VIEW w AS SELECT v FROM log; \
         CREATE TRIGGER r AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (NEW.v)",
    )
    .await
    .unwrap();
    port.ensure_login(&mine, &new).await.unwrap();
    port.revoke(&mine, &old.username).await.unwrap();
    let refused = port.verify(&mine, &old).await.unwrap_err();
    assert!(matches!(refused, AdminError::Refused(_)), "{refused}");

    let mut user = connect(server, &mine, &new).await;
    run(&mut user, "INSERT INTO t VALUES (5)").await.unwrap();
    assert_eq!(number(&mut user, "SELECT v FROM w").await, 5);

    // The next rotation uses the name again.
    port.ensure_login(&mine, &old).await.unwrap();
    port.verify(&mine, &old).await.unwrap();
    for login in [&old, &new] {
        port.revoke(&mine, &login.username).await.unwrap();
    }
    port.drop_space(&mine).await.unwrap();
    assert_eq!(server.sql("SELECT user FROM mysql.global_priv WHERE user LIKE 'made%'").unwrap(), "");
}

#[tokio::test]
async fn errors_say_what_is_wrong_and_nothing_secret() {
    let mut server = MariaDb::start().await.unwrap();
    let right = endpoint(&server);
    let mine = space("errors");
    let wrong = Endpoint { password: Zeroizing::new("not-the-password".to_owned()), ..right.clone() };
    let error = Port::new(wrong).ensure_space(&mine).await.unwrap_err();
    assert!(matches!(error, AdminError::Refused(_)), "{error}");
    assert!(!error.to_string().contains("not-the-password"), "{error}");

    let plain = Endpoint { ca: None, ..right.clone() };
    let error = Port::new(plain).ensure_space(&mine).await.unwrap_err();
    assert!(matches!(error, AdminError::Tls(_)), "{error}");

    let other = MariaDb::shared().await.pod().ca().to_owned();
    let untrusted = Endpoint { ca: Some(other), ..right.clone() };
    let error = Port::new(untrusted).ensure_space(&mine).await.unwrap_err();
    assert!(matches!(error, AdminError::Tls(_)), "{error}");

    let error = Port::new(right.clone()).ensure_space(&space("mysql")).await.unwrap_err();
    assert!(error.to_string().contains("choose another name"), "{error}");

    server.pod_mut().stop();
    let error = Port::new(right).ensure_space(&mine).await.unwrap_err();
    assert!(matches!(error, AdminError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn a_new_certificate_is_served_without_ending_connections() {
    let server = MariaDb::start().await.unwrap();
    let port = Port::new(endpoint(&server));
    let (mine, one) = (space("renewed"), login("renewed_a"));
    port.ensure_space(&mine).await.unwrap();
    port.ensure_login(&mine, &one).await.unwrap();
    let mut session = connect(&server, &mine, &one).await;
    let (host, ca) = (server.pod().host(), server.pod().ca().to_owned());
    let asked = TlsServer { engine: EngineName::MariaDb, name: host.clone(), host, port: server.pod().port(), ca };
    let before = Handshake.served(&asked).await.unwrap();
    server.pod().renew_certificate().unwrap();
    port.reload_certificate().await.unwrap();
    assert_ne!(Handshake.served(&asked).await.unwrap(), before);
    session.ping().await.unwrap();
    port.verify(&mine, &one).await.unwrap();
}
