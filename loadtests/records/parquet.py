"""A recording as one Parquet file: a column for each field of a row, the rest as the file's metadata.

Only this file needs arro3-io, a small package that is not installed by default.
"""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loadtests.errors import LoadTestError
from loadtests.records.rows import HEADER, Row, cells

ENDING = ".parquet"
ABOUT = "500ms/recording"  # the key of the metadata
TYPES = {
    **dict.fromkeys(("user", "status"), "int64"),
    **dict.fromkeys(("group", "name", "error"), "utf8"),
    **dict.fromkeys(("intended_s", "sent_s", "done_s"), "float64"),
}
PYTHON_TYPES = {"int64": int, "utf8": str, "float64": float}
MAY_BE_MISSING = ("sent_s", "done_s")
READ = "import sys, arro3.io; arro3.io.read_parquet(sys.argv[1]).read_all()"
MISSING = "Parquet files need a package that is not installed: python -m pip install arro3-io. Or use CSV"


def installed() -> bool:
    """True if Parquet files can be read and written."""
    return find_spec("arro3") is not None and find_spec("arro3.io") is not None


def write_parquet_file(path: Path, rows: Sequence[Row], about: bytes) -> None:
    """Write rows, with `about` as the metadata. Raises LoadTestError without the package."""
    _check()
    from arro3.core import Array, DataType, Table
    from arro3.io import write_parquet

    columns = list(zip(*map(cells, rows), strict=True)) or [()] * len(HEADER)
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

    with path.open("rb"):  # raises OSError, which says why
        # A damaged file may end the process, and prints a stack of its own: so another process tries first.
        tried = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, check=False)
    if tried.returncode:
        raise LoadTestError(f"{path} is not a Parquet file of requests: it is damaged, or of another kind")
    table = read_parquet(path).read_all()
    columns = [table.column(name).to_pylist() for name in HEADER if name in table.column_names]
    if len(columns) < len(HEADER) or not all(map(_is_sound, HEADER, columns)):
        raise LoadTestError(
            f"{path} is not a Parquet file of requests: its columns are not {', '.join(HEADER)}"
        )
    about = table.schema.metadata.get(ABOUT.encode(), b"")
    return [Row(*row) for row in zip(*columns, strict=True)], about


def _is_sound(name: str, column: Iterable[object]) -> bool:
    kind, missing = PYTHON_TYPES[TYPES[name]], name in MAY_BE_MISSING
    return all(isinstance(cell, kind) or (missing and cell is None) for cell in column)


def _check() -> None:
    if not installed():
        raise LoadTestError(MISSING)
