"""The table that a load prints at its end: one line for each group of requests, from exact samples. Pure."""

from collections.abc import Mapping, Sequence

from loadtests.judging.samples import Summary, by_group, summarise, title
from loadtests.records.recording import RULE_MS
from loadtests.records.rows import Row
from loadtests.wording import figure, percent

TITLE_WIDTH = 20
HEADING = "From every request, unrounded; unfinished ones count as far as they had come:"
NAIVE = "  from the sending"


def run_table(rows: Sequence[Row], ended: float, rule_ms: float = RULE_MS, naive: bool = False) -> str:
    """A plain table, 79 columns wide where the names are short. Returns its text.

    `naive` adds to each group what it would be if counted from the sending, where that says something else.
    """
    names = ("count", 7), ("unfin.", 6), ("failed", 6), ("p50", 8), ("p95", 8), ("p99", 8)
    header = "".join(f" {name:>{width}}" for name, width in names)
    lines = [f"{'':{TITLE_WIDTH}}{header} {f'>{rule_ms:g} ms':>8}"]
    for group, members in by_group(rows).items():
        figures = summarise(members, ended, rule_ms)
        lines.append(_line(title(group), figures))
        if naive:
            said = summarise(members, ended, rule_ms, naive=True)
            if _says_something_else(figures, said):
                lines.append(_line(NAIVE, said))
    return "\n".join(lines)


def _line(name: str, figures: Summary) -> str:
    over = figures["share_over"]
    failed = figures["failures"] + figures["dropped"]
    percentiles = "".join(f" {figure(figures, key):>8}" for key in ("p50_ms", "p95_ms", "p99_ms"))
    shortened = name if len(name) <= 3 * TITLE_WIDTH else name[: 3 * TITLE_WIDTH - 1] + "…"
    return (
        f"{shortened:{TITLE_WIDTH}} {figures['count']:7} {figures['unfinished']:6} {failed:6}{percentiles}"
        f" {'' if over is None else percent(over):>8}"
    )


def _says_something_else(figures: Mapping[str, object], naive: Mapping[str, object]) -> bool:
    """True if any percentile differs by more than 10 ms and a tenth."""
    pairs = ((figures[key], naive[key]) for key in ("p50_ms", "p95_ms", "p99_ms"))
    return any(
        isinstance(full, float) and isinstance(short, float) and full - short > max(10.0, 0.1 * full)
        for full, short in pairs
    )
