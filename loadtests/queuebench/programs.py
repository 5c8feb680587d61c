"""The programs that the queue's benchmark runs, each in its own process.

    python -m loadtests.queuebench.programs SYSTEM WORK URL COUNT [--seed N] [--pause S]

prints one line of JSON, {"count": ..., "seconds": ...}. Only the work is timed, not the start of the process.
Those in WORKERS run until TERM instead, and print what a worker prints.
"""

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Unpack

import sqlalchemy as sa

from jobqueue import Queue, Worker
from jobqueue.options import RowOptions
from jobqueue.tools.meter import Meter
from jobqueue.tools.presence import Presence
from loadtests.queuebench import peers, plain
from loadtests.queuebench.jobs import THREADS, NoOp, Pause, Stamp

FILL_CALL = 10_000  # jobs in one call, so that a million don't have to fit in memory
WARM_UP = 20  # jobs before the clock starts, so that connections are open and statements compiled
GAPS_SECONDS = (0.01, 0.15)  # the shortest and the longest time that a worker is left idle


# -- jobqueue: each returns the seconds that it took


def enqueue(url: str, count: int) -> float:
    """One job per transaction."""
    queue = Queue(url)
    for _ in range(WARM_UP):
        queue.enqueue(NoOp())
    start = time.perf_counter()
    for _ in range(count):
        queue.enqueue(NoOp())
    return time.perf_counter() - start


def bulk(url: str, count: int) -> float:
    """All in one call."""
    queue = Queue(url)
    queue.enqueue(NoOp())
    start = time.perf_counter()
    queue.enqueue_many(NoOp() for _ in range(count))
    return time.perf_counter() - start


def fill(
    url: str,
    count: int,
    kind: Callable[[], NoOp | Pause] = NoOp,
    failed: bool = False,
    **options: Unpack[RowOptions],
) -> float:
    """Enqueue jobs for a later worker, with these options; or jobs that have failed for good.

    Closing the last connection writes SQLite's log into the file.
    """
    start = time.perf_counter()
    queue = Queue(url)
    for number in range(0, count, FILL_CALL):
        queue.enqueue_many((kind() for _ in range(min(FILL_CALL, count - number))), **options)
    if failed:
        jobs = queue.tables.jobs
        with queue.writer.begin() as transaction:
            transaction.execute(sa.update(jobs).values(failed_at=jobs.c.run_at))
    queue.close()
    return time.perf_counter() - start


def stamp(url: str, count: int, seed: int, pause: float) -> float:
    """Enqueue jobs for an idle worker: see `stamps`."""
    queue = Queue(url)
    start = time.perf_counter()
    for each in stamps(count, seed, pause):
        queue.enqueue(each)
    return time.perf_counter() - start


def stamps(count: int, seed: int, pause: float) -> Iterator[Stamp]:
    """`count` jobs, one at a time, after random waits; then a last one after `pause` seconds."""
    chance = random.Random(seed)
    for gap in [*(chance.uniform(*GAPS_SECONDS) for _ in range(count)), pause]:
        time.sleep(gap)
        yield Stamp(time.monotonic())


def work_off(url: str, count: int) -> float:
    """One job at a time, in the thread that claims them."""
    fill(url, count)
    if url.startswith("postgresql"):
        plain.settle_postgres(url)
    worker = Worker(Queue(url))
    worker.work_off(WARM_UP)
    start = time.perf_counter()
    succeeded, _ = worker.work_off()
    return (time.perf_counter() - start) * count / succeeded


def work_singly(url: str) -> None:
    """A worker that takes one job at a time, until TERM. Otherwise as `python -m jobqueue work`."""
    queue = Queue(url)
    say = partial(print, flush=True)
    worker = Worker(queue, max_batch=1, observers=[Presence(queue), Meter(say)])
    signal.signal(signal.SIGTERM, lambda _number, _frame: worker.stop())
    sys.setswitchinterval(0.0005)
    worker.run()


# -- the plain drivers, on tables that jobqueue has made and filled


def plain_drain(url: str, count: int, batch: int) -> float:
    fill(url, count)
    if url.startswith("postgresql"):
        plain.settle_postgres(url)
    return plain.drain(url, count, batch)


def plain_stamp(url: str, count: int, seed: int, pause: float) -> float:
    start = time.perf_counter()
    plain.send(url, (json.dumps(asdict(each)) for each in stamps(count, seed, pause)))
    return time.perf_counter() - start


def plain_wait(url: str) -> None:
    """A hand-written worker, until TERM. It says that it starts in a worker's words."""
    print("Starting job worker", flush=True)
    for handler in plain.handlers_as_they_come(url):
        Stamp(**json.loads(handler)).perform()


def pool_pauses(_url: str, count: int) -> float:
    """The same waits in a pool of threads, without a queue."""
    with ThreadPoolExecutor(THREADS) as pool:
        start = time.perf_counter()
        list(pool.map(lambda _: Pause().perform(), range(count)))
        return time.perf_counter() - start


PROGRAMS: dict[tuple[str, str], Callable[[str, int], float]] = {
    ("jobqueue", "enqueue"): enqueue,
    ("jobqueue", "bulk"): bulk,
    ("jobqueue", "fill"): fill,
    ("jobqueue", "single"): work_off,
    ("jobqueue", "fill-pauses"): partial(fill, kind=Pause),
    ("jobqueue", "fill-another-queue"): partial(fill, queue="another"),
    ("jobqueue", "fill-scheduled"): partial(fill, priority=-1, run_at=timedelta(days=1)),
    ("jobqueue", "fill-failed"): partial(fill, failed=True),
    ("plain", "enqueue"): plain.enqueue,
    ("plain-autocommit", "enqueue"): partial(plain.enqueue, autocommit=True),
    ("plain", "bulk"): plain.bulk,
    ("plain", "single"): partial(plain_drain, batch=1),
    ("pool", "pauses"): pool_pauses,
    ("plain-50", "drain"): partial(plain_drain, batch=50),
    ("plain-500", "drain"): partial(plain_drain, batch=500),
    ("huey", "enqueue"): partial(peers.huey_enqueue, fsync=True),
    ("huey", "drain"): partial(peers.huey_drain, fsync=True),
    ("huey-nofsync", "enqueue"): partial(peers.huey_enqueue, fsync=False),
    ("huey-nofsync", "drain"): partial(peers.huey_drain, fsync=False),
    ("procrastinate", "enqueue"): peers.procrastinate_enqueue,
    ("procrastinate", "bulk"): peers.procrastinate_bulk,
    ("procrastinate", "drain"): peers.procrastinate_drain,
    ("pgqueuer", "enqueue"): peers.pgqueuer_enqueue,
    ("pgqueuer", "bulk"): peers.pgqueuer_bulk,
    ("pgqueuer", "drain"): peers.pgqueuer_drain,
}

WORKERS: dict[tuple[str, str], Callable[[str], None]] = {
    ("jobqueue", "work-singly"): work_singly,
    ("plain", "wait"): plain_wait,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one program and print its time; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.queuebench.programs")
    for name, kind in {"system": str, "work": str, "url": str, "count": int}.items():
        parser.add_argument(name, type=kind)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.0)
    options = parser.parse_args(argv)
    named = (options.system, options.work)
    if options.system.startswith(("jobqueue", "plain")):
        queue = Queue(options.url)
        queue.create_tables()
        queue.close()
    if named in WORKERS:
        WORKERS[named](options.url)
        return 0
    stamping = {"seed": options.seed, "pause": options.pause}
    programs = PROGRAMS | {
        ("jobqueue", "stamp"): partial(stamp, **stamping),
        ("plain", "stamp"): partial(plain_stamp, **stamping),
    }
    seconds = programs[named](options.url, options.count)
    print(json.dumps({"count": options.count, "seconds": seconds}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
