//! `GET /.well-known/jwks.json`

use axum::{Json, extract::State};
use http::{HeaderName, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;

/// The public keys (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jwks)]
struct JwksView {
    keys: Vec<JwkView>,
}

/// A public key (RFC 8037).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jwk)]
struct JwkView {
    /// Always `OKP`.
    kty: String,
    /// Always `Ed25519`.
    crv: String,
    /// The public key, base64url.
    x: String,
    /// The name that tokens call it by.
    kid: String,
    /// Always `sig`.
    #[serde(rename = "use")]
    use_: String,
    /// Always `EdDSA`.
    alg: String,
}

/// The keys that access tokens are verified with.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "keys", operation_id = "jwks",
    responses((status = 200, description = "Every key that may have signed a token that is still good", body = JwksView)))]
pub async fn jwks(State(state): State<AppState>) -> ([(HeaderName, String); 1], Json<portico_token::Jwks>) {
    // Whoever rotates keys publishes a new one for longer than this before it signs.
    let cache = format!("public, max-age={}", state.published.cache_seconds);
    ([(header::CACHE_CONTROL, cache)], Json(state.published.keys.current().jwks()))
}
