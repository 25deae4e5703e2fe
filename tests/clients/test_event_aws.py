"""Events of the real binary at SQS, SNS and EventBridge as moto serves them, read there with boto3."""

import json
import subprocess
import sys
import time

import boto3
import botocore.config
import botocore.exceptions
import pytest

from brokers import free_port
from server import ACCESS_KEY, SECRET_KEY, Server, refused_start

SECONDS_MAX = 60
REGION = "us-east-1"
ACCOUNT = "123456789012"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:events"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:events"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
EVENTS = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
KEYS = ["a b+\u00fc", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]


class Moto:
    """What AWS would be. It forgets everything when it is stopped."""

    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + SECONDS_MAX
        while True:
            try:
                return self.client("sqs").list_queues()
            except botocore.exceptions.BotoCoreError as error:
                assert self.process.poll() is None and time.monotonic() < end, f"moto does not start: {error!r}"
                time.sleep(0.1)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=botocore.config.Config(retries={"max_attempts": 0}),
        )

    def target(self, arn, kind, more=""):
        keys = 'access_key = "testing"\nsecret_key = "testing"\nretries = 1\n'
        return f'[[events.targets]]\narn = "{arn}"\nkind = "{kind}"\nendpoint = "{self.url}"\n{keys}{more}\n'

    def queue_url(self, name="events"):
        return f"{self.url}/{ACCOUNT}/{name}"

    def receive(self, count, name="events"):
        """That many messages off the queue, in the order in which they come."""
        found, end = [], time.monotonic() + SECONDS_MAX
        while len(found) < count:
            assert time.monotonic() < end, found
            got = self.client("sqs").receive_message(
                QueueUrl=self.queue_url(name), MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in got.get("Messages", []):
                found.append(json.loads(message["Body"]))
                self.client("sqs").delete_message(QueueUrl=self.queue_url(name), ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture
def moto():
    running = Moto()
    yield running
    running.stop()


def start(tmp_path, text):
    settings = tmp_path / "strata.toml"
    settings.write_text(text)
    server = Server(tmp_path / "data", "--config", str(settings))
    s3 = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=botocore.config.Config(retries={"max_attempts": 1}),
    )
    s3.create_bucket(Bucket="bucket")
    return server, s3


def notify(s3, configuration):
    s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration=configuration)


def play(s3):
    for key in KEYS:
        s3.put_object(Bucket="bucket", Key=key, Body=b"body")
        s3.delete_object(Bucket="bucket", Key=key)


def check_records(messages):
    """Whether S3's messages tell of what `play` does, in the order of each key."""
    by_key = {}
    for message in messages:
        (record,) = message["Records"]
        assert (record["eventSource"], record["s3"]["bucket"]["name"]) == ("aws:s3", "bucket")
        entity = record["s3"]["object"]
        by_key.setdefault(entity["key"], []).append((entity["sequencer"], record["eventName"]))
    assert sorted(by_key) == sorted(["a+b%2B%C3%BC", *KEYS[1:]])
    for seen in by_key.values():
        assert [name for _, name in sorted(seen)] == ["ObjectCreated:Put", "ObjectRemoved:Delete"], by_key


def test_sqs(moto, tmp_path):
    server, s3 = start(tmp_path, moto.target(QUEUE, "sqs", f'queue_url = "{moto.queue_url()}"'))
    wanted = {"QueueConfigurations": [{"QueueArn": QUEUE, "Events": EVENTS}]}
    with pytest.raises(s3.exceptions.ClientError, match="Unable to validate the following destination configurations"):
        notify(s3, wanted)
    moto.client("sqs").create_queue(QueueName="events")
    notify(s3, wanted)
    (test,) = moto.receive(1)
    assert (test["Service"], test["Event"], test["Bucket"]) == ("Amazon S3", "s3:TestEvent", "bucket")
    play(s3)
    check_records(moto.receive(2 * len(KEYS)))
    # A service that is away loses nothing, even if its queue is missing when it returns.
    moto.stop()
    play(s3)
    moto.start()
    moto.client("sqs").create_queue(QueueName="events")
    check_records(moto.receive(2 * len(KEYS)))
    assert server.stop() == 0, server.errors()


def test_sns(moto, tmp_path):
    server, s3 = start(tmp_path, moto.target(TOPIC, "sns"))
    assert moto.client("sns").create_topic(Name="events")["TopicArn"] == TOPIC
    moto.client("sqs").create_queue(QueueName="events")
    moto.client("sns").subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=QUEUE)
    notify(s3, {"TopicConfigurations": [{"TopicArn": TOPIC, "Events": EVENTS}]})
    (test,) = moto.receive(1)
    assert (test["Type"], test["TopicArn"], test["Subject"]) == ("Notification", TOPIC, "Amazon S3 Notification")
    assert json.loads(test["Message"])["Event"] == "s3:TestEvent"
    play(s3)
    check_records([json.loads(message["Message"]) for message in moto.receive(2 * len(KEYS))])
    assert server.stop() == 0, server.errors()


def test_event_bridge(moto, tmp_path):
    # AWS takes events of the source aws.s3 from itself alone.
    server, s3 = start(tmp_path, moto.target(BUS, "event_bridge", 'source = "strata.s3"'))
    moto.client("sqs").create_queue(QueueName="events")
    buses = moto.client("events")
    buses.put_rule(Name="all", EventPattern=json.dumps({"source": ["strata.s3"]}))
    buses.put_targets(Rule="all", Targets=[{"Id": "queue", "Arn": QUEUE}])
    notify(s3, {"EventBridgeConfiguration": {}})
    play(s3)
    by_key = {}
    for event in moto.receive(2 * len(KEYS)):
        detail = event["detail"]
        assert (event.get("source"), event.get("resources")) == ("strata.s3", ["arn:aws:s3:::bucket"]), event
        assert (detail["version"], detail["bucket"]) == ("0", {"name": "bucket"})
        by_key.setdefault(detail["object"]["key"], []).append((detail["object"]["sequencer"], event["detail-type"]))
    assert sorted(by_key) == sorted(KEYS)
    for seen in by_key.values():
        assert [name for _, name in sorted(seen)] == ["Object Created", "Object Deleted"], by_key
    assert server.stop() == 0, server.errors()


def test_what_a_queue_refuses_goes_to_another(moto, tmp_path):
    """SQS refuses a message as a whole that is longer than the queue allows; it is tried again, then sent elsewhere."""
    failed = f"arn:aws:sqs:{REGION}:{ACCOUNT}:failed"
    first = moto.target(QUEUE, "sqs", f'queue_url = "{moto.queue_url()}"\non_failure = "{failed}"')
    second = moto.target(failed, "sqs", f'queue_url = "{moto.queue_url("failed")}"')
    server, s3 = start(tmp_path, first + second)
    moto.client("sqs").create_queue(QueueName="events", Attributes={"MaximumMessageSize": "1024"})
    moto.client("sqs").create_queue(QueueName="failed")
    notify(s3, {"QueueConfigurations": [{"QueueArn": QUEUE, "Events": ["s3:ObjectCreated:*"]}]})
    assert moto.receive(1)[0]["Event"] == "s3:TestEvent"
    s3.put_object(Bucket="bucket", Key="x" * 1000, Body=b"x")
    s3.put_object(Bucket="bucket", Key="short", Body=b"x")
    (refused,) = moto.receive(1, "failed")
    assert refused["Records"][0]["s3"]["object"]["key"] == "x" * 1000
    assert moto.receive(1)[0]["Records"][0]["s3"]["object"]["key"] == "short"
    assert server.stop() == 0, server.errors()


def test_fifo_is_no_destination(moto, tmp_path):
    server, s3 = start(tmp_path, moto.target(QUEUE, "sqs", f'queue_url = "{moto.queue_url()}"'))
    for kind, name, arn in [("Queue", "QueueArn", QUEUE), ("Topic", "TopicArn", TOPIC)]:
        with pytest.raises(s3.exceptions.ClientError, match="FIFO") as refused:
            notify(s3, {f"{kind}Configurations": [{name: f"{arn}.fifo", "Events": EVENTS}]})
        assert refused.value.response["Error"]["Code"] == "InvalidArgument"
    assert server.stop() == 0, server.errors()
    for arn, kind, more in [
        (QUEUE, "sqs", f'queue_url = "{moto.queue_url("events.fifo")}"'),
        (TOPIC, "sns", f'topic_arn = "{TOPIC}.fifo"'),
    ]:
        (tmp_path / "fifo.toml").write_text(moto.target(arn, kind, more))
        said = refused_start(tmp_path / "other", "--config", str(tmp_path / "fifo.toml"))
        assert "FIFO" in said
