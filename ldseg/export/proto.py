"""Files of ONNX, written and completed without a library: the few messages of its format that networks need.

A file is a message of Protocol Buffers, and two messages one behind the other are one message that holds what both hold. So
a graph can be kept without its weights, and completed by writing them behind it. Numbers of fields: onnx.proto3 of ONNX.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

OPSET = 17
IR_VERSION = 8
LARGEST = 2**31 - 1
"""Bytes of the largest message."""

_TYPES = {"float32": 1, "int32": 6, "int64": 7}

Attribute = int | float | str | Sequence[int]


def varint(number: int) -> bytes:
    """A whole number in groups of seven bits; a negative one as its complement in 64 bits."""
    number &= 2**64 - 1
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def whole(field: int, number: int) -> bytes:
    """A field that is a whole number."""
    return varint(field << 3) + varint(number)


def text(field: int, value: str | bytes) -> bytes:
    """A field that is a string, bytes, or a message."""
    content = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(content)) + content


def attribute(name: str, value: Attribute) -> bytes:
    """A field ``attribute`` of a node."""
    match value:
        case int():
            content = whole(3, value) + whole(20, 2)
        case float():
            content = varint(2 << 3 | 5) + struct.pack("<f", value) + whole(20, 1)
        case str():
            content = text(4, value) + whole(20, 3)
        case _:
            content = b"".join(whole(8, number) for number in value) + whole(20, 7)
    return text(5, text(1, name) + content)


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, Attribute]) -> bytes:
    """An operation as a field of a graph."""
    content = b"".join(text(1, name) for name in inputs) + b"".join(text(2, name) for name in outputs)
    content += text(3, outputs[0]) + text(4, kind)
    return text(1, content + b"".join(attribute(name, value) for name, value in attributes.items()))


def tensor(name: str, array: np.ndarray) -> bytes:
    """An initializer as a field of a graph."""
    dims = b"".join(whole(1, length) for length in array.shape)
    content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return text(5, dims + whole(2, _TYPES[array.dtype.name]) + text(8, name) + text(9, content))


def value(field: int, name: str, dtype: str, shape: Sequence[int | str]) -> bytes:
    """What goes into a graph (field 11) or comes out of it (12); a length that is open has a name."""
    dims = b"".join(text(1, whole(1, n) if isinstance(n, int) else text(2, n)) for n in shape)
    kind = text(1, whole(1, _TYPES[dtype]) + text(2, dims))
    return text(field, text(1, name) + text(2, kind))


def model(graph: bytes) -> bytes:
    """A file with a graph of this content."""
    return whole(1, IR_VERSION) + text(2, "ldseg") + text(7, graph) + text(8, text(1, "") + whole(2, OPSET))


def completed(file: bytes, arrays: Mapping[str, np.ndarray]) -> bytes:
    """A file with its initializers behind it.

    Raises:
        ValueError: if that is more than a file can hold.
    """
    size = len(file) + sum(array.nbytes + len(name) + 64 for name, array in arrays.items())
    if size > LARGEST:
        raise ValueError(f"expected at most {LARGEST / 2**30:.0f} GiB in a file of ONNX, got {size / 2**30:.1f}")
    return file + text(7, b"".join(tensor(name, array) for name, array in arrays.items()))
