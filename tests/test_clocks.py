"""How far another machine's clock is ahead, from messages sent there and back."""

import pytest

from loadtests.generator.clocks import Clock, clock_from, round_trip


def test_half_of_a_round_trip_is_what_is_not_known() -> None:
    """Asked at 10.0, back at 10.2; answered at 40.1 by a clock that is 30 s ahead, to within 0.1 s."""
    assert round_trip(10.0, 40.1, 10.2) == pytest.approx((30.0, 0.1))


@pytest.mark.parametrize("there", [0.0, 0.05, 0.2])
def test_the_true_clock_is_within_the_error_however_long_each_way_takes(there: float) -> None:
    """A round trip of 0.2 s in all, split between the two ways in any proportion."""
    ahead, error = round_trip(10.0, 10.0 + there + 30.0, 10.2)
    assert abs(ahead - 30.0) <= error + 1e-9


def test_the_shortest_trip_tells_most() -> None:
    """Longer trips do not contradict it."""
    assert clock_from([Clock(30.4, 0.5), Clock(30.0, 0.001), Clock(29.8, 0.3)]) == (Clock(30.0, 0.001), "")


def test_a_clock_that_may_well_be_ours_is_taken_for_ours() -> None:
    """Processes on one machine share its clock: nothing is moved."""
    assert clock_from([Clock(0.0004, 0.0005)]) == (Clock(0.0, 0.0005), "")


@pytest.mark.parametrize(
    ("trips", "fault"),
    [
        ([], "did not answer"),
        ([Clock(30.0, 0.001), Clock(33.0, 0.001)], "drifted by 3.00 s"),
    ],
)
def test_what_can_not_be_put_right_is_a_fault(trips: list[Clock], fault: str) -> None:
    """An offset that is unknown, too uncertain, or changed while the load ran."""
    assert fault in clock_from(trips)[1]
