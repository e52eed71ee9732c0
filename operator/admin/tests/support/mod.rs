//! What the tests of engines with passwords share: how a server that the operator's script has started is administered.

use portico_crds::common::names::EngineName;
use portico_operator_admin::{Endpoint, Login, Space};
use portico_test_servers::managed::Managed;

/// The server's admin port.
pub(crate) fn endpoint(engine: EngineName, server: &Managed) -> Endpoint {
    Endpoint {
        engine,
        host: server.host(),
        port: server.port(),
        consumer_port: server.port(),
        username: "portico_admin".to_owned(),
        password: server.password("admin-password").unwrap().into(),
        ca: Some(server.ca().to_owned()),
        replicas: Vec::new(),
    }
}

/// A space of that name.
pub(crate) fn space(name: &str) -> Space {
    Space { name: name.to_owned(), ..Space::default() }
}

/// A login of that name.
pub(crate) fn login(name: &str) -> Login {
    Login { username: name.to_owned(), password: format!("password-of-{name}").into() }
}
