"""Object Lock as boto3 and aws-cli use it: configurations, retentions, legal holds, and deletes that they refuse."""

import datetime
import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from server import ACCESS_KEY, SECRET_KEY

REFUSED = 255


@pytest.fixture
def s3(server):
    """A boto3 client of the shared server."""
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
    )


@pytest.fixture
def locked(s3, bucket_name):
    """A bucket with Object Lock."""
    s3.create_bucket(Bucket=bucket_name, ObjectLockEnabledForBucket=True)
    return bucket_name


def in_days(days: int) -> datetime.datetime:
    """A time so many days from now, in whole seconds."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=days)


def refused(call, **arguments) -> str:
    """The code of the error that a call must end with."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"]


def test_configurations(s3, locked, bucket):
    configuration = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert configuration == {"ObjectLockEnabled": "Enabled"}
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=wanted)
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == wanted
    suspended = {"Status": "Suspended"}
    code = refused(s3.put_bucket_versioning, Bucket=locked, VersioningConfiguration=suspended)
    assert code == "InvalidBucketState"
    # An existing bucket can be given one once it is versioned.
    assert refused(s3.get_object_lock_configuration, Bucket=bucket) == "ObjectLockConfigurationNotFoundError"
    enabled = {"ObjectLockEnabled": "Enabled"}
    code = refused(s3.put_object_lock_configuration, Bucket=bucket, ObjectLockConfiguration=enabled)
    assert code == "InvalidBucketState"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=enabled)
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == enabled


def test_default_retention(s3, locked):
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 1}}
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=wanted)
    version = s3.put_object(Bucket=locked, Key="a", Body=b"a")["VersionId"]
    head = s3.head_object(Bucket=locked, Key="a")
    assert head["ObjectLockMode"] == "COMPLIANCE"
    assert in_days(364) < head["ObjectLockRetainUntilDate"] < in_days(367)
    bypass = {"VersionId": version, "BypassGovernanceRetention": True}
    assert refused(s3.delete_object, Bucket=locked, Key="a", **bypass) == "AccessDenied"


def test_retention_in_headers_and_by_itself(s3, locked):
    until = in_days(2)
    version = s3.put_object(
        Bucket=locked, Key="a", Body=b"a", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until
    )["VersionId"]
    retention = s3.get_object_retention(Bucket=locked, Key="a")["Retention"]
    assert retention == {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    longer = {"Mode": "GOVERNANCE", "RetainUntilDate": in_days(4)}
    s3.put_object_retention(Bucket=locked, Key="a", Retention=longer)
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": in_days(1)}
    assert refused(s3.put_object_retention, Bucket=locked, Key="a", Retention=shorter) == "AccessDenied"
    s3.put_object_retention(Bucket=locked, Key="a", Retention=shorter, BypassGovernanceRetention=True)
    past = {"Mode": "GOVERNANCE", "RetainUntilDate": in_days(-1)}
    assert refused(s3.put_object_retention, Bucket=locked, Key="a", Retention=past) == "InvalidArgument"
    assert refused(s3.delete_object, Bucket=locked, Key="a", VersionId=version) == "AccessDenied"
    s3.delete_object(Bucket=locked, Key="a", VersionId=version, BypassGovernanceRetention=True)
    assert refused(s3.get_object_retention, Bucket=locked, Key="a") == "NoSuchKey"


def test_legal_hold(s3, locked):
    version = s3.put_object(Bucket=locked, Key="a", Body=b"a", ObjectLockLegalHoldStatus="ON")["VersionId"]
    assert s3.get_object_legal_hold(Bucket=locked, Key="a")["LegalHold"] == {"Status": "ON"}
    bypass = {"VersionId": version, "BypassGovernanceRetention": True}
    assert refused(s3.delete_object, Bucket=locked, Key="a", **bypass) == "AccessDenied"
    # A delete marker covers it, and it comes back when that goes.
    marker = s3.delete_object(Bucket=locked, Key="a")
    assert marker["DeleteMarker"]
    assert refused(s3.put_object_legal_hold, Bucket=locked, Key="a", LegalHold={"Status": "OFF"}) == "MethodNotAllowed"
    s3.delete_object(Bucket=locked, Key="a", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=locked, Key="a")["Body"].read() == b"a"
    s3.put_object_legal_hold(Bucket=locked, Key="a", LegalHold={"Status": "OFF"})
    s3.delete_object(Bucket=locked, Key="a", VersionId=version)


def test_many_deletes_at_once(s3, locked):
    kept = s3.put_object(Bucket=locked, Key="kept", Body=b"k", ObjectLockLegalHoldStatus="ON")["VersionId"]
    retained = s3.put_object(
        Bucket=locked, Key="retained", Body=b"r", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=in_days(1)
    )["VersionId"]
    free = s3.put_object(Bucket=locked, Key="free", Body=b"f")["VersionId"]
    entries = [
        {"Key": "kept", "VersionId": kept},
        {"Key": "retained", "VersionId": retained},
        {"Key": "free", "VersionId": free},
    ]
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": entries})
    assert sorted((error["Key"], error["Code"]) for error in answer["Errors"]) == [
        ("kept", "AccessDenied"),
        ("retained", "AccessDenied"),
    ]
    assert [deleted["Key"] for deleted in answer["Deleted"]] == ["free"]
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": entries[:2]}, BypassGovernanceRetention=True)
    assert [error["Key"] for error in answer["Errors"]] == ["kept"]
    assert [deleted["Key"] for deleted in answer["Deleted"]] == ["retained"]


def test_multipart_upload_and_copy(s3, locked):
    until = in_days(1)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    upload = s3.create_multipart_upload(Bucket=locked, Key="parts", ObjectLockLegalHoldStatus="ON", **lock)["UploadId"]
    part = s3.upload_part(Bucket=locked, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=locked, Key="parts", UploadId=upload, MultipartUpload=parts)
    head = s3.head_object(Bucket=locked, Key="parts")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until)
    assert head["ObjectLockLegalHoldStatus"] == "ON"
    source = {"Bucket": locked, "Key": "parts"}
    s3.copy_object(Bucket=locked, Key="copy", CopySource=source)
    assert "ObjectLockMode" not in s3.head_object(Bucket=locked, Key="copy")
    s3.copy_object(Bucket=locked, Key="copy", CopySource=source, **lock)
    assert s3.head_object(Bucket=locked, Key="copy")["ObjectLockMode"] == "GOVERNANCE"


def test_aws_cli(run, bucket_name):
    def s3api(operation, *arguments, status=0):
        said = run("aws", "s3api", operation, "--bucket", bucket_name, *arguments, status=status)
        return json.loads(said) if said.strip() else {}

    s3api("create-bucket", "--object-lock-enabled-for-bucket")
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    s3api("put-object-lock-configuration", "--object-lock-configuration", json.dumps(rule))
    assert s3api("get-object-lock-configuration")["ObjectLockConfiguration"] == rule
    version = s3api("put-object", "--key", "a")["VersionId"]
    assert s3api("get-object-retention", "--key", "a")["Retention"]["Mode"] == "GOVERNANCE"
    s3api("put-object-legal-hold", "--key", "a", "--legal-hold", "Status=ON")
    assert s3api("get-object-legal-hold", "--key", "a")["LegalHold"] == {"Status": "ON"}
    bypass = ["--key", "a", "--version-id", version, "--bypass-governance-retention"]
    s3api("delete-object", *bypass, status=REFUSED)
    s3api("put-object-legal-hold", "--key", "a", "--legal-hold", "Status=OFF")
    s3api("delete-object", "--key", "a", "--version-id", version, status=REFUSED)
    s3api("delete-object", *bypass)
    run("aws", "s3", "rb", f"s3://{bucket_name}")
