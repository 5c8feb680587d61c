# ---
# about: request slots, Little's law, and the knee, predicted and measured
# minutes: 40
# needs: nothing more
# ---

# %% [markdown]
# # 2. The synchronous reader
#
# **The question:** how many visitors can a web server serve before they wait for each other, and can one know it before
# they come?
#
# In chapter 1 forty visitors filled eight slots, and everybody waited. Some of their feeds took seconds, or hung. This time
# nothing is wrong with any feed: each one's server answers after about a third of a second. The visitors think for 1 second
# on average between two visits, and the reader has 4 slots, so that few visitors are enough to fill it.
#
# You will compute from these few figures what the reader can do, and then measure it.

# %%
from workbook import begin, bench, check, experiment, predict, score

begin(2)

# %%
from dataclasses import replace
from statistics import mean

from loadtests.bench.plan import Plan
from loadtests.feedserver.kinds import delay_of
from loadtests.report.chart_theory import throughput_figure
from loadtests.theory import ClosedLoad, OpenLoad, knee
from workbook.chapter02 import latencies_figure, prediction_of, states_figure

# %% [markdown]
# ## A few letters
#
# | | is | here |
# |---|---|---|
# | $c$ | the *slots*: how many requests the server works on at a time | 4 |
# | $D$ | the *demand*: for how long a request holds a slot, on average | to be found |
# | $N$ | the visitors. Each sends a request, waits for the answer, thinks, and sends the next | 11, 22, 44 |
# | $Z$ | the *think time*: from an answer to the next request, on average | 1 s |
# | $X$ | the *throughput*: requests answered a second | to be found |
# | $R$ | the *response time*: from a request to its answer, the wait for a slot included | to be found |
#
# One law ties them together, *Little's law*: what is inside is what comes in a second, times how long it stays. It
# holds for any system that does not fill up without end, and for any part of it:
#
# * inside the slots: $X \cdot D$ of them are busy on average, so the *utilisation* is $U = X \cdot D / c$;
# * inside the whole, where each visitor either waits for an answer or thinks: $N = X \cdot (R + Z)$.
#
# The demand is no secret. The feed server is a function of the address, so we need only ask it:

# %%
demand = mean(delay_of("typical", n) for n in range(10_000))
print(f"D = {demand:.2f} s, and the little that the reader's own code takes")

# %% [markdown]
# **Write down what you expect,** from what you know of web servers, without computing anything yet:
#
# * With 44 visitors in place of 22, how many times as many answers does the server give in a second?
# * With 44 visitors, how long does the answer to `POST /feeds` take on average?
# * With 22 visitors, how busy are the 4 slots, in percent?

# %%
predict("answers a second, 44 visitors against 22", times=2)
predict("mean answer, 44 visitors", seconds=0.7)
predict("slots busy, 22 visitors", percent=60)

# %% [markdown]
# Measure it. Of ten visitors seven submit feeds, the others browse. Three steps, some 15 seconds each.

# %%
plan = Plan(
    users=(11, 22, 44), apps=("sync",), slots=(4,), think=1.0, mix={"typical": 100}, warmup=2, measure=5
)
results = experiment("knee", bench, plan=plan)
steps = sorted(results["steps"], key=lambda step: step["users"])
few, some, many = steps

# %%
score("answers a second, 44 visitors against 22", many["achieved_per_s"] / some["achieved_per_s"])
score(
    "mean answer, 44 visitors",
    many["submit"]["mean_ms"] / 1000,
    at_least="mean_ms" in many["submit"]["lower_bounds"],
)
score("slots busy, 22 visitors", 100 * some["server"]["utilisation"])

# %%
throughput_figure([prediction_of(results)])

# %% [markdown]
# ## Two straight lines
#
# The dotted lines are all that one needs to know beforehand.
#
# * **Few visitors** never wait, and each needs $D + Z$ for a round. They can't ask for more than $X = N / (D + Z)$.
# * **The slots** can't do more than $c$ requests in $D$ seconds, however many visitors come: $X \le c / D$.
#
# Where the two meet is the *knee*:
#
# $$ N^* = \frac{c \, (D + Z)}{D} $$
#
# Beyond it there must be waiting, since the visitors would ask for more than the slots can do. Nothing in the formula was
# measured: four slots, the think time, and how slow the feeds are. (It counts those who submit. Of ten visitors these are
# seven, and the other three hold a slot for so short a time that they hardly count. The picture counts all requests: the
# submits, the pages after them, and browsing; its $D$ is the mean of them all.)

# %%
submitters = knee(demand, slots=4, think=1)
print(f"computed beforehand:           {submitters:.1f} who submit, so {submitters / 0.7:.1f} visitors")
print(f"with the demand as it was measured:            {prediction_of(results)['knee_users']:.1f} visitors")

# %% [markdown]
# The measured demand is a little larger, by the milliseconds of the reader's own code, and so the knee is a little lower.
#
# ## Does Little's law hold?
#
# The whole first: per second the visits fill $X \cdot R$ seconds and the thinking between them $X \cdot Z$. From the rows of
# every step the load generator adds up both, and finds so many visitors. Then the slots: $X$ requests a second of all
# kinds, each of which holds a slot for $D$ seconds on average, beside the share of time that the slots were seen busy.

# %%
for step in steps:
    served, held_ms = step["server"]["served"], step["server"]["demand_ms"]
    of_any = sum(served[kind] * held_ms[kind] for kind in served) / sum(served.values()) / 1000
    law, seen = step["achieved_per_s"] * of_any / 4, step["server"]["utilisation"]
    print(f"{step['users']} visitors, by the law {step['little']['users']:.1f}", end="   ")
    print(f"U by the law {100 * law:.0f} %, seen {100 * seen:.0f} %")

# %% [markdown]
# It is a law, not a model: nothing was assumed about how the times are spread. What is left are the ends of so short a window: a
# request that began before it, or ended after.
#
# Use it the other way round, too. Of $N$, $X$, $R$ and $Z$ three tell the fourth. If a load test's own
# figures don't fit into the law, then the test is broken, whatever it says of the server.
#
# ## At the knee, why does anybody wait?
#
# There the visitors ask for no more than the slots can do. If they came in turn, nobody would wait. They come by chance:
# now two at a time, now six within a moment, and a slot that was idle for a second can't make up for it. If think times and
# demands are exponential, the *machine repairman's model*, M/M/c//N, says how often so many are there:

# %%
held = (some["server"]["demand_ms"]["submit"] + some["server"]["demand_ms"]["page"]) / 1000
at_the_knee = ClosedLoad(slots=4, users=15, think=1, demand=held)
states_figure(at_the_knee, "15 who submit, and 4 slots: how often so many requests are there")

# %% [markdown]
# So slots are idle for part of the time, while at other times there is a line. Utilisation is a mean, and says nothing
# of when. That is why waiting begins long before a server is full, and why "the slots are 90 % busy" is no good news.
#
# ## How long do they wait?
#
# The same model gives the response time, its mean and its percentiles. Here is what it predicts, and what was measured:

# %%
latencies_figure(results)

# %% [markdown]
# **The means** fit, as far as steps of five seconds can tell. The grey bars say how far chance drives such a step:
# they come from a simulation, the same visitors and feeds two hundred times over.
#
# **The 95th percentiles** are predicted too high: the bars lie nearly all below the line. The model takes the demand to be
# exponential, which now and then is four times its mean. Our feeds vary less. Means are robust against such an
# assumption; tails are not. Chapter 3 is about feeds that vary more.
#
# ## Why does it not break down?
#
# Twice the knee, and all that happens is that everybody waits longer. Our visitors wait for an answer before they think, and
# then send the next request: the longer they wait, the less they send. This *closed load* brakes itself. The public
# does not: new visitors come whether or not others still wait (*open load*). Computed for a submit and its page, taken
# together as one request:

# %%
for number in (15, 31, 300):
    load = ClosedLoad(slots=4, users=number, think=1, demand=held)
    print(f"closed, {number:3} who submit: X = {load.throughput:4.1f} a second, R = {load.response:5.2f} s")
for rate in (6, 9, 10, 11, 12):
    load = OpenLoad(slots=4, rate=rate, demand=held)
    print(f"open, {rate:2} visits a second: U = {100 * load.utilisation:3.0f} %, R = {load.response:5.2f} s")

# %% [markdown]
# "inf" is meant as it stands: from 100 % on the line grows for as long as the visitors come. Chapter 8 measures that.
#
# ## Exercises
#
# **Exercise 2.1.** In chapter 1 the reader had 8 slots, a fetch held one for 1.12 s on average, and the visitors thought
# for 2 s. How many who submit would have been its knee? (There were 28.)

# %% tags=["exercise"]
# solution:
knee_of_chapter_1 = knee(1.12, slots=8, think=2)
# end

# %%
check(
    "1",
    knee_of_chapter_1,
    lambda users: abs(users / (2 + 1.12) - 8 / 1.12) < 0.15,
    hint="At the knee, users who never wait would keep just all of the slots busy.",
)

# %% [markdown]
# **Exercise 2.2.** 31 visitors submit, and think for 1 s; a fetch takes `demand`. Find the smallest number of slots with which
# at most 5 % of their requests have to wait for one. `ClosedLoad(...).share_waiting_over(0)` is the share of those that wait.

# %% tags=["exercise"]
# solution:
waiting = {
    slots: ClosedLoad(slots=slots, users=31, think=1, demand=demand).share_waiting_over(0)
    for slots in range(1, 32)
}
enough = min(slots for slots, share in waiting.items() if share <= 0.05)
# end

# %%
check(
    "2",
    enough,
    lambda slots: (
        ClosedLoad(slots, 31, 1, demand).share_waiting_over(0) <= 0.05
        and ClosedLoad(slots - 1, 31, 1, demand).share_waiting_over(0) > 0.05
    ),
    hint="Try one number of slots after the other. If so few wait, would they with one slot less?",
)

# %% [markdown]
# **Exercise 2.3.** Give the reader 13 slots, and measure 44 visitors once more, all else as in `plan`: call the
# experiment "enough-slots". Before you run it: which share of the submits will take over 500 ms? It was nearly all of them.

# %% tags=["exercise"]
# solution:
better = experiment("enough-slots", bench, plan=replace(plan, users=(44,), slots=(13,)))
# end

# %%
check(
    "3",
    better,
    lambda better: (
        [(step["app"], step["slots"], step["users"]) for step in better["steps"]] == [("sync", 13, 44)]
    ),
    hint='It begins: experiment("enough-slots", bench, plan=replace(plan, ...',
)

# %% [markdown]
# Look into `better["steps"][0]["submit"]["share_over_500ms"]`. Nobody waits for a slot any more, and still it is far above
# 1 %: one feed in six or seven takes longer than that by itself. Slots shorten the wait for a slot, never the work.
#
# **Go on.** Half the demand, or twice the slots: which helps 31 submitters more? (`ClosedLoad` knows; the answer has two
# parts.) And what does `think=0` mean for the knee?
#
# ## What to remember
#
# * Little's law, $N = X \cdot (R + Z)$, holds always; the knee, $N^* = c (D + Z) / D$, can be known before anybody comes.
# * Waiting begins before the knee, since visitors come by chance. A mean utilisation hides it.
# * Beyond the knee closed users wait, and therefore send less. The public does not.
#
# **Next:** all feeds were harmless here. What does it take to bring such a server down: how many feeds that hang?
