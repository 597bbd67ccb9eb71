"""Real runs of the real thing on this machine: the third column."""
