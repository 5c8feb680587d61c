"""The demand from measured steps: the time in a slot of each kind of request, and the polls. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from loadtests.predicting.workload import Workload
from loadtests.records.constants import SUBMITTERS
from loadtests.records.results import Settings
from loadtests.records.steps import Step


@dataclass(frozen=True)
class Demands:
    """All steps of one app and number of slots, by kind of request, as the web server counts."""

    count: Mapping[str, int]
    mean: Mapping[str, float]  # D, seconds
    scv: Mapping[str, float]  # c_s^2; only for kinds whose spread was measured

    @property
    def scv_of_all(self) -> float | None:
        """c_s^2 of any request's time in a slot: the spread within kinds and between the means of kinds.

        None if it was not measured for every kind.
        """
        if self.scv.keys() != self.mean.keys():
            return None
        requests = sum(self.count.values())
        mean = math.fsum(self.count[kind] * self.mean[kind] for kind in self.mean) / requests
        squares = (self.count[kind] * self.mean[kind] ** 2 * (1 + self.scv[kind]) for kind in self.mean)
        return max(0.0, math.fsum(squares) / requests / mean**2 - 1)


@dataclass(frozen=True)
class Polling:
    """What a submitter did on average after POST /feeds under one load. Times in seconds."""

    load: float  # users, or visits a second
    polls: float
    pause: float  # the sum of all pauses before polls


def demands(steps: Sequence[Step]) -> Demands | None:
    """The demands that the web server measured in `steps`; None unless it saw a POST /feeds and a page."""
    counts: dict[str, int] = {}
    times: dict[str, float] = {}
    squares: dict[str, float] = {}
    unknown = set()
    for server in (step["server"] for step in steps if step["server"]):
        spread = server["demand_scv"]
        for kind, count in server["served"].items():
            mean = server["demand_ms"].get(kind, 0.0) / 1000
            if not count or not mean:
                continue
            if kind not in spread and count > 1:
                unknown.add(kind)
            counts[kind] = counts.get(kind, 0) + count
            times[kind] = times.get(kind, 0.0) + count * mean
            squares[kind] = squares.get(kind, 0.0) + count * mean**2 * (1 + spread.get(kind, 0.0))
    if not {"submit", "page"} <= counts.keys():
        return None
    means = {kind: times[kind] / counts[kind] for kind in counts}
    scv = {
        kind: max(0.0, squares[kind] / counts[kind] / means[kind] ** 2 - 1)
        for kind in counts
        if kind not in unknown and counts[kind] > 1
    }
    return Demands(counts, means, scv)


def polling(load: float, steps: Sequence[Step], found: Demands) -> Polling | None:
    """How the submitters of these steps polled. None if no POST /feeds was answered, or if they polled for an
    unknown time.

    The pauses are the time to content less the requests' own times.
    """
    served = [step["server"]["served"] for step in steps if step["server"]]
    submits = sum(each.get("submit", 0) for each in served)
    if not submits:
        return None
    polls = sum(each.get("poll", 0) for each in served) / submits
    if not polls:
        return Polling(load, 0.0, 0.0)
    contents = [step["content"]["mean_ms"] for step in steps if step["content"]["mean_ms"] is not None]
    answered = [step["submit"]["mean_ms"] for step in steps if step["submit"]["mean_ms"] is not None]
    if not contents or not answered:
        return None
    submit = math.fsum(answered) / len(answered) / 1000
    visit = _work(found, 0.0, SUBMITTERS, Polling(load, polls, 0.0)).submit_visit
    requests = visit.demand + visit.requests * max(0.0, submit - found.mean["submit"])
    return Polling(load, polls, max(0.0, math.fsum(contents) / len(contents) / 1000 - requests))


def workload(found: Demands, settings: Settings, polled: Sequence[Polling], load: float) -> Workload:
    """The workload under `load`. Polling is interpolated between the loads at which it was measured."""
    return _work(found, settings["think_s"], settings["submitters"], _between(polled, load))


def _work(found: Demands, think: float, submitters: float, polled: Polling) -> Workload:
    page = found.mean["page"]
    return Workload(
        think=think,
        submitters=submitters,
        submit=found.mean["submit"],
        page=page,
        browse=_browse(found, polled.polls),
        poll=found.mean.get("poll", 0.0),
        polls=polled.polls if "poll" in found.mean else 0.0,
        pause=polled.pause,
    )


def _browse(found: Demands, polls: float) -> float:
    """Mean time of a browser's request: the list, or a page that no submitter asked for."""
    lists = found.count.get("list", 0)
    pages = max(0.0, found.count["page"] - found.count["submit"] * (1 + min(1.0, polls)))
    if not lists + pages:
        return found.mean["page"]
    return (lists * found.mean.get("list", 0.0) + pages * found.mean["page"]) / (lists + pages)


def _between(polled: Sequence[Polling], load: float) -> Polling:
    known = sorted(polled, key=lambda each: each.load)
    if not known:
        return Polling(load, 0.0, 0.0)
    for one, other in pairwise(known):
        if one.load <= load < other.load:
            part = (load - one.load) / (other.load - one.load)
            return Polling(
                load,
                one.polls + part * (other.polls - one.polls),
                one.pause + part * (other.pause - one.pause),
            )
    return known[0] if load < known[0].load else known[-1]
