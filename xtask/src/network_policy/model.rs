//! What network policies are about, without anything of Kubernetes that does not matter to packets. Plain data: read
//! from the API's objects by [`super::convert`], turned into rules by [`super::compile`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use kube::core::Selector;

/// Labels of a pod or a namespace.
pub(crate) type Labels = BTreeMap<String, String>;

/// All that decides who may talk to whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct World {
    /// Pods with an address of their own. Where two have the same one, the later in the list has it.
    pub(crate) pods: Vec<Pod>,
    /// Labels of the namespaces, by name.
    pub(crate) namespaces: BTreeMap<String, Labels>,
    pub(crate) policies: Vec<Policy>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) labels: Labels,
    pub(crate) address: Ipv4Addr,
    pub(crate) ports: Vec<NamedPort>,
}

/// A port of a container that has a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamedPort {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) number: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Policy {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The pods of its namespace that it is for.
    pub(crate) pods: Selector,
    /// What may come in; `None` says nothing about that direction, an empty list lets nothing in.
    pub(crate) ingress: Option<Vec<Rule>>,
    /// What may go out, in the same way.
    pub(crate) egress: Option<Vec<Rule>>,
}

/// Traffic with one of the peers on one of the ports.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    /// Empty: anybody.
    pub(crate) peers: Vec<Peer>,
    /// Empty: any port and protocol.
    pub(crate) ports: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Peer {
    Block {
        network: Ipv4Net,
        except: Vec<Ipv4Net>,
    },
    Pods {
        /// `None`: the policy's own namespace.
        namespaces: Option<Selector>,
        pods: Selector,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Port {
    pub(crate) protocol: Protocol,
    pub(crate) numbers: Numbers,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    All,
    /// From and to, both included.
    Range(u16, u16),
    /// Whatever the destination pod calls so.
    Named(String),
}
