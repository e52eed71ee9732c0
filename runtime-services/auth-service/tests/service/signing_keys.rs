//! Signing keys that are rotated while the service runs: published first, then signing, then only verifying, then gone.

use aws_lc_rs::{
    encoding::AsDer as _,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;

use crate::{
    harness::{Place, Service},
    load::Load,
    mount::Mount,
};

/// A key as it lies in the Secret.
struct Key {
    kid: String,
    private: String,
    public: String,
}

impl Key {
    fn new() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let pem = |label: &str, der: &[u8]| {
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
        };
        Self {
            kid: portico_token::Jwk::ed25519(pair.public_key().as_ref()).kid,
            private: pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()),
            public: pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref()),
        }
    }

    fn file(&self) -> String {
        format!("{}.pem", self.kid)
    }
}

/// The kid in a token's header.
fn signer(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

async fn published(service: &Service) -> Vec<String> {
    let jwks = service.http.get("/.well-known/jwks.json", None).await.expect(200);
    let kid = |key: &Value| {
        assert!(key["d"].is_null(), "a private key is published");
        key["kid"].as_str().unwrap().to_owned()
    };
    jwks.json["keys"].as_array().unwrap().iter().map(kid).collect()
}

/// Waits until these keys are published; requests go on meanwhile, so asking is no idle loop.
async fn until_published(service: &Service, load: &Load, keys: &[&Key]) {
    let mut wanted: Vec<_> = keys.iter().map(|key| key.kid.clone()).collect();
    wanted.sort();
    for _ in 0..20 {
        if published(service).await == wanted {
            return;
        }
        load.go_on(1).await;
    }
    panic!("{wanted:?} are never published, but {:?}", published(service).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_are_rotated_under_load_and_no_request_fails() {
    let place = Place::shared().await;
    let (old, new) = (Key::new(), Key::new());
    let mut keys = Mount::new(&place.path().join("keys"), &[("active", &old.kid), (&old.file(), &old.private)]);
    let service = place.service().await;
    let (before, refresh) = service.somebody("jane@example.org").await;
    assert_eq!(signer(&before), old.kid);
    let load = Load::of(&service, 4).await;

    keys.update(&[(&new.file(), &new.private)]);
    until_published(&service, &load, &[&old, &new]).await;
    let (still, _) = service.somebody("still@example.org").await;
    assert_eq!(signer(&still), old.kid, "a key is published before it signs");

    keys.update(&[("active", &new.kid), (&old.file(), &old.public)]);
    let mut refreshed = service.refresh(&refresh).await.expect(200);
    while signer(&refreshed.text_of("access_token")) == old.kid {
        load.go_on(1).await;
        refreshed = service.refresh(&refreshed.text_of("refresh_token")).await.expect(200);
    }
    let after = refreshed.text_of("access_token");
    assert_eq!(signer(&after), new.kid);
    until_published(&service, &load, &[&old, &new]).await;
    service.me(&before).await.expect(200);
    service.me(&after).await.expect(200);
    load.go_on(2).await;

    keys.update(&[(&old.file(), "")]);
    until_published(&service, &load, &[&new]).await;
    service.me(&before).await.expect_problem(401, "token_invalid");
    service.me(&after).await.expect(200);
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn damaged_keys_change_nothing() {
    let place = Place::shared().await;
    let (good, other) = (Key::new(), Key::new());
    let mut keys = Mount::new(&place.path().join("keys"), &[("active", &good.kid), (&good.file(), &good.private)]);
    let service = place.service().await;
    let (access, _) = service.somebody("jane@example.org").await;
    let load = Load::of(&service, 2).await;
    keys.update(&[("active", "nobody")]);
    load.go_on(1).await;
    keys.update(&[(&good.file(), "zzz"), ("active", &good.kid)]);
    load.go_on(1).await;
    service.me(&access).await.expect(200);
    keys.update(&[(&good.file(), &good.private), (&other.file(), &other.public)]);
    until_published(&service, &load, &[&good, &other]).await;
    load.end().await;
}

#[tokio::test]
async fn how_long_others_may_keep_the_keys_is_configured() {
    let place = Place::shared().await;
    let mut config = place.config();
    config.tokens.key_cache_seconds = 5;
    let service = place.configured(&config).await;
    let jwks = service.http.get("/.well-known/jwks.json", None).await.expect(200);
    assert_eq!(jwks.headers["cache-control"], "public, max-age=5");
}
