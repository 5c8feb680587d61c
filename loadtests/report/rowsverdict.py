"""Judge a file of requests by the rule: read it, judge each group, and whether the generator was fit.

Groups may have any names. Beside rows.csv lies rows.json, with the generator's record of its own condition.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.errors import UsageError
from loadtests.generator.console import by_group, title
from loadtests.judging.fitness import MOST_LAG_MS, MOST_NOT_SENT
from loadtests.judging.rule import MOST_OVER
from loadtests.judging.samples import RULE_MS, Row, Summary, nearest_rank, read_rows, summarise
from loadtests.wording import duration, percent, user_count, visits

NO_REQUEST = frozenset({"content"})  # groups of feeds.py whose rows are whole visits


@dataclass(frozen=True)
class Stage:
    """A period of constant load: the load in words, and its start and end in seconds."""

    load: str
    start: float
    end: float


@dataclass(frozen=True)
class Recorded:
    """A file of requests, the file beside it, and the period that counts. Times in seconds."""

    rows: list[Row]
    about: Mapping[str, Any]
    rule_ms: float
    start: float
    end: float
    lag: list[tuple[float, float]]  # (when, ms late)
    stages: list[Stage]  # the periods of constant load, if the load was stepped

    @property
    def ended(self) -> float:
        """When the recording ended: requests in flight had waited until then."""
        return float(self.about["ended_s"])

    @property
    def open(self) -> bool:
        """True if visits arrived whether or not earlier ones were answered."""
        return self.about.get("model") == "open" or bool(self.about.get("arrivals"))


@dataclass(frozen=True)
class Judged:
    """One group of requests, judged by the rule."""

    name: str
    summary: Summary
    word: str  # kept, broken, or the reason for neither
    said: str


def read_recorded(rows_file: Path, rule_ms: float | None, warm_up: float | None) -> Recorded:
    """The rows and the file beside them. Raises LoadTestError."""
    rows = read_rows(rows_file)
    beside = rows_file.with_suffix(".json")
    try:
        about = json.loads(beside.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{beside} can't be read ({error.strerror}). It is written beside {rows_file.name} and says when"
            " the recording ended: copy both"
        ) from error
    except ValueError as error:
        raise UsageError(f"{beside} is not JSON: {error}") from error
    if not isinstance(about, dict) or not isinstance(about.get("ended_s"), int | float):
        raise UsageError(f"{beside} does not say when the recording ended (ended_s): it is not the plugin's")
    try:
        return Recorded(
            rows=rows,
            about=about,
            rule_ms=float(about.get("rule_ms") or RULE_MS) if rule_ms is None else rule_ms,
            start=float(about.get("warm_up_s") or 0.0) if warm_up is None else warm_up,
            end=float(about.get("stopped_s") or about["ended_s"]),
            lag=[(float(at), float(late)) for at, late in about.get("lag") or ()],
            stages=[_stage(stage) for stage in about.get("stages") or ()],
        )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"{beside} is not the plugin's: {error}") from error


def judge(rows: Sequence[Row], recorded: Recorded) -> list[Judged]:
    """Each group judged by the rule, with what its interval allows to conclude."""
    visits_there = {*recorded.about.get("visits", ()), *NO_REQUEST}
    found = []
    for group, members in by_group(rows).items():
        summary = summarise(members, recorded.ended, recorded.rule_ms)
        word, said = _verdict(summary)
        if group in visits_there:
            word, said = "no request", "A whole visit: the rule does not apply to it."
        found.append(Judged(title(group), summary, word, said))
    return found


def _verdict(summary: Summary) -> tuple[str, str]:
    share, interval = summary["share_over_500ms"], summary["share_ci"]
    if share is None or interval is None:
        return "undecided", "Nothing was answered."
    limit = percent(MOST_OVER)
    low, high = interval
    if share <= MOST_OVER:
        if high <= MOST_OVER:
            return "kept", f"its whole interval is within {limit}."
        return "kept", f"but its interval reaches over {limit}: more requests would tell."
    if low > MOST_OVER:
        return "broken", f"its whole interval is over {limit}."
    return "broken", f"but its interval reaches below {limit}: more requests would tell."


def status(judged: Sequence[Judged], reasons: Sequence[str]) -> str:
    """ "kept", "broken" or "unfit"."""
    words = {each.word for each in judged}
    if reasons or not words & {"kept", "broken"}:
        return "unfit"
    return "broken" if "broken" in words else "kept"


def headline(judged: Sequence[Judged], reasons: Sequence[str], rule_ms: float) -> str:
    """The verdict in one line."""
    rule = f"the rule of {duration(rule_ms)}"
    broken = [each for each in judged if each.word == "broken"]
    if reasons:
        return "Not fit for a verdict"
    if broken:
        worst = max(broken, key=lambda each: each.summary["share_over_500ms"] or 0.0)
        share = percent(worst.summary["share_over_500ms"] or 0.0)
        return f"{worst.name} broke {rule}: {share} took longer or failed"
    if not any(each.word == "kept" for each in judged):
        return "Nothing was measured that can be judged"
    return f"All groups of requests kept {rule}"


def unfit(recorded: Recorded) -> list[str]:
    """Why the recording proves nothing, by its own record; empty if it is fit."""
    reasons = []
    lags = lags_of(recorded)
    if lags and nearest_rank(lags, 99) > MOST_LAG_MS:
        late = nearest_rank(lags, 99)
        reasons.append(f"the load generator was late by {late:.1f} ms (p99, at most {MOST_LAG_MS:g} ms)")
    arrivals = recorded.about.get("arrivals") or {}
    planned = arrivals.get("planned", 0)
    if arrivals.get("dropped"):
        reasons.append(f"{arrivals['dropped']} of {planned} visits were dropped: too many were in flight")
    if arrivals.get("never_sent", 0) > MOST_NOT_SENT * planned:
        reasons.append(f"{arrivals['never_sent']} of {planned} visits were never sent")
    asked, there = recorded.about.get("users_asked"), recorded.about.get("users")
    if asked and there is not None and asked != there and not recorded.open and not recorded.stages:
        reasons.append(f"{there} of {asked} users were there")
    if recorded.about.get("processes_lost"):
        reasons.append(f"{recorded.about['processes_lost']} of the generator's processes did not report")
    return reasons


def lags_of(recorded: Recorded) -> list[float]:
    """How late the generator was at each look in the counted period, in ms."""
    return [late for at, late in recorded.lag if recorded.start <= at < recorded.end]


def _stage(about: Mapping[str, Any]) -> Stage:
    load = visits(about["rate_per_s"]) if "rate_per_s" in about else user_count(about["users"])
    return Stage(load, float(about["start_s"]), float(about["end_s"]))
