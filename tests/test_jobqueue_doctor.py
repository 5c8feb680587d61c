"""`jobqueue doctor` finds harmful settings, on real databases and with real workers' rows."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from commands_for_tests import HOUR, MINUTE, NOON, SECOND, Command, claimed, name_of, seen
from jobs_for_tests import Say
from sqlalchemy import text

from jobqueue import Queue
from jobqueue.tools import doctor, doctor_postgresql
from jobqueue.tools.explaining import explain
from jobqueue.tools.findings import Finding

pytest_plugins = ["queue_fixtures", "command_fixtures"]
pytestmark = pytest.mark.live


@pytest.fixture
def postgres_database(durable_database: str) -> str:
    """A server with fsync on, which the doctor expects, unlike the one that all other tests share."""
    return durable_database


def found(queue: Queue, deadline: float | None = None) -> dict[str, Finding]:
    """The doctor's findings at noon, by check."""
    return {finding.check: finding for finding in doctor.examine(queue, deadline, NOON)}


def test_a_healthy_queue_is_told_so(queue: Queue, command: Command) -> None:
    """It prints one line per check in 80 columns, or JSON. A warning leaves the exit status at 0."""
    status, out, err = command("doctor")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert "ok    tables                  up to date" in lines
    assert "warn  workers                 none is alive, so nothing runs: start one with" in lines
    assert lines[-1].endswith(" checks ok, 1 warning, 0 failed")
    assert max(map(len, lines)) <= 80
    said = command("doctor", "--json")
    assert said.status == 0
    assert {"level": "ok", "check": "tables", "text": "up to date"} in said.json()


def test_tables_that_are_not_there_fail(database_url: str, command: Command, tmp_path: Path) -> None:
    """The exit status is 1; other checks run as far as they can."""
    (tmp_path / "test.db").touch()
    status, out, err = command("doctor")
    assert (status, err) == (1, "")
    assert "fail  tables                  not up to date, 7 statements to execute: run" in out
    assert command("doctor", "--json").status == 1
    assert out.splitlines()[-1].endswith(" checks ok, 0 warnings, 1 failed")


def test_a_file_that_is_not_there_is_not_made(command: Command, tmp_path: Path) -> None:
    """A new, empty database would pass the checks and hide the mistake."""
    answer = command("doctor", "--database", "sqlite:///no.db")
    assert answer.status == 2 and "there is no file no.db" in answer.err
    assert not (tmp_path / "no.db").exists()


def test_a_real_postgresql_is_examined(postgres_database: str) -> None:
    """It finds another session idle in a transaction, and columns made by a Rails migration."""
    queue = Queue(postgres_database)
    queue.create_tables()
    with queue.engine.connect() as idle, queue.engine.connect() as connection:
        idle.execute(text("SELECT 1"))
        checks = {f.check: f for f in doctor_postgresql.examine(connection, "jobs", 30.0)}
        assert {check for check, finding in checks.items() if finding.level == "fail"} == set()
        assert checks["idle in transaction"].text.startswith("1, the longest for ")
        assert checks["fsync"].text == "on"
        connection.rollback()
        idle.rollback()
        idle.execute(text("ALTER TABLE jobs ALTER run_at TYPE timestamp"))
        idle.commit()
        checks = {f.check: f for f in doctor_postgresql.examine(connection, "jobs", 30.0)}
        assert checks["time zones"].text.startswith("1 column of jobs without")
        connection.rollback()
        idle.execute(text("DROP TABLE jobs"))
        idle.commit()
        checks = {f.check: f for f in doctor_postgresql.examine(connection, "jobs", 30.0)}
        assert checks["bloat"].text == "0 dead rows, 0 live ones"
    queue.close()


# -- workers, on both databases


def test_healthy_workers_are_told_so(queue: Queue) -> None:
    """HTTP deadline < max_run_time < lease holds for the workers, and for jobs with their own limit."""
    seen(queue, name_of(1), NOON)
    seen(queue, name_of(2), NOON - SECOND)
    queue.enqueue(Say("x"), now=NOON, max_run_time=15.0)
    queue.enqueue(Say("x"), now=NOON)
    findings = found(queue, deadline=10.0)
    assert {check: f.level for check, f in findings.items() if f.level != "ok"} == {}
    assert findings["workers"].text == "2 alive"
    assert findings["hosts"].text == "1 host"
    assert findings["leases"].text == "30 s, for all workers"
    assert findings["deadline < max_run_time"].text == "10 s < 20 s"
    assert findings["max_run_time < lease"].text == "20 s < 30 s"
    assert findings["deadline < jobs' own"].text == "10 s < 15 s"
    assert findings["jobs' own < lease"].text == "15 s < 30 s"


def test_the_order_of_limits_is_checked(queue: Queue) -> None:
    """A deadline that is too long is a failure; a max_run_time longer than the lease is fine."""
    seen(queue, name_of(1), NOON, max_run_time=14400.0)
    queue.enqueue(Say("x"), now=NOON, max_run_time=5.0)
    queue.enqueue(Say("x"), now=NOON, max_run_time=45.0)
    findings = found(queue, deadline=10.0)
    assert findings["deadline < max_run_time"].level == "ok"
    assert findings["max_run_time < lease"].level == "ok"
    assert "start workers with --max-run-time below 30" in findings["max_run_time < lease"].text
    assert findings["deadline < jobs' own"].level == "fail"
    assert (
        "enqueue with a max_run_time above 10, or shorten the deadline"
        in findings["deadline < jobs' own"].text
    )
    assert findings["jobs' own < lease"].level == "ok"
    unknown = found(queue)["deadline < max_run_time"]
    assert (unknown.level, "--http-deadline" in unknown.text) == ("ok", True)


def test_queues_without_a_worker_and_silent_workers_are_found(queue: Queue) -> None:
    """Their jobs wait until a worker is started."""
    queue.enqueue(Say("x"), now=NOON - MINUTE, queue="mail")
    queue.enqueue(Say("x"), now=NOON, run_at=HOUR, queue="later")
    claimed(queue, name_of(1), NOON - MINUTE)
    queue.enqueue(Say("x"), now=NOON, queue="mail")
    findings = found(queue)
    assert findings["workers"].level == "warn"
    assert findings["leases held"].level == "fail"
    assert findings["leases held"].text.startswith("1 job held by workers that fell silent: start a worker")
    assert findings["queues"].text.startswith("no worker serves mail (1 due job): start one")
    seen(queue, name_of(1), NOON - MINUTE)
    seen(queue, name_of(2), NOON, queues="mail")
    findings = found(queue)
    assert findings["workers"].text == "1 alive, and 1 fallen silent: did they die?"
    assert findings["leases held"].level == "warn"
    assert findings["queues"].level == "ok"


def test_a_paused_queue_with_due_jobs_is_told_with_the_command_that_ends_it(queue: Queue) -> None:
    """A worker would not help, and is not asked for. A pause that keeps nobody waiting is fine."""
    queue.pause("partners")
    queue.pause("empty")
    queue.enqueue(Say("x"), now=NOON, run_at=HOUR, queue="partners")
    assert found(queue)["paused"].level == "ok"
    queue.enqueue(Say("x"), now=NOON - MINUTE, queue="partners")
    findings = found(queue)
    assert findings["queues"].level == "ok"
    said = "partners (1 due job): jobqueue resume NAME lets its jobs run"
    assert (findings["paused"].level, findings["paused"].text) == ("warn", said)


def test_a_worker_of_this_machine_without_a_process_is_dead(queue: Queue) -> None:
    """As soon as it has missed a sign of life. Of other machines' workers nobody here can tell."""
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1, check=True)
    pid, here = int(ended.stdout), socket.gethostname()
    dead = name_of(pid, here)
    for name in (dead, name_of(os.getpid(), here), name_of(pid, "elsewhere"), name_of(10**20, here)):
        seen(queue, name, NOON)
    id = queue.enqueue(Say("x"), now=NOON)
    claimed(queue, dead, NOON)
    assert found(queue)["workers"].text == "4 alive"
    later = NOON + 16 * SECOND
    findings = {finding.check: finding.text for finding in doctor.examine(queue, None, later)}
    assert findings["workers"] == "3 alive, and 1 fallen silent: did they die?"
    assert findings["leases held"].startswith("1 job held by workers that fell silent: another worker")
    [reason] = explain(queue, id, later).reasons
    assert (reason.code, "has no process any more; the job goes to others at" in reason.text) == (
        "worker_gone",
        True,
    )
