"""A server whose latencies are known, so that what the harness measures can be checked.

    /lognormal/<n>  answers after `lognormal_delay(n)`: known for each n, and distributed as LOGNORMAL
    /failing/<n>    the same, but the share FAILING of the requests is answered with 503 at once
    /freezing/<who> answers at once, but is frozen for the last FREEZE of every FREEZE_EVERY seconds, counted
                    from who's first request: requests during a freeze are answered at its end. (2 s every
                    10 s, on a scale that a test can wait for.)
    /dropping       reads every tenth request and closes the connection, and answers the others at once
    /takes/<ms>     always takes that long
    /hanging        answers at once for HANGS_AFTER seconds from the first request, and then never again

A request's latency is at least what is stated here. It is longer by the time that the two processes need to
wake up: see `tolerance_ms` in test_truth.py.
"""

import asyncio
import itertools
import math
import random
import time
from statistics import NormalDist

from loadtests.bench.nullserver import OK, Connection, response, serve

MEDIAN, SIGMA = 0.120, 0.9  # seconds, and SD of the logarithm: p95 527 ms, p99 974 ms, 5.6 % over 500 ms
LOGNORMAL = NormalDist(math.log(MEDIAN), SIGMA)  # of the logarithm of the seconds
FAILING = 0.3
FREEZE, FREEZE_EVERY = 1.0, 3.0
HANGS_AFTER = 1.5

UNAVAILABLE = response("503 Service Unavailable", b"no\n")
NOT_FOUND = response("404 Not Found", b"")


def lognormal_delay(n: int) -> float:
    """The delay of /lognormal/<n> in seconds; the same n always takes the same time."""
    return math.exp(LOGNORMAL.inv_cdf(random.Random(f"delay {n}").random()))


def fails(n: int) -> bool:
    """Whether /failing/<n> is answered with 503."""
    return random.Random(f"fails {n}").random() < FAILING


def lognormal_quantile_ms(percent: float) -> float:
    """The true percentile of /lognormal, in ms."""
    return 1000 * math.exp(LOGNORMAL.inv_cdf(percent / 100))


def lognormal_share_over(ms: float) -> float:
    """The true share of /lognormal that takes longer than `ms`."""
    return 1 - LOGNORMAL.cdf(math.log(ms / 1000))


def freezing_quantile_ms(percent: float) -> float:
    """The true percentile of /freezing for requests at random times: the wait W exceeds w with probability
    (FREEZE - w) / FREEZE_EVERY.
    """
    return max(0.0, 1000 * (FREEZE - (1 - percent / 100) * FREEZE_EVERY))


def freezing_share_over(ms: float) -> float:
    """The true share of /freezing that takes longer than `ms`."""
    return max(0.0, FREEZE - ms / 1000) / FREEZE_EVERY


asked = itertools.count(1)
first_asked: dict[str, float] = {}  # path: time of its first request, in seconds


class TruthConnection(Connection):
    """One connection, whose answers take as long as stated above."""

    def asked(self, path: str) -> None:
        _, behaviour, *numbers = path.split("/")
        match behaviour, numbers:
            case "lognormal", [n]:
                self._answer_after(lognormal_delay(int(n)))
            case "failing", [n]:
                if fails(int(n)):
                    self.write(UNAVAILABLE)
                else:
                    self._answer_after(lognormal_delay(int(n)))
            case "freezing", [_]:
                phase = self._seconds_since_the_first(path) % FREEZE_EVERY
                frozen = phase > FREEZE_EVERY - FREEZE
                self._answer_after(FREEZE_EVERY - phase if frozen else 0)
            case "takes", [ms]:
                self._answer_after(int(ms) / 1000)
            case "dropping", []:
                if next(asked) % 10:
                    self.write(OK)
                else:
                    self._transport.close()
            case "hanging", []:
                if self._seconds_since_the_first(path) < HANGS_AFTER:
                    self.write(OK)
            case _:
                self.write(NOT_FOUND)

    @staticmethod
    def _seconds_since_the_first(path: str) -> float:
        now = time.monotonic()
        return now - first_asked.setdefault(path, now)

    def _answer_after(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.write, OK)


if __name__ == "__main__":
    asyncio.run(serve(TruthConnection, "Truth server"))
