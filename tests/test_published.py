"""Weights as LDSeg was published with them. The files are written here, in the published layout, from random networks.

LDSEG_PUBLISHED may name a folder with the published files and with ``outputs2d.npz`` and ``outputs3d.npz``: what the
published code answers on the inputs that stand there with them.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from helpers import as_numpy

import ldseg
from ldseg import published
from ldseg.cli import main
from ldseg.data.cases import Case, load_case
from ldseg.diffusion import Schedule
from ldseg.errors import WeightsError
from ldseg.io.pictures import write_image
from ldseg.models import build_networks
from ldseg.models.published import denoiser
from ldseg.published import find_weights
from ldseg.segmenter import Segmenter
from ldseg.spec import SegmenterSpec
from ldseg.training.prepare import train_config
from ldseg.weights import load_segmenter, read_description

# Keras's variables, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NAMES = {
    "label_encoder": "labelEncoder",
    "image_encoder": "imageEncoder",
    "denoiser": "denoiser",
    "label_decoder": "labelDecoder",
}
KERAS_2 = {
    "Conv2D": "conv2d", "Conv3D": "conv3d", "GroupedConv": "conv3d", "Conv2DTranspose": "conv2d_transpose",
    "BatchNormalization": "batch_normalization", "GroupNormalization": "group_normalization", "Dense": "dense",
}  # fmt: skip


STAGE = ("in", "out", "shortcut")
BLOCK = ("shortcut", "conv_in", "conv_out", "down", "norm")
MADE = {
    "label_encoder": [f"stage{n}_{part}" if part else f"down{n}" for n in range(5) for part in (*STAGE, "")]
    + ["latent", "norm"],
    "image_encoder": ["stem", *(f"block{n}_{part}" for n in range(4) for part in BLOCK), "attention0", "attention1",
                      "embedding", "attention2", "norm"],
    "label_decoder": [f"stage{n}_{part}" if part else f"up{n}" for n in range(4) for part in ("", *STAGE)] + ["classes"],
}  # fmt: skip
"""The order in which the published code makes its layers, by our names; a denoiser is made as it is gone through."""


def made(network: keras.Model) -> Iterator[Any]:
    """The layers of a network that have a place of their own in its published file."""
    there = {layer.name: layer for layer in network.layers if layer.weights}
    for layer in (there[name] for name in MADE.get(network.name, there) if name in there):
        if hasattr(layer, "norm_in"):
            parts = ("norm_in", "shortcut", "time", "conv_in", "norm_out", "conv_out")
            yield from (getattr(layer, part) for part in parts if getattr(layer, part) is not None)
        elif hasattr(layer, "hidden"):
            yield from (layer.hidden, layer.out)
        elif hasattr(layer, "conv"):
            yield from (layer.conv, layer.norm)
        else:
            yield layer


def publish(network: keras.Model, path: Path) -> None:
    """Write a network as Keras 2 wrote one: numbered names, from 8 on, so that 10 does not come before 9."""
    layers, heads = list(made(network)), network.name == "image_encoder"
    special = {"label_encoder": "encoder_output", "image_encoder": "embedding_output", "denoiser": "denoiser_output"}
    count: dict[str, int] = defaultdict(lambda: 8)
    with h5py.File(path, "w") as file:
        names = ["input_1"]
        file.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        for layer in layers:
            kind = KERAS_2.get(type(layer).__name__, "multi_head_attention_block" if heads else "attention_block")
            name = f"{kind}_{count[kind]}"
            count[kind] += 1
            if layer is layers[-1]:
                name = special.get(network.name, name)
            group, arrays = file.create_group(name), layer.get_weights()
            group.attrs["weight_names"] = np.array([f"{name}/w{n}:0" for n in range(len(arrays))], "S")
            for index, array in enumerate(arrays):
                group.create_dataset(f"{name}/w{index}:0", data=array)
            names.append(name)
        # Keras 2 listed layers by their depth, not as they were made.
        file.attrs["layer_names"] = np.array(sorted(names), "S")


def random_segmenter(axes: str, size: tuple[int, ...], channels: int, classes: int) -> Segmenter:
    keras.utils.set_random_seed(0)
    segmenter = Segmenter(
        SegmenterSpec(
            preset="ldseg-published", size=size, axes=axes, channels=channels, classes=classes, prediction="ldseg",
            schedule=Schedule(),
        )
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for weight in segmenter.weights:
        value = as_numpy(weight) + rng.normal(0, 0.05, weight.shape)
        weight.assign(np.abs(value) + 0.1 if "variance" in weight.path else value)
    return segmenter


@pytest.fixture(scope="module")
def flat() -> Segmenter:
    return random_segmenter("YX", (64, 128), 3, 2)


@pytest.fixture(scope="module")
def files(flat: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("savedModels")
    for part, name in NAMES.items():
        publish(getattr(flat, part), folder / f"{name}.hdf5")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("LDSEG_CACHE", str(folder))
        yield folder


def test_a_folder_opens_as_weights(flat: Segmenter, files: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = find_weights(files)
    assert folder.parent == cache
    assert sorted(os.listdir(folder)) == ["segmenter.graphs.zip", "segmenter.json", "segmenter.weights.h5"]
    loaded, description = load_segmenter(folder)
    for mine, other in zip(flat.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(as_numpy(mine), as_numpy(other), err_msg=mine.path)
    assert description.spec == flat.spec
    step = description.preprocessing
    assert (step.size, step.intensity, step.channels, step.num_classes) == ((64, 128), "minmax", 3, 2)
    # Converted once; a folder of ours is taken as it is.
    before = (folder / "segmenter.weights.h5").stat().st_mtime_ns
    assert find_weights(files / "denoiser.hdf5") == folder
    assert (folder / "segmenter.weights.h5").stat().st_mtime_ns == before
    assert find_weights(folder) == folder
    assert main(["weights", str(files)]) == 0
    assert "LDSeg (ldseg-published)" in capsys.readouterr().out


def test_either_engine_segments_with_it(files: Path, cache: Path, tmp_path: Path) -> None:
    """An image from 40 to 180 is scaled by its own minimum and maximum."""
    pytest.importorskip("onnxruntime")
    picture = np.random.default_rng(1).integers(40, 181, (64, 128, 3), dtype=np.uint8)
    picture[0, 0], picture[0, 1] = 40, 180
    write_image(tmp_path / "a.png", picture)
    light = ldseg.load(files, engine="onnx")
    case = Case(name="a", image=tmp_path / "a.png", label=None, group="a")
    seen = load_case(case, light.description.preprocessing).image
    np.testing.assert_allclose(seen, (picture.astype(np.float32) - 40) / 140, atol=1e-6)
    of_file = light.segment(case.image, steps=3)
    assert of_file.probabilities.std() > 1e-3
    found = ldseg.load(files, engine="keras").segment(tmp_path / "a.png", steps=3)
    np.testing.assert_allclose(found.probabilities, of_file.probabilities, atol=1e-3)


def test_the_command_converts(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ldseg.export.networks.save_structure", lambda *_: None)  # seconds, and tested above
    assert main(["weights", "convert", str(files), str(tmp_path / "out")]) == 0
    assert "2 classes, images of 3 channels on a grid of 64×128" in capsys.readouterr().out
    assert sorted(os.listdir(tmp_path / "out")) == ["segmenter.json", "segmenter.weights.h5"]
    assert read_description(tmp_path / "out").spec.preset == "ldseg-published"
    assert main(["weights", "convert", str(files), str(tmp_path / "out")]) == 2
    assert "not overwritten" in capsys.readouterr().err
    assert main(["weights", "convert", str(files)]) == 2


def test_volumes(tmp_path: Path) -> None:
    segmenter = random_segmenter("ZYX", (64, 64, 64), 1, 3)
    for part, name in NAMES.items():
        publish(getattr(segmenter, part), tmp_path / f"{name}3D.hdf5")
    layers = {part: published.read_layers(tmp_path / f"{name}3D.hdf5") for part, name in NAMES.items()}
    _, found = published._found(tmp_path)
    assert published._description("3D", found, layers).spec == segmenter.spec
    other = build_networks("ldseg-published", size=(64, 64, 64), channels=1, classes=3, axes="ZYX")
    for part in NAMES:
        published.fill(getattr(other, part), layers[part], found[part])
        for mine, its in zip(getattr(segmenter, part).weights, getattr(other, part).weights, strict=True):
            np.testing.assert_array_equal(as_numpy(mine), as_numpy(its), err_msg=mine.path)


def less(path: Path) -> None:
    with h5py.File(path, "a") as file:
        names = file.attrs["layer_names"]
        file.attrs["layer_names"] = names[names != b"denoiser_output"]


def more(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.copy("dense_8", "dense_99")
        file["dense_99"].attrs["weight_names"] = file["dense_8"].attrs["weight_names"]
        file.attrs["layer_names"] = np.append(file.attrs["layer_names"], b"dense_99")


def narrower(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["conv2d_8/conv2d_8/w0:0"]
        file["conv2d_8/conv2d_8/w0:0"] = np.zeros((3, 3, 2, 8), np.float32)


def endless(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["conv2d_8/conv2d_8/w1:0"][...] = np.inf


SPOILT = {
    "denoiser.hdf5: no such file; expected labelEncoder.hdf5": lambda path: path.unlink(),
    "denoiser.hdf5: expected weights of Keras 2, found a damaged or another file": lambda path: path.write_bytes(
        path.read_bytes()[:5000]
    ),
    "denoiser.hdf5: expected finite weights": endless,
}
OTHERS = {
    "found another: .* too few": less,
    "found another: .* too many": more,
    r"found another: convolution 1 has \[\(3, 3, 2, 8\), \(16,\)\] in place of \[\(3, 3, 2, 16\)": narrower,
}


@pytest.mark.parametrize("expected", SPOILT)
def test_what_cannot_be_opened(files: Path, tmp_path: Path, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDSEG_CACHE", str(tmp_path / "cache"))
    shutil.copytree(files, tmp_path / "spoilt")
    SPOILT[expected](tmp_path / "spoilt" / "denoiser.hdf5")
    with pytest.raises(WeightsError, match=expected) as caught:
        find_weights(tmp_path / "spoilt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("expected", OTHERS)
def test_what_is_of_other_networks(files: Path, tmp_path: Path, expected: str) -> None:
    path = tmp_path / "denoiser.hdf5"
    shutil.copy(files / path.name, path)
    OTHERS[expected](path)
    with pytest.raises(
        WeightsError, match=f"denoiser.hdf5: expected a network as LDSeg was published .* {expected}"
    ) as caught:
        published.fill(denoiser((4, 8), "YX", True), published.read_layers(path), path)
    assert "\n" not in str(caught.value)


def test_what_lacks_a_denoiser_or_is_both(files: Path, tmp_path: Path) -> None:
    for path in files.iterdir():
        shutil.copy(path, tmp_path / path.name.replace(".", "3D."))
    (tmp_path / "denoiser3D.hdf5").unlink()
    with pytest.raises(WeightsError, match="denoiser3D.hdf5: no such file; expected labelEncoder3D.hdf5"):
        find_weights(tmp_path)
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    assert published._found(tmp_path)[0] == "2D"
    shutil.copy(files / "denoiser.hdf5", tmp_path / "denoiser3D.hdf5")
    with pytest.raises(WeightsError, match="holds networks of 2D and of 3D; name a file of those meant"):
        find_weights(tmp_path)
    assert published._found(tmp_path / "imageEncoder3D.hdf5")[0] == "3D"


def test_training_does_not_write_there(files: Path) -> None:
    import tiny

    with pytest.raises(WeightsError, match="holds weights as LDSeg was published with them"):
        train_config(tiny.settings(files, files))


@pytest.mark.skipif("LDSEG_PUBLISHED" not in os.environ, reason="LDSEG_PUBLISHED does not name the published files")
@pytest.mark.parametrize("kind", ["2D", "3D"])
def test_published_networks_answer_as_published(kind: str) -> None:
    """To 1e-4 of the largest number; what the decoder says in 2D is stored in half precision."""
    folder = Path(os.environ["LDSEG_PUBLISHED"])
    known = np.load(folder / f"outputs{kind.lower()}.npz")
    label, image = known["label"][None], known["image"].astype(np.float32)[None]
    axes, channels = ("YX", 3) if kind == "2D" else ("ZYX", 1)
    classes = int(label.max()) + 1
    networks = build_networks("ldseg-published", size=label.shape[1:], channels=channels, classes=classes, axes=axes)
    for part, name in NAMES.items():
        path = folder / f"{name}{published.ENDINGS[kind]}"
        if path.exists():
            published.fill(getattr(networks, part), published.read_layers(path), path)

    def close(found: Any, expected: np.ndarray, to: float = 1e-4) -> None:
        assert np.abs(as_numpy(found) - expected).max() <= to * np.abs(expected).max()

    image = ((image - image.min()) / (image.max() - image.min())).reshape(*label.shape, channels)
    close(networks.label_encoder(np.eye(classes, dtype=np.float32)[label]), known["label_latent"])
    close(networks.image_encoder(image), known["image_latent"])
    decoded = as_numpy(keras.ops.softmax(networks.label_decoder(known["label_latent"])))
    if kind == "3D":
        close(decoded[0, ::8, ::8, ::8], known["decoded_every_8th"])
        return
    close(decoded, known["decoded_from_label_latent"].astype(np.float32), to=2.0**-12 + 1e-4)
    for time in (0, 66, 499, 999):
        given = [known["z_t"], known["image_latent"], np.array([time], "int32")]
        close(networks.denoiser(given), known[f"denoiser_t{time}"])
