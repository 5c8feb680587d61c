# ---
# about: more slots, and the same endpoint with async and await; what each fixes, and what it does not
# minutes: 45
# needs: nothing more
# ---

# %% [markdown]
# # 9. "Why not just threads, or async?"
#
# **The question:** threads and async make it cheap to wait for somebody else's server. What is then left for a queue to do?
#
# Whoever has read chapter 1 says it: eight slots are few. Give the server a hundred threads, or write the endpoint with `async` and
# `await`, and no visitor has to wait for another. The objection is good, and in part it is right. This chapter measures which part.

# %%
from workbook import begin, bench, check, experiment, in_words, predict, score

begin(9)

# %%
from statistics import mean

from loadtests.bench.plan import Plan
from loadtests.judging.samples import nearest_rank
from loadtests.report.chart_rows import ecdf_figure
from loadtests.theory import knee, littles_law
from loadtests.wording import figure
from workbook.chapter09 import WAYS, async_bench, crash, feeds_alone, one_loop, slowest, steps_of
from workbook.chapter09_pictures import loop_figure, ways_series

# %% [markdown]
# ## Three ways to wait
#
# * **threads**: the synchronous reader as it is, with 64 threads in one process instead of 8 processes. Not a line of it changes; it is an
#   option of its web server (`python -m loadtests stack sync --slots 64 --slot-kind threads`).
# * **async**: a twin of its endpoint with aiohttp, in `notebooks/workbook/chapter09_async.py`. One thread, and in it a *loop*: where the
#   code says `await`, the loop turns to another visitor until the answer is there.
#
#   ```python
#   async with asyncio.timeout(deadline), client.get(url) as answer:
#       body = await answer.read()   # the visitor waits for somebody else's server; the thread does not
#   ```
#
# * **queue**: the queued reader, with the same 64 threads in its web server, and its worker.
#
# The same 60 visitors come to each, as in chapter 1: 42 submit feeds and 18 browse. Of the feeds 80 % are typical, 15 % slow, 5 %
# hang; the deadline of a fetch is 4 s. The twin has an advantage: it keeps its feeds in memory, not in a database.
#
# **Write down what you expect**: 95 % of the answers to `POST /feeds` take at most how long, with each of the first two? And 95 % of the
# pages of those who only browse?

# %%
predict("submit, threads", seconds=1)
predict("submit, async", seconds=0.3)
predict("browse, threads", seconds=0.5)
predict("browse, async", seconds=0.05)

# %% [markdown]
# Three steps, of some 15 seconds each. (The bench calls a reader that it has not started itself "your app": here it is the twin.)

# %%
plan = Plan(users=(60,), warmup=1, measure=5, drain=2, slots=(64,), slot_kind="threads", deadline=4)
both = experiment("threads-and-queue", bench, plan=plan, rows=True)

# %%
twin = experiment("async-twin", async_bench, plan=plan)

# %%
steps = steps_of(both, twin)
for app in ("sync", "host"):
    for group in ("submit", "browse"):
        summary = steps[app][group]
        bound = "p95_ms" in summary["lower_bounds"]
        score(f"{group}, {WAYS[app]}", summary["p95_ms"] / 1000, at_least=bound)

# %%
ecdf_figure(
    ways_series(both, twin, deadline=plan.deadline), "Threads and async answer when the feed's server does"
)

# %% [markdown]
# ## What you see
#
# A curve shows which share of the requests has not been answered after a time. The grey one is no measurement: it is how long the
# feeds of this mix take *by themselves*, without a reader and without another visitor.
#
# **Threads and async both follow the grey curve**, as nearly as some eighty feeds can (the same ones for both, so that they share their luck).
# That is all that they can do, and they do it: nobody waits for a slot any more, every
# visitor waits for a feed. Nothing that waits for the feed can be faster than the feed. The answer of the queued reader does not wait for it.

# %%
for app, step in steps.items():
    print(f"{WAYS[app]:7}", end="")
    for group in ("submit", "browse", "content"):
        print(
            f"   {group}: p50 {figure(step[group], 'p50_ms'):>6}, p95 {figure(step[group], 'p95_ms'):>7}",
            end="",
        )
    print()

# %% [markdown]
# So the objection is right **for the bystanders**. Who browses is served as fast as by the queued reader: more slots, or a
# loop, end the worst of chapter 1. It is right for the *content*, too, which comes some tenths of a second sooner than with the queue, whose
# visitors have to ask whether it is there.
#
# It is not right **for the visitor who submits**. The formula of chapter 2 says how many are waiting at a time, whatever they wait in: $X \cdot D$
# (Little's law). Slots for all of them cost this much memory:

# %%
alone = feeds_alone(plan.deadline)
D, p95 = mean(alone), nearest_rank(alone, 95)
print(f"the feeds alone: mean D = {D:.2f} s, p95 {in_words(p95)}; no reader that waits for them is faster")
for app in ("sync", "host"):
    rate = steps[app]["submit"]["count"] / plan.measure
    print(f"{WAYS[app]:7} {rate:.1f} submits a second, {littles_law(rate, D):.1f} wait at a time")
memory = steps["sync"]["processes"]["web server"]["memory_mib"]
print(f"memory: 64 threads {memory:.0f} MiB, one loop {twin['memory_mib']:.0f} MiB")

# %% [markdown]
# A thread that waits costs little: some kilobytes of its stack that are in use, and a connection to the database where it holds one. (The
# synchronous reader does not hold one while it fetches.) A process costs tens of megabytes. A loop has next to nothing for each
# that waits, so it waits for ten thousand where threads wait for some hundreds. For *waiting*, async is the best there is.
#
# But not all of the work is waiting.
#
# ## When the loop computes
#
# The loop turns to another visitor where the code says `await`, and nowhere else. A feed has to be parsed, and parsing is computing. Let the feeds
# be long, 100 times as many entries as so far: a large site's archive. Their server answers at once. One visitor adds such a feed every
# 1.5 seconds, and another one looks at the list 20 times a second (timed as chapter 8 demands, from when each look should have begun).
#
# **Write down what you expect:** what is the longest that the list takes?

# %%
predict("the list, while a feed is parsed", seconds=0.1)

# %%
seen = experiment("one-loop", one_loop, in_thread=False, longer=100, seconds=4, every=1.5)
score("the list, while a feed is parsed", slowest(seen))

# %%
loop_figure(seen)

# %% [markdown]
# Each slope is one parsed feed: all who come while it is parsed wait for its end, as before the freezing server of chapter 8. With 64 threads
# it would be milder, since Python's threads take turns of 5 ms at the interpreter; but they share one core, too. The queued reader's web
# server does not parse. Its worker does, in another process, on another core, and can be stopped, or given more cores, by itself.
#
# The cure within async is to hand computing to a thread or a process, and to overlook it nowhere. That is a queue already,
# in memory: with its own workers and backlog, but not yet with a place where it survives.
#
# ## When the process ends
#
# Eight visitors add a feed that hangs. While the feeds are being fetched, every process of the reader is killed: out of memory, a machine that
# goes down, or a deploy that waits for less time than they do. Once with the synchronous reader with its threads, and once with the queued one.
# **Write down what you expect:** for how many of the eight feeds is there still somebody who will fetch them, after a restart?

# %%
predict("still to be fetched, threads", feeds=4)
predict("still to be fetched, queue", feeds=4)

# %%
left = experiment("crash", crash, visitors=8)
score("still to be fetched, threads", left["sync"]["jobs"])
score("still to be fetched, queue", left["queued"]["jobs"])
for app, found in left.items():
    print(f"{WAYS[app]:7}", ", ".join(f"{what}: {number}" for what, number in found.items()))

# %% [markdown]
# What a thread or a coroutine has in hand is in the memory of a process, and goes with it. Here it is worse than lost: the feeds are in the
# database, their pages say "being fetched", and nobody is fetching them. The async twin would show the same. The visitors saw an error,
# and have to come again themselves. The queued reader had answered all of them, and each feed's job is in the table in the same
# transaction as the feed; chapter 7 has shown what the next worker does with it.
#
# A deploy that waits for the end of all requests loses none of them, and takes as long as the slowest. A crash waits for nobody.
#
# ## Who fixes what
#
# | | more threads | async | queue |
# |---|---|---|---|
# | those who browse wait for those who submit | fixed, until the slots are gone | fixed, while nothing computes | fixed |
# | who submits waits for the feed's server | **as before** | **as before** | fixed: an answer now, the content later |
# | the feed's server is down for a minute | an error; the visitor may try again | an error; the visitor may try again | tried again, later |
# | the process ends | lost | lost | kept |
# | a thousand feeds at once | most wait for a slot | all are fetched at once, whatever it does to their servers | a backlog, at the pace of the workers |
# | it computes | shares one core | stops everybody | in another process |
# | what it costs | memory; code that threads may share | another way to write everything, down to the database driver | a worker to run; a page that says "being fetched" |
#
# So take threads or async where the visitor *needs* the answer of the slow server: a search, a price, a payment that must not be taken
# twice. No queue makes it come sooner. Take the queue where the answer may be "we will see to it". And they add up: the web server of the
# queued reader may have threads, as it had here, and a worker's jobs may be coroutines.
#
# What this chapter does not show: an async reader with a database, which would be slower than this twin; and thousands of visitors, for
# whom the loop's small price for each that waits matters most.
#
# ## Exercises
#
# **Exercise 9.1.** From how many *submitting* visitors on must they wait for each other, with 64 threads? They think for 2 s. (Chapter 2 has the
# formula, and `loadtests.theory` the function. `D` stands above.)

# %% tags=["exercise"]
# solution:
visitors = knee(demand=D, slots=64, think=2)
# end

# %%
check(
    "1",
    visitors,
    lambda visitors: abs(visitors * D / (D + 2) - 64) < 1,
    hint="knee(demand=..., slots=..., think=...). At that number, visitors × D / (D + Z) = the slots.",
)

# %% [markdown]
# **Exercise 9.2.** Measure the loop again, with the parsing handed to a thread: `in_thread=True`, all else as above. Call the experiment
# "one-loop-and-a-thread". How long does the list take at most?

# %% tags=["exercise"]
# solution:
handed = experiment("one-loop-and-a-thread", one_loop, in_thread=True, longer=100, seconds=4, every=1.5)
longest = slowest(handed)
# end

# %%
check(
    "2",
    longest,
    lambda longest: 0 < longest < slowest(seen),
    hint="The same call with in_thread=True, under the new name; then slowest() of what it returns.",
)

# %% [markdown]
# **Exercise 9.3.** Your page shows the price of a flight, which another company's server tells you within 2 to 3 s, and nobody books without
# it. Which one word of the table's head would you take for it, `"threads"`, `"async"` or `"queue"`, if there are two thousand visitors
# at a time?

# %% tags=["exercise"]
# solution:
way = "async"
# end

# %%
check(
    "3",
    way,
    "80ff3dc6",  # of the right word
    hint="They need the answer itself, so no queue; and how many wait at a time?",
)

# %% [markdown]
# **Go on.** Give the twin a database, and retries, and let its fetches survive a restart. At which point have you written a queue?
#
# ## What to remember
#
# * Threads and async make waiting cheap, and free the bystanders. The visitor who submits waits as long as before: for the feed.
# * A loop serves nobody while it computes; threads share one core. What waits or computes in a process ends with it.
# * Use them where the visitor needs the slow answer; use a queue where it is enough to know that it will be done.
#
# Chapter 10 asks when one machine is no longer enough for the queue.
