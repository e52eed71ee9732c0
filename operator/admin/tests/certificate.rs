//! Certificates that real engines are shown to serve, before and after a renewal, by the scripts of their pods.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use aws_lc_rs::digest;
use portico_crds::common::names::EngineName;
use portico_operator_admin::{AdminError, CertificateProbe as _, Handshake, TlsServer};
use portico_test_servers::managed::Managed;
use portico_test_servers::mariadb::MariaDb;
use portico_test_servers::postgres::Postgres;
use portico_test_servers::rabbitmq::RabbitMq;
use portico_test_servers::valkey::Valkey;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

fn fingerprint(pem: &str) -> String {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let digest = digest::digest(&digest::SHA256, &certificate);
    let bytes: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.concat()
}

fn server(engine: EngineName, host: String, port: u16, ca: &str) -> TlsServer {
    TlsServer { engine, name: host.clone(), host, port, ca: ca.to_owned() }
}

/// The readiness probe of the pod is what tells the engine; connections are not ended by it.
async fn follows_its_readiness_probe(pod: &Managed, engine: EngineName) {
    let server = server(engine, pod.host(), pod.port(), pod.ca());
    let before = Handshake.served(&server).await.unwrap();
    let renewed = fingerprint(&pod.renew_certificate().unwrap());
    assert_ne!(before, renewed);
    // Some engines need a moment to read their files again after they were told.
    let mut shown = before.clone();
    for _ in 0..100 {
        assert!(pod.ready().unwrap(), "{engine:?}: {}", pod.tail());
        shown = Handshake.served(&server).await.unwrap();
        if shown != before {
            break;
        }
    }
    assert_eq!(shown, renewed, "{engine:?}");
    let elsewhere = TlsServer { name: "other.example".into(), ..server };
    assert!(matches!(Handshake.served(&elsewhere).await, Err(AdminError::Tls(_))));
}

#[tokio::test]
async fn postgresql_serves_a_renewed_certificate() {
    follows_its_readiness_probe(&Postgres::start_managed().await.unwrap(), EngineName::PostgreSql).await;
}

#[tokio::test]
async fn mariadb_serves_a_renewed_certificate() {
    follows_its_readiness_probe(MariaDb::start().await.unwrap().pod(), EngineName::MariaDb).await;
}

#[tokio::test]
async fn valkey_serves_a_renewed_certificate() {
    follows_its_readiness_probe(&Valkey::start_managed().await.unwrap(), EngineName::Valkey).await;
}

#[tokio::test]
async fn rabbitmq_serves_a_renewed_certificate() {
    let broker = RabbitMq::start().await.unwrap();
    let server = server(EngineName::RabbitMq, broker.host(), broker.port(), broker.ca());
    let before = Handshake.served(&server).await.unwrap();
    let renewed = fingerprint(&broker.renew_certificate().unwrap());
    assert_ne!(before, renewed);
    assert_eq!(Handshake.served(&server).await.unwrap(), renewed);
}
