//! Networks of addresses, as conditions list them: searched, not tried one by one.

use std::net::IpAddr;

use ipnet::IpNet;

/// A set of networks. Two networks are either apart, or one holds the other; those within another are left out.
#[derive(Debug, Clone)]
pub struct NetworkSet {
    /// The first and the last address of each network of IPv4, sorted.
    v4: Vec<(u32, u32)>,
    /// The same of IPv6.
    v6: Vec<(u128, u128)>,
}

impl NetworkSet {
    /// The set of `networks`.
    pub fn new(networks: &[IpNet]) -> NetworkSet {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(network) => v4.push((network.network().to_bits(), network.broadcast().to_bits())),
                IpNet::V6(network) => v6.push((network.network().to_bits(), network.broadcast().to_bits())),
            }
        }
        NetworkSet { v4: outermost(v4), v6: outermost(v6) }
    }

    /// Whether `address` lies in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => has(&self.v4, address.to_bits()),
            IpAddr::V6(address) => has(&self.v6, address.to_bits()),
        }
    }
}

/// Sorts ranges of which none overlaps another but by holding it, and drops those that are held.
fn outermost<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    // Of two that begin together, the longer one comes first and holds the other.
    ranges.sort_unstable_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
    ranges.dedup_by(|next, kept| next.1 <= kept.1);
    ranges
}

fn has<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).is_some_and(|last| address <= ranges[last].1)
}
