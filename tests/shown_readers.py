"""Two states of a reader that the demo may have to show: an easy one, and the largest figures."""

from loadtests.demo.running import Dot, Now
from loadtests.live.figures import Quantile

CALM = Now(
    visitors=20,
    share=0.0,
    shares={"submit": 0.0, "browse": 0.0},
    slots=[None] * 8,
    in_line=0,
    waiting=[],
    content=Quantile(712.0, True),
    jobs=(3, 5),
    worker=True,
    busy=0.4,
    slowed=(),
)
STUCK = CALM._replace(
    share=1.0,
    shares={"submit": 1.0, "browse": 0.998},
    slots=[19.6] * 8,
    in_line=1234,
    waiting=[Dot(1000.0 - age, None, "submit") for age in range(1, 60)],
    content=Quantile(61_234.0, False),
    jobs=(12_345, 64),
    worker=False,
    busy=1.0,
    slowed=("the load generator was late by 1234.5 ms (p99, at most 10 ms)",),
)
