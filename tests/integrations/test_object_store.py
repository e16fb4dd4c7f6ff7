"""A run from an S3 server to an S3 server, over the network of this machine."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ldseg.cli import main
from ldseg.phantoms import write_phantoms

server = pytest.importorskip("moto.server", reason="needs an S3 server: pip install 'moto[server]'")
s3fs = pytest.importorskip("s3fs", reason="S3 needs s3fs: pip install 'ldseg[archive]'")
pytest.importorskip("pyarrow", reason="the record of an archive needs pyarrow: pip install 'ldseg[archive]'")

pytestmark = pytest.mark.integration

SETTINGS = ("--weights", "GlaS", "--steps", "1", "--formats", "mask,csv")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of a bucket; what reaches it stands in the environment, where processes of Ray find it, too."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    with pytest.MonkeyPatch.context() as patch:
        host, port = running.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name, value in {"ACCESS_KEY_ID": "any", "SECRET_ACCESS_KEY": "any", "DEFAULT_REGION": "us-east-1"}.items():
            patch.setenv(f"AWS_{name}", value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("archive")
        yield "s3://archive"
        s3fs.S3FileSystem.clear_instance_cache()
    running.stop()


@pytest.fixture(scope="module")
def data(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set here and in the bucket, with a file that is no image."""
    root = tmp_path_factory.mktemp("data")
    write_phantoms(root / "Set", 5, size=(48, 40), seed=3)
    (root / "Set" / "Image" / "bad.png").write_bytes(b"no image")
    s3fs.S3FileSystem().put(str(root / "Set"), "archive/Set", recursive=True)
    return root / "Set"


def check(bucket: str, out: str, single: Path) -> None:
    """What lies in the bucket is what a run from folder to folder writes."""
    there = s3fs.S3FileSystem()
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
    there = s3fs.S3FileSystem()
    there.pipe_file("archive/Set/Image/bad.png", (data / "Image" / "Phantom1.png").read_bytes())
    assert main(["segment", f"{bucket}/Set", "--out", f"{bucket}/out", *SETTINGS]) == 0
    assert "5 cases done already, 1 to do" in caplog.text
    assert "6 segmented, 0 skipped" in capsys.readouterr().out
    assert main(["segment", f"{bucket}/none", "--out", f"{bucket}/out", *SETTINGS]) == 2
    assert "error: s3://archive/none: no such file or folder" in capsys.readouterr().err
    assert main(["segment", "s3://elsewhere/Set", "--out", f"{bucket}/out", *SETTINGS]) == 2
    assert "error: s3://elsewhere/Set: " in capsys.readouterr().err
    there.pipe_file("archive/Set/Image/bad.png", b"no image")


def test_from_bucket_to_bucket_on_ray(bucket: str, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray.data", reason="the cluster needs Ray: pip install 'ldseg[ray]'")
    assert os.environ["AWS_ENDPOINT_URL"]
    assert main(["segment", str(data), "--out", str(tmp_path / "out"), *SETTINGS]) == 1
    assert main(["segment", f"{bucket}/Set", "--out", f"{bucket}/ray", *SETTINGS, "--ray", "local"]) == 1
    check(bucket, "ray", tmp_path / "out")
