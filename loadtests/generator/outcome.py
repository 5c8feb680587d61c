"""What a judgement comes to in the terminal, word for word. Pure."""

from collections.abc import Sequence

import msgspec

from loadtests.generator.console import HEADING, run_table
from loadtests.generator.loadoptions import Load
from loadtests.judging.judge import GroupVerdict, Judgement, StageVerdict
from loadtests.judging.samples import title
from loadtests.records.recording import Recording, Stage
from loadtests.wording import counted, percent, share_interval, visits


def with_plan(
    recording: Recording, load: Load, stages: Sequence[Stage], users_asked: int, lost: int = 0
) -> Recording:
    """The recording with its load and what it is judged by. `lost`: processes that did not report."""
    return msgspec.structs.replace(
        recording,
        model=load.model,
        rate_per_s=load.rate if load.open and not load.steps else None,
        connections=load.connections,
        users_asked=None if load.open else users_asked,
        stages=tuple(stages),
        warm_up_s=load.warm_up,
        seed=load.seed,
        rule_ms=load.rule_ms,
        most_over=load.most_over,
        processes_lost=lost,
    )


def verdict_text(judgement: Judgement) -> str:
    """The verdict on a load as the terminal and Locust's page show it, its table above it."""
    return f"\n{HEADING}\n" + "\n\n".join(_stage(stage, judgement.recording) for stage in judgement.stages)


def _stage(verdict: StageVerdict, recording: Recording) -> str:
    table = run_table(verdict.rows, recording.ended_s, recording.rule_ms, naive=recording.open)
    return "\n".join([*_heading(verdict, recording), table, *_said(verdict, recording)])


def _heading(verdict: StageVerdict, recording: Recording) -> list[str]:
    if verdict.stage is None:
        return []
    load, start, end = verdict.stage
    what = visits(load) if recording.open else counted(round(load), "user")
    return [f"{what[0].upper()}{what[1:]}, from {start:.1f} to {end:.1f} s:"]


def _said(verdict: StageVerdict, recording: Recording) -> list[str]:
    """The verdict in words, each group with the interval that it rests on."""
    rule = f"The rule, at most {percent(recording.most_over)} of any requests over {recording.rule_ms:g} ms"
    ruled = [each for each in verdict.groups if each.word != "visit"]
    if not ruled:
        said = [f"{rule}: not judged."]
    else:
        words = {each.word for each in ruled}
        word = next(word for word in ("broken", "undecided", "kept") if word in words)
        said = [f"{rule}: {word}."]
        said += [f"  {_reason(each)}" for each in ruled if each.word == word]
    if verdict.doubts:
        said.append(f"But this proves nothing: {'; '.join(verdict.doubts)}.")
    return said


def _reason(verdict: GroupVerdict) -> str:
    """ "browsing 0 % (95 % interval 0 to 3.6 %): about 270 more requests would decide"."""
    share, interval = verdict.summary["share_over"], verdict.summary["share_ci"]
    if share is None or interval is None:
        return f"{title(verdict.group)}: nothing was answered"
    said = f"{title(verdict.group)} {percent(share)} (95 % interval {share_interval(interval)})"
    if verdict.word != "undecided":
        return said
    if verdict.more is None:
        return f"{said}: so near to the limit that hardly any number of requests would decide"
    return f"{said}: about {verdict.more} more requests would decide"
