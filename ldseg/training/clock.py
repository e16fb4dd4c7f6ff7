"""How long a training takes, how much of it is left, and how one ends on time."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable

from ldseg.group import Group

VALIDATIONS = 20
"""About as many validations as are planned in a training of given minutes."""

SHARE = 0.1
"""Of the time, what validations may take at most."""

FIRST = 0.25
"""Of the time that compiling has left, what may pass before the first validation."""

LATELY = 50
"""Updates over which the rate is taken: their median, so that a pause does not count."""


class CommonTime:
    """The clock of the first of several processes, so that all decide alike: it stands still until all look at it.

    Args:
        group: the processes.
        now: a clock in seconds.
    """

    def __init__(self, group: Group, now: Callable[[], float] = time.perf_counter) -> None:
        self.group, self._now = group, now
        self.tick()

    def __call__(self) -> float:
        """The time at which all looked last."""
        return self.time

    def tick(self) -> None:
        """All look at it."""
        self.time: float = self.group.share("the time", self._now())


class Clock:
    """The time of a training: what an update and a validation take, and what is left.

    The first update of a process holds the compiling and counts for no rate. With ``minutes``, the time runs over all
    starts of a training: what earlier ones took up to their last checkpoint is ``spent``.

    Args:
        minutes: the length of the training; 0 where it is a number of epochs.
        spent: seconds of earlier starts.
        since: when this start began, as ``now`` tells it.
        now: a clock in seconds.
        picks: whether steps and masks are tried at the end.

    Attributes:
        update: seconds of an update, NaN before two are done.
        validation: seconds of the last validation, NaN before the first.
        pause: seconds between two epochs, such as the checkpoint takes; 0 before the first.
    """

    def __init__(
        self,
        *,
        minutes: float = 0.0,
        spent: float = 0.0,
        since: float | None = None,
        now: Callable[[], float] = time.perf_counter,
        picks: bool = False,
    ) -> None:
        self.picks = picks
        self.budget = 60.0 * minutes
        self.spent = spent
        self.now = now
        self.since = now() if since is None else since
        self.validation = math.nan
        self.update = math.nan
        self.pause = 0.0
        self._lately: deque[float] = deque(maxlen=LATELY)
        self._pauses: deque[float] = deque(maxlen=LATELY)
        self._tick: float | None = None
        self._validated = self.elapsed
        self._first: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds of the training so far, with its earlier starts."""
        return self.spent + self.now() - self.since

    def updated(self) -> None:
        """An update is done."""
        now = self.now()
        if self._tick is not None:
            self._lately.append(now - self._tick)
            self.update = statistics.median(self._lately)
        if self._first is None:
            self._first = self._validated = self.elapsed  # what compiling took calls for no validation of one update
        self._tick = now

    def validated(self, seconds: float) -> None:
        """A validation is done, which took so long."""
        self.validation = seconds
        self._validated = self.elapsed
        self._tick = None  # what it took is no update

    def paused(self) -> None:
        """An epoch is over; what came since its last update, such as a checkpoint, is not part of the next one."""
        if self._tick is not None:  # not where a validation came between
            self._pauses.append(self.now() - self._tick)
            self.pause = statistics.median(self._pauses)
        self._tick = None

    def left(self, updates: int = 0, validations: int = 0, epochs: int = 0) -> float:
        """Seconds left: those of the budget, or, where there is none, of so much that is to be done; NaN at first."""
        if self.budget:
            return max(self.budget - self.elapsed, 0.0)
        validating = validations * self.validation if not math.isnan(self.validation) else 0.0
        return updates * self.update + epochs * self.pause + validating

    @property
    def reserve(self) -> float:
        """Seconds that the end needs: the last update and the last validation, with what is written then."""
        known = [part for part in (self.update, 1.1 * self.validation) if not math.isnan(part)]
        return sum(known) + 0.002 * self.budget + self.picking

    @property
    def picking(self) -> float:
        """Seconds for trying steps and masks at the end: as many as four validations, a twenty-fifth of the time at most."""
        if not self.picks or math.isnan(self.validation):
            return 0.0
        return min(4 * self.validation, 0.04 * self.budget)

    @property
    def progress(self) -> float:
        """Share of the time for updates that is over, from 0 after compiling to 1 where the last validation begins."""
        begin = min(self._first or self.elapsed, 0.5 * self.budget) if not self.spent else 0.0
        end = max(self.budget - self.reserve, begin + 1e-6)
        return min(max((self.elapsed - begin) / (end - begin), 0.0), 1.0)

    @property
    def over(self) -> bool:
        """Whether the time, where there is a budget, is over but for what the end needs."""
        return bool(self.budget) and self.elapsed + self.reserve >= self.budget

    @property
    def interval(self) -> float:
        """Seconds between the validations of a training of given minutes."""
        least = 0.0 if math.isnan(self.validation) else self.validation / SHARE
        return max(self.budget / VALIDATIONS, least)

    @property
    def due(self) -> bool:
        """Whether it is time to validate, at the end of an epoch."""
        return self.elapsed - self._validated >= self.interval

    @property
    def overdue(self) -> bool:
        """Whether an epoch is so long that it is validated within; in a training of given minutes alone."""
        if not self.budget or self._first is None:
            return False
        most = 4 * self.interval
        if math.isnan(self.validation):  # the end is planned by what the first one takes
            most = min(most, FIRST * (self.budget - self._first))
        return self.elapsed - self._validated >= most


def rate(peak: float, progress: float, updates: int, warm_up: int, floor: float = 0.01) -> float:
    """The step size of a training of given minutes.

    A half cosine from the peak to a hundredth of it over the time, as ``ldseg.training.optimizer.adamw`` has it over
    updates; before, a linear rise over ``warm_up`` updates, or a tenth of the time where that is less.

    Args:
        peak: the highest step size.
        progress: share of the time that is over, in [0, 1].
        updates: updates done.
        warm_up: updates of the rise.
        floor: share of the peak at the end.
    """
    risen = max(updates / warm_up, 10 * progress) if warm_up else 1.0
    return peak * min(risen, 1.0) * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))
