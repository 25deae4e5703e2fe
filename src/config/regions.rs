//! `[[regions]]` of the configuration file: other stores that buckets are replicated to.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, lists, value};
use crate::credentials::{Credentials, Secret};

/// Another store that buckets are replicated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionSettings {
    /// What it is called here, in messages and reports.
    pub name: String,
    /// Its URL, without a path.
    pub endpoint: http::Uri,
    /// The region that requests to it are signed for.
    pub signing_region: String,
    /// Whose keys sign the requests.
    pub credentials: Credentials,
    /// The file of the authorities whose certificates are believed, instead of those that the machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Names and patterns with `*` of the buckets that may be looked for there; none for all.
    pub buckets: Vec<String>,
    /// How URLs name buckets.
    pub style: UrlStyle,
}

/// How URLs name buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UrlStyle {
    /// First in the path.
    #[default]
    Path,
    /// First in the host's name.
    Virtual,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionTable {
    name: String,
    endpoint: String,
    region: Option<String>,
    // AWS's own names of these are understood as well: the keys may well come from there.
    #[serde(alias = "access_key_id")]
    access_key: String,
    #[serde(alias = "secret_access_key")]
    secret_key: Option<Secret>,
    #[serde(alias = "secret_access_key_file")]
    secret_key_file: Option<PathBuf>,
    #[serde(alias = "secret_access_key_env")]
    secret_key_env: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    buckets: Vec<String>,
    #[serde(default)]
    style: UrlStyle,
}

/// Takes the regions out of a configuration file's table.
pub fn take(path: &Path, table: &mut toml::Table) -> Result<Vec<RegionSettings>, ConfigError> {
    let tables = lists::tables::<RegionTable>(path, table, "regions")?;
    read(tables).map_err(|reason| ConfigError::List { path: path.to_owned(), list: "regions", reason })
}

fn read(tables: Vec<RegionTable>) -> Result<Vec<RegionSettings>, String> {
    let mut regions: Vec<RegionSettings> = Vec::with_capacity(tables.len());
    for table in tables {
        let region = region(table)?;
        if regions.iter().any(|other| other.name == region.name) {
            return Err(format!("there are two regions {:?}", region.name));
        }
        regions.push(region);
    }
    Ok(regions)
}

fn region(table: RegionTable) -> Result<RegionSettings, String> {
    let RegionTable { name, endpoint, region, access_key, ca_file, buckets, style, .. } = table;
    value::region(&name).map_err(|allowed| format!("the name {name:?} is not {allowed}"))?;
    let signing_region = region.unwrap_or_else(|| name.clone());
    value::region(&signing_region).map_err(|allowed| format!("the region {signing_region:?} is not {allowed}"))?;
    let endpoint = self::endpoint(&endpoint, ca_file.is_some())?;
    let whose = format!("the region {name:?}");
    let secrets = (table.secret_key, table.secret_key_file, table.secret_key_env);
    let secret_key = lists::secret(&whose, secrets)?;
    let secret_key =
        secret_key.ok_or_else(|| format!("{whose} needs secret_key, secret_key_file or secret_key_env"))?;
    let credentials = Credentials { access_key, secret_key };
    if credentials.access_key.is_empty() || credentials.secret_key.expose().is_empty() {
        return Err(format!("{whose} needs an access_key and a secret key that are not empty"));
    }
    let is_pattern = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.*".contains(&byte);
    if let Some(wrong) = buckets.iter().find(|bucket| bucket.is_empty() || !bucket.bytes().all(is_pattern)) {
        return Err(format!("{wrong:?} is no bucket's name, nor a pattern such as \"logs-*\""));
    }
    Ok(RegionSettings { name, endpoint, signing_region, credentials, ca_file, buckets, style })
}

fn endpoint(text: &str, has_authorities: bool) -> Result<http::Uri, String> {
    let uri: Option<http::Uri> = text.parse().ok();
    let is_plain = |uri: &http::Uri| {
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        has_host && !has_user && uri.path_and_query().is_none_or(|path| path.as_str() == "/")
    };
    let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && is_plain(uri));
    let uri =
        uri.ok_or_else(|| format!("the endpoint {text:?} is not a URL such as https://HOST or http://HOST:PORT"))?;
    match has_authorities && uri.scheme_str() == Some("http") {
        true => Err(format!("ca_file is for endpoints that begin with https://, and {text:?} does not")),
        false => Ok(uri),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{RegionSettings, UrlStyle};

    fn take(text: &str) -> Result<Vec<RegionSettings>, String> {
        let mut table: toml::Table = text.parse().expect("TOML");
        super::take(Path::new("f"), &mut table).map_err(|error| error.to_string())
    }

    const KEYS: &str = "access_key = \"AAA\"\nsecret_key = \"hunter2\"\n";

    #[test]
    fn regions_are_read() {
        let second = "ca_file = \"/ca\"\nbuckets = [\"a\", \"logs-*\"]\nstyle = \"virtual\"\nregion = \"eu-west-1\"\n";
        let text = format!(
            "[[regions]]\nname = \"site-b\"\nendpoint = \"http://b.example:9000\"\n{KEYS}[[regions]]\nname = \"c\"\n\
             endpoint = \"https://c.example/\"\n{KEYS}{second}"
        );
        let [b, c] = &take(&text).unwrap()[..] else { panic!("two regions") };
        assert_eq!((b.name.as_str(), b.signing_region.as_str(), b.style), ("site-b", "site-b", UrlStyle::Path));
        assert_eq!(b.endpoint.authority().unwrap().as_str(), "b.example:9000");
        assert_eq!((b.credentials.access_key.as_str(), b.credentials.secret_key.expose()), ("AAA", "hunter2"));
        assert_eq!((c.signing_region.as_str(), c.style), ("eu-west-1", UrlStyle::Virtual));
        assert_eq!((c.ca_file.as_deref(), c.buckets.len()), (Some(Path::new("/ca")), 2));
    }

    #[test]
    fn secrets_come_from_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "from-the-file\n").unwrap();
        let text = format!(
            "[[regions]]\nname = \"b\"\nendpoint = \"http://b\"\naccess_key_id = \"A\"\nsecret_access_key_file = {:?}\n",
            file.path()
        );
        assert_eq!(take(&text).unwrap()[0].credentials.secret_key.expose(), "from-the-file");
    }

    #[test]
    fn what_is_wrong_is_said_without_secrets() {
        fn check(text: &str, expected: &str) {
            let message = take(&format!("[[regions]]\n{text}")).unwrap_err();
            assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
        }
        let base = format!("name = \"b\"\nendpoint = \"http://b:1\"\n{KEYS}");
        check("name = \"b\"\nendpoint = \"http://b\"\naccess_key = \"A\"", "secret_key_file");
        check(&format!("{base}secret_key_env = \"X\"\n"), "more than one place");
        check(&format!("{base}[[regions]]\n{base}"), "two regions");
        check(&format!("{base}buckets = [\"A_b\"]"), "A_b");
        check(&format!("{base}style = \"other\""), "other");
        check(&format!("{base}ca_file = \"/x\""), "ca_file");
        check(&format!("{base}secret = \"hunter2\""), "secret");
        check(&format!("name = \"B b\"\nendpoint = \"http://b\"\n{KEYS}"), "lower-case");
        for endpoint in ["b", "ftp://b", "https://", "http://b/path", "http://b?x", "http://me:hunter2@b"] {
            let text = format!("[[regions]]\nname = \"b\"\nendpoint = \"{endpoint}\"\n{KEYS}");
            assert!(take(&text).unwrap_err().contains("is not a URL"), "{endpoint}");
        }
    }
}
