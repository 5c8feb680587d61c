# ---
# about: an app of yours, or one of three small ones, measured, changed, and measured again
# minutes: 60
# needs: nothing more
# ---

# %% [markdown]
# # 13. Your own app
#
# **The question:** how do you find out what a queue would do for *your* app, and whether it did?
#
# The reader now serves all who come, from several machines. Each of the three who wrote it has another app to look
# after, with a page that makes people wait: one makes thumbnails, one sends a mail, one computes a report. Nothing
# they have learnt was about feeds. So they measure, predict, move one call behind a queue, and measure again.
#
# You do the same: with your own app, or with one of these three.

# %%
from workbook import begin, check, experiment, predict, sampled, score

begin(13)

from dataclasses import replace

from workbook.chapter13 import WEB_APPS, changes, compared, demand, figures, loaded, print_code, rounds, tell
from workbook.chapter13_checks import knows_the_busy_share, moves_the_most
from workbook.chapter13_pictures import change_figure, knee_figure

# %% [markdown]
# ## Choose an app
#
# | app | framework | its slow call | files, in `notebooks/apps` |
# |---|---|---|---|
# | `"mail"` | FastAPI | hands a mail to a mail server that takes 1.5 s | `fastapi_mail.py`, `fastapi_mail_queued.py` |
# | `"thumbnails"` | Flask | makes four small pictures of a large one | `flask_thumbnails.py`, `flask_thumbnails_queued.py` |
# | `"report"` | Django | adds up 1.2 million sales | `django_report.py`, `django_report_queued.py` |
#
# The recordings are of the mail. For another app, and for other numbers, give each `experiment` below
# `recorded=False`, or begin live.
#
# **Your own** needs two things: the command that starts it, which prints the address on 127.0.0.1 where it listens,
# and a Locust file with its visitors. `apps/visitors.py` is one, of some 20 lines: copy it, and change the requests.
#
#     from workbook.chapter13 import WebApp
#     app = WebApp("gunicorn --bind 127.0.0.1:0 shop:app", slots=4, folder="~/shop", visitors="visitors.py")
#
# `python -m loadtests` and Locust run as for the readers; the command may begin with another environment's Python.
# Have the app use a test database, and a fake of whatever it calls: a mail server that is not yours is not yours to
# load.

# %%
app = WEB_APPS["mail"]
think = 1.0  # Z: seconds between two rounds of a visitor, on average, as in the Locust file
many = 24  # users: well above the knee that you will predict

# %% [markdown]
# ## Read it first
#
# Two figures are in the code and in the command that starts it, before anything is measured: which call is slow, and
# $c$, the number of requests that the server works on at a time.
#
# | server | a slot is | $c$ |
# |---|---|---|
# | gunicorn | a process, or a thread of one | `--workers` times `--threads` |
# | uvicorn, `def` endpoints of FastAPI | a thread of a pool | 40 a process, unless the app says otherwise |
# | uvicorn, `async def` endpoints | nothing: one loop for all | does not apply; a call that blocks stops everybody |
# | Puma | a thread | workers times threads |
# | PHP-FPM | a process | `pm.max_children` |
#
# If the slow call computes and does not wait, a slot also needs a core: then $c$ is at most the number of cores. Here
# is the mail app. What is $c$, and what does a slot do meanwhile?

# %%
print_code("fastapi_mail.py", since="@asynccontextmanager")

# %% [markdown]
# ## How long does it hold a slot?
#
# One visitor alone never waits for a slot, so what is measured is the demand. A *round* is what visitors do between two
# pauses: in this Locust file they look at two pages (`look`), order something (`order`), and ask whether it is done
# (`ask`) until it is. The demand of a round, $D$, is that of all its requests together.

# %%
alone = experiment("alone", loaded, app=app, users=(1,), seconds=12, warm_up=0)
D = demand(alone, look=2, order=1, ask=1)

# %% [markdown]
# You have $D$, $c$ and $Z$. **Write down what you expect:**
#
# * At how many users is the knee? Take a pencil, and chapter 2.
# * `look` takes milliseconds, and nothing in it is slow. With 24 users, how many percent of these requests take over
#   500 ms?

# %%
predict("the knee", users=15)
predict("look over 500 ms, 24 users", percent=30)

# %% [markdown]
# Measure it, with as many users. All of them are there from the start; the first three seconds, in which the line only
# forms, do not count.

# %%
before = experiment("before", loaded, app=app, users=(many,), seconds=15, warm_up=3)
X, ends = rounds(before, many, "order")
score("the knee", users=X * (D + think), interval=[end and end * (D + think) for end in ends])
score("look over 500 ms, 24 users", **sampled(figures(before, many, "look"), "share_over"))
knee_figure(app.slots, think, D, {1: rounds(alone, 1, "order")[0], many: X})

# %% [markdown]
# ## What you see
#
# No load can be put *on* the knee, so it was measured from its two sides: the slots did $X$ rounds a second at most,
# and users who never wait ask for that many if there are $X \cdot (D + Z)$ of them. It is an app that this workbook
# had not seen before, and three figures were enough to know when it would fill up: one from its settings, one from a
# visitor alone, one from how people use it.
#
# The requests to look are as slow as if they sent mail: they stand in the same line. This is what your users report as
# "the site is slow today", on pages where nobody will find anything wrong.
#
# Below is what Locust prints at the end with `import loadtests.plugin` in its file. `result` is a whole visit, from the
# order until it is done; the rule does not apply to it.

# %%
tell(before)

# %% [markdown]
# ## Move one call
#
# Which one? The call that takes most of the slots' time: how long it is, times how often a round has it. And only if
# the answer does not need what it returns. The price of an order is in the answer; that a mail was sent is not. The
# answer changes from "sent" to "will be sent", and somebody has to be able to see whether it was: here it is
# `GET /orders/<id>`.
#
# The change, in whole:

# %%
changes("fastapi_mail.py", "fastapi_mail_queued.py")

# %% [markdown]
# * The job is written in the transaction of the order: there is never an order without its job, or a job without its
#   order (chapter 5).
# * The job holds an id, not the order: it reads what it needs when it runs.
# * It runs *at least* once (chapter 8). A worker that is killed between sending and noting that it was sent sends
#   again. For a mail that is bearable. For a payment, give the other side a key by which it knows the second as the
#   first.
#
# A worker with 12 threads performs the jobs, so that 12 mails are under way at a time. The threads of a worker keep
# nobody in line.
#
# **What do you expect now**, with the same 24 users: how long is it from the order until the mail has been accepted, in
# the median? It was above, as `result`.

# %%
predict("order to result, queued, median", seconds=4)

# %% [markdown]
# The same load once more.

# %%
work = "jobqueue work --threads 12 --poll-interval 0.1 --import fastapi_mail_queued"
queued = replace(app, web="uvicorn --port 0 fastapi_mail_queued:app", work=work)
after = experiment("after", loaded, app=queued, users=(many,), seconds=15, warm_up=3)
score("order to result, queued, median", **sampled(figures(after, many, "result"), "p50_ms"))
change_figure(before, after, many, groups=("look", "order", "result"))

# %% [markdown]
# ## What it did, and what it did not
#
# The two upper pairs are what was promised: whoever waits for an answer has it at once, and nobody stands in line
# behind a mail.
#
# The result is another matter. No mail is accepted sooner because it is sent by somebody else. It came sooner here,
# because the queue could give the mails twelve senders, and the web server had four slots; with
# `--threads 4` it would come later than before, since users who are answered at once order more. A queue does not
# make work faster. It decides who waits for it.
#
# ## Let `compare` be the judge
#
# At work nobody will look at pictures. These are the commands; the last one's exit status is what a pipeline reads:
#
#     locust -f visitors.py --headless --host http://127.0.0.1:8000 --users 24 --spawn-rate 24 \
#         --run-time 60s --warm-up 5 --rows before.csv --expect "look p95 < 300ms"
#     python -m loadtests compare before.csv after.csv

# %%
status = compared(before, after)
print("\nexit status", status)

# %% [markdown]
# 0: nothing is worse beyond doubt. 1: something is. 3: a load was not fit to compare. 4: too short to say for some group
# of requests. It says *faster* only where the whole interval does; "too few" and "too wide" are answers, too, and mean:
# measure longer. A run of a minute, repeated five times on each side, is a good habit.
#
# **Take this with you:** [the method, on one page](method.html). Print it; it fits on one side.
#
# ## Exercises
#
# **Exercise 13.1.** Write `to_move(calls)`: the name of the call to move behind a queue first. Each call is
# `(name, seconds, times a round, whether the answer needs its result)`. If no call can be moved, return None.


# %% tags=["exercise"]
def to_move(calls):
    # solution:
    movable = [call for call in calls if not call[3]]
    return max(movable, key=lambda call: call[1] * call[2], default=(None,))[0]
    # end


# %%
check("1", to_move, moves_the_most)

# %% [markdown]
# **Exercise 13.2.** You are shown an app that runs already, and nobody lets you put load on it. But there is its access
# log. Write `busy(log, seconds, slots)`: what share of the slots' time was in use? The log covers `seconds`; each line
# is `(when it ended, how long it took)`, in seconds, counted from the beginning of the log.


# %% tags=["exercise"]
def busy(log, seconds, slots):
    # solution:
    return sum(min(ended, took) for ended, took in log) / (slots * seconds)
    # end


# %%
check("2", busy, knows_the_busy_share)

# %% [markdown]
# **Go on.** Take the app nearest to your work, `WEB_APPS["report"]` or `WEB_APPS["thumbnails"]`, and go through the chapter
# again: what is $c$, and what happens to the web server when the worker computes on the same cores? Give `queued` four
# threads, or one: predict the result's median each time. Then stop the worker altogether: what do users see, and which
# of the figures above would have told you?
#
# ## From memory
#
# <details><summary>A page does nothing slow, and is slow. Where do you look?</summary>
#
# At what else holds its slots. It waits in the same line as the slow requests; its own code has nothing to do with it.
#
# </details>
#
# <details><summary>You add a queue, and the mails come later than before. Is the queue broken?</summary>
#
# Not necessarily. Orders are no longer slowed down by their own answers, so more of them come; and the workers may be
# fewer than the slots were. Count the workers, not the queue.
#
# </details>
#
# <details><summary>Why is the demand measured with one visitor, and not from the loaded server's log?</summary>
#
# Under load a response time contains the wait for a slot, which is what you want to predict. Alone, it is the demand.
# (A log that says how long the slot was held, rather than how long the visitor waited, would do.)
#
# </details>
#
# ## What to remember
#
# * $c$ is in the settings, $D$ takes one visitor, $Z$ is how people use it: the knee is known before they come.
# * Move the call that takes most of the slots' time and that the answer can do without.
# * Judge by the same load before and after, with intervals, and look at the result's time as well as the answer's.
