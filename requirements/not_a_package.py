"""The answer to `pip install .` in the workbook's folder: pyproject.toml names this as the build backend."""

raise SystemExit(
    "The workbook is not a package: it runs from this folder, and make installs what it needs (make alone"
    " lists the targets). The job queue is a package: pip install ./jobqueue"
)
