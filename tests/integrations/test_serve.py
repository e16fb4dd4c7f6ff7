"""`ldseg serve` as it is used: a server of its own, a real browser, the client of MONAI Label, many requests at once."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

import ldseg
from ldseg.io.pictures import read_label

pytest.importorskip("fastapi", reason="the server needs fastapi: pip install 'ldseg[serve]'")
pytest.importorskip("uvicorn", reason="the server needs uvicorn: pip install 'ldseg[serve]'")
httpx = pytest.importorskip("httpx", reason="requests are sent by httpx: pip install httpx")

ROOT = Path(__file__).parents[2]
GLANDS = ROOT / "data" / "GlaS" / "Image"
PICTURE = GLANDS / "HE_Normal.png"
KNEE = ROOT / "data" / "Volume" / "Image" / "Knee1.nii.gz"
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(path).exists()), None)

pytestmark = pytest.mark.integration


class Server:
    """A server in a process of its own."""

    def __init__(self, temporary: Path, *options: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
        command = [sys.executable, "-m", "ldseg", "serve", "--port", "0", *options]
        self.temporary = temporary
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", cwd=temporary
        )
        assert self.process.stdout is not None
        found = re.search(r"http://\S+:\d+", self.process.stdout.readline())
        assert found, "the server did not start"
        self.address = found.group()
        for _ in range(100):
            try:
                httpx.get(self.address + "/weights", timeout=5)
                return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def peak(self) -> float:
        """MiB of memory that it had at most."""
        text = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        return int(re.search(r"VmHWM:\s+(\d+) kB", text).group(1)) / 1024  # type: ignore[union-attr]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("server"), "GlaS", "Volume", "--images", str(GLANDS))
    yield found
    found.stop()
    assert list(found.temporary.glob("ldseg*")) == [], "what was sent outlived the server"


@pytest.fixture(scope="module")
def expected() -> ldseg.Model:
    return ldseg.load("GlaS", engine="onnx")


# ---- A browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def page_of(browser: Any, server: Server, width: int = 1280, height: int = 900) -> Any:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.strange = []
    page.on("request", lambda request: page.strange.append(request.url))
    page.on("pageerror", lambda error: page.strange.append(str(error)))
    page.on("console", lambda message: page.strange.append(message.text) if message.type == "error" else None)
    page.goto(server.address)
    page.wait_for_selector("#weights option", state="attached")
    return page


def drawn(page: Any, *names: str) -> None:
    """Wait until pictures are there."""
    for name in names:
        image = page.locator(f"#{name}")
        for _ in range(600):  # by polling: the page forbids scripts that are not its own
            if image.evaluate("image => image.complete && image.naturalWidth > 0"):
                break
            page.wait_for_timeout(50)
        else:
            raise AssertionError(f"{name} is not drawn")


def own(page: Any, server: Server) -> None:
    """Nothing was asked of anybody else, and nothing went wrong."""
    assert [each for each in page.strange if not each.startswith((server.address, "data:", "blob:"))] == []


@pytest.mark.smoke
def test_a_picture_goes_in_and_its_mask_comes_out(
    browser: Any, server: Server, expected: ldseg.Model, tmp_path: Path
) -> None:
    page = page_of(browser, server)
    page.select_option("#weights", "GlaS")
    page.fill("#steps", "3")
    page.fill("#samples", "2")
    page.set_input_files("#files", str(PICTURE))
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])", timeout=60_000)
    drawn(page, "image", "overlay", "mask", "latent", "decoded")
    page.check("#uncertainty")
    drawn(page, "entropy")
    page.focus("#step")
    page.keyboard.press("Home")
    assert page.inner_text("#step-out") == "0 of 3 (t = 1000)"
    drawn(page, "latent", "decoded")
    page.screenshot(path=str(tmp_path / "desktop.png"), full_page=True)
    with page.expect_download() as waiting:
        page.click("a[data-format=mask]")
    waiting.value.save_as(tmp_path / "mask.png")
    result = expected.segment(PICTURE, steps=3, samples=2)
    np.testing.assert_array_equal(read_label(tmp_path / "mask.png"), result.mask)
    with page.expect_download() as waiting:
        page.click("a[data-format=geojson]")
    waiting.value.save_as(tmp_path / "objects.geojson")
    found = json.loads((tmp_path / "objects.geojson").read_text("utf-8"))["features"]
    assert len(found) == page.locator("#table tbody tr").count() > 0
    own(page, server)
    page.close()


def test_by_keyboard_alone_and_on_a_phone(browser: Any, server: Server, tmp_path: Path) -> None:
    page = page_of(browser, server, 375, 740)
    page.select_option("#weights", "GlaS")
    page.fill("#steps", "2")
    page.set_input_files("#files", [str(PICTURE), str(ROOT / "README.md")])
    page.focus(".skip")
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        if seen[-1] == "go":
            break
    assert {"files", "weights", "steps", "samples", "SUMMARY", "go"} <= set(seen)
    page.keyboard.press("Enter")
    page.wait_for_selector("#result:not([hidden])", timeout=60_000)
    assert page.evaluate("document.activeElement.id") == "title"
    assert "README.md: expected a file of type" in page.inner_text("#error")
    drawn(page, "image", "overlay", "mask", "latent", "decoded")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, input[type=number], #downloads a')]"
        ".filter(e => e.offsetParent && e.offsetHeight < 44).map(e => e.id || e.textContent)"
    )
    assert small == []
    page.screenshot(path=str(tmp_path / "phone.png"), full_page=True)
    page.click("#remove")
    page.wait_for_selector("#result", state="hidden")
    page.close()


def test_slices_of_a_volume(browser: Any, server: Server, tmp_path: Path) -> None:
    page = page_of(browser, server)
    page.select_option("#weights", "Volume")
    page.fill("#steps", "2")
    with zipfile.ZipFile(tmp_path / "knee.zip", "w") as archive:
        archive.write(KNEE, "study/Knee1.nii.gz")
    page.set_input_files("#files", str(tmp_path / "knee.zip"))
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])", timeout=120_000)
    drawn(page, "image", "overlay", "mask")
    page.focus("#plane")
    page.keyboard.press("Home")
    planes = nibabel.load(KNEE).shape[2]
    assert page.inner_text("#plane-out") == f"1 of {planes}"
    page.screenshot(path=str(tmp_path / "volume.png"), full_page=True)
    own(page, server)
    page.close()


# ---- MONAI Label


@pytest.mark.smoke
def test_the_client_of_monai_label(server: Server, expected: ldseg.Model, tmp_path: Path) -> None:
    reason = "the client is that of MONAI Label: pip install --no-deps monailabel requests"
    theirs = pytest.importorskip("monailabel.client.client", reason=reason)
    client = theirs.MONAILabelClient(server.address, str(tmp_path), "me")
    told = client.info()
    assert {name: model["dimension"] for name, model in told["models"].items()} == {"GlaS": 2, "Volume": 3}
    key = client.create_session(str(KNEE))["session_id"]
    assert client.get_session(key)["image"] == KNEE.name
    path, params = client.infer("Volume", "Knee1", {"steps": 1}, session_id=key)
    assert params["label_names"] == {"bone": 1, "cartilage": 2}
    assert nibabel.load(path).shape == nibabel.load(KNEE).shape
    client.remove_session(key)
    with pytest.raises(theirs.MONAILabelClientException) as error:
        client.get_session(key)
    assert error.value.status_code == 404
    path, _ = client.infer("GlaS", "", {"steps": 1}, file=str(PICTURE))
    np.testing.assert_array_equal(read_label(Path(path)), expected.segment(PICTURE, steps=1).mask)
    path, _ = client.infer("GlaS", "HE_Polyp", {"steps": 1})
    np.testing.assert_array_equal(read_label(Path(path)), expected.segment(GLANDS / "HE_Polyp.png", steps=1).mask)


# ---- Many at once


def test_of_two_hundred_requests_none_is_lost_and_memory_is_bounded(
    server: Server, expected: ldseg.Model, tmp_path: Path
) -> None:
    pictures = sorted(GLANDS.glob("HE_*.png"))[:4]
    masks = {path.name: expected.segment(path, steps=1).mask for path in pictures}
    limit = httpx.Timeout(300)

    def ask(number: int) -> bool:
        path = pictures[number % len(pictures)]
        with httpx.Client(timeout=limit) as client:
            fields = {"weights": "GlaS", "steps": "1", "output": "mask"}
            answer = client.post(server.address + "/segment", data=fields, files=[("files", (path.name, path.read_bytes()))])
        assert answer.status_code == 200, answer.text
        own = tmp_path / f"{number}.png"
        own.write_bytes(answer.content)
        return bool((read_label(own) == masks[path.name]).all())

    with ThreadPoolExecutor(8) as clients:
        assert all(clients.map(ask, range(16)))
        before, started = server.peak(), time.perf_counter()
        assert sum(clients.map(ask, range(200))) == 200
    after = server.peak()
    took = time.perf_counter() - started
    print(f"200 requests of 8 clients: {took:.1f} s; MiB at most {before:.0f} before, {after:.0f} after")
    assert after < before + 100
    assert after < 1500
    work = next(server.temporary.glob("ldseg-serve-*")) / "work"
    assert len(list(work.iterdir())) <= 20
