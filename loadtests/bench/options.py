"""The options of `python -m loadtests bench`, and the plan they describe."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from loadtests.arguments import above_zero, count, seconds
from loadtests.bench.plan import Plan
from loadtests.bench.search import UP
from loadtests.errors import UsageError
from loadtests.feedserver.kinds import DEFAULT_MIX, parse_mix, written_mix
from loadtests.records.steps import READERS
from loadtests.status import EXIT_STATUSES


def parse_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options. Exits with status 2, saying why, if they can't be used."""
    return _parser().parse_args(argv)


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan that the options describe. Raises UsageError if they contradict one another."""
    plan = Plan()
    closed, opened = options.model in ("closed", "both"), options.model in ("open", "both")
    if opened and not options.rate and not options.full:
        raise UsageError("Open load needs rates, in visits a second: --model open --rate 2,5,10")
    if options.rate and not opened:
        raise UsageError("--rate belongs to open load: add --model open, or both")
    if options.full and (options.users or options.rate or options.host):
        raise UsageError(
            "--full chooses users and rates by itself, around the knee: leave out --users, --rate and --host"
        )
    if bool(options.host) != bool(options.feeds):
        raise UsageError(
            "--host and --feeds belong together: the running reader, and the feed server as it sees it."
            " `make queued` prints both"
        )
    return Plan(
        users=(options.users or plan.users) if closed else (),
        search=closed and not options.users,
        rates=options.rate if opened and options.rate else (),
        apps=("host",) if options.host else READERS if options.app == "both" else (options.app,),
        repeats=options.repeats,
        warmup=options.warm_up,
        measure=options.seconds,
        think=options.think,
        slots=options.slots,
        slot_kind=options.slot_kind,
        workers=options.workers,
        threads=options.threads,
        deadline=options.deadline,
        database=options.database,
        mix=options.mix,
        connections=options.connections,
        in_flight=options.in_flight,
        host=options.host,
        feeds=options.feeds,
        seed=options.seed,
    )


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m loadtests bench",
        description=(
            "Measure both feed readers with more and more users, until each breaks the\n"
            "500 ms rule or this machine can do no more. Takes about 8 minutes."
        ),
        epilog=(
            "N,N stands for several numbers. The verdict is on the queued reader, or the\n"
            "only one measured. Without --users its limit is searched for: status 0 if\n"
            f"it has one, 1 if it breaks the rule even with the fewest users.\n\n{EXIT_STATUSES}"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    load = parser.add_argument_group("load").add_argument
    load("--model", choices=["closed", "open", "both"], default="closed", help="default: closed")
    load(
        "--users",
        type=_counts,
        metavar="N,N",
        help="closed load of exactly these"
        f" (default: {_list(plan.users)}, then more until the limit is found, at most {UP[-1]})",
    )
    load("--rate", type=_rates, metavar="R,R", help="open load: visits a second, answered or not")
    load(
        "--think",
        type=seconds,
        default=plan.think,
        metavar="S",
        help=f"mean think time of a user (default: {plan.think:g})",
    )
    load(
        "--connections",
        type=count,
        metavar="N",
        help="open load: the visits share N connections, and wait for one (default: as many as needed)",
    )
    load(
        "--in-flight",
        type=count,
        default=plan.in_flight,
        metavar="N",
        help=f"open load: visits beyond N at a time are dropped, and counted (default: {plan.in_flight})",
    )
    load(
        "--mix",
        type=parse_mix,
        default=dict(DEFAULT_MIX),
        metavar="MIX",
        help=f"the mix of feeds (default: {written_mix(DEFAULT_MIX)})",
    )
    load(
        "--seed",
        type=int,
        default=plan.seed,
        metavar="N",
        help=f"the same seed sends the same visitors (default: {plan.seed})",
    )

    app = parser.add_argument_group("what is measured").add_argument
    app("--app", choices=[*READERS, "both"], default="both", help="which reader (default: both)")
    app(
        "--slots",
        type=_counts,
        default=plan.slots,
        metavar="N,N",
        help=f"requests that a web server serves at a time (default: {_list(plan.slots)})",
    )
    app(
        "--slot-kind",
        choices=["processes", "threads"],
        default=plan.slot_kind,
        help="a slot is a process, or a thread of one process (default: processes)",
    )
    app(
        "--workers",
        type=_counts,
        default=plan.workers,
        metavar="N,N",
        help=f"worker processes of the queued reader (default: {_list(plan.workers)})",
    )
    app(
        "--threads",
        type=_counts,
        default=plan.threads,
        metavar="N,N",
        help=f"jobs that each worker performs at a time (default: {_list(plan.threads)})",
    )
    app(
        "--deadline",
        type=seconds,
        default=plan.deadline,
        metavar="S",
        help=f"how long one fetch may take (default: {plan.deadline:g})",
    )
    app(
        "--database",
        default=plan.database,
        metavar="DB",
        help="sqlite (default), postgresql (one is started), or the URL of a PostgreSQL server",
    )
    app("--host", metavar="URL", help="measure a server that is already running, with the same routes")
    app("--feeds", metavar="URL", help="with --host: the feed server, as that server sees it")

    procedure = parser.add_argument_group("procedure").add_argument
    procedure(
        "--seconds",
        type=seconds,
        default=plan.measure,
        metavar="S",
        help=f"how long each step is measured (default: {plan.measure:g})",
    )
    procedure(
        "--warm-up",
        type=seconds,
        default=plan.warmup,
        metavar="S",
        help=f"left out at the start of each step (default: {plan.warmup:g})",
    )
    procedure(
        "--repeats",
        type=count,
        default=plan.repeats,
        metavar="N",
        help="measure each load N times, for intervals from their spread; a search's loads as often as needed"
        " (default: 1)",
    )
    procedure("--floor", action="store_true", help="also measure the load generator itself")
    procedure(
        "--full",
        action="store_true",
        help="make bench-full: 5 repeats around the knee, both models, the search, a burst; 40 minutes",
    )

    out = parser.add_argument_group("results").add_argument
    out("--out", type=Path, metavar="DIR", help="folder for the report (default: reports/<time>)")
    out("--resume", type=Path, metavar="DIR", help="resume the interrupted run in this folder")
    out("--junit", type=Path, metavar="FILE", help="also write JUnit-style XML, a test for each condition")
    out("--github", type=Path, metavar="FILE", help="also append a Markdown summary: $GITHUB_STEP_SUMMARY")
    return parser


def _several(parse: Callable[[str], float]) -> Callable[[str], tuple[float, ...]]:
    """A parser of comma-separated numbers: each once, in the order given."""
    return lambda text: tuple(dict.fromkeys(parse(part) for part in text.split(",")))


def _list(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)


def _rate(text: str) -> float:
    return above_zero(text, 100_000, "a number of visits a second")


_counts, _rates = _several(count), _several(_rate)
