"""The checks of chapter 4: a claim or finish with a race is refused, even if it picks the right rows."""

from collections.abc import Callable
from typing import Any

import notebooks_path  # noqa: F401
import pytest
from sqlalchemy import Connection

# isort: split
from workbook.chapter04 import extra, runs, sql
from workbook.chapter04_checks import GAP, NOTHING_CLAIMED, claims_the_right_jobs, finishes_its_own_only
from workbook.exercises import NO_ANSWER

DUE = "SELECT id FROM jobs WHERE locked_by IS NULL AND run_at <= :now ORDER BY priority, run_at LIMIT 1"


def claiming(pick: str) -> Callable[[Connection, str, float], Any]:
    """A single statement that claims the job picked by this query."""
    update = f"UPDATE jobs SET locked_by = :worker WHERE id = ({pick}) RETURNING id"
    return lambda db, worker, now: sql(db, update, worker=worker, now=now).scalar()


def look_then_claim(db: Connection, worker: str, now: float) -> Any:
    """The bug that the chapter is about."""
    if (found := sql(db, DUE, now=now).scalar()) is not None:
        sql(db, "UPDATE jobs SET locked_by = :worker WHERE id = :id", worker=worker, id=found)
    return found


def whole_result(db: Connection, worker: str, now: float) -> Any:
    """Without .scalar()."""
    update = f"UPDATE jobs SET locked_by = :worker WHERE id = ({DUE}) RETURNING id"
    return sql(db, update, worker=worker, now=now)


def forgets_to_return(db: Connection, worker: str, now: float) -> None:
    """It claims the job, but does not return it."""
    claiming(DUE)(db, worker, now)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (claiming(DUE), True),
        (lambda db, worker, now: ..., NO_ANSWER),
        (forgets_to_return, NOTHING_CLAIMED),
        (whole_result, "It must return the job's id, or None."),
        (look_then_claim, GAP),
        (claiming(DUE.replace("<=", "<")), "A job whose run_at is :now is due."),
        (claiming(DUE.replace("<= :now", "<= :now + 50")), "It took a job whose run_at is in the future."),
        (claiming(DUE.replace("locked_by IS NULL AND ", "")), "It took a job that a worker already has."),
        (claiming(DUE.replace("priority, run_at", "run_at")), "The lowest priority number goes first"),
        (claiming(DUE.replace(", run_at LIMIT", " LIMIT")), "Of equal priority"),
    ],
)
def test_a_claim_is_right_or_told_what_is_wrong(claim: Callable[..., Any], said: bool | str) -> None:
    """In one statement, the right jobs in the right order."""
    found = claims_the_right_jobs(claim)
    assert found is said or str(found).startswith(str(said))


def deleting(db: Connection, id: int, worker: str) -> int:
    """A single fenced statement; returns how many rows it deleted."""
    gone = sql(db, "DELETE FROM jobs WHERE id = :id AND locked_by = :worker", id=id, worker=worker)
    return gone.rowcount


def compare_then_delete(db: Connection, id: int, worker: str) -> bool:
    """The same race again."""
    if sql(db, "SELECT locked_by FROM jobs WHERE id = :id", id=id).scalar() != worker:
        return False
    sql(db, "DELETE FROM jobs WHERE id = :id", id=id)
    return True


def unfenced(db: Connection, id: int, worker: str) -> bool:
    """It deletes the job while B holds it."""
    return sql(db, "DELETE FROM jobs WHERE id = :id", id=id).rowcount == 1


def keeps_it_to_itself(db: Connection, id: int, worker: str) -> None:
    """It deletes the right job, but does not report it."""
    deleting(db, id, worker)


@pytest.mark.parametrize(
    ("finish", "said"),
    [
        (lambda *which: deleting(*which) == 1, True),
        (lambda *which: ..., NO_ANSWER),
        (keeps_it_to_itself, "It returned None: is a `return` missing?"),
        (deleting, "Return True or False, not a number of rows."),
        (compare_then_delete, GAP),
        (unfenced, "A finished a job that is now B's."),
    ],
)
def test_a_finish_is_right_or_told_what_is_wrong(finish: Callable[..., Any], said: bool | str) -> None:
    """In one statement, its own job only."""
    assert finishes_its_own_only(finish) == said


def test_runs_too_many_are_all_but_a_jobs_first() -> None:
    """A job that ran three times has two."""
    done = [[1, 2], [1, 3], [1]]
    assert runs(done) == {1: 3, 2: 1, 3: 1}
    assert extra(done) == 2
