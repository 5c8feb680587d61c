# ---
# about: a server that freezes, and a load test that does not see it
# minutes: 30
# needs: nothing more
# ---

# %% [markdown]
# # 9. Measuring without fooling yourself
#
# > The first principle is that you must not fool yourself—and you are the easiest person to fool.
# >
# > — Richard Feynman, 1974
#
# **The question:** a load test says that all is well. Which requests has it not seen?
#
# The team has moved the fetch behind a queue, chosen how many workers it needs, and seen what a kill does. Each of
# these decisions rests on the figures of a load test. A colleague doubts them: she has seen a tool report that all was
# well while everybody waited. So now the tools are measured, on a server whose behaviour is known to the millisecond.

# %%
from workbook import begin, check, experiment, predict, sampled, score

begin(9)

from loadtests.report.chart_rows import timeline_figure
from loadtests.theory import ClosedLoad
from loadtests.wording import figure, percent
from workbook import chapter09_checks as checks
from workbook.chapter09 import closed_and_open, frozen_server, judged, tell, tools_of
from workbook.chapter09_pictures import two_clocks_figure

# %% [markdown]
# ## A server that freezes
#
# A server answers many requests at once, each in 5 ms. Once, it stands still for 2 seconds, as real ones do during a
# garbage collection, behind a lock, or while a backup runs. Nothing is lost: requests that come in meanwhile are
# answered afterwards.
#
# Three tools load it at the same time, 80 times a second each, and 10 seconds are counted. First, two of them:
#
# * **closed**: one user asks, waits for the answer, and asks again 12.5 ms after it last asked, or, if the answer takes
#   longer, as soon as it arrives. Most load tests work like this, with more users.
# * **open**: the moments at which somebody comes are drawn beforehand, and somebody comes at each of them, whether or
#   not others are still waiting. The public works like this.
#
# **Write down what you expect.** How many of the closed tool's requests will have taken over 500 ms? And what share of
# the open tool's?

# %%
predict("closed: requests over 500 ms", requests=100)
predict("open: share over 500 ms", percent=20)

# %%
looks = experiment("freeze", frozen_server, rate=80, warmup=2, seconds=12, freeze_at=5, freeze=2)
tools = tools_of(looks)
closed, opened = judged(tools["closed"]), judged(tools["open"])
score("closed: requests over 500 ms", requests=closed["over"])
score("open: share over 500 ms", **sampled(opened, "share_over"))
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
# The open tool's picture shows a slope, which would be straight on a linear axis: those who came at the beginning of
# the freeze waited for all of it, those who came at its end hardly at all. The people in front of a browser are in this
# picture.
#
# What should each have found? People come evenly over $T$ seconds, and for $F$ of these the server stands still. Those
# who come $u$ seconds before it resumes wait $u$ seconds. So the share whose response time $R$ is longer than $t$ (less
# than $F$) is
#
# $$ P(R > t) = \frac{F - t}{T}. $$
#
# The closed tool, at $\lambda$ requests a second, sends $\lambda (T - F)$ and one more, and only that one is slow.

# %%
freeze, rate = 2, 80
start, end = tools["open"].window
T = end - start
print(f"closed should have {percent(1 / (rate * (T - freeze) + 1))} over 500 ms")
print(f"open should have {percent((freeze - 0.5) / T)} over 500 ms")
tell(looks, "closed", "open")

# %% [markdown]
# The rule of this project is that at most 1 % of the requests may take over 500 ms. By the closed tool it is not
# broken, and the 99th percentile is that of a server that never froze; by the open one it is broken.
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
# project measures every latency from the *intended* start, and keeps the *naive* one, from the moment of sending, only
# to show the difference. Ask of any tool: what does it do when it is late?
#
# Even so, this tool finds more over 500 ms than the open one. After the freeze its own line has to be worked off one by
# one, which delays visits that would not have been late. An honest clock does not fix a tool with too few connections.
#
# ## Open or closed?
#
# Neither is wrong; they are different questions. Take eight request slots; each request holds one for 0.9 s on average.
# There are 10, 20, 40 and 80 people, who think for 2 s: *closed*, they wait before they think again; *open*, others
# like them come at the rate that these people would have if nobody ever waited.
#
# **Write down what you expect**, by the theory of chapter 2: with 20 people the mean response takes 1.0 s closed, and
# 1.1 s open. How long does it take with 80, closed?

# %%
predict("80 people, closed: mean response", seconds=4)

# %%
mean = ClosedLoad(slots=8, users=80, think=2, demand=0.9).response
score("80 people, closed: mean response", seconds=mean, computed=True)
closed_and_open(people=(10, 20, 40, 80), slots=8, think=2, demand=0.9)

# %% [markdown]
# **Closed load can't make the line grow without end**: those who wait send nothing, so the line never holds more than
# the users. That is true of twenty people in an office who use a program all day, and of a pool of workers. It is not
# true of the public, where each newcomer knows nothing of those who are waiting. If you don't know who your users are,
# measure open.
#
# ## Exercises
#
# **Exercise 9.1.** People come evenly over `seconds` seconds, at least 1, and the server freezes once. Write
# `longest(seconds)`: what is the longest freeze, in seconds, that still keeps the rule?


# %% tags=["exercise"]
def longest(seconds):
    # solution:
    return 0.5 + 0.01 * seconds
    # end


# %%
check("1", longest, checks.the_longest_freeze)

# %% [markdown]
# Try it with an hour. A share says nothing about how the slow requests are spread: look at the timeline, too.
#
# **Exercise 9.2.** A closed tool should have asked once every `every` ms. It has kept the `latencies` of its answers
# (all in whole ms); during those that took longer it asked for nothing. Write `mended(latencies, every)`: a list of its
# latencies, in any order, and of those that the omitted requests would have had, if the server answered them at the
# same moment as the one it was waiting for. (The one due at that very moment is not omitted: the tool sends it.)


# %% tags=["exercise"]
def mended(latencies, every):
    # solution:
    return [latency - late for latency in latencies for late in range(0, latency, every)]
    # end


# %%
check("2", mended, checks.what_was_omitted)

# %% [markdown]
# **Go on.** Mend the closed tool's latencies, `[round(row.waited_ms(0)) for row in tools["closed"].rows]` (the warm-up
# is among them), with 12 for `every`: what share is over 500 ms now? For what kind of slow server would this correction
# be too pessimistic? A shop is mentioned on television, and strangers open its page: with what kind of load do you test
# that?
#
# ## From memory
#
# <details><summary>A server stands still for ten seconds. How many slow requests does a closed test with 50 users see,
# and how does that compare with 50 visitors a second who come from outside?</summary>
#
# At most 50, one for each user, however long it stands still. Of the visitors from outside, 500 come meanwhile, and all
# but the last 25 wait for over 500 ms.
#
# </details>
# <details><summary>A tool has a schedule, and too few connections. What does it report if it times from the moment of
# sending, and what if it times from the intended start?</summary>
#
# Timed from sending, the time that a request waits inside the tool is missing, so a frozen server looks healthy. Timed
# from the intended start it is included, along with the tool's own line, which is not the server's doing.
#
# </details>
# <details><summary>In the closed test with 80 users the slots answered 8.9 requests a second, after 7 s on average.
# What happens if visitors from outside come at just that rate?</summary>
#
# Their line grows for as long as they come: 8.9 a second is all that eight slots can do, and chance makes some of it go
# unused. In the closed test that rate was an outcome: the users slowed down until it fitted.
#
# </details>
#
# ## What to remember
#
# * A tool that waits for answers stops looking when it matters. Ask which requests it did not send.
# * A latency counts from when the request should have begun.
# * Closed load asks what a known number of people see; open load asks what the public sees.
#
# Chapter 10 takes a test that has sent the right requests, and reads its figures one by one.
