"""All commands that inspect the queue: their help and tables fit a terminal, their errors are explained."""

import io
import os
import shlex
import signal
import sys
from pathlib import Path

import pytest
from commands_for_tests import Command
from conftest import wait_until
from jobs_for_tests import Append, lines_of

import jobqueue
from jobqueue import Queue
from jobqueue.tools import cli, looking
from jobqueue.tools.options import DATABASE_VARIABLE
from jobqueue.tools.printing import plain, say, short, table
from loadtests.servers.processes import Process

pytest_plugins = ["queue_fixtures", "command_fixtures"]

TESTS = str(Path(__file__).parent)  # where worker processes find the sample jobs


def test_looking_makes_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt --database would show an empty queue. SQLite URIs are passed on unchecked."""
    monkeypatch.chdir(tmp_path)
    for command in (
        *("stats", "list", "show 1", "check --max-age 1", "retry 1", "retry --failed", "delete 1"),
        *("delete --failed", "pause mail", "resume mail", "clear", "clear --yes", "explain 1", "doctor"),
        *("verify --import jobs_for_tests",),
    ):
        assert cli.main([*command.split(), "--database", "sqlite:///job.db"]) == 2, command
        assert capsys.readouterr().err == (
            "jobqueue: there is no file job.db: check --database, or create it: jobqueue migrate\n"
        )
    assert cli.main(["schema", "--database", "sqlite:///job.db"]) == 0
    assert cli.main(["stats", "--database", "sqlite:///file:job.db?mode=ro&uri=true"]) == 1
    assert "unable to open database file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_tables_that_are_not_there_are_explained(database_url: str, command: Command, tmp_path: Path) -> None:
    """The command exits with status 2 and says what to do."""
    (tmp_path / "test.db").touch()
    answer = command("stats")
    assert (answer.status, answer.out) == (2, "")
    assert "are missing or out of date: run jobqueue migrate\n" in answer.err


@pytest.mark.usefixtures("queue", "command")
def test_a_reader_that_has_read_enough_is_no_error() -> None:
    """`jobqueue list | head` ends without a traceback, and so does Ctrl-C."""

    nobody, end = os.pipe()
    os.close(nobody)
    with open(end, "w") as out, pytest.MonkeyPatch.context() as patch:  # noqa: PTH123 - it has no path
        patch.setattr(sys, "stdout", out)
        assert cli.main(["list"]) == 1

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(looking, "find", interrupt)
        assert cli.main(["list"]) == 130


@pytest.mark.parametrize("output", ["full", "closed"])
@pytest.mark.usefixtures("queue", "command")
def test_output_that_can_not_be_written_is_told(
    output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each command in a line, and by its exit status."""
    said = {"full": "No space left on device", "closed": "Bad file descriptor"}[output]
    for command in (
        *("stats", "list", "list --json", "check --max-age 1", "check --max-age 1 --json", "retry --failed"),
        *("delete --failed", "pause mail", "resume mail", "clear --yes", "doctor", "doctor --json"),
        *("verify --import jobs_for_tests", "schema", "migrate", "status", "status --json"),
    ):
        with open("/dev/full", "w") as full:  # noqa: PTH123 - it is a device
            monkeypatch.setattr(sys, "stdout", full if output == "full" else None)
            assert cli.main(command.split()) == 1, command
            sys.stdout.close()
        assert capsys.readouterr().err == f"jobqueue: the output can't be written: {said}\n", command


@pytest.mark.usefixtures("queue", "command")
def test_complaints_that_nobody_can_read_change_no_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error may be full or closed."""
    for output in ("full", "closed"):
        with open("/dev/full", "w") as full:  # noqa: PTH123 - it is a device
            monkeypatch.setattr(sys, "stderr", full if output == "full" else None)
            assert cli.main(["show", "1"]) == 1
            assert cli.main(["clear"]) == 2
            sys.stderr.close()


@pytest.mark.live
@pytest.mark.parametrize("redirection", [">/dev/full", ">&- 2>&-"])
def test_workers_work_on_whatever_becomes_of_their_output(
    queue: Queue, database_url: str, tmp_path: Path, redirection: str
) -> None:
    """Neither a worker nor a supervisor of two ends, and there is no traceback."""
    errors, log = tmp_path / "errors.txt", tmp_path / "log.txt"
    environment = {DATABASE_VARIABLE: database_url, "PYTHONPATH": TESTS, "PYTHONUNBUFFERED": ""}
    for processes in ("1", "2"):
        command = [sys.executable, "-m", "jobqueue", "work", "--import", "jobs_for_tests"]
        line = f"exec {shlex.join([*command, '--processes', processes])} 2>{errors} {redirection}"
        queue.enqueue(Append(str(tmp_path / processes), "done"))
        with Process("work", ["bash", "-c", line], log, environment) as process:
            wait_until(lambda done=tmp_path / processes: lines_of(done) == ["done"], "the job")
            process.tree()[0].send_signal(signal.SIGTERM)
            assert process.wait_with(lambda: None, timeout=60) in (0, 1)
        assert "Traceback" not in errors.read_text()


def test_the_version_is_told(command: Command) -> None:
    """Also by a copy that was never installed."""
    assert command("--version") == (0, f"jobqueue {jobqueue.__version__}\n", "")


@pytest.mark.parametrize(
    "name",
    [
        "stats",
        "list",
        "show",
        "check",
        "retry",
        "delete",
        "clear",
        "explain",
        "doctor",
        "verify",
        "schema",
        "migrate",
    ],
)
def test_the_help_of_each_command_fits_a_terminal(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line of it is longer than 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    output = capsys.readouterr().out
    assert max(len(line) for line in output.splitlines()) <= 80
    assert "None" not in output and "[]" not in output


def test_tables_fit_the_terminal_as_long_as_they_can() -> None:
    """Shrinkable columns are cut evenly, but no further than they stay readable."""
    wide = table(("a", "b", "n"), [("x" * 60, "y" * 60, 1_000)], shrink=("a", "b"))
    assert max(map(len, wide.splitlines())) == 80
    assert wide.splitlines()[1].split() == ["x" * 33 + "...", "y" * 33 + "...", "1000"]
    assert len(table(("a", "b"), [("x" * 90, "y")], shrink=("b",)).splitlines()[1]) == 93
    assert short("abcdef", 6) == "abcdef"


def test_a_terminal_that_knows_few_characters_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters it can't encode are shown as escapes, and control characters never reach it."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    say(f"{plain('é' + chr(27) + chr(0x202E) + chr(0xD800))}")
    out.flush()
    assert out.buffer.getvalue() == b"\\xe9\\x1b\\u202e\\ud800\n"  # type: ignore[attr-defined]
