"""`make torture`: harm done to the queue's workers, on both databases, and what became of the jobs.

    python -m loadtests torture --only kill,crash

The exit statuses are in loadtests/status.py. A promise is broken (1) if a job was lost, had two effects in
the database, ran twice at once, or was not done though the workers had time. Nothing is judged by its speed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.arguments import chosen
from loadtests.files import json_text, new_folder, put, room, write_all
from loadtests.servers.databases import DATABASE_NAMES
from loadtests.servers.machine import describe_machine
from loadtests.status import EXIT_STATUSES, Status
from loadtests.torture import trials
from loadtests.torture.evidence import Fates
from loadtests.torture.trials import Ground, server_for

BOTH = tuple(DATABASE_NAMES)
SMALL_DISK_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Trial:
    """A kind of harm, on which databases it is tried, and with how many jobs and how often: in full, and
    quickly.
    """

    title: str
    run: trials.Harm
    databases: tuple[str, ...]
    full: tuple[int, int]
    quick: tuple[int, int]


TRIALS = {
    "kill": Trial("random kill -9", trials.kill, BOTH, (10_000, 200), (200, 4)),
    "crash": Trial("server crashes", trials.crash, ("postgresql",), (4_000, 20), (400, 2)),
    "hold": Trial("a job holds the GIL", trials.hold, BOTH, (16_000, 2), (200, 1)),
    "rows": Trial("mutated rows", trials.poison_rows, BOTH, (2_000, 2_000), (100, 100)),
    "stop": Trial("SIGSTOP for two leases", trials.stop, BOTH, (4_000, 10), (400, 1)),
    "silence": Trial("silent host for 8 s", trials.silence, ("postgresql",), (2_000, 3), (400, 1)),
    "crowd": Trial("workers at one file", trials.crowd, ("sqlite",), (2_000, 100), (200, 10)),
    "clocks": Trial("clocks 60 s apart", trials.clocks, BOTH, (2_000, 1), (200, 1)),
    "disk": Trial("disk full for 3 s", trials.disk, ("sqlite",), (2_000, 5), (400, 1)),
}


@dataclass(frozen=True)
class Shown:
    """What a trial has shown on one database; `count` is None if it was not tried, and `reason` says why."""

    trial: str
    database: str
    count: Fates | None
    seconds: float = 0.0
    reason: str = ""

    @property
    def answer(self) -> str:
        """Kept, broken, or undecided: a promise is kept only if harm was done, and jobs were there."""
        if self.count is None or not (self.count.struck and self.count.tried):
            return "undecided"
        broken = (self.count.lost, self.count.doubled, self.count.overlapping)
        if any(broken) or (self.count.left and self.count.stalled):
            return "broken"
        return "undecided" if self.count.left else "kept"

    def as_json(self) -> dict[str, Any]:
        count = {} if self.count is None else self.count._asdict()
        return {**asdict(self), "count": count, "answer": self.answer}


def status(rows: Sequence[Shown]) -> Status:
    """Of the answers together."""
    answers = {row.answer for row in rows}
    if "broken" in answers:
        return Status.BROKEN
    return Status.KEPT if answers == {"kept"} else Status.UNDECIDED


TRIAL_LINE = "{:35} {:>5} {:>6} {:>5} {:>4} {:>5} {:>4} {:>5} {:>3}"
HEADINGS = ("", "times", "jobs", "again", "lost", "twice", "both", "pause", "")


def table(rows: Sequence[Shown]) -> str:
    """The rows as text, 80 columns wide."""
    lines = [
        "Times: that the harm was done. Again: jobs that began more than once, which",
        "is allowed; lost, with two effects in the database (twice), or running twice",
        "at once (both): none may be. Pause: the most seconds after a harm in which jobs",
        "were due and none ended; with a harm from the start on, workers start in them.",
        "",
        TRIAL_LINE.format(*HEADINGS).rstrip(),
        "-" * 80,
    ]
    for row in rows:
        name = f"{TRIALS[row.trial].title}, {DATABASE_NAMES[row.database]}"
        if (each := row.count) is None:
            lines.append(f"{name:35} not tried: {row.reason}")
            continue
        figures = (f"{each.tried:,}", each.again, each.lost, each.doubled, each.overlapping)
        answer = {"kept": "yes", "broken": "NO", "undecided": "?"}[row.answer]
        lines.append(TRIAL_LINE.format(name, f"{each.struck:,}", *figures, f"{each.pause:.1f}", answer))
        if each.slow:
            lines.append(f"  the rate was back {each.slow:.1f} s after a job took the interpreter, at most")
        if each.left:
            lines.append(f"  {each.left:,} jobs were still waiting or had failed")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Do the harm, print the table, write results.json; returns the exit status. Raises LoadTestError."""
    options = _parser().parse_args(argv)
    if options.small_disk:  # in a process of its own, which sees that disk
        row = _try("disk", "sqlite", options, disk=options.small_disk)
        print(json.dumps([row.count, row.seconds]))
        return Status.KEPT
    folder = new_folder(options.out or Path("reports") / f"torture-{datetime.now():%Y-%m-%d-%H%M%S}")
    started = datetime.now(UTC)
    rows: list[Shown] = []
    interrupted = False
    try:
        with room(folder):
            for name in options.only:
                for database in TRIALS[name].databases:
                    if database in (options.database or BOTH):
                        title = f"{TRIALS[name].title}, {DATABASE_NAMES[database]} ..."
                        print(title, file=sys.stderr, flush=True)
                        rows.append(_try(name, database, options))
    except KeyboardInterrupt:
        interrupted = True
    ended = Status.INTERRUPTED if interrupted else status(rows)
    results = {
        "schema": "500ms/torture-results",
        "version": 1,
        "started_at": started.isoformat(timespec="seconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "seed": options.seed,
        "exit_status": ended,
        "rows": [row.as_json() for row in rows],
    }
    print(json_text(results).rstrip() if options.json else table(rows), flush=True)
    write_all((folder / "results.json", put(json_text(results))))
    if not options.json:
        print(f"\nWritten to {folder}")
    return ended


def _try(name: str, database: str, options: argparse.Namespace, disk: Path | None = None) -> Shown:
    """Do one kind of harm on one database."""
    if name == "disk" and disk is None:
        return _try_on_a_small_disk(options)
    jobs, times = TRIALS[name].quick if options.quick else TRIALS[name].full
    start = time.monotonic()
    with server_for(database) as (server, crash), tempfile.TemporaryDirectory(prefix="torture-") as folder:
        ground = Ground(server, disk or Path(folder), Path(folder), jobs, times, options.seed, crash)
        count = TRIALS[name].run(ground)
    return Shown(name, database, count, time.monotonic() - start)


def _try_on_a_small_disk(options: argparse.Namespace) -> Shown:
    """The same, in a process with a file system that nobody else sees, and that ends with it."""
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        isolate = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        mount = f'mount -t tmpfs -o size={SMALL_DISK_BYTES} none "$0" && exec "$@"'
        again = [sys.executable, "-m", "loadtests.torture.torture", "--small-disk", place]
        again += [f"--seed={options.seed}", *(["--quick"] if options.quick else [])]
        command = [*isolate, "sh", "-c", mount, place, *again]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            count, seconds = json.loads(done.stdout)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "").strip().splitlines()
            return Shown("disk", "sqlite", None, reason=said[-1] if said else "needs Linux's unshare")
    return Shown("disk", "sqlite", Fates(*count), seconds)


def _parser() -> argparse.ArgumentParser:
    about = "\n".join(
        f"  {name:8} {(each.run.__doc__ or '').partition(chr(10))[0]}" for name, each in TRIALS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m loadtests torture",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Harm the queue's workers, and count what became of the jobs. Takes about\n10 minutes.",
        epilog=f"trials:\n{about}\n\n{EXIT_STATUSES}",
    )
    option = parser.add_argument
    option(
        "--only",
        type=chosen(TRIALS),
        default=tuple(TRIALS),
        metavar="NAME,...",
        help="only these trials (see below)",
    )
    option(
        "--database",
        choices=BOTH,
        action="append",
        help="only on this one (default: both)",
    )
    option("--quick", action="store_true", help="a few jobs and a few strikes each")
    option("--seed", type=int, default=1, metavar="N", help="seed of what is struck when (default: 1)")
    option("--json", action="store_true", help="print the results as JSON instead of a table")
    option("--out", type=Path, metavar="DIR", help="folder for the results (default: reports/torture-<time>)")
    option("--small-disk", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
