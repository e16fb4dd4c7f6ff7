"""The explicit rule that turns the numbers of a label file into classes."""

from collections.abc import Mapping, Sequence

import numpy as np

from ldseg.base.options import LABEL_RULES
from ldseg.base.spatial import COLOUR, IGNORE
from ldseg.errors import DataError


class Misread(DataError):
    """A label whose numbers do not fit the rule.

    Attributes:
        numbers: those that it holds, int ``(n,)``, sorted.
    """

    def __init__(self, message: str, numbers: np.ndarray) -> None:
        super().__init__(message)
        self.numbers = numbers


def to_classes(
    label: np.ndarray,
    rule: str,
    num_classes: int,
    source: str,
    label_map: Mapping[int, int] | None = None,
    numbers: np.ndarray | None = None,
) -> np.ndarray:
    """Classes 0..num_classes-1 as int32, same shape as `label` (whole numbers, any shape).

    A `label_map` from values to classes, or to `IGNORE`, decides where there is one: every value that occurs must be in it.
    Otherwise, with C = num_classes, the rules are

    - ``classes``: the values are classes; only 0..C-1 may occur.
    - ``binary``: C = 2; zero and at most one other value v > 0, which becomes 1.
    - ``instances``: C = 2; every id above zero becomes 1 (ids may have gaps; none may be negative).
    - ``auto``: the first that fits of: values within 0..C-1, kept; and for C = 2: values within {0, 255}, 255
      becomes 1; ids 1..n without a gap, n >= 2, with or without 0, ids become 1. Everything else is an error:
      {0, 7} might be one object numbered 7 or a class too many, so the user has to say.

    `source` names the file in messages; `numbers` are those that occur (`distinct`), where they are known. Raises DataError
    that lists the values found and says what was expected, Misread where they do not fit the rule.
    """
    if rule not in LABEL_RULES:
        raise DataError(f"{source}: unknown label rule {rule!r}, expected one of {', '.join(LABEL_RULES)}")
    if num_classes < 2:
        raise DataError(f"{source}: a segmentation needs 2 classes or more, got {num_classes}")
    if rule in ("binary", "instances") and num_classes != 2:
        raise DataError(f"{source}: label rule {rule!r} is for two classes, got {num_classes}")
    label = np.asarray(label)
    values = distinct(label) if numbers is None else numbers
    if values.size == 0:
        raise DataError(f"{source}: the label is empty, shape {label.shape}")
    if label_map:
        return _mapped(label, values, label_map, source)

    within = values[0] >= 0 and values[-1] < num_classes
    foreground = values[values != 0]
    if rule in ("auto", "classes") and within:
        return label.astype(np.int32)
    if values[0] >= 0 and num_classes == 2:
        whole_binary = rule == "binary" and foreground.size <= 1
        whole_byte = rule == "auto" and foreground.tolist() == [255]
        # `foreground` is sorted and free of repeats: it is 1..n exactly where its last value is its length.
        consecutive = rule == "auto" and foreground.size >= 2 and foreground[-1] == foreground.size
        if rule == "instances" or whole_binary or whole_byte or consecutive:
            return (label > 0).astype(np.int32)
    message = f"{source}: label values {listed(values.tolist())} do not fit {_expected(rule, num_classes, foreground)}"
    raise Misread(message, values)


def without_empty_slices(label: np.ndarray, numbers: np.ndarray, source: str) -> np.ndarray:
    """Classes int32 (N, *S), with `IGNORE` in those of the N slices whose numbers (N, *S) are 0 throughout.

    Raises DataError where all are.
    """
    empty = ~numbers.any(axis=tuple(range(1, numbers.ndim)))
    if empty.all():
        raise DataError(f"{source}: no slice is annotated: with [Data] Sparse = slices, those of 0 alone do not count")
    found = label.copy()
    found[empty] = IGNORE
    return found


def filled(label: np.ndarray, parts: int) -> np.ndarray:
    """A label for training, int32 (*S): where it says nothing, the nearest class, and `parts` more to tell so.

    Encoders of labels need a class everywhere; losses leave out what is made up.

    Args:
        label: classes, or parts of objects, from 0 to `parts` - 1, or `IGNORE`; something is said somewhere.
        parts: how many there are.
    """
    unknown = label == IGNORE
    if not unknown.any():
        return label.astype(np.int32)
    from scipy import ndimage  # here, as segmenting does without

    nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return np.where(unknown, label[tuple(nearest)] + np.int32(parts), label).astype(np.int32)


def to_instances(
    label: np.ndarray,
    rule: str,
    num_classes: int,
    label_map: Mapping[int, int] | None = None,
    numbers: np.ndarray | None = None,
) -> np.ndarray | None:
    """The ids of the objects as int32, 0 for background, of a `label` that `to_classes` accepts; None if it holds none.

    It does where the rule is ``instances``, and where ``auto`` finds ids 1..n, n >= 2. A label of 0 and 1 says nothing about
    objects, unless the rule does.
    """
    if num_classes != 2 or label_map:
        return None
    label = np.asarray(label)
    numbers = distinct(label) if numbers is None else numbers
    if rule == "instances" or (rule == "auto" and np.count_nonzero(numbers) > 1):
        return label.astype(np.int32)
    return None


def _mapped(label: np.ndarray, values: np.ndarray, label_map: Mapping[int, int], source: str) -> np.ndarray:
    unknown = [value for value in values.tolist() if value not in label_map]
    if set(values.tolist()) <= {value for value, index in label_map.items() if index == IGNORE}:
        raise DataError(f"{source}: every position is to be ignored by [Data] LabelMap; expected some with a class")
    if unknown:
        raise DataError(
            f"{source}: label values {listed(unknown)} are not in the map of [Data] LabelMap, which has"
            f" {listed(sorted(label_map))}"
        )
    classes = np.array([label_map[value] for value in values.tolist()], np.int32)
    return classes[np.searchsorted(values, label)]


def distinct(label: np.ndarray) -> np.ndarray:
    """Sorted distinct values: by counting where that is quick, as for every label of 8 or 16 bits."""
    if label.size and label.dtype == np.int32 and label.min() >= 0 and label.max() < 65536:
        return np.flatnonzero(np.bincount(label.ravel()))
    return np.unique(label)


def _expected(rule: str, num_classes: int, foreground: np.ndarray) -> str:
    """What a rule expects, and a remedy for what it found instead above 0 or below."""
    classes = f"0..{num_classes - 1}"
    if rule == "classes":
        return f"the rule 'classes', which expects {classes}"
    if rule == "binary":
        return "the rule 'binary', which expects 0 and one other value above 0"
    if rule == "instances":
        return "the rule 'instances', which expects ids of 0 and above"
    if num_classes == 2:
        wanted = "the rule 'auto', which expects 0/1, 0/255 or instance ids 0..n without a gap"
        if foreground.tolist() == [1, 255]:
            return f"{wanted} (if nobody was sure of 255, say so: [Data] LabelMap = 0:0, 1:1, 255:ignore)"
        ways = "binary or instances" if foreground.size == 1 else "instances"
        return f"{wanted} (set [Data] Labels to {ways}, or [Data] LabelMap, to say what they are)"
    odd = foreground[(foreground < 0) | (foreground >= num_classes)]
    remedy = f"say what others mean in [Data] LabelMap, such as {odd[-1]}:{num_classes - 1}"
    return f"the rule 'auto', which expects {classes} for {num_classes} classes ({remedy})"


def listed(values: Sequence[int]) -> str:
    """Sorted numbers, or colours, to read; many of them shortened."""
    texts = [f"#{value - COLOUR:06x}" if value >= COLOUR else str(value) for value in values]
    return ", ".join(texts if len(texts) <= 24 else [*texts[:20], "...", texts[-1]])
