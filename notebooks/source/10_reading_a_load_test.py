# ---
# about: what to ask of a load test's figures before you believe them, and how many requests an answer takes
# minutes: 30
# needs: nothing more
# ---

# %% [markdown]
# # 10. Reading a load test
#
# **The question:** a load test has printed its figures. What do they prove?
#
# The team's tool now sends what the public would send, and times it from the right moment. The colleague who doubted it
# takes the printed page, and has five more questions. What had happened before? Was it the server? What was counted?
# How exact is it? How sure is it? Nothing is measured in this chapter: its requests are made up, so that the right
# answer is known.

# %%
from workbook import begin, check, counted, predict, score

begin(10)

import math

from loadtests.predicting.simulation import Period, simulate_closed
from loadtests.predicting.workload import Workload
from loadtests.wording import duration
from workbook import chapter10_checks as checks
from workbook.chapter10 import fewest, many_runs, servers, show_reports
from workbook.chapter10_pictures import runs_figure

# %% [markdown]
# ## What had happened before?
#
# A server that has just started is not the one you are asking about. That it may be slower is well known: nothing is
# cached, and no connection is open. Now take forty people and eight slots, simulated from an empty server on. Each asks
# for work of some 0.9 s, then opens a page that takes 1 ms (and waits for a slot, too), and thinks for some 2 s. 5
# seconds are measured, at once, and after a *warm-up* of 30 s that is left out. Here are the long requests:

# %%
work = Workload(think=2, submitters=1, submit=0.9, page=0.001, browse=0.001)
for warmup in (0, 30):
    seen = simulate_closed(work, slots=8, users=40, period=Period(warmup, 5), seed=8).figures()
    print(f"warm-up {warmup:2} s   p50 {duration(seen['p50_ms']):>6}   p95 {duration(seen['p95_ms']):>6}")

# %% [markdown]
# With long requests the beginning is *faster*: nobody is waiting yet. So a warm-up is needed here, too. How long must
# it be? Long enough that the two halves of the measured time look alike. `make bench` compares them in each *step* (it
# measures one number of users after another), and marks a step that is not steady.
#
# ## Was it the server?
#
# If the load generator or the machine is too busy, a test measures these as well as the server. That only makes
# latencies longer. So a step here is *slowed* if the generator was late (over 10 ms at the 99th percentile) or used
# over 80 % of its core, or if the machine was over 80 % busy. Its latencies are upper bounds: they can show that the
# rule was kept, but not that the server broke it.
#
# A step is *not fit*, and gets no verdict, if it was not the load that was asked for: if users were missing, say, or if
# Little's law, $N = X (R + Z)$ over all rows, gives another number of users (by more than 5 %, and what chance allows).
#
# ## What was counted?
#
# A minute of 600 requests. About nine in ten are good: some 150 ms, hardly ever over 500 ms. The others, always the
# same ones, are unlucky in one of three ways: *slow*, they take 3 to 5 s; *refused*, an overloaded server says 503
# after 2 ms; *unanswered*, they are still waiting when the test ends. Here is what a tool sees that takes the
# percentile of whatever came back, and what this project's count says:

# %%
servers("slow", "refused", "unanswered")

# %% [markdown]
# Such a tool prefers the two servers that did *not* serve a tenth of their visitors. Fast failures flatter, and a tool
# that waits for answers can't see requests that are never answered. So here:
#
# * **A failure has no latency.** It stays out of the percentiles, and always counts as over the rule.
# * **An unfinished request is a lower bound** (statistics calls it *right-censored*): it took at least as long as it
#   had waited. A percentile that may rest on such requests is written "≥". All three are, since requests that began
#   just before the end were still open.
# * The figure that survives all three is the **share over 500 ms**. It ranks none of the three above another: each
#   breaks the promise to about one visitor in ten. The visitors would prefer the slow one: it serves them in the end.
#   To see that, look at failures and unfinished requests along with the share.
#
# ## How exact is it?
#
# A tool prints a 95th percentile of "500 ms". Was it at most 500 ms? If it stores few numbers, it rounds them. Locust
# keeps two digits of each response time, and computes its percentiles from these: anything from 495 to 505 ms reads
# "500". So nobody knows on which side of the rule it was. A verdict needs the unrounded times.
#
# ## How sure is it?
#
# A promise: "95 % of our answers take at most 500 ms". A server keeps it: its true 95th percentile is 478 ms, and only
# 4.1 % of its answers take over 500 ms. You measure it with 100 requests, and look at their p95. **Write down what you
# expect:** how often will that be over 500 ms, and wrongly call the promise broken?

# %%
predict("wrong verdicts, runs of 100 requests", percent=2)

# %%
runs = {requests: many_runs(requests) for requests in (20, 100, 400, 2000)}
wrong = sum(p95 > 500 for p95 in runs[100])
score("wrong verdicts, runs of 100 requests", **counted(wrong, of=len(runs[100])))
runs_figure(runs)

# %% [markdown]
# The p95 of 100 requests is one of them, the sixth slowest: it is over 500 ms if six of them are, or more, where 4.1
# are expected. Reporting a percentile without its interval hides that. (That runs of 20 err less often is no merit: the
# p95 of 20 is the second slowest, which reads low more often than not, and would also pass a server that breaks its
# promise.)
#
# A 95 % *interval* of a percentile needs no assumption about how latencies are distributed: it lies between two of the
# requests. Each request is below the true percentile with the same probability, so how many of them are is binomial,
# and that gives the ranks of the two. With too few requests there is no upper one: it is too likely that all of them
# happen to be below the percentile, and then nothing bounds it from above. The interval may miss the truth in 5 % of
# all tests, half of them on this side, so 2.5 % is too likely.
#
# **Write down what you expect:** how many requests does an interval of the 99th percentile need at the very least?

# %%
predict("p99: fewest requests for an interval", requests=100)

# %%
least = fewest()
score("p99: fewest requests for an interval", requests=least[99])
print(", ".join(f"p{p} needs {n}" for p, n in least.items()))

# %% [markdown]
# That is for *an* interval; a narrow one needs many more. For a share, the same reasoning gives the Clopper-Pearson
# interval. A verdict of this project is "kept" or "broken" only if the whole interval of the share over 500 ms lies on
# one side of the 1 % that the rule allows; otherwise it is "undecided". And your own predictions are scored only
# where the interval of what was measured is narrow enough to tell.
#
# Go back to the freeze in chapter 9, and to the two intervals of its tools. They do not even overlap. Each is computed
# exactly, and one of them does not contain the truth: an interval accounts for chance, and for nothing else. It can't
# know about requests that were never sent. And it assumes that requests are independent, while the slow ones of the
# open tool all come from *one* freeze. Whether there is one freeze a minute or one an hour, ten seconds can't say. For
# that, measure longer, and repeat: the differences between repeats show what a single run can't know.
#
# ## Exercises
#
# **Exercise 10.1.** Here are five reports of the same server. What does each prove about the rule, that at most 1 % may
# take over 500 ms, by this project's count? Write a list of five words, for A to E, each one of `"kept"`, `"broken"`,
# `"undecided"` and `"not fit"`. (`clopper_pearson(over, of)` in `loadtests.judging.intervals` gives the interval of a
# share.)

# %%
show_reports()

# %% tags=["exercise"]
# solution:
verdicts = ["undecided", "kept", "broken", "undecided", "not fit"]
# end

# %%
check("1", verdicts, checks.what_they_prove)

# %% [markdown]
# **Exercise 10.2.** Write `share_over(requests)`: the share that was over the rule, as a fraction from 0 to 1. Each
# request is a pair `(status, seconds)`. A status of 400 or more is a failure; 0 says that there was no answer when the
# test ended, and then `seconds` is how long it had waited. One that had waited for less than the rule's 0.5 s may yet
# have kept it, or not: leave it out altogether. (At least one is always left.)


# %% tags=["exercise"]
def share_over(requests):
    # solution:
    known = [(status, seconds) for status, seconds in requests if status != 0 or seconds >= 0.5]
    return sum(status == 0 or status >= 400 or seconds > 0.5 for status, seconds in known) / len(known)
    # end


# %%
check("2", share_over, checks.counts_what_was_promised)

# %% [markdown]
# **Exercise 10.3.** Write `needed(percent)`: how many requests does a 95 % interval of that percentile need at the very
# least, so that it has both a lower and an upper end? `percent` is any number between 0 and 100, such as 99.9.


# %% tags=["exercise"]
def needed(percent):
    # solution:
    return math.ceil(math.log(0.025) / math.log(max(percent, 100 - percent) / 100))
    # end


# %%
check("3", needed, checks.enough_requests)

# %% [markdown]
# **Go on.** Measure the freeze of chapter 9 five times: how much do the shares differ? What does your own monitoring do
# with a request that was not answered, and with one that failed? From how many requests does its p99 come?
#
# ## From memory
#
# <details><summary>After a deploy the p95 fell from 900 to 300 ms. Which two of the report's other figures do you look
# at before you are glad?</summary>
#
# The failures, and the requests without an answer. If either has grown, the percentile may have fallen because the slow
# requests are no longer in it.
#
# </details>
# <details><summary>A test of long requests starts at an empty server, without a warm-up. In which direction is its
# median off, and where in its rows do you see that?</summary>
#
# Downwards: the first requests find free slots. The first half of the measured time looks faster than the second.
#
# </details>
# <details><summary>Two tests of the same server have intervals that do not overlap, both computed correctly. How can
# that be?</summary>
#
# An interval accounts for chance alone. One of the tests may not have sent the requests that would have been slow, or
# the server may have frozen during one of them only.
#
# </details>
#
# ## What to remember
#
# * Ask what had happened before, whether it was the server, and what was counted: failures and missing answers
#   included.
# * A percentile has an interval, or it is a rumour: p95 needs 72 requests, p99 needs 368, and a narrow one many more.
# * An interval accounts for chance alone. Repeat the test for what one run can't know.
#
# Chapter 11 measures the objection that every reader of chapter 1 has had, threads and async, by these rules.
