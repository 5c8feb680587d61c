"""What a load proves about the expectations beyond the rule (loadtests/records/expectations.py). Pure.

Each is judged like the rule: *kept* or *broken* if the figure's whole 95 % interval lies on one side of the
value, *undecided* if it spans the value, or if there is no interval. The intervals:

* a percentile: order statistics, widened by unfinished requests;
* a share: Clopper and Pearson's. Of `failed`, the low end assumes that no unfinished request fails, the high
  end that all do;
* a mean and a rate: Student's t with the error of a block bootstrap, since requests that share a queue are
  not independent, and latencies are skewed. A mean with unfinished requests has no high end.

A load that was looked at while it ran has wider intervals (looks.py). In a slowed load (fitness.py), the end
of the interval that may be the machine's doing decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.judging.intervals import CONFIDENCE, clopper_pearson
from loadtests.judging.rule import word_for
from loadtests.judging.samples import samples_of, summarise
from loadtests.records.expectations import Expectation, expectation
from loadtests.records.figures import Word
from loadtests.records.recording import Recording
from loadtests.records.rows import Row
from loadtests.wording import DOING, duration, percent, span


@dataclass(frozen=True)
class Bounded:
    """A figure with its 95 % interval; an end is None if it is not bounded, both if there is no interval."""

    value: float
    low: float | None = None
    high: float | None = None
    lower_bound: bool = False


@dataclass(frozen=True)
class ExpectationVerdict:
    """One expectation, and what came of it. `measured`: None if there was nothing to measure."""

    expected: Expectation
    word: Word
    measured: Bounded | None
    confidence: float = CONFIDENCE  # of the interval: higher if it was looked at while the load ran
    without: str = ""  # why nothing was measured, or why there is no interval
    excused: bool = False  # undecided: it would be decided, but that may be the machine's doing

    @property
    def text(self) -> str:
        """The expectation in words."""
        return self.expected.text

    @property
    def reason(self) -> str:
        """ "212 ms, 95 % interval 201 to 230 ms"; or why nothing can be said."""
        if self.measured is None:
            return self.without
        say = {"percentile": duration, "mean": duration, "over": percent, "failed": percent}.get(
            self.expected.metric, "{:.4g}/s".format
        )
        bound = "at least " if self.measured.lower_bound else ""
        sure = f"{100 * self.confidence:.4g} % interval"
        interval = self.without or f"{sure} {span(self.measured.low, self.measured.high, say)}"
        doing = f": {DOING}" if self.excused else ""
        return f"{bound}{say(self.measured.value)}, {interval}{doing}"


def judge_expectation(
    text: str,
    recording: Recording,
    rows: Sequence[Row],
    window: tuple[float, float],
    slowed: bool = False,
    confidence: float = CONFIDENCE,
) -> ExpectationVerdict:
    """Judge one expectation by `rows`, those due in `window` (seconds); a rate by the answers in it.

    `slowed`: by the machine or the load generator, so that its latencies and shares are upper bounds.
    """
    wanted = expectation(text)
    mine = [row for row in rows if _concerns(wanted, row, recording)]
    if not mine:
        there = sorted({row.group if wanted.name is None else row.name for row in rows})
        said = f"there was no such request, only {', '.join(there)}" if there else "there was no request"
        return ExpectationVerdict(wanted, "undecided", None, without=said)
    if wanted.metric == "rate":
        found: Bounded | None = _rate(
            [row for row in recording.rows if _concerns(wanted, row, recording)], window, confidence
        )
    else:
        found = _figure(wanted, mine, recording, window, confidence)
    if found is None:
        return ExpectationVerdict(wanted, "undecided", None, without="nothing was answered")
    if found.low is None and found.high is None:
        return ExpectationVerdict(wanted, "undecided", found, without="too few requests for an interval")
    word = word_for(wanted.comparison, found.low, found.high, wanted.limit)
    sure = word_for(wanted.comparison, *_bounds(wanted, mine, found), wanted.limit) if slowed else word
    return ExpectationVerdict(wanted, sure, found, confidence, excused=sure != word)


def _bounds(wanted: Expectation, rows: Sequence[Row], found: Bounded) -> tuple[float | None, float | None]:
    """What a slowed load's interval says of the app on an idle machine, where it takes no longer, fails no
    more often, and answers no fewer requests a second. Latencies leave out failed requests, which there might
    have been answered, late: if there are any, a latency has no upper end.
    """
    if wanted.metric == "rate":
        return found.low, None
    latency = wanted.metric in ("percentile", "mean")
    return None, None if latency and any(row.failed for row in rows) else found.high


def _concerns(wanted: Expectation, row: Row, recording: Recording) -> bool:
    if wanted.group is not None:
        return row.group == wanted.group
    return row.name == wanted.name if wanted.name is not None else row.group not in recording.visits


def _figure(
    wanted: Expectation,
    rows: Sequence[Row],
    recording: Recording,
    window: tuple[float, float],
    confidence: float,
) -> Bounded | None:
    """Any figure but a rate; None if nothing is known of it."""
    waiting = [row for row in rows if row.unfinished]
    if wanted.metric == "failed":
        failed = sum(row.failed or row.dropped for row in rows)
        low, _ = clopper_pearson(failed, len(rows), confidence)
        _, high = clopper_pearson(failed + len(waiting), len(rows), confidence)
        return Bounded(failed / len(rows), low, high, bool(waiting))
    if wanted.percent is not None:
        samples = samples_of(rows, recording.ended_s)
        value, exact = samples.percentile(wanted.percent)
        low_end, high_end = samples.interval(wanted.percent, confidence) or (None, None)
        return None if value is None else Bounded(value, low_end, high_end, not exact)
    summary = summarise(rows, recording.ended_s, recording.rule_ms)
    if wanted.metric == "over":
        over, judged = summary["over"], summary["judged"]
        return Bounded(over / judged, *clopper_pearson(over, judged, confidence)) if judged else None
    from loadtests.judging.bootstrap import mean_reach  # imports numpy, which few loads need

    mean = summary["mean_ms"]
    if mean is None:
        return None
    return _within(mean, mean_reach(rows, window, recording.ended_s, confidence), bool(waiting))


def _rate(rows: Sequence[Row], window: tuple[float, float], confidence: float) -> Bounded:
    """How many requests were answered a second, whenever they were sent."""
    from loadtests.judging.bootstrap import rate_reach

    start, end = window
    done = [row.done_s for row in rows if row.done_s is not None and not row.failed]
    times = [at for at in done if start <= at < end]
    return _within(len(times) / (end - start), rate_reach(times, window, confidence))


def _within(value: float, reach: float | None, at_least: bool = False) -> Bounded:
    """A figure whose interval reaches as far down as up; `at_least`: it has no upper end."""
    if reach is None:
        return Bounded(value, lower_bound=at_least)
    return Bounded(value, max(0.0, value - reach), None if at_least else value + reach, at_least)
