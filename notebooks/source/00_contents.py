# %% [markdown]
# # The 500 ms workbook
#
# **What happens to a web request's latency when the work inside it is slow, and what does a queue change?**
#
# Each chapter asks a question. You write down what you expect, run a small experiment on real servers on this machine,
# look at the picture, and read why it came out that way. Exercises follow; each has a check, and a solution.
#
# (the chapters)
#
# Begin with chapter 1, and read 2 and 3 after it: they build on each other. Take 4 to 9 in any order; 10 builds on 9,
# 11 on 8 and 9, and 12 on 4, 7, 8 and 9; 13 is for all of it, at least after 2, 5 and 8. At the end,
# [your predictions](14_your_predictions.ipynb) shows how well you predicted it all.
#
# ## How to use it
#
# * `make notebooks`, in the project's folder, installs what the chapters need (once, with a network), and opens this
#   page with blank copies of the chapters, in `notebooks/mine`. What you write there stays: a newer version of a
#   chapter is put beside yours. It runs on Linux and macOS; on Windows, use WSL.
# * Run the cells from the top, with Shift-Enter. The first one checks that everything is there.
# * Write your own figures into the cells with `predict(...)`, in place of the dots. A chapter stops there until you
#   have.
# * An exercise is a cell with `...` in it. The cell below it checks your answer, and gives a hint if it is wrong.
# * To read without running anything, build a site with all figures: `make book`. To run a chapter without starting
#   servers, write `begin(1, recorded=True)` in its first cell; its experiments then come from recordings, and you can
#   draw the figures in other ways.
# * All servers listen on this machine only, and are gone when their cell is done. (Only chapter 6's reader and chapter
#   8's workers live longer: until the kernel ends.)
# * Measure with nothing else running. If the machine was too busy for an experiment, it says that it was slowed, or is
#   not fit to judge by; run that cell again.
#
# For a class: [the teacher's page](teachers.md).
