//! The certificate that an engine serves, got without logging in.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::binding::{Binding, Kind};
use crate::engine::tls;

/// PostgreSQL's request for TLS: its length, and a number in the place of the protocol's version.
const POSTGRESQL_TLS: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// The length of `MySQL`'s request for TLS, and its number in the conversation.
const MYSQL_HEADER: [u8; 4] = [32, 0, 0, 1];
/// Protocol 4.1, TLS, and the authentication that goes with them.
const MYSQL_CAPABILITIES: u32 = 0x0000_0200 | 0x0000_0800 | 0x0000_8000;
/// utf8mb4.
const MYSQL_CHARACTERS: u8 = 45;

/// The certificate as DER in base64, checked as any client would. Blocks.
pub(crate) fn served(binding: &Binding, timeout: Duration) -> anyhow::Result<String> {
    let mut addresses = (binding.host.as_str(), binding.port).to_socket_addrs()?;
    let address = addresses.next().with_context(|| format!("{} has no address", binding.host))?;
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    match binding.kind {
        Kind::PostgreSql => ask_postgresql(&mut stream)?,
        Kind::MySql => ask_mysql(&mut stream)?,
        Kind::Redis | Kind::RabbitMq | Kind::S3 | Kind::DynamoDb => {}
    }
    let config = tls::config(binding.ca.as_deref())?;
    let mut connection = ClientConnection::new(Arc::new(config), ServerName::try_from(binding.host.clone())?)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).context("the handshake")?;
    }
    let certificates = connection.peer_certificates().unwrap_or_default();
    let first = certificates.first().context("the engine served no certificate")?;
    Ok(BASE64_STANDARD.encode(first))
}

fn ask_postgresql(stream: &mut (impl Read + Write)) -> anyhow::Result<()> {
    stream.write_all(&POSTGRESQL_TLS)?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    ensure!(&answer == b"S", "the engine does not speak TLS");
    Ok(())
}

fn ask_mysql(stream: &mut (impl Read + Write)) -> anyhow::Result<()> {
    let mut header = [0; 4];
    stream.read_exact(&mut header)?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let mut greeting = vec![0; usize::try_from(length)?];
    stream.read_exact(&mut greeting)?;
    stream.write_all(&mysql_request())?;
    Ok(())
}

/// Capabilities, the longest packet, the characters, and 23 bytes that mean nothing.
fn mysql_request() -> Vec<u8> {
    let mut request = MYSQL_HEADER.to_vec();
    request.extend(MYSQL_CAPABILITIES.to_le_bytes());
    request.extend((1u32 << 24).to_le_bytes());
    request.push(MYSQL_CHARACTERS);
    request.resize(MYSQL_HEADER.len() + usize::from(MYSQL_HEADER[0]), 0);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_tls_have_the_length_that_they_say() {
        assert_eq!(mysql_request().len(), 36);
        assert_eq!(usize::from(POSTGRESQL_TLS[3]), POSTGRESQL_TLS.len());
    }
}
