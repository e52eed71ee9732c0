//! The steps of a grant against an engine in memory: whatever fails at whatever point, a published login works and a
//! login that somebody uses stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portico_crds::common::names::{EngineName, GrantName};
use portico_crds::common::reasons;
use portico_operator_admin::{AdminError, AdminPort, Endpoint, Login, Space};
use portico_operator_backends::binding::Binding;
use portico_operator_core::rng::SeededRng;
use proptest::prelude::*;

use super::logins::{Logins, Stage};
use super::perform::{self, Performed};
use super::rotation::Facts;
use super::validate::Managed;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing was done.
    Before,
    /// All was done, but the answer was lost.
    After,
}

#[derive(Debug, Default)]
struct State {
    spaces: BTreeSet<String>,
    users: BTreeMap<String, String>,
    sessions: BTreeMap<String, u64>,
    faults: Vec<Option<Fault>>,
    calls: Vec<String>,
}

#[derive(Debug, Default)]
struct Engine(Mutex<State>);

impl Engine {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn call<T>(&self, name: &str, act: impl FnOnce(&mut State) -> Result<T, AdminError>) -> Result<T, AdminError> {
        let lost = || AdminError::Unreachable("the connection broke".to_owned());
        self.with(|state| {
            state.calls.push(name.to_owned());
            let fault = if state.faults.is_empty() { None } else { state.faults.remove(0) };
            if fault == Some(Fault::Before) {
                return Err(lost());
            }
            let answer = act(state);
            if fault == Some(Fault::After) { Err(lost()) } else { answer }
        })
    }

    fn calls(&self) -> Vec<String> {
        self.with(|state| std::mem::take(&mut state.calls))
    }
}

#[async_trait]
impl AdminPort for Engine {
    async fn ensure_space(&self, space: &Space) -> Result<(), AdminError> {
        self.call("space", |state| {
            state.spaces.insert(space.name.clone());
            Ok(())
        })
    }

    async fn ensure_login(&self, space: &Space, login: &Login) -> Result<(), AdminError> {
        self.call("login", |state| {
            assert!(state.spaces.contains(&space.name), "a login is made in a space that is there");
            state.users.insert(login.username.clone(), login.password.to_string());
            Ok(())
        })
    }

    async fn verify(&self, _: &Space, login: &Login) -> Result<(), AdminError> {
        self.call("verify", |state| match state.users.get(&login.username) {
            Some(password) if *password == *login.password => Ok(()),
            _ => Err(AdminError::Refused("no".to_owned())),
        })
    }

    async fn sessions(&self, username: &str) -> Result<Option<u64>, AdminError> {
        self.call("sessions", |state| Ok(Some(state.sessions.get(username).copied().unwrap_or(0))))
    }

    async fn revoke(&self, _: &Space, username: &str) -> Result<(), AdminError> {
        self.call("revoke", |state| {
            assert_eq!(state.sessions.get(username).copied().unwrap_or(0), 0, "nobody is cut off");
            state.users.remove(username);
            Ok(())
        })
    }

    async fn drop_space(&self, space: &Space) -> Result<(), AdminError> {
        self.call("drop", |state| {
            state.spaces.remove(&space.name);
            Ok(())
        })
    }

    async fn reload_certificate(&self) -> Result<(), AdminError> {
        Ok(())
    }
}

fn grant() -> Managed {
    let outline = Binding {
        engine: EngineName::PostgreSql,
        provider: "portico".into(),
        host: "shop-postgresql.n.svc".into(),
        port: 5432,
        username: String::new(),
        password: String::new(),
        space: Some("orders".into()),
        region: None,
        tls: true,
        ca: None,
        sslmode: Some("verify-full".into()),
    };
    Managed {
        name: GrantName::new("orders").unwrap(),
        endpoint: Endpoint {
            engine: EngineName::PostgreSql,
            host: outline.host.clone(),
            port: 5432,
            consumer_port: 5432,
            username: "portico_admin".into(),
            password: String::new().into(),
            ca: None,
            replicas: Vec::new(),
        },
        space: Space { name: "orders".into(), whole: false, tables: Vec::new() },
        logins: None,
        outline,
        own: false,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn facts(seconds: i64, request: &str) -> Facts<'_> {
    Facts { now: at(seconds), request, interval: None, overlap: Duration::from_mins(5) }
}

/// One step; only what it says is written down.
fn step(engine: &Engine, logins: Logins, facts: Facts<'_>, seed: u64) -> Performed {
    let (grant, rng) = (grant(), SeededRng::new(seed));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(perform::perform(engine, &grant, logins, facts, &rng)).unwrap()
}

fn first() -> Logins {
    perform::begin(&grant(), facts(0, ""), &SeededRng::new(1)).unwrap()
}

#[test]
fn a_login_is_published_only_when_it_works() {
    let engine = Engine::default();
    engine.with(|state| state.faults = vec![None, Some(Fault::Before)]);
    let performed = step(&engine, first(), facts(0, ""), 2);
    assert!(performed.engine.is_err() && !performed.logins.published());
    let performed = step(&engine, performed.logins, facts(5, ""), 2);
    assert!(performed.engine.is_ok() && performed.logins.published());
    assert_eq!(performed.logins.credential.username, "orders_a");
}

#[test]
fn a_login_that_works_is_left_alone_and_one_that_does_not_is_mended() {
    let engine = Engine::default();
    let logins = step(&engine, first(), facts(0, ""), 2).logins;
    engine.calls();
    let logins = step(&engine, logins, facts(60, ""), 3).logins;
    assert_eq!(engine.calls(), ["verify"]);
    engine.with(|state| drop(state.users.insert("orders_a".into(), "changed behind our back".into())));
    let performed = step(&engine, logins.clone(), facts(120, ""), 4);
    assert!(performed.engine.is_ok());
    assert_eq!(performed.logins, logins, "consumers notice nothing");
    assert_eq!(engine.with(|state| state.users["orders_a"].clone()), logins.credential.password);
}

#[test]
fn a_login_in_use_stays_and_is_named() {
    let engine = Engine::default();
    let mut logins = step(&engine, first(), facts(0, ""), 2).logins;
    for seconds in [10, 11] {
        logins = step(&engine, logins, facts(seconds, "now"), 3).logins;
    }
    assert_eq!(logins.credential.username, "orders_b");
    engine.with(|state| state.sessions.insert("orders_a".into(), 2));
    let performed = step(&engine, logins, facts(400, "now"), 4);
    assert!(matches!(performed.logins.stage, Stage::Moving(_)));
    assert_eq!(performed.rotation.reason, reasons::MOVING_CONSUMERS);
    assert!(performed.rotation.message.contains("orders_a"), "{}", performed.rotation.message);
    engine.with(|state| state.sessions.clear());
    let performed = step(&engine, performed.logins, facts(405, "now"), 5);
    assert_eq!(performed.logins.stage, Stage::Settled);
    assert_eq!(engine.with(|state| state.users.keys().cloned().collect::<Vec<_>>()), ["orders_b"]);
}

proptest! {
    /// Any call may fail on either side, any state may be read again because writing it down failed, and replacements
    /// are asked for at any time.
    #[test]
    fn what_is_published_works_whatever_fails(
        faults in prop::collection::vec(prop_oneof![
            3 => Just(None), 1 => Just(Some(Fault::Before)), 1 => Just(Some(Fault::After)),
        ], 0..40),
        written in prop::collection::vec(prop::bool::weighted(0.8), 40),
        requests in prop::collection::vec(0_u8..4, 40),
    ) {
        let engine = Engine::default();
        engine.with(|state| state.faults = faults);
        let mut logins = first();
        for (index, (written, request)) in written.into_iter().zip(requests).enumerate() {
            let request = request.to_string();
            let seconds = i64::try_from(index).unwrap() * 200;
            let performed = step(&engine, logins.clone(), facts(seconds, &request), index as u64);
            // A switch or a removal whose record is lost happens again; what consumers have is the old record.
            if written {
                logins = performed.logins;
            }
            if logins.published() {
                let works = engine.with(|state| state.users.get(&logins.credential.username).cloned());
                prop_assert_eq!(works.as_ref(), Some(&logins.credential.password));
            }
            prop_assert!(engine.with(|state| state.users.len()) <= 2);
        }
    }
}
