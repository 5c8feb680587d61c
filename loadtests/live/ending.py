"""Whether a load may end early, for --until-decided and --stop-when-broken. Pure."""

import math
from collections.abc import Sequence
from typing import Literal

from loadtests.generator.loadoptions import Load
from loadtests.judging.judge import health_of, slowed_by
from loadtests.judging.looks import Looks
from loadtests.live.figures import Live
from loadtests.records.recording import Recording, Stage

# Requests close in time met the same queue, and the first ones a cold server: a few seconds say little.
FIRST_SECONDS = 5.0


class Ending:
    """The looks taken at one load. Its final verdict is one more, unless a look decided."""

    def __init__(self, load: Load) -> None:
        self.decided_s: float | None = None  # seconds into the load: requests due before then decided it
        self._load = load
        self._looks: list[Looks] = []  # one for each stage
        self._decided: dict[int, float] = {}  # the same for each stage that a look decided

    def look(self, live: Live) -> Literal["load", "step"] | None:
        """Take a look if one is due. Returns what should end now, the load or only its step, or None."""
        load, stage = self._load, live.stage
        if not load.may_end or stage in self._decided or live.until < live.start + FIRST_SECONDS:
            return None
        while len(self._looks) <= stage:
            self._looks.append(Looks(load.most_over))
        counts = live.counts()
        if not self._looks[stage].due(counts):
            return None
        words = self._looks[stage].look(counts, self._slowed(live))
        hopeless = load.stop_when_broken and "broken" in words.values()
        if not hopeless and (not load.until_decided or "undecided" in words.values()):
            return None
        self._decided[stage] = live.until
        if load.steps and not hopeless:
            return "step"
        self.decided_s = live.until
        return "load"

    def _slowed(self, live: Live) -> bool:
        """Whether the machine was full or the generator late, so that latencies are only upper bounds."""
        so_far = Recording(
            started_at=0.0,
            stopped_s=live.until,
            ended_s=live.until,
            model="open" if self._load.open else "closed",
            connections=self._load.connections,
            rule_ms=self._load.rule_ms,
            lag=tuple(live.lag),
            vitals=tuple(map(tuple, live.vitals.values())),
        )
        health = health_of(so_far, live.start, live.until)
        return bool(health and slowed_by(so_far, health, live.sent_late_ms()))

    def stages(self, stages: Sequence[Stage]) -> list[Stage]:
        """The stages, each up to the requests that decided it."""
        return [
            stage._replace(end_s=min(stage.end_s, self._decided.get(number, math.inf)))
            for number, stage in enumerate(stages)
        ]

    def looks(self, stages: Sequence[Stage]) -> tuple[int, ...]:
        """How many looks each stage had, its final judgement included; empty if that is the only one."""
        if not self._load.may_end:
            return ()
        count = max(1, len(stages))
        taken = [looks.taken for looks in self._looks[:count]] + [0] * (count - len(self._looks))
        return tuple(number + (stage not in self._decided) for stage, number in enumerate(taken))
