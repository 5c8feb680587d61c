"""Right and wrong answers to chapter 1's exercises."""

import json
from dataclasses import replace
from decimal import Decimal

from answers import Answers, as_if, recording

from loadtests.bench.plan import Plan

# isort: split
from workbook import chapter01_checks as checks

PLAN = Plan.from_json(recording("01-forty-visitors")["settings"]["plan"])
MORE = recording("01-more-slots")["result"]

ANSWERS = {
    "1": Answers(
        checks.most_feeds,
        right=(
            lambda slots, demand: slots / demand,
            lambda slots, demand: slots * demand**-1,
            lambda slots, demand: sum(1 / demand for _ in range(slots)),
            lambda slots, demand: Decimal(slots) / Decimal(demand),
        ),
        wrong=(
            lambda slots, demand: 8 / 1.12,
            lambda slots, demand: slots * demand,
            lambda slots, demand: (slots + 1) / demand,
            lambda slots, demand: int(slots / demand),
            lambda slots, demand: 1 / demand,
            lambda slots, demand: round(slots / demand, 2),
            lambda slots, demand: None,
            8 / 1.12,
        ),
    ),
    "2": Answers(
        checks.more_slots(PLAN),
        right=(MORE, json.loads(json.dumps(MORE))),
        wrong=(
            as_if(MORE, slots=[8]),
            as_if(MORE, slot_kind="processes"),
            as_if(MORE, apps=["sync", "queued"]),
            as_if(MORE, users=[10]),
            as_if(MORE, mix={"fast": 100}),
            as_if(MORE, think_s=2.0),
            MORE | {"steps": []},
            replace(PLAN, slots=(32,)),
            32,
        ),
    ),
    "3": Answers(
        checks.still_slow,
        right=("submit", " Submit"),
        wrong=("browse", "both", "neither", 3, 5006.0, ["submit"]),
    ),
}
