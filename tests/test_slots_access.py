"""The page that one drags is for everybody: on each screen, in the dark, without motion, without eyes."""

import re
from importlib.resources import files
from itertools import pairwise

import pytest
from contrast import contrast
from selenium.webdriver.common.by import By
from slots_visitor import WIDTHS, Page

pytest_plugins = ["browser_fixtures", "slots_fixtures"]
pytestmark = pytest.mark.live


def test_a_screen_reader_hears_what_is_seen_but_not_of_every_request(page: Page) -> None:
    """The picture's label is always true; what is announced changes when the picture does."""
    listen = """
const heard = [];
for (let n = 0; n < 6 * 30; n++) {
  const before = find("said").textContent;
  tick(1 / 30);
  if (find("said").textContent !== before) heard.push([model.now, find("said").textContent]);
}
return heard;
"""
    heard = []
    for step in (4, 5) * 5:
        page.step(step)
        heard += page.run(listen)
    assert re.search(r"8 of 8 slots are held, \d+ requests wait in line. 8 feeds hang.", heard[0][1])
    assert len(heard) > 2
    assert min(later - at for (at, _), (later, _) in pairwise(heard)) >= 10
    label = page.browser.find_element(By.ID, "scene").get_attribute("aria-label")
    assert label == page.run("return inWords(record.figures(model))")


def test_a_pause_stops_everything_and_calm_pictures_jump(page: Page) -> None:
    """With reduced motion the dots are drawn where they belong, twice a second."""
    frames = (
        "let at = performance.now(); for (let n = 0; n < 30; n++) nextFrame((at += 50)); return model.now"
    )
    assert page.run(frames) > 1
    page.browser.find_element(By.ID, "pause").click()
    stopped = page.run("return model.now")
    assert page.run(frames) == stopped
    page.browser.find_element(By.ID, "pause").click()
    assert page.run(frames) > stopped
    page.open(still=True)
    page.step(4)
    page.run(
        "window.pictures = 0; const draw = scene.draw;"
        "scene.draw = (...all) => { pictures++; draw.apply(scene, all); }"
    )
    page.pass_seconds(10)
    assert 18 <= page.run("return pictures") <= 21
    assert page.run("return [...scene.dots.values()].every((dot) => dot.via.length === 0 && !dot.far)")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_and_is_accessible(page: Page, width: int, dark: bool) -> None:
    """No step needs scrolling sideways; axe finds nothing."""
    page.open(width, dark)
    axe = pytest.importorskip("axe_core_python", reason="needs axe-core-python: make test-live installs it")
    page.run((files(axe) / "axe.min.js").read_text())
    for step in range(1, 6):
        page.step(step)
        page.pass_seconds(6)
        assert page.run("return document.documentElement.scrollWidth") <= page.run("return innerWidth")
        if step not in (1, 5):
            continue  # what axe reads differs between the readers only
        found = page.browser.execute_async_script("axe.run().then(arguments[0])")
        assert len(found["passes"]) > 15
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []


@pytest.mark.parametrize("dark", [False, True])
def test_what_is_drawn_has_contrast(page: Page, dark: bool) -> None:
    """axe does not look into the pictures: words need 4.5, shapes 3."""
    page.open(dark=dark)
    colours = page.run("return { ...colours }")
    for least, names in ((4.5, ("text", "soft", "bad", "sync", "queued", "browse")), (3, ("edge",))):
        assert all(contrast(colours[name], colours["page"]) >= least for name in names)
