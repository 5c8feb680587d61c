"""What a recording proves, and how the terminal says it."""

from dataclasses import replace as replace_row
from typing import Any

import pytest
from msgspec.structs import replace

from loadtests.generator.loadoptions import Load
from loadtests.generator.recordings import with_plan
from loadtests.judging.judge import judge, worst
from loadtests.judging.rule import more_needed, word_of
from loadtests.judging.terminal import run_table, verdict_text
from loadtests.records.recording import Arrivals, Lag, Recording, Stage, Vital
from loadtests.records.rows import DROPPED, Row
from loadtests.status import Status

ENOUGH = 400  # of which none is over: the interval reaches up to 0.9 %


def rows(
    group: str, seconds: float, count: int = ENOUGH, first: float = 0.0, last: float = 10.0
) -> list[Row]:
    """Requests that took so many seconds, spread evenly from `first` to `last`."""
    starts = [first + number * (last - first) / count for number in range(count)]
    return [Row(1, group, group, at, at, at + seconds, 200, "") for at in starts]


def recording(all_rows: list[Row], users: int = 5, lag_ms: float = 1.0, **about: Any) -> Recording:
    """Ten seconds of a generator at its ease, with five users, as was asked for."""
    vitals = tuple(Vital(at, 0.1 * at, 0.5 * at, 2.0 * at, users) for at in (0.0, 2.0, 4.0, 6.0, 8.0, 10.0))
    lag = tuple(Lag(at / 10, lag_ms) for at in range(100))
    common = {"users_asked": 5, "lag": lag, "vitals": (vitals,), **about}
    return Recording(started_at=1000.0, stopped_s=10.0, ended_s=12.0, rows=tuple(all_rows), **common)


def said(known: Recording) -> str:
    """The verdict as the terminal shows it, without the table."""
    text = verdict_text(judge(known))
    return text[text.index("The rule") :]


FAST, SLOW = rows("browse", 0.1), rows("submit", 0.9)


# ---- the rule


def test_a_load_that_kept_the_rule_says_so() -> None:
    """Status 0, a line for its group in the table, and the interval."""
    known = recording(FAST)
    assert judge(known).status is Status.KEPT
    assert "browsing                 400      0      0   100 ms" in verdict_text(judge(known))
    assert said(known) == (
        "The rule, at most 1.0 % of any requests over 500 ms: kept.\n"
        "  browsing 0 % (95 % interval 0 to 0.9 %)"
    )


def test_one_group_over_the_rule_breaks_it() -> None:
    """It is named, with its share; the group within is not."""
    known = recording(FAST + SLOW)
    assert judge(known).status is Status.BROKEN
    assert said(known).endswith("broken.\n  POST /feeds 100 % (95 % interval 99.1 to 100 %)")


@pytest.mark.parametrize(("over", "count"), [(0, 47), (1, 47), (2, 300)])
def test_where_the_interval_holds_both_it_is_undecided(over: int, count: int) -> None:
    """None of 47 says little: with 3 % over one in four looks like that. How many more would do is said."""
    known = recording(rows("browse", 0.1, count - over) + rows("browse", 0.9, over))
    assert judge(known).status is Status.UNDECIDED
    more = judge(known).stages[0].groups[0].more
    assert f": undecided.\n  browsing {'0 %' if not over else f'{100 * over / count:.1f} %'}" in said(known)
    assert f"about {more} more requests would decide" in said(known)


def test_so_many_more_requests_do_decide() -> None:
    """And half of them do not."""
    for over, judged in ((0, 47), (0, 300), (15, 1000)):
        more = more_needed(over, judged)
        assert more is not None
        share = over / judged
        assert word_of(round(share * (judged + more)), judged + more) != "undecided"
        fewer = judged + more // 2
        assert word_of(round(share * fewer), fewer) == "undecided"


def test_nobody_says_how_many_requests_tell_a_share_at_the_limit() -> None:
    """None would."""
    assert more_needed(1, 100) is None and more_needed(0, 0) is None


def test_what_is_broken_outweighs_what_is_undecided() -> None:
    """And both outweigh what was kept."""
    undecided = rows("browse", 0.1, 47)
    assert judge(recording(SLOW + undecided)).status is Status.BROKEN
    assert judge(recording(rows("submit", 0.1) + undecided)).status is Status.UNDECIDED


def test_how_much_may_be_over_is_what_was_said() -> None:
    """Half of the requests are over: 60 % may be, 40 % may not."""
    mixed = recording(rows("browse", 0.1) + rows("browse", 0.9))
    assert judge(replace(mixed, most_over=0.6)).status is Status.KEPT
    assert judge(replace(mixed, most_over=0.4)).status is Status.BROKEN


def test_another_rule_is_judged_and_named() -> None:
    """50 ms instead of 500."""
    known = recording(FAST, rule_ms=50)
    assert judge(known).status is Status.BROKEN
    assert ">50 ms" in verdict_text(judge(known)) and "over 50 ms: broken" in said(known)


def test_a_whole_visit_is_no_request() -> None:
    """It may take as long as it takes; alone, it is nothing that can be judged."""
    visits = rows("checkout, all of it", 5.0)
    known = recording(FAST + visits, visits=("checkout, all of it",))
    assert judge(known).status is Status.KEPT
    alone = recording(visits, visits=("checkout, all of it",))
    assert judge(alone).status is Status.UNFIT
    assert said(alone).startswith("The rule, at most 1.0 % of any requests over 500 ms: cannot be judged.")


# ---- doubt


@pytest.mark.parametrize(
    ("unfit", "reason"),
    [
        (recording(FAST, lag_ms=150.0), "sent about 100 % less than its users would have"),
        (recording(FAST, users=4), "4 of 5 users were there"),
        (recording([]), "nothing was measured"),
        (recording(FAST, lag=()), "its lag was never sampled"),
        (recording(FAST, vitals=()), "its lag was never sampled"),
        (recording(FAST, processes_lost=2), "2 load generators did not report"),
        (recording(FAST, faults=("it ran out of file descriptors",)), "it ran out of file descriptors"),
    ],
)
def test_an_unfit_generator_proves_nothing(unfit: Recording, reason: str) -> None:
    """Status 3, and why."""
    assert judge(unfit).status is Status.UNFIT
    assert reason in said(unfit).partition("But this proves nothing: ")[2]


@pytest.mark.parametrize(
    ("error_s", "note", "status"),
    [(0.005, "", Status.KEPT), (0.006, "agree to within 6 ms.", Status.KEPT), (0.06, "", Status.UNFIT)],
)
def test_clocks_that_hardly_agree_are_told_and_at_last_a_doubt(
    error_s: float, note: str, status: Status
) -> None:
    """From 1 % of the rule it is said; more than 10 % of it proves nothing."""
    known = recording(FAST, clock_error_s=error_s)
    assert judge(known).status is status
    assert said(known).endswith(note) and ("agree " in said(known)) == (error_s > 0.005)
    assert ("only to within 60 ms (at most 50 ms" in said(known)) == (status is Status.UNFIT)


FULL: dict[str, Any] = {"vitals": ((Vital(0, 0, 0, 0, 5), Vital(9, 1, 18, 18, 5)),)}


def test_a_load_that_kept_the_rule_on_a_full_machine_has_kept_it() -> None:
    """Status 0, and that its latencies are upper bounds. A late generator is the same."""
    known = recording(FAST, **FULL)
    assert judge(known).status is Status.KEPT
    assert said(known).endswith(
        "kept.\n  browsing 0 % (95 % interval 0 to 0.9 %)\n"
        "Its latencies are upper bounds: the machine was 100 % busy (at most 80 %)."
    )
    late = recording(FAST, lag_ms=15.0)
    assert judge(late).status is Status.KEPT
    assert "upper bounds: the load generator was late by 15.0 ms (p99, at most 10 ms)." in said(late)


def test_a_load_that_broke_the_rule_on_a_full_machine_is_undecided() -> None:
    """It may be the machine's doing. More requests would not decide, and none are advised."""
    known = recording(FAST + SLOW, **FULL)
    assert judge(known).status is Status.UNDECIDED
    assert said(known) == (
        "The rule, at most 1.0 % of any requests over 500 ms: undecided.\n"
        "  POST /feeds 100 % (95 % interval 99.1 to 100 %): over the limit, but that may be the machine's or"
        " the load generator's doing, not the app's\n"
        "Its latencies are upper bounds: the machine was 100 % busy (at most 80 %)."
    )
    few = rows("browse", 0.1, 45) + rows("browse", 0.9, 2)  # its interval holds both
    assert "not the app's" in said(recording(few, **FULL)) and "more requests" in said(recording(few))


def test_too_few_requests_on_a_full_machine_may_become_enough() -> None:
    """None of 47 was over: more like those would prove that the rule was kept."""
    known = recording(rows("browse", 0.1, 47), **FULL)
    assert judge(known).status is Status.UNDECIDED and "more requests would decide" in said(known)


def test_a_doubt_outweighs_a_full_machine() -> None:
    """Missing users: status 3 whatever was kept, and both reasons."""
    known = recording(FAST, **FULL, processes_lost=1)
    assert judge(known).status is Status.UNFIT
    assert said(known).endswith(
        "But this proves nothing: 1 load generator did not report; the machine was 100 % busy (at most 80 %)."
    )


def test_a_freeze_of_the_generator_is_a_doubt_in_closed_load_alone() -> None:
    """Its users sent nothing for a second. In open load the visits are sent late, and their wait counts."""
    lag = tuple(Lag(at / 50, max(0.0, 6000 - 20 * at) if 250 <= at < 300 else 1.0) for at in range(500))
    closed = recording(FAST, lag=lag)
    assert judge(closed).status is Status.UNFIT and "sent about 9.0 % less" in said(closed)
    opened = recording(FAST, lag=lag, model="open", users_asked=None)
    assert judge(opened).status is Status.KEPT and "upper bounds" in said(opened)


def test_visits_that_were_sent_late_make_latencies_upper_bounds() -> None:
    """In open load every visit is sent when it is meant to be, unless it has to wait for a connection."""
    late = [replace_row(row, sent_s=row.intended_s + 0.06) for row in FAST]
    opened: dict[str, Any] = {"model": "open", "users_asked": None}
    assert "upper bounds: visits were sent 60 ms late (p99, at most 50 ms)" in said(recording(late, **opened))
    assert judge(recording(late, **opened)).status is Status.KEPT
    assert judge(recording(SLOW, **opened)).status is Status.BROKEN
    slow = [replace_row(row, sent_s=row.intended_s + 0.06) for row in SLOW]
    assert judge(recording(slow, **opened)).status is Status.UNDECIDED
    for known in (recording(late, **opened, connections=5), recording(FAST, **opened)):
        assert judge(known).status is Status.KEPT and "upper bounds" not in said(known)


def test_requests_that_were_cut_off_before_the_rule_was_decided_do_not_count() -> None:
    """Nor those that were sent as late, and answered: the fast ones alone would be too kind. One that had
    waited for as long as the rule says is over.
    """
    ended = rows("browse", 0.1, last=9.9)
    cut_off = [Row(1, "browse", "browse", at, at, None, 0, "") for at in (9.6, 9.9)]
    (stage,) = judge(replace(recording(ended + cut_off), ended_s=10.0)).stages
    assert stage.end == 9.5
    assert all(row.intended_s < 9.5 and not row.unfinished for row in stage.rows)
    assert not stage.groups[0].summary["lower_bounds"]
    hung = Row(1, "browse", "browse", 9.4, 9.4, None, 0, "")
    (stage,) = judge(replace(recording([*ended, *cut_off, hung]), ended_s=10.0)).stages
    assert stage.groups[0].summary["over"] == 1
    (drained,) = judge(recording(ended + cut_off)).stages
    assert drained.end == 10.0 and drained.groups[0].summary["unfinished"] == 2


def test_requests_that_were_sent_twice_are_told() -> None:
    """They are no failures: the connection was closed while nobody used it."""
    assert said(recording(FAST, resent=2)).endswith(
        "2 requests were sent twice: the server had closed the idle connection."
    )


def test_open_load_that_was_dropped_makes_it_unfit() -> None:
    """And is in the table, as failed."""
    row = Row(3, "browse", "GET /", 0.5, None, None, 0, DROPPED)
    known = recording([*FAST, row], model="open", rate_per_s=40, arrivals=Arrivals(401, 400, 1, 0))
    assert judge(known).status is Status.UNFIT
    assert "1 of 401 visits were dropped" in said(known)
    assert "browsing                 401      0      1" in verdict_text(judge(known))


# ---- what is judged


def test_the_warm_up_is_left_out() -> None:
    """What should have been sent before its end is in no figure."""
    slow_then_fast = recording(rows("browse", 0.9, 50, last=2.0) + rows("browse", 0.1, first=2.0))
    assert judge(slow_then_fast).status is Status.BROKEN
    warm = replace(slow_then_fast, warm_up_s=2.0)
    assert judge(warm).status is Status.KEPT
    assert "browsing                 400 " in verdict_text(judge(warm))


def test_each_stage_is_judged_apart() -> None:
    """The second is over the rule, so the load is; the warm-up of each is left out."""
    slow_at_first, fast = rows("browse", 0.9, 10, last=0.5), rows("browse", 0.1, first=0.5, last=5.0)
    stages = (Stage(5, 0.0, 5.0), Stage(5, 5.0, 10.0))
    slow = rows("browse", 0.9, first=5.5)
    known = recording(slow_at_first + fast + slow, stages=stages, warm_up_s=0.5)
    first, second = judge(known).stages
    assert (first.status, second.status, judge(known).status) == (Status.KEPT, Status.BROKEN, Status.BROKEN)
    before, after = verdict_text(judge(known)).split("5 users, from 5.0 to 10.0 s:")
    assert "5 users, from 0.0 to 5.0 s:" in before and "kept." in before
    assert "broken.\n  browsing 100 %" in after


def test_a_stage_that_is_proved_outweighs_one_that_is_in_doubt() -> None:
    """But a doubt outweighs what was kept beside it."""
    assert worst([Status.UNFIT, Status.BROKEN, Status.KEPT]) is Status.BROKEN
    assert worst([Status.KEPT, Status.UNDECIDED, Status.UNFIT]) is Status.UNFIT
    assert worst([Status.KEPT, Status.UNDECIDED]) is Status.UNDECIDED
    assert worst([]) is Status.UNFIT


def test_a_recording_holds_what_it_is_judged_by() -> None:
    """Closed: users; open: the rate; stepped: the stages; and what --fail-over and --rule have said."""
    bare = recording(FAST, users_asked=None)
    closed = with_plan(bare, Load(fail_over=5.0, rule_ms=200.0, warm_up=1.0, seed=7), [], 5, lost=1)
    assert (closed.model, closed.users_asked, closed.rate_per_s) == ("closed", 5, None)
    assert (closed.most_over, closed.rule_ms, closed.warm_up_s) == (0.05, 200.0, 1.0)
    assert (closed.seed, closed.processes_lost) == (7, 1)
    opened = with_plan(bare, Load(model="open", rate=1.5, connections=3), [], 1)
    assert (opened.model, opened.users_asked, opened.rate_per_s, opened.connections) == ("open", None, 1.5, 3)
    stepped = with_plan(bare, Load(steps=(2, 5)), [Stage(2, 0, 4), Stage(5, 4, 10)], 5)
    assert stepped.stages == (Stage(2, 0, 4), Stage(5, 4, 10)) and stepped.most_over == 0.01


# ---- the table


def test_the_naive_figures_stand_below_where_they_say_something_else() -> None:
    """Open load: a request that waited for a second to be sent."""
    late = [Row(1, "browse", "GET /", at, at + 1.0, at + 1.1, 200, "") for at in (0.0, 1.0, 2.0)]
    assert "from sending             3      0      0   100 ms" in run_table(late, 9.0, naive=True)
    assert "from sending" not in run_table(late, 9.0)
    assert "from sending" not in run_table(FAST, 9.0, naive=True)


def test_groups_without_a_title_come_in_order_under_their_own_name() -> None:
    """Other people's locustfiles have other groups."""
    table = run_table(rows("GET /b", 0.1, 3) + rows("GET /a", 0.1, 3) + rows("submit", 0.1, 3), 12.0)
    assert [line.split("  ")[0] for line in table.splitlines()[1:]] == ["POST /feeds", "GET /b", "GET /a"]
