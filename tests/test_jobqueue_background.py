"""Workers in the background: start, scale, status, stop, and the state file that locates the supervisor."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import still_running, wait_until
from jobs_for_tests import Append, HangAtFirst, KillItsWorker, lines_of, only_job
from sqlalchemy import make_url

from jobqueue import Queue
from jobqueue.tools.cli import main
from jobqueue.tools.statefile import StateFile
from jobqueue.tools.working import add_options, arguments_for

pytest_plugins = ["queue_fixtures", "supervisor_fixtures"]

Start = Callable[..., Any]
StartSupervisor = Callable[..., Any]
Command = Callable[..., tuple[int, str]]


@pytest.mark.live
def test_start_returns_when_the_workers_work(
    queue: Queue, database_url: str, start: Start, order: Command, tmp_path: Path
) -> None:
    """They keep working in the background until stop. A second start is refused."""
    started = start("-n", "2", "--stop-timeout", "0.3")
    assert started.returncode == 0, started.stderr
    assert started.stdout.endswith("runs, with workers: 2; they write to jobqueue.log\n")
    state = StateFile(tmp_path / "jobqueue.state").read()
    assert state and state.working() == 2
    processes = [psutil.Process(worker.pid) for worker in state.workers if worker.pid]
    processes.append(psutil.Process(state.supervisor))
    assert make_url(database_url).password is None or database_url not in str(processes[0].cmdline())
    again = start()
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == (
        f"jobqueue: supervisor pid:{state.supervisor} is already running; a second one needs another"
        " --state\n"
    )
    queue.enqueue(Append(str(tmp_path / "done.txt"), "done"))
    wait_until(lambda: lines_of(tmp_path / "done.txt"), "the job")
    assert order("stop") == (0, f"supervisor pid:{state.supervisor} has stopped\n")
    wait_until(lambda: not still_running(processes), "the end of all")
    assert {path.name for path in tmp_path.glob("jobqueue.*")} == {"jobqueue.log"}


@pytest.mark.live
def test_start_says_what_is_wrong_before_it_goes_to_the_background(
    order: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages and exit statuses are those of `work`, and nothing is left behind."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    for arguments, status, words in (
        ("--database jobs.db", 2, "'jobs.db' is not a database URL"),
        ("--database sqlite:///no/such/folder/jobs.db", 1, "unable to open database file"),
        ("--database sqlite:///jobs.db --import no_such_module", 2, "No module named 'no_such_module'"),
        ("--database sqlite:///jobs.db --log no/such/folder/log", 2, "the log no/such/folder/log can't be"),
        ("--database sqlite:///jobs.db --state no/such/folder/state", 1, "the state file no/such/folder/st"),
    ):
        exited, text = order("start", *arguments.split())
        assert exited == status and words in text, text
    assert order("status")[0] == 1


@pytest.mark.live
def test_start_says_why_workers_do_not_start(start: Start, order: Command, tmp_path: Path) -> None:
    """The module can be imported only once, by `start` itself. The supervisor is stopped again."""
    (tmp_path / "once.py").write_text(
        "from pathlib import Path\nif Path('imported').exists():\n    raise ImportError('not once more')\n"
        "Path('imported').touch()\n"
    )
    failed = start("--import", "once")
    assert failed.returncode == 1 and failed.stdout.count("\n") == 1  # only which tables
    assert failed.stderr.startswith("jobqueue: the workers did not start; jobqueue.log says:\n")
    assert "jobqueue: import failed: not once more\n" in failed.stderr
    assert order("status")[0] == 1


@pytest.mark.live
def test_start_does_not_take_a_job_that_kills_its_worker_for_a_worker_that_can_not_start(
    queue: Queue, start: Start, order: Command, tmp_path: Path
) -> None:
    queue.enqueue(KillItsWorker(str(tmp_path / "poison.txt")), max_attempts=2)
    assert start().returncode == 0
    wait_until(lambda: only_job(queue).failed_at, "the end of its attempts")
    assert order("stop")[0] == 0


@pytest.mark.live
def test_scale_starts_workers_and_stops_them(
    queue: Queue, start_supervisor: StartSupervisor, order: Command
) -> None:
    """It returns when the requested number is running. Scaling down keeps the oldest."""
    supervisor = start_supervisor(1)
    (first,) = supervisor.workers()
    assert order("scale", "3") == (0, "workers: 3\n")
    three = supervisor.workers()
    assert len(three) == 3 and three[0] == first
    assert order("scale", "1") == (0, "workers: 1\n")
    assert supervisor.workers() == [first]
    assert still_running(three) == [first]
    assert "was killed" not in supervisor.output()


@pytest.mark.live
def test_status_says_how_the_workers_are(
    queue: Queue, database_url: str, start_supervisor: StartSupervisor, order: Command, tmp_path: Path
) -> None:
    """As text and as JSON; the exit status is 0 when all workers are running."""
    supervisor = start_supervisor(1, "--lease", "1")  # its row is written three times per lease
    queue.enqueue(Append(str(tmp_path / "done.txt"), "done"))
    (worker,) = supervisor.workers()
    pid = supervisor.status()["supervisor"]

    def told() -> dict[str, Any]:
        status, text = order("status", "--json", "--database", database_url)
        assert status == 0
        return json.loads(text)

    wait_until(lambda: told()["workers"][0]["succeeded"] == 1, "the worker's row")
    as_json = told()
    assert as_json["running"] and as_json["supervisor"] == pid
    assert as_json["wanted"] == as_json["working"] == 1
    (row,) = as_json["workers"]
    assert (row["pid"], row["state"], row["restarts"], row["failed"]) == (worker.pid, "working", 0, 0)
    status, text = order("status")
    first, second = text.splitlines()
    assert status == 0
    assert first.startswith(f"supervisor pid:{pid} runs for 0:00:") and first.endswith("workers: 1 of 1")
    assert second.startswith(f"  pid:{worker.pid} working for 0:00:") and "restarts: 0" in second


@pytest.mark.live
def test_status_finds_tables_of_other_names(
    database_url: str, start_supervisor: StartSupervisor, order: Command
) -> None:
    """The state file names them."""
    place = ["--table", "mail_jobs", *(["--schema", "beside"] if "postgresql" in database_url else [])]
    start_supervisor(1, *place)
    wait_until(lambda: "succeeded: 0, failed: 0" in order("status", "--database", database_url)[1], "its row")


@pytest.mark.live
def test_stop_waits_until_all_are_gone(
    queue: Queue, start_supervisor: StartSupervisor, order: Command, tmp_path: Path
) -> None:
    """A running job may continue for --stop-timeout; with --now it is released at once."""
    begun = tmp_path / "begun.txt"
    supervisor = start_supervisor(2, "--stop-timeout", "3600")
    workers = supervisor.workers()
    queue.enqueue(HangAtFirst(str(begun)))
    wait_until(lambda: lines_of(begun), "the job's beginning")
    assert main(["stop", "--now"]) == 0
    assert not still_running(workers)
    assert supervisor.exit_status() == 0
    assert (only_job(queue).attempts, only_job(queue).locked_by, only_job(queue).last_error) == (
        0,
        None,
        None,
    )


@pytest.mark.parametrize("arguments", [["scale", "2"], ["status"], ["stop"], ["stop", "--now"]], ids=" ".join)
def test_without_a_supervisor_the_commands_say_so(order: Command, arguments: list[str]) -> None:
    """They exit with status 1 and say what to do."""
    told = order(*arguments)
    assert told[0] == 1
    nobody = "no supervisor runs with jobqueue.state: start one with jobqueue start\n"
    assert nobody in told[1]
    assert order("status", "--json") == (1, '{"running": false}\n')


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "many", "1001"])
def test_a_number_of_processes_is_checked(capsys: pytest.CaptureFixture[str], number: str) -> None:
    """A typing error must not start a million processes."""
    for arguments in (["scale", number], ["start", "-n", number], ["work", f"--processes={number}"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    assert "is not a number from 1 to 1000" in capsys.readouterr().err or number == "-1"


@pytest.mark.parametrize("name", ["start", "scale", "status", "stop"])
def test_help_fits_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It needs at most 80 columns, and shows each option's default."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([name, "--help"])
    output = capsys.readouterr().out
    assert max(len(line) for line in output.splitlines()) <= 80
    assert "(jobqueue.state)" in output and "None" not in output


def test_workers_in_the_background_are_told_all_options() -> None:
    """Options added after this test was written are covered too."""
    parser = ArgumentParser()
    add_options(parser)
    parser.add_argument("--table")
    parser.add_argument("--schema")
    nothing_said = parser.parse_args([])
    nothing_said.table = "mail_jobs"
    assert parser.parse_args(arguments_for(nothing_said)) == nothing_said
    options = parser.parse_args([])
    values = {"table": "mail_jobs", "schema": "beside", "min_priority": -5, "max_priority": 5}
    for name, value in vars(options).items():
        doubled = ["-a", "b c"] if isinstance(value, list) else value and value * 2
        setattr(options, name, values.get(name, doubled))
    assert parser.parse_args(arguments_for(options)) == options
