"""What chapter 7 prints next to its pictures."""

from collections.abc import Mapping
from statistics import mean
from typing import Any

from loadtests.theory import OpenLoad, drain_time, workers_needed
from workbook.chapter07 import Jobs, begun, busy, drained, none_free, of_queue, simulated, waits
from workbook.exercises import Right, problem_of
from workbook.words import in_words


def show_busy(found: Mapping[str, Jobs], rate: float, demand: float, seconds: float) -> None:
    """Print how much is asked of each number of threads, and how much of the time they were busy."""
    print(f"needed: {workers_needed(rate, demand)} threads")
    for threads, jobs in found.items():
        asked, were = rate * demand / int(threads), busy(jobs, seconds) / int(threads)
        print(f"{threads} threads: load {100 * asked:4.0f} %, busy {100 * were:4.0f} % of the time")


def show_pick_ups(found: Mapping[str, Jobs], rate: float, demand: float) -> None:
    """Print how many jobs find no free thread, and mean pick-up latencies, where the formula holds."""
    for threads, jobs in found.items():
        load = OpenLoad(int(threads), rate, demand)
        if load.utilisation < 1:
            swift, slots = simulated(jobs, load.slots), load.slots
            found_none = (none_free(each, slots) / len(jobs) for each in (swift, jobs))
            shares = [round(100 * share) for share in (load.share_waiting_over(0), *found_none)]
            print(f"{threads} threads: none free {_compared(*shares, unit='percent')}")
            print(f"{threads} threads: pick-up {_compared(load.wait, mean(waits(swift)), mean(waits(jobs)))}")


def show_drained(jobs: Jobs, burst: int, at: float, threads: int, rate: float, demand: float) -> None:
    """Print how long a burst takes to drain: by the formula, simulated and measured."""
    by_formula = drain_time(burst, threads, demand, rate)
    print(f"drained {_compared(by_formula, drained(simulated(jobs, threads), at), drained(jobs, at))}")


def show_waits(shared: Jobs, own: Any, right: Right, by: float) -> None:
    """Print mean pick-up latencies, and the share begun by second `by`, once `own` is a right answer."""
    if problem_of(own, right) is None:
        print(f"{'':8}  {'workers':7}  picked up after  begun within {by:g} s")
        for kind in ("urgent", "ordinary"):
            for whose, every in (("shared", shared), ("own", own)):
                after, share = in_words(mean(waits(of_queue(every, kind)))), begun(every, kind, by)
                print(f"{kind:8}  {whose:7}  {after:>15}  {share:13.0f} %")


def _compared(*figures: float, unit: str = "seconds") -> str:
    by_formula, in_simulation, here = (in_words(each, unit) for each in figures)
    return f"by the formula {by_formula}, simulated {in_simulation}, measured {here}"
