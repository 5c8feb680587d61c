"""Right and wrong answers to chapter 2's exercises."""

import json
import math
from statistics import mean

from answers import Answers, as_if, recording

from loadtests.bench.plan import EverybodySubmits
from loadtests.feedserver.kinds import delay_of
from loadtests.theory import ClosedLoad, knee

# isort: split
from workbook import chapter02_checks as checks

DEMAND = mean(delay_of("typical", n) for n in range(10_000))
ENOUGH = next(c for c in range(1, 32) if ClosedLoad(c, 31, 1, DEMAND).share_waiting_over(0) <= 0.05)
PLAN = EverybodySubmits.from_json(recording("02-knee")["settings"]["plan"])
BETTER = recording("02-enough-slots")["result"]

ANSWERS = {
    "1": Answers(
        checks.slots_for,
        right=(
            lambda users, think, demand: math.ceil(users * demand / (think + demand)),
            lambda users, think, demand: next(
                c for c in range(1, users + 1) if knee(demand, c, think) >= users
            ),
            lambda users, think, demand: -(-users // (1 + think / demand)),
        ),
        wrong=(
            lambda users, think, demand: 8,
            lambda users, think, demand: users * demand / (think + demand),
            lambda users, think, demand: int(users * demand / (think + demand)),
            lambda users, think, demand: int(users * demand / (think + demand)) + 1,
            lambda users, think, demand: round(users * demand / (think + demand)),
            lambda users, think, demand: math.ceil(users * demand / think) if think else users,
            lambda users, think, demand: users,
            lambda users, think, demand: str(users),
            8,
        ),
    ),
    "2": Answers(
        checks.enough_slots(DEMAND),
        right=(ENOUGH, float(ENOUGH)),
        wrong=(ENOUGH - 1, ENOUGH + 1, ENOUGH - 0.5, 4, 31, 0, -ENOUGH, 0.05, True, str(ENOUGH), None),
    ),
    "3": Answers(
        checks.measured_with_enough(PLAN, DEMAND),
        right=(BETTER, json.loads(json.dumps(BETTER))),
        wrong=(
            as_if(BETTER, slots=[4]),
            as_if(BETTER, slots=[ENOUGH + 1]),
            as_if(BETTER, submitters=0.7),
            as_if(BETTER, users=[8, 15, 31]),
            as_if(BETTER, users=[44]),
            as_if(BETTER, apps=["queued"]),
            as_if(BETTER, mix={"typical": 80, "slow": 20}),
            BETTER | {"steps": []},
            BETTER["steps"],
            ENOUGH,
        ),
    ),
}
