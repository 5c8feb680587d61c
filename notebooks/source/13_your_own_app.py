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
# after, in which something makes people wait: thumbnails, a mail, a report. Nothing they have learnt was about feeds.
# So they look, predict, measure, move one call behind a queue, and measure again.
#
# You do the same: with an app of yours, or with one of theirs.

# %%
from workbook import begin, check, experiment, predict, sampled, score

begin(13)

from workbook.chapter13 import WEB_APPS, changes, compared, demand, figures, knee_of, loaded, print_code, tell
from workbook.chapter13_checks import knows_the_busy_share, moves_the_most
from workbook.chapter13_pictures import change_figure, knee_figure

# %% [markdown]
# ## Choose an app
#
# | app | framework | what is slow | file in `notebooks/apps` |
# |---|---|---|---|
# | `"mail"` | FastAPI | hands a mail to a mail server that takes 1.5 s | `fastapi_mail.py` |
# | `"thumbnails"` | Flask | makes four small pictures of a large one | `flask_thumbnails.py` |
# | `"report"` | Django | adds up 1.2 million sales | `django_report.py` |
#
# Beside each is the same app with the queue, such as `fastapi_mail_queued.py`. The recordings, and the text below, are
# of the mail. The other two compute: on a machine that is busy already they can't be measured.
#
# **Your own** needs a command that starts it, and that prints the address on 127.0.0.1 where it listens; or that
# address itself, if it runs already. And it needs visitors: copy `apps/visitors.py`, a Locust file of some 20 lines,
# and put your requests in it.
#
#     from workbook.chapter13 import WebApp
#     app = WebApp("gunicorn --bind 127.0.0.1:0 shop:app", slots=1, folder="~/shop", code="shop.py")
#
# Then `queued` is the same with the changed app and its workers: `WebApp(..., work="jobqueue work --import shop")`;
# and where a cell names `look` or `order`, name your own groups of requests. Give the app a database for tests, and
# fakes of the servers that it calls: those of others are not yours to load.

# %%
app, queued = WEB_APPS["mail"]
think = 1.0  # seconds between two rounds of a visitor, on average; it is in the Locust file
many = 28  # users, in the two load tests

# %% [markdown]
# ## Read it first
#
# The code, and the command that starts it, tell you two things: which call is slow, and the number of *slots*, $c$: how
# many requests the server works on at a time.
#
# | server | a slot is | $c$ |
# |---|---|---|
# | gunicorn | a process, or a thread of one | `--workers` times `--threads`; by default 1 |
# | uvicorn, `def` endpoints of FastAPI | a thread | 40 for each process, unless the app says otherwise |
# | uvicorn, `async def` endpoints | nothing: one loop serves all | no limit; but a call that blocks stops everybody |
# | Puma | a thread | workers times threads |
# | PHP-FPM | a process | `pm.max_children` |
#
# If the slow call computes, a slot needs a core, too: then $c$ is at most the number of cores. What is $c$ here?

# %%
print_code(app)

# %% [markdown]
# ## How long does it hold a slot?
#
# A *round* is what a visitor does between two pauses. By the Locust file, printed above, that is to look at a page
# (`look`), or else to order something (`order`) and ask whether it is done (`ask`), each half of the time. The pause is
# the *think time*, $Z$: from 0.5 to 1.5 s, so 1 s on average.
#
# The *demand* of a round, $D$, is how long all its requests hold a slot: each request's own time, as often as a round
# has it. With no more visitors than slots nobody waits for one, so that a request's own time is its response time:

# %%
few = experiment("few", loaded, app=app, users=(app.slots,), seconds=8, warm_up=0)
D = demand(few, app.slots, look=0.5, order=0.5, ask=0.5)

# %% [markdown]
# You have $D$, $c$ and $Z$. **Write down what you expect:**
#
# * At how many users is the knee? Take a pencil, and chapter 2.
# * `look` takes milliseconds, and nothing in it is slow. With 28 users, how long does it take, in the median?

# %%
predict("the knee", users=15)
predict("look, 28 users, median", seconds=0.2)

# %% [markdown]
# Now put 28 users on the app. All of them are there from the start; the first three seconds, in which the line is still
# growing, do not count.

# %%
before = experiment("before", loaded, app=app, users=(many,), seconds=22, warm_up=3)
score("the knee", **knee_of(before, many, think, D, group="order", a_round=0.5))
score("look, 28 users, median", **sampled(figures(before, many, "look"), "p50_ms"))
knee_figure(app.slots, think, D, {app.slots: few, many: before}, group="order", a_round=0.5)

# %% [markdown]
# ## What you see
#
# With 28 users the slots did $X$ rounds a second, which is all they can do. $N$ users who never wait for a slot ask for
# $N / (D + Z)$ rounds a second. At the knee the two are equal, so it was measured as $X \cdot (D + Z)$ users.
#
# You could know it before that load, for $c$ slots can do $c / D$ rounds a second. So the knee is at
# $c \cdot (D + Z) / D$ users. Three figures are enough: one from the settings (for the mail, $c$ is 4), one from a few
# visitors, one from how people use the app.
#
# A request to look waits as long for a slot as one that sends mail: there is only one line. This is what users report
# as "the site is slow today", on pages where nobody will find anything wrong.
#
# Below is what Locust prints at the end with `import loadtests.plugin` in its file. `result` is a whole visit, from the
# order until it is done; the rule does not apply to it.

# %%
tell(before)

# %% [markdown]
# ## Move one call
#
# Which one? Here there is only one candidate; with several, see exercise 13.1. It can be moved because the answer does
# not depend on it: the number of the order does not, nor would its price. The answer's meaning changes, from "sent" to
# "will be sent". So there must be a way to see whether it was: here, `GET /orders/<id>`. The whole change:

# %%
changes(app, queued)

# %% [markdown]
# * The job is written in the transaction of the order: there is never an order without its job, or a job without its
#   order (chapter 5).
# * The job holds an id, not the order: it reads what it needs when it runs.
# * It runs *at least* once (chapter 8). A worker that is killed between sending and noting that it was sent sends
#   again. For a mail that is bearable. For a payment, give the other side a key by which it knows the second as the
#   first.
#
# The command of the workers, `queued.work`, has `--threads 12`: up to 12 mails are under way at a time.
#
# **What do you expect now**, with the same 28 users: how long is it from the order until the mail has been accepted, in
# the median? It was above, as `result`.

# %%
predict("order to result, queued, median", seconds=4)

# %% [markdown]
# The same load once more.

# %%
after = experiment("after", loaded, app=queued, users=(many,), seconds=12, warm_up=3)
score("order to result, queued, median", **sampled(figures(after, many, "result"), "p50_ms"))
change_figure(before, after, many, groups=("look", "order", "result"))

# %% [markdown]
# ## What it did, and what it did not
#
# The two upper pairs are what was promised: everybody is answered at once, and nobody stands in line behind a mail.
#
# The result is another matter: the mail server takes as long as ever. Results come sooner here because twelve threads
# send mail, instead of four slots. With `--threads 4` they would come later than before: users who no longer wait to
# look come back to order sooner, and there wait for the same four mails at a time. A queue makes no work faster. It
# decides who waits for it.
#
# ## Let `compare` be the judge
#
# At work nobody will look at pictures. These are the commands; the last one's exit status is what a pipeline reads:
#
#     locust -f visitors.py --headless --host http://127.0.0.1:8000 --users 28 --spawn-rate 28 \
#         --run-time 60s --warm-up 5 --rows before.csv --expect "look p95 < 300ms"
#     python -m loadtests compare before.csv after.csv

# %%
status = compared(before, after)
print("\nexit status", status)

# %% [markdown]
# 0: nothing is worse beyond doubt. 1: something is, and by more than 10 %. 2: the two can't be compared. 3: a load was
# not fit to compare. 4: undecided, since for some group of requests there were too few to show even such a change.
# *Faster* stands only where the whole interval says so; "too few" and "too wide" mean: measure longer. At work, let
# each run last a minute, and repeat it five times on each side.
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
# is `(when the request ended, how long it had held a slot)`, in seconds; times count from the beginning of the log.


# %% tags=["exercise"]
def busy(log, seconds, slots):
    # solution:
    return sum(min(ended, took) for ended, took in log) / (slots * seconds)
    # end


# %%
check("2", busy, knows_the_busy_share)

# %% [markdown]
# **Take this with you:** [the method, on one page](method.html). It prints on one side of A4.
#
# **Go on.** Take the app that is nearest to your work, `"thumbnails"` or `"report"`, and go through the chapter again.
# What is $c$? How many users are many? What happens to the web server while a worker computes on the same cores? And
# with the mail: give `queued` four threads, or no worker at all. Predict each time what users see, and which of the
# figures above tells you.
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
# <details><summary>Why is the demand measured with few visitors, and not from the loaded server's log?</summary>
#
# Under load a response time contains the wait for a slot, which you want to predict. With few, it is the demand.
# (A log that says how long the slot was held, rather than how long the visitor waited, would do.)
#
# </details>
#
# ## What to remember
#
# * $c$ is in the settings, $D$ takes a few visitors, $Z$ is how people use it: the knee is known before they come.
# * Move the call that takes most of the slots' time and that the answer can do without.
# * Judge by the same load before and after, with intervals, and look at the result's time as well as the answer's.
