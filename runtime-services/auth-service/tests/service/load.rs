//! People who use a service all the time, and what they are answered.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{PASSWORD, Service},
    http::{Answer, Http},
};

const DEADLINE: Duration = Duration::from_mins(2);
/// How often somebody looks at their account between two logins, which cost far more.
const LOOKS: usize = 10;

/// A load that runs until it is ended.
pub(crate) struct Load {
    rounds: watch::Sender<u64>,
    failures: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    people: JoinSet<()>,
}

impl Load {
    /// Registers so many people, who then log in, look and refresh in parallel.
    pub(crate) async fn of(service: &Service, people: usize) -> Self {
        let mut load = Self {
            rounds: watch::Sender::new(0),
            failures: Arc::default(),
            stop: CancellationToken::new(),
            people: JoinSet::new(),
        };
        for number in 0..people {
            let email = format!("person{number}@example.org");
            service.register(&email).await.expect(201);
            let person = Person { http: service.http.clone(), failures: Arc::clone(&load.failures), email };
            let (rounds, stop) = (load.rounds.clone(), load.stop.clone());
            load.people.spawn(async move {
                while !stop.is_cancelled() {
                    person.round().await;
                    rounds.send_modify(|rounds| *rounds += 1);
                }
            });
        }
        load.go_on(1).await;
        load
    }

    /// Waits until everybody was answered so many times more, on average.
    pub(crate) async fn go_on(&self, rounds: u64) {
        let target = *self.rounds.borrow() + rounds * u64::try_from(self.people.len()).unwrap();
        let mut done = self.rounds.subscribe();
        timeout(DEADLINE, done.wait_for(|done| *done >= target)).await.expect("the load goes on").unwrap();
    }

    /// Ends it, and fails if one request did.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.people.join_next().await {
            ended.unwrap();
        }
        let failures = self.failures.lock().unwrap();
        assert!(failures.is_empty(), "{} requests failed: {:#?}", failures.len(), &failures[..failures.len().min(10)]);
    }
}

struct Person {
    http: Http,
    failures: Arc<Mutex<Vec<String>>>,
    email: String,
}

impl Person {
    async fn round(&self) {
        let credentials = json!({"email": self.email, "password": PASSWORD});
        let login = self.http.post("/api/v1/auth/login", None, &credentials).await;
        let Some(mut signed_in) = self.good("login", login) else { return };
        for _ in 0..LOOKS {
            let me = self.http.get("/api/v1/auth/me", Some(&signed_in.text_of("access_token"))).await;
            self.good("me", me);
            let token = json!({"refresh_token": signed_in.text_of("refresh_token")});
            let refreshed = self.http.post("/api/v1/auth/refresh", None, &token).await;
            let Some(next) = self.good("refresh", refreshed) else { return };
            signed_in = next;
        }
    }

    fn good(&self, what: &str, answer: Answer) -> Option<Answer> {
        if answer.status == 200 {
            return Some(answer);
        }
        self.failures.lock().unwrap().push(format!("{what}: {} {}", answer.status, answer.text));
        None
    }
}
