"""Server access logs with aws-cli, and the audit log of the real binary: its file, and what SIGHUP does to it."""

import json
import signal
import time
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from server import ACCESS_KEY, SECRET_KEY, Server
from test_access_points import names  # noqa: F401  (a fixture: S3 Control has the account in the host)

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


def test_what_only_a_list_allowed_is_told(logging_server):
    s3 = connect(logging_server, "s3")
    s3.create_bucket(Bucket="logs")
    s3.create_bucket(Bucket="listed", ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket="listed")
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::logs/*",
    }
    s3.put_bucket_policy(Bucket="logs", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    target = {"TargetBucket": "logs", "TargetPrefix": ""}
    s3.put_bucket_logging(Bucket="listed", BucketLoggingStatus={"LoggingEnabled": target})
    s3.put_object(Bucket="listed", Key="k", Body=b"x", ACL="public-read")
    assert s3.get_object(Bucket="listed", Key="k")["Body"].read() == b"x"
    assert urllib.request.urlopen(f"{logging_server.url}/listed/k").read() == b"x"

    def lines() -> list[list[str]]:
        keys = [found["Key"] for found in s3.list_objects_v2(Bucket="logs").get("Contents", [])]
        text = "".join(s3.get_object(Bucket="logs", Key=key)["Body"].read().decode() for key in keys)
        found = [line.split(" ") for line in text.splitlines() if " REST.GET.OBJECT " in line]
        return found if len(found) == 2 else []

    # Who asked, and the field before the last.
    told = {(line[5], line[-2]) for line in eventually(lines, "the lines of both reads")}
    assert {required for requester, required in told if requester == "-"} == {"Yes"}
    assert {required for requester, required in told if requester != "-"} == {"-"}


def connect(server, service: str, **credentials):
    return boto3.client(
        service,
        endpoint_url=server.url.replace("127.0.0.1", "localhost"),
        region_name="us-east-1",
        aws_access_key_id=credentials.get("AccessKeyId", ACCESS_KEY),
        aws_secret_access_key=credentials.get("SecretAccessKey", SECRET_KEY),
        aws_session_token=credentials.get("SessionToken"),
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def test_changes_by_every_api_are_recorded_without_their_secrets(logging_server):
    iam, sts, kms, control = (connect(logging_server, service) for service in ("iam", "sts", "kms", "s3control"))
    secret = "hush-a-secret"
    policy = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Sid": "hushasecret", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    )
    hidden = [secret, "hushasecret", SECRET_KEY]
    iam.create_user(UserName="bob", Tags=[{"Key": "k", "Value": secret}])
    key = iam.create_access_key(UserName="bob")["AccessKey"]
    iam.put_user_policy(UserName="bob", PolicyName="own", PolicyDocument=policy)
    iam.list_users()
    iam.get_user(UserName="bob")
    with pytest.raises(ClientError):
        iam.delete_user(UserName="nobody")
    federated = sts.get_federation_token(Name="eve", Policy=policy)["Credentials"]
    sts.get_caller_identity()
    made = kms.create_key(Description=secret)["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/mine", TargetKeyId=made)
    pair = kms.generate_data_key(KeyId=made, KeySpec="AES_256")
    kms.encrypt(KeyId=made, Plaintext=secret.encode())
    kms.describe_key(KeyId=made)
    kms.disable_key(KeyId=made)
    connect(logging_server, "s3").create_bucket(Bucket="behind")
    control.create_access_point(AccountId="000000000000", Name="door", Bucket="behind")
    control.get_access_point(AccountId="000000000000", Name="door")
    control.delete_access_point(AccountId="000000000000", Name="door")
    with pytest.raises(ClientError):
        connect(logging_server, "iam", **federated).create_user(UserName="eves")
    assert logging_server.stop() == 0
    text = logging_server.audit.read_text()
    records = [json.loads(line) for line in text.splitlines()]
    found = [(record["api"], record["operation"], record["outcome"]) for record in records if record["event"] == "change"]
    assert found == [
        ("IAM", "CreateUser", "success"),
        ("IAM", "CreateAccessKey", "success"),
        ("IAM", "PutUserPolicy", "success"),
        ("IAM", "DeleteUser", "failure"),
        ("STS", "GetFederationToken", "success"),
        ("KMS", "CreateKey", "success"),
        ("KMS", "CreateAlias", "success"),
        ("KMS", "DisableKey", "success"),
        ("S3", "CreateBucket", "success"),
        ("S3Control", "CreateAccessPoint", "success"),
        ("S3Control", "DeleteAccessPoint", "success"),
        ("IAM", "CreateUser", "failure"),
    ]
    assert records[1]["resource"] == {"UserName": "bob"} and records[3]["code"] == "NoSuchEntity"
    assert records[6]["resource"] == {"AliasName": "alias/mine", "TargetKeyId": made}
    assert records[-1]["principal"] == "arn:aws:sts::000000000000:federated-user/eve"
    hidden += [key["SecretAccessKey"], federated["SecretAccessKey"], federated["SessionToken"], pair["Plaintext"].hex()]
    assert not [word for word in hidden if word in text + logging_server.errors()]


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
