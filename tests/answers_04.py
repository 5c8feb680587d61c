"""Answers to the exercises of chapter 4."""

from typing import Any

import notebooks_path  # noqa: F401
from answers import Answers
from sqlalchemy import Connection

# isort: split
from workbook.chapter04 import one_update, skip_locked, sql
from workbook.chapter04_checks import claims_on_postgresql, claims_on_sqlite, finishes_its_own_only

FREE = "SELECT id FROM jobs WHERE locked_by IS NULL ORDER BY id LIMIT 1"
TAKE = "UPDATE jobs SET locked_by = :worker WHERE id = :id"


def in_one(pick: str, end: str = "RETURNING id") -> Any:
    """A claim of one statement that takes what `pick` finds."""
    update = f"UPDATE jobs SET locked_by = :worker WHERE id = ({pick}) {end}"
    return lambda db, worker: sql(db, update, worker=worker).scalar()


def in_transaction(begin: str, pick: str = FREE, otherwise: str = "COMMIT") -> Any:
    """A claim that looks, and then claims, within a transaction."""

    def claim(db: Connection, worker: str) -> Any:
        sql(db, begin)
        if (id := sql(db, pick).scalar()) is None:
            sql(db, otherwise)
            return None
        sql(db, TAKE, worker=worker, id=id)
        sql(db, "COMMIT")
        return id

    return claim


def compare_and_set(db: Connection, worker: str) -> Any:
    """It looks again if another worker was quicker."""
    while (id := sql(db, FREE).scalar()) is not None:
        if sql(db, f"{TAKE} AND locked_by IS NULL", worker=worker, id=id).rowcount:
            return id
    return None


def with_a_table_expression(db: Connection, worker: str) -> Any:
    """PostgreSQL's other way to write it."""
    update = f"""WITH free AS ({FREE} FOR NO KEY UPDATE SKIP LOCKED)
        UPDATE jobs SET locked_by = :worker FROM free WHERE jobs.id = free.id RETURNING jobs.id"""
    return sql(db, update, worker=worker).scalar()


def look_then_claim(db: Connection, worker: str) -> Any:
    """The bug that the chapter is about."""
    if (id := sql(db, FREE).scalar()) is not None:
        sql(db, TAKE, worker=worker, id=id)
    return id


def quits_when_late(db: Connection, worker: str) -> Any:
    """It takes a lost job for an empty table."""
    id = sql(db, FREE).scalar()
    return id if sql(db, f"{TAKE} AND locked_by IS NULL", worker=worker, id=id).rowcount else None


def tries_twice(pick: str) -> Any:
    """It goes home after two lost jobs."""

    def claim(db: Connection, worker: str) -> Any:
        for _ in range(2):
            id = sql(db, pick).scalar()
            if sql(db, f"{TAKE} AND locked_by IS NULL", worker=worker, id=id).rowcount:
                return id
        return None

    return claim


def believes_it_has_it(db: Connection, worker: str) -> Any:
    """It does not look whether its UPDATE changed a row."""
    id = sql(db, FREE).scalar()
    sql(db, f"{TAKE} AND locked_by IS NULL", worker=worker, id=id)
    return id


def asks_which_is_mine(db: Connection, worker: str) -> Any:
    """It may have had one before."""
    sql(db, f"UPDATE jobs SET locked_by = :worker WHERE id = ({FREE})", worker=worker)
    return sql(db, "SELECT id FROM jobs WHERE locked_by = :worker ORDER BY id", worker=worker).scalar()


def never_ends(db: Connection, worker: str) -> Any:
    """It goes on looking when no job is free."""
    while True:
        id = sql(db, FREE).scalar()
        if sql(db, f"{TAKE} AND locked_by IS NULL", worker=worker, id=id).rowcount:
            return id


def takes_two(db: Connection, worker: str) -> Any:
    """The other one is lost."""
    one_update(db, worker)
    return one_update(db, worker)


def keeps_it_to_itself(db: Connection, worker: str) -> None:
    """It claims, and does not say what."""
    one_update(db, worker)


def returns_the_result(db: Connection, worker: str) -> Any:
    """Without .scalar()."""
    return sql(db, f"UPDATE jobs SET locked_by = :worker WHERE id = ({FREE}) RETURNING id", worker=worker)


WRONG_ANYWHERE = [
    7,
    lambda db, worker: 1,
    lambda db, worker: None,
    look_then_claim,
    quits_when_late,
    tries_twice(FREE),
    believes_it_has_it,
    asks_which_is_mine,
    never_ends,
    takes_two,
    keeps_it_to_itself,
    returns_the_result,
    in_one(FREE.replace("WHERE locked_by IS NULL ", "")),  # takes what others have
    in_one(FREE.replace("id LIMIT", "id DESC LIMIT")),
    in_one("SELECT min(id) FROM jobs"),
    lambda db, worker: one_update(db, "me"),
    lambda db, worker: sql(db, "DELETE FROM jobs WHERE locked_by IS NULL RETURNING id").scalar(),
]


def deleting(db: Connection, id: int, worker: str) -> int:
    """One statement with the fence; returns how many rows it deleted."""
    return sql(db, "DELETE FROM jobs WHERE id = :id AND locked_by = :worker", id=id, worker=worker).rowcount


def returning(db: Connection, id: int, worker: str) -> bool:
    """The same, with what it deleted."""
    delete = "DELETE FROM jobs WHERE id = :id AND locked_by = :worker RETURNING id"
    return sql(db, delete, id=id, worker=worker).first() is not None


def compare_then_delete(db: Connection, id: int, worker: str) -> bool:
    """The chapter's race once more."""
    if sql(db, "SELECT locked_by FROM jobs WHERE id = :id", id=id).scalar() != worker:
        return False
    return sql(db, "DELETE FROM jobs WHERE id = :id", id=id).rowcount == 1


def under_the_write_lock(db: Connection, id: int, worker: str) -> bool:
    """The same in a transaction that nobody can come between."""
    sql(db, "BEGIN IMMEDIATE")
    try:
        return compare_then_delete(db, id, worker)
    finally:
        sql(db, "COMMIT")


def keeps_the_lock(db: Connection, id: int, worker: str) -> bool:
    """Without the COMMIT."""
    sql(db, "BEGIN IMMEDIATE")
    return compare_then_delete(db, id, worker)


ANSWERS = {
    "1": Answers(
        claims_on_sqlite,
        right=[
            one_update,
            in_transaction("BEGIN IMMEDIATE"),
            in_transaction("BEGIN EXCLUSIVE"),
            compare_and_set,
        ],
        wrong=[
            *WRONG_ANYWHERE,
            in_transaction("BEGIN"),  # it reads first, and then can't write
            in_transaction("BEGIN IMMEDIATE", otherwise="SELECT 1"),  # which it leaves open
        ],
    ),
    "2": Answers(
        claims_on_postgresql,
        right=[
            skip_locked,
            with_a_table_expression,
            in_transaction("BEGIN", f"{FREE} FOR UPDATE SKIP LOCKED"),
        ],
        wrong=[
            *WRONG_ANYWHERE,
            one_update,
            in_one(FREE, end="AND locked_by IS NULL RETURNING id"),  # waits, and then goes home
            in_one(f"{FREE} FOR UPDATE"),
            in_one(f"{FREE} FOR UPDATE NOWAIT"),
            in_transaction("BEGIN"),
            tries_twice(f"{FREE} FOR UPDATE SKIP LOCKED"),
            in_transaction("SELECT 1", f"{FREE} FOR UPDATE SKIP LOCKED"),  # the lock ends with its statement
        ],
        live=True,
    ),
    "3": Answers(
        finishes_its_own_only,
        right=[lambda *which: deleting(*which) == 1, returning, under_the_write_lock],
        wrong=[
            True,
            lambda *which: True,
            lambda *which: False,
            deleting,
            lambda *which: [deleting(*which), None][1],
            lambda *which: [deleting(*which), True][1],
            compare_then_delete,
            keeps_the_lock,
            lambda db, id, worker: sql(db, "DELETE FROM jobs WHERE id = :id", id=id).rowcount == 1,
            lambda db, id, worker: sql(db, "DELETE FROM jobs WHERE locked_by = :w", w=worker).rowcount == 1,
        ],
    ),
}
