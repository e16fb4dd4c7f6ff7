"""Training and validation by whole groups (patients), and the manifest that writes a split down."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ldseg.base.text import counted
from ldseg.data.cases import Case
from ldseg.errors import DataError
from ldseg.io.names import matches

MANIFEST_VERSION = 1


def split_by_group(cases: Sequence[Case], fraction: float, seed: int) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Split into (training, validation) by whole groups; the cases keep their order.

    The number of validation cases is as near `fraction` of all as whole groups allow, and the seed decides
    among the choices that are equally near. The split depends on names, groups and seed, not on the order of
    the cases. Both parts hold a group at least; `fraction` 0 asks for no validation at all.

    Raises DataError for a fraction outside [0, 1), no case, or a single group.
    """
    if not 0 <= fraction < 1:
        raise DataError(f"the validation fraction must be at least 0 and below 1, got {fraction}")
    if not cases:
        raise DataError("no case to split into training and validation")
    if fraction == 0:
        return tuple(cases), ()
    sizes: dict[str, int] = {}
    for case in cases:
        sizes[case.group] = sizes.get(case.group, 0) + 1
    if len(sizes) < 2:
        raise DataError(
            f"{cases[0].image.parent}: validation needs cases of two groups (patients) or more, found only"
            f" {next(iter(sizes))!r} with {counted(len(cases), 'case')}; add images, or see [Data] Cases"
        )
    chosen = _nearest_subset(sizes, fraction * len(cases), seed)
    training = tuple(case for case in cases if case.group not in chosen)
    return training, tuple(case for case in cases if case.group in chosen)


def folds_by_group(cases: Sequence[Case], folds: int, seed: int) -> tuple[tuple[Case, ...], ...]:
    """Deal the cases out to folds by whole groups; the cases keep their order.

    The largest group goes first, each to the fold with the fewest cases so far; the seed decides the order among groups of
    one size. The folds depend on names, groups and seed, not on the order of the cases.

    Raises DataError for fewer groups than folds.
    """
    sizes: dict[str, int] = {}
    for case in cases:
        sizes[case.group] = sizes.get(case.group, 0) + 1
    if len(sizes) < folds:
        raise DataError(
            f"Training.Folds = {folds}: expected at most as many folds as groups (patients), found {len(sizes)} with"
            f" {counted(len(cases), 'case')}"
        )
    names = sorted(sizes)
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    parts: list[set[str]] = [set() for _ in range(folds)]
    held = [0] * folds
    for name in sorted(order, key=lambda name: -sizes[name]):  # a stable sort
        fold = held.index(min(held))
        parts[fold].add(name)
        held[fold] += sizes[name]
    return tuple(tuple(case for case in cases if case.group in part) for part in parts)


def split_by_name(cases: Sequence[Case], patterns: Sequence[str]) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Split into (training, validation): the cases that match one of the glob `patterns` validate.

    Raises DataError where a part would be empty, and for a group (patient) that would be in both.
    """
    chosen = {case.name for case in cases if matches(case.name, patterns)}
    training = tuple(case for case in cases if case.name not in chosen)
    validation = tuple(case for case in cases if case.name in chosen)
    if not training or not validation:
        raise DataError(
            f"[Training] Validation = {', '.join(patterns)} names {len(validation)} of {len(cases)} cases;"
            " expected some for validation and some for training"
        )
    both = {case.group for case in training} & {case.group for case in validation}
    if both:
        named = ", ".join(sorted(both))
        raise DataError(f"[Training] Validation divides the cases of {named}; expected whole groups (patients)")
    return training, validation


def _nearest_subset(sizes: dict[str, int], target: float, seed: int) -> frozenset[str]:
    """Groups, not none and not all, whose sizes add up nearest to `target` (subset sum, exact).

    Groups are taken up in an order that the seed gives. Of every total is kept which group reached it first: before that
    group the rest of the total was reached already, so that the groups of a total are found by walking down. Of several
    choices with one total, this is always the same one.
    """
    names = sorted(sizes)
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    everything = sum(sizes.values())
    # The smallest group alone is a choice: nothing that is farther from the target counts.
    most = min(everything - 1, max(int(2 * target) + 1, min(sizes.values())))

    def distance(total: int) -> tuple[float, int]:
        return abs(total - target), total

    best = min(range(1, most + 1), key=distance)
    reached = np.zeros(most + 1, bool)
    reached[0] = True
    first = np.zeros(most + 1, np.int64)
    for index, name in enumerate(order):
        size = sizes[name]
        if size > most:
            continue
        new = np.flatnonzero(reached[: most + 1 - size] & ~reached[size:]) + size
        reached[new] = True
        first[new] = index
        if reached[best]:
            break
    total = min(map(int, np.flatnonzero(reached[1:]) + 1), key=distance)
    chosen = []
    while total:
        chosen.append(order[first[total]])
        total -= sizes[chosen[-1]]
    return frozenset(chosen)


def split_manifest(training: Sequence[Case], validation: Sequence[Case], *, fraction: float, seed: int) -> dict[str, Any]:
    """The split as plain JSON values: per part, the names of the cases under their group."""
    return {
        "version": MANIFEST_VERSION,
        "fraction": fraction,
        "seed": seed,
        "training": _grouped(training),
        "validation": _grouped(validation),
    }


def folds_manifest(folds: Sequence[Sequence[Case]], seed: int) -> dict[str, Any]:
    """The manifest of the first of several folds, from which ``manifest_of_fold`` makes those of the others."""
    dealt = {"version": MANIFEST_VERSION, "fraction": 1 / len(folds), "seed": seed, "folds": [_grouped(f) for f in folds]}
    return manifest_of_fold(dealt, 1)


def manifest_of_fold(manifest: Mapping[str, Any], fold: int) -> dict[str, Any]:
    """The manifest of a fold, from 1 on, from that of any of them: it validates on its cases and trains on all others."""
    folds = manifest["folds"]
    training = {group: names for k, held in enumerate(folds, start=1) if k != fold for group, names in held.items()}
    return {**manifest, "fold": fold, "training": training, "validation": dict(folds[fold - 1])}


def manifests(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of all folds, where there are several, else the manifest alone."""
    return [manifest_of_fold(manifest, fold + 1) for fold in range(len(manifest.get("folds", ())))] or [manifest]


def apply_manifest(cases: Sequence[Case], manifest: Mapping[str, Any]) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """The (training, validation) cases that a manifest names, in their order in `cases`; others are left out.

    Raises DataError for names of the manifest that are not among the cases.
    """
    parts = []
    for part in ("training", "validation"):
        named = {name for names in manifest[part].values() for name in names}
        missing = sorted(named - {case.name for case in cases})
        if missing:
            raise DataError(
                f"the split names {part} cases that are not in the data folder, or cannot be used: {', '.join(missing)};"
                " put them back, or set [Parameters] Checkpoint = False, which begins anew and keeps the earlier training"
            )
        parts.append(tuple(case for case in cases if case.name in named))
    return parts[0], parts[1]


def _grouped(cases: Sequence[Case]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case.name)
    return groups
