"""What a run leaves for the next one."""

import json
import logging
from pathlib import Path

import pytest

from ldseg.errors import DataError
from ldseg.evaluation.journal import Journal

SETTINGS = {"Sampler.Seed": 0, "weights": "ab", "Data.LabelMap": ()}


def test_records_come_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "x.jsonl"
    journal = Journal(path, SETTINGS)
    journal.append({"case": "Drüse", "dice": (0.5, float("nan"))})
    journal.append({"case": "b", "dice": ()})
    again = Journal(path, SETTINGS)
    assert again.records == journal.records == [{"case": "Drüse", "dice": [0.5, None]}, {"case": "b", "dice": []}]
    again.append({"case": "c"})
    assert [record["case"] for record in Journal(path, SETTINGS).records] == ["Drüse", "b", "c"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("end", [b'{"case": "b", "di', b'{"case": "b"}', b"\0\0\n", b"17\n"])
def test_a_line_that_was_cut_short_is_forgotten(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "x.jsonl"
    Journal(path, SETTINGS).append({"case": "a"})
    path.write_bytes(path.read_bytes() + end)
    journal = Journal(path, SETTINGS)
    assert journal.records == [{"case": "a"}]
    journal.append({"case": "c"})
    assert Journal(path, SETTINGS).records == [{"case": "a"}, {"case": "c"}]
    assert all(json.loads(line) for line in path.read_text("utf-8").splitlines())


@pytest.mark.parametrize("name", ["Sampler.Seed", "weights"])
def test_other_settings_are_not_mixed(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x.jsonl"
    Journal(path, SETTINGS).append({"case": "a"})
    before = path.read_bytes()
    with caplog.at_level(logging.WARNING):
        assert Journal(path, {**SETTINGS, name: 1}).records == []
    assert f"other settings ({name})" in caplog.text
    assert (tmp_path / "x.old.jsonl").read_bytes() == before
    assert Journal(path, {**SETTINGS, name: 1}).records == []


def test_back_and_forth_between_two_settings_nothing_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, other = tmp_path / "x.jsonl", {**SETTINGS, "weights": "cd"}
    Journal(path, SETTINGS).append({"case": "a"})
    Journal(path, other).append({"case": "b"})
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert Journal(path, SETTINGS).records == [{"case": "a"}]
    assert "begun anew" not in caplog.text
    assert "gone on with x.old.jsonl" in caplog.text
    assert Journal(path, other).records == [{"case": "b"}]
    assert Journal(path, {**SETTINGS, "weights": "ef"}).records == []


@pytest.mark.parametrize("content", ["notes of mine", '{"settings": ["of", "others"]}\n', '{"settings": null}\n'])
def test_a_file_that_is_no_journal_makes_way(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    assert Journal(path, SETTINGS).records == []
    assert (tmp_path / "x.old.jsonl").read_text("utf-8") == content


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.mkdir()
    with pytest.raises(DataError, match=r"x\.jsonl: cannot be read"):
        Journal(path, SETTINGS)
    path.rmdir()
    journal = Journal(path, SETTINGS)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match=r"x\.jsonl: cannot be written"):
        journal.append({"case": "a"})
