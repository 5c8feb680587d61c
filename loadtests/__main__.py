"""`python -m loadtests COMMAND`: the load tests from the command line."""

import importlib
import sys
from collections.abc import Sequence

from loadtests.errors import LoadTestError
from loadtests.status import EXIT_STATUSES, Status

COMMANDS = {
    "bench": ("loadtests.bench.bench", "measure both readers as users grow, and write a report"),
    "compare": ("loadtests.comparing.compare", "compare two runs: the difference, with its interval"),
    "report": ("loadtests.report.report", "write the report of a run again, or of a file of requests"),
    "floor": (
        "loadtests.bench.floor",
        "measure the load generator itself, against an idle server",
    ),
    "queue": ("loadtests.queuebench.bench", "measure jobqueue against the plain drivers and other queues"),
    "stack": ("loadtests.servers.stack", "run one reader with everything it needs, until Ctrl-C"),
    "feedserver": ("loadtests.feedserver.server", "run the fake feed server alone, until Ctrl-C"),
    "postgres": ("loadtests.servers.postgres", "run a temporary PostgreSQL server, until Ctrl-C"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status. A command's modules are imported only when it is called."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return Status.KEPT if arguments else Status.USAGE
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"loadtests: there is no command {command!r}\n\n{_usage()}", file=sys.stderr)
        return Status.USAGE
    try:
        status: int = importlib.import_module(COMMANDS[command][0]).main(rest)
    except LoadTestError as error:
        print(f"loadtests {command}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    return status


def _usage() -> str:
    lines = [f"  {command:11} {about}" for command, (_, about) in COMMANDS.items()]
    head = "usage: python -m loadtests COMMAND [OPTION ...]\n\ncommands:\n"
    return (
        head
        + "\n".join(lines)
        + f"\n\n{EXIT_STATUSES}\n\nOptions of a command: python -m loadtests COMMAND --help"
    )


if __name__ == "__main__":
    sys.exit(main())
