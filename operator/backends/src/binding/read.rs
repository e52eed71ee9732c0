//! Reads a Secret that somebody wrote, with words for what is wrong. Values are never repeated.

use k8s_openapi::ByteString;
use portico_crds::common::names::EngineName;
use std::collections::BTreeMap;

use super::shape::Identity;
use super::{Binding, InvalidBinding};
use crate::builtin;

const MISSING: &str = "is missing or empty";
const SSL_MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];

/// The entries of a Secret.
pub(super) struct Entries<'a>(pub(super) &'a BTreeMap<String, ByteString>);

/// Where the engine listens.
struct Address {
    host: String,
    port: u16,
    tls: bool,
}

impl Entries<'_> {
    pub(super) fn binding(&self, engine: EngineName) -> Result<Binding, InvalidBinding> {
        let shape = builtin::engine(engine).shape();
        self.check_type(shape.type_, shape.also)?;
        let ca = self.certificates()?;
        let region = self.optional("region")?;
        let address = match shape.identity {
            Identity::Password => self.address(ca.is_some())?,
            Identity::AccessKey => self.endpoint(region.as_deref(), shape.public_host)?,
        };
        let (user, secret) = match shape.identity {
            Identity::Password => ("username", "password"),
            Identity::AccessKey => ("access-key-id", "secret-access-key"),
        };
        let space = match shape.space {
            Some(entry) if entry.required => Some(self.required(entry.key)?),
            Some(entry) => self.optional(entry.key)?,
            None => None,
        };
        Ok(Binding {
            engine,
            provider: self.optional("provider")?.unwrap_or_else(|| "external".to_owned()),
            host: address.host,
            port: address.port,
            username: self.required(user)?,
            password: self.required(secret)?,
            space,
            region,
            tls: address.tls,
            ca,
            sslmode: if shape.sslmode { self.ssl_mode()? } else { None },
        })
    }

    /// The text of a key without a trailing line break (files that became Secrets often have one).
    pub(super) fn optional(&self, key: &'static str) -> Result<Option<String>, InvalidBinding> {
        let Some(bytes) = self.0.get(key) else { return Ok(None) };
        let text = std::str::from_utf8(&bytes.0).map_err(|_| invalid(key, "is not UTF-8 text"))?;
        let text = text.trim_end_matches(['\r', '\n']);
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    pub(super) fn required(&self, key: &'static str) -> Result<String, InvalidBinding> {
        let text = self.optional(key)?.ok_or_else(|| invalid(key, MISSING))?;
        if text.contains(char::is_control) { Err(invalid(key, "holds control characters")) } else { Ok(text) }
    }

    fn check_type(&self, type_: &str, also: &[&str]) -> Result<(), InvalidBinding> {
        match self.optional("type")? {
            Some(given) if given != type_ && !also.contains(&given.as_str()) => {
                let accepted: Vec<_> = std::iter::once(type_).chain(also.iter().copied()).collect();
                Err(invalid("type", format!("must be {} or left out", accepted.join(" or "))))
            }
            _ => Ok(()),
        }
    }

    fn address(&self, has_ca: bool) -> Result<Address, InvalidBinding> {
        let tls = match self.optional("tls")?.as_deref() {
            None => has_ca,
            Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(invalid("tls", "must be true or false")),
        };
        Ok(Address { host: self.host("host")?, port: self.port()?, tls })
    }

    /// `endpoint` as a URL, or `host` and `port`, or the public service of the region.
    fn endpoint(&self, region: Option<&str>, public: Option<fn(&str) -> String>) -> Result<Address, InvalidBinding> {
        if let Some(url) = self.optional("endpoint")? {
            return url_address(&url)
                .ok_or_else(|| invalid("endpoint", "must be a URL such as https://s3.example.org"));
        }
        match (region, public) {
            (Some(region), Some(public)) if !self.0.contains_key("host") => {
                Ok(Address { host: public(region), port: 443, tls: true })
            }
            _ => self.address(self.0.contains_key("ca.crt")),
        }
    }

    fn host(&self, key: &'static str) -> Result<String, InvalidBinding> {
        let host = self.required(key)?;
        if is_host(&host) {
            Ok(host)
        } else {
            Err(invalid(key, "must be a DNS name or an address, without scheme and port"))
        }
    }

    fn port(&self) -> Result<u16, InvalidBinding> {
        match self.required("port")?.parse() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(invalid("port", "must be a number from 1 to 65535")),
        }
    }

    fn certificates(&self) -> Result<Option<String>, InvalidBinding> {
        match self.optional("ca.crt")? {
            Some(text) if !text.contains("-----BEGIN CERTIFICATE-----") => {
                Err(invalid("ca.crt", "must hold certificates in PEM form"))
            }
            other => Ok(other),
        }
    }

    fn ssl_mode(&self) -> Result<Option<String>, InvalidBinding> {
        match self.optional("sslmode")? {
            Some(mode) if !SSL_MODES.contains(&mode.as_str()) => {
                Err(invalid("sslmode", format!("must be one of {}", SSL_MODES.join(", "))))
            }
            other => Ok(other),
        }
    }
}

fn is_host(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    !host.is_empty() && host.len() <= 253 && host.chars().all(plain)
}

fn url_address(url: &str) -> Option<Address> {
    let (tls, rest) = match url.split_once("://")? {
        ("https", rest) => (true, rest),
        ("http", rest) => (false, rest),
        _ => return None,
    };
    let authority = rest.trim_end_matches('/');
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, if tls { 443 } else { 80 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    is_host(host).then(|| Address { host: host.to_owned(), port, tls })
}

fn invalid(key: &'static str, problem: impl Into<String>) -> InvalidBinding {
    InvalidBinding { key, problem: problem.into() }
}
