"""The table that a load prints at its end: one line for each group of requests, from exact samples."""

from collections.abc import Sequence

from loadtests.samples import Row, summarise
from loadtests.wording import figure, percent

TITLES = {
    "submit": "POST /feeds",
    "page": "page after a submit",
    "poll": "is it there yet?",
    "browse": "browsing",
    "content": "submit to content",
}


def run_table(rows: Sequence[Row], ended: float) -> str:
    """A plain table, 79 columns wide; `ended` is when the recording ended, in seconds. Returns its text."""
    lines = [
        "",
        "From every request, unrounded; unfinished ones count as far as they had come:",
        f"{'':20} {'count':>7} {'unfin.':>6} {'failed':>6} {'p50':>8} {'p95':>8} {'p99':>8} {'>500 ms':>8}",
    ]
    for group, title in TITLES.items():
        figures = summarise([row for row in rows if row.group == group], ended)
        over = figures["share_over_500ms"]
        lines.append(
            f"{title:20} {figures['count']:7} {figures['unfinished']:6} {figures['failures']:6}"
            f" {figure(figures, 'p50_ms'):>8} {figure(figures, 'p95_ms'):>8} {figure(figures, 'p99_ms'):>8}"
            f" {'' if over is None else percent(over):>8}"
        )
    return "\n".join(lines)
