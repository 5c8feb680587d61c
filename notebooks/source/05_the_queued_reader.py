# ---
# about: the flat line, and what it costs
# minutes: 40
# needs: nothing more
# ---

# %% [markdown]
# # 5. The queued reader
#
# **The question:** the queued reader answers at once, whatever the feed's server does. Who pays for that, and with what?
#
# *The weekend's queue works, and the three move the fetch behind it. A feed that is added now answers at once, with a
# page that says "being fetched". Before it goes online they want to know what it costs.*
#
# Chapter 1 showed the gain. A fair comparison also shows the cost. So you look at the time to the *content* as well as
# the time to the answer, at all requests that either reader gets, and at the processes that do the work.

# %%
from workbook import begin, bench, check, counted, experiment, last_steps, predict, sampled, score

begin(5)

from math import ceil
from statistics import mean

from loadtests.bench.plan import Plan
from loadtests.feedserver.kinds import delay_of, kind_of
from workbook import chapter05 as lab
from workbook import chapter05_checks as checks
from workbook.chapter05 import alone, requests_a_second, seen_at, submit_some
from workbook.chapter05_pictures import answer_and_content_figure, requests_figure, staircase_figure

# %% [markdown]
# ## When nobody waits for a slot
#
# First, without a crowd: seven feeds, whose servers take from 0.15 to 1.6 seconds, and a *request slot* for each of
# them. Nobody waits for anybody else.
#
# The synchronous reader answers when it has the feed, and the page with the entries follows at once. The queued reader
# answers at once with a page that says "being fetched". How does that page learn that the feed has come? It asks (this
# is *polling*): a script in the page asks the reader first after half a second, then at intervals each twice as long as
# the one before, up to 4 s.
#
# **Write down what you expect.** A feed's server takes 0.9 s. After how many seconds does the visitor see the entries?

# %%
predict("content of a 0.9 s feed, synchronous", seconds=0.9)
predict("content of a 0.9 s feed, queued", seconds=0.9)

# %%
takes = (0.15, 0.25, 0.4, 0.6, 0.9, 1.2, 1.6)
seen = experiment("nobody-waits", alone, apps=("sync", "queued"), delays=takes)
score("content of a 0.9 s feed, synchronous", seconds=seen["sync"][4]["content"])
score("content of a 0.9 s feed, queued", seconds=seen["queued"][4]["content"])
staircase_figure(seen)

# %% [markdown]
# Three things are in this picture.
#
# * **The flat line**, at the bottom: the queued reader's answer. It does not depend on the feed's server.
# * **The diagonal**: with the synchronous reader the answer takes as long as the feed does, and the content is there
#   with it.
# * **The stairs**: with the queued reader the content is seen at the first poll after the feed has come. A step is as
#   long as a pause between two polls. The worker's own milliseconds are added, so a feed that comes just before a poll
#   may miss it, and is a step higher.
#
# So while nobody waits for a slot, the content comes *later* with the queue, by up to the current pause (or by one more,
# if it misses a poll). You can poll more often, and pay in requests. Or the server can notify the page (server-sent
# events, a WebSocket), and pay with a connection held for each waiting page.
#
# ## When many wait
#
# Now sixty users, and chapter 1's feeds. Seven of ten users submit a feed, wait for its content, think for 2 seconds on
# average, and submit the next. The others browse. Each reader has 8 slots; the queued one also has a worker with 32
# threads.
#
# **Write down what you expect:** the median time to the content with the synchronous reader; with the queued one, the
# share of contents that are seen within 500 ms; how many feeds a second these users give the queued reader, if they
# give the synchronous one some seven; and what share of all requests to the queued reader are polls.

# %%
predict("content with 60 users, synchronous", seconds=2)
predict("contents within 500 ms, queued", percent=30)
predict("feeds a second, queued", per_second=7)
predict("polls among the queued reader's requests", percent=15)

# %% [markdown]
# There is one step per reader, of some 20 seconds. (If a line ends in *unsteady*, the two halves of the measured time
# differed: six seconds are few, and the crowd is still settling. Chapter 10 is about that.)

# %%
plan = Plan(users=(60,), warmup=3, measure=6, drain=3, seed=5)
results = experiment("sixty-users", bench, plan=plan, rows=True)
steps = last_steps(results)
rates = requests_a_second(results)
score("content with 60 users, synchronous", **sampled(steps["sync"]["content"], "p50_ms"))
quick, waited_for = lab.contents_within(results, "queued", seconds=0.5)
score("contents within 500 ms, queued", **counted(quick, of=waited_for))
score("feeds a second, queued", per_second=rates["queued"]["submit"])
requests = steps["queued"]["requests"]
polls = round(steps["queued"]["polls_share"] * requests)
score("polls among the queued reader's requests", **counted(polls, of=requests))
answer_and_content_figure(results)

# %% [markdown]
# ## What you see
#
# With the synchronous reader the content takes the answer's time and one more wait in the same line: the page with the
# entries needs a slot, too. With the queued reader the two have come apart: its answers lie far to the left of the line
# at 500 ms, its contents to the right, half of them close to it (seen at the first poll). The rule is about the answer.
#
# And the median content now comes *sooner* with the queue, although the page has to ask for it. The eight slots are
# full, so the synchronous reader's visitors wait for a slot before their feed is fetched at all. The queued reader's
# worker has 32 threads, and nobody waits for one of these. (That is not because the queue is faster, but because 32 are
# more than 8. Chapter 11 gives the synchronous reader 64 slots.) The slowest contents stay slow: a feed that hangs takes
# its whole deadline with either.
#
# **In short:** later by a pause while there is room, sooner when the slots are full.
#
# ## The same users, more work
#
# Now what each reader was asked to do:

# %%
requests_figure(rates)

# %% [markdown]
# **Polls** are the requests that the queue adds. Each is cheap, but there are many: a visitor who waits for a slow feed
# sends three or four. **Pages** are opened twice for each feed: one that says "being fetched", and one with the entries.
#
# **More feeds** are less expected. These users are a *closed load*: each waits for the content before going on. Those
# who are served sooner come back sooner; so do browsers, who no longer wait for a slot. With $N$ users who submit,
# think time $Z$, and time to content $R$, the reader is given
#
# $$ X = \frac{N}{R + Z} $$
#
# feeds a second. Before anything is measured, $R$ can be computed for both: from the model of chapter 2 for the
# synchronous reader with its 8 slots (without browsers, and without the page's own wait for a slot), and from the
# stairs, averaged over ten thousand feeds of the mix, for the queued one.

# %%
delays = [min(plan.deadline, delay_of(kind_of(n), n)) for n in range(10_000)]
waits = [seen_at(delay) for delay in delays]
expected = lab.expected_rates(plan, mean(delays), mean(waits))
lab.show_rates(plan, {"sync": delays, "queued": waits}, expected, results)
print(f"The worker, expected: {expected['queued'] * mean(delays):.1f} of its 32 threads are busy")

# %% [markdown]
# "95 % of such steps": 95 of 100 simulated steps lie between these two figures. The queued reader's mean over many of
# them is what the formula says; the synchronous reader's is a little less, since pages and browsers, which the model
# leaves out, need slots too. One step is short: another `seed` in the plan draws other feeds, and gives another figure.
#
# Two things follow. A comparison "at the same number of users" is not one at the same work: the faster system does
# more. And a reader that moves to a queue needs workers for *more* than it did before. The public, who come whether or
# not others have been served, behave differently (*open load*, chapter 9).
#
# ## The process that does the work
#
# The feeds are now fetched by another process. What does it need, and what does a feed cost?

# %%
lab.show_processes(results)

# %% [markdown]
# The worker is one Python program with its libraries, and so is each of the web server's 8 processes. (What these have
# in common is counted once.) Fetching and parsing have moved from the web server to the worker; the polls, the pages
# that are shown twice, and the job itself (written, claimed, deleted) are extra. (The browsers' requests are in the CPU
# figures, too.) Under this load neither reader is short of CPU: what the synchronous one lacks is slots, that is,
# places to wait in.
#
# What no figure shows: one more program to deploy, to watch and to restart, and a page that must be able to say "not
# yet".
#
# ## Exercises
#
# **Exercise 5.1.** Another page polls at a fixed interval, every `pause` seconds, for the first time after one `pause`.
# Its feed has come after `done` seconds (more than 0); one that comes exactly at a poll is seen by it. Write
# `seen_every(done, pause)`: when does the visitor see it? (`ceil` is there, from `math`.)


# %% tags=["exercise"]
def seen_every(done, pause):
    # solution:
    return pause * ceil(done / pause)
    # end


# %%
check("1", seen_every, checks.sees_it_at_the_first_poll)

# %% [markdown]
# **Exercise 5.2.** With how many users, submitters and browsers together, would the queued reader be given only as many
# feeds a second as are expected for the synchronous one with 60, `expected["sync"]`? `waits` holds its times to content,
# one for each feed of the mix.

# %% tags=["exercise"]
# solution:
users = expected["sync"] * (mean(waits) + plan.think) / 0.7
# end

# %%
check("2", users, checks.give_as_many_feeds(expected, waits, plan))

# %% [markdown]
# **Exercise 5.3.** Is a flat line good news? Start the queued reader without any worker, and submit ten feeds: the
# experiment is called "no-worker", it calls `submit_some`, with `workers=0` and `feeds=10`. Then compare what it prints
# with the rule, and look at `jobs_left`.

# %% tags=["exercise"]
# solution:
idle = experiment("no-worker", submit_some, workers=0, feeds=10)
# end

# %%
check("3", idle, checks.nobody_did_a_job)

# %% [markdown]
# Every answer keeps the rule, and nobody ever gets any content. If you watch only the latency of the answers, you see a
# perfect system. Also watch the age of the oldest job that is due (`jobqueue check --max-age 300` does), and how many
# have failed for good: those are no longer due.
#
# **Go on.** In which of your own programs could a page say "not yet"? In which must the answer be the content, say
# because another program is waiting for it?
#
# ## From memory
#
# <details><summary>Two users alone, a fast feed's server: who sees a feed's entries first, and why not by much?</summary>
#
# The one with the synchronous reader: the other's page asks only after a pause. That pause is short while the wait has
# been short, and grows with it.
#
# </details>
#
# <details><summary>With many users the content came sooner through the queue. Would it with as many threads as slots?</summary>
#
# Hardly: a feed would wait for a thread as it waited for a slot before, and for a poll as well. Only the answer, and the
# pages of others, would no longer wait.
#
# </details>
#
# <details><summary>"At 60 users the queued reader needs more CPU, so a queue costs CPU." What is wrong with that?</summary>
#
# The same users are not the same work: served sooner, they come back sooner. Compare the CPU for each feed.
#
# </details>
#
# ## What to remember
#
# * A queue makes the answer independent of the work, not the content. The content comes later by a poll, or sooner if
#   it had to wait for a slot.
# * Content that comes sooner brings more work: the same users come back sooner. Polls add to it.
# * A flat line says that jobs are being recorded. Watch the age of the oldest job that is due, and how many have failed
#   for good.
#
# The new reader goes online. On Monday some feeds stay "being fetched", and nobody knows why: chapter 6 looks into the
# queue.
