import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ldseg.base.text import json_text
from ldseg.base.writing import LOCK, held_folder, write_text
from ldseg.errors import DataError
from ldseg.outputs import EARLIER, FOLDERS, METRICS, Outputs

ROOT = Path(__file__).parents[1]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_files_of_a_case(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path)
    own = {
        tmp_path / "scan.7_segmentation.nii.gz", tmp_path / "scan.7_entropy.tif", outputs.overlay("scan.7"),
        outputs.diffusion("scan.7", ".gif"), outputs.uncertainty("scan.7"),
    }  # fmt: skip
    touch(*own, tmp_path / "scan.77_segmentation.nii.gz", tmp_path / "scan_segmentation.png", outputs.overlay("scan.77"))
    assert set(outputs.of_cases(["scan.7", "video"])["scan.7"]) == own
    (tmp_path / "video_segmentation").mkdir()
    assert outputs.of_cases(["video"])["video"] == [tmp_path / "video_segmentation"]


NOW = ("a", "b_segmentation.x")


def test_cases_of_an_earlier_run_are_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Those that its record names and the newer run does not have, with their pictures. Nothing else, nothing is lost."""
    outputs = Outputs(tmp_path)
    assert outputs.set_aside(NOW) == []  # nothing is there
    old = [
        tmp_path / "b_segmentation.png", tmp_path / "b_entropy.tif", tmp_path / "b_objects.csv", outputs.overlay("b"),
        outputs.diffusion("b", ".gif"), outputs.uncertainty("b"),
    ]  # fmt: skip
    stay = [
        tmp_path / "a_segmentation.png", outputs.overlay("a"), tmp_path / "b_notes.txt", tmp_path / "mine_segmentation.png",
        tmp_path / "b_segmentation.x_segmentation.png", outputs.overlay("mine"), tmp_path / "schedule.png",
    ]  # fmt: skip
    touch(*old, *stay)
    assert outputs.set_aside(NOW) == []  # no record says whose they are
    assert not caplog.messages
    (tmp_path / "frames_segmentation").mkdir()
    outside = tmp_path.parent / f"{tmp_path.name}_overlay.png"
    touch(outside)
    names = ["a", "b", "frames", f"../../{tmp_path.name}", 7]  # the last two are not names of cases
    outputs.metrics.write_text(json.dumps({"cases": [{"name": name} for name in names]}))
    assert outputs.set_aside(NOW) == ["b", "frames"]
    assert all(path.exists() for path in (*stay, outside))
    assert not any(path.exists() for path in old)
    assert all((tmp_path / EARLIER / path.relative_to(tmp_path)).exists() for path in old)
    # Once more, with newer results of the same cases.
    (tmp_path / "frames_segmentation").mkdir()
    old[0].write_text("newer")
    touch(tmp_path / "frames_segmentation" / "0.png")
    assert outputs.set_aside(NOW) == ["b", "frames"]
    assert (tmp_path / EARLIER / old[0].name).read_text("utf-8") == "newer"
    assert (tmp_path / EARLIER / "frames_segmentation" / "0.png").exists()


@pytest.mark.parametrize("record", ["{", "[]", '{"cases": 3}', '{"cases": [{}]}', "7"])
def test_a_record_that_cannot_be_read_sets_nothing_aside(
    tmp_path: Path, record: str, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path / "b_segmentation.png")
    Outputs(tmp_path).metrics.write_text(record)
    assert Outputs(tmp_path).set_aside(["a"]) == []
    (line,) = caplog.messages
    assert line.startswith(f"{Outputs(tmp_path).metrics}: cannot be read: ")
    assert (tmp_path / "b_segmentation.png").exists()


def test_the_work_of_others_is_not_overwritten(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "Segmentation")
    outputs.check(["a"])  # is not there
    touch(tmp_path / "Segmentation" / "notes.txt")
    outputs.check(["a"])
    mask = tmp_path / "Segmentation" / "a_segmentation.png"
    touch(mask)
    outputs.check(["b"])
    with pytest.raises(DataError, match=r"a_segmentation\.png: no run of LDSeg wrote it.*\[Output\] Folder"):
        outputs.check(["b", "a"])
    for mark, content in ((METRICS, '{\n  "format": 1,\n  "classes": ['), (LOCK, "77")):
        (tmp_path / "Segmentation" / mark).write_text(content)
        outputs.check(["a"])
        (tmp_path / "Segmentation" / mark).unlink()
    for content in ('{"accuracy": 0.9}', ""):  # other programs have files of this name
        (tmp_path / "Segmentation" / METRICS).write_text(content)
        with pytest.raises(DataError, match=r"metrics\.json: no run of LDSeg wrote it"):
            outputs.check(["c"])


def test_a_folder_that_is_read_is_not_written_to(tmp_path: Path) -> None:
    touch(tmp_path / "Label" / "a_label.png")
    with pytest.raises(DataError, match=r"Label: holds a_label\.png, which this run reads"):
        Outputs(tmp_path / "Image" / ".." / "Label").check(["a"], [tmp_path / "Label" / "a_label.png"])


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "Overlay").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="Overlay: is a link to another place"):
        Outputs(tmp_path / "out").check(["a"])


def test_folders_of_tests_are_known_by_name() -> None:
    assert Outputs(Path("out")).sweep.parent.name in FOLDERS


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    """The lock of a process that is killed is free again."""
    folder = tmp_path / "out"
    code = (
        "import sys, time; from pathlib import Path; from ldseg.base.writing import held_folder;\n"
        f"with held_folder(Path({str(folder)!r}), '--out'):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(DataError, match=rf"out: another run .* \(process {other.pid}\) .*, or name another in --out"),
            held_folder(folder, "--out"),
        ):
            pass
        other.kill()
        other.wait()
        with held_folder(folder, "--out"):
            pass
    with held_folder(folder, "--out"):
        pass


def test_what_a_killed_run_left_half_written_is_cleared(tmp_path: Path) -> None:
    left = [".a.png.0123abcd.tmp", ".0123abcd.tmp", "Overlay/.b.png.0123abcd.tmp"]
    kept = ["a.tmp", ".a.tmp", ".a.png.0123abcd.tmp.txt", "Overlay/b.png", ".hidden.old"]
    for name in (*left, *kept):
        write_text(tmp_path / name, "x")
    (tmp_path / ".seq_segmentation.0123abcd.tmp").mkdir()
    (tmp_path / ".seq_segmentation.0123abcd.tmp" / "f1.png").write_text("x")
    with held_folder(tmp_path, "--out"):
        pass
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {*kept, LOCK}
    assert not (tmp_path / ".seq_segmentation.0123abcd.tmp").exists()


def test_names_that_are_not_utf8_are_written(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    write_text(tmp_path / "a.json", json_text({"name": name}))
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"name": name}
