"""Coded terms for classes, such as those of SNOMED CT, by which other programs know what a class is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Term:
    """A coded term, as DICOM has it (PS3.3, 8.8).

    Attributes:
        scheme: who gave the code, such as ``SCT`` for SNOMED CT.
        value: the code.
        meaning: what it says, to read.
    """

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class ClassCode:
    """What a class is (its type), and of what kind that is (its category)."""

    term: Term
    category: Term


TISSUE = Term(scheme="SCT", value="85756007", meaning="Tissue")
ANATOMY = Term(scheme="SCT", value="123037004", meaning="Anatomical Structure")
UNCODED = ClassCode(term=TISSUE, category=TISSUE)
"""Of a class without a code."""

SHAPE = "class: SCHEME:VALUE:MEANING"


def codes_of(entries: Sequence[str], classes: Sequence[str] = ()) -> Mapping[str, ClassCode]:
    """The codes of classes by their names.

    Args:
        entries: ``class: SCHEME:VALUE:MEANING``, with `` / SCHEME:VALUE:MEANING`` behind it where its category is not
            anatomical structure.
        classes: names of the classes; nothing where they are not known yet.

    Raises:
        ValueError: an entry is none of this kind, or names no class or one that has a code; its text says what was expected.
    """
    found: dict[str, ClassCode] = {}
    for entry in entries:
        name, _, terms = (part.strip() for part in entry.partition(":"))
        parts = [term.split(":", 2) for term in terms.split("/")]
        fields = [[field.strip() for field in part] for part in parts]
        if not name or len(fields) > 2 or any(len(part) != 3 or not all(part) for part in fields):
            raise ValueError(f"expected {SHAPE}, such as liver: SCT:10200004:Liver, got {entry!r}")
        for scheme, value, meaning in fields:
            if max(len(scheme), len(value)) > 16 or len(meaning) > 64:
                raise ValueError(f"expected at most 16, 16 and 64 letters in SCHEME:VALUE:MEANING, got {entry!r}")
        if name in found or (classes and name not in classes[1:]):
            raise ValueError(f"expected each of Data.Classes but the background once at most, got {name!r}")
        term, *category = (Term(scheme=scheme, value=value, meaning=meaning) for scheme, value, meaning in fields)
        found[name] = ClassCode(term=term, category=category[0] if category else ANATOMY)
    return found
