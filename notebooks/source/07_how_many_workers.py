# ---
# about: how many workers keep up, how long a burst takes to drain, and who starves
# minutes: 45
# needs: nothing more
# ---

# %% [markdown]
# # 7. How many workers?
#
# **The question:** jobs come in at a certain rate, and each takes a certain time. How many workers does that need, and
# what happens when there are too few, or just enough?
#
# *A big site has named the reader, and feeds come in faster than its worker fetches them. More workers cost memory, and
# one of the three has to say how many. They want a rule that holds on an ordinary day and after somebody has imported
# a list of feeds, and they want to know who waits when it does not hold.*
#
# All of it is measured on `jobqueue` itself, on SQLite, in this notebook's own process.

# %%
from workbook import begin, check, counted, experiment, predict, score

begin(7)

from math import ceil
from statistics import median

from loadtests.judging.samples import Samples
from loadtests.theory import workers_needed
from workbook import chapter07_checks as checks
from workbook.chapter07 import backlog, burst, crews, drained, flood, none_free, of_queue, waits
from workbook.chapter07_pictures import burst_figure, crews_figure, flood_figure, waits_figure
from workbook.chapter07_tables import show_busy, show_drained, show_pick_ups, show_waits

# %% [markdown]
# ## Enough, or not enough
#
# A worker, when one counts them, is whatever performs one job at a time. In `jobqueue` that is a thread: a `Worker`
# with 4 threads counts as four (if its jobs wait; for jobs that compute, count cores and processes instead).
#
# Our jobs only wait, like those that fetch something from somebody else's server (the lines that record begin and end
# are left out):
#
# ```python
# @job
# @dataclass
# class Nap:
#     seconds: float
#
#     def perform(self):
#         time.sleep(self.seconds)
# ```
#
# 60 of them arrive per second, at purely random moments (*Poisson arrivals*), and they take 50 ms on average, some more
# and some less (*exponential* times). After 6 seconds no more arrive. The same schedule is given to three `Worker`s,
# one after the other: with 2 threads, with 4, and with 8.
#
# All jobs are enqueued beforehand, each due at its moment, so the cost of enqueueing is not measured. Their number and
# mean are exactly 60 &times; 6 and 50 ms. Each is claimed alone.
#
# **Write down what you expect.** How many jobs are waiting after 6 seconds, with 2 threads? And with 4 threads, how
# many of 100 jobs find none free?

# %%
predict("backlog after 6 s, 2 threads", jobs=40)
predict("no thread free, of 4", percent=25)

# %%
RATE, DEMAND, SECONDS = 60, 0.05, 6
found = experiment("three-crews", crews, threads=(2, 4, 8), rate=RATE, demand=DEMAND, seconds=SECONDS, seed=6)
score("backlog after 6 s, 2 threads", jobs=backlog(found["2"], SECONDS))
score("no thread free, of 4", **counted(none_free(found["4"], threads=4), of=len(found["4"])))
show_busy(found, RATE, DEMAND, SECONDS)
crews_figure(found, RATE, DEMAND, SECONDS)

# %% [markdown]
# Jobs come at a rate of $\lambda$ a second, and each keeps a worker busy for $D$ seconds on average. So $\lambda D$
# workers are busy on average (Little's law again), and it takes more than that many to keep up:
#
# $$ \lambda \cdot D < W $$
#
# **With 2 threads** the backlog grows as long as jobs arrive. 2 threads do $W/D$ = 40 jobs a second, 60 come, so every
# second 20 more are waiting: that is the dashed line. Chance, and the queue's own milliseconds for each job, move the
# curve a little. However small the shortfall, the wait has no limit but the end of the load.
#
# **With 4 and with 8** there are ups and downs, and always a way back to 0. (*Busy* is the time spent in `perform`
# during these 6 seconds; it excludes claiming and finishing a job, and anything done after the 6 seconds.)
#
# $\lambda D = 3$, and 4 are needed (`workers_needed(rate, demand)` computes it). Why not 3? With exactly 3 there is no
# capacity left to work off what chance has piled up: after a bad moment the backlog stays, and the next one adds to it.
# The *utilisation* $\lambda D / W$ has to stay below 1; it must not equal it.
#
# ## Enough is not comfortable
#
# Both 4 and 8 threads are enough. Does it make a difference to those who wait? A job waits when it finds all threads
# busy. For random arrivals and exponential times Erlang's C formula (1917) gives how often that happens,
# $C(W, \lambda D)$. From it follows the mean wait until a job is begun, its *pick-up latency*:
#
# $$ W_q = C(W, \lambda D) \cdot \frac{D}{W - \lambda D} $$
#
# It is for a load that goes on for ever, and our 360 jobs are few. So between formula and measurement there is a third
# figure: the very same jobs in a simulation, in which a queue takes no time at all.

# %%
show_pick_ups(found, RATE, DEMAND)
waits_figure(found, RATE, DEMAND)

# %% [markdown]
# Where a curve crosses 10 %, one job in ten waited longer than that. 2 threads have no dashed curve: they never get
# into a steady state.
#
# * From the formula to the simulation: six seconds that begin with an empty queue, and with exactly 360 jobs of 50 ms
#   on average, are milder than a load without end. And so few are a matter of luck: for 4 threads, eight of ten such
#   schedules give a mean wait between 13 and 32 ms. (So you were asked for the share that waits, which luck changes
#   less.)
# * From the simulation to the measurement it is **the queue itself**. Even for an idle thread a job must first be
#   claimed: that is what you see with 8 threads. And a thread that has finished a job gets the next one only once the
#   end of the job has been written to disk. Each job occupies its thread for these milliseconds, too, so the threads
#   are occupied for a little longer than $\lambda D$ says. With jobs that take seconds nobody notices.
#
# With 8 threads, 38 % utilised, nearly every job finds a free one, and waits only for its claim. With 4, 75 % utilised,
# half of them find none, by formula and simulation. **A worker that is idle much of the time is not wasted: that is
# what short waits are made of.** How much idle time you want depends on who is waiting. A mail can be sent a minute
# later; the visitor of chapter 5 is looking at the page.
#
# ## After a burst
#
# A load that 4 threads handle easily: 40 jobs a second of 50 ms, so $\lambda D = 2$. At second 1 somebody imports a
# list, and 120 more jobs are there at once. 4 threads do 80 jobs a second.
#
# **Write down what you expect:** how long until no job is waiting?

# %%
predict("until the burst is drained", seconds=1.5)

# %%
jobs = experiment("burst", burst, threads=4, rate=40, demand=0.05, seconds=6, jobs=120, at=1, seed=1)
score("until the burst is drained", seconds=drained(jobs, since=1))
show_drained(jobs, 120, at=1, threads=4, rate=40, demand=0.05)
burst_figure(jobs, 120, at=1, threads=4, rate=40, demand=0.05, until=6)

# %% [markdown]
# Of the 80 jobs a second that the threads do, 40 go to the jobs that keep coming. Only the rest reduces the backlog:
#
# $$ t = \frac{B}{W/D - \lambda} $$
#
# That is twice as long as the burst alone would take, and it grows without bound as $\lambda D$ approaches $W$. If you
# plan for a utilisation of 95 %, you need twenty times as long as the burst alone, ten times as long as here, after
# every hiccup: a deployment, a restart, a feed server that hung. This is the second reason for idle workers, and often
# the better one.
#
# The formula is a *fluid limit*: it treats jobs as water. The difference between it and the simulation is chance; the
# difference between simulation and measurement is the queue's own milliseconds: if the threads do 5 % fewer jobs than
# 80 a second, 10 % fewer are left for the backlog.
#
# ## Who waits?
#
# When not all can be served, somebody has to wait, and `priority` says who: lower numbers run first (as in Delayed Job;
# in Procrastinate and Celery on RabbitMQ higher ones do). Now 120 *urgent* jobs a second come for 3 seconds, which is
# more than 4 threads can do (80), along with 12 *ordinary* ones a second. So of ten jobs six can be done in time. Each
# kind has a queue named after it, and a `Worker` is written `(threads, [queues])`: if no queue is named, it serves all.
#
# **Write down what you expect.** How long does an ordinary job wait, at the median?

# %%
predict("an ordinary job's wait", seconds=1)

# %%
FLOOD = {"urgent": 120, "ordinary": 12, "demand": 0.05, "seconds": 3, "seed": 3}
shared = experiment("shared-workers", flood, workers=[(4, [])], **FLOOD)
times = waits(of_queue(shared, "ordinary"))
score("an ordinary job's wait", seconds=median(times), interval=Samples(times, []).interval(50))
flood_figure(shared, threads=4, urgent=120, demand=0.05, until=3)

# %% [markdown]
# At most a few ordinary jobs find a free thread, in the first moments. Then there is always an urgent one waiting, and
# no ordinary job is begun until the last urgent one has been. By the formula (dashed), that is 1.5 s after they have
# stopped coming, 3 &middot; 40 / 80, and so 3 s after the ordinary job in the middle came. That job waits longer: the
# ordinary ones before it go first, and, since no thread is ever idle, the queue's own milliseconds for each job delay
# all that wait behind it. Had urgent jobs come for an hour, the ordinary ones would have waited for more than an hour.
# This is *starvation*. It is not a fault of the queue, but what "first" means: those behind get what is left, and
# nothing is left.
#
# Priorities do not create workers. They choose who waits. Long waits for the ordinary jobs begin well before
# starvation: if urgent jobs come at the rate $\lambda_u$ and take $D_u$, the ordinary ones have to make do with the
# $W - \lambda_u D_u$ threads that these leave. Two remedies: dedicated workers for jobs that must not starve (exercise
# 7.3); or fewer urgent jobs, since going first helps only as long as few do.
#
# ## Exercises
#
# **Exercise 7.1.** 86 jobs a second of 0.1 s each: $\lambda D = 8.6$, and 9 threads keep up. Now one in twenty of them
# hangs, until it is given up after 5 s, and is not retried. How many threads are needed?

# %% tags=["exercise"]
# solution:
needed = workers_needed(86, 0.95 * 0.1 + 0.05 * 5)
# end

# %%
check("1", needed, checks.enough_threads)

# %% [markdown]
# **Exercise 7.2.** After a burst of `backlog` jobs, with `rate` more a second of `demand` seconds each, the backlog
# must be gone in `within` seconds, by the formula. Write `threads_for(backlog, rate, demand, within)`: the smallest
# whole number of threads. For the burst above, `threads_for(120, 40, 0.05, 3)` is 4. (`ceil` is there, from `math`.)


# %% tags=["exercise"]
def threads_for(backlog, rate, demand, within):
    # solution:
    return ceil(demand * (rate + backlog / within))
    # end


# %%
check("2", threads_for, checks.drains_in_time)

# %% [markdown]
# **Exercise 7.3.** Give the ordinary jobs a `Worker` of their own, without adding a thread: 3 threads serve only the
# queue `"urgent"`, and 1 for `"ordinary"`, in this order. Write the call of the experiment "shared-workers" once more,
# with other `workers`, and call it "own-worker". Who pays, and how much?

# %% tags=["exercise"]
# solution:
own = experiment("own-worker", flood, workers=[(3, ["urgent"]), (1, ["ordinary"])], **FLOOD)
# end

# %%
apart = checks.keeps_them_apart(shared)
check("3", own, apart)
show_waits(shared, own, apart, by=3)

# %% [markdown]
# Nearly all ordinary jobs are begun within the 3 s, and the urgent ones wait longer than before, because they have lost
# a thread. When there are no ordinary jobs, that thread idles. Somebody always pays; now you have chosen who.
#
# **Go on.** What would a `max_run_time` of 1 s (an attempt that takes longer fails) change in exercise 7.1? And how
# many threads would the visitors of chapter 5 need, with some twelve feeds a second of a good second each, so that a
# burst of 100 feeds is gone within 10 seconds?
#
# ## From memory
#
# <details><summary>Four threads are idle a quarter of the time. Why do half of the jobs find none free?</summary>
#
# Jobs come at random, so some come in clusters and find the others before them. The idle time lies between the
# clusters, when nobody needs it.
#
# </details>
#
# <details><summary>Workers at 95 % of what they can do stop for a minute, for a deployment. How long until they have
# caught up?</summary>
#
# 19 minutes. A minute of jobs has piled up, 0.95 of what they can do in a minute; only the spare 0.05 works it off.
#
# </details>
#
# <details><summary>Somebody makes all jobs of the reader urgent, so that none is late. What has changed?</summary>
#
# Nothing: a priority only says who goes before whom. It helps those who go first as long as they are few, and creates
# no worker.
#
# </details>
#
# ## What to remember
#
# * $\lambda D < W$, or the backlog grows as long as the load lasts. $D$ is the mean, hanging jobs included.
# * A backlog drains at $W/D - \lambda$. Idle workers are what short waits and quick recoveries are made of.
# * Priorities choose who waits. Jobs that must not starve need a worker of their own.
#
# So far every worker has survived. Chapter 8 asks what becomes of a job when its worker is killed in the middle of it.
