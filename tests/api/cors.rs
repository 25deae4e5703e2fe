//! Cross-origin resource sharing: configurations, preflights, and the headers of answers, errors included.

use crate::support::{Answer, Fixture, Raw};

const RULES: &str = "<CORSConfiguration>\
    <CORSRule><AllowedOrigin>https://*.example.com</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>\
    <AllowedMethod>DELETE</AllowedMethod><AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
    <MaxAgeSeconds>600</MaxAgeSeconds></CORSRule>\
    <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";

const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

async fn configure(raw: &Raw, document: &str) -> Answer {
    raw.request("PUT", "/bucket?cors").md5_of(document.as_bytes()).body(document.to_owned()).send().await
}

async fn preflight(raw: &Raw, target: &str, headers: &[(&str, &str)]) -> Answer {
    raw.request("OPTIONS", target).headers(headers).unsigned().send().await
}

#[tokio::test]
async fn configurations() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let message = "The CORS configuration does not exist";
    raw.get("/bucket?cors").await.fails_saying(404, "NoSuchCORSConfiguration", message);
    configure(raw, RULES).await.is(200);
    let shown = raw.get("/bucket?cors").await.is(200);
    assert!(shown.text().ends_with(RULES.trim_start_matches("<CORSConfiguration>")), "{}", shown.text());
    raw.put("/bucket?cors", RULES).await.fails(400, "InvalidRequest");
    configure(raw, "<CORSConfiguration/>").await.fails(400, "MalformedXML");
    let patch = RULES.replace("DELETE", "PATCH");
    let message = "Found unsupported HTTP method in CORS config. Unsupported method is PATCH";
    configure(raw, &patch).await.fails_saying(400, "InvalidRequest", message);
    configure(raw, &" ".repeat((64 << 10) + 1)).await.fails(400, "MaxMessageLengthExceeded");
    raw.delete("/bucket?cors").await.is(204);
    raw.delete("/bucket?cors").await.is(204);
    raw.get("/bucket?cors").await.fails(404, "NoSuchCORSConfiguration");
    fixture.stop().await;
}

#[tokio::test]
async fn preflights() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let put = [
        ("origin", "https://www.example.com"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "content-type,x-amz-date"),
    ];
    let disabled = "CORSResponse: CORS is not enabled for this bucket.";
    let refused = preflight(raw, "/bucket/key", &put).await.fails_saying(403, "AccessForbidden", disabled);
    refused.has("Method", "PUT").has("ResourceType", "BUCKET");
    preflight(raw, "/bucket", &put[..1]).await.fails_saying(403, "AccessForbidden", disabled).has("Method", "OPTIONS");
    preflight(raw, "/bucket", &[]).await.fails(400, "BadRequest");
    let missing = "CORSResponse: Bucket not found";
    preflight(raw, "/missing/key", &put).await.fails_saying(403, "AccessForbidden", missing).has("Method", "PUT");
    preflight(raw, "/missing", &put[..1]).await.fails_saying(403, "AccessForbidden", missing);
    preflight(raw, "/missing", &[]).await.fails(400, "BadRequest");
    configure(raw, RULES).await.is(200);
    preflight(raw, "/bucket/key?uploads", &put).await.is(200).has_body("").has_headers(&[
        ("access-control-allow-origin", "https://www.example.com"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "PUT, DELETE"),
        ("access-control-allow-headers", "content-type, x-amz-date"),
        ("access-control-expose-headers", "ETag"),
        ("access-control-max-age", "600"),
        ("vary", VARY),
    ]);
    let get = [("origin", "https://elsewhere.org"), ("access-control-request-method", "GET")];
    preflight(raw, "/bucket", &get)
        .await
        .is(200)
        .has_headers(&[("access-control-allow-origin", "*"), ("access-control-allow-methods", "GET"), ("vary", VARY)])
        .has_header("access-control-allow-credentials", None);
    let other = [("origin", "https://elsewhere.org"), ("access-control-request-method", "PUT")];
    let refused = preflight(raw, "/bucket/key", &other).await.fails(403, "AccessForbidden");
    refused.has("Method", "PUT").has("ResourceType", "OBJECT").has_header("access-control-allow-origin", None);
    let message = "Insufficient information. Origin request header needed.";
    preflight(raw, "/bucket/key", &[]).await.fails_saying(400, "BadRequest", message);
    let message = "Invalid Access-Control-Request-Method: null";
    preflight(raw, "/bucket", &get[..1]).await.fails_saying(400, "BadRequest", message);
    fixture.stop().await;
}

#[tokio::test]
async fn answers_tell_browsers_what_scripts_may_see() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    configure(raw, RULES).await.is(200);
    let from = |method, target, origin| raw.request(method, target).header("origin", origin).send();
    let put = from("PUT", "/bucket/key", "https://a.example.com").await.is(200);
    put.has_headers(&[
        ("access-control-allow-origin", "https://a.example.com"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "ETag"),
        ("vary", VARY),
    ]);
    let get = from("GET", "/bucket/key", "https://elsewhere.org").await.is(200);
    get.has_header("access-control-allow-origin", Some("*")).has_header("access-control-allow-headers", None);
    let error = from("GET", "/bucket/missing", "https://elsewhere.org").await.fails(404, "NoSuchKey");
    error.has_headers(&[("access-control-allow-origin", "*"), ("vary", VARY)]);
    let denied = raw.request("GET", "/bucket/key").header("origin", "https://elsewhere.org").unsigned().send().await;
    denied.fails(403, "AccessDenied").has_header("access-control-allow-origin", Some("*"));
    from("PUT", "/bucket/key", "https://elsewhere.org").await.is(200).has_header("access-control-allow-origin", None);
    raw.get("/bucket/key").await.is(200).has_header("access-control-allow-origin", None).has_header("vary", None);
    fixture.stop().await;
}
