"""Backups through the program: made under load, to a directory and to a bucket of another Strata; listed, verified, pruned;
and stores made of them, which aws-cli reads."""

import json
import shutil
import threading

import pytest

from content import MIB, numbered_bytes
from server import ACCESS_KEY, CREDENTIALS, SECRET_KEY, Server, binary, clean_environment
from sites import client

BYTES = numbered_bytes(10 * MIB, seed=8)
SIZES = [0, 900, 70_000, 3 * MIB, 9 * MIB]
BUCKET = "kept"


def content(number: int) -> bytes:
    """The bytes of an object, different for each."""
    size = SIZES[number % len(SIZES)]
    return (b"%012d" % number + BYTES[number:])[:size]


@pytest.fixture
def server(tmp_path):
    """A server of its own, which knows where another one is."""
    other = Server(tmp_path / "other")
    config = tmp_path / "strata.toml"
    config.write_text(
        f'[[regions]]\nname = "vault"\nendpoint = "{other.url}"\nregion = "us-east-1"\n'
        f'access_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\nbuckets = ["backups"]\n'
        '[background]\nbytes_per_second = "4GiB"\n[storage]\ncollect_seconds = 1\nsegment_bytes = "32MiB"\n'
    )
    running = Server(tmp_path / "data", "--config", str(config))
    running.other, running.config = other, config
    yield running
    for one in (running, other):
        if one.process.poll() is None:
            assert one.stop() == 0, one.errors()


@pytest.fixture
def strata(run, server):
    """Runs the program for JSON."""
    return lambda *command, **options: json.loads(run(binary(), *command, "--json", **options))


def fill(s3, start: int, count: int) -> None:
    for number in range(start, start + count):
        s3.put_object(Bucket=BUCKET, Key=f"{number:04}", Body=content(number), Tagging=f"number={number}")


def restore(run, server, repository, name: str, *more, status: int = 0):
    """Restores to a directory of that name with the store's master key, and checks what was made."""
    data = server.data.parent / name
    data.mkdir()
    shutil.copy(server.data / "master-key", data / "master-key")
    said = run(binary(), "restore", repository, "--data", data, "--config", server.config, "--json", *more, status=status)
    if status == 0:
        run(binary(), "check", "--deep", "--data", data)
    return data, said


def test_a_directory(run, strata, server, tmp_path):
    """Two backups under load; the second sends what is new; both are restored; the older is pruned."""
    s3 = client(server.url)
    s3.create_bucket(Bucket=BUCKET)
    fill(s3, 0, 20)
    repository = tmp_path / "repository"
    stop, written = threading.Event(), []

    def write() -> None:
        mine = client(server.url)
        number = 1000
        while not stop.is_set():
            mine.put_object(Bucket=BUCKET, Key=f"{number:04}", Body=content(number))
            mine.delete_object(Bucket=BUCKET, Key=f"{number - 5:04}")
            written.append(number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    endpoint = ["--endpoint", server.url]
    first = strata("backup", repository, *endpoint)
    stop.set()
    writer.join()
    assert first["snapshot"] and first["sent_records"] == first["records"] > 10
    # What the writer wrote after the moment, and then what is new.
    between = strata("backup", repository, *endpoint)
    fill(s3, 20, 5)
    second = strata("backup", repository, *endpoint)
    assert 0 < second["sent_records"] <= 5 and second["sent_bytes"] < 13 * MIB
    assert any(worker["name"] == "backup" and worker["done"] for worker in strata("status", *endpoint)["workers"])
    listed = strata("backup", "list", repository)["backups"]
    assert [backup["id"] for backup in listed] == [made["snapshot"] for made in (first, between, second)]
    assert strata("backup", "verify", repository, "--snapshot", first["snapshot"])["sound"]

    zones = [word for zone in "abc" for word in ("--zone", f"{zone}={tmp_path / 'zones' / zone}")]
    data, _ = restore(run, server, repository, "restored", *zones)
    made = Server(data)
    try:
        for number in range(25):
            aws = run("aws", "s3api", "get-object", "--bucket", BUCKET, "--key", f"{number:04}", tmp_path / "read",
                      "--endpoint-url", made.url)  # fmt: skip
            assert json.loads(aws)["ContentLength"] == len(content(number))
            assert (tmp_path / "read").read_bytes() == content(number)
            tags = client(made.url).get_object_tagging(Bucket=BUCKET, Key=f"{number:04}")["TagSet"]
            assert tags == [{"Key": "number", "Value": str(number)}]
    finally:
        assert made.stop() == 0, made.errors()

    data, _ = restore(run, server, repository, "older", "--snapshot", first["snapshot"])
    made = Server(data)
    try:
        keys = [entry["Key"] for entry in client(made.url).list_objects_v2(Bucket=BUCKET)["Contents"]]
        assert keys[:20] == [f"{number:04}" for number in range(20)] and "0020" not in keys
        # Of what was written meanwhile, a part without gaps.
        later = [int(key) for key in keys[20:]]
        assert later == list(range(later[0], later[0] + len(later))) if later else True
    finally:
        assert made.stop() == 0, made.errors()

    pruned = strata("backup", "prune", repository, "--keep", "1")
    assert (pruned["removed"], pruned["kept"]) == (2, 1)
    assert strata("backup", "verify", repository)["sound"]


def test_a_bucket(run, strata, server, tmp_path):
    """The same in a bucket of another store, found by the settings."""
    s3 = client(server.url)
    s3.create_bucket(Bucket=BUCKET)
    fill(s3, 0, 10)
    there = client(server.other.url)
    place, settings = "s3://backups/strata/daily", ["--config", server.config]
    endpoint = ["--endpoint", server.url]
    # No such bucket yet.
    run(binary(), "backup", place, *endpoint, status=2)
    there.create_bucket(Bucket="backups")
    first = strata("backup", place, *endpoint)
    fill(s3, 10, 5)
    second = strata("backup", place, "--site", "vault", *endpoint)
    assert 0 < second["sent_records"] < first["sent_records"] + 10
    keys = [entry["Key"] for entry in there.list_objects_v2(Bucket="backups")["Contents"]]
    assert all(key.startswith("strata/daily/") for key in keys) and "strata/daily/repository" in keys
    assert len(strata("backup", "list", place, *settings)["backups"]) == 2
    assert strata("backup", "verify", place, *settings)["sound"]
    assert strata("backup", "prune", place, *settings, "--keep", "1")["removed"] == 1
    data, said = restore(run, server, place, "restored")
    assert json.loads(said)["backup"] == second["snapshot"]
    made = Server(data)
    try:
        for number in range(15):
            assert client(made.url).get_object(Bucket=BUCKET, Key=f"{number:04}")["Body"].read() == content(number)
    finally:
        assert made.stop() == 0, made.errors()
    # What is damaged there is told of, and sent again once it is away.
    pack = next(key for key in keys if "/packs/" in key)
    body = bytearray(there.get_object(Bucket="backups", Key=pack)["Body"].read())
    body[len(body) // 2] ^= 1
    there.put_object(Bucket="backups", Key=pack, Body=bytes(body))
    run(binary(), "backup", "verify", place, *settings, status=1)
    restore(run, server, place, "damaged", status=1)
    there.delete_object(Bucket="backups", Key=pack)
    assert strata("backup", place, *endpoint)["sent_records"] > 0
    assert strata("backup", "verify", place, *settings)["sound"]


def test_killed_half_way(run, strata, server, tmp_path):
    """A server that dies during a backup leaves no backup and a lock; the next one goes on."""
    s3 = client(server.url)
    s3.create_bucket(Bucket=BUCKET)
    fill(s3, 0, 15)
    repository = tmp_path / "repository"
    run(binary(), "backup", repository, "--no-wait", "--endpoint", server.url)
    server.kill()
    assert not strata("backup", "list", repository)["backups"] or not (repository / "lock").exists()
    again = Server(server.data, "--config", str(server.config))
    try:
        made = strata("backup", repository, "--endpoint", again.url)
        assert made["snapshot"] and not (repository / "lock").exists()
    finally:
        assert again.stop() == 0, again.errors()
    restore(run, server, repository, "restored")


def test_what_is_refused(run, strata, server, tmp_path):
    """Wrong places and missing keys are told of, with exit status 2."""
    endpoint = ["--endpoint", server.url]
    run(binary(), "backup", server.data / "within", *endpoint, status=2)
    (tmp_path / "link").symlink_to(server.data)
    run(binary(), "backup", tmp_path / "link" / "new" / "place", *endpoint, status=2)
    run(binary(), "backup", tmp_path / "missing" / ".." / "place", *endpoint, status=2)
    assert not (server.data / "new").exists() and not (tmp_path / "place").exists()
    run(binary(), "backup", "s3://unknown-bucket/x", *endpoint, status=2)
    run(binary(), "backup", "list", tmp_path / "nothing", status=2)
    run(binary(), "restore", tmp_path / "nothing", "--data", tmp_path / "new", status=2)
    repository = tmp_path / "repository"
    assert strata("backup", repository, *endpoint)["snapshot"]
    assert strata("backup", "status", *endpoint)["snapshot"]
    assert run(binary(), "backup", "list", repository).splitlines()[0].split()[-1] == "LOST"
    # Nothing is restored into the repository itself.
    (tmp_path / "to-repository").symlink_to(repository)
    run(binary(), "restore", repository, "--data", tmp_path / "to-repository" / "packs" / "new", status=2)
    run(binary(), "restore", repository, "--data", tmp_path / "new", "--zone", f"a={repository / 'packs' / 'a'}", status=2)
    # Not without the master key, nor over a store.
    run(binary(), "restore", repository, "--data", tmp_path / "new", status=2)
    run(binary(), "restore", repository, "--data", server.data, status=2)
    run(binary(), "backup", "prune", repository, "--keep", "0", status=2)
    run(binary(), "backup", "unlock", repository)
    run(binary(), "backup", repository, "--endpoint", "http://127.0.0.1:9", status=2)
    # A place of other things.
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("dear")
    run(binary(), "backup", tmp_path / "full", *endpoint, status=2)
