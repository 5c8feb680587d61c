"""A load generator's own failures make its load unfit, and are not failures of the server under test."""

import errno
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from loadtests.generator.faults import Faults, SpareFiles, out_of_files

NO_FILE = OSError(errno.EMFILE, "Too many open files")


@pytest.fixture
def few_files() -> Iterator[list[socket.socket]]:
    """Leave this process about fifty more file descriptors; files put into the list are closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[socket.socket] = []
    with socket.socket() as highest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno() + 50, hard))
    yield opened
    for each in opened:
        each.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def use_up(opened: list[socket.socket]) -> None:
    """Open files until no descriptor is left."""
    with pytest.raises(OSError, match="Too many open files"):
        while True:
            opened.append(socket.socket())


def wrapped(inner: Exception) -> Exception:
    """An error wrapped as requests and urllib3 do: in an argument, in `reason`, and as a cause."""
    middle = RuntimeError("new connection")
    middle.__cause__ = inner
    outer = ConnectionError("max retries")
    outer.reason = middle  # type: ignore[attr-defined]
    return RuntimeError(outer)


@pytest.mark.parametrize("error", [NO_FILE, OSError(errno.ENFILE, "of the machine"), wrapped(NO_FILE)])
def test_a_want_of_files_is_found_however_deep(error: Exception) -> None:
    """The HTTP client decides how deep."""
    assert out_of_files(error)


@pytest.mark.parametrize("error", [None, OSError(errno.ECONNRESET, "reset"), wrapped(ValueError("no"))])
def test_other_errors_are_not_it(error: Exception | None) -> None:
    """They are about the server."""
    assert not out_of_files(error)


def test_what_could_not_be_sent_is_counted_and_says_what_to_do() -> None:
    """The message includes the limit."""
    faults = Faults()
    faults.out_of_files = 3
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    (said,) = faults.in_words()
    assert f"({allowed} are allowed)" in said and "3 requests" in said and "`ulimit -n 4096`" in said


def test_the_same_fault_is_said_once() -> None:
    """With the number of times it occurred."""
    faults = Faults()
    assert faults.in_words() == ()
    for fault in ("a", "b", "a"):
        faults.add(fault)
    assert faults.in_words() == ("a (2 times)", "b")


def test_a_file_can_be_opened_when_the_load_has_used_up_all(few_files: list[socket.socket]) -> None:
    """The reserve is available while lent and at the end; in between the load can't take it."""
    spare = SpareFiles()
    spare.keep()
    use_up(few_files)
    for _ in range(3):
        with spare.lent():
            os.close(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(OSError, match="Too many open files"):
            os.open(os.devnull, os.O_RDONLY)
    spare.give_up()
    os.close(os.open(os.devnull, os.O_RDONLY))
