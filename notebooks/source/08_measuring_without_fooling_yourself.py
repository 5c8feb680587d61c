# ---
# about: six ways in which a load test says something that is not so, and how to see it
# minutes: 45
# needs: nothing more
# ---

# %% [markdown]
# # 8. Measuring without fooling yourself
#
# > The first principle is that you must not fool yourself—and you are the easiest person to fool.
# >
# > — Richard Feynman, 1974
#
# **The question:** a load test has printed a percentile. What must be true of the test for that figure to be true?
#
# The seven chapters before this one rest on measured figures. Here the tools are measured: first on a server whose
# behaviour we know to the millisecond, then on rows that we make up ourselves, so that the right answer is known.

# %%
from workbook import begin, check, experiment, predict, score

begin(8)

# %%
import math
from itertools import count

from loadtests.judging.intervals import percentile_ranks
from loadtests.judging.samples import nearest_rank, summarise
from loadtests.predicting.simulation import Period, simulate_closed
from loadtests.predicting.workload import Workload
from loadtests.report.chart_rows import timeline_figure
from loadtests.theory import ClosedLoad, OpenLoad
from loadtests.wording import duration, figure, percent
from workbook.chapter08 import frozen_server, judged, locust_bucket, many_runs, minute, tools_of
from workbook.chapter08_pictures import runs_figure, two_clocks_figure

# %% [markdown]
# ## A server that freezes
#
# A server answers in 5 ms. Once it stands still for 2 seconds, as real ones do in a garbage collection, behind a lock, or
# while a backup runs. Nothing is lost: what comes in meanwhile is answered afterwards.
#
# Two tools look at it at the same time, for some 8 seconds, 40 times a second each.
#
# * **closed**: one user asks, waits for the answer, and asks again 25 ms after the last time. Most load tests work like that,
#   with more users.
# * **open**: the moments at which somebody comes are drawn beforehand, and somebody comes at each of them, whoever
#   still waits. The public works like that.
#
# **Write down what you expect.** Which 99th percentile will each of them report? And in the second, which share of the requests
# will have taken over 500 ms?

# %%
predict("p99, closed", seconds=1)
predict("p99, open", seconds=1)
predict("over 500 ms, open", percent=5)

# %%
looks = experiment("freeze", frozen_server, rate=40, warmup=2, seconds=10, freeze_at=5, freeze=2)
tools = tools_of(looks)
closed, opened = judged(tools["closed"]), judged(tools["open"])
score("p99, closed", closed["p99_ms"] / 1000)
score("p99, open", opened["p99_ms"] / 1000, at_least="p99_ms" in opened["lower_bounds"])
score("over 500 ms, open", 100 * opened["share_over_500ms"])

# %%
timeline_figure(
    [tools["closed"], tools["open"]], "The same freeze of the same server, as two tools have seen it"
)

# %% [markdown]
# ## What you see
#
# The closed tool has seen the freeze: as one single request of two seconds. Its user waited for that answer, and *did not ask
# meanwhile*. All requests that would have been slow were never sent. The server's trouble decided which requests were
# measured. This is called *coordinated omission* (Gil Tene): the tool and the server agree on what to leave out.
#
# In the open tool's picture there is a slope: who came at the beginning of the freeze waited for all of it, who came at its end
# hardly at all. The people in front of a browser are in this picture.
#
# ## What it should have been
#
# No simulation is needed. People come evenly over $T$ seconds, and for $F$ of them the server stands still. Who comes
# $u$ seconds before it goes on waits $u$ seconds. So the share that waits for longer than $t < F$ is
#
# $$ P(R > t) = \frac{F - t}{T}, \qquad \text{and the quantile } p \text{ is at} \quad F - (1 - p)\,T. $$
#
# The closed tool sends $\lambda (T - F)$ requests and one more, and only this one is slow. The rule of this project is that at most
# 1 % of the requests may take over 500 ms:

# %%
freeze, rate = 2, 40
start, end = tools["open"].window
T = end - start
print(f"closed should have {percent(1 / (rate * (T - freeze) + 1))} over 500 ms")
print(f"open should have {percent((freeze - 0.5) / T)} over 500 ms, and a p99 of {freeze - 0.01 * T:.2f} s")
for name, seen in (("closed", closed), ("open", opened)):
    verdict = {0: "kept", 1: "broken", 3: "not fit to say"}[looks["steps"][name]["exit_status"]]
    low, high = (percent(limit) for limit in seen["share_ci"])
    print(f"{name:6} of {seen['count']} requests {percent(seen['share_over_500ms'])} over 500 ms,", end=" ")
    print(f"95 % interval {low} to {high}; p99 {duration(seen['p99_ms'])}: the rule is {verdict}")

# %% [markdown]
# ## From when does a latency count?
#
# A schedule alone is not enough. The third tool had the same schedule, but one connection only: a visit that comes while it
# is busy has to wait for it, *inside the tool*. Each row holds both moments, when the request was meant to begin
# and when it was sent:

# %%
late, naive = judged(tools["one connection"]), judged(tools["one connection"], naive=True)
for name, seen in (("from when it was meant to begin", late), ("from when it was sent", naive)):
    print(f"{name:31}  p99 {duration(seen['p99_ms']):>7}  over 500 ms {percent(seen['share_over_500ms'])}")
two_clocks_figure(tools["one connection"])

# %% [markdown]
# Timed from the sending, the tool with a schedule sees no more than the closed one: one slow request. So this project counts every
# latency from the *intended* start, and keeps the naive one only to show the difference. Ask of any tool: what does it do
# when it is late?
#
# ## Open or closed?
#
# Neither is wrong; they are different questions. Eight request slots, each request holds one for 0.9 s on average. With 10, 20, 40 and
# 80 people, who think for 2 s: *closed*, they wait before they think again; *open*, others like them come at the rate
# that these people would have if nobody ever waited.

# %%
for users in (10, 20, 40, 80):
    waits = ClosedLoad(slots=8, users=users, think=2, demand=0.9)
    comes = OpenLoad(slots=8, rate=users / 2.9, demand=0.9)
    grows = "grows without end" if math.isinf(comes.response) else f"{comes.response:.1f} s"
    print(
        f"{users:2} people   closed: {waits.throughput:4.1f} requests/s, mean {waits.response:.1f} s", end=""
    )
    print(f"   open: {comes.rate:4.1f} requests/s, mean {grows}")

# %% [markdown]
# **Closed load can't overload a server**: who waits sends nothing. That is true of the twenty people of an office who use a program all day,
# and of a pool of workers. It is not true of the public, where each newcomer knows nothing of those who wait.
# If you don't know who your users are, measure open.
#
# ## Warm-up
#
# A server that has just been started is not the one that you ask about: it is either slower (nothing is in a cache, no connection is open)
# or, with long requests, faster, because nobody waits yet. The second one is easily overlooked. Forty people, as above, simulated
# from an empty server on; 5 seconds are measured, after a warm-up that is left out:

# %%
work = Workload(think=2, submitters=1, post=0.9, page=0.001, browse=0.001)
for warmup in (0, 2, 5, 10, 30):
    seen = simulate_closed(work, slots=8, users=40, period=Period(warmup, 5), seed=8).figures()
    print(f"warm-up {warmup:2} s   p50 {duration(seen['p50_ms']):>6}   p95 {duration(seen['p95_ms']):>6}")

# %% [markdown]
# How long is enough? Until the first half of what is measured looks like the second. `make bench` compares the two, and marks a step
# that is not steady.
#
# ## Percentiles out of buckets
#
# A tool that holds few numbers rounds them. Locust keeps two digits of each response time, and its percentiles come out
# of these. Near the rule:

# %%
for ms in (494.9, 495.0, 500.0, 500.1, 505.0, 505.1):
    print(f"{ms} ms reads {locust_bucket(ms)} ms, and is {'over' if ms > 500 else 'within'} the rule")

# %% [markdown]
# Whatever took from 495 to 505 ms reads "500". A percentile of "500 ms" says that the true one is somewhere between, so on
# which side of the rule it lies is not to be had from it. A verdict needs the unrounded times.
#
# ## What is counted
#
# A minute of 600 requests, made up. Nine of ten are good, some 150 ms. The tenth, always the same ones, is unlucky in
# one of three ways: *slow*, it takes 3 to 5 s; *refused*, an overloaded server says 503 after 2 ms; *unanswered*,
# it still waits when the test ends. Which of the three would you call the best server?

# %%
for unlucky in ("slow", "refused", "unanswered"):
    rows = minute(unlucky)
    back = [row.waited_ms(60) for row in rows if row.done_s is not None]
    all_of_them = summarise(rows, ended=60)
    print(f"{unlucky:10}  p95 of what came back: {duration(nearest_rank(back, 95)):>6}", end="   ")
    print(f"p95 {figure(all_of_them, 'p95_ms'):>8},", percent(all_of_them["share_over_500ms"]), "over 500 ms")

# %% [markdown]
# A tool that takes the percentile of whatever came back prefers the two servers that did *not* serve a tenth of their visitors. Fast failures
# flatter, and requests that are never answered can't be seen by who waits for answers. So here:
#
# * **A failure is no latency.** It stays out of the percentiles, and always counts as over the rule.
# * **An unfinished request is a lower bound** (statistics calls it *censored*): it took at least as long as it had waited. A
#   percentile that rests on such requests is written "≥".
# * The figure that survives all three is the **share over 500 ms**. The percentiles alone would still prefer the server that refuses.
#
# ## How many requests?
#
# A promise: "95 % of our answers take at most 500 ms". A server keeps it: its true 95th percentile is 478 ms. You measure it with 100
# requests, and look at the p95 of these. **How often will that be over 500 ms**, and call the server wrongly broken?

# %%
predict("wrong verdicts, runs of 100 requests", percent=2)

# %%
runs = {requests: many_runs(requests) for requests in (20, 100, 400, 2000)}
score("wrong verdicts, runs of 100 requests", 100 * sum(p95 > 500 for p95 in runs[100]) / len(runs[100]))

# %%
runs_figure(runs)

# %% [markdown]
# The p95 of 100 requests rests on the five slowest of them. To write down a percentile without its interval is to hide that.
#
# An interval needs no assumption on how latencies are distributed. Each request is below the true percentile with probability
# $p$, so the number of those below is binomial; the ranks between which the percentile lies with 95 % follow from that.
# For a share, the same reasoning gives the interval of Clopper and Pearson. So many requests it takes at least:

# %%
for p in (50, 90, 95, 99):
    least = next(n for n in count(1) if percentile_ranks(n, p))
    tail = max(p, 100 - p) / 100
    print(f"p{p} has a 95 % interval from {least:3} requests on: {tail}^{least} = {tail**least:.4f}")

# %% [markdown]
# The reason is in the last column: if all $n$ requests happen to be below the percentile (chance: $p^n$), nothing bounds it from above. That
# chance has to be at most 2.5 %.
#
# Go back to the two intervals at the top of this chapter, those of the closed and of the open tool. They do not even overlap. Each is
# computed exactly, and one of them does not hold the truth: an interval knows of chance, and of nothing else. It can't know of
# requests that were never sent. And it takes the requests for independent, while the slow ones of the open tool all come from *one*
# freeze. Whether there is one freeze a minute or one an hour, these ten seconds can't say. For that, measure longer, and repeat:
# the differences between repeats hold what a single run does not know.
#
# ## Exercises
#
# **Exercise 8.1.** Write `over(seconds, freeze)`: which share of the people waits longer than 0.5 s, if they come evenly over so
# many seconds, and the server freezes once, for `freeze` seconds?


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
        abs(over(60, 2) - 0.025) < 1e-9
        and (over(60, 0.3) == 0 or "And a freeze of 0.3 s? Nobody waits over 0.5 s.")
    ),
    hint="Those who come in the last half second of the freeze wait less. All others in it wait longer.",
)

# %% [markdown]
# **Exercise 8.2.** Somebody wants to know the 99.9th percentile, with an interval of 95 %. How many requests are needed at
# the very least?

# %% tags=["exercise"]
# solution:
needed = math.ceil(math.log(0.025) / math.log(0.999))
# end

# %%
check(
    "2",
    needed,
    lambda n: 0.999**n <= 0.025 < 0.999 ** (n - 1),
    hint="The least whole n for which 0.999 to the power of n is at most 0.025.",
)

# %% [markdown]
# **Go on.** Measure a freeze of 0.4 s: `experiment("short", frozen_server, ..., freeze=0.4)`. Which of the figures above still shows it?
# A shop is named on television, and strangers open its page: with which load do you test that? And what does your own monitoring do
# with a request that was not answered?
#
# ## What to remember
#
# * Count from when a request should have begun, and count what failed, was not finished, or was never sent. A tool that waits
#   for answers stops looking when it matters.
# * Closed load asks what a known number of people see; open load asks what the public sees.
# * A percentile has an interval, or it is a rumour: p95 needs 72 requests, p99 needs 368, and a narrow interval needs many more.
#
# Chapter 9 measures the two objections that every reader of chapter 1 has had, threads and async, and uses these rules for it.
