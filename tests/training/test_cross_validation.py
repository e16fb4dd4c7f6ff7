"""A training of several folds: what it keeps, where it is stopped, and the ensemble that it leaves."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

import ldseg
from ldseg.base.folds import FOLDS_FILE, MEASURED, fold_folders
from ldseg.cli import main, training
from ldseg.config import Config
from ldseg.data.cases import find_cases
from ldseg.description import fingerprint, read_description
from ldseg.errors import ConfigError, DataError, LDSegError, WeightsError
from ldseg.evaluation.compare import read_run
from ldseg.evaluation.quality import Quality
from ldseg.inference import segment_cases
from ldseg.inference.opening import open_weights
from ldseg.training.checkpoint import read_meta
from ldseg.training.fit import TrainingResult
from ldseg.training.prepare import plan_of, train_config
from ldseg.training.stop import TrainingStopped
from ldseg.weights import WEIGHTS_FILE, load_segmenter

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CASES, FOLDS = 10, 3


@pytest.fixture(scope="module", autouse=True)
def tiny_lean() -> Iterator[None]:
    with tiny.tiny_networks():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.phantoms(tmp_path_factory.mktemp("data"), CASES)


def settings(data: Path, folder: Path, **changes: Any) -> Config:
    values = {
        "Training_Folds": FOLDS, "Parameters_Epoch": 2, "Training_Workers": 0, "Sampler_Sampling_Steps": "auto",
        "Training_ValidateEvery": 1,
    }  # fmt: skip
    return tiny.settings(data, folder, **{**values, **changes})


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a training that nothing interrupted, on the command line."""
    place = tmp_path_factory.mktemp("whole") / "Mine"
    assert training.run(settings(data, place)) == 0
    return place


def test_every_case_is_held_back_once_and_reported_once(data: Path, folder: Path) -> None:
    names = [case.name for case in find_cases(data / "Set").cases]
    record = read_run(folder / MEASURED)
    facts = record.facts["folds"]
    held = [name for fold in facts["held_back"].values() for name in fold]
    assert sorted(held) == sorted(names)
    assert [case.name for case in record.cases] == names
    for fold in fold_folders(folder):
        split = read_description(fold).split
        own = {name for names in split["validation"].values() for name in names}
        assert own == set(facts["held_back"][fold.name])
        assert own.isdisjoint(name for names in split["training"].values() for name in names)
    means = [facts["dice"][fold.name] for fold in fold_folders(folder)]
    assert facts["count"] == len(means) == FOLDS
    assert facts["dice"]["mean"] == pytest.approx(np.mean(means))
    assert facts["dice"]["std"] == pytest.approx(np.std(means, ddof=1))
    page = (folder / MEASURED / "report.html").read_text("utf-8")
    assert f"held back by one of {FOLDS} folds" in page
    assert all(f"The training of {fold.name}" in page for fold in fold_folders(folder))
    assert page.count("data:image") >= CASES


def test_a_case_is_segmented_by_the_fold_that_did_not_see_it(data: Path, folder: Path) -> None:
    """Written again, from the weights of one fold."""
    description, record = read_description(folder), read_run(folder / MEASURED)
    fold = fold_folders(folder)[1]
    cases = [c for c in find_cases(data / "Set").cases if c.name in record.facts["folds"]["held_back"][fold.name]]
    engine = open_weights(fold).engine(steps=description.steps, samples=description.samples)
    found = {item.case.name: item for item in segment_cases(engine, cases, description.preprocessing, batch_size=1, seed=0)}
    for case in (case for case in record.cases if case.name in found):
        item = found[case.name]
        assert item.loaded is not None
        assert case.foreground("dice") == pytest.approx(ldseg.evaluate(item.mask, item.loaded.label).mean["dice"])


def test_what_all_held_back_cases_tell_is_kept(folder: Path) -> None:
    description, record = read_description(folder), read_run(folder / MEASURED)
    assert description.folds == tuple(fold.name for fold in fold_folders(folder))
    assert description.figures["val_dice"] == pytest.approx(record.summary.foreground["dice"].mean)
    assert isinstance(description.quality, Quality)
    assert description.quality.cases == CASES  # of one fold they are too few
    assert description.sampling["cases"] == CASES
    for fold in fold_folders(folder):
        assert read_description(fold).quality == description.quality
        assert read_description(fold).sampling == description.sampling
    assert record.facts["weights_sha256"] == fingerprint(folder)


@pytest.mark.parametrize("engine", ["keras", "onnx", "openvino"])
def test_folds_segment_as_one_ensemble_on_every_engine(data: Path, folder: Path, engine: str) -> None:
    """Their probabilities are the mean of what the engines of the folds give from the noise of each member."""
    if engine == "openvino":
        pytest.importorskip("openvino")
    image = next((data / "Set" / "Image").iterdir())
    model = ldseg.load(folder, engine=engine)
    result = model.segment(image, steps=2, samples=2, seed=3)
    assert result.members is not None
    assert len(result.members) == 2 * FOLDS
    parts = []
    for index, fold in enumerate(fold_folders(folder)):
        alone = open_weights(fold, "onnx").engine(steps=2, samples=2)
        noise = model.engine(model._sampler({"steps": 2, "samples": 2})).draw_noise
        alone.draw_noise = lambda *given, index=index, noise=noise: noise(*given)[index::FOLDS]  # type: ignore[method-assign]
        case = next(case for case in find_cases(data / "Set").cases if case.image == image)
        (item,) = segment_cases(alone, [case], model.description.preprocessing, batch_size=4, seed=3)
        parts.append(item.probabilities)
    np.testing.assert_allclose(result.probabilities, np.mean(parts, axis=0), atol=2e-5)
    one = model.segment(image, steps=2, samples=1, folds=1, seed=3)
    assert one.members is None
    with pytest.raises(ConfigError, match=r"Sampler.Folds: expected at most 3, as the weights have, got 4"):
        model.segment(image, folds=4)


def test_on_the_command_line(
    data: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["segment", str(data / "Set"), "--weights", str(folder), "--steps", "1", "--set", "Data.Cases=Phantom1"]
    assert main([*line, "--out", "all"]) == 0
    assert main([*line, "--out", "two", "--folds", "2"]) == 0
    assert json.loads(Path("all/calibration.json").read_text("utf-8"))["samples"] == FOLDS
    assert read_run(Path("two")).config["Sampler"]["Folds"] == 2
    assert "3 masks of each image (3 folds)" in Path("all/report.html").read_text("utf-8")
    assert Path("all/Uncertainty").is_dir()
    assert main(["weights", str(folder)]) == 0
    assert "(lean, 3 folds)" in capsys.readouterr().out
    for refused in (["export", str(folder)], ["train", str(data / "Set"), "--start", str(folder), "--weights", "w"]):
        assert main(refused) == 2
        assert f"{folder}: holds 3 folds" in capsys.readouterr().err


def arrays(folder: Path) -> list[np.ndarray]:
    return [np.asarray(weight) for fold in fold_folders(folder) for weight in load_segmenter(fold)[0].weights]


def test_a_training_that_is_stopped_goes_on_in_its_fold(data: Path, folder: Path, tmp_path: Path) -> None:
    """Stopped in the second fold, and again while all are measured, it ends where one does that nothing stopped."""
    place = tmp_path / "Mine"
    config, told = settings(data, place), []

    def stop(result: TrainingResult) -> None:
        if result.folder.name == "fold-2" and not told:
            told.append(result.folder)
            raise KeyboardInterrupt

    with pytest.raises(TrainingStopped, match=r"fold 2 of 3: training stopped in epoch 1 of 2; .*go"):
        train_config(config, watch=stop)
    assert [fold.name for fold in fold_folders(place)] == ["fold-1", "fold-2"]
    start = config.with_values({"Model.Start": str(fold_folders(folder)[0])})
    assert plan_of(start).plan.start is not None  # for the fold that has not begun
    with pytest.raises(WeightsError, match=r"its folds are not all trained and measured yet; start.* such as .*fold-1"):
        read_description(place)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(TrainingStopped, match="all 3 folds are trained"):
        train_config(config, show=interrupt)
    assert not (place / FOLDS_FILE).exists()
    before = [read_meta(fold / "training" / "last.npz")["epoch"] for fold in fold_folders(place)]
    result = train_config(config)
    assert before == [row[-1]["epoch"] for row in (fold.history for fold in result.folds)] == [2, 2, 2]
    assert result.held_back is not None
    for one, other in zip(arrays(place), arrays(folder), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [case.scores for case in result.held_back.cases] == [case.scores for case in read_run(folder / MEASURED).cases]


def test_trained_already_and_begun_anew(data: Path, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    place = tmp_path / "Mine"
    shutil.copytree(folder, place)
    (place / "fold-7").mkdir()  # of a training of more folds, by hand
    result = train_config(settings(data, place))
    assert "all folds are trained already" in caplog.text
    assert result.held_back is not None
    with pytest.raises(
        WeightsError, match=r"holds a training of 3 folds, got Training.Folds = 2; it goes on with --folds 3 "
    ):
        train_config(settings(data, place, Training_Folds=2))
    with pytest.raises(
        WeightsError, match=r"of several folds; it goes on with --folds 3 \(\[Training\] Folds = 3\), or name"
    ):
        train_config(settings(data, place, Training_Folds=0))

    def stop(_: TrainingResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(TrainingStopped):
        train_config(settings(data, place, Training_Folds=2, Parameters_Checkpoint=False), watch=stop)
    (aside,) = place.glob("before-*")
    assert sorted(path.name for path in aside.iterdir()) == [*(f"fold-{k}" for k in (1, 2, 3, 7)), FOLDS_FILE, MEASURED]
    assert [fold.name for fold in fold_folders(place)] == ["fold-1"]
    assert read_description(aside).quality is not None  # it segments as it did


def test_in_python(data: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folds are asked for, the report is written, and the model is the ensemble."""
    place, asked = tmp_path / "Mine", []
    shutil.copytree(folder, place)
    (place / MEASURED / "report.html").unlink()

    def trained(config: Config, **_: Any) -> TrainingResult:
        asked.append(config)
        return TrainingResult(folder=place, history=[], held_back=read_run(place / MEASURED))

    monkeypatch.setattr("ldseg.training.prepare.train_config", trained)
    model = ldseg.train(data / "Set", classes=["background", "object"], weights=place, folds=FOLDS, minutes=10)
    assert (asked[0].training.folds, asked[0].training.minutes) == (FOLDS, 10)
    assert asked[0].training.minutes_each == pytest.approx(0.92 * 10 / FOLDS)
    assert len(model.description.folds) == FOLDS
    assert "3 folds" in repr(model)
    assert (place / MEASURED / "report.html").is_file()


def test_a_plan_tells_what_folds_hold_back(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(data)
    line = ["plan", str(data / "Set"), "--classes", "background,object", "--minutes", "30"]
    assert main([*line, "--folds", "3"]) == 0
    out = capsys.readouterr().out
    assert "3 folds hold back 3 to 4 cases each" in out
    assert "30 minutes, shared by 3 folds: in each about" in out
    assert "--folds 3" in out
    assert main([*line, "--folds", "11"]) == 2
    assert "expected at most as many folds as groups" in capsys.readouterr().err


def spoilt(folder: Path, kind: str) -> str:
    """Do something to folds, and say what is to be told of it."""
    if kind == "lacking":
        (folder / "fold-2" / WEIGHTS_FILE).unlink()
        return r"fold-2.*no such file"
    if kind == "both":
        shutil.copy(folder / "fold-1" / WEIGHTS_FILE, folder)
        return "found both"
    if kind == "nested":
        shutil.copy(folder / FOLDS_FILE, folder / "fold-1")
        return "fold-1: expected the weights of one fold"
    values = json.loads((folder / FOLDS_FILE).read_text("utf-8"))
    values |= {"names": {"folds": ["../Mine"]}, "version": {"format_version": 9}, "sampling": {"sampling": [1]}}[kind]
    (folder / FOLDS_FILE).write_text(json.dumps(values), "utf-8")
    return {"names": "expected folds such as fold-1", "version": "format version 1, found 9"}.get(kind, "not of folds known")


@pytest.mark.parametrize("kind", ["lacking", "both", "nested", "names", "version", "sampling"])
def test_folds_that_cannot_be_used(folder: Path, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "Mine"
    shutil.copytree(folder, place)
    with pytest.raises(WeightsError, match=spoilt(place, kind)):
        ldseg.load(place)


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"Training_Folds": 1}, ConfigError, r"Training.Folds: expected 0 \(one training\) or at least 2, got 1"),
        ({"Training_Validation": ("a*",)}, ConfigError, "Training.Validation: expected nothing with Training.Folds = 3"),
        ({"Training_Folds": 11}, DataError, "Training.Folds = 11: expected at most as many folds as groups .*, found 10"),
    ],
)
def test_what_cannot_be_folded(data: Path, tmp_path: Path, changes: Any, error: type[LDSegError], told: str) -> None:
    with pytest.raises(error, match=told):
        train_config(settings(data, tmp_path / "w", **changes))
