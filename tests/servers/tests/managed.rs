//! What the operator's scripts promise: data survives, passwords are made true, copies follow and heal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use portico_test_servers::managed::Managed;
use portico_test_servers::postgres::Postgres;
use portico_test_servers::valkey::Valkey;

/// A shell command that asks PostgreSQL as its superuser, who can come only from inside.
fn sql(statement: &str) -> String {
    format!("psql -XAtqc \"{statement}\"")
}

/// A shell command that asks PostgreSQL as the operator does, with the password of the pod's Secret.
fn as_operator(server: &Managed, statement: &str) -> String {
    format!(
        "PGPASSWORD=$(cat /etc/portico/credentials/admin-password) psql -XAtqc '{statement}' \
         'host={} user=portico_admin dbname=postgres sslmode=verify-full sslrootcert=/etc/portico/tls/ca.crt'",
        server.host()
    )
}

/// A shell command that asks Valkey as the operator does.
fn redis(server: &Managed, command: &str) -> String {
    format!(
        "REDISCLI_AUTH=$(cat /etc/portico/credentials/admin-password) valkey-cli --tls \
         --cacert /etc/portico/tls/ca.crt -h {} --user portico_admin {command}",
        server.host()
    )
}

#[tokio::test]
async fn postgres_refuses_everybody_without_tls_and_the_superuser_from_outside() {
    let server = Postgres::start_managed().await.unwrap();
    assert!(server.alive().unwrap());
    assert_eq!(server.run(&as_operator(&server, "SELECT version FROM pg_stat_ssl WHERE ssl")).unwrap(), "TLSv1.3");
    let plain = as_operator(&server, "SELECT 1").replace("verify-full", "disable");
    assert!(server.run(&plain).unwrap_err().to_string().contains("no encryption"));
    let superuser =
        as_operator(&server, "SELECT 1").replace("portico_admin", "postgres").replace("admin-", "superuser-");
    assert!(server.run(&superuser).unwrap_err().to_string().contains("rejects connection"));
}

#[tokio::test]
async fn postgres_keeps_its_data_and_takes_new_passwords_after_a_crash() {
    let mut server = Postgres::start_managed().await.unwrap();
    server.run(&sql("CREATE TABLE t AS SELECT 42 AS v")).unwrap();
    server.set_password("admin-password", "it's:a\\new one").unwrap();
    assert!(server.run(&as_operator(&server, "SELECT 1")).is_err());
    server.stop();
    server.resume().await.unwrap();
    assert_eq!(server.run(&as_operator(&server, "SELECT 1")).unwrap(), "1");
    assert_eq!(server.run(&sql("SELECT v FROM t")).unwrap(), "42");
}

#[tokio::test]
async fn the_first_start_of_postgres_may_be_killed_at_any_point() {
    let mut server = Postgres::start_managed().await.unwrap();
    // As if it had been killed while the folder was made, and before the roles were.
    server.run("mv /data/postgresql /data/postgresql.unfinished; rm /data/postgresql.unfinished/PG_VERSION").unwrap();
    server.stop();
    server.resume().await.unwrap();
    assert_eq!(server.run("ls /data").unwrap(), "postgresql");
    server.run(&sql("DROP OWNED BY portico_admin; DROP ROLE portico_admin, portico_replica")).unwrap();
    server.stop();
    server.resume().await.unwrap();
}

#[tokio::test]
async fn a_copy_of_postgres_follows_through_a_restart_with_another_password() {
    let mut primary = Postgres::start_managed().await.unwrap();
    let mut copy = primary.replica().await.unwrap();
    primary.run(&sql("CREATE TABLE t AS SELECT 1 AS v")).unwrap();
    copy.until(&sql("SELECT count(*) FROM t"), "1").await.unwrap();
    let folder = "stat -c %i /data/postgresql";
    let before = copy.run(folder).unwrap();
    primary.stop();
    assert!(copy.ready().unwrap(), "it has data, and answers");
    primary.set_password("replication-password", "another").unwrap();
    copy.set_password("replication-password", "another").unwrap();
    primary.resume().await.unwrap();
    copy.stop();
    copy.resume().await.unwrap();
    primary.run(&sql("INSERT INTO t VALUES (2)")).unwrap();
    copy.until(&sql("SELECT count(*) FROM t"), "2").await.unwrap();
    assert_eq!(copy.run(folder).unwrap(), before, "it was copied again");
}

#[tokio::test]
async fn a_copy_of_postgres_that_was_away_for_too_long_is_made_anew() {
    let primary = Postgres::start_managed().await.unwrap();
    let mut copy = primary.replica().await.unwrap();
    copy.stop();
    primary.run(&sql("ALTER SYSTEM SET wal_keep_size = 0")).unwrap();
    primary.run(&sql("SELECT pg_reload_conf()")).unwrap();
    primary.run(&sql("CREATE TABLE t AS SELECT 1 AS v")).unwrap();
    for _ in 0..3 {
        primary.run(&sql("SELECT pg_switch_wal()")).unwrap();
        primary.run(&sql("CHECKPOINT")).unwrap();
        primary.run(&sql("INSERT INTO t VALUES (2)")).unwrap();
    }
    copy.spawn().unwrap();
    copy.until_ended().await.unwrap();
    copy.resume().await.unwrap();
    copy.until(&sql("SELECT count(*) FROM t"), "4").await.unwrap();
    assert_eq!(copy.run("ls /data").unwrap(), "postgresql");
}

#[tokio::test]
async fn a_copy_of_postgres_whose_primary_lost_its_volume_keeps_the_old_data_aside() {
    let mut primary = Postgres::start_managed().await.unwrap();
    let mut copy = primary.replica().await.unwrap();
    primary.run("rm -rf /data/postgresql").unwrap();
    primary.stop();
    primary.resume().await.unwrap();
    copy.until_ended().await.unwrap();
    copy.resume().await.unwrap();
    primary.run(&sql("CREATE TABLE t AS SELECT 1 AS v")).unwrap();
    copy.until(&sql("SELECT count(*) FROM t"), "1").await.unwrap();
    assert_eq!(copy.run("ls /data").unwrap(), "postgresql\npostgresql.aside");
}

#[tokio::test]
async fn probes_see_to_it_that_a_renewed_certificate_is_served() {
    let (mut postgres, mut valkey) = tokio::try_join!(Postgres::start_managed(), Valkey::start_managed()).unwrap();
    postgres.change_authority().unwrap();
    valkey.change_authority().unwrap();
    assert!(postgres.run(&as_operator(&postgres, "SELECT 1")).is_err());
    assert_ne!(valkey.run(&redis(&valkey, "ping")).unwrap_or_default(), "PONG");
    assert!(postgres.ready().unwrap() && valkey.ready().unwrap());
    postgres.until(&as_operator(&postgres, "SELECT 1"), "1").await.unwrap();
    valkey.until(&redis(&valkey, "ping"), "PONG").await.unwrap();
}

#[tokio::test]
async fn valkey_keeps_users_and_takes_new_passwords_after_a_crash() {
    let mut server = Valkey::start_managed().await.unwrap();
    assert!(server.alive().unwrap());
    server.run(&redis(&server, "acl setuser somebody on nopass '~some:*' +get")).unwrap();
    server.run(&redis(&server, "acl save")).unwrap();
    server.set_password("admin-password", "another").unwrap();
    server.stop();
    server.resume().await.unwrap();
    let users = server.run(&redis(&server, "acl list | cut -d' ' -f2")).unwrap();
    assert_eq!(users, "default\nportico_admin\nportico_replica\nsomebody");
    let plain = format!("timeout 2 valkey-cli -h {} ping", server.host());
    assert!(!server.run(&plain).unwrap_or_default().contains("NOAUTH"), "it answers without TLS");
    assert!(!server.run("cat /data/valkey/users.acl").unwrap().contains("another"));
}

#[tokio::test]
async fn a_copy_of_valkey_follows_data_and_users() {
    let mut primary = Valkey::start_managed().await.unwrap();
    let copy = primary.replica().await.unwrap();
    let user = "acl setuser somebody reset on nopass '~some:*' +get +set";
    primary.run(&redis(&primary, user)).unwrap();
    primary.run(&redis(&primary, "acl save")).unwrap();
    assert!(copy.ready().unwrap());
    copy.run("grep -q '^user somebody ' /data/valkey/users.acl").unwrap();
    primary.stop();
    assert!(copy.ready().unwrap(), "it has data, and answers");
    primary.resume().await.unwrap();
    let as_user = |server: &Managed, command: &str| {
        format!(
            "valkey-cli --tls --cacert /etc/portico/tls/ca.crt -h {} --user somebody --pass any {command} 2>/dev/null",
            server.host()
        )
    };
    primary.run(&as_user(&primary, "set some:key value")).unwrap();
    copy.until(&as_user(&copy, "get some:key"), "value").await.unwrap();
    assert!(copy.run(&as_user(&copy, "set some:key other")).unwrap().contains("READONLY"));
}
