//! The node's network: one link to the machine, and no way on from there.
//!
//! The machine's side makes the link ([`connect`]), the node's side does the rest ([`prepare`]). No route, rule or setting
//! of the machine changes; the link goes with the node's network namespace.

use std::fs;

use anyhow::Context as _;

use super::names::{Layout, SERVICE_RANGE};
use crate::shell;

/// The node's end of the link.
const NODE_INTERFACE: &str = "eth0";

/// Made on the machine, for the process `pid` that already is in the node's network namespace.
pub(super) fn connect(layout: &Layout, pid: u32) -> anyhow::Result<()> {
    disconnect(layout)?;
    machine_commands(layout, pid).iter().try_for_each(|command| ip(command))
}

fn machine_commands(layout: &Layout, pid: u32) -> [String; 3] {
    let (interface, address) = (layout.interface(), layout.machine_address());
    [
        format!("link add {interface} type veth peer name {NODE_INTERFACE} netns {pid}"),
        format!("address add {address}/30 dev {interface}"),
        format!("link set {interface} up"),
    ]
}

/// Removes the link if a node left one behind.
pub(super) fn disconnect(layout: &Layout) -> anyhow::Result<()> {
    let interface = layout.interface();
    if fs::exists(format!("/sys/class/net/{interface}"))? {
        // It may be on its way out with its namespace; what counts is that it is gone.
        let removed = ip(&format!("link delete {interface}"));
        anyhow::ensure!(!fs::exists(format!("/sys/class/net/{interface}"))?, "cannot remove {interface}: {removed:?}");
    }
    Ok(())
}

/// Made inside the node's namespaces, once the link is there.
pub(super) fn prepare(layout: &Layout) -> anyhow::Result<()> {
    node_commands(layout).iter().try_for_each(|command| ip(command))?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("cannot turn on forwarding in the node")
}

fn node_commands(layout: &Layout) -> [String; 7] {
    let address = layout.node_address();
    [
        "link set lo up".to_owned(),
        format!("address add {address}/30 dev {NODE_INTERFACE}"),
        format!("link set {NODE_INTERFACE} up"),
        // Nothing leaves the machine, and what tries is told so at once.
        "route add unreachable default".to_owned(),
        // kube-proxy rewrites the address of a service only after a route to it was found. A bridge without ports is the
        // one device that every kernel has for that.
        "link add services type bridge".to_owned(),
        "link set services up".to_owned(),
        format!("route add {SERVICE_RANGE} dev services"),
    ]
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    shell::capture(&mut shell::command("ip", arguments.split(' '))).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::layout;
    use super::*;

    #[test]
    fn the_machine_gets_one_link_and_no_route() {
        let commands = machine_commands(&layout(), 7);
        assert_eq!(commands[0], "link add portico-0002 type veth peer name eth0 netns 7");
        assert_eq!(commands[1], "address add 198.18.0.9/30 dev portico-0002");
        assert!(!commands.iter().any(|command| command.starts_with("route")));
    }

    #[test]
    fn the_node_has_no_way_out() {
        let commands = node_commands(&layout());
        assert!(commands.contains(&"route add unreachable default".to_owned()));
        assert!(!commands.iter().any(|command| command.contains(" via ")));
    }
}
