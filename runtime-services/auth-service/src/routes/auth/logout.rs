//! `POST /api/v1/auth/logout`

use axum::extract::State;
use http::StatusCode;
use portico_service_kit::{Problem, problem::ProblemBody};

use crate::routes::{AppState, bearer::Known};

/// Ends the session of the access token: it, its refresh tokens and all other access tokens of the same login.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", operation_id = "logout",
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The session is over, here and at every other instance"),
        (status = 401, description = "`token_missing`, `token_invalid`, `token_expired` or `token_revoked`",
         content_type = "application/problem+json", body = ProblemBody),
        (status = 503, description = "`database_unavailable`, `cache_unavailable` or `timeout`: try again",
         content_type = "application/problem+json", body = ProblemBody),
    ))]
pub async fn logout(State(state): State<AppState>, Known(claims): Known) -> Result<StatusCode, Problem> {
    let result = state.identity.logout(claims.sid).await;
    state.operations.count("logout", if result.is_ok() { "success" } else { "error" });
    result?;
    Ok(StatusCode::NO_CONTENT)
}
