"""The chapters' figures, drawn again from recordings: can every eye read them, and those without sight?"""

import ast
import re
from pathlib import Path

import chart_reading
import pytest
from matplotlib.figure import Figure
from notebooks_path import NOTEBOOKS

# isort: split
import build
import chapters
from chapters import Chapter

CHAPTERS = chapters.all_chapters()


def figures_of(chapter: Chapter) -> list[Figure]:
    """What the code cells of a chapter's solution show, run here and now."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    shown = []
    for cell in chapters.solution(chapter).cells:
        if cell.cell_type == "code":
            *before, last = ast.parse(cell.source).body
            if not isinstance(last, ast.Expr):
                before.append(last)
            exec(compile(ast.Module(before, []), chapter.name, "exec"), namespace)
            if isinstance(last, ast.Expr):
                shown.append(eval(compile(ast.Expression(last.value), chapter.name, "eval"), namespace))
    return [each for each in shown if isinstance(each, Figure)]


@pytest.mark.live
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_the_words_in_a_figure_can_be_read(
    chapter: Chapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are dark enough, don't overlap, and none is cut off."""
    monkeypatch.setenv("WORKBOOK", "recorded")
    monkeypatch.setenv("WORKBOOK_PREDICTIONS", str(tmp_path / "predictions.json"))
    figures = figures_of(chapter)
    assert figures
    for figure in figures:
        assert chart_reading.faint(figure) == []
        assert chart_reading.overlapping(figure) == []
        assert chart_reading.cut_off(figure) == []


@pytest.mark.parametrize("path", [*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("solutions/*.ipynb")])
def test_each_figure_is_described(path: Path) -> None:
    """In a sentence with numbers, which its data give; and nowhere as a PNG alone, which has no words."""
    notebook = build.nbformat.read(path, as_version=4)
    for words, _ in (picture for cell in notebook.cells for picture in build.pictures(cell)):
        assert re.fullmatch(r"[A-Z].{40,}\d.*\.", words), words
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not any("image/png" in output.get("data", {}) for output in outputs)
