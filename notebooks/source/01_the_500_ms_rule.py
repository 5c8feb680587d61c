# ---
# about: how long people like to wait, and two readers that fetch feeds, measured
# minutes: 25
# needs: nothing more
# ---

# %% [markdown]
# # 1. The 500 ms rule
#
# > A good rule of thumb is to avoid web requests which run longer than 500ms.
# >
# > — Heroku's documentation on background jobs
#
# **The question:** what happens to a web request's latency when the work inside it is slow,
# and what does a queue change?
#
# *A team of three writes a web feed reader for itself. A visitor submits the address of a feed, and the reader fetches
# it from somebody else's server, which may be slow, or may never answer. With one user the reader is fine. Then a
# newsletter mentions it, and forty people come.*
#
# You will be that one user, then predict what happens to the forty, measure it, and compare. Every server runs on this
# machine, and is gone when its cell is done.

# %%
from workbook import begin, bench, check, experiment, last_steps, predict, score, series_of

begin(1)

from dataclasses import replace
from statistics import mean

from loadtests.bench.plan import Plan
from loadtests.feedserver.kinds import delay_of, kind_of
from loadtests.report.chart_rows import timeline_figure
from workbook import chapter01_checks as checks
from workbook.chapter01 import kept_waiting, one_visitor, one_visitor_figure, print_content, print_fetches

# %% [markdown]
# ## Why 500 ms?
#
# People perceive the wait for an answer in stages. Up to 0.1 s the answer feels immediate, as if it were their own
# doing; up to about 1 s their train of thought is undisturbed; after 10 s they are elsewhere (Miller, "Response time in
# man-computer conversational transactions", 1968; Nielsen, "Usability Engineering", 1993). You can read the rule as
# leaving half of that second for what is out of our hands: the network, and rendering the page.
#
# ## One visitor, nobody else
#
# The reader exists twice. The first one, `sync_app`, fetches the feed inside the request. The second one, `queued_app`,
# differs in one call:
#
# ```python
# feed.fetch()                          # sync_app
# queue.enqueue(feed, session=session)  # queued_app
# ```
#
# `enqueue` records a job in the database. A *worker*, another process, fetches the feed.
#
# One visitor submits four feeds, one after the other. The first feed's server answers at once, the second's after some
# tenths of a second, and the third's after some seconds. The fourth's accepts the request and never answers.
#
# **Write down what you expect before you run it:** how long does the visitor wait for the fourth answer, from each
# reader? Write your figures into the next cell, and run it. Your prediction is scored later; *well said* means that it
# was off by less than a factor of 1.5, or, for a percentage, by less than 10 points.

# %%
predict("one visitor, hanging feed, synchronous", seconds=30)
predict("one visitor, hanging feed, queued", seconds=1)

# %% [markdown]
# Now submit them. This starts each reader with everything it needs (a web server; a fake feed server: the address
# decides how it behaves; and a worker for the second one), posts the form as a browser would, and stops it all.

# %%
alone = experiment(
    "one-visitor", one_visitor, apps=("sync", "queued"), kinds=("fast", "typical", "slow", "hang")
)
score("one visitor, hanging feed, synchronous", seconds=alone["sync"]["hang"])
score("one visitor, hanging feed, queued", seconds=alone["queued"]["hang"])
one_visitor_figure(alone)

# %% [markdown]
# With the synchronous reader the answer takes as long as the feed's server does; the fast feed's shows that the reader's
# own code takes milliseconds. It gave up on the last server after 5 seconds, since somebody had told it to: that is its
# *deadline*. Nothing else ends such a wait.
#
# The queued reader's four answers all take milliseconds. The answer no longer depends on the feed. The *content* still
# does: the page says "being fetched", and shows the entries once they have arrived. The queue does not make the work
# faster; it moves the waiting out of the request.
#
# To click through either reader yourself, run `make sync` or `make queued` in a terminal: it prints the addresses.

# %% [markdown]
# ## Forty visitors
#
# Now forty people use the reader. Twenty-eight submit a feed, wait for its content, think for 1 second on average, and
# do it again. Twelve only browse: they look at the list of feeds, or at a feed that is already there, nothing slow, and
# think for just as long between two pages. Of the feeds, 80 % are typical (median 300 ms), 15 % are slow (2 to 6 s),
# and 5 % hang.
#
# Each reader has 8 *request slots* (here: processes): its web server works on 8 requests at a time, and the ninth
# waits.
#
# **Write down what you expect.** They are watched for 8 seconds, and each asks several times. How many of the
# twenty-eight get at least one answer to a submit, `POST /feeds`, that breaks the rule, with each reader? And, with the
# synchronous one, how many of the twelve who browse get at least one such page?

# %%
predict("of 28 who submit, over 500 ms, synchronous", visitors=12)
predict("of 28 who submit, over 500 ms, queued", visitors=3)
predict("of 12 who browse, over 500 ms, synchronous", visitors=2)

# %% [markdown]
# Measure it. Each of the two steps takes some 20 seconds, of which 8 count. The line printed for each is about
# `POST /feeds`: half of the answers came within `p50`, 95 % within `p95` (≥: some had not come when it ended); `over` is
# the share over 500 ms. Was that more than 1 %? *kept*: no; *broken*: yes; *undecided*: too few requests to tell.
# *unsteady* is added if latencies or the backlog drifted. With so few requests the p95 is rough (chapter 10).

# %%
plan = Plan(users=(40,), warmup=1.5, measure=8, drain=2, think=1)
results = experiment("forty-visitors", bench, plan=plan, rows=True)
synchronous, queued = last_steps(results).values()
for name, step, group in (
    ("of 28 who submit, over 500 ms, synchronous", synchronous, "submit"),
    ("of 28 who submit, over 500 ms, queued", queued, "submit"),
    ("of 12 who browse, over 500 ms, synchronous", synchronous, "browse"),
):
    score(name, visitors=kept_waiting(results, step, group))
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
# **Browsing.** With the synchronous reader they suffer all the same, since they wait for the same 8 slots: one gets a
# page at once, and another waits seconds for it. Nothing is wrong with the page. A latency is not always caused where
# you see it. That is the second reason for the rule: a request that waits holds a place that somebody else may need.
#
# [![Visitors' requests as dots: eight feeds that hang hold all eight slots, and a line grows](slots.gif)](slots.html)
#
# To see it happen, open `notebooks/slots.html` in any browser: take its five steps, then drag the sliders.
#
# **Time to content.** What the visitor came for is the feed's entries. From the submit until they are on the page:

# %%
print_content((synchronous, queued))

# %% [markdown]
# The queue does not make a fetch faster, and there is a price: the page asks again and again whether the feed has come,
# at pauses that grow from 0.5 s to 4 s, so its visitor sees the entries up to one pause late: the p95 can be worse. The
# synchronous reader's visitor gets them on the page that follows the answer, and waits for a slot before each of the
# two.
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
# The synchronous reader has 8 slots for that, and they were busy nearly all the time: it is full. The queued reader's
# worker has 32 threads, which no web request waits for. Chapter 2 turns this into a prediction.
#
# With $D$ the law differs from what was seen, because eight seconds contain only dozens of feeds; sometimes none hangs,
# sometimes four. The second figure takes their own mean; what difference is left comes from fetches that
# began before these seconds, or ended after.
#
# ## Exercises
#
# Put your answer in place of `...`, run the cell, and then the check below it. A `NameError` means that a cell above
# has not been run.
#
# **Exercise 1.1.** Write `most(slots, demand)`: how many feeds a second could such a reader take at the very most, with
# nobody browsing?


# %% tags=["exercise"]
def most(slots, demand):
    # solution:
    return slots / demand
    # end


# %%
check("1", most, checks.most_feeds)

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
check("2", more, checks.more_slots(plan))

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
# ## From memory
#
# <details><summary>The processor of the synchronous reader was idle most of the time. Why was it slow all the
# same?</summary>
#
# Its slots were not: a slot that waits for a feed's server does nothing, and yet nobody else can have it.
#
# </details>
#
# <details><summary>With the queue, the answer to the feed that hangs comes in milliseconds. What has the visitor got by
# then, and what not?</summary>
#
# A promise: the feed is noted, and will be fetched. The entries don't come sooner, and from this feed never.
#
# </details>
#
# <details><summary>A page of your app that reads one row has become slow. Where do you look besides that
# page?</summary>
#
# At everything that shares its slots: it may be waiting for one, behind requests that wait for something slow.
#
# </details>
#
# ## What to remember
#
# * A request that waits holds a slot. When the slots are gone, everybody waits, even those who ask for nothing slow.
# * A queue moves the waiting out of the request. The work takes as long as before.
# * Slots in use = rate × time each is held. That is all the theory this chapter needed.
#
# **Next:** the team adds slots. Where does that end?
