"""Was it the app that was measured, or the machine and the load generator? And had it settled? Pure.

A step that fails a check of fitness proves nothing: its figures are shown as unfit, and are in no chart. One
that is not steady was still on its way somewhere: it is marked.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.records.rows import Row

MOST_LAG_MS = 10.0  # how late the generator may be, at its 99th percentile
MOST_HOST_CPU = 80.0  # percent of all cores
MOST_GENERATOR_CPU = 80.0  # percent of the one core that it can use
MOST_LITTLE_ERROR = 0.05  # relative, beside what chance does to it
MOST_NOT_SENT = 0.02  # share of open load's visits
MOST_DRIFT = 1.5  # times: between the medians of the two halves of the measured time
SURE = 4.0  # standard errors: half a step in 10,000 is called unsteady by chance
VISITS = ("content", "browse")  # the rows that are a whole visit each; the others are parts of one


@dataclass(frozen=True)
class Little:
    """Little's law over the rows of a closed step: users = X (R + Z), in its operational form.

    The time that all visits (X R a second) and all thinking between them (X Z a second) fill in a window,
    over the window's length, is the number of users who were there. One who vanished, or a row that was lost,
    is missing in it. Source: Denning and Buzen, "The Operational Analysis of Queueing Network Models", ACM
    Computing Surveys 10 (1978).
    """

    users: float
    error: float  # relative to the users that were asked for
    chance: float  # how large the error may be by chance

    @property
    def holds(self) -> bool:
        return self.error <= MOST_LITTLE_ERROR + self.chance


def little(rows: Sequence[Row], start: float, end: float, users: int) -> Little:
    """Hold Little's law against all `rows` of a step, in the window from `start` to `end` (seconds).

    Thinking is seen by the visit that ends it. So the window is cut where thinking that began in it would be
    likely not to have ended before the last that is known.
    """
    visits: list[tuple[float, float]] = []
    thinking: list[tuple[float, float]] = []
    before: dict[int, float] = {}  # when each user's visit before ended
    for row in sorted((row for row in rows if row.group in VISITS), key=lambda row: row.intended_s):
        visits.append((row.intended_s, math.inf if row.done_s is None else row.done_s))
        thinking.append((before.get(row.user, 0.0), row.intended_s))
        before[row.user] = visits[-1][1]
    if not visits:
        return Little(0.0, 1.0, 0.0)
    think = sum(done - began for began, done in thinking) / len(thinking)
    last = max(visits[-1][0], min(end, max(done for _, done in visits)))  # the last that is known of anybody
    end = min(end, max(last - 3 * think, (start + last) / 2))
    filled = sum(max(0.0, min(done, end) - max(began, start)) for began, done in visits + thinking)
    found = filled / (end - start) if end > start else 0.0
    return Little(found, abs(found - users) / users, think / max(end - start, think) / math.sqrt(users))


def unfit_reasons(
    *,
    lag_p99_ms: float = 0.0,
    host_cpu_percent: float = 0.0,
    generator_cpu_percent: float = 0.0,
    users: tuple[int, int] | None = None,
    little: Little | None = None,
    visits: tuple[int, int, int] | None = None,
    counts: tuple[int, int, int] | None = None,
) -> list[str]:
    """Why a step proves nothing, each reason with its figure; empty when the step is fit.

    `users`: asked for, there at most. `visits` of open load: planned, sent, dropped. `counts`: requests that
    the client got an answer to, that the server took, that the client sent.
    """
    reasons = []
    if lag_p99_ms > MOST_LAG_MS:
        reasons.append(
            f"the load generator was late by {lag_p99_ms:.1f} ms (p99, at most {MOST_LAG_MS:g} ms)"
        )
    if host_cpu_percent > MOST_HOST_CPU:
        reasons.append(f"the machine was {host_cpu_percent:.0f} % busy (at most {MOST_HOST_CPU:g} %)")
    if generator_cpu_percent > MOST_GENERATOR_CPU:
        reasons.append(
            f"the load generator used {generator_cpu_percent:.0f} % of its core"
            f" (at most {MOST_GENERATOR_CPU:g} %)"
        )
    if users and users[0] != users[1]:
        reasons.append(f"{users[1]} of {users[0]} users were there")
    if little and not little.holds:
        reasons.append(
            f"Little's law finds {little.users:.1f} users, off by {little.error:.0%}"
            f" (at most {MOST_LITTLE_ERROR + little.chance:.0%})"
        )
    if visits:
        planned, sent, dropped = visits
        if dropped:
            reasons.append(f"{dropped} of {planned} visits were dropped: too many were in flight")
        if planned - dropped - sent > MOST_NOT_SENT * planned:
            reasons.append(f"{sent} of {planned} visits were sent (at least {1 - MOST_NOT_SENT:.0%})")
    if counts:
        answered, taken, sent = counts
        if not answered <= taken <= sent:
            reasons.append(
                f"the web server took {taken} requests, but the load generator sent {sent}"
                f" and got {answered} answers"
            )
    return reasons


def unsteady_reasons(
    latencies: Mapping[str, tuple[Sequence[float], Sequence[float]]], backlogs: Sequence[int] = ()
) -> list[str]:
    """In what the second half of the measured time differs from the first; empty when it is steady.

    `latencies` in ms of both halves, by what they are of. They differ if their medians do by more than
    MOST_DRIFT times, and ranks say that this is no chance. `backlogs`: jobs that waited, in order of time.
    """
    reasons = []
    for name, (first, second) in latencies.items():
        if len(first) < 5 or len(second) < 5:
            continue
        before, after = median(first), median(second)
        drifted = max(before, after) > MOST_DRIFT * min(before, after)
        if drifted and abs(rank_sum_z(first, second)) > SURE:
            reasons.append(f"the median of {name} went from {before:.0f} to {after:.0f} ms")
    middle = len(backlogs) // 2
    if middle:
        early, late = (sum(part) / len(part) for part in (backlogs[:middle], backlogs[middle:]))
        if late > MOST_DRIFT * early + 5:
            reasons.append(f"the backlog grew from {early:.0f} to {late:.0f} jobs")
    return reasons


def rank_sum_z(first: Sequence[float], second: Sequence[float]) -> float:
    """How many standard errors the ranks of `second` lie above what they would be by chance.

    Source: Mann and Whitney, Annals of Mathematical Statistics 18 (1947); the normal approximation, ties get
    their mean rank.
    """
    pooled = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks, place = 0.0, 0
    while place < len(pooled):
        beyond = place
        while beyond < len(pooled) and pooled[beyond][0] == pooled[place][0]:
            beyond += 1
        ranks += (place + 1 + beyond) / 2 * sum(half for _, half in pooled[place:beyond])
        place = beyond
    m, n = len(first), len(second)
    expected, spread = n * (m + n + 1) / 2, math.sqrt(m * n * (m + n + 1) / 12)
    return (ranks - expected) / spread
