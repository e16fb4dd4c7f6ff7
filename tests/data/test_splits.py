import itertools
import json
import time
from pathlib import Path

import numpy as np
import pytest

from ldseg.data.cases import Case
from ldseg.data.splits import (
    _nearest_subset,
    apply_manifest,
    folds_by_group,
    folds_manifest,
    manifests,
    split_by_group,
    split_by_name,
    split_manifest,
)
from ldseg.errors import DataError


def cases_of(*sizes: int) -> list[Case]:
    return [
        Case(name=f"p{group}_{i}", image=Path(f"p{group}_{i}.png"), label=None, group=f"p{group}")
        for group, size in enumerate(sizes)
        for i in range(size)
    ]


GLAS = cases_of(12, 16, 8, 4, 4, 4, 4, 1, 8, 15, 4, 1, 1, 1, 2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_whole_groups_and_the_nearest_share(seed: int, fraction: float) -> None:
    training, validation = split_by_group(GLAS, fraction, seed)
    assert not {case.group for case in training} & {case.group for case in validation}
    assert sorted((*training, *validation), key=GLAS.index) == GLAS
    assert abs(len(validation) - fraction * len(GLAS)) <= 0.5


def test_the_seed_decides_and_the_order_does_not() -> None:
    shuffled = [GLAS[i] for i in np.random.default_rng(1).permutation(len(GLAS))]
    splits = []
    for seed in range(6):
        _, validation = split_by_group(GLAS, 0.2, seed)
        assert split_by_group(GLAS, 0.2, seed)[1] == validation
        assert set(split_by_group(shuffled, 0.2, seed)[1]) == set(validation)
        splits.append(validation)
    assert len(set(splits)) > 1


@pytest.mark.parametrize("fraction", [0.001, 0.2, 0.999])
def test_both_parts_hold_a_group(fraction: float) -> None:
    training, validation = split_by_group(cases_of(50, 1), fraction, 0)
    assert {len(training), len(validation)} == {50, 1}
    assert len(validation) == (50 if fraction > 0.9 else 1)


def nearest_by_trying(sizes: dict[str, int], target: float, seed: int) -> frozenset[str]:
    """The same rule without a table of totals: of every total the groups that reached it first, in the order of the seed."""
    names = sorted(sizes)
    reached: dict[int, frozenset[str]] = {0: frozenset()}
    for i in np.random.default_rng(seed).permutation(len(names)):
        for total, groups in list(reached.items()):
            reached.setdefault(total + sizes[names[i]], groups | {names[i]})
    totals = [total for total in reached if 0 < total < sum(sizes.values())]
    return reached[min(totals, key=lambda total: (abs(total - target), total))]


def test_existing_splits_stay() -> None:
    """The choice of a seed is written down in the manifests of weights: it may not change."""
    rng = np.random.default_rng(0)
    for trial in range(300):
        count, largest = int(rng.integers(2, 30)), int(rng.choice([1, 2, 5, 40]))
        sizes = {f"g{index}": int(size) for index, size in enumerate(rng.integers(1, largest + 1, count))}
        target = float(rng.choice([0.001, 0.1, 0.2, 0.37, 0.5, 0.9, 0.999])) * sum(sizes.values())
        assert _nearest_subset(sizes, target, trial) == nearest_by_trying(sizes, target, trial), (sizes, target)


@pytest.mark.parametrize("largest", [1, 12])
def test_ten_thousand_groups_take_less_than_a_second(largest: int) -> None:
    sizes = np.random.default_rng(0).integers(1, largest + 1, 10_000)
    groups = {f"p{index}": int(size) for index, size in enumerate(sizes)}
    began = time.process_time()
    chosen = _nearest_subset(groups, 0.2 * sizes.sum(), 0)
    assert time.process_time() - began < 1
    assert sum(groups[name] for name in chosen) == round(0.2 * sizes.sum())


def test_no_validation() -> None:
    assert split_by_group(GLAS, 0, 0) == (tuple(GLAS), ())


@pytest.mark.parametrize(
    ("cases", "fraction", "expected"),
    [
        (cases_of(5), 0.2, "two groups .* only 'p0' with 5"),
        ([], 0.2, "no case"),
        (GLAS, 1.0, "below 1, got 1.0"),
        (GLAS, -0.1, "at least 0"),
    ],
)
def test_what_cannot_be_split(cases: list[Case], fraction: float, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        split_by_group(cases, fraction, 0)


def test_a_manifest_gives_the_split_back() -> None:
    """As JSON keeps it."""
    training, validation = split_by_group(GLAS, 0.2, 3)
    manifest = json.loads(json.dumps(split_manifest(training, validation, fraction=0.2, seed=3)))
    assert manifest["seed"] == 3
    assert manifest["fraction"] == 0.2
    assert set(manifest["training"]) == {case.group for case in training}
    assert apply_manifest(GLAS, manifest) == (training, validation)
    with pytest.raises(DataError, match=rf"{validation[0].name}; put them back, or .*Checkpoint = False"):
        apply_manifest([case for case in GLAS if case != validation[0]], manifest)


def test_a_split_by_name() -> None:
    training, validation = split_by_name(GLAS, ["p0_*", "p13_0"])
    assert len(validation) == 13
    assert [case.name for case in (*training, *validation)] == [
        *(case.name for case in GLAS if case not in validation), *(case.name for case in validation),
    ]  # fmt: skip
    accented = [Case(name=name, image=Path("a.png"), label=None, group=name) for name in ("\u00e91", "e1")]
    for pattern in ("\u00e9*", "e\u0301*"):  # as most keyboards give it, and as macOS does
        assert split_by_name(accented, [pattern]) == ((accented[1],), (accented[0],))
    with pytest.raises(DataError, match=r"Validation divides the cases of p0"):
        split_by_name(GLAS, ["p0_1"])
    for patterns in (["nothing"], ["*"]):
        with pytest.raises(DataError, match=r"expected some for validation and some for training"):
            split_by_name(GLAS, patterns)


@pytest.mark.parametrize("folds", [2, 5, 15])
def test_folds_hold_every_group_back_once(folds: int) -> None:
    parts = folds_by_group(GLAS, folds, 0)
    assert sorted(itertools.chain(*parts), key=GLAS.index) == GLAS
    groups = [{case.group for case in part} for part in parts]
    assert all(groups)
    assert sum(map(len, groups)) == len(set().union(*groups))  # no group in two
    sizes = list(map(len, parts))
    assert max(sizes) - min(sizes) <= max(sum(case.group == f"p{k}" for case in GLAS) for k in range(15))
    if folds == 5:
        assert sizes == [17] * 5  # of 85 cases in groups of 1 to 16


def test_the_seed_deals_the_folds_and_the_order_does_not() -> None:
    cases = cases_of(*[2] * 6, *[1] * 5)
    shuffled = [cases[i] for i in np.random.default_rng(1).permutation(len(cases))]
    dealt = []
    for seed in range(5):
        parts = folds_by_group(cases, 3, seed)
        assert parts == folds_by_group(cases, 3, seed)
        assert [set(part) for part in folds_by_group(shuffled, 3, seed)] == [set(part) for part in parts]
        dealt.append(parts)
    assert len(set(dealt)) > 1


def test_more_folds_than_groups() -> None:
    with pytest.raises(
        DataError, match=r"Training.Folds = 4: expected at most as many folds as groups .*, found 3 with 6 cases"
    ):
        folds_by_group(cases_of(3, 2, 1), 4, 0)


def test_the_manifest_of_a_fold_gives_it_back() -> None:
    """From that of any other, as JSON keeps it."""
    parts = folds_by_group(GLAS, 4, 1)
    first = json.loads(json.dumps(folds_manifest(parts, 1)))
    each = manifests(first)
    assert [manifest["fold"] for manifest in each] == [1, 2, 3, 4]
    assert each[0] == first
    assert manifests(each[2]) == each
    for manifest, part in zip(each, parts, strict=True):
        training, validation = apply_manifest(GLAS, manifest)
        assert validation == part
        assert set(training) == set(GLAS) - set(part)
    alone = split_manifest(parts[0], parts[1], fraction=0.5, seed=0)
    assert manifests(alone) == [alone]
