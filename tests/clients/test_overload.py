"""More than the server can do: it refuses what it cannot take, goes on with the rest, and comes back by itself."""

import base64
import hashlib
import os
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import server as servers
from server import Server
from wire import Wire, head, path

MIB = 1 << 20


def resident_mib(server: Server) -> int:
    """What the server has in memory, in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmRSS"))


def cpu_seconds(server: Server) -> float:
    """The time that it has computed for."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def eventually(condition, seconds: float = 30):
    """Waits until something holds, and returns it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.05)
    return found


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts a server with settings of its own, by a shell's command if there is one; it must end well."""
    started = []

    def start(*settings: str, wrapper: str = "") -> Server:
        if wrapper:
            script = tmp_path / "strata"
            script.write_text(f'#!/bin/sh\n{wrapper.format(strata=servers.binary())} "$@"\n')
            script.chmod(0o755)
            monkeypatch.setattr(servers, "binary", lambda: str(script))
        flags = [flag for setting in settings for flag in ("--set", setting)]
        started.append(Server(tmp_path / "data", *flags))
        return started[-1]

    yield start
    for server in started:
        assert server.process.poll() is None, f"the server died:\n{server.errors()}"
        assert server.stop() == 0, f"the server did not stop well:\n{server.errors()}"


def narrow(server: Server) -> Wire:
    """A connection whose client takes little at a time."""
    wire = Wire.__new__(Wire)
    wire.socket = socket.socket()
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.socket.settimeout(60)
    wire.socket.connect(server.address)
    wire.host, wire.rest = f"{server.address[0]}:{server.address[1]}", b""
    return wire


def test_idle_connections_cost_little(start):
    server = start("limits.connections=3000")
    api = server.api()
    api.create_bucket("bucket")
    before = resident_mib(server)
    silent = [Wire(server.address) for _ in range(1500)]
    for wire in silent[:750]:
        wire.send(b"GET /bucket HTTP/1.1\r\nhost: x\r\nx-half")
    assert api.call("GET", "/bucket").status == 200
    assert resident_mib(server) - before < 100
    for wire in silent:
        wire.socket.close()


def test_a_body_that_drips_is_given_up(start):
    server = start("limits.idle_seconds=1", "limits.uploads=1")
    api = server.api()
    api.create_bucket("bucket")
    with api.connect() as slow:
        slow.send(api.request("PUT", "/bucket/slow", b"x" * 100_000)[:-100_000])
        begun = time.monotonic()
        answer = None
        while answer is None and time.monotonic() - begun < 20:
            slow.socket.settimeout(0.1)
            try:
                slow.send(b"x" * 20)
                answer = slow.answer()
            except TimeoutError:
                pass
        assert answer and (answer.status, answer.code) == (400, "RequestTimeout")
    # The only turn at storing is free again.
    assert api.call("PUT", "/bucket/key", b"x").status == 200


def test_a_reader_that_sips_is_given_up(start):
    server = start("limits.idle_seconds=1")
    api = server.api()
    api.create_bucket("bucket")
    assert api.call("PUT", "/bucket/key", os.urandom(32 * MIB)).status == 200
    with narrow(server) as slow:
        slow.send(api.request("GET", "/bucket/key"))
        begun, read = time.monotonic(), 0
        with pytest.raises((ConnectionError, TimeoutError, EOFError)):
            while time.monotonic() - begun < 60:
                data = slow.socket.recv(20)
                if not data:
                    raise EOFError
                read += len(data)
                time.sleep(0.05)
                # The server has given up; what is left is in the systems' buffers.
                if not established(server, slow):
                    raise EOFError
        assert read < 32 * MIB


def established(server: Server, wire: Wire) -> bool:
    """Whether the server's side of a connection is open, as its system says."""
    port = f":{wire.socket.getsockname()[1]:04X}"
    lines = Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[2].endswith(port) and line.split()[3] == "01" for line in lines)


def test_lists_that_nobody_takes_are_bounded(start):
    server = start("limits.document_bytes=8MiB", "limits.idle_seconds=1")
    api = server.api()
    api.create_bucket("bucket")

    def put_some(first: int) -> None:
        with api.connect() as wire:
            for number in range(first, 1000, 8):
                wire.send(api.request("PUT", path("bucket", f"{number:04}" + "é" * 500)))
                assert wire.answer().status == 200

    # Side by side, so that they share syncs.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put_some, range(8)))
    before = resident_mib(server)
    request = api.request("GET", "/bucket?list-type=2&encoding-type=url")
    sleepers = [narrow(server) for _ in range(60)]
    for wire in sleepers:
        wire.send(request)
    # Each of them is 3 MB, all 180 MB; two have room at a time, and those who do not take theirs are cut off.
    with api.connect() as wire:
        wire.send(request)
        answer = wire.answer()
    assert (answer.status, answer.code) in [(200, ""), (503, "SlowDown")]
    assert resident_mib(server) - before < 100
    for wire in sleepers:
        wire.socket.close()
    eventually(lambda: api.call("GET", "/bucket?list-type=2&encoding-type=url").status == 200)


def test_documents_that_do_not_end_are_bounded(start):
    server = start("limits.document_bytes=16MiB")
    api = server.api()
    api.create_bucket("bucket")
    body = b"<Delete><Object><Key>key</Key></Object></Delete>".ljust(4 * MIB - 1)
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    fields = {"host": api.host, "content-length": str(len(body)), "content-md5": digest}
    signed = api.signer.sign("POST", "/bucket?delete", fields, hashlib.sha256(body).hexdigest())
    request = head("POST", "/bucket?delete", signed.headers)
    before = resident_mib(server)

    def send_most(_number: int) -> Wire:
        wire = Wire(server.address)
        wire.send(request)
        wire.socket.settimeout(1)
        try:
            wire.send(body[:-1])
        except OSError:
            pass  # The server does not read what it has no room for.
        return wire

    with ThreadPoolExecutor(50) as pool:
        wires = list(pool.map(send_most, range(50)))
    assert resident_mib(server) - before < 100
    assert api.call("GET", "/bucket").status == 200
    for wire in wires:
        wire.socket.close()
    with api.connect() as wire:
        wire.send(request + body)
        assert wire.answer().status == 200


def test_few_file_descriptors(start):
    server = start(wrapper="exec prlimit --nofile=256:256 -- {strata}")
    api = server.api()
    api.create_bucket("bucket")
    silent = []
    for _ in range(400):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(server.address)
        silent.append(client)
    eventually(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) > 150)
    before, begun = cpu_seconds(server), time.monotonic()
    time.sleep(1)
    assert cpu_seconds(server) - before < 0.5 * (time.monotonic() - begun)
    for client in silent:
        client.close()
    for number in range(20):
        body = os.urandom(10_000 * number)
        assert api.call("PUT", f"/bucket/{number}", body).status == 200
        assert api.call("GET", f"/bucket/{number}").body == body


def test_no_file_descriptor_is_left(start):
    server = start()
    api = server.api()
    api.create_bucket("bucket")
    body = os.urandom(MIB)
    # Nobody has read them, so that their segment is still to be opened for that.
    for key in ("unread", "gone"):
        assert api.call("PUT", f"/bucket/{key}", body).status == 200
    with api.connect() as wire:

        def call(method: str, target: str, body: bytes = b""):
            wire.send(api.request(method, target, body))
            return wire.answer(method)

        assert call("GET", "/bucket").status == 200
        pid = server.process.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, most))
        # Longer than it takes until all zones are looked at.
        time.sleep(1.5)
        with api.connect() as late:
            late.send(api.request("GET", "/bucket"))
            answer = call("GET", "/bucket/unread")
            assert (answer.status, answer.code) == (503, "ServiceUnavailable") and b"too many files" in answer.body
            assert call("PUT", "/bucket/small", b"small").status == 200
            assert call("GET", "/bucket/small").body == b"small"
            assert call("GET", "/bucket?list-type=2").body.count(b"<Key>") == 3
            assert call("DELETE", "/bucket/gone").status == 204
            # All of it goes on, those who waited for their connection too.
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
            assert late.answer().status == 200
    assert api.call("GET", "/bucket/unread").body == body
    assert api.call("PUT", "/bucket/large", body * 10).status == 200
    assert api.call("GET", "/bucket/large").body == body * 10
    assert api.call("GET", "/bucket/gone").status == 404
    assert "is lost" not in server.errors() and "".join(server.output).count("is lost") == 0


def own_disk(start, tmp_path: Path, mib: int, *settings: str) -> tuple[Server, Path]:
    """A server on a file system of its own, in memory, which only its processes see; and how this one gets there."""
    disk = tmp_path / "data"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={mib}m tmpfs {disk}"
    server = start(
        "server.core_dumps=true",  # Otherwise nobody could look into its file system.
        *settings,
        wrapper=f"exec unshare --user --map-root-user --mount sh -c '{mount} && exec {{strata}} \"$@\"' sh",
    )
    return server, Path(f"/proc/{server.process.pid}/root{disk}")


def leave(disk: Path, mib: int) -> Path:
    """Has somebody else take the rest of a disk, but for so much."""
    ballast = disk / "ballast"
    found = os.statvfs(disk)
    more = found.f_bavail * found.f_frsize - mib * MIB
    with ballast.open("ab", buffering=0) as file:
        while more > 0:
            more -= file.write(b"x" * min(more, MIB))
    return ballast


def is_full(answer) -> bool:
    return (answer.status, answer.code) == (503, "ServiceUnavailable") and b"disk is full" in answer.body


def delete_many(api, keys: list[str]):
    objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    body = f"<Delete>{objects}</Delete>".encode()
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    return api.call("POST", "/bucket?delete", body, {"content-md5": digest})


def test_a_full_disk(start, tmp_path):
    server, disk = own_disk(start, tmp_path, 320, "storage.collect_seconds=1")
    api = server.api()
    api.create_bucket("bucket")
    api.create_bucket("empty")
    kept = {f"kept-{number}": os.urandom(100 + 50_000 * number) for number in range(8)}
    for key, body in kept.items():
        assert api.call("PUT", f"/bucket/{key}", body).status == 200
    uploads = [api.call("POST", "/bucket/upload?uploads").element("UploadId") for _ in range(2)]
    part = api.call("PUT", f"/bucket/upload?partNumber=1&uploadId={uploads[0]}", b"part")
    entry = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
    complete = f"<CompleteMultipartUpload>{entry}</CompleteMultipartUpload>".encode()
    tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"

    def is_sound() -> bool:
        return all(api.call("GET", f"/bucket/{key}").body == body for key, body in kept.items())

    # As much as the server takes.
    large = 0
    while (answer := api.call("PUT", f"/bucket/large-{large}", os.urandom(8 * MIB))).status == 200:
        large += 1
    assert is_full(answer)
    assert api.call("PUT", "/bucket/kept-1?tagging", tags).status == 200
    assert is_sound()

    # Somebody else takes more: nothing is kept any more, but what makes room goes on.
    ballast = leave(disk, 16)
    for method, target, body in (
        ("PUT", "/bucket/small", b""),
        ("PUT", "/bucket/kept-2?tagging", tags),
        ("PUT", "/another", b""),
        ("POST", f"/bucket/upload?uploadId={uploads[0]}", complete),
        ("POST", "/bucket/upload?uploads", b""),
        ("PUT", f"/bucket/upload?partNumber=2&uploadId={uploads[0]}", b"part"),
    ):
        answer = api.call(method, target, body)
        assert is_full(answer), (method, target, answer)
    assert api.call("DELETE", "/bucket/large-0").status == 204
    assert api.call("DELETE", f"/bucket/upload?uploadId={uploads[1]}").status == 204
    assert api.call("DELETE", "/empty").status == 204
    assert delete_many(api, ["large-1", "large-2"]).body.count(b"<Deleted>") == 2
    assert is_sound()

    # And the rest.
    leave(disk, 0)
    for method, key in (("DELETE", "large-3"), ("PUT", "small")):
        assert is_full(api.call(method, f"/bucket/{key}"))
    assert delete_many(api, ["large-4"]).body.count(b"<Error>") == 1
    assert is_sound() and api.call("GET", "/bucket/large-3").status == 200
    assert api.call("GET", "/bucket?list-type=2&max-keys=5").status == 200

    # The same process goes on once there is room.
    ballast.unlink()
    eventually(lambda: api.call("DELETE", "/bucket/large-3").status == 204)
    for number in range(large):
        assert api.call("DELETE", f"/bucket/large-{number}").status == 204
    eventually(lambda: api.call("PUT", "/bucket/afterwards", os.urandom(8 * MIB)).status == 200)
    assert api.call("POST", f"/bucket/upload?uploadId={uploads[0]}", complete).status == 200
    assert is_sound()


def test_deletes_alone_make_room(start, tmp_path):
    """Nobody else gives room back: the deletes that are taken on a nearly full disk do."""
    server, disk = own_disk(start, tmp_path, 320, "storage.collect_seconds=1")
    api = server.api()
    api.create_bucket("bucket")
    large = 0
    while api.call("PUT", f"/bucket/large-{large}", os.urandom(8 * MIB)).status == 200:
        large += 1
    leave(disk, 16)
    assert is_full(api.call("PUT", "/bucket/small", b""))
    keys = [f"large-{number}" for number in range(large)]
    assert delete_many(api, keys[: large // 2]).body.count(b"<Deleted>") == large // 2
    for key in keys[large // 2 :]:
        assert api.call("DELETE", f"/bucket/{key}").status == 204
    body = os.urandom(8 * MIB)
    eventually(lambda: api.call("PUT", "/bucket/afterwards", body).status == 200)
    assert api.call("GET", "/bucket/afterwards").body == body
