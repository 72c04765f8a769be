"""A trained classifier on disk: stored, described, restored and reloaded."""
