"""Steps and points as results.json holds them: one measurement of a condition, and all repeats of it."""

from collections.abc import Sequence
from typing import Annotated, Literal, NotRequired, TypedDict, get_args

from msgspec import Meta

from loadtests.records.figures import (
    RULE,
    Above0,
    Amount,
    Count,
    Figure,
    GroupFigures,
    Proportion,
    Summary,
    Whole,
    Word,
    says,
)
from loadtests.records.inside import Look, ProcessUse, QueueSide, ServerSide
from loadtests.records.recording import Model

Engined = Literal[
    "jobqueue-postgresql",
    "celery",
    "celery-late",
    "celery-threads",
    "celery-threads-late",
    "rq",
    "dramatiq",
    "huey",
    "procrastinate",
    "pgqueuer",
]
App = Literal["sync", "queued", Engined, "host"]
LoadKey = Literal["users", "rate_per_s"]
Swept = Literal["slots", "workers", "threads"]

ENGINED: tuple[Engined, ...] = get_args(Engined)  # the queued reader, on other engines
APPS: tuple[App, ...] = ("sync", "queued", *ENGINED, "host")  # in reporting order
SLOWED = says(
    "Why the latencies and shares are upper bounds: the machine was full or the load generator late, which"
    " only makes latencies longer; empty if they are not."
)
READERS: tuple[App, ...] = ("sync", "queued")  # those that the lesson compares
LOAD_KEYS: dict[Model, LoadKey] = {"closed": "users", "open": "rate_per_s"}  # the key that holds the load


class MeasuredLoad(TypedDict):
    """The load on an app."""

    model: Annotated[Model, says("As in settings.")]
    users: Annotated[Whole | None, says("Simulated users of closed load; null for open load.")]
    rate_per_s: Annotated[
        Above0 | None, says("Visits a second that open load intends; null for closed load.")
    ]


class Capacity(TypedDict):
    """What an app had to serve its load."""

    slots: Annotated[Whole, says("c, requests that the web server serves at the same time.")]
    workers: Annotated[Whole, says("Worker processes.")]
    threads: Annotated[Whole, says("Jobs that each worker performs at the same time.")]


class About(MeasuredLoad, Capacity):
    """Which condition was measured: one app under one load, and what it had to serve it."""

    app: Annotated[App, says("Which app.")]


class Naive(TypedDict):
    """Latencies from the moment of sending, as most tools count: they hide how late a generator was."""

    submit: Summary
    browse: Summary


class LittlesUsers(TypedDict):
    """Little's law over the rows of a closed step: do its figures agree with one another?"""

    users: Annotated[
        Amount,
        says(
            "Users by Little's law: throughput times (time in the system + time spent thinking), both"
            " measured."
        ),
    ]
    error: Annotated[Amount, says("Its relative difference from the users that were there.")]


class Step(About):
    """One measurement of one condition, with a fresh server and database."""

    burst: NotRequired[
        Annotated[Whole, says("Feeds added at once in this step; absent in all but the burst step.")]
    ]
    repeat: Annotated[Whole, says("Which repeat of its condition this is, from 1.")]
    window_s: Annotated[
        list[Amount],
        Meta(min_length=2, max_length=2),
        says(
            "Requests that were meant to start between these seconds, on the clock of the rows, are counted."
        ),
    ]
    requests: Annotated[Count, says("HTTP requests of the measured window, of all kinds.")]
    failures: Annotated[Count, says("Those that ended with an error, or with a status of 400 or above.")]
    unfinished: Annotated[Count, says("Those still in flight when the step ended.")]
    dropped: Annotated[
        Count, says("Visits of open load that were never sent, because too many were in flight.")
    ]
    offered_per_s: Annotated[Amount, says("Requests a second that the users meant to send.")]
    achieved_per_s: Annotated[
        Amount, says("Requests a second that ended in the measured window, whenever they were sent.")
    ]
    submit: Annotated[Summary, says("POST /feeds: from the intended start to the answer.")]
    browse: Annotated[Summary, says("Pages opened by users who only browse.")]
    content: Annotated[
        Summary, says("From a POST /feeds until the page shows the feed, or says why it failed.")
    ]
    naive: Annotated[
        Naive,
        says("The same from the moment of sending, as most tools count: they hide how late a generator was."),
    ]
    polls_share: Annotated[Proportion, says("Share of the requests that ask whether a feed is there yet.")]
    fit: Annotated[
        bool,
        says(
            "False: this was not the load that was asked for, so that the figures say nothing about the app."
        ),
    ]
    unfit_reasons: Annotated[list[str], says("Why it is not fit; empty if it is.")]
    slowed_reasons: Annotated[list[str], SLOWED]
    steady: Annotated[
        bool,
        says(
            "False if the second half of the measured window differs from the first: the step had not"
            " settled."
        ),
    ]
    unsteady_reasons: Annotated[list[str], says("How it differs; empty if it is steady.")]
    rule: Annotated[Word, RULE]
    host_cpu_percent: Annotated[Amount, says("Mean use of all cores of the machine together.")]
    generator_cpu_percent: Annotated[
        Amount, says("Mean use of the one core that the load generator can use.")
    ]
    loop_lag_p99_ms: Annotated[
        Amount, says("How late the load generator woke up, 99th percentile, milliseconds.")
    ]
    little: Annotated[
        LittlesUsers | None, says("Little's law over the rows of a closed step; null for open load.")
    ]
    server: Annotated[
        ServerSide | None,
        says("The step as the web server saw it; null for a server that was running already."),
    ]
    queue: Annotated[QueueSide | None, says("The queued app's workers; null for the others.")]
    processes: Annotated[
        dict[str, ProcessUse], says("CPU and largest memory of each process of the step, by its name.")
    ]
    timeline: Annotated[
        list[Look], says("Samples of the machine and the queue during the step, oldest first.")
    ]
    rows: Annotated[str, says("The raw rows of this step: a CSV file, its path relative to results.json.")]
    ended_s: Annotated[
        Amount,
        says(
            "End of the step on the clock of the rows, in seconds: unfinished requests had waited until then."
        ),
    ]


class Point(About):
    """All repeats of one condition."""

    steps: Annotated[list[Count], says("Which of `steps` these are.")]
    fit_repeats: Annotated[
        Count, says("How many of them count: the fit ones that were not slowed, or else all fit ones.")
    ]
    fit: Annotated[bool, says("True if any counts.")]
    slowed_reasons: Annotated[list[str], SLOWED]
    steady: Annotated[bool, says("True if all that count are steady.")]
    submit: Annotated[GroupFigures, says("POST /feeds.")]
    browse: Annotated[GroupFigures, says("Pages opened by users who only browse.")]
    content: Annotated[GroupFigures, says("From a POST /feeds until its content.")]
    achieved_per_s: Annotated[Figure | None, says("Requests a second that were answered.")]
    rule: Annotated[Word, RULE]


def has_workers(app: App) -> bool:
    """Whether workers fetch its feeds."""
    return app not in ("sync", "host")


def load_of(measured: MeasuredLoad) -> float:
    """The amount of load: users, or visits a second; 0 if it has neither."""
    return measured[LOAD_KEYS[measured["model"]]] or 0


def sound(measured: Step | Point) -> bool:
    """True if its figures are the app's own: it is fit, and they are not upper bounds."""
    return measured["fit"] and not measured["slowed_reasons"]


def reasons_of(step: Step) -> list[str]:
    """Why its figures are not the app's own; empty if it is sound."""
    return [*step["unfit_reasons"], *step["slowed_reasons"]]


def counting(repeats: Sequence[Step]) -> list[Step]:
    """Those repeats of a condition that count: the sound ones, or all fit ones if none is sound."""
    return [step for step in repeats if sound(step)] or [step for step in repeats if step["fit"]]
