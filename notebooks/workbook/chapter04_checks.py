"""The checks of chapter 4's exercises: what is wrong with the claim, or the finish, that a reader wrote.

What counts is what is in the table afterwards, with a rival who acts between two of its statements, wherever
it has more than one. How it is written does not.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from workbook.chapter04 import Claim, database, one_update, skip_locked, sql

Finish = Callable[[Connection, int, str], Any]
Jobs = dict[int, str | None]  # who has each job, by the job's id
RIVAL, OTHER = "the rival", "another worker"
MOST_STATEMENTS = 40
NO_FUNCTION = "Write a function, and leave its name and arguments as they are."
ENDLESS = f"It had sent {MOST_STATEMENTS} statements, and was not done: how does it end when no job is free?"
LEFT_OPEN = "It left a transaction, or the result of a statement, open: as long as it is, nobody else can write."
REFUSED = (
    "The database was locked: it had looked before another worker wrote, and then could no longer write."
    " It must have the write lock before it looks."
)
STOPPED = "It stopped at a job that another worker was just claiming, and did not go on to the next one."
CAME_BETWEEN = "Another worker came between two of its statements"


class Endless(Exception):
    """The answer goes on sending statements."""


class Stage:
    """A table of jobs, a connection for the answer, and a rival's, who can act between its statements."""

    def __init__(self, engine: Engine, db: Connection, rival: Connection):
        self.sqlite = engine.dialect.name == "sqlite"
        self.db, self.rival = db, rival
        for each in (db, rival):
            sql(each, "PRAGMA busy_timeout = 50" if self.sqlite else "SET lock_timeout = '500ms'")
        columns = "id INTEGER PRIMARY KEY, handler TEXT, locked_by TEXT"
        sql(self.rival, f"CREATE TABLE jobs ({columns})")
        self.sent, self.at = 0, 0
        self.act: Callable[[], None] = lambda: None
        event.listen(engine, "before_cursor_execute", self._before)

    def _before(self, connection: Connection, *_: Any) -> None:
        if connection is not self.rival:
            self.sent += 1
            if self.sent > MOST_STATEMENTS:
                raise Endless
            if self.sent == self.at:
                self.act()

    def play(
        self, jobs: Jobs, answer: Callable[[Connection], Any], act: Callable[[], None] | None = None, at: int = 0
    ) -> tuple[Any, Jobs]:
        """What `answer` returns with these jobs in the table, and the jobs afterwards.

        The rival does `act` just before the answer's statement number `at`. Raises Endless, or OperationalError
        if the answer or, afterwards, the rival finds the table locked.
        """
        sql(self.rival, "DELETE FROM jobs")
        for id in random.sample(sorted(jobs), len(jobs)):
            insert = "INSERT INTO jobs (id, handler, locked_by) VALUES (:id, 'count me', :who)"
            sql(self.rival, insert, id=id, who=jobs[id])
        self.sent, self.at, self.act = 0, at, act or self.act
        got = answer(self.db)
        self.at = 0
        try:
            sql(self.rival, "UPDATE jobs SET handler = 'seen'")
        except OperationalError:
            return LEFT_OPEN, {}
        return got, {id: who for id, who in sql(self.rival, "SELECT id, locked_by FROM jobs")}


def claims_on_sqlite(claim: Claim) -> bool | str:
    """Does it claim the first free job, and no other, whoever comes between its statements?"""
    return _verdict("sqlite", claim, _wrong_with_claim)


def claims_on_postgresql(claim: Claim) -> bool | str:
    """The same; and does it go on to the next job at once when another worker is just claiming one?"""
    return _verdict("postgresql", claim, _wrong_with_claim)


def finishes_its_own_only(finish: Finish) -> bool | str:
    """Does it delete only this worker's job, whoever comes between its statements, and say whether it did?"""
    return _verdict("sqlite", finish, _wrong_with_finish)


def _verdict(kind: str, answer: Any, wrong: Callable[[Stage, Any], Iterator[str | None]]) -> bool | str:
    if not callable(answer):
        return NO_FUNCTION
    with database(kind) as engine, engine.connect() as db, engine.connect() as rival:
        stage = Stage(engine, db, rival)
        try:
            return next(filter(None, wrong(stage, answer)), True)
        except Endless:
            return ENDLESS
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == "55P03":  # lock_not_available
                return STOPPED
            if "is locked" in str(error.orig):
                return REFUSED
            raise


# ---- claims


def _wrong_with_claim(stage: Stage, claim: Claim) -> Iterator[str | None]:
    rivals_claim = one_update if stage.sqlite else skip_locked
    for free in (4, 1, 3):
        jobs, worker = _some_jobs(free), f"worker {random.randrange(1000)}"
        left = jobs
        for _ in range(free + 1):
            before = left
            got, left = stage.play(before, lambda db: claim(db, worker))
            yield _wrong_claim(got, before, left, worker)
        for at in range(2, MOST_STATEMENTS):
            taken: list[int | None] = []

            def act() -> None:
                with suppress(OperationalError):  # locked out
                    taken.append(rivals_claim(stage.rival, RIVAL))

            got, left = stage.play(jobs, lambda db: claim(db, worker), act, at)
            if stage.sent < at:
                break
            yield _wrong_claim(got, jobs | {id: RIVAL for id in taken if id is not None}, left, worker)
        if not stage.sqlite:
            yield _wrong_beside_another(stage, claim, jobs, worker)


def _wrong_beside_another(stage: Stage, claim: Claim, jobs: Jobs, worker: str) -> str | None:
    """What it does while another worker's claim is not yet committed."""
    taken: list[int | None] = []

    def beside(db: Connection) -> Any:
        sql(stage.rival, "BEGIN")
        taken.append(skip_locked(stage.rival, RIVAL))
        try:
            return claim(db, worker)
        finally:
            sql(stage.rival, "COMMIT")

    got, left = stage.play(jobs, beside)
    return _wrong_claim(got, jobs | {id: RIVAL for id in taken if id is not None}, left, worker)


def _some_jobs(free: int) -> Jobs:
    """Jobs with ids at random, some of which others have: the first of all, and of two more at most."""
    first, *ids = sorted(random.sample(range(1, 1000), free + 3))
    held = random.sample(ids, 2)
    return {first: OTHER} | {id: OTHER if id in held else None for id in ids}


def _wrong_claim(got: Any, before: Jobs, after: Jobs, worker: str) -> str | None:
    """What is wrong with a claim that returned `got`; `before` includes what the rival has claimed meanwhile."""
    if got is LEFT_OPEN:
        return LEFT_OPEN
    if not isinstance(got, int | None) or isinstance(got, bool):
        return f"It must return the job's id, or None, and not {type(got).__name__}."
    if before.keys() != after.keys():
        return "A claim writes into locked_by: it neither deletes jobs nor adds any."
    free = [id for id, who in sorted(before.items()) if who is None]
    changed = [id for id in sorted(before) if before[id] != after[id]]
    for id in changed:
        if before[id] == RIVAL:
            return f"{CAME_BETWEEN}, and claimed job {id}: then it took that job as well."
        if before[id] is not None:
            return "It took a job that another worker has."
        if after[id] != worker:
            return "The job's locked_by must be the name of the worker."
    if len(changed) > 1:
        return f"It claimed {len(changed)} jobs at once; its worker learns of one, and nobody does the others."
    if got is None and changed:
        return "It claimed a job, but returned None: is a `return` missing?"
    if got is None and free:
        late = RIVAL in before.values()
        said = "Another worker was quicker, and it returned None" if late else "It returned None"
        return f"{said} although {len(free)} {'job is' if len(free) == 1 else 'jobs are'} free."
    if [got] != (changed or [None]):
        claimed = f"had claimed job {changed[0]}" if changed else "had claimed none"
        return f"It returned {got}, but {claimed}."
    if changed and changed != free[:1]:
        return "Of the free jobs, the one with the lowest id goes first."
    return None


# ---- finishes


def _wrong_with_finish(stage: Stage, finish: Finish) -> Iterator[str | None]:
    for _ in range(3):
        worker = f"worker {random.randrange(1000)}"
        mine, others, free, gone = random.sample(range(1, 1000), 4)
        jobs: Jobs = {mine: worker, others: OTHER, free: None}
        for id in (others, free, gone, mine):
            got, left = stage.play(jobs, lambda db: finish(db, id, worker))
            yield _wrong_finish(got, jobs, left, id, worker)
        for at in range(2, MOST_STATEMENTS):
            given: list[int] = []

            def act() -> None:
                with suppress(OperationalError):
                    change = "UPDATE jobs SET locked_by = :rival WHERE id = :id"
                    given.append(sql(stage.rival, change, rival=RIVAL, id=mine).rowcount)

            got, left = stage.play(jobs, lambda db: finish(db, mine, worker), act, at)
            if stage.sent < at:
                break
            yield _wrong_finish(got, jobs | ({mine: RIVAL} if any(given) else {}), left, mine, worker)


def _wrong_finish(got: Any, before: Jobs, after: Jobs, id: int, worker: str) -> str | None:
    """What is wrong with a finish that returned `got`; `before` includes what the rival was given meanwhile."""
    if got is LEFT_OPEN:
        return LEFT_OPEN
    who = before.get(id)
    is_mine = who == worker
    if not is_mine and id in before and id not in after:
        if who == RIVAL:
            return f"{CAME_BETWEEN}, and was given the job: then it deleted that worker's job."
        return f"It deleted a job that {'another worker' if who else 'nobody'} has."
    if {**before, id: None} != {**after, id: None}:
        return "It may change no other job."
    if is_mine and id in after:
        return "The job is this worker's, and was not deleted."
    if got is None:
        return "It returned None: is a `return` missing?"
    if not isinstance(got, bool):
        return f"It must return True or False, and not {type(got).__name__}."
    if got is not is_mine:
        return f"It returned {got} for a job that {'was' if is_mine else 'was not'} this worker's."
    return None
