"""The command line: `python -m jobqueue work`."""

import argparse
import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from jobqueue.database import complaint
from jobqueue.errors import JobQueueError
from jobqueue.queue import LEASE, Queue
from jobqueue.worker import MAX_RUN_TIME, POLL_INTERVAL, STOP_TIMEOUT, Worker

DATABASE_VARIABLE = "JOBQUEUE_DATABASE"
MOST = 1e9  # seconds, 30 years: more is a mistake, and too much for dates and clocks


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 fine, 1 the database failed, 2 bad usage."""
    options = _parser().parse_args(argv)
    options.database = options.database or os.environ.get(DATABASE_VARIABLE)
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    try:
        return _work(options)
    except JobQueueError as error:
        print(f"jobqueue: {error}", file=sys.stderr)
        return 2
    except (ImportError, NoSuchModuleError) as error:  # also a database driver that is not installed
        print(f"jobqueue: can't import what is needed: {error}", file=sys.stderr)
        return 2
    except DBAPIError as error:
        url = make_url(options.database)  # its repr hides the password
        print(f"jobqueue: the database {url!r} can't be used: {complaint(error)}", file=sys.stderr)
        return 1


def _work(options: argparse.Namespace) -> int:
    if not options.database:
        raise JobQueueError(
            f"name the database: --database sqlite:///jobs.db, or the variable {DATABASE_VARIABLE}"
        )
    sys.path.insert(0, str(Path.cwd()))
    for module in options.imports:
        importlib.import_module(module)
    queue = Queue(options.database, lease=timedelta(seconds=options.lease))
    queue.create_tables()
    worker = Worker(
        queue,
        threads=options.threads,
        queues=options.queues,
        poll_interval=options.poll_interval,
        max_run_time=options.max_run_time,
        stop_timeout=options.stop_timeout,
        say=partial(print, flush=True),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: worker.stop())
    # Between two statements a thread may hold the database's lock and wait for its turn at the interpreter,
    # 5 ms by default each time; other processes wait for the lock as long.
    sys.setswitchinterval(0.0005)
    worker.run()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobqueue", description="A job queue in a database table."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    work = commands.add_parser(
        "work",
        help="perform jobs until stopped",
        description="Perform jobs until TERM or Ctrl-C: then finish what runs, and give back the rest."
        " A second signal: at once.",
    )

    def option(flag: str, metavar: str, text: str, **rest: Any) -> None:
        work.add_argument(flag, metavar=metavar, help=text, **rest)

    def number(flag: str, metavar: str, text: str, default: float, parse: type = float) -> None:
        option(flag, metavar, f"{text} ({default:g})", default=default, type=partial(_number, parse))

    option("--database", "URL", f"such as sqlite:///jobs.db (else the variable {DATABASE_VARIABLE})")
    several: dict[str, Any] = {"action": "append", "default": []}
    option("--import", "MODULE", "module that registers jobs; repeat for more", dest="imports", **several)
    option("--queue", "NAME", "only jobs of this queue; repeat for more (all)", dest="queues", **several)
    number("--threads", "N", "jobs performed at a time", 1, int)
    number("--poll-interval", "S", "seconds between an idle worker's looks at the queue", POLL_INTERVAL)
    number("--max-run-time", "S", "seconds that one attempt may take", MAX_RUN_TIME)
    number("--stop-timeout", "S", "seconds that running jobs may go on after TERM", STOP_TIMEOUT)
    number("--lease", "S", "seconds of silence before a worker's jobs go to others", LEASE.total_seconds())
    return parser


def _number(parse: type[int] | type[float], text: str) -> float:
    try:
        value = parse(text)
    except ValueError:
        value = 0
    if not 0 < value <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from above 0 to {MOST:g}")
    return value
