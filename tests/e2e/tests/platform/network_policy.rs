//! The semantics of network policies on this cluster, case by case: what ours build on must be true.
//!
//! Two namespaces with pods of two colours and a server. Ingress to the server, or egress from a red pod, is denied
//! first; then each case adds policies, is compared as a whole, and is taken away again, so that no case passes because
//! an earlier one is still in force.

use std::time::Duration;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use portico_e2e::probe::{Connection, PORTS, Probe};
use portico_e2e::{Outcome, TestNamespace, with_namespace};
use serde_json::{Value, json};

/// Until a change of policies is in force.
const FORCE: Duration = Duration::from_secs(20);
const ALL: [u16; 3] = [7001, 7002, 7003];

/// The pods: a server, and two colours in each namespace.
struct Stage {
    ns: TestNamespace,
    other: String,
    server: Probe,
    red: Probe,
    blue: Probe,
    far_red: Probe,
    far_blue: Probe,
}

/// Which ports are open to (or from) whom: blue, far red, far blue, and red itself for ingress or the server for egress.
#[derive(Clone, Copy)]
struct Open {
    near: &'static [u16],
    blue: &'static [u16],
    far_red: &'static [u16],
    far_blue: &'static [u16],
}

const NOTHING: Open = Open { near: &[], blue: &[], far_red: &[], far_blue: &[] };
const EVERYTHING: Open = Open { near: &ALL, blue: &ALL, far_red: &ALL, far_blue: &ALL };

/// A name, the rules that are added, each as a policy of its own, and what is open then.
type Case = (&'static str, Vec<Value>, Open);

impl Stage {
    async fn set(ns: &TestNamespace) -> anyhow::Result<Self> {
        let far = ns.sibling(&[("team", "far")]).await?;
        for (namespace, name, color) in [
            (ns, "server", "none"),
            (ns, "red", "red"),
            (ns, "blue", "blue"),
            (&far, "red", "red"),
            (&far, "blue", "blue"),
        ] {
            Probe::create(namespace, name, &[("color", color), ("role", name)]).await?;
        }
        Ok(Self {
            server: Probe::of(ns, "server").await?,
            red: Probe::of(ns, "red").await?,
            blue: Probe::of(ns, "blue").await?,
            far_red: Probe::of(&far, "red").await?,
            far_blue: Probe::of(&far, "blue").await?,
            other: far.name().to_owned(),
            ns: ns.clone(),
        })
    }

    /// Applies policies of one direction for the pods of one role.
    async fn apply(&self, role: &str, direction: &str, rules: Vec<Value>) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for (index, rule) in rules.into_iter().enumerate() {
            let name = format!("case-{index}");
            let field = direction.to_lowercase();
            let mut spec = json!({"podSelector": {"matchLabels": {"role": role}}, "policyTypes": [direction]});
            spec[field] = json!([rule]);
            self.ns.apply(policy(&name, &spec)).await?;
            names.push(name);
        }
        Ok(names)
    }

    /// Compares what reaches the server.
    async fn ingress(&self, open: Open) -> anyhow::Result<()> {
        let expect = async |probe: &Probe, ports| probe.expect(FORCE, &connections(&self.server, ports)).await;
        tokio::try_join!(
            expect(&self.red, open.near),
            expect(&self.blue, open.blue),
            expect(&self.far_red, open.far_red),
            expect(&self.far_blue, open.far_blue),
        )?;
        Ok(())
    }

    /// Compares what the red pod reaches.
    async fn egress(&self, open: Open) -> anyhow::Result<()> {
        let mut all = connections(&self.server, open.near);
        all.extend(connections(&self.blue, open.blue));
        all.extend(connections(&self.far_red, open.far_red));
        all.extend(connections(&self.far_blue, open.far_blue));
        self.red.expect(FORCE, &all).await
    }

    async fn remove(&self, names: &[String]) -> anyhow::Result<()> {
        for name in names {
            self.ns.delete::<NetworkPolicy>(name).await?;
        }
        Ok(())
    }
}

/// The range of one address.
fn only(probe: &Probe) -> String {
    format!("{}/32", probe.address())
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec})
}

fn connections(to: &Probe, open: &[u16]) -> Vec<Connection> {
    PORTS
        .iter()
        .map(|(_, port)| Connection {
            name: format!("{} {} port {port}", to.name(), to.address()),
            address: to.address().to_owned(),
            port: *port,
            open: open.contains(port),
        })
        .collect()
}

/// The cases in the words of one direction: `from` or `to`.
struct Cases<'a> {
    stage: &'a Stage,
    peers: &'static str,
}

impl Cases<'_> {
    fn all(&self) -> Vec<Case> {
        [self.pods(), self.namespaces(), self.addresses(), self.ports()].into_iter().flatten().collect()
    }

    /// A rule of these peers, for all ports.
    fn peers(&self, peers: &[Value]) -> Value {
        let mut rule = json!({});
        rule[self.peers] = peers.into();
        rule
    }

    /// A rule of these peers and ports.
    fn peers_at(&self, peers: &[Value], ports: &Value) -> Value {
        let mut rule = self.peers(peers);
        rule["ports"] = ports.clone();
        rule
    }

    fn pods(&self) -> Vec<Case> {
        let not_blue = json!({"matchExpressions": [{"key": "color", "operator": "NotIn", "values": ["blue"]}]});
        let not_blue = json!({"namespaceSelector": {}, "podSelector": not_blue});
        let two = vec![
            self.peers_at(&[color("blue")], &json!([{"port": 7001}])),
            self.peers_at(&[far()], &json!([{"port": 7002}])),
        ];
        let added = Open { blue: &[7001], far_red: &[7002], far_blue: &[7002], ..NOTHING };
        let every_pod = json!({"podSelector": {}});
        vec![
            ("pods of a label", vec![self.peers(&[color("blue")])], Open { blue: &ALL, ..NOTHING }),
            ("policies add up", two, added),
            ("empty pod selector", vec![self.peers(&[every_pod])], Open { near: &ALL, blue: &ALL, ..NOTHING }),
            ("an expression", vec![self.peers(&[not_blue])], Open { near: &ALL, far_red: &ALL, ..NOTHING }),
            ("no peers are all peers", vec![json!({})], EVERYTHING),
        ]
    }

    fn namespaces(&self) -> Vec<Case> {
        let mut far_and_red = far();
        far_and_red["podSelector"] = color("red")["podSelector"].clone();
        let named = json!({"matchLabels": {"kubernetes.io/metadata.name": self.stage.other}});
        let every = json!({"namespaceSelector": {}});
        let both = Open { far_red: &ALL, far_blue: &ALL, ..NOTHING };
        // The near peer of ingress is red, that of egress is the server, which has no colour.
        let near: &'static [u16] = if self.peers == "from" { &ALL } else { &[] };
        vec![
            ("namespaces of a label", vec![self.peers(&[far()])], both),
            ("a namespace by its name", vec![self.peers(&[json!({"namespaceSelector": named})])], both),
            ("namespace and pods together", vec![self.peers(&[far_and_red])], Open { far_red: &ALL, ..NOTHING }),
            ("namespace and pods apart", vec![self.peers(&[far(), color("red")])], Open { near, ..both }),
            ("empty namespace selector", vec![self.peers(&[every])], EVERYTHING),
        ]
    }

    fn addresses(&self) -> Vec<Case> {
        let (blue, far_red) = (only(&self.stage.blue), only(&self.stage.far_red));
        let all_but_far_red = || self.peers(&[json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": [far_red]}})]);
        let far_red_at = self.peers_at(&[json!({"ipBlock": {"cidr": far_red}})], &json!([{"port": 7003}]));
        vec![
            ("an address", vec![self.peers(&[json!({"ipBlock": {"cidr": blue}})])], Open { blue: &ALL, ..NOTHING }),
            ("all addresses except one", vec![all_but_far_red()], Open { far_red: &[], ..EVERYTHING }),
            ("an exception is no denial", vec![all_but_far_red(), far_red_at], Open { far_red: &[7003], ..EVERYTHING }),
        ]
    }

    fn ports(&self) -> Vec<Case> {
        let at = |ports: Value| vec![self.peers_at(&[color("blue")], &ports)];
        let several = self.peers_at(&[color("blue"), far()], &json!([{"port": 7001}, {"port": "third"}]));
        let two: &'static [u16] = &[7001, 7003];
        let range = json!([{"port": 7002, "endPort": 7010}]);
        let mixed = json!([{"port": 7001, "protocol": "UDP"}, {"port": 7002}]);
        vec![
            ("a port", at(json!([{"port": 7002}])), Open { blue: &[7002], ..NOTHING }),
            ("a named port", at(json!([{"port": "third"}])), Open { blue: &[7003], ..NOTHING }),
            ("a range of ports", at(range), Open { blue: &[7002, 7003], ..NOTHING }),
            ("several ports", vec![several], Open { blue: two, far_red: two, far_blue: two, ..NOTHING }),
            ("another protocol", at(mixed), Open { blue: &[7002], ..NOTHING }),
        ]
    }
}

fn color(name: &str) -> Value {
    json!({"podSelector": {"matchLabels": {"color": name}}})
}

fn far() -> Value {
    json!({"namespaceSelector": {"matchLabels": {"team": "far"}}})
}

#[tokio::test]
async fn ingress_cases() -> Outcome {
    with_namespace("policy_ingress", |ns| async move {
        let stage = Stage::set(&ns).await?;
        stage.ingress(EVERYTHING).await?;
        let deny = json!({"podSelector": {"matchLabels": {"role": "server"}}, "policyTypes": ["Ingress"]});
        ns.apply(policy("deny", &deny)).await?;
        stage.ingress(NOTHING).await?;
        // What is isolated is one direction of the selected pods, and nothing else.
        stage.server.expect(FORCE, &connections(&stage.red, &ALL)).await?;
        stage.red.expect(FORCE, &connections(&stage.blue, &ALL)).await?;
        for (name, rules, open) in (Cases { stage: &stage, peers: "from" }).all() {
            let names = stage.apply("server", "Ingress", rules).await?;
            stage.ingress(open).await.map_err(|error| error.context(name))?;
            stage.remove(&names).await?;
            stage.ingress(NOTHING).await.map_err(|error| error.context(format!("after {name}")))?;
        }
        ns.delete::<NetworkPolicy>("deny").await?;
        stage.ingress(EVERYTHING).await
    })
    .await
}

#[tokio::test]
async fn egress_cases() -> Outcome {
    with_namespace("policy_egress", |ns| async move {
        let stage = Stage::set(&ns).await?;
        stage.egress(EVERYTHING).await?;
        let deny = json!({"podSelector": {"matchLabels": {"role": "red"}}, "policyTypes": ["Egress"]});
        ns.apply(policy("deny", &deny)).await?;
        stage.egress(NOTHING).await?;
        stage.blue.expect(FORCE, &connections(&stage.red, &ALL)).await?;
        stage.blue.expect(FORCE, &connections(&stage.server, &ALL)).await?;
        for (name, rules, open) in (Cases { stage: &stage, peers: "to" }).all() {
            let names = stage.apply("red", "Egress", rules).await?;
            stage.egress(open).await.map_err(|error| error.context(name))?;
            stage.remove(&names).await?;
            stage.egress(NOTHING).await.map_err(|error| error.context(format!("after {name}")))?;
        }
        // Both ends have to let it through.
        let into = json!({"podSelector": {"matchLabels": {"role": "server"}}, "policyTypes": ["Ingress"]});
        ns.apply(policy("deny-server", &into)).await?;
        let names = stage.apply("red", "Egress", vec![json!({})]).await?;
        stage.egress(Open { near: &[], ..EVERYTHING }).await?;
        stage.remove(&names).await
    })
    .await
}
