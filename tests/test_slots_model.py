"""The model of the page that one drags (notebooks/slots/model.js) follows the simulation's rules.

It runs in a browser, as on the page. Both are given the same times of feeds, and must agree within the
statistical error of many short runs.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import pytest
from notebooks_path import NOTEBOOKS
from selenium import webdriver

from feedreader.waiting import FIRST_PAUSE, LONGEST_PAUSE
from loadtests.bench.plan import Plan
from loadtests.feedserver.kinds import delay_of, kind_of
from loadtests.predicting.simulation import MIX_SAMPLE, Draw, Period, Simulated, feed_service, simulate_closed
from loadtests.predicting.workload import Workload, submitters_among
from loadtests.records.constants import SUBMITTERS

pytest_plugins = ["browser_fixtures"]
pytestmark = pytest.mark.live

RUNS, WARMUP, MEASURE = 50, 20.0, 60.0  # seconds
ERRORS = 4  # standard errors between the two means: by chance, less than one comparison in ten thousand
PRECISE, TINY = 0.05, 0.002  # a figure's standard error at most, or the comparison would show nothing

SYNC = Workload(think=2.0, submitters=0.7, submit=1.0, page=0.02, browse=0.01)
QUEUED = Workload(think=2.0, submitters=0.7, submit=0.1, page=0.05, browse=0.05, poll=0.05)
AT_ONCE = {"firstPause": 0.01, "longestPause": 0.02}  # the page asks so often that a visit ends with its job

RUN = """
const [settings, work, times, runs, warmup, measure] = arguments;
const feed = (random) => times[Math.floor(random() * times.length)] ?? Infinity; // null: it hangs
const found = [];
for (let seed = 1; seed <= runs; seed++) {
  const seen = { submit: [], wait: [], other: [], over: [], ended: 0, polls: 0, job: [] };
  const tell = (what, whom) => {
    const counts = warmup <= whom?.at && whom.at < warmup + measure;
    if (what === "finished" && counts) seen.job.push(model.now - whom.at);
    if (what !== "answered") return;
    const done = whom.at + whom.took;
    seen.ended += warmup <= done && done < warmup + measure;
    if (!counts) return;
    if (whom.kind === SUBMIT) {
      seen.submit.push(whom.took);
      seen.wait.push(whom.begun - whom.at);
      seen.over.push(whom.took > RULE);
    } else seen.other.push(whom.took);
    seen.polls += whom.kind === POLL;
  };
  const model = new Model(settings, { tell, work: { ...WORK, ...work }, feed, seed });
  model.advance(warmup + measure + 60); // so that those in flight are answered
  found.push(seen);
}
const mean = (values) => values.reduce((sum, value) => sum + Number(value), 0) / values.length;
return found.map(({ submit, wait, other, over, ended, polls, job }) => ({
  submit: mean(submit), wait: mean(wait), other: mean(other), over: mean(over), job: mean(job),
  p95: submit.sort((a, b) => a - b)[Math.ceil(0.95 * submit.length) - 1],
  throughput: ended / measure, polls: polls / submit.length,
}));
"""


@pytest.fixture
def page(browser: webdriver.Chrome) -> webdriver.Chrome:
    """The page's scripts, loaded."""
    browser.get((NOTEBOOKS / "slots.html").as_uri())
    return browser


def delays_of(mix: Mapping[str, float]) -> list[float | None]:
    """How long the feeds from which the simulation draws take; None for those that hang."""
    delays = [delay_of(kind_of(n, mix), n) for n in range(MIX_SAMPLE)]
    return [delay if math.isfinite(delay) else None for delay in delays]


def fetches_of(mix: Mapping[str, float], deadline: float) -> Draw:
    """The simulation's time of a fetch, as in a perfect reader: no longer than its feed takes."""
    mean = fmean(deadline if delay is None else min(delay, deadline) for delay in delays_of(mix))
    return feed_service(mix, deadline, mean)


def modelled(
    page: webdriver.Chrome,
    settings: Mapping[str, Any],
    work: Mapping[str, float],
    times: Sequence[float | None],
) -> dict[str, list[float]]:
    """{figure: its value in each run} of the page's model."""
    runs = page.execute_script(RUN, settings, work, times, RUNS, WARMUP, MEASURE)
    return {name: [run[name] for run in runs] for name in runs[0]}


def simulated(
    work: Workload, slots: int, users: int, draws: Mapping[str, Draw] | None = None, names: Iterable[str] = ()
) -> dict[str, list[float]]:
    """{figure: its value in each run} of the project's simulation."""
    period = Period(WARMUP, MEASURE, repeats=1)
    runs = [simulate_closed(work, slots, users, period, draws, seed) for seed in range(1, RUNS + 1)]
    return {name: [FIGURES[name](run) for run in runs] for name in names or FIGURES}


FIGURES: dict[str, Callable[[Simulated], float]] = {
    "submit": lambda run: fmean(run.submits),
    "wait": lambda run: fmean(run.waits),
    "other": lambda run: fmean(run.others),
    "over": lambda run: fmean(seconds > 0.5 for seconds in run.submits),
    "p95": lambda run: run.figures()["p95_ms"] / 1000,
    "throughput": lambda run: run.throughput,
}


def error(values: list[float]) -> float:
    """The standard error of their mean."""
    return stdev(values) / math.sqrt(len(values))


def assert_agree(one: Mapping[str, list[float]], other: Mapping[str, list[float]], *names: str) -> None:
    """The means of these figures differ by no more than chance."""
    for name in names:
        errors = error(one[name]), error(other[name])
        print(f"{name}: {fmean(one[name]):.4f} ± {errors[0]:.4f}, {fmean(other[name]):.4f} ± {errors[1]:.4f}")
        assert max(errors) < PRECISE * fmean(other[name]) + TINY, name
        assert abs(fmean(one[name]) - fmean(other[name])) <= ERRORS * math.hypot(*errors), name


@pytest.mark.parametrize(
    ("users", "slots", "hanging", "deadline"),
    [(5, 2, 0, 10.0), (25, 8, 0, 10.0), (80, 8, 5, 5.0), (40, 32, 20, 10.0), (100, 16, 5, 2.0)],
)
def test_the_synchronous_reader_is_as_slow_as_in_the_simulation(
    page: webdriver.Chrome, users: int, slots: int, hanging: int, deadline: float
) -> None:
    """With few visitors and many, from idle slots to full ones."""
    mix = {"typical": 100 - hanging, "hang": hanging}
    settings = {"visitors": users, "slots": slots, "deadline": deadline}
    mine = modelled(page, settings, {"page": SYNC.page, "browse": SYNC.browse}, delays_of(mix))
    theirs = simulated(SYNC, slots, users, {"submit": fetches_of(mix, deadline)})
    assert_agree(mine, theirs, *FIGURES)


@pytest.mark.parametrize(("users", "slots"), [(20, 2), (60, 5)])
def test_the_queued_readers_slots_are_as_busy_as_in_the_simulation(
    page: webdriver.Chrome, users: int, slots: int
) -> None:
    """The simulation is told how often pages polled: here always about 2.5 times. The requests take long
    enough for a line.
    """
    work = {kind: getattr(QUEUED, kind) for kind in ("submit", "page", "poll", "browse")}
    settings = {"visitors": users, "slots": slots, "workers": 1000, "queued": True}
    mine = modelled(page, settings, {**work, "firstPause": 0.5, "longestPause": 0.5}, [1.25])
    polls = fmean(mine["polls"])
    told = replace(QUEUED, polls=polls, pause=0.5 * polls)
    assert_agree(mine, simulated(told, slots, users), *FIGURES)


@pytest.mark.parametrize(("users", "threads", "hanging"), [(12, 2, 0), (30, 8, 5)])
def test_jobs_wait_for_a_thread_as_requests_would_for_a_slot(
    page: webdriver.Chrome, users: int, threads: int, hanging: int
) -> None:
    """A worker of c threads is a server of c slots, in which only feeds are fetched."""
    mix = {"typical": 100 - hanging, "hang": hanging}
    instant = dict.fromkeys(("submit", "page", "poll", "browse"), 1e-6)
    settings = {"visitors": users, "slots": 32, "workers": threads, "deadline": 5, "queued": True}
    mine = modelled(page, settings, {**instant, **AT_ONCE, "submitters": 1}, delays_of(mix))
    theirs = simulated(
        replace(SYNC, submitters=0), threads, users, {"browse": fetches_of(mix, 5)}, ("other",)
    )
    assert_agree({"other": mine["job"]}, theirs, "other")


def test_a_feed_takes_as_long_as_one_of_the_feed_server(page: webdriver.Chrome) -> None:
    """Its mean, median and 99th percentile, and the share that hangs."""
    script = """
const random = randomNumbers(1), times = Array.from({ length: 50000 }, () => feedTime(random, 0.2));
return [times.filter((time) => time === Infinity).length / times.length, times.filter(Number.isFinite)];
"""
    hanging, times = page.execute_script(script)
    assert hanging == pytest.approx(0.2, abs=0.01)
    ordered, expected = sorted(times), sorted(delay_of("typical", n) for n in range(50_000))
    assert fmean(ordered) == pytest.approx(fmean(expected), rel=0.01)
    for share, within in ((0.5, 0.02), (0.99, 0.05)):
        middle = [each[int(share * len(each))] for each in (ordered, expected)]
        assert middle[0] == pytest.approx(middle[1], rel=within)
    assert ordered[-1] <= max(expected) <= 2


def test_as_many_visitors_add_feeds_as_in_the_simulation(page: webdriver.Chrome) -> None:
    """Also where a half is rounded."""
    found = page.execute_script("return Array.from({ length: 200 }, (_, n) => submittersAmong(n + 1, 0.7))")
    assert found == [submitters_among(users, 0.7) for users in range(1, 201)]


def test_visitors_think_and_pages_poll_as_the_projects_do(page: webdriver.Chrome) -> None:
    """Like the bench's users, and the readers' pages."""
    work = page.execute_script("return WORK")
    assert (work["think"], work["submitters"]) == (Plan().think, SUBMITTERS)
    assert (work["firstPause"], work["longestPause"]) == (FIRST_PAUSE, LONGEST_PAUSE)
