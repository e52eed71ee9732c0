//! Both ends of every edge: who may go somewhere is let in there, and nobody else is, either way.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer};
use portico_crds::common::names::EngineName;
use portico_crds::{AuthService, CacheInstance, DatabaseInstance};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::network;
use crate::auth_service::build;
use crate::auth_service::inputs::Inputs;
use crate::auth_service::testing::{nothing, used};
use crate::auth_service::validate::validate;
use crate::graph::observe::Observed;
use crate::instance::testing::built;
use crate::testing::{binding, by_name, fixture, platform};

type Labels = BTreeMap<String, String>;

/// A group of pods: their labels, and what their policy says.
struct Pods {
    labels: Labels,
    policy: NetworkPolicy,
}

impl Pods {
    fn new(objects: &BTreeMap<String, Value>, workload: &str, policy: &str) -> Self {
        let object = &objects[workload];
        let labels = serde_json::from_value(object["spec"]["template"]["metadata"]["labels"].clone()).unwrap();
        Self { labels, policy: serde_json::from_value(objects[policy].clone()).unwrap() }
    }

    /// Whether a connection to the port of an engine would be let out here and in there.
    fn reaches(&self, other: &Self, port: i32) -> (bool, bool) {
        let spec = |pods: &Self| pods.policy.spec.clone().unwrap();
        let on_port = |ports: &Option<Vec<_>>| {
            ports.iter().flatten().any(|one: &k8s_openapi::api::networking::v1::NetworkPolicyPort| {
                serde_json::to_value(&one.port).unwrap() == json!(port)
            })
        };
        let out = spec(self)
            .egress
            .into_iter()
            .flatten()
            .any(|rule| on_port(&rule.ports) && rule.to.iter().flatten().any(|peer| selects(peer, &other.labels)));
        let in_ = spec(other)
            .ingress
            .into_iter()
            .flatten()
            .any(|rule| on_port(&rule.ports) && rule.from.iter().flatten().any(|peer| selects(peer, &self.labels)));
        (out, in_)
    }
}

/// Whether pods of the same namespace with these labels are meant.
fn selects(peer: &NetworkPolicyPeer, labels: &Labels) -> bool {
    let Some(selector) = peer.pod_selector.as_ref().filter(|_| peer.namespace_selector.is_none()) else { return false };
    selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
}

fn instance(kind: &str, engine: &str, name: &str) -> Pods {
    let yaml = format!(
        "{{apiVersion: portico.dev/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {{engine: {engine}}}}}"
    );
    let nothing = crate::instance::testing::nothing::<DatabaseInstance>;
    let objects = if kind == "DatabaseInstance" {
        built::<DatabaseInstance>(&yaml, &nothing(&yaml))
    } else {
        built::<CacheInstance>(&yaml, &crate::instance::testing::nothing::<CacheInstance>(&yaml))
    };
    let workload = format!("{name}-{}", if kind == "DatabaseInstance" { "postgresql" } else { "valkey" });
    Pods::new(&by_name(&objects), &format!("StatefulSet/{workload}"), &format!("NetworkPolicy/{workload}"))
}

/// Where a service finds what it needs.
#[derive(Clone, Debug)]
enum Source {
    Managed,
    Declared(&'static str),
    External(&'static str),
    Secret,
}

impl Source {
    fn spec(&self) -> Value {
        match self {
            Self::Managed => json!({"managed": {}}),
            Self::Declared(name) | Self::External(name) => json!({"instanceRef": {"name": name}}),
            Self::Secret => json!({"secretRef": {"name": "theirs"}}),
        }
    }

    fn observed(&self, engine: EngineName) -> Observed {
        match self {
            Self::Managed | Self::Declared(_) => used(engine, "Builtin", "h.shop.svc", port_of(engine)),
            Self::External(_) => used(engine, "External", "db.example", port_of(engine)),
            Self::Secret => Observed { secret: Some(binding("10.1.2.3", port_of(engine), "p")), ..Observed::default() },
        }
    }

    /// The instance whose pods are used.
    fn end(&self, own: &'static str) -> Option<&'static str> {
        match self {
            Self::Managed => Some(own),
            Self::Declared(name) => Some(name),
            Self::External(_) | Self::Secret => None,
        }
    }
}

fn port_of(engine: EngineName) -> &'static str {
    if engine == EngineName::PostgreSql { "5432" } else { "6379" }
}

fn sources() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Managed),
        prop::sample::select(vec!["ledger", "archive"]).prop_map(Source::Declared),
        Just(Source::External("archive")),
        Just(Source::Secret),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_edge_has_both_ends_and_there_is_nothing_else(database in sources(), cache in sources()) {
        let object = json!({"apiVersion": "portico.dev/v1alpha1", "kind": "AuthService",
            "metadata": {"name": "members"}, "spec": {"database": database.spec(), "cache": cache.spec()}});
        let object: AuthService = fixture(&object.to_string());
        let inputs = Inputs {
            database: database.observed(EngineName::PostgreSql),
            cache: cache.observed(EngineName::Valkey),
            ..nothing()
        };
        let valid = validate(&platform(), &object, &inputs).unwrap();
        let service = by_name(&build::build(&valid).to_yaml());
        let service = Pods::new(&service, "Deployment/members", "NetworkPolicy/members");

        let ends = [database.end("members-db"), cache.end("members-cache")].into_iter().flatten().count();
        let labels = network::labels(valid.note.all());
        prop_assert_eq!(labels.len(), ends);
        prop_assert!(labels.iter().all(|(key, value)| service.labels.get(key) == Some(value)));
        for (kind, engine, names, end, port) in [
            ("DatabaseInstance", "PostgreSQL", ["members-db", "ledger", "archive"], database.end("members-db"), 5432),
            ("CacheInstance", "Valkey", ["members-cache", "ledger", "archive"], cache.end("members-cache"), 6379),
        ] {
            for name in names {
                let pods = instance(kind, engine, name);
                let wanted = end == Some(name);
                prop_assert_eq!(service.reaches(&pods, port), (wanted, wanted), "{} {}", kind, name);
                prop_assert_eq!(pods.reaches(&service, 8080).0, false, "engines call nobody");
            }
        }
    }
}
