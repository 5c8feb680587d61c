"""Build the workbook: from notebooks/source/*.py to executed starter and solution notebooks.

    python notebooks/build.py [CHAPTER ...]       # `make chapters`: measure only what is not recorded yet
    python notebooks/build.py --record CHAPTER    # measure and record everything anew
    python notebooks/build.py --check             # write nothing: do the exercise checks hold, run live?
    python notebooks/build.py --check --recorded  # the same from recordings; also reports stale notebooks

The committed notebooks are executed from the recordings in notebooks/data/, so the two agree, and editing a
text changes no figure.
"""

import argparse
import base64
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from html import unescape
from io import BytesIO
from pathlib import Path

import nbformat
from matplotlib.pyplot import imread
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import slotspage
from chapters import (
    CONTENTS,
    HERE,
    PREDICTIONS,
    Chapter,
    SourceError,
    all_chapters,
    contents,
    predictions,
    solution,
    starter,
)
from workbook.experiments import DATA

MOST_SECONDS = 60  # for a live starter on two idle cores; its solution may take twice as long
MOST_PIXELS = 0.001  # share of the pixels that may differ
CELL_SECONDS = 240
IMAGE = re.compile(r'<img alt="([^"]*)" src="data:image/png;base64,([^"]*)">')
NOT_YET, RIGHT = re.compile(r"^Exercise \S+: not yet\.", re.M), re.compile(r"^Exercise \S+: right\.$", re.M)


def execute(notebook: nbformat.NotebookNode, folder: Path, mode: str, notes: Path) -> float:
    """Run all cells in `folder`; returns the seconds taken. Predictions go to `notes`, not the reader's file;
    those left blank, as in a starter, are passed over.

    Raises CellExecutionError if a cell fails.
    """
    began = time.monotonic()
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    )
    ours = {"WORKBOOK": mode, "WORKBOOK_BLANKS": "pass", "WORKBOOK_PREDICTIONS": str(notes)}
    client.execute(env={**os.environ, **ours})
    notebook.metadata.language_info = {"name": "python"}
    return time.monotonic() - began


def build(chapter: Chapter, record: bool) -> None:
    """Make the missing recordings (with `record`, all of them), and both notebooks from them."""
    with tempfile.TemporaryDirectory() as temporary:
        notes = Path(temporary) / "predictions.json"
        if record:
            for old in DATA.glob(f"{chapter.number:02}-*.json.gz"):
                old.unlink()
        execute(solution(chapter), chapter.solution.parent, "record" if record else "complete", notes)
        notes.unlink(missing_ok=True)
        for notebook, file in ((starter(chapter), chapter.starter), (solution(chapter), chapter.solution)):
            execute(notebook, file.parent, "recorded", notes)
            nbformat.write(notebook, file)
        _notes(chapter).write_text(notes.read_text() if notes.exists() else "[]\n")


def build_pages(chapters: Sequence[Chapter]) -> None:
    """Build the contents, the last page with the solutions' predictions, and the page that one drags."""
    nbformat.write(contents(chapters), HERE / f"{CONTENTS}.ipynb")
    last = predictions()
    with tempfile.TemporaryDirectory() as temporary:
        notes = Path(temporary) / "predictions.json"
        notes.write_text(json.dumps(noted(chapters)))
        execute(last, HERE, "recorded", notes)
    nbformat.write(last, HERE / f"{PREDICTIONS}.ipynb")
    slotspage.write()


def noted(chapters: Sequence[Chapter]) -> list[dict[str, object]]:
    """The predictions in these chapters' solutions, with the recorded results."""
    files = [_notes(chapter) for chapter in chapters]
    return [each for file in files if file.exists() for each in json.loads(file.read_text())]


def _notes(chapter: Chapter) -> Path:
    return DATA / f"{chapter.number:02}-predictions.json"


def check(chapter: Chapter, mode: str, only: str | None = None) -> list[str]:
    """Run the starter and the solution, or `only` one of them; returns the problems, and prints the times.

    From recordings, they must come out like the committed notebooks. A slow run is reported, but is not a
    problem: the machine may be slow.
    """
    problems = []
    cases = (
        ("starter", starter, chapter.starter, MOST_SECONDS, NOT_YET, RIGHT),
        ("solution", solution, chapter.solution, 2 * MOST_SECONDS, RIGHT, NOT_YET),
    )
    with tempfile.TemporaryDirectory() as temporary:
        for name, make, file, most, expected, unwanted in cases:
            if only not in (None, name):
                continue
            notebook = make(chapter)
            try:
                seconds = execute(notebook, file.parent, mode, Path(temporary) / f"{name}.json")
            except CellExecutionError as error:
                problems.append(f"the {name} fails: {str(error)[-1500:]}")
                continue
            slow = f": more than {most} s" if seconds > most else ""
            print(f"  {name:8} {seconds:5.1f} s, {mode}{slow}", flush=True)
            said = printed(notebook)
            if unwanted.search(said) or not expected.search(said):
                lines = [line for line in said.splitlines() if line.startswith("Exercise")]
                problems.append(f"the checks of the {name} say {lines or 'nothing'}")
            if mode == "recorded":
                problems += [
                    f"{file.name} is stale: {each}; make chapters ARGS={chapter.number}"
                    for each in stale(nbformat.read(file, as_version=4), notebook)
                ]
    return problems


def stale(kept: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> list[str]:
    """Where a committed notebook differs from one that was just executed."""
    if [cell.source for cell in kept.cells] != [cell.source for cell in executed.cells]:
        return ["its cells are not those of its source"]
    found = []
    for number, (old, new) in enumerate(zip(kept.cells, executed.cells, strict=True), 1):
        if printed_by(old) != printed_by(new):
            found.append(f"cell {number} prints something else")
        before, now = pictures(old), pictures(new)
        if [alt for alt, _ in before] != [alt for alt, _ in now]:
            found.append(f"cell {number} has another figure, or says something else of it")
        elif not all(alike(one, other) for (_, one), (_, other) in zip(before, now, strict=True)):
            found.append(f"cell {number} draws something else")
    return found


def pictures(cell: nbformat.NotebookNode) -> list[tuple[str, bytes]]:
    """The figures below a cell: the alternative text of each, and its PNG."""
    html = "".join(output.get("data", {}).get("text/html", "") for output in cell.get("outputs", []))
    return [(unescape(alt), base64.b64decode(png)) for alt, png in IMAGE.findall(html)]


def alike(one: bytes, other: bytes) -> bool:
    """Whether two pictures are equal but for a few pixels: another machine may round differently."""
    first, second = (imread(BytesIO(each)) for each in (one, other))
    if first.shape != second.shape:
        return False
    return bool((abs(first - second).max(axis=-1) > 0.1).mean() < MOST_PIXELS)


def printed(notebook: nbformat.NotebookNode) -> str:
    """Everything the cells of an executed notebook printed."""
    return "".join(map(printed_by, notebook.cells))


def printed_by(cell: nbformat.NotebookNode) -> str:
    """What one cell printed."""
    outputs = cell.get("outputs", [])
    return "".join(output.text for output in outputs if output.output_type == "stream")


def main(argv: Sequence[str] | None = None) -> int:
    """Build or check; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make chapters", description=__doc__.partition("\n")[0])
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help="such as 3, or 03_one_hanging_feed")
    parser.add_argument("--record", action="store_true", help="measure and record all experiments anew")
    parser.add_argument("--check", action="store_true", help="run starters and solutions, write nothing")
    parser.add_argument("--recorded", action="store_true", help="check from the recordings, without a stack")
    parser.add_argument("--only", choices=["starter", "solution"], help="check only these")
    options = parser.parse_args(argv)
    try:
        everything = all_chapters()
        wanted = chosen(everything, options.chapters)
        if options.check:
            return _check_all(wanted, "recorded" if options.recorded else "live", options.only)
        _one_by_one(wanted, lambda chapter: build(chapter, options.record))
        build_pages(everything)
    except (SourceError, CellExecutionError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def chosen(chapters: Sequence[Chapter], names: Sequence[str]) -> list[Chapter]:
    """The chapters with these names or numbers, or all of them. Raises SourceError for an unknown name."""
    known = {key: each for each in chapters for key in (each.name, str(each.number), f"{each.number:02}")}
    if unknown := [name for name in names if name not in known]:
        raise SourceError(f"no chapter {unknown[0]}: there are {', '.join(each.name for each in chapters)}")
    return [known[name] for name in names] if names else list(chapters)


def _one_by_one(chapters: Sequence[Chapter], act: Callable[[Chapter], object]) -> None:
    for chapter in chapters:
        print(f"{chapter.name} ...", flush=True)
        act(chapter)


def _check_all(chapters: Sequence[Chapter], mode: str, only: str | None) -> int:
    failed, began = 0, time.monotonic()
    for chapter in chapters:
        for attempt in ("", ", once more")[: 2 if mode == "live" else 1]:  # the machine may have been busy
            print(f"{chapter.name}{attempt}", flush=True)
            problems = check(chapter, mode, only)
            print("".join(f"  {problem}\n" for problem in problems), end="", flush=True)
            if not problems:
                break
        failed += bool(problems)
    print(f"{len(chapters) - failed} passed, {failed} failed in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
