import io
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from tqdm import tqdm

from ldseg.cli import main
from ldseg.cli.console import Above, OneLine, Steady, steady_output
from ldseg.phantoms import write_phantoms

ROOT = Path(__file__).parents[2]


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_what_cannot_be_shown_is_written_as_its_code() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="")
    steady = Steady(stream)
    assert steady.write("Dice –\té\x1b[2J\x9b\r\n") == 15
    steady.flush()
    assert stream.buffer.getvalue() == b"Dice \\u2013\t\\xe9\\x1b[2J\\x9b\r\n"  # type: ignore[attr-defined]


def test_what_turns_a_text_is_written_as_its_code() -> None:
    stream = io.StringIO()
    Steady(stream).write("a\u202egnp.exe\u2066\u2028b")
    assert stream.getvalue() == "a\\u202egnp.exe\\u2066\\u2028b"


def test_names_with_ends_of_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They cannot make lines of their own: in the table, among the problems, in the log, in the error."""
    write_phantoms(tmp_path / "S", 2, (24, 30), seed=1)
    folder = tmp_path / "S" / "Image"
    (folder / "Phantom1.png").rename(folder / "a\nerror: b\tc.png")
    (folder / "Phantom2.png").rename(folder / "d\nproblem: e.png")
    (folder / "d\nproblem: e.png").write_bytes(b"x")
    settings = (f"Data.Root={tmp_path}", "Data.Dataset=S", f"Model.Weights={ROOT / 'weights' / 'DDTI'}", "GPU.Engine=onnx")
    settings += ("Sampler.Sampling_Steps=1", "Output.Diffusion=0", "Output.Overlay=False", "Output.Report=False")
    (tmp_path / "c.ini").write_text("")
    for given in (settings, (*settings, "Data.Cases=d*")):
        main(["--config", str(tmp_path / "c.ini"), *(word for one in given for word in ("--set", one))])
        printed = capsys.readouterr()
        lines = (printed.out + printed.err).splitlines()
        assert not [line for line in lines if line.startswith(("error: b", "problem: e"))]
        assert any(r"d\nproblem: e" in line for line in lines)


def test_a_closed_stream_is_no_error() -> None:
    steady = Steady(Closed())
    steady.write("a")
    steady.write("b")
    steady.flush()
    assert steady.lost


@pytest.mark.parametrize("ending", ["| head -c 1", "> /dev/full", "2>&1 | true"])
def test_a_reader_that_goes_away_does_not_end_a_run(ending: str, tmp_path: Path) -> None:
    code = "from ldseg.cli import main; status = main(['weights']); open('status', 'w').write(str(status))"
    shell = f'PYTHONIOENCODING=ascii "{sys.executable}" -c "{code}" {ending}'
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    run = subprocess.run(
        ["sh", "-c", shell], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert (tmp_path / "status").read_text("utf-8") == "0", run.stderr
    assert "Traceback" not in run.stderr
    assert "Exception ignored" not in run.stderr


def test_a_program_that_is_started_without_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with steady_output():
        print("nobody reads this")
        print("nor this", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == (None, None)


def logged(name: str, text: str) -> str:
    return OneLine("%(message)s").format(logging.LogRecord(name, logging.WARNING, "", 0, "%s", (text,), None))


def test_what_is_logged_is_one_line() -> None:
    assert logged("ldseg", "a\nb\n") == "a\\nb"
    told = warnings.formatwarning("odd header", UserWarning, __file__, 1)
    assert told.count("\n") == 2  # it ends in its line of code
    assert logged("py.warnings", told) == f"{__file__}:1: UserWarning: odd header"


def test_what_is_logged_stands_above_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "a line", (), None)
    with tqdm(total=4, desc="work") as bar:
        bar.refresh()
        Above(sys.stderr).emit(record)
    shown = capsys.readouterr().err
    assert "\ra line\n" in shown  # the bar made way
    assert "work:   0%" in shown.rpartition("a line\n")[2]  # and came back
