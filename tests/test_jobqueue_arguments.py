"""Arguments come back as they were, in type too, or enqueue() refuses the job and says which argument."""

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from enum import Enum, IntEnum, StrEnum
from typing import Any, NamedTuple

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs_for_tests import said

from jobqueue import NotSerializable, Queue, Worker, job
from jobqueue.handlers import dump, parse

pytest_plugins = ["queue_fixtures"]


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Kind(Enum):
    ONE = 1


class Text(str):
    __slots__ = ()


class Whole(int): ...


class Real(float): ...


class Items(list[Any]): ...


class Table(dict[str, Any]): ...


class Pair(NamedTuple):
    left: int


@job
@dataclass
class Keep:
    """Records what its argument was."""

    value: Any
    other: Any = None

    def perform(self) -> None:
        said.append(repr(self.value))


def there_and_back(performable: Any) -> Any:
    """The object that a worker would build."""
    known, body = parse(dump(performable))
    return known.load(body, None)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in type, too, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return same([*one], [*other]) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


odd = st.sampled_from(
    [
        *(Colour.RED, Level.LOW, Kind.ONE, Text("x"), Whole(1), Real(1), Items([1]), Table(a=1), Pair(1)),
        *(Counter("aa"), OrderedDict(a=1), defaultdict(int), (1,), {1}, b"x", 1j, object(), "\ud800"),
        *(float("nan"), float("inf")),
        *(-0.0, 0, True, 1, 1.0, 2**70, 1e300, 5e-324, "", "\0", "\u2028", "🌊", [], {}, {"": {}}),
    ]
)
keys = st.text() | st.sampled_from([Colour.RED, Text("x"), 1, True, None, 1.0, "\ud800", "\0"])
values = st.recursive(
    odd | st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner),
    max_leaves=8,
)


@given(values)
@settings(max_examples=300, deadline=None)
def test_a_value_comes_back_as_it_was_or_is_refused(value: Any) -> None:
    """JSON would turn many of these into others, and Python calls some of them equal: True == 1 == 1.0."""
    try:
        handler = dump(Keep(value))
    except NotSerializable as error:
        assert str(error).startswith("Keep can't be queued: value")
    else:
        assert "\0" not in handler and handler.encode()  # every database takes it
        assert same(there_and_back(Keep(value)).value, value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Colour.RED, "value is <Colour.RED: 'red'> (Colour), and would come back as 'red' (str)"),
        (Level.LOW, "value is <Level.LOW: 1> (Level), and would come back as 1 (int)"),
        (Kind.ONE, "value: Object of type Kind is not JSON serializable"),
        (Counter("aa"), "value is Counter({'a': 2}) (Counter), and would come back as {'a': 2} (dict)"),
        ({1: 2}, "value is {1: 2} (dict), and would come back as {'1': 2} (dict)"),
        ([Text("x")], "value is ['x'] (list), and would come back as ['x'] (list)"),
        ((1,), "value is (1,) (tuple), and would come back as [1] (list)"),
        (float("nan"), "value: Out of range float values are not JSON compliant"),
        (10**5000, "value: Exceeds the limit"),
        ("\ud800", "value: 'utf-8' codec can't encode character"),
    ],
    ids=range(10),
)
def test_the_message_says_which_argument_and_what_to_pass(value: Any, message: str) -> None:
    """It shows the value, and what would become of it."""
    with pytest.raises(NotSerializable) as error:
        dump(Keep(value))
    assert str(error.value).startswith(f"Keep can't be queued: {message}")
    assert str(error.value).endswith(NotSerializable.__doc__ or "")


PASSED = [
    *("NUL \0", "\ufeff\u2028", "🌊", -0.0, 1.0, 1, True, None, 2**70, 10**4000, 1.5e300, 5e-324, [], {}),
    {"\0": {"": [True, 1, 1.0]}},
]


def test_what_is_accepted_arrives_in_perform(queue: Queue) -> None:
    """It comes through both databases, one by one and many at once."""
    for value in PASSED:
        queue.enqueue(Keep(value))
    queue.enqueue_many(Keep(value) for value in PASSED)
    assert Worker(queue).work_off() == (2 * len(PASSED), 0)
    assert said == [repr(value) for value in PASSED] * 2


# ---- classes that keep an argument as something else


@job
@dataclass
class WithInitVar:
    name: InitVar[str] = "nobody"
    greeting: str = field(init=False)

    def __post_init__(self, name: str) -> None:
        self.greeting = f"Hello, {name}"

    def perform(self) -> None: ...


@job
class WithClassAttribute:
    width = 100

    def __init__(self, width: int):
        self.pixels = width

    def perform(self) -> None: ...


@job
class WithRoundedProperty:
    """Built from what the property says, it would say the same, but it would be another object."""

    def __init__(self, width: float):
        self.exact = width

    @property
    def width(self) -> int:
        return round(self.exact)

    def perform(self) -> None: ...


@job
class WithDoublingProperty:
    def __init__(self, width: int):
        self._width = width

    @property
    def width(self) -> int:
        return self._width * 2

    def perform(self) -> None: ...


@job
@dataclass
class Counting:
    count: int

    def __post_init__(self) -> None:
        self.count += 1

    def perform(self) -> None: ...


@job
class WithMethod:
    def __init__(self, size: int):
        self.kept = size

    def size(self) -> int:
        return self.kept

    def perform(self) -> None: ...


@job
@dataclass
class Percentage:
    value: int

    def __post_init__(self) -> None:
        if self.value > 100:
            raise ValueError("more than 100 percent")

    def perform(self) -> None: ...


def spoilt() -> Percentage:
    """An object that was changed after it was built."""
    percentage = Percentage(100)
    percentage.value = 101
    return percentage


@job
class PositionalOnly:
    def __init__(self, size: int, /):
        self.size = size

    def perform(self) -> None: ...


@job
class AnyKeywords:
    def __init__(self, **options: int):
        self.options = options

    def perform(self) -> None: ...


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: WithInitVar("Ada"), r"no attribute of its own named name, .*'Hello, Ada'.*'Hello, nobody'"),
        (lambda: WithClassAttribute(5), r"no attribute of its own named width, .*'pixels': 5.*'pixels': 100"),
        (
            lambda: WithRoundedProperty(5.4),
            r"no attribute of its own named width, .*'exact': 5.4.*: 5}",
        ),
        (lambda: WithDoublingProperty(5), r"width is 10 \(int\), and would come back as 20"),
        (lambda: Counting(5), r"count is 6 \(int\), and would come back as 7"),
        (lambda: WithMethod(5), "size: Object of type method is not JSON"),
        (spoilt, r"as a worker will, from .*, raises ValueError\('more than 100 percent'\)"),
        (lambda: PositionalOnly(5), "its __init__ takes size: int, which is not a named argument"),
        (lambda: AnyKeywords(size=5), r"its __init__ takes \*\*options: int, which is not a named argument"),
    ],
)
def test_what_would_be_built_differently_is_refused(build: Callable[[], Any], message: str) -> None:
    """The object is built again from the row, as a worker will do, and compared."""
    with pytest.raises(NotSerializable, match=f"can't be queued: .*{message}"):
        dump(build())


# ---- classes whose arguments come back


@job
@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    value: Any
    more: list[int] = field(default_factory=list)

    def perform(self) -> None: ...


@job
class Inheriting(WithDoublingProperty):
    """It inherits __init__, and its property is an honest one."""

    @property
    def width(self) -> int:
        return self._width

    def perform(self) -> None: ...


@job
class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def perform(self) -> None: ...


@job
class Tuple(NamedTuple):
    value: Any

    def perform(self) -> None: ...


@job
@attrs.define
class Attrs:
    value: Any

    def perform(self) -> None: ...


@job
class Converting:
    """What __init__ converts may be of any type: the worker's __init__ converts it again."""

    def __init__(self, value: str, numbers: Any = ()):
        self.value = Colour(value)
        self.numbers = tuple(numbers)

    def perform(self) -> None: ...


@pytest.mark.parametrize("cls", [Keep, Frozen, Slotted, Tuple, Attrs])
def test_arguments_of_any_kind_of_class_come_back(cls: type[Any]) -> None:
    """It may be frozen, have slots, or be written with attrs."""
    assert same(there_and_back(cls(value={"a": [1, 1.0]})).value, {"a": [1, 1.0]})


def test_a_default_that_was_changed_comes_back() -> None:
    """What is stored is the object's state when it is enqueued."""
    frozen = Frozen(value=1)
    frozen.more.append(2)
    assert there_and_back(frozen) == frozen == Frozen(value=1, more=[2])


def test_a_property_that_says_what_was_passed_is_accepted() -> None:
    """Its class may inherit __init__."""
    assert there_and_back(Inheriting(5)).width == 5


def test_what_init_converts_comes_back_converted() -> None:
    """It has the same type then."""
    again = there_and_back(Converting("red", [1, 2]))
    assert again.value is Colour.RED and again.numbers == (1, 2)


def test_an_init_var_that_leaves_no_trace_but_its_default_is_accepted() -> None:
    """The object that the worker builds is the same."""
    assert there_and_back(WithInitVar()) == WithInitVar("nobody")
