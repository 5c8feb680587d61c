"""The site, built by `make book`, holds every page and loads nothing from elsewhere."""

from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from notebooks_path import NOTEBOOKS

# isort: split
import blanks
import book


def test_the_site_has_every_page_and_the_contents_first(tmp_path: Path) -> None:
    """Chapters, solutions and the teacher's page are in the navigation, too; links to the contents work."""
    book.stage(tmp_path)
    pages = [*NOTEBOOKS.glob("[0-9]*.ipynb"), *NOTEBOOKS.glob("solutions/*.ipynb"), NOTEBOOKS / "teachers.md"]
    wanted = {str(page.relative_to(NOTEBOOKS)) for page in pages} - {"00_contents.ipynb"}
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*") if p.suffix in (".ipynb", ".md")} == (
        wanted | {"index.ipynb"}
    )
    navigation = nbformat.read(tmp_path / "index.ipynb", as_version=4).cells[-1].source.splitlines()
    assert [
        line for line in navigation if (tmp_path / f"{line}.ipynb").exists() or line == "teachers"
    ] == sorted(
        (page.rpartition(".")[0] for page in wanted), key=lambda page: ("/" in page, page[0].isalpha(), page)
    )
    assert not [p for p in tmp_path.rglob("*.ipynb") if "00_contents" in p.read_text()]


def test_the_sheet_asks_for_every_prediction(tmp_path: Path) -> None:
    """A page for each chapter, with what to predict, its unit, and the text that asks for it."""
    chapter = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(
                "# 1. A title\n\nNot this.\n\n**The question:** how long?\n\nNor this."
            ),
            nbformat.v4.new_code_cell("f(seconds=1)"),
            nbformat.v4.new_markdown_cell("Not this.\n\n**Write down** a < b:\n\n* how many?"),
            nbformat.v4.new_code_cell('predict("a < b", busy_slots=...)\npredict("rate", per_second=...)'),
        ]
    )
    nbformat.write(chapter, tmp_path / "01.ipynb")
    nbformat.write(nbformat.v4.new_notebook(cells=chapter.cells[:2]), tmp_path / "02.ipynb")
    page = BeautifulSoup(blanks.sheet(sorted(tmp_path.iterdir())), "html.parser")
    (section,) = page.find_all("section")
    words = [line for line in section.get_text("\n", strip=True).splitlines() if line]
    assert words == [
        *("Name", "1. A title", "The question:", "how long?", "Write down", "a < b:", "how many?"),
        *("a < b", "busy slots", "rate", "a second"),
    ]


@pytest.mark.parametrize(
    ("html", "wrong"),
    [
        ('<a href="https://example.org">x</a> <a href="a.html#top">x</a> <a href="#top">x</a>', []),
        ('<a href="mailto:x">x</a> <img src="data:image/png;base64,AAAA">', []),
        ('<script>let text = `<img src="b.png">`;</script>', []),
        ('<script src="https://example.org/x.js"></script>', ["a.html loads https://example.org/x.js"]),
        ('<link rel="stylesheet" href="//example.org/x.css">', ["a.html loads //example.org/x.css"]),
        ('<img alt="x" src="b.png">', ["a.html leads to b.png, which is not there"]),
        ('<a href="sub/b.html?x#y">', ["a.html leads to sub/b.html, which is not there"]),
    ],
)
def test_what_cannot_be_read_offline_is_found(tmp_path: Path, html: str, wrong: list[str]) -> None:
    """Scripts, styles and pictures from elsewhere, and links to missing pages."""
    (tmp_path / "a.html").write_text(html)
    assert book.problems(tmp_path) == wrong
