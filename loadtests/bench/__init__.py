"""`make bench`: what is measured in which order, one step after the other."""
