"""Open load: who comes when, fixed in advance by a seed, whatever the server does. Pure.

Arrivals are a Poisson process: the gaps are exponential, so knowing all earlier arrivals says nothing of the
next. Every process of a load draws the same schedule, and takes its own share of it: the load is the same
however many processes send it.
"""

import heapq
import itertools
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple


class Arrival(NamedTuple):
    """One visit that is to begin: its number, when (seconds), and which of the weighted choices it is."""

    number: int
    at: float
    choice: int


class Piece(NamedTuple):
    """A time of one rate: visits a second, from `start` until `end` (seconds; may be infinite)."""

    rate: float
    start: float
    end: float


@dataclass(frozen=True)
class Burst:
    """`size` visits at once, at `at` seconds, of the choices named here."""

    size: int
    at: float
    choices: tuple[int, ...]


@dataclass(frozen=True)
class Share:
    """Which process this is, of how many: it sends every `of`th visit, from number `index` on."""

    index: int = 0
    of: int = 1


def poisson(pieces: Sequence[Piece], chance: random.Random) -> Iterator[float]:
    """The times of a Poisson process with these rates, in order; endless if a piece is.

    A piece may begin afresh at its start, since the process has no memory. Source: Kingman, Poisson Processes
    (1993), section 4.1.
    """
    for piece in pieces:
        at = piece.start
        while (at := at + chance.expovariate(piece.rate)) < piece.end:
            yield at


def schedule(
    pieces: Sequence[Piece], weights: Sequence[float], seed: int, burst: Burst | None = None
) -> Iterator[Arrival]:
    """All arrivals in order of time, each with its choice, drawn by weight: the same for the same seed."""
    return (
        Arrival(number, at, choice)
        for number, (at, choice) in enumerate(_with_burst(pieces, weights, seed, burst))
    )


def _with_burst(
    pieces: Sequence[Piece], weights: Sequence[float], seed: int, burst: Burst | None
) -> Iterator[tuple[float, int]]:
    gaps, draws = random.Random(f"arrivals {seed}"), random.Random(f"choices {seed}")
    regular = zip(poisson(pieces, gaps), choices(weights, draws), strict=False)  # choices are endless
    if burst is None or not burst.choices:
        return regular
    drawn = choices([weights[choice] for choice in burst.choices], random.Random(f"burst {seed}"))
    extra = ((burst.at, burst.choices[choice]) for choice in itertools.islice(drawn, burst.size))
    return heapq.merge(regular, extra, key=itemgetter(0))


def choices(weights: Sequence[float], chance: random.Random) -> Iterator[int]:
    """Endless choices among `weights`, each as often as its weight says."""
    upto = list(itertools.accumulate(weights))
    while True:
        yield min(bisect_right(upto, chance.random() * upto[-1]), len(upto) - 1)


def share_of(arrivals: Iterator[Arrival], share: Share) -> Iterator[Arrival]:
    """The arrivals that one process sends."""
    return itertools.islice(arrivals, share.index, None, share.of)


def part_of(whole: int, share: Share) -> int:
    """A limit that all processes share, as a whole number for each of them; they sum to `whole`."""
    return whole // share.of + (share.index < whole % share.of)
