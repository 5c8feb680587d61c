"""`make bench-queue`: jobqueue against the plain drivers and other queues, in the same run.

    python -m loadtests queue --database sqlite --only enqueue,drain

The exit statuses are in loadtests/status.py. What was measured before an interruption is kept.
"""

import argparse
import contextlib
import importlib.util
import itertools
import sqlite3
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psycopg

from loadtests.arguments import chosen, count, minutes
from loadtests.errors import LoadTestError, ProcessError, UsageError, WriteError
from loadtests.files import json_text, put, results_folder, room, write_all
from loadtests.queuebench.measures import MEASURES, QUICK_SIZES, WEIGHTS, WITHOUT_DATABASE, Run, Sizes
from loadtests.queuebench.plain import postgres_dsn
from loadtests.queuebench.report import DATABASES, chart, finding, number, target_table
from loadtests.queuebench.stats import Result, answers, share, status
from loadtests.queuebench.workbench import Workbench
from loadtests.report.charts import save as save_figure
from loadtests.servers.databases import check_database, database_server
from loadtests.servers.machine import describe_machine
from loadtests.status import EXIT_STATUSES, Status

PEER_PACKAGES = ("huey", "procrastinate", "pgqueuer", "asyncpg")
MEASURED_PACKAGES = ("SQLAlchemy", "psycopg", *PEER_PACKAGES)


@dataclass(frozen=True)
class QueuePlan:
    """The options of a run."""

    databases: tuple[str, ...] = ("sqlite", "postgresql")  # or the URL of a PostgreSQL server
    measures: tuple[str, ...] = tuple(MEASURES)
    sizes: Sizes = field(default_factory=Sizes)
    peers: bool = False
    seed: int = 1
    minutes: float = 13.0

    def steps(self) -> list[tuple[str, str]]:
        """Every measure to take, after the database."""
        return [
            (database, name)
            for number, database in enumerate(self.databases)
            for name in self.measures
            if name not in WITHOUT_DATABASE or number == 0
        ]


@dataclass
class Findings:
    """The results so far, whether or not the run was completed."""

    results: list[Result] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)  # of the databases
    interrupted: bool = False
    error: LoadTestError | None = None  # why it could not continue

    @property
    def exit_status(self) -> int:
        if self.interrupted:
            return Status.INTERRUPTED
        if self.error is not None:
            return self.error.exit_status
        return status(self.results)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write results.json and the figure; returns the exit status. Raises LoadTestError."""
    options = _parser().parse_args(argv)
    plan = _plan(options)
    folder = results_folder(options.out, Path("reports") / f"queue-{datetime.now():%Y-%m-%d-%H%M%S}")
    started = datetime.now(UTC)
    findings = run(plan, folder)
    results = results_of(plan, findings, started)
    if options.json:
        print(json_text(results), end="", flush=True)
    elif findings.results:
        print(f"{target_table(findings.results)}\n\n{_summary(findings.results, plan)}", flush=True)
    if findings.error is not None:
        print(f"loadtests queue: {findings.error}", file=sys.stderr)
    if findings.interrupted:
        print("Interrupted: these are the measures taken until then.", file=sys.stderr)
    save(results, plan, findings, folder)
    if findings.results and not options.json:
        print(f"Written to {folder}")
    return findings.exit_status


def run(plan: QueuePlan, folder: Path) -> Findings:
    """Take all measures. After Ctrl-C, or if it can't continue, returns what was measured until then.

    Each has its share of the plan's time, and what those before it left; it takes at least one round.
    """
    findings = Findings()
    end = time.monotonic() + 60 * plan.minutes
    weights = [WEIGHTS.get(name, 1.0) for _, name in plan.steps()]
    try:
        with (
            room(folder),
            tempfile.TemporaryDirectory(prefix="work-", dir=folder) as work,
            room(Path(work)),  # while its databases are still there
        ):
            for database, steps in itertools.groupby(plan.steps(), key=lambda step: step[0]):
                kind = database if database == "sqlite" else "postgresql"
                with database_server(database) as server:
                    findings.versions[kind] = _database_version(server)
                    place = Path(work) / kind
                    place.mkdir()
                    each = Run(kind, Workbench(server, place), plan.sizes, plan.seed, plan.peers)
                    for _, name in steps:
                        until = time.monotonic() + share(end - time.monotonic(), weights)
                        weights = weights[1:]
                        _measure(name, replace(each, is_late=partial(_has_passed, until)), findings)
    except KeyboardInterrupt:
        findings.interrupted = True
    except (ProcessError, WriteError) as error:
        findings.error = error
    return findings


def _summary(results: Sequence[Result], plan: QueuePlan) -> str:
    """The verdict in a sentence, and what decides where it is in doubt."""
    measures = dict.fromkeys(each.measure for each in results if "undecided" in answers([each]))
    more = (
        f" More rounds may decide: --rounds {3 * plan.sizes.rounds} --minutes {3 * plan.minutes:g}"
        f" --only {','.join(measures)}"
    )
    return textwrap.fill(f"{finding(results)}.{more if measures else ''}", 80)


def results_of(plan: QueuePlan, findings: Findings, started: datetime) -> dict[str, Any]:
    """What results.json will hold."""
    return {
        "schema": "500ms/queue-results",
        "version": 2,
        "started_at": started.isoformat(timespec="seconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "packages": dict(_versions()),
        "databases": findings.versions,
        "settings": {
            "measures": list(plan.measures),
            "peers": plan.peers,
            "minutes": plan.minutes,
            **asdict(plan.sizes),
        },
        "seed": plan.seed,
        "interrupted": findings.interrupted,
        "error": None if findings.error is None else str(findings.error),
        "exit_status": findings.exit_status,
        "results": [each.as_json() for each in findings.results],
    }


def save(results: dict[str, Any], plan: QueuePlan, findings: Findings, folder: Path) -> None:
    """Write results.json and figures/queue.png and .svg into `folder`. Raises WriteError."""
    machine = results["machine"]
    subtitle = (
        f"jobs a second, median of {plan.sizes.rounds} rounds or more; thin line: lowest to highest;"
        f" dashed: target; {machine['cores']} cores, Python {machine['python']}"
    )

    def draw(figures: Path) -> None:
        if picture := chart(findings.results, subtitle):
            save_figure(picture, figures, "queue")

    write_all((folder / "results.json", put(json_text(results))), (folder / "figures", draw))


def _measure(name: str, run: Run, findings: Findings) -> None:
    """Take one measure, add its results to the findings, and report it on standard error."""
    where = "" if name in WITHOUT_DATABASE else DATABASES[run.database]
    print(f"{where:10} {name:8}", end=" ", file=sys.stderr, flush=True)
    start = time.monotonic()
    try:
        results = MEASURES[name](run)
    except BaseException:
        print("...", file=sys.stderr)
        raise
    findings.results += results
    first = results[0]
    figure = f"{number(first.figure.value)} {first.unit}"
    print(f"{first.title}: {figure} ({time.monotonic() - start:.0f} s)", file=sys.stderr, flush=True)


def _has_passed(moment: float) -> bool:
    return time.monotonic() >= moment


def _versions() -> Iterator[tuple[str, str]]:
    for name in MEASURED_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            yield name, version(name)


def _database_version(server: str) -> str:
    """Raises UsageError when the server can't be reached."""
    if server == "sqlite":
        return sqlite3.sqlite_version
    try:
        with psycopg.connect(postgres_dsn(server)) as connection:
            return str(connection.info.parameter_status("server_version"))
    except psycopg.OperationalError as error:
        raise UsageError(f"The PostgreSQL server said: {str(error).strip()}") from error


def _plan(options: argparse.Namespace) -> QueuePlan:
    """Raises UsageError."""
    databases = QueuePlan.databases if options.database is None else (options.database,)
    for database in databases:
        check_database(database)
    if options.peers and not all(importlib.util.find_spec(name) for name in PEER_PACKAGES):
        raise UsageError('The other queues are not installed; run: make bench-queue ARGS="--peers"')
    sizes = QUICK_SIZES if options.quick else Sizes()
    if options.rounds is not None:
        sizes = replace(sizes, rounds=options.rounds)
    return QueuePlan(databases, options.only, sizes, options.peers, options.seed, options.minutes)


def _first_line(measure: object) -> str:
    return (measure.__doc__ or "").partition("\n")[0]


def _parser() -> argparse.ArgumentParser:
    about = "\n".join(f"  {name:8} {_first_line(measure)}" for name, measure in MEASURES.items())
    parser = argparse.ArgumentParser(
        prog="python -m loadtests queue",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure jobqueue against the plain drivers in one run. Takes about 13 minutes:\n"
        "rounds are added while a target is undecided, and left out when time runs short.",
        epilog=f"measures:\n{about}\n\n{EXIT_STATUSES}",
    )
    option = parser.add_argument
    option(
        "--database",
        metavar="DB",
        help="measure this one only: sqlite, postgresql (one is started), or the URL of a PostgreSQL server"
        " (default: sqlite and postgresql)",
    )
    option(
        "--only",
        type=chosen(MEASURES),
        default=tuple(MEASURES),
        metavar="NAME,...",
        help="take only these measures (see below)",
    )
    option("--peers", action="store_true", help="measure Huey, Procrastinate and PgQueuer as well")
    option(
        "--rounds",
        type=count,
        metavar="N",
        help=f"how often each sample is taken (default: {Sizes.rounds}), up to {Sizes.series} times as often"
        " where that leaves a target undecided",
    )
    option(
        "--minutes",
        type=minutes,
        default=QueuePlan.minutes,
        metavar="N",
        help="begin no round after this time but the first of each measure; what is undecided then stays so"
        f" (default: {QueuePlan.minutes:g})",
    )
    option("--quick", action="store_true", help="a single small round, which decides nothing")
    option("--seed", type=int, default=1, metavar="N", help="seed of the random waits (default: 1)")
    option("--json", action="store_true", help="print the results as JSON instead of a table")
    option("--out", type=Path, metavar="DIR", help="folder for the results (default: reports/queue-<time>)")
    return parser
