"""What theory predicts for a run, beside what was measured: the `theory` of results.json. Pure.

Nothing is fitted to the latencies being predicted. The measured inputs are the demand, which the web server's
slots time themselves, and how often visitors polled; everything else comes from the settings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.predicting.burst import burst
from loadtests.predicting.demands import Demands, Polling, demands, polling, workload
from loadtests.predicting.simulation import (
    Draw,
    Period,
    feed_service,
    lognormal,
    simulate_closed,
    simulate_open,
)
from loadtests.predicting.visitmodel import (
    ExpectedSubmit,
    asked_per_user,
    knee_users,
    predict_closed,
    predict_open,
    saturation,
)
from loadtests.predicting.workload import Workload
from loadtests.records.constants import OVERRUN_SECONDS, ramp_per_s
from loadtests.records.predictions import At, Curve, MeasuredBeside, Predicted, SimulatedFigures, Theory
from loadtests.records.recording import Model
from loadtests.records.results import Measured, Settings
from loadtests.records.steps import LOAD_KEYS, READERS, App, Point, Step, load_of, sound
from loadtests.theory import OpenLoad

NOTE = (
    "The formulas (M/M/c//N for closed load, M/M/c for open) use the measured time that requests hold a slot"
    " and the measured polling, and assume a steady state and exponential times. Fetching slow or hanging"
    " feeds does not take exponential times: the predicted means still hold (near the saturation of open"
    " load, those by Allen-Cunneen, with the measured spread), but percentiles and shares of the synchronous"
    " app do not. The simulation uses the real mix of feeds and, like a step, starts with an idle server and"
    " lasts as long: so it also shows the effect of a step too short for a steady state."
)
GRID = 40  # loads on a curve, besides the measured ones
LEAST_RATE = 0.02  # times the greatest rate measured: where a curve of open load begins
BEYOND = 1.1  # times the greatest load measured: where a curve ends
REQUESTS = 20_000  # simulated for each point


def predict(results: Measured) -> Theory | None:
    """The `theory` of results.json from its settings, steps and points; None if there is nothing to predict.

    A curve for each app, load model and number of slots, with the default workers and threads. It needs a
    sound step, and a web server that timed its requests, which one given by --host does not.
    """
    curves = [
        _curve(results, app, model, slots)
        for app in READERS
        for model in LOAD_KEYS
        for slots in sorted({point["slots"] for point in results["points"]})
    ]
    found = [curve for curve in curves if curve]
    drained = burst(results)
    return Theory(note=NOTE, curves=found, burst=drained) if found or drained else None


@dataclass(frozen=True)
class _Curve:
    """What one curve is computed from."""

    app: App
    model: Model
    slots: int
    settings: Settings
    found: Demands
    polled: Sequence[Polling]

    def work(self, load: float) -> Workload:
        return workload(self.found, self.settings, self.polled, load)

    def prediction(self, load: float) -> ExpectedSubmit:
        if self.model == "closed":
            return predict_closed(self.work(load), self.slots, round(load))
        return predict_open(self.work(load), self.slots, load)

    def predicted(self, load: float) -> Predicted:
        """The figures of POST /feeds in the steady state; None for those that do not exist."""
        about, rule = self.prediction(load), self.settings["rule_ms"] / 1000
        spread = about.distribution if about.steady else None
        p50, p95, p99 = (_ms(spread.percentile(n)) if spread else None for n in (50, 95, 99))
        return Predicted(
            mean_ms=_ms(about.mean),
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            share_over=min(1.0, spread.share_over(rule)) if spread else None,
            achieved_per_s=about.throughput,
            least_mean_ms=_ms(about.least_mean),
            most_per_s=about.most_throughput,
            allen_cunneen_mean_ms=self._allen_cunneen(about),
        )

    def _allen_cunneen(self, about: ExpectedSubmit) -> float | None:
        scv = self.found.scv_of_all
        if scv is None or not isinstance(about.load, OpenLoad):
            return None
        return _ms(about.load.wait_allen_cunneen(1.0, scv) + about.submit)

    def simulated(self, load: float) -> SimulatedFigures | None:
        settings = self.settings
        closed, ramp = self.model == "closed", ramp_per_s(load)
        period = Period(
            warmup=settings["warmup_s"] + (load / ramp if closed else 0.0),
            ramp=ramp,
            measure=settings["measure_s"],
            drain=OVERRUN_SECONDS + settings["drain_s"],
            requests=REQUESTS,
        )
        work, draws = self.work(load), self._draws()
        if closed:
            seen = simulate_closed(work, self.slots, round(load), period, draws)
        else:
            seen = simulate_open(work, self.slots, load, period, draws)
        return seen.figures(settings["rule_ms"])

    def _draws(self) -> dict[str, Draw]:
        """How long requests hold a slot: from the mix, or with the measured mean and spread, if known."""
        draws = {
            kind: lognormal(self.found.mean[kind], self.found.scv[kind])
            for kind in ("submit", "page", "poll")
            if kind in self.found.scv
        }
        if self.app == "sync":
            settings, mean = self.settings, self.found.mean["submit"]
            draws["submit"] = feed_service(settings["mix"], settings["deadline_s"], mean)
        return draws


def _curve(results: Measured, app: App, model: Model, slots: int) -> Curve | None:
    """One curve; None if no sound step has the data it needs."""
    settings, steps = results["settings"], results["steps"]
    usual = settings["workers"][0], settings["threads"][0]
    points = [
        point
        for point in results["points"]
        if sound(point)
        and (point["app"], point["model"], point["slots"]) == (app, model, slots)
        and (point["workers"], point["threads"]) == usual
    ]
    timed = [step for step in steps if _timed(step) and (step["app"], step["slots"]) == (app, slots)]
    found = demands(timed)
    if not points or not found:
        return None
    polled = [
        each
        for point in points
        if (each := polling(load_of(point), [steps[i] for i in point["steps"] if _timed(steps[i])], found))
    ]
    curve = _Curve(app, model, slots, settings, found, polled)
    loads = _grid(model, [load_of(point) for point in points])
    predicted = [curve.predicted(load) for load in loads]
    return Curve(
        app=app,
        model=model,
        slots=slots,
        workers=usual[0],
        threads=usual[1],
        demand_ms={kind: 1000 * mean for kind, mean in found.mean.items()},
        service_scv=found.scv_of_all,
        knee_users=knee_users(curve.work(0.0), slots) if model == "closed" else None,
        per_user_per_s=asked_per_user(curve.work(0.0)) if model == "closed" else None,
        saturation_per_s=saturation(curve.work(0.0), slots) if model == "open" else None,
        loads=loads,
        mean_ms=[each["mean_ms"] for each in predicted],
        p50_ms=[each["p50_ms"] for each in predicted],
        p95_ms=[each["p95_ms"] for each in predicted],
        p99_ms=[each["p99_ms"] for each in predicted],
        share_over=[each["share_over"] for each in predicted],
        achieved_per_s=[each["achieved_per_s"] for each in predicted],
        least_mean_ms=[each["least_mean_ms"] for each in predicted],
        most_per_s=[each["most_per_s"] for each in predicted],
        allen_cunneen_mean_ms=[each["allen_cunneen_mean_ms"] for each in predicted],
        at=[_at(curve, point) for point in sorted(points, key=load_of)],
    )


def _at(curve: _Curve, point: Point) -> At:
    """What the curve says of the load of a point, and what was measured there."""
    submit, load = point["submit"], load_of(point)
    return At(
        load=load,
        predicted=curve.predicted(load),
        simulated=curve.simulated(load),
        measured=MeasuredBeside(
            mean_ms=submit["mean_ms"],
            p50_ms=submit["p50_ms"],
            p95_ms=submit["p95_ms"],
            p99_ms=submit["p99_ms"],
            share_over=submit["share_over"],
            achieved_per_s=point["achieved_per_s"],
        ),
    )


def _timed(step: Step) -> bool:
    """True for a step that is sound and whose web server timed its requests."""
    return bool(sound(step) and step["server"] and step["server"]["served"])


def _grid(model: Model, measured: Sequence[float]) -> list[float]:
    """The loads of a curve: the measured ones, and others evenly spaced on a logarithmic scale to a little
    beyond the largest; numbers of users are whole.
    """
    last = max(measured) * BEYOND
    first = 1.0 if model == "closed" else max(measured) * LEAST_RATE
    ratio = max(1.0, last / first)
    loads = [first * ratio ** (i / (GRID - 1)) for i in range(GRID)]
    if model == "closed":
        return sorted({*map(round, loads), math.ceil(last), *measured})
    return sorted({*(float(f"{load:.6g}") for load in loads), *measured})


def _ms(seconds: float) -> float | None:
    return 1000 * seconds if math.isfinite(seconds) else None
