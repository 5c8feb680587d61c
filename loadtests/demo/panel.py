"""One reader on the page: what panel.js shows of it."""

from typing import Any

from nicegui.element import Element

from loadtests.demo.running import Now, RunningReader
from loadtests.demo.words import TITLES_OF, WHAT_IT_DOES, WHO, content, level, spoken, whole_percent
from loadtests.records.constants import RULE_MS

STUCK_SECONDS = 2.0  # from which a slot that is held looks stuck


class Panel(Element, component="panel.js"):
    """A reader, drawn. `show` sends the figures, and the dots since the last time."""

    def __init__(self, reader: RunningReader) -> None:
        super().__init__()
        self._reader = reader
        self._sent = 0
        self.props["rule"] = RULE_MS

    def show(self, now: Now, threads: int) -> None:
        reader = self._reader
        fresh = min(reader.counted - self._sent, len(reader.dots))
        dots, self._sent = list(reader.dots)[len(reader.dots) - fresh :], reader.counted
        waiting = [*map(tuple, now.waiting)]
        self.run_method("show", _described(reader.app, now, threads), [*map(tuple, dots)], waiting)


def _described(app: str, now: Now, threads: int) -> dict[str, Any]:
    jobs = None
    if now.jobs:
        waiting, performed = now.jobs
        jobs = {"waiting": waiting, "performed": performed, "threads": threads, "worker": now.worker}
    return {
        "title": TITLES_OF[app],
        "about": WHAT_IT_DOES[app],
        "share": whole_percent(now.share),
        "level": level(now.share),
        "figures": [
            *((who, whole_percent(now.shares.get(group)), group) for group, who in WHO.items()),
            ("until the feed can be read", content(now.content), ""),
        ],
        "slots": [_slot(held) for held in now.slots],
        "line": now.in_line,
        "jobs": jobs,
        "spoken": spoken(app, now),
        "slots_spoken": f"{now.held} of {len(now.slots)} slots in use",
    }


def _slot(held: float | None) -> dict[str, str]:
    if held is None:
        return {"level": "", "text": ""}
    return {
        "level": "stuck" if held > STUCK_SECONDS else "held",
        "text": f"{held:.0f} s" if held >= 1 else "",
    }
