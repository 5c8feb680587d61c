"""What the load asks of a web server's slots: visits, their requests, and how long each holds a slot. Pure.

Of the visitors a share adds feeds, the others browse. A submitter's visit is POST /feeds, the feed's page,
and, as long as the feed is not there yet, polls with pauses before them and then the page once more. A
browser's visit is one request. Between two visits of closed load the visitor thinks; within one he does not.
"""

from dataclasses import dataclass

from loadtests.numerics import check_not_negative, check_positive

__all__ = ["Visit", "Workload", "submitters_among"]


@dataclass(frozen=True)
class Visit:
    """What one visit comes to, on average. Times in seconds."""

    requests: float
    demand: float  # time in a slot, of all its requests together
    pause: float = 0.0  # time within the visit in which nothing is asked of the server


@dataclass(frozen=True)
class Workload:
    """The visitors and their requests. Times in seconds; those of requests are mean times in a slot.

    Raises ValueError for a time that is no time, or a share that is none.
    """

    think: float  # Z, between two visits
    submitters: float  # share of the visitors
    post: float
    page: float
    browse: float  # the list or a page, as browsers ask for them
    poll: float = 0.0
    polls: float = 0.0  # in a submitter's visit, on average
    pause: float = 0.0  # in a submitter's visit, all pauses before polls together

    def __post_init__(self) -> None:
        check_positive(post=self.post, page=self.page, browse=self.browse)
        check_not_negative(think=self.think, poll=self.poll, polls=self.polls, pause=self.pause)
        if not 0 <= self.submitters <= 1:
            raise ValueError(f"submitters is {self.submitters}; a share lies between 0 and 1")

    @property
    def pages(self) -> float:
        """Pages in a submitter's visit: one, and one more if he had to poll."""
        return 1 + min(1.0, self.polls)

    @property
    def submit_visit(self) -> Visit:
        """A submitter's visit."""
        demand = self.post + self.pages * self.page + self.polls * self.poll
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
    """How many of the users of closed load add feeds: a whole number, from 1 on unless the share is 0."""
    return max(1, round(share * users)) if share else 0
