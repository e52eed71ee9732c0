//! `GET /api/v1/auth/me`

use axum::extract::State;
use portico_service_kit::{Problem, json::Json, problem::ProblemBody};

use crate::routes::{
    AppState,
    bearer::{Known, Refusal},
    views::UserView,
};

/// Who the bearer is, as it is now and not as it was when the token was issued.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth", operation_id = "me",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The user", body = UserView),
        (status = 401, description = "`token_missing`, `token_invalid`, `token_expired`, `token_revoked` or \
         `account_unusable`", content_type = "application/problem+json", body = ProblemBody),
        (status = 503, description = "`database_unavailable`, `cache_unavailable` or `timeout`",
         content_type = "application/problem+json", body = ProblemBody),
    ))]
pub async fn me(State(state): State<AppState>, Known(claims): Known) -> Result<Json<UserView>, Problem> {
    let user = state.identity.active_user(claims.sub).await?.ok_or(Refusal::NoAccount)?;
    Ok(Json(user.into()))
}
