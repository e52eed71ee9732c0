//! Which tokens open the API.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::harness::{Place, write_keys};

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn an_access_token_says_what_rfc_9068_wants_and_its_key_is_published() {
    let place = Place::shared().await;
    let service = place.service().await;
    let registered = service.register("jane@example.org").await.expect(201);
    let token = registered.text_of("access_token");
    let (header, claims) = (part(&token, 0), part(&token, 1));
    assert_eq!((&header["typ"], &header["alg"]), (&"at+jwt".into(), &"EdDSA".into()));
    assert_eq!(claims["sub"], registered.json["user"]["id"]);
    assert_eq!((&claims["iss"], &claims["aud"]), (&"https://id.example".into(), &"portico".into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    for claim in ["nbf", "jti", "sid", "roles"] {
        assert!(!claims[claim].is_null(), "{claim}");
    }
    let jwks = service.http.get("/.well-known/jwks.json", None).await.expect(200);
    assert_eq!(jwks.json["keys"][0]["kid"], header["kid"]);
    assert!(jwks.json["keys"][0]["d"].is_null());
    assert_eq!(jwks.headers["cache-control"], "public, max-age=300");
}

#[tokio::test]
async fn one_kind_of_token_does_not_do_for_another() {
    let place = Place::shared().await;
    let service = place.service().await;
    let (access, refresh) = service.somebody("jane@example.org").await;
    service.me(&refresh).await.expect_problem(401, "token_invalid");
    service.logout(&refresh).await.expect_problem(401, "token_invalid");
    service.refresh(&access).await.expect_problem(401, "refresh_token_invalid");
    service.me(&access).await.expect(200);
}

#[tokio::test]
async fn without_a_good_token_there_is_a_challenge() {
    let place = Place::shared().await;
    let service = place.service().await;
    let none = service.http.get("/api/v1/auth/me", None).await.expect_problem(401, "token_missing");
    assert_eq!(none.headers["www-authenticate"], "Bearer");
    let bad = service.me("a.b.c").await.expect_problem(401, "token_invalid");
    assert_eq!(bad.headers["www-authenticate"], r#"Bearer error="invalid_token""#);
}

#[tokio::test]
async fn an_access_token_ends_after_its_time() {
    let place = Place::shared().await;
    let service = place.service().await;
    let (access, _) = service.somebody("jane@example.org").await;
    place.advance(900);
    service.me(&access).await.expect(200);
    place.advance(5);
    service.me(&access).await.expect_problem(401, "token_expired");
}

#[tokio::test]
async fn a_token_of_another_key_is_refused() {
    let (ours, theirs) = (Place::shared().await, Place::shared().await);
    let (service, other) = (ours.service().await, theirs.service().await);
    let (foreign, _) = other.somebody("jane@example.org").await;
    service.me(&foreign).await.expect_problem(401, "token_invalid");
}

#[tokio::test]
async fn a_new_key_does_not_end_old_tokens() {
    let place = Place::shared().await;
    let before = place.service().await;
    let (old, _) = before.somebody("jane@example.org").await;
    // The old key stays beside the new one, which signs from now on.
    write_keys(&place.path().join("keys"));
    let after = place.service().await;
    after.me(&old).await.expect(200);
    let (new, _) = after.somebody("john@example.org").await;
    assert_ne!(part(&old, 0)["kid"], part(&new, 0)["kid"]);
    assert_eq!(after.http.get("/.well-known/jwks.json", None).await.json["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_closed_account_opens_nothing() {
    for closing in ["is_active = false", "deleted_at = now()"] {
        let place = Place::shared().await;
        let service = place.service().await;
        let (access, refresh) = service.somebody("jane@example.org").await;
        place.sql(&format!("UPDATE users SET {closing}")).await;
        service.me(&access).await.expect_problem(401, "account_unusable");
        service.refresh(&refresh).await.expect_problem(401, "refresh_token_invalid");
    }
}
