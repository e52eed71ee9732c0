//! Registering, logging in, asking who one is, logging out.

use std::time::Instant;

use serde_json::json;

use crate::harness::{PASSWORD, Place};

#[tokio::test]
async fn from_registration_to_logout() {
    let place = Place::shared().await;
    let service = place.service().await;
    let body = json!({"email": "Jane.Doe@example.org", "password": PASSWORD, "first_name": "Jane", "last_name": "Doe"});
    let registered = service.http.post("/api/v1/auth/register", None, &body).await.expect(201);
    assert_eq!(registered.json["token_type"], "Bearer");
    assert_eq!(
        (&registered.json["expires_in"], &registered.json["refresh_expires_in"]),
        (&json!(900), &json!(604_800))
    );
    assert_eq!(registered.headers["cache-control"], "no-store");
    let user = registered.json["user"].clone();
    assert_eq!((&user["email"], &user["first_name"]), (&json!("Jane.Doe@example.org"), &json!("Jane")));
    assert_eq!((&user["is_active"], &user["is_email_verified"]), (&json!(true), &json!(false)));
    assert!(!registered.text.contains("password"), "{}", registered.text);

    let me = service.me(&registered.text_of("access_token")).await.expect(200);
    assert_eq!(me.json, user);

    place.advance(60);
    let logged_in = service.login("Jane.Doe@example.org", PASSWORD).await.expect(200);
    assert_eq!(logged_in.json["user"]["id"], user["id"]);
    assert_ne!(logged_in.json["user"]["last_login_at"], user["last_login_at"]);

    let refreshed = service.refresh(&logged_in.text_of("refresh_token")).await.expect(200);
    assert_ne!(refreshed.text_of("refresh_token"), logged_in.text_of("refresh_token"));
    let access = refreshed.text_of("access_token");
    service.me(&access).await.expect(200);

    service.logout(&access).await.expect(204);
    service.me(&access).await.expect_problem(401, "token_revoked");
    service.me(&logged_in.text_of("access_token")).await.expect_problem(401, "token_revoked");
    service.logout(&access).await.expect_problem(401, "token_revoked");
    service.refresh(&refreshed.text_of("refresh_token")).await.expect_problem(401, "refresh_token_invalid");
    // The session of the registration is another one.
    service.me(&registered.text_of("access_token")).await.expect(200);
}

#[tokio::test]
async fn an_address_belongs_to_one_account_whatever_its_case() {
    let place = Place::shared().await;
    let service = place.service().await;
    let first = service.register("Jane@Example.org").await.expect(201);
    service.register("jane@example.ORG").await.expect_problem(409, "email_taken");
    let other_case = service.login("JANE@EXAMPLE.ORG", PASSWORD).await.expect(200);
    assert_eq!(other_case.json["user"]["id"], first.json["user"]["id"]);
    place.sql("UPDATE users SET deleted_at = now()").await;
    let second = service.register("jane@example.org").await.expect(201);
    assert_ne!(second.json["user"]["id"], first.json["user"]["id"], "a deleted account gives its address free");
}

#[tokio::test]
async fn of_many_registrations_at_once_one_succeeds() {
    let place = Place::shared().await;
    let service = place.service().await;
    let all = futures::future::join_all((0..5).map(|_| service.register("jane@example.org"))).await;
    let mut statuses: Vec<_> = all.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409]);
}

#[tokio::test]
async fn nobody_learns_why_a_login_was_refused() {
    let place = Place::shared().await;
    let service = place.service().await;
    for name in ["active", "inactive", "deleted"] {
        service.register(&format!("{name}@example.org")).await.expect(201);
    }
    place.sql("UPDATE users SET is_active = false WHERE email LIKE 'inactive@%'").await;
    place.sql("UPDATE users SET deleted_at = now() WHERE email LIKE 'deleted@%'").await;
    let long = "x".repeat(100);
    let mut answers = Vec::new();
    for (email, password) in [
        ("nobody@example.org", PASSWORD),
        ("active@example.org", "wrong password"),
        ("active@example.org", &long),
        ("active@example.org", ""),
        ("active@example.org", &PASSWORD.to_uppercase()),
        ("inactive@example.org", PASSWORD),
        ("deleted@example.org", PASSWORD),
        ("not an address", PASSWORD),
    ] {
        let mut answer = service.login(email, password).await.expect_problem(401, "invalid_credentials");
        answer.json["request_id"].take();
        answers.push(answer.json);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

#[tokio::test]
async fn an_unknown_address_takes_as_long_as_a_known_one() {
    let place = Place::shared().await;
    let service = place.service().await;
    service.register("known@example.org").await.expect(201);
    let mut fastest = [f64::MAX; 2];
    for _ in 0..6 {
        for (which, email) in ["known@example.org", "unknown@example.org"].into_iter().enumerate() {
            let start = Instant::now();
            service.login(email, "wrong password").await.expect(401);
            fastest[which] = fastest[which].min(start.elapsed().as_secs_f64());
        }
    }
    // Without the hash an unknown address would take a hundredth of the time.
    let ratio = fastest[1] / fastest[0];
    assert!((0.5..2.0).contains(&ratio), "{fastest:?}");
}

#[tokio::test]
async fn fields_that_cannot_be_used_are_named() {
    let place = Place::shared().await;
    let service = place.service().await;
    let register = async |body| service.http.post("/api/v1/auth/register", None, &body).await;
    for (body, field) in [
        (json!({"email": "nobody", "password": PASSWORD}), "email"),
        (json!({"email": "a@b.c", "password": "seven77"}), "password"),
        (json!({"email": "a@b.c", "password": "x".repeat(73)}), "password"),
        (json!({"email": "jane.doe@b.c", "password": "i am jane.doe"}), "password"),
        (json!({"email": "a@b.c", "password": PASSWORD, "first_name": "x".repeat(101)}), "first_name"),
    ] {
        let problem = register(body).await.expect_problem(422, "validation_failed");
        assert_eq!(problem.json["errors"][0]["field"], field, "{}", problem.text);
    }
    register(json!({"email": "a@b.c"})).await.expect_problem(422, "validation_failed");
    register(json!({"email": "a@b.c", "password": PASSWORD, "roles": ["admin"]}))
        .await
        .expect_problem(422, "validation_failed");
    let longest = json!({"email": "a@b.c", "password": "x".repeat(72)});
    register(longest.clone()).await.expect(201);
    service.http.post("/api/v1/auth/login", None, &longest).await.expect(200);
    service.login("a@b.c", &"x".repeat(71)).await.expect(401);
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_a_problem() {
    let place = Place::shared().await;
    let service = place.service().await;
    let post = async |body: &str| service.http.send("POST", "/api/v1/auth/login", None, Some(body.to_owned())).await;
    post("{\"email\": ").await.expect_problem(400, "malformed_json");
    post("[]").await.expect_problem(422, "validation_failed");
    post(&format!("\"{}\"", "x".repeat(70_000))).await.expect_problem(413, "payload_too_large");
    let plain = service.http.send("POST", "/api/v1/auth/login", None, None).await;
    plain.expect_problem(415, "unsupported_media_type");
    service.http.get("/api/v1/auth/login", None).await.expect_problem(405, "method_not_allowed");
    service.http.get("/api/v2", None).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn it_describes_itself() {
    let place = Place::shared().await;
    let service = place.service().await;
    assert_eq!(service.http.get("/livez", None).await.expect(200).json["status"], "alive");
    let ready = service.http.get("/readyz", None).await.expect(200);
    let checks = json!([{"name": "database", "status": "ok"}, {"name": "cache", "status": "ok"}]);
    assert_eq!(ready.json, json!({"status": "ready", "checks": checks}));
    let document = service.http.get("/openapi.json", None).await.expect(200);
    assert!(document.json["paths"]["/api/v1/auth/login"].is_object());
    service.register("jane@example.org").await.expect(201);
    service.login("jane@example.org", "wrong password").await.expect(401);
    let metrics = service.metrics.get("/metrics", None).await.expect(200).text;
    for line in [
        r#"portico_http_requests_total{method="POST",route="/api/v1/auth/register",status="2xx"} 1"#,
        r#"portico_auth_operations_total{operation="login",result="refused"} 1"#,
        r#"portico_build_info{service="auth-service""#,
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    service.http.get("/metrics", None).await.expect_problem(404, "not_found");
}
