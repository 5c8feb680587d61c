"""Did a step measure the app, or the machine and the load generator? And had it settled? Pure.

A step in which less was offered than asked for proves nothing: it is *not fit*, and left out of the charts.
One in which the machine was full or the generator late is *slowed*: that only makes latencies longer, so they
are upper bounds, which can prove that the rule was kept, but not that it was broken. This file alone decides
which reason is of which kind. A step that is not steady had not settled: it is marked.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.judging.samples import nearest_rank
from loadtests.records.rows import Row
from loadtests.wording import percent

MOST_LAG_MS = 10.0  # of the generator's lag, at its 99th percentile
MOST_SENT_LATE = 0.1  # of the rule: how late open load's visits may be sent, at their 99th percentile
MOST_HOST_CPU = 80.0  # percent of all cores
MOST_GENERATOR_CPU = 80.0  # percent of the one core that it can use
MOST_LITTLE_ERROR = 0.05  # relative, on top of what chance allows
MOST_NOT_SENT = 0.02  # share of the load that was asked for
STANDSTILL_MS = 100.0  # a generator that is later than this sends nothing for a while
MOST_DRIFT = 1.5  # ratio of the medians of the two halves of the measured time
SURE = 4.0  # standard errors: chance alone exceeds them in 6 of 100,000 comparisons
VISITS = ("content", "browse")  # groups whose rows are whole visits; the others are parts of one


@dataclass(frozen=True)
class Little:
    """Little's law over the rows of a closed step: users = X (R + Z), in its operational form.

    The time that visits (X R a second) and the thinking between them (X Z a second) take up in a window,
    divided by the window's length, is the number of users. A vanished user or a lost row lowers it. Source:
    Denning and Buzen, "The Operational Analysis of Queueing Network Models", ACM Computing Surveys 10 (1978).
    """

    users: float
    error: float  # relative to the users asked for
    chance: float  # how large the error may be by chance

    @property
    def holds(self) -> bool:
        return self.error <= MOST_LITTLE_ERROR + self.chance


def little(rows: Sequence[Row], start: float, end: float, users: int) -> Little:
    """Check Little's law on all `rows` of a step, in the window from `start` to `end` (seconds).

    Think time is only known once the next visit begins. So the window is cut to end three mean think times
    before the last known event, but no earlier than halfway from `start` to it.
    """
    visits: list[tuple[float, float]] = []
    thinking: list[tuple[float, float]] = []
    before: dict[int, float] = {}  # when each user's previous visit ended
    for row in sorted((row for row in rows if row.group in VISITS), key=lambda row: row.intended_s):
        visits.append((row.intended_s, math.inf if row.done_s is None else row.done_s))
        thinking.append((before.get(row.user, 0.0), row.intended_s))
        before[row.user] = visits[-1][1]
    if not visits:
        return Little(0.0, 1.0, 0.0)
    think = sum(done - began for began, done in thinking) / len(thinking)
    last = max(visits[-1][0], min(end, max(done for _, done in visits)))  # the last known event
    end = min(end, max(last - 3 * think, (start + last) / 2))
    filled = sum(max(0.0, min(done, end) - max(began, start)) for began, done in visits + thinking)
    found = filled / (end - start) if end > start else 0.0
    return Little(found, abs(found - users) / users, think / max(end - start, think) / math.sqrt(users))


def sent_late_ms(rows: Sequence[Row]) -> float:
    """How late the first requests of open load's visits were sent, at p99, in ms. Zero if none was late.

    A visit's later requests are due when they are sent.
    """
    sent = [(row.intended_s, row.sent_s) for row in rows if row.sent_s is not None]
    late = [(at - intended) * 1000 for intended, at in sent if at > intended]
    return nearest_rank(late, 99) if late else 0.0


def not_sent(requests: Iterable[Row], lags_ms: Sequence[float], seconds: float) -> float:
    """The share of closed load that a late generator did not send in `seconds`, an upper estimate.

    A user's wait between two requests lasts longer by the lag at its end: on average by the mean lag, and
    never by more than the whole wait. While the generator stands still nobody sends, however long the waits.
    """
    mean = sum(lags_ms) / len(lags_ms) / 1000
    lost, users = 0.0, set()
    free: dict[int, float | None] = {}  # when each user's previous request was answered
    for row in sorted(requests, key=lambda row: row.intended_s):
        users.add(row.user)
        if (before := free.get(row.user)) is not None:
            lost += min(mean, max(0.0, row.intended_s - before))
        free[row.user] = row.done_s
    standing_still = sum(ms > STANDSTILL_MS for ms in lags_ms) / len(lags_ms)
    return max(standing_still, lost / (len(users) * seconds) if users else 0.0)


def slowed_reasons(
    *,
    lag_p99_ms: float = 0.0,
    sent_late: tuple[float, float] = (0.0, 0.0),
    host_cpu_percent: float = 0.0,
    generator_cpu_percent: float = 0.0,
) -> list[str]:
    """Why a step's latencies are upper bounds, each reason with its figure; empty if they are not.

    `sent_late`: how many ms late open load's visits were sent, and the limit. Latencies include that wait.
    """
    reasons = []
    if lag_p99_ms > MOST_LAG_MS:
        reasons.append(
            f"the load generator was late by {lag_p99_ms:.1f} ms (p99, at most {MOST_LAG_MS:g} ms)"
        )
    late, latest = sent_late
    if late > latest:
        reasons.append(
            f"visits were sent {late:.0f} ms late (p99, at most {latest:g} ms): the load generator was late,"
            " or their users paused before they sent anything"
        )
    if host_cpu_percent > MOST_HOST_CPU:
        reasons.append(f"the machine was {host_cpu_percent:.0f} % busy (at most {MOST_HOST_CPU:g} %)")
    if generator_cpu_percent > MOST_GENERATOR_CPU:
        reasons.append(
            f"the load generator used {generator_cpu_percent:.0f} % of its core"
            f" (at most {MOST_GENERATOR_CPU:g} %)"
        )
    return reasons


def unfit_reasons(
    *,
    not_sent: float = 0.0,
    users: tuple[int, int] | None = None,
    little: Little | None = None,
    visits: tuple[int, int, int] | None = None,
    counts: tuple[int, int, int] | None = None,
    put_off: Sequence[str] = (),
) -> list[str]:
    """Why a step proves nothing, each reason with its figure; empty when the step is fit.

    `not_sent`: the share of closed load. `users`: asked for, present. `visits` of open load: planned, sent,
    dropped. `counts`: requests that the client got an answer to, that the server took, that the client sent.
    `put_off`: how the backlog grew in a slowed step. Jobs that wait don't compete with the requests, which
    may be faster for it.
    """
    reasons = []
    if not_sent > MOST_NOT_SENT:
        reasons.append(
            f"the load generator was so late that it sent about {percent(not_sent)} less than its users would"
            f" have (at most {percent(MOST_NOT_SENT)})"
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
    return reasons + [f"{grew}: the work was put off" for grew in put_off]


def unsteady_reasons(
    latencies: Mapping[str, tuple[Sequence[float], Sequence[float]]], backlogs: Sequence[int] = ()
) -> list[str]:
    """How the second half of the measured time differs from the first; empty when the step is steady.

    `latencies`: those of both halves in ms, by name. They differ if their medians do by more than a factor of
    MOST_DRIFT, and a rank test rules out chance. `backlogs`: waiting jobs, in time order.
    """
    reasons = []
    for name, (first, second) in latencies.items():
        if len(first) < 5 or len(second) < 5:
            continue
        before, after = median(first), median(second)
        drifted = max(before, after) > MOST_DRIFT * min(before, after)
        if drifted and abs(rank_sum_z(first, second)) > SURE:
            reasons.append(f"the median of {name} went from {before:.0f} to {after:.0f} ms")
    return reasons + growth(backlogs)


def growth(backlogs: Sequence[int]) -> list[str]:
    """How the backlog of waiting jobs grew from the first half of the measured time to the second."""
    middle = len(backlogs) // 2
    if not middle:
        return []
    early, late = (sum(part) / len(part) for part in (backlogs[:middle], backlogs[middle:]))
    if late <= MOST_DRIFT * early + 5:
        return []
    return [f"the backlog grew from {early:.0f} to {late:.0f} jobs"]


def rank_sum_z(first: Sequence[float], second: Sequence[float]) -> float:
    """How many standard errors the ranks of `second` lie above their expectation if nothing differed.

    Source: Mann and Whitney, Annals of Mathematical Statistics 18 (1947); by the normal approximation;
    ties get their mean rank.
    """
    pooled = sorted([*first, *second])
    ranks = sum(bisect_left(pooled, value) + bisect_right(pooled, value) + 1 for value in second) / 2
    m, n = len(first), len(second)
    expected, spread = n * (m + n + 1) / 2, math.sqrt(m * n * (m + n + 1) / 12)
    return (ranks - expected) / spread
