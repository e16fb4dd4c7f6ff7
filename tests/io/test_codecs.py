"""Pictures of other kinds than PNG and BMP, and what a picture may hold beside its pixels."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from ldseg.data.intensity import scale_intensity
from ldseg.errors import DataError
from ldseg.io.contract import LIMIT_VARIABLE
from ldseg.io.pictures import read_image, read_label
from ldseg.io.scans import read_scan, read_scan_label, write_scan_mask

SIZE = (19, 26)


def colours() -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([9 * x, 10 * y, 4 * (x + y)], axis=-1).astype(np.uint8)


def classes() -> np.ndarray:
    return (np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 3).astype(np.uint8)


def png(width: int, height: int, rows: bytes, bits: int = 8, kind: int = 0) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".webp", {"lossless": True}),
        (".jp2", {"irreversible": False}),
        (".j2k", {"irreversible": False}),
        (".ppm", {}),
        (".avif", {"quality": 100, "subsampling": "4:4:4"}),
    ],
)
def test_pictures_of_other_kinds(tmp_path: Path, suffix: str, options: dict[str, object]) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(colours()).save(path, **options)
    read = read_scan(path, "YX").values
    assert abs(read.astype(int) - colours()).max() <= (3 if suffix == ".avif" else 0)
    written = write_scan_mask(tmp_path / "out", "a", classes(), like=path)
    assert written.name == "a_segmentation.png"
    np.testing.assert_array_equal(read_scan_label(written, "YX")[0], classes())
    content = path.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.95):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DataError, match=rf"a\{suffix}: not a readable image"):
            read_scan(path, "YX")


@pytest.mark.parametrize("suffix", [".jfif", ".jpe"])
def test_other_names_of_jpeg(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.jpg", "JPEG", quality=100, subsampling=0)
    (tmp_path / "a.jpg").rename(tmp_path / f"a{suffix}")
    assert abs(read_scan(tmp_path / f"a{suffix}", "YX").values.astype(int) - colours()).max() < 8


def test_a_gif_is_a_label(tmp_path: Path) -> None:
    """As those of DRIVE are."""
    picture = Image.fromarray(classes())
    picture.putpalette([0, 0, 0, 255, 255, 255, 90, 9, 9])
    picture.save(tmp_path / "a.gif")
    np.testing.assert_array_equal(read_label(tmp_path / "a.gif"), classes())
    picture.save(tmp_path / "b.gif", save_all=True, append_images=[Image.fromarray(255 - classes())])
    with pytest.raises(DataError, match=r"b\.gif: 2 frames, expected one picture"):
        read_label(tmp_path / "b.gif")


@pytest.mark.parametrize("kind", ["P1", "P2", "P3", "P4", "P5", "P6"])
def test_portable_maps_hold_their_numbers(tmp_path: Path, kind: str) -> None:
    """Whatever their highest value is."""
    flat = classes()
    values = {"P1": flat % 2, "P4": flat % 2, "P3": colours(), "P6": colours()}.get(kind, flat)
    head = f"{kind}\n# a comment\n{SIZE[1]} {SIZE[0]}\n".encode()
    if kind not in ("P1", "P4"):
        head += b"2\n" if values is flat else b"255\n"
    if kind == "P4":
        content = head + np.packbits(values == 1, axis=1).tobytes()
    elif kind in ("P1", "P2", "P3"):
        content = head + b" ".join(str(value).encode() for value in values.ravel().tolist()) + b"\n"
    else:
        content = head + values.tobytes()
    (tmp_path / "a.pnm").write_bytes(content)
    read = read_image(tmp_path / "a.pnm")
    if kind in ("P1", "P4"):  # black is 1
        np.testing.assert_array_equal(read[..., 0], np.where(values == 1, 0, 255))
    else:
        np.testing.assert_array_equal(read.squeeze(), values)
    (tmp_path / "a.pnm").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a\.pnm: not a readable image"):
        read_image(tmp_path / "a.pnm")


def test_sixteen_bits_of_a_portable_map(tmp_path: Path) -> None:
    deep = classes().astype(np.uint16) * 1000
    (tmp_path / "a.pgm").write_bytes(f"P5 {SIZE[1]} {SIZE[0]} 4095\n".encode() + deep.astype(">u2").tobytes())
    scan = read_scan(tmp_path / "a.pgm", "YX")
    np.testing.assert_array_equal(scan.values[..., 0], deep)
    assert scan.bits == 12


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_label_of_few_bits(tmp_path: Path, bits: int) -> None:
    """Its numbers count as stored; of an image, white is white."""
    label = classes() % (2 if bits == 1 else 3)
    if bits == 16:
        rows = label.astype(">u2").view(np.uint8).reshape(SIZE[0], -1)
    else:
        spread = np.unpackbits(label[..., np.newaxis], axis=-1)[..., 8 - bits :].reshape(SIZE[0], -1)
        rows = np.packbits(spread, axis=1)
    content = b"".join(b"\0" + row.tobytes() for row in rows)
    (tmp_path / "a.png").write_bytes(png(SIZE[1], SIZE[0], content, bits))
    np.testing.assert_array_equal(read_label(tmp_path / "a.png"), label)
    if bits < 8:
        np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], label * (255 // (2**bits - 1)))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_the_orientation_of_exif_turns_image_and_label(tmp_path: Path, suffix: str, turn: int) -> None:
    """So that a mask lies on what viewers show."""
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"a{suffix}"
    Image.fromarray(colours()).save(path, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_array_equal(read_scan(path, "YX").values, shown)
    if suffix != ".png":
        return
    Image.fromarray(classes()).save(path, exif=exif)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_array_equal(read_scan_label(path, "YX")[0], shown)
    written = write_scan_mask(tmp_path / "out", "a", shown, like=path)
    np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(Image.open(written))), shown)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}])
def test_a_jpeg_that_lacks_pixels(tmp_path: Path, options: dict[str, object]) -> None:
    """Cut and closed with an end mark, or with bytes missing in the middle."""
    rng = np.random.default_rng(0)
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (80, 96, 3), np.uint8)).save(stream, "JPEG", quality=90, **options)
    content = stream.getvalue()
    (tmp_path / "a.jpg").write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), np.asarray(Image.open(stream)))
    half = len(content) // 2
    for damaged in (content[:half] + b"\xff\xd9", content[:half] + content[half + len(content) // 5 :]):
        (tmp_path / "a.jpg").write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.jpg: not a readable image .*: \w+"):
            read_image(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(content + b"\0" * 40)  # what is behind the end does no harm
    read_image(tmp_path / "a.jpg")


def test_a_jpeg_of_twelve_bits(tmp_path: Path) -> None:
    deep = (np.indices((32, 40)).sum(0) * 57).astype(np.uint16)
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg_encode(deep, bitspersample=12, level=100))
    scan = read_scan(tmp_path / "a.jpg", "YX")
    assert (scan.bits, scan.values.dtype) == (12, np.uint16)
    assert abs(scan.values[..., 0].astype(int) - deep).max() < 40


def test_a_jpeg_of_twelve_bits_that_lacks_pixels(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 4096, (64, 80)).astype(np.uint16)
    content = imagecodecs.jpeg_encode(deep, bitspersample=12)
    (tmp_path / "a.jpg").write_bytes(content[:900] + content[1500:])
    with pytest.raises(DataError, match=r"a\.jpg: .*the JPEG file (lacks|has|holds)"):
        read_scan(tmp_path / "a.jpg", "YX")


def test_many_pixels_are_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own limit does not hold here; ours is told, and what raises it."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.fromarray(colours()).save(tmp_path / "a.png")
    Image.fromarray(colours()).convert("P").save(tmp_path / "p.png")
    Image.fromarray(colours()).save(tmp_path / "a.jpg")
    Image.fromarray(colours()).save(tmp_path / "a.bmp")
    for name in ("a.png", "p.png", "a.jpg", "a.bmp"):
        assert read_image(tmp_path / name).shape == colours().shape
    (tmp_path / "b.png").write_bytes(png(2**31 - 1, 2**30, b""))
    wanted = (
        rf"b\.png: its header promises .* more than the limit of 2 GiB \(the environment variable {LIMIT_VARIABLE}=\d+ would"
    )
    with pytest.raises(DataError, match=wanted):
        read_image(tmp_path / "b.png")
    monkeypatch.setenv(LIMIT_VARIABLE, "1e-7")
    with pytest.raises(DataError, match=r"a\.png: its header promises 19×26×3 values"):
        read_image(tmp_path / "a.png")
    monkeypatch.setenv(LIMIT_VARIABLE, "much")
    with pytest.raises(
        DataError, match=rf"a\.png: the environment variable {LIMIT_VARIABLE}: expected a number of GiB above 0, got 'much'"
    ):
        read_image(tmp_path / "a.png")


def test_a_gif_that_is_larger_than_it_says(tmp_path: Path) -> None:
    """Its frame reaches beyond its screen: Pillow would make the picture larger."""
    Image.fromarray(classes()).save(tmp_path / "a.gif")
    content = bytearray((tmp_path / "a.gif").read_bytes())
    place = content.index(b"\x2c", 13 + 3 * 256 if content[10] & 7 == 7 else 13)
    struct.pack_into("<4H", content, place + 1, 65535, 65535, 65535, 65535)
    (tmp_path / "a.gif").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.gif: its header promises 1×131070×131070 values"):
        read_image(tmp_path / "a.gif")


def test_a_stream_that_is_larger_than_its_header(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.jp2", irreversible=False)
    content = bytearray((tmp_path / "a.jp2").read_bytes())
    place = content.index(b"\xff\x4f\xff\x51")
    struct.pack_into(">2I", content, place + 8, 60000, 60000)
    (tmp_path / "a.jp2").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.jp2: .*its pixels are \(60000, 60000\), its header promises \(19, 26\)"):
        read_image(tmp_path / "a.jp2")


@pytest.mark.parametrize("depth", [10, 12])
def test_avif_of_many_bits_keeps_them(tmp_path: Path, depth: int) -> None:
    deep = (np.indices((24, 30)).sum(0) * (2**depth // 60)).astype(np.uint16)
    (tmp_path / "a.avif").write_bytes(imagecodecs.avif_encode(np.dstack([deep] * 3), level=100, bitspersample=depth))
    scan = read_scan(tmp_path / "a.avif", "YX")
    assert (scan.values.dtype, scan.bits) == (np.uint16, depth)
    np.testing.assert_array_equal(scan.values, imagecodecs.avif_decode((tmp_path / "a.avif").read_bytes()))
    assert abs(scan.values[..., 0].astype(int) - deep).max() <= 8


def test_a_png_whose_rows_are_not_in_their_order(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Seven passes (Adam7), which no library warns of."""
    gray = np.random.default_rng(0).integers(0, 256, (23, 31)).astype(np.uint8)
    rows = b""
    for y, x, down, right in (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):
        rows += b"".join(b"\0" + row.tobytes() for row in gray[y::down, x::right])
    content = b"\x89PNG\r\n\x1a\n"
    for kind, part in (
        (b"IHDR", struct.pack(">IIBBBBB", 31, 23, 8, 0, 0, 0, 1)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        content += struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
    (tmp_path / "a.png").write_bytes(content)
    np.testing.assert_array_equal(read_scan(tmp_path / "a.png", "YX").values[..., 0], gray)
    assert capfd.readouterr().err == ""


def test_pnm_that_holds_more_or_less(tmp_path: Path) -> None:
    path, values = tmp_path / "a.pgm", classes()
    body = b"%d %d\r\n255\r\n" % SIZE[::-1] + values.tobytes()
    path.write_bytes(b"P5\r\n" + body)
    np.testing.assert_array_equal(read_label(path), values)
    for content, problem in (
        (2 * (b"P5\n%d %d\n255\n" % SIZE[::-1] + values.tobytes()), "several pictures in one file, expected one"),
        (b"P2\n2 1\n255\n-3 4", "it holds values from -3 to 4, its header promises 0 to 255"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"a\.pgm: .*{problem}"):
            read_label(path)


def test_a_jpeg_thinned_out_in_another_way(tmp_path: Path) -> None:
    """A block of luma for four of blue, of which TurboJPEG tells nothing: so many blocks of gray behind another header."""
    for blocks in (6, 5):
        stream = io.BytesIO()
        Image.fromarray(np.arange(64 * blocks, dtype=np.uint16).astype(np.uint8).reshape(8, -1)).save(stream, "JPEG")
        content = stream.getvalue()
        frame, scan = content.index(b"\xff\xc0"), content.index(b"\xff\xda")
        head = struct.pack(">2sHBHHB9B", b"\xff\xc0", 17, 8, 16, 16, 3, 1, 0x11, 0, 2, 0x22, 0, 3, 0x11, 0)
        begin = struct.pack(">2sHB9B", b"\xff\xda", 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0)
        path = tmp_path / "a.jpg"
        path.write_bytes(content[:frame] + head + content[frame + 13 : scan] + begin + content[scan + 10 :])
        if blocks == 6:
            np.testing.assert_array_equal(read_image(path), np.asarray(Image.open(path)))
        else:
            with pytest.raises(DataError, match=r"a\.jpg: not a readable image .*lacks coded pixels"):
                read_image(path)


def test_black_and_white_that_jpeg_has_changed(tmp_path: Path) -> None:
    """Its numbers may be all from 0 to 255, as those of so many objects."""
    mask = np.kron(np.random.default_rng(0).integers(0, 2, (10, 12)), np.ones((5, 7), int)).astype(np.uint8) * 255
    Image.fromarray(mask).save(tmp_path / "a.jpg", quality=60)
    with pytest.raises(DataError, match=r"a\.jpg: a label in JPEG.*black and white \(above 127 or not\).*save it as PNG"):
        read_scan_label(tmp_path / "a.jpg", "YX")
    assert read_image(tmp_path / "a.jpg").shape == (50, 84, 1)
    flat = np.kron([[0, 255], [127, 0]], np.ones((16, 16), int)).astype(np.uint8)
    Image.fromarray(flat).save(tmp_path / "b.jpg", quality=100)
    np.testing.assert_array_equal(read_scan_label(tmp_path / "b.jpg", "YX")[0], flat)
    near = np.kron([[0, 1], [255, 0]], np.ones((16, 16), int)).astype(np.uint8)
    Image.fromarray(near).save(tmp_path / "d.jpg", quality=100)
    with pytest.raises(
        DataError, match=r"d\.jpg: .* two ways: 0, 1, .* as they are, or black and white \(above 127 or not\)"
    ):
        read_scan_label(tmp_path / "d.jpg", "YX")
    colours = np.kron([[0, 1], [1, 0]], np.ones((16, 16), int))[..., np.newaxis] * np.array([254, 2, 0])
    Image.fromarray(colours.astype(np.uint8)).save(tmp_path / "c.jpg", quality=100, subsampling=0)
    with pytest.raises(DataError, match=r"c\.jpg: a label needs one plane .*LabelMap"):
        read_scan_label(tmp_path / "c.jpg", "YX")


@pytest.mark.parametrize("bits", [4, 8, 12])
def test_bits_of_portable_maps_and_jpeg_2000(tmp_path: Path, bits: int) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, (6, 8)).astype(np.uint8 if bits <= 8 else np.uint16)
    content = b"P5\n8 6\n%d\n" % (2**bits - 1) + values.astype(">u2" if bits > 8 else "u1").tobytes()
    (tmp_path / "a.pgm").write_bytes(content)
    coded = imagecodecs.jpeg2k_encode(values, bitspersample=bits, level=0, reversible=True)
    (tmp_path / "a.jp2").write_bytes(coded)
    for name in ("a.pgm", "a.jp2"):
        scan = read_scan(tmp_path / name, "YX")
        np.testing.assert_array_equal(scan.values[..., 0], values)
        assert scan.bits == bits
        scaled = scale_intensity(scan.values, "dtype", name, bits=scan.bits)
        np.testing.assert_allclose(scaled[..., 0], values / (2**bits - 1), rtol=1e-6)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.jp2", "a.avif", "a.tif"])
def test_a_label_whose_numbers_a_coding_may_have_changed(tmp_path: Path, name: str) -> None:
    """Classes 0, 1 and 2 may be one class, and what the coding made of it: whoever wrote it has to say."""
    label = np.kron(np.random.default_rng(0).integers(0, 3, (8, 8)), np.ones((16, 16), int)).astype(np.uint8)
    options: dict[str, Any] = {"a.jpg": {"quality": 95}, "a.jp2": {"irreversible": True}, "a.webp": {"quality": 90}}
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, label, compression="jpeg", tile=(128, 128))
    else:
        Image.fromarray(label).save(tmp_path / name, **options.get(name, {}))
    coding = {"a.webp": "WebP", "a.jp2": "JPEG 2000", "a.avif": "AVIF"}.get(name, "JPEG")
    with pytest.raises(DataError, match=rf"{name}: a label in {coding}, which changes numbers, .* 0, 1.* as they are, or "):
        read_scan_label(tmp_path / name, "YX")
    if name in ("a.webp", "a.jp2"):
        Image.fromarray(label).save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {"irreversible": False}))
        np.testing.assert_array_equal(read_scan_label(tmp_path / name, "YX")[0], label)
