"""The queue's own connections, for transactions that must be fast.

SQLAlchemy builds the statements and compiles each of them once; the driver executes them. That skips
SQLAlchemy's work at each execution, which takes longer than the queue's statements do. In a caller's
transaction SQLAlchemy executes the same statements as usual.
"""

import os
import select
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Executable, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from jobqueue.database import be_impatient, begin_sqlite, is_writer

# PostgreSQL: plan each statement once, not at each execution, and always use the indexes, which hold the
# jobs in claiming order. A table that was never analysed misleads the planner.
STEADY_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
}
STALE_SECONDS = 5.0  # a connection idle for longer may have been cut off


class Kept:
    """A connection kept for many transactions, and replaced when it fails. For one thread at a time.

    `with kept.begin() as transaction:` commits at the end of the block. Raises DBAPIError.
    """

    def __init__(self, engine: Engine, home: "list[Kept] | None" = None):
        self.dialect = engine.dialect
        self._engine = engine
        self._home = home  # the list it returns to after each transaction
        self._sqlite = engine.dialect.name == "sqlite"
        self._write = is_writer(engine)
        self._connection: PoolProxiedConnection | None = None
        self._driver: Any = None
        self._cursor: Any = None
        self._used_at = 0.0

    def begin(self) -> "Kept":
        return self

    def __enter__(self) -> "Kept":
        if time.monotonic() - self._used_at > STALE_SECONDS or not self._is_open():
            self.close()  # the pool checks whether it is still alive
        try:
            if self._connection is None:
                self._connect()
            if self._sqlite:
                begin_sqlite(self._cursor, write=self._write)
        except BaseException as error:
            self._replace(error)
            raise
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            self._replace(error)
            return
        try:
            self._driver.commit()
        except BaseException as failure:
            self._replace(failure)
            raise
        self._used_at = time.monotonic()
        if self._home is not None:
            self._home.append(self)

    def execute(self, statement: Executable, values: Mapping[str, Any]) -> "tuple[Any, _Prepared]":
        """Execute in the transaction; returns the driver's cursor and the prepared statement."""
        prepared = _prepare(statement, self.dialect, tuple(values))
        self._cursor.execute(prepared.sql, prepared.bind(values))
        return self._cursor, prepared

    def close(self) -> None:
        """Return the connection to the engine's pool; the next transaction takes another one."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if self._sqlite:
                be_impatient(self._cursor, False)
            else:
                self._cursor.execute(";".join(f"RESET {name}" for name in STEADY_PLANS))
                self._driver.commit()
        except self.dialect.loaded_dbapi.Error as error:  # the connection was cut off
            connection.invalidate(error)
        else:
            connection.close()

    def _connect(self) -> None:
        self._connection = self._engine.raw_connection()
        self._driver = self._connection.driver_connection
        self._cursor = self._driver.cursor()
        if self._sqlite:
            be_impatient(self._cursor, self._write)
        else:
            self._cursor.execute(";".join(f"SET {name} = {value}" for name, value in STEADY_PLANS.items()))

    def _is_open(self) -> bool:
        """Whether the connection still looks open. PostgreSQL sends a message when it stops; otherwise there
        is nothing to read between transactions.
        """
        if self._connection is None or self._sqlite or not hasattr(self._driver, "fileno"):
            return True
        poll = select.poll()
        poll.register(self._driver.fileno(), select.POLLIN)
        return not poll.poll(0)

    def _replace(self, error: BaseException) -> None:
        """Discard a connection in an unknown state. Raises DBAPIError if the error is the driver's."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate(error)
        base = self.dialect.loaded_dbapi.Error
        if isinstance(error, base):
            raise DBAPIError.instance(None, None, error, base, dialect=self.dialect) from error


Transaction = Connection | Kept


def rows(transaction: Transaction, statement: Executable, values: Mapping[str, Any]) -> list[Any]:
    """Execute a statement; returns its rows as tuples. Raises DBAPIError."""
    if isinstance(transaction, Kept):
        cursor, prepared = transaction.execute(statement, values)
        return prepared.results(cursor)
    return list(transaction.execute(statement, values).all())


def count(transaction: Transaction, statement: Executable, values: Mapping[str, Any]) -> int:
    """Execute a statement; returns how many rows it affected. Raises DBAPIError."""
    if isinstance(transaction, Kept):
        return int(transaction.execute(statement, values)[0].rowcount)
    return transaction.execute(statement, values).rowcount


def inserted_id(transaction: Transaction, statement: Executable, values: Mapping[str, Any]) -> int:
    """Execute an INSERT on SQLite; returns the row's id, more cheaply than RETURNING. Raises DBAPIError."""
    if isinstance(transaction, Kept):
        return int(transaction.execute(statement, values)[0].lastrowid)
    return transaction.execute(statement, values).lastrowid


class Spares:
    """Kept connections for any number of threads; each transaction takes one."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._spare: list[Kept] = []
        self._inherited: list[Kept] = []
        self._pid = os.getpid()

    def begin(self) -> Kept:
        """A transaction, committed at the end of the block. Raises DBAPIError."""
        if self._pid != os.getpid():  # after a fork: the parent's connections are neither used nor closed
            self._inherited, self._spare, self._pid = self._spare, [], os.getpid()
        try:
            return self._spare.pop()
        except IndexError:
            return Kept(self._engine, self._spare)

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._spare:
            self._spare.pop().close()


class _Prepared:
    """A statement's text for the driver, with the converters of its values and results."""

    def __init__(self, statement: Executable, dialect: Dialect, names: tuple[str, ...]):
        compiled = statement.compile(dialect=dialect, column_keys=names)  # type: ignore[attr-defined]
        assert isinstance(compiled, SQLCompiler)
        self.sql = compiled.string
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self._order = compiled.positiontup
        self._binds = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect)
            for name, bind in compiled.binds.items()
        }
        self._dialect = dialect
        self._types = [column.type for column in getattr(statement, "exported_columns", ())]
        self._converted: list[tuple[int, Callable[[Any], Any]]] | None = None

    def bind(self, values: Mapping[str, Any]) -> Any:
        """The driver's parameters."""
        values = {**self._constants, **values}
        bound = {
            name: convert(values[name]) if convert else values[name] for name, convert in self._binds.items()
        }
        return bound if self._order is None else [bound[name] for name in self._order]

    def results(self, cursor: Any) -> list[Any]:
        """The cursor's rows, as SQLAlchemy would return them."""
        if self._converted is None:
            kinds = [column[1] for column in cursor.description]  # the driver's type codes
            found = [
                kind.dialect_impl(self._dialect).result_processor(self._dialect, known)
                for kind, known in zip(self._types, kinds, strict=True)
            ]
            self._converted = [(n, convert) for n, convert in enumerate(found) if convert]
        fetched: list[Any] = cursor.fetchall()
        if not self._converted:
            return fetched
        converted = []
        for row in fetched:
            values = list(row)
            for n, convert in self._converted:
                values[n] = convert(values[n])
            converted.append(tuple(values))
        return converted


_prepare = cache(_Prepared)  # never evicted: the queue has few statements
