"""Server-side encryption with boto3: SSE-KMS with the server's own keys, bucket keys, SSE-C, defaults, copies and parts."""

import base64
import hashlib

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from content import MIB, numbered_bytes
from server import ACCESS_KEY, CREDENTIALS, SECRET_KEY, Server

BYTES = numbered_bytes(12 * MIB, seed=9)
# Around the pieces of 64 KiB in which sealed content lies, the index's limit, and the chunks of 8 MiB.
SIZES = [0, 1, 4096, 4097, 65535, 65536, 65537, 200_000, 9 * MIB]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that takes keys over plain connections, as tests on the loopback may."""
    settings = {**CREDENTIALS, "STRATA_ENCRYPTION_REQUIRE_TLS": "false", "STRATA_NEW_BUCKETS_BLOCK_SSE_C": "false"}
    running = Server(tmp_path_factory.mktemp("data"), environment=settings)
    yield running
    assert running.stop() == 0, f"the server did not stop well:\n{running.errors()}"


def connect(server, service):
    """boto3's client, which must not hide failures by trying again."""
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@pytest.fixture
def s3(server):
    return connect(server, "s3")


@pytest.fixture
def kms(server):
    return connect(server, "kms")


@pytest.fixture
def bucket(s3, request):
    name = "enc-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    s3.create_bucket(Bucket=name)
    return name


def customer(seed: int) -> dict:
    key = hashlib.sha256(bytes([seed])).digest()
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}


def refused(code: str, status: int, call, **arguments) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value
    assert (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    return error


def test_everything_is_encrypted(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    assert put["ServerSideEncryption"] == "AES256"
    assert s3.head_object(Bucket=bucket, Key="a")["ServerSideEncryption"] == "AES256"
    rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


@pytest.mark.parametrize("size", SIZES)
def test_keys_of_the_key_store(s3, kms, bucket, size):
    key = kms.create_key(Description="objects")["KeyMetadata"]
    sent = dict(Bucket=bucket, Key=f"k{size}", Body=BYTES[:size], ServerSideEncryption="aws:kms", SSEKMSKeyId=key["KeyId"])
    put = s3.put_object(**sent)
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", key["Arn"])
    assert put["ETag"].strip('"') != hashlib.md5(BYTES[:size]).hexdigest()
    got = s3.get_object(Bucket=bucket, Key=f"k{size}")
    assert got["Body"].read() == BYTES[:size]
    assert (got["ServerSideEncryption"], got["SSEKMSKeyId"], got["ContentLength"]) == ("aws:kms", key["Arn"], size)
    if size > 2:
        middle = s3.get_object(Bucket=bucket, Key=f"k{size}", Range=f"bytes={size // 2 - 1}-{size // 2 + 1}")
        assert middle["Body"].read() == BYTES[size // 2 - 1 : size // 2 + 2]
    kms.disable_key(KeyId=key["KeyId"])
    refused("KMS.DisabledException", 400, s3.get_object, Bucket=bucket, Key=f"k{size}")
    assert s3.head_object(Bucket=bucket, Key=f"k{size}")["ContentLength"] == size
    kms.enable_key(KeyId=key["KeyId"])
    assert s3.get_object(Bucket=bucket, Key=f"k{size}")["Body"].read() == BYTES[:size]


def test_unknown_and_dying_keys(s3, kms, bucket):
    by = dict(Bucket=bucket, Key="a", Body=b"x", ServerSideEncryption="aws:kms")
    refused("KMS.NotFoundException", 400, s3.put_object, **by, SSEKMSKeyId="00000000-0000-4000-8000-000000000000")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    refused("KMS.KMSInvalidStateException", 400, s3.put_object, **by, SSEKMSKeyId=key)
    kms.cancel_key_deletion(KeyId=key)
    refused("KMS.DisabledException", 400, s3.put_object, **by, SSEKMSKeyId=key)
    assert s3.put_object(**by)["SSEKMSKeyId"].startswith("arn:aws:kms:us-east-1:000000000000:key/")


def test_default_encryption_and_bucket_keys(s3, kms, bucket):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    apply = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": apply, "BucketKeyEnabled": True}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    found = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert (found["ApplyServerSideEncryptionByDefault"], found["BucketKeyEnabled"]) == (apply, True)
    for name in "ab":
        put = s3.put_object(Bucket=bucket, Key=name, Body=BYTES[:100_000])
        assert (put["SSEKMSKeyId"], put["BucketKeyEnabled"]) == (key, True)
        assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == BYTES[:100_000]
    assert s3.put_object(Bucket=bucket, Key="c", Body=b"x", ServerSideEncryption="AES256")["ServerSideEncryption"] == "AES256"
    s3.delete_bucket_encryption(Bucket=bucket)
    assert s3.put_object(Bucket=bucket, Key="d", Body=b"x")["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == BYTES[:100_000]


def test_two_layers(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="a", Body=BYTES[:70_000], ServerSideEncryption="aws:kms:dsse")
    assert put["ServerSideEncryption"] == "aws:kms:dsse"
    got = s3.get_object(Bucket=bucket, Key="a")
    assert (got["ServerSideEncryption"], got["Body"].read()) == ("aws:kms:dsse", BYTES[:70_000])


@pytest.mark.parametrize("size", SIZES)
def test_customers_keys(s3, bucket, size):
    put = s3.put_object(Bucket=bucket, Key=f"k{size}", Body=BYTES[:size], **customer(1))
    assert put["SSECustomerAlgorithm"] == "AES256"
    at = dict(Bucket=bucket, Key=f"k{size}")
    got = s3.get_object(**at, **customer(1))
    assert got["Body"].read() == BYTES[:size]
    md5 = base64.b64encode(hashlib.md5(hashlib.sha256(b"\1").digest()).digest()).decode()
    assert (got["SSECustomerKeyMD5"], "ServerSideEncryption" in got) == (md5, False)
    assert s3.head_object(**at, **customer(1))["ContentLength"] == size
    refused("AccessDenied", 403, s3.get_object, **at, **customer(2))
    refused("InvalidRequest", 400, s3.get_object, **at)
    refused("400", 400, s3.head_object, **at)
    refused("403", 403, s3.head_object, **at, **customer(2))
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    refused("InvalidRequest", 400, s3.get_object, Bucket=bucket, Key="plain", **customer(1))


def test_uploads_in_parts(s3, kms, bucket):
    for name, seal in [
        ("kms", dict(ServerSideEncryption="aws:kms", SSEKMSKeyId=kms.create_key()["KeyMetadata"]["KeyId"])),
        ("customer", customer(3)),
    ]:
        with_key = seal if name == "customer" else {}
        upload = s3.create_multipart_upload(Bucket=bucket, Key=name, **seal)["UploadId"]
        at = dict(Bucket=bucket, Key=name, UploadId=upload)
        parts = []
        for number, piece in enumerate([BYTES[: 5 * MIB], BYTES[5 * MIB : 11 * MIB + 7]], start=1):
            part = s3.upload_part(**at, PartNumber=number, Body=piece, **with_key)
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        if with_key:
            part = dict(at, PartNumber=3, Body=b"x")
            assert "did not match" in str(refused("InvalidRequest", 400, s3.upload_part, **part, **customer(4)))
            assert "initiate requested encryption" in str(refused("InvalidRequest", 400, s3.upload_part, **part))
        complete = dict(at, MultipartUpload={"Parts": parts})
        # A completion may leave the key out, but brings no other.
        refused("InvalidRequest", 400, s3.complete_multipart_upload, **complete, **customer(4))
        done = s3.complete_multipart_upload(**complete)
        assert ("ChecksumType" in done) == (not with_key)
        got = s3.get_object(Bucket=bucket, Key=name, **with_key)
        assert got["Body"].read() == BYTES[: 11 * MIB + 7]
        across = s3.get_object(Bucket=bucket, Key=name, Range=f"bytes={5 * MIB - 5}-{5 * MIB + 4}", **with_key)
        assert across["Body"].read() == BYTES[5 * MIB - 5 : 5 * MIB + 5]


def test_copies_change_keys(s3, bucket):
    def source(seed):
        pairs = customer(seed).items()
        return {f"CopySource{name}": value for name, value in pairs}

    s3.put_object(Bucket=bucket, Key="plain", Body=BYTES[:300_000])
    s3.copy_object(Bucket=bucket, Key="kms", CopySource=f"{bucket}/plain", ServerSideEncryption="aws:kms")
    s3.copy_object(Bucket=bucket, Key="customer", CopySource=f"{bucket}/kms", **customer(1))
    from_customer = dict(Bucket=bucket, Key="other", CopySource=f"{bucket}/customer")
    refused("InvalidRequest", 400, s3.copy_object, **from_customer)
    refused("InvalidRequest", 400, s3.copy_object, **from_customer, **source(2))
    s3.copy_object(**from_customer, **source(1), **customer(2))
    s3.copy_object(Bucket=bucket, Key="back", CopySource=f"{bucket}/other", **source(2))
    for name, seal in [("kms", {}), ("customer", customer(1)), ("other", customer(2)), ("back", {})]:
        assert s3.get_object(Bucket=bucket, Key=name, **seal)["Body"].read() == BYTES[:300_000], name
    # A copy onto itself may change nothing but the encryption.
    s3.copy_object(Bucket=bucket, Key="plain", CopySource=f"{bucket}/plain", ServerSideEncryption="AES256")
    s3.copy_object(Bucket=bucket, Key="plain", CopySource=f"{bucket}/plain", ServerSideEncryption="aws:kms")
    assert s3.head_object(Bucket=bucket, Key="plain")["ServerSideEncryption"] == "aws:kms"


def test_blocked_customers_keys(s3, bucket):
    apply = {"SSEAlgorithm": "AES256"}
    blocked = {"EncryptionType": ["SSE-C"]}
    rule = {"ApplyServerSideEncryptionByDefault": apply, "BlockedEncryptionTypes": blocked}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    refused("AccessDenied", 403, s3.put_object, Bucket=bucket, Key="a", Body=b"x", **customer(1))


def test_the_key_stores_own_interface(kms):
    key = kms.create_key(Description="mine", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
    kms.create_alias(AliasName="alias/mine", TargetKeyId=key["KeyId"])
    context = {"purpose": "test"}
    sealed = kms.encrypt(KeyId="alias/mine", Plaintext=b"secret", EncryptionContext=context)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed, EncryptionContext=context)["Plaintext"] == b"secret"
    refused("InvalidCiphertextException", 400, kms.decrypt, CiphertextBlob=sealed)
    pair = kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
    assert kms.decrypt(CiphertextBlob=pair["CiphertextBlob"])["Plaintext"] == pair["Plaintext"]
    assert key["KeyId"] in [found["KeyId"] for found in kms.list_keys()["Keys"]]
    assert "alias/mine" in [found["AliasName"] for found in kms.list_aliases()["Aliases"]]
    assert kms.describe_key(KeyId="alias/mine")["KeyMetadata"]["Description"] == "mine"
    assert kms.list_resource_tags(KeyId=key["KeyId"])["Tags"] == [{"TagKey": "a", "TagValue": "b"}]
    kms.delete_alias(AliasName="alias/mine")
    refused("NotFoundException", 400, kms.describe_key, KeyId="alias/mine")
    refused("AlreadyExistsException", 400, lambda: [kms.create_alias(AliasName="alias/twice", TargetKeyId=key["KeyId"]) for _ in "ab"])
