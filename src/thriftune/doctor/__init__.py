"""What of a machine and an installation a study needs, and what would go wrong."""
