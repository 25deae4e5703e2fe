//! The headers that tell how an object is encrypted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use strata_storage::Encryption;

use crate::response::Response;

const ALGORITHM: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
const KEY_ID: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");
const CONTEXT: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-context");
const BUCKET_KEY: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-bucket-key-enabled");
const CUSTOMER_ALGORITHM: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-customer-algorithm");
const CUSTOMER_KEY_MD5: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-customer-key-md5");

/// Sets what every answer about an object or a part says.
pub fn set_headers(response: &mut Response, encryption: &Encryption) {
    match encryption {
        Encryption::Store => response.set(ALGORITHM, "AES256"),
        Encryption::Kms(kms) => {
            response.set(ALGORITHM, if kms.dual { "aws:kms:dsse" } else { "aws:kms" });
            response.set(KEY_ID, &kms.key_arn);
            if kms.bucket_key {
                response.set(BUCKET_KEY, "true");
            }
        }
        Encryption::Customer(customer) => {
            response.set(CUSTOMER_ALGORITHM, "AES256");
            response.set(CUSTOMER_KEY_MD5, STANDARD.encode(customer.key_md5));
        }
    }
}

/// Sets what the answer to a write says: the encryption context, too.
pub fn set_headers_of_write(response: &mut Response, encryption: &Encryption) {
    set_headers(response, encryption);
    if let Encryption::Kms(kms) = encryption {
        response.set(CONTEXT, STANDARD.encode(&kms.context));
    }
}
