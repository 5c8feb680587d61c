"""How fast an engine is under the reader: a load's latencies, a backlog's drain, an idle worker's pick-up."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import psutil
import requests

from loadtests.bench.plan import Plan
from loadtests.bench.step import measure_step
from loadtests.enginebench.scene import COMES_SECONDS, EVERY_SECONDS, StagedReader, expect, staged
from loadtests.engines.engines import ENGINES, app_of
from loadtests.judging.points import together
from loadtests.judging.samples import Samples
from loadtests.records.figures import Figure, without_interval
from loadtests.records.steps import reasons_of
from loadtests.servers.machine import pinning
from loadtests.servers.processes import Process

AT_A_TIME = 32  # jobs at a time, for every engine
WAITING_FEEDS = 150  # feeds that wait when the worker starts
UNCOUNTED = 30  # of them: a process's first requests and jobs are slow
BACKLOGS = 3  # of so many feeds, one after the other, each with a new worker
ALONE = 40  # feeds that are added one at a time
PICK_UPS = 20
WARMED_UP = 3  # pick-ups that open connections, and are not counted
IDLE_SECONDS = 0.1  # after each: the worker is idle again

Numbers = Mapping[str, Any]


class _LoadPlan(Plan):
    """Of a step after which nobody waits for the queue to drain: that is what a backlog is for."""

    drained_within: ClassVar[float] = 0.0


def load(engine: str, users: int, folder: Path) -> Numbers:
    """A step of the bench with so many users; returns its summaries `submit` and `content`, and the `reasons`
    why these are not the engine's own; its rows and logs go below `folder`.
    """
    app = app_of(engine)
    plan = _LoadPlan(users=(users,), apps=(app,), warmup=1.0, measure=5.0, drain=3.0, threads=(AT_A_TIME,))
    (planned,) = plan.steps()
    step = measure_step(plan, planned, folder, lambda: None, "sqlite", pinning())
    return {"submit": step["submit"], "content": step["content"], "reasons": reasons_of(step)}


def backlog(engine: str) -> Mapping[str, Figure | None]:
    """Enqueue feeds that answer at once, then start a worker; BACKLOGS times.

    Returns how many of them it fetches a second (`per_s`); what one costs in CPU, of the web server that
    enqueues it (`web_ms`), of the worker (`worker_ms`), and of Valkey or PostgreSQL (`broker_ms`; None
    without either); the memory of the worker and all its processes (`memory_mib`); and the median time of a
    lone POST /feeds (`post_ms`), for Valkey also with an fsync at each write (`durable_ms`; else None).
    """
    with staged(engine, threads=AT_A_TIME, workers=0) as stage:
        rounds = [_drained(stage, first=number * WAITING_FEEDS) for number in range(BACKLOGS)]
        alone = {"post_ms": _alone(stage, first=BACKLOGS * WAITING_FEEDS), "durable_ms": None}
        if ENGINES[engine].valkey:
            stage.fsync_each_write()
            alone["durable_ms"] = _alone(stage, first=BACKLOGS * WAITING_FEEDS + ALONE)
    keys = ("per_s", "web_ms", "worker_ms", "broker_ms", "memory_mib")
    repeated = {key: [without_interval(each[key]) for each in rounds if key in each] for key in keys}
    return alone | {key: together(figures) for key, figures in repeated.items()}


def _alone(stage: StagedReader, first: int) -> Figure:
    samples = Samples([1000 * stage.time_to_add(url) for url in stage.feeds("fast", ALONE, first)], ())
    low, high = samples.interval(50) or (None, None)
    return Figure(value=samples.percentile(50)[0] or 0.0, low=low, high=high, lower_bound=False)


def _drained(stage: StagedReader, first: int) -> dict[str, float]:
    """One backlog, before which so many feeds were fetched."""
    feeds = stage.feeds("fast", WAITING_FEEDS, first)
    stage.add(feeds[:UNCOUNTED])
    adding = _used(stage)
    stage.add(feeds[UNCOUNTED:])
    added = _used(stage)
    stage.start_worker()
    expect(lambda: stage.fetched() >= first + UNCOUNTED, "The worker did not begin")
    began, before, jobs = time.monotonic(), _used(stage), first + WAITING_FEEDS - stage.fetched()
    expect(lambda: stage.fetched() == first + WAITING_FEEDS, "The backlog was not fetched")
    seconds, after = time.monotonic() - began, _used(stage)
    memory = _memory(stage.worker) / 2**20
    stage.worker.stop()

    def spent(key: str) -> float:
        adds = (added[key] - adding[key]) / (WAITING_FEEDS - UNCOUNTED) if key in adding else 0.0
        return 1000 * (adds + (after[key] - before[key]) / jobs)

    return {"per_s": jobs / seconds, "memory_mib": memory, **{key: spent(key) for key in after}}


def pick_up(engine: str) -> Numbers:
    """Add feeds one by one while the worker is idle; returns how soon each was there, in ms: `p50`, its
    interval `p50_ci`, `most`.
    """
    with staged(engine, threads=AT_A_TIME) as stage:
        waits = [_content_ms(stage, url) for url in stage.feeds("fast", PICK_UPS + WARMED_UP)][WARMED_UP:]
        samples = Samples(waits, ())
        return {"p50": samples.percentile(50)[0], "p50_ci": samples.interval(50), "most": max(waits)}


def _content_ms(stage: StagedReader, url: str) -> float:
    with requests.Session() as visitor:
        began = time.monotonic()
        answer = visitor.post(f"{stage.stack.url}/feeds", {"url": url}, timeout=COMES_SECONDS)
        while visitor.get(f"{answer.url}.json", timeout=COMES_SECONDS).json()["status"] == "pending":
            if time.monotonic() - began > COMES_SECONDS:
                raise stage.worker.error(f"did not fetch {url}")
            time.sleep(EVERY_SECONDS / 10)
        took = time.monotonic() - began
    time.sleep(IDLE_SECONDS)
    return 1000 * took


def _used(stage: StagedReader) -> dict[str, float]:
    """CPU seconds so far of what serves, works and keeps the jobs; processes that have ended are in their
    parents'.
    """
    trees = {"web_ms": stage.stack.processes["web server"].tree()}
    if stage.workers:
        trees["worker_ms"] = stage.worker.tree()
    if broker := stage.broker():
        trees["broker_ms"] = broker
    return {key: _sum(tree, lambda each: sum(each.cpu_times()[:4])) for key, tree in trees.items()}


def _memory(process: Process) -> float:
    """A worker's memory in bytes; what its processes share is divided among them."""

    def held(each: psutil.Process) -> int:
        memory = each.memory_full_info()
        return int(getattr(memory, "pss", memory.uss))

    return _sum(process.tree(), held)


def _sum(tree: Sequence[psutil.Process], figure: Callable[[psutil.Process], float]) -> float:
    """A figure of all these processes together, without those that end meanwhile."""
    total = 0.0
    for each in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += figure(each)
    return total
