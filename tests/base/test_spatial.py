import pytest

from ldseg.base.spatial import AXES, strided


def test_time_is_an_axis_of_its_own() -> None:
    assert AXES == {"2D": "YX", "2D+t": "TYX", "3D": "ZYX"}


@pytest.mark.parametrize(
    ("size", "strides", "expected"),
    [((256, 384), (8, 8), (32, 48)), ((5, 64, 32), (1, 8, 16), (5, 8, 2)), ((8,), (8,), (1,))],
)
def test_the_latent_grid(size: tuple[int, ...], strides: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert strided(size, strides) == expected


@pytest.mark.parametrize(
    ("size", "strides", "expected"),
    [
        ((256, 256, 256), (8, 8), "2 axes, got"),
        ((256,), (8, 8), "2 axes, got"),
        ((256, 260), (8, 8), r"multiple of its stride \(8, 8\), got size \(256, 260\)"),
        ((0, 256), (8, 8), "multiple of its stride"),
        ((-8, 256), (8, 8), "multiple of its stride"),
    ],
)
def test_a_size_that_does_not_fit(size: tuple[int, ...], strides: tuple[int, ...], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        strided(size, strides)
