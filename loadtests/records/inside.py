"""What was seen inside the servers during a step, as results.json holds it: slots, workers, processes."""

from typing import Annotated, Literal, TypedDict

from loadtests.records.figures import Amount, Count, says


class ServerSide(TypedDict):
    """The step as the web server saw it."""

    requests: Annotated[Count, says("Requests that the web server's slots took, whole step.")]
    sent: Annotated[Count, says("Requests that the load generator sent, whole step.")]
    answered: Annotated[Count, says("Requests that the load generator got an answer to, whole step.")]
    slots: Annotated[Count, says("Slots that served a request.")]
    utilisation: Annotated[
        Amount, says("Share of the slots' time that they were busy in the measured window.")
    ]
    demand_ms: Annotated[
        dict[str, Amount],
        says("Mean time that a request spends in a slot, by kind of request, in milliseconds."),
    ]
    served: Annotated[
        dict[str, Count],
        says("Requests that the slots answered in the measured window, by kind: submit, page, poll, list."),
    ]
    demand_scv: Annotated[
        dict[str, Amount],
        says(
            "Squared coefficient of variation (variance / squared mean) of the time that a request spends in"
            " a slot, by kind: 1 for exponential times. Kinds with fewer than two requests are left out."
        ),
    ]


class QueueSide(TypedDict):
    """The step as the queued app's workers saw it."""

    in_per_s: Annotated[Amount, says("Jobs enqueued a second in the measured window.")]
    out_per_s: Annotated[Amount, says("Jobs finished a second in the measured window.")]
    utilisation: Annotated[Amount, says("Share of the worker threads that had a job, on average.")]
    demand_s: Annotated[
        Amount | None,
        says("Mean time that a thread has a job, by Little's law: jobs in threads / jobs out a second."),
    ]
    workers_needed: Annotated[
        Count | None,
        says("Threads that in_per_s x demand_s keeps busy; fewer than that, and the backlog grows."),
    ]
    backlog_max: Annotated[Count, says("Most jobs that waited at once in the measured window.")]
    backlog_mean: Annotated[Amount, says("Jobs that waited, on average.")]
    drain_s: Annotated[
        Amount | None,
        says(
            "Seconds from the end of the load until no job waited or ran; null if that did not happen in"
            " time."
        ),
    ]


QueueKey = Literal[
    "in_per_s", "out_per_s", "utilisation", "demand_s", "backlog_max", "backlog_mean", "drain_s"
]


class ProcessUse(TypedDict):
    """What one process used."""

    cpu_percent: Annotated[float, says("CPU, percent of one core.")]
    memory_mib: Annotated[Amount, says("Largest memory, MiB.")]


class Look(TypedDict):
    """One sample of the machine and the queue."""

    t_s: Annotated[float, says("When, in seconds on the clock of the rows.")]
    host_cpu_percent: Annotated[float, says("Use of all cores since the previous sample.")]
    enqueued: Annotated[Count, says("Feeds added so far.")]
    fetched: Annotated[Count, says("Those whose fetch has ended.")]
    backlog: Annotated[int | None, says("Jobs that are waiting; null where there is no queue.")]
    running: Annotated[int | None, says("Jobs that workers have claimed.")]
