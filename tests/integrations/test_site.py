"""The site of the documents is built without a network and without a warning."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.integration, pytest.mark.smoke]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
    return folder


def text(site: Path, page: str) -> str:
    return (site / page / "index.html").read_text("utf-8")


def test_the_reference_holds_what_the_package_offers(site: Path) -> None:
    import ldseg

    found = text(site, "reference/python")
    missing = [
        name for name in ldseg.__all__ if name != "__version__" and not re.search(rf'id="ldseg\.[\w.]*{name}"', found)
    ]
    assert missing == []


def test_equations_are_drawn(site: Path) -> None:
    found = text(site, "reference/diffusion")
    assert "<math" in found
    assert ":math:" not in found
    assert ".. math::" not in found


def test_documents_outside_docs_have_a_page_and_links_lead_to_it(site: Path) -> None:
    for page in ("data", "benchmarks", "weights/GlaS", "CONTRIBUTING", "CHANGELOG"):
        assert "<h1" in text(site, page)
    assert 'href="../weights/GlaS/"' in text(site, "results")
    assert 'src="assets/demo.png"' in (site / "index.html").read_text("utf-8")
    assert (site / "assets" / "demo.png").is_file()


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = [path.read_text("utf-8") for path in site.rglob("*.html")]
    loaded = {link for page in pages for link in re.findall(r'<(?:script|img)[^>]+src="(https?://[^"]+)"', page)}
    loaded |= {
        link for page in pages for link in re.findall(r'<link[^>]+rel="stylesheet"[^>]+href="(https?://[^"]+)"', page)
    }
    assert loaded == set()
