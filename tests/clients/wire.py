"""HTTP/1.1 over a bare socket: what the tests need to send what no client would, and to see what really comes back."""

import hashlib
import re
import socket
from dataclasses import dataclass
from urllib.parse import quote

from sigv4 import Signer


@dataclass
class Answer:
    """One answer, as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """S3's error code, empty if the body is not an error document."""
        found = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return found.group(1).decode() if found else ""

    def element(self, name: str) -> str:
        """The text of the first element of that name."""
        found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), self.body)
        assert found, f"no {name} in {self.body!r}"
        return found.group(1).decode().replace("&quot;", '"').replace("&#34;", '"')


class Wire:
    """One connection to the server."""

    def __init__(self, address: tuple[str, int], timeout_seconds: float = 60):
        self.socket = socket.create_connection(address, timeout=timeout_seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host = f"{address[0]}:{address[1]}"
        self.rest = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_exception) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.socket.sendall(data)

    def finish(self) -> None:
        """Says that nothing more will be sent; answers can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def _more(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the server closed the connection before the end of its answer")
        self.rest += data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.rest:
            self._more()
        found, _, self.rest = self.rest.partition(mark)
        return found

    def _exactly(self, count: int) -> bytes:
        pieces, have = [self.rest], len(self.rest)
        while have < count:
            data = self.socket.recv(1 << 18)
            if not data:
                raise ConnectionError("the server closed the connection inside a body")
            pieces.append(data)
            have += len(data)
        whole = b"".join(pieces)
        self.rest = whole[count:]
        return whole[:count]

    def answer(self, method: str = "GET") -> Answer:
        """Reads the next answer to a request of `method`; an interim one such as 100 counts as an answer."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = b""
        if method == "HEAD" or status < 200 or status in (204, 304):
            pass
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size)
                self._exactly(2)
            self._until(b"\r\n")
        else:
            body = self._exactly(int(headers.get("content-length", "0")))
        return Answer(status, headers, body)

    def closed(self) -> bool:
        """Waits until the server closes the connection; false if it sends something, or nothing within the timeout."""
        try:
            return not self.rest and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def path(bucket: str, key: str | bytes = "") -> str:
    """The percent-encoded path of a bucket, or of a key in it."""
    return f"/{bucket}/{quote(key, safe='-_.~/')}" if key else f"/{bucket}"


def head(method: str, target: str, headers: dict[str, str]) -> bytes:
    """A request's bytes up to its body."""
    lines = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Api:
    """Signed calls, one connection each."""

    def __init__(self, address: tuple[str, int], signer: Signer):
        self.address = address
        self.signer = signer
        self.host = f"{address[0]}:{address[1]}"

    def connect(self, timeout_seconds: float = 60) -> Wire:
        """A new connection."""
        return Wire(self.address, timeout_seconds)

    def request(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """The bytes of a whole signed request."""
        fields = {"host": self.host, **(headers or {}), "content-length": str(len(body))}
        signed = self.signer.sign(method, target, fields, hashlib.sha256(body).hexdigest())
        return head(method, target, signed.headers) + body

    def call(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Sends one signed request and reads its answer."""
        with self.connect() as wire:
            wire.send(self.request(method, target, body, headers))
            return wire.answer(method)

    def create_bucket(self, bucket: str) -> str:
        """Makes a bucket and returns its name."""
        answer = self.call("PUT", path(bucket))
        assert answer.status == 200, answer
        return bucket
