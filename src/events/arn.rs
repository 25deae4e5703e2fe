//! The names of targets: `arn:partition:service:region:account:resource`.

use std::fmt;

use strata_storage::AccountId;

/// The services whose ARNs buckets' configurations can name.
const SERVICES: [&str; 4] = ["lambda", "sqs", "sns", "events"];

/// The ARN of a target of events.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetArn(String);

impl TargetArn {
    /// Reads an ARN. `None` unless it has all six parts and names one of the services of targets.
    pub fn parse(text: &str) -> Option<TargetArn> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let &[scheme, partition, service, region, account, resource] = &parts[..] else { return None };
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_sound = scheme == "arn"
            && is_word(partition)
            && SERVICES.contains(&service)
            && is_word(region)
            && AccountId::parse(account).is_some()
            && !resource.is_empty()
            && resource.bytes().all(|byte| byte.is_ascii_graphic());
        is_sound.then(|| TargetArn(text.to_owned()))
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `lambda`, `sqs`, `sns` or `events`.
    pub fn service(&self) -> &str {
        self.part(2)
    }

    /// The region.
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// What follows the account: `function:name`, or a queue's or topic's name.
    pub fn resource(&self) -> &str {
        self.part(5)
    }

    fn part(&self, index: usize) -> &str {
        self.0.splitn(6, ':').nth(index).unwrap_or_default()
    }
}

impl fmt::Display for TargetArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::TargetArn;

    #[test]
    fn arns() {
        fn check(text: &str, expected: Option<(&str, &str, &str)>) {
            let arn = TargetArn::parse(text);
            let parts = arn.as_ref().map(|arn| (arn.service(), arn.region(), arn.resource()));
            assert_eq!(parts, expected, "{text}");
        }
        check("arn:aws:lambda:us-east-1:000000000000:function:f:1", Some(("lambda", "us-east-1", "function:f:1")));
        check("arn:aws-cn:sqs:cn-north-1:123456789012:q", Some(("sqs", "cn-north-1", "q")));
        check(
            "arn:aws:events:eu-west-1:123456789012:event-bus/default",
            Some(("events", "eu-west-1", "event-bus/default")),
        );
        for text in [
            "",
            "arn",
            "arn:aws:sqs:us-east-1:123456789012",
            "arn:aws:sqs:us-east-1:123456789012:",
            "arn:aws:sqs::123456789012:q",
            "arn:aws:sqs:us-east-1:12345678901:q",
            "arn:aws:s3:us-east-1:123456789012:q",
            "arn::sqs:us-east-1:123456789012:q",
            "urn:aws:sqs:us-east-1:123456789012:q",
            "arn:aws:sqs:us-east-1:123456789012:a b",
        ] {
            check(text, None);
        }
    }
}
