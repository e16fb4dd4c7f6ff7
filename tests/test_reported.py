"""Inputs in the manner of public bug reports: which test covers which, and the tests of those that have no other place.

`REPORTED` names the test of each kind of report; a name that leads to no test is an error.
"""

import json
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ldseg import devices
from ldseg.base.text import csv_text
from ldseg.cli import main
from ldseg.data.cases import Case, LoadedCase, find_cases, load_case
from ldseg.description import read_description
from ldseg.errors import ConfigError, DataError
from ldseg.inference import segment_cases
from ldseg.inference.opening import open_weights
from ldseg.io.formats import writer_of
from ldseg.io.geometry import Geometry
from ldseg.io.scans import read_scan, write_scan_map, write_scan_mask
from ldseg.phantoms import write_phantoms
from ldseg.viz import CaseView, volume_picture

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "weights" / "DDTI"

REPORTED = {
    "a mask is cut short where the temporary folder is full": "base/test_writing.py::test_a_disk_that_is_full_at_any_call",
    "no temporary folder": "test_reported.py::test_nothing_is_written_by_way_of_the_temporary_folder",
    "own files in the output folder": "test_outputs.py::test_the_work_of_others_is_not_overwritten",
    "a folder of DICOM with a picture": "io/test_dicom.py::test_a_picture_among_slices",
    "names that are not UTF-8": "layouts/test_left_out.py::test_names_that_are_not_utf8",
    "names with dollars": "test_reported.py::test_names_that_mean_something_to_libraries",
    "a TIFF in Zstandard": "io/test_tiff.py::test_every_compression_gives_what_is_stored",
    "planes that OME-TIFF promises": "io/test_tiff.py::test_planes_that_are_promised_and_not_there",
    "one file of several of OME-TIFF": "io/test_tiff.py::test_a_file_of_several",
    "segments of DICOM": "io/test_dicom_segments.py::test_every_segment_has_its_number",
    "colours of DICOM in JPEG 2000": "io/test_dicom_pixels.py::test_colours_are_turned_once",
    "values that ImageJ calibrates": "io/test_tiff.py::test_values_that_imagej_calibrates",
    "four values of a voxel": "io/test_formats.py::test_values_of_a_voxel_are_kept",
    "no data in GeoTIFF": "io/test_tiff_coding.py::test_what_was_not_measured_would_cost_the_range",
    "no data that does no harm": "io/test_tiff_coding.py::test_what_was_not_measured_and_does_no_harm_is_said",
    "the lowest number of a type": "data/test_intensity.py::test_the_ends_of_a_type_are_no_intensities",
    "an inverse PresentationLUTShape": "io/test_dicom_pixels.py::test_gray_that_is_shown_the_other_way_round",
    "bits beyond BitsStored": "io/test_dicom_pixels.py::test_bits_that_the_header_does_not_tell_of",
    "channels in pages of their own": "io/test_tiff.py::test_channels_of_a_picture_in_pages_of_their_own",
    "a frame of too many bits": "io/test_dicom_pixels.py::test_values_that_the_type_of_the_header_does_not_hold",
    "DICOM that ends within coded pixels": "io/test_dicom_pixels.py::test_a_file_that_ends_within_its_coded_pixels",
    "addresses of files in tables": "data/test_listed.py::test_addresses_of_files_of_this_machine",
    "labels in AVIF without loss": "io/test_lossless.py::test_a_label_in_avif",
    "labels in TIFF with loss": "io/test_lossless.py::test_a_label_in_tiff",
    "labels that a slope scales": "io/test_nifti.py::test_a_label_that_is_scaled",
    "directions that are none": "io/test_units.py::test_directions_and_spacings_that_are_none",
    "labels in JPEG": "io/test_codecs.py::test_black_and_white_that_jpeg_has_changed",
    "tables of spreadsheets": "data/test_listed.py::test_tables_of_spreadsheets",
    "labels with a palette": "io/test_tiff.py::test_a_palette_label_gives_its_indices",
    "white that is zero": "io/test_tiff.py::test_white_that_is_zero",
    "JPEG 2000 in TIFF": "io/test_tiff.py::test_every_compression_gives_what_is_stored",
    "test inside another word": "layouts/test_left_out.py::test_words_inside_words_say_nothing",
    "gantry tilt": "io/test_dicom.py::test_series_that_do_not_fit",
    "frames of enhanced DICOM": "io/test_dicom.py::test_frames_are_put_in_the_order_of_their_places",
    "DICOM that lacks pixels": "io/test_dicom.py::test_pixels_that_are_not_there",
    "a console of another encoding": "cli/test_console.py::test_what_cannot_be_shown_is_written_as_its_code",
    "output that is closed": "cli/test_console.py::test_a_reader_that_goes_away_does_not_end_a_run",
    "files left out": "layouts/test_left_out.py::test_what_is_not_used_is_named_once",
    "masks beside their images": "layouts/test_left_out.py::test_masks_beside_their_images",
    "12 bits in 16": "data/test_intensity.py::test_bits_in_use_of_sixteen",
    "a hint that cannot be followed": "data/test_intensity.py::test_the_remedy_can_be_followed",
    "NIfTI that is valid": "io/test_nifti.py::test_a_slight_shear",
    "pictures of many pixels": "io/test_codecs.py::test_many_pixels_are_no_reason",
    "keras.json of another project": "test_reported.py::test_settings_of_keras_of_another_project",
    "weights that are locked": "test_weights.py::test_weights_that_cannot_be_opened_say_why",
    "an old mask of a skipped case": "cli/test_cli.py::test_no_mask_of_an_earlier_run_stays_for_a_case_that_is_left_out",
    "# in cfg.ini": "config/test_config.py::test_a_number_sign_may_stand_in_a_value",
    "a video that was trimmed": "test_reported.py::test_a_video_that_was_trimmed",
    "bytes behind a video": "io/test_videos.py::test_what_stands_between_and_behind_the_parts_of_a_video",
    "the second channel of a stack": "io/test_tiff.py::test_channels_of_a_stack_are_kept",
    "reasons that say nothing": "io/test_formats.py::test_headers_of_metaimage",
    "a localizer among slices": "io/test_dicom.py::test_series_that_do_not_fit",
    "voxels in a subfolder": "io/test_formats.py::test_voxels_in_a_subfolder",
    "a JPEG of 12 bits": "io/test_codecs.py::test_a_jpeg_of_twelve_bits",
    "NIfTI-2": "io/test_nifti.py::test_the_second_version",
    "NIfTI in gzip by another name": "io/test_nifti.py::test_packed_under_the_name_of_one_that_is_not",
    "an empty sform": "io/test_nifti.py::test_an_empty_sform_that_claims_to_be_one",
    "bytes behind a GIF": "io/test_gifs.py::test_what_is_behind_a_gif",
    "NIfTI headers that hang": "io/test_nifti.py::test_headers_that_no_reader_survives",
    "colours in four axes": "io/test_nifti.py::test_colours_in_four_axes",
    "sizes that are none": "io/test_formats.py::test_sizes_that_are_none",
    "a header that claims too much": "io/test_tiff.py::test_headers_that_claim_too_much",
    "names in two Unicode forms": "layouts/test_left_out.py::test_names_in_two_unicode_forms",
    "labels of 2 and 4 bits": "io/test_codecs.py::test_a_label_of_few_bits",
    "a disk that is full while weights are saved": "test_weights.py::test_a_disk_that_is_full_leaves_the_old_weights_whole",
    "two trainings in one folder": "base/test_writing.py::test_what_a_killed_run_left_is_cleared_by_the_next",
    "an image that is too large for memory": "test_reported.py::test_an_image_that_is_too_large_for_memory",
    "EXIF orientation": "io/test_codecs.py::test_the_orientation_of_exif_turns_image_and_label",
    "damaged files of every format": "test_campaign.py::test_damaged_files_are_read_or_refused_in_a_line",
    "a decoder that crashes": "io/test_apart.py::test_a_process_that_is_lost_costs_one_file",
    "differences that some programs undo": "io/test_tiff_coding.py::test_differences_that_some_programs_do_not_undo",
    "strips of another depth": "io/test_tiff_coding.py::test_strips_of_other_planes_or_another_depth",
    "16 bits and a transparent colour": "io/test_png.py::test_every_depth",
    "rows that lack": "io/test_png.py::test_rows_that_lack",
    "interlaced frames": "io/test_videos.py::test_interlaced_frames",
    "a video with a hole": "io/test_videos.py::test_a_video_with_a_hole",
    "frames that only last longer": "io/test_videos.py::test_frames_that_only_last_longer",
    "an sform beside another pixdim": "io/test_nifti.py::test_lengths_that_disagree",
    "frames of dose": "io/test_dicom.py::test_frames_of_one_place",
    "slices of another patient, or moved sideways": "io/test_dicom.py::test_slices_that_do_not_belong_together",
    "12 bits that DICOM calls 16": "io/test_dicom.py::test_bits_that_all_are_in_use",
    "masks that end otherwise": "layouts/test_left_out.py::test_other_words_for_a_mask",
    "a file of another name": "io/test_formats.py::test_a_file_of_another_name",
    "weights that give no numbers": "test_reported.py::test_weights_that_give_no_numbers",
    "weights that lie": "test_campaign.py::test_hostile_weights_are_used_or_refused_in_a_line",
}


@pytest.mark.parametrize("report", REPORTED)
def test_every_report_has_a_test(report: str) -> None:
    path, _, name = REPORTED[report].partition("::")
    assert f"def {name}(" in (ROOT / "tests" / path).read_text("utf-8")


NAMES = ("a$_$b", r"$\frac{$", "=1+1", "%s{0}", "\x1b[31mred", "<b>&amp;", "caf\udce9")


def test_names_that_mean_something_to_libraries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To TeX, spreadsheets, formats, terminals and HTML; and one in Latin-1, as old archives have it."""
    write_phantoms(tmp_path / "Set", len(NAMES), (24, 30), seed=1)
    for index, name in enumerate(NAMES, 1):
        for folder, end in (("Image", ""), ("Label", "_label")):
            path = tmp_path / "Set" / folder / f"Phantom{index}{end}.png"
            path.rename(path.with_name(f"{name}{end}.png"))
    settings = (f"Data.Root={tmp_path}", "Data.Dataset=Set", f"Model.Weights={WEIGHTS}", "Sampler.Sampling_Steps=1")
    settings += ("Output.Diffusion=2", f"Output.Folder={tmp_path / 'out'}", "GPU.Engine=onnx")
    assert main(["--config", str(ROOT / "cfg.ini"), *(word for one in settings for word in ("--set", one))]) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    rows = (tmp_path / "out" / "metrics.csv").read_text("utf-8").splitlines()
    assert any(row.startswith("'=1+1,") for row in rows)
    assert "<b>&amp;<" not in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert len(json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))["cases"]) == len(NAMES)
    volume = CaseView(image=np.zeros((4, 8, 8, 1), np.float32), mask=np.ones((4, 8, 8), int), title=NAMES[1])
    assert volume_picture(volume).size


def test_nothing_is_written_by_way_of_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be full, or not there: what libraries write by way of it they cut short without a word."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    for suffix in (".png", ".nii.gz", ".nii", ".nrrd", ".mha", ".tif"):
        axes = "YX" if suffix == ".png" else "ZYX"
        mask = np.random.default_rng(0).integers(0, 3, (9, 40, 50)[3 - len(axes) :]).astype(np.uint8)
        geometry = None if axes == "YX" else Geometry.upright(mask.shape, (2.0, 1.0, 1.0))
        target, like = writer_of(suffix, axes == "YX"), tmp_path / f"a{suffix}"
        assert target is not None and target.write is not None
        target.write(like, mask, geometry, None)
        written = write_scan_mask(tmp_path / "out", "a", mask, like=like, geometry=geometry)
        drawn = write_scan_map(tmp_path / "out", "a", "entropy", mask.astype(np.float32), like=like, geometry=geometry)
        for path in (like, written, drawn):
            np.testing.assert_array_equal(read_scan(path, axes).values[..., 0], mask)


def test_a_text_is_no_formula() -> None:
    rows = [["=1+1", "-0.5", "+nan", "@x", "a=b", "", -1.5, "-x", "\tx"]]
    assert csv_text(rows) == "'=1+1,-0.5,+nan,'@x,a=b,,-1.5,'-x,'\tx\n"


def test_settings_of_keras_of_another_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for content in ('{"backend": "theano"}', "[1]", "{", "[" * 100_000):
        (tmp_path / "keras.json").write_text(content)
        assert devices._backend() in devices.BACKENDS
    monkeypatch.setenv("KERAS_BACKEND", "foo")
    with pytest.raises(ConfigError, match="KERAS_BACKEND: expected one of"):
        devices._backend()
    keras.config.set_image_data_format("channels_first")
    devices.set_precision("float32")
    assert keras.config.image_data_format() == "channels_last"


def test_a_video_that_was_trimmed(tmp_path: Path) -> None:
    """A list of edits plays from the fifth frame on, as ffmpeg writes it without coding anew."""
    path = tmp_path / "a.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (32, 24))
    for level in range(12):
        writer.write(np.full((24, 32, 3), 20 * level, np.uint8))
    writer.release()
    content = bytearray(path.read_bytes())
    moov, trak, tkhd = (content.index(kind) - 4 for kind in (b"moov", b"trak", b"tkhd"))
    place = tkhd + struct.unpack_from(">I", content, tkhd)[0]
    assert content.index(b"mdat") < moov  # nothing that the index points at is moved
    scale = struct.unpack_from(">I", content, content.index(b"mvhd") + 16)[0]
    media = struct.unpack_from(">I", content, content.index(b"mdhd") + 16)[0]
    if b"edts" in content:  # the list that is there plays all of it
        old = content.index(b"edts") - 4
        size = struct.unpack_from(">I", content, old)[0]
        del content[old : old + size]
        for box in (moov, trak):
            struct.pack_into(">I", content, box, struct.unpack_from(">I", content, box)[0] - size)
    entry = struct.pack(">4sII", b"elst", 0, 1) + struct.pack(">IiHH", 8 * scale // 10, 4 * media // 10, 1, 0)
    edits = struct.pack(">I", len(entry) + 12) + b"edts" + struct.pack(">I", len(entry) + 4) + entry
    content[place:place] = edits
    for box in (moov, trak):
        struct.pack_into(">I", content, box, struct.unpack_from(">I", content, box)[0] + len(edits))
    path.write_bytes(content)
    values = read_scan(path, "TYX").values
    assert len(values) == 8
    assert abs(int(values[0].mean()) - 80) < 8


@pytest.fixture
def cases(tmp_path: Path) -> Iterator[tuple[Case, ...]]:
    write_phantoms(tmp_path / "Set", 3, (24, 30), seed=1)
    yield find_cases(tmp_path / "Set").cases


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("Failed to allocate memory for requested buffer of size 9")])
def test_an_image_that_is_too_large_for_memory(
    error: Exception, cases: tuple[Case, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left out, and the masks of those in its batch are what they are alone."""
    preprocessing = read_description(WEIGHTS).preprocessing
    engine = open_weights(WEIGHTS, "onnx").engine(sampler="DDIM", steps=1, flips=False, samples=1, at_once=4)
    alone = {item.case.name: item.mask for item in segment_cases(engine, cases, preprocessing, batch_size=1, seed=0)}
    run = engine.run
    second: LoadedCase = load_case(cases[1], preprocessing)

    def short(given: dict[str, Any], **options: Any) -> Any:
        huge = any(np.isclose(image.mean(), second.image.mean(), atol=1e-3) for image in given["image"])
        if huge:
            raise error
        return run(given, **options)

    monkeypatch.setattr(engine, "run", short)
    found = list(segment_cases(engine, cases, preprocessing, batch_size=3, seed=0))
    assert [bool(item.problem) for item in found] == [False, True, False]
    assert found[1].problem == f"{cases[1].image}: not enough memory to segment it"
    for item in (found[0], found[2]):
        np.testing.assert_array_equal(item.mask, alone[item.case.name])


def test_weights_that_give_no_numbers(cases: tuple[Case, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask would be background, without a word."""
    preprocessing = read_description(WEIGHTS).preprocessing
    engine = open_weights(WEIGHTS, "onnx").engine(sampler="DDIM", steps=1, flips=False, samples=1, at_once=4)
    run, second = engine.run, load_case(cases[1], preprocessing)

    def damaged(given: dict[str, Any], **options: Any) -> Any:
        drawn = run(given, **options)
        if np.isclose(given["image"].mean(), second.image.mean(), atol=1e-3):
            drawn.probabilities.flat[7] = np.nan
        return drawn

    monkeypatch.setattr(engine, "run", damaged)
    found = list(segment_cases(engine, cases, preprocessing, batch_size=1, seed=0))
    assert [item.problem for item in found if item.problem] == [
        f"{cases[1].image}: the weights give what is no number (NaN) for it; are they damaged?"
    ]


def test_a_reader_that_is_short_of_memory(cases: tuple[Case, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("ldseg.data.cases.prepare", short)
    with pytest.raises(DataError, match=r"Phantom1\.png: not enough memory to read it$"):
        load_case(cases[0], read_description(WEIGHTS).preprocessing)
