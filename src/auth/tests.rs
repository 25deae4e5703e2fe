//! The published examples of Signature Version 4, and one fault at a time.

use std::sync::LazyLock;

use http::Request;
use http::request::Parts;
use strata_storage::{OpenOptions, Store, Timestamp};
use tokio::runtime::Runtime;

use super::{Authenticator, PayloadAuth, Secret, Sent};
use zeroize::Zeroizing;

use crate::address::parse_query;
use crate::credentials::Credentials;
use crate::directory::Directory;
use crate::directory::DirectoryKeys;
use crate::error::S3Error;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SCOPE: &str = "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");
const DATE: (&str, &str) = ("x-amz-date", "20130524T000000Z");
const HASH: (&str, &str) = ("x-amz-content-sha256", EMPTY);
const LIST_SIGNATURE: &str = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
const LIST: &str = "/?max-keys=2&prefix=J";
const PRESIGNED: &str = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z\
    &X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
    &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

/// 2013-05-24T00:00:00Z
const SIGNED_AT: u64 = 1_369_353_600;

/// Where the directory does what it does later.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// It knows the key of the published examples, whose directory is in memory once it is open.
static AUTHENTICATOR: LazyLock<Authenticator> = LazyLock::new(|| {
    let directory = RUNTIME.block_on(async {
        let data = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(OpenOptions::new(data.path())).await.expect("a store");
        let root = Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
        };
        let keys = DirectoryKeys { secrets: Zeroizing::new([1; 32]), tokens: Zeroizing::new([2; 32]) };
        let directory = Directory::open(store.clone(), &keys, &root).await.expect("a directory");
        store.close().await.expect("an orderly end");
        directory
    });
    Authenticator::new("us-east-1".to_owned(), directory, Secret::new("nobody has this".to_owned()))
});

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).expect("a valid request").into_parts().0
}

fn authenticate_at(seconds: u64, parts: &Parts) -> Result<PayloadAuth, S3Error> {
    let query = parse_query(parts.uri.query().unwrap_or_default()).expect("a valid query");
    let _entered = RUNTIME.enter();
    let authenticated = AUTHENTICATOR.authenticate(parts, &query, Sent::Announced, Timestamp::from_secs(seconds))?;
    Ok(authenticated.payload)
}

fn authorization(signed: &str, signature: &str) -> String {
    format!("AWS4-HMAC-SHA256 {SCOPE},SignedHeaders={signed},Signature={signature}")
}

fn refused(parts: &Parts) -> S3Error {
    authenticate_at(SIGNED_AT, parts).expect_err("a refusal")
}

fn check_refused(parts: &Parts, code: &str, message: &str) {
    let error = refused(parts);
    assert_eq!(error.code, code, "{parts:?}: {}", error.message);
    assert!(error.message.contains(message), "{parts:?}: {}", error.message);
}

#[test]
fn published_examples() {
    fn check(method: &str, uri: &str, headers: &[(&str, &str)], signature: &str) {
        let mut names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let value = authorization(&names.join(";"), signature);
        let mut headers = headers.to_vec();
        headers.push(("authorization", &value));
        authenticate_at(SIGNED_AT, &parts(method, uri, &headers)).expect(uri);
    }
    check(
        "GET",
        "/test.txt",
        &[HOST, ("range", "bytes=0-9"), HASH, DATE],
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    check(
        "PUT",
        "/test$file.text",
        &[
            HOST,
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
            DATE,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ],
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    check(
        "GET",
        "/?lifecycle",
        &[HOST, HASH, DATE],
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    );
    check("GET", LIST, &[HOST, HASH, DATE], LIST_SIGNATURE);
}

#[test]
fn a_presigned_url_lives_from_its_date_to_its_end() {
    let request = parts("GET", PRESIGNED, &[HOST, ("content-type", "anything/unsigned")]);
    for seconds in [SIGNED_AT - 900, SIGNED_AT, SIGNED_AT + 86_400] {
        let found = authenticate_at(seconds, &request).expect("a valid signature");
        assert!(matches!(found, PayloadAuth::Unsigned));
    }
    let early = authenticate_at(SIGNED_AT - 901, &request).expect_err("too early");
    assert_eq!((early.code, &early.message[..]), ("AccessDenied", "Request is not valid yet"));
    let late = authenticate_at(SIGNED_AT + 86_401, &request).expect_err("too late");
    assert_eq!((late.code, &late.message[..]), ("AccessDenied", "Request has expired"));
    assert_eq!(
        late.fields,
        [
            ("X-Amz-Expires", "86400".to_owned()),
            ("Expires", "2013-05-25T00:00:00Z".to_owned()),
            ("ServerTime", "2013-05-25T00:00:01Z".to_owned())
        ]
    );
}

#[test]
fn presigned_faults() {
    fn check(from: &str, to: &str, message: &str) {
        let uri = PRESIGNED.replacen(from, to, 1);
        assert_ne!(uri, PRESIGNED, "{from}");
        check_refused(&parts("GET", &uri, &[HOST]), "AuthorizationQueryParametersError", message);
    }
    let requires = "Query-string authentication version 4 requires the X-Amz-Algorithm";
    check("X-Amz-Algorithm=AWS4-HMAC-SHA256", "a=b", requires);
    check("&X-Amz-Expires=86400", "", requires);
    check("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=", requires);
    check("=AWS4-HMAC-SHA256", "=AWS3", "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
    check("Expires=86400", "Expires=x", "X-Amz-Expires should be a number");
    check("Expires=86400", "Expires=%2B5", "X-Amz-Expires should be a number");
    check("Expires=86400", "Expires=-5", "X-Amz-Expires must be non-negative");
    check("Expires=86400", "Expires=0", "X-Amz-Expires must be at least 1 second");
    check("Expires=86400", "Expires=604801", "X-Amz-Expires must be less than a week");
    check("Expires=86400", "Expires=99999999999999999999", "X-Amz-Expires must be less than a week");
    check("Date=20130524T000000Z", "Date=20130524", "X-Amz-Date must be in the ISO8601 Long Format");
    check("Date=20130524T000000Z", "Date=20130525T000000Z", "Invalid credential date \"20130524\".");
    check("us-east-1", "eu-west-1", "the region 'eu-west-1' is wrong; expecting 'us-east-1'");
    check("Expires=86400", "Expires=86400&X-Amz-Expires=86400", "X-Amz-Expires must be given only once");

    check_refused(
        &parts("GET", &PRESIGNED.replace("HMAC", "ECDSA-P256"), &[HOST]),
        "NotImplemented",
        "AWS4-ECDSA-P256-SHA256",
    );
    check_refused(&parts("PUT", PRESIGNED, &[HOST]), "SignatureDoesNotMatch", "");
    let unsigned = refused(&parts("GET", PRESIGNED, &[HOST, ("x-amz-meta-a", "1"), ("x-amz-acl", "private")]));
    assert_eq!(unsigned.fields, [("HeadersNotSigned", "x-amz-meta-a, x-amz-acl".to_owned())]);
    check_refused(
        &parts("GET", &format!("{PRESIGNED}&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD"), &[HOST, HASH]),
        "InvalidArgument",
        "must be the same",
    );
}

#[test]
fn header_faults() {
    const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";
    fn check(headers: &[(&str, &str)], code: &str, message: &str) {
        let value = authorization(SIGNED, LIST_SIGNATURE);
        let mut headers = headers.to_vec();
        headers.push(("authorization", &value));
        check_refused(&parts("GET", LIST, &headers), code, message);
    }
    let date_needed = "AWS authentication requires a valid Date or x-amz-date header";
    check(&[HOST, HASH], "AccessDenied", date_needed);
    check(&[HOST, HASH, ("x-amz-date", "yesterday")], "AccessDenied", date_needed);
    check(&[HOST, HASH, ("x-amz-date", "Fri, 24 May 2013 00:00:00 GMT")], "AccessDenied", date_needed);
    check(&[HOST, HASH, DATE, DATE], "AccessDenied", date_needed);
    check(&[HOST, HASH, ("x-amz-date", "x"), ("date", "Fri, 24 May 2013 00:00:00 GMT")], "AccessDenied", date_needed);
    check(
        &[HOST, HASH, ("x-amz-date", "20130525T000000Z")],
        "AuthorizationHeaderMalformed",
        "Invalid credential date \"20130524\". This date is not the same as X-Amz-Date: \"20130525\".",
    );
    check(&[HOST, DATE], "InvalidRequest", "Missing required header for this request: x-amz-content-sha256");
    check(&[HOST, DATE, ("x-amz-content-sha256", "x")], "InvalidArgument", "or a valid sha256 value.");
    check(&[HOST, HASH, DATE, ("x-amz-acl", "private")], "AccessDenied", "headers present in the request");
    check(&[HOST, HASH, DATE, ("x-amz-security-token", "t")], "InvalidToken", "malformed or otherwise invalid");
    // A `Date` header stands in for `x-amz-date`; here only the signature is wrong then.
    check(&[HOST, HASH, ("date", "Fri, 24 May 2013 00:00:00 GMT")], "SignatureDoesNotMatch", "");
    check(&[HOST, HASH, ("date", "20130524T000000Z")], "SignatureDoesNotMatch", "");
    check(&[("host", "other"), HASH, DATE], "SignatureDoesNotMatch", "");

    let value = authorization("x-amz-content-sha256;x-amz-date", LIST_SIGNATURE);
    let error = refused(&parts("GET", LIST, &[HOST, HASH, DATE, ("authorization", &value)]));
    assert_eq!(error.fields, [("HeadersNotSigned", "host".to_owned())]);
}

#[test]
fn mechanisms() {
    fn check(uri: &str, headers: &[(&str, &str)], code: &str, message: &str) {
        check_refused(&parts("GET", uri, headers), code, message);
    }
    let one = "Only one auth mechanism allowed";
    let old = "Please use AWS4-HMAC-SHA256.";
    check("/b/k", &[HOST, ("x-amz-security-token", "t")], "AccessDenied", "Access Denied");
    let chunks = ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    check("/b/k", &[HOST, chunks], "AccessDenied", "Access Denied");
    check(PRESIGNED, &[HOST, ("authorization", "x")], "InvalidArgument", one);
    check("/?Signature=x", &[HOST, ("authorization", "x")], "InvalidArgument", one);
    check("/", &[HOST, ("authorization", "x"), ("authorization", "y")], "InvalidArgument", one);
    check(&format!("{PRESIGNED}&AWSAccessKeyId=AK"), &[HOST], "InvalidArgument", one);
    check("/?AWSAccessKeyId=AK&Expires=1&Signature=x", &[HOST], "InvalidRequest", old);
    check("/", &[HOST, ("authorization", "AWS AK:x=")], "InvalidRequest", old);
}

#[test]
fn clock_skew() {
    let value = authorization("host;x-amz-content-sha256;x-amz-date", LIST_SIGNATURE);
    let request = parts("GET", LIST, &[HOST, HASH, DATE, ("authorization", &value)]);
    for seconds in [SIGNED_AT - 900, SIGNED_AT + 900] {
        assert!(authenticate_at(seconds, &request).is_ok());
    }
    for seconds in [SIGNED_AT - 901, SIGNED_AT + 901] {
        assert_eq!(authenticate_at(seconds, &request).expect_err("skewed").code, "RequestTimeTooSkewed");
    }
    assert_eq!(
        authenticate_at(SIGNED_AT + 3600, &request).expect_err("skewed").fields,
        [
            ("RequestTime", "20130524T000000Z".to_owned()),
            ("ServerTime", "2013-05-24T01:00:00Z".to_owned()),
            ("MaxAllowedSkewMilliseconds", "900000".to_owned())
        ]
    );
}

#[test]
fn unknown_access_keys() {
    let value = authorization("host", "x").replace("AKIAIOSFODNN7EXAMPLE", "SOMEBODY");
    let error = refused(&parts("GET", LIST, &[HOST, HASH, DATE, ("authorization", &value)]));
    assert_eq!((error.code, error.fields), ("InvalidAccessKeyId", vec![("AWSAccessKeyId", "SOMEBODY".to_owned())]));
}

#[test]
fn nobody_is_anonymous_and_may_send_unsigned_bodies() {
    let query = parse_query("").expect("a valid query");
    let check = |headers: &[(&str, &str)], expected: &str| {
        let request = parts("GET", "/b/k", headers);
        let found = AUTHENTICATOR.authenticate(&request, &query, Sent::Announced, Timestamp::from_secs(SIGNED_AT));
        let found = found.expect("an anonymous request");
        assert!(found.signing.is_none() && found.identity.account_id().is_none());
        assert!(format!("{:?}", found.payload).starts_with(expected), "{headers:?}");
    };
    check(&[HOST], "Unsigned");
    check(&[HOST, HASH], "Sha256");
    check(&[HOST, ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")], "StreamingUnsignedTrailer");
}

/// As an SDK signs a request to IAM: in the first region, the body's hash in no header.
#[test]
fn other_services_sign_the_whole_body() {
    let body = b"Action=GetUser&Version=2010-05-08";
    let headers = [("host", "iam.localhost"), DATE];
    let sign = |service: &str| {
        let plain = parts("POST", "/", &headers);
        let query = parse_query("").expect("a valid query");
        let text = format!("AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/{service}/aws4_request");
        let form = super::credential::Form::Header;
        let credential = super::Credential::parse(&text, form, "us-east-1").expect("well formed");
        let hash = hex::encode(sha256(body));
        let canonical = super::CanonicalRequest::new(&plain, &query, "host;x-amz-date", &hash);
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned());
        let key = super::SigningKeys::default().key(&secret, &credential);
        let signature = key.sign(&canonical.string_to_sign(DATE.1, &credential.scope()));
        format!("AWS4-HMAC-SHA256 Credential={text}, SignedHeaders=host;x-amz-date, Signature={signature}")
    };
    let ask = |service: &str, sent: Sent<'_>| {
        let value = sign(service);
        let request = parts("POST", "/", &[headers[0], headers[1], ("authorization", &value)]);
        let query = parse_query("").expect("a valid query");
        let _entered = RUNTIME.enter();
        let found = AUTHENTICATOR.authenticate(&request, &query, sent, Timestamp::from_secs(SIGNED_AT));
        found.map(|found| found.identity.arn()).map_err(|error| error.code)
    };
    let root = Ok("arn:aws:iam::000000000000:root".to_owned());
    for service in ["iam", "sts", "kms"] {
        assert_eq!(ask(service, Sent::Whole(body)), root, "{service}");
        assert_eq!(ask(service, Sent::Whole(b"Action=DeleteUser")), Err("SignatureDoesNotMatch"));
        assert_eq!(ask(service, Sent::Announced), Err("InternalError"), "nothing but S3 announces its body");
    }
}

#[test]
fn a_wrong_signature_is_explained() {
    let wrong = LIST_SIGNATURE.replace("34b4", "34b5");
    let value = authorization("host;x-amz-content-sha256;x-amz-date", &wrong);
    let error = refused(&parts("GET", LIST, &[HOST, HASH, DATE, ("authorization", &value)]));
    assert_eq!(error.code, "SignatureDoesNotMatch");
    let canonical = format!(
        "GET\n/\nmax-keys=2&prefix=J\nhost:examplebucket.s3.amazonaws.com\nx-amz-content-sha256:{EMPTY}\n\
         x-amz-date:20130524T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n{EMPTY}"
    );
    let string_to_sign = "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n\
        df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7";
    let names: Vec<&str> = error.fields.iter().map(|(name, _)| *name).collect();
    let value = |index: usize| &error.fields[index].1[..];
    assert_eq!(
        names,
        [
            "AWSAccessKeyId",
            "StringToSign",
            "SignatureProvided",
            "StringToSignBytes",
            "CanonicalRequest",
            "CanonicalRequestBytes"
        ]
    );
    assert_eq!(value(1), string_to_sign);
    assert_eq!(value(2), wrong);
    assert!(value(3).starts_with("41 57 53 34 2d"));
    assert_eq!(value(4), canonical);
    assert!(value(5).starts_with("47 45 54 0a 2f"));
}

#[test]
fn published_chunk_signatures() {
    const DECODED: (&str, &str) = ("x-amz-decoded-content-length", "66560");
    const CLASS: (&str, &str) = ("x-amz-storage-class", "REDUCED_REDUNDANCY");
    let value = authorization(
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
         x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    );
    let request = parts(
        "PUT",
        "/examplebucket/chunkObject.txt",
        &[
            ("host", "s3.amazonaws.com"),
            DATE,
            ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            ("content-encoding", "aws-chunked"),
            ("content-length", "66824"),
            DECODED,
            CLASS,
            ("authorization", &value),
        ],
    );
    let found = authenticate_at(SIGNED_AT, &request).expect("a valid signature");
    let PayloadAuth::StreamingSigned { mut signer, trailer: false } = found else {
        panic!("not signed chunks: {:?}", found);
    };
    for (size, signature) in [
        (65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1_024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ] {
        signer.verify_chunk(sha256(&vec![b'a'; size]), signature).expect("a valid chunk signature");
    }
    assert!(signer.verify_chunk([0; 32], "00").is_err());
}

#[test]
fn published_trailer_signature() {
    let value = authorization(
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;\
         x-amz-trailer",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    );
    let request = parts(
        "PUT",
        "/examplebucket/chunkObject.txt",
        &[
            ("host", "s3.amazonaws.com"),
            DATE,
            ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "66560"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-trailer", "x-amz-checksum-crc32c"),
            ("authorization", &value),
        ],
    );
    let found = authenticate_at(SIGNED_AT, &request).expect("a valid signature");
    let PayloadAuth::StreamingSigned { mut signer, trailer: true } = found else {
        panic!("not a signed trailer: {:?}", found);
    };
    for (size, signature) in [
        (65_536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
        (1_024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
        (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
    ] {
        signer.verify_chunk(sha256(&vec![b'a'; size]), signature).expect("a valid chunk signature");
    }
    let signature = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";
    signer.verify_trailer("x-amz-checksum-crc32c:sOO8/Q==\n", signature).expect("a valid trailer signature");
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// Recorded from a client of AWS's own, with a key that meets every rule of encoding.
#[test]
fn recorded_requests() {
    const PATH: &str = "/photos/a%20b%2Bc%3Dd%26e/%C3%BC/~%2A%27%28%29%21%3A%40%2C%3B%24%2525/../x//y%23%3F";
    const LOCAL: (&str, &str) = ("host", "127.0.0.1:9000");
    let presigned = format!(
        "{PATH}?response-content-disposition=attachment%3B%20filename%3D%22a%2Bb%20c.txt%22\
         &X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20130524T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=873d2463a21a2cad8c26bd9c0955bfe00445844c4e69d9f7da60cd3fcbb17d2e"
    );
    authenticate_at(SIGNED_AT, &parts("GET", &presigned, &[LOCAL])).expect("a presigned GET");

    let value = authorization(
        "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-meta-b",
        "2e0298089589e0d44fc22e37a66537a95e9a1b2e03aa865400bcec3d17706324",
    );
    let put = [
        LOCAL,
        ("x-amz-meta-a", "one   two"),
        ("x-amz-meta-b", "x"),
        ("content-type", "text/plain; charset=utf-8"),
        ("expect", "100-continue"),
        DATE,
        ("x-amz-content-sha256", "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"),
        ("authorization", &value),
    ];
    authenticate_at(SIGNED_AT, &parts("PUT", PATH, &put)).expect("a PUT");
    // The same key with only the escapes that a URL cannot do without.
    let sparse = "/photos/a%20b+c=d&e/%c3%bc/~*'()!:@,;$%2525/../x//y%23%3F";
    authenticate_at(SIGNED_AT, &parts("PUT", sparse, &put)).expect("a PUT with fewer escapes");

    let list =
        "/photos?list-type=2&prefix=a%20b%2Bc%2F%C3%BC&delimiter=%2F&start-after=%2A~&encoding-type=url".to_owned();
    let signature = "0b85e855e5e8394481e2c15f90e3eb2a3ae2fc82772b47d9add06535873c1ace";
    let value = authorization("host;x-amz-content-sha256;x-amz-date", signature);
    for uri in [list.replace("a%20b", "a+b"), list] {
        let headers = [LOCAL, HASH, DATE, ("authorization", &value)];
        authenticate_at(SIGNED_AT, &parts("GET", &uri, &headers)).expect("a listing");
    }
}
