"""The benchmark of jobqueue itself, beside the plain drivers and other queues: `make bench-queue`.

`bench.py` is the command, `measures.py` what is measured, `stage.py` the database and processes that it is
measured on, `programs.py` what runs in them, `stats.py` and `report.py` what comes out.
"""
