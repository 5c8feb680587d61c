"""Helpers for chapter 5."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import count
from typing import Any

from feedreader.waiting import pause
from jobqueue import Queue
from loadtests.bench.plan import Plan
from loadtests.feedserver.kinds import delay_of
from loadtests.predicting.simulation import Period, simulate_closed
from loadtests.predicting.workload import Workload
from loadtests.records.constants import RAMP_USERS_PER_S, SUBMITTERS
from loadtests.records.rows import in_window
from loadtests.servers.stack import Stack, StackSettings
from loadtests.theory import ClosedLoad
from loadtests.wording import SHORT
from workbook.readers import last_steps, read, rows_of, submit
from workbook.words import in_words

WORK_OFF_SECONDS = 2.0
STAGGER = 0.05  # seconds between two visitors
FEEDS_SEARCHED = 2000  # searched for one with a given delay
BARRIER_SECONDS = 60.0  # how long the readers wait for each other
QUICK_PAGE = 0.003  # seconds that a page takes: negligible beside a feed
STEPS = 200  # simulated

# What requests ask for, in words, with a colour from Okabe and Ito's palette and one for a number on it.
REQUEST_STYLES = {
    "submit": ("feeds added", "#007A5A", "white"),
    "page": ("pages of feeds", "#56B4E9", "black"),
    "poll": ("polls", "#E69F00", "black"),
    "browse": ("browsing", "#666666", "white"),
}


# ---- one visitor for each feed, and a request slot for each of them


def polls() -> Iterator[float]:
    """When a page polls, in seconds since the feed was submitted, while no feed waits for its turn."""
    moment = 0.0
    while True:
        moment += pause(moment)
        yield moment


def seen_at(done: float) -> float:
    """When a visitor sees content that was there after `done` seconds: at the first poll from then on."""
    return next(moment for moment in polls() if moment >= done)


def alone(apps: Sequence[str], delays: Sequence[float]) -> dict[str, list[dict[str, float]]]:
    """Submit feeds whose servers take about these `delays`, almost at once, with a slot for each of them.

    All apps are tried at the same time, each with its own stack. Returns, for each app and feed, its delay
    and when the answer and the content came, in seconds.
    """
    feeds, ready = [feed_taking(delay) for delay in delays], threading.Barrier(len(apps))

    def visits(app: str) -> list[dict[str, float]]:
        settings = StackSettings(app=app, slots=len(feeds))
        with Stack(settings) as stack, ThreadPoolExecutor(len(feeds)) as visitors:
            visit = partial(read, stack.url)
            # A process's first requests are slow, and don't count.
            list(
                visitors.map(visit, (f"{stack.feeds_url}/feeds/fast/{n}.xml" for n in range(3 * len(feeds))))
            )
            ready.wait(BARRIER_SECONDS)
            addresses = [f"{stack.feeds_url}/feeds/{kind}/{n}.xml" for kind, n in feeds]
            found = list(visitors.map(visit, addresses, count(0.0, STAGGER)))
        return [{"delay": delay_of(*feed), **times} for feed, times in zip(feeds, found, strict=True)]

    with ThreadPoolExecutor(len(apps)) as readers:
        return dict(zip(apps, readers.map(visits, apps), strict=True))


def feed_taking(seconds: float) -> tuple[str, int]:
    """Kind and number of the feed whose server takes closest to this long."""
    kind = "typical" if seconds < 2 else "slow"
    return kind, min(range(FEEDS_SEARCHED), key=lambda n: abs(delay_of(kind, n) - seconds))


# ---- many visitors


def requests_a_second(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Requests per second that visitors sent in the measured time, by app and kind."""
    rates = {}
    for step in last_steps(results).values():
        start, end = step["window_s"]
        counts = Counter(row.group for row in in_window(rows_of(results, step), start, end))
        rates[step["app"]] = {kind: counts[kind] / (end - start) for kind in REQUEST_STYLES}
    return rates


def contents_within(results: Mapping[str, Any], app: str, seconds: float) -> tuple[int, int]:
    """How many contents of the measured time came within `seconds`, and how many there were in all."""
    step = last_steps(results)[app]
    rows = in_window(rows_of(results, step), *step["window_s"])
    waits = [row.waited_ms(step["ended_s"]) for row in rows if row.group == "content"]
    return sum(wait <= 1000 * seconds for wait in waits), len(waits)


def expected_rates(plan: Plan, fetch: float, content: float) -> dict[str, float]:
    """Feeds a second that the plan's users give each app, by the closed load's law.

    `fetch`: the mean seconds that a feed holds one of the synchronous reader's slots; `content`: those that a
    visitor of the queued reader waits for its content, if no feed waits for a thread.
    """
    (users,), (slots,) = plan.users, plan.slots
    submitters = round(SUBMITTERS * users)
    return {
        "sync": ClosedLoad(slots, submitters, plan.think, fetch).throughput,
        "queued": submitters / (content + plan.think),
    }


def show_rates(
    plan: Plan,
    times: Mapping[str, Sequence[float]],
    expected: Mapping[str, float],
    results: Mapping[str, Any],
) -> None:
    """Print feeds per second: expected, simulated in steps as short as the measured ones, and measured.

    `times`: how long each app's feeds hold a slot, or keep a visitor waiting where nobody waits for one.
    """
    rates, (users,), (slots,) = requests_a_second(results), plan.users, plan.slots
    print("feeds a second  expected  95 % of such steps  measured")
    for app, rate in expected.items():
        low, high = short_steps(plan, times[app], slots if app == "sync" else users)
        chance, measured = f"{low:.1f} to {high:.1f}", rates[app]["submit"]
        print(f"{SHORT[app]:14}  {rate:8.1f}  {chance:>18}  {measured:8.1f}")


def short_steps(plan: Plan, times: Sequence[float], slots: int) -> tuple[float, float]:
    """The range of 95 % of simulated steps as short as the plan's, in feeds per second: what chance allows.

    Each feed holds one of `slots` slots for one of `times`, drawn at random.
    """
    (users,) = plan.users
    work = Workload(plan.think, SUBMITTERS, submit=max(times), page=QUICK_PAGE, browse=QUICK_PAGE)
    period = Period(plan.warmup + users / RAMP_USERS_PER_S, plan.measure, RAMP_USERS_PER_S, repeats=1)

    def draw(source: random.Random) -> float:
        return source.choice(times)

    steps = [simulate_closed(work, slots, users, period, {"submit": draw}, seed) for seed in range(STEPS)]
    rates = sorted(len(step.submits) / plan.measure for step in steps)
    beyond = round(0.025 * STEPS)
    return rates[beyond], rates[-1 - beyond]


def show_processes(results: Mapping[str, Any]) -> None:
    """Print the memory and CPU of each reader's own processes, and the CPU for each feed."""
    rates = requests_a_second(results)
    for step in last_steps(results).values():
        ours = {name: of for name, of in step["processes"].items() if name.startswith(("web", "worker"))}
        for name, took in ours.items():
            said = f"{took['memory_mib']:4.0f} MiB, {took['cpu_percent']:4.1f} % of a core"
            print(f"{SHORT[step['app']]:11}  {name:10}  {said}")
        cpu = sum(took["cpu_percent"] for took in ours.values()) / 100
        each = in_words(cpu / rates[step["app"]]["submit"])
        print(f"{'':11}  CPU, divided by the feeds: about {each}")


# ---- a queue without a worker


def submit_some(workers: int, feeds: int) -> dict[str, Any]:
    """Submit feeds that come at once to a queued reader with `workers` worker processes.

    Returns how long the answers took, in seconds, and how many jobs were left a little later.
    """
    settings = StackSettings(app="queued", slots=2, workers=workers)
    with Stack(settings) as stack, closing(Queue(stack.database_url)) as queue:
        answers = [submit(stack.url, f"{stack.feeds_url}/feeds/fast/{n}.xml") for n in range(feeds)]
        until = time.monotonic() + WORK_OFF_SECONDS
        while queue.jobs() and time.monotonic() < until:
            time.sleep(0.05)
        return {"answers_s": answers, "jobs_left": len(queue.jobs())}
