//! The passwords of a builtin engine: generated once, kept in a Secret, mounted as files.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use portico_crds::common::labels::Identity;
use std::collections::BTreeMap;
use std::fmt;

use super::Generated;
use crate::digest::digest;

/// The passwords of one engine by file name.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    values: BTreeMap<&'static str, String>,
    exists: bool,
}

/// The Secret was changed so that the engine cannot use it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "key {key:?} of the generated Secret is missing or not plain text; restore it, or delete the Secret to have new \
     passwords made"
)]
pub struct InvalidCredentials {
    /// The key to mend.
    pub key: &'static str,
}

impl Credentials {
    /// The passwords in an existing Secret.
    ///
    /// # Errors
    /// [`InvalidCredentials`] names the key that cannot be used.
    pub fn read(passwords: &[Generated], data: &BTreeMap<String, ByteString>) -> Result<Self, InvalidCredentials> {
        let value = |key: &'static str| {
            let text = data.get(key).and_then(|bytes| std::str::from_utf8(&bytes.0).ok());
            let usable = text.filter(|text| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()));
            usable.map(|text| (key, text.to_owned())).ok_or(InvalidCredentials { key })
        };
        let values = passwords.iter().map(|password| value(password.key)).collect::<Result<_, _>>()?;
        Ok(Self { values, exists: true })
    }

    /// New passwords, not written yet.
    pub fn new(values: BTreeMap<&'static str, String>) -> Self {
        Self { values, exists: false }
    }

    /// Whether they were read from a Secret.
    pub fn exist(&self) -> bool {
        self.exists
    }

    /// The password of that name; empty when the engine declared no such name.
    pub fn get(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }

    /// The hash that rolls the pod.
    pub fn digest(&self) -> String {
        digest(self.values.iter().map(|(key, value)| (*key, value.as_bytes())))
    }

    /// The Secret that keeps them.
    pub fn secret(&self, name: String, identity: Identity<'_>) -> Secret {
        Secret {
            metadata: ObjectMeta { name: Some(name), labels: Some(identity.labels()), ..ObjectMeta::default() },
            type_: Some("Opaque".to_owned()),
            string_data: Some(self.values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()),
            ..Secret::default()
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.values.keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::password;

    #[test]
    fn a_missing_key_is_named_and_nothing_is_shown() {
        let data = [("password".to_owned(), ByteString(b"hunter2".to_vec()))].into();
        let error = Credentials::read(&[password("password"), password("superuser-password")], &data).unwrap_err();
        assert_eq!(error.key, "superuser-password");
        let credentials = Credentials::read(&[password("password")], &data).unwrap();
        assert!(credentials.exist() && credentials.get("password") == "hunter2");
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    #[test]
    fn line_breaks_and_blanks_are_refused() {
        for value in ["", "a b", "a\n"] {
            let data = [("password".to_owned(), ByteString(value.as_bytes().to_vec()))].into();
            assert!(Credentials::read(&[password("password")], &data).is_err(), "{value:?}");
        }
    }
}
