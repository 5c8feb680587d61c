"""Serve one reader with everything it needs, until Ctrl-C: `make sync`, `make queued`.

python -m loadtests stack queued --engine celery
"""

import argparse
import secrets
import time
from collections.abc import Sequence
from typing import Any

from loadtests.arguments import count, seconds
from loadtests.engines.engines import ENGINES_HELP, check_engine
from loadtests.records.steps import READERS
from loadtests.servers.databases import check_database
from loadtests.servers.processes import ASKED_EVERY_SECONDS, stop_signals
from loadtests.servers.stack import PORTS, Stack, StackSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one reader until Ctrl-C or TERM; returns 0. Raises LoadTestError if it can't start."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests stack", description="Run a reader with everything it needs, until Ctrl-C."
    )
    option: Any = parser.add_argument
    port, number, usual = {"type": int, "metavar": "N"}, {"type": count, "metavar": "N"}, StackSettings
    option("app", choices=READERS)
    option("--port", **port, help="port of the reader; default 8001 for sync, 8002 for queued")
    option("--feeds-port", **port, help="port of the feed server; default 9001 or 9002")
    option("--slots", **number, default=usual.slots, help="requests served at a time; default %(default)s")
    kinds = ["processes", "threads"]
    option("--slot-kind", choices=kinds, default=usual.slot_kind, help="what a slot is; default processes")
    option("--engine", metavar="NAME", default=usual.engine, help=ENGINES_HELP)
    option("--workers", **number, default=usual.workers, help="worker processes; default %(default)s")
    threads = "jobs per worker at a time; default %(default)s"
    option("--threads", **number, default=usual.threads, help=threads)
    deadline = f"seconds a fetch may take; default {usual.deadline:g}"
    option("--deadline", type=seconds, metavar="S", default=usual.deadline, help=deadline)
    database = "sqlite (default), postgresql, or a server's URL"
    option("--database", metavar="DB", default=usual.database, help=database)
    options = parser.parse_args(argv)
    check_database(options.database)
    check_engine(options.engine)
    for name, usually in zip(("port", "feeds_port"), PORTS[options.app], strict=True):
        if getattr(options, name) is None:
            setattr(options, name, usually)
    ours = options.app == "queued" and options.engine == "jobqueue"
    password = secrets.token_urlsafe(9) if ours else ""
    settings = StackSettings(**vars(options), jobs_password=password)
    asked = stop_signals()
    with Stack(settings) as stack:
        print(_welcome(stack), flush=True)
        while not asked:
            stack.check()
            time.sleep(ASKED_EVERY_SECONDS)
        print("Stopping ...", flush=True)
    return 0


def _welcome(stack: Stack) -> str:
    """What to open and to try, in at most 80 columns."""
    settings, password = stack.settings, stack.settings.jobs_password
    typical, slow, hang = (f"{stack.feeds_url}/feeds/{kind}/1.xml" for kind in ("typical", "slow", "hang"))
    places = [
        (f"The {settings.app} reader", f"{stack.url}  ({settings.slots} requests at a time)"),
        *([("Its jobs", f"{stack.url}/jobs/".replace("://", f"://me:{password}@"))] if password else []),
        *(("Its feed server", stack.feeds_url), ("Feeds to try", typical), ("", slow), ("", hang)),
    ]
    return "\n".join(f"{what:18} {where}" for what, where in places) + (
        "\n\nLoad, from another terminal:\n  .venv/bin/locust -f loadtests/feeds.py \\\n"
        f"    --host {stack.url} --feeds {stack.feeds_url}\n\nCtrl-C stops everything."
    )
