//! What the tests of all instance kinds share: inputs as they are read, and the objects that are built from them.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use portico_crds::common::names::InstanceName;
use portico_operator_backends::builtin::{self, node};
use portico_operator_backends::certificates::authority::Authority;
use portico_operator_backends::certificates::leaf::{Found, Leaf};
use portico_operator_backends::certificates::{Facts, default_overlap};
use serde_json::Value;

use super::InstanceKind;
use super::build;
use super::certificate::Certificate;
use super::inputs::Inputs;
use super::validate::{Invalid, ValidInstance, validate};
use crate::testing::{by_name, data, fixture, platform};

/// The time of all tests.
pub(crate) fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn name<K: InstanceKind>(object: &K) -> InstanceName {
    InstanceName::new(&object.name_any(), object.engine()).unwrap()
}

fn passwords<K: InstanceKind>(object: &K) -> Vec<(&'static str, String)> {
    let all = builtin::engine(object.engine()).passwords().iter();
    all.map(|password| (password.key, format!("value-of-{}", password.key))).collect()
}

/// A new certificate.
pub(crate) fn certificate<K: InstanceKind>(object: &K) -> Certificate {
    if !builtin::engine(object.engine()).tls() {
        return Certificate::None;
    }
    let authority = Authority::new("shop", now()).unwrap();
    let facts = Facts { now: now(), request: "", overlap: default_overlap() };
    let names = node::certificate_names(&name(object), "shop");
    let leaf = Leaf::plan(&Found::default(), &authority, &names, facts).unwrap();
    Certificate::Own { leaf: Box::new(leaf), authority_due: authority.due(Duration::ZERO) }
}

/// The first reconcile: nothing is there.
pub(crate) fn nothing<K: InstanceKind>(yaml: &str) -> Inputs {
    let object: K = fixture(yaml);
    Inputs { fresh: passwords(&object).into_iter().collect(), certificate: certificate(&object), ..Inputs::default() }
}

/// The second reconcile: the passwords are there.
pub(crate) fn later<K: InstanceKind>(yaml: &str) -> Inputs {
    let object: K = fixture(yaml);
    let passwords = passwords(&object);
    let entries: Vec<_> = passwords.iter().map(|(key, value)| (*key, value.as_str())).collect();
    Inputs { credentials: Some(data(&entries)), certificate: certificate(&object), ..Inputs::default() }
}

pub(crate) fn validated<K: InstanceKind>(yaml: &str, inputs: &Inputs) -> Result<ValidInstance, Invalid> {
    let object: K = fixture(yaml);
    let name = name(&object);
    validate(&platform(), &object, name, inputs)
}

pub(crate) fn built<K: InstanceKind>(yaml: &str, inputs: &Inputs) -> String {
    build::build(&validated::<K>(yaml, inputs).unwrap()).to_yaml()
}

/// The objects for a snapshot: without the engine's own files, which have tests of their own, and what follows from
/// them.
pub(crate) fn shown<K: InstanceKind>(yaml: &str, inputs: &Inputs) -> String {
    let yaml = built::<K>(yaml, inputs);
    let documents = yaml.split("---\n").filter(|document| !document.is_empty());
    let documents: Vec<String> = documents
        .map(|document| {
            let (comment, body) = document.split_once('\n').unwrap();
            let mut value: Value = serde_saphyr::from_str(body).unwrap();
            if value["kind"] == "ConfigMap" {
                value["data"].as_object_mut().unwrap().values_mut().for_each(|text| *text = "(text)".into());
            }
            if let Some(hash) = value.pointer_mut("/spec/template/metadata/annotations/portico.dev~1config-hash") {
                *hash = "(hash)".into();
            }
            format!("---\n{comment}\n{}", serde_saphyr::to_string(&value).unwrap())
        })
        .collect();
    documents.concat()
}

/// The template of the pods of a set.
pub(crate) fn template<K: InstanceKind>(yaml: &str, inputs: &Inputs) -> Value {
    let object: K = fixture(yaml);
    by_name(&built::<K>(yaml, inputs))[&format!("StatefulSet/{}", name(&object).workload())]["spec"]["template"].clone()
}
