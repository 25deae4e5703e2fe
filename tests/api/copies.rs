//! CopyObject: what is taken from the source, what from the request, and what is refused.

use crate::support::{Fixture, Raw};

async fn with_source() -> Fixture {
    let fixture = Fixture::with_bucket("bucket").await;
    fixture
        .raw
        .request("PUT", "/bucket/source")
        .headers(&[("content-type", "a/b"), ("x-amz-meta-m", "1"), ("x-amz-tagging", "t=1"), ("cache-control", "c")])
        .body("content")
        .send()
        .await
        .is(200);
    fixture
}

#[tokio::test]
async fn attributes() {
    async fn check(raw: &Raw, headers: &[(&str, &str)], expected: [Option<&str>; 4], tags: &[&str]) {
        let request = raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", "/bucket/source");
        let copied = request.headers(headers).send().await.is(200).has("ETag", "\"9a0364b9e99bb480dd25e1f0284c8555\"");
        assert!(copied.element("LastModified").is_some());
        let head = raw.head("/bucket/copy").await.is(200);
        let names = ["content-type", "x-amz-meta-m", "x-amz-meta-n", "cache-control"];
        assert_eq!(names.map(|name| head.header(name)), expected, "{headers:?}");
        assert_eq!(raw.get("/bucket/copy?tagging").await.is(200).elements("Key"), tags, "{headers:?}");
    }
    let fixture = with_source().await;
    let raw = &fixture.raw;
    let kept = [Some("a/b"), Some("1"), None, Some("c")];
    check(raw, &[], kept, &["t"]).await;
    check(raw, &[("x-amz-metadata-directive", "COPY"), ("x-amz-meta-n", "2")], kept, &["t"]).await;
    let replaced = [Some("x/y"), None, Some("2"), None];
    let headers = [("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-n", "2"), ("content-type", "x/y")];
    check(raw, &headers, replaced, &["t"]).await;
    check(raw, &[("x-amz-tagging-directive", "REPLACE"), ("x-amz-tagging", "u=2")], kept, &["u"]).await;
    check(raw, &[("x-amz-tagging-directive", "REPLACE")], kept, &[]).await;
    fixture.stop().await;
}

#[tokio::test]
async fn onto_itself() {
    let illegal = "This copy request is illegal because it is trying to copy an object to itself without changing the \
                   object's metadata, storage class, website redirect location or encryption attributes.";
    let fixture = with_source().await;
    let raw = &fixture.raw;
    let copy = |headers: &[(&str, &str)]| {
        raw.request("PUT", "/bucket/source").header("x-amz-copy-source", "/bucket/source").headers(headers)
    };
    copy(&[]).send().await.fails_saying(400, "InvalidRequest", illegal);
    copy(&[("x-amz-metadata-directive", "COPY")]).send().await.fails_saying(400, "InvalidRequest", illegal);
    copy(&[("x-amz-storage-class", "STANDARD")]).send().await.is(200);
    copy(&[("x-amz-server-side-encryption", "AES256")]).send().await.is(200);
    copy(&[("x-amz-website-redirect-location", "/x")]).send().await.is(200);
    copy(&[("x-amz-metadata-directive", "REPLACE")]).send().await.is(200);
    raw.head("/bucket/source").await.is(200).has_header("x-amz-meta-m", None);
    raw.get("/bucket/source").await.is(200).has_body("content");
    fixture.stop().await;
}

#[tokio::test]
async fn forms_of_sources() {
    let fixture = with_source().await;
    let raw = &fixture.raw;
    raw.put("/bucket/a%20b/%C3%BC%2B%3F", "odd").await.is(200);
    let copy = async |source: &str| raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", source).send().await;
    for source in ["bucket/source", "/bucket/source", "bucket%2Fsource", "/bucket/sour%63e"] {
        copy(source).await.is(200);
        raw.get("/bucket/copy").await.is(200).has_body("content");
    }
    copy("/bucket/a%20b/%C3%BC%2B%3F").await.is(200);
    raw.get("/bucket/copy").await.is(200).has_body("odd");
    for source in ["", "/", "bucket", "/bucket/", "bucket/source?other=1"] {
        let answer = copy(source).await;
        assert_eq!(answer.status.as_u16(), 400, "{source}: {}", answer.text());
    }
    copy("/bucket/missing?versionId=null").await.fails(404, "NoSuchVersion");
    // The content is the copy's own.
    raw.delete("/bucket/source").await.is(204);
    raw.delete("/bucket/a%20b/%C3%BC%2B%3F").await.is(204);
    raw.get("/bucket/copy").await.is(200).has_body("odd");
    fixture.stop().await;
}

#[tokio::test]
async fn large_sources() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let content: Vec<u8> = (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let etag = raw.put("/bucket/source", content.clone()).await.is(200).etag();
    let copied = raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", "/bucket/source").send().await.is(200);
    copied.has("ETag", &format!("\"{etag}\""));
    raw.delete("/bucket/source").await.is(204);
    raw.get("/bucket/copy").await.is(200).has_body(&content);
    fixture.stop().await;
}
