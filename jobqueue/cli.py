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

from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from jobqueue.errors import JobQueueError
from jobqueue.queue import LEASE, Queue
from jobqueue.worker import MAX_RUN_TIME, Worker

DATABASE_VARIABLE = "JOBQUEUE_DATABASE"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 fine, 1 the database failed, 2 bad usage."""
    options = _parser().parse_args(argv)
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
        print(
            f"jobqueue: the database {options.database} can't be used: {str(error.orig).strip()}",
            file=sys.stderr,
        )
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
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    option = work.add_argument
    option(
        "--database",
        metavar="URL",
        default=os.environ.get(DATABASE_VARIABLE),
        help="such as sqlite:///jobs.db",
    )
    option(
        "--import",
        dest="imports",
        metavar="MODULE",
        action="append",
        default=[],
        help="module that registers jobs; repeat for more",
    )
    option(
        "--queue",
        dest="queues",
        metavar="NAME",
        action="append",
        default=[],
        help="only jobs of this queue; repeat for more",
    )
    option("--threads", metavar="N", type=_positive(int), default=1, help="jobs performed at a time")
    option(
        "--poll-interval",
        metavar="S",
        type=_positive(float),
        default=0.05,
        help="seconds between an idle worker's looks at the queue",
    )
    option(
        "--max-run-time",
        metavar="S",
        type=_positive(float),
        default=MAX_RUN_TIME,
        help="seconds that one attempt may take",
    )
    option(
        "--stop-timeout",
        metavar="S",
        type=_positive(float),
        default=10.0,
        help="seconds that running jobs may go on after TERM",
    )
    option(
        "--lease",
        metavar="S",
        type=_positive(float),
        default=LEASE.total_seconds(),
        help="seconds of silence after which a worker's jobs are given to others",
    )
    return parser


def _positive(number: type[int] | type[float]):  # type: ignore[no-untyped-def]
    def parse(text: str) -> float:
        value = number(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text} is not more than 0")
        return value

    parse.__name__ = "number"  # argparse says "invalid number value: 'x'"
    return parse
