"""Starts, stops and kills the real binary, in the one place that knows its settings and what it prints."""

import os
import re
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sigv4 import Signer
from wire import Api

ACCESS_KEY = "STRATATESTACCESSKEY1"
SECRET_KEY = "client-test/secret+key0123456789abcdefgh"
CREDENTIALS = {"STRATA_ROOT_ACCESS_KEY": ACCESS_KEY, "STRATA_ROOT_SECRET_KEY": SECRET_KEY}
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
HEALTH_TARGETS = ("/-/health/live", "/-/health/ready")
# The last line of a start: the server listens once it is printed.
LISTENING = re.compile(r"^export AWS_ENDPOINT_URL=(https?://\S+)$", re.MULTILINE)


def binary() -> str:
    """The binary under test; `make clients` names it."""
    strata = os.environ.get("STRATA_BIN", "")
    if not os.access(strata, os.X_OK):
        pytest.fail(f"STRATA_BIN does not name the strata binary: {strata!r}; run `make clients`")
    return strata


def clean_environment(extra: dict[str, str]) -> dict[str, str]:
    """Our environment without any setting or credentials of the caller's, plus `extra`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("STRATA_", "AWS_"))}
    return {**inherited, **extra}


def settings(data: Path, environment: dict[str, str] | None) -> dict[str, str]:
    """What makes a server keep its data in `data` and listen on a free port of the loopback interface."""
    chosen = CREDENTIALS if environment is None else environment
    return clean_environment({"STRATA_DATA": str(data), "STRATA_LISTEN": "127.0.0.1:0", **chosen})


def refused_start(data: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Starts a server that must refuse to; returns what it said on stderr."""
    done = subprocess.run(
        [binary(), "serve", *arguments],
        env=settings(data, environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_SECONDS_MAX,
        check=False,
    )
    assert done.returncode > 0, f"expected a refusal, got status {done.returncode}: {done.stdout}{done.stderr}"
    return done.stderr


class Server:
    """One running server."""

    def __init__(self, data: Path, *arguments: str, environment: dict[str, str] | None = None):
        self.data = data
        self.output: list[str] = []
        self.log = tempfile.TemporaryFile("w+")
        self._news = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [binary(), "serve", *arguments],
            env=settings(data, environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()
        self.url = self._wait_until_listening()
        host, _, port = urlsplit(self.url).netloc.rpartition(":")
        self.address = (host, int(port))

    def _read_output(self) -> None:
        for line in self.process.stdout:
            with self._news:
                self.output.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _listening(self) -> str | None:
        found = LISTENING.search("".join(line for line in self.output if line.endswith("\n")))
        return found.group(1) if found else None

    def _wait_until_listening(self) -> str:
        with self._news:
            self._news.wait_for(lambda: self._listening() or self._ended, timeout=START_SECONDS_MAX)
            url = self._listening()
        if url is None:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"the server did not start:\n{''.join(self.output)}{self.errors()}")
        return url

    def errors(self) -> str:
        """What the server wrote to stderr so far."""
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def api(self, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> Api:
        """Signed raw calls to this server."""
        return Api(self.address, Signer(access_key, secret_key))

    def _end(self) -> int:
        status = self.process.wait(timeout=STOP_SECONDS_MAX)
        self._reader.join(timeout=STOP_SECONDS_MAX)
        self.process.stdout.close()
        return status

    def stop(self) -> int:
        """Asks the server to stop; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self._end()
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def kill(self) -> None:
        """Ends the server as a crash would: kill -9."""
        self.process.kill()
        self._end()
