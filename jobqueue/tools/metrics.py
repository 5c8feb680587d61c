"""The queue's state for Prometheus, in its text format.

jobqueue_jobs{queue,state}          jobs: due, scheduled (due later), running, failed (for good)
jobqueue_oldest_due_seconds{queue}  how long the job that is due for longest has been so
jobqueue_workers                    workers that were heard of within their lease
jobqueue_attempts_total{outcome}    attempts of all workers there ever were: succeeded, failed
jobqueue_pickup_seconds             histogram: from the moment a job is due to its claim by a worker

The workers are other processes, perhaps on other machines. So all of this is read from the database when it
is asked for: whichever process is asked, the answer is the same.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate

try:
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError("metrics need prometheus_client: pip install 'jobqueue-500ms[dashboard]'") from error

from jobqueue import Queue
from jobqueue.presence import WAIT_BOUNDS, Tally
from jobqueue.tools import looking

CONTENT_TYPE = CONTENT_TYPE_LATEST  # of the answer to Prometheus


def metrics(queue: Queue, now: datetime | None = None) -> bytes:
    """The queue as it is now, as Prometheus reads it. Counts a row for each job: see looking.stats()."""
    registry = CollectorRegistry()
    registry.register(QueueCollector(queue, now))
    return generate_latest(registry)


class QueueCollector(Collector):
    """Reads the database at each scrape. Register it with a registry of your own, or call metrics()."""

    def __init__(self, queue: Queue, now: datetime | None = None):
        self._queue = queue
        self._now = now

    def describe(self) -> list[Metric]:
        """Nothing: a registry would otherwise read the database when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics, from one look at the database."""
        now = self._now or datetime.now(UTC)
        stats = looking.stats(self._queue, now)
        jobs = GaugeMetricFamily("jobqueue_jobs", "Jobs in the table.", labels=["queue", "state"])
        oldest = GaugeMetricFamily(
            "jobqueue_oldest_due_seconds",
            "How long the job that is due for longest has been so.",
            labels=["queue"],
        )
        for each in stats.queues:
            jobs.add_metric([each.name, "due"], each.due)
            jobs.add_metric([each.name, "scheduled"], each.waiting - each.due)
            jobs.add_metric([each.name, "running"], each.running)
            jobs.add_metric([each.name, "failed"], each.failed)
            oldest.add_metric([each.name], each.oldest_due_seconds)
        attempts = CounterMetricFamily("jobqueue_attempts", "Attempts to perform a job.", labels=["outcome"])
        attempts.add_metric(["succeeded"], stats.done.succeeded)
        attempts.add_metric(["failed"], stats.done.failed)
        alive = sum(not looking.is_silent(worker, now) for worker in stats.workers)
        yield jobs
        yield oldest
        yield GaugeMetricFamily("jobqueue_workers", "Workers heard of within their lease.", alive)
        yield attempts
        yield HistogramMetricFamily(
            "jobqueue_pickup_seconds",
            "From the moment a job is due to its claim by a worker.",
            buckets=_cumulative(stats.done),
            sum_value=stats.done.waited,
        )


def _cumulative(done: Tally) -> list[tuple[str, float]]:
    """Prometheus counts in each bucket all that is in the smaller ones too."""
    bounds = [*map(str, WAIT_BOUNDS), "+Inf"]
    return list(zip(bounds, accumulate(done.waits), strict=True))
