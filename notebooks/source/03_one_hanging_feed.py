# ---
# about: tails, deadlines against timeouts, why means lie, and who suffers from a feed that is not theirs
# minutes: 40
# needs: nothing more
# ---

# %% [markdown]
# # 3. One hanging feed
#
# **The question:** what does a feed that never answers do to those who did not ask for it?
#
# *With slots for the knee and a few more, the team's reader is fast again. Then a popular feed's server goes down. It
# does not fail: it accepts each request, and says nothing for half a minute.*
#
# Chapter 2 predicted the synchronous reader's means well, since its feeds were harmless: none of them took over 2 s.
# Now a few of them never answer. You will see how long a client waits for such a feed, when the other visitors begin to
# notice, and which figures show it.

# %%
from workbook import begin, check, experiment, predict, score

begin(3)

from loadtests.judging.samples import nearest_rank
from workbook import chapter03_checks as checks
from workbook.chapter03 import bystanders, bystanders_figure, looks_during, median, patience, patience_figure
from workbook.chapter03_tails import (
    deadlines_figure,
    print_feeds,
    row_of,
    same_mean,
    waits_figure,
    with_deadline,
)

# %% [markdown]
# ## How long is never?
#
# To keep a client from waiting for ever, you give it a limit. There are two kinds, and they sound alike: a *timeout*, as
# in `requests.get(url, timeout=2)`, and a *deadline*, such as our reader has (the environment variable
# `FEEDREADER_DEADLINE=2`).
#
# And there are two ways in which a feed never comes. One *hangs*: its server accepts the request, and says nothing. The
# other *drips*: it is sent byte by byte, one a second.
#
# Two clients, one with a timeout of 2 s and one with a deadline of 2 s, ask for both feeds, all four at the same time.
# **Write down what you expect:** how many of the four still wait after 6 seconds?

# %%
predict("of four, still waiting after 6 s", waits=0)

# %% [markdown]
# Each is watched for at most 6 seconds:

# %%
waits = experiment("patience", patience, seconds=2, watched=6)
still = [took for of in waits.values() for took in of.values() if took >= 6]
score("of four, still waiting after 6 s", waits=len(still))
patience_figure(waits, seconds=2, watched=6)

# %% [markdown]
# **A timeout bounds one read.** It allows 2 s for the connection, and then 2 s for each read, so each byte that drips in
# restarts them. That helps against a server that hangs, but not against one that is slow in small pieces: a feed of
# thousands of bytes keeps this client for hours. **A deadline bounds the whole.** Our reader starts a clock when it
# begins, and when time is up it cuts the connection, whatever it is waiting for. No argument of `requests` does that:
# see `feedreader/dialing.py`.
#
# ## Four slots, three hanging feeds
#
# The reader keeps its deadline, 3 seconds now, and has 4 slots. Visitors look at its list of feeds, ten of them a
# second, which needs nothing slow. Meanwhile three feeds that hang are submitted at once. When these have been given
# up, four are.
#
# **Write down what you expect:** within how many seconds do half of the visitors who come while three feeds hang have
# their list? And how long does one wait, at worst, while four do?

# %%
predict("half of the pages, 3 of 4 slots hang", seconds=0.1)
predict("the slowest page, 4 of 4 slots hang", seconds=0.7)

# %%
seen = experiment("bystanders", bystanders, slots=4, deadline=3, waves=(3, 4), every=0.1)
score("half of the pages, 3 of 4 slots hang", **median(looks_during(seen, 0)))
score("the slowest page, 4 of 4 slots hang", seconds=max(looks_during(seen, 1)))
bystanders_figure(seen)

# %% [markdown]
# **Three feeds hang, and nobody notices.** One slot is enough for all these pages. **The fourth stops everything.**
# Anybody who comes then waits until the first slot is free again: the dashed line, what is left of the deadline. Nobody
# waiting asked for anything slow, and the server's processor is idle.
#
# Between "all is well" and "all is down" lies one hanging feed. What do figures over all these visitors say about it?

# %%
print(row_of([took for _, took in seen["looks"]]))

# %% [markdown]
# The median is that of a healthy server. The mean is a time that hardly anybody waited: most waited for much less, some
# for much more. The 95th and 99th percentiles show it.
#
# ## Why means lie
#
# Take only the feeds, with nobody waiting for a slot: all of them typical, and then with 2 of 100 that hang, with a
# deadline of 5 s:

# %%
print_feeds([{"typical": 100}, {"typical": 98, "hang": 2}], deadline=5)

# %% [markdown]
# The mean rises by a tenth of a second. The median hardly moves, the 95th percentile by less than the mean, and the
# 99th is at the deadline. The *tail*, the slowest few in a hundred, is where a dependency's trouble shows first if it
# hits only a few.
#
# A mean can even stay the same. Here are three kinds of feeds with the *same* mean demand, 0.27 s, simulated with the
# same 4 slots and 20 visitors, of whom 14 submit and all think for 1 s: all feeds take 0.27 s; their times are
# exponential; or 95 of 100 come at once and 5 hang, until a deadline of 5 s. **Write down what you expect:** the 95th
# percentile of a submit's wait for a slot: how many times as long is it when a few hang as when all are alike?

# %%
predict("p95 of the wait, a few hang against all alike", times=1)

# %%
simulated = same_mean(share=0.05, deadline=5, slots=4, users=20, think=1)
for name, each in simulated.items():
    print(f"{name:12} {row_of(each.waits)}")
alike, _, hanging = (nearest_rank(each.waits, 95) for each in simulated.values())
score("p95 of the wait, a few hang against all alike", times=hanging / alike)
waits_figure(simulated, demand=0.27, slots=4, users=20, think=1)

# %% [markdown]
# The slots are about equally busy in all three cases, since $X \cdot D / c$ has only the mean in it. The line is not
# the same. If a few feeds hang, fewer visitors have to wait at all, but a third of those wait for over a second: now
# and then hanging feeds hold all four slots at once.
#
# The dotted curve is chapter 2's formula, M/M/c//N, for the 14 who submit (the wait for the page that follows is added
# to their think time). It lies close to the simulation with exponential times, and is far off for feeds that hang.
# Where feeds can hang, don't ask it for a percentile: simulate, or measure.
#
# ## Which deadline?
#
# A hanging feed holds a slot for as long as the deadline allows. So should it be short? Not all slow feeds hang. In
# chapter 1's mix 15 of 100 take 2 to 6 s, and then come. Its forty visitors and eight slots again, simulated with other
# deadlines:

# %%
deadlines_figure((1, 2, 3, 5, 10, 30))

# %% [markdown]
# Each deadline costs something. Everybody pays for a long one, by waiting for a slot. Those whose feeds are slow but
# good pay for a short one. In a web request no deadline is right; a job in a queue can have a long one, since it holds
# no request slot. That is chapter 5.
#
# ## Exercises
#
# **Exercise 3.1.** Write `held(rate, share, deadline)`: a reader gets `rate` feeds a second, of which the `share` (0.05
# is 5 %) hang. How many slots do those that hang hold on average?


# %% tags=["exercise"]
def held(rate, share, deadline):
    # solution:
    return rate * share * deadline
    # end


# %%
check("1", held, checks.held_by_hanging)

# %% [markdown]
# **Exercise 3.2.** A document comes in pieces; `gaps` are the seconds before each of them. Write
# `with_timeout(gaps, timeout)` and `bounded(gaps, deadline)`: how long does a client wait until it has the whole
# document or gives up?


# %% tags=["exercise"]
def with_timeout(gaps, timeout):
    # solution:
    late = next((n for n, gap in enumerate(gaps) if gap > timeout), None)
    return sum(gaps) if late is None else sum(gaps[:late]) + timeout
    # end


def bounded(gaps, deadline):
    # solution:
    return min(sum(gaps), deadline)
    # end


# %%
check("2", (with_timeout, bounded), checks.waits_for_pieces)

# %% [markdown]
# **Exercise 3.3.** With chapter 1's visitors, what is the longest deadline, in steps of a quarter of a second, with
# which 95 % of them wait at most 1 s for a slot (1.01 s is too long)? `with_deadline(4.0)["wait_p95"]` simulates one;
# each takes a moment.

# %% tags=["exercise"]
# solution:
longest = max(n / 4 for n in range(1, 21) if with_deadline(n / 4)["wait_p95"] <= 1)
# end

# %%
check("3", longest, checks.longest_deadline)

# %% [markdown]
# **Go on.** Measure chapter 1's forty visitors with the deadline that you found:
#
# ```python
# from loadtests.bench.plan import Plan
# from workbook import bench
#
# measured = bench(Plan(users=(40,), apps=("sync",), measure=8, think=1, deadline=longest))
# ```
#
# It prints the line of those who submit, whose own feeds are slow. Look at `measured["steps"][0]["browse"]["p95_ms"]`:
# those who browse wait only for slots.
#
# How many slots would achieve the same as the shorter deadline? If all the visitors submitted the same feed, would the
# reader have to fetch it once for each?
#
# ## From memory
#
# <details><summary>Each call in your code has a timeout of 2 s. Can a request still take ten minutes?</summary>
#
# Yes: the timeout begins anew with each read, so a server that sends a little every second is never late. Only a
# deadline ends the whole.
#
# </details>
#
# <details><summary>One request in fifty calls a service that has stopped answering. Which figure of your monitoring
# shows it first, and which ones hardly move?</summary>
#
# The 99th percentile, which is at the limit at once. The median does not move, and the mean by a small part of that
# limit.
#
# </details>
#
# <details><summary>A reader has 16 slots, and 15 feeds hang. How are its other visitors, and what changes with the next
# such feed?</summary>
#
# They hardly notice, as long as one slot is enough for them. With the next all of them wait, until the first of the
# sixteen is given up.
#
# </details>
#
# ## What to remember
#
# * A timeout bounds each read, a deadline the whole. Only a deadline limits how long a slot can be held.
# * The mean says little about the tail, and the tail fills the slots. Look at the 99th percentile, and at the share
#   over 500 ms.
# * Those who wait need not be those who asked: one hanging feed more than there are slots to spare, and all visitors
#   stand still.
#
# **Next:** the fetch has to leave the request. What would hold it meanwhile? Chapter 4 builds a queue from a table and
# ten lines.
