//! What a write asks for in its encryption headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};

use super::customer::{CustomerKey, Side};
use crate::error::S3Error;
use crate::kms::EncryptionContext;

const ALGORITHM: &str = "x-amz-server-side-encryption";
const KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CONTEXT: &str = "x-amz-server-side-encryption-context";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
const CUSTOMER: [&str; 3] = [
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
];

/// Which encryption a write, or a bucket's default, wants.
pub enum Asked {
    /// SSE-S3.
    Store,
    /// SSE-KMS or DSSE-KMS.
    Kms(AskedKms),
    /// SSE-C.
    Customer(CustomerKey),
}

/// What is asked of a key management service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AskedKms {
    /// The key: an id, an alias, or an ARN; `None` is the account's default.
    pub key: Option<String>,
    /// The encryption context, without what the server adds.
    pub context: EncryptionContext,
    /// Whether a key of the bucket is to be used; `None` leaves it to the bucket.
    pub bucket_key: Option<bool>,
    /// Whether two layers are wanted: DSSE-KMS.
    pub dual: bool,
}

/// Reads the headers of a write; `None` if it leaves the encryption to the bucket's default.
pub fn asked(headers: &HeaderMap, secure: bool) -> Result<Option<Asked>, S3Error> {
    refuse_unknown(headers)?;
    let algorithm = text(headers, ALGORITHM)?;
    let customer = CustomerKey::parse(headers, Side::Write, secure)?;
    if let Some(customer) = customer {
        if let Some(algorithm) = algorithm {
            let message = "Server Side Encryption with Customer provided key is incompatible with the encryption \
                           method specified";
            return Err(S3Error::invalid_argument(message, ALGORITHM, algorithm));
        }
        return Ok(Some(Asked::Customer(customer)));
    }
    let bucket_key = bucket_key(headers)?;
    let (key, context) = (text(headers, KEY_ID)?, context(headers)?);
    let dual = match algorithm {
        Some("aws:kms") => false,
        Some("aws:kms:dsse") => true,
        Some("AES256") | None => {
            if key.is_some() || context.is_some() {
                let message = "Server Side Encryption with AWS KMS managed key requires HTTP header \
                               x-amz-server-side-encryption : aws:kms";
                return Err(S3Error::invalid_argument(message, ALGORITHM, algorithm.unwrap_or_default()));
            }
            return Ok(algorithm.map(|_| Asked::Store));
        }
        Some(other) => {
            let message = "The encryption method specified is not supported";
            return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
                .with("ArgumentName", ALGORITHM)
                .with("ArgumentValue", other));
        }
    };
    if dual && bucket_key == Some(true) {
        let message = "Bucket Key is not supported for the encryption algorithm aws:kms:dsse.";
        return Err(S3Error::invalid_argument(message, BUCKET_KEY, "true"));
    }
    let key = key.filter(|key| !key.is_empty()).map(str::to_owned);
    Ok(Some(Asked::Kms(AskedKms { key, context: context.unwrap_or_default(), bucket_key, dual })))
}

/// The answer's and the request's header for a bucket key, `true` or `false`.
pub fn bucket_key(headers: &HeaderMap) -> Result<Option<bool>, S3Error> {
    match text(headers, BUCKET_KEY)? {
        None => Ok(None),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(other) => Err(S3Error::invalid_argument("The bucket key must be true or false.", BUCKET_KEY, other)),
    }
}

fn context(headers: &HeaderMap) -> Result<Option<EncryptionContext>, S3Error> {
    let Some(sent) = text(headers, CONTEXT)? else { return Ok(None) };
    let json = STANDARD.decode(sent).ok();
    let context = json.and_then(|json| EncryptionContext::parse(&json).ok());
    context.map(Some).ok_or_else(|| {
        let message = "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding \
                       JSON which represents a string-string map";
        S3Error::invalid_argument(message, CONTEXT, sent)
    })
}

/// A header of encryption that this server does not know cannot be honoured, so it is refused.
fn refuse_unknown(headers: &HeaderMap) -> Result<(), S3Error> {
    let known = |name: &str| [ALGORITHM, KEY_ID, CONTEXT, BUCKET_KEY].contains(&name) || CUSTOMER.contains(&name);
    let names = headers.keys().map(http::HeaderName::as_str);
    match names.into_iter().find(|name| name.starts_with(ALGORITHM) && !known(name)) {
        None => Ok(()),
        Some(name) => Err(crate::metadata_headers::not_implemented(name)),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, S3Error> {
    match headers.get(name).map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(S3Error::invalid_argument("The value is not plain text.", name, "")),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{ALGORITHM, Asked, BUCKET_KEY, CONTEXT, KEY_ID, asked};

    #[test]
    fn headers_of_writes() {
        fn check(sent: &[(&'static str, &str)], expected: &str) {
            let pairs = sent.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header's text"))
            });
            let found = match asked(&pairs.collect::<HeaderMap>(), true) {
                Ok(None) => "default".to_owned(),
                Ok(Some(Asked::Store)) => "store".to_owned(),
                Ok(Some(Asked::Customer(_))) => "customer".to_owned(),
                Ok(Some(Asked::Kms(kms))) => {
                    format!("kms {:?} {} {:?} {}", kms.key, kms.context.text(), kms.bucket_key, kms.dual)
                }
                Err(error) => error.code.to_owned(),
            };
            assert_eq!(found, expected, "{sent:?}");
        }
        check(&[], "default");
        check(&[(ALGORITHM, "AES256")], "store");
        check(&[(ALGORITHM, "aws:kms")], "kms None {} None false");
        check(&[(ALGORITHM, "aws:kms:dsse"), (KEY_ID, "k")], "kms Some(\"k\") {} None true");
        let context = STANDARD.encode("{\"b\":\"1\"}");
        let all = [(ALGORITHM, "aws:kms"), (CONTEXT, context.as_str()), (BUCKET_KEY, "true")];
        check(&all, "kms None {\"b\":\"1\"} Some(true) false");
        for wrong in ["aes256", "AES128", "", "aws:kms:other"] {
            check(&[(ALGORITHM, wrong)], "InvalidArgument");
        }
        check(&[(KEY_ID, "k")], "InvalidArgument");
        check(&[(ALGORITHM, "AES256"), (KEY_ID, "k")], "InvalidArgument");
        check(&[(ALGORITHM, "aws:kms:dsse"), (BUCKET_KEY, "true")], "InvalidArgument");
        check(&[(ALGORITHM, "aws:kms"), (BUCKET_KEY, "yes")], "InvalidArgument");
        check(&[(ALGORITHM, "aws:kms"), (CONTEXT, "e30")], "InvalidArgument");
        check(&[("x-amz-server-side-encryption-other", "1")], "NotImplemented");
    }
}
