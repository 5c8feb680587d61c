"""Mapped objects: keys of any type and number, subclasses, and objects that no worker would find."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from jobs_for_tests import only_job, said
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from jobqueue import HandlerError, NotAJob, NotSerializable, Queue, Worker, job
from jobqueue.handlers import parse

pytest_plugins = ["queue_fixtures"]


class Base(DeclarativeBase):
    """Tables of the application, in the queue's database."""


class Mixin:
    """Each mapped object records which one was performed."""

    def perform(self) -> None:
        said.append(f"{type(self).__name__} {sa.inspect(self).identity}")


class Colour(Enum):
    RED = "r"


class Size(StrEnum):
    BIG = "big"


class Number:
    """A type of the application's own."""

    def __init__(self, value: int):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"N{self.value}"


class NumberType(sa.types.TypeDecorator[Number]):
    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> int | None:
        return None if value is None else value.value

    def process_result_value(self, value: Any, dialect: object) -> Number | None:
        return None if value is None else Number(value)


class Month(sa.types.TypeDecorator[str]):
    """A month as text in Python, and a date in the database."""

    impl = sa.Date
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> date | None:
        return None if value is None else date.fromisoformat(f"{value}-01")

    def process_result_value(self, value: Any, dialect: object) -> str | None:
        return None if value is None else f"{value:%Y-%m}"


KEYS: dict[str, tuple[Any, Any]] = {
    "uuid": (sa.Uuid(), UUID("12345678-1234-5678-1234-567812345678")),
    "uuid_text": (sa.Uuid(as_uuid=False), "12345678-1234-5678-1234-567812345678"),
    "date": (sa.Date(), date(2026, 2, 28)),
    "datetime": (sa.DateTime(), datetime(2026, 2, 28, 12, 30, 0, 5)),
    "aware": (sa.DateTime(timezone=True), datetime(2026, 2, 28, 12, tzinfo=UTC)),
    "time": (sa.Time(), time(12, 30, 0, 5)),
    "decimal": (sa.Numeric(12, 3), Decimal("1234567.125")),
    "bytes": (sa.LargeBinary(), b"\x00\xff"),
    "text": (sa.String(), "it's \u2028 🌊"),
    "float": (sa.Float(), 0.5),
    "boolean": (sa.Boolean(), False),
    "big": (sa.BigInteger(), 2**60),
    "own_type_date": (Month(), "2026-02"),
}


def mapped(name: str, kind: Any) -> type[Any]:
    """A registered class, whose key is an attribute with another name than its column."""
    columns = {"key": mapped_column(f"the_{name}", kind, primary_key=True)}
    return job(type(name, (Mixin, Base), {"__tablename__": f"k_{name}", "__module__": __name__, **columns}))


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "interval": (
        sa.Interval(),
        timedelta(days=1),
        "datetime.timedelta(days=1) is neither JSON nor one of UUID,",
    ),
    "enum": (sa.Enum(Colour), Colour.RED, "<Colour.RED: 'r'> is a member of an Enum"),
    "str_enum": (sa.Enum(Size), Size.BIG, "<Size.BIG: 'big'> is a member of an Enum"),
    "own_type": (NumberType(), Number(7), "N7 is neither JSON nor one of"),
    "infinity": (sa.Float(), float("inf"), "Out of range float values are not JSON"),
}
CLASSES = {name: mapped(name, kind) for name, (kind, *_) in (KEYS | REFUSED).items()}


@job
class Composite(Mixin, Base):
    __tablename__ = "composite"
    day: Mapped[date] = mapped_column(primary_key=True)
    owner: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)


@job
class Person(Mixin, Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012


class Manager(Person):
    """In the table of its base class; it wants a session, and has a hook."""

    __mapper_args__ = {"polymorphic_identity": "manager"}  # noqa: RUF012

    def perform(self, session: Session) -> None:  # type: ignore[override]
        assert self in session
        super().perform()

    def success(self, job: object) -> None:
        said.append("success")


class Engineer(Person):
    """In a table of its own, joined to that of its base class."""

    __tablename__ = "engineers"
    number: Mapped[int] = mapped_column(sa.ForeignKey("people.id"), primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "engineer"}  # noqa: RUF012


@job(name="chief")
class Chief(Engineer):
    """Registered itself."""

    __mapper_args__ = {"polymorphic_identity": "chief"}  # noqa: RUF012


class Stranger(Composite):
    """No column says which class a row is of, so it would be loaded as its base class."""


class Waiting(Person):
    __mapper_args__ = {"polymorphic_identity": "waiting"}  # noqa: RUF012

    async def perform(self) -> None: ...  # type: ignore[override]


class Apart(Person):
    """In a table of its own alone: what is loaded from its base class's is never one of these."""

    __tablename__ = "apart"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"concrete": True, "polymorphic_identity": "apart"}  # noqa: RUF012


@vars(Base)["registry"].mapped_as_dataclass
@job
class Late(Mixin):
    __tablename__ = "late"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture(autouse=True)
def create_tables(queue: Queue) -> None:
    Base.metadata.create_all(queue.engine)


def enqueue(queue: Queue, *objects: Any, **options: Any) -> None:
    with Session(queue.writer) as session:
        session.add_all(objects)
        for each in objects:
            queue.enqueue(each, session=session, **options)
        session.commit()


@pytest.mark.parametrize("name", KEYS)
def test_a_key_of_any_type_finds_its_object(queue: Queue, name: str) -> None:
    """The row has JSON, in which each type has a form."""
    key = KEYS[name][1]
    enqueue(queue, CLASSES[name](key=key))
    assert Worker(queue).work_off() == (1, 0), only_job(queue).last_error
    [performed] = said
    assert performed == f"{name} {(key,)}" or name == "aware"  # SQLite drops time zones


def test_a_composite_key_finds_its_object(queue: Queue) -> None:
    """Its columns are of different types."""
    key = {"day": date(2026, 2, 28), "owner": UUID(int=5), "number": 3}
    enqueue(queue, Composite(**key))
    assert only_job(queue).handler == (
        '{"job":"Composite","key":[{"date":"2026-02-28"},{"UUID":"00000000-0000-0000-0000-000000000005"},3]}'
    )
    assert Worker(queue).work_off() == (1, 0)
    assert said == [f"Composite {tuple(key.values())}"]


def test_a_subclass_is_loaded_as_what_it_is(queue: Queue) -> None:
    """If its base class is registered, it need not be: the row's own column says which class it is."""
    enqueue(queue, Person(id=1), Manager(id=2), Engineer(id=3), Chief(id=4))
    names = ["Person", "Person", "Person", "chief"]
    assert [job.handler for job in queue.jobs()] == [
        f'{{"job":"{name}","key":[{n}]}}' for n, name in enumerate(names, 1)
    ]
    assert Worker(queue).work_off() == (4, 0)
    assert said == ["Person (1,)", "Manager (2,)", "success", "Engineer (3,)", "Chief (4,)"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: Apart(id=1, kind="x"),
            "Apart is not registered: put @job above the class .* base class is not",
        ),
        (lambda: Stranger(day=date(2026, 2, 28), owner=UUID(int=5), number=3), "Stranger is not registered"),
        (lambda: Waiting(id=1), r"Waiting.perform\(\) must be an ordinary function"),
    ],
)
def test_a_subclass_that_would_not_be_loaded_as_itself_is_refused(
    queue: Queue, build: Callable[[], Any], message: str
) -> None:
    """So is one that can't be performed, when it is enqueued."""
    with Session(queue.writer) as session:
        session.add(stranger := build())
        with pytest.raises(NotAJob, match=message):
            queue.enqueue(stranger, session=session)
        session.rollback()


@pytest.mark.parametrize("name", REFUSED)
def test_a_key_that_can_not_be_stored_is_refused(queue: Queue, name: str) -> None:
    """It is refused when it is enqueued, not when it is performed."""
    _, key, message = REFUSED[name]
    with Session(queue.writer) as session:
        session.add(refused := CLASSES[name](key=key))
        with pytest.raises(NotSerializable, match=re.escape(f"its primary key, {(key,)}: {message}")):
            queue.enqueue(refused, session=session)


@pytest.mark.parametrize(
    "key",
    [
        '["x"]',
        '[{"date":"x"}]',
        '[{"pickle":"x"}]',
        "[[]]",
        "[]",
        "[1,2]",
        "null",
        '[{"Decimal":"x"}]',
        "[1]",
    ],
)
@pytest.mark.parametrize("name", ["uuid", "date", "decimal", "big", "own_type_date"])
def test_a_key_that_others_wrote_fails_its_job_alone(queue: Queue, name: str, key: str) -> None:
    """Whatever it is, nothing else happens."""
    known, body = parse(f'{{"job":"{name}","key":{key}}}')
    with Session(queue.engine) as session, pytest.raises((HandlerError, sa.exc.StatementError)):
        known.load(body, session)


# ---- objects that have no key, or not for long


def test_an_object_in_any_state_is_queued_or_refused_with_a_reason(queue: Queue) -> None:
    """Only what has a key in the database, and is going to keep it, can be found by a worker."""
    with pytest.raises(NotAJob, match="has no primary key yet: add it to the session, and pass the session"):
        queue.enqueue(Person(id=1))  # transient
    with Session(queue.writer) as session:
        session.add(person := Person(id=1))
        with pytest.raises(NotAJob, match="has no primary key yet"):
            queue.enqueue(person)  # pending
        session.commit()
        queue.enqueue(person)  # persistent, and expired
        session.commit()
    queue.enqueue(person)  # detached
    assert Worker(queue).work_off() == (2, 0)
    assert said == ["Person (1,)"] * 2


def test_an_object_that_is_deleted_is_refused(queue: Queue) -> None:
    """Its job would not find it, be it deleted at the next flush, in this transaction, or for good."""
    with Session(queue.writer) as session:
        session.add(person := Person(id=1))
        session.commit()
        session.delete(person)
        with pytest.raises(NotAJob, match="This Person is deleted, so its job would not find it"):
            queue.enqueue(person)
        with pytest.raises(NotAJob, match="is deleted"):
            queue.enqueue(person, session=session)
        session.rollback()
        queue.enqueue(person, session=session)
        session.delete(person)
        session.commit()
    with pytest.raises(NotAJob, match="is deleted"):
        queue.enqueue(person)


def test_a_key_that_changes_is_stored_when_it_is_in_the_database(queue: Queue) -> None:
    """Until then nobody knows which of the two a worker will find."""
    with Session(queue.writer) as session:
        session.add(person := Person(id=1))
        session.commit()
        person.id = 2
        with pytest.raises(NotAJob, match=r"a new primary key, \(2,\), .*: pass its session to enqueue"):
            queue.enqueue(person)
        queue.enqueue(person, session=session)
        session.commit()
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["Person (2,)"]


def test_a_class_may_be_mapped_after_it_is_registered(queue: Queue) -> None:
    """Like @dataclass, SQLAlchemy's own decorators may stand above @job."""
    enqueue(queue, Late(id=1))
    assert only_job(queue).handler == '{"job":"Late","key":[1]}'
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["Late (1,)"]


def test_a_row_of_a_class_that_the_worker_has_not_imported_fails_the_attempt(queue: Queue) -> None:
    """Its polymorphic_identity is unknown there, and last_error says so."""
    with Session(queue.writer) as session:
        session.add(person := Person())
        queue.enqueue(person, session=session)
        session.commit()
    with queue.writer.begin() as connection:
        connection.execute(sa.update(Person.__table__).values(kind="stranger"))
    assert Worker(queue).work_off() == (0, 1)
    error = only_job(queue).last_error or ""
    assert "HandlerError: The payload no longer fits Person: No such polymorphic_identity 'stranger'" in error
