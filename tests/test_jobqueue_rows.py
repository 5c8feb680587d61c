"""Rows that only others write: whatever a column holds, the other jobs run, and the tools show it."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from conftest import wait_until
from flask import Flask
from jobs_for_tests import Say, said
from sqlalchemy import event
from sqlalchemy.exc import DataError

from jobqueue import Queue, Worker
from jobqueue.tools import looking, presence
from jobqueue.tools.cli import main
from jobqueue.tools.dashboard import dashboard
from jobqueue.tools.explaining import explain
from loadtests.torture.mutations import mutate, write_anything

pytest_plugins = ["queue_fixtures"]


Look = Callable[[Iterable[int]], None]


@pytest.fixture
def look(queue: Queue, database_url: str, capsys: pytest.CaptureFixture[str]) -> Look:
    """look(ids) has every tool look at the queue, and at these jobs if they are there."""
    app = Flask("shows the jobs")
    app.register_blueprint(dashboard(queue, open_to_all=True))
    pages = app.test_client()

    def command(*words: str, status: tuple[int, ...] = (0,)) -> None:
        capsys.readouterr()
        assert main([*words, "--database", database_url]) in status, capsys.readouterr().err
        if "--json" in words:
            json.loads(capsys.readouterr().out, parse_constant=pytest.fail)

    def look(ids: Iterable[int]) -> None:
        there = {job.id for job in queue.jobs(1000) if repr(job)}.intersection(ids)
        for id in there:
            assert all(reason.text for reason in explain(queue, id).reasons)
            assert pages.get(f"/jobs/{id}").status_code == 200
        for state in ("waiting", "due", "running", "failed"):
            assert pages.get(f"/jobs/{state}").status_code == 200
        assert pages.get("/jobs/").status_code == pages.get("/jobs/metrics").status_code == 200
        for json_ in ([], ["--json"]):
            command("list", "--limit", "1000", *json_)
            command("stats", *json_)
            command("doctor", *json_, status=(0, 1))
            command("check", "--max-age", "5", *json_, status=(0, 1))
            command("verify", "--import", "jobs_for_tests", *json_, status=(0, 1))
            for word in ("show", "explain") if there else ():
                command(word, str(max(there)), *json_)

    return look


@pytest.mark.parametrize(("count", "at_once"), [(40, 40), pytest.param(600, 300, marks=pytest.mark.live)])
def test_no_row_affects_any_other_whatever_it_holds(
    queue: Queue, look: Look, database_url: str, count: int, at_once: int
) -> None:
    """Behind each mutated row is a good job: all good ones run. The mutated ones are done, or failed with a
    reason, or wait for later; they can be shown, retried and deleted like any others. (`make torture` does so
    with 2,000.)
    """
    random = Random(count)
    for start in range(0, count, at_once):
        said.clear()
        now = datetime.now(UTC)
        past = now - timedelta(minutes=1)
        mutated: dict[int, list[str]] = {}
        for n in range(start, start + at_once):
            id = queue.enqueue(Say("mutated"), now=past)
            mutated[id] = mutate(queue, id, random)
            queue.enqueue(Say(f"good {n}"), now=past)
        look(mutated)
        Worker(queue).work_off(now=now)
        assert [each for each in said if "good" in str(each)] == [
            f"good {n}" for n in range(start, start + at_once)
        ]
        look(list(mutated)[::5])
        assert looking.find(queue, state="due", now=now) == looking.find(queue, state="running") == []
        for job in looking.find(queue, state="failed"):
            assert job.last_error or {"failed_at", "last_error"}.intersection(mutated[job.id])
        retried = main(["retry", "--failed", "--database", database_url])
        assert retried in (0, 1)  # 1: two have been given the same unique key
        Worker(queue).work_off()
        assert main(["delete", "--failed", "--database", database_url]) == 0
        assert looking.find(queue, state="failed") == []
        queue.clear()


@pytest.mark.parametrize("count", [60, pytest.param(300, marks=pytest.mark.live)])
def test_no_row_of_a_worker_or_a_pause_affects_anything_whatever_it_holds(
    queue: Queue, look: Look, count: int
) -> None:
    """Jobs run, a worker that has died can be taken out, and all tools show what can be shown."""
    random, now, tables = Random(count), datetime.now(UTC), queue.tables
    names = [f"host:here pid:1 {n}" for n in range(count)]
    id = queue.enqueue(Say("good"))
    handler = queue.get(id).handler
    with queue.writer.begin() as connection:
        for name in names:
            me = presence.Self(name, 1, queues="", lease=60.0, max_run_time=3600.0, started_at=now)
            presence.be_seen(connection, tables, me, presence.Tally(1, 1), now)
            connection.execute(tables.pauses.insert(), {"queue": name, "paused_at": now})
    for name in names:
        for table, key in ((tables.workers, "name"), (tables.pauses, "queue")):
            write_anything(queue, random.choice(list(table.c)), handler, random, f" WHERE {key} = '{name}'")
    look([id])
    with queue.engine.connect() as connection:
        assert presence.tallies(connection, tables)
    assert Worker(queue, observers=[presence.Presence(queue)]).work_off() == (1, 0)
    with queue.writer.begin() as connection:
        for name in names:
            presence.leave(connection, tables, name, now)
    look([])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TypeError("of any kind"), "the worker's loop failed, trying again"),
        (
            DataError("SELECT", None, Exception("of any kind")),
            "the database refused a statement, trying again: of any kind",
        ),
    ],
)
def test_no_exception_ends_a_workers_loop(
    queue: Queue,
    run_worker: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    message: str,
) -> None:
    """It is logged for what it is, and the worker goes on."""
    monkeypatch.setattr("jobqueue.worker.RECONNECT_SECONDS", 0.05)
    raised: list[str] = []

    def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "handler" in statement and len(raised) < 3:  # the claim's SELECT
            raised.append(statement)
            raise error

    queue.enqueue(Say("hi"))
    event.listen(queue.writer, "before_cursor_execute", fail)
    run_worker(queue)
    wait_until(lambda: said == ["hi"] and not queue.jobs(), "the job's end")
    assert len(raised) == 3 and message in caplog.text
    assert "did not answer" not in caplog.text
