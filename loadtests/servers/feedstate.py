"""What a feed server reports: that it is up, how its feeds behave, and how many it was asked for."""

from dataclasses import dataclass

import requests

from loadtests.errors import UsageError
from loadtests.servers.reaching import REACH_SECONDS, silence

START = "`make queued` starts a reader with its feed server, and prints the addresses: --host URL --feeds URL"


@dataclass(frozen=True)
class FeedState:
    """A feed server's answers. `mix` and `seed` determine what each of its addresses does."""

    requested: int  # feeds, since it was started
    mix: dict[str, float]  # percent of each kind
    seed: int


def feed_state(url: str) -> FeedState:
    """Ask the feed server at `url`. Raises UsageError if none answers there."""
    if why := silence(f"{url}/healthz"):
        raise UsageError(f"No feed server answers at {url}: {why}. {START}")
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy may answer in its place
            stats = session.get(f"{url}/stats", timeout=REACH_SECONDS).json()
            plan = session.get(f"{url}/mix", timeout=REACH_SECONDS).json()
        return FeedState(sum(stats["requested"].values()), dict(plan["mix"]), int(plan["seed"]))
    except (requests.RequestException, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"The server that answers at {url} is not a feed server. {START}") from error


def check_reader(url: str) -> None:
    """Raise UsageError if no server answers at `url`; any answer will do."""
    if why := silence(f"{url.rstrip('/')}/healthz"):  # which the slots don't count as a visitor's request
        raise UsageError(f"Nothing answers at {url}: {why}. Start the app, or give its address")
