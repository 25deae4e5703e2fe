"""kill -9, again and again: what was acknowledged is there, what was not is there whole or not at all.

Each round writes from several threads, kills the server at a random moment, starts it again and checks every key.
A writer owns its keys, so that it knows what each may hold: the last acknowledged state or, after a request that was
cut off, the state that request asked for. Collection runs every second over small segments, and contents repeat, so
that references come and go while their bytes are being collected.

STRATA_TEST_KILL_ROUNDS and STRATA_TEST_KILL_SEED choose the number of rounds and repeat a run's choices.
"""

import os
import random
import re
import threading
import time
from dataclasses import dataclass, field

from content import MIB, numbered_bytes
from server import CREDENTIALS, Server
from wire import Api, path

ROUNDS = int(os.environ.get("STRATA_TEST_KILL_ROUNDS", "25"))
SEED = int(os.environ.get("STRATA_TEST_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
WRITERS = 6
KEYS_PER_WRITER = 8
BUCKET = "killed"
RESTART_SECONDS_MAX = 30
SETTINGS = {**CREDENTIALS, "STRATA_STORAGE_COLLECT_SECONDS": "1", "STRATA_STORAGE_SEGMENT_BYTES": "16MiB"}

# Around the sizes where the way of storing changes, and well away from them.
SIZES = [0, 1, 1024, 4096, 4097, 100 * 1024, MIB + 1, 9 * MIB]
WEIGHTS = [1, 2, 8, 4, 4, 6, 2, 1]
PART_BYTES = 5 * MIB
POOL = numbered_bytes(PART_BYTES * 3, seed=1)


@dataclass(frozen=True)
class Content:
    """What an object may hold; the same number and size are the same bytes."""

    number: int
    size: int

    def bytes(self) -> bytes:
        """The bytes: a label that says what they are, then a window of the pool that depends on it."""
        label = b"%020d %010d\n" % (self.number, self.size)
        start = self.number * 7919 % (len(POOL) - 9 * MIB)
        return (label + POOL[start : start + self.size])[: self.size]


@dataclass
class Upload:
    """A multipart upload whose parts were acknowledged."""

    key: str
    id: str
    content: Content
    parts: list[tuple[int, str]] = field(default_factory=list)
    # Once Complete was sent without an answer, the upload may or may not be there.
    finishing: bool = False


class Writer:
    """One thread's keys, what each may hold, and the requests that change them."""

    def __init__(self, number: int, choices: random.Random):
        self.keys = [f"writer-{number}/key-{index}" for index in range(KEYS_PER_WRITER)]
        self.choices = choices
        # The states a key may be in; more than one only after a request was cut off.
        self.states: dict[str, set[Content | None]] = {key: {None} for key in self.keys}
        self.uploads: list[Upload] = []
        self.acknowledged = 0
        self.failure: str | None = None

    def run(self, api: Api, killed: threading.Event, failed: threading.Event) -> None:
        """Writes until the server is killed; an error answer, or a connection lost before that, is a failure."""
        try:
            while not failed.is_set():
                self._write(api, self.choices.choice(self.keys))
        except Exception as error:
            if not (isinstance(error, OSError) and killed.is_set()):
                self.failure = repr(error)
                failed.set()

    def _content(self, sizes: list[int], weights: list[int]) -> Content:
        # Few numbers, so that the same bytes come up again while older copies of them are being removed.
        return Content(self.choices.randrange(40), self.choices.choices(sizes, weights)[0])

    def _write(self, api: Api, key: str) -> None:
        kind = self.choices.choices(["put", "delete", "multipart"], [80, 15, 5])[0]
        if kind == "put":
            content = self._content(SIZES, WEIGHTS)
            self._change(api, key, content, "PUT", path(BUCKET, key), content.bytes())
        elif kind == "delete":
            self._change(api, key, None, "DELETE", path(BUCKET, key))
        else:
            self._upload(api, key)

    def _change(self, api: Api, key: str, wanted: Content | None, method: str, target: str, body: bytes = b"") -> None:
        before = self.states[key]
        self.states[key] = before | {wanted}
        answer = api.call(method, target, body)
        assert answer.status in (200, 204), f"{method} {target}: {answer}"
        assert b"<Error>" not in answer.body, f"{method} {target}: {answer}"
        self.states[key] = {wanted}
        self.acknowledged += 1

    def _upload(self, api: Api, key: str) -> None:
        content = self._content([PART_BYTES + 1000, 2 * PART_BYTES - 1], [4, 1])
        started = api.call("POST", path(BUCKET, key) + "?uploads")
        assert started.status == 200, started
        upload = Upload(key, started.element("UploadId"), content)
        self.uploads.append(upload)
        data = content.bytes()
        for number, start in enumerate(range(0, len(data), PART_BYTES), start=1):
            target = f"{path(BUCKET, key)}?partNumber={number}&uploadId={upload.id}"
            sent = api.call("PUT", target, data[start : start + PART_BYTES])
            assert sent.status == 200, sent
            upload.parts.append((number, sent.headers["etag"]))
        upload.finishing = True
        self._complete(api, upload)
        self.uploads.remove(upload)

    def _complete(self, api: Api, upload: Upload) -> None:
        parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>" for n, tag in upload.parts)
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        target = f"{path(BUCKET, upload.key)}?uploadId={upload.id}"
        self._change(api, upload.key, upload.content, "POST", target, body)

    def check(self, api: Api) -> None:
        """After a restart: every key holds one of its possible states, and that state is now certain."""
        for key, states in self.states.items():
            answer = api.call("GET", path(BUCKET, key))
            found = None if answer.status == 404 else answer.body
            assert answer.status in (200, 404), f"{key}: {answer.status} {answer.code}, expected one of {states}"
            matching = {state for state in states if found == (None if state is None else state.bytes())}
            label = None if found is None else (len(found), found[:32])
            assert matching, f"{key} holds {label}, expected one of {states}"
            self.states[key] = matching

    def finish_uploads(self, api: Api) -> None:
        """After a restart: an upload whose parts were all acknowledged can still be completed, others aborted."""
        for upload in self.uploads:
            target = f"{path(BUCKET, upload.key)}?uploadId={upload.id}"
            if upload.finishing:
                # Either outcome is right, and `check` has seen which; what is left of it is removed.
                assert api.call("DELETE", target).status in (204, 404)
            elif len(upload.parts) * PART_BYTES >= upload.content.size:
                self._complete(api, upload)
            else:
                listed = api.call("GET", target)
                assert listed.status == 200, listed
                numbers = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", listed.body)]
                certain = [number for number, _ in upload.parts]
                # The part that was cut off may have arrived.
                assert numbers[: len(certain)] == certain and len(numbers) <= len(certain) + 1, (numbers, certain)
                assert api.call("DELETE", target).status == 204
        self.uploads.clear()


def listed_keys(api: Api) -> list[str]:
    """Every key that the listing shows."""
    answer = api.call("GET", path(BUCKET) + "?list-type=2")
    assert answer.status == 200, answer
    return [key.decode() for key in re.findall(rb"<Key>([^<]*)</Key>", answer.body)]


def write_until_killed(server: Server, writers: list[Writer], seconds: float) -> None:
    """Lets all writers write for a while, then kills the server under them."""
    killed, failed = threading.Event(), threading.Event()
    threads = [threading.Thread(target=writer.run, args=(server.api(), killed, failed)) for writer in writers]
    for thread in threads:
        thread.start()
    failed.wait(seconds)
    killed.set()
    server.kill()
    for thread in threads:
        thread.join()
    failures = [writer.failure for writer in writers if writer.failure]
    assert not failures, f"{failures}\n{server.errors()}"


def check_all(server: Server, writers: list[Writer]) -> None:
    """Checks every key, completes or ends open uploads, and compares the listing with what is there."""
    api = server.api()
    for writer in writers:
        writer.check(api)
        writer.finish_uploads(api)
        writer.check(api)
    expected = sorted(key for writer in writers for key, states in writer.states.items() if states != {None})
    assert listed_keys(api) == expected


def test_kill(tmp_path):
    print(f"repeat with STRATA_TEST_KILL_SEED={SEED} STRATA_TEST_KILL_ROUNDS={ROUNDS}")
    choices = random.Random(SEED)
    writers = [Writer(number, random.Random(choices.random())) for number in range(WRITERS)]
    server = Server(tmp_path / "data", environment=SETTINGS)
    server.api().create_bucket(BUCKET)
    slowest_seconds = 0.0
    try:
        for number in range(ROUNDS):
            write_until_killed(server, writers, choices.uniform(0.02, 2.5))
            started = time.monotonic()
            server = Server(tmp_path / "data", environment=SETTINGS)
            slowest_seconds = max(slowest_seconds, time.monotonic() - started)
            check_all(server, writers)
            print(f"round {number + 1}: {sum(writer.acknowledged for writer in writers)} acknowledged so far")
        assert server.stop() == 0
    finally:
        server.process.kill()
    print(f"slowest restart: {slowest_seconds:.2f} s")
    assert slowest_seconds < RESTART_SECONDS_MAX
    assert sum(writer.acknowledged for writer in writers) >= ROUNDS
