"""Pages from the templates beside this module."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from ldseg.base.text import counted, number
from ldseg.viz.report.records import flat, members, title_of, words

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """A page. What a template asks for has to be given, and all text is escaped.

    Args:
        template: the name of a file in ``templates``.
        values: what it shows, by name.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    """Holds the templates that were read: each is compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # not needed by a run without a report

    environment = Environment(
        loader=PackageLoader("ldseg.viz.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(counted=counted, number=number, flat=flat, members=members, words=words, title_of=title_of)
    return environment
