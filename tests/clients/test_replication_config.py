"""Replication configurations as boto3 and aws-cli set them, between two servers; and what a read-only replica refuses."""

import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from server import ACCESS_KEY, CREDENTIALS, SECRET_KEY, Server, binary

ROLE = "arn:aws:iam::000000000000:role/replication"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def client(server, service="s3"):
    """boto3's client of that server. It does not try again by itself, which would hide refusals."""
    return boto3.client(
        service,
        endpoint_url=server.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
    )


def make_bucket(s3, name, **options):
    s3.create_bucket(Bucket=name, **options)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """The other store."""
    running = Server(tmp_path_factory.mktemp("far"))
    make_bucket(client(running), "far")
    yield running
    assert running.stop() == 0, running.errors()


@pytest.fixture(scope="module")
def near(tmp_path_factory, far):
    """The store whose buckets are replicated; its settings name the other one, and a file with the secret key."""
    directory = tmp_path_factory.mktemp("near")
    (directory / "secret").write_text(SECRET_KEY + "\n")
    settings = f"""
        [[regions]]
        name = "site-b"
        endpoint = "{far.url}"
        region = "us-east-1"
        access_key = "{ACCESS_KEY}"
        secret_key_file = "{directory / "secret"}"
        buckets = ["far*"]
    """
    (directory / "strata.toml").write_text(settings)
    running = Server(directory / "data", "--config", str(directory / "strata.toml"))
    client(running, "iam").create_role(RoleName="replication", AssumeRolePolicyDocument=json.dumps(TRUST))
    make_bucket(client(running), "copies")
    yield running
    assert running.stop() == 0, running.errors()


@pytest.fixture
def s3(near):
    return client(near)


@pytest.fixture
def source(s3, bucket_name):
    """A new versioned bucket."""
    make_bucket(s3, bucket_name)
    return bucket_name


def rule(destination, **more):
    return {
        "ID": "all",
        "Priority": 1,
        "Filter": {},
        "Status": "Enabled",
        "DeleteMarkerReplication": {"Status": "Enabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{destination}"},
        **more,
    }


def put(s3, bucket, *rules, role=ROLE):
    s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration={"Role": role, "Rules": list(rules)})


def code(failing):
    with pytest.raises(ClientError) as refused:
        failing()
    return refused.value.response["Error"]["Code"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"Filter": {"Prefix": "logs/"}},
        {"Filter": {"Tag": {"Key": "k", "Value": "v"}}, "DeleteMarkerReplication": {"Status": "Disabled"}},
        {
            "Filter": {"And": {"Prefix": "a&b", "Tags": [{"Key": "k", "Value": ""}]}},
            "DeleteMarkerReplication": {"Status": "Disabled"},
        },
        {"SourceSelectionCriteria": {"ReplicaModifications": {"Status": "Enabled"}}},
        {
            "Destination": {
                "Bucket": "arn:aws:s3:::copies",
                "Account": "000000000000",
                "StorageClass": "GLACIER_IR",
                "AccessControlTranslation": {"Owner": "Destination"},
                "ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}},
                "Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
            }
        },
        {
            "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
            "Destination": {
                "Bucket": "arn:aws:s3:::far",
                "EncryptionConfiguration": {"ReplicaKmsKeyID": "arn:aws:kms:us-east-1:000000000000:key/1"},
            },
        },
    ],
    ids=["all", "prefix", "tag", "and", "modifications", "time", "kms"],
)
def test_rules_come_back_as_they_were(s3, source, more):
    sent = rule("copies", **more)
    put(s3, source, sent)
    found = s3.get_bucket_replication(Bucket=source)["ReplicationConfiguration"]
    if sent["Filter"] == {}:
        # boto3 shows an empty element as an empty string, or leaves it out.
        assert not found["Rules"][0].pop("Filter", None)
        sent = {name: value for name, value in sent.items() if name != "Filter"}
    assert found == {"Role": ROLE, "Rules": [sent]}


def test_old_rules_and_generated_ids(s3, source):
    old = {"Prefix": "", "Status": "Disabled", "Destination": {"Bucket": "arn:aws:s3:::copies"}}
    put(s3, source, old)
    [found] = s3.get_bucket_replication(Bucket=source)["ReplicationConfiguration"]["Rules"]
    assert len(found.pop("ID")) == 48
    assert found == old


def test_several_destinations(s3, source):
    rules = [rule("copies"), {**rule("far"), "ID": "far"}]
    put(s3, source, *rules)
    found = s3.get_bucket_replication(Bucket=source)["ReplicationConfiguration"]["Rules"]
    assert [one["Destination"]["Bucket"] for one in found] == ["arn:aws:s3:::copies", "arn:aws:s3:::far"]


def test_refusals(s3, source):
    refused = {
        "nowhere-at-all": "InvalidRequest",
        "near-but-not-versioned": "InvalidRequest",
        source: "InvalidRequest",
    }
    s3.create_bucket(Bucket="near-but-not-versioned")
    for destination, expected in refused.items():
        assert code(lambda destination=destination: put(s3, source, rule(destination))) == expected
    assert code(lambda: put(s3, source, rule("copies"), rule("copies"))) == "InvalidArgument"
    assert code(lambda: put(s3, source, rule("copies"), {**rule("copies"), "ID": "b"})) == "InvalidRequest"
    assert code(lambda: put(s3, source, rule("copies", Filter={"Prefix": "x" * 1025}))) == "InvalidArgument"
    assert code(lambda: put(s3, source, rule("copies"), role=ROLE + "-missing")) == "InvalidRequest"
    assert code(lambda: put(s3, source, rule("copies"), role="replication")) == "InvalidArgument"
    assert code(lambda: s3.get_bucket_replication(Bucket=source)) == "ReplicationConfigurationNotFoundError"
    assert code(lambda: s3.put_bucket_versioning(
        Bucket="near-but-not-versioned", VersioningConfiguration={"Status": "Suspended", "MFADelete": "Enabled"}
    )) == "NotImplemented"


def test_versioning_stays(s3, source):
    put(s3, source, rule("copies"))
    suspend = {"Bucket": source, "VersioningConfiguration": {"Status": "Suspended"}}
    assert code(lambda: s3.put_bucket_versioning(**suspend)) == "InvalidBucketState"
    s3.delete_bucket_replication(Bucket=source)
    s3.delete_bucket_replication(Bucket=source)
    s3.put_bucket_versioning(**suspend)


def test_locked_buckets(s3, far, bucket_name):
    s3.create_bucket(Bucket=bucket_name, ObjectLockEnabledForBucket=True)
    assert code(lambda: put(s3, bucket_name, rule("copies"))) == "InvalidRequest"
    assert code(lambda: put(s3, bucket_name, rule("far"))) == "InvalidRequest"
    client(far).create_bucket(Bucket="far-vault", ObjectLockEnabledForBucket=True)
    put(s3, bucket_name, rule("far-vault"))


def test_aws_cli(run, near, source, tmp_path):
    configuration = {"Role": ROLE, "Rules": [rule("far")]}
    (tmp_path / "rules.json").write_text(json.dumps(configuration))

    def aws(*words, **options):
        return run("aws", "--endpoint-url", near.url, "s3api", *words, "--bucket", source, **options)

    aws("put-bucket-replication", "--replication-configuration", f"file://{tmp_path / 'rules.json'}")
    found = json.loads(aws("get-bucket-replication"))["ReplicationConfiguration"]
    assert (found["Role"], found["Rules"][0]["Destination"]) == (ROLE, {"Bucket": "arn:aws:s3:::far"})
    aws("delete-bucket-replication")
    aws("get-bucket-replication", status=255)


def strata(run, server, *words, status=0):
    return run(binary(), "replication", *words, "--endpoint", server.url, status=status)


def test_the_commands(run, near, far, s3, source):
    put(s3, source, rule("far"))
    [queue] = json.loads(strata(run, near, "status", source, "--json"))["queues"]
    assert (queue["destination"], queue["rules"]) == ("arn:aws:s3:::far", ["all"])
    assert source in strata(run, near, "status")
    assert json.loads(strata(run, near, "failed", source, "--json")) == {"tasks": []}
    assert strata(run, near, "retry", source, "--all") == "0 will be tried again\n"
    assert strata(run, near, "resync", source) == "0 versions looked at: 0 will be sent, 0 need not be\n"
    make_bucket(client(far), "far-empty")
    put(s3, source, rule("far-empty"))
    assert json.loads(strata(run, near, "diff", source, "--json"))["equal"] is True
    client(far).put_object(Bucket="far-empty", Key="extra", Body=b"x")
    said = strata(run, near, "diff", source, "--deep", status=1)
    assert said.split()[0] == "extra" and said.split()[2] == "extra", said


def test_a_replica_is_read_only(tmp_path):
    environment = {**CREDENTIALS, "STRATA_REPLICATION_READ_ONLY": "true"}
    server = Server(tmp_path, environment=environment)
    s3 = client(server)
    make_bucket(s3, "bucket")
    for write in [
        lambda: s3.put_object(Bucket="bucket", Key="k", Body=b"x"),
        lambda: s3.delete_object(Bucket="bucket", Key="k"),
        lambda: s3.copy_object(Bucket="bucket", Key="k", CopySource="bucket/k"),
        lambda: s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "k"}]}),
    ]:
        assert code(write) == "AccessDenied"
    assert s3.list_objects_v2(Bucket="bucket")["KeyCount"] == 0
    assert server.stop() == 0
