"""Code that is copied beside exported models and runs there with transformers and torch alone."""
