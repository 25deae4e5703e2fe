"""Server access logs with aws-cli, and the audit log of the real binary: its file, and what SIGHUP does to it."""

import json
import signal
import time

import pytest

from server import ACCESS_KEY, SECRET_KEY, Server

DELIVERED_SECONDS_MAX = 60
FIELDS = 27


@pytest.fixture
def logging_server(tmp_path):
    """A server that delivers access logs often and keeps an audit log."""
    audit = tmp_path / "audit.log"
    running = Server(
        tmp_path / "data", "--set", "access_log.flush_seconds=200ms", "--set", f"audit.file={audit}"
    )
    running.audit = audit
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0, running.errors()


def eventually(found, what: str):
    """Waits until `found` gives something."""
    end = time.monotonic() + DELIVERED_SECONDS_MAX
    while time.monotonic() < end:
        result = found()
        if result:
            return result
        time.sleep(0.05)
    pytest.fail(f"{what} did not come within {DELIVERED_SECONDS_MAX} s")


def test_access_logs_are_delivered(logging_server, run, tmp_path):
    endpoint = {"AWS_ENDPOINT_URL": logging_server.url}

    def aws(*arguments, **options) -> str:
        return run("aws", *arguments, extra=endpoint, **options)

    for name in ("source", "logs"):
        aws("s3api", "create-bucket", "--bucket", name)
    target = {"TargetBucket": "logs", "TargetPrefix": "access/"}
    status = json.dumps({"LoggingEnabled": target})
    configure = ("s3api", "put-bucket-logging", "--bucket", "source", "--bucket-logging-status", status)
    aws(*configure, status=255)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::logs/access/*",
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::source"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws("s3api", "put-bucket-policy", "--bucket", "logs", "--policy", policy)
    aws(*configure)
    shown = json.loads(aws("s3api", "get-bucket-logging", "--bucket", "source"))
    assert shown == {"LoggingEnabled": target}
    (tmp_path / "file").write_text("hello")
    aws("s3", "cp", str(tmp_path / "file"), "s3://source/a file")

    def put_lines() -> list[str]:
        listed = json.loads(aws("s3api", "list-objects-v2", "--bucket", "logs", "--prefix", "access/") or "{}")
        text = "".join(aws("s3", "cp", f"s3://logs/{found['Key']}", "-") for found in listed.get("Contents", []))
        return [line for line in text.splitlines() if " REST.PUT.OBJECT " in line]

    (line,) = eventually(put_lines, "the line of the upload")
    assert " source [" in line and ' a%20file "PUT /source/a%20file' in line and " 200 - - 5 " in line
    assert " SigV4 - AuthHeader 127.0.0.1:" in line and "aws-cli" in line
    assert len(line.split('"')) == 7, line


def test_audit_log_survives_rotation(logging_server, tmp_path):
    api = logging_server.api()
    audit = logging_server.audit
    api.create_bucket("first")
    records = eventually(lambda: audit.read_text().splitlines(), "the first record")
    record = json.loads(records[0])
    assert record["operation"] == "CreateBucket" and record["resource"] == {"bucket": "first"}
    assert record["access_key"] == ACCESS_KEY and record["outcome"] == "success"
    assert audit.stat().st_mode & 0o777 == 0o600
    audit.rename(tmp_path / "audit.log.1")
    logging_server.process.send_signal(signal.SIGHUP)
    eventually(audit.exists, "the new file")
    api.create_bucket("second")
    records = eventually(lambda: audit.read_text().splitlines(), "the record after SIGHUP")
    assert json.loads(records[0])["resource"] == {"bucket": "second"}
    assert logging_server.stop() == 0
    text = audit.read_text() + (tmp_path / "audit.log.1").read_text() + logging_server.errors()
    assert SECRET_KEY not in text
    assert "strata::audit" in logging_server.errors()
