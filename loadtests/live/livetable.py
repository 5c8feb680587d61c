"""The live figures as a table for Locust's page, each group's percentiles drawn against the rule. Pure."""

import math
from collections.abc import Sequence
from html import escape

from loadtests.judging.samples import title
from loadtests.live.figures import RECENT_SECONDS, Figures, LiveGroup, Quantile, View
from loadtests.wording import counted, duration, percent

DRAWN_WIDTH, DRAWN_HEIGHT, RADIUS = 240, 18, 5
AXIS_FROM_MS, MOST_MS = 1.0, 10_000.0  # the ends of the drawing's logarithmic scale
LIVE_COLUMNS = ("requests", "p50", "p95", "p99")


def live_table(view: View, rule_ms: float, most_over: float) -> str:
    """The figures of a running load, as HTML."""
    rule = f"{rule_ms:g} ms"
    seconds = f"last {RECENT_SECONDS:g} s"
    columns = [*LIVE_COLUMNS, f"&gt;{rule}"]
    heads = "".join(f'<th scope="col">{column}</th>' for column in columns)
    scale = f"from {duration(AXIS_FROM_MS)} to {duration(MOST_MS)}; the red line is at {rule}"
    rows = "".join(_row(group, rule_ms, most_over) for group in view.groups)
    waiting = "" if view.groups else "<p>No request is old enough to count yet.</p>"
    if view.silent:
        silent = counted(view.silent, "load generator")
        waiting += f"<p>No news from {silent} for some seconds: the figures wait for it.</p>"
    return (
        f"<p>A test is running. The rule: at most {percent(most_over)} of any requests over {rule}."
        " The verdict will be here when the test has ended.</p>"
        f"<p>Requests due up to {max(0.0, view.until):.0f} s into the test;"
        f" {counted(view.users, 'user')}; the load generator was late by {duration(view.lag_ms)} at most.</p>"
        f"{waiting}<table><thead>"
        f'<tr><td></td><th scope="colgroup" colspan="{len(columns) + 1}">{seconds}</th>'
        f'<th scope="colgroup" colspan="{len(columns)}">so far, without the warm-up</th></tr>'
        f'<tr><th scope="col">group</th>{heads}<th scope="col" class="drawing">p50, p95, p99</th>{heads}</tr>'
        f"</thead><tbody>{rows}</tbody></table>"
        "<p>From every request, to a tenth of a millisecond; one still unanswered after"
        f" {rule} counts as over it. The drawing is logarithmic, {scale}.</p>"
    )


def _row(group: LiveGroup, rule_ms: float, most_over: float) -> str:
    limits = (rule_ms, most_over) if group.ruled else (math.inf, math.inf)
    recent, whole = _cells(group.recent, *limits), _cells(group.whole, *limits)
    drawing = _drawing(group.recent.quantiles, rule_ms)
    return f'<tr><th scope="row">{escape(title(group.key))}</th>{recent}<td>{drawing}</td>{whole}</tr>'


def _cells(figures: Figures, most_ms: float, most_over: float) -> str:
    share = figures.over / figures.judged if figures.judged else None
    said = [(f"{figures.judged}", False)]
    said += [(_said(each), each.ms is not None and each.ms > most_ms) for each in figures.quantiles]
    said += [("–" if share is None else percent(share), share is not None and share > most_over)]
    return "".join(f'<td class="over">{text}</td>' if over else f"<td>{text}</td>" for text, over in said)


def _said(quantile: Quantile) -> str:
    if quantile.ms is None:
        return "–"
    return ("" if quantile.exact else "≥ ") + duration(quantile.ms)


def _drawing(quantiles: Sequence[Quantile], rule_ms: float) -> str:
    """The percentiles as dots on a line, and the rule as a stroke across it."""
    middle, rule = DRAWN_HEIGHT / 2, _x(rule_ms)
    places = [_x(each.ms) for each in quantiles if each.ms is not None]
    dots = "".join(f'<circle cx="{x:.1f}" cy="{middle}" r="{RADIUS - 1}" />' for x in places)
    line = f'<path d="M{places[0]:.1f} {middle}H{places[-1]:.1f}" />' if places else ""
    return (
        f'<svg width="{DRAWN_WIDTH}" height="{DRAWN_HEIGHT}" aria-hidden="true">'
        f'<path class="axis" d="M0 {middle}H{DRAWN_WIDTH}" />'
        f'<path class="rule" d="M{rule:.1f} 0V{DRAWN_HEIGHT}" />'
        f"{line}{dots}</svg>"
    )


def _x(ms: float) -> float:
    share = math.log(max(ms, AXIS_FROM_MS) / AXIS_FROM_MS) / math.log(MOST_MS / AXIS_FROM_MS)
    return RADIUS + min(share, 1.0) * (DRAWN_WIDTH - 2 * RADIUS)
