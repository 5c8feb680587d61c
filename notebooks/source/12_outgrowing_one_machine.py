# ---
# about: what other queues do with your feeds; PostgreSQL and several machines; and which figure says when
# minutes: 45
# needs: nothing more
# ---

# %% [markdown]
# # 12. Outgrowing one machine
#
# **The question:** which figure says that one machine is no longer enough, and what changes when you go?
#
# *For a year the reader has run on one machine: a web server, a worker, and a database that is a file. Now its visitors
# have doubled twice. One of the three wants the queue that everybody has before something breaks; another asks which
# figure says so.*

# %%
from workbook import begin, check, experiment, predict, score

begin(12)

import math

from loadtests.enginebench.tables import engine_label
from loadtests.theory import workers_needed
from workbook import chapter12_checks as checks
from workbook.chapter12 import drains, enqueue_rates, theory, workers_killed
from workbook.chapter12_pictures import drains_figure, killed_figure
from workbook.chapter12_tables import show_duties

# %% [markdown]
# ## The same reader on five queues
#
# All that the reader needs of a queue is `create_tables()` and `enqueue(feed, session=session)`. So another engine
# takes jobqueue's place under the same name, in one file each (`loadtests/engines/`), and the reader stays as it is.
# *Celery* and *RQ* have their jobs in a *broker*, a server for messages (Valkey here); *Huey* has an SQLite file of its
# own; *Procrastinate* is in the reader's PostgreSQL. Each is set up as its documentation has it.
#
# Ten visitors add a feed each, and are told that it is accepted. While all ten are being fetched, the only worker is
# killed with all its processes (`kill -9`), as if its machine had gone down. Another one is started at once. jobqueue's
# lease is 3 s here instead of 30, so that you need not wait for it; everything else is as it comes.
#
# **Write down what you expect:** 15 s after the kill, with nobody doing anything, how many of the ten feeds have come?

# %%
predict("feeds that come, Celery", feeds=10)
predict("feeds that come, RQ", feeds=10)
predict("feeds that come, Huey", feeds=0)
predict("feeds that come, Procrastinate", feeds=10)

# %%
engines = ("jobqueue", "celery", "rq", "huey", "procrastinate")
killed = experiment("worker-killed", workers_killed, engines=engines, watched=15, lease=3)
for engine in engines[1:]:
    score(f"feeds that come, {engine_label(engine)}", feeds=killed[engine]["by_itself"])

killed_figure(killed)

# %% [markdown]
# ## What you see
#
# Every engine was told to fetch the same feeds, and every visitor that all was well.
#
# * **By itself:** jobqueue's lease expires, and the new worker takes the jobs. That is chapter 8.
# * **Lost:** Celery and Huey take a job out of the queue *before* they run it. With the worker dies the last that
#   anybody knew of it: no error, no row, nothing to retry.
# * **Held:** RQ and Procrastinate know of the job. To them it is still being done, by a worker that no longer exists.
#
# None of these is a fault. Whoever gives a job to a second worker by itself has decided for you that it may run twice
# (*at least once*), whoever forgets it first, that it may not run at all (*at most once*).
#
# ## The duties that come with each
#
# `make engines` harms eleven set-ups in four ways, with ten feeds or more each, and loads them, in a quarter of an hour.
# Below is a run that was kept. The harms: the worker killed (*-9*), or stopped with *TERM*, as a deploy does; the
# *broker* or database killed while feeds are added; the *web* process killed just after it has committed a feed. A cell
# has the worst that became of feeds, and of how many. They were *lost*; still *held* in the end; fetched after a
# *hand*, the command that the engine's guide has for it; or once a *worker* was started again. If none of these, it has
# the seconds until the last was fetched. Then `POST /feeds` with 30 and 300 users: 50th / 99th percentile in ms.
# (*Late* is Celery with `acks_late`: a job is forgotten when it is done.)

# %%
show_duties()

# %% [markdown]
# What is surprising in it?
#
# **Late is later than you set.** With `acks_late`, the broker gives a job to another worker after the
# `visibility_timeout`, as it comes an hour, here 15 s. Yet it took up to 42 s in this run, and takes two minutes in
# others: the library below Celery looks for such jobs 10 s after a worker has started and then every 100 s only, unless
# `unacked_restore_interval` and `unacked_restore_throttle` say otherwise. Whether the first look comes late enough is
# chance.
#
# **Held means that somebody has to know.** RQ's jobs count as failed after some minutes, and then wait for `rq
# requeue`. Procrastinate's wait for a task that retries *stalled* jobs; its guide has one, and you add it. Dramatiq
# gives back what a silent worker had after a minute, but looks for it on one in a thousand of its commands, at random:
# on an idle reader that takes long.
#
# **Between the commit and the enqueue there is a gap.** An engine outside the reader's database has to be told after
# the commit (told before, its worker finds no feed). If the web process dies in between, the feed is there, its page
# says "being fetched", and nobody fetches it: on Celery, RQ, Dramatiq and Huey. While the broker is away, the same gap
# is open. In jobqueue, Procrastinate and PgQueuer the job is a row of the same transaction: both are there, or neither
# is.
#
# **No engine makes the reader fast.** With 30 users each answers far below 500 ms: the queue is not what a visitor
# waits for. With 300, a job that costs the machine much is noticed: RQ, which forks a process for each, is the slowest.
# (A star: the machine or the load generator was too busy, so these latencies are upper bounds.)
#
# So another engine is a reason to go if you need what it has: several languages, workflows in which jobs wait for
# others' results, tens of thousands of jobs a second. To use a second machine, PostgreSQL is enough.
#
# ## The same lines, another URL
#
# ```python
# queue = Queue("sqlite:///reader.db")
# queue = Queue("postgresql+psycopg://reader@db.example/reader")
# ```
#
# SQLite is a library that writes to a file: one transaction writes at a time, and all processes are on the machine that
# has the file. PostgreSQL is a server, which many machines can reach, and in which many can write at a time.
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
# The forty visitors of chapter 1 sent the queued reader some ten feeds a second: the rate at which jobs come is hardly
# ever the reason to leave SQLite. And on one machine PostgreSQL has no advantage here: both wait for its disk, and
# SQLite saves the trip to a server.
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
# Each doubling nearly halves the time, with both databases. While a job waits it asks nothing of the database: each
# costs it two short writes, a claim and an end. For up to four workers, all that was measured, SQLite's single writer
# is enough. What it can't do is not in the picture: be reached from another machine. (A file on a network disk is no
# way out; SQLite's own documentation warns of it, since its locks can't be relied on there.)
#
# Nor does the picture show real machines. Their clocks differ, and a lease is a time (let a time server set them;
# `jobqueue doctor` compares them). A worker that is cut off loses its leases, and its jobs are done elsewhere, perhaps
# for the second time. And every worker holds connections:
#
# $$ \text{connections} = \text{processes} \times (\text{threads} + 3) $$
#
# at most: two for the queue, one that listens, and one for each thread whose job has a session. PostgreSQL allows 100
# by default.
#
# The load generator is a program, too, on one core. When that is busy, it measures itself: chapter 10 calls such a run
# *slowed*. Locust spreads its users over processes, on one machine with `--processes 2`, or on several with `--master`
# and `--worker`, and this project's plugin judges all their requests as if one process had sent them:
#
# ```sh
# .venv/bin/locust -f loadtests/feeds.py --headless --app queued --users 300 --spawn-rate 100 --processes 2 --run-time 30s
# ```
#
# `loadtests/outgrowing/README.md` has it all on several machines, with jobqueue or Celery: the commands, what to
# watch, and what to size.
#
# ## Which figure says when
#
# | what you see | what it means | where to go |
# |---|---|---|
# | λ · D comes close to the number of threads | the workers are full | more threads; then more worker processes, here |
# | the machine's CPU over 80 %, the jobs' own work | the machine is full | workers on another machine, and so PostgreSQL |
# | "database is locked", or enqueueing takes tens of ms | a transaction that is held open, a slow disk, or too many writers for one file | rule out the first two; then PostgreSQL |
# | the machine must not be a single point of failure | none of these figures | PostgreSQL with a second server that takes over; two machines for everything |
# | tens of thousands of jobs a second, all day long | the table itself is the work | a broker, and its duties |
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
# **Exercise 12.3.** On an engine outside the database, somebody has to look for the feeds that a dead web process never
# passed on. `feeds` is a list of `(number, status, added)`, with the time at which each was added, in seconds; the
# status is "pending" until it is "ready" or has "failed". `held` is the set of the numbers of feeds for which the
# engine has a job. A feed that was added no more than `patience` seconds ago may still be on its way there. Write
# `forgotten(feeds, held, now, patience)`: a list of the numbers of the feeds to enqueue again.


# %% tags=["exercise"]
def forgotten(feeds, held, now, patience):
    # solution:
    pending = [(number, added) for number, status, added in feeds if status == "pending"]
    return [number for number, added in pending if now - added > patience and number not in held]
    # end


# %%
check("3", forgotten, checks.finds_the_forgotten)

# %% [markdown]
# **Go on.** Celery, as it comes, has no job for a feed that is being fetched. What does `forgotten` make of a feed that
# has waited for a worker longer than `patience`, and is being fetched now? And what would you have to show before
# somebody else agrees to run a new server for you?
#
# ## From memory
#
# <details><summary>A web process was killed just after a feed's commit. Why is the feed fetched on Procrastinate, and
# never on Celery?</summary>
#
# On Procrastinate the job is a row in the same database, and was committed with the feed. Celery's is a message to
# another server, which can be sent only afterwards, and was not.
#
# </details>
# <details><summary>Somebody looks for forgotten feeds every minute. Which do they ask first, the engine for its jobs or
# the database for its feeds?</summary>
#
# The engine. A job that is done between the two questions then belongs to a feed that is no longer pending. The other
# way round that feed looks forgotten: pending when asked, and no job for it a moment later.
#
# </details>
# <details><summary>Why was one writer at a time enough for four workers, and when is it not?</summary>
#
# While a job waits for somebody else's server it asks nothing of the database, and its claim and its end are two short
# writes. It is not if jobs are short and many, or if they hold a transaction open while they work.
#
# </details>
#
# ## What to remember
#
# * A queue is outgrown by its work, not by its table: look at λ · D, at the CPU, and at the time that one transaction
#   takes.
# * PostgreSQL buys several machines; on one it is no faster than a file.
# * Another engine is another set of duties: know whether yours loses, holds or gives back what a dead worker had.
#
# Next: the same questions about an app of your own.
