//! Sessions: one login and the chain of refresh tokens that follows from it.
//!
//! A refresh token is good once. Who presents a spent one has either stolen it or lost it to a thief, and nobody can
//! tell which; so the whole session ends (RFC 9700 section 4.14). However often it is refreshed, a session ends at
//! its expiry.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use portico_service_kit::{request::Sender, rng::Rng};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Bytes of randomness in a refresh token.
const TOKEN_BYTES: usize = 32;

/// A refresh token as its bearer has it. Its debug form shows nothing.
#[derive(Clone)]
pub struct RefreshToken(String);

/// What is kept of a refresh token: its SHA-256. The token has 256 random bits, so nothing slower is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl RefreshToken {
    /// A new one.
    pub fn generate(rng: &dyn Rng) -> Self {
        let mut bytes = [0; TOKEN_BYTES];
        rng.fill(&mut bytes);
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// For the answer to its owner, and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl TokenHash {
    /// The hash of a token that somebody presents.
    pub fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented).into())
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}

/// A session that is to be opened.
#[derive(Debug)]
pub struct NewSession {
    /// The id that it gets.
    pub id: Uuid,
    /// Its first refresh token.
    pub token: TokenHash,
    /// Now.
    pub opened_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Who opened it.
    pub sender: Sender,
}

/// Why a session was ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedReason {
    /// The user logged out.
    Logout,
    /// A spent refresh token was presented.
    Reuse,
}

impl RevokedReason {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Reuse => "refresh_token_reuse",
        }
    }
}

/// What the store knows of a presented refresh token, its session and its user, read under a lock.
#[derive(Debug, Clone, Copy)]
pub struct Presented {
    /// When the token ends.
    pub token_expires_at: Timestamp,
    /// When the session ends.
    pub session_expires_at: Timestamp,
    /// Whether the token was used before.
    pub is_spent: bool,
    /// Whether the session was ended.
    pub is_revoked: bool,
    /// Whether the user exists and may log in.
    pub user_may_log_in: bool,
}

/// What is to be done with a presented refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Exchange it for its successor.
    Rotate,
    /// Refuse it; nothing else is known to be wrong.
    Refuse,
    /// Refuse it and end its session.
    Revoke,
}

impl Presented {
    /// Decides, at this moment.
    pub fn judge(&self, now: Timestamp) -> Verdict {
        if self.is_revoked || now >= self.session_expires_at {
            Verdict::Refuse
        } else if self.is_spent {
            Verdict::Revoke
        } else if now >= self.token_expires_at || !self.user_may_log_in {
            Verdict::Refuse
        } else {
            Verdict::Rotate
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_service_kit::rng::{SeededRng, SystemRng};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const GOOD: fn() -> Presented = || Presented {
        token_expires_at: at(100),
        session_expires_at: at(100),
        is_spent: false,
        is_revoked: false,
        user_may_log_in: true,
    };

    #[test]
    fn verdicts() {
        let table = [
            (GOOD(), 99, Verdict::Rotate),
            (GOOD(), 100, Verdict::Refuse),
            (Presented { is_spent: true, ..GOOD() }, 99, Verdict::Revoke),
            (Presented { is_spent: true, user_may_log_in: false, ..GOOD() }, 99, Verdict::Revoke),
            (Presented { is_spent: true, token_expires_at: at(50), ..GOOD() }, 99, Verdict::Revoke),
            (Presented { is_spent: true, ..GOOD() }, 100, Verdict::Refuse),
            (Presented { is_spent: true, is_revoked: true, ..GOOD() }, 99, Verdict::Refuse),
            (Presented { is_revoked: true, ..GOOD() }, 99, Verdict::Refuse),
            (Presented { user_may_log_in: false, ..GOOD() }, 99, Verdict::Refuse),
            (Presented { token_expires_at: at(50), ..GOOD() }, 50, Verdict::Refuse),
        ];
        for (presented, now, wanted) in table {
            assert_eq!(presented.judge(at(now)), wanted, "{presented:?} at {now}");
        }
    }

    #[test]
    fn tokens_have_256_bits_and_do_not_show_in_debug_output() {
        let token = RefreshToken::generate(&SystemRng);
        assert_eq!(URL_SAFE_NO_PAD.decode(token.expose()).unwrap().len(), 32);
        assert_ne!(token.expose(), RefreshToken::generate(&SystemRng).expose());
        assert_eq!(token.hash(), TokenHash::of(token.expose()));
        assert!(!format!("{token:?}").contains(token.expose()));
        let seeded = |seed| RefreshToken::generate(&SeededRng::new(seed)).expose().to_owned();
        assert_eq!(seeded(1), seeded(1));
    }
}
