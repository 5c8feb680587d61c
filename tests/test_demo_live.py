"""The demo with real readers: its page in a browser, its screen in a terminal, and that nothing is left."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import psutil
import pytest
from browsing import opened_browser
from conftest import still_running, wait_until
from selenium import webdriver
from selenium.webdriver.common.by import By

from loadtests.judging.rule import RULED
from loadtests.records.recording import Recording, read_recording
from loadtests.records.rows import Row
from loadtests.servers.processes import Process

pytestmark = pytest.mark.live
COMMAND = (sys.executable, "-m", "loadtests", "demo", "--minutes", "5")


@contextmanager
def running(*options: object, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """The demo; whatever happens in the block, it and all that it started are gone after it."""
    command = [*COMMAND, *map(str, options)]
    # NiceGUI would take itself for a test's own.
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    env["TERM"] = "xterm"
    with subprocess.Popen(command, text=True, stderr=subprocess.STDOUT, env=env, **more) as process:
        try:
            yield process
        finally:
            process.kill()


def started_by(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All processes of the demo: two feed servers, two readers with their slots, a worker, two generators."""
    found = psutil.Process(process.pid).children(recursive=True)
    assert len(found) > 2 * (1 + 8 + 1) + 1
    return found


def wait_for_line(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first line of its output that holds the pattern."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found := re.search(pattern, line):
            return found
    pytest.fail(f"no {pattern} in {lines}")


class Shown:
    """The page, as somebody at it sees and uses it."""

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        self.browser, self.address = browser, address
        browser.get(address)
        wait_until(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".reader")) == 2, "two readers")

    def run(self, script: str, *arguments: object) -> Any:
        return self.browser.execute_script(script, *arguments)

    def all(self, selector: str) -> list[str]:
        """The texts of all elements, read at once: the page changes all the time."""
        texts: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map(each => each.innerText)", selector
        )
        return texts

    def count(self, selector: str) -> int:
        return len(self.all(selector))

    def slide(self, label: str, value: int) -> None:
        """Move a slider, and wait until the page says so."""
        self.run(
            "const slider = document.querySelector(`input[aria-label^='${arguments[0]}']`);"
            "slider.value = arguments[1];"
            "for (const name of ['input', 'change']) slider.dispatchEvent(new Event(name))",
            *(label, value),
        )
        figure = f"{label}\n{value}"
        wait_until(lambda: any(text.startswith(figure) for text in self.all(".control")), figure)

    def press(self, button: str) -> None:
        self.browser.find_element(By.XPATH, f"//button[contains(., '{button}')]").click()

    def dots(self) -> list[list[tuple[float, float | None, str]]]:
        """The dots that each reader's picture holds now."""
        found: list[list[tuple[float, float | None, str]]] = self.run(
            "return [...document.querySelectorAll('.reader')].map("
            "each => getElement(Number(each.id.slice(1))).dots)"
        )
        return found


def test_the_page_until_it_is_closed(tmp_path: Path) -> None:
    """One demo for all that is looked at: to start it takes some seconds."""
    pytest.importorskip("nicegui")
    rows = tmp_path / "rows"
    with (
        opened_browser(tmp_path / "profile") as browser,
        running("--port", 0, "--no-browser", "--rows", rows, stdout=subprocess.PIPE) as demo,
    ):
        shown = Shown(browser, wait_for_line(demo, r"http://[\d.:]+")[0])
        it_loads_nothing_from_elsewhere(shown)
        for width in (390, 1280, 1920):
            it_fits_and_is_accessible(shown, width)
        each_control_changes_what_it_should(shown)
        a_step_of_the_tour_sets_everything(shown)
        when_it_is_closed_the_demo_ends_and_its_dots_were_the_rows(shown, demo, rows)
        assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def it_loads_nothing_from_elsewhere(shown: Shown) -> None:
    """It works without a network."""
    loaded = shown.run("return performance.getEntriesByType('resource').map(each => each.name)")
    assert len(loaded) > 5 and all(name.startswith((shown.address, "data:")) for name in loaded)


def it_fits_and_is_accessible(shown: Shown, width: int) -> None:
    """Nothing needs scrolling sideways, and axe finds nothing."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    shown.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert shown.run("return document.documentElement.scrollWidth") <= width
    shown.run((files("axe_core_python") / "axe.min.js").read_text())
    found = shown.browser.execute_async_script("axe.run().then(arguments[0])")
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]] == []


def each_control_changes_what_it_should(shown: Shown) -> None:
    """What is seen of the readers changes, not only the slider."""
    shown.slide("Slow feeds", 0)
    shown.slide("Hanging feeds", 0)
    shown.slide("Visitors", 10)
    wait_until(
        lambda: "10 + 10 visitors" in shown.all("footer")[0] or "limit" in shown.all("footer")[0], "10"
    )
    shown.slide("Deadline", 3)
    shown.slide("Worker threads", 12)
    wait_until(lambda: shown.count(".queued .threads i") == 12, "12 threads")
    shown.press("Hang ten feeds now")
    wait_until(lambda: shown.count(".sync .slots .held, .sync .slots .stuck") == 8, "no free slot")
    assert shown.count(".queued .slots .stuck") == 0
    wait_until(lambda: shown.count(".sync .slots .stuck") > 4, "slots that are stuck")
    wait_until(lambda: shown.count(".sync .slots .stuck") == 0, "the deadline")
    shown.slide("Hanging feeds", 50)
    wait_until(lambda: shown.count(".sync .slots .stuck") > 2, "slots that are stuck again")
    shown.slide("Hanging feeds", 0)
    shown.slide("Slow feeds", 50)
    shown.slide("Deadline", 10)
    wait_until(
        lambda: "3 s" in shown.all(".sync .slots li"), "a feed that takes longer than the deadline before"
    )
    shown.press("Kill the worker now")
    wait_until(lambda: shown.count(".threads.gone"), "no worker")
    wait_until(lambda: shown.count(".queued .jobs i") > 2, "jobs that wait")
    shown.press("Start a worker")
    wait_until(lambda: not shown.count(".queued .jobs i"), "no job that waits")
    shown.slide("Visitors", 0)
    wait_until(lambda: not shown.count(".sync .slots .held, .sync .slots .stuck"), "free slots")


def a_step_of_the_tour_sets_everything(shown: Shown) -> None:
    """And says in a sentence what is to be seen."""
    shown.browser.find_element(By.CSS_SELECTOR, "nav button:nth-child(4)").click()
    wait_until(lambda: shown.all(".title") == ["Eight feeds hang"], "the step")
    assert shown.all("nav button[aria-pressed=true]") == ["4"]
    assert [text.split("\n")[1] for text in shown.all(".control")] == ["40", "0 %", "0 %", "10 s", "32"]
    wait_until(lambda: shown.count(".sync .slots .stuck") > 4, "slots that are stuck")
    wait_until(lambda: shown.count(".sync .share.bad") and shown.count(".sync .line i"), "those that wait")
    shown.press("Tour")
    wait_until(lambda: shown.all(".title") == ["One visitor"], "the first step")
    wait_until(lambda: re.fullmatch(r"Tour: \d+ s", shown.all("nav button")[-1]), "the time left")


def when_it_is_closed_the_demo_ends_and_its_dots_were_the_rows(
    shown: Shown, demo: subprocess.Popen[str], folder: Path
) -> None:
    """Each dot is a request as the load generator recorded it. No process is left; status 0."""
    drawn = shown.dots()
    children = started_by(demo)
    shown.browser.get("about:blank")
    assert demo.wait(60) == 0
    assert not still_running(children)
    for app, dots in zip(("sync", "queued"), drawn, strict=True):
        recording = read_recording(folder / f"{app}.csv")
        assert len([dot for dot in dots if dot[2] in RULED]) > 5
        for dot in dots:
            assert any(is_drawn(row, recording, *dot) for row in recording.rows), dot


def is_drawn(row: Row, recording: Recording, at: float, ms: float | None, group: str) -> bool:
    """Whether a dot is this row's. Files hold microseconds."""
    if row.group != group or abs(recording.started_at + row.intended_s - at) > 1e-5:
        return False
    return row.failed if ms is None else abs(row.waited_ms(recording.ended_s) - ms) < 0.01


@pytest.mark.parametrize("kind", ["slow", "hang"])
def test_visitors_submit_the_feeds_that_were_ordered(tmp_path: Path, kind: str) -> None:
    """And no others, as those from whom they inherit would."""
    script = f"""
from types import SimpleNamespace
from locust.env import Environment
from loadtests.demo.visitors import Guest
options = SimpleNamespace(feeds_mix={{"typical": 0, "{kind}": 100}}, feeds_seed=1, kind="mix", seed=1)
Guest.host = "http://127.0.0.1:9"
guest = Guest(Environment(parsed_options=options))
guest.visit = lambda kind, number: print(kind)
for task in Guest.tasks * 5:
    task(guest)
"""
    with Process("script", [sys.executable, "-W", "ignore", "-c", script], tmp_path / "log") as process:
        assert process.wait_with(lambda: None, timeout=60) == 0, process.output()
        assert process.output().split() == [kind] * 5


def test_in_a_terminal_keys_change_it_and_ctrl_c_ends_it() -> None:
    """80 columns; the terminal is as it was before."""
    ours, theirs = pty.openpty()
    with running("--text", "--tour", stdin=theirs, stdout=theirs) as process:
        os.close(theirs)
        os.set_blocking(ours, False)
        text = ""

        def holds(what: str) -> bool:
            nonlocal text
            with contextlib.suppress(OSError):  # nothing new, or its end
                text += os.read(ours, 2**16).decode(errors="replace")
            return what in text

        wait_until(lambda: holds("Synchronous reader"), "the screen")
        wait_until(lambda: holds("One visitor"), "the tour")
        os.write(ours, b"VVT")
        wait_until(lambda: holds("visitors 21") and holds("threads 40"), "more visitors and threads")
        children = started_by(process)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: holds("Stopped.") or process.poll() is not None, "the end")
        assert process.wait(60) == 0
    os.close(ours)
    assert not still_running(children)


def test_without_a_terminal_it_prints_lines_and_kill_9_leaves_nothing() -> None:
    """The guards end what their starter can't."""
    with running("--text", "--visitors", 3, stdout=subprocess.PIPE) as process:
        shown = r"left  queued .* over 500 ms, \d of 8 slots, \d+ in line, \d+ jobs wait"
        wait_for_line(process, rf"^\d+:\d\d {shown}$")
        children = started_by(process)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    wait_until(lambda: not still_running(children), "the end of all processes")
