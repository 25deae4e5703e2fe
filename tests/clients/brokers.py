"""Real message brokers for tests: each is started, killed and started again at the same port, and keeps its data."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import nats
import nats.errors
import nats.js.errors
import pika
import pika.exceptions
import pytest
import redis

READY_SECONDS_MAX = 120


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def installed(name: str, package: str, *places: Path) -> str:
    """Where a program is. A missing one is a failure, never a skip."""
    directories = [*map(Path, os.environ["PATH"].split(":")), Path("/usr/sbin"), *places]
    for path in (directory / name for directory in directories):
        if os.access(path, os.X_OK) and path.is_file():
            return str(path)
    pytest.fail(f"{name} is not installed: install what the Debian package {package} holds, or run `make clients`")


class Broker:
    """One broker. What differs between kinds is in the subclasses."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.directory.mkdir()
        self.port = free_port()
        self.process = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def prepare(self) -> None:
        """Makes what events are sent to, unless it is there. Fails with one of `NOT_READY` while the broker starts."""
        raise NotImplementedError

    def take(self) -> list[bytes]:
        """What arrived since the last time, in order."""
        raise NotImplementedError

    def start(self) -> None:
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                env={**os.environ, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Scripts that start others are ended with them.
                start_new_session=True,
            )
        end = time.monotonic() + READY_SECONDS_MAX
        while True:
            try:
                return self.prepare()
            except self.NOT_READY as error:
                # Looked at without waiting for it, so that its group can still be ended.
                ended = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended or time.monotonic() > end:
                    pytest.fail(f"{self.command()[0]} is not ready: {error!r}\n{(self.directory / 'log').read_text()}")
                time.sleep(0.1)

    def kill(self) -> None:
        """Ends it as a crash does."""
        if self.process is not None:
            # Its number is its group's, and is nobody else's before it is waited for.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def close(self) -> None:
        self.kill()


class Redis(Broker):
    """A stream that is on the disk before an entry is acknowledged."""

    NOT_READY = (redis.ConnectionError, redis.exceptions.BusyLoadingError)

    def __init__(self, directory: Path):
        super().__init__(directory)
        self.last = "-"

    def command(self):
        program = installed("redis-server", "redis-server")
        words = f"--port {self.port} --bind 127.0.0.1 --dir {self.directory} --appendonly yes --appendfsync always"
        return [program, *words.split(), "--save", ""]

    def settings(self):
        return f'kind = "redis"\naddress = "localhost:{self.port}"\nstream = "events"\n'

    def prepare(self):
        self.client().ping()

    def client(self):
        return redis.Redis(port=self.port)

    def take(self):
        entries = self.client().xrange("events", min=self.last)
        if entries:
            self.last = "(" + entries[-1][0].decode()
        return [fields[b"event"] for _, fields in entries]


class Nats(Broker):
    """A JetStream stream."""

    NOT_READY = (OSError, nats.errors.Error, nats.js.errors.Error)

    def __init__(self, directory: Path):
        super().__init__(directory)
        self.next = 1

    def command(self):
        store = self.directory / "store"
        text = f'listen: "127.0.0.1:{self.port}"\njetstream {{ store_dir: "{store}" }}\n'
        (self.directory / "nats.conf").write_text(text)
        return [installed("nats-server", "nats-server"), "--config", str(self.directory / "nats.conf")]

    def settings(self):
        return f'kind = "nats"\naddresses = ["localhost:{self.port}"]\nsubject = "strata.events"\n'

    def ask(self, work):
        async def asked():
            options = {"allow_reconnect": False, "max_reconnect_attempts": 0, "error_cb": self.silent}
            client = await nats.connect(f"nats://127.0.0.1:{self.port}", **options)
            try:
                return await work(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(asked())

    async def silent(self, _error):
        """What the client cannot do is raised, and need not be printed."""

    def prepare(self):
        self.ask(lambda stream: stream.add_stream(name="EVENTS", subjects=["strata.*"]))

    def take(self):
        async def rest(stream):
            last = (await stream.stream_info("EVENTS")).state.last_seq
            return [(await stream.get_msg("EVENTS", seq)).data for seq in range(self.next, last + 1)]

        found = self.ask(rest)
        self.next += len(found)
        return found


class Rabbit(Broker):
    """A durable queue behind a topic exchange. Erlang's daemon of names runs beside it, or RabbitMQ would start one that
    outlives it."""

    NOT_READY = (pika.exceptions.AMQPError, OSError)

    def __init__(self, directory: Path):
        super().__init__(directory)
        self.names_port, self.node_port = free_port(), free_port()
        self.names = subprocess.Popen(
            [installed("epmd", "erlang-base"), "-address", "127.0.0.1", "-port", str(self.names_port)]
        )

    def command(self):
        text = f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console = true\nlog.file = false\n"
        (self.directory / "rabbitmq.conf").write_text(text)
        (self.directory / "plugins").write_text("[].\n")
        # The one in the path is a script that changes the user.
        places = sorted(Path("/usr/lib/rabbitmq/lib").glob("*/sbin"))
        for place in places:
            if (place / "rabbitmq-server").is_file():
                return [str(place / "rabbitmq-server")]
        return [installed("rabbitmq-server", "rabbitmq-server")]

    def environment(self):
        return {
            "HOME": str(self.directory),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.names_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self.node_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "RABBITMQ_LOG_BASE": str(self.directory / "logs"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_NODENAME": f"strata-{self.port}@localhost",
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
        }

    def settings(self):
        address = f'address = "localhost:{self.port}"'
        return f'kind = "amqp"\n{address}\nexchange = "events"\nrouting_key = "{{bucket}}.{{event}}"\n'

    def channel(self):
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port)).channel()

    def prepare(self):
        channel = self.channel()
        channel.exchange_declare("events", exchange_type="topic", durable=True)
        channel.queue_declare("all", durable=True)
        channel.queue_bind("all", "events", "#")
        channel.connection.close()

    def take(self):
        channel, found = self.channel(), []
        while (got := channel.basic_get("all", auto_ack=True))[0] is not None:
            found.append(got[2])
        channel.connection.close()
        return found

    def close(self):
        super().close()
        self.names.kill()
        self.names.wait()


KINDS = {"redis": Redis, "nats": Nats, "amqp": Rabbit}
