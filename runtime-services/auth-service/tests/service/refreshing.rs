//! Refresh tokens: good once, and what happens when one comes twice.

use crate::harness::Place;

#[tokio::test]
async fn a_spent_token_ends_the_whole_session() {
    let place = Place::shared().await;
    let service = place.service().await;
    let (first_access, first) = service.somebody("jane@example.org").await;
    let second = service.refresh(&first).await.expect(200);
    let third = service.refresh(&second.text_of("refresh_token")).await.expect(200);
    service.me(&third.text_of("access_token")).await.expect(200);

    service.refresh(&first).await.expect_problem(401, "refresh_token_invalid");

    service.refresh(&third.text_of("refresh_token")).await.expect_problem(401, "refresh_token_invalid");
    for access in [first_access, second.text_of("access_token"), third.text_of("access_token")] {
        service.me(&access).await.expect_problem(401, "token_revoked");
    }
    let other = service.login("jane@example.org", crate::harness::PASSWORD).await.expect(200);
    service.me(&other.text_of("access_token")).await.expect(200);
}

#[tokio::test]
async fn of_fifty_uses_at_once_one_succeeds_and_the_session_ends() {
    let place = Place::shared().await;
    let (one, two) = (place.service().await, place.service().await);
    let (access, token) = one.somebody("jane@example.org").await;
    let uses = (0..50).map(|i| if i % 2 == 0 { one.refresh(&token) } else { two.refresh(&token) });
    let answers = futures::future::join_all(uses).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(good.len(), 1);
    for answer in refused {
        answer.expect_problem(401, "refresh_token_invalid");
    }
    let winner = &good[0];
    one.refresh(&winner.text_of("refresh_token")).await.expect_problem(401, "refresh_token_invalid");
    for token in [access, winner.text_of("access_token")] {
        one.me(&token).await.expect_problem(401, "token_revoked");
        two.me(&token).await.expect_problem(401, "token_revoked");
    }
}

#[tokio::test]
async fn a_session_ends_at_its_time_however_often_it_is_refreshed() {
    let place = Place::shared().await;
    let service = place.service().await;
    let (_, mut token) = service.somebody("jane@example.org").await;
    let mut left = 604_800;
    for _ in 0..6 {
        place.advance(86_400);
        left -= 86_400;
        let answer = service.refresh(&token).await.expect(200);
        assert_eq!(answer.json["refresh_expires_in"], left);
        token = answer.text_of("refresh_token");
    }
    place.advance(86_400 - 60);
    let last = service.refresh(&token).await.expect(200);
    assert_eq!(last.json["expires_in"], 60, "an access token does not outlive its session");
    place.advance(60);
    service.refresh(&last.text_of("refresh_token")).await.expect_problem(401, "refresh_token_invalid");
}

#[tokio::test]
async fn a_token_that_was_never_issued_is_refused() {
    let place = Place::shared().await;
    let service = place.service().await;
    for token in ["", "x", &"A".repeat(43), &"A".repeat(10_000)] {
        service.refresh(token).await.expect_problem(401, "refresh_token_invalid");
    }
}

#[tokio::test]
async fn only_hashes_are_stored() {
    let place = Place::shared().await;
    let service = place.service().await;
    let (_, token) = service.somebody("jane@example.org").await;
    // Fails in the database if the one token there is not the hash of this one.
    let sql = format!(
        "DO $$ BEGIN ASSERT (SELECT count(*) = 1 AND bool_and(hash = sha256('{token}'::bytea)) FROM refresh_tokens); END $$"
    );
    place.sql(&sql).await;
    place.sql("DO $$ BEGIN ASSERT (SELECT bool_and(password_hash LIKE '$2b$10$%') FROM users); END $$").await;
}
