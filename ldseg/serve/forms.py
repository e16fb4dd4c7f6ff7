"""Requests as they come: files and fields, each field checked, what is wrong told in one line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any

from fastapi import Request
from starlette.datastructures import UploadFile

from ldseg.base.options import MASKS
from ldseg.errors import ConfigError
from ldseg.io.series import MOST_SLICES
from ldseg.serve.results import Wish
from ldseg.writers.table import check_formats

WHOLE, TEXT, SWITCH = "a whole number", "a text", "true or false"

SETTINGS: dict[str, str] = {
    "steps": WHOLE,
    "samples": WHOLE,
    "seed": WHOLE,
    "flips": SWITCH,
    "sampler": TEXT,
    "fusion": TEXT,
}
"""The settings of ``Model.segment`` that a request may have, and what each is."""

MOST_SAMPLES = 64
"""Members of an ensemble that a request may ask for."""

_SWITCHES = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}


@dataclass(frozen=True, kw_only=True)
class Form:
    """Files and fields of a request.

    Attributes:
        files: name and content of each file, in order, by the name of its field.
        fields: the other values.
    """

    files: Mapping[str, list[tuple[str, IO[bytes]]]]
    fields: Mapping[str, str]

    def uploads(self, *names: str) -> list[tuple[str, IO[bytes]]]:
        """The files of some fields."""
        return [file for name in names for file in self.files.get(name, ())]


@asynccontextmanager
async def form_of(request: Request) -> AsyncIterator[Form]:
    """The form of a request; its files are gone afterwards."""
    # More files than the default of the library: a series has a file for each slice.
    async with request.form(max_files=MOST_SLICES, max_fields=100) as form:
        files: dict[str, list[tuple[str, IO[bytes]]]] = {}
        fields: dict[str, str] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if value.filename:  # a page sends an empty file for a field that nobody filled in
                    files.setdefault(name, []).append((value.filename, value.file))
            else:
                fields[name] = value
        yield Form(files=files, fields=fields)


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of ``Model.segment`` among values by name; an empty one takes its default.

    Raises:
        ConfigError: one is not what it should be.
    """
    found = {}
    for name, kind in SETTINGS.items():
        value = values.get(name)
        if value is None or value == "":
            continue
        found[name] = _value(name, kind, value)
    if found.get("samples", 1) > MOST_SAMPLES:
        raise ConfigError(f"samples: expected 1 to {MOST_SAMPLES}, got {found['samples']}")
    return found


def _value(name: str, kind: str, value: Any) -> Any:
    if kind == TEXT and isinstance(value, str):
        return value
    if kind == SWITCH:
        if isinstance(value, bool):
            return value
        if str(value).lower() in _SWITCHES:
            return _SWITCHES[str(value).lower()]
    if kind == WHOLE and not isinstance(value, bool):
        try:
            if float(value) == int(float(value)):  # viewers send 5.0 as well
                return int(float(value))
        except (TypeError, ValueError, OverflowError):
            pass
    raise ConfigError(f"{name}: expected {kind}, got {str(value)[:60]!r}")


def wish_of(fields: Mapping[str, str], weights: Sequence[str], formats: tuple[str, ...] = ()) -> Wish:
    """What a request of ``POST /segment`` wishes for.

    Args:
        fields: of the form.
        weights: names of those that there are; where there is one, it need not be named.
        formats: in place of those of the field ``formats``.

    Raises:
        ConfigError: a value is not what it should be, or a field is not known.
    """
    known = ("weights", "masks", "formats", "output", *SETTINGS)
    if unknown := sorted(set(fields) - set(known)):
        raise ConfigError(f"{unknown[0]}: unknown field; expected one of {', '.join(('files', *known))}")
    masks = fields.get("masks") or MASKS[0]
    if masks not in MASKS:
        raise ConfigError(f"masks: expected {' or '.join(MASKS)}, got {masks!r}")
    formats = formats or tuple(word.strip() for word in fields.get("formats", "").split(",") if word.strip())
    check_formats(formats)
    name = fields.get("weights") or (weights[0] if len(weights) == 1 else "")
    if not name:
        raise ConfigError(f"weights: expected one of {', '.join(weights)}, got none")
    return Wish(weights=name, settings=settings_of(fields), masks=masks, formats=formats)


def json_of(text: str, name: str) -> dict[str, Any]:
    """A field that is an object of JSON.

    Raises:
        ConfigError: it is none.
    """
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{name}: expected an object of JSON, got {text[:60]!r}")
    return found
