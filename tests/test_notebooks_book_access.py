"""The site, built by `make book`, is for everybody, and gives no answer away."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from notebooks_path import NOTEBOOKS
from selenium import webdriver

# isort: split
import book

pytest_plugins = ["browser_fixtures"]
pytestmark = [pytest.mark.live, pytest.mark.slow]
PAGES = sorted(path.stem for path in NOTEBOOKS.glob("[0-9]*_*.ipynb") if path.stem != book.FIRST_PAGE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    pytest.importorskip("furo", reason="make book installs what builds the site")
    out = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, NOTEBOOKS / "book.py", "--out", out], check=True)
    return out


@pytest.fixture
def phone(browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """A browser as wide as a phone, in the dark."""
    screen = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    wish = {"name": "prefers-color-scheme", "value": "dark"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wish]})
    yield browser


def violations(browser: webdriver.Chrome) -> list[tuple[str, str]]:
    """What axe finds on the page that is open."""
    axe = pytest.importorskip("axe_core_python", reason="needs axe-core-python: make test-live installs it")
    browser.execute_script((files(axe) / "axe.min.js").read_text())
    # The page that one drags is in a frame, and has tests of its own.
    found = browser.execute_async_script("axe.run({ iframes: false }).then(arguments[0])")
    assert len(found["passes"]) > 15
    return [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]]


def test_every_page_is_accessible(site: Path, browser: webdriver.Chrome) -> None:
    """axe finds nothing, and each image has words."""
    for name in (*PAGES, "index", "teachers", "sheet"):
        browser.get((site / f"{name}.html").as_uri())
        assert (name, violations(browser)) == (name, [])


def test_every_chapter_can_be_read_on_a_phone(site: Path, phone: webdriver.Chrome) -> None:
    """The page itself needs no scrolling sideways, folded or not; axe finds nothing."""
    for name in PAGES:
        phone.get((site / f"{name}.html").as_uri())
        phone.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
        width = phone.execute_script("return document.documentElement.scrollWidth")
        assert (name, width, violations(phone)) == (name, 390, [])


def test_results_are_folded_until_they_are_opened_or_printed(site: Path, browser: webdriver.Chrome) -> None:
    """And so are the checks; on paper, nothing can be opened."""
    seen = "return [...document.querySelectorAll('details')].map((each) => each.clientHeight)"
    for name in PAGES[:-1]:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen"})
        browser.get((site / f"{name}.html").as_uri())
        text = browser.find_element("tag name", "article").text
        assert "Show what was measured" in text and "Show the check" in text, name
        assert ": it was " not in text.partition("Exercises")[0], name
        folded = browser.execute_script(seen)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert all(less < more for less, more in zip(folded, browser.execute_script(seen), strict=True)), name
