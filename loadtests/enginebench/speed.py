"""How fast an engine is under the reader: a load's latencies, a backlog's drain, an idle worker's pick-up."""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import requests

from loadtests.bench.plan import Plan
from loadtests.bench.step import measure_step
from loadtests.enginebench.scene import COMES_SECONDS, EVERY_SECONDS, StagedReader, expect, staged
from loadtests.engines.engines import app_of
from loadtests.judging.samples import Samples
from loadtests.records.steps import reasons_of
from loadtests.servers.machine import pinning
from loadtests.servers.processes import Process

AT_A_TIME = 32  # jobs at a time, for every engine
WAITING_FEEDS = 300  # feeds that wait when the worker starts
UNCOUNTED = 40  # of them: a worker's first jobs are slow
PICK_UPS = 20
WARMED_UP = 3  # pick-ups that open connections, and are not counted
IDLE_SECONDS = 0.1  # after each: the worker is idle again
CPU_OF = {"worker 1": "worker_ms", "broker": "broker_ms"}  # the processes whose CPU is told a job

Numbers = Mapping[str, Any]


def load(engine: str, users: int, folder: Path) -> Numbers:
    """A step of the bench with so many users; returns its summaries `submit` and `content`, and the `reasons`
    why these are not the engine's own; its rows and logs go below `folder`.
    """
    app = app_of(engine)
    plan = Plan(users=(users,), apps=(app,), warmup=1.0, measure=5.0, drain=3.0, threads=(AT_A_TIME,))
    (planned,) = plan.steps()
    step = measure_step(plan, planned, folder, lambda: None, "sqlite", pinning())
    return {"submit": step["submit"], "content": step["content"], "reasons": reasons_of(step)}


def backlog(engine: str) -> Numbers:
    """Enqueue feeds that answer at once, then start a worker.

    Returns how many of them it fetches a second (`per_s`), what a job costs in CPU (`worker_ms`,
    `broker_ms`), and the memory of the worker and all its processes (`memory_mib`).
    """
    with staged(engine, threads=AT_A_TIME, workers=0) as stage:
        stage.add(stage.feeds("fast", WAITING_FEEDS))
        stage.start_worker()
        expect(lambda: stage.fetched() >= UNCOUNTED, "The worker did not begin")
        began, before, done = time.monotonic(), _used(stage), stage.fetched()
        expect(lambda: stage.fetched() == WAITING_FEEDS, "The backlog was not fetched")
        seconds, after = time.monotonic() - began, _used(stage)
        jobs = WAITING_FEEDS - done
        costs = {key: 1000 * (after[key] - before[key]) / jobs for key in after}
        memory = _memory(stage.stack.processes["worker 1"]) / 2**20
        return {"per_s": jobs / seconds, "broker_ms": None, **costs, "memory_mib": memory}


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
                raise stage.stack.processes["worker 1"].error(f"did not fetch {url}")
            time.sleep(EVERY_SECONDS / 10)
        took = time.monotonic() - began
    time.sleep(IDLE_SECONDS)
    return 1000 * took


def _used(stage: StagedReader) -> dict[str, float]:
    """CPU seconds so far of the processes that do jobs; those that have ended are in their parents'."""
    used = {}
    for name, key in CPU_OF.items():
        if process := stage.stack.processes.get(name):
            used[key] = _sum(process, lambda each: sum(each.cpu_times()[:4]))
    return used


def _memory(process: Process) -> float:
    """A worker's memory in bytes; what its processes share is divided among them."""

    def held(each: psutil.Process) -> int:
        memory = each.memory_full_info()
        return int(getattr(memory, "pss", memory.uss))

    return _sum(process, held)


def _sum(process: Process, figure: Callable[[psutil.Process], float]) -> float:
    """A figure of all its processes together, without those that end meanwhile."""
    total = 0.0
    for each in process.tree():
        with contextlib.suppress(psutil.NoSuchProcess):
            total += figure(each)
    return total
