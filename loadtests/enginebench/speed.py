"""How fast an engine is under the reader: a load's latencies, a backlog's drain, an idle worker's pick-up."""

import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import requests

from loadtests.bench.plan import Plan
from loadtests.bench.step import measure_step
from loadtests.enginebench.scene import LOOK_SECONDS, PATIENCE_SECONDS, Scene, expect, scene
from loadtests.engines.engines import app_of
from loadtests.records.steps import Step
from loadtests.servers.machine import Pinning
from loadtests.servers.processes import Process

THREADS = 32  # jobs at a time, for every engine
BACKLOG = 400  # feeds that wait when the worker starts
UNCOUNTED = 40  # of them: a worker's first jobs are slow
PICK_UPS = 20
JOBS = ("worker 1", "broker")  # the processes whose CPU is told a job

Figures = Mapping[str, float | None]


def load(engine: str, users: int, folder: Path) -> Step:
    """The bench's own step, with so many users."""
    plan = Plan(users=(users,), apps=(app_of(engine),), measure=8.0, drain=3.0, threads=(THREADS,))
    (step,) = plan.steps()
    return measure_step(plan, step, folder, lambda: None, "sqlite", Pinning())


def backlog(engine: str) -> Figures:
    """Enqueue feeds that answer at once, then start a worker.

    Returns how many of them it fetches a second (`per_s`), what a job costs in CPU (`worker_ms`,
    `broker_ms`), and the memory of the worker and all its processes (`memory_mib`).
    """
    with scene(engine, threads=THREADS, workers=0) as stage:
        stage.add(stage.feeds("fast", BACKLOG))
        stage.start_worker()
        expect(lambda: stage.ready() >= UNCOUNTED, "The worker did not begin")
        began, before = time.monotonic(), _used(stage)
        done = stage.ready()
        expect(lambda: stage.ready() == BACKLOG, "The backlog was not fetched")
        seconds, after = time.monotonic() - began, _used(stage)
        jobs = BACKLOG - done
        cpu = {name: 1000 * (after[name] - before[name]) / jobs for name in after}
        return {
            "per_s": jobs / seconds,
            "worker_ms": cpu["worker 1"],
            "broker_ms": cpu.get("broker"),
            "memory_mib": _memory(stage.stack.processes["worker 1"]) / 2**20,
        }


def pick_up(engine: str) -> Figures:
    """Add feeds one by one while the worker is idle; returns how soon each was there, in ms: `p50`, `most`."""
    with scene(engine, threads=THREADS) as stage:
        waits = [_content_ms(stage, url) for url in stage.feeds("fast", PICK_UPS + 2)]
        counted = sorted(waits[2:])  # the first ones open connections
        return {"p50": counted[len(counted) // 2], "most": counted[-1]}


def _content_ms(stage: Scene, url: str) -> float:
    with requests.Session() as visitor:
        began = time.monotonic()
        answer = visitor.post(f"{stage.stack.url}/feeds", {"url": url}, timeout=PATIENCE_SECONDS)
        while visitor.get(f"{answer.url}.json", timeout=PATIENCE_SECONDS).json()["status"] == "pending":
            time.sleep(LOOK_SECONDS / 4)
        took = time.monotonic() - began
    time.sleep(0.2)  # the worker is idle again
    return 1000 * took


def _used(stage: Scene) -> dict[str, float]:
    """CPU seconds so far of the processes that do jobs; those that have ended are in their parents'."""
    used = {}
    for name in JOBS:
        if process := stage.stack.processes.get(name):
            used[name] = sum(sum(each.cpu_times()[:4]) for each in process.tree())
    return used


def _memory(process: Process) -> int:
    """A worker's memory in bytes; what its processes share is divided among them."""
    total = 0
    for each in process.tree():
        try:
            memory = each.memory_full_info()
        except psutil.Error:
            continue
        total += int(getattr(memory, "pss", memory.uss))
    return total
