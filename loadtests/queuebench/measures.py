"""The measures of the queue's benchmark: one function each, which returns lines of the table.

Jobqueue and the systems it is compared with take turns, round after round, each time with a fresh database,
so that a slow moment of the machine affects all of them.
"""

import contextlib
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from loadtests.judging.samples import nearest_rank
from loadtests.queuebench.gate import PICKED
from loadtests.queuebench.jobs import THREADS
from loadtests.queuebench.plain import settle_postgres
from loadtests.queuebench.stats import Result, Target, answers, result
from loadtests.queuebench.workbench import Workbench, Workers, program_command, work_command

PEERS = {"sqlite": ("huey", "huey-nofsync"), "postgresql": ("procrastinate", "pgqueuer")}
DRIVERS = {"sqlite": "sqlite3", "postgresql": "psycopg"}
BULK_PEERS = ("procrastinate", "pgqueuer")  # Huey has no bulk insert
# A peer gets this share of jobqueue's jobs: enough to take a second or two.
PEER_SHARES = {"huey": 0.1, "huey-nofsync": 0.2, "procrastinate": 0.01, "pgqueuer": 0.5}

# What jobqueue's figure may be, as a ratio to another's in the same run. The limits leave room for a busy
# machine: with a busy loop beside the benchmark on two cores, one job at a time had 0.41 to 0.52 of the plain
# driver's rate (which makes one round trip to PostgreSQL where jobqueue makes five), and pick-up took up to
# 3.3 times as long. A queue that looks five times a second would take ten times as long and more.
ENQUEUE = Target("at least", 0.5)
SINGLE = Target("at least", 0.3)
MANY = Target("at least", 0.7)
OTHER_ROWS = Target("at least", 0.8)
BULK = Target("at least", 0.25)
DRAIN = Target("at least", 0.25)
TWO_WORKERS = Target("at least", 0.75)
PAUSES = Target("at least", 0.5)
PICK_UP = Target("less than", 4)
IDLE_CPU = Target("less than", 3)
MEMORY = Target("less than", 3)  # two processes: a worker, and its supervisor
IMPORT = Target("less than", 2.5)
AHEAD = Target("more than", 1.0)  # of the other queues

T = TypeVar("T")
Timing = Callable[[], float]


@dataclass(frozen=True)
class Sizes:
    """The sizes of a run: jobs, rounds, and the seconds for which an idle worker is watched."""

    rounds: int = 9  # the 95 % interval of their median leaves out the lowest and the highest
    series: int = 3  # of that many rounds each, at most; more than one only while a target is undecided
    enqueue: int = 1_500
    bulk: int = 40_000
    drain: int = 20_000
    single: int = 2_000
    few: int = 10_000
    many: int = 1_000_000
    pauses: int = 600
    stamps: int = 30
    idle_seconds: float = 2.0


QUICK_SIZES = Sizes(1, 1, 100, 2_000, 2_000, 100, 200, 2_000, 100, 5, 0.2)


@dataclass(frozen=True)
class Run:
    """The input of a measure: one kind of database, the sizes, and whether to include the peers."""

    database: str  # "sqlite" or "postgresql"
    workbench: Workbench
    sizes: Sizes
    seed: int
    peers: bool = False
    is_late: Callable[[], bool] = lambda: False  # whether the measure has had its share of the run's time

    def measure(
        self, samples: Mapping[str, Callable[[], T]], lines: Callable[[Mapping[str, list[T]]], list[Result]]
    ) -> list[Result]:
        """Take a sample of each in turn, every other round in reverse order; returns `lines` of all samples
        by name. Where these leave a target undecided, takes as many rounds again, while there is time.
        """
        taken: dict[str, list[T]] = {name: [] for name in samples}
        for number in range(self.sizes.series * self.sizes.rounds):
            names = list(samples)
            for name in names if number % 2 == 0 else reversed(names):
                taken[name].append(samples[name]())
            ends_series = (number + 1) % self.sizes.rounds == 0
            if self.is_late() or (ends_series and "undecided" not in answers(lines(taken))):
                break
        return lines(taken)

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
    line = partial(result, "enqueue", run.database, "enqueue, one a transaction", "jobs/s")
    return run.measure(
        samples | run.peers_at("enqueue", count), lambda taken: [line(taken, {"plain": ENQUEUE})]
    )


def bulk(run: Run) -> list[Result]:
    """Many jobs in one call."""
    count = run.sizes.bulk
    samples = {name: run.timed(name, "bulk", count) for name in ("jobqueue", "plain")}
    line = partial(result, "bulk", run.database, "enqueue_many", "jobs/s")
    return run.measure(samples | run.peers_at("bulk", count), lambda taken: [line(taken, {"plain": BULK})])


def drain(run: Run) -> list[Result]:
    """No-op jobs with one worker and with two, and the memory of one."""
    count = run.sizes.drain
    memory: list[float] = []
    bare: list[float] = []

    def one_worker() -> float:
        bare.append(run.workbench.megabytes_of(f"import sqlalchemy, {DRIVERS[run.database]}"))
        return _drained(run, count, 1, after=lambda workers: memory.append(workers.megabytes()))

    samples: dict[str, Timing] = {"jobqueue": one_worker, "two workers": partial(_drained, run, count, 2)}
    samples |= {name: run.timed(name, "drain", count) for name in ("plain-50", "plain-500")}
    targets = dict.fromkeys(PEERS[run.database], AHEAD) | {"plain-50": DRAIN}
    line = partial(result, "drain", run.database)

    def lines(taken: Mapping[str, list[float]]) -> list[Result]:
        one = {name: rounds for name, rounds in taken.items() if name != "two workers"}
        two = {"two workers": taken["two workers"], "one worker": taken["jobqueue"]}
        return [
            line("drain, one worker", "jobs/s", one, targets),
            line("drain, two workers", "jobs/s", two, {"one worker": TWO_WORKERS}),
            line("memory with supervisor", "MB", {"jobqueue": memory, "imports": bare}, {"imports": MEMORY}),
        ]

    return run.measure(samples | run.peers_at("drain", count), lines)


def single(run: Run) -> list[Result]:
    """No-op jobs, one at a time: finish one and claim the next at once.

    In the thread that claims them, as in the plain driver's loop; and in a thread that can be abandoned if a
    job hangs, as in a worker.
    """
    count = run.sizes.single

    def in_a_thread() -> float:
        with (
            run.workbench.database() as url,
            run.workbench.workers(url, [program_command("jobqueue", "work-singly", url)]) as workers,
        ):
            run.workbench.program("jobqueue", "fill", url, count)
            return workers.drain(count)

    samples = {name: run.timed(name, "single", count) for name in ("jobqueue", "plain")}
    line = partial(result, "single", run.database, "work_off(), one at a time", "jobs/s")
    return run.measure(
        {**samples, "run(), one at a time": in_a_thread}, lambda taken: [line(taken, {"plain": SINGLE})]
    )


def idle(run: Run) -> list[Result]:
    """How soon an idle worker starts a new job, and its CPU while idle."""
    wait = partial(program_command, "plain", "wait")
    samples = {
        "jobqueue": partial(_idle, run, "jobqueue", work_command),
        "plain": partial(_idle, run, "plain", wait),
    }

    def lines(taken: Mapping[str, list[Idle]]) -> list[Result]:
        def line(title: str, unit: str, target: Target | None, figure: Callable[[Idle], float]) -> Result:
            figures = {name: [figure(each) for each in rounds] for name, rounds in taken.items()}
            return result("idle", run.database, title, unit, figures, {"plain": target} if target else {})

        return [
            line("pick-up latency, p50", "ms", PICK_UP, lambda seen: nearest_rank(seen.waits_ms, 50)),
            line("pick-up latency, p95", "ms", None, lambda seen: nearest_rank(seen.waits_ms, 95)),
            line("pick-up latency, largest", "ms", None, lambda seen: max(seen.waits_ms)),
            line("CPU of an idle worker", "%", IDLE_CPU, lambda seen: seen.cpu_percent),
        ]

    return run.measure(samples, lines)


def deep(run: Run) -> list[Result]:
    """The same number of jobs out of a large and a small backlog."""
    few, many = run.sizes.few, run.sizes.many
    few_waiting = f"{few:,} waiting"
    with run.workbench.database() as url:
        run.workbench.program("jobqueue", "fill", url, many)
        if run.database == "postgresql":  # as it would have by itself while such a backlog grew
            settle_postgres(url)

        def of_many() -> float:
            with run.workbench.workers(url, [work_command(url)]) as workers:
                return workers.drain(few)

        samples: dict[str, Timing] = {"jobqueue": of_many, few_waiting: partial(_drained, run, few, 1)}
        line = partial(result, "deep", run.database, f"drain, {many:,} waiting", "jobs/s")
        return run.measure(samples, lambda taken: [line(taken, {few_waiting: MANY})])


def beside(run: Run) -> list[Result]:
    """Beside others' jobs, scheduled and failed ones."""
    few, many = run.sizes.few, run.sizes.many
    kinds = {
        "fill-another-queue": (many, f"drain, {many:,} elsewhere"),
        "fill-scheduled": (many // 2, f"drain, {many // 2:,} scheduled"),
        "fill-failed": (many // 5, f"drain, {many // 5:,} failed"),
    }

    def drained(url: str) -> float:
        with run.workbench.workers(url, [work_command(url, 1, "--queue", "default")]) as workers:
            last = workers.watch.last_id()
            run.workbench.program("jobqueue", "fill", url, few)
            return workers.drain(few, last + 1)

    with contextlib.ExitStack() as stack:
        samples: dict[str, Timing] = {}
        for work, count in {"empty table": 1, **{kind: count for kind, (count, _) in kinds.items()}}.items():
            url = stack.enter_context(run.workbench.database())
            run.workbench.program("jobqueue", work if work in kinds else "fill-failed", url, count)
            if run.database == "postgresql":
                settle_postgres(url)
            samples[work] = partial(drained, url)
        line = partial(result, "beside", run.database)

        def lines(taken: Mapping[str, list[float]]) -> list[Result]:
            empty = {"empty table": taken["empty table"]}
            targets = {"empty table": OTHER_ROWS}
            return [
                line(title, "jobs/s", {"jobqueue": taken[kind], **empty}, targets)
                for kind, (_, title) in kinds.items()
            ]

        return run.measure(samples, lines)


def threads(run: Run) -> list[Result]:
    """Jobs that wait 100 ms, 50 at a time: at best 500 a second."""
    count = run.sizes.pauses
    rate = partial(_drained, run, count, 1, work="fill-pauses", threads=THREADS)
    samples: dict[str, Timing] = {"jobqueue": rate, "pool": run.timed("pool", "pauses", count)}
    line = partial(result, "threads", run.database, f"{THREADS} threads, 100 ms jobs", "jobs/s")
    return run.measure(samples, lambda taken: [line(taken, {"pool": PAUSES})])


def imports(run: Run) -> list[Result]:
    """CPU time of `import jobqueue`, less that of a bare interpreter."""
    codes = ("import jobqueue", "import sqlalchemy", "pass")
    samples: dict[str, Timing] = {code: partial(_cpu_seconds, code) for code in codes}

    def lines(taken: Mapping[str, list[float]]) -> list[Result]:
        net = {
            code: [whole - bare for whole, bare in zip(taken[code], taken["pass"], strict=True)]
            for code in codes[:2]
        }
        return [
            result("import", "", "CPU of import jobqueue", "s", net, {"import sqlalchemy": IMPORT}),
            result("import", "", "CPU of a bare interpreter", "s", {"pass": taken["pass"]}),
        ]

    return run.measure(samples, lines)


MEASURES: dict[str, Callable[[Run], list[Result]]] = {
    "enqueue": enqueue,
    "bulk": bulk,
    "drain": drain,
    "single": single,
    "idle": idle,
    "deep": deep,
    "beside": beside,
    "threads": threads,
    "import": imports,
}
WITHOUT_DATABASE = ("import",)
WEIGHTS = {
    "drain": 4.0,
    "beside": 2.0,
    "idle": 1.5,
    "import": 0.5,
}  # their shares of a run's time; those of the others are 1


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


@dataclass(frozen=True)
class Idle:
    """How an idle worker did in one round: its waits until it began a job, and its CPU between jobs."""

    waits_ms: Sequence[float]
    cpu_percent: float  # of one core


def _idle(run: Run, system: str, command: Callable[[str], list[str]]) -> Idle:
    """One round: stamps after random waits, a pause, and a last stamp."""
    count, pause = run.sizes.stamps, run.sizes.idle_seconds
    said = re.compile(rf"{PICKED} (\S+) s, CPU (\S+) s\n")
    with run.workbench.database() as url, run.workbench.workers(url, [command(url)]) as workers:
        workers.begin()
        workers.processes[0].wait_for("Starting job worker")
        run.workbench.program(system, "stamp", url, count, "--seed", str(run.seed), "--pause", str(pause))
        workers.wait_until(lambda: len(said.findall(workers.output())) == count + 1)
        seen = [(1000 * float(wait), float(cpu)) for wait, cpu in said.findall(workers.output())]
    used = seen[-1][1] - seen[-2][1]
    return Idle([wait for wait, _ in seen[:-1]], 100 * used / pause)


def _cpu_seconds(code: str) -> float:
    """The CPU time of an interpreter that runs `code`. No other child may end meanwhile."""
    before = _cpu_of_ended_children()
    subprocess.run([sys.executable, "-c", code], check=True)
    return _cpu_of_ended_children() - before


def _cpu_of_ended_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
