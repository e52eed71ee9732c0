//! Credentials, certificates and addresses that change while the service runs, on the engines as the operator runs
//! them: TLS, and for each login its twin that takes over.

use std::time::{Duration, Instant};

use portico_test_servers::{
    managed::Managed,
    postgres::{Database, Postgres},
    valkey::Valkey,
};
use tokio::task::block_in_place;

use crate::{
    harness::{PASSWORD, Place, Service},
    load::Load,
    mount::Mount,
};

/// How long connections of a replaced login may last while there is something to do.
const SOON: Duration = Duration::from_secs(10);
const SPACE: &str = "members_auth";
const PREFIX: &str = "members-auth:";

/// The engines, one consumer's place in each, and what the consumer is mounted.
struct Engines {
    postgres: Managed,
    valkey: Managed,
    place: Place,
    database: Mount,
    cache: Mount,
}

impl Engines {
    async fn start() -> Self {
        let (postgres, valkey) = tokio::join!(Postgres::start_managed(), Valkey::start_managed());
        let (postgres, valkey) = (postgres.unwrap(), valkey.unwrap());
        let database = Database {
            host: postgres.host(),
            port: postgres.port(),
            database: SPACE.to_owned(),
            username: login("a"),
            password: password("a"),
        };
        let place = Place::with(database);
        let (host, port) = (postgres.host(), postgres.port().to_string());
        let binding = [
            ("type", "postgresql"),
            ("host", &host),
            ("port", &port),
            ("database", SPACE),
            ("sslmode", "verify-full"),
            ("ca.crt", postgres.ca()),
        ];
        let database = Mount::new(&place.path().join("database"), &binding);
        let (host, port) = (valkey.host(), valkey.port().to_string());
        let binding = [
            ("type", "redis"),
            ("host", &host),
            ("port", &port),
            ("prefix", PREFIX),
            ("tls", "true"),
            ("ca.crt", valkey.ca()),
        ];
        let cache = Mount::new(&place.path().join("cache"), &binding);
        let mut engines = Self { postgres, valkey, place, database, cache };
        engines.sql(&format!("CREATE ROLE {SPACE} NOLOGIN"));
        engines.sql(&format!("CREATE DATABASE {SPACE} OWNER {SPACE}"));
        engines.introduce("a");
        engines.publish("a");
        engines
    }

    fn sql(&self, statement: &str) -> String {
        let psql = "PGPASSWORD=$(cat /etc/portico/credentials/superuser-password) psql -XAtq -v ON_ERROR_STOP=1";
        self.postgres.run(&format!("{psql} -h /run/postgresql -U postgres -d postgres -c \"{statement}\"")).unwrap()
    }

    fn valkey(&self, command: &str) -> String {
        self.valkey_as("portico_admin", "$(cat /etc/portico/credentials/admin-password)", command)
    }

    fn valkey_as(&self, user: &str, password: &str, command: &str) -> String {
        let client = "valkey-cli -e --tls --cacert /etc/portico/tls/ca.crt";
        let host = self.valkey.host();
        self.valkey.run(&format!("REDISCLI_AUTH={password} {client} --user {user} -h {host} {command}")).unwrap()
    }

    /// Makes the login of a slot, as the operator does.
    fn introduce(&self, slot: &str) {
        let (login, password) = (login(slot), password(slot));
        self.sql(&format!("CREATE ROLE {login} LOGIN PASSWORD '{password}' IN ROLE {SPACE}"));
        self.sql(&format!("ALTER ROLE {login} SET role TO {SPACE}"));
        let rights = format!("'~{PREFIX}*' '&{PREFIX}*' +@all -@admin -@dangerous +info");
        self.valkey(&format!("ACL SETUSER {login} reset on '>{password}' {rights}"));
    }

    /// Publishes the login of a slot.
    fn publish(&mut self, slot: &str) {
        let entries = [("username", &*login(slot)), ("password", &*password(slot))];
        self.database.update(&entries);
        self.cache.update(&entries);
    }

    /// The connections of a login at both engines.
    fn sessions(&self, slot: &str) -> usize {
        let login = login(slot);
        let rows = self.sql(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{login}'"));
        let clients = self.valkey("CLIENT LIST");
        let word = format!(" user={login} ");
        rows.parse::<usize>().unwrap() + clients.lines().filter(|line| line.contains(&word)).count()
    }

    /// Waits until a login has no connection left.
    fn drained(&self, slot: &str) {
        let start = Instant::now();
        // Neither server tells when a connection ends; each question takes its time.
        while block_in_place(|| self.sessions(slot)) > 0 {
            assert!(start.elapsed() < SOON, "{} connections of {slot} are left", self.sessions(slot));
        }
    }

    /// Takes a login away, whatever still uses it.
    fn revoke(&self, slot: &str) {
        let login = login(slot);
        self.sql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'"));
        self.sql(&format!("DROP ROLE {login}"));
        self.valkey(&format!("ACL DELUSER {login}"));
    }
}

fn login(slot: &str) -> String {
    format!("{SPACE}_{slot}")
}

fn password(slot: &str) -> String {
    format!("password of {slot}").replace(' ', "-")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logins_are_replaced_under_load_and_no_request_fails() {
    let mut engines = Engines::start().await;
    let service = engines.place.service().await;
    let load = Load::of(&service, 6).await;
    for (old, new) in [("a", "b"), ("b", "a"), ("a", "b")] {
        engines.introduce(new);
        assert!(engines.sessions(old) > 1 && engines.sessions(new) == 0);
        engines.publish(new);
        engines.drained(old);
        engines.revoke(old);
        load.go_on(2).await;
        assert!(engines.sessions(new) > 1);
    }
    load.end().await;
    // The service writes where it may and nowhere else.
    let keys = engines.valkey_as(&login("b"), &password("b"), "--scan");
    assert!(!keys.is_empty() && keys.lines().all(|key| key.starts_with(PREFIX)), "{keys}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replaced_authority_is_followed_under_load() {
    let mut engines = Engines::start().await;
    let service = engines.place.service().await;
    let load = Load::of(&service, 4).await;
    // The bundle of a rotation: the next authority beside the present one.
    for bundle in [engines.valkey.ca().to_owned() + engines.postgres.ca(), String::new()] {
        let database = if bundle.is_empty() { engines.postgres.ca() } else { &bundle }.to_owned();
        let cache = if bundle.is_empty() { engines.valkey.ca() } else { &bundle }.to_owned();
        engines.database.update(&[("ca.crt", &database)]);
        engines.cache.update(&[("ca.crt", &cache)]);
        load.go_on(2).await;
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_of_another_authority_is_not_believed() {
    let mut engines = Engines::start().await;
    let (theirs, ours) = (engines.valkey.ca().to_owned(), engines.postgres.ca().to_owned());
    engines.database.update(&[("ca.crt", &theirs)]);
    engines.cache.update(&[("ca.crt", &ours)]);
    let service = engines.place.unready_service().await;
    service.until_failing("database", "TlsFailed").await;
    service.until_failing("cache", "TlsFailed").await;
    engines.database.update(&[("ca.crt", &ours)]);
    engines.cache.update(&[("ca.crt", &theirs)]);
    service.until_ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_binding_that_leads_nowhere_is_no_reason_to_give_up_one_that_works() {
    let mut engines = Engines::start().await;
    let service = engines.place.service().await;
    let (access, _) = service.somebody("jane@example.org").await;
    // This login does not exist yet.
    engines.publish("b");
    for _ in 0..5 {
        service.me(&access).await.expect(200);
    }
    assert!(service.running.health.is_ready());
    engines.introduce("b");
    engines.drained("a");
    engines.revoke("a");
    both_are_used(&service, &access).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_cache_is_filled_before_it_is_believed() {
    let mut engines = Engines::start().await;
    let service = engines.place.service().await;
    let (access, _) = service.somebody("jane@example.org").await;
    let (ended, _) = service.somebody("john@example.org").await;
    service.logout(&ended).await.expect(204);
    let next = Valkey::start().await.unwrap();
    next.write_binding(&engines.place.path().join("next")).unwrap();
    let read = |key: &str| std::fs::read_to_string(engines.place.path().join("next").join(key)).unwrap();
    let (host, port, username, password) = (read("host"), read("port"), read("username"), read("password"));
    let moved = [("host", &*host), ("port", &port), ("username", &username), ("password", &password)];
    engines.cache.update(&[&moved[..], &[("tls", "false"), ("ca.crt", "")]].concat());
    engines.drained_cache("a");
    service.me(&ended).await.expect_problem(401, "token_revoked");
    both_are_used(&service, &access).await;
    assert!(next.command(&["KEYS", "*"]).unwrap().contains(PREFIX));
}

impl Engines {
    /// Waits until a login has no connection to the cache left.
    fn drained_cache(&self, slot: &str) {
        let (start, word) = (Instant::now(), format!(" user={} ", login(slot)));
        while block_in_place(|| self.valkey("CLIENT LIST")).contains(&word) {
            assert!(start.elapsed() < SOON, "the cache is not left");
        }
    }
}

/// Looking needs the database and the cache.
async fn both_are_used(service: &Service, access: &str) {
    service.me(access).await.expect(200);
    service.login("jane@example.org", PASSWORD).await.expect(200);
    assert!(service.running.health.is_ready());
}
