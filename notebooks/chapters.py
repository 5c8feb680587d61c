"""From a chapter's source to its two notebooks: the starter and the solution. Pure.

A source is a Python script in jupytext's percent format, which diffs well:

    # %% tags=["exercise"]
    # solution:
    busy = rate * demand
    # end

The solution notebook has the cell as it is; in the starter all between the markers becomes `busy = ...`.
WRITING.md tells the rest.
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

HERE = Path(__file__).parent
SOURCES = HERE / "source"
CONTENTS, PREDICTIONS = "00_contents", "11_your_predictions"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
ANSWER = re.compile(r"^( *)# solution:\n(.*?)^ *# end(?:\n|\Z)", re.MULTILINE | re.DOTALL)
EXERCISE = "exercise"
NOTHING = "nothing more"  # than `make notebooks` installs


class SourceError(Exception):
    """A source that is not in the form; the message says where and what."""


@dataclass(frozen=True)
class Chapter:
    """A source, and what its header says of it."""

    source: Path
    title: str  # "1. The 500 ms rule"
    about: str  # one line
    minutes: int  # for reading, running and the exercises
    needs: str  # beside `make notebooks`

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
    """The chapters whose sources are there, in order. Raises SourceError."""
    names = sorted(SOURCES.glob("*.py"))
    return [chapter(source) for source in names if source.stem not in (CONTENTS, PREDICTIONS)]


def chapter(source: Path) -> Chapter:
    """What a source says of itself, in its header and its title. Raises SourceError."""
    first, *cells = jupytext.read(source).cells
    header = yaml.safe_load(first.source.strip("-\n")) if first.cell_type == "raw" else {}
    if missing := {"about", "minutes", "needs"} - set(header):
        raise SourceError(f"{source.name}: the header lacks {', '.join(sorted(missing))} (see WRITING.md)")
    title = re.match(r"# (.*)", cells[0].source)
    if not title:
        raise SourceError(f"{source.name}: the first cell begins with the title: # 1. Its title")
    return Chapter(source, title[1], str(header["about"]), int(header["minutes"]), str(header["needs"]))


def starter(of: Chapter) -> nbformat.NotebookNode:
    """The notebook that a reader opens, not executed: answers left out."""
    notebook = _notebook(of.source)
    for cell in notebook.cells:
        if is_exercise(cell):
            cell.source = without_answers(cell.source)
    links = f"[Solutions](solutions/{of.name}.ipynb) · [Contents]({CONTENTS}.ipynb)"
    return _finished(notebook, notebook.cells, [nbformat.v4.new_markdown_cell(links)])


def solution(of: Chapter) -> nbformat.NotebookNode:
    """The same with the answers, not executed."""
    notebook = _notebook(of.source)
    for cell in notebook.cells:
        if is_exercise(cell):
            cell.source = ANSWER.sub(lambda found: found[2], cell.source).rstrip("\n")
    title, *rest = notebook.cells
    title.source = re.sub(r"^# (.*)", r"# \1 (with solutions)", title.source, count=1)
    links = f"[Without the solutions](../{of.name}.ipynb) · [Contents](../{CONTENTS}.ipynb)"
    return _finished(notebook, [title, *rest], [nbformat.v4.new_markdown_cell(links)])


def contents(chapters: Iterable[Chapter]) -> nbformat.NotebookNode:
    """The table of contents, from what the sources say of themselves; what they need only if one does."""
    chapters = list(chapters)
    rows = [f"| [{each.title}]({each.name}.ipynb) | {each.about} | {each.minutes} |" for each in chapters]
    table = ["| chapter | what it is about | minutes |", "|---|---|---|", *rows]
    if any(each.needs != NOTHING for each in chapters):
        needs = ["needs", "---", *(each.needs for each in chapters)]
        table = [f"{row} {need} |" for row, need in zip(table, needs, strict=True)]
    notebook = _notebook(SOURCES / f"{CONTENTS}.py")
    for cell in notebook.cells:
        cell.source = cell.source.replace("(the chapters)", "\n".join(table))
    return _finished(notebook, notebook.cells, [])


def predictions() -> nbformat.NotebookNode:
    """The last page, not executed."""
    notebook = _notebook(SOURCES / f"{PREDICTIONS}.py")
    return _finished(notebook, notebook.cells, [])


def is_exercise(cell: nbformat.NotebookNode) -> bool:
    return EXERCISE in cell.metadata.get("tags", [])


def without_answers(code: str) -> str:
    """A cell as the reader finds it. Raises SourceError if there is no answer in it to leave out."""
    left, answers = ANSWER.subn(lambda found: _blank(found[1], found[2]), code)
    if not answers:
        raise SourceError(f"an exercise without `# solution:` and `# end`:\n{code}")
    return left.rstrip("\n")


def _blank(indent: str, answer: str) -> str:
    """What stands in an answer's place: `name = ...` for each name it sets; in a function `return ...`."""
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


def _finished(
    notebook: nbformat.NotebookNode,
    cells: list[nbformat.NotebookNode],
    more: list[nbformat.NotebookNode],
) -> nbformat.NotebookNode:
    """With cells that keep their ids from build to build, and no metadata but tags."""
    notebook.cells = [*cells, *more]
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02}"
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
    return notebook
