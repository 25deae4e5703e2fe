"""Forms: policies that boto3 signs, sent by urllib3 and by curl."""

import xml.etree.ElementTree as ElementTree

import pytest
import urllib3

from content import numbered_bytes
from server import Server
from test_boto3 import body, connect


@pytest.fixture(scope="session")
def s3(server):
    """A client that signs forms and URLs with Signature V4, which boto3 does only when it is told to."""
    return connect(server, signature_version="s3v4")


@pytest.fixture(scope="session")
def pool():
    """Connections that do not follow redirects."""
    return urllib3.PoolManager(retries=False)


def send(pool, post, content, **more):
    """Sends a presigned form with a file."""
    fields = post["fields"] | more | {"file": ("photo.jpg", content, "image/jpeg")}
    return pool.request("POST", post["url"], fields=fields)


def code(answer):
    """The status, and the code of the error document."""
    return answer.status, ElementTree.fromstring(answer.data).findtext("Code")


def test_presigned_forms(s3, pool, bucket):
    post = s3.generate_presigned_post(bucket, "k")
    content = numbered_bytes(5 << 20)
    answer = send(pool, post, content)
    assert (answer.status, answer.data) == (204, b"")
    assert body(s3, bucket, "k") == content


def test_fields_and_names(s3, pool, bucket):
    fields = {"acl": "private", "Content-Type": "image/jpeg", "success_action_status": "201", "x-amz-meta-a": "b"}
    conditions = [{name: value} for name, value in fields.items()] + [["starts-with", "$key", "user/"]]
    post = s3.generate_presigned_post(bucket, "user/${filename}", Fields=fields, Conditions=conditions)
    answer = send(pool, post, b"x")
    assert answer.status == 201
    document = ElementTree.fromstring(answer.data)
    assert (document.findtext("Bucket"), document.findtext("Key")) == (bucket, "user/photo.jpg")
    head = s3.head_object(Bucket=bucket, Key="user/photo.jpg")
    assert (head["ContentType"], head["Metadata"]) == ("image/jpeg", {"a": "b"})


def test_redirects(s3, pool, bucket):
    fields = {"success_action_redirect": "http://example.com/done"}
    post = s3.generate_presigned_post(bucket, "k", Fields=fields, Conditions=[fields])
    answer = send(pool, post, b"x")
    assert answer.status == 303
    assert answer.headers["location"].startswith(f"http://example.com/done?bucket={bucket}&key=k&etag=%22")


def test_what_policies_forbid(s3, pool, bucket):
    sized = s3.generate_presigned_post(bucket, "k", Conditions=[["content-length-range", 2, 4]])
    assert code(send(pool, sized, b"x")) == (400, "EntityTooSmall")
    assert code(send(pool, sized, b"xxxxx")) == (400, "EntityTooLarge")
    assert send(pool, sized, b"xxxx").status == 204
    assert code(send(pool, sized, b"xxx", **{"x-amz-meta-a": "b"})) == (403, "AccessDenied")
    assert code(send(pool, sized, b"xxx", key="other")) == (403, "AccessDenied")
    assert code(send(pool, sized, b"xxx", **{"x-amz-signature": "0" * 64})) == (403, "SignatureDoesNotMatch")
    unsigned = {"url": sized["url"], "fields": {"key": "k"}}
    assert code(send(pool, unsigned, b"xxx")) == (403, "AccessDenied")
    assert body(s3, bucket, "k") == b"xxxx"


def test_curl(s3, run, bucket, tmp_path):
    post = s3.generate_presigned_post(bucket, "${filename}")
    (tmp_path / "report.txt").write_bytes(b"from curl")
    words = [word for name, value in post["fields"].items() for word in ("--form-string", f"{name}={value}")]
    status = run("curl", "-sS", "-w", "%{http_code}", *words, "-F", f"file=@{tmp_path / 'report.txt'}", post["url"])
    assert status == "204"
    assert body(s3, bucket, "report.txt") == b"from curl"


def test_failed_sign_ins_are_slowed_down(tmp_path, pool):
    server = Server(tmp_path / "data", "--set", "limits.failures_per_minute=3")
    s3 = connect(server, signature_version="s3v4")
    s3.create_bucket(Bucket="forms")
    post = s3.generate_presigned_post("forms", "k")
    forged = {**post, "fields": {**post["fields"], "x-amz-signature": "0" * 64}}
    answers = [code(send(pool, forged, b"x")) for _ in range(4)]
    assert answers == [(403, "SignatureDoesNotMatch")] * 4
    # The right signature included, or the answer would tell which guess was right.
    assert [code(send(pool, form, b"x")) for form in (forged, post)] == [(503, "SlowDown")] * 2
    assert server.stop() == 0, server.errors()
