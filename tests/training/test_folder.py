"""Weights and checkpoint are one state."""

import contextlib
import os
from pathlib import Path

import pytest

from ldseg import writing
from ldseg.training.folder import BEGINNING, begin, checkpoint_of, checkpoint_to_go_on, settle
from ldseg.weights import WEIGHTS_FILE


def write(text: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Killed(Exception):
    pass


@pytest.mark.parametrize("moment", range(5))
@pytest.mark.parametrize("earlier", [False, True])
def test_a_kill_at_any_moment_of_a_beginning(
    moment: int, earlier: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either nothing has happened, or the next start finds the beginning; the earlier training is whole in both cases."""
    if earlier:
        write("old weights", tmp_path / WEIGHTS_FILE)
        write("old state", checkpoint_of(tmp_path))
    left, replace = [moment], os.replace

    def until(*paths: Path) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        replace(*paths)

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
