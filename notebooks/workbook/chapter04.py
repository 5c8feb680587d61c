"""Helpers for chapter 4: scratch databases, the chapter's own claims, and competing workers."""

import atexit
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, create_engine, text

from loadtests.folders import temporary_folder
from loadtests.servers.databases import DATABASE_NAMES, fresh_database
from loadtests.servers.postgres import running_postgres
from workbook.exercises import Right, problem_of
from workbook.session import session

Claim = Callable[[Connection, str], int | None]  # claims a job for the named worker; its id, or None
WorkOff = Callable[[Connection, Claim, str], list[int]]  # works until no job is left; the jobs done
DoneByWorker = Sequence[Sequence[int]]  # the jobs that each worker did, in order
_at_the_end = ExitStack()  # of the kernel
atexit.register(_at_the_end.close)


def sql(db: Connection, statement: str, **values: Any) -> CursorResult[Any]:
    """Execute one statement; its parameters are written `:name`."""
    return db.execute(text(statement), values)


def do(_id: int) -> None:
    """The job: it takes 3 ms."""
    time.sleep(0.003)


def scratch() -> Engine:
    """An empty SQLite file, removed when the kernel ends. Each statement is its own transaction."""
    return _at_the_end.enter_context(database("sqlite"))


@contextmanager
def database(kind: str) -> Iterator[Engine]:
    """An empty database, "sqlite" or "postgresql". Each statement is its own transaction."""
    server = _postgres() if kind == "postgresql" else kind
    with temporary_folder("workbook") as folder, fresh_database(server, folder) as url:
        patience = {"timeout": 15} if kind == "sqlite" else {}
        engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=10, connect_args=patience)
        if kind == "sqlite":
            with engine.connect() as db:
                sql(db, "PRAGMA journal_mode = WAL")  # readers and the writer don't block each other
        try:
            yield engine
        finally:
            engine.dispose()


@cache
def _postgres() -> str:
    """The URL of this kernel's PostgreSQL server, which starts on first use, and ends with the kernel."""
    return _at_the_end.enter_context(running_postgres())


# ---- the chapter's own claims


def one_update(db: Connection, worker: str) -> int | None:
    """Look and claim in one statement."""
    return sql(
        db,
        """UPDATE jobs SET locked_by = :worker
           WHERE id = (SELECT id FROM jobs WHERE locked_by IS NULL ORDER BY id LIMIT 1)
           RETURNING id""",
        worker=worker,
    ).scalar()


def skip_locked(db: Connection, worker: str) -> int | None:
    """Lock the row while looking for it, on PostgreSQL."""
    return sql(
        db,
        """UPDATE jobs SET locked_by = :worker
           WHERE id = (SELECT id FROM jobs WHERE locked_by IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
           RETURNING id""",
        worker=worker,
    ).scalar()


def yours(claim: Claim, right: Right, own: Claim) -> Claim:
    """The reader's claim if `right` says so, or else the chapter's own; prints which one it is."""
    if session().mode == "recorded":
        print("The race below was recorded with the chapter's own claim.")
        return own
    if problem_of(claim, right) is not None:
        print("Your claim is missing, or not right yet: the chapter's own one races in its place.")
        return own
    print("It is your claim that races.")
    return claim


# ---- races


def fill(engine: Engine, count: int) -> None:
    """Create the table anew, with `count` jobs."""
    with engine.connect() as db:
        sql(db, "DROP TABLE IF EXISTS jobs")
        sql(db, "CREATE TABLE jobs (id INTEGER PRIMARY KEY, handler TEXT, locked_by TEXT)")
        for n in range(1, count + 1):
            sql(db, "INSERT INTO jobs (id, handler) VALUES (:n, 'count me')", n=n)


def races(
    kind: str, work_off: WorkOff, claims: Mapping[str, Claim], workers: int, count: int
) -> dict[str, DoneByWorker]:
    """Run race() for each way of claiming, on one kind of database with `count` jobs; prints the outcome."""
    done = {}
    with database(kind) as engine:
        for name, claim in claims.items():
            fill(engine, count)
            done[name] = race(engine, work_off, claim, workers)
            shares = ", ".join(str(len(of)) for of in done[name])
            print(
                f"{DATABASE_NAMES[kind]}, {name}: {extra(done[name])} runs too many; runs by worker: {shares}"
            )
    return done


def race(engine: Engine, work_off: WorkOff, claim: Claim, workers: int) -> DoneByWorker:
    """Start `workers` threads at once, each with its own connection; they work until no job is left."""
    barrier = threading.Barrier(workers)

    def run(number: int) -> list[int]:
        with engine.connect() as db:
            barrier.wait(10)
            return work_off(db, claim, f"worker {number}")

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(run, range(1, workers + 1)))


def runs(done: DoneByWorker) -> dict[int, int]:
    """How often each job ran."""
    return dict(sorted(Counter(chain(*done)).items()))


def extra(done: DoneByWorker) -> int:
    """How many runs were too many: all runs of a job but its first."""
    return sum(times - 1 for times in runs(done).values())


def overlap(engine: Engine, claim: Claim, hold: float) -> dict[str, Any]:
    """A claims, and commits `hold` seconds later; B claims meanwhile. What each got; B's wait in seconds."""
    with engine.connect() as a, engine.connect() as b:

        def second() -> tuple[int | None, float]:
            began = time.perf_counter()
            return claim(b, "B"), time.perf_counter() - began

        with ThreadPoolExecutor(1) as pool:
            a.exec_driver_sql("BEGIN")
            got = claim(a, "A")
            other = pool.submit(second)
            time.sleep(hold)
            a.exec_driver_sql("COMMIT")
            theirs, waited = other.result(20)
    return {"A": got, "B": theirs, "waited": waited}


def overlaps(tried: Mapping[str, Mapping[str, Claim]], hold: float) -> list[dict[str, Any]]:
    """Run overlap() on each kind of database for each way of claiming, with three jobs."""
    found = []
    for kind, claims in tried.items():
        with database(kind) as engine:
            for name, claim in claims.items():
                fill(engine, 3)
                found.append({"database": kind, "claim": name, **overlap(engine, claim, hold)})
    return found
