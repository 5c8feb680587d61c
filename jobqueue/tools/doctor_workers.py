"""What `jobqueue doctor` checks on both databases: the workers, their limits, and the jobs they hold.

What each part of the order HTTP deadline < max_run_time < lease buys:

HTTP deadline < max_run_time: a request that hangs ends with the client's own precise error. In the reverse
order max_run_time ends the attempt first, but its thread can't be stopped: it hangs until the deadline, and
whatever it still does happens alongside the next attempt.

max_run_time < lease: the attempt is given up (and, by the first part, has really ended) before another worker
can claim the job, even when its own worker is cut off from the database and can't renew the lease. A worker
that is not cut off sends ten heartbeats per lease, so its jobs may well take longer than a lease, as the
defaults allow. In the reverse order all is well until a worker is cut off: then it and the worker that claims
the job next run it at the same time. The fence lets only one of them record the outcome, but what they do
outside the database is done twice.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, select

from jobqueue.ledger import BEATS, SILENCE
from jobqueue.options import TOO_MUCH
from jobqueue.schema import Tables, WorkerRow
from jobqueue.tools.findings import Finding, judge
from jobqueue.tools.looking import QueueStats, Stats, host_and_pid, is_silent, serves
from jobqueue.tools.printing import plural

AHEAD_SECONDS = 2.0  # of this machine's clock: harmless


@dataclass(frozen=True)
class Limits:
    """The least and the most of several max_run_times, in seconds."""

    least: float
    most: float


def examine(
    connection: Connection,
    tables: Tables,
    stats: Stats,
    lease: timedelta,
    deadline: float | None,
    now: datetime,
) -> Iterator[Finding]:
    """Check the workers. `lease` is the default one; `deadline` is the HTTP deadline, in seconds."""
    alive = [worker for worker in stats.workers if not is_silent(worker, now)]
    silent = [worker for worker in stats.workers if worker not in alive]
    held = sum(stats.held.get(worker.name, 0) for worker in silent)
    yield there(len(alive), len(silent))
    yield served(stats, alive)
    yield paused(stats)
    late = _count(connection, tables.running, tables.jobs.c.locked_at < now - lease)
    yield held_by_the_silent(max(held, late), bool(alive))
    if alive:
        yield hosts([worker.name for worker in alive], connection.dialect.name == "sqlite")
        yield names([worker.name for worker in alive])
        yield clocks(alive, now)
        yield leases(alive)
        yield from order(alive, _limits(connection, tables), deadline)


def there(alive: int, silent: int) -> Finding:
    if not alive:
        return Finding("warn", "workers", "none is alive, so nothing runs: start one with jobqueue work")
    figure = f"{alive} alive"
    if silent:
        text = f"{figure}, and {silent} fallen silent: did they die?"
        return Finding("warn", "workers", text)
    return Finding("ok", "workers", figure)


def served(stats: Stats, alive: Sequence[WorkerRow]) -> Finding:
    alone = [
        q
        for q in stats.queues
        if q.due and not q.paused and not any(serves(worker, q.name) for worker in alive)
    ]
    if not alone:
        return Finding("ok", "queues", "all with due jobs are served")
    text = f"no worker serves {_named(alone)}: start one with jobqueue work --queue NAME"
    return Finding("fail", "queues", text)


def paused(stats: Stats) -> Finding:
    """A queue may be paused on purpose, so this is a warning; but nobody is told if a pause is forgotten."""
    waiting = [queue for queue in stats.queues if queue.paused and queue.due]
    if not waiting:
        return Finding("ok", "paused", "no queue with due jobs")
    return Finding("warn", "paused", f"{_named(waiting)}: jobqueue resume NAME lets its jobs run")


def _named(queues: Sequence[QueueStats]) -> str:
    return ", ".join(f"{queue.name} ({plural(queue.due, 'due job')})" for queue in queues)


def held_by_the_silent(late: int, helped: bool) -> Finding:
    """`late`: how many jobs silent workers hold; `helped`: whether any worker is alive."""
    if not late:
        return Finding("ok", "leases held", "by workers that are alive")
    figure = f"{plural(late, 'job')} held by workers that fell silent"
    if helped:
        return Finding("warn", "leases held", f"{figure}: another worker is about to free them")
    return Finding("fail", "leases held", f"{figure}: start a worker to free them")


def hosts(workers: Sequence[str], sqlite: bool) -> Finding:
    """`workers`: the names of those that are alive."""
    found = {host_and_pid(name)[0] for name in workers}
    if sqlite and len(found) > 1:
        text = f"{len(found)} share SQLite's file, whose locks fail across a network: use PostgreSQL"
        return Finding("fail", "hosts", f"{text} ({', '.join(sorted(found))})")
    return Finding("ok", "hosts", plural(len(found), "host"))


def names(workers: Sequence[str]) -> Finding:
    """Workers with the same host name and process id are containers. The rest of their names tells them
    apart, but a reader of their logs can't.
    """
    twice = [place for place, count in Counter(map(host_and_pid, workers)).items() if count > 1]
    if twice:
        which = ", ".join(f"host:{host} pid:{pid}" for host, pid in twice)
        return Finding("warn", "names", f"several workers are {which}: give each container its own host name")
    return Finding("ok", "names", "each worker has its own host and pid")


def clocks(alive: Sequence[WorkerRow], now: datetime) -> Finding:
    """A worker last heard from in the future has a clock that is ahead of this machine's."""
    ahead, name = max(((worker.seen_at - now).total_seconds(), worker.name) for worker in alive)
    if ahead <= AHEAD_SECONDS:
        return Finding("ok", "workers' clocks", "none is ahead of this machine's")
    least = min(worker.lease for worker in alive)
    figure = f"the clock of {name} is {ahead:.1f} s ahead"
    advice = "it runs jobs too early, and presumes other workers dead; use NTP on all machines"
    return judge("workers' clocks", ahead, AHEAD_SECONDS, least / 3, figure, advice)


def leases(alive: Sequence[WorkerRow]) -> Finding:
    """A worker judges others' silence by its own lease, and sends BEATS heartbeats per its own lease.

    So jobs run twice if the longest lease's heartbeats come too seldom for the shortest. Until then a longer
    lease merely bears no longer pause than the shortest does.
    """
    least, most = min(worker.lease for worker in alive), max(worker.lease for worker in alive)
    if least == most:
        return Finding("ok", "leases", f"{least:g} s, for all workers")
    figure, silence = f"from {least:g} s to {most:g} s", least * SILENCE
    if most / BEATS >= silence:
        text = f"{figure}: the former take the latter for dead between two heartbeats, and run their jobs too"
        return Finding("fail", "leases", f"{text}; give all workers the same --lease")
    text = f"{figure}: whoever is silent for {silence:g} s loses its jobs; give all workers the same --lease"
    return Finding("warn", "leases", text)


def order(alive: Sequence[WorkerRow], own: Limits | None, deadline: float | None) -> Iterator[Finding]:
    """HTTP deadline < max_run_time < lease, for the workers' max_run_time and for the jobs' own."""
    lease = min(worker.lease for worker in alive)
    kinds = [
        (
            "max_run_time",
            Limits(min(w.max_run_time for w in alive), max(w.max_run_time for w in alive)),
            "start workers with --max-run-time",
        )
    ]
    if own:
        kinds.append(("jobs' own", own, "enqueue with a max_run_time"))
    for name, limits, how in kinds:
        yield _before(name, limits, deadline, how)
        yield _after(name, limits, lease, how)


def _before(name: str, limits: Limits, deadline: float | None, how: str) -> Finding:
    check = f"deadline < {name}"
    if deadline is None:
        return Finding("ok", check, "not checked: give your HTTP clients' deadline as --http-deadline S")
    if deadline < limits.least:
        return Finding("ok", check, f"{deadline:g} s < {limits.least:g} s")
    return Finding(
        "fail",
        check,
        f"{deadline:g} s is not below {limits.least:g} s: a job that was ended goes on in its thread, beside"
        f" its next attempt; {how} above {deadline:g}, or shorten the deadline",
    )


def _after(name: str, limits: Limits, lease: float, how: str) -> Finding:
    check = f"{name} < lease"
    if limits.most < lease:
        return Finding("ok", check, f"{limits.most:g} s < {lease:g} s")
    text = (
        f"{limits.most:g} s is not below {lease:g} s, but heartbeats renew the lease; only a worker that is"
        f" cut off from the database may run a job while another does: to rule it out, {how} below {lease:g}"
    )
    return Finding("ok", check, text)


def _limits(connection: Connection, tables: Tables) -> Limits | None:
    """Of waiting and running jobs; None when none has its own max_run_time."""
    J = tables.jobs.c
    least, most = connection.execute(
        select(func.min(J.max_run_time), func.max(J.max_run_time)).where(
            J.failed_at.is_(None), J.max_run_time.between(0, TOO_MUCH)
        )
    ).one()
    return None if least is None else Limits(least, most)


def _count(connection: Connection, *which: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).where(*which)) or 0
