"""The command line: `jobqueue COMMAND`, or `python -m jobqueue COMMAND`.

Each module in COMMAND_MODULES adds its own.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from jobqueue import __version__
from jobqueue.database import complaint
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

COMMAND_MODULES = (working, supervising, inspecting, mending, explaining, doctor, verifying, migration)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 success, 1 the answer is no or the database failed, 2 bad
    usage, 130 interrupted.
    """
    parser = argparse.ArgumentParser(prog="jobqueue", description="A job queue in a database table.")
    parser.add_argument("--version", action="version", version=f"jobqueue {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMAND_MODULES:
        module.add_commands(commands)
    options = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader has closed the pipe, as head does: discard the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as in shells
    except JobQueueError as error:
        print(f"jobqueue: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"jobqueue: import failed: {error}", file=sys.stderr)
        return 2
    except DBAPIError as error:
        url = make_url(options.database)  # its repr hides the password
        print(f"jobqueue: the database {url!r} can't be used: {complaint(error)}", file=sys.stderr)
        return 1
