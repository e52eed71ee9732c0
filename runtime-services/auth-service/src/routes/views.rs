//! What the API answers with.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{domain::account::User, identity::SignedIn};

/// A user, as they are shown to themselves.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    /// Never changes. The `sub` of tokens.
    pub id: Uuid,
    /// Spelled as at registration.
    #[schema(format = Email)]
    pub email: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// What the user may do.
    pub roles: Vec<String>,
    /// Whether the address is known to be theirs.
    pub is_email_verified: bool,
    /// Whether they may log in.
    pub is_active: bool,
    /// The last successful login.
    pub last_login_at: Option<Timestamp>,
    /// When they registered.
    pub created_at: Timestamp,
    /// When the account last changed.
    pub updated_at: Timestamp,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            roles: user.roles(),
            id: user.id,
            email: user.email,
            first_name: user.first_name,
            last_name: user.last_name,
            is_email_verified: user.is_email_verified,
            is_active: user.is_active,
            last_login_at: user.last_login_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// A pair of tokens (RFC 6749 section 5.1). There is no debug form: these are secrets.
#[derive(Serialize, ToSchema)]
pub struct Tokens {
    /// Opens the API: a JWT of type `at+jwt`.
    pub access_token: String,
    /// Brings the next pair, once. Opaque.
    pub refresh_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// Seconds that the access token is good.
    #[schema(example = 900)]
    pub expires_in: i64,
    /// Seconds that the session is good, however often it is refreshed.
    #[schema(example = 604_800)]
    pub refresh_expires_in: i64,
}

/// A user and their tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = SignedIn)]
pub struct SignedInView {
    /// Who signed in.
    pub user: UserView,
    /// Their tokens.
    #[serde(flatten)]
    pub tokens: Tokens,
}

impl From<SignedIn> for SignedInView {
    fn from(signed_in: SignedIn) -> Self {
        let tokens = Tokens {
            access_token: signed_in.access_token,
            refresh_token: signed_in.refresh_token.expose().to_owned(),
            token_type: "Bearer",
            expires_in: signed_in.expires_in,
            refresh_expires_in: signed_in.refresh_expires_in,
        };
        Self { user: signed_in.user.into(), tokens }
    }
}
