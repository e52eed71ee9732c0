//! The configuration of the auth service, rendered into `config.yaml` by the operator.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ConfigProblems, LogConfig, ServerConfig};

/// Everything that the auth service is told. Secrets are in the folders that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthServiceConfig {
    /// Where the service listens.
    #[serde(default)]
    pub server: ServerConfig,
    /// What it logs.
    #[serde(default)]
    pub log: LogConfig,
    /// The PostgreSQL database that keeps accounts and sessions.
    pub database: DatabaseConfig,
    /// The Valkey (or Redis) server that keeps revocations.
    pub cache: CacheConfig,
    /// The tokens that it issues.
    pub tokens: TokensConfig,
    /// How passwords are kept.
    #[serde(default)]
    pub passwords: PasswordsConfig,
}

/// How the service reaches its database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatabaseConfig {
    /// Folder with the binding, one file a key (`servicebinding.io/postgresql`).
    pub binding_path: PathBuf,
    /// The most connections one replica opens, 1 to 200. Default 10.
    #[serde(default = "default_max_connections")]
    pub max_connections: u32,
}

/// How the service reaches its cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheConfig {
    /// Folder with the binding, one file a key (`servicebinding.io/redis`).
    pub binding_path: PathBuf,
}

/// What tokens say and how long they live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokensConfig {
    /// The `iss` claim: an absolute `http` or `https` URL without query and fragment, at most 512 bytes.
    pub issuer: String,
    /// The `aud` claim: who the access tokens are for, 1 to 256 bytes.
    pub audience: String,
    /// How long an access token lives, in seconds, 60 to 86400. Default 900.
    #[serde(default = "default_access_token_seconds")]
    pub access_token_seconds: u64,
    /// How long a session lives at most, however often it is refreshed, in seconds: at least as long as an access
    /// token and at most 31622400 (366 days). Default 604800 (7 days).
    #[serde(default = "default_refresh_token_seconds")]
    pub refresh_token_seconds: u64,
    /// Folder with the signing keys: `<kid>.pem` (PKCS#8, Ed25519) and `active`, which holds the kid that signs. The
    /// service follows its changes.
    pub signing_keys_path: PathBuf,
    /// How long others may keep the published keys, in seconds, 1 to 3600: a new key has to be published for longer than
    /// that before it signs. Default 300.
    #[serde(default = "default_key_cache_seconds")]
    pub key_cache_seconds: u64,
}

/// How passwords are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PasswordsConfig {
    /// The cost of bcrypt, 10 to 15; each step doubles the time of a login. Default 12.
    pub bcrypt_cost: u32,
}

impl Default for PasswordsConfig {
    fn default() -> Self {
        Self { bcrypt_cost: 12 }
    }
}

const fn default_max_connections() -> u32 {
    10
}

const fn default_access_token_seconds() -> u64 {
    15 * 60
}

/// How long others may keep the published keys when nothing is said, in seconds.
pub const DEFAULT_KEY_CACHE_SECONDS: u64 = 300;

const fn default_key_cache_seconds() -> u64 {
    DEFAULT_KEY_CACHE_SECONDS
}

const fn default_refresh_token_seconds() -> u64 {
    7 * 24 * 60 * 60
}

impl AuthServiceConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Every value out of its range, each with the path of its field.
    pub fn validate(&self) -> Result<(), ConfigProblems> {
        let mut problems = ConfigProblems::default();
        self.check_connections(&mut problems);
        self.tokens.check(&mut problems);
        let cost = self.passwords.bcrypt_cost;
        problems.check((10..=15).contains(&cost), "passwords.bcryptCost", || {
            format!("{cost} is not in 10 to 15; take 12 unless logins are too slow or too fast")
        });
        problems.into_result()
    }

    fn check_connections(&self, problems: &mut ConfigProblems) {
        let (listen, metrics) = (self.server.listen, self.server.metrics_listen);
        problems.check(listen != metrics || listen.port() == 0, "server.metricsListen", || {
            format!("{metrics} is the address of the API as well; give it a port of its own")
        });
        let connections = self.database.max_connections;
        problems.check((1..=200).contains(&connections), "database.maxConnections", || {
            format!("{connections} is not in 1 to 200")
        });
        for (path, value) in [
            ("database.bindingPath", &self.database.binding_path),
            ("cache.bindingPath", &self.cache.binding_path),
            ("tokens.signingKeysPath", &self.tokens.signing_keys_path),
        ] {
            problems.check(value.is_absolute(), path, || {
                format!("{:?} is not an absolute path; name the folder from the root", value.display())
            });
        }
    }
}

impl TokensConfig {
    fn check(&self, problems: &mut ConfigProblems) {
        let issuer = &self.issuer;
        problems.check(is_issuer(issuer), "tokens.issuer", || {
            format!("{issuer:?} is not an http or https URL without query, fragment and blanks, of at most 512 bytes")
        });
        let audience = &self.audience;
        problems.check((1..=256).contains(&audience.len()), "tokens.audience", || {
            format!("it has {} bytes; 1 to 256 are good", audience.len())
        });
        let access = self.access_token_seconds;
        problems.check((60..=86_400).contains(&access), "tokens.accessTokenSeconds", || {
            format!("{access} is not in 60 to 86400 (a minute to a day)")
        });
        let refresh = self.refresh_token_seconds;
        problems.check((access..=31_622_400).contains(&refresh), "tokens.refreshTokenSeconds", || {
            format!("{refresh} is not in {access} (the access token's life) to 31622400 (366 days)")
        });
        let kept = self.key_cache_seconds;
        problems.check((1..=3600).contains(&kept), "tokens.keyCacheSeconds", || format!("{kept} is not in 1 to 3600"));
    }
}

/// RFC 9068 and OpenID Connect want a URL without query or fragment. A full parser is not needed to say so.
fn is_issuer(issuer: &str) -> bool {
    let rest = issuer.strip_prefix("https://").or_else(|| issuer.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>' | '\\');
    issuer.len() <= 512 && rest.is_some_and(|r| !r.is_empty() && !r.starts_with('/') && r.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
database: {bindingPath: /b/database}
cache: {bindingPath: /b/cache}
tokens: {issuer: 'https://id.example', audience: portico, signingKeysPath: /b/keys}
";

    fn good() -> AuthServiceConfig {
        serde_saphyr::from_str(GOOD).unwrap()
    }

    #[test]
    fn what_is_left_out_has_the_documented_default() {
        let config = good();
        assert_eq!(config.server.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(config.server.metrics_listen.to_string(), "0.0.0.0:9090");
        assert_eq!(config.log.level, crate::LogLevel::Info);
        assert_eq!(config.database.max_connections, 10);
        assert_eq!((config.tokens.access_token_seconds, config.tokens.refresh_token_seconds), (900, 604_800));
        assert_eq!(config.tokens.key_cache_seconds, 300);
        assert_eq!(config.passwords.bcrypt_cost, 12);
        config.validate().unwrap();
    }

    #[test]
    fn what_is_written_is_read_again_unchanged() {
        let config = good();
        let yaml = serde_saphyr::to_string(&config).unwrap();
        assert_eq!(serde_saphyr::from_str::<AuthServiceConfig>(&yaml).unwrap(), config, "{yaml}");
        assert!(yaml.contains("accessTokenSeconds: 900"), "{yaml}");
    }

    #[test]
    fn a_field_that_does_not_exist_is_refused() {
        let error = serde_saphyr::from_str::<AuthServiceConfig>(&format!("{GOOD}pasword: 1\n")).unwrap_err();
        assert!(error.to_string().contains("pasword"), "{error}");
    }

    #[test]
    fn all_problems_are_reported_at_once_with_their_paths() {
        let mut config = good();
        config.server.metrics_listen = config.server.listen;
        config.database.max_connections = 0;
        config.cache.binding_path = "relative".into();
        config.tokens.issuer = "id.example".into();
        config.tokens.audience = String::new();
        config.tokens.access_token_seconds = 59;
        config.tokens.refresh_token_seconds = 58;
        config.tokens.key_cache_seconds = 0;
        config.passwords.bcrypt_cost = 9;
        let paths: Vec<_> = config.validate().unwrap_err().0.iter().map(|p| p.path).collect();
        assert_eq!(
            paths,
            [
                "server.metricsListen",
                "database.maxConnections",
                "cache.bindingPath",
                "tokens.issuer",
                "tokens.audience",
                "tokens.accessTokenSeconds",
                "tokens.refreshTokenSeconds",
                "tokens.keyCacheSeconds",
                "passwords.bcryptCost",
            ]
        );
    }

    #[test]
    fn issuers() {
        for good in ["http://a", "https://a.b/c", "http://auth.ns.svc.cluster.local", "https://[::1]:8080/x"] {
            assert!(is_issuer(good), "{good}");
        }
        for bad in ["", "a", "ftp://a", "https://", "https:///x", "https://a?b", "https://a#b", "https://a b"] {
            assert!(!is_issuer(bad), "{bad}");
        }
    }
}
