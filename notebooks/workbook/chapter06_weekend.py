"""The weekend before chapter 6, in fast-forward: what visitors asked for, and what the reader's worker tried.

A process of its own, since it has the setting that this worker had: a FEEDREADER_DEADLINE that is no number.
Nothing is made up but the time: the jobs are enqueued, tried and put off by the code that always does it.
"""

import random
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

from sqlalchemy.orm import Session

from feedreader.database import make_engine, writer
from feedreader.models import Feed, create_tables
from jobqueue import Queue, Worker, job
from jobqueue.tools.presence import Presence
from loadtests.feedserver.kinds import delay_of

TAKES, WITHIN = 0.8, 0.05  # seconds that each of these feeds' servers takes, more or less
DEPLOYED = timedelta(hours=1)  # before now: from then on no worker runs


@dataclass(frozen=True)
class Asked:
    """Feeds that were asked for one after another; hours count from the deployment on Monday."""

    feeds: int
    at: float
    every: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)  # of enqueue()


WEEKEND = (
    Asked(8, at=-47, every=0.25),  # on Saturday, by visitors
    Asked(30, at=-29, options={"queue": "refresh", "max_attempts": 3}),  # at night, by a script
    Asked(14, at=-22, every=0.1, options={"queue": "partners"}),  # on Sunday; that queue is paused
    Asked(48, at=0.05, every=0.018),  # on Monday, by visitors
)
FEEDS = sum(each.feeds for each in WEEKEND)


def addresses(feed_server: str) -> Iterator[str]:
    """Feeds that take about TAKES, without end."""
    numbers = (n for n in count() if abs(delay_of("typical", n) - TAKES) < WITHIN)
    return (f"{feed_server}/feeds/typical/{n}.xml" for n in numbers)


def ask(queue: Queue, feed_server: str, deployed: datetime) -> None:
    """Add the feeds and enqueue their jobs, as the reader does, at the times when they were asked for."""
    feeds = addresses(feed_server)
    with Session(writer(queue.engine)) as session:
        for asked in WEEKEND:
            for number, url in enumerate(islice(feeds, asked.feeds)):
                feed = Feed.subscribe(session, url)
                feed.requested_at = deployed + timedelta(hours=asked.at + number * asked.every)
                queue.enqueue(feed, session=session, now=feed.requested_at, **asked.options)
        session.commit()


def work(queue: Queue, until: datetime) -> None:
    """Try each job whenever it is due, as a worker does that runs until that moment."""
    worker = Worker(queue, observers=[Presence(queue)])
    while moments := [
        each.run_at
        for each in queue.jobs(limit=FEEDS)
        if each.state == "waiting" and each.queue != "partners" and each.run_at < until
    ]:
        worker.work_off(now=min(moments))


def main(database: str, feed_server: str) -> None:
    """Let the weekend pass in this database."""
    random.seed(6)  # a tenth of each wait is random: here the same in each run
    job(Feed)
    engine = make_engine(database)
    create_tables(engine)
    with closing(Queue(engine)) as queue:
        queue.create_tables()
        queue.pause("partners")
        deployed = datetime.now(UTC) - DEPLOYED
        ask(queue, feed_server, deployed)
        work(queue, deployed)


if __name__ == "__main__":
    main(*sys.argv[1:])
