"""The command line: `jobqueue COMMAND`, or `python -m jobqueue COMMAND`.

Each module in COMMAND_MODULES adds its own.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from sqlalchemy.exc import DBAPIError

from jobqueue import __version__
from jobqueue.database import complaint
from jobqueue.dialects import url_of
from jobqueue.errors import JobQueueError
from jobqueue.tools import (
    doctor,
    explaining,
    inspecting,
    mending,
    migration,
    supervising,
    verifying,
    working,
)
from jobqueue.tools.printing import complain, discard

COMMAND_MODULES = (working, supervising, inspecting, mending, explaining, doctor, verifying, migration)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 success, 1 the answer is no, or the database or the output
    failed, 2 bad usage, 130 interrupted.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed: let writing fail, and no connection get its file descriptor
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDONLY), "w"))
    logging.raiseExceptions = False  # a log that can't be written is no reason to stop
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except OSError as error:
        discard(sys.stdout)
        if not isinstance(error, BrokenPipeError):  # the reader has closed the pipe, as head does
            said = error.filename or "the output can't be written"
            complain(f"{said}: {error.strerror}")
        return 1
    finally:
        try:
            sys.stderr.flush()
        except OSError:
            discard(sys.stderr)


def _run(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="jobqueue", description="A job queue in a database table.")
    parser.add_argument("--version", action="version", version=f"jobqueue {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMAND_MODULES:
        module.add_commands(commands)
    options = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    try:
        status: int = options.run(options)
        return status
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as in shells
    except JobQueueError as error:
        return complain(error, status=2)
    except ImportError as error:
        return complain(f"import failed: {error}", status=2)
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        return complain("the system starts no more threads: use fewer --threads")
    except DBAPIError as error:
        return complain(f"the database {url_of(options.database)!r} can't be used: {complaint(error)}")
