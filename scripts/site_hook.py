"""What the site adds to mkdocs: documents that stand outside docs/, links that lead out of it, and equations.

A document stands once in the repository, where a reader of the code looks for it, and its links work there. On the way to
the site links are turned to the pages; what has no page there, such as a source file, stays as text.
"""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as etree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert_to_element
from markdown import Markdown
from markdown.blockprocessors import BlockProcessor
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("data/README.md", "benchmarks/README.md", "weights/*/README.md", "CONTRIBUTING.md", "CHANGELOG.md", "assets/*.png")
"""Files outside docs/ that the site shows at the same path."""

LINK = re.compile(r"(?P<text>!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the equations of docstrings to the dialect of Markdown."""
    extensions: list[Any] = config.markdown_extensions
    extensions.append(Equations())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside docs/."""
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that work in the repository to those of the site."""
    place = page.file.src_uri
    own = Path(place) if (ROOT / place).is_file() else Path("docs") / place

    def turned(match: re.Match[str]) -> str:
        target, text = match["target"], match["text"]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        name, hash_sign, anchor = target.partition("#")
        found = Path(os.path.normpath(own.parent / name)).as_posix()
        found = f"{found}/README.md" if (ROOT / found / "README.md").is_file() else found
        uri = found.removeprefix("docs/")
        uri = {"README.md": "index.md", "cfg.ini": "reference/settings.md"}.get(uri, uri)
        if files.get_file_from_path(uri) is None:
            return text[1:-1] if (ROOT / found).exists() else match[0]
        link = Path(os.path.relpath(uri, Path(place).parent)).as_posix()
        return f"{text}({link}{hash_sign}{anchor})"

    # What stands between fences is code.
    parts = FENCE.split(markdown)
    return "".join(part if part.startswith("```") else LINK.sub(turned, part) for part in parts)


class Equations(Extension):
    """``:math:`…``` within a line and ``.. math:: …`` as a paragraph, as MathML, which browsers draw without help."""

    def extendMarkdown(self, md: Markdown) -> None:
        # Before the code between backticks, which equations contain.
        md.inlinePatterns.register(_Inline(r":math:`([^`]+)`", md), "ldseg-math", 200)
        md.parser.blockprocessors.register(_Block(md.parser), "ldseg-math", 200)


class _Inline(InlineProcessor):
    def handleMatch(self, m: re.Match[str], data: str) -> tuple[etree.Element, int, int]:
        return _element(m.group(1), "inline"), m.start(0), m.end(0)


class _Block(BlockProcessor):
    START = ".. math::"

    def test(self, parent: etree.Element, block: str) -> bool:
        return block.lstrip().startswith(self.START)

    def run(self, parent: etree.Element, blocks: list[str]) -> None:
        text = blocks.pop(0).strip().removeprefix(self.START)
        paragraph = etree.SubElement(parent, "p")
        paragraph.append(_element(" ".join(text.split()), "block"))


def _element(latex: str, display: str) -> etree.Element:
    element = convert_to_element(latex, display=display)
    for part in _parts(element):
        # Text of Markdown is worked on further unless it says that it is whole.
        part.text = part.text and _whole(part.text)
    return element


def _parts(element: etree.Element) -> Iterator[etree.Element]:
    yield element
    for child in element:
        yield from _parts(child)


def _whole(text: str) -> Any:
    from markdown.util import AtomicString

    return AtomicString(text)
