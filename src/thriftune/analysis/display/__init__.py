"""Panels, tables and charts as data, no HTML."""
