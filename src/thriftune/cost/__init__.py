"""What a run costs: measured by hooks and by an untimed probe, never inside timed steps."""
