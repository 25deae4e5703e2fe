"""Replication to a store that is no Strata: moto's server, which speaks S3 as others wrote it down.

What such a store cannot take is part of the test: version ids and times are its own, later changes of lists are not carried.
"""

import json
import re
import subprocess
import sys
import threading
import urllib.request

import pytest

from content import MIB, multipart_etag, numbered_bytes
from proxy import Proxy
from server import START_SECONDS_MAX, binary, clean_environment
from sites import Side, client, until

PART_BYTES = 5 * MIB
RUNNING = re.compile(r"Running on http://127\.0\.0\.1:(\d+)")


class Foreign:
    """moto's server behind a proxy."""

    def __init__(self):
        self.name = "foreign"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--port", "0"],
            env=clean_environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = 0
        self._news = threading.Condition()
        threading.Thread(target=self._read_errors, daemon=True).start()
        with self._news:
            self._news.wait_for(lambda: self.port, timeout=START_SECONDS_MAX)
        assert self.port, "moto's server did not start"
        self.proxy = Proxy(("127.0.0.1", self.port))
        self.s3 = client(f"http://127.0.0.1:{self.port}")

    def _read_errors(self) -> None:
        for line in self.process.stderr:
            if found := RUNNING.search(line):
                with self._news:
                    self.port = int(found.group(1))
                    self._news.notify_all()

    def clear(self) -> None:
        """Forgets everything, and has an empty bucket again."""
        self.proxy.refusing = False
        self.proxy.cut()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/moto-api/reset", data=b"") as answer:
            assert answer.status == 200
        self.s3.create_bucket(Bucket="copies")
        self.s3.put_bucket_versioning(Bucket="copies", VersioningConfiguration={"Status": "Enabled"})

    def stop(self) -> None:
        """Ends it with all that it had."""
        self.proxy.close()
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


@pytest.fixture(scope="module")
def foreign():
    """A server for all tests here."""
    running = Foreign()
    yield running
    running.stop()


@pytest.fixture
def stores(foreign, tmp_path):
    """A Strata, with a rule that sends all of `photos` to a bucket of a store that is none."""
    foreign.clear()
    ours = Side(tmp_path, "ours")
    ours.start(foreign)
    ours.prepare("photos")
    ours.replicate("photos", "copies")
    yield ours, foreign
    ours.stop()


def tags(side, bucket: str, key: str) -> dict[str, str]:
    found = side.s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def completed(ours: Side, key: str, **more) -> None:
    until(lambda: ours.status("photos", key, **more) == "COMPLETED", f"{key} to be completed")


def test_objects_arrive_with_what_belongs_to_them(stores):
    ours, foreign = stores
    described = {
        "ContentType": "text/x-notes",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentLanguage": "de",
        "CacheControl": "max-age=7",
        "Metadata": {"who": "me", "empty": ""},
    }
    name = "a/kleine Datei ä+?&.txt"
    ours.s3.put_object(
        Bucket="photos", Key=name, Body=b"small", Tagging="team=red&stage=a%20b", StorageClass="STANDARD_IA", **described
    )
    ours.s3.put_object(Bucket="photos", Key="empty", Body=b"")
    large = numbered_bytes(20 * MIB, seed=1)
    ours.s3.put_object(Bucket="photos", Key="large", Body=large, Metadata={"m": "1"}, Tagging="t=1")
    parts = [numbered_bytes(size, seed=number) for number, size in enumerate((PART_BYTES, PART_BYTES + 1, 17))]
    upload = ours.s3.create_multipart_upload(Bucket="photos", Key="parts", StorageClass="GLACIER_IR", **described)
    named = {"Bucket": "photos", "Key": "parts", "UploadId": upload["UploadId"]}
    sent = [
        {"PartNumber": number, "ETag": ours.s3.upload_part(**named, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate(parts, start=1)
    ]
    ours.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": sent})
    bodies = {name: b"small", "empty": b"", "large": large, "parts": b"".join(parts)}
    for key, body in bodies.items():
        completed(ours, key)
        assert foreign.s3.get_object(Bucket="copies", Key=key)["Body"].read() == body, key
    for key, storage_class in ((name, "STANDARD_IA"), ("parts", "GLACIER_IR")):
        theirs = foreign.s3.head_object(Bucket="copies", Key=key)
        assert {what: theirs.get(what) for what in described} == described, key
        assert theirs["StorageClass"] == storage_class
    assert tags(foreign, "copies", name) == {"team": "red", "stage": "a b"}
    assert tags(foreign, "copies", "large") == {"t": "1"}
    # An upload keeps its parts, and so its ETag; what was written at once and is large here becomes an upload there.
    etags = {key: foreign.s3.head_object(Bucket="copies", Key=key)["ETag"] for key in bodies}
    assert etags["parts"] == multipart_etag(parts)
    assert etags["large"] == multipart_etag([large[: 16 * MIB], large[16 * MIB :]])
    assert etags[name] == ours.s3.head_object(Bucket="photos", Key=name)["ETag"]


def test_overwrites_and_markers_come_in_order(stores):
    ours, foreign = stores
    for body in (b"1", b"22", b"333"):
        written = ours.s3.put_object(Bucket="photos", Key="a", Body=body)
    ours.s3.delete_object(Bucket="photos", Key="a")
    ours.s3.put_object(Bucket="photos", Key="b", Body=b"4444")
    until(lambda: foreign.s3.list_object_versions(Bucket="copies").get("DeleteMarkers"), "the marker")
    completed(ours, "b")
    completed(ours, "a", VersionId=written["VersionId"])
    listed = foreign.s3.list_object_versions(Bucket="copies")
    assert [(version["Key"], version["Size"]) for version in listed["Versions"]] == [("a", 3), ("a", 2), ("a", 1), ("b", 4)]
    assert [(marker["Key"], marker["IsLatest"]) for marker in listed["DeleteMarkers"]] == [("a", True)]


def diff(ours, run, *words, status=0) -> dict:
    said = run(binary(), "replication", "diff", "photos", *words, "--json", "--endpoint", ours.server.url, status=status)
    return json.loads(said)


def test_what_is_current_is_compared(stores, run):
    ours, foreign = stores
    for key, body in (("same", b"1"), ("changed", b"22"), ("gone", b"333"), ("tagged", b"4"), ("deleted", b"5")):
        ours.s3.put_object(Bucket="photos", Key=key, Body=b"old")
        ours.s3.put_object(Bucket="photos", Key=key, Body=body, Tagging="t=1", StorageClass="STANDARD_IA")
    ours.s3.delete_object(Bucket="photos", Key="deleted")
    ours.s3.put_object(Bucket="photos", Key="large", Body=numbered_bytes(20 * MIB, seed=1))
    until(lambda: ours.waiting("photos", run) == 0, "everything to be sent")
    found = diff(ours, run, "--deep")
    # Its ETag is that of parts there.
    assert (found["differences"], found["equal"], found["by_size_only"]) == ([], True, 1)
    foreign.s3.put_object(Bucket="copies", Key="changed", Body=b"23")
    foreign.s3.delete_object(Bucket="copies", Key="gone")
    foreign.s3.put_object(Bucket="copies", Key="extra", Body=b"x")
    foreign.s3.put_object_tagging(Bucket="copies", Key="tagged", Tagging={"TagSet": [{"Key": "t", "Value": "2"}]})
    found = diff(ours, run, status=1)
    told = [(one["key"], one["kind"], one["what"]) for one in found["differences"]]
    assert told == [("changed", "different", ["etag"]), ("extra", "extra", []), ("gone", "missing", [])]
    found = diff(ours, run, "--deep", "--prefix", "t", status=1)
    assert [(one["key"], one["what"]) for one in found["differences"]] == [("tagged", ["tag t"])]


def test_what_was_written_while_it_was_away_follows(stores, run):
    ours, foreign = stores
    ours.s3.put_object(Bucket="photos", Key="early", Body=b"1")
    completed(ours, "early")
    foreign.proxy.refusing = True
    foreign.proxy.cut()
    keys = [f"late-{number:02}" for number in range(20)]
    for key in keys:
        ours.s3.put_object(Bucket="photos", Key=key, Body=key.encode())
    ours.s3.put_object_tagging(Bucket="photos", Key="early", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    until(lambda: any(queue["trouble"] for queue in ours.queues("photos", run)), "the trouble to be told")
    assert ours.status("photos", keys[0]) == "PENDING"
    assert ours.waiting("photos", run) == len(keys) + 1
    foreign.proxy.refusing = False
    until(lambda: ours.waiting("photos", run) == 0, "nothing to wait")
    for key in keys:
        assert foreign.s3.get_object(Bucket="copies", Key=key)["Body"].read() == key.encode()
    assert tags(foreign, "copies", "early") == {"k": "v"}
    (queue,) = ours.queues("photos", run)
    assert (queue["failed"], queue["done"], queue["trouble"]) == (0, len(keys) + 2, None)


def test_what_cannot_be_carried(stores):
    ours, foreign = stores
    older = ours.s3.put_object(Bucket="photos", Key="a", Body=b"1")["VersionId"]
    newer = ours.s3.put_object(Bucket="photos", Key="a", Body=b"2")["VersionId"]
    completed(ours, "a")
    versions = foreign.s3.list_object_versions(Bucket="copies")["Versions"]
    assert len(versions) == 2
    assert not {older, newer} & {version["VersionId"] for version in versions}
    # Which of its versions is the older one cannot be known there, so its tags stay; it is logged, and counts as done.
    tag = {"TagSet": [{"Key": "k", "Value": "v"}]}
    ours.s3.put_object_tagging(Bucket="photos", Key="a", VersionId=older, Tagging=tag)
    until(lambda: "a change of a version that is not the newest is not replicated" in ours.server.errors(), "the log")
    completed(ours, "a", VersionId=older)
    for version in versions:
        assert foreign.s3.get_object_tagging(Bucket="copies", Key="a", VersionId=version["VersionId"])["TagSet"] == []
    ours.s3.put_object_tagging(Bucket="photos", Key="a", Tagging=tag)
    completed(ours, "a")
    assert tags(foreign, "copies", "a") == {"k": "v"}


def test_only_what_changed_is_sent(stores):
    ours, foreign = stores
    ours.s3.put_object(Bucket="photos", Key="a", Body=b"1", Tagging="k=v")
    completed(ours, "a")
    ours.s3.delete_public_access_block(Bucket="photos")
    ours.s3.put_bucket_ownership_controls(
        Bucket="photos", OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    ours.s3.put_object_acl(Bucket="photos", Key="a", ACL="public-read")
    until(lambda: "of changes, only tags are replicated" in ours.server.errors(), "the log")
    completed(ours, "a")
    assert tags(foreign, "copies", "a") == {"k": "v"}
    ours.s3.delete_object_tagging(Bucket="photos", Key="a")
    completed(ours, "a")
    assert tags(foreign, "copies", "a") == {}
