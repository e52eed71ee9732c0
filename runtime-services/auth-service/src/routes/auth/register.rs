//! `POST /api/v1/auth/register`

use axum::extract::State;
use http::StatusCode;
use portico_service_kit::{
    Problem,
    json::Json,
    problem::{FieldError, ProblemBody},
    request::Sender,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    domain::account::Registration,
    identity::Failure,
    routes::{AppState, views::SignedInView},
    storage::StoreError,
};

#[derive(Debug, thiserror::Error)]
enum RegisterError {
    #[error("some fields cannot be used")]
    Fields(Vec<FieldError>),
    #[error("another account has this e-mail address; log in instead")]
    Taken,
    #[error(transparent)]
    Failure(Failure),
}

impl From<Failure> for RegisterError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(StoreError::EmailTaken) => Self::Taken,
            other => Self::Failure(other),
        }
    }
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        let text = error.to_string();
        match error {
            RegisterError::Fields(errors) => Self::invalid_fields(errors),
            RegisterError::Taken => {
                Self::new(StatusCode::CONFLICT, "email_taken", "The e-mail address is taken").with_detail(text)
            }
            RegisterError::Failure(failure) => failure.into(),
        }
    }
}

/// What one has to say to get an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The name of the account, whatever the case of its letters. ASCII.
    #[schema(format = Email, max_length = 254, example = "jane@example.org")]
    email: String,
    /// At least 8 characters and at most 72 bytes of any kind, without the address or a name in it.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 72, example = "correct horse battery")]
    password: SecretString,
    /// Given name.
    #[serde(default)]
    #[schema(max_length = 100, example = "Jane")]
    first_name: Option<String>,
    /// Family name.
    #[serde(default)]
    #[schema(max_length = 100, example = "Doe")]
    last_name: Option<String>,
}

/// Makes an account and signs its owner in.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", operation_id = "register",
    request_body = RegisterRequest,
    responses(
        (status = 201, description = "The account and its first tokens", body = SignedInView),
        (status = 400, description = "Not JSON", content_type = "application/problem+json", body = ProblemBody),
        (status = 409, description = "`email_taken`", content_type = "application/problem+json", body = ProblemBody),
        (status = 413, description = "Too large", content_type = "application/problem+json", body = ProblemBody),
        (status = 415, description = "Not JSON", content_type = "application/problem+json", body = ProblemBody),
        (status = 422, description = "`validation_failed`; `errors` says what is wrong with which field",
         content_type = "application/problem+json", body = ProblemBody),
        (status = 503, description = "`database_unavailable`, `overloaded` or `timeout`",
         content_type = "application/problem+json", body = ProblemBody),
    ))]
pub async fn register(
    State(state): State<AppState>,
    from: Sender,
    Json(request): Json<RegisterRequest>,
) -> Result<(StatusCode, Json<SignedInView>), Problem> {
    let result = run(&state, from, request).await;
    let counted = match &result {
        Ok(_) => "success",
        Err(RegisterError::Failure(_)) => "error",
        Err(_) => "refused",
    };
    state.operations.count("register", counted);
    Ok((StatusCode::CREATED, Json(result?)))
}

async fn run(state: &AppState, from: Sender, request: RegisterRequest) -> Result<SignedInView, RegisterError> {
    let RegisterRequest { email, password, first_name, last_name } = request;
    let (first, last) = (first_name.as_deref(), last_name.as_deref());
    let who = Registration::check(&email, password.expose_secret(), first, last).map_err(RegisterError::Fields)?;
    Ok(state.identity.register(who, password, from).await?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_no_password() {
        let json = r#"{"email": "a@b", "password": "correct horse"}"#;
        let request: RegisterRequest = serde_json::from_str(json).unwrap();
        assert!(!format!("{request:?}").contains("correct horse"));
    }

    #[test]
    fn a_field_that_does_not_exist_is_refused() {
        let json = r#"{"email": "a@b", "password": "correct horse", "is_admin": true}"#;
        assert!(serde_json::from_str::<RegisterRequest>(json).is_err());
    }
}
