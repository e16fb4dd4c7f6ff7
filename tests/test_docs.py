"""What the documents point to is there: files, pictures, headings."""

import re
from pathlib import Path

import pytest
from test_imports import LAYERS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for folder in ("docs", "data", "weights", "benchmarks") for path in (ROOT / folder).rglob("*.md")),
    ]
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing(path: Path) -> list[str]:
    """The links of a document that lead nowhere; addresses of the web are not followed."""
    found = []
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    assert missing(path) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One: heading\n[a](#one-heading) [b](page.md#one-heading) [c](none.md) [d](#two) [e](https://example.org)\n"
    )
    assert missing(page) == ["none.md", "#two"]


def test_the_architecture_shows_the_house_as_it_stands() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| \d+ \| (.+) \|$", page, re.MULTILINE)
    assert [tuple(re.findall(r"`(\w+)`", row)) for row in rows] == list(LAYERS)
    drawn = page.partition("\nldseg/\n")[2].partition("\ndata/")[0]
    units = {line.split()[0] for line in drawn.splitlines() if not line.startswith("    ")}
    places = [path for path in (ROOT / "ldseg").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    assert units == {f"{path.name}/" if path.is_dir() else path.name for path in places}
    inside = {line.split()[0] for line in drawn.splitlines() if line.startswith("    ")}
    assert inside == {path.name for path in (ROOT / "ldseg" / "base").glob("[a-z]*.py")}
