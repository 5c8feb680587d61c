"""The queue's tables in an application's Alembic migrations: what autogenerate finds, and what it writes."""

import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from jobs_for_tests import Say, said
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from jobqueue import AlreadyQueued, Queue, Worker
from jobqueue.schema import missing

OPTIONS = [{}, {"compare_type": True, "compare_server_default": True, "render_as_batch": True}]
PLACES = [("sqlite", "jobs"), ("sqlite", "mail_jobs")]
PLACES += [("postgresql", "jobs"), ("postgresql", "mail_jobs"), ("postgresql", "beside.mail_jobs")]


class Base(DeclarativeBase):
    """The application's."""


class Order(Base):
    """A table of the application's."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]


class Migrations:
    """An application's migrations, with the env.py that `alembic init` writes."""

    def __init__(self, folder: Path, queue: Queue, options: Mapping[str, Any]):
        self._folder = folder / "migrations"
        self._config = Config(stdout=StringIO())
        with redirect_stdout(StringIO()):
            command.init(Config(folder / "alembic.ini"), str(self._folder))
        env = (self._folder / "env.py").read_text()
        env = env.replace("target_metadata = None", 'target_metadata = config.attributes["metadata"]')
        env = env.replace("=target_metadata\n", '=target_metadata, **config.attributes["options"]\n')
        (self._folder / "env.py").write_text(env)
        url = queue.engine.url.render_as_string(hide_password=False)
        for name, value in (("sqlalchemy.url", url), ("script_location", str(self._folder))):
            self._config.set_main_option(name, value.replace("%", "%%"))
        self._config.set_main_option("path_separator", "os")
        self._config.attributes["metadata"] = [Base.metadata, queue.metadata]
        self._config.attributes["options"] = options

    def written(self) -> str:
        """What autogenerate writes into a new migration's upgrade()."""
        script = command.revision(self._config, autogenerate=True)
        body = Path(script.path).read_text().partition("please adjust! ###\n")[2]  # type: ignore[union-attr]
        return body.partition("    # ### end")[0]

    def upgrade(self) -> None:
        command.upgrade(self._config, "head")

    def downgrade(self) -> None:
        command.downgrade(self._config, "base")


@pytest.fixture(params=PLACES, ids=" ".join)
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """A queue without tables, and its schema if it has one."""
    backend, name = request.param
    *schema, table = name.split(".")
    url = f"sqlite:///{tmp_path}/test.db"
    if backend == "postgresql":
        url = request.getfixturevalue("postgres_database")
    queue = Queue(url, table=table, schema=schema[0] if schema else None)
    for name in schema:
        with queue.engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema(name))
    yield queue
    for name in schema:
        with queue.engine.begin() as connection:
            connection.execute(sa.schema.DropSchema(name, cascade=True))
    queue.close()


@pytest.fixture(params=OPTIONS, ids=["as it comes", "strict, batch"])
def migrations(request: pytest.FixtureRequest, queue: Queue, tmp_path: Path) -> Migrations:
    """Migrations of the application's tables and the queue's."""
    schemas = {"include_schemas": True} if queue.tables.jobs.schema else {}
    return Migrations(tmp_path, queue, {**request.param, **schemas})


def test_there_is_nothing_to_do_after_create_tables(queue: Queue, migrations: Migrations) -> None:
    """Autogenerate neither changes nor drops anything of the queue's, such as its indexes."""
    queue.create_tables()
    Base.metadata.create_all(queue.engine)
    assert migrations.written().strip() == "pass"


def test_what_is_written_works_as_it_stands(queue: Queue, migrations: Migrations) -> None:
    """It makes the tables that create_tables() makes, removes them, and a worker works on them."""
    text = migrations.written()
    assert "jobqueue" not in text
    assert len(re.findall(r"op\.create_table|create_index", text)) == 8
    migrations.upgrade()
    migrations.downgrade()
    migrations.upgrade()
    with queue.engine.connect() as connection:
        assert missing(connection, queue.tables) == []
    assert migrations.written().strip() == "pass"
    queue.enqueue(Say("migrated"), unique_key="one")
    with pytest.raises(AlreadyQueued):
        queue.enqueue(Say("migrated"), unique_key="one")
    said.clear()
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["migrated"]


def test_older_tables_are_brought_up_to_date(queue: Queue, migrations: Migrations) -> None:
    """What an older release's tables lack is added, also where SQLite must copy the table."""
    queue.create_tables()
    Base.metadata.create_all(queue.engine)
    queue.enqueue(Say("older"))
    table = queue.tables.jobs
    schema = f"{table.schema}." if table.schema else ""
    with queue.writer.begin() as connection:
        for name in ("unique_key", "running"):
            connection.exec_driver_sql(f"DROP INDEX {schema}{table.name}_{name}")
        connection.exec_driver_sql(f"ALTER TABLE {table.fullname} DROP COLUMN unique_key")
        connection.exec_driver_sql(f"ALTER TABLE {table.fullname} DROP COLUMN max_attempts")
    assert "add_column" in migrations.written()
    migrations.upgrade()
    with queue.engine.connect() as connection:
        assert missing(connection, queue.tables) == []
    assert migrations.written().strip() == "pass"
    assert [job.max_attempts for job in queue.jobs()] == [25]
