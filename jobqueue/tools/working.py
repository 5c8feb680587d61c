"""`jobqueue work`: one worker or several in the foreground, under a supervisor."""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from jobqueue import lease
from jobqueue.errors import JobQueueError
from jobqueue.handlers import registry
from jobqueue.lease import Claimed
from jobqueue.observing import News
from jobqueue.options import checked
from jobqueue.queue import LEASE, Queue
from jobqueue.tools import presence
from jobqueue.tools.meter import Meter
from jobqueue.tools.migration import make_tables
from jobqueue.tools.options import (
    Commands,
    add_database,
    add_imports,
    add_number,
    import_jobs,
    open_queue,
    option,
)
from jobqueue.tools.printing import discard_unwritten
from jobqueue.tools.processes import KILL_MARGIN, Death
from jobqueue.tools.pulse import Pulse
from jobqueue.tools.statefile import StateFile, without_password
from jobqueue.tools.supervisor import Supervisor, Tell
from jobqueue.worker import MAX_RUN_TIME, POLL_INTERVAL, STOP_TIMEOUT, Worker

MOST_AT_A_TIME = 1000  # processes, or threads: more is a mistake, and too much for the machine

logger = logging.getLogger("jobqueue")


def add_commands(commands: Commands) -> None:
    command = commands.add_parser(
        "work",
        help="perform jobs until stopped",
        description="Perform jobs until TERM or Ctrl-C; then finish running jobs, and give back the rest."
        " A second signal: give them back at once.",
    )
    add_database(command)
    command.add_argument(
        "--processes",
        metavar="P",
        type=how_many,
        default=1,
        help="worker processes (1)",
    )
    command.add_argument(
        "--state",
        metavar="FILE",
        type=Path,
        help="have jobqueue status, scale and stop find the supervisor by this file",
    )
    ending = command.add_mutually_exclusive_group()
    for flag, until, text in (
        ("--once", "idle", "perform what is due, and exit"),
        (
            "--exit-when-empty",
            "empty",
            "exit when no job waits any more, neither due nor scheduled for later",
        ),
    ):
        ending.add_argument(
            flag, dest="until", action="store_const", const=until, default="stopped", help=text
        )
    add_options(command)
    command.set_defaults(run=work)


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of a worker, in the foreground or in the background."""
    add_imports(command)
    command.add_argument(
        "--queue",
        metavar="NAME",
        dest="queues",
        type=option("queue", hint="; repeat --queue for more"),
        action="append",
        default=[],
        help="only jobs of this queue; repeat for more (all)",
    )
    for name, which in (("min_priority", "at least"), ("max_priority", "at most")):
        flag, kind = "--" + name.replace("_", "-"), option(name, int)
        command.add_argument(flag, metavar="N", type=kind, help=f"only jobs of {which} this priority (all)")
    command.add_argument(
        "--threads", metavar="N", type=how_many, default=1, help="jobs performed at a time (1)"
    )
    add_number(command, "--poll-interval", "S", "seconds between an idle worker's polls", POLL_INTERVAL)
    add_number(command, "--max-run-time", "S", "seconds that one attempt may take", MAX_RUN_TIME)
    add_number(command, "--stop-timeout", "S", "seconds that running jobs may take after TERM", STOP_TIMEOUT)
    lease = LEASE.total_seconds()
    add_number(command, "--lease", "S", "seconds of silence before a worker's jobs go to others", lease)


def arguments_for(options: argparse.Namespace) -> list[str]:
    """The options of add_options(), and which tables, as command-line arguments."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    flags = {"imports": "--import", "queues": "--queue"}
    arguments = []
    for name in ("table", "schema", *vars(parser.parse_args([]))):
        flag = flags.get(name, "--" + name.replace("_", "-"))
        value = getattr(options, name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        arguments += [f"{flag}={each}" for each in values]
    return arguments


def how_many(text: str) -> int:
    """A number of worker processes, or of a worker's threads, as an option's type."""
    if not text.isdecimal() or not 0 < int(text) <= MOST_AT_A_TIME:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_AT_A_TIME}")
    return int(text)


def work(options: argparse.Namespace) -> int:
    """Work until a signal, or as long as there is work; returns 0, or the exit status of a worker that could
    not start. Raises JobQueueError.
    """
    url = queue_of(options).engine.url  # no connection, but imports the driver before the forks
    alone = options.processes == 1 and not options.state
    if alone:  # it looks like a single process, until something goes wrong
        logging.getLogger("jobqueue.supervisor").setLevel(logging.WARNING)
    else:
        several = "%(asctime)s pid:%(process)d %(message)s"  # several processes write to one log
        logging.basicConfig(stream=sys.stdout, format=several, level=logging.INFO, force=True)
    status = Supervisor(
        options.processes,
        partial(_work, options),
        partial(_free, options),
        lasting=not alone and options.until == "stopped",
        threads=options.threads,
        stop_timeout=options.stop_timeout,
        lease=options.lease,
        database=without_password(url),
        table=options.table,
        schema=options.schema,
        state=StateFile(options.state) if options.state else None,
    ).run()
    discard_unwritten()
    return status


def queue_of(options: argparse.Namespace) -> Queue:
    """The queue that a worker with these options serves. Raises JobQueueError if there can be none."""
    try:
        checked(min_priority=options.min_priority, max_priority=options.max_priority)
        return open_queue(options, lease=timedelta(seconds=options.lease))
    except ValueError as error:
        raise JobQueueError(str(error)) from error


def prepare(options: argparse.Namespace) -> Worker:
    """A worker that is ready: its modules are imported, the database answers, the tables exist."""
    queue = queue_of(options)
    import_jobs(options)
    if not registry:
        raise JobQueueError(
            "no job is registered: name the module that defines your jobs with --import your.module"
        )
    try:
        logger.info(make_tables(queue, options.queues))
    except BaseException:
        queue.close()
        raise
    # Between two statements a thread may hold the database's lock while it waits for the GIL, by default 5 ms
    # each time; other processes wait for the lock as long.
    sys.setswitchinterval(0.0005)
    return Worker(
        queue,
        threads=options.threads,
        queues=options.queues or None,
        min_priority=options.min_priority,
        max_priority=options.max_priority,
        poll_interval=options.poll_interval,
        max_run_time=options.max_run_time,
        stop_timeout=options.stop_timeout,
        observers=[presence.Presence(queue), Meter()],
    )


def _work(options: argparse.Namespace, tell: Tell, pulse: Pulse, lifeline: int) -> int:
    """Work, in a separate process, until the supervisor stops it or is gone, or no more is to be done."""
    pulse.keep_beating(options.lease + KILL_MARGIN)  # by then the supervisor would have killed us
    worker = prepare(options)
    worker.running = pulse.running
    asked = threading.Lock()

    def stop_in_order(*_: object) -> None:
        # Only once: TERM may come both from the supervisor and from whatever stops all processes together, as
        # systemd does; that does not mean "at once".
        if asked.acquire(blocking=False):
            worker.stop()

    def stop_at_once(*_: object) -> None:
        worker.stop()
        worker.stop()

    def watch() -> None:
        os.read(lifeline, 1)
        logger.warning("the supervisor is gone: this worker stops")
        stop_in_order()
        time.sleep(options.stop_timeout + KILL_MARGIN)  # by then the supervisor would have killed us
        os._exit(1)

    signal.signal(signal.SIGTERM, stop_in_order)
    signal.signal(signal.SIGQUIT, stop_at_once)
    threading.Thread(target=watch, name="lifeline", daemon=True).start()
    tell(worker.name)
    worker.run(options.until)
    pulse.finish()
    worker.queue.close()
    discard_unwritten()
    return 0


def _free(options: argparse.Namespace, dead: Mapping[str, Death]) -> int:
    """Free the jobs of these workers, in a separate process; `dead` has their deaths by their names."""
    queue = open_queue(options)
    now = datetime.now(UTC)
    freed: dict[str, list[Claimed]] = {}
    with queue.writer.begin() as connection:
        for name, death in dead.items():
            freed[name] = lease.free(connection, queue.tables, name, f"{death.how}.", now, death.late)
            presence.leave(connection, queue.tables, name, now)
    if any(freed.values()):
        with suppress(Exception, SystemExit):  # the workers, which do the same, say what is wrong
            import_jobs(options)  # and with them the observers
    for name, jobs in freed.items():
        if jobs:
            News(Worker(queue), ()).tell("freed", now, jobs, f"{name} {dead[name].how}")
    return 0
