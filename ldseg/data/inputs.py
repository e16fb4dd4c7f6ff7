"""Cases from whatever a user names: a file, a folder of slices or frames, a data set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ldseg.base.remote import is_remote, spelt, url_of
from ldseg.data.cases import Case, Found, find_cases
from ldseg.data.listed import is_table, listed_cases
from ldseg.data.remote import names_here
from ldseg.errors import DataError
from ldseg.io.frames import frames_of
from ldseg.io.names import stem_of, visible
from ldseg.io.scans import find_scans
from ldseg.io.series import is_dicom
from ldseg.io.slides.kinds import is_slide


def cases_in(path: Path, axes: str, patterns: Sequence[str] = ("*",)) -> Found:
    """The cases of a path.

    A file is one case, but a table of paths has one a row, see ``listed_cases``. A folder is a data set in one of the
    layouts of ``data/README.md``; where it is none, and images have three axes, it is one case if it holds DICOM slices or
    frames, else each volume or video in it is a case. A place in an object store is looked at likewise.

    Args:
        path: a file or a folder.
        axes: of the images.
        patterns: of the names of the cases of a data set.

    Raises:
        DataError: there is nothing at the path, or nothing in it that can be a case.
    """
    if is_table(path) and not os.path.isdir(path):
        return listed_cases(path, patterns)
    if is_remote(path):
        try:
            with names_here(path):
                found = _cases_here(path, axes, patterns)
        except DataError as error:
            raise DataError(spelt(str(error))) from error
        return Found(cases=found.cases, problems=tuple(map(spelt, found.problems)))
    return _cases_here(path, axes, patterns)


def _cases_here(path: Path, axes: str, patterns: Sequence[str]) -> Found:
    try:
        path.stat()
    except OSError as error:
        reason = "no such file or folder" if isinstance(error, FileNotFoundError) else error.strerror or error
        raise DataError(f"{path}: {reason}, expected an image or a data set") from error
    if not os.path.isdir(path) or is_slide(path):
        return Found(cases=(_case(path),), problems=())
    try:
        return find_cases(path, patterns, axes=axes)
    except DataError:
        if len(axes) < 3:
            raise
        if frames_of(path) or any(is_dicom(entry) for entry in visible(path)):
            return Found(cases=(_case(path),), problems=())
        found = tuple(_case(scan) for scan in find_scans(path, axes))
        if not found:
            raise
        return Found(cases=found, problems=())


def cases_of(paths: Iterable[Path], axes: str, patterns: Sequence[str] = ("*",)) -> Found:
    """The cases of several paths, in their order; a path that holds none, and a second case of one name, are problems.

    Raises:
        DataError: none of them holds a case; the first problem.
    """
    cases: dict[str, Case] = {}
    problems: list[str] = []
    for path in paths:
        try:
            found = cases_in(path, axes, patterns)
        except DataError as error:
            problems.append(str(error))
            continue
        problems += found.problems
        for case in found.cases:
            if case.name in cases:
                problems.append(
                    f"{url_of(case.image)}: left out, as {url_of(cases[case.name].image)} has the same name, and so would "
                    "its mask"
                )
            else:
                cases[case.name] = case
    if not cases:
        raise DataError(problems[0] if problems else "no image was named, expected a file or a folder")
    return Found(cases=tuple(cases.values()), problems=tuple(problems))


def _case(path: Path) -> Case:
    name = stem_of(path.resolve() if path.name in ("", "..") else path)
    return Case(name=name, image=path, label=None, group=name)
