//! Every name, address and path of a bundled node, derived from the cluster's name. Touches no file.
//!
//! What the machine sees of a cluster has to differ from cluster to cluster: the link's name and its addresses, the cgroup,
//! the data folder. They follow from the *slot*, a number that [`slot`] takes from the hash of the name, and the next free
//! one where another cluster has it. Pods and services live in the node's own network namespace, so their ranges are the
//! same everywhere.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Pods' addresses. The node has one /24 of it, as the controller manager hands them out.
pub(crate) const POD_RANGE: &str = "10.244.0.0/16";
/// The one node's part of [`POD_RANGE`].
pub(crate) const NODE_POD_RANGE: &str = "10.244.0.0/24";
/// Services' addresses.
pub(crate) const SERVICE_RANGE: &str = "10.96.0.0/16";
/// The API server's service, always the first address of the range.
pub(crate) const API_SERVICE: &str = "10.96.0.1";
/// The cluster's DNS service.
pub(crate) const DNS_SERVICE: &str = "10.96.0.10";
/// Suffix of service names.
pub(crate) const DOMAIN: &str = "cluster.local";
/// Port of the API server.
pub(crate) const API_PORT: u16 = 6443;

/// 198.18.0.0/15 is set aside for benchmarks (RFC 2544): neither the internet nor a home or office network uses it.
const LINKS: u32 = 0xC612_0000;
/// A /30 each.
const SLOTS: u16 = 1 << 15;

/// Longest name: the node's name is the cluster's, and a host name holds 63 bytes; 40 keeps lines readable.
const LONGEST: usize = 40;

/// A cluster's name, lower-case letters, digits and dashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClusterName(String);

impl std::str::FromStr for ClusterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
        if starts && text.chars().all(allowed) && !text.ends_with('-') && text.len() <= LONGEST {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{text:?} is no name for a cluster: at most {LONGEST} lower-case letters, digits and dashes, \
             a letter first and no dash last"
        ))
    }
}

impl std::fmt::Display for ClusterName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The slot of a cluster among those that are `taken`; none when all are.
pub(crate) fn slot(name: &ClusterName, taken: &BTreeSet<u16>) -> Option<u16> {
    let digest = Sha256::digest(name.0.as_bytes());
    let first = u16::from_be_bytes([digest[0], digest[1]]) % SLOTS;
    (0..SLOTS).map(|step| (first + step) % SLOTS).find(|slot| !taken.contains(slot))
}

/// Where all of a cluster's node is.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The cluster's name, which is also the node's and its host name.
    pub(crate) name: ClusterName,
    /// See the module.
    pub(crate) slot: u16,
    /// Data folder, absolute.
    pub(crate) data: PathBuf,
    /// Folder of the Kubernetes programs.
    pub(crate) programs: PathBuf,
}

impl Layout {
    /// The machine's end of the link; at most 15 bytes, as the kernel wants it.
    pub(crate) fn interface(&self) -> String {
        format!("portico-{:04x}", self.slot)
    }

    /// The address of the machine's end.
    pub(crate) fn machine_address(&self) -> Ipv4Addr {
        Ipv4Addr::from(LINKS + u32::from(self.slot) * 4 + 1)
    }

    /// The address of the node's end, which is the node's address.
    pub(crate) fn node_address(&self) -> Ipv4Addr {
        Ipv4Addr::from(LINKS + u32::from(self.slot) * 4 + 2)
    }

    /// Where the API server is reached.
    pub(crate) fn server(&self) -> String {
        format!("https://{}:{API_PORT}", self.node_address())
    }

    /// The folder's name below every cgroup hierarchy.
    pub(crate) fn cgroup(&self) -> String {
        format!("portico-{}", self.name)
    }

    /// A program of the node.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A certificate or key.
    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.data.join("pki").join(file)
    }

    /// A generated configuration file.
    pub(crate) fn config(&self, file: &str) -> PathBuf {
        self.data.join("config").join(file)
    }

    /// The log of a component.
    pub(crate) fn log(&self, component: &str) -> PathBuf {
        self.data.join("logs").join(format!("{component}.log"))
    }

    /// Every write to the API server, a line of JSON each.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.data.join("logs/audit.log")
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.data.join("kubeconfig")
    }

    /// The process id of the node's first process, as the machine sees it.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.data.join("node.pid")
    }

    /// The cgroup folders that the node was started in, a line each.
    pub(crate) fn cgroup_file(&self) -> PathBuf {
        self.data.join("cgroups")
    }

    /// Every folder that has to be there before the node starts.
    pub(crate) fn folders(&self) -> [PathBuf; 8] {
        ["etcd", "pki", "containerd", "kubelet", "volumes", "logs", "logs/pods", "config"]
            .map(|name| self.data.join(name))
    }
}

/// A path as text, for command lines and configuration files.
pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A layout for the tests of command lines and configuration.
    pub(crate) fn layout() -> Layout {
        Layout { name: "demo".parse().unwrap(), slot: 2, data: "/data/demo".into(), programs: "/programs".into() }
    }

    #[test]
    fn addresses_of_a_link_are_a_thirty_of_their_own() {
        let layout = layout();
        assert_eq!(layout.machine_address(), Ipv4Addr::new(198, 18, 0, 9));
        assert_eq!(layout.node_address(), Ipv4Addr::new(198, 18, 0, 10));
        let last = Layout { slot: SLOTS - 1, ..layout };
        assert_eq!(last.node_address(), Ipv4Addr::new(198, 19, 255, 254));
        assert!(last.interface().len() <= 15);
    }

    #[test]
    fn clusters_never_share_a_slot() {
        let name: ClusterName = "portico".parse().unwrap();
        let first = slot(&name, &BTreeSet::new()).unwrap();
        assert_eq!(slot(&name, &BTreeSet::new()), Some(first), "the same name gives the same slot");
        assert_eq!(slot(&name, &BTreeSet::from([first])), Some((first + 1) % SLOTS));
        assert_eq!(slot(&name, &(0..SLOTS).collect()), None);
    }

    #[test]
    fn names_are_host_names() {
        for good in ["portico", "portico-test", "a", "a1"] {
            assert!(good.parse::<ClusterName>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "a-", "A", "a_b", "a/b", "..", &"a".repeat(41)] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad}");
        }
    }
}
