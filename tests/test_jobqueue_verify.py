"""`jobqueue verify`: would every queued payload still load with this code?"""

from dataclasses import dataclass

import pytest
from commands_for_tests import NOON, Command, claimed, name_of
from jobs_for_tests import Article, Base, Call, Fail, Say, said
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from jobqueue import Queue, Worker, job
from jobqueue.schema import tables
from jobqueue.tools import verifying
from jobqueue.tools.verifying import verify

jobs = tables().jobs

pytest_plugins = ["queue_fixtures", "command_fixtures"]


@job
@dataclass
class Picky:
    """A job whose class rejects some arguments."""

    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ArithmeticError("below zero")

    def perform(self) -> None:
        raise AssertionError("verify performs nothing")


def write(queue: Queue, id: int, handler: str) -> None:
    """Overwrite the job's handler."""
    with queue.writer.begin() as connection:
        connection.execute(update(jobs).where(jobs.c.id == id).values(handler=handler))


def articles(queue: Queue, count: int) -> list[int]:
    """Enqueue mapped objects; returns the jobs' ids."""
    with Session(queue.writer) as session:
        new = [Article(title=str(n)) for n in range(count)]
        session.add_all(new)
        ids = [queue.enqueue(article, session=session) for article in new]
        session.commit()
    return ids


def test_jobs_that_would_load_are_counted(
    queue: Queue, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit status is 0. Running jobs are checked too, failed ones are not; nothing is performed."""
    monkeypatch.setattr(verifying, "PAGE_JOBS", 2)
    verified = ("verify", "--import", "jobs_for_tests")
    assert command(*verified) == (0, "no jobs to check\n", "")
    queue.enqueue(Fail("x"), max_attempts=1, now=NOON)
    Worker(queue).work_off(now=NOON)
    write(queue, 1, "this one has failed already")
    queue.enqueue(Say("x"), now=NOON)
    claimed(queue, name_of(1), NOON)
    queue.enqueue(Picky(1))
    articles(queue, 2)
    assert command(*verified) == (0, "fine: checked 4 jobs, and all would load\n", "")
    assert command(*verified, "--json").json() == {"checked": 4, "broken": 0, "reasons": []}
    assert said == []


def test_jobs_that_would_not_load_are_told_by_reason(
    queue: Queue, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit status is 1; similar jobs are counted together, with the ids of the first few."""
    monkeypatch.setattr(verifying, "PAGE_JOBS", 3)
    fine, gone, *also_gone = articles(queue, 4)
    with queue.writer.begin() as connection:
        connection.execute(delete(Article).where(Article.id > 1))
    for n in range(7):
        write(queue, queue.enqueue(Say("x")), f'{{"job":"Say","arguments":{{"words":{n}}}}}')
    foreign = queue.enqueue(Say("x"))
    write(queue, foreign, "--- !ruby/object\n1: 'x'")
    unknown = queue.enqueue(Say("x"))
    write(queue, unknown, '{"job":"Gone","arguments":{}}')
    picky = queue.enqueue(Picky(1))
    write(queue, picky, '{"job":"Picky","arguments":{"number":-1}}')
    answer = command("verify", "--import", "jobs_for_tests", "--json")
    assert answer.status == 1
    verdict = answer.json()
    assert (verdict["checked"], verdict["broken"]) == (14, 13)
    assert verdict["reasons"] == [
        {
            "reason": "The payload no longer fits Say: Say.__init__() got an unexpected keyword argument"
            " 'words'",
            "count": 7,
            "ids": [5, 6, 7, 8, 9],
        },
        {"reason": "Article is no longer in the database", "count": 3, "ids": [gone, *also_gone]},
        {"reason": "The handler is not what jobqueue writes", "count": 1, "ids": [foreign]},
        {"reason": verdict["reasons"][3]["reason"], "count": 1, "ids": [unknown]},
        {"reason": "The payload no longer fits Picky: below zero", "count": 1, "ids": [picky]},
    ]
    assert verdict["reasons"][3]["reason"].startswith("No job is registered as 'Gone'")
    status, out, _ = command("verify", "--import", "jobs_for_tests")
    assert status == 1 and fine not in verdict["reasons"][1]["ids"]
    assert out.splitlines()[:6] == [
        "BROKEN: of 14 jobs, 13 would not load",
        "",
        "7 jobs (5, 6, 7, 8, 9, ...):",
        "  The payload no longer fits Say: Say.__init__() got an unexpected keyword",
        "  argument 'words'",
        "",
    ]
    assert f"3 jobs ({gone}, {also_gone[0]}, {also_gone[1]}):" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_table_that_is_gone_breaks_only_its_own_jobs(queue: Queue) -> None:
    """On PostgreSQL an error aborts the transaction; the jobs after it are checked all the same."""
    first, second = articles(queue, 2)
    queue.enqueue(Say("x"))
    Base.metadata.tables["articles"].drop(queue.engine)
    verdict = verify(queue)
    assert verdict.checked == 3
    (group,) = verdict.groups
    assert group.reason.startswith("Article can't be read from the database: ")
    assert (group.count, group.ids) == (2, [first, second])


def test_reasons_without_end_don_t_fill_the_memory(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every job fails for a different reason, the first reasons are listed and the others counted."""
    monkeypatch.setattr(verifying, "MOST_REASONS", 2)
    for n in range(4):
        write(queue, queue.enqueue(Call("x")), f'{{"job":"Call","arguments":{{"{n}":0}}}}')
    found = {group.reason: group.count for group in verify(queue).groups}
    assert list(found.values()) == [2, 1, 1]
    assert next(iter(found)) == "other reasons: see jobqueue explain ID --import MODULE"


def test_verify_needs_the_modules_that_register_jobs(command: Command) -> None:
    """Without --import, no job would load."""
    line = "jobqueue: name the modules that register your jobs, as for the worker: --import MODULE\n"
    assert command("verify") == (2, "", line)
    answer = command("verify", "--import", "no_such_module")
    assert (answer.status, answer.out) == (2, "") and "'no_such_module'" in answer.err
