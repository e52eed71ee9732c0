//! What the auth service needs to start: a configuration, bindings and a signing key, in a temporary folder.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use portico_service_config::{
    AuthServiceConfig, CacheConfig, DatabaseConfig, LogConfig, PasswordsConfig, ServerConfig, TokensConfig,
};
use portico_test_servers::postgres::Postgres;
use portico_test_servers::valkey::Valkey;
use portico_token::Jwk;
use tempfile::TempDir;

/// What the operator configures when the resource says nothing.
pub(crate) const BCRYPT_COST: u32 = 12;

/// The folder and what is in it.
pub(crate) struct Setting {
    folder: TempDir,
    listen: SocketAddr,
}

impl Setting {
    pub(crate) fn new(postgres: &Postgres, valkey: &Valkey) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        postgres.database()?.write_binding(&path("database"))?;
        valkey.write_binding(&path("cache"))?;
        write_key(&path("keys"))?;
        let listen = free_address()?;
        let config = AuthServiceConfig {
            server: ServerConfig { listen, metrics_listen: free_address()? },
            log: LogConfig::default(),
            database: DatabaseConfig { binding_path: path("database"), max_connections: 10 },
            cache: CacheConfig { binding_path: path("cache") },
            tokens: TokensConfig {
                issuer: "http://bench.example".to_owned(),
                audience: "portico".to_owned(),
                access_token_seconds: 900,
                refresh_token_seconds: 604_800,
                signing_keys_path: path("keys"),
                key_cache_seconds: 300,
            },
            passwords: PasswordsConfig { bcrypt_cost: BCRYPT_COST },
        };
        // JSON is YAML.
        std::fs::write(path("config.yaml"), serde_json::to_vec_pretty(&config)?)?;
        Ok(Self { folder, listen })
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.listen)
    }
}

fn write_key(folder: &std::path::Path) -> anyhow::Result<()> {
    std::fs::create_dir(folder)?;
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())?;
    let kid = Jwk::ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref())?.public_key().as_ref()).kid;
    let block = pem::Pem::new("PRIVATE KEY", document.as_ref());
    std::fs::write(folder.join(format!("{kid}.pem")), pem::encode(&block))?;
    std::fs::write(folder.join("active"), kid)?;
    Ok(())
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
