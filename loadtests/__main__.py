"""`python -m loadtests COMMAND`: the load tests from the command line.

An exit status of 1 is always a verdict. What goes wrong in a command has another: see loadtests/status.py. A
fault in this package proves nothing, as a process that fails.
"""

import contextlib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from loadtests.errors import LoadTestError
from loadtests.servers.alone import alone
from loadtests.status import EXIT_STATUSES, Status

COMMANDS = {
    "bench": ("loadtests.bench.bench", "measure both readers with more and more users, and write a report"),
    "compare": ("loadtests.comparing.compare", "compare two runs: the difference, with its interval"),
    "report": ("loadtests.report.report", "write the report of a run again, or of a file of requests"),
    "floor": ("loadtests.bench.floor", "measure the load generator itself, against an idle server"),
    "queue": ("loadtests.queuebench.bench", "measure jobqueue against the plain drivers and other queues"),
    "engines": ("loadtests.enginebench.bench", "compare the engines under the same reader: speed and harm"),
    "torture": ("loadtests.torture.torture", "harm jobqueue's workers, and count what became of the jobs"),
    "demo": ("loadtests.demo.command", "both readers side by side, live, on a page or in the terminal"),
    "stack": ("loadtests.servers.serve", "run one reader with everything it needs, until Ctrl-C"),
    "feedserver": ("loadtests.feedserver.server", "run the fake feed server alone, until Ctrl-C"),
    "postgres": ("loadtests.servers.postgres", "run a temporary PostgreSQL server, until Ctrl-C"),
}
MEASUREMENTS = ("bench", "floor", "queue", "engines", "torture", "demo")


def run() -> int:
    """`main`, with its output written to the end; returns the exit status."""
    status: int = Status.USAGE
    try:
        try:
            status = main()
        except SystemExit as ended:  # argparse's, after help or wrong usage
            status = ended.code if isinstance(ended.code, int) else status
        for stream in (sys.stderr, sys.stdout):
            stream.flush()
    except OSError as error:
        # It is not tried again when Python ends, which would change the exit status.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # nobody reads on, as after head
            os.dup2(nowhere, sys.stderr.fileno())
            return status
        print(f"loadtests: the output can't be written: {error.strerror}", file=sys.stderr)
        return Status.USAGE
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status. What it raises is said in a sentence.

    A command's modules are imported only when it is called.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        with contextlib.suppress(BrokenPipeError):  # nobody reads it to its end
            print(_usage())
        return Status.KEPT if arguments else Status.USAGE
    command, *options = arguments
    if command not in COMMANDS:
        print(f"loadtests: there is no command {command!r}\n\n{_usage()}", file=sys.stderr)
        return Status.USAGE
    measures = command in MEASUREMENTS and not {"-h", "--help"} & set(options)
    if measures:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
    try:
        with alone(command) if measures else contextlib.nullcontext():
            status: int = importlib.import_module(COMMANDS[command][0]).main(options)
    except LoadTestError as error:
        said, status = str(error), error.exit_status
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    except OSError as error:
        said = f"{error.filename or 'its output'} can't be read or written: {error.strerror or error}"
        status = Status.USAGE
    except Exception:
        traceback.print_exc()
        said, status = "a fault of the load tests, which says nothing of the app", Status.UNFIT
    else:
        return status
    print(f"loadtests {command}: {said}", file=sys.stderr)
    return status


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt  # as Ctrl-C: what was measured until then is kept


def _usage() -> str:
    lines = [f"  {command:11} {about}" for command, (_, about) in COMMANDS.items()]
    head = "usage: python -m loadtests COMMAND [OPTION ...]\n\ncommands:\n"
    return (
        head
        + "\n".join(lines)
        + f"\n\n{EXIT_STATUSES}\n\nOptions of a command: python -m loadtests COMMAND --help"
    )


if __name__ == "__main__":
    sys.exit(run())
