# %% [markdown]
# # 1. The 500 ms rule
#
# > A good rule of thumb is to avoid web requests which run longer than 500ms.
# > — Heroku's documentation on background jobs
#
# **The question:** what happens to a web request's latency when the work inside it is slow,
# and what does a queue change?
#
# Our example is theirs too: a web feed reader. A visitor submits the address of a feed, and the reader has to fetch
# it from somebody else's server, which may be slow, or may never answer.
#
# You will submit some feeds by hand, write down what you expect of forty visitors, measure it, and compare.
# It takes about five minutes. Every server runs on this machine, and is gone when the notebook's kernel is.

# %%
# %matplotlib inline
from pathlib import Path
from statistics import mean

from workbook import predict, score, submit

from loadtests.bench import run
from loadtests.charts import main_figure
from loadtests.feedkinds import delay_of, kind_of
from loadtests.stack import Stack, StackSettings
from loadtests.sweep import Plan

# %% [markdown]
# ## One visitor, nobody else
#
# The reader exists twice. The first one, `sync_app`, fetches the feed inside the request. We start it with all that
# it needs: a web server with 8 *request slots* (it serves 8 requests at a time) and a feed server that behaves
# as its addresses say.

# %%
sync = Stack(StackSettings(app="sync", deadline=5)).start()
print("The reader:     ", sync.url)
print("The feed server:", sync.feeds_url)

# %% [markdown]
# You can open both addresses in a browser. Here is what one visitor sees:

# %%
for kind in ("fast", "typical", "slow", "hang"):
    submit(sync.url, f"{sync.feeds_url}/feeds/{kind}/1.xml")

# %% [markdown]
# The visitor waits as long as the feed's server likes: the reader's own code takes a few milliseconds. The last server
# never answered at all. The reader gave up after its deadline of 5 seconds; without a deadline it would wait
# still.
#
# The second reader, `queued_app`, differs in one call:
#
# ```python
# feed.fetch()                              # sync_app:   the visitor waits for somebody else's server
# queue.enqueue(feed, session=session)      # queued_app: the visitor gets an answer now
# ```
#
# It writes down in its database that the feed is to be fetched, and answers. A *worker*, another process, fetches it.

# %%
sync.stop()
queued = Stack(StackSettings(app="queued", deadline=5)).start()
for kind in ("fast", "typical", "slow", "hang"):
    submit(queued.url, f"{queued.feeds_url}/feeds/{kind}/1.xml")
queued.stop()

# %% [markdown]
# All four answers take about the same time. The answer no longer depends on the feed. The *content* still does: the page says
# "being fetched", and shows the entries when they have come. The queue does not make the work faster; it moves the
# waiting out of the request.
#
# ## Forty visitors
#
# Now forty people use the reader. Twenty-eight submit a feed, wait for its content, think for 2 seconds on average,
# and do it again. Twelve only browse: they look at the list of feeds and at feeds that are there already, nothing slow.
# Of the feeds 80 % are typical (median 300 ms), 15 % are slow (2 to 6 s), and 5 % hang.
#
# **Write down what you expect before you run it.** 95 % of the answers to `POST /feeds` arrive within how many seconds? And
# 95 % of the pages that the browsing visitors ask for? Change the numbers below to yours.

# %%
predict("submit, synchronous", seconds=1.0)
predict("submit, queued", seconds=0.5)
predict("browse, synchronous", seconds=0.1)

# %% [markdown]
# Now measure. Each of the two steps takes about 15 seconds: a fresh reader, 3 seconds of warm-up that do not count, 8
# that do, and some time for the requests still under way.

# %%
results = run(Plan(users=(40,), measure=8), Path("../reports/chapter-1"))
sync_step, queued_step = results["steps"]

# %%
score("submit, synchronous", sync_step["submit"]["p95_ms"] / 1000)
score("submit, queued", queued_step["submit"]["p95_ms"] / 1000)
score("browse, synchronous", sync_step["browse"]["p95_ms"] / 1000)

# %%
main_figure(results)

# %% [markdown]
# ## What you see
#
# * **Submitting.** The synchronous reader's answers take as long as the feeds do, and longer: up to 8 requests are served
#   at a time, and whoever comes ninth waits for a slot first. The queued reader's answers are far below the line at 500 ms.
# * **Browsing.** The browsing visitors ask for nothing slow. With the synchronous reader they suffer all the same, since
#   they wait for the same 8 slots.
# * **Time to content.** From the submit until the entries are on the page, both readers take seconds: somebody else's
#   server is as slow as it was. The queued reader pays a little more for asking "is it there yet?".
#
# How full were the slots? A feed takes $D$ seconds on average, and the readers submit $X$ feeds a second, so $X \cdot D$
# slots are busy on average (Little's law). The mean of ten thousand feeds of this mix, with a deadline of 5 s, tells $D$:

# %%
demand = mean(min(5, delay_of(kind_of(n), n)) for n in range(10_000))
print(f"D = {demand:.2f} s")
for step in (sync_step, queued_step):
    rate = step["submit"]["count"] / results["settings"]["measure_s"]
    print(f"{step['app']:6}  {rate:.1f} submits a second, {rate * demand:.1f} fetches at a time")

# %% [markdown]
# The synchronous reader has 8 slots for that, and its browsing visitors need some of them too. The queued reader's worker has 32
# threads, which nobody waits for in front of a browser. Chapter 2 turns this into a prediction.
#
# ## Try it
#
# 1. Run the measurement again with `users=(10,)` and with `users=(80,)`. Which of the four panels changes most for the synchronous reader?
# 2. Give the synchronous reader more slots: `Plan(users=(40,), measure=8, slots=32)`. What does that fix, and what not?
# 3. Let no feed be slow: `Plan(users=(40,), measure=8, mix={"fast": 100})`. Is the queue still worth it?
