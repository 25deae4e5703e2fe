//! OpenID Connect identity providers: CreateOpenIDConnectProvider, GetOpenIDConnectProvider, ListOpenIDConnectProviders,
//! DeleteOpenIDConnectProvider, and what changes their audiences and thumbprints.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::directory::entity::Provider;
use crate::directory::roster::{Entity, Kind};
use crate::directory::{Draft, Snapshot};
use crate::iam::request::{Request, arn, exists, missing};
use crate::iam::{names, tags};
use crate::query_api::{Answer, Fault};
use crate::time::iso8601_second;

/// The most providers of an account, as at AWS.
pub const PROVIDERS_MAX: usize = 100;
const URL_BYTES_MAX: usize = 255;
const CLIENT_IDS_MAX: usize = 100;
const THUMBPRINTS_MAX: usize = 5;

/// Makes a provider.
pub fn create(request: &Request, draft: &mut Draft, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let url = url(form.required("Url")?)?;
    let tags = names::tags(form)?;
    let arn = arn(request.account, Kind::Provider, "/", &url);
    request.require(&arn, &request.keys().with_tags(&tags))?;
    let roster = request.roster(draft.snapshot())?;
    if roster.keyed::<Provider>(&url.to_lowercase()).is_some() {
        return Err(exists(Kind::Provider, &url));
    }
    if roster.all::<Provider>().len() >= PROVIDERS_MAX {
        let message = format!("Cannot exceed quota for OpenIdConnectProvidersPerAccount: {PROVIDERS_MAX}");
        return Err(Fault::limit_exceeded(message));
    }
    let provider = Provider {
        url,
        client_ids: form.list("ClientIDList").into_iter().map(client_id).collect::<Result<_, _>>()?,
        thumbprints: thumbprints(&form.list("ThumbprintList"))?,
        created: request.call.now,
        tags,
    };
    check_count(&provider.client_ids)?;
    answer.result().element("OpenIDConnectProviderArn", &arn);
    tags::write(answer.result(), &provider.tags);
    Ok(draft.put(request.account, provider)?)
}

/// Shows a provider.
pub fn get(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let provider = find(request, snapshot)?;
    let writer = answer.result();
    writer.element("Url", &provider.url).element("CreateDate", iso8601_second(provider.created));
    for (list, members) in [
        ("ClientIDList", provider.client_ids.iter().collect::<Vec<_>>()),
        ("ThumbprintList", provider.thumbprints.iter().collect()),
    ] {
        writer.open(list);
        for member in members {
            writer.element("member", member);
        }
        writer.close();
    }
    tags::write(writer, &provider.tags);
    Ok(())
}

/// Lists providers.
pub fn list(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    request.require("*", &request.keys())?;
    let writer = answer.result();
    writer.open("OpenIDConnectProviderList");
    for provider in request.roster(snapshot)?.all::<Provider>().values() {
        writer.open("member").element("Arn", provider.arn(request.account)).close();
    }
    writer.close();
    Ok(())
}

/// Removes a provider; one that is not there is none.
pub fn delete(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    match find(request, draft.snapshot()) {
        Ok(provider) => Ok(draft.remove::<Provider>(request.account, &provider.url)?),
        Err(fault) if fault.code == "NoSuchEntity" => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Adds an audience.
pub fn add_client_id(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let mut provider = find(request, draft.snapshot())?;
    provider.client_ids.insert(client_id(request.form().required("ClientID")?)?);
    check_count(&provider.client_ids)?;
    Ok(draft.put(request.account, provider)?)
}

/// Removes an audience.
pub fn remove_client_id(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let mut provider = find(request, draft.snapshot())?;
    provider.client_ids.remove(request.form().required("ClientID")?);
    Ok(draft.put(request.account, provider)?)
}

/// Replaces the thumbprints.
pub fn update_thumbprints(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let mut provider = find(request, draft.snapshot())?;
    provider.thumbprints = thumbprints(&request.form().list("ThumbprintList"))?;
    Ok(draft.put(request.account, provider)?)
}

fn find(request: &Request, snapshot: &Snapshot) -> Result<Provider, Fault> {
    let arn = request.form().required("OpenIDConnectProviderArn")?;
    let prefix = format!("arn:aws:iam::{}:oidc-provider/", request.account);
    let roster = request.roster(snapshot)?;
    match arn.strip_prefix(&prefix).and_then(|url| roster.named::<Provider>(url)) {
        Some(provider) => {
            request.require(arn, &request.keys().on(&provider.tags))?;
            Ok(Provider::clone(provider))
        }
        None => {
            request.require(arn, &request.keys())?;
            Err(missing(Kind::Provider, arn))
        }
    }
}

/// The URL without its scheme. The server fetches keys from there, so it names a host of the internet, not an address.
fn url(text: &str) -> Result<String, Fault> {
    let invalid = || Fault::invalid_input("Invalid Open ID Connect Provider URL");
    let rest = text.strip_prefix("https://").map(|rest| rest.trim_end_matches('/')).ok_or_else(invalid)?;
    let host = rest.split('/').next().unwrap_or_default();
    let is_host = !host.is_empty()
        && host.parse::<IpAddr>().is_err()
        && !host.eq_ignore_ascii_case("localhost")
        && host.bytes().any(|byte| byte.is_ascii_alphabetic())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let is_path = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte));
    match is_host && is_path && text.len() <= URL_BYTES_MAX {
        true => Ok(rest.to_owned()),
        false => Err(invalid()),
    }
}

fn client_id(text: &str) -> Result<String, Fault> {
    match (1..=255).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(Fault::constraint("ClientID", text, "Member must have length from 1 to 255")),
    }
}

fn check_count(client_ids: &BTreeSet<String>) -> Result<(), Fault> {
    match client_ids.len() <= CLIENT_IDS_MAX {
        true => Ok(()),
        false => Err(Fault::limit_exceeded(format!(
            "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENT_IDS_MAX}"
        ))),
    }
}

fn thumbprints(list: &[&str]) -> Result<Vec<String>, Fault> {
    let is_thumbprint = |text: &&str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if list.len() > THUMBPRINTS_MAX {
        return Err(Fault::invalid_input("Thumbprint list must contain fewer than 5 entries."));
    }
    match list.iter().all(is_thumbprint) {
        true => Ok(list.iter().map(|text| text.to_ascii_lowercase()).collect()),
        false => Err(Fault::invalid_input("Thumbprints have 40 hexadecimal digits.")),
    }
}

#[cfg(test)]
mod tests {
    use super::url;

    #[test]
    fn urls_name_hosts() {
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(url(text).ok().as_deref(), expected, "{text}");
        }
        check("https://id.example.com/realms/x/", Some("id.example.com/realms/x"));
        check("https://id.example.com", Some("id.example.com"));
        for text in [
            "http://id.example.com",
            "https://",
            "https://127.0.0.1",
            "https://[::1]",
            "https://localhost/x",
            "https://2130706433",
            "https://id.example.com:8443",
            "https://id.example.com/?x",
            "https://user@id.example.com",
        ] {
            check(text, None);
        }
    }
}
