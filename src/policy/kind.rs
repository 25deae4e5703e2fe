//! The kinds of policies: which elements each needs, and what its statements may speak about.

use super::action::{Action, ActionSet, actions_at, actions_of};
use super::action_table::Level;
use super::document::{ConditionText, Form, PolicyFault, PrincipalText, StatementText};
use super::key::ConditionKey;
use super::principal_name::PrincipalName;

/// What a policy is attached to. It decides which elements are required and which resources they may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyKind {
    /// To a user, a group or a role; also a permissions boundary. No principal.
    Identity,
    /// To a session that STS hands out. No principal.
    Session,
    /// To a bucket.
    Bucket {
        /// The name of the bucket.
        bucket: String,
    },
    /// To an access point.
    AccessPoint {
        /// `arn:aws:s3:region:account:accesspoint/name`.
        arn: String,
    },
    /// To a role: who may assume it. No resource.
    Trust,
    /// To a key of KMS.
    Key {
        /// `arn:aws:kms:region:account:key/id`.
        arn: String,
    },
}

/// Whether an element must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// It must.
    Required,
    /// It must not.
    Prohibited,
}

/// What a role's trust policy can allow.
const TRUST_ACTIONS: [Action; 4] = [
    Action::known("sts:AssumeRole"),
    Action::known("sts:AssumeRoleWithWebIdentity"),
    Action::known("sts:SetSourceIdentity"),
    Action::known("sts:TagSession"),
];

impl PolicyKind {
    /// Whether statements have a `Principal` or `NotPrincipal`.
    pub fn principal(&self) -> Element {
        match self {
            PolicyKind::Identity | PolicyKind::Session => Element::Prohibited,
            _ => Element::Required,
        }
    }

    /// Whether statements have a `Resource` or `NotResource`.
    pub fn resource(&self) -> Element {
        match self {
            PolicyKind::Trust => Element::Prohibited,
            _ => Element::Required,
        }
    }

    /// The most bytes of the normal form. IAM's own, smaller quotas differ by what a policy is attached to.
    pub fn bytes_max(&self) -> usize {
        match self {
            PolicyKind::Key { .. } => 32 << 10,
            _ => 20 << 10,
        }
    }

    /// What is said of a text that is no JSON object.
    pub fn not_json(&self) -> &'static str {
        if self.is_trimmed() {
            "Syntax errors in policy."
        } else {
            "Policies must be valid JSON and the first byte must be '{'"
        }
    }

    /// What is said of a statement that lacks an element: IAM and S3 have their own words for it.
    pub fn lacks(&self, element: &str) -> PolicyFault {
        match (self, element) {
            (PolicyKind::Identity | PolicyKind::Session, "Action" | "NotAction") => {
                PolicyFault::new("Policy statement must contain actions.")
            }
            (PolicyKind::Identity | PolicyKind::Session, "Resource" | "NotResource") => {
                PolicyFault::new("Policy statement must contain resources.")
            }
            _ => PolicyFault::missing(element),
        }
    }

    /// What is said of a statement with an element that it must not have.
    pub fn must_lack(&self, element: &str) -> PolicyFault {
        match (self, element) {
            (PolicyKind::Identity | PolicyKind::Session, "Principal") => {
                PolicyFault::new("Policy document should not specify a principal.")
            }
            _ => PolicyFault::new(format!("Has prohibited field {element}")),
        }
    }

    /// Whether white space may come before the document: in S3's policies it may not.
    pub fn is_trimmed(&self) -> bool {
        !matches!(self, PolicyKind::Bucket { .. } | PolicyKind::AccessPoint { .. })
    }

    /// Checks what the principals of a statement are.
    pub fn check_principals(&self, statement: &StatementText) -> Result<(), PolicyFault> {
        let Some(principals) = &statement.principals else { return Ok(()) };
        for principal in &principals.names {
            let PrincipalText::Named(name) = principal else { continue };
            let is_known = match name {
                // Only a role's trust policy is asked by somebody who is nobody yet but to his identity provider.
                PrincipalName::Federated(_) => *self == PolicyKind::Trust,
                PrincipalName::CanonicalUser(_) => !self.is_trimmed(),
                _ => true,
            };
            if !is_known {
                return Err(PolicyFault::detailed("Invalid principal in policy", name.to_string()));
            }
        }
        Ok(())
    }

    /// The known actions that a statement speaks about.
    pub fn actions(&self, statement: &StatementText) -> Result<ActionSet, PolicyFault> {
        let mut set = ActionSet::EMPTY;
        for text in &statement.actions.values {
            let named = actions_of(text).ok_or_else(|| PolicyFault::detailed("Policy has invalid action", text))?;
            self.check_action(text, &named)?;
            set.extend(&named);
        }
        match statement.actions.form {
            Form::Listed => Ok(set),
            Form::AllBut if *self == PolicyKind::Trust => Err(PolicyFault::new(TRUST_FAULT)),
            Form::AllBut => Ok(set.complement()),
        }
    }

    fn check_action(&self, text: &str, named: &ActionSet) -> Result<(), PolicyFault> {
        let service = match self {
            // Actions of services that are not here can't be asked for, and do no harm.
            PolicyKind::Identity | PolicyKind::Session => return Ok(()),
            PolicyKind::Trust => {
                let mut allowed = ActionSet::EMPTY;
                TRUST_ACTIONS.iter().for_each(|action| allowed.insert(action.index()));
                let is_allowed = !named.is_empty() && named.is_within(&allowed);
                return if is_allowed { Ok(()) } else { Err(PolicyFault::new(TRUST_FAULT)) };
            }
            PolicyKind::Bucket { .. } | PolicyKind::AccessPoint { .. } => "s3:",
            PolicyKind::Key { .. } => "kms:",
        };
        let is_of_service = text.get(..service.len()).is_some_and(|start| start.eq_ignore_ascii_case(service));
        if text == "*" || is_of_service && !named.is_empty() {
            return Ok(());
        }
        Err(PolicyFault::detailed("Policy has invalid action", text))
    }

    /// Checks the resources of a statement, and that each of its actions has one that it can be applied to.
    pub fn check_resources(&self, statement: &StatementText) -> Result<(), PolicyFault> {
        let Some(resources) = &statement.resources else { return Ok(()) };
        let (mut has_object, mut has_bucket) = (false, false);
        for text in &resources.values {
            let reach = self.reach(text).ok_or_else(|| PolicyFault::detailed("Policy has invalid resource", text))?;
            has_object |= matches!(reach, Reach::Objects | Reach::Both);
            has_bucket |= matches!(reach, Reach::Container | Reach::Both);
        }
        let is_s3 = !self.is_trimmed();
        if !is_s3 || resources.form == Form::AllBut || statement.actions.form == Form::AllBut {
            return Ok(());
        }
        let mut applicable = ActionSet::EMPTY;
        if has_object {
            applicable.extend(&actions_at(Level::Object));
        }
        if has_bucket {
            applicable.extend(&actions_at(Level::Bucket));
        }
        for text in &statement.actions.values {
            let named = actions_of(text).unwrap_or(ActionSet::EMPTY);
            if named.is_within(&applicable.complement()) {
                return Err(PolicyFault::detailed("Action does not apply to any resource(s) in statement", text));
            }
        }
        Ok(())
    }

    /// What a resource of a statement can be, or None if it may not be named. The form of ARNs is not checked here.
    fn reach(&self, text: &str) -> Option<Reach> {
        let (container, objects) = match self {
            PolicyKind::Identity | PolicyKind::Session | PolicyKind::Trust => return Some(Reach::Both),
            PolicyKind::Key { arn } => return (text == "*" || text == arn).then_some(Reach::Both),
            PolicyKind::Bucket { bucket } => (format!("arn:aws:s3:::{bucket}"), "/"),
            PolicyKind::AccessPoint { arn } => (arn.clone(), "/object/"),
        };
        match text.strip_prefix(&container)? {
            "" => Some(Reach::Container),
            rest if rest.starts_with(objects) => Some(Reach::Objects),
            // What begins with the name of the bucket holds the bucket and its objects, and other buckets in vain.
            rest if rest.bytes().all(|byte| byte == b'*') => Some(Reach::Both),
            rest if rest.starts_with('*') => Some(Reach::Objects),
            _ => None,
        }
    }

    /// The key of a condition, and the name that follows it; refused if this kind of policy is never asked about it.
    pub fn key<'a>(
        &self,
        condition: &'a ConditionText,
        statement: &StatementText,
    ) -> Result<(ConditionKey, Option<&'a str>), PolicyFault> {
        let text = condition.key.as_str();
        let services: &[&str] = match self {
            PolicyKind::Identity | PolicyKind::Session => &["aws:", "s3:", "iam:", "sts:", "kms:"],
            PolicyKind::Bucket { .. } | PolicyKind::AccessPoint { .. } => &["aws:", "s3:"],
            PolicyKind::Trust => &["aws:", "iam:", "sts:"],
            PolicyKind::Key { .. } => &["aws:", "kms:"],
        };
        let found = ConditionKey::named(text).filter(|(key, _)| services.iter().any(|s| key.name().starts_with(s)));
        let is_claim = *self == PolicyKind::Trust && is_claim(text, statement);
        let found = found.or_else(|| is_claim.then_some((ConditionKey::Claim, Some(text))));
        found.ok_or_else(|| PolicyFault::detailed("Policy has an invalid condition key", text))
    }
}

const TRUST_FAULT: &str = "AssumeRole policy may only specify STS AssumeRole actions.";

/// What a resource of a statement can be.
enum Reach {
    /// The bucket, or the access point.
    Container,
    /// Objects in it.
    Objects,
    /// Either.
    Both,
}

/// Whether `key` is a claim, `provider:claim`, of a provider that the statement trusts.
fn is_claim(key: &str, statement: &StatementText) -> bool {
    let Some((provider, claim)) = key.rsplit_once(':') else { return false };
    let names = statement.principals.iter().flat_map(|principals| &principals.names);
    let mut trusted = names.filter_map(|name| match name {
        PrincipalText::Named(PrincipalName::Federated(name)) => Some(name),
        _ => None,
    });
    let is_trusted =
        trusted.any(|name| name.split_once(":oidc-provider/").map_or(name.as_str(), |(_, url)| url) == provider);
    is_trusted && !claim.is_empty()
}
