"""The page that one drags, in a browser: its controls, its steps, its figures."""

import math
import re

import pytest
from notebooks_path import NOTEBOOKS
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from slots_visitor import Page

# isort: split
import slotspage

pytest_plugins = ["browser_fixtures", "slots_fixtures"]

SLIDERS = {  # name: (its unit in the model, a value to choose)
    **{"visitors": (1, 20), "hanging": (0.01, 7), "deadline": (1, 12)},
    **{"slots": (1, 3), "workers": (1, 5)},
}


def test_the_one_file_is_made_of_its_parts_and_loads_nothing() -> None:
    """If not: make chapters."""
    kept = slotspage.ONE_FILE.read_text()
    assert kept == slotspage.assembled(), "not what its parts make: make chapters"
    assert not re.search(r"\b(src|href)=|@import|url\(|fetch\(|https?://", kept)
    assert "prefers-reduced-motion" in kept


def test_its_picture_is_small() -> None:
    """The README shows it."""
    assert 50_000 < slotspage.ANIMATION.stat().st_size < 1_000_000
    assert "notebooks/slots.gif" in (NOTEBOOKS.parent / "README.md").read_text()


@pytest.mark.live
@pytest.mark.parametrize("name", SLIDERS)
def test_a_slider_changes_its_setting_and_says_so(page: Page, name: str) -> None:
    """From the keyboard; and what a visitor changes is no longer a step of the story."""
    page.step(5)
    unit, target = SLIDERS[name]
    slider = page.browser.find_element(By.ID, name)
    slider.send_keys(Keys.HOME)
    least = int(slider.get_attribute("min") or 0)
    slider.send_keys(Keys.ARROW_RIGHT * (target - least))
    assert page.settings()[name] == pytest.approx(target * unit)
    assert re.match(rf"{target}\b", page.text(f"#{name}-is"))
    assert slider.get_attribute("aria-valuetext") == page.text(f"#{name}-is")
    assert not page.browser.find_elements(By.CSS_SELECTOR, "[name=step]:checked")


@pytest.mark.live
def test_each_control_changes_what_it_should(page: Page) -> None:
    """More visitors fill the slots, more slots free the line, a deadline ends what hangs."""
    page.step(2)
    page.pass_seconds(20)
    few = page.figures()
    assert few["busy"] <= few["slots"] == 8
    page.drag("visitors", 150)
    page.pass_seconds(20)
    full = page.figures()
    assert (full["busy"], full["line"] > 10) == (8, True)
    assert page.run("return model.visitors.length") == 150
    page.drag("slots", 32)
    page.pass_seconds(20)
    assert page.figures()["line"] < full["line"]
    page.drag("hanging", 30)
    page.pass_seconds(20)
    assert page.figures()["hanging"] > 10
    page.drag("deadline", 1)
    page.pass_seconds(1.1)
    assert max(page.run("return model.fetches().map((each) => model.now - each.begun)")) <= 1
    page.drag("visitors", 0)
    page.pass_seconds(30)
    assert page.run("return model.visitors.length") == 0
    assert page.figures()["busy"] == 0


@pytest.mark.live
def test_few_worker_threads_let_jobs_pile_up_and_no_request_wait(page: Page) -> None:
    """The backlog grows in the table, and shrinks with more threads."""
    page.step(5)
    page.drag("workers", 9)
    page.pass_seconds(20)
    behind = page.figures()
    assert behind["backlog"] > 5
    assert behind["performing"] == 9
    assert behind["submit"]["over"] == behind["browse"]["over"] == 0 < behind["browse"]["of"]
    page.drag("workers", 64)
    page.pass_seconds(1)
    assert page.figures()["backlog"] == 0


@pytest.mark.live
def test_the_five_steps_tell_the_story(page: Page) -> None:
    """One visitor is served, and forty are. One feed takes a slot. Eight take them all, and everybody waits.
    The queue frees the slots while the same eight hang.
    """
    stories, shown = [], []
    for step in range(1, 6):
        page.step(step)
        page.pass_seconds(12 if step < 5 else 4)  # what was before the queue is not held against it
        stories.append(page.text("#story"))
        shown.append(page.figures())
    assert [figures["hanging"] for figures in shown] == [0, 0, 1, 8, 8]
    assert [figures["queued"] for figures in shown] == [False] * 4 + [True]
    assert shown[1]["browse"]["over"] == 0 < shown[1]["browse"]["of"]
    eight, queue = shown[3], shown[4]
    assert (eight["busy"], eight["line"]) == (8, 32)
    assert eight["browse"]["over"] == eight["browse"]["of"] > 0
    assert queue["browse"]["over"] == queue["submit"]["over"] == queue["line"] == 0
    assert len(set(stories)) == 5
    assert all(story.endswith(".") for story in stories)


@pytest.mark.live
def test_the_steps_can_be_taken_from_the_keyboard_and_repeated(page: Page) -> None:
    """With the arrow keys, as the choices of one group. As many feeds hang as a step says, whatever was
    before.
    """
    page.step(3)
    page.browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    page.pass_seconds(8)
    assert page.text("[name=step]:checked + span") == "4. Eight hang"
    assert page.figures()["hanging"] == 8
    page.drag("deadline", 1)
    page.pass_seconds(5)
    assert page.figures()["hanging"] == 0
    page.step(4)
    page.pass_seconds(40)
    assert page.figures()["hanging"] == 8  # again, since those of before were given up
    for step, hanging in ((4, 8), (4, 8), (3, 1), (5, 8), (2, 0)):
        page.step(step)
        page.pass_seconds(8)
        assert page.figures()["hanging"] == hanging


@pytest.mark.live
def test_a_button_hangs_a_feed_and_a_switch_changes_the_reader(page: Page) -> None:
    """Each press takes one more slot; with the queue, a thread."""
    page.step(2)
    for number in (1, 2, 3):
        page.browser.find_element(By.ID, "hang").click()
        page.pass_seconds(3)
        assert page.figures()["hanging"] == number
    page.browser.find_element(By.CSS_SELECTOR, "[value=queued]").click()
    assert page.figures()["hanging"] == page.figures()["submit"]["of"] == 0  # nothing of the other reader's
    page.browser.find_element(By.ID, "hang").click()
    page.pass_seconds(3)
    assert page.run("return model.threads.filter((job) => job?.feed === Infinity).length") == 1
    assert page.run("return model.slots.filter((request) => request?.feed === Infinity).length") == 0


@pytest.mark.live
def test_the_figures_shown_are_those_of_the_requests(page: Page) -> None:
    """Counted here from what the model told: answered in ten seconds, or waiting for over half a second."""
    page.run(
        "window.told = []; const before = model.tell;"
        "model.tell = (what, whom) => { before(what, whom); if (what === 'asked') told.push(whom); }"
    )
    page.drag("visitors", 60)
    page.drag("hanging", 5)
    page.drag("deadline", 5)
    for _ in range(5):
        page.pass_seconds(7)
        page.run("show()")
        now, told = page.run("return [model.now, told.map(({ kind, at, took }) => [kind, at, took ?? null])]")
        for kind, shown in (("submit", "#submit-over dd"), ("browse", "#browse-over dd")):
            mine = [(at, took) for name, at, took in told if name == kind]
            over = [took > 0.5 for at, took in mine if took is not None and at + took > now - 10]
            over += [True for at, took in mine if took is None and now - at > 0.5]
            assert page.text(shown) == f"{math.floor(100 * sum(over) / len(over) + 0.5)} %"
    page.step(5)
    page.drag("workers", 8)
    page.pass_seconds(10)
    page.run("show()")
    assert page.text("#backlog-is dd") == str(page.run("return model.table.length"))
