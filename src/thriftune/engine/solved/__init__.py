"""Heads that are solved instead of trained: the regression, and the features that it reads."""
