"""The chapters run, and what is in the repository is what their sources make."""

import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
SOURCES = sorted((NOTEBOOKS / "source").glob("*.py"))

sys.path.insert(0, str(NOTEBOOKS))
import build  # noqa: E402
import workbook  # noqa: E402


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_chapter_in_the_repository_is_what_its_source_makes(source: Path) -> None:
    """Same cells; executed without an error; with a picture. If not: make chapters."""
    built = build.build(source)
    kept = nbformat.read(NOTEBOOKS / f"{source.stem}.ipynb", as_version=4)
    assert [(c.cell_type, c.source) for c in kept.cells] == [(c.cell_type, c.source) for c in built.cells]
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert str(ROOT) not in (NOTEBOOKS / f"{source.stem}.ipynb").read_text()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_chapter_runs(source: Path) -> None:
    """All of its cells, on the real stack."""
    build.execute(build.build(source))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_cells_of_a_chapter_are_short(source: Path) -> None:
    """No cell of code has more than 15 lines: what is longer belongs into a package."""
    code = [cell.source for cell in build.build(source).cells if cell.cell_type == "code"]
    assert max(len(text.splitlines()) for text in code) <= 15


def test_a_prediction_is_kept_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was said stands in a file; the score names both figures and the factor."""
    monkeypatch.setattr(workbook, "PREDICTIONS", tmp_path / "predictions.json")
    workbook.score("submit", 2.0)
    workbook.predict("submit", seconds=4)
    workbook.predict("browse", seconds=0.02)
    workbook.score("submit", 11.0)
    workbook.score("browse", 0.018)
    workbook.score("browse", None)
    assert capsys.readouterr().out.splitlines() == [
        "submit: no prediction was noted; run the cell with predict() first.",
        "Noted: submit, 4.0 s.",
        "Noted: browse, 20 ms.",
        "submit: you said 4.0 s, it was 11.0 s: off by a factor of 2.8.",
        "browse: you said 20 ms, it was 18 ms: well said.",
        "browse: you said 20 ms; nothing was measured.",
    ]


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_prediction_that_is_none_is_refused(seconds: float) -> None:
    """The message says what to write."""
    with pytest.raises(ValueError, match="write a number of seconds above 0"):
        workbook.predict("submit", seconds)
