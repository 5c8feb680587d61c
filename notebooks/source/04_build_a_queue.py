# ---
# about: from a table and ten lines to one atomic claim, on SQLite and on PostgreSQL
# minutes: 50
# needs: nothing more
# ---

# %% [markdown]
# # 4. Build a queue
#
# **The question:** a queue is a table, and a worker takes rows from it. What can go wrong, and how few lines does it
# take to get it right?
#
# You will build one, in SQL that you can read at a glance. It works; with a second worker it does some jobs twice, and
# nothing says so. Then you close the gap, first on SQLite, then on PostgreSQL, where the same statement is not enough.
# At the end you read the statement that `jobqueue`, this project's library, uses, and see what else it does.

# %%
from workbook import begin, check, experiment, predict, score

begin(4)

from workbook import chapter04 as lab
from workbook.chapter04 import do, sql
from workbook.chapter04_checks import claims_the_right_jobs, finishes_its_own_only

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
# ## Two workers, step by step
#
# Two workers are two connections. Nobody decides whose turn it is, so every order of their steps can happen. This is one
# of them, carried out by hand:

# %%
lab.fill(engine, 5)
with engine.connect() as a, engine.connect() as b:
    seen_by_a = look(a)
    seen_by_b = look(b)
    for db, worker, id in ((a, "A", seen_by_a), (b, "B", seen_by_b)):
        sql(db, "UPDATE jobs SET locked_by = :worker WHERE id = :id", worker=worker, id=id)
        print(f"worker {worker} now does job {id}")

# %% [markdown]
# | step | worker A | worker B | `locked_by` of job 1 |
# |---|---|---|---|
# | 1 | looks: job 1 is free | | |
# | 2 | | looks: job 1 is free | |
# | 3 | claims job 1 | | A |
# | 4 | does job 1 | claims job 1 | B |
# | 5 | | does job 1 | B |
#
# No step failed. The gap is between looking and claiming: what A saw is no longer true when A acts on it (a *race*, of
# the kind called check-then-act).
#
# How often does it happen when nobody arranges it? Four workers, threads with a connection each, begin at the same
# moment with 200 jobs on SQLite. **Write down what you expect:** how many runs will be too many? (A job that ran three
# times has two.)

# %%
predict("runs too many, look then claim", runs=5)

# %%
claims = {"look, then claim": look_then_claim}
looking = experiment(
    "look-then-claim", lambda **how: lab.races("sqlite", work_off, claims, **how), workers=4, count=200
)
score("runs too many, look then claim", runs=lab.extra(looking["look, then claim"]))
lab.runs_figure(looking, "SQLite, four workers: how often each job ran")

# %% [markdown]
# ## What you see
#
# Job 1 is nearly always among them; the others are wherever two workers happened to look at once. It does not happen
# often: SQLite lets only one of them write at a time, which keeps them apart a little.
#
# That it is rare makes it worse. Say that a claim's gap is 0.2 ms, and that another worker looks every 50 ms. Its look
# falls into the gap with probability $0.2 / 50 = 0.4\,\%$: a test with ten jobs finds it once in 25 runs, and with a
# million jobs a day 4,000 letters are sent twice.
#
# ## Look and claim in one
#
# On SQLite nobody can come between the two halves of *one statement*: there is one write lock for the whole file, and
# an `UPDATE` holds it before it begins to look (if it is the first statement of its transaction, as here; a transaction
# that reads first must begin with `BEGIN IMMEDIATE`). `RETURNING`, available since SQLite 3.35, says which row it was.


# %%
def one_update(db, worker):
    return sql(
        db,
        """UPDATE jobs SET locked_by = :worker
           WHERE id = (SELECT id FROM jobs WHERE locked_by IS NULL ORDER BY id LIMIT 1)
           RETURNING id""",
        worker=worker,
    ).scalar()


in_one = {"one UPDATE": one_update}
updating = experiment(
    "one-update", lambda **how: lab.races("sqlite", work_off, in_one, **how), workers=4, count=200
)

# %% [markdown]
# That is the heart of a queue on SQLite: a table, one statement, and a loop.
#
# ## The same on PostgreSQL
#
# The four workers move to PostgreSQL, which lets many write at a time. It gets the same statement, character for
# character, and two more to compare it with:
#
# * **checked** checks again in the outer `WHERE` that the row is still free;
# * **`SKIP LOCKED`** has `FOR UPDATE SKIP LOCKED` at the end of its `SELECT`, which locks the row while it looks, and
#   skips rows that others have locked.
#
# **Write down** how many runs will be too many with the same statement. And a second figure: worker A has claimed job
# 1, and its transaction is not yet committed. Worker B asks for a job with `SKIP LOCKED`. How long does B wait, if A
# commits after 300 ms?

# %%
predict("runs too many, one UPDATE on PostgreSQL", runs=0)
predict("B's wait with SKIP LOCKED", seconds=0.3)


# %%
def checked_update(db, worker):
    pick = "SELECT id FROM jobs WHERE locked_by IS NULL ORDER BY id LIMIT 1"
    update = f"UPDATE jobs SET locked_by = :worker WHERE id = ({pick}) AND locked_by IS NULL RETURNING id"
    return sql(db, update, worker=worker).scalar()


def skip_locked(db, worker):
    pick = "SELECT id FROM jobs WHERE locked_by IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
    update = f"UPDATE jobs SET locked_by = :worker WHERE id = ({pick}) RETURNING id"
    return sql(db, update, worker=worker).scalar()


# %%
both = {"look, then claim": look_then_claim, "one UPDATE": one_update}
four = both | {"UPDATE, checked": checked_update, "SKIP LOCKED": skip_locked}
many = experiment(
    "on-postgresql", lambda **how: lab.races("postgresql", work_off, four, **how), workers=4, count=200
)
score("runs too many, one UPDATE on PostgreSQL", runs=lab.extra(many["one UPDATE"]))
lab.runs_figure(many, "PostgreSQL, four workers: how often each job ran")

# %% [markdown]
# Here many write at a time, and collide far more often. And one statement is not enough. To see why, slow it down: A's
# claim stays uncommitted for 300 ms, and B asks meanwhile. Three jobs are in the table, and no luck is involved.

# %%
found = experiment("overlap", lambda hold: lab.overlaps({"sqlite": both, "postgresql": four}, hold), hold=0.3)
score("B's wait with SKIP LOCKED", seconds=found[-1]["waited"])
lab.overlap_figure(found, 0.3)

# %% [markdown]
# ## Why
#
# * **SQLite.** B waits for the write lock. (There is no queue for it: B asks again after growing pauses, and so gets it
#   a little after A's commit.) *Look, then claim* has already looked: only its `UPDATE` waits, and then does not look
#   again. *One `UPDATE`* begins to look once it has the lock, and by then job 1 is taken.
# * **PostgreSQL, one `UPDATE`.** A statement sees what was committed when it *began* (the isolation level *read
#   committed*). B's `SELECT` has found job 1 before it meets A's lock on that row. Then B waits, and once A has
#   committed, B tests its outer `WHERE` again on the new row. That says `id = 1`, which still holds. So B overwrites
#   A's name.
# * **Checked.** The same, but the outer `WHERE` no longer holds. B has lost its row, does not look for another one, and
#   returns nothing although two jobs are waiting. No job runs twice, but our worker mistakes "lost" for "empty" and
#   goes home: see the runs by worker in the race above. (So does a worker with one `UPDATE`, if its row was deleted
#   while it waited.)
# * **`SKIP LOCKED`.** The `SELECT` locks the row that it finds, and skips those that are locked. B has job 2, at once.
#
# SQLite has no such clause and needs none: with one writer at a time, there are no locked rows to skip.
#
# ## What jobqueue does
#
# `jobqueue` locks what it finds, too. Here are its own workers, four on each database, and the two statements of a claim
# on PostgreSQL, in one transaction. (On SQLite that transaction has the file's write lock from its beginning, and the
# line that skips is missing.)

# %%
statements = experiment("jobqueue", lab.the_library, workers=4, count=200)
lab.show_sql(statements["postgresql"])

# %% [markdown]
# Find yours in them: the `SELECT`, `SKIP LOCKED`, the `UPDATE`. Everything else is there for a reason that you meet in
# the first month of running a queue (the file is `jobqueue/lease.py`):
#
# | in the statements | for |
# |---|---|
# | `run_at <= now` | jobs scheduled for later, and retries of failed ones |
# | `WITH RECURSIVE lanes` | the most urgent priority at which a job is due: it looks at the first job of each priority, so that no claim reads half a million urgent jobs that are scheduled for tomorrow |
# | `ORDER BY priority, run_at, id` | urgent ones first; then those that have been due longest |
# | `locked_at = now` | the *lease*: a worker that died must not keep its job for ever (another statement gives it back, chapter 8) |
# | `attempts + 1` | an attempt is counted before it begins, so one that kills its worker counts too |
# | `CASE WHEN` | the count stops at the largest number that the column holds, rather than the worker |
# | `failed_at IS NULL` | jobs that have failed for good are kept, and left alone |
# | `LIMIT` as a parameter | a worker may claim several short jobs at once, with one commit |
# | `NOT IN (SELECT ...)` | the jobs of a paused queue wait |
# | two statements | between them the worker decides how many of the jobs it has threads for |
#
# An index of the waiting rows in that order serves the claim. The claim does not read the backlog, only what it skips:
# jobs of paused queues, rows that others have locked, and on PostgreSQL the dead versions of rows claimed before, until
# vacuum removes them.
#
# Chapter 8 kills workers to show what the lease and the count are for.
#
# ## Exercises
#
# **Exercise 4.1.** The table has two more columns, `priority` and `run_at` (a number of seconds). Write
# `claim_due(db, worker, now)` for SQLite: in one statement it claims a free job with `run_at <= :now`, the lowest number
# in `priority` first, then the earliest `run_at`. It returns the job's id, or None.


# %% tags=["exercise"]
def claim_due(db, worker, now):
    # solution:
    pick = "SELECT id FROM jobs WHERE locked_by IS NULL AND run_at <= :now ORDER BY priority, run_at LIMIT 1"
    update = f"UPDATE jobs SET locked_by = :worker WHERE id = ({pick}) RETURNING id"
    return sql(db, update, worker=worker, now=now).scalar()
    # end


# %%
check(
    "1",
    claim_due,
    claims_the_right_jobs,
    hint="Begin with one_update. Two things change within its SELECT: WHERE and ORDER BY.",
)

# %% [markdown]
# **Exercise 4.2.** Worker A was presumed dead, its job was given to B, and now A comes back and says that it has done
# it. Our `work_off` would delete the row while B is working on it. Write `finish(db, id, worker)`: it deletes the job
# only if it is still this worker's, and returns True or False. (This condition is called the *fence*; `.rowcount` says
# how many rows a statement has changed.)


# %% tags=["exercise"]
def finish(db, id, worker):
    # solution:
    gone = sql(db, "DELETE FROM jobs WHERE id = :id AND locked_by = :worker", id=id, worker=worker)
    return gone.rowcount == 1
    # end


# %%
check(
    "2",
    finish,
    finishes_its_own_only,
    hint="Who has the job stands in its row: ask for it in the same statement that deletes.",
)

# %% [markdown]
# **Go on.** Race `skip_locked` with 1, 2 and 8 workers, and time it: when do more workers stop helping? What would two
# workers do to your `finish` if both were called A, and what does `jobqueue` use instead of a name alone?
#
# ## What to remember
#
# * A queue is a table and a claim. Looking and claiming must be one step, or a job is sometimes done twice, and nothing
#   says so.
# * On SQLite one `UPDATE ... RETURNING` is that step. On PostgreSQL the row must be locked while looking: `FOR UPDATE SKIP LOCKED`.
# * A race that a test does not find is still there. Arrange the bad order by hand, and look.
#
# Chapter 5 puts such a queue behind the feed reader: what does it make faster, and who pays for it?
