"""From rows to figures with intervals, to fitness, to a verdict. Pure."""
