"""Signature V4 from the standard library alone, for requests that no SDK would send."""

import datetime
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
SAFE = "-_.~"


def _encode(raw: bytes, safe: str = SAFE) -> str:
    return quote(raw, safe=safe)


def _canonical_query(query: str) -> str:
    pairs = []
    for piece in query.split("&") if query else []:
        name, _, value = piece.partition("=")
        pairs.append((_encode(unquote_to_bytes(name)), _encode(unquote_to_bytes(value))))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


@dataclass
class Signed:
    """A signed request's headers, and what its chunks are signed with."""

    headers: dict[str, str]
    signature: str
    timestamp: str
    scope: str
    key: bytes

    def chunk(self, previous: str, data: bytes) -> str:
        """The signature of one aws-chunked piece that follows the one signed `previous`."""
        digest = hashlib.sha256(data).hexdigest()
        lines = ["AWS4-HMAC-SHA256-PAYLOAD", self.timestamp, self.scope, previous, EMPTY_SHA256, digest]
        return hmac.new(self.key, "\n".join(lines).encode(), hashlib.sha256).hexdigest()


@dataclass
class Signer:
    """Credentials that sign."""

    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def _key(self, date: str) -> bytes:
        key = b"AWS4" + self.secret_key.encode()
        for word in (date, self.region, "s3", "aws4_request"):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        return key

    def _sign(self, timestamp: str, canonical: str) -> tuple[str, str, bytes]:
        scope = f"{timestamp[:8]}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = self._key(timestamp[:8])
        text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}"
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), scope, key

    def sign(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        payload_hash: str,
        now: datetime.datetime | None = None,
    ) -> Signed:
        """Signs a request for `target` (as it goes over the wire) with `headers`, which must have `host`."""
        now = now or datetime.datetime.now(datetime.UTC)
        timestamp = now.strftime("%Y%m%dT%H%M%SZ")
        path, _, query = target.partition("?")
        headers = {name.lower(): value for name, value in headers.items()}
        headers["x-amz-date"] = timestamp
        headers["x-amz-content-sha256"] = payload_hash
        signed = sorted(
            name for name in headers if name in ("host", "content-type", "content-md5") or name.startswith("x-amz-")
        )
        lines = [method, _encode(unquote_to_bytes(path), safe=SAFE + "/"), _canonical_query(query)]
        lines += [f"{name}:{' '.join(headers[name].split())}" for name in signed]
        lines += ["", ";".join(signed), payload_hash]
        signature, scope, key = self._sign(timestamp, "\n".join(lines))
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
            f"SignedHeaders={';'.join(signed)}, Signature={signature}"
        )
        return Signed(headers, signature, timestamp, scope, key)

    def presign(self, method: str, host: str, target: str, expires_seconds: int, now: datetime.datetime) -> str:
        """A target that carries its signature in the query string."""
        timestamp = now.strftime("%Y%m%dT%H%M%SZ")
        path, _, query = target.partition("?")
        credential = quote(f"{self.access_key}/{timestamp[:8]}/{self.region}/s3/aws4_request", safe="")
        pieces = [query] if query else []
        pieces += [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            f"X-Amz-Credential={credential}",
            f"X-Amz-Date={timestamp}",
            f"X-Amz-Expires={expires_seconds}",
            "X-Amz-SignedHeaders=host",
        ]
        query = "&".join(pieces)
        lines = [method, _encode(unquote_to_bytes(path), safe=SAFE + "/"), _canonical_query(query)]
        lines += [f"host:{host}", "", "host", "UNSIGNED-PAYLOAD"]
        signature, _, _ = self._sign(timestamp, "\n".join(lines))
        return f"{path}?{query}&X-Amz-Signature={signature}"
