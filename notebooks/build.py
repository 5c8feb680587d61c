"""Build the chapters: from notebooks/source/*.py to executed notebooks beside this file.

    python notebooks/build.py [CHAPTER ...]       # `make chapters`

A chapter is written as a Python script in jupytext's percent format, which diffs well, and read as a notebook
with its outputs.
"""

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def build(source: Path) -> nbformat.NotebookNode:
    """The notebook of a chapter, not yet executed. Its cells keep their ids from build to build."""
    notebook = jupytext.read(source)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02}"
        cell.metadata = {}
    return notebook


def execute(notebook: nbformat.NotebookNode) -> None:
    """Run all cells, where the chapters are. Raises CellExecutionError if a cell fails."""
    NotebookClient(
        notebook, timeout=180, resources={"metadata": {"path": str(HERE)}}, record_timing=False
    ).execute()
    notebook.metadata.language_info = {"name": "python"}


def main(names: list[str]) -> int:
    sources = sorted((HERE / "source").glob("*.py"))
    for source in sources:
        if names and source.stem not in names:
            continue
        print(f"{source.stem} ...", flush=True)
        notebook = build(source)
        execute(notebook)
        nbformat.write(notebook, HERE / f"{source.stem}.ipynb")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
