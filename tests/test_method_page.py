"""The method on one page: it prints on one side, loads nothing, and is in the book."""

import base64
import re
from pathlib import Path

import nbformat
import pytest
from notebooks_path import NOTEBOOKS
from selenium import webdriver

# isort: split
import book

pytest_plugins = ["browser_fixtures"]

PAGE = NOTEBOOKS / "method.html"


@pytest.mark.live
@pytest.mark.parametrize("scale", [1.0, 1.05])
def test_it_prints_on_one_side_of_a4(browser: webdriver.Chrome, scale: float) -> None:
    """With somewhat wider letters, too: another machine has other ones."""
    browser.get(PAGE.as_uri())
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "scale": scale})
    pdf = base64.b64decode(printed["data"])
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    (box,) = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert [round(float(side)) for side in box] == [595, 842]  # points


def test_it_loads_nothing() -> None:
    """It can be sent by mail."""
    assert not re.search(r"\b(src|href)=|@import|url\(|<script", PAGE.read_text())


def test_the_book_has_it_and_leads_to_it(tmp_path: Path) -> None:
    """As a page to open: Sphinx would make a plain link to it a download."""
    book.stage(tmp_path)
    assert (tmp_path / "_static" / PAGE.name).read_text() == PAGE.read_text()
    for folder, up in (("", ""), ("solutions", "../")):
        (chapter,) = (tmp_path / folder).glob("13_*.ipynb")
        text = "\n".join(cell.source for cell in nbformat.read(chapter, as_version=4).cells)
        assert f'<a href="{up}_static/method.html">' in text
        assert "](" + up + "method.html)" not in text
