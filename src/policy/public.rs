//! Whether a policy is public, by the rules of Block Public Access.
//!
//! A policy is public unless each of its Allow statements is limited to fixed values: to certain principals, or by a
//! condition on a key that tells certain callers apart. A value with a wildcard or a variable is not fixed, whatever the
//! operator makes of it. What is not understood counts as public.

use std::net::IpAddr;

use ipnet::IpNet;

use super::arn;
use super::document::{ConditionText, StatementText};
use super::key::ConditionKey;
use super::operator::{Comparison, Operator, Sense};
use super::statement::{Effect, Statement};
use super::value;

/// The widest network of IPv4 that counts as certain callers.
const IPV4_BITS_MIN: u8 = 8;
/// The widest network of IPv6 that counts as certain callers.
const IPV6_BITS_MIN: u8 = 32;

/// Whether `statement`, compiled from `text`, opens the policy to the public.
pub fn is_public(statement: &Statement, text: &StatementText) -> bool {
    statement.effect == Effect::Allow && !statement.has_limited_principals() && !text.conditions.iter().any(is_limiting)
}

/// Whether a condition holds for certain callers only.
fn is_limiting(condition: &ConditionText) -> bool {
    let Some(operator) = Operator::parse(&condition.operator) else { return false };
    let Some((key, _)) = ConditionKey::named(&condition.key) else { return false };
    // Negated operators name those who are not meant, and some hold without any value.
    if operator.sense == Sense::Negated || operator.when_absent() {
        return false;
    }
    match operator.comparison {
        Comparison::Ip if key == ConditionKey::AwsSourceIp => condition.values.iter().all(|text| is_narrow(text)),
        Comparison::Text | Comparison::TextIgnoreCase | Comparison::Like | Comparison::Arn => {
            tells_callers_apart(key) && condition.values.iter().all(|text| is_fixed(key, text))
        }
        _ => false,
    }
}

fn tells_callers_apart(key: ConditionKey) -> bool {
    matches!(
        key,
        ConditionKey::AwsPrincipalAccount
            | ConditionKey::AwsPrincipalArn
            | ConditionKey::AwsPrincipalOrgId
            | ConditionKey::AwsSourceAccount
            | ConditionKey::AwsSourceArn
            | ConditionKey::AwsSourceOwner
            | ConditionKey::AwsSourceVpc
            | ConditionKey::AwsSourceVpce
            | ConditionKey::AwsUserId
            | ConditionKey::S3DataAccessPointAccount
            | ConditionKey::S3DataAccessPointArn
    )
}

fn is_fixed(key: ConditionKey, text: &str) -> bool {
    let has_variety = |text: &str| text.contains(['*', '?']) || text.contains("${");
    if !has_variety(text) {
        return !text.is_empty();
    }
    // Whatever the name of the access point, it belongs to an account that is fixed.
    let Some([_, partition, service, region, account, name]) = arn::split(text) else { return false };
    key == ConditionKey::S3DataAccessPointArn
        && arn::is_account(account)
        && ![partition, service, region].into_iter().any(has_variety)
        && name.starts_with("accesspoint/")
        && !name.contains("${")
}

fn is_narrow(text: &str) -> bool {
    let Some(network) = value::parse_network(text) else { return false };
    is_private(&network)
        || match network {
            IpNet::V4(network) => network.prefix_len() >= IPV4_BITS_MIN,
            IpNet::V6(network) => network.prefix_len() >= IPV6_BITS_MIN,
        }
}

/// Whether all of a network is reserved for private use, where callers from outside have no address.
fn is_private(network: &IpNet) -> bool {
    let ends = [network.network(), network.broadcast()];
    let reserved = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
    reserved.iter().any(|text| {
        let range: IpNet = text.parse().expect("the constant is a network");
        ends.iter().all(|end: &IpAddr| range.contains(end))
    })
}
