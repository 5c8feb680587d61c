"""The `theory` of results.json: what queueing theory predicts, with the measurements beside it."""

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from loadtests.records.figures import Above0, Amount, Compared, Figure, Proportion, Whole, says
from loadtests.records.recording import Model
from loadtests.records.steps import App, Capacity

MEAN = says("Mean response time of POST /feeds, milliseconds.")
P50 = says("Its median.")
P95 = says("Its 95th percentile.")
P99 = says("Its 99th percentile.")
SHARE_OVER = says("Share of POST /feeds over the rule.")
ACHIEVED = says("Requests a second that are answered, of all kinds.")
LEAST_MEAN = says("Asymptotic bound: the mean is at least this.")
MOST_PER_S = says("Asymptotic bound of achieved_per_s.")
ALLEN_CUNNEEN = says(
    "Open load: the mean by Allen and Cunneen's formula, with the measured service_scv; null for closed load,"
    " or if that was not measured."
)

SimulatedKey = Literal["mean_ms", "p50_ms", "p95_ms", "p99_ms", "share_over", "achieved_per_s"]
PredictedKey = Literal[SimulatedKey, "least_mean_ms", "most_per_s", "allen_cunneen_mean_ms"]


class SimulatedFigures(TypedDict):
    """Figures from simulating steps as long as those measured, event by event."""

    mean_ms: Annotated[Amount | None, MEAN]
    p50_ms: Annotated[Amount | None, P50]
    p95_ms: Annotated[Amount | None, P95]
    p99_ms: Annotated[Amount | None, P99]
    share_over: Annotated[Proportion | None, SHARE_OVER]
    achieved_per_s: Annotated[Amount | None, ACHIEVED]


class Predicted(SimulatedFigures):
    """Figures by the formulas, in a steady state; null where there is none."""

    least_mean_ms: Annotated[Amount | None, LEAST_MEAN]
    most_per_s: Annotated[Amount | None, MOST_PER_S]
    allen_cunneen_mean_ms: Annotated[Amount | None, ALLEN_CUNNEEN]


class MeasuredBeside(Compared):
    """A point's own figures."""

    achieved_per_s: Annotated[Figure | None, ACHIEVED]


class At(TypedDict):
    """One load that was measured."""

    load: Annotated[Above0, says("As in loads.")]
    predicted: Annotated[Predicted, says("By the formulas, in a steady state.")]
    simulated: Annotated[
        SimulatedFigures | None, says("By simulation, event by event; null if no POST /feeds was sent.")
    ]
    measured: Annotated[MeasuredBeside, says("The point's own figures.")]


class Curve(Capacity):
    """One app under one model of load with one number of slots, and the default workers and threads.

    Each list has one entry per load in `loads`. A figure is null where there is none: an open load that the
    slots can't carry has no steady state.
    """

    app: Annotated[App, says("Which app.")]
    model: Annotated[Model, says("As in settings.")]
    demand_ms: Annotated[
        dict[str, Amount],
        says(
            "D, the measured mean time that a request spends in a slot, by kind, over all fit steps of the"
            " app with that many slots."
        ),
    ]
    service_scv: Annotated[
        Amount | None,
        says(
            "c_s^2, the squared coefficient of variation of that time, over all kinds of requests together;"
            " null if it was not measured."
        ),
    ]
    knee_users: Annotated[
        Amount | None,
        says(
            "Closed load: N*, users of both kinds; with more, they must wait for each other. Null for open"
            " load."
        ),
    ]
    per_user_per_s: NotRequired[
        Annotated[
            Amount | None,
            says("Closed load: requests a second that a user who never waits sends. Null for open load."),
        ]
    ]
    saturation_per_s: Annotated[
        Amount | None, says("Open load: visits a second that saturate the slots. Null for closed load.")
    ]
    loads: Annotated[
        list[Above0],
        Meta(min_length=1),
        says("Users of closed load, visits a second of open load; ascending."),
    ]
    mean_ms: Annotated[list[Amount | None], MEAN]
    p50_ms: Annotated[list[Amount | None], P50]
    p95_ms: Annotated[list[Amount | None], P95]
    p99_ms: Annotated[list[Amount | None], P99]
    share_over: Annotated[list[Proportion | None], SHARE_OVER]
    achieved_per_s: Annotated[list[Amount | None], ACHIEVED]
    least_mean_ms: Annotated[list[Amount | None], LEAST_MEAN]
    most_per_s: Annotated[list[Amount | None], MOST_PER_S]
    allen_cunneen_mean_ms: Annotated[list[Amount | None], ALLEN_CUNNEEN]
    at: Annotated[list[At], says("The loads that were measured, ascending.")]


class Drained(TypedDict):
    """A burst of jobs on top of a steady load."""

    jobs: Annotated[Whole, says("Jobs that were added at once.")]
    predicted_s: Annotated[
        Amount | None,
        says(
            "Seconds until the backlog is back to its size before the burst, if the workers can spare"
            " W/D - lambda jobs a second; null if they can spare none."
        ),
    ]
    measured_s: Annotated[
        Amount | None, says("The same by the samples of the backlog; null if they don't show it.")
    ]


class Theory(TypedDict):
    """What queueing theory predicts of POST /feeds from the demand and the slots that were measured."""

    note: Annotated[str, says("What the formulas assume, for readers.")]
    curves: Annotated[list[Curve], says("Predictions, with the measurements beside them.")]
    burst: Annotated[Drained | None, says("The burst of jobs; null if there was none in a fit step.")]
