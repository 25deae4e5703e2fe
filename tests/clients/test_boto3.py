"""boto3: the calls of a program.

Not here, and why: CRC32C, CRC64NVME and the XXHASH family need the AWS C runtime to be computed by boto3; they are
checked against an SDK that has them in the Rust tests.
"""

import base64
import hashlib
import io
import urllib.error
import urllib.request
import zlib

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.handlers import validate_bucket_name

from content import MIB, etag, multipart_etag, numbered_bytes
from server import ACCESS_KEY, SECRET_KEY


def connect(server, **config):
    """A client of the shared server."""
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


@pytest.fixture(scope="session")
def s3(server):
    """A client with the default settings, which send and check CRC32."""
    return connect(server)


def refused(code, status, call, **arguments):
    """Asserts that a call is refused with S3's code and status."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    return answer


def body(s3, bucket, key, **arguments):
    """The bytes of an object."""
    return s3.get_object(Bucket=bucket, Key=key, **arguments)["Body"].read()


@pytest.mark.parametrize("settings", ["when_supported", "when_required"])
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 65536, MIB, 9 * MIB + 1])
def test_round_trip(server, bucket, size, settings):
    s3 = connect(server, request_checksum_calculation=settings, response_checksum_validation=settings)
    data = numbered_bytes(size, seed=size)
    assert s3.put_object(Bucket=bucket, Key="k", Body=data)["ETag"] == etag(data)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == data
    assert (got["ContentLength"], got["ETag"], got["ContentType"]) == (size, etag(data), "binary/octet-stream")


ODD_KEYS = ["a b", "ü/ñ/漢字", "a+b%2Fc", "//x//", "./../y", "q?x=1&y#z", "'\"<>&;=,@$!()*", "\U0001f600"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert body(s3, bucket, key) == key.encode()
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert body(s3, bucket, "copy") == key.encode()
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}, {"Key": "copy"}]})
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_missing_things(s3, bucket):
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="none")
    refused("404", 404, s3.head_object, Bucket=bucket, Key="none")
    refused("NoSuchBucket", 404, s3.get_object, Bucket="no-such-bucket-here", Key="none")
    refused("NoSuchUpload", 404, s3.list_parts, Bucket=bucket, Key="none", UploadId="none")
    s3.delete_object(Bucket=bucket, Key="none")


@pytest.mark.parametrize("size", [20 * MIB + 5, 33 * MIB])
def test_upload_fileobj_in_parts(s3, bucket, size):
    data = numbered_bytes(size, seed=size)
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(data), bucket, "large", Config=config, ExtraArgs={"Metadata": {"made": "in-parts"}})
    head = s3.head_object(Bucket=bucket, Key="large")
    parts = [data[start : start + 8 * MIB] for start in range(0, size, 8 * MIB)]
    assert (head["ETag"], head["ContentLength"], head["Metadata"]) == (multipart_etag(parts), size, {"made": "in-parts"})
    down = io.BytesIO()
    s3.download_fileobj(bucket, "large", down, Config=config)
    assert down.getvalue() == data
    second = s3.get_object(Bucket=bucket, Key="large", PartNumber=2)
    assert second["Body"].read() == parts[1] and second["PartsCount"] == len(parts)


CHECKSUMS = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_checksum_of_one_piece(s3, bucket, algorithm):
    data = numbered_bytes(100_000)
    expected = base64.b64encode(CHECKSUMS[algorithm](data)).decode()
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, ChecksumAlgorithm=algorithm)
    assert put[f"Checksum{algorithm}"] == expected
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == data
    assert (got[f"Checksum{algorithm}"], got["ChecksumType"]) == (expected, "FULL_OBJECT")
    asked = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ETag", "ObjectSize"])
    assert asked["Checksum"][f"Checksum{algorithm}"] == expected
    assert (asked["ObjectSize"], asked["ETag"]) == (len(data), etag(data).strip('"'))


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_wrong_checksum_stores_nothing(s3, bucket, algorithm):
    wrong = base64.b64encode(CHECKSUMS[algorithm](b"something else")).decode()
    arguments = {"Bucket": bucket, "Key": "k", "Body": b"data", f"Checksum{algorithm}": wrong}
    refused("BadDigest", 400, s3.put_object, **arguments)
    refused("404", 404, s3.head_object, Bucket=bucket, Key="k")


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_composite_checksum_of_parts(s3, bucket, algorithm):
    data = [numbered_bytes(5 * MIB, seed=1), numbered_bytes(1000, seed=2)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm)["UploadId"]
    name, parts = f"Checksum{algorithm}", []
    place = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    for number, piece in enumerate(data, start=1):
        sent = s3.upload_part(PartNumber=number, Body=piece, ChecksumAlgorithm=algorithm, **place)
        parts.append({"PartNumber": number, "ETag": sent["ETag"], name: sent[name]})
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **place)
    compute = CHECKSUMS[algorithm]
    expected = base64.b64encode(compute(b"".join(compute(piece) for piece in data))).decode() + "-2"
    assert (done[name], done["ChecksumType"]) == (expected, "COMPOSITE")
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[name] == expected


def fetch(url, method="GET", data=None, headers=None):
    """Status and body of a request that carries no credentials."""
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_presigned(server, bucket):
    s3 = connect(server, signature_version="s3v4")
    place = {"Bucket": bucket, "Key": "pre signed"}
    put = s3.generate_presigned_url("put_object", Params=place, ExpiresIn=60)
    assert fetch(put, "PUT", b"by url", {"Content-Type": ""})[0] == 200
    get = s3.generate_presigned_url("get_object", Params={**place, "ResponseContentType": "text/plain"}, ExpiresIn=60)
    assert fetch(get) == (200, b"by url")
    assert fetch(get.replace("pre%20signed", "other"))[0] == 403
    assert fetch(get, "DELETE")[0] == 403
    assert fetch(get.split("?")[0])[0] == 403


def test_conditional_writes(s3, bucket):
    place = {"Bucket": bucket, "Key": "k"}
    first = s3.put_object(Body=b"1", IfNoneMatch="*", **place)["ETag"]
    refused("PreconditionFailed", 412, s3.put_object, Body=b"2", IfNoneMatch="*", **place)
    second = s3.put_object(Body=b"2", IfMatch=first, **place)["ETag"]
    refused("PreconditionFailed", 412, s3.put_object, Body=b"3", IfMatch=first, **place)
    refused("NoSuchKey", 404, s3.put_object, Bucket=bucket, Key="none", Body=b"3", IfMatch=first)
    refused("PreconditionFailed", 412, s3.delete_object, IfMatch=first, **place)
    s3.delete_object(IfMatch=second, **place)
    refused("404", 404, s3.head_object, **place)


def test_conditional_reads(s3, bucket):
    place = {"Bucket": bucket, "Key": "k"}
    tag = s3.put_object(Body=b"1", **place)["ETag"]
    modified = s3.head_object(**place)["LastModified"]
    refused("304", 304, s3.get_object, IfNoneMatch=tag, **place)
    refused("304", 304, s3.get_object, IfModifiedSince=modified, **place)
    refused("PreconditionFailed", 412, s3.get_object, IfMatch='"0123"', **place)
    assert s3.get_object(IfMatch=tag, **place)["Body"].read() == b"1"


def test_versioning_life_cycle(s3, bucket):
    place = {"Bucket": bucket, "Key": "k"}
    s3.put_object(Body=b"null", **place)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    one = s3.put_object(Body=b"one", **place)["VersionId"]
    two = s3.put_object(Body=b"two", **place)["VersionId"]
    assert body(s3, bucket, "k") == b"two"
    assert body(s3, bucket, "k", VersionId=one) == b"one"
    assert body(s3, bucket, "k", VersionId="null") == b"null"
    marker = s3.delete_object(**place)
    assert marker["DeleteMarker"]
    refused("NoSuchKey", 404, s3.get_object, **place)
    refused("405", 405, s3.head_object, VersionId=marker["VersionId"], **place)
    listed = s3.list_object_versions(Bucket=bucket)
    assert [version["VersionId"] for version in listed["Versions"]] == [two, one, "null"]
    assert [entry["VersionId"] for entry in listed["DeleteMarkers"]] == [marker["VersionId"]]
    s3.delete_object(VersionId=marker["VersionId"], **place)
    assert body(s3, bucket, "k") == b"two"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Body=b"null again", **place)
    assert body(s3, bucket, "k", VersionId="null") == b"null again"
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 3
    refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket=bucket)
    versions = [{"Key": "k", "VersionId": version} for version in (one, two, "null")]
    assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": versions})["Deleted"]) == 3
    s3.delete_bucket(Bucket=bucket)


def test_version_pages(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    made = []
    for key in ("a", "b", "c"):
        versions = [s3.put_object(Bucket=bucket, Key=key, Body=str(number))["VersionId"] for number in range(4)]
        made += [(key, version) for version in reversed(versions)]
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 5})
    assert [(entry["Key"], entry["VersionId"]) for page in pages for entry in page["Versions"]] == made


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_pages_and_prefixes(s3, bucket, operation):
    keys = sorted(f"{letter}/{number:02}" for letter in "abcdef" for number in range(6)) + ["top"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    paginator = s3.get_paginator(operation)
    pages = list(paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": 7}))
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == keys and len(pages) == 6
    pages = list(paginator.paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2}))
    prefixes = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
    assert prefixes == [f"{letter}/" for letter in "abcdef"] and len(pages) == 4
    pages = paginator.paginate(Bucket=bucket, Prefix="c/0", PaginationConfig={"PageSize": 4})
    assert sum(len(page["Contents"]) for page in pages) == 6


def test_delete_objects(s3, bucket):
    keys = [f"{number:04}" for number in range(1000)]
    s3.put_object(Bucket=bucket, Key="0007", Body=b"")
    s3.put_object(Bucket=bucket, Key="stays", Body=b"")
    done = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(entry["Key"] for entry in done["Deleted"]) == keys and "Errors" not in done
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "none"}], "Quiet": True})
    assert "Deleted" not in quiet
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["stays"]


def test_copy(s3, bucket, api, bucket_name):
    other = api.create_bucket(bucket_name)
    source = {"Bucket": bucket, "Key": "from"}
    s3.put_object(Body=b"copied", Metadata={"a": "1"}, Tagging="x=y", ContentType="text/plain", **source)
    s3.copy_object(Bucket=other, Key="same", CopySource=source)
    same = s3.head_object(Bucket=other, Key="same")
    assert (same["Metadata"], same["ContentType"]) == ({"a": "1"}, "text/plain")
    assert s3.get_object_tagging(Bucket=other, Key="same")["TagSet"] == [{"Key": "x", "Value": "y"}]
    s3.copy_object(Bucket=other, Key="new", CopySource=source, MetadataDirective="REPLACE", Metadata={"b": "2"})
    assert s3.head_object(Bucket=other, Key="new")["Metadata"] == {"b": "2"}
    assert body(s3, other, "new") == b"copied"
    refused("InvalidRequest", 400, s3.copy_object, CopySource=source, **source)


def test_copy_in_parts(s3, bucket):
    data = numbered_bytes(11 * MIB)
    s3.put_object(Bucket=bucket, Key="from", Body=data)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    s3.copy({"Bucket": bucket, "Key": "from"}, bucket, "to", Config=config)
    assert body(s3, bucket, "to") == data
    assert s3.head_object(Bucket=bucket, Key="to")["ETag"].endswith('-3"')


def test_ranges(s3, bucket):
    data = numbered_bytes(9 * MIB + 100)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    edges = [0, 1, 65535, 65536, MIB, 8 * MIB - 1, 8 * MIB, 9 * MIB]
    for first in edges:
        for last in (edge for edge in edges if edge >= first):
            got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
            assert got["Body"].read() == data[first : last + 1]
            assert got["ContentRange"] == f"bytes {first}-{last}/{len(data)}"
    assert body(s3, bucket, "k", Range="bytes=-7") == data[-7:]
    assert body(s3, bucket, "k", Range=f"bytes={8 * MIB}-") == data[8 * MIB :]
    refused("InvalidRange", 416, s3.get_object, Bucket=bucket, Key="k", Range=f"bytes={len(data)}-")


def test_abandoned_upload(s3, bucket):
    place = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**place)["UploadId"]
    s3.upload_part(UploadId=upload, PartNumber=1, Body=b"part", **place)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    s3.abort_multipart_upload(UploadId=upload, **place)
    refused("NoSuchUpload", 404, s3.upload_part, UploadId=upload, PartNumber=2, Body=b"part", **place)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_small_parts_are_refused(s3, bucket):
    place = {"Bucket": bucket, "Key": "k"}
    place["UploadId"] = s3.create_multipart_upload(**place)["UploadId"]
    sent = [s3.upload_part(PartNumber=number, Body=b"small", **place)["ETag"] for number in (1, 2)]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(sent, start=1)]
    refused("EntityTooSmall", 400, s3.complete_multipart_upload, MultipartUpload={"Parts": parts}, **place)
    refused("InvalidPartOrder", 400, s3.complete_multipart_upload, MultipartUpload={"Parts": parts[::-1]}, **place)


def test_buckets(s3, bucket):
    assert bucket in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    refused("InvalidBucketName", 400, connect_unchecked(s3).create_bucket, Bucket="Not_Valid")
    s3.delete_bucket(Bucket=bucket)
    refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket=bucket)


def connect_unchecked(s3):
    """A client that lets wrong bucket names through to the server."""
    client = boto3.client(
        "s3",
        endpoint_url=s3.meta.endpoint_url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.meta.events._emitter.unregister("before-parameter-build.s3", validate_bucket_name)
    return client


def test_lifecycle(s3, bucket):
    rules = [
        {
            "ID": "tiers",
            "Status": "Enabled",
            "Filter": {"Prefix": "a/"},
            "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 60, "StorageClass": "GLACIER"}],
            "Expiration": {"Days": 365},
            "NoncurrentVersionTransitions": [
                {"NoncurrentDays": 30, "StorageClass": "STANDARD_IA", "NewerNoncurrentVersions": 2}
            ],
            "NoncurrentVersionExpiration": {"NoncurrentDays": 90, "NewerNoncurrentVersions": 5},
        },
        {
            "ID": "rest",
            "Status": "Disabled",
            "Filter": {},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
    answer = s3.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={"Rules": rules},
        TransitionDefaultMinimumObjectSize="varies_by_storage_class",
    )
    assert answer["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    got = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert (got["Rules"], got["TransitionDefaultMinimumObjectSize"]) == (rules, "varies_by_storage_class")
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"x")
    assert s3.head_object(Bucket=bucket, Key="a/b")["Expiration"].endswith('rule-id="tiers"')
    rules[0]["Expiration"]["Days"] = 60
    configuration = {"Rules": rules}
    refused(
        "InvalidArgument",
        400,
        s3.put_bucket_lifecycle_configuration,
        Bucket=bucket,
        LifecycleConfiguration=configuration,
    )
    s3.delete_bucket_lifecycle(Bucket=bucket)
    refused("NoSuchLifecycleConfiguration", 404, s3.get_bucket_lifecycle_configuration, Bucket=bucket)


def test_what_is_not_there_yet_says_so(s3, bucket):
    website = {"IndexDocument": {"Suffix": "index.html"}}
    refused("NotImplemented", 501, s3.put_bucket_website, Bucket=bucket, WebsiteConfiguration=website)
    refused("InvalidArgument", 400, s3.put_object, Bucket=bucket, Key="k", Body=b"", ServerSideEncryption="aws:kms")
    refused("404", 404, s3.head_object, Bucket=bucket, Key="k")
