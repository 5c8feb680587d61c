"""The checks of chapter 4's exercises: what is wrong with the claim, or the finish, a reader wrote."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, event

from workbook.chapter04 import sql
from workbook.exercises import NO_ANSWER

ClaimDue = Callable[[Connection, str, float], Any]
Finish = Callable[[Connection, int, str], Any]
GAP = "Two statements: another worker can come between them."
ROWS = (
    (1, 0, 10, None),
    (2, -5, 90, None),
    (3, 0, 5, None),
    (4, -5, 20, None),
    (5, 0, 1, "Z"),
    (6, 0, 50, None),
)
LONGEST = "Of equal priority, the job that has been due longest goes first."
TURNS = (  # who claims, which job is the right one, and what is wrong with any other
    ("A", 4, "The lowest priority number goes first, whatever its run_at."),
    ("B", 3, LONGEST),
    ("A", 1, LONGEST),
    ("B", 6, "A job whose run_at is :now is due."),
    ("A", None, "When no free job is due, the answer is None."),
)
LATER = "It took a job whose run_at is in the future."
HELD = "It took a job that a worker already has."
NOTHING_CLAIMED = "It returned None although a job is due: is a `return` missing?"


def claims_the_right_jobs(claim_due: ClaimDue) -> bool | str:
    """Does it claim each due job once, in one statement and the right order, and then nothing?"""
    return next(_wrong_with_claim(claim_due), True)


def _wrong_with_claim(claim_due: ClaimDue) -> Iterator[str]:
    db = _table(*ROWS)
    wrong: dict[int | None, str] = {2: LATER, 5: HELD}
    for worker, right, said in TURNS:
        with _sent(db) as statements:
            found = claim_due(db, worker, 50)
        if found is ...:
            yield NO_ANSWER
        if found is None and right == TURNS[0][1]:  # later there may be other reasons
            yield NOTHING_CLAIMED
        if not isinstance(found, int | None):
            yield "It must return the job's id, or None."
        if len(statements) > 1:
            yield GAP
        if found != right:
            yield wrong.get(found, said)
        wrong[found] = HELD
    holders = [tuple(row) for row in sql(db, "SELECT id, locked_by FROM jobs ORDER BY id")]
    if holders != [(1, "A"), (2, None), (3, "B"), (4, "A"), (5, "Z"), (6, "B")]:
        yield "Each claimed row must name its worker, and no other row may change."


def finishes_its_own_only(finish: Finish) -> bool | str:
    """Does it delete only this worker's job, in one statement, and say whether it did?"""
    return next(_wrong_with_finish(finish), True)


def _wrong_with_finish(finish: Finish) -> Iterator[str]:
    db = _table((1, 0, 0, "B"), (2, 0, 0, "A"), (3, 0, 0, None))

    def left() -> list[int]:
        return list(sql(db, "SELECT id FROM jobs ORDER BY id").scalars())

    late = finish(db, 1, "A")
    if late is ...:
        yield NO_ANSWER
    if left() != [1, 2, 3]:
        yield "A finished a job that is now B's."
    if late is None:
        yield "It returned None: is a `return` missing?"
    if not isinstance(late, bool):
        yield "Return True or False, not a number of rows."
    if late:
        yield "It must return False when the job is no longer this worker's."
    with _sent(db) as statements:
        done = finish(db, 1, "B")
    if len(statements) > 1:
        yield GAP
    if done is not True or left() != [2, 3]:
        yield "B has that job: delete it, and return True."
    if finish(db, 1, "B") is not False or finish(db, 3, "A") is not False:
        yield "A job that is gone, or that nobody has, is not this worker's: return False."


def _table(*jobs: tuple[Any, ...]) -> Connection:
    """A table of jobs in memory: id, priority, run_at, locked_by."""
    db = create_engine("sqlite://", isolation_level="AUTOCOMMIT").connect()
    db.exec_driver_sql("CREATE TABLE jobs (id INTEGER PRIMARY KEY, priority, run_at, locked_by TEXT)")
    for each in jobs:
        db.exec_driver_sql("INSERT INTO jobs (id, priority, run_at, locked_by) VALUES (?, ?, ?, ?)", each)
    return db


@contextmanager
def _sent(db: Connection) -> Iterator[list[str]]:
    """Collect the statements executed on this connection in the block."""
    statements: list[str] = []

    def note(*told: Any) -> None:
        statements.append(told[2])

    event.listen(db, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(db, "before_cursor_execute", note)
