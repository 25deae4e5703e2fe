"""Access control lists, Object Ownership, Block Public Access and bucket policies: boto3, the AWS CLI and s3cmd."""

import json

import pytest
from botocore.exceptions import ClientError

from test_boto3 import connect, refused

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


@pytest.fixture(scope="session")
def s3(server):
    """A client with the default settings."""
    return connect(server)


@pytest.fixture
def open_bucket(s3, bucket_name):
    """A bucket whose access control lists count, and that blocks nothing."""
    s3.create_bucket(Bucket=bucket_name, ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=bucket_name)
    return bucket_name


def grants(answer):
    """The grants of an answer, as pairs of grantee and permission."""
    owner = answer["Owner"]["ID"]

    def name(grantee):
        return "owner" if grantee.get("ID") == owner else grantee.get("URI", "/other").rsplit("/", 1)[1]

    return {(name(grant["Grantee"]), grant["Permission"]) for grant in answer["Grants"]}


def policy(bucket, principal, **more):
    """A policy that lets `principal` read."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject"}
    statement |= {"Resource": f"arn:aws:s3:::{bucket}/*"} | more
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_canned_lists(s3, open_bucket):
    s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read")
    assert grants(s3.get_bucket_acl(Bucket=open_bucket)) == {("owner", "FULL_CONTROL"), ("AllUsers", "READ")}
    s3.put_object(Bucket=open_bucket, Key="k", Body=b"x", ACL="authenticated-read")
    expected = {("owner", "FULL_CONTROL"), ("AuthenticatedUsers", "READ")}
    assert grants(s3.get_object_acl(Bucket=open_bucket, Key="k")) == expected
    s3.put_object_acl(Bucket=open_bucket, Key="k", ACL="private")
    assert grants(s3.get_object_acl(Bucket=open_bucket, Key="k")) == {("owner", "FULL_CONTROL")}


def test_lists_come_back_as_they_were_set(s3, open_bucket):
    s3.put_object(Bucket=open_bucket, Key="k", Body=b"x", GrantRead=f'uri="{ALL_USERS}"')
    shown = s3.get_object_acl(Bucket=open_bucket, Key="k")
    assert grants(shown) == {("AllUsers", "READ")}
    owner = shown["Owner"]
    full = {"Grantee": {"Type": "CanonicalUser", "ID": owner["ID"]}, "Permission": "FULL_CONTROL"}
    everybody = {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ_ACP"}
    s3.put_object_acl(Bucket=open_bucket, Key="k", AccessControlPolicy={"Owner": owner, "Grants": [full, everybody]})
    expected = {("owner", "FULL_CONTROL"), ("AllUsers", "READ_ACP")}
    assert grants(s3.get_object_acl(Bucket=open_bucket, Key="k")) == expected
    stranger = {"Grantee": {"Type": "CanonicalUser", "ID": "0" * 64}, "Permission": "READ"}
    faulty = {"Owner": owner, "Grants": [stranger]}
    refused("InvalidArgument", 400, s3.put_object_acl, Bucket=open_bucket, Key="k", AccessControlPolicy=faulty)


def test_ownership(s3, bucket):
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    refused("AccessControlListNotSupported", 400, s3.put_bucket_acl, Bucket=bucket, ACL="public-read")
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == controls
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    refused("OwnershipControlsNotFoundError", 404, s3.get_bucket_ownership_controls, Bucket=bucket)


def test_public_access_block(s3, bucket):
    switches = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    shown = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert shown == dict.fromkeys(switches, True)
    refused("AccessDenied", 403, s3.put_bucket_policy, Bucket=bucket, Policy=policy(bucket, "*"))
    some = dict.fromkeys(switches, False) | {"BlockPublicAcls": True}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=some)
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == some
    s3.delete_public_access_block(Bucket=bucket)
    refused("NoSuchPublicAccessBlockConfiguration", 404, s3.get_public_access_block, Bucket=bucket)


def test_policies(s3, open_bucket):
    refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket=open_bucket)
    s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(open_bucket, {"AWS": "000000000000"}))
    assert not s3.get_bucket_policy_status(Bucket=open_bucket)["PolicyStatus"]["IsPublic"]
    s3.put_bucket_policy(Bucket=open_bucket, Policy=policy(open_bucket, "*"))
    assert s3.get_bucket_policy_status(Bucket=open_bucket)["PolicyStatus"]["IsPublic"]
    shown = json.loads(s3.get_bucket_policy(Bucket=open_bucket)["Policy"])
    assert shown["Statement"][0]["Resource"] == f"arn:aws:s3:::{open_bucket}/*"
    s3.delete_bucket_policy(Bucket=open_bucket)
    s3.delete_bucket_policy(Bucket=open_bucket)
    refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy_status, Bucket=open_bucket)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Principal": {"AWS": "arn:aws:iam::000000000000:user/nobody"}}, "Invalid principal in policy"),
        ({"Resource": "arn:aws:s3:::another/*"}, "Policy has invalid resource"),
        ({"Action": "s3:Fly"}, "Policy has invalid action"),
        ({"Condition": {"StringEquals": {"s3:wings": "2"}}}, "Policy has an invalid condition key"),
        ({"Action": "s3:ListBucket"}, "Action does not apply to any resource(s) in statement"),
    ],
)
def test_policies_that_are_none(s3, bucket, change, message):
    faulty = policy(bucket, "*", **change)
    with pytest.raises(ClientError) as caught:
        s3.put_bucket_policy(Bucket=bucket, Policy=faulty)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("MalformedPolicy", message)


def test_aws_cli(run, open_bucket, tmp_path):
    api = ("aws", "s3api")
    (tmp_path / "f").write_bytes(b"x")
    run("aws", "s3", "cp", tmp_path / "f", f"s3://{open_bucket}/k", "--acl", "public-read")
    shown = json.loads(run(*api, "get-object-acl", "--bucket", open_bucket, "--key", "k"))
    assert grants(shown) == {("owner", "FULL_CONTROL"), ("AllUsers", "READ")}
    run(*api, "put-bucket-acl", "--bucket", open_bucket, "--grant-write", f"uri={ALL_USERS}")
    shown = json.loads(run(*api, "get-bucket-acl", "--bucket", open_bucket))
    assert grants(shown) == {("AllUsers", "WRITE")}
    run(*api, "put-bucket-policy", "--bucket", open_bucket, "--policy", policy(open_bucket, "*"))
    status = json.loads(run(*api, "get-bucket-policy-status", "--bucket", open_bucket))
    assert status == {"PolicyStatus": {"IsPublic": True}}


def test_s3cmd(s3, s3cmd, open_bucket):
    s3.put_object(Bucket=open_bucket, Key="k", Body=b"x")
    s3cmd("setacl", "--acl-public", f"s3://{open_bucket}/k")
    assert ("AllUsers", "READ") in grants(s3.get_object_acl(Bucket=open_bucket, Key="k"))
    assert "ACL" in s3cmd("info", f"s3://{open_bucket}/k")
    s3cmd("setacl", "--acl-private", f"s3://{open_bucket}/k")
    assert grants(s3.get_object_acl(Bucket=open_bucket, Key="k")) == {("owner", "FULL_CONTROL")}
