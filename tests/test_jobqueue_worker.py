"""The worker: concurrent jobs, an end to hung ones, and a database that goes away."""

import re
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from conftest import administer, wait_until
from jobs_for_tests import Fail, Line, Say, WaitAtGate, call, call_with_session, gates, only_job, said
from sqlalchemy import create_engine, make_url, select, text
from sqlalchemy.orm import Session

from jobqueue import Queue, Worker, sqlite, worker
from jobqueue.observing import Event
from jobqueue.tools import meter

pytest_plugins = ["queue_fixtures"]

RunWorker = Callable[..., Any]


def test_work_off_says_how_many_succeeded_and_failed(queue: Queue) -> None:
    """It performs the due jobs, and returns."""
    for job in (Say("one"), Fail("two"), Say("three")):
        queue.enqueue(job)
    queue.enqueue(Say("later"), run_at=timedelta(hours=1))
    assert Worker(queue).work_off() == (2, 1)
    assert said == ["one", "three"]
    assert Worker(queue).work_off() == (0, 0)


def test_work_off_stops_at_its_limit(queue: Queue) -> None:
    """The last job is settled before it returns."""
    for word in ("one", "two", "three"):
        queue.enqueue(Say(word))
    assert Worker(queue).work_off(limit=2) == (2, 0)
    assert len(queue.jobs()) == 1
    assert Worker(queue).work_off(limit=0) == (0, 0)


def test_work_off_performs_jobs_that_jobs_enqueue(queue: Queue) -> None:
    """It goes on until nothing is due."""

    def enqueue_another() -> None:
        queue.enqueue(Say("another"))

    queue.enqueue(call(enqueue_another))
    assert Worker(queue).work_off() == (2, 0)
    assert said == ["another"]


def test_two_workers_never_have_one_name(queue: Queue) -> None:
    """Names differ even in one process, or in containers with the same host name and process id."""
    names = {Worker(queue).name for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(r"host:\S+ pid:\d+ [0-9a-f]{8}", name) for name in names)


def test_a_worker_performs_several_jobs_at_once(queue: Queue, run_worker: RunWorker) -> None:
    """It performs one job in each thread: here four wait for one another, and end only if all run at once."""
    barrier = threading.Barrier(4, timeout=60)

    def meet_the_others() -> None:
        barrier.wait()
        said.append("met")

    for _ in range(8):
        queue.enqueue(call(meet_the_others))
    run_worker(queue, threads=4)
    wait_until(lambda: not queue.jobs(), "the end of all jobs")
    assert said == ["met"] * 8


def test_one_thread_performs_one_job_at_a_time(queue: Queue, run_worker: RunWorker) -> None:
    """The second job is not even claimed while the first runs, so another worker may claim it."""
    queue.enqueue(WaitAtGate("first"))
    queue.enqueue(Say("second"))
    run_worker(queue)
    wait_until(lambda: said == ["at first"], "the first job's beginning")
    assert [job.attempts for job in queue.jobs()] == [1, 0]
    assert Worker(queue).work_off() == (1, 0)
    gates["first"].set()
    wait_until(lambda: not queue.jobs(), "the first job's end")
    assert said == ["at first", "second", "through first"]


def test_an_idle_worker_takes_a_new_job(queue: Queue, run_worker: RunWorker) -> None:
    """It also takes a job that becomes due while it waits."""
    running = run_worker(queue)
    wait_until(lambda: running.lines, "the worker's start")
    queue.enqueue(Say("later"), run_at=timedelta(milliseconds=300))
    queue.enqueue(Say("now"))
    wait_until(lambda: said == ["now", "later"], "both jobs")


def test_a_worker_says_what_delayed_jobs_worker_says(queue: Queue, run_worker: RunWorker) -> None:
    """It says that it starts, how many jobs it has processed and how fast, and that it exits."""
    queue.enqueue(Say("one"))
    queue.enqueue(Fail("two"))
    running = run_worker(queue)
    wait_until(lambda: len(running.lines) > 1, "the report of an idle worker")
    running.stop()
    running.wait()
    start, *reports, end = running.lines
    assert re.fullmatch(r"\*\*\* Starting job worker host:\S+ pid:\d+", start)
    assert re.fullmatch(r"\*\*\* Exiting job worker host:\S+ pid:\d+", end)
    report = re.compile(r"(\d+) jobs? processed at \d+\.\d{4} j/s, (\d+) failed \.\.\.")
    figures = [report.fullmatch(line) for line in reports]
    assert [sum(int(match[n]) for match in figures if match) for n in (1, 2)] == [2, 1]


def test_a_busy_worker_reports_every_few_seconds(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not report at every poll, and each report counts only the jobs since the last."""
    lines: list[str] = []
    counter = meter.Meter(lines.append)
    told = partial(Event, worker=Worker(queue), at=datetime.now(UTC))
    counter(told("performed"))
    counter(told("busy"))
    assert lines == []
    counter(told("failed"))
    monkeypatch.setattr(meter, "REPORT_SECONDS", 0.0)
    counter(told("busy"))
    counter(told("busy"))
    assert [re.sub(r"at \S+", "at R", line) for line in lines] == ["2 jobs processed at R j/s, 1 failed ..."]


def test_a_hung_job_is_ended_and_its_slot_is_used_by_others(queue: Queue, run_worker: RunWorker) -> None:
    """The next job runs even though the only thread still hangs. When the hung job ends at last, its outcome
    is ignored.
    """
    queue.enqueue(WaitAtGate("hung"), max_run_time=0.1)
    queue.enqueue(Say("next"), priority=1)
    run_worker(queue)
    wait_until(lambda: said == ["at hung", "next"] and len(queue.jobs()) == 1, "the next job's end")
    job = only_job(queue)
    assert "RunTimeExceeded: The job ran longer than its max_run_time. (0.1 seconds)" in (
        job.last_error or ""
    )
    assert (job.attempts, job.locked_by) == (1, None)
    gates["hung"].set()
    wait_until(lambda: "through hung" in said, "the hung job's end")
    queue.enqueue(Say("last"))
    wait_until(lambda: "last" in said and len(queue.jobs()) == 1, "the last job's end")
    assert vars(only_job(queue)) | {"_sa_instance_state": None} == vars(job) | {"_sa_instance_state": None}


def test_a_job_may_have_a_max_run_time_of_its_own(queue: Queue, run_worker: RunWorker) -> None:
    """Here it exceeds the worker's, which applies to all other jobs."""
    queue.enqueue(WaitAtGate("patient"), max_run_time=20)
    queue.enqueue(WaitAtGate("hung"), max_attempts=1)
    run_worker(queue, threads=2, max_run_time=0.1)
    wait_until(lambda: queue.jobs()[-1].failed_at, "the hung job's end")
    assert "(0.1 seconds)" in (queue.jobs()[-1].last_error or "")
    gates["patient"].set()
    wait_until(lambda: len(queue.jobs()) == 1, "the patient job's end")


def test_a_hung_job_that_wakes_up_writes_nothing(queue: Queue, run_worker: RunWorker) -> None:
    """Its attempt is over, so what it writes with its session is rolled back."""

    def write_late(session: Session) -> None:
        said.append("hung")
        gates["late"].wait(60)
        session.add(Line(text="late"))
        session.flush()
        said.append("written")

    queue.enqueue(call_with_session(write_late), max_run_time=0.1, max_attempts=1)
    run_worker(queue)
    wait_until(lambda: only_job(queue).failed_at, "the hung job's end")
    gates["late"].set()
    wait_until(lambda: not hung_threads(), "the hung thread's end")
    assert said == ["hung", "written"]
    with Session(queue.engine) as session:
        assert session.scalars(select(Line)).all() == []


def hung_threads() -> list[threading.Thread]:
    """The job threads other than the worker's first."""
    return [thread for thread in threading.enumerate() if thread.name == "jobqueue"][1:]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once what would otherwise wait some seconds for the database."""
    monkeypatch.setattr(worker, "RECONNECT_SECONDS", 0.05)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 50)


@pytest.mark.usefixtures("impatient")
def test_a_worker_survives_a_database_that_is_away(
    queue: Queue, database_url: str, run_worker: RunWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """It logs this, tries again, and forgets no outcome of a job that ended in the meantime."""
    queue.enqueue(WaitAtGate("out"))
    queue.enqueue(Fail("out of order"), run_at=timedelta(hours=1))
    run_worker(queue)
    wait_until(lambda: said == ["at out"], "the job's beginning")
    come_back = take_away(database_url)
    gates["out"].set()
    wait_until(lambda: "did not answer, trying again" in caplog.text, "the worker's complaint")
    wait_until(lambda: said == ["at out", "through out"], "the job's end")
    come_back()
    wait_until(lambda: len(queue.jobs()) == 1, "the job's end in the database")
    queue.enqueue(Say("next"))
    wait_until(lambda: said[-1] == "next", "the next job")
    told = [line for line in caplog.messages if "database did not answer" in line or "answers again" in line]
    assert told[-1] == "the database answers again" and all(a != b for a, b in pairwise(told))


@pytest.mark.usefixtures("impatient")
def test_a_worker_can_be_stopped_while_the_database_is_away(
    queue: Queue, database_url: str, run_worker: RunWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not wait for the database: jobs it could not give back are freed when their lease expires."""
    queue.enqueue(WaitAtGate("out"))
    running = run_worker(queue, stop_timeout=0.1)
    wait_until(lambda: said == ["at out"], "the job's beginning")
    come_back = take_away(database_url)
    running.stop()
    running.wait()
    come_back()
    assert "did not answer; jobs are freed after the lease" in caplog.text
    assert (only_job(queue).attempts, only_job(queue).locked_by) == (1, running.worker.name)


def end_the_connection(session: Session) -> None:
    session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def end_it_before_the_commit(session: Session) -> None:
    pid = session.scalar(text("SELECT pg_backend_pid()"))
    with Session(session.get_bind()) as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})


def find_no_server(_: Session) -> None:
    create_engine("postgresql+psycopg://127.0.0.1:1/none").connect()


@pytest.mark.parametrize("lose", [end_the_connection, end_it_before_the_commit, find_no_server])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_job_whose_connection_was_lost_costs_one_line(
    queue: Queue, lose: Callable[[Session], None], caplog: pytest.LogCaptureFixture
) -> None:
    """As after a restart of the server. The traceback is in its last_error."""
    queue.enqueue(call_with_session(lose))
    assert Worker(queue).work_off() == (0, 1)
    (line,) = caplog.records
    assert "failed: sqlalchemy.exc.OperationalError" in line.getMessage() and line.exc_info is None
    assert "\n" not in line.getMessage()
    assert (only_job(queue).last_error or "").startswith("Traceback")


def take_away(database_url: str) -> Callable[[], None]:
    """Make the database unusable to others; returns a function that brings it back."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        other = sqlite3.connect(url.database or "", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")  # holds the write lock for longer than the others' busy_timeout
        return other.close
    admin = url.set(database="postgres").render_as_string(hide_password=False)
    administer(
        admin,
        f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.database}'",
    )
    return lambda: administer(admin, f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true")
