"""The benchmark of jobqueue itself, against the plain drivers and other queues: `make bench-queue`.

`bench.py` is the command, `measures.py` the measures, `workbench.py` the databases and processes for them,
`programs.py` what the processes run, `stats.py` and `report.py` the results.
"""
