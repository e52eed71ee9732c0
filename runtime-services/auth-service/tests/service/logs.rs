//! What must never be logged is not.

use serde_json::json;

use crate::harness::{Place, logs};

#[tokio::test]
async fn no_secret_and_no_address_is_logged() {
    let place = Place::shared().await;
    let service = place.service().await;
    let (email, password, wrong) = ("planted.address@example.org", "planted password one", "planted password two");
    let body = json!({"email": email, "password": password, "first_name": "Plantedname"});
    let registered = service.http.post("/api/v1/auth/register", None, &body).await.expect(201);
    service.http.post("/api/v1/auth/register", None, &body).await.expect(409);
    service.login(email, wrong).await.expect(401);
    let (access, refresh) = (registered.text_of("access_token"), registered.text_of("refresh_token"));
    service.me(&access).await.expect(200);
    service.me(&refresh).await.expect(401);
    let rotated = service.refresh(&refresh).await.expect(200);
    service.refresh(&refresh).await.expect(401);
    service.http.get(&format!("/api/v1/auth/me?token={access}"), None).await.expect(401);
    service.http.send("POST", "/api/v1/auth/login", None, Some(format!("{{{password}"))).await.expect(400);

    let logs = logs();
    let user = registered.json["user"]["id"].as_str().unwrap();
    let line = logs.lines().find(|line| line.contains(user)).expect("the registration is logged");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["message"], "registered");
    assert_eq!(line["span"]["request_id"], registered.headers["x-request-id"].to_str().unwrap());
    let signature = access.rsplit('.').next().unwrap();
    let rotated = rotated.text_of("refresh_token");
    for secret in
        [email, password, wrong, signature, &refresh, &rotated, "Plantedname", "$2b$", &place.database.password]
    {
        assert!(!logs.contains(secret), "{secret:?} was logged");
    }
}
