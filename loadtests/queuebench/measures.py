"""The measures of the queue's benchmark: one function each, which returns lines of the table.

Jobqueue and the systems it is compared with take turns, round after round, each time with a fresh database,
so that a slow moment of the machine affects all of them.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from loadtests.queuebench.gate import PICKED
from loadtests.queuebench.plain import settle_postgres
from loadtests.queuebench.stats import (
    Result,
    Target,
    of_figure,
    result,
    spread_of,
    summarise_percentile,
)
from loadtests.queuebench.workbench import Workbench, Workers, single_command, work_command

PEERS = {"sqlite": ("huey", "huey-nofsync"), "postgresql": ("procrastinate", "pgqueuer")}
BULK_PEERS = ("procrastinate", "pgqueuer")  # Huey has no bulk insert
# A peer gets this share of jobqueue's jobs: enough to take a second or two.
PEER_SHARES = {"huey": 0.1, "huey-nofsync": 0.2, "procrastinate": 0.01, "pgqueuer": 0.5}
THREADS = 50

LEAST_RATIO_ENQUEUE = Target("at least", 0.75)
LEAST_RATIO_SINGLE = Target("at least", 0.6)
LEAST_RATIO_MANY = Target("at least", 0.9)
AHEAD = Target("more than", 1.0)
BULK = {"sqlite": Target("at least", 100_000), "postgresql": Target("at least", 50_000)}
DRAIN = {"sqlite": Target("at least", 60_000), "postgresql": Target("at least", 30_000)}
TWO_WORKERS = {"sqlite": Target("at least", 1.0), "postgresql": AHEAD}
PICK_UP_MS = {"sqlite": Target("less than", 30.0), "postgresql": Target("less than", 10.0)}
IDLE_CPU_PERCENT = Target("less than", 1.0)
MEMORY_MB = Target("less than", 80.0)
PAUSES = Target("at least", 450.0)
IMPORT_SECONDS = Target("less than", 0.25)

Timing = Callable[[], float]


@dataclass(frozen=True)
class Sizes:
    """The sizes of a run: jobs, rounds, and the seconds for which an idle worker is watched."""

    rounds: int = 5
    enqueue: int = 3_000
    bulk: int = 100_000
    drain: int = 100_000
    single: int = 5_000
    few: int = 10_000
    many: int = 1_000_000
    pauses: int = 2_000
    stamps: int = 60
    idle_seconds: float = 5.0


QUICK_SIZES = Sizes(1, 100, 2_000, 2_000, 100, 200, 2_000, 100, 5, 0.2)


@dataclass(frozen=True)
class Run:
    """The input of a measure: one kind of database, the sizes, and whether to include the peers."""

    database: str  # "sqlite" or "postgresql"
    workbench: Workbench
    sizes: Sizes
    seed: int
    peers: bool = False

    def rounds(self, samples: Mapping[str, Timing]) -> dict[str, list[float]]:
        """Take a sample of each in turn, every other round in reverse order; returns all samples by name."""
        taken: dict[str, list[float]] = {name: [] for name in samples}
        for number in range(self.sizes.rounds):
            names = list(samples)
            for name in names if number % 2 == 0 else reversed(names):
                taken[name].append(samples[name]())
        return taken

    def timed(self, system: str, work: str, count: int) -> Timing:
        return partial(self.workbench.timed, system, work, count)

    def peers_at(self, work: str, count: int) -> dict[str, Timing]:
        """The peers at the same work, each with as many jobs as it can do in about the same time."""
        names = [
            name for name in PEERS[self.database] if self.peers and (work != "bulk" or name in BULK_PEERS)
        ]
        shares = {name: 1.0 if work == "enqueue" else PEER_SHARES[name] for name in names}
        return {name: self.timed(name, work, max(2, round(share * count))) for name, share in shares.items()}


def enqueue(run: Run) -> list[Result]:
    """One job per transaction."""
    count = run.sizes.enqueue
    systems = ["jobqueue", "plain"] + ["plain-autocommit"] * (run.database == "postgresql")
    samples = {name: run.timed(name, "enqueue", count) for name in systems}
    taken = run.rounds(samples | run.peers_at("enqueue", count))
    targets = {"plain": LEAST_RATIO_ENQUEUE}
    title = "enqueue, one a transaction"
    return [result("enqueue", run.database, title, "jobs/s", taken, ratio_targets=targets)]


def bulk(run: Run) -> list[Result]:
    """Many jobs in one call."""
    count = run.sizes.bulk
    samples = {name: run.timed(name, "bulk", count) for name in ("jobqueue", "plain")}
    taken = run.rounds(samples | run.peers_at("bulk", count))
    return [result("bulk", run.database, "enqueue_many", "jobs/s", taken, BULK[run.database])]


def drain(run: Run) -> list[Result]:
    """No-op jobs with one worker and with two, and the memory of one."""
    count = run.sizes.drain
    memory: list[float] = []

    def one_worker() -> float:
        return _drained(run, count, 1, after=lambda workers: memory.append(workers.megabytes()))

    samples: dict[str, Timing] = {"jobqueue": one_worker, "two workers": partial(_drained, run, count, 2)}
    samples |= {name: run.timed(name, "drain", count) for name in ("plain-50", "plain-500")}
    taken = run.rounds(samples | run.peers_at("drain", count))
    two = {"two workers": taken.pop("two workers"), "one worker": taken["jobqueue"]}
    ahead = dict.fromkeys(PEERS[run.database], AHEAD)
    line = partial(result, "drain", run.database)
    return [
        line("drain, one worker", "jobs/s", taken, DRAIN[run.database], ahead),
        line("drain, two workers", "jobs/s", two, None, {"one worker": TWO_WORKERS[run.database]}),
        of_figure("drain", run.database, "memory of a worker", "MB", spread_of(memory), MEMORY_MB),
    ]


def single(run: Run) -> list[Result]:
    """No-op jobs, one at a time: finish one and claim the next at once.

    In the thread that claims them, as in the plain driver's loop; and in a thread that can be abandoned if a
    job hangs, as in a worker.
    """
    count = run.sizes.single

    def in_a_thread() -> float:
        with run.workbench.database() as url, run.workbench.workers(url, [single_command(url)]) as workers:
            run.workbench.program("jobqueue", "fill", url, count)
            return workers.drain(count)

    samples = {name: run.timed(name, "single", count) for name in ("jobqueue", "plain")}
    taken = run.rounds({**samples, "run(), one at a time": in_a_thread})
    targets = {"plain": LEAST_RATIO_SINGLE}
    title = "work_off(), one at a time"
    return [result("single", run.database, title, "jobs/s", taken, ratio_targets=targets)]


def idle(run: Run) -> list[Result]:
    """How soon an idle worker starts a new job, and its CPU while idle."""
    waits: list[list[float]] = []
    cpu: list[float] = []
    for number in range(run.sizes.rounds):
        with run.workbench.database() as url, run.workbench.workers(url, [work_command(url)]) as workers:
            workers.begin()
            workers.processes[0].wait_for("Starting job worker")
            seed = str(run.seed + number)
            run.workbench.program("jobqueue", "stamp", url, run.sizes.stamps, "--seed", seed)
            waits.append(_waits_ms(workers, run.sizes.stamps))
            cpu.append(workers.cpu_percent(run.sizes.idle_seconds))
    line = partial(of_figure, "idle", run.database)
    return [
        line("pick-up latency, p50", "ms", summarise_percentile(waits, 0.5)),
        line("pick-up latency, p99", "ms", summarise_percentile(waits, 0.99), PICK_UP_MS[run.database]),
        line("pick-up latency, largest", "ms", summarise_percentile(waits, 1.0)),
        line("CPU of an idle worker", "%", spread_of(cpu), IDLE_CPU_PERCENT),
    ]


def deep(run: Run) -> list[Result]:
    """The same number of jobs out of a large and a small backlog."""
    few, many = run.sizes.few, run.sizes.many
    few_waiting = f"{few:,} waiting"
    with run.workbench.database() as url:
        run.workbench.program("jobqueue", "fill", url, many)
        if run.database == "postgresql":  # which it would have done by itself before a backlog of that size
            settle_postgres(url)

        def of_many() -> float:
            with run.workbench.workers(url, [work_command(url)]) as workers:
                return workers.drain(few)

        taken = run.rounds({"jobqueue": of_many, few_waiting: partial(_drained, run, few, 1)})
    targets = {few_waiting: LEAST_RATIO_MANY}
    title = f"drain, {many:,} waiting"
    return [result("deep", run.database, title, "jobs/s", taken, ratio_targets=targets)]


def threads(run: Run) -> list[Result]:
    """Jobs that wait 100 ms, 50 at a time: at best 500 a second."""
    rate = partial(_drained, run, run.sizes.pauses, 1, work="fill-pauses", threads=THREADS)
    title = f"{THREADS} threads, 100 ms jobs"
    return [result("threads", run.database, title, "jobs/s", run.rounds({"jobqueue": rate}), PAUSES)]


def imports(run: Run) -> list[Result]:
    """`import jobqueue`, less the start of a bare interpreter."""
    samples = {code: partial(_interpreter_seconds, code) for code in ("import jobqueue", "pass")}
    taken = run.rounds(samples)
    bare = taken["pass"]
    net = [whole - start for whole, start in zip(taken["import jobqueue"], bare, strict=True)]
    line = partial(of_figure, "import", "")
    return [
        line("import jobqueue", "s", spread_of(net), IMPORT_SECONDS),
        line("a bare interpreter's start", "s", spread_of(bare)),
    ]


MEASURES: dict[str, Callable[[Run], list[Result]]] = {
    "enqueue": enqueue,
    "bulk": bulk,
    "drain": drain,
    "single": single,
    "idle": idle,
    "deep": deep,
    "threads": threads,
    "import": imports,
}
WITHOUT_DATABASE = ("import",)


def _drained(
    run: Run,
    count: int,
    workers: int,
    after: Callable[[Workers], object] = lambda _: None,
    work: str = "fill",
    threads: int = 1,
) -> float:
    """Fill a fresh database while the workers start, then have them drain it; returns jobs a second."""
    with run.workbench.database() as url:
        commands = [work_command(url, threads)] * workers
        with run.workbench.workers(url, commands) as started:
            run.workbench.program("jobqueue", work, url, count)
            rate = started.drain(count)
            after(started)
            return rate


def _waits_ms(workers: Workers, count: int) -> list[float]:
    """Wait until the workers have printed `count` pick-up latencies; returns them in ms."""
    said = re.compile(rf"{PICKED} (\S+) s\n")
    workers.wait_until(lambda: len(said.findall(workers.output())) == count)
    return [1000 * float(seconds) for seconds in said.findall(workers.output())]


def _interpreter_seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start
