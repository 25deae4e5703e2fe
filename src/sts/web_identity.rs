//! AssumeRoleWithWebIdentity: temporary credentials of a role for whoever has the token of an identity provider.
//!
//! The call is not signed, so it must say nothing about what is here before the token was verified: an unknown role and
//! one that does not trust the provider look alike.

use http::StatusCode;
use jsonwebtoken::{Algorithm, Validation};
use serde_json::{Map, Value};
use strata_storage::Timestamp;

use crate::directory::entity::{Provider, Role};
use crate::directory::roster::{Entity, Roster};
use crate::directory::token::{Session, Subject};
use crate::policy::{
    Action, ConditionKey, ConditionKeys, KeyValue, Opinions, Outcome, Principal, Question, Ruling, combine,
};
use crate::query_api::{Answer, CallKeys, Fault, QueryCall};
use crate::sts::issue::{self, SessionPolicies};
use crate::sts::jwks::{JwksFault, Place};
use crate::sts::{Sts, assume_role};

/// The parameters; `ProviderId` is for providers of OAuth 2.0 without OpenID Connect, of which there are none.
pub const PARAMETERS: &[&str] =
    &["RoleArn", "RoleSessionName", "WebIdentityToken", "PolicyArns", "Policy", "DurationSeconds"];

const ACTION: Action = Action::known("sts:AssumeRoleWithWebIdentity");

/// How far the clocks of provider and server may differ, in seconds.
const SKEW_SECONDS_MAX: u64 = 60;
const TOKEN_BYTES_MAX: usize = 20_000;

/// What a token says.
type Claims = Map<String, Value>;

/// The provider that a token claims to be of, as the role's account knows it.
struct Known {
    /// `https://id.example.com/realms/x`
    issuer: String,
    jwks_url: Option<String>,
    /// The URL without its scheme: what claims are called by.
    name: String,
    arn: String,
    audiences: Vec<String>,
}

/// The condition keys of the call, with the claims of the token.
struct Keys<'a> {
    call: CallKeys<'a>,
    provider: &'a Known,
    claims: &'a Claims,
    /// The audience by which the token is accepted: of several, the one that policies mean.
    audience: &'a str,
}

/// Gives credentials.
pub async fn run(sts: &Sts, call: &QueryCall, answer: &mut Answer) -> Result<(), Fault> {
    let form = &call.form;
    let (arn, name) = (form.required("RoleArn")?, issue::session_name(form, "RoleSessionName")?);
    let token = form.required("WebIdentityToken")?;
    let snapshot = sts.directory.snapshot();
    let (roster, role) = assume_role::find(&snapshot, arn).ok_or_else(|| assume_role::denied(call, ACTION, arn))?;
    let provider = provider(sts, roster, &unverified_issuer(token)?)?;
    let claims = verify(sts, &provider, token, call.now).await?;
    let audience = check(&claims, &provider, call.now)?;
    let subject = text(&claims, "sub").ok_or_else(|| invalid("The token has no subject"))?;
    let call_keys = call_keys(call, roster, role, &provider);
    let keys = Keys { call: call_keys, provider: &provider, claims: &claims, audience: &audience };
    ask(&keys, call, roster, role)?;
    let seconds = issue::role_seconds(form, role.session_seconds_max)?;
    let SessionPolicies { text: policy, arns: policy_arns } = SessionPolicies::read(form, roster)?;
    let session = Session {
        account: roster.id(),
        subject: Subject::Role { id: role.id.clone(), session: name.to_owned() },
        issued: call.now,
        expires: issue::end(call.now, seconds),
        policy,
        policy_arns,
        tags: Vec::new(),
        transitive: Vec::new(),
        provider: Some(provider.arn.clone()),
        source_identity: None,
    };
    answer.result().element("SubjectFromWebIdentityToken", subject).element("Audience", &audience);
    assume_role::write_user(answer.result(), roster, role, name);
    issue::credentials(&sts.directory, &session, answer)?;
    answer.result().element("Provider", &provider.arn);
    Ok(())
}

/// Who a token says that it is of, which nobody has verified yet.
fn unverified_issuer(token: &str) -> Result<String, Fault> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Fault::constraint("WebIdentityToken", "", "Member must have length less than or equal to 20000"));
    }
    let unverified: Option<Claims> = jsonwebtoken::dangerous::insecure_decode(token).ok().map(|token| token.claims);
    let claims = unverified.ok_or_else(|| {
        invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
    })?;
    text(&claims, "iss").map(str::to_owned).ok_or_else(|| invalid("The token has no issuer"))
}

/// The provider of that URL: one of the account, or one of the settings.
fn provider(sts: &Sts, roster: &Roster, issuer: &str) -> Result<Known, Fault> {
    let name = issuer.split_once("://").map_or(issuer, |(_, name)| name).trim_end_matches('/').to_owned();
    let arn = format!("arn:aws:iam::{}:oidc-provider/{name}", roster.id());
    if let Some(found) = roster.named::<Provider>(&name).filter(|_| issuer.starts_with("https://")) {
        let audiences = found.client_ids.iter().cloned().collect();
        return Ok(Known { issuer: issuer.to_owned(), jwks_url: None, name, arn: found.arn(roster.id()), audiences });
    }
    let is_same = |url: &str| url.trim_end_matches('/') == issuer.trim_end_matches('/');
    match sts.issuers.iter().find(|configured| is_same(&configured.issuer)) {
        Some(found) => {
            let (jwks_url, audiences) = (found.jwks_url.clone(), found.audiences.clone());
            Ok(Known { issuer: issuer.to_owned(), jwks_url, name, arn, audiences })
        }
        None => Err(invalid("No OpenIDConnect provider found in your account for the issuer of the token")),
    }
}

/// The claims of a token that its provider signed.
async fn verify(sts: &Sts, provider: &Known, token: &str, now: Timestamp) -> Result<Claims, Fault> {
    let header =
        jsonwebtoken::decode_header(token).map_err(|_| invalid("The ID Token provided is not a valid JWT."))?;
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
        return Err(invalid("The token must be signed with RS256 or ES256"));
    }
    let place = Place { issuer: &provider.issuer, jwks_url: provider.jwks_url.as_deref() };
    let key = sts.jwks.key(&place, header.kid.as_deref(), now).await.map_err(|fault| match fault {
        JwksFault::NoSuchKey => invalid("Couldn't retrieve verification key from your identity provider"),
        JwksFault::Provider(reason) => {
            tracing::warn!(issuer = provider.issuer, reason, "the keys of an identity provider cannot be had");
            let message = "Couldn't retrieve verification key from your identity provider, please try again";
            Fault::new(StatusCode::BAD_REQUEST, "IDPCommunicationError", message)
        }
    })?;
    let mut validation = Validation::new(header.alg);
    // Times are compared by `check`, with the clock of this server's settings, and the audience with the provider's.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let verified = jsonwebtoken::decode::<Claims>(token, &key, &validation);
    verified.map(|verified| verified.claims).map_err(|_| invalid("The token's signature is invalid"))
}

/// Checks what a verified token says of itself, and gives the audience by which it is accepted.
fn check(claims: &Claims, provider: &Known, now: Timestamp) -> Result<String, Fault> {
    let seconds = now.as_secs();
    let time = |name: &str| claims.get(name).map(|value| value.as_f64().map(|time| time as u64));
    let malformed = || invalid("A time in the token is not a number");
    let expires = time("exp").ok_or_else(|| invalid("The token has no expiration"))?.ok_or_else(malformed)?;
    if seconds >= expires.saturating_add(SKEW_SECONDS_MAX) {
        let message = "Token expired: current date/time must be before the expiration date/time";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "ExpiredTokenException", message));
    }
    for name in ["nbf", "iat"] {
        if let Some(begins) = time(name)
            && begins.ok_or_else(malformed)? > seconds.saturating_add(SKEW_SECONDS_MAX)
        {
            return Err(invalid("The token is not valid yet"));
        }
    }
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(audience)) => vec![audience],
        Some(Value::Array(audiences)) => audiences.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let accepted = audiences.into_iter().find(|audience| provider.audiences.iter().any(|known| known == audience));
    accepted.map(str::to_owned).ok_or_else(|| invalid("Incorrect token audience"))
}

/// The condition keys of the call itself.
fn call_keys<'a>(call: &'a QueryCall, roster: &Roster, role: &'a Role, provider: &'a Known) -> CallKeys<'a> {
    let mut keys = CallKeys::new(call).of_account(roster.id().to_string()).on(&role.tags);
    keys = keys.with(ConditionKey::AwsFederatedProvider, KeyValue::Text(provider.arn.as_str().into()));
    if let Some(name) = call.form.get("RoleSessionName") {
        keys = keys.with(ConditionKey::StsRoleSessionName, KeyValue::Text(name.into()));
    }
    keys
}

/// Asks the role's trust policy.
fn ask(keys: &Keys<'_>, call: &QueryCall, roster: &Roster, role: &Role) -> Result<(), Fault> {
    let principal = Principal::Federated { provider: keys.provider.arn.clone() };
    let arn = role.arn(roster.id());
    let question = Question { principal: &principal, action: ACTION, resource: &arn, keys };
    let outcome = combine(&Opinions {
        principal: &principal,
        owner: &roster.id().to_string(),
        identity: &[],
        resource: &[role.trust.0.policy.decide(&question)],
        session: None,
        boundary: None,
        ruling: Ruling::ResourceMust,
    });
    match outcome {
        Outcome::Allowed { .. } => Ok(()),
        Outcome::ExplicitDeny { .. } | Outcome::ImplicitDeny { .. } => Err(assume_role::denied(call, ACTION, &arn)),
    }
}

impl ConditionKeys for Keys<'_> {
    fn value(&self, key: ConditionKey, name: Option<&str>) -> Option<KeyValue<'_>> {
        if key != ConditionKey::Claim {
            return self.call.value(key, name);
        }
        let (provider, claim) = name?.rsplit_once(':')?;
        if !provider.eq_ignore_ascii_case(&self.provider.name) {
            return None;
        }
        if claim == "aud" {
            return Some(KeyValue::Text(self.audience.into()));
        }
        match self.claims.get(claim)? {
            Value::String(text) => Some(KeyValue::Text(text.into())),
            Value::Bool(flag) => Some(KeyValue::Text(flag.to_string().into())),
            Value::Number(number) => Some(KeyValue::Text(number.to_string().into())),
            Value::Array(values) => {
                Some(KeyValue::Texts(values.iter().filter_map(Value::as_str).map(Into::into).collect()))
            }
            Value::Null | Value::Object(_) => None,
        }
    }
}

fn text<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn invalid(message: &'static str) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "InvalidIdentityToken", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use strata_storage::Timestamp;

    use super::{Claims, Known, check};

    #[test]
    fn tokens_hold_for_their_time_and_audience() {
        fn claims(value: serde_json::Value) -> Claims {
            value.as_object().unwrap().clone()
        }
        fn check_token(value: serde_json::Value, expected: Result<&str, &str>) {
            let name = "id.example.com".to_owned();
            let (issuer, arn) = (format!("https://{name}"), String::new());
            let provider = Known { issuer, jwks_url: None, name, arn, audiences: vec!["a".to_owned(), "b".to_owned()] };
            let found = check(&claims(value.clone()), &provider, Timestamp::from_secs(1000));
            let found = found.map_err(|fault| fault.code);
            assert_eq!(found.as_deref().map_err(|code| *code), expected, "{value}");
        }
        let invalid = Err("InvalidIdentityToken");
        check_token(json!({"exp": 1001, "aud": "a"}), Ok("a"));
        check_token(json!({"exp": 1001.5, "aud": ["x", "b"], "nbf": 1000, "iat": 900}), Ok("b"));
        check_token(json!({"exp": 941, "aud": "a"}), Ok("a"));
        check_token(json!({"exp": 940, "aud": "a"}), Err("ExpiredTokenException"));
        check_token(json!({"exp": 1001, "aud": "x"}), invalid);
        check_token(json!({"exp": 1001}), invalid);
        check_token(json!({"exp": "1001", "aud": "a"}), invalid);
        check_token(json!({"aud": "a"}), invalid);
        check_token(json!({"exp": 2000, "nbf": 1061, "aud": "a"}), invalid);
        check_token(json!({"exp": 2000, "iat": 1061, "aud": "a"}), invalid);
        check_token(json!({"exp": -1, "aud": "a"}), Err("ExpiredTokenException"));
    }
}
