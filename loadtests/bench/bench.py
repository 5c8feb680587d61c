"""`make bench`: how many users each reader holds within the 500 ms rule, and a report.

    python -m loadtests bench
    python -m loadtests bench --users 1,20,100  # exactly these loads
    python -m loadtests bench --full            # `make bench-full`: intervals, open load, a burst

The exit status (loadtests/status.py) is the verdict on the queued reader. After Ctrl-C the steps measured so
far are kept, and `--resume` continues.
"""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from loadtests.bench.advice import REPORTS, cut_off, to_decide, to_resume
from loadtests.bench.floor import measure_floor
from loadtests.bench.folder import read_part, read_run, write_part, write_run
from loadtests.bench.full import full_plan, pilot_plan
from loadtests.bench.options import parse_options, plan_of
from loadtests.bench.pipelines import github_summary, junit
from loadtests.bench.plan import Condition, Plan
from loadtests.bench.progress import Progress, about
from loadtests.bench.search import MOST_SEARCHED, UP, next_step, what_is_left
from loadtests.bench.step import measure_step
from loadtests.errors import LoadTestError, UsageError
from loadtests.files import json_text, put, results_folder, write_all
from loadtests.judging.points import points
from loadtests.judging.verdict import verdict
from loadtests.predicting.prediction import predict
from loadtests.records.constants import RAMP_USERS_PER_S, RULE_MS
from loadtests.records.recording import Model
from loadtests.records.results import Floor, Measured, Results, Settings
from loadtests.records.steps import Step
from loadtests.report.report import write_report
from loadtests.report.texttable import text_table
from loadtests.servers.databases import check_database, database_server
from loadtests.servers.feedstate import check_reader, feed_state
from loadtests.servers.machine import describe_machine, pinning
from loadtests.status import Status
from loadtests.wording import counted

PACKAGES = ("locust", "Flask", "gunicorn", "SQLAlchemy", "requests", "feedparser", "aiohttp", "gevent")


class Stopped(LoadTestError):
    """A run that can't continue, and why. `results`: what was measured so far, as `run` returns it."""

    def __init__(self, why: LoadTestError, results: Results):
        super().__init__(str(why))
        self.exit_status = why.exit_status
        self.results = results


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweep and write the report; returns the exit status. Raises LoadTestError."""
    options = parse_options(argv)
    for option, file in (("--junit", options.junit), ("--github", options.github)):
        if file and not file.parent.is_dir():  # checked before half an hour is spent measuring
            raise UsageError(f"{option} {file}: there is no folder {file.parent}. Make it first.")
    if not (options.resume or options.out) and (lost := cut_off()):
        print(f"The run before was cut off. {to_resume(lost)}", flush=True)
    folder = options.resume or _begin(options)
    plan, floor, full = read_run(folder)
    results: Results | None = None
    try:
        if full:
            plan = _with_pilot(plan, folder)
            write_run(folder, plan, floor, full=False)
        print(textwrap.fill(foretold(plan), 80), flush=True)
        results = run(plan, folder, floor)
        tell(results, folder, options.junit, options.github)
    except Stopped as stopped:
        tell(stopped.results, folder, options.junit, options.github)
        print(f"loadtests bench: {stopped}\n{to_resume(folder)}", file=sys.stderr)
        return stopped.exit_status
    except KeyboardInterrupt:
        results = None
    if results is None or results["interrupted"]:
        print(f"Interrupted. {to_resume(folder)}", file=sys.stderr)
        return Status.INTERRUPTED
    if words := to_decide(results):
        print(words)
    return results["verdict"]["exit_status"]


def _begin(options: argparse.Namespace) -> Path:
    """Make the folder of a new run, and write into it what was asked for. Raises LoadTestError."""
    plan = plan_of(options)
    check_database(plan.database)
    if plan.host:
        check_reader(plan.host)
        feed_state(plan.feeds or "")
    usual = REPORTS / f"{datetime.now():%Y-%m-%d-%H%M%S}"
    folder = results_folder(options.out, usual, "remove it, or resume the run in it with --resume")
    write_run(folder, plan, options.floor, options.full)
    return folder


def foretold(plan: Plan) -> str:
    """What a run will do, and about how long it takes."""
    steps = plan.steps()
    planned = f"{counted(len(steps), 'step')}, {about(sum(plan.seconds(step.condition) for step in steps))}"
    if not plan.search:
        return f"{planned}."
    most = about(MOST_SEARCHED * plan.seconds(Condition("queued", users=UP[-1])))
    return (
        f"{planned}. Then an app that still keeps the rule gets more users, up to {UP[-1]}, until it breaks"
        f" it or this machine can do no more: at most {MOST_SEARCHED} more steps, {most}, for each."
    )


def tell(results: Results, folder: Path, xml: Path | None = None, summary: Path | None = None) -> None:
    """Print what was measured, and then write it down, for people and for pipelines. Raises WriteError."""
    if not results["steps"]:
        print("No step was measured.")
        return
    print(f"\n{text_table(results)}\n\n{textwrap.fill(results['verdict']['sentence'], 80)}\n", flush=True)
    write_all(
        (folder / "results.json", put(json_text(results))),
        (xml, put(junit(results))),
        (summary, put(github_summary(results), "a")),
        (folder / "report.html", lambda _: print(f"The report: {write_report(results, folder)}")),
    )


def run(plan: Plan, folder: Path, floor: bool = False) -> Results:
    """Measure all steps; returns the contents of results.json. Rows and logs go below `folder`.

    Each step is written to `folder` when it is done; steps already there are not measured again. With `floor`
    the load generator is measured, too. After Ctrl-C it returns the steps measured so far, with `interrupted`
    true. Raises Stopped, which has those steps too, if it can't continue.
    """
    started = datetime.now(UTC)
    steps: list[Step] = []
    found: Floor | None = None
    interrupted, stopped = False, None
    with Progress() as progress:
        try:
            if floor:
                file = folder / "floor.json"
                if not file.exists():
                    progress.say("First the load generator itself, on a server that does nothing ...")
                    write_part(file, measure_floor())
                found = read_part(file, Floor)
            with database_server(plan.database) as server:
                while following := next_step(plan, steps):
                    step = following.step
                    file = folder / "steps" / f"{step.name}.json"
                    if file.exists():
                        steps.append(read_part(file, Step))
                        continue
                    left = what_is_left(plan, steps)
                    progress.begin(following, plan.seconds(step.condition), len(steps), left)
                    steps.append(measure_step(plan, step, folder, progress.tick, server, pinning()))
                    progress.done(step.condition, steps[-1])
                    write_part(file, steps[-1])
        except KeyboardInterrupt:
            interrupted = True
        except LoadTestError as error:
            interrupted, stopped = True, error
    results = _results(plan, steps, started, found, interrupted)
    if stopped:
        raise Stopped(stopped, results) from stopped
    return results


def _with_pilot(plan: Plan, folder: Path) -> Plan:
    """The full plan, which depends on the service demand that a pilot run measures."""
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
        version=4,
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
        search=plan.search,
        rates=list(plan.rates),
        apps=["host"] if plan.host else list(plan.apps),
        models=[model for model, loads in asked.items() if loads],
        rule_ms=RULE_MS,
        warmup_s=plan.warmup,
        ramp_users_per_s=RAMP_USERS_PER_S,
        measure_s=plan.measure,
        drain_s=plan.drain,
        think_s=plan.think,
        submitters=plan.submitters,
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
