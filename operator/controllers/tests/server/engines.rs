//! Engines in memory: they know users, and serve the certificates that the kubelet has brought them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use portico_operator_admin::{
    AdminError, AdminPort, Administration, CertificateProbe, Endpoint, Login, Space, TlsServer,
};
use portico_operator_controllers::Reach;

use crate::world::Said;

/// All engines, by host name. Clones are the same engines.
#[derive(Clone, Default)]
pub(crate) struct Engines(Arc<All>);

#[derive(Default)]
struct All {
    /// Passwords by host and user.
    users: Mutex<BTreeMap<(String, String), String>>,
    /// Fingerprints by host.
    serving: Mutex<BTreeMap<String, String>>,
    handshakes: AtomicUsize,
    reloads: AtomicUsize,
}

impl Engines {
    /// From now on the engine serves that certificate.
    pub(crate) fn serve(&self, host: &str, fingerprint: &str) {
        self.0.serving.lock().unwrap().insert(host.to_owned(), fingerprint.to_owned());
    }

    /// How often engines were asked for their certificate.
    pub(crate) fn handshakes(&self) -> usize {
        self.0.handshakes.load(Ordering::SeqCst)
    }

    /// How often engines were told to read theirs again.
    pub(crate) fn reloads(&self) -> usize {
        self.0.reloads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl CertificateProbe for Engines {
    async fn served(&self, server: &TlsServer) -> Result<String, AdminError> {
        self.0.handshakes.fetch_add(1, Ordering::SeqCst);
        let serving = self.0.serving.lock().unwrap();
        serving.get(&server.host).cloned().ok_or_else(|| AdminError::Unreachable("nobody listens".to_owned()))
    }
}

impl Administration for Engines {
    fn port(&self, endpoint: Endpoint) -> Box<dyn AdminPort> {
        Box::new(Engine { all: Arc::clone(&self.0), host: endpoint.host })
    }
}

/// How an operator reaches what the test plays.
pub(crate) fn reach(said: &Said, engines: &Engines) -> Reach {
    Reach {
        probe: Arc::new(said.clone()),
        administration: Arc::new(engines.clone()),
        certificates: Arc::new(engines.clone()),
    }
}

struct Engine {
    all: Arc<All>,
    host: String,
}

impl Engine {
    fn key(&self, username: &str) -> (String, String) {
        (self.host.clone(), username.to_owned())
    }
}

#[async_trait]
impl AdminPort for Engine {
    async fn ensure_space(&self, _: &Space) -> Result<(), AdminError> {
        Ok(())
    }

    async fn ensure_login(&self, _: &Space, login: &Login) -> Result<(), AdminError> {
        self.all.users.lock().unwrap().insert(self.key(&login.username), login.password.to_string());
        Ok(())
    }

    async fn verify(&self, _: &Space, login: &Login) -> Result<(), AdminError> {
        match self.all.users.lock().unwrap().get(&self.key(&login.username)) {
            Some(password) if *password == *login.password => Ok(()),
            _ => Err(AdminError::Refused("wrong password".to_owned())),
        }
    }

    async fn sessions(&self, _: &str) -> Result<Option<u64>, AdminError> {
        Ok(Some(0))
    }

    async fn revoke(&self, _: &Space, username: &str) -> Result<(), AdminError> {
        self.all.users.lock().unwrap().remove(&self.key(username));
        Ok(())
    }

    async fn drop_space(&self, _: &Space) -> Result<(), AdminError> {
        Ok(())
    }

    async fn reload_certificate(&self) -> Result<(), AdminError> {
        self.all.reloads.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}
