"""Trained classifiers as a small HTTP service: requests that come together are computed together."""
