//! Which certificate an engine serves: asked by a handshake, because neither the files in the pod nor the engine's word
//! says what a client is shown.
//!
//! Logs in nowhere and sends nothing after the handshake.

use std::fmt::Write as _;
use std::net::IpAddr;

use async_trait::async_trait;
use aws_lc_rs::digest;
use portico_crds::common::names::EngineName;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{bounded, chain};
use crate::{AdminError, tls};

/// A server to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServer {
    /// What speaks there: some engines want to be asked for TLS first.
    pub engine: EngineName,
    /// Host name or address that is connected to.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The name that the certificate has to be for.
    pub name: String,
    /// Certificates (PEM) that it is checked against.
    pub ca: String,
}

/// Asks engines for their certificates. A trait so that tests of the controllers need no engine.
#[async_trait]
pub trait CertificateProbe: Send + Sync {
    /// SHA-256 of the certificate that is served, in 64 hexadecimal digits of lower case.
    ///
    /// # Errors
    /// [`AdminError::Tls`] when it is not for that name, is over, or is signed by somebody else.
    async fn served(&self, server: &TlsServer) -> Result<String, AdminError>;
}

/// Asks over the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handshake;

#[async_trait]
impl CertificateProbe for Handshake {
    async fn served(&self, server: &TlsServer) -> Result<String, AdminError> {
        bounded(shake(server)).await
    }
}

async fn shake(server: &TlsServer) -> Result<String, AdminError> {
    let connector = TlsConnector::from(tls::client_config(&server.ca)?);
    let name = match server.name.parse::<IpAddr>() {
        Ok(address) => ServerName::from(address),
        Err(_) => ServerName::try_from(server.name.clone())
            .map_err(|_| AdminError::Tls(format!("{:?} is not a host name", server.name)))?,
    };
    let mut stream = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(|error| broken(&error))?;
    ask_for_tls(server.engine, &mut stream).await?;
    let mut stream = connector.connect(name, stream).await.map_err(|error| refused(&error))?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|served| fingerprint(served));
    // Some engines write a line in their log about a client that just goes.
    let _ = stream.shutdown().await;
    certificate.ok_or_else(|| AdminError::Tls("it serves no certificate".to_owned()))
}

fn fingerprint(certificate: &[u8]) -> String {
    digest::digest(&digest::SHA256, certificate).as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What comes before the handshake.
async fn ask_for_tls(engine: EngineName, stream: &mut TcpStream) -> Result<(), AdminError> {
    match engine {
        EngineName::PostgreSql => postgresql(stream).await,
        EngineName::MariaDb => mariadb(stream).await,
        EngineName::DynamoDb | EngineName::Valkey | EngineName::RabbitMq | EngineName::Garage => Ok(()),
    }
}

/// `SSLRequest` of the frontend/backend protocol: the length and a number that is no version.
const POSTGRESQL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

async fn postgresql(stream: &mut TcpStream) -> Result<(), AdminError> {
    stream.write_all(&POSTGRESQL_REQUEST).await.map_err(|error| broken(&error))?;
    match stream.read_u8().await.map_err(|error| broken(&error))? {
        b'S' => Ok(()),
        _ => Err(AdminError::Tls("it offers no TLS".to_owned())),
    }
}

/// The server's greeting is shorter.
const MOST_GREETING: u32 = 4096;
/// `SSLRequest`: 32 bytes, packet 1; protocol 4.1, TLS, authentication of 4.1; packets of 16 MiB; utf8mb4; filler.
const MARIADB_REQUEST: [u8; 36] = {
    let mut packet = [0; 36];
    packet[0] = 32;
    packet[3] = 1;
    // 0x8a00, lowest byte first.
    packet[5] = 0x8a;
    packet[11] = 1;
    packet[12] = 45;
    packet
};

async fn mariadb(stream: &mut TcpStream) -> Result<(), AdminError> {
    let header = stream.read_u32_le().await.map_err(|error| broken(&error))?;
    // Three bytes are the length, the fourth is the number of the packet.
    let length = header & 0x00ff_ffff;
    if length == 0 || length > MOST_GREETING {
        return Err(AdminError::Engine("its greeting is not MariaDB's".to_owned()));
    }
    let mut greeting = vec![0; usize::try_from(length).unwrap_or_default()];
    stream.read_exact(&mut greeting).await.map_err(|error| broken(&error))?;
    match greeting.first() {
        Some(10) => stream.write_all(&MARIADB_REQUEST).await.map_err(|error| broken(&error)),
        _ => Err(AdminError::Unreachable("it takes no connections now".to_owned())),
    }
}

fn broken(error: &std::io::Error) -> AdminError {
    AdminError::Unreachable(chain(error))
}

/// Tells a certificate that is wrong from a connection that broke.
fn refused(error: &std::io::Error) -> AdminError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => AdminError::Tls(chain(error)),
        None => broken(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use std::sync::Arc;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    struct Fixture {
        ca: String,
        fingerprint: String,
        acceptor: TlsAcceptor,
    }

    fn fixture(name: &str) -> Fixture {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        Fixture { ca, fingerprint: fingerprint(leaf.der()), acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    /// A server that says `greeting`, expects `request`, says `answer`, and then speaks TLS.
    async fn asked(
        fixture: &Fixture,
        engine: EngineName,
        greeting: &'static [u8],
        request: &'static [u8],
        answer: &'static [u8],
    ) -> Result<String, AdminError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = fixture.acceptor.clone();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting).await.unwrap();
            let mut read = vec![0; request.len()];
            stream.read_exact(&mut read).await.unwrap();
            assert_eq!(read, request);
            stream.write_all(answer).await.unwrap();
            let _ = acceptor.accept(stream).await;
        });
        let ca = fixture.ca.clone();
        let server = TlsServer { engine, host: "127.0.0.1".into(), port, name: "db.shop.svc".into(), ca };
        let shown = Handshake.served(&server).await;
        task.await.unwrap();
        shown
    }

    #[tokio::test]
    async fn each_engine_is_asked_in_its_own_way() {
        let fixture = fixture("db.shop.svc");
        let greeting = b"\x05\0\0\0\x0a11.8";
        let shown = [
            asked(&fixture, EngineName::Valkey, b"", b"", b"").await.unwrap(),
            asked(&fixture, EngineName::RabbitMq, b"", b"", b"").await.unwrap(),
            asked(&fixture, EngineName::PostgreSql, b"", &POSTGRESQL_REQUEST, b"S").await.unwrap(),
            asked(&fixture, EngineName::MariaDb, greeting, &MARIADB_REQUEST, b"").await.unwrap(),
        ];
        assert_eq!(shown, [(); 4].map(|()| fixture.fingerprint.clone()));
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_apart() {
        let other = fixture("other.shop.svc");
        let error = asked(&other, EngineName::Valkey, b"", b"", b"").await.unwrap_err();
        assert!(matches!(error, AdminError::Tls(_)), "{error}");
        let stranger = Fixture { ca: fixture("db.shop.svc").ca, ..fixture("db.shop.svc") };
        let error = asked(&stranger, EngineName::Valkey, b"", b"", b"").await.unwrap_err();
        assert!(matches!(error, AdminError::Tls(_)), "{error}");
        let error = asked(&other, EngineName::PostgreSql, b"", &POSTGRESQL_REQUEST, b"N").await.unwrap_err();
        assert_eq!(error, AdminError::Tls("it offers no TLS".into()));
        // MariaDB answers like this when all connections are taken.
        let error = asked(&other, EngineName::MariaDb, b"\x03\0\0\0\xff\x10\x04", b"", b"").await.unwrap_err();
        assert!(matches!(error, AdminError::Unreachable(_)), "{error}");
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let (host, name) = ("127.0.0.1".to_owned(), "db.shop.svc".to_owned());
        let server = TlsServer { engine: EngineName::Valkey, host, port: nobody, name, ca: other.ca };
        assert!(matches!(Handshake.served(&server).await, Err(AdminError::Unreachable(_))));
    }
}
