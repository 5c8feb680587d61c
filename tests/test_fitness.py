"""When a step proves nothing or had not settled, and that the reason is given."""

import random
from itertools import pairwise

import pytest

from loadtests.judging.fitness import (
    Little,
    little,
    not_sent,
    rank_sum_z,
    slowed_reasons,
    unfit_reasons,
    unsteady_reasons,
)
from loadtests.records.rows import Row

EASE = {
    "lag_p99_ms": 9.9,
    "sent_late": (49.0, 50.0),
    "host_cpu_percent": 79.0,
    "generator_cpu_percent": 79.0,
}
FIT = {
    "not_sent": 0.019,
    "users": (20, 20),
    "little": Little(users=19.2, error=0.04, chance=0.0),
    "visits": (1000, 985, 0),
    "counts": (500, 505, 510),
}


def test_a_step_within_all_limits_is_fit() -> None:
    """No reasons of either kind."""
    assert unfit_reasons(**FIT) == slowed_reasons(**EASE) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"not_sent": 0.031}, "sent about 3.1 % less than its users would have (at most 2.0 %)"),
        ({"users": (20, 18)}, "18 of 20 users were there"),
        ({"little": Little(15.0, 0.25, 0.1)}, "Little's law finds 15.0 users, off by 25% (at most 15%)"),
        ({"visits": (1000, 990, 10)}, "10 of 1000 visits were dropped"),
        ({"visits": (1000, 970, 0)}, "970 of 1000 visits were sent (at least 98%)"),
        ({"counts": (500, 499, 510)}, "the web server took 499 requests"),
        ({"counts": (500, 511, 510)}, "the load generator sent 510 and got 500 answers"),
        ({"put_off": ["the backlog grew from 5 to 50 jobs"]}, "from 5 to 50 jobs: the work was put off"),
    ],
)
def test_another_load_than_was_asked_for_is_not_fit(changed: dict[str, object], said: str) -> None:
    """One limit exceeded gives one reason, with its figure."""
    (reason,) = unfit_reasons(**(FIT | changed))  # type: ignore[arg-type]
    assert said in reason


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lag_p99_ms": 31.4}, "the load generator was late by 31.4 ms"),
        ({"sent_late": (60.0, 50.0)}, "visits were sent 60 ms late (p99, at most 50 ms)"),
        ({"host_cpu_percent": 97.2}, "the machine was 97 % busy"),
        ({"generator_cpu_percent": 95.0}, "the load generator used 95 % of its core"),
    ],
)
def test_a_full_machine_and_a_late_generator_only_slow(changed: dict[str, object], said: str) -> None:
    """The same for what makes latencies upper bounds."""
    (reason,) = slowed_reasons(**(EASE | changed))  # type: ignore[arg-type]
    assert said in reason


def each_waits(think: float, users: int = 3, seconds: float = 10.0) -> list[Row]:
    """Users who think for so long after each answer, which takes 0.1 s."""
    times = [think + number * (think + 0.1) for number in range(int(seconds / (think + 0.1)))]
    return [Row(user, "", "", at, at, at + 0.1, 200, "") for at in times for user in range(users)]


def test_a_late_generator_sends_less_by_as_much_as_it_lengthens_the_waits() -> None:
    """20 ms later after a second of thinking: a fiftieth less. Users who never wait are never late."""
    late = [0.0] * 450 + [200.0] * 50  # 20 ms on average, but 200 ms in a tenth of the time: a standstill
    assert not_sent(each_waits(0.9), [20.0] * 500, 10.0) == pytest.approx(0.02, rel=0.15)
    assert not_sent(each_waits(0.15), [20.0] * 500, 10.0) == pytest.approx(0.08, rel=0.05)
    assert not_sent(each_waits(0.0), [20.0] * 500, 10.0) == pytest.approx(0.0)
    assert not_sent(each_waits(0.9), late, 10.0) == 0.1
    assert not_sent(each_waits(0.9), [0.0] * 500, 10.0) == not_sent([], [20.0], 10.0) == 0.0


def test_a_wait_is_lengthened_by_no_more_than_itself() -> None:
    """Each of nine waits of 10 ms can't have been lengthened by more than that."""
    rows = [Row(1, "", "", at / 10, at / 10, at / 10 + 0.09, 200, "") for at in range(10)]
    assert not_sent(rows, [50.0], 1.0) == pytest.approx(9 * 0.01)


def visits(users: int, seconds: float, think: float, respond: float, seed: int = 1) -> list[Row]:
    """Rows of users whose think times and visits are exponential; the end cuts off the last ones."""
    rows, random_ = [], random.Random(seed)
    for user in range(users):
        now = random_.expovariate(1 / think)
        while now < seconds:
            done = now + random_.expovariate(1 / respond)
            rows.append(Row(user, "content", "visit", now, now, done if done < seconds else None, 200, ""))
            now = done + random_.expovariate(1 / think)
    return rows


@pytest.mark.parametrize("users", [1, 20, 300])
@pytest.mark.parametrize("respond", [0.01, 1.0, 15.0])
def test_littles_law_finds_the_users_that_were_there(users: int, respond: float) -> None:
    """Even in a short window, with visits that began before it or end after it."""
    found = [little(visits(users, 20, 2.0, respond, seed), 4, 15, users) for seed in range(20)]
    assert all(law.holds for law in found)
    assert sum(law.users for law in found) / 20 == pytest.approx(users, rel=0.25 if users == 1 else 0.05)


def test_littles_law_notices_users_who_went_away() -> None:
    """A quarter of 300 users died at the start: they are neither served nor thinking."""
    law = little([row for row in visits(300, 20, 2.0, 1.0) if row.user % 4], 4, 15, 300)
    assert law.users == pytest.approx(225, rel=0.05)
    assert not law.holds


def test_latencies_that_stay_what_they_are_are_steady() -> None:
    """Even if they scatter or are few."""
    random_ = random.Random(5)
    samples = [random_.lognormvariate(3, 1) for _ in range(400)]
    assert unsteady_reasons({"POST /feeds": (samples[:200], samples[200:])}, [3, 4, 2, 5]) == []
    assert unsteady_reasons({"POST /feeds": ([1.0], [900.0])}) == []


def test_a_drift_is_named_with_its_figures() -> None:
    """Latencies twice as long in the second half; a backlog that grows."""
    first = [10 + n / 10 for n in range(100)]
    (slow,) = unsteady_reasons({"browsing": (first, [2 * ms for ms in first])})
    assert slow == "the median of browsing went from 15 to 30 ms"
    (grew,) = unsteady_reasons({}, [10, 20, 30, 40, 50, 60])
    assert grew == "the backlog grew from 20 to 50 jobs"


def test_rank_sums_are_those_of_the_textbook() -> None:
    """No difference gives zero; ties share a rank; one side entirely above the other gives the maximum."""
    assert rank_sum_z([1, 2, 3, 4], [1, 2, 3, 4]) == 0
    shifts = [rank_sum_z(range(10), [n + shift for n in range(10)]) for shift in (0, 2, 5, 10)]
    assert all(a < b for a, b in pairwise(shifts))
    assert shifts[-1] == pytest.approx(3.7796, abs=1e-4)  # U = 0 of m = n = 10: (100 - 50) / sqrt(175)
