//! Turns the model into the one nftables table that enforces it. Pure: the same world gives the same text.
//!
//! A packet that opens a connection is looked up by its source among the pods whose egress is restricted, then by its
//! destination among those whose ingress is. The lookup leads to the chain of the policies that choose this pod, shared
//! by all pods that the same policies choose. There a `return` is a permission; at the end of the chain it is refused.
//! Traffic of the node itself, probes among it, is not forwarded and so never comes here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use kube::core::SelectorExt as _;

use super::model::{Numbers, Peer, Pod, Policy, Port, Protocol, Rule, World};
use super::ranges::Ranges;

/// The table's name; nothing else in the network namespace has it.
pub(crate) const TABLE: &str = "inet portico_network_policy";

/// nftables takes at most 128 bytes of comment.
const COMMENT: usize = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Egress,
    Ingress,
}

impl Direction {
    fn rules(self, policy: &Policy) -> Option<&[Rule]> {
        match self {
            Self::Egress => policy.egress.as_deref(),
            Self::Ingress => policy.ingress.as_deref(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }

    /// Where the restricted pod's address stands in a packet, and where the peer's.
    fn fields(self) -> (&'static str, &'static str) {
        match self {
            Self::Egress => ("ip saddr", "ip daddr"),
            Self::Ingress => ("ip daddr", "ip saddr"),
        }
    }
}

type Pods<'a> = BTreeMap<Ipv4Addr, &'a Pod>;

/// A transaction for `nft -f` that replaces the table by the one for this world.
pub(crate) fn compile(world: &World) -> String {
    let pods: Pods<'_> = world.pods.iter().map(|pod| (pod.address, pod)).collect();
    let mut compiler = Compiler { world, pods, sets: Vec::new(), chains: String::new() };
    let mut lookups = String::new();
    let mut restricted = BTreeSet::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        let verdicts = compiler.direction(direction);
        if verdicts.is_empty() {
            continue;
        }
        let elements: Vec<String> =
            verdicts.iter().map(|(address, chain)| format!("{address} : jump {chain}")).collect();
        let _ = writeln!(lookups, "    {} vmap {{ {} }}", direction.fields().0, elements.join(", "));
        restricted.extend(verdicts.into_keys());
    }
    compiler.table(&lookups, &restricted)
}

struct Compiler<'a> {
    world: &'a World,
    pods: Pods<'a>,
    /// Definitions of the sets so far; a set's number is its place.
    sets: Vec<String>,
    chains: String,
}

impl Compiler<'_> {
    /// Writes the chains of one direction; the chain of each pod that is restricted in it.
    fn direction(&mut self, direction: Direction) -> BTreeMap<Ipv4Addr, String> {
        // Pods by the policies that choose them.
        let mut groups: BTreeMap<Vec<usize>, BTreeSet<Ipv4Addr>> = BTreeMap::new();
        for (address, pod) in &self.pods {
            let policies = self.world.policies.iter().enumerate();
            let choosing = policies.filter(|(_, policy)| direction.rules(policy).is_some() && chooses(policy, pod));
            let choosing: Vec<usize> = choosing.map(|(index, _)| index).collect();
            if !choosing.is_empty() {
                groups.entry(choosing).or_default().insert(*address);
            }
        }
        let mut verdicts = BTreeMap::new();
        for (number, (policies, members)) in groups.into_iter().enumerate() {
            let chain = format!("{}_{number}", direction.name());
            self.chain(&chain, direction, &policies, &members);
            verdicts.extend(members.into_iter().map(|address| (address, chain.clone())));
        }
        verdicts
    }

    fn chain(&mut self, name: &str, direction: Direction, policies: &[usize], members: &BTreeSet<Ipv4Addr>) {
        let _ = writeln!(self.chains, "  chain {name} {{");
        let world = self.world;
        for policy in policies.iter().filter_map(|index| world.policies.get(*index)) {
            for (number, rule) in direction.rules(policy).into_iter().flatten().enumerate() {
                let mut comment = format!("{}/{} {number}", policy.namespace, policy.name);
                comment.truncate(COMMENT);
                for matches in self.rule(direction, policy, rule, members) {
                    let _ = writeln!(self.chains, "    {matches}return comment \"{comment}\"");
                }
            }
        }
        // A refusal, so that the caller knows at once; a reset because ICMP errors are limited in number.
        self.chains.push_str("    meta l4proto tcp reject with tcp reset\n    reject\n  }\n");
    }

    /// What a packet has to match to be allowed by this rule: any of these, each ending in a blank or empty.
    fn rule(
        &mut self,
        direction: Direction,
        policy: &Policy,
        rule: &Rule,
        members: &BTreeSet<Ipv4Addr>,
    ) -> Vec<String> {
        let peers = (!rule.peers.is_empty()).then(|| self.addresses(policy, &rule.peers));
        let peer_match = match &peers {
            None => String::new(),
            Some(peers) if peers.is_empty() => return Vec::new(),
            Some(peers) if peers.is_single() => format!("{} {peers} ", direction.fields().1),
            Some(peers) => format!("{} @{} ", direction.fields().1, self.address_set(peers)),
        };
        if rule.ports.is_empty() {
            return vec![peer_match];
        }
        let destinations: BTreeSet<Ipv4Addr> = match (direction, &peers) {
            (Direction::Ingress, _) => members.clone(),
            (Direction::Egress, None) => self.pods.keys().copied().collect(),
            (Direction::Egress, Some(peers)) => self.pods.keys().copied().filter(|pod| peers.contains(*pod)).collect(),
        };
        let mut ports = numbered(&rule.ports);
        ports.extend(self.named(&rule.ports, &destinations));
        ports.into_iter().map(|port_match| format!("{peer_match}{port_match} ")).collect()
    }

    fn addresses(&self, policy: &Policy, peers: &[Peer]) -> Ranges {
        let of_peer = |peer: &Peer| match peer {
            Peer::Block { network, except } => Ranges::block(*network, except),
            Peer::Pods { namespaces, pods } => {
                let in_namespace = |pod: &Pod| match namespaces {
                    None => pod.namespace == policy.namespace,
                    Some(chosen) => {
                        self.world.namespaces.get(&pod.namespace).is_some_and(|labels| chosen.matches(labels))
                    }
                };
                let chosen = self.pods.iter().filter(|(_, pod)| in_namespace(pod) && pods.matches(&pod.labels));
                Ranges::of(&chosen.map(|(address, _)| *address).collect())
            }
        };
        peers.iter().map(of_peer).fold(Ranges::default(), Ranges::and)
    }

    /// A match for the ports given by name: which number that is depends on the destination.
    fn named(&mut self, ports: &[Port], destinations: &BTreeSet<Ipv4Addr>) -> Option<String> {
        let mut elements = BTreeSet::new();
        for pod in destinations.iter().filter_map(|address| self.pods.get(address)) {
            for wanted in ports {
                let Numbers::Named(name) = &wanted.numbers else { continue };
                for port in pod.ports.iter().filter(|port| port.name == *name && port.protocol == wanted.protocol) {
                    elements.insert(format!("{} . {} . {}", pod.address, keyword(port.protocol), port.number));
                }
            }
        }
        if elements.is_empty() {
            return None;
        }
        let elements: Vec<String> = elements.into_iter().collect();
        let key = "type ipv4_addr . inet_proto . inet_service;";
        let set = self.set(format!("{key} elements = {{ {} }}", elements.join(", ")));
        Some(format!("ip daddr . meta l4proto . th dport @{set}"))
    }

    fn address_set(&mut self, addresses: &Ranges) -> String {
        self.set(format!("type ipv4_addr; flags interval; elements = {{ {addresses} }}"))
    }

    /// The name of the set with this definition; the same for the same.
    fn set(&mut self, definition: String) -> String {
        let known = self.sets.iter().position(|set| *set == definition);
        let number = known.unwrap_or_else(|| {
            self.sets.push(definition);
            self.sets.len() - 1
        });
        format!("set_{number}")
    }

    fn table(&self, lookups: &str, restricted: &BTreeSet<Ipv4Addr>) -> String {
        // The first line is there because deleting a table that does not exist is an error.
        let mut text = format!("table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n");
        for (number, definition) in self.sets.iter().enumerate() {
            let _ = writeln!(text, "  set set_{number} {{ {definition} }}");
        }
        text.push_str(&self.chains);
        text.push_str("  chain forward {\n    type filter hook forward priority filter; policy accept;\n");
        text.push_str("    ct state established,related accept\n");
        if !restricted.is_empty() {
            // A pod that calls itself by way of a service; no policy can forbid that.
            let selves: Vec<String> = restricted.iter().map(|address| format!("{address} . {address}")).collect();
            let _ = writeln!(text, "    ip saddr . ip daddr {{ {} }} accept", selves.join(", "));
        }
        text.push_str(lookups);
        text.push_str("  }\n}\n");
        text
    }
}

fn chooses(policy: &Policy, pod: &Pod) -> bool {
    policy.namespace == pod.namespace && policy.pods.matches(&pod.labels)
}

/// Matches for the ports given by number, one a protocol.
fn numbered(ports: &[Port]) -> Vec<String> {
    let mut by_protocol: BTreeMap<Protocol, Option<Vec<(u16, u16)>>> = BTreeMap::new();
    for port in ports {
        let numbers = match port.numbers {
            Numbers::All => None,
            Numbers::Range(from, to) if from <= to => Some((from, to)),
            // A range that holds nothing, and names, which are not numbers yet.
            Numbers::Range(..) | Numbers::Named(_) => continue,
        };
        let known = by_protocol.entry(port.protocol).or_insert_with(|| Some(Vec::new()));
        match (known.as_mut(), numbers) {
            (Some(ranges), Some(range)) => ranges.push(range),
            // All ports of the protocol, whatever else is named.
            _ => *known = None,
        }
    }
    let text = |(protocol, ranges): (Protocol, Option<Vec<(u16, u16)>>)| match ranges {
        None => format!("meta l4proto {}", keyword(protocol)),
        Some(ranges) => format!("{} dport {{ {} }}", keyword(protocol), port_elements(ranges)),
    };
    by_protocol.into_iter().map(text).collect()
}

/// Ranges of ports as elements of a set; nftables refuses ranges that overlap.
fn port_elements(mut ranges: Vec<(u16, u16)>) -> String {
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (from, to) in ranges {
        match merged.last_mut() {
            Some((_, end)) if from <= end.saturating_add(1) => *end = to.max(*end),
            _ => merged.push((from, to)),
        }
    }
    let text = |(from, to): (u16, u16)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    merged.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

fn keyword(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}
