"""Replication between two real servers: what arrives, in which state, through cuts, kills and refusals."""

import datetime
import random
import threading

import botocore.exceptions
import pytest

from content import MIB, numbered_bytes
from server import binary
from sites import Side, client, document, until

PART_BYTES = 5 * MIB


@pytest.fixture
def sides(tmp_path):
    """Two servers that know each other."""
    left, right = Side(tmp_path, "left"), Side(tmp_path, "right")
    right.start(left)
    left.start(right)
    yield left, right
    for side in (left, right):
        side.stop()


def test_versions_arrive_as_they_are(sides):
    left, right = sides
    for side in sides:
        side.prepare("photos", lock=True)
    left.replicate("photos", "photos")
    until_date = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    small = left.s3.put_object(
        Bucket="photos",
        Key="a/kleine Datei ä+?.txt",
        Body=b"small",
        ContentType="text/x-notes",
        Metadata={"who": "me"},
        Tagging="team=red&stage=a%20b",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=until_date,
        StorageClass="STANDARD_IA",
    )
    left.s3.put_object(Bucket="photos", Key="empty", Body=b"")
    left.s3.put_object(Bucket="photos", Key="large", Body=numbered_bytes(9 * MIB, seed=3))
    upload = left.s3.create_multipart_upload(Bucket="photos", Key="parts", ChecksumAlgorithm="SHA256")
    parts = []
    for number, size in ((1, PART_BYTES), (2, PART_BYTES + 1), (3, 17)):
        sent = left.s3.upload_part(
            Bucket="photos",
            Key="parts",
            UploadId=upload["UploadId"],
            PartNumber=number,
            Body=numbered_bytes(size, seed=number),
            ChecksumAlgorithm="SHA256",
        )
        parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": sent["ChecksumSHA256"]})
    left.s3.complete_multipart_upload(
        Bucket="photos", Key="parts", UploadId=upload["UploadId"], MultipartUpload={"Parts": parts}
    )
    left.s3.put_object(Bucket="photos", Key="gone", Body=b"x")
    marker = left.s3.delete_object(Bucket="photos", Key="gone")
    assert marker["DeleteMarker"]
    until(lambda: left.versions("photos") == right.versions("photos"), "the same versions on both sides")
    for key in ("a/kleine Datei ä+?.txt", "empty", "large", "parts"):
        until(lambda: left.status("photos", key) == "COMPLETED", f"{key} to be completed")
        assert right.status("photos", key) == "REPLICA"
        ours, theirs = (side.s3.get_object(Bucket="photos", Key=key, ChecksumMode="ENABLED") for side in sides)
        assert ours["Body"].read() == theirs["Body"].read()
        for name in ("LastModified", "ETag", "VersionId", "ContentType", "Metadata", "ChecksumSHA256", "ChecksumCRC32"):
            assert ours.get(name) == theirs.get(name), (key, name)
    theirs = right.s3.head_object(Bucket="photos", Key="a/kleine Datei ä+?.txt")
    assert (theirs["StorageClass"], theirs["ObjectLockMode"]) == ("STANDARD_IA", "GOVERNANCE")
    tags = right.s3.get_object_tagging(Bucket="photos", Key="a/kleine Datei ä+?.txt")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "red", "stage": "a b"}
    part = right.s3.get_object(Bucket="photos", Key="parts", PartNumber=2)
    assert part["Body"].read() == numbered_bytes(PART_BYTES + 1, seed=2)
    assert right.s3.head_object(Bucket="photos", Key="a/kleine Datei ä+?.txt")["VersionId"] == small["VersionId"]


def test_changes_follow_and_removals_do_not(sides):
    left, right = sides
    for side in sides:
        side.prepare("photos", lock=True)
    left.replicate("photos", "photos")
    written = left.s3.put_object(Bucket="photos", Key="a", Body=b"1")
    until(lambda: left.status("photos", "a") == "COMPLETED", "the object")
    left.s3.put_object_tagging(Bucket="photos", Key="a", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    left.s3.put_object_legal_hold(Bucket="photos", Key="a", LegalHold={"Status": "ON"})
    until(lambda: left.status("photos", "a") == "COMPLETED", "the changes")
    assert right.s3.get_object_tagging(Bucket="photos", Key="a")["TagSet"] == [{"Key": "k", "Value": "v"}]
    assert right.s3.head_object(Bucket="photos", Key="a")["ObjectLockLegalHoldStatus"] == "ON"
    left.s3.put_object_legal_hold(Bucket="photos", Key="a", LegalHold={"Status": "OFF"})
    left.s3.delete_object(Bucket="photos", Key="a", VersionId=written["VersionId"])
    left.s3.put_object(Bucket="photos", Key="b", Body=b"2")
    until(lambda: left.status("photos", "b") == "COMPLETED", "what came later")
    assert right.s3.head_object(Bucket="photos", Key="a")["VersionId"] == written["VersionId"]


def test_two_way_rules_converge(sides):
    left, right = sides
    for side in sides:
        side.prepare("shared")
    modifications = {"SourceSelectionCriteria": {"ReplicaModifications": {"Status": "Enabled"}}}
    for side in sides:
        side.replicate("shared", "shared", **modifications)

    def write(side, seed):
        choices = random.Random(seed)
        for number in range(60):
            key = f"key-{choices.randrange(6)}"
            if choices.random() < 0.7:
                side.s3.put_object(Bucket="shared", Key=key, Body=f"{seed}-{number}".encode())
            else:
                side.s3.delete_object(Bucket="shared", Key=key)

    writers = [threading.Thread(target=write, args=(side, seed)) for seed, side in enumerate(sides)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    until(lambda: len(left.versions("shared")) == 120 == len(right.versions("shared")), "all versions on both sides")
    assert left.versions("shared") == right.versions("shared")
    current = left.s3.list_objects_v2(Bucket="shared").get("Contents", [])
    for entry in current:
        statuses = sorted(until(lambda: (side.status("shared", entry["Key"]) or None), "a status") for side in sides)
        until(
            lambda: sorted(side.status("shared", entry["Key"]) for side in sides) == ["COMPLETED", "REPLICA"],
            f"rest, not {statuses}",
        )
    # A change of a replica goes back to where it came from, and ends there.
    for entry in current[:1]:
        for side, other in (sides, sides[::-1]):
            tag = {"TagSet": [{"Key": "by", "Value": side.name}]}
            side.s3.put_object_tagging(Bucket="shared", Key=entry["Key"], Tagging=tag)
            until(
                lambda: other.s3.get_object_tagging(Bucket="shared", Key=entry["Key"])["TagSet"] == tag["TagSet"],
                "the tag on the other side",
            )


def test_the_run_book(sides, run):
    """The primary dies, the replica serves, the primary returns and catches up: REPLICATION.md, step by step."""
    left, right = sides
    for side in sides:
        side.prepare("photos")
    modifications = {"SourceSelectionCriteria": {"ReplicaModifications": {"Status": "Enabled"}}}
    for side in sides:
        side.replicate("photos", "photos", **modifications)
    right.restart(left, read_only=True)
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        right.s3.put_object(Bucket="photos", Key="a", Body=b"x")
    left.s3.put_object(Bucket="photos", Key="early", Body=b"1")
    until(lambda: left.status("photos", "early") == "COMPLETED", "the first object")
    # Cut off, it acknowledges what the replica does not get, and dies.
    right.proxy.refusing = True
    right.proxy.cut()
    late = {f"late-{number}": left.s3.put_object(Bucket="photos", Key=f"late-{number}", Body=b"2") for number in range(20)}
    overwritten = left.s3.put_object(Bucket="photos", Key="early", Body=b"3")
    left.kill()
    right.proxy.refusing = False
    right.restart(left, read_only=False)
    newest = right.s3.put_object(Bucket="photos", Key="early", Body=b"4")
    right.s3.put_object(Bucket="photos", Key="meanwhile", Body=b"5")
    assert right.status("photos", "meanwhile") == "PENDING"
    left.start(right, read_only=True)
    until(lambda: left.versions("photos") == right.versions("photos"), "both sides to be the same")
    found = {(key, version) for key, version, *_ in right.versions("photos")}
    assert {(key, written["VersionId"]) for key, written in late.items()} <= found
    assert {("early", overwritten["VersionId"]), ("early", newest["VersionId"])} <= found
    for side in sides:
        assert side.s3.get_object(Bucket="photos", Key="early")["Body"].read() == b"4"
        until(lambda: side.waiting("photos", run) == 0, "nothing to wait")
        run(binary(), "replication", "diff", "photos", "--deep", "--endpoint", side.server.url)


@pytest.mark.parametrize("seed", [1])
def test_nothing_is_lost_through_kills_and_cuts(sides, seed):
    left, right = sides
    for side in sides:
        side.prepare("killed")
    left.replicate("killed", "killed")
    choices = random.Random(seed)
    acknowledged: dict[str, bytes] = {}
    ended = threading.Event()

    def write(number):
        own = random.Random(seed * 100 + number)
        count = 0
        while not ended.is_set():
            key, size = f"{number}/{count}", own.choice([0, 100, 5000, 300_000])
            body = numbered_bytes(size, seed=count % 251)
            try:
                left.s3.put_object(Bucket="killed", Key=key, Body=body)
                acknowledged[key] = body
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                ended.wait(0.05)
            count += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(6):
            ended.wait(choices.uniform(0.3, 1.0))
            what = choices.choice(["left", "right", "cut", "refuse"])
            if what == "left":
                left.kill()
                left.start(right)
            elif what == "right":
                right.kill()
                right.start(left)
            elif what == "cut":
                right.proxy.cut()
            else:
                right.proxy.refusing = True
                right.proxy.cut()
                ended.wait(0.5)
                right.proxy.refusing = False
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    assert len(acknowledged) > 20
    until(lambda: left.versions("killed") == right.versions("killed"), "the same versions on both sides")
    found = {entry[0] for entry in right.versions("killed")}
    assert set(acknowledged) <= found
    for key in sorted(acknowledged)[:: max(1, len(acknowledged) // 50)]:
        assert right.s3.get_object(Bucket="killed", Key=key)["Body"].read() == acknowledged[key]
        until(lambda: left.status("killed", key) == "COMPLETED", f"{key} to be completed")


def test_what_cannot_be_sent_fails_with_a_reason_and_nothing_else_stops(sides):
    left, right = sides
    for side in sides:
        side.prepare("photos")
    left.replicate("photos", "photos")
    # The destination's own policy refuses some keys.
    refuse = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:ReplicateObject",
        "Resource": "arn:aws:s3:::photos/secret/*",
    }
    right.s3.put_bucket_policy(Bucket="photos", Policy=document(refuse))
    left.s3.put_object(Bucket="photos", Key="secret/a", Body=b"x")
    left.s3.put_object(Bucket="photos", Key="open", Body=b"x")
    until(lambda: left.status("photos", "open") == "COMPLETED", "the other object")
    until(lambda: left.status("photos", "secret/a") == "FAILED", "the refused one to fail")
    assert [entry[0] for entry in right.versions("photos")] == ["open"]


def test_known_content_is_not_sent_again(sides):
    left, right = sides
    for side in sides:
        side.prepare("photos")
    left.replicate("photos", "photos")
    body = numbered_bytes(12 * MIB, seed=5)
    left.s3.put_object(Bucket="photos", Key="first", Body=body)
    until(lambda: left.status("photos", "first") == "COMPLETED", "the first object")
    before = right.proxy.sent
    assert before > len(body)
    left.s3.put_object(Bucket="photos", Key="second", Body=body)
    until(lambda: left.status("photos", "second") == "COMPLETED", "the second object")
    assert right.proxy.sent - before < 64 << 10
    found = right.s3.get_object(Bucket="photos", Key="second")
    assert found["Body"].read() == body
    # Only the root of the destination may name content: nobody else learns what is stored.
    iam = client(right.server.url, "iam")
    iam.create_user(UserName="other")
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    iam.put_user_policy(UserName="other", PolicyName="all", PolicyDocument=document(allow))
    key = iam.create_access_key(UserName="other")["AccessKey"]
    session = right.server.api(key["AccessKeyId"], key["SecretAccessKey"])
    named = session.call("PUT", "/photos/x", body=b"\x00", headers={"x-amz-strata-content": "chunks"})
    assert (named.status, named.code) == (400, "InvalidRequest")


def test_within_one_store(sides):
    left, _ = sides
    left.prepare("here")
    left.prepare("there")
    left.replicate("here", "there", Destination={"StorageClass": "GLACIER_IR"})
    body = numbered_bytes(200_000, seed=1)
    written = left.s3.put_object(Bucket="here", Key="a", Body=body, Tagging="k=v")
    until(lambda: left.status("here", "a") == "COMPLETED", "the object")
    found = left.s3.get_object(Bucket="there", Key="a")
    assert (found["VersionId"], found["StorageClass"]) == (written["VersionId"], "GLACIER_IR")
    assert found["Body"].read() == body and found["ReplicationStatus"] == "REPLICA"
    assert left.s3.get_object_tagging(Bucket="there", Key="a")["TagSet"] == [{"Key": "k", "Value": "v"}]


def test_strangers_make_no_replicas(sides):
    left, _ = sides
    left.prepare("photos")
    iam = client(left.server.url, "iam")
    iam.create_user(UserName="writer")
    allow = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
    iam.put_user_policy(UserName="writer", PolicyName="put", PolicyDocument=document(allow))
    key = iam.create_access_key(UserName="writer")["AccessKey"]
    session = left.server.api(key["AccessKeyId"], key["SecretAccessKey"])
    assert session.call("PUT", "/photos/a", body=b"x").status == 200
    refused = session.call("PUT", "/photos/a", body=b"x", headers={"x-amz-strata-replica": "AQ"})
    assert (refused.status, b"AccessDenied" in refused.body) == (403, True)
    refused = left.server.api().call("PUT", "/photos/a", body=b"x", headers={"x-amz-strata-replica": "AQ"})
    assert (refused.status, b"InvalidArgument" in refused.body) == (400, True)
    refused = left.server.api().call("GET", "/photos/a", headers={"x-amz-strata-replica": "AQ"})
    assert (refused.status, b"InvalidRequest" in refused.body) == (400, True)
