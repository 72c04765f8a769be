"""The frozen layers: cut off, run once, kept in a cache, out of memory meanwhile."""
