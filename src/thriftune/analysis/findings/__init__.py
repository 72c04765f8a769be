"""What several panels ask of a study, computed once."""
