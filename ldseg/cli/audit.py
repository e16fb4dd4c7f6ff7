"""``StateAudit = True``: how much the masks depend on the state of the diffusion."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.bars import along
from ldseg.base.text import counted, number, one_line
from ldseg.base.writing import held_folder, remove
from ldseg.cli.table import table
from ldseg.cli.task import Task, begin
from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.evaluation.conditions import dice_figures, document, write_document
from ldseg.inference.facts import facts_of
from ldseg.inference.predictor import Predictor
from ldseg.inference.state_audit import STATES, StateAudit, audit_states
from ldseg.outputs import Outputs
from ldseg.viz import audit_figure, save_figure
from ldseg.viz.report.trial import write_trial_report

logger = logging.getLogger(__name__)

GIVEN = "own: of the run. true: of the label. other: of another case's label. noise: noise alone, new at each step."
"""What the states are."""


def run(config: Config) -> int:
    """Audit the labelled cases that the settings name and write ``StateAudit/`` in the output folder.

    Returns:
        the number of problems.

    Raises:
        LDSegError: if nothing can be done.
    """
    task = begin(config, engine="keras", labelled=True, purpose="the state audit")
    outputs = Outputs(task.config.output_folder)
    record = outputs.state_audit
    predictor = task.predictor(flips=False, samples=1)
    assert isinstance(predictor, Predictor)
    audit = StateAudit(predictor)
    audit.compile()
    cases = task.labelled()
    outputs.check_links()
    with held_folder(record.parent, "[Output] Folder"):
        return _audit(task, audit, cases, record)


def _audit(task: Task, audit: StateAudit, cases: Sequence[Case], record: Path) -> int:
    """Audit the cases and write what came out, and return the number of problems."""
    step, sampler = task.preprocessing, task.config.sampler
    steps, states = len(audit.steps), len(STATES)
    of_each = f"{counted(len(cases), 'case')} x {counted(steps, 'step')} x {states} states"
    logger.info("%s: %d masks", of_each, len(cases) * steps * states)
    scores: dict[str, np.ndarray] = {}
    problems = list(task.problems)
    audited = audit_states(audit, cases, task.preprocessing, seed=sampler.seed, sigma=sampler.sigma)
    for item in along(audited, len(cases), "auditing"):
        if item.problem:
            logger.error("skipped %s: %s", item.name, item.problem)
            problems.append(item.problem)
        else:
            scores[item.name] = item.scores(step.num_classes, step.unions)
    report = document(
        conditions_of(audit.times, scores, step.structures),
        step.structures,
        **facts_of(task.config, task.opened),
        architecture=task.description.spec.architecture,
        problems=problems,
    )
    write_document(record, report, ("t", "state", "agreement"))
    save_figure(audit_figure(report), record.with_suffix(".png"))
    if task.config.output.report:
        title = "How much the masks depend on the state of the diffusion"
        columns: dict[str, Callable[[Any], str]] = {
            "t": str,
            "state": str,
            "agreement": lambda figures: number(figures["mean"]),
        }
        note = f"The state is given at time t. {GIVEN} Agreement: the Dice with the mask from the run's own."
        write_trial_report(record, report, title, columns, note)
    else:
        remove(record.with_suffix(".html"))
    print(_table(report))
    page = record.with_suffix(".html" if task.config.output.report else ".json")
    print(f"\n{len(scores)} audited, {counted(len(problems), 'problem')}. Written to {page} and beside it")
    for line in problems:
        print(f"problem: {one_line(line)}")
    return len(problems)


def conditions_of(times: Sequence[int], scores: Mapping[str, np.ndarray], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Dice of the cases by time and state; ``agreement`` is the Dice between the mask and that from the run's own state.

    Args:
        times: K times.
        scores: by case, what ``Audited.scores`` gives.
        classes: names of the classes, or of the regions, background first.
    """
    conditions = []
    for step, time in enumerate(times):
        for index, state in enumerate(STATES):
            found, same = ({name: score[step, index, which] for name, score in scores.items()} for which in (0, 1))
            agreement = dice_figures(same, classes)["foreground"]
            conditions.append({"t": time, "state": state, **dice_figures(found, classes), "agreement": agreement})
    return conditions


def _table(report: dict[str, Any]) -> str:
    by_time: dict[int, dict[str, dict[str, Any]]] = {}
    for condition in report["conditions"]:
        by_time.setdefault(condition["t"], {})[condition["state"]] = condition
    rows = []
    for time, states in by_time.items():
        cells = [number(states[state]["foreground"]["mean"]) for state in STATES]
        cells += [number(states[state]["agreement"]["mean"]) for state in STATES[1:]]
        rows.append([str(time), *cells])
    lines = ["Dice of the mask from one state at time t, and its agreement (Dice) with the mask from the run's own state:"]
    lines.append(table(["t", *STATES, *(f"{state} = own" for state in STATES[1:])], rows))
    lines.append(GIVEN)
    return "\n".join(lines)
