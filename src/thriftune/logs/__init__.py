"""What a study writes of its course: a readable log for each run, and events for machines."""
