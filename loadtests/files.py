"""Writing files, so that a full disk, or a folder that may only be read, is said and loses nothing."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.errors import WriteError

ROOM = 8 * 2**20  # bytes that must be free for a step of a run: its rows, logs and database
LEFT = 256 * 2**10  # bytes that must be left at its end, or it had too few


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system says against writing to `path` becomes a WriteError."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"{error.filename or path} can't be written: {error.strerror or error}") from error


def put(text: str, mode: str = "w") -> Callable[[Path], object]:
    """What writes `text` to a file, or with mode "a" adds it: for `write_all`."""

    def write(path: Path) -> None:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)

    return write


def write_all(*writes: tuple[Path | None, Callable[[Path], object]]) -> None:
    """Call each function with its path (None: it was not asked for), also after one that can't write.

    Raises one WriteError at the end, which names all that can't be written.
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


def new_folder(path: Path) -> Path:
    """Make the folder `path`, or path-2, path-3 ... if it is there already; returns it. Raises WriteError."""
    names = itertools.chain([path.name], (f"{path.name}-{number}" for number in itertools.count(2)))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for name in names:
            try:
                path.with_name(name).mkdir()  # by whoever makes it first: two may ask in the same second
            except FileExistsError:
                continue
            return path.with_name(name)
    raise AssertionError("the numbers never end")


@contextmanager
def room(*folders: Path) -> Iterator[None]:
    """Raises WriteError if there is no room to write in `folders`, before or after the block.

    Programs meet a full disk in many ways: a server answers 500, a load generator ends. None of that says
    anything of what they were to measure, so the cause is raised instead.
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
