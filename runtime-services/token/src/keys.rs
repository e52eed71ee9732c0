//! Key sets: loading the folder, choosing a key by its kid, putting a new set in the place of an old one.
//!
//! A kid from a token is only ever compared with the names of loaded keys. It never becomes part of a path.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::{DecodingKey, EncodingKey};

use crate::{Jwk, Jwks};

/// An Ed25519 public key in the form of RFC 8410 is these bytes and the 32 of the key.
const PUBLIC_KEY_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The keys of one issuer: one signs, all verify.
pub struct KeySet {
    keys: BTreeMap<String, Key>,
    active: String,
}

/// The key set that is in force, which may be replaced while it is used. Clones share it.
#[derive(Debug, Clone)]
pub struct Keys(Arc<RwLock<Arc<KeySet>>>);

/// One key pair, or the public half of one that signs no more.
struct Key {
    signing: Option<EncodingKey>,
    verifying: DecodingKey,
    public: Jwk,
}

/// Why a folder of keys cannot be used. No variant carries key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read the signing keys: {}: {source}", path.display())]
    Read {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No `<kid>.pem` there.
    #[error("no signing key in {}: put at least one <kid>.pem (PKCS#8, Ed25519) there", .0.display())]
    Empty(PathBuf),
    /// A file is not what its name says.
    #[error("{} is not an Ed25519 key in PKCS#8 PEM; `openssl genpkey -algorithm ED25519` makes one", .0.display())]
    NotAKey(PathBuf),
    /// A file has the name of another key, so that two keys would share a kid over time.
    #[error("{} holds the key {thumbprint}: name the file {thumbprint}.pem (RFC 7638 thumbprint)", path.display())]
    WrongName {
        /// The file.
        path: PathBuf,
        /// The name that it should have.
        thumbprint: String,
    },
    /// `active` names no loaded key.
    #[error("the file `active` says {active:?}, but there is no {active}.pem beside it")]
    ActiveMissing {
        /// What the file says.
        active: String,
    },
    /// `active` names a key of which there is only the public half.
    #[error("the file `active` says {active:?}, but {active}.pem is a public key, which cannot sign")]
    ActiveIsPublic {
        /// What the file says.
        active: String,
    },
}

impl From<KeySet> for Keys {
    fn from(set: KeySet) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(set))))
    }
}

impl Keys {
    /// The key set that is in force now.
    pub fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another one in its place. Who signs or verifies at this moment ends with the one before.
    pub fn replace(&self, set: KeySet) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
    }
}

impl KeySet {
    /// Loads all keys of a folder; the crate's documentation has its layout. Files of other names are passed over, as
    /// mounted Secrets have some of their own.
    pub fn load(folder: &Path) -> Result<Self, KeyError> {
        let mut keys = BTreeMap::new();
        let entries = fs::read_dir(folder).map_err(read_error(folder))?;
        for entry in entries {
            let path = entry.map_err(read_error(folder))?.path();
            let Some(kid) = kid_of(&path) else { continue };
            let text = fs::read_to_string(&path).map_err(read_error(&path))?;
            let key = Key::from_pem(&text).ok_or_else(|| KeyError::NotAKey(path.clone()))?;
            if key.public.kid != kid {
                return Err(KeyError::WrongName { path, thumbprint: key.public.kid });
            }
            keys.insert(kid, key);
        }
        if keys.is_empty() {
            return Err(KeyError::Empty(folder.to_owned()));
        }
        let path = folder.join("active");
        let active = fs::read_to_string(&path).map_err(read_error(&path))?.trim().to_owned();
        match keys.get(&active) {
            None => Err(KeyError::ActiveMissing { active }),
            Some(key) if key.signing.is_none() => Err(KeyError::ActiveIsPublic { active }),
            Some(_) => Ok(Self { keys, active }),
        }
    }

    /// The public keys, for verifiers elsewhere.
    pub fn jwks(&self) -> Jwks {
        Jwks { keys: self.keys.values().map(|key| key.public.clone()).collect() }
    }

    /// The kid of the key that signs.
    pub fn active_kid(&self) -> &str {
        &self.active
    }

    /// The kids of all keys, in order.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    pub(crate) fn signing(&self) -> Option<&EncodingKey> {
        self.keys.get(&self.active)?.signing.as_ref()
    }

    pub(crate) fn verifying(&self, kid: &str) -> Option<&DecodingKey> {
        self.keys.get(kid).map(|key| &key.verifying)
    }
}

impl Key {
    fn from_pem(text: &str) -> Option<Self> {
        let block = pem::parse(text).ok()?;
        match block.tag() {
            "PRIVATE KEY" => {
                let pair = Ed25519KeyPair::from_pkcs8(block.contents()).ok()?;
                let signing = EncodingKey::from_ed_der(block.contents());
                Some(Self { signing: Some(signing), ..Self::verify_only(pair.public_key().as_ref()) })
            }
            "PUBLIC KEY" => {
                let public = block.contents().strip_prefix(&PUBLIC_KEY_PREFIX)?;
                (public.len() == 32).then(|| Self::verify_only(public))
            }
            _ => None,
        }
    }

    fn verify_only(public: &[u8]) -> Self {
        Self { signing: None, verifying: DecodingKey::from_ed_der(public), public: Jwk::ed25519(public) }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("kids", &self.keys.keys()).field("active", &self.active).finish()
    }
}

fn kid_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".pem").filter(|kid| !kid.is_empty() && !kid.starts_with('.')).map(str::to_owned)
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::Read { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{claims, pem_of, public_pem_of, write_keys};
    use crate::{Expected, Signer, Verifier, VerifyError};
    use jiff::Timestamp;

    #[test]
    fn a_folder_with_two_keys_publishes_both_and_signs_with_the_active_one() {
        let (folder, kids) = write_keys(&[1, 2]);
        let set = KeySet::load(folder.path()).unwrap();
        assert_eq!(set.active_kid(), kids[0]);
        let mut published: Vec<_> = set.jwks().keys.into_iter().map(|k| k.kid).collect();
        let mut wanted = kids;
        wanted.sort();
        published.sort();
        assert_eq!(published, wanted);
    }

    #[test]
    fn the_folder_of_a_mounted_secret_is_read() {
        let (folder, kids) = write_keys(&[1]);
        let data = folder.path().join("..2026_01_01");
        fs::create_dir(&data).unwrap();
        for name in [format!("{}.pem", kids[0]), "active".to_owned()] {
            fs::rename(folder.path().join(&name), data.join(&name)).unwrap();
            std::os::unix::fs::symlink(data.join(&name), folder.path().join(&name)).unwrap();
        }
        assert_eq!(KeySet::load(folder.path()).unwrap().active_kid(), kids[0]);
    }

    #[test]
    fn each_mistake_is_named() {
        let error = |folder: &Path| KeySet::load(folder).unwrap_err().to_string();
        assert!(error(Path::new("/does/not/exist")).contains("/does/not/exist"));

        let empty = tempfile::tempdir().unwrap();
        assert!(error(empty.path()).contains("no signing key"));

        let (folder, kids) = write_keys(&[1]);
        fs::write(folder.path().join("active"), "other").unwrap();
        assert!(error(folder.path()).contains("no other.pem"));
        fs::remove_file(folder.path().join("active")).unwrap();
        assert!(error(folder.path()).contains("active"));

        fs::rename(folder.path().join(format!("{}.pem", kids[0])), folder.path().join("mine.pem")).unwrap();
        assert!(error(folder.path()).contains(&format!("name the file {}.pem", kids[0])));

        fs::write(folder.path().join("mine.pem"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")
            .unwrap();
        assert!(error(folder.path()).contains("not an Ed25519 key"));
    }

    #[test]
    fn of_a_key_that_signs_no_more_the_public_half_is_enough() {
        let (folder, kids) = write_keys(&[1, 2]);
        fs::write(folder.path().join(format!("{}.pem", kids[1])), public_pem_of(2)).unwrap();
        let set = KeySet::load(folder.path()).unwrap();
        assert_eq!(set.jwks().keys.len(), 2);
        assert!(set.verifying(&kids[1]).is_some() && set.keys[&kids[1]].signing.is_none());
        fs::write(folder.path().join("active"), &kids[1]).unwrap();
        assert!(KeySet::load(folder.path()).unwrap_err().to_string().contains("cannot sign"));
    }

    #[test]
    fn a_replaced_set_is_in_force_for_all_who_share_it() {
        let (old, _) = write_keys(&[1]);
        let keys = Keys::from(KeySet::load(old.path()).unwrap());
        let expected = Expected { issuer: "https://id.example".into(), audience: "portico".into(), leeway_seconds: 5 };
        let (signer, verifier) = (Signer::new(keys.clone()), Verifier::new(keys.clone(), expected));
        let now = Timestamp::from_second(1_000).unwrap();
        let before = signer.sign(&claims(1_000)).unwrap();
        // The new key signs, the old one still verifies.
        let (both, _) = write_keys(&[2, 1]);
        keys.replace(KeySet::load(both.path()).unwrap());
        let after = signer.sign(&claims(1_000)).unwrap();
        assert_ne!(before.split('.').next(), after.split('.').next());
        assert!(verifier.verify(&before, now).is_ok() && verifier.verify(&after, now).is_ok());
        let (new, _) = write_keys(&[2]);
        keys.replace(KeySet::load(new.path()).unwrap());
        assert_eq!(verifier.verify(&before, now), Err(VerifyError::UnknownKey));
        assert!(verifier.verify(&after, now).is_ok());
    }

    #[test]
    fn debug_output_shows_no_key() {
        let (folder, _) = write_keys(&[1]);
        let text = format!("{:?}", KeySet::load(folder.path()).unwrap());
        let private = pem_of(1).lines().nth(1).unwrap().to_owned();
        assert!(!text.contains(&private) && text.contains("active"), "{text}");
    }
}
