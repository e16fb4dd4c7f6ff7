"""Runs from an object store to an object store, over the network of this machine."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest

from ldseg.cli import main
from ldseg.phantoms import write_phantoms

pytest.importorskip("pyarrow", reason="the record of an archive needs pyarrow: pip install 'ldseg[archive]'")

pytestmark = pytest.mark.integration

SETTINGS = ("--weights", "GlaS", "--steps", "1", "--formats", "mask,csv")


@contextmanager
def s3(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server as Amazon has them."""
    server = pytest.importorskip("moto.server", reason="needs an S3 server: pip install 'moto[server]'")
    pytest.importorskip("s3fs", reason="s3:// needs s3fs: pip install 'ldseg[archive]'")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name, value in {"ACCESS_KEY_ID": "any", "SECRET_ACCESS_KEY": "any", "DEFAULT_REGION": "us-east-1"}.items():
        patch.setenv(f"AWS_{name}", value)
    yield
    running.stop()


@contextmanager
def gs(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server as Google has them."""
    server = pytest.importorskip("gcp_storage_emulator.server", reason="needs a server: pip install gcp-storage-emulator")
    patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # it asks Google which kind of bucket this is
    pytest.importorskip("gcsfs", reason="gs:// needs gcsfs: pip install gcsfs")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    with server.create_server("127.0.0.1", port, in_memory=True):
        yield


@pytest.fixture(scope="module", params=[s3, gs], ids=["s3", "gs"])
def bucket(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a bucket; what reaches it stands in the environment, where processes of Ray find it, too."""
    kind = request.param.__name__
    with pytest.MonkeyPatch.context() as patch, request.param(patch):
        type(store(kind)).clear_instance_cache()
        store(kind).mkdir("archive")
        yield f"{kind}://archive"
        type(store(kind)).clear_instance_cache()


def store(bucket: str) -> Any:
    """What reaches a bucket."""
    return fsspec.filesystem(bucket.partition(":")[0])


@pytest.fixture(scope="module")
def data(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set here and in the bucket, with a file that is no image."""
    root = tmp_path_factory.mktemp("data")
    write_phantoms(root / "Set", 5, size=(48, 40), seed=3)
    (root / "Set" / "Image" / "bad.png").write_bytes(b"no image")
    for path in sorted((root / "Set").rglob("*.*")):
        store(bucket).put_file(str(path), f"archive/{path.relative_to(root).as_posix()}")
    return root / "Set"


def check(bucket: str, out: str, single: Path) -> None:
    """What lies in the bucket is what a run from folder to folder writes."""
    there = store(bucket)
    there.invalidate_cache()
    files = sorted(path.name for path in single.iterdir() if path.name.startswith("Phantom"))
    assert len(files) == 10
    for name in files:
        assert there.cat(f"{bucket}/{out}/{name}") == (single / name).read_bytes(), name
    record = json.loads(there.cat(f"{bucket}/{out}/metrics.json"))
    assert {case["name"]: case["status"] for case in record["cases"]} == {
        **{f"Phantom{number}": "ok" for number in range(1, 6)},
        "bad": "skipped",
    }
    expected = json.loads((single / "metrics.json").read_text("utf-8"))
    assert record["summary"] == expected["summary"]
    assert there.exists(f"{bucket}/{out}/report.html")


@pytest.mark.smoke
def test_from_bucket_to_bucket(
    bucket: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert main(["segment", str(data), "--out", str(tmp_path / "out"), *SETTINGS]) == 1
    assert main(["segment", f"{bucket}/Set", "--out", f"{bucket}/out", *SETTINGS]) == 1
    check(bucket, "out", tmp_path / "out")
    capsys.readouterr()
    # What is there is not done again; what was put right is.
    there = store(bucket)
    there.pipe_file("archive/Set/Image/bad.png", (data / "Image" / "Phantom1.png").read_bytes())
    assert main(["segment", f"{bucket}/Set", "--out", f"{bucket}/out", *SETTINGS]) == 0
    assert "5 cases done already, 1 to do" in caplog.text
    assert "6 segmented, 0 skipped" in capsys.readouterr().out
    assert main(["segment", f"{bucket}/none", "--out", f"{bucket}/out", *SETTINGS]) == 2
    assert f"error: {bucket}/none: no such file or folder" in capsys.readouterr().err
    elsewhere = f"{bucket.removesuffix('archive')}elsewhere/Set"
    assert main(["segment", elsewhere, "--out", f"{bucket}/out", *SETTINGS]) == 2
    assert f"error: {elsewhere}: " in capsys.readouterr().err
    there.pipe_file("archive/Set/Image/bad.png", b"no image")


def test_from_bucket_to_bucket_on_ray(bucket: str, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray.data", reason="the cluster needs Ray: pip install 'ldseg[ray]'")
    assert main(["segment", str(data), "--out", str(tmp_path / "out"), *SETTINGS]) == 1
    assert main(["segment", f"{bucket}/Set", "--out", f"{bucket}/ray", *SETTINGS, "--ray", "local"]) == 1
    check(bucket, "ray", tmp_path / "out")
