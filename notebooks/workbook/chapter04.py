"""Helpers for chapter 4: scratch databases, competing workers, and pictures."""

import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from tempfile import TemporaryDirectory
from typing import Any

from matplotlib.figure import Figure
from sqlalchemy import Connection, CursorResult, Engine, create_engine, event, text

from jobqueue import Queue, Worker, job
from jobqueue.lease import Lease
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    described,
    house_style,
    inches,
    label_ends,
)
from loadtests.servers.databases import DATABASE_NAMES
from loadtests.servers.postgres import running_postgres

Claim = Callable[[Connection, str], int | None]  # claims a job for the named worker; its id, or None
WorkOff = Callable[[Connection, Claim, str], list[int]]  # works until no job is left; the jobs done
DoneByWorker = Sequence[Sequence[int]]  # the jobs that each worker did, in order
ONCE, TWICE = COLOURS["queued"], COLOURS["sync"]
_folders: list["TemporaryDirectory[str]"] = []  # of scratch(); removed when the kernel ends


def sql(db: Connection, statement: str, **values: Any) -> CursorResult[Any]:
    """Execute one statement; its parameters are written `:name`."""
    return db.execute(text(statement), values)


def do(_id: int) -> None:
    """The job: it takes 3 ms."""
    time.sleep(0.003)


def scratch() -> Engine:
    """An empty SQLite file, removed when the kernel ends. Each statement is its own transaction."""
    _folders.append(TemporaryDirectory(prefix="workbook-"))
    return _open(f"sqlite:///{_folders[-1].name}/queue.db")


@contextmanager
def database(kind: str) -> Iterator[Engine]:
    """An empty database, "sqlite" or "postgresql", removed at the end. Each statement is a transaction."""
    with ExitStack() as stack:
        if kind == "postgresql":
            url = stack.enter_context(running_postgres())
        else:
            url = f"sqlite:///{stack.enter_context(TemporaryDirectory(prefix='workbook-'))}/queue.db"
        engine = _open(url)
        stack.callback(engine.dispose)
        yield engine


def _open(url: str) -> Engine:
    patience = {"timeout": 15} if url.startswith("sqlite") else {}
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=10, connect_args=patience)
    if engine.dialect.name == "sqlite":
        with engine.connect() as db:
            # Readers and the writer don't block each other.
            db.exec_driver_sql("PRAGMA journal_mode = WAL")
    return engine


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


_noted: list[int] = []  # the numbers of the notes, in the order they ran


@job
@dataclass
class Note:
    """A jobqueue job that notes that it ran."""

    number: int

    def perform(self) -> None:
        """Note it."""
        _noted.append(self.number)


def the_library(workers: int, count: int) -> dict[str, str]:
    """Run jobqueue's own workers on each database with `count` jobs; prints the outcome.

    Returns the statements of a claim for each database.
    """
    statements = {}
    for kind, name in DATABASE_NAMES.items():
        with database(kind) as engine:
            queue = Queue(engine.url)
            queue.create_tables()
            queue.enqueue_many([Note(n) for n in range(1, count + 1)])
            statements[kind] = _claim_as_sql(queue)
            _noted.clear()
            with ThreadPoolExecutor(workers) as pool:
                for each in [pool.submit(Worker(queue).work_off) for _ in range(workers)]:
                    each.result()
            queue.close()
        print(f"{name}, jobqueue: {len(runs([_noted]))} jobs ran, {extra([_noted])} runs too many")
    return statements


def _claim_as_sql(queue: Queue) -> str:
    """The statements that jobqueue sends to claim a job."""
    sent: list[str] = []
    with queue.writer.connect() as connection:
        event.listen(connection, "before_cursor_execute", lambda *told: sent.append(told[2]))
        Lease(queue.tables, "A").claim(connection, 1, datetime.now(UTC))
        connection.rollback()
    return "\n".join(" ".join(each.split()) for each in sent[-2:])


def show_sql(statement: str) -> None:
    """Print long statements, one clause to a line."""
    for clause in ("SET", "WHERE", "FROM", "ORDER BY", "LIMIT", "FOR UPDATE", "RETURNING"):
        statement = statement.replace(f" {clause}", f"\n{clause}")
    for line in statement.splitlines():
        print(textwrap.fill(line, 96, subsequent_indent="    "))


# ---- pictures


def runs_figure(races: Mapping[str, DoneByWorker], title: str) -> Figure:
    """How often each job ran: a lane for each way of claiming, a bar for each job."""
    counts = {name: runs(done) for name, done in races.items()}
    most = max(2, *(times for of in counts.values() for times in of.values()))
    with house_style():
        height = 1.05 + 1.15 * len(races)
        figure = Figure(figsize=(10.5, height))
        figure.text(0.02, 1 - 0.3 / height, title, size=13, weight="bold", va="center")
        told = []
        for lane, (name, of) in enumerate(counts.items()):
            bottom = 0.7 + 1.15 * (len(races) - 1 - lane)
            axes = inches(figure, 0.75, bottom, 6.6, 0.75)
            axes.bar(
                list(of),
                list(of.values()),
                width=1.0,
                color=[TWICE if times > 1 else ONCE for times in of.values()],
            )
            axes.set_xlim(0, len(of) + 1)
            axes.set_ylim(0, most)
            axes.set_yticks(range(most + 1) if most < 6 else (0, 1, most))
            axes.set_ylabel("runs")
            if lane < len(races) - 1:
                axes.set_xticklabels([])
            else:
                axes.set_xlabel("job, by its number")
            many = sum(times > 1 for times in of.values())
            said = (
                f"{extra(races[name])} runs too many, of {many} jobs" if many else f"all {len(of)} ran once"
            )
            style: dict[str, Any] = {
                "transform": axes.transAxes,
                "color": TWICE if many else ONCE,
                "size": 11,
            }
            axes.text(1.02, 0.62, name, va="center", **{**style, "weight": "bold"})
            axes.text(1.02, 0.25, said, va="center", **style)
            told.append(f"{name}: {said}")
    return described(figure, f"{title}. {'; '.join(told)}.")


def overlap_figure(found: Sequence[Mapping[str, Any]], hold: float) -> Figure:
    """How long B waits while A's claim is not committed, and what B gets."""
    rows = len(found)
    with house_style():
        figure = Figure(figsize=(11.5, 1.55 + 0.55 * rows))
        axes = inches(figure, 3.1, 0.75, 4.6, 0.55 * rows)
        axes.set_title(
            f"A has claimed job 1, and commits after {1000 * hold:.0f} ms. B asks for a job at 0 ms.",
            weight="bold",
            x=-0.62,
        )
        axes.set_xlim(0, 1000 * 1.25 * max(hold, *(each["waited"] for each in found)))
        axes.set_ylim(rows - 0.4, -0.6)
        axes.axvline(1000 * hold, color=GREY, lw=1.2, ls=(0, (5, 4)))
        axes.text(1000 * hold, -0.4, " A commits", color=GREY, size=11, va="center")
        labels = []
        for row, each in enumerate(found):
            said, colour = _outcome(each)
            wait = 1000 * each["waited"]
            axes.barh(row, wait, height=0.36, color=colour, alpha=0.35)
            axes.plot([wait], [row], marker="o", ms=9, color=colour)
            labels.append(EndLabel(wait, row, said, colour))
        axes.set_yticks(
            range(rows), [f"{DATABASE_NAMES[each['database']]}: {each['claim']}" for each in found]
        )
        axes.set_xlabel("ms that B waits for its claim")
        axes.grid(axis="y", visible=False)
        label_ends(axes, labels)
    told = [
        f"{DATABASE_NAMES[each['database']]}, {each['claim']}: after {label.x:.0f} ms {label.text}"
        for each, label in zip(found, labels, strict=True)
    ]
    return described(figure, f"A commits after {1000 * hold:.0f} ms. {'; '.join(told)}.")


def _outcome(each: Mapping[str, Any]) -> tuple[str, str]:
    if each["B"] == each["A"]:
        return f"B has job {each['B']}, too", TWICE
    if each["B"] is None:
        return "B has nothing, though two jobs wait", GREY
    return f"B has job {each['B']}", ONCE
