"""Bytes to store, and the ETags that S3 gives them."""

import hashlib
import random

MIB = 1024 * 1024


def numbered_bytes(count: int, seed: int = 0) -> bytes:
    """Bytes that do not repeat at any block size, the same on every run."""
    return random.Random(seed).randbytes(count)


def etag(data: bytes) -> str:
    """The ETag of an object that was stored in one piece."""
    return f'"{hashlib.md5(data).hexdigest()}"'


def multipart_etag(parts: list[bytes]) -> str:
    """The ETag of an object that was stored in parts."""
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"'
