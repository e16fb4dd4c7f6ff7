"""A disk that is full at any moment of a training: an error, nothing lost, and the next start ends as the unbroken one."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import faulty
import h5py
import keras
import numpy as np
import pytest
import tiny

from ldseg.errors import ConfigError, LDSegError
from ldseg.training import memory
from ldseg.training.callbacks import Dispensable
from ldseg.training.prepare import train_config
from ldseg.weights import WEIGHTS_FILE

CHANGES = {"Parameters_Epoch": 2, "Training_ValidateEvery": 1, "Training_Workers": 0}


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.phantoms(tmp_path_factory.mktemp("data"), 4, (32, 32))


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """Every number of the weights and of the checkpoint."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(folder / WEIGHTS_FILE) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    with np.load(folder / "training" / "last.npz") as file:
        found |= {name: file[name] for name in file.files if name != "meta"}
    return found


def test_a_full_disk_loses_nothing(data: Path, tmp_path: Path, moments: int = 1) -> None:
    with faulty.full_disk() as disk:
        train_config(tiny.settings(data, tmp_path / "whole", **CHANGES))
    whole = arrays(tmp_path / "whole")
    for moment in np.random.default_rng(3).choice(len(disk.calls), moments, replace=False):
        config = tiny.settings(data, tmp_path / str(moment), **CHANGES)
        with faulty.full_disk(int(moment), lasting=True), pytest.raises(LDSegError, match="No space left") as told:
            train_config(config)
        assert "\n" not in str(told.value)
        assert faulty.left_over(tmp_path) == []
        train_config(config)
        again = arrays(tmp_path / str(moment))
        assert again.keys() == whole.keys()
        for name, array in whole.items():
            np.testing.assert_allclose(again[name], array, rtol=1e-4, atol=1e-6, err_msg=f"{disk.calls[moment]} {name}")
        shutil.rmtree(tmp_path / str(moment))


def test_an_update_that_is_larger_than_the_machine(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_of_machine", lambda: 1000)
    with pytest.raises(ConfigError, match=r"Data\.Size, Parameters\.BatchSize: an update on 2 of 32×32 takes more than"):
        train_config(tiny.settings(data, tmp_path / "w", **CHANGES))
    assert list((tmp_path / "w").glob("*.h5")) == []


def test_a_training_does_without_its_log_of_tensorboard(caplog: pytest.LogCaptureFixture) -> None:
    class Board(keras.callbacks.Callback):
        calls = 0

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            self.calls += 1
            raise OSError(28, "No space left on device")

    board = Board()
    optional = Dispensable(board, "the log")
    caplog.set_level(logging.WARNING)
    for epoch in range(3):
        optional.on_epoch_end(epoch)
    assert board.calls == 1
    assert caplog.messages == ["the log is not written any more: [Errno 28] No space left on device"]
