# ---
# about: eight ways in which a load test can mislead you, and how to notice
# minutes: 45
# needs: nothing more
# ---

# %% [markdown]
# # 9. Measuring without fooling yourself
#
# > The first principle is that you must not fool yourself—and you are the easiest person to fool.
# >
# > — Richard Feynman, 1974
#
# **The question:** a load test has printed a percentile. What must be true of the test for that figure to be true?
#
# The seven chapters before this one rest on measured figures. Here the tools themselves are measured: first on a server
# whose behaviour we know to the millisecond, then on rows that we make up, so that the right answer is known.

# %%
from workbook import begin, check, counted, experiment, predict, sampled, score

begin(9)

import math
from itertools import count

from loadtests.judging.intervals import percentile_ranks
from loadtests.predicting.simulation import Period, simulate_closed
from loadtests.predicting.workload import Workload
from loadtests.report.chart_rows import timeline_figure
from loadtests.wording import duration, figure, percent
from workbook.chapter09 import closed_and_open, frozen_server, judged, many_runs, servers, tell, tools_of
from workbook.chapter09_pictures import runs_figure, two_clocks_figure

# %% [markdown]
# ## A server that freezes
#
# A server answers in 5 ms. Once, it stands still for 2 seconds, as real ones do during a garbage collection, behind a
# lock, or while a backup runs. Nothing is lost: requests that come in meanwhile are answered afterwards.
#
# Three tools load it at the same time, for some 8 seconds, 40 times a second each. First, two of them:
#
# * **closed**: one user asks, waits for the answer, and asks again 25 ms after it last asked, or as soon as a late
#   answer is there. Most load tests work like this, with more users.
# * **open**: the moments at which somebody comes are drawn beforehand, and somebody comes at each of them, whether or
#   not others are still waiting. The public works like this.
#
# **Write down what you expect.** What 99th percentile will each of the two report? And with the second, what share of
# the requests will have taken over 500 ms?

# %%
predict("p99, closed", seconds=1)
predict("p99, open", seconds=1)
predict("over 500 ms, open", percent=5)

# %%
looks = experiment("freeze", frozen_server, rate=40, warmup=2, seconds=10, freeze_at=5, freeze=2)
tools = tools_of(looks)
closed, opened = judged(tools["closed"]), judged(tools["open"])
score("p99, closed", **sampled(closed, "p99_ms"))
score("p99, open", **sampled(opened, "p99_ms"))
score("over 500 ms, open", **sampled(opened, "share_over"))
timeline_figure(
    [tools["closed"], tools["open"]], "The same freeze of the same server, as two tools have seen it"
)

# %% [markdown]
# ## What you see
#
# The closed tool saw the freeze as one single request of two seconds. Its user waited for that answer, and *did not ask
# meanwhile*. All the other requests that would have been slow were never sent. The server's trouble decided which
# requests were measured. This is called *coordinated omission* (Gil Tene): the tool and the server agree on what to
# leave out.
#
# The open tool's picture shows a slope (a straight line, bent by the logarithmic axis): those who came at the beginning
# of the freeze waited for all of it, those who came at its end hardly at all. The people in front of a browser are in
# this picture.
#
# ## What it should have been
#
# No simulation is needed. People come evenly over $T$ seconds, and for $F$ of these the server stands still. Those who
# come $u$ seconds before it resumes wait $u$ seconds. So, as long as $t < F$ and $(1 - p)\,T < F$, the share that waits
# longer than $t$ is
#
# $$ P(R > t) = \frac{F - t}{T}, \qquad \text{and the quantile } p \text{ is at} \quad F - (1 - p)\,T. $$
#
# The closed tool sends $\lambda (T - F)$ requests and one more, and only that one is slow. The rule of this project is
# that at most 1 % of the requests may take over 500 ms:

# %%
freeze, rate = 2, 40
start, end = tools["open"].window
T = end - start
print(f"closed should have {percent(1 / (rate * (T - freeze) + 1))} over 500 ms")
print(f"open should have {percent((freeze - 0.5) / T)} over 500 ms, and a p99 of {freeze - 0.01 * T:.2f} s")
tell(looks, "closed", "open")

# %% [markdown]
# From the command line this verdict is a load test's exit status: 0 for kept, 1 for broken, and one of its own, 4, where
# the interval reaches across the limit and more requests are needed.
#
# ## From when does a latency count?
#
# A schedule alone is not enough. The third tool had the same schedule, but only one connection: a visit that comes
# while it is busy has to wait for it, *inside the tool*. Each row holds both moments, when the request was meant to
# begin and when it was sent:

# %%
late, naive = judged(tools["one connection"]), judged(tools["one connection"], naive=True)
for name, seen in (("from when it was meant to begin", late), ("from when it was sent", naive)):
    print(f"{name:31}  p99 {figure(seen, 'p99_ms'):>8}  over 500 ms {percent(seen['share_over'])}")
two_clocks_figure(tools["one connection"])

# %% [markdown]
# Timed from the moment of sending, the tool with a schedule sees no more than the closed one: one slow request. So this
# project measures every latency from the *intended* start, and keeps the naive one only to show the difference. Ask of
# any tool: what does it do when it is late?
#
# Even so, this tool finds more over 500 ms than the open one. After the freeze its own line has to be worked off one by
# one, which delays visits that would not have been late. An honest clock does not fix a tool with too few connections.
#
# ## Open or closed?
#
# Neither is wrong; they are different questions. Take eight request slots; each request holds one for 0.9 s on average.
# There are 10, 20, 40 and 80 people, who think for 2 s: *closed*, they wait before they think again; *open*, others
# like them come at the rate that these people would have if nobody ever waited.

# %%
closed_and_open(people=(10, 20, 40, 80), slots=8, think=2, demand=0.9)

# %% [markdown]
# **Closed load can't make the line grow without end**: those who wait send nothing, so the line never holds more than
# the users. That is true of twenty people in an office who use a program all day, and of a pool of workers. It is not
# true of the public, where each newcomer knows nothing of those who are waiting. If you don't know who your users are,
# measure open.
#
# ## Warm-up
#
# A server that has just started is not the one you are asking about: it is either slower (nothing is cached, no
# connection is open) or, with long requests, faster, because nobody is waiting yet. The second case is easily
# overlooked. Forty people, as above, simulated from an empty server on (but each opens a page afterwards, which takes 1
# ms and also waits for a slot; the figures are those of the long request alone); 5 seconds are measured, after a
# warm-up that is left out:

# %%
work = Workload(think=2, submitters=1, submit=0.9, page=0.001, browse=0.001)
for warmup in (0, 30):
    seen = simulate_closed(work, slots=8, users=40, period=Period(warmup, 5), seed=8).figures()
    print(f"warm-up {warmup:2} s   p50 {duration(seen['p50_ms']):>6}   p95 {duration(seen['p95_ms']):>6}")

# %% [markdown]
# How long is enough? Until the first half of the measured time looks like the second. `make bench` compares the two,
# and marks a step that is not steady.
#
# ## Percentiles out of buckets
#
# A tool that stores few numbers rounds them. Locust keeps two digits of each response time, and computes its
# percentiles from these. 494.9 ms reads "490"; anything from 495 to 505 ms reads "500"; 505.1 ms reads "510". So a
# percentile of "500 ms" does not say on which side of the rule the true one lies. A verdict needs the unrounded times.
#
# ## What is counted
#
# A minute of 600 made-up requests. Nine in ten are good, some 150 ms. One in ten, always the same ones, is unlucky in
# one of three ways: *slow*, it takes 3 to 5 s; *refused*, an overloaded server says 503 after 2 ms; *unanswered*, it is
# still waiting when the test ends. Which of the three would you call the best server?

# %%
servers("slow", "refused", "unanswered")

# %% [markdown]
# A tool that takes the percentile of whatever came back prefers the two servers that did *not* serve a tenth of their
# visitors. Fast failures flatter, and a tool that waits for answers can't see requests that are never answered. So
# here:
#
# * **A failure has no latency.** It stays out of the percentiles, and always counts as over the rule.
# * **An unfinished request is a lower bound** (statistics calls it *right-censored*): it took at least as long as it
#   had waited. A percentile that rests on such requests, still open at the end, is written "≥" (in each of the three,
#   the very last ones were).
# * The figure that survives all three is the **share over 500 ms**. It ranks none of the three above another: each of
#   them breaks the promise to one visitor in ten. The percentiles alone would still prefer the server that refuses. The
#   visitors would prefer the slow one: it serves them in the end. To see that, look at failures and unfinished requests
#   along with the share.
#
# ## Was it the server?
#
# If the load generator or the machine is too busy, a test measures these as well as the server. That only makes latencies
# longer. So a step here is *slowed* if the generator was late (over 10 ms at the 99th percentile) or used over 80 % of
# its core, or if the machine was over 80 % busy. Its latencies are upper bounds: they can show that the rule was kept,
# but not that the server broke it. A step is *not fit*, and gets no verdict, if it was not the load that was asked for:
# if users were missing, say, or if Little's law, $N = X (R + Z)$ over all rows, gives another number of users (by more
# than 5 %, and what chance allows).
#
# ## How many requests?
#
# A promise: "95 % of our answers take at most 500 ms". A server keeps it: its true 95th percentile is 478 ms. You
# measure it with 100 requests, and look at their p95. **How often will that be over 500 ms**, and wrongly call the
# promise broken?

# %%
predict("wrong verdicts, runs of 100 requests", percent=2)

# %%
runs = {requests: many_runs(requests) for requests in (20, 100, 400, 2000)}
wrong = sum(p95 > 500 for p95 in runs[100])
score("wrong verdicts, runs of 100 requests", **counted(wrong, of=len(runs[100])))
runs_figure(runs)

# %% [markdown]
# The p95 of 100 requests is one of them, the sixth slowest. Reporting a percentile without its interval hides that.
# (How often it errs depends on the server's tail. That runs of 20 err less often is no merit: the p95 of 20 is the
# second slowest, which reads low more often than not, and would also pass a server that breaks its promise.)
#
# An interval needs no assumption about how latencies are distributed. Each request is below the true percentile with
# probability $p$, so the number of those below is binomial; the ranks between which the percentile lies with 95 %
# follow from that. For a share, the same reasoning gives the Clopper-Pearson interval. An interval that is bounded on
# both sides takes at least this many requests:

# %%
for p in (50, 90, 95, 99):
    least = next(n for n in count(1) if percentile_ranks(n, p))
    tail = max(p, 100 - p) / 100
    print(f"p{p} has a 95 % interval from {least:3} requests on: {tail}^{least} = {tail**least:.4f}")

# %% [markdown]
# The reason is in the last column: if all $n$ requests happen to be below the percentile (chance: $p^n$), nothing
# bounds it from above. That chance has to be at most 2.5 %. (Or 5 %, if only the upper bound is wanted: then p95 needs
# 59.)
#
# Go back to the two intervals at the top of this chapter, those of the closed and of the open tool. They do not even
# overlap. Each is computed exactly, and one of them does not contain the truth: an interval accounts for chance, and
# for nothing else. It can't know about requests that were never sent. And it assumes that requests are independent,
# while the slow ones of the open tool all come from *one* freeze. Whether there is one freeze a minute or one an hour,
# these ten seconds can't say. For that, measure longer, and repeat: the differences between repeats show what a single
# run can't know.
#
# ## Exercises
#
# **Exercise 9.1.** Write `over(seconds, freeze)`: what share of the people waits longer than 0.5 s, if they come evenly
# over that many seconds, and the server freezes once, for `freeze` seconds?


# %% tags=["exercise"]
def over(seconds, freeze):
    # solution:
    return max(0, freeze - 0.5) / seconds
    # end


# %%
check(
    "1",
    over,
    lambda over: (
        (over(60, 2) <= 1 or "A share is a number from 0 to 1.")
        and abs(over(60, 2) - 0.025) < 1e-9
        and (over(60, 0.3) == 0 or "And a freeze of 0.3 s? Nobody waits over 0.5 s.")
    ),
    hint="Those who come in the last half second of the freeze wait less. All others in it wait longer.",
)

# %% [markdown]
# **Exercise 9.2.** Somebody wants to know the 99.9th percentile, with a 95 % interval. How many requests are needed at
# the very least?

# %% tags=["exercise"]
# solution:
needed = math.ceil(math.log(0.025) / math.log(0.999))
# end

# %%
check(
    "2",
    needed,
    lambda n: (n == int(n) or "Requests come whole.") and 0.999**n <= 0.025 < 0.999 ** (n - 1),
    hint="As above: how probable is it that all n are below it, and how probable may that be?",
)

# %% [markdown]
# **Go on.** Measure a freeze of 0.4 s:
# `experiment("short", frozen_server, rate=40, warmup=2, seconds=10, freeze_at=5, freeze=0.4, recorded=False)`. Which of
# the figures above still shows it? A shop is mentioned on television, and strangers open its page: with what kind of
# load do you test that? And what does your own monitoring do with a request that was not answered?
#
# ## What to remember
#
# * Measure from when a request should have begun, and count what failed, was not finished, or was never sent. A tool
#   that waits for answers stops looking when it matters.
# * Closed load asks what a known number of people see; open load asks what the public sees.
# * A percentile has an interval, or it is a rumour: p95 needs 72 requests, p99 needs 368, and a narrow interval needs many more.
#
# Chapter 11 measures the two objections that every reader of chapter 1 has had, threads and async, by these rules.
