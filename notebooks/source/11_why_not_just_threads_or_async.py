# ---
# about: more slots, and the same endpoint with async and await; what each fixes, and what it does not
# minutes: 40
# needs: nothing more
# ---

# %% [markdown]
# # 11. "Why not just threads, or async?"
#
# **The question:** threads and async make it cheap to wait for somebody else's server. What is left for a queue to do?
#
# A new colleague has read the team's code, and says what every reader of chapter 1 has said: eight slots is not many.
# Give the server more threads, or write the endpoint with `async` and `await`, and no visitor has to wait for another.
# The objection is good, and nobody in the team can refute it by talking. So they measure how far it goes.

# %%
from workbook import begin, bench, check, experiment, predict, sampled, score

begin(11)

import math

from loadtests.bench.plan import Plan
from workbook import chapter11_checks as checks
from workbook.chapter11 import async_bench, compare, crash, one_loop, slowest, steps_of, tell
from workbook.chapter11_pictures import loop_figure, ways_figure

# %% [markdown]
# ## Three ways to wait
#
# * **threads**: the unchanged synchronous reader, with 64 threads in one process instead of 8 processes. Not a line of
#   code changes; it is an option of its web server (`python -m loadtests stack sync --slots 64 --slot-kind threads`).
# * **async**: a twin of its endpoint with aiohttp, in `notebooks/workbook/chapter11_async.py`. It has one thread, which
#   runs a *loop*: where the code says `await`, the loop turns to another visitor until the answer is there.
#
#   ```python
#   async with asyncio.timeout(deadline), client.get(url) as answer:
#       body = await answer.read()   # the visitor waits for somebody else's server; the thread does not
#   ```
#
# * **queue**: the queued reader, with the same 64 threads in its web server, and its worker.
#
# The same hundred visitors come to each: 70 submit feeds and 30 browse. As in chapter 1, 80 % of the feeds are typical
# (median 300 ms), 15 % slow (2 to 6 s), and 5 % hang; the deadline of a fetch is 3 s. The twin has an advantage: it
# keeps its feeds in memory, not in a database.
#
# **Write down what you expect**: 95 % of the answers to `POST /feeds` take at most how long, with each of the first
# two? And of the pages for those who only browse, what share takes over 500 ms?

# %%
predict("submit, threads, p95", seconds=1)
predict("submit, async, p95", seconds=0.3)
predict("browse, threads, over 500 ms", percent=20)
predict("browse, async, over 500 ms", percent=5)

# %% [markdown]
# Three steps, of some 15 seconds each:

# %%
plan = Plan(users=(100,), warmup=1, measure=5, drain=2, slots=(64,), slot_kind="threads", deadline=3)
both = experiment("threads-and-queue", bench, plan=plan, rows=True)
twin = experiment("async-twin", async_bench, plan=plan)

# %%
steps = steps_of(both, twin)
for way, app in (("threads", "sync"), ("async", "host")):  # "host": the bench got the twin's address
    score(f"submit, {way}, p95", **sampled(steps[app]["submit"], "p95_ms"))
    score(f"browse, {way}, over 500 ms", **sampled(steps[app]["browse"], "share_over"))
ways_figure(both, twin)

# %% [markdown]
# ## What you see
#
# Each line shows the share of requests not yet answered. The broad grey one is not a measurement of a reader: it is how
# long the feeds that these very visitors submitted take *by themselves*.
#
# **Threads and async both follow the feeds**, close behind: what they add is printed below. That is all they can do,
# and they do it: nobody waits for a slot any more, every visitor who submits waits for a feed. Nothing that waits for
# the feed can be to the left of the grey line. The queued reader's answer does not wait for it. (The cliff at 3 s is
# the deadline: the feeds that hang are given up there, and so are the slow ones that take longer. They are more than
# one in twenty, so the 95th percentile is the deadline, whatever does the waiting.)

# %%
compare(both, twin)

# %% [markdown]
# So the objection **holds for the bystanders**. Those who browse no longer wait for those who submit, just as with the
# queued reader: more slots, or a loop, end the worst of chapter 1. It holds for the *content*, too: at the median it
# comes sooner than with the queue, whose visitors have to ask whether it is there.
#
# It does not hold **for the visitor who submits**. And as many are waiting as the model of chapter 2 says, in threads
# or in a loop. (The measurement is short: expect a difference of a fifth now and then.)
#
# ## A long feed
#
# Now the async reader alone. A feed's server answers at once, but the feed is a large site's archive, with 200 times as
# many entries as before (one of those was parsed in a few milliseconds). One visitor adds such a feed every 1.5 s, and
# another looks at the list 20 times a second (timed as chapter 9 demands, from when each look should have begun).
#
# **Write down what you expect:** what is the longest that the list takes?

# %%
predict("the list, while a feed is parsed", seconds=0.1)

# %%
seen = experiment("one-loop", one_loop, in_thread=False, longer=200, seconds=3, every=1.5)
score("the list, while a feed is parsed", seconds=slowest(seen))
loop_figure(seen)

# %% [markdown]
# Not all work is waiting: a feed has to be parsed, and the loop turns to another visitor where the code says `await`,
# and nowhere else. Each slope is one parsed feed: everybody who comes meanwhile waits until that is done, as with the
# freezing server of chapter 9. How high it begins depends on the feed: half as long, half as high. If you serve
# strangers' feeds, you don't choose that.
#
# With 64 threads it would be milder. Only the thread that holds Python's *global interpreter lock* (GIL) runs, and it
# has to give it up after 5 ms when another thread wants it. A request needs several such turns, and all threads share
# one core. (Free-threaded builds of Python have no such lock.) The queued reader's web server does not parse. Its
# worker does, in another process, on another core, and can be stopped, or given more cores, by itself.
#
# The cure within async is to hand computing to a thread or a process, everywhere, without exception. That is already a
# queue, in memory, with its own workers and backlog.
#
# ## When the process ends
#
# One visitor has read a good feed. Then forty add a feed that hangs. While these are being fetched, every process of
# the reader is killed: out of memory, a machine that goes down, or a deploy that does not wait for them to finish.
# **Write down what you expect:** after a restart, how many of the forty will still be fetched by somebody?

# %%
predict("still to be fetched, threads", feeds=20)
predict("still to be fetched, async", feeds=20)
predict("still to be fetched, queue", feeds=20)

# %%
left = experiment("crash", crash, visitors=40)
score("still to be fetched, threads", feeds=left["sync"]["jobs"])
score("still to be fetched, async", feeds=left["host"]["jobs"])
score("still to be fetched, queue", feeds=left["queued"]["jobs"])
tell(left)

# %% [markdown]
# What a thread or a *coroutine* (a running `async` function) is working on is in the memory of a process, and is lost
# with it. With **threads** it is worse than lost: the feeds are in the database, their pages say "being fetched", and
# nobody is fetching them. An async reader with that database would do the same. The **async** twin, which has none, has
# forgotten even the good feed. The visitors saw an error, and have to try again themselves. The **queued** reader had
# answered all of them, and each feed's job was committed in the same transaction as the feed; chapter 8 has shown what
# the next worker does with it.
#
# The last column is what waiting costs. A thread has its stack, and what its fetch holds; a coroutine has only the
# latter. (The queue's figure includes the web server's threads that answered, and are idle again; it varies from run to
# run.) So threads can wait by the thousand, if the server's settings and the pool of database connections let them, and
# coroutines by the ten thousand. For *waiting*, async is the best there is.
#
# ## Who fixes what
#
# | | more threads | async | queue |
# |---|---|---|---|
# | those who browse wait for those who submit | fixed, until the slots are gone | fixed, while nothing computes | fixed |
# | those who submit wait for the feed's server | **as before** | **as before** | fixed: an answer now, the content later |
# | the feed's server is down for a minute | an error; the visitor may try again | an error; the visitor may try again | tried again, later |
# | the process ends | lost | lost | kept |
# | a thousand feeds at once | most wait for a slot | all are fetched at once, whatever that does to their servers (in the twin; aiohttp's own limit is 100) | a backlog, at the pace of the workers |
# | it computes | shares one core | stops everybody | in another process |
# | what it costs | memory; code that threads may share | another way to write everything, down to the database driver | a worker to run; a page that says "being fetched" |
#
# So use threads or async where the visitor *needs* the slow server's answer: a search, a price, a payment's yes or no
# before the page can go on. No queue makes it come sooner. Use the queue where the answer may be "we will see to it".
# And they combine: the queued reader's web server may have threads, as it had here, and a worker's jobs may be
# coroutines.
#
# What this chapter does not show: an async reader with a database, which would be slower than this twin; and thousands
# of visitors, with whom the loop's low cost per waiting visitor matters most.
#
# ## Exercises
#
# **Exercise 11.1.** Write `threads(visitors, demand, think)`: how many threads does a reader need at the least, so that
# its knee is at this many *submitting* visitors, or beyond? They think for `think` seconds, and their feeds take
# `demand` seconds on average. (Chapter 2 has the formula for the other direction; `knee` in `loadtests.theory` computes
# it.)


# %% tags=["exercise"]
def threads(visitors, demand, think):
    # solution:
    return math.ceil(visitors * demand / (demand + think))
    # end


# %%
check("1", threads, checks.enough_threads)

# %% [markdown]
# **Exercise 11.2.** Measure the loop again, with the parsing handed to a thread: `in_thread=True`, everything else as
# above. Call the experiment "one-loop-and-a-thread". How many seconds does the list take at most?

# %% tags=["exercise"]
# solution:
handed = experiment("one-loop-and-a-thread", one_loop, in_thread=True, longer=200, seconds=3, every=1.5)
longest = slowest(handed)
# end

# %%
check("2", (handed, longest), checks.parsed_in_a_thread(seen))

# %% [markdown]
# The loop serves the list again while a thread parses; they still share one core, and take turns at the interpreter.
#
# **Exercise 11.3.** A visitor uploads a photo, and Python code computes for 2.5 s until it looks like a painting. On a
# machine with eight cores, sixteen visitors upload one at the same moment. After how many seconds does the last of them
# have the painting, with 64 threads in one process, with one loop, and with a queue and eight worker processes of one
# thread each? Write a list of three numbers, in this order, and leave out everything but the computing. (The Python has
# a GIL, and the code keeps it.)

# %% tags=["exercise"]
# solution:
last = [16 * 2.5, 16 * 2.5, 16 / 8 * 2.5]
# end

# %%
check("3", last, checks.the_last_painting)

# %% [markdown]
# **Go on.** Give the twin a database, and retries, and let its fetches survive a restart. At what point have you
# written a queue?
#
# ## From memory
#
# <details><summary>With 64 threads, why do visitors who browse not wait any more, although those who submit wait as
# long as before?</summary>
#
# Those who submit hold one thread each, and there are more threads than visitors who wait at a time: one is always
# free. The fetch itself takes as long as the feed's server does.
#
# </details>
# <details><summary>An async reader is fast in every test, and now and then it stands still for a second. What do you
# look for in its code?</summary>
#
# For what computes, or waits without `await`: parsing, images, compression, a database driver that blocks. While that
# runs, the loop serves nobody.
#
# </details>
# <details><summary>Both readers lost power in mid-fetch. Why will the queued one fetch its feeds after all, and the
# one with threads not, although both have a database?</summary>
#
# The queued one wrote down what was still to be done before it answered. The other one knew that only in its memory;
# its database says that a feed is being fetched, and nobody reads that as a task.
#
# </details>
#
# ## What to remember
#
# * Threads and async make waiting cheap, and free the bystanders. The visitor who submits waits as long as before: for
#   the feed.
# * A loop serves nobody while it computes; threads share one core. What waits or computes in a process ends with it.
# * Use them where the visitor needs the slow answer; use a queue where it is enough to know that it will be done.
#
# Chapter 12 asks when one machine is no longer enough for the queue.
