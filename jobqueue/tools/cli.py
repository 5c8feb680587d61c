"""The command line: `jobqueue COMMAND`, or `python -m jobqueue COMMAND`.

Each module of COMMANDS adds some.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from jobqueue.database import complaint
from jobqueue.errors import JobQueueError
from jobqueue.tools import supervising, working

COMMANDS = (working, supervising)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 fine, 1 no, or the database failed, 2 bad usage."""
    parser = argparse.ArgumentParser(prog="jobqueue", description="A job queue in a database table.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_commands(commands)
    options = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    try:
        status: int = options.run(options)
        return status
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
