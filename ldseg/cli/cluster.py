"""Cases shared out over a cluster by Ray Data, whose actors hold the networks."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import zipfile
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.engines import KERAS
from ldseg.errors import ConfigError, DataError
from ldseg.evaluation import CaseResult
from ldseg.evaluation.archive import cases_of_rows, rows_of
from ldseg.folds import fold_folders
from ldseg.paths import cache_folder
from ldseg.remote import url_of
from ldseg.text import counted
from ldseg.writing import written_folder

logger = logging.getLogger(__name__)

TASKS = 4096
"""About so many tasks a run has: enough to share out well, few enough for the head of a cluster."""

FEWEST, MOST = 4, 256
"""Cases of a task: of more, too much is done again where a worker dies; of fewer, asking takes longer than doing."""

TRIES = 4
"""How often a task is begun whose worker dies, before its cases are tried one by one, and then as often each."""


class Cluster:
    """Ray, told how to segment.

    Args:
        config: the settings, settled by the weights.
        engine: a name in ``ldseg.engines.ENGINES``.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, config: Config, engine: str) -> None:
        try:
            import ray
            import ray.data
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"GPU.Ray: {error.name} is not installed, which --ray needs: pip install 'ldseg[ray]'"
            ) from error
        self._ray, self._config, self._engine = ray, config, engine
        logging.getLogger("ray.data").setLevel(logging.WARNING)  # it tells of each of its steps

    def segment(self, cases: Sequence[Case]) -> Generator[CaseResult]:
        """Segment cases, in the order in which they are done.

        Those whose worker died again and again are tried one by one; one with which it dies again is told as skipped.

        Raises:
            ConfigError: there is no cluster at the address.
            DataError: the cluster ended the run.
        """
        with self._joined(), _tolerant(self._ray):
            left = {case.name: case for case in cases}
            size = min(max(len(cases) // TASKS, FEWEST), MOST)
            for each in (size, 1):
                for result in self._round(list(left.values()), each):
                    if left.pop(result.name, None) is not None:  # once, whatever was begun again
                        yield result
                if not left:
                    return
                if each > 1:
                    logger.warning("%s without a result are tried one by one", counted(len(left), "case"))
        for case in left.values():
            yield _ended(case)

    @contextlib.contextmanager
    def _joined(self) -> Iterator[None]:
        """Be part of the cluster."""
        ray, address = self._ray, self._config.gpu.ray
        if ray.is_initialized():  # by the program that this is a part of
            yield
            return
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        except Exception as error:  # Ray has errors of many kinds for it
            wanted = f"expected a cluster at {address}, or local for one on this machine"
            raise ConfigError(f"GPU.Ray: {wanted}: {_line(error)}") from error
        try:
            yield
        finally:
            ray.shutdown()

    def _round(self, cases: Sequence[Case], size: int) -> Iterator[CaseResult]:
        """What became of cases, so many a task."""
        import pyarrow

        ray, config = self._ray, self._config
        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0)) if self._engine == KERAS else 0
        rows = [row_of(case) for case in cases]
        tasks = [pyarrow.Table.from_pylist(rows[i : i + size], _columns()) for i in range(0, len(rows), size)]
        weights, tries = ray.put(packed(config.weights_folder)), ray.remote(num_cpus=0)(Tries).remote()
        actors = max(1, min(gpus or int(there.get("CPU", 1)), len(tasks)))
        logger.info("Ray: %s, %s", counted(actors, "worker"), counted(len(tasks), "task"))
        done = ray.data.from_arrow(tasks).map_batches(
            Actor,
            fn_constructor_args=(weights, config, self._engine, tries),
            batch_size=size,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2),
            num_cpus=1,
            num_gpus=1 if gpus else 0,
        )
        try:
            for batch in done.iter_batches(batch_size=None, batch_format="pyarrow"):
                classes = [entry.name for entry in batch.schema.field("dice").type]
                yield from cases_of_rows(batch, classes)
        except ray.exceptions.RayError as error:
            raise DataError(f"GPU.Ray: the cluster at {config.gpu.ray} ended the run: {_line(error)}") from error


class Tries:
    """Counts how often each task was begun: Ray begins one again and again whose worker dies."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begin(self, task: str) -> int:
        """How often it was begun, this time counted."""
        self._begun[task] += 1
        return self._begun[task]


class Actor:
    """A process of the cluster that holds the networks.

    Args:
        weights: the folder of the weights, packed, as an object of Ray.
        config: the settings, settled by the weights.
        engine: a name in ``ldseg.engines.ENGINES``.
        tries: a handle of ``Tries``.
    """

    def __init__(self, weights: Any, config: Config, engine: str, tries: Any) -> None:
        import ray

        from ldseg import devices

        devices.choose(False)
        from ldseg.cli.worker import Worker  # only now: Keras reads the environment that the line above prepared

        folder = unpacked(ray.get(weights))
        self._folder = config.output_folder
        self._worker = Worker(config.with_values({"Model.Weights": str(folder)}), engine)
        self._begin = lambda task: ray.get(tries.begin.remote(task))

    def __call__(self, rows: Any) -> Any:
        """Segment cases; what goes wrong with one is told in its row. Of cases with which workers die, nothing is told."""
        cases = [case_of(row) for row in rows.to_pylist()]
        found: list[CaseResult] = []
        if self._begin(cases[0].name) <= TRIES:
            try:
                found = list(self._worker.segment(cases))
            except Exception:  # then by one of them, which must not take the others with it
                found = [self._alone(case) for case in cases]
        return rows_of(found, self._worker.structures, self._folder)

    def _alone(self, case: Case) -> CaseResult:
        try:
            (found,) = self._worker.segment([case])
        except Exception as error:
            logger.exception("%s", case.image)
            message = f"{url_of(case.image)}: {type(error).__name__}: {' '.join(str(error).split())}"
            return CaseResult(name=case.name, status="skipped", message=message)
        return found


def _line(error: BaseException) -> str:
    """The end of what Ray tells, which says what was wrong, in one line."""
    return " ".join(str(error).split())[-300:]


def _ended(case: Case) -> CaseResult:
    message = f"{url_of(case.image)}: the process that segmented it ended every time (killed, out of memory, or a crash)"
    return CaseResult(name=case.name, status="skipped", message=message)


def row_of(case: Case) -> Mapping[str, Any]:
    """A case as a row."""
    return {
        "name": case.name,
        "image": os.fsencode(case.image),
        "label": None if case.label is None else os.fsencode(case.label),
        "group": case.group,
        "channels": [os.fsencode(path) for path in case.channels],
        "annotations": [os.fsencode(path) for path in case.annotations],
    }


def case_of(row: Mapping[str, Any]) -> Case:
    """The inverse of ``row_of``."""
    label = row["label"]
    return Case(
        name=row["name"],
        image=Path(os.fsdecode(row["image"])),
        label=None if label is None else Path(os.fsdecode(label)),
        group=row["group"],
        channels=tuple(Path(os.fsdecode(path)) for path in row["channels"]),
        annotations=tuple(Path(os.fsdecode(path)) for path in row["annotations"]),
    )


def _columns() -> Any:
    import pyarrow

    path, paths = pyarrow.binary(), pyarrow.list_(pyarrow.binary())
    columns = {"name": pyarrow.string(), "image": path, "label": path, "group": pyarrow.string()}
    return pyarrow.schema([*columns.items(), ("channels", paths), ("annotations", paths)])


def packed(folder: Path) -> bytes:
    """The files of a folder of weights and of its folds; those of the training are left out."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for each in (folder, *fold_folders(folder)) for path in each.iterdir()):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                archive.writestr(zipfile.ZipInfo(name), path.read_bytes())  # one content, one digest: no times
    return stream.getvalue()


def unpacked(content: bytes) -> Path:
    """A folder of this machine with the weights that were packed; it is kept for the next worker that has the same."""
    folder = cache_folder() / "weights" / hashlib.sha256(content).hexdigest()
    if not folder.is_dir():
        try:
            with written_folder(folder) as made, zipfile.ZipFile(io.BytesIO(content)) as archive:
                archive.extractall(made)
        except DataError:
            if not folder.is_dir():  # and no other worker was faster
                raise
    return folder


@contextlib.contextmanager
def _tolerant(ray: Any) -> Iterator[None]:
    """Let Ray Data go on where a task failed, and show no bars of its own."""
    context = ray.data.DataContext.get_current()
    wanted = {"max_errored_blocks": -1, "enable_progress_bars": False}
    earlier = {name: getattr(context, name) for name in wanted}
    for name, value in wanted.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        for name, value in earlier.items():
            setattr(context, name, value)
