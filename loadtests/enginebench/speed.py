"""How fast an engine is under the reader: a load's latencies, a backlog's drain, an idle worker's pick-up."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import requests

from loadtests.bench.step import visitors_command
from loadtests.enginebench.scene import COMES_SECONDS, EVERY_SECONDS, StagedReader, expect, kill_tree, staged
from loadtests.engines.engines import ENGINES
from loadtests.files import writing
from loadtests.judging.judge import judge_window
from loadtests.judging.points import together
from loadtests.judging.samples import Samples, summarise
from loadtests.records.constants import LOCUST_SECONDS, RAMP_USERS_PER_S
from loadtests.records.figures import Figure, Summary, without_interval
from loadtests.records.recording import Recording, read_recording
from loadtests.servers.machine import pinning
from loadtests.servers.processes import Process

FEW_USERS, MANY_USERS = 30, 300  # simulated users
LOADS = {"load-30": f"{FEW_USERS} users", "load-300": f"{MANY_USERS} users"}
WORK = {"backlog": "backlog", "pick-up": "pick-up"}
AT_A_TIME = 32  # jobs at a time, for every engine
WARM_UP_SECONDS, JUDGED_SECONDS = 2, 5  # of each load; many users warm up while they join
DEADLINE_SECONDS = 5.0  # of a fetch under load; the readers' own would keep each hanging feed for ten
DRAIN_SECONDS = 2.0  # for what is in flight when a load ends
WAITING_FEEDS = 150  # feeds that wait when the worker starts
UNCOUNTED = 30  # of them: a process's first requests and jobs are slow
BACKLOGS = 3  # of so many feeds, one after the other, each with a new worker
ALONE = 40  # feeds that are added one at a time
PICK_UPS = 20
WARMED_UP = 3  # pick-ups that open connections, and are not counted
IDLE_SECONDS = 0.1  # after each: the worker is idle again

Numbers = Mapping[str, Any]


def load(engine: str, folder: Path) -> Mapping[str, Numbers]:
    """A few users, then many, who join as a bench's do.

    Returns the summaries `submit` and `content` of each, and the `reasons` why these are not the engine's
    own. Its rows and logs go below `folder`.
    """
    few, many = [FEW_USERS] * (WARM_UP_SECONDS + JUDGED_SECONDS), [MANY_USERS] * (1 + JUDGED_SECONDS)
    joining = range(FEW_USERS, MANY_USERS, int(RAMP_USERS_PER_S))[1:]
    seconds = [*few, *joining, *many]  # how many users there are in each
    logs, rows = folder / "logs" / engine, folder / "rows" / f"{engine}.csv"
    with writing(rows):
        for each in (logs, rows.parent):
            each.mkdir(parents=True, exist_ok=True)
    pinned = pinning()
    with staged(
        engine, threads=AT_A_TIME, deadline=DEADLINE_SECONDS, folder=logs, cpus=pinned.others
    ) as stage:
        command = [
            *visitors_command(stage.stack.url, stage.stack.feeds_url, rows, DEADLINE_SECONDS, DRAIN_SECONDS),
            *("--steps", ",".join(map(str, seconds)), "--step-seconds", "1"),
        ]
        with Process("load generator", command, logs / "locust.log", cpus=pinned.generator) as locust:
            if status := locust.wait_with(stage.stack.check, len(seconds) + DRAIN_SECONDS + LOCUST_SECONDS):
                raise locust.error(f"ended with status {status}")
        kill_tree(stage.worker)  # which would wait for what it is fetching
    recording = read_recording(rows)
    ends = {"load-30": len(few), "load-300": len(seconds)}
    return {name: _judged(recording, end) for name, end in ends.items()}


def _judged(recording: Recording, end: int) -> Numbers:
    """The last seconds, up to this one, of those in which there were as many users."""
    stages = recording.stages[end - JUDGED_SECONDS : end]
    judged = judge_window(recording, stages[0].start_s, stages[-1].end_s, round(stages[0].load))

    def summary(group: str) -> Summary:
        return summarise([row for row in judged.rows if row.group == group], recording.ended_s)

    reasons = [*judged.doubts, *judged.slowed]
    return {"submit": summary("submit"), "content": summary("content"), "reasons": reasons}


def work(engine: str) -> Mapping[str, Numbers]:
    """Enqueue feeds that answer at once, then start a worker; BACKLOGS times. Then add feeds one by one.

    `backlog`: how many the worker fetches a second (`per_s`); what one costs in CPU, of the web server that
    enqueues it (`web_ms`), of the worker (`worker_ms`), and of Valkey or PostgreSQL (`broker_ms`; None
    without either); the memory of the worker and all its processes (`memory_mib`); and the median time of a
    lone POST /feeds (`post_ms`), for Valkey also with an fsync at each write (`durable_ms`; else None).
    `pick-up`: how soon feeds that are added while the worker is idle are there, in ms: `p50`, its interval
    `p50_ci`, `most`.
    """
    with staged(engine, threads=AT_A_TIME, workers=0) as stage:
        rounds = [_drained(stage) for _ in range(BACKLOGS)]
        waits = [_content_ms(stage, url) for url in stage.new_feeds(PICK_UPS + WARMED_UP)][WARMED_UP:]
        kill_tree(stage.worker)
        alone = {"post_ms": _alone(stage), "durable_ms": None}
        if ENGINES[engine].valkey:
            stage.fsync_each_write()
            alone["durable_ms"] = _alone(stage)
    keys = ("per_s", "web_ms", "worker_ms", "broker_ms", "memory_mib")
    repeated = {key: [without_interval(each[key]) for each in rounds if key in each] for key in keys}
    picked = Samples(waits, ())
    return {
        "backlog": alone | {key: together(figures) for key, figures in repeated.items()},
        "pick-up": {"p50": picked.percentile(50)[0], "p50_ci": picked.interval(50), "most": max(waits)},
    }


def _alone(stage: StagedReader) -> Figure:
    samples = Samples([1000 * stage.time_to_add(url) for url in stage.new_feeds(ALONE)], ())
    low, high = samples.interval(50) or (None, None)
    return Figure(value=samples.percentile(50)[0] or 0.0, low=low, high=high, lower_bound=False)


def _drained(stage: StagedReader) -> dict[str, float]:
    """One backlog; its worker goes on, idle, until the next one."""
    for worker in stage.workers:
        kill_tree(worker)
    feeds, first = stage.new_feeds(WAITING_FEEDS), stage.fetched()
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

    def spent(key: str) -> float:
        adds = (added[key] - adding[key]) / (WAITING_FEEDS - UNCOUNTED) if key in adding else 0.0
        return 1000 * (adds + (after[key] - before[key]) / jobs)

    return {"per_s": jobs / seconds, "memory_mib": memory, **{key: spent(key) for key in after}}


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
