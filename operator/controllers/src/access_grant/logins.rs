//! The logins of a grant and how far their replacement has come: what the Secret `<grant>-logins` holds.
//!
//! The Secret, not the status, is where the state lives: a status may be lost, and credentials and their state must not
//! come apart. There are two slots, and replacing a login means filling the free one.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use portico_crds::common::labels::Identity;

/// One of the two places for a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// As it stands in user names and keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A user and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// User name or access key id.
    pub username: String,
    /// Password or secret key.
    pub password: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.username)
    }
}

/// How far things have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The login is not in the engine yet, and not published.
    New,
    /// One login, in the engine and published.
    Settled,
    /// A second one is being made beside the published one.
    Preparing(Credential),
    /// The second one is published; the first one stays for those who have not moved.
    Moving(Credential),
}

impl Stage {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Settled => "settled",
            Self::Preparing(_) => "preparing",
            Self::Moving(_) => "moving",
        }
    }
}

/// The content of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logins {
    /// The slot of the published login.
    pub active: Slot,
    /// The published login.
    pub credential: Credential,
    /// How far things have come.
    pub stage: Stage,
    /// When the published login became the published one.
    pub since: Timestamp,
    /// The last request for a replacement that was acted upon.
    pub request: String,
}

/// The Secret was changed so that it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {0:?} is missing or cannot be used; restore it, or delete the Secret to have a new login made")]
pub struct InvalidLogins(pub String);

impl Logins {
    /// Reads the Secret.
    ///
    /// # Errors
    /// [`InvalidLogins`] names the key.
    pub fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, InvalidLogins> {
        let text = |key: &str| {
            let text = data.get(key).and_then(|bytes| std::str::from_utf8(&bytes.0).ok());
            text.map(str::to_owned).ok_or_else(|| InvalidLogins(key.to_owned()))
        };
        let credential = |slot: Slot| {
            let key = |part: &str| format!("{}.{part}", slot.as_str());
            let value = |part: &str| {
                let value = text(&key(part))?;
                let plain = !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic());
                if plain { Ok(value) } else { Err(InvalidLogins(key(part))) }
            };
            Ok(Credential { username: value("username")?, password: value("password")? })
        };
        let active = match text("active")?.as_str() {
            "a" => Slot::A,
            "b" => Slot::B,
            _ => return Err(InvalidLogins("active".to_owned())),
        };
        let stage = match text("stage")?.as_str() {
            "new" => Stage::New,
            "settled" => Stage::Settled,
            "preparing" => Stage::Preparing(credential(active.other())?),
            "moving" => Stage::Moving(credential(active.other())?),
            _ => return Err(InvalidLogins("stage".to_owned())),
        };
        let since = text("since")?.parse().map_err(|_| InvalidLogins("since".to_owned()))?;
        Ok(Self { active, credential: credential(active)?, stage, since, request: text("request").unwrap_or_default() })
    }

    /// The second login, while there is one.
    pub fn other(&self) -> Option<&Credential> {
        match &self.stage {
            Stage::Preparing(credential) | Stage::Moving(credential) => Some(credential),
            Stage::New | Stage::Settled => None,
        }
    }

    /// Whether consumers may have the published login.
    pub fn published(&self) -> bool {
        self.stage != Stage::New
    }

    /// The Secret.
    pub fn secret(&self, name: String, identity: Identity<'_>) -> Secret {
        Secret {
            metadata: ObjectMeta { name: Some(name), labels: Some(identity.labels()), ..ObjectMeta::default() },
            type_: Some("Opaque".to_owned()),
            data: Some(self.entries().into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect()),
            ..Secret::default()
        }
    }

    fn entries(&self) -> BTreeMap<String, String> {
        let mut entries: BTreeMap<String, String> = [
            ("active", self.active.as_str().to_owned()),
            ("stage", self.stage.as_str().to_owned()),
            ("since", self.since.to_string()),
            ("request", self.request.clone()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let mut put = |slot: Slot, credential: &Credential| {
            entries.insert(format!("{}.username", slot.as_str()), credential.username.clone());
            entries.insert(format!("{}.password", slot.as_str()), credential.password.clone());
        };
        put(self.active, &self.credential);
        if let Some(other) = self.other() {
            put(self.active.other(), other);
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(name: &str) -> Credential {
        Credential { username: name.to_owned(), password: format!("password-of-{name}") }
    }

    fn logins(stage: Stage) -> Logins {
        let since = "2026-01-02T03:04:05Z".parse().unwrap();
        Logins { active: Slot::B, credential: credential("shop_b"), stage, since, request: "now".into() }
    }

    fn data(logins: &Logins) -> BTreeMap<String, ByteString> {
        let identity = Identity { program: "p", instance: "i", component: "c", kind: "K" };
        logins.secret("s".into(), identity).data.unwrap()
    }

    #[test]
    fn every_stage_is_read_as_it_was_written() {
        for stage in
            [Stage::New, Stage::Settled, Stage::Preparing(credential("shop_a")), Stage::Moving(credential("shop_a"))]
        {
            let written = logins(stage);
            assert_eq!(Logins::read(&data(&written)).unwrap(), written);
            assert!(!format!("{written:?}").contains("password-of"));
        }
    }

    #[test]
    fn a_damaged_secret_names_its_key() {
        let whole = data(&logins(Stage::Moving(credential("shop_a"))));
        for key in ["active", "stage", "since", "a.username", "b.password"] {
            for damage in [None, Some(ByteString(b"\n\x07".to_vec()))] {
                let mut damaged = whole.clone();
                match damage {
                    None => drop(damaged.remove(key)),
                    Some(value) => drop(damaged.insert(key.to_owned(), value)),
                }
                assert_eq!(Logins::read(&damaged).unwrap_err(), InvalidLogins(key.to_owned()));
            }
        }
    }
}
