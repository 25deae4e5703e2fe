"""What `strata info`, `status`, `cost` and `lifecycle preview` say of a small store, as text and as JSON."""

import json

import boto3
import pytest

from server import ACCESS_KEY, CREDENTIALS, SECRET_KEY, Server, binary

# The exit statuses when the server refuses, and when a file named on the command line is of no use.
REFUSED = 1
UNUSABLE = 2
KIB = 1024
MIB = 1024 * KIB
# Objects by key: class and size. Words compress, so that what is stored of the cold ones is less than their size.
OBJECTS = {
    "hot": ("STANDARD", MIB),
    "cold": ("STANDARD_IA", MIB),
    "small": ("GLACIER_IR", 100),
    "tiered": ("INTELLIGENT_TIERING", MIB),
    "archived": ("DEEP_ARCHIVE", MIB),
}
RULES = """<LifecycleConfiguration><Rule><ID>all</ID><Filter/><Status>Enabled</Status>
<Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>
<Expiration><Days>100</Days></Expiration></Rule></LifecycleConfiguration>"""
# What the built-in prices make of these objects for a month, in USD.
GIB = 1024 * MIB
STORAGE = {
    "STANDARD": MIB / GIB * 0.023,
    "STANDARD_IA": MIB / GIB * 0.0125,
    # Billed as 128 KiB.
    "GLACIER_IR": 128 * KIB / GIB * 0.004,
    "INTELLIGENT_TIERING": MIB / GIB * 0.023,
    # 32 KiB more at its own price; 8 KiB at that of STANDARD are told apart.
    "DEEP_ARCHIVE": (MIB + 32 * KIB) / GIB * 0.00099,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own, whose store holds these objects and nothing else."""
    running = Server(tmp_path_factory.mktemp("cost"))
    s3 = boto3.client(
        "s3",
        endpoint_url=running.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
    )
    s3.create_bucket(Bucket="ledger")
    for key, (name, size) in OBJECTS.items():
        body = (f"{key} words " * size)[:size].encode()
        s3.put_object(Bucket="ledger", Key=key, Body=body, StorageClass=name)
    yield running
    assert running.stop() == 0, f"the server did not stop well:\n{running.errors()}"


@pytest.fixture
def strata(run, server):
    """Runs a command of the binary against the server, with the root credentials."""

    def strata(*words, **options):
        return run(binary(), *words, "--endpoint", server.url.rstrip("/"), extra=CREDENTIALS, **options)

    return strata


def columns(text, first):
    """The rows of a table as dictionaries; it begins with the column `first` and ends with an empty line."""
    lines = text.splitlines()
    at = next(n for n, line in enumerate(lines) if line.split()[:1] == [first])
    rows = []
    for line in lines[at + 1 :]:
        if not line.strip():
            break
        rows.append(line.split())
    return rows


def test_info_counts_objects_by_class(strata):
    report = json.loads(strata("info", "--json"))
    assert (report["objects"], report["delete_markers"]) == (len(OBJECTS), 0)
    assert report["bytes"] == sum(size for _, size in OBJECTS.values())
    found = {entry["class"]: (entry["objects"], entry["bytes"]) for entry in report["classes"]}
    assert found == {name: (1, size) for name, size in OBJECTS.values()}
    for entry in report["classes"]:
        # There is one zone, and so no second copy.
        assert 0 < entry["stored_bytes"] <= entry["physical_bytes"] < 1.1 * entry["stored_bytes"] + 4096
    text = strata("info")
    assert report["store_id"] in text
    assert [row[0] for row in columns(text, "CLASS")] == [entry["class"] for entry in report["classes"]]


def test_status_tells_of_the_workers(strata):
    report = json.loads(strata("status", "--json"))
    assert report["state"] == "ready"
    workers = {worker["name"]: worker for worker in report["workers"]}
    assert {"settle", "restore", "lifecycle"} <= workers.keys()
    assert [worker["last_error"] for worker in workers.values()] == [None] * len(workers)
    text = strata("status")
    assert text.startswith("ready\n")
    assert [row[0] for row in columns(text, "WORKER")] == [worker["name"] for worker in report["workers"]]


def test_cost_bills_each_class(strata):
    report = json.loads(strata("cost", "--json"))
    assert report["currency"] == "USD"
    lines = {line["class"]: line for line in report["lines"] if line["objects"]}
    assert {name: line["cost"]["storage"] for name, line in lines.items()} == pytest.approx(STORAGE)
    assert lines["GLACIER_IR"]["billable_bytes"] == 128 * KIB
    assert lines["DEEP_ARCHIVE"]["cost"]["archive_names"] == pytest.approx(8 * KIB / GIB * 0.023)
    assert lines["INTELLIGENT_TIERING"]["cost"]["monitoring"] == pytest.approx(0.0025 / 1000)
    assert lines["DEEP_ARCHIVE"]["write_requests"] == 1
    for cost in [line["cost"] for line in report["lines"]] + [report["total"]]:
        parts = sum(value for name, value in cost.items() if name != "total")
        assert cost["total"] == pytest.approx(parts)
    assert report["total"]["total"] == pytest.approx(sum(line["cost"]["total"] for line in report["lines"]))

    text = strata("cost")
    rows = columns(text, "BUCKET")
    assert [row[:2] for row in rows] == [["ledger", line["class"]] for line in report["lines"]]
    assert " -0" not in text, text


def test_cost_of_a_bucket_tells_what_its_rules_save(strata, run, server, tmp_path):
    assert "projection" not in json.loads(strata("cost", "--json"))
    report = json.loads(strata("cost", "ledger", "--json", "--days", "30"))
    assert report["days"] == 30
    assert report["projection"]["saved"] == pytest.approx(0)
    strata("cost", "no-such-bucket", status=REFUSED)


def test_cost_takes_another_table_of_prices(strata, run, tmp_path):
    table = run(binary(), "prices")
    assert "gb_month = 0.0125" in table
    (tmp_path / "prices.toml").write_text(table.replace('currency = "USD"', 'currency = "EUR"').replace("0.0125", "1.25"))
    report = json.loads(strata("cost", "--json", "--prices", tmp_path / "prices.toml"))
    assert report["currency"] == "EUR"
    lines = {line["class"]: line["cost"]["storage"] for line in report["lines"]}
    assert lines["STANDARD_IA"] == pytest.approx(100 * STORAGE["STANDARD_IA"])
    assert lines["STANDARD"] == pytest.approx(STORAGE["STANDARD"])
    assert "EUR" in strata("cost", "--prices", tmp_path / "prices.toml")
    (tmp_path / "broken.toml").write_text("region = 1")
    strata("cost", "--prices", tmp_path / "broken.toml", status=UNUSABLE)
    strata("cost", "--prices", tmp_path / "missing.toml", status=UNUSABLE)


def test_preview_changes_nothing(strata, tmp_path):
    (tmp_path / "rules.xml").write_text(RULES)
    before = strata("info", "--json")
    words = ["lifecycle", "preview", "ledger", "--rules", tmp_path / "rules.xml"]
    report = json.loads(strata(*words, "--json"))
    found = {}
    for event in report["events"]:
        found.setdefault(event["key"], []).append((event["action"], event.get("to")))
    # Only what is in STANDARD can go to STANDARD_IA; what nobody reads goes through the tiers.
    before_the_end = {
        "hot": [("transition", "STANDARD_IA")],
        "tiered": [("tier", "INFREQUENT"), ("tier", "ARCHIVE_INSTANT_ACCESS")],
    }
    assert found == {key: [*before_the_end.get(key, []), ("expire", None)] for key in OBJECTS}
    assert report["projection"]["removed_versions"] == len(OBJECTS)
    assert report["projection"]["removed_bytes"] == sum(size for _, size in OBJECTS.values())
    assert report["projection"]["saved"] > 0
    few = json.loads(strata(*words, "--json", "--days", "40"))
    assert {event["key"] for event in few["events"]} == set(before_the_end)
    text = strata(*words)
    assert text.count(" expire ") == len(OBJECTS)
    assert "saved" in text
    left = [json.loads(report) for report in (before, strata("info", "--json"))]
    assert left[0]["classes"] == left[1]["classes"]
    (tmp_path / "rules.xml").write_text("<LifecycleConfiguration/>")
    strata(*words, status=REFUSED)
