"""Segments cases of an archive, wherever their files lie and their results go: in this process, or as an actor of Ray."""

from __future__ import annotations

import contextlib
import tempfile
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ldseg.base.remote import is_remote, send
from ldseg.base.writing import remove
from ldseg.cli.finish import Run
from ldseg.cli.segment import results_of
from ldseg.cli.slides import segment_slides, split_cases
from ldseg.cli.task import Task
from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.data.remote import fetched, told_of
from ldseg.description import read_description
from ldseg.errors import DataError
from ldseg.evaluation import CaseResult
from ldseg.inference.opening import open_weights
from ldseg.outputs import Outputs

AT_ONCE = 8
"""Files that are copied at a time, from an object store or to it."""


@dataclass(frozen=True, kw_only=True)
class _Here:
    """A case on this machine.

    Attributes:
        case: as it was named.
        local: with its files here.
        files: what removes them.
        problem: why they are not here; empty if they are.
    """

    case: Case
    local: Case
    files: contextlib.ExitStack
    problem: str = ""


class Worker:
    """Holds the networks, and segments what it is given.

    Args:
        config: the settings, settled by the weights.
        engine: a name in ``ldseg.base.engines.ENGINES``.

    Raises:
        LDSegError: the weights cannot be used.
    """

    def __init__(self, config: Config, engine: str) -> None:
        description = read_description(config.weights_folder)
        opened = open_weights(config.weights_folder, engine, precision=config.gpu.precision, description=description)
        self._task = Task(config=config, cases=(), problems=(), opened=opened)
        self._predictor = self._task.predictor()

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of what figures tell of, background first: the classes, or the regions that they make."""
        return self._task.preprocessing.structures

    def segment(self, cases: Sequence[Case]) -> Generator[CaseResult]:
        """Segment cases, write what belongs to each, and tell what became of it; then all of it is where it belongs."""
        folder = self._task.config.output_folder
        if not is_remote(folder):
            yield from self._segment(cases, self._task.config)
            return
        with tempfile.TemporaryDirectory(prefix="ldseg-results-") as top:
            config = self._task.config.with_values({"Output.Folder": top})
            with ThreadPoolExecutor(AT_ONCE) as senders:
                sent: deque[Future[CaseResult]] = deque()
                for result in self._segment(cases, config):
                    sent.append(senders.submit(_sent, result, Outputs(Path(top)), folder))
                    while len(sent) > 2 * AT_ONCE or (sent and sent[0].done()):
                        yield sent.popleft().result()
                while sent:
                    yield sent.popleft().result()

    def _segment(self, cases: Sequence[Case], config: Config) -> Iterator[CaseResult]:
        run = Run(task=replace(self._task, config=config), predictor=self._predictor, compared={})
        here: dict[str, _Here] = {}
        others: list[_Here] = []
        with contextlib.closing(_brought(cases, 2 * int(config.parameters.batch_size))) as brought:
            while True:
                whole = self._whole(run, brought, here, others)
                with contextlib.closing(whole), contextlib.closing(results_of(run, whole, len(cases))) as results:
                    for result in results:
                        yield _finished(run, result, here.pop(result.name))
                if not others:
                    return
                for item in others:
                    yield self._other(run, item)
                others.clear()

    def _whole(self, run: Run, brought: Iterator[_Here], here: dict[str, _Here], others: list[_Here]) -> Generator[Case]:
        """The next cases that are segmented whole.

        A slide ends them, so that its row and those before it wait for no more; and so do several cases that are not here.

        Args:
            run: the run.
            brought: the cases that are left.
            here: takes those that are segmented whole, by name.
            others: takes the others.
        """
        for item in brought:
            if not item.problem and split_cases(replace(run.task, cases=(item.local,)))[0]:
                here[item.case.name] = item
                yield item.local
                continue
            others.append(item)
            if not item.problem or len(others) >= AT_ONCE:
                return

    def _other(self, run: Run, item: _Here) -> CaseResult:
        """What becomes of a slide, or of a case that is not here."""
        if item.problem:
            return CaseResult(name=item.case.name, status="skipped", message=item.problem)
        (result,) = segment_slides(run.task, self._predictor, [item.local], run.results)
        return _finished(run, result, item)


def _brought(cases: Sequence[Case], window: int) -> Generator[_Here]:
    """Cases in their order, so many brought here ahead of their turn."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        coming: deque[Future[_Here]] = deque()
        try:
            for case in cases:
                coming.append(pool.submit(_bring, case))
                if len(coming) >= window:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                if not future.cancel():
                    future.result().files.close()


def _bring(case: Case) -> _Here:
    with contextlib.ExitStack() as files:
        try:
            local = files.enter_context(fetched(case))
        except (DataError, OSError) as error:
            return _Here(case=case, local=case, files=contextlib.ExitStack(), problem=str(error))
        return _Here(case=case, local=local, files=files.pop_all())
    raise AssertionError  # a suppressed error, which there is none


def _finished(run: Run, result: CaseResult, item: _Here) -> CaseResult:
    """What became of a case, told by the names of its own files; the copies of them go."""
    item.files.close()
    run.results.files.pop(result.name, None)  # of an archive there would be ever more
    message = result.message or "; ".join(run.results.missing.pop(result.name, ()))
    return replace(result, message=told_of(item.case, item.local, message))


def _sent(result: CaseResult, outputs: Outputs, folder: Path) -> CaseResult:
    """Put the files of a case where they belong."""
    try:
        for path in outputs.of_cases([result.name])[result.name]:
            for file in [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file()):
                send(file, folder / file.relative_to(outputs.folder))
            remove(path)
    except DataError as error:
        return CaseResult(name=result.name, status="skipped", message=str(error), seconds=result.seconds)
    mask = result.mask and folder / result.mask.relative_to(outputs.folder)
    return replace(result, mask=mask)
