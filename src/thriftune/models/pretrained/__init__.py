"""A pretrained model on disk: found, checked and loaded."""
