"""What a newcomer meets: the first start, the second, the mistakes."""

import re
import stat

import pytest

from server import CREDENTIALS, HEALTH_TARGETS, SECRET_KEY, Server, refused_start
from wire import Wire, head

EXPORT = re.compile(r"^export (\w+)=(\S+)$", re.MULTILINE)


def exports(server):
    """The variables that the server asked to export."""
    return dict(EXPORT.findall("".join(server.output)))


def files_with(root, secret):
    """Every file below `root` that holds the secret, with its mode."""
    found = [file for file in root.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in found}


def test_first_start_prints_working_credentials_once(tmp_path):
    data = tmp_path / "data"
    first = Server(data, environment={})
    said = exports(first)
    assert set(said) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"}
    assert said["AWS_ENDPOINT_URL"].rstrip("/") == first.url.rstrip("/")
    access_key, secret_key = said["AWS_ACCESS_KEY_ID"], said["AWS_SECRET_ACCESS_KEY"]
    assert first.api(access_key, secret_key).call("GET", "/").status == 200
    assert secret_key not in first.errors(), "the log must not hold the secret"
    assert first.stop() == 0
    modes = files_with(data, secret_key)
    assert modes and set(modes.values()) == {0o600}, modes

    second = Server(data, environment={})
    assert secret_key not in "".join(second.output) + second.errors()
    assert second.api(access_key, secret_key).call("GET", "/").status == 200
    assert second.stop() == 0


def test_data_survives_a_restart(tmp_path):
    first = Server(tmp_path / "data")
    first.api().create_bucket("kept")
    assert first.api().call("PUT", "/kept/key", b"value").status == 200
    assert first.stop() == 0
    second = Server(tmp_path / "data")
    assert second.api().call("GET", "/kept/key").body == b"value"
    assert second.stop() == 0


def test_given_credentials_are_not_printed_or_written(tmp_path):
    server = Server(tmp_path / "data")
    assert SECRET_KEY not in "".join(server.output) + server.errors()
    assert server.stop() == 0
    assert files_with(tmp_path / "data", SECRET_KEY) == {}


def test_second_process_on_the_same_data_is_refused(tmp_path):
    first = Server(tmp_path / "data")
    said = refused_start(tmp_path / "data")
    assert str(tmp_path / "data") in said, said
    assert re.search(r"in use|already|another|lock", said, re.IGNORECASE), said
    assert first.api().call("GET", "/").status == 200
    assert first.stop() == 0


@pytest.mark.parametrize(
    ("text", "wrong", "nearest"),
    [
        ("[storage]\ncolect_seconds = 1\n", "colect_seconds", "collect_seconds"),
        ("lisen = '127.0.0.1:0'\n", "lisen", "listen"),
    ],
)
def test_unknown_setting_names_the_nearest(tmp_path, text, wrong, nearest):
    (tmp_path / "strata.toml").write_text(text)
    said = refused_start(tmp_path / "data", "--config", str(tmp_path / "strata.toml"))
    assert wrong in said and nearest in said, said
    assert not (tmp_path / "data").exists(), "a refused start leaves nothing behind"


def test_unknown_variable_names_the_nearest(tmp_path):
    said = refused_start(tmp_path / "data", environment={**CREDENTIALS, "STRATA_STORAGE_COLECT_SECONDS": "1"})
    assert "STRATA_STORAGE_COLLECT_SECONDS" in said, said


def test_half_of_the_credentials_is_refused(tmp_path):
    said = refused_start(tmp_path / "data", environment={"STRATA_ROOT_ACCESS_KEY": "ONLYTHEKEYID"})
    assert "secret_key" in said, said


@pytest.mark.parametrize("target", HEALTH_TARGETS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_needs_no_credentials(server, target, method):
    with Wire(server.address) as wire:
        wire.send(head(method, target, {"host": wire.host}))
        assert wire.answer(method).status == 200


def test_address_in_use_is_said(tmp_path):
    first = Server(tmp_path / "first")
    address = f"{first.address[0]}:{first.address[1]}"
    said = refused_start(tmp_path / "second", environment={**CREDENTIALS, "STRATA_LISTEN": address})
    assert address in said, said
    assert first.stop() == 0
