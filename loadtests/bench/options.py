"""The options of `python -m loadtests bench`, and the plan they describe."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from loadtests.arguments import above_zero, count, seconds
from loadtests.bench.plan import Plan
from loadtests.bench.search import UP
from loadtests.engines.engines import ENGINES_HELP, app_of, check_engine
from loadtests.errors import UsageError
from loadtests.feedserver.kinds import DEFAULT_MIX, parse_mix, written_mix
from loadtests.records.steps import READERS, App
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
    same = {each.name: getattr(options, each.name) for each in fields(Plan) if hasattr(options, each.name)}
    return Plan(
        **same
        | {
            "users": (options.users or plan.users) if closed else (),
            "search": closed and not options.users,
            "rates": options.rate if opened and options.rate else (),
            "apps": ("host",) if options.host else _apps(options),
            "warmup": options.warm_up,
            "measure": options.seconds,
        }
    )


def _apps(options: argparse.Namespace) -> tuple[App, ...]:
    """The readers to measure, the queued one on each engine. Raises UsageError if one is not installed."""
    for engine in options.engine:
        check_engine(engine)
    queued = tuple(map(app_of, options.engine)) if options.app != "sync" else ()
    return ("sync", *queued) if options.app != "queued" else queued


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
    number, several = {"type": count, "metavar": "N"}, {"type": _counts, "metavar": "N,N"}
    span, file = {"type": seconds, "metavar": "S"}, {"type": Path, "metavar": "FILE"}

    option: Any = parser.add_argument_group("load").add_argument
    option("--model", choices=["closed", "open", "both"], default="closed", help="default: closed")
    more = f"(default: {_list(plan.users)}, then more until the limit is found, at most {UP[-1]})"
    option("--users", **several, help=f"closed load of exactly these {more}")
    option("--rate", type=_rates, metavar="R,R", help="open load: visits a second, answered or not")
    think = f"mean think time of a user (default: {plan.think:g})"
    option("--think", **span, default=plan.think, help=think)
    connections = "open load: the visits share N connections, and wait for one (default: as many as needed)"
    option("--connections", **number, help=connections)
    in_flight = f"open load: visits beyond N at a time are dropped, and counted (default: {plan.in_flight})"
    option("--in-flight", **number, default=plan.in_flight, help=in_flight)
    mix = f"the mix of feeds (default: {written_mix(DEFAULT_MIX)})"
    option("--mix", type=parse_mix, default=dict(DEFAULT_MIX), metavar="MIX", help=mix)
    seed = f"the same seed sends the same visitors (default: {plan.seed})"
    option("--seed", type=int, default=plan.seed, metavar="N", help=seed)

    option = parser.add_argument_group("what is measured").add_argument
    option("--app", choices=[*READERS, "both"], default="both", help="which reader (default: both)")
    option("--engine", type=_names, metavar="A,B", default=("jobqueue",), help=ENGINES_HELP)
    slots = f"requests that a web server serves at a time (default: {_list(plan.slots)})"
    option("--slots", **several, default=plan.slots, help=slots)
    kind = "a slot is a process, or a thread of one process (default: processes)"
    option("--slot-kind", choices=["processes", "threads"], default=plan.slot_kind, help=kind)
    workers = f"worker processes of the queued reader (default: {_list(plan.workers)})"
    option("--workers", **several, default=plan.workers, help=workers)
    threads = f"jobs that each worker performs at a time (default: {_list(plan.threads)})"
    option("--threads", **several, default=plan.threads, help=threads)
    deadline = f"how long one fetch may take (default: {plan.deadline:g})"
    option("--deadline", **span, default=plan.deadline, help=deadline)
    database = "sqlite (default), postgresql (one is started), or the URL of a PostgreSQL server"
    option("--database", default=plan.database, metavar="DB", help=database)
    option("--host", metavar="URL", help="measure a server that is already running, with the same routes")
    option("--feeds", metavar="URL", help="with --host: the feed server, as that server sees it")

    option = parser.add_argument_group("procedure").add_argument
    option("--seconds", **span, default=plan.measure, help=f"measured of each (default: {plan.measure:g})")
    warm_up = f"left out at the start of each step (default: {plan.warmup:g})"
    option("--warm-up", **span, default=plan.warmup, help=warm_up)
    option(
        "--repeats",
        **number,
        default=plan.repeats,
        help="measure each load N times, for intervals from their spread; a search's loads as often as needed"
        " (default: 1)",
    )
    option("--floor", action="store_true", help="also measure the load generator itself")
    full = "make bench-full: 5 repeats around the knee, both models, the search, a burst; 40 minutes"
    option("--full", action="store_true", help=full)

    option = parser.add_argument_group("results").add_argument
    option("--out", type=Path, metavar="DIR", help="folder for the report (default: reports/<time>)")
    option("--resume", type=Path, metavar="DIR", help="resume the interrupted run in this folder")
    option("--junit", **file, help="also write JUnit-style XML, a test for each condition")
    option("--github", **file, help="also append a Markdown summary: $GITHUB_STEP_SUMMARY")
    return parser


def _several(parse: Callable[[str], float]) -> Callable[[str], tuple[float, ...]]:
    """A parser of comma-separated numbers: each once, in the order given."""
    return lambda text: tuple(dict.fromkeys(parse(part) for part in text.split(",")))


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",")))


def _list(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)


def _rate(text: str) -> float:
    return above_zero(text, 100_000, "a number of visits a second")


_counts, _rates = _several(count), _several(_rate)
