"""The metrics describe the queue truly, in a text that Prometheus's own parser understands."""

from datetime import timedelta

import pytest
from dashboard_visitor import NOW, Visitor, enqueue, worker
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from jobqueue import Queue
from jobqueue.tools.metrics import CONTENT_TYPE, QueueCollector, metrics
from jobqueue.tools.presence import WAIT_BOUNDS, Tally, be_seen, leave

pytest_plugins = ["queue_fixtures"]

Samples = dict[tuple[str, ...], float]


def read(text: bytes) -> Samples:
    """The samples by name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def named(samples: Samples, name: str) -> Samples:
    """The samples of one name, by label values."""
    return {key[1:]: value for key, value in samples.items() if key[0] == name}


def test_each_job_is_in_one_state(queue: Queue) -> None:
    """A sum over the states counts no job twice."""
    for state in ("due", "due", "scheduled", "running", "failed"):
        enqueue(queue, state, queue="mail")
    enqueue(queue, "scheduled")
    samples = read(metrics(queue, NOW))
    assert named(samples, "jobqueue_jobs") == {
        ("mail", "due"): 2,
        ("mail", "scheduled"): 1,
        ("mail", "running"): 1,
        ("mail", "failed"): 1,
        ("default", "due"): 0,
        ("default", "scheduled"): 1,
        ("default", "running"): 0,
        ("default", "failed"): 0,
    }
    assert named(samples, "jobqueue_oldest_due_seconds") == {("mail",): 3600, ("default",): 0}


def test_an_empty_queue_has_metrics_too(queue: Queue) -> None:
    """Counters begin at 0, so that their first increase is seen."""
    samples = read(metrics(queue))
    assert named(samples, "jobqueue_workers") == {(): 0}
    assert named(samples, "jobqueue_attempts_total") == {("succeeded",): 0, ("failed",): 0}
    assert named(samples, "jobqueue_pickup_seconds_count") == {(): 0}


def test_workers_that_are_silent_do_not_count(queue: Queue) -> None:
    """When all workers have died, their rows stay, since none is left to remove them."""
    with queue.writer.begin() as connection:
        for name, seconds in (("a", 0), ("b", 30), ("c", 31)):
            be_seen(connection, queue.tables, worker(name), Tally(), NOW - timedelta(seconds=seconds))
    assert named(read(metrics(queue, NOW)), "jobqueue_workers") == {(): 2}


def test_attempts_are_those_of_all_workers_there_ever_were(queue: Queue) -> None:
    """A counter must not fall when a worker leaves."""
    with queue.writer.begin() as connection:
        be_seen(connection, queue.tables, worker("stays"), Tally(10, 1), NOW)
        be_seen(connection, queue.tables, worker("leaves"), Tally(200, 20), NOW)
    before = metrics(queue, NOW)
    with queue.writer.begin() as connection:
        leave(connection, queue.tables, "leaves", NOW)
    for text in (before, metrics(queue, NOW)):
        assert named(read(text), "jobqueue_attempts_total") == {("succeeded",): 210, ("failed",): 21}


def test_the_pickup_latency_is_a_histogram(queue: Queue) -> None:
    """Buckets are cumulative, and the last one counts everything."""
    tally = Tally()
    for seconds in (0.001, 0.005, 0.3, 1000.0):
        tally.count_wait(seconds)
    with queue.writer.begin() as connection:
        be_seen(connection, queue.tables, worker("a"), tally, NOW)
        be_seen(connection, queue.tables, worker("b"), tally, NOW)
    samples = read(metrics(queue, NOW))
    buckets = {float(le): count for (le,), count in named(samples, "jobqueue_pickup_seconds_bucket").items()}
    assert list(buckets) == [*WAIT_BOUNDS, float("inf")]
    assert (buckets[0.005], buckets[0.25], buckets[0.5], buckets[300], buckets[float("inf")]) == (
        4,
        4,
        6,
        6,
        8,
    )
    assert named(samples, "jobqueue_pickup_seconds_count") == {(): 8}
    assert named(samples, "jobqueue_pickup_seconds_sum")[()] == pytest.approx(2000.612)


@pytest.mark.parametrize("name", ['"} 1\njobqueue_workers 99', "\\", "naïve ☃"])
def test_a_queues_name_may_hold_anything(queue: Queue, name: str) -> None:
    """The name is escaped, so that it can't pose as another metric."""
    enqueue(queue, "due", queue=name)
    samples = read(metrics(queue))
    assert named(samples, "jobqueue_jobs")[name, "due"] == 1
    assert named(samples, "jobqueue_workers") == {(): 0}


def test_a_registry_of_ones_own_can_have_the_queues_metrics(queue: Queue) -> None:
    """Registering reads nothing from the database; each scrape does."""
    registry = CollectorRegistry(auto_describe=True)
    queue.writer.dispose()
    registry.register(QueueCollector(queue))
    assert registry.get_sample_value("jobqueue_jobs", {"queue": "default", "state": "due"}) is None
    enqueue(queue, "due")
    assert registry.get_sample_value("jobqueue_jobs", {"queue": "default", "state": "due"}) == 1


def test_prometheus_finds_them_beside_the_dashboard(queue: Queue) -> None:
    """/metrics is behind the dashboard's password."""
    enqueue(queue, "due")
    visitor = Visitor(queue, password="secret")
    assert visitor.get("/metrics").status_code == 401
    answer = visitor.get("/metrics", auth=("prometheus", "secret"))
    assert answer.headers["Content-Type"] == CONTENT_TYPE
    assert read(answer.data)["jobqueue_jobs", "default", "due"] == 1
