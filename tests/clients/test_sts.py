"""STS by boto3 and aws-cli: temporary credentials allow what they should, for as long as they should."""

import base64
import http.server
import json
import threading
import time
import urllib.request

import pytest
import rsa

from server import Server
from test_iam import as_user, client, iam, policy, refused, user  # noqa: F401  (fixtures)

ACCOUNT = "000000000000"


def trust(principal, action="sts:AssumeRole", **condition):
    """A trust policy with one statement."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def with_session(server, service, credentials):
    """A client with temporary credentials."""
    return client(
        server, service, credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    )


@pytest.fixture
def role(iam, user):
    """A role that a new user may assume, and that may do everything with S3."""
    name = f"role-of-{user}"
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/{user}"}))
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    return made["Role"]["Arn"]


def test_caller_identity(server, iam, user, run):
    root = client(server, "sts").get_caller_identity()
    assert (root["Account"], root["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")
    own = as_user(server, iam, user, "sts")
    iam.put_user_policy(UserName=user, PolicyName="no", PolicyDocument=policy("*", effect="Deny"))
    assert own.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{user}"
    assert json.loads(run("aws", "sts", "get-caller-identity"))["Account"] == ACCOUNT
    with refused("InvalidClientTokenId"):
        client(server, "sts", "AKIANOBODYNOBODYNOBO").get_caller_identity()
    with refused("SignatureDoesNotMatch"):
        client(server, "sts", secret_key="wrong-secret").get_caller_identity()


def test_assumed_role(server, iam, user, role, bucket):
    sts = as_user(server, iam, user, "sts")
    answer = sts.assume_role(RoleArn=role, RoleSessionName="session")
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/role-of-{user}/session"
    s3 = with_session(server, "s3", answer["Credentials"])
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    identity = with_session(server, "sts", answer["Credentials"]).get_caller_identity()
    assert identity["Arn"].endswith("/session")
    # A presigned URL of the session carries its token.
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert urllib.request.urlopen(url).read() == b"x"
    iam.detach_role_policy(RoleName=f"role-of-{user}", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    with refused("AccessDenied"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    iam.delete_role(RoleName=f"role-of-{user}")
    with refused("InvalidAccessKeyId"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")


def test_session_policies_narrow(server, iam, user, role, bucket):
    sts = as_user(server, iam, user, "sts")
    narrow = sts.assume_role(RoleArn=role, RoleSessionName="narrow", Policy=policy("s3:ListBucket"))
    assert narrow["PackedPolicySize"] > 0
    s3 = with_session(server, "s3", narrow["Credentials"])
    s3.list_objects_v2(Bucket=bucket)
    with refused("AccessDenied"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    arns = [{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}]
    s3 = with_session(
        server, "s3", sts.assume_role(RoleArn=role, RoleSessionName="narrow", PolicyArns=arns)["Credentials"]
    )
    s3.list_objects_v2(Bucket=bucket)
    with refused("AccessDenied"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")


def test_what_is_refused(server, iam, user, role):
    sts = as_user(server, iam, user, "sts")
    asked = {"RoleArn": role, "RoleSessionName": "session"}
    with refused("ValidationError"):
        sts.assume_role(**asked, DurationSeconds=7200)
    with refused("MalformedPolicyDocument"):
        sts.assume_role(**asked, Policy="{}")
    with refused("ValidationError"):
        sts.assume_role(RoleArn=role, RoleSessionName="a b")
    with refused("AccessDenied"):
        sts.assume_role(RoleArn=role + "x", RoleSessionName="session")
    with refused("AccessDenied"):
        client(server, "sts").assume_role(**asked)
    iam.create_user(UserName=f"other-of-{user}")
    other = as_user(server, iam, f"other-of-{user}", "sts")
    with refused("AccessDenied"):
        other.assume_role(**asked)
    # Tags and source identities need permissions of their own.
    with refused("AccessDenied"):
        sts.assume_role(**asked, Tags=[{"Key": "team", "Value": "a"}])


def test_external_id(server, iam, user):
    principal = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/{user}"}
    document = trust(principal, StringEquals={"sts:ExternalId": "secret-word"})
    role = iam.create_role(RoleName=f"guarded-{user}", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    sts = as_user(server, iam, user, "sts")
    with refused("AccessDenied"):
        sts.assume_role(RoleArn=role, RoleSessionName="session")
    sts.assume_role(RoleArn=role, RoleSessionName="session", ExternalId="secret-word")


def test_tampered_tokens(server, iam, user, role, bucket):
    credentials = as_user(server, iam, user, "sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    token = credentials["SessionToken"]
    for forged in [token[:-8] + "AAAAAAA=", "nonsense"]:
        with refused("InvalidToken"):
            with_session(server, "s3", {**credentials, "SessionToken": forged}).list_objects_v2(Bucket=bucket)
    with refused("InvalidAccessKeyId"):
        client(server, "s3", credentials["AccessKeyId"], credentials["SecretAccessKey"]).list_objects_v2(Bucket=bucket)


def test_federation_tokens(server, iam, user, bucket):
    sts = as_user(server, iam, user, "sts")
    narrow = {"Name": "eve", "Policy": policy("s3:GetObject", "s3:ListBucket")}
    with refused("AccessDenied"):
        sts.get_federation_token(**narrow)
    iam.put_user_policy(
        UserName=user, PolicyName="own", PolicyDocument=policy("sts:GetFederationToken", "s3:GetObject", "s3:PutObject")
    )
    answer = sts.get_federation_token(**narrow)
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/eve"
    assert answer["FederatedUser"] == {"FederatedUserId": f"{ACCOUNT}:eve", "Arn": arn}
    assert 0 < answer["PackedPolicySize"] <= 100
    client(server, "s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    session = lambda service: with_session(server, service, answer["Credentials"])  # noqa: E731
    identity = session("sts").get_caller_identity()
    assert (identity["Arn"], identity["UserId"]) == (arn, f"{ACCOUNT}:eve")
    # What both the user and the session policy allow, and nothing else.
    assert session("s3").get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    for call in [
        lambda: session("s3").put_object(Bucket=bucket, Key="k", Body=b"y"),
        lambda: session("s3").list_objects_v2(Bucket=bucket),
        lambda: session("iam").list_users(),
        lambda: session("sts").get_session_token(),
        lambda: session("sts").get_federation_token(Name="again"),
    ]:
        with refused("AccessDenied"):
            call()
    # Without session policies there is only what a bucket gives to the session itself.
    plain = with_session(server, "s3", sts.get_federation_token(Name="plain")["Credentials"])
    with refused("AccessDenied"):
        plain.get_object(Bucket=bucket, Key="k")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:sts::{ACCOUNT}:federated-user/plain"},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client(server, "s3").put_bucket_policy(Bucket=bucket, Policy=document)
    assert plain.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    with refused("AccessDenied"):
        plain.put_object(Bucket=bucket, Key="k", Body=b"y")
    client(server, "s3").delete_bucket_policy(Bucket=bucket)
    # A root's session has what its policies say, for an hour at most.
    root = client(server, "sts").get_federation_token(Name="admin", Policy=policy("s3:*"), DurationSeconds=36000)
    with_session(server, "s3", root["Credentials"]).put_object(Bucket=bucket, Key="k", Body=b"z")
    assert root["Credentials"]["Expiration"].timestamp() - time.time() <= 3600
    # Tags need a permission of their own; names are short.
    with refused("AccessDenied"):
        sts.get_federation_token(Name="eve", Tags=[{"Key": "team", "Value": "a"}])
    with refused("ValidationError"):
        client(server, "sts").get_federation_token(Name="a b")
    # The session ends with its user.
    iam.delete_user_policy(UserName=user, PolicyName="own")
    with refused("AccessDenied"):
        session("s3").get_object(Bucket=bucket, Key="k")


def test_session_tokens(server, iam, user, bucket):
    iam.attach_user_policy(UserName=user, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    credentials = as_user(server, iam, user, "sts").get_session_token(DurationSeconds=900)["Credentials"]
    with_session(server, "s3", credentials).put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("AccessDenied"):
        with_session(server, "iam", credentials).list_users()
    with refused("AccessDenied"):
        with_session(server, "sts", credentials).get_session_token()


class Issuer:
    """An OpenID Connect provider on the loopback interface."""

    def __init__(self):
        self.public, self.private = rsa.newkeys(2048)
        self.fetches = []
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.fetches.append(self.path)
                answers = {
                    "/realm/.well-known/openid-configuration": {
                        "issuer": issuer.url,
                        "jwks_uri": issuer.url + "/keys",
                    },
                    "/realm/keys": {"keys": [{"kty": "unknown"}, issuer.jwk()]},
                }
                body = json.dumps(answers.get(self.path, {})).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"127.0.0.1:{self.server.server_port}/realm"
        self.url = f"http://{self.name}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def jwk(self):
        number = lambda value: encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))
        return {"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": number(self.public.n), "e": number(self.public.e)}

    def token(self, kid="one", key=None, **claims):
        now = int(time.time())
        payload = {"iss": self.url, "sub": "somebody", "aud": "strata", "iat": now, "exp": now + 600, **claims}
        header = {"alg": "RS256", "typ": "JWT", "kid": kid}
        text = ".".join(encoded(json.dumps(part).encode()) for part in (header, payload))
        return text + "." + encoded(rsa.sign(text.encode(), key or self.private, "SHA-256"))


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def issuer():
    running = Issuer()
    yield running
    running.server.shutdown()


@pytest.fixture(scope="module")
def trusting(issuer, tmp_path_factory):
    """A server that trusts the provider."""
    directory = tmp_path_factory.mktemp("trusting")
    settings = directory / "strata.toml"
    settings.write_text(f'[[oidc]]\nissuer = "{issuer.url}"\naudiences = ["strata"]\n')
    running = Server(directory / "data", "--config", str(settings))
    yield running
    assert running.stop() == 0, running.errors()


def test_web_identity(issuer, trusting):
    iam = client(trusting, "iam")
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer.name}"
    condition = {f"{issuer.name}:sub": "somebody", f"{issuer.name}:aud": "strata"}
    document = trust({"Federated": provider}, "sts:AssumeRoleWithWebIdentity", StringEquals=condition)
    role = iam.create_role(RoleName="web", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="web", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    sts = client(trusting, "sts", "unused", "unused")

    def assume(token, **more):
        return sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="web", WebIdentityToken=token, **more)

    answer = assume(issuer.token())
    assert (answer["SubjectFromWebIdentityToken"], answer["Audience"]) == ("somebody", "strata")
    assert answer["Provider"] == provider
    with_session(trusting, "s3", answer["Credentials"]).create_bucket(Bucket="by-web-identity")
    assume(issuer.token(aud=["other", "strata"]))
    with refused("AccessDenied"):
        assume(issuer.token(sub="somebody-else"))
    with refused("ExpiredTokenException"):
        assume(issuer.token(exp=int(time.time()) - 300))
    for token in [
        issuer.token(aud="other"),
        issuer.token(iss="http://127.0.0.1:1/other"),
        issuer.token(kid="unknown"),
        issuer.token(key=rsa.newkeys(2048)[1]),
        issuer.token(nbf=int(time.time()) + 300),
        issuer.token()[:-4] + "AAAA",
        "not.a.token-at-all",
    ]:
        with refused("InvalidIdentityToken"):
            assume(token)
    with refused("AccessDenied"):
        sts.assume_role_with_web_identity(RoleArn=role + "x", RoleSessionName="web", WebIdentityToken=issuer.token())
    # However many tokens come, the keys are fetched once, and not again at once for a key that is unknown.
    assert issuer.fetches.count("/realm/keys") == 1


def test_accounts_of_the_settings(tmp_path):
    settings = tmp_path / "strata.toml"
    (tmp_path / "secret").write_text("team-secret-0123456789\n")
    settings.write_text(
        '[[accounts]]\nname = "team"\nemail = "team@example.com"\nid = "123456789012"\naccess_key = "TEAMKEY"\n'
        f'secret_key_file = "{tmp_path}/secret"\n'
    )
    for _ in range(2):
        running = Server(tmp_path / "data", "--config", str(settings))
        identity = client(running, "sts", "TEAMKEY", "team-secret-0123456789").get_caller_identity()
        assert identity["Arn"] == "arn:aws:iam::123456789012:root"
        assert running.stop() == 0, running.errors()
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.stat().st_size < 1 << 20]
    assert not any(b"team-secret-0123456789" in path.read_bytes() for path in files)
