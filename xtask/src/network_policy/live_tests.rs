//! The semantics of `NetworkPolicy` case by case: policies as a user writes them, compiled, loaded into a real
//! nftables, and every pair of pods tried on every port.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde::de::DeserializeOwned;

use super::test_network::{TestNetwork, carries};
use super::{compile, convert};

/// Two pods of one namespace, and one of another that looks like the first. The port `http` is another one on each.
const PODS: &str = include_str!("testdata/pods.yaml");
const NAMESPACES: &str = include_str!("testdata/namespaces.yaml");
const CASES: &str = include_str!("testdata/cases.yaml");

const NAMES: [&str; 3] = ["web", "db", "ops"];
const ADDRESSES: [Ipv4Addr; 3] = [Ipv4Addr::new(10, 1, 0, 2), Ipv4Addr::new(10, 1, 0, 3), Ipv4Addr::new(10, 1, 0, 4)];
const TCP: [u16; 3] = [80, 81, 82];
const UDP: [u16; 1] = [53];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// The specifications of policies in the namespace `shop`.
    policies: Vec<serde_json::Value>,
    /// Connections that are refused, as `from>to:port` with `*` for any.
    refused: Vec<String>,
    /// Those of them that pass nevertheless.
    #[serde(default)]
    except: Vec<String>,
}

impl Case {
    fn expects(&self, from: &str, to: &str, port: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, from, to, port));
        !any(&self.refused) || any(&self.except)
    }

    fn ruleset(&self) -> String {
        let policy = |(number, spec): (usize, &serde_json::Value)| {
            let metadata = serde_json::json!({ "name": format!("policy-{number}"), "namespace": "shop" });
            let object = serde_json::json!({ "metadata": metadata, "spec": spec });
            Box::new(serde_json::from_value::<NetworkPolicy>(object).unwrap())
        };
        let policies: Vec<Box<NetworkPolicy>> = self.policies.iter().enumerate().map(policy).collect();
        let (pods, namespaces): (Vec<Box<Pod>>, Vec<Box<Namespace>>) = (list(PODS), list(NAMESPACES));
        compile::compile(&convert::world(&pods, &namespaces, &policies))
    }
}

fn list<T: DeserializeOwned>(yaml: &str) -> Vec<T> {
    serde_saphyr::from_str(yaml).unwrap()
}

fn matches(pattern: &str, from: &str, to: &str, port: &str) -> bool {
    let (wanted_from, rest) = pattern.split_once('>').unwrap();
    let (wanted_to, wanted_port) = rest.split_once(':').unwrap();
    [(wanted_from, from), (wanted_to, to), (wanted_port, port)]
        .iter()
        .all(|(wanted, got)| *wanted == "*" || wanted == got)
}

fn network() -> TestNetwork {
    TestNetwork::new(&ADDRESSES, &TCP, &UDP)
}

#[test]
fn every_case_refuses_what_it_should_and_nothing_else() {
    let network = network();
    let cases: Vec<Case> = list(CASES);
    assert!(cases.len() > 20, "the table of cases was not read");
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for case in &cases {
        network.load(&case.ruleset()).unwrap_or_else(|error| panic!("{}: {error:#}\n{}", case.name, case.ruleset()));
        let pairs = (0..NAMES.len()).flat_map(|from| (0..NAMES.len()).map(move |to| (from, to)));
        for (from, to) in pairs.filter(|(from, to)| from != to) {
            let mut check = |port: String, passes: bool| {
                let expected = case.expects(NAMES[from], NAMES[to], &port);
                if passes != expected {
                    let verdict = if passes { "passes" } else { "is refused" };
                    wrong
                        .entry(case.name.clone())
                        .or_default()
                        .push(format!("{}>{}:{port} {verdict}", NAMES[from], NAMES[to]));
                }
            };
            for port in TCP {
                check(port.to_string(), network.tcp(from, to, port));
            }
            for port in UDP {
                check(format!("{port}/udp"), network.udp(from, to, port));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_open_connection_outlives_a_policy_that_forbids_new_ones() {
    let network = network();
    // As on the node, where a table is there from the start: connections are only known since the first rule about
    // them.
    network.load(&empty_case().ruleset()).unwrap();
    let (mut near, mut far) = network.open(0, 1, 80);
    let deny = Case { policies: vec![serde_json::json!({ "policyTypes": ["Ingress"] })], ..empty_case() };
    network.load(&deny.ruleset()).unwrap();
    assert!(!network.tcp(0, 1, 80), "a new connection passes");
    assert!(carries(&mut near, &mut far), "the open connection is cut");
}

#[test]
fn rules_go_with_the_policy_and_a_bad_ruleset_changes_nothing() {
    let network = network();
    let deny = Case { policies: vec![serde_json::json!({ "policyTypes": ["Ingress"] })], ..empty_case() };
    network.load(&deny.ruleset()).unwrap();
    let broken = deny.ruleset().replace("policy accept;", "policy perhaps;");
    let error = network.load(&broken).unwrap_err().to_string();
    assert!(error.contains("in: type filter hook forward"), "{error}");
    assert!(!network.tcp(0, 1, 80), "the rules before are gone");
    network.load(&empty_case().ruleset()).unwrap();
    assert!(network.tcp(0, 1, 80), "the rules outlive their policy");
}

#[test]
fn the_text_for_a_typical_world() {
    let cases: Vec<Case> = list(CASES);
    let typical = cases.iter().find(|case| case.name.starts_with("everything at once")).unwrap();
    insta::assert_snapshot!(typical.ruleset());
}

fn empty_case() -> Case {
    Case { name: String::new(), policies: Vec::new(), refused: Vec::new(), except: Vec::new() }
}
