import csv
import json
import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faulty
import keras
import numpy as np
import pytest
import tiny
from helpers import as_numpy
from keras.ops import convert_to_tensor as tensor

from ldseg.config import Config
from ldseg.data.batches import TERMS
from ldseg.data.cases import Case, find_cases
from ldseg.errors import ConfigError, WeightsError
from ldseg.evaluation.collapse import Collapse
from ldseg.layers import AttentiveFusion, FFParser, ResidualBlock
from ldseg.segmenter import Segmenter
from ldseg.training.callbacks import COLUMNS, Epochs
from ldseg.training.checkpoint import load_checkpoint, networks_of, read_meta, save_checkpoint
from ldseg.training.clock import Clock
from ldseg.training.fit import TrainingResult
from ldseg.training.losses import segmentation_loss
from ldseg.training.optimizer import adamw
from ldseg.training.plan import spec_of
from ldseg.training.prepare import train_config
from ldseg.training.trainer import LATENT_NOISE, Trainer
from ldseg.weights import WEIGHTS_FILE, read_description

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TESTS = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.phantoms(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def cases(data: Path) -> tuple[Case, ...]:
    return find_cases(data / "Set").cases


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A training that nothing interrupted."""
    return train_config(tiny.settings(data, tmp_path_factory.mktemp("whole") / "weights"))


def log(result: TrainingResult) -> list[dict[str, str]]:
    with (result.logs / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def losses(result: TrainingResult) -> list[float]:
    return [float(row["loss"]) for row in log(result)]


# ---- The trainer


def a_batch(count: int = 2, seed: int = 0, recycle: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    noises = {name: rng.normal(size=(count, 4, 4, 2)).astype("float32") for name in ("noise", "first_noise", "latent_noise")}
    return {
        "image": rng.random((count, *tiny.SIZE, 3)).astype("float32"),
        "label": rng.integers(0, 2, (count, *tiny.SIZE)).astype("int32"),
        "time": rng.integers(1, 1000, count).astype("int32"),
        "recycle": np.full(count, recycle, "float32"),
        **noises,
    }


def a_trainer(**changes: Any) -> Trainer:
    keras.utils.set_random_seed(0)
    trainer = Trainer(Segmenter(tiny.spec()), **changes)
    trainer.compile(optimizer=adamw(learning_rate=0.01, updates=50, warm_up=0, weight_decay=0.01))
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


def values(variables: Any) -> list[np.ndarray]:
    return [as_numpy(variable).copy() for variable in variables]


@pytest.mark.parametrize("prediction", ["x0", "v", "eps", "ldseg"])
@pytest.mark.parametrize("recycle", [0.0, 1.0])
def test_the_terms_of_the_loss(prediction: str, recycle: float) -> None:
    """Written again without the trainer, from the segmenter's parts."""
    model = tiny.varied(Segmenter(tiny.spec(prediction=prediction)))
    given = a_batch(3, recycle=recycle)
    found = {name: as_numpy(term) for name, term in Trainer(model)(given).items()}

    condition, clean = model.encode_image(given["image"]), model.encode_label(given["label"])
    source = clean
    if recycle:
        last = np.full(3, 1000, "int32")
        said = model.denoise(tensor(given["first_noise"]), condition, tensor(last))
        source, _ = model.convert(said, given["first_noise"], last)
        source = source if model.hold is None else model.hold(source)
    signal, noise = (as_numpy(rate) for rate in model.rates(given["time"]))
    state = signal * as_numpy(source) + noise * given["noise"]
    said = as_numpy(model.denoise(tensor(state), condition, tensor(given["time"])))
    wanted = {"x0": as_numpy(clean), "v": signal * given["noise"] - noise * as_numpy(clean)}
    error = np.square(said - wanted.get(prediction, given["noise"])).mean((1, 2, 3))
    if recycle and prediction != "x0":
        error = np.zeros(3)
    implied = {
        "x0": said, "v": signal * state - noise * said, "eps": (state - noise * said) / signal, "ldseg": state - said,
    }[prediction]  # fmt: skip
    again = model.decode(as_numpy(clean) + LATENT_NOISE * given["latent_noise"])
    tolerance = {"rtol": 2e-3, "atol": 1e-4}
    np.testing.assert_allclose(found["diffusion"], error, **tolerance)
    np.testing.assert_allclose(found["autoencoder"], segmentation_loss(given["label"], again), **tolerance)
    np.testing.assert_allclose(found["segmentation"], segmentation_loss(given["label"], model.decode(implied)), **tolerance)


def test_updates_the_loss_and_the_moving_average() -> None:
    """Two updates: all trainable weights move, the average is the written recursion, BatchNorm statistics included."""
    trainer = a_trainer(ema=0.15, diffusion_weight=0.25)
    model = trainer.segmenter
    zeros = {name: np.zeros(2, "float32") for name in TERMS}
    expected, statistics = values(model.weights), [i for i, w in enumerate(model.weights) if "moving" in w.path]
    assert len(statistics) == 2
    trainable = {id(weight) for weight in model.trainable_weights}
    for n in range(2):
        before = values(model.weights)
        logs = trainer.train_on_batch(a_batch(seed=n), zeros, return_dict=True)
        after = values(model.weights)
        terms = {name: float(logs[f"{name}_loss"]) for name in TERMS}
        if n == 0:  # the logs are means since the beginning
            total = terms["segmentation"] + 0.25 * terms["diffusion"] + 0.5 * terms["autoencoder"]
            assert float(logs["loss"]) == pytest.approx(total, rel=1e-5)
        for weight, old, new in zip(model.weights, before, after):
            assert np.abs(new - old).max() > 0, weight.path
            assert id(weight) in trainable or "moving" in weight.path
        decay = min(0.15, (1 + n) / (10 + n))
        assert decay == (0.1, 0.15)[n]
        for index in range(len(expected)):
            # What the forward pass of this update saw; it has already moved the statistics.
            seen = after[index] if index in statistics else before[index]
            expected[index] = decay * expected[index] + (1 - decay) * seen
    for found, value in zip(trainer.averages, expected):
        np.testing.assert_allclose(as_numpy(found), value, rtol=1e-4, atol=1e-6)
    copy = Segmenter(tiny.spec(size=(64, 32)))
    trainer.copy_average(copy)
    for weight, value in zip(copy.weights, expected):
        np.testing.assert_allclose(as_numpy(weight), value, rtol=1e-4, atol=1e-6)


def test_the_step_size_rises_falls_and_ends_at_a_hundredth() -> None:
    rate = adamw(learning_rate=0.1, updates=1000, warm_up=50, weight_decay=0.0)._learning_rate
    found = [float(rate(update)) for update in (0, 25, 50, 525, 1000)]
    np.testing.assert_allclose(found, [0, 0.05, 0.1, 0.1 * 0.505, 0.001], rtol=1e-4, atol=1e-8)
    short = adamw(learning_rate=0.1, updates=100, warm_up=50, weight_decay=0.0)._learning_rate
    assert float(short(10)) == pytest.approx(0.1)  # the warm-up takes a tenth at most


# ---- Checkpoints


def test_only_kernels_decay() -> None:
    optimizer = adamw(learning_rate=0.1, updates=10, warm_up=0, weight_decay=0.1)
    layers: tuple[Any, ...] = FFParser(), ResidualBlock(8, groups=4), AttentiveFusion()
    layers[0].build((None, 4, 4, 8))
    layers[1].build([(None, 4, 4, 4), (None, 6)])
    layers[2].build([(None, 4, 4, 8)] * 2)
    weights = [weight for layer in layers for weight in layer.trainable_weights]
    optimizer.build(weights)
    assert {weight.name for weight in weights if optimizer._use_weight_decay(weight)} == {"kernel"}
    assert len({weight.name for weight in weights}) == 6


def test_a_checkpoint_brings_everything_back(tmp_path: Path) -> None:
    path, zeros = tmp_path / "deep" / "last.npz", {name: np.zeros(2, "float32") for name in TERMS}
    one = a_trainer()
    one.train_on_batch(a_batch(), zeros)
    save_checkpoint(path, one, {"epoch": 1, "history": [{"loss": 0.5}]})
    other = a_trainer()
    assert load_checkpoint(path, other) == {"epoch": 1, "history": [{"loss": 0.5}]} == read_meta(path)
    for trainer in (one, other):
        # Dropout too: the second update is the same.
        trainer.reset_metrics()
        trainer.train_on_batch(a_batch(seed=1), zeros)
    for left, right in zip([*one.variables, *one.optimizer.variables], [*other.variables, *other.optimizer.variables]):
        np.testing.assert_allclose(as_numpy(left), as_numpy(right), rtol=1e-5, atol=1e-7, err_msg=left.path)
    assert int(other.optimizer.iterations) == 2


def test_a_disk_that_is_full_leaves_the_old_checkpoint_whole(tmp_path: Path) -> None:
    trainer, path = a_trainer(), tmp_path / "last.npz"
    with faulty.full_disk() as disk:
        save_checkpoint(path, trainer, {"epoch": 1})
    old = path.read_bytes()
    for moment in {0, 1, 2, len(disk.calls) // 2, len(disk.calls) - 2, len(disk.calls) - 1}:
        with faulty.full_disk(moment), pytest.raises(WeightsError, match=r"last\.npz.*No space left"):
            save_checkpoint(path, trainer, {"epoch": 2})
        assert path.read_bytes() == old
        assert os.listdir(tmp_path) == ["last.npz"]


@pytest.mark.parametrize("content", [b"", b"garbage", "half", "npz"])
def test_what_is_no_checkpoint(content: bytes | str, tmp_path: Path) -> None:
    trainer, path = a_trainer(), tmp_path / "last.npz"
    save_checkpoint(path, trainer, {"epoch": 1})
    if content == "npz":
        np.savez(path, other=np.zeros(3))
    else:
        path.write_bytes(content if isinstance(content, bytes) else path.read_bytes()[:-2000])
    with pytest.raises(WeightsError, match=r"last\.npz"):
        load_checkpoint(path, trainer)


def test_a_checkpoint_of_another_architecture(tmp_path: Path) -> None:
    path = tmp_path / "last.npz"
    trainer = a_trainer()
    save_checkpoint(path, trainer, {})
    other = Trainer(Segmenter(tiny.spec(classes=3)))
    other.compile(optimizer=adamw(learning_rate=0.01, updates=50, warm_up=0, weight_decay=0.01))
    other.optimizer.build(other.trainable_variables)
    before = values(other.variables)
    with pytest.raises(WeightsError, match=r"last\.npz: expected .* LDSeg \(preset 'lean'\) .* found one of others"):
        load_checkpoint(path, other)
    save_checkpoint(path, trainer, {"networks": networks_of(trainer.segmenter.spec)})
    with pytest.raises(WeightsError, match=r" 3 classes .*found .* 2 classes .*\[Model\] Weights.* Checkpoint = False"):
        load_checkpoint(path, other)
    for left, right in zip(before, values(other.variables)):
        np.testing.assert_array_equal(left, right)


# ---- Whole trainings


def test_what_a_training_leaves(whole: TrainingResult) -> None:
    rows = log(whole)
    assert list(rows[0])[: len(COLUMNS)] == list(COLUMNS)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["updates"] for row in rows] == ["2", "4", "6", "8"]
    assert [row["val_dice"] != "" for row in rows] == [False, True, False, True]
    assert list((whole.logs / "tensorboard").rglob("events*"))
    meta = read_meta(whole.logs / "last.npz")
    assert meta["epoch"] == 4
    assert meta["history"] == whole.history
    assert whole.problems == ()


def test_the_best_weights_are_those_of_the_best_sampled_dice(whole: TrainingResult) -> None:
    description = read_description(whole.folder)
    best = max((row for row in whole.history if "val_dice" in row), key=lambda row: row["val_dice"])
    assert description.figures["epoch"] == best["epoch"]
    assert description.figures["val_dice"] == best["val_dice"]
    assert description.spec == tiny.spec()
    parts = description.split["training"], description.split["validation"]
    assert [sum(map(len, part.values())) for part in parts] == [4, 2]
    assert not set(parts[0]) & set(parts[1])
    assert Config.from_dict(description.training).data.size == tiny.SIZE


@pytest.mark.slow
def test_a_killed_training_goes_on_where_it_was(whole: TrainingResult, data: Path, tmp_path: Path) -> None:
    """Killed with -9 after the log of the second epoch is written and before its checkpoint is."""
    config = tiny.settings(data, tmp_path / "weights")
    script = f"""
import json, os, sys
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent)!r}]
import conftest, tiny
from ldseg.config import Config
from ldseg.training.prepare import train_config
with tiny.tiny_networks():
    train_config(Config.from_dict(json.loads(sys.argv[1])), watch=lambda result: os.kill(os.getpid(), 9))
"""
    command = [sys.executable, "-c", script, json.dumps(config.to_dict())]
    killed = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=240)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    checkpoint = tmp_path / "weights" / "training" / "last.npz"
    assert read_meta(checkpoint)["epoch"] == 1
    result = train_config(config)
    assert [row["epoch"] for row in log(result)] == ["1", "2", "3", "4"]
    np.testing.assert_allclose(losses(result), losses(whole), rtol=1e-6, atol=1e-6)
    for name in ("val_dice", "val_iou"):
        assert [row[name] for row in log(result)] == [row[name] for row in log(whole)]
    left, right = np.load(checkpoint), np.load(whole.logs / "last.npz")
    assert left.files == right.files
    for name in left.files:
        if name != "meta":
            np.testing.assert_allclose(left[name], right[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_finished_training_is_left_alone_until_it_may_go_on(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changes: dict[str, Any] = {"Training_ValidateEvery": 1, "Parameters_Epoch": 1}
    config = tiny.settings(data, tmp_path, **changes)
    first = train_config(config)
    caplog.set_level(logging.INFO)
    again = train_config(config)
    assert "trained for 1 epochs already" in caplog.text
    assert again.history == first.history
    assert len(train_config(tiny.settings(data, tmp_path, **{**changes, "Parameters_Epoch": 2})).history) == 2
    assert not list(tmp_path.glob("before-*"))

    # A training that begins anew keeps what was there.
    old = (tmp_path / WEIGHTS_FILE).read_bytes()
    fresh = train_config(tiny.settings(data, tmp_path, **changes, Parameters_Checkpoint=False))
    assert fresh.history[0]["loss"] == pytest.approx(first.history[0]["loss"], rel=1e-5)
    (aside,) = tmp_path.glob("before-*")
    assert (aside / WEIGHTS_FILE).read_bytes() == old
    assert read_meta(aside / "training" / "last.npz")["epoch"] == 2
    assert read_meta(fresh.logs / "last.npz")["epoch"] == 1

    # Weights without a checkpoint are kept, and gone on from where that is asked for.
    start = tmp_path / "start"
    start.mkdir()
    (start / WEIGHTS_FILE).write_bytes(old)
    tuned = train_config(tiny.settings(data, start, **changes, Model_Start=str(start)))
    assert tuned.history[0]["loss"] != pytest.approx(first.history[0]["loss"], rel=1e-4)
    (aside,) = start.glob("before-*")
    assert (aside / WEIGHTS_FILE).read_bytes() == old


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    history: list[dict[str, Any]] = []
    epochs = Epochs(
        validate=lambda: pytest.fail("validated"), keep_best=lambda _: pytest.fail("kept"), watch=lambda: None,
        validate_every=1, epochs=9, checkpoint=tmp_path / "last.npz", log=tmp_path / "log.csv", history=history, meta={},
    )  # fmt: skip
    trainer = a_trainer()
    epochs.set_model(trainer)
    epochs.on_epoch_begin(0)
    epochs.on_epoch_end(0, {"loss": math.nan})
    assert trainer.stop_training
    assert epochs.diverged == "the loss of epoch 1 is nan"
    assert history == []
    assert not list(tmp_path.iterdir())


def test_a_training_that_diverges_ends_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.phantoms(tmp_path, 4)
    config = tiny.settings(tmp_path, tmp_path / "w", Parameters_Epoch=3, Training_Workers=0)
    fit = Trainer.fit

    def diverge(trainer: Trainer, *args: Any, **options: Any) -> Any:
        losses = (1.0, math.nan)
        broken = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(loss=losses[epoch]))
        return fit(trainer, *args, **{**options, "callbacks": [broken, *options["callbacks"]]})

    monkeypatch.setattr(Trainer, "fit", diverge)
    with pytest.raises(WeightsError, match=r"w: the loss of epoch 2 is nan.*LearningRate"):
        train_config(config)
    assert read_meta(tmp_path / "w" / "training" / "last.npz")["epoch"] == 1


def judged(column: int) -> Collapse:
    """The verdict on a mask whose objects begin at a column, beside a label whose objects begin at the fourth."""
    collapse = Collapse(("background", "gland"), (1, 1))
    collapse.add(*(np.tile((np.arange(8) >= first).astype(int), (8, 1)) for first in (column, 4)), (8, 8))
    return collapse


def test_a_validation_that_is_not_better_keeps_the_best(tmp_path: Path) -> None:
    scores, kept, seen, now = iter([0.5, 0.7, 0.6, 0.7]), [], [], [0.0]
    history: list[dict[str, Any]] = []

    def validate() -> tuple[dict[str, float], Collapse]:
        now[0] += 2
        return {"val_dice": next(scores), "val_iou": 0.1}, judged(0)

    def compiling() -> None:
        now[0] += 60

    clock = Clock(now=lambda: now[0])
    epochs = Epochs(
        validate=validate, keep_best=lambda row: kept.append(row["epoch"]), watch=lambda: seen.append(len(history)),
        validate_every=2, epochs=7, checkpoint=tmp_path / "last.npz", log=tmp_path / "log.csv", history=history, meta={},
        clock=clock, prepare=compiling,
    )  # fmt: skip
    epochs.set_model(a_trainer())
    for epoch in range(7):
        epochs.on_epoch_begin(epoch)
        epochs.on_epoch_end(epoch, {"loss": 1.0})
    assert kept == [2, 4]
    assert seen == [2, 4, 6, 7]  # the last epoch is always validated
    assert clock.validation == 2  # what is planned by it holds no compiling
    assert epochs.best == 0.7


def test_a_collapse_is_said_at_each_validation_and_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    verdicts = iter([judged(column) for column in (8, 3, 0, 8)])
    epochs = Epochs(
        validate=lambda: ({"val_dice": 0.5, "val_iou": 0.1}, next(verdicts)), keep_best=lambda _: None, watch=lambda: None,
        validate_every=1, epochs=4, checkpoint=tmp_path / "last.npz", log=tmp_path / "log.csv", history=[], meta={},
    )  # fmt: skip
    epochs.set_model(a_trainer())
    for epoch in range(4):
        epochs.on_epoch_begin(epoch)
        epochs.on_epoch_end(epoch, logs := {"loss": 1.0})
    epochs.on_train_end()
    assert [record.getMessage() for record in caplog.records] == [
        "epoch 1, validation: all masks are background alone; usual at first, a collapse if it lasts",
        "epoch 3, validation: all masks are gland alone; they were sound at epoch 2",
        "epoch 4, validation: all masks are background alone; they were sound at epoch 2",
        f"the training ends collapsed (background at epoch 4): see collapse in {tmp_path / 'log.csv'}",
    ]
    with (tmp_path / "log.csv").open(newline="") as stream:
        assert [row["collapse"] for row in csv.DictReader(stream)] == ["background", "no", "gland", "background"]
    assert "collapse" not in logs  # which other callbacks take for numbers


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Data_Size": (32, 36)}, r"Data\.Size.*36"),
        ({"Data_Patch": (20, 32)}, r"Data\.Patch.*20"),
        ({"Model_Preset": "ldseg", "Data_Size": (128, 128), "Data_Patch": (64, 64)}, r"Data\.Patch.*one size"),
    ],
)
def test_settings_that_do_not_suit_the_networks(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        spec_of(tiny.settings(tmp_path, tmp_path, **changes))


def test_a_size_is_refused_before_images_are_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Data\.Size.*36"):
        train_config(tiny.settings(tmp_path / "nowhere", tmp_path, Data_Size=(32, 36)))


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_training_of_mixed_precision_goes_on_too(precision: str, data: Path, tmp_path: Path) -> None:
    keras.config.set_dtype_policy(precision)
    try:
        train_config(tiny.settings(data, tmp_path, Parameters_Epoch=1))
        result = train_config(tiny.settings(data, tmp_path, Parameters_Epoch=2))
    finally:
        keras.config.set_dtype_policy("float32")
    assert [row["updates"] for row in result.history] == [2, 4]
    assert np.isfinite(losses(result)).all()
