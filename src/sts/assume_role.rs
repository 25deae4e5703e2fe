//! AssumeRole: temporary credentials of a role for those whom its trust policy names.

use std::sync::Arc;

use strata_storage::AccountId;

use crate::directory::Snapshot;
use crate::directory::entity::{Role, Tags};
use crate::directory::roster::{Entity, Roster};
use crate::directory::token::{Session, Subject};
use crate::identity::Who;
use crate::policy::{Action, ConditionKey, KeyValue, Opinions, Question, Ruling, combine};
use crate::query_api::{Answer, CallKeys, Fault, QueryCall};
use crate::sts::Sts;
use crate::sts::issue::{self, SessionPolicies};
use crate::xml::Writer;

/// The parameters; there are no second factors.
pub const PARAMETERS: &[&str] = &[
    "RoleArn",
    "RoleSessionName",
    "DurationSeconds",
    "ExternalId",
    "Policy",
    "PolicyArns",
    "Tags",
    "TransitiveTagKeys",
    "SourceIdentity",
];

const ASSUME_ROLE: Action = Action::known("sts:AssumeRole");
const TAG_SESSION: Action = Action::known("sts:TagSession");
const SET_SOURCE_IDENTITY: Action = Action::known("sts:SetSourceIdentity");

/// How long a session may last that a session of a role asks for, in seconds.
const CHAINED_SECONDS_MAX: u32 = 3600;

/// Gives credentials.
pub fn run(sts: &Sts, call: &QueryCall, answer: &mut Answer) -> Result<(), Fault> {
    let form = &call.form;
    let arn = form.required("RoleArn")?;
    let name = issue::session_name(form, "RoleSessionName")?;
    if call.caller.who == Who::Root {
        return Err(Fault::access_denied("Roles may not be assumed by root accounts."));
    }
    if let Who::FederatedUser { .. } = call.caller.who {
        // As at AWS, such sessions can ask STS only who they are.
        return Err(denied(call, ASSUME_ROLE, arn));
    }
    let asked_tags = issue::tags(form)?;
    let (tags, transitive) = passed_on(call, &asked_tags)?;
    let source_identity = match (&call.caller.source_identity, form.get("SourceIdentity")) {
        // Once said, it stays said.
        (Some(present), Some(other)) if present != other => return Err(denied(call, ASSUME_ROLE, arn)),
        (Some(present), _) => Some(present.clone()),
        (None, Some(_)) => Some(issue::session_name(form, "SourceIdentity")?.to_owned()),
        (None, None) => None,
    };
    let snapshot = sts.directory.snapshot();
    let (roster, role) = find(&snapshot, arn).ok_or_else(|| denied(call, ASSUME_ROLE, arn))?;
    let mut wanted = vec![ASSUME_ROLE];
    wanted.extend((!asked_tags.is_empty()).then_some(TAG_SESSION));
    wanted.extend(form.get("SourceIdentity").is_some().then_some(SET_SOURCE_IDENTITY));
    for action in wanted {
        ask(call, action, roster, role, &asked_tags)?;
    }
    let mut seconds = issue::role_seconds(form, role.session_seconds_max)?;
    if matches!(call.caller.who, Who::Role { .. }) {
        if form.get("DurationSeconds").is_some() && seconds > CHAINED_SECONDS_MAX {
            let message =
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
            return Err(Fault::validation(message));
        }
        seconds = seconds.min(CHAINED_SECONDS_MAX);
    }
    let SessionPolicies { text, arns } = SessionPolicies::read(form, roster)?;
    let session = Session {
        account: roster.id(),
        subject: Subject::Role { id: role.id.clone(), session: name.to_owned() },
        issued: call.now,
        expires: issue::end(call.now, seconds),
        policy: text,
        policy_arns: arns,
        tags,
        transitive,
        provider: call.caller.provider.clone(),
        source_identity: source_identity.clone(),
    };
    issue::credentials(&sts.directory, &session, answer)?;
    write_user(answer.result(), roster, role, name);
    if let Some(source_identity) = source_identity {
        answer.result().element("SourceIdentity", source_identity);
    }
    Ok(())
}

/// The tags of the session, and the keys of those that go on to the next: with those that the caller's session passes on,
/// which nobody can take back.
fn passed_on(call: &QueryCall, asked: &Tags) -> Result<(Tags, Vec<String>), Fault> {
    let mut transitive: Vec<String> = call.form.list("TransitiveTagKeys").into_iter().map(str::to_owned).collect();
    if let Some(key) = transitive.iter().find(|key| asked.iter().all(|(own, _)| !own.eq_ignore_ascii_case(key))) {
        return Err(Fault::validation(format!("The transitive tag key {key} is not among the tags of the session.")));
    }
    let mut tags = asked.clone();
    for key in &call.caller.transitive_tags {
        if asked.iter().any(|(own, _)| own.eq_ignore_ascii_case(key)) {
            let message = format!("The tag key {key} is passed on by the caller's session and cannot be set.");
            return Err(Fault::validation(message));
        }
        let inherited = call.caller.tags.iter().find(|(own, _)| own.eq_ignore_ascii_case(key));
        tags.extend(inherited.cloned());
        transitive.push(key.clone());
    }
    Ok((tags, transitive))
}

/// The role with that ARN, in its account.
pub fn find<'s>(snapshot: &'s Snapshot, arn: &str) -> Option<(&'s Arc<Roster>, &'s Arc<Role>)> {
    let (account, name) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let roster = snapshot.roster(AccountId::parse(account)?)?;
    let role = roster.named::<Role>(name.rsplit('/').next()?)?;
    let is_there = role.arn(roster.id()) == arn && !roster.account.disabled;
    is_there.then_some((roster, role))
}

/// Writes who the session is.
pub fn write_user(writer: &mut Writer, roster: &Roster, role: &Role, session: &str) {
    writer.open("AssumedRoleUser").element("AssumedRoleId", format!("{}:{session}", role.id));
    writer.element("Arn", format!("arn:aws:sts::{}:assumed-role/{}/{session}", roster.id(), role.name)).close();
}

/// 403 `AccessDenied`: also for a role that does not exist, so that nobody learns which do.
pub fn denied(call: &QueryCall, action: Action, arn: &str) -> Fault {
    let (action, caller) = (action.name(), call.caller.arn());
    Fault::access_denied(match caller.is_empty() {
        true => format!("Not authorized to perform {action}"),
        false => format!("User: {caller} is not authorized to perform: {action} on resource: {arn}"),
    })
}

/// Asks the role's trust policy, and the caller's policies.
fn ask(call: &QueryCall, action: Action, roster: &Roster, role: &Role, tags: &Tags) -> Result<(), Fault> {
    let (form, arn) = (&call.form, role.arn(roster.id()));
    let owner = roster.id().to_string();
    let mut keys = CallKeys::new(call).of_account(owner.clone()).on(&role.tags).with_tags(tags);
    let texts = [
        (ConditionKey::StsExternalId, "ExternalId"),
        (ConditionKey::StsRoleSessionName, "RoleSessionName"),
        (ConditionKey::StsSourceIdentity, "SourceIdentity"),
    ];
    for (key, parameter) in texts {
        if let Some(value) = form.get(parameter) {
            keys = keys.with(key, KeyValue::Text(value.into()));
        }
    }
    let transitive = form.list("TransitiveTagKeys");
    if !transitive.is_empty() {
        let values = KeyValue::Texts(transitive.into_iter().map(Into::into).collect());
        keys = keys.with(ConditionKey::StsTransitiveTagKeys, values);
    }
    if let Some(seconds) = form.number("DurationSeconds", issue::SECONDS_MIN, 43_200)? {
        keys = keys.with(ConditionKey::StsDurationSeconds, KeyValue::Number(seconds.into()));
    }
    let principal = call.caller.principal();
    let question = Question { principal: &principal, action, resource: &arn, keys: &keys };
    let own = call.caller.decisions(&question);
    // Within one account, a trust policy that names the caller is enough; one that names the account leaves it to the
    // caller's own policies. `combine` gives a policy of a resource that must rule just that meaning.
    let outcome = combine(&Opinions {
        principal: &principal,
        owner: &owner,
        identity: &own.identity,
        resource: &[role.trust.0.policy.decide(&question)],
        session: own.session,
        boundary: own.boundary,
        ruling: Ruling::ResourceMust,
    });
    match outcome {
        crate::policy::Outcome::Allowed { .. } => Ok(()),
        _ => Err(denied(call, action, &arn)),
    }
}
