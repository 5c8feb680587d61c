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
# Chapter 1 showed the gain. A fair comparison has a second column. In this chapter you look at the time to the *content* beside
# the time to the answer, at the requests that were not there before, at the work that a faster reader is given, and at
# the process that does the work.

# %%
from workbook import begin, bench, check, experiment, in_words, predict, score

begin(5)

# %%
from math import ceil
from statistics import mean

from loadtests.bench.plan import Plan
from loadtests.feedserver.kinds import delay_of, kind_of
from loadtests.report.chart_machine import cpu_figure
from loadtests.theory import ClosedLoad
from workbook.chapter05 import alone, requests_a_second, seen_at, submit_some
from workbook.chapter05_pictures import answer_and_content_figure, requests_figure, staircase_figure

# %% [markdown]
# ## When nobody waits for a slot
#
# First without any crowd: seven feeds, whose servers take from 0.15 to 1.6 seconds, and a *request slot* for each of them.
# Nobody waits for anybody else.
#
# The synchronous reader answers when it has the feed, and the page with the entries follows at once. The queued reader
# answers at once with a page that says "being fetched". How does that page learn that the feed has come? It asks
# (this is *polling*): a script in the page asks the reader first after 0.3 s, then at intervals that are each half as long again as the
# one before, up to 5 s.
#
# **Write down what you expect.** A feed's server takes 0.9 s. After how many seconds does the visitor see the entries?

# %%
predict("content of a 0.9 s feed, synchronous", seconds=0.9)
predict("content of a 0.9 s feed, queued", seconds=0.9)

# %%
seen = experiment(
    "nobody-waits",
    alone,
    apps=("sync", "queued"),
    delays=(0.15, 0.25, 0.4, 0.6, 0.9, 1.2, 1.6),
)

# %%
for app, name in (("sync", "synchronous"), ("queued", "queued")):
    score(f"content of a 0.9 s feed, {name}", seen[app][4]["content"])

staircase_figure(seen)

# %% [markdown]
# Three things are in this picture.
#
# * **The flat line**, at the bottom: the queued reader's answer. It does not depend on the feed's server.
# * **The diagonal**: with the synchronous reader the answer takes as long as the feed does, and the content is there with it.
# * **The stairs**: with the queued reader the content is seen at the first poll after the feed has come. A step
#   is as long as a pause between two polls. The worker's own milliseconds come on top, so a feed that comes just before
#   a poll may miss it, and is a step higher.
#
# So while nobody waits for a slot, the content comes *later* with the queue: by up to the pause that is under way, which
# is 0.45 s for a feed that takes half a second, and 1.5 s for one that takes three. One may poll more often, and pay
# in requests. Or the server may tell the page (server-sent events, a WebSocket), and pay with a connection
# held for each page that waits.
#
# ## When many wait
#
# Now sixty users. As in chapter 1, seven of ten submit a feed, wait for its content, think for 2 seconds on average, and
# submit the next. The others browse. Each reader has 8 slots; the queued one has a worker with 32 threads besides.
#
# **Write down what you expect:** the median time to the content; how many feeds a second each reader is given by these same
# users; and which share of all requests to the queued reader are polls.

# %%
predict("content with 60 users, synchronous", seconds=2)
predict("content with 60 users, queued", seconds=2)
predict("feeds a second, synchronous", per_second=15)
predict("feeds a second, queued", per_second=15)
predict("polls among the queued reader's requests", percent=15)

# %% [markdown]
# Each of the two steps takes some 20 seconds. If a line ends in "not steady", the two halves of the measured time differed:
# six seconds are few, and the crowd is still settling. Chapter 8 is about that.

# %%
plan = Plan(users=(60,), warmup=3, measure=6)
results = experiment("sixty-users", bench, plan=plan, rows=True)
synchronous, queued = sorted(results["steps"], key=lambda step: step["app"], reverse=True)
rates = requests_a_second(results)

# %%
for name, step in (("synchronous", synchronous), ("queued", queued)):
    median = step["content"]["p50_ms"] / 1000
    score(f"content with 60 users, {name}", median, at_least="p50_ms" in step["content"]["lower_bounds"])
for name, step in (("synchronous", synchronous), ("queued", queued)):
    score(f"feeds a second, {name}", rates[step["app"]]["submit"])
score("polls among the queued reader's requests", 100 * queued["polls_share"])

answer_and_content_figure(results)

# %% [markdown]
# ## What you see
#
# With the synchronous reader answer and content are nearly one wait (the page with the entries needs a slot once more). With the
# queued reader they have come apart: the answer
# is far below the line at 500 ms, the content far above it. The rule is about the answer.
#
# And the content now comes *sooner* with the queue, although the page has to ask for it. The eight slots are full, so the
# synchronous reader's visitors wait for a slot before their feed is fetched at all. The queued reader's worker has 32 threads, and
# nobody waits for one of these. (It is not the queue that is faster, but 32 that are more than 8. Chapter 9 gives the synchronous
# reader 32 slots, too.)
#
# **In short:** later by a pause while there is room, sooner when the slots are full.
#
# ## The same users, more work
#
# Now what each reader was asked to do:

# %%
requests_figure(rates)

# %% [markdown]
# **Polls** are the requests that the queue has brought with it. Each is cheap, but there are many: a visitor
# who waits for a slow feed sends four to six.
#
# **More feeds** are less expected. These users are a *closed load*: each waits for the content before going on. Whoever is served sooner
# comes back sooner. With $N$ users who submit, think time $Z$, and time to content $R$, the reader is given
#
# $$ X = \frac{N}{R + Z} $$
#
# feeds a second. Before anything is measured, $R$ can be computed for both: from the model of chapter 2 for the
# synchronous reader with its 8 slots, and from the stairs, taken over ten thousand feeds of the mix, for the queued one.

# %%
delays = [min(plan.deadline, delay_of(kind_of(n), n)) for n in range(10_000)]
submitters = round(0.7 * 60)
expected = {
    "sync": ClosedLoad(8, submitters, plan.think, mean(delays)).throughput,
    "queued": submitters / (mean(map(seen_at, delays)) + plan.think),
}
for app, rate in expected.items():
    print(f"{app:6}  expected {rate:4.1f} feeds a second, measured {rates[app]['submit']:4.1f}")
print(f"The worker, expected: {expected['queued'] * mean(delays):.1f} of its 32 threads are busy")

# %% [markdown]
# A short measurement holds some fifty feeds, so expect a difference of a fifth now and then.
#
# Two things follow. A comparison "at the same number of users" is not one at the same work: the faster system does more. And a
# reader that is moved to a queue has to be given workers for *more* than it did before. Visitors of the public, who come whether
# or not others were served, behave otherwise (*open load*, chapter 8).
#
# ## The process that does the work
#
# The feeds are fetched by another process now. What does that one take, and what does a feed cost?

# %%
for step in (synchronous, queued):
    ours = {name: took for name, took in step["processes"].items() if name[:3] in ("web", "wor")}
    for name, took in ours.items():
        said = f"{took['memory_mib']:4.0f} MiB, {took['cpu_percent']:4.1f} % of a core"
        print(f"{step['app']:6}  {name:10} {said}")
    cpu = sum(took["cpu_percent"] for took in ours.values()) / 100
    each = in_words(cpu / rates[step["app"]]["submit"])
    print(f"        CPU for each feed, all its requests included: {each}")

# %%
cpu_figure(results)

# %% [markdown]
# The worker takes about the memory of one Python program with its libraries, however many threads it has. The web server's memory is that of
# 8 processes. Fetching and parsing have moved from the web server to the worker; the polls, the pages
# that are shown twice, and the job itself (written, claimed, deleted) have come on top. On this
# load neither reader is short of CPU: what they have too little of is slots, that is, places to wait in.
#
# What is not in any figure: one more program to deploy, to watch and to restart, and a page that must be able to say "not yet".
#
# ## Exercises
#
# **Exercise 5.1.** Another page asks at a fixed interval, every `pause` seconds, for the first time after one `pause`. Its feed
# has come after `done` seconds. Write `seen_every(done, pause)`: when does the visitor see it? (`ceil` is there, from `math`.)


# %% tags=["exercise"]
def seen_every(done, pause):
    # solution:
    return pause * ceil(done / pause)
    # end


# %%
check(
    "1",
    seen_every,
    lambda seen: (seen(0.7, 0.5), seen(1.0, 0.5), seen(0.1, 0.5), seen(5.5, 2)) == (1.0, 1.0, 0.5, 6),
    hint="How many pauses are over when it has come? A part of one counts as a whole one.",
)

# %% [markdown]
# **Exercise 5.2.** With how many users, submitters and browsers together, would the queued reader be given only as many feeds a second as
# the synchronous one was by 60? Take its mean time to content from `queued["content"]["mean_ms"]` as it
# is, and the synchronous reader's rate from `rates["sync"]["submit"]`.

# %% tags=["exercise"]
# solution:
users = rates["sync"]["submit"] * (queued["content"]["mean_ms"] / 1000 + plan.think) / 0.7
# end

# %%
check(
    "2",
    users,
    lambda users: (
        abs(0.7 * users / (queued["content"]["mean_ms"] / 1000 + 2) - rates["sync"]["submit"]) < 0.05
    ),
    hint="N = X (R + Z) counts those who submit, and they are 0.7 of all users. Mind the milliseconds.",
)

# %% [markdown]
# **Exercise 5.3.** Is a flat line good news? Start the queued reader without any worker, and submit ten feeds:
# the experiment is called "no-worker", it calls `submit_some`, with `workers=0` and `feeds=10`. Then compare with the rule what it
# prints, and look at `jobs_left`.

# %% tags=["exercise"]
# solution:
idle = experiment("no-worker", submit_some, workers=0, feeds=10)
# end

# %%
check(
    "3",
    idle,
    lambda idle: len(idle["answers_s"]) == 10 and idle["jobs_left"] == 10,
    hint='It begins: experiment("no-worker", submit_some, ...',
)

# %% [markdown]
# Every answer keeps the rule, and nobody ever gets any content. Whoever watches the latency of the answers alone sees a
# perfect system. Watch the age of the oldest job that is due as well: `jobqueue check --max-age 300` does.
#
# **Go on.** In which of your own programs could a page say "not yet"? In which must the answer be the content, say because
# another program waits for it?
#
# ## What to remember
#
# * A queue makes the answer independent of the work, not the content. The content comes later by a poll, or sooner if it had to wait for a slot.
# * A faster answer brings more work: the same users come back sooner. Polls come on top.
# * A flat line says that jobs are written down. Only the age of the oldest one says that they are done.
#
# Twelve feeds a second of a good second each, and 32 threads: is that enough, and how would one know? That is chapter 6.
