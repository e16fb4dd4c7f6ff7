"""The order and the places of the frames of DICOM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ldseg.io.contract import Refused
from ldseg.io.geometry import TOLERANCE


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One plane of a file, and where it lies.

    Attributes:
        values: (H, W, planes), scaled as the file says.
        place: the position of the first pixel; None where the file does not say.
        turn: the six direction cosines of rows and columns; None likewise.
        spacing: mm from row to row and from column to column, 1 where the file does not say.
        unknown: whether the file does not say.
        scaled: whether values were multiplied, or something was added.
        padded: (H, W), which pixels the file says lie outside of the picture; None where there are none.
    """

    values: np.ndarray
    place: np.ndarray | None
    turn: np.ndarray | None
    spacing: tuple[float, float]
    unknown: bool = False
    scaled: bool = False
    padded: np.ndarray | None = None


def arranged(named: list[tuple[str, Frame]], axes: str, step: float, several: bool) -> tuple[list[tuple[str, Frame]], float]:
    """Frames in the order in which they are read, and the step between them; for the arguments see `stacked`."""
    if axes == "ZYX" and len(named) > 1 and any(frame.place is not None for _, frame in named):
        return _in_order(named)
    if axes == "TYX" and several:
        places = _along(named)
        if places is not None and (np.diff(np.sort(places)) > TOLERANCE).all():  # a volume that is taken for a video
            named = [named[index] for index in np.argsort(places)]
            step = float(np.ptp(places)) / (len(named) - 1)
    return named, step


def _along(named: list[tuple[str, Frame]]) -> np.ndarray | None:
    """Where frames lie along the normal of the first, if all of them tell."""
    turn = named[0][1].turn
    places = [frame.place for _, frame in named if frame.place is not None]
    return np.array(places) @ np.cross(turn[:3], turn[3:]) if turn is not None and len(places) == len(named) else None


def _in_order(named: list[tuple[str, Frame]]) -> tuple[list[tuple[str, Frame]], float]:
    """Parallel frames in the order of their places, and the step between them."""
    for name, frame in named:
        if frame.place is None or frame.turn is None:
            raise Refused(f"{name} does not say where it lies in the patient, as others do")
    turns = np.array([frame.turn for _, frame in named])
    if not all(map(is_turn, turns)):
        shown = " ".join(f"{number:g}" for number in turns[0])
        raise Refused(f"its directions (ImageOrientationPatient) are {shown}, expected two of length 1 at right angles")
    if (abs(turns - turns[0]) > TOLERANCE).any():
        raise Refused("expected parallel DICOM slices, found several orientations")
    normal = np.cross(turns[0, :3], turns[0, 3:])
    places = np.array([frame.place for _, frame in named])
    order = np.argsort(places @ normal, kind="stable")
    named, places = [named[index] for index in order], places[order]
    steps = np.diff(places @ normal)
    usual = float(np.median(steps))
    if usual < TOLERANCE:
        raise Refused(
            f"expected DICOM slices side by side, found them {usual:.6g} mm apart: several times or kinds of image in one?"
        )
    odd = np.flatnonzero(abs(steps - usual) > 0.05 * usual)
    if odd.size:
        before, after = (named[odd[0] + shift][0] for shift in (0, 1))
        raise Refused(
            f"expected slices {usual:.6g} mm apart, found {steps[odd[0]]:.6g} mm from {before} to"
            f" {after}: a slice is missing or there twice"
        )
    _check_aside(named, places, normal, max(0.1 * min(named[0][1].spacing), 0.01 * usual))
    aside = np.linalg.norm(places[-1] - places[0] - normal * steps.sum())
    if aside > 0.01 * steps.sum() and aside > 0.1 * min(named[0][1].spacing):
        degrees = np.degrees(np.arctan2(aside, steps.sum()))
        raise Refused(
            f"its slices are shifted against each other, {degrees:.1f} degrees from upright (gantry tilt): a mask cannot"
            " hold that place; correct the tilt first (dcm2niix does)"
        )
    return named, usual if len(steps) < 2 else float(steps.mean())


def is_turn(turn: np.ndarray) -> bool:
    """Whether six direction cosines are two directions of length 1 at right angles."""
    across = turn.reshape(2, 3)
    return bool((abs(across @ across.T - np.eye(2)) <= 0.02).all())


def _check_aside(named: list[tuple[str, Frame]], places: np.ndarray, normal: np.ndarray, most: float) -> None:
    """Raises Refused for a frame that is moved sideways against its neighbours, by more than so many mm."""
    along = (places - places[0]) @ normal
    line = np.outer(along / along[-1], places[-1] - places[0])
    off = np.linalg.norm(places - places[0] - line, axis=1)
    worst = int(np.argmax(off))
    if off[worst] > most:
        raise Refused(
            f"{named[worst][0]} lies {off[worst]:.4g} mm aside of the line of the others: is it of another series?"
        )
