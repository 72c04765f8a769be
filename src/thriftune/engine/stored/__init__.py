"""A stored transformer ready to predict, from texts to probabilities."""
