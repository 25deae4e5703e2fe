//! What a browser gets to see of a form that was stored: a page to go to, a document, or nothing.

use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use strata_storage::ObjectKey;

use super::fields::Fields;
use crate::request::Request;
use crate::response::{Payload, Response};
use crate::xml::Writer;

/// What paths and queries leave as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a form asks to be answered once it is stored.
pub struct Success {
    outcome: Outcome,
    location: String,
    bucket: String,
    key: String,
}

enum Outcome {
    /// 303 to this address.
    Redirect(String),
    /// 201 with a document.
    Created,
    /// This status with nothing.
    Empty(StatusCode),
}

impl Success {
    /// What the fields ask for. An address that is none, and other statuses, count as not asked for.
    pub fn of(fields: &Fields, request: &Request, key: &ObjectKey) -> Success {
        let bucket = request.bucket.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
        let redirect = fields.get("success_action_redirect").or_else(|| fields.get("redirect"));
        let redirect = redirect.filter(|address| is_address(address));
        let outcome = match (redirect, fields.get("success_action_status")) {
            (Some(address), _) => Outcome::Redirect(address.to_owned()),
            (None, Some("200")) => Outcome::Empty(StatusCode::OK),
            (None, Some("201")) => Outcome::Created,
            (None, _) => Outcome::Empty(StatusCode::NO_CONTENT),
        };
        let scheme = if request.origin.secure { "https" } else { "http" };
        let encoded: Vec<String> = key.as_str().split('/').map(encode).collect();
        let path = request.raw_path.trim_end_matches('/');
        let location = format!("{scheme}://{}{path}/{}", request.host, encoded.join("/"));
        Success { outcome, location, bucket, key: key.as_str().to_owned() }
    }

    /// The answer to a form whose file was stored with this one.
    pub fn answer(self, mut stored: Response) -> Response {
        let etag = stored.headers.get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default().to_owned();
        let Success { outcome, location, bucket, key } = self;
        match outcome {
            Outcome::Redirect(address) => {
                stored.status = StatusCode::SEE_OTHER;
                let joint = if address.contains('?') { '&' } else { '?' };
                let (bucket, key, etag) = (encode(&bucket), encode(&key), encode(&etag));
                stored.set(LOCATION, format!("{address}{joint}bucket={bucket}&key={key}&etag={etag}"));
            }
            Outcome::Created => {
                stored.status = StatusCode::CREATED;
                stored.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
                let mut writer = Writer::plain("PostResponse");
                writer.element("Location", &location).element("Bucket", bucket).element("Key", key);
                writer.element("ETag", etag);
                stored.body = Payload::Bytes(writer.finish().into());
                stored.set(LOCATION, location);
            }
            Outcome::Empty(status) => {
                stored.status = status;
                stored.set(LOCATION, location);
            }
        }
        stored
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// Whether browsers can be sent there. Scripts in addresses are no addresses.
fn is_address(text: &str) -> bool {
    let parsed: Result<Uri, _> = text.parse();
    parsed.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses() {
        for text in ["http://example.com", "https://example.com:8080/done?a=b"] {
            assert!(is_address(text), "{text}");
        }
        for text in ["", "/done", "example.com", "javascript:alert(1)", "ftp://example.com/", "http://a b/"] {
            assert!(!is_address(text), "{text}");
        }
    }
}
