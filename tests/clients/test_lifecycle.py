"""Lifecycle rules, restores and Intelligent-Tiering against the real binary, with days that last a moment.

Nothing here sleeps for as long as a rule should take: what must happen is polled for until a deadline, and what must
not happen is looked at when something younger, under the same rules, has happened.
"""

import json
import time

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from content import MIB, numbered_bytes
from server import ACCESS_KEY, CREDENTIALS, SECRET_KEY, Server

KIB = 1024
# 420 days are 34 s; the shortest stay of the walk, 30 days, is 2.4 s.
WALK_DAY = "80ms"
# The other tests wait for a day or two, and once for the 90 days before Archive Access.
DAY = "30ms"
# The four hours of a Standard restore become 0.7 s.
RESTORE_SCALE = "0.00005"
SECONDS_MAX = 60
POLL_SECONDS = 0.02
WALK = {
    "Rules": [
        {
            "ID": "walk",
            "Filter": {"Prefix": "walks/"},
            "Status": "Enabled",
            "Transitions": [
                {"Days": 30, "StorageClass": "STANDARD_IA"},
                {"Days": 60, "StorageClass": "GLACIER_IR"},
                {"Days": 150, "StorageClass": "GLACIER"},
                {"Days": 240, "StorageClass": "DEEP_ARCHIVE"},
            ],
            "Expiration": {"Days": 420},
        }
    ]
}


def start(data, day):
    """A server whose days are so long."""
    return Server(data, environment={**CREDENTIALS, "STRATA_LIFECYCLE_DAY": day, "STRATA_RESTORE_SCALE": RESTORE_SCALE})


def client(server):
    """boto3's client of that server. It does not try again by itself, which would hide refusals and lose time."""
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own, in place of the shared one."""
    running = start(tmp_path_factory.mktemp("lifecycle"), DAY)
    yield running
    assert running.stop() == 0, f"the server did not stop well:\n{running.errors()}"


@pytest.fixture(scope="module")
def s3(server):
    """boto3's client of that server."""
    return client(server)


def until(what, found):
    """Polls until `found` returns something true, and returns that."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        answer = found()
        if answer:
            return answer
        time.sleep(POLL_SECONDS)
    pytest.fail(f"{what}: not within {SECONDS_MAX} s")


def is_there(s3, bucket, key):
    """Whether HeadObject finds the object."""
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404, error
        return False
    return True


def class_of(s3, bucket, key):
    """The object's class as HeadObject has it, with STANDARD spelled out."""
    return s3.head_object(Bucket=bucket, Key=key).get("StorageClass", "STANDARD")


def until_class(s3, bucket, key, before, after):
    """Polls until the class is `after`; meanwhile it is `before`, and never anything else."""

    def changed():
        found = class_of(s3, bucket, key)
        assert found in (before, after), f"{found} between {before} and {after}"
        return found == after

    until(f"{before} becomes {after}", changed)


def refused(call, **arguments):
    """What the server answers to a call that it must refuse."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response


def body(s3, bucket, key):
    """The bytes of an object."""
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def rules(s3, bucket, *actions, **filter):
    """Puts one rule for each action, all with this filter."""
    many = [{"ID": f"rule-{n}", "Status": "Enabled", "Filter": filter, **action} for n, action in enumerate(actions)]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": many})


def versions(s3, bucket):
    """The version ids of the bucket, newest first, and its delete markers."""
    listed = s3.list_object_versions(Bucket=bucket)
    ids = [version["VersionId"] for version in listed.get("Versions", [])]
    return ids, [marker["VersionId"] for marker in listed.get("DeleteMarkers", [])]


def test_one_object_walks_through_the_classes(run, tmp_path):
    running = start(tmp_path / "data", WALK_DAY)
    s3, bucket, key = client(running), "walks", "walks/k"
    # Three chunks, compressible in parts, as real objects are.
    data = numbered_bytes(MIB, seed=5) + b"the same words again\n" * (100 * KIB) + numbered_bytes(17, seed=6)
    s3.create_bucket(Bucket=bucket)
    aws = {"AWS_ENDPOINT_URL": running.url}
    config = ["--bucket", bucket, "--lifecycle-configuration", json.dumps(WALK)]
    run("aws", "s3api", "put-bucket-lifecycle-configuration", *config, extra=aws)
    said = run("aws", "s3api", "get-bucket-lifecycle-configuration", "--bucket", bucket, extra=aws)
    assert json.loads(said)["Rules"] == WALK["Rules"]

    put = s3.put_object(Bucket=bucket, Key=key, Body=data)
    assert 'rule-id="walk"' in put["Expiration"]
    s3.put_object(Bucket=bucket, Key="elsewhere", Body=data)
    first = s3.head_object(Bucket=bucket, Key=key)
    assert class_of(s3, bucket, key) == "STANDARD"
    assert body(s3, bucket, key) == data

    until_class(s3, bucket, key, "STANDARD", "STANDARD_IA")
    assert body(s3, bucket, key) == data
    until_class(s3, bucket, key, "STANDARD_IA", "GLACIER_IR")
    assert body(s3, bucket, key) == data
    running.kill()
    running = start(tmp_path / "data", WALK_DAY)
    s3 = client(running)
    assert body(s3, bucket, key) == data

    until_class(s3, bucket, key, "GLACIER_IR", "GLACIER")
    answer = refused(s3.get_object, Bucket=bucket, Key=key)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert (answer["Error"]["Code"], answer["StorageClass"]) == ("InvalidObjectState", "GLACIER")
    is_restored_once(s3, bucket, key, data)
    refused(s3.get_object, Bucket=bucket, Key=key)

    until_class(s3, bucket, key, "GLACIER", "DEEP_ARCHIVE")
    assert refused(s3.get_object, Bucket=bucket, Key=key)["StorageClass"] == "DEEP_ARCHIVE"
    running.kill()
    running = start(tmp_path / "data", WALK_DAY)
    s3 = client(running)
    last = s3.head_object(Bucket=bucket, Key=key)
    assert [last[name] for name in ("ETag", "LastModified", "ContentLength", "StorageClass")] == [
        first["ETag"],
        first["LastModified"],
        len(data),
        "DEEP_ARCHIVE",
    ]
    until("the object expires", lambda: not is_there(s3, bucket, key))
    assert body(s3, bucket, "elsewhere") == data
    assert class_of(s3, bucket, "elsewhere") == "STANDARD"
    assert running.stop() == 0, running.errors()


def is_restored_once(s3, bucket, key, data):
    """Restores an object for some days, reads the copy, and waits until it is gone."""
    request = {"Days": 15, "GlacierJobParameters": {"Tier": "Standard"}}
    answer = s3.restore_object(Bucket=bucket, Key=key, RestoreRequest=request)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202

    def restore():
        return s3.head_object(Bucket=bucket, Key=key).get("Restore", "")

    seen = [restore()]
    until("the restore ends", lambda: seen.append(restore()) or not seen[-1].startswith('ongoing-request="true"'))
    assert seen[0] == 'ongoing-request="true"'
    assert seen[-1].startswith('ongoing-request="false", expiry-date="'), seen[-1]
    assert body(s3, bucket, key) == data
    until("the restored copy expires", lambda: not restore())


def test_newest_noncurrent_versions_are_kept(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put = [s3.put_object(Bucket=bucket, Key="k", Body=b"%d" % n)["VersionId"] for n in range(6)]
    rules(s3, bucket, {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2}}, Prefix="")
    until("three versions go", lambda: versions(s3, bucket)[0] == put[:2:-1])
    put.append(s3.put_object(Bucket=bucket, Key="k", Body=b"another")["VersionId"])
    until("one more goes", lambda: versions(s3, bucket)[0] == put[:3:-1])
    assert body(s3, bucket, "k") == b"another"


def test_noncurrent_versions_change_their_class(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    data = numbered_bytes(200 * KIB)
    older = s3.put_object(Bucket=bucket, Key="k", Body=data)["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"newer")
    transition = {"NoncurrentDays": 1, "StorageClass": "GLACIER_IR"}
    rules(s3, bucket, {"NoncurrentVersionTransitions": [transition]}, Prefix="")

    def older_class():
        return s3.head_object(Bucket=bucket, Key="k", VersionId=older).get("StorageClass")

    until("the older version moves", lambda: older_class() == "GLACIER_IR")
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=older)["Body"].read() == data
    assert class_of(s3, bucket, "k") == "STANDARD"


def test_expiration_leaves_nothing_in_the_end(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"text")["VersionId"]
    rules(s3, bucket, {"Expiration": {"Days": 1}}, Prefix="")
    # The current version goes under a marker, as if it had been deleted.
    _, markers = until("a marker is made", lambda: (lambda found: found[1] and found)(versions(s3, bucket)))
    assert versions(s3, bucket) == ([version], markers), "the version stays, under one marker"
    rules(
        s3,
        bucket,
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"Expiration": {"ExpiredObjectDeleteMarker": True}},
        Prefix="",
    )
    until("version and marker go", lambda: versions(s3, bucket) == ([], []))
    s3.delete_bucket(Bucket=bucket)


def test_a_marker_with_versions_under_it_stays(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    rules(s3, bucket, {"Expiration": {"ExpiredObjectDeleteMarker": True}}, Prefix="")
    s3.put_object(Bucket=bucket, Key="covered", Body=b"text")
    covered = s3.delete_object(Bucket=bucket, Key="covered")["VersionId"]
    alone = s3.delete_object(Bucket=bucket, Key="alone")["VersionId"]
    until("the marker alone goes", lambda: alone not in versions(s3, bucket)[1])
    assert versions(s3, bucket)[1] == [covered]


def test_uploads_that_nobody_completes_are_aborted(s3, bucket):
    kept = s3.create_multipart_upload(Bucket=bucket, Key="other")["UploadId"]
    rules(s3, bucket, {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}, Prefix="tmp/")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="tmp/k")
    assert upload["AbortRuleId"] == "rule-0"
    uploads = lambda: [entry["UploadId"] for entry in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]
    until("the upload is aborted", lambda: upload["UploadId"] not in uploads())
    assert uploads() == [kept]
    answer = refused(s3.upload_part, Bucket=bucket, Key="tmp/k", UploadId=upload["UploadId"], PartNumber=1, Body=b"late")
    assert answer["Error"]["Code"] == "NoSuchUpload"


def test_filters_by_tag_and_size_choose(s3, bucket):
    chosen = {"Prefix": "a/", "Tags": [{"Key": "keep", "Value": "no"}], "ObjectSizeGreaterThan": 10}
    rules(s3, bucket, {"Expiration": {"Days": 1}}, And=chosen)
    stays = {
        "a/untagged": (b"x" * 20, ""),
        "a/another-value": (b"x" * 20, "keep=yes"),
        "a/too-small": (b"x" * 10, "keep=no"),
        "b/another-prefix": (b"x" * 20, "keep=no"),
    }
    for key, (data, tags) in stays.items():
        s3.put_object(Bucket=bucket, Key=key, Body=data, Tagging=tags)
    s3.put_object(Bucket=bucket, Key="a/goes", Body=b"x" * 11, Tagging="other=tag&keep=no")
    until("what matches expires", lambda: not is_there(s3, bucket, "a/goes"))
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == sorted(stays)
    # Tags decide when the rule is carried out, not when the object was stored.
    s3.put_object_tagging(Bucket=bucket, Key="a/untagged", Tagging={"TagSet": [{"Key": "keep", "Value": "no"}]})
    until("what is tagged now expires", lambda: not is_there(s3, bucket, "a/untagged"))


def test_small_objects_stay_in_their_class(s3, bucket):
    rules(s3, bucket, {"Transitions": [{"Days": 0, "StorageClass": "GLACIER_IR"}]}, Prefix="")
    s3.put_object(Bucket=bucket, Key="small", Body=bytes(128 * KIB - 1))
    s3.put_object(Bucket=bucket, Key="large", Body=bytes(128 * KIB))
    until_class(s3, bucket, "large", "STANDARD", "GLACIER_IR")
    assert class_of(s3, bucket, "small") == "STANDARD"


def test_intelligent_tiering_archives_what_nobody_reads(s3, bucket):
    tiering = {"Id": "all", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}
    s3.put_bucket_intelligent_tiering_configuration(
        Bucket=bucket, Id="all", IntelligentTieringConfiguration=tiering
    )
    data = numbered_bytes(300 * KIB, seed=7)
    s3.put_object(Bucket=bucket, Key="small", Body=bytes(KIB), StorageClass="INTELLIGENT_TIERING")
    s3.put_object(Bucket=bucket, Key="k", Body=data, StorageClass="INTELLIGENT_TIERING")
    head = lambda key: s3.head_object(Bucket=bucket, Key=key)
    until("the object is archived", lambda: head("k").get("ArchiveStatus") == "ARCHIVE_ACCESS")
    answer = refused(s3.get_object, Bucket=bucket, Key="k")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert [answer["Error"]["Code"], answer["StorageClass"], answer["AccessTier"]] == [
        "InvalidObjectState",
        "INTELLIGENT_TIERING",
        "ARCHIVE_ACCESS",
    ]
    assert "ArchiveStatus" not in head("small")
    # There is no copy for some days: the object itself comes back.
    assert refused(s3.restore_object, Bucket=bucket, Key="k", RestoreRequest={"Days": 1})["Error"]["Code"]
    s3.restore_object(Bucket=bucket, Key="k", RestoreRequest={})
    until("the object is back", lambda: "ArchiveStatus" not in head("k"))
    assert body(s3, bucket, "k") == data
    assert (head("k")["StorageClass"], head("k").get("Restore")) == ("INTELLIGENT_TIERING", None)
