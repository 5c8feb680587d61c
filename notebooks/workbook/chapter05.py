"""What chapter 5 alone needs."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import count
from typing import Any

from jobqueue import Queue
from loadtests.feedserver.kinds import delay_of
from loadtests.judging.samples import in_window
from loadtests.servers.stack import Stack, StackSettings
from workbook.readers import read, rows_of, submit

FIRST_POLL, LONGEST_POLL, GROWTH = 0.3, 5.0, 1.5  # seconds; as in the page's own script
WORK_OFF_SECONDS = 2.0
STAGGER = 0.05  # seconds between two visitors
FEEDS = 2000  # among which one with a certain delay is looked for

# What requests ask for, in words, with a colour of Okabe and Ito's palette and one for a number on it.
KINDS = {
    "submit": ("feeds added", "#007A5A", "white"),
    "page": ("pages of feeds", "#56B4E9", "black"),
    "poll": ("polls", "#E69F00", "black"),
    "browse": ("browsing", "#666666", "white"),
}


# ---- one visitor for each feed, and a request slot for each of them


def pauses() -> Iterator[float]:
    """How long a page waits before it asks whether its feed is there, each time: seconds."""
    pause = FIRST_POLL
    while True:
        yield pause
        pause = min(GROWTH * pause, LONGEST_POLL)


def seen_at(done: float) -> float:
    """When a visitor sees what was there after `done` seconds: at the first poll from then on."""
    moment = 0.0
    for pause in pauses():
        moment += pause
        if moment >= done:
            break
    return moment


def alone(apps: Sequence[str], delays: Sequence[float]) -> dict[str, list[dict[str, float]]]:
    """Submit feeds whose servers take about so many seconds, all at once, with a slot for each of them.

    Returns for each app and feed its delay, and when the answer and when the content came, in seconds.
    """
    feeds = [feed_taking(delay) for delay in delays]
    seen = {}
    for app in apps:
        settings = StackSettings(app=app, slots=len(delays))
        with Stack(settings) as stack, ThreadPoolExecutor(len(delays)) as visitors:
            visit = partial(read, stack.url, pauses)
            # A process's first requests are slow: nobody looks at those.
            list(
                visitors.map(visit, (f"{stack.feeds_url}/feeds/fast/{n}.xml" for n in range(3 * len(feeds))))
            )
            addresses = [f"{stack.feeds_url}/feeds/{kind}/{n}.xml" for kind, n in feeds]
            visits = list(visitors.map(visit, addresses, count(0.0, STAGGER)))
        seen[app] = [{"delay": delay_of(*feed), **found} for feed, found in zip(feeds, visits, strict=True)]
    return seen


def feed_taking(seconds: float) -> tuple[str, int]:
    """Kind and number of a feed whose server takes nearly so long."""
    kind = "typical" if seconds < 2 else "slow"
    return kind, min(range(FEEDS), key=lambda n: abs(delay_of(kind, n) - seconds))


# ---- many visitors


def requests_a_second(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By app and kind, the requests that visitors sent in the measured time."""
    rates = {}
    for step in results["steps"]:
        start, end = step["window_s"]
        counts = Counter(row.group for row in in_window(rows_of(results, step), start, end))
        rates[step["app"]] = {kind: counts[kind] / (end - start) for kind in KINDS}
    return rates


# ---- a queue that nobody works off


def submit_some(workers: int, feeds: int) -> dict[str, Any]:
    """Submit feeds that come at once to a queued reader with so many worker processes.

    Returns how long the answers took, in seconds, and how many jobs were left a little later.
    """
    settings = StackSettings(app="queued", slots=2, workers=workers)
    with Stack(settings) as stack, closing(Queue(stack.database_url)) as queue:
        answers = [submit(stack.url, f"{stack.feeds_url}/feeds/fast/{n}.xml") for n in range(feeds)]
        until = time.monotonic() + WORK_OFF_SECONDS
        while queue.jobs() and time.monotonic() < until:
            time.sleep(0.05)
        return {"answers_s": answers, "jobs_left": len(queue.jobs())}
