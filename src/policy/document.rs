//! The document of a policy: its elements as text, in the order of the document, and the one form in which they are shown.
//!
//! The form shown is normal: single values are no arrays, accounts are the ARNs of their roots, all white space is gone.
//! What is shown reads as the same document again. Sizes are limited by it.

use std::borrow::Cow;
use std::fmt;

use super::json::{self, Json};
use super::kind::{Element, PolicyKind};
use super::principal_name::PrincipalName;
use super::statement::Effect;

/// The most bytes of JSON that are looked at, before white space is gone: well over any limit of a normal form.
const WRITTEN_BYTES_MAX: usize = 256 << 10;

/// Why a text is no policy: S3's `MalformedPolicy`, IAM's `MalformedPolicyDocument`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFault {
    /// What is wrong, in S3's words where they are known.
    pub message: Cow<'static, str>,
    /// Where it is wrong: the offending value.
    pub detail: Option<String>,
}

impl PolicyFault {
    /// A fault that needs no further explanation.
    pub(super) fn new(message: impl Into<Cow<'static, str>>) -> PolicyFault {
        PolicyFault { message: message.into(), detail: None }
    }

    /// A fault of some value.
    pub(super) fn detailed(message: &'static str, detail: impl Into<String>) -> PolicyFault {
        PolicyFault { message: Cow::Borrowed(message), detail: Some(detail.into()) }
    }

    /// A required element is not there.
    pub(super) fn missing(element: &str) -> PolicyFault {
        PolicyFault::new(format!("Missing required field {element}"))
    }
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for PolicyFault {}

/// The language that a policy is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `2008-10-17`, the default: without variables.
    Of2008,
    /// `2012-10-17`.
    Of2012,
}

/// Whether an element lists what is meant or what is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `Principal`, `Action`, `Resource`: those listed.
    Listed,
    /// `NotPrincipal`, `NotAction`, `NotResource`: all but those listed.
    AllBut,
}

/// A policy as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// `Version`.
    pub version: Version,
    /// `Id`.
    pub id: Option<String>,
    /// `Statement`.
    pub statements: Vec<StatementText>,
}

/// A statement as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementText {
    /// `Sid`.
    pub sid: Option<String>,
    /// `Effect`.
    pub effect: Effect,
    /// `Principal` or `NotPrincipal`.
    pub principals: Option<PrincipalsText>,
    /// `Action` or `NotAction`.
    pub actions: ListText,
    /// `Resource` or `NotResource`.
    pub resources: Option<ListText>,
    /// `Condition`: those of one operator stand together.
    pub conditions: Vec<ConditionText>,
}

/// A list of values as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListText {
    /// Whether these are meant or all others.
    pub form: Form,
    /// At least one.
    pub values: Vec<String>,
}

/// Principals as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalsText {
    /// Whether these are meant or all others.
    pub form: Form,
    /// At least one, those of one type together.
    pub names: Vec<PrincipalText>,
}

/// A principal as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalText {
    /// `"*"` instead of a map of principals.
    Star,
    /// `"AWS": "*"`.
    AwsStar,
    /// A certain principal.
    Named(PrincipalName),
}

/// A condition as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionText {
    /// The operator with its prefix and suffix.
    pub operator: String,
    /// The key as it was spelled.
    pub key: String,
    /// At least one value.
    pub values: Vec<String>,
}

impl Document {
    /// Reads the document of a policy and checks which elements are there, but not yet what they say.
    pub fn parse(text: &[u8], kind: &PolicyKind) -> Result<Document, PolicyFault> {
        let invalid = || PolicyFault::new(kind.not_json());
        if text.first() != Some(&b'{') && !kind.is_trimmed() || text.len() > WRITTEN_BYTES_MAX {
            return Err(invalid());
        }
        let json = Json::parse(text).ok_or_else(invalid)?;
        if let Some(name) = json.repeated_name() {
            return Err(PolicyFault::detailed("Policy has a duplicate field", name));
        }
        let Json::Object(members) = json else { return Err(invalid()) };
        let (mut version, mut id, mut statements) = (Version::Of2008, None, None);
        for (name, value) in members {
            match name.as_str() {
                "Version" => version = parse_version(&value)?,
                "Id" => id = Some(text_of(value, "Id")?),
                "Statement" => statements = Some(parse_statements(value, kind)?),
                _ => return Err(PolicyFault::new(format!("Unknown field {name}"))),
            }
        }
        let statements = statements.ok_or_else(|| PolicyFault::missing("Statement"))?;
        let document = Document { version, id, statements };
        let bytes = document.text().len();
        if bytes > kind.bytes_max() {
            let most = kind.bytes_max();
            let message = format!("Normalized policy document exceeds the maximum allowed size of {most} bytes");
            return Err(PolicyFault::new(message));
        }
        Ok(document)
    }

    /// The document in its normal form.
    pub fn text(&self) -> String {
        self.text_with(&|name| name.to_string())
    }

    /// The document in its normal form, with principals named by `show`.
    pub fn text_with(&self, show: &dyn Fn(&PrincipalName) -> String) -> String {
        let mut out = String::from(match self.version {
            Version::Of2008 => r#"{"Version":"2008-10-17""#,
            Version::Of2012 => r#"{"Version":"2012-10-17""#,
        });
        if let Some(id) = &self.id {
            out.push_str(r#","Id":"#);
            json::push_string(&mut out, id);
        }
        out.push_str(r#","Statement":["#);
        for (index, statement) in self.statements.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            statement.push(&mut out, show);
        }
        out.push_str("]}");
        out
    }
}

impl StatementText {
    fn push(&self, out: &mut String, show: &dyn Fn(&PrincipalName) -> String) {
        out.push('{');
        if let Some(sid) = &self.sid {
            out.push_str(r#""Sid":"#);
            json::push_string(out, sid);
            out.push(',');
        }
        out.push_str(match self.effect {
            Effect::Allow => r#""Effect":"Allow""#,
            Effect::Deny => r#""Effect":"Deny""#,
        });
        if let Some(principals) = &self.principals {
            principals.push(out, show);
        }
        self.actions.push(out, ["Action", "NotAction"]);
        if let Some(resources) = &self.resources {
            resources.push(out, ["Resource", "NotResource"]);
        }
        if !self.conditions.is_empty() {
            push_conditions(out, &self.conditions);
        }
        out.push('}');
    }
}

impl ListText {
    fn push(&self, out: &mut String, names: [&str; 2]) {
        push_name(out, self.form, names);
        json::push_strings(out, self.values.iter().map(String::as_str));
    }
}

impl PrincipalsText {
    fn push(&self, out: &mut String, show: &dyn Fn(&PrincipalName) -> String) {
        push_name(out, self.form, ["Principal", "NotPrincipal"]);
        if self.names.first() == Some(&PrincipalText::Star) {
            out.push_str(r#""*""#);
            return;
        }
        out.push('{');
        for (index, group) in self.names.chunk_by(|one, next| one.element() == next.element()).enumerate() {
            if index > 0 {
                out.push(',');
            }
            json::push_string(out, group[0].element());
            out.push(':');
            let shown: Vec<String> = group.iter().map(|name| name.shown(show)).collect();
            json::push_strings(out, shown.iter().map(String::as_str));
        }
        out.push('}');
    }
}

impl PrincipalText {
    /// The name in the map of principals under which this one stands.
    pub fn element(&self) -> &'static str {
        match self {
            PrincipalText::Star | PrincipalText::AwsStar => "AWS",
            PrincipalText::Named(name) => name.element(),
        }
    }

    fn shown(&self, show: &dyn Fn(&PrincipalName) -> String) -> String {
        match self {
            PrincipalText::Star | PrincipalText::AwsStar => "*".to_owned(),
            PrincipalText::Named(name) => show(name),
        }
    }
}

fn push_name(out: &mut String, form: Form, [listed, all_but]: [&str; 2]) {
    out.push(',');
    json::push_string(out, if form == Form::Listed { listed } else { all_but });
    out.push(':');
}

fn push_conditions(out: &mut String, conditions: &[ConditionText]) {
    out.push_str(r#","Condition":{"#);
    for (index, group) in conditions.chunk_by(|one, next| one.operator == next.operator).enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::push_string(out, &group[0].operator);
        out.push_str(":{");
        for (index, condition) in group.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            json::push_string(out, &condition.key);
            out.push(':');
            json::push_strings(out, condition.values.iter().map(String::as_str));
        }
        out.push('}');
    }
    out.push('}');
}

fn parse_version(value: &Json) -> Result<Version, PolicyFault> {
    match value {
        Json::Text(text) if text == "2008-10-17" => Ok(Version::Of2008),
        Json::Text(text) if text == "2012-10-17" => Ok(Version::Of2012),
        _ => Err(PolicyFault::new("The policy must contain a valid version string")),
    }
}

fn parse_statements(value: Json, kind: &PolicyKind) -> Result<Vec<StatementText>, PolicyFault> {
    let items = match value {
        Json::List(items) => items,
        single => vec![single],
    };
    if items.is_empty() {
        return Err(PolicyFault::new("Could not parse the policy: Statement is empty!"));
    }
    items.into_iter().map(|item| parse_statement(item, kind)).collect()
}

fn parse_statement(value: Json, kind: &PolicyKind) -> Result<StatementText, PolicyFault> {
    let Json::Object(members) = value else {
        return Err(PolicyFault::new("Statement must be an object"));
    };
    let (mut sid, mut effect, mut principals) = (None, None, None);
    let (mut actions, mut resources, mut conditions) = (None, None, Vec::new());
    for (name, value) in members {
        match name.as_str() {
            "Sid" => sid = Some(text_of(value, "Sid")?),
            "Effect" => effect = Some(parse_effect(&value)?),
            "Principal" => set(&mut principals, parse_principals(value, Form::Listed)?, "Principal")?,
            "NotPrincipal" => set(&mut principals, parse_principals(value, Form::AllBut)?, "Principal")?,
            "Action" => set(&mut actions, list(value, Form::Listed, "Action", kind)?, "Action")?,
            "NotAction" => set(&mut actions, list(value, Form::AllBut, "NotAction", kind)?, "Action")?,
            "Resource" => set(&mut resources, list(value, Form::Listed, "Resource", kind)?, "Resource")?,
            "NotResource" => set(&mut resources, list(value, Form::AllBut, "NotResource", kind)?, "Resource")?,
            "Condition" => conditions = parse_conditions(value)?,
            _ => return Err(PolicyFault::new(format!("Unknown field {name}"))),
        }
    }
    let effect = effect.ok_or_else(|| PolicyFault::missing("Effect"))?;
    check_presence(principals.is_some(), kind.principal(), "Principal", kind)?;
    let actions = actions.ok_or_else(|| kind.lacks("Action"))?;
    check_presence(resources.is_some(), kind.resource(), "Resource", kind)?;
    Ok(StatementText { sid, effect, principals, actions, resources, conditions })
}

fn check_presence(is_there: bool, element: Element, name: &str, kind: &PolicyKind) -> Result<(), PolicyFault> {
    match (element, is_there) {
        (Element::Required, false) => Err(kind.lacks(name)),
        (Element::Prohibited, true) => Err(kind.must_lack(name)),
        _ => Ok(()),
    }
}

/// An element and its negation exclude each other.
fn set<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), PolicyFault> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(PolicyFault::new(format!("Statement must not contain both {name} and Not{name}"))),
    }
}

fn parse_effect(value: &Json) -> Result<Effect, PolicyFault> {
    match value {
        Json::Text(text) if text == "Allow" => Ok(Effect::Allow),
        Json::Text(text) if text == "Deny" => Ok(Effect::Deny),
        Json::Text(text) => Err(PolicyFault::new(format!("Invalid effect: {text}"))),
        _ => Err(PolicyFault::new("Invalid effect")),
    }
}

fn parse_principals(value: Json, form: Form) -> Result<PrincipalsText, PolicyFault> {
    let invalid = |detail: &str| PolicyFault::detailed("Invalid principal in policy", detail);
    let members = match value {
        Json::Text(star) if star == "*" => return Ok(PrincipalsText { form, names: vec![PrincipalText::Star] }),
        Json::Text(text) => return Err(invalid(&text)),
        Json::Object(members) if !members.is_empty() => members,
        _ => return Err(invalid("Principal must be \"*\" or an object")),
    };
    let mut names = Vec::new();
    for (element, value) in members {
        for text in strings(value).ok_or_else(|| invalid(&element))? {
            names.push(match (element.as_str(), text.as_str()) {
                ("AWS", "*") => PrincipalText::AwsStar,
                (element, text) => {
                    PrincipalText::Named(PrincipalName::parse(element, text).ok_or_else(|| invalid(text))?)
                }
            });
        }
    }
    Ok(PrincipalsText { form, names })
}

fn list(value: Json, form: Form, name: &str, kind: &PolicyKind) -> Result<ListText, PolicyFault> {
    let values = strings(value).ok_or_else(|| kind.lacks(name))?;
    Ok(ListText { form, values })
}

fn parse_conditions(value: Json) -> Result<Vec<ConditionText>, PolicyFault> {
    let invalid = |detail: &str| PolicyFault::detailed("Policy has an invalid condition", detail);
    let Json::Object(operators) = value else { return Err(invalid("Condition must be an object")) };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let Json::Object(keys) = keys else { return Err(invalid(&operator)) };
        // An operator without keys would be true of everything.
        if keys.is_empty() {
            return Err(invalid(&operator));
        }
        for (key, values) in keys {
            let values = scalars(values).ok_or_else(|| invalid(&key))?;
            conditions.push(ConditionText { operator: operator.clone(), key, values });
        }
    }
    Ok(conditions)
}

fn text_of(value: Json, name: &str) -> Result<String, PolicyFault> {
    match value {
        Json::Text(text) => Ok(text),
        _ => Err(PolicyFault::new(format!("{name} must be a string"))),
    }
}

/// One string, or several in an array; None if it is anything else, or nothing.
fn strings(value: Json) -> Option<Vec<String>> {
    let items = match value {
        Json::List(items) => items,
        single => vec![single],
    };
    let texts = items.into_iter().map(|item| if let Json::Text(text) = item { Some(text) } else { None });
    texts.collect::<Option<Vec<_>>>().filter(|texts| !texts.is_empty())
}

/// As `strings`, with numbers and truths as their text.
fn scalars(value: Json) -> Option<Vec<String>> {
    let items = match value {
        Json::List(items) => items,
        single => vec![single],
    };
    let texts = items.into_iter().map(|item| match item {
        Json::Text(text) | Json::Number(text) => Some(text),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    });
    texts.collect::<Option<Vec<_>>>().filter(|texts| !texts.is_empty())
}
