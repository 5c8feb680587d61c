"""How the commands of `python -m loadtests` end. Status 1 is always a verdict."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compared_runs import plain

from loadtests import __main__ as commands
from loadtests.errors import ProcessError, UsageError, WriteError
from loadtests.servers.alone import BESIDE, alone

ROOT = Path(__file__).parent.parent


def ending(monkeypatch: pytest.MonkeyPatch, end: Callable[[Any], int]) -> int:
    """The exit status of a command that ends this way."""
    monkeypatch.setattr(commands.importlib, "import_module", lambda _: SimpleNamespace(main=end))
    return commands.main(["bench"])


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UsageError("no such app"), 2, "loadtests bench: no such app"),
        (WriteError("x can't be written"), 2, "loadtests bench: x can't be written"),
        (ProcessError("it ended"), 3, "loadtests bench: it ended"),
        (
            OSError(28, "No space left on device", "/tmp/x"),
            2,
            "/tmp/x can't be read or written: No space left",
        ),
        (KeyError("rows"), 3, "a fault of the load tests, which says nothing of the app"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_goes_wrong_is_never_a_verdict(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each kind of failure has its status and message; a bug of ours also shows a traceback."""

    def fail(_: Any) -> int:
        raise error

    assert ending(monkeypatch, fail) == status
    told = capsys.readouterr().err
    assert said in told
    assert ("Traceback" in told) == isinstance(error, KeyError)


def test_the_verdict_is_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a command that ran to its end."""
    assert ending(monkeypatch, lambda _: 1) == 1


@pytest.fixture
def may_be_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The lock of measurements holds, and is this test's own."""
    monkeypatch.delenv(BESIDE)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.usefixtures("may_be_alone")
def test_a_measurement_beside_another_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the other; when that has ended, or for a user who insists, it goes on."""
    with alone("floor"):
        assert ending(monkeypatch, lambda _: 1) == 2
        said = capsys.readouterr().err
        assert (
            f"loadtests bench: another measurement is running on this machine (process {os.getpid()}, floor"
            in said
        )
        monkeypatch.setenv(BESIDE, "1")
        assert ending(monkeypatch, lambda _: 0) == 0
        monkeypatch.delenv(BESIDE)
    assert ending(monkeypatch, lambda _: 0) == 0


@pytest.mark.usefixtures("may_be_alone")
def test_what_does_not_measure_is_never_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Help and the commands that only read or serve."""
    monkeypatch.setattr(commands.importlib, "import_module", lambda _: SimpleNamespace(main=lambda _: 0))
    with alone("bench"):
        assert commands.main(["bench", "--help"]) == commands.main(["stack", "sync"]) == 0


HOLD = """
import time
from loadtests.servers.alone import alone
with alone("bench"):
    print("begun", flush=True)
    time.sleep(600)
"""


@pytest.mark.live
def test_a_measurement_that_is_killed_leaves_no_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The next one begins at once."""
    monkeypatch.delenv(BESIDE)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, cwd=ROOT, text=True) as first:
        try:
            assert first.stdout and first.stdout.readline() == "begun\n"
            assert f"process {first.pid}, bench" in floor_refused()
        finally:
            first.kill()
    assert "there is no folder no/such" in floor_refused()


def floor_refused() -> str:
    """What another process says that would measure, but has nowhere to write its figures."""
    command = [sys.executable, "-m", "loadtests", "floor", "--json", "no/such/file"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 2
    return done.stderr


@pytest.mark.live
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_an_output_that_has_no_room_is_no_verdict(tmp_path: Path) -> None:
    """The status says that printing failed, rather than Python's own status for that."""
    run = plain(tmp_path / "a", 200)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "loadtests", "compare", str(run), str(run)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
            cwd=ROOT,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("loadtests compare: its output can't be")
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.live
@pytest.mark.parametrize(
    "options", [["--help"], *([name, "--help"] for name in commands.COMMANDS), ["nonsense"]]
)
@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_a_reader_that_leaves_early_is_no_fault(options: list[str], unbuffered: str) -> None:
    """As with `| head`: no message, and the same status as without, whichever output nobody reads."""
    for both in (False, True):
        read, write = os.pipe()
        os.close(read)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "loadtests", *options],
                stdout=write,
                stderr=write if both else subprocess.PIPE,
                timeout=60,
                check=False,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            )
        finally:
            os.close(write)
        assert done.returncode == (0 if "--help" in options else 2)
        said = (done.stderr or b"").lower()
        assert b"traceback" not in said and b"broken pipe" not in said and b"brokenpipe" not in said
