"""Zones under load: one of three is deleted while clients write, comes back empty, and is rebuilt; then another goes.

What is in one zone only is reported as lost when that zone is gone, and is back with it.
"""

import json
import shutil
import threading
import time

import boto3
import pytest
from botocore.config import Config

from content import MIB, numbered_bytes
from server import ACCESS_KEY, CREDENTIALS, SECRET_KEY, Server, binary
from wire import path

BUCKET = "zones"
WRITERS = 4
# In the index, appended in groups, written as they arrive, in several chunks.
SIZES = [1000, 100_000, 2 * MIB, 9 * MIB]
BYTES = numbered_bytes(12 * MIB, seed=3)
# How many objects each writer stores before the zone is deleted, and after.
OBJECTS = 12
HEALED_SECONDS_MAX = 180
POLL_SECONDS = 0.1


def content(number: int) -> bytes:
    """The bytes of an object, different for each."""
    return (b"%012d" % number + BYTES[number % MIB :])[: SIZES[number % len(SIZES)]]


@pytest.fixture
def zones(tmp_path):
    """Where the zones are."""
    return {name: tmp_path / "zones" / name for name in "abc"}


@pytest.fixture
def server(tmp_path, zones):
    """A server of its own over three zones, in place of the shared one."""
    settings = {
        **CREDENTIALS,
        "STRATA_ZONES": ",".join(f"{name}={place}" for name, place in zones.items()),
        "STRATA_STORAGE_SEGMENT_BYTES": "32MiB",
        "STRATA_STORAGE_COLLECT_SECONDS": "1",
        "STRATA_BACKGROUND_BYTES_PER_SECOND": "4GiB",
    }
    running = Server(tmp_path / "data", environment=settings)
    yield running
    assert running.stop() == 0, f"the server did not stop well:\n{running.errors()}"


def client(server):
    """boto3's client, which must not hide failures by trying again."""
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def ask(run, server):
    """Asks the server with a command of the program, for JSON."""
    return lambda *command: json.loads(run(binary(), *command, "--json", "--endpoint", server.url))


def wait_for(what, found):
    """Polls until `found` gives something."""
    deadline = time.monotonic() + HEALED_SECONDS_MAX
    while not (seen := found()):
        assert time.monotonic() < deadline, f"not within {HEALED_SECONDS_MAX} s: {what}"
        time.sleep(POLL_SECONDS)
    return seen


def states(info):
    """The states of the zones by name."""
    return {zone["name"]: zone["state"] for zone in info["zones"]}


def delete(place):
    """Deletes a directory in which files may be made meanwhile."""
    wait_for(f"deletion of {place}", lambda: shutil.rmtree(place, ignore_errors=True) or not place.exists())


class Load:
    """Threads that store objects, each acknowledged before the next."""

    def __init__(self, server):
        self.acknowledged = []
        self.failures = []
        self._news = threading.Condition()
        self._stop = False
        self._threads = [threading.Thread(target=self._run, args=(client(server), first)) for first in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def _run(self, s3, number):
        while not self._stop:
            try:
                s3.put_object(Bucket=BUCKET, Key=str(number), Body=content(number))
            except Exception as error:
                self.failures.append((number, repr(error)))
                self._stop = True
            with self._news:
                self.acknowledged.append(number)
                self._news.notify_all()
            number += WRITERS

    def wait_for_more(self, count):
        """Waits until so many more objects are stored."""
        with self._news:
            wanted = len(self.acknowledged) + count
            self._news.wait_for(lambda: len(self.acknowledged) >= wanted or self._stop, HEALED_SECONDS_MAX)
        assert not self.failures

    def end(self):
        """Stops writing; returns the objects that were acknowledged."""
        self._stop = True
        for thread in self._threads:
            thread.join()
        assert not self.failures
        return self.acknowledged


def check(s3, numbers):
    """Reads every object."""
    for number in numbers:
        assert s3.get_object(Bucket=BUCKET, Key=str(number))["Body"].read() == content(number), number


def worker(ask, name):
    """What a background worker says of itself."""
    return next(worker for worker in ask("status")["workers"] if worker["name"] == name)


def is_healed(ask):
    """Whether all zones are in use and nothing is missing in them."""
    info = ask("info")
    whole = info["degraded_segments"] == 0 and info["lost"]["segments"] == 0
    return whole and set(states(info).values()) == {"active"} and worker(ask, "heal")["backlog"] == 0


def is_readable(server, number):
    """Whether an object is read whole; if not, the answer is an error, or ends before it should."""
    try:
        answer = server.api().call("GET", path(BUCKET, str(number)))
    except ConnectionError:
        return False
    assert answer.status in (500, 503) or answer.body == content(number), answer.status
    return answer.status == 200


def is_in_one_zone(ask, count):
    """Whether so many bytes are where ONEZONE_IA belongs, and nothing is on its way there."""
    pools = {pool["pool"]: pool for pool in ask("info")["pools"]}
    settle = worker(ask, "settle")
    return pools["onezone"]["physical_bytes"] >= count and settle["backlog"] == 0 and not settle["running"]


def test_a_zone_deleted_under_load_is_rebuilt(server, zones, ask):
    s3 = client(server)
    s3.create_bucket(Bucket=BUCKET)
    load = Load(server)
    load.wait_for_more(WRITERS * OBJECTS)
    delete(zones["a"])
    load.wait_for_more(WRITERS * OBJECTS)
    numbers = load.end()
    check(s3, numbers)
    info = wait_for("a is lost", lambda: (info := ask("info")) and states(info)["a"] == "lost" and info)
    assert info["zones"][0]["reason"] and info["degraded_segments"] > 0, info
    assert info["lost"] == {"segments": 0, "bytes": 0}
    wait_for("what waits for the zone is told", lambda: worker(ask, "heal")["backlog"] > 0)
    zones["a"].mkdir()
    wait_for("a is rebuilt", lambda: is_healed(ask))
    assert worker(ask, "heal")["done"] > 0

    delete(zones["b"])
    check(s3, numbers)
    wait_for("b is lost", lambda: states(ask("info"))["b"] == "lost")
    check(s3, numbers)
    s3.put_object(Bucket=BUCKET, Key="0", Body=content(0))
    check(s3, numbers)


def test_what_is_in_one_zone_is_lost_with_it(server, zones, ask, tmp_path):
    s3 = client(server)
    s3.create_bucket(Bucket=BUCKET)
    numbers = [number for number in range(20) if len(content(number)) > 10_000]
    for number in numbers:
        s3.put_object(Bucket=BUCKET, Key=str(number), Body=content(number), StorageClass="ONEZONE_IA")
    wait_for("everything is in its place", lambda: is_in_one_zone(ask, sum(len(content(n)) for n in numbers)))
    lost_bytes = 0
    for name, place in zones.items():
        place.rename(tmp_path / "aside")
        info = wait_for(f"{name} is lost", lambda: (info := ask("info")) and states(info)[name] == "lost" and info)
        lost = [number for number in numbers if not is_readable(server, number)]
        assert bool(lost) == (info["lost"]["bytes"] > 0), (lost, info)
        lost_bytes += info["lost"]["bytes"]
        (tmp_path / "aside").rename(place)
        wait_for(f"{name} is back", lambda: is_healed(ask))
    assert lost_bytes > MIB
    check(s3, numbers)
