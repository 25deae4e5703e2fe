//! Who may do what: every operation of S3, asked for by the owner, by a user who may, by one who may not, by another
//! account, and by nobody.

use crate::people::People;
use crate::support::{Answer, Fixture, Raw};

/// One operation as it is asked for. What the strangers get is 403 `AccessDenied`, unless another column says so.
struct Row {
    /// The method and target.
    line: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    /// What the owner and the user who may get: status and code. `""` for operations that this server may lack: anything
    /// but a denial.
    permitted: &'static str,
    /// What all others get.
    denied: &'static str,
}

const DENIED: &str = "403 AccessDenied";

const fn row(line: &'static str, permitted: &'static str) -> Row {
    Row { line, headers: &[], body: "", permitted, denied: DENIED }
}

const fn with_body(line: &'static str, body: &'static str, permitted: &'static str) -> Row {
    Row { line, headers: &[], body, permitted, denied: DENIED }
}

const TAGGING: &str = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
const VERSIONING: &str = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
const DELETE: &str = "<Delete><Object><Key>absent</Key></Object></Delete>";
const LIFECYCLE: &str = "<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter/>\
                         <Expiration><Days>9</Days></Expiration></Rule></LifecycleConfiguration>";
const RESTORE: &str = "<RestoreRequest><Days>1</Days></RestoreRequest>";
const SOURCE: &[(&str, &str)] = &[("x-amz-copy-source", "/bucket/key")];

const ROWS: &[Row] = &[
    // Objects.
    row("GET /bucket/key", "200"),
    row("HEAD /bucket/key", "200"),
    row("GET /bucket/missing", "404 NoSuchKey"),
    row("HEAD /bucket/missing", "404"),
    row("GET /bucket/key?versionId=null", "200"),
    with_body("PUT /bucket/key", "x", "200"),
    Row { headers: SOURCE, ..row("PUT /bucket/copy", "200") },
    row("DELETE /bucket/other-key", "204"),
    row("DELETE /bucket/other-key?versionId=null", "204"),
    with_body("POST /bucket?delete", DELETE, "200"),
    Row { headers: &[("x-amz-object-attributes", "ETag")], ..row("GET /bucket/key?attributes", "200") },
    row("GET /bucket/key?tagging", "200"),
    with_body("PUT /bucket/key?tagging", TAGGING, "200"),
    row("DELETE /bucket/key?tagging", "204"),
    with_body("POST /bucket/key?restore", RESTORE, "403 InvalidObjectState"),
    row("GET /bucket/key?acl", ""),
    row("PUT /bucket/key?acl", ""),
    row("GET /bucket/key?legal-hold", ""),
    row("PUT /bucket/key?legal-hold", ""),
    row("GET /bucket/key?retention", ""),
    row("PUT /bucket/key?retention", ""),
    row("GET /bucket/key?torrent", ""),
    row("POST /bucket/key?select&select-type=2", ""),
    row("PUT /bucket/key?encryption", ""),
    row("GET /bucket/key?annotation", ""),
    row("GET /bucket/key?annotation&annotationName=a", ""),
    row("PUT /bucket/key?annotation", ""),
    row("DELETE /bucket/key?annotation", ""),
    row("PUT /bucket/key?renameObject", ""),
    // Objects in parts.
    row("POST /bucket/key?uploads", "200"),
    with_body("PUT /bucket/key?partNumber=1&uploadId=UPLOAD", "x", "200"),
    Row { headers: SOURCE, ..row("PUT /bucket/key?partNumber=1&uploadId=UPLOAD", "200") },
    row("GET /bucket/key?uploadId=UPLOAD", "200"),
    with_body("POST /bucket/key?uploadId=UPLOAD", "<CompleteMultipartUpload/>", "400 InvalidRequest"),
    row("DELETE /bucket/key?uploadId=none", "404 NoSuchUpload"),
    row("GET /bucket?uploads", "200"),
    // Buckets.
    row("HEAD /bucket", "200"),
    row("GET /bucket", "200"),
    row("GET /bucket?list-type=2", "200"),
    row("GET /bucket?versions", "200"),
    row("GET /bucket?location", "200"),
    row("DELETE /bucket", "409 BucketNotEmpty"),
    row("GET /bucket?tagging", "404 NoSuchTagSet"),
    with_body("PUT /bucket?tagging", TAGGING, "204"),
    row("DELETE /bucket?tagging", "204"),
    row("GET /bucket?versioning", "200"),
    with_body("PUT /bucket?versioning", VERSIONING, "200"),
    row("GET /bucket?lifecycle", "404 NoSuchLifecycleConfiguration"),
    with_body("PUT /bucket?lifecycle", LIFECYCLE, "200"),
    row("DELETE /bucket?lifecycle", "204"),
    row("GET /bucket?analytics", "200"),
    row("GET /bucket?analytics&id=a", "404 NoSuchConfiguration"),
    row("PUT /bucket?analytics&id=a", "400 MissingRequestBodyError"),
    row("DELETE /bucket?analytics&id=a", "404 NoSuchConfiguration"),
    row("GET /bucket?intelligent-tiering", "200"),
    row("GET /bucket?intelligent-tiering&id=a", "404 NoSuchConfiguration"),
    row("PUT /bucket?intelligent-tiering&id=a", "400 MissingRequestBodyError"),
    row("DELETE /bucket?intelligent-tiering&id=a", "404 NoSuchConfiguration"),
    row("GET /bucket?abac", ""),
    row("PUT /bucket?abac", ""),
    row("GET /bucket?accelerate", ""),
    row("PUT /bucket?accelerate", ""),
    row("GET /bucket?acl", ""),
    row("PUT /bucket?acl", ""),
    row("GET /bucket?cors", ""),
    row("PUT /bucket?cors", ""),
    row("DELETE /bucket?cors", ""),
    row("GET /bucket?encryption", ""),
    row("PUT /bucket?encryption", ""),
    row("DELETE /bucket?encryption", ""),
    row("GET /bucket?inventory", ""),
    row("GET /bucket?inventory&id=a", ""),
    row("PUT /bucket?inventory&id=a", ""),
    row("DELETE /bucket?inventory&id=a", ""),
    row("GET /bucket?logging", ""),
    row("PUT /bucket?logging", ""),
    row("GET /bucket?metadataConfiguration", ""),
    row("POST /bucket?metadataConfiguration", ""),
    row("DELETE /bucket?metadataConfiguration", ""),
    row("GET /bucket?metadataTable", ""),
    row("POST /bucket?metadataTable", ""),
    row("DELETE /bucket?metadataTable", ""),
    row("PUT /bucket?metadataAnnotationTable", ""),
    row("PUT /bucket?metadataInventoryTable", ""),
    row("PUT /bucket?metadataJournalTable", ""),
    row("GET /bucket?metrics", ""),
    row("GET /bucket?metrics&id=a", ""),
    row("PUT /bucket?metrics&id=a", ""),
    row("DELETE /bucket?metrics&id=a", ""),
    row("GET /bucket?notification", ""),
    row("PUT /bucket?notification", ""),
    row("GET /bucket?object-lock", ""),
    row("PUT /bucket?object-lock", ""),
    row("GET /bucket?ownershipControls", ""),
    row("PUT /bucket?ownershipControls", ""),
    row("GET /bucket?policy", ""),
    row("PUT /bucket?policy", ""),
    row("DELETE /bucket?policy", ""),
    row("GET /bucket?policyStatus", ""),
    row("GET /bucket?publicAccessBlock", ""),
    row("PUT /bucket?publicAccessBlock", ""),
    row("DELETE /bucket?publicAccessBlock", ""),
    row("GET /bucket?replication", "404 ReplicationConfigurationNotFoundError"),
    with_body("PUT /bucket?replication", "<x/>", "400 MalformedXML"),
    row("DELETE /bucket?replication", "204"),
    row("GET /bucket?requestPayment", ""),
    row("PUT /bucket?requestPayment", ""),
    row("GET /bucket?website", ""),
    row("PUT /bucket?website", ""),
    row("DELETE /bucket?website", ""),
    row("GET /bucket?session", ""),
];

#[tokio::test]
async fn every_operation_for_everybody() {
    let fixture = Fixture::with_bucket("bucket").await;
    let people = People::of(&fixture).await;
    let owner = &fixture.raw;
    owner.put("/bucket/key", "content").await.is(200);
    let upload = owner.request("POST", "/bucket/key?uploads").send().await.is(200);
    let upload = upload.element("UploadId").expect("an upload");
    let mut wrong = Vec::new();
    for row in ROWS {
        // Those first whose requests must leave no trace.
        for (who, raw) in [("denied", &people.denied), ("other", &people.other), ("anonymous", owner)] {
            let answer = ask(raw, row, &upload, who == "anonymous").await;
            match row.line {
                "POST /bucket?delete" => drop(answer.is(200).has("Code", "AccessDenied").lacks("Deleted")),
                _ => wrong.extend(mistake(&answer, row, row.denied, who)),
            }
        }
        for (who, raw) in [("allowed", &people.allowed), ("owner", owner)] {
            let answer = ask(raw, row, &upload, false).await;
            match row.permitted {
                "" if answer.status != 403 => {}
                "" => wrong.push(format!("{who}: {}: {}", row.line, answer.text())),
                permitted => wrong.extend(mistake(&answer, row, permitted, who)),
            }
        }
    }
    owner.get("/bucket/key").await.is(200);
    fixture.stop().await;
    // All of them at once: one wrong rule shows in many rows.
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn ask(raw: &Raw, row: &Row, upload: &str, anonymously: bool) -> Answer {
    let (method, target) = row.line.split_once(' ').expect("method and target");
    let mut draft = raw.request(method, &target.replace("UPLOAD", upload)).headers(row.headers);
    if !row.body.is_empty() {
        draft = draft.md5_of(row.body.as_bytes());
    }
    let draft = draft.body(row.body);
    if anonymously { draft.unsigned().send().await } else { draft.send().await }
}

/// What is wrong with an answer.
fn mistake(answer: &Answer, row: &Row, expected: &str, who: &str) -> Option<String> {
    let code = answer.element("Code").map(|code| format!(" {code}")).unwrap_or_default();
    let found = format!("{}{code}", answer.status.as_u16());
    // The answer to a HEAD has no document.
    let expected = if row.line.starts_with("HEAD") { &expected[..3] } else { expected };
    (found != expected).then(|| format!("{who}: {}: {found}, expected {expected}: {}", row.line, answer.text()))
}

#[tokio::test]
async fn accounts_have_their_own_buckets() {
    let fixture = Fixture::with_bucket("bucket").await;
    let people = People::of(&fixture).await;
    let (owner, other) = (&fixture.raw, &people.other);
    let names = async |raw: &Raw| raw.get("/").await.is(200).elements("Name").join(" ");
    other.put("/theirs", "").await.is(200);
    assert_eq!((names(owner).await, names(other).await), ("bucket".to_owned(), "theirs".to_owned()));
    assert_eq!(names(&people.allowed).await, "bucket");
    people.denied.get("/").await.fails(403, "AccessDenied");
    owner.request("GET", "/").unsigned().send().await.fails(403, "AccessDenied");

    other.put("/bucket", "").await.fails(409, "BucketAlreadyExists").has("BucketName", "bucket");
    owner.put("/bucket", "").await.is(200);
    people.denied.put("/mine", "").await.fails(403, "AccessDenied");
    owner.request("PUT", "/mine").unsigned().send().await.fails(403, "AccessDenied");
    owner.get("/theirs").await.fails(403, "AccessDenied");
    owner.head("/theirs").await.is(403);
    // Everybody may know which buckets there are.
    other.get("/missing").await.fails(404, "NoSuchBucket");
    people.denied.get("/missing").await.fails(404, "NoSuchBucket");
    for target in ["/missing", "/missing/key", "/missing?policy"] {
        owner.request("GET", target).unsigned().send().await.fails(404, "NoSuchBucket").has("BucketName", "missing");
    }
    owner.request("HEAD", "/missing").unsigned().send().await.is(404);
    other.get("/-/admin/v1/status").await.fails(403, "AccessDenied");
    people.allowed.get("/-/admin/v1/status").await.fails(403, "AccessDenied");
    owner.get("/-/admin/v1/status").await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn the_expected_owner_is_the_buckets() {
    let fixture = Fixture::with_bucket("bucket").await;
    let people = People::of(&fixture).await;
    let expecting = async |raw: &Raw, target: &str, account: &str| {
        raw.request("GET", target).header("x-amz-expected-bucket-owner", account).send().await
    };
    let theirs = &people.other_account;
    people.other.put("/theirs", "").await.is(200);
    expecting(&fixture.raw, "/bucket", "000000000000").await.is(200);
    expecting(&fixture.raw, "/bucket", theirs).await.fails(403, "AccessDenied");
    expecting(&people.other, "/theirs", theirs).await.is(200);
    expecting(&people.other, "/theirs", "000000000000").await.fails(403, "AccessDenied");
    expecting(&fixture.raw, "/bucket", "12345").await.fails(400, "InvalidBucketOwnerAWSAccountID");
    fixture.stop().await;
}

#[tokio::test]
async fn absence_is_for_those_who_may_list() {
    let fixture = Fixture::with_versioned_bucket("bucket").await;
    let people = People::of(&fixture).await;
    let owner = &fixture.raw;
    owner.put("/bucket/key", "x").await.is(200);
    let version = owner.put("/bucket/gone", "x").await.is(200).version();
    owner.delete("/bucket/gone").await.is(204);
    owner.delete(&format!("/bucket/gone?versionId={version}")).await.is(204);
    let actions = r#"["s3:GetObject","s3:GetObjectVersion","s3:GetObjectTagging"]"#;
    people.allow(&people.denied_name, &format!(r#""Action":{actions},"Resource":"arn:aws:s3:::bucket/*""#)).await;
    let reader = &people.denied;
    reader.get("/bucket/key").await.is(200);
    for target in ["/bucket/missing", "/bucket/gone", "/bucket/missing?tagging"] {
        let answer = reader.get(target).await.fails(403, "AccessDenied");
        answer.has_header("x-amz-delete-marker", None).has_header("x-amz-version-id", None).lacks("Key");
        owner.get(target).await.fails(404, "NoSuchKey");
    }
    reader.head("/bucket/missing").await.is(403);
    let missing = format!("/bucket/gone?versionId={version}");
    reader.get(&missing).await.fails(403, "AccessDenied").lacks("VersionId");
    owner.get(&missing).await.fails(404, "NoSuchVersion");
    let copy = |raw: &Raw| {
        let raw = raw.clone();
        async move { raw.request("PUT", "/bucket/copy").header("x-amz-copy-source", "/bucket/missing").send().await }
    };
    people
        .allow(&people.denied_name, r#""Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::bucket/*""#)
        .await;
    copy(reader).await.fails(403, "AccessDenied");
    copy(owner).await.fails(404, "NoSuchKey");
    people
        .allow(&people.denied_name, r#""Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]"#)
        .await;
    reader.get("/bucket/missing").await.fails(404, "NoSuchKey");
    copy(reader).await.fails(404, "NoSuchKey");
    fixture.stop().await;
}

#[tokio::test]
async fn copies_need_their_source() {
    let fixture = Fixture::with_bucket("bucket").await;
    let people = People::of(&fixture).await;
    let owner = &fixture.raw;
    owner.request("PUT", "/bucket/tagged").header("x-amz-tagging", "a=1").body("x").send().await.is(200);
    owner.put("/bucket/plain", "x").await.is(200);
    people.other.put("/theirs", "").await.is(200);
    let copy =
        async |raw: &Raw, from: &str, to: &str| raw.request("PUT", to).header("x-amz-copy-source", from).send().await;
    copy(&people.other, "/bucket/plain", "/theirs/key").await.fails(403, "AccessDenied");
    copy(owner, "/bucket/plain", "/theirs/key").await.fails(403, "AccessDenied");
    let copier = &people.denied;
    let allow = async |actions: &str| {
        people.allow(&people.denied_name, &format!(r#""Action":{actions},"Resource":"arn:aws:s3:::bucket/*""#)).await;
    };
    allow(r#""s3:PutObject""#).await;
    copy(copier, "/bucket/plain", "/bucket/copy").await.fails(403, "AccessDenied");
    allow(r#"["s3:PutObject","s3:GetObject"]"#).await;
    copy(copier, "/bucket/plain", "/bucket/copy").await.is(200);
    copy(copier, "/bucket/tagged", "/bucket/copy").await.fails(403, "AccessDenied");
    allow(r#"["s3:PutObject","s3:GetObject","s3:GetObjectTagging","s3:PutObjectTagging"]"#).await;
    copy(copier, "/bucket/tagged", "/bucket/copy").await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn deletes_are_judged_one_by_one() {
    let fixture = Fixture::with_bucket("bucket").await;
    let people = People::of(&fixture).await;
    let owner = &fixture.raw;
    for key in ["mine/a", "theirs/b"] {
        owner.put(&format!("/bucket/{key}"), "x").await.is(200);
    }
    people.allow(&people.denied_name, r#""Action":"s3:DeleteObject","Resource":"arn:aws:s3:::bucket/mine/*""#).await;
    let document = "<Delete><Object><Key>mine/a</Key></Object><Object><Key>theirs/b</Key></Object>\
                    <Object><Key>mine/a</Key><VersionId>null</VersionId></Object></Delete>";
    let answer = people.denied.post("/bucket?delete", document).await.is(200);
    assert_eq!(answer.elements("Deleted"), ["<Key>mine/a</Key>"]);
    assert_eq!(answer.elements("Code"), ["AccessDenied", "AccessDenied"]);
    owner.head("/bucket/theirs/b").await.is(200);
    owner.head("/bucket/mine/a").await.is(404);
    fixture.stop().await;
}
