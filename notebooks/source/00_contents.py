# %% [markdown]
# # The 500 ms workbook
#
# **What happens to a web request's latency when the work inside it is slow, and what does a queue change?**
#
# Each chapter asks a question. You write down what you expect, run a small experiment on real servers on this
# machine, look at the picture, and read why it came out so. Exercises follow; each has a check, and a solution.
#
# (the chapters)
#
# Begin with chapter 1. The chapters build on each other up to 3; after that take them in any order.
# At the end, [your predictions](11_your_predictions.ipynb) shows how well you foresaw it all.
#
# ## How to use it
#
# * Run the cells from the top: Shift-Enter. The first one looks whether all is there.
# * Change the numbers in the cells with `predict(...)` to yours *before* you run what comes after.
# * An exercise is a cell with `...` in it. The cell below it checks your answer and gives a hint until it is right.
# * You need not run anything: every figure is in the page already. To run a chapter without starting servers, write
#   `begin(1, recorded=True)` in its first cell; its experiments then come from recordings, and you can draw the figures
#   in other ways.
# * All servers listen on this machine alone, and end with the notebook's kernel: restart it, and they are gone.
# * Measure with nothing else running. An experiment that the machine was too busy for says that it is not fit to
#   judge by; run that cell again.
#
# For a class: [the teacher's page](teachers.md).
