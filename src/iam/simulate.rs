//! SimulatePrincipalPolicy and SimulateCustomPolicy: what policies would decide, and which policies decide it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::directory::entity::{Group, Permissions, Role, User};
use crate::directory::roster::{Entity, Roster};
use crate::directory::{Snapshot, managed, managed_policy};
use crate::iam::page::Pager;
use crate::iam::request::Request;
use crate::policy::{
    Action, ConditionKey, ConditionKeys, Decision, KeyValue, Opinions, Outcome, Policy, PolicyKind, Principal,
    Question, Ruling, combine,
};
use crate::query_api::{Answer, Fault, Form};
use crate::xml::Writer;

/// The most questions of one call.
const QUESTIONS_MAX: usize = 1000;
/// The most policies of one call beside those of the principal.
const POLICIES_MAX: usize = 100;

/// A policy with what answers call it.
struct Named {
    id: String,
    kind: &'static str,
    policy: Arc<Policy>,
}

/// Who would ask, with what.
struct Subject {
    principal: Principal,
    policies: Vec<Named>,
    boundary: Option<Named>,
}

/// A context key of the call, with its values.
struct Entry {
    key: ConditionKey,
    name: Option<String>,
    values: Vec<String>,
    is_list: bool,
}

/// The context that a call gives, and the keys that were asked for and are not in it.
struct Context<'a> {
    entries: &'a [Entry],
    missing: RefCell<BTreeSet<String>>,
}

/// What one question came to.
struct Evaluation {
    action: Action,
    resource: String,
    decision: &'static str,
    /// The policies that decided it: their names and kinds.
    matched: Vec<(String, &'static str)>,
    missing: BTreeSet<String>,
}

/// What the policies of a user, group or role would decide, together with those in the call.
pub fn principal(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let arn = form.required("PolicySourceArn")?;
    request.require(arn, &request.keys())?;
    let roster = request.roster(snapshot)?;
    let mut subject = subject(roster, arn)?;
    subject.policies.extend(given(form, "PolicyInputList")?);
    if let Some(boundary) = given(form, "PermissionsBoundaryPolicyInputList")?.pop() {
        subject.boundary = Some(boundary);
    }
    run(request, &subject, answer)
}

/// What the policies in the call would decide.
pub fn custom(request: &Request, _snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    request.require("*", &request.keys())?;
    let form = request.form();
    let account = request.account.to_string();
    let arn = format!("arn:aws:iam::{account}:user/simulated");
    let principal = Principal::User { account, arn, id: "AIDASIMULATED".to_owned() };
    let policies = given(form, "PolicyInputList")?;
    if policies.is_empty() {
        form.required("PolicyInputList.member.1")?;
    }
    let boundary = given(form, "PermissionsBoundaryPolicyInputList")?.pop();
    run(request, &Subject { principal, policies, boundary }, answer)
}

/// Asks every question of the call, and writes a page of what comes of them.
fn run(request: &Request, subject: &Subject, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let names = form.list("ActionNames");
    if names.is_empty() {
        form.required("ActionNames.member.1")?;
    }
    let known = |name: &str| Action::named(name).ok_or_else(|| Fault::validation(format!("Invalid Action: {name}")));
    let actions: Vec<Action> = names.into_iter().map(known).collect::<Result<_, _>>()?;
    let mut resources = form.list("ResourceArns");
    if resources.is_empty() {
        resources.push("*");
    }
    if actions.len() * resources.len() > QUESTIONS_MAX {
        return Err(Fault::validation(format!("A call can ask up to {QUESTIONS_MAX} questions.")));
    }
    let entries = entries(form);
    let questions = actions.iter().flat_map(|action| resources.iter().map(move |resource| (*action, *resource)));
    let questions: Vec<_> = questions.enumerate().map(|(index, asked)| (format!("{index:06}"), asked)).collect();
    let page = Pager::new(form)?.page(questions.iter().map(|(key, asked)| (key.as_str(), *asked)));
    page.write(answer.result(), "EvaluationResults", |writer, (action, resource)| {
        write(writer, &evaluate(subject, &entries, *action, resource));
    });
    Ok(())
}

fn evaluate(subject: &Subject, entries: &[Entry], action: Action, resource: &str) -> Evaluation {
    let context = Context { entries, missing: RefCell::default() };
    let principal = &subject.principal;
    let question = Question { principal, action, resource, keys: &context };
    let identity: Vec<Decision> = subject.policies.iter().map(|named| named.policy.decide(&question)).collect();
    let boundary = subject.boundary.as_ref().map(|named| named.policy.decide(&question));
    let outcome = combine(&Opinions {
        principal,
        owner: principal.account().unwrap_or_default(),
        identity: &identity,
        resource: &[],
        session: None,
        boundary,
        ruling: Ruling::Either,
    });
    let named = subject.policies.iter().zip(&identity).chain(subject.boundary.iter().zip(&boundary));
    let all = |wanted: fn(&Decision) -> bool| {
        let matched = named.filter(|(_, decision)| wanted(decision)).map(|(named, _)| (named.id.clone(), named.kind));
        matched.collect()
    };
    let (decision, matched) = match outcome {
        Outcome::Allowed { .. } => ("allowed", all(|decision| matches!(decision, Decision::Allow { .. }))),
        Outcome::ExplicitDeny { .. } => ("explicitDeny", all(|decision| matches!(decision, Decision::Deny { .. }))),
        Outcome::ImplicitDeny { .. } => ("implicitDeny", Vec::new()),
    };
    Evaluation { action, resource: resource.to_owned(), decision, matched, missing: context.missing.into_inner() }
}

fn write(writer: &mut Writer, evaluation: &Evaluation) {
    writer.element("EvalActionName", evaluation.action.name()).element("EvalResourceName", &evaluation.resource);
    writer.element("EvalDecision", evaluation.decision).open("MatchedStatements");
    for (id, kind) in &evaluation.matched {
        writer.open("member").element("SourcePolicyId", id).element("SourcePolicyType", kind).close();
    }
    writer.close().open("MissingContextValues");
    for key in &evaluation.missing {
        writer.element("member", key);
    }
    writer.close();
}

impl ConditionKeys for Context<'_> {
    fn value(&self, key: ConditionKey, name: Option<&str>) -> Option<KeyValue<'_>> {
        let is_named = |entry: &&Entry| match (&entry.name, name) {
            (Some(own), Some(name)) => own.eq_ignore_ascii_case(name),
            (own, name) => own.is_none() && name.is_none(),
        };
        let Some(entry) = self.entries.iter().filter(|entry| entry.key == key).find(is_named) else {
            let text = name.map_or(key.name().to_owned(), |name| format!("{}/{name}", key.name()));
            self.missing.borrow_mut().insert(text);
            return None;
        };
        match entry.values.as_slice() {
            [value] if !entry.is_list => Some(KeyValue::Text(value.into())),
            values => Some(KeyValue::Texts(values.iter().map(|value| value.into()).collect())),
        }
    }
}

/// The context of a call. A key that no policy can ask about is passed over.
fn entries(form: &Form) -> Vec<Entry> {
    let entries = form.members("ContextEntries").filter_map(|entry| {
        let (key, name) = ConditionKey::named(entry.get("ContextKeyName")?)?;
        let values = entry.list("ContextKeyValues").into_iter().map(str::to_owned).collect();
        let is_list = entry.get("ContextKeyType").is_some_and(|kind| kind.ends_with("List"));
        Some(Entry { key, name: name.map(str::to_owned), values, is_list })
    });
    entries.collect()
}

/// The policies in a parameter of the call.
fn given(form: &Form, list: &'static str) -> Result<Vec<Named>, Fault> {
    let texts = form.list(list);
    if texts.len() > POLICIES_MAX {
        return Err(Fault::validation(format!("A call can bring up to {POLICIES_MAX} policies.")));
    }
    let read = |(index, text): (usize, &str)| {
        let policy = Arc::new(Policy::parse(text.as_bytes(), &PolicyKind::Identity)?);
        Ok(Named { id: format!("{list}.{}", index + 1), kind: "none", policy })
    };
    texts.into_iter().enumerate().map(read).collect()
}

/// The user, group or role of an account that an ARN names, with its policies.
fn subject(roster: &Roster, arn: &str) -> Result<Subject, Fault> {
    let account = roster.id();
    let name = arn.rsplit('/').next().unwrap_or_default();
    let boundary = |arn: &Option<String>| {
        let kind = "user-managed";
        arn.as_ref().map(|arn| Named { id: arn.clone(), kind, policy: managed_policy(roster, arn) })
    };
    let mut policies = Vec::new();
    if let Some(user) = roster.named::<User>(name).filter(|user| user.arn(account) == arn) {
        add(&mut policies, roster, "user", &user.permissions);
        for group in user.groups.iter().filter_map(|id| roster.with_id::<Group>(id)) {
            add(&mut policies, roster, "group", &group.permissions);
        }
        let account = account.to_string();
        let principal = Principal::User { account, arn: arn.to_owned(), id: user.id.clone() };
        return Ok(Subject { principal, policies, boundary: boundary(&user.boundary) });
    }
    if let Some(group) = roster.named::<Group>(name).filter(|group| group.arn(account) == arn) {
        add(&mut policies, roster, "group", &group.permissions);
        let principal = Principal::User { account: account.to_string(), arn: arn.to_owned(), id: group.id.clone() };
        return Ok(Subject { principal, policies, boundary: None });
    }
    if let Some(role) = roster.named::<Role>(name).filter(|role| role.arn(account) == arn) {
        add(&mut policies, roster, "role", &role.permissions);
        let principal = Principal::Role {
            account: account.to_string(),
            role_arn: arn.to_owned(),
            role_id: role.id.clone(),
            session_arn: format!("arn:aws:sts::{account}:assumed-role/{name}/simulated"),
            user_id: format!("{}:simulated", role.id),
        };
        return Ok(Subject { principal, policies, boundary: boundary(&role.boundary) });
    }
    Err(Fault::no_such_entity(format!("The policy source {arn} cannot be found.")))
}

fn add(policies: &mut Vec<Named>, roster: &Roster, kind: &'static str, permissions: &Permissions) {
    for (name, permission) in &permissions.inline {
        policies.push(Named { id: name.clone(), kind, policy: Arc::clone(&permission.0.policy) });
    }
    for arn in &permissions.attached {
        let kind = if managed::find(arn).is_some() { "aws-managed" } else { "user-managed" };
        let id = arn.rsplit('/').next().unwrap_or(arn).to_owned();
        policies.push(Named { id, kind, policy: managed_policy(roster, arn) });
    }
}
