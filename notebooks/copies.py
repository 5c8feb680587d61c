"""Give the reader copies of the notebooks to write in, in notebooks/mine: `make notebooks`.

The chapters come without outputs, so that nobody sees a result before having predicted it; the solutions with
them. A later version replaces only copies in which no cell was changed. Otherwise it is put beside the copy.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import nbformat

HERE = Path(__file__).parent
MINE = HERE / "mine"
# No links: Jupyter shows no file from outside its folder.
SHOWN = ("teachers.md", "slots.html", "slots.gif", "method.html")
GIVEN = "workbook_version"  # the metadata in which a copy keeps what its cells were when it was made


def main() -> int:
    """Make or renew the copies, and print what happened; returns the exit status."""
    try:
        happened = renew(MINE)
    except OSError as error:
        print(f"Your notebooks can't be written: {error}", file=sys.stderr)
        return 1
    print(
        "\n".join(
            [*happened, f"Your notebooks are in {os.path.relpath(MINE)}. To begin one anew, delete it."]
        )
    )
    return 0


def renew(folder: Path) -> list[str]:
    """Make or renew the copies in a folder; returns what happened to those it had already. Raises OSError."""
    happened = []
    for part in ("", "solutions"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        package = folder / part / "workbook"
        if not package.is_symlink():
            package.symlink_to(os.path.relpath(HERE / "workbook", package.parent.resolve()))
        for page in sorted((HERE / part).glob("[0-9][0-9]_*.ipynb")):
            notebook = copied(nbformat.read(page, as_version=4), outputs=bool(part))
            happened += put(notebook, folder / part / page.name)
    for name in SHOWN:
        shutil.copyfile(HERE / name, folder / name)
    return happened


def copied(notebook: nbformat.NotebookNode, outputs: bool = False) -> nbformat.NotebookNode:
    """The notebook as a reader gets it, marked with its version; without outputs unless asked for."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and not outputs:
            cell.outputs, cell.execution_count = [], None
    notebook.metadata[GIVEN] = _version(notebook)
    return notebook


def put(notebook: nbformat.NotebookNode, wanted: Path) -> Iterator[str]:
    """Write a notebook to `wanted`, or beside it, so that no work is lost. Yields what to say about it."""
    for number in count():
        beside = f"-new{number if number > 1 else ''}" if number else ""
        file = wanted.with_name(f"{wanted.stem}{beside}.ipynb")
        given, unchanged = _state(file)
        if given == notebook.metadata[GIVEN]:
            return
        if unchanged:
            if file.exists():
                yield f"{file.name} was replaced by its new version: you had changed none of its cells."
            elif beside:
                yield f"{wanted.name} has a new version, {file.name}. Yours is as you left it."
            partial = file.with_suffix(".part")
            nbformat.write(notebook, partial)
            partial.replace(file)
            return


def _state(file: Path) -> tuple[str | None, bool]:
    """Which version a copy was made from, and whether its cells are still the same, or it is not there."""
    if not file.exists():
        return None, True
    try:
        notebook = nbformat.read(file, as_version=4)
        given = notebook.metadata.get(GIVEN)
        return given, given == _version(notebook)
    except Exception:  # whatever it holds: it is not ours to replace
        return None, False


def _version(notebook: nbformat.NotebookNode) -> str:
    """A digest of what its cells say; the same whether they were run or not."""
    cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    return hashlib.blake2b(json.dumps(cells).encode(), digest_size=8).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
