"""The rows of a table that is too long for a page: as data, from which the page makes those that are looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ldseg.evaluation.record import CaseResult
from ldseg.viz.report.records import Column

SHOWN = 100
"""Rows that are in view at a time."""

MOST = 500
"""Cases whose rows are all in the page."""

LINES = 200
"""Lines of problems in the page."""


def rows_as_json(cases: Sequence[CaseResult], columns: Sequence[Column], overlay: bool, uncertainty: bool) -> str:
    """What the script of the page takes, as JSON that may stand in HTML.

    Args:
        cases: in the order of the table.
        columns: its figures.
        overlay: whether segmented cases have such a picture in the folder of the run.
        uncertainty: the same.
    """
    rows: list[list[Any]] = []
    for case in cases:
        figures = [float(shown) if (shown := column.shown(case)) != "–" else None for column in columns]
        rows.append([case.name, "" if case.ok else case.message, *figures])
    digits = [column.digits for column in columns]
    found = {"shown": SHOWN, "digits": digits, "overlay": overlay, "uncertainty": uncertainty, "rows": rows}
    return json.dumps(found, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
