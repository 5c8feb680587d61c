"""Were the submitted feeds really fetched, and shown to their visitors? Pure.

A reader that fetches nothing answers at once: its load tested nothing, however fast it was.
"""

from loadtests.records.recording import Recording
from loadtests.records.rows import Row

NO_ENTRIES = "no entries on the page of a good feed"
LEAST_FETCHED = 0.9  # share of the feeds whose pages said that they were fetched, or could not be
FETCH_SECONDS = 5.0  # a feed submitted later may still be in the queue


def not_fetched(recording: Recording, arrived: int) -> list[str]:
    """Why this load of feeds.py tested nothing. `arrived`: how many feeds the feed server was asked for."""
    submitted = [row for row in recording.rows if row.group == "submit" and row.status == 303]
    ended = [row for row in recording.rows if row.group == "content" and _ended(row)]
    due = [row for row in submitted if row.done_s and row.done_s < recording.ended_s - FETCH_SECONDS]
    reasons = []
    if arrived < max(LEAST_FETCHED * len(ended), bool(due)):
        reasons.append(
            f"{len(submitted)} feeds were submitted and {len(ended)} of their pages done, but the feed server"
            f" was asked for {arrived}"
        )
    empty = sum(row.error == NO_ENTRIES for row in ended)
    if empty > recording.most_over * len(ended):
        reasons.append(f"{empty} of {len(ended)} visits found {NO_ENTRIES}")
    return reasons


def _ended(visit: Row) -> bool:
    """Whether a visit saw what became of its feed."""
    return visit.done_s is not None and visit.error in ("", NO_ENTRIES)
