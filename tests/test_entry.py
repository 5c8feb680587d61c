"""From the observations of a step to its entry in results.json."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from loadtests.bench.entry import Seen, entry
from loadtests.bench.plan import Condition, Plan, PlannedStep
from loadtests.errors import ProcessError
from loadtests.records.recording import Arrivals, Lag, Recording, Vital
from loadtests.records.rows import DROPPED, Row
from loadtests.records.steps import Step
from loadtests.servers.sampler import Sample, Sampler
from loadtests.servers.slotmeter import SlotCounts

SCHEMA = json.loads((Path(__file__).parent.parent / "loadtests" / "results.schema.json").read_text())
PLAN = Plan(users=(10,), warmup=1.75, measure=10.0)  # ten users are there after another 0.25 s
ORIGIN, ENDED = 1000.0, 15.0
SUBMIT_SECONDS, THINK_SECONDS = 0.6, 1.4


def visits(user: int) -> list[Row]:
    """A user who submits a feed every two seconds: 0.6 s for the answer, 20 ms for its page."""
    rows, now = [], user * 0.2
    while now < ENDED:
        answered = now + SUBMIT_SECONDS
        rows.append(Row(user, "submit", "POST /feeds", now, now, answered, 303, ""))
        rows.append(Row(user, "page", "GET /feeds/[id]", answered, answered, answered + 0.02, 200, ""))
        rows.append(Row(user, "content", "content on the page", now, now, answered + 0.02, 200, ""))
        now = answered + 0.02 + THINK_SECONDS
    return rows


ROWS = sorted((row for user in range(10) for row in visits(user)), key=lambda row: row.intended_s)
SENT = sum(row.group != "content" for row in ROWS)
RECORDING = Recording(
    started_at=ORIGIN,
    stopped_s=ENDED,
    ended_s=17.0,
    rows=tuple(ROWS),
    users_asked=10,
    visits=("content",),
    lag=tuple(Lag(at / 10, 1.0) for at in range(150)),
    vitals=(tuple(Vital(at / 2, 0.05 * at, 0.25 * at, at, 10) for at in range(30)),),
)


def look(at: float, queue: bool) -> Sample:
    """The machine a quarter busy; three of four slots busy with submits; two jobs wait, three run."""
    return Sample(
        at=ORIGIN + at,
        host_busy=0.5 * at,
        host_total=2 * at,
        cpu={"web server": 0.2 * at, "load generator": 0.1 * at},
        enqueued=int(5 * at),
        fetched=int(5 * at),
        backlog=2 if queue else None,
        running=3 if queue else None,
        slots=SlotCounts(4, {"submit": int(5 * at)}, {"submit": 3.0 * at}, 0, 0.0, {"submit": 1.8 * at}),
    )


def seen(app: str = "sync", slots: SlotCounts | None = None, **recorded: Any) -> Seen:
    """A step as sampler, slots and load generator saw it; the generator `recorded` this."""
    sampler = Sampler({})
    sampler.samples = [look(at / 2, app == "queued") for at in range(40)]
    sampler.memory = {"web server": 100 * 2**20}
    counts = SlotCounts(4, {"submit": SENT // 2, "page": SENT - SENT // 2, "other": 9}, {})
    recording = msgspec.structs.replace(RECORDING, **recorded)
    return Seen(recording, sampler, slots or counts, drain_s=1.5 if app == "queued" else None)


def entry_of(*measured: Any) -> Step:
    """Its entry."""
    return entry(*measured, Path("rows/x.csv"))


def step(app: str = "sync", **load: Any) -> PlannedStep:
    """One of the plan's steps."""
    return PlannedStep(Condition(app, **(load or {"users": 10}), slots=4, workers=1, threads=8))


def test_an_entry_is_as_the_schema_says() -> None:
    """For either app, with no reason to doubt it."""
    for app in ("sync", "queued"):
        made = entry(PLAN, step(app), seen(app), Path("rows/x.csv"))
        jsonschema.validate(made, {"$ref": "#/$defs/Step", "$defs": SCHEMA["$defs"]})
        assert made["fit"], made["unfit_reasons"]
        assert made["steady"], made["unsteady_reasons"]


def test_only_what_was_meant_to_start_in_the_measured_time_counts() -> None:
    """Ten users, a visit every 2.02 s for 10 s: about 50 submits of 600 ms, all over the rule."""
    made = entry_of(PLAN, step(), seen())
    inside = [row for row in ROWS if row.group == "submit" and 2 <= row.intended_s < 12]
    assert made["submit"]["count"] == len(inside) == pytest.approx(50, abs=2)
    assert made["submit"]["p50_ms"] == 600
    assert made["submit"]["share_over"] == 1
    assert made["submit"]["over"] == made["submit"]["judged"] == len(inside)
    assert made["rule"] == "broken"
    assert made["little"]["users"] == pytest.approx(10, rel=0.02)


def test_the_servers_side_is_what_its_slots_counted() -> None:
    """D = 0.6 s, c_s^2 = 0, and three of four slots busy; no queue."""
    made = entry_of(PLAN, step(), seen())
    assert made["server"]["demand_ms"] == {"submit": pytest.approx(600)}
    assert made["server"]["demand_scv"] == {"submit": pytest.approx(0, abs=1e-9)}
    assert made["server"]["served"] == {"submit": 50}
    assert made["server"]["utilisation"] == pytest.approx(0.75)
    assert made["server"]["sent"] == made["server"]["answered"] == made["server"]["requests"] == SENT
    assert made["queue"] is None
    assert made["processes"] == {
        "web server": {"cpu_percent": 20.0, "memory_mib": 100.0},
        "load generator": {"cpu_percent": 10.0, "memory_mib": 0.0},
    }


def test_the_queues_side_follows_from_littles_law() -> None:
    """3 jobs in 8 threads, 5 a second: 0.6 s each; 5/s x 0.6 s = 3 erlangs need more than 3 threads."""
    queue = entry_of(PLAN, step("queued"), seen("queued"))["queue"]
    assert queue["demand_s"] == pytest.approx(0.6)
    assert queue["workers_needed"] == 4
    assert queue["utilisation"] == pytest.approx(3 / 8)
    assert (queue["backlog_max"], queue["backlog_mean"], queue["drain_s"]) == (2, 2, 1.5)


def test_a_server_that_counts_other_requests_makes_a_step_unfit() -> None:
    """More requests were answered than the server counted."""
    made = entry_of(PLAN, step(), seen(slots=SlotCounts(4, {"submit": 7}, {})))
    assert not made["fit"]
    assert "the web server took 7 requests" in made["unfit_reasons"][0]


def test_open_load_is_held_to_its_schedule_and_not_to_users() -> None:
    """Dropped or unsent visits make it unfit; a dropped visit counts as over the rule."""
    arrivals = Arrivals(planned=60, sent=50, dropped=10, never_sent=0)
    dropped = [Row(0, "submit", "POST /feeds", 3 + n / 10, None, None, 0, DROPPED) for n in range(10)]
    made = entry_of(PLAN, step(rate=5.0), seen(users_asked=None, arrivals=arrivals, rows=(*ROWS, *dropped)))
    assert made["little"] is None
    assert made["unfit_reasons"] == ["10 of 60 visits were dropped: too many were in flight"]
    assert made["submit"]["dropped"] == made["dropped"] == 10


def test_a_server_that_was_running_already_has_no_inside() -> None:
    """Its slots are unknown, and that is not held against the step."""
    made = entry_of(replace(PLAN, host="http://127.0.0.1:1"), step("host"), seen(slots=SlotCounts()))
    assert made["server"] is None and made["fit"]


def test_a_generator_without_a_sign_of_life_proves_nothing() -> None:
    """Not even that it was late."""
    with pytest.raises(ProcessError, match="lag was never sampled"):
        entry_of(PLAN, step(), seen(lag=()))
    with pytest.raises(ProcessError, match="lag was never sampled"):
        entry_of(PLAN, step(), seen(vitals=()))


def test_whatever_the_judge_doubts_makes_a_step_unfit() -> None:
    """Missing users, lost generators, a generator that stood still."""
    few = (tuple(Vital(at / 2, 0.05 * at, 0.25 * at, at, 9) for at in range(30)),)
    for recorded, said in (
        ({"vitals": few}, "9 of 10 users were there"),
        ({"processes_lost": 1}, "1 load generator did not report"),
        ({"faults": ("a file could not be opened",)}, "a file could not be opened"),
        ({"lag": tuple(Lag(at / 10, 200.0) for at in range(150))}, "sent about 100 % less"),
    ):
        made = entry_of(PLAN, step(), seen(**recorded))
        assert not made["fit"] and any(said in reason for reason in made["unfit_reasons"])


BUSY = (tuple(Vital(at / 2, 0.05 * at, 0.9 * at, at, 10) for at in range(30)),)


def test_a_step_on_a_full_machine_is_fit_and_proves_no_broken_rule() -> None:
    """All submits are over the rule, which may be the machine's doing."""
    made = entry_of(PLAN, step(), seen(vitals=BUSY))
    jsonschema.validate(made, {"$ref": "#/$defs/Step", "$defs": SCHEMA["$defs"]})
    assert (made["fit"], made["unfit_reasons"], made["rule"]) == (True, [], "undecided")
    assert made["slowed_reasons"] == ["the machine was 90 % busy (at most 80 %)"]


def test_a_backlog_that_grows_on_a_full_machine_makes_a_step_unfit() -> None:
    """The work was put off, and did not compete with the requests. On a free machine it is not steady."""
    observed = seen("queued")
    for number, sample in enumerate(observed.sampler.samples):
        observed.sampler.samples[number] = replace(sample, backlog=10 * number)
    made = entry_of(PLAN, step("queued"), observed)
    assert (made["fit"], made["steady"]) == (True, False)
    full = msgspec.structs.replace(observed.recording, vitals=BUSY)
    made = entry_of(PLAN, step("queued"), replace(observed, recording=full))
    assert not made["fit"] and made["unfit_reasons"][0].endswith("jobs: the work was put off")


def test_a_step_with_few_requests_is_undecided() -> None:
    """Even though all of them are fast."""
    quick = [replace(row, done_s=row.intended_s + 0.02) for row in ROWS]
    made = entry_of(PLAN, step(), seen(rows=tuple(quick)))
    assert (made["rule"], made["submit"]["over"], made["submit"]["share_over"]) == ("undecided", 0, 0)
