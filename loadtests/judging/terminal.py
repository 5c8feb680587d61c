"""A judgement as the terminal shows it: a table from exact samples, and the verdict in words. Pure."""

from collections.abc import Mapping, Sequence

from loadtests.judging.alignment import clock_note
from loadtests.judging.judge import GroupVerdict, Judgement, StageVerdict
from loadtests.judging.samples import by_group, summarise, title
from loadtests.records.constants import RULE_MS
from loadtests.records.figures import Summary
from loadtests.records.recording import Recording
from loadtests.records.rows import Row
from loadtests.records.steps import LOAD_KEYS
from loadtests.wording import EXCUSE, capitalised, counted, figure, percent, said_load

TITLE_WIDTH = 20
HEADING = "From every request, unrounded; unfinished ones count with their wait so far:"
FROM_SENDING = "  from sending"


def verdict_text(judgement: Judgement) -> str:
    """The verdict on a load as the terminal and Locust's page show it, below its table."""
    recording, absent = judgement.recording, judgement.absent
    if absent:
        table = run_table(recording.rows, recording.ended_s, recording.rule_ms)
        return (
            f"\n{HEADING}\n{table}\nNothing was tested: {absent}. Start the app, or give its address: --host"
        )
    text = f"\n{HEADING}\n" + "\n\n".join(_stage(stage, recording) for stage in judgement.stages)
    if recording.decided_s is not None:
        text += f"\nThe load ended by itself: the requests due up to {recording.decided_s:.1f} s decided it."
    if any(recording.looks):
        text += (
            "\nIt was looked at while it ran, so its intervals are wider than at 95 %: all looks together are"
            "\nwrong in at most 5 % of loads."
        )
    if resent := recording.resent:
        was = "was" if resent == 1 else "were"
        text += f"\n{counted(resent, 'request')} {was} sent twice: the server had closed the idle connection."
    if note := clock_note(recording):
        text += f"\n{note}"
    return text


def _stage(verdict: StageVerdict, recording: Recording) -> str:
    table = run_table(verdict.rows, recording.ended_s, recording.rule_ms, naive=recording.open)
    return "\n".join([*_heading(verdict, recording), table, *_said(verdict, recording)])


def _heading(verdict: StageVerdict, recording: Recording) -> list[str]:
    if verdict.stage is None:
        return []
    load, start, end = verdict.stage
    return [f"{capitalised(said_load(load, LOAD_KEYS[recording.model]))}, from {start:.1f} to {end:.1f} s:"]


def _said(verdict: StageVerdict, recording: Recording) -> list[str]:
    """The verdict in words, each group with the interval that it rests on."""
    rule = f"The rule, at most {percent(recording.most_over)} of any requests over {recording.rule_ms:g} ms"
    ruled = [each for each in verdict.groups if each.word != "visit"]
    if not ruled:
        said = [f"{rule}: cannot be judged."]
    else:
        words = {each.word for each in ruled}
        word = next(word for word in ("broken", "undecided", "kept") if word in words)
        said = [f"{rule}: {word}."]
        said += [f"  {_reason(each)}" for each in ruled if each.word == word]
    said += [f"{each.text}: {each.word} ({each.reason})." for each in verdict.expectations]
    if verdict.doubts:
        said.append(f"But this proves nothing: {'; '.join([*verdict.doubts, *verdict.slowed])}.")
    elif verdict.slowed:
        said.append(f"Its latencies are upper bounds: {'; '.join(verdict.slowed)}.")
    return said


def _reason(verdict: GroupVerdict) -> str:
    """ "browsing 0 % (95 % interval 0 to 3.6 %): about 270 more requests would decide"."""
    share, interval = verdict.summary["share_over"], verdict.interval
    if share is None or interval is None:
        return f"{title(verdict.group)}: nothing was answered"
    said = f"{title(verdict.group)} {percent(share)} ({interval})"
    if verdict.word != "undecided":
        return said
    if verdict.excused:
        return f"{said}: {EXCUSE}"
    if verdict.more is None:
        return f"{said}: too close to the limit for any practical number of requests to decide"
    return f"{said}: about {verdict.more} more requests would decide"


def run_table(rows: Sequence[Row], ended: float, rule_ms: float = RULE_MS, naive: bool = False) -> str:
    """Return a plain-text table, 79 columns wide if the names are short.

    `naive` adds the figures counted from the moment of sending to each group for which they look better.
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
                lines.append(_line(FROM_SENDING, said))
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
    """True if any naive percentile is lower by more than 10 ms and by more than a tenth."""
    pairs = ((figures[key], naive[key]) for key in ("p50_ms", "p95_ms", "p99_ms"))
    return any(
        isinstance(full, float) and isinstance(short, float) and full - short > max(10.0, 0.1 * full)
        for full, short in pairs
    )
