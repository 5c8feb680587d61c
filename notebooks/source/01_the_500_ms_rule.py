# ---
# about: what people feel, and what one slow dependency does to all of them
# minutes: 25
# needs: nothing more
# ---

# %% [markdown]
# # 1. The 500 ms rule
#
# [![Visitors' requests as dots: eight feeds that hang hold all eight slots, and a line grows](slots.gif)](slots.html)
#
# `notebooks/slots.html` opens in any browser, without a server: take its five steps, then drag the sliders. It
# simulates what this chapter measures.
#
# > A good rule of thumb is to avoid web requests which run longer than 500ms.
# >
# > — Heroku's documentation on background jobs
#
# **The question:** what happens to a web request's latency when the work inside it is slow,
# and what does a queue change?
#
# Our example is theirs too: a web feed reader. A visitor submits the address of a feed, and the reader has to fetch
# it from somebody else's server, which may be slow, or may never answer.
#
# You will submit some feeds by hand, predict what happens with forty visitors, measure it, and compare. Every server
# runs on this machine, and is gone when its cell is done.

# %%
from workbook import begin, bench, check, experiment, predict, sampled, score, series_of

begin(1)

from dataclasses import replace
from statistics import mean

from loadtests.bench.plan import Plan
from loadtests.feedserver.kinds import delay_of, kind_of
from loadtests.report.chart_rows import timeline_figure
from workbook import chapter01_checks as checks
from workbook.chapter01 import one_visitor, one_visitor_figure, print_content, print_fetches

# %% [markdown]
# ## Why 500 ms?
#
# People perceive the wait for an answer in stages. Up to 0.1 s the answer feels immediate, as if it were their own
# doing; up to about 1 s their train of thought is undisturbed; after 10 s they are elsewhere (Miller, "Response time in
# man-computer conversational transactions", 1968; Nielsen, "Usability Engineering", 1993). You can read the rule as
# leaving half of that second for what is out of our hands: the network, and rendering the page.
#
# There is a second reason, and it is what this chapter is about. While a request waits, it holds a place in the web
# server that somebody else may need.
#
# ## One visitor, nobody else
#
# The reader exists twice. The first one, `sync_app`, fetches the feed inside the request. The second one, `queued_app`,
# differs in one call:
#
# ```python
# feed.fetch()                          # sync_app: the visitor waits for somebody else's server
# queue.enqueue(feed, session=session)  # queued_app: the visitor gets an answer now
# ```
#
# It records a job in its database, to fetch the feed, and answers. A *worker*, another process, fetches it.
#
# One visitor submits four feeds. The first feed's server answers at once, the second's after some 300 ms, the third's
# after seconds, and the fourth's never. The reader's patience with it, its *deadline*, is 5 seconds.
#
# **Write down what you expect before you run it:** how long does the visitor wait for the answer to the fourth? Change
# the numbers below to yours. Your prediction is scored later; *well said* means that it was off by less than a factor
# of 1.5.

# %%
predict("one visitor, hanging feed, synchronous", seconds=10)
predict("one visitor, hanging feed, queued", seconds=1)

# %% [markdown]
# Now submit them. This starts each reader with everything it needs (a web server, a feed server that behaves as its
# addresses say, and a worker for the second one), warms it up with a few requests, posts the form as a browser would,
# and stops it all.

# %%
alone = experiment(
    "one-visitor",
    one_visitor,
    apps=("sync", "queued"),
    kinds=("fast", "typical", "slow", "hang"),
    deadline=5,
)
score("one visitor, hanging feed, synchronous", seconds=alone["sync"]["hang"])
score("one visitor, hanging feed, queued", seconds=alone["queued"]["hang"])
one_visitor_figure(alone)

# %% [markdown]
# With the synchronous reader the visitor waits for as long as the feed's server likes; the answer for the fast feed
# shows how little the reader's own code takes. It gave up on the last server after its deadline of 5 seconds; without
# one it would still be waiting.
#
# The queued reader's four answers all take milliseconds. The answer no longer depends on the feed. The *content* still
# does: the page says "being fetched", and shows the entries once they have arrived. The queue does not make the work
# faster; it moves the waiting out of the request.
#
# To click through either reader yourself, run `make sync` or `make queued` in a terminal: it prints the addresses.

# %% [markdown]
# ## Forty visitors
#
# Now forty people use the reader. Twenty-eight submit a feed, wait for its content, think for 2 seconds on average, and
# do it again. Twelve only browse: they look at the list of feeds, or at a feed that is already there, nothing slow, and
# think for just as long between two pages. Of the feeds, 80 % are typical (median 300 ms), 15 % are slow (2 to 6 s),
# and 5 % hang.
#
# Each reader has 8 *request slots* (here: processes): its web server works on 8 requests at a time, and the ninth
# waits.
#
# **Write down what you expect.** Within how many seconds do 95 % of the answers to a submit, `POST /feeds`, arrive,
# with each reader? And, with the synchronous one, 95 % of the pages that the browsing visitors ask for?

# %%
predict("submit, synchronous", seconds=1.0)
predict("submit, queued", seconds=0.5)
predict("browse, synchronous", seconds=0.1)

# %% [markdown]
# Measure it. Each of the two steps takes less than 20 seconds: a fresh reader, a second in which the visitors come, 3
# seconds of warm-up, 5 seconds that count, and some time for the requests still in flight. The line printed for each is
# about `POST /feeds`: half of the answers came within `p50`, 95 % within `p95`; `over` is the share over 500 ms. With
# so few requests the p95 is rough: chapter 9 says how rough.

# %%
plan = Plan(users=(40,), warmup=3, measure=5, drain=3)
results = experiment("forty-visitors", bench, plan=plan, rows=True)
synchronous, queued = sorted(results["steps"], key=lambda step: step["app"], reverse=True)
for name, summary in (
    ("submit, synchronous", synchronous["submit"]),
    ("submit, queued", queued["submit"]),
    ("browse, synchronous", synchronous["browse"]),
):
    score(name, **sampled(summary, "p95_ms"))
timeline_figure(series_of(results), "Submitting a feed: every request, and how long its answer took")

# %% [markdown]
# ## What you see
#
# **Submitting.** Each mark is a request. The synchronous reader's answers take as long as the feeds do, and longer: up
# to 8 requests are served at a time, and the ninth waits for a slot first. The queued reader's answers are far below
# the line at 500 ms.
#
# The visitors who browse ask for nothing slow:

# %%
timeline_figure(series_of(results, "browse"), "Browsing: every request, and how long its answer took")

# %% [markdown]
# **Browsing.** With the synchronous reader they suffer all the same, since they wait for the same 8 slots. Nothing is
# wrong with the pages that they ask for. A latency is not always caused where you see it.
#
# **Time to content.** What the visitor came for is the feed's entries. From the submit until they are on the page:

# %%
print_content((synchronous, queued))

# %% [markdown]
# The queue does not make a fetch faster, and there is a price: the page asks again and again whether the feed has come,
# at pauses that grow from 0.5 s, so its visitor sees the entries up to one pause late. The synchronous reader's visitor
# gets them on the page that follows the answer, and waits for a slot before each of the two. Which takes longer depends
# on how full the slots are, and on the feed.
#
# ## How full were the slots?
#
# A feed takes $D$ seconds on average, and visitors submit $X$ feeds a second. So on average
#
# $$ X \cdot D $$
#
# fetches are in flight (Little's law). How the feed server behaves is a function of the address, so the mean of ten
# thousand feeds of this mix, with a deadline of 5 s, gives $D$ before anything is measured:

# %%
demand = mean(min(plan.deadline, delay_of(kind_of(n), n)) for n in range(10_000))
print(f"D = {demand:.2f} s")
print_fetches((synchronous, queued), demand, plan.measure)

# %% [markdown]
# The synchronous reader has 8 slots for that, and they were busy nearly all the time: it is full. The queued reader's worker has
# 32 threads, which no web request waits for. Chapter 2 turns this into a prediction.
#
# What the law gives with $D$ differs from what was seen, and by a different amount in your run: so few seconds hold
# only dozens of feeds, of which sometimes none hangs and sometimes four. The second figure takes their own mean in
# place of $D$; what difference is left comes from fetches that began before these seconds, or ended after. Chapter 9 is
# about how long you have to measure.
#
# ## Exercises
#
# Put your answer in place of `...`, run the cell, and then the check below it. A `NameError` means that a cell above has not
# been run.
#
# **Exercise 1.1.** How many feeds a second could the synchronous reader take at the very most, with 8 slots and nobody
# browsing? Use `demand`.

# %% tags=["exercise"]
# solution:
most = 8 / demand
# end

# %%
check(
    "1",
    most,
    lambda most: abs(most * demand - 8) < 0.1,
    hint="At that rate the mean number of fetches at a time, rate times demand, equals the number of slots.",
)

# %% [markdown]
# **Exercise 1.2.** Would more slots be enough? Measure the synchronous reader alone, `apps=("sync",)`, with four times
# the slots, `slots=(32,)`, as threads of one process, `slot_kind="threads"`, and everything else as in `plan` above:
# `replace(plan, ...)` gives a plan that differs in what you name. Call the experiment "more-slots"; it needs no `rows`.

# %% tags=["exercise"]
# solution:
more = experiment(
    "more-slots",
    bench,
    plan=replace(plan, apps=("sync",), slots=(32,), slot_kind="threads"),
)
# end

# %%
check(
    "2",
    more,
    lambda more: (
        [(step["app"], step["slots"], step["users"]) for step in more["steps"]] == [("sync", 32, 40)]
        and more["settings"]["slot_kind"] == "threads"
    ),
    hint='It begins: experiment("more-slots", bench, plan=replace(plan, ...',
)

# %% [markdown]
# **Exercise 1.3.** With 32 slots, one of the two groups of visitors still waits for over 500 ms at the 95th percentile,
# and no number of slots would change that. Which one, `"submit"` or `"browse"`? Look at
# `more["steps"][0]["submit"]["p95_ms"]`, and at the same for `"browse"`.

# %% tags=["exercise"]
# solution:
still_slow = "submit"
# end

# %%
check("3", still_slow, checks.still_slow)

# %% [markdown]
# **Go on.** Let no feed be slow: `mix={"fast": 100}`. Is the queue still worth it? And with `users=(10,)`?
#
# ## What to remember
#
# * A request that waits holds a slot. When the slots are gone, everybody waits, even those who ask for nothing slow.
# * A queue moves the waiting out of the request. The work takes as long as before.
# * Slots in use = rate × time each is held. That is all the theory this chapter needed.
