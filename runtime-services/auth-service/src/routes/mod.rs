//! HTTP: one file an endpoint, with its errors, handler, description and tests in that order.
//!
//! All routes are listed once, in [`api`]: the same lines make the router and the OpenAPI document.

pub mod auth;
mod bearer;
mod failure;
pub mod jwks;
mod views;

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::header;
use portico_service_kit::health::{self, Health};
use portico_token::Keys;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{identity::Identity, metrics::Operations};

/// What handlers share.
#[derive(Clone)]
pub struct AppState {
    /// The service's work.
    pub identity: Arc<Identity>,
    /// Readiness.
    pub health: Health,
    /// The keys whose public halves are answered.
    pub published: Published,
    /// What is counted.
    pub operations: Operations,
}

/// The keys whose public halves are answered.
#[derive(Clone)]
pub struct Published {
    /// As they are now.
    pub keys: Keys,
    /// How long others may keep them, in seconds.
    pub cache_seconds: u64,
}

impl FromRef<AppState> for Health {
    fn from_ref(state: &AppState) -> Self {
        state.health.clone()
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Portico auth service",
        description = "Accounts, logins and tokens. Errors are RFC 9457 problems; their `code` is stable.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "auth", description = "Signing up, in and out"),
        (name = "keys", description = "What other services verify tokens with"),
        (name = "health", description = "For whoever runs the service"),
    ),
    modifiers(&BearerScheme),
)]
struct Description;

struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, document: &mut Document) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("JWT".to_owned());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// Every route of the API.
fn api() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(auth::register::register))
        .routes(routes!(auth::login::login))
        .routes(routes!(auth::refresh::refresh))
        .routes(routes!(auth::logout::logout))
        .routes(routes!(auth::me::me))
        .routes(routes!(jwks::jwks))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
}

/// The router of the API, its own description at `/openapi.json` included.
pub fn router(state: AppState) -> Router {
    let (router, document) = api().split_for_parts();
    let json: Arc<str> = document.to_json().unwrap_or_default().into();
    let description = Router::new().route("/openapi.json", get(describe)).with_state(json);
    router.with_state(state).merge(description)
}

/// The OpenAPI document.
pub fn document() -> Document {
    api().into_openapi()
}

async fn describe(State(json): State<Arc<str>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_every_route_with_its_answers() {
        let json = serde_json::to_value(document()).unwrap();
        assert!(json["openapi"].as_str().unwrap().starts_with("3.1"));
        for (path, method, statuses) in [
            ("/api/v1/auth/register", "post", &["201", "409", "422", "503"][..]),
            ("/api/v1/auth/login", "post", &["200", "401", "503"]),
            ("/api/v1/auth/refresh", "post", &["200", "401", "503"]),
            ("/api/v1/auth/logout", "post", &["204", "401", "503"]),
            ("/api/v1/auth/me", "get", &["200", "401", "503"]),
            ("/.well-known/jwks.json", "get", &["200"]),
            ("/livez", "get", &["200"]),
            ("/readyz", "get", &["200", "503"]),
        ] {
            for status in statuses {
                assert!(!json["paths"][path][method]["responses"][status].is_null(), "{method} {path} {status}");
            }
        }
        assert_eq!(json["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    }
}
