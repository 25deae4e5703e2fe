"""aws-cli, version 1 as published on PyPI: the `s3` commands, and the `s3api` calls that a shell script would use."""

import json
import os
import urllib.request

from content import MIB, etag, multipart_etag, numbered_bytes

# The exit status of version 1 when the server refuses a request.
REFUSED = 255


def s3api(run, operation, *arguments, status=0):
    """Runs one `aws s3api` call and returns its JSON."""
    said = run("aws", "s3api", operation, *arguments, status=status)
    return json.loads(said) if said.strip() else {}


def test_bucket_comes_and_goes(run, bucket_name):
    run("aws", "s3", "mb", f"s3://{bucket_name}")
    assert bucket_name in run("aws", "s3", "ls")
    s3api(run, "head-bucket", "--bucket", bucket_name)
    run("aws", "s3", "rb", f"s3://{bucket_name}")
    assert bucket_name not in run("aws", "s3", "ls")


def test_bucket_with_objects_is_not_removed(run, bucket, tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    run("aws", "s3", "cp", tmp_path / "a", f"s3://{bucket}/a")
    run("aws", "s3", "rb", f"s3://{bucket}", status=1)
    run("aws", "s3", "rb", "--force", f"s3://{bucket}")


def test_copy_up_and_down(run, bucket, tmp_path):
    sizes = [0, 1, 4096, 4097, MIB + 1, 20 * MIB + 3]
    for size in sizes:
        data = numbered_bytes(size, seed=size)
        (tmp_path / "up").write_bytes(data)
        run("aws", "s3", "cp", tmp_path / "up", f"s3://{bucket}/dir/{size}")
        run("aws", "s3", "cp", f"s3://{bucket}/dir/{size}", tmp_path / "down")
        assert (tmp_path / "down").read_bytes() == data
    listed = run("aws", "s3", "ls", "--recursive", f"s3://{bucket}/")
    assert [int(line.split()[2]) for line in listed.splitlines()] == sorted(sizes, key=str)
    assert "PRE dir/" in run("aws", "s3", "ls", f"s3://{bucket}")


def test_copy_from_and_to_a_pipe(run, bucket):
    text = "über die Brücke\n"
    run("aws", "s3", "cp", "-", f"s3://{bucket}/pipe", input=text.encode())
    assert run("aws", "s3", "cp", f"s3://{bucket}/pipe", "-") == text


def test_sync_transfers_only_what_changed(run, bucket, tmp_path):
    here, back = tmp_path / "here", tmp_path / "back"
    names = ["a.txt", "b & c.txt", "deep/er/ü.txt", "plus+and%25.txt"]
    for name in names:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
        # Listings round times down to the second, and sync sends again what seems newer than its copy.
        os.utime(here / name, (1_700_000_000, 1_700_000_000))
    run("aws", "s3", "sync", here, f"s3://{bucket}/tree")
    assert run("aws", "s3", "sync", here, f"s3://{bucket}/tree") == ""
    run("aws", "s3", "sync", f"s3://{bucket}/tree", back)
    assert {name: (back / name).read_text() for name in names} == {name: name for name in names}
    (here / "a.txt").unlink()
    said = run("aws", "s3", "sync", "--delete", here, f"s3://{bucket}/tree")
    assert said.count("delete:") == 1 and "upload:" not in said
    assert "a.txt" not in run("aws", "s3", "ls", "--recursive", f"s3://{bucket}/tree")


def test_move_and_remove(run, bucket, tmp_path):
    (tmp_path / "a").write_bytes(b"moved")
    run("aws", "s3", "cp", tmp_path / "a", f"s3://{bucket}/from")
    run("aws", "s3", "mv", f"s3://{bucket}/from", f"s3://{bucket}/to")
    assert run("aws", "s3", "cp", f"s3://{bucket}/to", "-") == "moved"
    run("aws", "s3", "ls", f"s3://{bucket}/from", status=1)
    run("aws", "s3", "rm", "--recursive", f"s3://{bucket}")
    assert run("aws", "s3", "ls", f"s3://{bucket}") == ""


def test_presigned_url_reads_without_credentials(run, bucket):
    # Without this, version 1 signs URLs for us-east-1 with Signature V2, which S3 takes from old buckets only.
    run("aws", "configure", "set", "default.s3.signature_version", "s3v4")
    run("aws", "s3", "cp", "-", f"s3://{bucket}/a b+c", input=b"shared")
    url = run("aws", "s3", "presign", f"s3://{bucket}/a b+c", "--expires-in", "60").strip()
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == b"shared"


def test_metadata_comes_back(run, bucket, tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    put = s3api(
        run, "put-object", "--bucket", bucket, "--key", "a", "--body", tmp_path / "a", "--metadata", "colour=blue,size=5",
        "--content-type", "text/x-note", "--cache-control", "max-age=7", "--tagging", "team=red&year=2026",
    )
    assert put["ETag"] == etag(b"12345")
    head = s3api(run, "head-object", "--bucket", bucket, "--key", "a")
    assert head["Metadata"] == {"colour": "blue", "size": "5"}
    assert (head["ContentType"], head["CacheControl"], head["ContentLength"]) == ("text/x-note", "max-age=7", 5)
    part = s3api(run, "get-object", "--bucket", bucket, "--key", "a", "--range", "bytes=1-3", tmp_path / "part")
    assert part["ContentRange"] == "bytes 1-3/5" and (tmp_path / "part").read_bytes() == b"234"


def test_tagging(run, bucket, tmp_path):
    run("aws", "s3", "cp", "-", f"s3://{bucket}/a", input=b"a")
    place = ["--bucket", bucket, "--key", "a"]
    s3api(run, "put-object-tagging", *place, "--tagging", "TagSet=[{Key=team,Value=red},{Key=year,Value=2026}]")
    tags = s3api(run, "get-object-tagging", *place)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "red", "year": "2026"}
    s3api(run, "delete-object-tagging", *place)
    assert s3api(run, "get-object-tagging", *place)["TagSet"] == []


def test_versions(run, bucket, tmp_path):
    s3api(run, "put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Enabled")
    assert s3api(run, "get-bucket-versioning", "--bucket", bucket)["Status"] == "Enabled"
    for text in (b"one", b"two"):
        run("aws", "s3", "cp", "-", f"s3://{bucket}/a", input=text)
    run("aws", "s3", "rm", f"s3://{bucket}/a")
    listed = s3api(run, "list-object-versions", "--bucket", bucket)
    assert len(listed["DeleteMarkers"]) == 1 and listed["DeleteMarkers"][0]["IsLatest"]
    oldest = listed["Versions"][-1]["VersionId"]
    s3api(run, "get-object", "--bucket", bucket, "--key", "a", "--version-id", oldest, tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"one"
    marker = listed["DeleteMarkers"][0]["VersionId"]
    s3api(run, "delete-object", "--bucket", bucket, "--key", "a", "--version-id", marker)
    assert run("aws", "s3", "cp", f"s3://{bucket}/a", "-") == "two"


def test_multipart_by_hand(run, bucket, tmp_path):
    place = ["--bucket", bucket, "--key", "parts"]
    upload = s3api(run, "create-multipart-upload", *place)["UploadId"]
    parts, listed = [numbered_bytes(5 * MIB, seed=1), numbered_bytes(17, seed=2)], []
    for number, data in enumerate(parts, start=1):
        (tmp_path / "part").write_bytes(data)
        arguments = ["--upload-id", upload, "--part-number", str(number), "--body", tmp_path / "part"]
        sent = s3api(run, "upload-part", *place, *arguments)
        listed.append({"PartNumber": number, "ETag": sent["ETag"]})
    assert len(s3api(run, "list-parts", *place, "--upload-id", upload)["Parts"]) == 2
    assert s3api(run, "list-multipart-uploads", "--bucket", bucket)["Uploads"][0]["UploadId"] == upload
    document = json.dumps({"Parts": listed})
    done = s3api(run, "complete-multipart-upload", *place, "--upload-id", upload, "--multipart-upload", document)
    assert done["ETag"] == multipart_etag(parts)
    s3api(run, "get-object", *place, tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == b"".join(parts)
    assert "Uploads" not in s3api(run, "list-multipart-uploads", "--bucket", bucket)


def test_conditional_writes(run, bucket, tmp_path):
    (tmp_path / "a").write_bytes(b"first")
    place = ["--bucket", bucket, "--key", "lock", "--body", tmp_path / "a"]
    first = s3api(run, "put-object", *place, "--if-none-match", "*")["ETag"]
    s3api(run, "put-object", *place, "--if-none-match", "*", status=REFUSED)
    (tmp_path / "a").write_bytes(b"second")
    s3api(run, "put-object", *place, "--if-match", first)
    s3api(run, "put-object", *place, "--if-match", first, status=REFUSED)
    assert run("aws", "s3", "cp", f"s3://{bucket}/lock", "-") == "second"


def test_delete_many_and_list_in_pages(run, bucket, tmp_path):
    (tmp_path / "many").mkdir()
    for number in range(25):
        (tmp_path / "many" / f"{number:03}").write_bytes(b"x")
    run("aws", "s3", "cp", "--recursive", tmp_path / "many", f"s3://{bucket}/")
    listed = s3api(run, "list-objects-v2", "--bucket", bucket, "--page-size", "7")
    assert [entry["Key"] for entry in listed["Contents"]] == [f"{number:03}" for number in range(25)]
    document = json.dumps({"Objects": [{"Key": f"{number:03}"} for number in range(20)], "Quiet": False})
    assert len(s3api(run, "delete-objects", "--bucket", bucket, "--delete", document)["Deleted"]) == 20
    assert len(s3api(run, "list-objects", "--bucket", bucket)["Contents"]) == 5


def test_lifecycle(run, bucket, tmp_path):
    rule = {
        "ID": "archive",
        "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}]}},
        "Status": "Enabled",
        "Transitions": [{"Date": "2039-01-01T00:00:00Z", "StorageClass": "GLACIER"}],
        "Expiration": {"Date": "2040-01-01T00:00:00Z"},
    }
    configuration = json.dumps({"Rules": [rule]})
    arguments = ["--bucket", bucket, "--lifecycle-configuration", configuration]
    s3api(run, "put-bucket-lifecycle-configuration", *arguments)
    got = s3api(run, "get-bucket-lifecycle-configuration", "--bucket", bucket)
    assert got["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    assert got["Rules"][0]["Filter"] == rule["Filter"]
    assert got["Rules"][0]["Expiration"]["Date"].startswith("2040-01-01T00:00:00")
    (tmp_path / "a").write_bytes(b"a")
    put = s3api(run, "put-object", "--bucket", bucket, "--key", "a/b", "--body", str(tmp_path / "a"), "--tagging", "k=v")
    assert put["Expiration"] == 'expiry-date="Sun, 01 Jan 2040 00:00:00 GMT", rule-id="archive"'
    s3api(run, "delete-bucket-lifecycle", "--bucket", bucket)
    s3api(run, "get-bucket-lifecycle-configuration", "--bucket", bucket, status=REFUSED)
