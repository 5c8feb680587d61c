"""What is seen of a reader, in words: the same on the page and in the terminal. Pure."""

from collections.abc import Sequence

from loadtests.demo.running import Now
from loadtests.live.figures import Quantile
from loadtests.records.constants import MOST_OVER
from loadtests.wording import SHORT, counted, duration

TITLES_OF = {app: f"{SHORT[app].capitalize()} reader" for app in ("sync", "queued")}
WHAT_IT_DOES = {
    "sync": "fetches the feed while the visitor waits",
    "queued": "leaves the fetching to a worker",
}
WHO = {"submit": "submitting a feed", "browse": "only looking"}


def whole_percent(share: float | None) -> str:
    """A share in whole percent, to be read from afar; one just above 0 is not 0."""
    if share is None:
        return "–"
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def level(share: float | None) -> str:
    """Whether the rule is kept by these requests: "good", "bad", or "none" if there are none."""
    return "none" if share is None else "bad" if share > MOST_OVER else "good"


def content(median: Quantile) -> str:
    """The time from submitting a feed until its entries were read."""
    if median.ms is None:
        return "–"
    return f"{'' if median.exact else '≥ '}{duration(median.ms)}"


def machine(now: Sequence[Now]) -> tuple[str, bool]:
    """How busy the machine is, and whether the latencies may be its doing."""
    reasons = [reason for each in now for reason in each.slowed]
    if not reasons:
        visitors = " + ".join(str(each.visitors) for each in now)
        return f"{visitors} visitors. Machine {100 * max(each.busy for each in now):.0f} % busy.", False
    return f"What you see may be the machine's limit, not the readers': {reasons[0]}.", True


def spoken(app: str, now: Now) -> str:
    """The reader's state as a sentence, for who can't see the dots."""
    shares = ", ".join(f"{whole_percent(now.shares.get(group))} {who}" for group, who in WHO.items())
    return (
        f"{TITLES_OF[app]}: {whole_percent(now.share)} of the requests over 500 ms ({shares});"
        f" {now.held} of {counted(len(now.slots), 'slot')} in use, {now.in_line} requests in line."
    )


def clock(seconds: float) -> str:
    """Minutes and seconds: "3:05"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
