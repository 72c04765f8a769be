"""Several classifiers served together: what they share is in memory once, and runs once for the texts of all."""
