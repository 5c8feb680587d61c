"""What each address of the fake feed server does: a pure function of the URL, the seed and the mix.

`/feeds/<kind>/<n>.xml` behaves as its kind says; `n` picks the case within the kind. Nothing is drawn at run
time: each "random" figure is a hash of (seed, purpose, n), the same in every process and Python version. So a
prediction can be made from the very delays that a load test will meet. There is no HTTP here.
"""

import math
from collections.abc import Mapping
from hashlib import blake2b
from statistics import NormalDist
from types import MappingProxyType

from loadtests.errors import UsageError

TYPICAL_MEDIAN_SECONDS = 0.3
TYPICAL_SIGMA = 0.5  # of log(delay): the mean is 0.34 s, and one feed in 100 takes more than 0.96 s
TYPICAL_CAP_SECONDS = 2.0  # reached by one feed in 13,000: it bounds the worst case and leaves the mean alone
SLOW_SECONDS = (2.0, 6.0)

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "fast": "a good feed, at once",
        "typical": "a good feed after a lognormal delay: median 300 ms, sigma 0.5, at most 2 s",
        "slow": "a good feed after 2 to 6 s, all equally likely",
        "hang": "takes the request and never answers",
        "drip": "a good feed, one byte a second",
        "error": "status 500, at once",
        "missing": "status 404, at once",
        "reset": "half a feed, then the connection is reset",
        "malformed": "XML that breaks off before the first entry",
        "huge": "a feed of 64 MiB, as fast as it is read",
        "redirect-loop": "a redirect to itself",
    }
)
GOOD = ("fast", "typical", "slow")  # a reader that waits long enough shows their entries
DEFAULT_MIX: Mapping[str, float] = MappingProxyType({"typical": 80, "slow": 15, "hang": 5})  # percent


def fingerprint(*parts: object) -> int:
    """A 64-bit number from the text of `parts`, evenly spread, and the same everywhere (unlike `hash`)."""
    text = ":".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def uniform(*parts: object) -> float:
    """The fingerprint of `parts` as a number strictly between 0 and 1, as quantile functions need it."""
    return ((fingerprint(*parts) >> 12) + 0.5) / 2**52


def kind_of(n: int, mix: Mapping[str, float] = DEFAULT_MIX, seed: int = 0) -> str:
    """The kind that `/feeds/mix/<n>.xml` behaves as. `mix` is in percent; its order makes no difference."""
    percentile = 100 * uniform(seed, "mix", n)
    kinds = [kind for kind in KINDS if mix.get(kind)]
    reached = 0.0
    for kind in kinds:
        reached += mix[kind]
        if percentile < reached:
            return kind
    return kinds[-1]  # shares such as 33.3 may add up to slightly under 100


def delay_of(kind: str, n: int, seed: int = 0) -> float:
    """Seconds from the request to the start of the answer; infinite for `hang`.

    `drip` and `huge` start at once: their body is what takes long. Raises UsageError for an unknown kind,
    which includes `mix`: call `kind_of` first.
    """
    match kind:
        case "hang":
            return math.inf
        case "slow":
            shortest, longest = SLOW_SECONDS
            return shortest + (longest - shortest) * uniform(seed, kind, n)
        case "typical":
            log_delay = NormalDist(math.log(TYPICAL_MEDIAN_SECONDS), TYPICAL_SIGMA)
            return min(math.exp(log_delay.inv_cdf(uniform(seed, kind, n))), TYPICAL_CAP_SECONDS)
    _check_kind(kind)
    return 0.0


def is_good(kind: str, n: int, within: float, mix: Mapping[str, float], seed: int = 0) -> bool:
    """Whether feed `n` of a kind, or of `mix`, is good and answered within `within` seconds."""
    kind = kind_of(n, mix, seed) if kind == "mix" else kind
    return kind in GOOD and delay_of(kind, n, seed) <= within


def parse_mix(text: str) -> dict[str, float]:
    """Parse `typical=80,slow=15,hang=5` into {kind: percent}. Raises UsageError for anything else."""
    mix: dict[str, float] = {}
    for pair in text.split(","):
        kind, _, percent = (part.strip() for part in pair.partition("="))
        try:
            share = float(percent)
        except ValueError:
            raise UsageError(
                f"Can't read {pair.strip()!r} in a mix of feeds. "
                f"Write kind=percent with commas between, for example {written_mix(DEFAULT_MIX)}."
            ) from None
        if kind in mix:
            raise UsageError(f"The mix of feeds names {kind!r} twice. Give each kind one percentage.")
        mix[kind] = share
    check_mix(mix)
    return mix


def written_mix(mix: Mapping[str, float]) -> str:
    """The mix as `parse_mix` reads it: `typical=80,slow=15,hang=5`."""
    return ",".join(f"{kind}={share:g}" for kind, share in mix.items())


def check_mix(mix: Mapping[str, float]) -> None:
    """Raises UsageError unless `mix` gives known kinds percentages that add up to 100."""
    for kind, share in mix.items():
        _check_kind(kind)
        if not 0 <= share <= 100:
            raise UsageError(f"{kind}={share:g} in a mix of feeds: a percentage is between 0 and 100.")
    total = math.fsum(mix.values())
    if not math.isclose(total, 100):
        raise UsageError(f"The mix of feeds adds up to {total:g} percent. Make it 100.")


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise UsageError(f"There are no feeds of the kind {kind!r}. The kinds are {', '.join(KINDS)}.")
