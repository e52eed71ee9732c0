//! The admin port of Valkey against a real server that the operator's script has started.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use portico_crds::common::names::EngineName;
use portico_operator_admin::valkey::Valkey as Port;
use portico_operator_admin::{AdminError, AdminPort as _, Endpoint, Login, Space};
use portico_test_servers::managed::Managed;
use portico_test_servers::valkey::Valkey;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Client, ErrorKind, RedisError, ServerErrorKind, TlsCertificates, cmd};
use tokio::sync::OnceCell;

use support::{login, space};

async fn server() -> &'static Managed {
    static SHARED: OnceCell<Managed> = OnceCell::const_new();
    SHARED.get_or_init(|| async { Valkey::start_managed().await.unwrap() }).await
}

fn endpoint(server: &Managed) -> Endpoint {
    support::endpoint(EngineName::Valkey, server)
}

async fn connect(server: &Managed, login: &Login) -> Result<MultiplexedConnection, RedisError> {
    let (user, password) = (&login.username, login.password.as_str());
    let uri = format!("rediss://{user}:{password}@{}:{}/0", server.host(), server.port());
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(server.ca().as_bytes().to_vec()) };
    Client::build_with_tls(uri, certificates)?.get_multiplexed_async_connection().await
}

async fn enter(server: &Managed, login: &Login) -> MultiplexedConnection {
    connect(server, login).await.unwrap()
}

fn denied(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
}

/// A space with one login, made twice.
async fn made(port: &Port, name: &str) -> (Space, Login) {
    let (space, login) = (space(name), login(&format!("{name}-1")));
    for _ in 0..2 {
        port.ensure_space(&space).await.unwrap();
        port.ensure_login(&space, &login).await.unwrap();
    }
    port.verify(&space, &login).await.unwrap();
    (space, login)
}

#[tokio::test]
async fn two_logins_share_a_prefix_and_enter_no_other() {
    let server = server().await;
    let port = Port::new(endpoint(server));
    let (space, first) = made(&port, "shared").await;
    let (theirs, _) = made(&port, "shared-not").await;
    let second = login("shared-2");
    port.ensure_login(&space, &second).await.unwrap();
    let (mut one, mut two) = (enter(server, &first).await, enter(server, &second).await);
    one.set::<_, _, ()>("shared:key", 1).await.unwrap();
    assert_eq!(two.incr::<_, _, u32>("shared:key", 1).await.unwrap(), 2);
    for key in ["shared-not:key", "key", "shared"] {
        assert!(denied(&one.get::<_, Option<u32>>(key).await.unwrap_err()), "{key}");
    }
    assert!(denied(&one.publish::<_, _, u32>("other", 1).await.unwrap_err()));
    for command in [["CONFIG", "GET", "*"], ["ACL", "SETUSER", "x"], ["FLUSHALL", "ASYNC", ""], ["KEYS", "*", ""]] {
        let words = command.iter().filter(|word| !word.is_empty());
        let mut request = cmd(command[0]);
        words.skip(1).for_each(|word| {
            request.arg(*word);
        });
        assert!(denied(&request.query_async::<()>(&mut one).await.unwrap_err()), "{command:?}");
    }
    assert!(matches!(port.verify(&theirs, &first).await, Err(AdminError::Refused(_))));
    assert_eq!(port.sessions("shared-1").await.unwrap(), Some(1));
    assert_eq!(port.sessions("shared").await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_user_of_the_whole_instance_has_all_keys_and_no_administration() {
    let server = Valkey::start_managed().await.unwrap();
    let port = Port::new(endpoint(&server));
    let (whole, all) = (Space { whole: true, ..space("everything") }, login("everything-1"));
    port.ensure_login(&whole, &all).await.unwrap();
    port.verify(&whole, &all).await.unwrap();
    let mut session = enter(&server, &all).await;
    session.set::<_, _, ()>("anything", 1).await.unwrap();
    assert!(denied(&cmd("CONFIG").arg("GET").arg("*").query_async::<()>(&mut session).await.unwrap_err()));
    port.drop_space(&whole).await.unwrap();
    assert!(matches!(port.verify(&whole, &all).await, Err(AdminError::Refused(_))));
    let info = "REDISCLI_AUTH=$(cat /etc/portico/credentials/admin-password) \
        valkey-cli --tls --insecure -h 127.0.0.1 --user portico_admin info keyspace";
    let info = info.replace("127.0.0.1", &server.host());
    assert_eq!(server.run(&info).unwrap(), "# Keyspace");
}

#[tokio::test]
async fn a_changed_password_is_made_true_and_never_told() {
    let server = server().await;
    let port = Port::new(endpoint(server));
    let (space, right) = made(&port, "changed").await;
    let wrong = Login { password: "another-password".to_owned().into(), ..right.clone() };
    let error = port.verify(&space, &wrong).await.unwrap_err();
    assert!(matches!(error, AdminError::Refused(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("another-password"));
    port.ensure_login(&space, &wrong).await.unwrap();
    port.verify(&space, &wrong).await.unwrap();
    assert!(matches!(port.verify(&space, &right).await, Err(AdminError::Refused(_))));
}

#[tokio::test]
async fn users_outlive_a_crash_and_revoking_ends_their_connections() {
    let mut server = Valkey::start_managed().await.unwrap();
    let port = Port::new(endpoint(&server));
    let (space, first) = made(&port, "kept").await;
    let list = server.run("cat /data/valkey/users.acl").unwrap();
    assert!(!list.contains('>') && !list.contains(&server.password("admin-password").unwrap()), "{list}");
    server.stop();
    server.resume().await.unwrap();
    port.verify(&space, &first).await.unwrap();
    let mut session = enter(&server, &first).await;
    assert_eq!(port.sessions("kept-1").await.unwrap(), Some(1));
    port.revoke(&space, "kept-1").await.unwrap();
    assert!(session.get::<_, Option<u32>>("kept:key").await.is_err());
    assert_eq!(port.sessions("kept-1").await.unwrap(), Some(0));
    port.revoke(&space, "kept-1").await.unwrap();
    server.stop();
    server.resume().await.unwrap();
    assert!(matches!(port.verify(&space, &first).await, Err(AdminError::Refused(_))));
}

#[tokio::test]
async fn a_dropped_space_is_gone_in_every_database_and_others_stay() {
    let server = server().await;
    let port = Port::new(endpoint(server));
    let (space, mine) = made(&port, "dropped").await;
    let (_, other) = made(&port, "dropped-not").await;
    let mut session = enter(server, &mine).await;
    for database in [0, 3] {
        cmd("SELECT").arg(database).exec_async(&mut session).await.unwrap();
        let pairs: Vec<(String, u32)> = (0..2500).map(|number| (format!("dropped:{number}"), number)).collect();
        session.mset::<_, _, ()>(&pairs).await.unwrap();
    }
    let mut neighbour = enter(server, &other).await;
    neighbour.set::<_, _, ()>("dropped-not:key", 1).await.unwrap();
    port.drop_space(&space).await.unwrap();
    assert!(matches!(port.verify(&space, &mine).await, Err(AdminError::Refused(_))));
    made(&port, "dropped").await;
    let mut session = enter(server, &mine).await;
    for database in [0, 3] {
        cmd("SELECT").arg(database).exec_async(&mut session).await.unwrap();
        assert!(!session.exists::<_, bool>(&["dropped:0", "dropped:2499"]).await.unwrap());
    }
    assert!(neighbour.exists::<_, bool>("dropped-not:key").await.unwrap());
    port.drop_space(&space).await.unwrap();
    port.drop_space(&space).await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_said_by_kind() {
    let server = server().await;
    let wrong = Endpoint { password: "wrong".to_owned().into(), ..endpoint(server) };
    let error = Port::new(wrong).sessions("any").await.unwrap_err();
    assert!(matches!(error, AdminError::Refused(_)), "{error:?}");
    let away = Endpoint { port: 1, ..endpoint(server) };
    let error = Port::new(away).sessions("any").await.unwrap_err();
    assert!(matches!(error, AdminError::Unreachable(_)), "{error:?}");
    let stranger = rcgen::generate_simple_self_signed(vec![server.host()]).unwrap().cert.pem();
    let other = Endpoint { ca: Some(stranger), ..endpoint(server) };
    let error = Port::new(other).sessions("any").await.unwrap_err();
    assert!(matches!(error, AdminError::Tls(_)), "{error:?}");
    for name in ["*", "portico_admin", "default", "a b"] {
        assert!(matches!(Port::new(endpoint(server)).drop_space(&space(name)).await, Err(AdminError::Engine(_))));
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_served_and_connections_stay() {
    let mut server = Valkey::start_managed().await.unwrap();
    let before = Port::new(endpoint(&server));
    let (_, login) = made(&before, "renewed").await;
    let mut session = enter(&server, &login).await;
    server.change_authority().unwrap();
    let after = Port::new(endpoint(&server));
    assert!(matches!(after.sessions("any").await, Err(AdminError::Tls(_))));
    before.reload_certificate().await.unwrap();
    assert_eq!(after.sessions("renewed-1").await.unwrap(), Some(1));
    session.set::<_, _, ()>("renewed:key", 1).await.unwrap();
}

#[tokio::test]
async fn copies_have_the_same_users() {
    let primary = Valkey::start_managed().await.unwrap();
    let port = Port::new(endpoint(&primary));
    let (space, early) = made(&port, "copied").await;
    let copy = primary.replica().await.unwrap();
    enter(&copy, &early).await;
    let port = port.with_replicas(vec![copy.host(), "127.0.0.2".to_owned()]);
    let late = login("copied-2");
    port.ensure_login(&space, &late).await.unwrap();
    let mut session = enter(&copy, &late).await;
    assert_eq!(port.sessions("copied-2").await.unwrap(), Some(1));
    let error = session.set::<_, _, ()>("copied:key", 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly));
    port.revoke(&space, "copied-2").await.unwrap();
    assert!(session.get::<_, Option<u32>>("copied:key").await.is_err());
    assert!(connect(&copy, &late).await.is_err());
}
