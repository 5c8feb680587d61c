"""The demo in a terminal: keys instead of sliders. Where there is no terminal, a few lines now and then."""

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live as LiveDisplay

from loadtests.demo.controls import CONTROLS
from loadtests.demo.demo import TICK_SECONDS, Demo
from loadtests.demo.screen import KEYS, SCREEN_COLUMNS, Glimpse, line, screen
from loadtests.demo.tour import TOUR
from loadtests.demo.words import clock
from loadtests.errors import UsageError

KEYS_AT_ONCE = 64
LINES_SECONDS = 5.0  # between two looks, without a terminal


def show_text(demo: Demo, tour: bool) -> None:
    """Show the demo until q, Ctrl-C or its end. Raises what ends it otherwise."""
    if tour:
        demo.start_tour()
    console = Console(width=SCREEN_COLUMNS)
    if not console.is_terminal:
        _print_lines(demo)
        return
    with _keys(), LiveDisplay(console=console, screen=True, auto_refresh=False) as display:
        while demo.seconds_left:
            demo.tick()
            display.update(Group(*screen(_seen(demo))), refresh=True)
            if not all(press(demo, key) for key in _pressed()):
                return


def press(demo: Demo, key: str) -> bool:
    """Do what a key asks for. Returns whether to go on."""
    if key.lower() in KEYS:
        name, step = KEYS[key.lower()]
        control, before = CONTROLS[name], getattr(demo.wanted, name)
        after = before + (step if key.isupper() else -step)
        with contextlib.suppress(UsageError):  # no more feeds can be slow or hang
            demo.want(**{name: max(control.least, min(control.most, after))})
    elif key.isdecimal() and 1 <= int(key) <= len(TOUR):
        demo.play(int(key) - 1)
    elif key == "0":
        demo.start_tour()
    elif key == "x":
        demo.hang_ten()
    elif key == "k":
        demo.kill_or_replace_worker()
    return key != "q"


def _seen(demo: Demo) -> Glimpse:
    readers = demo.readers
    return Glimpse(
        at=time.time(),
        apps=[reader.app for reader in readers],
        now=[reader.now() for reader in readers],
        dots=[reader.dots for reader in readers],
        wanted=demo.wanted,
        step=demo.step,
        seconds_left=demo.seconds_left,
    )


def _print_lines(demo: Demo) -> None:
    print("No terminal: two lines every five seconds. Ctrl-C, or TERM, ends it.", flush=True)
    due, step = time.monotonic(), None
    while demo.seconds_left:
        demo.tick()
        if demo.step is not step and (step := demo.step):
            print(f"{step.title}. {step.says}", flush=True)
        if time.monotonic() >= due:
            due += LINES_SECONDS
            for reader in demo.readers:
                print(f"{clock(demo.seconds_left)} left  {line(reader.app, reader.now())}", flush=True)
        time.sleep(TICK_SECONDS)


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Keys are read one by one, and not shown, until the end of the block."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed() -> Iterator[str]:
    """The keys pressed until the next tick is due."""
    end = time.monotonic() + TICK_SECONDS
    while (left := end - time.monotonic()) > 0:
        if not sys.stdin.isatty():
            time.sleep(left)
        elif select.select([sys.stdin], [], [], left)[0]:
            yield from os.read(sys.stdin.fileno(), KEYS_AT_ONCE).decode(errors="replace")
