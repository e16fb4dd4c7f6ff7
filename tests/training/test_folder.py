"""Weights and checkpoint are one state."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ldseg.base import writing
from ldseg.base.folds import FOLDS_FILE, fold_folder
from ldseg.config import Config
from ldseg.errors import WeightsError
from ldseg.training.folder import (
    BEGINNING,
    begin,
    checkpoint_of,
    checkpoint_to_go_on,
    first_checkpoint,
    set_aside,
    settle,
)
from ldseg.weights import WEIGHTS_FILE


def write(text: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Killed(Exception):
    pass


def killed_after(moment: int) -> Callable[..., None]:
    """An ``os.replace`` that a kill stops after so many of them."""
    left, replace = [moment], os.replace

    def until(*paths: Path) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        replace(*paths)

    return until


@pytest.mark.parametrize("moment", range(6))
@pytest.mark.parametrize("earlier", [False, True])
def test_a_kill_at_any_moment_of_a_beginning(
    moment: int, earlier: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either nothing has happened, or the next start finds the beginning; the earlier training is whole in both cases."""
    if earlier:
        write("old weights", tmp_path / WEIGHTS_FILE)
        write("old state", checkpoint_of(tmp_path))
    until = killed_after(moment)

    def save(path: Path) -> None:
        write("new state", path.with_suffix(".tmp"))
        until(path.with_suffix(".tmp"), path)

    monkeypatch.setattr(writing.os, "replace", until)
    with contextlib.suppress(Killed):
        begin(tmp_path, save)
    monkeypatch.undo()
    found = checkpoint_to_go_on(tmp_path)
    if moment == 0:
        assert (found is None) != earlier
        assert (tmp_path / WEIGHTS_FILE).is_file() == earlier
        return
    assert found is not None
    assert found.read_text("utf-8") == "new state"
    settle(tmp_path)
    assert checkpoint_of(tmp_path).read_text("utf-8") == "new state"
    assert not (tmp_path / BEGINNING).exists()
    assert not (tmp_path / WEIGHTS_FILE).exists()
    kept = sorted(path.read_text("utf-8") for path in tmp_path.glob("before-*/**/*") if path.is_file())
    assert kept == (["old state", "old weights"] if earlier else [])


@pytest.mark.parametrize("moment", range(5))
def test_folds_are_set_aside_into_one_folder(moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any moment, the first fold is gone before anything else, and the next start gathers the rest."""
    for fold in (1, 2, 3):
        write(f"state {fold}", checkpoint_of(fold_folder(tmp_path, fold)))
    write("together", tmp_path / FOLDS_FILE)
    monkeypatch.setattr(writing.os, "replace", killed_after(moment))
    with contextlib.suppress(Killed):
        set_aside(tmp_path)
    monkeypatch.undo()
    assert (checkpoint_to_go_on(fold_folder(tmp_path, 1)) is None) == (moment > 0)
    set_aside(tmp_path)
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("before-")
    assert sorted(path.name for path in aside.iterdir()) == ["fold-1", "fold-2", "fold-3", FOLDS_FILE]


def test_folds_and_one_training_say_how_each_goes_on(tmp_path: Path) -> None:
    """Also where the first fold left no checkpoint, or a damaged one."""
    for fold in (1, 2, 3):
        write("x", fold_folder(tmp_path / "folds", fold) / WEIGHTS_FILE)
    write("x", tmp_path / "one" / WEIGHTS_FILE)
    said = []
    for name, folds, before in (("folds", 0, False), ("folds", 0, True), ("one", 5, False)):
        if before:
            write("damaged", checkpoint_of(fold_folder(tmp_path / name, 1)))
        with pytest.raises(WeightsError) as error:
            first_checkpoint(Config().with_values({"Model.Weights": str(tmp_path / name), "Training.Folds": folds}))
        said.append(str(error.value))
    assert "it goes on with --folds 3 ([Training] Folds = 3), or name another folder" in said[0]
    assert said[1] == said[0]
    assert "expected none or one of 5 folds; it goes on without --folds" in said[2]
