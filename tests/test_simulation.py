"""The harness's own simulation: against SimPy, against formulas where they are exact, and by hand."""

import random
from statistics import fmean, mean, pvariance

import pytest
from queue_simulator import Readers, Simulation, exponential, interval
from test_theory import DEMAND, HANGING_SCV, OPEN_TABLE, SLOTS, TABLE, THINK, hanging

from loadtests.feedserver.kinds import DEFAULT_MIX
from loadtests.predicting.simulation import Period, feed_service, lognormal, simulate_closed, simulate_open
from loadtests.predicting.workload import Workload
from loadtests.theory import ClosedLoad, OpenLoad

# The reader of the default plan: Z = 2 s, POST /feeds takes 1.1 s, pages some ms. Its knee is 32 users.
SYNC = Workload(think=2.0, submitters=0.7, submit=1.1, page=0.008, browse=0.006)
# Visits of one request, as in the tables: everybody browses.
ALONE = Workload(think=THINK, submitters=0.0, submit=1.0, page=1.0, browse=DEMAND)
LONG = Period(warmup=100, measure=2000, requests=1, repeats=1)
STEP = Period(warmup=2.5, measure=11.0, drain=5.5)


def figures_agree(some: list[float], others: list[float]) -> bool:
    """True if two sets of eight independent repeats differ by no more than chance allows (99.9 %)."""
    low, high = interval([one - other for one, other in zip(some, others, strict=True)])
    return low < 0 < high


@pytest.mark.slow
@pytest.mark.parametrize("users", [20, 32, 60])
def test_the_closed_load_of_readers_is_the_one_that_simpy_simulates(users: int) -> None:
    """Below, at and above the knee, with the real mix: the wait, its share, response, requests a second."""
    post = feed_service(DEFAULT_MIX, 5.0, SYNC.submit)
    submit = [(0.0, post), (0.0, exponential(SYNC.page))]
    submitters = round(0.7 * users)
    theirs, ours = [], []
    for seed in range(8):
        theirs.append(
            Readers(8, submit, [(0.0, exponential(SYNC.browse))], seed, 1000).closed(
                submitters, users - submitters, SYNC.think
            )
        )
        ours.append(simulate_closed(SYNC, 8, users, LONG, {"submit": post}, seed=100 + seed))
    assert figures_agree([fmean(run.waits) for run in theirs], [fmean(run.waits) for run in ours])
    assert figures_agree([fmean(run.responses) for run in theirs], [fmean(run.submits) for run in ours])
    assert figures_agree([run.throughput for run in theirs], [run.throughput for run in ours])
    shares = [[mean(wait > 0.1 for wait in run.waits) for run in runs] for runs in (theirs, ours)]
    assert figures_agree(*shares)


@pytest.mark.slow
def test_the_open_load_of_readers_who_poll_is_the_one_that_simpy_simulates() -> None:
    """The queued app: POST, page, two polls after pauses, page; others browse."""
    work = Workload(
        think=2.0, submitters=0.7, submit=0.2, page=0.1, browse=0.1, poll=0.05, polls=2.0, pause=1.5
    )
    post, page, poll = (exponential(seconds) for seconds in (0.2, 0.1, 0.05))
    submit = [(0.0, post), (0.0, page), (0.75, poll), (0.75, poll), (0.0, page)]
    rate = 0.8 * 4 / work.mean_visit.demand
    theirs = [Readers(4, submit, [(0.0, page)], seed, 1000).open(rate, 0.7) for seed in range(8)]
    ours = [simulate_open(work, 4, rate, Period(50, 500, repeats=1), seed=100 + seed) for seed in range(8)]
    assert figures_agree([fmean(run.waits) for run in theirs], [fmean(run.waits) for run in ours])
    assert figures_agree([run.throughput for run in theirs], [run.throughput for run in ours])


@pytest.mark.slow
@pytest.mark.parametrize("users", TABLE)
def test_visits_of_one_request_are_the_machine_repairmans_model(users: int) -> None:
    """Where M/M/c//N is exact, the simulation agrees with it."""
    load = ClosedLoad(SLOTS, users, THINK, DEMAND)
    runs = [simulate_closed(ALONE, SLOTS, users, LONG, seed=seed) for seed in range(8)]
    seen = {
        load.response: [fmean(run.others) for run in runs],
        load.share_over(0.5): [mean(each > 0.5 for each in run.others) for run in runs],
        load.throughput: [run.throughput for run in runs],
    }
    for formula, figures in seen.items():
        low, high = interval(figures)
        assert low < formula < high
        assert high - low < 0.15 * formula


@pytest.mark.parametrize("users", TABLE)
@pytest.mark.slow
def test_feeds_that_hang_take_as_long_as_simpy_says(users: int) -> None:
    """And as in the checked table, whose last column rests on so few requests that 12 % are allowed."""
    theirs = [Simulation(SLOTS, [hanging], seed, 6000).closed(users, THINK).responses[0] for seed in range(8)]
    ours = [
        simulate_closed(ALONE, SLOTS, users, LONG, {"browse": hanging}, seed).others for seed in range(8, 16)
    ]
    assert figures_agree([fmean(each) for each in theirs], [fmean(each) for each in ours])
    assert fmean(map(fmean, ours)) == pytest.approx(TABLE[users][-1], rel=0.12)


@pytest.mark.parametrize("rho", OPEN_TABLE)
@pytest.mark.slow
def test_visits_of_one_request_under_open_load_are_erlangs_model(rho: float) -> None:
    """With hanging feeds they agree with the checked table's simulation."""
    load = OpenLoad(SLOTS, rho * SLOTS / DEMAND, DEMAND)
    period = Period(warmup=100, measure=3000, repeats=1)
    low, high = interval(
        [fmean(simulate_open(ALONE, SLOTS, load.rate, period, seed=seed).others) for seed in range(8)]
    )
    assert low < load.response < high
    hung = [
        simulate_open(ALONE, SLOTS, load.rate, period, {"browse": hanging}, seed).others for seed in range(8)
    ]
    low, high = interval([fmean(each) for each in hung])
    assert low < OPEN_TABLE[rho][2] < high
    assert low > load.response


def test_a_visit_asks_for_what_the_workload_says() -> None:
    """2.4 polls on average are two or three; after polling, the page is opened once more."""
    work = Workload(
        think=1.0, submitters=1.0, submit=0.01, page=0.01, browse=0.01, poll=0.01, polls=2.4, pause=1.2
    )
    seen = simulate_closed(work, 50, 20, Period(10, 2000, requests=1))
    assert len(seen.others) / len(seen.submits) == pytest.approx(2 + 2.4, rel=0.01)
    cycle = 1.0 + 1.2 + work.submit_visit.demand
    assert len(seen.submits) / seen.seconds == pytest.approx(20 / cycle, rel=0.02)
    assert seen.throughput == pytest.approx(20 * (3 + 2.4) / cycle, rel=0.02)


def test_what_has_not_ended_with_the_step_has_waited_until_then() -> None:
    """One slot, requests of 100 s: no visitor gets an answer; those from the warm-up don't count."""
    work = Workload(think=1.0, submitters=1.0, submit=100.0, page=1.0, browse=1.0)
    period = Period(warmup=2, measure=5, drain=3, repeats=1)
    seen = simulate_closed(work, 1, 30, period, {"submit": lambda _: 100.0})
    assert 0 < len(seen.submits) < 30
    assert all(3 < seconds <= 8 for seconds in seen.submits)
    assert seen.throughput == 0
    figures = seen.figures()
    assert figures is not None
    assert figures["share_over"] == 1


def test_steps_are_repeated_until_there_are_enough_requests() -> None:
    """But no longer, so that a report does not take long."""
    one = simulate_closed(SYNC, 8, 16, Period(2.5, 11.0, repeats=1))
    many = simulate_closed(SYNC, 8, 16, Period(2.5, 11.0, requests=3000))
    each = len(one.submits) + len(one.others)
    assert 3000 <= len(many.submits) + len(many.others) < 3000 + 2 * each
    assert many.seconds % 11.0 == 0
    assert many.seconds > one.seconds == 11.0


def test_the_same_seed_gives_the_same() -> None:
    """Another seed gives other figures."""
    runs = [
        simulate_open(SYNC, 8, 5.0, Period(2.5, 11.0, repeats=3), seed=seed).figures() for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_without_a_post_there_are_no_figures() -> None:
    """All users browse."""
    assert simulate_closed(ALONE, SLOTS, 3, STEP).figures() is None


def test_feeds_take_as_long_as_their_servers_and_at_most_the_deadline() -> None:
    """Scaled to the measured mean: the longest is the deadline, for all that hang and some slow ones."""
    draw, source = feed_service(DEFAULT_MIX, 5.0, 1.1), random.Random(1)
    times = [draw(source) for _ in range(40_000)]
    assert fmean(times) == pytest.approx(1.1, rel=0.03)
    longest = max(times)
    assert longest == pytest.approx(5.0, rel=0.05)
    assert mean(each == longest for each in times) == pytest.approx(0.05 + 0.15 / 4, abs=0.005)


def test_feeds_that_drip_take_until_the_deadline() -> None:
    """Their answer begins at once but never ends."""
    draw, source = feed_service({"drip": 100}, 5.0, 5.1), random.Random(1)
    assert [draw(source) for _ in range(10)] == pytest.approx([5.1] * 10)


@pytest.mark.parametrize(
    ("draw", "scv"), [(feed_service({"fast": 100}, 5.0, 0.02), 1.0), (lognormal(0.02, 0.3), 0.3)]
)
def test_other_times_have_the_mean_and_the_spread_that_are_asked_for(draw, scv) -> None:
    """Feeds that come at once leave the app's own time, which is assumed exponential."""
    source = random.Random(2)
    times = [draw(source) for _ in range(50_000)]
    assert fmean(times) == pytest.approx(0.02, rel=0.02)
    assert pvariance(times) / fmean(times) ** 2 == pytest.approx(scv, rel=0.05)


def test_the_hanging_mix_of_the_table_has_the_spread_it_says() -> None:
    """Both tests and tables rest on it."""
    times = [hanging(source) for source in [random.Random(3)] for _ in range(50_000)]
    assert pvariance(times) / fmean(times) ** 2 == pytest.approx(HANGING_SCV, rel=0.05)
