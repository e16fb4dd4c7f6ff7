"""From networks of Keras to graphs without weights. Each needs to be done once for networks of a kind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from ldseg.errors import DataError, WeightsError
from ldseg.export.convolutions import part_of_conv, refuse
from ldseg.export.graph import Graph
from ldseg.export.operations import OPERATIONS, Operation
from ldseg.export.structure import STRUCTURE_FILE, Structure
from ldseg.segmenter import Segmenter
from ldseg.spec import SegmenterSpec
from ldseg.weights import stored

logger = logging.getLogger(__name__)


def structure_of(spec: SegmenterSpec, segmenter: Segmenter | None = None) -> Structure:
    """The graphs of networks, and how their arrays are made from a file of weights.

    Args:
        spec: what they are.
        segmenter: where they have been built already, in float32; their weights are lost.

    Raises:
        WeightsError: if a layer has no place in a graph.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        segmenter = segmenter or Segmenter(spec)
    finally:
        keras.config.set_dtype_policy(policy)
    paths = _paths(segmenter)
    graphs, recipes = {}, {}
    for name, write in (("encoder", _encoder), ("denoiser", _denoiser), ("decoder", _decoder)):
        graph = Graph(lambda variable: paths[id(variable)])
        write(graph, segmenter)
        graphs[name], recipes[name] = graph.model(), graph.recipes
    return Structure(networks=Structure.key(spec), graphs=graphs, recipes=recipes)


def save_structure(folder: Path, spec: SegmenterSpec, segmenter: Segmenter | None = None) -> None:
    """Write the graphs of the networks beside their weights, for the engines that do without Keras; see ``structure_of``.

    Networks with a layer that has no place in a graph, and a folder that cannot be written, are left to Keras; that is said.
    """
    path = folder / STRUCTURE_FILE
    try:
        structure_of(spec, segmenter).write(path)
    except (DataError, WeightsError) as error:
        logger.info("%s: not written, so Keras alone can read these weights: %s", path, error)


def _paths(segmenter: Segmenter) -> dict[int, str]:
    """Where in a file of weights the array of each variable lies: found by a file whose arrays hold their own numbers."""
    variables = segmenter.weights
    for index, variable in enumerate(variables):
        variable.assign(np.full(variable.shape, index, np.float32))
    found: dict[int, str] = {}
    with h5py.File(stored(segmenter), "r") as file:

        def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                found[id(variables[int(item[()].flat[0])])] = name

        file.visititems(look)
    return found


def _encoder(graph: Graph, segmenter: Segmenter) -> None:
    spec, rank = segmenter.spec, len(segmenter.spec.axes)
    image = graph.enter("image", "float32", (*spec.size, spec.channels))
    model = segmenter.image_encoder
    found = list(zip(_walk(graph, model, [graph.channels_first(image, rank)]), model.outputs, strict=True))
    _, stem = _stem(segmenter.denoiser)
    if stem is not None:
        # What the denoiser's first convolution makes of the condition is the same at every step.
        state, condition = (tuple(tensor.shape[1:]) for tensor in segmenter.denoiser.inputs[:2])
        bias = [graph.weight("plain", stem.bias)] if stem.use_bias else []
        shape = tuple(stem.compute_output_shape((None, *state))[1:])
        value = part_of_conv(graph, stem, found[0][0], condition, shape, bias, start=state[-1])
        graph.leave(value, "condition0", _first((None, *shape)))
    for index, (value, tensor) in enumerate(found, start=0 if stem is None else 1):
        graph.leave(value, f"condition{index}", _first(tensor.shape))


def _denoiser(graph: Graph, segmenter: Segmenter) -> None:
    rank, model = len(segmenter.spec.axes), segmenter.denoiser
    state, *condition, time = model.inputs
    shape, (joined, stem) = segmenter.latent_shape, _stem(model)
    given = [graph.channels_first(graph.enter("state", "float32", shape), rank)]
    # What the encoder gives is handed on as it is, channels first.
    shapes = [_first(tensor.shape) for tensor in condition]
    own: dict[str, Operation] = {}
    if stem is not None:
        shapes = [_first(stem.compute_output_shape((None, *shape)))]

        def join(graph: Graph, layer: Any, inputs: list[str], shapes: Any, shape: Any) -> str:
            return inputs[0]  # the state, to which the stem adds

        def meet(graph: Graph, layer: Any, inputs: list[str], shapes: Any, after: Any) -> str:
            found: str = graph.add("Add", part_of_conv(graph, layer, inputs[0], shape, after), given[1])
            return found

        own = {joined: join, stem.name: meet}
    given += [graph.enter(f"condition{index}", "float32", each) for index, each in enumerate(shapes)]
    (prediction,) = _walk(graph, model, [*given, graph.enter("time", "int32", ())], own)
    graph.leave(graph.channels_last(prediction, rank), "prediction", shape)


def _stem(denoiser: keras.Model) -> tuple[str, Any]:
    """The convolution that alone reads state and condition, one behind the other, and the layer that joins them.

    By linearity it is the sum of what it makes of either. Where there is none, the name is empty and the layer None.
    """
    if len(denoiser.inputs) != 3:
        return "", None
    config = denoiser.get_config()
    layers = {entry["name"]: entry for entry in config["layers"]}
    sources = {name: _sources(entry["inbound_nodes"]) for name, entry in layers.items()}
    state, condition, _ = (name for name, *_ in config["input_layers"])
    for name, given in sources.items():
        readers = [reader for reader, read in sources.items() if name in read]
        if given == [state, condition] and layers[name]["class_name"] == "Concatenate" and len(readers) == 1:
            stem = denoiser.get_layer(readers[0])
            known = OPERATIONS.get(type(stem).__name__) is OPERATIONS["Conv2D"]
            if known and stem.activation.__name__ == "linear" and sources[readers[0]] == [name] and stem.groups == 1:
                return name, stem
    return "", None


def _sources(nodes: Any) -> list[str]:
    """The layers whose tensors go into a layer, from its configuration."""
    if isinstance(nodes, dict):
        if nodes.get("class_name") == "__keras_tensor__":
            return [nodes["config"]["keras_history"][0]]
        nodes = list(nodes.values())
    return [name for node in nodes for name in _sources(node)] if isinstance(nodes, list | tuple) else []


def _decoder(graph: Graph, segmenter: Segmenter) -> None:
    spec, rank = segmenter.spec, len(segmenter.spec.axes)
    latent = graph.enter("latent", "float32", segmenter.latent_shape)
    (logits,) = _walk(graph, segmenter.label_decoder, [graph.channels_first(latent, rank)])
    if spec.parts == 2:
        # The same as softmax, which runtimes work out position by position: half of the decoder's time for two numbers each.
        zero, one, two, axis = (graph.constant([number], "int64") for number in (0, 1, 2, 1))
        first, second = graph.add("Slice", logits, zero, one, axis), graph.add("Slice", logits, one, two, axis)
        pair = [graph.add("Sigmoid", graph.add("Sub", *order)) for order in ((first, second), (second, first))]
        found = graph.channels_last(graph.add("Concat", *pair, axis=1), rank)
    else:
        found = graph.add("Softmax", graph.channels_last(logits, rank), axis=-1)
    graph.leave(found, "probabilities", (*spec.size, spec.parts))


def _first(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """The shape of a map without its batch, channels first."""
    _, *size, channels = shape
    return tuple(int(length or 0) for length in (channels, *size))


def _walk(graph: Graph, model: keras.Model, inputs: list[str], own: Mapping[str, Operation] | None = None) -> list[str]:
    """Write the operations of a functional model, those of models in it included.

    Args:
        graph: what they are written to.
        model: the model.
        inputs: the values that go in.
        own: operations for layers of these names, in place of those for their kind.

    Raises:
        WeightsError: for a layer that has no place in a graph.
    """
    values: dict[int, str] = {}
    kept: list[Any] = []  # so that no two tensors have the same id

    def note(tensors: Any, names: list[str]) -> None:
        for tensor, name in zip(keras.tree.flatten(tensors), names, strict=True):
            values[id(tensor)] = name
            kept.append(tensor)

    fresh = keras.tree.map_structure(lambda t: keras.KerasTensor(t.shape, t.dtype, name=t.name), model.input)
    fresh = keras.tree.map_structure(lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype), fresh)
    note(fresh, inputs)

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        outputs = layer(*arguments, **options)
        given = [tensor for tensor in keras.tree.flatten(arguments) if id(tensor) in values]
        names = [values[id(tensor)] for tensor in given]
        if isinstance(layer, keras.Model):
            note(outputs, _walk(graph, layer, names))
            return outputs
        operation = (own or {}).get(layer.name) or OPERATIONS.get(type(layer).__name__)
        if operation is None:
            raise refuse(layer, "a layer of this kind is not known")
        shapes = [tuple(tensor.shape[1:]) for tensor in given]
        note(outputs, [operation(graph, layer, names, shapes, tuple(outputs.shape[1:]))])
        return outputs

    keep: Callable[[Any], Any] = lambda layer: layer  # noqa: E731  # the layers themselves, not copies
    clone = keras.models.clone_model(model, input_tensors=fresh, clone_function=keep, call_function=call)
    return [values[id(tensor)] for tensor in clone.outputs]
