"""What the client tests share: one server for the session, a bucket of its own for each test, a way to run programs."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server import ACCESS_KEY, SECRET_KEY, Server, clean_environment

PROGRAM_SECONDS_MAX = 300
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The server that most tests share. It must end by itself, with status 0, when it is asked to."""
    running = Server(tmp_path_factory.mktemp("data"))
    yield running
    assert running.process.poll() is None, f"the server died:\n{running.errors()}"
    assert running.stop() == 0, f"the server did not stop well:\n{running.errors()}"


@pytest.fixture
def api(server):
    """Signed raw calls to the shared server."""
    return server.api()


@pytest.fixture
def bucket(api):
    """A new bucket."""
    return api.create_bucket(f"test-{next(_numbers)}")


@pytest.fixture
def bucket_name():
    """A name for a bucket that a test makes itself."""
    return f"made-{next(_numbers)}"


@pytest.fixture
def environment(server, tmp_path):
    """The environment of a client: credentials, endpoint, and a home without anyone's configuration."""
    return clean_environment(
        {
            "HOME": str(tmp_path),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_ENDPOINT_URL": server.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }
    )


@pytest.fixture
def run(environment):
    """Runs a program and returns its stdout; fails with everything it wrote if its exit status is not `status`."""

    def run(*command: str | Path, status: int = 0, input: bytes = b"", extra: dict[str, str] | None = None) -> str:
        words = [str(word) for word in command]
        done = subprocess.run(
            [program(words[0]), *words[1:]],
            env={**environment, **(extra or {})},
            input=input,
            capture_output=True,
            timeout=PROGRAM_SECONDS_MAX,
            check=False,
        )
        said = done.stdout.decode(errors="replace")
        if done.returncode != status:
            errors = done.stderr.decode(errors="replace")
            pytest.fail(f"{' '.join(words)}: exit status {done.returncode}, expected {status}\n{said}{errors}")
        return said

    return run


@pytest.fixture
def rclone(run, server, tmp_path):
    """Runs rclone with one remote, `strata:`."""
    settings = {
        "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
        "RCLONE_CONFIG_STRATA_TYPE": "s3",
        "RCLONE_CONFIG_STRATA_PROVIDER": "Other",
        "RCLONE_CONFIG_STRATA_ACCESS_KEY_ID": ACCESS_KEY,
        "RCLONE_CONFIG_STRATA_SECRET_ACCESS_KEY": SECRET_KEY,
        "RCLONE_CONFIG_STRATA_ENDPOINT": server.url,
        "RCLONE_CONFIG_STRATA_REGION": "us-east-1",
        "RCLONE_CONFIG_STRATA_UPLOAD_CUTOFF": "5M",
        "RCLONE_CONFIG_STRATA_CHUNK_SIZE": "5M",
        "RCLONE_RETRIES": "1",
        "RCLONE_LOW_LEVEL_RETRIES": "1",
    }
    (tmp_path / "rclone.conf").touch()
    return lambda *arguments, **options: run("rclone", *arguments, extra=settings, **options)


@pytest.fixture
def s3cmd(run, server, tmp_path):
    """Runs s3cmd without any configuration file."""
    host = server.url.removeprefix("http://").rstrip("/")
    (tmp_path / "s3cfg").touch()
    options = ["--config", tmp_path / "s3cfg", "--access_key", ACCESS_KEY, "--secret_key", SECRET_KEY, "--no-ssl"]
    options += ["--host", host, "--host-bucket", host, "--region", "us-east-1", "--no-progress", "--no-mime-magic"]
    return lambda *arguments, **more: run("s3cmd", *options, *arguments, **more)


def program(name: str) -> str:
    """A program of the virtual environment or of the system. A missing client is a failure, never a skip."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(name)
    if not found:
        pytest.fail(f"{name} is not installed; `make clients` installs it")
    return found
