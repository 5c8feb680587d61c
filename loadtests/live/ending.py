"""May the load end now? For --until-decided and --stop-when-broken. Pure."""

from collections.abc import Sequence

from loadtests.generator.loadoptions import Load
from loadtests.judging.looks import Looks
from loadtests.live.figures import Live
from loadtests.records.recording import Stage

# Requests close in time met the same queue, and the first ones a cold server: a few seconds say little.
FIRST_SECONDS = 5.0


class Ending:
    """The looks at one load. Its final verdict is one more, unless a look ended the load."""

    def __init__(self, load: Load) -> None:
        self.decided_s: float | None = None  # requests due until then decided, seconds into the load
        self._load = load
        self._looks: list[Looks] = []

    def decided(self, live: Live) -> bool:
        """Take a look if one is due; True if the load should end."""
        load = self._load
        if not (load.until_decided or load.stop_when_broken) or self.decided_s is not None:
            return False
        if live.until < live.start + FIRST_SECONDS:
            return False
        while len(self._looks) <= live.stage:
            self._looks.append(Looks(load.most_over))
        words = self._looks[live.stage].look(live.counts())
        found = set(words.values()) if words else {"undecided"}
        if (load.stop_when_broken and "broken" in found) or (load.until_decided and "undecided" not in found):
            self.decided_s = live.until
        return self.decided_s is not None

    def looks(self, stages: Sequence[Stage]) -> tuple[int, ...]:
        """How many looks each stage had, its final judgement included; empty if that is the only one."""
        load, count = self._load, max(1, len(stages))
        if not (load.until_decided or load.stop_when_broken):
            return ()
        taken = [looks.taken for looks in self._looks[:count]] + [0] * (count - len(self._looks))
        last = len(self._looks) - 1
        return tuple(number + (self.decided_s is None or stage != last) for stage, number in enumerate(taken))
