"""The generator's own floor: the latency that it adds, and the most that it can send.

A null server answers at once, so every millisecond measured is the generator's and the system's own: no real
server can measure better. The rate rises until the generator exceeds the limits of fitness.py; the highest
fit rate is the most that this machine can be trusted to send.
"""

import argparse
import math
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from loadtests.arguments import number, numbers
from loadtests.errors import ProcessError, UsageError
from loadtests.files import json_text, put, write_all
from loadtests.folders import temporary_folder
from loadtests.judging.judge import judge_window
from loadtests.judging.samples import summarise
from loadtests.records.constants import LOCUST_SECONDS
from loadtests.records.recording import Recording, read_recording
from loadtests.records.results import Floor, FloorRate
from loadtests.records.rows import in_window
from loadtests.servers.processes import Process
from loadtests.status import Status

RATES = (100.0, 250.0, 500.0, 750.0, 1000.0, 1500.0, 2000.0, 3000.0, 4000.0)  # requests a second
MOST_RATE = 100_000.0  # the most that --rates accepts
MOST_RATE_ERROR = 0.02  # of the scheduled rate
WARMUP_SECONDS = 1.0  # connections are made, Python's caches fill
WHAT = (
    "Open load on a server that answers at once, from the same generator that measures the apps: what it adds"
    " to a latency, and the highest rate at which it stays fit. Each request is a visit of its own."
)


def measure_floor(
    rates: Sequence[float] = RATES, seconds: float = 5.0, done: Callable[[FloorRate], object] = lambda _: None
) -> Floor:
    """Measure each rate (requests a second) for `seconds`, and stop at the first that isn't fit.

    An unfit rate is measured a second time, since other work may have been in the way. Calls
    `done` with each rate's result. Takes about `seconds` + 4 for each rate. Raises ProcessError if the null
    server or the generator fails.
    """
    seen: list[FloorRate] = []
    with temporary_folder("floor") as folder:
        command = [sys.executable, "-m", "loadtests.bench.nullserver"]
        with Process("null server", command, folder / "server.log") as server:
            host = server.wait_for_address()
            for rate in sorted(rates):
                result = measure_rate(host, rate, seconds, folder)
                if not result["fit"]:
                    result = measure_rate(host, rate, seconds, folder)
                seen.append(result)
                done(result)
                if not result["fit"]:
                    break
    fit = [result["rate_per_s"] for result in seen if result["fit"]]
    return Floor(rates=seen, highest_fit_per_s=max(fit, default=None), what=WHAT)


def measure_rate(host: str, rate: float, seconds: float, folder: Path) -> FloorRate:
    """Measure one rate. Raises ProcessError if the generator fails."""
    rows_file = folder / "rows.csv"
    rows_file.unlink(missing_ok=True)
    with Process("load generator", _command(host, rate, seconds, rows_file), folder / "locust.log") as locust:
        status = locust.wait_with(lambda: None, WARMUP_SECONDS + seconds + LOCUST_SECONDS)
        if status != 0 or not rows_file.exists():
            raise locust.error(f"ended with status {status}")
    return result_of(rate, seconds, read_recording(rows_file))


def result_of(rate: float, seconds: float, recording: Recording) -> FloorRate:
    """The measurements at one rate, without the warm-up. Raises ProcessError without a sample of its lag."""
    start, end = WARMUP_SECONDS, WARMUP_SECONDS + seconds
    seen = judge_window(recording, start, end, users=None)
    if seen.health is None:
        raise ProcessError("The machine was too busy to sample the generator. Wait until it is idle.")
    summary = summarise(seen.rows, recording.ended_s)
    ended = [row.done_s for row in recording.rows if row.done_s is not None]
    planned = len(in_window(recording.rows, start, end)) / seconds
    achieved = sum(start <= done < end for done in ended) / seconds
    reasons = [*seen.doubts, *seen.slowed, *_floor_reasons(planned, achieved, summary["failures"])]
    return FloorRate(
        rate_per_s=rate,
        planned_per_s=planned,
        achieved_per_s=achieved,
        failures=summary["failures"],
        dropped=summary["dropped"],
        p50_ms=summary["p50_ms"],
        p99_ms=summary["p99_ms"],
        lag_p99_ms=seen.health.lag_p99_ms,
        cpu_percent=seen.health.generator_cpu_percent,
        host_cpu_percent=seen.health.host_cpu_percent,
        fit=not reasons,
        unfit_reasons=reasons,
    )


def _floor_reasons(planned: float, achieved: float, failures: int) -> list[str]:
    """What a null server must not do, beside the judge's own limits: fail, or fall behind.

    The achieved rate is compared with what the Poisson schedule planned for these seconds, which by chance
    differs from the nominal rate.
    """
    reasons = [f"{failures} failed"] if failures else []
    if abs(achieved - planned) > max(MOST_RATE_ERROR * planned, 1):
        reasons.append(f"{achieved:.0f}/s of {planned:.0f}/s")
    return reasons


def _command(host: str, rate: float, seconds: float, rows_file: Path) -> list[str]:
    locustfile = Path(__file__).with_name("nullvisits.py")
    run_time = math.ceil(WARMUP_SECONDS + seconds + 1)  # whole seconds; Locust ends up to a second early
    return [
        *(sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--only-summary"),
        *("--host", host, "--model", "open", "--rate", f"{rate:g}", "--rows", str(rows_file)),
        *("--run-time", f"{run_time}s", "--stop-timeout", "2", "--exit-code-on-error", "0"),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, write it if asked to; returns 0, or 3 if not even the lowest rate was fit.

    Raises UsageError if the file's folder does not exist, ProcessError if the generator or the server fails.
    """
    options = _parser().parse_args(argv)
    if options.json and not options.json.parent.is_dir():  # checked before a minute is spent measuring
        raise UsageError(f"--json {options.json}: there is no folder {options.json.parent}. Make it first.")
    print(f"{'rate':>8} {'achieved':>9} {'p50':>9} {'p99':>9} {'late p99':>9} {'generator':>10}  fit")
    floor = measure_floor(options.rates, options.seconds, done=lambda seen: print(_line(seen), flush=True))
    highest = floor["highest_fit_per_s"]
    if highest is None:
        print("Not fit at any of these rates: other work keeps this machine busy.")
    else:
        more = "" if not floor["rates"][-1]["fit"] else ", the highest that was tried"
        print(f"The generator stays fit up to {highest:g} requests a second{more}.")
    write_all((options.json, put(json_text(floor))))
    return Status.KEPT if highest is not None else Status.UNFIT


def _line(seen: FloorRate) -> str:
    p50, p99 = (f"{seen[key] or 0:.1f} ms" for key in ("p50_ms", "p99_ms"))
    line = (
        f"{seen['rate_per_s']:6g}/s {seen['achieved_per_s']:7.1f}/s {p50:>9} {p99:>9}"
        f" {seen['lag_p99_ms']:6.1f} ms {seen['cpu_percent']:8.0f} %  {'yes' if seen['fit'] else 'no'}"
    )
    why = f"not fit: {'; '.join(seen['unfit_reasons'])}"
    return line if seen["fit"] else f"{line}\n{textwrap.indent(textwrap.fill(why, 71), ' ' * 9)}"


def _parser() -> argparse.ArgumentParser:
    what = (
        "Measure a server that answers at once: what the load generator adds to a latency, and the highest"
        " rate at which it stays fit."
    )
    parser = argparse.ArgumentParser(prog="python -m loadtests floor", description=what)
    tried = ",".join(f"{rate:g}" for rate in RATES)
    parser.add_argument(
        "--rates", metavar="R,R,...", type=_rates, default=RATES, help=f"requests a second; default {tried}"
    )
    parser.add_argument(
        "--seconds", metavar="S", type=_seconds, default=5.0, help="how long to measure each rate; default 5"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures to this file")
    return parser


def _rates(text: str) -> tuple[float, ...]:
    return numbers(text, "a list of rates such as 100,500,1000", MOST_RATE)


def _seconds(text: str) -> float:
    seconds = number(text)
    if not 1 <= seconds <= 600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 600")
    return seconds
