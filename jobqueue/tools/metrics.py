"""The queue's state for Prometheus, in its text format.

jobqueue_jobs{queue,state}          jobs: due, scheduled (due later), running, failed (for good)
jobqueue_oldest_due_seconds{queue}  how long the oldest due job has been due
jobqueue_workers                    workers heard from within their lease
jobqueue_attempts_total{outcome}    attempts of all workers, current and former: succeeded, failed
jobqueue_pickup_seconds             histogram: from the moment a job is due to its claim by a worker

The workers are other processes, perhaps on other machines, so all of this is read from the database at each
scrape: whichever process is asked, the answer is the same.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate

try:
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "metrics need prometheus_client: pip install prometheus-client (the extra [dashboard])"
    ) from error

from jobqueue import Queue
from jobqueue.tools import looking
from jobqueue.tools.presence import WAIT_BOUNDS, Tally

CONTENT_TYPE = CONTENT_TYPE_LATEST  # of the response to Prometheus


def metrics(queue: Queue, now: datetime | None = None) -> bytes:
    """The state of the queue, in Prometheus's text format. Reads a row for each job: see looking.stats()."""
    registry = CollectorRegistry()
    registry.register(QueueCollector(queue, now))
    return generate_latest(registry)


class QueueCollector(Collector):
    """Reads the database at each scrape. Register it with your own registry, or call metrics()."""

    def __init__(self, queue: Queue, now: datetime | None = None):
        self._queue = queue
        self._now = now

    def describe(self) -> list[Metric]:
        """Nothing: otherwise registering this would read the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics, from one reading of the database."""
        now = self._now or datetime.now(UTC)
        stats = looking.stats(self._queue, now)
        jobs = GaugeMetricFamily("jobqueue_jobs", "Jobs in the table.", labels=["queue", "state"])
        oldest = GaugeMetricFamily(
            "jobqueue_oldest_due_seconds",
            "How long the oldest due job has been due.",
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
        yield GaugeMetricFamily("jobqueue_workers", "Workers heard from within their lease.", alive)
        yield attempts
        yield HistogramMetricFamily(
            "jobqueue_pickup_seconds",
            "From the moment a job is due to its claim by a worker.",
            buckets=_cumulative(stats.done),
            sum_value=stats.done.waited,
        )


def _cumulative(done: Tally) -> list[tuple[str, float]]:
    """Prometheus's buckets are cumulative: each includes the smaller ones."""
    bounds = [*map(str, WAIT_BOUNDS), "+Inf"]
    return list(zip(bounds, accumulate(done.waits), strict=True))
