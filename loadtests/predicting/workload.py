"""The load on a web server's slots: visits, their requests, and how long each holds a slot. Pure.

A share of the visitors add feeds, the others browse. A submitter's visit is POST /feeds, the feed's page,
and, while the feed is not there yet, polls with a pause before each, then the page once more. A browser's
visit is one request. In closed load the visitor thinks between visits, but not within one.
"""

from dataclasses import dataclass

from loadtests.numerics import check_not_negative, check_positive


@dataclass(frozen=True)
class Visit:
    """One visit, on average. Times in seconds."""

    requests: float
    demand: float  # total time in a slot of all its requests
    pause: float = 0.0  # time within the visit without a request


@dataclass(frozen=True)
class Workload:
    """The visitors and their requests. Times in seconds; those of requests are mean times in a slot.

    Raises ValueError for a negative or infinite time, a demand of submit, page or browse that is 0, or a
    share outside 0 to 1.
    """

    think: float  # Z, between two visits
    submitters: float  # share of the visitors
    submit: float
    page: float
    browse: float  # the list or a page, in the browsers' proportions
    poll: float = 0.0
    polls: float = 0.0  # per submitter's visit, on average
    pause: float = 0.0  # per submitter's visit, the sum of all pauses before polls

    def __post_init__(self) -> None:
        check_positive(submit=self.submit, page=self.page, browse=self.browse)
        check_not_negative(think=self.think, poll=self.poll, polls=self.polls, pause=self.pause)
        if not 0 <= self.submitters <= 1:
            raise ValueError(f"submitters is {self.submitters}; a share lies between 0 and 1")

    @property
    def pages(self) -> float:
        """Pages in a submitter's visit: one, plus one if there were polls."""
        return 1 + min(1.0, self.polls)

    @property
    def submit_visit(self) -> Visit:
        """A submitter's visit."""
        demand = self.submit + self.pages * self.page + self.polls * self.poll
        return Visit(1 + self.pages + self.polls, demand, self.pause)

    @property
    def browse_visit(self) -> Visit:
        """A browser's visit."""
        return Visit(1.0, self.browse)

    @property
    def mean_visit(self) -> Visit:
        """A visit of open load: a submitter's or a browser's."""
        share, one, other = self.submitters, self.submit_visit, self.browse_visit
        return Visit(
            share * one.requests + (1 - share) * other.requests,
            share * one.demand + (1 - share) * other.demand,
        )


def submitters_among(users: int, share: float) -> int:
    """How many users of closed load add feeds: a whole number, at least 1 unless the share is 0."""
    return max(1, round(share * users)) if share else 0
