"""SIGTERM: what is under way is finished, nothing new is begun, and what never ends is cut off."""

import signal

import pytest

from content import MIB, numbered_bytes
from server import CREDENTIALS, Server
from wire import head

DATA = numbered_bytes(12 * MIB)


def begun_upload(api):
    """A connection on which the first half of an upload to /stopped/k was sent."""
    headers = {"host": api.host, "content-length": str(len(DATA))}
    signed = api.signer.sign("PUT", "/stopped/k", headers, "UNSIGNED-PAYLOAD")
    wire = api.connect()
    wire.send(head("PUT", "/stopped/k", signed.headers) + DATA[: len(DATA) // 2])
    return wire


def test_upload_under_way_is_finished(tmp_path):
    server = Server(tmp_path / "data")
    api = server.api()
    api.create_bucket("stopped")
    with api.connect() as idle, begun_upload(api) as upload:
        idle.send(api.request("HEAD", "/stopped"))
        assert idle.answer("HEAD").status == 200
        server.process.send_signal(signal.SIGTERM)
        assert idle.closed()
        with pytest.raises(OSError):
            api.call("GET", "/stopped/k")
        upload.send(DATA[len(DATA) // 2 :])
        assert upload.answer("PUT").status == 200
        assert upload.closed()
    assert server.process.wait(timeout=30) == 0
    again = Server(tmp_path / "data")
    assert again.api().call("GET", "/stopped/k").body == DATA
    assert again.stop() == 0


def test_upload_that_never_ends_is_cut_off(tmp_path):
    server = Server(tmp_path / "data", environment={**CREDENTIALS, "STRATA_LIMITS_SHUTDOWN_SECONDS": "1"})
    api = server.api()
    api.create_bucket("stopped")
    with begun_upload(api) as upload:
        assert server.stop() == 0
        assert upload.closed()
    again = Server(tmp_path / "data")
    assert again.api().call("GET", "/stopped/k").status == 404
    assert again.stop() == 0
