"""A server that is not there breaks no rule."""

from dataclasses import replace

import pytest

from loadtests.judging.absence import nothing_there
from loadtests.judging.judge import judge
from loadtests.judging.terminal import verdict_text
from loadtests.records.recording import Lag, Recording, Stage, Vital
from loadtests.records.rows import Row
from loadtests.status import Status


def row(error: str = "", status: int = 0, done: float | None = 1.0, group: str = "look") -> Row:
    return Row(1, group, "GET /", 0.5, 0.5, done, status, error)


REFUSED = row("[Errno 111] Connection refused")


@pytest.mark.parametrize(
    "error",
    [
        "[Errno 111] Connection refused",
        "[Errno 61] Connection refused",
        "[Errno -2] Name or service not known",
        "[Errno 8] nodename nor servname provided, or not known",
        "[Errno 113] No route to host",
    ],
)
def test_where_nothing_listens_nothing_was_tested(error: str) -> None:
    """With each system's error message; requests in flight at the end count neither way."""
    said = nothing_there([row(error), row(error), row(done=None)])
    assert said == f"nothing answers at that address ({error})"


@pytest.mark.parametrize(
    "other",
    [
        row(status=200),
        row("answered 503", 503),
        row("timed out"),
        row("[Errno 104] Connection reset by peer"),
    ],
)
def test_who_answered_once_is_there(other: Row) -> None:
    """Even with an error: the connections it refused are then failures of the app."""
    assert nothing_there([REFUSED, other, REFUSED]) is None


def test_no_request_at_all_is_another_matter() -> None:
    """No connection was refused."""
    assert nothing_there([]) is None
    assert nothing_there([row(done=None)]) is None


def test_a_load_on_nothing_says_so_and_one_that_was_partly_refused_is_judged() -> None:
    """Status 2 and no verdict; the row of a whole visit is not a request."""
    vitals = tuple(Vital(at, 0.1 * at, 0.5 * at, 2.0 * at, 1) for at in (0.0, 5.0, 10.0))
    lag = tuple(Lag(at / 10, 1.0) for at in range(100))

    def judged(*rows: Row) -> tuple[Status, str]:
        found = judge(
            Recording(
                started_at=1000.0,
                stopped_s=10.0,
                ended_s=11.0,
                rows=rows,
                users_asked=1,
                visits=("visit",),
                lag=lag,
                vitals=(vitals,),
            )
        )
        return found.status, verdict_text(found)

    status, said = judged(REFUSED, row("the cart was empty", group="visit"))
    assert status == Status.USAGE
    assert "Nothing was tested: nothing answers at that address" in said and "The rule" not in said
    status, said = judged(*[REFUSED] * 9, row(status=200))
    assert status == Status.BROKEN and "broken" in said


def test_a_stage_in_which_the_server_was_gone_is_not_fit() -> None:
    """The server answered in the first stage, so it exists, but the second stage says nothing about it."""
    vitals = tuple(Vital(at, 0.1 * at, 0.5 * at, 2.0 * at, 1) for at in (0.0, 4.0, 6.0, 10.0))
    found = judge(
        Recording(
            started_at=1000.0,
            stopped_s=10.0,
            ended_s=11.0,
            rows=(row(status=200), replace(REFUSED, intended_s=6.0, sent_s=6.0, done_s=6.1)),
            stages=(Stage(1, 0.0, 5.0), Stage(1, 5.0, 10.0)),
            lag=tuple(Lag(at / 10, 1.0) for at in range(100)),
            vitals=(vitals,),
        )
    )
    assert found.absent is None
    assert [stage.status for stage in found.stages] == [Status.UNDECIDED, Status.UNFIT]
    assert "nothing answers at that address" in found.stages[1].doubts[0]
