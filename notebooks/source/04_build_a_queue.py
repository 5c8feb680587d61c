# ---
# about: from a table and ten lines to a claim that nobody can come between, on SQLite and on PostgreSQL
# minutes: 50
# needs: nothing more
# ---

# %% [markdown]
# # 4. Build a queue
#
# **The question:** a queue is a table, and a worker takes rows from it. What can go wrong, and how few lines does it
# take to get it right?
#
# *No request shall wait for somebody else's server any more, the three decide: what is to be fetched is written down,
# and another process fetches it. Over a weekend they write a queue for that.*
#
# So do you. A first version is given, in SQL that you can read at a glance. You write the claim that replaces it, first
# for SQLite, then for PostgreSQL, and compare it with the one of `jobqueue`, this project's library.

# %%
from workbook import begin, check, experiment, predict, score

begin(4)

from functools import partial

from workbook import chapter04 as lab
from workbook import chapter04_checks as checks
from workbook.chapter04 import do, sql
from workbook.chapter04_jobqueue import show_sql, the_library
from workbook.chapter04_pictures import overlap_figure, runs_figure

# %% [markdown]
# ## A table and ten lines
#
# A job is a row of
#
# ```sql
# CREATE TABLE jobs (id INTEGER PRIMARY KEY, handler TEXT, locked_by TEXT)
# ```
#
# A worker that has *claimed* a job writes its name into `locked_by`; when the job is done, the row is deleted. So a
# worker looks for a job that nobody has, and claims it. `sql(db, statement, name=value)` executes one statement, and
# each statement is its own transaction: it is committed when it returns.


# %%
def look(db):
    return sql(db, "SELECT id FROM jobs WHERE locked_by IS NULL ORDER BY id LIMIT 1").scalar()


def look_then_claim(db, worker):
    if (id := look(db)) is not None:
        sql(db, "UPDATE jobs SET locked_by = :worker WHERE id = :id", worker=worker, id=id)
    return id


# %% [markdown]
# Then it does the job (`do(id)` takes 3 ms), deletes it, and goes on until none is left. One worker, on an SQLite file
# that is removed when this kernel ends:


# %%
def work_off(db, claim, worker):
    done = []
    while (id := claim(db, worker)) is not None:
        do(id)
        done.append(id)
        sql(db, "DELETE FROM jobs WHERE id = :id", id=id)
    return done


engine = lab.scratch()
lab.fill(engine, 5)
with engine.connect() as db:
    print("done:", work_off(db, look_then_claim, "A"))
    print("left:", sql(db, "SELECT count(*) FROM jobs").scalar())

# %% [markdown]
# Each job ran once, in order, and nothing is left. A test with one worker passes, and always will.
#
# ## Two workers
#
# Two workers are two connections. Nobody decides whose turn it is, so every order of their steps can happen. This is one
# of them, carried out by hand: both look, and then both claim.

# %%
lab.fill(engine, 5)
with engine.connect() as a, engine.connect() as b:
    seen_by_a = look(a)
    seen_by_b = look(b)
    for db, worker, id in ((a, "A", seen_by_a), (b, "B", seen_by_b)):
        sql(db, "UPDATE jobs SET locked_by = :worker WHERE id = :id", worker=worker, id=id)
        print(f"worker {worker} now does job {id}")

# %% [markdown]
# No step failed. The gap is between looking and claiming: what B saw is no longer true when B acts on it (a *race*, of
# the kind called check-then-act). In the row stands B's name alone.
#
# How often does it happen when nobody arranges it? Four workers, threads with a connection each, begin at the same
# moment with 200 jobs on SQLite. **Write down what you expect:** how many runs will be too many? (A job that ran three
# times has two.)

# %%
predict("runs too many, look then claim", runs=5)

# %%
claims = {"look, then claim": look_then_claim}
looking = experiment("look-then-claim", partial(lab.races, "sqlite", work_off, claims), workers=4, count=200)
score("runs too many, look then claim", runs=lab.extra(looking["look, then claim"]))
runs_figure(looking, "SQLite, four workers: how often each job ran")

# %% [markdown]
# ## What you see
#
# Job 1 is nearly always among them; the others are wherever two workers happened to look at once. That it is rare makes
# it worse. Say that a claim's gap is 0.2 ms, and that another worker looks every 50 ms. Its look falls into the gap
# with probability $0.2 / 50 = 0.4\,\%$: a test with ten jobs finds it once in 25 runs, and of a million jobs a day 4,000
# run twice.
#
# ## Close the gap
#
# SQLite has one write lock for the whole file. An `UPDATE` holds it before it begins to look for its rows, and until it
# is committed. A transaction that begins with `BEGIN IMMEDIATE` holds it from there to its `COMMIT`. One that reads
# first asks for the lock only when it writes, and is refused if another worker has written since.
#
# **Exercise 4.1.** Write `claim(db, worker)` for SQLite, in as many statements as you like. It gives the free job with
# the lowest id to this worker, and returns the job's id; it returns None only if no job is free, since the worker then
# goes home. Wherever you have two statements, the check lets another worker come between them, once or many times. (An
# `UPDATE` that ends with `RETURNING id` returns the id of its row, as a `SELECT` does; `.rowcount` says how many rows it
# has changed.) Then four workers race again, with your claim if it is right.


# %% tags=["exercise"]
def claim(db, worker):
    # solution:
    update = """UPDATE jobs SET locked_by = :worker
                WHERE id = (SELECT id FROM jobs WHERE locked_by IS NULL ORDER BY id LIMIT 1)
                RETURNING id"""
    return sql(db, update, worker=worker).scalar()
    # end


# %%
check("1", claim, checks.claims_on_sqlite)
claims = {"claim": lab.yours(claim, checks.claims_on_sqlite, own=lab.one_update)}
raced = experiment("one-update", partial(lab.races, "sqlite", work_off, claims), workers=4, count=200)

# %% [markdown]
# ## The same on PostgreSQL
#
# The four workers move to PostgreSQL, which lets many write at a time. They claim with one `UPDATE` that finds its job
# itself, which is right on SQLite. **Write down** how many runs will be too many now. And a second figure: worker A has
# claimed job 1 with that statement, and its transaction is not yet committed. Worker B asks for a job, with the same
# statement. How long does B wait, if A commits after 300 ms?

# %%
predict("runs too many, one UPDATE on PostgreSQL", runs=0)
predict("B's wait on PostgreSQL", seconds=0.01)

# %%
both = {"look, then claim": look_then_claim, "one UPDATE": lab.one_update}
many = experiment("on-postgresql", partial(lab.races, "postgresql", work_off, both), workers=4, count=200)
score("runs too many, one UPDATE on PostgreSQL", runs=lab.extra(many["one UPDATE"]))
runs_figure(many, "PostgreSQL, four workers: how often each job ran")

# %% [markdown]
# Here many write at a time, and collide far more often, and one statement is not enough. To see why, slow it down: A's
# claim stays uncommitted for 300 ms, and B asks meanwhile. Three jobs are in the table, and no luck is involved.

# %%
found = experiment("overlap", lambda hold: lab.overlaps({"sqlite": both, "postgresql": both}, hold), hold=0.3)
score("B's wait on PostgreSQL", seconds=found[-1]["waited"])
overlap_figure(found, 0.3)

# %% [markdown]
# ## Why
#
# * **SQLite.** B waits for the write lock (it asks again after growing pauses, so it gets it a little after A's commit).
#   *Look, then claim* has already looked: only its `UPDATE` waits, and then does not look again. *One `UPDATE`* begins
#   to look once it has the lock, and by then job 1 is taken.
# * **PostgreSQL.** The one `UPDATE` is
#
#   ```sql
#   UPDATE jobs SET locked_by = :worker
#   WHERE id = (SELECT id FROM jobs WHERE locked_by IS NULL ORDER BY id LIMIT 1) RETURNING id
#   ```
#
#   A statement sees what was committed when it *began* (the isolation level *read committed*). B's `SELECT` has found
#   job 1 before it meets A's lock on that row. Then B waits, and once A has committed, B tests its outer `WHERE` again
#   on the new row. That says `id = 1`, which still holds. So B overwrites A's name. If A has deleted the row by then,
#   B's `UPDATE` finds none: B gets None, and goes home. (So a worker may have no runs at all.)
#
# With `AND locked_by IS NULL` in the outer `WHERE`, too, B would lose job 1, and go home although two jobs are waiting.
#
# PostgreSQL can lock rows while it looks. At the end of a `SELECT`, `FOR UPDATE` locks the rows that it returns until
# the transaction ends. If another transaction has locked such a row, it waits; with `FOR UPDATE NOWAIT` it fails; with
# `FOR UPDATE SKIP LOCKED` it takes the next row instead.
#
# **Exercise 4.2.** Write `claim_at_once(db, worker)` for PostgreSQL: as `claim`, but it never waits for another worker.


# %% tags=["exercise"]
def claim_at_once(db, worker):
    # solution:
    pick = "SELECT id FROM jobs WHERE locked_by IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
    update = f"UPDATE jobs SET locked_by = :worker WHERE id = ({pick}) RETURNING id"
    return sql(db, update, worker=worker).scalar()
    # end


# %%
check("2", claim_at_once, checks.claims_on_postgresql)
claims = {"claim_at_once": lab.yours(claim_at_once, checks.claims_on_postgresql, own=lab.skip_locked)}
raced = experiment("skip-locked", partial(lab.races, "postgresql", work_off, claims), workers=4, count=200)

# %% [markdown]
# SQLite has no such clause and needs none: with one writer at a time, there are no locked rows to skip.
#
# ## What jobqueue does
#
# `jobqueue` locks what it finds, too. Here are its own workers, four on each database, and the two statements of a claim
# on PostgreSQL, in one transaction. (On SQLite that transaction has the file's write lock from its beginning, and `SKIP
# LOCKED` is missing.)

# %%
statements = experiment("jobqueue", the_library, workers=4, count=200)
show_sql(statements["postgresql"])

# %% [markdown]
# Find yours in them: the `SELECT`, `SKIP LOCKED`, the `UPDATE`. Most of the rest is there for reasons that you meet in
# the first month of running a queue (the file is `jobqueue/lease.py`):
#
# | in the statements | for |
# |---|---|
# | `run_at <= now` | jobs scheduled for later, and retries of failed ones |
# | `WITH RECURSIVE lanes` | the most urgent priority at which a job is due, without reading half a million urgent jobs that are scheduled for tomorrow |
# | `ORDER BY priority, run_at, id` | urgent ones first; then those that have been due longest |
# | `locked_at = now` | the *lease*: a worker that died must not keep its job for ever (chapter 8) |
# | `attempts + 1` | an attempt is counted before it begins, so one that kills its worker counts too |
# | `failed_at IS NULL` | jobs that have failed for good are kept, and left alone |
# | `NOT IN (SELECT ...)` | the jobs of a paused queue wait |
# | `LIMIT`, two statements | a worker may claim several short jobs at once, with one commit, as many as it has threads for |
#
# An index of the waiting rows in that order serves the claim, so it does not read the backlog, but only what it skips.
#
# ## Exercises
#
# **Exercise 4.3.** Worker A was presumed dead, its job was given to B, and now A comes back and says that it has done
# it. Our `work_off` would delete the row while B is working on it. Write `finish(db, id, worker)` for SQLite: it deletes
# the job only if it is still this worker's, and returns True or False. (This condition is called the *fence*.)


# %% tags=["exercise"]
def finish(db, id, worker):
    # solution:
    gone = sql(db, "DELETE FROM jobs WHERE id = :id AND locked_by = :worker", id=id, worker=worker)
    return gone.rowcount == 1
    # end


# %%
check("3", finish, checks.finishes_its_own_only)

# %% [markdown]
# **Go on.** Give the table a column `run_at`, and let your claim leave alone what is not yet due. Time `claim_at_once`
# with 1, 2 and 8 workers: when do more stop helping? What would two workers, both called A, do to your `finish`?
#
# ## From memory
#
# <details><summary>A thousand tests with two workers found no job that ran twice. What do you know?</summary>
#
# Little: the gap may be short, and the workers may have kept out of each other's way. Arrange the bad order by hand; if
# it can happen, it will.
#
# </details>
#
# <details><summary>The same single UPDATE is safe on SQLite, and not on PostgreSQL. Why?</summary>
#
# On SQLite it begins to look only when it has the one write lock, so nothing changes between its look and its write. On
# PostgreSQL it has looked before it waits for the row's lock, and what it saw is no longer true when the wait is over.
#
# </details>
#
# <details><summary>A claim comes back empty-handed. Why is it not the same whether it has lost a job or found none?</summary>
#
# The worker takes "none" for an empty table, and goes home or to sleep, although jobs are waiting for it.
#
# </details>
#
# ## What to remember
#
# * A queue is a table and a claim. Looking and claiming must be one step, or a job is sometimes done twice, and nothing
#   says so.
# * On SQLite one `UPDATE ... RETURNING` is that step. On PostgreSQL the row must be locked while looking: `FOR UPDATE
#   SKIP LOCKED`.
# * A race that a test does not find is still there. Arrange the bad order by hand, and look.
#
# Chapter 5 puts such a queue behind the feed reader: what does it make faster, and who pays for it?
