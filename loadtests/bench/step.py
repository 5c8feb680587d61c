"""Measure one step: a fresh stack and database, the load, the drain.

Start the stack, send it visitors, let requests in flight finish, wait for the queue to drain, stop it all.
`loadtests.bench.entry` computes the results.
"""

import math
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from loadtests.bench.entry import Seen, entry
from loadtests.bench.plan import Condition, Plan, PlannedStep
from loadtests.engines.engines import ENGINES, engine_of
from loadtests.errors import ProcessError
from loadtests.feedserver.kinds import written_mix
from loadtests.files import room, writing
from loadtests.records.constants import BURST_AT, LOCUST_SECONDS, OVERRUN_SECONDS, ramp_per_s
from loadtests.records.recording import read_recording
from loadtests.records.steps import Step, has_workers
from loadtests.servers.machine import Pinning
from loadtests.servers.processes import Process
from loadtests.servers.reaching import silence
from loadtests.servers.sampler import Sampler, drain_seconds
from loadtests.servers.slotmeter import SlotCounts, read_slots
from loadtests.servers.stack import Stack, StackSettings
from loadtests.status import Status

DRAINED_WITHIN_SECONDS = 12.0  # that the queue may take after the load
DRAIN_LOOK_SECONDS = 0.1
SUBMITTER = "Submitter"  # the class of visitors in loadtests/feeds.py who submit


def measure_step(
    plan: Plan, step: PlannedStep, folder: Path, tick: Callable[[], object], server: str, pinned: Pinning
) -> Step:
    """Measure one step; returns its entry for results.json. Rows and logs go below `folder`.

    `tick` is called several times a second; `server` is where databases are created, "sqlite" or a URL.
    Raises ProcessError if a process fails.
    """
    logs = folder / "logs" / step.name
    rows_file = folder / "rows" / f"{step.name}.csv"
    with writing(logs):
        logs.mkdir(parents=True, exist_ok=True)
        rows_file.unlink(missing_ok=True)
    with room(logs, Path(tempfile.gettempdir())), ExitStack() as exits:
        stack = None if plan.host else exits.enter_context(_stack(plan, step.condition, logs, server, pinned))
        if why := silence(plan.host) if plan.host else None:
            raise ProcessError(f"Nothing answers at {plan.host} any more: {why}.")
        with room(logs):  # also while the database is still there
            seen = _load(plan, step, stack, rows_file, logs, tick, pinned)
    return entry(plan, step, seen, rows_file.relative_to(folder))


def _stack(plan: Plan, condition: Condition, logs: Path, server: str, pinned: Pinning) -> Stack:
    settings = StackSettings(
        app="queued" if has_workers(condition.app) else condition.app,
        engine=engine_of(condition.app),
        slots=condition.slots,
        slot_kind=plan.slot_kind,
        threads=condition.threads,
        workers=condition.workers,
        deadline=plan.deadline,
        database=server,
        mix=written_mix(plan.mix),
        folder=logs,
        cpus=pinned.others,
    )
    return Stack(settings)


def _load(
    plan: Plan,
    step: PlannedStep,
    stack: Stack | None,
    rows_file: Path,
    logs: Path,
    tick: Callable[[], object],
    pinned: Pinning,
) -> Seen:
    """Run the load, and wait until it has ended and the queue has drained. No stack: a server was running."""
    queued = has_workers(step.condition.app)
    ours = queued and not ENGINES[engine_of(step.condition.app)].module
    _, end = plan.window(step.condition)
    command = _locust_command(plan, step, stack, rows_file)
    with Process("load generator", command, logs / "locust.log", cpus=pinned.generator) as locust:
        processes = {**(stack.processes if stack else {}), "load generator": locust}
        database, slots = (stack.database_url, stack.slots_folder) if stack else (None, None)
        with Sampler(processes, database, slots, ours) as sampler:
            status = locust.wait_with(tick, end + plan.drain + LOCUST_SECONDS)
            if stack:
                stack.check()
            if status not in (Status.KEPT, Status.USAGE) or not rows_file.exists():
                raise locust.error(f"ended with status {status}")
            recording = read_recording(rows_file)
            if queued:
                _let_it_drain(sampler, tick)
        load_ended = recording.started_at + end + OVERRUN_SECONDS
        return Seen(
            recording=recording,
            sampler=sampler,
            gone=_gone(plan),
            slots=read_slots(slots) if slots else SlotCounts(),
            drain_s=drain_seconds(sampler.samples, load_ended),
        )


def _gone(plan: Plan) -> str | None:
    """Why a server that was running already can't be judged: it is not there any more."""
    why = silence(plan.host) if plan.host else None
    return f"nothing answered at {plan.host} when the load had ended: {why}" if why else None


def _let_it_drain(sampler: Sampler, tick: Callable[[], object]) -> None:
    """Wait until the sampler sees no feed whose fetch has not ended."""
    deadline = time.monotonic() + DRAINED_WITHIN_SECONDS
    while time.monotonic() < deadline and sampler.samples[-1].pending:
        tick()
        time.sleep(DRAIN_LOOK_SECONDS)


def visitors_command(host: str, feeds: str, rows: Path, deadline: float, drain: float) -> list[str]:
    """The command of Locust's visitors to a reader and its feed server, to which their number is to be added.

    `rows`: the file of their requests; `deadline`: of a fetch; `drain`: for what is in flight at the end, in
    seconds.
    """
    return [
        *(sys.executable, "-m", "locust", "-f", str(Path(__file__).parents[1] / "feeds.py")),
        *("--headless", "--only-summary", "--host", host, "--feeds", feeds, "--rows", str(rows)),
        *("--deadline", str(deadline), "--stop-timeout", str(math.ceil(drain)), "--exit-code-on-error", "0"),
    ]


def _locust_command(plan: Plan, step: PlannedStep, stack: Stack | None, rows_file: Path) -> list[str]:
    condition = step.condition
    host, feeds = (stack.url, stack.feeds_url) if stack else (plan.host or "", plan.feeds or "")
    start, end = plan.window(condition)
    if condition.users is not None:
        load = ["--users", str(condition.users), "--spawn-rate", str(ramp_per_s(condition.users))]
    else:
        load = ["--model", "open", "--rate", str(condition.rate), "--in-flight", str(plan.in_flight)]
        load += ["--users", "1", *(["--connections", str(plan.connections)] if plan.connections else [])]
        if condition.burst:
            load += ["--burst", str(condition.burst), "--burst-at", str(start + BURST_AT)]
    seconds = math.ceil(end + OVERRUN_SECONDS)  # Locust takes whole ones
    return [
        *visitors_command(host, feeds, rows_file, plan.deadline, plan.drain),
        *(() if plan.submitters < 1 else (SUBMITTER,)),
        *("--think", str(plan.think), "--run-time", f"{seconds}s", *load),
        *("--warm-up", str(start), "--seed", str(plan.seed + step.repeat - 1)),
    ]
