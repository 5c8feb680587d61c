"""What a bench leaves behind, whole: results.json. Its parts are in the files beside this one.

loadtests/results.schema.json is generated from these types (`make schema`), so a key has one definition:
renaming it here renames it for the type checker, for code that reads a file, and in the schema.
"""

from pathlib import Path
from typing import Annotated, Literal, NotRequired, TypedDict

import msgspec
from msgspec import Meta

from loadtests.errors import UsageError
from loadtests.records.figures import Above0, Amount, Count, Proportion, Whole, says
from loadtests.records.predictions import Theory
from loadtests.records.recording import Model
from loadtests.records.steps import App, Point, Step

SCHEMA, VERSION = "500ms/results", 4
SlotKind = Literal["processes", "threads"]
UTC_TIME = Meta(
    pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$", extra_json_schema={"format": "date-time"}
)
Positives = Annotated[list[Whole], Meta(min_length=1)]
# A step is fit, or says why not.
StepWithReasons = Annotated[
    Step,
    Meta(
        extra_json_schema={
            "if": {"properties": {"fit": {"const": False}}},
            "then": {"properties": {"unfit_reasons": {"minItems": 1}}},
            "else": {"properties": {"unfit_reasons": {"maxItems": 0}}},
        }
    ),
]


class Machine(TypedDict):
    """What it ran on."""

    cpu: Annotated[str, says("Processor.")]
    cores: Annotated[Whole, says("Logical processors.")]
    memory_gib: Annotated[Amount, says("Memory in GiB.")]
    system: Annotated[str, says("Operating system.")]
    python: Annotated[str, says("Python version.")]


class Settings(TypedDict):
    """What was asked for."""

    users: Annotated[list[Whole], says("Numbers of simulated users in closed load, a step for each.")]
    search: NotRequired[
        Annotated[
            bool, says("True: after those users came more, until it was known how many each app holds.")
        ]
    ]
    rates: Annotated[list[Above0], says("Visits a second in open load, a step for each.")]
    apps: Annotated[
        list[App],
        Meta(min_length=1),
        says(
            "Apps measured: sync fetches a feed inside the request, queued enqueues a job, host is a server"
            " that was running already."
        ),
    ]
    models: Annotated[
        list[Model],
        Meta(min_length=1),
        says(
            "closed: a user waits for the answer, thinks, and goes on. open: visits arrive whether or not"
            " earlier ones were answered."
        ),
    ]
    rule_ms: Annotated[
        Amount, says("The rule: a web request should not take longer than this, in milliseconds.")
    ]
    warmup_s: Annotated[
        Amount, says("Seconds of each step, after all its users have started, that are not counted.")
    ]
    ramp_users_per_s: Annotated[
        Above0,
        says(
            "Users of closed load who start each second, until all are there; more of them where that would"
            " take longer than 10 s."
        ),
    ]
    measure_s: Annotated[
        Amount, says("Seconds of each step that are counted, by the intended start of a request.")
    ]
    drain_s: Annotated[
        Amount,
        says(
            "Seconds after that in which requests in flight may finish; those still unfinished then stay"
            " unfinished."
        ),
    ]
    think_s: Annotated[
        Amount, says("Mean think time of a user between requests, in seconds (exponentially distributed).")
    ]
    submitters: Annotated[
        Proportion, says("Share of the users, or of the visits, that add feeds; the others only browse.")
    ]
    slots: Annotated[
        Positives,
        says(
            "Requests that the web server serves at the same time, in either app; the first is the default of"
            " the charts."
        ),
    ]
    workers: Annotated[Positives, says("Worker processes of the queued app.")]
    threads: Annotated[Positives, says("Jobs that each worker process performs at the same time.")]
    slot_kind: Annotated[
        SlotKind, says("What a request slot is: a process of its own, or a thread of one process.")
    ]
    database: Annotated[str, says("The database that both apps and the queue use.")]
    deadline_s: Annotated[
        Amount, says("Seconds after which a fetch from a feed server that hangs is given up.")
    ]
    mix: Annotated[
        dict[str, Amount], says("How the feed servers behave, in percent of the feeds that are added.")
    ]
    repeats: Annotated[Whole, says("How often each condition was measured.")]
    connections: Annotated[
        Whole | None, says("Open load: connections that the visits share; null: as many as they need.")
    ]
    in_flight: Annotated[
        Whole, says("Open load: most visits under way at once; those beyond are dropped, and counted.")
    ]
    pinning: Annotated[str, says("Which processors the load generator had, and which the rest.")]
    host: Annotated[
        str | None,
        says("Address of the server that was running already; null if the readers were started for the run."),
    ]
    burst: Annotated[Whole | None, says("Feeds that are added at once in the burst step of the queued app.")]


class RunVerdict(TypedDict):
    """The verdict on a run."""

    exit_status: Annotated[
        int,
        Meta(extra_json_schema={"enum": [0, 1, 3, 4]}),
        says(
            "0: the queued app (or the only one measured) kept the rule, beyond doubt with its largest load;"
            " in a search, with any. 1: it broke it with some load, beyond doubt; in a search, with the"
            " smallest. 3: no load could be judged. 4: undecided."
        ),
    ]
    sentence: Annotated[str, says("The verdict in words.")]
    most_users: Annotated[
        dict[str, Whole | None],
        says(
            "The most users with which each app kept the rule, not having broken it with fewer; null if it"
            " kept it with none beyond doubt, or was not measured."
        ),
    ]


class FloorRate(TypedDict):
    """What was measured at one rate. Latencies from the intended start; CPU in percent of one core."""

    rate_per_s: Annotated[Above0, says("Requests a second that were asked for.")]
    planned_per_s: Annotated[Amount, says("Requests a second in the schedule of that time.")]
    achieved_per_s: Annotated[Amount, says("Requests a second that were answered.")]
    failures: Annotated[Count, says("Requests that failed.")]
    dropped: Annotated[Count, says("Requests that were never sent.")]
    p50_ms: Annotated[Amount | None, says("Median latency, milliseconds.")]
    p99_ms: Annotated[Amount | None, says("Its 99th percentile.")]
    lag_p99_ms: Annotated[Amount, says("How late the generator was, 99th percentile, milliseconds.")]
    cpu_percent: Annotated[Amount, says("The generator's use of its core.")]
    host_cpu_percent: Annotated[Amount, says("Use of all cores of the machine together.")]
    fit: Annotated[bool, says("True if the generator kept up.")]
    unfit_reasons: Annotated[list[str], says("Why not; empty if it did.")]


class Floor(TypedDict):
    """The load generator's own latency and CPU, against a server that does nothing."""

    rates: Annotated[list[FloorRate], says("What was measured at each rate, ascending.")]
    highest_fit_per_s: Annotated[
        Above0 | None, says("The highest fit rate; null if not even the lowest was.")
    ]
    what: Annotated[str, says("What was measured, in words.")]


class Measured(TypedDict):
    """Everything that predictions are made from."""

    settings: Annotated[Settings, says("What was asked for.")]
    steps: Annotated[list[StepWithReasons], says("In the order they ran.")]
    points: Annotated[list[Point], says("All repeats of each condition, together.")]


class Results(Measured):
    """One run. Keys are only ever added within a version; a reader ignores those it does not know."""

    schema: Annotated[Literal["500ms/results"], says("The kind of this file.")]
    version: Annotated[Literal[4], says("Changes when a key is renamed, removed or changes its meaning.")]
    started_at: Annotated[str, UTC_TIME, says("Start of the run, UTC.")]
    finished_at: Annotated[str, UTC_TIME, says("End of the run, UTC.")]
    machine: Annotated[Machine, says("What it ran on.")]
    packages: Annotated[dict[str, str], says("Versions of the packages that matter.")]
    seed: Annotated[int, says("Seed of everything random on the generator's side.")]
    interrupted: Annotated[bool, says("True if the run was ended before all its steps were measured.")]
    theory: Annotated[
        Theory | None,
        says("What queueing theory predicts of POST /feeds; null if there is nothing to predict from."),
    ]
    floor: Annotated[
        Floor | None,
        says(
            "The load generator's own latency and CPU, against a server that does nothing; null if not"
            " measured."
        ),
    ]
    verdict: Annotated[RunVerdict, says("The verdict on the run.")]


def read_results(file: Path) -> Results:
    """What a results.json holds. Raises UsageError if it can't be read, or is not a complete result."""
    try:
        written = file.read_bytes()
        kind = msgspec.json.decode(written)
    except OSError as error:
        raise UsageError(
            f"{file.parent} holds no run: {file.name} can't be read ({error.strerror})"
        ) from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{file} is not JSON: {error}") from error
    found = kind if isinstance(kind, dict) else {}
    if (found.get("schema"), found.get("version")) != (SCHEMA, VERSION):
        raise UsageError(
            f"{file} is not a load test's results of version {VERSION}, but"
            f" {found.get('schema') or 'something else'} of version {found.get('version')}. Measure again"
        )
    try:
        return msgspec.json.decode(written, type=Results)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{file} does not match results.schema.json: {error}. Is it complete? To resume an"
            f" interrupted run: python -m loadtests bench --resume {file.parent}"
        ) from error
