"""The one judge: what a recording proves about the rule, and about the expectations beyond it. Pure.

Everything that reports on a load asks it, so that no two can disagree: the plugin in the terminal and on
Locust's page, the bench, the report of a file of requests, `compare`, and the floor.

A group of requests *kept* the rule if the 95 % interval of its share over the rule lies within what is
allowed, *broke* it if the interval lies above, and is *undecided* if the interval spans the limit. A load
that is itself in doubt proves nothing: it is *not fit*. One that was slowed by its machine or its generator
can prove only that the rule was kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from loadtests.judging.absence import nothing_there
from loadtests.judging.alignment import clock_doubt
from loadtests.judging.expectations import ExpectationVerdict, judge_expectation
from loadtests.judging.fitness import MOST_SENT_LATE, not_sent, sent_late_ms, slowed_reasons, unfit_reasons
from loadtests.judging.intervals import CONFIDENCE, clopper_pearson
from loadtests.judging.looks import confidence_at
from loadtests.judging.rule import all_of, excused, more_needed, word_of
from loadtests.judging.samples import by_group, nearest_rank, summarise
from loadtests.records.figures import Summary, Word
from loadtests.records.recording import Recording, Stage
from loadtests.records.rows import Row, in_window
from loadtests.status import Status
from loadtests.wording import counted, share_interval

STATUS_OF: dict[Word, Status] = {"kept": Status.KEPT, "broken": Status.BROKEN, "undecided": Status.UNDECIDED}


@dataclass(frozen=True)
class GroupVerdict:
    """One group of requests against the rule."""

    group: str
    summary: Summary
    word: Word | Literal["visit"]  # visit: its rows are whole visits, to which the rule does not apply
    confidence: float = CONFIDENCE  # of the word: higher if it was looked at while the load ran
    more: int | None = None  # undecided: about how many more requests would decide, if known
    excused: bool = False  # undecided: over the limit, but that may be the machine's doing

    @property
    def interval(self) -> str | None:
        """What the word rests on, "95 % interval 0 to 3.6 %"; None if nothing was answered."""
        over, judged = self.summary["over"], self.summary["judged"]
        if not judged:
            return None
        interval = clopper_pearson(over, judged, self.confidence)
        return f"{100 * self.confidence:.4g} % interval {share_interval(interval)}"


class Health(NamedTuple):
    """How busy and how late the load generator and its machine were."""

    lag_p99_ms: float
    generator_cpu_percent: float  # of one core, the busiest process
    host_cpu_percent: float  # of all cores


@dataclass(frozen=True)
class StageVerdict:
    """A period of constant load: what its requests prove about the rule and the expectations beyond it, and
    why they may prove nothing.
    """

    stage: Stage | None  # of a stepped load
    start: float  # the judged time, in seconds, without the warm-up
    end: float
    rows: Sequence[Row]
    groups: tuple[GroupVerdict, ...]
    health: Health | None  # None: it was not sampled
    doubts: tuple[str, ...]  # why the load is not fit; empty if it is
    slowed: tuple[str, ...]  # why its latencies are upper bounds; empty if they are not
    expectations: tuple[ExpectationVerdict, ...] = ()

    @property
    def status(self) -> Status:
        """Kept, broken, undecided, or not fit."""
        words: list[Word] = [each.word for each in self.groups if each.word != "visit"]
        if self.doubts or not words:
            return Status.UNFIT
        return STATUS_OF[all_of([*words, *(each.word for each in self.expectations)])]


@dataclass(frozen=True)
class Judgement:
    """What a recording proves, stage by stage."""

    recording: Recording
    stages: tuple[StageVerdict, ...]

    @property
    def absent(self) -> str | None:
        """Why nothing was tested, if not one request of the whole load reached a server."""
        return nothing_there(_requests(self.recording, self.recording.rows))

    @property
    def status(self) -> Status:
        """USAGE if nothing was there; else broken if any stage is; else the greatest doubt; else kept.

        A stage is broken if the rule or an expectation is.
        """
        return Status.USAGE if self.absent else worst(stage.status for stage in self.stages)


def worst(statuses: Iterable[Status]) -> Status:
    """The one status of several: a proof that the rule was broken outweighs any doubt about the others."""
    found = set(statuses)
    order = (Status.BROKEN, Status.UNFIT, Status.UNDECIDED, Status.KEPT)
    return next((status for status in order if status in found), Status.UNFIT)


def judge(recording: Recording) -> Judgement:
    """Judge a recording by the rule, the warm-up and the stages that it was made with."""
    if not recording.stages:
        asked = None if recording.open else recording.users_asked
        whole = judge_window(recording, recording.warm_up_s, recording.stopped_s, asked)
        return Judgement(recording, (whole,))
    return Judgement(
        recording, tuple(_judge_stage(recording, number) for number in range(len(recording.stages)))
    )


def _judge_stage(recording: Recording, number: int) -> StageVerdict:
    stage = recording.stages[number]
    asked = None if recording.open else round(stage.load)
    return judge_window(recording, stage.start_s + recording.warm_up_s, stage.end_s, asked, number)


def judge_window(
    recording: Recording, start: float, end: float, users: int | None, stage: int | None = None
) -> StageVerdict:
    """Judge the requests that should have started in [start, end), in seconds.

    `users`: how many there should have been in closed load, if that is known. `stage`: its number.
    """
    looks = recording.looks[stage or 0 :]
    confidence = confidence_at(looks[0] if looks else 0)
    if recording.decided_s is not None:
        end = min(end, recording.decided_s)
    until = recording.judged_until(start, end)
    rows = in_window(recording.rows, start, until)
    health = health_of(recording, start, end)
    slowed = slowed_by(recording, health, sent_late_ms(rows)) if health else ()
    there = None if users is None else (users, recording.users_at(end))
    late = 0.0
    if slowed and not recording.open:
        late = not_sent(_requests(recording, rows), _lags(recording, start, until), until - start)
    return StageVerdict(
        stage=None if stage is None else recording.stages[stage],
        start=start,
        end=until,
        rows=rows,
        groups=tuple(
            _judge_group(group, members, recording, bool(slowed), confidence)
            for group, members in by_group(rows).items()
        ),
        health=health,
        doubts=tuple(_doubts(recording, rows, health, there, late)),
        slowed=slowed,
        expectations=tuple(
            judge_expectation(each, recording, rows, (start, until), bool(slowed), confidence)
            for each in recording.expectations
        ),
    )


def _judge_group(
    group: str, rows: Sequence[Row], recording: Recording, slowed: bool, confidence: float
) -> GroupVerdict:
    summary = summarise(rows, recording.ended_s, recording.rule_ms)
    if group in recording.visits:
        return GroupVerdict(group, summary, "visit")
    counts = summary["over"], summary["judged"], recording.most_over, slowed
    word = word_of(*counts, confidence)
    if word != "undecided":
        return GroupVerdict(group, summary, word, confidence)
    return GroupVerdict(group, summary, word, confidence, more_needed(*counts, confidence), excused(*counts))


def health_of(recording: Recording, start: float, end: float) -> Health | None:
    """The generator's health from `start` to `end` (seconds); None if it was not sampled."""
    lags, cpu = _lags(recording, start, end), recording.cpu(start, end)
    return Health(nearest_rank(lags, 99), *cpu) if lags and cpu else None


def _lags(recording: Recording, start: float, end: float) -> list[float]:
    return [lag.ms for lag in recording.lag if start <= lag.at < end]


def _requests(recording: Recording, rows: Iterable[Row]) -> Iterable[Row]:
    """The rows without those of whole visits."""
    return (row for row in rows if row.group not in recording.visits)


def slowed_by(recording: Recording, health: Health, late_ms: float) -> tuple[str, ...]:
    """Why the latencies are upper bounds. `late_ms`: how late open load's visits were sent."""
    on_time = recording.open and not recording.connections
    late = (late_ms, MOST_SENT_LATE * recording.rule_ms) if on_time else (0.0, 0.0)
    return tuple(slowed_reasons(**health._asdict(), sent_late=late))


def _doubts(
    recording: Recording,
    rows: Sequence[Row],
    health: Health | None,
    users: tuple[int, int] | None,
    late: float,
) -> list[str]:
    """Why these rows prove nothing, as far as the recording shows.

    `users`: asked for, present. `late`: the share of closed load that a late generator did not send.
    """
    reasons = list(recording.faults)
    if lost := recording.processes_lost:
        reasons.append(f"{counted(lost, 'load generator')} did not report")
    if doubt := clock_doubt(recording):
        reasons.append(doubt)
    if not rows:
        return [*reasons, "nothing was measured"]
    if absent := nothing_there(_requests(recording, rows)):
        reasons.append(absent)
    if health is None:
        return [*reasons, "the load generator was so late that its lag was never sampled"]
    arrivals = recording.arrivals if not recording.stages else None  # counted over all stages
    return reasons + unfit_reasons(
        not_sent=late,
        users=users,
        visits=(arrivals.planned, arrivals.sent, arrivals.dropped) if arrivals else None,
    )
