# %% [markdown]
# # Your predictions
#
# This page sums up what you predicted and what was measured, in all chapters. Run it whenever you like. Your
# predictions are in `predictions.json` next to this notebook; delete that file to start over.
#
# If it shows figures before you have run it, they are an example: those of the notebooks with solutions.

# %%
from workbook import begin, summary

begin()

# %%
summary()

# %% [markdown]
# Look for a pattern. Where were you off, and in which direction? Three places are typical: beyond the knee, where
# waiting grows without a change in the work; tails, which a mean does not show; and bystanders, who share a resource
# with the slow requests without knowing about them.
#
# [Contents](00_contents.ipynb)
