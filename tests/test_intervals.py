"""The intervals, against published tables, their definitions in exact fractions, and repeated sampling."""

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.judging.intervals import clopper_pearson, holm, percentile_ranks, student_p, student_t


@pytest.mark.parametrize(
    ("over", "of", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (1, 100, 0.0003, 0.0545),
        (10, 100, 0.0490, 0.1762),
        (50, 100, 0.3983, 0.6017),
    ],
)
def test_the_interval_agrees_with_published_tables(over, of, low, high):
    """Values of the exact binomial interval, as statistics packages print them."""
    assert clopper_pearson(over, of) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=60)
def test_each_limit_leaves_two_and_a_half_percent_in_its_tail(case):
    """The definition, in exact fractions: P(X >= k) at the lower limit, P(X <= k) at the upper."""
    k, n = case
    low, high = clopper_pearson(k, n)

    def chance(p: float, outcomes: range) -> float:
        share = Fraction(p)
        return float(sum(math.comb(n, i) * share**i * (1 - share) ** (n - i) for i in outcomes))

    assert low == 0 if k == 0 else chance(low, range(k, n + 1)) == pytest.approx(0.025, rel=1e-9)
    assert high == 1 if k == n else chance(high, range(k + 1)) == pytest.approx(0.025, rel=1e-9)


@given(st.integers(1, 10**6))
@settings(max_examples=30)
def test_nothing_over_still_leaves_room_for_doubt(n):
    """0 of n: the closed form 1 - 0.025**(1/n), even for counts too large for factorials."""
    assert clopper_pearson(0, n) == pytest.approx((0, 1 - 0.025 ** (1 / n)))
    assert clopper_pearson(n, n) == pytest.approx((0.025 ** (1 / n), 1))


def tail(n: int, share: Fraction, at_least: int) -> Fraction:
    """P(X >= at_least) for a binomial X, exactly."""
    return sum(
        (math.comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(at_least, n + 1)), Fraction()
    )


@given(st.integers(1, 450), st.sampled_from([50, 95, 99]))
@settings(max_examples=40)
def test_the_ranks_of_a_percentile_are_the_closest_that_leave_two_and_a_half_percent_on_each_side(n, percent):
    """The definition, in whole numbers: `low` samples or fewer below it are too few, `high` too many."""
    share, alpha = Fraction(percent, 100), Fraction(25, 1000)
    ranks = percentile_ranks(n, percent)
    if ranks is None:
        assert tail(n, share, n) > alpha or tail(n, 1 - share, n) > alpha
        return
    low, high = ranks
    assert tail(n, share, high) <= alpha < tail(n, share, high - 1)
    assert 1 - tail(n, share, low) <= alpha < 1 - tail(n, share, low + 1)


@pytest.mark.parametrize(
    ("n", "percent", "ranks"),
    [
        (71, 95, None),
        (72, 95, (64, 72)),
        (200, 95, (184, 197)),
        (1000, 95, (936, 964)),
        (367, 99, None),
        (368, 99, (360, 368)),
        (5, 50, None),
        (6, 50, (1, 6)),
        (0, 50, None),
    ],
)
def test_the_ranks_agree_with_the_known_ones(n, percent, ranks):
    """p95 of 200 requests lies between the 92 % and the 98.5 % quantile of the sample, and so on."""
    assert percentile_ranks(n, percent) == ranks


def test_ninety_five_of_a_hundred_intervals_hold_the_true_percentile():
    """2,000 samples of 200 from a distribution whose 95th percentile is known; 95 % or a little more."""
    rng = random.Random(5)
    low, high = percentile_ranks(200, 95)
    held = 0
    for _ in range(2000):
        samples = sorted(rng.random() for _ in range(200))
        held += samples[low - 1] <= 0.95 <= samples[high - 1]
    assert 0.94 <= held / 2000 <= 0.98


@pytest.mark.parametrize(
    ("freedom", "t"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042), (120, 1.980)],
)
def test_students_t_agrees_with_published_tables(freedom, t):
    """The 95 % two-sided column found in any book of tables."""
    assert student_t(freedom) == pytest.approx(t, abs=5e-4)


@pytest.mark.parametrize("freedom", [1.0, 1.3, 2.5, 7.7, 1000.0])
def test_students_t_leaves_five_percent_outside_for_fractions_of_a_degree_too(freedom):
    """The definition: the density, integrated numerically from 0 to t, is 47.5 %."""
    t, steps = student_t(freedom), 20_000
    whole = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    scale = math.exp(whole) / math.sqrt(freedom * math.pi)
    xs = ((i + 0.5) * t / steps for i in range(steps))
    area = sum((1 + x * x / freedom) ** (-(freedom + 1) / 2) for x in xs) * t / steps
    assert scale * area == pytest.approx(0.475, abs=1e-6)


@pytest.mark.parametrize(
    ("t", "freedom", "chance"),
    [
        (12.706, 1, 0.05),
        (2.776, 4, 0.05),
        (4.604, 4, 0.01),
        (2.045, 29, 0.05),
        (1.96, 1e6, 0.05),
        (0, 3, 1.0),
    ],
)
def test_the_chance_of_a_t_agrees_with_published_tables(t, freedom, chance):
    """It is the same in both directions."""
    assert student_p(t, freedom) == pytest.approx(chance, abs=5e-5)
    assert student_p(-t, freedom) == student_p(t, freedom)


def test_holm_agrees_with_an_example_worked_by_hand():
    """Of four, 0.005 comes first: x 4; then 0.01 x 3, 0.03 x 2, 0.04 x 1, which may not be below 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_gives_at_most_five_percent_of_false_alarms_however_many_questions():
    """Twenty true null hypotheses, 2,000 times: any is rejected in 5 % of cases, not in 64 %."""
    rng = random.Random(7)
    naive = adjusted = 0
    for _ in range(2000):
        chances = [rng.random() for _ in range(20)]
        naive += min(chances) < 0.05
        adjusted += min(holm(chances)) < 0.05
    assert naive / 2000 > 0.6
    assert 0.03 <= adjusted / 2000 <= 0.07
