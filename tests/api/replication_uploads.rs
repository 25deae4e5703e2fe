//! Objects that are sent in parts: a sender that starts anew goes on where it ended.

use crate::replication::fixture;
use crate::replication_faults::{replicating, status};
use crate::replication_proxy::{Proxy, Verdict};
use crate::support::{Fixture, Raw};

const PART_BYTES: usize = 5 << 20;

fn content(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ (at >> 12) as u8 ^ seed).collect()
}

/// Writes an object of two large parts and a small one.
async fn put_in_parts(raw: &Raw) -> Vec<u8> {
    let id = raw.post("/bucket/key?uploads", "").await.is(200).element("UploadId").expect("an upload");
    let (mut whole, mut listed) = (Vec::new(), String::new());
    for (number, size) in [(1, PART_BYTES), (2, PART_BYTES + 1), (3, 17)] {
        let part = content(number, size);
        let sent = raw.put(&format!("/bucket/key?partNumber={number}&uploadId={id}"), part.clone()).await.is(200);
        let etag = sent.header("etag").expect("an entity tag").to_owned();
        listed.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
        whole.extend(part);
    }
    let document = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
    raw.post(&format!("/bucket/key?uploadId={id}"), document).await.is(200);
    whole
}

/// An object of which two of three parts are there, and the third is on its way.
struct HalfWay {
    far: Fixture,
    proxy: Proxy,
    near: Fixture,
    whole: Vec<u8>,
}

impl HalfWay {
    async fn begin() -> HalfWay {
        let far = fixture(&["far"]).await;
        let proxy = Proxy::to(&far.raw).await;
        let near = replicating(&proxy, 4).await;
        hold_third(&proxy);
        let whole = put_in_parts(&near.raw).await;
        third_is_held(&proxy).await;
        HalfWay { far, proxy, near, whole }
    }

    /// The id of the upload at the destination.
    async fn id(&self) -> String {
        upload(&self.far.raw).await.expect("the upload")
    }

    /// Starts the source anew, lets everything pass, and waits for the object, which must have been begun so many times.
    async fn end(self, times: usize) {
        let near = self.near.restart().await;
        self.proxy.judge(|_| Verdict::Pass);
        self.proxy.until("the object", async || status(&near.raw, "key").await == "COMPLETED").await;
        assert_eq!((self.far.raw.get("/far/key").await.is(200).body, begun(&self.proxy)), (self.whole.into(), times));
        near.stop().await;
        self.far.stop().await;
    }
}

/// The id of the first upload at the destination.
async fn upload(far: &Raw) -> Option<String> {
    far.get("/far?uploads").await.is(200).element("UploadId")
}

async fn third_is_held(proxy: &Proxy) {
    proxy.until("the third part", async || !proxy.seen("PUT", "partNumber=3").is_empty()).await;
}

fn hold_third(proxy: &Proxy) {
    proxy.judge(|line| match line.starts_with("PUT") && line.contains("partNumber=3") {
        true => Verdict::Hold,
        false => Verdict::Pass,
    });
}

fn begun(proxy: &Proxy) -> usize {
    proxy.seen("POST", "/far/key?uploads").len()
}

#[tokio::test]
async fn a_new_start_sends_the_rest() {
    for is_strata in [true, false] {
        let far = fixture(&["far"]).await;
        let proxy = if is_strata { Proxy::to(&far.raw).await } else { Proxy::to_a_stranger(&far.raw).await };
        let near = replicating(&proxy, 4).await;
        hold_third(&proxy);
        let whole = match is_strata {
            true => put_in_parts(&near.raw).await,
            // To strangers it is cut.
            false => {
                let whole = content(9, 2 * PART_BYTES + 17);
                near.raw.put("/bucket/key", whole.clone()).await.is(200);
                whole
            }
        };
        third_is_held(&proxy).await;
        let near = near.restart().await;
        let before = [1, 2].map(|number| proxy.seen("PUT", &format!("partNumber={number}")).len());
        proxy.judge(|_| Verdict::Pass);
        proxy.until("the object", async || status(&near.raw, "key").await == "COMPLETED").await;
        let after = [1, 2].map(|number| proxy.seen("PUT", &format!("partNumber={number}")).len());
        assert_eq!((before, begun(&proxy)), (after, 1), "nothing is sent twice");
        let found = far.raw.get("/far/key").await.is(200);
        assert_eq!(found.body, whole);
        let ours = near.raw.head("/bucket/key").await.is(200);
        if is_strata {
            assert_eq!(found.header("etag"), ours.header("etag"));
            assert_eq!(found.header("x-amz-version-id"), ours.header("x-amz-version-id"));
        }
        near.stop().await;
        far.stop().await;
    }
}

#[tokio::test]
async fn parts_that_are_not_what_they_must_be_are_sent_again() {
    let half = HalfWay::begin().await;
    // Of the same size.
    let path = format!("/far/key?partNumber=1&uploadId={}", half.id().await);
    half.far.raw.put(&path, content(7, PART_BYTES)).await.is(200);
    half.end(1).await;
}

#[tokio::test]
async fn an_upload_that_is_gone_is_begun_anew() {
    let half = HalfWay::begin().await;
    half.far.raw.delete(&format!("/far/key?uploadId={}", half.id().await)).await.is(204);
    half.end(2).await;
}

#[tokio::test]
async fn the_upload_of_what_is_gone_is_aborted() {
    let HalfWay { far, proxy, near, .. } = HalfWay::begin().await;
    let version = near.raw.head("/bucket/key").await.is(200).header("x-amz-version-id").expect("a version").to_owned();
    near.raw.delete(&format!("/bucket/key?versionId={version}")).await.is(204);
    let near = near.restart().await;
    proxy.until("the abort", async || !proxy.seen("DELETE", "/far/key?uploadId=").is_empty()).await;
    proxy.until("no upload", async || upload(&far.raw).await.is_none()).await;
    near.stop().await;
    far.stop().await;
}

#[tokio::test]
async fn parts_that_somebody_else_wrote_over_are_sent_again() {
    let far = fixture(&["far"]).await;
    let proxy = Proxy::to(&far.raw).await;
    let near = replicating(&proxy, 4).await;
    proxy.judge(|line| match line.starts_with("POST /far/key?uploadId") {
        true => Verdict::Answer(503, "SlowDown"),
        false => Verdict::Pass,
    });
    let whole = put_in_parts(&near.raw).await;
    proxy.until("the end", async || !proxy.seen("POST", "/far/key?uploadId=").is_empty()).await;
    let id = upload(&far.raw).await.expect("the upload");
    far.raw.put(&format!("/far/key?partNumber=1&uploadId={id}"), content(7, PART_BYTES)).await.is(200);
    proxy.judge(|_| Verdict::Pass);
    proxy.until("the object", async || status(&near.raw, "key").await == "COMPLETED").await;
    assert_eq!((far.raw.get("/far/key").await.is(200).body, begun(&proxy)), (whole.into(), 1));
    near.stop().await;
    far.stop().await;
}
