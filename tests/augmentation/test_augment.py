"""Augmentation: image and label stay in register, T keeps its direction, colours follow the stains."""

import numpy as np
import pytest

from ldseg.augmentation.augment import KINDS, augment
from ldseg.augmentation.strength import Strength
from ldseg.errors import ConfigError, DataError

STILL = {  # no geometry but the one under test
    "scale": (1.0, 1.0),
    "aspect": 1.0,
    "shear": 0.0,
    "elastic_p": 0.0,
    "jitter": 0.0,
}
COLOURLESS = {"stain_p": 0.0, "colour_p": 0.0, "blur_p": 0.0, "noise_p": 0.0}


def blobs(shape=(60, 80), seed=0):
    """A smooth random image (*S, 1) in [0, 1] and a label of its bright parts."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    field = sum(np.cos(sum(k * g for k, g in zip(rng.normal(0, 0.25, len(shape)), grid))) for _ in range(4))
    image = ((field - field.min()) / np.ptp(field)).astype(np.float32)[..., None]
    return image, (image[..., 0] > 0.5).astype(np.int32)


def colour_image(shape=(40, 50), seed=0):
    return np.random.default_rng(seed).uniform(0.05, 1.0, (*shape, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("axes", "shape", "patch"),
    [
        ("YX", (40, 56), (32, 48)),
        ("YX", (40, 56), (64, 64)),
        ("TYX", (6, 24, 30), (4, 16, 32)),
        ("ZYX", (5, 24, 30), (8, 24, 24)),
    ],
)
def test_shapes_types_and_ranges(kind, channels, axes, shape, patch):
    image, label = blobs(shape)
    image = np.repeat(image, channels, axis=-1)
    before = image.copy(), label.copy()
    for seed in range(5):
        x, y = augment(image, label, kind=kind, patch=patch, axes=axes, rng=np.random.default_rng(seed))
        assert x.shape == (*patch, channels) and x.dtype == np.float32
        assert y.shape == patch and y.dtype == np.int32
        assert x.min() >= 0.0 and x.max() <= 1.0 and x.flags.c_contiguous
        assert set(np.unique(y)) <= {0, 1}
    assert np.array_equal(image, before[0]) and np.array_equal(label, before[1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_decides_everything(kind):
    image, label = blobs()
    image = np.repeat(image, 3, axis=-1)
    draws = [
        augment(image, label, kind=kind, patch=(32, 32), axes="YX", rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    ]
    assert all(np.array_equal(a, b) for a, b in zip(draws[0], draws[1]))
    assert np.array_equal(draws[0][0], draws[2][0]) == (kind == "none")


@pytest.mark.parametrize("seed", range(12))
def test_label_stays_in_register(seed):
    _, label = blobs()
    image = label[..., None].astype(np.float32)
    x, y = augment(
        image,
        label,
        kind="histology",
        patch=(48, 64),
        axes="YX",
        rng=np.random.default_rng(seed),
        strength=Strength(**COLOURLESS),
    )
    assert 0 < y.sum() < y.size
    sure = np.abs(x[..., 0] - 0.5) > 1e-3
    assert np.array_equal(y[sure], (x[..., 0] > 0.5)[sure])


def test_classes_are_not_averaged():
    label = np.zeros((40, 40), np.int32)
    label[:, 20:] = 7
    for seed in range(5):
        _, y = augment(
            np.zeros((40, 40, 1), np.float32),
            label,
            kind="histology",
            patch=(40, 40),
            axes="YX",
            rng=np.random.default_rng(seed),
        )
        assert set(np.unique(y)) <= {0, 7}


@pytest.mark.parametrize("scale", [0.8, 2.0])
def test_scale_magnifies(scale):
    y, x = np.mgrid[0:64, 0:64] - 31.5
    disk = (np.hypot(y, x) < 8).astype(np.int32)
    strength = Strength(**{**STILL, **COLOURLESS, "scale": (scale, scale)})
    areas = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        _, y = augment(
            disk[..., None] * 1.0,
            disk,
            kind="histology",
            patch=(64, 64),
            axes="YX",
            rng=rng,
            strength=strength,
        )
        areas.append(y.sum())
    assert np.max(areas) == pytest.approx(disk.sum() * scale**2, rel=0.08)


def test_rotation_reaches_every_quadrant():
    label = np.zeros((41, 41), np.int32)
    label[4:12, 26:32] = 1
    seen = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        strength = Strength(**STILL, **COLOURLESS)
        _, y = augment(
            label[..., None] * 1.0,
            label,
            kind="histology",
            patch=(41, 41),
            axes="YX",
            rng=rng,
            strength=strength,
        )
        rows, columns = np.nonzero(y)
        seen.add((rows.mean() > 20, columns.mean() > 20))
    assert len(seen) == 4


def test_flips_move_voxels_and_nothing_else():
    image = colour_image((12, 12))
    label = np.arange(144, dtype=np.int32).reshape(12, 12)
    results = set()
    for seed in range(60):
        x, y = augment(image, label, kind="flips", patch=(12, 12), axes="YX", rng=np.random.default_rng(seed))
        assert np.array_equal(x.reshape(-1, 3), image.reshape(-1, 3)[y.ravel()])
        results.add(y.tobytes())
    assert len(results) == 8  # all symmetries of the square


@pytest.mark.parametrize(("axes", "flipping"), [("TYX", {1, 2}), ("ZYX", {0, 1, 2})])
def test_flips_leave_time_alone(axes, flipping):
    shape = (4, 6, 8)
    label = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    seen = set()
    for seed in range(40):
        _, y = augment(
            label[..., None] / np.float32(label.max()),
            label,
            kind="flips",
            patch=shape,
            axes=axes,
            rng=np.random.default_rng(seed),
        )
        falling = tuple(axis for axis in range(3) if np.all(np.diff(y, axis=axis) < 0))
        assert np.array_equal(y, np.flip(label, falling))
        seen |= set(falling)
    assert seen == flipping


def test_histology_moves_all_frames_alike_and_keeps_their_order():
    image, label = blobs((40, 40))
    ramp = np.linspace(0.2, 1.0, 4, dtype=np.float32)[:, None, None, None]
    for seed in range(10):
        x, y = augment(
            image * ramp,
            np.repeat(label[None], 4, axis=0),
            kind="histology",
            patch=(4, 32, 32),
            axes="TYX",
            rng=np.random.default_rng(seed),
            strength=Strength(**COLOURLESS),
        )
        assert np.all(y == y[0])
        np.testing.assert_allclose(x, x[-1:] * ramp, atol=1e-5)


def test_none_takes_the_centre():
    image = colour_image((10, 14))
    label = np.arange(140, dtype=np.int32).reshape(10, 14)
    x, y = augment(image, label, kind="none", patch=(4, 6), axes="YX", rng=np.random.default_rng(0))
    assert np.array_equal(x, image[3:7, 4:10]) and np.array_equal(y, label[3:7, 4:10])


def jittered(image, seed=0, **strengths):
    """The colours of the image after the colour jitter alone; geometry without effect on a constant image."""
    none = {"stain_gain": 0.0, "stain_offset": 0.0, "gamma": 1.0, "contrast": 1.0, "saturation": 1.0}
    none |= {"brightness": 0.0, "hue": 0.0, "stain_p": 1.0, "colour_p": 1.0, "blur_p": 0.0, "noise_p": 0.0}
    label = np.zeros(image.shape[:-1], np.int32)
    strength = Strength(**{**STILL, **none, **strengths})
    x, _ = augment(
        image,
        label,
        kind="histology",
        patch=label.shape,
        axes="YX",
        rng=np.random.default_rng(seed),
        strength=strength,
    )
    return x


def constant(colour):
    return np.broadcast_to(np.asarray(colour, np.float32), (8, 8, len(colour))).copy()


def test_no_strength_no_change():
    image = constant([0.8, 0.4, 0.6])
    np.testing.assert_allclose(jittered(image), image, atol=1e-4)


def test_stain_gain_dilutes_along_the_stain():
    haematoxylin = np.array([0.65, 0.70, 0.29])
    image = constant(np.exp(-haematoxylin))
    gains = []
    for seed in range(30):
        density = -np.log(jittered(image, seed, stain_gain=0.3)[0, 0])
        gain = density / haematoxylin
        np.testing.assert_allclose(gain, gain[0], rtol=1e-3)
        gains.append(gain[0])
    assert 0.7 <= min(gains) < 0.85 and 1.15 < max(gains) <= 1.3


def test_gamma_is_a_power():
    image = constant([0.9, 0.5, 0.2])
    x = jittered(image, 3, gamma=1.5)[0, 0]
    powers = np.log(x) / np.log(image[0, 0])
    np.testing.assert_allclose(powers, powers[0], rtol=1e-3)
    assert 1 / 1.5 <= powers[0] <= 1.5 and abs(powers[0] - 1) > 0.01


def test_hue_and_saturation_leave_gray_gray():
    gray = constant([0.6, 0.6, 0.6])
    np.testing.assert_allclose(jittered(gray, hue=0.5, saturation=1.5), gray, atol=1e-4)
    pink = constant([0.8, 0.4, 0.6])
    assert np.abs(jittered(pink, hue=0.5, saturation=1.5) - pink).max() > 0.01


def test_contrast_spreads_about_the_mean():
    image = np.full((32, 32, 1), 0.4, np.float32)
    image[:, 16:] = 0.6
    ranges = []
    for seed in range(20):
        x = jittered(image, seed, contrast=2.0)
        assert x.mean() == pytest.approx(0.5, abs=2e-3)
        ranges.append(np.ptp(x))
    assert 0.1 <= min(ranges) < 0.15 and 0.3 < max(ranges) <= 0.4


def two_stains():
    """Pixels (32, 32, 3) of haematoxylin and eosin in random amounts."""
    amounts = np.random.default_rng(3).uniform(0.0, 0.8, (32, 32, 2))
    return np.exp(-amounts @ np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])).astype(np.float32)


def test_other_stains_have_other_statistics():
    """Means from 0.15 / e to 0.9 e about: far from those of the image, and apart from channel to channel."""
    image = two_stains()
    before = -np.log(image).reshape(-1, 3)
    means, ratios = [], []
    for seed in range(60):
        density = -np.log(np.maximum(jittered(image, seed, restain_p=1.0), 1 / 255)).reshape(-1, 3)
        means.append(density.mean(0))
        ratios.append(density.std(0).mean() / density.mean())
    means = np.array(means)
    assert means.min() < 0.5 * before.mean(0).min() and means.max() > 1.5 * before.mean(0).max()
    # any channel may be the darkest, which green always is of haematoxylin and eosin
    assert set(means.argmax(1)) == {0, 1, 2}
    assert min(ratios) > 0.2 and max(ratios) < 1.0


def test_another_stain_keeps_what_is_where():
    """The channels are sums of the amounts of the two stains: what they explain of an image is what they did before."""
    image = two_stains()
    amounts = np.column_stack([np.ones(32 * 32), -np.log(image).reshape(-1, 3)])
    for seed in range(20):
        x = jittered(image, seed, restain_p=1.0, rotation=0.0, mirror="").reshape(-1, 3)
        inside = np.all((x > 1.5 / 255) & (x < 0.999), axis=1)  # not clipped
        density = -np.log(x[inside])
        fitted = amounts[inside] @ np.linalg.lstsq(amounts[inside], density, rcond=None)[0]
        np.testing.assert_allclose(fitted, density, atol=2e-3)


def test_gray_swapped_and_any_hue():
    image = colour_image()
    gray = jittered(image, gray_p=1.0)
    np.testing.assert_allclose(gray, np.repeat(gray[..., :1], 3, axis=-1), atol=1e-6)
    assert gray.std() > 0.05
    orders = set()
    for seed in range(40):
        swapped = jittered(image, seed, swap_p=1.0, rotation=0.0, mirror="")
        orders.add(tuple(int(np.abs(image - swapped[..., [k]]).sum((0, 1)).argmin()) for k in range(3)))
        np.testing.assert_allclose(np.sort(swapped, axis=-1), np.sort(image, axis=-1), atol=1e-6)
    assert len(orders) == 6
    pink = constant([0.7, 0.4, 0.5])
    tones = [jittered(pink, seed, any_hue_p=1.0)[0, 0] for seed in range(40)]
    np.testing.assert_allclose(np.mean(tones, axis=1), 1.6 / 3, atol=1e-4)
    assert {int(tone.argmax()) for tone in tones} == {0, 1, 2}


def test_fading_takes_contrast_away():
    image = np.full((32, 32, 3), 0.3, np.float32)
    image[:, 16:] = 0.7
    ranges = []
    for seed in range(30):
        x = jittered(image, seed, fade=0.8, fade_p=1.0)
        assert x.mean() >= 0.5 - 1e-4
        ranges.append(np.ptp(x))
    assert 0.08 - 1e-4 <= min(ranges) < 0.16 and 0.3 < max(ranges) <= 0.4 + 1e-4


def test_gray_images_have_no_other_stain():
    image, _ = blobs((32, 32))
    np.testing.assert_array_equal(jittered(image, restain_p=1.0, gray_p=0.4, swap_p=0.3, any_hue_p=0.3), jittered(image))


def test_wider_colours_leave_the_other_kinds_as_they_were():
    """Each new kind of change draws nothing where its probability is 0: seeds give what they gave before."""
    image, label = colour_image((24, 24)), np.zeros((24, 24), np.int32)
    x, _ = augment(image, label, kind="anatomy", patch=(24, 24), axes="YX", rng=np.random.default_rng(7))
    before = [[0.53561, 0.62232, 0.56576], [0.68401, 0.72861, 0.51810], [0.85619, 0.29471, 0.23625]]
    np.testing.assert_allclose(x[[3, 12, 20], [5, 12, 18]], before, atol=2e-4)


@pytest.mark.parametrize("patch", [(32,), (32, 32, 32), (0, 32)])
def test_patch_that_does_not_fit_the_axes(patch):
    with pytest.raises(ConfigError, match="patch"):
        augment(*blobs(), kind="none", patch=patch, axes="YX", rng=np.random.default_rng(0))


def test_unknown_kind():
    with pytest.raises(ConfigError, match=r"histology, anatomy, flips, none.*'strong'"):
        augment(*blobs(), kind="strong", patch=(32, 32), axes="YX", rng=np.random.default_rng(0))


def test_label_of_another_size():
    image, label = blobs()
    with pytest.raises(DataError, match=r"\(60, 80, 1\) and \(60, 79\)"):
        augment(image, label[:, 1:], kind="none", patch=(8, 8), axes="YX", rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", (0.0, 1.0)),
        ("scale", (2.0, 1.0)),
        ("elastic_p", 1.5),
        ("aspect", 0.5),
        ("noise", -0.1),
        ("elastic_cell", 0.0),
        ("restain_p", -0.1),
        ("fade", 1.0),
        ("fade", -0.5),
    ],
)
def test_strength_out_of_range(name, value):
    with pytest.raises(ConfigError, match=name):
        Strength(**{name: value})


def test_kinds_of_exchange_add_up():
    with pytest.raises(ConfigError, match="gray_p, swap_p and any_hue_p"):
        Strength(gray_p=0.5, swap_p=0.3, any_hue_p=0.3)


# anatomy


def test_anatomy_keeps_a_body_upright():
    """A bright top stays at the top, in planes and in space; left and right may change places."""
    for axes, shape in (("YX", (48, 48)), ("TYX", (3, 48, 48)), ("ZYX", (24, 24, 24))):
        vertical = 0 if axes == "ZYX" else len(shape) - 2
        ramp = np.linspace(1, 0, shape[vertical]).reshape([-1 if i == vertical else 1 for i in range(len(shape))])
        image = np.broadcast_to(ramp, shape).astype(np.float32)[..., None]
        label = np.zeros(shape, np.int32)
        label[..., : shape[-1] // 2] = 1
        sides = set()
        for seed in range(12):
            strength = Strength(**{**COLOURLESS, "rotation": 0.26, "mirror": "X", "scale": (0.9, 1.1)})
            out, mask = augment(
                image, label, kind="anatomy", patch=shape, axes=axes, rng=np.random.default_rng(seed), strength=strength
            )
            means = out.mean(tuple(i for i in range(len(shape) + 1) if i != vertical))
            assert means[: len(means) // 2].mean() > means[len(means) // 2 :].mean() + 0.2
            left, right = np.array_split(mask, 2, axis=-1)
            sides.add(bool(left.mean() > right.mean()))
        assert sides == {True, False}


def test_anatomy_in_space_turns_image_and_label_alike():
    z, y, x = np.mgrid[:20, :24, :28]
    label = ((z - 9) ** 2 / 36 + (y - 11) ** 2 / 64 + (x - 13) ** 2 / 49 < 1).astype(np.int32)
    image = label.astype(np.float32)[..., None]
    for seed in range(6):
        out, mask = augment(
            image, label, kind="anatomy", patch=(16, 24, 28), axes="ZYX", rng=np.random.default_rng(seed),
            strength=Strength(**{**COLOURLESS, "rotation": 0.5}),
        )  # fmt: skip
        assert out.shape == (16, 24, 28, 1)
        np.testing.assert_array_equal(out[..., 0] > 0.5, mask == 1)
