"""Open load: a schedule of arrivals, fixed in advance by a seed, whatever the server does. Pure.

Arrivals form a Poisson process: the gaps are exponential, so the earlier arrivals say nothing about the next.
Every process draws the same schedule and sends its own share of it, so the load is the same however many
processes send it.
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
    """A scheduled visit: its number, its start (seconds), and which of the weighted choices it is."""

    number: int
    at: float
    choice: int


class Piece(NamedTuple):
    """A stretch of constant rate: visits a second, from `start` to `end` (seconds; may be infinite)."""

    rate: float
    start: float
    end: float


@dataclass(frozen=True)
class Burst:
    """`size` visits at once, `at` seconds into the load, drawn from `choices`."""

    size: int
    at: float
    choices: tuple[int, ...]


@dataclass(frozen=True)
class Share:
    """One process's share of a load that `of` processes send: every `of`th visit, from number `index` on."""

    index: int = 0
    of: int = 1


def poisson_times(pieces: Sequence[Piece], chance: random.Random) -> Iterator[float]:
    """The times of a Poisson process with these rates, in order; endless if a piece is.

    Each piece may start afresh, since the process is memoryless. Source: Kingman, Poisson Processes (1993),
    section 4.1.
    """
    for piece in pieces:
        at = piece.start
        while (at := at + chance.expovariate(piece.rate)) < piece.end:
            yield at


def schedule(
    pieces: Sequence[Piece], weights: Sequence[float], seed: int, burst: Burst | None = None
) -> Iterator[Arrival]:
    """All arrivals in time order, each with a choice drawn by weight; the same for the same seed."""
    return (
        Arrival(number, at, choice)
        for number, (at, choice) in enumerate(_with_burst(pieces, weights, seed, burst))
    )


def _with_burst(
    pieces: Sequence[Piece], weights: Sequence[float], seed: int, burst: Burst | None
) -> Iterator[tuple[float, int]]:
    gaps, draws = random.Random(f"arrivals {seed}"), random.Random(f"choices {seed}")
    regular = zip(poisson_times(pieces, gaps), choices(weights, draws), strict=False)  # choices are endless
    if burst is None or not burst.choices:
        return regular
    drawn = choices([weights[choice] for choice in burst.choices], random.Random(f"burst {seed}"))
    extra = ((burst.at, burst.choices[choice]) for choice in itertools.islice(drawn, burst.size))
    return heapq.merge(regular, extra, key=itemgetter(0))


def choices(weights: Sequence[float], chance: random.Random) -> Iterator[int]:
    """Endless random indices into `weights`, in proportion to the weights."""
    upto = list(itertools.accumulate(weights))
    while True:
        yield min(bisect_right(upto, chance.random() * upto[-1]), len(upto) - 1)


def share_of(arrivals: Iterator[Arrival], share: Share) -> Iterator[Arrival]:
    """The arrivals that one process sends."""
    return itertools.islice(arrivals, share.index, None, share.of)


def part_of(whole: int, share: Share) -> int:
    """This process's part of a limit that all share, a whole number; the parts add up to `whole`."""
    return whole // share.of + (share.index < whole % share.of)
