"""Both readers side by side, with the same visitors, to be seen and changed while they run.

python -m loadtests demo               # `make demo`: a page, until it is closed
python -m loadtests demo --text        # in a terminal
python -m loadtests demo --tour        # the story in five steps, by itself
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from loadtests.arguments import above_zero
from loadtests.demo.controls import CONTROLS, Wanted
from loadtests.demo.demo import Demo
from loadtests.demo.text import show_text
from loadtests.demo.tour import TOUR_SECONDS
from loadtests.errors import UsageError
from loadtests.ports import listen
from loadtests.servers.stack import HOST
from loadtests.status import Status

PORT = 8003
MOST_MINUTES = 60
NO_NICEGUI = "the page needs NiceGUI: make demo installs it. Without it: --text"


def main(argv: Sequence[str] | None = None) -> int:
    """Show the demo until it is closed; returns 0. Raises LoadTestError if it can't."""
    options = _parser().parse_args(argv)
    wanted = Wanted().changed(**{name: getattr(options, name) for name in CONTROLS})
    if not options.text:
        with listen(HOST, options.port) as free:
            port = free.getsockname()[1]
        try:
            from loadtests.demo.page import show_page  # with all of NiceGUI
        except ImportError as error:
            raise UsageError(NO_NICEGUI) from error
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(Status.KEPT))
    if options.rows:
        options.rows.mkdir(parents=True, exist_ok=True)
    try:
        print("Starting two readers and their visitors ...", flush=True)
        with Demo(wanted, options.minutes, options.rows) as demo:
            if options.text:
                show_text(demo, options.tour)
            else:
                show_page(demo, port, options.tour, options.browser and _has_screen())
            print("Stopping ...", flush=True)
    except KeyboardInterrupt:  # the ordinary end
        print("Stopped.", flush=True)
    return Status.KEPT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests demo",
        description="Show both readers side by side, with the same visitors, until the page is closed, by"
        " Ctrl-C, or after --minutes.",
    )
    option: Any = parser.add_argument
    option("--text", action="store_true", help="show it in the terminal, at 80 columns, instead of a page")
    story = f"tell the story in five steps, by itself, in {TOUR_SECONDS / 60:g} minutes"
    option("--tour", action="store_true", help=story)
    for name, value in ((name, getattr(Wanted(), name)) for name in CONTROLS):
        label, least, most, unit, about = CONTROLS[name]
        said = f"{label.lower()}: {unit}{' ' if unit else ''}{about}, {least} to {most}; default {value}"
        option(
            f"--{name}", type=_within(least, most), metavar="N", default=value, help=said.replace("%", "%%")
        )
    limit = f"minutes until it ends by itself, at most {MOST_MINUTES}; default %(default)g"
    option(
        "--minutes",
        type=lambda text: above_zero(text, MOST_MINUTES, "a number of minutes"),
        default=15.0,
        metavar="M",
        help=limit,
    )
    option(
        "--port",
        type=int,
        metavar="N",
        default=PORT,
        help="port of the page, 0 for a free one; default %(default)s",
    )
    option("--no-browser", dest="browser", action="store_false", help="only print the address")
    rows = "write every request to sync.csv and queued.csv there, when the demo's time is over"
    option("--rows", type=Path, metavar="FOLDER", help=rows)
    return parser


def _within(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.strip().isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _has_screen() -> bool:
    """Whether a browser would have a window. Python would open one for terminals otherwise, in this one."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
