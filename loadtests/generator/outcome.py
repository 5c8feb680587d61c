"""The outcome of a finished load: the text for the terminal, the exit status, the .json file. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from loadtests.generator.console import HEADING, run_table, summaries, title
from loadtests.generator.loadoptions import Load
from loadtests.generator.recordings import Recording
from loadtests.judging.fitness import unfit_reasons
from loadtests.judging.rule import MOST_OVER
from loadtests.judging.samples import Row, in_window, nearest_rank
from loadtests.wording import counted, percent, visits

KEPT, BROKEN, UNFIT = 0, 1, 3  # exit statuses; 2 is for wrong usage


class Stage(NamedTuple):
    """A stretch of constant load, in seconds: `load` users, or visits a second."""

    load: float
    start: float
    end: float


@dataclass(frozen=True)
class Judged:
    """The verdict on one stage, or on the whole load."""

    heading: str
    table: str
    over: dict[str, float]  # for each group of requests, the share over the rule or failed
    reasons: list[str]  # why it proves nothing; empty if it is fit


@dataclass(frozen=True)
class Outcome:
    text: str
    exit_status: int


def outcome(recording: Recording, load: Load, stages: Sequence[Stage], asked: int, lost: int = 0) -> Outcome:
    """The verdict on a load. `asked`: users asked for; `lost`: processes that did not report."""
    if stages:
        judged = [_judge_stage(recording, load, stage, lost) for stage in stages]
    else:
        judged = [_judge(recording, load, load.warm_up, recording.stopped, asked, lost)]
    most = MOST_OVER if load.fail_over is None else load.fail_over / 100
    texts = ["\n".join(filter(None, [each.heading, each.table, *_said(each, load, most)])) for each in judged]
    return Outcome(f"\n{HEADING}\n" + "\n\n".join(texts), max(_status(each, most) for each in judged))


def _judge_stage(recording: Recording, load: Load, stage: Stage, lost: int) -> Judged:
    what = visits(stage.load) if load.open else counted(round(stage.load), "user")
    heading = f"{what[0].upper()}{what[1:]}, from {stage.start:.1f} to {stage.end:.1f} s:"
    start = stage.start + load.warm_up
    return _judge(recording, load, start, stage.end, round(stage.load), lost, heading)


def _judge(
    recording: Recording, load: Load, start: float, end: float, asked: int, lost: int, heading: str = ""
) -> Judged:
    """Judge the requests due to start between `start` and `end`, and the generator's fitness then."""
    rows = in_window(recording.rows, start, end)
    shares = {
        group: figures["share_over_500ms"]
        for group, figures in summaries(rows, recording.ended, load.rule_ms).items()
        if group not in recording.visits
    }
    return Judged(
        heading=heading,
        table=run_table(rows, recording.ended, load.rule_ms, naive=load.open),
        over={group: share for group, share in shares.items() if share is not None},
        reasons=_unfit(recording, load, rows, start, end, asked, lost),
    )


def _unfit(
    recording: Recording, load: Load, rows: Sequence[Row], start: float, end: float, asked: int, lost: int
) -> list[str]:
    """Why the load proves nothing, by the limits of fitness.py; empty if it is fit."""
    reasons = [f"{counted(lost, 'load generator')} did not report"] if lost else []
    if not rows:
        return [*reasons, "nothing was measured"]
    lags = [late for at, late in recording.lag if start <= at < end]
    if not lags:
        return [*reasons, "the load generator was so late that its lag was never sampled"]
    generator, host = recording.cpu(start, end)
    count = recording.arrivals
    return reasons + unfit_reasons(
        lag_p99_ms=nearest_rank(lags, 99),
        host_cpu_percent=host,
        generator_cpu_percent=generator,
        users=None if load.open else (asked, recording.users_at(end)),
        visits=(count.planned, count.sent, count.dropped) if count else None,
    )


def _said(judged: Judged, load: Load, most: float) -> list[str]:
    """The verdict, in words."""
    rule = f"The rule, at most {percent(most)} of any requests over {load.rule_ms:g} ms"
    broken = {group: share for group, share in judged.over.items() if share > most}
    if not judged.over:
        said = f"{rule}: cannot be judged."
    elif broken:
        worst = sorted(broken.items(), key=lambda item: -item[1])
        said = f"{rule}: broken. " + ", ".join(f"{title(group)} {percent(share)}" for group, share in worst)
    else:
        said = f"{rule}: kept."
    if judged.reasons:
        return [said, f"But this proves nothing: {'; '.join(judged.reasons)}."]
    return [said]


def _status(judged: Judged, most: float) -> int:
    if judged.reasons or not judged.over:
        return UNFIT
    return BROKEN if max(judged.over.values()) > most else KEPT


def about(
    recording: Recording, load: Load, stages: Sequence[Stage], asked: int, lost: int = 0
) -> dict[str, Any]:
    """The contents of the .json file beside the rows. Times in seconds, lag in ms."""
    users = {"users": recording.users(), "users_asked": asked}
    return {
        "started_at": recording.started_at,
        "stopped_s": recording.stopped,
        "ended_s": recording.ended,
        "model": load.model,
        **({"rate_per_s": load.rate} if load.open else users),
        **({"arrivals": recording.arrivals.to_json()} if recording.arrivals else {}),
        **({"stages": [_stage(stage, load) for stage in stages]} if stages else {}),
        "seed": load.seed,
        "rule_ms": load.rule_ms,
        "warm_up_s": load.warm_up,
        "visit_groups": sorted(recording.visits),
        "left_out": recording.left_out,
        "processes": len(recording.vitals),
        "processes_lost": lost,
        "lag": [[round(at, 3), round(late, 3)] for at, late in recording.lag],
    }


def _stage(stage: Stage, load: Load) -> dict[str, float]:
    what = {"rate_per_s": stage.load} if load.open else {"users": round(stage.load)}
    return {**what, "start_s": round(stage.start, 3), "end_s": round(stage.end, 3)}
