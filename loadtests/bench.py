"""`make bench`: both readers, more and more users, and a report.

    python -m loadtests bench --users 1,20,100

Exit status: 0 the queued reader kept the 500 ms rule, 1 it did not, 2 bad usage, 3 the run was not fit to
judge (the machine or the load generator was the bottleneck, or a process failed), 130 it was interrupted;
what was measured until then is kept.
"""

import argparse
import json
import signal
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from loadtests.databases import check_database, database_server
from loadtests.errors import UsageError
from loadtests.feedkinds import DEFAULT_MIX, parse_mix, written_mix
from loadtests.machine import describe_machine
from loadtests.progress import Progress
from loadtests.report import text_table, write_report
from loadtests.samples import RULE_MS
from loadtests.sweep import SUBMITTERS, Plan, measure_step
from loadtests.verdict import verdict
from loadtests.wording import APPS

PACKAGES = ("locust", "Flask", "gunicorn", "SQLAlchemy", "requests", "feedparser", "aiohttp", "gevent")
INTERRUPTED = 130
MOST_REPEATS = (
    2  # steps of a run that are measured once more when they were not fit: a busy moment of the machine
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweep and write the report; returns the exit status. Raises LoadTestError."""
    options = _parser().parse_args(argv)
    check_database(options.database)
    folder: Path = options.out or Path("reports") / datetime.now().strftime("%Y-%m-%d-%H%M%S")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"The folder {folder} is not empty; name another one with --out, or remove it.")
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    results = run(_plan(options), folder)
    if not results["steps"]:
        print("Interrupted before the first step was done; nothing was written.", file=sys.stderr)
        return INTERRUPTED
    report = save(results, folder)
    sentence = textwrap.fill(results["verdict"]["sentence"], 80)
    print(f"\n{text_table(results)}\n\n{sentence}\n\nThe report: {report}")
    return INTERRUPTED if results["interrupted"] else int(results["verdict"]["exit_status"])


def run(plan: Plan, folder: Path) -> dict[str, Any]:
    """Measure all steps; returns what results.json will hold. Rows and logs go below `folder`.

    After Ctrl-C it returns the steps measured until then, and `interrupted` is true.
    """
    started = datetime.now(UTC)
    steps: list[dict[str, Any]] = []
    repeats = MOST_REPEATS
    interrupted = False
    with Progress(len(plan.steps()), plan.step_seconds) as progress:
        try:
            with database_server(plan.database) as server:
                for app, users in plan.steps():
                    progress.begin(app, users)
                    step = measure_step(plan, app, users, folder, progress.tick, server)
                    if not step["fit"] and repeats:
                        repeats -= 1
                        progress.again(step)
                        reasons = step["unfit_reasons"]
                        step = measure_step(plan, app, users, folder, progress.tick, server)
                        step["repeated_because"] = reasons
                    steps.append(step)
                    progress.done(step)
        except KeyboardInterrupt:
            interrupted = True
    return {**_results(plan, steps, started), "interrupted": interrupted}


def save(results: dict[str, Any], folder: Path) -> Path:
    """Write results.json, the figures and the report into `folder`; returns the report's path."""
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return write_report(results, folder)


def _results(plan: Plan, steps: list[dict[str, Any]], started: datetime) -> dict[str, Any]:
    return {
        "schema": "500ms/results",
        "version": 1,
        "started_at": started.isoformat(timespec="seconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "packages": {name: version(name) for name in PACKAGES},
        "settings": {
            "users": list(plan.users),
            "apps": list(plan.apps),
            "model": "closed",
            "rule_ms": RULE_MS,
            "warmup_s": plan.warmup,
            "measure_s": plan.measure,
            "drain_s": plan.drain,
            "think_s": plan.think,
            "submitters": SUBMITTERS,
            "slots": plan.slots,
            "workers": plan.workers,
            "threads": plan.threads,
            "database": plan.database
            if plan.database in ("sqlite", "postgresql")
            else "postgresql (a server of yours)",
            "deadline_s": plan.deadline,
            "mix": plan.mix,
        },
        "seed": plan.seed,
        "steps": steps,
        "verdict": verdict(steps),
    }


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(
        users=options.users,
        apps=tuple(APPS) if options.app == "both" else (options.app,),
        warmup=options.warm_up,
        measure=options.seconds,
        think=options.think,
        slots=options.slots,
        threads=options.threads,
        deadline=options.deadline,
        database=options.database,
        mix=options.mix,
        seed=options.seed,
    )


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m loadtests bench",
        description="Measure both feed readers as users grow, and write a report. Takes under 5 minutes.",
        epilog="Exit status: 0 the queued reader kept the 500 ms rule, 1 it did not, 2 bad usage,"
        " 3 the run was not fit to judge (it says why), 130 interrupted.",
    )
    option = parser.add_argument
    option(
        "--users",
        type=_users,
        default=plan.users,
        metavar="N,N,...",
        help="numbers of users (default: 1,5,10,20,50,100)",
    )
    option("--app", choices=[*APPS, "both"], default="both", help="which reader (default: both)")
    option(
        "--seconds",
        type=_seconds,
        default=plan.measure,
        metavar="S",
        help=f"measured in each step (default: {plan.measure:g})",
    )
    option(
        "--warm-up",
        type=_seconds,
        default=plan.warmup,
        metavar="S",
        help=f"not measured at the start of each step (default: {plan.warmup:g})",
    )
    option(
        "--think",
        type=_seconds,
        default=plan.think,
        metavar="S",
        help=f"mean think time of a user (default: {plan.think:g})",
    )
    option(
        "--slots",
        type=_count,
        default=plan.slots,
        metavar="N",
        help=f"requests that a web server serves at a time (default: {plan.slots})",
    )
    option(
        "--threads",
        type=_count,
        default=plan.threads,
        metavar="N",
        help=f"jobs that the worker performs at a time (default: {plan.threads})",
    )
    option(
        "--deadline",
        type=_seconds,
        default=plan.deadline,
        metavar="S",
        help=f"how long one fetch may take (default: {plan.deadline:g})",
    )
    option(
        "--mix",
        type=parse_mix,
        default=dict(DEFAULT_MIX),
        metavar="MIX",
        help=f"of the feeds (default: {written_mix(DEFAULT_MIX)})",
    )
    option(
        "--database",
        default=plan.database,
        metavar="DB",
        help="sqlite (default), postgresql (one is started), or the URL of a PostgreSQL server",
    )
    option(
        "--seed",
        type=int,
        default=plan.seed,
        metavar="N",
        help=f"the same seed sends the same visitors (default: {plan.seed})",
    )
    option("--out", type=Path, metavar="DIR", help="folder for the report (default: reports/<time>)")
    return parser


def _users(text: str) -> tuple[int, ...]:
    """Numbers with commas between them, each once, in order."""
    return tuple(sorted({_count(part) for part in text.split(",")}))


def _count(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, of 3600 at most")
    return seconds
