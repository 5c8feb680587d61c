"""Mutates a queue's rows, as no program of this queue would write them."""

import json
from contextlib import suppress
from random import Random
from typing import Any

from sqlalchemy import Column
from sqlalchemy.exc import DBAPIError

from jobqueue import Job, Queue
from jobqueue.payloads import as_json

DEEP = "[" * 100_000 + "]" * 100_000
JSON = ["", "{}", "null", "[1]", "7", "NaN", DEEP, DEEP[:100_000], '{"a":' * 50_000, f"[{'1,' * 100_000}1]"]
VALUES = [DEEP, "9" * 5_000, "1e999", r'"\ud800\u0000"', '"\0"']
NUMBERS: list[float] = [n + more for n in (0, 2**31, -(2**31), 2**63 - 2, 2 - 2**63) for more in (-1, 0, 1)]
NUMBERS += [float("inf"), float("-inf"), float("nan"), 1e308, 1e-308, 1.5, -10_000]
MOMENTS = [
    *("infinity", "-infinity", "0044-03-15 12:00:00 BC", "0001-01-01 00:00:00.000000", "2026-13-45 00:00:00"),
    *("9999-12-31 23:59:59.999999", "294276-12-31 23:59:59", "2026-01-01", "2026-01-01 00:00:00.000000"),
]
MUTATED_COLUMNS = [column.name for column in Job.__table__.columns if column.name != "id"]


def anything(good: str, random: Random) -> Any:
    """A value of any kind; some are nearly this handler of a job."""
    some = random.randbytes(random.randrange(40))
    cut = bytearray(good.encode())
    cut[random.randrange(len(cut))] = random.randrange(256)
    body = json.loads(good)
    head, arguments = as_json(body["job"]), body["arguments"]
    value = f"{as_json(next(iter(arguments)))}:{random.choice(VALUES)}"
    return random.choice(
        [
            some,
            bytes(cut),
            some.decode("latin-1"),
            bytes(cut).decode("latin-1"),
            f'{{"job":{head},"arguments":{{{value}}}}}',
            f'{{"job":{head},"arguments":[]}}',
            f'{{"job":{head},"key":[{{"UUID":7}}]}}',
            rf'{{"job":"\ud800","arguments":{as_json(arguments)}}}',
            random.randrange(-(2**63), 2**63),
            random.gauss(0, 10.0 ** random.randrange(300)),
            *(random.choice(values) for values in (JSON, NUMBERS, MOMENTS)),
        ]
    )


def mutate(queue: Queue, id: int, random: Random) -> list[str]:
    """Write anything into one or two columns of the job's row; returns which. What is refused stays as it
    was.
    """
    good = queue.get(id).handler
    names = random.sample(MUTATED_COLUMNS, random.choice([1, 1, 2]))
    for name in names:
        held = ", locked_by = 'nobody'" if name == "locked_at" else ""
        write_anything(queue, queue.tables.jobs.c[name], good, random, f"{held} WHERE id = {id}")
    return names


def write_anything(queue: Queue, column: Column[Any], good: str, random: Random, rest: str) -> None:
    """Write anything() into a column of the rows that `rest` of the statement names, unless it is refused."""
    value, placeholder = anything(good, random), "?"
    if queue.engine.dialect.name == "postgresql":
        placeholder = f"CAST(%s AS {column.type.compile(queue.engine.dialect)})"
        value = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    elif isinstance(value, bytes) and random.random() < 0.5:
        placeholder = "CAST(? AS TEXT)"
    with suppress(DBAPIError), queue.writer.begin() as connection:
        statement = f"UPDATE {column.table} SET {column.name} = {placeholder}{rest}"
        connection.exec_driver_sql(statement, (value,))
