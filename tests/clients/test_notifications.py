"""Event notifications of the real binary: webhooks, a handler that makes derived objects, losses, and what survives kill -9."""

import http.server
import json
import os
import queue
import subprocess
import sys
import threading
import time

import boto3
import botocore.config
import pytest

from server import ACCESS_KEY, CREDENTIALS, SECRET_KEY, Server, binary, clean_environment

ARN = "arn:aws:sqs:us-east-1:000000000000:events"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:thumbnails"
SECONDS_MAX = 60


class Receiver:
    """A webhook: keeps what is posted to it. It can be stopped and started at the same port."""

    def __init__(self):
        self.messages = queue.Queue()
        self.port = 0
        self.start()

    def start(self):
        messages = self.messages

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                messages.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.answer()

            def do_HEAD(self):
                self.answer()

            def answer(self):
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    def events(self, count):
        """The next events: name, key and sequencer of each."""
        found = []
        while len(found) < count:
            message = self.messages.get(timeout=SECONDS_MAX)
            for record in message.get("Records", []):
                entity = record["s3"]["object"]
                found.append((record["eventName"], entity["key"], entity["sequencer"]))
        return found


@pytest.fixture
def receiver():
    running = Receiver()
    yield running
    running.stop()


def webhook(receiver):
    return f'[[events.targets]]\narn = "{ARN}"\nkind = "webhook"\nurl = "http://127.0.0.1:{receiver.port}/"\n'


def start(tmp_path, text):
    settings = tmp_path / "strata.toml"
    settings.write_text(text)
    return Server(tmp_path / "data", "--config", str(settings))


def client(server):
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=botocore.config.Config(retries={"max_attempts": 1}),
    )


def configuration(events):
    return {"QueueConfigurations": [{"Id": "all", "QueueArn": ARN, "Events": events}]}


def test_boto3_and_aws_cli_agree(tmp_path, receiver, run):
    server = start(tmp_path, webhook(receiver))
    s3 = client(server)
    s3.create_bucket(Bucket="bucket")
    wanted = configuration(["s3:ObjectCreated:*", "s3:ObjectRemoved:*"])
    key = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".jpg"}]}}
    wanted["QueueConfigurations"][0]["Filter"] = key
    s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration=wanted)
    assert receiver.messages.get(timeout=SECONDS_MAX)["Event"] == "s3:TestEvent"
    found = s3.get_bucket_notification_configuration(Bucket="bucket")
    assert found["QueueConfigurations"] == wanted["QueueConfigurations"]
    endpoint = {"AWS_ENDPOINT_URL": server.url}
    said = run("aws", "s3api", "get-bucket-notification-configuration", "--bucket", "bucket", extra=endpoint)
    assert json.loads(said)["QueueConfigurations"] == wanted["QueueConfigurations"]
    s3.put_object(Bucket="bucket", Key="out/a.jpg", Body=b"x")
    s3.put_object(Bucket="bucket", Key="in/a.jpg", Body=b"x")
    s3.delete_object(Bucket="bucket", Key="in/a.jpg")
    (made, made_key, first), (removed, removed_key, second) = receiver.events(2)
    assert (made, removed) == ("ObjectCreated:Put", "ObjectRemoved:Delete")
    assert made_key == removed_key == "in/a.jpg" and first < second
    wrong = {"QueueConfigurations": [{"QueueArn": ARN + "x", "Events": ["s3:ObjectCreated:*"]}]}
    with pytest.raises(s3.exceptions.ClientError, match="Unable to validate the following destination configurations"):
        s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration=wrong)
    s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration={})
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket="bucket")
    assert server.stop() == 0, server.errors()


def test_killed_between_commit_and_delivery(tmp_path, receiver):
    text = webhook(receiver)
    server = start(tmp_path, text)
    s3 = client(server)
    s3.create_bucket(Bucket="bucket")
    wanted = configuration(["s3:ObjectCreated:*"])
    s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration=wanted)
    assert receiver.messages.get(timeout=SECONDS_MAX)["Event"] == "s3:TestEvent"
    # Nobody takes these before the server dies.
    receiver.stop()
    for index in range(20):
        s3.put_object(Bucket="bucket", Key=f"{index:02}", Body=b"x")
    server.kill()
    receiver.start()
    server = start(tmp_path, text)
    found = {key for _, key, _ in receiver.events(20)}
    assert found == {f"{index:02}" for index in range(20)}
    assert server.stop() == 0, server.errors()


def test_a_target_that_is_away_slows_nobody_down(tmp_path, receiver):
    server = start(tmp_path, webhook(receiver))
    s3 = client(server)
    s3.create_bucket(Bucket="bucket")
    wanted = configuration(["s3:ObjectCreated:*", "s3:ObjectTagging:*"])
    s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration=wanted)
    assert receiver.messages.get(timeout=SECONDS_MAX)["Event"] == "s3:TestEvent"
    receiver.stop()
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    slowest = 0.0
    for index in range(50):
        begin = time.monotonic()
        s3.put_object(Bucket="bucket", Key=f"k{index % 5}", Body=b"x")
        s3.put_object_tagging(Bucket="bucket", Key=f"k{index % 5}", Tagging=tags)
        slowest = max(slowest, time.monotonic() - begin)
    # A request never waits for a target, whose timeouts are many seconds.
    assert slowest < 5
    receiver.start()
    found = receiver.events(100)
    for index in range(5):
        of_key = [(name, sequencer) for name, key, sequencer in found if key == f"k{index}"]
        assert [name for name, _ in of_key] == ["ObjectCreated:Put", "ObjectTagging:Put"] * 10
        assert [sequencer for _, sequencer in of_key] == sorted(sequencer for _, sequencer in of_key)
    assert server.stop() == 0, server.errors()


HANDLER = """
import json, sys, urllib.parse
import boto3
s3 = boto3.client("s3", endpoint_url=open(sys.argv[1]).read(), region_name="us-east-1",
                  aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])
for record in json.load(sys.stdin)["Records"]:
    bucket, key = record["s3"]["bucket"]["name"], urllib.parse.unquote_plus(record["s3"]["object"]["key"])
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key="thumbnails/" + key.removeprefix("images/"), Body=body[:8])
"""


def test_a_handler_makes_derived_objects(tmp_path):
    handler, place = tmp_path / "handler.py", tmp_path / "endpoint"
    handler.write_text(HANDLER)
    command = json.dumps([sys.executable, str(handler), str(place), ACCESS_KEY, SECRET_KEY])
    text = f'[[events.targets]]\narn = "{FUNCTION}"\nkind = "exec"\ncommand = {command}\nmemory = "4GiB"\n'
    server = start(tmp_path, text)
    place.write_text(server.url)
    s3 = client(server)
    s3.create_bucket(Bucket="bucket")
    key = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "images/"}]}}
    wanted = {
        "LambdaFunctionConfigurations": [
            {"Id": "thumbnails", "LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectCreated:*"], "Filter": key}
        ]
    }
    s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration=wanted)
    s3.put_object(Bucket="bucket", Key="images/a b+\u00fc.jpg", Body=b"0123456789abcdef")
    end = time.monotonic() + SECONDS_MAX
    while s3.list_objects_v2(Bucket="bucket", Prefix="thumbnails/")["KeyCount"] == 0:
        assert time.monotonic() < end, server.errors()
        time.sleep(0.1)
    assert s3.get_object(Bucket="bucket", Key="thumbnails/a b+\u00fc.jpg")["Body"].read() == b"01234567"
    assert server.stop() == 0, server.errors()


def strata(server, *arguments):
    environment = clean_environment({**CREDENTIALS, "STRATA_DATA": str(server.data)})
    command = [binary(), *arguments, "--endpoint", server.url]
    environment.update({"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY})
    return command, environment


def ask(server, *arguments):
    command, environment = strata(server, *arguments)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_shows_events(tmp_path):
    refusing = f'[[events.targets]]\narn = "{FUNCTION}"\nkind = "exec"\ncommand = ["/bin/false"]\nretries = 0\n'
    server = start(tmp_path, refusing)
    s3 = client(server)
    s3.create_bucket(Bucket="bucket")
    wanted = {"LambdaFunctionConfigurations": [{"LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration=wanted)
    command, environment = strata(server, "events", "tail", "bucket", "--json")
    tail = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    lines = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in tail.stdout], daemon=True).start()
    # Nobody says when the tail has begun, so objects are put until it shows one.
    end = time.monotonic() + SECONDS_MAX
    while lines.empty():
        assert time.monotonic() < end, server.errors()
        s3.put_object(Bucket="bucket", Key="key", Body=b"x")
        time.sleep(0.1)
    event = json.loads(lines.get())
    assert (event["event"], event["bucket"], event["key"]) == ("ObjectCreated:Put", "bucket", "key")
    end = time.monotonic() + SECONDS_MAX
    while True:
        (status,) = json.loads(ask(server, "events", "status", "--json"))["targets"]
        if status["aside"] > 0 and status["waiting"] == 0:
            break
        assert time.monotonic() < end, status
        time.sleep(0.1)
    assert (status["state"], status["delivered"]) == ("ready", 0)
    assert FUNCTION in ask(server, "status")
    failed = json.loads(ask(server, "events", "failed", FUNCTION, "--json"))["events"]
    assert len(failed) == status["aside"] and failed[0]["key"] == "key" and failed[0]["attempts"] == 1
    assert "are delivered anew" in ask(server, "events", "retry", FUNCTION)
    assert "are forgotten" in ask(server, "events", "drop", FUNCTION)
    # A tail that is open does not keep the server from stopping.
    assert server.stop() == 0, server.errors()
    assert tail.wait(timeout=SECONDS_MAX) == 0


def damage(server):
    """Changes a byte among the first that every segment holds, so that a read fails before its answer begins."""
    for path in (server.data / "segments").iterdir():
        with open(path, "r+b") as segment:
            segment.seek(8192)
            byte = segment.read(1)[0]
            segment.seek(8192)
            segment.write(bytes([byte ^ 1]))


def test_a_tail_says_that_its_server_is_gone(tmp_path):
    server = Server(tmp_path)
    s3 = client(server)
    s3.create_bucket(Bucket="bucket")
    command, environment = strata(server, "events", "tail", "bucket")
    tail = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in tail.stdout], daemon=True).start()
    end = time.monotonic() + SECONDS_MAX
    while lines.empty() and time.monotonic() < end:
        s3.put_object(Bucket="bucket", Key="key", Body=b"x")
    assert not lines.empty(), "the tail shows nothing"
    server.kill()
    assert tail.wait(timeout=SECONDS_MAX) == 1
    said = tail.stderr.read()
    assert "was lost" in said and "no server answers" not in said, said


def test_a_lost_object_is_told_of_once(tmp_path, receiver):
    server = start(tmp_path, webhook(receiver))
    s3 = client(server)
    s3.create_bucket(Bucket="bucket")
    wanted = configuration(["s3:ReducedRedundancyLostObject"])
    s3.put_bucket_notification_configuration(Bucket="bucket", NotificationConfiguration=wanted)
    assert receiver.messages.get(timeout=SECONDS_MAX)["Event"] == "s3:TestEvent"
    body = os.urandom(1 << 20)
    for key, storage_class in [("kept", "STANDARD"), ("lost", "REDUCED_REDUNDANCY")]:
        s3.put_object(Bucket="bucket", Key=key, Body=body, StorageClass=storage_class)
    # The same bytes are stored once, so both objects have them.
    damage(server)
    for key, status in [("kept", 500), ("lost", 405), ("lost", 405)]:
        with pytest.raises(s3.exceptions.ClientError) as failed:
            s3.get_object(Bucket="bucket", Key=key)
        assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    s3.copy_object(Bucket="bucket", Key="again", CopySource="bucket/lost", StorageClass="REDUCED_REDUNDANCY")
    with pytest.raises(s3.exceptions.ClientError):
        s3.get_object(Bucket="bucket", Key="again")
    assert [(name, key) for name, key, _ in receiver.events(2)] == [
        ("ReducedRedundancyLostObject", "lost"),
        ("ReducedRedundancyLostObject", "again"),
    ]
    assert receiver.messages.empty()
    assert server.stop() == 0, server.errors()
