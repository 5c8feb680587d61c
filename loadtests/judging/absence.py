"""Was there anything to test? A server that does not run breaks no rule. Pure: judged from rows."""

from collections.abc import Iterable

from loadtests.records.rows import Row

# Errors of operating systems and HTTP clients where nothing listens at an address, or a name has none.
ABSENT = (
    "connection refused",
    "no route to host",
    "host is unreachable",
    "host is down",
    "network is unreachable",
    "name or service not known",  # an unknown host name; then the same in other systems' words
    "nodename nor servname provided",
    "no address associated with hostname",
    "name resolution",
)


def nothing_there(requests: Iterable[Row]) -> str | None:
    """Why nothing was tested, if not one request that ended reached a server; None if any did.

    If some requests were refused and others answered, the refused ones are failures of the app. Leave out the
    rows of whole visits, which are not requests.
    """
    ended = [row for row in requests if row.done_s is not None]
    if not ended or not all(not row.status and _says_absent(row.error) for row in ended):
        return None
    return f"nothing answers at that address ({ended[0].error})"


def _says_absent(error: str) -> bool:
    return any(words in error.lower() for words in ABSENT)
