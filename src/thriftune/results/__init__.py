"""What a study leaves on disk: the record types and the one module that knows the paths."""
