"""`make bench`: both readers, more and more users, and a report.

    python -m loadtests bench --users 1,20,100
    python -m loadtests bench --full            # `make bench-full`: intervals, open load; half an hour

Exit status: 0 the queued reader kept the 500 ms rule, 1 it broke it, 2 bad usage, 3 the run was not fit to
judge (the machine or the load generator was the bottleneck, or a process failed), 4 there were too few
requests to say, 130 it was interrupted; what was measured until then is kept, and `--resume` goes on.
"""

import json
import signal
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from loadtests.bench.floor import measure_floor
from loadtests.bench.full import full_plan, pilot_plan
from loadtests.bench.options import parse_options, plan_of
from loadtests.bench.pipelines import github_summary, junit
from loadtests.bench.plan import Plan, PlannedStep
from loadtests.bench.progress import Progress
from loadtests.bench.step import measure_step
from loadtests.errors import UsageError
from loadtests.judging.points import points
from loadtests.judging.verdict import verdict, worth_repeating
from loadtests.predicting.prediction import predict
from loadtests.records.constants import RAMP_USERS_PER_S, RULE_MS, SUBMITTERS
from loadtests.records.recording import Model
from loadtests.records.results import Floor, Measured, Results, Settings
from loadtests.records.steps import Step
from loadtests.report.report import text_table, write_report
from loadtests.servers.databases import check_database, database_server
from loadtests.servers.machine import describe_machine, pinning

PACKAGES = ("locust", "Flask", "gunicorn", "SQLAlchemy", "requests", "feedparser", "aiohttp", "gevent")
INTERRUPTED = 130
# Steps of a run that are measured once more if they were not fit: the machine may have had a busy moment.
MOST_AGAIN = 2
MOST_AGAIN_SHARE = 0.1  # of a long run's steps
RUN_VERSION = 2  # of run.json, and of the steps beside it
T = TypeVar("T")
MOST_MORE_STEPS = 3  # steps that are added where there were too few requests to say


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweep and write the report; returns the exit status. Raises LoadTestError."""
    options = parse_options(argv)
    for option, file in (("--junit", options.junit), ("--github", options.github)):
        if file and not file.parent.is_dir():  # said before half an hour is spent on it
            raise UsageError(f"{option} {file}: there is no folder {file.parent}. Make it first.")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    if options.resume:
        folder: Path = options.resume
        plan, floor, full = _read_run(folder)
    else:
        folder = options.out or Path("reports") / datetime.now().strftime("%Y-%m-%d-%H%M%S")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"{folder} is there already, and is not an empty folder. Name another with --out, remove it,"
                f" or go on with the run that it holds: --resume {folder}"
            )
        plan, floor, full = plan_of(options), options.floor, options.full
        check_database(plan.database)
        _write_run(folder, plan, floor, full)
    try:
        if full:
            plan = _with_pilot(plan, folder)
            _write_run(folder, plan, floor, full=False)
        results = run(plan, folder, floor)
    except KeyboardInterrupt:
        results = None
    if results is None or not results["steps"]:
        print("Interrupted before the first step was done.", file=sys.stderr)
        return INTERRUPTED
    report = save(results, folder)
    if options.junit:
        options.junit.write_text(junit(results), encoding="utf-8")
    if options.github:
        with options.github.open("a", encoding="utf-8") as file:
            file.write(github_summary(results))
    sentence = textwrap.fill(results["verdict"]["sentence"], 80)
    print(f"\n{text_table(results)}\n\n{sentence}\n\nThe report: {report}")
    if results["interrupted"]:
        print(f"Interrupted. To go on: python -m loadtests bench --resume {folder}", file=sys.stderr)
        return INTERRUPTED
    return results["verdict"]["exit_status"]


def run(plan: Plan, folder: Path, floor: bool = False) -> Results:
    """Measure all steps; returns what results.json will hold. Rows and logs go below `folder`.

    Each step is written to `folder` when it is done; those that are there already are not measured again.
    With `floor` the load generator is measured, too. After Ctrl-C it returns the steps measured until then,
    and `interrupted` is true.
    """
    started = datetime.now(UTC)
    steps = {_file(folder, step): step for step in plan.steps()}
    again = max(MOST_AGAIN, round(MOST_AGAIN_SHARE * len(steps)))
    found: Floor | None = None
    interrupted = False
    with Progress(len(steps), plan.step_seconds) as progress:
        try:
            if floor:
                file = folder / "floor.json"
                if not file.exists():
                    progress.say("First the load generator itself, on a server that does nothing ...")
                    _write(file, measure_floor())
                found = _read(file, Floor)
            with database_server(plan.database) as server:
                for file, step in _until_decided(plan, steps, progress):
                    progress.begin(step.condition)
                    if file.exists():
                        progress.skip()
                    else:
                        measured = _measure(plan, step, folder, server, progress, again > 0)
                        _write(file, measured)
                        progress.done(step.condition, measured)
                    again -= "repeated_because" in _read(file, Step)
        except KeyboardInterrupt:
            interrupted = True
    done = [_read(file, Step) for file in steps if file.exists()]
    return _results(plan, done, started, found, interrupted)


def _until_decided(
    plan: Plan, steps: dict[Path, PlannedStep], progress: Progress
) -> Iterator[tuple[Path, PlannedStep]]:
    """The steps to measure: those planned, then repeats of what is undecided and soon decided.

    A repeat is added to `steps`. Each of those before must have been measured when the next is asked for.
    """
    yield from list(steps.items())
    folder = next(iter(steps)).parent.parent
    for left in range(MOST_MORE_STEPS, 0, -1):
        done = [_read(file, Step) for file in steps if file.exists()]
        at = worth_repeating(done, left)
        if at is None:
            return
        condition = list(steps.values())[at].condition
        repeats = [step.repeat for step in steps.values() if step.condition == condition]
        step = PlannedStep(condition, max(repeats) + 1)
        file = _file(folder, step)
        steps[file] = step
        progress.more(condition)
        yield file, step


def _file(folder: Path, step: PlannedStep) -> Path:
    """Where a step is written when it is done."""
    return folder / "steps" / f"{step.name}.json"


def _measure(
    plan: Plan, step: PlannedStep, folder: Path, server: str, progress: Progress, once_more: bool
) -> Step:
    """One step; if it is not fit and `once_more` is true, the second try at it."""
    measured = measure_step(plan, step, folder, progress.tick, server, pinning())
    if measured["fit"] or not once_more:
        return measured
    progress.again(step.condition)
    second = measure_step(plan, step, folder, progress.tick, server, pinning())
    second["repeated_because"] = measured["unfit_reasons"]
    return second


def save(results: Results, folder: Path) -> Path:
    """Write results.json, the figures and the report into `folder`; returns the report's path."""
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return write_report(results, folder)


def _with_pilot(plan: Plan, folder: Path) -> Plan:
    """The full plan, which depends on the service demand that a pilot run finds."""
    print("First a pilot: how long does a request take, and where is the knee?", flush=True)
    pilot = run(pilot_plan(plan), folder / "pilot")
    if pilot["interrupted"]:
        raise KeyboardInterrupt
    return full_plan(plan, pilot)


def _results(
    plan: Plan, steps: list[Step], started: datetime, floor: Floor | None, interrupted: bool
) -> Results:
    settings = _settings(plan)
    measured = Measured(settings=settings, steps=steps, points=points(steps))
    return Results(
        schema="500ms/results",
        version=3,
        started_at=started.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(),
        packages={name: version(name) for name in PACKAGES},
        seed=plan.seed,
        **measured,
        theory=predict(measured),
        verdict=verdict(steps, settings),
        floor=floor,
        interrupted=interrupted,
    )


def _settings(plan: Plan) -> Settings:
    named = ("sqlite", "postgresql")
    asked: dict[Model, Sequence[float]] = {"closed": plan.users, "open": plan.rates}
    return Settings(
        users=list(plan.users),
        rates=list(plan.rates),
        apps=["host"] if plan.host else list(plan.apps),
        models=[model for model, loads in asked.items() if loads],
        rule_ms=RULE_MS,
        warmup_s=plan.warmup,
        ramp_users_per_s=RAMP_USERS_PER_S,
        measure_s=plan.measure,
        drain_s=plan.drain,
        think_s=plan.think,
        submitters=SUBMITTERS,
        slots=list(plan.slots),
        workers=list(plan.workers),
        threads=list(plan.threads),
        slot_kind=plan.slot_kind,
        database=plan.database if plan.database in named else "postgresql (a server of yours)",
        deadline_s=plan.deadline,
        mix=plan.mix,
        repeats=plan.repeats,
        connections=plan.connections,
        in_flight=plan.in_flight,
        pinning=pinning().sentence,
        host=plan.host,
        burst=next((condition.burst for condition in plan.extra if condition.burst), None),
    )


# ---- a run in its folder: what was asked for, and what is done of it


def _write_run(folder: Path, plan: Plan, floor: bool, full: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "schema": "500ms/run",
        "version": RUN_VERSION,
        "plan": plan.to_json(),
        "floor": floor,
        "full": full,
    }
    (folder / "run.json").write_text(json.dumps(data, indent=1) + "\n")


def _read_run(folder: Path) -> tuple[Plan, bool, bool]:
    try:
        data = json.loads((folder / "run.json").read_text())
        if data["version"] != RUN_VERSION:
            raise UsageError(
                f"--resume {folder}: that run was begun by another version, whose steps are not like those"
                " measured now. Measure it again."
            )
        return Plan.from_json(data["plan"]), bool(data["floor"]), bool(data["full"])
    except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
        raise UsageError(
            f"--resume {folder}: no run that can be gone on with ({type(error).__name__}: {error})."
            " Name the folder of a run that was interrupted, such as reports/2030-01-31-120000."
        ) from error


def _read(file: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        raise UsageError(f"{file} is not whole: {error}. Remove it, and it is measured again") from error


def _write(file: Path, data: Step | Floor) -> None:
    """Whole, or not at all: a run that is cut off here can be gone on with."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps(data) + "\n")
    partial.replace(file)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
