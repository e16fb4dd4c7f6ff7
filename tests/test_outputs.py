import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ldseg.errors import DataError
from ldseg.outputs import FOLDERS, METRICS, Outputs
from ldseg.text import json_text
from ldseg.writing import LOCK, held_folder, write_text

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
    for mark in (METRICS, LOCK):
        touch(tmp_path / "Segmentation" / mark)
        outputs.check(["a"])
        (tmp_path / "Segmentation" / mark).unlink()


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
        "import sys, time; from pathlib import Path; from ldseg.writing import held_folder;\n"
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
