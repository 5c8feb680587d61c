"""What chapter 11 computes from rows: the feeds that were drawn, and how many visitors waited."""

import gzip
import json
from typing import Any

import pytest
import requests
from notebooks_path import NOTEBOOKS
from workbook.chapter11 import running_twin, submitted, waiting

from loadtests.feedserver.documents import has_entries_of
from loadtests.records.rows import HEADER

LINES = [
    # With seed 1, visitor 0's first two feeds take 0.18 s and 0.44 s; visitor 6's first hangs.
    "0,submit,/feeds,1.0,1.0,2.0,303,",
    "0,submit,/feeds,3.0,3.0,4.0,303,",
    "0,browse,/,3.0,3.0,4.0,200,",
    "6,submit,/feeds,3.5,3.5,,0,",
    "6,submit,/feeds,9.5,9.5,,0,",
]


@pytest.fixture
def results() -> dict[str, Any]:
    """A step of the synchronous reader, counted from second 2 to second 6."""
    rows = "\n".join([",".join(HEADER), *LINES]) + "\n"
    step = {"app": "sync", "rows": "rows.csv", "window_s": [2.0, 6.0], "ended_s": 8.0}
    mix = {"typical": 80, "slow": 15, "hang": 5}
    return {"steps": [step], "csv": {"rows.csv": rows}, "settings": {"deadline_s": 3, "mix": mix}}


def test_the_feeds_of_a_step_are_those_that_its_visitors_drew(results: dict[str, Any]) -> None:
    """Each visitor's in order, even if the first is not counted; a hang lasts until the deadline."""
    assert [round(delay, 2) for _, delay in submitted(results, "sync")] == [0.44, 3]


def test_who_waits_counts_for_as_long_as_it_does_within_the_counted_time(results: dict[str, Any]) -> None:
    """One submit waits for one second, and an unanswered one for 2.5 s until the end; over four seconds."""
    assert waiting(results, "sync") == (1.0 + 2.5) / 4


@pytest.mark.parametrize(("name", "app"), [("threads-and-queue", "sync"), ("async-twin", "host")])
def test_no_recorded_answer_came_before_its_feed(name: str, app: str) -> None:
    """Half of them came soon after it, so the feeds are the right ones."""
    recorded = json.loads(gzip.decompress((NOTEBOOKS / "data" / f"11-{name}.json.gz").read_bytes()))["result"]
    later = sorted(
        row.done_s - row.intended_s - delay
        for row, delay in submitted(recorded, app)
        if row.done_s is not None
    )
    assert later[0] > 0
    assert later[len(later) // 2] < 0.1


@pytest.mark.live
def test_the_twin_shows_what_visitors_look_for() -> None:
    """Else its load is not fit to judge by."""
    with running_twin(deadline=30) as twin:
        feed = {"url": f"{twin.feeds_url}/feeds/fast/7.xml"}
        assert has_entries_of(7, requests.post(f"{twin.url}/feeds", feed, timeout=60).content)
