//! Who is asking: the extractor that handlers name when they want a known bearer.

use axum::extract::FromRequestParts;
use http::{HeaderValue, StatusCode, header, request::Parts};
use portico_service_kit::Problem;
use portico_token::{AccessClaims, VerifyError};

use super::AppState;
use crate::identity::Bearer;

/// A bearer whose access token is good and whose session was not ended.
pub struct Known(pub AccessClaims);

/// Why a bearer is not known (RFC 6750 section 3).
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum Refusal {
    /// No token.
    #[error("send the access token as `Authorization: Bearer …`")]
    Missing,
    /// The token is no good.
    #[error(transparent)]
    Invalid(VerifyError),
    /// Its session was ended.
    #[error("the session was ended; log in again")]
    Revoked,
    /// The account is gone or closed.
    #[error("the account cannot be used")]
    NoAccount,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (code, title, challenge) = match refusal {
            Refusal::Missing => ("token_missing", "An access token is needed", "Bearer"),
            Refusal::Invalid(VerifyError::Expired) => {
                ("token_expired", "The access token has expired", r#"Bearer error="invalid_token""#)
            }
            Refusal::Invalid(_) => ("token_invalid", "The access token is not good", r#"Bearer error="invalid_token""#),
            Refusal::Revoked => ("token_revoked", "The session was ended", r#"Bearer error="invalid_token""#),
            Refusal::NoAccount => ("account_unusable", "The account cannot be used", r#"Bearer error="invalid_token""#),
        };
        Self::new(StatusCode::UNAUTHORIZED, code, title)
            .with_detail(refusal.to_string())
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }
}

impl FromRequestParts<AppState> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let token = token(parts).ok_or(Refusal::Missing)?;
        match state.identity.recognise(token).await? {
            Bearer::Known(claims) => Ok(Self(claims)),
            Bearer::Invalid(error) => Err(Refusal::Invalid(error).into()),
            Bearer::Revoked => Err(Refusal::Revoked.into()),
        }
    }
}

/// The token of the one `Authorization` header. Two of them are a trick and count as none.
fn token(parts: &Parts) -> Option<&str> {
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    let only = headers.next().filter(|_| headers.next().is_none())?;
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn read(headers: &[&str]) -> Option<String> {
        let mut request = Request::new(());
        for value in headers {
            request.headers_mut().append(header::AUTHORIZATION, value.parse().unwrap());
        }
        token(&request.into_parts().0).map(str::to_owned)
    }

    #[test]
    fn only_one_bearer_header_counts() {
        assert_eq!(read(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(read(&["bearer  abc "]).as_deref(), Some("abc"));
        for bad in [&[][..], &["abc"], &["Basic abc"], &["Bearer"], &["Bearer "], &["Bearer a", "Bearer b"]] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
