"""Locust's page in a browser: START with the form as prefilled, and the verdict in its tab."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import wait_until
from locust_runs import command, free_port
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from loadtests.servers.processes import Process

NOT_YET = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
TAB = "//*[@role='tab'][contains(translate(., 'VERDICT', 'verdict'), 'verdict')]"

pytest_plugins = ["browser_fixtures"]
pytestmark = pytest.mark.live


def fill_in(browser: webdriver.Chrome, name: str, text: str) -> None:
    """Replace the contents of a form field, as a person does."""
    field = seen(browser, By.NAME, name)
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(text)


def seen(browser: webdriver.Chrome, by: str, what: str) -> WebElement:
    """A visible element, as soon as there is one."""
    found: list[WebElement] = []

    def there() -> bool:
        found[:] = [element for element in browser.find_elements(by, what) if element.is_displayed()]
        return bool(found)

    wait_until(patient(there), f"{what} on the page")
    return found[0]


def patient(ask: Callable[[], bool]) -> Callable[[], bool]:
    """The page is redrawn all the time: an element that vanishes while it is read is not there yet."""

    def there() -> bool:
        try:
            return ask()
        except NOT_YET:
            return False

    return there


def says(browser: webdriver.Chrome, css: str, text: str) -> None:
    """Wait until a visible element has this text."""
    wait_until(
        patient(
            lambda: any(
                element.is_displayed() and text in element.text
                for element in browser.find_elements(By.CSS_SELECTOR, css)
            )
        ),
        f"{text!r} in {css}",
    )


def click(browser: webdriver.Chrome, xpath: str) -> None:
    """Click an element as soon as it can be clicked."""

    def clicked() -> bool:
        browser.find_element(By.XPATH, xpath).click()
        return True

    wait_until(patient(clicked), f"a click on {xpath}")


def press(browser: webdriver.Chrome, name: str) -> None:
    """Click a button by its name, in any letter case."""
    lower = f"translate(normalize-space(.), '{name.upper()}', '{name.lower()}')"
    click(browser, f"//button[{lower} = '{name.lower()}']")


def asked(feeds: str) -> int:
    """How many feeds the feed server was asked for."""
    stats: dict[str, Any] = requests.get(f"{feeds}/stats", timeout=60).json()
    return sum(stats["requested"].values())


def test_start_on_the_page_as_it_comes_filled_in_tests_the_reader_that_was_started(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    """Its visitors' feeds come from the feed server that was started, and the page shows the verdict.

    A host where nothing answers is refused in the form itself.
    """
    port = free_port()
    locust = command("loadtests/feeds.py", "--app", "sync", "--web-port", port, "--stop-timeout", "1")
    with Process("locust", locust, tmp_path / "log") as process:
        feeds = process.wait_for(r"its feed server at (\S+)", timeout=60)[1]
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"), "Locust's page")
        browser.get(f"http://127.0.0.1:{port}")
        reader = str(seen(browser, By.NAME, "host").get_attribute("value"))
        assert not browser.find_elements(By.NAME, "feeds")

        fill_in(browser, "host", "http://127.0.0.1:9")
        press(browser, "start")
        says(browser, "[role=alert]", "Nothing answers at http://127.0.0.1:9")
        assert asked(feeds) == 0

        fill_in(browser, "host", reader)
        press(browser, "start")
        click(browser, TAB)
        wait_until(lambda: asked(feeds) > 5, "feeds that are fetched")
        says(browser, "#verdict table", "POST /feeds")
        says(browser, "#verdict", "A test is running")
        press(browser, "stop")
        says(browser, "#verdict", "The rule, ")
        says(browser, "#verdict", "POST /feeds")
        click(browser, "//*[@role='tab']")
        wait_until(
            patient(lambda: not browser.find_element(By.ID, "verdict").is_displayed()), "the first tab"
        )


def answers(url: str) -> bool:
    """Whether a page can be loaded."""
    try:
        return requests.get(url, timeout=60).ok
    except requests.ConnectionError:
        return False
