"""Linear classifiers on n-grams or vectors: what the methods without fine-tuning are made of."""
