"""One run in its process: from its job to its record."""
