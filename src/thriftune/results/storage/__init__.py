"""How files get onto the disk, and what is said where they do not."""
