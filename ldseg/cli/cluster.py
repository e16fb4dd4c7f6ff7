"""Cases shared out over a cluster by Ray Data, whose actors hold the networks."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from ldseg.base.engines import KERAS
from ldseg.base.remote import url_of
from ldseg.base.text import counted
from ldseg.cli.parcels import case_of, columns, packed, row_of, unpacked
from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.errors import ConfigError, DataError
from ldseg.evaluation import CaseResult
from ldseg.evaluation.archive import cases_of_rows, rows_of

logger = logging.getLogger(__name__)

TASKS = 4096
"""About so many tasks a run has: enough to share out well, few enough for the head of a cluster."""

FEWEST, MOST = 4, 256
"""Cases of a task: of more, too much is done again where a worker dies; of fewer, asking takes longer than doing."""

TRIES = 4
"""How often a task is begun whose worker dies, before its cases are tried one by one, and then as often each."""


ARENAS = {"MALLOC_ARENA_MAX": "2"}
"""For workers, whose many short-lived threads else leave memory behind in one arena of glibc's malloc after the other:
up to 64 MB in each of 8 arenas a core, as Ray's own threads have taken the first of them."""

OUTSIDE = "ray://"
"""How the address of a cluster begins that this machine is not part of."""

ASKED = 1.0
"""Seconds for which results are gathered before they are sent outside."""


class Cluster:
    """Ray, told how to segment.

    Args:
        config: the settings, settled by the weights.
        engine: a name in ``ldseg.base.engines.ENGINES``.
        weights: their folder, packed, where it lies on another machine.

    Raises:
        ConfigError: Ray is not installed.
    """

    def __init__(self, config: Config, engine: str, weights: bytes = b"") -> None:
        try:
            import ray
            import ray.data
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"GPU.Ray: {error.name} is not installed, which --ray needs: pip install 'ldseg[ray]'"
            ) from error
        self._ray, self._config, self._engine = ray, config, engine
        self._weights = weights or packed(config.weights_folder)
        logging.getLogger("ray.data").setLevel(logging.WARNING)  # it tells of each of its steps

    def segment(self, cases: Sequence[Case]) -> Generator[CaseResult]:
        """Segment cases, in the order in which they are done.

        Those whose worker died again and again are tried one by one; one with which it dies again is told as skipped.

        Raises:
            ConfigError: there is no cluster at the address.
            DataError: the cluster ended the run.
        """
        with self._joined():
            try:
                outside = self._config.gpu.ray.startswith(OUTSIDE)
                yield from self._from_outside(cases) if outside else self._from_within(cases)
            except self._ray.exceptions.RayError as error:
                raise DataError(f"GPU.Ray: the cluster at {self._config.gpu.ray} ended the run: {_line(error)}") from error

    def _from_within(self, cases: Sequence[Case]) -> Iterator[CaseResult]:
        left = {case.name: case for case in cases}
        size = min(max(len(cases) // TASKS, FEWEST), MOST)
        with _tolerant(self._ray):
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

    def _from_outside(self, cases: Sequence[Case]) -> Iterator[CaseResult]:
        """By a process of the cluster that does what this one would do there: Ray Data cannot be led from outside."""
        config = self._config.with_values({"GPU.Ray": "auto"})
        head = self._ray.remote(num_cpus=0)(Head).remote(config, self._engine, self._weights, list(cases))
        while found := self._ray.get(head.more.remote()):
            yield from found

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
        ray, config = self._ray, self._config
        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0)) if self._engine == KERAS else 0
        weights, tries = ray.put(self._weights), ray.remote(num_cpus=0)(Tries).remote()
        starts = range(0, len(cases), size)
        actors = max(1, min(gpus or int(there.get("CPU", 1)), len(starts)))
        logger.info("Ray: %s, %s", counted(actors, "worker"), counted(len(starts), "task"))
        done = _tasks(ray, cases, starts).map_batches(
            Actor,
            fn_constructor_args=(weights, config, self._engine, tries),
            batch_size=size,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2),
            num_cpus=1,
            num_gpus=1 if gpus else 0,
            runtime_env={"env_vars": {name: os.environ.get(name, value) for name, value in ARENAS.items()}},
        )
        for batch in done.iter_batches(batch_size=None, batch_format="pyarrow"):
            classes = [entry.name for entry in batch.schema.field("dice").type]
            yield from cases_of_rows(batch, classes)


def _tasks(ray: Any, cases: Sequence[Case], starts: range) -> Any:
    """Cases as a data set of Ray with a table for each task, which begin at `starts`."""
    import pyarrow

    # Not `from_arrow`: it has workers look at each table, and this process keeps 46 kB for each of these looks.
    return ray.data.from_blocks(
        [
            pyarrow.Table.from_pylist([row_of(case) for case in cases[start : start + starts.step]], columns())
            for start in starts
        ]
    )


class Head:
    """A run within a cluster, for a command that is outside of it.

    Args:
        config: the settings, settled by the weights.
        engine: a name in ``ldseg.base.engines.ENGINES``.
        weights: their folder, packed.
        cases: to be segmented.
    """

    def __init__(self, config: Config, engine: str, weights: bytes, cases: Sequence[Case]) -> None:
        self._results = Cluster(config, engine, weights).segment(cases)

    def more(self) -> list[CaseResult]:
        """What is done since this was last asked, waited for if it is nothing yet; empty in the end."""
        found, asked = [], time.monotonic()
        for result in self._results:
            found.append(result)
            if time.monotonic() - asked > ASKED:
                break
        return found


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
        engine: a name in ``ldseg.base.engines.ENGINES``.
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
        if self._begin(cases[0].name) > TRIES:
            return self._packed([])
        try:
            return self._packed(list(self._worker.segment(cases)))
        except Exception:  # then by one of them, which must not take the others with it
            return self._packed([self._alone(case) for case in cases])

    def _packed(self, found: Sequence[CaseResult]) -> Any:
        return rows_of(found, self._worker.structures, self._folder)

    def _alone(self, case: Case) -> CaseResult:
        try:
            (found,) = self._worker.segment([case])
            self._packed([found])  # a row that cannot be sent is the problem of its case
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
