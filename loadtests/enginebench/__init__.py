"""`make engines`: the same reader, load and harms on every engine, and one table of what came of it."""
