"""Helpers for chapter 13: an app, whoever wrote it, is started, put under load, and judged."""

import difflib
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadtests.comparing import compare
from loadtests.folders import temporary_folder
from loadtests.judging.bootstrap import rate_reach
from loadtests.judging.judge import StageVerdict, judge
from loadtests.judging.terminal import verdict_text
from loadtests.records.constants import LOCUST_SECONDS
from loadtests.records.figures import Summary
from loadtests.records.recording import Recording, read_recording
from loadtests.servers.processes import ADDRESS, Process
from loadtests.wording import counted
from workbook.readers import PATIENCE_SECONDS, say_if_disturbed, wait_until
from workbook.scoring import Ends
from workbook.session import NOTEBOOKS, WorkbookError
from workbook.words import in_words

THIS_MACHINE = ("127.0.0.1", "localhost")
LISTENS = re.compile(r"127\.0\.0\.1:\d+")
STARTUP_SECONDS = 30.0

Loaded = Mapping[str, Any]  # what `loaded` returns


@dataclass(frozen=True)
class WebApp:
    """How an app is started and loaded. Commands are run in `folder`, as one types them there."""

    web: str  # the command of its server, which prints its address; or the address of one that runs
    slots: int  # how many requests it works on at a time
    work: str = ""  # the command of its workers, if it has any
    beside: Mapping[str, str] = field(default_factory=dict)  # commands of servers that it needs, by the
    # environment variable that tells it where each listens
    folder: str = "apps"  # seen from notebooks/
    visitors: str = "visitors.py"  # the Locust file, in the folder
    code: str = ""  # the file to show


Pair = tuple[WebApp, WebApp]


def _pair(module: str, command: str, slots: int, threads: int, beside: Mapping[str, str]) -> Pair:
    """An app of the folder `apps`, before and after its slow call went behind the queue."""
    queued = f"{module}_queued"
    work = f"jobqueue work --threads {threads} --poll-interval 0.1 --import {queued}"
    return (
        WebApp(f"{command} {module}:app", slots, beside=beside, code=f"{module}.py"),
        WebApp(f"{command} {queued}:app", slots, work, beside, code=f"{queued}.py"),
    )


MAIL_SERVER = {"MAIL_SERVER": "python mail_server.py"}
WEB_APPS = {
    "mail": _pair("fastapi_mail", "uvicorn --port 0", 4, 12, MAIL_SERVER),
    "thumbnails": _pair("flask_thumbnails", "gunicorn --bind 127.0.0.1:0", 1, 1, {}),
    "report": _pair("django_report", "gunicorn --bind 127.0.0.1:0", 1, 1, {}),
}


def loaded(app: WebApp, users: Sequence[int], seconds: int, warm_up: float) -> dict[str, str]:
    """Start an app, put one number of users on it after the other, and stop it; returns the recording.

    Each load lasts `seconds`, of which the first `warm_up` are not judged. A slowed or unfit load is
    reported; when recording, it raises WorkbookError. Raises ProcessError if the app or Locust fails.
    """
    with temporary_folder("workbook") as folder, ExitStack() as exits:
        url = exits.enter_context(running(app, folder))
        rows, visitors = folder / "rows.csv", _folder(app) / app.visitors
        command = [
            *(sys.executable, "-m", "locust", "-f", str(visitors), "--headless", "--only-summary"),
            *("--host", url, "--steps", ",".join(map(str, users)), "--step-seconds", str(seconds)),
            *("--warm-up", f"{warm_up:g}", "--stop-timeout", "8", "--rows", str(rows)),
        ]
        locust = exits.enter_context(Process("load generator", command, folder / "locust.log"))
        locust.wait_with(lambda: None, len(users) * seconds + LOCUST_SECONDS)
        if not rows.exists():
            raise locust.error("left no requests")
        found = {file.suffix[1:]: file.read_text() for file in (rows, rows.with_suffix(".json"))}
    judged = judge(recording_of(found)).stages
    reasons = {reason for stage in judged for reason in (*stage.doubts, *stage.slowed)}
    say_if_disturbed(reasons, fit=not any(stage.doubts for stage in judged))
    return found


@contextmanager
def running(app: WebApp, folder: Path) -> Iterator[str]:
    """Run an app with all that it needs; gives its address. Its database and logs are in `folder`.

    Raises WorkbookError if it can't be found, or others could reach it, and ProcessError if it fails.
    """
    environment = {
        "JOBQUEUE_DATABASE": f"sqlite:///{folder}/app.db",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with ExitStack() as exits:

        def start(name: str, command: str) -> Process:
            line = f"cd {shlex.quote(str(_folder(app)))} && exec {command}"
            log = folder / f"{name.replace(' ', '-')}.log"
            return exits.enter_context(Process(name, ["sh", "-c", line], log, environment))

        for number, (variable, command) in enumerate(app.beside.items(), 1):
            environment[variable] = start(f"server {number}", command).wait_for(LISTENS, STARTUP_SECONDS)[0]
        if urlsplit(app.web).scheme in ("http", "https"):
            url = _on_this_machine(app.web)
        else:
            web = start("web server", app.web)
            url = _on_this_machine(web.wait_for(ADDRESS, STARTUP_SECONDS)[0])
            wait_until(lambda: _answers(url) or not web.is_running(), f"{url} did not answer.")
            if not web.is_running():
                raise web.error("ended at once")
        if app.work:
            start("worker", app.work)
        yield url


def _folder(app: WebApp) -> Path:
    folder = NOTEBOOKS / Path(app.folder).expanduser()
    if not (folder / app.visitors).is_file():
        raise WorkbookError(f"There is no {folder / app.visitors}: give the app's folder, and its visitors.")
    return folder


def _on_this_machine(url: str) -> str:
    if urlsplit(url).hostname not in THIS_MACHINE:
        raise WorkbookError(
            f"{url} can be reached from elsewhere: have the app listen on 127.0.0.1, and load no other."
        )
    return url


def _answers(url: str) -> bool:
    import requests

    try:
        requests.get(url, timeout=PATIENCE_SECONDS)
    except requests.ConnectionError:
        return False
    return True


# ---- what came of it


def recording_of(load: Loaded) -> Recording:
    """All that was recorded of it."""
    with temporary_folder("workbook") as folder:
        return read_recording(_kept(load, folder / "rows.csv"))


def _kept(load: Loaded, rows: Path) -> Path:
    for ending, text in load.items():
        rows.with_suffix(f".{ending}").write_text(text)
    return rows


def stage_of(load: Loaded, users: int) -> StageVerdict:
    """What was measured with this number of users."""
    return next(each for each in judge(recording_of(load)).stages if each.stage and each.stage.load == users)


def figures(load: Loaded, users: int, group: str) -> Summary:
    """The figures of one group of requests, or visits. Raises WorkbookError if there were none."""
    for each in stage_of(load, users).groups:
        if each.group == group:
            return each.summary
    raise WorkbookError(f"No {group!r} was measured with {counted(users, 'user')}: measure longer.")


def tell(load: Loaded) -> None:
    """Print what Locust printed at the end: a table and a verdict for each number of users."""
    print(verdict_text(judge(recording_of(load))).strip())


def demand(load: Loaded, users: int, **a_round: float) -> float:
    """D: the seconds of slots that one round of a visitor takes, from a load of so few that nobody waits.

    `a_round`: how many requests of each group it has, on average. Prints them.
    """
    means = {group: (figures(load, users, group)["mean_ms"] or 0.0) / 1000 for group in a_round}
    total = sum(times * means[group] for group, times in a_round.items())
    for group, times in a_round.items():
        print(f"{times:g} x {group:6} {in_words(means[group]):>7}")
    print(f"D = {total:.3f} s")
    return total


def rounds(load: Loaded, users: int, group: str, a_round: float) -> tuple[float, Ends]:
    """X: the rounds a second, from a group of requests of which each has `a_round`; and its 95 % interval."""
    stage = stage_of(load, users)
    window = stage.start, stage.end
    ended = [row.done_s for row in recording_of(load).rows if row.group == group and not row.failed]
    times = [at for at in ended if at is not None and window[0] <= at < window[1]]
    rate, reach = len(times) / (window[1] - window[0]) / a_round, rate_reach(times, window)
    return rate, (None, None) if reach is None else (rate - reach / a_round, rate + reach / a_round)


def knee_of(
    load: Loaded, users: int, think: float, demand: float, group: str, a_round: float
) -> dict[str, Any]:
    """What `score` takes for the knee, from a load beyond it: users who ask for the rounds that were done.

    `think` and `demand` in seconds, the rest as in rounds(). Prints how many rounds those were.
    """
    done, ends = rounds(load, users, group, a_round)
    print(f"X = {done:.2f} rounds a second")
    alone = demand + think  # seconds that a round takes who never waits for a slot
    return {"users": done * alone, "interval": [end and end * alone for end in ends]}


def compared(before: Loaded, after: Loaded) -> int:
    """Print what `python -m loadtests compare before.csv after.csv` prints; returns its exit status."""
    with temporary_folder("workbook") as folder:
        sides = {"before": before, "after": after}
        files = [str(_kept(load, folder / f"{name}.csv")) for name, load in sides.items()]
        return compare.main(files)


def print_code(app: WebApp) -> None:
    """Print the app's file, and that of its visitors."""
    for file in (app.code, app.visitors):
        print(f"# ---- {file}\n{_text(app, file)}\n")


def changes(before: WebApp, after: WebApp) -> None:
    """Print the lines that differ between the files of two apps."""
    old, new = (_text(app, app.code).splitlines() for app in (before, after))
    print("\n".join(list(difflib.unified_diff(old, new, n=1, lineterm=""))[2:]))


def _text(app: WebApp, file: str) -> str:
    return (_folder(app) / file).read_text().strip()
