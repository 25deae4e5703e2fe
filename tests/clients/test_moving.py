"""`strata export` and `strata import`: a bucket with every kind of thing goes to another server, and damaged files do not."""

import hashlib
import json
import os
import subprocess
import tarfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from content import MIB, multipart_etag, numbered_bytes
from server import ACCESS_KEY, SECRET_KEY, Server, binary, clean_environment
from sites import client

COMMAND_SECONDS_MAX = 300
RULE = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}}
ODD_KEYS = [
    "../../etc/passwd",
    "a//b/./..",
    "/slash first",
    "slash last/",
    "ümläut \U0001f600 & <xml> \u2028 \u0301",
    "tab\tline\nbell\x07",
    "@version.json",
    "%2E%2E",
    "k" * 1024,
    "deep/" * 200 + "..",
    # Its name in the file has dots where the header of old archives ends.
    "a" * 89 + "/..b",
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Two servers: what is exported from one is imported into the other."""
    running = [Server(tmp_path_factory.mktemp(name)) for name in ("source", "target")]
    yield running
    for server in running:
        assert server.stop() == 0, server.errors()


class Mover:
    """Runs the two commands."""

    def __init__(self, source: Server, target: Server):
        self.source, self.target = source, target

    def __call__(self, *words, status: int = 0, input: bytes | None = None, where: Server | None = None):
        where = where or (self.source if words[0] == "export" else self.target)
        environment = clean_environment({"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY})
        done = subprocess.run(
            [binary(), *map(str, words), "--endpoint", where.url],
            env=environment,
            input=input,
            capture_output=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout[:3000]}\n{done.stderr.decode()}"
        return done


@pytest.fixture
def move(servers):
    return Mover(*servers)


@pytest.fixture
def here(servers):
    return client(servers[0].url)


@pytest.fixture
def there(servers):
    return client(servers[1].url)


def versioned(s3, bucket: str, status: str = "Enabled") -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def upload(s3, bucket: str, key: str, parts: list[bytes], **more) -> str:
    """An object that is made of parts; gives its version id."""
    begun = s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]
    about = {"Bucket": bucket, "Key": key, "UploadId": begun}
    algorithm = {name: value for name, value in more.items() if name == "ChecksumAlgorithm"}
    listed = []
    for number, part in enumerate(parts, start=1):
        sent = s3.upload_part(PartNumber=number, Body=part, **algorithm, **about)
        name = f"Checksum{more.get('ChecksumAlgorithm')}"
        listed.append({"PartNumber": number, "ETag": sent["ETag"], **({name: sent[name]} if algorithm else {})})
    return s3.complete_multipart_upload(MultipartUpload={"Parts": listed}, **about).get("VersionId", "null")


def fill(s3, bucket: str) -> None:
    """A bucket with every kind of version."""
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    s3.put_object(Bucket=bucket, Key="a", Body=b"first")
    s3.put_object(Bucket=bucket, Key="a", Body=b"", Metadata={"empty": "yes", "word": "=?UTF-8?B?Z3LDvG4=?="}, ContentType="text/x-a")
    s3.delete_object(Bucket=bucket, Key="a")
    s3.put_object(Bucket=bucket, Key="a", Body=b"third", Tagging="one=1&two=%2B%3D")
    s3.delete_object(Bucket=bucket, Key="gone")
    for key in ODD_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    described = {
        "CacheControl": "no-store",
        "ContentDisposition": 'attachment; filename="x"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "Expires": datetime(2031, 1, 1, tzinfo=UTC),
        "WebsiteRedirectLocation": "/elsewhere",
    }
    s3.put_object(Bucket=bucket, Key="described", Body=b"d", **described)
    rare = {"StorageClass": "STANDARD_IA", "ChecksumAlgorithm": "SHA256"}
    s3.put_object(Bucket=bucket, Key="rare", Body=numbered_bytes(MIB), **rare)
    s3.put_object(Bucket=bucket, Key="large", Body=numbered_bytes(9 * MIB + 1, 3), ChecksumAlgorithm="SHA256")
    upload(s3, bucket, "parts/default", [numbered_bytes(5 * MIB, 4), numbered_bytes(6 * MIB, 5), b"end"])
    upload(s3, bucket, "parts/composite", [numbered_bytes(5 * MIB, 6), b"end"], ChecksumAlgorithm="SHA1")
    upload(s3, bucket, "parts/one", [b"small"], Tagging="t=1", Metadata={"m": "1"})
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    kept = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    s3.put_object(Bucket=bucket, Key="kept", Body=b"k", ChecksumAlgorithm="CRC32", **kept)
    s3.put_object(Bucket=bucket, Key="held", Body=b"h", ChecksumAlgorithm="CRC32", ObjectLockLegalHoldStatus="ON")


def configure(s3, bucket: str) -> None:
    """The bucket's rules."""
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [RULE]})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "team", "Value": "a+b"}]})
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://example.com"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    s3.delete_public_access_block(Bucket=bucket)
    everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "s3:GetObject"}
    statement = {**everybody, "Resource": f"arn:aws:s3:::{bucket}/public/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    tiers = {"Id": "deep", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}
    s3.put_bucket_intelligent_tiering_configuration(Bucket=bucket, Id="deep", IntelligentTieringConfiguration=tiers)
    default = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": default}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)


def described(answer: dict) -> dict:
    """An answer without what belongs to the request alone."""
    about = answer.pop("ResponseMetadata")["HTTPHeaders"]
    replication = {name: value for name, value in about.items() if name.startswith("x-amz-replication")}
    return {**answer, **replication}


def content(answer: dict) -> str:
    """A hash of what GetObject answers."""
    return hashlib.sha256(answer["Body"].read()).hexdigest()


def versions(s3, bucket: str) -> list[dict]:
    """All versions and markers, with all that S3 tells of them."""
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in page.get("Versions", []):
            about = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
            version["head"] = described(s3.head_object(ChecksumMode="ENABLED", **about))
            version["content"] = content(s3.get_object(**about))
            version["tags"] = s3.get_object_tagging(**about)["TagSet"]
            attributes = s3.get_object_attributes(ObjectAttributes=["ObjectParts", "Checksum", "ETag"], **about)
            version["attributes"] = described(attributes)
            if "-" in version["ETag"]:
                count = int(version["ETag"].strip('"').split("-")[1])
                parts = [s3.head_object(PartNumber=number, **about) for number in range(1, count + 1)]
                version["parts"] = [part["ContentLength"] for part in parts]
            found.append(version)
        found += page.get("DeleteMarkers", [])
    return found


def configuration(s3, bucket: str) -> dict:
    """The bucket's rules, as far as this test sets them."""
    asked = {
        "lifecycle": s3.get_bucket_lifecycle_configuration,
        "tagging": s3.get_bucket_tagging,
        "cors": s3.get_bucket_cors,
        "policy": s3.get_bucket_policy,
        "versioning": s3.get_bucket_versioning,
        "lock": s3.get_object_lock_configuration,
        "encryption": s3.get_bucket_encryption,
        "tiering": s3.list_bucket_intelligent_tiering_configurations,
    }
    return {name: described(ask(Bucket=bucket)) for name, ask in asked.items()}


def missing(s3, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    return False


def test_everything_comes_back(move, here, there, tmp_path):
    fill(here, "photos")
    configure(here, "photos")
    file = tmp_path / "photos.tar"
    said = move("export", "photos", file, "--json").stdout
    summary = json.loads(said)["summary"]
    expected = versions(here, "photos")
    objects = [version for version in expected if "ETag" in version]
    assert (summary["objects"], summary["delete_markers"]) == (len(objects), 2)
    assert summary["complete"] and summary["bytes"] == sum(version["Size"] for version in objects)
    assert not file.with_name("photos.tar.partial").exists()

    move("import", file)
    assert versions(there, "photos") == expected
    assert configuration(there, "photos") == configuration(here, "photos")
    with pytest.raises(ClientError, match="AccessDenied"):
        held = next(version for version in objects if version["Key"] == "held")
        there.delete_object(Bucket="photos", Key="held", VersionId=held["VersionId"])

    # A bucket that has versions is taken only when that is said; then nothing is there twice.
    refused = move("import", file, status=2)
    assert b"not empty" in refused.stderr and b"--into-existing" in refused.stderr
    again = json.loads(move("import", file, "--into-existing", "--json").stdout)["summary"]
    assert again["already_there"] == len(expected) and versions(there, "photos") == expected


def test_an_interrupted_import_goes_on(move, here, there, tmp_path):
    here.create_bucket(Bucket="torn")
    versioned(here, "torn")
    for number in range(40):
        here.put_object(Bucket="torn", Key=f"k{number % 7}", Body=numbered_bytes(100_000, number))
    upload(here, "torn", "parts", [numbered_bytes(5 * MIB, 1), numbered_bytes(5 * MIB, 2)])
    configure_only_lifecycle(here, "torn")
    file = tmp_path / "torn.tar"
    move("export", "torn", file)
    whole = file.read_bytes()
    # Through a pipe there is no looking ahead: what came before the end is there, verified, and the rules are not.
    broken = move("import", "-", input=whole[: len(whole) - 3 * MIB], status=2)
    assert b"cut off" in broken.stderr
    part = versions(there, "torn")
    expected = versions(here, "torn")
    assert part and len(part) < len(expected)
    assert all(version in without_latest(expected) for version in without_latest(part))
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        there.get_bucket_lifecycle_configuration(Bucket="torn")
    move("import", "-", "--into-existing", input=whole)
    assert versions(there, "torn") == expected
    assert there.get_bucket_lifecycle_configuration(Bucket="torn")["Rules"] == [RULE]


def without_latest(found: list[dict]) -> list[dict]:
    return [{name: value for name, value in version.items() if name != "IsLatest"} for version in found]


def configure_only_lifecycle(s3, bucket: str) -> None:
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [RULE]})


@pytest.mark.parametrize("state", ["unversioned", "suspended"])
def test_null_versions(move, here, there, tmp_path, state):
    bucket = f"null-{state}"
    here.create_bucket(Bucket=bucket)
    here.put_object(Bucket=bucket, Key="a", Body=b"before")
    here.put_object(Bucket=bucket, Key="stays", Body=b"s")
    upload(here, bucket, "parts", [numbered_bytes(5 * MIB, 1), b"end"])
    if state == "suspended":
        versioned(here, bucket)
        here.put_object(Bucket=bucket, Key="stays", Body=b"s2")
        here.put_object(Bucket=bucket, Key="a", Body=b"enabled")
        versioned(here, bucket, "Suspended")
        here.put_object(Bucket=bucket, Key="a", Body=b"null again")
        here.delete_object(Bucket=bucket, Key="marked")
    file = tmp_path / "null.tar"
    move("export", bucket, file)
    move("import", file)
    assert versions(there, bucket) == versions(here, bucket)
    status = there.get_bucket_versioning(Bucket=bucket).get("Status")
    assert status == ("Suspended" if state == "suspended" else None)
    again = json.loads(move("import", file, "--into-existing", "--json").stdout)["summary"]
    assert again["left_out"] == 0 and versions(there, bucket) == versions(here, bucket)


def test_new_versions_for_any_store(move, here, there, tmp_path):
    here.create_bucket(Bucket="history")
    versioned(here, "history")
    for body in (b"1", b"2", b"3"):
        here.put_object(Bucket="history", Key="a", Body=body, Tagging=f"n={body.decode()}")
    here.delete_object(Bucket="history", Key="a")
    here.put_object(Bucket="history", Key="a", Body=b"4")
    upload(here, "history", "parts", [numbered_bytes(5 * MIB, 1), b"end"], ChecksumAlgorithm="SHA256")
    versioned(here, "history", "Suspended")
    file = tmp_path / "history.tar"
    move("export", "history", file)

    def history() -> list:
        found = versions(there, "other")
        return [(one["Key"], one["IsLatest"], one.get("ETag"), one.get("content"), one.get("tags")) for one in found]

    move("import", file, "other", "--as-new")
    expected = versions(here, "history")
    known = [(one["Key"], one["IsLatest"], one.get("ETag"), one.get("content"), one.get("tags")) for one in expected]
    assert sorted(map(str, history())) == sorted(map(str, known))
    ids = {version["VersionId"] for version in versions(there, "other")}
    assert not ids & {version["VersionId"] for version in expected}
    assert there.get_bucket_versioning(Bucket="other")["Status"] == "Suspended"
    # The order of history, and no doubles.
    bodies = [version["content"] for version in versions(there, "other") if version["Key"] == "a" and "ETag" in version]
    assert bodies == [hashlib.sha256(body).hexdigest() for body in (b"4", b"3", b"2", b"1")]
    move("import", file, "other", "--as-new", "--into-existing")
    assert {version["VersionId"] for version in versions(there, "other")} == ids


def test_new_versions_are_found_among_those_of_others(move, here, there, tmp_path):
    here.create_bucket(Bucket="mixed")
    versioned(here, "mixed")
    for body in (b"1", b"2"):
        here.put_object(Bucket="mixed", Key="a", Body=body)
    file = tmp_path / "mixed.tar"
    move("export", "mixed", file)
    there.create_bucket(Bucket="mixed")
    # What keeps one version of a key cannot have them all.
    refused = move("import", file, "--as-new", "--no-configuration", status=2)
    assert b"enable versioning" in refused.stderr
    versioned(there, "mixed")
    for body in (b"other", b"1", b"another"):
        there.put_object(Bucket="mixed", Key="a", Body=body)
    move("import", file, "--as-new", "--into-existing")
    bodies = [there.get_object(Bucket="mixed", Key="a", VersionId=one["VersionId"])["Body"].read()
              for one in there.list_object_versions(Bucket="mixed")["Versions"]]
    assert bodies == [b"2", b"another", b"1", b"other"]


def test_a_newer_null_version_stays(move, here, there, tmp_path):
    for s3, body in ((here, b"old"), (there, b"new")):
        s3.create_bucket(Bucket="older")
        s3.put_object(Bucket="older", Key="a", Body=body)
    here.put_object(Bucket="older", Key="b", Body=b"b")
    file = tmp_path / "older.tar"
    move("export", "older", file)
    said = move("import", file, "--into-existing", status=1)
    assert b"a null version that is newer" in said.stdout
    assert there.get_object(Bucket="older", Key="a")["Body"].read() == b"new"
    assert there.get_object(Bucket="older", Key="b")["Body"].read() == b"b"


def test_locks_that_may_not_be_read_are_named(move, here, tmp_path):
    bucket = "veiled"
    here.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    here.put_object(Bucket=bucket, Key="a", Body=b"a", ChecksumAlgorithm="CRC32")
    file = tmp_path / "veiled.tar"
    assert move("export", bucket, file).returncode == 0
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObjectRetention", "Resource": f"arn:aws:s3:::{bucket}/*"}
    here.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    said = move("export", bucket, file, status=1)
    assert b"retention: 403 AccessDenied" in said.stdout
    assert file.stat().st_mode & 0o777 == 0o600


def test_parts_of_a_bucket(move, here, there, tmp_path):
    here.create_bucket(Bucket="some")
    versioned(here, "some")
    for key in ("logs/1", "logs/1", "logs/2", "other"):
        here.put_object(Bucket="some", Key=key, Body=os.urandom(10))
    here.delete_object(Bucket="some", Key="logs/2")
    file = tmp_path / "some.tar"
    move("export", "some", file, "--prefix", "logs/", "--current")
    move("import", file, "current")
    [only] = versions(there, "current")
    [expected] = [one for one in versions(here, "some") if one["Key"] == "logs/1" and one["IsLatest"]]
    assert only == expected


def test_what_cannot_be_read_is_named(move, here, there, tmp_path):
    here.create_bucket(Bucket="cold")
    here.put_object(Bucket="cold", Key="frozen", Body=b"f", StorageClass="GLACIER")
    here.put_object(Bucket="cold", Key="warm", Body=b"w")
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    api_refuses_plain_keys = False
    try:
        here.put_object(Bucket="cold", Key="sealed", Body=b"s", **key)
    except ClientError:
        # Without TLS customers' keys are refused.
        api_refuses_plain_keys = True
    file = tmp_path / "cold.tar"
    lines = [json.loads(line) for line in move("export", "cold", file, "--json", status=1).stdout.splitlines()]
    names = [line["left_out"]["key"] for line in lines if "left_out" in line]
    assert names == (["frozen"] if api_refuses_plain_keys else ["frozen", "sealed"])
    assert not lines[-1]["summary"]["complete"]
    said = move("import", file, status=1)
    assert b"frozen" in said.stdout and b"InvalidObjectState" in said.stdout
    assert [version["Key"] for version in versions(there, "cold")] == ["warm"]


def test_only_the_root_keeps_ids(move, here, servers, tmp_path):
    here.create_bucket(Bucket="mine")
    versioned(here, "mine")
    here.put_object(Bucket="mine", Key="a", Body=b"a")
    file = tmp_path / "mine.tar"
    move("export", "mine", file)
    iam = client(servers[1].url, "iam")
    iam.create_user(UserName="mover")
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="mover", PolicyName="all", PolicyDocument=json.dumps(allow))
    made = iam.create_access_key(UserName="mover")["AccessKey"]
    environment = clean_environment(
        {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}
    )

    def imported(*words: str):
        words = [binary(), "import", str(file), *words, "--endpoint", servers[1].url]
        return subprocess.run(words, env=environment, capture_output=True, timeout=COMMAND_SECONDS_MAX, check=False)

    refused = imported("theirs")
    assert refused.returncode == 1 and b"AccessDenied" in refused.stdout, refused
    assert imported("theirs-new", "--as-new").returncode == 0


def test_damaged_files_are_refused(move, here, there, tmp_path):
    here.create_bucket(Bucket="fragile")
    versioned(here, "fragile")
    here.put_object(Bucket="fragile", Key="a", Body=b"content")
    here.put_object(Bucket="fragile", Key="n" * 200, Body=b"more")
    file = tmp_path / "fragile.tar"
    move("export", "fragile", file)
    whole = file.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        refused = move("import", file, status=2)
        assert b"cut off" in refused.stderr and missing(there, "fragile")
    for position in range(0, len(whole), 997):
        changed = bytearray(whole)
        changed[position] ^= 4
        file.write_bytes(changed)
        assert b"damaged" in move("import", file, status=2).stderr
    assert missing(there, "fragile")
    # Of a damaged stream nothing comes that was not verified, and no rules.
    at = whole.index(b"content")
    changed = bytearray(whole)
    changed[at] ^= 4
    move("import", "-", input=bytes(changed), status=2)
    assert versions(there, "fragile") == []
    assert b"there is no bucket" in move("export", "nowhere", file, status=2).stderr
    assert file.read_bytes(), "what was there is not touched"


def test_ordinary_tools_read_it(move, here, tmp_path, run):
    here.create_bucket(Bucket="tools")
    bodies = {key: key.encode() for key in [*ODD_KEYS, "plain/a.txt"]}
    for key, body in bodies.items():
        here.put_object(Bucket="tools", Key=key, Body=body)
    exported = move("export", "tools", "-").stdout
    file = tmp_path / "tools.tar"
    file.write_bytes(exported)
    names = run("tar", "tf", file).splitlines()
    assert names[0] == "bucket.json" and names[-1] == "manifest.json"
    assert "objects/plain/a.txt@null" in names
    assert not any(name.startswith("/") or ".." in name.split("/") for name in names)
    # Unpacked, every file is where it belongs, and sha256sum agrees.
    place = tmp_path / "unpacked"
    place.mkdir()
    run("tar", "xf", file, "-C", place)
    for seal in place.rglob("*.sha256"):
        subprocess.run(["sha256sum", "--check", "--strict", "--status", seal.name], cwd=seal.parent, check=True)
    found = {}
    for properties in place.rglob("*.json"):
        if properties.parent != place:
            document = json.loads(properties.read_bytes())
            found[document["key"]] = properties.with_suffix("").read_bytes()
    assert found == bodies
    with tarfile.open(fileobj=BytesIO(exported)) as archive:
        assert [member.name for member in archive] == names


def test_entity_tags_of_parts_stay(move, here, there, tmp_path):
    parts = [numbered_bytes(5 * MIB, 8), numbered_bytes(7 * MIB, 9), b"x"]
    here.create_bucket(Bucket="tagged")
    upload(here, "tagged", "big", parts)
    move("export", "tagged", tmp_path / "tagged.tar")
    move("import", tmp_path / "tagged.tar")
    assert there.head_object(Bucket="tagged", Key="big")["ETag"] == multipart_etag(parts)
    assert there.get_object(Bucket="tagged", Key="big")["Body"].read() == b"".join(parts)


# What make_export.py said of the bucket: key, version id, whether it is the newest, entity tag, size, time.
KEPT = [
    ("../ü/\x07//" + "k" * 300, "GOqsFTAevQ6o8C3dxaYUeFpsEOGD-NMs", True, "a2b6f2a6066ed8700d83335fc50a2b8e", 3, 28.462),
    ("a", "GOqsFS-Spcaq8UvUcXXTKzy5Pw43ooX7", False, "8b04d5e3775d298e78455efc5ca404d5", 5, 28.452),
    ("a", "GOqsFS_GSmVr39og-HIpOW9UBWaffnkg", False, "a9f0e61a137d86aa9db53465e0801612", 6, 28.456),
    ("a", "GOqsFS_xNkP6KL1PTwtIb4KH7caGCKp0", True, None, None, 28.459),
    ("empty", "GOqsFTA4ytMyi5RbRKSiG_N2mVFN6S5e", True, "d41d8cd98f00b204e9800998ecf8427e", 0, 28.463),
    ("held", "GOqsFTQRQk1hZto3D1-HCpYHVSJb1DRL", True, "2510c39011c5be704182423e3a695e91", 1, 28.528),
    ("parts", "GOqsFTGB8xn7KOwleBYQRR0HhifuAGxL", True, "496e3d87d1723822c46f1ffe2e15c1a6-1", 8, 28.485),
    ("rare", "GOqsFTEnp_B1e0VR5b3keMHYxSc9f87L", True, "2678b85d5a8d2e9d89e39a587ea54028", 5000, 28.479),
]


def test_an_export_of_the_first_form_is_still_read(move, there):
    said = move("import", Path(__file__).parent / "fixtures" / "export-1.tar", status=1)
    assert said.stdout.count(b"left out") == 1 and b"frozen" in said.stdout
    found = versions(there, "kept")
    listed = [
        (
            one["Key"],
            one["VersionId"],
            one["IsLatest"],
            one["ETag"].strip('"') if "ETag" in one else None,
            one.get("Size"),
            round(one["LastModified"].second + one["LastModified"].microsecond / 1e6, 3),
        )
        for one in found
    ]
    assert sorted(listed, key=str) == sorted(KEPT, key=str)
    [first, second] = [one for one in found if one["Key"] == "a" and "ETag" in one and not one["IsLatest"]][::-1]
    assert (first["head"]["Metadata"], first["head"]["ContentType"]) == ({"word": "=?UTF-8?Q?gr=C3=BCn?="}, "text/plain")
    assert second["tags"] == [{"Key": "one", "Value": "1"}, {"Key": "two", "Value": "+"}]
    heads = {one["Key"]: one["head"] for one in found if "head" in one}
    assert heads["rare"]["StorageClass"] == "STANDARD_IA" and heads["held"]["ObjectLockLegalHoldStatus"] == "ON"
    assert heads["parts"]["ChecksumCRC32"].endswith("-1")
    assert there.get_bucket_tagging(Bucket="kept")["TagSet"] == [{"Key": "team", "Value": "a+b"}]
