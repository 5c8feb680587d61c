"""Turn a chapter's source into its two notebooks, the starter and the solution. Writes nothing.

A source is a Python script in jupytext's percent format, which diffs well:

    # %% tags=["exercise"]
    # solution:
    busy = rate * demand
    # end

The solution keeps the answer; in the starter everything between the markers becomes `busy = ...`, and each
predicted figure a blank, too: `predict("submit", seconds=...)`.
See WRITING.md.
"""

import ast
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
import yaml

from blanks import without_predictions

HERE = Path(__file__).parent
SOURCES = HERE / "source"
CONTENTS, PREDICTIONS = "00_contents", "14_your_predictions"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
ANSWER = re.compile(r"^( *)# solution:\n(.*?)^ *# end(?:\n|\Z)", re.MULTILINE | re.DOTALL)
OWN_PAGE = re.compile(r"\]\((?=(?:slots|method)\.)")  # a link to the page that one drags, or that one prints
EXERCISE = "exercise"
NOTHING = "nothing more"  # than `make notebooks` installs


class SourceError(Exception):
    """A malformed source; the message says which one, and what is wrong."""


@dataclass(frozen=True)
class Chapter:
    """A source, with its title and header."""

    source: Path
    title: str  # "1. The 500 ms rule"
    about: str  # one line
    minutes: int  # for reading, running and the exercises
    needs: str  # beyond `make notebooks`

    @property
    def name(self) -> str:
        """ "01_the_500_ms_rule"."""
        return self.source.stem

    @property
    def number(self) -> int:
        return int(self.name[:2])

    @property
    def starter(self) -> Path:
        return HERE / f"{self.name}.ipynb"

    @property
    def solution(self) -> Path:
        return HERE / "solutions" / f"{self.name}.ipynb"


def all_chapters() -> list[Chapter]:
    """All chapters that have a source, in order. Raises SourceError."""
    names = sorted(SOURCES.glob("*.py"))
    return [chapter(source) for source in names if source.stem not in (CONTENTS, PREDICTIONS)]


def chapter(source: Path) -> Chapter:
    """Read a source's header and title. Raises SourceError."""
    first, *cells = jupytext.read(source).cells
    header = yaml.safe_load(first.source.strip("-\n")) if first.cell_type == "raw" else {}
    if missing := {"about", "minutes", "needs"} - set(header):
        raise SourceError(f"{source.name}: the header lacks {', '.join(sorted(missing))} (see WRITING.md)")
    title = re.match(r"# (.*)", cells[0].source)
    if not title:
        raise SourceError(f"{source.name}: the first cell must begin with the title: # 1. Its title")
    return Chapter(source, title[1], str(header["about"]), int(header["minutes"]), str(header["needs"]))


def starter(of: Chapter) -> nbformat.NotebookNode:
    """The notebook a reader opens, without answers and predictions; not executed."""
    notebook = _notebook(of.source)
    for cell in notebook.cells:
        if is_exercise(cell):
            cell.source = without_answers(cell.source)
        elif cell.cell_type == "code":
            cell.source = without_predictions(cell.source)
    links = f"[Solutions](solutions/{of.name}.ipynb) · [Contents]({CONTENTS}.ipynb)"
    return _finished(notebook, links)


def solution(of: Chapter) -> nbformat.NotebookNode:
    """The notebook with the answers; not executed."""
    notebook = _notebook(of.source)
    for cell in notebook.cells:
        if is_exercise(cell):
            cell.source = ANSWER.sub(lambda found: found[2], cell.source).rstrip("\n")
        cell.source = OWN_PAGE.sub("](../", cell.source)
    title = notebook.cells[0]
    title.source = re.sub(r"^# (.*)", r"# \1 (with solutions)", title.source, count=1)
    links = f"[Without the solutions](../{of.name}.ipynb) · [Contents](../{CONTENTS}.ipynb)"
    return _finished(notebook, links)


def contents(chapters: Iterable[Chapter]) -> nbformat.NotebookNode:
    """The table of contents, from the sources' headers; with a column of needs if any chapter has some."""
    chapters = list(chapters)
    rows = [f"| [{each.title}]({each.name}.ipynb) | {each.about} | {each.minutes} |" for each in chapters]
    table = ["| chapter | what it is about | minutes |", "|---|---|---|", *rows]
    if any(each.needs != NOTHING for each in chapters):
        needs = ["needs", "---", *(each.needs for each in chapters)]
        table = [f"{row} {need} |" for row, need in zip(table, needs, strict=True)]
    notebook = _notebook(SOURCES / f"{CONTENTS}.py")
    for cell in notebook.cells:
        cell.source = cell.source.replace("(the chapters)", "\n".join(table))
    return _finished(notebook)


def predictions() -> nbformat.NotebookNode:
    """The last page, not executed."""
    return _finished(_notebook(SOURCES / f"{PREDICTIONS}.py"))


def is_exercise(cell: nbformat.NotebookNode) -> bool:
    return EXERCISE in cell.metadata.get("tags", [])


def without_answers(code: str) -> str:
    """An exercise cell without its answer. Raises SourceError if it has none."""
    left, answers = ANSWER.subn(lambda found: _blank(found[1], found[2]), code)
    if not answers:
        raise SourceError(f"an exercise without `# solution:` and `# end`:\n{code}")
    return left.rstrip("\n")


def _blank(indent: str, answer: str) -> str:
    """What replaces an answer: `name = ...` for each name it sets, or `return ...` in a function."""
    if indent:
        return f"{indent}return ...  # your answer\n"
    names: dict[str, None] = {}
    for statement in ast.parse(textwrap.dedent(answer)).body:
        for target in statement.targets if isinstance(statement, ast.Assign) else []:
            names |= {name.id: None for name in ast.walk(target) if isinstance(name, ast.Name)}
        if isinstance(statement, ast.FunctionDef):
            names[statement.name] = None
    return "".join(f"{name} = ...  # your answer\n" for name in names) or "...  # your answer\n"


def _notebook(source: Path) -> nbformat.NotebookNode:
    notebook = jupytext.read(source)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type != "raw"]  # the header
    return notebook


def _finished(notebook: nbformat.NotebookNode, links: str = "") -> nbformat.NotebookNode:
    """Give the cells ids that are stable across builds, and drop all metadata but tags.

    `links`: one more cell, if given.
    """
    if links:
        notebook.cells.append(nbformat.v4.new_markdown_cell(links))
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02}"
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
    return notebook
