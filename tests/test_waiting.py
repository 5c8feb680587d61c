"""When a page asks again for a feed that is being fetched: the rule, what it rests on, and who obeys it."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selenium import webdriver

from feedreader.waiting import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    LONGEST_SILENCE,
    RECENT,
    REMEMBERED,
    LastWaits,
    pause,
)
from loadtests.servers.processes import Process

pytest_plugins = ["browser_fixtures"]

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
SECONDS = st.floats(-1e6, 1e6)
SCRIPT = Path(__file__).parent.parent / "feedreader" / "static" / "poll.js"

# What a page is answered, as (status, ask_again_in), and how long it pauses before each time that it asks.
UNAVAILABLE, NETWORK_DOWN, FETCHED, GONE = (503, None), (0, None), (200, None), (404, None)
VISITS = [
    ([FETCHED], [0.5]),
    ([(200, 9.75), (200, 5), FETCHED], [0.5, 9.75, 5]),
    ([UNAVAILABLE, (200, 2), UNAVAILABLE, NETWORK_DOWN, FETCHED], [0.5, 0.5, 2, 2, 2]),
]


def moments(turn: float, count: int = 6) -> list[float]:
    """When a page asks, in seconds since its feed was requested."""
    found = [0.0]
    for _ in range(count):
        found.append(found[-1] + pause(found[-1], turn))
    return found[1:]


def test_a_page_asks_soon_at_first_and_then_less_and_less_often() -> None:
    """Where feeds wait for their turn, not before it, except to see whether it has come early."""
    assert moments(0) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5]
    assert moments(9) == [9, 13, 17, 21, 25, 29]
    assert moments(25) == [10, 20, 25, 29, 33, 37]


@given(SECONDS, SECONDS)
def test_a_pause_is_never_too_short_or_too_long(age: float, turn: float) -> None:
    """Whatever the clocks of several machines make of the times."""
    assert FIRST_PAUSE <= pause(age) <= LONGEST_PAUSE
    assert pause(age) <= pause(age, turn) <= LONGEST_SILENCE


@given(SECONDS, SECONDS, SECONDS)
def test_pauses_grow_with_the_age_and_with_the_turn(age: float, more: float, turn: float) -> None:
    """Unless the turn is still to come: the older a feed is, the sooner that is."""
    assert pause(age) <= pause(max(age, more))
    assert pause(age, turn) <= pause(age, max(turn, more))


@given(st.floats(0, 20))
def test_asking_makes_no_wait_much_more_than_twice_as_long(done: float) -> None:
    """By half a second, or by the longest pause, whichever is less."""
    seen = next(moment for moment in moments(0, 9) if moment >= done)
    assert seen <= min(2 * done + FIRST_PAUSE, done + LONGEST_PAUSE)


def waits(*seconds: float) -> LastWaits:
    """Waits of these seconds, each of a feed that came a millisecond after the one before, from noon on."""
    found = LastWaits()
    for n, each in enumerate(seconds):
        came = NOON + timedelta(milliseconds=n)
        found.note(came - timedelta(seconds=each), came)
    return found


def test_the_turn_is_the_least_of_the_last_waits() -> None:
    """Servers that hang make some of them long; earlier, shorter ones are forgotten."""
    assert waits(1, *[13.5, 30, 14] * REMEMBERED).turn(NOON) == 13.5


def test_a_few_waits_say_nothing() -> None:
    """One visitor's feeds may all have slow servers."""
    assert waits(*[30] * (REMEMBERED - 1)).turn(NOON) == 0
    assert waits(*[30] * REMEMBERED).turn(NOON) == 30


def test_a_feed_that_somebody_keeps_asking_for_counts_once() -> None:
    """Otherwise a single slow feed would slow down all pages."""
    found = LastWaits()
    for _ in range(3 * REMEMBERED):
        found.note(NOON, NOON + timedelta(seconds=30))
    assert found.turn(NOON) == 0


def test_waits_are_soon_forgotten() -> None:
    """No line lasts for ever."""
    found = waits(*[30] * REMEMBERED)
    assert found.turn(NOON + RECENT - timedelta(milliseconds=1)) == 30
    assert found.turn(NOON + RECENT) == 0


PLAY = """
const [script, answers, ended] = arguments;
const pauses = [];
const page = { querySelector: () => ({ dataset: { poll: "/feeds/1.json", askAgainIn: "0.5" } }) };
async function fetch(address) {
  const [status, body] = answers.shift();
  if (address !== "/feeds/1.json" || !status) throw new TypeError("Failed to fetch");
  return new Response(body, { status });
}
function setTimeout(call, ms) { pauses.push(ms / 1000); call(); }
const reloaded = { reload: () => ended(pauses) };
new Function("document", "fetch", "setTimeout", "location", script)(page, fetch, setTimeout, reloaded);
"""


def body(status: int, again: float | None) -> str:
    """What the reader, or a proxy, answers with this status."""
    if status >= 500:
        return "<h1>Service Unavailable</h1>"
    return json.dumps({"status": "ready"} if again is None else {"status": "pending", "ask_again_in": again})


@pytest.mark.live
@pytest.mark.parametrize(("answers", "pauses"), [*VISITS, ([GONE], [0.5])])
def test_the_script_asks_when_it_is_told_and_then_reloads_the_page(
    browser: webdriver.Chrome, answers: list[Any], pauses: list[float]
) -> None:
    """Without an answer it asks again after the same pause. Reloading also shows that a feed is gone."""
    answered = [(status, body(status, again)) for status, again in answers]
    assert browser.execute_async_script(PLAY, SCRIPT.read_text(), answered) == pauses


@pytest.mark.live
@pytest.mark.parametrize(("answers", "pauses"), VISITS)
def test_the_load_asks_when_it_is_told(tmp_path: Path, answers: list[Any], pauses: list[float]) -> None:
    """The load tests' visitors cost the server what a browser would."""
    page = '<p data-poll="/feeds/1.json" data-ask-again-in="0.5">The feed is being fetched.</p>'
    shown = [(200, page), *((status, body(status, again)) for status, again in answers), (404, "")]
    script = f"""
from types import SimpleNamespace
import locust
from loadtests import feeds
feeds.gevent = SimpleNamespace(sleep=print)
answers = iter({shown!r})
def ask(*_):
    status, body = next(answers)
    return SimpleNamespace(status_code=status, content=body.encode())
feeds.Submitter.read(SimpleNamespace(ask=ask), "/feeds/1", "typical", 1, SimpleNamespace())
"""
    path = tmp_path / "script.py"
    path.write_text(script)
    with Process("script", [sys.executable, "-W", "ignore", str(path)], tmp_path / "log") as process:
        assert process.wait_with(lambda: None, timeout=60) == 0, process.output()
        assert [float(line) for line in process.output().splitlines()] == pauses
