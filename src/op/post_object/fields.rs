//! The fields of a form: names without case, one value each, and the headers of PutObject that they stand for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::S3Error;
use crate::metadata_headers::SYSTEM_HEADERS;
use crate::tagging::{self, OBJECT_TAGS_MAX};

/// What stands in a field for the name of the file.
const FILE_NAME: &str = "${filename}";

/// Fields that belong to the signature, and those that would say something of how a request is sent.
const NO_HEADERS: [&str; 9] = [
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-copy-source",
    "x-amz-trailer",
];

/// The fields before the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Adds a field. Of two values of one name, policy and object might each mean another.
    pub fn add(&mut self, name: &str, value: String) -> Result<(), S3Error> {
        let name = name.to_ascii_lowercase();
        if self.get(&name).is_some() {
            let message = "POST requires exactly one value for each form field.";
            return Err(S3Error::invalid_argument(message, name, value));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Puts the file's name where fields ask for it: what follows its last slash or backslash.
    pub fn expand(&mut self, file_name: &str) {
        let last = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
        for (_, value) in self.0.iter_mut().filter(|(name, value)| name != "policy" && value.contains(FILE_NAME)) {
            *value = value.replace(FILE_NAME, last);
        }
    }

    /// A field by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A field that must be there, by the name that the error tells.
    pub fn require(&self, name: &'static str) -> Result<&str, S3Error> {
        self.get(&name.to_ascii_lowercase()).ok_or_else(|| missing(name))
    }

    /// All of them, names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether anything in it claims a signature.
    pub fn is_signed(&self) -> bool {
        ["policy", "x-amz-signature", "x-amz-credential", "x-amz-algorithm", "awsaccesskeyid", "signature"]
            .iter()
            .any(|name| self.get(name).is_some())
    }

    /// The headers of PutObject that say the same.
    pub fn headers(&self) -> Result<HeaderMap, S3Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.iter() {
            let is_header = SYSTEM_HEADERS.contains(&name) || name.starts_with("x-amz-") && !NO_HEADERS.contains(&name);
            match name {
                "acl" => insert(&mut headers, "x-amz-acl", value)?,
                "tagging" => insert(&mut headers, "x-amz-tagging", &tags(value)?)?,
                _ if name.starts_with("x-amz-meta-") => insert(&mut headers, name, &word(value))?,
                _ if is_header => insert(&mut headers, name, value)?,
                _ => {}
            }
        }
        Ok(headers)
    }
}

/// 400 for a field that is not there.
pub fn missing(name: &'static str) -> S3Error {
    let message = format!(
        "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
    );
    S3Error::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
        .with("ArgumentName", name)
        .with("ArgumentValue", "")
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), S3Error> {
    let refused = || S3Error::invalid_argument("The form field cannot be used as a header", name, value);
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused())?;
    match headers.insert(header, value) {
        None => Ok(()),
        Some(_) => Err(refused()),
    }
}

/// Fields are UTF-8, while headers are read as ISO 8859-1 unless they say otherwise.
fn word(value: &str) -> String {
    if value.is_ascii() { value.to_owned() } else { format!("=?UTF-8?B?{}?=", BASE64.encode(value)) }
}

/// A `Tagging` document as the header has it.
fn tags(document: &str) -> Result<String, S3Error> {
    let tags = tagging::parse_document(document.as_bytes(), OBJECT_TAGS_MAX)?;
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = tags.iter().map(|tag| format!("{}={}", encode(&tag.key), encode(&tag.value))).collect();
    Ok(pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::Fields;
    use crate::tagging;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.add(name, (*value).to_owned()).expect("names that differ");
        }
        fields
    }

    #[test]
    fn names_have_no_case_and_one_value() {
        let mut fields = fields(&[("Key", "a")]);
        assert_eq!(fields.get("key"), Some("a"));
        assert_eq!(fields.add("KEY", "b".to_owned()).expect_err("a second key").code, "InvalidArgument");
    }

    #[test]
    fn file_names_are_put_in() {
        fn check(file_name: &str, expected: &str) {
            let mut fields = fields(&[("key", "user/${filename}-${filename}"), ("policy", "${filename}")]);
            fields.expand(file_name);
            assert_eq!((fields.get("key"), fields.get("policy")), (Some(expected), Some("${filename}")), "{file_name}");
        }
        check("a.txt", "user/a.txt-a.txt");
        check("C:\\photos\\a.txt", "user/a.txt-a.txt");
        check("/home/a.txt", "user/a.txt-a.txt");
        check("", "user/-");
    }

    #[test]
    fn fields_become_headers() {
        let sent = fields(&[
            ("key", "k"),
            ("acl", "private"),
            ("Content-Type", "text/plain"),
            ("x-amz-meta-a", "b"),
            ("x-amz-meta-u", "ü"),
            ("x-amz-storage-class", "GLACIER"),
            ("x-amz-signature", "s"),
            ("x-amz-copy-source", "b/k"),
            ("x-ignore-me", "1"),
            ("success_action_status", "201"),
            ("tagging", "<Tagging><TagSet><Tag><Key>a b</Key><Value>c+d</Value></Tag></TagSet></Tagging>"),
        ]);
        let headers = sent.headers().expect("headers");
        let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let expected =
            ["content-type", "x-amz-acl", "x-amz-meta-a", "x-amz-meta-u", "x-amz-storage-class", "x-amz-tagging"];
        assert_eq!(names, expected);
        assert_eq!(headers["x-amz-meta-u"], "=?UTF-8?B?w7w=?=");
        let tags = tagging::from_header(headers["x-amz-tagging"].to_str().expect("ASCII")).expect("tags");
        assert_eq!((tags[0].key.as_str(), tags[0].value.as_str()), ("a b", "c+d"));
    }

    #[test]
    fn fields_that_cannot_be_headers_are_refused() {
        for (name, value) in [("content-type", "a\r\nb"), ("x-amz-meta-\u{fc}", "1"), ("x-amz-meta-a", "a\nb")] {
            assert_eq!(fields(&[(name, value)]).headers().expect_err(name).code, "InvalidArgument");
        }
        let twice = fields(&[("acl", "private"), ("x-amz-acl", "public-read")]);
        assert_eq!(twice.headers().expect_err("two lists").code, "InvalidArgument");
        assert_eq!(fields(&[("tagging", "a=b")]).headers().expect_err("no document").code, "MalformedXML");
    }
}
