"""The reverse diffusion as a picture and as an animation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ldseg import viz
from ldseg.errors import DataError


def _trace(rank: int = 2, steps: int = 5, channels: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    size = (4, 24, 36)[-rank:]
    return {
        "latents": rng.standard_normal((steps + 1, *(max(1, n // 4) for n in size), channels)).astype(np.float32),
        "masks": rng.random((steps + 1, *size)).astype(np.float32),
        "times": np.linspace(1000, 0, steps + 1).astype(int),
        "image": rng.random((*size, 3)).astype(np.float32),
    }


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_latents_share_one_map(channels: int) -> None:
    x = np.random.default_rng(0).standard_normal((200, 50, channels))
    out = viz.latent_to_rgb(x)
    assert out.shape == (200, 50, 3) and out.dtype == np.uint8
    np.testing.assert_array_equal(viz.latent_to_rgb(np.zeros((1, channels))), [[128, 128, 128]])
    np.testing.assert_array_equal(viz.latent_to_rgb(x[:3]), out[:3])  # no rescaling by what else is shown
    if channels != 2:
        spread = out.astype(float).std() / 127.5 * 2.5
        assert spread == pytest.approx(0.97, abs=0.04)  # unit variance, the ends cut off
    if channels == 3:
        np.testing.assert_array_equal(viz.latent_to_rgb([[2.5, 0.0, -2.5]]), [[255, 128, 0]])


@pytest.mark.parametrize("kind", ["probabilities", "classes"])
@pytest.mark.parametrize("rank", [2, 3])
def test_the_reverse_diffusion_as_a_picture(rank: int, kind: str) -> None:
    given = _trace(rank, steps=11)
    if kind == "classes":
        given["masks"] = (given["masks"] * 3).astype(np.int32)
    planes = viz.Trace(**given).planes
    plane, last = given["image"], given["latents"][-1]
    if rank == 3:
        area = (given["masks"][-1] >= (0.5 if kind == "probabilities" else 1)).sum((1, 2))
        plane, last = plane[area.argmax()], last[0]
        assert planes.name == f"image, plane {area.argmax() + 1} of 4"
    np.testing.assert_allclose(planes.image, plane)
    np.testing.assert_array_equal(planes.latent(11), viz.latent_to_rgb(last))
    wide, narrow = (viz.reverse_diffusion_picture(viz.Trace(**given, title="Case 1"), count) for count in (4, 2))
    assert wide.shape[1] - narrow.shape[1] == 2 * (210 + 9)
    assert wide.std() > 10
    assert len(wide) > len(viz.reverse_diffusion_picture(viz.Trace(**given), 4))  # without a title


@pytest.mark.parametrize("plane", [0, 3, 7])
def test_one_plane_is_shown_of_all_steps_the_largest_of_the_last(plane: int, tmp_path: Path) -> None:
    size, latent = (8, 24, 36), (4, 6, 9)
    masks = np.zeros((4, *size), np.int32)
    masks[0, 5] = 2  # noise may fill another
    masks[1:, plane, 4:20, 6:30] = 1
    masks[1:, plane, 8:12, 8:20] = 2
    latents = np.zeros((4, *latent, 1)) + np.linspace(-2, 2, 4)[:, None, None, None]  # by plane
    image = np.random.default_rng(0).random((*size, 1))
    image /= image.max()
    given = {"latents": latents, "masks": masks, "times": np.arange(4)[::-1], "image": image}
    planes = viz.Trace(**given, names=("background", "bone", "cartilage")).planes
    np.testing.assert_array_equal(planes.latent(0), viz.latent_to_rgb(latents[0, plane // 2]))
    np.testing.assert_allclose(planes.mask(3)[10, 10] / 255, to_rgb(viz.CLASS_COLOURS[2]), atol=1 / 255)
    assert planes.mask(0).std() == 0  # the first step has nothing in that plane
    assert [entry.name for entry in planes.entries()] == ["bone", "cartilage"]
    with Image.open(viz.reverse_diffusion_gif(tmp_path / "a.gif", viz.Trace(**given))) as gif:
        named = gif.height
    given["masks"] = np.minimum(masks, 1)
    with Image.open(viz.reverse_diffusion_gif(tmp_path / "b.gif", viz.Trace(**given))) as gif:
        assert gif.height < named  # two classes need no legend


def test_a_one_step_diffusion_shows_both_ends() -> None:
    trace = viz.Trace(**_trace(steps=1))
    assert [trace.planes.time(step) for step in (0, 1)] == ["t = 1000", "t = 0"]
    assert viz.reverse_diffusion_picture(trace).shape == viz.reverse_diffusion_picture(trace, 2).shape


def test_reverse_diffusion_gif(tmp_path: Path) -> None:
    pace = viz.Animation(width=450, seconds=3.5, hold=2.5)
    path = viz.reverse_diffusion_gif(tmp_path / "a" / "case.gif", viz.Trace(**_trace(steps=5)), pace)
    assert [p.name for p in path.parent.iterdir()] == ["case.gif"]
    with Image.open(path) as gif:
        assert gif.n_frames == 6 and gif.width == 450 and gif.info["loop"] == 0
        pauses, pages = [], []
        for k in range(gif.n_frames):
            gif.seek(k)
            pauses.append(gif.info["duration"])
            pages.append(np.asarray(gif.convert("RGB"), dtype=int))
    assert pauses[-1] >= 2000 and max(pauses[:-1]) <= 400
    third = 450 // 3
    change = np.abs(pages[0] - pages[-1])[40:]
    assert (change[:, : third - 10] == 0).all()  # the image stands still
    assert change[:, third:-third].mean() > 20  # the latent does not


def test_gif_keeps_its_size_limit_and_its_last_step(tmp_path: Path) -> None:
    pace = viz.Animation(width=600, max_frames=8, max_bytes=150_000)
    path = viz.reverse_diffusion_gif(tmp_path / "c.gif", viz.Trace(**_trace(steps=30)), pace)
    assert path.stat().st_size <= 150_000
    with Image.open(path) as gif:
        assert gif.n_frames == 8 and gif.width < 600


def test_colours_of_a_gif_are_those_of_its_frames(tmp_path: Path) -> None:
    """Flat colours within what five bits a channel can tell, white exactly."""
    page = np.full((40, 60, 3), 255, np.uint8)
    colours = [np.rint(255 * np.array(to_rgb(colour))).astype(int) for colour in viz.CLASS_COLOURS]
    for k, colour in enumerate(colours):
        page[8:, 8 * k : 8 * k + 8] = colour
    path = viz.Animation().save(tmp_path / "a.gif", lambda _: [page, page[::-1].copy()])
    with Image.open(path) as gif:
        found = np.asarray(gif.convert("RGB"), int)
    assert (found[0] == 255).all()
    for k, colour in enumerate(colours):
        assert np.abs(found[20, 8 * k + 4] - colour).max() <= 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"masks": np.zeros((2, 24, 36))}, "masks: expected 6 masks"),
        ({"latents": np.zeros((6, 6, 9))}, "latents: expected 6 latents"),
        ({"times": np.zeros((2, 3))}, "times: expected"),
        ({"image": np.zeros((24, 36))}, "image: expected"),
    ],
)
def test_bad_traces_are_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        viz.Trace(**{**_trace(), **change})
