"""The folder of a run: where each of its files lies, spelt here alone."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldseg.base.untrusted import parsed
from ldseg.base.writing import LOCK, move, remove
from ldseg.errors import DataError

logger = logging.getLogger(__name__)

SEGMENTATION, ROBUSTNESS, SWEEP, STATE_AUDIT = "Segmentation", "Robustness", "Sweep", "StateAudit"

FOLDERS = (SEGMENTATION, ROBUSTNESS, SWEEP, STATE_AUDIT)
"""Folders that runs make beside or among images: what lies in them is no data set."""

EARLIER = "Earlier"
"""The folder, in that of a run, for cases of earlier runs that it does not have."""

METRICS = "metrics.json"
"""The record of a run, by which its folder is known."""

MAPS = ("entropy", "variance")
"""Kinds of maps of uncertainty."""

REMEDY = "name another folder in [Output] Folder (--out)"

ZARR = ".ome.zarr"
"""The extension of a folder of OME-Zarr."""

RESULTS = ("segmentation", "objects", "probabilities")
"""What the files of a case are called behind its name, whatever their format: see ``ldseg.writers``."""


@dataclass(frozen=True)
class Outputs:
    """The files of a run.

    Attributes:
        folder: of the run; masks lie in it as ``<case>_segmentation`` in the format of their image, maps of uncertainty as
            ``<case>_entropy`` and ``<case>_variance``: see ``ldseg.io.scans``. Other formats: see ``ldseg.writers``.
    """

    folder: Path

    @property
    def metrics(self) -> Path:
        """The record of the run."""
        return self.folder / METRICS

    @property
    def metrics_table(self) -> Path:
        """The figures of its cases, one a row."""
        return self.folder / "metrics.csv"

    @property
    def cases_table(self) -> Path:
        """The record of a run over an archive: a folder of Parquet, see ``ldseg.evaluation.archive``."""
        return self.folder / "cases.parquet"

    @property
    def objects_table(self) -> Path:
        """What was measured of the objects of all cases, one a row; the picture has the same name as PNG."""
        return self.folder / "objects.csv"

    @property
    def classes_table(self) -> Path:
        """What the objects of each class come to, a row for each class of each case."""
        return self.folder / "classes.csv"

    @property
    def calibration(self) -> Path:
        """How far the probabilities can be believed, in figures; the picture has the same name as PNG."""
        return self.folder / "calibration.json"

    @property
    def schedule(self) -> Path:
        """The picture of the noise schedule."""
        return self.folder / "schedule.png"

    @property
    def report(self) -> Path:
        """The page that shows all of it."""
        return self.folder / "report.html"

    def overlay(self, case: str, suffix: str = ".png") -> Path:
        """The image of a case with its mask; of volumes and videos also as ``.gif``."""
        return self.folder / "Overlay" / f"{case}_overlay{suffix}"

    def diffusion(self, case: str, suffix: str = ".png") -> Path:
        """The way of a case from noise to its mask, also as ``.gif``."""
        return self.folder / "Diffusion" / f"{case}_diffusion{suffix}"

    def uncertainty(self, case: str) -> Path:
        """The maps of uncertainty of a case as a picture."""
        return self.folder / "Uncertainty" / f"{case}_uncertainty.png"

    def robustness(self, kind: str) -> Path:
        """The record of a test with one kind of degradation; its table, picture and journal differ in the suffix."""
        return self.folder / ROBUSTNESS / f"{kind}.json"

    def robustness_gif(self, case: str, kind: str) -> Path:
        """A case as its image is degraded."""
        return self.folder / ROBUSTNESS / f"{case}_{kind}.gif"

    @property
    def sweep(self) -> Path:
        """The record of a sweep over samplers and steps; its table, picture and journal differ in the suffix."""
        return self.folder / SWEEP / "sweep.json"

    @property
    def state_audit(self) -> Path:
        """The record of a state audit; its table and picture differ in the suffix."""
        return self.folder / STATE_AUDIT / "state_audit.json"

    def of_cases(self, cases: Iterable[str]) -> dict[str, list[Path]]:
        """What is there of each case, of this run or of an earlier one: files, and the folder of the masks of frames.

        The folder is looked through once, however many cases there are.
        """
        found: dict[str, list[Path]] = {case: [] for case in cases}
        for path in self._entries():
            for kind in (*RESULTS, *MAPS):
                for case, rest in _parted(path.name, f"_{kind}"):
                    if case not in found:
                        continue
                    folder = kind == RESULTS[0] and rest in ("", ZARR)
                    if folder if path.is_dir() else not rest or rest.startswith("."):
                        found[case].append(path)
        for case, own in found.items():
            for picture in (self.overlay, self.diffusion):
                own += (path for suffix in (".png", ".gif") if os.path.exists(path := picture(case, suffix)))
            if os.path.exists(self.uncertainty(case)):
                own.append(self.uncertainty(case))
        return found

    def _entries(self) -> list[Path]:
        """What stands in the folder; nothing where it cannot be looked into."""
        with contextlib.suppress(OSError):
            return [self.folder / name for name in sorted(os.listdir(self.folder))]
        return []

    def left_behind(self, written: Mapping[str, Collection[Path]]) -> Iterator[Path]:
        """Results that an earlier run left of cases, in formats or under extensions that this one has not written.

        Args:
            written: by case, what this run has written of it.
        """
        for path in self._entries():
            for kind in RESULTS:
                case, found, rest = path.name.rpartition(f"_{kind}")
                if found and case in written and rest[:1] in ("", ".") and path not in written[case]:
                    yield path

    def set_aside(self, cases: Collection[str]) -> list[str]:
        """Move what an earlier run wrote of cases that this one does not have to the folder `EARLIER`, its pictures too.

        Beside the figures of this run they would pass for its own. What is there of them already is replaced, as it would
        have been in place. Which cases they are, the record of the earlier run tells: nothing else is touched.

        Args:
            cases: names of those of this run, whose record is not written yet.

        Returns:
            the names of the others, of which something was there.

        Raises:
            DataError: something cannot be moved.
        """
        try:
            found = [case["name"] for case in parsed(self.metrics.read_bytes())["cases"]]
        except FileNotFoundError:  # no earlier run
            return []
        except (KeyError, OSError, TypeError, ValueError) as error:
            said = str(error) if isinstance(error, OSError | ValueError) else "not the record of a run"
            logger.warning("%s: cannot be read: %s; what an earlier run left of other cases stays there", self.metrics, said)
            return []
        others = {name for name in found if isinstance(name, str) and name == Path(name).name and name not in cases}
        there = self.of_cases({*others, *cases})
        own = {path for case in cases for path in there[case]}
        paths = [(case, path) for case in sorted(others) for path in there[case] if path not in own]
        for _, path in paths:
            place = self.folder / EARLIER / path.relative_to(self.folder)
            if place.is_dir():
                remove(place)  # a folder is not replaced by moving another there
            move(path, place)
        return sorted({case for case, _ in paths})

    def check(self, cases: Iterable[str], sources: Iterable[Path] = ()) -> None:
        """Make sure that a run overwrites nothing that no run of LDSeg wrote.

        Args:
            cases: names of the cases.
            sources: images and labels of the data set that the run reads.

        Raises:
            DataError: the folder holds one of the sources, or a file of others under a name that the run would write to,
                or a link in it leads elsewhere.
        """
        here, places = self.folder.resolve(), {}
        for path in sources:
            if path.parent not in places:
                places[path.parent] = path.parent.resolve()
            if places[path.parent] == here:
                raise DataError(f"{self.folder}: holds {path.name}, which this run reads, and is not written to; {REMEDY}")
        self.check_links()
        if (self.folder / LOCK).exists() or self._is_record(self.metrics):
            return
        tables = (self.metrics, self.metrics_table, self.objects_table, self.classes_table, self.calibration)
        for path in (
            *tables,
            self.schedule,
            self.report,
            *(path for paths in self.of_cases(cases).values() for path in paths),
        ):
            if path.exists():
                raise DataError(f"{path}: no run of LDSeg wrote it, and it would be overwritten; {REMEDY}")

    @staticmethod
    def _is_record(path: Path) -> bool:
        """Whether a file begins as the record of a run; other programs call theirs metrics.json, too."""
        try:
            with path.open("rb") as stream:
                start = stream.read(4096)
        except OSError:
            return False
        return b'"format"' in start and b'"classes"' in start

    def check_links(self) -> None:
        """Make sure that nothing is written to another place.

        Raises:
            DataError: a link in the folder leads elsewhere.
        """
        for name in ("Overlay", "Diffusion", "Uncertainty", EARLIER, *FOLDERS):
            if (path := self.folder / name).is_symlink():
                raise DataError(f"{path}: is a link to another place, and is not written through; {REMEDY}")

    def test_figures(self, test: str, facts: Mapping[str, Any]) -> Iterator[Path]:
        """The figures of one of the tests that were made with the weights and the data of a run.

        Args:
            test: ``ROBUSTNESS``, ``SWEEP`` or ``STATE_AUDIT``.
            facts: of the run: ``weights_sha256``, and the settings as ``config``.
        """
        for figure in sorted((self.folder / test).glob("*.png")):
            found = _facts_of(figure.with_suffix(".json"))
            settings = found.get("config")
            data = settings.get("Data") if isinstance(settings, dict) else None
            if found.get("weights_sha256") == facts["weights_sha256"] and data == facts["config"].get("Data"):
                yield figure


def _parted(name: str, mark: str) -> Iterator[tuple[str, str]]:
    """What stands before and behind each place of a mark in a name."""
    at = name.find(mark)
    while at >= 0:
        yield name[:at], name[at + len(mark) :]
        at = name.find(mark, at + 1)


def _facts_of(path: Path) -> dict[str, Any]:
    """What a test was made with; nothing where it cannot be told."""
    try:
        found = parsed(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
