"""The figures that readers have to predict: blank in a starter, and on a sheet to print for a class.

The sheet has a page for each chapter, with its question, what it asks before each measurement, and blanks.
"""

import ast
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

import nbformat

UNIT_WORDS = {"percent": "%", "per_second": "a second"}  # all others are words already
SHEET = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>The 500 ms workbook: predictions to write down</title>
<style>
body {{ font: 11pt/1.4 system-ui, sans-serif; max-width: 44rem; margin: 1rem auto; padding: 0 1rem; }}
section {{ break-after: page; margin-bottom: 3rem; }}
h1 {{ font-size: 16pt; margin: 0 0 .5rem; }}
p, ul {{ margin: .4rem 0; }}
dl {{ margin: .6rem 0 1.4rem; break-before: avoid; }}
dl div {{ display: flex; gap: .5rem; align-items: end; break-inside: avoid; margin-top: .7rem; }}
dd {{ margin: 0; white-space: nowrap; }}
dd::before, header::after {{ content: ""; display: inline-block; width: 6rem; border-bottom: 1px solid; }}
dt {{ flex: 1; }}
dd {{ width: 14rem; }}
header {{ text-align: right; margin-bottom: .5rem; }}
header::after {{ width: 14rem; margin-left: .5rem; }}
@page {{ margin: 18mm; }}
@media print {{ body {{ margin: 0; max-width: none; padding: 0; }} section {{ margin: 0; }} }}
</style>
<main>{pages}</main>
</html>
"""


def predictions_in(code: str) -> list[ast.Call]:
    """The calls of `predict` in a cell, in order."""
    called = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    ours = [call for call in called if isinstance(call.func, ast.Name) and call.func.id == "predict"]
    return sorted(ours, key=lambda call: (call.lineno, call.col_offset))


def without_predictions(code: str) -> str:
    """A cell in which each figure that `predict` is given is left to the reader, as `...`."""
    lines = code.splitlines()
    for call in reversed(predictions_in(code)):  # so that columns further left stay what they were
        (given,) = (keyword.value for keyword in call.keywords)
        line = lines[given.lineno - 1].encode()  # columns count bytes
        lines[given.lineno - 1] = (line[: given.col_offset] + b"..." + line[given.end_col_offset :]).decode()
    return "\n".join(lines)


def sheet(chapters: Iterable[Path]) -> str:
    """The sheet, as HTML, for these notebooks; one that predicts nothing has no page."""
    notebooks = (nbformat.read(path, as_version=4) for path in chapters)
    return SHEET.format(pages="\n".join(page for notebook in notebooks if (page := _page(notebook))))


def _page(notebook: nbformat.NotebookNode) -> str:
    from markdown_it import MarkdownIt

    html = MarkdownIt().render
    asked = list(_asked(notebook))
    if not asked:
        return ""
    title, *paragraphs = notebook.cells[0].source.split("\n\n")
    question = next(text for text in paragraphs if text.startswith("**The question:**"))
    parts = [html(text) + _blanks(calls) for text, calls in asked]
    return "\n".join(
        ["<section>", "<header>Name</header>", html(f"{title}\n\n{question}"), *parts, "</section>"]
    )


def _asked(notebook: nbformat.NotebookNode) -> Iterator[tuple[str, list[ast.Call]]]:
    """What is asked before each cell with predictions: from the last paragraph with something in bold on."""
    text = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            paragraphs = cell.source.split("\n\n")
            asking = max((n for n, each in enumerate(paragraphs) if "**" in each), default=-1)
            text = "\n\n".join(paragraphs[asking:])
        elif calls := predictions_in(cell.source):
            yield text, calls


def _blanks(calls: Iterable[ast.Call]) -> str:
    rows = []
    for call in calls:
        (unit,) = (keyword.arg for keyword in call.keywords)
        name = escape(ast.literal_eval(call.args[0]))
        rows.append(f"<div><dt>{name}</dt><dd> {UNIT_WORDS.get(unit, unit.replace('_', ' '))}</dd></div>")
    return f"<dl>{''.join(rows)}</dl>"
