"""`make demo`: both readers side by side, with the same visitors, on a page or in a terminal."""
