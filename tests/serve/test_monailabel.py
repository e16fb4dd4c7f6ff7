"""The REST interface of MONAI Label: requests in the form in which its plugins send them."""

import json
import xml.etree.ElementTree
from collections.abc import Iterator
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

import ldseg
from ldseg.io.pictures import read_image, read_label

pytest.importorskip("fastapi", reason="the server needs fastapi: pip install 'ldseg[serve]'")
pytest.importorskip("python_multipart", reason="the server needs python-multipart: pip install 'ldseg[serve]'")
pytest.importorskip("httpx", reason="requests of tests are sent by httpx: pip install httpx")
from starlette.testclient import TestClient

from ldseg.serve.app import create_app
from ldseg.serve.datastore import SESSIONS
from ldseg.serve.settings import ServeSettings

ROOT = Path(__file__).parents[2]
GLANDS = ROOT / "data" / "GlaS" / "Image"
KNEE = ROOT / "data" / "Volume" / "Image" / "Knee1.nii.gz"
STEPS = json.dumps({"steps": 1, "client_id": "user-xyz", "result_extension": ".nii.gz", "device": "cpu"})


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = ServeSettings(weights=("GlaS", "Volume"), images=GLANDS, engine="onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("room")))
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
            yield client


@pytest.fixture(scope="module")
def glands() -> ldseg.Model:
    return ldseg.load("GlaS", engine="onnx")


def test_info_is_what_plugins_read(client: TestClient) -> None:
    told = client.get("/info/").json()
    assert told["models"]["Volume"]["labels"] == {"bone": 1, "cartilage": 2}
    assert [told["models"][name]["dimension"] for name in ("GlaS", "Volume")] == [2, 3]
    assert told["models"]["GlaS"]["pathology"] is True
    assert told["labels"] == ["gland", "bone", "cartilage"]
    assert told["datastore"]["total"] == len(list(GLANDS.glob("*.png")))
    for name in ("name", "description", "version", "trainers", "strategies", "scoring"):
        assert name in told


def test_the_images_of_the_folder_and_nothing_else(client: TestClient) -> None:
    listed = client.get("/datastore/", params={"output": "all"}).json()["objects"]
    assert listed["HE_Normal"]["image"]["ext"] == ".png"
    assert client.head("/datastore/image", params={"image": "HE_Normal"}).status_code == 200
    assert (
        client.get("/datastore/image", params={"image": "HE_Normal.png"}).content == (GLANDS / "HE_Normal.png").read_bytes()
    )
    for name in ("../Label/HE_Normal", str(GLANDS / "HE_Normal.png"), "", "none"):
        assert client.head("/datastore/image", params={"image": name}).status_code == 404
        answer = client.post("/infer/GlaS", params={"image": name, "output": "image"}, data={"params": STEPS})
        assert answer.status_code == (404 if name else 422)
    answer = client.put("/datastore/label", params={"image": "HE_Normal"}, files={"label": b"x"})
    assert answer.status_code == 403


def test_a_session_as_slicer_has_it(client: TestClient, tmp_path: Path) -> None:
    made = client.put("/session/", data={"client_id": "user-xyz"}, files=[("files", ("Knee1.nii.gz", KNEE.read_bytes()))])
    key = made.json()["session_id"]
    assert made.json()["session_info"]["image"] == "Knee1.nii.gz"
    assert client.get(f"/session/{key}", params={"image": "true"}).content == KNEE.read_bytes()
    query = {"image": "Knee1", "session_id": key}
    answer = client.post("/infer/Volume", params=query, data={"params": STEPS})
    head = f"content-type: {answer.headers['content-type']}\r\n\r\n".encode()
    told, image = BytesParser().parsebytes(head + answer.content).get_payload()  # type: ignore[misc]
    assert json.loads(told.get_payload())["label_names"] == {"bone": 1, "cartilage": 2}
    path = tmp_path / image.get_filename()
    path.write_bytes(image.get_payload(decode=True))
    found, source = nibabel.load(path), nibabel.load(KNEE)
    np.testing.assert_array_equal(found.affine, source.affine)
    expected = ldseg.load("Volume", engine="onnx").segment(KNEE, steps=1).save(tmp_path / "own", overlay=False)["mask"]
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(nibabel.load(expected).dataobj))
    assert client.delete(f"/session/{key}").json()["name"] == key
    assert client.get(f"/session/{key}").status_code == 404
    assert "session: there is no" in client.post("/infer/Volume", params=query).json()["error"]


def test_sessions_are_bounded_and_end(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(**query: Any) -> str:
        return client.put("/session/", params=query, files=[("files", ("a.nii.gz", b"x"))]).json()["session_id"]

    keys = [put() for _ in range(SESSIONS + 2)]
    folder = client.app.state.ldseg.folder / "sessions"  # type: ignore[attr-defined]
    assert {path.name for path in folder.iterdir()} == set(keys[2:])
    short = put(expiry=5)
    now = ldseg.serve.datastore.time.time()  # type: ignore[attr-defined]
    monkeypatch.setattr("ldseg.serve.datastore.time.time", lambda: now + 10)
    assert client.get(f"/session/{short}").status_code == 404
    assert client.get(f"/session/{keys[-1]}").status_code == 200
    assert not (folder / short).exists()


def test_outputs_of_an_image_of_the_folder(client: TestClient, glands: ldseg.Model, tmp_path: Path) -> None:
    query = {"image": "HE_Normal", "output": "image"}
    (tmp_path / "mask.png").write_bytes(client.post("/infer/GlaS", params=query, data={"params": STEPS}).content)
    expected = glands.segment(GLANDS / "HE_Normal.png", steps=1).mask
    np.testing.assert_array_equal(read_label(tmp_path / "mask.png"), expected)
    told = client.post("/infer/GlaS", params={**query, "output": "json"}, data={"params": STEPS}).json()
    assert told["label_names"] == {"gland": 1}
    assert told["settings"] == {"steps": 1}


def asap(answer: Any) -> list[tuple[str, list[tuple[int, int]]]]:
    """Class and corners of each annotation, as the plugin of QuPath reads them."""
    assert answer.status_code == 200, answer.text
    return [
        (own.attrib["Name"], [(int(float(c.attrib["X"])), int(float(c.attrib["Y"]))) for c in own.iter("Coordinate")])
        for own in xml.etree.ElementTree.fromstring(answer.text).iter("Annotation")
    ]


def painted(rings: list[tuple[str, list[tuple[int, int]]]], size: tuple[int, int]) -> np.ndarray:
    """Outlines along the edges of pixels, filled."""
    from skimage.measure import grid_points_in_poly

    found = np.zeros(size, bool)
    for _, ring in rings:
        corners = np.array([(y - 0.5, x - 0.5) for x, y in ring])
        found |= grid_points_in_poly(size, corners)
    return found


REGION = {"level": 0, "location": [32, 16], "size": [160, 128], "tile_size": [1024, 1024], "min_poly_area": 30,
          "params": {"foreground": [], "background": [], "max_workers": 1, "steps": 1}}  # fmt: skip


def test_a_region_as_qupath_asks_for_it(client: TestClient, glands: ldseg.Model) -> None:
    answer = client.post("/infer/wsi/GlaS", params={"image": "HE_Normal", "output": "asap"}, json=REGION)
    rings = asap(answer)
    assert {name for name, _ in rings} == {"gland"}
    mask = glands.segment(read_image(GLANDS / "HE_Normal.png")[16:144, 32:192], steps=1).mask
    found = painted(rings, (224, 224))
    assert not found[:16].any() and not found[:, :32].any() and not found[144:].any() and not found[:, 192:].any()
    # Holes are filled, and what is smaller than 30 pixels is left out.
    assert (found[16:144, 32:192] != (mask > 0)).mean() < 0.02
    assert ((mask > 0) & ~found[16:144, 32:192]).sum() < 60


def test_a_patch_that_qupath_sends(client: TestClient, glands: ldseg.Model) -> None:
    wsi = {**REGION, "location": [0, 0], "size": [0, 0]}
    files = {"file": ("patch123.png", (GLANDS / "HE_Polyp.png").read_bytes())}
    query = {"output": "asap"}
    answer = client.post("/infer/wsi_v2/GlaS", params=query, data={"wsi": json.dumps(wsi)}, files=files)
    mask = glands.segment(GLANDS / "HE_Polyp.png", steps=1).mask
    assert (painted(asap(answer), mask.shape) != (mask > 0)).mean() < 0.02


def test_the_other_formats_tell_the_same(client: TestClient) -> None:
    def ask(output: str) -> Any:
        return client.post("/infer/wsi/GlaS", params={"image": "HE_Normal", "output": output}, json=REGION)

    rings = [[list(point) for point in ring] for _, ring in asap(ask("asap"))]
    assert [[point[:2] for point in own["points"]] for own in ask("dsa").json()["elements"]] == rings
    (annotation,) = (each["annotation"] for each in ask("json").json()["annotations"])
    assert [ring[:-1] for own in annotation["elements"] for ring in own["contours"]] == rings
    assert annotation["location"] == [32, 16]


def test_a_whole_slide_of_the_folder(tmp_path: Path) -> None:
    import tifffile

    pixels = np.tile(read_image(GLANDS / "HE_Normal.png"), (2, 2, 1))
    options = {"tile": (128, 128), "photometric": "rgb", "resolution": (10_000, 10_000), "resolutionunit": 3}
    with tifffile.TiffWriter(tmp_path / "slide.svs") as file:
        file.write(pixels, description="Aperio Image\n448x448|MPP = 1.0", **options)
    settings = ServeSettings(weights=("GlaS",), images=tmp_path, engine="onnx")
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        whole = {**REGION, "location": [0, 0], "size": [0, 0]}
        region = asap(client.post("/infer/wsi/GlaS", params={"image": "slide", "output": "asap"}, json=REGION))
        assert region
        answer = client.post("/infer/wsi/GlaS", params={"image": "slide", "output": "asap"}, json=whole)
        assert max(x for _, ring in asap(answer) for x, _ in ring) > 224


@pytest.mark.parametrize(
    ("path", "body", "line"),
    [
        ("/infer/wsi/GlaS?image=HE_Normal", {**REGION, "location": [200, 0]}, "expected a region within its 224×224"),
        ("/infer/wsi/GlaS?image=HE_Normal", {**REGION, "size": [-1, 3]}, "size: expected two whole numbers"),
        ("/infer/wsi/GlaS?image=HE_Normal", {**REGION, "level": 2}, "level: expected 0"),
        ("/infer/wsi/GlaS?image=HE_Normal", {**REGION, "params": [1]}, "params: expected an object"),
        ("/infer/wsi/GlaS?image=HE_Normal&output=xml", REGION, "output: expected one of asap, dsa, json"),
        ("/infer/wsi/Volume?image=HE_Normal", REGION, "expected weights for pictures"),
        ("/infer/wsi/GlaS", REGION, "expected an image, a session_id or a file"),
        ("/infer/wsi/GlaS?image=HE_Normal", [1], "the body: expected an object of JSON"),
        ("/infer/GlaS?image=HE_Normal&output=stl", None, "output: expected one of image, json, all"),
        ("/infer/GlaS?image=HE_Normal&output=dicom_seg", None, "HE_Normal"),
        ("/infer/none?image=HE_Normal", None, "weights: expected one of GlaS, Volume"),
    ],
)
def test_what_is_wrong_is_told(client: TestClient, path: str, body: Any, line: str) -> None:
    answer = client.post(path, json=body) if body is not None else client.post(path, data={"params": STEPS})
    assert answer.status_code in (404, 422), answer.text
    assert line in answer.json()["error"]


def test_parts_of_a_body_do_not_run_into_one_another() -> None:
    from ldseg.serve.monailabel import multipart

    content, boundary = multipart({"image": ("a.png", b"\r\n--x--\r\n", "image/png")})
    head = f"content-type: multipart/form-data; boundary={boundary}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + content)
    (part,) = message.get_payload()  # type: ignore[misc]
    assert part.get_payload(decode=True) == b"\r\n--x--\r\n"
