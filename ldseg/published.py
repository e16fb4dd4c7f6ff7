"""Weights as LDSeg was published with them: four files of Keras 2 in a folder, made a folder of weights of ours.

The files hold no description: what the networks are is read off the shapes of their arrays. Which array belongs to which
layer is told by the order in which the layers of a kind were made: Keras 2 appended numbers to their names.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ldseg.base.later import Later
from ldseg.base.paths import cache_folder, path_of
from ldseg.base.shipped import shipped_weights
from ldseg.base.spatial import AXES
from ldseg.base.untrusted import check_arrays
from ldseg.base.writing import claim_folder
from ldseg.config import Config
from ldseg.data.preprocess import Preprocessing
from ldseg.description import WEIGHTS_FILE, Description, holds_weights
from ldseg.diffusion import Schedule
from ldseg.errors import LDSegError, WeightsError
from ldseg.models.plans import PUBLISHED_STRIDE
from ldseg.spec import SegmenterSpec
from ldseg.version import __version__

if TYPE_CHECKING:
    import h5py
else:
    h5py = Later("h5py")

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)

PRESET = "ldseg-published"
FILES = {
    "label_encoder": "labelEncoder",
    "image_encoder": "imageEncoder",
    "denoiser": "denoiser",
    "label_decoder": "labelDecoder",
}
"""The files of a folder, by the network that each holds, without their ending."""

ENDINGS = {"2D": ".hdf5", "3D": "3D.hdf5"}
"""Their endings, by the kind of images."""

_KINDS = {
    "conv2d": "convolution", "conv3d": "convolution", "conv2d_transpose": "transposed convolution",
    "batch_normalization": "BatchNorm", "group_normalization": "GroupNorm", "dense": "dense layer",
    "attention_block": "attention", "multi_head_attention_block": "attention",
}  # fmt: skip
_LAST = {"encoder_output": "LayerNorm", "embedding_output": "BatchNorm", "denoiser_output": "convolution"}
"""Layers with a name of their own: each is the last of its kind."""

_OURS = {
    "Conv2D": "convolution", "Conv3D": "convolution", "GroupedConv": "convolution",
    "Conv2DTranspose": "transposed convolution", "BatchNormalization": "BatchNorm", "GroupNormalization": "GroupNorm",
    "LayerNormalization": "LayerNorm", "Dense": "dense layer", "SelfAttention": "attention",
}  # fmt: skip

Layers = dict[str, list[list[np.ndarray]]]
"""The arrays of each layer that has some, by kind, in the order in which the layers were made."""


def is_published(place: Path) -> bool:
    """Whether a path is a folder of published weights, or one of the files in it, and holds no weights of ours."""
    if place.name in _names():
        return os.path.isfile(place)
    return not os.path.exists(place / WEIGHTS_FILE) and any(os.path.isfile(place / name) for name in _names())


def _names() -> tuple[str, ...]:
    return tuple(f"{stem}{ending}" for ending in ENDINGS.values() for stem in FILES.values())


def find_weights(name: str | Path) -> Path:
    """The folder of weights that come with LDSeg, or one of the user's own.

    Args:
        name: a name of ``ldseg.available()``, or the path of a folder; a folder of that name goes first where it holds
            weights. One of weights as LDSeg was published with them, or one of its files, is converted, once.

    Raises:
        WeightsError: neither is there, or nobody has the home of the folder.
    """
    shipped = shipped_weights()
    try:
        folder = path_of(str(name)).expanduser()
    except RuntimeError:
        raise WeightsError(f"{name}: expected a folder of weights, got one whose user has no home folder") from None
    if str(name) in shipped and not holds_weights(folder):
        return shipped[str(name)]
    if is_published(folder):
        return open_published(folder)
    if os.path.isdir(folder) or folder.name != str(name):  # what is wrong with a path is said when it is read
        return folder
    raise WeightsError(
        f"{name}: expected a folder with {WEIGHTS_FILE}, or the name of weights that come with LDSeg: {', '.join(shipped)}"
    )


def open_published(place: Path) -> Path:
    """The folder of ours that holds published weights: made when it is asked for first, and kept in the user's cache.

    Args:
        place: a folder of published weights, or one of the files in it.

    Raises:
        WeightsError: see ``convert``.
    """
    dimensions, files = _found(place)
    digest = hashlib.sha256(f"{__version__} {dimensions}".encode())
    for path in files.values():
        digest.update(hashlib.sha256(_bytes(path)).digest())
    kept = cache_folder() / f"published-{digest.hexdigest()[:32]}"
    if (kept / WEIGHTS_FILE).is_file():
        return kept
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logger.warning("%s: cannot be written (%s), so these weights will be converted again", kept, error.strerror or error)
        kept = Path(tempfile.mkdtemp(prefix="ldseg-"))
        atexit.register(shutil.rmtree, kept, ignore_errors=True)
    logger.info("%s: weights as LDSeg was published with them, converted once, to %s", place, kept)
    convert(place, kept)
    return kept


def convert(place: Path, out: Path) -> Description:
    """Write published weights as a folder of ours, with the graphs for the engines that do without Keras.

    Args:
        place: a folder of published weights, or, where there are those of 2D and of 3D, one of the files meant.
        out: the folder.

    Returns:
        what they are.

    Raises:
        WeightsError: a file is missing, damaged or of other networks; Keras is not installed; ``out`` cannot be written.
    """
    dimensions, files = _found(place)
    if (out / WEIGHTS_FILE).exists():
        raise WeightsError(f"{out}: expected a folder without weights, found some, which are not overwritten")
    layers = {part: read_layers(path) for part, path in files.items()}
    if importlib.util.find_spec("keras") is None:
        wanted = 'pip install "ldseg[tensorflow]" (or [jax], [torch])'
        raise WeightsError(f"{place}: to convert weights as LDSeg was published with them takes Keras: {wanted}")
    description = _description(dimensions, files, layers)
    from ldseg.export.networks import save_structure
    from ldseg.segmenter import Segmenter
    from ldseg.weights import save_weights

    segmenter = Segmenter(description.spec)
    for part, path in files.items():
        fill(getattr(segmenter, part), layers[part], path)
    claim_folder(out, "the folder of the converted weights")
    save_structure(out, description.spec, segmenter)
    for part, path in files.items():  # again, as making graphs takes them
        fill(getattr(segmenter, part), layers[part], path)
    # The weights last: a folder that has them is whole.
    save_weights(out, segmenter, description)
    return description


def _found(place: Path) -> tuple[str, dict[str, Path]]:
    """The kind of images, and the file of each network."""
    folder, named = (place.parent, place.name) if place.name in _names() else (place, "")
    sets = {
        kind: {part: folder / f"{stem}{ending}" for part, stem in FILES.items()}
        for kind, ending in ENDINGS.items()
        if not named or named.endswith("3D.hdf5") == (kind == "3D")
    }
    missing = {kind: [path for path in files.values() if not path.is_file()] for kind, files in sets.items()}
    whole = [kind for kind, lacking in missing.items() if not lacking]
    if len(whole) > 1:
        raise WeightsError(
            f"{folder}: holds networks of 2D and of 3D; name a file of those meant, such as {sets['3D']['denoiser']}"
        )
    if not whole:
        nearest = min(missing, key=lambda kind: len(missing[kind]))
        names = ", ".join(path.name for path in sets[nearest].values())
        raise WeightsError(f"{missing[nearest][0]}: no such file; expected {names}, as LDSeg was published with them")
    return whole[0], sets[whole[0]]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_layers(path: Path) -> Layers:
    """The arrays of a file of weights of Keras 2, float32.

    Raises:
        WeightsError: if it is damaged or another file.
    """
    found: list[tuple[str, float, list[np.ndarray]]] = []
    try:
        with h5py.File(path, "r") as file:
            check_arrays(file, path.stat().st_size)
            root = file.get("model_weights", file)  # of a file with the whole model
            for name in map(_text, root.attrs["layer_names"]):
                arrays = [np.asarray(root[name][_text(array)], np.float32) for array in root[name].attrs["weight_names"]]
                stem, number = re.fullmatch(r"(.*?)(?:_(\d+))?", name).groups()  # type: ignore[union-attr]
                kind = _LAST.get(name) or _KINDS.get(stem, stem)
                if arrays:
                    found.append((kind, float("inf") if name in _LAST else int(number or 0), arrays))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path}: expected weights of Keras 2, found a damaged or another file: {reason}") from error
    if any(not np.isfinite(array).all() for _, _, arrays in found for array in arrays):
        raise WeightsError(f"{path}: expected finite weights, found some that are NaN or infinite")
    layers: Layers = {}
    for kind, _, arrays in sorted(found, key=lambda entry: entry[:2]):
        layers.setdefault(kind, []).append(arrays)
    return layers


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _description(dimensions: str, files: dict[str, Path], layers: dict[str, Layers]) -> Description:
    """What the shapes of the arrays say, and what was published beside them."""
    part = "label_encoder"
    try:
        *grid, _ = layers[part]["LayerNorm"][-1][0].shape
        part = "image_encoder"
        channels = layers[part]["convolution"][0][0].shape[-2]
        part = "label_decoder"
        classes = layers[part]["convolution"][-1][0].shape[-1]
        part = "denoiser"
        size, axes = tuple(length * PUBLISHED_STRIDE for length in grid), AXES[dimensions]
        names = ("background", "object") if classes == 2 else ("background", *(f"class {n}" for n in range(1, classes)))
        spec = SegmenterSpec(
            preset=PRESET, size=size, axes=axes, channels=channels, classes=classes, prediction="ldseg", schedule=Schedule()
        )
        spec.latent_shape  # noqa: B018  # refuses a size that the networks cannot have
        step = Preprocessing(size=size, axes=axes, channels=channels, intensity="minmax", classes=names)
        settings = {
            "Data.Dimensions": dimensions, "Data.Size": size, "Data.Channels": channels, "Data.Classes": names,
            "Data.Intensity": "minmax", "Model.Preset": PRESET, "Model.Prediction": "ldseg",
        }  # fmt: skip
        training = Config().with_values(settings).to_dict()
    except (KeyError, IndexError, ValueError, LDSegError) as error:
        raise _other(files[part], str(error)) from error
    return Description(spec=spec, preprocessing=step, training=training)


def _other(path: Path, found: str) -> WeightsError:
    return WeightsError(f"{path}: expected a network as LDSeg was published with it, found another: {found}")


def fill(network: keras.Model, layers: Layers, path: Path) -> None:
    """Set the weights of one of the four networks of the preset ``ldseg-published``.

    Args:
        network: the network.
        layers: the arrays of its file.
        path: the file, for messages.

    Raises:
        WeightsError: if they are those of another network.
    """
    left = {kind: list(entries) for kind, entries in layers.items()}
    for layer in _as_made(network):
        kind = _OURS[type(layer).__name__]
        if not left.get(kind):
            raise _other(path, f"{len(layers.get(kind, []))} x {kind}, too few")
        arrays = left[kind].pop(0)
        wanted, given = [tuple(weight.shape) for weight in layer.weights], [array.shape for array in arrays]
        if wanted != given:
            raise _other(path, f"{kind} {len(layers[kind]) - len(left[kind])} has {given} in place of {wanted}")
        layer.set_weights(arrays)
    for kind, entries in left.items():
        if entries:
            raise _other(path, f"{len(layers[kind])} x {kind}, {len(entries)} too many")


def _as_made(network: keras.Model) -> Iterator[Any]:
    """The layers with weights that a published file has one by one, in the order in which the published code makes them."""

    def stage(index: int) -> list[str]:
        return [f"stage{index}_{part}" for part in ("in", "out", "shortcut")]

    def block(index: int) -> list[str]:
        return [f"block{index}_{part}" for part in ("shortcut", "conv_in", "conv_out", "down", "norm")]

    there = {layer.name: layer for layer in network.layers if layer.weights}
    order = {
        "label_encoder": [name for n in range(5) for name in (*stage(n), f"down{n}")] + ["latent", "norm"],
        "label_decoder": [name for n in range(4) for name in (f"up{n}", *stage(n))] + ["classes"],
        "image_encoder": ["stem", *(name for n in range(4) for name in block(n)), "attention0", "attention1", "embedding",
                          "attention2", "norm"],
        "denoiser": list(there),
    }[network.name]  # fmt: skip
    for layer in (there[name] for name in order if name in there):
        match type(layer).__name__:
            case "ConvNorm":
                yield from (layer.conv, layer.norm)
            case "TimeEmbedding":
                yield from (layer.hidden, layer.out)
            case "ResidualBlock":
                parts = (layer.norm_in, layer.shortcut, layer.time, layer.conv_in, layer.norm_out, layer.conv_out)
                yield from (part for part in parts if part is not None)
            case _:
                yield layer
