"""Several devices, and the processes of a group, that train or segment as one."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ldseg.devices import gpus
from ldseg.errors import ConfigError
from ldseg.group import Group


def connect(group: Group) -> None:
    """Make the devices of all processes of a group those of one run; before anything else is done with Keras.

    Raises:
        ConfigError: JAX does not come together.
    """
    if group.count == 1:
        return
    # Those that ``choose`` left. Said here, so that JAX does not look for a launcher and take one by its own count.
    os.environ["JAX_LOCAL_DEVICE_IDS"] = ",".join(map(str, range(max(len(gpus("name")), 1))))
    import keras

    keras.utils.set_random_seed(0)  # else all would agree on one, which takes an exchange
    with socket.create_server(("", 0)) as server:  # a port that is free
        port = server.getsockname()[1]
    host = f"[{group.host}]" if ":" in group.host else group.host
    address = group.share("the address of JAX", f"{host}:{port}")
    try:
        keras.distribution.initialize(address, group.count, group.index)
    except RuntimeError as error:
        raise ConfigError(f"GPU.Hosts: JAX has not come together at {address}: {' '.join(str(error).split())}") from error


def from_first(arrays: dict[str, Any], group: Group) -> dict[str, Any]:
    """Arrays of the first process of a group; the others give some of the same names, shapes and types."""
    if group.count == 1:
        return arrays
    from jax.experimental import multihost_utils

    found: dict[str, Any] = multihost_utils.broadcast_one_to_all(arrays, is_source=group.first)
    return found


@dataclass(frozen=True, kw_only=True)
class Parallel:
    """Devices on which a training runs, each on its share of every batch.

    Attributes:
        count: how many there are, with those of other processes.
        building: a scope for whatever makes weights: networks, the trainer, its optimiser.
        running: a scope for their training.
        apart: a scope within that one, for what a process computes by itself.
    """

    count: int = 1
    building: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    running: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    apart: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext


def data_parallel(multiple: bool, group: Group | None = None) -> Parallel:
    """The devices of a training: one, or every one of this machine; and those of all processes of a group.

    The devices are the GPUs, or the logical CPU devices where there is no GPU. On PyTorch, whose models Keras does not
    distribute, there is one. On TensorFlow, BatchNorm sees the share of a device, and gradients are clipped before they are
    added up; apart from that the training is the same as on one device. On JAX it is the same.
    """
    import keras

    backend = keras.backend.backend()
    if multiple and backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if len(devices) > 1:
            strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
            # A model knows the strategy that it was built with; what else is computed between its updates does not.
            return Parallel(count=len(devices), building=strategy.scope)
    elif backend == "jax" and (multiple or (group is not None and group.count > 1)):
        import jax

        found = jax.devices()
        if not multiple:
            found = list({device.process_index: device for device in reversed(found)}.values())[::-1]
        if len(found) > 1:
            names = [f"{device.platform}:{device.id}" for device in found]
            # Every process makes its own share of a batch.
            distribution = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
            return Parallel(count=len(found), building=distribution.scope, running=distribution.scope, apart=_undistributed)
    return Parallel()


@contextlib.contextmanager
def _undistributed() -> Iterator[None]:
    import keras

    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def own_devices(multiple: bool) -> list[str]:
    """Devices of this process to segment on, as Keras names them; one without a name, the usual one, where it is alone."""
    import keras

    backend = keras.backend.backend()
    names: list[str] = []
    if multiple and backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        names = [device.name.removeprefix("/device:") for device in found]
    elif multiple and backend == "jax":
        import jax

        names = [f"{device.platform}:{device.id}" for device in jax.local_devices()]
    elif multiple:
        import torch

        names = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return names if len(names) > 1 else [""]


def on_device(name: str) -> contextlib.AbstractContextManager[Any]:
    """A scope, of this thread, in which Keras computes on a device of ``own_devices``."""
    import keras

    return keras.device(name) if name else contextlib.nullcontext()
