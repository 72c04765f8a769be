"""The search for settings before the runs."""
