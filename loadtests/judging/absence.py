"""Was anything there to be tested? A server that does not run breaks no rule. Pure: from what rows say."""

from collections.abc import Iterable

from loadtests.records.rows import Row

# What the systems and the clients of HTTP say of an address at which nothing listens, or which has none.
ABSENT = (
    "connection refused",
    "no route to host",
    "host is unreachable",
    "host is down",
    "network is unreachable",
    "name or service not known",  # of a name that nobody knows; the same in other systems' words:
    "nodename nor servname provided",
    "no address associated with hostname",
    "name resolution",
)


def nothing_there(requests: Iterable[Row]) -> str | None:
    """Why nothing was tested, if not one request that ended found a server; None if any did.

    Some that were refused among others that were answered are failures of the app. Whole visits are no
    requests: leave them out.
    """
    ended = [row for row in requests if row.done_s is not None]
    if not ended or not all(not row.status and _says_absent(row.error) for row in ended):
        return None
    return f"nothing answers at that address ({ended[0].error})"


def _says_absent(error: str) -> bool:
    return any(words in error.lower() for words in ABSENT)
