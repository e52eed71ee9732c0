//! `POST /api/v1/auth/login`

use axum::extract::State;
use http::StatusCode;
use portico_service_kit::{Problem, json::Json, problem::ProblemBody, request::Sender};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    identity::Failure,
    routes::{AppState, views::SignedInView},
};

#[derive(Debug, thiserror::Error)]
enum LoginError {
    /// One answer for every reason, so that nobody learns which accounts exist.
    #[error("e-mail address and password do not belong together")]
    Credentials,
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let text = error.to_string();
        match error {
            LoginError::Credentials => {
                Self::new(StatusCode::UNAUTHORIZED, "invalid_credentials", "The login was refused").with_detail(text)
            }
            LoginError::Failure(failure) => failure.into(),
        }
    }
}

/// Who one is and what proves it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// As at registration; the case of letters does not matter.
    #[schema(format = Email, example = "jane@example.org")]
    email: String,
    /// Exactly as at registration.
    #[schema(value_type = String, format = Password, example = "correct horse battery")]
    password: SecretString,
}

/// Signs somebody in.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", operation_id = "login",
    request_body = LoginRequest,
    responses(
        (status = 200, description = "The account and new tokens", body = SignedInView),
        (status = 400, description = "Not JSON", content_type = "application/problem+json", body = ProblemBody),
        (status = 401, description = "`invalid_credentials`, whatever the reason",
         content_type = "application/problem+json", body = ProblemBody),
        (status = 413, description = "Too large", content_type = "application/problem+json", body = ProblemBody),
        (status = 415, description = "Not JSON", content_type = "application/problem+json", body = ProblemBody),
        (status = 422, description = "A field is missing", content_type = "application/problem+json", body = ProblemBody),
        (status = 503, description = "`database_unavailable`, `overloaded` or `timeout`",
         content_type = "application/problem+json", body = ProblemBody),
    ))]
pub async fn login(
    State(state): State<AppState>,
    from: Sender,
    Json(request): Json<LoginRequest>,
) -> Result<Json<SignedInView>, Problem> {
    let result = state.identity.login(&request.email, request.password, from).await;
    let result = result.map_err(LoginError::from).and_then(|signed_in| signed_in.ok_or(LoginError::Credentials));
    let counted = match &result {
        Ok(_) => "success",
        Err(LoginError::Credentials) => "refused",
        Err(LoginError::Failure(_)) => "error",
    };
    state.operations.count("login", counted);
    Ok(Json(result?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_no_password() {
        let json = r#"{"email": "a@b", "password": "correct horse"}"#;
        let request: LoginRequest = serde_json::from_str(json).unwrap();
        assert!(!format!("{request:?}").contains("correct horse"));
    }
}
