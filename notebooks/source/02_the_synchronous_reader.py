# ---
# about: request slots, Little's law, and the knee, predicted and measured
# minutes: 40
# needs: nothing more
# ---

# %% [markdown]
# # 2. The synchronous reader
#
# **The question:** how many visitors can a web server serve before they wait for each other, and can you know it before
# they come?
#
# *Forty visitors filled the team's eight slots. Before they add more, they want to know where that ends.*
#
# In chapter 1 some of the feeds took seconds, or hung. This time nothing is wrong with any feed: their servers answer,
# after a third of a second on average. All visitors submit feeds, and think for 1 second on average between two visits.
# The reader has 4 slots, so that a few visitors are enough to fill it.

# %%
from workbook import begin, bench, check, experiment, predict, sampled, score

begin(2)

from dataclasses import replace
from statistics import mean

from loadtests.bench.plan import EverybodySubmits
from loadtests.feedserver.kinds import delay_of
from loadtests.theory import ClosedLoad, knee
from workbook import chapter02_checks as checks
from workbook.chapter02 import feeds_per_s, held_by_a_visit, print_loads, print_visits
from workbook.chapter02_pictures import latencies_figure, states_figure, throughput_figure

# %% [markdown]
# ## What is a slot?
#
# Whatever works on one request at a time. Heroku's page of 2009 called it a *dyno*. Your server has another name for
# it, and its own way with the next request when all slots are taken:
#
# | server | a slot is | set by | the next request |
# |---|---|---|---|
# | gunicorn, `sync` | a process | `--workers` | waits in the socket's backlog, for any process |
# | gunicorn, `gthread` | a thread | `--workers` × `--threads` | waits in the process that took it; others may be idle |
# | Puma | a thread | `workers` × `threads` | waits in the socket's backlog, for any process |
# | uvicorn (FastAPI), `def` | a thread | `--workers` × 40 | waits in the process that took it; others may be idle |
# | uvicorn (FastAPI), `async def` | a task | nothing, or `--limit-concurrency` | begins at once, or is refused (503) |
# | PHP-FPM | a process | `pm.max_children` | waits in the socket's backlog, until nginx gives up (504) |
# | AWS Lambda | an environment | the account's limit, by default 1,000 | is refused (429) |
#
# (The *socket's backlog* is the kernel's line of connections that no process has taken yet.) The readers of this
# workbook run under gunicorn, `sync` unless a chapter says otherwise.
#
# ## A few letters
#
# | | is | here |
# |---|---|---|
# | $c$ | the *slots*: how many requests the server works on at a time | 4 |
# | $D$ | the *demand*: how long a visit holds a slot, on average | to be found |
# | $N$ | the visitors. Each submits a feed, opens its page, thinks, and begins again | 8, 15, 31 |
# | $Z$ | the *think time*, on average | 1 s |
# | $X$ | the *throughput*: visits a second | to be found |
# | $R$ | the *response time* of a visit: from the submit until its page is there, both waits for a slot included | to be found |
#
# The page after a submit waits for the same slots, but holds one for only milliseconds: nearly all of $D$ is the
# submit's.
#
# The demand is no secret. How long the feed server takes is a function of the address, so we only need to ask it:

# %%
demand = mean(delay_of("typical", n) for n in range(10_000))
print(f"D = {demand:.2f} s, and the little that the reader's own code takes")

# %% [markdown]
# **Write down what you expect,** from what you know of web servers, without computing anything yet:
#
# * With 31 visitors in place of 15, how many times as many feeds are added in a second?
# * With 31 visitors, within how many seconds do half of the answers to a submit, `POST /feeds`, come?
# * With 15 visitors, how busy are the 4 slots, in percent?

# %%
predict("feeds a second, 31 visitors against 15", times=2)
predict("half of the answers, 31 visitors", seconds=0.6)
predict("slots busy, 15 visitors", percent=60)

# %% [markdown]
# Measure it: three steps, some 15 seconds each.

# %%
plan = EverybodySubmits(
    users=(8, 15, 31), apps=("sync",), slots=(4,), think=1, mix={"typical": 100}, warmup=2, measure=6, drain=3
)
results = experiment("knee", bench, plan=plan, rows=True)
steps = {step["users"]: step for step in results["steps"]}
feeds = feeds_per_s(results)
score("feeds a second, 31 visitors against 15", times=feeds[31] / feeds[15])
score("half of the answers, 31 visitors", **sampled(steps[31]["submit"], "p50_ms"))
score("slots busy, 15 visitors", percent=100 * steps[15]["server"]["utilisation"])
throughput_figure(results)

# %% [markdown]
# ## Two straight lines
#
# The dotted lines are all you need to know beforehand.
#
# * **A few visitors** never wait, and each needs $D + Z$ for a round. They can't ask for more than $X = N / (D + Z)$.
# * **The slots** can't do more than $c$ visits in $D$ seconds, however many visitors come: $X \le c / D$.
#
# Where the two meet is the *knee*:
#
# $$ N^* = \frac{c \, (D + Z)}{D} $$
#
# Beyond it there must be waiting, since the visitors would ask for more than the slots can do. (All of it is about
# means. In six seconds visitors may happen to think less, or the feeds to take less, so a mark may lie a little above
# its line.) Nothing in the formula has to be measured, but the picture uses the measured $D$. Here are both:

# %%
held = held_by_a_visit(results)
for name, seconds in (("computed beforehand", demand), ("as it was measured", held)):
    print(f"D {name}: {seconds:.3f} s, so the knee is at {knee(seconds, slots=4, think=1):.1f} visitors")

# %% [markdown]
# The two differ by the milliseconds of the reader's own code, and by which feeds happened to be asked for.
#
# ## Does Little's law hold?
#
# *Little's law* ties the letters together: the number inside is the number that come in per second, times how long each
# stays. It holds for any system that does not fill up without end, and for any part of it:
#
# * inside the slots: $X \cdot D$ of them are busy on average, so the *utilisation* is $U = X \cdot D / c$;
# * inside the whole, where each visitor is either on a visit or thinking: $N = X \cdot (R + Z)$.
#
# The number of visitors that the law gives from $X$, $R$ and $Z$, next to the number there were; and the share of time
# that the slots were seen busy:

# %%
print_visits(results)

# %% [markdown]
# It is a law, not a model: nothing was assumed about how the times are distributed. What difference remains comes from
# so short a window: each visitor thinks only a few times in it, and by chance for less or more than 1 s.
#
# Use it the other way round, too. Any three of $N$, $X$, $R$ and $Z$ give the fourth. If a load test's own figures
# don't obey the law, the test is broken, whatever it says about the server.
#
# ## At the knee, why does anybody wait?
#
# There the visitors ask for no more than the slots can do. If they took turns, nobody would wait. But they come at
# random: now two at a time, now six within a moment, and a slot that was idle for a second can't make up for it.
#
# The *machine repairman model*, M/M/c//N, says for what share of the time each number of requests is at the server. The
# $c$ are the slots, and the $N$ says that there are only so many visitors. Each M stands for *exponential* times, of
# thinking and of demands: purely random times, of which many are short and one in twenty is over three times the mean.
# Here a submit and its page are taken together as one request:

# %%
at_the_knee = ClosedLoad(slots=4, users=15, think=1, demand=held)
states_figure(at_the_knee, "15 visitors, and 4 slots: how many requests are at the server")

# %% [markdown]
# So slots are idle for part of the time, while at other times there is a line. Utilisation is a mean, and says nothing
# about when. That is why waiting begins long before a server is full, and why "the slots are 90 % busy" is not good
# news.
#
# ## How long do they wait?
#
# The same model, with the page in the line too, gives the mean and the percentiles of how long the answer to a submit
# takes. (The answer is the first part of $R$; the page is the second.) Here is what it predicts, and what was measured:

# %%
latencies_figure(results)

# %% [markdown]
# **The means** fit, as far as steps of six seconds can tell: of simulated steps, with the same visitors and feeds, 95 %
# fall inside the grey bars. The dotted line is what is known without a model: the two straight lines and Little's law
# give $R \ge \max(D, \, N D / c - Z)$. (A visit stands in the same line twice, so half of its waiting comes before the
# answer, and half before the page.)
#
# **The 95th percentiles** are predicted too high. The model assumes that the demand is exponential, so even for a
# single visitor, who never waits, it predicts three times the mean. Our feeds vary less; chapter 3 is about feeds that
# vary more.
#
# ## Why does it not break down?
#
# Twice the knee, and all that happens is that everybody waits longer. Our visitors wait for their page before they
# think, and then send the next request: the longer they wait, the less they send. This *closed load* slows itself down.
# The public does not: new visitors come whether or not others are still waiting (*open load*). Computed:

# %%
print_loads(users=(15, 31, 300), rates=(6, 9, 10, 11, 12), demand=held)

# %% [markdown]
# "inf" is meant literally: if more is asked of the slots than they can do, the line grows for as long as visitors come.
# Chapter 9 compares the two kinds of load.
#
# ## Exercises
#
# **Exercise 2.1.** Write `slots_for(users, think, demand)`: the smallest number of slots with which so many users are
# not beyond the knee.


# %% tags=["exercise"]
def slots_for(users, think, demand):
    # solution:
    return next(slots for slots in range(1, users + 1) if knee(demand, slots, think) >= users)
    # end


# %%
check("1", slots_for, checks.slots_for)

# %% [markdown]
# **Exercise 2.2.** 31 visitors submit, and think for 1 s; a fetch takes `demand`. Find the smallest number of slots
# with which at most 5 % of their requests have to wait for one.
# `ClosedLoad(slots, 31, 1, demand).share_waiting_over(0)` is the share that waits.

# %% tags=["exercise"]
# solution:
enough = min(c for c in range(1, 32) if ClosedLoad(c, 31, 1, demand).share_waiting_over(0) <= 0.05)
# end

# %%
check("2", enough, checks.enough_slots(demand))

# %% [markdown]
# **Exercise 2.3.** Give the reader that many slots, `slots=(enough,)`, and measure 31 visitors once more, everything
# else as in `plan`. Call the experiment "enough-slots"; it needs no `rows`.

# %% tags=["exercise"]
# solution:
better = experiment("enough-slots", bench, plan=replace(plan, users=(31,), slots=(enough,)))
# end

# %%
check("3", better, checks.measured_with_enough(plan, demand))

# %% [markdown]
# Look at `better["steps"][0]["submit"]["share_over"]`. Hardly anybody waits for a slot any more, and yet it is
# far above the 1 % of requests over 500 ms that this project sets as its limit: of the feeds themselves one in six
# takes longer. Slots shorten the wait, never the work.
#
# **Go on.** Half the demand, or twice the slots: which is of more help to 31 visitors? (`ClosedLoad` knows: look at
# `throughput`, and at `response`.) What does `think=0` mean for the knee? And where was it in chapter 1, where 28
# submitted to 8 slots, and a fetch took 1.12 s?
#
# ## From memory
#
# <details><summary>Twice as many visitors come to a reader that is far beyond its knee. What happens to its throughput,
# and what to each visitor?</summary>
#
# The throughput stays what it was, the slots' most. Each visit takes about twice as long, so that each visitor makes
# fewer of them.
#
# </details>
#
# <details><summary>Your slots are 60 % busy. Can there be a line?</summary>
#
# Yes, now and then: that is a mean over time, and visitors come at random. When six come within a moment, two of them
# wait for one of four slots, whatever the slots did a minute ago.
#
# </details>
#
# <details><summary>A load test reports 200 users, 20 requests a second, 1 s each, and no pauses between them. What do
# you say?</summary>
#
# That it is broken: 20 a second for 1 s each is 20 users at a time. Most of its users did something that it does not
# report, or nothing at all.
#
# </details>
#
# ## What to remember
#
# * Little's law, $N = X \cdot (R + Z)$, always holds; the knee, $N^* = c (D + Z) / D$, can be known before anybody
#   comes.
# * Waiting begins before the knee, since visitors come at random. A mean utilisation hides it.
# * Beyond the knee closed users wait, and therefore send less. The public does not.
#
# **Next:** all feeds were harmless here. How many hanging feeds does it take to bring such a server down?
