"""Cross-origin resource sharing: boto3 for the rules, and what a browser would send by hand."""

import http.client
from urllib.parse import urlsplit

import pytest

from test_boto3 import connect, refused

RULES = [
    {
        "ID": "upload",
        "AllowedOrigins": ["https://app.example.com"],
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 600,
    },
    {"AllowedOrigins": ["*"], "AllowedMethods": ["GET", "HEAD"]},
]


@pytest.fixture(scope="session")
def s3(server):
    """A client that signs forms and URLs with Signature V4, which boto3 does only when it is told to."""
    return connect(server, signature_version="s3v4")


def send(url, method, headers=None, body=None):
    """Sends what a browser would; gives status, headers and body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.request(method, parts.path + ("?" + parts.query if parts.query else ""), body, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_rules(s3, bucket):
    refused("NoSuchCORSConfiguration", 404, s3.get_bucket_cors, Bucket=bucket)
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == RULES
    faulty = {"CORSRules": [{"AllowedOrigins": ["http://*.*"], "AllowedMethods": ["GET"]}]}
    refused("InvalidRequest", 400, s3.put_bucket_cors, Bucket=bucket, CORSConfiguration=faulty)
    s3.delete_bucket_cors(Bucket=bucket)
    refused("NoSuchCORSConfiguration", 404, s3.get_bucket_cors, Bucket=bucket)


def test_a_script_uploads_and_reads(s3, bucket):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    where = {"Bucket": bucket, "Key": "k"}
    origin = {"Origin": "https://app.example.com"}
    upload = s3.generate_presigned_url("put_object", Params=where)
    asked = origin | {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    status, headers, _ = send(upload, "OPTIONS", asked)
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://app.example.com"
    assert headers["access-control-allow-headers"] == "content-type"
    assert headers["access-control-max-age"] == "600"
    status, headers, _ = send(upload, "PUT", origin | {"Content-Type": "text/plain"}, b"from a script")
    assert (status, headers["access-control-expose-headers"]) == (200, "ETag")

    read = s3.generate_presigned_url("get_object", Params=where)
    status, headers, content = send(read, "GET", {"Origin": "https://other.example.com"})
    assert (status, content, headers["access-control-allow-origin"]) == (200, b"from a script", "*")
    assert "origin" in headers["vary"].lower()
    missing = s3.generate_presigned_url("get_object", Params=where | {"Key": "missing"})
    status, headers, _ = send(missing, "GET", {"Origin": "https://other.example.com"})
    assert (status, headers["access-control-allow-origin"]) == (404, "*")


def test_a_script_of_another_origin_is_refused(s3, server, bucket):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    asked = {"Origin": "https://other.example.com", "Access-Control-Request-Method": "PUT"}
    status, headers, content = send(f"{server.url.rstrip('/')}/{bucket}/k", "OPTIONS", asked)
    assert status == 403
    assert "access-control-allow-origin" not in headers
    assert b"AccessForbidden" in content
