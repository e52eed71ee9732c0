//! Manifests and platforms that several tests start from.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Secret;
use portico_crds::AuthService;
use serde_json::{Value, json};

use crate::auth::Auth;
use crate::{PLATFORM, TestNamespace};

/// An `AuthService`. Unless `spec` says otherwise, nothing of it is kept, and its password hashes are the cheapest that
/// are allowed: the tests share two cores.
pub fn auth_service(name: &str, spec: Value) -> Value {
    let mut all = json!({"deletionPolicy": "Delete", "passwords": {"bcryptCost": 10}});
    merge(&mut all, spec);
    manifest("AuthService", name, &all)
}

/// A `DatabaseInstance`. Unless `spec` says otherwise, nothing of it is kept.
pub fn database(name: &str, spec: Value) -> Value {
    let mut all = json!({"engine": "PostgreSQL", "deletionPolicy": "Delete"});
    merge(&mut all, spec);
    manifest("DatabaseInstance", name, &all)
}

/// A `CacheInstance`. Unless `spec` says otherwise, nothing of it is kept.
pub fn cache(name: &str, spec: Value) -> Value {
    let mut all = json!({"engine": "Valkey", "deletionPolicy": "Delete"});
    merge(&mut all, spec);
    manifest("CacheInstance", name, &all)
}

fn manifest(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "portico.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn merge(all: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (all, more) {
        all.extend(more);
    }
}

/// A Secret.
pub fn secret(name: &str, content: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content})
}

/// The content of a Secret as text.
///
/// # Errors
/// It is not there, or not text.
pub async fn content(namespace: &TestNamespace, secret: &str) -> anyhow::Result<Value> {
    let secret: Secret = namespace.get(secret).await?;
    let mut content = json!({});
    for (key, value) in secret.data.unwrap_or_default() {
        content[&key] = String::from_utf8(value.0).with_context(|| format!("key {key} is no text"))?.into();
    }
    Ok(content)
}

/// Applies an `AuthService` called `auth`, waits until it is ready and opens it.
///
/// # Errors
/// It does not become ready.
pub async fn start_auth(namespace: &TestNamespace, spec: Value) -> anyhow::Result<Auth> {
    namespace.apply(auth_service("auth", spec)).await?;
    namespace.wait_ready::<AuthService>("auth", PLATFORM).await?;
    Auth::of_service(namespace, "auth").await
}

/// Bindings, called `no-db` and `no-cache`, of servers at an address that nobody has (RFC 5737), and the part of a spec
/// that refers to them: for tests of objects whose pods need not become ready.
///
/// # Errors
/// The API server refuses the Secrets.
pub async fn absent_dependencies(namespace: &TestNamespace) -> anyhow::Result<Value> {
    let database = json!({
        "type": "postgresql", "provider": "nobody", "host": "192.0.2.1", "port": "5432",
        "username": "app", "password": "unused", "database": "app",
    });
    let cache = json!({
        "type": "redis", "provider": "nobody", "host": "192.0.2.1", "port": "6379",
        "username": "app", "password": "unused",
    });
    namespace.apply(secret("no-db", &database)).await?;
    namespace.apply(secret("no-cache", &cache)).await?;
    Ok(json!({"database": {"secretRef": {"name": "no-db"}}, "cache": {"secretRef": {"name": "no-cache"}}}))
}
