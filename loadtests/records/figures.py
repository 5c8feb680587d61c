"""Figures as results.json holds them: of one group of requests in a step, and of all repeats together."""

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
Whole = Annotated[int, Meta(ge=1)]  # a count of at least one
Amount = Annotated[float, Meta(ge=0)]
Above0 = Annotated[float, Meta(gt=0)]
Proportion = Annotated[float, Meta(ge=0, le=1)]

Word = Literal["kept", "broken", "undecided"]
Group = Literal["submit", "browse", "content"]
LatencyKey = Literal["p50_ms", "p95_ms", "p99_ms", "max_ms", "mean_ms"]
FigureKey = Literal["p50_ms", "p95_ms", "p99_ms", "mean_ms", "share_over"]  # those with an interval

FIGURES: tuple[FigureKey, ...] = ("p50_ms", "p95_ms", "p99_ms", "mean_ms", "share_over")


def says(description: str) -> Meta:
    """A key's description in the schema."""
    return Meta(description=description)


RULE = says(
    "What the 95 % intervals of the shares over the rule prove. Those of slowed requests can prove only that"
    " it was kept."
)
_PAIR = Meta(min_length=2, max_length=2)
_UNIQUE = Meta(extra_json_schema={"uniqueItems": True})
Interval = Annotated[list[Amount | None], _PAIR]  # [low, high]; an end may not be known
ShareInterval = Annotated[list[Proportion], _PAIR]


class Summary(TypedDict):
    """The figures of one group of requests. Failures are in no percentile; unfinished requests are in all."""

    count: Annotated[Count, says("Requests, including those that failed or are unfinished.")]
    failures: Annotated[Count, says("Requests that ended with an error, or with a status of 400 or above.")]
    unfinished: Annotated[Count, says("Requests still in flight when the step ended (censored).")]
    dropped: Annotated[Count, says("Requests of open load that were never sent.")]
    p50_ms: Annotated[
        Amount | None,
        says("Median of the latencies of answered requests, nearest rank, milliseconds; null without any."),
    ]
    p95_ms: Annotated[Amount | None, says("Their 95th percentile.")]
    p99_ms: Annotated[Amount | None, says("Their 99th percentile.")]
    max_ms: Annotated[Amount | None, says("The largest of them.")]
    mean_ms: Annotated[
        Amount | None,
        says("Mean latency of answered requests, and of unfinished ones by their wait so far; milliseconds."),
    ]
    p50_ci: Annotated[
        Interval | None,
        says("95 % interval of p50_ms from order statistics; null if there are too few requests for one."),
    ]
    p95_ci: Annotated[Interval | None, says("The same for p95_ms.")]
    p99_ci: Annotated[Interval | None, says("The same for p99_ms.")]
    over: Annotated[Count, says("Requests over the rule, or failed, or dropped.")]
    judged: Annotated[Count, says("Out of how many requests: all but those cut off too early to tell.")]
    share_over: Annotated[
        Proportion | None,
        says(
            "Share of requests that took longer than the rule (settings.rule_ms, by default 500 ms), failed,"
            " or are unfinished and had waited that long: over / judged; null if none is decided."
        ),
    ]
    share_ci: Annotated[
        ShareInterval | None,
        says("95 % interval of that share: [low, high], exact binomial (Clopper-Pearson)."),
    ]
    lower_bounds: Annotated[
        list[LatencyKey],
        _UNIQUE,
        says("Which latencies are only lower bounds, because they rest on unfinished requests."),
    ]


class Figure(TypedDict):
    """A figure with its 95 % interval: within the run if measured once, between the repeats if more often."""

    value: Annotated[float, says("The figure; of several repeats, their mean.")]
    low: Annotated[float | None, says("Lower end of its interval; null if not known.")]
    high: Annotated[float | None, says("Upper end of its interval; null if not known.")]
    lower_bound: Annotated[bool, says("True if the truth may be anything above the value.")]
    upper_bound: NotRequired[
        Annotated[
            Literal[True],
            says(
                "True if the app's own figure may be anything below the value, since the machine or the load"
                " generator was too busy; absent otherwise."
            ),
        ]
    ]


def without_interval(value: float, lower_bound: bool = False) -> Figure:
    """A figure whose interval is not known."""
    return Figure(value=value, low=None, high=None, lower_bound=lower_bound)


class Compared(TypedDict):
    """The figures of POST /feeds that predictions are compared with; null where there is none."""

    mean_ms: Annotated[Figure | None, says("Mean latency, milliseconds.")]
    p50_ms: Annotated[Figure | None, says("Its median.")]
    p95_ms: Annotated[Figure | None, says("Its 95th percentile.")]
    p99_ms: Annotated[Figure | None, says("Its 99th percentile.")]
    share_over: Annotated[Figure | None, says("Share over the rule.")]


class GroupFigures(Compared):
    """The figures of one group of requests, all repeats of a condition that count together."""

    over: Annotated[Count, says("Requests over the rule, or failed, or dropped.")]
    judged: Annotated[Count, says("Out of how many requests: all but those cut off too early to tell.")]
    count: Annotated[Count, says("Requests of all its repeats that count.")]
