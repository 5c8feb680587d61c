"""The difference between two measurements, against latencies whose truth is known."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from loadtests.comparing.differences import (
    Difference,
    Estimate,
    between_runs,
    difference,
    within_runs,
)
from loadtests.judging.bootstrap import bootstrap_errors
from loadtests.judging.intervals import holm, student_t
from loadtests.judging.samples import summarise
from loadtests.records.figures import FIGURES, Summary
from loadtests.records.rows import DROPPED, Row

SECONDS, RATE = 20.0, 40
WINDOW, ENDED = (0.0, SECONDS), SECONDS + 30


def rows_of(latencies: Sequence[float], **different: Any) -> list[Row]:
    """Requests at an even rate, in seconds."""
    what: dict[str, Any] = {"user": 0, "group": "g", "name": "g", "status": 200, "error": ""} | different
    times = [n * SECONDS / len(latencies) for n in range(len(latencies))]
    return [
        Row(**({"intended_s": at, "sent_s": at, "done_s": at + latency} | what))
        for at, latency in zip(times, latencies, strict=True)
    ]


def wandering(seed: Sequence[int], memory: float = 0.9, count: int = int(RATE * SECONDS)) -> list[Row]:
    """Latencies, each like the one before (an autoregressive series), lognormal about a median of 200 ms."""
    rng = np.random.default_rng(list(seed))
    noise = rng.normal(size=count)
    series = [noise[0]]
    for each in noise[1:]:
        series.append(memory * series[-1] + math.sqrt(1 - memory**2) * each)
    return rows_of([0.2 * math.exp(0.5 * each) for each in series])


def summary(rows: Sequence[Row]) -> Summary:
    return summarise(rows, ENDED)


def within(rows: Sequence[Row], key: str) -> Estimate:
    """The estimate of one figure from a single run."""
    return all_within(rows)[key]


def all_within(rows: Sequence[Row]) -> dict[str, Estimate]:
    """The estimates of all figures of a single run."""
    errors = [bootstrap_errors(rows, WINDOW, ENDED, 500)]
    found = {key: within_runs([summary(rows)], errors, key) for key in FIGURES}
    return {key: estimate for key, estimate in found.items() if estimate is not None}


@pytest.mark.slow
def test_intervals_within_runs_hold_the_truth_in_about_95_of_100_though_latencies_resemble_their_neighbours():
    """60 pairs of runs that do not differ: 0 is in it. The usual standard error covers 0 too rarely."""
    pairs, held, plain, alarms = 60, dict.fromkeys(FIGURES, 0), 0, 0
    for pair in range(pairs):
        a, b = wandering([pair, 0]), wandering([pair, 1])
        before, after, chances = all_within(a), all_within(b), []
        for key in FIGURES:
            found = difference(before[key], after[key])
            assert found.low is not None and found.high is not None and found.chance is not None
            chances.append(found.chance)
            held[key] += found.low <= 0 <= found.high
        alarms += min(holm(chances)) < 0.05
        waits = [[row.waited_ms(ENDED) for row in rows] for rows in (a, b)]
        error = math.hypot(*(np.std(each) / math.sqrt(len(each)) for each in waits))
        plain += abs(np.mean(waits[1]) - np.mean(waits[0])) <= 1.96 * error
    assert all(count / pairs >= 0.86 for count in held.values()), held
    assert 0.90 <= sum(held.values()) / pairs / len(held) <= 0.99
    assert alarms / pairs <= 0.1  # five figures were asked for, together
    assert plain / pairs < 0.75  # the usual standard error of a mean


def test_a_known_shift_is_found_and_lies_in_the_interval():
    """B's requests each take 150 ms longer: detected in all ten pairs, in the interval in about nine."""
    held = 0
    for pair in range(10):
        b = [
            Row(row.user, "g", "g", row.intended_s, row.sent_s, (row.done_s or 0) + 0.15, 200, "")
            for row in wandering([pair, 3])
        ]
        before, after = all_within(wandering([pair, 2])), all_within(b)
        for key in ("p50_ms", "mean_ms"):
            found = difference(before[key], after[key])
            assert found.low is not None and found.high is not None and found.chance is not None
            assert found.low > 0 and found.chance < 0.01
            held += found.low <= 150 <= found.high
    assert held >= 17


def test_the_error_of_independent_latencies_is_the_usual_one():
    """Blocks change nothing for independent latencies: sigma / sqrt(n), within a fifth on average."""
    ratios = []
    for seed in range(20):
        rows = wandering([seed], memory=0)
        waits = [row.waited_ms(ENDED) for row in rows]
        found = bootstrap_errors(rows, WINDOW, ENDED, 500)
        ratios.append(found["mean_ms"] / (np.std(waits) / math.sqrt(len(waits))))
    assert np.mean(ratios) == pytest.approx(1, abs=0.2)


def test_the_same_seed_draws_the_same_errors():
    """Repeating a comparison gives the same answer."""
    rows = wandering([3])
    first = bootstrap_errors(rows, WINDOW, ENDED, 500)
    assert first == bootstrap_errors(rows, WINDOW, ENDED, 500)
    assert first != bootstrap_errors(rows, WINDOW, ENDED, 500, seed=2)


def test_between_runs_it_is_welchs_test():
    """Against the formula: 10, 12, 14 and 20, 21, 25, whose errors are sqrt(4/3) and sqrt(7/3)."""
    a, b = ([{"mean_ms": each, "lower_bounds": []} for each in side] for side in ((10, 12, 14), (20, 21, 25)))
    before, after = between_runs(a, "mean_ms"), between_runs(b, "mean_ms")
    assert before and after and (before.value, before.freedom, after.value, after.freedom) == (12, 2, 22, 2)
    assert (before.error, after.error) == pytest.approx((math.sqrt(4 / 3), math.sqrt(7 / 3)))
    found = difference(before, after)
    freedom = (4 / 3 + 7 / 3) ** 2 / ((4 / 3) ** 2 / 2 + (7 / 3) ** 2 / 2)
    reach = student_t(freedom) * math.sqrt(11 / 3)
    assert (found.value, found.low, found.high) == pytest.approx((10, 10 - reach, 10 + reach))
    assert found.chance is not None and 0.005 < found.chance < 0.02


@pytest.mark.slow
def test_between_runs_intervals_hold_the_truth_in_95_of_100():
    """1,000 pairs of five repeats; those of B vary three times as much."""
    rng, held = np.random.default_rng(9), 0
    for _ in range(1000):
        sides = [rng.normal(100, 5, 5), rng.normal(100, 15, 5)]
        a, b = ([{"p95_ms": each, "lower_bounds": []} for each in side] for side in sides)
        before, after = between_runs(a, "p95_ms"), between_runs(b, "p95_ms")
        assert before and after
        found = difference(before, after)
        assert found.low is not None and found.high is not None
        held += found.low <= 0 <= found.high
    assert 0.93 <= held / 1000 <= 0.98


def test_none_over_500_ms_is_no_proof_that_none_ever_is():
    """0 of 30 twice leaves an interval of some width; 0 and 3 of 30 could be chance; 0 and 15 could not."""
    quick, slow = [0.1] * 30, 0.6
    sides = [within(rows_of([slow] * n + quick[n:]), "share_over") for n in (0, 0, 3, 15)]
    same, few, many = (difference(sides[0], side) for side in sides[1:])
    assert same.value == 0 and same.low is not None and same.low < -0.03
    assert few.chance is not None and few.chance > 0.05
    assert many.chance is not None and many.chance < 0.02


def test_a_share_can_change_by_no_more_than_all_of_it():
    """All of 25 slow, then none of 25: -100 points, and not down to -108."""
    slow, quick = (within(rows_of([latency] * 25), "share_over") for latency in (0.9, 0.1))
    fell, rose = difference(slow, quick), difference(quick, slow)
    assert fell.low == -1 and fell.high is not None and -1 < fell.high < -0.8
    assert rose.high == 1 and rose.low == -fell.high


def test_the_share_counts_what_failed_was_dropped_or_hangs_as_the_summary_does():
    """A run of only such requests has a share of 1, with an error given by the count alone."""
    for different in ({"status": 503}, {"sent_s": None, "done_s": None, "error": DROPPED}, {"done_s": None}):
        rows = rows_of([0.1] * 200, **different)
        assert summary(rows)["share_over"] == 1
        assert within(rows, "share_over").error == pytest.approx(math.sqrt(201 / 202 / 202 / 202), rel=1e-6)


def test_what_rests_on_hanging_requests_is_never_overclaimed():
    """The true value behind a lower bound may be anything above it."""
    exact, bound = Estimate(100, 1, 9), Estimate(150, 1, 9, lower_bound=True)
    up, down = difference(exact, bound), difference(bound, exact)
    assert up.value == 50 and up.high is None and up.low is not None and up.low > 0
    assert up.chance is not None and up.chance < 0.001  # at least that much slower
    assert down.low is None and down.high is not None and down.high < 0
    assert down.chance is not None and down.chance < 0.001  # at least that much faster
    hidden = difference(bound, Estimate(200, 1, 9))
    assert hidden.chance is None and hidden.low is None  # the truth before may have been 200, too
    assert difference(bound, Estimate(200, 1, 9, lower_bound=True)) == Difference(50, None, None, None)


def test_rows_that_hang_make_their_percentiles_lower_bounds():
    """From rows to the interval: a tenth of B's requests were unanswered when the run ended."""
    a = rows_of([0.1 + n % 7 / 100 for n in range(400)])
    b = [
        row if n % 10 else Row(0, "g", "g", row.intended_s, row.sent_s, None, 0, "")
        for n, row in enumerate(a)
    ]
    p50, p95 = (difference(within(a, key), within(b, key)) for key in ("p50_ms", "p95_ms"))
    assert p50.low is not None and p50.high is not None and p50.low <= 0 <= p50.high
    assert p95.value > 10_000 and p95.high is None and p95.chance is not None and p95.chance < 0.01


@pytest.mark.parametrize(
    ("count", "known"),
    [
        (1, set()),
        (19, {"share_over"}),
        (71, {"share_over", "mean_ms", "p50_ms"}),
        (72, {"share_over", "mean_ms", "p50_ms", "p95_ms"}),
        (368, set(FIGURES)),
    ],
)
def test_too_few_requests_have_no_error_and_then_no_interval(count: int, known: set[str]):
    """p95 needs 72 requests and p99 368; below that there is a value, but it is not judged."""
    rows = wandering([4], count=count)
    assert set(bootstrap_errors(rows, WINDOW, ENDED, 500)) == known
    for key in set(FIGURES) - known:
        estimate = within(rows, key)
        assert difference(estimate, estimate) == Difference(0, None, None, None)


def test_a_figure_that_one_repeat_does_not_have_is_none():
    """All requests of that repeat failed."""
    failed = summary(rows_of([0.1] * 40, status=500))
    good = summary(rows_of([0.1] * 40))
    assert between_runs([failed, good], "p50_ms") is None
    assert within_runs([failed, good], [{}, {}], "p50_ms") is None


def test_several_runs_of_one_side_are_averaged_and_their_errors_with_them():
    """Two runs with errors 3 and 4: their mean has 5 / 2."""
    two = [{"mean_ms": each, "lower_bounds": []} for each in (10.0, 20.0)]
    assert within_runs(two, [{"mean_ms": 3.0}, {"mean_ms": 4.0}], "mean_ms") == Estimate(15, 2.5, 18)
