"""Access points with boto3: S3 Control, and objects by ARN and by alias. Names under localhost are found here without DNS."""

import json
import socket

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from server import ACCESS_KEY, CREDENTIALS, SECRET_KEY, Server

ACCOUNT = "000000000000"
ARN = f"arn:aws:s3:us-east-1:{ACCOUNT}:accesspoint/"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own, where one virtual private cloud is this machine and another is not."""
    settings = {**CREDENTIALS, "STRATA_NETWORKS": "vpc-here=127.0.0.0/8,vpc-there=192.0.2.0/24"}
    running = Server(tmp_path_factory.mktemp("data"), environment=settings)
    yield running
    assert running.stop() == 0, f"the server did not stop well:\n{running.errors()}"


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Has every name under localhost be this machine, as resolvers of browsers have it."""
    real = socket.getaddrinfo
    local = lambda host: "127.0.0.1" if isinstance(host, str) and host.endswith("localhost") else host
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: real(local(host), *rest, **more))


def connect(server, service, access_key=ACCESS_KEY, secret_key=SECRET_KEY):
    return boto3.client(
        service,
        endpoint_url=server.url.replace("127.0.0.1", "localhost"),
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def s3(server):
    return connect(server, "s3")


@pytest.fixture
def control(server):
    return connect(server, "s3control")


@pytest.fixture(scope="module")
def reader(server):
    """A user whom no policy allows anything."""
    iam = connect(server, "iam")
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    return connect(server, "s3", key["AccessKeyId"], key["SecretAccessKey"])


def refused(code, status, call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)


def test_life_of_an_access_point(s3, control):
    s3.create_bucket(Bucket="life")
    named = {"AccountId": ACCOUNT, "Name": "door"}
    refused("NoSuchAccessPoint", 404, control.get_access_point, **named)
    refused("InvalidRequest", 400, control.create_access_point, **named, Bucket="missing")
    made = control.create_access_point(**named, Bucket="life")
    assert made["AccessPointArn"] == ARN + "door" and made["Alias"].endswith("-s3alias")
    refused("AccessPointAlreadyOwnedByYou", 409, control.create_access_point, **named, Bucket="life")
    found = control.get_access_point(**named)
    assert (found["Bucket"], found["NetworkOrigin"], found["Alias"]) == ("life", "Internet", made["Alias"])
    assert all(found["PublicAccessBlockConfiguration"].values())
    control.create_access_point(AccountId=ACCOUNT, Name="gate", Bucket="life")
    page = control.list_access_points(AccountId=ACCOUNT, Bucket="life", MaxResults=1)
    assert [point["Name"] for point in page["AccessPointList"]] == ["door"]
    rest = control.list_access_points(AccountId=ACCOUNT, Bucket="life", NextToken=page["NextToken"])
    assert [point["Name"] for point in rest["AccessPointList"]] == ["gate"] and "NextToken" not in rest
    refused("BucketHasAccessPointsAttached", 400, s3.delete_bucket, Bucket="life")
    # Its host would be the access point's.
    refused("BucketAlreadyExists", 409, s3.create_bucket, Bucket=f"door-{ACCOUNT}")
    refused("AccessDenied", 403, control.list_access_points, AccountId="000000000009")
    for name in ["door", "gate"]:
        control.delete_access_point(AccountId=ACCOUNT, Name=name)
    refused("NoSuchAccessPoint", 404, control.delete_access_point, **named)
    s3.delete_bucket(Bucket="life")


def test_objects_by_arn_and_alias(s3, control):
    s3.create_bucket(Bucket="objects")
    alias = control.create_access_point(AccountId=ACCOUNT, Name="work", Bucket="objects")["Alias"]
    for number, name in enumerate([ARN + "work", alias]):
        s3.put_object(Bucket=name, Key=f"k{number}", Body=b"content")
        assert s3.get_object(Bucket=name, Key=f"k{number}")["Body"].read() == b"content"
        assert s3.get_object(Bucket="objects", Key=f"k{number}")["Body"].read() == b"content"
        assert s3.list_objects_v2(Bucket=name)["KeyCount"] == number + 1
        refused("MethodNotAllowed", 405, s3.get_bucket_versioning, Bucket=name)
    s3.delete_object(Bucket=alias, Key="k0")
    refused("NoSuchKey", 404, s3.get_object, Bucket="objects", Key="k0")


def test_policies_of_bucket_and_access_point(s3, control, reader):
    s3.create_bucket(Bucket="shared")
    s3.put_object(Bucket="shared", Key="k", Body=b"content")
    control.create_access_point(AccountId=ACCOUNT, Name="readers", Bucket="shared")
    named = {"AccountId": ACCOUNT, "Name": "readers"}
    read = {"Bucket": ARN + "readers", "Key": "k"}
    refused("AccessDenied", 403, reader.get_object, **read)
    refused("NoSuchAccessPointPolicy", 404, control.get_access_point_policy, **named)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/reader"},
        "Action": "s3:GetObject",
        "Resource": ARN + "readers/object/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    control.put_access_point_policy(**named, Policy=policy)
    assert json.loads(control.get_access_point_policy(**named)["Policy"])["Statement"][0]["Principal"] == statement["Principal"]
    assert control.get_access_point_policy_status(**named)["PolicyStatus"] == {"IsPublic": False}
    # The bucket has not delegated to its access points yet.
    refused("AccessDenied", 403, reader.get_object, **read)
    delegation = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::shared", "arn:aws:s3:::shared/*"],
        "Condition": {"StringEquals": {"s3:DataAccessPointAccount": ACCOUNT}},
    }
    s3.put_bucket_policy(Bucket="shared", Policy=json.dumps({"Version": "2012-10-17", "Statement": [delegation]}))
    assert reader.get_object(**read)["Body"].read() == b"content"
    refused("AccessDenied", 403, reader.get_object, Bucket="shared", Key="k")
    refused("AccessDenied", 403, reader.put_object, **read, Body=b"x")
    public = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Principal": "*"}]})
    refused("AccessDenied", 403, control.put_access_point_policy, **named, Policy=public)
    control.delete_access_point_policy(**named)
    refused("AccessDenied", 403, reader.get_object, **read)


def test_networks(s3, control):
    s3.create_bucket(Bucket="inside")
    for name, vpc in [("here", "vpc-here"), ("there", "vpc-there")]:
        configuration = {"VpcId": vpc}
        control.create_access_point(AccountId=ACCOUNT, Name=name, Bucket="inside", VpcConfiguration=configuration)
        assert control.get_access_point(AccountId=ACCOUNT, Name=name)["NetworkOrigin"] == "VPC"
    s3.put_object(Bucket=ARN + "here", Key="k", Body=b"x")
    refused("AccessDenied", 403, s3.get_object, Bucket=ARN + "there", Key="k")
    unknown = {"AccountId": ACCOUNT, "Name": "nowhere", "Bucket": "inside", "VpcConfiguration": {"VpcId": "vpc-0"}}
    refused("InvalidRequest", 400, control.create_access_point, **unknown)


def test_policies_know_networks(s3, reader):
    s3.create_bucket(Bucket="networked")
    s3.put_object(Bucket="networked", Key="k", Body=b"x")
    read = {"Bucket": "networked", "Key": "k"}

    def from_vpc(vpc):
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/reader"},
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::networked/*",
            "Condition": {"StringEquals": {"aws:SourceVpc": vpc}, "IpAddress": {"aws:VpcSourceIp": "127.0.0.1"}},
        }
        s3.put_bucket_policy(Bucket="networked", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    from_vpc("vpc-there")
    refused("AccessDenied", 403, reader.get_object, **read)
    from_vpc("vpc-here")
    assert reader.get_object(**read)["Body"].read() == b"x"


def test_copies_through_access_points(s3, control, reader):
    for bucket in ("copied-from", "copied-to"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="copied-from", Key="a b/c:d", Body=b"x", Tagging="t=1")
    made = control.create_access_point(AccountId=ACCOUNT, Name="copies", Bucket="copied-from")
    arn = made["AccessPointArn"]
    to = {"Bucket": "copied-to", "Key": "copy"}
    for source in [arn, made["Alias"]]:
        s3.copy_object(**to, CopySource={"Bucket": source, "Key": "a b/c:d"})
        assert s3.get_object(**to)["Body"].read() == b"x"
        s3.delete_object(**to)
    upload = s3.create_multipart_upload(**to)["UploadId"]
    part = {"PartNumber": 1, "UploadId": upload}
    assert s3.upload_part_copy(**to, **part, CopySource={"Bucket": arn, "Key": "a b/c:d"})["CopyPartResult"]["ETag"]
    s3.abort_multipart_upload(**to, UploadId=upload)
    absent = {"Bucket": arn.replace("copies", "absent"), "Key": "k"}
    refused("NoSuchAccessPoint", 404, s3.copy_object, **to, CopySource=absent)
    # Through the access point what its policy allows, and nothing else.
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{arn}/object/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    control.put_access_point_policy(AccountId=ACCOUNT, Name="copies", Policy=policy)
    refused("AccessDenied", 403, s3.copy_object, **to, CopySource={"Bucket": arn, "Key": "a b/c:d"})
    s3.copy_object(**to, CopySource={"Bucket": "copied-from", "Key": "a b/c:d"})
    # The way of the destination is not that of the source.
    control.create_access_point(AccountId=ACCOUNT, Name="target", Bucket="copied-to")
    plain = {"Bucket": "copied-from", "Key": "a b/c:d"}
    s3.copy_object(Bucket=ARN + "target", Key="copy", CopySource=plain)
    refused("AccessDenied", 403, reader.copy_object, **to, CopySource=plain)


def test_block_public_access_of_the_account(s3, control):
    refused("NoSuchPublicAccessBlockConfiguration", 404, control.get_public_access_block, AccountId=ACCOUNT)
    block = dict(BlockPublicAcls=True, IgnorePublicAcls=False, BlockPublicPolicy=True, RestrictPublicBuckets=False)
    control.put_public_access_block(AccountId=ACCOUNT, PublicAccessBlockConfiguration=block)
    assert control.get_public_access_block(AccountId=ACCOUNT)["PublicAccessBlockConfiguration"] == block
    s3.create_bucket(Bucket="open")
    s3.delete_public_access_block(Bucket="open")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::open/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    refused("AccessDenied", 403, s3.put_bucket_policy, Bucket="open", Policy=policy)
    control.delete_public_access_block(AccountId=ACCOUNT)
    s3.put_bucket_policy(Bucket="open", Policy=policy)
    assert s3.get_bucket_policy_status(Bucket="open")["PolicyStatus"] == {"IsPublic": True}
