//! What the service does: registering, logging in, refreshing, logging out, recognising a bearer.
//!
//! The order of steps matters for safety and is written down where it does. HTTP is not known here.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use portico_service_kit::{
    clock::SharedClock,
    request::Sender,
    rng::{SharedRng, uuid_v7},
};
use portico_token::{AccessClaims, SignError, Signer, Verifier, VerifyError};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    domain::{
        account::{NewUser, Registration, User},
        email::Email,
        session::{NewSession, RefreshToken, RevokedReason, TokenHash},
    },
    hashing::{Hasher, Overloaded},
    revocations::{CacheUnavailable, Revocations},
    storage::{Rotation, Store, StoreError},
};

/// Everything that the service's work needs.
pub struct Identity {
    /// Accounts and sessions.
    pub store: Arc<dyn Store>,
    /// Sessions ended before their access tokens.
    pub revocations: Arc<Revocations>,
    /// Passwords.
    pub hasher: Hasher,
    /// Issues access tokens.
    pub signer: Signer,
    /// Verifies them.
    pub verifier: Verifier,
    /// The time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: SharedRng,
    /// What tokens say and how long they live.
    pub terms: Terms,
}

/// What tokens say and how long they live.
#[derive(Debug, Clone)]
pub struct Terms {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// The life of an access token.
    pub access_life: SignedDuration,
    /// The life of a session.
    pub session_life: SignedDuration,
}

/// What somebody gets who has proved who they are.
pub struct SignedIn {
    /// Who they are.
    pub user: User,
    /// What opens the API.
    pub access_token: String,
    /// What brings the next pair.
    pub refresh_token: RefreshToken,
    /// Seconds that the access token is good.
    pub expires_in: i64,
    /// Seconds that the session is good.
    pub refresh_expires_in: i64,
}

/// Why something could not be done although nobody did anything wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheUnavailable),
    /// Too many password hashes at once.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The signing key.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What a presented refresh token brought.
pub enum Refreshed {
    /// A new pair.
    SignedIn(Box<SignedIn>),
    /// Nothing.
    Refused,
}

/// Whether a bearer is known.
#[derive(Debug)]
pub enum Bearer {
    /// They are.
    Known(AccessClaims),
    /// The token is no good.
    Invalid(VerifyError),
    /// Its session was ended.
    Revoked,
}

impl Identity {
    /// Adds an account and signs its owner in.
    pub async fn register(&self, who: Registration, password: SecretString, from: Sender) -> Result<SignedIn, Failure> {
        let password_hash = self.hasher.hash(password).await?;
        let now = self.clock.now();
        let user = NewUser {
            id: uuid_v7(now, &*self.rng),
            email: who.email,
            password_hash,
            first_name: who.first_name,
            last_name: who.last_name,
        };
        let (session, token) = self.new_session(now, from);
        let (id, expires_at) = (session.id, session.expires_at);
        let user = self.store.register(user, session).await?;
        tracing::info!(user = %user.id, session = %id, "registered");
        self.sign_in(user, id, token, now, expires_at)
    }

    /// Signs somebody in, or nothing when address and password do not belong together. Which of the two is wrong,
    /// whether there is such an account and whether it is active shows neither in the answer nor in its time.
    pub async fn login(&self, email: &str, password: SecretString, from: Sender) -> Result<Option<SignedIn>, Failure> {
        let found = match Email::parse(email) {
            Ok(email) => self.store.find_credentials(&email).await?,
            Err(_) => None,
        };
        let hash = found.as_ref().map(|found| found.password_hash.clone());
        let proved = self.hasher.verify(password, hash).await?;
        let Some(user) = found.map(|found| found.user).filter(|user| proved && user.is_active) else {
            tracing::info!("login refused");
            return Ok(None);
        };
        let now = self.clock.now();
        let (session, token) = self.new_session(now, from);
        let (id, expires_at) = (session.id, session.expires_at);
        let Some(user) = self.store.open_session(user.id, session).await? else { return Ok(None) };
        tracing::info!(user = %user.id, session = %id, "logged in");
        self.sign_in(user, id, token, now, expires_at).map(Some)
    }

    /// Exchanges a refresh token. A spent one ends its session, the access tokens included.
    pub async fn refresh(&self, presented: &str) -> Result<Refreshed, Failure> {
        let now = self.clock.now();
        let successor = RefreshToken::generate(&*self.rng);
        match self.store.rotate(TokenHash::of(presented), successor.hash(), now).await? {
            Rotation::Rotated { user, session, expires_at } => {
                let signed_in = self.sign_in(user, session, successor, now, expires_at)?;
                Ok(Refreshed::SignedIn(Box::new(signed_in)))
            }
            Rotation::Refused => Ok(Refreshed::Refused),
            Rotation::Reused { session } => {
                tracing::warn!(%session, "a spent refresh token was presented; its session was ended");
                self.revocations.revoke(session).await?;
                Ok(Refreshed::Refused)
            }
        }
    }

    /// Ends a session: its refresh tokens first, in the database, from which the cache is filled should writing to it
    /// fail now.
    pub async fn logout(&self, session: Uuid) -> Result<(), Failure> {
        self.store.revoke_session(session, RevokedReason::Logout, self.clock.now()).await?;
        self.revocations.revoke(session).await?;
        tracing::info!(%session, "logged out");
        Ok(())
    }

    /// Whether the bearer of an access token is known now.
    pub async fn recognise(&self, token: &str) -> Result<Bearer, Failure> {
        let claims = match self.verifier.verify(token, self.clock.now()) {
            Ok(claims) => claims,
            Err(error) => return Ok(Bearer::Invalid(error)),
        };
        let revoked = self.revocations.is_revoked(claims.sid).await?;
        Ok(if revoked { Bearer::Revoked } else { Bearer::Known(claims) })
    }

    /// The user with this id, if they may use the service.
    pub async fn active_user(&self, id: Uuid) -> Result<Option<User>, Failure> {
        Ok(self.store.find_user(id).await?.filter(|user| user.is_active))
    }

    fn new_session(&self, now: Timestamp, sender: Sender) -> (NewSession, RefreshToken) {
        let token = RefreshToken::generate(&*self.rng);
        let expires_at = now.saturating_add(self.terms.session_life).unwrap_or(Timestamp::MAX);
        let id = uuid_v7(now, &*self.rng);
        (NewSession { id, token: token.hash(), opened_at: now, expires_at, sender }, token)
    }

    fn sign_in(
        &self,
        user: User,
        session: Uuid,
        refresh_token: RefreshToken,
        now: Timestamp,
        session_ends: Timestamp,
    ) -> Result<SignedIn, Failure> {
        // An access token never outlives its session.
        let refresh_expires_in = session_ends.as_second() - now.as_second();
        let expires_in = self.terms.access_life.as_secs().min(refresh_expires_in);
        let claims = AccessClaims {
            iss: self.terms.issuer.clone(),
            sub: user.id,
            aud: vec![self.terms.audience.clone()],
            exp: now.as_second() + expires_in,
            nbf: now.as_second(),
            iat: now.as_second(),
            jti: uuid_v7(now, &*self.rng),
            sid: session,
            roles: user.roles(),
            scope: String::new(),
        };
        let access_token = self.signer.sign(&claims)?;
        Ok(SignedIn { user, access_token, refresh_token, expires_in, refresh_expires_in })
    }
}
