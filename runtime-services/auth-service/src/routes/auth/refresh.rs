//! `POST /api/v1/auth/refresh`

use axum::extract::State;
use http::StatusCode;
use portico_service_kit::{Problem, json::Json, problem::ProblemBody};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    identity::{Failure, Refreshed},
    routes::{
        AppState,
        views::{SignedInView, Tokens},
    },
};

#[derive(Debug, thiserror::Error)]
enum RefreshError {
    /// One answer for every reason: a thief must not learn that the theft was noticed.
    #[error("the refresh token is unknown, spent, expired or revoked; log in again")]
    Token,
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        let text = error.to_string();
        match error {
            RefreshError::Token => {
                Self::new(StatusCode::UNAUTHORIZED, "refresh_token_invalid", "The refresh token is not good")
                    .with_detail(text)
            }
            RefreshError::Failure(failure) => failure.into(),
        }
    }
}

/// The token to exchange.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The latest refresh token of the session. It is good once: presenting it again ends the session.
    #[schema(value_type = String, max_length = 512)]
    refresh_token: SecretString,
}

/// Exchanges a refresh token for a new pair.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", operation_id = "refresh",
    request_body = RefreshRequest,
    responses(
        (status = 200, description = "New tokens", body = Tokens),
        (status = 400, description = "Not JSON", content_type = "application/problem+json", body = ProblemBody),
        (status = 401, description = "`refresh_token_invalid`, whatever the reason",
         content_type = "application/problem+json", body = ProblemBody),
        (status = 413, description = "Too large", content_type = "application/problem+json", body = ProblemBody),
        (status = 415, description = "Not JSON", content_type = "application/problem+json", body = ProblemBody),
        (status = 422, description = "A field is missing", content_type = "application/problem+json", body = ProblemBody),
        (status = 503, description = "`database_unavailable`, `cache_unavailable` or `timeout`",
         content_type = "application/problem+json", body = ProblemBody),
    ))]
pub async fn refresh(
    State(state): State<AppState>,
    Json(request): Json<RefreshRequest>,
) -> Result<Json<Tokens>, Problem> {
    let result = match state.identity.refresh(request.refresh_token.expose_secret()).await {
        Ok(Refreshed::SignedIn(signed_in)) => Ok(SignedInView::from(*signed_in).tokens),
        Ok(Refreshed::Refused) => Err(RefreshError::Token),
        Err(failure) => Err(failure.into()),
    };
    let counted = match &result {
        Ok(_) => "success",
        Err(RefreshError::Token) => "refused",
        Err(RefreshError::Failure(_)) => "error",
    };
    state.operations.count("refresh", counted);
    Ok(Json(result?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_no_token() {
        let request: RefreshRequest = serde_json::from_str(r#"{"refresh_token": "abcdef"}"#).unwrap();
        assert!(!format!("{request:?}").contains("abcdef"));
    }
}
