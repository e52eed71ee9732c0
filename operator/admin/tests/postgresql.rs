//! The admin port of PostgreSQL against a real server that the operator's script has started.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use portico_crds::common::names::EngineName;
use portico_operator_admin::postgresql::PostgreSql;
use portico_operator_admin::{AdminError, AdminPort as _, Endpoint, Login, Space};
use portico_test_servers::managed::Managed;
use portico_test_servers::postgres::Postgres;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _, Error, Executor as _};
use tokio::sync::OnceCell;

use support::{login, space};

async fn server() -> &'static Managed {
    static SHARED: OnceCell<Managed> = OnceCell::const_new();
    SHARED.get_or_init(|| async { Postgres::start_managed().await.unwrap() }).await
}

fn endpoint(server: &Managed) -> Endpoint {
    support::endpoint(EngineName::PostgreSql, server)
}

async fn connect(server: &Managed, database: &str, login: &Login) -> Result<PgConnection, Error> {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&server.host())
        .port(server.port())
        .username(&login.username)
        .password(&login.password)
        .database(database)
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert_from_pem(server.ca().as_bytes().to_vec());
    PgConnection::connect_with(&options).await
}

/// A space with one login, made twice.
async fn made(port: &PostgreSql, name: &str) -> (Space, Login) {
    let (space, login) = (space(name), login(&format!("{name}_1")));
    for _ in 0..2 {
        port.ensure_space(&space).await.unwrap();
        port.ensure_login(&space, &login).await.unwrap();
    }
    port.verify(&space, &login).await.unwrap();
    (space, login)
}

#[tokio::test]
async fn two_logins_share_what_either_made() {
    let server = server().await;
    let port = PostgreSql::new(endpoint(server));
    let (space, first) = made(&port, "shared").await;
    let second = login("shared_2");
    port.ensure_login(&space, &second).await.unwrap();
    let mut one = connect(server, "shared", &first).await.unwrap();
    one.execute("CREATE TABLE t AS SELECT 1 AS v").await.unwrap();
    let mut two = connect(server, "shared", &second).await.unwrap();
    two.execute("ALTER TABLE t ADD COLUMN w int").await.unwrap();
    two.execute("CREATE SCHEMA s CREATE TABLE u (v int)").await.unwrap();
    one.execute("DROP TABLE s.u").await.unwrap();
    assert_eq!(port.sessions("shared_1").await.unwrap(), Some(1));
    assert_eq!(port.sessions("shared_2").await.unwrap(), Some(1));
    assert_eq!(port.sessions("shared_3").await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_login_enters_no_other_space() {
    let server = server().await;
    let port = PostgreSql::new(endpoint(server));
    let (mine, login) = made(&port, "mine").await;
    let (theirs, _) = made(&port, "theirs").await;
    for database in ["theirs", "postgres", "template1"] {
        let error = connect(server, database, &login).await.map(drop).unwrap_err().to_string();
        assert!(error.contains("permission denied for database"), "{database}: {error}");
    }
    assert!(matches!(port.verify(&theirs, &login).await, Err(AdminError::Refused(_))));
    let taken = port.ensure_login(&theirs, &login).await.unwrap_err().to_string();
    assert!(taken.contains("belongs to \"mine\""), "{taken}");
    let mut session = connect(server, &mine.name, &login).await.unwrap();
    let statements =
        ["CREATE ROLE other", "CREATE DATABASE other", "SET ROLE theirs", "SET SESSION AUTHORIZATION portico_admin"];
    for statement in statements {
        let error = session.execute(statement).await.map(drop).unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{statement}");
    }
}

/// Roles of spaces and users have one list of names in PostgreSQL: the user `apart_1` of the space `apart` must never be
/// the role of the space `apart_1`, or either would let the other in.
#[tokio::test]
async fn a_user_is_never_a_space() {
    let server = server().await;
    let port = PostgreSql::new(endpoint(server));
    let (apart, user) = made(&port, "apart").await;
    let taken = port.ensure_space(&space(&user.username)).await.unwrap_err().to_string();
    assert!(taken.contains("is a user of the space \"apart\""), "{taken}");
    let (first, _) = made(&port, "apart_2").await;
    let taken = port.ensure_login(&apart, &login(&first.name)).await.unwrap_err().to_string();
    assert!(taken.contains("is a space, not a user"), "{taken}");
    port.verify(&apart, &user).await.unwrap();
}

#[tokio::test]
async fn a_changed_password_is_made_true_and_never_told() {
    let server = server().await;
    let port = PostgreSql::new(endpoint(server));
    let (space, login) = made(&port, "changed").await;
    let psql = "psql -XAtqc \"ALTER ROLE changed_1 PASSWORD 'behind-the-back'\"";
    server.run(psql).unwrap();
    let error = port.verify(&space, &login).await.unwrap_err();
    assert!(matches!(error, AdminError::Refused(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains(login.password.as_str()));
    port.ensure_login(&space, &login).await.unwrap();
    port.verify(&space, &login).await.unwrap();
    assert!(!server.tail().contains("password-of-") && !server.tail().contains("SCRAM-SHA-256"));
}

#[tokio::test]
async fn revoking_ends_sessions_and_keeps_what_the_login_owned() {
    let server = server().await;
    let port = PostgreSql::new(endpoint(server));
    let (space, first) = made(&port, "revoked").await;
    let second = login("revoked_2");
    port.ensure_login(&space, &second).await.unwrap();
    let mut session = connect(server, "revoked", &first).await.unwrap();
    let statements = [
        "CREATE SCHEMA own",
        "SET ROLE NONE",
        "CREATE TABLE own.t AS SELECT 1 AS v",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO revoked_2",
    ];
    for statement in statements {
        session.execute(statement).await.unwrap();
    }
    // The owner of a database may give it settings; they must not get in the operator's way.
    let mut owner = connect(server, "revoked", &second).await.unwrap();
    owner.execute("ALTER DATABASE revoked SET default_transaction_read_only TO on").await.unwrap();
    owner.execute("ALTER DATABASE revoked SET search_path TO nowhere").await.unwrap();
    port.revoke(&space, "revoked_1").await.unwrap();
    assert!(session.execute("SELECT 1").await.is_err());
    assert_eq!(port.sessions("revoked_1").await.unwrap(), Some(0));
    assert!(matches!(port.verify(&space, &first).await, Err(AdminError::Refused(_))));
    let kept: i32 = sqlx::query_scalar("SELECT v FROM own.t").fetch_one(&mut owner).await.unwrap();
    assert_eq!(kept, 1);
    port.revoke(&space, "revoked_1").await.unwrap();
}

#[tokio::test]
async fn a_dropped_space_is_gone_with_its_logins_and_may_be_dropped_again() {
    let server = server().await;
    let port = PostgreSql::new(endpoint(server));
    let (space, first) = made(&port, "dropped").await;
    let mut session = connect(server, "dropped", &first).await.unwrap();
    session.execute("CREATE TABLE t (v int)").await.unwrap();
    port.drop_space(&space).await.unwrap();
    assert!(session.execute("SELECT 1").await.is_err());
    let left = "psql -XAtqc \"SELECT count(*) FROM pg_roles WHERE rolname LIKE 'dropped%'\"";
    assert_eq!(server.run(left).unwrap(), "0");
    port.drop_space(&space).await.unwrap();
    port.revoke(&space, "dropped_1").await.unwrap();
    made(&port, "dropped").await;
}

#[tokio::test]
async fn what_is_not_the_operators_is_left_alone() {
    let server = server().await;
    let port = PostgreSql::new(endpoint(server));
    for name in ["postgres", "portico_admin", "template1", "x\"; DROP ROLE y; --", "Upper"] {
        assert!(matches!(port.drop_space(&space(name)).await, Err(AdminError::Engine(_))), "{name}");
    }
    server.run("psql -XAtqc 'CREATE DATABASE by_hand'").unwrap();
    let error = port.ensure_space(&space("by_hand")).await.unwrap_err().to_string();
    assert!(error.contains("belongs to \"postgres\""), "{error}");
    assert!(port.drop_space(&space("by_hand")).await.is_err());
}

#[tokio::test]
async fn what_is_wrong_is_said_by_kind() {
    let server = server().await;
    let wrong = Endpoint { password: "wrong".to_owned().into(), ..endpoint(server) };
    let error = PostgreSql::new(wrong).ensure_space(&space("any")).await.unwrap_err();
    assert!(matches!(error, AdminError::Refused(_)), "{error:?}");
    let away = Endpoint { port: 1, ..endpoint(server) };
    let error = PostgreSql::new(away).ensure_space(&space("any")).await.unwrap_err();
    assert!(matches!(error, AdminError::Unreachable(_)), "{error:?}");
    let stranger = rcgen::generate_simple_self_signed(vec![server.host()]).unwrap().cert.pem();
    let other = Endpoint { ca: Some(stranger), ..endpoint(server) };
    let error = PostgreSql::new(other).ensure_space(&space("any")).await.unwrap_err();
    assert!(matches!(error, AdminError::Tls(_)), "{error:?}");
    let plain = Endpoint { ca: None, ..endpoint(server) };
    let error = PostgreSql::new(plain).ensure_space(&space("any")).await.unwrap_err();
    assert!(matches!(error, AdminError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_renewed_certificate_is_served_and_connections_stay() {
    let mut server = Postgres::start_managed().await.unwrap();
    let before = PostgreSql::new(endpoint(&server));
    let (_, login) = made(&before, "renewed").await;
    let mut session = connect(&server, "renewed", &login).await.unwrap();
    server.change_authority().unwrap();
    let after = PostgreSql::new(endpoint(&server));
    assert!(matches!(after.sessions("any").await, Err(AdminError::Tls(_))));
    before.reload_certificate().await.unwrap();
    let look = "PGPASSWORD=$(cat /etc/portico/credentials/admin-password) psql -XAtqc 'SELECT 1' \
        \"host=HOST user=portico_admin dbname=postgres sslmode=verify-full sslrootcert=/etc/portico/tls/ca.crt\"";
    server.until(&look.replace("HOST", &server.host()), "1").await.unwrap();
    assert_eq!(after.sessions("renewed_1").await.unwrap(), Some(1));
    session.execute("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn sessions_on_copies_count_and_end() {
    let primary = Postgres::start_managed().await.unwrap();
    let copy = primary.replica().await.unwrap();
    let nowhere = "127.0.0.2".to_owned();
    let port = PostgreSql::new(endpoint(&primary)).with_replicas(vec![copy.host(), nowhere]);
    let (space, login) = made(&port, "copied").await;
    copy.until("psql -XAtqc \"SELECT count(*) FROM pg_roles WHERE rolname = 'copied_1'\"", "1").await.unwrap();
    let mut session = connect(&copy, "copied", &login).await.unwrap();
    assert_eq!(port.sessions("copied_1").await.unwrap(), Some(1));
    let statement = AssertSqlSafe("CREATE TABLE t (v int)".to_owned());
    assert!(session.execute(statement).await.is_err(), "a copy takes writes");
    port.revoke(&space, "copied_1").await.unwrap();
    assert!(session.execute("SELECT 1").await.is_err());
}
