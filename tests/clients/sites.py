"""Servers that replicate to each other: started, killed and asked, for the tests of replication."""

import json
import time
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import boto3
from botocore.config import Config

from proxy import Proxy
from server import ACCESS_KEY, SECRET_KEY, Server, binary

WAIT_SECONDS_MAX = 120
ROLE = "arn:aws:iam::000000000000:role/replication"
XMLNS = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def client(url: str, service: str = "s3"):
    """A boto3 client of the server there."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
    )


def until(condition, what: str):
    """Waits until the condition holds; a deadline, not a pause."""
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


class Side:
    """A server that can be killed and started again behind a proxy."""

    def __init__(self, directory, name: str):
        self.directory = directory
        self.name = name
        self.data = directory / name
        self.config = directory / f"{name}.toml"
        self.config.write_text("")
        self.proxy = Proxy(("127.0.0.1", 9))
        self.server = None

    def start(self, *others: "Side", read_only: bool = False) -> None:
        """Starts, or starts again, knowing the other sides."""
        regions = (
            f'[[regions]]\nname = "{other.name}"\nendpoint = "{other.proxy.url}"\n'
            f'region = "us-east-1"\naccess_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n'
            for other in others
        )
        self.config.write_text(f"[replication]\nread_only = {str(read_only).lower()}\n" + "".join(regions))
        self.server = Server(self.data, "--config", str(self.config))
        self.proxy.target = self.server.address
        self.s3 = client(self.server.url)

    def restart(self, other: "Side", read_only: bool) -> None:
        """Stops as asked, and starts again with that setting."""
        assert self.server.stop() == 0, self.server.errors()
        self.start(other, read_only=read_only)

    def kill(self) -> None:
        """kill -9, and all its connections with it."""
        self.server.kill()
        self.proxy.cut()

    def stop(self) -> None:
        """Stops as asked."""
        assert self.server.stop() == 0, self.server.errors()
        self.proxy.close()

    def prepare(self, bucket: str, lock: bool = False) -> None:
        """A versioned bucket, and the role for it."""
        self.s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=lock)
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        iam = client(self.server.url, "iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
        allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        try:
            iam.create_role(RoleName="replication", AssumeRolePolicyDocument=document(trust))
        except iam.exceptions.EntityAlreadyExistsException:
            return
        iam.put_role_policy(RoleName="replication", PolicyName="all", PolicyDocument=document(allow))

    def replicate(self, bucket: str, *destinations: str, **more) -> None:
        """A rule for everything to each of these buckets."""
        others = more.pop("Destination", {})
        rules = [
            {
                "ID": f"to-{destination}",
                "Priority": number,
                "Filter": {},
                "Status": "Enabled",
                "DeleteMarkerReplication": {"Status": "Enabled"},
                "Destination": {"Bucket": f"arn:aws:s3:::{destination}", **others},
                **more,
            }
            for number, destination in enumerate(destinations, start=1)
        ]
        configuration = {"Role": ROLE, "Rules": rules}
        self.s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration=configuration)

    def queues(self, bucket: str, run) -> list[dict]:
        """What is known of the bucket's queues, as the command says."""
        said = run(binary(), "replication", "status", bucket, "--json", "--endpoint", self.server.url)
        return json.loads(said)["queues"]

    def waiting(self, bucket: str, run) -> int:
        """What waits to be sent."""
        return sum(queue["waiting"] for queue in self.queues(bucket, run))

    def status(self, bucket: str, key: str, **more) -> str:
        """The version's replication status."""
        return self.s3.head_object(Bucket=bucket, Key=key, **more).get("ReplicationStatus", "")

    def versions(self, bucket: str) -> list[tuple]:
        """Every version and marker, as far as both sides must agree."""
        found = []
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for version in page.get("Versions", []):
                found.append((version["Key"], version["VersionId"], version["IsLatest"], version["ETag"], version["Size"]))
            for marker in page.get("DeleteMarkers", []):
                found.append((marker["Key"], marker["VersionId"], marker["IsLatest"], "", 0))
        return sorted(found)

    def listing(self, bucket: str) -> list[tuple]:
        """The same in the order of the listing, with their times."""
        found, markers = [], {}
        while True:
            query = urlencode({"versions": "", **markers}, quote_via=quote, safe="-_.~")
            answer = self.server.api().call("GET", f"/{bucket}?{query}")
            assert answer.status == 200, answer
            page = ElementTree.fromstring(answer.body)
            for entry in page:
                if entry.tag in (f"{XMLNS}Version", f"{XMLNS}DeleteMarker"):
                    names = ("Key", "VersionId", "IsLatest", "LastModified", "ETag", "Size")
                    found.append((entry.tag.removeprefix(XMLNS), *(entry.findtext(XMLNS + name) for name in names)))
            if page.findtext(f"{XMLNS}IsTruncated") != "true":
                return found
            names = {"key-marker": "NextKeyMarker", "version-id-marker": "NextVersionIdMarker"}
            markers = {name: page.findtext(XMLNS + element, "") for name, element in names.items()}


def document(statement: dict) -> str:
    """A policy of one statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
