"""The queued reader on the queues that people choose between: one file an engine, all with the same names.

    Queue        what takes the place of jobqueue's in queued_app: create_tables(), enqueue(feed, session=)
    worker(n)    the command of a worker that performs `n` jobs at a time
    waiting()    how many jobs wait
    by_hand()    the command that retries what dead workers held, if the engine does not do so by itself

They are imported only by the processes that use them: reader.py puts the queue into the reader, and starts
the worker. engines.py lists the engines, and what each needs.
"""
