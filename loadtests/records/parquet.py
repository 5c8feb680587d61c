"""A recording as one Parquet file: a column for each field of a row, the rest as the file's metadata.

Only this file needs arro3-io, a small package that is not installed by default.
"""

import io
from collections.abc import Sequence
from dataclasses import astuple
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loadtests.errors import LoadTestError
from loadtests.records.rows import HEADER, Row

ENDING = ".parquet"
MAGIC = b"PAR1"  # at a file's beginning and end
ABOUT = "500ms/recording"  # the key of the metadata
TYPES = {
    **dict.fromkeys(("user", "status"), "int64"),
    **dict.fromkeys(("group", "name", "error"), "utf8"),
    **dict.fromkeys(("intended_s", "sent_s", "done_s"), "float64"),
}
MISSING = "Parquet files need a package that is not installed: python -m pip install arro3-io. Or use CSV"


def installed() -> bool:
    """True if Parquet files can be read and written."""
    return find_spec("arro3") is not None and find_spec("arro3.io") is not None


def write_parquet_file(path: Path, rows: Sequence[Row], about: bytes) -> None:
    """Write rows, with `about` as the metadata. Raises LoadTestError without the package."""
    _check()
    from arro3.core import Array, DataType, Table
    from arro3.io import write_parquet

    columns = list(zip(*map(astuple, rows), strict=True)) or [()] * len(HEADER)
    types = {"int64": DataType.int64(), "utf8": DataType.utf8(), "float64": DataType.float64()}
    arrays: dict[str, Any] = {
        name: Array(values, type=types[TYPES[name]]) for name, values in zip(HEADER, columns, strict=True)
    }
    with path.open("wb") as file:
        write_parquet(
            Table.from_pydict(arrays), file, compression="zstd(3)", key_value_metadata={ABOUT: about.decode()}
        )


def read_parquet_file(path: Path) -> tuple[list[Row], bytes]:
    """The rows, and what was written `about` them, if anything. Raises LoadTestError."""
    _check()
    from arro3.io import read_parquet

    content = path.read_bytes()
    try:
        if not (content.startswith(MAGIC) and content.endswith(MAGIC) and len(content) > 3 * len(MAGIC)):
            raise ValueError("it is cut short, or of another kind")
        table = read_parquet(io.BytesIO(content)).read_all()
        columns = [table.column(name).to_pylist() for name in HEADER]
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in its Rust code is no Exception
        raise LoadTestError(f"{path} is not a Parquet file of requests: {error}") from error
    about = table.schema.metadata.get(ABOUT.encode(), b"")
    return [Row(*cells) for cells in zip(*columns, strict=True)], about


def _check() -> None:
    if not installed():
        raise LoadTestError(MISSING)
