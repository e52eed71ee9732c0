//! Engines that somebody else runs: the user's Secret becomes the one shape that consumers read.

use k8s_openapi::ByteString;
use portico_crds::common::names::EngineName;
use portico_crds::common::{labels::Identity, names::InstanceName};
use portico_operator_core::Desired;
use std::collections::BTreeMap;

use crate::binding::{Binding, InvalidBinding};
use crate::builtin;

/// Reads the Secret that the user named.
///
/// # Errors
/// [`InvalidBinding`] names the key that is missing or cannot be used.
pub fn read(engine: EngineName, data: &BTreeMap<String, ByteString>) -> Result<Binding, InvalidBinding> {
    Binding::read(engine, data)
}

/// The objects of an external instance: its binding, nothing else.
pub fn objects(name: &InstanceName, identity: Identity<'_>, binding: &Binding) -> Desired {
    let mut desired = Desired::new();
    desired.push(binding.secret(name.binding(), identity));
    desired
}

/// A service of Amazon that consumers use as who their service account is: there is nothing secret to publish.
pub fn workload_identity(engine: EngineName, region: &str) -> Binding {
    let public = builtin::engine(engine).shape().public_host;
    Binding {
        engine,
        provider: "aws".to_owned(),
        host: public.map(|host| host(region)).unwrap_or_default(),
        port: 443,
        username: String::new(),
        password: String::new(),
        space: None,
        region: Some(region.to_owned()),
        tls: true,
        ca: None,
        sslmode: None,
    }
}
