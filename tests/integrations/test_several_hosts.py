"""Several processes on this machine that train as one does, started as launchers start them."""

import csv
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny

pytest.importorskip("jax")
pytestmark = pytest.mark.integration

TESTS = Path(__file__).parents[1]
BOUND = 60.0
"""Seconds within which the others end where one has died; they need one or two, and more on a machine that is busy."""

WORKER = """
import os, signal, sys, time
sys.path[:0] = sys.argv[1:3]
import conftest, tiny
from ldseg.cli import main
from ldseg.training.callbacks import Epochs

begun = Epochs.on_epoch_begin
def begin(self, epoch, logs=None):
    if epoch == int(os.environ.get("DIES_IN", -1)):
        os.kill(os.getpid(), signal.SIGKILL)
    begun(self, epoch, logs)
def end(self, logs=None):
    print("updates:", int(self.model.optimizer.iterations))
    ended(self, logs)
ended = Epochs.on_train_end
Epochs.on_epoch_begin, Epochs.on_train_end = begin, end
clock = time.perf_counter
time.perf_counter = lambda: clock() + float(os.environ.get("AHEAD", 0))

with tiny.tiny_networks(eager=False):
    sys.exit(main(sys.argv[3:]))
"""


def free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])


class Run:
    """Processes of one training."""

    def __init__(self, data: Path, weights: Path, environments: list[dict[str, str]], *more: str) -> None:
        values = {
            "Data.Dimensions": "2D", "Data.Classes": "background, object", "Data.Size": "32, 32", "Data.Patch": "32, 32",
            "Model.Weights": weights, "Model.Outline": "False", "Parameters.BatchSize": 6, "Parameters.Epoch": 4,
            "Sampler.Sampling_Steps": 2, "Training.ValidationFraction": 0.4, "Training.ValidateEvery": 2,
            "Training.Augmentation": "flips",
        }  # fmt: skip
        settings = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
        command = [sys.executable, "-c", WORKER, str(TESTS), str(TESTS.parent), "train", str(data / "Set"), *settings, *more]
        common = {**os.environ, "KERAS_BACKEND": "jax"}
        self.weights = weights
        self.processes = [
            subprocess.Popen(
                command,
                env={**common, **own},
                cwd=data,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
            )
            for own in environments
        ]

    def end(self) -> tuple[list[int], list[str], list[str]]:
        """Status, output and errors of each process."""
        told = [process.communicate(timeout=400) for process in self.processes]
        return [process.returncode for process in self.processes], [out for out, _ in told], [err for _, err in told]

    def good(self) -> "Run":
        statuses, _, errors = self.end()
        assert statuses == [0] * len(self.processes), errors
        return self

    @property
    def log(self) -> list[dict[str, str]]:
        with (self.weights / "training" / "log.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))


def mpi(count: int) -> list[dict[str, str]]:
    """What mpirun sets, as far as it counts."""
    sizes = {"OMPI_COMM_WORLD_SIZE": str(count)}
    return [{**sizes, "OMPI_COMM_WORLD_RANK": str(index)} for index in range(count)]


def torch(count: int) -> list[dict[str, str]]:
    """What torchrun and Ray Train set."""
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [{**common, "RANK": str(index)} for index in range(count)]


def at(port: int) -> str:
    return f"--set=GPU.Hosts=127.0.0.1:{port}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.phantoms(tmp_path_factory.mktemp("hosts"), 12)


@pytest.fixture(scope="module")
def alone(data: Path) -> Iterator[Run]:
    """The training by one process, also on JAX."""
    yield Run(data, data / "alone", [{}]).good()


def same(run: Run, alone: Run) -> None:
    assert len(run.log) == len(alone.log) == 4
    for name in ("loss", "segmentation", "diffusion", "autoencoder"):
        np.testing.assert_allclose(
            [float(row[name]) for row in run.log], [float(row[name]) for row in alone.log], rtol=1e-5, err_msg=name
        )
    for own, other in zip(run.log, alone.log, strict=True):
        assert own["updates"] == other["updates"]
        for name in ("val_dice", "val_iou"):
            assert bool(own[name]) == bool(other[name])
            if own[name]:
                assert float(own[name]) == pytest.approx(float(other[name]), abs=1e-3)


def files(run: Run) -> list[str]:
    """What a training has left, but for the numbers in the names of the files of TensorBoard."""
    found = (path.relative_to(run.weights) for path in run.weights.rglob("*") if path.is_file())
    return sorted(str(path.parent) if "tfevents" in path.name else str(path) for path in found)


@pytest.mark.smoke
def test_two_processes_train_as_one(data: Path, alone: Run) -> None:
    """The same losses and figures, with BatchNorm and dropout; the first process alone says and writes something."""
    run = Run(data, data / "two", mpi(2), at(free_port()))
    statuses, outputs, errors = run.end()
    assert statuses == [0, 0], errors
    same(run, alone)
    assert "best: Dice" in outputs[0] and "7 cases to train on, 5 to validate on" in errors[0]
    assert "Dice" not in outputs[1] and "cases" not in errors[1] and "epoch" not in errors[1]
    assert files(run) == files(alone)


def test_minutes_end_for_all_with_the_same_update(data: Path) -> None:
    """By the clock of the first process, whatever another one's shows: this one's is an hour ahead."""
    environments = mpi(2)
    environments[1]["AHEAD"] = "3600"
    since = time.monotonic()
    run = Run(data, data / "minutes", environments, at(free_port()), "--set=Training.Minutes=1.5")
    statuses, outputs, errors = run.end()
    assert statuses == [0, 0], errors
    updates = [re.findall(r"^updates: (\d+)$", text, re.MULTILINE) for text in outputs]
    assert updates[0] == updates[1] == [run.log[-1]["updates"]]
    assert int(updates[0][0]) > 1, "an hour has passed for all"
    assert time.monotonic() - since > 60
    assert (run.weights / "segmenter.weights.h5").is_file()


@pytest.mark.parametrize("victim", [1, 0])
def test_one_that_is_killed_ends_the_others(victim: int, data: Path, alone: Run) -> None:
    """In a bounded time and with a clear line; any number of processes goes on from the checkpoint."""
    environments = mpi(2)
    environments[victim]["DIES_IN"] = "2"
    run = Run(data, data / f"victim{victim}", environments, at(free_port()))
    dead, other = run.processes[victim], run.processes[1 - victim]
    dead.wait(400)
    since = time.monotonic()
    _, error = other.communicate(timeout=BOUND)
    assert time.monotonic() - since < BOUND
    assert dead.returncode == -9 and other.returncode not in (0, None)
    assert f"error: process {victim} of 2 is gone, so process {1 - victim} stops, too" in error
    assert "goes on from its last checkpoint" in error
    for count in (1, 3) if victim == 1 else ():
        folder = data / f"on{count}"
        shutil.copytree(run.weights, folder)
        more = Run(data, folder, torch(count) if count > 1 else [{}])
        statuses, _, errors = more.end()
        assert statuses == [0] * count, errors
        assert "going on after epoch 2" in errors[0]
        same(more, alone)


def test_what_one_finds_wrong_ends_all(data: Path) -> None:
    """Settings that the first process refuses, in one line each."""
    run = Run(data, data / "odd", mpi(2), at(free_port()), "--set=Parameters.BatchSize=3")
    statuses, _, errors = run.end()
    assert 0 not in statuses
    assert "error: Parameters.BatchSize: expected a multiple of 2 devices, got 3" in errors[0] + errors[1]
    assert not any("Traceback" in text for text in errors)
