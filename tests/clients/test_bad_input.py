"""What no client should send, over bare sockets: each gets S3's answer, nothing is stored, and the server lives on."""

import base64
import datetime
import hashlib
import zlib

import pytest

from content import MIB
from server import ACCESS_KEY, CREDENTIALS, Server
from sigv4 import Signer
from wire import Api, Wire, head, path

UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
# Every chunk but the last has at least this many bytes.
CHUNK_BYTES_MIN = 8192


def refused(answer, status, code):
    """Asserts one of S3's error answers."""
    assert (answer.status, answer.code) == (status, code), answer


def absent(api, bucket, key="k"):
    """Asserts that the key was not stored."""
    refused(api.call("GET", path(bucket, key)), 404, "NoSuchKey")


# Documents.

VERSIONING = "versioning"
DELETE = "delete"
VERSIONED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
BAD_SIZE = {"InvalidRequest", "IncompleteBody", "InvalidChunkSizeError"}


@pytest.mark.parametrize(
    ("method", "resource", "document"),
    [
        ("PUT", VERSIONING, b"<VersioningConfiguration><Status>Enabled"),
        ("PUT", VERSIONING, b"<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>"),
        ("PUT", VERSIONING, b"<VersioningConfiguration><Other>1</Other></VersioningConfiguration>"),
        ("PUT", VERSIONING, b"not xml"),
        ("PUT", VERSIONING, b"\xff\xfe<VersioningConfiguration/>"),
        ("PUT", VERSIONING, b'<!DOCTYPE a [<!ENTITY b "Enabled">]>' + VERSIONED.replace(b"Enabled", b"&b;")),
        ("PUT", VERSIONING, b"<VersioningConfiguration><Status>Enabled</Wrong></VersioningConfiguration>"),
        ("POST", DELETE, b"<Delete>"),
        ("POST", DELETE, b"<Delete></Delete>"),
        ("POST", DELETE, b"<Delete><Object><Key>k</Key></Object><Unknown/></Delete>"),
        ("POST", DELETE, b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>"),
        ("POST", DELETE, b"<a>" * 100_000),
    ],
)
def test_malformed_xml(api, bucket, method, resource, document):
    assert api.call("PUT", path(bucket, "k"), b"kept").status == 200
    headers = {"content-md5": base64.b64encode(hashlib.md5(document).digest()).decode()}
    refused(api.call(method, f"{path(bucket)}?{resource}", document, headers), 400, "MalformedXML")
    assert api.call("GET", path(bucket, "k")).body == b"kept"
    assert b"<Status>" not in api.call("GET", f"{path(bucket)}?versioning").body


def test_malformed_completion(api, bucket):
    target = path(bucket, "k")
    upload = api.call("POST", f"{target}?uploads").element("UploadId")
    sent = api.call("PUT", f"{target}?partNumber=1&uploadId={upload}", b"part").headers["etag"]
    part = "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>"
    for document, code in [
        ("", "MalformedXML"),
        ("<CompleteMultipartUpload>", "MalformedXML"),
        ("<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>", "MalformedXML"),
        (f"<CompleteMultipartUpload>{part.format('one', sent)}</CompleteMultipartUpload>", "MalformedXML"),
        (f"<CompleteMultipartUpload>{part.format(0, sent)}</CompleteMultipartUpload>", "InvalidArgument"),
        (f"<CompleteMultipartUpload>{part.format(2, sent)}</CompleteMultipartUpload>", "InvalidPart"),
        (f"<CompleteMultipartUpload>{part.format(1, '0' * 32)}</CompleteMultipartUpload>", "InvalidPart"),
    ]:
        refused(api.call("POST", f"{target}?uploadId={upload}", document.encode()), 400, code)
    absent(api, bucket)
    good = f"<CompleteMultipartUpload>{part.format(1, sent)}</CompleteMultipartUpload>"
    assert api.call("POST", f"{target}?uploadId={upload}", good.encode()).status == 200
    assert api.call("GET", target).body == b"part"


# Bodies.


def chunked_put(api, target, body, decoded, payload=UNSIGNED_TRAILER, more=None):
    """A PutObject whose body is sent as it is, declared as aws-chunked with `decoded` bytes in it."""
    headers = {
        "host": api.host,
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(decoded),
        "content-length": str(len(body)),
        **(more or {}),
    }
    signed = api.signer.sign("PUT", target, headers, payload)
    with api.connect() as wire:
        wire.send(head("PUT", target, signed.headers) + body)
        return wire.answer("PUT")


def trailer(data):
    """The trailer that names the data's CRC32."""
    return b"x-amz-checksum-crc32:" + base64.b64encode(zlib.crc32(data).to_bytes(4, "big")) + b"\r\n\r\n"


TRAILER = {"x-amz-trailer": "x-amz-checksum-crc32"}


def test_good_chunks_are_accepted(api, bucket):
    data = b"x" * CHUNK_BYTES_MIN + b" world"
    body = b"2000\r\n" + data[:CHUNK_BYTES_MIN] + b"\r\n6\r\n world\r\n0\r\n" + trailer(data)
    answer = chunked_put(api, path(bucket, "k"), body, len(data), more=TRAILER)
    assert answer.status == 200, answer
    got = api.call("GET", path(bucket, "k"))
    assert got.body == data and "content-encoding" not in got.headers


def test_small_chunk_before_the_last_is_refused(api, bucket):
    body = b"5\r\nhello\r\n6\r\n world\r\n0\r\n" + trailer(b"hello world")
    refused(chunked_put(api, path(bucket, "k"), body, 11, more=TRAILER), 403, "InvalidChunkSizeError")
    absent(api, bucket)


@pytest.mark.parametrize(
    ("body", "decoded", "codes"),
    [
        (b"zz\r\nhello\r\n0\r\n" + trailer(b"hello"), 5, BAD_SIZE),
        (b"-5\r\nhello\r\n0\r\n" + trailer(b"hello"), 5, BAD_SIZE),
        (b"ffffffffffffffffff\r\nhello\r\n0\r\n" + trailer(b""), 5, BAD_SIZE),
        (b"5\r\nhelloXX0\r\n" + trailer(b"hello"), 5, {"InvalidRequest", "IncompleteBody"}),
        (b"5\r\nhello\r\n", 5, {"IncompleteBody", "InvalidRequest", "MalformedTrailerError"}),
        (b"5\r\nhel", 5, {"IncompleteBody", "InvalidRequest"}),
        (b"5\r\nhello\r\n0\r\n" + trailer(b"hello"), 6, {"IncompleteBody", "InvalidRequest"}),
        (b"5\r\nhello\r\n0\r\n" + trailer(b"hello"), 4, {"IncompleteBody", "InvalidRequest"}),
        (b"5\r\nhello\r\n0\r\n" + trailer(b"other"), 5, {"BadDigest"}),
        (b"5\r\nhello\r\n0\r\n\r\n", 5, {"MalformedTrailerError", "InvalidRequest", "IncompleteBody"}),
        (b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n" + trailer(b"hello"), 5, {"InvalidRequest", "IncompleteBody"}),
        (b"", 5, {"IncompleteBody", "InvalidRequest"}),
    ],
)
def test_bad_chunks(api, bucket, body, decoded, codes):
    answer = chunked_put(api, path(bucket, "k"), body, decoded, more=TRAILER)
    assert answer.status == 400 and answer.code in codes, answer
    absent(api, bucket)


@pytest.mark.parametrize("fault", ["none", "data", "signature", "order"])
def test_signed_chunks(api, bucket, fault):
    target, pieces = path(bucket, "k"), [b"a" * 8192, b"b" * 8192, b"c", b""]
    overhead = sum(len(f"{len(piece):x}") + len(";chunk-signature=") + 64 + 4 for piece in pieces)
    headers = {
        "host": api.host,
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(sum(map(len, pieces))),
        "content-length": str(sum(map(len, pieces)) + overhead),
    }
    signed = api.signer.sign("PUT", target, headers, SIGNED_CHUNKS)
    previous, chunks = signed.signature, []
    for piece in pieces:
        previous = signed.chunk(previous, piece)
        chunks.append((piece, previous))
    if fault == "data":
        chunks[1] = (b"x" * 8192, chunks[1][1])
    elif fault == "signature":
        chunks[2] = (chunks[2][0], "0" * 64)
    elif fault == "order":
        chunks[0], chunks[1] = chunks[1], chunks[0]
    body = b"".join(f"{len(piece):x};chunk-signature={tag}\r\n".encode() + piece + b"\r\n" for piece, tag in chunks)
    with api.connect() as wire:
        wire.send(head("PUT", target, signed.headers) + body)
        answer = wire.answer("PUT")
    if fault == "none":
        assert answer.status == 200, answer
        assert api.call("GET", target).body == b"".join(pieces)
    else:
        refused(answer, 403, "SignatureDoesNotMatch")
        absent(api, bucket)


@pytest.mark.parametrize(("declared", "sent"), [(1000, 500), (1000, 0), (9 * MIB, 8 * MIB)])
def test_truncated_body_stores_nothing(api, bucket, declared, sent):
    target = path(bucket, "k")
    headers = {"host": api.host, "content-length": str(declared)}
    signed = api.signer.sign("PUT", target, headers, "UNSIGNED-PAYLOAD")
    with api.connect() as wire:
        wire.send(head("PUT", target, signed.headers) + b"x" * sent)
        wire.finish()
        try:
            refused(wire.answer("PUT"), 400, "IncompleteBody")
        except ConnectionError:
            pass  # Nobody is left to answer to.
    absent(api, bucket)


def test_wrong_digests(api, bucket):
    target = path(bucket, "k")
    other = hashlib.md5(b"other").digest()
    refused(api.call("PUT", target, b"data", {"content-md5": base64.b64encode(other).decode()}), 400, "BadDigest")
    refused(api.call("PUT", target, b"data", {"content-md5": "short"}), 400, "InvalidDigest")
    refused(api.call("PUT", target, b"data", {"x-amz-checksum-crc32": "AAAAAA=="}), 400, "BadDigest")
    refused(api.call("PUT", target, b"data", {"x-amz-checksum-crc32": "short"}), 400, "InvalidRequest")
    headers = {"host": api.host, "content-length": "4"}
    signed = api.signer.sign("PUT", target, headers, hashlib.sha256(b"other").hexdigest())
    with api.connect() as wire:
        wire.send(head("PUT", target, signed.headers) + b"data")
        refused(wire.answer("PUT"), 400, "XAmzContentSHA256Mismatch")
    absent(api, bucket)


def test_body_of_unknown_length(api, bucket):
    target = path(bucket, "k")
    signed = api.signer.sign("PUT", target, {"host": api.host}, "UNSIGNED-PAYLOAD")
    with api.connect() as wire:
        wire.send(head("PUT", target, signed.headers))
        refused(wire.answer("PUT"), 411, "MissingContentLength")
    absent(api, bucket)


# Keys and parameters.


def test_longest_key(api, bucket):
    longest = "ü" * 512
    assert api.call("PUT", path(bucket, longest), b"x").status == 200
    assert api.call("GET", path(bucket, longest)).body == b"x"
    refused(api.call("PUT", path(bucket, longest + "x"), b"x"), 400, "KeyTooLongError")
    refused(api.call("GET", path(bucket, "x" * 1025)), 400, "KeyTooLongError")


@pytest.mark.parametrize("key", ["\x01", "a\nb", "\x7f", "tab\there", "\ufffe", "a\rb"])
def test_control_characters_in_keys(api, bucket, key):
    assert api.call("PUT", path(bucket, key), b"x").status == 200
    assert api.call("GET", path(bucket, key)).body == b"x"
    listed = api.call("GET", f"{path(bucket)}?list-type=2&encoding-type=url")
    encoded = path("x", key).removeprefix("/x/")
    assert listed.element("Key").upper() == encoded.upper(), listed
    # Without the encoding, what XML cannot carry comes as a character reference, never raw.
    plain = api.call("GET", f"{path(bucket)}?list-type=2")
    assert plain.status == 200
    assert not set(plain.body) & set(range(1, 9)), plain


@pytest.mark.parametrize("key", [b"\xff\xfe", b"a\xc3"])
def test_keys_that_are_not_utf8(api, bucket, key):
    answer = api.call("PUT", path(bucket, key), b"x")
    assert answer.status == 400, answer


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/../b", "./x", "a//b", "/"])
def test_keys_are_not_paths(api, bucket, key):
    assert api.call("PUT", path(bucket, key), key.encode()).status == 200
    listed = api.call("GET", f"{path(bucket)}?list-type=2")
    assert listed.element("Key") == key
    assert api.call("GET", path(bucket, key)).body == key.encode()


@pytest.mark.parametrize(
    ("method", "query", "status", "code"),
    [
        ("GET", "list-type=2&continuation-token=garbage", 400, "InvalidArgument"),
        ("GET", "list-type=2&continuation-token=", 400, "InvalidArgument"),
        ("GET", "list-type=2&max-keys=-1", 400, "InvalidArgument"),
        ("GET", "list-type=2&max-keys=many", 400, "InvalidArgument"),
        ("GET", "list-type=2&encoding-type=base64", 400, "InvalidArgument"),
        ("GET", "versions&version-id-marker=x", 400, "InvalidArgument"),
        ("GET", "versions&max-keys=2147483648", 400, "InvalidArgument"),
    ],
)
def test_bad_parameters_of_a_bucket(api, bucket, method, query, status, code):
    refused(api.call(method, f"{path(bucket)}?{query}"), status, code)


@pytest.mark.parametrize(
    ("method", "query", "status", "code"),
    [
        ("GET", "versionId=abc", 400, "InvalidArgument"),
        ("GET", "versionId=", 400, "InvalidArgument"),
        ("GET", "partNumber=0", 400, "InvalidArgument"),
        ("GET", "partNumber=2", 416, "InvalidPartNumber"),
        ("PUT", "partNumber=10001&uploadId=x", 400, "InvalidArgument"),
        ("PUT", "partNumber=1&uploadId=garbage", 404, "NoSuchUpload"),
        ("DELETE", "uploadId=garbage", 404, "NoSuchUpload"),
    ],
)
def test_bad_parameters_of_an_object(api, bucket, method, query, status, code):
    target = path(bucket, "k")
    assert api.call("PUT", target, b"kept").status == 200
    refused(api.call(method, f"{target}?{query}"), status, code)
    assert api.call("GET", target).body == b"kept"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("bytes=0-8", 206),
        ("bytes=-15", 206),
        ("bytes=1-0", 200),
        ("bytes=-", 200),
        ("bytes=0-1,3-4", 200),
        ("lines=1-2", 200),
        ("bytes=99999999999999999999-", 416),
        ("bytes=10-", 416),
        ("bytes=-0", 416),
    ],
)
def test_ranges(api, bucket, header, status):
    assert api.call("PUT", path(bucket, "k"), b"0123456789").status == 200
    answer = api.call("GET", path(bucket, "k"), headers={"range": header})
    assert answer.status == status or (status == 416 and "99999" in header and answer.status == 200), answer
    if answer.status == 416:
        assert answer.code == "InvalidRange"


# Headers and connections.


def alive(api, bucket):
    """Asserts that the server still serves."""
    assert api.call("HEAD", path(bucket)).status == 200


def test_oversized_headers(api, bucket):
    with api.connect() as wire:
        try:
            wire.send(head("GET", "/", {"host": api.host, "x-long": "x" * (4 * MIB)}))
            assert wire.answer().status in (400, 431)
        except ConnectionError:
            pass  # Cut off while it was still sending.
    alive(api, bucket)


def test_oversized_metadata(api, bucket):
    answer = api.call("PUT", path(bucket, "k"), b"x", {"x-amz-meta-long": "x" * 2049})
    refused(answer, 400, "MetadataTooLarge")
    absent(api, bucket)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n" * 50 + b"\x00\r\n\r\n",
    ],
)
def test_what_is_not_http(api, bucket, garbage):
    with api.connect() as wire:
        wire.send(garbage)
        wire.finish()
        try:
            assert 400 <= wire.answer().status < 600
        except ConnectionError:
            pass  # Closed without a word.
    alive(api, bucket)


def test_two_lengths_are_refused(api, bucket):
    target = path(bucket, "k")
    signed = api.signer.sign("PUT", target, {"host": api.host, "content-length": "4"}, "UNSIGNED-PAYLOAD")
    lines = head("PUT", target, signed.headers).replace(b"\r\n\r\n", b"\r\ncontent-length: 5\r\n\r\n")
    with api.connect() as wire:
        wire.send(lines + b"datax")
        wire.finish()
        try:
            assert wire.answer("PUT").status == 400
        except ConnectionError:
            pass  # Closed without a word.
    absent(api, bucket)


def test_slow_heads_and_bodies_are_cut(tmp_path):
    server = Server(tmp_path / "data", environment={**CREDENTIALS, "STRATA_LIMITS_IDLE_SECONDS": "1"})
    api = server.api()
    api.create_bucket("slow")
    signed = api.signer.sign("PUT", "/slow/k", {"host": api.host, "content-length": "10"}, "UNSIGNED-PAYLOAD")
    with api.connect() as idle, api.connect() as slow_head, api.connect() as slow_body:
        slow_head.send(b"GET / HTTP/1.1\r\nhost: ")
        slow_body.send(head("PUT", "/slow/k", signed.headers) + b"12345")
        assert slow_head.closed() or slow_head.answer().status == 408
        assert idle.closed() or idle.answer().status == 408
        try:
            refused(slow_body.answer("PUT"), 400, "RequestTimeout")
        except ConnectionError:
            pass  # Closed without a word.
    refused(api.call("GET", "/slow/k"), 404, "NoSuchKey")
    assert server.stop() == 0


def test_continue_comes_before_the_body(api, bucket):
    target = path(bucket, "k")
    headers = {"host": api.host, "content-length": "4", "expect": "100-continue"}
    signed = api.signer.sign("PUT", target, headers, "UNSIGNED-PAYLOAD")
    with api.connect() as wire:
        wire.send(head("PUT", target, signed.headers))
        assert wire.answer("PUT").status == 100
        wire.send(b"data")
        assert wire.answer("PUT").status == 200
    assert api.call("GET", target).body == b"data"


def test_no_continue_for_a_refused_request(api, bucket):
    target = path(bucket, "k")
    wrong = Signer(ACCESS_KEY, "not the secret key")
    headers = {"host": api.host, "content-length": str(5 * MIB), "expect": "100-continue"}
    signed = wrong.sign("PUT", target, headers, "UNSIGNED-PAYLOAD")
    with api.connect() as wire:
        wire.send(head("PUT", target, signed.headers))
        refused(wire.answer("PUT"), 403, "SignatureDoesNotMatch")
    absent(api, bucket)


def test_pipelined_requests_after_an_error(api, bucket):
    target = path(bucket, "k")
    requests = [
        api.request("GET", path(bucket, "none")),
        api.request("PUT", target, b"data"),
        api.request("GET", target),
        api.request("GET", f"{target}?versionId=abc"),
        api.request("GET", target),
    ]
    with api.connect() as wire:
        wire.send(b"".join(requests))
        answers = [wire.answer() for _ in requests]
    assert [answer.status for answer in answers] == [404, 200, 200, 400, 200]
    assert answers[2].body == answers[4].body == b"data"


# Who asks.


def test_bad_signatures(server, api, bucket):
    target = path(bucket, "k")
    refused(Api(server.address, Signer("NOSUCHACCESSKEY12345", "x" * 40)).call("GET", target), 403, "InvalidAccessKeyId")
    refused(Api(server.address, Signer(ACCESS_KEY, "x" * 40)).call("PUT", target, b"x"), 403, "SignatureDoesNotMatch")
    wrong_region = Signer(ACCESS_KEY, api.signer.secret_key, region="eu-west-1")
    refused(Api(server.address, wrong_region).call("GET", target), 400, "AuthorizationHeaderMalformed")
    with api.connect() as wire:
        wire.send(head("GET", target, {"host": api.host}))
        refused(wire.answer(), 403, "AccessDenied")
    absent(api, bucket)


@pytest.mark.parametrize("minutes", [-16, 16])
def test_skewed_clock(api, bucket, minutes):
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    empty = hashlib.sha256(b"").hexdigest()
    signed = api.signer.sign("GET", path(bucket), {"host": api.host}, empty, then)
    with api.connect() as wire:
        wire.send(head("GET", path(bucket), signed.headers))
        refused(wire.answer(), 403, "RequestTimeTooSkewed")


def test_unsigned_header_is_refused(api, bucket):
    signed = api.signer.sign("PUT", path(bucket, "k"), {"host": api.host, "content-length": "0"}, "UNSIGNED-PAYLOAD")
    with api.connect() as wire:
        wire.send(head("PUT", path(bucket, "k"), {**signed.headers, "x-amz-meta-added": "later"}))
        refused(wire.answer("PUT"), 403, "AccessDenied")
    absent(api, bucket)


@pytest.mark.parametrize(
    ("expires_seconds", "age_seconds", "status", "code"),
    [
        (60, 0, 200, ""),
        (60, 61, 403, "AccessDenied"),
        (604_801, 0, 400, "AuthorizationQueryParametersError"),
        (0, 0, 400, "AuthorizationQueryParametersError"),
    ],
)
def test_presigned_expiry(api, bucket, expires_seconds, age_seconds, status, code):
    assert api.call("PUT", path(bucket, "k"), b"data").status == 200
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age_seconds)
    target = api.signer.presign("GET", api.host, path(bucket, "k"), expires_seconds, then)
    with api.connect() as wire:
        wire.send(head("GET", target, {"host": api.host}))
        answer = wire.answer()
    assert (answer.status, answer.code) == (status, code), answer


# What is not offered.


@pytest.mark.parametrize(
    "resource",
    ["torrent", "annotation=x", "encryption", "renameObject", "frobnicate", "lifecycle"],
)
def test_unknown_sub_resource_never_stores_an_object(api, bucket, resource):
    answer = api.call("PUT", f"{path(bucket, 'k')}?{resource}", b"<X/>")
    # 405 where S3 has the resource, but not with this method.
    assert (answer.status, answer.code) in [(501, "NotImplemented"), (405, "MethodNotAllowed")], answer
    absent(api, bucket)


@pytest.mark.parametrize("resource", ["select&select-type=2"])
def test_unknown_post_is_refused(api, bucket, resource):
    assert api.call("PUT", path(bucket, "k"), b"kept").status == 200
    refused(api.call("POST", f"{path(bucket, 'k')}?{resource}", b"<X/>"), 501, "NotImplemented")
    assert api.call("GET", path(bucket, "k")).body == b"kept"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "resource", ["metrics&id=x", "inventory&id=x", "website", "frobnicate"]
)
def test_unknown_sub_resource_never_acts_on_the_bucket(api, bucket, method, resource):
    answer = api.call(method, f"{path(bucket)}?{resource}", b"<X/>" if method == "PUT" else b"")
    if method == "GET" and resource != "frobnicate":
        code = "NoSuchWebsiteConfiguration" if resource == "website" else "NoSuchConfiguration"
        refused(answer, 404, code)
    else:
        refused(answer, 501, "NotImplemented")
    alive(api, bucket)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-storage-class", "OUTPOSTS"),
    ],
)
def test_promise_that_cannot_be_kept_is_refused(api, bucket, header, value):
    answer = api.call("PUT", path(bucket, "k"), b"x", {header: value})
    assert answer.status in (400, 501), answer
    absent(api, bucket)


def test_method_that_does_not_exist(api, bucket):
    with Wire(api.address) as wire:
        wire.send(api.request("BREW", path(bucket, "k")))
        assert wire.answer("BREW").status in (400, 405, 501)
    alive(api, bucket)
