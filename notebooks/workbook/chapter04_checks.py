"""The checks of chapter 4's exercises: what is wrong with the claim, or the finish, that a reader wrote.

What counts is the table afterwards, also when a rival acts between two of the answer's statements, wherever
it has more than one. How it is written does not.
"""

import random
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from workbook.chapter04 import Claim, database, one_update, skip_locked, sql

Finish = Callable[[Connection, int, str], Any]
Holders = dict[int, str | None]  # who has each job, by the job's id
RIVAL, OTHER = "the rival", "another worker"
MOST_STATEMENTS = 40
TURNS = 20  # of a rival who is quicker again and again: ten times, between a look and its claim
NO_FUNCTION = "Write a function, and leave its name and arguments as they are."
ENDLESS = f"It had sent {MOST_STATEMENTS} statements, and was not done: how does it end when no job is free?"
LEFT_OPEN = (
    "It left a transaction, or the result of a statement, open: as long as it is, nobody else can write."
)
REFUSED = (
    "The database was locked: it had looked before another worker wrote, and then could no longer write."
    " It must have the write lock before it looks."
)
STOPPED = (
    "It stopped at a job that another worker was just claiming, and did not go on to the next one:"
    " what looks must lock what it finds, and leave what others have locked."
)
CAME_BETWEEN = "Another worker came between two of its statements"
NOTHING_RETURNED = "It did its work, but returned None: is a `return` missing?"


class EndlessError(Exception):
    """The answer goes on sending statements."""


@dataclass(frozen=True)
class Played:
    """What an answer returned; the jobs before it, with what the rival got meanwhile; and those after it."""

    got: Any
    before: Holders
    after: Holders
    locked: bool  # afterwards the rival could not write


class Contest:
    """A table of jobs, a connection for the answer, and a rival's, who can act between its statements."""

    def __init__(
        self, engine: Engine, db: Connection, rival: Connection, act: Callable[[Connection], int | None]
    ):
        """`act` returns the id of the job that the rival has got, or None."""
        self.sqlite = engine.dialect.name == "sqlite"
        self.db, self.rival, self.act = db, rival, act
        for each in (db, rival):
            sql(each, "PRAGMA busy_timeout = 50" if self.sqlite else "SET lock_timeout = '500ms'")
        sql(rival, "CREATE TABLE jobs (id INTEGER PRIMARY KEY, handler TEXT, locked_by TEXT)")
        self.sent = 0
        self.turns: Collection[int] = ()
        self.before: Holders = {}
        event.listen(engine, "before_cursor_execute", self._sends)

    def _sends(self, connection: Connection, *_: Any) -> None:
        if connection is self.rival:
            return
        self.sent += 1
        if self.sent > MOST_STATEMENTS:
            raise EndlessError
        if self.sent in self.turns:
            with suppress(OperationalError):  # it was locked out
                if (id := self.act(self.rival)) is not None:
                    self.before[id] = RIVAL

    def play(
        self, jobs: Holders, answer: Callable[..., Any], *given: Any, turns: Collection[int] = ()
    ) -> Played:
        """Call the answer with these jobs in the table; the rival acts just before its statements `turns`.

        Raises EndlessError, or OperationalError when the answer finds the table locked.
        """
        sql(self.rival, "DELETE FROM jobs")
        for id in random.sample(sorted(jobs), len(jobs)):
            insert = "INSERT INTO jobs (id, handler, locked_by) VALUES (:id, 'count me', :who)"
            sql(self.rival, insert, id=id, who=jobs[id])
        self.sent, self.turns, self.before = 0, turns, dict(jobs)
        got = answer(self.db, *given)
        self.turns = ()
        try:
            sql(self.rival, "UPDATE jobs SET handler = 'seen'")
        except OperationalError:
            return Played(got, self.before, {}, locked=True)
        after: Holders = {row.id: row.locked_by for row in sql(self.rival, "SELECT id, locked_by FROM jobs")}
        return Played(got, self.before, after, locked=False)

    def disturbed(self, jobs: Holders, answer: Callable[..., Any], *given: Any) -> Iterator[Played]:
        """Play it once for each gap between two of its statements, in which the rival acts."""
        for at in range(2, MOST_STATEMENTS + 1):
            played = self.play(jobs, answer, *given, turns=[at])
            if self.sent < at:
                return
            yield played


def claims_on_sqlite(claim: Claim) -> bool | str:
    """Does it claim the first free job, and no other, whoever comes between its statements?"""
    return _verdict("sqlite", claim, _wrong_with_claim, lambda db: one_update(db, RIVAL))


def claims_on_postgresql(claim: Claim) -> bool | str:
    """The same; and does it go on to the next job at once when another worker is just claiming one?"""
    return _verdict("postgresql", claim, _wrong_with_claim, lambda db: skip_locked(db, RIVAL))


def finishes_its_own_only(finish: Finish) -> bool | str:
    """Does it delete only this worker's job, whoever comes between its statements, and say whether it did?"""
    given_to_rival = f"UPDATE jobs SET locked_by = '{RIVAL}' WHERE locked_by LIKE 'worker %' RETURNING id"
    return _verdict("sqlite", finish, _wrong_with_finish, lambda db: sql(db, given_to_rival).scalar())


def _verdict(
    kind: str,
    answer: Any,
    wrong: Callable[[Contest, Any], Iterator[str]],
    act: Callable[[Connection], int | None],
) -> bool | str:
    if not callable(answer):
        return NO_FUNCTION
    with database(kind) as engine, engine.connect() as db, engine.connect() as rival:
        try:
            return next(wrong(Contest(engine, db, rival, act), answer), True)
        except EndlessError:
            return ENDLESS
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == "55P03":  # lock_not_available
                return STOPPED
            said = str(error.orig).partition("\n")[0]
            return REFUSED if "is locked" in said else f"The database said: {said}, in {error.statement}"


# ---- claims


def _wrong_with_claim(contest: Contest, claim: Claim) -> Iterator[str]:
    for free in (4, 1, 3):
        jobs, worker = _some_jobs(free), f"worker {random.randrange(1000)}"
        left = jobs
        for _ in range(free + 1):
            played = contest.play(left, claim, worker)
            yield from _wrong_claim(played, worker)
            left = played.after
        for played in contest.disturbed(jobs, claim, worker):
            yield from _wrong_claim(played, worker)
        if not contest.sqlite:
            yield from _wrong_claim(_beside_another(contest, jobs, claim, worker), worker)
    often = contest.play(_some_jobs(TURNS + 2), claim, "a worker", turns=range(2, TURNS + 2))
    yield from _wrong_claim(often, "a worker")


def _beside_another(contest: Contest, jobs: Holders, claim: Claim, worker: str) -> Played:
    """Play it while the rival's claim is not yet committed."""

    def late(db: Connection, worker: str) -> Any:
        sql(contest.rival, "BEGIN")
        try:
            return claim(db, worker)
        finally:
            sql(contest.rival, "COMMIT")

    return contest.play(jobs, late, worker, turns=[1])


def _some_jobs(free: int) -> Holders:
    """Holders with ids at random; the first of them and two others are somebody else's."""
    first, *ids = sorted(random.sample(range(1, 1000), free + 3))
    held = {first, *random.sample(ids, 2)}
    return {id: OTHER if id in held else None for id in (first, *ids)}


def _wrong_claim(played: Played, worker: str) -> Iterator[str]:
    got, before, after = played.got, played.before, played.after
    if not isinstance(got, int | None) or isinstance(got, bool):
        yield f"It must return the job's id, or None, and not {type(got).__name__}."
    if played.locked:
        yield LEFT_OPEN
    if before.keys() != after.keys():
        yield "A claim writes into locked_by: it neither deletes jobs nor adds any."
    free = [id for id, who in sorted(before.items()) if who is None]
    changed = [id for id in sorted(before) if before[id] != after[id]]
    for id in changed:
        if before[id] == RIVAL:
            took = f"{CAME_BETWEEN}, and claimed job {id}: then it took that job as well."
            yield f"{took} Can the statement that claims also look?"
        if before[id] is not None:
            yield "It took a job that another worker has."
        if after[id] != worker:
            yield "The job's locked_by must be the name of the worker."
    if len(changed) > 1:
        yield f"It claimed {len(changed)} jobs at once; its worker learns of one, and nobody does the others."
    if got is None and changed:
        yield NOTHING_RETURNED
    if got is None and free:
        late = "Another worker was quicker, and it" if RIVAL in before.values() else "It"
        yield f"{late} returned None although {len(free)} {'job is' if len(free) == 1 else 'jobs are'} free."
    if got is not None and [got] != changed:
        yield f"It returned {got}, but had claimed {f'job {changed[0]}' if changed else 'none'}."
    if changed and changed != free[:1]:
        yield "Of the free jobs, the one with the lowest id goes first."


# ---- finishes


def _wrong_with_finish(contest: Contest, finish: Finish) -> Iterator[str]:
    for _ in range(3):
        worker = f"worker {random.randrange(1000)}"
        mine, others, free, gone = random.sample(range(1, 1000), 4)
        jobs: Holders = {mine: worker, others: OTHER, free: None}
        for id in (others, free, gone, mine):
            yield from _wrong_finish(contest.play(jobs, finish, id, worker), id, worker)
        for played in contest.disturbed(jobs, finish, mine, worker):
            yield from _wrong_finish(played, mine, worker)


def _wrong_finish(played: Played, id: int, worker: str) -> Iterator[str]:
    got, who = played.got, played.before.get(id)
    if played.locked:
        yield LEFT_OPEN
    deleted = id in played.before and id not in played.after
    if deleted and who == RIVAL:
        yield f"{CAME_BETWEEN}, and was given the job: then it deleted that worker's job."
    if deleted and who != worker:
        yield f"It deleted a job that {'another worker' if who else 'nobody'} has: that stands in its row."
    if {**played.before, id: None} != {**played.after, id: None}:
        yield "It may change no other job."
    if who == worker and not deleted:
        yield "The job is this worker's, and was not deleted."
    if got is None:
        yield NOTHING_RETURNED
    if not isinstance(got, bool):
        yield f"It must return True or False, and not {type(got).__name__}."
    if got is not (who == worker):
        yield f"It returned {got} for a job that {'was' if who == worker else 'was not'} this worker's."
