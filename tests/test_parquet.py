"""A recording in a Parquet file: the same as in CSV and JSON, and read by the same commands."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from arro3.core import Array, DataType, Table
from arro3.io import read_parquet, write_parquet
from compared_runs import about, recorded, rows_of
from hypothesis import given, settings
from test_loadoptions import parsed
from test_one_judge import recordings

from loadtests.__main__ import main as command
from loadtests.errors import UsageError
from loadtests.generator.loadoptions import load_from
from loadtests.judging.judge import judge
from loadtests.judging.terminal import verdict_text
from loadtests.records import parquet
from loadtests.records.recording import Recording, read_recording, write_recording

pytestmark = pytest.mark.live  # a file is first read by another process, which may end of it


@given(recordings())
@settings(max_examples=40, deadline=None)
def test_both_kinds_of_files_hold_the_same(
    tmp_path_factory: pytest.TempPathFactory, known: Recording
) -> None:
    """Every row and all else; written from one another they stay the same, and so does the verdict."""
    folder = tmp_path_factory.mktemp("rows")
    write_recording(folder / "a.csv", known)
    write_recording(folder / "a.parquet", known)
    csv, columns = read_recording(folder / "a.csv"), read_recording(folder / "a.parquet")
    assert csv == columns
    write_recording(folder / "b.parquet", csv)
    write_recording(folder / "b.csv", columns)
    assert read_recording(folder / "b.parquet") == read_recording(folder / "b.csv") == csv
    assert verdict_text(judge(csv)) == verdict_text(judge(columns))


def test_it_is_one_file_with_typed_columns(tmp_path: Path) -> None:
    """Any tool reads it: whole numbers, seconds, texts."""
    path = recorded(tmp_path / "a.parquet", rows_of(about(200), 1))
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]
    schema = read_parquet(path).schema
    kinds = {name: str(schema.field(name).type) for name in schema.names}
    assert set(kinds) == set(parquet.TYPES)
    assert "Int64" in kinds["user"] and "Float64" in kinds["done_s"] and "Utf8" in kinds["group"]


def test_report_and_compare_read_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also beside a file of the other kind, and in a folder of repeats."""
    for side in "ab":
        for number, ending in enumerate(("csv", "parquet")):
            recorded(tmp_path / side / f"{number}.{ending}", rows_of(about(200), (side, number)))
    one, other = tmp_path / "a" / "1.parquet", tmp_path / "b" / "0.csv"
    assert command(["report", str(one)]) == 0 and (tmp_path / "a" / "1-report.html").exists()
    assert command(["compare", str(one), str(other)]) == 0
    capsys.readouterr()
    assert command(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) in (0, 4)
    assert "between repeats, 2 and 2" in capsys.readouterr().out


def foreign(path: Path) -> None:
    """A Parquet file of something else."""
    table = read_parquet(path).read_all().rename_columns([f"c{n}" for n in range(8)])
    write_parquet(table, path)


def damaged(path: Path) -> None:
    """Parts of its description overwritten."""
    content = bytearray(path.read_bytes())
    content[-600:-300:7] = b"\xff" * len(content[-600:-300:7])
    path.write_bytes(content)


def damaged_rows(path: Path) -> None:
    """The same of its rows."""
    content = bytearray(path.read_bytes())
    content[40:200] = bytes(160)
    path.write_bytes(content)


def other_types(path: Path) -> None:
    """Its columns, with texts for numbers."""
    texts = Array(["x"], DataType.utf8())
    write_parquet(Table.from_pydict(dict.fromkeys(parquet.TYPES, texts)), path)


def without_the_rest(path: Path) -> None:
    """Its rows alone, as another tool may have written them again."""
    table = read_parquet(path).read_all()
    write_parquet(table.with_schema(table.schema.remove_metadata()), path)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda path: path.write_bytes(b"PAR1"), "is not a Parquet file of requests"),
        (lambda path: path.write_bytes(b""), "is not a Parquet file of requests"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is not a Parquet file of requests"),
        (damaged, "is not a Parquet file of requests"),
        (damaged_rows, "is not a Parquet file of requests"),
        (other_types, "is not a Parquet file of requests"),
        (foreign, "is not a Parquet file of requests"),
        (without_the_rest, "is not a recording"),
    ],
)
def test_what_can_not_be_used_gets_a_plain_answer(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], break_it: Callable[[Path], object], said: str
) -> None:
    """Status 2, and one line with the file's name: none of the package's own."""
    path = recorded(tmp_path / "a.parquet", rows_of(about(200), 1))
    break_it(path)
    for arguments in (["report", str(path)], ["compare", str(path), str(path)]):
        assert command(arguments) == 2
        err = capfd.readouterr().err
        assert said in err and str(path) in err and len(err.splitlines()) == 1


def test_without_the_package_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CSV is not touched by that."""
    path = recorded(tmp_path / "a.parquet", rows_of(about(200), 1))
    plain = recorded(tmp_path / "a.csv", rows_of(about(200), 1))
    for name in [name for name in sys.modules if name.partition(".")[0] == "arro3"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if "site-packages" not in each])
    assert not parquet.installed()
    with pytest.raises(UsageError, match=r"--rows x.parquet: .* pip install arro3-io"):
        load_from(parsed("--rows", "x.parquet"))
    assert command(["report", str(path)]) == 2
    assert "python -m pip install arro3-io. Or use CSV" in capsys.readouterr().err
    assert read_recording(plain).rows
