"""The plan of `make bench-full`: repeats around the knee, both models, each app's limit, a burst. Pure.

The knee N* = c(D+Z)/D is where the synchronous app's slots become the bottleneck. D is not assumed: a pilot
run measures it.
"""

from dataclasses import replace

from loadtests.bench.plan import Condition, Plan
from loadtests.errors import LoadTestError
from loadtests.records.constants import SUBMITTERS
from loadtests.records.results import Results
from loadtests.records.steps import reasons_of, sound
from loadtests.theory import knee

REPEATS = 5
MULTIPLES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # of the knee N*
SHARES_OF_SATURATION = (0.5, 0.75, 0.95)  # of the rate that saturates the synchronous app's slots
MEASURE_SECONDS = 9.0
PILOT_SECONDS = 20.0
BURST_LOAD = 0.4  # of the workers' capacity
BURST_JOBS = 100


def pilot_plan(plan: Plan) -> Plan:
    """One step of the synchronous app with two users a slot: busy slots, and many requests timed."""
    users = (2 * plan.slots[0],)
    return replace(
        plan, users=users, search=False, rates=(), apps=("sync",), repeats=1, measure=PILOT_SECONDS, extra=()
    )


def full_plan(plan: Plan, pilot: Results) -> Plan:
    """`plan` with users and rates around the knee that the results of the pilot show.

    Raises LoadTestError if the pilot was not sound, or served no POST /feeds.
    """
    step = next((step for step in pilot["steps"] if sound(step)), pilot["steps"][0])
    demand_ms = step["server"]["demand_ms"] if step["server"] else {}
    if not sound(step) or "submit" not in demand_ms:
        reasons = "; ".join(reasons_of(step)) or "no feed was fetched"
        raise LoadTestError(
            f"The pilot step did not measure the app alone, so the knee is not known: {reasons}. Try again."
        )
    slots, demand = plan.slots[0], demand_ms["submit"] / 1000
    page = demand_ms.get("page", 0.0) / 1000
    users_at_knee = knee(demand + page, slots, plan.think) / SUBMITTERS
    saturation = slots / (SUBMITTERS * (demand + page) + (1 - SUBMITTERS) * page)  # visits a second
    threads = plan.workers[0] * plan.threads[0]
    return replace(
        plan,
        users=tuple(sorted({max(1, round(multiple * users_at_knee)) for multiple in MULTIPLES})),
        rates=tuple(float(f"{load * saturation:.3g}") for load in SHARES_OF_SATURATION),
        repeats=REPEATS,
        measure=MEASURE_SECONDS,
        extra=(
            Condition(
                "queued",
                rate=float(f"{BURST_LOAD * threads / demand / SUBMITTERS:.3g}"),
                slots=slots,
                workers=plan.workers[0],
                threads=plan.threads[0],
                burst=BURST_JOBS,
            ),
        ),
    )
