"""Figures in words: the same in the terminal, on the charts and in the report."""

from collections.abc import Callable, Sequence

from loadtests.records.figures import Figure, LatencyKey, Summary, without_interval
from loadtests.records.recording import Model
from loadtests.records.results import Settings
from loadtests.records.steps import LOAD_KEYS, About, Capacity, LoadKey, MeasuredLoad, has_workers, load_of

ENGINE_TITLES: dict[str, str] = {
    "jobqueue-postgresql": "jobqueue on PostgreSQL",
    "celery": "Celery",
    "celery-late": "Celery, acks late",
    "celery-threads": "Celery, threads",
    "celery-threads-late": "Celery, threads, acks late",
    "rq": "RQ",
    "dramatiq": "Dramatiq",
    "huey": "Huey",
    "procrastinate": "Procrastinate",
    "pgqueuer": "PgQueuer",
}
SHORT: dict[str, str] = {"sync": "synchronous", "queued": "queued", "host": "your app", **ENGINE_TITLES}
LABELS: dict[str, str] = {  # at most 14 characters
    **{"sync": "sync", "queued": "queued", "host": "your app", **ENGINE_TITLES},
    "jobqueue-postgresql": "jobqueue, PG",
    "celery-late": "Celery, late",
    "celery-threads": "Celery, thr.",
    "celery-threads-late": "Cel. thr. late",
}
HOW: dict[str, str] = {
    "sync": "synchronously",
    "queued": "with the queue",
    "host": "in your app",
    **{engine: f"with {title}" for engine, title in ENGINE_TITLES.items()},
}
DOING = "that may be the machine's or the load generator's doing, not the app's"
EXCUSE = f"over the limit, but {DOING}"


def duration(ms: float) -> str:
    """Milliseconds in readable form: "3.2 ms", "18 ms", "7.9 s", "124 s"."""
    if ms < 9.95:
        return f"{ms:.1f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 99_950 else f"{ms / 1000:.0f} s"


def percent(share: float) -> str:
    """A share from 0 to 1 in percent. One just above 0 or just below 1 never reads as 0 % or 100 %."""
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{share:.0%}".replace("%", " %") if share in {0, 1} else f"{share * 100:.1f} %"


def share_interval(interval: Sequence[float]) -> str:
    """The interval of a share in percent: "0 to 3.6 %"."""
    low, high = interval
    return span(low, high, percent)


def span(low: float | None, high: float | None, say: Callable[[float], str]) -> str:
    """An interval: "201 to 230 ms", "950 ms to 1.2 s"; an end that is not bounded is "?"."""
    first, last = ("?" if end is None else say(end) for end in (low, high))
    number, _, unit = first.rpartition(" ")
    return f"{number if number and last.endswith(f' {unit}') else first} to {last}"


def figure(summary: Summary, key: LatencyKey, at_least: str = "≥ ") -> str:
    """One latency of a summary, marked with `at_least` if it is a lower bound; a dash if there is none."""
    ms = summary[key]
    if ms is None:
        return "–"
    return (at_least if key in summary["lower_bounds"] else "") + duration(ms)


def bound(figure: Figure, at_least: str = "≥ ") -> str:
    """The mark of a figure of a point: `at_least` or "≤ " if it is a bound; "~ " if the truth may be above or
    below.
    """
    upper = figure.get("upper_bound", False)
    if figure["lower_bound"]:
        return "~ " if upper else at_least
    return "≤ " if upper else ""


def stated(figure: Figure | None, at_least: str = "≥ ", say: Callable[[float], str] = duration) -> str:
    """The same for a latency of a point, which is a figure with its interval, and may be an upper bound."""
    return "–" if figure is None else bound(figure, at_least) + say(figure["value"])


def counted(number: int, what: str) -> str:
    """ "1 slot", "20 slots"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def capitalised(text: str) -> str:
    """The text with a capital first letter, and all others as they are."""
    return text[:1].upper() + text[1:]


def user_count(users: int) -> str:
    """ "1 user", "20 users"."""
    return counted(users, "user")


def app_name(app: str, host: str | None = None) -> str:
    """ "the queued app", "the app at http://127.0.0.1:8000", or "your app" if the address is not known."""
    if app == "host":
        return f"the app at {host}" if host else SHORT[app]
    return f"the {SHORT[app]} app"


def load(measured: MeasuredLoad) -> str:
    """The load on an app in a step or a point: "20 users", "7.5 visits a second"."""
    return said_load(load_of(measured), LOAD_KEYS[measured["model"]])


def said_load(much: float, key: LoadKey) -> str:
    """The same of an amount."""
    return user_count(round(much)) if key == "users" else visits(much)


def visits(rate: float) -> str:
    """ "1 visit a second", "7.5 visits a second"."""
    return "1 visit a second" if rate == 1 else f"{rate:g} visits a second"


def conditions(settings: Settings, model: Model) -> list[str]:
    """The conditions of a run of one model, in a few words each, for a chart's heading."""
    parts = [f"{model} load"]
    if model == "closed":
        parts.append(f"think time {settings['think_s']:g} s")
    parts.append(f"{settings['measure_s']:g} s a step")
    if settings["repeats"] > 1:
        parts.append(f"{settings['repeats']} repeats")
    if settings["host"]:
        return parts
    servers = "either web server" if len(settings["apps"]) > 1 else "the web server"
    parts.append(f"{settings['slots'][0]} requests at a time in {servers}")
    if any(map(has_workers, settings["apps"])):
        parts.append(f"{settings['workers'][0] * settings['threads'][0]} jobs at a time")
    return [*parts, settings["database"]]


def setting(step: About) -> str:
    """The capacity that served a step or a point: "8 slots, 1 worker of 32 threads"."""
    return all_settings(step) if has_workers(step["app"]) else counted(step["slots"], "slot")


def all_settings(given: Capacity) -> str:
    """The same with the workers, whether or not there are any."""
    workers = f"{counted(given['workers'], 'worker')} of {counted(given['threads'], 'thread')}"
    return f"{counted(given['slots'], 'slot')}, {workers}"


def stated_share(figure: Figure | None) -> str:
    """A share of a point in percent, in the same way."""
    return stated(figure, say=percent)


def with_interval(figure: Figure | None, say: Callable[[Figure], str]) -> str:
    """A figure of a point with its 95 % interval: "20 ms (18 ms to 23 ms)"; without it if there is none."""
    if figure is None:
        return "–"
    if figure["low"] is None and figure["high"] is None:
        return say(figure)
    ends = (figure["low"], figure["high"])
    low, high = ("?" if end is None else say(without_interval(end)) for end in ends)
    return f"{say(figure)} ({low} to {high})"
