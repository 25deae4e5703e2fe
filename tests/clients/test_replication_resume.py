"""A large object on its way while its sender is killed: the next start sends the rest, not all of it again."""

import pytest

from content import MIB, numbered_bytes
from server import ACCESS_KEY, SECRET_KEY, Server
from test_replication import PART_BYTES, Side, client, until

PARTS = 4


class SlowSide(Side):
    """Sends so slowly that it can be killed half-way."""

    def start(self, other: Side, read_only: bool = False) -> None:
        self.config.write_text(
            "[replication]\nbytes_per_second = 5242880\n"
            f'[[regions]]\nname = "there"\nendpoint = "{other.proxy.url}"\n'
            f'region = "us-east-1"\naccess_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n'
        )
        self.server = Server(self.data, "--config", str(self.config))
        self.proxy.target = self.server.address
        self.s3 = client(self.server.url)


@pytest.fixture
def sides(tmp_path):
    left, right = SlowSide(tmp_path, "left"), Side(tmp_path, "right")
    right.start(left)
    left.start(right)
    yield left, right
    for side in (left, right):
        side.stop()


def test_a_killed_sender_goes_on_where_it_was(sides):
    left, right = sides
    for side in sides:
        side.prepare("photos")
    left.replicate("photos", "photos")
    before = right.proxy.sent
    upload = left.s3.create_multipart_upload(Bucket="photos", Key="large")
    whole, parts = b"", []
    for number in range(1, PARTS + 1):
        body = numbered_bytes(PART_BYTES, seed=number)
        sent = left.s3.upload_part(
            Bucket="photos", Key="large", UploadId=upload["UploadId"], PartNumber=number, Body=body
        )
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        whole += body
    left.s3.complete_multipart_upload(
        Bucket="photos", Key="large", UploadId=upload["UploadId"], MultipartUpload={"Parts": parts}
    )

    def arrived():
        uploads = right.s3.list_multipart_uploads(Bucket="photos").get("Uploads", [])
        if not uploads:
            return 0
        listed = right.s3.list_parts(Bucket="photos", Key="large", UploadId=uploads[0]["UploadId"])
        return len(listed.get("Parts", []))

    until(lambda: arrived() >= 2, "two parts")
    left.kill()
    right.proxy.cut()
    left.start(right)
    until(lambda: left.status("photos", "large") == "COMPLETED", "the object")
    assert right.s3.get_object(Bucket="photos", Key="large")["Body"].read() == whole
    # At most the part that was on its way goes twice.
    assert right.proxy.sent - before < (PARTS + 1) * PART_BYTES + MIB
    assert right.s3.list_multipart_uploads(Bucket="photos").get("Uploads", []) == []
