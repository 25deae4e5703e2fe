"""rclone, as Debian packages it: copy, sync, check, list, move and stream."""

import json

import pytest

from content import MIB, numbered_bytes


@pytest.fixture
def tree(tmp_path):
    """A directory with small, empty, large and oddly named files."""
    root = tmp_path / "tree"
    sizes = {"a.txt": 3, "empty": 0, "sub/b": 70_000, "sub/c d+e.txt": 5, "sub/ü": 4096, "large": 12 * MIB + 1}
    for name, size in sizes.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(numbered_bytes(size, seed=size))
    return root


def test_copy_and_check(rclone, bucket, tree, tmp_path):
    rclone("copy", tree, f"strata:{bucket}/tree")
    rclone("check", tree, f"strata:{bucket}/tree")
    rclone("check", "--download", tree, f"strata:{bucket}/tree")
    rclone("copy", f"strata:{bucket}/tree", tmp_path / "back")
    rclone("check", tree, tmp_path / "back")


def test_check_sees_a_difference(rclone, bucket, tree):
    rclone("copy", tree, f"strata:{bucket}")
    (tree / "a.txt").write_bytes(b"xyz")
    rclone("check", tree, f"strata:{bucket}", status=1)


def test_sync_removes_and_keeps_modification_times(rclone, bucket, tree):
    rclone("sync", tree, f"strata:{bucket}")
    (tree / "a.txt").unlink()
    (tree / "new").write_bytes(b"new")
    rclone("sync", tree, f"strata:{bucket}")
    rclone("check", tree, f"strata:{bucket}")
    assert "a.txt" not in rclone("lsf", "-R", f"strata:{bucket}").split("\n")
    modified = {entry["Path"]: entry["ModTime"][:19] for entry in json.loads(rclone("lsjson", f"strata:{bucket}"))}
    local = {entry["Path"]: entry["ModTime"][:19] for entry in json.loads(rclone("lsjson", tree))}
    assert modified["new"] == local["new"]


def test_lsjson(rclone, bucket, tree):
    rclone("copy", tree, f"strata:{bucket}")
    listed = {entry["Path"]: entry for entry in json.loads(rclone("lsjson", "-R", "--hash", f"strata:{bucket}"))}
    assert listed["large"]["Size"] == 12 * MIB + 1
    assert listed["sub"]["IsDir"] and not listed["sub/c d+e.txt"]["IsDir"]
    top = {entry["Path"] for entry in json.loads(rclone("lsjson", f"strata:{bucket}"))}
    assert top == {"a.txt", "empty", "large", "sub"}


def test_move_on_the_server(rclone, bucket, tree):
    rclone("copy", tree, f"strata:{bucket}/old")
    rclone("moveto", f"strata:{bucket}/old/large", f"strata:{bucket}/new/large")
    rclone("copyto", f"strata:{bucket}/old/sub/ü", f"strata:{bucket}/new/ü")
    assert sorted(rclone("lsf", f"strata:{bucket}/new").split()) == ["large", "ü"]
    assert "large" not in rclone("lsf", f"strata:{bucket}/old").split()


def test_stream(rclone, bucket):
    data = b"0123456789" * 100
    rclone("rcat", f"strata:{bucket}/stream", input=data)
    assert rclone("cat", f"strata:{bucket}/stream") == data.decode()
    assert rclone("cat", "--offset", "10", "--count", "5", f"strata:{bucket}/stream") == "01234"


def test_bucket_comes_and_goes(rclone, bucket_name):
    rclone("mkdir", f"strata:{bucket_name}")
    assert bucket_name in rclone("lsd", "strata:")
    rclone("rmdir", f"strata:{bucket_name}")
    assert bucket_name not in rclone("lsd", "strata:")
