"""Readers write in copies of the notebooks, and lose nothing of it when a later version comes."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from notebooks_path import NOTEBOOKS

# isort: split
import copies

CHAPTER = "01_the_500_ms_rule.ipynb"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A reader's folder, with copies of everything."""
    assert copies.renew(tmp_path / "mine") == []
    return tmp_path / "mine"


def rewritten(path: Path, text: str) -> None:
    """Change a notebook's first cell, as its reader or its author does."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = text
    nbformat.write(notebook, path)


def first_cell(path: Path) -> str:
    return str(nbformat.read(path, as_version=4).cells[0].source)


def later(mine: Path, text: str) -> list[str]:
    """A later version of the chapter comes, with another first cell; returns what is said of it."""
    notebook = nbformat.read(NOTEBOOKS / CHAPTER, as_version=4)
    notebook.cells[0].source = text
    return list(copies.put(copies.copied(notebook), mine / CHAPTER))


def test_the_copies_hold_every_notebook_and_no_result(mine: Path) -> None:
    """Cells as in the originals. Solutions keep their figures: who opens one wants to see them."""
    originals = {path.relative_to(NOTEBOOKS) for path in NOTEBOOKS.glob("**/[0-9][0-9]_*.ipynb")}
    originals = {path for path in originals if path.parts[0] != copies.MINE.name}
    assert {path.relative_to(mine) for path in mine.glob("**/[0-9][0-9]_*.ipynb")} == originals
    for path in originals:
        made, original = (nbformat.read(folder / path, as_version=4) for folder in (mine, NOTEBOOKS))
        assert [cell.source for cell in made.cells] == [cell.source for cell in original.cells]
        for cell, kept in zip(made.cells, original.cells, strict=True):
            assert cell.get("outputs", []) == (kept.get("outputs", []) if len(path.parts) > 1 else [])


def test_their_links_lead_somewhere(mine: Path) -> None:
    """Inside the folder, from which Jupyter shows no file outside it."""
    for path in mine.glob("**/[0-9][0-9]_*.ipynb"):
        texts = [
            cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"
        ]
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)\)", "\n".join(texts)):
            found = (path.parent / target).resolve()
            assert found.exists(), target
            assert found.is_relative_to(mine), target


def test_git_ignores_them() -> None:
    """So a chapter that was run and answered is in nobody's way."""
    ignored = (NOTEBOOKS.parent / ".gitignore").read_text().splitlines()
    assert f"notebooks/{copies.MINE.name}/" in ignored
    assert "notebooks/solutions/predictions.json" in ignored


def test_nothing_happens_to_copies_that_are_up_to_date(mine: Path) -> None:
    """Whatever was written in them."""
    rewritten(mine / CHAPTER, "mine")
    assert copies.renew(mine) == []
    assert first_cell(mine / CHAPTER) == "mine"


def test_a_later_version_replaces_what_nobody_has_changed(mine: Path) -> None:
    """Having run it is no change; that it was replaced is said."""
    notebook = nbformat.read(mine / CHAPTER, as_version=4)
    notebook.cells[1].execution_count = 7
    nbformat.write(notebook, mine / CHAPTER)
    (said,) = later(mine, "new")
    assert said == f"{CHAPTER} was replaced by its new version: you had changed none of its cells."
    assert first_cell(mine / CHAPTER) == "new"


def test_a_later_version_is_put_beside_what_somebody_has_written(mine: Path) -> None:
    """Also beside a copy of that version, once it has been written in, or a file that is no notebook."""
    rewritten(mine / CHAPTER, "mine")
    names = [CHAPTER, "01_the_500_ms_rule-new.ipynb", "01_the_500_ms_rule-new2.ipynb"]
    assert later(mine, "new") == [f"{CHAPTER} has a new version, {names[1]}. Yours is as you left it."]
    assert later(mine, "new") == []
    assert later(mine, "newer") == [
        f"{names[1]} was replaced by its new version: you had changed none of its cells."
    ]
    (mine / names[1]).write_text("{")
    assert later(mine, "newest") == [f"{CHAPTER} has a new version, {names[2]}. Yours is as you left it."]
    assert first_cell(mine / CHAPTER) == "mine"
    assert (mine / names[1]).read_text() == "{"
    assert first_cell(mine / names[2]) == "newest"


def test_a_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And `make notebooks` opens nothing then."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(copies, "MINE", tmp_path / "file" / "mine")
    assert copies.main() == 1
    assert "Your notebooks can't be written: [Errno 20] Not a directory" in capsys.readouterr().err


@pytest.mark.live
def test_a_copy_runs_where_it_is_and_stops_at_what_is_not_predicted(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the reader fills the blanks, and it goes on; what was predicted is kept beside it."""
    monkeypatch.setenv("WORKBOOK", "recorded")
    notebook = nbformat.read(mine / CHAPTER, as_version=4)
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(mine)}})
    with pytest.raises(CellExecutionError, match="in place of the dots in predict"):
        client.execute()
    assert not (mine / "predictions.json").exists()
    for cell in notebook.cells:
        cell.source = cell.source.replace("=...)", "=1)")
    client.execute()
    assert (mine / "predictions.json").exists()
