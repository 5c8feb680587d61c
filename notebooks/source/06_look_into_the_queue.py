# ---
# about: stuck feeds, which command says why, and which one puts it right
# minutes: 35
# needs: nothing more
# ---

# %% [markdown]
# # 6. Look into the queue
#
# **The question:** a job has been enqueued, and nothing happens. How do you find out why, and put it right?
#
# *The three have moved the fetch behind a queue, and every answer is quick. On Monday at nine, people write that their
# feeds have been "being fetched" since they came, some since Saturday. No page shows an error, and nobody knows why.*
#
# In this chapter the queued reader really is in that state, and you have a terminal next to it. All that you see there
# comes from `jobqueue`'s own commands, which work with any program's queue.

# %%
from workbook import begin, check, experiment, predict, score

begin(6)

from datetime import timedelta
from statistics import median

from workbook import chapter06_checks as checks
from workbook.chapter06 import Monday, rate
from workbook.chapter06_pictures import pending_figure

# %% [markdown]
# ## Monday, nine o'clock
#
# At eight the reader was deployed anew. Somebody had to start the worker afterwards, and everybody thought that somebody
# else had. 100 pages say that their feed is being fetched. **Write down what you expect:** a worker is started now. How
# many of the 100 feeds will it fetch within the next minute?

# %%
predict("a worker is started: feeds fetched", feeds=100)

# %% [markdown]
# The next cell starts the reader, and lets its weekend pass in fast-forward: jobs are enqueued, tried and put off by the
# code that always does it, which is only told another time. (Monday, nine o'clock, is now, whatever the clock says: three
# o'clock on Sunday morning is 30 h ago. The reader goes on running until the kernel ends.) Then, in a terminal, the first
# two questions to any queue: what is in it, and is anything late?

# %%
monday = Monday()
weekend = experiment("monday", monday.begin)
experiment("first-look", monday.terminal, commands=["stats", "check --max-age 300"])

# %% [markdown]
# A job is *waiting* until a worker claims it. Once its `run_at` has come, it is also *due*. A job that was tried, and
# raised an exception, waits for its next attempt; after its last attempt it is *failed*, and stays in the table with its
# traceback until somebody does something about it.
#
# So 100 pages say the same, and the queue says four different things: 48 jobs that a worker would claim; 14 in a queue
# that is paused; 30 that failed for good; and 8 that are waiting, but not due. `check` is made for monitoring: from cron,
# say, it would have raised the alarm a few minutes after eight. About the other 52 it is silent: 14 are late, but it
# skips paused queues; 8 aren't due; and 30 no longer wait. And the last line of `stats` is no comfort. It is about the
# jobs that a worker has claimed, and knows nothing of jobs that no worker has claimed.
#
# Visitors asked for those last eight on Saturday morning. Each time a job fails, it waits for longer than the time
# before, and theirs have failed all weekend. **Write down:** at nine on Monday, how long until their next attempt, in
# the median?

# %%
predict("Saturday's feeds: until the next attempt", hours=1)

# %% [markdown]
# `stats` says how many; `explain` says why. It takes a job's id, and gives every reason why this job isn't running, and
# what to do about each. One of each kind (`Feed[100]` is the job to fetch the feed whose number in the database is 100):

# %%
one_of_each = ["explain 100", "explain 39", "explain 9", "explain 1"]
experiment("explain", monday.terminal, commands=one_of_each)
score("Saturday's feeds: until the next attempt", hours=median(weekend["due in"]) / 3600)

# %% [markdown]
# When its $n$-th attempt fails, a job waits for $5 + n^4$ seconds, and up to a tenth more: 6 seconds after the first, and
# over 14 hours after the 15th, of which some have passed.
#
# One reason can hide another: job 39 needs a worker *and* an end of the pause, job 1 a worker *and* patience. A command
# that names only the first reason would send you in circles.
#
# The other two kinds have one cause. On Saturday the worker was restarted with a new setting, `FEEDREADER_DEADLINE=10s`,
# which should have been `10`. Every attempt of that worker failed. A visitor's job may have 25 attempts, and is still
# being retried. The jobs in the queue `refresh` are those of a script that runs at night, and allows three. Today the
# setting is right again; but no job knows that.
#
# (A feed whose server is down is *not* a failed job. The fetch then ends as it should, with an outcome: the page says
# why there is nothing to see. A job fails if its code can't go on.)
#
# `doctor` asks the other way round, not about one job but about what all of them need: the database, the workers, the
# queues. So it does not mention the jobs that failed, or were put off:

# %%
experiment("doctor", monday.terminal, commands=["doctor"])

# %% [markdown]
# ## Start a worker
#
# `jobqueue start` puts workers into the background, under a *supervisor*: a process that does no jobs, but starts another
# worker whenever one dies. `scale` tells it how many workers there should be.
#
# The next cell starts one worker with 2 threads, waits until it has fetched 16 feeds, and then makes it three workers.
# Each of these feeds' servers takes about 0.8 s. **Write down what you expect:** the time from the command `start` to
# the first feed, and how many feeds a second come with one worker and with three.

# %%
predict("from start to the first feed", seconds=5)
predict("one worker", per_second=2)
predict("three workers", per_second=5)

# %%
start = "start --threads 2 --import queued_app.jobs"
worked = experiment("start", monday.act, steps={start: 16, "scale 3": 0})
rates = {
    "1 worker": rate(worked, step=0, threads=2),
    "3 workers": rate(worked, step=1, threads=6),
}
score("a worker is started: feeds fetched", feeds=len(worked["came"]))
score("from start to the first feed", seconds=worked["came"][0])
score("one worker", per_second=rates["1 worker"])
score("three workers", per_second=rates["3 workers"])
pending_figure([worked], rates)

# %% [markdown]
# ## What you see
#
# $c$ threads, which need $D$ seconds for each feed, fetch
#
# $$ X = \frac{c}{D} $$
#
# feeds a second while there is a backlog: with $D = 0.8$ s that is 2.5 for two threads, and 7.5 for six. The measured
# rates lie a little off: a thread also has to claim the job, and to parse and store the feed; and these feeds take 0.75
# to 0.85 s, so a few in a row may be quicker than 0.8 s. How many threads a load needs in the long run is the question
# of chapter 7.
#
# ($c$ counted slots in chapter 2; here it counts threads.) The first feed took longer than $D$, because the worker's
# Python had to start first, and to import the reader.
#
# And the line ends at 52, not at zero. "Start a worker" was right, and not enough. A team that stops looking here, because
# the feeds that come in now are fetched at once, leaves 52 feeds behind. What is left:

# %%
left = ["status", "stats", "list --queue default", "show 9"]
experiment("left", monday.terminal, commands=left)

# %% [markdown]
# `status` is about the processes, `stats` about the queue. (Their counts may differ for a moment, since a busy worker
# reports once a second.) `show` gives everything about a job; the last line is where you begin to read: it names the
# exception, and here also the cure.
#
# The commands show what is in a table of your database. Whatever they don't answer, you ask in a Python console. Do all
# jobs with an error have the same one?

# %%
console = [
    "from collections import Counter",
    "from jobqueue import Queue",
    'queue = Queue("sqlite:///reader.db")',
    "Counter((job.queue, job.state, job.attempts) for job in queue.jobs())",
    "errors = [job.last_error for job in queue.jobs() if job.last_error]",
    'Counter("FEEDREADER_DEADLINE" in error for error in errors)',
]
experiment("console", monday.console, lines=console)

# %% [markdown]
# The same is on a web page, with buttons: the queue's *dashboard*, at `/jobs` in the reader, behind a password. While
# this chapter runs live, `monday.dashboard` is its address; and `make queued` prints one for a reader of its own.
#
# ## Put it right
#
# `retry --failed` gives all failed jobs their attempts back. It is right only now: before the setting was corrected, they
# would have failed three times more. `retry` with ids makes waiting jobs due now, instead of hours from now. And the
# pause of `partners` was meant for Saturday, while that server was being moved.

# %%
cure = {"retry --failed": 0, "resume partners": 0, "retry 1 2 3 4 5 6 7 8": 0}
mended = experiment("mend", monday.act, steps=cure)
pending_figure([worked, mended], rates)

# %% [markdown]
# The workers were idle, and began at once with the jobs that the first command gave them; those of the other two joined
# the backlog. A worker is told of new jobs, and need not be restarted.
#
# ## The worker in the foreground
#
# `stop` ends the workers and their supervisor; running jobs may finish first. Then six more visitors come, and this time
# the worker runs in the foreground, where it says what it does. `--exit-when-empty` ends it when nothing is left.

# %%
experiment("stop", monday.terminal, commands=["stop", "status"])
work = "work --threads 2 --import queued_app.jobs --exit-when-empty"
experiment("work", monday.visited, feeds=6, commands=[work])

# %% [markdown]
# In 2009 Heroku told its customers to move slow work out of their web processes, for a feed reader as it happens, and to
# run `rake jobs:work`, the worker of Delayed Job. You have just seen nearly the same lines:
#
# | Delayed Job, 2009 | `jobqueue work` |
# |---|---|
# | – | which table it works on, and how many jobs are waiting there |
# | `*** Starting job worker host:silver pid:4227` | the same |
# | `* [JOB] Feed completed after 0.8123` | nothing for a job that succeeds; one that fails is logged |
# | `1 jobs processed at 7.0823 j/s, 0 failed ...` | the same, every 5 s and when nothing is left to do |
# | `Exiting...` | `*** Exiting job worker host:silver pid:4227` |
#
# "j/s" are jobs a second, since the line before, or since the worker last had nothing to do. So they say how fast it
# went, not how many jobs came.
#
# ## Exercises
#
# **Exercise 6.1.** Write `late(queue, now, seconds)`: the ids of all jobs that had been due for longer than `seconds` at
# the moment `now`, and were waiting; unlike `check`, count those in paused queues too. (`queue.jobs()` returns at most
# 100 jobs, unless you give it a `limit`. A job has `id`, `state`, which is "waiting", "running" or "failed", and
# `run_at`, a `datetime`. `timedelta` is there.)


# %% tags=["exercise"]
def late(queue, now, seconds):
    # solution:
    due = now - timedelta(seconds=seconds)
    return [job.id for job in queue.jobs(limit=10**6) if job.state == "waiting" and job.run_at < due]
    # end


# %%
check("1", late, checks.finds_the_late)

# %% [markdown]
# **Exercise 6.2.** The setting is corrected, so you want to retry the jobs that failed for good *because of it*, and no
# others. Write `failed_with(queue, name)`: the ids of the jobs that failed for good, and whose last error was of the
# class `name`, such as "SettingsError". (`job.last_error` is the traceback, as `show` prints it; if an error was raised
# while another was handled, both are in it, the last one at the end. A class may come with its module, as above, and
# without a message. A message has one line here, and may contain other errors' names.)


# %% tags=["exercise"]
def failed_with(queue, name):
    # solution:
    failed = [(job.id, job.last_error) for job in queue.jobs(limit=10**6) if job.state == "failed"]
    return [id for id, text in failed if text.splitlines()[-1].partition(":")[0].split(".")[-1] == name]
    # end


# %%
check("2", failed_with, checks.finds_the_failed)

# %% [markdown]
# **Go on.** Run the chapter live, and try your own commands: `monday.terminal(["list --state failed"])`. What does
# `explain` say of a job while all threads are busy? Have the worker print a line for each job that succeeds, as Delayed
# Job did (`jobqueue/docs/observers.md`). And which line for cron would have told the team on Saturday?
#
# ## From memory
#
# <details><summary>A job is waiting although workers are idle. Name three reasons.</summary>
#
# Its `run_at` is still to come, for instance because it failed and waits for its next attempt; its queue is paused; or
# the workers serve other queues. (Or it has failed for good: then it no longer waits at all.)
#
# </details>
#
# <details><summary>Why is it no cure for a failed job to retry it at once?</summary>
#
# It failed because of something, and fails again while that lasts. First the cause is read in its last error and mended;
# then a retry gives the job all its attempts back.
#
# </details>
#
# <details><summary>An hour's backlog drains at 2.5 jobs a second. What makes it drain faster, and what does not?</summary>
#
# More threads do, in more or in larger workers, as long as the machine, the database and the servers that the jobs wait
# for can keep up. A restart does not, and neither does a retry: the jobs are due already.
#
# </details>
#
# ## What to remember
#
# * The page says "not yet"; only the queue says why. `stats` counts, `explain` gives every reason, `show` the traceback.
# * First mend the cause, then `retry`. `scale` helps against a backlog, and against nothing else.
# * Have `jobqueue check --max-age` and the number of failed jobs watched, and start workers with the machine.
#
# The backlog is gone. But how many workers should there be, so that there is none? That is chapter 7.
