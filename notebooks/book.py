"""Build the workbook as a site that opens from a file and loads nothing from elsewhere: `make book`.

    python notebooks/book.py [--out var/book]

The committed notebooks and the site's own files are copied to a temporary folder, where Sphinx turns them
into pages. Beside them is sheet.html, the predictions to print for a class. Nothing is executed.
"""

import argparse
import ast
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from blanks import sheet

HERE = Path(__file__).parent
OUT = HERE.parent / "var" / "book"
FIRST_PAGE = "00_contents"
# The picture of the page that one drags becomes that page.
DRAGGED = re.compile(r"\[!\[(?P<words>.*?)\]\((?P<up>[./]*)slots\.gif\)\]\(.*?\)")
FRAME = (
    r'<iframe class="slots" title="\g<words>" src="\g<up>_static/slots.html"></iframe>'
    r'<p><a href="\g<up>_static/slots.html">On a page of its own</a></p>'
)
# What gives an answer away is folded until it is opened: what a cell with such a call prints, or its source.
FOLDED = {"score": ("hide-output", "Show what was measured"), "check": ("hide-input", "Show the check")}
# The page that one prints would be offered as a download.
PRINTED = re.compile(r"\[(?P<words>[^\]]*)\]\((?P<up>[./]*)method\.html\)")
PRINTED_LINK = r'<a href="\g<up>_static/method.html">\g<words></a>'
TOC = """```{{toctree}}
:hidden:
:caption: {caption}

{pages}
```"""


def main(argv: Sequence[str] | None = None) -> int:
    """Build the site; returns Sphinx's exit status."""
    parser = argparse.ArgumentParser(prog="make book", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT, help="output folder; default var/book")
    options = parser.parse_args(argv)
    from sphinx.cmd.build import build_main

    with tempfile.TemporaryDirectory() as name:
        stage(Path(name))
        if options.out.exists():
            shutil.rmtree(options.out)
        status = build_main(
            ["--quiet", "--fail-on-warning", "-d", f"{name}/.doctrees", name, str(options.out)]
        )
    if status == 0:
        (options.out / "sheet.html").write_text(sheet(sorted(HERE.glob("[0-9][0-9]_*.ipynb"))))
    wrong = problems(options.out) if status == 0 else []
    print(
        "\n".join(wrong) or f"The site: {options.out / 'index.html'}",
        file=sys.stderr if wrong else sys.stdout,
    )
    return int(status) or bool(wrong)


def problems(site: Path) -> list[str]:
    """What keeps a site from being read offline, one line each: external loads and dead links."""
    found = []
    for page in sorted(site.rglob("*.html")):
        text = re.sub(r"<(style|script)\b[^>]*>.*?</\1>", _tag_alone, page.read_text(), flags=re.DOTALL)
        for tag, target in re.findall(r"""<(\w+)\b[^>]*?\b(?:src|href)="([^"#?]+)""", text):
            elsewhere = re.match(r"(https?:)?//", target)
            if elsewhere and tag != "a":
                found.append(f"{page.relative_to(site)} loads {target}")
            elif not elsewhere and ":" not in target and not (page.parent / unquote(target)).exists():
                found.append(f"{page.relative_to(site)} leads to {target}, which is not there")
    return found


def _tag_alone(element: re.Match[str]) -> str:
    return element[0].partition(">")[0] + ">"


def stage(folder: Path) -> None:
    """Copy what Sphinx needs into `folder`: its settings, and the pages, with the contents as the index."""
    import nbformat

    shutil.copy(HERE / "site" / "conf.py", folder)
    (folder / "_static").mkdir()
    for name in ("site/workbook.css", "site/workbook.js", "slots.html", "method.html"):
        shutil.copy(HERE / name, folder / "_static")
    (folder / "solutions").mkdir()
    chapters = sorted(path.relative_to(HERE) for path in HERE.glob("[0-9][0-9]_*.ipynb"))
    solutions = sorted(path.relative_to(HERE) for path in HERE.glob("solutions/*.ipynb"))
    for page in [*chapters, *solutions]:
        notebook = nbformat.read(HERE / page, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code" and page in chapters:
                _fold(cell)
            cell.source = PRINTED.sub(PRINTED_LINK, DRAGGED.sub(FRAME, _with_index(cell.source)))
        if page.stem == FIRST_PAGE:
            toc = contents(chapters[1:], solutions)
            notebook.cells.append(nbformat.v4.new_markdown_cell(toc))
        nbformat.write(notebook, folder / ("index.ipynb" if page.stem == FIRST_PAGE else page))
    (folder / "teachers.md").write_text(_with_index((HERE / "teachers.md").read_text()))


def _fold(cell: Any) -> None:
    for node in ast.walk(ast.parse(cell.source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FOLDED:
            tag, words = FOLDED[node.func.id]
            cell.metadata |= {"tags": [tag], "mystnb": {"code_prompt_show": words}}


def _with_index(text: str) -> str:
    """The text, with links to the contents pointing at the site's index."""
    return re.sub(rf"\b{FIRST_PAGE}\.ipynb", "index.ipynb", text)


def contents(chapters: Sequence[Path], solutions: Sequence[Path]) -> str:
    """The table of contents for Sphinx's navigation, in three groups."""
    groups = {"Chapters": chapters, "For teachers": [Path("teachers.md")], "Solutions": solutions}
    return "\n\n".join(
        TOC.format(caption=caption, pages="\n".join(str(page.with_suffix("")) for page in pages))
        for caption, pages in groups.items()
    )


if __name__ == "__main__":
    sys.exit(main())
