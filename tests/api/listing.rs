//! ListObjects and ListObjectsV2: order, pages, delimiters, encodings, faults.

use futures_util::stream::{self, StreamExt as _};

use crate::support::{Answer, Fixture, Raw};

async fn with_keys(keys: &[&str]) -> Fixture {
    let fixture = Fixture::with_bucket("bucket").await;
    for key in keys {
        fixture.raw.put(&format!("/bucket/{key}"), "x").await.is(200);
    }
    fixture
}

fn keys_and_prefixes(answer: &Answer) -> (Vec<String>, Vec<String>) {
    let prefixes = answer.elements("CommonPrefixes").iter().map(|inside| inner(inside, "Prefix")).collect();
    let keys = answer.elements("Contents").iter().map(|inside| inner(inside, "Key")).collect();
    (keys, prefixes)
}

fn inner(document: &str, name: &str) -> String {
    crate::support::elements(document, name).into_iter().next().expect("an element")
}

#[tokio::test]
async fn prefixes_and_delimiters() {
    async fn check(raw: &Raw, query: &str, keys: &[&str], prefixes: &[&str]) {
        for version in ["", "list-type=2&"] {
            let answer = raw.get(&format!("/bucket?{version}{query}")).await.is(200).has("IsTruncated", "false");
            let found = keys_and_prefixes(&answer);
            assert_eq!((found.0.as_slice(), found.1.as_slice()), (&owned(keys)[..], &owned(prefixes)[..]), "{query}");
            if !version.is_empty() {
                answer.has("KeyCount", &(keys.len() + prefixes.len()).to_string());
            }
        }
    }
    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }
    let fixture = with_keys(&["a", "a/b", "a/c/d", "a/c/e", "b%C3%BC", "c%2Bd", "z"]).await;
    let raw = &fixture.raw;
    check(raw, "", &["a", "a/b", "a/c/d", "a/c/e", "bü", "c+d", "z"], &[]).await;
    check(raw, "delimiter=%2F", &["a", "bü", "c+d", "z"], &["a/"]).await;
    check(raw, "delimiter=%2F&prefix=a", &["a"], &["a/"]).await;
    check(raw, "delimiter=%2F&prefix=a%2F", &["a/b"], &["a/c/"]).await;
    check(raw, "prefix=a%2Fc%2F", &["a/c/d", "a/c/e"], &[]).await;
    check(raw, "delimiter=c", &["a", "a/b", "bü", "z"], &["a/c", "c"]).await;
    check(raw, "delimiter=%2Fc%2F", &["a", "a/b", "bü", "c+d", "z"], &["a/c/"]).await;
    check(raw, "prefix=none", &[], &[]).await;
    check(raw, "delimiter=", &["a", "a/b", "a/c/d", "a/c/e", "bü", "c+d", "z"], &[]).await;
    fixture.stop().await;
}

#[tokio::test]
async fn entries() {
    let fixture = with_keys(&["key"]).await;
    let raw = &fixture.raw;
    let first = raw.get("/bucket").await.is(200);
    let entry = inner(&first.text(), "Contents");
    assert_eq!(inner(&entry, "StorageClass"), "STANDARD");
    assert_eq!(
        (inner(&entry, "Size"), inner(&entry, "ETag")),
        ("1".into(), "\"9dd4e461268c8034f5c8564e155c67a6\"".into())
    );
    assert_eq!(inner(&entry, "ChecksumAlgorithm"), "CRC64NVME");
    assert_eq!(inner(&entry, "ChecksumType"), "FULL_OBJECT");
    assert_eq!(inner(&inner(&entry, "Owner"), "ID").len(), 64);
    first.has("Name", "bucket").has("Prefix", "").has("Marker", "").has("MaxKeys", "1000").lacks("NextMarker");
    let second = raw.get("/bucket?list-type=2").await.is(200);
    assert!(!inner(&second.text(), "Contents").contains("<Owner>"));
    second.has("KeyCount", "1").lacks("Marker").lacks("NextContinuationToken");
    let owned = raw.get("/bucket?list-type=2&fetch-owner=true").await.is(200);
    assert!(inner(&owned.text(), "Contents").contains("<Owner>"));
    raw.get("/missing").await.fails(404, "NoSuchBucket");
    raw.get("/missing?list-type=2").await.fails(404, "NoSuchBucket");
    fixture.stop().await;
}

#[tokio::test]
async fn pages_of_version_one() {
    let fixture = with_keys(&["a", "b/1", "b/2", "c", "d"]).await;
    let raw = &fixture.raw;
    let page = raw.get("/bucket?max-keys=2").await.is(200).has("IsTruncated", "true").has("MaxKeys", "2");
    assert_eq!(page.elements("Key"), ["a", "b/1"]);
    page.lacks("NextMarker");
    let page = raw.get("/bucket?max-keys=2&marker=b%2F1").await.is(200).has("Marker", "b/1");
    assert_eq!(page.elements("Key"), ["b/2", "c"]);
    let page = raw.get("/bucket?max-keys=2&delimiter=%2F").await.is(200).has("NextMarker", "b/");
    assert_eq!(keys_and_prefixes(&page), (vec!["a".into()], vec!["b/".into()]));
    let page = raw.get("/bucket?max-keys=2&delimiter=%2F&marker=b%2F").await.is(200).has("IsTruncated", "false");
    assert_eq!(keys_and_prefixes(&page), (vec!["c".into(), "d".into()], vec![]));
    page.lacks("NextMarker");
    raw.get("/bucket?max-keys=0").await.is(200).has("IsTruncated", "false").has("MaxKeys", "0").lacks("Contents");
    fixture.stop().await;
}

#[tokio::test]
async fn pages_of_version_two() {
    let fixture = with_keys(&["a", "b/1", "b/2", "c", "d"]).await;
    let (raw, s3) = (&fixture.raw, &fixture.s3);
    for (size, delimiter, expected) in
        [(1, None, 5), (2, None, 3), (5, None, 1), (1, Some("/"), 4), (2, Some("/"), 2), (3, Some("/"), 2)]
    {
        let mut found = Vec::new();
        let mut pages = 0;
        let mut token = None;
        loop {
            let request =
                s3.list_objects_v2().bucket("bucket").max_keys(size).set_delimiter(delimiter.map(str::to_owned));
            let page = request.set_continuation_token(token.clone()).send().await.expect("a page");
            assert_eq!(page.continuation_token(), token.as_deref());
            let count = page.contents().len() + page.common_prefixes().len();
            assert_eq!(page.key_count(), i32::try_from(count).ok());
            found.extend(page.contents().iter().filter_map(|entry| entry.key()).map(str::to_owned));
            found.extend(page.common_prefixes().iter().filter_map(|entry| entry.prefix()).map(str::to_owned));
            pages += 1;
            assert_eq!(page.is_truncated(), Some(page.next_continuation_token().is_some()));
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        found.sort();
        let all: &[&str] = if delimiter.is_some() { &["a", "b/", "c", "d"] } else { &["a", "b/1", "b/2", "c", "d"] };
        assert_eq!(
            (found.as_slice(), pages),
            (all.iter().map(|&key| key.to_owned()).collect::<Vec<_>>().as_slice(), expected)
        );
    }
    let page = raw.get("/bucket?list-type=2&start-after=b%2F1").await.is(200).has("StartAfter", "b/1");
    assert_eq!(page.elements("Key"), ["b/2", "c", "d"]);
    raw.get("/bucket?list-type=2&max-keys=0").await.is(200).has("KeyCount", "0").has("IsTruncated", "false");
    fixture.stop().await;
}

#[tokio::test]
async fn encodings() {
    let fixture = with_keys(&["a%20b/%C3%BC", "%01", "c%2Bd%26e"]).await;
    let raw = &fixture.raw;
    let url = raw.get("/bucket?encoding-type=url&delimiter=%2F").await.is(200);
    let url = url.has("EncodingType", "url").has("Delimiter", "/");
    assert_eq!(keys_and_prefixes(&url), (vec!["%01".into(), "c%2Bd%26e".into()], vec!["a+b/".into()]));
    let plain = raw.get("/bucket?list-type=2").await.is(200).lacks("EncodingType");
    assert_eq!(plain.elements("Key"), ["&#x1;", "a b/ü", "c+d&e"]);
    let url = raw.get("/bucket?list-type=2&encoding-type=url&start-after=a%20b").await.is(200);
    url.has("StartAfter", "a+b");
    for version in ["", "list-type=2&"] {
        for value in ["", "html"] {
            raw.get(&format!("/bucket?{version}encoding-type={value}"))
                .await
                .refuses_argument("encoding-type", "Invalid Encoding Method specified in Request");
        }
    }
    fixture.stop().await;
}

#[tokio::test]
async fn faults() {
    let fixture = with_keys(&[]).await;
    let raw = &fixture.raw;
    for kind in ["", "list-type=2&"] {
        let get = async |query: &str| raw.get(&format!("/bucket?{kind}{query}")).await;
        for value in ["x", "1.5", "2147483648", "99999999999"] {
            get(&format!("max-keys={value}")).await.fails(400, "InvalidArgument").has("ArgumentName", "max-keys");
        }
        get("max-keys=-1").await.fails(400, "InvalidArgument").has("ArgumentName", "max-keys");
        get("max-keys=2147483647").await.is(200);
        get("max-keys=").await.is(200);
    }
    for token in ["", "nonsense", "AAAA"] {
        raw.get(&format!("/bucket?list-type=2&continuation-token={token}"))
            .await
            .fails(400, "InvalidArgument")
            .has("ArgumentName", "continuation-token");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_thousand_to_a_page() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let writes = stream::iter(0..1001).map(|n| async move { raw.put(&format!("/bucket/{n:04}"), "").await.is(200) });
    writes.buffer_unordered(32).for_each(|_| std::future::ready(())).await;
    let page =
        raw.get("/bucket?list-type=2&max-keys=5000").await.is(200).has("IsTruncated", "true").has("KeyCount", "1000");
    assert_eq!(page.elements("Key").last().map(String::as_str), Some("0999"));
    let page = raw.get("/bucket?versions").await.is(200).has("IsTruncated", "true").has("NextKeyMarker", "0999");
    assert_eq!(page.elements("Version").len(), 1000);
    fixture.stop().await;
}
