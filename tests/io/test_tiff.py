"""TIFF: what is stored comes out, whatever the compression, the colours and the descriptions."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from ldseg.errors import DataError
from ldseg.io import contract
from ldseg.io.scans import read_scan, read_scan_label

SIZE = (40, 56)
LOSSLESS = (None, "zlib", "lzw", "packbits", "zstd", "lzma", "jpeg2000", "jpegxl", "lerc", "png")


def ramp() -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return (3 * x + 2 * y).astype(np.uint8)


def classes() -> np.ndarray:
    return (ramp() // 90).astype(np.uint8)


def colours() -> np.ndarray:
    return np.dstack([ramp(), 255 - ramp(), ramp()[::-1]])


def save(path: Path, values: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(path, values, metadata=None, **options)
    return path


def image(path: Path, axes: str = "YX") -> np.ndarray:
    return read_scan(path, axes).values


def label(path: Path, axes: str = "YX") -> np.ndarray:
    return read_scan_label(path, axes)[0]


@pytest.mark.parametrize("compression", LOSSLESS)
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_every_compression_gives_what_is_stored(tmp_path: Path, compression: str | None, kind: str) -> None:
    gray, rgb = ramp().astype(kind) * (257 if kind == "u2" else 1), colours().astype(kind)
    path = save(tmp_path / "a.tif", gray, compression=compression)
    np.testing.assert_array_equal(image(path)[..., 0], gray)
    np.testing.assert_array_equal(label(path), gray)
    path = save(tmp_path / "c.tif", rgb, compression=compression, photometric="rgb", tile=(16, 16))
    np.testing.assert_array_equal(image(path), rgb)
    stack = np.stack([gray, gray[::-1], gray[:, ::-1]])
    path = save(tmp_path / "s.tif", stack, compression=compression, photometric="minisblack")
    np.testing.assert_array_equal(image(path, "ZYX")[..., 0], stack)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_deflate"])
@pytest.mark.parametrize("palette", [[255, 255, 255, 0, 0, 0, 90, 90, 90], [0, 0, 0, 255, 0, 0, 0, 9, 200]])
def test_a_palette_label_gives_its_indices(tmp_path: Path, compression: str, palette: list[int]) -> None:
    """Also where index 0 is painted white, and in stacks."""
    picture = Image.fromarray(classes())
    picture.putpalette(palette)
    picture.save(tmp_path / "l.tif", compression=compression)
    np.testing.assert_array_equal(label(tmp_path / "l.tif"), classes())
    np.testing.assert_array_equal(image(tmp_path / "l.tif"), np.array(palette, np.uint8).reshape(-1, 3)[classes()])
    other = Image.fromarray(classes()[::-1].copy())
    other.putpalette(palette)
    picture.save(tmp_path / "s.tif", compression=compression, save_all=True, append_images=[other])
    np.testing.assert_array_equal(label(tmp_path / "s.tif", "ZYX"), np.stack([classes(), classes()[::-1]]))


def test_palettes_of_old_programs_have_8_bits(tmp_path: Path) -> None:
    table = np.zeros((3, 256), np.uint16)
    table[:, 1] = 10, 20, 200
    path = save(tmp_path / "a.tif", (classes() > 0).astype(np.uint8), photometric="palette", colormap=table)
    assert image(path)[classes() > 0][0].tolist() == [10, 20, 200]


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
def test_white_that_is_zero(tmp_path: Path, compression: str | None) -> None:
    """The numbers of a label count as stored; an image is turned, in 8 and in 16 bits."""
    for kind, top in ((np.uint8, 255), (np.uint16, 65535)):
        path = save(tmp_path / "a.tif", ramp().astype(kind), photometric="miniswhite", compression=compression)
        np.testing.assert_array_equal(image(path)[..., 0], top - ramp().astype(int))
        path = save(tmp_path / "l.tif", classes().astype(kind), photometric="miniswhite", compression=compression)
        np.testing.assert_array_equal(label(path), classes())
    stream = io.BytesIO()
    Image.fromarray(classes() > 0).save(stream, "TIFF", compression="group4")
    (tmp_path / "bit.tif").write_bytes(stream.getvalue())
    stored = tifffile.imread(tmp_path / "bit.tif").astype(int)
    np.testing.assert_array_equal(label(tmp_path / "bit.tif"), stored)
    np.testing.assert_array_equal(image(tmp_path / "bit.tif")[..., 0] > 0, classes() > 0)


def test_white_that_is_zero_without_a_highest_value(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", ramp().astype(np.float32), photometric="miniswhite")
    with pytest.raises(DataError, match=r"a\.tif: zero is white in it, with values of type float32"):
        read_scan(path, "YX")


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_luma_and_chroma_become_red_green_and_blue(tmp_path: Path, compression: str | None) -> None:
    converted = Image.fromarray(colours()).convert("YCbCr")
    path = save(tmp_path / "a.tif", np.asarray(converted), photometric="ycbcr", subsampling=(1, 1), compression=compression)
    assert abs(image(path).astype(int) - np.asarray(converted.convert("RGB")).astype(int)).max() <= 1


def test_thinned_colours_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", colours(), photometric="ycbcr", subsampling=(1, 1))
    content = path.read_bytes()
    with tifffile.TiffFile(path) as stored:
        place = stored.pages[0].tags[530].valueoffset
    path.write_bytes(content[:place] + struct.pack("<2H", 2, 2) + content[place + 4 :])
    with pytest.raises(DataError, match=r"a\.tif: its colours are YCbCr, thinned out .*save it as RGB"):
        read_scan(path, "YX")


def test_transparency_is_not_multiplied(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    contract._SAID.clear()
    for compression in (None, "lzw", "packbits"):
        values = np.dstack([colours(), np.full(SIZE, 9, np.uint8)])
        path = save(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unassalpha"], compression=compression)
        np.testing.assert_array_equal(image(path), colours())
    assert not caplog.records
    values = np.dstack([colours(), ramp()])
    for name in ("b.tif", "c.tif"):
        np.testing.assert_array_equal(
            image(save(tmp_path / name, values, photometric="rgb", extrasamples=["assocalpha"])), colours()
        )
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'b.tif'}: its transparency is not used (this is said for the first such file only)"
    ]


def test_a_mask_in_transparency_is_refused(tmp_path: Path) -> None:
    values = np.dstack([np.zeros((*SIZE, 3), np.uint8), (classes() > 0) * np.uint8(255)])
    Image.fromarray(values).save(tmp_path / "a.png")
    for path in (tmp_path / "a.png", save(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unassalpha"])):
        with pytest.raises(
            DataError, match=r"a\.\w+: a label needs one plane .* found one colour and what differs in transp"
        ):
            read_scan_label(path, "YX")


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_channels_of_a_picture_in_pages_of_their_own(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).integers(0, 999, (3, *SIZE)).astype(np.uint16)
    path, given = tmp_path / f"a.{kind}.tif", {"photometric": "minisblack", "imagej": kind == "imagej", "ome": kind == "ome"}
    tifffile.imwrite(path, values, metadata={"axes": "CYX"}, **given)
    scan = read_scan(path, "YX")
    assert scan.modalities
    np.testing.assert_array_equal(scan.values, np.moveaxis(values, 0, -1))
    for axes, pages in (("ZYX", 3), ("CYX", 5)):
        tifffile.imwrite(path, np.zeros((pages, *SIZE), np.uint16), metadata={"axes": axes}, **given)
        with pytest.raises(DataError, match=rf"a\.{kind}\.tif: {pages} pages, expected one"):
            read_scan(path, "YX")


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_channels_of_a_stack_are_kept(tmp_path: Path, channels: int, kind: str) -> None:
    values = np.random.default_rng(0).integers(0, 999, (5, channels, *SIZE)).astype(np.uint16)
    path = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    tifffile.imwrite(path, values, photometric="minisblack", metadata={"axes": "ZCYX"}, imagej=kind == "imagej")
    scan = read_scan(path, "ZYX")
    assert scan.modalities
    np.testing.assert_array_equal(scan.values, np.moveaxis(values, 1, -1))
    with pytest.raises(DataError, match="a label needs one plane"):
        read_scan_label(path, "ZYX")


def test_more_channels_than_are_handled(tmp_path: Path) -> None:
    values = np.zeros((2, 6, *SIZE), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", values, photometric="minisblack", metadata={"axes": "ZCYX"})
    with pytest.raises(DataError, match=r"a\.ome\.tif: 6 planes of MINISBLACK, expected 1, or up to 4 channels"):
        read_scan(tmp_path / "a.ome.tif", "ZYX")


def test_planes_that_are_promised_and_not_there(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(0, 999, (12, *SIZE)).astype(np.uint16)
    whole = tmp_path / "whole.ome.tif"
    tifffile.imwrite(whole, volume, photometric="minisblack", metadata={"axes": "ZYX"})
    np.testing.assert_array_equal(image(whole, "ZYX")[..., 0], volume)
    with tifffile.TiffFile(whole) as stored:
        description = stored.pages[0].description
    save(tmp_path / "short.ome.tif", volume[:8], photometric="minisblack", description=description)
    save(tmp_path / "shape.tif", volume[:8], photometric="minisblack", description='{"shape": [12, 40, 56]}')
    save(tmp_path / "ij.tif", volume[0], description="ImageJ=1.53t\nimages=12\nslices=12\n")
    for name in ("short.ome.tif", "shape.tif", "ij.tif"):
        with pytest.raises(DataError, match=rf"{name}: .*promises"):
            read_scan(tmp_path / name, "ZYX")
    save(tmp_path / "set.ome.tif", volume[:4], photometric="minisblack", description=description.replace("set", "x"))
    with pytest.raises(DataError, match=r"set\.ome\.tif: .*promises 12 planes and holds 4: planes are missing, or in other"):
        read_scan(tmp_path / "set.ome.tif", "ZYX")


OME = """<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1">{}</OME>"""
OF_OME = """<Image ID="Image:{0}"><Pixels ID="Pixels:{0}" DimensionOrder="XYZCT" Type="uint8"
 SizeX="56" SizeY="40" SizeC="1" SizeT="1" SizeZ="{1}">{2}</Pixels></Image>"""
PART = """<TiffData IFD="0" FirstZ="{0}" PlaneCount="1"><UUID FileName="z{1}.ome.tif">urn:uuid:{1}</UUID></TiffData>"""


@pytest.mark.parametrize(
    ("told", "part"),
    [
        (OF_OME.format(0, 2, PART.format(0, 1) + PART.format(1, 2)), "one of 2 files"),
        ('<BinaryOnly MetadataFile="a.ome.tif" UUID="urn:uuid:2"/>', "one of several files"),
        (OF_OME.format(0, 1, PART.format(0, 1)) + OF_OME.format(1, 1, PART.format(0, 2)), ""),  # two images, a file each
        (OF_OME.format(0, 1, '<TiffData IFD="0"/>'), ""),
    ],
)
def test_a_file_of_several(tmp_path: Path, told: str, part: str) -> None:
    plane = np.random.default_rng(0).integers(0, 256, SIZE).astype(np.uint8)
    save(tmp_path / "a.ome.tif", plane, photometric="minisblack", description=OME.format(told))
    if part:
        for axes in ("YX", "ZYX"):
            with pytest.raises(DataError, match=rf"a\.ome\.tif: {part} that hold an image together"):
                read_scan(tmp_path / "a.ome.tif", axes)
    else:
        np.testing.assert_array_equal(image(tmp_path / "a.ome.tif", "YX")[..., 0], plane)


def test_one_header_for_all_images_of_imagej(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(0, 999, (12, *SIZE)).astype("<u2")
    save(tmp_path / "a.tif", volume[0], description="ImageJ=1.53t\nimages=12\nslices=12\n")
    content = (tmp_path / "a.tif").read_bytes() + volume[1:].tobytes()
    (tmp_path / "a.tif").write_bytes(content)
    np.testing.assert_array_equal(image(tmp_path / "a.tif", "ZYX")[..., 0], volume)
    with pytest.raises(DataError, match=r"a\.tif: axes ZYX of size 12×40×56, expected one plane"):
        read_scan(tmp_path / "a.tif", "YX")
    (tmp_path / "a.tif").write_bytes(content[:-1000])
    with pytest.raises(DataError, match="promises"):
        read_scan(tmp_path / "a.tif", "ZYX")


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_orientation_tag_turns_image_and_label(tmp_path: Path, turn: int) -> None:
    for name, values, photometric in (("a.tif", colours(), "rgb"), ("l.tif", classes(), "minisblack")):
        save(tmp_path / name, values, photometric=photometric, extratags=[(274, 3, 1, turn, True)], compression="lzw")
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.tif")))
    np.testing.assert_array_equal(image(tmp_path / "a.tif"), expected)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "l.tif")))
    np.testing.assert_array_equal(label(tmp_path / "l.tif"), expected)


def test_bits_in_use(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", ramp().astype(np.uint16) * 3, extratags=[(341, 3, 1, 4095, True)])
    assert read_scan(path, "YX").bits == 12
    assert read_scan(save(tmp_path / "b.tif", ramp().astype(np.uint16)), "YX").bits is None


def test_a_reduced_copy_in_the_file_is_passed_over(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(colours(), photometric="rgb", metadata=None)
        writer.write(colours()[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
    np.testing.assert_array_equal(image(tmp_path / "a.tif"), colours())


@pytest.mark.parametrize("compression", ["jpegxr"])
def test_compressions_that_are_not_read_are_named(tmp_path: Path, compression: str) -> None:
    path = save(tmp_path / "a.tif", ramp(), compression=compression)
    for axes in ("YX", "ZYX"):
        with pytest.raises(DataError, match=r"a\.tif: it is compressed as JPEGXR, which is not read; save it with deflate"):
            read_scan(path, axes)


@pytest.mark.parametrize("compression", ["lzw", "packbits", "zlib", "zstd"])
def test_strips_that_hold_too_little(tmp_path: Path, compression: str) -> None:
    path = save(tmp_path / "a.tif", ramp(), compression=compression, rowsperstrip=40)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as stored:
        counts = stored.pages[0].tags[279]
        length = stored.pages[0].databytecounts[0]
    struct.pack_into({3: "<H", 4: "<I"}[int(counts.dtype)], content, counts.valueoffset, int(length * 0.6))
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: not a readable image"):
        read_scan(path, "YX")


def test_headers_that_claim_too_much(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", ramp())
    with tifffile.TiffFile(path) as stored:
        places = {code: stored.pages[0].tags[code].valueoffset for code in (257, 339) if code in stored.pages[0].tags}
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, places[257], 2**31 - 1)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: .*(promises|strips)"):
        read_scan(path, "YX")
    path = save(tmp_path / "b.tif", ramp().astype(np.complex64))
    with pytest.raises(DataError, match=r"b\.tif: samples of the format COMPLEXIEEEFP with 64 bits; expected whole"):
        read_scan(path, "YX")


def test_pages_with_palettes_of_their_own(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for shade in (1000, 60000):
            table = np.full((3, 256), shade, np.uint16)
            writer.write(classes(), photometric="palette", colormap=table, metadata=None)
    with pytest.raises(DataError, match=r"a\.tif: page 1 has another palette than the first; save it as RGB"):
        read_scan(tmp_path / "a.tif", "ZYX")
    np.testing.assert_array_equal(label(tmp_path / "a.tif", "ZYX"), np.stack([classes()] * 2))


def test_a_strip_of_jpeg_that_lacks_pixels(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (160, 192, 3), np.uint8)
    path = save(tmp_path / "a.tif", values, compression="jpeg", rowsperstrip=160, photometric="rgb")
    assert image(path).shape == values.shape
    with tifffile.TiffFile(path) as stored:
        (start,), (length,) = stored.pages[0].dataoffsets, stored.pages[0].databytecounts
    content, half = path.read_bytes(), length // 2
    strip = content[start : start + half] + b"\xff\xd9" + bytes(length - half - 2)
    path.write_bytes(content[:start] + strip + content[start + length :])
    with pytest.raises(DataError, match=r"a\.tif: not a readable image .*premature end"):
        read_scan(path, "YX")


@pytest.mark.parametrize(("start", "slope", "kind"), [(-32768.0, 1.0, 0), (0.0, 0.5, 0), (-32768.0, 1.0, 21)])
def test_values_that_imagej_calibrates(tmp_path: Path, start: float, slope: float, kind: int) -> None:
    """Of signed values it stores what is above the lowest, and says so; other functions than a line are not obeyed."""
    values = (np.arange(48).reshape(6, 8) % 2 + 32768).astype(np.uint16)
    told = f"ImageJ=1.53t\nunit=\ncf={kind}\nc0={start}\nc1={slope}\nvunit=gray\n"
    tifffile.imwrite(tmp_path / "a.tif", values, description=told, metadata=None)
    wanted = values * slope + start if kind == 0 else values
    np.testing.assert_array_equal(read_scan(tmp_path / "a.tif", "YX").values[..., 0], wanted)
    if slope == 1:
        np.testing.assert_array_equal(read_scan_label(tmp_path / "a.tif", "YX")[0], wanted)


@pytest.mark.parametrize("reduced", [False, True])
def test_masks_of_what_is_transparent(tmp_path: Path, reduced: bool, caplog: pytest.LogCaptureFixture) -> None:
    """GDAL adds them as pages; where they are of a reduced copy, this is passed over with it."""
    path, values = tmp_path / "a.tif", np.arange(600, dtype=np.uint8).reshape(20, 30)
    with tifffile.TiffWriter(path) as writer:
        writer.write(values, metadata=None)
        writer.write(values > 9, photometric="minisblack", subfiletype=1, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as stored:
        stored.pages[1].tags["NewSubfileType"].overwrite(4 + reduced)
        stored.pages[1].tags["PhotometricInterpretation"].overwrite(4)
    contract._SAID.clear()
    np.testing.assert_array_equal(read_scan_label(path, "YX")[0], values)
    assert not caplog.text
    np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], values)
    assert ("a.tif: its transparency is not used" in caplog.text) == (not reduced)
