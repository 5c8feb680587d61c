"""Which chapter this kernel runs, live or from recordings; and errors that say what to do."""

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

NOTEBOOKS = Path(__file__).resolve().parent.parent
NEEDED = ("loadtests", "jobqueue", "matplotlib", "numpy", "psutil", "requests", "sqlalchemy")
# How experiments are made, set by the environment variable WORKBOOK. The last two are for build.py.
MODES = {
    "live": "each experiment runs on this machine, now",
    "recorded": "nothing is run; the figures come from recordings",
    "record": "each experiment is run and recorded",
    "complete": "what is not recorded is run, and recorded",
}


class WorkbookError(Exception):
    """An error that the reader can fix; the message says how."""


@dataclass(frozen=True)
class Session:
    """What `begin` was asked for."""

    chapter: int
    mode: str
    folder: Path  # the notebook's: Jupyter starts its kernel there

    @property
    def prefix(self) -> str:
        """What the names of this chapter's files begin with: "03-"."""
        return f"{self.chapter:02}-"


_sessions: list[Session] = []  # empty until begin(); then one
_runs: list[tuple[int, bool]] = []  # the latest cell with an experiment: its number; was a run disturbed?


def begin(chapter: int = 0, *, recorded: bool = False, needs: Iterable[str] = ()) -> None:
    """Start a chapter: check that the kernel has what it needs, and print how experiments will be made.

    0 is a page without experiments.
    `recorded`: take all figures of the chapter from recordings, and start no process. `needs`: modules that
    this chapter's experiments import beyond those that `make notebooks` installs.
    Raises WorkbookError if something is missing; the message says what to do.
    """
    _show_messages_only()
    mode = "recorded" if recorded else os.environ.get("WORKBOOK", "") or "live"
    if mode not in MODES:
        raise WorkbookError(f"WORKBOOK={mode} in the environment: set it to live or to recorded.")
    _look_for(NEEDED, needs if mode != "recorded" else (), chapter)
    _sessions[:] = [Session(chapter, mode, Path.cwd())]
    _runs.clear()
    if shell := _shell():
        shell.run_line_magic("matplotlib", "inline")
        _show_figures_with_their_words(shell)
    if chapter:
        print(f"Chapter {chapter}, {'recorded' if mode == 'recorded' else 'live'}: {MODES[mode]}.")


def session() -> Session:
    """The chapter that has begun. Raises WorkbookError before that."""
    if not _sessions:
        raise WorkbookError("Run the first cell of this notebook first: it calls begin().")
    return _sessions[0]


def note_run(disturbed: bool = False) -> None:
    """Note that this cell has run an experiment; and, if it was disturbed, that too."""
    shell = _shell()
    cell = shell.execution_count if shell else 0
    _runs[:] = [(cell, disturbed or (cell, True) in _runs)]


def disturbed() -> bool:
    """Whether a run in the latest cell with an experiment was disturbed, so that its figures are in doubt."""
    return any(was for _, was in _runs)


def _look_for(needed: Iterable[str], special: Iterable[str], chapter: int) -> None:
    if missing := [name for name in needed if find_spec(name) is None]:
        raise WorkbookError(
            f"This kernel has no {' and no '.join(missing)}: it is {sys.executable}. Start the workbook with"
            " `make notebooks`, which installs everything it needs; or choose the Python of the project's"
            " .venv as this notebook's kernel, and restart it."
        )
    if missing := [name for name in special if find_spec(name) is None]:
        raise WorkbookError(
            f"Chapter {chapter} also measures with {' and '.join(missing)}, not installed here. Stop"
            f" Jupyter, run `.venv/bin/pip install {' '.join(missing)}`, and start it again; or read the"
            f" chapter from recordings: begin({chapter}, recorded=True)."
        )


def advice(error: BaseException) -> str:
    """An error's message, with what to do about it if the message itself does not say."""
    said = str(error)
    if re.search(r"\bin use\b", said):
        said += (
            "\nAnother program holds that port. Leave out the port, and a free one is taken; or end the other"
            " program: shut down another notebook's kernel, or press Ctrl-C where `make sync` runs."
        )
    if isinstance(error, ModuleNotFoundError):
        said += f"\nInstall it: .venv/bin/pip install {error.name}. Then restart the kernel."
    return said


def _show_messages_only() -> None:
    """Have IPython show the errors that explain themselves without a traceback."""
    shell = _shell()
    if shell is None:
        return
    kinds: list[type[BaseException]] = [WorkbookError, ModuleNotFoundError]
    if find_spec("loadtests"):
        from loadtests.errors import LoadTestError

        kinds.append(LoadTestError)

    def show(
        shell: Any, kind: type, error: BaseException, trace: TracebackType, tb_offset: int | None = None
    ) -> None:
        shell._showtraceback(kind, error, [advice(error)])

    shell.set_custom_exc(tuple(kinds), show)


def _show_figures_with_their_words(shell: Any) -> None:
    """Have IPython show a figure as an image with its alternative text, which is the figure's label.

    As HTML: JupyterLab shows an output that is only a PNG without one, whatever its metadata say.
    """
    from matplotlib.figure import Figure

    formatters = shell.display_formatter.formatters
    as_png = formatters["image/png"].pop(Figure, None)
    if as_png is None:  # the cell was run before: a figure is an image already
        return

    def as_image(figure: Figure) -> str:
        words = escape(str(figure.get_label()) or "A figure without a description.")
        return f'<img alt="{words}" src="data:image/png;base64,{as_png(figure)}">'

    formatters["text/html"].for_type(Figure, as_image)


def _shell() -> Any:
    """IPython's shell, or None in a plain Python."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None
