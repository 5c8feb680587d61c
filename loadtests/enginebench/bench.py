"""`make engines`: the same reader, load and harms on every engine, and one table of what came of it.

    python -m loadtests engines --engine celery,jobqueue --only load,harm

The exit statuses are in loadtests/status.py. Each trial's result is kept as it ends, and `--resume` goes on.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import msgspec

from loadtests.arguments import chosen
from loadtests.bench.advice import REPORTS, to_resume
from loadtests.bench.folder import write_part
from loadtests.bench.progress import about
from loadtests.enginebench.plan import (
    HARMS_AT_A_TIME,
    EnginePlan,
    Key,
    TrialResult,
    begin,
    done_before,
    file_of,
    resumed,
    status,
)
from loadtests.enginebench.report import results_of, text, write_report
from loadtests.enginebench.scene import EVERY_SECONDS
from loadtests.enginebench.tables import engine_label
from loadtests.enginebench.trials import ENGINE_TRIALS, TRIAL_KINDS, trial_command
from loadtests.engines.engines import ENGINES, check_engine
from loadtests.files import json_text, put, results_folder, room, write_all, writing
from loadtests.servers.processes import Process
from loadtests.status import EXIT_STATUSES
from loadtests.wording import counted

TRIAL_LIMIT_SECONDS = 360.0  # that a trial may take


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write results.json and the page; returns the exit status. Raises LoadTestError."""
    options = _parser().parse_args(argv)
    folder, plan = _folder_and_plan(options)
    for engine in plan.engines:
        check_engine(engine)
    measured = done_before(folder, plan)
    number, seconds = plan.left({Key(each.engine, each.trial) for each in measured})
    print(f"{counted(number, 'trial')}, {about(seconds)}.", flush=True)
    interrupted = False
    try:
        with room(folder):
            run(plan, folder, measured)
    except KeyboardInterrupt:
        interrupted = True
    ended = status(measured, interrupted)
    results = results_of(plan, measured, ended)
    if measured:
        print(f"\n{text(plan, measured)}\n", flush=True)
        write_all(
            (folder / "results.json", put(json_text(results))),
            (
                folder / "report.html",
                lambda _: print(f"The report: {write_report(results, plan, measured, folder)}"),
            ),
        )
    if interrupted:
        print(f"Interrupted. {to_resume(folder, 'engines')}", file=sys.stderr)
    return ended


def run(plan: EnginePlan, folder: Path, measured: list[TrialResult]) -> None:
    """Take all trials that are not in `measured` yet, and add them to it, each as it ends."""
    done = {Key(each.engine, each.trial) for each in measured}
    for keys, at_a_time in ((plan.speed(), 1), (plan.harms(), HARMS_AT_A_TIME)):
        waiting = [key for key in keys if key not in done]
        running: dict[Key, _Running] = {}
        with ExitStack() as exits:
            while waiting or running:
                while waiting and len(running) < at_a_time:
                    key = waiting.pop(0)
                    running[key] = exits.enter_context(_Running(key, folder))
                time.sleep(EVERY_SECONDS)
                for key, each in list(running.items()):
                    if found := each.ended():
                        del running[key]
                        write_part(file_of(folder, key), msgspec.to_builtins(found))
                        measured.append(found)
                        done.add(key)
                        print(progress_line(found, *plan.left(done)), flush=True)


def progress_line(found: TrialResult, number: int, seconds: float) -> str:
    """A trial has ended, and so much is left: at most 80 columns."""
    outcome = f"{found.seconds:4.0f} s" if found.figures is not None else "not measured"
    what = f"{engine_label(found.engine):14} {ENGINE_TRIALS[found.trial].title:15} {outcome:12}"
    return f"{what}  {counted(number, 'trial')}, {about(seconds)} left" if number else what.rstrip()


class _Running:
    """A trial in a process of its own."""

    def __init__(self, key: Key, folder: Path):
        self._key, self._began = key, time.monotonic()
        self._log = folder / "logs" / f"{key.name}.log"
        with writing(self._log):
            self._log.parent.mkdir(parents=True, exist_ok=True)
        self._process = Process("trial", trial_command(*key, folder), self._log)

    def __enter__(self) -> "_Running":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def ended(self) -> TrialResult | None:
        """What it has shown; None while it goes on."""
        seconds = time.monotonic() - self._began
        late = seconds > TRIAL_LIMIT_SECONDS
        if self._process.is_running() and not late:
            return None
        self._process.stop()
        said = f"it took longer than {TRIAL_LIMIT_SECONDS:g} s" if late else self._process.output()
        return shown(self._key, said, round(seconds, 1))


def shown(key: Key, said: str, seconds: float) -> TrialResult:
    """What a trial has shown, whose last line is its figures, or why there are none."""
    lines = said.strip().splitlines() or ["it said nothing"]
    try:
        figures = json.loads(lines[-1])
    except ValueError:
        figures = None
    if isinstance(figures, dict):
        return TrialResult(*key, seconds, figures)
    return TrialResult(*key, seconds, reason=lines[-1].strip())


def _folder_and_plan(options: argparse.Namespace) -> tuple[Path, EnginePlan]:
    """Raises LoadTestError."""
    if folder := options.resume:
        return folder, resumed(folder)
    for engine in options.engine:
        check_engine(engine)  # before there is a folder
    usual = REPORTS / f"engines-{datetime.now():%Y-%m-%d-%H%M%S}"
    folder = results_folder(options.out, usual, "remove it, or resume the run in it with --resume")
    return folder, begin(folder, options.engine, options.only, options.seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests engines",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Compare the engines under the same reader: how fast each is, and what becomes of\n"
        "feeds when something is killed. Takes about 15 minutes.",
        epilog="\n".join(_kinds()) + f"\n\n{EXIT_STATUSES}",
    )
    option = parser.add_argument
    option(
        "--engine",
        type=chosen(ENGINES),
        default=tuple(ENGINES),
        metavar="NAME,...",
        help=f"only these: {', '.join(ENGINES)} (default: all)",
    )
    option(
        "--only",
        type=chosen(TRIAL_KINDS),
        default=TRIAL_KINDS,
        metavar="KIND,...",
        help="only these kinds of trials",
    )
    option("--seed", type=int, default=1, metavar="N", help="seed of the order (default: 1)")
    option("--out", type=Path, metavar="DIR", help="folder for the report (default: reports/engines-<time>)")
    option("--resume", type=Path, metavar="DIR", help="resume the interrupted run in this folder")
    return parser


def _kinds() -> list[str]:
    return [
        "kinds of trials:",
        "  load  the latencies with 30, then 300 simulated users",
        "  work  feeds that wait when the worker starts: jobs a second, CPU, memory;",
        "        then how soon the idle worker has fetched one",
        "  harm  kill -9 and TERM of the worker in mid-fetch, kill -9 of the broker",
        "        or database, and of a web process between commit and enqueueing",
    ]
