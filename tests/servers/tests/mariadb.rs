//! What the scripts of `MariaDB` promise: data survives, passwords are made true, copies follow and heal.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use portico_test_servers::mariadb::MariaDb;

#[tokio::test]
async fn a_crash_loses_nothing_and_passwords_follow_the_secret() {
    let mut server = MariaDb::start_plain().await.unwrap();
    assert!(server.sql("SELECT VERSION()").unwrap().starts_with("11.8."));
    assert_eq!(server.sql("SELECT COUNT(*) FROM mysql.global_priv WHERE user = ''").unwrap(), "0");
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (v INT); INSERT INTO d.t VALUES (42)").unwrap();
    server.pod_mut().stop();
    for key in ["root-password", "admin-password"] {
        server.pod().set_password(key, r"an'other\ password").unwrap();
    }
    // Ready as the operator's user, with what the Secret says now.
    server.pod_mut().resume().await.unwrap();
    assert_eq!(server.sql("SELECT v FROM d.t").unwrap(), "42");
    assert!(server.pod().alive().unwrap());
}

#[tokio::test]
async fn a_copy_follows_and_begins_anew_when_the_log_is_gone() {
    let primary = MariaDb::start().await.unwrap();
    primary.sql("CREATE DATABASE d; CREATE TABLE d.t (v INT); INSERT INTO d.t VALUES (1)").unwrap();
    let mut replica = primary.replica().await.unwrap();
    assert_eq!(replica.sql("SELECT v FROM d.t").unwrap(), "1");
    primary.sql("INSERT INTO d.t VALUES (2)").unwrap();
    replica.pod().until(&client("SELECT SUM(v) FROM d.t"), "3").await.unwrap();

    replica.pod_mut().stop();
    primary.sql("INSERT INTO d.t VALUES (3); FLUSH BINARY LOGS; INSERT INTO d.t VALUES (4)").unwrap();
    let current = primary.sql("FLUSH BINARY LOGS; SHOW MASTER STATUS").unwrap();
    let current = current.split_whitespace().next().unwrap();
    // It keeps what a connected replica reads, and has not noticed yet that this one is gone.
    primary.disconnect("portico_replica").unwrap();
    let purge = client(&format!("PURGE BINARY LOGS TO \"{current}\"; SHOW BINARY LOGS"));
    primary.pod().until(&format!("({purge}) | cut -f 1"), current).await.unwrap();
    replica.pod_mut().spawn().unwrap();
    replica.pod().until(PROBED, "outdated").await.unwrap();
    assert!(!replica.pod().ready().unwrap() && !replica.pod().alive().unwrap());
    replica.pod_mut().resume().await.unwrap();
    assert_eq!(replica.sql("SELECT SUM(v) FROM d.t").unwrap(), "10");
    assert!(replica.pod().alive().unwrap());
}

#[tokio::test]
async fn a_copy_keeps_what_a_primary_that_lost_its_data_does_not_have() {
    let mut primary = MariaDb::start().await.unwrap();
    primary.sql("CREATE DATABASE d; CREATE TABLE d.t (v INT); INSERT INTO d.t VALUES (1)").unwrap();
    let mut replica = primary.replica().await.unwrap();
    replica.pod().until(&client("SELECT v FROM d.t"), "1").await.unwrap();

    primary.pod().run("rm -rf /data/mariadb").unwrap();
    primary.pod_mut().stop();
    primary.pod_mut().resume().await.unwrap();
    primary.sql("CREATE DATABASE d; CREATE TABLE d.t (v INT); INSERT INTO d.t VALUES (2)").unwrap();
    replica.pod().until(PROBED, "foreign").await.unwrap();
    assert_eq!(replica.sql("SELECT v FROM d.t").unwrap(), "1");
    replica.pod_mut().resume().await.unwrap();
    assert_eq!(replica.sql("SELECT v FROM d.t").unwrap(), "2");
    replica.pod().run("test -e /data/mariadb.aside/d/t.ibd").unwrap();
}

/// What the liveness probe has found.
const PROBED: &str = "sh /etc/portico/engine/alive.sh >&2; cat /data/mariadb.useless";

fn client(query: &str) -> String {
    format!(
        "MYSQL_PWD=$(cat /etc/portico/credentials/root-password) mariadb --no-defaults --user=root \
         --socket=/run/portico/mariadb.sock --batch --skip-column-names --execute='{query}' || true"
    )
}
