"""The table printed at the end of a load: a line for each group of requests, from exact samples. Pure."""

from collections.abc import Mapping, Sequence

from loadtests.judging.samples import RULE_MS, Row, Summary, summarise
from loadtests.wording import figure, percent

TITLES = {
    "submit": "POST /feeds",
    "page": "page after a submit",
    "poll": "is it there yet?",
    "browse": "browsing",
    "content": "submit to content",
}
TITLE_WIDTH = 20
HEADING = "From every request, unrounded; unfinished ones count with their wait so far:"
NAIVE = "  from the sending"


def by_group(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each group: the groups of TITLES in its order, then the others as they first appear."""
    groups: dict[str, list[Row]] = {group: [] for group in TITLES}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return {group: members for group, members in groups.items() if members}


def summaries(rows: Sequence[Row], ended: float, rule_ms: float = RULE_MS) -> dict[str, Summary]:
    """The figures of each group; `ended` is when the recording ended, in seconds."""
    return {group: summarise(members, ended, rule_ms) for group, members in by_group(rows).items()}


def run_table(rows: Sequence[Row], ended: float, rule_ms: float = RULE_MS, naive: bool = False) -> str:
    """Return a plain-text table, 79 columns wide if the names are short.

    `naive` adds the figures counted from the moment of sending to each group for which they look better.
    """
    names = ("count", 7), ("unfin.", 6), ("failed", 6), ("p50", 8), ("p95", 8), ("p99", 8)
    header = "".join(f" {name:>{width}}" for name, width in names)
    lines = [f"{'':{TITLE_WIDTH}}{header} {f'>{rule_ms:g} ms':>8}"]
    groups = by_group(rows)
    for group, figures in summaries(rows, ended, rule_ms).items():
        lines.append(_line(title(group), figures))
        if naive:
            said = summarise(groups[group], ended, rule_ms, naive=True)
            if _says_something_else(figures, said):
                lines.append(_line(NAIVE, said))
    return "\n".join(lines)


def title(group: str) -> str:
    """A group's display name."""
    return TITLES.get(group, group)


def _line(name: str, figures: Summary) -> str:
    over = figures["share_over_500ms"]
    failed = figures["failures"] + figures["dropped"]
    percentiles = "".join(f" {figure(figures, key):>8}" for key in ("p50_ms", "p95_ms", "p99_ms"))
    shortened = name if len(name) <= 3 * TITLE_WIDTH else name[: 3 * TITLE_WIDTH - 1] + "…"
    return (
        f"{shortened:{TITLE_WIDTH}} {figures['count']:7} {figures['unfinished']:6} {failed:6}{percentiles}"
        f" {'' if over is None else percent(over):>8}"
    )


def _says_something_else(figures: Mapping[str, object], naive: Mapping[str, object]) -> bool:
    """True if any naive percentile is lower by more than 10 ms and by more than a tenth."""
    pairs = ((figures[key], naive[key]) for key in ("p50_ms", "p95_ms", "p99_ms"))
    return any(
        isinstance(full, float) and isinstance(short, float) and full - short > max(10.0, 0.1 * full)
        for full, short in pairs
    )
