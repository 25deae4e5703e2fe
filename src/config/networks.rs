//! Virtual private clouds and their endpoints, as far as a server without any can have them: ids, and the addresses that
//! belong to each.

use std::net::IpAddr;

use ipnet::IpNet;

/// What ids of endpoints begin with; all others are of clouds.
const ENDPOINT: &str = "vpce-";

/// Ids with their addresses. The ids stay as long as the process, for every request that comes from one carries it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Vec<(&'static str, IpNet)>);

impl Networks {
    /// Those of a list of ids and networks.
    pub fn new(list: Vec<(String, IpNet)>) -> Networks {
        Networks(list.into_iter().map(|(id, network)| (&*id.leak(), network)).collect())
    }

    /// Whether there is a network of that cloud.
    pub fn has_vpc(&self, id: &str) -> bool {
        self.0.iter().any(|(found, _)| *found == id && !is_endpoint(found))
    }

    /// Whether an address belongs to that id.
    pub fn contains(&self, id: &str, address: IpAddr) -> bool {
        // An IPv4 client of a socket for both shows as an address of IPv6.
        let address = address.to_canonical();
        self.0.iter().any(|(found, network)| *found == id && network.contains(&address))
    }

    /// The first cloud that an address belongs to.
    pub fn vpc_of(&self, address: IpAddr) -> Option<&'static str> {
        self.ids_of(address).find(|id| !is_endpoint(id))
    }

    /// The first endpoint that an address belongs to.
    pub fn endpoint_of(&self, address: IpAddr) -> Option<&'static str> {
        self.ids_of(address).find(|id| is_endpoint(id))
    }

    fn ids_of(&self, address: IpAddr) -> impl Iterator<Item = &'static str> {
        let address = address.to_canonical();
        self.0.iter().filter(move |(_, network)| network.contains(&address)).map(|(id, _)| *id)
    }
}

fn is_endpoint(id: &str) -> bool {
    id.starts_with(ENDPOINT)
}

#[cfg(test)]
mod tests {
    use super::Networks;

    #[test]
    fn addresses_belong_to_networks() {
        let list =
            [("vpce-1", "10.0.0.0/16"), ("vpc-1", "10.0.0.0/8"), ("vpc-1", "fd00::/8"), ("vpc-2", "192.168.1.0/24")];
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
        assert!(!networks.has_vpc("vpc-3") && !networks.has_vpc("vpce-1"));
        let endpoint = |address: &str| networks.endpoint_of(address.parse().expect("an address"));
        assert_eq!((endpoint("10.0.1.1"), endpoint("10.1.2.3")), (Some("vpce-1"), None));
        check("10.0.1.1", Some("vpc-1"));
    }
}
