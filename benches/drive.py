"""Starts the release binary and the load generator for the scripts beside it."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CREDENTIALS = {
    "STRATA_ROOT_ACCESS_KEY": "BENCHACCESSKEY000001",
    "STRATA_ROOT_SECRET_KEY": "bench/secret+key0123456789abcdefghij",
}
STOP_SECONDS_MAX = 600
# The last line of a start: the server listens once it is printed.
LISTENING = re.compile(r"^export AWS_ENDPOINT_URL=(https?://\S+)$")


def clean_environment(extra: dict[str, str]) -> dict[str, str]:
    """Our environment without any setting or credentials of the caller's, plus `extra`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("STRATA_", "AWS_"))}
    return {**inherited, **extra}


def load_generator() -> str:
    """Builds the load generator where it is not yet built, and says where it is."""
    command = ["cargo", "bench", "--locked", "--bench", "load", "--no-run", "--message-format=json"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    # The server's own program is built as well.
    built = [each for each in messages if each["reason"] == "compiler-artifact" and each["target"]["name"] == "load"]
    return built[-1]["executable"]


def commit() -> str:
    """The commit at hand, marked if the tree differs from it."""
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "HEAD") or "unknown") + (" with local changes" if changed else "")


class Server:
    """One running server, which `under` may wrap (a list of words before its own command)."""

    def __init__(self, binary: str, data: Path, under: list[str] = [], environment: dict[str, str] = {}):
        self.log = tempfile.TemporaryFile("w+")
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [*under, binary, "serve", "--data", str(data), "--listen", "127.0.0.1:0"],
            env=clean_environment({**CREDENTIALS, **environment}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        for line in self.process.stdout:
            if found := LISTENING.match(line.rstrip("\n")):
                self.url = found.group(1)
                break
        else:
            self.process.wait()
            raise SystemExit(f"the server did not start:\n{self.errors()}")
        self.start_seconds = time.monotonic() - begun

    def errors(self) -> str:
        """What the server wrote to stderr so far."""
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def stop(self) -> float:
        """Asks the server to stop, and says how many seconds it took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=STOP_SECONDS_MAX)
        self.process.stdout.close()
        if status != 0:
            raise SystemExit(f"the server ended with status {status}:\n{self.errors()}")
        return time.monotonic() - begun

    def kill(self) -> None:
        """Ends the server as a crash would."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def memory_mib(self, field: str) -> float:
        """Its resident memory: `VmRSS` as it is, `VmHWM` at its most."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE).group(1)) / 1024

    def written_mib(self) -> float:
        """What it has written to disks."""
        text = Path(f"/proc/{self.process.pid}/io").read_text()
        return int(re.search(r"^write_bytes: (\d+)$", text, re.MULTILINE).group(1)) / (1 << 20)

    def processor_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load_command(generator: str, server: Server, data: Path, *options: str) -> tuple[list[str], dict[str, str]]:
    """What runs the load generator against the server, and its environment."""
    environment = clean_environment({
        "AWS_ACCESS_KEY_ID": CREDENTIALS["STRATA_ROOT_ACCESS_KEY"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["STRATA_ROOT_SECRET_KEY"],
    })
    return [generator, "--bench", "--url", server.url, "--data", str(data), *options], environment


def run_load(generator: str, server: Server, data: Path, *options: str) -> dict:
    """One run of the load generator; its row of results. A run with errors ends the script."""
    result = data / "load.json"
    command, environment = load_command(generator, server, data, "--json", str(result), *options)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}\n{server.errors()}")
    row = json.loads(result.read_text())["rows"][0]
    if row["errors"] or not row["operations"]:
        raise SystemExit(f"{' '.join(command)}\n{row}\n{server.errors()}")
    return row
