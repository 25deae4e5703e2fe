//! What policies decide, table by table: grammar, matching, conditions, principals, publicness, combination.

mod combination;
mod conditions;
mod grammar;
mod matching;
mod principals;
mod properties;
mod publicness;

use std::borrow::Cow;

use super::{Action, ConditionKey, ConditionKeys, Decision, KeyValue, Policy, PolicyKind, Principal, Question};

const ACCOUNT: &str = "111122223333";
const OTHER: &str = "444455556666";
const ALICE_ID: &str = "AIDAALICEALICEALICE00";
const ROLE_ID: &str = "AROAROLEROLEROLEROLE0";

/// What a request says: keys as policies write them, with their values.
struct Keys(Vec<(String, KeyValue<'static>)>);

impl ConditionKeys for Keys {
    fn value(&self, key: ConditionKey, name: Option<&str>) -> Option<KeyValue<'_>> {
        let is_asked = |written: &str| match (ConditionKey::named(written), name) {
            (Some((known, Some(entry))), Some(name)) => known == key && entry.eq_ignore_ascii_case(name),
            (Some((known, None)), None) => known == key,
            (None, Some(name)) => key == ConditionKey::Claim && written == name,
            _ => false,
        };
        self.0.iter().find(|(written, _)| is_asked(written)).map(|(_, value)| value.clone())
    }
}

fn text(value: &str) -> KeyValue<'static> {
    KeyValue::Text(Cow::Owned(value.to_owned()))
}

fn texts(values: &[&str]) -> KeyValue<'static> {
    KeyValue::Texts(values.iter().map(|value| Cow::Owned((*value).to_owned())).collect())
}

fn bucket_kind() -> PolicyKind {
    PolicyKind::Bucket { bucket: "bucket".to_owned() }
}

fn alice() -> Principal {
    Principal::User {
        account: ACCOUNT.to_owned(),
        arn: format!("arn:aws:iam::{ACCOUNT}:user/team/alice"),
        id: ALICE_ID.to_owned(),
    }
}

fn session() -> Principal {
    Principal::Role {
        account: ACCOUNT.to_owned(),
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/team/reader"),
        role_id: ROLE_ID.to_owned(),
        session_arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/now"),
        user_id: format!("{ROLE_ID}:now"),
    }
}

fn root() -> Principal {
    Principal::Root { account: ACCOUNT.to_owned() }
}

fn parse(text: &str, kind: &PolicyKind) -> Policy {
    Policy::parse(text.as_bytes(), kind).unwrap_or_else(|fault| panic!("{fault} {:?}: {text}", fault.detail))
}

/// A policy of identities with one statement on everything; `rest` are its further elements.
fn identity(effect: &str, rest: &str) -> Policy {
    let text =
        format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"*","Resource":"*"{rest}}}}}"#);
    parse(&text, &PolicyKind::Identity)
}

fn ask(policy: &Policy, principal: &Principal, action: &str, resource: &str) -> Decision {
    ask_with(policy, principal, action, resource, &Keys(Vec::new()))
}

fn ask_with(policy: &Policy, principal: &Principal, action: &str, resource: &str, keys: &Keys) -> Decision {
    let action = Action::named(action).unwrap_or_else(|| panic!("{action} is an action"));
    policy.decide(&Question { principal, action, resource, keys })
}

fn allows(decision: Decision) -> bool {
    matches!(decision, Decision::Allow { .. })
}

fn denies(decision: Decision) -> bool {
    matches!(decision, Decision::Deny { .. })
}
