"""Folders of models that are there to be used: the best run's, and refits."""
