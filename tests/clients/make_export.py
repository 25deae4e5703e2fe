"""Makes the export that test_moving.py keeps: `STRATA_BIN=... python make_export.py FILE`. Only before its form is released."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from server import ACCESS_KEY, SECRET_KEY, Server, binary, clean_environment
from sites import client

BUCKET = "kept"


def fill(s3) -> None:
    """A small bucket with every kind of version."""
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"first", Metadata={"word": "=?UTF-8?B?Z3LDvG4=?="}, ContentType="text/plain")
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"second", Tagging="one=1&two=%2B")
    s3.delete_object(Bucket=BUCKET, Key="a")
    s3.put_object(Bucket=BUCKET, Key="../ü/\x07//" + "k" * 300, Body=b"odd")
    s3.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    s3.put_object(Bucket=BUCKET, Key="rare", Body=b"r" * 5000, StorageClass="STANDARD_IA", ChecksumAlgorithm="SHA256")
    s3.put_object(Bucket=BUCKET, Key="frozen", Body=b"f", StorageClass="GLACIER")
    begun = s3.create_multipart_upload(Bucket=BUCKET, Key="parts", ChecksumAlgorithm="CRC32")["UploadId"]
    about = {"Bucket": BUCKET, "Key": "parts", "UploadId": begun}
    part = s3.upload_part(PartNumber=1, Body=b"one part", ChecksumAlgorithm="CRC32", **about)
    listed = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]
    s3.complete_multipart_upload(MultipartUpload={"Parts": listed}, **about)
    s3.put_object(Bucket=BUCKET, Key="held", Body=b"h", ChecksumAlgorithm="CRC32", ObjectLockLegalHoldStatus="ON")
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [{"Key": "team", "Value": "a+b"}]})


def main(file: str) -> None:
    """Writes the file, and prints what is in it."""
    with tempfile.TemporaryDirectory() as data:
        server = Server(Path(data))
        s3 = client(server.url)
        fill(s3)
        environment = clean_environment({"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY})
        words = [binary(), "export", BUCKET, file, "--endpoint", server.url]
        assert subprocess.run(words, env=environment, check=False).returncode == 1, "one object is archived"
        page = s3.list_object_versions(Bucket=BUCKET)
        for version in page["Versions"] + page["DeleteMarkers"]:
            named = [version["Key"], version["VersionId"], version["IsLatest"], version.get("ETag"), version.get("Size")]
            print(json.dumps([*named, version["LastModified"].isoformat()]))
        server.stop()


if __name__ == "__main__":
    main(sys.argv[1])
