"""What only a GPU has use for: whole steps as graphs, batches of few shapes, numbers read without waiting."""
