"""Rows that only others write: whatever a column holds, the other jobs run, and the tools show it."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from conftest import wait_until
from flask import Flask
from jobs_for_tests import Say, said
from sqlalchemy import event
from sqlalchemy.exc import DataError, DBAPIError

from jobqueue import Job, Queue, Worker
from jobqueue.tools import looking
from jobqueue.tools.cli import main
from jobqueue.tools.dashboard import dashboard
from jobqueue.tools.explaining import explain

pytest_plugins = ["queue_fixtures"]

GOOD = '{"job":"Say","arguments":{"text":"mutated"}}'
AT_ONCE = 40  # mutations for one worker
DEEP = "[" * 100_000 + "]" * 100_000
JSON = [
    *("", "{}", "null", "[1]", "7", "NaN", DEEP, DEEP[:100_000], '{"a":' * 50_000, f"[{'1,' * 100_000}1]"),
    *(GOOD.replace('"mutated"', each) for each in (DEEP, "9" * 5_000, "1e999", r'"\ud800\u0000"', '"\0"')),
    GOOD.replace('{"text":"mutated"}', "[]"),
    GOOD.replace("Say", r"\ud800"),
    '{"job":"Article","key":[{"UUID":7}]}',
]
NUMBERS = [n + more for n in (0, 2**31, -(2**31), 2**63 - 2, 2 - 2**63) for more in (-1, 0, 1)]
NUMBERS += [float("inf"), float("-inf"), float("nan"), 1e308, 1e-308, 1.5, -10_000]
MOMENTS = [
    *("infinity", "-infinity", "0044-03-15 12:00:00 BC", "0001-01-01 00:00:00.000000", "2026-13-45 00:00:00"),
    *("9999-12-31 23:59:59.999999", "294276-12-31 23:59:59", "2026-01-01", "2026-01-01 00:00:00.000000"),
]
COLUMNS = [column.name for column in Job.__table__.columns if column.name != "id"]


def anything(random: Random) -> Any:
    """A value of any kind."""
    some = random.randbytes(random.randrange(40))
    cut = bytearray(GOOD.encode())
    cut[random.randrange(len(cut))] = random.randrange(256)
    return random.choice(
        [
            some,
            bytes(cut),
            some.decode("latin-1"),
            bytes(cut).decode("latin-1"),
            random.randrange(-(2**63), 2**63),
            random.gauss(0, 10.0 ** random.randrange(300)),
            *(random.choice(values) for values in (JSON, NUMBERS, MOMENTS)),
        ]
    )


def mutate(queue: Queue, id: int, random: Random) -> list[str]:
    """Write anything into one or two columns of the row; returns which. What is refused stays as it was."""
    names = random.sample(COLUMNS, random.choice([1, 1, 2]))
    for name in names:
        value, placeholder = anything(random), "?"
        if queue.engine.dialect.name == "postgresql":
            placeholder = f"CAST(%s AS {Job.__table__.c[name].type.compile(queue.engine.dialect)})"
            value = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        elif isinstance(value, bytes) and random.random() < 0.5:
            placeholder = "CAST(? AS TEXT)"
        held = ", locked_by = 'nobody'" if name == "locked_at" else ""
        with suppress(DBAPIError), queue.writer.begin() as connection:
            statement = f"UPDATE jobs SET {name} = {placeholder}{held} WHERE id = {id}"
            connection.exec_driver_sql(statement, (value,))
    return names


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


@pytest.mark.parametrize("count", [AT_ONCE, pytest.param(2_000, marks=pytest.mark.live)])
def test_no_row_affects_any_other_whatever_it_holds(
    queue: Queue, look: Look, database_url: str, count: int
) -> None:
    """Behind each mutated row is a good job: all good ones run. The mutated ones are done, or failed with a
    reason, or wait for later; they can be shown, retried and deleted like any others.
    """
    random = Random(count)
    for start in range(0, count, AT_ONCE):
        said.clear()
        now = datetime.now(UTC)
        past = now - timedelta(minutes=1)
        mutated: dict[int, list[str]] = {}
        for n in range(start, start + AT_ONCE):
            id = queue.enqueue(Say("mutated"), now=past)
            mutated[id] = mutate(queue, id, random)
            queue.enqueue(Say(f"good {n}"), now=past)
        look(mutated)
        Worker(queue).work_off(now=now)
        assert [each for each in said if "good" in str(each)] == [
            f"good {n}" for n in range(start, start + AT_ONCE)
        ]
        look(mutated)
        assert looking.find(queue, state="due", now=now) == looking.find(queue, state="running") == []
        for job in looking.find(queue, state="failed"):
            assert job.last_error or {"failed_at", "last_error"}.intersection(mutated[job.id])
        assert main(["retry", "--failed", "--database", database_url]) == 0
        Worker(queue).work_off()
        assert main(["delete", "--failed", "--database", database_url]) == 0
        assert looking.find(queue, state="failed") == []
        queue.clear()


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
    event.listen(queue.engine, "before_cursor_execute", fail)
    run_worker(queue)
    wait_until(lambda: said == ["hi"] and not queue.jobs(), "the job's end")
    assert len(raised) == 3 and message in caplog.text
    assert "did not answer" not in caplog.text
