"""Every chapter has the form that WRITING.md asks for, and the kept files are what its source makes.

Nothing is measured here: `make chapters ARGS=--check` runs starters and solutions afresh.
"""

import ast
import copy
import gzip
import json
import math
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import nbformat
import pytest
from matplotlib.pyplot import imread, imsave
from notebooks_path import NOTEBOOKS

# isort: split
import blanks
import build
import chapters
from chapters import Chapter

CHAPTERS = chapters.all_chapters()
BUILDS_THINGS = {4}  # this chapter is about building a queue from scratch
PAGES = {chapters.CONTENTS: lambda: chapters.contents(CHAPTERS), chapters.PREDICTIONS: chapters.predictions}
MOST_CODE_LINES, MOST_DEFINITION_LINES = 15, 3
SECONDS, PERCENT = ("seconds", 1e-3), ("percent", 100.0)  # as what the workbook says a figure of results.json
SAMPLED = dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "mean_ms"), SECONDS) | dict.fromkeys(
    ("share_over", "polls_share"), PERCENT
)
CELLS = range(16, 32)  # about 25, plus one of links
HERE = re.compile(rf"{re.escape(str(NOTEBOOKS.parent))}|/home/|/tmp/|/Users/|site-packages")

WRITTEN = [*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("solutions/*.ipynb"), NOTEBOOKS / "teachers.md"]
LINKED = sorted(str(path.relative_to(NOTEBOOKS)) for path in WRITTEN)

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)


def kept(path: Path) -> nbformat.NotebookNode:
    """A notebook of the repository; fails with what to do if it is missing."""
    assert path.exists(), f"{path.name} is not built: make chapters"
    return nbformat.read(path, as_version=4)


def code_of(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in code_of(notebook) for output in cell.outputs]


def calls(notebook: nbformat.NotebookNode, name: str) -> Iterator[ast.Call]:
    """The calls of a function in a notebook's cells, where it is called by its plain name."""
    for cell in code_of(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield node


def first_arguments(notebook: nbformat.NotebookNode, name: str) -> list[str]:
    """The first argument of each call of a function, if it is a string; in order, without repeats."""
    found = [call.args[0].value for call in calls(notebook, name) if isinstance(call.args[0], ast.Constant)]
    return list(dict.fromkeys(found))


def assert_built(found: nbformat.NotebookNode, made: nbformat.NotebookNode) -> None:
    """Same cells, all executed, in order and without errors; no traces of the machine it was built on."""
    assert [(cell.cell_type, cell.source, cell.metadata) for cell in found.cells] == [
        (cell.cell_type, cell.source, cell.metadata) for cell in made.cells
    ], "not what its source makes: make chapters"
    code = code_of(found)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for output in outputs_of(found) if output.output_type == "error"]
    assert not [output.text for output in outputs_of(found) if output.get("name") == "stderr"]
    assert not HERE.findall(str(outputs_of(found)))


# ---- what is kept is what the sources make


@each_chapter
@pytest.mark.parametrize("which", ["starter", "solution"])
def test_a_notebook_in_the_repository_is_what_its_source_makes(chapter: Chapter, which: str) -> None:
    """If not, run `make chapters`."""
    path = chapter.starter if which == "starter" else chapter.solution
    made = chapters.starter(chapter) if which == "starter" else chapters.solution(chapter)
    assert_built(kept(path), made)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_in_the_repository_is_what_its_source_makes(page: str) -> None:
    """The contents name every chapter; the last page is executed."""
    assert_built(kept(NOTEBOOKS / f"{page}.ipynb"), PAGES[page]())


def test_the_contents_lead_to_every_chapter() -> None:
    """With title, one line, minutes, and requirements."""
    text = chapters.contents(CHAPTERS).cells[0].source
    for chapter in CHAPTERS:
        assert f"| [{chapter.title}]({chapter.name}.ipynb) | {chapter.about} | {chapter.minutes} |" in text
        assert chapter.title.startswith(f"{chapter.number}. ")


def test_the_last_page_shows_the_predictions_of_every_chapter() -> None:
    """Those in the solutions, with their recorded outcomes, in a picture."""
    page = kept(NOTEBOOKS / f"{chapters.PREDICTIONS}.ipynb")
    said = build.printed(page)
    for each in build.noted(CHAPTERS):
        assert re.search(rf"^ ?{each['chapter']}  {re.escape(each['name'])}  ", said, re.MULTILINE), each
    assert any(map(build.pictures, page.cells))


@pytest.mark.live
@pytest.mark.parametrize("which", ["starter", "solution"])
def test_the_first_chapter_comes_out_of_its_recordings_as_it_is_kept(which: str, tmp_path: Path) -> None:
    """All its printed words, without starting a stack."""
    first = CHAPTERS[0]
    path = first.starter if which == "starter" else first.solution
    notebook = chapters.starter(first) if which == "starter" else chapters.solution(first)
    build.execute(notebook, path.parent, "recorded", tmp_path / "predictions.json")
    assert build.printed(notebook) == build.printed(kept(path))


def test_a_kept_notebook_that_no_longer_comes_out_so_is_stale() -> None:
    """Another cell, printed word or picture makes it stale; a pixel more or less does not."""
    kept_one = kept(CHAPTERS[0].starter)
    assert build.stale(kept_one, kept(CHAPTERS[0].starter)) == []
    assert build.stale(kept_one, kept(CHAPTERS[0].solution)) == ["its cells are not those of its source"]
    number = next(n for n, cell in enumerate(kept_one.cells, 1) if build.printed_by(cell))
    changed = copy.deepcopy(kept_one)
    changed.cells[number - 1].outputs[0].text += "!"
    assert build.stale(kept_one, changed) == [f"cell {number} prints something else"]
    pictures = [png for cell in kept_one.cells for _, png in build.pictures(cell)]
    assert not build.alike(pictures[0], pictures[1])
    pixels = imread(BytesIO(pictures[0]))
    for dots, same in ((1, True), (10_000, False)):
        pixels.reshape(-1, pixels.shape[-1])[:dots, :3] = 0.5
        changed_picture = BytesIO()
        imsave(changed_picture, pixels)
        assert build.alike(pictures[0], changed_picture.getvalue()) is same


# ---- the form


@each_chapter
def test_a_chapter_predicts_before_it_measures_and_scores_every_prediction(chapter: Chapter) -> None:
    """In the kept solution each score has found its prediction; in the kept starter nobody has made one."""
    notebook = chapters.starter(chapter)
    predicted = first_arguments(notebook, "predict")
    assert predicted
    for path, outcome in (
        (chapter.solution, "you said .*, it was "),
        (chapter.starter, "it was .*You noted no"),
    ):
        said = build.printed(kept(path))
        for name in predicted:
            assert re.search(rf"^{re.escape(name)}: {outcome}", said, re.MULTILINE), name
    for call in calls(notebook, "predict"):
        assert [ast.unparse(keyword.value) for keyword in call.keywords] == ["..."]
    cells = [cell.source for cell in code_of(notebook)]
    first = [next(n for n, cell in enumerate(cells) if word in cell) for word in ("predict(", "score(")]
    assert first[0] < first[1]


@each_chapter
def test_a_score_of_a_sampled_figure_has_its_interval(chapter: Chapter) -> None:
    """So that nobody is right or wrong by chance: see WRITING.md, "Scoring"."""
    files = build.DATA.glob(f"{chapter.number:02}-*.json.gz")
    recorded = [json.loads(gzip.decompress(file.read_bytes()))["result"] for file in files]
    sampled = [figure for result in recorded for figure in sampled_figures(result)]
    for each in build.noted([chapter]):
        same = [unit for unit, figure in sampled if math.isclose(figure, each["measured"])]
        assert each["unit"] not in same or each["interval"], each
    for call in calls(chapters.starter(chapter), "score"):
        given = [keyword.value for keyword in call.keywords if keyword.arg]  # and not **sampled(...)
        found = [node for value in given for node in ast.walk(value) if isinstance(node, ast.Constant)]
        assert not [node.value for node in found if node.value in SAMPLED], ast.unparse(call)


def sampled_figures(found: object) -> Iterator[tuple[str, float]]:
    """The percentiles and shares, with their units, that a recording holds at any depth."""
    inside = found.values() if isinstance(found, dict) else found if isinstance(found, list) else []
    for each in inside:
        yield from sampled_figures(each)
    for key, (unit, scale) in SAMPLED.items():
        if isinstance(found, dict) and isinstance(found.get(key), float):
            yield unit, found[key] * scale


@each_chapter
def test_a_chapter_has_a_picture(chapter: Chapter) -> None:
    """In the page itself, so that it can be seen without running anything."""
    for path in (chapter.starter, chapter.solution):
        assert any(map(build.pictures, kept(path).cells))


@each_chapter
def test_every_exercise_has_a_check_that_fails_without_an_answer_and_holds_with_one(chapter: Chapter) -> None:
    """Each exercise is followed by its own check; the kept outputs show its result."""
    cells = code_of(chapters.solution(chapter))
    exercises = [number for number, cell in enumerate(cells) if chapters.is_exercise(cell)]
    assert len(exercises) >= 2
    names = [first_arguments(nbformat.v4.new_notebook(cells=[cells[n + 1]]), "check") for n in exercises]
    assert names == [[str(number)] for number in range(1, len(exercises) + 1)]
    for path, verdict in ((chapter.starter, "not yet."), (chapter.solution, "right.")):
        said = build.printed(kept(path))
        for (name,) in names:
            assert f"Exercise {chapter.number}.{name}: {verdict}" in said


@each_chapter
def test_every_experiment_is_recorded_and_every_recording_is_an_experiment(chapter: Chapter) -> None:
    """So a chapter can be read and redrawn without a stack; its recordings are small."""
    files = {path.name: path for path in build.DATA.glob(f"{chapter.number:02}-*.json.gz")}
    names = first_arguments(chapters.solution(chapter), "experiment")
    assert set(files) == {f"{chapter.number:02}-{name}.json.gz" for name in names}
    assert sum(path.stat().st_size for path in files.values()) < 500_000


@each_chapter
def test_the_cells_of_a_chapter_are_few_and_short(chapter: Chapter) -> None:
    """About 25; code has at most 15 lines of at most 110 characters: longer code belongs in a package."""
    notebook = chapters.solution(chapter)
    assert len(notebook.cells) in CELLS
    for cell in code_of(notebook):
        lines = cell.source.splitlines()
        assert len(lines) <= MOST_CODE_LINES, cell.source
        assert max(map(len, lines)) <= 110, cell.source


@each_chapter
def test_a_chapter_implements_nothing(chapter: Chapter) -> None:
    """No function or class is longer than three lines, unless building one is what the chapter is about."""
    if chapter.number in BUILDS_THINGS:
        return
    for cell in code_of(chapters.solution(chapter)):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                assert (node.end_lineno or 0) - node.lineno < MOST_DEFINITION_LINES, cell.source


@each_chapter
def test_a_chapter_asks_first_and_ends_with_what_to_remember(chapter: Chapter) -> None:
    """Its question is in the first cell; exercises and conclusion have their headings."""
    text = "\n".join(cell.source for cell in chapters.starter(chapter).cells if cell.cell_type == "markdown")
    assert "**The question:**" in chapters.starter(chapter).cells[0].source
    assert "## Exercises" in text
    assert "## What to remember" in text


@each_chapter
def test_a_chapter_begins_with_begin(chapter: Chapter) -> None:
    """It checks that the kernel has all that is needed before anything else is imported."""
    first = code_of(chapters.starter(chapter))[0]
    (call,) = calls(nbformat.v4.new_notebook(cells=[first]), "begin")
    assert isinstance(call.args[0], ast.Constant)
    assert call.args[0].value == chapter.number
    importing, beginning, *_ = ast.parse(first.source).body
    assert isinstance(importing, ast.ImportFrom)
    assert importing.module == "workbook"
    assert beginning.lineno == call.lineno


@pytest.mark.parametrize("name", LINKED)
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link works on GitHub and in JupyterLab; none leaves the workbook, which is all the site
    has.
    """
    path = NOTEBOOKS / name
    texts = [path.read_text()] if path.suffix == ".md" else []
    if path.suffix == ".ipynb":
        texts = [cell.source for cell in kept(path).cells if cell.cell_type == "markdown"]
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)\)", "\n".join(texts)):
        found = (path.parent / target).resolve()
        assert found.exists(), target
        assert found.is_relative_to(NOTEBOOKS), target


def test_the_helpers_of_the_workbook_never_import_locust_or_the_apps() -> None:
    """Locust would monkey-patch the kernel."""
    for path in NOTEBOOKS.glob("workbook/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"locust", "sync_app", "queued_app"}, path


# ---- from a source to its notebooks


def test_an_answer_is_left_out_of_the_starter() -> None:
    """A variable it sets is left to be set; in a function, the value is left to be returned."""
    code = "x = 1\n# solution:\na, b = f(x), 2\nc = a\n# end\nprint(x)"
    assert chapters.without_answers(code) == (
        "x = 1\na = ...  # your answer\nb = ...  # your answer\nc = ...  # your answer\nprint(x)"
    )
    code = "def f(x):\n    # solution:\n    y = x\n    return y\n    # end"
    assert chapters.without_answers(code) == "def f(x):\n    return ...  # your answer"
    assert chapters.without_answers("# solution:\nprint(1)\n# end") == "...  # your answer"
    assert chapters.without_answers("# solution:\ndef f(x):\n    return x\n# end") == "f = ...  # your answer"


def test_a_predicted_figure_is_left_out_of_the_starter() -> None:
    """Nothing else in the cell changes."""
    code = 'x = f(s=2)\npredict("∅", s=10 * x)  # yours\npredict("b", jobs=1); predict("c", percent=2.5)'
    blank = 'x = f(s=2)\npredict("∅", s=...)  # yours\npredict("b", jobs=...); predict("c", percent=...)'
    assert blanks.without_predictions(code) == blank


def test_an_exercise_without_an_answer_is_refused() -> None:
    """The message shows the cell."""
    with pytest.raises(chapters.SourceError, match="x = 1"):
        chapters.without_answers("x = 1")


def test_a_source_without_a_header_is_refused(tmp_path: Path) -> None:
    """The message names what is missing."""
    source = tmp_path / "01_x.py"
    source.write_text("# ---\n# about: x\n# ---\n\n# %% [markdown]\n# # 1. X\n")
    with pytest.raises(chapters.SourceError, match="the header lacks minutes, needs"):
        chapters.chapter(source)


@pytest.mark.parametrize("name", ["1", "01", "01_the_500_ms_rule"])
def test_a_chapter_is_named_by_its_number_or_its_name(name: str) -> None:
    """Either works on the command line; an unknown one is reported."""
    assert build.chosen(CHAPTERS, [name]) == [CHAPTERS[0]]
    with pytest.raises(chapters.SourceError, match="no chapter 77: there are 01_the_500_ms_rule"):
        build.chosen(CHAPTERS, ["77"])


@pytest.mark.live
@pytest.mark.parametrize("which", ["starter", "solution"])
def test_the_example_in_the_authors_page_is_a_chapter(which: str, tmp_path: Path) -> None:
    """Taken literally: the starter's checks say "not yet", the solution's "right"."""
    (example,) = re.findall(r"```python\n(.*?)```", (NOTEBOOKS / "WRITING.md").read_text(), re.DOTALL)
    source = tmp_path / "12_a_chapter.py"
    source.write_text(example)
    chapter = chapters.chapter(source)
    notebook = chapters.starter(chapter) if which == "starter" else chapters.solution(chapter)
    build.execute(notebook, NOTEBOOKS, "live", tmp_path / "predictions.json")
    said = re.findall(r"^Exercise 12\.\d: (not yet|right)\.", build.printed(notebook), re.MULTILINE)
    assert said == ["not yet" if which == "starter" else "right"] * 2
    assert any(map(build.pictures, notebook.cells))
