"""A browser for each test.

A test module that needs it sets `pytest_plugins = ["browser_fixtures"]`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import opened_browser
from selenium import webdriver


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A browser with a fresh profile."""
    with opened_browser(tmp_path / "profile") as browser:
        yield browser
