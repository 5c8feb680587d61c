"""Helpers for chapter 10: requests that flatter, reports to be judged, and runs that are too short."""

import math
import random
from dataclasses import dataclass
from itertools import count

from loadtests.judging.fitness import Little, slowed_reasons, unfit_reasons
from loadtests.judging.intervals import percentile_ranks
from loadtests.judging.rule import word_of
from loadtests.judging.samples import nearest_rank, summarise
from loadtests.records.rows import Row
from loadtests.wording import duration, figure, percent

# ---- what is counted


UNLUCKY = 0.1  # share of the requests of `minute`
MINUTE = 60.0


def minute(unlucky: str, requests: int = 600, seed: int = 8) -> list[Row]:
    """A minute of requests, of which a tenth is unlucky, always the same ones.

    "slow": they take 3 to 5 s. "refused": the server says 503 after 2 ms. "unanswered": it never answers.
    """
    source, rows = random.Random(seed), []
    for number in range(requests):
        begun = source.random() * MINUTE
        good = source.lognormvariate(math.log(0.15), 0.5)
        bad, slow = source.random() < UNLUCKY, source.uniform(3, 5)
        takes = {"slow": slow, "refused": 0.002, "unanswered": math.inf}[unlucky] if bad else good
        done = begun + takes
        answered = done <= MINUTE
        status = 0 if not answered else 503 if bad and unlucky == "refused" else 200
        rows.append(Row(number, "look", "/", begun, begun, done if answered else None, status, ""))
    return rows


def servers(*unlucky: str) -> None:
    """Print what two ways of counting say about each `minute`."""
    for how in unlucky:
        rows = minute(how)
        back = [row.waited_ms(MINUTE) for row in rows if row.done_s is not None]
        seen = summarise(rows, ended=MINUTE)
        print(
            f"{how:10}  p95 of what came back: {duration(nearest_rank(back, 95)):>6}"
            f"   p95 {figure(seen, 'p95_ms'):>8}, {percent(seen['share_over'] or 0)} over 500 ms"
        )


# ---- what is proved


@dataclass(frozen=True)
class Report:
    """What a load test has printed; asked for were USERS_ASKED users."""

    requests: int
    slow: int  # answered, in over 500 ms
    failed: int
    p95_ms: int
    late_ms: float  # the load generator's lag, at its 99th percentile
    busy: int  # percent of the machine
    users: float  # as Little's law finds them

    @property
    def verdict(self) -> str:
        """What it proves: "kept", "broken", "undecided" or "not fit"."""
        little = Little(self.users, abs(self.users - USERS_ASKED) / USERS_ASKED, chance=0.0)
        if unfit_reasons(little=little):
            return "not fit"
        slowed = slowed_reasons(lag_p99_ms=self.late_ms, host_cpu_percent=self.busy)
        return word_of(self.slow + self.failed, self.requests, slowed=bool(slowed))


USERS_ASKED = 50
FIVE_REPORTS = {
    "A": Report(requests=200, slow=0, failed=0, p95_ms=170, late_ms=1.2, busy=31, users=50.1),
    "B": Report(requests=2000, slow=6, failed=0, p95_ms=380, late_ms=4.9, busy=94, users=49.8),
    "C": Report(requests=2000, slow=4, failed=120, p95_ms=160, late_ms=1.4, busy=35, users=50.3),
    "D": Report(requests=2000, slow=150, failed=0, p95_ms=610, late_ms=85.0, busy=60, users=49.6),
    "E": Report(requests=1300, slow=91, failed=0, p95_ms=530, late_ms=2.0, busy=40, users=31.7),
}


def show_reports() -> None:
    """Print FIVE_REPORTS, a line each."""
    print(
        "   requests  answered, over 500 ms  failed     p95  generator late, p99  machine busy"
        "  users (Little)"
    )
    for name, each in FIVE_REPORTS.items():
        print(
            f"{name}  {each.requests:8}  {each.slow:21}  {each.failed:6}  {each.p95_ms:3} ms"
            f"  {each.late_ms:16.1f} ms  {each.busy:10} %  {each.users:.1f} of {USERS_ASKED}"
        )


# ---- how many requests it takes

MEDIAN_MS, SIGMA = 210.0, 0.5
TRUE_P95_MS = MEDIAN_MS * math.exp(1.6448536 * SIGMA)  # 1.64...: 95 % of a normal distribution lie below


def fewest() -> dict[int, int]:
    """How many requests it takes until each of four percentiles has a 95 % interval."""
    return {
        percent: next(n for n in count(1) if percentile_ranks(n, percent)) for percent in (50, 90, 95, 99)
    }


def many_runs(requests: int, runs: int = 1000, seed: int = 8) -> list[float]:
    """The p95, in ms, of each of many runs of `requests` requests. The server's true p95 is TRUE_P95_MS."""
    source = random.Random(seed)
    median = math.log(MEDIAN_MS)
    return [
        nearest_rank([source.lognormvariate(median, SIGMA) for _ in range(requests)], 95) for _ in range(runs)
    ]
