"""The page and the plain requests, on weights that come with LDSeg and the engine that needs no Keras."""

import io
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ldseg
from ldseg.cli import main
from ldseg.io.pictures import read_image, read_label, write_image

pytest.importorskip("fastapi", reason="the server needs fastapi: pip install 'ldseg[serve]'")
pytest.importorskip("python_multipart", reason="the server needs python-multipart: pip install 'ldseg[serve]'")
pytest.importorskip("httpx", reason="requests of tests are sent by httpx: pip install httpx")
from starlette.testclient import TestClient

from ldseg.errors import ConfigError
from ldseg.serve.app import create_app
from ldseg.serve.results import Kept
from ldseg.serve.settings import ServeSettings

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "data" / "GlaS" / "Image" / "HE_Normal.png"
HOME = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = ServeSettings(weights=("GlaS", "Volume"), engine="onnx", upload=1, kept=2, waiting=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("room")))
        with TestClient(create_app(settings), base_url=HOME) as client:
            yield client


@pytest.fixture(scope="module")
def expected() -> ldseg.Result:
    return ldseg.load("GlaS", engine="onnx").segment(PICTURE, steps=1)


def post(client: TestClient, path: Path = PICTURE, **fields: Any) -> Any:
    data = {"weights": "GlaS", "steps": "1", **fields}
    return client.post("/segment", data=data, files=[("files", (path.name, path.read_bytes()))])


def error(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    line = answer.json()["error"]
    assert "\n" not in line
    assert "ldseg-serve" not in line
    return line


@pytest.fixture(scope="module")
def found(client: TestClient) -> dict[str, Any]:
    answer = post(client)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_page_is_whole_and_asks_nobody_else(client: TestClient) -> None:
    page, script, style = (client.get(path) for path in ("/", "/page.js", "/page.css"))
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for answer, kind in ((page, "text/html"), (script, "text/javascript"), (style, "text/css")):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert "http://" not in answer.text
        assert "https://" not in answer.text
    assert error(client.get("/other.js"), 404)


def test_what_there_is_is_told(client: TestClient) -> None:
    told = client.get("/weights").json()
    assert [each["name"] for each in told["weights"]] == ["GlaS", "Volume"]
    assert told["weights"][0]["classes"] == ["background", "gland"]
    assert told["weights"][0]["steps"] == ldseg.load("GlaS", engine="onnx").description.steps
    assert told["defaults"]["sampler"] == "DDIM"
    assert "/segment" in client.get("/openapi.json").json()["paths"]


def test_a_picture_is_segmented_as_python_does_it(
    client: TestClient, found: dict[str, Any], expected: ldseg.Result, tmp_path: Path
) -> None:
    expected.save(tmp_path, formats=("mask", "geojson", "csv"), overlay=False)
    assert set(found["files"]) == {"mask", "geojson", "csv"}
    for path in found["files"].values():
        sent = client.get(path)
        name = sent.headers["content-disposition"].split('"')[1]
        assert sent.content == (tmp_path / name).read_bytes()
    assert (
        found["objects"]
        == len(found["measurements"])
        == (tmp_path / "HE_Normal_objects.csv").read_text("utf-8").count("\n") - 1
    )
    assert found["times"] == [1000, 0]
    assert client.get(f"/results/{found['id']}").json() == found


def test_one_file_alone_and_nothing_stays(client: TestClient, expected: ldseg.Result, tmp_path: Path) -> None:
    answer = post(client, output="mask")
    (tmp_path / "mask.png").write_bytes(answer.content)
    np.testing.assert_array_equal(read_label(tmp_path / "mask.png"), expected.mask)
    work = client.app.state.ldseg.folder / "work"  # type: ignore[attr-defined]
    kept = {path.name for path in work.iterdir()}
    assert len(kept) == len(client.app.state.ldseg.shelf)  # type: ignore[attr-defined]
    assert not list(work.rglob("upload"))


def picture(client: TestClient, found: dict[str, Any], kind: str, **query: int) -> np.ndarray:
    from PIL import Image

    answer = client.get(f"/results/{found['id']}/pictures/{kind}", params=query)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_pictures_show_image_mask_and_steps(client: TestClient, found: dict[str, Any], expected: ldseg.Result) -> None:
    np.testing.assert_array_equal(picture(client, found, "image"), read_image(PICTURE))
    green = np.array([0x00, 0x9E, 0x73])
    np.testing.assert_array_equal((picture(client, found, "mask") == green).all(-1), expected.mask == 1)
    assert picture(client, found, "overlay").shape == (224, 224, 3)
    unsure = picture(client, found, "uncertainty").astype(int).sum(-1)
    assert unsure[expected.entropy > 0.95].mean() > 2 * unsure[expected.entropy < 0.05].mean()
    last, first = (picture(client, found, "step", step=step) for step in (1, 0))
    np.testing.assert_array_equal(last, picture(client, found, "overlay"))
    assert (last != first).any()
    assert (picture(client, found, "latent", step=0) != picture(client, found, "latent", step=1)).any()


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("pictures/overlay?plane=7", "plane: expected 0 to 0, got 7"),
        ("pictures/step?step=9", "step: expected 0 to 1, got 9"),
        ("pictures/step?step=-1", "plane, step: expected whole numbers"),
        ("pictures/nothing", "kind: expected one of image, overlay"),
    ],
)
def test_pictures_that_are_not_there(client: TestClient, found: dict[str, Any], path: str, line: str) -> None:
    assert line in error(client.get(f"/results/{found['id']}/{path}"), 422)


def test_a_result_that_goes_while_it_is_drawn(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = [Kept(folder=tmp_path / "gone", files={}, facts={})]

    def get(key: str) -> Kept:
        if not gone:
            raise KeyError(key)
        return gone.pop()

    monkeypatch.setattr(client.app.state.ldseg.shelf, "get", get)  # type: ignore[attr-defined]
    assert "none any more" in error(client.get("/results/gone/pictures/mask"), 404)


@pytest.mark.parametrize(
    ("fields", "status", "line"),
    [
        ({"steps": "x"}, 422, "steps: expected a whole number, got 'x'"),
        ({"steps": "0"}, 422, "Sampling_Steps"),
        ({"samples": "65"}, 422, "samples: expected 1 to 64, got 65"),
        ({"flips": "maybe"}, 422, "flips: expected true or false"),
        ({"sampler": "Euler"}, 422, "DDIM"),
        ({"step": "3"}, 422, "step: unknown field; expected one of files, weights"),
        ({"weights": "/etc"}, 404, "weights: expected one of GlaS, Volume, got '/etc'"),
        ({"weights": ""}, 422, "weights: expected one of GlaS, Volume, got none"),
        ({"masks": "objects"}, 422, "masks: expected classes or instances"),
        ({"output": "dicom"}, 422, "output: expected json or one of mask"),
        ({"output": "dicomseg"}, 422, "HE_Normal"),
        ({"formats": "mask,stl"}, 422, "got 'stl'"),
        ({"weights": "Volume"}, 422, "HE_Normal.png: expected a file of type"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(client: TestClient, fields: dict[str, str], status: int, line: str) -> None:
    told = error(post(client, **fields), status)
    assert line in told
    assert "ldseg-serve" not in told


def test_a_damaged_file_and_none_are_told(client: TestClient, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(PICTURE.read_bytes()[:300])
    assert error(post(client, broken), 422).startswith("broken.png: ")
    assert "expected an image, got none" in error(client.post("/segment", data={"weights": "GlaS"}), 422)


def test_what_is_too_large_is_not_taken_in(client: TestClient, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    write_image(large, np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8))
    assert "larger than the limit of 1 MiB" in error(post(client, large), 413)
    boundary = b"--x\r\nContent-Disposition: form-data; name=files; filename=a.png\r\n\r\n"

    def stream() -> Iterator[bytes]:  # whose length nobody tells beforehand
        yield boundary
        for _ in range(20):
            yield bytes(100_000)

    kind = {"content-type": "multipart/form-data; boundary=x"}
    assert "larger than the limit" in error(client.post("/segment", content=stream(), headers=kind), 413)


def test_others_may_not_ask(client: TestClient) -> None:
    assert "host: expected one of 127.0.0.1" in error(client.get("/weights", headers={"host": "evil.example"}), 403)
    answer = client.delete("/results/x", headers={"origin": "http://evil.example"})
    assert "may not ask this server" in error(answer, 403)
    assert client.delete("/results/x", headers={"origin": HOME}).status_code == 404


def test_another_page_may_ask_where_it_is_named() -> None:
    page = "http://localhost:3000"
    app = create_app(ServeSettings(weights=("GlaS",), origins=(page,), engine="onnx"))
    with TestClient(app, base_url=HOME) as client:
        assert client.get("/weights", headers={"origin": page}).headers["access-control-allow-origin"] == page
        assert client.delete("/results/x", headers={"origin": page}).status_code == 404


def test_results_are_removed_by_request_and_by_newer_ones(client: TestClient) -> None:
    first, second = post(client).json(), post(client, seed="1").json()
    folder = client.app.state.ldseg.folder / "work"  # type: ignore[attr-defined]
    assert client.delete(f"/results/{first['id']}").json() == {"removed": first["id"]}
    assert "none any more" in error(client.get(f"/results/{first['id']}"), 404)
    for seed in ("2", "3"):
        post(client, seed=seed)
    assert error(client.get(second["files"]["mask"]), 404)
    assert len(list(folder.iterdir())) == 2


def test_a_request_too_many_is_told_to_wait(client: TestClient) -> None:
    worker = client.app.state.ldseg.worker  # type: ignore[attr-defined]
    with worker.place(), worker.place(), worker.place():
        answer = post(client)
        assert "busy: 3 requests" in error(answer, 503)
        assert answer.headers["retry-after"]
    assert post(client, output="csv").status_code == 200


def test_a_fault_is_told_as_one(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ldseg.serve.state.segment_to", lambda *_: 1 / 0)
    quiet = TestClient(client.app, base_url=HOME, raise_server_exceptions=False)
    assert "fault of LDSeg" in error(post(quiet, output="mask"), 500)
    monkeypatch.setattr("ldseg.serve.state.segment_to", lambda *_: (_ for _ in ()).throw(MemoryError()))
    assert error(post(quiet, output="mask"), 507) == "not enough memory to segment the image"


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--port: expected 0 to 65535, got 70000"):
        ServeSettings(port=70_000)
    with pytest.raises(ldseg.errors.LDSegError, match="none"):
        ServeSettings(images=tmp_path / "none")
    with pytest.raises(ConfigError, match="two are called GlaS"):
        create_app(ServeSettings(weights=("GlaS", str(tmp_path / "GlaS"))))


def test_the_command_tells_what_keeps_it_from_starting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "70000"]) == 2
    assert "--port: expected 0 to 65535, got 70000" in capsys.readouterr().err
    assert main(["serve", "Nothing"]) == 2
    assert "Nothing: expected a folder" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["serve", "GlaS", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot be listened on" in capsys.readouterr().err


def test_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("ldseg.serve.settings.importlib.util.find_spec", lambda name: None)
    assert main(["serve"]) == 2
    assert "pip install 'ldseg[serve]'" in capsys.readouterr().err


def test_a_series_in_an_archive_gives_a_dicom_segmentation(client: TestClient, tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="DICOM Segmentations are written by highdicom: pip install 'ldseg[dicomseg]'")
    import pydicom

    values = np.random.default_rng(0).integers(0, 1000, (4, 24, 24)).astype(np.uint16)
    with zipfile.ZipFile(tmp_path / "knee.zip", "w") as archive:
        for index, plane in enumerate(values):
            archive.writestr(f"study/IM{index}", slice_of(plane, index))
    found = post(client, tmp_path / "knee.zip", weights="Volume").json()
    assert found["name"] == "knee"
    assert found["size"] == [4, 24, 24]
    assert found["planes"] == 4
    segmentation = pydicom.dcmread(io.BytesIO(client.get(found["files"]["dicomseg"]).content))
    assert segmentation.SOPClassUID == pydicom.uid.SegmentationStorage
    assert [one.SegmentLabel for one in segmentation.SegmentSequence] == ["bone", "cartilage"]
    assert picture(client, found, "step", plane=3, step=1).shape[:2] == picture(client, found, "image", plane=3).shape[:2]


def slice_of(plane: np.ndarray, index: int) -> bytes:
    """A slice of an MR series, of DICOM."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MRImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{index + 1}"
    header = pydicom.Dataset()
    header.file_meta = meta
    values: dict[str, Any] = {
        "SOPClassUID": MRImageStorage, "SOPInstanceUID": f"1.2.3.{index + 1}", "StudyInstanceUID": "1.2.4",
        "SeriesInstanceUID": "1.2.5", "FrameOfReferenceUID": "1.2.6", "Modality": "MR", "InstanceNumber": index + 1,
        "PatientName": "A^B", "PatientID": "1", "PatientBirthDate": "", "PatientSex": "", "StudyDate": "", "StudyTime": "",
        "StudyID": "", "AccessionNumber": "", "ReferringPhysicianName": "", "SeriesNumber": 1,
        "ImagePositionPatient": [0, 0, 3 * index], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1],
        "SliceThickness": 3, "Rows": plane.shape[0], "Columns": plane.shape[1], "SamplesPerPixel": 1, "BitsAllocated": 16,
        "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0, "PhotometricInterpretation": "MONOCHROME2",
        "PixelData": plane.tobytes(),
    }  # fmt: skip
    for name, value in values.items():
        setattr(header, name, value)
    content = io.BytesIO()
    header.save_as(content, enforce_file_format=True)
    return content.getvalue()
