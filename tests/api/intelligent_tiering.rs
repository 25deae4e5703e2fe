//! The configurations of the archive tiers of `INTELLIGENT_TIERING`.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{
    IntelligentTieringAccessTier, IntelligentTieringAndOperator, IntelligentTieringConfiguration,
    IntelligentTieringFilter, IntelligentTieringStatus, Tag, Tiering,
};

use crate::support::{Fixture, Sdk};

fn tiering(tier: IntelligentTieringAccessTier, days: i32) -> Tiering {
    Tiering::builder().access_tier(tier).days(days).build().expect("a tiering")
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().expect("a tag")
}

/// A configuration of both tiers.
fn configuration(id: &str, filter: Option<IntelligentTieringFilter>) -> IntelligentTieringConfiguration {
    IntelligentTieringConfiguration::builder()
        .id(id)
        .set_filter(filter)
        .status(IntelligentTieringStatus::Enabled)
        .tierings(tiering(IntelligentTieringAccessTier::ArchiveAccess, 90))
        .tierings(tiering(IntelligentTieringAccessTier::DeepArchiveAccess, 180))
        .build()
        .expect("a configuration")
}

async fn put(s3: &Sdk, configuration: &IntelligentTieringConfiguration) {
    let put = s3.put_bucket_intelligent_tiering_configuration().bucket("bucket").id(configuration.id());
    put.intelligent_tiering_configuration(configuration.clone()).send().await.expect("a configuration");
}

async fn get(s3: &Sdk, id: &str) -> Result<IntelligentTieringConfiguration, Option<String>> {
    match s3.get_bucket_intelligent_tiering_configuration().bucket("bucket").id(id).send().await {
        Ok(found) => Ok(found.intelligent_tiering_configuration.expect("a configuration")),
        Err(error) => Err(error.code().map(str::to_owned)),
    }
}

#[tokio::test]
async fn life_of_configurations() {
    let fixture = Fixture::with_bucket("bucket").await;
    let s3 = &fixture.s3;
    let prefix = IntelligentTieringFilter::builder().prefix("logs/").build();
    let one_tag = IntelligentTieringFilter::builder().tag(tag("team", "red")).build();
    let and = IntelligentTieringAndOperator::builder().prefix("a&b/").tags(tag("team", "red")).tags(tag("stage", ""));
    let and = IntelligentTieringFilter::builder().and(and.build()).build();
    let all = [
        configuration("Everything", None),
        configuration("and", Some(and)),
        configuration("logs", Some(prefix)),
        configuration("red", Some(one_tag)),
    ];
    for configuration in all.iter().rev() {
        assert_eq!(get(s3, configuration.id()).await, Err(Some("NoSuchConfiguration".to_owned())));
        put(s3, configuration).await;
        assert_eq!(get(s3, configuration.id()).await.as_ref(), Ok(configuration));
    }
    let listed = s3.list_bucket_intelligent_tiering_configurations().bucket("bucket").send().await.expect("a list");
    assert_eq!(listed.intelligent_tiering_configuration_list(), all);
    assert_eq!((listed.is_truncated(), listed.next_continuation_token()), (Some(false), None));

    let disabled = IntelligentTieringConfiguration::builder()
        .id("logs")
        .status(IntelligentTieringStatus::Disabled)
        .tierings(tiering(IntelligentTieringAccessTier::ArchiveAccess, 730))
        .build()
        .expect("a configuration");
    put(s3, &disabled).await;
    assert_eq!(get(s3, "logs").await, Ok(disabled));

    let delete = |id: &str| s3.delete_bucket_intelligent_tiering_configuration().bucket("bucket").id(id).send();
    delete("logs").await.expect("it is there");
    assert_eq!(get(s3, "logs").await, Err(Some("NoSuchConfiguration".to_owned())));
    assert_eq!(delete("logs").await.expect_err("it is gone").code(), Some("NoSuchConfiguration"));
    assert!(get(s3, "red").await.is_ok());
    fixture.stop().await;
}

fn document(id: &str) -> String {
    format!(
        "<IntelligentTieringConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Id>{id}</Id>\
         <Status>Enabled</Status><Tiering><AccessTier>ARCHIVE_ACCESS</AccessTier><Days>90</Days></Tiering>\
         </IntelligentTieringConfiguration>"
    )
}

#[tokio::test]
async fn answers() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let place = "/bucket?intelligent-tiering&id=a";
    raw.put(place, document("a")).await.is(200).has_body("");
    let stored = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", document("a"));
    raw.get(place).await.is(200).has_body(stored).has_header("content-type", Some("application/xml"));
    raw.delete(place).await.is(204).has_body("");
    let missing = "The specified configuration does not exist.";
    raw.get(place).await.fails_saying(404, "NoSuchConfiguration", missing);
    raw.delete(place).await.fails_saying(404, "NoSuchConfiguration", missing);
    raw.put(place, document("b")).await.fails(400, "MalformedXML");
    raw.put(place, "").await.fails(400, "MissingRequestBodyError");
    raw.put(place, document("a").replace("90", "89")).await.fails(400, "InvalidArgument").has("ArgumentName", "Days");
    raw.put("/bucket?intelligent-tiering", document("a")).await.fails(400, "InvalidArgument").has("ArgumentName", "id");
    raw.delete("/bucket?intelligent-tiering").await.fails(400, "InvalidArgument").has("ArgumentName", "id");
    raw.request("POST", place).send().await.fails(405, "MethodNotAllowed");
    raw.get(place).await.fails(404, "NoSuchConfiguration");
    let other = "/missing?intelligent-tiering&id=a";
    raw.put(other, document("a")).await.fails(404, "NoSuchBucket").has("BucketName", "missing");
    raw.get(other).await.fails(404, "NoSuchBucket");
    raw.get("/missing?intelligent-tiering").await.fails(404, "NoSuchBucket");
    raw.delete(other).await.fails(404, "NoSuchBucket");
    let foreign = raw.request("GET", place).header("x-amz-expected-bucket-owner", "999999999999");
    foreign.send().await.fails(403, "AccessDenied");
    fixture.stop().await;
}

#[tokio::test]
async fn a_thousand_in_pages() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let ids: Vec<String> = (0..1000).map(|number| format!("id-{number:03}")).collect();
    for id in &ids {
        raw.put(&format!("/bucket?intelligent-tiering&id={id}"), document(id)).await.is(200);
    }
    raw.put("/bucket?intelligent-tiering&id=more", document("more")).await.fails_saying(
        400,
        "TooManyConfigurations",
        "You are attempting to create a new configuration but have already reached the 1000-configuration limit.",
    );
    raw.put("/bucket?intelligent-tiering&id=id-500", document("id-500")).await.is(200);
    let mut found = Vec::new();
    let mut target = "/bucket?intelligent-tiering".to_owned();
    for page in 1..=10 {
        let answer = raw.get(&target).await.is(200).has("IsTruncated", if page < 10 { "true" } else { "false" });
        assert_eq!(answer.elements("Id").len(), 100);
        found.extend(answer.elements("Id"));
        match answer.element("NextContinuationToken") {
            Some(next) => target = format!("/bucket?intelligent-tiering&continuation-token={next}"),
            None => assert_eq!(page, 10),
        }
    }
    assert_eq!(found, ids);
    for token in ["", "nonsense"] {
        let target = format!("/bucket?intelligent-tiering&continuation-token={token}");
        raw.get(&target).await.fails(400, "InvalidArgument").has("ArgumentName", "continuation-token");
    }
    raw.delete("/bucket?intelligent-tiering&id=id-000").await.is(204);
    raw.put("/bucket?intelligent-tiering&id=more", document("more")).await.is(200);
    fixture.stop().await;
}
