//! Several instances are one service, and a restart forgets nothing.

use crate::harness::Place;

#[tokio::test]
async fn instances_share_tokens_and_revocations() {
    let place = Place::shared().await;
    // Both start on an empty database: one runs the migrations, the other waits.
    let (one, two) = tokio::join!(place.service(), place.service());
    let (access, refresh) = one.somebody("jane@example.org").await;
    two.me(&access).await.expect(200);
    let refreshed = two.refresh(&refresh).await.expect(200);
    one.me(&refreshed.text_of("access_token")).await.expect(200);
    two.logout(&access).await.expect(204);
    for service in [&one, &two] {
        service.me(&access).await.expect_problem(401, "token_revoked");
        service.me(&refreshed.text_of("access_token")).await.expect_problem(401, "token_revoked");
        service.refresh(&refreshed.text_of("refresh_token")).await.expect_problem(401, "refresh_token_invalid");
    }
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let place = Place::shared().await;
    let service = place.service().await;
    let (kept, kept_refresh) = service.somebody("jane@example.org").await;
    let (ended, ended_refresh) = service.somebody("john@example.org").await;
    service.logout(&ended).await.expect(204);
    service.stop().await;
    let service = place.service().await;
    service.me(&kept).await.expect(200);
    service.refresh(&kept_refresh).await.expect(200);
    service.me(&ended).await.expect_problem(401, "token_revoked");
    service.refresh(&ended_refresh).await.expect_problem(401, "refresh_token_invalid");
}
