"""restic: a backup program whose repository must stay whole; it uploads with signed chunks."""

import json

import pytest

from content import MIB, numbered_bytes


@pytest.fixture
def restic(run, server, bucket, tmp_path):
    """Runs restic on a repository in the bucket."""
    settings = {
        "RESTIC_REPOSITORY": f"s3:{server.url.rstrip('/')}/{bucket}/backup",
        "RESTIC_PASSWORD": "correct horse battery staple",
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }
    return lambda *arguments, **options: run("restic", *arguments, extra=settings, **options)


def files(root):
    """Every file below a directory with its bytes."""
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_backup_check_restore_forget(restic, tmp_path):
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "large").write_bytes(numbered_bytes(24 * MIB))
    for number in range(200):
        (source / "deep" / f"{number}").write_bytes(numbered_bytes(1000 + number, seed=number))
    restic("init")
    restic("backup", source)
    first = files(source)
    (source / "large").write_bytes(numbered_bytes(3 * MIB, seed=1))
    (source / "deep" / "7").unlink()
    restic("backup", source)
    restic("check", "--read-data")

    snapshots = json.loads(restic("snapshots", "--json"))
    assert len(snapshots) == 2
    for snapshot, expected in zip(snapshots, (first, files(source)), strict=True):
        target = tmp_path / snapshot["short_id"]
        restic("restore", snapshot["short_id"], "--target", target)
        assert files(target / source.relative_to("/")) == expected

    restic("forget", "--keep-last", "1", "--prune")
    restic("check", "--read-data")
    assert len(json.loads(restic("snapshots", "--json"))) == 1


def test_absent_repository(restic):
    restic("snapshots", status=1)
