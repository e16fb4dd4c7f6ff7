"""Tables of paths as data sets."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldseg.base.paths import named_path, path_of
from ldseg.base.remote import write_remote
from ldseg.data.cases import Case, load_case
from ldseg.data.inputs import cases_in, cases_of
from ldseg.data.preprocess import Preprocessing
from ldseg.data.remote import fetched
from ldseg.errors import DataError
from ldseg.io.slides.kinds import is_slide


def test_a_table_in_text(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text(
        "Image,other,label,name,group\n"
        'a/1.png,,a/1_label.png,,P1\n"/whole/2, x.png",,,,\ns3://bucket/3.png,9,s3://bucket/l/3.png,third,\nb/4.nii.gz\n',
        "utf-8-sig",
    )
    found = cases_in(table, "YX")
    assert found.problems == ()
    assert found.cases == (
        Case(name="1", image=tmp_path / "a/1.png", label=tmp_path / "a/1_label.png", group="P1"),
        Case(name="2, x", image=Path("/whole/2, x.png"), label=None, group="2, x"),
        Case(name="third", image=Path("s3:/bucket/3.png"), label=Path("s3:/bucket/l/3.png"), group="third"),
        Case(name="4", image=tmp_path / "b/4.nii.gz", label=None, group="4"),
    )
    assert [case.name for case in cases_in(table, "YX", ("t*", "4")).cases] == ["third", "4"]
    accented = tmp_path / "accented.csv"
    accented.write_text("image\n\u00e91.png\ne1.png\n", "utf-8")
    for pattern in ("\u00e9*", "e\u0301*"):  # as most keyboards give it, and as macOS does
        assert [case.name for case in cases_in(accented, "YX", (pattern,)).cases] == ["\u00e91"]
    tabs = tmp_path / "list.tsv"
    tabs.write_text("image\tname\n\na.png\tb\n", "utf-8")
    assert cases_in(tabs, "YX").cases == (Case(name="b", image=tmp_path / "a.png", label=None, group="b"),)


def test_what_is_wrong_is_said_by_row(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("image,name\na/1.png,\nb/1.png,\n,x\nb/2.png,../up\nc/1.png,one\n", "utf-8")
    found = cases_of([table], "YX")
    assert [case.name for case in found.cases] == ["1", "one"]
    assert found.problems == (
        f"{table}: row 2: left out, as {tmp_path}/a/1.png has the same name 1; the column name sets others",
        f"{table}: row 3: expected a path in the column image, found nothing",
        f"{table}: row 4: expected a name that a file can have, found '../up'",
    )
    for content, said in {
        b"picture,label\na.png,\n": "expected a table of paths with the column image, found the columns picture, label",
        b"": "found the columns none",
        b"image\n": "expected a row for each image, found none",
        b"image\n\xff.png\n": "not a table in UTF-8",
    }.items():
        table.write_bytes(content)
        with pytest.raises(DataError, match=said):
            cases_in(table, "YX")
    with pytest.raises(DataError, match="none.csv: cannot be read: No such file"):
        cases_in(tmp_path / "none.csv", "YX")


def test_a_home_that_nobody_has_is_said_by_row(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("image,label\n~no-such-user/1.png,\n2.png,~no-such-user/2.png\n3.png,\n", "utf-8")
    found = cases_in(table, "YX")
    assert [case.name for case in found.cases] == ["3"]
    wanted = "expected a user whose home folder is known, found"
    assert found.problems == (
        f"{table}: row 1: {wanted} ~no-such-user/1.png",
        f"{table}: row 2: {wanted} ~no-such-user/2.png",
    )


def test_tabs_quotes_and_ends_of_lines(tmp_path: Path) -> None:
    tabs = tmp_path / "list.TSV"
    tabs.write_text("image\tname\na, b.png\tb\n", "utf-8")
    assert cases_in(tabs, "YX").cases == (Case(name="b", image=tmp_path / "a, b.png", label=None, group="b"),)
    table = tmp_path / "list.csv"
    table.write_bytes('image,note\r\n"a\nb.png","two\r\nlines"\r\nc\u2028d.png,x\x0cy\re.png,\n'.encode())
    assert [case.image.name for case in cases_in(table, "YX").cases] == ["a\nb.png", "c\u2028d.png", "e.png"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "content",
    [
        *("image;name\na, b.png;b\n", "name\timage\nb\ta, b.png\n", "image|name\na, b.png|b\n"),
        *(f"{line}\r\nimage;name\r\na, b.png;b\r\n" for line in ("sep=;", '"sep=;"', "SEP=;\r\n")),
        *("sep=\t\nname\timage\nb\ta, b.png\n", "sep=|\nname|image|note, long\nb|a, b.png|\n"),
        *('image,name\n"a, b.png", "b"\n', 'name,image\rb, "a, b.png"\r'),
    ],
)  # fmt: skip
def test_tables_of_spreadsheets(tmp_path: Path, content: str, code: str, suffix: str) -> None:
    table = tmp_path / f"list{suffix}"
    table.write_bytes(content.encode(code))
    assert cases_in(table, "YX").cases == (Case(name="b", image=tmp_path / "a, b.png", label=None, group="b"),)


def test_utf_16_without_its_mark(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_bytes("image\na.png\n".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"list\.csv: not a table in UTF-8: it holds zero bytes, as text in UTF-16 does"):
        cases_in(table, "YX")


def test_what_does_not_fit_the_header(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = tmp_path / "list.csv"
    table.write_text("image,age,mask,patient\na.png,3,a_mask.png,P1\nb, c.png,4,x,y\nd.png,5,,,\n", "utf-8")
    found = cases_in(table, "YX")
    assert [case.name for case in found.cases] == ["a", "d"]
    assert found.problems == (
        f"{table}: row 2: left out, as it has more cells than the header: y;"
        " a cell that holds what parts cells needs quotes",
    )
    assert f"{table}: not used: mask, patient; read are image, label, name, group" in caplog.text


def test_paths_as_windows_writes_them(tmp_path: Path) -> None:
    (tmp_path / r"b\c.png").write_bytes(b"x")
    table = tmp_path / "list.csv"
    table.write_text("image,label,name\na\\1.png,l\\1.png,\nb\\c.png,,d\n", "utf-8")
    assert cases_in(table, "YX").cases == (
        Case(name="1", image=tmp_path / "a/1.png", label=tmp_path / "l/1.png", group="1"),
        Case(name="d", image=tmp_path / r"b\c.png", label=None, group="d"),
    )
    long = "b" * 5000
    table.write_text(f"image,name\ns3://bucket/b\\c.png,1\na\\{long},2\n", "utf-8")
    assert [case.image for case in cases_in(table, "YX").cases] == [Path(r"s3://bucket/b\c.png"), tmp_path / "a" / long]


def test_addresses_of_files_of_this_machine(tmp_path: Path) -> None:
    """As browsers and programs of annotation write them: a space is %20."""
    for name in ("a b.png", "c%20d.png", "c d.png"):
        (tmp_path / name).write_bytes(b"x")
    table, there = tmp_path / "list.csv", f"file://{tmp_path}"
    whole = f"{there}/a%20b.png", f"FILE://localhost{tmp_path}/a b.png"
    rows = *whole, "a%20b.png", "c%20d.png"
    table.write_text("image,name\n" + "".join(f"{row},{index}\n" for index, row in enumerate(rows)), "utf-8")
    found = [case.image for case in cases_in(table, "YX").cases]
    assert found == [tmp_path / "a b.png"] * 3 + [tmp_path / "c%20d.png"]
    assert path_of(f"{there}/list.csv") == table
    assert named_path("Data.Root", f"{there}/a%20b") == tmp_path / "a b"


@pytest.mark.parametrize("text", ["file://server/share/a.png", "file:///a%00b.png", "a%20b.png", "file:a.png"])
def test_what_is_no_address_of_a_file_of_this_machine(text: str) -> None:
    """It stays what it is, once and again: the path of another machine does not become one of this."""
    assert path_of(text) == Path(text) == path_of(str(path_of(text)))


def test_addresses_in_the_folder_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a b.png").write_bytes(b"x")
    table = tmp_path / "list.csv"
    table.write_text("image\n~/a%20b.png\n", "utf-8")
    assert [case.image for case in cases_in(table, "YX").cases] == [tmp_path / "a b.png"]


def test_a_file_of_another_machine(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("image\nfile://server/share/a.png\n", "utf-8")
    (case,) = cases_in(table, "YX").cases
    with pytest.raises(DataError, match="file://server/share/a.png: expected an address of a file of"), fetched(case):
        raise AssertionError


def test_a_column_is_there_once(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("image,name,IMAGE\na.png,,b.png\n", "utf-8")
    with pytest.raises(DataError, match="list.csv: expected one column image, found 2"):
        cases_in(table, "YX")
    table.write_text("image,,,note,note\na.png,,,1,2\n", "utf-8")
    assert [case.name for case in cases_in(table, "YX").cases] == ["a"]
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow: pip install 'ldseg[archive]'")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"image": ["a.png"], "IMAGE": ["b.png"]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="t.parquet: expected one column image, found 2"):
        cases_in(tmp_path / "t.parquet", "YX")


def test_a_table_of_parquet_in_an_object_store(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="object stores need fsspec: pip install 'ldseg[archive]'")
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow: pip install 'ldseg[archive]'")
    from pyarrow import parquet

    rows = pyarrow.table({"Image": ["a.png", "/b.png"], "label": [None, "b_label.png"], "name": [None, "7"]})
    parquet.write_table(rows, tmp_path / "t.parquet")
    place = Path("memory:/bucket/test-listed/t.parquet")
    write_remote(place, (tmp_path / "t.parquet").read_bytes())
    assert cases_in(place, "YX").cases == (
        Case(name="a", image=place.parent / "a.png", label=None, group="a"),
        Case(name="7", image=Path("/b.png"), label=place.parent / "b_label.png", group="7"),
    )
    write_remote(place, b"no table")
    with pytest.raises(DataError, match="memory://bucket/test-listed/t.parquet: not a table of Parquet"):
        cases_in(place, "YX")


def test_a_path_that_no_system_takes_costs_one_row(tmp_path: Path) -> None:
    """Python raises for it where it only asks whether a folder is there."""
    long = "n" * 300
    (tmp_path / "list.csv").write_text(f"image,label\na.png,\n{long}.png,\nb.png,{long}.png\n", "utf-8")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "a.png")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "b.png")
    first, *others = cases_in(tmp_path / "list.csv", "YX").cases
    step = Preprocessing(size=(8, 8))
    assert load_case(first, step).size == (8, 8)
    for case in others:
        with pytest.raises(DataError, match="cannot be read: File name too long"):
            load_case(case, step)
        assert not is_slide(case.image)
    found = cases_of([tmp_path / "a.png", tmp_path / f"{long}.png"], "YX")
    assert len(found.cases) == len(found.problems) == 1 and "File name too long" in found.problems[0]
