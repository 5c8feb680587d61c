"""The page that one drags, in a browser.

A test module that needs it sets `pytest_plugins = ["browser_fixtures", "slots_fixtures"]`.
"""

from collections.abc import Iterator

import pytest
from selenium import webdriver
from slots_visitor import Page


@pytest.fixture
def page(browser: webdriver.Chrome) -> Iterator[Page]:
    """The page; fails if it logged an error."""
    yield Page(browser)
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
