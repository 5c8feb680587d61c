"""How the commands of `python -m loadtests` end. Status 1 is always a verdict."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compared_runs import plain

from loadtests import __main__ as commands
from loadtests.errors import ProcessError, UsageError, WriteError

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
