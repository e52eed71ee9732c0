//! Sets of IPv4 addresses as sorted ranges that neither overlap nor touch, the form in which nftables keeps them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// A set of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// The addresses of `network` that are in none of `except`.
    pub(crate) fn block(network: Ipv4Net, except: &[Ipv4Net]) -> Self {
        let mut left = vec![bounds(network)];
        for hole in except.iter().copied().map(bounds) {
            left = left.into_iter().flat_map(|range| without(range, hole)).collect();
        }
        Self(left).normalised()
    }

    /// These addresses.
    pub(crate) fn of(addresses: &BTreeSet<Ipv4Addr>) -> Self {
        Self(addresses.iter().map(|address| (address.to_bits(), address.to_bits())).collect()).normalised()
    }

    /// The addresses of both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self.normalised()
    }

    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        let address = address.to_bits();
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&address))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is one address or one range, which needs no set of its own.
    pub(crate) fn is_single(&self) -> bool {
        self.0.len() == 1
    }

    fn normalised(mut self) -> Self {
        self.0.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(self.0.len());
        for (from, to) in self.0 {
            match merged.last_mut() {
                Some((_, end)) if from <= end.saturating_add(1) => *end = to.max(*end),
                _ => merged.push((from, to)),
            }
        }
        Self(merged)
    }
}

/// The elements as nftables reads them.
impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (from, to)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}", Ipv4Addr::from_bits(*from))?;
            if to > from {
                write!(f, "-{}", Ipv4Addr::from_bits(*to))?;
            }
        }
        Ok(())
    }
}

fn bounds(network: Ipv4Net) -> (u32, u32) {
    (network.network().to_bits(), network.broadcast().to_bits())
}

/// What is left of a range on both sides of the hole.
fn without((from, to): (u32, u32), (hole_from, hole_to): (u32, u32)) -> impl Iterator<Item = (u32, u32)> {
    let below = hole_from.checked_sub(1).map(|end| (from, end.min(to)));
    let above = hole_to.checked_add(1).map(|start| (start.max(from), to));
    below.into_iter().chain(above).filter(|(from, to)| from <= to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_loses_its_exceptions() {
        let block = Ranges::block(net("10.0.0.0/24"), &[net("10.0.0.0/26"), net("10.0.0.128/32"), net("10.1.0.0/16")]);
        assert_eq!(block.to_string(), "10.0.0.64-10.0.0.127, 10.0.0.129-10.0.0.255");
        assert!(block.contains(Ipv4Addr::new(10, 0, 0, 64)) && !block.contains(Ipv4Addr::new(10, 0, 0, 128)));
    }

    #[test]
    fn exceptions_may_touch_both_ends_of_all_addresses() {
        let block = Ranges::block(net("0.0.0.0/0"), &[net("0.0.0.0/8"), net("255.0.0.0/8")]);
        assert_eq!(block.to_string(), "1.0.0.0-254.255.255.255");
        assert!(Ranges::block(net("10.0.0.0/24"), &[net("0.0.0.0/0")]).is_empty());
    }

    #[test]
    fn neighbours_and_overlaps_become_one_range() {
        let addresses = [1, 2, 3, 7].map(|last| Ipv4Addr::new(10, 0, 0, last)).into();
        let ranges = Ranges::of(&addresses);
        assert_eq!(ranges.to_string(), "10.0.0.1-10.0.0.3, 10.0.0.7");
        assert_eq!(ranges.and(Ranges::block(net("10.0.0.0/28"), &[])).to_string(), "10.0.0.0-10.0.0.15");
    }
}
