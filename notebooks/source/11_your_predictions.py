# %% [markdown]
# # Your predictions
#
# This page sums up what you said and what was measured, in all chapters. Run it whenever you like.
# Your predictions are in `predictions.json` beside this notebook; delete that file to begin anew.
#
# The page as you found it shows the predictions that stand in the chapters until you change them.

# %%
from workbook import begin, summary

begin()

# %%
summary()

# %% [markdown]
# Look for a pattern. Where were you off, and in which direction? Typical are three places: beyond the knee, where waiting grows without
# a change in the work; tails, which a mean does not show; and bystanders, who share a resource with the slow requests without
# knowing of them.
#
# [Contents](00_contents.ipynb)
