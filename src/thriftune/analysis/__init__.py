"""Answers computed from a study's results: one file per panel, tables and charts as data, no HTML."""
