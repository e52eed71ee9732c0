//! JSON bodies, whose rejections are problems.

use axum::{
    extract::{FromRequest, Request, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::{Serialize, de::DeserializeOwned};

use crate::Problem;

/// A JSON body, in or out.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(problem(&rejection)),
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn problem(rejection: &JsonRejection) -> Problem {
    let status = rejection.status();
    let (code, title) = match status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "The body is of a kind not taken here"),
        StatusCode::PAYLOAD_TOO_LARGE => ("payload_too_large", "The request is too large"),
        StatusCode::UNPROCESSABLE_ENTITY => ("validation_failed", "Some fields cannot be used"),
        _ => ("malformed_json", "The body is not JSON"),
    };
    let problem = Problem::new(status, code, title);
    match rejection {
        JsonRejection::MissingJsonContentType(_) => problem.with_detail("Send it as content-type: application/json."),
        // Both name the place; neither goes to a log.
        JsonRejection::JsonDataError(error) => problem.with_detail(error.body_text()),
        JsonRejection::JsonSyntaxError(error) => problem.with_detail(error.body_text()),
        _ => problem,
    }
}
