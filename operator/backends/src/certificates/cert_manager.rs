//! Certificates that cert-manager issues: the one object that is asked of it. It keeps the Secret and renews it.

use std::borrow::Cow;
use std::net::IpAddr;

use k8s_openapi::NamespaceResourceScope;
use kube::core::ObjectMeta;
use portico_crds::common::instance::IssuerRef;
use portico_crds::common::labels::Identity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The API that has to be served.
pub const API_VERSION: &str = "cert-manager.io/v1";
/// The annotation by which cert-manager marks the Secrets that it keeps.
pub const NAME_ANNOTATION: &str = "cert-manager.io/certificate-name";

const GROUP: &str = "cert-manager.io";
/// Ninety days, as ours.
const DURATION: &str = "2160h0m0s";
/// At two thirds, as ours.
const RENEW_BEFORE: &str = "720h0m0s";

/// cert-manager's `Certificate`: the fields that we set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CertificateOrder {
    /// Name and labels.
    pub metadata: ObjectMeta,
    /// What is asked for.
    #[serde(default)]
    pub spec: OrderSpec,
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderSpec {
    secret_name: String,
    secret_template: SecretTemplate,
    duration: String,
    renew_before: String,
    dns_names: Vec<String>,
    ip_addresses: Vec<String>,
    usages: Vec<String>,
    private_key: PrivateKey,
    issuer_ref: Issuer,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct SecretTemplate {
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrivateKey {
    algorithm: String,
    size: u16,
    rotation_policy: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Issuer {
    group: String,
    kind: String,
    name: String,
}

/// The order for an instance: it and its Secret have the same name. The Secret gets the labels of the instance's other
/// objects, so that the operator may take it over when the issuer is taken out of the spec.
pub fn order(name: &str, names: &[String], issuer: &IssuerRef, identity: Identity<'_>) -> CertificateOrder {
    let (addresses, hosts): (Vec<String>, Vec<String>) =
        names.iter().cloned().partition(|name| name.parse::<IpAddr>().is_ok());
    CertificateOrder {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(identity.labels()), ..ObjectMeta::default() },
        spec: OrderSpec {
            secret_name: name.to_owned(),
            secret_template: SecretTemplate { labels: identity.labels() },
            duration: DURATION.to_owned(),
            renew_before: RENEW_BEFORE.to_owned(),
            dns_names: hosts,
            ip_addresses: addresses,
            usages: vec!["digital signature".to_owned(), "server auth".to_owned()],
            private_key: PrivateKey { algorithm: "ECDSA".to_owned(), size: 256, rotation_policy: "Always".to_owned() },
            issuer_ref: Issuer {
                group: GROUP.to_owned(),
                kind: issuer.kind.unwrap_or_default().as_str().to_owned(),
                name: issuer.name.clone(),
            },
        },
    }
}

impl kube::Resource for CertificateOrder {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Certificate".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "certificates".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
