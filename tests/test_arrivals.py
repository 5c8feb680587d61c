"""Open load's schedule: Poisson, determined by its seed, and the same however many processes send it."""

import itertools
import math
import random
from statistics import mean, pstdev

import pytest

from loadtests.generator.arrivals import (
    Arrival,
    Burst,
    Piece,
    Share,
    choices,
    part_of,
    poisson_times,
    schedule,
    share_of,
)

ENDLESS = [Piece(50.0, 0.0, math.inf)]


def first(count: int, seed: int = 1) -> list[Arrival]:
    """The first arrivals of an endless schedule of 50 a second."""
    return list(itertools.islice(schedule(ENDLESS, [7, 3], seed), count))


def test_the_gaps_are_exponential_of_the_rates_mean() -> None:
    """An exponential distribution's standard deviation is its mean: 1/50 s. Ten thousand gaps, within 4 %."""
    times = [0.0, *(arrival.at for arrival in first(10_000))]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert mean(gaps) == pytest.approx(0.02, rel=0.04)
    assert pstdev(gaps) == pytest.approx(0.02, rel=0.04)
    assert min(gaps) >= 0


def test_the_same_seed_has_the_same_arrivals() -> None:
    """Both times and choices; another seed gives others."""
    assert first(100, seed=1) == first(100, seed=1) != first(100, seed=2)


def test_choices_are_made_by_weight() -> None:
    """7 of 10, within four standard errors."""
    drawn = list(itertools.islice(choices([7, 3], random.Random(1)), 5000))
    assert set(drawn) == {0, 1}
    assert drawn.count(0) / 5000 == pytest.approx(0.7, abs=4 * math.sqrt(0.21 / 5000))


def test_a_weight_of_nothing_is_never_chosen() -> None:
    """Wherever in the list it stands."""
    assert set(itertools.islice(choices([0, 1, 0], random.Random(1)), 500)) == {1}


def test_each_piece_has_its_rate_and_no_arrival_outside() -> None:
    """20 a second for 100 s, then 60: four standard errors around 2000 and 6000."""
    times = list(poisson_times([Piece(20.0, 0.0, 100.0), Piece(60.0, 100.0, 200.0)], random.Random(1)))
    assert times == sorted(times) and times[-1] < 200
    early = sum(at < 100 for at in times)
    assert early == pytest.approx(2000, abs=4 * math.sqrt(2000))
    assert len(times) - early == pytest.approx(6000, abs=4 * math.sqrt(6000))


def test_a_burst_comes_on_top_at_its_time_with_its_choices_only() -> None:
    """The regular arrivals are the same as without it, and all numbers are consecutive."""
    with_burst = list(itertools.islice(schedule(ENDLESS, [7, 3], 1, Burst(30, 0.5, (1,))), 130))
    extra = [arrival for arrival in with_burst if arrival.at == 0.5]
    assert len(extra) == 30 and {arrival.choice for arrival in extra} == {1}
    regular = [arrival[1:] for arrival in with_burst if arrival.at != 0.5]
    assert regular == [arrival[1:] for arrival in first(100)]
    assert [arrival.number for arrival in with_burst] == list(range(130))


def test_the_processes_shares_are_the_whole_schedule() -> None:
    """Nothing is sent twice or left out."""
    shares = [list(share_of(iter(first(100)), Share(index, 3))) for index in range(3)]
    assert sorted(arrival for share in shares for arrival in share) == first(100)
    assert {len(share) for share in shares} == {33, 34}


@pytest.mark.parametrize(("whole", "of"), [(10, 3), (2, 3), (9, 3), (1000, 1)])
def test_a_limit_is_split_without_a_rest(whole: int, of: int) -> None:
    """As evenly as whole numbers allow."""
    parts = [part_of(whole, Share(index, of)) for index in range(of)]
    assert sum(parts) == whole and max(parts) - min(parts) <= 1
