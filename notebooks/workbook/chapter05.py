"""What chapter 5 alone needs."""

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

from jobqueue import Queue
from loadtests.bench.plan import RAMP_USERS_PER_S, SUBMITTERS, Plan
from loadtests.feedserver.kinds import delay_of
from loadtests.judging.samples import in_window
from loadtests.predicting.simulation import Period, simulate_closed
from loadtests.predicting.workload import Workload
from loadtests.servers.stack import Stack, StackSettings
from loadtests.wording import SHORT
from workbook.readers import read, rows_of, submit
from workbook.words import in_words

FIRST_POLL, LONGEST_POLL, GROWTH = 0.3, 5.0, 1.5  # seconds; as in the page's own script
WORK_OFF_SECONDS = 2.0
STAGGER = 0.05  # seconds between two visitors
FEEDS = 2000  # among which one with a certain delay is looked for
READY_SECONDS = 60.0  # the readers wait so long for one another
QUICK = 0.003  # seconds that a page takes: of no weight beside a feed
STEPS = 200  # simulated

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

    All apps at the same time, each with a stack of its own. Returns for each app and feed its delay, and when
    the answer and when the content came, in seconds.
    """
    feeds, ready = [feed_taking(delay) for delay in delays], threading.Barrier(len(apps))

    def visits(app: str) -> list[dict[str, float]]:
        settings = StackSettings(app=app, slots=len(feeds))
        with Stack(settings) as stack, ThreadPoolExecutor(len(feeds)) as visitors:
            visit = partial(read, stack.url, pauses)
            # A process's first requests are slow: nobody looks at those.
            list(
                visitors.map(visit, (f"{stack.feeds_url}/feeds/fast/{n}.xml" for n in range(3 * len(feeds))))
            )
            ready.wait(READY_SECONDS)
            addresses = [f"{stack.feeds_url}/feeds/{kind}/{n}.xml" for kind, n in feeds]
            found = list(visitors.map(visit, addresses, count(0.0, STAGGER)))
        return [{"delay": delay_of(*feed), **times} for feed, times in zip(feeds, found, strict=True)]

    with ThreadPoolExecutor(len(apps)) as readers:
        return dict(zip(apps, readers.map(visits, apps), strict=True))


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


def show_rates(
    plan: Plan,
    times: Mapping[str, Sequence[float]],
    expected: Mapping[str, float],
    results: Mapping[str, Any],
) -> None:
    """Print the feeds a second: expected, in steps as short as the measured ones, and measured.

    `times`: how long each app's feeds hold a slot, or keep a visitor waiting where nobody waits for one.
    """
    rates, (users,), (slots,) = requests_a_second(results), plan.users, plan.slots
    print("feeds a second  expected  95 % of such steps  measured")
    for app, rate in expected.items():
        low, high = short_steps(plan, times[app], slots if app == "sync" else users)
        chance, measured = f"{low:.1f} to {high:.1f}", rates[app]["submit"]
        print(f"{SHORT[app]:14}  {rate:8.1f}  {chance:>18}  {measured:8.1f}")


def short_steps(plan: Plan, times: Sequence[float], slots: int) -> tuple[float, float]:
    """What chance does to steps as short as those of the plan: 95 % of simulated ones lie between.

    In feeds a second, if each of its feeds holds one of so many slots for one of these times.
    """
    (users,) = plan.users
    work = Workload(plan.think, SUBMITTERS, post=max(times), page=QUICK, browse=QUICK)
    period = Period(plan.warmup + users / RAMP_USERS_PER_S, plan.measure, RAMP_USERS_PER_S, repeats=1)

    def draw(source: random.Random) -> float:
        return source.choice(times)

    steps = [simulate_closed(work, slots, users, period, {"post": draw}, seed) for seed in range(STEPS)]
    rates = sorted(len(step.posts) / plan.measure for step in steps)
    beyond = round(0.025 * STEPS)
    return rates[beyond], rates[-1 - beyond]


def show_processes(results: Mapping[str, Any]) -> None:
    """Print what the reader's own processes took, and the CPU for each feed."""
    rates = requests_a_second(results)
    for step in sorted(results["steps"], key=lambda step: tuple(SHORT).index(step["app"])):
        ours = {name: of for name, of in step["processes"].items() if name.startswith(("web", "worker"))}
        for name, took in ours.items():
            said = f"{took['memory_mib']:4.0f} MiB, {took['cpu_percent']:4.1f} % of a core"
            print(f"{SHORT[step['app']]:11}  {name:10}  {said}")
        cpu = sum(took["cpu_percent"] for took in ours.values()) / 100
        each = in_words(cpu / rates[step["app"]]["submit"])
        print(f"{'':11}  CPU, divided by the feeds: about {each}")


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
