"""Storage classes and restores, as each client asks for them and shows them.

The server of these tests restores faster than S3, in a few seconds instead of hours.
"""

import json
import time

import boto3
import pytest
from botocore.exceptions import ClientError

from content import MIB, numbered_bytes
from server import ACCESS_KEY, CREDENTIALS, SECRET_KEY, Server

CLASSES = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
]
ARCHIVED = ["GLACIER", "DEEP_ARCHIVE"]
READABLE = [name for name in CLASSES if name not in ARCHIVED]
# The scale makes 1.4 s of the four hours of a Standard restore from GLACIER, and 4.3 s of the twelve from DEEP_ARCHIVE.
SETTINGS = {**CREDENTIALS, "STRATA_RESTORE_SCALE": "0.0001"}
RESTORE_SECONDS_MAX = 120
POLL_SECONDS = 0.1
# The exit status of aws-cli when the server refuses a request.
REFUSED = 255


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own, in place of the shared one."""
    running = Server(tmp_path_factory.mktemp("classes"), environment=SETTINGS)
    yield running
    assert running.stop() == 0, f"the server did not stop well:\n{running.errors()}"


@pytest.fixture(scope="module")
def s3(server):
    """boto3's client of that server."""
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
    )


def told(name):
    """The class as GetObject and HeadObject report it: STANDARD goes without saying."""
    return None if name == "STANDARD" else name


def restored(s3, bucket, key):
    """Waits until HeadObject reports a restored copy; returns what it says of it."""
    deadline = time.monotonic() + RESTORE_SECONDS_MAX
    while time.monotonic() < deadline:
        said = s3.head_object(Bucket=bucket, Key=key).get("Restore", "")
        if said.startswith('ongoing-request="false", expiry-date="'):
            return said
        assert said == 'ongoing-request="true"', said
        time.sleep(POLL_SECONDS)
    pytest.fail(f"{key} was not restored within {RESTORE_SECONDS_MAX} s")


@pytest.mark.parametrize("name", CLASSES)
def test_boto3_reports_the_class_everywhere(s3, bucket, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"text", StorageClass=name)
    assert s3.head_object(Bucket=bucket, Key="k").get("StorageClass") == told(name)
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["StorageClass"])
    assert attributes["StorageClass"] == name
    lists = [
        s3.list_objects(Bucket=bucket)["Contents"],
        s3.list_objects_v2(Bucket=bucket)["Contents"],
        s3.list_object_versions(Bucket=bucket)["Versions"],
    ]
    assert [entry["StorageClass"] for entries in lists for entry in entries] == [name] * 3
    if name in READABLE:
        answer = s3.get_object(Bucket=bucket, Key="k")
        assert (answer.get("StorageClass"), answer["Body"].read()) == (told(name), b"text")


@pytest.mark.parametrize("name", CLASSES)
def test_boto3_uploads_in_parts(s3, bucket, name):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", StorageClass=name)["UploadId"]
    etag = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    assert s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["StorageClass"] == name
    assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["StorageClass"] == name
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)
    assert s3.head_object(Bucket=bucket, Key="k").get("StorageClass") == told(name)


def test_boto3_copies_into_a_class(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"text", StorageClass="STANDARD_IA")
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="copy")
    s3.copy_object(Bucket=bucket, Key="k", CopySource=source, StorageClass="GLACIER")
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "GLACIER"
    with pytest.raises(ClientError) as caught:
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source, StorageClass="STANDARD")
    assert caught.value.response["Error"]["Code"] == "InvalidObjectState"


@pytest.mark.parametrize("name", ARCHIVED)
def test_boto3_restores(s3, bucket, name):
    data = numbered_bytes(3 * MIB, seed=1)
    s3.put_object(Bucket=bucket, Key="k", Body=data, StorageClass=name)
    with pytest.raises(s3.exceptions.InvalidObjectState) as caught:
        s3.get_object(Bucket=bucket, Key="k")
    # The SDK knows the elements of this error by name.
    assert caught.value.response["StorageClass"] == name
    request = {"Days": 2, "GlacierJobParameters": {"Tier": "Standard"}}
    answer = s3.restore_object(Bucket=bucket, Key="k", RestoreRequest=request)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    said = restored(s3, bucket, "k")
    assert said.endswith(' 00:00:00 GMT"'), said
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert (answer["StorageClass"], answer["Restore"]) == (name, said)
    assert answer["Body"].read() == data
    entry = s3.list_objects_v2(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])["Contents"][0]
    assert entry["RestoreStatus"]["IsRestoreInProgress"] is False
    assert entry["RestoreStatus"]["RestoreExpiryDate"].strftime("%d %b %Y %H:%M:%S GMT") in said
    answer = s3.restore_object(Bucket=bucket, Key="k", RestoreRequest=request)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("name", CLASSES)
def test_aws_cli_uploads(run, bucket, tmp_path, name):
    (tmp_path / "up").write_bytes(numbered_bytes(9 * MIB, seed=2))
    run("aws", "s3", "cp", "--storage-class", name, tmp_path / "up", f"s3://{bucket}/k")
    head = json.loads(run("aws", "s3api", "head-object", "--bucket", bucket, "--key", "k"))
    assert head.get("StorageClass") == told(name)
    if name in READABLE:
        run("aws", "s3", "cp", f"s3://{bucket}/k", tmp_path / "down")
        assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()


def test_aws_cli_restores(run, s3, bucket, tmp_path):
    place = ["--bucket", bucket, "--key", "k"]
    run("aws", "s3", "cp", "--storage-class", "GLACIER", "-", f"s3://{bucket}/k", input=b"archived")
    run("aws", "s3api", "get-object", *place, tmp_path / "down", status=REFUSED)
    request = json.dumps({"Days": 1, "GlacierJobParameters": {"Tier": "Expedited"}})
    run("aws", "s3api", "restore-object", *place, "--restore-request", request)
    restored(s3, bucket, "k")
    run("aws", "s3api", "get-object", *place, tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == b"archived"
    run("aws", "s3api", "restore-object", "--bucket", bucket, "--key", "none", "--restore-request", request, status=REFUSED)


def test_aws_cli_skips_what_is_archived(run, bucket, tmp_path):
    for key, name in [("archived", "GLACIER"), ("kept", "STANDARD")]:
        run("aws", "s3", "cp", "--storage-class", name, "-", f"s3://{bucket}/{key}", input=key.encode())
    # 2 is the exit status for files that were skipped.
    run("aws", "s3", "cp", "--recursive", f"s3://{bucket}", tmp_path / "down", status=2)
    assert [file.name for file in (tmp_path / "down").iterdir()] == ["kept"]


@pytest.mark.parametrize("name", CLASSES)
def test_rclone_uploads(rclone, bucket, tmp_path, name):
    (tmp_path / "up").write_bytes(numbered_bytes(MIB, seed=3))
    rclone("copyto", "--s3-storage-class", name, tmp_path / "up", f"strata:{bucket}/k")
    assert [entry["Tier"] for entry in json.loads(rclone("lsjson", f"strata:{bucket}"))] == [name]
    if name in READABLE:
        rclone("copyto", f"strata:{bucket}/k", tmp_path / "down")
        assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()


def test_rclone_changes_the_class_and_restores(rclone, s3, bucket):
    rclone("rcat", f"strata:{bucket}/k", input=b"text")
    rclone("settier", "GLACIER", f"strata:{bucket}/k")
    assert json.loads(rclone("lsjson", f"strata:{bucket}"))[0]["Tier"] == "GLACIER"
    said = rclone("backend", "restore", f"strata:{bucket}", "-o", "priority=Standard", "-o", "lifetime=1")
    assert [entry["Status"] for entry in json.loads(said)] == ["OK"]
    restored(s3, bucket, "k")
    assert rclone("cat", f"strata:{bucket}/k") == "text"


@pytest.mark.parametrize("name", CLASSES)
def test_s3cmd_uploads(s3cmd, bucket, tmp_path, name):
    (tmp_path / "up").write_bytes(numbered_bytes(MIB, seed=4))
    s3cmd("put", "--storage-class", name, tmp_path / "up", f"s3://{bucket}/k")
    assert name in s3cmd("ls", "--long-listing", f"s3://{bucket}").split()
    if name in READABLE:
        s3cmd("get", f"s3://{bucket}/k", tmp_path / "down")
        assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()


def test_s3cmd_restores(s3cmd, s3, bucket, tmp_path):
    (tmp_path / "up").write_bytes(b"archived")
    s3cmd("put", "--storage-class", "GLACIER", tmp_path / "up", f"s3://{bucket}/k")
    s3cmd("restore", "--restore-days", "1", "--restore-priority", "expedited", f"s3://{bucket}/k")
    restored(s3, bucket, "k")
    s3cmd("get", f"s3://{bucket}/k", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == b"archived"
