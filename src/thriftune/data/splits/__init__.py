"""Training, validation and test: found, made, and kept apart."""
