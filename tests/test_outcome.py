"""What a load says at its end, and its exit status."""

from dataclasses import replace

import pytest

from loadtests.generator.arrivals import Count
from loadtests.generator.console import run_table
from loadtests.generator.loadoptions import Load
from loadtests.generator.outcome import BROKEN, KEPT, UNFIT, Stage, about, outcome
from loadtests.generator.recordings import Recording, Vital
from loadtests.judging.samples import DROPPED, Row


def rows(group: str, seconds: float, count: int = 10, first: float = 0.0) -> list[Row]:
    """Requests that took so many seconds, ten a second."""
    starts = [first + number / 10 for number in range(count)]
    return [Row(1, group, group, at, at, at + seconds, 200, "") for at in starts]


def recording(all_rows: list[Row], users: int = 5, lag_ms: float = 1.0) -> Recording:
    """Ten seconds of a generator at its ease."""
    vitals = [Vital(at, 0.1 * at, 0.5 * at, 2.0 * at, users) for at in (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)]
    lag = [(at / 10, lag_ms) for at in range(100)]
    return Recording(1000.0, 10.0, 11.0, all_rows, lag=lag, vitals=[vitals])


FAST, SLOW = rows("browse", 0.1), rows("submit", 0.9)


def test_a_load_that_kept_the_rule_says_so() -> None:
    """Status 0, and one line for its group."""
    said = outcome(recording(FAST), Load(), [], asked=5)
    assert said.exit_status == KEPT
    assert "browsing                  10      0      0   100 ms" in said.text
    assert said.text.endswith("The rule, at most 1.0 % of any requests over 500 ms: kept.")


def test_one_group_over_the_rule_breaks_it() -> None:
    """It is named, with its share; the group within is not."""
    said = outcome(recording(FAST + SLOW), Load(), [], asked=5)
    assert said.exit_status == BROKEN
    assert said.text.endswith("broken. POST /feeds 100 %")


def test_how_much_may_be_over_is_what_was_said() -> None:
    """Half of the requests are over: 60 % may be, 40 % may not."""
    mixed = recording(rows("browse", 0.1) + rows("browse", 0.9))
    assert outcome(mixed, Load(fail_over=60), [], asked=5).exit_status == KEPT
    assert outcome(mixed, Load(fail_over=40), [], asked=5).exit_status == BROKEN


def test_another_rule_is_judged_and_named() -> None:
    """50 ms instead of 500."""
    said = outcome(recording(FAST), Load(rule_ms=50), [], asked=5)
    assert said.exit_status == BROKEN
    assert ">50 ms" in said.text and "over 50 ms: broken" in said.text


def test_a_whole_visit_is_no_request() -> None:
    """It may take as long as it takes."""
    visited = replace(recording(FAST + rows("content", 5.0)), visits={"content"})
    assert outcome(visited, Load(), [], asked=5).exit_status == KEPT


@pytest.mark.parametrize(
    ("unfit", "reason"),
    [
        (recording(FAST, lag_ms=15.0), "late by 15.0 ms"),
        (recording(FAST, users=4), "4 of 5 users were there"),
        (recording([]), "nothing was measured"),
        (replace(recording(FAST), lag=[]), "so late that its lag was never sampled"),
        (replace(recording(FAST), vitals=[[Vital(0, 0, 0, 0, 5), Vital(9, 1, 18, 18, 5)]]), "100 % busy"),
    ],
)
def test_an_unfit_generator_proves_nothing(unfit: Recording, reason: str) -> None:
    """Status 3, and why."""
    said = outcome(unfit, Load(), [], asked=5)
    assert said.exit_status == UNFIT
    assert reason in said.text.partition("But this proves nothing: ")[2]


def test_a_process_that_did_not_report_makes_it_unfit() -> None:
    """Its rows are missing."""
    said = outcome(recording(FAST), Load(), [], asked=5, lost=2)
    assert said.exit_status == UNFIT
    assert "2 load generators did not report" in said.text


def test_open_load_that_was_dropped_makes_it_unfit() -> None:
    """And is in the table, as failed."""
    row = Row(3, "browse", "GET /", 0.5, None, None, 0, DROPPED)
    dropped = replace(recording([*FAST, row]), arrivals=Count(11, 10, 1, 0))
    said = outcome(dropped, Load(model="open", rate=1.1), [], asked=1)
    assert said.exit_status == UNFIT
    assert "1 of 11 visits were dropped" in said.text
    assert "browsing                  11      0      1" in said.text


def test_the_warm_up_is_left_out() -> None:
    """What should have been sent before its end is in no figure."""
    slow_then_fast = recording(rows("browse", 0.9) + rows("browse", 0.1, first=2.0))
    assert outcome(slow_then_fast, Load(), [], asked=5).exit_status == BROKEN
    said = outcome(slow_then_fast, Load(warm_up=2.0), [], asked=5)
    assert said.exit_status == KEPT
    assert "browsing                  10 " in said.text


def test_each_stage_is_judged_apart() -> None:
    """The second is over the rule, so the load is; the warm-up of each is left out."""
    slow = rows("browse", 0.9, first=5.5)
    stepped = recording(rows("browse", 0.9, count=5) + rows("browse", 0.1, first=1.0) + slow)
    load = Load(steps=(5, 5), step_seconds=5.0, warm_up=0.5)
    said = outcome(stepped, load, [Stage(5, 0.0, 5.0), Stage(5, 5.0, 10.0)], asked=5)
    assert said.exit_status == BROKEN
    first, second = said.text.split("5 users, from 5.0 to 10.0 s:")
    assert "5 users, from 0.0 to 5.0 s:" in first and "kept." in first
    assert "broken. browsing 100 %" in second


def test_the_json_file_says_what_the_load_was() -> None:
    """Closed: users; open: the rate and what became of its visits; stepped: the stages."""
    closed = about(recording(FAST), Load(), [], asked=5)
    assert (closed["users"], closed["users_asked"], closed["model"]) == (5, 5, "closed")
    assert "arrivals" not in closed and "stages" not in closed
    assert len(closed["lag"]) == 100 and closed["ended_s"] == 11.0

    counted = replace(recording(FAST), arrivals=Count(12, 10, 1, 1))
    opened = about(counted, Load(model="open", rate=1.1), [], asked=1)
    assert opened["arrivals"] == {"planned": 12, "sent": 10, "dropped": 1, "never_sent": 1}
    assert opened["rate_per_s"] == 1.1 and "users" not in opened

    stepped = about(recording(FAST), Load(steps=(2, 5)), [Stage(2, 0, 4), Stage(5, 4, 10)], asked=5)
    assert stepped["stages"] == [
        {"users": 2, "start_s": 0, "end_s": 4},
        {"users": 5, "start_s": 4, "end_s": 10},
    ]


def test_the_naive_figures_stand_below_where_they_say_something_else() -> None:
    """Open load: a request that waited for a second to be sent."""
    late = [Row(1, "browse", "GET /", at, at + 1.0, at + 1.1, 200, "") for at in (0.0, 1.0, 2.0)]
    assert "from the sending         3      0      0   100 ms" in run_table(late, 9.0, naive=True)
    assert "from the sending" not in run_table(late, 9.0)
    assert "from the sending" not in run_table(FAST, 9.0, naive=True)


def test_groups_without_a_title_come_in_order_under_their_own_name() -> None:
    """Other people's locustfiles have other groups."""
    table = run_table(rows("GET /b", 0.1) + rows("GET /a", 0.1) + rows("submit", 0.1), 9.0)
    assert [line.split("  ")[0] for line in table.splitlines()[1:]] == ["POST /feeds", "GET /b", "GET /a"]
