//! From a manifest to a login, and everything that an account goes through.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use portico_crds::AuthService;
use portico_e2e::auth::{Auth, METRICS_PORT, PASSWORD};
use portico_e2e::fixtures::start_auth;
use portico_e2e::forward::Forward;
use portico_e2e::http::Http;
use portico_e2e::{Outcome, TestNamespace, with_namespace};
use serde_json::json;

#[tokio::test]
async fn from_a_manifest_to_a_login() -> Outcome {
    with_namespace("login", |ns| async move {
        let auth = start_auth(&ns, json!({})).await?;
        let resource: AuthService = ns.get("auth").await?;
        let url = resource.status.and_then(|status| status.url).unwrap_or_default();
        assert!(url.starts_with(&format!("http://auth.{}.svc", ns.name())), "status.url is {url:?}");

        accounts(&auth).await?;
        rotation(&auth).await?;
        logout(&auth).await?;
        for_machines(&auth).await?;
        for_people(&ns).await?;
        metrics(&ns).await
    })
    .await
}

async fn accounts(auth: &Auth) -> anyhow::Result<()> {
    let registered = auth.register("ada@example.org").await?;
    assert_eq!(registered.expires_in, 900);
    auth.accepts(&registered.access, "ada@example.org").await?;

    let twice = json!({"email": "ada@example.org", "password": PASSWORD});
    let twice = auth.http().post("/api/v1/auth/register", None, &twice).await?.expect(409)?;
    assert_eq!(twice.media_type(), "application/problem+json");

    let in_again = auth.login("ada@example.org").await?;
    auth.accepts(&in_again.access, "ada@example.org").await?;
    assert_ne!(in_again.refresh, registered.refresh);

    let wrong = json!({"email": "ada@example.org", "password": "incorrect horse battery"});
    auth.http().post("/api/v1/auth/login", None, &wrong).await?.expect(401)?;
    let anonymous = auth.http().get("/api/v1/auth/me", None).await?.expect(401)?;
    assert_eq!(anonymous.media_type(), "application/problem+json");
    auth.refuses("eyJhbGciOiJub25lIn0.e30.").await
}

async fn rotation(auth: &Auth) -> anyhow::Result<()> {
    let first = auth.register("grace@example.org").await?;
    let second = auth.refresh(&first.refresh).await?;
    assert_ne!(second.refresh, first.refresh);
    auth.accepts(&second.access, "grace@example.org").await?;

    // Whoever comes with a spent token has stolen it, or was stolen from: the whole family ends.
    auth.try_refresh(&first.refresh).await?.expect(401)?;
    auth.try_refresh(&second.refresh).await?.expect(401)?;
    auth.refuses(&second.access).await?;
    // Other logins of the same account do not.
    let other = auth.login("grace@example.org").await?;
    auth.accepts(&other.access, "grace@example.org").await
}

async fn logout(auth: &Auth) -> anyhow::Result<()> {
    let (stays, ends) = (auth.register("edsger@example.org").await?, auth.login("edsger@example.org").await?);
    auth.logout(&ends.access).await?;
    auth.refuses(&ends.access).await?;
    auth.try_refresh(&ends.refresh).await?.expect(401)?;
    auth.accepts(&stays.access, "edsger@example.org").await
}

async fn for_machines(auth: &Auth) -> anyhow::Result<()> {
    let keys = auth.http().get("/.well-known/jwks.json", None).await?.expect(200)?.json()?;
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")), "{keys}");
    assert!(key["kid"].is_string() && key["d"].is_null(), "{keys}");

    let api = auth.http().get("/openapi.json", None).await?.expect(200)?.json()?;
    assert!(api["openapi"].as_str().unwrap_or_default().starts_with("3.1"), "{}", api["openapi"]);
    for path in ["register", "login", "refresh", "logout", "me"] {
        assert!(api["paths"][format!("/api/v1/auth/{path}")].is_object(), "{path} is not in /openapi.json");
    }

    let health = auth.http().get("/readyz", None).await?.expect(200)?.json()?;
    let checks = health["checks"].as_array().cloned().unwrap_or_default();
    for name in ["database", "cache"] {
        assert!(checks.iter().any(|check| check["name"] == name && check["status"] == "ok"), "{name}: {health}");
    }
    auth.http().get("/livez", None).await?.expect(200)?;
    Ok(())
}

async fn for_people(ns: &TestNamespace) -> anyhow::Result<()> {
    let cluster = ns.cluster();
    cluster.kubectl(["wait", "--namespace", ns.name(), "--for=condition=Ready", "auths/auth", "--timeout=5s"]).await?;
    let all = cluster.kubectl(["get", "portico", "--namespace", ns.name(), "--output=wide"]).await?;
    let shown = ["authservice.portico.dev/auth", "databaseinstance.portico.dev/auth-db", "http://auth."];
    for part in shown.into_iter().chain(["cacheinstance.portico.dev/auth-cache", "auth-db-postgresql."]) {
        assert!(all.contains(part), "{part} is not shown by kubectl get portico:\n{all}");
    }
    let said = cluster.kubectl(["events", "--namespace", ns.name(), "--for=authservice/auth"]).await?;
    assert!(said.contains("Ready"), "no event tells that the service is ready:\n{said}");
    Ok(())
}

async fn metrics(ns: &TestNamespace) -> anyhow::Result<()> {
    let selector = ListParams::default().labels("app.kubernetes.io/name=auth-service");
    let pod = ns.api::<Pod>().list(&selector).await?.items.remove(0).name_any();
    let forward = Forward::open(ns.name(), &format!("pod/{pod}"), METRICS_PORT).await?;
    let text = Http::new(forward.url()).get("/metrics", None).await?.expect(200)?.body;
    for family in FAMILIES {
        assert!(text.contains(&format!("# TYPE {family} ")), "no {family} in\n{text}");
    }
    Ok(())
}

/// What dashboards and alerts are made of.
const FAMILIES: [&str; 3] =
    ["portico_http_requests", "portico_http_request_duration_seconds", "portico_auth_operations"];
