"""Other queues for Python, each at its best settings, measured in the same run as jobqueue.

Needs `requirements/engines.txt`. Each function returns the seconds that `count` jobs took; a drain is timed
from the first job performed to the last. The best settings were found by experiment:

* Huey: no results stored, no periodic tasks, one worker thread.
* Procrastinate: no NOTIFY, ten jobs at a time in one process, finished jobs deleted.
* PgQueuer: asyncpg (four times as fast as psycopg there), batches of 100, its own drain mode.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from time import perf_counter
from typing import Any

import sqlalchemy as sa

from loadtests.queuebench.plain import postgres_dsn, settle_postgres

PGQUEUER_BATCH = 100
PROCRASTINATE_CONCURRENCY = 10
BULK_CALL = 10_000  # jobs in one call of a peer's bulk insert


class JobTimer:
    """Times jobs by a tick for each one performed; the last of `count` sets `done`."""

    def __init__(self, count: int):
        self.count = count
        self.done = threading.Event()
        self._seen = 0
        self._start = self._end = 0.0

    def tick(self) -> None:
        if not self._seen:
            self._start = perf_counter()
        self._seen += 1
        if self._seen == self.count:
            self._end = perf_counter()
            self.done.set()

    def seconds(self) -> float:
        """From the first job to the last. Raises ValueError if not all were performed."""
        if not self.done.is_set():
            raise ValueError(f"{self.count} jobs should have been performed, but {self._seen} were")
        return self._end - self._start


# -- Huey


def huey_enqueue(url: str, count: int, fsync: bool) -> float:
    _, task = _huey(url, fsync, JobTimer(count))
    start = perf_counter()
    for _ in range(count):
        task()
    return perf_counter() - start


def huey_drain(url: str, count: int, fsync: bool) -> float:
    clock = JobTimer(count)
    _, fill = _huey(url, False, clock)
    for _ in range(count):
        fill()
    huey, _ = _huey(url, fsync, clock)
    consumer = huey.create_consumer(workers=1, periodic=False, check_worker_health=False)
    consumer.start()
    clock.done.wait()
    consumer.stop(graceful=True)
    return clock.seconds()


def _huey(url: str, fsync: bool, clock: JobTimer) -> tuple[Any, Any]:
    """A queue in the SQLite file, and its task."""
    from huey import SqliteHuey

    huey = SqliteHuey("bench", filename=sa.make_url(url).database, fsync=fsync, results=False)
    return huey, huey.task(name="noop")(clock.tick)


# -- Procrastinate


def procrastinate_enqueue(url: str, count: int) -> float:
    with _procrastinate_filler(url) as task:
        start = perf_counter()
        for _ in range(count):
            task.defer()
        return perf_counter() - start


def procrastinate_bulk(url: str, count: int) -> float:
    with _procrastinate_filler(url) as task:
        start = perf_counter()
        for number in range(0, count, BULK_CALL):
            task.batch_defer(*[{}] * min(BULK_CALL, count - number))
        return perf_counter() - start


def procrastinate_drain(url: str, count: int) -> float:
    procrastinate_bulk(url, count)
    settle_postgres(url)
    return asyncio.run(_procrastinate_drain(url, count))


async def _procrastinate_drain(url: str, count: int) -> float:
    from procrastinate import App, PsycopgConnector

    clock = JobTimer(count)

    async def noop() -> None:
        clock.tick()

    app = App(connector=PsycopgConnector(conninfo=postgres_dsn(url)))
    app.task(name="noop")(noop)
    async with app.open_async():
        await app.run_worker_async(
            wait=False,
            concurrency=PROCRASTINATE_CONCURRENCY,
            delete_jobs="always",
            listen_notify=False,
            install_signal_handlers=False,
        )
    return clock.seconds()


@contextlib.contextmanager
def _procrastinate_filler(url: str) -> Iterator[Any]:
    """Create its tables; yields the task to enqueue."""
    from procrastinate import App, SyncPsycopgConnector

    app = App(connector=SyncPsycopgConnector(conninfo=postgres_dsn(url)))
    with app.open():
        app.schema_manager.apply_schema()
        yield app.task(name="noop")(lambda: None)


# -- PgQueuer


def pgqueuer_enqueue(url: str, count: int) -> float:
    async def enqueue() -> float:
        async with _pgqueuer(url) as (_, queries):
            await queries.install()
            start = perf_counter()
            for _ in range(count):
                await queries.enqueue("noop", None)
            return perf_counter() - start

    return asyncio.run(enqueue())


def pgqueuer_bulk(url: str, count: int) -> float:
    async def bulk() -> float:
        async with _pgqueuer(url) as (_, queries):
            await queries.install()
            start = perf_counter()
            for number in range(0, count, BULK_CALL):
                size = min(BULK_CALL, count - number)
                await queries.enqueue(["noop"] * size, [None] * size, [0] * size)
            return perf_counter() - start

    return asyncio.run(bulk())


def pgqueuer_drain(url: str, count: int) -> float:
    pgqueuer_bulk(url, count)
    settle_postgres(url)
    return asyncio.run(_pgqueuer_drain(url, count))


async def _pgqueuer_drain(url: str, count: int) -> float:
    from pgqueuer.domain.types import QueueExecutionMode

    clock = JobTimer(count)

    async def noop(_job: Any) -> None:
        clock.tick()

    async with _pgqueuer(url) as (application, _):
        application.entrypoint("noop")(noop)
        await application.qm.run(batch_size=PGQUEUER_BATCH, mode=QueueExecutionMode.drain)
    return clock.seconds()


@contextlib.asynccontextmanager
async def _pgqueuer(url: str) -> AsyncIterator[tuple[Any, Any]]:
    """An application with its own connection, and the object that creates its tables and enqueues."""
    import asyncpg
    from pgqueuer.core.applications import PgQueuer

    connection = await asyncpg.connect(postgres_dsn(url))
    try:
        application = PgQueuer.from_asyncpg_connection(connection)
        yield application, application.qm.queries
    finally:
        await connection.close()
