"""`python -m loadtests COMMAND`: the load tests from the command line."""

import importlib
import sys
from collections.abc import Sequence

from loadtests.errors import LoadTestError

COMMANDS = {
    "bench": ("loadtests.bench.bench", "measure both readers as users grow, and write a report"),
    "compare": ("loadtests.comparing.compare", "the difference between two runs, with its interval"),
    "report": ("loadtests.report.report", "write the report of a run, or of a file of requests, again"),
    "floor": (
        "loadtests.bench.floor",
        "measure the load generator itself, on a server that is idle",
    ),
    "queue": ("loadtests.queuebench.bench", "measure jobqueue beside the plain drivers and other queues"),
    "stack": ("loadtests.servers.stack", "start one reader with all it needs, until Ctrl-C"),
    "feedserver": ("loadtests.feedserver.server", "start the fake feed server alone"),
    "postgres": ("loadtests.servers.postgres", "start a PostgreSQL of one's own, until Ctrl-C"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status. A command's modules are imported only when it is called."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"loadtests: there is no command {command!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    try:
        status: int = importlib.import_module(COMMANDS[command][0]).main(rest)
    except LoadTestError as error:
        print(f"loadtests {command}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return status


def _usage() -> str:
    lines = [f"  {command:11} {about}" for command, (_, about) in COMMANDS.items()]
    head = "usage: python -m loadtests COMMAND [OPTION ...]\n\ncommands:\n"
    return head + "\n".join(lines) + "\n\nWhat a command takes: python -m loadtests COMMAND --help"


if __name__ == "__main__":
    sys.exit(main())
