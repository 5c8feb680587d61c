"""Writes files. A full disk or a read-only folder is reported, and costs no other file."""

import itertools
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadtests.errors import UsageError, WriteError

ROOM = 8 * 2**20  # bytes that must be free for a step of a run: its rows, logs and database
LEFT = 256 * 2**10  # bytes that must still be free at its end, or it ran out
INNERMOST = re.compile(r"[\[{][^\[\]{}]*[\]}]")  # lists and objects in JSON that hold no others


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError in the block, which writes to `path`, into a WriteError."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"{error.filename or path} can't be written: {error.strerror or error}") from error


def put(text: str, mode: str = "w") -> Callable[[Path], object]:
    """Return a function for `write_all` that writes `text` to a file, or appends it with mode "a"."""

    def write(path: Path) -> None:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)

    return write


def json_text(value: Any) -> str:
    """The value as JSON that people can read, too: a line for each innermost list or object."""
    return INNERMOST.sub(_on_one_line, json.dumps(value, indent=1)) + "\n"


def _on_one_line(found: re.Match[str]) -> str:
    return re.sub(r"\n *", "", re.sub(r",\n *", ", ", found[0]))


def write_all(*writes: tuple[Path | None, Callable[[Path], object]]) -> None:
    """Call each function with its path, even after one has failed. A path of None is skipped.

    Raises one WriteError at the end, naming every file that can't be written.
    """
    failed = []
    for path, write in writes:
        try:
            if path:
                with writing(path):
                    write(path)
        except WriteError as error:
            failed.append(error)
    if failed:
        raise WriteError("\n".join(map(str, failed))) from failed[0]


def results_folder(out: Path | None, usual: Path, instead: str = "or remove it") -> Path:
    """The folder for a run's results: `out`, if it is empty, or a new one named `usual`.

    Raises UsageError, which says what to do `instead`, or WriteError.
    """
    if out is None:
        return new_folder(usual)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder: name another with --out, {instead}")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    return out


def new_folder(path: Path) -> Path:
    """Create the folder `path`, or path-2, path-3 ... if it exists; returns it. Raises WriteError."""
    names = itertools.chain([path.name], (f"{path.name}-{number}" for number in itertools.count(2)))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for name in names:
            try:
                path.with_name(name).mkdir()  # atomic: two runs may start in the same second
            except FileExistsError:
                continue
            return path.with_name(name)
    raise AssertionError("the numbers never end")


@contextmanager
def room(*folders: Path) -> Iterator[None]:
    """Raise WriteError if `folders` have no room to write, before or after the block.

    A full disk shows in many ways: a server answers 500, a load generator exits. None of them says anything
    about the app under test, so the cause is raised instead.
    """
    _check(folders, ROOM)
    try:
        yield
    except Exception:
        _check(folders, ROOM)
        raise
    _check(folders, LEFT)


def _check(folders: tuple[Path, ...], size: int) -> None:
    for folder in folders:
        with writing(folder), tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(size))
