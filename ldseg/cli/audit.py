"""``StateAudit = True``: how much the masks depend on the state of the diffusion."""

from __future__ import annotations

import logging
from typing import Any

from tqdm import tqdm

from ldseg.cli.facts import facts_of
from ldseg.cli.segment import settle
from ldseg.cli.table import number, table
from ldseg.cli.trials import labelled
from ldseg.config import Config
from ldseg.data.cases import find_cases
from ldseg.evaluation import dice
from ldseg.evaluation.conditions import dice_figures, document, write_document
from ldseg.inference import Audited, Predictor, StateAudit, audit_states
from ldseg.inference.audit import STATES
from ldseg.spatial import AXES
from ldseg.viz import audit_figure, save_figure
from ldseg.weights import load_segmenter, read_description
from ldseg.writing import claim_folder

logger = logging.getLogger(__name__)

FOLDER = "StateAudit"


def run(config: Config) -> int:
    """Audit the labelled cases that the settings name and write ``StateAudit/`` in the output folder.

    Returns:
        the number of problems.

    Raises:
        LDSegError: if nothing can be done.
    """
    config = settle(config, read_description(config.weights_folder))
    found = find_cases(config.dataset_folder, config.data.cases, axes=AXES[config.data.dimensions])
    segmenter, description = load_segmenter(config.weights_folder)
    audit = StateAudit(Predictor(segmenter, sampler=config.sampler.sampler, steps=config.sampler.sampling_steps))
    audit.compile()
    folder = config.output_folder / FOLDER
    claim_folder(folder, "[Output] Folder")
    preprocessing = description.preprocessing_for(config.data.labels, config.data.label_map)
    cases = labelled(config, found.cases)
    steps, states = len(audit.steps), len(STATES)
    logger.info("%d cases x %d steps x %d states: %d masks", len(cases), steps, states, len(cases) * steps * states)
    items, problems = [], list(found.problems)
    audited = audit_states(audit, cases, preprocessing, seed=config.sampler.seed)
    for item in tqdm(audited, total=len(cases), desc="auditing", unit="case"):
        if item.problem:
            logger.error("skipped %s: %s", item.name, item.problem)
            problems.append(item.problem)
        else:
            items.append(item)
    report = document(
        conditions_of(audit, items, preprocessing.classes),
        preprocessing.classes,
        **facts_of(config, description),
        architecture=description.to_dict()["architecture"],
        problems=problems,
    )
    write_document(folder / "state_audit", report, ("t", "state", "agreement"))
    save_figure(audit_figure(report), folder / "state_audit.png")
    print(_table(report))
    print(f"\n{len(items)} audited, {len(problems)} problems. Written to {folder}")
    for line in problems:
        print(f"problem: {line}")
    return len(problems)


def conditions_of(audit: StateAudit, items: list[Audited], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Dice of the cases by time and state; ``agreement`` is the Dice between the mask and that from the run's own state."""
    conditions = []
    for step, time in enumerate(audit.times):
        for index, state in enumerate(STATES):
            scores, same = {}, {}
            for item in items:
                assert item.masks is not None
                assert item.label is not None
                mask = item.masks[step, index]
                scores[item.name] = list(dice(mask, item.label, len(classes)))
                same[item.name] = list(dice(mask, item.masks[step, 0], len(classes)))
            agreement = dice_figures(same, classes)["foreground"]
            conditions.append({"t": time, "state": state, **dice_figures(scores, classes), "agreement": agreement})
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
    lines.append(
        "own: of the run. true: of the label. other: of another case's label. noise: noise alone, new at each step."
    )
    return "\n".join(lines)
