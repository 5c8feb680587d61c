"""Helpers for chapter 6: the queued reader on a Monday morning, and a terminal beside it."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import requests
from sqlalchemy import select

from feedreader.models import Feed
from jobqueue import Queue
from jobqueue.tools import looking
from loadtests.servers.processes import Process
from loadtests.servers.stack import Stack, StackSettings
from workbook.chapter06_keeper import end
from workbook.chapter06_weekend import FEEDS, addresses
from workbook.readers import PATIENCE_SECONDS, comes_true
from workbook.session import NOTEBOOKS, WorkbookError

ROOT = NOTEBOOKS.parent
WRONG_DEADLINE = "10s"  # of the weekend's worker: not a number
WEEKEND_SECONDS = 60.0  # that the fast-forward may take
NOT_BEGUN = (
    "The reader is not running: run the cell with monday.begin (with recorded=False, if the chapter shows"
    " recordings), and then this one again."
)
ANEW = "To begin anew, run the cell with monday.begin again, and then those below it."
NOTHING_DUE = (
    "No job is due any more, so this would wait in vain: the feeds were fetched before, or their jobs failed."
    f" jobqueue stats says which. {ANEW}"
)
FOREGROUND = (
    "A worker in the foreground goes on until it is stopped, and so would this cell. Add --once, which ends"
    " it when no job is due; or --exit-when-empty, when none is left, not even one to be retried."
)
CONSOLE = """
import code, sys
console = code.InteractiveConsole()
for line in sys.argv[1:]:
    print(">>>", line, flush=True)
    console.push(line)
"""


class Monday:
    """The queued reader as the weekend left it, and a terminal in its folder; nothing runs before begin().

    All processes end with close(), or with the kernel, those too that `jobqueue start` has put into the
    background.
    """

    def __init__(self) -> None:
        self._exits = ExitStack()
        self._reader: Stack | None = None

    def begin(self) -> dict[str, Any]:
        """Start the reader, let the weekend pass, and look at all pages; returns how many say what, and after
        how many seconds the jobs that are not due yet will be.
        """
        self.close()
        try:
            folder = Path(mkdtemp(prefix="workbook-"))
            self._exits.enter_context(_guarded("keeper", folder, str(folder)))
            self._exits.callback(end, folder)
            settings = StackSettings("queued", slots=2, workers=0, jobs_password="monday", folder=folder)
            self._reader = reader = self._exits.enter_context(Stack(settings))
            self.queue = Queue(reader.database_url)
            self._exits.callback(self.queue.close)
            setting = {**reader.environment(), "FEEDREADER_DEADLINE": WRONG_DEADLINE}
            with _guarded("weekend", folder, reader.database_url, reader.feeds_url, **setting) as weekend:
                if weekend.wait_with(lambda: None, WEEKEND_SECONDS):
                    raise weekend.error("failed")
        except BaseException:
            self.close()
            raise
        now = datetime.now(UTC)
        later = [(job.run_at - now).total_seconds() for job in self.queue.jobs() if job.run_at > now]
        return {**self.pages(), "due in": later}

    def close(self) -> None:
        """End everything. Safe to call twice."""
        self._exits.close()
        self._reader = None

    def pages(self) -> dict[str, int]:
        """How many of the feeds' pages say what, as the reader answers it."""
        url = self._open().url
        asked = (requests.get(f"{url}/feeds/{n}.json", timeout=PATIENCE_SECONDS) for n in range(1, FEEDS + 1))
        found = Counter(answer.json()["status"] for answer in asked)
        print(f"{FEEDS} feeds: {found['pending']} being fetched, {found['ready']} there")
        return {"pending": found["pending"], "ready": found["ready"]}

    def terminal(self, commands: str | Sequence[str]) -> None:
        """Run `jobqueue` with each of these arguments in turn, and print what a terminal would show.

        Raises WorkbookError at a worker that would not end.
        """
        for command in _lines(commands):
            words = command.split()
            if words[:1] == ["work"] and not {"--once", "--exit-when-empty", "--help", "-h"} & set(words):
                raise WorkbookError(FOREGROUND)
            said = self._run("-m", "jobqueue", *words)
            print(f"$ jobqueue {command}\n{said}")

    def console(self, lines: str | Sequence[str]) -> None:
        """Type these lines into a Python console, and print what it shows."""
        print(self._run("-c", CONSOLE, *_lines(lines)))

    def act(self, steps: Mapping[str, int]) -> dict[str, Any]:
        """Run commands, each followed by a wait for so many feeds; then wait until the workers are idle.
        Raises WorkbookError if they are idle before so many have come.

        Returns how many feeds were being fetched before and after; and when each command was given and had
        ended, and when each feed came, in seconds since the first command.
        """
        before, began, done = self._pending(), time.time(), []
        for command, feeds in steps.items():
            given, there = time.time() - began, len(self._came(began))
            self.terminal([command])
            done.append({"command": command, "given": given, "ended": time.time() - began})

            def come(so_many: int = there + feeds) -> bool:
                return len(self._came(began)) >= so_many

            self._wait(lambda: come() or self._is_idle(), f"{feeds} feeds")
            if not come():
                raise WorkbookError(NOTHING_DUE)
        self._wait(self._is_idle, "the workers to be idle")
        ended = time.time() - began
        return {
            "before": before,
            "steps": done,
            "came": self._came(began),
            "seconds": ended,
            "left": self._pending(),
        }

    def visited(self, feeds: int, commands: str | Sequence[str]) -> None:
        """Have visitors submit more feeds, as forms do; then run the commands."""
        reader = self._open()
        for url in islice(addresses(reader.feeds_url), FEEDS, FEEDS + feeds):
            form = {"url": url}
            requests.post(f"{reader.url}/feeds", data=form, timeout=PATIENCE_SECONDS).raise_for_status()
        self.terminal(commands)

    @property
    def dashboard(self) -> str:
        """Where the dashboard is, with its password, while the reader is running."""
        return f"{self._open().url}/jobs/".replace("://", "://me:monday@")

    def _open(self) -> Stack:
        if self._reader is None:
            raise WorkbookError(NOT_BEGUN)
        return self._reader

    def _run(self, *arguments: str) -> str:
        """What Python prints when it is run with these arguments in the reader's folder; at the end its exit
        status, if that is not 0.
        """
        reader = self._open()
        environment = {**os.environ, **reader.environment(), **_python_path()}
        environment["JOBQUEUE_DATABASE"] = f"sqlite:///{Path(reader.database_url).name}"  # as seen from there
        try:
            ran = subprocess.run(
                [sys.executable, *arguments],
                cwd=reader.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise WorkbookError(f"It did not end within {PATIENCE_SECONDS:g} s, and was stopped.") from None
        status = f"(exit status {ran.returncode})\n" if ran.returncode else ""
        return ran.stdout.replace(f"{ROOT}/", "") + status

    def _pending(self) -> int:
        return sum(status == "pending" for status, _ in self._feeds())

    def _came(self, since: float) -> list[float]:
        """When feeds were fetched, in seconds since then, in order."""
        moments = (fetched.timestamp() - since for _, fetched in self._feeds() if fetched)
        return sorted(moment for moment in moments if moment > 0)

    def _feeds(self) -> Sequence[Any]:
        with self.queue.engine.connect() as connection:
            return connection.execute(select(Feed.status, Feed.fetched_at)).all()

    def _is_idle(self) -> bool:
        return not any(
            each.running or (each.due and not each.paused) for each in looking.stats(self.queue).queues
        )

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        if not comes_true(condition, PATIENCE_SECONDS):
            raise WorkbookError(
                f"Waited {PATIENCE_SECONDS:g} s for {what}, in vain: is a worker running, with"
                f" --import queued_app.jobs? {ANEW}"
            )


def rate(act: Mapping[str, Any], step: int, threads: int) -> float:
    """Feeds a second from the end of one of its commands, counted from 0, until the next one, or the end.

    Threads that start together bring feeds in waves; so the first wave is where the time begins, not part of
    what is counted.
    """
    steps = act["steps"]
    until = steps[step + 1]["given"] if step + 1 < len(steps) else act["seconds"]
    came = [moment for moment in act["came"] if steps[step]["ended"] <= moment <= until]
    return float((len(came) - threads) / (came[-1] - came[threads - 1]))


def _lines(text: str | Sequence[str]) -> Sequence[str]:
    """A single text's lines, or the lines themselves."""
    return text.splitlines() if isinstance(text, str) else text


def _guarded(name: str, folder: Path, *arguments: str, **environment: str) -> Process:
    """Start one of this chapter's modules as a process."""
    command = [sys.executable, "-m", f"workbook.chapter06_{name}", *arguments]
    return Process(name, command, folder / f"{name}.log", {**environment, **_python_path()})


def _python_path() -> dict[str, str]:
    path = filter(None, (str(ROOT), str(NOTEBOOKS), os.environ.get("PYTHONPATH")))
    return {"PYTHONPATH": os.pathsep.join(path)}
