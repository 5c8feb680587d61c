# ---
# about: PostgreSQL, workers and load generators on several machines, another engine; and which figure says when
# minutes: 45
# needs: nothing more
# ---

# %% [markdown]
# # 12. Outgrowing one machine
#
# **The question:** which figure says that one machine is no longer enough, and what changes when you go?
#
# *For a year the reader has run on one machine: a web server, a worker, and a database that is a file. Now its visitors
# have doubled twice. One of the three wants to move before something breaks; another asks which figure says so.*
#
# There are four ways to grow, and each goes with a different figure: another database, more workers, more load
# generators to measure with, an engine other than this project's queue.

# %%
from workbook import begin, check, experiment, predict, score

begin(12)

import math
from statistics import median

from loadtests.judging.samples import Samples
from loadtests.theory import workers_needed
from loadtests.wording import figure
from workbook import chapter12_checks as checks
from workbook.chapter12 import drains, enqueue_rates, theory, two_generators
from workbook.chapter12_engines import same_visitors, worker_killed
from workbook.chapter12_pictures import drains_figure, engines_figure

# %% [markdown]
# ## The same lines, another URL
#
# ```python
# queue = Queue("sqlite:///reader.db")
# queue = Queue("postgresql+psycopg://reader@db.example/reader")
# ```
#
# SQLite is a library that writes to a file: no server, nothing to operate. One transaction writes at a time, and all
# processes are on the machine that has the file. PostgreSQL is a server, which many machines can reach, and in which
# many can write at a time.
#
# One process enqueues 400 jobs, each in its own transaction, which has to reach the disk before the call returns.
# **Write down what you expect:** how many a second, into each of the two?

# %%
predict("enqueued, SQLite", per_second=100)
predict("enqueued, PostgreSQL", per_second=1000)

# %%
rates = experiment("enqueue", enqueue_rates, jobs=400)
score("enqueued, SQLite", per_second=rates["sqlite"])
score("enqueued, PostgreSQL", per_second=rates["postgresql"])

# %% [markdown]
# A visitor who adds a feed needs one such transaction. Compare with the forty visitors of chapter 1, who sent some
# seven feeds a second: the rate at which jobs come is hardly ever the reason to leave SQLite. And on one machine
# PostgreSQL has no advantage here: both have to wait for its disk, and SQLite saves the trip to a server.
#
# ## Workers on several machines
#
# What PostgreSQL buys is that workers need not be where the database is. Here, processes stand in for machines: one,
# two and four workers, each with 4 threads, on one table. 80 jobs are in the backlog, and each of them waits for 0.1 s,
# as a fetch does. In theory that takes $B / W$ rounds, jobs over threads, rounded up, of 0.1 s each.
#
# **Write down what you expect:** with four workers, how long until all jobs are done, in each of the two databases?

# %%
predict("four workers, SQLite", seconds=2)
predict("four workers, PostgreSQL", seconds=0.5)

# %%
done = experiment("several-workers", drains, jobs=80, threads=4, workers=(1, 2, 4))
score("four workers, SQLite", seconds=done["sqlite"]["4"])
score("four workers, PostgreSQL", seconds=done["postgresql"]["4"])

drains_figure(done, lambda workers: theory(jobs=80, threads=4, workers=workers))

# %% [markdown]
# ## What you see
#
# Each doubling nearly halves the time, with both databases. These jobs wait, and while a job waits it asks nothing of
# the database: each costs it two short writes, a claim and an end. For up to four workers, all that was measured,
# SQLite's single writer is enough: it is no further from the theory with four than with one. PostgreSQL is. What SQLite
# can't do is not in the picture: it can't be reached from another machine. (A file on a network disk is no way out;
# SQLite's own documentation warns of it, since its locks can't be relied on there.)
#
# Nor does the picture show real machines. Their clocks differ, and a lease is a time (let a time server set them;
# `jobqueue doctor` compares them). The network fails now and then; a worker that is cut off loses its leases, and its
# jobs are done elsewhere, perhaps for the second time: *at least once*. And every worker holds connections:
#
# $$ \text{connections} = \text{processes} \times (\text{threads} + 3) $$
#
# at most: two for the queue, one that listens, and one for each thread whose job has a session. PostgreSQL allows 100
# by default.
#
# ## Several load generators
#
# A load generator is a program, too, and uses one core. When that core is busy, the generator measures itself: chapter
# 10 calls such a run *slowed*. Locust can then spread its users over processes, a *master* and *workers*, on one
# machine with `--processes 2`, or on several with `--master` and `--worker`. Its own statistics are added up in
# buckets; this project's plugin has every worker send its rows to the master, which puts them on one clock and judges
# them as if one process had sent them.
#
# Here two processes load the queued reader, on PostgreSQL, with 20 users. Every request is a row, of any kind and
# from the start; `POST /feeds` is counted after the warm-up of 2 s only:

# %%
merged = experiment("two-generators", two_generators, users=20, seconds=5, processes=2)
print(f"{merged['processes']} processes, {merged['users']} users, {merged['rows']} rows in one file")
submit = merged["submit"]
print(f"POST /feeds: {submit['count']} counted, half of them within {figure(submit, 'p50_ms')}")

# %% [markdown]
# Across machines the rows are only as good as the clocks' agreement. A latency is measured by one clock, so it is right
# in any case; what can be off is *when* it was.
#
# ## Another engine in its place
#
# This project's queue is small, and young. Its README says where its limits are: tens of thousands of jobs a second all
# day long; several languages; workflows, in which jobs wait for others' results. There are established engines for
# these. A close relative, *Procrastinate*, also keeps its jobs in PostgreSQL; *Celery* has a *broker*, a message server.
#
# All that our reader needs of a queue is `create_tables()` and `enqueue(feed, session=session)`. So Procrastinate takes
# jobqueue's place under the same name, and the reader stays unchanged
# (`notebooks/workbook/chapter12_procrastinate.py`):
#
# ```python
# # jobqueue: an object with perform()
# job(Feed)
# queue.enqueue(feed, session=session)
#
# # Procrastinate: a function with a name
# @app.task(name="fetch", retry=RetryStrategy(max_attempts=15, exponential_wait=2))
# def fetch(feed_id):
#     with Session(engine) as session:
#         session.get_one(Feed, feed_id).fetch()
#
# # and its job in the transaction that adds the feed, as before
# connection = session.connection().connection.driver_connection
# fetch.configure(connection=connection).defer(feed_id=feed.id)
# ```
#
# Eight visitors at a time add 48 typical feeds, half of which take over 0.3 s; one worker fetches 8 at a time. The
# visitors ask 20 times a second whether the feed is there. Both engines run on PostgreSQL and get the same feeds.
# **Write down what you expect of the reader on Procrastinate,** at the median: when does the answer to `POST /feeds`
# come, and when does the content?

# %%
predict("answer, Procrastinate", seconds=0.05)
predict("content, Procrastinate", seconds=1)

# %%
visits = experiment(
    "another-engine", same_visitors, engines=("jobqueue", "procrastinate"), visitors=8, feeds=48
)
for what in ("answer", "content"):
    times = [visit[what] for visit in visits["procrastinate"]]
    score(f"{what}, Procrastinate", seconds=median(times), interval=Samples(times, []).interval(50))

engines_figure(visits)

# %% [markdown]
# ## What changes, and what it buys
#
# For the visitor nothing changes. The content comes when the feed's server has sent it; either engine adds less than a
# tenth of a second, in which the job is picked up, the feed parsed and stored, and the visitor polls once more. **The
# queue is not what makes a reader slow, and another one will not make it fast.** What changes is your duties. The
# transaction, the dead worker and the jobs at a time were tried out here, with Procrastinate 3.10; the rest is what the
# documentation says.
#
# | | jobqueue | Procrastinate | Celery, with a broker |
# |---|---|---|---|
# | to operate | the database that you have | the same, if it is PostgreSQL | a broker as well (Redis, RabbitMQ) |
# | the job in your transaction | `session=` | `connection=` | no: a job may be sent for a feed that is never committed |
# | a worker that died | its lease expires, another takes the job | see exercise 12.3 | lost, unless `acks_late` was asked for (and `task_reject_on_worker_lost`, if only a child process dies) |
# | a failed job | up to 25 attempts | one attempt, unless you ask for more | one attempt, unless you ask for more |
# | a finished job | its row is deleted | its row is kept, unless `delete_jobs` says otherwise | its message is gone |
# | synchronous jobs at a time | `--threads` | `concurrency`, but no more than Python's default pool: 4 threads and one for each core, unless you set a larger one, as was done here | `--concurrency` processes |
# | asynchronous tasks | no | yes | no |
# | periodic jobs | a recipe | yes | yes |
# | results, workflows | no | no | yes |
# | known to your next colleague | if they know Delayed Job | perhaps | surely |
#
# Everything that the earlier chapters taught still applies. Whatever the engine: the visitor gets an answer now and the
# content later; $\lambda \cdot D < W$ or the backlog grows; a job may run twice, or, if nobody hands it out again, not
# at all; a hang needs a deadline.
#
# ## Which figure says when
#
# | what you see | what it means | where to go |
# |---|---|---|
# | λ · D comes close to the number of threads | the workers are full | more threads; then more worker processes, here |
# | the machine's CPU over 80 %, the jobs' own work | the machine is full | workers on another machine, and so PostgreSQL |
# | "database is locked", or enqueueing takes tens of ms | a transaction that is held open, a slow disk, or too many writers for one file | rule out the first two; then PostgreSQL |
# | the machine must not be a single point of failure | none of these figures | PostgreSQL with a second server that takes over; two machines for everything |
# | tens of thousands of jobs a second, all day long | the table itself is the work | a broker |
# | the load generator is late or busy | you measure the generator | `--processes`, then `--master` |
#
# If none of these applies, stay. Each step brings something that must be backed up, watched and upgraded.
#
# ## Exercises
#
# **Exercise 12.1.** `rate` feeds come a second, and each takes `demand` seconds on average. A machine runs one worker
# with `threads` threads. Write `machines_for(rate, demand, threads)`: the least number of machines that keep up.
# (`workers_needed(rate, demand)` counts threads, and `math` is there.)


# %% tags=["exercise"]
def machines_for(rate, demand, threads):
    # solution:
    return math.ceil(workers_needed(rate, demand) / threads)
    # end


# %%
check("1", machines_for, checks.keep_up)

# %% [markdown]
# **Exercise 12.2.** The database allows the workers `limit` connections in all. Every machine runs `processes` worker
# processes. Write `threads_for(machines, processes, limit)`: the most threads that each process may have, or 0.


# %% tags=["exercise"]
def threads_for(machines, processes, limit):
    # solution:
    return max(0, limit // (machines * processes) - 3)
    # end


# %%
check("2", threads_for, checks.fit)

# %% [markdown]
# **Exercise 12.3.** Kill the only worker while it fetches a feed, and start another one at once, with each of the two
# engines; a silent worker counts as dead after 2 s here (by default, after 30). Call the experiment "worker-killed"; it
# takes `worker_killed`, `engines=("jobqueue", "procrastinate")` and `watched=6`. For each engine it returns the seconds
# from the kill to the feed "by itself", or None, and then those from asking for a retry, "after a retry". If somebody
# asked 60 s after the kill, how long would the feed take from the kill? Put this into `waits`, a dictionary by engine.

# %% tags=["exercise"]
# solution:
killed = experiment("worker-killed", worker_killed, engines=("jobqueue", "procrastinate"), watched=6)
waits = {engine: each["by itself"] or 60 + each["after a retry"] for engine, each in killed.items()}
# end

# %%
check("3", (killed, waits), checks.waits_for_a_retry)

# %% [markdown]
# With jobqueue, the feed comes once the lease has expired and the fetch has been repeated. With Procrastinate the job
# stays marked `doing`, by a worker that no longer exists, until somebody asks for such *stalled* jobs to be retried; its
# documentation shows a periodic task for that, which you add to your program. (Even then it waits for up to 5 s: workers
# are notified of new jobs, but poll for retried ones.) That is not a fault: an engine that gives a job to a second
# worker by itself has decided for you that your job may run twice.
#
# **Go on.** Give the workers jobs that compute instead of waiting. How many workers help then, on two cores? And what
# would you have to show before somebody else agrees to run a new server for you?
#
# ## From memory
#
# <details><summary>Enqueueing takes one write that must reach the disk. Why is PostgreSQL no faster at it?</summary>
#
# Both wait for the same disk. A single writer gains nothing from concurrent or remote ones; it only pays for the trip.
#
# </details>
# <details><summary>Why was one writer at a time enough for four workers, and when is it not?</summary>
#
# While a job waits for somebody else's server it asks nothing of the database, and its claim and its end are two short
# writes. It is not if jobs are short and many, or if they hold a transaction open while they work.
#
# </details>
# <details><summary>A worker died. One engine runs its job again, another waits for you. Which is right?</summary>
#
# Either: the first may run the job twice, the second may leave it undone. You must know which one you have, and make
# jobs idempotent, or look for those that are stuck.
#
# </details>
#
# ## What to remember
#
# * A queue is outgrown by its work, not by its table: look at λ · D, at the CPU, and at the time that one transaction
#   takes.
# * PostgreSQL buys several machines; on one it is no faster than a file.
# * Another engine is another set of duties. What a queue does to a request's latency stays the same.
#
# Next: the same questions about an app of your own.
