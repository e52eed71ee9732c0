//! Dependencies that are away, refuse us, or lose their memory. Each test has servers of its own.

use std::fs;

use portico_test_servers::{postgres::Postgres, valkey::Valkey};
use serde_json::json;

use crate::harness::{PASSWORD, Place, Service};

async fn servers() -> (Postgres, Valkey) {
    let (postgres, valkey) = tokio::join!(Postgres::start(), Valkey::start());
    (postgres.unwrap(), valkey.unwrap())
}

/// The check of this name in a 503 of `/readyz`.
async fn failing(service: &Service, name: &str) -> serde_json::Value {
    let problem = service.http.get("/readyz", None).await.expect_problem(503, "not_ready");
    problem.json["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone()
}

#[tokio::test]
async fn a_database_that_goes_away_and_comes_back() {
    let (mut postgres, valkey) = servers().await;
    let place = Place::on(&postgres, &valkey);
    let service = place.service().await;
    let (access, refresh) = service.somebody("jane@example.org").await;

    postgres.stop();
    service.until_failing("database", "Unreachable").await;
    let problem = service.me(&access).await.expect_problem(503, "database_unavailable");
    assert_eq!(problem.headers["retry-after"], "1");
    service.login("jane@example.org", PASSWORD).await.expect_problem(503, "database_unavailable");
    service.register("john@example.org").await.expect_problem(503, "database_unavailable");
    service.refresh(&refresh).await.expect_problem(503, "database_unavailable");
    let check = failing(&service, "database").await;
    assert_eq!((&check["status"], &check["reason"]), (&json!("failing"), &json!("Unreachable")));
    service.http.get("/livez", None).await.expect(200);

    postgres.resume().await.unwrap();
    service.until_ready().await;
    service.me(&access).await.expect(200);
    service.refresh(&refresh).await.expect(200);
    service.register("john@example.org").await.expect(201);
}

#[tokio::test]
async fn a_service_that_starts_before_its_dependencies() {
    let (mut postgres, mut valkey) = servers().await;
    let place = Place::on(&postgres, &valkey);
    postgres.stop();
    valkey.stop();
    let service = place.unready_service().await;
    service.until_failing("database", "Unreachable").await;
    service.until_failing("cache", "Unreachable").await;
    service.http.get("/livez", None).await.expect(200);
    service.register("jane@example.org").await.expect_problem(503, "database_unavailable");
    valkey.resume().await.unwrap();
    service.until_failing("cache", "WaitingForDatabase").await;
    postgres.resume().await.unwrap();
    service.until_ready().await;
    service.register("jane@example.org").await.expect(201);
}

#[tokio::test]
async fn ended_connections_are_replaced() {
    let (postgres, valkey) = servers().await;
    let place = Place::on(&postgres, &valkey);
    let service = place.service().await;
    let (access, _) = service.somebody("jane@example.org").await;
    for _ in 0..3 {
        postgres.disconnect(&place.database.database).unwrap();
        let answer = service.me(&access).await;
        // The watcher may have met the end of its own connection a moment before.
        assert!([200, 503].contains(&answer.status), "{}", answer.text);
        service.until_ready().await;
    }
    service.me(&access).await.expect(200);
}

#[tokio::test]
async fn a_refused_password_is_named_and_a_corrected_one_needs_no_restart() {
    let (postgres, valkey) = servers().await;
    let place = Place::on(&postgres, &valkey);
    let binding = place.path().join("database/password");
    fs::write(&binding, "not the password").unwrap();
    let service = place.unready_service().await;
    service.until_failing("database", "PasswordRefused").await;
    let check = failing(&service, "database").await;
    assert!(!check.to_string().contains("not the password"), "{check}");

    fs::write(&binding, &place.database.password).unwrap();
    service.until_ready().await;
    let (access, _) = service.somebody("jane@example.org").await;

    // Changed while it runs: open connections go on, new ones are refused until the binding follows.
    postgres.set_password(&place.database.username, "changed").unwrap();
    postgres.disconnect(&place.database.database).unwrap();
    service.until_failing("database", "PasswordRefused").await;
    service.me(&access).await.expect_problem(503, "database_unavailable");
    fs::write(&binding, "changed\n").unwrap();
    service.until_ready().await;
    service.me(&access).await.expect(200);
}

#[tokio::test]
async fn a_cache_that_refuses_the_password_is_named() {
    let (postgres, valkey) = servers().await;
    let place = Place::on(&postgres, &valkey);
    let service = place.service().await;
    let (access, _) = service.somebody("jane@example.org").await;
    valkey.set_password("changed").unwrap();
    service.until_failing("cache", "PasswordRefused").await;
    let check = failing(&service, "cache").await;
    assert!(!check.to_string().contains("changed"), "{check}");
    service.me(&access).await.expect_problem(503, "cache_unavailable");
    fs::write(place.path().join("cache/password"), "changed").unwrap();
    service.until_ready().await;
    service.me(&access).await.expect(200);
}

#[tokio::test]
async fn a_binding_without_a_key_is_named() {
    let place = Place::shared().await;
    fs::remove_file(place.path().join("database/host")).unwrap();
    fs::write(place.path().join("cache/port"), "none").unwrap();
    let service = place.unready_service().await;
    service.until_failing("database", "Misconfigured").await;
    service.until_failing("cache", "Misconfigured").await;
    assert!(failing(&service, "database").await["detail"].as_str().unwrap().contains("\"host\""));
    assert!(failing(&service, "cache").await["detail"].as_str().unwrap().contains("\"port\""));
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let place = Place::shared().await;
    fs::write(place.path().join("database/database"), "nowhere").unwrap();
    let service = place.unready_service().await;
    service.until_failing("database", "DatabaseMissing").await;
}

#[tokio::test]
async fn without_the_cache_no_token_is_believed() {
    let (postgres, mut valkey) = servers().await;
    let place = Place::on(&postgres, &valkey);
    let service = place.service().await;
    let (access, refresh) = service.somebody("jane@example.org").await;
    let (ended, _) = service.somebody("john@example.org").await;
    service.logout(&ended).await.expect(204);

    valkey.stop();
    service.until_failing("cache", "Unreachable").await;
    service.me(&access).await.expect_problem(503, "cache_unavailable");
    service.me(&ended).await.expect_problem(503, "cache_unavailable");
    service.logout(&access).await.expect_problem(503, "cache_unavailable");
    // What needs no revocation goes on.
    service.login("jane@example.org", PASSWORD).await.expect(200);
    let refreshed = service.refresh(&refresh).await.expect(200);
    // A spent token ends its session even now; the cache learns of it when it is back.
    service.refresh(&refresh).await.expect_problem(503, "cache_unavailable");

    valkey.resume().await.unwrap();
    service.until_ready().await;
    service.me(&access).await.expect_problem(401, "token_revoked");
    service.me(&refreshed.text_of("access_token")).await.expect_problem(401, "token_revoked");
    service.me(&ended).await.expect_problem(401, "token_revoked");
}

#[tokio::test]
async fn a_cache_that_lost_its_memory_is_filled_from_the_database() {
    let (postgres, valkey) = servers().await;
    let place = Place::on(&postgres, &valkey);
    let service = place.service().await;
    let (access, _) = service.somebody("jane@example.org").await;
    let (ended, _) = service.somebody("john@example.org").await;
    service.logout(&ended).await.expect(204);
    valkey.command(&["FLUSHALL"]).unwrap();
    let answer = service.me(&ended).await;
    assert!([401, 503].contains(&answer.status), "an ended session must never be good again: {}", answer.text);
    // Either this request or the watcher found the memory gone.
    while service.me(&access).await.status == 503 {
        service.until_ready().await;
    }
    service.me(&ended).await.expect_problem(401, "token_revoked");
}

#[tokio::test]
async fn a_revocation_is_forgotten_when_its_tokens_are_over() {
    let (postgres, valkey) = servers().await;
    let place = Place::on(&postgres, &valkey);
    let service = place.service().await;
    let (ended, _) = service.somebody("john@example.org").await;
    service.logout(&ended).await.expect(204);
    let keys = valkey.command(&["KEYS", "portico:auth:revoked:*"]).unwrap();
    let left: i64 = valkey.command(&["TTL", &keys]).unwrap().parse().unwrap();
    assert!((900..=960).contains(&left), "{left} s");
}
