"""Costs measured by hooks and by an untimed probe, never inside timed steps."""
