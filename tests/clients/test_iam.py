"""IAM by boto3 and aws-cli: users, groups, roles and policies come and go, and what they allow is what is allowed."""

import itertools
import json

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config

from server import ACCESS_KEY, SECRET_KEY

_numbers = itertools.count(1)


def policy(*actions, resource="*", effect="Allow"):
    """A policy with one statement."""
    statement = {"Effect": effect, "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def client(server, service, access_key=ACCESS_KEY, secret_key=SECRET_KEY, token=None):
    """A boto3 client of this server."""
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=token,
        config=Config(retries={"max_attempts": 1}, signature_version="s3v4" if service == "s3" else None),
    )


def refused(code):
    """Expects a refusal with that code."""

    class Refused:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, _trace):
            assert kind is not None and issubclass(kind, botocore.exceptions.ClientError), f"expected {code}, got {error!r}"
            assert error.response["Error"]["Code"] == code, error
            return True

    return Refused()


@pytest.fixture
def iam(server):
    """IAM as the store's root."""
    return client(server, "iam")


@pytest.fixture
def user(iam):
    """A new user's name."""
    name = f"user-{next(_numbers)}"
    iam.create_user(UserName=name)
    return name


def as_user(server, iam, name, service="iam"):
    """A client with a new key of a user."""
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return client(server, service, key["AccessKeyId"], key["SecretAccessKey"])


def test_users(iam):
    made = iam.create_user(UserName="Alice", Path="/staff/", Tags=[{"Key": "team", "Value": "a b"}])["User"]
    assert made["Arn"] == "arn:aws:iam::000000000000:user/staff/Alice"
    assert made["UserId"].startswith("AIDA")
    with refused("EntityAlreadyExists"):
        iam.create_user(UserName="alice")
    assert iam.get_user(UserName="Alice")["User"]["Tags"] == [{"Key": "team", "Value": "a b"}]
    iam.update_user(UserName="Alice", NewUserName="Alicia", NewPath="/")
    with refused("NoSuchEntity"):
        iam.get_user(UserName="Alice")
    assert iam.get_user(UserName="Alicia")["User"]["UserId"] == made["UserId"]
    iam.tag_user(UserName="Alicia", Tags=[{"Key": "Team", "Value": "c"}, {"Key": "x", "Value": ""}])
    assert iam.list_user_tags(UserName="Alicia")["Tags"] == [{"Key": "Team", "Value": "c"}, {"Key": "x", "Value": ""}]
    iam.untag_user(UserName="Alicia", TagKeys=["x"])
    key = iam.create_access_key(UserName="Alicia")["AccessKey"]["AccessKeyId"]
    with refused("DeleteConflict"):
        iam.delete_user(UserName="Alicia")
    iam.delete_access_key(UserName="Alicia", AccessKeyId=key)
    iam.delete_user(UserName="Alicia")
    for name in ["a/b", "a b"]:
        with refused("ValidationError"):
            iam.create_user(UserName=name)
    assert iam.get_user()["User"]["Arn"] == "arn:aws:iam::000000000000:root"


def test_pages(iam):
    names = [f"page-{index:02}" for index in range(7)]
    for name in names:
        iam.create_user(UserName=name, Path="/pages/")
    pages = iam.get_paginator("list_users").paginate(PathPrefix="/pages/", PaginationConfig={"PageSize": 3})
    found = [[user["UserName"] for user in page["Users"]] for page in pages]
    assert found == [names[:3], names[3:6], names[6:]]
    for name in names:
        iam.delete_user(UserName=name)


def test_access_keys(server, iam, user):
    first = iam.create_access_key(UserName=user)["AccessKey"]
    second = iam.create_access_key(UserName=user)["AccessKey"]
    with refused("LimitExceeded"):
        iam.create_access_key(UserName=user)
    own = client(server, "sts", first["AccessKeyId"], first["SecretAccessKey"])
    assert own.get_caller_identity()["Arn"].endswith(f":user/{user}")
    assert iam.get_access_key_last_used(AccessKeyId=first["AccessKeyId"])["AccessKeyLastUsed"]["ServiceName"] == "sts"
    unused = iam.get_access_key_last_used(AccessKeyId=second["AccessKeyId"])["AccessKeyLastUsed"]
    assert unused["ServiceName"] == "N/A"
    iam.update_access_key(UserName=user, AccessKeyId=first["AccessKeyId"], Status="Inactive")
    with refused("InvalidClientTokenId"):
        own.get_caller_identity()
    states = {key["AccessKeyId"]: key["Status"] for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]}
    assert states == {first["AccessKeyId"]: "Inactive", second["AccessKeyId"]: "Active"}
    iam.delete_access_key(UserName=user, AccessKeyId=first["AccessKeyId"])
    with refused("NoSuchEntity"):
        iam.delete_access_key(UserName=user, AccessKeyId=first["AccessKeyId"])


def test_inline_policies_decide(server, iam, user, bucket):
    s3 = as_user(server, iam, user, "s3")
    with refused("AccessDenied"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=policy("s3:*"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert iam.get_user_policy(UserName=user, PolicyName="all")["PolicyDocument"]["Statement"][0]["Action"] == ["s3:*"]
    assert iam.list_user_policies(UserName=user)["PolicyNames"] == ["all"]
    deny = policy("s3:DeleteObject", effect="Deny")
    iam.put_user_policy(UserName=user, PolicyName="keep", PolicyDocument=deny)
    with refused("AccessDenied"):
        s3.delete_object(Bucket=bucket, Key="k")
    iam.delete_user_policy(UserName=user, PolicyName="keep")
    s3.delete_object(Bucket=bucket, Key="k")
    with refused("MalformedPolicyDocument"):
        iam.put_user_policy(UserName=user, PolicyName="bad", PolicyDocument="{}")
    with refused("LimitExceeded"):
        resource = ["arn:aws:s3:::" + "x" * 60 + str(index) for index in range(40)]
        iam.put_user_policy(UserName=user, PolicyName="big", PolicyDocument=policy("s3:*", resource=resource))


def test_managed_policies_decide(server, iam, user, bucket):
    s3 = as_user(server, iam, user, "s3")
    made = iam.create_policy(PolicyName=f"shared-{user}", PolicyDocument=policy("s3:ListBucket"))["Policy"]
    arn = made["Arn"]
    iam.attach_user_policy(UserName=user, PolicyArn=arn)
    s3.list_objects_v2(Bucket=bucket)
    version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("s3:PutObject"), SetAsDefault=True)
    assert version["PolicyVersion"]["VersionId"] == "v2"
    with refused("AccessDenied"):
        s3.list_objects_v2(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    s3.list_objects_v2(Bucket=bucket)
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("s3:PutObject"))
    with refused("LimitExceeded"):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("s3:PutObject"))
    with refused("DeleteConflict"):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    versions = [version["VersionId"] for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]]
    assert versions == ["v5", "v4", "v3", "v2", "v1"]
    with refused("DeleteConflict"):
        iam.delete_policy(PolicyArn=arn)
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"][0]["UserName"] == user
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    iam.detach_user_policy(UserName=user, PolicyArn=arn)
    for version in versions[:-1]:
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    iam.delete_policy(PolicyArn=arn)
    with refused("NoSuchEntity"):
        iam.get_policy(PolicyArn=arn)
    read_only = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    iam.attach_user_policy(UserName=user, PolicyArn=read_only)
    s3.get_object(Bucket=bucket, Key="k")
    with refused("AccessDenied"):
        s3.delete_object(Bucket=bucket, Key="k")
    names = [policy["PolicyName"] for policy in iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]]
    assert names == ["AmazonS3ReadOnlyAccess"]


def test_groups_decide(server, iam, user, bucket):
    s3 = as_user(server, iam, user, "s3")
    group = f"group-of-{user}"
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="list", PolicyDocument=policy("s3:ListBucket"))
    iam.add_user_to_group(GroupName=group, UserName=user)
    s3.list_objects_v2(Bucket=bucket)
    assert [member["UserName"] for member in iam.get_group(GroupName=group)["Users"]] == [user]
    assert [found["GroupName"] for found in iam.list_groups_for_user(UserName=user)["Groups"]] == [group]
    with refused("DeleteConflict"):
        iam.delete_group(GroupName=group)
    iam.remove_user_from_group(GroupName=group, UserName=user)
    with refused("AccessDenied"):
        s3.list_objects_v2(Bucket=bucket)
    iam.delete_group_policy(GroupName=group, PolicyName="list")
    iam.delete_group(GroupName=group)


def test_boundaries_bound(server, iam, user, bucket):
    s3 = as_user(server, iam, user, "s3")
    iam.attach_user_policy(UserName=user, PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    boundary = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=boundary)
    shown = iam.get_user(UserName=user)["User"]["PermissionsBoundary"]
    assert shown["PermissionsBoundaryArn"] == boundary
    with refused("AccessDenied"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    iam.delete_user_permissions_boundary(UserName=user)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")


def test_users_need_permission(server, iam, user):
    own = as_user(server, iam, user)
    with refused("AccessDenied"):
        own.list_users()
    with refused("AccessDenied"):
        own.get_user(UserName="does-not-exist")
    itself = f"arn:aws:iam::000000000000:user/{user}"
    iam.put_user_policy(UserName=user, PolicyName="self", PolicyDocument=policy("iam:GetUser", resource=itself))
    assert own.get_user()["User"]["UserName"] == user
    with refused("AccessDenied"):
        own.attach_user_policy(UserName=user, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


def test_roles(iam):
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}],
    }
    made = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(trust), MaxSessionDuration=7200)["Role"]
    assert made["Arn"] == "arn:aws:iam::000000000000:role/worker"
    assert iam.get_role(RoleName="worker")["Role"]["MaxSessionDuration"] == 7200
    assert "worker" in [role["RoleName"] for role in iam.list_roles()["Roles"]]
    trust["Statement"][0]["Principal"] = {"AWS": "arn:aws:iam::000000000000:user/nobody"}
    with refused("MalformedPolicyDocument"):
        iam.update_assume_role_policy(RoleName="worker", PolicyDocument=json.dumps(trust))
    iam.update_role(RoleName="worker", Description="works", MaxSessionDuration=3600)
    assert iam.get_role(RoleName="worker")["Role"]["Description"] == "works"
    iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=policy("s3:*"))
    with refused("DeleteConflict"):
        iam.delete_role(RoleName="worker")
    iam.delete_role_policy(RoleName="worker", PolicyName="p")
    iam.delete_role(RoleName="worker")


def test_simulation(iam, user):
    iam.put_user_policy(UserName=user, PolicyName="get", PolicyDocument=policy("s3:GetObject"))
    found = iam.simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::000000000000:user/{user}",
        ActionNames=["s3:GetObject", "s3:PutObject"],
        ResourceArns=["arn:aws:s3:::b/k"],
    )["EvaluationResults"]
    assert [result["EvalDecision"] for result in found] == ["allowed", "implicitDeny"]
    assert found[0]["MatchedStatements"][0]["SourcePolicyId"] == "get"
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    statement = {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": condition}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    asked = {"PolicyInputList": [text, policy("s3:*")], "ActionNames": ["s3:GetObject"]}
    result = iam.simulate_custom_policy(**asked)["EvaluationResults"][0]
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("allowed", ["aws:SourceIp"])
    entry = {"ContextKeyName": "aws:SourceIp", "ContextKeyType": "ip", "ContextKeyValues": ["10.1.2.3"]}
    result = iam.simulate_custom_policy(**asked, ContextEntries=[entry])["EvaluationResults"][0]
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("explicitDeny", [])


def test_identity_providers(iam):
    made = iam.create_open_id_connect_provider(Url="https://id.example.com/a", ClientIDList=["s3"])
    arn = made["OpenIDConnectProviderArn"]
    assert arn == "arn:aws:iam::000000000000:oidc-provider/id.example.com/a"
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"] == ["s3"]
    assert arn in [found["Arn"] for found in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    for url in ["http://id.example.com", "https://127.0.0.1"]:
        with refused("InvalidInput"):
            iam.create_open_id_connect_provider(Url=url)


def test_aws_cli(run):
    run("aws", "iam", "create-user", "--user-name", "by-cli")
    said = json.loads(run("aws", "iam", "list-users", "--path-prefix", "/"))
    assert "by-cli" in [user["UserName"] for user in said["Users"]]
    run("aws", "iam", "delete-user", "--user-name", "by-cli")
    assert json.loads(run("aws", "iam", "get-account-summary"))["SummaryMap"]["AccessKeysPerUserQuota"] == 2
    assert json.loads(run("aws", "iam", "list-account-aliases"))["AccountAliases"] == []


def test_unknown_actions(iam, run):
    with refused("InvalidAction"):
        iam.create_login_profile(UserName="x", Password="y")


def test_writes_do_not_tell_what_is_absent(server, iam, user, bucket):
    root = client(server, "s3")
    root.put_object(Bucket=bucket, Key="source", Body=b"x")
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=policy("s3:GetObject", "s3:PutObject"))
    own = as_user(server, iam, user, "s3")
    absent = {"Bucket": bucket, "Key": "absent", "IfMatch": '"etag"'}
    copy = {**absent, "CopySource": {"Bucket": bucket, "Key": "source"}}
    for s3, expected in [(own, "AccessDenied"), (root, "NoSuchKey")]:
        with refused(expected):
            s3.put_object(**absent, Body=b"x")
        with refused(expected):
            s3.copy_object(**copy)
        upload = {"Bucket": bucket, "Key": "absent"}
        upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
        tag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
        with refused(expected):
            s3.complete_multipart_upload(**upload, IfMatch='"etag"', MultipartUpload=parts)
