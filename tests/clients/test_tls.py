"""TLS with real clients: each checks the certificate, and the server takes a replaced one without a restart."""

import json
import os
import signal
import socket
import ssl
import time

import boto3
import botocore.exceptions
import pytest
import trustme

from content import numbered_bytes
from server import ACCESS_KEY, SECRET_KEY, Server, refused_start

SIZE = 12 * 1024 * 1024 + 1
# The server looks at its files every 10 s.
LOOK_SECONDS_MAX = 30


class Identity:
    """An authority, and the files of a certificate that it issued."""

    def __init__(self, directory):
        self.certificate = directory / "certificate.pem"
        self.key = directory / "key.pem"
        self.bundle = directory / "authority.pem"

    def issue(self):
        """Makes another authority, and replaces the certificate by one of its own."""
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(self.bundle)
        self._replace(self.key, issued.private_key_pem.bytes())
        self._replace(self.certificate, b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return self

    @staticmethod
    def _replace(path, content):
        beside = path.with_suffix(".new")
        beside.touch(mode=0o600)
        beside.write_bytes(content)
        beside.rename(path)

    def settings(self):
        """What makes a server show the certificate."""
        return ["--set", f"tls.certificate={self.certificate}", "--set", f"tls.private_key={self.key}"]


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    return Identity(tmp_path_factory.mktemp("identity")).issue()


@pytest.fixture(scope="module")
def secure(tmp_path_factory, identity):
    """A server with TLS. It must end by itself, as every other."""
    running = Server(tmp_path_factory.mktemp("secure"), *identity.settings())
    assert running.url.startswith("https://")
    yield running
    assert running.stop() == 0, f"the server did not stop well:\n{running.errors()}"


def s3(server, verify):
    """boto3's client."""
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        verify=verify,
    )


def shown(server):
    """The certificate that the server shows now."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(server.address, timeout=30) as plain, context.wrap_socket(plain) as stream:
        return stream.getpeercert(binary_form=True)


def test_boto3(secure, identity, tmp_path):
    client = s3(secure, str(identity.bundle))
    client.create_bucket(Bucket="boto3")
    path = tmp_path / "file"
    path.write_bytes(numbered_bytes(SIZE))
    client.upload_file(str(path), "boto3", "key")
    client.download_file("boto3", "key", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    with pytest.raises(botocore.exceptions.SSLError):
        s3(secure, True).list_buckets()


def test_awscli(run, secure, identity, tmp_path):
    extra = {"AWS_ENDPOINT_URL": secure.url, "AWS_CA_BUNDLE": str(identity.bundle)}
    path = tmp_path / "file"
    path.write_bytes(numbered_bytes(SIZE))
    run("aws", "s3", "mb", "s3://awscli", extra=extra)
    run("aws", "s3", "cp", path, "s3://awscli/key", extra=extra)
    run("aws", "s3", "cp", "s3://awscli/key", tmp_path / "back", extra=extra)
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    run("aws", "s3", "ls", "s3://awscli", extra={"AWS_ENDPOINT_URL": secure.url}, status=255)


def test_rclone(rclone, secure, identity, tmp_path):
    options = ["--ca-cert", identity.bundle, "--s3-endpoint", secure.url]
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(numbered_bytes(SIZE))
    (tree / "small").write_bytes(b"small")
    rclone("copy", tree, "strata:rclone", *options)
    rclone("check", "--download", tree, "strata:rclone", *options)


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_curl(run, secure, identity, tmp_path, version, tls):
    """Uploads and downloads with curl's own signatures, over both protocols and both versions of TLS."""
    bucket = f"curl-{version}-{tls}".replace(".", "-")
    path, back = tmp_path / "file", tmp_path / "back"
    path.write_bytes(numbered_bytes(SIZE))
    options = ["-sS", "--fail", "--cacert", identity.bundle, f"--http{version}", f"--tlsv{tls}", "--tls-max", tls]
    options += ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{ACCESS_KEY}:{SECRET_KEY}"]
    used = ["--write-out", "%{http_version}"]
    unsigned = ["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
    assert run("curl", *options, *used, "-X", "PUT", *unsigned, f"{secure.url}/{bucket}") == version
    assert run("curl", *options, *used, *unsigned, "-T", path, f"{secure.url}/{bucket}/key") == version
    run("curl", *options, *unsigned, "-o", back, f"{secure.url}/{bucket}/key")
    assert back.read_bytes() == path.read_bytes()


def test_plain_http_is_refused(run, secure):
    plain = secure.url.replace("https://", "http://")
    assert "https://" in run("curl", "-sS", f"{plain}/bucket")


def test_commands_find_the_server(run, secure, identity):
    """By its settings they believe the very certificate; by its URL, what its authority signed."""
    strata = os.environ["STRATA_BIN"]
    root = {"STRATA_ROOT_ACCESS_KEY": ACCESS_KEY, "STRATA_ROOT_SECRET_KEY": SECRET_KEY}
    settings = {"STRATA_TLS_CERTIFICATE": str(identity.certificate), "STRATA_TLS_PRIVATE_KEY": str(identity.key)}
    listen = {"STRATA_LISTEN": f"{secure.address[0]}:{secure.address[1]}"}
    run(strata, "status", extra={**root, **settings, **listen})
    run(strata, "status", "--endpoint", secure.url, extra={**root, "AWS_CA_BUNDLE": str(identity.bundle)})
    run(strata, "status", "--endpoint", secure.url, extra=root, status=1)


def test_certificates_are_replaced(tmp_path):
    identity = Identity(tmp_path).issue()
    server = Server(tmp_path / "data", *identity.settings())
    client = s3(server, str(identity.bundle))
    client.create_bucket(Bucket="bucket")

    first = shown(server)
    identity.issue()
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: shown(server) != first)
    client.put_object(Bucket="bucket", Key="old connection", Body=b"x")
    s3(server, str(identity.bundle)).put_object(Bucket="bucket", Key="new connection", Body=b"x")

    second = shown(server)
    identity.certificate.write_text("broken")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "stays in force" in server.errors())
    assert shown(server) == second
    identity.issue()
    wait_until(lambda: shown(server) not in (first, second))
    assert server.stop() == 0


def wait_until(holds):
    """Asks again and again until it holds."""
    deadline = time.monotonic() + LOOK_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.1)


def test_bad_certificates_are_refused(tmp_path):
    identity = Identity(tmp_path).issue()
    identity.key.chmod(0o644)
    assert "chmod 640" in refused_start(tmp_path / "data", *identity.settings())
    identity.key.chmod(0o640)
    identity.certificate.unlink()
    assert str(identity.certificate) in refused_start(tmp_path / "data", *identity.settings())
    assert "tls.private_key" in refused_start(tmp_path / "data", "--set", f"tls.certificate={identity.certificate}")
    assert not (tmp_path / "data").exists()


def test_memory_stays_private(secure):
    """No core file of a crash holds the keys."""
    limits = open(f"/proc/{secure.process.pid}/limits").read()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4] == "0", json.dumps(limits)
