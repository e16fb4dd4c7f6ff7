import base64
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image
from video_files import SIZE, moving, save_video, video

from ldseg.data.cases import Case, find_cases, load_case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.io.contract import Refused
from ldseg.io.pictures import read_label, write_image, write_mask
from ldseg.io.scans import find_scans, read_scan, read_scan_label, write_scan_mask
from ldseg.io.videos import _check_said

STEP = Preprocessing(size=(4, 32, 48), axes="TYX", classes=("background", "chamber"))


def save_frames(folder: Path, frames: np.ndarray, suffix: str = ".png", ending: str = "") -> Path:
    """Frames 1, 2, 5, 10, ...: names with gaps, whose order is not that of the alphabet."""
    for index, frame in enumerate(frames):
        path = folder / f"{name_of(index)}{ending}{suffix}"
        write_image(path, frame) if frame.ndim == 3 else write_mask(path, frame)
    return folder


def name_of(index: int) -> str:
    return f"f{index * index + 1}"


def as_case(image: Path, label: Path | None = None) -> Case:
    return Case(name="a", image=image, label=label, group="a")


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mov", ".gif"])
def test_videos(tmp_path: Path, suffix: str) -> None:
    path = save_video(tmp_path / f"a.1{suffix}", video())
    scan = read_scan(path, "TYX")
    assert scan.geometry is None
    assert scan.values.shape == (*SIZE, 3)
    assert scan.values.dtype == np.uint8
    error = abs(scan.values.astype(int) - video())
    assert error.mean() < (0.1 if suffix == ".avi" else 6)
    assert np.median(scan.values[:, 8:20, :, 0][moving()[:, 8:20] == 1]) == pytest.approx(200, abs=8)
    written = write_scan_mask(tmp_path / "out", "a.1", moving(), like=path)
    assert written.name == "a.1_segmentation.tif"
    assert len(tifffile.TiffFile(written).pages) == len(video())
    np.testing.assert_array_equal(read_scan_label(written, "TYX")[0], moving())
    assert read_scan(path, "TYX").values.shape[-1] == 3


def test_gray_videos_stay_rgb(tmp_path: Path) -> None:
    gray = np.repeat(video()[..., :1], 3, axis=-1)
    values = read_scan(save_video(tmp_path / "g.avi", gray), "TYX").values
    assert values.shape == (*SIZE, 3)
    masks = np.repeat(moving()[..., np.newaxis] * 255, 3, axis=-1).astype(np.uint8)
    np.testing.assert_array_equal(read_scan_label(save_video(tmp_path / "l.gif", masks), "TYX")[0], moving() * 255)


@pytest.mark.parametrize("ending", ["", "_label"])
def test_frames_pair_by_name(tmp_path: Path, ending: str) -> None:
    image = save_frames(tmp_path / "Image" / "seq.1", video(), ".jpg")
    (image / "notes.txt").write_text("x")
    (image / "._f1.jpg").write_bytes(b"x")
    label = save_frames(tmp_path / "Label" / "seq.1", moving() * 255, ending=ending)
    case = load_case(as_case(image, label), STEP)
    assert case.image.shape == (*SIZE, 3)
    assert case.spacing is None
    assert case.label is not None
    np.testing.assert_array_equal(case.label, moving())
    assert abs(case.image[..., 0] - video()[..., 0] / 255).mean() < 0.1
    missing = label / f"{name_of(2)}{ending}.png"
    content = missing.read_bytes()
    missing.unlink()
    with pytest.raises(DataError, match=r"seq\.1: no label for the frame .*Image.*f5\.jpg, expected f5_label or f5"):
        load_case(as_case(image, label), STEP)
    missing.write_bytes(content)
    (label / "f99.png").write_bytes(content)
    with pytest.raises(DataError, match=r"f99\.png: label of a frame that .*seq\.1 does not have"):
        load_case(as_case(image, label), STEP)


def test_masks_of_frames_have_their_names(tmp_path: Path) -> None:
    image = save_frames(tmp_path / "seq", video(), ".bmp")
    for mask in (moving(), moving() * 300):
        written = write_scan_mask(tmp_path / "out", "seq", mask, like=image)
        assert written == tmp_path / "out" / "seq_segmentation"
        assert [entry.name for entry in written.parent.iterdir()] == ["seq_segmentation"]
        assert {entry.name for entry in written.iterdir()} == {f"{name_of(index)}.png" for index in range(len(mask))}
        np.testing.assert_array_equal(read_label(written / f"{name_of(3)}.png"), mask[3])
        assert Image.open(written / "f1.png").mode == ("L" if mask.max() < 256 else "I;16")
        np.testing.assert_array_equal(read_scan_label(written, "TYX", like=image)[0], mask)
    with pytest.raises(DataError, match="expected a mask of 6 frames, got 5"):
        write_scan_mask(tmp_path / "out", "seq", moving()[1:], like=image)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="seq_segmentation.*cannot be written"):
        write_scan_mask(tmp_path / "file", "seq", moving(), like=image)


@pytest.mark.parametrize("image", ["a.avi", "a.gif", "a.tif", "a"])
@pytest.mark.parametrize("label", ["a.tif", "a.nii.gz", "a_label"])
def test_a_label_may_be_of_another_kind(tmp_path: Path, image: str, label: str) -> None:
    for name, frames in ((f"Image/{image}", video()), (f"Label/{label}", moving().astype(np.uint8))):
        path = tmp_path / name
        path.parent.mkdir()
        if path.suffix == ".tif":
            tifffile.imwrite(path, frames, photometric="rgb" if frames.ndim == 4 else "minisblack", metadata=None)
        elif path.suffix == ".gz":
            sitk.WriteImage(sitk.GetImageFromArray(frames), str(path))
        elif path.suffix:
            save_video(path, frames)
        else:
            save_frames(path, frames)
    (case,) = find_cases(tmp_path, axes="TYX", training=True).cases
    assert case.name == "a"
    loaded = load_case(case, STEP)
    assert loaded.image.shape == (*SIZE, 3)
    assert loaded.label is not None
    np.testing.assert_array_equal(loaded.label, moving())


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("size", [SIZE, (6, 1, 32, 48), (1, 6, 32, 48)])
def test_time_is_an_axis_of_a_file(tmp_path: Path, suffix: str, size: tuple[int, ...]) -> None:
    """Also oblique, where the file has a place for time beside the three axes of space."""
    frames = video()[..., 0]
    image = sitk.GetImageFromArray(frames.reshape(size), isVector=False)
    rank = len(size)
    direction = np.eye(rank)
    direction[:3, :3] = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    image.SetSpacing((0.7, 0.45, 2.5, 0.04)[:rank])
    image.SetOrigin((-31.7, 12.1, 9.9, 0.5)[:rank])
    image.SetDirection(direction.ravel().tolist())
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, str(path))
    scan = read_scan(path, "TYX")
    np.testing.assert_array_equal(scan.values[..., 0], frames)
    assert scan.geometry is not None
    time = 0.04 if size[:2] == (6, 1) else 2.5
    assert scan.geometry.array_spacing == pytest.approx((time, 0.45, 0.7), rel=1e-6)
    written = write_scan_mask(tmp_path, "a", moving(), like=path, geometry=scan.geometry)
    label, geometry = read_scan_label(written, "TYX")
    assert geometry == scan.geometry  # bit by bit
    np.testing.assert_array_equal(label, moving())
    assert load_case(as_case(path, written), STEP).spacing == scan.geometry.array_spacing


def test_dicom_videos(tmp_path: Path) -> None:
    """One file of many frames, and a file for each frame, in the order of their numbers."""
    frames = video()[..., 0]
    volume = sitk.GetImageFromArray(frames)
    sitk.WriteImage(volume, str(tmp_path / "us.dcm"))
    np.testing.assert_array_equal(read_scan(tmp_path / "us.dcm", "TYX").values[..., 0], frames)
    folder = tmp_path / "cine"
    folder.mkdir()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for t in range(len(frames)):
        plane = volume[:, :, t]
        tags = {"0008|0018": f"1.9.{t}", "0020|000d": "1.2", "0020|000e": "1.3", "0020|0013": str(t + 1)}
        for key, value in {**tags, "0020|0032": "1\\2\\3", "0020|0037": "1\\0\\0\\0\\1\\0", "0008|0060": "MR"}.items():
            plane.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{(t * 5) % len(frames)}.dcm"))
        writer.Execute(plane)
    scan = read_scan(folder, "TYX")
    np.testing.assert_array_equal(scan.values[..., 0], frames)
    with pytest.raises(DataError, match=r"cine: expected DICOM slices side by side, found them 0 mm apart"):
        read_scan(folder, "ZYX")
    for path in (folder, tmp_path / "us.dcm"):
        scan = read_scan(path, "TYX")
        written = write_scan_mask(tmp_path, path.stem, moving(), like=path, geometry=scan.geometry)
        assert written.name == f"{path.stem}_segmentation.nii.gz"
        assert load_case(as_case(path, written), STEP).label is not None


def test_several_slices_and_times(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((4, 3, 5, 6), np.uint8), isVector=False)
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    with pytest.raises(DataError, match=r"a\.nii\.gz: expected a video of one plane: .*found 4 axes .* 6×5×3×4"):
        read_scan(tmp_path / "a.nii.gz", "TYX")


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mov", ".gif"])
def test_damaged_videos(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = save_video(tmp_path / f"a{suffix}", video())
    content = path.read_bytes()
    for share in (0.0, 0.01, 0.3, 0.7, 0.95, 0.999):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DataError, match=rf"a\{suffix}: (not a readable video|expected a video)"):
            read_scan(path, "TYX")
    path.write_bytes(b"something else" * 99)
    with pytest.raises(DataError, match=rf"a\{suffix}: not a readable video"):
        read_scan(path, "TYX")
    with pytest.raises(DataError, match=rf"b\{suffix}: cannot be read: No such file"):
        read_scan(tmp_path / f"b{suffix}", "TYX")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_videos_without_frames(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = save_video(tmp_path / f"a{suffix}", np.zeros((0, 32, 48, 3), np.uint8))
    with pytest.raises(DataError, match=rf"a\{suffix}: "):
        read_scan(path, "TYX")
    assert capfd.readouterr() == ("", "")


def test_damaged_stacks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tif"
    for compression in (None, "zlib"):
        tifffile.imwrite(path, video()[..., 0], photometric="minisblack", metadata=None, compression=compression)
        content = path.read_bytes()
        for share in (0.0, 0.001, 0.3, 0.7, 0.97):
            path.write_bytes(content[: int(len(content) * share)])
            with pytest.raises(DataError, match=r"a\.tif: not a readable TIFF stack"):
                read_scan(path, "TYX")
    with tifffile.TiffWriter(path) as writer:
        writer.write(video()[0], photometric="rgb")
        writer.write(video()[0, 1:], photometric="rgb")
    with pytest.raises(DataError, match=r"a\.tif: .*2 series of pages, expected one"):
        read_scan(path, "TYX")
    assert capfd.readouterr() == ("", "")


def test_frames_that_differ(tmp_path: Path) -> None:
    folder = save_frames(tmp_path / "a", video())
    write_image(folder / "f5.png", video()[2, 1:])
    with pytest.raises(DataError, match=r"f5\.png: expected a frame of 32×48×3 uint8 as in f1\.png, found 31×48×3"):
        read_scan(folder, "TYX")
    write_image(folder / "f5.bmp", video()[2])
    with pytest.raises(DataError, match=r"f5\.png: two frames of one name, the other is f5\.bmp"):
        read_scan(folder, "TYX")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: expected frames, or images of type"):
        read_scan(tmp_path / "empty", "TYX")
    label = save_frames(tmp_path / "label", moving()[1:] * 255)
    with pytest.raises(DataError, match=r"label: label of size 5×32×48, expected 6×32×48"):
        load_case(as_case(save_video(tmp_path / "a.avi", video()), label), STEP)


def test_what_counts_as_a_video(tmp_path: Path) -> None:
    for name in ("b.avi", "a.MP4", "c.nii.gz", "d.tif", "e.gif", "f.txt", "g.png", ".h.avi", "__MACOSX/x.png", "i/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in find_scans(tmp_path, "TYX")] == ["a.MP4", "b.avi", "c.nii.gz", "d.tif", "e.gif", "i"]
    assert [path.name for path in find_scans(tmp_path, "ZYX")] == ["c.nii.gz", "d.tif", "i"]
    assert [path.name for path in find_scans(tmp_path, "YX")] == ["c.nii.gz", "d.tif", "e.gif", "g.png"]
    assert find_scans(tmp_path / "nowhere", "TYX") == []


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_what_stands_between_and_behind_the_parts_of_a_video(tmp_path: Path, suffix: str) -> None:
    """Bytes behind the last part, and parts that only some programs know."""
    path = save_video(tmp_path / f"a{suffix}", video())
    content, frames = path.read_bytes(), read_scan(path, "TYX").values
    # The index lies at the end: a part before it, behind the frames, moves nothing that the index points at.
    index = content.index(b"moov") - 4
    assert content.index(b"mdat") < index
    other = b"\0\0\0\x10PICTxxxxxxxx"
    for changed in (content + b"GRRR" + bytes(40), content[:index] + other + content[index:]):
        path.write_bytes(changed)
        np.testing.assert_array_equal(read_scan(path, "TYX").values, frames)


# Three frames of 32 x 32 pixels in MPEG-4 with two fields each, as ffmpeg writes them; OpenCV cannot write such.
INTERLACED = (
    b"c-muNV30{GsVvAW&d+6FU}6B#Kx~v-U}DI?z^t8{pI^qnz>t$$mXX4M0+?SgFfi&cFfxD;0x+VgLgza$-~~)TR8>-xm<?pdlw^bLWX3cNXfFePd$"
    b"8K80L2UpDyb<Y#XwpnHK(`)p#y3zSTEzJ+?32jkdE9GbiZo=F%LuN5imzLBPFK@CR3J~l8US{49L&-NX$#gNd>84oSU1Omj+~rl;wgAMRul23Pes"
    b"Or6@HG$s0VSML7yk2gVkcB;^3vH;YS(Q;^i01V&gHj-UW}T7kg>NPECkaQP&bB`f3>q^6r-j|hqX|AC}`YH><2II<fW8ti}uvjAxW1wpV7FEC846"
    b"j*^GazGO|fLyn=Qy5}BqXNT`-VTOPMiv$sXEvY`Mqtb`2oxk17eE~d!Xil}MUc>k8V0hsxC9(CFpmIZp9RDg0eTo&9E4?nV##P?%ureZC|8A?T!F"
    b"&hfV3zOD?`jn&PV8F4hPb<r70z#7&pyL1=Ap)h#b4X6j78|P>_QhQXH9(B*c+clnRV`CbQg>L?EAWGlKv-klH42VA`Poe)*q)X}XcmZaxnB<o`-?"
    b"?)1j9(_Ers5-MV5KV7<NR(_X-<+qyqZl6ByQQ&p{^50M3NcAt)sg3Jhf6fbC`&;Ghp7-44-SO|<D}Gp`%B;v<A)(HH#N^dyZo~b*6$EZ~q{cU{ew"
    b"~xFzT^I<nJ#<fUxl99$1(4`R+nJ$(K5FGw=zB_9JBM9547nf(5C3W|E-oUuKLCBQTc6}c2@r7%KTSi>whfR-lTS8+vmB@SAA!?dSpS0!h2?xhl)$"
    b"?>4(J4oO$2)<y7(Xkk5ra8@6Ac{rc46lqC%D9a%G``kB7j$d_{9!FAq!M(1xGXnkMg_(twg=<;ah`1v8r7Bh>l;`P1Z1Wcc1lFPqs5jezGS9Iy`F"
    b"RqYtf9Hqx{{HEE?$f6^TuA{&0_BZOg%-}tC-ctEIwXD6`fB67M?!^{7AkJ7<F`8)F7QgAri1ZVOQEJ}h{B8M^IkDBEsjjpa&=wx+j*DGv3mCVLJf"
    b"CzI$t%}FLJW-(7BXt<*ULU3MV{*1{TLk`<_Z|`#qoIbpOVEwzc0~X`Qd)$luwbsM<NZOLCiwut1|>K(ZhEC9Pi{_f8f4<|4yat|gSPqE2=Cwi69&"
    b"Jg&@j-F0W#^ne8+6_cMmk<H2v`p?fOHtlETkNMtKTzy#=CA0oW+k&Dy@PX%jpmz<5kF&MsCtUb&5hNIN04&JrJo#qX+<O=EJ}%zQ>2&b+-v{9xO!"
    b"~6*0CqfeZU"
)


def test_interlaced_frames(tmp_path: Path) -> None:
    """OpenCV 5 gives what was in memory, and tells of it where nobody looks."""
    path = tmp_path / "a.mp4"
    path.write_bytes(zlib.decompress(base64.b85decode(INTERLACED)))
    with pytest.raises(DataError, match=r"a\.mp4: its frames are interlaced, which is not read; make them whole first"):
        read_scan(path, "TYX")


@pytest.mark.parametrize(("across", "up", "mirrored"), [(1, 1, False), (-1, -1, False), (-1, 1, True), (1, -1, True)])
def test_frames_that_players_mirror(tmp_path: Path, across: int, up: int, mirrored: bool) -> None:
    """OpenCV turns frames as the file says, and does not mirror them."""
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    frames[:, :32] = 200
    path = save_video(tmp_path / "a.mp4", frames)
    content = bytearray(path.read_bytes())
    struct.pack_into(">9i", content, content.index(b"tkhd") + 44, across << 16, 0, 0, 0, up << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    if mirrored:
        with pytest.raises(DataError, match=r"a\.mp4: its frames are to be mirrored"):
            read_scan(path, "TYX")
    else:
        assert (read_scan(path, "TYX").values[:, :30].mean() > 150) == (up > 0)


def test_what_a_decoder_does_not_know() -> None:
    with pytest.raises(Refused, match=r"it is coded in AV1, which is not read; code it anew \(ffmpeg"):
        _check_said(["[OPENCV:FFMPEG:16] Your platform doesn't support hardware accelerated AV1 decoding."], 1)


def test_what_a_decoder_says_of_frames() -> None:
    """What it fills in counts, though it is no error; what it tells of other things does not."""
    for line in ("[OPENCV:FFMPEG:24] deprecated pixel format used", "[OPENCV:FFMPEG:16] mmco: unref short failure"):
        _check_said([line, "not by FFmpeg"], 7)
    for level, told in ((32, "concealing 9 DC, 9 AC, 9 MV errors in P frame"), (16, "Invalid level prefix")):
        with pytest.raises(ValueError, match=f"near frame 7 its decoder says: {told}"):
            _check_said(["[OPENCV:FFMPEG:32] some news", f"[OPENCV:FFMPEG:{level}] {told}"], 7)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_a_video_with_a_hole(tmp_path: Path, share: float) -> None:
    """Decoders show what was before, or gray, and go on."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3)).astype(np.uint8)
    path = save_video(tmp_path / "a.mp4", noise)
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + int(share * (content.index(b"moov") - content.index(b"mdat")))
    content[start : start + 200] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mp4: not a readable video .*(its decoder says: \w+|frames can be read)"):
        read_scan(path, "TYX")


def test_what_is_damaged_is_refused_every_time(tmp_path: Path) -> None:
    """Decoders of several threads tell of it at times alone."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3)).astype(np.uint8)
    path = save_video(tmp_path / "a.mp4", noise)
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
    start = int(0.31 * len(content))
    content[start : start + 28] = rng.bytes(28)
    path.write_bytes(content)
    found = set()
    for _ in range(25):
        with pytest.raises(DataError, match=r"a\.mp4: not a readable video .*its decoder says: ") as caught:
            read_scan(path, "TYX")
        found.add(str(caught.value))
    assert len(found) == 1


def test_a_label_in_a_coding_without_loss(tmp_path: Path) -> None:
    """Programs write its letters in capitals or in small."""
    path, label = tmp_path / "a.avi", np.random.default_rng(0).integers(0, 3, (4, 48, 64)).astype(np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 25, (64, 48))
    for frame in label:
        writer.write(np.repeat(frame[..., np.newaxis], 3, axis=-1))
    writer.release()
    content = path.read_bytes()
    for letters in (b"FFV1", b"ffv1"):
        path.write_bytes(content.replace(b"FFV1", letters).replace(b"ffv1", letters))
        np.testing.assert_array_equal(read_scan_label(path, "TYX")[0], label)


def test_what_is_damaged_within_frames_of_vp9(tmp_path: Path) -> None:
    """The decoder that FFmpeg takes by itself notices none of these; the other one gives the same frames."""
    path, size = tmp_path / "a.mp4", (64, 48)
    noise = np.random.default_rng(0).integers(0, 256, (8, *size[::-1], 3)).astype(np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"vp09"), 25, size)
    if not writer.isOpened():
        pytest.skip("OpenCV without VP9")
    for frame in noise:
        writer.write(frame)
    writer.release()
    usual = cv2.VideoCapture(str(path))
    frames = [usual.read()[1][..., ::-1] for _ in noise]
    np.testing.assert_array_equal(read_scan(path, "TYX").values, frames)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    start = content.index(b"mdat") + 200
    for place in rng.integers(start, start + 8000, 12).tolist():
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.mp4: not a readable video .*its decoder says: "):
            read_scan(path, "TYX")


def avi_part(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def avi_with_sound(frames: list[bytes], sound: list[bytes]) -> bytes:
    """Frames in JPEG, and a stream that says that it is MP3, by hand: OpenCV writes no sound."""
    height, width = SIZE[1:]
    main = struct.pack("<14I", 40000, 0, 0, 0, len(frames), 0, 2, 0, width, height, 0, 0, 0, 0)
    picture = struct.pack(
        "<4s4sIHHIIIIIIIIHHHH", b"vids", b"MJPG", *[0] * 4, 1, 25, 0, len(frames), *[0] * 3, 0, 0, width, height
    )
    bitmap = struct.pack("<IiiHH4s5I", 40, width, height, 1, 24, b"MJPG", 3 * width * height, 0, 0, 0, 0)
    heard = struct.pack("<4sIIHHIIIIIIII4H", b"auds", *[0] * 5, 1, 16000, 0, len(sound) * 400, 0, 0, 0, 0, 0, 0, 0)
    mp3 = struct.pack("<HHIIHHHHIHHH", 0x55, 2, 44100, 16000, 1, 0, 12, 1, 2, 417, 1, 1393)
    lists = avi_part(b"LIST", b"strl" + avi_part(b"strh", picture) + avi_part(b"strf", bitmap))
    lists += avi_part(b"LIST", b"strl" + avi_part(b"strh", heard) + avi_part(b"strf", mp3))
    held = b"".join(avi_part(b"00dc", frame) + avi_part(b"01wb", tone) for frame, tone in zip(frames, sound, strict=True))
    body = avi_part(b"LIST", b"hdrl" + avi_part(b"avih", main) + lists) + avi_part(b"LIST", b"movi" + held)
    return avi_part(b"RIFF", b"AVI " + body)


def test_sound_that_cannot_be_decoded(tmp_path: Path) -> None:
    """It is no matter here, and what is wrong with the pictures beside it is."""
    path = tmp_path / "a.avi"
    coded = [bytes(cv2.imencode(".jpg", frame[..., ::-1])[1]) for frame in video()]
    sound = [np.random.default_rng(index).bytes(400) for index in range(len(coded))]
    path.write_bytes(avi_with_sound(coded, sound))
    values = read_scan(path, "TYX").values
    assert values.shape == (*SIZE, 3)
    assert abs(values.astype(int) - video()).mean() < 6
    for broken in (0, 3):
        damaged = [part[: len(part) // 2] if index == broken else part for index, part in enumerate(coded)]
        path.write_bytes(avi_with_sound(damaged, sound))
        with pytest.raises(DataError, match=r"a\.avi: not a readable video .*(its decoder says: \w+|frames can be read)"):
            read_scan(path, "TYX")


@pytest.mark.parametrize("broken", [0, 3])
def test_frames_in_jpeg_that_lack_pixels(tmp_path: Path, broken: int) -> None:
    """FFmpeg tells of no such hole; and nothing lacks where cameras leave out the end mark, or put a byte before it."""
    path = tmp_path / "a.avi"
    coded = [bytes(cv2.imencode(".jpg", frame[..., ::-1])[1]) for frame in video()]
    path.write_bytes(avi_with_sound(coded, [b"x"] * len(coded)))
    frames = read_scan(path, "TYX").values
    other = [part[:-2] + (b"", b"\0\xff\xd9")[index % 2] for index, part in enumerate(coded)]
    path.write_bytes(avi_with_sound(other, [b"x"] * len(coded)))
    np.testing.assert_array_equal(read_scan(path, "TYX").values, frames)
    part = coded[broken]
    coded[broken] = part[:-120] + part[-80:]
    path.write_bytes(avi_with_sound(coded, [b"x"] * len(coded)))
    with pytest.raises(DataError, match=rf"a\.avi: not a readable video .*: frame {broken + 1}: "):
        read_scan(path, "TYX")


def test_frames_that_only_last_longer(tmp_path: Path) -> None:
    """AVI has a steady rate: a frame that lasts is followed by empty ones."""
    path = save_video(tmp_path / "a.avi", video())
    frames = read_scan(path, "TYX").values
    content = bytearray(path.read_bytes())
    movi, index = content.index(b"movi"), content.rindex(b"idx1")
    count, entry = struct.unpack_from("<I", content, index + 4)[0] // 16, content[index + 8 : index + 24]
    more = b"00dc" + bytes(4)
    for place in (content.index(b"avih") + 24, content.index(b"strh") + 40):
        struct.pack_into("<I", content, place, count + 3)
    struct.pack_into("<I", content, index + 4, 16 * (count + 3))
    for part, offset in enumerate(range(index - movi, index - movi + 24, 8)):
        content[index + 8 + 16 * (count + part) : index + 8 + 16 * (count + part)] = entry[:4] + struct.pack(
            "<3I", 0, offset, 0
        )
    content[index:index] = 3 * more
    struct.pack_into("<I", content, movi - 4, struct.unpack_from("<I", content, movi - 4)[0] + 24)
    struct.pack_into("<I", content, 4, len(content) - 8)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_scan(path, "TYX").values, frames)
