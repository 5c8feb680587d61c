"""Chapter 4: what its checks say of a wrong answer is true; and whose claim the race goes on with."""

from collections.abc import Callable
from typing import Any

import answers_04 as answers
import notebooks_path  # noqa: F401
import pytest

# isort: split
from workbook.chapter04 import extra, one_update, runs, yours
from workbook.chapter04_checks import (
    CAME_BETWEEN,
    ENDLESS,
    LEFT_OPEN,
    NOTHING_RETURNED,
    REFUSED,
    STOPPED,
    claims_on_postgresql,
    claims_on_sqlite,
    finishes_its_own_only,
)

pytest_plugins = ["workbook_fixtures"]


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (answers.look_then_claim, CAME_BETWEEN),
        (answers.quits_when_late, "Another worker was quicker, and it returned None although"),
        (answers.believes_it_has_it, "It returned"),
        (answers.asks_which_is_mine, "It returned"),
        (answers.never_ends, ENDLESS),
        (answers.takes_two, "It claimed 2 jobs at once"),
        (answers.keeps_it_to_itself, NOTHING_RETURNED),
        (answers.returns_the_result, "It must return the job's id, or None, and not CursorResult."),
        (answers.in_transaction("BEGIN"), REFUSED),
        (answers.in_transaction("BEGIN IMMEDIATE", otherwise="SELECT 1"), LEFT_OPEN),
    ],
)
def test_a_wrong_claim_is_told_what_it_did(claim: Any, said: str) -> None:
    """Not what it looks like: a claim of several statements may be right."""
    assert str(claims_on_sqlite(claim)).startswith(said)


@pytest.mark.live
@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (one_update, STOPPED),
        (answers.in_one(f"{answers.FREE} FOR UPDATE"), STOPPED),
        (answers.in_transaction("SELECT 1", f"{answers.FREE} FOR UPDATE SKIP LOCKED"), CAME_BETWEEN),
    ],
)
def test_a_wrong_claim_on_postgresql_is_told_what_it_did(claim: Any, said: str) -> None:
    """It waits where it should go on, or its lock is gone before it writes."""
    assert str(claims_on_postgresql(claim)).startswith(said)


@pytest.mark.parametrize(
    ("finish", "said"),
    [
        (answers.compare_then_delete, CAME_BETWEEN),
        (answers.keeps_the_lock, LEFT_OPEN),
        (answers.deleting, "It must return True or False, and not int."),
    ],
)
def test_a_wrong_finish_is_told_what_it_did(finish: Any, said: str) -> None:
    """The chapter's race once more, a lock that stays, a number."""
    assert str(finishes_its_own_only(finish)).startswith(said)


@pytest.mark.parametrize(
    ("claim", "mode", "own", "said"),
    [
        (answers.compare_and_set, "live", False, "your claim"),
        (lambda db, worker: ..., "live", True, "missing"),
        (answers.look_then_claim, "live", True, "not right yet"),
        (answers.compare_and_set, "recorded", True, "recorded"),
    ],
)
def test_the_race_goes_on_with_a_right_claim_and_otherwise_with_the_chapters_own(
    claim: Any,
    mode: str,
    own: bool,
    said: str,
    chapter: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And says which one it is: a recording was made with the chapter's own."""
    chapter(4, mode)
    assert yours(claim, claims_on_sqlite, own=one_update) is (one_update if own else claim)
    assert said in capsys.readouterr().out


def test_runs_too_many_are_all_but_a_jobs_first() -> None:
    """A job that ran three times has two."""
    done = [[1, 2], [1, 3], [1]]
    assert runs(done) == {1: 3, 2: 1, 3: 1}
    assert extra(done) == 2
