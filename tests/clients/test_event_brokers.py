"""Events of the real binary at real message brokers, which are killed and come back."""

import json
import time

import boto3
import botocore.config
import pytest

import brokers
from server import ACCESS_KEY, SECRET_KEY, Server

ARN = "arn:aws:sqs:us-east-1:000000000000:events"
# A broker that was away is tried again after seconds, and some take long to start.
SECONDS_MAX = 180
KEYS = ["a", "b/\u00fc +", "c"]
ROUND = ["ObjectCreated:Put", "ObjectRemoved:Delete"]


@pytest.fixture(params=brokers.KINDS)
def broker(request, tmp_path):
    running = brokers.KINDS[request.param](tmp_path / "broker")
    yield running
    running.close()


class Log:
    """What arrived, by keys and in order; repetitions, which have the same sequencer, count once."""

    def __init__(self, broker):
        self.broker = broker
        self.tests = 0
        self.names: dict[str, list[str]] = {}
        self.sequencers: dict[str, list[str]] = {}

    def read(self):
        for body in self.broker.take():
            message = json.loads(body)
            self.tests += message.get("Event") == "s3:TestEvent"
            for record in message.get("Records", []):
                key, sequencer = record["s3"]["object"]["key"], record["s3"]["object"]["sequencer"]
                if sequencer not in self.sequencers.setdefault(key, []):
                    self.sequencers[key].append(sequencer)
                    self.names.setdefault(key, []).append(record["eventName"])

    def wait_for(self, rounds, server):
        end = time.monotonic() + SECONDS_MAX
        while sum(map(len, self.names.values())) < rounds * len(KEYS) * len(ROUND):
            assert time.monotonic() < end, f"{self.names}\n{server.errors()}"
            time.sleep(0.1)
            self.read()
        expected = {key: ROUND * rounds for key in ["a", "b/%C3%BC+%2B", "c"]}
        assert self.names == expected
        assert all(sequencers == sorted(sequencers) for sequencers in self.sequencers.values())


def play(s3, rounds):
    for _ in range(rounds):
        for key in KEYS:
            s3.put_object(Bucket="bucket", Key=key, Body=b"x")
            s3.delete_object(Bucket="bucket", Key=key)


def test_nothing_is_lost_while_a_broker_dies_and_returns(broker, tmp_path):
    broker.start()
    settings = tmp_path / "strata.toml"
    # Until its queue is made again, a broker refuses what nobody would get.
    settings.write_text(f'[[events.targets]]\narn = "{ARN}"\nretries = 100\n{broker.settings()}')
    server = Server(tmp_path / "data", "--config", str(settings))
    s3 = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=botocore.config.Config(retries={"max_attempts": 1}),
    )
    s3.create_bucket(Bucket="bucket")
    events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    wanted = {"QueueConfigurations": [{"Id": "all", "QueueArn": ARN, "Events": events}]}
    s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration=wanted)
    log = Log(broker)
    play(s3, 3)
    log.wait_for(3, server)
    assert log.tests == 1
    broker.kill()
    # No configuration is taken that names a broker which is away.
    s3.create_bucket(Bucket="other")
    with pytest.raises(s3.exceptions.ClientError, match="Unable to validate the following destination configurations"):
        s3.put_bucket_notification_configuration(Bucket="other", NotificationConfiguration=wanted)
    play(s3, 3)
    broker.start()
    play(s3, 3)
    log.wait_for(9, server)
    # What waits while both are away is there after their return.
    broker.kill()
    play(s3, 2)
    server.kill()
    broker.start()
    server = Server(tmp_path / "data", "--config", str(settings))
    log.wait_for(11, server)
    assert server.stop() == 0, server.errors()
