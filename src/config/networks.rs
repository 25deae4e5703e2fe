//! Virtual private clouds, as far as a server without any can have them: ids, and the addresses that belong to each.

use std::net::IpAddr;

use ipnet::IpNet;

/// Ids with their addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Vec<(String, IpNet)>);

impl Networks {
    /// Those of a list of ids and networks.
    pub fn new(list: Vec<(String, IpNet)>) -> Networks {
        Networks(list)
    }

    /// Whether there is a network of that id.
    pub fn has_vpc(&self, id: &str) -> bool {
        self.0.iter().any(|(found, _)| found == id)
    }

    /// Whether an address belongs to that id.
    pub fn contains(&self, id: &str, address: IpAddr) -> bool {
        // An IPv4 client of a socket for both shows as an address of IPv6.
        let address = address.to_canonical();
        self.0.iter().any(|(found, network)| found == id && network.contains(&address))
    }

    /// The first id that an address belongs to.
    pub fn vpc_of(&self, address: IpAddr) -> Option<&str> {
        let address = address.to_canonical();
        self.0.iter().find(|(_, network)| network.contains(&address)).map(|(id, _)| id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Networks;

    #[test]
    fn addresses_belong_to_networks() {
        let list = [("vpc-1", "10.0.0.0/8"), ("vpc-1", "fd00::/8"), ("vpc-2", "192.168.1.0/24")];
        let list = list.map(|(id, network)| (id.to_owned(), network.parse().expect("a network")));
        let networks = Networks::new(list.to_vec());
        let check = |address: &str, expected: Option<&str>| {
            let address = address.parse().expect("an address");
            assert_eq!(networks.vpc_of(address), expected, "{address}");
            assert!(expected.is_none_or(|id| networks.contains(id, address) && networks.has_vpc(id)), "{address}");
        };
        check("10.1.2.3", Some("vpc-1"));
        check("::ffff:10.1.2.3", Some("vpc-1"));
        check("fd00::1", Some("vpc-1"));
        check("192.168.1.9", Some("vpc-2"));
        check("192.168.2.9", None);
        assert!(!networks.has_vpc("vpc-3"));
    }
}
