"""s3cmd: the oldest client still in wide use, with signing and XML reading of its own."""

import pytest

from content import MIB, numbered_bytes


def test_bucket_comes_and_goes(s3cmd, bucket_name):
    s3cmd("mb", f"s3://{bucket_name}")
    assert f"s3://{bucket_name}" in s3cmd("ls")
    s3cmd("rb", f"s3://{bucket_name}")
    assert f"s3://{bucket_name}" not in s3cmd("ls")


@pytest.mark.parametrize("size", [0, 5, 100_000, 11 * MIB])
def test_put_and_get(s3cmd, bucket, tmp_path, size):
    data = numbered_bytes(size, seed=size)
    (tmp_path / "up").write_bytes(data)
    s3cmd("put", "--multipart-chunk-size-mb", "5", tmp_path / "up", f"s3://{bucket}/a b/ü+")
    s3cmd("get", f"s3://{bucket}/a b/ü+", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == data
    assert f"s3://{bucket}/a b/" in s3cmd("ls", f"s3://{bucket}")


def test_get_what_is_not_there(s3cmd, bucket, tmp_path):
    # 64 is the exit status for a source that does not exist.
    s3cmd("get", f"s3://{bucket}/none", tmp_path / "none", status=64)


def test_sync_both_ways(s3cmd, bucket, tmp_path):
    here, back = tmp_path / "here", tmp_path / "back"
    names = ["a", "sub/b", "sub/c"]
    for name in names:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    back.mkdir()
    s3cmd("sync", f"{here}/", f"s3://{bucket}/tree/")
    (here / "a").unlink()
    s3cmd("sync", "--delete-removed", f"{here}/", f"s3://{bucket}/tree/")
    s3cmd("sync", f"s3://{bucket}/tree/", f"{back}/")
    assert sorted(str(file.relative_to(back)) for file in back.rglob("*") if file.is_file()) == names[1:]


def test_copy_move_delete(s3cmd, bucket, tmp_path):
    (tmp_path / "up").write_bytes(b"text")
    s3cmd("put", tmp_path / "up", f"s3://{bucket}/a")
    s3cmd("cp", f"s3://{bucket}/a", f"s3://{bucket}/b")
    s3cmd("mv", f"s3://{bucket}/b", f"s3://{bucket}/c")
    listed = s3cmd("ls", f"s3://{bucket}")
    assert "/a" in listed and "/c" in listed and "/b" not in listed
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}")
    assert s3cmd("ls", f"s3://{bucket}") == ""


def test_multipart_uploads_are_listed(s3cmd, bucket, api):
    answer = api.call("POST", f"/{bucket}/open?uploads")
    assert answer.element("UploadId") in s3cmd("multipart", f"s3://{bucket}")
    s3cmd("abortmp", f"s3://{bucket}/open", answer.element("UploadId"))
    assert answer.element("UploadId") not in s3cmd("multipart", f"s3://{bucket}")


def test_lifecycle(s3cmd, bucket, tmp_path):
    s3cmd("expire", "--expiry-days", "7", "--expiry-prefix", "logs/", f"s3://{bucket}")
    shown = s3cmd("getlifecycle", f"s3://{bucket}")
    assert "<Days>7</Days>" in shown and "<Prefix>logs/</Prefix>" in shown
    rule = "<Rule><ID>old</ID><Prefix>a/</Prefix><Status>Enabled</Status><Expiration><Days>9</Days></Expiration></Rule>"
    (tmp_path / "rules").write_text(f"<LifecycleConfiguration>{rule}</LifecycleConfiguration>")
    s3cmd("setlifecycle", tmp_path / "rules", f"s3://{bucket}")
    assert "<ID>old</ID>" in s3cmd("getlifecycle", f"s3://{bucket}")
    s3cmd("dellifecycle", f"s3://{bucket}")
    s3cmd("getlifecycle", f"s3://{bucket}", status=12)
