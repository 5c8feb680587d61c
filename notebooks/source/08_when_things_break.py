# ---
# about: kill -9 in mid-job, leases, retries, poison jobs, and what "exactly once" can mean
# minutes: 45
# needs: nothing more
# ---

# %% [markdown]
# # 8. When things break
#
# **The question:** a worker is killed in the middle of a job. What becomes of the job, and what must it be like for
# that to be harmless?
#
# *The three deploy several times a day, and each time their workers are stopped. One is killed when memory runs out,
# and one night a machine goes away with all that ran on it. What it had in hand was somebody's feed, or one of the
# mails that the reader sends by now. The team wants to know what it can promise.*
#
# You will kill a real worker yourself, watch another one take over, and count what the job has done. Then you meet a
# job that always fails, and one that kills every worker that touches it.

# %%
from workbook import begin, check, experiment, predict, score

begin(8)

import os
import signal
from datetime import UTC, datetime
from itertools import accumulate

from jobqueue import Worker
from workbook import chapter08_checks as checks
from workbook.chapter08 import die_at_points, killed_at, poison
from workbook.chapter08_jobs import AlwaysFails
from workbook.chapter08_lab import Lab
from workbook.chapter08_pictures import effects_figure, kill_figure, leases_figure, retries_figure

# %% [markdown]
# ## A dead worker says nothing
#
# When a worker claims a job, it writes its name and the time into the job's row. While it runs the job it renews the
# time (a *heartbeat*). Start two workers, each its own process, and a job: it sends a mail to Ada, and its first
# attempt is then busy for an hour (the second will be brief).

# %%
lab = Lab()
looks = experiment("at-work", lab.set_to_work, workers=2)

# %% [markdown]
# Below you kill worker A with signal 9, as the system does when memory runs out. No `except`, no `finally` and no exit
# handler of A's will run, and nobody tells B. **Write down** after how many seconds the job will run again, and how
# many mails Ada will have in the end.

# %%
predict("killed: until the job runs again", seconds=1)
predict("killed: mails that Ada gets", mails=1)


# %% [markdown]
# Now do it. `at_work()` watches the row for a second, and returns the process id of the worker that has the job;
# `afterwards()` watches on until the job is done, and ends both workers.


# %%
def break_it(number):
    os.kill(lab.at_work(), number)
    return lab.afterwards(number)


story = experiment("kill", break_it, number=signal.SIGKILL)
if story["signal"] == "SIGKILL":
    score("killed: until the job runs again", seconds=story["attempts"][1]["begun"])
    score("killed: mails that Ada gets", mails=len(story["mails"]))
kill_figure(story)

# %% [markdown]
# ## What you see
#
# A's heartbeats end at the kill. The row keeps A's name, and nothing happens: B can't know whether A is dead or only
# slow. So a claim is a *lease*: it holds for a time, and the worker has to renew it before that is over. The time is
# 30 s unless you say otherwise, and here 3 s, so that you don't have to wait. A worker sends ten heartbeats in that
# time. When a row has had none for nearly a lease, any other worker removes that name from it. Then the job is due
# again, and whoever claims it runs it *from the beginning*: a job has no memory of how far it got.
#
# How long does that take? The last heartbeat was up to a tenth of the lease $L$ before the kill. A row counts as
# abandoned when its last heartbeat is $0.9\,L$ ago, and the others look for such rows every $0.1\,L$. So, counted from
# the kill, the job is back in the queue after
#
# $$ 0.8\,L \le t \le L $$
#
# and it runs when a thread is free. (All this assumes that the machines' clocks agree: each compares the time in the
# row with its own.)
#
# Four leases, each with two fresh workers and a kill:

# %%
leases = experiment("leases", killed_at, leases=[0.5, 1, 2, 3])
leases_figure(leases)

# %% [markdown]
# So why not a very short lease? Because a worker that is *not* dead may be silent too: its machine swaps, or its
# network is gone for some seconds. If that lasts longer than the lease, the job is given to another worker while the
# first one still runs it. `jobqueue` lets only one of them record the outcome (the *fence*: the row must still have
# this worker's name and this attempt's number), but whatever both do elsewhere is done twice.
#
# ## At least once
#
# Ada has two mails. A had sent its mail, and died before it could say so. No order of steps avoids this: if the job is
# finished first and the mail sent afterwards, a worker that dies in between sends none. The mail server and the queue's
# table are two systems, and there is always a moment between them. So a queue has to choose: *at most once*, as Celery
# does unless you set `acks_late` (and `task_reject_on_worker_lost`), or *at least once*, as `jobqueue` and Delayed Job
# do.
#
# Another effect is a row in the queue's own database, written through the session that the worker lends to the job:
#
# ```python
# class SendMail:
#     def perform(self):
#         mail_server.send(self.to)
#
# class Pay:
#     def perform(self, session):
#         session.add(Payment(order=self.order))
# ```
#
# Both kinds of job are now begun by a worker that dies at once: before the effect, or just after it. (For the payment,
# "after" means that its `INSERT` is done.) Then another worker comes. **Write down** how many payments there will be in
# the table for the order whose worker died after the `INSERT`.

# %%
predict("died after: payments in the table", payments=2)

# %%
found = experiment("kill-points", die_at_points, lease=0.5)
score("died after: payments in the table", payments=found[-1]["effects"])
effects_figure(found)

# %% [markdown]
# All four jobs were begun twice. Three effects are there once, for different reasons. Two had not happened when the
# worker died. The payment had, but nothing was committed: the transaction of that session also finishes the job. It
# died with its worker, the database rolled it back, and the second attempt made the payment. The effect and the end of
# the job are committed together, or neither is: *exactly-once effects*, though the job ran twice.
#
# Nobody can promise that the job *runs* exactly once, and nobody can promise it for mails. What helps there is to make
# the second time harmless (*idempotent*), as in exercise 8.3.
#
# ## A job that fails
#
# A worker that dies is rare. A job that raises an exception is an everyday event: somebody else's server is down. It is
# tried up to 25 times in all, and waits in between. **Write down:** from the first attempt to the twenty-fifth, how
# long?
#
# You don't have to wait for it. A worker can be told what time it is, so each attempt is made at the moment for which
# it is scheduled.

# %%
predict("25 attempts", days=1)

# %%
start, moments = datetime(2026, 1, 1, tzinfo=UTC), []
with Lab() as quick:
    quick.queue.enqueue(AlwaysFails(), now=start)
    while (row := quick.queue.jobs()[0]).failed_at is None:
        moments.append((row.run_at - start).total_seconds())
        Worker(quick.queue).work_off(now=row.run_at)
print(f"{row.attempts} attempts, then kept, with its last error: {row.last_error.splitlines()[-1]}")
score("25 attempts", days=moments[-1] / 86_400)
retries_figure(moments)

# %% [markdown]
# After $n$ failed attempts a job waits $5 + n^4$ seconds (Delayed Job's formula). The first retries come within a
# minute, for a server that is restarting; the later ones are for an outage over a weekend. A fixed pause can't do both:
# with a short one the job gives up too early, and a long one makes jobs wait that could have succeeded in a minute.
# `jobqueue` adds up to a tenth at random (*jitter*), so that a thousand jobs that failed together don't come back
# together. After the last attempt the job is not thrown away: it stays, with its traceback, until somebody runs
# `jobqueue retry`, or `delete`.
#
# ## A poison job
#
# Then there is the job that does not raise an exception, but kills its worker each time: it needs more memory than
# there is. Its worker never gets to the end of the attempt. If attempts were counted at the end, the job would kill
# workers for ever. Here it is allowed two attempts, ten mails wait behind it, and a worker that dies is replaced.

# %%
after = experiment("poison", poison, lease=0.5, max_attempts=2, others=10)
for what, value in after.items():
    print(f"{what}: {value}")

# %% [markdown]
# It killed two workers, and then it was over. The attempt is counted when a job is *claimed*, in the same statement,
# before anything can go wrong; the worker that claims it for the third time sees that no attempt is left, and keeps it
# as failed without performing it. (Here jobs are claimed one by one. Short ones are otherwise claimed in batches, and
# a crash costs those behind it one attempt, once: only first attempts share a batch.)
#
# The mails went out, each of them once. After the first death a job runs again at once. After any later one it waits as
# long as after a failure, if it has attempts left, so that the workers get to the others. (If a worker has several
# threads, the jobs in all of them die with it, and each has spent an attempt.)
#
# A job that *hangs* is the third kind. It neither fails nor dies, and its worker's heartbeats go on. For this there is
# `max_run_time`: when it is over, the attempt has failed, and a new thread takes over. Python can't end the old thread:
# it goes on, with its effects, alongside the next attempt, which is one more way to run twice. (A job that never lets
# go of Python's interpreter stops its whole worker. That takes somebody outside to kill it: the parent process that
# `jobqueue work` gives its workers, which also sees at once when one dies. The workers of this chapter have none.)
#
# ## Exercises
#
# **Exercise 8.1.** A server goes down just before a job's first attempt, and is back after `outage` seconds. Write
# `succeeds_at(outage)`: how many seconds after its first attempt the job succeeds. Leave the jitter out, and let
# attempts take no time; one at the very moment at which the server is back succeeds. Return `None` if even the last
# attempt comes too early. (`accumulate` is there, from `itertools`.) After an outage of 48 hours, for how long has the
# server been back when the job succeeds?


# %% tags=["exercise"]
def succeeds_at(outage):
    # solution:
    moments = accumulate((5 + n**4 for n in range(1, 25)), initial=0)
    return next((moment for moment in moments if moment >= outage), None)
    # end


# %%
check("1", succeeds_at, checks.succeeds_in_time)

# %% [markdown]
# **Exercise 8.2.** Now and then one of your machines is silent for 40 s, while its workers live on. And when one dies,
# its jobs have to be running again within 60 s. Choose a lease, in seconds, with which the first does no harm and the
# second holds.

# %% tags=["exercise"]
# solution:
lease = 55
# end

# %%
check("2", lease, checks.good_lease)

# %% [markdown]
# **Exercise 8.3.** Make the second mail harmless. The mail server keeps what it has accepted in a list, `mailbox`, of
# pairs `(key, text)`. Write `send(mailbox, key, text)`, which a job calls at each of its attempts: each mail arrives,
# and arrives once. The key is the same at each attempt (the order's number, say, not the time).


# %% tags=["exercise"]
def send(mailbox, key, text):
    # solution:
    if key not in [known for known, _ in mailbox]:
        mailbox.append((key, text))
    # end


# %%
check("3", send, checks.sends_once)

# %% [markdown]
# **Go on.** Run the cell with `lab.set_to_work` again, then the one with `break_it` with `number=signal.SIGTERM`. How
# long does the job wait now, and why? (A worker that is asked to stop gives back what it can't finish, as if it had
# never had it: no attempt is spent.) Then run both once more with `signal.SIGSTOP`: the worker is not dead, only
# silent. Does the queue know the difference? (In the end the worker goes on, and ends its attempt: what the fence makes
# of that is printed.) If the chapter shows recordings, both cells need `recorded=False`.
#
# ## From memory
#
# <details><summary>Worker A was not dead: its network was gone for longer than the lease. What may happen twice now,
# and what can't?</summary>
#
# B runs the job as well, so what the job does elsewhere may happen twice. Its outcome is recorded once: the fence
# refuses A's, and a payment through the session is rolled back with it.
#
# </details>
#
# <details><summary>Would it help to write "mail sent" into a table of your own just before you send it?</summary>
#
# It moves the gap. A worker that dies in between leaves a note and no mail: at most once, instead of at least once.
#
# </details>
#
# <details><summary>An attempt hung, and <code>max_run_time</code> failed it. Why may its mail go out twice?</summary>
#
# Python can't end a thread. The old attempt goes on, and may send its mail when whatever it hung on answers; the next
# attempt sends one, too.
#
# </details>
#
# ## What to remember
#
# * A dead worker is known only by its silence. Its job is back in the queue within a lease, and runs again from the
#   beginning.
# * A queue promises at most once or at least once. With the latter, make jobs idempotent, or commit the effect and the
#   end of the job in one transaction: `perform(self, session)`.
# * Retry at growing intervals, count an attempt before it begins, and keep what has failed for good.
#
# Chapter 9 doubts the figures: how do you measure all this without fooling yourself?
