"""The entry of a measured step in results.json. Pure: step.py does the measuring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.plan import Condition, Plan, PlannedStep
from loadtests.errors import ProcessError
from loadtests.judging.fitness import growth, little, unfit_reasons, unsteady_reasons
from loadtests.judging.judge import judge_window
from loadtests.judging.rule import rule_of
from loadtests.judging.samples import summarise
from loadtests.records.inside import ProcessUse, QueueSide, ServerSide
from loadtests.records.recording import Recording
from loadtests.records.rows import Row
from loadtests.records.steps import LittlesUsers, Naive, Step
from loadtests.servers.sampler import Sampler, Window, timeline, window
from loadtests.servers.slotmeter import SlotCounts
from loadtests.theory import workers_needed

ROW_GROUPS = ("submit", "browse", "content", "page", "poll")


@dataclass(frozen=True)
class Seen:
    """Everything known about a step when it is over."""

    recording: Recording
    sampler: Sampler
    slots: SlotCounts  # at the end
    drain_s: float | None
    gone: str | None = None  # why the server can't be judged, if it was not there to the end


def entry(plan: Plan, step: PlannedStep, seen: Seen, rows: Path) -> Step:
    """One step of results.json, whose `rows` are in that file of the run's folder.

    Raises ProcessError if the servers or the generator's lag were sampled too rarely.
    """
    condition, (start, end) = step.condition, plan.window(step.condition)
    recording = seen.recording
    judged = judge_window(recording, start, end, condition.users)
    if judged.health is None:
        raise ProcessError(
            "The load generator was so late that its lag was never sampled in the measured time."
        )
    ended, origin = recording.ended_s, recording.started_at
    groups = {group: [row for row in judged.rows if row.group == group] for group in ROW_GROUPS}
    requests = [row for row in judged.rows if row.group not in recording.visits]
    view = window(seen.sampler.samples, origin + start, origin + end)
    law = little(recording.rows, start, end, condition.users) if condition.users else None
    served = None if plan.host else _server(seen, view, condition)
    unfit = [
        *([seen.gone] if seen.gone else []),
        *judged.doubts,
        *unfit_reasons(
            little=law,
            counts=(served["answered"], served["requests"], served["sent"]) if served else None,
            put_off=growth(view.backlogs) if judged.slowed and not condition.burst else (),
        ),
    ]
    unsteady = [] if condition.burst else _unsteady(groups, view, start, end, ended)
    submit, browse = (summarise(groups[group], ended) for group in ("submit", "browse"))
    found = Step(
        app=condition.app,
        model=condition.model,
        users=condition.users,
        rate_per_s=condition.rate,
        slots=condition.slots,
        workers=condition.workers,
        threads=condition.threads,
        repeat=step.repeat,
        window_s=[start, end],
        requests=len(requests),
        failures=sum(row.failed for row in requests),
        unfinished=sum(row.unfinished for row in requests),
        dropped=sum(row.dropped for row in requests),
        offered_per_s=len(requests) / plan.measure,
        achieved_per_s=_answered(recording, start, end) / plan.measure,
        submit=submit,
        browse=browse,
        content=summarise(groups["content"], ended),
        naive=Naive(
            submit=summarise(groups["submit"], ended, naive=True),
            browse=summarise(groups["browse"], ended, naive=True),
        ),
        polls_share=len(groups["poll"]) / len(requests) if requests else 0.0,
        fit=not unfit,
        unfit_reasons=unfit,
        slowed_reasons=list(judged.slowed),
        steady=not unsteady,
        unsteady_reasons=unsteady,
        rule=rule_of({"submit": submit, "browse": browse}, bool(judged.slowed)),
        host_cpu_percent=judged.health.host_cpu_percent,
        generator_cpu_percent=judged.health.generator_cpu_percent,
        loop_lag_p99_ms=judged.health.lag_p99_ms,
        little=LittlesUsers(users=law.users, error=law.error) if law else None,
        server=served,
        queue=_queue(condition, view, seen.drain_s) if view.backlogs else None,
        processes={
            name: ProcessUse(
                cpu_percent=round(percent, 1), memory_mib=round(seen.sampler.memory.get(name, 0) / 2**20, 1)
            )
            for name, percent in view.cpu_percent.items()
        },
        timeline=timeline(seen.sampler.samples, origin),
        rows=str(rows),
        ended_s=ended,
    )
    if condition.burst:
        found["burst"] = condition.burst
    return found


def _answered(recording: Recording, start: float, end: float) -> int:
    """How many requests ended in this time, whenever they were sent: the server's throughput."""
    requests = (row for row in recording.rows if row.group not in recording.visits)
    ended = [row.done_s for row in requests if row.done_s is not None]
    return sum(start <= done < end for done in ended)


def _server(seen: Seen, view: Window, condition: Condition) -> ServerSide:
    """The step as the web server saw it, beside what the load generator counted over the whole step."""
    visits = seen.recording.visits
    sent = [row for row in seen.recording.rows if row.group not in visits and row.sent_s is not None]
    return ServerSide(
        requests=seen.slots.taken,
        sent=len(sent),
        answered=sum(row.status > 0 for row in sent),
        slots=seen.slots.slots,
        utilisation=view.slots_busy / condition.slots,
        served=view.served,
        demand_ms={kind: 1000 * view.busy_s[kind] / count for kind, count in view.served.items()},
        demand_scv=view.demand_scv,
    )


def _queue(condition: Condition, view: Window, drain_s: float | None) -> QueueSide:
    """The step as the workers saw it."""
    demand = view.running / view.out_per_s if view.out_per_s else None
    return QueueSide(
        in_per_s=view.in_per_s,
        out_per_s=view.out_per_s,
        utilisation=view.running / (condition.workers * condition.threads),
        demand_s=demand,
        workers_needed=workers_needed(view.in_per_s, demand) if demand else None,
        backlog_max=max(view.backlogs, default=0),
        backlog_mean=sum(view.backlogs) / len(view.backlogs) if view.backlogs else 0.0,
        drain_s=drain_s,
    )


def _unsteady(
    groups: Mapping[str, Sequence[Row]], view: Window, start: float, end: float, ended: float
) -> list[str]:
    middle = (start + end) / 2
    halves = {}
    for group, name in (("submit", "POST /feeds"), ("browse", "browsing")):
        waits = [(row.intended_s < middle, row.waited_ms(ended)) for row in groups[group] if not row.failed]
        halves[name] = [ms for first, ms in waits if first], [ms for first, ms in waits if not first]
    return unsteady_reasons(halves, view.backlogs)
