"""Three servers, each of which replicates to both others: at rest they are the same, whatever happened on the way.

Clients write, overwrite, delete and tag at all three at once, while servers are killed and connections are cut. A bucket has
another name at each site, as a destination is found by its name; a rule for each other site makes a full mesh, as replicas
are not sent on.

STRATA_TEST_SITES_SEED repeats a run's choices, STRATA_TEST_SITES_ROUNDS makes it longer.
"""

import json
import math
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import botocore.exceptions
import pytest

from content import MIB, numbered_bytes
from server import binary
from sites import Side, until

SEED = int(os.environ.get("STRATA_TEST_SITES_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
# Each round kills, cuts or refuses each site once.
ROUNDS = int(os.environ.get("STRATA_TEST_SITES_ROUNDS", "1"))
WRITERS_PER_SITE = 2
KEYS = 12
# Written from one disturbance to the next.
WRITES_MIN, WRITES_MAX = 15, 40
# The largest is sent by the names of its chunks first; contents repeat, so that they are known or not.
SIZES = [0, 100, 5000, 300_000, MIB + 1]
WEIGHTS = [1, 8, 4, 2, 1]
MODIFICATIONS = {"SourceSelectionCriteria": {"ReplicaModifications": {"Status": "Enabled"}}}


@dataclass
class Tagging:
    """A tag that was set, or perhaps set."""

    value: str
    begun: float
    # Infinite if there was no answer: it may happen at any time since.
    ended: float = math.inf


@dataclass
class History:
    """What was written, from all writers."""

    # By version id: key and content; none for a marker.
    written: dict[str, tuple[str, bytes | None]] = field(default_factory=dict)
    tagged: dict[str, list[Tagging]] = field(default_factory=dict)
    unexpected: list[Exception] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)
    over: threading.Event = field(default_factory=threading.Event)

    def wait_for(self, more: int) -> None:
        """Waits until so much more was written."""
        with self.news:
            wanted = len(self.written) + more
            assert self.news.wait_for(lambda: len(self.written) >= wanted or self.unexpected, timeout=60)

    def note(self, version: str, key: str, content: bytes | None) -> None:
        """Notes a version that was acknowledged."""
        with self.news:
            self.written[version] = (key, content)
            self.news.notify_all()


class Writer(threading.Thread):
    """A client of one site."""

    def __init__(self, site: Side, seed: int, history: History):
        super().__init__()
        self.site = site
        self.seed = seed
        self.choices = random.Random(seed)
        self.history = history

    def run(self) -> None:
        count = 0
        while not self.history.over.is_set():
            count += 1
            try:
                self.write(count)
            except botocore.exceptions.BotoCoreError:
                # Killed or about to be started again; it may have happened or not.
                self.history.over.wait(0.01)
            except botocore.exceptions.ClientError as error:
                # Versions and keys come to a site later than to others.
                if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchVersion", "MethodNotAllowed"):
                    self.fail(error)
            except Exception as error:  # Whatever it is fails the test, and not only this thread.
                self.fail(error)

    def fail(self, error: Exception) -> None:
        with self.history.news:
            self.history.unexpected.append(error)
            self.history.over.set()
            self.history.news.notify_all()

    def write(self, count: int) -> None:
        choices, bucket = self.choices, self.site.name
        key, what = f"key-{choices.randrange(KEYS):02}", choices.random()
        if what < 0.6:
            body = numbered_bytes(choices.choices(SIZES, WEIGHTS)[0], seed=choices.randrange(4))
            answer = self.site.s3.put_object(Bucket=bucket, Key=key, Body=body)
            self.history.note(answer["VersionId"], key, body)
        elif what < 0.7:
            answer = self.site.s3.delete_object(Bucket=bucket, Key=key)
            self.history.note(answer["VersionId"], key, None)
        else:
            self.tag(f"{self.seed}-{count}")

    def tag(self, value: str) -> None:
        """Tags one of the newest versions, wherever it was written."""
        with self.history.news:
            newest = list(self.history.written.items())[-20:]
        if not newest:
            return
        version, (key, content) = self.choices.choice(newest)
        if content is None:
            return
        tagging = Tagging(value, time.monotonic())
        with self.history.news:
            self.history.tagged.setdefault(version, []).append(tagging)
        tags = {"TagSet": [{"Key": "by", "Value": value}]}
        try:
            self.site.s3.put_object_tagging(Bucket=self.site.name, Key=key, VersionId=version, Tagging=tags)
            tagging.ended = time.monotonic()
        except botocore.exceptions.ClientError:
            with self.history.news:
                self.history.tagged[version].remove(tagging)
            raise


@pytest.fixture
def sites(tmp_path):
    """Three servers that know each other, each with rules to the others."""
    all_sites = [Side(tmp_path, name) for name in ("site-a", "site-b", "site-c")]
    for site in all_sites:
        site.start(*others(site, all_sites))
        site.prepare(site.name)
    for site in all_sites:
        site.replicate(site.name, *(other.name for other in others(site, all_sites)), **MODIFICATIONS)
    yield all_sites
    for site in all_sites:
        site.stop()


def others(site: Side, sites: list[Side]) -> list[Side]:
    return [other for other in sites if other is not site]


def disturb(sites: list[Side], choices: random.Random, history: History) -> None:
    """Each site is killed, is cut off, and loses its connections; in any order, while it is written to."""
    plan = [(what, site) for site in sites for what in ("kill", "cut", "refuse")] * ROUNDS
    choices.shuffle(plan)
    for what, site in plan:
        history.wait_for(choices.randint(WRITES_MIN, WRITES_MAX))
        if what == "kill":
            site.kill()
            history.wait_for(choices.randint(0, WRITES_MIN))
            site.start(*others(site, sites))
        elif what == "cut":
            site.proxy.cut()
        else:
            site.proxy.refusing = True
            site.proxy.cut()
            history.wait_for(choices.randint(0, WRITES_MIN))
            site.proxy.refusing = False


def test_three_sites_become_the_same(sites, run):
    print(f"STRATA_TEST_SITES_SEED={SEED} repeats these choices")
    history = History()
    writers = [
        Writer(site, SEED + number * WRITERS_PER_SITE + which, history)
        for number, site in enumerate(sites)
        for which in range(WRITERS_PER_SITE)
    ]
    for writer in writers:
        writer.start()
    try:
        disturb(sites, random.Random(SEED), history)
    finally:
        history.over.set()
        for writer in writers:
            writer.join()
    assert not history.unexpected, history.unexpected
    until(lambda: all(site.waiting(site.name, run) == 0 for site in sites), "nothing to wait anywhere")
    for site in sites:
        failed = run(binary(), "replication", "failed", site.name, "--endpoint", site.server.url)
        assert failed == "", f"{site.name} could not send:\n{failed}"
        said = run(binary(), "replication", "diff", site.name, "--deep", "--json", "--endpoint", site.server.url)
        assert json.loads(said)["differences"] == []
    check_versions(sites, history)


def check_versions(sites: list[Side], history: History) -> None:
    """All sites list the same in the same order; every version is done; nothing that was acknowledged is lost."""
    listings = [site.listing(site.name) for site in sites]
    assert listings[0] == listings[1] == listings[2]
    found = {version: key for _, key, version, *_ in listings[0]}
    assert {version: key for version, (key, _) in history.written.items()}.items() <= found.items()
    objects = [(key, version) for kind, key, version, *_ in listings[0] if kind == "Version"]
    with ThreadPoolExecutor(len(sites)) as pool:
        # Each version is read at one of the sites.
        turns = (sites[number % len(sites) :] + sites[: number % len(sites)] for number in range(len(objects)))
        list(pool.map(lambda site, named: check_version(site, *named, history), turns, objects))


def check_version(sites: list[Side], key: str, version: str, history: History) -> None:
    """Its status, content and tags."""
    answer = sites[0].s3.get_object(Bucket=sites[0].name, Key=key, VersionId=version)
    statuses = [answer["ReplicationStatus"], *(site.status(site.name, key, VersionId=version) for site in sites[1:])]
    assert sorted(statuses) == ["COMPLETED", "REPLICA", "REPLICA"], (key, version)
    body = answer["Body"].read()
    if version in history.written:
        assert body == history.written[version][1], (key, version)
    if tried := history.tagged.get(version, []):
        tags = sites[0].s3.get_object_tagging(Bucket=sites[0].name, Key=key, VersionId=version)["TagSet"]
        check_tags(version, [tag["Value"] for tag in tags], tried)


def check_tags(version: str, values: list[str], tried: list[Tagging]) -> None:
    """What a version is tagged with was tried, and nothing that was acknowledged came after it."""
    acknowledged = [tagging for tagging in tried if tagging.ended != math.inf]
    if not values:
        assert not acknowledged, (version, acknowledged)
        return
    (last,) = [tagging for tagging in tried if [tagging.value] == values]
    later = [tagging for tagging in acknowledged if tagging.begun > last.ended]
    assert not later, (version, last, later)


def test_lag_is_told(sites, run):
    """What arrived lately is in the status, with how long it took; what waits is not."""
    site, near, far = sites
    far.proxy.refusing = True
    far.proxy.cut()
    for number in range(20):
        site.s3.put_object(Bucket=site.name, Key=f"key-{number}", Body=b"x")

    def done() -> dict[str, dict]:
        queues = {queue["destination"]: queue for queue in site.queues(site.name, run)}
        return queues if queues[f"arn:aws:s3:::{near.name}"]["done"] == 20 else {}

    queues = until(done, "all to arrive at one of them")
    recent = queues[f"arn:aws:s3:::{near.name}"]["recent"]
    assert recent["arrived"] == 20
    assert 0 < recent["p50_seconds"] <= recent["p99_seconds"] <= recent["max_seconds"] < 60
    waiting = queues[f"arn:aws:s3:::{far.name}"]
    assert (waiting["recent"], waiting["waiting"]) == (None, 20)
    assert waiting["lag_seconds"] > 0
    far.proxy.refusing = False
