//! Accounts.

use jiff::Timestamp;
use portico_service_kit::problem::FieldError;
use uuid::Uuid;

use super::{email::Email, password};

/// The longest name, in characters.
const MAX_NAME: usize = 100;

/// A person who can log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Never changes, never given to anybody else.
    pub id: Uuid,
    /// Spelled as at registration.
    pub email: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Whether they have shown that the address is theirs.
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

impl User {
    /// What the user may do, as claims say it. More than one role comes with role administration.
    pub fn roles(&self) -> Vec<String> {
        vec!["user".to_owned()]
    }
}

/// A user and what proves to be them.
#[derive(Clone)]
pub struct Credentials {
    /// The user.
    pub user: User,
    /// The hash of the password. Not for logs, so there is no debug form.
    pub password_hash: String,
}

/// A user who is to be.
pub struct NewUser {
    /// The id that they get.
    pub id: Uuid,
    /// Their address.
    pub email: Email,
    /// The hash of their password.
    pub password_hash: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
}

/// What somebody filled in to register, found good.
#[derive(Debug)]
pub struct Registration {
    /// Their address.
    pub email: Email,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
}

impl Registration {
    /// Checks all fields at once.
    ///
    /// # Errors
    /// Every field that cannot be used.
    pub fn check(
        email: &str,
        password: &str,
        first_name: Option<&str>,
        last_name: Option<&str>,
    ) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut keep = |field, result: Result<Option<String>, String>| {
            result.unwrap_or_else(|message| {
                errors.push(FieldError { field, message });
                None
            })
        };
        let first_name = keep("first_name", name(first_name));
        let last_name = keep("last_name", name(last_name));
        let parsed = Email::parse(email);
        let local = parsed.as_ref().map_or("", Email::local);
        let context = [Some(local), first_name.as_deref(), last_name.as_deref()];
        if let Err(message) = password::check(password, context.into_iter().flatten()) {
            errors.push(FieldError { field: "password", message });
        }
        match parsed {
            Ok(email) if errors.is_empty() => Ok(Self { email, first_name, last_name }),
            Ok(_) => Err(errors),
            Err(message) => {
                errors.insert(0, FieldError { field: "email", message: message.to_owned() });
                Err(errors)
            }
        }
    }
}

/// Names are as people write them; only what no name has is refused. An empty one counts as none.
fn name(text: Option<&str>) -> Result<Option<String>, String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    match text {
        Some(text) if text.chars().count() > MAX_NAME => Err(format!("has more than {MAX_NAME} characters")),
        Some(text) if text.chars().any(char::is_control) => Err("has control characters".to_owned()),
        other => Ok(other.map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_field_is_reported() {
        let long = "n".repeat(101);
        let errors = Registration::check("nobody", "short", Some(&long), Some("a\u{7}b")).unwrap_err();
        let fields: Vec<_> = errors.iter().map(|error| error.field).collect();
        assert_eq!(fields, ["email", "first_name", "last_name", "password"]);
    }

    #[test]
    fn names_are_trimmed_and_optional() {
        let good = Registration::check("jane@example.org", "correct horse", Some("  Jane "), Some(" ")).unwrap();
        assert_eq!((good.first_name.as_deref(), good.last_name), (Some("Jane"), None));
    }

    #[test]
    fn the_password_must_not_hold_name_or_address() {
        for password in ["jane.doe rules", "i am Bartholomew"] {
            let errors = Registration::check("jane.doe@example.org", password, Some("Bartholomew"), None).unwrap_err();
            assert_eq!(errors[0].field, "password");
        }
    }
}
