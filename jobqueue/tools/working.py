"""`jobqueue work`: a worker in the foreground."""

import argparse
import signal
import sys
from datetime import timedelta
from functools import partial

from jobqueue.queue import LEASE
from jobqueue.tools.options import Commands, add_database, add_imports, add_number, import_jobs, open_queue
from jobqueue.worker import MAX_RUN_TIME, POLL_INTERVAL, STOP_TIMEOUT, Worker


def add_commands(commands: Commands) -> None:
    command = commands.add_parser(
        "work",
        help="perform jobs until stopped",
        description="Perform jobs until TERM or Ctrl-C: then finish what runs, and give back the rest."
        " A second signal: at once.",
    )
    add_database(command)
    add_options(command)
    command.set_defaults(run=work)


def add_options(command: argparse.ArgumentParser) -> None:
    """What a worker can be told, in the foreground or in the background."""
    add_imports(command)
    command.add_argument(
        "--queue",
        metavar="NAME",
        dest="queues",
        action="append",
        default=[],
        help="only jobs of this queue; repeat for more (all)",
    )
    add_number(command, "--threads", "N", "jobs performed at a time", 1, int)
    add_number(command, "--poll-interval", "S", "seconds between an idle worker's looks", POLL_INTERVAL)
    add_number(command, "--max-run-time", "S", "seconds that one attempt may take", MAX_RUN_TIME)
    add_number(command, "--stop-timeout", "S", "seconds that running jobs may go on after TERM", STOP_TIMEOUT)
    lease = LEASE.total_seconds()
    add_number(command, "--lease", "S", "seconds of silence before a worker's jobs go to others", lease)


def work(options: argparse.Namespace) -> int:
    """Work until a signal; returns 0."""
    queue = open_queue(options, lease=timedelta(seconds=options.lease))
    import_jobs(options)
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
